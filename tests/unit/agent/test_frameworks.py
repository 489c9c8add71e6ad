"""Frameworks that run the loop: what they mark, by stand-ins of the same shape."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from marking import Mark, run_marked

from debottleneck.agent import frameworks
from debottleneck.words import STAGES, STEP

FAKE = """
from types import ModuleType, SimpleNamespace
from debottleneck.agent import frameworks

def module(name, **attributes):
    made = ModuleType(name)
    vars(made).update(attributes)
    frameworks.install(made)
    return made

def work(*args, **kwargs):
    wait(1_000_000)
"""

BOOSTS = """
class Booster:
    update = boost = eval_set = save_model = eval_train = eval_valid = work
"""

SNIPPETS = {
    "xgboost": (
        BOOSTS
        + """
class TrainingCallback:
    def before_iteration(self, model, epoch, log): return False
    def after_iteration(self, model, epoch, log): return False

class Theirs(TrainingCallback):
    def after_iteration(self, model, epoch, log): work()

class CallbackContainer:
    def __init__(self, callbacks): self.callbacks = callbacks
    def before_iteration(self, *args):
        return any([c.before_iteration(*args) for c in self.callbacks])

module("xgboost.core", Booster=Booster, DataIter=object)
module("xgboost.callback", CallbackContainer=CallbackContainer,
       TrainingCallback=TrainingCallback)

class Watch(TrainingCallback):
    def after_iteration(self, model, epoch, log): work()

callbacks, booster = CallbackContainer([Watch(), Theirs()]), Booster()
for epoch in range(2):
    callbacks.before_iteration(booster, epoch, {})
    booster.update(None, epoch)
    booster.eval_set([])
    for each in callbacks.callbacks:
        each.after_iteration(booster, epoch, {})
""",
        ["begin", "+update", "+evaluate", "+log"] * 2,
        "Watch.after_iteration",
    ),
    "lightgbm": (
        BOOSTS
        + """
class CVBooster:
    boosters = [Booster(), Booster()]
    def __getattr__(self, name):
        return lambda *args: [getattr(b, name)(*args) for b in self.boosters]

def train(params, data, rounds, callbacks=None):
    booster = params["booster"]
    for epoch in range(rounds):
        booster.update(data)
        booster.eval_valid()
        for each in callbacks:
            each(epoch)

module("lightgbm.basic", Booster=Booster)
engine = module("lightgbm.engine", train=train, cv=train, CVBooster=CVBooster)

class Saver:
    def __call__(self, epoch): work()

def slow(epoch): work()

slow.order = 10
given = [slow]
engine.train({"booster": Booster()}, None, 2, callbacks=given)
assert given == [slow] and slow.__code__.co_name == "slow"
saver = Saver()
engine.train({"booster": Booster()}, None, 1, callbacks=[saver])
engine.cv({"booster": CVBooster()}, None, 1, callbacks=[saver])
assert saver("marked once") is None
""",
        ["begin", "+update", "+evaluate", "+log"] * 3
        + ["begin", "+update", "+update", "+evaluate", "+evaluate", "+log", "+log"],
        "slow",
    ),
    "scikit-learn": (
        """
class Requests:
    def __init_subclass__(cls, **kwargs):
        cls.kept = kwargs

class BaseEstimator(Requests): pass

class Available:
    def __init__(self, fn): self.fn = fn
    def __get__(self, owner, kind=None): return self.fn.__get__(owner)

module("sklearn.base", BaseEstimator=BaseEstimator)

class Scaler(BaseEstimator, kind="transformer"):
    def partial_fit(self, X): work()
    def fit(self, X): self.partial_fit(X)

class Network(BaseEstimator):
    partial_fit = Available(lambda self, X, y=None: work())

class Deeper(Scaler): pass

