"""What the documents show runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Home

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["README.md", "clients/python/README.md"])
def test_the_samples_run(home: Home, document: str) -> None:
    samples = re.findall(r"```python\n(.*?)```", (TOP / document).read_text(), re.DOTALL)
    assert samples
    (home.folder / "opstead-data").symlink_to(home.data)
    for sample in samples:
        command = [sys.executable, "-W", "error", "-c", sample]
        ran = subprocess.run(command, cwd=home.folder, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout
