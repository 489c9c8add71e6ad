"""What a script sees of the interpreter, of itself, of processes and threads."""

import argparse
import asyncio
import atexit
import builtins
import concurrent.futures
import contextlib
import contextvars
import doctest
import faulthandler
import gc
import importlib
import inspect
import io
import linecache
import locale
import logging
import multiprocessing
import os
import pickle
import platform
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import unittest
import warnings
import zipfile

from saying import say

HERE = os.path.dirname(__file__)


def load_batch(i):
    """Double.

    >>> load_batch(2)
    4
    """
    return i * 2


def forward(x):
    if x < 0:
        raise ValueError("negative", x)
    return x + 1


def update(lock, seen):
    with lock:
        seen.append(threading.current_thread().name)


def evaluate(n):
    return sum(forward(load_batch(i)) for i in range(n))


class Checkpoint:
    def save_checkpoint(self, path):
        with open(path, "wb") as file:
            pickle.dump(self, file)

    def __eq__(self, other):
        return type(self) is type(other)


class Tests(unittest.TestCase):
    def test_forward(self):
        assert forward(1) == 2

    def test_failing(self):
        assert forward(1) == 3


def unit_tests():
    stream = io.StringIO()
    program = unittest.main(
        argv=["x"], exit=False, testRunner=unittest.TextTestRunner(stream)
    )
    lines = stream.getvalue().splitlines()
    return program.result.testsRun, len(program.result.failures), lines[2:6]


def parser_usage():
    stream = io.StringIO()
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    parser.print_help(stream)
    return stream.getvalue()


def group():
    try:
        raise ExceptionGroup("several", [ValueError(1), KeyError(2)])
    except* ValueError as found:
        words = repr(found)
    except* KeyError:
        words += " and a key"
    return words


def noted():
    try:
        forward(-1)
    except ValueError as error:
        error.add_note("a note")
        return traceback.format_exc()


def printed(function):
    stream = io.StringIO()
    try:
        function()
    except BaseException:
        traceback.print_exc(file=stream)
    return stream.getvalue().replace(HERE, "")


def logged_exception():
    stream = io.StringIO()
    logger = logging.getLogger("e")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        logging.Formatter("%(funcName)s %(lineno)d %(module)s %(message)s")
    )
    logger.addHandler(handler)
    logger.propagate = False
    try:
        forward(-2)
    except ValueError:
        logger.exception("failed")
    return stream.getvalue().replace(HERE, "")


def forked():
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, repr(evaluate(3)).encode())
        os._exit(7)
    _, status = os.waitpid(child, 0)
    return os.read(read, 100), os.waitstatus_to_exitcode(status)


def pool(method):
    context = multiprocessing.get_context(method)
    with context.Pool(1) as workers:
        return workers.map(load_batch, range(4)), workers.apply(evaluate, (3,))


def executor(kind):
    with kind(2) as workers:
        return list(workers.map(forward, range(4)))


def spawned_failure():
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(1, context) as workers:
        try:
            workers.submit(forward, -1).result()
        except ValueError as error:
            return error.args, type(error.__cause__).__name__


def signalled():
    got = []
    before = signal.signal(
        signal.SIGUSR1, lambda number, frame: got.append((number, frame.f_code.co_name))
    )
    signal.raise_signal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)
    return got


def alarmed():
    class Late(Exception):
        pass

    def late(number, frame):
        raise Late

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        while True:
            forward(1)
    except Late as error:
        return [
            f.name
            for f in traceback.extract_tb(error.__traceback__)
            if f.name in ("alarmed", "late")
        ]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def interrupted():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt as error:
        return repr(error)


def threads():
    seen, lock = [], threading.Lock()
    workers = [
        threading.Thread(target=update, args=(lock, seen), name=f"w{i}")
        for i in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sorted(seen), threading.active_count(), threading.current_thread().name


def replaced_open():
    plain, seen = builtins.open, []
    builtins.open = lambda *args, **more: seen.append(args) or plain(*args, **more)
    try:
        return threads()[1], seen
    finally:
        builtins.open = plain


def thread_exit():
    worker = threading.Thread(target=lambda: (forward(1), sys.exit(9)))
    worker.start()
    worker.join()
    return "went on"


def thread_error():
    got = []
    before, threading.excepthook = (
        threading.excepthook,
        lambda a: got.append((a.exc_type.__name__, a.thread.name)),
    )
    worker = threading.Thread(target=forward, args=(-1,), name="bad")
    worker.start()
    worker.join()
    threading.excepthook = before
    return got


def changed_folder():
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        threads()
        got = os.listdir("."), evaluate(3)
        os.chdir(before)
    return got


def deleted_folder():
    before = os.getcwd()
    os.chdir(tempfile.mkdtemp())
    os.rmdir(os.getcwd())
    try:
        threads()
        return evaluate(3), printed(os.getcwd)[-50:]
    finally:
        os.chdir(before)


def run_path():
    return sorted(k for k in runpy.run_path(f"{HERE}/pack/broken.py") if "load" in k)


def run_module():
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runpy.run_module("pack.helper", run_name="__main__")
    return stream.getvalue()


def executed(command):
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        input="",
        check=False,
    )
    return done.returncode, done.stdout, done.stderr.replace(HERE, "")


def zipped():
    folder = tempfile.mkdtemp()
    with zipfile.ZipFile(f"{folder}/mods.zip", "w") as file:
        file.writestr("zipped_module.py", "def load():\n    return __file__[-8:]\n")
    sys.path.append(f"{folder}/mods.zip")
    import zipped_module

    return zipped_module.load(), inspect.getsource(zipped_module.load)


def reloaded():
    import pack.helper as helper

    before = helper.load_data
    return importlib.reload(helper) is helper, helper.load_data is before


def written(path):
    Checkpoint().save_checkpoint(path)
    with open(path, "rb") as file:
        back = pickle.load(file)
    os.remove(path)
    return back == Checkpoint()


def module_warning():
    from pack import helper

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        helper.load_data(1)
    return [
        (os.path.basename(w.filename), w.lineno, w.category.__name__) for w in found
    ]


async def nested_tasks():
    async def fetch(i):
        await asyncio.sleep(0.001 * (3 - i))
        return i

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(fetch(i)) for i in range(3)]
    return [task.result() for task in tasks]


def pep479():
    def load():
        raise StopIteration

    def go():
        yield load()

    return next(go())


def compiled():
    space = {"__name__": "dynamic"}
    exec(compile("def load(x):\n    return x, __name__\n", "<dynamic>", "exec"), space)
    return space["load"](1), space["load"].__code__.co_filename


def context():
    variable = contextvars.ContextVar("v", default=1)

    def load():
        variable.set(2)
        return variable.get()

    return contextvars.copy_context().run(load), variable.get()


def broken_import():
    pass


