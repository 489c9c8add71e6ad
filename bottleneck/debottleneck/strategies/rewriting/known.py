"""What is known of libraries: which of their calls change nothing, draw, or print."""

from __future__ import annotations

import ast
import builtins
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any

from debottleneck.agent.aside import again
from debottleneck.agent.inline import first_line
from debottleneck.strategies.conflicts import PLAIN, _is_torch, is_random, is_tensor
from debottleneck.strategies.rewriting.locations import iterators_in
from debottleneck.strategies.rewriting.plan import Reason
from debottleneck.strategies.rewriting.values import own_function
from debottleneck.strategies.torch_trace import all_hooked, hooked

OUTSIDE = object()
"""Stands for what lies outside of the process."""

GOES_OVER = (
    list, tuple, set, frozenset, dict, sum, min, max, sorted, any, all, enumerate,
    zip, map, filter, reversed, iter,
)  # fmt: skip


ALIASES = {
    "asarray", "ascontiguousarray", "atleast_1d", "atleast_2d", "ravel", "reshape",
    "transpose", "squeeze", "expand_dims", "swapaxes", "view", "from_numpy",
    "as_tensor", "frombuffer", "broadcast_to", "expand", "detach", "numpy", "flatten",
    "iter", "next", "getattr", "enumerate", "zip", "map", "filter", "reversed", "to",
    "cpu", "contiguous", "unsqueeze", "permute", "diagonal", "split", "chunk", "unbind",
    "__getitem__", "copy_", "requires_grad_", "memoryview", "max", "min", "vars",
    "asanyarray", "require", "atleast_3d", "moveaxis", "rollaxis", "flip", "flipud",
    "fliplr", "rot90", "real", "imag", "array_split", "hsplit", "vsplit", "dsplit",
    "broadcast_arrays", "as_strided", "sliding_window_view", "trim_zeros", "unstack",
    "matrix_transpose", "permute_dims", "getfield", "unfold", "narrow", "movedim",
    "view_as", "expand_as", "heappop", "heapreplace", "heappushpop", "reduce",
}  # fmt: skip
"""Functions and methods whose result may be a part of what they are given."""

LISTS = {"sorted", "nlargest", "nsmallest", "sum", "copy"}
"""Functions that make a container of what others hold; `copy` any object."""

CHANGE_FIRST = {
    "shuffle", "copyto", "put", "place", "putmask", "fill_diagonal", "setattr",
    "delattr", "heappush", "heappop", "heapify", "heapreplace", "heappushpop",
    "readinto", "setdefault", "insort", "insort_left", "insort_right", "next",
}  # fmt: skip
"""Functions that change what they are given first, used or not."""

_READING = {
    "get", "keys", "values", "items", "copy", "index", "count", "isdisjoint",
    "issubset", "union", "intersection", "difference", "__getitem__", "__len__",
    "__contains__", "is_alive", "is_set", "qsize", "empty", "locked", "fileno",
    "state_dict", "parameters", "named_parameters", "exists", "joinpath",
}  # fmt: skip
_ARRAY_CHANGES = {
    "sort", "fill", "put", "itemset", "resize", "partition", "setflags", "byteswap",
    "setfield", "backward", "set_", "share_memory_", "retain_grad", "register_hook",
}  # fmt: skip
_PATH_CHANGES = {
    "write_text", "write_bytes", "unlink", "rename", "replace", "touch", "mkdir",
    "rmdir", "symlink_to", "hardlink_to", "chmod",
}  # fmt: skip
_TAKES = ("Queue", "SimpleQueue", "LifoQueue", "PriorityQueue")
_THREAD_BOUND = {
    ("sqlite3", "Connection"), ("sqlite3", "Cursor"), ("_thread", "_local"),
}  # fmt: skip
_HERE = {
    ("threading", "current_thread"), ("threading", "main_thread"),
    ("_thread", "get_ident"), ("_thread", "get_native_id"),
    ("_thread", "interrupt_main"),
    ("_asyncio", "get_running_loop"), ("_asyncio", "get_event_loop"),
    ("asyncio.runners", "run"), ("sys", "settrace"), ("sys", "setprofile"),
    ("sys", "_getframe"),
}  # fmt: skip
_NAMES = {
    "Mult": "mul", "MatMult": "matmul", "Div": "truediv", "BitAnd": "and",
    "BitOr": "or", "BitXor": "xor", "USub": "neg", "UAdd": "pos", "NotEq": "ne",
    "LtE": "le", "GtE": "ge", "In": "contains", "NotIn": "contains",
}  # fmt: skip
"""Of operators, where a method is not called as the operator is."""

