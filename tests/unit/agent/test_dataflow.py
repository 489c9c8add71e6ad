"""What statements read and write, what they change, and which feed the training."""

from __future__ import annotations

import ast

import pytest

from debottleneck.agent.dataflow import (
    Module,
    changed_by,
    flow_of,
    meets,
    module_of,
    sides,
    tallies,
)


@pytest.mark.parametrize(
    ("source", "reads", "writes", "touches"),
    [
        ("a = b + c.d", {"b", "c", "c.d"}, {"a"}, set()),
        ("a[i] = b", {"a", "b", "i"}, {"a"}, set()),
        ("self.w -= g", {"self", "self.w", "g"}, {"self.w"}, set()),
        ("x.append(y)", {"x", "x.append", "y"}, set(), {"x", "y"}),
        ("z = x.get(y)", {"x", "x.get", "y"}, {"z"}, {"x"}),
        ("np.add(a, b)", {"np", "np.add", "a", "b"}, set(), {"a", "b"}),
        ("f = lambda q: r", set(), {"f"}, set()),
    ],
)
def test_flow(
    source: str, reads: set[str], writes: set[str], touches: set[str]
) -> None:
    """Paths as written, indices left out; modules are changed by nothing."""
    flow = flow_of([ast.parse(source).body[0]], Module(frozenset({"np"})))
    assert flow.reads == reads
    assert flow.writes == writes
    assert flow.touches == touches


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("w -= g", "w"),
        ("w[i] -= g", "w"),
        ("self.net.w = self.net.w - g", "self.net.w"),
        ("w, b = step(w, b)", "w"),
        ("w.data -= g", "w"),
        ("n += 1", ""),
        ("n //= m", ""),
        ("w = other", ""),
        ("w = f(x)", ""),
        ("f().w -= g", ""),
    ],
)
def test_what_a_statement_changes(source: str, path: str) -> None:
    """A path that it both uses and binds, of the object that holds it."""
    assert changed_by(ast.parse(source).body[0]) == path


def test_what_is_called_to_compute_holds_parameters() -> None:
    """Who saves it in between makes no input."""
    body = "x = load(i)\nh = net(x)\nh.backward()\nopt.step()\nsave(net.state())\n"
    flows = [flow_of([node]) for node in ast.parse(body).body]
    assert sides(flows, [2, 3], [1])[::4] == ["input", ""]


@pytest.mark.parametrize(
    ("source", "touches"),
    [
        ("for p, g in zip(ps, gs): p -= g", {"ps", "gs"}),
        ("for k in net.layers: k.w = 0", {"net", "net.layers"}),
        ("for p in ps: q = p - 1", set()),
    ],
)
def test_a_loop_that_changes_its_items(source: str, touches: set[str]) -> None:
    """It changes what it goes through."""
    assert flow_of([ast.parse(source).body[0]]).touches == touches


def test_a_function_of_the_module_reads_and_changes_what_is_not_its_own() -> None:
    """Also through functions that it calls, and not its own names."""
    tree = ast.parse(
        "def model(x): return x @ params[0]\n"
        "def loss(x, y): d = model(x) - y; return d\n"
        "def apply(g):\n    for k in g: params[k] -= g[k]\n"
        "e = loss(a, b)\napply(g)\n"
    )
    module = module_of(tree)
    made, applied = (flow_of([node], module) for node in tree.body[3:])
    assert made.reads == {"loss", "a", "b", "model", "params"}
    assert "params" in applied.touches
    assert not {"d", "x", "k"} & (made.reads | applied.touches)


@pytest.mark.parametrize(
    ("body", "is_tally"),
    [
        ("total += f(x)", True),
        ("total = total + f(x)", True),
        ("total[i] += f(x)", True),
        ("total += f(x); print(total)", False),
        ("total = step(total, x)", False),
        ("total = np.tanh(total)", False),
        ("total = total - g(total)", False),
        ("total = params[k]; total -= f(x)", False),
        ("total += inner()", False),
    ],
)
def test_what_is_added_up_and_not_used(body: str, is_tally: bool) -> None:
    """It is no parameter while the loop runs, in no function either."""
    tree = ast.parse(
        f"def inner(): return {'total' if 'inner' in body else 0}\n"
        f"for x in xs:\n    {body}\nprint(total)\n"
    )
    assert bool(tallies(tree)) is is_tally


def test_an_object_meets_its_parts() -> None:
    """And not one whose name begins alike."""
    assert meets({"a.b"}, {"a"})
    assert not meets({"a.b"}, {"a.bc", "b"})


def test_the_sides_of_a_step() -> None:
    """What feeds the training is input, what follows it neither."""
    body = """
x = load(i)
y = scale(x)
h = net(y, w)
w -= grad(h)
print(h)
"""
    flows = [flow_of([node]) for node in ast.parse(body).body]
    assert sides(flows, [3], [2]) == ["input", "input", "train", "train", ""]


def test_a_model_that_changes_its_mode_makes_no_input() -> None:
    """`net.eval()` in an evaluation is no reason to take it for a part of training."""
    evaluates = "def rate():\n    net.eval()\n    return net(held).mean()\n"
    lines = (
        "print(rate())",
        "y = net(x)",
        "opt.step()",
        "buffer.add(y)",
        "learn(buffer)",
    )
    module = module_of(ast.parse(evaluates))
    flows = [flow_of(ast.parse(line).body, module) for line in lines]
    assert sides(flows, [2, 4], [1]) == ["", "train", "train", "train", "train"]
