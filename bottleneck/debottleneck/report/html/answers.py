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

KEPT = {
    "same": "Yes, bit for bit{}: what the stages returned, what variables and random "
    "generators held, and what was written to files is the plain script's.",
    "equal": "Yes, within rounding{}: what the stages returned, what variables and "
    "random generators held, and what was written to files is the plain script's.",
}
NOT_COMPARED = (
    "Not checked: these are saved recordings, and nobody compared what they computed. "
    "`bottleneck compare` does."
)
ONCE = (
    "Less than a comparison is: each was run once, and not in turns with the others. "
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
        given += [Answer(NUMBERS, NOT_COMPARED), Answer(TRUST, ONCE)]
    elif best is None:
        given += [_tried(comparison), _trust(comparison)]
    else:
        kept = KEPT[best.numbers].format(comparison_words.checked(best))
        given += [_done(best), _gain(comparison, best)]
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
    names: dict[bool, list[str]] = {True: [], False: []}
    for trial in comparison.trials:
        names[trial.verdict == SKIPPED].append(named(trial.spec))
    tried, skipped = ("; ".join(names[is_skipped]) for is_skipped in (False, True))
    more = f"Not tried, as no gain is predicted: {skipped}." if skipped else ""
    return Answer(TRIED, sentence(tried or "nothing" * bool(skipped)), more)


def _done(best: Trial) -> Answer:
    did = sentence("; ".join(best.did))
    more = f"{did} The script itself was not edited."
    return Answer(DONE, sentence(named(best.spec)), more.strip())


def _gain(comparison: Comparison, best: Trial) -> Answer:
    base, ratio = comparison.baseline_ms, best.speedup
    if base is None or ratio is None or best.step_ms is None:
        return Answer(GAIN, "")
    digits = table_digits(best.step_ms)
    said = (
        f"A step takes {number(best.step_ms, digits)} ms instead of "
        f"{number(base.value, digits)} ms. With 95 % certainty it is between "
        f"{comparison_words.bounds(ratio, 'x and ')}x faster."
    )
    return Answer(GAIN, said, _cost(comparison, best))


def _cost(comparison: Comparison, best: Trial) -> str:
    parts = []
    if best.memory_mb is not None:
        parts.append(f"memory {comparison_words.memory(best.memory_mb)} MB")
    if best.cpu_ms is not None and comparison.baseline_cpu_ms is not None:
        digits = table_digits(best.cpu_ms)
        parts.append(
            f"CPU time a step {number(best.cpu_ms, digits)} ms instead of "
            f"{number(comparison.baseline_cpu_ms, digits)} ms"
        )
    return sentence(f"Its price: {', '.join(parts)}") if parts else ""


def _trust(comparison: Comparison, best: Trial | None = None) -> Answer:
    if not comparison.rounds:
        return Answer(TRUST, comparison_words.NOT_MEASURED)
    guess = ""
    if best and best.predicted:
        said = comparison_words.predicted(best.predicted)
        guess = f"{said} was predicted before it was tried, with 90 % certainty."
    return Answer(TRUST, f"{comparison_words.rounds(comparison)}.", guess)
