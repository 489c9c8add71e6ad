"""Loops looked at from every side; each is entered often, so that it is handed over."""

import gc
import inspect
import linecache
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
import weakref

import cloudpickle
from saying import depth, say

SIZE = 40
TOTAL = 0
ALIVE = weakref.WeakSet()


class Big:
    """Something whose end can be seen."""

    def __init__(self, n):
        self.n = n
        ALIVE.add(self)

    def value(self):
        return self.n + 1


class Anew:
    """An iterator that begins anew whenever it is asked for one."""

    def __init__(self, log):
        self.log = log

    def __iter__(self):
        self.log.append("iter")
        self.n = 0
        return self

    def __next__(self):
        self.n += 1
        if self.n > SIZE:
            raise StopIteration
        return self.n


class Bare:
    """Gives an iterator that is not iterable itself."""

    def __iter__(self):
        class Iterator:
            n = 0

            def __next__(self):
                self.n += 1
                if self.n > SIZE:
                    raise StopIteration("end")
                return self.n

        return Iterator()


class Settings:
    """Counts how often its property is read."""

    reads = 0

    @property
    def rate(self):
        self.reads += 1
        return float(self.reads)

    @rate.setter
    def rate(self, value):
        self.last = value


def made(n, log=None):
    try:
        for i in range(n):
            yield Big(i)
    finally:
        if log is not None:
            log.append(("closed", sys._getframe(1).f_code.co_name))


def everything():
    seen = []
    for i in range(SIZE):
        x = Big(i).value()
        seen.append(x)
    else:
        seen.append("else")
    return sorted(locals().items())


def while_else():
    n, seen = 0, []
    while (n := n + 1) < SIZE:
        seen.append(abs(n))
    else:
        seen.append("else")
    return seen, n


def leaving():
    for i in range(SIZE):
        for j in range(SIZE):
            if abs(i * j) > 50:
                break
            if i + j > 60:
                return i, j
        else:
            continue
        if i > 20:
            break
    return i, j, abs(i)


def held():
    """How many items live at once where the loop lets go of its own."""
    most = 0
    for item in made(SIZE):
        most = max(most, len(ALIVE))
        item.value()
        del item
    return most, len(ALIVE)


def let_go():
    """What is iterated over is the iterator's alone."""
    counts = []
    for i in [Big(n) for n in range(3)]:
        counts.append((i.value(), len(ALIVE)))
    return counts, len(ALIVE)


def closed_at_once():
    log = []
    for item in made(SIZE, log):
        if item.value() > 20:
            break
    log.append("after")
    return log


def closed_by_error():
    log = []
    try:
        for item in made(SIZE, log):
            1 / (20 - item.value())
    except ZeroDivisionError as error:
        log.append(
            error.__traceback__.tb_lineno - closed_by_error.__code__.co_firstlineno
        )
    return log


def asked_once():
    log = []
    return sum(abs(n) for n in Anew(log)), sum_of(Anew(log)), log


def sum_of(items):
    total = 0
    for n in items:
        total += abs(n)
    return total


def caller():
    """Who asks for the next item."""
    names = set()

    class Looks:
        n = 0

        def __iter__(self):
            names.add(sys._getframe(1).f_code.co_name)
            return self

        def __next__(self):
            self.n += 1
            names.add(sys._getframe(1).f_code.co_name)
            names.update(f.function for f in inspect.stack()[:3])
            if self.n > 12:
                raise StopIteration
            return self.n

    for n in Looks():
        abs(n)
    return sorted(names)


def stops(where):
    """StopIteration from places where none is meant."""

    class Strange:
        n = 0

        def __iter__(self):
            if where == "iter":
                raise StopIteration("iter")
            return self

        def __next__(self):
            self.n += 1
            if self.n > 20:
                raise (StopIteration if where == "next" else KeyError)(self.n)
            return self.n

    seen = 0
    try:
        for n in Strange():
            seen = abs(n)
            if where == "body" and n > 15:
                raise StopIteration("body")
    except (StopIteration, KeyError) as error:
        return seen, repr(error), places(error)
    return seen


