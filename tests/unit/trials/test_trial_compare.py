"""A whole comparison on a script that is never run: gate, rounds, winner, folder."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import examples
import pytest
from made_trials import FakeScript, predictions

from debottleneck.agent.guard import Changes
from debottleneck.agent.state import Extent
from debottleneck.analysis.result import Analysis, Candidate, Predictions
from debottleneck.collect.options import Options
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.strategies.rewriting.plan import Plan
from debottleneck.strategies.spec import Strategies, parse
from debottleneck.trials import (
    baseline,
    compare,
    gate,
    result,
    save,
    shortlist,
)
from debottleneck.trials.result import Comparison, Judgement
from debottleneck.trials.state import History, States, ThreadState
from debottleneck.trials.trial import Measured

TARGET = Options("train.py", ("--lr", "1"), False, "python")
FETCH, FETCH_MORE = "prefetch:workers=2", "prefetch:workers=4"
UPDATE = "parallel-update"
BOTH = f"{FETCH_MORE}+{UPDATE}"

Run = Callable[..., tuple[Comparison, bool]]


def states_of(spec: str) -> States:
    """Two steps whose losses are 1, on a thread that bears the strategies' name."""
    held = {"loss": History([1, 2], [["1.0"], ["1.0"]])}
    return States({spec or "plain": ThreadState(held, {0: 0, 1: 1, 2: 2}, steps=3)})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Compare a fake script; profiles and states are made by hand."""
    profiles: list[str] = []
    broken: list[str] = []

    def profile(
        target: Options, spec: str, folder: Path, log: Path, say: object
    ) -> tuple[Analysis, Changes]:
        profiles.append(spec)
        if spec in broken:
            raise BottleneckError("it broke")
        folder.mkdir()
        return examples.input_bound(), Changes()

    def compared(
        script: FakeScript,
        *specs: str,
        judgements: Mapping[str, Judgement] | None = None,
        own_choice: bool = False,
        predicted: Mapping[str, tuple[float, float]] | None = None,
        unprofiled: str = "none",
        **how: object,
    ) -> tuple[Comparison, bool]:
        given = judgements or {}
        broken.append(unprofiled)

        def run_trial(
            target: Options, spec: str, *, gate: Extent | None, **rest: object
        ) -> Measured:
            found = script.one(spec, -1 if gate else 0)
            return replace(found, states=states_of(spec) if gate else None)

        def judge(
            first: States, second: States, candidate: States, engaged_ns: int = 0
        ) -> Judgement:
            assert engaged_ns == 0, "a fake strategy engages at once"
            return given.get(next(iter(candidate.threads)), Judgement("same"))

        def predict(
            analysis: Analysis, asked: Sequence[Strategies]
        ) -> Predictions | None:
            return predictions(asked, predicted) if predicted is not None else None

        monkeypatch.setattr(shortlist, "predict", predict)
        monkeypatch.setattr(compare, "run_trial", run_trial)
        monkeypatch.setattr(gate, "judge", judge)
        monkeypatch.setattr(baseline, "profile", profile)
        chosen = tuple(map(parse, specs))
        if own_choice:
            monkeypatch.setattr(shortlist, "supported", lambda *_: chosen)
        wanted = compare.CompareOptions(
            target=TARGET,
            strategies=() if own_choice else chosen,
            rounds=how.pop("rounds", 4),
            steps=40,
            budget_s=how.pop("budget_s", None),
            folder=tmp_path / "run",
            everything=bool(how.pop("everything", False)),
        )
        found = compare.run(wanted, lambda *_: None, lambda line: None)
        assert profiles[0] == ""
        return found

    return compared


def specs(comparison: Comparison) -> list[tuple[str, str]]:
    """The rows' specifications and verdicts."""
    return [(row.spec, row.verdict) for row in comparison.trials]


