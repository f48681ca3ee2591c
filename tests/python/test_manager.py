"""The example of a manager, as programs of their own: what it is told survives everything."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import NEVER, Home

EXAMPLE = Path(__file__).parents[2] / "clients" / "python" / "examples" / "manager.py"
IMAGE_BYTES = 1 << 20

# So slow that a copy has told of itself long before it is over.
ENDLESS = IMAGE_BYTES // 256


class Manager:
    """A manager that runs."""

    def __init__(self, home: Home, folder: Path, name: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), home.socket, str(folder), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []

    def until(self, *words: str) -> None:
        """Reads what it says until a line has all these words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if all(word in line for word in words):
                return
        raise AssertionError(f"{self.name} never said {words}: {self.said}")

    def take_over(self, name: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{name}\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """There are no more names; waits until everything is done."""
        rest, _nothing = self.process.communicate(timeout=2 * NEVER)
        self.said += rest.splitlines(keepends=True)
        return self.process.returncode

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def images(home: Home) -> Home:
    """A daemon with an image `base` of real data, which copies without end."""
    imports = home.folder / "imports"
    imports.mkdir()
    (imports / "base").write_bytes(os.urandom(IMAGE_BYTES))
    home.kill()
    home.configure(f"[storage]\nimport_folders = [{json.dumps(str(imports))}]\n")
    home.start()
    with home.connect() as host:
        imported = host.storage.importImage(image="base", path=str(imports / "base"))
        host.waitForResult(imported.id, NEVER)
    copying_at(home, ENDLESS)
    return home


def copying_at(home: Home, copy_bytes_per_second: int) -> None:
    """Starts a daemon anew that copies at this rate."""
    home.kill()
    configure(home, copy_bytes_per_second)
    home.start()


def configure(home: Home, copy_bytes_per_second: int) -> None:
    home.configure(f"[storage]\ncopy_bytes_per_second = {copy_bytes_per_second}\n")


@pytest.fixture
def managers() -> Iterator[list[Manager]]:
    """Those that were started: dead at the end of the test."""
    started: list[Manager] = []
    yield started
    for manager in started:
        if manager.process.poll() is None:
            manager.kill()


def plan(home: Home, name: str) -> list[str]:
    """Three operations, of which the later ones wait for the earlier ones; their ids."""
    steps: list[tuple[str, dict[str, Any]]] = [
        ("storage.copyImage", {"source": "base", "target": f"{name}-1"}),
        ("storage.copyImage", {"source": f"{name}-1", "target": f"{name}-2"}),
        ("storage.deleteImage", {"image": f"{name}-1"}),
    ]
    planned = [
        {"id": f"{name}/{number}", "methodName": method, "kwargs": kwargs}
        for number, (method, kwargs) in enumerate(steps)
    ]
    (home.folder / f"{name}.json").write_text(json.dumps(planned))
    return [f"{name}/{number}" for number in range(len(planned))]


def check(home: Home, name: str, ids: list[str]) -> None:
    """Every operation ended once, and its manager was told every alert once and in order."""
    with home.connect() as host:
        log = [alert for alert in host.alerts.read(after=0).alerts if alert.operationId in ids]
    told = [json.loads(line) for line in (home.folder / f"{name}.diary").read_text().splitlines()]
    assert [(entry["id"], entry["event"], entry["cursor"]) for entry in told[1:]] == [
        (alert.operationId, alert.event, alert.cursor) for alert in log
    ]
    assert sorted(entry["id"] for entry in told if entry["event"] == "completed") == ids
    assert not {"failed", "canceled"} & {entry["event"] for entry in told}
    assert (home.data / "pool" / f"{name}-2").read_bytes() == (
        home.data / "pool" / "base"
    ).read_bytes()
    assert not (home.data / "pool" / f"{name}-1").exists()


def test_a_managers_loop_survives_its_daemon(images: Home, managers: list[Manager]) -> None:
    ids = plan(images, "one")
    managers.append(Manager(images, images.folder, "one"))
    managers[0].until("one/0", "progress")
    images.kill()
    managers[0].until("disconnected")
    configure(images, 100 * IMAGE_BYTES)
    images.start()
    assert managers[0].end() == 0, managers[0].said
    assert "one: reconnected\n" in managers[0].said
    check(images, "one", ids)
    with images.connect() as host:
        assert host.operations.get("one/0").attempt == 2


def test_a_manager_can_be_interrupted(images: Home, managers: list[Manager]) -> None:
    plan(images, "one")
    managers.append(Manager(images, images.folder, "one"))
    managers[0].until("one/0", "progress")
    managers[0].process.send_signal(signal.SIGINT)
    # As a shell tells of a program that Ctrl-C ended.
    assert managers[0].end() == -signal.SIGINT


def test_another_manager_takes_over(images: Home, managers: list[Manager]) -> None:
    """Four managers share a daemon; one is killed, and another one goes on where it was."""
    copying_at(images, 2 * IMAGE_BYTES)
    names = ["one", "two", "three", "four"]
    ids = {name: plan(images, name) for name in names}
    managers += [Manager(images, images.folder, name) for name in names]
    managers[1].until("two/0", "progress")
    managers[1].kill()
    managers[2].take_over("two")
    for manager in (managers[0], managers[2], managers[3]):
        assert manager.end() == 0, manager.said
    assert "three: takes over from two\n" in managers[2].said
    assert any(line.startswith("two: two/2 completed") for line in managers[2].said)
    for name in names:
        check(images, name, ids[name])
        with images.connect() as host:
            attempts = [host.operations.get(id).attempt for id in ids[name]]
        assert attempts == [1, 1, 1], "the operations never noticed"