def places(error):
    lines = traceback.format_exception(error)
    return [line.replace(os.path.dirname(__file__), "") for line in lines]


def raised(kind):
    """A traceback with its lines and carets, after many iterations."""
    try:
        for i in 5 if kind == "iter" else range(SIZE):
            if kind == "body" and i > 20:
                x = 1 + (i / (i - i)) + abs(i)
            while kind == "test" and i / (i - 20 if i == 20 else 1) < -1:
                abs(x)
            [a, b] = [i, abs(i)] if kind != "unpack" or i < 20 else [i]
    except (TypeError, ZeroDivisionError, ValueError) as error:
        return places(error)
    return a + b


def warned():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for n in range(12):
            warnings.warn(f"w{abs(n)}", stacklevel=1)
    return [(str(w.message), w.lineno) for w in caught]


def logged():
    lines = set()
    handler = logging.Handler()
    handler.emit = lambda record: lines.add((record.funcName, record.lineno))
    logger = logging.Logger("loop")
    logger.addHandler(handler)
    for n in range(12):
        logger.error("%s", n)
    return lines


def as_global():
    for n in range(SIZE):
        global TOTAL
        TOTAL = TOTAL + abs(n)
    return TOTAL


def as_nonlocal():
    total = 0

    def add():
        for n in range(SIZE):
            nonlocal total
            total += abs(n)

    add()
    add()
    return total


def unbound(ready):
    for i in range(3):
        x = abs(x if ready else i)
    return x


def unbound_error():
    try:
        return unbound(True)
    except UnboundLocalError as error:
        return places(error)


def properties():
    settings = Settings()
    for i in range(SIZE):
        settings.rate *= abs(i)
        settings.rate = settings.rate + abs(i)
    return settings.reads, settings.last


def targets():
    spare = {}
    seen = []
    for (a, *b), spare["x"], [c] in zip(["abc"] * 20, range(20), [[1]] * 20):
        seen.append((a, b, spare["x"], abs(c)))
    return seen[-1], spare


def matched():
    seen = []
    for each in [1, "a", [1, 2], {"k": 3}, None] * 6:
        match each:
            case int(n):
                seen.append(abs(n))
                continue
            case [x, *rest]:
                seen.append((abs(x), rest))
            case {"k": k}:
                seen.append(abs(k))
            case _:
                seen.append(str(each))
        seen.append("after")
    return seen


def finally_continue():
    log = []
    for i in range(20):
        try:
            if i % 3 == 0:
                continue
            log.append(abs(i))
        finally:
            log.append("finally")
            if i == 17:
                break
    return log


def executed():
    space = {}
    for i in range(20):
        exec(f"y = {i} + len('{i}')\nfor k in range(3): y += k", space)
    return space["y"]


class Body:
    """A class body with a loop."""

    total = 0
    for n in range(20):
        total += abs(n)

    def method(self):
        for name in ["total", "n"] * 10:
            self.last = getattr(self, name)
        return self.last


def recursive(n):
    for i in range(1):
        return n and recursive(n - abs(1)) + i


def tree(n):
    total = 0
    for i in range(2):
        total += abs(i)
        if n:
            total += tree(n - 1)
    return total


def in_threads():
    sums = []

    def run(k):
        total = 0
        for i in range(3000):
            total += abs(i) * k
        n = 0
        while n < 3000:
            n += abs(1)
        sums.append((total, n))

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(sums)


def forked():
    """Children that go on with the loop, and one that leaves it."""
    seen = []
    for i in range(20):
        if i in (3, 12):
            child = os.fork()
            if not child:
                total = sum_of(range(i))
                for j in range(100):
                    total += abs(j)
                os._exit(total % 200)
            seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        seen.append(abs(i))
    return seen


def fork_goes_on():
    """The child runs the rest of the loop and of the function."""
    read, write = os.pipe()
    total, child = 0, None
    for i in range(60):
        total += abs(i)
        if i == 30:
            child = os.fork()
    n = 0
    while n < 50:
        n += abs(1)
    if child == 0:
        os.write(write, str((total, n)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(read, 100), total


def workers():
    found = []
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for i in range(4):
            found.append(pool.map(sum_of, [range(i), range(9)]))
    return found


def interrupted():
    """A signal's handler raises in the loop, and the loop is entered again."""

    class Alarm(Exception):
        pass

    def ring(number, frame):
        raise Alarm(frame.f_code.co_name in ("interrupted", "ring"))

    before = signal.signal(signal.SIGALRM, ring)
    caught = 0
    for _ in range(5):
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.003)
            n = 0
            while True:
                n += abs(1)
        except Alarm:
            caught += 1
    signal.signal(signal.SIGALRM, before)
    return caught


def traced():
    """Lines that a trace function sees in this function, each once."""
    seen = []

    def trace(frame, event, _):
        if frame.f_code is traced_loop.__code__ and event == "line":
            seen.append(frame.f_lineno - frame.f_code.co_firstlineno)
        return trace

    sys.settrace(trace)
    traced_loop()
    sys.settrace(None)
    return sorted(set(seen))


def traced_loop():
    total = 0
    for i in range(3):
        total += abs(i)
        if total:
            continue
    return total


def by_value(function):
    blob = cloudpickle.dumps(function)
    return b"debottleneck" in blob, pickle.loads(blob)


def looked_up():
    code = everything.__code__
    return (
        code.co_varnames,
        code.co_names == () or "range" in code.co_names,
        code.co_firstlineno,
        inspect.getsource(everything)
        == "".join(
            inspect.getblock(linecache.getlines(__file__)[code.co_firstlineno - 1 :])
        ),
        inspect.signature(sum_of),
    )


def nothing_left():
    gc.collect()
    return len(ALIVE), len(gc.garbage)


NAMES = []
for NAME in range(SIZE):
    NAMES.append(abs(NAME))
else:
    NAMES.append(sorted(n for n in globals() if "bottleneck" in str(globals()[n]))[:0])

for _ in range(3):  # again, when loops may have fallen silent
    say("locals and else", everything)
    say("while and else", while_else)
    say("break, continue, return", leaving)
    say("items held", held)
    say("iterable held", let_go)
    say("generator is closed at once", closed_at_once)
    say("generator is closed by an error", closed_by_error)
    say("asked for its iterator once", asked_once)
    say("iterator that is no iterable", lambda: sum_of(Bare()))
    say("who asks", caller)
    say("stop in iter", lambda: stops("iter"))
    say("stop in next", lambda: stops("next"))
    say("stop in the body", lambda: stops("body"))
    say("error in next", lambda: stops("error"))
    say("traceback of the body", lambda: raised("body"))
    say("traceback of the iterable", lambda: raised("iter"))
    say("traceback of the condition", lambda: raised("test"))
    say("traceback of the targets", lambda: raised("unpack"))
    say("warnings", warned)
    say("log records", logged)
    say("global in a loop", as_global)
    say("nonlocal in a loop", as_nonlocal)
    say("unbound name", lambda: unbound(False))
    say("error of an unbound name", unbound_error)
    say("properties are read as written", properties)
    say("targets of all kinds", targets)
    say("match", matched)
    say("finally and continue", finally_continue)
    say("exec in a loop", executed)
    say("class body", lambda: (Body.total, Body.n, Body().method()))
    say("tree", lambda: tree(7))
    say("threads in one loop", in_threads)
    say("fork in a loop", forked)
    say("fork that goes on", fork_goes_on)
    say("pool in a loop", workers)
    say("alarm in a loop", interrupted)
    say("traced lines", traced)
    say(
        "loop sent by value",
        lambda: (by_value(sum_of)[1](range(30)), by_value(sum_of)[0]),
    )
    say("code looked at", looked_up)
    say("nothing is left", nothing_left)
    say("module names", lambda: (NAMES, NAME))
say("recursion", lambda: depth(recursive))
