"""A comparison made of saved recordings: rows, names, notes, and what is shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import comparisons
import numpy as np
import pytest
from made_runs import FACTS, MS, PID, marks, sites, table, threads

from debottleneck.analysis.analyse import analyse
from debottleneck.errors import RecordingError, UsageError
from debottleneck.recording.assemble import load
from debottleneck.recording.recording import Facts, Recording
from debottleneck.report.machine.comparison import render as document
from debottleneck.report.words import comparison as comparison_words
from debottleneck.trials import result, verdict
from debottleneck.trials.recorded import compare_recordings, names_of
from debottleneck.trials.sides import read, trial_steps

Steps = Sequence[float]


def times(mean_ms: float, steps: int = 80, noise: float = 0.02) -> list[float]:
    """Step times around a mean, the same for the same arguments."""
    rng = np.random.default_rng(round(1000 * mean_ms) + steps)
    return list(mean_ms * (1 + noise * rng.standard_normal(steps)))


def saved(
    folder: Path,
    steps_ms: Steps,
    stages: Sequence[str] = ("load", "forward", "update"),
    blocks: Sequence[tuple[str, int, int]] = (),
    **facts: Any,
) -> Path:
    """A recording whose steps spend equal times in these stages."""
    at, words = 0.0, []
    for step in steps_ms:
        for stage in stages:
            words.append((at, f"+{stage}"))
            at += step / len(stages)
            words.append((at, f"-{stage}"))
    known: Facts = replace(FACTS, **{"end_ns": round((at + 1) * MS), **facts})
    tables = {
        "sites": sites(),
        "threads": threads((PID, "MainThread")),
        "marks": marks({PID: words}),
        "blocks": table("blocks", blocks),
    }
    Recording.of(known, tables).save(folder)
    return folder


def pair(tmp_path: Path, *means_ms: float) -> list[Path]:
    """Recordings called slow and fast, of these mean steps."""
    names = ("slow", "fast")
    return [
        saved(tmp_path / name, times(ms))
        for name, ms in zip(names, means_ms, strict=True)
    ]


def test_a_faster_recording(tmp_path: Path) -> None:
    """Its row says how much, with an interval; nobody compared the numbers."""
    slow, fast = pair(tmp_path, 10, 5)
    found, _ = compare_recordings(slow, [fast])
    (row,) = found.trials
    assert (row.spec, row.verdict, row.numbers) == ("fast", "faster", "unverified")
    assert row.speedup is not None
    assert row.speedup.low < 2 < row.speedup.high
    assert row.speedup.high / row.speedup.low < 1.35
    assert row.step_ms == pytest.approx(5, rel=0.02)
    assert (row.memory_mb, row.cpu_ms) == (None, None)
    assert found.recorded
    assert (found.baseline, found.best) == ("slow", "fast")
    assert (found.before, found.after, found.folder) == (slow, fast, None)
    assert (found.keep, found.run) == ((), "")
    comparison_words.check(found)
    said = comparison_words.headline(found)
    assert said.startswith(f"fast: {row.speedup.value:.2f}x as fast as slow (")
    assert said.endswith("; numbers were not compared.")


def test_rows_are_best_first_and_the_best_is_shown(tmp_path: Path) -> None:
    """Whatever the order on the command line."""
    paths = [saved(tmp_path / f"run{ms}", times(ms)) for ms in (10, 20, 4, 7)]
    found, _ = compare_recordings(paths[0], paths[1:])
    rows = [(row.spec, row.verdict) for row in found.trials]
    assert rows == [("run4", "faster"), ("run7", "faster"), ("run20", "slower")]
    assert found.after == paths[2]


@pytest.mark.parametrize(
    ("mean_ms", "word", "said"),
    [
        (10.2, result.UNDECIDED, ", which is undecided; numbers"),
        (20.0, result.SLOWER, ", which is slower; numbers"),
    ],
)
def test_nothing_is_gained(
    tmp_path: Path, mean_ms: float, word: str, said: str
) -> None:
    """There is no winner, and still both recordings are shown."""
    first, other = pair(tmp_path, 10, mean_ms)
    found, _ = compare_recordings(first, [other])
    assert (found.trials[0].verdict, found.best, found.after) == (word, "", other)
    assert said in comparison_words.headline(found)


def test_more_candidates_widen_the_intervals(tmp_path: Path) -> None:
    """All of them hold at once, as in `bottleneck compare`."""
    paths = [saved(tmp_path / name, times(5 + at)) for at, name in enumerate("abcde")]
    alone, _ = compare_recordings(paths[0], paths[1:2])
    among, _ = compare_recordings(paths[0], paths[1:])
    one = alone.trials[0].speedup
    other = next(row.speedup for row in among.trials if row.spec == "b")
    assert one is not None
    assert other is not None
    assert other.value == one.value
    assert other.low < one.low < one.high < other.high


def test_only_quiet_steps_count(tmp_path: Path) -> None:
    """Neither the warm-up nor steps under an instrument; as the analysis has it."""
    steps = times(10)
    steps[0], steps[40:50] = 500.0, [90.0] * 10
    begun = sum(steps[:40])
    block = ("stacks", round((begun + 1) * MS), round((begun + 899) * MS))
    slow = saved(tmp_path / "slow", steps, blocks=[block])
    fast = saved(tmp_path / "fast", times(5))
    found, measured = compare_recordings(slow, [fast])
    loop = analyse(load(slow)).loop
    assert found.baseline_ms is not None
    assert found.baseline_ms.value == pytest.approx(loop.step_ms)
    assert found.baseline_ms.low < loop.step_low  # of other runs, too
    assert found.steps == loop.measured
    assert found.steps < 80 - 10
    assert measured.steps["wall_ns"].max() < 20 * MS


def test_a_recording_without_steps_is_refused(tmp_path: Path) -> None:
    """It is named, with what to do; so is one that is none."""
    good = saved(tmp_path / "good", times(10))
    bare = saved(tmp_path / "bare", [])
    with pytest.raises(UsageError, match="bare shows no training steps") as caught:
        compare_recordings(good, [bare])
    assert "--step" in caught.value.remedy
    short = saved(tmp_path / "short", times(10, 2))
    with pytest.raises(UsageError, match="short shows 1 quiet steps, too few"):
        compare_recordings(short, [good])
    with pytest.raises(RecordingError, match="is not a recording"):
        compare_recordings(good, [tmp_path / "none"])


def test_names_tell_recordings_apart(tmp_path: Path) -> None:
    """The folder's own, or with folders above; endings that all share say nothing."""
    a, b, c = (tmp_path / name for name in "abc")
    assert names_of([a, b]) == ["a", "b"]
    assert names_of([a / "x", b / "x", a / "y"]) == ["a/x", "b/x", "a/y"]
    assert names_of([a / "baseline", b / "baseline"]) == ["a", "b"]
    assert names_of([a / "baseline", a / "baseline" / "baseline"]) == ["a", "baseline"]
    assert names_of([a / "x", c / "a" / "x"]) == [tmp_path.name, "c"]
    with pytest.raises(UsageError, match="twice"):
        names_of([a, b, b / ".." / "a"])
    with pytest.raises(UsageError, match="two recordings"):
        names_of([a])


