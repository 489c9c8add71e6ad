"""An accelerator, by a stand-in on the clock: waits, stages, busy and idle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_runs import FACTS
from marking import run_marked

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.result import Analysis
from debottleneck.recording import assemble, spool
from debottleneck.recording.recording import Recording

pytestmark = pytest.mark.torch

SCRIPT = '''
import torch
from debottleneck.agent import device, discover

now_of = lambda: now[0]
device.monotonic_ns = now_of
discover.is_own = lambda path, module: path.endswith("snippet.py")
MS = 1_000_000
ends = [0]

def launch(ms):
    """Give the device work."""
    ends[0] = max(ends[0], now[0]) + int(ms * MS)

def catch_up(plain):
    """What reads a tensor waits for the device, on a core as CUDA does."""
    def read(self, *args):
        if self.dtype == torch.float64:
            late = max(ends[0] - now[0], 0)
            wait(late, late)
        return plain(self, *args)
    return read

class StandIn:
    """Tensors of 64 bits live there."""
    kind = "there"

    def holds(self, tensor):
        return tensor.dtype == torch.float64

    def event(self):
        ends[0] = max(ends[0], now[0])
        return ends[0]

    def has_passed(self, event):
        return now[0] >= event

    def ns_between(self, first, last):
        return last - first

torch.Tensor.item = catch_up(torch.Tensor.item)
device.install(torch, StandIn())
parameter = torch.nn.Parameter(torch.zeros(2, dtype=torch.float64))
optimizer = torch.optim.SGD([parameter], lr=0.1)
parameter.grad = torch.zeros_like(parameter)
loss, here = parameter.sum(), torch.zeros(1)

def batches(load):
    for number in range(80):
        wait(load * MS)
        yield number

def train(load, work, reads, host=1):
    for _ in step(batches(load)):
        with stage("forward"):
            launch(work)
            wait(host * MS, host * MS)
            here.item()
        if reads:
            loss.item()
        optimizer.step()
    while ends[0] > now[0]:
        wait(MS)
    optimizer.step()

assert here.to(torch.float32) is here
assert here.to(device="cpu") is here
assert here.to(here) is here
train({})
print(float(loss.item()))
'''


def ran(folder: Path, how: str) -> Analysis:
    """80 steps of that much loading, launching and reading, analysed."""
    marked = run_marked(folder, SCRIPT.replace("train({})", f"train({how})"))
    assert marked.output == "0.0\n"
    tables = assemble.tables_of(marked.folder, ())
    facts = replace(
        FACTS,
        pid=marked.pid,
        main_tid=marked.pid,
        device=assemble.told(marked.folder, marked.pid, spool.DEVICE),
    )
    return analyse(Recording.of(facts, tables))


def kinds(analysis: Analysis) -> list[str]:
    """Of its findings, in order."""
    return [finding.kind for finding in analysis.findings]


def test_a_loop_that_waits_for_its_data(tmp_path: Path) -> None:
    """10 ms of loading, 2 on the device: it idles five sixths of the time."""
    analysis = ran(tmp_path, "load=10, work=2, reads=True")
    use = analysis.device
    assert use is not None
    assert use.idle["load"] == pytest.approx(10 / 12, abs=0.05)
    assert use.busy == pytest.approx(2 / 12, abs=0.05)
    assert "device-wait" not in kinds(analysis)


def test_a_loop_that_computes_there(tmp_path: Path) -> None:
    """20 ms there hide 10 ms of loading: input is no bottleneck."""
    analysis = ran(tmp_path, "load=10, work=20, reads=False")
    use = analysis.device
    assert use is not None
    assert use.busy == pytest.approx(1.0, abs=0.05)
    assert kinds(analysis) == ["compute-bound"]
    assert analysis.findings[0].cause == "device"


def test_a_loop_that_reads_at_each_step(tmp_path: Path) -> None:
    """The wait is the cause `device`, exactly, and at its line."""
    analysis = ran(tmp_path, "load=10, work=10, reads=True")
    causes = analysis.causes.set_index(["stage", "cause"])["ms_per_step"]
    assert causes["other", "device"] == pytest.approx(9.0, rel=0.02)
    assert causes.sum() == pytest.approx(analysis.loop.step_ms)
    (wait,) = (f for f in analysis.findings if f.kind == "device-wait")
    assert "`.item()` at snippet.py:" in wait.summary
    assert "waits 8.89 ms each step" in wait.summary
    text = (tmp_path / "snippet.py").read_text().splitlines()
    assert text[wait.where[0].line - 1].strip() == "loss.item()"


def test_tensors_elsewhere_wait_for_nothing(tmp_path: Path) -> None:
    """Reads of tensors on the host are not marked, though they are made each step."""
    analysis = ran(tmp_path, "load=10, work=10, reads=False")
    assert "device" not in set(analysis.causes["cause"])
