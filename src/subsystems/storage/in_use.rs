//! Whether another program has an image open, as a running guest has. QEMU says so by locks on bytes
//! of the file: one for each thing that it does with the image, one for each that nobody else may do.
//! They are only looked at. `qemu-img` heeds them by itself, but not before it has begun, and what
//! the system is asked for, as to delete a file, heeds none.
//!
//! Several may read the same image, we among them, so to read one it matters only whether somebody
//! writes. What is not QEMU is seen if it locks the file, or these bytes of it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::error::{StorageError, during};
use super::image::Image;

/// Bytes of a file, as (first, how many); 0 is all of them.
type Bytes = (libc::off_t, libc::off_t);

const ALL: Bytes = (0, 0);
/// Locked by whoever may write, and by whoever may change the size.
const WRITES: Bytes = (101, 1);
const RESIZES: Bytes = (103, 1);
/// Locked by whoever wants nobody else to read.
const READS_ALONE: Bytes = (200, 1);

/// Refuses to change an image that anybody has open.
pub(super) fn check_not_open(image: &Image) -> Result<(), StorageError> {
    check(image, &[ALL])
}

/// Refuses to read an image that anybody may change meanwhile.
pub(super) fn check_not_written(image: &Image) -> Result<(), StorageError> {
    check(image, &[WRITES, RESIZES, READS_ALONE])
}

fn check(image: &Image, places: &[Bytes]) -> Result<(), StorageError> {
    for bytes in places {
        let locked = is_locked(&image.file, *bytes);
        if locked.map_err(during("looking for who has the image open"))? {
            return Err(StorageError::ImageInUse(image.name.clone()));
        }
    }
    Ok(())
}

/// Whether anybody has a lock on any of these bytes. `rustix` has the same call, which takes the
/// process that holds the lock for a valid one; for these locks the system tells none.
#[expect(unsafe_code, reason = "no library of ours has a safe way to ask")]
fn is_locked(file: &File, (first, count): Bytes) -> io::Result<bool> {
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: first,
        l_len: count,
        l_pid: 0,
    };
    // SAFETY: the file is open, and the system writes nothing but this one lock.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}
