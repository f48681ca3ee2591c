"""Functions as methods: what they are given, what they say, and what becomes of them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from attached import Attached, attached
from conftest import NEVER, Home

import opstead

Kwargs = dict[str, Any]


@pytest.fixture
def executor() -> opstead.Executor:
    return opstead.Executor("test", capacity=4)


def run(host: opstead.Host, method: str, **kwargs: Any) -> opstead.types.Operation:
    """The operation, done."""
    registration = host.operations.register(methodName=method, kwargs=kwargs)
    return host.waitForOperation(registration.id, NEVER)


def test_a_function_is_given_its_task_and_arguments(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    @executor.method("t.blocking", object="Thing.{name}")
    def blocking(task: opstead.Task, name: str, number: int = 1) -> object:
        """Says what it got."""
        seen = [task.operationId, task.methodName, task.version, task.attempt, task.canceled]
        return {"seen": seen, "name": name, "number": number, "in": threading.current_thread().name}

    @executor.method("t.looping", version=3, summary="On the loop")
    async def looping(task: opstead.aio.Task, **anything: object) -> object:
        await asyncio.sleep(0)
        return [task.operationId, task.version, anything]

    with attached(executor, home.socket):
        operation = run(host, "t.blocking", name="a", number=2**63 - 1)
        assert operation.alertName == "t.Thing.a"
        assert operation.result == {
            "seen": [operation.id, "t.blocking", 1, 1, False],
            "name": "a",
            "number": 2**63 - 1,
            "in": f"opstead {operation.id}",
        }
        operation = run(host, "t.looping", x=[1, None])
        assert operation.result == [operation.id, 3, {"x": [1, None]}]
        declared = {one.name: one for one in host.methods.list().methods}
        assert declared["t.blocking"].summary == "Says what it got."
        assert declared["t.looping"].summary == "On the loop"
        with pytest.raises(opstead.InvalidParamsError, match="name"):
            host.t.blocking(number=1)


def test_what_a_function_raises_is_the_operations_error(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    @executor.method("t.raises")
    def raises(task: opstead.Task) -> None:
        raise KeyError("absent")

    @executor.method("t.raisesToo")
    async def raises_too(task: opstead.aio.Task) -> None:
        raise KeyError("absent")

    @executor.method("t.exits")
    def exits(task: opstead.Task) -> None:
        raise SystemExit(3)

    @executor.method("t.exitsToo")
    async def exits_too(task: opstead.aio.Task) -> None:
        raise SystemExit(3)

    @executor.method("t.fails")
    def fails(task: opstead.Task) -> None:
        raise opstead.Failure(3007, "no such thing", data={"thing": 1})

    @executor.method("t.returns")
    def returns(task: opstead.Task) -> object:
        return {1, 2}

    with attached(executor, home.socket):
        for method in ("t.raises", "t.raisesToo"):
            error = run(host, method).error
            assert error is not None
            assert (error.code, error.message) == (2006, "KeyError: 'absent'")
            assert "in raises" in error.data["traceback"]
        # What would end a program or a loop is no more than that either.
        for method in ("t.exits", "t.exitsToo"):
            error = run(host, method).error
            assert error is not None
            assert (error.code, error.message) == (2006, "SystemExit: 3")
        error = run(host, "t.fails").error
        assert error == opstead.types.ErrorObject(3007, "no such thing", {"thing": 1})
        error = run(host, "t.returns").error
        assert error is not None
        assert "a set cannot be written as JSON" in error.message


def test_a_result_that_the_daemon_does_not_take_is_a_failure(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    @executor.method("t.large")
    def large(task: opstead.Task) -> object:
        return "x" * (host.system.status().limits.resultBytes + 1)

    with attached(executor, home.socket):
        error = run(host, "t.large").error
    assert error is not None
    assert "what the method came to was refused" in error.message
    assert "bytes" in error.message


@pytest.mark.parametrize(("retryable", "attempts"), [(True, 2), (False, 1)])
def test_a_failure_may_be_tried_again(
    home: Home, host: opstead.Host, executor: opstead.Executor, retryable: bool, attempts: int
) -> None:
    retry = {"maxAttempts": 2, "initialMs": 1, "factor": 1, "maxMs": 1}

    @executor.method("t.fails", retry=retry)
    def fails(task: opstead.Task) -> None:
        raise opstead.Failure(3007, f"attempt {task.attempt}", retryable=retryable)

    with attached(executor, home.socket):
        operation = run(host, "t.fails")
    assert operation.error is not None
    assert (operation.attempt, operation.error.message) == (attempts, f"attempt {attempts}")


def test_progress(home: Home, host: opstead.Host, executor: opstead.Executor) -> None:
    go = threading.Event()

    @executor.method("t.reports", object="Thing.{name}")
    def reports(task: opstead.Task, name: str) -> None:
        for number in range(50):
            task.progress(number)
        task.progress(
            50,
            operationDescription="Copying",
            stageDescription="half",
            stage=(1, 2),
            lastError=(3001, "so far"),
            extraData={"rate": 2**53 + 1},
        )
        go.wait(NEVER)

    with host.subscribe("t.Thing.a") as events, attached(executor, home.socket):
        registration = host.t.reports(name="a")
        told = next(alert for alert in events if alert.operationInfo.percentage == 50)
        assert told.operationInfo == opstead.types.OperationInfo(
            operationDescription="Copying",
            stageDescription="half",
            stage=opstead.types.Stage(1, 2),
            percentage=50,
            lastError=opstead.types.LastError(3001, "so far"),
            extraData={"rate": 2**53 + 1},
        )
        go.set()
        operation = host.waitForOperation(registration.id, NEVER)
        assert operation.operationInfo.operationDescription == "Copying", "its last word stays"


@pytest.mark.parametrize(
    ("progress", "fault"),
    [
        ({"percentage": 101}, "percentage is 101; allowed is 0 to 100, or -1 for unknown"),
        ({"operationDescription": "Baking"}, "'Baking'; allowed is Waiting, Creating"),
        ({"stage": (2, 1)}, r"stage is \(2, 1\); allowed is \(completed, total\)"),
        ({"extraData": {"a": {1}}}, "a set cannot be written as JSON"),
    ],
)
def test_progress_that_is_none(
    home: Home, host: opstead.Host, executor: opstead.Executor, progress: Kwargs, fault: str
) -> None:
    @executor.method("t.reports")
    def reports(task: opstead.Task) -> str:
        with pytest.raises((TypeError, ValueError), match=fault):
            task.progress(**progress)
        return "refused"

    with attached(executor, home.socket):
        assert run(host, "t.reports").result == "refused"


def test_an_error_that_does_not_end_it_is_durable_when_it_is_recorded(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    def known(id: str) -> list[tuple[int, str, Any]]:
        errors = host.operations.get(id).nonFatalErrors
        return [(error.code, error.message, error.data) for error in errors]

    @executor.method("t.blocking")
    def blocking(task: opstead.Task) -> object:
        task.non_fatal_error(3001, "one", {"a": 1})
        return known(task.operationId)

    @executor.method("t.looping")
    async def looping(task: opstead.aio.Task) -> object:
        await task.non_fatal_error(3001, "one", {"a": 1})
        with pytest.raises(ValueError, match="code is 7; allowed is a number from 3000 on"):
            await task.non_fatal_error(7, "one")
        return await asyncio.get_running_loop().run_in_executor(None, known, task.operationId)

    with attached(executor, home.socket):
        for method in ("t.blocking", "t.looping"):
            assert run(host, method).result == [[3001, "one", {"a": 1}]]


def test_children(home: Home, host: opstead.Host, executor: opstead.Executor) -> None:
    @executor.method("t.parent")
    def parent(task: opstead.Task) -> object:
        for _twice in range(2):
            task.register("t.child", {"number": 1}, id="blocking-child", tags=["x"])
        with pytest.raises(opstead.InvalidParamsError):
            task.register("t.child", {"number": "one"}, id="bad-child")
        return None

    @executor.method("t.asyncParent")
    async def async_parent(task: opstead.aio.Task) -> object:
        registration = await task.register("t.child", {"number": 2}, id="async-child")
        return registration.id

    @executor.method("t.child")
    def child(task: opstead.Task, number: int) -> int:
        return number

    with attached(executor, home.socket):
        for method, id in (("t.parent", "blocking-child"), ("t.asyncParent", "async-child")):
            operation = run(host, method)
            assert (operation.state, operation.spawnedTasks) == ("completed", [id])
            assert host.waitForOperation(id, NEVER).parent == operation.id
        assert host.operations.get("blocking-child").tags == ["x"]


def test_canceling(home: Home, host: opstead.Host, executor: opstead.Executor) -> None:
    begun = threading.Semaphore(0)

    @executor.method("t.stops", cancelable=True)
    def stops(task: opstead.Task) -> None:
        begun.release()
        assert task.wait_until_canceled(NEVER)
        with pytest.raises(opstead.CanceledError):
            task.register("t.stops", id="child")
        task.raise_if_canceled()

    @executor.method("t.stopsToo", cancelable=True)
    async def stops_too(task: opstead.aio.Task) -> None:
        begun.release()
        await asyncio.Event().wait()

    @executor.method("t.goesOn", cancelable=True)
    def goes_on(task: opstead.Task) -> str:
        begun.release()
        assert task.wait_until_canceled(NEVER)
        return "done anyway"

    @executor.method("t.mistakes")
    def mistakes(task: opstead.Task) -> None:
        task.raise_if_canceled()
        raise opstead.CanceledError

    with attached(executor, home.socket):
        for method, state in (
            ("t.stops", "canceled"),
            ("t.stopsToo", "canceled"),
            ("t.goesOn", "completed"),
        ):
            id = host.operations.register(methodName=method).id
            assert begun.acquire(timeout=NEVER)
            assert host.operations.cancel(id).state == "canceling"
            assert host.waitForOperation(id, NEVER).state == state
        operation = run(host, "t.mistakes")
        assert operation.error is not None
        assert "uncanceled" in operation.error.message


def test_an_attempt_that_takes_too_long_is_told_so(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    told = threading.Event()

    @executor.method("t.dawdles", attemptTimeoutMs=50)
    def dawdles(task: opstead.Task) -> str:
        assert task.wait_until_canceled(NEVER)
        told.set()
        return "too late"

    with attached(executor, home.socket):
        # One that is over before it could begin is told nothing.
        while not told.is_set():
            error = run(host, "t.dawdles").error
            assert error is not None
            assert error.code == 2002


def test_secrets_and_start_times(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    @executor.method("t.keeps", secrets=["password"], holdsSchedule=True)
    def keeps(task: opstead.Task, password: str) -> object:
        return [len(password), task.startAt, task.startBefore]

    at = "2199-01-01T00:00:00.000Z"
    with attached(executor, home.socket):
        id = host.operations.register(
            methodName="t.keeps", kwargs={"password": "hidden"}, startAt=at
        ).id
        operation = host.waitForOperation(id, NEVER)
        assert operation.kwargs == {"password": "***"}
        assert operation.result == [6, at, None]


def test_queries(home: Home, host: opstead.Host, executor: opstead.Executor) -> None:
    @executor.query("t.sum")
    def sum_of(numbers: list[int]) -> int:
        """Adds them up."""
        return sum(numbers)

    @executor.query("t.nothing", version=2)
    async def nothing() -> None:
        await asyncio.sleep(0)

    @executor.query("t.fails")
    def fails() -> None:
        raise opstead.Failure(3009, "cannot be told")

    with attached(executor, home.socket):
        assert host.t.sum(numbers=[1, 2**62]) == 1 + 2**62
        assert host.t.nothing() is None
        with pytest.raises(opstead.RefusedError, match="cannot be told") as refused:
            host.t.fails()
        assert refused.value.code == 3009
        with pytest.raises(opstead.InvalidParamsError):
            host.t.sum(numbers="1")
    with pytest.raises(opstead.ExecutorUnavailableError):
        host.t.sum(numbers=[])


def test_versions_are_functions_of_their_own(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    @executor.method("t.greet")
    def greet(task: opstead.Task, name: str) -> str:
        return f"1: {name}"

    @executor.method("t.greet", version=2)
    def greet_all(task: opstead.Task, names: list[str]) -> str:
        return f"2: {names}"

    with attached(executor, home.socket):
        assert run(host, "t.greet", names=["a"]).result == "2: ['a']"
        old = host.operations.register(methodName="t.greet", version=1, kwargs={"name": "a"})
        assert host.waitForResult(old.id, NEVER) == "1: a"


def test_no_more_than_its_capacity_is_carried_out_at_once(home: Home, host: opstead.Host) -> None:
    executor = opstead.Executor("test", capacity=2)
    meeting, go = threading.Barrier(3), threading.Event()

    @executor.method("t.meets")
    def meets(task: opstead.Task) -> None:
        meeting.wait(NEVER)
        go.wait(NEVER)

    with attached(executor, home.socket):
        for id in ("a", "b"):
            host.operations.register(methodName="t.meets", id=id)
        meeting.wait(NEVER)
        third = host.operations.register(methodName="t.meets", id="c")
        assert [(reason.cause, reason.detail) for reason in third.reasons] == [("executor", "busy")]
        go.set()
        meeting.abort()
        for id in ("a", "b"):
            assert host.waitForOperation(id, NEVER).state == "completed"


def test_draining_finishes_what_was_begun(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    begun, go = threading.Event(), threading.Event()

    @executor.method("t.waits")
    def waits(task: opstead.Task) -> str:
        begun.set()
        go.wait(NEVER)
        return "finished"

    running = Attached(executor, home.socket)
    running.again()
    host.operations.register(methodName="t.waits", id="a")
    assert begun.wait(NEVER)
    executor.drain()
    while host.executors.list().executors[-1].capacity != 0:
        pass
    later = host.operations.register(methodName="t.waits", id="b")
    assert [reason.cause for reason in later.reasons] == ["executor"]
    go.set()
    running.join()
    assert running.error is None
    assert host.operations.get("a").result == "finished"
    assert host.operations.get("b").state == "waiting"


def test_leaving_waits_for_nothing(
    home: Home, host: opstead.Host, executor: opstead.Executor
) -> None:
    begun, ended = threading.Event(), threading.Event()

    @executor.method("t.waits")
    def waits(task: opstead.Task) -> None:
        begun.set()
        task.wait_until_canceled(NEVER)
        with pytest.raises(opstead.CanceledError):
            task.non_fatal_error(3001, "too late")
        ended.set()

    @executor.method("t.sleeps")
    async def sleeps(task: opstead.aio.Task) -> None:
        begun.set()
        await asyncio.Event().wait()

    for method in ("t.waits", "t.sleeps"):
        begun.clear()
        with attached(executor, home.socket):
            host.operations.register(methodName=method, id=method)
            assert begun.wait(NEVER)
        # To come back without its lease is to have lost it.
        with attached(executor, home.socket):
            error = host.waitForOperation(method, NEVER).error
            assert error is not None
            assert error.code == 2001
    assert ended.wait(NEVER)


def test_an_executor_on_a_loop_of_ones_own(home: Home, host: opstead.Host) -> None:
    executor = opstead.Executor("test")

    @executor.method("t.answers")
    async def answers(task: opstead.aio.Task) -> str:
        return "answered"

    async def main() -> Any:
        serving = asyncio.ensure_future(executor.serve(home.socket))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="'test' runs already"):
            await executor.serve(home.socket)
        async with await opstead.aio.connect(home.socket) as beside:
            while "t.answers" not in {one.name for one in (await beside.methods.list()).methods}:
                pass
            registration = await beside.t.answers()
            result = await beside.waitForResult(registration.id, NEVER)
        executor.drain()
        await serving
        return result

    assert asyncio.run(main()) == "answered"
