//! Ctrl-C, where it ends a command in order.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
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
