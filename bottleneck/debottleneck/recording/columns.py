"""Every table of a recording: its columns, what they mean, and their types."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

COLUMNS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        # One line of code (or a torch method) that marks a stage, a step, or itself.
        # `stage` is a word of words.STAGES, "step" or "line"; `kind` is function,
        # generator, coroutine, iterator, torch, api or option, or a kind of `spool`
        # for the user's own loops (`name` is their header), statements (their source)
        # and opened functions. `end` is a statement's last line, `within` the site of
        # the loop or opened function that it is of (-1: none), `side` of words.SIDES.
        "sites": {
            "pid": "int64",
            "site": "int64",
            "stage": "str",
            "name": "str",
            "file": "str",
            "line": "int64",
            "kind": "str",
            "end": "int64",
            "within": "int64",
            "side": "str",
        },
        # The loop that each process trains in, on which thread (rank 0), chosen
        # because it holds what `why` says; and the others it might have been.
        "loops": {
            "pid": "int64",
            "site": "int64",
            "tid": "int64",
            "rank": "int64",
            "why": "str",
        },
        # Every thread that was seen. `python` is false for threads made by
        # libraries (BLAS, OpenMP, autograd), whose `name` is the kernel's.
        "threads": {
            "pid": "int64",
            "tid": "int64",
            "ident": "int64",
            "name": "str",
            "python": "bool",
        },
        # `edge` is 0 on entering a site, 1 on leaving it, 2 and 3 where a step
        # begins and ends (`spool.ENTER` and so on).
        # `cpu_ns` is the thread's CPU clock; `calls` is on leaving the number of
        # consecutive tiny calls that this pair stands for, and of a loop's marks the
        # iterations completed since the one before.
        "marks": {
            "pid": "int64",
            "tid": "int64",
            "t_ns": "int64",
            "cpu_ns": "int64",
            "site": "int64",
            "edge": "int8",
            "calls": "int32",
        },
        # A thread's state at `end_ns`, standing for the time since `start_ns`;
        # `state` is a word of STATES; `holder` is the tid that held the GIL then
        # (0: nobody, -1: unknown); on-CPU and run-queue time passed in between, and
        # the thread was given a core so many times.
        "waits": {
            "pid": "int64",
            "tid": "int64",
            "start_ns": "int64",
            "end_ns": "int64",
            "state": "int8",
            "detail": "int32",
            "holder": "int64",
            "oncpu_ns": "int64",
            "delay_ns": "int64",
            "slices": "int32",
        },
        # Every garbage collection: when, on which thread; `cpu_ns` of it on a core,
        # `collected` objects freed, `tracked` of the oldest generation's (0: unknown).
        "collections": {
            "pid": "int64",
            "tid": "int64",
            "start_ns": "int64",
            "end_ns": "int64",
            "cpu_ns": "int64",
            "tracked": "int64",
            "generation": "int32",
            "collected": "int32",
        },
        # The kernel's counters of a thread, by how much they grew until `t_ns` since
        # its row before (none where they did not): CPU time in the kernel (in steps of
        # 10 ms), time that the CPU quota stopped it, page faults without and with disk.
        # Of tid 0 `minor` are the machine's faults that brought a huge page.
        "counters": {
            "pid": "int64",
            "tid": "int64",
            "t_ns": "int64",
            "system_ns": "int64",
            "throttled_ns": "int64",
            "minor": "int32",
            "major": "int32",
        },
        # What a wait was on: system call, and file path or socket peer ("").
        "details": {"detail": "int32", "syscall": "str", "what": "str"},
        # The thread that held the lock of such a wait, and the code it was at.
        "holders": {
            "detail": "int32",
            "tid": "int64",
            "function": "str",
            "file": "str",
            "line": "int64",
        },
        # CPython's own count of GIL hand-overs so far.
        "handovers": {"pid": "int64", "t_ns": "int64", "switches": "int64"},
        # The GIL read some times in a row, within `span_ns` from `t_ns` on: held in
        # `held` of spool.BURST_READS readings, given up `releases` times meanwhile.
        "bursts": {
            "pid": "int64",
            "t_ns": "int64",
            "span_ns": "int64",
            "held": "int32",
            "releases": "int32",
        },
        # When an instrument was at work that has blocks of steps of its own: stacks,
        # gil, functions-wall, functions-cpu or delays, or loops, where the agent
        # learned what the script does; all other time is quiet.
        "blocks": {"kind": "str", "start_ns": "int64", "end_ns": "int64"},
        # py-spy: `stack` of a thread from `start_ns` to `end_ns`, `weight_ns` of
        # them; for the block "gil" times are the whole block's, weight is exact.
        "stacks": {
            "block": "str",
            "pid": "int64",
            "tid": "int64",
            "start_ns": "int64",
            "end_ns": "int64",
            "weight_ns": "int64",
            "stack": "int32",
        },
        # Frames of each stack; depth 0 is the outermost.
        "frames": {
            "stack": "int32",
            "depth": "int32",
            "function": "str",
            "file": "str",
            "line": "int64",
        },
        # yappi: sums over the windows of one clock ("wall" or "cpu").
        "functions": {
            "clock": "str",
            "tid": "int64",
            "thread": "str",
            "function": "str",
            "file": "str",
            "line": "int64",
            "calls": "int64",
            "self_ns": "int64",
            "total_ns": "int64",
        },
        # Lines of the user's own files near every place that the other tables name;
        # `file` is written as they write it, `text` has no line end.
        "sources": {"file": "str", "line": "int64", "text": "str"},
    }
)
"""Every table with its columns and their types; `frames` of analysis builds on it."""