def test_the_winner_is_first_kept_and_recorded(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows are best first; code, command, recordings and tables belong to them."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "train.py"
    path.write_text("for x in source:\n    fit(x)\n")
    plan = Plan("prefetch", str(path), 1, worth=(-1,)).as_json()
    steps = {"": 10.0, FETCH: 5.0, FETCH_MORE: 2.5, UPDATE: 10.0}
    script = FakeScript(steps, plan=plan)
    found, interrupted = run(script, UPDATE, FETCH, FETCH_MORE)
    assert not interrupted
    assert specs(found) == [
        (FETCH_MORE, result.FASTER),
        (FETCH, result.FASTER),
        (UPDATE, result.SAME_SPEED),
    ]
    assert found.best == FETCH_MORE
    assert "+for x in prefetch(source, depth=1):" in found.keep
    patch = (tmp_path / "run" / save.PATCH).read_text()
    assert patch == "\n".join([*found.keep, ""])
    assert found.run == f"bottleneck run --strategy {FETCH_MORE} train.py --lr 1"
    assert found.after == tmp_path / "run" / "best"
    assert found.baseline_ms is not None
    assert found.baseline_ms.value == pytest.approx(10.0)
    assert found.deterministic
    assert save.load(tmp_path / "run") == found


def test_a_winner_that_cannot_be_profiled_still_wins(run: Run) -> None:
    """Its recording is missing, and a note says why."""
    found, _ = run(FakeScript({"": 10.0, FETCH: 5.0}), FETCH, unprofiled=FETCH)
    assert (found.best, found.after) == (FETCH, None)
    assert any("it broke" in note for note in found.notes)


@pytest.mark.parametrize(
    ("busy", "said"),
    [
        (
            [0],
            "in 1 of 4 rounds other work took more than 0.3 cores; they were repeated",
        ),
        (range(9), "in 6 of 6 rounds other work took more than 0.3 cores; they count"),
    ],
)
def test_disturbed_rounds_are_told(
    run: Run, busy: Container[int], said: tuple[str, str]
) -> None:
    """How many there were, and whether they count."""
    found, _ = run(FakeScript({"": 10.0, FETCH: 5.0}, busy=busy), FETCH)
    (note,) = [note for note in found.notes if note.startswith(said[0])]
    assert said[1] in note


def test_losses_of_all_that_were_checked(run: Run, tmp_path: Path) -> None:
    """The plain script's once, though it is checked twice; a combination's too."""
    steps = {"": 10.0, UPDATE: 5.0, FETCH_MORE: 5.0, f"{UPDATE}+{FETCH_MORE}": 2.5}
    run(FakeScript({**steps, BOTH: 2.5}), UPDATE, FETCH_MORE, own_choice=True)
    table = save.measurements(tmp_path / "run").losses
    assert sorted(set(table["spec"]), key=len)[:3] == ["", UPDATE, FETCH_MORE]
    assert table["spec"].nunique() == 4
    assert set(table.groupby("spec")["step"].apply(tuple)) == {(1, 2)}
    assert set(table["value"]) == {1.0}


def test_different_numbers_are_refused_however_fast(run: Run) -> None:
    """It runs no round, and is no winner."""
    script = FakeScript({"": 10.0, FETCH: 1.0})
    why = "loss differs from step 4 on: 0.8123 against 0.8125"
    found, _ = run(script, FETCH, judgements={FETCH: Judgement("different", why)})
    assert specs(found) == [(FETCH, result.DIFFERENT)]
    assert found.trials[0].why == why
    assert (found.best, found.keep, found.run, found.after) == ("", (), "", None)
    assert (FETCH, 0) not in script.ran


TOO_LITTLE = Judgement("unverified", "only 2 steps could be compared; use more --steps")
UNSURE = Judgement("unverified", "your script differs from itself; set its seeds")


@pytest.mark.parametrize(
    ("judgements", "failing", "note"),
    [
        ({"plain": UNSURE, FETCH: UNSURE}, {}, UNSURE.why),
        ({"plain": TOO_LITTLE, FETCH: TOO_LITTLE}, {}, TOO_LITTLE.why),
        ({}, {"": [-1]}, "the numbers could not be verified: the script broke"),
    ],
)
def test_what_cannot_be_verified_wins_nothing(
    run: Run, judgements: dict, failing: dict, note: str
) -> None:
    """Speed is shown, nothing is called faster, and the reason is a note."""
    script = FakeScript({"": 10.0, FETCH: 2.0}, failing=failing)
    found, _ = run(script, FETCH, judgements=judgements)
    assert specs(found) == [(FETCH, result.UNVERIFIED)]
    assert found.trials[0].speedup is not None
    assert found.deterministic == (UNSURE not in judgements.values())
    assert note in found.notes
    assert found.best == ""


def test_what_never_applies_is_measured_nowhere(run: Run) -> None:
    """The plain step then comes from the profile."""
    script = FakeScript({"": 10.0, UPDATE: 10.0}, refused={UPDATE: "one update a step"})
    found, _ = run(script, UPDATE)
    assert specs(found) == [(UPDATE, result.NOT_APPLICABLE)]
    assert found.trials[0].why == "one update a step"
    assert found.rounds == 0
    assert found.baseline_ms is not None
    assert found.baseline_ms.value == examples.input_bound().loop.step_ms


GAIN, NONE, LOSS = (2.0, 2.2), (1.0, 1.04), (0.7, 0.8)
"""Predicted speed-up and its upper bound."""


def test_two_winners_are_combined(run: Run) -> None:
    """The best of each, together, against the better one in rounds of their own.

    Both have won, so a bad prediction of the combination does not stop it.
    """
    steps = {"": 10.0, FETCH: 7.0, FETCH_MORE: 5.0, UPDATE: 8.0, BOTH: 3.0}
    script = FakeScript(steps)
    said = {**dict.fromkeys(steps, GAIN), BOTH: LOSS}
    asked = (FETCH, FETCH_MORE, UPDATE)
    found, _ = run(script, *asked, own_choice=True, predicted=said)
    assert specs(found)[0] == (BOTH, result.FASTER)
    assert found.best == BOTH
    assert found.trials[0].predicted is not None
    assert found.trials[0].predicted.speedup == 0.7
    assert not found.trials[0].inside
    ran = [spec for spec, number in script.ran if number == 0]
    assert ran.count(BOTH) == 2
    assert ran.count(FETCH_MORE) >= 4
    assert ran.count(FETCH) == 1


@pytest.mark.parametrize(("own_choice", "rows"), [(True, 3), (False, 2)])
def test_a_combination_must_gain_and_be_ours(
    run: Run, own_choice: bool, rows: int
) -> None:
    """One that gains nothing is not kept; beside --strategy none is tried."""
    steps = {"": 10.0, FETCH_MORE: 5.0, UPDATE: 8.0, BOTH: 4.95}
    found, _ = run(FakeScript(steps), FETCH_MORE, UPDATE, own_choice=own_choice)
    assert found.best == FETCH_MORE
    assert len(found.trials) == rows


def test_what_the_profile_names_first_is_tried_first(run: Run) -> None:
    """In its order; the fastest measured is first in the table."""
    script = FakeScript({"": 10.0, FETCH: 5.0, FETCH_MORE: 2.5, UPDATE: 10.0})
    said = {FETCH: (1.4, 1.6), UPDATE: (1.9, 2.1), FETCH_MORE: (1.5, 1.7)}
    found, _ = run(script, UPDATE, FETCH_MORE, FETCH, own_choice=True, predicted=said)
    checked = [spec for spec, number in script.ran if spec and number < 0]
    assert checked[:3] == [UPDATE, FETCH_MORE, FETCH]
    assert [row.spec for row in found.trials] == [FETCH_MORE, FETCH, UPDATE]


def test_what_is_predicted_hopeless_is_not_run(run: Run, tmp_path: Path) -> None:
    """It stays in the table with the reason, and how to try it nevertheless."""
    script = FakeScript({"": 10.0, FETCH: 5.0})
    said = {FETCH: GAIN, UPDATE: NONE, FETCH_MORE: LOSS}
    found, _ = run(script, UPDATE, FETCH_MORE, FETCH, own_choice=True, predicted=said)
    assert specs(found) == [
        (FETCH, result.FASTER),
        (UPDATE, result.SKIPPED),
        (FETCH_MORE, result.SKIPPED),
    ]
    assert {spec for spec, _ in script.ran} == {"", FETCH}
    skipped = found.trials[2]
    assert skipped.why == (
        "predicted 0.70x (0.61 to 0.80): limited by the GIL; `--all` tries it "
        "nevertheless"
    )
    assert skipped.predicted is not None
    assert (skipped.rounds, skipped.speedup) == (0, None)
    assert save.load(tmp_path / "run") == found


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ({"own_choice": True, "predicted": {FETCH: LOSS}}, result.SKIPPED),
        (
            {"own_choice": True, "predicted": {FETCH: LOSS}, "everything": True},
            result.SLOWER,
        ),
        ({"predicted": {FETCH: LOSS}}, result.SLOWER),
        ({"own_choice": True}, result.SLOWER),
    ],
)
def test_what_is_asked_for_or_not_predicted_is_run(
    run: Run, how: dict[str, object], verdict: str
) -> None:
    """By --all or by its name; what is predicted hopeless needs no gate, no round."""
    script = FakeScript({"": 10.0, FETCH: 12.0})
    found, interrupted = run(script, FETCH, **how)
    assert not interrupted
    assert specs(found) == [(FETCH, verdict)]
    assert (found.best, found.after) == ("", None)
    assert found.baseline_ms is not None
    skipped = verdict == result.SKIPPED
    assert skipped == (script.ran == []) == (found.rounds == 0)
    assert (found.trials[0].predicted is None) == ("predicted" not in how)
    if not skipped:  # two plain runs and one of each come before the rounds
        assert script.ran[:3] == [("", -1), ("", -1), (FETCH, -1)]
        assert {number for _, number in script.ran[3:]} == {0}


