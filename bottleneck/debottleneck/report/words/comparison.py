"""What a comparison says in words: its sentences, and the cells of its table.

Text, JSON and page say the same because they take it from here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from operator import itemgetter
from typing import TypeGuard

from debottleneck.analysis.result import gain_in_words
from debottleneck.errors import RecordingError
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    count,
    interval,
    number,
    table_digits,
)
from debottleneck.report.words.run import sentence
from debottleneck.report.words.strategies import named
from debottleneck.trials import result
from debottleneck.trials.result import Comparison, Interval, Predicted, Trial

NOT_DETERMINISTIC = (
    "Two plain runs of this script gave different numbers, so no strategy can be shown "
    "to keep them; set its seeds and compare again."
)
PLAIN = "plain script"
OF_RECORDINGS = (
    "Speed-ups are ratios of mean quiet steps of one recording each, in brackets their "
    "95 % interval."
)
NOT_MEASURED = "No strategy came to be measured."
PREDICTED = "Predictions are from the profile alone, in brackets their 90 % interval."
ERRORS = "Errors are of the predicted step time."
AGAIN = "run `bottleneck compare` again"


def check(comparison: Comparison) -> None:
    """Refuse a comparison whose rows claim more than their intervals show.

    Raises:
        RecordingError: Something is called faster or slower though its interval
            includes 1 or is missing, or faster though its numbers are not kept; those
            of saved recordings nobody knows.
    """
    for trial in comparison.trials:
        if not _is_shown(trial, comparison.recorded):
            raise RecordingError(
                f"the comparison calls {clean(trial.spec)} {trial.verdict}, which its "
                f"interval ({bounds(trial.speedup)}) and numbers ({trial.numbers}) do "
                "not show",
                AGAIN,
            )
    fastest = winner(comparison)
    if comparison.best and (fastest is None or fastest.spec != comparison.best):
        raise RecordingError(
            f"the comparison calls {clean(comparison.best)} the best, but has no row "
            "that is faster with it",
            AGAIN,
        )


def _is_shown(trial: Trial, recorded: bool) -> bool:
    if trial.verdict == result.FASTER:
        kept = trial.numbers in ("same", "equal", *(result.UNVERIFIED,) * recorded)
        return _is_quick(trial) and kept
    if trial.verdict == result.SLOWER:
        return trial.speedup is not None and trial.speedup.high < 1
    return True


def _is_quick(trial: Trial | None) -> TypeGuard[Trial]:
    return bool(trial and trial.speedup and trial.speedup.low > 1)


def winner(comparison: Comparison) -> Trial | None:
    """The row that is called best, else the first that is faster."""
    faster = [trial for trial in comparison.trials if trial.verdict == result.FASTER]
    best = [trial for trial in faster if trial.spec == comparison.best]
    return next(iter((*best, *faster)), None)


def headline(comparison: Comparison) -> str:
    """The outcome in one sentence."""
    if comparison.recorded:
        return _of_recordings(comparison)
    best = winner(comparison)
    if best is None:
        return _nothing(comparison)
    kept = "same numbers"
    if best.numbers == "equal":
        kept = "numbers equal within the tolerance"
    kept += checked(best)
    extra = memory(best.memory_mb)
    gain = f"{speedup(best.speedup)} as fast ({bounds(best.speedup)}), {kept}"
    more = "" if extra == NOTHING else f", {extra} MB"
    return sentence(f"{named(best.spec)}: {gain}{more}")


def checked(trial: Trial) -> str:
    """Over how many steps its numbers were compared, "" if nobody counted."""
    if not trial.checked_steps:
        return ""
    epochs = f", {count(trial.checked_epochs, 'epoch')}" * (trial.checked_epochs > 0)
    return f" in {count(trial.checked_steps, 'step')}{epochs}"


def _speed(trial: Trial) -> str:
    return f"{speedup(trial.speedup)} as fast ({bounds(trial.speedup)})"


def _of_recordings(comparison: Comparison) -> str:
    """The best of several recordings beside the first."""
    if not comparison.trials:
        return "Nothing was compared."
    best, first = comparison.trials[0], clean(comparison.baseline)
    ratio, between = speedup(best.speedup), bounds(best.speedup)
    text = f"{clean(best.spec)}: {ratio} as fast as {first} ({between})"
    if best.verdict != result.FASTER:
        text += f", {_in_words(best.verdict)}"
    return f"{text}; numbers were not compared."


def _nothing(comparison: Comparison) -> str:
    trials = comparison.trials
    if not trials:
        return "Nothing is faster: no strategy was tried."
    tempting = _fastest(comparison, result.UNVERIFIED)
    if _is_quick(tempting):
        return (
            f"Nothing is shown to be safe: {named(tempting.spec)} is {_speed(tempting)}"
            ", but its numbers are unverified."
        )
    refused = _fastest(comparison, result.DIFFERENT) or _promising(
        comparison, result.DIFFERENT
    )
    if refused and (_is_quick(refused) or not refused.speedup):
        how = _speed(refused) if refused.speedup else _promise(refused)
        return (
            f"Nothing is faster with the same numbers: {named(refused.spec)} is {how}, "
            "but changes them."
        )
    return _of_tried(comparison)


def _of_tried(comparison: Comparison) -> str:
    """What came of rows that were timed, else what was to be expected of them."""
    words = (result.UNDECIDED, result.SAME_SPEED, result.SLOWER)
    best = next(filter(None, (_fastest(comparison, word) for word in words)), None)
    if best:
        opening = "Nothing is faster"
        if best.verdict == result.UNDECIDED:
            opening = "Nothing is shown to be faster yet"
        return (
            f"{opening}: the best, {named(best.spec)}, is {_speed(best)}, "
            f"{_in_words(best.verdict)}."
        )
    best = _promising(comparison, result.UNDECIDED, result.SKIPPED)
    if best:
        return f"Nothing was timed: the best, {named(best.spec)}, is {_promise(best)}."
    verdicts = Counter(trial.verdict for trial in comparison.trials).items()
    tally = ", ".join(f"{rows} {verdict}" for verdict, rows in verdicts)
    is_timed = any(trial.speedup for trial in comparison.trials)
    return f"{'Nothing is faster' if is_timed else 'Nothing was timed'}: {tally}."


def _promising(comparison: Comparison, *verdicts: str) -> Trial | None:
    """Of these verdicts' rows the one that was predicted to gain most."""
    rows = [(t.predicted.speedup, t) for t in comparison.trials if t.predicted]
    rows = [(gain, trial) for gain, trial in rows if trial.verdict in verdicts]
    return max(rows, key=itemgetter(0), default=(0, None))[1]


