//! The way back: the answers of a block are brought to each caller's runtime together.
//!
//! Waking a task from another thread costs a system call, and a thousand callers may wait for one
//! block. So each thread that asks has a mailbox with one task behind it; the loop fills the
//! mailboxes, wakes each once, and the callers are woken on their own thread, which costs nothing.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, oneshot};

type Letter = Box<dyn FnOnce() + Send>;

thread_local! {
    /// The mailbox of this thread, and the runtime that its task runs on.
    static OWN: RefCell<Option<(Id, Arc<Mailbox>)>> = const { RefCell::new(None) };
}

/// Where an answer goes.
pub(super) struct Asker<T> {
    reply: oneshot::Sender<T>,
    /// None for a caller outside of any runtime, who is answered directly.
    mailbox: Option<Arc<Mailbox>>,
}

/// The answers of one block, by mailbox.
#[derive(Default)]
pub(super) struct Post {
    rounds: Vec<(Arc<Mailbox>, Vec<Letter>)>,
}

#[derive(Default)]
struct Mailbox {
    /// None once the runtime is gone, and with it whoever waited for an answer.
    letters: Mutex<Option<Vec<Letter>>>,
    news: Notify,
}

/// Closes a mailbox when its task ends with the runtime.
struct Carrier(Arc<Mailbox>);

impl<T> Asker<T> {
    /// An asker for the calling task, and where it waits.
    pub(super) fn new() -> (Self, oneshot::Receiver<T>) {
        let (reply, answer) = oneshot::channel();
        let mailbox = Handle::try_current()
            .ok()
            .map(|runtime| Mailbox::own(&runtime));
        (Self { reply, mailbox }, answer)
    }
}

impl Post {
    /// Adds an answer. A caller that has left is no longer interested in it.
    pub(super) fn add<T: Send + 'static>(&mut self, asker: Asker<T>, answer: T) {
        let Asker { reply, mailbox } = asker;
        let Some(mailbox) = mailbox else {
            return drop(reply.send(answer));
        };
        let letter: Letter = Box::new(move || drop(reply.send(answer)));
        match self
            .rounds
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &mailbox))
        {
            Some((_, letters)) => letters.push(letter),
            None => self.rounds.push((mailbox, vec![letter])),
        }
    }

    /// Lets all of them go.
    pub(super) fn deliver(self) {
        for (mailbox, mut letters) in self.rounds {
            if let Some(waiting) = &mut *mailbox.lock() {
                waiting.append(&mut letters);
            }
            mailbox.news.notify_one();
        }
    }
}

impl Mailbox {
    /// The mailbox of this thread.
    fn own(runtime: &Handle) -> Arc<Self> {
        OWN.with_borrow_mut(|own| match own {
            Some((id, mailbox)) if *id == runtime.id() => mailbox.clone(),
            _ => {
                let mailbox = Arc::new(Self::default());
                *mailbox.lock() = Some(Vec::new());
                runtime.spawn(Carrier(mailbox.clone()).carry());
                *own = Some((runtime.id(), mailbox.clone()));
                mailbox
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Letter>>> {
        self.letters.lock().expect("nobody panics with this lock")
    }
}

impl Carrier {
    async fn carry(self) {
        loop {
            self.0.news.notified().await;
            let letters = self.0.lock().as_mut().map(std::mem::take);
            letters.into_iter().flatten().for_each(|letter| letter());
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.lock().take();
    }
}
