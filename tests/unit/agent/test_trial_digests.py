"""Digests and sketches: equal where values are, apart where they are not."""

from __future__ import annotations

import base64
import subprocess
import sys
from array import array
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from debottleneck.agent.digests import VALUES, Content
from debottleneck.agent.sketches import sketch


class Pair(NamedTuple):
    """What a loader may return."""

    rows: Any
    labels: Any


@dataclass
class Batch:
    """Likewise."""

    rows: Any
    made: float = 0.0


class Slotted:
    """An object without a dictionary."""

    __slots__ = ("nothing", "rows")

    def __init__(self, rows: Any) -> None:
        self.rows = rows


def digest(value: Any) -> tuple[str, str]:
    """Both digests of a value."""
    fields = Content().add(value).fields()
    return fields["rest"], fields["bits"]


ROWS = np.arange(12.0).reshape(3, 4)

VALUES_APART: list[Any] = [
    None,
    True,
    1,
    1.0,
    "1",
    b"1",
    1j,
    [1],
    (1, 2),
    [[1], 2],
    {"a": 1},
    {"a": 1.0},
    {1, 2},
    [0.5] * 20,
    [0.5] * 21,
    list(range(20)),
    ROWS,
    ROWS.T,
    ROWS.astype("f4"),
    ROWS.astype(int),
    ROWS + 1e-12,
    ROWS > 3,
    ROWS + 1j,
    ROWS[:0],
    np.float64(1.0),
    np.array(["a", "b"]),
    np.array(["a", 1], dtype=object),
    np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    np.array(["2026-11-01"], dtype="M8[D]"),
    Pair(ROWS, 1),
    Batch(ROWS),
    Batch(ROWS + 1),
    Slotted(ROWS),
    deque([ROWS]),
    pd.DataFrame({"a": [1.0, 2.0]}),
    pd.Series([1.0, 3.0]),
    array("d", [1.0]),
    array("d", [1.5]),
    array("i", [1]),
    memoryview(b"one"),
    2**80,
    10**5000,
    float("nan"),
]


def test_different_values_have_different_digests() -> None:
    """No two of a long list of values look alike."""
    assert len({digest(value) for value in VALUES_APART}) == len(VALUES_APART)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ROWS, np.asfortranarray(ROWS)),
        (ROWS[:, ::2], ROWS[:, ::2].copy()),
        (ROWS, ROWS.view(np.matrix)),
        ({3, 1, "x"}, {"x", 1, 3}),
        (OrderedDict(a=1), {"a": 1}),
        (Batch(ROWS), Batch(ROWS.copy())),
        (np.longdouble([1.5, 2.5]), np.longdouble([1.5, 2.5]) + 0),
        ([ROWS, ROWS], [ROWS, ROWS.copy()]),
    ],
)
def test_what_holds_the_same_numbers_has_one_digest(one: Any, other: Any) -> None:
    """Memory layout and sharing do not count."""
    assert digest(one) == digest(other)


def test_only_floats_have_a_tolerance() -> None:
    """A float array moves one digest, an integer array the other."""
    rest, bits = digest((ROWS, [1, 2]))
    assert digest((ROWS + 1e-9, [1, 2]))[0] == rest
    assert digest((ROWS, [1, 3]))[1] == bits


def test_cycles_and_strange_objects_end() -> None:
    """A container within itself, a broken array, an object that answers to all."""

    class Broken:
        def __array__(self) -> Any:
            raise RuntimeError("not now")

    class Answers:
        def __getattr__(self, name: str) -> Any:
            return self

    loop: list[Any] = [1]
    loop.append(loop)
    for value in (loop, Broken(), Answers(), int, len, iter([1]), sys, object()):
        assert digest(value) == digest(value)


def test_an_iterator_is_not_used_up() -> None:
    """Looking at a value changes nothing in it."""
    items = iter([1, 2])
    Content().add(items).fields()
    assert list(items) == [1, 2]


