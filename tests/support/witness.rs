//! A named pipe that programs under test hold open: what they write to it says that they have come
//! that far, and its end says that none of them, nor of those that they started, is left.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Waiting longer than this means that something will never come.
const NEVER: Duration = Duration::from_secs(60);

/// The pipe, which can be met by one program after the other.
#[derive(Clone)]
pub(crate) struct Witness {
    folder: Arc<TempDir>,
}

/// The pipe that a program has opened.
pub(crate) struct Met {
    lines: BufReader<File>,
}

impl Witness {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, folder.path().join("pipe"), FileType::Fifo, mode, 0).unwrap();
        let folder = Arc::new(folder);
        Self { folder }
    }

    /// What a shell opens with `exec 3>"$path"`.
    pub(crate) fn path(&self) -> String {
        let path = self.folder.path().join("pipe");
        path.to_str().unwrap().to_owned()
    }

    /// Waits until a program has opened it.
    pub(crate) async fn met(&self) -> Met {
        let path = self.path();
        blocking(move || Met {
            lines: BufReader::new(File::open(path).unwrap()),
        })
        .await
    }
}

impl Met {
    /// Waits for the next line.
    pub(crate) async fn line(mut self) -> (String, Self) {
        blocking(move || {
            let mut line = String::new();
            self.lines.read_line(&mut line).unwrap();
            assert!(line.ends_with('\n'), "nobody is left to write: {line:?}");
            (line.trim_end().to_owned(), self)
        })
        .await
    }

    /// Waits until nobody holds it any more; returns what they wrote meanwhile.
    pub(crate) async fn end(mut self) -> String {
        blocking(move || {
            let mut rest = String::new();
            self.lines.read_to_string(&mut rest).unwrap();
            rest
        })
        .await
    }

    /// What they wrote, when nobody may hold it any more.
    pub(crate) fn ended(mut self) -> String {
        let file = self.lines.get_ref();
        let flags = fcntl_getfl(file).unwrap();
        fcntl_setfl(file, flags | OFlags::NONBLOCK).unwrap();
        let mut rest = String::new();
        match self.lines.read_to_string(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("a process is left behind, after {rest:?}")
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// The processes with this variable in their environment.
pub(crate) fn processes_with(name: &str, value: &str) -> BTreeSet<i32> {
    let wanted = format!("{name}={value}").into_bytes();
    let bears = |path: &Path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|found| found == wanted)
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| bears(path))
        .filter_map(|path| path.file_name()?.to_str()?.parse().ok())
        .collect()
}

/// Runs what may never return on a thread that nothing waits for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, received) = oneshot::channel();
    // Nobody may wait any more.
    std::thread::spawn(move || drop(done.send(work())));
    let received = timeout(NEVER, received).await;
    received.expect("it never came").unwrap()
}
