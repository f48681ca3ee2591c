//! `qemu-img`: what it is asked to do, and what its words mean. It works in the pool folder, by
//! paths from there, and is always told the format of what it opens: left alone it would guess, and
//! a guest can write what makes it guess wrong.

use std::io;
use std::path::Path;

use super::arguments::{Format, ImageName};
use super::error::{StorageError, during};
use super::image::Image;
use super::job::Job;
use super::pool::Pool;
use super::run::{Ended, Run};
use crate::subsystems::process::End;
use serde::Deserialize;

/// The program and where it works.
pub(super) struct QemuImg<'a> {
    pub(super) program: &'a Path,
    pub(super) guard: &'a Path,
    pub(super) pool: &'a Pool,
    pub(super) job: &'a Job,
    /// The most bytes that a copy may write in a second.
    pub(super) bytes_per_second: Option<u64>,
}

/// What a check found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Findings {
    /// Places that could not be checked.
    pub(super) check_errors: u64,
    /// Places that are wrong.
    pub(super) corruptions: u64,
    /// Clusters that are taken and not used; they cost space and nothing else.
    pub(super) leaks: u64,
}

/// A file that is to become an image: its path in the pool, and the image's name for errors.
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) name: &'a ImageName,
    pub(super) format: Format,
}

impl QemuImg<'_> {
    /// Makes an empty image.
    pub(super) fn create(&self, target: &Target<'_>, size_bytes: u64) -> Result<(), StorageError> {
        let size = size_bytes.to_string();
        let arguments = ["-q", "-f", target.format.as_str(), target.path, &size];
        self.run("create", target.name, &arguments, |_| {})
    }

    /// Makes an image that is built on another one, of the same size unless told otherwise.
    pub(super) fn create_overlay(
        &self,
        target: &Target<'_>,
        backing: &Image,
        size_bytes: Option<u64>,
    ) -> Result<(), StorageError> {
        let (backing_path, size) = (
            backing.backing_path(),
            size_bytes.map(|size| size.to_string()),
        );
        let mut arguments = vec!["-q", "-f", target.format.as_str()];
        arguments.extend(["-b", &backing_path, "-F", backing.format.as_str()]);
        arguments.push(target.path);
        arguments.extend(size.as_deref());
        self.run("create", target.name, &arguments, |_| {})
    }

    /// Copies all that a guest sees of an image, calling back with percentages.
    pub(super) fn convert(
        &self,
        source: &Image,
        target: &Target<'_>,
        progress: impl FnMut(f64),
    ) -> Result<(), StorageError> {
        let (path, rate) = (source.path(), self.rate());
        let mut arguments = vec!["-p", "-f", source.format.as_str()];
        arguments.extend(["-O", target.format.as_str()]);
        if let Some(rate) = &rate {
            // One piece at a time, for the limit does not hold for those that are on their way.
            arguments.extend(["-m", "1", "-r", rate]);
        }
        arguments.extend([&*path, target.path]);
        self.run("convert", &source.name, &arguments, progress)
    }

    /// Writes an overlay into what it is built on, and leaves it as it is, calling back with
    /// percentages.
    pub(super) fn commit(
        &self,
        overlay: &Image,
        progress: impl FnMut(f64),
    ) -> Result<(), StorageError> {
        let (path, rate) = (overlay.path(), self.rate());
        let mut arguments = vec!["-p", "-d", "-f", overlay.format.as_str()];
        if let Some(rate) = &rate {
            arguments.extend(["-r", rate]);
        }
        arguments.push(&path);
        self.run("commit", &overlay.name, &arguments, progress)
    }

    /// Makes an image larger or smaller.
    pub(super) fn resize(&self, image: &Image, size_bytes: u64) -> Result<(), StorageError> {
        let (path, size) = (image.path(), size_bytes.to_string());
        let arguments = ["-q", "--shrink", "-f", image.format.as_str(), &path, &size];
        self.run("resize", &image.name, &arguments, |_| {})
    }

    /// Looks for damage in a qcow2 file. What cannot even be opened as one is
    /// [`StorageError::ImageBroken`].
    pub(super) fn check(&self, path: &str, name: &ImageName) -> Result<Findings, StorageError> {
        let arguments = ["-f", Format::Qcow2.as_str(), "--output=json", path];
        let ended = self.start("check", &arguments, |_| {})?;
        // 0: clean, 2: corrupt, 3: leaks only. In between lies all that kept it from checking.
        if matches!(ended.end, End::Exited(0 | 2 | 3))
            && let Some(findings) = findings(&ended.output)
        {
            return Ok(findings);
        }
        Err(match failure("check", name, &ended) {
            StorageError::QemuImgFailed { output, .. } if output.contains("Could not open") => {
                StorageError::ImageBroken {
                    image: name.clone(),
                    finding: output.trim().replace("qemu-img: ", ""),
                }
            }
            other => other,
        })
    }

    /// Fails if the program is not there, for those who come to it late in their work.
    pub(super) fn require(&self, image: &ImageName) -> Result<(), StorageError> {
        self.run("--version", image, &[], |_| {})
    }

    fn rate(&self) -> Option<String> {
        self.bytes_per_second.map(|rate| rate.to_string())
    }

    /// Runs one command of it that is to succeed.
    fn run(
        &self,
        command: &'static str,
        image: &ImageName,
        arguments: &[&str],
        progress: impl FnMut(f64),
    ) -> Result<(), StorageError> {
        let ended = self.start(command, arguments, progress)?;
        match ended.end {
            End::Exited(0) => Ok(()),
            _ => Err(failure(command, image, &ended)),
        }
    }

    /// Runs one command of it to its end, whatever that is.
    fn start(
        &self,
        command: &'static str,
        arguments: &[&str],
        mut progress: impl FnMut(f64),
    ) -> Result<Ended, StorageError> {
        let arguments = [&[command], arguments].concat();
        let mut reader = ProgressReader::default();
        let run = Run {
            program: self.program,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            pool: self.pool,
            guard: self.guard,
            job: self.job,
        };
        let ended = run.until_end(|chunk| {
            if let Some(percentage) = reader.read(chunk) {
                progress(percentage);
            }
        })?;
        match ended.end {
            End::NotStarted(number) => Err(self.not_started(io::Error::from_raw_os_error(number))),
            _ => Ok(ended),
        }
    }

    fn not_started(&self, error: io::Error) -> StorageError {
        match error.kind() {
            io::ErrorKind::NotFound => StorageError::QemuImgMissing {
                program: self.program.display().to_string(),
            },
            _ => during("starting qemu-img")(error),
        }
    }
}

