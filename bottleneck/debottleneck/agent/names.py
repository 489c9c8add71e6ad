"""Which names mark which stage; silence where a name may mean something else.

Names are compared without leading underscores, `camelCase` as `snake_case`. A method is
judged with its class: the `step` of an `Adam` updates parameters, the `step` of an
environment does not.
"""

from __future__ import annotations

import re

from debottleneck.words import STEP

_THINGS = (
    r"(image|img|sample|example|item|record|file|chunk|shard|page|row|text|audio)s?"
)
_VERBS = (
    r"(load|get|fetch|read|next|sample|make|build|draw|iter|iterate|generate|gen|"
    r"create|prepare|collate|produce)"
)

PATTERNS: tuple[tuple[str, str], ...] = (
    ("load", rf"{_VERBS}_(mini)?_?batch(es)?"),
    ("load", rf"(load|fetch|read|decode)_({_THINGS}|next|data|jpeg|png)"),
    ("load", r"(mini_?)?batches|(mini)?batch_(iterator|iter|generator|gen|loader)"),
    ("load", r"data_(iterator|iter|generator|gen|loader|stream)"),
    ("load", r"train(ing)?_(iterator|generator|loader|stream)"),
    ("load", r"load|fetch|collate(_fn)?|(get|next)_(data|sample|example)"),
    ("augment", r"augment(_\w+)?|augmentation|preprocess(_\w+)?"),
    ("augment", r"transform(_(batch|image|sample)s?)?|tokeni[sz]e(_\w+)?"),
    ("augment", r"random_(crop|flip|rotation|rotate|erase|jitter)|encode_batch"),
    ("transfer", r"(move_|copy_|batch_)?to_(device|gpu|cuda)|transfer(_batch)?"),
    ("forward", r"forward(_(pass|prop|propagation|step))?|feed_?forward"),
    ("loss", r"loss(_(fn|fun|function|func))?|criterion|(compute|calc|calculate)_loss"),
    ("loss", r"(softmax_|binary_)?cross_entropy(_loss)?|(mse|nll|mae|l1|l2|bce)_loss"),
    ("backward", r"backward(_(pass|prop|propagation|step))?|back_?prop(agat(e|ion))?"),
    ("backward", r"(compute|calc|calculate|get)_(grad|gradient)s?"),
    ("update", r"(update|apply)_(param(eter)?|weight|grad(ient)?|update)s?"),
    ("update", r"optimi[sz]er_step|update(_(step|model))?"),
    ("update", r"(sgd|adam|adamw|momentum|rmsprop|gradient_descent)(_(step|update))?"),
    (STEP, r"train(ing)?_(step|batch|iteration|iter|one_batch|on_batch)"),
    ("evaluate", r"evaluate(_\w+)?|evaluation|validate(_(model|epoch))?|validation"),
    ("evaluate", r"(run_)?(eval|validation)(_(model|epoch|loop|step))|run_validation"),
    ("checkpoint", r"(save|write)_(checkpoint|model|weights|state|snapshot)"),
    ("checkpoint", r"checkpoint"),
    ("log", r"log_(metrics|step|progress|training|scalars?|losses)|write_summary"),
)
"""(stage, pattern of the whole name), first match wins; README lists them."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
"""Where a word of `camelCase` ends."""

_COMPILED = tuple((stage, re.compile(pattern)) for stage, pattern in PATTERNS)

_OPTIMIZER = re.compile(r"optim|sgd|adam|rmsprop|adagrad|momentum|lion|lbfgs", re.I)
_SOURCE = re.compile(r"loader|batch|dataset|reader|stream|feeder|source", re.I)
_LOSS = re.compile(r"(loss|criterion)$", re.I)
_AUGMENT = re.compile(r"augment|transform", re.I)
_TABLE_LIKE = re.compile(
    r"dict|counter|(?<!para)meter|metric|average|tracker|progress|bar$|cache|config|stat|"
    r"logger|history|schedul|buffer|queue|table|registry|hash|env|game|agent$|"
    r"filter|view|widget|event|index|ema$",
    re.I,
)
_STORED = re.compile(
    r"model|net(work)?$|checkpoint|config|tokeni[sz]er|vocab|setting|plugin|registry",
    re.I,
)
_MODULE = re.compile(r"(^|\.)(Lightning)?Module$")
_AUTOGRAD_FUNCTION = re.compile(r"(^|\.)Function$")


def stage_of(name: str, owner: str = "", bases: tuple[str, ...] = ()) -> str | None:
    """The stage that a function of this name marks, or None.

    Args:
        name: The function's name.
        owner: The class it is defined in, "" for a plain function.
        bases: The names of that class's bases, dotted as written.
    """
    if owner:
        special = _of_method(name, owner, bases)
        if special is not None:
            return special or None
    plain = _CAMEL.sub("_", name.lstrip("_")).lower()
    if name.startswith("__") and name.endswith("__"):
        return None
    for stage, pattern in _COMPILED:
        if pattern.fullmatch(plain):
            return stage
    return None


def _of_method(name: str, owner: str, bases: tuple[str, ...]) -> str | None:
    """A stage, "" for certain silence, or None where the general names decide."""
    family = " ".join((owner, *bases))
    if any(_MODULE.search(base) for base in bases) and name == "forward":
        return ""
    if any(_AUTOGRAD_FUNCTION.search(base) for base in bases):
        return ""
    if name == "step":
        return "update" if _OPTIMIZER.search(family) else ""
    if name in ("__next__", "__getitem__", "__iter__"):
        return "load" if _SOURCE.search(family) else ""
    if name == "__call__":
        if _LOSS.search(owner):
            return "loss"
        return "augment" if _AUGMENT.search(owner) else ""
    if name.lstrip("_").startswith("update") and _TABLE_LIKE.search(family):
        return ""
    if name.lstrip("_") in ("load", "fetch") and _STORED.search(family):
        return ""
    return None
