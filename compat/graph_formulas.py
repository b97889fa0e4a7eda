"""Recognises inputs, gates and products of char-rnn's formulas in the expressions of a graph."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

from compat.graph_expressions import CheckpointError, Expression

Test = Callable[[Expression], bool]


def is_input(expression: Expression, k: int) -> bool:
    """Whether this is input k of the graph, from 1."""
    return expression[:2] == ("select", k) and expression[2] == ("input",)


def is_gate(expression: Expression) -> bool:
    """Whether this is a sigmoid."""
    return bool(expression[0] == "sigmoid")


def is_candidate(expression: Expression) -> bool:
    """Whether this is a tanh."""
    return bool(expression[0] == "tanh")


def is_one_minus_gate(expression: Expression) -> bool:
    """Whether this is 1 - sigmoid, as nn.AddConstant(1) after nn.MulConstant(-1)."""
    if expression[:2] != ("addconstant", 1):
        return False
    product = expression[2]
    return product[:2] == ("mulconstant", -1) and is_gate(product[2])


def product_of(expression: Expression, what: str) -> Expression:
    """`expression` if it is an nn.Linear; `what` names its sum in the error. Errors: CheckpointError."""
    if expression[0] != "linear":
        raise CheckpointError(f"its {what} is not the sum of two nn.Linear")
    return expression


def factors_of(expression: Expression, *tests: Test) -> list[Expression] | None:
    """The factors of a product, in the order of the `tests` that accept them; None if a test accepts none."""
    if expression[0] != "mul" or len(expression) != len(tests) + 1:
        return None
    for order in permutations(expression[1:]):
        if all(test(factor) for test, factor in zip(tests, order, strict=True)):
            return list(order)
    return None


def gate_part(expression: Expression, where: str) -> tuple[Expression, int, int]:
    """(sum of all gates, first row from 0, number of rows) of a gate. Errors: CheckpointError.

    A gate is cut by nn.Narrow, or by nn.Reshape and nn.SplitTable.
    """
    if expression[0] == "select" and expression[2][:2] == ("splittable", 2):
        reshape = expression[2][2]
        if reshape[0] == "reshape" and len(reshape[1]) == 2 and 1 <= expression[1] <= reshape[1][0]:
            size = reshape[1][1]
            return reshape[2], (int(expression[1]) - 1) * size, size
    if expression[0] == "narrow" and expression[1] == 2:
        return expression[4], int(expression[2]) - 1, int(expression[3])
    raise CheckpointError(f"a gate of {where} comes from '{expression[0]}', unlike in an lstm")
