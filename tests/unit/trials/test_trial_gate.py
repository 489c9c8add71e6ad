"""The gate's judgements on what made scripts hold after their steps."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from debottleneck.agent.guard import LIST
from debottleneck.agent.state import Extent, StateLog
from debottleneck.recording import spool
from debottleneck.strategies.spec import parse
from debottleneck.trials import gate_runs, written
from debottleneck.trials.gate import FEWEST, judge
from debottleneck.trials.result import Judgement
from debottleneck.trials.state import History, States, read
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


class Script:
    """A made script: its runs load and train, and are written down as in the gate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs = 0

    def __call__(
        self,
        train: Change = train,
        load: Change = load,
        *,
        steps: int = 12,
        limit: int = 0,
        after: Change = nothing,
        **names: object,
    ) -> States:
        """One run."""
        module = ModuleType(MODULE)
        module.__file__ = "users.py"
        vars(module).update({"w": np.zeros(3), "losses": [], "seen": 0, **names})
        self._runs += 1
        folder = self._folder / str(self._runs)
        folder.mkdir()
        log = StateLog(
            spool.state_file(folder, PID),
            lambda path, name: name == MODULE,
            Extent(limit, limit),
        )
        frame = sys._getframe()
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(sys.modules, MODULE, module)
            try:
                for step in range(1, steps + 1):
                    log.turned(1, frame)
                    load(module, step)
                    train(module, step)
                after(module, steps)
            except SystemExit:
                patch.setattr("debottleneck.agent.ending._ending", [True])
            log.close()
            patch.setattr("debottleneck.agent.ending._ending", [])
        return read(folder, PID)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Runs of a made script."""
    monkeypatch.setattr("debottleneck.agent.ending._ending", [])
    return Script(tmp_path)


def judged(run: Script, *candidate: Any, **how: Any) -> Judgement:
    """What is said of a run beside two plain ones."""
    return judge(run(), run(), run(*candidate, **how))


def why(judgement: Judgement) -> str:
    """Where it differs, without the module's name."""
    assert judgement.numbers == "different"
    return judgement.why.removeprefix(f"{MODULE}.")


def test_the_same_script_is_the_same(run: Script) -> None:
    """Without a word, and as far as all go: runs are stopped by the clock."""
    assert judged(run) == Judgement("same", steps=12)
    whole = run()
    stopped = run(steps=99, limit=7)
    assert judge(whole, whole, stopped) == Judgement("same", steps=8)


def test_a_difference_is_named_with_its_step(run: Script) -> None:
    """Weights that read an old value from the fourth step on, as a loop would not."""

    def stale(names: Any, step: int) -> None:
        train(names, step if step < 4 else 0)

    found = why(judged(run, stale))
    assert found == "losses[-1] differs from step 4 on: 0.571429 against 0"


def scaled(by: float, place: int) -> Change:
    """Training that moves the weights after one of its steps."""

    def trained(names: Any, step: int) -> None:
        train(names, step)
        names.w = names.w * (1 + by * (step == place))

    return trained


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.integers(1, 11),
    st.floats(1e-12, 10).filter(lambda by: not 0.3e-6 < by < 4e-6),
)
def test_every_change_beyond_the_tolerance_is_found(
    run: Script, place: int, by: float
) -> None:
    """Whenever the weights are moved, its size decides between equal and different."""
    judgement = judged(run, scaled(by, place))
    assert judgement.numbers == ("different" if by > 1e-6 else "equal")
    if by < 1e-6:
        assert judgement.why == "equal within 1e-6 of a step (summation order)"


def test_plain_runs_that_differ_by_rounding_can_still_be_judged(run: Script) -> None:
    """Sums of several threads vary in the last bits; the sentence says so."""
    plain, other = run(), run(scaled(1e-12, 3))
    judgement = judge(plain, other, run())
    assert judgement.numbers == "equal"
    assert "as two plain runs are" in judgement.why


def drawing(seed: int | None) -> Change:
    """Training on noise; without a seed it never computes the same twice."""
    rng = np.random.default_rng(seed)

    def trained(names: Any, step: int) -> None:
        train(names, step)
        names.w = names.w + rng.normal(size=3)

    return trained


def floating(seed: int) -> Change:
    """The same in plain Python: numbers, no arrays."""
    rng = np.random.default_rng(seed)

    def trained(names: Any, step: int) -> None:
        names.slope, names.loss = rng.random(), rng.random()
        names.weight = rng.random()

    return trained


