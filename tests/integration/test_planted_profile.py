"""The planted loops under `bottleneck profile`: the attribution against their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from planted_loops import PLANTED
from running import Profile

from debottleneck import load_recording
from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis

MARGIN = 0.07
"""Points by which a share may miss; some hundred samples have an error of three."""

WAITS = ("gil", "lock", "disk", "network", "ipc", "sleep")
QUIET = ("--no-stacks", "--no-functions")
WITH_STAGE = [name for name, loop in PLANTED.items() if loop.stage]


def profiled(
    profile: Profile, name: str, *options: str
) -> tuple[Analysis, dict[str, Any], Path]:
    """The analysis of a run of that loop, and the truth it told."""
    loop = PLANTED[name]
    for module in loop.needs:
        pytest.importorskip(module)
    done, folder = profile(loop.path, *options, arguments=loop.arguments)
    if "refuses O_DIRECT" in done.stderr:
        pytest.skip("no O_DIRECT here")
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    truth = json.loads(last.removeprefix("truth "))
    return analyse(load_recording(folder)), truth, folder


def shares(analysis: Analysis, stage: str) -> dict[str, float]:
    """The trainer's causes in a stage, as parts of the stage."""
    table = analysis.causes
    rows = table[(table["role"] == "trainer") & (table["stage"] == stage)]
    whole = rows["ms_per_step"].sum()
    return {row.cause: row.ms_per_step / whole for row in rows.itertuples()}


@pytest.mark.alone
@pytest.mark.parametrize("name", WITH_STAGE)
def test_causes_agree_with_the_truth(profile: Profile, name: str) -> None:
    """The planted stage's waiting, queueing and computing are what its clocks say.

    A producer or holder is listed with what holds it up itself.
    """
    loop = PLANTED[name]
    analysis, truth, _ = profiled(profile, name, *QUIET)
    assert analysis.loop.found
    found = shares(analysis, loop.stage)
    known = truth["stages"].get(loop.stage)
    if known is not None:
        waited = sum(found.get(cause, 0.0) for cause in WAITS)
        queued = found.get("runqueue", 0.0)
        unknown = found.get("unattributed", 0.0)
        wall = known["wall_s"]
        assert waited == pytest.approx(known["waited_s"] / wall, abs=MARGIN + unknown)
        assert queued == pytest.approx(known["runqueue_s"] / wall, abs=MARGIN + unknown)
    counted = {c: s for c, s in found.items() if c != "runqueue" or c == loop.cause}
    assert max(counted, key=lambda cause: counted[cause]) == loop.cause
    if loop.thread_cause:
        assert cause_of_thread(analysis, loop.thread) == loop.thread_cause
    if name == "torch_workers":
        assert_workers_load(analysis)


def cause_of_thread(analysis: Analysis, name: str) -> str:
    """What mostly holds up the producer or holder itself."""
    rows = analysis.threads[analysis.threads["name"].str.startswith(name)]
    assert len(rows)
    own = rows[[*WAITS, "python", "native"]].sum().drop("gil")
    return str(own.idxmax())


def assert_workers_load(analysis: Analysis) -> None:
    """DataLoader's processes are threads of role worker whose `load` is measured."""
    table = analysis.causes
    rows = table[(table["role"] == "worker") & (table["stage"] == "load")]
    assert rows["ms_per_step"].sum() > 0
    assert "native" in set(rows["cause"])


@pytest.mark.alone
def test_stage_times_are_exact(profile: Profile) -> None:
    """Stages and `other` add up to the step, causes to their stage."""
    analysis, _, _ = profiled(profile, "article_update", *QUIET, "--no-waits")
    total = analysis.stages["ms_per_step"].sum()
    assert total == pytest.approx(analysis.loop.step_ms)
    assert analysis.stages["share"].sum() == pytest.approx(1.0)
    assert set(analysis.causes["cause"]) == {"unattributed"}
    assert any(entry.what == "waits" for entry in analysis.not_measured)


@pytest.mark.alone
def test_the_gil_holder_is_named_with_its_line(profile: Profile) -> None:
    """Waits name the holding thread, py-spy its function and line."""
    loop = PLANTED["gil_augment"]
    done, folder = profile(loop.path, arguments=["--steps", "150"])
    assert done.returncode == 0, done.stderr
    analysis = analyse(load_recording(folder))
    waits = analysis.gil_waits
    named = waits[(waits["role"] == "trainer") & (waits["holder_function"] != "")]
    assert len(named)
    assert named["holder_thread"].str.startswith(loop.thread).all()
    assert named["holder_file"].str.endswith("gil_augment.py").all()
    assert (named["holder_line"] > 0).all()
    assert analysis.handovers_per_s is not None
    assert (folder / "report.html").stat().st_size < 6_000_000


@pytest.mark.alone
def test_a_balanced_loop_has_no_finding(profile: Profile) -> None:
    """Where nothing is wrong nothing is found, other than a machine that is busy."""
    analysis, _, _ = profiled(profile, "balanced", *QUIET)
    kinds = {finding.kind for finding in analysis.findings}
    assert kinds <= {"machine-busy"}


@pytest.mark.alone
def test_a_script_without_a_loop_gets_its_whole_run(profile: Profile) -> None:
    """Threads and causes per second of wall time, and how to mark stages."""
    analysis, _, _ = profiled(profile, "plain", *QUIET)
    assert not analysis.loop.found
    assert analysis.loop.unit == "second"
    assert "step()" in analysis.loop.rule
    assert {"sleep", "python"} <= set(analysis.causes["cause"])