def test_intervals_hold_for_those_that_are_run(run: Run, tmp_path: Path) -> None:
    """A row that is not tried makes no interval wider."""
    steps = {"": 10.0, FETCH: 5.0}
    script = FakeScript(steps, noise=0.1)
    alone, _ = run(script, FETCH)
    (tmp_path / "run").rename(tmp_path / "alone")
    beside = FakeScript(steps, noise=0.1)
    said = {FETCH: GAIN, UPDATE: NONE}
    found, _ = run(beside, FETCH, UPDATE, own_choice=True, predicted=said)
    assert found.trials[0].speedup == alone.trials[0].speedup


@pytest.mark.parametrize("at", range(1, 12))
def test_ctrl_c_keeps_what_was_measured(run: Run, at: int, tmp_path: Path) -> None:
    """Whenever it comes, there is a comparison, and it can be read again."""
    script = FakeScript({"": 10.0, FETCH: 5.0, UPDATE: 10.0}, noise=0.1)
    script.interrupt_at = at
    found, interrupted = run(script, FETCH, UPDATE)
    assert interrupted
    assert any("Ctrl-C" in note for note in found.notes)
    for row in found.trials:
        assert row.rounds or row.verdict == result.UNDECIDED
    assert save.load(tmp_path / "run") == found
    assert found.after is None


