"""A comparison's folder: what is saved is what is read."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import comparisons
import numpy as np
import pandas as pd
import pytest
from made_trials import measured, note

from debottleneck.errors import RecordingError
from debottleneck.trials import save
from debottleneck.trials.result import Comparison, Trial


def example(folder: Path) -> Comparison:
    """A comparison of this folder."""
    found = comparisons.faster()
    places = {"before": folder / "baseline", "after": folder / "best"}
    return replace(found, folder=folder, **places)


RAN = [
    save.TimedRun("", save.GATE_ROUND, measured([5.0, 6.0], memory_mb=40.0)),
    save.TimedRun(
        "prefetch", 0, measured([2.0], notes=(note("prefetch"),), exit_code=0)
    ),
    save.TimedRun("prefetch", 1, measured([], failure="broke", exit_code=-9)),
]


def test_load_gives_back_what_was_saved(tmp_path: Path) -> None:
    """Every field, also those of rows that never ran."""
    folder = tmp_path / "run"
    whole = example(folder)
    save.save(whole, RAN, folder)
    assert save.is_comparison(folder)
    assert save.load(folder) == whole


def test_nothing_measured(tmp_path: Path) -> None:
    """A comparison without a trial is saved and read like any other."""
    row = Trial("prefetch", {}, "prefetch", "undecided")
    empty = replace(
        example(tmp_path), baseline_ms=None, trials=(row,), after=None, keep=()
    )
    save.save(empty, [], tmp_path)
    assert save.load(tmp_path) == empty
    assert len(pd.read_parquet(tmp_path / save.TRIALS)) == 0
    assert len(pd.read_parquet(tmp_path / save.STEPS)) == 0


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    """Its recordings are found beside it."""
    first, second = tmp_path / "a", tmp_path / "b"
    save.save(example(first), RAN, first)
    shutil.move(first, second)
    found = save.load(second)
    assert found.folder == second
    assert found.before == second / "baseline"
    assert found.after == second / "best"


def test_a_row_for_each_trial_and_round(tmp_path: Path) -> None:
    """With what it cost, how it ended and what its strategy said."""
    save.save(example(tmp_path), RAN, tmp_path)
    table = pd.read_parquet(tmp_path / save.TRIALS)
    assert list(table["spec"]) == ["", "prefetch", "prefetch"]
    assert list(table["round"]) == [save.GATE_ROUND, 0, 1]
    assert list(table["steps"]) == [2, 1, 0]
    assert table["mean_ms"][0] == pytest.approx(5.5)
    assert np.isnan(table["mean_ms"][2])
    assert list(table["failure"]) == ["", "", "broke"]
    assert list(table["exit_code"].isna()) == [True, False, False]
    assert json.loads(table["notes"][1])[0]["strategy"] == "prefetch"


def test_every_step_is_kept(tmp_path: Path) -> None:
    """Samples, not only means."""
    save.save(example(tmp_path), RAN, tmp_path)
    table = pd.read_parquet(tmp_path / save.STEPS)
    assert list(table["trial"]) == [0, 0, 1]
    assert list(table["step"]) == [0, 1, 0]
    assert list(table["wall_ns"]) == [5_000_000, 6_000_000, 2_000_000]


def test_predictions_come_back_with_their_bounds(tmp_path: Path) -> None:
    """Also those of rows that were not tried."""
    save.save(comparisons.predicted(), RAN, tmp_path)
    rows = save.load(tmp_path).trials
    assert rows == comparisons.predicted().trials


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["damaged", "again"]),
        ("[]", ["damaged", "again"]),
        ("{}", ["damaged", "again"]),
        ('{"schema": 2}', ["lacks", "again"]),
        ('{"schema": 2, "command": 3}', ["lacks", "again"]),
        ('{"schema": 1}', ["older", "again"]),
        ('{"schema": 99}', ["newer", "upgrade"]),
        ('{"schema": "x"}', ["newer", "upgrade"]),
    ],
)
def test_what_cannot_be_read_says_so(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    """Our own error with what to do, whatever is in the file."""
    (tmp_path / save.FILE).write_text(text, encoding="utf-8")
    with pytest.raises(RecordingError) as caught:
        save.load(tmp_path)
    assert [word for word in words if word not in str(caught.value)] == []


def test_another_folder_is_none(tmp_path: Path) -> None:
    """A folder without the file is no comparison."""
    assert not save.is_comparison(tmp_path)
    with pytest.raises(RecordingError, match="not a comparison"):
        save.load(tmp_path)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    """A file in the way is said, not raised raw."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="cannot be written"):
        save.save(example(tmp_path), RAN, tmp_path / "file" / "run")
