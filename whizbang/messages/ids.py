"""Message ids: UUIDv7, so that they sort by time (RFC 9562)."""

from __future__ import annotations

import sys
from uuid import UUID

if sys.version_info >= (3, 14):
    from uuid import uuid7 as make_id
else:
    from uuid_utils.compat import uuid7 as make_id

__all__ = ["UUID", "make_id"]
