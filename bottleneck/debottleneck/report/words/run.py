"""Sentences that more than one renderer says, so that they say the same."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import PurePosixPath
from typing import Any

from debottleneck import words
from debottleneck.analysis.result import Analysis, Candidate, Loop
from debottleneck.analysis.rules.wording import names, spoken
from debottleneck.recording.recording import NotMeasured
from debottleneck.report.words.quantities import (
    NOTHING,
    clean,
    count,
    decimals,
    interval,
    number,
    percent,
)

HOW_TO_MARK = (
    "To have steps, name the line of the `for` or `while` that trains with `--step "
    "FILE:LINE`, or write `for batch in step(loader):`, `step` from debottleneck."
)

SWITCHED_OFF = "switched off"
"""Why a gap is no news: the user wished it."""

GIL_MATTERS = 0.05
"""Waiting for the GIL by this share of the step is said."""

MOST_OTHERS = 3
"""Other loops that are named on the terminal."""

STAGE_READINGS: Mapping[str, str] = {
    "load": "getting the next batch: reading, decoding, waiting for a loader",
    "augment": "changing the batch before it is used",
    "transfer": "moving the batch to a device",
    "forward": "the model's predictions",
    "loss": "comparing predictions with targets",
    "backward": "gradients",
    "update": "the optimizer's step and clearing gradients",
    "evaluate": "between steps: validation",
    "checkpoint": "between steps: saving the model",
    "log": "between steps: metrics and progress",
    "start of workers": "between steps: a DataLoader's processes begin and end",
    "other": "the rest of the step",
}


def ending(analysis: Analysis) -> str:
    """That the recording was cut off, or ""."""
    facts = analysis.recording.facts
    if not facts.partial:
        return ""
    reason = f": {clean(facts.partial_why)}" if facts.partial_why else ""
    return f"This recording is partial{reason}. It covers the time until then."


def loop_lines(loop: Loop) -> list[str]:
    """How the loop was measured, in a few sentences, and which it might have been."""
    if not loop.found:
        rule = clean(loop.rule).partition(";")[0]
        reason = f" ({rule})" if rule and "recognised" not in rule else ""
        return [
            f"No training loop was recognised{reason}. Times are of the whole run, in "
            "milliseconds per second of wall time.",
            other_loops(loop, "Other loops" if loop.count else "Loops that were seen")
            or ("Profile for longer." if loop.count else HOW_TO_MARK),
        ]
    measured = _step_line(loop) if loop.measured else "No quiet step was measured."
    lines = [_rule_line(loop), measured]
    if loop.warmup or loop.warmup_why:
        lines[-1] += f" {_warmup_line(loop)}"
    return [*lines, *filter(None, [other_loops(loop, "Other loops")])]


def loop_in_short(loop: Loop) -> str:
    """The step's mean, how many were measured, and which loop they are of."""
    if not loop.found:
        return loop_lines(loop)[0]
    of = header(Candidate(loop.header, loop.file, loop.line, loop.count, ""))
    whose = f" of {of}" if loop.line else ""
    if not loop.measured:
        return f"No quiet step{whose} was measured."
    digits = decimals(loop.step_ms)
    bounds = interval(loop.step_low, loop.step_high, digits)
    return clean(
        f"{number(loop.step_ms, digits)} ms a step ({bounds}), "
        f"{count(loop.measured, 'quiet step')}{whose}"
    )


def _rule_line(loop: Loop) -> str:
    """How steps are bounded, how many there were, and why by that loop."""
    if not loop.line:
        return sentence(loop.rule)
    many = f"{loop.rule}, {loop.count:,} of them"
    return sentence(f"{many}, chosen because it holds {loop.why}" if loop.why else many)


def other_loops(loop: Loop, lead: str, most: int = MOST_OTHERS) -> str:
    """Loops that might have been the training loop, and the option that takes each."""
    named = [
        clean(f"{header(other)}, {count(other.count, 'iteration')}: `{other.option}`")
        for other in loop.others[:most]
    ]
    if len(loop.others) > most:
        named.append(f"and {len(loop.others) - most} more, in the JSON")
    between = "\n" if len(named) > 1 else " "
    return between.join([f"{lead}:", *named]) if named else ""


def header(loop: Candidate) -> str:
    """A loop as it is written, and where; only where, if its source was left out."""
    place = f"{PurePosixPath(loop.file).name}:{loop.line}"
    return f'"{loop.header}" ({place})' if loop.header else place


