"""What a script can see of itself and of its interpreter."""

import inspect
import locale
import os
import signal
import sys
import threading
import warnings

seen_at_start = sorted(dir())


def load_batch():
    """A stage whose source must be the one in the file."""
    return 1


module = sys.modules["__main__"]
streams = (sys.stdin, sys.stdout, sys.stderr)
print("dir", seen_at_start)
print("name", __name__, repr(__package__), repr(__doc__), __spec__)
print("file", __file__, globals().get("__cached__"))
print("loader", type(__loader__).__name__, __loader__.name, __loader__.path)
print("globals", module.__dict__ is globals(), type(module).__name__, repr(module))
print("builtins", __builtins__ is sys.modules["builtins"])
print("argv", sys.argv, sys.orig_argv[1:])
print("path", sys.path)
print("cwd", os.getcwd())
print("executable", sys.executable, sys.prefix, sys.flags)
print("streams", [(s.encoding, s.errors, s.line_buffering, s.name) for s in streams])
print("locale", locale.getpreferredencoding(False), sys.getfilesystemencoding())
print("hooks", sys.excepthook is sys.__excepthook__, sys.gettrace(), sys.getprofile())
print("signals", signal.getsignal(signal.SIGINT) is signal.default_int_handler)
print("signals", signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGPIPE))
print("warnings", warnings.filters)
print("interval", sys.getswitchinterval(), sys.getrecursionlimit())
print("threads", [thread.name for thread in threading.enumerate()])
print("source", inspect.getsource(load_batch).splitlines()[0])
print("function", load_batch.__qualname__, load_batch.__module__, load_batch())
print("environment", sorted(os.environ))
print("descriptors", [os.isatty(fd) for fd in (0, 1, 2)])
print("mask", signal.pthread_sigmask(signal.SIG_BLOCK, []), oct(os.umask(0o022)))
print("error line", file=sys.stderr)
