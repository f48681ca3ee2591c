//! The routing of published blocks, beside the engine: a thread of its own takes them from the
//! tail, and whoever publishes only puts them there.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use opstead_core::Cursor;
use tokio::sync::watch;

use super::router::Router;
use super::scan::Room;
use super::tail::{LogBlock, Tail};

/// What the hub and the thread share. It holds nothing of the journal, so that the journal is let
/// go together with the hub, whenever the thread ends.
pub(super) struct Routing {
    /// Locked by itself, and only for moments: the engine waits for it.
    tail: Mutex<Tail>,
    router: Mutex<Router>,
    /// Everything up to here is in the queues of those who are live, and they are woken.
    routed: watch::Sender<Cursor>,
    /// So much is taken from the tail at once.
    page_bytes: usize,
}

/// Tells the thread that there is something in the tail. The thread ends when this is dropped.
pub(super) struct Doorbell(SyncSender<()>);

impl Routing {
    /// Starts the thread, with everything up to `tail`'s head taken for routed.
    pub(super) fn start(tail: Tail, queue: Room, page_bytes: usize) -> (Arc<Self>, Doorbell) {
        let head = tail.head();
        let routing = Arc::new(Self {
            tail: Mutex::new(tail),
            router: Mutex::new(Router::new(head, queue)),
            routed: watch::Sender::new(head),
            page_bytes,
        });
        // One ring that was not heard yet stands for all that follow.
        let (doorbell, rings) = sync_channel(1);
        let of_thread = routing.clone();
        thread::Builder::new()
            .name("alerts".to_owned())
            .spawn(move || of_thread.run(&rings))
            .expect("a thread can be started when the daemon starts");
        (routing, Doorbell(doorbell))
    }

    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("nothing panics under this lock")
    }

    pub(super) fn router(&self) -> MutexGuard<'_, Router> {
        self.router.lock().expect("nothing panics under this lock")
    }

    pub(super) fn routed(&self) -> &watch::Sender<Cursor> {
        &self.routed
    }

    fn run(&self, rings: &Receiver<()>) {
        while rings.recv().is_ok() {
            while let Some(blocks) = self.next() {
                for block in blocks {
                    self.route(&block);
                }
            }
        }
    }

    /// The next few blocks; nothing if all are routed.
    fn next(&self) -> Option<Vec<Arc<LogBlock>>> {
        let routed = *self.routed.borrow();
        let (blocks, start) = {
            let tail = self.tail();
            (tail.after(routed, self.page_bytes), tail.start())
        };
        match blocks {
            Some(blocks) => (!blocks.is_empty()).then_some(blocks),
            None => {
                // The tail went on without waiting. What is missed here, each looks up by itself.
                let woken = self.router().skip_to(start);
                woken.iter().for_each(|outlet| outlet.wake());
                self.routed.send_replace(start);
                Some(Vec::new())
            }
        }
    }

    fn route(&self, block: &LogBlock) {
        let woken = self.router().route(block);
        woken.iter().for_each(|outlet| outlet.wake());
        self.routed.send_replace(block.last());
    }
}

impl Doorbell {
    pub(super) fn ring(&self) {
        let ring = self.0.try_send(());
        assert!(
            !matches!(ring, Err(TrySendError::Disconnected(()))),
            "the routing thread lives as long as its doorbell"
        );
    }
}