def counting(names: Any, step: int) -> None:
    """A load of the same numbers each time, but for one."""
    names.rate = 0.9**step


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        (drawing(None), drawing(None), {}),
        (floating(1), floating(2), {"load": counting}),
    ],
)
def test_a_script_that_differs_from_itself_is_unverified(
    run: Script, first: Change, second: Change, how: Any
) -> None:
    """The first difference of the plain runs is named, whatever a strategy does."""
    judgement = judge(run(first, **how), run(second, **how), run(first, **how))
    assert judgement.numbers == "unverified"
    assert judgement.why.startswith("your script differs from itself; set its seeds")
    assert " from step 1 on: " in judgement.why


def test_what_a_clock_gives_does_not_count(run: Script) -> None:
    """Neither a time stamp nor a list of durations is a result."""
    times = iter(range(1000))

    def stamped(names: Any, step: int) -> None:
        train(names, step)
        names.at = next(times) / 7
        names.durations.append(next(times) / 7)

    runs = [run(stamped, durations=[]) for _ in range(3)]
    assert judge(*runs) == Judgement("same", steps=12)


def test_what_another_thread_makes_ahead_does_not_count(run: Script) -> None:
    """A buffer holds batches of other steps in each run, and always such."""

    def filled(ahead: Iterable[int]) -> Change:
        order = iter(ahead)

        def loaded(names: Any, step: int) -> None:
            load(names, step)
            names.buffer = np.full(4, step + next(order) + 0.5)

        return loaded

    first, second = filled([2] * 12), filled([3, 1, 2] * 4)
    plain = [run(load=first), run(load=second)]
    assert judge(*plain, run(load=filled([2, 4, 1] * 4))).numbers == "same"


def placed(by: int) -> Change:
    """Training that notes how far the loop is, some steps ahead or behind."""

    def trained(names: Any, step: int) -> None:
        train(names, step)
        names.place = min(step + by, 40) if step > 5 else step

    return trained


@pytest.mark.parametrize(("by", "said"), [(4, ""), (-1, "place differs from step 6")])
def test_what_holds_later_values_is_ahead(run: Script, by: int, said: str) -> None:
    """It is the plain script's own, if it is that at the end; earlier ones are not."""
    plain = run(placed(0), steps=40)
    judgement = judge(plain, plain, run(placed(by), steps=40))
    assert judgement.numbers == ("different" if said else "same")
    assert judgement.why.removeprefix(f"{MODULE}.").startswith(said)


def test_a_cache_that_is_filled_sooner(run: Script) -> None:
    """What is new in it or gone from it, also at the end of what was seen."""

    def keeps(ahead: int) -> Change:
        def loaded(names: Any, step: int) -> None:
            last = min(step + ahead, 90)
            names.x = np.full(3, float(step))
            names.cache = {n: [n, str(n)] for n in range(max(last - 9, 1), last + 1)}
            names.queue = [(n, n) for n in range(max(last - 70, 0), last)]

        return loaded

    plain = [run(load=keeps(0), steps=90) for _ in range(2)]
    assert judge(*plain, run(load=keeps(3), steps=90)).numbers == "same"


def test_what_is_counted_in_another_process(run: Script) -> None:
    """A counter that a child counts stays as it was in the script."""

    def elsewhere(names: Any, step: int) -> None:
        load(names, step)
        names.seen = min(names.seen, 64)

    assert why(judged(run, train, elsewhere)).startswith("seen differs from step 3 on")


def test_what_is_set_once_in_another_process(run: Script) -> None:
    """A process that loads keeps what it computes once; the script lacks nothing."""

    def keeps(names: Any, step: int) -> None:
        load(names, step)
        names.table = [5]
        str(names.paths[step])

    def paths() -> dict[str, Any]:
        return {"paths": [Path(f"/{number}") for number in range(300)]}

    plain = [run(load=keeps, limit=9, **paths()) for _ in range(2)]
    assert judge(*plain, run(limit=9, **paths())).numbers == "same"


def test_the_end_must_be_the_plain_end(run: Script) -> None:
    """When the script is over, what ran ahead must have come to the same place."""

    def drained(names: Any, steps: int) -> None:
        names.seen += 1

    found = why(judged(run, after=drained))
    assert found == "seen differs at the script's end: 384 against 385"


