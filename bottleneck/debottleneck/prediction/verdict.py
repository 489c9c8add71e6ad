"""The verdict: what holds the loop up, what to do about it, and what that should gain.

Findings know what time goes to, predictions what strategies gain. Here, and nowhere
else, both become advice: reports quote it, `compare` tries it.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import replace

from debottleneck.analysis.result import (
    WORTH,
    Analysis,
    Finding,
    Prediction,
    Predictions,
    Verdict,
)
from debottleneck.analysis.rules.guards import busy
from debottleneck.analysis.rules.measures import (
    of_trainer,
    records,
    where,
)
from debottleneck.analysis.rules.wording import (
    IN_TIME,
    called,
    how_to_step,
    inside,
    names,
    percent,
    spot,
)
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.prediction.actions import (
    INPUT,
    acts_on,
    name_of,
    only_tried,
    row_for,
    untold,
)
from debottleneck.prediction.predict import predict
from debottleneck.prediction.virtual import virtual_speedups
from debottleneck.recording.recording import Facts
from debottleneck.words import OTHER

GUARDS = ("too-short", "machine-busy")
"""Kinds that say why nothing is diagnosed."""

UNKNOWN, NEARLY_ALL = "unattributed", 0.999
"""Time without a cause; beyond this part of it all is, but for rounding."""

NOT_WRONG, NOT_SHOWN = "Nothing is wrong", "No cause stands out"
NOT_SEEN = "What parts of the step wait for was not measured"

BY_HAND = "By hand (not tried): "
"""What a rule advises, after what a strategy does about it."""

PARTS, SMALLEST = 3, 0.01
"""A verdict without finding names this many parts of the time, none below 1 %."""

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Somebody ended the script, which did not fail."""

Tried = Mapping[str, str]
"""Strategies as they are written -> what came of their trials, as a clause."""

NOT_TRIED: Tried = {}


def judged(analysis: Analysis, tried: Tried = NOT_TRIED) -> Analysis:
    """The analysis with predictions, what each finding's action gains, and the verdict.

    Of a run with a strategy applied nothing is predicted: its steps are no longer the
    plain script's, which another strategy would have to begin with.
    """
    if not applied_to(analysis):
        predictions = predict(analysis)
        if predictions is not None:
            found = untold(analysis, predictions)
            predictions = replace(predictions, untold=found)
        faster = virtual_speedups(analysis)
        analysis = replace(analysis, predictions=predictions, faster=faster)
    return told(analysis, tried)


def told(analysis: Analysis, tried: Tried = NOT_TRIED) -> Analysis:
    """The same, with the predictions that it has."""
    findings = tuple(advised(analysis, each, tried) for each in analysis.findings)
    analysis = replace(analysis, findings=findings)
    return replace(analysis, verdict=verdict(analysis, tried))


def applied_to(analysis: Analysis) -> str:
    """The strategies that the run was made with, as they are written."""
    return str(analysis.recording.facts.options.get("strategies") or "")


def advised(analysis: Analysis, finding: Finding, tried: Tried = NOT_TRIED) -> Finding:
    """The finding with its action's gain, and that in words."""
    if finding.kind in GUARDS:
        return finding
    applied = applied_to(analysis)
    if {name_of(one) for one in applied.split("+")} & {*acts_on(finding)}:
        return replace(finding, action=f"This is what `{applied}` leaves.")
    said, gain = _strategies_for(analysis.predictions, finding, tried)
    trials = only_tried(finding, analysis) if analysis.predictions else []
    if said:
        trials = [spec for spec in trials if name_of(spec) not in acts_on(finding)]
    sentences = [_shown(spec, tried) for spec in trials if spec in tried]
    if untried := [spec for spec in trials if spec not in tried]:
        sentences.append(f"Only a trial can tell what {_listed(untried)} gains.")
    helps = gain is not None and not gain.why_not and gain.speedup >= WORTH
    sentences.insert(0 if helps or tried else len(sentences), said)
    sentences = [*filter(None, sentences)]
    by_hand = f"{BY_HAND}{finding.action}"
    if not sentences:
        by_hand = f"{finding.action} That was not tried."
    return replace(finding, action=" ".join([*sentences, by_hand]), gain=gain)


def _strategies_for(
    predictions: Predictions | None, finding: Finding, tried: Tried
) -> tuple[str, Prediction | None]:
    """What a strategy does about a finding, and the prediction that this quotes."""
    row = row_for(finding, predictions) if predictions else None
    first = [row.spec] if row and row.spec in tried else []
    shown = [*first, *(spec for spec in tried if name_of(spec) in acts_on(finding))]
    if shown:
        return _shown(shown[0], tried), row
    said = _of_row(row, finding, predictions.doubt) if row and predictions else ""
    return said, row if row is not None and row.text in said else None


def _shown(spec: str, tried: Tried) -> str:
    return f"`{spec}`: {tried[spec]}."


def _listed(specs: list[str]) -> str:
    return names([f"`{spec}`" for spec in specs]).replace(" and ", " or ")


