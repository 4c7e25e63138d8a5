"""A list as CSV or JSON: what its filters and its search leave, from its first row on, up to a bound."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.models import BinaryField, Field
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from whizbang.models.fields import DocumentField

FORMATS = ("csv", "json")
MOST_ROWS = 10_000
_CHUNK = 500
# A spreadsheet would run what begins with one; the wide ones too, in some locales.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def export(rows: Any, format: str, *, names: Sequence[str], file_name: str) -> HttpResponseBase:
    """Columns of a queryset as a file to save. JSON is one object a line, so that it can be read in pieces."""
    values = rows.values_list(*names)[:MOST_ROWS].iterator(chunk_size=_CHUNK)
    return download(values, format, names=names, file_name=file_name)


def download(
    values: Iterable[Sequence[Any]], format: str, *, names: Sequence[str], file_name: str
) -> HttpResponseBase:
    """Lines as a file to save; see export()."""
    lines = _csv(values, names) if format == "csv" else _json(values, names)
    kind = "text/csv; charset=utf-8" if format == "csv" else "application/x-ndjson"
    response = StreamingHttpResponse(lines, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{file_name}.{format}"'
    return response


def plain_columns(model: Any, without: Sequence[str]) -> list[str]:
    """Columns that are no payloads."""
    return [
        field.name
        for field in model._meta.concrete_fields
        if isinstance(field, Field)
        and not isinstance(field, BinaryField | DocumentField)
        and field.name not in without
    ]


class _Line:
    """What csv writes to."""

    def write(self, text: str) -> str:
        return text


def _csv(rows: Any, names: Sequence[str]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(names)
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _json(rows: Any, names: Sequence[str]) -> Iterator[str]:
    for row in rows:
        yield json.dumps(dict(zip(names, row, strict=True)), default=str, ensure_ascii=False) + "\n"
