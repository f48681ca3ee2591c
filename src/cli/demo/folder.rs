//! The demo's own folder: data, configuration, the file that becomes an image. Gone when dropped.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// How fast the demo's daemon copies, so that there is something to see.
pub(super) const COPY_BYTES_PER_SECOND: u64 = 6 << 20;
/// How much data the image has.
pub(super) const IMAGE_BYTES: u64 = 32 << 20;

/// How much of the daemon's log is shown when something went wrong.
const LOG_LINES: usize = 20;

/// A folder that nobody else uses.
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it where temporary files are, for this user alone.
    pub(super) fn make() -> io::Result<Self> {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let nanoseconds = since_epoch.unwrap_or_default().subsec_nanos();
        let name = format!("opstead-demo-{}-{nanoseconds}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self { path };
        fs::create_dir(folder.import_folder())?;
        fs::write(folder.config(), folder.config_text())?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn config(&self) -> PathBuf {
        self.path.join("opstead.toml")
    }

    pub(super) fn daemon_log(&self) -> PathBuf {
        self.path.join("daemon.log")
    }

    /// The last lines that the daemon logged.
    pub(super) fn daemon_log_tail(&self) -> String {
        let log = fs::read(self.daemon_log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// Writes the file to import: bytes that look random, so that nothing can be left out.
    pub(super) fn write_disk(&self) -> io::Result<PathBuf> {
        let path = self.import_folder().join("disk.raw");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..IMAGE_BYTES / 8 {
            // xorshift64
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            file.write_all(&random.to_le_bytes())?;
        }
        file.flush()?;
        Ok(path)
    }

    fn import_folder(&self) -> PathBuf {
        self.path.join("import")
    }

    fn config_text(&self) -> String {
        // A string of TOML is written like one of JSON, where no control characters are in it.
        let import = serde_json::Value::from(self.import_folder().to_string_lossy());
        format!(
            "[storage]\nimport_folders = [{import}]\ncopy_bytes_per_second = {COPY_BYTES_PER_SECOND}\n"
        )
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("opstead: {} is left behind: {error}", self.path.display());
        }
    }
}
