"""The example of an executor, as a program of its own, with real packages in a folder of its own."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import NEVER, Home

import opstead

EXAMPLE = Path(__file__).parents[2] / "clients" / "python" / "examples" / "package_agent.py"

pytestmark = pytest.mark.skipif(
    not shutil.which("dpkg") or os.getuid() != 0, reason="needs dpkg, and root to run it"
)

# Says that it has begun, and waits until it may go on.
WAITS = "echo began > $DPKG_ROOT/began\nread go < $DPKG_ROOT/go\n"

# What an agent says while another dpkg is at work.
WAITING = "slow: another dpkg is at work"


class System:
    """A root for dpkg, packages to be installed in it, and agents."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.root = home.folder / "root"
        self.archive = home.folder / "archive"
        self.root.mkdir()
        self.archive.mkdir()
        self._pipes = {}
        for name in ("began", "go"):
            os.mkfifo(self.root / name)
            # Open at both ends, so that nobody waits for the other in opening it.
            self._pipes[name] = os.open(self.root / name, os.O_RDWR)
        self.agents: list[subprocess.Popen[str]] = []

    def pack(self, name: str, script: str = "", body: str = "") -> None:
        """Builds a package, with one maintainer script."""
        folder = self.home.folder / "build" / name
        (folder / "DEBIAN").mkdir(parents=True)
        (folder / "usr" / "share" / name).mkdir(parents=True)
        (folder / "usr" / "share" / name / "file").write_text(name)
        (folder / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\n"
            "Maintainer: Nobody <nobody@example.org>\nDescription: a test\n"
        )
        if script:
            (folder / "DEBIAN" / script).write_text(f"#!/bin/sh\nset -e\n{body}")
            (folder / "DEBIAN" / script).chmod(0o755)
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build"]
        subprocess.run([*command, folder, self.archive / f"{name}_1.0_all.deb"], check=True)

    def agent(self, newest: int = 2) -> subprocess.Popen[str]:
        """An agent that is attached."""
        folders = [str(self.root), str(self.archive)]
        agent = subprocess.Popen(
            [sys.executable, str(EXAMPLE), self.home.socket, *folders, "--newest", str(newest)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.agents.append(agent)
        said(agent, "attached")
        return agent

    def began(self) -> None:
        """Waits until a maintainer script has begun."""
        ready, _out, _error = select.select([self._pipes["began"]], [], [], NEVER)
        assert ready, "no script has begun"
        os.read(self._pipes["began"], 64)

    def go(self) -> None:
        """One maintainer script goes on."""
        os.write(self._pipes["go"], b"go\n")

    def states(self) -> dict[str, str]:
        admin = self.root / "var/lib/dpkg"
        line = "${Package} ${db:Status-Status}\\n"
        told = subprocess.run(
            ["dpkg-query", f"--admindir={admin}", "--show", f"--showformat={line}"],
            capture_output=True,
            text=True,
            check=False,
        )
        return dict(line.split(" ") for line in told.stdout.splitlines())

    def close(self) -> None:
        for agent in self.agents:
            end(agent)
        for pipe in self._pipes.values():
            os.close(pipe)


def said(agent: subprocess.Popen[str], word: str) -> None:
    """Reads what the agent says until a line has this word."""
    assert agent.stderr is not None
    lines = []
    for line in agent.stderr:
        lines.append(line)
        if word in line:
            return
    raise AssertionError(f"the agent never said {word!r}: {lines}")


def end(agent: subprocess.Popen[str]) -> None:
    """Kills it with all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(agent.pid, signal.SIGKILL)
    agent.wait()
    assert agent.stderr is not None
    agent.stderr.close()


@pytest.fixture
def system(home: Home) -> Iterator[System]:
    system = System(home)
    system.pack("good")
    system.pack("bad", "postinst", "echo it is broken >&2; exit 3\n")
    system.pack("slow", "postinst", WAITS)
    system.pack("clings", "prerm", WAITS)
    yield system
    system.close()


Done = Callable[[str], opstead.types.Operation]


@pytest.fixture
def done(host: opstead.Host) -> Done:
    return lambda id: host.waitForOperation(id, NEVER)


def install(host: opstead.Host, *packages: str, id: str, version: int = 2) -> list[str]:
    """Registers an installation; for what causes it waits."""
    kwargs = {"package": packages[0], "packages": packages}
    del kwargs["package" if version == 2 else "packages"]
    registration = host.operations.register(
        methodName="package.install", version=version, kwargs=kwargs, id=id
    )
    return [reason.cause for reason in registration.reasons]


def test_packages_are_installed_listed_and_removed(
    system: System, host: opstead.Host, done: Done
) -> None:
    system.agent()
    with host.subscribe("package.*") as events:
        install(host, "good", "bad", "absent", id="several")
        several = done("several")
        told = []
        for alert in events:
            if alert.event in ("progress", "error"):
                told.append(alert)
            if alert.event == "completed":
                break
    assert several.result == {"installed": ["good"], "failed": ["bad", "absent"]}
    broken, absent = several.nonFatalErrors
    assert (broken.code, broken.data) == (3002, {"package": "bad", "exitStatus": 1})
    assert "exit status 3" in broken.message
    assert (absent.code, absent.message) == (3001, "there is no package 'absent' in the archive")
    percentages = [alert.operationInfo.percentage for alert in told]
    assert percentages == sorted(percentages)
    # Of what comes in a row the last is told; before an error it always is.
    stages = {alert.operationInfo.stageDescription for alert in told}
    assert "bad: half-configured" in stages
    assert [alert.event for alert in told].count("error") == 2
    assert host.package.list() == [
        {"package": "bad", "version": "1.0", "status": "half-configured"},
        {"package": "good", "version": "1.0", "status": "installed"},
    ]
    assert (system.root / "usr/share/good/file").read_text() == "good"
    removal = host.package.remove(package="good")
    assert removal.alertName == "package.Package.good"
    assert done(removal.id).operationInfo.operationDescription == "Removing"
    assert system.states() == {"bad": "half-configured"}
    for name in ("--root=/", "../../etc", "x"):
        error = done(host.package.remove(package=name).id).error
        assert error is not None
        assert (error.code, error.message) == (3001, f"{name!r} is no name of a package")


def test_an_agent_that_is_killed_comes_back_in_a_newer_version(
    system: System, host: opstead.Host, done: Done
) -> None:
    """The whole story: each operation ends as its method declares."""
    agent = system.agent(newest=1)
    agent.terminate()
    assert agent.wait(NEVER) == 0
    # It is away; what it declared is known.
    assert install(host, "good", id="early", version=1) == ["executor"]
    with pytest.raises(opstead.RefusedError, match="version 2"):
        install(host, "good", id="too-new")
    agent = system.agent(newest=1)
    assert done("early").state == "completed"
    # It is killed in the middle of an installation, which its method lets be tried again.
    assert install(host, "clings", id="clings", version=1) == []
    install(host, "slow", id="slow", version=1)
    system.began()
    end(agent)
    assert system.states()["slow"] == "half-configured"
    agent = system.agent()
    system.began()
    system.go()
    slow = done("slow")
    assert (slow.state, slow.attempt, slow.version) == ("completed", 2, 1)
    assert system.states()["slow"] == "installed"
    # And in the middle of a removal, which its method does not.
    removal = host.package.remove(package="clings")
    system.began()
    end(agent)
    # The older one knows nothing of the newer version.
    agent = system.agent(newest=1)
    lost = done(removal.id)
    assert lost.error is not None
    assert (lost.state, lost.error.code, lost.attempt) == ("failed", 2001, 1)
    assert install(host, "good", "bad", id="newer") == ["version"]
    end(agent)
    system.agent()
    newer = done("newer")
    assert newer.result == {"installed": ["good"], "failed": ["bad"]}
    assert [error.code for error in newer.nonFatalErrors] == [3002]
    ends = {"completed", "failed", "canceled"}
    log = [
        alert
        for alert in host.alerts.read(after=0, filter="package.*").alerts
        if alert.event in ends
    ]
    ids = [alert.operationId for alert in log]
    assert ids == ["early", "clings", "slow", removal.id, "newer"], "each ended once"


def test_dpkg_that_outlives_its_agent_is_waited_for(
    system: System, host: opstead.Host, done: Done
) -> None:
    agent = system.agent()
    with host.subscribe("package.*") as events:
        install(host, "slow", id="slow")
        system.began()
        agent.kill()
        agent.wait()
        system.agent()
        while events.waitForEvent(NEVER).operationInfo.stageDescription != WAITING:
            pass
    system.go()
    system.began()
    system.go()
    assert (done("slow").state, done("slow").attempt) == ("completed", 2)


def test_the_daemon_is_killed_in_the_middle(
    system: System, home: Home, host: opstead.Host, done: Done
) -> None:
    system.agent()
    install(host, "slow", id="slow")
    system.began()
    home.restart(host)
    system.go()
    slow = done("slow")
    assert (slow.state, slow.attempt) == ("completed", 1)
    assert slow.result == {"installed": ["slow"], "failed": []}


def test_canceled_between_two_packages(system: System, host: opstead.Host, done: Done) -> None:
    system.agent()
    install(host, "slow", "good", id="both")
    system.began()
    assert host.operations.cancel("both").state == "canceling"
    system.go()
    assert done("both").state == "canceled"
    assert system.states() == {"slow": "installed"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_a_second_one_leaves(
    system: System, host: opstead.Host, done: Done, number: signal.Signals
) -> None:
    agent = system.agent()
    install(host, "slow", id="finished")
    system.began()
    agent.send_signal(number)
    said(agent, "draining")
    system.go()
    assert agent.wait(NEVER) == 0
    assert done("finished").state == "completed"
    install(host, "slow", id="left")
    agent = system.agent()
    system.began()
    agent.send_signal(number)
    said(agent, "draining")
    agent.send_signal(number)
    assert agent.wait(NEVER) == 0
    assert host.operations.get("left").state == "running", "it is kept for a while"
    end(agent)
    system.agent()
    system.began()
    system.go()
    assert (done("left").state, done("left").attempt) == ("completed", 2)
