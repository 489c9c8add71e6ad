"""Rows of a recording: lines of the loop, joined, opened, evaluated, and the rest."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from made_rows import FILE, LOOP, Script
from made_runs import MS, PID, table, wait, waits

from debottleneck.analysis.analyse import analyse
from debottleneck.analysis.division import MOST_OTHER
from debottleneck.analysis.result import Analysis

STEPS = 20


def script(body: Callable[[Script, int], None], steps: int = STEPS) -> Script:
    """A loop with this body, run once."""
    made = Script()
    for step in range(steps):
        made.turn()
        body(made, step)
    made.turn()
    made.line(10, LOOP, 0.1)
    made.left()
    return made


def shares(analysis: Analysis) -> dict[str, float]:
    """Row -> milliseconds a step."""
    table = analysis.stages
    return dict(zip(table["stage"], table["ms_per_step"].round(3), strict=True))


def flat(made: Script, step: int) -> None:
    """A flat script: two large statements, and five small ones."""
    made.line(10, LOOP, 2)
    made.line(11, "df = pd.read_csv(\n path)", 6, end=12, side="input")
    for line in (13, 14, 15):
        made.line(line, f"a{line} = b[{line}]", 0.01 * (line - 8))
    made.line(16, "W -= lr * grad", 1.5, side="train")
    made.line(17, "n += 1", 0.01)
    made.line(18, "print(n)", 0.01)


def test_lines_are_rows_and_small_ones_one() -> None:
    """Neighbours that take next to nothing share a row; what is left is `other`."""
    found = analyse(script(flat).recording())
    assert shares(found) == {
        "train.py:10": 2.005,
        "train.py:11-12": 6.0,
        "train.py:13-15": 0.18,
        "train.py:16": 1.5,
        "other": 0.02,
    }
    rows = found.rows.set_index("row")
    assert list(rows.index) == [name for name in shares(found) if name != "other"]
    assert rows.loc["train.py:13-15", "source"] == "a15 = b[15]"
    assert rows.loc["train.py:13-15", ["line", "end"]].tolist() == [13, 15]
    assert rows["side"].tolist() == ["", "input", "", "train"]
    assert set(rows["file"]) == {FILE}
    assert found.row_names[-1] == "other"
    total = found.stages["share"].sum()
    assert total == pytest.approx(1)


@pytest.mark.parametrize("late", [0, 1], ids=["in it", "in the one after"])
def test_rare_work_counts_as_often_as_it_is_done(late: int) -> None:
    """However many of the steps with it an instrument happened to slow."""

    def body(made: Script, step: int) -> None:
        if step % 5 == 0:
            made.line(11, "print(evaluate(net))", 10 - 9 * late)
        made.line(12, "net.train(x)", 4 + 9 * late * (step % 5 == 1))

    made = script(body, 40)
    whole = analyse(made.recording())
    starts = whole.steps["start_ns"].tolist()
    slowed = [("stacks", starts[n] + 1, starts[n] + 2) for n in (5, 6, 10, 11, 20, 21)]
    part = analyse(made.recording(blocks=table("blocks", slowed)))
    assert part.loop.measured == 34
    assert part.loop.step_ms == pytest.approx(whole.loop.step_ms, rel=0.01)
    assert part.loop.step_low == pytest.approx(part.loop.step_high, rel=0.05)
    assert shares(part) == pytest.approx(shares(whole), rel=0.01)
    causes = part.causes.groupby("stage")["ms_per_step"].sum().to_dict()
    assert causes == pytest.approx(shares(part), abs=1e-3)


def test_the_loop_is_named() -> None:
    """Its header, place, iterations, why it was chosen, and what else might be it."""
    made = script(flat)
    sites = made.recording().sites
    outer = (PID, len(sites), "step", "for e in range(3)", "/w/lib/train.py", 8, "loop")
    more = table("sites", [*made.places, outer])
    rows = [(PID, 0, PID, 0, "an update"), (PID, len(sites), PID, 1, "")]
    found = analyse(made.recording(sites=more, loops=table("loops", rows))).loop
    assert found.rule == f'a step is one iteration of "{LOOP}" (train.py:10)'
    assert (found.header, found.file, found.line) == (LOOP, FILE, 10)
    assert (found.count, found.measured, found.why) == (STEPS, STEPS, "an update")
    (other,) = found.others
    assert (other.header, other.count) == ("for e in range(3)", 0)
    assert other.option == "--step lib/train.py:8"


def test_without_a_choice_nothing_is_its_loop() -> None:
    """Where stages bound the steps, lines are rows all the same."""

    def body(made: Script, step: int) -> None:
        made.stage("load", 3)
        made.line(12, "y = f(x)", 5)

    found = analyse(script(body).recording(why=""))
    assert found.loop.rule == "a step begins at each load"
    assert (found.loop.header, found.loop.count) == ("", STEPS - 1)
    assert shares(found) == {"load": 3.0, "train.py:12": 5.0}


def test_a_stage_within_a_statement_has_its_time() -> None:
    """The statement keeps what is in none; and it is no neighbour to join."""

    def body(made: Script, step: int) -> None:
        made.line(11, "a = 1", 0.02)
        made.line(12, "loss = step(x)", 0.02)
        made.stage("forward", 4)
        made.line(13, "b = 2", 0.02)
        made.stage("backward", 5)
        made.line(14, "c = 2", 0.02)

    found = shares(analyse(script(body).recording()))
    assert found == {"forward": 4.0, "backward": 5.0, "other": pytest.approx(0.085)}


def test_many_small_rows_are_not_lost() -> None:
    """The largest of them are kept until `other` is small enough."""

    def body(made: Script, step: int) -> None:
        for number in range(12):
            made.line(11 + 2 * number, f"large({number})", 5)
            made.line(12 + 2 * number, f"small({number})", 0.3 + 0.01 * number)

    found = analyse(script(body).recording())
    other = float(found.stages.set_index("stage").loc["other", "share"])
    assert 0 < other <= MOST_OTHER
    assert "train.py:34" in set(found.rows["row"])
    assert "train.py:12" not in set(found.rows["row"])


def opened(made: Script, step: int) -> None:
    """A call into a function that was opened, and one from that into another."""
    made.line(11, "net.train(x)", 0.02)
    train = made.enter("Net.train", 60, 70)
    made.line(61, "h = self.hidden(x)", 0.02, within=train)
    hidden = made.enter("Net.hidden", 50, 55)
    made.line(51, "return np.tanh(x @ W)", 4, within=hidden)
    made.leave(hidden)
    made.line(62, "self.W -= h", 3, within=train)
    made.leave(train)
    made.run(0.03)
    made.line(12, "log(x)", 1)


def test_an_opened_function_has_rows_below_its_caller() -> None:
    """To any depth, each after the one that calls it, which keeps its own time."""
    found = analyse(script(opened).recording())
    rows = found.rows.set_index("row")["parent"].to_dict()
    assert rows == {
        "train.py:11": "",
        "train.py:61": "train.py:11",
        "train.py:51": "train.py:61",
        "train.py:62": "train.py:11",
        "train.py:12": "",
    }
    assert list(rows) == [r for r in found.row_names if r in rows]
    assert shares(found)["train.py:11"] == pytest.approx(0.05)
    assert shares(found)["train.py:51"] == 4.0


def test_a_stage_is_below_what_calls_it() -> None:
    """And not below a line before that calls something else, now and then."""

    def body(made: Script, step: int) -> None:
        made.line(11, "s = sample(h)", 0.5)
        if step % 4 == 0:
            sample = made.enter("sample", 60, 62)
            made.line(61, "h = np.tanh(x)", 4, within=sample)
            made.leave(sample)
        made.line(12, "g = lossFun(x)", 0.5)
        made.stage("loss", 5)
        made.line(13, "train(g)", 0.1)
        train = made.enter("train", 70, 72)
        made.line(71, "a = g + 1", 2, within=train)
        made.stage("update", 3)
        made.leave(train)

    found = analyse(script(body).recording())
    lines = ("train.py:11", "train.py:61", "train.py:12", "loss")
    assert [row for row in found.row_names if row in lines] == [*lines]
    assert found.within == {"update": "train.py:13"}


def test_calls_before_a_function_was_opened_are_divided_as_those_after() -> None:
    """Of long steps there are no more than these to measure."""

    def body(made: Script, step: int) -> None:
        late = step >= 3
        made.line(11, "net.train(x)", 1 if late else 13)
        if late:
            train = made.enter("Net.train", 60, 70)
            made.line(61, "h = self.hidden(x)", 2, within=train)
            hidden = made.enter("Net.hidden", 50, 55)
            made.line(51, "return np.tanh(x @ W)", 4, within=hidden)
            made.leave(hidden)
            made.line(62, "self.W -= h", 6, within=train)
            made.leave(train)

    made = script(body, 7)
    blocks = table("blocks", [("loops", 0, 40 * MS)])
    found = analyse(made.recording(blocks=blocks))
    assert found.loop.measured == 7
    times = shares(found)
    assert times.pop("other") < 0.1
    rows = {11: 1, 61: 2, 51: 4, 62: 6}
    expected = {f"train.py:{line}": ms for line, ms in rows.items()}
    assert times == pytest.approx(expected, rel=0.01)


def helped(made: Script, step: int) -> None:
    """Two lines call a function that calls another; a third one calls that itself."""

    def helper(ms: float) -> None:
        inner = made.enter("helper", 60, 62)
        made.line(61, "return np.tanh(x)", ms, within=inner)
        made.leave(inner)

    for line, ms in ((11, 1), (12, 3)):
        made.line(line, f"h{line} = layer(x)", 0.1)
        outer = made.enter("layer", 50, 55)
        made.line(51, "return helper(x)", 0.1, within=outer)
        helper(ms)
        made.leave(outer)
    made.line(13, "y = helper(h)", 0.2)
    helper(5)


def test_a_function_has_rows_below_each_row_that_calls_it() -> None:
    """With the time that came through that one, to any depth, and a name of its own."""
    found = analyse(script(helped).recording())
    rows = found.rows.set_index("row")["parent"].to_dict()
    assert rows == {
        "train.py:11": "",
        "train.py:51 from 11": "train.py:11",
        "train.py:61 from 51 from 11": "train.py:51 from 11",
        "train.py:12": "",
        "train.py:51 from 12": "train.py:12",
        "train.py:61 from 51 from 12": "train.py:51 from 12",
        "train.py:13": "",
        "train.py:61 from 13": "train.py:13",
    }
    times = shares(found)
    assert times["train.py:61 from 51 from 11"] == 1.0
    assert times["train.py:61 from 51 from 12"] == 3.0
    assert times["train.py:61 from 13"] == 5.0


def test_a_function_within_itself_has_the_rows_that_it_has() -> None:
    """However deep: its statements are told apart once."""

    def body(made: Script, step: int) -> None:
        made.line(11, "walk(tree)", 0.1)
        entered = []
        for _ in range(5):
            entered.append(made.enter("walk", 50, 55))
            made.line(51, "walk(node.left)", 1, within=entered[0])
        for inner in reversed(entered):
            made.line(52, "use(node)", 1, within=entered[0])
            made.leave(inner)

    found = analyse(script(body).recording())
    rows = found.rows.set_index("row")["parent"].to_dict()
    parents = {f"train.py:{line}": "train.py:11" for line in (51, 52)}
    assert rows == {"train.py:11": "", **parents}
    assert shares(found)["train.py:51"] == shares(found)["train.py:52"] == 5.0


@pytest.mark.parametrize("silent", [False, True], ids=["marked", "unmarked"])
def test_a_loop_in_what_a_line_calls_is_below_that_line(silent: bool) -> None:
    """Though the function is not opened, and where most iterations go unmarked."""

    def body(made: Script, step: int) -> None:
        loop = made.inner(60, 64)
        for line, ms in ((11, 2), (12, 4)):
            made.line(line, f"h{line} = f(x)", 0.1)
            made.line(60, "for y in x", 0, within=-1)
            made.line(61, "a = g(y)", ms / 2, within=loop)
            if silent and step % 2:
                made.unmarked(loop, ms / 2)
            else:
                made.line(61, "a = g(y)", ms / 2, within=loop)
        made.line(13, "train(h)", 1)

    found = analyse(script(body).recording())
    times = shares(found)
    assert times["train.py:61 from 11"] == 2.0
    assert times["train.py:61 from 12"] == 4.0
    parents = found.rows.set_index("row")["parent"]
    assert parents["train.py:61 from 12"] == "train.py:12"


def test_what_is_opened_late_is_neither_rare_work_nor_other() -> None:
    """Lines that are marked from some step on: the step is what it was before."""

    def body(made: Script, step: int) -> None:
        made.line(11, "net.train(x)", 0.1 + 3.9 * (step < 200))
        if step >= 200:
            train = made.enter("Net.train", 60, 70)
            made.line(61, "h = self.hidden(x)", 4 + 3 * (step == 200), within=train)
            made.leave(train)

    made = script(body, 300)
    starts = analyse(made.recording()).steps["start_ns"].tolist()
    blocks = table("blocks", [("stacks", starts[201] + 1, starts[-1] + 2)])
    found = analyse(made.recording(blocks=blocks))
    assert found.loop.measured < 210
    assert shares(found) == pytest.approx({"train.py:11": 4.0}, rel=0.01)


def looping(made: Script, step: int) -> None:
    """A line calls a function that is opened, with a marked loop in it."""
    made.line(11, "loss = net.run(x)", 0.05)
    run = made.enter("Net.run", 50, 60)
    made.line(53, "for i in x", 1, within=99)
    made.line(51, "h = x @ self.w", 2, within=run)
    made.leave(run)


def test_functions_that_call_each_other_stand_in_no_circle() -> None:
    """Every row's parent stands above it: whoever asks upwards comes to an end."""

    def body(made: Script, step: int) -> None:
        made.line(11, "a(x)", 1)
        for _ in range(3):
            outer = made.enter("a", 20, 30)
            made.line(21, "b(x)", 2, within=outer)
            inner = made.enter("b", 40, 50)
            made.line(41, "a(x)", 2, within=inner)
            again = made.enter("a", 20, 30)
            made.line(22, "y = x @ w", 2, within=again)
            for entered in (again, inner, outer):
                made.leave(entered)

    rows = analyse(script(body).recording()).rows
    assert {"train.py:21", "train.py:41"} <= {*rows["row"]}
    above = [{"", *rows["row"][:place]} for place in range(len(rows))]
    assert all(p in names for p, names in zip(rows["parent"], above, strict=True))


