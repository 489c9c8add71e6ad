"""What a script can notice is as under plain python, profiled and with strategies.

Scripts in `as_plain` print a line for each behaviour; they run once each way, and
every line is compared. What ends a process has a run of its own.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "bottleneck"
SCRIPTS = Path(__file__).parent / "as_plain"
TOOL = (sys.executable, "-P", "-m", "debottleneck")
PROFILE = (*TOOL, "profile", "--no-stacks", "--no-functions", "--output")
RUN = (*TOOL, "run", "--strategy", "prefetch")
INPUT = "input of the script\n"

GROUPS = ("functions.py", "loops.py", "surroundings.py", "shadow/main.py")
WAYS = ("profile", "run")

HEARS = "python tells how long it collects only what is in `gc.callbacks`"
DIFFERENT = {("profile", "surroundings.py", "collector"): HEARS}
"""What is not as under plain python, and why."""

_SAID = re.compile(r'say\(\s*"([^"]+)"')
_PRINTED = re.compile(r'print\("([a-z, ]+):"')
_MODULES = re.compile(r"for name in \(([^)]*)\)")


def environment() -> dict[str, str]:
    """Ours, with what the scripts look at."""
    kept = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    fixed = {"PYTHONPATH": str(SOURCES), "PYTHONHASHSEED": "5"}
    return {**kept, **fixed, "PYTHONWARNINGS": "default", "PYTHONUTF8": "1"}


def command_of(way: str, folder: Path) -> tuple[str, ...]:
    """What stands before the script."""
    ways = {"plain": (sys.executable,), "run": RUN}
    return ways[way] if way in ways else (*PROFILE, str(folder / "recording"))


@functools.cache
def lines(way: str, script: str, folder: Path) -> dict[str, str]:
    """Behaviour -> what the script says of it."""
    place = folder / way / script
    place.mkdir(parents=True)
    command = [*command_of(way, place), str(SCRIPTS / script), "--epochs", "3"]
    done = subprocess.run(
        command,
        input=INPUT,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=False,
    )
    found = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    return {**found, "exit code": str(done.returncode)}


def behaviours() -> list[tuple[str, str]]:
    """Script and behaviour, as the scripts' sources name them."""
    found = []
    for script in GROUPS:
        source = (SCRIPTS / script).read_text(encoding="utf-8")
        names = [*_SAID.findall(source), *_PRINTED.findall(source), "exit code"]
        for modules in _MODULES.findall(source):
            names += [f"{m} beside the script" for m in re.findall(r"\w+", modules)]
        found += [(script, name) for name in names]
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the recordings."""
    return tmp_path_factory.mktemp("as-plain")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("script", "name"), behaviours())
def test_behaviour(folder: Path, way: str, script: str, name: str) -> None:
    """One behaviour, as the script itself tells it."""
    plain = lines("plain", script, folder)[name]
    ours = lines(way, script, folder).get(name, "not said")
    if (way, script, name) in DIFFERENT:
        assert ours != plain, "no longer different: take it off the list"
    else:
        assert ours == plain


STAGES = "def load_batch(i): return i\ndef forward(x): return x + 1\n"
LOOP = "for i in range(30): forward(load_batch(i))\n"
WHOLE = ("latin", "mark and line ends", "future")
"""Endings that are a script of their own, without stages before."""

ENDINGS = {
    "error": "def update(): raise OSError('gone')\nupdate()",
    "error in a module": "import helping",
    "error with a note": "e = ValueError(1); e.add_note('note'); raise e",
    "error group": "raise ExceptionGroup('g', [ValueError(1), OSError(2)])",
    "error from another": "try: 1 / 0\nexcept Exception as e: raise OSError from e",
    "error in a thread": "import threading\nthreading.Thread(target=forward).start()",
    "error at exit": "import atexit\natexit.register(forward)",
    "error in a finaliser": "class A:\n  def __del__(self): forward()\nA()",
    "syntax error": "def load(:\n",
    "syntax error in a module": "import breaking",
    "nested too deeply": "(" * 300 + ")" * 300,
    "exit while a thread runs": "import threading, time, sys\n"
    "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()\n"
    "sys.exit(4)",
    "terminated": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "aborted": "import os; os.abort()",
    "long sum": "x = 1" + " + 1" * 900 + "\nprint(x)",
    "long chain": "x = 1\nx = x" + ".real" * 900 + "\nprint(x)",
    "latin": "# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))",
    "mark and line ends": "\ufeffdef load(): return '''a\r\nb'''\r\nprint([load()])",
    "future": "from __future__ import annotations\ndef load(x: no): ...\n"
    "print(load.__annotations__)",
    "name of a placeholder": "print('<debottleneck point 1>')",
    "fork": "import os\nif not os.fork(): print('child', flush=True); os._exit(0)\n"
    "os.wait(); print('end')",
    "fork in a stage": "import os\ndef update():\n  child = os.fork()\n"
    "  if child: os.waitpid(child, 0)\n  return child\n"
    "print('parent' if update() else 'child', flush=True)",
    "closed output": "import sys; sys.stdout.close()",
    "profiler to the end": "import sys; sys.setprofile(lambda *a: None); forward(1)",
    "own file at exit": "import atexit\n@atexit.register\ndef last(): print(__file__)",
    "reader gone": "for i in range(100_000): print(i)",
}


def ended(
    way: str, folder: Path, rest: str, given: str = INPUT, **settings: str
) -> tuple[str, str, str]:
    """Output, what is not ours of the errors, and the exit code as a shell shows it.

    Args:
        way: plain, profile or run.
        folder: Where it runs.
        rest: Of the shell's line: the script and what follows.
        given: Standard input.
        settings: Further variables of the environment.
    """
    words = " ".join(command_of(way, folder))
    done = subprocess.run(
        ["bash", "-c", f"{words} {rest}; echo exit $?"],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment(), **settings},
        timeout=120,
        check=False,
    )
    errors = [line for line in done.stderr.splitlines() if "bottleneck" not in line]
    plainly = [re.sub("0x[0-9a-f]+", "", line) for line in errors]
    output, _, code = done.stdout.rpartition("exit ")
    shell = ("bash", "Terminated", "Aborted")
    text = "\n".join(line for line in plainly if not line.startswith(shell))
    return output, text, code


@pytest.mark.parametrize("name", ENDINGS)
def test_ending(tmp_path: Path, name: str) -> None:
    """Output, words on standard error and exit code of what ends a process."""
    source = ENDINGS[name] if name in WHOLE else STAGES + LOOP + ENDINGS[name]
    encoding = "latin-1" if name == "latin" else "utf-8"
    (tmp_path / "script.py").write_bytes(source.encode(encoding))
    (tmp_path / "breaking.py").write_text("def load(:\n")
    (tmp_path / "helping.py").write_text("def load_it(): raise OSError\nload_it()")
    rest = "script.py | head -1" if name == "reader gone" else "script.py"
    assert ended("run", tmp_path, rest) == ended("plain", tmp_path, rest)


SAYS = (
    "import sys\n" + STAGES + LOOP + "print(sys.argv, __file__, __loader__.__class__,"
    " sys.path[0], forward.__code__.co_filename, sys.stdin.read(5))\n"
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", ["-", "/dev/stdin", "<(cat script.py)"])
def test_a_script_from_a_pipe(tmp_path: Path, way: str, target: str) -> None:
    """Standard input and process substitution are read as python reads them."""
    (tmp_path / "script.py").write_text(SAYS)
    plain = ended("plain", tmp_path, f"{target} a b", SAYS)
    assert ended(way, tmp_path, f"{target} a b", SAYS)[::2] == plain[::2]
    assert "'a', 'b'" in plain[0]


OWN_FILE = (
    "import sys\nfile = open('own.txt', 'w')\n" + STAGES + LOOP + "try:\n"
    "  print('error', file=sys.stderr, flush=True)\n"
    "except OSError as error: print(error.errno)\n"
    "print(sys.stderr is None, flush=True)\nfile.write('mine')\nfile.close()\n"
)


@pytest.mark.parametrize("way", WAYS)
def test_closed_standard_error(tmp_path: Path, way: str) -> None:
    """Nothing of ours goes to standard output or into a file of the script's."""
    (tmp_path / "script.py").write_text(OWN_FILE)
    plain = ended("plain", tmp_path, "script.py 2>&-")
    assert ended(way, tmp_path, "script.py 2>&-") == plain
    assert (tmp_path / "own.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["PYTHONOPTIMIZE", "PYTHONINSPECT"])
def test_environment(tmp_path: Path, name: str) -> None:
    """What the environment asks of python, it does."""
    (tmp_path / "script.py").write_text(STAGES + "assert not forward(1), 'are on'\n")
    how = {name: "1", "given": "print(forward(7))\n"}
    plain = ended("plain", tmp_path, "script.py", **how)
    assert ended("run", tmp_path, "script.py", **how)[:2] == plain[:2]


@pytest.mark.torch
def test_what_is_compiled(tmp_path: Path) -> None:
    """`torch.compile` reads functions as written, and those that they call."""
    (tmp_path / "script.py").write_text(
        "import torch\n"
        "def twice(x):\n  for i in range(2): x = x + abs(i)\n  return x\n"
        "def loss(x):\n  n = 0\n  while n < 3:\n    n += abs(1)\n    x = twice(x) * 3\n"
        "  return x\n"
        "def forward(x): return loss(x) + 1\n"
        "first = torch.compile(forward, backend='eager', fullgraph=True)\n"
        "@torch.compile(backend='eager', fullgraph=True)\n"
        "def backward(x): return loss(x)\n"
        "print(first(torch.ones(2)), backward(torch.ones(2)), first.__name__)\n"
    )
    plain = ended("plain", tmp_path, "script.py")
    assert ended("profile", tmp_path, "script.py")[::2] == plain[::2]
