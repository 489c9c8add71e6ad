"""The head of a comparison's page: five questions, a short answer to each."""

from __future__ import annotations

from dataclasses import dataclass

from debottleneck.report.words import comparison as comparison_words
from debottleneck.report.words.quantities import clean, number, table_digits
from debottleneck.report.words.run import sentence
from debottleneck.report.words.strategies import named
from debottleneck.trials.result import SKIPPED, Comparison, Trial
from debottleneck.trials.sides import Sides

WHAT, DONE, TRIED = "What it was", "What was done", "What was tried"
GAIN, NUMBERS, TRUST = "What it gained", "Same numbers?", "How sure is it?"

KEPT = {"same": "bit for bit", "equal": "within rounding"}
WHOLE = (
    "what the stages returned, what variables and random generators held, and what was "
    "written to files is the plain script's."
)
NOT_COMPARED = (
    "Not checked: these are saved recordings, and nobody compared what they computed. "
    "`bottleneck compare` does."
)
APART = (
    "Less than a comparison is: they were not run in turns with the others. "
    "`bottleneck compare` runs them so."
)


@dataclass(frozen=True)
class Answer:
    """A question, its answer, and what stands smaller below it."""

    question: str
    answer: str
    more: str = ""


def answers(comparison: Comparison, evidence: Sides) -> list[Answer]:
    """Those questions that this comparison can answer."""
    best, given = comparison_words.winner(comparison), [_was(comparison, evidence)]
    if comparison.recorded:
        given += [_recorded(comparison, evidence)]
        given += [Answer(NUMBERS, NOT_COMPARED), Answer(TRUST, APART)]
    elif best is None:
        given += [_tried(comparison), _trust(comparison)]
    else:
        over = comparison_words.checked(best)
        kept = f"Yes, {KEPT[best.numbers]}{over}: {WHOLE}"
        did = sentence("; ".join(best.did))
        done = f"{did} The script itself was not edited.".strip()
        given += [Answer(DONE, sentence(named(best.spec)), done)]
        given += [_gain(comparison, best)]
        given += [Answer(NUMBERS, kept), _trust(comparison, best)]
    return [one for one in given if one.answer]


def _was(comparison: Comparison, evidence: Sides) -> Answer:
    step = comparison_words.plain_step(comparison)
    for side in evidence.sides:
        if side.id == "before" and (what := sentence(side.analysis.verdict.what)):
            return Answer(WHAT, what, step)
    return Answer(WHAT, step)


def _recorded(comparison: Comparison, evidence: Sides) -> Answer:
    what = ", ".join(clean(trial.spec) for trial in comparison.trials)
    for side in evidence.sides:
        if side.id == "after":
            what = f"{side.label}: {sentence(side.analysis.verdict.what)}"
    return Answer("What it became", what)


def _tried(comparison: Comparison) -> Answer:
    """What was tried, and below what was not worth it."""
    tried, skipped = (
        "; ".join(
            named(trial.spec)
            for trial in comparison.trials
            if (trial.verdict == SKIPPED) == is_skipped
        )
        for is_skipped in (False, True)
    )
    more = f"Not tried, as no gain is predicted: {skipped}." if skipped else ""
    return Answer(TRIED, sentence(tried or "nothing" * bool(skipped)), more)


def _gain(comparison: Comparison, best: Trial) -> Answer:
    base, ratio = comparison.baseline_ms, best.speedup
    if base is None or ratio is None or best.step_ms is None:
        return Answer(GAIN, "")
    digits = table_digits(best.step_ms)
    said = (
        f"A step takes {number(best.step_ms, digits)} ms instead of "
        f"{number(base.value, digits)} ms. With 95 % certainty it is between "
        f"{comparison_words.bounds(ratio, 'x and ')}x as fast."
    )
    price, plain_ms = [], comparison.baseline_cpu_ms
    if best.memory_mb is not None:
        price.append(f"memory {comparison_words.memory(best.memory_mb)} MB")
    if best.cpu_ms is not None and plain_ms is not None:
        ours, theirs = (f"{number(ms, digits)} ms" for ms in (best.cpu_ms, plain_ms))
        price.append(f"CPU time a step {ours} instead of {theirs}")
    return Answer(GAIN, said, sentence(f"Its price: {', '.join(price)}" * bool(price)))


def _trust(comparison: Comparison, best: Trial | None = None) -> Answer:
    if not comparison.rounds:
        return Answer(TRUST, comparison_words.NOT_MEASURED)
    guess = ""
    if best and best.predicted:
        said = comparison_words.predicted(best.predicted)
        guess = f"{said} was predicted before it was tried, with 90 % certainty."
    return Answer(TRUST, f"{comparison_words.rounds(comparison)}.", guess)
