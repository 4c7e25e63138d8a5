"""What names mean inside one function of a saga's code."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any, NamedTuple, get_type_hints

UNKNOWN = object()
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Bound:
    """An argument, as it was written, and where."""

    expression: ast.expr
    scope: Scope


class Method(NamedTuple):
    """A method of a saga, and the class that defines it."""

    function: FunctionType
    owner: type


def method_of(saga: type, name: str, *, after: type | None = None) -> Method | None:
    """What a saga's method of this name is, or in the classes behind one, as super() finds it.

    None where it is no function in Python.
    """
    order = saga.__mro__
    for cls in order if after is None else order[order.index(after) + 1 :]:
        if name in cls.__dict__:
            function = plain_function(cls.__dict__[name])
            return None if function is None else Method(function, cls)
    return None


def plain_function(value: Any) -> FunctionType | None:
    """Without decorators that leave what they wrap to be seen; None for what is no function in Python."""
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    found = inspect.unwrap(value) if callable(value) else None
    return found if isinstance(found, FunctionType) else None


class Scope:
    """A function's source with its names, in the code of a saga."""

    def __init__(
        self, function: FunctionType, owner: type | None, saga: type, node: Function
    ) -> None:
        self.function, self.owner, self.saga, self.node = function, owner, saga, node
        self._bound: dict[str, Bound] = {}
        self._closure = inspect.getclosurevars(function).nonlocals
        self._imported = dict(_imports_in(node, function))
        self._assigned = _group(_assignments_in(node))

    @classmethod
    def of(cls, function: FunctionType, owner: type | None, saga: type) -> Scope | None:
        """None where a function has no source that can be read."""
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
        except (
            OSError,
            TypeError,
            SyntaxError,
        ):  # made at run time; or a lambda inside a statement
            return None
        node = next(
            (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)),
            None,
        )
        return None if node is None else cls(function, owner, saga, node)

    @property
    def implicit(self) -> int:
        """How many parameters a call does not pass: self, of a method."""
        if self.owner is None:
            return 0
        return 0 if isinstance(self.owner.__dict__.get(self.function.__name__), staticmethod) else 1

    def is_self(self, expression: ast.expr) -> bool:
        """Does it say `self`, whatever the method calls it?"""
        own = self.parameters[:1] if self.implicit else []
        return isinstance(expression, ast.Name) and [expression.id] == own

    @property
    def parameters(self) -> list[str]:
        arguments = self.node.args
        return [arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]

    def bind(self, call: ast.Call, caller: Scope, *, skipping: int) -> None:
        """Let parameters, but for the first few, mean what a call passes for them."""
        names = self.parameters[skipping:]
        given = dict(zip(names, call.args, strict=False))
        given |= {k.arg: k.value for k in call.keywords if k.arg in names}
        self._bound = {name: Bound(value, caller) for name, value in given.items()}

    def meanings(self, name: str) -> list[Bound]:
        """What a name was bound to by a call, or is assigned in the function, anywhere."""
        if name in self._bound:
            return [self._bound[name]]
        return [Bound(value, self) for value in self._assigned.get(name, ())]

    def hint(self, name: str) -> Any:
        """The annotated type of a parameter, or "return"; UNKNOWN where there is none that can be read."""
        try:
            return get_type_hints(self.function).get(name, UNKNOWN)
        except (NameError, TypeError, AttributeError):  # of names under TYPE_CHECKING, say
            return UNKNOWN

    def value_of(self, expression: ast.expr) -> Any:
        """The object that a name, or an attribute of a module or class, stands for; else UNKNOWN."""
        if isinstance(expression, ast.Name):
            return self._global(expression.id)
        if isinstance(expression, ast.Attribute):
            holder = self.value_of(expression.value)
            if isinstance(holder, ModuleType):
                return vars(holder).get(expression.attr, UNKNOWN)
            if isinstance(holder, type):
                return inspect.getattr_static(holder, expression.attr, UNKNOWN)
        return UNKNOWN

    def _global(self, name: str) -> Any:
        if name in self._assigned or name in self.parameters:
            return UNKNOWN
        for names in (self._imported, self._closure, self.function.__globals__, vars(builtins)):
            if name in names:
                return names[name]
        return UNKNOWN


def _assignments_in(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for inner in ast.walk(node):
        targets: list[ast.expr] = []
        if isinstance(inner, ast.Assign):
            targets = inner.targets
        elif isinstance(inner, ast.AnnAssign | ast.NamedExpr):
            targets = [inner.target]
        for target in targets:
            if isinstance(target, ast.Name) and inner.value is not None:  # type: ignore[attr-defined]
                yield target.id, inner.value  # type: ignore[attr-defined]


def _group(pairs: Iterator[tuple[str, ast.expr]]) -> dict[str, list[ast.expr]]:
    found: dict[str, list[ast.expr]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _imports_in(node: ast.AST, function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Imports inside the function, of modules that are loaded."""
    package: str | None = function.__globals__.get("__package__")
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            for alias in inner.names:
                name = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or name, sys.modules.get(name, UNKNOWN)
        elif isinstance(inner, ast.ImportFrom):
            module = _module(inner, package)
            for alias in inner.names:
                yield alias.asname or alias.name, module.get(alias.name, UNKNOWN)


def _module(node: ast.ImportFrom, package: str | None) -> Mapping[str, Any]:
    name = "." * node.level + (node.module or "")
    if node.level:
        name = importlib.util.resolve_name(name, package)
    return vars(sys.modules[name]) if name in sys.modules else {}