impl Findings {
    pub(super) fn is_broken(&self) -> bool {
        self.corruptions > 0 || self.check_errors > 0
    }
}

/// Finds the findings in what a check wrote: a JSON object among lines for people.
fn findings(output: &str) -> Option<Findings> {
    let object = output.get(output.find('{')?..=output.rfind('}')?)?;
    serde_json::from_str(object).ok()
}

/// What a command that did not succeed means.
fn failure(command: &'static str, image: &ImageName, ended: &Ended) -> StorageError {
    let lines: Vec<&str> = ended
        .output
        .split(['\r', '\n'])
        .filter(|line| !line.trim().is_empty() && percentage(line.as_bytes()).is_none())
        .collect();
    let output = lines.join("\n");
    if output.contains("No space left on device") || output.contains("Disk quota exceeded") {
        StorageError::NoSpace
    } else if output.contains("lock\nIs another process using the image") {
        StorageError::ImageInUse(image.clone())
    } else {
        let status = match ended.end {
            End::Exited(status) => format!("exit status {status}"),
            End::Killed(signal) => format!("ended by signal {signal}"),
            End::NotStarted(_) => "not started".to_owned(),
        };
        StorageError::QemuImgFailed {
            command,
            status,
            output,
        }
    }
}

/// Finds percentages in what `qemu-img -p` writes: `    (12.34/100%)`, each over the one before.
#[derive(Default)]
struct ProgressReader {
    line: Vec<u8>,
}

/// A longer line is no percentage.
const LINE_MAX_BYTES: usize = 64;

impl ProgressReader {
    /// The latest percentage that is complete with this chunk, if one is.
    fn read(&mut self, chunk: &[u8]) -> Option<f64> {
        let mut latest = None;
        for byte in chunk {
            if matches!(byte, b'\r' | b'\n') {
                latest = percentage(&self.line).or(latest);
                self.line.clear();
            } else if self.line.len() < LINE_MAX_BYTES {
                self.line.push(*byte);
            }
        }
        latest
    }
}

fn percentage(line: &[u8]) -> Option<f64> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let number = line.strip_prefix('(')?.strip_suffix("/100%)")?;
    let percentage: f64 = number.parse().ok()?;
    (0.0..=100.0).contains(&percentage).then_some(percentage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_however_the_output_is_cut() {
        let output =
            b"    (0.00/100%)\r    (12.34/100%)\rqemu-img: warning: x\n    (100.00/100%)\r\n";
        for length in 1..=output.len() {
            let mut reader = ProgressReader::default();
            let read: Vec<f64> = output
                .chunks(length)
                .filter_map(|chunk| reader.read(chunk))
                .collect();
            assert_eq!(read.last(), Some(&100.0), "{length}");
            assert!(read.is_sorted(), "{read:?}");
        }
        assert_eq!(
            ProgressReader::default().read(b"(101/100%)\r(nan/100%)\r"),
            None
        );
    }
}
