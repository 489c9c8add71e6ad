"""The spool's fixed records: half-written, cut off, or growing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from debottleneck.recording import reading, spool
from debottleneck.recording.loop import BY_HAND, CODE, LOOP, ChosenLoop
from debottleneck.recording.reading import MarkFile

Record = tuple[int, int, int, int]


def mark_file(folder: Path, records: list[Record], name: str = "7-8-0-100") -> Path:
    """A mark file as the agent reserves it, with these records written."""
    body = b"".join(spool.MARK.pack(*record) for record in records)
    header = spool.MARK_HEADER.pack(spool.MARK_MAGIC, 7, 8, 140_000)
    path = folder / f"marks-{name}.bin"
    whole = header.ljust(spool.MARK_START, b"\0") + body
    path.write_bytes(whole.ljust(spool.MARK_FILE_BYTES, b"\0"))
    return path


def pairs(count: int) -> list[Record]:
    """As many enterings and leavings of site 0."""
    return [
        record
        for n in range(count)
        for record in ((10 + 20 * n, n, 0, 0), (20 + 20 * n, n, 1, 1))
    ]


def test_records_and_who_wrote_them(tmp_path: Path) -> None:
    """Records end where the reserved space begins."""
    file = MarkFile(mark_file(tmp_path, pairs(2)))
    assert file.started
    assert (file.pid, file.tid, file.ident) == (7, 8, 140_000)
    assert file.records().tolist() == pairs(2)


def test_the_records_are_the_structs() -> None:
    """What the agent and the sampler pack is what is read."""
    structs = {"waits": spool.WAIT, "handovers": spool.HANDOVER, "bursts": spool.BURST}
    structs |= {"collections": spool.COLLECTION, "counters": spool.COUNTER}
    for name, (_, dtype) in reading.FIXED.items():
        assert dtype.itemsize == structs[name].size
    assert reading.MARK_DTYPE.itemsize == spool.MARK.size
    assert (spool.MARK_FILE_BYTES - spool.MARK_START) % spool.MARK.size == 0


def test_new_records_come_once(tmp_path: Path) -> None:
    """The last record may still be joined, so it waits for the next one."""
    path = mark_file(tmp_path, pairs(2))
    file = MarkFile(path)
    assert file.new_records().tolist() == pairs(2)[:-1]
    assert file.new_records().tolist() == []
    mark_file(tmp_path, [*pairs(2)[:-1], (35, 1, 1, 9), *pairs(3)[4:]])
    assert file.new_records().tolist() == [(35, 1, 1, 9), pairs(3)[4]]


def test_a_full_file_gives_everything(tmp_path: Path) -> None:
    """Nothing can change any more: the last record does not wait."""
    room = (spool.MARK_FILE_BYTES - spool.MARK_START) // spool.MARK.size
    file = MarkFile(mark_file(tmp_path, pairs(room // 2)))
    assert len(file.new_records()) == room
    assert file.full
    assert len(file.records()) == room


@pytest.mark.parametrize("size", [0, 10, spool.MARK_HEADER.size, 47, 48, 60, 72, 90])
def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path, size: int) -> None:
    """Cut anywhere, in the header or in a record."""
    path = mark_file(tmp_path, pairs(2))
    path.write_bytes(path.read_bytes()[:size])
    files = reading.mark_files(tmp_path)
    found = [record for file in files for record in file.records().tolist()]
    assert found == pairs(2)[: max(size - spool.MARK_START, 0) // spool.MARK.size]


def test_a_file_not_begun_is_left_out(tmp_path: Path) -> None:
    """Reserved but without its header, or something else altogether."""
    (tmp_path / "marks-1-2-0-3.bin").write_bytes(bytes(spool.MARK_FILE_BYTES))
    (tmp_path / "marks-1-2-1-4.bin").write_bytes(b"something else" * 10)
    assert reading.mark_files(tmp_path) == []


def test_files_come_in_the_order_they_were_begun(tmp_path: Path) -> None:
    """The tenth follows the ninth, whatever the letters say."""
    names = ["7-8-10-1100", "7-8-9-900", "7-8-0-20"]
    for name in names:
        mark_file(tmp_path, pairs(1), name)
    found = [file.path.stem for file in reading.mark_files(tmp_path)]
    assert found == ["marks-7-8-0-20", "marks-7-8-9-900", "marks-7-8-10-1100"]


@pytest.mark.parametrize("cut", [0, 1, 23, 24, 47, 48])
def test_fixed_records_cut_off(tmp_path: Path, cut: int) -> None:
    """Whole records count, the torn one does not."""
    name, dtype = reading.FIXED["handovers"]
    path = tmp_path / name
    whole = spool.HANDOVER.pack(1, 2, 3) + spool.HANDOVER.pack(1, 4, 5)
    path.write_bytes(whole[:cut])
    table = reading.read_fixed(tmp_path, name, dtype)
    assert list(table["switches"]) == [3, 5][: cut // 24]
    assert list(table.columns) == ["pid", "t_ns", "switches"]


def test_files_that_are_not_there_are_empty(tmp_path: Path) -> None:
    """An instrument that did not run left nothing."""
    for files, dtype in reading.FIXED.values():
        assert len(reading.read_fixed(tmp_path, files, dtype)) == 0
    assert reading.read_lines(tmp_path / "none") == []
    assert reading.read_json(tmp_path / "none") == {}
    assert reading.mark_files(tmp_path) == []


def test_every_process_has_files_of_its_collections(tmp_path: Path) -> None:
    """All are read, as far as they are written."""
    record = spool.COLLECTION.pack(7, 8, 10, 20, 9, 0, 0, 3)
    for name in ("7-1", "9-2"):
        rest = bytes(10 * len(record))
        (tmp_path / f"collections-{name}.bin").write_bytes(record + rest)
    table = reading.read_fixed(tmp_path, *reading.FIXED["collections"])
    assert table["collected"].tolist() == [3, 3]


def test_json_lines_cut_off(tmp_path: Path) -> None:
    """Whole lines count; a torn one, or torn bytes, do not."""
    path = tmp_path / "lines.jsonl"
    path.write_bytes('[1, "ä"]\n{"a": 2}\n[3, "ä'.encode()[:-1])
    assert reading.read_lines(path) == [[1, "ä"], {"a": 2}]


SITES = [
    ("load", "read", "function"),
    ("update", "torch.optim.Optimizer.zero_grad", "torch"),
    ("step", "for x in loader", "loop"),
    ("step", "step()", "api"),
    ("line", "y = net(x)", "statement"),
]


def site_line(number: int) -> str:
    """A line of the sites' file."""
    stage, name, kind = SITES[number]
    place = {"file": "/w/a/train.py", "line": 24, "end": 24, "within": -1, "side": ""}
    fields = {"site": number, "stage": stage, "name": name, "kind": kind}
    return json.dumps(fields | place) + "\n"


