from __future__ import annotations

import gc
import os
import pickle
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from debottleneck.errors import StrategyError
from debottleneck.strategies import packing, randomness
from debottleneck.strategies.transport import (
    HELD,
    INLINE_BYTES,
    Gone,
    Receiver,
    Sender,
)

Pair = namedtuple("Pair", "rows labels")
BIG = np.arange(INLINE_BYTES, dtype=np.int32)


@dataclass
class Batch:
    """What a user's loader might give."""

    rows: np.ndarray
    names: list[str]


def there_and_back(value: Any) -> Any:
    """Packed and unpacked, in memory of its own."""
    pickled, buffers = packing.pack(value)
    return pickle.loads(pickled, buffers=map(bytearray, buffers))


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays are alike in bytes, type, order and writability."""
    orders = [(a.flags.c_contiguous, a.flags.f_contiguous) for a in (one, other)]
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and one.tobytes() == other.tobytes()
        and orders[0] == orders[1]
        and one.flags.writeable == other.flags.writeable
    )


def read_only(array: np.ndarray) -> np.ndarray:
    """The array, write-protected."""
    array.flags.writeable = False
    return array


@pytest.fixture
def ends() -> Iterator[tuple[Any, Any]]:
    """Two ends of a pipe, closed afterwards."""
    one, other = Pipe()
    yield one, other
    one.close()
    other.close()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        read_only(np.arange(6, dtype=np.uint8)),
        np.array(3.5),
        np.zeros((0, 4)),
        np.array(["2026-11-23"], dtype="M8[D]"),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([1, 2], dtype=">i4"),
        np.array(["a", None], dtype=object),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_an_array_arrives_as_it_was(array: np.ndarray) -> None:
    """Type, shape, order and writability survive."""
    back = there_and_back(array)
    if array.dtype.hasobject:
        assert back.tolist() == array.tolist()
    else:
        assert same(back, array)


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int64, np.float32, np.complex128]),
        arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    ),
    st.randoms(use_true_random=False),
)
def test_any_view_arrives_with_its_values_and_order_of_axes(
    array: np.ndarray, random: Any
) -> None:
    """Whatever the strides: equal values, and the axes in the same order of memory."""
    axes = list(range(array.ndim))
    random.shuffle(axes)
    view = array.transpose(axes)[:: random.choice([1, 2, -1])]
    back = there_and_back(view)
    assert back.tobytes() == view.tobytes()
    if view.size:
        strides = zip(back.strides, view.copy(order="K").strides, strict=True)
        long = [
            pair for pair, side in zip(strides, view.shape, strict=True) if side > 1
        ]
        assert all(one == other for one, other in long)


def test_bytes_of_a_view_with_gaps_are_not_pickled() -> None:
    """The pickle stays small whatever the array's layout."""
    cube = np.zeros((50, 60, 70))
    for view in (cube[::2], cube.transpose(0, 2, 1), cube[:, :, 3:9]):
        pickled, buffers = packing.pack(view)
        assert len(pickled) < 500
        assert sum(map(len, buffers)) == view.nbytes


def test_containers_arrive_with_their_types() -> None:
    """Tuples, lists, dictionaries, named tuples, dataclasses; one object stays one."""
    rows = np.arange(8.0)
    value = {
        "pair": Pair(rows, [rows, 2]),
        "batch": Batch(rows[::2], ["a"]),
        "other": (1, None, b"x" * 100_000),
    }
    back = there_and_back(value)
    assert isinstance(back["pair"], Pair)
    assert back["pair"].rows is back["pair"].labels[0]
    assert back["batch"].rows.tolist() == [0, 2, 4, 6]
    assert back["other"] == value["other"]


def test_what_cannot_be_pickled_is_refused_with_a_sentence() -> None:
    """The message says what and what to do."""
    with pytest.raises(StrategyError, match=r"cannot go.*generator.*where='thread'"):
        Sender(None).send(each for each in ())  # type: ignore[arg-type] # nor is it sent


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex64"])
def test_a_tensor_arrives_as_it_was(dtype: str) -> None:
    """Type, shape, strides and values survive, and its bytes are not pickled."""
    import torch

    plain = torch.arange(24).reshape(2, 3, 4).to(getattr(torch, dtype))
    for tensor in (plain, plain.permute(2, 0, 1), plain[:, 1], plain[0, 0, 0]):
        back = there_and_back(tensor)
        assert back.dtype == tensor.dtype
        assert torch.equal(back, tensor)
        dense = tensor.clone(memory_format=torch.preserve_format)
        assert back.stride() == dense.stride()
    assert len(packing.pack(torch.zeros(100_000))[0]) < 1000


@pytest.mark.torch
def test_a_slice_of_a_large_tensor_brings_only_itself() -> None:
    """64 rows of a data set are sent, not the data set."""
    import torch

    data = torch.zeros(10_000, 100)
    pickled, buffers = packing.pack(data[64:128])
    assert sum(map(len, (pickled, *buffers))) < 64 * 100 * 4 + 1000


