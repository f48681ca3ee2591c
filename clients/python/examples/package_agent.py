#!/usr/bin/env python3
"""A package agent: an executor that installs and removes Debian packages with dpkg.

`package_agent.py TARGET ROOT ARCHIVE` offers the methods `package.…` for the system under ROOT, `/`
or a folder of its own; ARCHIVE is the folder of the packages, `NAME_VERSION_ARCHITECTURE.deb`. With
`--newest 1` it offers what its first release did. The token comes from `OPSTEAD_TOKEN` or
`OPSTEAD_TOKEN_FILE`. Ctrl-C lets the package that is at work be finished; again, and it is left.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Callable

import opstead

# Codes of this subsystem's errors.
NO_SUCH_PACKAGE = 3001
DPKG_FAILED = 3002

# How far a package is when dpkg says that it has come to this state.
INSTALLING = {"half-installed": 0.2, "unpacked": 0.5, "half-configured": 0.7, "installed": 1.0}
REMOVING = {"half-configured": 0.2, "half-installed": 0.5, "config-files": 0.8}

# A line for each package, as dpkg-query writes it.
LISTED = "${Package} ${Version} ${db:Status-Status}\\n"

# In a folder of its own maintainer scripts run outside of it, with DPKG_ROOT.
IN_A_FOLDER = ("--force-not-root", "--force-script-chrootless", "--log=/dev/null")


class Packages:
    """The packages of one system."""

    def __init__(self, root: Path, archive: Path) -> None:
        self.root = root.resolve()
        self._archive = archive
        self._admin = self.root / "var" / "lib" / "dpkg"
        self._options = [f"--root={self.root}"]
        if self.root != Path("/"):
            self._options += IN_A_FOLDER
            for folder in ("info", "triggers", "updates"):
                (self._admin / folder).mkdir(parents=True, exist_ok=True)
            (self._admin / "status").touch()

    def install(self, package: str, tell: Callable[[str], None]) -> None:
        """Installs the newest one of this name; one that was half installed is mended.

        Raises `opstead.Failure`.
        """
        self._dpkg(package, "--install", str(self._file_of(package)), tell)

    def remove(self, package: str, tell: Callable[[str], None]) -> None:
        """Removes it; one that is not there needs nothing.

        Raises `opstead.Failure`.
        """
        self._dpkg(package, "--remove", name_of(package), tell)

    def installed(self) -> list[dict[str, str]]:
        """Those that dpkg knows, half installed ones too."""
        told = subprocess.run(
            ["dpkg-query", f"--admindir={self._admin}", "--show", f"--showformat={LISTED}"],
            capture_output=True,
            text=True,
            check=False,
        )
        lines = [line.split() for line in told.stdout.splitlines()]
        return [dict(zip(("package", "version", "status"), line)) for line in lines]

    def _file_of(self, package: str) -> Path:
        found = sorted(self._archive.glob(f"{name_of(package)}_*.deb"))
        if not found:
            message = f"there is no package {package!r} in the archive"
            raise opstead.Failure(NO_SUCH_PACKAGE, message, retryable=False)
        return found[-1]

    def _dpkg(self, package: str, action: str, operand: str, tell: Callable[[str], None]) -> None:
        """Runs dpkg, and tells each state that the package comes to."""
        status, said = os.pipe()
        with (
            self._locked(tell),
            tempfile.TemporaryFile("w+") as errors,
            os.fdopen(status) as states,
        ):
            try:
                process = subprocess.Popen(
                    ["dpkg", *self._options, "--status-fd", str(said), action, operand],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[said],
                    env={**os.environ, "DPKG_FRONTEND_LOCKED": "true"},
                )
            finally:
                os.close(said)
            with process:
                for line in states:
                    found = re.fullmatch(r"status: [^ ]+: ([a-z-]+)\n", line)
                    if found:
                        tell(found[1])
            if process.returncode != 0:
                errors.seek(0)
                data = {"package": package, "exitStatus": process.returncode}
                message = f"dpkg {action} {package}: {' '.join(errors.read().split())}"
                raise opstead.Failure(DPKG_FAILED, message, data=data)

    @contextmanager
    def _locked(self, tell: Callable[[str], None]) -> Iterator[None]:
        """As the only one at work: the dpkg of an agent that was killed may still be."""
        with (self._admin / "lock-frontend").open("a") as frontend:
            _lock(frontend, tell)
            with (self._admin / "lock").open("a") as others:
                _lock(others, tell)
            yield


def _lock(file: IO[str], tell: Callable[[str], None]) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        tell("another dpkg is at work")
        fcntl.lockf(file, fcntl.LOCK_EX)


def name_of(package: str) -> str:
    """The name, if it is one: neither an option nor a path."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", package):
        message = f"{package!r} is no name of a package"
        raise opstead.Failure(NO_SUCH_PACKAGE, message, retryable=False)
    return package


