"""Reads a saga's methods: which commands they send, which timeouts they set, how they end it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from whizbang.operations.sagas.diagram.scope import Method, Scope, method_of
from whizbang.operations.sagas.diagram.values import Value, commands_of, texts_of
from whizbang.sagas.saga import Saga

SEND, UNDO, TIMEOUT, CANCEL = "send", "undo", "timeout", "cancel"
COMPLETE, FAIL, OTHER = "complete", "fail", "other"
_VERBS = {
    "send": SEND,
    "compensate_with": UNDO,
    "timeout": TIMEOUT,
    "cancel_timeout": CANCEL,
    "complete": COMPLETE,
    "fail": FAIL,
}
# Their argument is not called, and does nothing to a saga.
_HARMLESS = (isinstance, issubclass, repr, str, print, id, type, hash, len, bool)


@dataclass(frozen=True, slots=True)
class Asked:
    """One thing that a method asks for: a command's type, a timeout's name, the reason of a failure.

    Where the code would have to be run to know, `is_known` is False and `name` is how it is written.
    """

    kind: str
    name: str = ""
    is_known: bool = True


def asked_by(saga: type[Saga], method: str) -> tuple[Asked, ...]:
    """All that a method may ask for, in the order in which it is written, also by methods that it calls.

    What cannot be followed is of the kind "other", so that nothing is left out without a word.
    """
    return tuple(dict.fromkeys(_Reader(saga).read(method)))


class _Reader:
    def __init__(self, saga: type[Saga]) -> None:
        self.saga = saga
        self._open: list[Method] = []  # that are being read: one may call itself

    def read(
        self,
        name: str,
        call: ast.Call | None = None,
        caller: Scope | None = None,
        *,
        after: type | None = None,
    ) -> Iterator[Asked]:
        method = method_of(self.saga, name, after=after)
        scope = None if method is None else Scope.of(*method, self.saga)
        if method is None or scope is None:
            yield Asked(OTHER, f"{name}(), which cannot be read", False)
        elif method not in self._open:
            if call is not None and caller is not None:
                scope.bind(call, caller, skipping=scope.implicit)
            self._open.append(method)
            yield from _Calls(self, scope).read()
            self._open.pop()


class _Calls(ast.NodeVisitor):
    """What one method does with `self`."""

    def __init__(self, reader: _Reader, scope: Scope) -> None:
        self._reader, self._scope = reader, scope
        self._found: list[Asked] = []

    def read(self) -> list[Asked]:
        for statement in self._scope.node.body:
            self.visit(statement)
        return self._found

    def visit_Call(self, node: ast.Call) -> None:
        func = node.func
        if isinstance(func, ast.Attribute) and self._scope.is_self(func.value):
            self._call_own(func.attr, node)
        elif isinstance(func, ast.Attribute) and _is_super(func.value):
            self._call_own(func.attr, node, after=self._scope.owner)
        else:
            self.visit(func)
            self._note_passing(node)
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self.visit(argument)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if self._scope.is_self(node.value) and node.attr in _VERBS:
            self._found.append(Asked(OTHER, f"{ast.unparse(node)}, called elsewhere", False))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if self._scope.is_self(node.value):
            self._found.append(Asked(OTHER, ast.unparse(node), False))
        self.generic_visit(node)

    def _note_passing(self, node: ast.Call) -> None:
        """Whoever gets `self` may call anything."""
        arguments = (*node.args, *(keyword.value for keyword in node.keywords))
        called = self._scope.value_of(node.func)
        if any(map(self._scope.is_self, arguments)) and not any(called is h for h in _HARMLESS):
            self._found.append(Asked(OTHER, ast.unparse(node), False))

    def _call_own(self, name: str, node: ast.Call, *, after: type | None = None) -> None:
        if name in _VERBS:
            self._found.extend(self._ask(_VERBS[name], node))
        elif not hasattr(Saga, name):
            self._found.extend(self._reader.read(name, node, self._scope, after=after))

    def _ask(self, kind: str, node: ast.Call) -> Iterator[Asked]:
        if kind == COMPLETE:
            yield Asked(kind)
            return
        words = {SEND: ("command",), FAIL: ("reason",)}.get(kind, ("name",))
        given = [k.value for k in node.keywords if k.arg in words or k.arg is None]
        arguments = node.args if kind == UNDO else [*node.args, *given][:1]
        for argument in arguments:
            for value in self._values(kind, argument):
                yield Asked(kind, value.text, value.is_known)

    def _values(self, kind: str, argument: ast.expr) -> Iterator[Value]:
        read = commands_of if kind in (SEND, UNDO) else texts_of
        return read(argument, self._scope)


def _is_super(expression: ast.expr) -> bool:
    func = expression.func if isinstance(expression, ast.Call) else None
    return isinstance(func, ast.Name) and func.id == "super"
