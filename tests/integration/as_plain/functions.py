"""Functions that mark stages, looked at from every side."""

import asyncio
import contextlib
import copy
import dataclasses
import dis
import functools
import gc
import inspect
import logging
import pickle
import subprocess
import sys
import threading
import traceback
import types
import typing
import warnings
import weakref

import cloudpickle
from saying import depth, say


def load_batch(index, *rest, scale=2, **more):
    """Load."""
    return index, rest, scale, more


def forward(x: "int" = 1, /, y: int = 2) -> "int":
    """Compute.

    At length.
    """
    return x + y


def load_item(*rest, **more):
    return rest, more


def backward(n):
    return n and backward(n - 1)


def load(n):
    return n and load(n - 1)


def update(n=0):
    raise KeyError("update")


def loss(value):
    z = value * 2
    return sorted(locals().items())


def batches(n, log=None):
    got = []
    try:
        for i in range(n):
            got.append((yield i))
        rest = yield from range(2)
    except ValueError as error:
        yield repr(error)
    finally:
        if log is not None:
            log.append("closed")
    return got


def get_batches(n):
    if n:
        yield from get_batches(n - 1)
    yield n


async def fetch(x):
    await asyncio.sleep(0)
    return x


async def async_batches(n):
    for i in range(n):
        await asyncio.sleep(0)
        got = yield i
        if got:
            yield got


class Model:
    """A model."""

    weight = 3

    def __init__(self):
        self.__hidden = 7

    def forward(self, x, *, __odd=1):
        return x * self.weight + self.__hidden

    @classmethod
    def load(cls, x):
        return cls.__name__, x

    @staticmethod
    def loss(x):
        return x

    @functools.cache
    def backward(self):
        return 5

    @property
    def update(self):
        return "property"

    def validate(self):
        return super().__repr__()[:9], __class__.__name__


class Deep(Model):
    def forward(self, x):
        return super().forward(x) + 1


@dataclasses.dataclass(order=True)
class Loader:
    size: int = 4

    def __iter__(self):
        yield from range(self.size)

    def load_batch(self, i):
        return i % self.size


def timed(function):
    @functools.wraps(function)
    def inner(*args):
        return "timed", function(*args)

    return inner


def read_code(function):
    code = function.__code__
    assert [*dis.get_instructions(code)]  # loops are compiled twice: others than plain
    function.read = code.co_varnames, code.co_freevars, code.co_flags
    return function


@timed
def augment(x):
    return x + 1


@read_code
def evaluate(x, y=3):
    total = x
    for i in range(y):
        total += i
    return total


@contextlib.contextmanager
def transfer():
    yield "inside"


def log_step():
    logging.getLogger("x").warning("at %s", "it")


def warn_load():
    warnings.warn("load", stacklevel=2)


fetch_data = warn_load


def preprocess():
    warnings.warn("old", DeprecationWarning, stacklevel=2)


def checkpoint():
    frame = sys._getframe(1)
    return frame.f_code.co_name, frame.f_lineno, frame.f_back.f_code.co_name


def validate():
    return [(f.function, f.lineno) for f in inspect.stack() if "as_plain" in f.filename]


def make(offset):
    def forward(x):
        nonlocal offset
        offset += x
        return offset

    return forward


def caught(function, *args):
    try:
        function(*args)
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        return [(f.name, f.lineno, f.line) for f in frames]
    return None


def warned(function):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        function()
    return [(w.filename.rpartition("/")[2], w.lineno) for w in found]


def logged(function):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger("x").addHandler(handler)
    logging.getLogger("x").propagate = False
    function()
    return [(r.funcName, r.lineno, r.filename) for r in records]


def thrown():
    made = batches(3)
    return next(made), made.throw(ValueError("mine")), list(made)


def closed():
    log = []
    made = batches(3, log)
    next(made)
    made.close()
    other = batches(3, log)
    next(other)
    del other
    return log, inspect.getgeneratorstate(made)


def sent():
    made = batches(2)
    got = [next(made), made.send("a"), made.send("b"), next(made)]
    try:
        next(made)
    except StopIteration as stop:
        return got, stop.value
    return None


def generator_attributes():
    made = batches(2)
    next(made)
    seen = made.gi_code.co_name, made.gi_running, made.gi_frame.f_lineno
    return seen, made.__name__, made.__qualname__, made.gi_yieldfrom


async def collect(n):
    return [item async for item in async_batches(n)]


async def asend():
    made = async_batches(2)
    return await anext(made), await made.asend("x"), await anext(made)


async def cancelled():
    task = asyncio.ensure_future(fetch(1))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return "cancelled"


