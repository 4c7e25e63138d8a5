"""Lines of COPY's text format: a bulk import spends less on them than psycopg on a row of any types.

Columns stand between tabs; backslash, tab and line ends are written as escapes (the server's manual, COPY, "Text
Format").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from whizbang.drivers.stores.base import ImportTarget, NewRow

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_lines(
    targets: Sequence[ImportTarget],
    versions: Sequence[int],
    rows: Iterable[NewRow],
    *,
    recorded_at: str,
) -> Iterator[bytes]:
    """A line an event, in the columns of the statement `copy_events`."""
    recorded = recorded_at.encode()
    names: dict[str, bytes] = {}  # of streams and types: few, and each comes many times
    last: datetime | None = None
    occurred = b""
    for (stream, _), version, row in zip(targets, versions, rows, strict=True):
        type, schema, slice, payload, metadata, occurred_at = row
        if occurred_at is not last:
            last, occurred = occurred_at, str(occurred_at).encode()
        yield b"%b\t%d\t%b\t%d\t%d\t%b\t%b\t%b\t%b\n" % (
            names.get(stream) or _remember(names, stream),
            version,
            names.get(type) or _remember(names, type),
            schema,
            slice,
            # A document of JSON has no tabs and line ends as they are.
            payload.replace(b"\\", b"\\\\"),
            metadata.replace(b"\\", b"\\\\"),
            occurred,
            recorded,
        )


def _remember(names: dict[str, bytes], name: str) -> bytes:
    found = names[name] = name.translate(_ESCAPES).encode()
    return found
