"""Objects that executors publish and retire."""

from __future__ import annotations

import threading

import pytest
from attached import attached
from conftest import NEVER, Home

import opstead


def test_objects(home: Home, host: opstead.Host) -> None:
    executor = opstead.Executor("test", capacity=4)

    @executor.method("t.publishes")
    def publishes(task: opstead.Task) -> int:
        return task.publish(
            "t.Thing.b", opstead.types.InfoUpdate(operationDescription="Running", percentage=50)
        )

    @executor.method("t.publishesToo")
    async def publishes_too(task: opstead.aio.Task) -> int:
        with pytest.raises(RuntimeError, match="await that of the task"):
            executor.publish("t.Thing.b", {"operationDescription": "Paused"})
        await task.publish("t.Thing.b", {"operationDescription": "Paused"})
        return await task.retire("t.Thing.b")

    @executor.method("t.retires")
    def retires(task: opstead.Task) -> int:
        return task.retire("t.Thing.a")

    def run(method: str) -> None:
        host.waitForOperation(host.operations.register(methodName=method, kwargs={}).id, NEVER)

    def info(name: str) -> opstead.types.OperationInfo:
        return host.getOperationInfo(name).operationInfo

    cursors: list[int] = []

    def watch() -> None:
        cursors.append(executor.publish("t.Thing.a", {"operationDescription": "Running"}))

    # Who looks after objects may begin before the executor is attached.
    watching = threading.Thread(target=watch)
    watching.start()
    with attached(executor, home.socket):
        watching.join()
        assert cursors == [host.getOperationInfo("t.Thing.a").cursor]
        with pytest.raises(opstead.InvalidParamsError):
            executor.publish("other.Thing.a", {"operationDescription": "Running"})
        with pytest.raises(TypeError, match="a set cannot be written as JSON"):
            executor.publish("t.Thing.a", {"extraData": {"a": {1}}})
        run("t.publishes")
        assert (info("t.Thing.b").operationDescription, info("t.Thing.b").percentage) == (
            "Running",
            50,
        )
        run("t.publishesToo")
        run("t.retires")
        for name in ("t.Thing.a", "t.Thing.b"):
            with pytest.raises(opstead.ObjectNotFoundError):
                info(name)
        executor.publish("t.Thing.a", {"operationDescription": "Running"})
        executor.retire("t.Thing.a")
        with pytest.raises(opstead.ObjectNotFoundError):
            info("t.Thing.a")
    with pytest.raises(opstead.CanceledError, match="has left"):
        executor.publish("t.Thing.a", {"operationDescription": "Running"})
