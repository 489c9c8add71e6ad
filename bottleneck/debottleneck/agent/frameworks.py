"""Frameworks that run the training loop themselves: a table of hooks after import.

Their functions mark stages and rounds, and so do methods of what is derived from
their classes: callbacks, data sets, estimators. A framework of another shape than
known here stays as it is.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial, reduce, wraps
from types import FunctionType, ModuleType
from typing import Any

from debottleneck.agent import compiled, evidence, marks, sites
from debottleneck.agent.patches import put
from debottleneck.agent.wrap import as_frame_of_ours, wrap
from debottleneck.recording.spool import FRAME_FILE, STEP_START
from debottleneck.words import STEP

KIND = "framework"
"""Kind of these sites; no strategy acts on them."""

CALLBACK = "log"
"""Stage of what a framework calls back for between its batches or rounds."""

_ROUND = dict.fromkeys(("before_iteration", "after_iteration"), CALLBACK)
_FIT = {
    f"on_{what}_{edge}": CALLBACK
    for what in ("train_batch", "batch", "step", "train_epoch", "epoch")
    for edge in ("begin", "start", "end")
}
_LIGHTNING = "lightning.pytorch", "pytorch_lightning"

FUNCTIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "xgboost.core": {
        "Booster.update": ("update",),
        "Booster.boost": ("update",),
        "Booster.eval_set": ("evaluate",),
        "Booster.save_model": ("checkpoint",),
    },
    "xgboost.callback": {"CallbackContainer.before_iteration": (STEP,)},
    "lightgbm.basic": {
        "Booster.update": ("update", STEP),
        "Booster.eval_train": ("evaluate",),
        "Booster.eval_valid": ("evaluate",),
        "Booster.save_model": ("checkpoint",),
    },
    "keras": {
        "optimizers.Optimizer.apply": ("update",),
        "Model.evaluate": ("evaluate",),
        "Model.save": ("checkpoint",),
        "Model.save_weights": ("checkpoint",),
    },
    "optax": {"apply_updates": ("update",)},
    "transformers.trainer_callback": {"CallbackHandler.on_step_begin": (STEP,)},
    "transformers.trainer": {
        "Trainer.evaluate": ("evaluate",),
        "Trainer._save_checkpoint": ("checkpoint",),
        "Trainer.log": ("log",),
    },
    **{
        f"{name}.loops.evaluation_loop": {"_EvaluationLoop.run": ("evaluate",)}
        for name in _LIGHTNING
    },
    **{name: {"Trainer.save_checkpoint": ("checkpoint",)} for name in _LIGHTNING},
}
"""Module -> function of it -> what its calls are, innermost first."""

METHODS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "sklearn.base": {"BaseEstimator": {"partial_fit": "update"}},
    "xgboost.core": {"DataIter": {"next": "load"}},
    "xgboost.callback": {"TrainingCallback": _ROUND},
    "keras": {"callbacks.Callback": _FIT, "utils.PyDataset": {"__getitem__": "load"}},
    "transformers.trainer_callback": {"TrainerCallback": _FIT},
    **{name: {"Callback": _FIT} for name in _LIGHTNING},
}
"""Module -> class of it -> method of the classes derived later -> its stage."""


def _lightgbm(engine: ModuleType) -> None:
    """Callbacks are any callables; folds trained side by side are one round."""
    for name in ("train", "cv"):
        put(engine, name, _calling_back(getattr(engine, name)))
    several: Any = engine.CVBooster
    plain = several.__getattr__

    def update(self: Any, *args: Any, **kwargs: Any) -> Any:
        return plain(self, "update")(*args, **kwargs)

    put(several, "update", _begins(update, STEP, "lightgbm.CVBooster.update"))


def _calling_back(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def train(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("callbacks"):
            kwargs["callbacks"] = [_callback(each) for each in kwargs["callbacks"]]
        return plain(*args, **kwargs)

    return as_frame_of_ours(train)


def _callback(given: Any) -> Any:
    if isinstance(given, FunctionType):
        return _wrap(given, CALLBACK)
    _mark_methods(type(given), {"__call__": CALLBACK})
    return given


def _keras(keras: ModuleType) -> None:
    """What `fit` calls for each batch is made when it begins."""
    model: Any = keras.Model
    plain = model.make_train_function

    @wraps(plain)
    def make_train_function(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = self.train_function
        made = plain(self, *args, **kwargs)
        if callable(self.train_function) and self.train_function is not before:
            name = "keras.Model.train_function"
            self.train_function = _begins(self.train_function, STEP, name)
        return made

    put(model, "make_train_function", as_frame_of_ours(make_train_function))


def _keras_jax(trainer: ModuleType) -> None:
    """Its train function takes the batch from an iterator; PyTorch's has a loader."""
    iterator: Any = trainer.JAXEpochIterator
    plain = iterator._get_iterator
    loads = _wrap(_taken, "load", "keras batches")

    @wraps(plain)
    def _get_iterator(self: Any) -> Iterator[Any]:
        return loads(plain(self))  # type: ignore[no-any-return] # as `_taken`

    put(iterator, "_get_iterator", as_frame_of_ours(_get_iterator))


