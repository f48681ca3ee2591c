//! `flush`: one 4 KiB append and `fdatasync` on the daemon's disk, the least that durability costs.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 4096;

/// So many of them, one after another; how long each took, in ascending order.
pub(crate) fn run(folder: &Path, count: usize) -> anyhow::Result<Vec<Duration>> {
    let path = folder.join("flush");
    let mut file = File::create(&path)?;
    let block = [0x5A; BLOCK_BYTES];
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        latencies.push(start.elapsed());
    }
    std::fs::remove_file(path)?;
    latencies.sort_unstable();
    Ok(latencies)
}
