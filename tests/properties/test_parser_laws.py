"""Every parser of text from outside survives junk, with our error only."""

from __future__ import annotations

import json
import struct

from hypothesis import assume, example, given
from hypothesis import strategies as st

from debottleneck.collect import waits
from debottleneck.collect.options import StageTarget
from debottleneck.collect.waits import SystemCall
from debottleneck.errors import UsageError
from debottleneck.recording import pyspy
from debottleneck.words import CAUSES

LINES = st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=8)
WORDS = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8"), max_size=10),
        st.integers(-9, 10**20).map(str),
        st.integers(0, 2**64).map(hex),
        st.sampled_from(["tfd:", "running", "0100007F:1F90", ":", "²", "pipe:[1]"]),
    ),
    max_size=12,
).map(" ".join)
TEXT = st.one_of(st.lists(WORDS, max_size=6).map("\n".join), LINES.map("\n".join))
JUNK = st.one_of(st.binary(max_size=200), TEXT.map(str.encode))


@given(JUNK)
def test_any_bytes_of_a_syscall_file(text: bytes) -> None:
    """A call, nothing, or a ProcFormatError."""
    try:
        found = waits.parse_syscall(text)
    except waits.ProcFormatError:
        return
    assert found is None or isinstance(found, SystemCall)


@given(st.integers(0, 500), st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_a_call_comes_back(number: int, arguments: list[int]) -> None:
    """What the kernel prints is read back as it was."""
    text = " ".join([str(number), *map(hex, arguments)]).encode() + b"\n"
    assert waits.parse_syscall(text) == SystemCall(number, tuple(arguments))


@given(JUNK)
def test_any_bytes_of_schedstat(text: bytes) -> None:
    """Three numbers, or a ProcFormatError."""
    try:
        assert len(waits.parse_schedstat(text)) == 3
    except waits.ProcFormatError:
        return


@given(TEXT, st.sampled_from(["tcp", "tcp6", "udp", "udp6", "unix"]))
def test_any_text_of_a_socket_table(text: str, kind: str) -> None:
    """Lines that do not fit are left out; the rest has a cause."""
    for cause, what in waits.parse_sockets("header\n" + text, kind).values():
        assert cause == ("ipc" if kind == "unix" else "network")
        assert isinstance(what, str)


@given(st.binary(max_size=100), st.integers(-5, 2000))
def test_any_memory_of_descriptors(memory: bytes, count: int) -> None:
    """Descriptors are never negative, nor beyond the count."""
    assert all(fd >= 0 for fd in waits.parse_polled(memory))
    assert all(0 <= fd < count for fd in waits.parse_fd_set(memory, count))


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=20), st.binary(max_size=7))
def test_polled_descriptors_come_back(numbers: list[int], rest: bytes) -> None:
    """Every whole entry that is not negative, in order."""
    memory = b"".join(struct.pack("<ihh", n, 1, 0) for n in numbers) + rest
    assert waits.parse_polled(memory) == [n for n in numbers if n >= 0]


@given(TEXT)
@example("tfd: ²")
def test_any_text_of_an_epoll(text: str) -> None:
    """Only numbers come out."""
    assert all(fd >= 0 for fd in waits.parse_epoll(text))


@given(st.text(), st.booleans())
def test_any_link(link: str, fifo: bool) -> None:
    """Every link leads to a cause of the list."""
    cause, what = waits.cause_of_link(link, fifo)
    assert cause in CAUSES
    assert isinstance(what, str)


@given(st.lists(st.tuples(st.sampled_from(CAUSES), st.text()), max_size=5))
def test_the_strongest_is_one_of_them(causes: list[tuple[str, str]]) -> None:
    """No cause is made up, but for a wait on nothing at all."""
    assert waits.strongest(causes) in (causes or [("sleep", "timeout")])


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from(["B", "E", "0", ""]),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["name", "ph", "ts", "pid", "tid", "args", "line"]),
            inner,
            max_size=7,
        ),
    ),
    max_leaves=12,
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.one_of(st.text(max_size=5), st.just('process 3:"a"')),
            "ph": st.sampled_from(["B", "E"]),
            "ts": st.integers(0, 10**9),
            "pid": st.integers(0, 3),
            "tid": st.integers(0, 3),
            "args": st.fixed_dictionaries(
                {"filename": st.text(max_size=5), "line": st.integers(0, 99)}
            ),
        }
    ),
    max_size=20,
)


@given(st.one_of(st.text(max_size=80), VALUES.map(json.dumps)))
@example('[{"args": {"filename": "", "line": Infinity}, "name": "f"}]')
def test_any_text_in_place_of_a_trace(text: str) -> None:
    """Samples, or a PySpyFormatError."""
    try:
        found = pyspy.parse_chrometrace(text, 0)
    except pyspy.PySpyFormatError:
        return
    assert all(isinstance(sample, pyspy.Sample) for sample in found)


@given(EVENTS, st.integers(0, 10**15))
def test_samples_of_a_trace_follow_each_other(
    events: list[dict[str, object]], origin: int
) -> None:
    """In order of time, a thread's samples have a length and never overlap."""
    events.sort(key=lambda event: event["ts"])
    found = pyspy.parse_chrometrace(json.dumps(events), origin)
    last: dict[tuple[int, int], int] = {}
    for sample in found:
        key = (sample.pid, sample.thread)
        assert origin <= sample.start_ns < sample.end_ns
        assert sample.start_ns >= last.get(key, 0)
        assert sample.frames
        last[key] = sample.end_ns


PARTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(
        ["thread (5): x", "thread (0x1F)", "thread (007)", 'process 3:"a', "thread ()"]
    ),
    st.integers(0, 99).map(lambda line: f"work (/a b/ü.py:{line})"),
)


@given(st.lists(st.tuples(st.lists(PARTS, max_size=6), st.text(max_size=3))))
@example([(["thread (5): x", "f (a.py:1)"], "²"), (["thread (007)"], "1")])
def test_any_lines_of_a_raw_file(lines: list[tuple[list[str], str]]) -> None:
    """Lines that do not fit are left out; the rest has a stack and a count."""
    texts = [f"{';'.join(parts)} {count}" for parts, count in lines]
    for sample, count in pyspy.parse_raw(texts, 1):
        assert sample.frames
        assert count >= 0


@given(st.text(), st.text(), st.text())
def test_any_stage_option(stage: str, module: str, qualified: str) -> None:
    """`--stage` is understood, or refused with our error."""
    try:
        found = StageTarget.parse(f"{stage}={module}:{qualified}")
    except UsageError:
        return
    assume(":" not in module)
    assert (found.stage, found.module, found.qualified) == (stage, module, qualified)
