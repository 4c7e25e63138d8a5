from __future__ import annotations

from tests.messaging.handlers import declare

__all__ = ["declare"]