def test_each_recording_is_changed_before_it_is_read(tmp_path: Path) -> None:
    """So that what a redaction takes away comes nowhere."""
    paths = [saved(tmp_path / n, times(9), command=("/secret/x.py",)) for n in "ab"]

    def hidden(recording: Recording) -> Recording:
        return replace(recording, facts=replace(recording.facts, command=("x.py",)))

    found, _ = compare_recordings(paths[0], paths[1:], change=hidden)
    assert found.command == ("x.py",)
    assert "secret" not in repr(found)


def notes(tmp_path: Path, first: dict[str, Any], other: dict[str, Any]) -> str:
    """The notes of a comparison of two recordings that differ in this."""
    steps = {"steps_ms": times(10)}
    one = saved(tmp_path / "one", **{**steps, **first})
    two = saved(tmp_path / "two", **{**steps, **other})
    return "\n".join(compare_recordings(one, [two])[0].notes)


def test_like_recordings_need_one_note(tmp_path: Path) -> None:
    """That each ran too seldom; another folder makes no other command."""
    facts = {"command": ("/old/train.py", "--lr", "1"), "script": "/old/train.py"}
    other = {"command": ("train.py", "--lr", "1"), "script": "train.py"}
    said = notes(tmp_path, facts, other)
    assert said.count("\n") == 0
    assert "fewer than 3 runs of a side" in said
    assert "4 %" in said