def test_the_budget_ends_it(run: Run) -> None:
    """Used up by the profile: no trial is begun, and the rows say so."""
    found, interrupted = run(FakeScript({"": 10.0, FETCH: 5.0}), FETCH, budget_s=1e-9)
    assert not interrupted
    assert specs(found) == [(FETCH, result.UNDECIDED)]
    assert any("--budget" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "word"),
    [({"rounds": 2}, "--rounds"), ({"rounds": 0}, "--rounds"), ({"steps": 3}, "--st")],
)
def test_numbers_out_of_range(change: dict, word: str, tmp_path: Path) -> None:
    """Refused before anything is run."""
    given = {"rounds": 5, "steps": None, **change}
    with pytest.raises(UsageError, match=word):
        compare.CompareOptions(
            TARGET, (), budget_s=None, folder=tmp_path / "run", **given
        )


def test_a_profile_that_was_cut_short_is_made_again() -> None:
    """Only if the profile and not the script came to its end."""
    whole = examples.input_bound()
    few = replace(whole, steps=whole.steps.iloc[:3])
    facts = replace(whole.recording.facts, ended_by="seconds")
    ours = replace(few, recording=replace(few.recording, facts=facts))
    assert baseline.is_cut_short(ours)
    assert not baseline.is_cut_short(replace(ours, steps=whole.steps))
    own = replace(facts, ended_by="exit")
    theirs = replace(ours, recording=replace(ours.recording, facts=own))
    assert not baseline.is_cut_short(theirs)
    with pytest.raises(BottleneckError, match="3 training steps only"):
        baseline.check(theirs, TARGET)
    none = replace(whole, loop=replace(whole.loop, found=False))
    with pytest.raises(BottleneckError, match="no training steps"):
        baseline.check(none, TARGET)


@pytest.mark.parametrize(
    ("file", "count", "line"),
    [("/a/train.py", 0, 3), ("", 400, 7), ("", 401, 7), ("", 40, None)],
)
def test_the_trials_are_told_the_loop(file: str, count: int, line: int | None) -> None:
    """The one that trains; in steps marked by hand the one that turns once a step."""
    analysis = examples.input_bound()
    likely = Candidate("for x in step(xs)", "/a/train.py", 7, 400, "")
    known = replace(analysis.loop, file=file, line=3, count=count, others=(likely,))
    told = baseline.with_loop(TARGET, replace(analysis, loop=known)).loop
    assert (told and told.line) == line
