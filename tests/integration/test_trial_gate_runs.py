"""The equality gate on real runs: workloads that agree, scripts made to break."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pytest

from debottleneck.agent.state import Extent
from debottleneck.collect.options import LoopTarget, Options
from debottleneck.recording import spool
from debottleneck.recording.reading import read_lines
from debottleneck.trials import written
from debottleneck.trials.gate import judge
from debottleneck.trials.result import Judgement
from debottleneck.trials.state import States, loss_curves, read

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ENTRY = ROOT / "bottleneck" / "debottleneck" / "agent" / "entry.py"
BREAKING = Path(__file__).parent / "scripts" / "breaking"


class GateRun(NamedTuple):
    """One run: what its variables held, what strategies said, what it printed."""

    states: States
    notes: list[dict[str, object]]
    printed: str


Run = Callable[..., GateRun]

LOOP = re.compile(r"(?:    )?for (?:index|step|batch|_) in .*:")
WHOLE = Extent(limit=0, most=0)


def loop_of(script: Path) -> LoopTarget:
    """The training loop, as the profile finds it before a comparison's trials."""
    lines = script.read_text(encoding="utf-8").splitlines()
    places = [n for n, line in enumerate(lines, 1) if LOOP.fullmatch(line)]
    return LoopTarget(str(script), places[-1])


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """Run a script under the agent, writing down what its variables hold."""

    def once(
        script: Path, *arguments: str, strategies: str = "", gate: Extent = WHOLE
    ) -> GateRun:
        folder = tmp_path / f"spool-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
        kept = folder / "kept"
        kept.mkdir()
        how = {"waits": False, "stacks": False, "functions": ""}
        how |= {"gate": asdict(gate), "guard": kept}
        how |= {"strategies": strategies, "loop": loop_of(script)}
        config = Options(
            str(script), arguments, False, sys.executable, **how
        ).configuration
        (folder / spool.CONFIG).write_text(json.dumps(config))
        process = subprocess.Popen(
            [sys.executable, str(ENTRY), str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tmp_path,
        )
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        notes = list(read_lines(folder / spool.STRATEGIES_FILE))
        files = written.read(folder / "kept")
        return GateRun(read(folder, process.pid, files), notes, printed)

    return once


@pytest.mark.parametrize("name", ["article_load", "article_forward", "article_update"])
def test_two_plain_runs_agree(run: Run, name: str) -> None:
    """The workloads are seeded: run after run the same bits, to the very end."""
    script = ROOT / "workloads" / f"{name}.py"
    runs = [run(script, "--delay", "0.001", "--steps", "8") for _ in range(3)]
    assert len({plain.printed for plain in runs}) == 1
    assert runs[0].states.ended
    assert judge(*(plain.states for plain in runs)) == Judgement("same", steps=8)


def test_another_seed_is_different(run: Run) -> None:
    """Other batches show after the first step, by the name of what holds them."""
    script = ROOT / "workloads" / "article_update.py"
    how = ("--delay", "0", "--steps", "8")
    plain, other = run(script, *how), run(script, *how, "--seed", "1")
    judgement = judge(plain.states, plain.states, other.states)
    assert judgement.numbers == "different"
    assert "differs from step 1 on: " in judgement.why


def test_a_script_without_seeds_is_unverified(run: Run) -> None:
    """Nothing can be said of a script that never computes the same twice."""
    judgement = judge(*(run(BREAKING / "unseeded.py", "6").states for _ in range(3)))
    assert judgement.numbers == "unverified"
    assert "differs from itself; set its seeds" in judgement.why
    assert "weights differs before step 1" in judgement.why


def test_stopped_runs_are_compared_as_far_as_both_go(run: Run) -> None:
    """A trial is stopped after so many steps; the rest is not held against it."""
    script = ROOT / "workloads" / "article_update.py"
    whole = run(script, "--delay", "0", "--steps", "9").states
    shorter = run(script, "--delay", "0", "--steps", "7").states
    stopped = run(script, "--delay", "0", "--steps", "9", gate=Extent(6, 6)).states
    assert judge(whole, whole, stopped).numbers == "same"
    assert judge(whole, whole, shorter).numbers == "different"


def test_trainings_at_once_are_judged_each(run: Run) -> None:
    """Two threads run one loop: the steps of each are compared, and a loss drawn."""
    script = ROOT / "workloads" / "oversubscribed.py"
    how = ("--threads", "2", "--steps", "12")
    plain = [run(script, *how).states for _ in range(2)]
    tried = run(script, *how, strategies="blas:threads=1")
    assert len(plain[0].threads) == 2
    assert judge(*plain, tried.states).numbers in ("same", "equal")
    assert len(next(iter(loss_curves(plain[0]).values()))) >= 11
    other = run(script, *how, "--seed", "3").states
    assert judge(*plain, other).numbers == "different"


@pytest.mark.parametrize(
    ("script", "arguments", "strategies"),
    [
        ("hidden_state", ("30",), "parallel-forward"),
        ("load_follows_loss", ("30",), "prefetch:workers=4,depth=8"),
        ("shared_update", ("visible", "30"), "parallel-update"),
        ("shared_update", ("hidden", "30"), "parallel-update"),
        ("global_rng", ("30",), "prefetch:workers=2"),
        ("reused_buffer", ("30",), "prefetch:depth=4"),
        ("unseeded", ("30",), "prefetch"),
    ],
)
def test_scripts_made_to_break_are_caught(
    run: Run, script: str, arguments: tuple[str, ...], strategies: str
) -> None:
    """The strategy sees that it does not apply, or the gate refuses what it did."""
    path = BREAKING / f"{script}.py"
    plain = [run(path, *arguments).states for _ in range(2)]
    tried = run(path, *arguments, strategies=strategies)
    judgement = judge(*plain, tried.states)
    engaged = any(note["state"] == "engaged" for note in tried.notes)
    assert judgement.numbers in ("different", "unverified") or not engaged


def test_a_strategy_that_is_right_passes(run: Run) -> None:
    """Batches that were fetched ahead are the same bits in the same order."""
    script = ROOT / "workloads" / "article_load.py"
    how = ("--delay", "0.005", "--steps", "12")
    plain = [run(script, *how).states for _ in range(2)]
    fetched = run(script, *how, strategies="prefetch:workers=4").states
    assert judge(*plain, fetched) == Judgement("same", steps=12)


KEPT = BREAKING / "kept_state.py"
APART = "prefetch:where=process"


@pytest.mark.parametrize(
    ("kind", "strategies"),
    [
        ("average", "parallel-update"),
        ("epochs", APART),
        ("level", "prefetch"),
        ("counted", APART),
        ("lines", APART),
        ("updates", "parallel-update"),
        ("loads", "prefetch:workers=4"),
        ("loads", APART),
    ],
)
def test_what_variables_hold_is_judged(run: Run, kind: str, strategies: str) -> None:
    """State that loads and training share stays what it is, and the word is "same"."""
    plain = run(KEPT, kind)
    tried = run(KEPT, kind, strategies=strategies)
    judgement = judge(plain.states, plain.states, tried.states)
    assert judgement.numbers == "same", judgement.why
    assert judgement.steps == 60
    assert plain.printed == tried.printed
