"""Connections and daemons that are lost while functions run: each has the effect that it had said,
once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest
from attached import Proxy, attached
from conftest import NEVER, Home

import opstead


@pytest.fixture
def executor() -> opstead.Executor:
    return opstead.Executor("test", capacity=4)


@pytest.fixture
def proxy(home: Home) -> Iterator[Proxy]:
    proxy = Proxy(home.folder, home.data / "opstead.sock")
    yield proxy
    proxy.close()


def until(events: opstead.Subscription, event: str) -> opstead.types.Alert:
    """The next alert of this kind."""
    while True:
        alert = events.waitForEvent(NEVER)
        if alert.event == event:
            return alert


def test_a_function_survives_its_daemon(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    begun, go, steps = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)

    @executor.method("t.waits")
    def waits(task: opstead.Task) -> str:
        begun.release()
        go.wait(NEVER)
        task.progress(50, stageDescription="said while nobody listened")
        if task.operationId == "later":
            assert steps.acquire(timeout=NEVER)
            task.non_fatal_error(3001, "said afterwards")
        return f"{task.operationId} finished"

    with attached(executor, home.socket) as running:
        for id in ("early", "later"):
            host.operations.register(methodName="t.waits", id=id)
            assert begun.acquire(timeout=NEVER)
        home.lose(host)
        go.set()
        home.start()
        running.again()
        steps.release()
        host.waitForReconnect(NEVER)
        for id in ("early", "later"):
            operation = host.waitForOperation(id, NEVER)
            assert (operation.attempt, operation.result) == (1, f"{id} finished")
            assert operation.operationInfo.stageDescription == "said while nobody listened"
        assert [error.message for error in operation.nonFatalErrors] == ["said afterwards"]


def test_what_was_said_before_the_connection_was_lost_is_not_said_twice(
    home: Home, host: opstead.Host, executor: opstead.Executor, proxy: Proxy
) -> None:
    steps, said = threading.Semaphore(0), threading.Semaphore(0)

    @executor.method("t.says")
    def says(task: opstead.Task) -> str:
        task.non_fatal_error(3001, "same")
        said.release()
        assert steps.acquire(timeout=NEVER)
        task.non_fatal_error(3001, "same")
        said.release()
        assert steps.acquire(timeout=NEVER)
        task.register("t.child", id="child")
        said.release()
        assert steps.acquire(timeout=NEVER)
        return "over"

    @executor.method("t.child")
    def child(task: opstead.Task) -> None: ...

    with attached(executor, proxy.socket) as running, host.subscribe("t.*") as events:
        id = host.t.says().id
        until(events, "error")
        for event in ("error", "registered", "completed"):
            assert said.acquire(timeout=NEVER)
            # The daemon does what it is told, and its answer is lost.
            proxy.hold()
            steps.release()
            while until(events, event).operationId not in (id, "child"):
                pass
            proxy.cut()
            proxy.mend()
            running.again()
        operation = host.waitForOperation(id, NEVER)
        assert (operation.attempt, operation.result) == (1, "over")
        assert [error.message for error in operation.nonFatalErrors] == ["same", "same"]
        assert operation.spawnedTasks == ["child"]
        assert host.waitForOperation("child", NEVER).attempt == 1
        # Nothing is left to be said.
        executor.drain()
        running.join()


def test_another_attempt_begins_when_the_one_before_has_cleaned_up(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    """The daemon gives an attempt up; the coroutine has yet to end."""
    home.lose(host)
    home.configure("[limits]\nlease_ms = 50\n")
    home.start()
    host.waitForReconnect(NEVER)
    proxy = Proxy(home.folder, home.data / "opstead.sock")
    diary: list[str] = []
    begun, told, go = threading.Semaphore(0), threading.Event(), threading.Event()

    @executor.method("t.waits", onInterrupt="retry")
    async def waits(task: opstead.aio.Task) -> None:
        diary.append(f"{task.attempt} begins")
        begun.release()
        try:
            if task.attempt == 1:
                await asyncio.Event().wait()
        finally:
            if task.attempt == 1:
                told.set()
                assert await asyncio.to_thread(go.wait, NEVER)
            diary.append(f"{task.attempt} ends")

    try:
        with attached(executor, proxy.socket) as running, host.subscribe("t.*") as events:
            id = host.t.waits().id
            assert begun.acquire(timeout=NEVER)
            proxy.cut()
            until(events, "retrying")
            proxy.mend()
            running.again()
            assert told.wait(NEVER)
            until(events, "started")
            assert host.operations.get(id).attempt == 2
            diary.append("2 is assigned")
            go.set()
            assert host.waitForOperation(id, NEVER).state == "completed"
    finally:
        proxy.close()
    assert diary == ["1 begins", "2 is assigned", "1 ends", "2 begins", "2 ends"]


def test_canceled_while_the_connection_was_lost(
    home: Home, host: opstead.Host, executor: opstead.Executor, proxy: Proxy
) -> None:
    begun = threading.Event()

    @executor.method("t.waits", cancelable=True)
    def waits(task: opstead.Task) -> None:
        begun.set()
        assert task.wait_until_canceled(NEVER)
        task.raise_if_canceled()

    with attached(executor, proxy.socket):
        id = host.t.waits().id
        assert begun.wait(NEVER)
        proxy.cut()
        assert host.operations.cancel(id).state == "canceling"
        proxy.mend()
        assert host.waitForOperation(id, NEVER).state == "canceled"


def test_two_programs_of_one_name_do_not_drive_each_other_out(
    home: Home, host: opstead.Host, proxy: Proxy
) -> None:
    first, second = opstead.Executor("test"), opstead.Executor("test")
    for name, executor in (("first", first), ("second", second)):
        executor.method("t.name")(lambda _task, name=name: name)

    def who() -> object:
        return host.waitForResult(host.t.name().id, NEVER)

    with attached(first, home.socket) as one:
        assert who() == "first"
        with attached(second, proxy.socket):
            one.away()
            assert who() == "second"
        one.back()
        assert who() == "first"


def test_who_is_driven_out_is_told_and_says_so_once(
    home: Home, host: opstead.Host, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = opstead.Executor("test"), opstead.Executor("test")
    begun, told = threading.Event(), threading.Event()

    @first.method("t.waits")
    def waits(task: opstead.Task) -> None:
        begun.set()
        if task.wait_until_canceled(NEVER):
            told.set()

    second.query("t.query")(lambda: None)
    caplog.set_level(logging.INFO, "opstead.executor")
    with attached(first, home.socket) as one:
        id = host.t.waits().id
        assert begun.wait(NEVER)
        with attached(second, proxy.socket):
            one.away()
            error = host.waitForOperation(id, NEVER).error
            assert error is not None
            assert error.code == 2001
            assert told.wait(NEVER)
        one.back()
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "another is attached" in one]) == 1
    assert len([one for one in said if "is given up" in one]) == 1


def test_a_daemon_that_is_not_there(home: Home, executor: opstead.Executor) -> None:
    home.kill()
    with pytest.raises(opstead.ConnectError, match="is the daemon running there"):
        executor.run(home.socket)