def main():
    say("arguments", lambda: sys.argv[1:])
    say("argument zero", lambda: os.path.basename(sys.argv[0]))
    say("original arguments", lambda: sys.orig_argv[1:])
    say("own file", lambda: os.path.basename(__file__))
    say("own name", lambda: (__name__, __package__, __spec__, __doc__))
    say("own loader", lambda: type(__loader__).__name__)
    say("own globals", lambda: sorted(k for k in globals() if k.startswith("__")))
    say("main module", lambda: sys.modules["__main__"].__dict__ is globals())
    say("path", lambda: [p == HERE for p in sys.path[:3]])
    say(
        "executable",
        lambda: (
            os.path.samefile(sys.executable, shutil.which("python3") or "")
            or sys.executable
        ),
    )
    say("flags", lambda: sys.flags)
    say("version", lambda: platform.python_version())
    say(
        "hooks",
        lambda: (
            sys.excepthook is sys.__excepthook__,
            sys.displayhook is sys.__displayhook__,
        ),
    )
    say("tracers", lambda: (sys.gettrace(), sys.getprofile()))
    say("switch interval", lambda: sys.getswitchinterval())
    say("recursion limit", lambda: sys.getrecursionlimit())
    say("collector", lambda: (gc.isenabled(), gc.get_threshold(), gc.callbacks))
    say(
        "encodings",
        lambda: (
            sys.stdout.encoding,
            sys.stdin.encoding,
            sys.stdout.errors,
            sys.getfilesystemencoding(),
        ),
    )
    say(
        "streams",
        lambda: (sys.stdout.isatty(), sys.stdout.line_buffering, sys.stdout.fileno()),
    )
    say("locale", lambda: (locale.getlocale(), locale.getpreferredencoding(False)))
    say(
        "environment",
        lambda: sorted(k for k in os.environ if "BOTTLENECK" in k.upper()),
    )
    say("hash seed", lambda: (os.environ.get("PYTHONHASHSEED"), hash("bottleneck")))
    say("warning filters", lambda: [f[0] for f in warnings.filters])
    say("warnings as errors", lambda: warnings.warn("w", RuntimeWarning, stacklevel=1))
    say("assertions", lambda: forward(0) and __debug__)
    say(
        "signals",
        lambda: (
            [signal.getsignal(s).__name__ for s in (signal.SIGINT,)]
            + [
                int(signal.getsignal(s))
                for s in (
                    signal.SIGTERM,
                    signal.SIGUSR1,
                    signal.SIGPIPE,
                    signal.SIGHUP,
                    signal.SIGQUIT,
                )
            ]
        ),
    )
    say("signal mask", lambda: signal.pthread_sigmask(signal.SIG_BLOCK, []))
    say("fault handler", lambda: faulthandler.is_enabled())
    say("limits", lambda: os.nice(0))
    say("umask", lambda: os.umask(os.umask(0)))
    say("working folder", lambda: os.path.basename(os.getcwd()))
    say("threads at the start", lambda: threading.active_count())
    say("input", lambda: sys.stdin.buffer.read(4))
    say("rest of the input", lambda: len(sys.stdin.buffer.read()))
    say("doctest", lambda: doctest.testmod(sys.modules["__main__"]))
    say("unit tests", unit_tests)
    say("parser", parser_usage)
    say("exception group", group)
    say("exception with a note", lambda: noted().replace(HERE, ""))
    say("printed traceback", lambda: printed(lambda: forward(-1)))
    say(
        "traceback of a module",
        lambda: printed(lambda: importlib.import_module("pack.helper").failing()),
    )
    say(
        "traceback of a syntax error",
        lambda: printed(broken_import),
    )
    say(
        "traceback of a missing module",
        lambda: printed(lambda: importlib.import_module("pack.nowhere")),
    )
    say("logged exception", logged_exception)
    say("lines", lambda: linecache.getline(__file__, 3))
    say("latin module", lambda: importlib.import_module("pack.latin").load_text())
    say(
        "module with a byte order mark",
        lambda: importlib.import_module("pack.marked").load_text(),
    )
    say(
        "future annotations",
        lambda: importlib.import_module("pack.helper").load_data.__annotations__,
    )
    say("warning from a module", module_warning)
    say("relative import", lambda: importlib.import_module("pack.helper").name)
    say("reload", reloaded)
    say("zip import", zipped)
    say("run a path", run_path)
    say("run a module", run_module)
    say("compiled at run time", compiled)
    say("context variables", context)
    say("PEP 479", pep479)
    say("fork", forked)
    say("pool by fork", lambda: pool("fork"))
    say("pool by spawn", lambda: pool("spawn"))
    say("thread executor", lambda: executor(concurrent.futures.ThreadPoolExecutor))
    say("error of a process", spawned_failure)
    say(
        "subprocess",
        lambda: executed(["-c", "import sys; print(sys.argv); sys.exit(300)"]),
    )
    say("subprocess of the script", lambda: executed([f"{HERE}/pack/broken.py"]))
    say("signal handler", signalled)
    say("alarm", alarmed)
    say("interrupt", interrupted)
    say("threads", threads)
    say("threads with another open", replaced_open)
    say("exit in a thread", thread_exit)
    say("error in a thread", thread_error)
    say("task group", lambda: asyncio.run(nested_tasks()))
    say("working folder changed", changed_folder)
    say("working folder deleted", deleted_folder)
    say(
        "pickled instance",
        lambda: written(f"{tempfile.gettempdir()}/as-plain-{os.getpid()}"),
    )
    say("monotonic clock", lambda: time.monotonic() > 0)
    say("evaluate", lambda: evaluate(20))
    sys.stdout.write("long output: " + "x" * 200_000 + "\n")
    atexit.register(
        lambda: print(
            "at exit, last:",
            sorted(k for k in ("__file__", "__name__") if k in globals()),
        )
    )
    atexit.register(lambda: print("at exit, first:", evaluate(2)))


if __name__ == "__main__":
    main()
    sys.exit(300)
