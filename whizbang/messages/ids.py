"""Message ids: UUIDv7, so that they sort by time (RFC 9562)."""

from __future__ import annotations

import sys
from uuid import UUID

if sys.version_info >= (3, 14):
    from uuid import uuid7 as make_id

    def make_id_text() -> str:
        """A new id as text."""
        return str(make_id())

else:
    from uuid_utils import uuid7 as _make_native
    from uuid_utils.compat import uuid7 as make_id

    def make_id_text() -> str:
        """A new id as text, in a quarter of the time that the object takes."""
        return str(_make_native())


__all__ = ["UUID", "make_id", "make_id_text"]
