//! Recovery: the newest checkpoint, and the blocks after it.

use opstead_core::{Cursor, State};
use thiserror::Error;

use crate::journal::{ReadError, Reader};

/// How much of the log is read at a time.
const CHUNK_BYTES: usize = 8 << 20;

/// Why the state could not be recovered.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] ReadError),
    /// Events between the checkpoint and the log are missing.
    #[error("the log goes on after cursor {log}, but the checkpoint ends at {checkpoint}")]
    Gap {
        /// Where the checkpoint ends.
        checkpoint: Cursor,
        /// Where the log goes on.
        log: Cursor,
    },
    /// The log ends before the checkpoint.
    #[error("the checkpoint ends at cursor {checkpoint}, but the log at {log}")]
    Short {
        /// Where the checkpoint ends.
        checkpoint: Cursor,
        /// Where the log ends.
        log: Cursor,
    },
}

/// Makes the state that the journal leads to.
pub fn recover(reader: &dyn Reader) -> Result<State, RecoveryError> {
    let mut state = State::new();
    if let Some(checkpoint) = reader.checkpoint()? {
        for record in checkpoint.records {
            state.restore(record?);
        }
    }
    let log = reader.head();
    if state.head() > log {
        let checkpoint = state.head();
        return Err(RecoveryError::Short { checkpoint, log });
    }
    while state.head() < log {
        let before = state.head();
        for block in reader.read(before, CHUNK_BYTES)? {
            if block.first > state.head() + 1 {
                return Err(RecoveryError::Gap {
                    checkpoint: state.head(),
                    log: block.first - 1,
                });
            }
            for (cursor, event) in block.events() {
                if cursor > state.head() {
                    state.apply(event);
                }
            }
        }
        assert!(state.head() > before, "a log has blocks up to its head");
    }
    Ok(state)
}
