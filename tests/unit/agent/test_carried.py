"""Variables that loops replace by what they made of them."""

from __future__ import annotations

import ast

import pytest

from debottleneck.agent.carried import carried

CASES = {
    "made of sums": (
        "for k in range(9):\n"
        "    total = 0 * a\n"
        "    for x in data:\n"
        "        total += a * x\n"
        "    a = total / total.sum()\n",
        {"5:a"},
    ),
    "by a function that reads a global": (
        "def step(x):\n"
        "    return w * x\n"
        "for x in data:\n"
        "    y = step(x)\n"
        "    z = y + 1\n"
        "    w = z / 2\n",
        {"6:w"},
    ),
    "by a method, in a method": (
        "class Model:\n"
        "    def expect(self, x):\n"
        "        return self.a * x\n"
        "    def refit(self, stats):\n"
        "        self.a = stats / 2\n"
        "    def fit(self, data):\n"
        "        for x in data:\n"
        "            stats = self.expect(x)\n"
        "            self.refit(stats)\n",
        {"5:self.a"},
    ),
    "a state that is another one in each iteration": (
        "for k in range(9):\n    h = start()\n    y = model(h)\n    h = y + 1\n",
        set(),
    ),
    "what is made of the data alone": (
        "for x in data:\n    y = f(x)\n    z = y * 2\n    seen = z\n",
        set(),
    ),
    "an output that is kept": (
        "class Layer:\n"
        "    def forward(self, x):\n"
        "        self.out = x * self.w\n"
        "        return self.out\n"
        "for x in data:\n"
        "    y = layer.forward(x)\n"
        "    g = y - 1\n",
        set(),
    ),
    "the pair of a function": (
        "for x in data:\n    p, loss = train(p, x)\n    print(loss)\n",
        {"2:p"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_loop_carries_on(name: str) -> None:
    """The lines that bind it, with what they bind."""
    source, expected = CASES[name]
    found = carried(ast.parse(source))
    assert {f"{line}:{path}" for (line, _), path in found.items()} == expected


def test_functions_that_call_each_other_end() -> None:
    """They are followed so deep, and so far."""
    source = "def f(x): return f(f(x)) + g(x)\ndef g(x): return f(g(x))\n"
    assert carried(ast.parse(source + "for x in d:\n    a = f(a)\n")) == {(4, 4): "a"}
