"""The lines of code that keep the winner, with the user's own names in them."""

from __future__ import annotations

import ast
from pathlib import Path

import made_runs
import pandas as pd
import pytest
from made_trials import script

from debottleneck.collect.options import StageTarget
from debottleneck.recording.recording import Recording
from debottleneck.strategies.spec import parse
from debottleneck.trials import keep
from debottleneck.trials.trial import Target

SOURCE = """\
class Loader:
    @staticmethod
    def read(path): ...
    def load_batch(self, index, *, flip=False): ...
    def batches(self):
        yield 1

def load_rows(rows, labels, i, delay): ...

def fetch(where): ...

class Layer:
    def forward(self, x): ...
"""


def sites(path: Path, *rows: tuple[str, str, int, str]) -> pd.DataFrame:
    """Sites of (stage, name, line, kind)."""
    made = [
        (1, number, stage, name, str(path), line, kind)
        for number, (stage, name, line, kind) in enumerate(rows)
    ]
    return made_runs.table("sites", made)


LINES = """\
prefetch:workers=4,depth=8 / load load_rows 8 function /
 for batch in prefetch(lambda i: load_rows(rows, labels, i, delay), workers=4, depth=8,
 count=STEPS):
prefetch:where=process / load Loader.load_batch 4 function /
 for batch in prefetch(lambda i: loader.load_batch(i), where="process", count=STEPS):
prefetch:workers=2 / load Loader.read 2 function /
 for batch in prefetch(lambda i: loader.read(i), workers=2, count=STEPS):
prefetch / load Loader.batches 5 generator /
 for batch in prefetch(loader.batches()):
prefetch:workers=2 / load torch.utils.data.DataLoader.__next__ 0 torch /
 for batch in prefetch(loader, workers=2):
parallel-forward:workers=5 / forward Layer.forward 13 function /
 outputs = parallel_forward([layer.forward for layer in layers], x, workers=5)
parallel-forward / forward torch.nn.Module.__call__ 0 torch /
 outputs = parallel_forward(branches, inputs)
parallel-forward / forward forward 0 function /
 outputs = parallel_forward([partial(forward, layer) for layer in layers], inputs)
parallel-update:workers=2 / update Parameter.update 0 function /
 parallel_update(lambda parameter, gradient: parameter.update(gradient), parameters,
 gradients, workers=2)
parallel-update / update torch.optim.Adam.step 0 torch /
 optimizer = torch.optim.Adam(..., fused=True)  # else foreach=True
parallel-update / update update 0 function /
 parallel_update(update, parameters, gradients)
"""
"""Specification / stage, name, line and kind of the function / what keeps it."""


@pytest.mark.parametrize("case", LINES.replace("\n ", " ").splitlines())
def test_the_line(tmp_path: Path, case: str) -> None:
    """It has the winner's settings and the user's names, and it is Python."""
    spec, site, line = case.split(" / ")
    stage, name, number, kind = site.split()
    place = script(tmp_path / "train.py", SOURCE)
    code = keep.lines(parse(spec), sites(place, (stage, name, int(number), kind)))
    assert code[-1] == line
    assert code[0].startswith(("from debottleneck", "optimizer ="))
    whole = [*code[:-1], f"{line} pass" if line.endswith(":") else line]
    ast.parse("\n".join(whole))


def test_a_combination_keeps_both(tmp_path: Path) -> None:
    """The lines of each, imports once."""
    place = script(tmp_path / "train.py", SOURCE)
    rows = ("load", "fetch", 10, "function"), ("update", "Layer.update", 0, "function")
    code = keep.lines(parse("prefetch+parallel-update"), sites(place, *rows))
    assert len(code) == 4
    assert "for batch in prefetch(lambda i: fetch(i), count=STEPS):" in code


def test_functions_that_were_never_called_are_not_named(tmp_path: Path) -> None:
    """An imported model's forward is not the one the loop spends its time in."""
    rows = [("forward", "Unused.forward", 1, "function")] * 2
    rows = [*rows, ("forward", "Layer.forward", 13, "function")]
    marks = made_runs.table("marks", [(1, 7, t, t, 2, 1, 1) for t in range(4)])
    facts = made_runs.EMPTY.facts
    tables = {"sites": sites(tmp_path / "train.py", *rows), "marks": marks}
    found = keep.called(Recording.of(facts, tables))
    assert found["name"].tolist() == ["Layer.forward"]


def test_lines_that_a_strategy_knows_itself() -> None:
    """What it did is kept; a comment is added below what strategies usually do."""
    sites = made_runs.EMPTY.sites
    own = ("from here", "it was done like this")
    assert keep.lines(parse("prefetch"), sites, {"prefetch": own}) == own
    comment = ("# a connection for each thread",)
    code = keep.lines(parse("prefetch"), sites, {"prefetch": comment})
    assert (code[0], code[-1]) == ("from debottleneck import prefetch", *comment)


@pytest.mark.parametrize("spec", ["prefetch", "parallel-forward", "parallel-update"])
def test_without_a_site_or_a_file(tmp_path: Path, spec: str) -> None:
    """A stage that was never named still gives a line to start from."""
    gone = sites(tmp_path / "gone.py", ("load", "load", 3, "function"))
    for table in (gone, made_runs.EMPTY.sites):
        assert keep.lines(parse(spec), table)[0].startswith("from debottleneck")


def test_the_command() -> None:
    """It runs the script as it is, quoted for a shell."""
    target = Target(
        target="my train.py",
        arguments=("--lr", "0.1"),
        module=False,
        python="python",
        stages=(StageTarget("load", "data", "Reader.rows"),),
    )
    assert keep.command(target, parse("prefetch:workers=4")) == (
        "bottleneck run --strategy prefetch:workers=4 --stage load=data:Reader.rows "
        "'my train.py' --lr 0.1"
    )
