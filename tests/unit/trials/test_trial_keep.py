"""What keeps the winner: the patch, or why there is none, and the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made_runs
import pandas as pd
import pytest
from made_trials import script

from debottleneck.collect.options import Options, StageTarget
from debottleneck.strategies.rewriting.plan import Plan
from debottleneck.strategies.spec import parse
from debottleneck.trials import keep


def sites(path: Path, *rows: tuple[str, str, int, str]) -> pd.DataFrame:
    """Sites of (stage, name, line, kind)."""
    made = [
        (1, number, stage, name, str(path), line, kind)
        for number, (stage, name, line, kind) in enumerate(rows)
    ]
    return made_runs.table("sites", made)


PLAIN = """\
import time
def load(i):
    return i
for i in range(9):
    print(load(i))
"""


def _plan(path: Path, **fields: Any) -> dict[str, Any]:
    base = Plan("prefetch", str(path), 4, heavy=(0,), worth=(0,), workers=4, depth=8)
    return {**base.as_json(), **fields}


def test_the_plans_that_held() -> None:
    """One that was undone, and what was refused, is none."""
    path = Path("train.py")
    one, two = _plan(path), _plan(path, line=7)
    notes: list[dict[str, Any]] = [
        {"state": "engaged", "plan": one},
        {"state": "engaged", "plan": two},
        {"state": "refused", "plan": _plan(path, line=9)},
        {"state": "failed", "plan": one},
        {"state": "summary"},
    ]
    assert keep.plans_in(notes) == (two,)


def test_the_patch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lines are those of the file that is written, relative to this folder."""
    monkeypatch.chdir(tmp_path)
    path, file = script(tmp_path / "train.py", PLAIN), tmp_path / "keep.patch"
    lines, said = keep.patch((_plan(path),), file)
    assert "+for made in prefetch(range(9), load_ahead, workers=4, depth=4):" in lines
    assert lines[:2] == ("--- a/train.py", "+++ b/train.py")
    assert "\n".join([*lines, ""]) == file.read_text()
    assert said == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"unwritten": "it is odd"}, "train.py:4: it is odd; `bottleneck run"),
        ({"line": 2}, "train.py:2: line 2 is no loop any more"),
        ({"heavy": (0, 9)}, "it divides what a function does"),
    ],
)
def test_no_patch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], why: str
) -> None:
    """It says why in one sentence, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    path, file = script(tmp_path / "train.py", PLAIN), tmp_path / "keep.patch"
    lines, said = keep.patch((_plan(path, **fields),), file)
    assert lines == ()
    assert why in said[0]
    assert not file.exists()


def test_the_command() -> None:
    """It runs the script as it is, quoted for a shell."""
    target = Options(
        target="my train.py",
        arguments=("--lr", "0.1"),
        module=False,
        python="python",
        stages=(StageTarget("load", "data", "Reader.rows"),),
    )
    assert keep.command(target, parse("prefetch:workers=4")) == (
        "bottleneck run --strategy prefetch:workers=4 --stage load=data:Reader.rows "
        "'my train.py' --lr 0.1"
    )
