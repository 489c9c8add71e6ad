"""What is written down of a stage's calls, and that the script cannot tell."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from debottleneck.agent import outputs
from debottleneck.agent import wrap as wrapping
from debottleneck.agent.wrap import wrap
from debottleneck.recording import spool
from debottleneck.trials.gate_outputs import Output, Outputs, read

Written = Callable[[], Outputs]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Write outputs from here on; called, it ends that and reads them."""

    def end() -> Outputs:
        outputs.finish()
        return read(tmp_path, os.getpid())

    outputs.install(tmp_path, {})
    yield end
    outputs.finish()
    wrapping._watching.clear()


def marked(stage: str, function: Callable[..., Any], **how: str) -> Callable[..., Any]:
    """The function as discovery would leave it."""
    wrapper: Callable[..., Any] = wrap(function, stage, **how)
    return wrapper


def stages(run: Outputs) -> list[str]:
    """In order."""
    return [event.stage for event in run.events]


def content(event: Output) -> tuple[str, str]:
    """What decides whether two outputs are the same."""
    return event.rest, event.bits


def test_every_call_is_a_line(written: Written) -> None:
    """Stage, name and content of each, in the order of the calls."""
    load = marked("load", lambda index: np.full(3, index), name="load_batch")
    loss = marked("loss", lambda value: value)
    for index in range(2):
        assert load(index).tolist() == [index] * 3
        loss(0.5)
    found = written()
    assert stages(found) == ["load", "loss"] * 2
    assert found.events[0].name == "load_batch"
    assert found.events[1].number == 0.5
    assert content(found.events[0]) != content(found.events[2])
    assert content(found.events[1]) == content(found.events[3])


def failing(error: BaseException) -> Callable[[], None]:
    """A function that raises it."""

    def fail() -> None:
        raise error

    return fail


def test_results_and_exceptions_are_the_same_objects(written: Written) -> None:
    """Nothing is copied, an error reaches the caller; an interruption is no output."""
    array, error = np.ones(2), KeyError("mine")
    assert marked("load", lambda: array)() is array
    with pytest.raises(KeyError) as caught:
        marked("forward", failing(error))()
    assert caught.value is error
    with pytest.raises(KeyboardInterrupt):
        marked("forward", failing(KeyboardInterrupt()))()
    assert stages(written()) == ["load", "forward"]


def test_an_error_is_not_the_one_that_is_being_handled(written: Written) -> None:
    """A call from within an except clause that succeeds is a plain output."""
    load = marked("load", lambda: 0.5)
    try:
        raise ValueError
    except ValueError:
        load()
    load()
    first, second = written().events
    assert content(first) == content(second)


def test_only_outermost_calls_are_written(written: Written) -> None:
    """Not what a stage calls within itself, but what a whole step does.

    Logging and checkpoints return times and paths, which differ from run to run.
    """
    inner = marked("augment", lambda value: value + 1)
    load = marked("load", lambda value: inner(value) * 2)
    assert marked("step", lambda: load(1))() == 4
    marked("log", lambda: inner(1))()
    marked("checkpoint", lambda: "model-2026.npz")()
    marked("evaluate", lambda: 0.5)()
    assert stages(written()) == ["load", "step", "evaluate"]


def test_a_generator_works_as_before(written: Written) -> None:
    """Items, send, throw, return value and close pass through; each item counts."""
    seen = []

    def batches() -> Generator[int, Any, str]:
        try:
            seen.append((yield 1))
            try:
                yield 2
            except KeyError:
                seen.append("thrown")
            yield 3
            return "done"
        finally:
            seen.append("closed")

    def use() -> Generator[Any, Any, None]:
        seen.append((yield from marked("load", batches)()))

    items = use()
    assert next(items) == 1
    assert items.send("sent") == 2
    assert items.throw(KeyError()) == 3
    with pytest.raises(StopIteration):
        next(items)
    assert seen == ["sent", "thrown", "closed", "done"]
    early = marked("load", batches)()
    next(early)
    early.close()
    assert seen[-1] == "closed"
    found = written().events
    assert [event.leaves for event in found] == [1, 1, 1, 1, 1]
    assert content(found[0]) == content(found[4])


def test_coroutines_work_as_before(written: Written) -> None:
    """Tasks take turns; only what is outermost in its task is written."""

    async def fetch_item(value: int) -> int:
        await asyncio.sleep(0)
        return value

    inner = marked("load", fetch_item)

    async def load_batch() -> list[int]:
        return list(await asyncio.gather(inner(1), inner(2)))

    async def batches() -> AsyncGenerator[int, None]:
        yield 3
        yield 4

    async def main() -> list[Any]:
        both = await marked("load", load_batch)()
        return [*both, *[item async for item in marked("load", batches)()]]

    assert asyncio.run(main()) == [1, 2, 3, 4]
    assert [event.leaves for event in written().events] == [2, 1, 1, 1]


class Parameter:
    """A weight that an update moves."""

    def __init__(self) -> None:
        self.value = np.zeros(3)