def test_sites_as_arrays_for_the_loop(tmp_path: Path) -> None:
    """What each marks, by number; `zero_grad` bounds no step; unknown ones go."""
    text = "".join(map(site_line, range(len(SITES)))) + '{"site": 5, "stage": "st'
    spool.sites_file(tmp_path, 7).write_text(text)
    sites = reading.read_sites(tmp_path, 7)
    records = [(10, 0, 1 << 2, 0), (20, 0, 1 << 2 | 1, 1), (30, 0, 5 << 2, 0)]
    records += [(40 + n, 0, n << 2 | spool.STEP_START, 3) for n in (0, 2, 3, 4)]
    found = reading.as_marks(np.array(records, reading.MARK_DTYPE), sites)
    assert list(found.t) == [10, 20, 40, 42, 43, 44]
    assert list(found.edge) == [spool.ENTER, spool.LEAVE, *[spool.STEP_START] * 4]
    words = ["update", "update", "load", LOOP, BY_HAND, "line"]
    assert list(found.stage) == [CODE[word] for word in words]
    assert list(found.minor) == [True, True, *[False] * 4]
    assert list(found.site) == [1, 1, 0, 2, 3, 4]
    assert list(found.calls) == [0, 1, 3, 3, 3, 3]


def chose(site: int, why: str) -> str:
    """A line of the events' file that names the loop."""
    event = {"event": "loop", "site": site, "tid": 9, "why": why, "others": [3]}
    event |= {"sides": [[4, "input"]]}
    return json.dumps({"t_ns": 5, **event}) + "\n"


def test_the_loop_is_the_one_that_was_chosen_last(tmp_path: Path) -> None:
    """A line that was cut off, or of something else, does not count."""
    sites = [json.loads(site_line(number)) for number in range(3)]
    assert reading.chosen_loop(sites, reading.last_choice(tmp_path, 7)) is None
    lines = [chose(0, "a backward pass"), chose(2, "an optimizer's step")]
    others = '{"event": "form", "name": "loop"}\n' + chose(1, "a loss")[:-9]
    spool.events_file(tmp_path, 7).write_text("".join(lines) + others)
    choice = reading.last_choice(tmp_path, 7)
    assert choice is not None
    assert (choice["why"], choice["others"]) == ("an optimizer's step", [3])
    loop = reading.chosen_loop(sites, choice)
    assert loop == ChosenLoop(
        2, 9, "for x in loader", "/w/a/train.py", 24, "an optimizer's step"
    )
    assert loop.rule() == 'a step is one iteration of "for x in loader" (train.py:24)'
    assert reading.chosen_loop(sites[:2], choice) is None
