"""The ledger of predictions: what comes into it, what stays, what it sums up to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import comparisons
import ledger
import pandas as pd
import pytest

from debottleneck.errors import RecordingError
from debottleneck.trials.result import Comparison

UPDATE = "parallel-update:workers=2"


def example(**changes: object) -> Comparison:
    """A comparison whose rows were all predicted, two of them run."""
    return replace(comparisons.predicted(), **changes)


def test_rows_are_those_predicted_and_measured() -> None:
    """What was not tried, or not predicted, is no row."""
    table = ledger.rows(example())
    assert list(table["spec"]) == ["prefetch:workers=4", UPDATE]
    assert list(table.columns) == list(ledger.COLUMNS)
    assert len(ledger.rows(comparisons.faster())) == 1
    assert ledger.rows(comparisons.nothing()).empty


def test_a_row_has_both_sides_and_their_errors() -> None:
    """Step and speed-up with intervals, and whether the interval held it."""
    known = {"processor": "AMD", "cores": 2, "python": "3.11.9"}
    table = ledger.rows(example(environment=known), {UPDATE: "a cause"})
    first, second = table.to_dict("records")
    assert (first["workload"], first["strategy"]) == ("train", "prefetch")
    assert (first["machine"], first["cores"], first["python"]) == ("AMD", 2, "3.11.9")
    assert first["date"] == comparisons.predicted().created
    assert (first["predicted_speedup_low"], first["predicted_speedup_high"]) == (
        1.42,
        1.71,
    )
    assert first["measured_ms"] == pytest.approx(185.5 / 1.52)
    assert first["measured_low_ms"] == pytest.approx(185.5 / 1.6)
    assert first["measured_high_ms"] == pytest.approx(185.5 / 1.44)
    assert first["step_error"] == pytest.approx(118.9 * 1.52 / 185.5 - 1)
    assert first["speedup_error"] == pytest.approx(1.56 / 1.52 - 1)
    assert (first["inside"], second["inside"]) == (True, False)
    assert (first["cause"], second["cause"]) == ("", "a cause")
    unknown = ledger.rows(example(environment={})).iloc[0]  # missing, and not zero
    assert unknown["machine"] == unknown["python"] == ""
    assert pd.isna(unknown["cores"])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("work/train.py", "--lr", "1"), "train"),
        (("-m", "package.train", "x"), "package.train"),
        (("-m",), ""),
        ((), ""),
    ],
)
def test_a_workload_is_called_by_its_script(words: tuple[str, ...], name: str) -> None:
    """Without folder and ending; a module by its name."""
    assert ledger.workload(example(command=words)) == name


def test_a_ledger_grows_and_keeps_what_was_there(tmp_path: Path) -> None:
    """The same comparison again replaces its rows; a later one is added."""
    file = tmp_path / ledger.FILE
    assert len(ledger.append(ledger.rows(example()), file)) == 2
    assert len(ledger.append(ledger.rows(example()), file)) == 2
    later = ledger.rows(example(created="2026-12-01T00:00:00+00:00"))
    table = ledger.append(later, file)
    assert len(table) == 4
    pd.testing.assert_frame_equal(ledger.read(file), table)
    pd.testing.assert_frame_equal(table[:2], ledger.rows(example()))
    assert [path.name for path in tmp_path.iterdir()] == [ledger.FILE]


@pytest.mark.parametrize("content", [b"", b"junk", b"PAR1" * 9, None])
def test_a_file_that_is_no_ledger_stays_as_it_is(
    tmp_path: Path, content: bytes | None
) -> None:
    """Nothing is written over what cannot be read; missing columns are not made up."""
    file = tmp_path / ledger.FILE
    if content is None:
        pd.DataFrame({"workload": ["train"]}).to_parquet(file)
    else:
        file.write_bytes(content)
    before = file.read_bytes()
    with pytest.raises(RecordingError, match="move it away"):
        ledger.append(ledger.rows(example()), file)
    assert file.read_bytes() == before


def test_the_summary_is_of_step_errors() -> None:
    """Median and worst without their signs; None where there is nothing."""
    found = ledger.summary(ledger.rows(example()))
    assert found is not None
    errors = 1 - 118.9 * 1.52 / 185.5, 1 - 175.0 * 0.91 / 185.5
    assert found.count == 2
    assert found.worst == pytest.approx(errors[1])
    assert found.median == pytest.approx(sum(errors) / 2)
    assert found.inside == 0.5
    assert ledger.summary(ledger.joined(())) is None