TRUTH = ("__bool__", "__len__")
"""Methods that tell whether something holds."""
_CALLED: dict[Any, tuple[str, ...]] = {
    len: ("__len__",), bool: TRUTH, str: ("__str__", "__repr__"), repr: ("__repr__",),
    print: ("__str__", "__repr__"), format: ("__format__", "__str__"),
    int: ("__int__", "__index__"), float: ("__float__",), abs: ("__abs__",),
    round: ("__round__",), hash: ("__hash__",), divmod: ("__divmod__",),
    pow: ("__pow__",), builtins.any: TRUTH, builtins.all: TRUTH,
    sum: ("__add__", "__radd__"), min: ("__lt__",), max: ("__gt__",),
    sorted: ("__lt__",),
}  # fmt: skip
_QUIET = ("time", "math", "_operator", "itertools")
_HARMLESS = {
    "getpid", "stat", "listdir", "scandir", "getcwd", "fspath", "cpu_count", "urandom",
    "getenv", "walk", "access",
}  # fmt: skip

_LIVELY = ("Drop", "RReLU")
"""In names of torch's layers that draw while they are trained."""


def is_array(value: Any) -> bool:
    """Whether it is an array or a tensor."""
    kind = getattr(sys.modules.get("numpy"), "ndarray", ())
    return isinstance(value, kind) or is_tensor(value)


def is_function(value: Any) -> bool:
    """Whether a call of it goes to code, not to an object with a state."""
    kinds = (
        types.FunctionType, types.BuiltinFunctionType, types.MethodDescriptorType,
        types.WrapperDescriptorType, type,
    )  # fmt: skip
    numpy: Any = sys.modules.get("numpy")
    ufunc = getattr(numpy, "ufunc", ())
    if isinstance(value, (kinds, ufunc)):
        return True
    return type(value).__name__ in ("_ArrayFunctionDispatcher", "builtin_function")


def is_module_of_torch(value: Any) -> bool:
    """Whether it is a network, or a layer of one."""
    return _is_torch(value, "nn", "Module")


def members(module: Any) -> list[Mapping[str, Any]]:
    """Where a network has its attributes."""
    names = ("_parameters", "_buffers", "_modules")
    return [vars(module), *(vars(module).get(name, {}) for name in names)]


def is_frozen(module: Any) -> bool:
    """Whether calls of a network do no more than the user's `forward` in it does.

    None of its parameters is trained, nobody listens, and of torch's own layers none
    draws or counts.
    """
    return not all_hooked() and all(map(_is_still, module.modules()))


def _is_still(part: Any) -> bool:
    kind = type(part)
    plain = "forward" not in vars(part) and not hooked(part)
    told = kind.__module__.startswith("torch.") or own_function(kind.forward)
    trained = any(weight.requires_grad for weight in part.parameters(recurse=False))
    lively = any(word in kind.__name__ for word in _LIVELY)
    lively = lively or bool(part._buffers or getattr(part, "dropout", 0))
    always = "Fractional" in kind.__name__ or getattr(part, "max_norm", None)
    return plain and told and not trained and not (always or (part.training and lively))


def is_loader_of_torch(iterator: Any) -> bool:
    """Whether it gives the batches of a DataLoader, directly or in an `enumerate`."""
    if type(iterator).__module__ == "torch.utils.data.dataloader":
        return True
    return any(map(is_loader_of_torch, iterators_in(iterator)))


def stages(receiver: Any, name: str) -> set[str]:
    """Stages of training that a library's method is."""
    if is_tensor(receiver) and name == "backward":
        return {"backward"}
    if _is_torch(receiver, "optim", "Optimizer"):
        return {"update"}
    return {"forward"} if is_module_of_torch(receiver) else set()


def may_alias(function: Any, name: str, named: Collection[str], count: int) -> bool:
    """Whether a call may give what it is given, or a part of it."""
    if "copy" in named or (name == "einsum" and count < 3):  # of one array: a view
        return True
    return name in ALIASES or type(function).__module__ in ("operator", "_operator")


def lists(function: Any, name: str, given: Sequence[Any]) -> bool:
    """Whether a call makes a container of what it is given, or of what that holds."""
    if name == "copy":
        arrays = all(is_array(one.sample) for each in given for one in each.each)
        return getattr(function, "__module__", "") == "copy" and not arrays
    return name in LISTS and (name != "sum" or len(given) > 1)


def is_reading(receiver: Any, name: str) -> bool:
    """Whether a library's method changes nothing."""
    if isinstance(receiver, (*PLAIN, tuple, frozenset, range, types.ModuleType)):
        return True
    if is_array(receiver):
        in_place = name.endswith("_") and not name.endswith("__")
        return name not in _ARRAY_CHANGES and not in_place
    if type(receiver).__name__ in _TAKES and name == "get":
        return False
    if type(receiver).__module__ in ("pathlib", "re", "datetime", "decimal"):
        return True
    return name in _READING and not is_random(receiver)


def changes_nothing(function: Any) -> bool:
    """Whether a library's function changes nothing although its result is dropped."""
    return getattr(function, "__module__", "") in _QUIET or function is print


def prints(function: Any) -> bool:
    """Whether it writes to standard output."""
    return function is print or function is input


