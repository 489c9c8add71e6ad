"""Marks: what a thread writes, what is joined, and how recording begins and ends."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from marking import run_marked

import debottleneck
from debottleneck.agent import marks, sites
from debottleneck.agent.spool_writer import SpoolWriter
from debottleneck.recording import reading, spool
from debottleneck.words import NAMED, STAGES


def test_a_pair_carries_both_clocks(tmp_path: Path) -> None:
    """Enter and leave are apart by the wall and by the CPU time of the stage."""
    snippet = """
    with stage("load"):
        wait(1_000_000, cpu=300_000)
    """
    first, last = run_marked(tmp_path, snippet).marks
    assert (first.text, last.text) == ("+load", "-load")
    assert last.t_ns - first.t_ns == 1_000_000
    assert last.cpu_ns - first.cpu_ns == 300_000


ONE_STEP = "begin +load -load"
SNIPPETS = {
    "a stage in another one has a pair of its own": (
        """
        with stage("load"):
            wait(50_000)
            with stage("augment"):
                wait(50_000)
            wait(50_000)
        """,
        "+load +augment -augment -load",
    ),
    "recursion counts once, the same stage below another one again": (
        """
        @stage("forward")
        def layers(depth):
            wait(50_000)
            if depth:
                layers(depth - 1)
        layers(3)
        wait(200_000)
        with stage("load"), stage("augment"), stage("load"):
            wait(50_000)
        """,
        "+forward -forward +load +augment +load -load -augment -load",
    ),
    "an exception leaves the stage, and goes on": (
        """
        try:
            with stage("load"):
                wait(200_000)
                raise KeyError("mine")
        except KeyError as error:
            assert error.args == ("mine",)
        with stage("forward"):
            wait(200_000)
        """,
        "+load -load +forward -forward",
    ),
    "calls at another depth are not joined": (
        """
        with stage("load"):
            with stage("augment"):
                wait(1_000)
        with stage("augment"):
            wait(1_000)
        """,
        "+load +augment -augment -load +augment -augment",
    ),
    "coroutines leave in another order than they entered": (
        """
        load = sites.site_of("load", "a", "f.py", 1, "coroutine")
        forward = sites.site_of("forward", "b", "f.py", 9, "coroutine")
        first = marks.enter(load); wait(200_000)
        second = marks.enter(forward); wait(200_000)
        marks.leave(first); wait(200_000)
        marks.leave(second)
        """,
        "+load +forward -load -forward",
    ),
    "step begins a step, marks the wait as load, and ends after the last item": (
        """
        def batches():
            for number in range(2):
                wait(200_000)
                yield number
        assert [item for item in step(batches())] == [0, 1]
        """,
        f"{ONE_STEP} {ONE_STEP} {ONE_STEP} end",
    ),
    "an error in the loader reaches the loop, and the load is left": (
        """
        def broken():
            wait(200_000)
            raise OSError("disk")
            yield
        try:
            list(step(broken()))
        except OSError as error:
            assert str(error) == "disk"
        """,
        ONE_STEP,
    ),
    "after a break out of step nothing stays open": (
        """
        for number in step(range(5)):
            wait(200_000)
            if number == 1:
                break
        with stage("forward"):
            wait(200_000)
        """,
        f"{ONE_STEP} {ONE_STEP} +forward -forward",
    ),
    "after finish nothing is written, even by stages that are still open": (
        """
        assert marks.recording()
        with stage("load"):
            wait(200_000)
            marks.finish()
        with stage("forward"):
            wait(200_000)
        for _ in step(range(2)):
            wait(200_000)
        assert not marks.recording()
        """,
        "+load",
    ),
    "measuring a pair's cost leaves no marks": (
        """
        from time import monotonic_ns
        marks.monotonic_ns = monotonic_ns
        assert 0 < marks.calibrate(20) < 1e5
        marks.monotonic_ns = lambda: now[0]
        with stage("load"):
            wait(200_000)
        """,
        "+load -load",
    ),
}


@pytest.mark.parametrize(("snippet", "texts"), SNIPPETS.values(), ids=SNIPPETS)
def test_what_is_marked(tmp_path: Path, snippet: str, texts: str) -> None:
    """Enterings and leavings in order, whatever the script does in between."""
    assert " ".join(run_marked(tmp_path, snippet).texts) == texts


def test_tiny_calls_are_joined_and_counted(tmp_path: Path) -> None:
    """Consecutive tiny calls of a stage become one pair that knows their number."""
    snippet = """
    for _ in range(500):
        with stage("update"):
            wait(2_000)
        wait(500)
    """
    first, last = run_marked(tmp_path, snippet).marks
    assert (first.text, last.text) == ("+update", "-update*500")
    assert last.t_ns - first.t_ns == 500 * 2_500 - 500


@pytest.mark.parametrize(
    ("between", "length"),
    [
        (f"wait({marks.SHORT_NS})", "1_000"),
        ("wait(1_000)", f"{marks.TINY_NS}"),
        ("pass\n    with stage('loss'):\n        wait(1_000)", "1_000"),
        ("marks.mark_step(sites.site_of('step', 's', 'f', 1, 'api'))", "1_000"),
    ],
    ids=["far apart", "long calls", "another stage between", "a step between"],
)
def test_other_calls_are_not_joined(tmp_path: Path, between: str, length: str) -> None:
    """Calls that are far apart, long, or interrupted keep pairs of their own."""
    snippet = f"""
