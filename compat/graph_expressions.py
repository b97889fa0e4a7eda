"""Turns the graph of an nn.gModule into expressions of its inputs; equal parts are one tuple, compared by `is`."""

from __future__ import annotations

import itertools
import re
from typing import Any

from compat.escape import escape_line
from compat.t7_objects import LuaFunction, Storage, Table, Tensor, TorchObject


class CheckpointError(ValueError):
    """A file that is not a checkpoint of a character model; the message names the difference."""


class DamagedCheckpointError(CheckpointError):
    """A checkpoint that is truncated or damaged: another copy of it may be whole."""


# (operation, details..., inputs...), the inputs being expressions. Sums and products list their terms in the graph's
# order.
Expression = tuple[Any, ...]

_UNARY = {b"nn.Sigmoid": "sigmoid", b"nn.Tanh": "tanh", b"nn.LogSoftMax": "logsoftmax"}
_NARY = {b"nn.CAddTable": "add", b"nn.CMulTable": "mul"}
_CONSTANTS = {b"nn.MulConstant": "mulconstant", b"nn.AddConstant": "addconstant"}
_TYPES = {bool: "boolean", int: "whole number", float: "number", bytes: "string", str: "string"}  # nearly as in Lua
_MOST_INPUTS = 16  # of a node, where char-rnn's have two; many nodes can share one list of them, in a few bytes each


def node_inputs(data: Table, most: int = _MOST_INPUTS) -> list[Table]:
    """The data tables of a node's inputs, in order. Errors: CheckpointError."""
    mapindex = data.get(b"mapindex")
    if not isinstance(mapindex, Table):
        return []
    if len(mapindex) > 2 * most:  # it holds each node twice, by its number and as a key
        raise CheckpointError(f"a node of its graph has {len(mapindex) // 2} inputs")
    inputs = mapindex.as_list()
    if not all(isinstance(i, Table) for i in inputs):
        raise CheckpointError("a node of its graph has inputs that are not nodes")
    return inputs


class Expressions:
    """Turns the data tables of nodes into expressions, visiting each node once.

    Tables and modules are identified by id(), so they must outlive it. `linears` maps id(module) to nn.Linear.
    """

    def __init__(self) -> None:
        self._done: dict[int, Expression] = {}  # id(data table of a node) -> its expression
        self._interned: dict[Expression, Expression] = {}
        self.linears: dict[int, TorchObject] = {}
        self._embedding: int | None = None

    def embed(self, module: object) -> None:
        """Treat the first input of the graph as the one-hot vector that `module` makes. Errors: CheckpointError."""
        if not isinstance(module, TorchObject) or module.typename != b"OneHot":
            raise CheckpointError(f"its embedding is {describe(module)}, not the OneHot of char-rnn")
        self._embedding = _integer(module, b"outputSize")

    def apply_all(self, sequential: object, x: Expression) -> Expression:
        """The expression of an nn.Sequential applied to x. Errors: CheckpointError."""
        modules = sequential.get(b"modules") if isinstance(sequential, TorchObject) else None
        if not isinstance(modules, Table):
            raise CheckpointError(f"its softmax is {describe(sequential)}, not the nn.Sequential of char-rnn")
        for module in modules.as_list():
            x = self._intern(self._apply(module, [x]))
        return x

    def of(self, data: Table) -> Expression:
        """The expression of a node, by its data table; inputs first, on an explicit stack. Errors: CheckpointError."""
        stack = [data]
        open_nodes: set[int] = set()
        while stack:
            node = stack[-1]
            if id(node) in self._done:
                stack.pop()
                continue
            missing = [i for i in node_inputs(node) if id(i) not in self._done]
            if not missing:
                self._done[id(node)] = self._intern(self._make(node, [self._done[id(i)] for i in node_inputs(node)]))
                stack.pop()
                continue
            if id(node) in open_nodes:
                raise CheckpointError("its graph has a cycle")
            open_nodes.add(id(node))
            stack += missing
        return self._done[id(data)]

    def _intern(self, expression: Expression) -> Expression:
        """The first expression equal to this one; inputs are interned already, so their ids are compared."""
        key = tuple(id(part) if isinstance(part, tuple) else part for part in expression)
        return self._interned.setdefault(key, expression)

    def _make(self, data: Table, inputs: list[Expression]) -> Expression:
        module = data.get(b"module")
        return self._routing(data, inputs) if module is None else self._apply(module, inputs)

    def _apply(self, module: object, inputs: list[Expression]) -> Expression:
        if not isinstance(module, TorchObject):
            raise CheckpointError(f"a node of its graph applies {describe(module)}")
        kind = module.typename
        if kind in _NARY:
            return (_NARY[kind], *inputs)
        if len(inputs) != 1:
            raise CheckpointError(f"its {escape_line(kind)} takes {len(inputs)} inputs")
        if kind in _UNARY:
            return (_UNARY[kind], *inputs)
        if kind == b"nn.Identity":
            return inputs[0]
        if kind == b"nn.Linear":
            self.linears[id(module)] = module
            return ("linear", id(module), *inputs)
        if kind == b"nn.Dropout":
            if module.get(b"v2") is not True:  # nn's first version scaled at evaluation time instead
                raise CheckpointError("its nn.Dropout is of a version that char-rnn never used")
            return ("dropout", dropout_probability(module), *inputs)
        if kind == b"OneHot":
            return ("onehot", _integer(module, b"outputSize"), *inputs)
        if kind in _CONSTANTS:
            return (_CONSTANTS[kind], _number(module, b"constant_scalar"), *inputs)
        if kind == b"nn.Reshape":
            return ("reshape", _longs(module.get(b"size")), *inputs)
        if kind == b"nn.SplitTable":
            return ("splittable", _integer(module, b"dimension"), *inputs)
        if kind == b"nn.Narrow":
            dimension, index, length = (_integer(module, key) for key in (b"dimension", b"index", b"length"))
            return self._narrow(dimension, index, length, inputs[0])
        raise CheckpointError(f"its graph holds {a_module(kind)}, which no char-rnn model has")

    def _routing(self, data: Table, inputs: list[Expression]) -> Expression:
        """The expression of a node without a module: an input of the graph, or a part of another node's output."""
        if not inputs:
            return ("input",)
        if len(inputs) != 1:
            raise CheckpointError(f"a node without a module takes {len(inputs)} inputs")
        select = data.get(b"selectindex")
        if select is None:
            return inputs[0]
        if type(select) is not int:
            raise CheckpointError(f"a node of its graph selects {describe(select)}")
        if self._embedding is not None and inputs[0] == ("input",) and select == 1:
            return ("onehot", self._embedding, self._intern(("select", 1, *inputs)))
        return ("select", select, *inputs)

    def _narrow(self, dimension: int, index: int, length: int, x: Expression) -> Expression:
        """Columns of x, from column `index` (from 1).

        They move inside a sigmoid and merge with those of another nn.Narrow, so that equal graphs compare equal.
        """
        # Only one sigmoid is moved: a file may hold any number of them, and each takes one call of this method.
        if dimension == 2 and x[0] == "sigmoid" and x[1][0] != "sigmoid":
            return ("sigmoid", self._intern(self._narrow(2, index, length, x[1])))
        if dimension == 2 and x[:2] == ("narrow", 2):
            _, _, first, available, whole = x
            if index < 1 or index - 1 + length > available:
                raise CheckpointError("an nn.Narrow of its graph reaches beyond its input")
            return ("narrow", 2, first + index - 1, length, whole)
        return ("narrow", dimension, index, length, x)