def test_a_loop_within_an_opened_function_is_of_that_function() -> None:
    """And what is done around the loop that trains is not."""
    made = Script()
    for step in range(20):
        made.turn()
        looping(made, step)
        if step % 10 == 9:
            made.turn()
            made.left()
            made.line(45, "report(losses)", 40, within=-1)
    rows = analyse(made.recording()).rows.set_index("row")["parent"]
    assert rows.to_dict() == {
        "train.py:11": "",
        "train.py:51": "train.py:11",
        "train.py:53": "train.py:11",
        "train.py:45": "",
    }
    assert rows.index[-1] == "train.py:45"


def epochs(after: Callable[[Script], None], entries: int = 4) -> Analysis:
    """Ten steps an epoch, and what stands after the loop in the one around it."""
    made = Script()
    for _ in range(entries):
        for _ in range(10):
            made.turn()
            made.line(10, LOOP, 1)
            made.line(12, "train(x)", 0)
            made.stage("forward", 2)
            made.stage("backward", 3)
        made.turn()
        made.line(10, LOOP, 0.5)
        made.left()
        after(made)
    return analyse(made.recording())


def accuracy(made: Script) -> None:
    """It computes forward, and nothing of it trains."""
    made.line(45, "acc = score(net, test)", 1)
    made.stage("load", 2)
    made.stage("forward", 7)


