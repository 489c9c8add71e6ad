"""An accelerator: where steps wait for it, how far it is what limits the loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from debottleneck.analysis.frames import bounds, holding, of_thread, quiet_steps
from debottleneck.analysis.result import Analysis, Finding, Where
from debottleneck.analysis.rules.measures import Cost, input_rows, records
from debottleneck.analysis.rules.wording import finding, line_of, percent
from debottleneck.analysis.thresholds import THRESHOLDS
from debottleneck.recording.spool import DEVICE, UNPINNED


def device_waits(analysis: Analysis) -> Iterator[Finding]:
    """Calls that wait for the accelerator in each step, by line.

    They hold the loop up only as far as the device then has nothing to do.
    """
    sites = analysis.recording.sites
    own = of_thread(
        analysis.segments, analysis.recording.facts.pid, analysis.loop.trainer_tid
    )
    steps = quiet_steps(analysis.steps)
    start, end = bounds(own)
    own = own.assign(ms=(end - start) / 1e6)[holding(*bounds(steps), start) >= 0]
    waits = own.merge(sites[sites["kind"] == DEVICE].drop(columns="stage"), on="site")
    keys = ["name", "file", "line"]
    sums = waits.groupby(keys, as_index=False)["ms"].sum().sort_values("ms")
    busy = analysis.device.busy if analysis.device else 0.0
    for row in records(sums[::-1].head(THRESHOLDS.max_lines)):
        ms = row["ms"] / max(len(steps), 1)
        share = min(ms / max(analysis.loop.step_ms, 1e-9), 1.0 - busy)
        if share < THRESHOLDS.wait_share:
            continue
        place = Where("", str(row["file"]), int(row["line"]))
        name = str(row["name"])
        action = (
            "Move it out of the step: keep results on the device and read them every "
            "so many steps."
        )
        if name.endswith(UNPINNED):
            action = (
                "Pass pin_memory=True to the DataLoader (or call pin_memory()), and "
                "copy with non_blocking=True."
            )
        at = f" at {line_of(place)}" if place.file else ""
        yield finding(
            analysis,
            "device-wait",
            Cost(ms, share, math.nan, math.nan),
            cause="device",
            stage=f"{row['file']}:{row['line']}",
            summary=f"`{name}`{at} waits {ms:.3g} ms each step for the accelerator.",
            action=action,
            places=(place,),
            evidence={"device_busy": busy} if analysis.device else {},
        )


def device_bound(analysis: Analysis) -> Iterator[Finding]:
    """The accelerator is busy nearly all the time: it is what the loop takes."""
    use = analysis.device
    if use is None or use.busy < THRESHOLDS.compute_share:
        return
    yield finding(
        analysis,
        "compute-bound",
        Cost(use.busy * analysis.loop.step_ms, use.busy, math.nan, math.nan),
        cause="device",
        severity="low",
        summary=f"The accelerator is busy for {percent(use.busy)} of the time: the "
        "loop computes there, it does not wait for its input.",
        action="Make the model cheaper there: a smaller type (autocast), fewer or "
        "larger kernels (torch.compile), a larger batch.",
        evidence={"device_idle": use.idles, "steps": use.steps},
    )


def as_the_device_idles(analysis: Analysis, findings: list[Finding]) -> list[Finding]:
    """Input is a bottleneck only as far as the device has nothing to do for it."""
    use, inputs = analysis.device, input_rows(analysis)
    if use is None:
        return findings
    kept = []
    for one in findings:
        share = min(one.share, use.idle.get(one.stage, 0.0))
        if one.stage not in inputs or one.stage == "transfer":
            kept.append(one)
        elif share >= THRESHOLDS.wait_share:
            of_it = (
                f" The accelerator idles meanwhile for {percent(share)} of the time."
            )
            kept.append(
                replace(
                    one,
                    share=share,
                    severity=THRESHOLDS.severity(share),
                    ceiling=THRESHOLDS.ceiling(share),
                    summary=one.summary + of_it,
                )
            )
    return kept