def _number(module: TorchObject, key: bytes) -> float:
    value: object = module.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise CheckpointError(f"its {escape_line(module.typename)} has no {escape_line(key)}")
    return value


def _integer(module: TorchObject, key: bytes) -> int:
    value = _number(module, key)
    if not isinstance(value, int):
        raise CheckpointError(f"its {escape_line(module.typename)} has {value!r:.20} as its {escape_line(key)}")
    return value


def dropout_probability(module: TorchObject) -> float:
    """The p of an nn.Dropout, in [0, 1). Errors: CheckpointError."""
    p = _number(module, b"p")
    if not 0 <= p < 1:
        raise CheckpointError(f"its nn.Dropout drops with probability {p!r:.20}, which is not in [0, 1)")
    return float(p)


def _longs(size: object) -> tuple[int, ...]:
    """The row size of an nn.Reshape, at most eight dimensions. Errors: CheckpointError."""
    if not isinstance(size, (Storage, Tensor)):
        raise CheckpointError("its nn.Reshape has no size")
    numbers = size.data if isinstance(size, Storage) else size.numpy()
    if numbers.dtype.kind not in "iu":
        raise CheckpointError(f"its nn.Reshape has {escape_line(size.typename)} as its size")
    longs: tuple[int, ...] = tuple(numbers.flat[:8].tolist())
    return longs


def describe(value: object) -> str:
    """A value in a few words, for messages: "an nn.Linear", "a table with opt, vocab"."""
    if isinstance(value, TorchObject):
        return a_module(value.typename)
    if isinstance(value, LuaFunction):
        return "a Lua function"
    if isinstance(value, Table):
        keys = [_key(k) for k in itertools.islice(value, 6)]
        return f"a table with {', '.join(keys)}" if keys else "an empty table"
    return "nil" if value is None else f"a {_TYPES.get(type(value), type(value).__name__)}"


def _key(key: object) -> str:
    """The key of a table: a word as it is, another string in quotes."""
    if not isinstance(key, bytes):
        return f"{key!r:.40}"
    shown = escape_line(key, 40)
    if re.fullmatch(rb"\w+", key):
        return shown
    quote = '"' if "'" in shown else "'"
    return f"{quote}{shown}{quote}"


def a_module(kind: bytes) -> str:
    """A class of Torch7 with its article, for messages: "an nn.Linear", "a cudnn.Tanh"."""
    return f"{'an' if kind.startswith(b'nn') else 'a'} {escape_line(kind)}"