def test_what_computes_forward_after_the_loop_evaluates() -> None:
    """Whatever it is called: its loads too, in the step before it, never as steps."""
    found = epochs(accuracy)
    assert found.loop.count == 40
    assert shares(found)["evaluate"] == pytest.approx(30 / 40)
    assert "load" not in shares(found)
    assert shares(found)["forward"] == pytest.approx(2)
    assert "train.py:45" not in set(found.rows["row"])


def rollout(made: Script) -> None:
    """It computes forward for the next training."""
    made.line(45, "batch = collect(net)", 1, side="input")
    made.stage("forward", 7)


def second_phase(made: Script) -> None:
    """It trains as well."""
    made.line(45, "critic(net)", 1)
    made.stage("forward", 4)
    made.stage("backward", 4)


def plot(made: Script) -> None:
    """It computes nothing that is known."""
    made.line(45, "plot(history)", 8)


@pytest.mark.parametrize("after", [rollout, second_phase, plot])
def test_other_work_after_the_loop_is_no_evaluation(
    after: Callable[[Script], None],
) -> None:
    """What training uses, what trains itself, and what shows nothing."""
    found = epochs(after)
    assert "evaluate" not in shares(found)
    assert "train.py:45" in set(found.rows["row"])


@pytest.mark.parametrize(
    ("every", "side", "evaluates"),
    [
        (5, "", True),
        (1, "", False),
        (5, "input", False),
    ],
)
def test_what_is_not_done_in_every_step_may_evaluate(
    every: int, side: str, evaluates: bool
) -> None:
    """A forward pass of every step is the training's own."""

    def body(made: Script, step: int) -> None:
        made.line(12, "train(x)", 1)
        made.stage("backward", 3)
        if step % every == 0:
            made.line(14, "val = net(test)", 1, side=side)
            made.stage("forward", 9)

    found = shares(analyse(script(body).recording()))
    assert ("evaluate" in found) is evaluates
    assert ("forward" in found) is not evaluates


