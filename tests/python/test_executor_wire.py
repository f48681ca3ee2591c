"""Executors before a daemon that says what the real one says seldom, or not yet."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import NEVER
from fake import Daemon, Peer, seated

import opstead


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    yield daemon
    daemon.close()


@pytest.fixture
def executor() -> opstead.Executor:
    executor = opstead.Executor("test", capacity=4)
    executor.query("t.query")(lambda: None)
    return executor


class Gate:
    """What a coroutine waits for and a test opens."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    async def wait(self) -> None:
        self.reached.set()
        await self._event.wait()

    def open(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)


def heard(peer: Peer) -> None:
    """Waits until the executor has taken all that was assigned so far."""
    peer.assign("query", queryId="1", methodName="t.query", version=1, kwargs={})
    peer.take("executors.answer")


def test_clean_up_is_not_cut_short_by_further_cancels(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    gates: list[Gate] = []
    begun, told, diary = threading.Event(), threading.Event(), []

    @executor.method("t.cleansUp", cancelable=True)
    async def cleans_up(task: opstead.aio.Task) -> None:
        gates.append(Gate())
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            told.set()
            await gates[0].wait()
            diary.append("cleaned up")

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", methodName="t.cleansUp", version=1, kwargs={})
        assert begun.wait(NEVER)
        peer.assign("cancel")
        assert told.wait(NEVER)
        assert gates[0].reached.wait(NEVER)
        # It is told again: when a time-out follows, or the connection was lost meanwhile.
        peer.assign("cancel")
        heard(peer)
        assert diary == []
        gates[0].open()
        assert peer.take("executors.canceled") == {"lease": "7.1"}
    assert diary == ["cleaned up"]


def test_leaving_lets_a_coroutine_clean_up(daemon: Daemon, executor: opstead.Executor) -> None:
    begun, diary = threading.Event(), []

    @executor.method("t.cleansUp")
    async def cleans_up(task: opstead.aio.Task) -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            diary.append("cleaned up")

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", methodName="t.cleansUp", version=1, kwargs={})
        assert begun.wait(NEVER)
    assert diary == ["cleaned up"]


def test_who_learns_by_a_refusal_that_it_is_canceled_is_not_told_again(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    gates: list[Gate] = []
    going_on, diary = threading.Event(), []

    @executor.method("t.registers", cancelable=True)
    async def registers(task: opstead.aio.Task) -> None:
        gates.append(Gate())
        try:
            await task.register("t.child", id="child")
        except opstead.CanceledError:
            diary.append(task.canceled)
            await gates[0].wait()
            diary.append(True)
            raise

    @executor.method("t.registersToo", cancelable=True)
    def registers_too(task: opstead.Task) -> None:
        with pytest.raises(opstead.CanceledError):
            task.register("t.child", id="child")
        diary.append(task.canceled)
        going_on.wait(NEVER)
        task.raise_if_canceled()

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", methodName="t.registers", version=1, kwargs={})
        peer.refuse(peer.request("operations.register"), 2005)
        heard(peer)
        assert gates[0].reached.wait(NEVER)
        peer.assign("cancel")
        heard(peer)
        gates[0].open()
        peer.take("executors.canceled")
        assert diary == [True, True]
        peer.assign("execute", "8.1", methodName="t.registersToo", version=1, kwargs={})
        peer.refuse(peer.request("operations.register"), 2005)
        going_on.set()
        assert peer.take("executors.canceled") == {"lease": "8.1"}
        assert diary == [True, True, True]


def test_a_refusal_beside_a_coroutine_cancels_it(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    @executor.method("t.registers", cancelable=True)
    async def registers(task: opstead.aio.Task) -> None:
        beside = asyncio.ensure_future(task.register("t.child", id="child"))
        try:
            await asyncio.Event().wait()
        finally:
            assert isinstance(beside.exception(), opstead.CanceledError)

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", methodName="t.registers", version=1, kwargs={})
        peer.refuse(peer.request("operations.register"), 2005)
        peer.take("executors.canceled")


def test_a_result_too_large_to_be_read_is_a_failure_beside_other_calls(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    executor.method("t.long")(lambda _task: "x" * 1000)
    executor.method("t.short")(lambda _task: "x")

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", "7.1", methodName="t.long", version=1, kwargs={})
        peer.request("executors.complete")
        peer.assign("execute", "8.1", methodName="t.short", version=1, kwargs={})
        short = peer.request("executors.complete")
        peer.refuse_unread()
        failed = peer.take("executors.fail")
        assert failed == {
            "lease": "7.1",
            "error": {
                "code": 2006,
                "message": "what the method came to was refused: refused, -32007:"
                " Request is too big",
                "data": {"retryable": False},
            },
        }
        peer.answer(short, {"cursor": 1})


def test_a_failure_that_is_refused_is_told_as_another(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    @executor.method("t.fails")
    def fails(task: opstead.Task) -> None:
        raise opstead.Failure(3001, "x" * 5000, data={"much": "more"})

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", methodName="t.fails", version=1, kwargs={})
        peer.refuse(peer.request("executors.fail"), -32602)
        error = peer.take("executors.fail")["error"]
    message = f"the error 3001, {'x' * 1000}, was refused: refused, -32602: no"
    assert error == {"code": 2006, "message": message}
