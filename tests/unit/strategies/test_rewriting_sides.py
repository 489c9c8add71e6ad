"""Which lines of a loop run ahead, and why not: seen on small scripts that are run."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_rewritten import THREADS, plainly, rewritten

from debottleneck.strategies.rewriting.plan import HEAVY, ORDER, STAYS

LOOP = """
import random, time
import numpy
seen = 0
class Net:
    w = 1
    def forward(self, x):
        time.sleep(0.001)
        return x * self.w
    def update(self, y): self.w = (self.w + y) % 1009
class Reader:
    def __init__(self): self.k = 0
    def pull(self):
        self.k += 1
        return work(self.k)
def told(n):
    global seen
    for k in range(n):
        seen += 1
        yield work(k)
def work(i):
    time.sleep(0.001)
    return i * 3
def teach(y):
    net.update(y if seen < 9 else 2 * y)
def items(n):
    for k in range(n):
        yield work(k)
def counted(n):
    total = 0
    for k in range(n):
        total += k
        yield work(total)
net, reader, rng = Net(), Reader(), random.Random(3)
{before}
for i in {over}:  # loop
    {line}
    y = net.forward(x)
    {then}
"""


def _script(
    line: str, then: str = "net.update(y)", over: str = "range(40)", before: str = ""
) -> str:
    return LOOP.format(line=line, then=then, over=over, before=before)


def test_a_pure_load_runs_in_several_threads(tmp_path: Path) -> None:
    """Nothing that it uses is changed: it is heavy."""
    ran = rewritten(tmp_path / "s.py", _script("x = work(i)"))
    assert ran.plan.reason == ""
    assert ran.plan.heavy
    assert ran.plan.workers == THREADS.workers


def test_many_loads_alike_are_all_named(tmp_path: Path) -> None:
    """Each takes a small part of what runs ahead."""
    ran = rewritten(tmp_path / "s.py", _script(f"x = {' + '.join(['work(i)'] * 24)}"))
    assert ran.plan.reason == ""
    assert ran.plan.places
    assert ran.rewriting.fetched > 0


NAMELESS = """
import time
import numpy as np
w = np.ones(5)
class Scaled:
    def __init__(self): self.mean = np.zeros(5)
    def get(self, i):
        self.mean = 0.9 * self.mean + 0.1 * i
        return self.mean.copy()
scaled = Scaled()
def fetch(i):
    time.sleep(0.001)
    return np.full(5, float(i))
def nudge(x):
    global w
    w = w - 0.1 * (w - x)
    return float(w.sum())
for i in range(40):  # loop
    value = nudge(LOAD)
"""


@pytest.mark.parametrize("load", ["fetch(i)", "fetch(i) + scaled.get(i)"])
def test_what_changes_arrays_last_of_all_trains(tmp_path: Path, load: str) -> None:
    """It stays in the script's thread, whatever it is called; loads run ahead of it."""
    source = NAMELESS.replace("LOAD", load)
    ran = rewritten(tmp_path / "s.py", source)
    assert ran.plan.reason == ""
    assert ran.plan.heavy
    assert [p.side for p in ran.plan.pieces if p.name == "nudge"] == ["stays"]
    assert ran.space["value"] == plainly(tmp_path / "plain.py", source)["value"]


KEEPS = """
import time
from typing import NamedTuple
import numpy as np
class Data(NamedTuple):
    rows: np.ndarray
class Net:
    def __init__(self): self.ws = [np.ones(4), np.ones(4)]
    def forward(self, x):
        self.inputs = [x]
        for w in self.ws:
            self.inputs.append(self.inputs[-1] * w)
        return self.inputs[-1]
    def update(self, y):
        for x, w in zip(self.inputs, self.ws):
            w -= 0.01 * x.mean()
def fetch(rows, i):
    time.sleep(0.001)
    return rows[i : i + 4]
data, net = Data(np.arange(99.0)), Net()
for i in range(40):  # loop
    x = fetch(data.rows, i)
    y = net.forward(x)
    net.update(y)
"""


def test_what_keeps_a_view_of_the_data_does_not_change_it(tmp_path: Path) -> None:
    """Lists are appended to and gone over: the arrays in them are as they were."""
    ran = rewritten(tmp_path / "s.py", KEEPS)
    assert ran.plan.reason == ""
    assert ran.plan.heavy
    plain = plainly(tmp_path / "plain.py", KEEPS)
    assert ran.space["y"].tolist() == plain["y"].tolist()


