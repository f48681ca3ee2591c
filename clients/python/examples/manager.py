#!/usr/bin/env python3
"""A manager: carries out a plan, whatever happens to the connection, the daemon or itself.

`manager.py TARGET FOLDER NAME` registers the operations in `FOLDER/NAME.json`, a list of
`{id, methodName, kwargs}`, and follows them to their end. Every alert of theirs goes into
`FOLDER/NAME.diary`, one JSON line each. Started again, it goes on where the diary ends.

A name on standard input is that of another manager, which has died: its plan is taken over by its
diary. The program ends when there are no more names and everything is done, with 1 unless every
operation completed. The token comes from `OPSTEAD_TOKEN` or `OPSTEAD_TOKEN_FILE`.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, TypeVar

import opstead
from opstead.types import Operation

T = TypeVar("T")

# How long without an event before the manager asks by itself.
POLL_SECONDS = 2.0
# How long the daemon may be away.
AWAY_SECONDS = 60.0
ENDS = {"completed", "failed", "canceled", "skipped", "reverted"}


class Diary:
    """What a manager was told. It is on disk, so that another one can go on."""

    def __init__(self, path: Path) -> None:
        kept = path.read_text() if path.exists() else ""
        # A manager that died may have left half a line.
        whole = kept[: kept.rfind("\n") + 1]
        self.entries: list[dict[str, Any]] = [json.loads(line) for line in whole.splitlines()]
        path.write_text(whole)
        self._file = path.open("a")

    def write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()
        self.entries.append(entry)

    def close(self) -> None:
        self._file.close()


def follow(host: opstead.Host, folder: Path, name: str) -> bool:
    """Carries out a plan; says whether every operation completed."""
    plan = json.loads((folder / f"{name}.json").read_text())
    diary = Diary(folder / f"{name}.diary")
    place = diary.entries[-1] if diary.entries else {"cursor": None, "logId": None}
    # Watch first, register then: no alert can be missed.
    events = patiently(host, host.subscribe, after=place["cursor"], logId=place["logId"])
    with events:
        if not diary.entries:
            diary.write({"cursor": events.cursor, "logId": events.logId, "event": "begun"})
        known = {operation.id for operation in listed(host, name)}
        say(name, f"{len(known)} of {len(plan)} are registered")
        for planned in plan:
            # The id makes the request repeatable: twice is once.
            if planned["id"] not in known:
                patiently(host, host.operations.register, **planned, tags=[name])
        watch(host, name, {planned["id"] for planned in plan}, events, diary)
    diary.close()
    return all(operation.state == "completed" for operation in listed(host, name))


def watch(
    host: opstead.Host, name: str, ids: set[str], events: opstead.Subscription, diary: Diary
) -> None:
    """Follows these operations until all have ended."""
    going_on = ids - {entry.get("id") for entry in diary.entries if entry["event"] in ENDS}
    while going_on:
        try:
            alert = events.waitForEvent(POLL_SECONDS)
        except opstead.DisconnectedError:
            say(name, "disconnected")
            host.waitForReconnect(AWAY_SECONDS)
            say(name, "reconnected")
        except opstead.TimeoutError:
            standing = {one.id: one.state for one in listed(host, name) if one.id in going_on}
            say(name, f"asked: {standing}")
        except opstead.CursorExpiredError:
            # Nobody was there for so long that alerts are gone: what they told can be asked.
            going_on -= {operation.id for operation in listed(host, name) if operation.done}
        else:
            if alert.operationId in ids:
                told = {"id": alert.operationId, "event": alert.event}
                diary.write({**told, "cursor": alert.cursor, "logId": events.logId})
                say(name, f"{alert.operationId} {alert.event} {alert.operationInfo.percentage} %")
                if alert.event in ENDS:
                    going_on.discard(alert.operationId)


def listed(host: opstead.Host, name: str) -> list[Operation]:
    """Every operation of this manager that the daemon keeps."""
    operations: list[Operation] = []
    token = None
    while True:
        page = patiently(host, host.operations.list, tags=[name], pageToken=token)
        operations += page.operations
        token = page.nextPageToken
        if token is None:
            return operations


def patiently(host: opstead.Host, call: Callable[..., T], **params: Any) -> T:
    """What the call answers, asked again where that makes sense."""
    while True:
        try:
            return call(**params)
        except opstead.DisconnectedError:
            host.waitForReconnect(AWAY_SECONDS)
        except opstead.RefusedError as error:
            # Too busy, or about to end.
            if not error.retryable:
                raise
            time.sleep(0.2)


def say(name: str, text: str) -> None:
    print(f"{name}: {text}", flush=True)


def main() -> int:
    if len(sys.argv) != 4:
        print("usage: manager.py TARGET FOLDER NAME", file=sys.stderr)
        return 2
    target, folder, name = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    # In this order, so that Ctrl-C closes the host, which ends the threads.
    with ThreadPoolExecutor(64) as threads, opstead.connect(target) as host:
        followed = [threads.submit(follow, host, folder, name)]
        for line in sys.stdin:
            say(name, f"takes over from {line.strip()}")
            followed.append(threads.submit(follow, host, folder, line.strip()))
        outcomes = [one.result() for one in followed]
    return 0 if all(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