def _taken(items: Iterable[Any]) -> Iterator[Any]:
    yield from items


_MORE: Mapping[str, Callable[[ModuleType], None]] = {
    "jax": compiled.install,
    "lightgbm.engine": _lightgbm,
    "keras": _keras,
    "keras.src.backend.jax.trainer": _keras_jax,
}
"""Module -> what no table tells."""

MODULES = tuple({**FUNCTIONS, **METHODS, **_MORE})
"""Modules after whose import `install` is to be called."""


def install(module: ModuleType) -> None:
    """Mark what the tables say of a module that has just been imported."""
    name = module.__name__
    todo: list[Callable[[], None]] = [
        partial(_mark, module, qualified, stages)
        for qualified, stages in FUNCTIONS.get(name, {}).items()
    ]
    for qualified, methods in METHODS.get(name, {}).items():
        todo.append(partial(_mark_derived, module, qualified, methods))
    if name in _MORE:
        todo.append(partial(_MORE[name], module))
    for each in todo:
        with suppress(AttributeError, TypeError):  # another version: as it is
            each()


def _mark(module: ModuleType, qualified: str, stages: Iterable[str]) -> None:
    *owners, name = qualified.split(".")
    place: Any = reduce(getattr, owners, module)
    function = getattr(place, name)
    label = f"{module.__name__.partition('.')[0]}.{qualified}"
    for stage in stages:
        function = (_begins if stage == STEP else _wrap)(function, stage, label)
    put(place, name, function)


_local = threading.local()


def _begins(function: Callable[..., Any], stage: str, name: str) -> Any:
    """A function each call of which begins a step, but for calls within one."""
    site = sites.site_of(stage, name, "", 0, KIND)

    @wraps(function)
    def begin(*args: Any, **kwargs: Any) -> Any:
        if getattr(_local, "inside", False):
            return function(*args, **kwargs)
        marks.attend()
        if marks.mark_row(site << 2 | STEP_START):
            evidence.begun_elsewhere(site)
        _local.inside = True
        try:
            return function(*args, **kwargs)
        finally:
            _local.inside = False

    return as_frame_of_ours(begin)


def _wrap(function: Callable[..., Any], stage: str, name: str = "") -> Any:
    """`wrap`, with the place of what other decorators are around."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    file, line = getattr(code, "co_filename", ""), getattr(code, "co_firstlineno", 0)
    return wrap(function, stage, kind=KIND, name=name, file=file, line=line)


def _mark_derived(
    module: ModuleType, qualified: str, methods: Mapping[str, str]
) -> None:
    """Mark methods of the classes that are derived from now on."""
    base: Any = reduce(getattr, qualified.split("."), module)
    own = vars(base).get("__init_subclass__")

    def __init_subclass__(cls: type, **kwargs: Any) -> None:
        if own is None:
            super(base, cls).__init_subclass__(**kwargs)
        else:
            own.__get__(None, cls)(**kwargs)
        _mark_methods(cls, methods)

    derive = classmethod(as_frame_of_ours(__init_subclass__))
    put(base, "__init_subclass__", derive)


def _mark_methods(cls: type, methods: Mapping[str, str]) -> None:
    """Mark those that the class itself defines, once."""
    for name, stage in methods.items():
        method: Any = vars(cls).get(name)
        if isinstance(method, FunctionType):
            if method.__code__.co_filename != FRAME_FILE:
                put(cls, name, _wrap(method, stage))
        elif isinstance(getattr(method, "fn", None), FunctionType):
            put(method, "fn", _wrap(method.fn, stage))  # sklearn's available_if