def executor_of(system: Packages, newest: int) -> opstead.Executor:
    """The agent's methods, up to this version of each."""
    executor = opstead.Executor("package-agent")
    # dpkg works on one thing at a time; what waits for it, waits at the daemon.
    claims = [{"type": "dpkg", "id": str(system.root), "operation": "update"}]

    @executor.method(
        "package.install", object="Package.{package}", claims=claims, onInterrupt="retry"
    )
    def install(task: opstead.Task, package: str) -> None:
        """Installs a package."""
        task.progress(0, operationDescription="Installing")
        system.install(package, follow(task, package, INSTALLING))

    @executor.method("package.remove", object="Package.{package}", claims=claims)
    def remove(task: opstead.Task, package: str) -> None:
        """Removes a package. Halfway through it is left to a person."""
        task.progress(0, operationDescription="Removing")
        system.remove(package, follow(task, package, REMOVING))

    @executor.query("package.list")
    def installed() -> list[dict[str, str]]:
        """The packages that are there."""
        return system.installed()

    if newest >= 2:

        @executor.method(
            "package.install", version=2, claims=claims, cancelable=True, onInterrupt="retry"
        )
        def install_several(task: opstead.Task, packages: list[str]) -> dict[str, list[str]]:
            """Installs packages; those that cannot be are told, and passed over."""
            installed: list[str] = []
            failed: list[str] = []
            for done, package in enumerate(packages):
                # None is to be left half installed: between two of them is the time to stop.
                task.raise_if_canceled()
                task.progress(operationDescription="Installing", stage=(done, len(packages)))
                tell = follow(task, package, INSTALLING, done, len(packages))
                try:
                    system.install(package, tell)
                    installed.append(package)
                except opstead.Failure as failure:
                    task.non_fatal_error(**failure.error)
                    failed.append(package)
            return {"installed": installed, "failed": failed}

    return executor


def follow(
    task: opstead.Task, package: str, states: dict[str, float], done: int = 0, total: int = 1
) -> Callable[[str], None]:
    """Tells the operation's progress by the states of one package out of several."""

    def tell(state: str) -> None:
        known = states.get(state)
        percentage = None if known is None else round(100 * (done + known) / total)
        task.progress(percentage, stageDescription=f"{package}: {state}")

    return tell


def main() -> int:
    parser = argparse.ArgumentParser(description="Installs and removes packages for Opstead.")
    parser.add_argument("target", help="where the daemon is: ws://HOST:PORT or unix:PATH")
    parser.add_argument("root", type=Path, help="the system's root: / or a folder")
    parser.add_argument("archive", type=Path, help="the folder of the packages")
    parser.add_argument("--newest", type=int, default=2, help="newest version of its methods")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    executor = executor_of(Packages(given.root, given.archive), given.newest)
    try:
        executor.run(given.target)
    except (opstead.Error, ValueError) as error:
        print(f"package_agent: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
