"""A spool folder written by hand, put together whole, cut off and damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_loops import loaders

from debottleneck import load_recording
from debottleneck.analysis.analyse import analyse
from debottleneck.errors import RecordingError
from debottleneck.recording import assemble, pyspy, spool, told
from debottleneck.recording.columns import COLUMNS
from debottleneck.recording.recording import Recording
from debottleneck.recording.spool import ENTER, LEAVE, STATES
from debottleneck.strategies.rewriting.plan import Piece, Plan

MS = 1_000_000
PID, WORKER, LOADER, POOL = 700, 750, 701, 702
MAIN_IDENT, LOADER_IDENT = 140_001, 140_002
SITES = ("load", "forward")
STEPS = 10


def lines(path: Path, rows: Iterable[Any]) -> None:
    """JSON lines."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def mark_file(raw: Path, pid: int, tid: int, ident: int, number: int, row: Any) -> None:
    """One mark file of (ms, CPU ms, site, edge) records, with its space reserved."""
    records = [
        spool.MARK.pack(ms * MS, cpu * MS, site << 2 | edge, edge == LEAVE)
        for ms, cpu, site, edge in row
    ]
    header = spool.MARK_HEADER.pack(spool.MARK_MAGIC, pid, tid, ident)
    body = header.ljust(spool.MARK_START, b"\0") + b"".join(records)
    name = f"marks-{pid}-{tid}-{number}-{number}.bin"
    (raw / name).write_bytes(body.ljust(spool.MARK_FILE_BYTES, b"\0"))


def loop(first: int, count: int) -> list[tuple[int, int, int, int]]:
    """Steps of 6 ms load, 1 on a core, and 4 ms forward, all on a core."""
    made = []
    for step in range(first, first + count):
        at, cpu = 10 * step, 5 * step
        made += [(at, cpu, 0, ENTER), (at + 6, cpu + 1, 0, LEAVE)]
        made += [(at + 6, cpu + 1, 1, ENTER), (at + 10, cpu + 5, 1, LEAVE)]
    return [(at + 1, *rest) for at, *rest in made]