def test_bulk_steps_count_and_give_no_rows() -> None:
    """Of a stretch marked as a whole only the mean is known."""
    made = Script()
    for turn in range(30):
        made.turn(9 if turn else 0)
        made.line(11, "W -= f(x)", 1)
        made.turn()
        made.run(9)
    made.left(9)
    found = analyse(made.recording())
    assert set(found.steps["block"]) == {"quiet", "bulk"}
    assert found.loop.measured == 30
    assert shares(found) == {"train.py:11": 1.0}


@pytest.mark.parametrize(("end", "block"), [(100, "loops"), (300, "quiet")])
def test_steps_in_which_the_agent_learned_are_left_out(end: int, block: str) -> None:
    """Where enough others remain."""

    def body(made: Script, step: int) -> None:
        made.line(11, "f(x)", 20)

    blocks = table("blocks", [("loops", 0, end * MS)])
    found = analyse(script(body).recording(blocks=blocks))
    assert found.steps["block"].iloc[2] == block
    assert found.steps["block"].iloc[-1] == "quiet"


def test_causes_of_lines_add_up() -> None:
    """Samples are laid on rows as on stages."""

    def body(made: Script, step: int) -> None:
        made.line(11, "time.sleep(1)", 0, sleep=6)
        made.line(12, "f(x)", 4)

    ticks = [wait(n, n + 6, "sleep") for n in range(0, 10 * STEPS, 10)]
    found = analyse(script(body).recording(waits=waits(ticks)))
    causes = found.causes[found.causes["role"] == "trainer"]
    sums = causes.groupby("stage")["ms_per_step"].sum()
    assert sums["train.py:11"] == pytest.approx(6)
    assert set(causes.loc[causes["stage"] == "train.py:11", "cause"]) >= {"sleep"}


