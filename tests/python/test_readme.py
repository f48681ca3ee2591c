"""What the documents show runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NEVER, Home

import opstead

TOP = Path(__file__).parents[2]

# A sample with this is an executor, and ends when it is told to.
RUNS = "executor.run("


def samples_of(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (TOP / document).read_text(), re.DOTALL)


@pytest.mark.parametrize("document", ["README.md", "clients/python/README.md"])
def test_the_samples_run(home: Home, document: str) -> None:
    samples = [sample for sample in samples_of(document) if RUNS not in sample]
    assert samples
    (home.folder / "opstead-data").symlink_to(home.data)
    for sample in samples:
        command = [sys.executable, "-W", "error", "-c", sample]
        ran = subprocess.run(command, cwd=home.folder, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout


@pytest.mark.parametrize(
    ("document", "method", "kwargs", "result", "said"),
    [
        ("README.md", "greeter.greet", {"names": ["Ada"]}, 1, "Hello, Ada!\n"),
        (
            "clients/python/README.md",
            "kitchen.bake",
            {"cake": "plum", "oven": 1},
            {"cake": "plum"},
            "baked plum\n",
        ),
    ],
)
def test_the_executors_run(
    home: Home,
    host: opstead.Host,
    document: str,
    method: str,
    kwargs: dict[str, object],
    result: object,
    said: str,
) -> None:
    [sample] = [sample for sample in samples_of(document) if RUNS in sample]
    (home.folder / "opstead-data").symlink_to(home.data)
    command = [sys.executable, "-W", "error", "-c", sample]
    with subprocess.Popen(
        command, cwd=home.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            while method not in {one.name for one in host.methods.list().methods}:
                assert running.poll() is None
            registration = host.operations.register(methodName=method, kwargs=kwargs)
            assert host.waitForResult(registration.id, NEVER) == result
            running.terminate()
            assert running.communicate(timeout=NEVER) == (said, "")
            assert running.returncode == 0
        finally:
            running.kill()
