"""Executors before a daemon that says what the real one says seldom, or not yet."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NEVER
from fake import Daemon, Peer, failure, revertible, seated

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


def test_reverting(daemon: Daemon, executor: opstead.Executor) -> None:
    seen: list[Any] = []

    @executor.method("t.create")
    def create(task: opstead.Task, name: str, size: int = 1) -> None: ...

    @executor.revert("t.create")
    def remove(task: opstead.Task, name: str, size: int = 1) -> str:
        seen.append([task.operationId, name, size, task.result, task.error, task.failures])
        return "passed over"

    @executor.method("t.start", version=2)
    async def start(task: opstead.aio.Task) -> None: ...

    @executor.revert("t.start", version=2)
    async def stop(task: opstead.aio.Task) -> None:
        await asyncio.sleep(0)
        seen.append([task.result, task.error])
        raise opstead.Failure(3002, "does not stop")

    with seated(daemon, executor) as peer:
        assert revertible(peer.seat()) == {"t.query": False, "t.create": True, "t.start": True}
        peer.assign(
            "revert",
            methodName="t.create",
            version=1,
            kwargs={"name": "a"},
            result={"path": "/a"},
            failures=[failure("start", 3001)],
        )
        assert peer.take("executors.complete") == {"lease": "7.1", "result": None}
        peer.assign(
            "revert",
            "8.1",
            methodName="t.start",
            version=2,
            kwargs={},
            error={"code": 3001, "message": "start failed"},
            failures=[failure("start", 3001)],
        )
        failed = peer.take("executors.fail")
        assert failed == {"lease": "8.1", "error": {"code": 3002, "message": "does not stop"}}
    start_failed = opstead.types.StepFailure(3001, "start failed", "flow.start", "start")
    assert seen == [
        ["o7.1", "a", 1, {"path": "/a"}, None, [start_failed]],
        [None, opstead.types.ErrorObject(3001, "start failed")],
    ]


def test_a_revert_that_nobody_wrote_fails(daemon: Daemon, executor: opstead.Executor) -> None:
    """An earlier version of the program may have offered it."""

    @executor.method("t.create")
    def create(task: opstead.Task) -> None:
        raise AssertionError("this carries it out")

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("revert", methodName="t.create", version=1, kwargs={}, result=None)
        error = peer.take("executors.fail")["error"]
    assert error["code"] == 2006
    assert error["message"] == (
        "RuntimeError: t.create is revertible, but this executor has no revert for it"
    )


def test_a_thread_that_is_given_up_does_not_hold_the_next_attempt_up(daemon: Daemon) -> None:
    executor = opstead.Executor("test", capacity=1)
    go, begun, told = threading.Event(), threading.Event(), []

    @executor.method("t.sleeps")
    def sleeps(task: opstead.Task) -> int:
        if task.attempt == 1:
            begun.set()
            assert go.wait(NEVER)
            told.append(task.canceled)
        return task.attempt

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", attempt=1, methodName="t.sleeps", version=1, kwargs={})
        assert begun.wait(NEVER)
        # It takes too long.
        peer.assign("cancel")
        again = {"operationId": "o7.1", "attempt": 2, "methodName": "t.sleeps", "version": 1}
        peer.assign("execute", "7.2", kwargs={}, **again)
        assert peer.take("executors.complete") == {"lease": "7.2", "result": 2}
        go.set()
        # Of the first one nothing is heard any more.
        peer.assign("execute", "8.3", kwargs={}, **{**again, "attempt": 3})
        assert peer.take("executors.complete") == {"lease": "8.3", "result": 3}
    assert told == [True]


def test_a_revert_waits_for_every_attempt_that_was_given_up(daemon: Daemon) -> None:
    executor = opstead.Executor("test", capacity=1)
    go, begun, order = threading.Event(), threading.Event(), []
    executor.query("t.query")(lambda: None)

    @executor.method("t.sleeps")
    def sleeps(task: opstead.Task) -> None:
        if task.attempt == 1:
            begun.set()
            assert go.wait(NEVER)
        order.append(task.attempt)

    @executor.revert("t.sleeps")
    def undo(task: opstead.Task) -> None:
        order.append(task.attempt)

    step = {"operationId": "f.a", "methodName": "t.sleeps", "version": 1, "kwargs": {}}
    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", "7.1", attempt=1, **step)
        assert begun.wait(NEVER)
        peer.assign("execute", "7.2", attempt=2, **step)
        assert peer.take("executors.complete")["lease"] == "7.2"
        peer.assign("revert", "7.3", attempt=3, **step)
        # What comes behind it is answered.
        peer.assign("query", queryId="9", methodName="t.query", version=1, kwargs={})
        assert peer.take("executors.answer") == {"queryId": "9", "result": None}
        go.set()
        assert peer.take("executors.complete") == {"lease": "7.3", "result": None}
    assert order == [2, 1, 3]


def test_a_query_whose_answer_is_refused_is_answered_so(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    executor.query("t.much")(lambda: "x" * 1000)

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("query", queryId="9", methodName="t.much", version=1, kwargs={})
        peer.request("executors.answer")
        peer.refuse_unread()
        answer = peer.take("executors.answer")
    refused = "what the method came to was refused: refused, -32007: Request is too big"
    error = {"code": 2006, "message": refused, "data": {"retryable": False}}
    assert answer == {"queryId": "9", "error": error}


def test_after_a_method_has_returned_its_attempt_is_over(
    daemon: Daemon, executor: opstead.Executor
) -> None:
    tasks: list[opstead.Task] = []
    executor.method("t.returns")(tasks.append)

    with seated(daemon, executor) as peer:
        peer.seat()
        peer.assign("execute", methodName="t.returns", version=1, kwargs={})
        peer.take("executors.complete")
        tasks[0].progress(50)
        over = "the attempt is over: its method has returned"
        with pytest.raises(opstead.CanceledError, match=over):
            tasks[0].non_fatal_error(3001, "too late")
        with pytest.raises(opstead.CanceledError, match=over):
            tasks[0].register("t.child", id="child")
