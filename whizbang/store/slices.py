"""Which slice of the log a stream belongs to: frozen for ever, since it is stored with every event."""

from __future__ import annotations

import zlib

SLICES = 1024  # frozen
MAX_NAME_LENGTH = 255  # characters; what the column holds on every database


def slice_of(stream: str) -> int:
    """CRC-32 of the stream's name in UTF-8, modulo 1024."""
    return zlib.crc32(stream.encode()) & 1023


def checked_slice_of(stream: str) -> int:
    """See `slice_of`, for a stream that is written to.

    Raises ValueError for a name that not every database keeps as it is.
    """
    if not 0 < len(stream) <= MAX_NAME_LENGTH or "\0" in stream:
        raise ValueError(_name_problem(stream))
    try:
        return slice_of(stream)
    except UnicodeEncodeError as exc:
        raise ValueError(_name_problem(stream)) from exc


def _name_problem(stream: str) -> str:
    shown = ascii(stream if len(stream) <= 60 else f"{stream[:60]}…")
    return (
        f"{shown} cannot be the name of a stream: it has {len(stream)} characters, and must have 1 to "
        f"{MAX_NAME_LENGTH}, none of them NUL or a lone surrogate."
    )
