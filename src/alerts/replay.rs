//! Reading blocks back from the journal: a bounded number of reads at a time, away from the async
//! threads, and decoded blocks kept for a while, because those who resume often resume together.

use std::collections::{BTreeMap, VecDeque};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard};

use opstead_core::Cursor;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::Closed;
use super::tail::{LogBlock, take_bytes};
use crate::journal::{ReadError, Reader};

/// The way back into the log.
pub(super) struct Replay {
    reader: Arc<dyn Reader>,
    permits: Arc<Semaphore>,
    page_bytes: usize,
    cache: Mutex<Cache>,
}

impl Replay {
    pub(super) fn new(
        reader: Arc<dyn Reader>,
        concurrent: usize,
        page_bytes: usize,
        cache_bytes: usize,
    ) -> Self {
        Self {
            reader,
            permits: Arc::new(Semaphore::new(concurrent)),
            page_bytes,
            cache: Mutex::new(Cache {
                most_bytes: cache_bytes,
                ..Cache::default()
            }),
        }
    }

    pub(super) fn reader(&self) -> &dyn Reader {
        &*self.reader
    }

    /// The next few blocks with events after a place that is before the head.
    pub(super) async fn after(
        self: &Arc<Self>,
        place: Cursor,
    ) -> Result<Vec<Arc<LogBlock>>, Closed> {
        if let Some(blocks) = self.cached(place) {
            return Ok(blocks);
        }
        let permit = self.permits.clone().acquire_owned().await;
        let replay = self.clone();
        let read = spawn_blocking(move || {
            // Held to the end of the read, also when nobody waits for it any more.
            let _permit = permit.expect("the semaphore is never closed");
            replay.load(place)
        });
        match read.await {
            Ok(Ok(blocks)) => Ok(blocks),
            Ok(Err(ReadError::Trimmed { oldest })) => Err(Closed::Expired {
                cursor: place,
                oldest,
            }),
            Ok(Err(error)) => Err(Closed::Failed(error)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(Closed::Stopping),
            },
        }
    }

    fn load(&self, place: Cursor) -> Result<Vec<Arc<LogBlock>>, ReadError> {
        // Somebody else may have read it while this one waited for its turn.
        if let Some(blocks) = self.cached(place) {
            return Ok(blocks);
        }
        let blocks = self.reader.read(place, self.page_bytes)?;
        if blocks.is_empty() {
            return Err(ReadError::Damaged {
                at: place + 1,
                what: "the log ends before its head".to_owned(),
            });
        }
        let mut cache = self.lock();
        Ok(blocks
            .into_iter()
            .map(|block| cache.keep(Arc::new(LogBlock::new(block))))
            .collect())
    }

    fn cached(&self, place: Cursor) -> Option<Vec<Arc<LogBlock>>> {
        let blocks = self.lock().after(place, self.page_bytes);
        (!blocks.is_empty()).then_some(blocks)
    }

    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().expect("nothing panics under this lock")
    }
}

/// Blocks that were read, the latest ones.
#[derive(Default)]
struct Cache {
    /// By first cursor.
    blocks: BTreeMap<Cursor, Arc<LogBlock>>,
    /// The same, in the order in which they came.
    order: VecDeque<Cursor>,
    bytes: usize,
    most_bytes: usize,
}

impl Cache {
    /// Keeps a block and returns the one to use: if it is here already, the one that others have.
    fn keep(&mut self, block: Arc<LogBlock>) -> Arc<LogBlock> {
        if let Some(known) = self.blocks.get(&block.first()) {
            return known.clone();
        }
        self.bytes += block.bytes();
        self.order.push_back(block.first());
        self.blocks.insert(block.first(), block.clone());
        while self.bytes > self.most_bytes {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            let removed = self.blocks.remove(&oldest);
            self.bytes -= removed.map_or(0, |block| block.bytes());
        }
        block
    }

    /// Blocks with events after a place, without gaps.
    fn after(&self, place: Cursor, bytes: usize) -> Vec<Arc<LogBlock>> {
        let mut next = place + 1;
        let Some((from, _)) = self.blocks.range(..=next).next_back() else {
            return Vec::new();
        };
        let joined = self.blocks.range(from..).map_while(|(_, block)| {
            let follows = block.first() <= next && next <= block.last();
            next = block.last() + 1;
            follows.then_some(block)
        });
        take_bytes(joined, bytes)
    }
}