def _promise(trial: Trial) -> str:
    return f"predicted {predicted(trial.predicted)}"


def _in_words(verdict: str) -> str:
    return (
        "which is no difference"
        if verdict == result.SAME_SPEED
        else f"which is {verdict}"
    )


def _fastest(comparison: Comparison, verdict: str) -> Trial | None:
    rows = [
        (trial.speedup.value, trial)
        for trial in comparison.trials
        if trial.verdict == verdict and trial.speedup
    ]
    return max(rows, key=itemgetter(0), default=(0, None))[1]


def basis(comparison: Comparison) -> str:
    """What the plain script does, and how often both were measured."""
    parts = [plain_step(comparison)]
    if comparison.recorded:
        return " ".join((*parts, OF_RECORDINGS))
    if comparison.rounds:
        parts.append(f"{rounds(comparison)}, in brackets their 95 % interval.")
    else:
        parts.append(NOT_MEASURED)
    if any(trial.predicted for trial in comparison.trials):
        parts.append(PREDICTED)
    if any(trial.step_error is not None for trial in comparison.trials):
        parts.append(ERRORS)
    return " ".join(parts)


def rounds(comparison: Comparison) -> str:
    """How often everything was measured, and how it is compared."""
    return (
        f"{count(comparison.rounds, 'round')} of {count(comparison.steps, 'step')} a "
        "trial, in random order, the plain script in each; speed-ups are paired by "
        "round"
    )


def plain_step(comparison: Comparison) -> str:
    """The plain script's step with its interval, memory and CPU time."""
    base, who = comparison.baseline_ms, baseline(comparison)
    who = who if comparison.recorded else f"The {who}"
    if base is None:
        return f"{who} was not measured."
    digits = table_digits(base.value)
    text = f"{who} takes {number(base.value, digits)} ms a step"
    text += f" (95 % interval {interval(base.low, base.high, digits)})"
    if comparison.baseline_cpu_ms is not None:
        text += f", {number(comparison.baseline_cpu_ms)} ms of CPU time"
    if comparison.baseline_memory_mb is not None:
        text += f" and at most {comparison.baseline_memory_mb:,.0f} MB of memory"
    return f"{text}."


def baseline(comparison: Comparison) -> str:
    """What all rows are compared with: the plain script, or a recording's name."""
    return clean(comparison.baseline) if comparison.recorded else PLAIN


def labels(comparison: Comparison) -> Mapping[str, str]:
    """What stands above each side; `after` is the best row's recording."""
    if comparison.recorded:
        best = next((trial.spec for trial in comparison.trials), "")
        return {"before": clean(comparison.baseline), "after": clean(best)}
    after = named(comparison.best)
    return {"before": "The plain script", "after": after[:1].upper() + after[1:]}


def notes(comparison: Comparison) -> list[str]:
    """Sentences that qualify the table."""
    first = [] if comparison.deterministic else [NOT_DETERMINISTIC]
    return [*first, *(sentence(note) for note in comparison.notes if note.strip())]


def reasons(comparison: Comparison) -> list[tuple[str, str]]:
    """Each reason once, with the rows it is for: (specs, sentence)."""
    specs: dict[str, list[str]] = {}
    for trial in comparison.trials:
        if reason := clean(trial.why).strip():
            specs.setdefault(reason, []).append(clean(trial.spec))
    return [(", ".join(rows), reason) for reason, rows in specs.items()]


def speedup(ratio: Interval | None) -> str:
    """A speed-up as a factor, with as many digits as its bounds need."""
    return NOTHING if ratio is None else f"{ratio.value:.{ratio.digits}f}x"


def bounds(ratio: Interval | None, between: str = " to ") -> str:
    """The bounds of a speed-up."""
    if ratio is None:
        return NOTHING
    return interval(ratio.low, ratio.high, ratio.digits, between)


def predicted(guess: Predicted | None, between: str = " to ") -> str:
    """A predicted speed-up with its 90 % interval."""
    if guess is None:
        return NOTHING
    return gain_in_words(guess.speedup, guess.low, guess.high, between)


def error(share: float | None) -> str:
    """How far a prediction is off, with its sign."""
    if share is None or not math.isfinite(share):
        return NOTHING
    percent = 100 * share
    return f"{percent:+.{0 if abs(percent) >= 9.95 else 1}f} %"


def memory(extra_mb: float | None) -> str:
    """Memory beyond the plain script's, with its sign."""
    if extra_mb is None:
        return NOTHING
    return f"{extra_mb:+,.0f}" if abs(extra_mb) >= 0.5 else "0"


def numbers(trial: Trial) -> str:
    """The gate's word; nothing for a row that never came to the gate."""
    judged = trial.numbers != result.UNVERIFIED or trial.verdict == result.UNVERIFIED
    return trial.numbers if judged or trial.speedup else NOTHING
