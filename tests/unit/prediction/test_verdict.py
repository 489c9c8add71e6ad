"""The verdict: findings quote what is predicted of their action, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import made_plans
import made_predictions
import pandas as pd
import pytest
from made_loops import HEALTHY, NO_LOOP, crowd, loop_of, rows, socket_loop
from made_runs import PID, table
from said import gains, gains_in_json

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.findings import diagnose
from debottleneck.analysis.frames import COLUMNS, empty
from debottleneck.analysis.result import (
    Analysis,
    Candidate,
    Prediction,
    Predictions,
)
from debottleneck.prediction import actions
from debottleneck.prediction.verdict import advised, judged, told, verdict
from debottleneck.report import render
from debottleneck.report.text import run


def said(analysis: Analysis, *rows: Prediction, **more: object) -> Analysis:
    """The analysis diagnosed and judged, with these predictions if there are any."""
    found = replace(made_predictions.WAITING, rows=rows, settings=(), **more)
    analysis = replace(
        analysis, findings=diagnose(analysis), predictions=found if rows else None
    )
    findings = tuple(advised(analysis, finding) for finding in analysis.findings)
    analysis = replace(analysis, findings=findings)
    return replace(analysis, verdict=verdict(analysis))


def test_verdict_of_a_finding_has_three_lines() -> None:
    """What, on which line, what to do; the ceiling is no gain to expect."""
    lines = said(socket_loop()).verdict
    assert "waiting for the network" in lines.what
    assert lines.where == "In `read_rows` (train.py:14) and `load_batch` (train.py:20)."
    assert lines.action.startswith("Fetch batches ahead of use")
    assert not re.search(r"\d\.\d+x", lines.action)


def test_verdict_without_lines_uses_the_marked_place() -> None:
    """Without stacks the function is named whose marks took most of the stage."""
    sites = [
        (PID, 3, "load", "load_batch", "/home/u/train.py", 12, "function"),
        (PID, 4, "load", "next_batch", "/home/u/train.py", 40, "function"),
        (PID, 5, "load", "torch DataLoader", "", 0, "torch"),
    ]
    spans = [(3, 0, 10), (4, 10, 15), (5, 20, 90)]
    segments = [
        {"pid": PID, "stage": "load", "site": site, "start_ns": start, "end_ns": end}
        for site, start, end in spans
    ]
    analysis = loop_of(
        {("load", "sleep"): 0.9},
        segments=rows("segments", segments),
        sites=table("sites", sites),
    )
    lines = said(analysis).verdict
    assert lines.where == "In `load_batch` (train.py:12)."


def test_verdict_of_a_healthy_loop() -> None:
    """Nothing is wrong, and what the time goes to."""
    lines = said(loop_of(HEALTHY)).verdict
    assert lines.what == (
        "Nothing is wrong: the time of each step goes to native code in `backward` "
        "(36 %), native code in `forward` (30 %) and native code in `update` (18 %)."
    )
    assert lines.action == "No change is advised."


@pytest.mark.parametrize("sampled", [True, False])
def test_verdict_without_causes_does_not_call_it_healthy(sampled: bool) -> None:
    """What was not measured is not "nothing wrong"."""
    shares = {("load", "unattributed"): 0.7, ("forward", "unattributed"): 0.3}
    analysis = loop_of(shares)
    if not sampled:
        analysis = replace(analysis, causes=empty("causes"))
    lines = said(analysis).verdict
    assert lines.what == (
        "What parts of the step wait for was not measured: the time of each step goes "
        "to `load` (70 %) and `forward` (30 %)."
    )
    assert "mend that" in lines.action


def test_verdict_admits_much_unknown_time() -> None:
    """A third without a cause is not called healthy either."""
    shares = {("forward", "unattributed"): 0.4, ("forward", "native"): 0.6}
    assert said(loop_of(shares)).verdict.what.startswith("No cause is known for 40 %")


def line_of(stage: str, line: int) -> pd.DataFrame:
    """The lines table of a stage whose samples are all of one line."""
    row = (stage, "trainer", "MainThread", "main", "/w/train.py", line, 1.0)
    return pd.DataFrame([row], columns=[*COLUMNS["lines"]])


def test_verdict_without_steps_names_the_users_own_lines() -> None:
    """A script without a loop is told why, and what to name, ready to paste."""
    shares = {("other", "native"): 1.0}
    lines = verdict(loop_of(shares, loop=NO_LOOP))
    assert lines.what.startswith("No training steps were found (no stage was seen)")
    assert lines.action == "Profile for longer, until a loop of the script repeats."
    lines = verdict(loop_of(shares, loop=NO_LOOP, lines=line_of("other", 17)))
    assert "around train.py:17" in lines.action
    other = Candidate("for x in data", "/w/train.py", 12, 400, "--step train.py:12")
    lines = verdict(loop_of(shares, loop=replace(NO_LOOP, others=(other,))))
    assert '"for x in data"' in lines.action
    assert "`--step train.py:12`" in lines.action


PREFETCH = made_predictions.row("prefetch:workers=4", 2.16)
KEPT = replace(
    PREFETCH,
    worth=False,
    why_not="line 9 changes rng, which line 12 uses",
    edit="let line 9 draw from a generator of its own",
)


def test_a_finding_s_gain_is_the_prediction_of_its_action() -> None:
    """With its interval, and that nobody has tried it; the ceiling is not said."""
    analysis = said(socket_loop(), PREFETCH)
    (finding, *_) = analysis.findings
    assert finding.gain == PREFETCH
    assert finding.action.startswith(
        "Try `prefetch:workers=4`: 2.16x (2.07 to 2.25) predicted, not tried yet. By "
        "hand (not tried): Fetch"
    )
    assert analysis.verdict.action == finding.action


def test_an_action_that_does_not_act_says_the_edit() -> None:
    """Why, what to change, and what it would bring then."""
    (finding, *_) = said(socket_loop(), KEPT).findings
    assert finding.action.startswith(
        "`prefetch:workers=4` would bring 2.16x (2.07 to 2.25), but does not act here: "
        "line 9 changes rng, which line 12 uses; let line 9 draw from a generator of "
        "its own."
    )


@pytest.mark.parametrize(
    ("row", "opening"),
    [
        (made_predictions.UPDATE, "Nothing is wrong"),
        (KEPT, "Nothing is wrong"),
        (PREFETCH, "No cause stands out"),
        (replace(PREFETCH, worth=False), "No cause stands out"),
    ],
)
def test_nothing_is_wrong_only_where_nothing_gains(
    row: Prediction, opening: str
) -> None:
    """Whether the gain can be relied on or not; of what acts."""
    lines = said(loop_of(HEALTHY), row).verdict
    assert lines.what.startswith(opening)
    assert (row.text in lines.action) == (opening != "Nothing is wrong")


def test_the_best_is_tried_first_whatever_the_headline() -> None:
    """A headline that no strategy is for has the loop's best before its action."""
    analysis = said(loop_of({("other", "python"): 0.6}), PREFETCH)
    assert analysis.verdict.action.startswith("Try `prefetch:workers=4`: 2.16x")
    shares = {("checkpoint", "disk"): 0.4, ("forward", "native"): 0.6}
    action = said(loop_of(shares), PREFETCH).verdict.action
    assert action.startswith("Try `prefetch:workers=4`: 2.16x")
    assert "Only a trial can tell what `background:checkpoint` gains" in action