@pytest.mark.parametrize(
    ("first", "other", "words"),
    [
        (
            {"command": ("train.py", "--lr", "1")},
            {"command": ("train.py",)},
            ["not the same command", "`train.py --lr 1` for one", "`train.py` for two"],
        ),
        (
            {"command": ("-m", "a.train"), "script": "a.train"},
            {"command": ("-m", "a.other"), "script": "a.other"},
            ["`a.train` for one, `a.other` for two"],
        ),
        (
            {"environment": {"cores": 2, "packages": {"numpy": "1", "PIL": "1"}}},
            {"environment": {"cores": 8, "packages": {"numpy": "2", "PIL": "2"}}},
            ["surroundings of two", "cores 8 instead of 2, numpy 2 instead of 1"],
        ),
        ({"steps_ms": times(10, 15)}, {}, ["only 13 quiet steps of one"]),
        (
            {"partial": True, "partial_why": "killed"},
            {},
            ["recording one is partial: killed"],
        ),
        ({"stages": ("forward", "update")}, {}, ["bounded in different ways"]),
    ],
)
def test_what_makes_recordings_unlike(
    tmp_path: Path, first: dict[str, Any], other: dict[str, Any], words: list[str]
) -> None:
    """Another loop, another place, too little: each is a note."""
    said = notes(tmp_path, first, other)
    assert [word for word in words if word not in said] == []


def test_strategies_of_a_recording(tmp_path: Path) -> None:
    """What the recording says was applied is the row's strategy; else its name is."""
    spec = "prefetch:workers=4+parallel-update"
    paths = [
        saved(tmp_path / "plain", times(10), options={"strategies": ""}),
        saved(tmp_path / "both", times(3), options={"strategies": spec}),
        saved(tmp_path / "later", times(4), options={"strategies": "teleport:by=5"}),
        saved(tmp_path / "old", times(5), options={}),
    ]
    found, _ = compare_recordings(paths[0], paths[1:])
    both, later, old = found.trials
    assert both.strategy == "prefetch+parallel-update"
    assert both.settings == {"prefetch.workers": 4}
    assert (both.spec, both.did) == ("both", (f"ran with {spec}",))
    assert (later.strategy, later.settings) == ("later", {})
    assert (old.strategy, old.did) == ("old", ())


def test_bursts_of_a_prefetch_stay_whole(tmp_path: Path) -> None:
    """Eight batches come at once: blocks of fewer steps would not be alike."""
    bursty = [80.0, *[0.1] * 7] * 8
    paths = [saved(tmp_path / "plain", times(80))]
    for name, spec in (("known", "prefetch:workers=8"), ("unknown", "")):
        facts = {"options": {"strategies": spec, "warmup": 8}}
        paths.append(saved(tmp_path / name, bursty, **facts))
    found, _ = compare_recordings(paths[0], paths[1:])
    width = {row.spec: row.speedup.high / row.speedup.low for row in found.trials}
    assert width["known"] < 1.4
    assert width["unknown"] > 2 * width["known"]


