//! `opstead demo`: the whole of Opstead in a quarter of a minute, with a daemon process of its own
//! in a fresh folder, killed in the middle. What it claims at the end it counts from the evidence.
//!
//! | file | what it owns |
//! | --- | --- |
//! | `story` | what happens, in order |
//! | `folder` | the fresh folder, and the file that becomes an image |
//! | `daemon` | the daemon process |
//! | `witness` | the second client, which remembers every alert |
//! | `evidence` | what was received against what is in the log |

/// A line on stdout; whether anybody reads it does not matter to the demo.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _nobody_reads = writeln!(std::io::stdout(), $($text)*);
    }};
}

mod daemon;
mod evidence;
mod folder;
mod story;
mod witness;

use std::time::Duration;

use tokio::time::timeout;

use super::error::CliError;
use super::exit::Exit;
use folder::Folder;

/// A demo that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(58);

/// Runs the demo; whatever happens, nothing of it is left behind.
pub(super) async fn run() -> Result<Exit, CliError> {
    let folder = Folder::make()?;
    let told = tokio::select! {
        told = timeout(PATIENCE, story::tell(&folder)) => told.unwrap_or_else(|_| {
            Err(CliError::Demo("the demo took longer than a minute".to_owned()))
        }),
        signal = tokio::signal::ctrl_c() => {
            signal?;
            Err(CliError::Interrupted { hint: "nothing of the demo is left behind".to_owned() })
        }
    };
    match told {
        Ok(evidence) => {
            say!("{evidence}");
            Ok(if evidence.is_clean() {
                Exit::Done
            } else {
                Exit::Failed
            })
        }
        Err(error) => {
            let log = folder.daemon_log_tail();
            if !log.is_empty() && !matches!(error, CliError::Interrupted { .. }) {
                eprintln!("The end of the daemon's log:\n{log}");
            }
            Err(error)
        }
    }
}
