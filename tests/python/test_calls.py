"""Calls: what they give back, and how they are refused before and after they are sent."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

import pytest
from conftest import NEVER, Home

import opstead
from opstead import types


def test_the_literal_calls(host: opstead.Host) -> None:
    """What the contract shows, as it shows it."""
    assert host.call("storage.createImage", image="a", sizeBytes=4096)["response"] == "accepted"
    registration = host.storage.copyImage(source="a", target="b")
    assert isinstance(registration, types.Registration)
    assert host.waitForOperation(registration.id, NEVER).state == "completed"
    assert host.storage.getImageInfo(image="b")["sizeBytes"] == 4096
    assert host.getRunningTasks("storage.*") == []


def test_the_daemons_own_methods(host: opstead.Host) -> None:
    held = host.operations.register(
        methodName="diagnostic.wait",
        id="held",
        claims=[types.Claim(type="image", id="x", operation="update")],
        tags=["mine"],
    )
    assert (held.response, held.existing) == ("accepted", False)
    behind = host.operations.register(
        methodName="diagnostic.noop",
        id="behind",
        claims=[{"type": "image", "id": "x", "operation": "update"}],
    )
    assert behind.response == "postponed"
    assert behind.reasons[0].resource == types.Resource(type="image", id="x")
    assert behind.reasons[0].blockedBy == ["held"]
    assert [task.id for task in host.getRunningTasks()] == ["held", "behind"]
    assert host.getRunningTasks("(held|no)", "regexp") == [
        types.TaskInfo(id="held", methodName="diagnostic.wait", kwargs={})
    ]
    assert host.operations.get("held").tags == ["mine"]
    assert [one.id for one in host.operations.list(tags=["mine"]).operations] == ["held"]
    first = host.operations.list(pageSize=1)
    second = host.operations.list(pageSize=1, pageToken=first.nextPageToken)
    assert [one.id for one in second.operations] == ["behind"]
    waited = host.operations.wait(["behind"], timeoutMs=0)
    assert waited.timedOut
    assert host.operations.cancel("held").state in ("canceling", "canceled")
    assert host.waitForOperation("behind", NEVER).state == "completed"
    image = host.storage.createImage(image="a", sizeBytes=4096)
    assert host.waitForOperation(image.id, NEVER).operationInfo.lastError.code == 0
    assert host.getOperationInfo(image.alertName).operationInfo.stage == types.Stage(1, 1)
    assert [one.alertName for one in host.objects.list().objects] == ["storage.Image.a"]
    alerts = host.alerts.read(after=0)
    assert alerts.alerts[0].event == "registered"
    assert host.filters.test("a*", names=["ab", "b"]).matches == ["ab"]
    assert any(method.name == "storage.copyImage" for method in host.methods.list().methods)
    assert {one.executor for one in host.executors.list().executors} >= {"storage"}
    assert host.system.status().counts["completed"] == 2
    assert host.rpc.discover()["openrpc"]
    assert host.operations.dismiss(ids=["behind"]).dismissed == 1


def test_foreign_json_stays_as_it_is(host: opstead.Host) -> None:
    kwargs = {
        "z": 2**63 + 1,
        "a": -(2**63),
        "f": 0.1,
        "nested": {"β": [None, True, "\U0001f600"]},
    }
    host.operations.register(methodName="diagnostic.noop", id="n", kwargs=kwargs)
    kept = host.operations.get("n").kwargs
    assert kept == kwargs
    assert list(kept) == ["z", "a", "f", "nested"]


def test_a_request_with_an_id_is_registered_once(host: opstead.Host) -> None:
    for existing in (False, True):
        again = host.operations.register(methodName="diagnostic.noop", id="once", kwargs={"a": 1})
        assert again.existing is existing
    with pytest.raises(opstead.IdReusedError, match="choose another id"):
        host.operations.register(methodName="diagnostic.noop", id="once", kwargs={"a": 2})


def test_results_and_their_absence(host: opstead.Host) -> None:
    done = host.storage.createImage(image="a", sizeBytes=4096)
    host.waitForResult(done.id, NEVER)
    failing = host.storage.createImage(image="a", sizeBytes=4096)
    with pytest.raises(opstead.OperationFailedError, match="is failed: ") as failure:
        host.waitForResult(failing.id, NEVER)
    operation = failure.value.operation
    assert operation.error is not None
    assert operation.error.code == operation.operationInfo.lastError.code


REFUSED: list[tuple[Callable[[opstead.Host], Any], type[Exception], str]] = [
    (lambda host: host.storage.copyImage("a", "b"), TypeError, "by name"),
    (lambda host: host.storage.copyImage(source="a"), opstead.InvalidParamsError, "target"),
    (lambda host: host.storage.nothing(), opstead.MethodNotFoundError, "storage.nothing"),
    (lambda host: host.waitForEvnt("x"), AttributeError, "no method 'waitForEvnt'"),
    (lambda host: host._storage, AttributeError, "_storage"),
    (lambda host: host.storage._copy, AttributeError, "_copy"),
    (lambda host: host.operations.nothing, AttributeError, "nothing"),  # type: ignore[attr-defined]
    (lambda host: host.call("a.b", x={1}), TypeError, "no JSON: a set"),
    (lambda host: host.call("a.b", x=float("nan")), ValueError, "no JSON"),
    (lambda host: host.call("alerts.subscribe"), ValueError, r"use subscribe\(\)"),
    (lambda host: host.call(7), TypeError, "storage.copyImage"),  # type: ignore[arg-type]
    (lambda host: host.operations.get("x"), opstead.OperationNotFoundError, '"x"'),
    (lambda host: host.getOperationInfo("x"), opstead.ObjectNotFoundError, "x"),
    (lambda host: host.getRunningTasks("["), opstead.InvalidFilterError, "character 0"),
    (lambda host: host.waitForEvent("["), opstead.InvalidFilterError, "character 0"),
    (lambda host: host.subscribe("(", "regexp"), opstead.InvalidFilterError, "character"),
    (lambda host: host.waitForEvent("a", timeout=-1), ValueError, "from 0 on"),
    (lambda host: host.waitForOperation("a", True), TypeError, "seconds, or None"),
    (lambda host: host.subscribe(after=10**6), opstead.CursorUnknownError, "begin anew"),
    (lambda host: host.operations.list(pageToken="?"), opstead.InvalidPageTokenError, "token"),
]


@pytest.mark.parametrize(("call", "kind", "says"), REFUSED)
def test_what_is_refused(
    host: opstead.Host, call: Callable[[opstead.Host], Any], kind: type[Exception], says: str
) -> None:
    before = host.system.status().cursor
    with pytest.raises(kind, match=says):
        call(host)
    assert host.system.status().cursor == before, "nothing is left of it"


def test_a_conflict_says_with_what(host: opstead.Host) -> None:
    for image, operation in (("held", "delete"), ("late", "read")):
        claims = [{"type": "image", "id": "x", "operation": operation}]
        if image == "held":
            host.operations.register(methodName="diagnostic.wait", id=image, claims=claims)
            continue
        with pytest.raises(opstead.ConflictError) as refused:
            host.operations.register(methodName="diagnostic.noop", id=image, claims=claims)
    error = refused.value
    assert (error.code, error.reason, error.retryable) == (1001, "conflict", False)
    assert error.details.reasons[0].blockedBy == ["held"]
    assert isinstance(error, opstead.RefusedError)


def test_time_outs(host: opstead.Host) -> None:
    host.operations.register(methodName="diagnostic.wait", id="held")
    with pytest.raises(opstead.TimeoutError, match="was not done within 0 s: it is running"):
        host.waitForOperation("held", timeout=0)
    with pytest.raises(TimeoutError, match="may still take effect"):
        host.callWithin(0.01, "operations.wait", ids=["held"])
    assert host.system.status().counts["running"] == 1, "the connection goes on"


def test_many_threads_share_a_host(host: opstead.Host) -> None:
    found: dict[int, str] = {}

    def register(number: int) -> None:
        registration = host.diagnostic.noop(number=number)
        operation = host.waitForOperation(registration.id, NEVER)
        found[operation.kwargs["number"]] = operation.state

    threads = [threading.Thread(target=register, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(16), "completed")


def test_more_calls_than_may_be_in_flight(home: Home) -> None:
    with home.connect(callsInFlight=1) as host:
        host.operations.register(methodName="diagnostic.wait", id="held")
        waiting = threading.Thread(target=lambda: host.waitForOperation("held", NEVER))
        waiting.start()
        with pytest.raises(opstead.TimeoutError):
            while True:
                host.callWithin(0.2, "system.status")
        with home.connect() as other:
            other.operations.cancel("held")
        waiting.join()
        host.call("system.status")


def test_closing_ends_everything(home: Home) -> None:
    before = threading.active_count()
    host = home.connect()
    host.operations.register(methodName="diagnostic.wait", id="held")
    events = host.subscribe("nothing")
    ended: list[object] = []

    def wait() -> None:
        try:
            host.waitForOperation("held")
        except opstead.DisconnectedError as error:
            ended.append(str(error))

    threads = [
        threading.Thread(target=wait),
        threading.Thread(target=lambda: ended.append(list(events))),
    ]
    for thread in threads:
        thread.start()
    host.close()
    host.close()
    for thread in threads:
        thread.join()
    assert sorted(map(str, ended)) == ["[]", "the host is closed"]
    assert threading.active_count() == before
    with pytest.raises(opstead.DisconnectedError, match="the host is closed"):
        host.system.status()
    with pytest.raises(opstead.DisconnectedError, match="the host is closed"):
        events.waitForEvent(0)
    with home.connect() as other:
        deadline = time.monotonic() + NEVER
        while other.operations.get("held").state != "running":
            assert time.monotonic() < deadline, "operations go on"


def test_a_host_that_nobody_holds_ends_its_thread(home: Home) -> None:
    before = threading.active_count()
    host = home.connect()
    events = host.subscribe()
    del host
    assert threading.active_count() > before, "a subscription keeps its host"
    events.close()
    del events
    assert threading.active_count() == before