def swapped_code():
    def validate(x):
        return x, "old"

    validate.__code__ = (lambda x: (x, "new")).__code__
    return validate(1)


def swapped_defaults():
    def load_batch(x=1, *, y=2):
        return x, y

    load_batch.__defaults__, load_batch.__kwdefaults__ = (7,), {"y": 8}
    return load_batch()


def events(setter):
    seen = []

    def note(frame, event, argument):
        if frame.f_code.co_filename == __file__ and event in ("call", "return"):
            seen.append((event, frame.f_code.co_name))
        return note

    setter(note)
    forward(1)
    Model().forward(2)
    setter(None)
    return [e for e in seen if e[1] != "events"]


def in_thread(function):
    results = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results


def by_value(value):
    copy = pickle.loads(cloudpickle.dumps(value))
    return copy is not value, copy


def sent_on(function):
    """Sent by value, and from there once more."""
    return by_value(by_value(function)[1])[1]


def elsewhere(functions):
    """What another interpreter makes of them."""
    code = (
        "import sys, cloudpickle; sys.modules['debottleneck'] = None;"
        "load, Model, augment = cloudpickle.loads(sys.stdin.buffer.read());"
        "print(load(3), Model().forward(4), augment(1))"
    )
    sent = cloudpickle.dumps(functions)
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, input=sent, capture_output=True, check=False)
    return done.stdout, done.stderr[-300:]


def leaks():
    gc.collect()
    reference = weakref.ref(make(1))
    gc.collect()
    return reference()


with_lambda = load_lambda = lambda x: x + 1