def test_batches_that_get_lost_are_found(run: Script) -> None:
    """A script that ends of itself sooner than the plain one has lost steps."""
    assert judged(run, steps=9).why.startswith("step 10: the script had ended by then")


def test_what_stands_in_for_the_users_own(run: Script) -> None:
    """An object of this package in place of a generator tells nothing."""
    plain = run(it=[1, 2]), run(it=[1, 2])
    assert judge(*plain, run(it=parse("prefetch")[0])).numbers == "same"


def test_what_is_set_before_the_first_step(run: Script) -> None:
    """A date in a name differs from day to day, whatever a strategy does."""
    assert judge(run(name="mon"), run(name="mon"), run(name="tue")).numbers == "same"


def test_what_was_not_read_does_not_count(run: Script) -> None:
    """Neither a value that could not be read nor one beyond the bound is missing."""
    plain, other = run(), run()
    (name,) = other.threads
    thread = other.threads[name]
    unread = History([0, 1], [["unreadable"]] * 2)
    some = {**thread.histories, f"{MODULE}.w": unread}
    less = {path: held for path, held in some.items() if "losses" not in path}
    for histories, complete in ((some, True), (less, False)):
        made = replace(thread, histories=histories, complete=complete)
        tried = replace(other, threads={name: made}, end={}, ended=False)
        assert judge(plain, plain, tried).numbers == "same"


@pytest.mark.parametrize(
    ("steps", "engaged_ns", "remedy"),
    [
        # A few equal steps prove nothing, and a script without steps nothing at all.
        (FEWEST, 0, "--steps"),
        (0, 0, "--step"),
        # Only steps after a strategy has begun to act speak for it.
        (12, 10**30, "too late to be checked; use more --steps"),
    ],
)
def test_too_little_tells_nothing(
    run: Script, steps: int, engaged_ns: int, remedy: str
) -> None:
    """It is unverified, and the remedy is named."""
    alike = run(steps=steps)
    judgement = judge(alike, alike, alike, engaged_ns=engaged_ns)
    assert judgement.numbers == "unverified"
    assert remedy in judgement.why


def test_steps_that_only_count_tell_nothing(run: Script) -> None:
    """Of a loop whose results nobody keeps, its own variable is no evidence."""
    alike = run(nothing, lambda names, step: setattr(names, "index", step))
    assert "only 0 steps" in judge(alike, alike, alike).why


def test_threads_are_judged_each_by_its_own_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings at once hold nothing in common; the one that differs is found."""
    monkeypatch.setitem(sys.modules, MODULE, ModuleType(MODULE))

    def training(log: StateLog, turn: threading.Barrier, weights: Any) -> None:
        for step in range(8):
            log.turned(1, sys._getframe())
            turn.wait()
            weights += step * rates[0]

    def once(*starts: float, rate: float = 1.0) -> States:
        rates[:] = [rate]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        path = spool.state_file(folder, PID)
        log = StateLog(path, lambda file, module: file == __file__, Extent(0, 0))
        turn = threading.Barrier(len(starts))
        threads = [
            threading.Thread(
                target=training, args=(log, turn, np.full(3, start)), name=f"t{start}"
            )
            for start in starts
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        log.close()
        return read(folder, PID)

    rates = [1.0]
    first, second = once(1.0, 2.0), once(1.0, 2.0)
    assert [state.steps for state in first.threads.values()] == [8, 8]
    assert judge(first, second, once(2.0, 1.0)) == Judgement("same", steps=8)
    odd = once(1.0, 2.0, rate=1.5).threads
    mixed = replace(first, threads={**first.threads, "t2.0": odd["t2.0"]})
    assert why(judge(first, second, mixed)).startswith("weights differs from step 2 on")
    lost = replace(first, threads={"t1.0": first.threads["t1.0"]})
    assert judge(first, second, lost).numbers == "different"


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


@pytest.mark.parametrize(
    ("budget_s", "limit", "most"), [(None, 100, 200), (600.0, 100, 200), (60.0, 50, 50)]
)
def test_how_far_runs_go_is_what_a_budget_has_room_for(
    budget_s: float | None, limit: int, most: int
) -> None:
    """Ten seconds, twice that for a whole epoch, a twelfth of the budget at most."""
    extent = gate_runs.extent(500, 0.1, budget_s, "")
    assert (extent.limit, extent.most) == (limit, most)
