"""Daemons that are not there, do not answer, or do not know the caller."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import NEVER, Home

import opstead
from opstead import Config


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """A failed connection leaves no thread; pytest itself fails for sockets that are left open."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def url_of(listener: socket.socket) -> str:
    return f"ws://127.0.0.1:{listener.getsockname()[1]}"


def test_nobody_listens(listener: socket.socket, tmp_path: Path) -> None:
    url = url_of(listener)
    listener.close()
    with pytest.raises(opstead.ConnectError, match=rf"{url}.*refused.*is the daemon running"):
        opstead.connect(url)
    with pytest.raises(opstead.DisconnectedError, match="No such file"):
        opstead.connect(tmp_path / "opstead.sock")
    with pytest.raises(ConnectionError, match="too long"):
        opstead.connect(f"unix:/{'x' * 200}")


def test_a_listener_that_never_answers(listener: socket.socket) -> None:
    with pytest.raises(opstead.ConnectError, match=r"no answer within 0\.2 s"):
        opstead.connect(url_of(listener), config=Config(connectTimeout=0.2))


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
        b"",
    ],
)
def test_a_listener_of_another_kind(listener: socket.socket, answer: bytes) -> None:
    def serve() -> None:
        connection, _address = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(answer)

    server = threading.Thread(target=serve)
    server.start()
    with pytest.raises(opstead.ConnectError, match="cannot connect to ws://"):
        opstead.connect(url_of(listener))
    server.join()


@pytest.mark.parametrize("token", [None, "wrong"])
def test_a_wrong_token(home: Home, token: str) -> None:
    with pytest.raises(opstead.UnauthenticatedError, match=r"admin\.token") as refused:
        opstead.connect(home.url, token=token)
    assert refused.value.code == 1011


def test_the_right_token(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    token = home.tokenFile.read_text()
    with opstead.connect(home.url, token=token) as host:
        assert host.isConnected
        assert host.target == home.url
    with opstead.connect(home.url, tokenFile=home.tokenFile) as host:
        assert host.system.status().version
    monkeypatch.setenv("OPSTEAD_TOKEN_FILE", str(home.tokenFile))
    with opstead.connect(home.url) as host:
        assert host.system.status().version
    monkeypatch.setenv("OPSTEAD_TOKEN", "wrong")
    with pytest.raises(opstead.UnauthenticatedError):
        opstead.connect(home.url)
    assert token.strip() not in repr(opstead.connect.__defaults__)


def test_what_is_no_token(home: Home, tmp_path: Path) -> None:
    with pytest.raises(opstead.TokenError, match=r"cannot read the token from .*absent"):
        opstead.connect(home.url, tokenFile=tmp_path / "absent")
    for token in ("", "a b", "a\r\nHost: x", "ä"):
        with pytest.raises(opstead.TokenError, match="printable ASCII without spaces"):
            opstead.connect(home.url, token=token)
    with pytest.raises(ValueError, match="one of them"):
        opstead.connect(home.url, token="a", tokenFile="b")


@pytest.mark.parametrize(
    "target",
    [
        "",
        "unix:",
        "http://a:1",
        "wss://a:1",
        "ws://",
        "ws://a:b",
        "ws://a:1/x",
        "a b",
        "ws://a:99999",
    ],
)
def test_what_is_no_target(target: str) -> None:
    with pytest.raises(ValueError, match="expected ws://host:port, unix:/path or a path"):
        opstead.connect(target)


def test_what_is_no_configuration() -> None:
    with pytest.raises(ValueError, match="queue is 0; allowed is a number above 0"):
        Config(queue=0)


def test_calls_without_a_connection(home: Home) -> None:
    host = home.connect(callsInFlight=1)
    host.operations.register(methodName="diagnostic.wait", id="held")
    lost: list[str] = []

    def wait() -> None:
        try:
            host.call("operations.wait", ids=["held"])
        except opstead.DisconnectedError as error:
            lost.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    # No other call gets a turn from when the one that waits is in flight.
    said = ""
    while "too many calls are in flight" not in said:
        try:
            host.callWithin(0.2, "system.status")
        except opstead.TimeoutError as error:
            said = str(error)
    home.kill()
    waiting.join()
    assert "lost before the answer" in lost[0]
    with pytest.raises(opstead.DisconnectedError, match="waitForReconnect"):
        host.system.status()
    with pytest.raises(opstead.DisconnectedError, match="waitForReconnect"):
        host.waitForEvent("*", NEVER)
    assert not host.isConnected
    host.close()


def test_waiting_for_an_operation_goes_on(home: Home, host: opstead.Host) -> None:
    """Asking changes nothing, so it is asked again."""
    host.operations.register(methodName="diagnostic.wait", id="held")
    states: list[str] = []
    waiting = threading.Thread(
        target=lambda: states.append(host.waitForOperation("held", NEVER).state)
    )
    waiting.start()
    home.restart(host)
    host.operations.cancel("held")
    waiting.join()
    assert states == ["canceled"]


def test_a_daemon_that_falls_silent(home: Home) -> None:
    """Without a sign of life the connection counts as lost."""
    with home.connect(pingInterval=0.2) as host:
        home.pause()
        while host.isConnected:
            with pytest.raises((opstead.TimeoutError, opstead.DisconnectedError)):
                host.callWithin(0.2, "system.status")
        home.resume()
        version = ""
        while not version:
            host.waitForReconnect(NEVER)
            # On a busy machine it may be silent for so short a time again.
            with suppress(opstead.DisconnectedError):
                version = host.system.status().version