def _of_row(row: Prediction, finding: Finding, doubt: str) -> str:
    """What a strategy would do about a finding; "" of one that is nothing to it."""
    gains, concerns = row.speedup >= WORTH, finding.kind in INPUT
    if row.why_not:
        return f"`{row.spec}` {refusal(row)}." if gains or concerns else ""
    if gains:
        return tried_first(row, doubt)
    limit = f": {row.limit}" if row.limit else ""
    return f"`{row.spec}` should bring {row.text} only{limit}." if concerns else ""


def refusal(row: Prediction) -> str:
    """Why a strategy does not act, with the edit that lets it and its gain then."""
    if not row.edit or row.speedup < WORTH:
        return f"does not act here: {row.why_not}"
    return f"would bring {row.text}, but does not act here: {row.why_not}; {row.edit}"


def tried_first(row: Prediction, doubt: str, tried: Tried = NOT_TRIED) -> str:
    """The advice to try a strategy, with what it should gain."""
    if row.spec in tried:
        return _shown(row.spec, tried)
    if doubt:
        return f"`{row.spec}`: {row.text} predicted, but do not rely on it: {doubt}."
    return f"Try `{row.spec}`: {row.text} predicted, not tried yet."


def verdict(analysis: Analysis, tried: Tried = NOT_TRIED) -> Verdict:
    """What is said first, of an analysis whose findings are `advised`."""
    exit = exit_of(analysis.recording.facts)
    findings = [f for f in analysis.findings if not (exit and f.cause == "runqueue")]
    said = _of_no_finding(analysis, tried)
    if findings:
        best = analysis.predictions.best if analysis.predictions else None
        said = _of_headline(findings[0], best, tried)
    if exit:
        seen = said.what.replace(NOT_WRONG, NOT_SHOWN)
        said = replace(said, what=f"{exit} Until then: {seen[:1].lower()}{seen[1:]}")
    if exit.startswith("The script failed"):
        said = replace(said, action="Mend that first, and profile again.")
    return replace(said, note=busy(analysis))


def exit_of(facts: Facts) -> str:
    """How a script ended that did not come to its own good end, "" of others."""
    if number := facts.exit_signal:
        known = [f" ({s.name})" for s in signal.Signals if s == number]
        how = "was ended" if number in ASKED else "failed: it was ended"
        return f"The script {how} by signal {number}{''.join(known)}."
    if facts.exit_code and facts.ended_by == "exit":
        return f"The script failed with exit code {facts.exit_code}."
    return ""


def _of_headline(headline: Finding, best: Prediction | None, tried: Tried) -> Verdict:
    places = [spot(place) for place in headline.where]
    place = f"In {names(places)}." if places else _no_line(headline)
    action = headline.action
    guards = headline.kind in GUARDS
    if best is not None and not guards and f"`{best.spec}`" not in action:
        action = f"{tried_first(best, '', tried)} {action}"
    return Verdict(headline.summary, place, action)


def _no_line(headline: Finding) -> str:
    if headline.kind in GUARDS:
        return "This concerns the run as a whole, not a line of it."
    return "The line is not known: no stacks were taken of it."


def _of_no_finding(analysis: Analysis, tried: Tried) -> Verdict:
    table, unknown = of_trainer(analysis.causes), _unknown(analysis)
    if unknown >= NEARLY_ALL:
        table = analysis.stages.assign(cause="")
    table = table.sort_values("share", ascending=False)
    parts = [row for row in records(table.head(PARTS)) if row["share"] >= SMALLEST]
    texts = [
        f"{_part(analysis, row['stage'], row['cause'])} ({percent(row['share'])})"
        for row in parts
    ]
    opening, action = _opening(analysis, unknown, tried)
    period = "each step" if analysis.loop.found else "the run"
    time = f": the time of {period} goes to {names(texts)}." if texts else "."
    places = where(analysis, parts[0]["stage"] if parts else "")
    line = "No line stands out."
    if places:
        line = f"Most time is spent in {names([spot(place) for place in places])}."
    return Verdict(opening + time, line, action)


def _unknown(analysis: Analysis) -> float:
    """The part of the time without a cause: all of it where nothing sampled it."""
    table = of_trainer(analysis.causes)
    if table.empty:
        return 1.0
    return float(table.loc[table["cause"] == UNKNOWN, "share"].sum())


def _part(analysis: Analysis, stage: str, cause: str) -> str:
    """A part of the time: what it goes to and where, or only where."""
    if cause:
        return f"{IN_TIME[cause]}{inside(analysis, stage)}"
    return "code outside every stage" if stage == OTHER else called(analysis, stage)


def _opening(analysis: Analysis, unknown: float, tried: Tried) -> tuple[str, str]:
    """What to say first where there is no finding, and what to do."""
    predictions = analysis.predictions
    if not analysis.loop.found:
        rule = analysis.loop.rule.rstrip(".")
        return f"No training steps were found ({rule})", how_to_step(analysis)
    opening, action = NOT_WRONG, "No change is advised."
    if unknown >= THRESHOLDS.unknown_share:
        opening = f"No cause is known for {percent(unknown)} of the time"
        opening = NOT_SEEN if unknown >= NEARLY_ALL else opening
        action = "See below what was not measured, mend that, and profile again."
    if predictions is not None and predictions.gaining:
        opening = opening.replace(NOT_WRONG, NOT_SHOWN)
        action = tried_first(predictions.gaining[0], predictions.doubt, tried)
    return opening, action
