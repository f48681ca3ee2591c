//! A daemon in a folder of its own, and commands that are run against it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;
use tempfile::TempDir;

/// The program, without anything from the environment of the tests.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_opstead"));
    command.stdin(Stdio::null());
    for variable in [
        "OPSTEAD_CONNECT",
        "OPSTEAD_DATA",
        "OPSTEAD_TOKEN",
        "OPSTEAD_TOKEN_FILE",
    ] {
        command.env_remove(variable);
    }
    command
}

/// A daemon, with the subsystem `diagnostic`; dead when dropped.
pub(crate) struct Daemon {
    folder: TempDir,
    process: Child,
    /// `ws://…`, as it said itself.
    pub(crate) url: String,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(
            folder.path().join("opstead.toml"),
            "[diagnostic]\nenabled = true\n",
        )
        .unwrap();
        let (process, url) = serve(folder.path());
        Self {
            folder,
            process,
            url,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Another one on the same folder.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.url) = serve(self.folder.path());
    }

    /// kill -9, and another one on the same folder.
    pub(crate) fn kill_and_start(&mut self) {
        self.kill();
        self.start_again();
    }

    /// A command that finds this daemon by its data folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command
            .args(arguments)
            .env("OPSTEAD_DATA", self.folder.path().join("data"));
        command
    }

    /// Another configuration, from its next start on.
    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.folder.path().join("opstead.toml"), text).unwrap();
    }

    /// Runs a command with a terminal of so many columns as its stdout; returns what it wrote.
    pub(crate) fn run_on_terminal(
        &self,
        arguments: &[&str],
        columns: u16,
        variables: &[(&str, &str)],
    ) -> String {
        let terminal = Terminal::open(columns);
        let mut command = self.command(arguments);
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        command.envs(variables.iter().copied());
        let mut child = command.stdout(terminal.writer()).spawn().unwrap();
        // It has a copy of the writing end, which would keep the terminal open.
        drop(command);
        let text = terminal.read_to_end();
        assert!(child.wait().unwrap().success(), "{arguments:?}: {text}");
        text
    }

    /// Runs a command with a terminal of so many columns as its stderr; returns its stdout and what it
    /// wrote to the terminal.
    pub(crate) fn run_watched(&self, arguments: &[&str], columns: u16) -> (String, String) {
        let terminal = Terminal::open(columns);
        let mut command = self.command(arguments);
        command.env("NO_COLOR", "1").env("TERM", "xterm");
        command.stdout(Stdio::piped()).stderr(terminal.writer());
        let child = command.spawn().unwrap();
        // It has a copy of the writing end, which would keep the terminal open.
        drop(command);
        let watched = terminal.read_to_end();
        let output = child.wait_with_output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), watched)
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// Runs a command that must succeed, with `--json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
        ran.document()
    }

    /// Starts a command whose output is read while it runs.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Running {
        Running::of(&mut self.command(arguments))
    }

    /// An operation that holds a claim on an image until it is canceled.
    pub(crate) fn hold(&self, id: &str, image: &str, operation: &str) {
        self.register(id, &[("image", image, operation)]);
    }

    /// An operation with these claims (type, id, operation), that lasts until it is canceled.
    pub(crate) fn register(&self, id: &str, claims: &[(&str, &str, &str)]) {
        let claim = |(kind, id, operation): &(&str, &str, &str)| serde_json::json!({"type": kind, "id": id, "operation": operation});
        let claims: Vec<Value> = claims.iter().map(claim).collect();
        self.json(&[
            "call",
            "operations.register",
            "methodName=diagnostic.wait",
            &format!("id={id}"),
            &format!("claims:={}", Value::from(claims)),
        ]);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

fn serve(folder: &Path) -> (Child, String) {
    let log = std::fs::File::create(folder.join("daemon.log")).unwrap();
    let mut process = program()
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.join("data"))
        .arg("--config")
        .arg(folder.join("opstead.toml"))
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(process.stdout.as_mut().unwrap());
    stdout.read_line(&mut line).unwrap();
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("ws://"));
    let url = url.unwrap_or_else(|| panic!("the daemon said {line:?}"));
    (process, url.to_owned())
}

/// A terminal, as a program sees it, and who reads what is written to it.
struct Terminal {
    reader: std::fs::File,
    writer: std::fs::File,
}

impl Terminal {
    fn open(columns: u16) -> Self {
        // Programs that other tests start meanwhile must not keep it open.
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let reader = openpt(flags).unwrap();
        unlockpt(&reader).unwrap();
        let writer = ioctl_tiocgptpeer(&reader, flags).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&writer, size).unwrap();
        Self {
            reader: reader.into(),
            writer: writer.into(),
        }
    }

    fn writer(&self) -> std::fs::File {
        self.writer.try_clone().unwrap()
    }

    /// Until nobody has it open for writing any more.
    fn read_to_end(self) -> String {
        let Self { mut reader, writer } = self;
        drop(writer);
        let mut bytes = Vec::new();
        // That is how Linux tells of the end: as an error, after all that was written.
        let error = reader.read_to_end(&mut bytes).unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::IO));
        String::from_utf8(bytes).unwrap()
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON document that stdout has.
    pub(crate) fn document(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The lines of stdout, without the white space that only aligns.
    pub(crate) fn lines(&self) -> Vec<String> {
        words_of(&self.stdout)
    }
}

pub(crate) fn words_of(text: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    text.lines().map(words).collect()
}

/// A command that is running; dead when dropped.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn of(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// With somebody else reading what it writes to stdout.
    pub(crate) fn into(command: &mut Command, stdout: impl Into<Stdio>) -> Self {
        command.stdout(stdout).stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    pub(crate) fn stdout(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
    }

    pub(crate) fn stderr(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stderr.take().unwrap())
            .lines()
            .map(Result::unwrap)
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }

    /// Waits for its end; what was not read of its output yet comes with it.
    pub(crate) fn end(mut self) -> Ran {
        let mut ran = Ran {
            code: 0,
            stdout: String::new(),
            stderr: String::new(),
        };
        if let Some(mut stdout) = self.0.stdout.take() {
            stdout.read_to_string(&mut ran.stdout).unwrap();
        }
        if let Some(mut stderr) = self.0.stderr.take() {
            stderr.read_to_string(&mut ran.stderr).unwrap();
        }
        ran.code = self.0.wait().unwrap().code().unwrap();
        ran
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}