def test_what_only_takes_time_runs_ahead_of_what_trains(tmp_path: Path) -> None:
    """A wait before the load is part of loading, one after the training is not."""
    line, then = "time.sleep(0.002); x = i", "net.update(y); time.sleep(0.001)"
    ran = rewritten(tmp_path / "s.py", _script(line, then))
    assert ran.plan.heavy
    assert ran.plan.worth == (0,)
    assert ran.plan.stays_ns > 1_500_000


@pytest.mark.parametrize(
    ("over", "heavy"),
    [
        ("zip(items(40), items(41))", True),
        ("zip(items(41), range(40))", True),
        ("enumerate(items(40), 3)", True),
        ("enumerate(zip(items(40), items(41)))", True),
        ("zip(told(41), items(40))", False),
    ],
)
def test_generators_that_are_joined_are_taken_over(
    over: str, heavy: bool, tmp_path: Path
) -> None:
    """But for one that changes what lives on: at the end it may be an item ahead."""
    source = _script("x = sum(i) if type(i[1]) is int else sum(i[1])", over=over)
    path = tmp_path / "s.py"
    expected = plainly(path, source)
    ran = rewritten(path, source)
    assert ran.plan.reason == ""
    assert bool(ran.plan.heavy) == heavy
    for name in ("i", "x", "y", "seen"):
        assert ran.space[name] == expected[name]
    assert ran.space["net"].w == expected["net"].w


def test_draws_stay_in_order(tmp_path: Path) -> None:
    """What draws is one thread's, what it only says to load is heavy."""
    ran = rewritten(tmp_path / "s.py", _script("x = work(rng.randrange(99))"))
    assert ran.plan.order
    assert ran.plan.heavy


def test_only_the_counting_of_a_reader_runs_in_order(tmp_path: Path) -> None:
    """The method is opened: its load is heavy."""
    ran = rewritten(tmp_path / "s.py", _script("x = reader.pull()"))
    assert ran.plan.reason == ""
    assert ran.plan.heavy
    assert ran.space["reader"].k == 40


def test_the_loop_of_a_generator_is_taken_over(tmp_path: Path) -> None:
    """Its items are made by several threads."""
    ran = rewritten(tmp_path / "s.py", _script("x = i", over="items(40)"))
    assert ran.plan.heavy


def test_a_generator_that_keeps_a_sum_runs_in_order(tmp_path: Path) -> None:
    """What it carries from one item to the next is its own."""
    ran = rewritten(tmp_path / "s.py", _script("x = i", over="counted(40)"))
    assert ran.plan.reason == ""
    assert not ran.plan.heavy


def test_what_both_sides_use_is_named(tmp_path: Path) -> None:
    """A loader that sets what the training reads cannot run ahead."""
    source = _script("x = i", "teach(y)", over="told(40)")
    ran = rewritten(tmp_path / "s.py", source)
    assert "changes seen, which line" in ran.plan.reason
    assert ran.rewriting.fetched == 0


def test_a_load_that_needs_the_weights_stays(tmp_path: Path) -> None:
    """It is not ahead of the update."""
    ran = rewritten(tmp_path / "s.py", _script("x = work(net.w)"))
    assert "line" in ran.plan.reason
    assert ran.rewriting.fetched == 0


def test_a_database_stays_on_its_thread(tmp_path: Path) -> None:
    """The reason is the true one."""
    before = """
import sqlite3
con = sqlite3.connect(":memory:")
def ask(i): return con.execute("select ?", (work(i),)).fetchone()[0]
"""
    ran = rewritten(tmp_path / "s.py", _script("x = ask(i)", before=before))
    assert "sqlite3.Connection works only on the thread" in ran.plan.reason


GROW = """
box = []
def grow(i):
    box.append(i)
    return work(i)
def noisy(y): net.update(y + rng.random())
def told_by(y): net.update(y + len(box))
"""


@pytest.mark.parametrize(
    ("line", "then", "edit", "side"),
    [
        # What it draws still comes in order: one thread ahead, and no workers.
        (
            *("x = work(rng.randrange(99))", "noisy(y)"),
            *("draw from a generator of its own", ORDER),
        ),
        ("x = grow(i)", "told_by(y)", "change a copy", HEAVY),
        ("x = work(net.w)", "net.update(y)", "", STAYS),  # and nothing else
    ],
)
def test_a_reason_has_the_edit_that_would_do(
    line: str, then: str, edit: str, side: str, tmp_path: Path
) -> None:
    """With the plan of the script so edited, and no edit where it were not enough."""
    source = _script(line, then, before=GROW)
    plan = rewritten(tmp_path / "s.py", source).plan
    assert plan.reason
    assert plan.as_json()["edit"] == plan.reason.edit
    assert plan.reason.edit.endswith(edit)
    assert bool(plan.reason.edit) == bool(edit)
    names = ("grow", "work") if side == STAYS else ("grow", "randrange")
    called = {piece.side for piece in plan.pieces if piece.name in names}
    assert called == {side}


