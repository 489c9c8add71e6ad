"""Function times in the format of the standard library's pstats."""

from __future__ import annotations

import io
import pstats
from pathlib import Path

import examples
import made_exports
import pytest
from made_exports import HOSTILE
from made_runs import FILE

from debottleneck.analysis.result import Analysis
from debottleneck.errors import UsageError
from debottleneck.report.exports.pstats import render


def loaded(analysis: Analysis, folder: Path) -> pstats.Stats:
    """What pstats' own loader makes of the file."""
    path = folder / "run.pstats"
    path.write_bytes(render(analysis))
    return pstats.Stats(str(path), stream=io.StringIO())


ALL = ("~", 0, "<all threads>")
MAIN = ("~", 0, "<MainThread (trainer)>")
LOADER = ("~", 0, "<loader-0 (loader)>")


def test_functions_stand_below_their_threads(tmp_path: Path) -> None:
    """Two threads' calls are one entry, with their own time there; no CPU windows."""
    stats = loaded(made_exports.analysis(), tmp_path).stats
    threads = {MAIN: (6, 6, 0.03, 0.03), LOADER: (4, 4, 0.02, 0.02)}
    assert {key: value for key, value in stats.items() if key[0] == FILE} == {
        (FILE, 33, "load_batch"): (10, 10, 0.05, 0.5, threads),
        (FILE, 84, "update"): (3, 3, 0.04, 0.04, {MAIN: (3, 3, 0.04, 0.04)}),
    }
    assert stats[MAIN] == (0, 0, 0, 0.07, {ALL: (0, 0, 0, 0.07)})
    assert stats[ALL] == (0, 0, 0, pytest.approx(0.09), {})


def test_pstats_prints_and_sorts_it(tmp_path: Path) -> None:
    """The totals are the sums, and the report is sorted by what was asked."""
    stats = loaded(made_exports.analysis(), tmp_path)
    assert (stats.total_calls, stats.total_tt) == (13, pytest.approx(0.09))
    stats.strip_dirs().sort_stats("cumulative").print_stats()
    assert isinstance(stats.stream, io.StringIO)
    lines = stats.stream.getvalue().splitlines()
    named = [line.split()[-1] for line in lines if "train.py" in line]
    assert named == ["train.py:33(load_batch)", "train.py:84(update)"]


@pytest.mark.parametrize("names", [None, HOSTILE], ids=["example", "recording"])
def test_hostile_names_stay_on_their_line(
    names: made_exports.Names | None, tmp_path: Path
) -> None:
    """No name breaks the printed table."""
    made = made_exports.analysis(names) if names else examples.hostile()
    stats = loaded(made, tmp_path)
    stats.print_stats()
    assert isinstance(stats.stream, io.StringIO)
    rows = stats.stream.getvalue().split("(function)\n")[1].strip().split("\n")
    assert len(rows) == len(stats.stats)
    assert all(name.isprintable() for _, _, name in stats.stats)


def test_snakeviz_finds_a_root_and_all_below_it(tmp_path: Path) -> None:
    """Its own table has every row; its tree has one root, and loses no time."""
    snakeviz = pytest.importorskip("snakeviz.stats", reason="needs snakeviz")
    stats = loaded(made_exports.analysis(), tmp_path)
    assert len(snakeviz.table_rows(stats)) == 5
    tree = snakeviz.json_stats(stats)
    roots = [name for name, node in tree.items() if not node["callers"]]
    assert roots == ["~:0(<all threads>)"]
    threads = tree[roots[0]]["children"]
    assert set(threads) == {f"~:0({MAIN[2]})", f"~:0({LOADER[2]})"}
    below = [child for name in threads for child in tree[name]["children"].values()]
    assert sum(times[3] for times in below) == pytest.approx(0.09)


def test_a_recording_without_functions_says_what_to_do() -> None:
    """What is missing, why if the run said it, and the options that measure it."""
    with pytest.raises(UsageError, match=r"no functions of yappi") as error:
        render(made_exports.without("functions"))
    assert "--functions all" in error.value.remedy
    with pytest.raises(UsageError, match="switched off with --no-functions"):
        render(examples.healthy())
