"""Compiled functions: what they mark, by a stand-in for JAX of the same shape."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from marking import run_marked

FAKE = '''
import functools, types
from debottleneck.agent import compiled

class Array:
    """What functions are given and give."""

class Compiled:
    """Runs the user's function once; what it is made of is not a function's."""

    __slots__ = ("__dict__", "fun", "traced")

    def __init__(self, fun):
        functools.update_wrapper(self, fun)
        self.fun, self.traced = fun, False

    def __get__(self, owner, kind=None):
        return self if owner is None else types.MethodType(self, owner)

    def __call__(self, *args):
        if not self.traced or jax.config.jax_disable_jit:
            self.traced = True
            wait(1_000_000)
            self.fun(*args)
        wait(1_000_000)
        return self.gives(*args)

    def gives(self, *args):
        return self.results(*args)

    def lower(self, *args):
        self.fun(*args)
        return "lowered"

def grad(fun):
    @functools.wraps(fun)
    def gradient(*args):
        fun(*args)
        wait(1_000_000)
        return Array()
    return gradient

jax = types.ModuleType("jax")
jax.jit, jax.pmap, jax.grad, jax.value_and_grad = Compiled, Compiled, grad, grad
jax.eval_shape = lambda fun, *args: fun(*args)
jax.lax = types.SimpleNamespace(**dict.fromkeys(compiled.TRACERS, jax.eval_shape))
jax.config = types.SimpleNamespace(jax_disable_jit=False)
compiled.is_own = lambda file, module: file == __file__
compiled.install(jax)

@stage("loss")
def loss(*args):
    wait(1_000_000)

def jit(fun, results):
    made = jax.jit(fun)
    made.__wrapped__.results = results
    return made
'''


def marked(folder: Path, snippet: str) -> list[str]:
    """What a snippet marks, calls of its own `stage` functions included."""
    found = run_marked(folder, FAKE + dedent(snippet))
    return [text for text in found.texts if "+" in text]


TRAINS = """
def whole(params, batch):
    jax.grad(loss)(params, batch)
step = jit(whole, lambda params, batch: (Array(), 0.5))
params = Array()
for _ in range(3):
    params, error = step(params, Array())
"""

SNIPPETS = {
    "what takes a gradient is a backward pass, with the update in it": (
        TRAINS,
        ["+backward"] * 2,
    ),
    "what takes none marks nothing": (
        """
        draw = jit(lambda key: None, lambda key: (Array(), Array()))
        key = Array()
        for _ in range(5):
            key, batch = draw(key)
        """,
        [],
    ),
    "a gradient that is not compiled is a backward pass with the loss within": (
        """
        for _ in range(2):
            jax.grad(loss)(Array())
        """,
        ["+backward", "+loss"] * 2,
    ),
    "what is traced for another purpose marks nothing": (
        """
        step = jit(loss, lambda *args: Array())
        assert step.lower(Array()) == "lowered"
        jax.eval_shape(loss, Array())
        jax.lax.scan(loss, Array())
        loss()
        """,
        ["+loss"],
    ),
    "functions that run because nothing is compiled mark as ever": (
        """
        jax.config.jax_disable_jit = True
        jit(loss, lambda *args: Array())(Array())
        """,
        ["+loss"],
    ),
    "a compiled function within another one tells of its gradient": (
        """
        inner = jit(lambda params: jax.grad(loss)(params), lambda params: Array())
        outer = jit(lambda params: inner(params), lambda params: Array())
        inner(Array())
        params = Array()
        for _ in range(2):
            params = outer(params)
        """,
        ["+backward"],
    ),
}


@pytest.mark.parametrize("name", SNIPPETS)
def test_calls_are_marked_by_what_was_traced(name: str, tmp_path: Path) -> None:
    """The first call is unknown; later ones are what tracing it has shown."""
    snippet, expected = SNIPPETS[name]
    assert marked(tmp_path, snippet) == expected


def test_a_compiled_function_looks_as_before(tmp_path: Path) -> None:
    """Name, methods and binding are its own, and by value it is sent plain."""
    snippet = """
    class Model:
        @jax.jit
        def score(self, batch):
            return None

    bound = Model().score
    bound.__wrapped__.results = lambda *args: args
    assert bound(1)[1] == 1
    assert (Model.score.__name__, Model.score.__qualname__) == ("score", "Model.score")
    assert bound.lower(None, 1) == "lowered"
    (plainly,) = [cell.cell_contents for cell in Model.score.__closure__]
    assert plainly.__reduce__()[2][3]["called"] is Model.score.__wrapped__
    """
    run_marked(tmp_path, FAKE + dedent(snippet))


def test_what_a_library_compiles_for_itself_stays_as_it_is(tmp_path: Path) -> None:
    """At its import, and where no function stands for what was made."""
    (tmp_path / "library.py").write_text("import jax\nf = jax.jit(abs)\n")
    snippet = """
    sys.modules["jax"] = jax
    import library
    assert type(library.f) is Compiled
    """
    run_marked(tmp_path, FAKE + dedent(snippet))