for _ in range(3):
    with stage("update"):
        wait({length})
    {between}
"""
    texts = run_marked(tmp_path, snippet).texts
    assert texts.count("+update") == texts.count("-update") == 3


def test_so_short_a_time_counts_as_on_the_core(tmp_path: Path) -> None:
    """Below SHORT_NS the CPU clock is not read: its time is the wall's."""
    snippet = """
    with stage("load"):
        wait(15_000, cpu=1)
        with stage("augment"):
            wait(40_000, cpu=30_000)
    """
    cpu = [mark.cpu_ns for mark in run_marked(tmp_path, snippet).marks]
    assert cpu[1] - cpu[0] == 15_000
    assert cpu[2] - cpu[0] == 30_001


def test_a_place_has_one_number(tmp_path: Path) -> None:
    """The same line entered twice is one site, another line is another."""
    snippet = """
    a = sites.site_of("load", "f", "a.py", 3, "function")
    assert a == sites.site_of("load", "f", "a.py", 3, "function")
    assert a != sites.site_of("load", "f", "a.py", 4, "function")
    for _ in range(3):
        with stage("load"):
            wait(200_000)
    """
    done = run_marked(tmp_path, snippet)
    sites = reading.read_lines(spool.sites_file(tmp_path, done.pid))
    assert [site["kind"] for site in sites] == ["function", "function", "api"]
    assert sites[2]["file"].endswith("snippet.py")


def test_each_thread_has_its_own_marks_and_name(tmp_path: Path) -> None:
    """Threads do not share a stack of stages, and are listed with their names."""
    snippet = """
    def work():
        with stage("augment"):
            wait(200_000)
    with stage("load"):
        thread = threading.Thread(target=work, name="a name: \\u00e4 \\u2603")
        thread.start()
        thread.join()
    marks.finish()
    """
    done = run_marked(tmp_path, snippet)
    by_thread = [[m.text for m in one] for one in done.threads.values()]
    assert sorted(by_thread) == [["+augment", "-augment"], ["+load", "-load"]]
    names = reading.read_lines(spool.names_file(tmp_path, done.pid))
    tids = {tid for _, tid in done.threads}
    assert {name for tid, _, name in names if tid in tids} == {
        "MainThread",
        "a name: \u00e4 \u2603",
    }


def test_a_full_file_is_followed_by_another(tmp_path: Path) -> None:
    """More marks than a file holds are all there, in order, over several files."""
    pairs = 12_000
    snippet = f"""
    load = sites.site_of("load", "f", "f.py", 1, "function")
    for _ in range({pairs}):
        token = marks.enter(load)
        wait(30_000)
        marks.leave(token)
        wait(30_000)
    """
    done = run_marked(tmp_path, snippet)
    assert len(list(tmp_path.glob(spool.marks_glob()))) == 3
    assert done.texts == ["+load", "-load"] * pairs
    times = [mark.t_ns for mark in done.marks]
    assert {b - a for a, b in pairwise(times)} == {30_000}