say("call", lambda: load_batch(1, 2, 3, scale=4, other=5))
say("keyword named self", lambda: load_item(1, self=2, point=3, args=4))
say("missing argument", lambda: load_batch())
say("too many arguments", lambda: forward(1, 2, 3))
say("positional only", lambda: forward(x=1))
say("keyword only", lambda: Model().forward(1, z=2))
say("defaults", lambda: (forward.__defaults__, load_batch.__kwdefaults__))
say("signature", lambda: str(inspect.signature(load_batch)))
say("signature of forward", lambda: str(inspect.signature(forward)))
say("full argument specification", lambda: inspect.getfullargspec(load_batch))
say("documentation", lambda: (forward.__doc__, inspect.getdoc(load_batch)))
say("names", lambda: (Model.forward.__name__, Model.forward.__qualname__))
say("module", lambda: (forward.__module__, Model.forward.__module__))
say("annotations", lambda: forward.__annotations__)
say("type hints", lambda: typing.get_type_hints(forward))
say("dictionary", lambda: (vars(forward), hasattr(forward, "__wrapped__")))
say("directory", lambda: sorted(set(dir(load_batch)) - set(dir(lambda: 0))))
say("code name", lambda: (forward.__code__.co_name, forward.__code__.co_qualname))
say("code file", lambda: forward.__code__.co_filename == __file__)
say("first line", lambda: forward.__code__.co_firstlineno)
say("variables", lambda: loss.__code__.co_varnames)
say(
    "argument counts",
    lambda: (load_batch.__code__.co_argcount, load_batch.__code__.co_kwonlyargcount),
)
say("code flags", lambda: (forward.__code__.co_flags, batches.__code__.co_flags))
say("closure", lambda: (make(1).__closure__ is not None, forward.__closure__))
say("globals", lambda: forward.__globals__ is globals())
say("source", lambda: inspect.getsource(forward))
say("source lines", lambda: inspect.getsourcelines(batches)[1])
say("source file", lambda: inspect.getsourcefile(Model) == __file__)
say("source of a class", lambda: len(inspect.getsource(Model)))
say("kind", lambda: (type(forward), inspect.isfunction(load_batch), callable(loss)))
say("representation", lambda: repr(forward).partition(" at ")[0])
say(
    "equality",
    lambda: (forward == forward, forward in {forward}, hash(forward) == hash(forward)),
)
say("attributes can be set", lambda: setattr(forward, "note", 1) or forward.note)
say(
    "copies", lambda: (copy.copy(forward) is forward, copy.deepcopy(forward) is forward)
)
say("locals", lambda: loss(4))
say(
    "builtins unchanged",
    lambda: sorted(k for k in vars(__builtins__) if "bottleneck" in k),
)
say(
    "method", lambda: (Model().forward(2), Deep().forward(2), Model.forward(Model(), 1))
)
say(
    "bound method",
    lambda: (type(Model().forward), Model().forward.__func__ is Model.forward),
)
say("class method", lambda: (Deep.load(1), type(Model.__dict__["load"])))
say("static method", lambda: (Model.loss(3), type(Model.__dict__["loss"])))
say("cached method", lambda: (Model().backward(), Model.backward.cache_info().currsize))
say("property", lambda: Model().update)
say("super", lambda: Model().validate())
say(
    "overridden in a class later",
    lambda: setattr(Deep, "loss", staticmethod(lambda x: -x)) or Deep.loss(2),
)
say(
    "patched in an instance",
    lambda: vars(m := Model()).update(forward=lambda x: "patched") or m.forward(1),
)
say(
    "data class",
    lambda: (Loader(2) < Loader(3), Loader(), [*Loader(2)], Loader().load_batch(6)),
)
say("decorated", lambda: (augment(1), augment.__name__, augment.__wrapped__.__name__))
say("decorator that reads code", lambda: evaluate.read)
say("partial", lambda: functools.partial(forward, 5)(6))
say("context manager", lambda: transfer().__enter__())
say("single dispatch", lambda: functools.singledispatch(forward)(3))
say("lambda", lambda: load_lambda(1))
say("nested function", lambda: [(f := make(1))(2), f(3)])
say("nested functions are apart", lambda: (make(1)(1), make(10)(1)))
say("frame of the caller", lambda: checkpoint())
say("stack", lambda: validate())
say("caller of a thread's function", lambda: in_thread(lambda: checkpoint()[0]))
say("warning's line", lambda: warned(preprocess))
say("warning's line in a load", lambda: warned(warn_load))
say("log record", lambda: logged(log_step))
say("traceback", lambda: caught(update))
say("traceback in a generator", lambda: caught(lambda: next(batches("x"))))
say("traceback of a wrong call", lambda: caught(load_batch))
say("exception's context", lambda: caught(lambda: Model().forward(None)))
say("recursion", lambda: depth(backward))
say("recursion of a load", lambda: depth(load))
say("recursion of a generator", lambda: depth(lambda n: len([*get_batches(n)])))
say("recursion limit", lambda: sys.getrecursionlimit())
say("recursion error is caught", lambda: caught(backward, 10**6)[1][0])
say("after it", lambda: backward(5))
say("code assigned", lambda: swapped_code())
say("defaults assigned", lambda: swapped_defaults())
say(
    "name assigned",
    lambda: setattr(log_step, "__name__", "renamed") or log_step.__name__,
)
say(
    "new function from the code", lambda: types.FunctionType(forward.__code__, {})(4, 5)
)
say(
    "code replaced",
    lambda: types.FunctionType(
        forward.__code__.replace(co_name="x"), {}, "x", (1, 2)
    )(),
)
say("generator", lambda: [*batches(2)])
say("generator is sent to", lambda: sent())
say("generator is thrown into", lambda: thrown())
say("generator is closed", lambda: closed())
say("generator's attributes", lambda: generator_attributes())
say("generator's locals", lambda: inspect.getgeneratorlocals(get_batches(3)))
say("generator function", lambda: inspect.isgeneratorfunction(batches))
say("generator recursion", lambda: [*get_batches(3)])
say("coroutine", lambda: asyncio.run(fetch(3)))
say("coroutine function", lambda: asyncio.iscoroutinefunction(fetch))
say(
    "coroutine's name",
    lambda: ((c := fetch(1)).__qualname__, c.cr_code.co_name, c.close()),
)
say("coroutine is cancelled", lambda: asyncio.run(cancelled()))
say("asynchronous generator", lambda: asyncio.run(collect(3)))
say("asynchronous generator is sent to", lambda: asyncio.run(asend()))
say(
    "asynchronous generator function", lambda: inspect.isasyncgenfunction(async_batches)
)
say("tracing", lambda: events(sys.settrace))
say("profiling", lambda: events(sys.setprofile))
say("pickled by name", lambda: pickle.loads(pickle.dumps(forward)) is forward)
say("pickled method", lambda: pickle.loads(pickle.dumps(Model().forward))(1))
say("pickled instance", lambda: pickle.loads(pickle.dumps(Loader(9))))
say("sent by value", lambda: by_value(load_batch)[1](1, scale=3))
say("sent by value twice", lambda: sent_on(load_batch)(1, scale=3))
say("class sent by value", lambda: by_value(Model)[1]().forward(1))
say("closure sent by value", lambda: by_value(make(3))[1](4))
say("maker sent by value", lambda: by_value(make)[1](4)(5))
say("generator sent by value", lambda: [*by_value(batches)[1](2)])
say("coroutine sent by value", lambda: asyncio.run(by_value(fetch)[1](2)))
say("sent to a process without us", lambda: elsewhere((load_batch, Model, augment)))
say("nothing is kept alive", lambda: leaks())
say("in a thread", lambda: in_thread(lambda: forward(3)))