def test_what_cannot_be_relied_on_is_not_advised() -> None:
    """The doubt stands beside the number."""
    row = replace(PREFETCH, worth=False)
    (finding, *_) = said(socket_loop(), row, doubt="no core is free").findings
    assert "2.25) predicted, but do not rely on it: no core is free." in finding.action


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        ({"exit_code": 3}, "The script failed with exit code 3. Until then: "),
        ({"exit_signal": 11}, "The script failed: it was ended by signal 11 (SIGSEGV)"),
        ({"exit_signal": 2}, "The script was ended by signal 2 (SIGINT). Until then"),
        ({"exit_code": 1, "ended_by": "seconds"}, "The trainer spends"),
    ],
)
def test_a_script_that_failed_has_its_exit_first(facts: dict, first: str) -> None:
    """And no headline on cores, which it may have failed for."""
    for analysis in (socket_loop(), crowd(3)):
        recording = analysis.recording
        changed = replace(recording, facts=replace(recording.facts, **facts))
        lines = said(replace(analysis, recording=changed)).verdict
        assert lines.what.startswith(first)
        assert ("own threads compete" in lines.what) == (
            analysis.threads is not None
            and "exit_code" in facts
            and facts.get("ended_by") == "seconds"
            and not analysis.threads.empty
        )
        assert lines.action.startswith("Mend that") == ("failed" in first)