def test_a_forked_child_records_on_its_own(tmp_path: Path) -> None:
    """A child's marks go to files of its own, with the sites known before the fork."""
    snippet = """
    load = sites.site_of("load", "f", "f.py", 1, "function")
    with stage("forward"):
        wait(200_000)
        child = os.fork()
        if not child:
            token = marks.enter(load)
            wait(200_000)
            marks.leave(token)
            os._exit(0)
        os.waitpid(child, 0)
        wait(200_000)
    """
    done = run_marked(tmp_path, snippet)
    texts = {pid: [m.text for m in one] for (pid, _), one in done.threads.items()}
    assert texts.pop(done.pid) == ["+forward", "-forward"]
    assert list(texts.values()) == [["+load", "-load"]]


LOST = """
import shutil
with stage("load"):
    wait(200_000)
shutil.rmtree(folder)
"""


@pytest.mark.parametrize("when", ["before the first mark", "before another site"])
def test_a_lost_folder_stops_recording_not_the_script(
    tmp_path: Path, when: str
) -> None:
    """When nothing can be written any more, the script trains on."""
    folder = tmp_path / "spool"
    folder.mkdir()
    lost = LOST if when == "before another site" else "shutil.rmtree(folder)\n"
    snippet = """
with stage("forward"):
    wait(200_000)
for item in step(range(2)):
    print(item)
assert not marks.recording()
marks.finish()
"""
    done = run_marked(folder, f"import shutil\n{lost}{snippet}")
    assert done.output == "0\n1\n"


ABANDONED = """
import subprocess
ended = subprocess.Popen(["true"])
ended.wait()
seen = []
writer.attend = seen.append
for tool, goes_on in ((writer.pid, True), (ended.pid, False)):
    writer.tool = tool
    for _ in range(6000):
        with stage("load"):
            now[0] += 10**6
    assert marks.recording() is goes_on
    assert seen == [] if goes_on else [spool.FINISHED]
"""


def test_nothing_is_recorded_for_a_tool_that_was_killed(tmp_path: Path) -> None:
    """Noticed when a file of marks is full; a window of yappi's ends too."""
    run_marked(tmp_path, ABANDONED)
    assert len(list(tmp_path.glob(spool.marks_glob()))) == 2


ASK = """
def ask(call, mode, boundary=255, trainer=threading.get_native_id()):
    spool.CONTROL.pack_into(writer.control, 0, call, mode, boundary, 0, trainer, 0)
def one_step():
    for name in ("load", "forward"):
        with stage(name):
            wait(200_000)
"""


@pytest.mark.parametrize(
    "snippet",
    [
        f"""
seen = []
writer.attend = lambda mode: seen.append((mode, now[0]))
ask(1, spool.FUNCTIONS_WALL, {STAGES.index("load")})
with stage("forward"):
    wait(200_000)
assert not seen
before = now[0]
one_step()
one_step()
assert seen == [(spool.FUNCTIONS_WALL, before)]
""",
        f"""
ask(1, spool.FUNCTIONS_CPU, {STAGES.index("load")})
other = threading.Thread(target=one_step)
other.start()
other.join()
assert not attended
one_step()
assert attended == [spool.FUNCTIONS_CPU]
""",
        f"""
ask(1, spool.FUNCTIONS_WALL, {STAGES.index("update")})
for _ in step(range(1)):
    assert attended == [spool.FUNCTIONS_WALL]
""",
    ],
    ids=["once, at the boundary's stage", "by the trainer only", "at a step's mark"],
)
def test_a_window_begins_at_the_boundary(tmp_path: Path, snippet: str) -> None:
    """There the tool's wish is met."""
    run_marked(tmp_path, ASK + snippet)


def test_finished_ends_recording_from_outside(tmp_path: Path) -> None:
    """The tool detaches: marks end, whoever meets the call, and windows are told."""
    snippet = f"""
{ASK}
one_step()
ask(1, spool.FINISHED, 255, -1)
one_step()
assert attended == [spool.FINISHED] and not marks.recording()
"""
    texts = run_marked(tmp_path, snippet).texts
    assert texts[:4] == ["+load", "-load", "+forward", "-forward"]
    assert texts.count("-load") == 1


