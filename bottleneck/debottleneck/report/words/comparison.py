"""What a comparison says in words: its sentences, and the cells of its table.

Text, JSON and page say the same because they take it from here.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection

from debottleneck.errors import RecordingError
from debottleneck.report.strategy_words import named
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    count,
    interval,
    number,
    table_digits,
)
from debottleneck.report.words.run import sentence
from debottleneck.trials.ledger import Summary
from debottleneck.trials.result import (
    DIFFERENT,
    FASTER,
    SAME_SPEED,
    SKIPPED,
    SLOWER,
    UNVERIFIED,
    Comparison,
    Interval,
    Predicted,
    Trial,
)

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
KEPT_NUMBERS = ("same", "equal")
MOST_DIGITS = 4
PIECE = r".+?(?:[:,/]|-(?=\d)|$)"


def check(comparison: Comparison) -> None:
    """Refuse a comparison whose rows claim more than their intervals show.

    Raises:
        RecordingError: Something is called faster or slower though its interval
            includes 1 or is missing, or faster though its numbers are not kept; those
            of saved recordings nobody knows.
    """
    kept = (*KEPT_NUMBERS, UNVERIFIED) if comparison.recorded else KEPT_NUMBERS
    for trial in comparison.trials:
        if not _is_shown(trial, kept):
            raise RecordingError(
                f"the comparison calls {clean(trial.spec)} {trial.verdict}, which its "
                f"interval ({bounds(trial.speedup)}) and numbers ({trial.numbers}) do "
                "not show",
                "run `bottleneck compare` again",
            )
    found = winner(comparison)
    if comparison.best and (found is None or found.spec != comparison.best):
        raise RecordingError(
            f"the comparison calls {clean(comparison.best)} the best, but has no row "
            "that is faster with it",
            "run `bottleneck compare` again",
        )


def _is_shown(trial: Trial, kept: Collection[str]) -> bool:
    speedup = trial.speedup
    if trial.verdict == FASTER:
        return speedup is not None and speedup.low > 1 and trial.numbers in kept
    if trial.verdict == SLOWER:
        return speedup is not None and speedup.high < 1
    return True


def winner(comparison: Comparison) -> Trial | None:
    """The row that is called best, else the first that is faster."""
    faster = [trial for trial in comparison.trials if trial.verdict == FASTER]
    best = [trial for trial in faster if trial.spec == comparison.best]
    return next(iter((*best, *faster)), None)


def headline(comparison: Comparison) -> str:
    """The outcome in one sentence."""
    if comparison.recorded:
        return _of_recordings(comparison)
    found = winner(comparison)
    if found is not None:
        extra = memory(found.memory_mb)
        more = "" if extra == NOTHING else f", {extra} MB"
        kept = "same numbers"
        if found.numbers == "equal":
            kept = "numbers equal within the tolerance"
        return sentence(f"{named(found.spec)}: {_gain(found)}, {kept}{more}")
    return _nothing(comparison)


def _gain(trial: Trial) -> str:
    return f"{speedup(trial.speedup)} faster ({bounds(trial.speedup)})"


def _speed(trial: Trial) -> str:
    return f"{speedup(trial.speedup)} as fast ({bounds(trial.speedup)})"


def _of_recordings(comparison: Comparison) -> str:
    """The best of several recordings beside the first."""
    if not comparison.trials:
        return "Nothing was compared."
    best, first = comparison.trials[0], clean(comparison.baseline)
    value = speedup(best.speedup)
    said = f"{clean(best.spec)}: {value} as fast as {first} ({bounds(best.speedup)})"
    if best.verdict != FASTER:
        said += f", {_in_words(best.verdict)}"
    return f"{said}; numbers were not compared."


def _nothing(comparison: Comparison) -> str:
    if not comparison.trials:
        return "Nothing is faster: no strategy was tried."
    if all(trial.verdict == SKIPPED for trial in comparison.trials):
        return _hopeless(comparison)
    tempting = _fastest(comparison, UNVERIFIED)
    if tempting and _quick(tempting):
        return (
            f"Nothing is shown to be safe: {named(tempting.spec)} is {_speed(tempting)}"
            ", but its numbers are unverified."
        )
    refused = _fastest(comparison, DIFFERENT)
    if refused and _quick(refused):
        return (
            f"Nothing is faster with the same numbers: {named(refused.spec)} is "
            f"{_speed(refused)}, but changes them."
        )
    best = _fastest(comparison, SAME_SPEED) or _fastest(comparison, SLOWER)
    if best:
        return (
            f"Nothing is faster: the best, {named(best.spec)}, is {_speed(best)}, "
            f"{_in_words(best.verdict)}."
        )
    return f"Nothing is faster: {_tally(comparison)}."


def _hopeless(comparison: Comparison) -> str:
    """Every row was predicted not to be worth a trial."""
    known = [(t.predicted.speedup, t) for t in comparison.trials if t.predicted]
    if not known:
        return "Nothing was tried."
    best = max(known, key=lambda pair: pair[0])[1]
    return (
        f"Nothing was tried: the best prediction, {named(best.spec)}, is "
        f"{predicted(best.predicted)}."
    )


def _in_words(verdict: str) -> str:
    return "which is no difference" if verdict == SAME_SPEED else f"which is {verdict}"


def _fastest(comparison: Comparison, verdict: str) -> Trial | None:
    rows = [t for t in comparison.trials if t.verdict == verdict and t.speedup]
    return max(rows, key=_value, default=None)


def _value(trial: Trial) -> float:
    return trial.speedup.value if trial.speedup else 0.0


def _quick(trial: Trial) -> bool:
    return trial.speedup is not None and trial.speedup.low > 1


def _tally(comparison: Comparison) -> str:
    """How many rows have each verdict: "2 not applicable, 1 failed"."""
    seen = Counter(trial.verdict for trial in comparison.trials)
    return ", ".join(f"{rows} {verdict}" for verdict, rows in seen.items())


def basis(comparison: Comparison) -> str:
    """What the plain script does, and how often both were measured."""
    parts = [plain_step(comparison)]
    if comparison.recorded:
        return " ".join((*parts, OF_RECORDINGS))
    parts.append(
        f"{sentence(count(comparison.rounds, 'round'))[:-1]} of "
        f"{count(comparison.steps, 'step')} a trial, in random order, the plain script "
        "in each; speed-ups are paired by round, in brackets their 95 % interval."
        if comparison.rounds
        else NOT_MEASURED
    )
    if any(trial.predicted for trial in comparison.trials):
        parts.append(PREDICTED)
    if any(trial.step_error is not None for trial in comparison.trials):
        parts.append(ERRORS)
    return " ".join(filter(None, parts))


def plain_step(comparison: Comparison) -> str:
    """The plain script's step with its interval, memory and CPU time; "" if none."""
    base, who = comparison.baseline_ms, baseline(comparison)
    who = who if comparison.recorded else f"The {who}"
    if base is None:
        return f"{who} was not measured."
    digits = table_digits(base.value)
    said = f"{who} takes {number(base.value, digits)} ms a step"
    said += f" (95 % interval {interval(base.low, base.high, digits)})"
    if comparison.baseline_cpu_ms is not None:
        said += f", {number(comparison.baseline_cpu_ms)} ms of CPU time"
    if comparison.baseline_memory_mb is not None:
        said += f" and at most {comparison.baseline_memory_mb:,.0f} MB of memory"
    return f"{said}."


