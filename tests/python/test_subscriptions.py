"""Subscriptions: every alert once and in order, over lost connections and killed daemons."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable

import pytest
from conftest import NEVER, Home

import opstead
from opstead.types import Alert


def whole_log(host: opstead.Host, after: int, filter: str = "*") -> list[int]:
    """The cursors of all matching alerts after a place."""
    found: list[int] = []
    while True:
        read = host.alerts.read(after=after, filter=filter)
        found += [alert.cursor for alert in read.alerts]
        after = read.cursor
        if not read.more:
            return found


def noops(host: opstead.Host, ids: Iterable[str]) -> None:
    for id in ids:
        host.operations.register(methodName="diagnostic.noop", id=id)


def until_ended(alerts: Iterable[Alert], count: int) -> list[int]:
    """The cursors of the alerts until so many operations have ended."""
    cursors = []
    for alert in alerts:
        cursors.append(alert.cursor)
        count -= alert.event in ("completed", "failed")
        if count == 0:
            break
    return cursors


def test_an_iterator_over_a_killed_daemon(home: Home, host: opstead.Host) -> None:
    """Neither loss nor repeat, though the daemon is killed between and during alerts."""
    with host.subscribe("diagnostic.*") as events:
        begin = events.cursor
        assert begin is not None
        noops(host, [f"a{number}" for number in range(5)])
        cursors = until_ended(events, 3)
        home.restart(host)
        noops(host, [f"b{number}" for number in range(5)])
        cursors += until_ended(events, 7)
        assert cursors == whole_log(host, begin, "diagnostic.*")
        assert events.cursor == cursors[-1]


def test_an_iterator_waits_while_nobody_is_there(home: Home, host: opstead.Host) -> None:
    with host.subscribe("diagnostic.*") as events:
        home.lose(host)
        found: list[Alert] = []
        waiting = threading.Thread(target=lambda: found.append(next(events)))
        waiting.start()
        said = ""
        # At first there may have been no attempt yet.
        while "cannot connect to unix" not in said:
            with pytest.raises(opstead.TimeoutError) as missed:
                host.waitForReconnect(0.2)
            said = str(missed.value)
        home.start()
        host.waitForReconnect(NEVER)
        noops(host, ["a"])
        waiting.join()
        assert (found[0].event, found[0].operationId) == ("registered", "a")


def test_closing_wakes_who_waits_while_nobody_is_there(home: Home, host: opstead.Host) -> None:
    events = host.subscribe()
    home.lose(host)
    found: list[list[Alert]] = []
    waiting = threading.Thread(target=lambda: found.append(list(events)))
    waiting.start()
    with pytest.raises(opstead.TimeoutError):
        host.waitForReconnect(0.2)
    events.close()
    waiting.join()
    assert not [alert for alert in found[0] if alert.event != "object"]


def test_wait_for_event_keeps_its_place(home: Home, host: opstead.Host) -> None:
    """As a poll for many objects: one time-out, and nothing is lost between two calls."""
    images = "storage.Image.(" + "|".join(f"i{number}" for number in range(100)) + ")"
    with pytest.raises(TimeoutError, match="no event matched"):
        host.waitForEvent(images, timeout=0.2, filterType="regexp")
    begin = host.system.status().cursor
    for name in ("i7", "other", "i99"):
        created = host.storage.createImage(image=name, sizeBytes=4096)
        host.waitForOperation(created.id, NEVER)
    expected = host.alerts.read(after=begin, filter="storage.Image.i*").alerts
    seen = [host.waitForEvent(images, timeout=NEVER, filterType="regexp") for _ in expected[:2]]
    home.kill()
    while True:
        try:
            seen.append(host.waitForEvent(images, timeout=NEVER, filterType="regexp"))
        except opstead.DisconnectedError:
            break
    home.start()
    host.waitForReconnect(NEVER)
    while len(seen) < len(expected):
        seen.append(host.waitForEvent(images, timeout=NEVER, filterType="regexp"))
    assert [alert.cursor for alert in seen] == [alert.cursor for alert in expected]
    assert {alert.alertName for alert in seen} == {"storage.Image.i7", "storage.Image.i99"}


def test_each_thread_has_its_own_place(host: opstead.Host) -> None:
    found: list[list[str]] = []
    ready = threading.Barrier(3)

    def wait() -> None:
        with pytest.raises(TimeoutError):
            host.waitForEvent("diagnostic.*", timeout=0.5)
        ready.wait()
        alerts = [host.waitForEvent("diagnostic.*", timeout=NEVER) for _ in range(3)]
        found.append([alert.event for alert in alerts])

    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    noops(host, ["a"])
    for thread in threads:
        thread.join()
    assert found == [["registered", "started", "completed"]] * 2


def test_filters_beyond_those_kept_are_let_go(host: opstead.Host) -> None:
    """The one that was not asked for longest begins anew; the others keep their place."""
    filters = ["diagnostic.task.*", "diagnostic.*", *(f"nothing.{number}" for number in range(63))]
    for filter in filters:
        with pytest.raises(TimeoutError):
            host.waitForEvent(filter, timeout=0.05)
    noops(host, ["a"])
    assert host.waitForEvent("diagnostic.*", timeout=NEVER).operationId == "a"
    host.waitForOperation("a", NEVER)
    with pytest.raises(TimeoutError):
        host.waitForEvent("diagnostic.task.*", timeout=0.2)


def test_a_slow_consumer_loses_nothing(home: Home) -> None:
    with home.connect(queue=4) as host, host.subscribe("diagnostic.*") as events:
        begin = events.cursor
        assert begin is not None
        noops(host, [f"a{number}" for number in range(30)])
        host.waitForOperation("a29", NEVER)
        assert until_ended(events, 30) == whole_log(host, begin, "diagnostic.*")


def test_a_place_can_be_handed_on(home: Home, host: opstead.Host) -> None:
    with host.subscribe("diagnostic.*") as events:
        noops(host, ["a", "b"])
        first = until_ended(events, 1)
        place = {"after": events.cursor, "logId": events.logId}
    with home.connect() as other, other.subscribe("diagnostic.*", **place) as events:  # type: ignore[arg-type]
        rest = until_ended(events, 1)
    assert first + rest == whole_log(host, 0, "diagnostic.*")


def test_a_snapshot_comes_first(home: Home, host: opstead.Host) -> None:
    for name in ("a", "b"):
        host.waitForOperation(host.storage.createImage(image=name, sizeBytes=4096).id, NEVER)
    with host.subscribe("storage.Image.*", snapshot=True) as events:
        objects = [next(events) for _ in range(2)]
        assert [(alert.alertName, alert.snapshot) for alert in objects] == [
            ("storage.Image.a", True),
            ("storage.Image.b", True),
        ]
        deleted = host.storage.deleteImage(image="a")
        host.waitForOperation(deleted.id, NEVER)
        following = [next(events).event]
        home.restart(host)
        while following[-1] != "completed":
            following.append(next(events).event)
        assert [event for event in following if event != "progress"] == [
            "registered",
            "started",
            "completed",
        ]


def test_an_expired_cursor_is_said_once(home: Home) -> None:
    """Then it goes on from the oldest place there is."""
    home.kill()
    home.configure("[retention]\nalerts_bytes = 2000\n")
    home.start()
    with home.connect(queue=4) as host:
        events = host.subscribe("diagnostic.*")
        number = 0
        while host.system.status().oldestCursor <= (events.cursor or 0) + 100:
            noops(host, [f"n{number}"])
            number += 1
        with pytest.raises(opstead.CursorExpiredError, match="read what was missed") as expired:
            for _alert in events:
                pass
        oldest = expired.value.oldestCursor
        assert oldest > 100
        while True:
            try:
                assert next(events).cursor > oldest
                break
            except opstead.CursorExpiredError as again:
                # More was let go of meanwhile.
                assert again.oldestCursor > oldest
                oldest = again.oldestCursor
        events.close()
        with pytest.raises(opstead.CursorExpiredError):
            host.subscribe(after=0)


def test_ctrl_c_interrupts_and_loses_nothing(host: opstead.Host) -> None:
    with host.subscribe("diagnostic.*") as events:
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(0.2, lambda: signal.pthread_kill(main, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            timer.start()
            next(events)
        timer.join()
        noops(host, ["a"])
        assert next(events).event == "registered"
