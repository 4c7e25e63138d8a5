"""What tells two payloads apart."""

from __future__ import annotations

import hashlib


def hash_of(type_name: str, payload: bytes) -> bytes:
    """16 bytes of BLAKE2b over type and JSON."""
    return hashlib.blake2b(type_name.encode() + b"\0" + payload, digest_size=16).digest()
