"""`bottleneck run` changes when things are done, and nothing that the script says."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

WORKLOADS = Path(__file__).parents[2] / "workloads"
PREFETCH = "prefetch:workers=3,depth=4"
LOOP = re.compile(r"(    )*(for (index|start|batch|step|_) in .*|while .*):$")
HEAD = """
import time
import numpy as np
rng = np.random.default_rng(0)
data = rng.normal(size=(400, 8))
weights = np.zeros(8)
def forward(batch):
    return batch @ weights
def update(gradient):
    global weights
    weights = weights - 0.1 * gradient
def train(batch):
    time.sleep(0.002)
    error = forward(batch) - batch.sum(axis=1)
    update(batch.T @ error / len(batch))
"""
TAIL = """
print(repr(float(np.square(data @ weights - data.sum(axis=1)).mean())))
"""

LOOPS = {
    "epochs": """
def load_batch(index, rows):
    time.sleep(0.004)
    return rows[index * 10 : index * 10 + 10]
for epoch in range(4):
    for index in range(10):
        train(load_batch(index, rows=data))
""",
    "generator": """
def batches(size):
    for start in range(0, len(data), size):
        time.sleep(0.004)
        yield data[start : start + size]
    return "all"
for batch in batches(10):
    train(batch)
""",
    "iterator": """
class BatchLoader:
    def __init__(self):
        self.at = 0
    def __iter__(self):
        return self
    def __next__(self):
        if self.at >= 400:
            raise StopIteration
        self.at += 10
        time.sleep(0.004)
        return data[self.at - 10 : self.at]
for epoch in range(2):
    for batch in BatchLoader():
        train(batch)
""",
    "list": """
def load_row(index):
    time.sleep(0.0005)
    return data[index]
def load_batch(indices):
    return np.stack([load_row(index) for index in indices])
for _ in range(30):
    train(load_batch(rng.integers(400, size=8)))
""",
    "a generator's state": """
def load_batch(rows, source):
    time.sleep(0.004)
    return rows[source.integers(400, size=10)]
for _ in range(40):
    train(load_batch(data, rng))
print(rng.integers(1000))
""",
    "left early": """
def load_batch(source):
    time.sleep(0.004)
    return data[source.integers(400, size=10)]
for step in range(60):
    train(load_batch(rng))
    if step == 40:
        break
print(step, rng.integers(1000))
""",
    "counted": """
def load_batch(index):
    time.sleep(0.004)
    return data[index * 10 : index * 10 + 10]
index = 0
while index < 40:
    batch = load_batch(index)
    train(batch)
    index += 1
    if index == 33:
        continue
    weights = weights * 0.999
""",
    "in a function": """
def main(epochs):
    last = None
    for epoch in range(epochs):
        for start in range(0, 200, 10):
            batch = load_batch(start)
            if not len(batch):
                continue
            train(batch)
            last = start
    return last
def load_batch(start):
    time.sleep(0.004)
    return data[start : start + 10 * (start != 50)]
print(main(3))
""",
}
"""Loops whose batches are loaded ahead."""

PLAIN = {
    "the last loss": """
def load_batch(index, loss):
    time.sleep(0.004)
    return data[index * 10 : index * 10 + 10] * (1 + loss % 0.5)
loss = 0.0
for index in range(40):
    batch = load_batch(index, loss)
    train(batch)
    loss = float(np.square(batch @ weights).mean())
""",
    "one buffer": """
buffer = np.zeros((10, 8))
def load_batch(index):
    time.sleep(0.004)
    buffer[:] = data[index * 10 : index * 10 + 10]
    return buffer
for index in range(40):
    train(load_batch(index))
""",
    "one buffer in a generator": """
def batches():
    buffer = np.zeros((10, 8))
    for index in range(40):
        time.sleep(0.004)
        buffer[:] = data[index * 10 : index * 10 + 10]
        yield buffer
for batch in batches():
    train(batch)
""",
    "a queue": """
import queue, threading
batches = queue.Queue(4)
def produce():
    for start in range(0, 400, 10):
        batches.put(data[start : start + 10])
def next_batch(source):
    return source.get()
threading.Thread(target=produce, daemon=True).start()
for _ in range(40):
    train(next_batch(batches))
""",
    "to the end": """
def load_batch(index):
    time.sleep(0.004)
    if index >= 37:
        raise IndexError("no more")
    return data[index * 10 : index * 10 + 10]
index = 0
while True:
    try:
        train(load_batch(index))
    except IndexError as end:
        print(end)
        break
    index += 1
""",
    "nothing to load": """
for start in range(0, 400, 10):
    train(data[start : start + 10])
""",
    "hardly anything to do": """
def forward_only(batch):
    return batch @ weights
for step in range(400):
    weights = weights + 1e-9 * forward_only(data[step % 40 : step % 40 + 8])
    time.sleep(0.00001)