assert Scaler.kept == {"kind": "transformer"}
Scaler().partial_fit(1)
work()
Deeper().fit(1)
work()
Network().partial_fit(1, y=2)
""",
        ["+update"] * 3,
        "Scaler.partial_fit",
    ),
    "keras": (
        """
class Model:
    train_function = None
    def make_train_function(self, force=False):
        if self.train_function is None or force:
            self.train_function = lambda data: optimizer.apply(data)
    def fit(self, data, callbacks):
        self.make_train_function()
        for batch in data:
            self.train_function(batch)
            for each in callbacks:
                each.on_train_batch_end(batch)
        self.evaluate(data)
    evaluate = save = save_weights = work

class Callback:
    def on_train_batch_end(self, batch): pass

class Optimizer:
    def apply(self, gradients): work()

class JAXEpochIterator:
    def __iter__(self): return iter(self._get_iterator())
    def _get_iterator(self):
        for batch in range(2):
            work()
            yield batch

optimizer = Optimizer()
module("keras", Model=Model, callbacks=SimpleNamespace(Callback=Callback),
       optimizers=SimpleNamespace(Optimizer=Optimizer),
       utils=SimpleNamespace(PyDataset=type("PyDataset", (), {})))
module("keras.src.backend.jax.trainer", JAXEpochIterator=JAXEpochIterator)

class Note(Callback):
    def on_train_batch_end(self, batch): work()

model = Model()
for _ in range(2):
    model.fit(JAXEpochIterator(), [Note()])
""",
        (["+load", "begin", "+update", "+log"] * 2 + ["+load", "+evaluate"]) * 2,
        "Note.on_train_batch_end",
    ),
    "lightning and transformers": (
        """
class Callback: pass
class Fits: save_checkpoint = work
class Trainer: evaluate = _save_checkpoint = log = work
class _EvaluationLoop: run = work

module("lightning.pytorch", Callback=Callback, Trainer=Fits)
module("lightning.pytorch.loops.evaluation_loop", _EvaluationLoop=_EvaluationLoop)
module("transformers.trainer", Trainer=Trainer)

class Beat(Callback):
    def on_train_batch_start(self, trainer, module, batch, number): work()

Beat().on_train_batch_start(None, None, None, 0)
_EvaluationLoop().run()
work()
Trainer().evaluate()
Trainer()._save_checkpoint()
work()
Fits().save_checkpoint("path")
""",
        ["+log", "+evaluate", "+evaluate", "+checkpoint", "+checkpoint"],
        "Beat.on_train_batch_start",
    ),
}


def entered(marks: list[Mark]) -> list[Mark]:
    """Steps and entries; a joined call has none of its own."""
    return [mark for mark in marks if mark.text[0] in "+b"]


@pytest.mark.parametrize("name", SNIPPETS)
def test_a_framework_marks_its_rounds_and_stages(name: str, tmp_path: Path) -> None:
    """Steps, stages and what the user's own code does between them, by its name."""
    snippet, expected, own = SNIPPETS[name]
    marks = entered(run_marked(tmp_path, FAKE + dedent(snippet)).marks)
    assert [mark.text for mark in marks] == expected
    assert own in {mark.name for mark in marks}


@pytest.mark.parametrize("name", frameworks.MODULES)
def test_another_version_of_it_stays_as_it_is(name: str, tmp_path: Path) -> None:
    """A module without anything that the tables name is imported all the same."""
    snippet = f"""
    before = module({name!r})
    assert not set(vars(before)) - set(vars(ModuleType("plain")))
    """
    assert run_marked(tmp_path, FAKE + dedent(snippet)).marks == []


def test_the_tables_name_stages() -> None:
    """Every stage of them is a word, and every place below a module."""
    functions = [s for of in frameworks.FUNCTIONS.values() for s in of.values()]
    methods = [m for of in frameworks.METHODS.values() for m in of.values()]
    words = {word for stages in functions for word in stages}
    words |= {word for stages in methods for word in stages.values()}
    assert words <= {*STAGES, STEP}
