"""Pytest plugin: a `drain` fixture, and caches that no test leaves to the next."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from whizbang.testing.draining import DrainCounts


def pytest_configure() -> None:
    """Cached projections are filled by the test's own thread, and brought up to date by drain()."""
    from whizbang.projections.cached.by_hand import keep_by_hand

    keep_by_hand(True)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    _forget_caches()


def _forget_caches() -> None:
    caches = sys.modules.get("whizbang.projections.cached.caches")
    if caches is not None:
        caches.reset()


@pytest.fixture
def following_caches(transactional_db: None) -> Iterator[None]:
    """Threads keep cached projections current, as they do in production."""
    from whizbang.projections.cached.by_hand import keep_by_hand

    _forget_caches()
    keep_by_hand(False)
    yield
    keep_by_hand(True)
    _forget_caches()


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