""",
}
"""Loops that are left as they are: what they load depends on what they train, lies in
one array, or is nothing."""


def both(
    script: Path, *strategies: str, expected: int = 0, given: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run plain and with strategies; the same output and exit code.

    The loop is named, so that it is known however slow the machine is.
    """
    plain = subprocess.run(
        [sys.executable, str(script), *given],
        capture_output=True,
        text=True,
        timeout=120,
    )
    asked = [word for text in strategies for word in ("--strategy", text)]
    lines = script.read_text(encoding="utf-8").splitlines()
    loops = [n for n, line in enumerate(lines, 1) if LOOP.match(line)]
    asked += ["--step", f"{script}:{loops[-1]}"] if loops else []
    ours = subprocess.run(
        [sys.executable, "-m", "debottleneck", "run", *asked, str(script), *given],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert plain.returncode == expected, plain.stderr
    assert ours.returncode == expected, ours.stderr
    assert ours.stdout == plain.stdout
    return ours


def written(folder: Path, body: str) -> Path:
    """A script of the head, this loop, and the loss at its end."""
    script = folder / "train.py"
    script.write_text(HEAD + textwrap.dedent(body) + TAIL, encoding="utf-8")
    return script


@pytest.mark.parametrize(
    "where", [pytest.param("", marks=pytest.mark.each_python), ",where=process"]
)
@pytest.mark.parametrize("loop", LOOPS)
def test_batches_are_loaded_ahead_and_train_the_same(
    tmp_path: Path, loop: str, where: str
) -> None:
    """Every form of loading, and the loss is the same to the bit."""
    done = both(written(tmp_path, LOOPS[loop]), PREFETCH + where)
    assert "were made ahead" in done.stderr, done.stderr


@pytest.mark.parametrize("loop", PLAIN)
def test_loops_that_nothing_can_run_ahead_of_say_why(tmp_path: Path, loop: str) -> None:
    """The loop trains as plain, and one sentence names it and says why.

    One more names the loop of a thread that feeds it.
    """
    done = both(written(tmp_path, PLAIN[loop]), PREFETCH)
    assert "were made ahead" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("bottleneck:")]
    assert len(said) == 1 + (loop == "a queue"), done.stderr
    named = [
        re.search(r"the loop at (train.py:\d+) stays as it is: .", one) for one in said
    ]
    assert len({one and one[1] for one in named} - {None}) == len(said), done.stderr


@pytest.mark.each_python
@pytest.mark.parametrize("where", ["", ",where=process"])
def test_an_exception_is_the_script_s_own(tmp_path: Path, where: str) -> None:
    """Traceback and exit code are those of plain python."""
    body = """
def load_batch(index):
    time.sleep(0.004)
    if index == 30:
        raise OSError("the disk is gone")
    return data[index * 10 : index * 10 + 10]
for index in range(40):
    train(load_batch(index))
"""
    script = written(tmp_path, body)
    done = both(script, PREFETCH + where, expected=1)
    assert "runs ahead" in done.stderr
    command = [sys.executable, str(script)]
    plain = subprocess.run(command, capture_output=True, text=True)
    assert plain.stderr in done.stderr


@pytest.mark.each_python
def test_an_exit_code_is_passed_on(tmp_path: Path) -> None:
    """`sys.exit(7)` in the loop ends fetches too."""
    body = """
def load_batch(index):
    time.sleep(0.01)
    return data[index * 10 : index * 10 + 10]
for index in range(40):
    train(load_batch(index))
    if index == 32:
        raise SystemExit(7)
"""
    both(written(tmp_path, body), PREFETCH, expected=7)


@pytest.mark.parametrize(
    ("script", "strategy", "did"),
    [
        ("article_load.py", PREFETCH, "were made ahead"),
        ("article_forward.py", "parallel-forward", "run in 5 threads"),
        ("article_update.py", f"{PREFETCH}+parallel-update", "run in 5 threads"),
        ("remote_shards.py", PREFETCH, "the loop at remote_shards.py:61"),
    ],
)
def test_workloads_train_the_same(script: str, strategy: str, did: str) -> None:
    """Loops that nobody edited print the same losses, whatever is done."""
    knob = "--latency" if script.startswith("remote") else "--delay"
    done = both(WORKLOADS / script, strategy, given=["--steps", "30", knob, "0.03"])
    assert did in done.stderr, done.stderr


@pytest.mark.each_python
def test_what_was_made_ahead_is_taken_by_no_other_thread(tmp_path: Path) -> None:
    """Two threads that load in turn get what they asked for."""
    body = """
import threading
def load_batch(index):
    time.sleep(0.001)
    return data[index * 10 : index * 10 + 10]
sums = {}
def read(first):
    for index in range(first, 40, 2):
        sums[index] = float(load_batch(index).sum())
threads = [threading.Thread(target=read, args=(n,)) for n in (0, 1)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print([sums[index] for index in range(40)])
"""
    both(written(tmp_path, body), PREFETCH)
