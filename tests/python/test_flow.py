"""Flows as they are built, and as the daemon runs them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from attached import attached
from conftest import NEVER, Home

import opstead
from opstead import types


def two_copies(id: str, size: int = 2097152, grown: str = "left") -> opstead.Flow:
    """An image, two copies at once, and one of them resized."""
    flow = opstead.Flow("two copies", id=id, tags=["nightly"])
    create = flow.step("create", "storage.createImage", image="base", sizeBytes=1048576)
    left = flow.step("left", "storage.copyImage", source="base", target="left").requires(create)
    right = flow.step("right", "storage.copyImage", source="base", target="right").requires(create)
    grow = flow.step("grow", "storage.resizeImage", image=grown, sizeBytes=size)
    grow.requires(left, right)
    flow.step("spare", "storage.createImage", image="spare", sizeBytes=grow.result["sizeBytes"])
    return flow


def test_a_flow_is_built_step_by_step() -> None:
    flow = opstead.Flow("f", id="f-1", after=[types.Dependency(id="before", states=["completed"])])
    first = flow.step("first", "s.m", name="a", id=1).version(2)
    odd = first.result["a/b"]["~"][0]
    second = flow.step("second", "s.n", whole=first.result, parts=[{"x": (odd, 1.5)}])
    second.requires("first").retry(maxAttempts=3, initialMs=10, factor=2, maxMs=100)
    assert (flow.name, flow.id, [step.name for step in flow.steps]) == (
        "f",
        "f-1",
        ["first", "second"],
    )
    assert flow.steps == [
        types.FlowStep(methodName="s.m", name="first", kwargs={"name": "a", "id": 1}, version=2),
        types.FlowStep(
            methodName="s.n",
            name="second",
            kwargs={
                "whole": {"$result": "first"},
                "parts": [{"x": [{"$result": "first#/a~1b/~0/0"}, 1.5]}],
            },
            requires=["first"],
            retry=types.RetryPolicy(factor=2, initialMs=10, maxAttempts=3, maxMs=100),
        ),
    ]


def test_what_cannot_be_meant_is_refused_at_once() -> None:
    flow, other = opstead.Flow("f"), opstead.Flow("other")
    create = flow.step("create", "s.m")
    stranger = other.step("create", "s.m")
    with pytest.raises(ValueError, match="a name of its own"):
        flow.step("create", "s.m")
    with pytest.raises(ValueError, match="belongs to another flow"):
        flow.step("copy", "s.m", source=stranger.result)
    with pytest.raises(ValueError, match="belongs to another flow"):
        create.requires(stranger)
    with pytest.raises(ValueError, match="has no step 'craete'"):
        create.requires("craete")
    with pytest.raises(TypeError, match=r"its result is create\.result"):
        flow.step("copy", "s.m", source=create)
    with pytest.raises(ValueError, match="allowed is 0 or more"):
        create.result[-1]
    wrong: Any = 1.5
    with pytest.raises(TypeError, match="allowed is a name or an index"):
        create.result[wrong]
    with pytest.raises(TypeError):
        iter(create.result)
    assert [step.name for step in flow.steps] == ["create"]


def test_a_flow_runs_as_a_whole(host: opstead.Host) -> None:
    registration = host.registerFlow(two_copies("one"))
    assert (registration.id, registration.existing) == ("one", False)
    flow = host.waitForOperation("one", NEVER)
    assert (flow.state, flow.methodName, flow.tags) == ("completed", "flow.two copies", ["nightly"])
    assert flow.spawnedTasks == ["one.create", "one.left", "one.right", "one.grow", "one.spare"]
    assert host.storage.getImageInfo(image="left")["sizeBytes"] == 2097152
    assert host.storage.getImageInfo(image="spare")["sizeBytes"] == 2097152
    assert host.storage.getImageInfo(image="right")["sizeBytes"] == 1048576
    assert host.registerFlow(two_copies("one")).existing
    with pytest.raises(opstead.IdReusedError):
        host.registerFlow(two_copies("one", size=4194304))


def test_of_a_flow_that_fails_nothing_is_left(home: Home) -> None:
    async def story() -> None:
        async with await opstead.aio.connect(home.socket) as host:
            registration = await host.registerFlow(two_copies("one", grown="nowhere"))
            flow = await host.waitForOperation(registration.id, NEVER)
            assert flow.state == "reverted"
            assert flow.error is not None
            with pytest.raises(opstead.OperationFailedError):
                await host.waitForResult(registration.id, NEVER)
            for image in ("base", "left", "right"):
                with pytest.raises(opstead.RefusedError):
                    await host.storage.getImageInfo(image=image)

    asyncio.run(story())


def test_an_executor_registers_a_flow_as_its_child(home: Home, host: opstead.Host) -> None:
    executor = opstead.Executor("stocker")

    @executor.method("stock.fill")
    def fill(task: opstead.Task) -> str:
        with pytest.raises(ValueError, match="has no id"):
            task.registerFlow(opstead.Flow("nameless"))
        for _twice in range(2):
            task.registerFlow(two_copies("blocking-child"))
        return "blocking-child"

    @executor.method("stock.fillToo")
    async def fill_too(task: opstead.aio.Task) -> str:
        flow = opstead.Flow("one", id="async-child")
        flow.step("noop", "diagnostic.noop")
        return (await task.registerFlow(flow)).id

    with attached(executor, home.socket):
        for method in ("stock.fill", "stock.fillToo"):
            parent = host.operations.register(methodName=method)
            child = host.waitForResult(parent.id, NEVER)
            flow = host.waitForOperation(child, NEVER)
            assert (flow.state, flow.parent) == ("completed", parent.id)
