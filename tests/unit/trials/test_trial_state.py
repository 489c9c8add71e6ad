"""What two runs' variables held: which differences count, and how they read."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from debottleneck.agent.guard import LIST
from debottleneck.agent.state import Extent, LiveSteps, StateLog
from debottleneck.recording import spool
from debottleneck.strategies.spec import parse
from debottleneck.trials import written
from debottleneck.trials.state import (
    History,
    States,
    compare,
    read,
    readable,
    unlike,
)
from debottleneck.trials.written import WrittenFile

MODULE = "users_own"
PID = 7
Change = Callable[[Any, int], None]


def nothing(names: Any, step: int) -> None:
    """A step that changes nothing."""


def train(names: Any, step: int) -> None:
    """What a plain step computes."""
    names.w = names.w + 0.1 * names.x
    names.losses.append(step / 7)


def load(names: Any, step: int) -> None:
    """What a plain load does."""
    names.x = np.full(3, float(step))
    names.seen = 32 * step


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., States]:
    """A made script's run: loads and trains, and is written down as in the gate."""
    count = iter(range(99))

    def running(
        train: Change = train,
        load: Change = load,
        *,
        steps: int = 12,
        limit: int = 0,
        after: Change = nothing,
        **names: object,
    ) -> States:
        module = ModuleType(MODULE)
        module.__file__ = "users.py"
        vars(module).update({"w": np.zeros(3), "losses": [], "seen": 0, **names})
        folder = tmp_path / str(next(count))
        folder.mkdir()
        log = StateLog(
            spool.state_file(folder, PID),
            lambda path, name: name == MODULE,
            Extent(by_load=True, limit=limit, most=limit, loads=True),
        )
        frame = sys._getframe()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, MODULE, module)
            try:
                for step in range(1, steps + 1):
                    log.enters("load", "load", (), frame)
                    load(module, step)
                    log.leaves("load", "load", frame)
                    log.enters("forward", "forward", (), frame)
                    train(module, step)
                after(module, steps)
                log.close()
            except SystemExit:
                pass
        states = read(folder, PID)
        assert states is not None
        return states

    return running


Run = Callable[..., States]


def judged(run: Run, *candidate: Any, **how: Any) -> str:
    """What is said of a run beside two plain ones; "same" or "equal" without."""
    found, same = compare(run(), run(), run(*candidate, **how), 1e-6)
    return (
        found.what.removeprefix(f"{MODULE}.")
        if found
        else ("same" if same else "equal")
    )


def test_the_same_script_is_the_same(run: Run) -> None:
    """Nothing differs from itself."""
    assert judged(run) == "same"


def test_a_difference_is_named_with_its_step(run: Run) -> None:
    """Weights that read an old value from the fourth step on, as a loop would not."""

    def stale(names: Any, step: int) -> None:
        train(names, step if step < 4 else 0)

    found = judged(run, stale)
    assert found.startswith("losses[3] differs from step 4 on: 0.571429 against 0")


def test_rounding_is_equal(run: Run) -> None:
    """Another order of summation is no other result."""

    def reordered(names: Any, step: int) -> None:
        train(names, step)
        names.w = names.w * (1 + 1e-12)

    assert judged(run, reordered) == "equal"


def test_what_also_differs_between_plain_runs(run: Run) -> None:
    """A time stamp is no result."""
    times = iter(range(1000))

    def stamped(names: Any, step: int) -> None:
        train(names, step)
        names.at = next(times)

    found, same = compare(run(stamped), run(stamped), run(stamped), 1e-6)
    assert found is None
    assert same


def placed(by: int) -> Change:
    """Training that notes how far the loop is, some steps ahead or behind."""

    def trained(names: Any, step: int) -> None:
        train(names, step)
        names.place = min(step + by, 40) if step > 5 else step

    return trained


@pytest.mark.parametrize(("by", "why"), [(4, ""), (-1, "place differs from step 6")])
def test_what_holds_later_values_is_ahead(run: Run, by: int, why: str) -> None:
    """It is the plain script's own, if it is that at the end; earlier ones are not."""
    plain = run(placed(0), steps=40)
    found, same = compare(plain, plain, run(placed(by), steps=40), 1e-6)
    assert same == (not why)
    assert (found.what if found else "").removeprefix(f"{MODULE}.").startswith(why)
    assert (found is None) == (not why)


def test_loads_may_be_ahead(run: Run) -> None:
    """What only loads change moves sooner when batches are fetched ahead."""

    def ahead(names: Any, step: int) -> None:
        load(names, step)
        names.seen = 32 * (min(step + 4, 12) if step > 2 else step)

    assert judged(run, train, ahead) == "same"


def test_loads_of_another_process_leave_their_state_there(run: Run) -> None:
    """A counter that a child counts stays as it was in the script."""

    def elsewhere(names: Any, step: int) -> None:
        load(names, step)
        names.seen = min(names.seen, 64)

    assert judged(run, train, elsewhere) == "seen stays as it was after step 2"


def test_the_end_must_be_the_plain_end(run: Run) -> None:
    """When the script is over, what ran ahead must have come to the same place."""

    def drained(names: Any, steps: int) -> None:
        names.seen += 1

    found = judged(run, after=drained)
    assert found == "seen differs at the script's end: 384 against 385"


def test_what_stands_in_for_the_users_own(run: Run) -> None:
    """An object of this package in place of a generator tells nothing."""
    plain = {"it": [1, 2]}
    found, _ = compare(run(**plain), run(**plain), run(it=parse("prefetch")[0]), 1e-6)
    assert found is None


def test_a_run_is_ended_after_its_steps(run: Run) -> None:
    """At a step's boundary, the same in every run."""
    stopped = run(steps=100, limit=5)
    assert (stopped.steps, stopped.ended) == (6, False)
    assert stopped.looked == (0, 1, 2, 3, 4)
    assert stopped.end


