"""An executor that runs beside a test, and what may lie between it and its daemon."""

from __future__ import annotations

import logging
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Optional

from conftest import NEVER

import opstead

LOG = logging.getLogger("opstead.executor")


class Attached(logging.Handler):
    """An executor on a thread."""

    def __init__(self, executor: opstead.Executor, target: str) -> None:
        super().__init__()
        self.executor = executor
        self.error: Optional[BaseException] = None
        self._place = f"attached to {target} as {executor.name}"
        self._said: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(target,), daemon=True)
        LOG.setLevel(logging.INFO)
        LOG.addHandler(self)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        if self._place in record.getMessage():
            self._said.put(record.getMessage())

    def again(self) -> None:
        """Waits until it has attached once more."""
        assert self._said.get(timeout=NEVER).startswith("attached"), self.error

    def away(self) -> None:
        """Waits until it has seen that another has its place."""
        assert self._said.get(timeout=NEVER).startswith("another")

    def back(self) -> None:
        """Waits until it has that place again."""
        while not self._said.get(timeout=NEVER).startswith("attached"):
            pass

    def _run(self, target: str) -> None:
        try:
            self.executor.run(target, config=opstead.Config(backoff=0.01, backoffMost=0.1))
        except BaseException as error:  # noqa: BLE001 - a test looks at it
            self.error = error

    def join(self) -> None:
        """Waits until it has ended by itself."""
        self._thread.join(NEVER)
        LOG.removeHandler(self)
        assert not self._thread.is_alive()

    def end(self) -> None:
        self.executor.leave()
        self.join()


@contextmanager
def attached(executor: opstead.Executor, target: str) -> Iterator[Attached]:
    """It is attached; it leaves at the end."""
    running = Attached(executor, target)
    try:
        running.again()
        yield running
    finally:
        running.end()
    if running.error is not None:
        raise running.error


class Proxy:
    """Between an executor and its daemon, on a Unix socket of its own. It can keep answers back
    and cut the connection.
    """

    def __init__(self, folder: Path, daemon: Path) -> None:
        self.socket = f"unix:{folder / 'proxy.sock'}"
        self._daemon = str(daemon)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "proxy.sock"))
        self._listener.listen()
        self._flows = threading.Event()
        self._flows.set()
        self._lock = threading.Lock()
        self._is_open = True
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def hold(self) -> None:
        """From here on nothing reaches the executor."""
        self._flows.clear()

    def cut(self) -> None:
        """Ends the connection; what was held is lost. New ones end at once, until `mend`."""
        with self._lock:
            self._is_open = False
            for end in self._ends:
                _shut(end)
        self._flows.set()

    def mend(self) -> None:
        with self._lock:
            self._is_open = True

    def close(self) -> None:
        _shut(self._listener)
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in [self._listener, *self._ends]:
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _address = self._listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            with self._lock:
                self._ends += [near, far]
                if not self._is_open or far.connect_ex(self._daemon) != 0:
                    _shut(near)
                    continue
                for source, sink in ((near, far), (far, near)):
                    pump = threading.Thread(
                        target=self._pump, args=(source, sink, sink is near), daemon=True
                    )
                    self._threads.append(pump)
                    pump.start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer:
                    self._flows.wait()
                sink.sendall(data)
        for end in (source, sink):
            _shut(end)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