@pytest.mark.torch
def test_other_tensors_arrive_too() -> None:
    """Empty, sparse, parameters and leaves; a gradient's history is refused."""
    import torch

    assert there_and_back(torch.zeros(0, 3)).shape == (0, 3)
    assert there_and_back(torch.eye(3).to_sparse()).to_dense().trace() == 3
    weight = there_and_back(torch.nn.Parameter(torch.ones(3)))
    assert isinstance(weight, torch.nn.Parameter)
    assert weight.requires_grad
    leaf = torch.ones(2, requires_grad=True)
    assert there_and_back(leaf).requires_grad
    with pytest.raises(StrategyError, match="gradient's history"):
        packing.pack(leaf * 2)


def there(ends: tuple[Any, Any]) -> tuple[Callable[[Any], Any], Sender]:
    """What sends an object through a pipe when asked, and what its far end is."""
    sender, receiver = Sender(ends[0]), Receiver(ends[1])

    def sent(value: Any) -> Any:
        receiver.ask(b"more")
        assert sender.listen() == b"more"
        sender.send(value)
        return receiver.receive()

    return sent, sender


def test_a_slot_is_used_again(ends: tuple[Any, Any]) -> None:
    """Any number of objects one after the other, of any size, needs few of them."""
    sent, sender = there(ends)
    for number in range(50):
        back, array = sent((number, np.full(2000 * (number + 2), number)))
        assert back == number
        assert (array == number).all()
        assert len(array) == 2000 * (number + 2)
    assert len(sender._slots) <= 3


def test_received_arrays_stay_as_they_are(ends: tuple[Any, Any]) -> None:
    """Whatever is sent later: arrays that are kept are nobody else's memory."""
    sent, sender = there(ends)
    kept = [sent(BIG + number) for number in range(12)]
    assert all((array == BIG + number).all() for number, array in enumerate(kept))
    for array in kept:
        array[:] = -1
    assert (sent(BIG) == BIG).all()
    assert len(sender._slots) <= HELD + 2


def test_small_arrays_beside_large_ones_are_copied_too(ends: tuple[Any, Any]) -> None:
    """Whoever keeps many batches keeps their labels as well."""
    sent, _ = there(ends)
    kept = [sent((BIG, np.arange(8) + n)) for n in range(3 * HELD)]
    for n, (rows, labels) in enumerate(kept):
        assert (rows == BIG).all()
        assert (labels == np.arange(8) + n).all()


def test_a_closed_end_is_noticed(ends: tuple[Any, Any]) -> None:
    """Both sides say that the other one is gone, past every `except Exception`."""
    sent, _ = there(ends)
    assert sent(1) == 1
    ends[0].close()
    with pytest.raises(Gone):
        Receiver(ends[1]).receive()
    assert not issubclass(Gone, Exception)
    one, other = Pipe()
    other.close()
    for act in (lambda: Sender(one).send(BIG), Sender(one).listen):
        with pytest.raises(Gone):
            act()
    one.close()


def test_memory_is_given_back(ends: tuple[Any, Any]) -> None:
    """With the last array both mappings and their descriptors are gone."""
    before = set(os.listdir("/proc/self/fd"))
    sent, sender = there(ends)
    for _ in range(5):
        array = sent(BIG)
    del sent, sender, array
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) == before


def test_streams_are_found_where_a_source_keeps_them() -> None:
    """Global ones, and those in attributes, closures and begun generators."""
    import random

    held = {"own": random.Random(1), "rng": np.random.default_rng(2)}

    def source() -> Iterator[float]:
        yield held["own"].random()

    found = randomness.streams(source)
    assert {id(each) for each in held.values()} <= set(map(id, found))
    begun = (rng.random() for rng in [held["rng"]])
    assert id(held["own"]) not in set(map(id, randomness.streams(begun)))


def test_draws_are_told_once() -> None:
    """Only the streams that were drawn from have news."""
    one, other = np.random.default_rng(1), np.random.default_rng(2)
    legacy = np.random.RandomState(3)
    draws = randomness.Draws([one, other, legacy])
    assert draws.news() == ()
    other.random()
    legacy.random_sample()
    news = draws.news()
    assert [state is not None for state in news] == [False, True, True]
    assert draws.news() == ()


def test_draws_elsewhere_are_taken_over_unless_there_were_some_here() -> None:
    """The stream goes on where the other process left it."""
    here, there = np.random.default_rng(1), np.random.default_rng(1)
    since = randomness.states([here])
    there.random(5)
    randomness.take_over([here], randomness.states([there]), since)
    assert here.random() == there.random()
    before = pickle.dumps(here.bit_generator.state)
    randomness.take_over([here], randomness.states([there]), since)
    assert pickle.dumps(here.bit_generator.state) == before