def baseline(comparison: Comparison) -> str:
    """What all rows are compared with: the plain script, or a recording's name."""
    return clean(comparison.baseline) if comparison.recorded else PLAIN


def notes(comparison: Comparison) -> list[str]:
    """Sentences that qualify the table."""
    said = [] if comparison.deterministic else [NOT_DETERMINISTIC]
    return [*said, *(sentence(note) for note in comparison.notes if note.strip())]


def reasons(comparison: Comparison) -> list[tuple[str, str]]:
    """Each reason once, with the rows it is for: (specs, sentence)."""
    by_why: dict[str, list[str]] = {}
    for trial in comparison.trials:
        why = clean(trial.why).strip()
        if why:
            by_why.setdefault(why, []).append(clean(trial.spec))
    return [(", ".join(specs), why) for why, specs in by_why.items()]


def speedup(ratio: Interval | None) -> str:
    """A speed-up as a factor, with as many digits as its bounds need."""
    return NOTHING if ratio is None else f"{ratio.value:.{_digits(ratio)}f}x"


def bounds(ratio: Interval | None, between: str = " to ") -> str:
    """The bounds of a speed-up."""
    if ratio is None:
        return NOTHING
    return interval(ratio.low, ratio.high, _digits(ratio), between)


def predicted(said: Predicted | None, between: str = " to ") -> str:
    """A predicted speed-up with its 90 % interval."""
    if said is None:
        return NOTHING
    return f"{said.speedup:.2f}x ({interval(said.low, said.high, 2, between)})"


def error(share: float | None) -> str:
    """How far a prediction is off, with its sign."""
    if share is None or not math.isfinite(share):
        return NOTHING
    percent = 100 * share
    return f"{percent:+.{0 if abs(percent) >= 9.95 else 1}f} %"


def so_far(known: Summary, file: str) -> str:
    """How good the predictions of a ledger are, in one line."""
    median, worst = (error(share)[1:] for share in (known.median, known.worst))
    return (
        f"Predictions so far: {known.count:,}, median error {median}, worst {worst}, "
        f"{100 * known.inside:.0f} % inside their interval ({clean(file)})"
    )


def _digits(ratio: Interval) -> int:
    """Enough digits that a bound beside 1 is not printed as 1."""
    digits = 1 if ratio.low >= 10 else 2
    ends = [end for end in (ratio.low, ratio.high) if end != 1]
    while digits < MOST_DIGITS and any(round(end, digits) == 1 for end in ends):
        digits += 1
    return digits


def memory(extra_mb: float | None) -> str:
    """Memory beyond the plain script's, with its sign."""
    if extra_mb is None:
        return NOTHING
    return f"{extra_mb:+,.0f}" if abs(extra_mb) >= 0.5 else "0"


def numbers(trial: Trial) -> str:
    """The gate's word; nothing for a row that never came to the gate."""
    told = trial.numbers != "unverified" or trial.speedup or trial.verdict == UNVERIFIED
    return trial.numbers if told else NOTHING


def pieces(spec: str) -> list[list[str]]:
    """Where a strategy's text may break: by strategy, then by setting.

    `a:b=1,c=2+d` is [["a:", "b=1,", "c=2+"], ["d"]]. The name of a recording breaks
    behind a folder and before a date.
    """
    each = re.findall(r"[^+]*\+|[^+]+$", clean(spec)) or [""]
    return [re.findall(PIECE, one) or [one] for one in each]
