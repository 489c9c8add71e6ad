"""What statements read and write, what they change, and which feed the training."""

from __future__ import annotations

import ast

import pytest

from debottleneck.agent.dataflow import changed_by, flow_of, meets, sides


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
    flow = flow_of([ast.parse(source).body[0]], {"np"})
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
