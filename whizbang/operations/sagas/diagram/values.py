"""Which commands, and which texts, an expression of a saga's code can stand for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple

from whizbang.messages.base import Command
from whizbang.operations.sagas.diagram.scope import Bound, Scope, method_of, plain_function

_MOST_TEXT = 60  # characters of code in a picture
_MOST_DEPTH = 20  # names that stand for each other, helpers that call helpers


class Value(NamedTuple):
    """A command's type name or a text; how it is written where the code must be run to know."""

    text: str
    is_known: bool


def commands_of(expression: ast.expr, scope: Scope, depth: int = 0) -> Iterator[Value]:
    """The types of the commands that it can be."""
    parts = list(_alternatives(expression, scope)) if depth < _MOST_DEPTH else []
    if parts:
        for part in parts:
            yield from commands_of(part.expression, part.scope, depth + 1)
        return
    known = _type_of(_made_by(expression, scope))
    if known is not None:
        yield Value(known, True)
    elif isinstance(expression, ast.Call) and depth < _MOST_DEPTH:
        yield from _returned_by(expression, scope, depth)
    else:
        yield _as_written(expression)


def texts_of(expression: ast.expr, scope: Scope, depth: int = 0) -> Iterator[Value]:
    """The texts that it can be."""
    parts = list(_alternatives(expression, scope)) if depth < _MOST_DEPTH else []
    if parts:
        for part in parts:
            yield from texts_of(part.expression, part.scope, depth + 1)
        return
    value = expression.value if isinstance(expression, ast.Constant) else scope.value_of(expression)
    yield Value(str(value), True) if isinstance(value, str) else _as_written(expression)


def _alternatives(expression: ast.expr, scope: Scope) -> Iterator[Bound]:
    """What it is one of, or stands for; nothing where it is what it is."""
    if isinstance(expression, ast.IfExp):
        yield from (Bound(expression.body, scope), Bound(expression.orelse, scope))
    elif isinstance(expression, ast.BoolOp):
        yield from (Bound(value, scope) for value in expression.values)
    elif isinstance(expression, ast.NamedExpr | ast.Await):
        yield Bound(expression.value, scope)
    elif isinstance(expression, ast.Name):
        yield from scope.meanings(expression.id)


def _made_by(expression: ast.expr, scope: Scope) -> Any:
    """The class that is called, or that a parameter is annotated with."""
    if isinstance(expression, ast.Call):
        return scope.value_of(expression.func)
    return scope.hint(expression.id) if isinstance(expression, ast.Name) else None


def _type_of(value: Any) -> str | None:
    """The name of a command's class; of a union or of Command itself it is not known."""
    if not (isinstance(value, type) and issubclass(value, Command)) or value is Command:
        return None
    return value.__whizbang__.type_name


def _returned_by(call: ast.Call, scope: Scope, depth: int) -> Iterator[Value]:
    found = _function_called(call, scope)
    inner = None if found is None else Scope.of(*found)
    if inner is None:
        yield _as_written(call)
        return
    known = _type_of(inner.hint("return"))
    if known is not None:
        yield Value(known, True)
        return
    inner.bind(call, scope, skipping=inner.implicit)
    returns = [node for node in ast.walk(inner.node) if isinstance(node, ast.Return)]
    returns.sort(key=lambda node: node.lineno)
    returned = [node.value for node in returns if node.value is not None]
    for expression in returned:
        yield from commands_of(expression, inner, depth + 1)
    if not returned:
        yield _as_written(call)


def _function_called(call: ast.Call, scope: Scope) -> tuple[FunctionType, type | None, type] | None:
    """A helper of the saga's own, or a function whose name can be resolved."""
    func, saga = call.func, scope.saga
    if isinstance(func, ast.Attribute) and scope.is_self(func.value):
        own = method_of(saga, func.attr)
        return None if own is None else (*own, saga)
    function = plain_function(scope.value_of(func))
    return None if function is None else (function, None, saga)


def _as_written(expression: ast.expr) -> Value:
    text = ast.unparse(expression)
    return Value(text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…", False)
