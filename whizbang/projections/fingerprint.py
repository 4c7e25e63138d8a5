"""What a projection's rows look like, as a short text: when it changes, history has to be folded anew."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.db.models import Field, Model

# What changes nothing that is stored.
_COSMETIC = frozenset(
    (
        "blank choices db_comment editable error_messages help_text related_name "
        "related_query_name validators verbose_name"
    ).split()
)


def fingerprint_of(projection: Any) -> str:
    """Of a projection's model or collection, as the code declares it; empty for one in free form."""
    own: str | None = getattr(projection, "own_fingerprint", None)
    if own is not None:
        return hashlib.sha256(own.encode()).hexdigest()
    model: type[Model] | None = getattr(projection, "model", None)
    if model is None:
        return ""
    columns = sorted(_describe(field) for field in model._meta.concrete_fields)
    return hashlib.sha256(json.dumps([model._meta.db_table, columns]).encode()).hexdigest()


def _describe(field: Field[Any, Any]) -> list[str]:
    _, path, args, known = field.deconstruct()
    kept = {name: value for name, value in known.items() if name not in _COSMETIC}
    if callable(kept.get("default")):
        kept["default"] = getattr(kept["default"], "__qualname__", "callable")
    return [str(field.column), path, repr(args), repr(sorted(kept.items(), key=_name))]


def _name(item: tuple[str, Any]) -> str:
    return item[0]