@pytest.mark.torch
def test_tensors() -> None:
    """Values count, not gradients' flags, strides or devices; every dtype is read."""
    torch = pytest.importorskip("torch")
    rows = torch.arange(12.0).reshape(3, 4)
    assert digest(rows) == digest(rows.clone().requires_grad_())
    assert digest(rows.T) == digest(rows.T.contiguous())
    assert digest(rows) != digest(rows + 1)
    for kind in (torch.bfloat16, torch.half, torch.int8, torch.bool, torch.complex64):
        assert digest(rows.to(kind)) == digest(rows.to(kind))
        assert digest(rows.to(kind)) != digest(rows.flip(0).to(kind))
    assert digest(rows.to_sparse()) == digest(rows.clone().to_sparse())
    assert digest(torch.empty(3, device="meta"))


@pytest.mark.torch
def test_tensors_without_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch can be installed without NumPy; the digests are no others."""
    torch = pytest.importorskip("torch")
    values = [torch.arange(9000.0), torch.ones(3).bfloat16(), torch.arange(5)]
    before = digest(values)
    monkeypatch.delitem(sys.modules, "numpy")
    fields = Content().add(values).fields()
    assert (fields["rest"], fields["bits"]) == before
    assert fields["norms"][0] == pytest.approx(float(values[0].double().norm()))
    assert fields["lengths"][0] <= VALUES


def test_large_values_are_sketched_within_the_bound() -> None:
    """However large an output, some 4,096 numbers are kept of it."""
    arrays = [np.ones(100_000), np.ones((300, 300), "f4"), np.ones(3)]
    fields = Content().add(arrays).fields()
    assert sum(fields["lengths"]) <= VALUES + 8 * len(arrays)
    assert len(base64.b64decode(fields["values"])) == 8 * sum(fields["lengths"])
    assert fields["norms"] == pytest.approx([100_000**0.5, 300, 3**0.5])


def test_small_arrays_are_kept_as_they_are() -> None:
    """Below the bound the values are the array's own."""
    norm, values = sketch(ROWS.reshape(-1), 16)
    assert np.frombuffer(values).tolist() == ROWS.reshape(-1).tolist()
    assert norm == pytest.approx(np.linalg.norm(ROWS))


@given(
    st.integers(1, 40_000),
    st.integers(0, 39_999),
    st.integers(8, 64),
    st.floats(1e-3, 1e3),
)
def test_every_element_moves_the_sketch(
    size: int, place: int, width: int, by: float
) -> None:
    """A change of any one element shows in full, as nothing is left out."""
    flat = np.random.default_rng(0).normal(size=size)
    other = flat.copy()
    other[place % size] += by
    one, moved = (np.frombuffer(sketch(each, width)[1]) for each in (flat, other))
    assert len(one) == min(size, width)
    assert 0.49 * by < np.linalg.norm(moved - one) < 1.51 * by


@given(st.integers(1, 400), st.integers(8, 64))
def test_distances_of_sketches_estimate_those_of_arrays(seed: int, width: int) -> None:
    """On the average; a factor of a few covers all."""
    rng = np.random.default_rng(seed)
    flat = rng.normal(size=5000)
    gap = 1e-3 * rng.normal(size=5000)
    one, other = (np.frombuffer(sketch(each, width)[1]) for each in (flat, flat + gap))
    ratio = np.linalg.norm(other - one) / np.linalg.norm(gap)
    assert 0.3 < ratio < 3


def test_rows_in_another_order_are_told() -> None:
    """A batch that was shuffled has the same norm and sum, but is another one."""
    rows = np.random.default_rng(0).normal(size=(1000, 64))
    swapped = rows.copy()
    swapped[[3, 500]] = swapped[[500, 3]]
    one, other = (
        np.frombuffer(sketch(r.reshape(-1), 4096)[1]) for r in (rows, swapped)
    )
    assert np.linalg.norm(one - other) > 0.01 * np.linalg.norm(rows)


def test_without_numpy_plain_python_is_digested() -> None:
    """A script without NumPy has lists of floats; they are sketched evenly spaced."""
    code = """if True:
        import sys
        from debottleneck.agent.digests import Content
        fields = Content().add([[0.5] * 10_000, {"a": (1.5, 2)}, "x"]).fields()
        assert "numpy" not in sys.modules
        assert fields["lengths"][0] <= 4096, fields["lengths"]
        assert abs(fields["norms"][0] - (2500 + 2.25) ** 0.5) < 1e-9
        other = Content().add([[0.5] * 9_999 + [1.5], {"a": (1.5, 2)}, "x"]).fields()
        assert other["rest"] == fields["rest"] and other["bits"] != fields["bits"]
    """
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
