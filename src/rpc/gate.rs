//! The gate through which the calls of one connection pass: at most so many at a time, strictly in
//! the order in which they came, and none while the peer leaves too many answers untaken. It also
//! says when there is no room for further requests, so that the socket is not read from.
//!
//! It is not a semaphore because a fair semaphore orders only those who wait: whoever comes when a
//! permit has just become free passes those who were woken but did not run yet.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::limits::Limits;

/// So many calls may wait at the gate before the socket is not read from any more.
const CROWD: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    max_in_flight: usize,
    max_unsent_bytes: u64,
    max_held_bytes: usize,
    state: Mutex<State>,
}

/// Invariant: nobody passes while `waiting` is not empty, save its front.
#[derive(Debug, Default)]
struct State {
    in_flight: usize,
    /// Of requests in flight and waiting.
    held_bytes: usize,
    /// Of answers and pushes that were handed over for sending; `taken_bytes` left the daemon.
    made_bytes: u64,
    taken_bytes: u64,
    waiting: VecDeque<Waiting>,
    next_ticket: u64,
    reader: Option<Waker>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    waker: Waker,
}

impl Gate {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            max_in_flight: limits.max_calls_in_flight,
            max_unsent_bytes: limits.max_unsent_bytes,
            max_held_bytes: limits.max_held_bytes,
            state: Mutex::default(),
        }
    }

    /// Waits until it is this call's turn. The order is that of the first polls.
    pub(super) fn enter(self: &Arc<Self>, request_bytes: usize) -> Entering {
        Entering {
            gate: Arc::clone(self),
            request_bytes,
            ticket: None,
            passed: false,
        }
    }

    /// Something of so many bytes was handed over for sending.
    pub(super) fn made(&self, bytes: u64) {
        self.lock().made_bytes += bytes;
    }

    /// So many bytes left the daemon, frame heads included.
    pub(super) fn taken(&self, bytes: u64) {
        let mut state = self.lock();
        // Heads, pings and the handshake are not announced, so more may be taken than was made.
        state.taken_bytes = (state.taken_bytes + bytes).min(state.made_bytes);
        let next = self.next(&state);
        drop(state);
        wake(next);
    }

    /// Ready when there is room for further requests.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if self.has_room(&state) {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn has_room(&self, state: &State) -> bool {
        state.waiting.len() < CROWD && state.held_bytes <= self.max_held_bytes
    }

    fn is_open(&self, state: &State) -> bool {
        state.in_flight < self.max_in_flight
            && state.made_bytes - state.taken_bytes <= self.max_unsent_bytes
    }

    /// Who waits first, if it may pass now.
    fn next(&self, state: &State) -> Option<Waker> {
        let first = state.waiting.front()?;
        self.is_open(state).then(|| first.waker.clone())
    }

    /// The reader, if it waits and there is room again.
    fn reader(&self, state: &mut State) -> Option<Waker> {
        if state.reader.is_some() && self.has_room(state) {
            state.reader.take()
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that panics runs under the lock, so a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A call on its way through the gate; dropping it gives its place up.
#[derive(Debug)]
pub(super) struct Entering {
    gate: Arc<Gate>,
    request_bytes: usize,
    ticket: Option<u64>,
    passed: bool,
}

impl Future for Entering {
    type Output = Passage;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Passage> {
        let gate = Arc::clone(&self.gate);
        let mut state = gate.lock();
        let first = match self.ticket {
            None => {
                state.held_bytes += self.request_bytes;
                state.waiting.is_empty()
            }
            Some(ticket) => state
                .waiting
                .front()
                .is_some_and(|front| front.ticket == ticket),
        };
        if first && gate.is_open(&state) {
            if self.ticket.is_some() {
                state.waiting.pop_front();
            }
            state.in_flight += 1;
            self.passed = true;
            let (next, reader) = (gate.next(&state), gate.reader(&mut state));
            drop(state);
            wake(next);
            wake(reader);
            return Poll::Ready(Passage {
                gate,
                request_bytes: self.request_bytes,
            });
        }
        match self.ticket {
            None => {
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                state.waiting.push_back(Waiting {
                    ticket,
                    waker: context.waker().clone(),
                });
                self.ticket = Some(ticket);
            }
            Some(ticket) => {
                let place = state
                    .waiting
                    .partition_point(|waiting| waiting.ticket < ticket);
                if let Some(waiting) = state.waiting.get_mut(place) {
                    waiting.waker.clone_from(context.waker());
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        let (Some(ticket), false) = (self.ticket, self.passed) else {
            return;
        };
        let mut state = self.gate.lock();
        state.held_bytes -= self.request_bytes;
        // The tickets grow. A search keeps the end of a connection with a large crowd cheap.
        if let Ok(place) = state
            .waiting
            .binary_search_by_key(&ticket, |one| one.ticket)
        {
            state.waiting.remove(place);
        }
        let (next, reader) = (self.gate.next(&state), self.gate.reader(&mut state));
        drop(state);
        wake(next);
        wake(reader);
    }
}

/// A call in flight; dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct Passage {
    gate: Arc<Gate>,
    request_bytes: usize,
}

impl Drop for Passage {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.in_flight -= 1;
        state.held_bytes -= self.request_bytes;
        let (next, reader) = (self.gate.next(&state), self.gate.reader(&mut state));
        drop(state);
        wake(next);
        wake(reader);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn gate(max_calls_in_flight: usize) -> Arc<Gate> {
        Arc::new(Gate::new(&Limits {
            max_calls_in_flight,
            max_unsent_bytes: 100,
            max_held_bytes: 100,
            ..Limits::default()
        }))
    }

    fn poll(entering: &mut Entering) -> Option<Passage> {
        match Pin::new(entering).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(passage) => Some(passage),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_newcomer_does_not_pass_one_that_was_woken_but_did_not_run() {
        let gate = gate(2);
        let first = poll(&mut gate.enter(1)).unwrap();
        let second = poll(&mut gate.enter(1)).unwrap();
        let mut waiting = gate.enter(1);
        assert!(poll(&mut waiting).is_none());
        drop(first);
        drop(second);
        let mut newcomer = gate.enter(1);
        assert!(poll(&mut newcomer).is_none(), "the one that waits is first");
        let third = poll(&mut waiting).unwrap();
        let fourth = poll(&mut newcomer).unwrap();
        drop((third, fourth));
        assert_eq!(gate.lock().in_flight, 0);
        assert_eq!(gate.lock().held_bytes, 0);
    }

    #[test]
    fn one_that_gives_up_lets_the_next_pass() {
        let gate = gate(1);
        let first = poll(&mut gate.enter(1)).unwrap();
        let mut second = gate.enter(1);
        let mut third = gate.enter(1);
        assert!(poll(&mut second).is_none());
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        assert!(
            Pin::new(&mut third)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        drop(first);
        drop(second);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(poll(&mut third).is_some());
    }

    #[test]
    fn nothing_starts_while_too_much_is_unsent() {
        let gate = gate(8);
        gate.made(101);
        let mut call = gate.enter(1);
        assert!(poll(&mut call).is_none());
        gate.taken(1);
        assert!(poll(&mut call).is_some());
        gate.taken(1_000_000);
        gate.made(101);
        assert!(
            poll(&mut gate.enter(1)).is_none(),
            "what was never made gives no credit"
        );
    }

    #[test]
    fn a_crowd_or_many_bytes_leave_no_room() {
        let gate = gate(1);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let context = Context::from_waker(&waker);
        let large = poll(&mut gate.enter(101)).unwrap();
        assert!(gate.poll_room(&context).is_pending());
        drop(large);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(gate.poll_room(&context).is_ready());

        let running = poll(&mut gate.enter(0)).unwrap();
        let mut crowd: Vec<_> = (0..CROWD).map(|_| gate.enter(0)).collect();
        assert!(crowd.iter_mut().all(|call| poll(call).is_none()));
        assert!(gate.poll_room(&context).is_pending());
        drop(running);
        drop(poll(&mut crowd[0]));
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
    }
}
