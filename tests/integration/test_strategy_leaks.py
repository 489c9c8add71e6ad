"""A thousand iterations and the interpreter's end: no thread or descriptor stays."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

LEAKS = """
    import gc, itertools, os, threading
    from debottleneck.strategies.prefetch import prefetch

    def state():
        for thread in threading.enumerate():
            if thread.name.startswith("bottleneck-"):
                thread.join()
        descriptors = os.listdir("/proc/self/fd") if os.path.exists("/proc") else []
        return threading.active_count(), len(descriptors), len(os.listdir("/dev/shm"))

    def run(cycle, where):
        endless = map(float, itertools.count())
        found = prefetch(
            [endless, abs][cycle % 2], workers=1 + cycle % 3, depth=2, where=where,
        )
        for index, batch in enumerate(found):
            if index == cycle % 4:
                break
        if cycle % 3 == 0:
            found.close()
        if cycle % 7 == 0:
            kept.append(found)
        if cycle % 21 == 0:
            kept.clear()

    kept = []
    for where, cycles in (("thread", 1000), ("process", PROCESSES)):
        run(1, where)
        before = state()
        for cycle in range(cycles):
            run(cycle, where)
        kept.clear()
        gc.collect()
        assert state() == before, (where, before, state())
    print("clean")
"""

ENDS = {
    "an endless source": """
        import itertools
        loop = iter(prefetch(itertools.count(), depth=4))
        next(loop)
    """,
    "a fetch that never returns": """
        import threading
        loop = iter(prefetch(
            lambda i: threading.Event().wait() if i else i, workers=3))
        next(loop)
    """,
    "a loop in a thread of its own": """
        import itertools, threading
        def run():
            for batch in prefetch(itertools.count()):
                if batch == 1000:
                    break
        threading.Thread(target=run).start()
    """,
    "an exit handler that iterates": """
        import atexit
        kept = prefetch([1, 2, 3], workers=2)
        atexit.register(lambda: print(list(kept) == [1, 2, 3]))
    """,
    "a loop that is left by an exception": """
        import itertools, sys
        def run():
            for batch in prefetch(itertools.count()):
                sys.exit(0)
        run()
    """,
    "a process with a fetch that never returns": """
        import threading
        loop = iter(prefetch(
            lambda i: threading.Event().wait() if i else i, workers=3, where="process"))
        next(loop)
    """,
}

FORK = """
    import itertools, os, warnings
    from debottleneck.errors import StrategyError
    warnings.simplefilter("ignore")
    again, loop = prefetch([4, 5, 6], workers=2), prefetch(itertools.count())
    assert list(again) == [4, 5, 6] and next(loop) == 0
    child = os.fork()
    if not child:
        good = list(again) == [4, 5, 6]
        try:
            next(loop)
        except StrategyError as error:
            good = good and "forked" in str(error)
        os._exit(0 if good else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [next(loop), next(loop)] == [1, 2]
"""


def run(code: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A script in an interpreter of its own; it has a minute."""
    lead = "from debottleneck.strategies.prefetch import prefetch\n"
    command = [sys.executable, "-W", "error", "-c", lead + dedent(code)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.alone  # other programs use /dev/shm as well
def test_a_thousand_cycles_leave_nothing(environment: dict[str, str]) -> None:
    """Closed, broken off, dropped or kept for a while; threads, and processes."""
    done = run(LEAKS.replace("PROCESSES", "40"), environment)
    assert done.stdout == "clean\n", done.stderr


@pytest.mark.parametrize("way", ENDS)
def test_the_interpreter_ends(way: str, environment: dict[str, str]) -> None:
    """Without a word, whatever is still being fetched."""
    done = run(ENDS[way], environment)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert done.stdout in ("", "True\n")


def test_a_fork_in_the_midst(environment: dict[str, str]) -> None:
    """The child begins anew and is told so; the parent goes on."""
    done = run(FORK, environment)
    assert done.returncode == 0, done.stderr
