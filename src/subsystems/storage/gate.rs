//! Reading beside resizing. By the claims a read may begin while an update runs, and a raw image
//! bears that; a qcow2 image does not, for its tables are rewritten. So within the subsystem whoever
//! reads an image waits for the moment that resizing takes, and resizing for those who read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::arguments::ImageName;
use super::error::StorageError;
use super::job::Job;

/// A lock for each image that somebody works on.
#[derive(Default)]
pub(super) struct Gate {
    locks: Mutex<BTreeMap<ImageName, Weak<RwLock<()>>>>,
}

impl Gate {
    /// Keeps an image from being resized until the answer is dropped.
    pub(super) fn read(
        &self,
        image: &ImageName,
        job: &Job,
    ) -> Result<OwnedRwLockReadGuard<()>, StorageError> {
        job.wait_for(self.lock(image).read_owned())
    }

    /// Keeps an image from being read until the answer is dropped.
    pub(super) fn resize(
        &self,
        image: &ImageName,
        job: &Job,
    ) -> Result<OwnedRwLockWriteGuard<()>, StorageError> {
        job.wait_for(self.lock(image).write_owned())
    }

    fn lock(&self, image: &ImageName) -> Arc<RwLock<()>> {
        let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| lock.strong_count() > 0);
        let known = locks.get(image).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let lock = Arc::default();
            locks.insert(image.clone(), Arc::downgrade(&lock));
            lock
        })
    }
}