def test_measurements_are_the_quiet_steps(tmp_path: Path) -> None:
    """Of each recording, the first under no name, as after `bottleneck compare`."""
    paths = [saved(tmp_path / name, times(6 + at)) for at, name in enumerate("abc")]
    _, measured = compare_recordings(paths[0], paths[1:])
    assert list(measured.trials["spec"]) == ["", "b", "c"]
    assert list(measured.trials["steps"]) == [78, 78, 78]
    assert measured.trials["memory_mb"].isna().all()
    assert measured.losses.empty
    steps = trial_steps(measured)
    assert list(steps["spec"].unique()) == ["", "b", "c"]
    assert steps[steps["spec"] == "b"]["ms"].mean() == pytest.approx(7, rel=0.02)


def test_sides_of_recordings(tmp_path: Path) -> None:
    """Both sides by their names, with the tables that nobody saved."""
    here = {"environment": {"cores": 2}}
    there = {"environment": {"cores": 8}}
    slow = saved(tmp_path / "slow<b>", times(10), **here)
    fast = saved(tmp_path / "fast\x1b", times(5), **there)
    found, measured = compare_recordings(slow, [fast])
    shown = read(found, comparison_words.labels(found), measured=measured)
    assert [(s.id, s.label) for s in shown.sides] == [
        ("before", "slow<b>"),
        ("after", "fast\N{REPLACEMENT CHARACTER}"),
    ]
    assert [round(side.step_ms) for side in shown.sides] == [10, 5]
    assert shown.measured is measured
    assert shown.gaps == ()
    (only,) = shown.differences
    assert (only.what, only.before, only.after) == ("cores", "2", "8")


def test_differences_need_two_sides(tmp_path: Path) -> None:
    """One that has gone since is a gap, and nothing is called different."""
    slow, fast = pair(tmp_path, 10, 5)
    found, measured = compare_recordings(slow, [fast])
    (fast / "marks.parquet").unlink()
    shown = read(found, comparison_words.labels(found), measured=measured)
    assert [side.id for side in shown.sides] == ["before"]
    assert "fast cannot be shown" in shown.gaps[0].lower()
    assert shown.differences == ()


def test_one_run_each_leaves_room_for_how_runs_differ() -> None:
    """However regular the steps are; noise on either side widens the interval."""
    steady, faster = np.full(500, 10 * MS), np.full(900, 10 * MS * 100 // 105)
    ratio = verdict.apart([steady], [faster])
    assert ratio.value == pytest.approx(1.05, rel=1e-6)
    assert verdict.word(ratio) == result.UNDECIDED
    assert verdict.word(verdict.apart([steady], [steady // 2])) == result.FASTER
    noisy = np.array([round(ms * MS) for ms in times(10, 70, noise=0.5)])
    narrow = verdict.apart([steady], [steady])
    for sides in (([steady], [noisy]), ([noisy], [steady])):
        wide = verdict.apart(*sides)
        assert narrow.high / narrow.low < wide.high / wide.low
        assert wide == verdict.apart(*sides)


def test_a_recording_may_be_faster_with_numbers_nobody_knows() -> None:
    """But not without an interval that shows it; a trial that was run may not."""
    whole = comparisons.recorded()
    comparison_words.check(whole)
    first = replace(whole.trials[0], speedup=result.Interval(1.1, 0.9, 1.3))
    with pytest.raises(RecordingError, match="calls with-threads faster"):
        comparison_words.check(replace(whole, trials=(first,)))
    with pytest.raises(RecordingError, match="calls with-threads faster"):
        comparison_words.check(replace(whole, recorded=False))
    none = replace(whole, trials=(), best="")
    assert comparison_words.headline(none) == "Nothing was compared."


def test_scripts_see_that_recordings_were_compared() -> None:
    """The document says so, and what the baseline is called."""
    found = json.loads(document(comparisons.recorded()))
    assert found["recorded"] is True
    assert found["baseline"]["name"] == "slow-run"
    assert {trial["numbers"] for trial in found["trials"]} == {"unverified"}
    measured = json.loads(document(comparisons.faster()))
    assert (measured["recorded"], measured["baseline"]["name"]) == (False, None)
