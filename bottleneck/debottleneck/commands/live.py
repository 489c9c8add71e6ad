"""`with profile():` and `%%bottleneck`: a profile of the process that asks for it.

The instruments are conducted by a process of their own, so that they take no GIL here.
"""

from __future__ import annotations

import ast
import linecache
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from debottleneck.agent import live, marks
from debottleneck.agent.helper import Helper
from debottleneck.commands.target import new_folder, say
from debottleneck.errors import BottleneckError, UsageError
from debottleneck.recording import spool

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from debottleneck.report.notebook import Shown

_running: list[Profile] = []


class Profile:
    """A profile of this process; `with` begins and ends it.

    Args:
        output: The recording's folder, None for a new one.
        include: Installed code that counts as the user's.

    Attributes:
        recording: Once it is over; None where nothing was measured.
        folder: Where it lies.
    """

    def __init__(self, output: Path | None = None, include: tuple[str, ...] = ()):
        self._output, self._include = output, include
        self.recording: Shown | None = None
        self.folder = Path()
        self._helper: Helper | None = None

    def __enter__(self) -> Profile:
        if _running:
            raise UsageError(
                "a profile runs in this process already", "leave its `with` block first"
            )
        if marks.recording():
            say("`bottleneck profile` is at work already; profile() leaves it to that")
            return self
        name = "notebook" if _shell() else Path(sys.argv[0]).name or "python"
        self.folder = new_folder(self._output, name).absolute()
        asked = {"target": name, "arguments": [], "include": self._include}
        try:
            self._helper = Helper(self.folder, sys.executable, asked)
            live.start(self.folder / spool.RAW_FOLDER, self._helper.config)
        except BaseException:  # raised again: nothing of ours is left behind
            self._end(kept=False)
            raise
        _running.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self not in _running:
            return
        _running.remove(self)
        try:
            live.stop(self.folder / spool.RAW_FOLDER, _cell_name)
        finally:
            self._end(kept=True)
        if self.recording and (kind is None or kind is KeyboardInterrupt):
            self._show(self.recording)

    def _end(self, *, kept: bool) -> None:
        """Let the helper save what it has; nothing of it stays."""
        if self._helper is not None:
            self._helper.end()
        if not kept:
            live.stop(self.folder / spool.RAW_FOLDER)
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        from debottleneck import load_recording

        try:
            self.recording = load_recording(self.folder)
        except BottleneckError as error:  # the block has run, and what it raised counts
            say(f"nothing was measured: {error}")

    def _show(self, recording: Shown) -> None:
        """The card in a notebook, elsewhere what `bottleneck profile` prints."""
        shell = _shell()
        if shell is not None and hasattr(shell, "kernel"):
            from IPython.display import display

            display(recording)
            return
        from debottleneck.report.text import brief
        from debottleneck.report.text.tables import look, print_apart

        footer = (f"{'More':<11}bottleneck report --full {self.folder}",)
        shape = look(sys.stderr)._asdict()
        analysis = recording.analysis
        if shell is not None:  # `compare` runs scripts
            analysis = replace(analysis, predictions=None)
        text = brief.render(analysis, footer=footer, **shape)
        print_apart(text, sys.stderr)


def add_magic(shell: InteractiveShell) -> None:
    """Add `%%bottleneck` to IPython; loops in blocks of `with profile()` have rows."""

    def bottleneck(line: str, cell: str) -> None:
        """Profile a cell: `%%bottleneck [FOLDER]`."""
        with Profile(Path(line.strip()) if line.strip() else None):
            source = "\n" + shell.transform_cell(cell)  # below the magic's line
            path = shell.compile.cache(source, len(shell.user_ns["In"]) - 1)
            exec(live.compile_cell(source, path), shell.user_ns)

    shell.register_magic_function(bottleneck, "cell")
    shell.ast_transformers.append(_Blocks(shell.user_ns))


def remove_magic(shell: InteractiveShell) -> None:
    """Take both out again."""
    shell.magics_manager.magics["cell"].pop("bottleneck", None)
    kept = [t for t in shell.ast_transformers if not isinstance(t, _Blocks)]
    shell.ast_transformers[:] = kept


class _Blocks:
    """Lets the block of a cell's `with profile()` be compiled when that has begun.

    Args:
        names: The shell's.
    """

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def visit(self, tree: ast.Module) -> ast.Module:
        """As IPython calls it; other statements are as they were."""
        for node in tree.body:
            if not isinstance(node, ast.With) or node.body[0].lineno == node.lineno:
                continue
            if any(self._is_profile(item.context_expr) for item in node.items):
                first = node.body[0]
                code = f"__import__({__name__!r}, fromlist=['block']).block"
                (call,) = ast.parse(f"{code}({first.lineno}, {node.end_lineno})").body
                for part in ast.walk(call):
                    ast.copy_location(part, first)
                node.body = [call]
        return tree

    def _is_profile(self, node: ast.expr) -> bool:
        """Whether it calls ours, and no other function of that name."""
        function = node.func if isinstance(node, ast.Call) else node
        import debottleneck

        if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
            owner = self._names.get(function.value.id)
            return owner is debottleneck and function.attr == "profile"
        name = function.id if isinstance(function, ast.Name) else ""
        return self._names.get(name) is debottleneck.profile


def block(first: int, last: int) -> None:
    """Run lines of the cell that calls it, with their loops marked."""
    frame = sys._getframe(1)
    path = frame.f_code.co_filename
    lines = linecache.getlines(path)[first - 1 : last]
    source = "\n" * (first - 2) + "if 1:\n" + "".join(lines)
    exec(live.compile_cell(source, path), frame.f_globals)


def _cell_name(path: str) -> str:
    """As a traceback calls it, in the folder of its name: "In[3]"."""
    shell = _shell()
    label = shell.compile.format_code_name(path) if shell is not None else None
    return os.path.join(os.path.dirname(path) or "/", label[1]) if label else path


def _shell() -> Any:
    """IPython's, None outside of it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
