"""What makes the evidence shelf: its table, its folders, its search for paths."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import comparisons
import examples
import ledger
import ledger_markdown
import make
import pandas as pd
import portable
import pytest

from debottleneck.errors import UsageError
from debottleneck.trials import save
from debottleneck.trials.result import Comparison

ROOT = Path(__file__).parents[3]
HELPERS = {"common", "data", "model", "shard_server"}


def compared(folder: Path, comparison: Comparison) -> Path:
    """A comparison's folder as `bottleneck compare` leaves it."""
    examples.input_bound().recording.save(folder / save.BASELINE)
    comparisons.after().recording.save(folder / save.BEST)
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
        "2.11x (1.94 to 2.29)",
        "2.16x (2.09 to 2.22)",
        "same",
        "8 cores, Python 3.11.9",
        "2026-11-20",
    )


@pytest.mark.parametrize(
    ("comparison", "why"),
    [
        (comparisons.nothing(), "which is no difference"),
        (comparisons.interrupted(), "1 failed, 1 undecided"),
    ],
)
def test_row_without_a_winner(comparison: Comparison, why: str) -> None:
    """Where nothing helps a row says why, and claims nothing; cells stay whole."""
    _, verdict, *claims, _, _ = make.row("balanced", comparison)
    assert verdict.startswith("nothing helps: ")
    assert verdict.endswith(why)
    assert claims == ["-"] * 4
    odd = replace(comparison, environment={"processor": "a|b\nc"})
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


def shelf_of(folder: Path, *names: str, causes: str = "") -> Path:
    """A shelf whose workloads were all predicted."""
    for name in names:
        save.save(comparisons.predicted(), (), folder / name)
    (folder / make.CAUSES).write_text(causes)
    return folder


MISSED = '[branches]\n"parallel-update:workers=2" = "updates share a | lock"\n'


def test_readme_holds_predictions_against_targets(tmp_path: Path) -> None:
    """A row for each pair that was run, how good they are, and causes of misses."""
    readme = make.readme(shelf_of(tmp_path, "balanced", "branches", causes=MISSED))
    part = readme.partition("## The ledger")[2].partition("## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| b")]
    assert [row.split(" | ")[1] for row in rows] == [
        "`prefetch:workers=4`",
        "`parallel-update:workers=2`",
    ] * 2
    assert {row.count(" | ") for row in rows} == {len(ledger_markdown.HEADS) - 1}
    assert "| 1.56x (1.42 to 1.71) | 1.52x (1.44 to 1.60) | +2.6 % |" in rows[0]
    assert rows[0].endswith("| -2.6 % | yes |")
    assert rows[1].endswith("| -14 % | no |")
    assert "4 predictions: median error of the step time 8.4 % (target: at most" in part
    assert "50 % inside their interval (target: at least 80 %, missed)." in part
    off = "`parallel-update:workers=2` (step -14 %, speed-up +16 %)"
    assert f"* branches, {off}: updates share a | lock\n" in part
    assert f"* balanced, {off}: {ledger_markdown.UNKNOWN}\n" in part


def test_causes_that_the_numbers_show_need_no_words() -> None:
    """The machine was slower than when profiled; or the rounds hold the prediction."""
    table = ledger.rows(comparisons.predicted())
    drifted = table.iloc[[1]].assign(step_error=-0.2, speedup_error=0.02)
    assert "the plain script itself took" in ledger_markdown.render(drifted)
    wide = table.iloc[[1]].assign(
        speedup_error=0.3, measured_speedup_low=0.1, measured_speedup_high=9.0
    )
    assert "they differ so much" in ledger_markdown.render(wide)
    assert ledger_markdown.UNKNOWN in ledger_markdown.render(table.iloc[[1]])


def test_the_ledger_is_made_of_the_data(tmp_path: Path) -> None:
    """Each rendering writes it anew: nothing twice, with the causes of now."""
    shelf = shelf_of(tmp_path / "shelf", "balanced", "branches")
    make.render(shelf)
    (shelf / make.CAUSES).write_text(MISSED)
    make.render(shelf)
    table = ledger.read(shelf / ledger.FILE)
    assert list(table["workload"]) == ["balanced"] * 2 + ["branches"] * 2
    assert list(table["cause"]) == ["", "", "", "updates share a | lock"]
    pd.testing.assert_frame_equal(table, make.predictions(shelf))


def test_what_was_once_predicted_stays(tmp_path: Path) -> None:
    """A comparison that is made anew adds its rows; a miss of before is not lost."""
    shelf = shelf_of(tmp_path, "balanced")
    before = make.predictions(shelf).assign(date="2026-01-01T00:00:00+00:00")
    ledger.write(before, shelf / ledger.FILE)
    after = make.predictions(shelf)
    assert len(after) == 2 * len(before)
    assert set(before["date"]) < set(after["date"])


def test_a_shelf_without_predictions_says_so(tmp_path: Path) -> None:
    """Comparisons of before have none, and the ledger has no row."""
    save.save(comparisons.nothing(), (), tmp_path / "balanced")
    assert ledger_markdown.NO_PREDICTIONS in make.readme(tmp_path)
    assert make.predictions(tmp_path).empty


@pytest.mark.parametrize(
    ("causes", "words"),
    [("[branches", "no TOML"), ("branches = 1", r"\[branches\]"), ("[b]\nx=1", "b")],
)
def test_causes_that_cannot_be_read(tmp_path: Path, causes: str, words: str) -> None:
    """The file is named, with how it is written."""
    shelf = shelf_of(tmp_path, "branches", causes=causes)
    with pytest.raises(UsageError, match=rf"causes\.toml.*{words}"):
        make.readme(shelf)


def test_shelved_comparisons_try_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is predicted hopeless is measured too, or a miss would never be seen."""
    ran: list[list[str]] = []

    def note(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(make.subprocess, "run", note)
    assert make.compare("branches", 3, tmp_path / "branches")
    assert "--all" in ran[0]


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
    assert 'id="trials-table"' in page


def test_texts_of_trials_lose_their_places() -> None:
    """What trials said of their logs names no folder."""
    rows = pd.DataFrame({"trial": [1], "failure": ["see /srv/x/logs/a.log"]})
    assert list(portable.trials(rows, ("/srv/x",))["failure"]) == ["see logs/a.log"]


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
    """Those of a machine are; the kernel's, relative ones and addresses may stay."""
    folder = tmp_path / "article_load"
    save.save(comparisons.nothing(), (), folder)
    (tmp_path / make.README).write_text(
        "/proc/self/stat workloads/data.py https://example.org/home/a site/tmp/b"
    )
    assert make.machine_paths(tmp_path) == []
    (folder / "report.txt").write_text(text)
    pd.DataFrame({"what": [text]}).to_parquet(folder / "details.parquet")
    found = make.machine_paths(tmp_path)
    assert sorted(line.partition(" ")[0] for line in found) == [
        "article_load/details.parquet",
        "article_load/report.txt",
    ]
