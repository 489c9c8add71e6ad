"""Where steps of the gate's runs begin: on every thread, and as the loop is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from looping import run_loops

from debottleneck.recording import spool
from debottleneck.trials.state import States, read

TOLD = """
from debottleneck.agent import told
discover.is_own = lambda path, module: path == str(script)
gate = {"limit": LIMIT, "most": LIMIT, "anchor": ""}
told.install(folder, {"gate": gate, "loop": asked})
"""

HEADS = {
    "for": "    for n in range(steps):\n",
    "while": "    n = -1\n    while (n := n + 1) < steps:\n",
}
TRAIN = "def train(steps, start):\n    w = start\n{}        w = w * 2.0\n    return w\n"


def told(folder: Path, source: str, line: int, limit: int = 0, size: int = 1) -> States:
    """Run a module whose loop in that line trains; what its threads held."""
    before = TOLD.replace("LIMIT", str(limit))
    before = before.replace("asked}", f"asked | {{'iterations': {size}}}}}")
    run_loops(folder, source, line, before)
    (path,) = folder.glob(spool.state_file(folder, 0).name.replace("-0.", "-*."))
    return read(folder, int(path.stem.rpartition("-")[2]))


def values(run: States, thread: str) -> list[float]:
    """What `w` held after each step of a thread."""
    state = run.threads[thread]
    found = (state.histories["w"].at(step) for step in state.looked)
    return [float(leaf[0]) for leaf in found if leaf]


@pytest.mark.parametrize("kind", HEADS)
def test_each_thread_has_steps_of_its_own(tmp_path: Path, kind: str) -> None:
    """Marked or not, an iteration is told before it begins, and those begun counted."""
    source = TRAIN.format(HEADS[kind]) + (
        "import threading\n"
        "starts = {'one': 1.0, 'two': 3.0}\n"
        "threads = [threading.Thread(target=train, args=(6, s), name=n)\n"
        "           for n, s in starts.items()]\n"
        "for thread in threads: thread.start()\n"
        "train(4, 5.0)\n"
        "for thread in threads: thread.join()\n"
    )
    run = told(tmp_path, source, 3 if kind == "for" else 4)
    assert run.ended
    for name, steps, start in (
        ("MainThread", 4, 5.0),
        ("one", 6, 1.0),
        ("two", 6, 3.0),
    ):
        assert run.threads[name].steps == steps
        assert values(run, name)[:steps] == [start * 2**n for n in range(steps)]


def test_iterations_that_gather_gradients_are_one_step(tmp_path: Path) -> None:
    """Told as the user counts: three of them a step."""
    run = told(tmp_path, TRAIN.format(HEADS["for"]) + "train(9, 1.0)\n", 3, size=3)
    assert run.threads["MainThread"].steps == 3
    assert values(run, "MainThread") == [1.0, 8.0, 64.0, 512.0]


def test_epochs_are_entries_of_the_loop(tmp_path: Path) -> None:
    """An epoch is over when the loop is entered again; then a limit ends all."""
    inner = "    for n in range(5):\n        wait(10**6)\n        w = w * 2.0\n"
    source = f"w = 1.0\nfor epoch in range(9):\n{inner}"
    whole = told(tmp_path, source, 3)
    assert (whole.steps, whole.epochs, whole.ended) == (45, 8, True)
    for file in tmp_path.iterdir():
        file.unlink()
    stopped = told(tmp_path, source, 3, limit=7)
    assert (stopped.steps, stopped.epochs, stopped.ended) == (8, 1, False)


def test_results_that_nobody_keeps(tmp_path: Path) -> None:
    """What functions with training names return is held until the step is looked at."""
    source = (
        "def batches():\n    for n in range(3): yield n + 0.5\n"
        "def forward(x): return 2 * x\n"
        "def fit(x): return None\n"
        "def main():\n"
        "    for x in batches():\n"
        "        fit(forward(x) - forward(1.0))\n"
        "main()\n"
    )
    histories = told(tmp_path, source, 6).threads["MainThread"].histories
    found = {path: held for path, held in histories.items() if "()" in path}
    assert found.keys() == {"batches()", "forward() 1 of 2", "forward() 2 of 2"}
    leaves = [leaf[0] for leaf in found["forward() 1 of 2"].leaves if leaf]
    assert leaves == ["1.0", "3.0", "5.0"][: len(leaves)]
    assert len(leaves) >= 2


@pytest.mark.parametrize("after", ["", "    for n in range(2): w = w + 1.0\n"])
def test_what_the_last_step_did_is_seen_in_a_function(
    tmp_path: Path, after: str
) -> None:
    """No step begins after it: the thread leaves its loops."""
    loop = "    for k in range(3):\n        w = w * 2.0\n"
    run = told(tmp_path, f"def train(w):\n{loop}{after}train(1.0)\n", 2)
    assert values(run, "MainThread") == [1.0, 2.0, 4.0, 10.0 if after else 8.0]
