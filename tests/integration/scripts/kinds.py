"""Generators, coroutines, iterators and recursion under training words."""

import asyncio
import contextlib
import functools
import inspect
import types


def load_batches(count):
    """A generator with send, throw, close and a return value."""
    got = []
    try:
        for index in range(count):
            try:
                got.append((yield index))
            except KeyError as error:
                got.append(repr(error))
                yield "caught"
    finally:
        print("closed", got)
    return "value", got


def batches(count):
    result = yield from load_batches(count)
    print("returned", result)


async def load_batch(index):
    await asyncio.sleep(0)
    if index == 3:
        raise LookupError(index)
    return index


async def fetch_batches(count):
    try:
        for index in range(count):
            sent = yield await load_batch(index)
            if sent:
                print("sent", sent)
    finally:
        print("async closed")


@types.coroutine
def fetch():
    yield
    return "old style"


def forward(depth):
    return 0 if depth == 0 else depth + forward(depth - 1)


@functools.lru_cache(maxsize=8)
def augment(value):
    print("computed", value)
    return value * 2


@contextlib.contextmanager
def load():
    yield "resource"


class DataLoader:
    """An iterator and a container at once."""

    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        return iter(BatchReader(self.rows))

    def __getitem__(self, index):
        return self.rows[index]

    def __len__(self):
        return len(self.rows)


class BatchReader:
    """A plain iterator."""

    def __init__(self, rows):
        self.left = list(rows)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration("nothing left")
        return self.left.pop(0)


class Optimizer:
    """Methods of every kind."""

    rate = 0.5

    def update(self, value):
        return self._scale(value)

    def step(self, value):
        return self.update(value)

    @classmethod
    def backward(cls, value):
        return cls.rate * value

    @staticmethod
    def loss(value):
        return value**2

    @property
    def criterion(self):
        return "a property"

    def _scale(self, value):
        return value * self.rate


class Adam(Optimizer):
    """Calls its parent's method of the same name."""

    def update(self, value):
        return super().update(value) + 1


def generators():
    generator = load_batches(3)
    print(next(generator), generator.send("a"), generator.throw(KeyError("k")))
    generator.close()
    print(list(batches(2)), inspect.isgenerator(generator))
    print(inspect.isgeneratorfunction(load_batches), generator.__name__)
    exhausted = load_batches(0)
    try:
        next(exhausted)
    except StopIteration as stop:
        print("stop", stop.value)
    failing = load_batches(2)
    next(failing)
    try:
        failing.throw(ValueError("through"))
    except ValueError as error:
        print("raised", error)


async def coroutines():
    print(await load_batch(1), await fetch())
    print(await asyncio.gather(*map(load_batch, range(3))))
    stream = fetch_batches(3)
    print(await anext(stream), await stream.asend("hello"))
    await stream.aclose()
    print([item async for item in fetch_batches(2)])
    print(await asyncio.gather(load_batch(3), return_exceptions=True))
    task = asyncio.create_task(load_batch(2))
    task.cancel()
    print(await asyncio.gather(task, return_exceptions=True))
    for function in (load_batch, fetch_batches):
        print(inspect.iscoroutinefunction(function), function.__qualname__)
        print(inspect.isasyncgenfunction(function))


def main():
    generators()
    asyncio.run(coroutines())
    print(forward(50), augment(2), augment(2), augment.cache_info())
    with load() as resource:
        print(resource)
    loader = DataLoader([1, 2, 3])
    print(list(loader), len(loader), loader[-1], 2 in loader)
    reader = BatchReader([])
    try:
        next(reader)
    except StopIteration as stop:
        print("stop", stop.value, next(reader, "default"))
    adam = Adam()
    print(adam.update(4), adam.step(4), Adam.backward(4), Adam.loss(4))
    print(adam.criterion, Optimizer.update(adam, 4), adam.update.__self__ is adam)


main()
