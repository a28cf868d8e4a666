"""What README and documentation show runs, and prints what they say it prints."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_readme_example_runs():
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert block
    assert len(block[1].strip().splitlines()) <= 10 + 1  # ten lines and one blank
    done = subprocess.run([sys.executable, "-c", block[1]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch.Size([2, 10])" in done.stdout


def test_mssa_lowers_one_rate_and_raises_the_other():
    compare = runpy.run_path(str(ROOT / "examples" / "direction_of_mssa.py"))["compare"]
    found = compare()
    plain, plus, minus = found["Z"], found["Z + MSSA(Z)"], found["Z - MSSA(Z)"]
    assert plus["published"] < plain["published"] < minus["published"]
    assert minus["definition"] < plain["definition"] < plus["definition"]

    page = (ROOT / "docs" / "theory_and_code.md").read_text(encoding="utf-8")
    printed = re.findall(
        r"^(Z.*?)\s+definition\s+([\d.]+)\s+published\s+([\d.]+)$", page, flags=re.M
    )
    assert [name for name, *_ in printed] == list(found)
    for name, definition, published in printed:
        assert float(definition) == pytest.approx(found[name]["definition"], abs=0.1)
        assert float(published) == pytest.approx(found[name]["published"], abs=0.1)