def changes_outside(function: Any) -> bool:
    """Whether it changes files or processes, not only reads them."""
    module = getattr(function, "__module__", "")
    name = getattr(function, "__name__", "")
    if module in (os.name, shutil.__name__, subprocess.__name__):
        return name not in _HARMLESS
    return name in ("savez", "save", "savetxt", "savez_compressed", "dump")


def writes_file(receiver: Any, name: str) -> bool:
    """Whether a method of a path changes files."""
    return type(receiver).__module__ == "pathlib" and name in _PATH_CHANGES


def opens_to_write(function: Any, given: Sequence[Any]) -> bool:
    """Whether it opens a file to change it, as far as the mode is known."""
    modes = [value.sample for value in given if isinstance(value.sample, str)]
    return function is open and any({*"wax+"} & {*mode} for mode in modes)


def draws_in_torch(function: Any) -> bool:
    """Whether it may draw from torch's own generator."""
    name = getattr(function, "__name__", "")
    module = getattr(function, "__module__", None) or ""
    made = getattr(function, "__self__", None)
    of_torch = module.startswith("torch") or "torch" in type(made).__module__
    words = ("rand", "normal", "drop", "bernoulli", "multinomial", "poisson", "init")
    return (of_torch or "torch" in str(type(function))) and any(
        word in name for word in words
    )


def thread_bound(value: Any, write: bool) -> str:
    """Why it only works on the thread that made it, "" if it does everywhere."""
    for kind in type(value).__mro__:
        name = kind.__module__, kind.__name__
        if name in _THREAD_BOUND or (write and name == ("_contextvars", "ContextVar")):
            what = f"{name[0]}.{name[1]}"
            return Reason(
                f"a {what} works only on the thread that made it",
                f"open a {what} for each thread that loads",
            )
    return ""


def bound_function(function: Any) -> str:
    """Why a library's function is to be called where and when it is, if it is."""
    name = getattr(function, "__name__", "")
    module = getattr(function, "__module__", None) or ""
    if module in ("signal", "_signal") or (module, name) in _HERE:
        return f"{module}.{name} works only in the loop itself"
    if module == os.name and name.startswith(
        ("fork", "kill", "_exit", "abort", "exec")
    ):
        return f"os.{name} works only in the loop itself"
    return ""


def methods_of(node: ast.AST) -> tuple[str, ...]:
    """Names of the methods that an expression with an operator may go to."""
    if isinstance(node, ast.UnaryOp):
        return TRUTH if isinstance(node.op, ast.Not) else (f"__{_name(node.op)}__",)
    if isinstance(node, ast.BinOp | ast.AugAssign):
        own = ("i", "") if isinstance(node, ast.AugAssign) else ("",)
        return tuple(f"__{kind}{_name(node.op)}__" for kind in (*own, "r"))
    if isinstance(node, ast.Compare):
        return tuple(f"__{_name(op)}__" for op in node.ops)
    if isinstance(node, ast.FormattedValue):
        return ("__format__", "__str__", "__repr__")
    return ()


def _name(operator: ast.AST) -> str:
    name = type(operator).__name__
    return _NAMES.get(name, name.lower())


def methods_called(function: Any) -> tuple[str, ...]:
    """Names of the methods that a function of Python's own goes to."""
    try:
        return _CALLED.get(function, ())
    except TypeError:  # it cannot be hashed
        return ()


Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.GeneratorExp


Place = tuple[str, str, int]


def place_of(code: types.CodeType) -> Place:
    """What the copies of a function's code, some of them with marks, have in common."""
    return code.co_filename, code.co_name, code.co_firstlineno


def sources_of(function: Any) -> Sequence[Node]:
    """A function's node in its file, or those that it may be."""
    code = function.__code__
    return _functions(code.co_filename).get((code.co_name, code.co_firstlineno), ())


def source_of(function: Any) -> Node | None:
    """A function's node in its file; None where that cannot be told."""
    found = sources_of(function)
    return found[0] if len(found) == 1 else None


def body_of(code: types.CodeType) -> Sequence[ast.stmt]:
    """The statements of a function or a module; () where they cannot be told."""
    if code.co_name == "<module>":
        return _module(code.co_filename).body
    key = code.co_name, code.co_firstlineno
    nodes: Sequence[Any] = _functions(code.co_filename).get(key, ())
    bodies = [n.body for n in nodes if isinstance(getattr(n, "body", None), list)]
    return [node for body in bodies for node in body]


@cache
def _module(path: str) -> ast.Module:
    try:
        with open(path, "rb") as file:
            return again(SystemError, ast.parse, file.read())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


@cache
def _functions(path: str) -> Mapping[tuple[str, int], list[Node]]:
    tree = _module(path)
    found: dict[tuple[str, int], list[Node]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            key = (node.name, first_line(node))
        elif isinstance(node, ast.Lambda):
            key = ("<lambda>", node.lineno)
        elif isinstance(node, ast.GeneratorExp):
            key = ("<genexpr>", node.lineno)
        else:
            continue
        found.setdefault(key, []).append(node)
    return found