def test_a_short_load_stays(tmp_path: Path) -> None:
    """Handing it over would cost more."""
    ran = rewritten(tmp_path / "s.py", _script("x = i * 2"))
    assert "only" in ran.plan.reason


def test_streams_are_as_the_plain_loop_left_them(tmp_path: Path) -> None:
    """After a `break` the generator is where the last item took it."""
    source = _script("x = work(rng.randrange(99))", "net.update(y)") + (
        "    if i == 20: break\n"
    )
    ran = rewritten(tmp_path / "s.py", source)
    space: dict[str, object] = {"__name__": "s"}
    exec(source, space)
    assert ran.plan.reason == ""
    assert ran.space["rng"].getstate() == space["rng"].getstate()  # type: ignore[attr-defined]
    assert ran.space["net"].w == space["net"].w  # type: ignore[attr-defined]


def test_a_file_that_would_be_ahead_of_a_break_is_refused(tmp_path: Path) -> None:
    """Its place cannot be brought back."""
    (tmp_path / "data").write_text("7\n" * 90)
    source = _script(
        "x = work(int(f.readline()))", before=f"f = open({str(tmp_path / 'data')!r})"
    )
    ran = rewritten(tmp_path / "s.py", source + "    if i == 20: break\n")
    assert "left early" in ran.plan.reason
    ran.space["f"].close()


@pytest.mark.parametrize("error", ["ValueError(i)", "StopIteration(i)"])
def test_what_a_load_raises_comes_at_its_place(error: str, tmp_path: Path) -> None:
    """The lines before it have run, those after it have not."""
    source = f"""
import time
done = []
def load(i):
    time.sleep(0.001)
    if i == 20: raise {error}
    return i
class Net:
    w = 0
    def update(self, x): self.w += x
net = Net()
caught = None
try:
    for i in range(40):  # loop
        done.append(i)
        x = load(i)
        net.update(x)
except Exception as e:
    caught = e
"""
    ran = rewritten(tmp_path / "s.py", source)
    assert ran.rewriting.fetched > 0
    assert ran.space["caught"].args == (20,)
    assert ran.space["done"] == list(range(21))
    assert ran.space["net"].w == sum(range(20))


def test_a_while_loop_with_next(tmp_path: Path) -> None:
    """Its iterator is read ahead, its end is the loop's."""
    source = """
import time
class Net:
    w = 0
    def update(self, x):
        time.sleep(0.001)
        self.w = self.w * 3 % 1009 + x
class Loader:
    k = 0
    def __iter__(self): return self
    def __next__(self):
        if self.k >= 40: raise StopIteration
        self.k += 1
        time.sleep(0.001)
        return self.k
net, it = Net(), iter(Loader())
while True:  # loop
    try:
        x = next(it)
    except StopIteration:
        break
    net.update(x)
"""
    ran = rewritten(tmp_path / "s.py", source)
    space: dict[str, object] = {"__name__": "s"}
    exec(source, space)
    assert ran.rewriting.fetched > 0
    assert ran.space["net"].w == space["net"].w  # type: ignore[attr-defined]


@pytest.mark.parametrize("test", ["(x := next(it, None)) is not None", "x := next(it)"])
def test_a_while_loop_whose_test_binds(test: str, tmp_path: Path) -> None:
    """A generator in it is read ahead, as far as the loop goes, and no error told."""
    source = f"""
import time
def items():
    for k in [*range(1, 40), 0]:
        time.sleep(0.001)
        yield k
class Net:
    w = 0
    def update(self, x):
        time.sleep(0.001)
        self.w = self.w * 3 % 1009 + x
net, it = Net(), items()
while {test}:  # loop
    net.update(x)
left = [x, *it]
"""
    ran = rewritten(tmp_path / "s.py", source)
    space: dict[str, object] = {"__name__": "s"}
    exec(source, space)
    assert ran.rewriting.fetched > 0
    assert ran.space["net"].w == space["net"].w  # type: ignore[attr-defined]
    assert ran.space["left"] == space["left"]
    assert [state for state, _ in ran.said if state == "failed"] == []


def test_what_is_drawn_is_not_the_generator(tmp_path: Path) -> None:
    """Lines that use an array which a block drew do not use what drew it."""
    source = _script("x = i", before="rng = numpy.random.default_rng()")
    block = "try: x = work(rng.normal(size=3))\n    except KeyError: continue"
    ran = rewritten(tmp_path / "s.py", source.replace("x = i", block))
    assert ran.plan.reason == ""


