"""Pytest plugin: a `drain` fixture, and caches that no test leaves to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from whizbang.testing.draining import DrainCounts


@pytest.fixture
def drain(db: None) -> Callable[..., DrainCounts]:
    """Handles, projects and relays all that waits; see whizbang.testing.drain."""
    from whizbang.testing.draining import drain as run

    return run


@pytest.fixture(autouse=True)
def _empty_memory_sinks() -> Iterator[None]:
    """A test's documents in memory go with its database."""
    yield
    sinks = sys.modules.get("whizbang.drivers.sinks")
    if sinks is not None:
        sinks.close_all()


@pytest.fixture
def isolated_registry() -> Iterator[None]:
    """Handlers, messages and projections declared inside the test are forgotten after it."""
    from whizbang.testing.isolation import isolated

    with isolated():
        yield
