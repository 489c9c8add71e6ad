"""What makes the evidence shelf: its table, its folders, its search for paths."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import comparisons
import examples
import pandas as pd
import pytest

from debottleneck.trials import save
from debottleneck.trials.result import Comparison

ROOT = Path(__file__).parents[2]
HELPERS = {"common", "data", "model", "shard_server"}


def make_module() -> ModuleType:
    """The script that makes the shelf, imported."""
    place = ROOT / "reports" / "make.py"
    spec = importlib.util.spec_from_file_location("reports_make", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = make_module()


def compared(folder: Path, comparison: Comparison) -> Path:
    """A comparison's folder as `bottleneck compare` leaves it."""
    for name, analysis in (
        (save.BASELINE, examples.input_bound()),
        (save.BEST, comparisons.after()),
    ):
        analysis.recording.save(folder / name)
    whole = replace(comparison, before=folder / save.BASELINE, after=folder / save.BEST)
    save.save(whole, (), folder)
    (folder / save.LOGS).mkdir()
    (folder / save.LOGS / "000.log").write_text("printed by the script")
    return folder


def test_every_workload_is_known() -> None:
    """Every script of the folder is a workload, but for the helpers."""
    files = {path.stem for path in (ROOT / "workloads").glob("*.py")}
    assert set(make.workloads()) == files - HELPERS


def test_row_of_a_winner() -> None:
    """A row names strategy, prediction, measurement, numbers, machine and date."""
    assert make.row("article_load", comparisons.faster()) == (
        "[article_load](article_load/report.txt) ([page](article_load/report.html))",
        "faster",
        "prefetch with 4 threads, 8 ahead",
        "2.11x",
        "2.16x (2.09 to 2.22)",
        "same",
        "8 cores, Python 3.11.9",
        "2026-11-20",
    )


@pytest.mark.parametrize(
    ("comparison", "why"),
    [
        (comparisons.nothing(), "which is no difference"),
        (comparisons.unverified(), "but its numbers are unverified"),
        (comparisons.interrupted(), "1 failed, 1 not finished"),
    ],
)
def test_row_without_a_winner(comparison: Comparison, why: str) -> None:
    """Where nothing helps the row says so, with the reason, and claims nothing."""
    _, verdict, *claims, _, _ = make.row("balanced", comparison)
    assert verdict.startswith("nothing helps: ")
    assert verdict.endswith(why)
    assert claims == ["-"] * 4


def test_cells_cannot_break_the_table() -> None:
    """A bar or a line end in a name stays within its cell."""
    odd = replace(comparisons.nothing(), environment={"processor": "a|b\nc"})
    assert make.row("balanced", odd)[-2].startswith("a\\|b\N{REPLACEMENT CHARACTER}c")


def test_readme_has_a_row_for_each_folder(tmp_path: Path) -> None:
    """The table is of the folders that are there, with what each workload is."""
    for name in ("balanced", "article_load"):
        save.save(comparisons.faster(), (), tmp_path / name)
    (tmp_path / "notes").mkdir()
    readme = make.readme(tmp_path)
    rows = [line for line in readme.splitlines() if line.startswith("| [")]
    assert [row[: row.index("]")] for row in rows] == ["| [article_load", "| [balanced"]
    assert {row.count(" | ") for row in rows} == {len(make.HEADS) - 1}
    assert "* `balanced`: A healthy loop: nothing is planted" in readme


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload that imports what is not there says what it lacks."""
    monkeypatch.setattr(make.importlib.util, "find_spec", lambda name: None)
    assert make.missing("torch_loader") == ["torch", "PIL"]
    assert make.missing("article_load") == []


def test_shelving_keeps_data_and_no_places(tmp_path: Path) -> None:
    """Data stay, logs and folders of the machine do not, and all can be rendered."""
    shelf = tmp_path / "shelf"
    folder = shelf / "article_load"
    make.shelve(compared(tmp_path / "found", comparisons.faster()), folder)
    make.render(shelf)
    assert {path.name for path in folder.iterdir()} == {
        save.FILE,
        *save.FILES.values(),
        save.BASELINE,
        save.BEST,
        make.TEXT,
        make.PAGE,
    }
    assert make.machine_paths(shelf) == []
    text = (folder / make.TEXT).read_text(encoding="utf-8")
    assert text == make.text(folder)
    assert "Before: The plain script" in text
    assert "After: Prefetch with 4 threads" in text
    page = (folder / make.PAGE).read_text(encoding="utf-8")
    assert '<script src="../plotly.js"></script>' in page


def test_texts_of_trials_lose_their_places() -> None:
    """What trials said of their logs names no folder."""
    rows = pd.DataFrame({"trial": [1], "failure": ["see /srv/x/logs/a.log"]})
    clear = make.without_paths(rows, ("/srv/x",))
    assert list(clear["failure"]) == ["see logs/a.log"]


@pytest.mark.parametrize(
    "text",
    [
        "file /home/ada/train.py, line 2",
        "'/tmp/run-1/x'",
        f"see {ROOT}/workloads",
        "(/root/.cache/a.jpg)",
    ],
)
def test_places_are_found_in_texts_and_tables(tmp_path: Path, text: str) -> None:
    """A folder of a machine is found in a text and in a packed table."""
    folder = tmp_path / "article_load"
    save.save(comparisons.nothing(), (), folder)
    (tmp_path / make.README).write_text("no place\n")
    assert make.machine_paths(tmp_path) == []
    (folder / "report.txt").write_text(text)
    pd.DataFrame({"what": [text]}).to_parquet(folder / "details.parquet")
    found = make.machine_paths(tmp_path)
    assert sorted(line.partition(" ")[0] for line in found) == [
        "article_load/details.parquet",
        "article_load/report.txt",
    ]


def test_what_every_machine_has_is_no_place(tmp_path: Path) -> None:
    """The kernel's files, relative paths and addresses may be named."""
    save.save(comparisons.nothing(), (), tmp_path / "balanced")
    said = "/proc/self/stat workloads/data.py https://example.org/home/a site/tmp/b"
    (tmp_path / make.README).write_text(said)
    assert make.machine_paths(tmp_path) == []