def test_stop_ends_the_script_cleanly(tmp_path: Path) -> None:
    """`--stop` raises SystemExit(0) at a boundary, so `finally` and atexit run."""
    snippet = f"""
{ASK}
import atexit
atexit.register(print, "at exit")
one_step()
ask(1, spool.STOP, {STAGES.index("load")})
try:
    one_step()
finally:
    print("finally")
print("not reached")
"""
    done = run_marked(tmp_path, snippet)
    assert done.output == "finally\nat exit\n"
    assert done.texts == ["+load", "-load", "+forward", "-forward"]


def test_threads_without_marks_are_listed_as_they_come(tmp_path: Path) -> None:
    """The next outermost mark of any thread lists those that have come since."""
    snippet = f"""
{ASK}
one_step()
done = threading.Event()
quiet = threading.Thread(target=done.wait, name="quiet")
quiet.start()
one_step()
done.set()
quiet.join()
"""
    done = run_marked(tmp_path, snippet)
    names = reading.read_lines(spool.names_file(tmp_path, done.pid))
    assert [name for _, _, name in names] == ["MainThread", "quiet"]


def test_a_call_lists_new_names(tmp_path: Path) -> None:
    """Asked for the mode it is in, the agent lists names that have changed."""
    snippet = f"""
{ASK}
one_step()
threading.current_thread().name = "renamed"
ask(1, spool.RECORD)
one_step()
"""
    done = run_marked(tmp_path, snippet)
    names = reading.read_lines(spool.names_file(tmp_path, done.pid))
    assert [name for _, _, name in names] == ["MainThread", "renamed"]
    assert done.texts.count("+load") == 2


def test_events_are_json_lines_and_a_lost_disk_is_silent(tmp_path: Path) -> None:
    """Each event is a line with its time; where none can be written, none is."""
    (tmp_path / spool.CONTROL_FILE).write_bytes(bytes(spool.CONTROL_BYTES))
    writer = SpoolWriter(tmp_path, lambda mode: None)
    writer.write_event({"event": "one"})
    writer.write_event({"event": "two"})
    text = spool.events_file(tmp_path, writer.pid).read_text()
    assert [json.loads(line)["event"] for line in text.splitlines()] == ["one", "two"]
    shutil.rmtree(tmp_path)
    writer.write_event({"event": "three"})


@pytest.mark.parametrize("name", ["", "lode", "other", "step", "LOAD"])
def test_unknown_stages_are_refused(name: str) -> None:
    """A stage that is no word of the list is refused with the list."""
    with pytest.raises(ValueError, match=r"use one of: load, augment, .*, log$"):
        debottleneck.stage(name)


@pytest.mark.parametrize("name", NAMED)
def test_every_stage_can_be_marked_when_nobody_records(name: str) -> None:
    """Without a recording, marks change nothing and pass everything through."""
    assert not marks.recording()
    with debottleneck.stage(name) as entered:
        assert isinstance(entered, debottleneck.stage)
    assert list(debottleneck.step(iter("abc"))) == ["a", "b", "c"]
    assert marks.enter(sites.site_of(name, "f", "f.py", 1, "function")) == -1
    marks.leave(-1)


def test_step_is_lazy_when_nobody_records() -> None:
    """`step` takes an item only when the loop asks for one."""
    taken: list[int] = []
    loop = debottleneck.step(taken.append(n) or n for n in range(3))
    assert taken == []
    assert next(loop) == 0
    assert taken == [0]


KINDS = """
def plain():
    wait(200_000)

def pairs():
    for _ in range(2):
        wait(200_000)
        yield
    wait(200_000)

async def get():
    wait(200_000)

async def feed():
    for _ in range(2):
        wait(200_000)
        yield

def run(coroutine):
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
"""


@pytest.mark.parametrize(
    ("use", "kind", "times", "spent_us"),
    [
        ("wrap(plain, 'load')()", "function", 1, 200),
        ("for _ in wrap(pairs, 'load')(): wait(900_000)", "generator", 3, 600),
        ("run(wrap(get, 'load')())", "coroutine", 1, 200),
        (
            "async def all():\n    async for _ in wrap(feed, 'load')(): wait(900_000)\n"
            "run(all())",
            "generator",
            3,
            400,
        ),
    ],
    ids=["function", "generator", "coroutine", "async generator"],
)
def test_only_the_time_inside_is_marked(
    tmp_path: Path, use: str, kind: str, times: int, spent_us: int
) -> None:
    """A pair a call; of generators, a pair from each resumption to its yield."""
    done = run_marked(tmp_path, KINDS + use)
    assert done.texts == ["+load", "-load"] * times
    ends = [mark.t_ns for mark in done.marks]
    spent = sum(b - a for a, b in zip(ends[::2], ends[1::2], strict=True))
    assert spent == spent_us * 1_000
    assert f'"kind": "{kind}"' in spool.sites_file(tmp_path, done.pid).read_text()