@pytest.mark.torch
def test_a_generator_that_is_given_is_drawn_from(tmp_path: Path) -> None:
    """Not torch's own, which the training draws from."""
    pytest.importorskip("torch")
    before = """import torch
g = torch.Generator()
def jitter(y): net.update(y + torch.rand(1))"""
    load = "x = work(torch.randn(1, generator=g))"
    ran = rewritten(tmp_path / "s.py", _script(load, "jitter(y)", before=before))
    assert ran.plan.reason == ""


def test_attributes_of_a_class_alone_are_told_apart(tmp_path: Path) -> None:
    """Of `self.__k`, which a method counts, the training knows nothing."""
    before = """class Own:
    def __init__(self): self.__k = 0
    def pull(self):
        self.__k += 1
        return work(self.__k)
own = Own()"""
    source = _script("x = own.pull()", before=before)
    ran = rewritten(tmp_path / "s.py", source)
    assert ran.plan.reason == ""
    plain = plainly(tmp_path / "plain.py", source)
    assert ran.space["net"].w == plain["net"].w


def test_a_reason_names_the_variable(tmp_path: Path) -> None:
    """What both sides use is called as the script calls it."""
    source = _script("x = reader.pull()", "net.update(y + reader.k)")
    ran = rewritten(tmp_path / "s.py", source)
    assert "changes reader.k, which line" in ran.plan.reason


def test_threads_end_with_the_entry(tmp_path: Path) -> None:
    """Every entry of the loop has its own, and leaves none."""
    source = """
import time, threading
class Net:
    w = 0
    def update(self, x): self.w += x
def load(i):
    time.sleep(0.001)
    return i
net, alive = Net(), []
def epoch():
    for i in range(12):  # loop
        net.update(load(i))
for _ in range(6):
    epoch()
    alive.append(threading.active_count())
"""
    ran = rewritten(tmp_path / "s.py", source)
    assert ran.rewriting.fetched > 30
    assert len(set(ran.space["alive"])) == 1
    assert ran.space["net"].w == 6 * sum(range(12))


KEPT = """
import time
import numpy as np
data = np.arange(40.0).reshape(20, 2)
words = {"a": 1, "b": 2}
w = np.zeros(2)
def fill(into, row): into.append(row)
def batch(i):
    rows, numbers, held = [], [], {}
    for k in range(i % 3, 4):
        time.sleep(0.0005)
        row = data[(i + k) % 20]
        fill(rows, row)
        numbers.append(words.get("b", 0))
        held[k] = row
    rows += [data[0]]
    CHANGE
    return np.array(rows), numbers
def update(x):
    global w
    w = w * 0.9 + x.sum(axis=0)
for i in range(40):  # loop
    x, numbers = batch(i)
    update(x)
"""


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ("rows[0] = data[0]", True),
        ("held[9] = rows.pop()", True),
        ("rows[0][:] += 1", False),
        ("rows[-1] *= 2", False),
        ("held[3][0] += 1", False),
        ("(rows, held)[0][0][1] += 1", False),
        ("for row in rows: row += 1", False),
        ("{**held}[3][0] += 1", False),
        ("[row for row in rows][0][0] += 1", False),
    ],
)
def test_a_list_made_anew_changes_without_what_it_holds(
    tmp_path: Path, change: str, alike: bool
) -> None:
    """To fill it is no change of the data; to change the data through it is one."""
    source = KEPT.replace("CHANGE", change)
    ran = rewritten(tmp_path / "s.py", source)
    assert bool(ran.plan.heavy and not ran.plan.reason) is alike
    plain = plainly(tmp_path / "s.py", source)
    assert ran.space["w"].tolist() == plain["w"].tolist()
    assert ran.space["data"].tolist() == plain["data"].tolist()


@pytest.mark.parametrize(("later", "heavy"), [("", True), ("net.update(k)", False)])
def test_a_variable_of_an_inner_loop_is_of_its_iteration(
    tmp_path: Path, later: str, heavy: bool
) -> None:
    """Unless it is used after that loop, which may have been empty."""
    line = "x = []\n    for k in range((i + 1) % 4): x.append(work(k))\n    x = sum(x)"
    before = "k = 0"
    source = _script(line, f"net.update(y); {later}", before=before)
    ran = rewritten(tmp_path / "s.py", source)
    assert ran.plan.reason == ""
    assert bool(ran.plan.heavy) is heavy
    plain = plainly(tmp_path / "s.py", source)
    assert (ran.space["net"].w, ran.space["k"]) == (plain["net"].w, plain["k"])
