//! Merging an overlay into what it is built on.
//!
//! `qemu-img commit` writes into the backing image in place, so this is the one thing here that a
//! crash can leave half done. What is wrong with the backing image is on record from before the
//! first byte until after the last one, see `damage`. A merge that was cut short is not taken up
//! again behind the operator's back: its attempt ends with an error that says how the images stand,
//! and only who asked for further attempts gets another. Merging again is safe however often and for
//! whatever reason it was cut short, for the overlay is only read, and what is written is the same
//! each time.

use opstead_core::Json;

use super::arguments::{Format, MergeArguments};
use super::chain::{self, Use, check_no_dependants, check_use};
use super::damage::{Damage, Merge};
use super::error::{StorageError, during};
use super::image::Image;
use super::in_use::check_not_open;
use super::job::{Bytes, ImageState, Job, Report};
use super::operations::{Workshop, result};

const DESCRIPTION: &str = "Merging";

/// The images of a merge, both there.
struct Pair {
    overlay: Image,
    backing: Image,
}

impl Workshop {
    /// Carries out `mergeImage`.
    pub(super) fn merge_image(
        &self,
        job: &Job,
        arguments: &MergeArguments,
    ) -> Result<Json, StorageError> {
        let backing = self.pool.image(&arguments.backing_image)?;
        let overlay = match self.pool.image(&arguments.image) {
            Ok(overlay) => overlay,
            Err(StorageError::ImageNotFound(_)) if job.is_repeated() => {
                // Most likely the attempt before was cut short when all was done.
                check_use(&self.pool, &backing, Use::Change)?;
                return done(job, &backing);
            }
            Err(error) => return Err(error),
        };
        let pair = Pair { overlay, backing };
        let damage = self.check_pair(&pair)?;
        let is_untold = |merge: &Merge| merge.operation_id == job.operation_id() && !merge.is_told;
        if job.is_repeated() && damage.merge.as_ref().is_some_and(is_untold) {
            let cause = "the daemon ended meanwhile".to_owned();
            return Err(self.unfinished(job, &pair, cause)?);
        }
        check_not_open(&pair.overlay)?;
        check_not_open(&pair.backing)?;
        let size_bytes = pair.overlay.size_bytes()?;
        if size_bytes > pair.backing.size_bytes()? {
            // By itself, so that nothing is half written where it cannot grow.
            self.set_size(job, &pair.backing, size_bytes)?;
        }
        self.commit(job, &pair, damage)?;
        self.pool.delete(&pair.overlay)?;
        done(job, &pair.backing)
    }

    /// Refuses images that do not belong together, or on which others depend. Returns what is wrong
    /// with the backing image, which is nothing but an earlier merge of the same overlay.
    fn check_pair(&self, Pair { overlay, backing }: &Pair) -> Result<Damage, StorageError> {
        if overlay.backing()? != Some((backing.format, backing.name.clone())) {
            return Err(StorageError::NotTheBackingImage {
                image: overlay.name.clone(),
                backing: backing.name.clone(),
            });
        }
        check_no_dependants(&self.pool, overlay)?;
        let mut dependants = chain::dependants(&self.pool, backing)?;
        dependants.retain(|name| *name != overlay.name);
        if !dependants.is_empty() {
            return Err(StorageError::ImageHasDependants {
                image: backing.name.clone(),
                dependants,
            });
        }
        check_use(&self.pool, overlay, Use::Read)?;
        Damage::of(&self.pool, &backing.name)
    }

    /// Writes the overlay into the backing image. When this returns, the latter is whole and on
    /// disk, and nothing is wrong with it.
    fn commit(&self, job: &Job, pair: &Pair, before: Damage) -> Result<(), StorageError> {
        let Pair { overlay, backing } = pair;
        let began = Damage {
            merge: Some(Merge {
                overlay: overlay.name.clone(),
                operation_id: job.operation_id().to_owned(),
                is_told: false,
            }),
            ..before
        };
        began.record(&self.pool, &backing.name)?;
        let merging = self.pool.begin_merging(&backing.name);
        job.report(DESCRIPTION, Report::begun(ImageState::Merging));
        let outcome = self.write(job, pair);
        drop(merging);
        match outcome {
            Ok(()) => Damage::default().record(&self.pool, &backing.name),
            // The daemon is ending, and says nothing more.
            Err(StorageError::Canceled) => Err(StorageError::Canceled),
            // Nothing was written.
            Err(error @ (StorageError::ImageInUse(_) | StorageError::QemuImgMissing { .. })) => {
                before.record(&self.pool, &backing.name)?;
                Err(error)
            }
            Err(error) => Err(self.unfinished(job, pair, error.to_string())?),
        }
    }

    fn write(&self, job: &Job, Pair { overlay, backing }: &Pair) -> Result<(), StorageError> {
        let total = overlay.allocated_bytes()?;
        let mut charged = 0;
        self.qemu_img(job).commit(overlay, |percentage| {
            let bytes = Bytes::part(percentage, total);
            self.charge(bytes.done.saturating_sub(charged));
            charged = charged.max(bytes.done);
            job.report(
                DESCRIPTION,
                Report {
                    image_state: Some(ImageState::Merging),
                    ..Report::copied(bytes)
                },
            );
        })?;
        let synced = backing.file.sync_all();
        synced.map_err(during("putting the image on disk"))
    }

    /// Finds out how the images stand after a merge that was cut short.
    fn unfinished(
        &self,
        job: &Job,
        pair: &Pair,
        cause: String,
    ) -> Result<StorageError, StorageError> {
        let mut image_state = ImageState::Degraded;
        for image in [&pair.overlay, &pair.backing] {
            if self.is_corrupt(job, image)? {
                image_state = ImageState::Broken;
            }
        }
        let mut damage = Damage::of(&self.pool, &pair.backing.name)?;
        damage.corrupt |= image_state == ImageState::Broken;
        if let Some(merge) = &mut damage.merge {
            merge.is_told = true;
        }
        match damage.record(&self.pool, &pair.backing.name) {
            // The disk may be full; then the next attempt tells it once more.
            Err(_) if !damage.corrupt => {}
            recorded => recorded?,
        }
        Ok(StorageError::MergeUnfinished {
            image: pair.overlay.name.clone(),
            backing: pair.backing.name.clone(),
            image_state,
            cause,
        })
    }

    /// Whether a check finds corruption; not, if none can be made.
    fn is_corrupt(&self, job: &Job, image: &Image) -> Result<bool, StorageError> {
        if image.format == Format::Raw {
            return Ok(false);
        }
        match self.qemu_img(job).check(&image.path(), &image.name) {
            Ok(findings) => Ok(findings.is_broken()),
            Err(StorageError::ImageBroken { .. }) => Ok(true),
            Err(StorageError::Canceled) => Err(StorageError::Canceled),
            Err(_) => Ok(false),
        }
    }
}

fn done(job: &Job, backing: &Image) -> Result<Json, StorageError> {
    job.report(DESCRIPTION, Report::finished(ImageState::Ok));
    Ok(result(&backing.name, Some(backing.size_bytes()?)))
}