def wait(tid: int, start: int, state: str, *, oncpu: int = 0, detail: int = 0) -> bytes:
    """Two milliseconds of a thread's state."""
    at = (start * MS, (start + 2) * MS, oncpu * MS, 0)
    holder = tid if state == "running" else 0
    return spool.WAIT.pack(PID, tid, *at, holder, STATES.index(state), detail, 0)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A spool of ten steps: a trainer, a loader, a pool thread and a worker."""
    raw = tmp_path / "run" / spool.RAW_FOLDER
    raw.mkdir(parents=True)
    config = {"command": ["train.py", "--epochs", "3"], "target": "train.py"}
    (raw / spool.CONFIG).write_text(json.dumps(config))
    agent = {"pid": PID, "main_tid": PID, "python": "3.11.7", "mark_pair_us": 1.9}
    spool.agent_file(raw, PID).write_text(json.dumps(agent))
    for pid in (PID, WORKER):
        rows = [
            {"site": n, "stage": stage, "name": f"{stage}_ß", "kind": "function"}
            | {"file": "/w/train.py", "line": n + 1}
            | {"end": n + 1, "within": -1, "side": ""}
            for n, stage in enumerate(SITES)
        ]
        lines(spool.sites_file(raw, pid), rows)
    mark_file(raw, PID, PID, MAIN_IDENT, 1, loop(0, 6))
    mark_file(raw, PID, PID, MAIN_IDENT, 2, loop(6, STEPS - 6))
    mark_file(raw, WORKER, WORKER, 9, 3, [(3, 0, 0, ENTER), (5, 1, 0, LEAVE)])
    named = [[PID, MAIN_IDENT, "MainThread"], [LOADER, LOADER_IDENT, "Thread-1"]]
    lines(spool.names_file(raw, PID), [*named, [LOADER, LOADER_IDENT, "läder; x"]])
    lines(raw / spool.COMMS_FILE, [[PID, POOL, "blas_thread"], [PID, PID, "python"]])
    lines(raw / spool.DETAILS_FILE, [[1, "recvfrom", "10.0.0.7:9000"]])
    rows = []
    for at in range(1, 10 * STEPS, 10):
        rows += [wait(PID, at + n, "network", detail=1) for n in (0, 2)]
        rows += [wait(PID, at + n, "running", oncpu=2) for n in (4, 6, 8)]
        rows += [wait(POOL, at, "lock")]
    (raw / spool.WAITS_FILE).write_bytes(b"".join(rows))
    taken = [spool.HANDOVER.pack(PID, at * MS, at) for at in (0, 50, 100)]
    (raw / spool.HANDOVERS_FILE).write_bytes(b"".join(taken))
    seen = [spool.BURST.pack(PID, at * MS, 25_000, 12, at % 3) for at in range(9)]
    (raw / spool.BURSTS_FILE).write_bytes(b"".join(seen))
    events = [functions(20), planned(12), functions(40)]
    lines(spool.events_file(raw, PID), events)
    sampler = {"asked_hz": 200.0, "achieved_hz": 197.0, "cpu_share": 0.03}
    (raw / spool.SAMPLER_FILE).write_text(json.dumps(sampler))
    return raw


def functions(start: int) -> dict[str, Any]:
    """An event of one yappi window of the loader."""
    lead = {"t_ns": 0, "event": "functions", "clock": "wall"}
    row = [LOADER_IDENT, "loader", "read", "/w/data.py", 7, 3, 100, 400]
    return {**lead, "start_ns": start * MS, "end_ns": start * MS + MS, "rows": [row]}


def planned(line: int) -> dict[str, Any]:
    """A strategy says what it would do with the loop at a line."""
    pieces = (Piece(line, "heavy", 5.0, 2.0),)
    made = Plan("prefetch", "train.py", line, pieces=pieces, feeds=True)
    return {"t_ns": 0, "event": "plan", **made.as_json()}


def test_the_loop_and_when_it_was_learned(raw: Path) -> None:
    """What each process said last of its loop; blocks of another kind are refused."""
    choice = {"event": "loop", "site": 1, "tid": PID, "why": "an update", "others": [0]}
    choice |= {"sides": [[0, "input"], [1, ""]]}
    learned = {
        "event": "block",
        "kind": "loops",
        "start_ns": 30 * MS,
        "end_ns": 50 * MS,
    }
    events = [functions(20), learned, choice | {"site": 0}, choice]
    lines(spool.events_file(raw, PID), [*events, learned | {"kind": "eat"}])
    made = assemble.tables_of(raw, ())
    assert made["loops"].to_numpy().tolist() == [
        [PID, 1, PID, 0, "an update"],
        [PID, 0, PID, 1, ""],
    ]
    assert made["sites"]["side"].tolist() == ["input", "", "", ""]
    assert made["blocks"]["kind"].tolist() == ["functions-wall", "loops"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("sites-700.jsonl", '{"site": 9, "stage": "eat", "name": "x"}'),
        ("names-700.jsonl", '["a", {}, 3]'),
        ("names-700.jsonl", "[" * 100_000),
        ("comms.jsonl", "[700, 702]"),
        ("details.jsonl", '[1, "read"]'),
        ("details.jsonl", '{"a": NaN}'),
        ("events-700.jsonl", '{"event": "functions", "rows": 3}'),
        ("events-700.jsonl", '{"t_ns": 1}'),
    ],
)
def test_a_bad_line_is_where_the_run_was_cut_off(
    raw: Path, file: str, line: str
) -> None:
    """What was written before it is read, and the secrets of the command are not."""
    with (raw / file).open("a", encoding="utf-8") as stream:
        stream.write(f"{line}\n")
    config = {"command": ["train.py", "--token=x"], "target": "train.py"}
    (raw / spool.CONFIG).write_text(json.dumps(config))
    record = load_recording(raw.parent)
    assert record.facts.partial
    assert record.facts.command == ("train.py", "--token=***")
    assert len(record.marks) == 4 * STEPS + 2
    assert len(record.sites) == 2 * len(SITES)
    assert analyse(record).loop.found


def window(raw: Path, kind: str, text: str, failure: str = "") -> pyspy.PySpyWindow:
    """A py-spy window that has ended and wrote this."""
    path = raw / f"{kind}.out"
    path.write_text(text, encoding="utf-8")
    return pyspy.PySpyWindow(kind, path, 50 * MS, 60 * MS, failure)


def test_marks_and_sites_of_every_file(raw: Path) -> None:
    """Files of a thread follow each other; processes keep their own sites."""
    tables = assemble.tables_of(raw, ())
    marks = tables["marks"]
    own = marks[marks["pid"] == PID]
    assert len(own) == 4 * STEPS
    assert own["t_ns"].is_monotonic_increasing
    assert own["calls"].sum() == 2 * STEPS
    assert marks["pid"].value_counts().to_dict() == {PID: 4 * STEPS, WORKER: 2}
    sites = tables["sites"]
    assert sites["pid"].tolist() == [PID, PID, WORKER, WORKER]
    assert sites["name"].tolist() == ["load_ß", "forward_ß"] * 2


def test_every_table_has_its_types(raw: Path) -> None:
    """What is put together is what `recording` promises."""
    for name, table in assemble.tables_of(raw, ()).items():
        kinds = table.dtypes.astype(str).to_dict()
        expected = dict(COLUMNS[name])
        assert {c: k for c, k in kinds.items() if expected[c] != "str"} == {
            c: k for c, k in expected.items() if k != "str"
        }


def test_threads_by_their_best_name(raw: Path) -> None:
    """Python's last name, else the kernel's; the main thread is known."""
    found = assemble.tables_of(raw, ())["threads"].set_index(["pid", "tid"])
    assert found["name"].to_dict() == {
        (PID, PID): "MainThread",
        (PID, LOADER): "läder; x",
        (PID, POOL): "blas_thread",
        (WORKER, WORKER): "MainThread",
    }
    assert found["python"].to_dict()[PID, POOL] is False
    assert found["ident"].to_dict()[PID, LOADER] == LOADER_IDENT


def test_waits_and_what_they_were_on(raw: Path) -> None:
    """States by number, details by their own; detail 0 is none."""
    tables = assemble.tables_of(raw, ())
    waits = tables["waits"]
    assert len(waits) == 6 * STEPS
    assert (waits["end_ns"] - waits["start_ns"] == 2 * MS).all()
    assert tables["details"].values.tolist() == [
        [0, "", ""],
        [1, "recvfrom", "10.0.0.7:9000"],
    ]
    assert tables["handovers"]["switches"].tolist() == [0, 50, 100]


def test_bursts_and_plans(raw: Path) -> None:
    """How often the GIL is given up, and what strategies would do."""
    tables = assemble.tables_of(raw, ())
    bursts = tables["bursts"]
    assert (len(bursts), bursts["releases"].sum()) == (9, 9)
    assert bursts.iloc[4].tolist() == [PID, 4 * MS, 25_000, 12, 1]
    (plan,) = assemble.told(raw, PID, "plan")
    assert (plan["line"], plan["pieces"][0]["side"]) == (12, "heavy")
    assert plan["feeds"]
    assert assemble.told(raw, PID + 1, "plan") == ()
    assert assemble.has_functions(raw)
    lines(spool.events_file(raw, PID), [{**planned(12), "where": "nowhere"}])
    assert assemble.told(raw, PID, "plan") == ()
    assert not assemble.has_functions(raw)
    assert len(assemble.tables_of(raw, ())["functions"]) == 0


def test_functions_are_summed_over_windows(raw: Path) -> None:
    """One row a clock, thread and function, with the thread's kernel id."""
    tables = assemble.tables_of(raw, ())
    (row,) = tables["functions"].to_dict("records")
    assert (row["tid"], row["calls"], row["self_ns"], row["total_ns"]) == (
        LOADER,
        6,
        200,
        800,
    )
    assert tables["blocks"].values.tolist() == [
        ["functions-wall", 20 * MS, 21 * MS],
        ["functions-wall", 40 * MS, 41 * MS],
    ]


