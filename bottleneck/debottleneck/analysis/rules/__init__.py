"""Rules: an analysis in, findings out; one small function a kind.

A rule yields usually one finding, one a stage where stages differ, and none when it
abstains: because nothing is wrong, or because what it needs was not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from debottleneck.analysis.result import Analysis, Finding
from debottleneck.analysis.rules.contention import gil, oversubscription
from debottleneck.analysis.rules.counted import collector, page_faults, quota
from debottleneck.analysis.rules.device import device_bound, device_waits
from debottleneck.analysis.rules.guards import machine_busy
from debottleneck.analysis.rules.inputs import input_compute
from debottleneck.analysis.rules.loaders import (
    copied_pages,
    fed,
    slow_item,
    worker_starts,
)
from debottleneck.analysis.rules.locks import lock_contention
from debottleneck.analysis.rules.rare import drift, slow_start, stalls
from debottleneck.analysis.rules.starvation import starvation
from debottleneck.analysis.rules.work import (
    between_steps,
    compute_bound,
    python_bound,
    update_bound,
    waiting,
)

Rule = Callable[[Analysis], Iterator[Finding]]

RUN_RULES: tuple[Rule, ...] = (
    machine_busy,
    quota,
    lock_contention,
    gil,
    oversubscription,
    waiting,
    collector,
)
"""Those that say something of a run in which no steps were found."""

STEP_RULES: tuple[Rule, ...] = (
    machine_busy,
    quota,
    lock_contention,
    device_waits,
    device_bound,
    fed,
    starvation,
    worker_starts,
    slow_item,
    copied_pages,
    gil,
    oversubscription,
    input_compute,
    waiting,
    collector,
    page_faults,
    update_bound,
    python_bound,
    stalls,
    drift,
    slow_start,
    between_steps,
    compute_bound,
)
"""All of them; of two findings on the same time the earlier rule's stays."""
