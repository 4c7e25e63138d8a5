"""Marks that depend on the database of the run."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from django.conf import settings

F = TypeVar("F")


def soak_on(*kinds: str) -> Any:
    """For a long test that is seen on other databases: on these it runs with `make soak` alone."""
    return pytest.mark.soak if settings.DATABASE_KIND in kinds else _as_it_is


def _as_it_is(test: F) -> F:
    return test