def test_stacks_of_both_kinds_of_window(raw: Path) -> None:
    """Idents become kernel ids; each different stack is stored once."""
    place = {"args": {"filename": "/w/t.py", "line": 5}, "name": "spin", "pid": PID}
    trace = [
        {**place, "ph": phase, "tid": ident, "ts": at}
        for ident in (MAIN_IDENT, LOADER_IDENT, 5)
        for phase, at in (("B", 0), ("E", 2000))
    ]
    held = f"thread ({LOADER}): läder; x;spin (/w/t.py:5) 7"
    windows = [
        window(raw, "stacks", json.dumps(trace)),
        window(raw, "gil", held),
        pyspy.PySpyWindow("gil", raw / "none", 0, 0, "exit code 1"),
    ]
    tables = assemble.tables_of(raw, windows)
    found = tables["stacks"]
    assert found["block"].tolist() == ["stacks"] * 3 + ["gil"]
    assert found["tid"].tolist() == [PID, LOADER, 0, LOADER]
    assert found["weight_ns"].tolist() == [2 * MS] * 3 + [70 * MS]
    assert set(found["stack"]) == {0}
    assert found["start_ns"][0] == 50 * MS + pyspy.STARTUP_NS
    assert tables["frames"].values.tolist() == [[0, 0, "spin", "/w/t.py", 5]]
    assert tables["blocks"]["kind"].value_counts()["gil"] == 2