def _step_line(loop: Loop) -> str:
    """Number of quiet steps with their mean, interval, median and 95th percentile."""
    digits = decimals(loop.step_ms)
    mean = number(loop.step_ms, digits)
    bounds = interval(loop.step_low, loop.step_high, digits)
    return (
        f"{count(loop.measured, 'quiet step')} measured: mean {mean} ms (95 % interval "
        f"of this run {bounds}), median {number(loop.step_median_ms, digits)} ms, "
        f"95th percentile {number(loop.step_p95_ms, digits)} ms."
    )


def _warmup_line(loop: Loop) -> str:
    """How many steps were left out at the start, and why."""
    verb = "was" if loop.warmup == 1 else "were"
    reason = f": {clean(loop.warmup_why)}" if loop.warmup_why else ""
    return sentence(f"{count(loop.warmup, 'warm-up step')} {verb} left out{reason}")


def not_measured(gap: NotMeasured) -> str:
    """Why something was not measured, and how to have it."""
    reason = f"{clean(gap.why).rstrip('.')}."
    remedy = clean(gap.remedy).rstrip(".")
    return f"{reason} To have it: {remedy}." if remedy else reason


def handovers(rate: float) -> str:
    """How often the GIL changed hands."""
    times = number(rate, 0 if rate >= 10 else 1)
    return f"The GIL changed hands {times} times a second."


def gil_line(analysis: Analysis) -> str:
    """That the trainer waits for the GIL, and for whom, where the verdict is not that.

    Returns:
        "" where it hardly waits.
    """
    waits = analysis.gil_waits
    waits = waits[(waits["role"] == "trainer") & (waits["holder_tid"] > 0)]
    total = float(waits["share"].sum())
    if total < GIL_MATTERS or "waiting for the GIL" in analysis.verdict.what:
        return ""
    by = waits.groupby(["holder_thread", "holder_function"])["share"].sum()
    thread, function = by.idxmax()
    running = f" in {spoken(function)}" if function else ""
    of = "the step" if analysis.loop.found else "the time"
    whom = f'"{thread}" holds it most{running}'
    return clean(f"{percent(total, 0)} of {of} is a wait for the GIL: {whom}.")


def basis_lines(analysis: Analysis) -> list[str]:
    """What a run's numbers rest on: its loop's sentences, an accelerator's."""
    return [
        line for line in (*loop_lines(analysis.loop), device_line(analysis)) if line
    ]


def device_line(analysis: Analysis) -> str:
    """How far an accelerator was busy, "" where none was timed."""
    use = analysis.device
    if use is None:
        return ""
    idle = [f"{percent(part, 0)} in {row}" for row, part in use.idle.items() if part]
    return clean(
        f"The accelerator is busy for {percent(use.busy, 0)} of the time, idle for "
        f"{percent(use.idles, 0)}{f' ({names(idle)})' if idle else ''}; for "
        f"{percent(use.follows, 0)} it follows the host at once, and may idle too "
        f"({use.steps} steps timed)."
    )


def gap_lines(analysis: Analysis) -> list[str]:
    """What was not measured though nobody switched it off, and why, each in a line."""
    gaps = [gap for gap in analysis.not_measured if gap.why != SWITCHED_OFF]
    found = [f"Not measured: {clean(gap.what)}: {clean(gap.why)}" for gap in gaps]
    return [*dict.fromkeys(found)]


def sentence(text: str) -> str:
    """The text cleaned, with a capital at its start and a period at its end."""
    bare = clean(text).strip()
    end = "" if not bare or bare.endswith((".", "!", "?")) else "."
    return bare[:1].upper() + bare[1:] + end


def shares_of_thread(row: Mapping[Hashable, Any], least: float = 0.005) -> str:
    """A thread's causes, largest first: "sleep 62 %, python 30 %"."""
    shares = {cause: float(row[cause]) for cause in words.CAUSES}
    causes = [c for c, s in shares.items() if math.isfinite(s) and s >= least]
    causes.sort(key=lambda cause: -shares[cause])
    return ", ".join(f"{c} {100 * shares[c]:.0f}%" for c in causes) or NOTHING


def slowdown(ratio: float) -> str:
    """An instrument's slow-down with its sign, "-" where it was not measured."""
    return f"{100 * ratio:+,.1f} %" if math.isfinite(ratio) else NOTHING