def test_calls_of_lines_are_counted() -> None:
    """How often a statement is run in a step; of joined ones the most."""

    def body(made: Script, step: int) -> None:
        for _ in range(3):
            made.line(11, "f(x)", 2)
        made.line(13, "a = b[1]", 0.02)
        made.line(14, "c = d[1]", 0.03)
        made.line(14, "c = d[1]", 0.03)

    stages = analyse(script(body).recording()).stages.set_index("stage")
    assert stages.loc["train.py:11", "calls_per_step"] == pytest.approx(3)
    assert stages.loc["train.py:13-14", "calls_per_step"] == pytest.approx(2)


def test_unmarked_iterations_are_divided_as_the_marked_ones() -> None:
    """Of a loop within: between its statements and stages, and no time is lost."""

    def body(made: Script, step: int) -> None:
        made.line(10, LOOP, 1)
        made.line(20, "for y in x", 0)
        loop = made.inner(20, 24)
        made.line(21, "a = f(y)", 1, within=loop)
        made.line(22, "b = g(a)", 2, within=loop)
        made.stage("forward", 1)
        made.unmarked(loop, 40)
        made.line(30, "n = h(b)", 5)

    found = analyse(script(body).recording())
    rows = shares(found)
    assert rows.pop("train.py:10") == pytest.approx(1, abs=0.01)
    assert rows == {
        "forward": 11,
        "train.py:21": 11,
        "train.py:22": 22,
        "train.py:30": 5,
    }


def test_a_loop_that_was_never_marked_is_no_statement() -> None:
    """Its time stays where nothing is known of it."""

    def body(made: Script, step: int) -> None:
        made.line(10, LOOP, 1)
        made.unmarked(made.inner(20, 24), 4)

    assert shares(analyse(script(body).recording()))["other"] == 4
