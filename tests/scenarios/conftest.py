"""What scenarios of the log share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.scenarios.sessions import connect


@pytest.fixture
def writers() -> Iterator[Callable[[], Any]]:
    """Opens sessions; each is in a transaction from its first statement on."""
    opened: list[Any] = []

    def open_writer() -> Any:
        opened.append(connect())
        return opened[-1]

    yield open_writer
    for writer in opened:
        writer.close()
