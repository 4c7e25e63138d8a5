"""Credentials in texts."""

from __future__ import annotations

import pytest

from whizbang.drivers.sinks.masking import mask


@pytest.mark.parametrize(
    "url", ["amqp://user:secret@host/v", "redis://:secret@host/v", "amqp://u:sec@ret@host/v"]
)
def test_user_part_of_an_address_is_masked(url: str) -> None:
    assert mask(f"cannot reach {url}.") == f"cannot reach {url.partition(':')[0]}://***@host/v."
