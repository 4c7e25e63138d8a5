"""Checks early that a function takes what it will be called with."""

from __future__ import annotations

import inspect
from typing import Any


def check_takes(function: Any, *names: str, decorator: str) -> None:
    """Raise TypeError unless the function can be called with arguments for these names."""
    wanted = f"({', '.join(names)})"
    if inspect.isclass(function) or not callable(function):
        raise TypeError(f"@{decorator} goes on a function{wanted}, not on {function!r}.")
    try:
        inspect.signature(function).bind(*names)
    except TypeError as exc:
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(
            f"@{decorator} calls {name}{wanted}: {exc}. Give it these arguments."
        ) from exc
