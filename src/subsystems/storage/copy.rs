//! Copying the data of one file into another, empty one: holes stay holes, the kernel moves the
//! bytes where it can, and between two chunks the copy can be stopped, slowed and reported on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, copy_file_range, seek};
use rustix::io::Errno;

use super::error::{StorageError, during};
use super::job::{Bytes, Job};
use super::throttle::Throttle;

/// The most to copy between two looks at whether to go on.
const CHUNK_BYTES: u64 = 4 << 20;
/// The buffer when the kernel cannot copy by itself.
const BUFFER_BYTES: u64 = 1 << 20;
/// How much may wait in memory for the disk. It keeps the last sync short, and the progress honest.
const UNSYNCED_MAX_BYTES: u64 = 256 << 20;

/// One copy.
pub(super) struct Copy<'a> {
    pub(super) source: &'a File,
    /// Already of that size, and nothing but a hole.
    pub(super) target: &'a File,
    /// How much of the source to copy, holes included.
    pub(super) size_bytes: u64,
    pub(super) throttle: Option<&'a Throttle>,
    pub(super) job: &'a Job,
}

/// How bytes get from file to file.
enum Mover {
    /// Within the kernel; file systems that can share blocks do.
    Kernel,
    /// Through memory.
    Buffer(Vec<u8>),
}

impl Copy<'_> {
    /// Copies everything, calling `progress` before the first chunk and after each. Returns what
    /// was copied. The target is not synced yet.
    pub(super) fn run(&self, mut progress: impl FnMut(Bytes)) -> Result<Bytes, StorageError> {
        let mut bytes = Bytes {
            done: 0,
            total: self.count()?,
        };
        progress(bytes);
        let mut mover = Mover::Kernel;
        let mut unsynced = 0;
        for range in DataRanges::new(self.source, self.size_bytes) {
            let (mut at, end) = range.map_err(during("reading the source"))?;
            while at < end {
                let length = self.wait_for_turn(end - at)?;
                mover.copy(self.source, self.target, at, length)?;
                at += length;
                unsynced += length;
                if unsynced >= UNSYNCED_MAX_BYTES {
                    self.target
                        .sync_data()
                        .map_err(during("writing the image"))?;
                    unsynced = 0;
                }
                bytes.done += length;
                // A file that is imported may grow new data under our hands.
                bytes.total = bytes.total.max(bytes.done);
                progress(bytes);
            }
        }
        // For the same reason there may have been less than was counted.
        bytes.total = bytes.done;
        Ok(bytes)
    }

    /// How many bytes of data there are.
    fn count(&self) -> Result<u64, StorageError> {
        let mut total = 0;
        for range in DataRanges::new(self.source, self.size_bytes) {
            self.job.check()?;
            let (start, end) = range.map_err(during("reading the source"))?;
            total += end - start;
        }
        Ok(total)
    }

    /// Waits until the next chunk may be copied; returns its length.
    fn wait_for_turn(&self, left: u64) -> Result<u64, StorageError> {
        self.job.check()?;
        let length = left.min(CHUNK_BYTES);
        let Some(throttle) = self.throttle else {
            return Ok(length);
        };
        let length = length.min(throttle.turn_bytes());
        self.job.wait_until(throttle.take_turn(length))?;
        Ok(length)
    }
}

impl Mover {
    /// Copies a range to the same place in the target.
    fn copy(
        &mut self,
        source: &File,
        target: &File,
        start: u64,
        length: u64,
    ) -> Result<(), StorageError> {
        let (mut at, end) = (start, start + length);
        while at < end {
            at += match self {
                Self::Kernel => match copy_within_kernel(source, target, at, end - at) {
                    // Some file systems answer 0 for what they cannot do; if it was the end of the
                    // file, reading says so.
                    Ok(0)
                    | Err(
                        Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM,
                    ) => {
                        *self = Self::Buffer(vec![0; BUFFER_BYTES as usize]);
                        0
                    }
                    other => other.map_err(during("copying the data"))?,
                },
                Self::Buffer(buffer) => {
                    let part = (end - at).min(BUFFER_BYTES) as usize;
                    copy_through(&mut buffer[..part], source, target, at)?
                }
            };
        }
        Ok(())
    }
}

fn copy_within_kernel(source: &File, target: &File, at: u64, length: u64) -> Result<u64, Errno> {
    let (mut from, mut to) = (at, at);
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    loop {
        match copy_file_range(source, Some(&mut from), target, Some(&mut to), length) {
            Err(Errno::INTR) => {}
            other => return other.map(|copied| copied as u64),
        }
    }
}

fn copy_through(
    buffer: &mut [u8],
    source: &File,
    target: &File,
    at: u64,
) -> Result<u64, StorageError> {
    let read = match source.read_at(buffer, at) {
        Ok(0) => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "it has become shorter",
        )),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
        other => other,
    };
    let read = read.map_err(during("reading the source"))?;
    target
        .write_all_at(&buffer[..read], at)
        .map_err(during("writing the image"))?;
    Ok(read as u64)
}

/// The parts of a file that hold data, as (start, end), in order.
struct DataRanges<'a> {
    file: &'a File,
    at: u64,
    size_bytes: u64,
}

impl<'a> DataRanges<'a> {
    fn new(file: &'a File, size_bytes: u64) -> Self {
        Self {
            file,
            at: 0,
            size_bytes,
        }
    }

    fn next_range(&self) -> Result<Option<(u64, u64)>, Errno> {
        if self.at >= self.size_bytes {
            return Ok(None);
        }
        let start = match seek(self.file, SeekFrom::Data(self.at)) {
            Ok(start) if start < self.size_bytes => start,
            Ok(_) | Err(Errno::NXIO) => return Ok(None),
            // A file system that knows no holes: all is data.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((self.at, self.size_bytes))),
            Err(error) => return Err(error),
        };
        let end = seek(self.file, SeekFrom::Hole(start))?;
        Ok(Some((start, end.min(self.size_bytes))))
    }
}

impl Iterator for DataRanges<'_> {
    type Item = Result<(u64, u64), Errno>;

    fn next(&mut self) -> Option<Self::Item> {
        let range = self.next_range().transpose()?;
        // After an error nothing more comes.
        self.at = range.map_or(self.size_bytes, |(_, end)| end);
        Some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The way through memory is taken only where the kernel refuses, so it is tried by itself.
    #[test]
    fn the_buffer_copies_what_the_kernel_would() {
        let source = tempfile::tempfile().expect("source");
        let target = tempfile::tempfile().expect("target");
        let content: Vec<u8> = (0..3 * BUFFER_BYTES + 17)
            .map(|at| (at % 251) as u8)
            .collect();
        source.write_all_at(&content, 0).expect("write");
        let mut mover = Mover::Buffer(vec![0; BUFFER_BYTES as usize]);
        mover
            .copy(&source, &target, 5, content.len() as u64 - 5)
            .expect("copy");
        let mut copied = vec![0; content.len()];
        target.read_exact_at(&mut copied, 0).expect("read");
        assert_eq!(copied[5..], content[5..]);
        assert_eq!(copied[..5], [0; 5]);
    }

    #[test]
    fn a_source_that_became_shorter_is_an_error() {
        let source = tempfile::tempfile().expect("source");
        let target = tempfile::tempfile().expect("target");
        source.write_all_at(&[1; 100], 0).expect("write");
        let outcome = Mover::Kernel.copy(&source, &target, 0, 200);
        assert!(
            matches!(outcome, Err(StorageError::Io { .. })),
            "{outcome:?}"
        );
    }
}
