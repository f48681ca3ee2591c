//! What ends a command from outside, in order: Ctrl-C, or that nobody reads its output any more.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::error::CliError;

/// How long a line that is just being written may take. Whoever reads it may have stopped reading.
const LAST_LINE: Duration = Duration::from_secs(1);

/// Runs until it ends by itself; nothing if Ctrl-C came first. What was written is written then.
pub(super) async fn until_interrupted<T: Send + 'static>(
    work: impl Future<Output = Result<T, CliError>> + Send + 'static,
) -> Result<Option<T>, CliError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    // On a thread of its own: a write that is stuck does not keep Ctrl-C from being heard.
    let mut task = tokio::spawn(work);
    let ended = tokio::select! {
        ended = &mut task => ended,
        _ = interrupt.recv() => {
            task.abort();
            match timeout(LAST_LINE, task).await {
                Ok(ended) => ended,
                Err(_) => return Ok(None),
            }
        }
    };
    match ended {
        Ok(result) => result.map(Some),
        Err(error) if error.is_cancelled() => Ok(None),
        Err(error) => Err(io::Error::other(error).into()),
    }
}

/// Resolves when nobody reads stdout any more, which a command that has nothing to write would not
/// notice by itself.
pub(super) async fn nobody_reads() {
    let (sender, gone) = oneshot::channel();
    // The thread ends with the program.
    thread::spawn(move || {
        let stdout = io::stdout();
        // Asked for nothing, it answers only that the other end is gone.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        while poll(&mut watched, None) == Err(Errno::INTR) {}
        // If the command has ended meanwhile, nobody wants to know.
        let _ended = sender.send(watched[0].revents());
    });
    match gone.await {
        Ok(found) if !found.is_empty() => {}
        _ => std::future::pending().await,
    }
}