def sample(pid: int, ident: int, *names: str) -> list[dict[str, Any]]:
    """py-spy's events of one stack, outermost first, for two milliseconds."""
    place = {"args": {"filename": "/w/t.py", "line": 5}, "pid": pid, "tid": ident}
    begun = [{**place, "ph": "B", "ts": 0, "name": name} for name in names]
    return begun + [{**event, "ph": "E", "ts": 2000} for event in reversed(begun)]


def test_frames_that_a_child_inherited_are_not_its_own(raw: Path) -> None:
    """They stay as they were at the fork, in its first thread alone."""
    lines(spool.events_file(raw, WORKER), [{"event": "forked", "depth": 2}])
    trace = [
        *sample(WORKER, 9, "<module>", "fork", "work"),
        *sample(WORKER, 8, "run", "serve", "accept"),
        *sample(PID, MAIN_IDENT, "<module>", "train", "load"),
    ]
    made = assemble.tables_of(raw, [window(raw, "stacks", json.dumps(trace))])
    names = made["frames"].groupby("stack")["function"].agg(list)
    assert [names[stack] for stack in made["stacks"]["stack"]] == [
        ["work"],
        ["run", "serve", "accept"],
        ["<module>", "train", "load"],
    ]


def test_a_child_that_goes_on_in_inherited_frames_keeps_them(raw: Path) -> None:
    """One that forked in the script itself and returned from nothing."""
    lines(spool.events_file(raw, WORKER), [{"event": "forked", "depth": 2}])
    trace = sample(WORKER, 9, "<module>", "child")
    made = assemble.tables_of(raw, [window(raw, "stacks", json.dumps(trace))])
    assert made["frames"]["function"].tolist() == ["<module>", "child"]


def test_of_unlisted_threads_the_first_is_known_by_its_module(raw: Path) -> None:
    """A spawned process lists none: what began with a module is its first thread."""
    spawned = WORKER + 1
    trace = [
        *sample(spawned, 3, "<module>", "spawn_main"),
        *sample(spawned, 4, "_bootstrap", "_feed"),
    ]
    made = assemble.tables_of(raw, [window(raw, "stacks", json.dumps(trace))])
    assert made["stacks"]["tid"].tolist() == [spawned, 0]


def test_loaders_end_with_their_workers(raw: Path) -> None:
    """What was told of one, its end that of its last worker; and of slow items."""
    begun = loaders(WORKER, WORKER + 1, epochs=2)["loaders"]
    took = {"pid": WORKER, "took_ns": 9, "usual_ns": 2, "p99_ns": 5, "items": 70}
    events = [
        *({"event": spool.LOADER, **one} for one in begun),
        {"event": spool.LOADER_ENDED, "pids": [WORKER], "t_ns": 50},
        {"event": spool.LOADER_ENDED, "pids": [WORKER + 1], "t_ns": 60},
    ]
    lines(spool.events_file(raw, PID), events)
    slow = {"event": spool.SLOW_ITEM, "index": "(3, 'x')", **took}
    lines(spool.events_file(raw, WORKER), [slow, {"event": spool.SLOW_ITEM}])
    found = told.loaders(raw, PID)
    assert [one["end_ns"] for one in found] == [60, 60]
    assert found[0]["pids"] == (WORKER, WORKER + 1)
    assert told.slow_items(raw) == ({"index": "(3, 'x')", **took},)


