"""What a launcher's ranks are started with."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from debottleneck.agent import launching

LEAD = ("tool", "profile", "--output", "run")
ENV = {"RANK": "0"}


def test_a_script_becomes_a_profile_of_it() -> None:
    """With its interpreter; unbuffered by the environment."""
    command, env = launching.as_rank(["/bin/python3", "-u", "x.py", "-v"], ENV, LEAD)
    assert command == [*LEAD, "--python", "/bin/python3", "x.py", "-v"]
    assert env == {"RANK": "0", "PYTHONUNBUFFERED": "1"}


def test_a_module_does_too() -> None:
    """`-m` stands before the module for both."""
    command, _ = launching.as_rank(["python", "-m", "pkg", "3"], ENV, LEAD)
    assert command == [*LEAD, "--python", "python", "-m", "pkg", "3"]


@pytest.mark.parametrize(
    "command",
    [["bottleneck", "profile", "x.py"], ["python", "-c", "1"], ["python", "-O", "x"]],
)
def test_what_is_no_plain_script_stays(command: list[str]) -> None:
    """Another program, code on the command line, options of the interpreter."""
    assert launching.as_rank(command, ENV, LEAD) == (command, ENV)


def test_what_is_spawned_is_loaded_by_its_path() -> None:
    """A process that has nothing of ours can read it."""
    pickled = pickle.dumps(launching.Spawned({"folder": "f"}, print))
    code = (
        "import sys, types, pickle\n"
        "module = types.ModuleType('torch.multiprocessing.spawn')\n"
        "module._wrap = print\n"
        "sys.modules |= {name: module for name in "
        "('torch', 'torch.multiprocessing', module.__name__)}\n"
        "assert 'debottleneck' not in sys.modules\n"
        f"print(type(pickle.loads({pickled!r})).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True
    )
    assert done.stdout == "Spawned\n", done.stderr
