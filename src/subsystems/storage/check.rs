//! Looking for damage in an image. What is found is the result of the check and not its failure: a
//! check fails only when it could not be made. It stays on record, see `damage`, until another check
//! finds nothing.

use opstead_core::Json;
use serde::Serialize;

use super::arguments::{Format, ImageArguments};
use super::chain;
use super::damage::Damage;
use super::error::StorageError;
use super::image::Image;
use super::in_use::check_not_written;
use super::job::{ImageState, Job, Report};
use super::operations::Workshop;
use super::qemu::Findings;

const DESCRIPTION: &str = "Verifying";

/// The result of `checkImage`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CheckResult<'a> {
    image: &'a str,
    format: Format,
    image_state: ImageState,
    /// Nothing for a raw image, in which there is nothing to check.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    /// What else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    finding: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    check_errors: u64,
    corruptions: u64,
    leaks: u64,
}

impl Workshop {
    /// Carries out `checkImage`.
    pub(super) fn check_image(
        &self,
        job: &Job,
        arguments: &ImageArguments,
    ) -> Result<Json, StorageError> {
        let _resized_by_nobody = self.gate.read(&arguments.image, job)?;
        let image = self.pool.image(&arguments.image)?;
        check_not_written(&image)?;
        let before = chain::state(&self.pool, &image)?;
        job.report(DESCRIPTION, Report::of_unknown_length(before));
        let found = match image.format {
            Format::Raw => Ok(None),
            Format::Qcow2 => self.find(job, &image).map(Some),
        };
        let (counts, finding) = match found {
            Ok(findings) => (findings, None),
            Err(StorageError::ImageBroken { finding, .. }) => (None, Some(finding)),
            Err(error) => return Err(error),
        };
        let corrupt = finding.is_some() || counts.is_some_and(|findings| findings.is_broken());
        if image.format == Format::Qcow2 {
            let damage = Damage::of(&self.pool, &image.name)?;
            Damage { corrupt, ..damage }.record(&self.pool, &image.name)?;
        }
        let image_state = chain::state(&self.pool, &image)?;
        job.report(DESCRIPTION, Report::finished(image_state));
        let result = CheckResult {
            image: image.name.as_str(),
            format: image.format,
            image_state,
            counts: counts.map(Counts::from),
            finding,
        };
        Ok(Json::from_value(&result).expect("the result is JSON"))
    }

    fn find(&self, job: &Job, image: &Image) -> Result<Findings, StorageError> {
        image.check_header()?;
        chain::beneath(&self.pool, image)?;
        self.qemu_img(job).check(&image.path(), &image.name)
    }
}

impl From<Findings> for Counts {
    fn from(findings: Findings) -> Self {
        Self {
            check_errors: findings.check_errors,
            corruptions: findings.corruptions,
            leaks: findings.leaks,
        }
    }
}
