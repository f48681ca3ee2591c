"""A daemon that does what a test tells it, message by message."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import NEVER
from websockets.sync.server import ServerConnection, unix_serve

import opstead


class Request:
    """A call as it came."""

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.id = message["id"]
        self.method: str = message["method"]
        self.params: dict[str, Any] = message["params"]


class Peer:
    """The daemon's end of a connection."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def request(self, method: str) -> Request:
        """The next call, which is of this method."""
        request = Request(json.loads(self._connection.recv(timeout=NEVER)))
        assert request.method == method, request.params
        return request

    def answer(self, request: Request, result: object) -> None:
        self._send(id=request.id, result=result)

    def refuse(self, request: Request, code: int, message: str = "no") -> None:
        self._send(id=request.id, error={"code": code, "message": message})

    def refuse_unread(self) -> None:
        """As a request is that is too large: nobody knows which one it was."""
        self._send(id=None, error={"code": -32007, "message": "Request is too big"})

    def take(self, method: str) -> dict[str, Any]:
        """What the executor says next, and it is on disk."""
        request = self.request(method)
        self.answer(request, {"cursor": 1})
        return request.params

    def seat(self) -> None:
        """Gives an executor its place."""
        self.answer(self.request("executors.list"), {"executors": []})
        request = self.request("executors.attach")
        seated = {"subscription": "seat", "leaseMs": 30000, "accepted": [], "refused": []}
        self.answer(request, seated)

    def assign(self, action: str, lease: str = "7.1", **members: object) -> None:
        """Assigns something; an attempt is at operation `o`."""
        told = {"subscription": "seat", "action": action, **members}
        if action != "query":
            told = {"operationId": f"o{lease}", "lease": lease, **told}
        self._send(method="assignment", params=told)

    def end(self) -> None:
        self._connection.close()

    def _send(self, **message: object) -> None:
        self._connection.send(json.dumps({"jsonrpc": "2.0", **message}))


class Daemon:
    """One that listens on a Unix socket."""

    def __init__(self, folder: Path) -> None:
        self.socket = f"unix:{folder / 'fake.sock'}"
        self._peers: queue.Queue[ServerConnection] = queue.Queue()
        self._ended = threading.Event()
        self._server = unix_serve(self._serve, str(folder / "fake.sock"))
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def _serve(self, connection: ServerConnection) -> None:
        self._peers.put(connection)
        # It is the test's, until the test ends.
        self._ended.wait()

    def accept(self) -> Peer:
        """The next connection, whose first call is answered."""
        peer = Peer(self._peers.get(timeout=NEVER))
        peer.answer(peer.request("system.status"), {})
        return peer

    def close(self) -> None:
        self._ended.set()
        self._server.shutdown()
        self._thread.join()


@contextmanager
def seated(daemon: Daemon, executor: opstead.Executor) -> Iterator[Peer]:
    """The executor on a thread, which leaves at the end, and its connection."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            executor.run(daemon.socket)
        except BaseException as error:  # noqa: BLE001 - the test fails of it
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    peer = daemon.accept()
    try:
        yield peer
    finally:
        executor.leave()
        peer.end()
        thread.join(NEVER)
    assert errors == []
    assert not thread.is_alive()
