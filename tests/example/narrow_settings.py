"""The example where little is allowed: commands of 2,000 bytes, and 4,000 bytes a message on the broker."""

from __future__ import annotations

from projects.example.settings import *  # noqa: F403
from projects.example.settings import WHIZBANG as _WHIZBANG

_BROKER = _WHIZBANG["BROKERS"]["default"]
WHIZBANG = {
    **_WHIZBANG,
    "MAX_PAYLOAD_BYTES": 2_000,
    "BROKERS": {
        "default": {**_BROKER, "OPTIONS": {**_BROKER["OPTIONS"], "max_message_bytes": 4_000}}
    },
}