def test_a_site_is_where_the_function_is_defined(tmp_path: Path) -> None:
    """Name, file and line of the site are the function's, or as given."""
    snippet = """
    def plain():
        pass
    wrap(plain, "loss")
    wrap(plain, "loss", file="given.py", line=77, name="Given.name")
    print(plain.__code__.co_firstlineno)
    """
    done = run_marked(tmp_path, snippet)
    own, given = reading.read_lines(spool.sites_file(tmp_path, done.pid))
    assert own["name"] == "plain"
    assert own["file"] == str(tmp_path / "snippet.py")
    assert own["line"] == int(done.output)
    assert (given["name"], given["file"], given["line"]) == (
        "Given.name",
        "given.py",
        77,
    )


def test_a_block_that_began_in_silence_ends_alone(tmp_path: Path) -> None:
    """The one around it goes on, whether all is marked again by then or not."""
    marked = run_marked(
        tmp_path,
        """
        from debottleneck.agent.points import Point
        load, forward = (
            Point(sites.site_of(name, name, "f.py", 1, "function")).marks
            for name in ("load", "forward")
        )
        with load:
            for loud in (True, False):
                wait(1_000_000)
                marks.hush(True)
                with forward:
                    marks.hush(not loud)
                wait(1_000_000)
                marks.hush(False)
        """,
    )
    assert [(mark.text, mark.t_ns % 1_000_000_000) for mark in marked.marks] == [
        ("+load", 0),
        ("-load", 4_000_000),
    ]


def test_functions_of_one_thread_are_silent_where_it_marks_nothing(
    tmp_path: Path,
) -> None:
    """Their bodies begin with nothing of ours; what two threads call stays as it is."""
    done = run_marked(
        tmp_path,
        """
        from debottleneck.agent.points import SILENCE, Point
        own, both = (
            Point(sites.site_of(name, name, "f.py", 1, "function"))
            for name in ("load", "forward")
        )
        def enter():
            with both.marks:
                wait(1_000)
        with own.marks:
            wait(1_000)
        enter()
        marks.hush(True)
        print(own.marks is both.marks is SILENCE)
        marks.hush(False)
        other = threading.Thread(target=enter)
        other.start()
        other.join()
        marks.hush(True)
        print(own.marks is SILENCE, both.marks is SILENCE)
        try:
            with own.marks:
                raise KeyError
        except KeyError:
            print("raised")
        marks.hush(False)
        print(own.marks is SILENCE)
        """,
    )
    assert done.output.split() == ["True", "True", "False", "raised", "False"]


def test_who_follows_is_told_of_each_mark_of_every_thread(tmp_path: Path) -> None:
    """Also in files that fill up, and of threads that come meanwhile; then no more."""
    snippet = f"""
    told = []
    site = sites.site_of("load", "load", "f.py", 1, "function")

    def pair():
        wait(1_000_000)
        marks.leave(marks.enter(site))

    def threads():
        for _ in range(2):
            thread = threading.Thread(target=pair)
            thread.start()
            thread.join()

    pair()
    from debottleneck.agent.track import follow_with
    follow_with(lambda track: told.append(track.tid))
    for _ in range({spool.MARK_FILE_BYTES // spool.MARK.size}):
        pair()
    threads()
    follow_with(None)
    pair()
    threads()
    print(len(told), len(set(told)))
    """
    pairs = spool.MARK_FILE_BYTES // spool.MARK.size
    marked = run_marked(tmp_path, snippet)
    assert int(marked.output.split()[0]) == 2 * (pairs + 2)
    assert sum(map(len, marked.threads.values())) == 2 * (pairs + 6)
    assert len(list(tmp_path.glob(spool.marks_glob()))) == 3 + 4