def test_other_work_is_one_line_beside_the_cause() -> None:
    """From three tenths of a core on."""
    assert said(crowd(3, foreign_load=0.29)).verdict.note == ""
    lines = said(crowd(3, foreign_load=0.31)).verdict
    assert lines.note.startswith("Other work kept 0.3 cores busy meanwhile")
    assert "own threads compete" in lines.what


@pytest.mark.parametrize("format", ["text", "html", "json"])
def test_one_action_has_one_gain_on_a_report(format: str) -> None:
    """Of a recorded loop, and of what was predicted of others."""
    recorded = judged(analyse(made_plans.run()))
    waiting = said(socket_loop(), *made_predictions.WAITING.rows)
    for analysis in (recorded, waiting):
        wide = format == "text"
        report = run.render(analysis, width=200) if wide else render(analysis, format)
        found = gains_in_json(str(report)) if format == "json" else gains(str(report))
        assert found
        assert all(len(numbers) == 1 for numbers in found.values()), found


def test_two_gains_of_one_action_are_seen() -> None:
    """In sentences and in tables, in whatever medium."""
    two = "Try `prefetch:workers=2`: 1.9x (1.8 to 2.0). prefetch:workers=2  9.1  1.5x"
    assert gains(two) == {"prefetch:workers=2": {1.9, 1.5}}
    assert gains("<td>gc:off</td><td>no</td><td>1.2x</td>") == {"gc:off": {1.2}}


@pytest.mark.parametrize("planned", [True, False])
def test_what_was_tried_is_quoted(planned: bool) -> None:
    """With what was measured, whether it was predicted or not; never as untried."""
    analysis = socket_loop()
    predicted = made_predictions.WAITING if planned else None
    analysis = replace(analysis, findings=diagnose(analysis), predictions=predicted)
    outcome = "2.16x (2.07 to 2.25) predicted, 2.00x (1.90 to 2.10) measured: faster"
    found = told(analysis, {"prefetch:workers=4": outcome})
    assert f"`prefetch:workers=4`: {outcome}." in found.verdict.action
    assert "not tried yet" not in found.verdict.action
    assert "parallel" not in found.verdict.action


def test_a_run_with_a_strategy_is_not_advised() -> None:
    """Its steps are no longer those of the plain script."""
    analysis = analyse(made_plans.run())
    assert isinstance(judged(analysis).predictions, Predictions)
    assert judged(applied(analysis, "prefetch")).predictions is None
    waits = socket_loop()
    waits = replace(waits, findings=diagnose(waits))
    (left,) = judged(applied(waits, "gc:off+prefetch:workers=2")).findings
    assert left.action == "This is what `gc:off+prefetch:workers=2` leaves."
    (other,) = judged(applied(waits, "parallel-update")).findings
    assert other.action.endswith(" That was not tried.")


def applied(analysis: Analysis, strategies: str) -> Analysis:
    """The same of a run that was made with strategies."""
    options = {**analysis.recording.facts.options, "strategies": strategies}
    facts = replace(analysis.recording.facts, options=options)
    return replace(analysis, recording=replace(analysis.recording, facts=facts))


def test_idle_threads_of_blas_are_also_tried_with_loading_ahead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Right after without; not with what would not act or gains too little."""
    monkeypatch.setattr(actions, "contenders", lambda _: SimpleNamespace(pooled=True))
    ahead = next(r for r in made_predictions.WAITING.rows if r.spec[:8] == "prefetch")
    ahead = replace(ahead, why_not="", speedup=1.05)
    for row, also in (
        (ahead, [f"blas:threads=1+{ahead.spec}"]),
        (replace(ahead, why_not="a reason"), []),
        (replace(ahead, speedup=1.04), []),
    ):
        found = replace(made_predictions.WAITING, rows=(row,))
        specs = actions.untold(socket_loop(), found)
        assert specs[specs.index("blas:threads=1") + 1 :] == (*also,)
