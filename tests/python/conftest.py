"""The real daemon, for tests of the client."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

import pytest

import opstead

# Waiting longer than this means that something will never come.
NEVER = 60.0


@pytest.fixture(autouse=True)
def no_test_waits_forever() -> Iterator[None]:
    """A test in which something never comes fails, instead of holding everything up."""

    def give_up(_number: int, _frame: object) -> None:
        raise AssertionError("something never came")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(3 * int(NEVER))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """Also where the tests run in the background, which a shell has them ignore it for."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Home:
    """Where a daemon lives: it survives the daemons that run on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.socket = f"unix:{self.data / 'opstead.sock'}"
        self.tokenFile = self.data / "admin.token"
        self.url = ""
        self._process: Optional[subprocess.Popen[str]] = None
        self.configure("")

    def configure(self, lines: str) -> None:
        """Changes the configuration for the next start."""
        (self.folder / "config.toml").write_text(f"[diagnostic]\nenabled = true\n{lines}")

    def start(self) -> Home:
        """Starts a daemon and waits until it is ready."""
        command = [os.environ["OPSTEAD_PROGRAM"], "serve", "--listen", "127.0.0.1:0"]
        command += ["--data", str(self.data), "--config", str(self.folder / "config.toml")]
        with (self.folder / "stderr").open("a") as errors:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("opstead is ready: "), (self.folder / "stderr").read_text()
        self.url = line.split()[3]
        return self

    def kill(self) -> None:
        """As a power switch would: without any warning."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def lose(self, host: opstead.Host) -> None:
        """Kills the daemon, and returns when the host has noticed."""
        self.kill()
        with pytest.raises(opstead.DisconnectedError):
            while True:
                host.system.status()

    def restart(self, host: opstead.Host) -> None:
        """Kills the daemon and starts another; returns when the host is connected again."""
        self.lose(host)
        self.start()
        host.waitForReconnect(NEVER)

    def pause(self) -> None:
        """Whatever is sent to it then stays unread."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def connect(self, **config: float) -> opstead.Host:
        """On the Unix socket, which is the same after a restart."""
        settings = {"backoffMost": 0.2, **config}
        return opstead.connect(self.socket, config=opstead.Config(**settings))  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A daemon that runs."""
    home = Home(tmp_path)
    try:
        yield home.start()
    finally:
        home.kill()


@pytest.fixture
def host(home: Home) -> Iterator[opstead.Host]:
    """A host connected to it."""
    with home.connect() as host:
        yield host
