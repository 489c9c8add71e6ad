"""Every table of a recording: its columns, what they mean, and their types."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd


def columns(*groups: str) -> dict[str, str]:
    """Column -> type, from groups of a type and the names of its columns, in order."""
    words = (group.split() for group in groups)
    return {name: kind for kind, *names in words for name in names}


def without_rows(kinds: Mapping[str, str]) -> pd.DataFrame:
    """An empty table of these columns, typed."""
    return pd.DataFrame(columns=[*kinds]).astype(dict(kinds))


COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # One line of code (or a torch method) that marks a stage, a step, or itself.
        # `stage` is a word of words.STAGES, "step" or "line"; `kind` is function,
        # generator, coroutine, iterator, torch, api or option, or a kind of `spool`
        # for the user's own loops (`name` is their header), statements (their source)
        # and opened functions. `end` is a statement's last line, `within` the site of
        # the loop or opened function that it is of (-1: none), `side` of words.SIDES.
        "sites": columns(
            "int64 pid site",
            "str stage name file",
            "int64 line",
            "str kind",
            "int64 end within",
            "str side",
        ),
        # The loop that each process trains in, on which thread (rank 0), chosen
        # because it holds what `why` says; and the others it might have been.
        "loops": columns("int64 pid site tid rank", "str why"),
        # Every thread that was seen. `python` is false for threads made by
        # libraries (BLAS, OpenMP, autograd), whose `name` is the kernel's.
        "threads": columns("int64 pid tid ident", "str name", "bool python"),
        # `edge` is 0 on entering a site, 1 on leaving it, 2 and 3 where a step
        # begins and ends (`spool.ENTER` and so on).
        # `cpu_ns` is the thread's CPU clock; `calls` is on leaving the number of
        # consecutive tiny calls that this pair stands for, and of a loop's marks the
        # iterations completed since the one before.
        "marks": columns("int64 pid tid t_ns cpu_ns site", "int8 edge", "int32 calls"),
        # A thread's state at `end_ns`, standing for the time since `start_ns`;
        # `state` is a word of STATES; `holder` is the tid that held the GIL then
        # (0: nobody, -1: unknown); on-CPU and run-queue time passed in between, and
        # the thread was given a core so many times.
        "waits": columns(
            "int64 pid tid start_ns end_ns",
            "int8 state",
            "int32 detail",
            "int64 holder oncpu_ns delay_ns",
            "int32 slices",
        ),
        # Every garbage collection: when, on which thread; `cpu_ns` of it on a core,
        # `collected` objects freed, `tracked` of the oldest generation's (0: unknown).
        "collections": columns(
            "int64 pid tid start_ns end_ns cpu_ns tracked", "int32 generation collected"
        ),
        # The kernel's counters of a thread, by how much they grew until `t_ns` since
        # its row before (none where they did not): CPU time in the kernel (in steps of
        # 10 ms), time that the CPU quota stopped it, page faults without and with disk.
        # Of tid 0 `minor` are the machine's faults that brought a huge page.
        "counters": columns(
            "int64 pid tid t_ns system_ns throttled_ns", "int32 minor major"
        ),
        # What a wait was on: system call, and file path or socket peer ("").
        "details": columns("int32 detail", "str syscall what"),
        # The thread that held the lock of such a wait, and the code it was at.
        "holders": columns(
            "int32 detail", "int64 tid", "str function file", "int64 line"
        ),
        # CPython's own count of GIL hand-overs so far.
        "handovers": columns("int64 pid t_ns switches"),
        # The GIL read some times in a row, within `span_ns` from `t_ns` on: held in
        # `held` of spool.BURST_READS readings, given up `releases` times meanwhile.
        "bursts": columns("int64 pid t_ns span_ns", "int32 held releases"),
        # When an instrument was at work that has blocks of steps of its own: stacks,
        # gil, functions-wall, functions-cpu or delays, or loops, where the agent
        # learned what the script does; all other time is quiet.
        "blocks": columns("str kind", "int64 start_ns end_ns"),
        # py-spy: `stack` of a thread from `start_ns` to `end_ns`, `weight_ns` of
        # them; for the block "gil" times are the whole block's, weight is exact.
        "stacks": columns(
            "str block", "int64 pid tid start_ns end_ns weight_ns", "int32 stack"
        ),
        # Frames of each stack; depth 0 is the outermost.
        "frames": columns("int32 stack depth", "str function file", "int64 line"),
        # yappi: sums over the windows of one clock ("wall" or "cpu").
        "functions": columns(
            "str clock",
            "int64 tid",
            "str thread function file",
            "int64 line calls self_ns total_ns",
        ),
        # Lines of the user's own files near every place that the other tables name;
        # `file` is written as they write it, `text` has no line end.
        "sources": columns("str file", "int64 line", "str text"),
    }
)
"""Every table with its columns and their types; `frames` of analysis builds on it."""
