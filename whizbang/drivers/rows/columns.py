"""How columns take and give values, found out once a model and connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import models
from django.db.models import Field, Model

from whizbang.exceptions import WhizbangError

# Exactly these classes, not their subclasses: they store such a value as it is, on every product.
_PLAIN: dict[type, type] = {
    models.CharField: str,
    models.TextField: str,
    models.SlugField: str,
    models.EmailField: str,
    models.URLField: str,
    models.IntegerField: int,
    models.SmallIntegerField: int,
    models.BigIntegerField: int,
    models.PositiveIntegerField: int,
    models.PositiveSmallIntegerField: int,
    models.PositiveBigIntegerField: int,
    models.AutoField: int,
    models.BigAutoField: int,
    models.SmallAutoField: int,
    models.BooleanField: bool,
    models.FloatField: float,
}
# Python values that these fields give, and that cannot change in place.
_IMMUTABLE = (str, int, float, bool, Decimal, date, datetime, UUID, type(None))
_CONTAINERS = (dict, list, tuple, set)
ALWAYS_CHANGED = object()


def plain_type(field: Field[Any, Any]) -> type | None:
    """The type whose values a field takes and stores as they are."""
    return _PLAIN.get(type(field))


def columns_of(model: type[Model]) -> list[Field[Any, Any]]:
    return list(model._meta.concrete_fields)


def is_simple(field: Field[Any, Any]) -> bool:
    """Is its column written as %s and selected by its name?"""
    if type(field) is models.BinaryField:
        return True
    has_placeholder = hasattr(field, "get_placeholder") or hasattr(field, "get_placeholder_sql")
    return not has_placeholder and type(field).select_format is Field.select_format


def fits_array(field: Field[Any, Any]) -> bool:
    """unnest() flattens arrays of arrays; a cast to bit(n) cuts silently."""
    target = field.target_field if isinstance(field, models.ForeignKey) else field
    return is_simple(field) and not hasattr(target, "base_field")


def has_other_unique(model: type[Model], key: Field[Any, Any]) -> bool:
    """Can a row with this key be refused for another unique value that it is given?"""
    if any(f.unique for f in columns_of(model) if f is not key and not numbers_itself(f)):
        return True
    combined: list[Sequence[str]] = list(model._meta.unique_together)
    combined += [
        c.fields for c in model._meta.constraints if isinstance(c, models.UniqueConstraint)
    ]
    return any(tuple(names) != (key.name,) for names in combined)


def numbers_itself(field: Field[Any, Any]) -> bool:
    return isinstance(field, models.AutoField)


def tuple_getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    (name,) = names
    return lambda row: (getattr(row, name),)


def is_immutable(field: Field[Any, Any]) -> bool:
    if isinstance(field, models.ForeignKey):
        field = field.target_field  # its attribute holds the target's value
    return type(field) in _PLAIN or type(field) in (
        models.DecimalField,
        models.DateField,
        models.DateTimeField,
        models.UUIDField,
    )


def freeze(value: Any) -> Any:
    """A form in which a change in place shows; unlike ==, repr tells True from 1 in a document."""
    if isinstance(value, _IMMUTABLE):
        return value
    return repr(value) if type(value) in _CONTAINERS else ALWAYS_CHANGED


def fills_itself(field: Field[Any, Any]) -> bool:
    if isinstance(field, models.DateField | models.TimeField):
        return field.auto_now or field.auto_now_add
    return type(field).pre_save is not Field.pre_save


def to_database(field: Field[Any, Any], connection: Any) -> Callable[[Any], Any]:
    """How a value of this column is made ready for a statement; a plain one passes as it is."""
    plain = plain_type(field)
    takes_instants = False
    if connection.vendor == "postgresql":
        if type(field) is models.DecimalField:
            plain = Decimal
        takes_instants = type(field) is models.DateTimeField and settings.USE_TZ

    def prepare(value: Any) -> Any:
        if value is None or type(value) is plain:
            return value
        if takes_instants and type(value) is datetime and value.tzinfo is not None:
            return value
        if hasattr(value, "resolve_expression"):
            raise WhizbangError(
                f"{field.model._meta.label}.{field.name} was given the expression {value!r}: rows are "
                "folded in memory, so give it a value."
            )
        # A list with members of an enum beside plain strings is not one array to psycopg.
        value = value.value if isinstance(value, Enum) else value
        return field.get_db_prep_save(value, connection)

    return prepare


def from_database(
    field: Field[Any, Any], model: type[Model], connection: Any
) -> Callable[[Any], Any] | None:
    column = field.get_col(model._meta.db_table)
    converters = [
        *connection.ops.get_db_converters(column),
        *column.get_db_converters(connection),
    ]
    if not converters:
        return None
    if len(converters) == 1:
        return partial(_convert_once, converters[0], column, connection)

    def convert(value: Any) -> Any:
        for converter in converters:
            value = converter(value, column, connection)
        return value

    return convert


def _convert_once(converter: Any, column: Any, connection: Any, value: Any) -> Any:
    return converter(value, column, connection)