def test_later_steps_are_looked_at_rarely(run: Run) -> None:
    """Two thousand steps take some hundred looks, the large values some twenty."""
    states = run(steps=2000)
    assert len(states.looked) < 300
    assert len(states.looked_large) < 30
    assert states.looked[:65] == tuple(range(65))


@pytest.mark.parametrize(
    ("how", "stages", "begins"),
    [
        ((True,), "load augment load forward load", [1, 0, 0, 0, 1]),
        ((True,), "forward load load update log load", [0, 1, 0, 0, 0, 1]),
        ((False,), "load forward update forward forward", [0, 1, 0, 1, 0]),
        ((True, False), "load load log load", [1, 1, 0, 1]),
        ((False, False), "step log step load", [1, 0, 1, 0]),
    ],
)
def test_where_steps_begin(
    how: tuple[bool, ...], stages: str, begins: list[int]
) -> None:
    """At the first load after a computation, or at what is marked instead."""
    steps = LiveSteps(*how)
    assert [steps.begins(stage) for stage in stages.split()] == list(map(bool, begins))


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (["1"], ["2"], "1 against 2"),
        (["0.5"], ["0.5000000001"], ""),
        (["0.5"], ["nan"], "0.5 against nan"),
        (["'a'"], ["'b'"], "'a' against 'b'"),
        (["1"], None, "it is missing"),
        (["1"], ["k", "", [], [], ""], "it is of another kind"),
    ],
)
def test_how_values_differ(one: Any, other: Any, said: str) -> None:
    """Numbers side by side, the rest in words."""
    assert unlike(one, other, 1e-6) == said


def test_modules_read_as_their_parameters_are_named() -> None:
    """Torch keeps them in dictionaries that nobody writes."""
    path = "model._modules['0']._parameters['weight']"
    assert readable(path) == "model.0.weight"


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    """What was written before counts; nothing at all is None."""
    assert read(tmp_path, PID) is None
    spool.state_file(tmp_path, PID).write_text('{"step": 1, "set": {"a": ["1"]}, "g')
    assert read(tmp_path, PID) is None


def test_what_is_set_before_the_first_step(run: Run) -> None:
    """A date in a name differs from day to day, whatever a strategy does."""
    found, _ = compare(run(name="mon"), run(name="mon"), run(name="tue"), 1e-6)
    assert found is None


def test_loads_may_fill_a_cache_sooner(run: Run) -> None:
    """What is new in it or gone from it, also after the loads that are watched."""

    def keeps(ahead: int) -> Change:
        def load(names: Any, step: int) -> None:
            last = min(step + ahead, 90)
            names.x = np.full(3, float(step))
            names.cache = {n: [n, str(n)] for n in range(max(last - 9, 1), last + 1)}
            names.queue = [(n, n) for n in range(max(last - 70, 0), last)]

        return load

    plain = [run(load=keeps(0), steps=90) for _ in range(2)]
    assert compare(*plain, run(load=keeps(3), steps=90), 1e-6)[0] is None


def test_an_attribute_that_loads_set_once(run: Run) -> None:
    """A process that loads keeps what it computes once; the script lacks nothing."""

    def keeps(names: Any, step: int) -> None:
        load(names, step)
        names.table = [5]
        str(names.paths[step])

    def paths() -> dict[str, Any]:
        return {"paths": [Path(f"/{number}") for number in range(300)]}

    plain = [run(load=keeps, **paths()) for _ in range(2)]
    assert compare(*plain, run(**paths()), 1e-6)[0] is None


def test_what_was_not_read_does_not_count(run: Run) -> None:
    """Neither a value that could not be read nor one beyond the bound is missing."""
    plain, other = run(w=np.ones(3)), run()
    unread = History([0, 1], [["unreadable"]] * 2)
    some = replace(other, histories={**other.histories, f"{MODULE}.w": unread})
    for candidate in (some, replace(other, histories={}, complete=False)):
        tried = replace(candidate, end={}, ended=False)
        assert compare(plain, plain, tried, 1e-6)[0] is None


def written_file(name: str, text: str) -> WrittenFile:
    """A file of a run."""
    head = text.encode()
    return WrittenFile(re.sub(r"\d+", "0", name), len(head), head, head, name)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"a-1": "x", "a-2": "y", "log": "1"}, ""),
        ({"a-2": "y", "log": "1", "a-1": "x"}, ""),
        ({"a-1": "y", "a-2": "x", "log": "1"}, "the file a-1: its bytes differ"),
        ({"a-1": "x", "a-2": "y"}, "log is not written"),
        (
            {"a-1": "x", "a-2": "y", "log": "1", "a-3": "z"},
            "the file a-3 is written, which the plain script does not",
        ),
    ],
)
def test_files_are_known_by_their_names(own: dict[str, str], said: str) -> None:
    """In whatever order they are written; what is there only once shows."""
    plain = {"a-1": "x", "a-2": "y", "log": "1"}
    runs = [tuple(written_file(*item) for item in run.items()) for run in (plain, own)]
    assert written.compare(runs[0], runs[0], runs[1], ended=True) == said


def test_times_of_day_in_files_do_not_count(tmp_path: Path) -> None:
    """A log with time stamps is compared by the rest of it."""
    files = []
    for time, loss in (("2026-01-02 10:59:59,123", 1), ("2026-01-03 11:00:01", 1)):
        (tmp_path / "a.log").write_text(f"{time} loss {loss}\n")
        (tmp_path / LIST).write_text(json.dumps({"path": str(tmp_path / "a.log")}))
        files.append(written.read(tmp_path))
    assert files[0] == files[1]
    assert files[0][0].head == b"  loss 1\n"