@pytest.mark.parametrize("layers", [1, 2])
def test_updates_are_looked_at_when_another_stage_begins(
    written: Written, layers: int
) -> None:
    """A strategy may apply them late, but not later than that.

    Weights and bias of one layer may be moved side by side by two functions.
    """
    late: list[Callable[[], None]] = []

    def update(parameter: Parameter) -> None:
        late.append(lambda: parameter.value.__iadd__(1.0))

    parameters = [Parameter() for _ in range(layers)]
    for number in range(2):
        name = f"update_{number}"
        marked("update", update, name=name)(parameters[number % layers])
    for act in late:
        act()
    marked("load", lambda: 1.0)()
    after = written()
    assert stages(after) == ["update", "update", "load"]
    assert {event.sketches[0][0] for event in after.events[:2]} == {2 / layers}


def test_the_same_parameter_again_ends_the_wait(written: Written) -> None:
    """In a loop of updates alone, each one is looked at before the next."""

    def update(parameter: Parameter) -> None:
        parameter.value += 1

    apply, only = marked("update", update), Parameter()
    for _ in range(3):
        apply(only)
    values = [event.sketches[0][0] for event in written().events]
    assert values == [1, 2, 3]


def test_strategies_own_threads_write_nothing(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they fetch ahead is written when the trainer gets it."""
    load = marked("load", lambda: 1.0)
    monkeypatch.setattr(outputs, "is_worker", lambda: True)
    load()
    monkeypatch.setattr(outputs, "is_worker", lambda: False)
    load()
    assert len(written().events) == 1


def test_a_thread_that_only_loads_writes_nothing(written: Written) -> None:
    """A thread that computes does, under a number of its own."""
    load, forward = marked("load", lambda: 1.0), marked("forward", lambda: 2.0)

    def beside() -> None:
        load()
        forward()
        load()

    forward()
    for target in (load, beside):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    found = written()
    assert stages(found) == ["forward", "forward", "load"]
    assert found.events[0].thread == 0
    assert found.events[1].thread == found.events[2].thread != 0
    assert len(found.trained) == 1


def test_a_forked_child_writes_nothing(written: Written, tmp_path: Path) -> None:
    """Its outputs reach the parent, which writes them."""
    load = marked("load", lambda: 1.0)
    pid = os.fork()
    if pid == 0:
        load()
        os._exit(0)
    os.waitpid(pid, 0)
    load()
    assert len(written().events) == 1
    assert not spool.outputs_file(tmp_path, pid).exists()


def test_lines_are_bounded(tmp_path: Path) -> None:
    """After so many the script trains on and nothing more is written."""
    outputs.install(tmp_path, {"outputs_lines": 3})
    load = marked("load", lambda index: float(index))
    for index in range(10):
        load(index)
    outputs.finish()
    wrapping._watching.clear()
    found = read(tmp_path, os.getpid())
    assert [event.number for event in found.events] == [0, 1, 2]
    assert not found.ended


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(
    written: Written, tmp_path: Path
) -> None:
    """A script may be killed while it writes a line."""
    load = marked("load", lambda: 1.0)
    load()
    load()
    written()
    path = spool.outputs_file(tmp_path, os.getpid())
    text = path.read_text()
    assert [json.loads(line)["n"] for line in text.splitlines()] == [0, 1]
    path.write_text(text[:-40])
    assert len(read(tmp_path, os.getpid()).events) == 1
    assert read(tmp_path, 1) == Outputs()


@pytest.mark.torch
def test_optimizers_are_watched(tmp_path: Path) -> None:
    """Each step's parameters are written; gradients set to zero are not."""
    code = f"""if True:
        import json, os, sys
        from pathlib import Path
        from debottleneck.agent import outputs
        import torch
        from debottleneck.agent import torch as hooks
        outputs.install(Path({str(tmp_path)!r}), {{}})
        hooks.install(torch)
        outputs.after_torch(torch)
        model = torch.nn.Linear(2, 1)
        for optimizer in (torch.optim.SGD(model.parameters(), lr=0.1),
                          torch.optim.Adam(model.parameters())):
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
            for _ in range(2):
                optimizer.zero_grad()
                model(torch.ones(1, 2)).sum().backward()
                optimizer.step()
                scheduler.step()
        optimizer.step(lambda: model(torch.ones(1, 2)).sum())
        print(os.getpid())
    """
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = read(tmp_path, int(done.stdout))
    step = ["forward", "backward", "update"]
    assert stages(found) == [*step * 4, "update"]
    updates = [event for event in found.events if event.stage == "update"]
    assert [event.leaves for event in updates] == [2, 2, 2, 2, 3]
    assert len({event.bits for event in updates}) == 5


def test_iterations_that_gather_gradients_are_one_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Steps are counted as the user counts them: each of three iterations."""
    told: list[int] = []
    states = SimpleNamespace(turned=lambda more, frame: told.append(more))
    monkeypatch.setattr(outputs, "_states", states)
    monkeypatch.setattr(outputs, "_step", 0)
    loop = {"file": "/w/train.py", "line": 3, "iterations": 3}
    turned: Any = outputs._steps_of(loop)
    point = SimpleNamespace(file="/w/train.py", plan=SimpleNamespace(line=3))
    for more in (1, 1, 1, 1, -1):
        turned(point, more)
    assert told == [1, 1, -1]
    assert outputs._step == 1