def test_failures_are_stated_with_their_remedy(raw: Path) -> None:
    """Each instrument's own words, once."""
    failed = window(raw, "stacks", "", "Permission Denied: Try again")
    (raw / spool.SAMPLER_FILE).write_text('{"failed": "may not read /proc"}')
    events = [
        {"event": "failure", "what": "marks stopped: no space"},
        {"event": "failure", "what": "a fault of ours", "part": "search"},
        {"event": "functions-refused", "why": "the script uses a profile function"},
    ]
    lines(spool.events_file(raw, PID), events)
    found = {entry.what: entry for entry in assemble.failures(raw, [failed, failed])}
    assert found["stacks (one or more windows)"].why.startswith("Permission Denied")
    assert "SYS_PTRACE" in found["stacks (one or more windows)"].remedy
    assert found["waits"].why == "may not read /proc"
    assert found["marks"].remedy == "free some disk space"
    assert "--step" in found["training loop"].remedy
    assert len(found) == 5
    assert all(entry.remedy for entry in found.values())


def test_a_run_without_failures(raw: Path) -> None:
    """Nothing to state."""
    assert assemble.failures(raw, ()) == []


def check_cut_off(recording: Recording) -> None:
    """What any recording that was cut off can still do."""
    assert recording.facts.partial
    assert recording.facts.partial_why
    found = analyse(recording)
    assert found.recording is recording
    shares = found.stages["share"].sum() if found.loop.found else 1
    assert shares == pytest.approx(1)


def test_an_unfinished_recording_loads(raw: Path) -> None:
    """The tool itself was killed: the spool is the recording, and says so."""
    recording = load_recording(raw.parent)
    facts = recording.facts
    assert facts.command == ("train.py", "--epochs", "3")
    assert (facts.pid, facts.main_tid) == (PID, PID)
    assert facts.start_ns == MS
    assert facts.end_ns == (10 * STEPS + 1) * MS
    assert [entry.what for entry in facts.not_measured] == [
        "environment, stacks and source lines"
    ]
    check_cut_off(recording)
    found = analyse(recording)
    assert found.loop.measured == STEPS - 4
    causes = found.causes[found.causes["role"] == "trainer"]
    causes = causes.set_index(["stage", "cause"])["ms_per_step"]
    assert causes["forward", "python"] == pytest.approx(4)
    assert causes["load", "network"] == pytest.approx(5)
    assert causes["load", "python"] == pytest.approx(1)
    assert found.waited_on["what"].tolist() == ["10.0.0.7:9000"]


FILES = (
    "agent-700.json",
    "sites-700.jsonl",
    "names-700.jsonl",
    "marks-700-700-1-1.bin",
    "marks-700-700-2-2.bin",
    spool.WAITS_FILE,
    spool.DETAILS_FILE,
    spool.HANDOVERS_FILE,
    spool.BURSTS_FILE,
    spool.COMMS_FILE,
    "events-700.jsonl",
    spool.SAMPLER_FILE,
)
WRITTEN_AT_ONCE = ("agent-700.json",)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing(raw: Path, name: str) -> None:
    """Any one file less: the rest still is a recording."""
    (raw / name).unlink()
    check_cut_off(load_recording(raw.parent))


@pytest.mark.parametrize("name", [n for n in FILES if n not in WRITTEN_AT_ONCE])
def test_a_file_that_was_cut_off(raw: Path, name: str) -> None:
    """Any one file cut in the middle of a record or line."""
    path = raw / name
    whole = path.read_bytes().rstrip(b"\0")
    path.write_bytes(whole[: len(whole) * 6 // 10 // 2 * 2 + 1])
    check_cut_off(load_recording(raw.parent))


@pytest.mark.parametrize("text", ["", "{", None])
def test_a_spool_without_its_beginning_is_no_recording(
    raw: Path, text: str | None
) -> None:
    """Killed before anything was said: refused in one sentence."""
    path = raw / spool.CONFIG
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(RecordingError, match="holds no recording that can be read"):
        load_recording(raw.parent)


def test_a_finished_recording_outweighs_its_spool(raw: Path) -> None:
    """Facts vouch for the tables, even when the spool could not be removed."""
    partial = load_recording(raw.parent)
    partial.save(raw.parent)
    shutil.rmtree(raw)
    raw.mkdir()
    again = load_recording(str(raw.parent))
    pd.testing.assert_frame_equal(again.marks, partial.marks)
    assert again.facts == partial.facts


def test_an_empty_spool_is_an_empty_recording(tmp_path: Path) -> None:
    """Killed at once after the launch."""
    raw = tmp_path / spool.RAW_FOLDER
    raw.mkdir()
    (raw / spool.CONFIG).write_text('{"command": ["x.py"], "target": "x.py"}')
    recording = load_recording(tmp_path)
    assert recording.marks.empty
    check_cut_off(recording)
