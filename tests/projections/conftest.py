from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from tests.projections.models import MODELS


@pytest.fixture(scope="session")
def tables(django_db_setup: None, django_db_blocker: Any) -> None:
    """Creates the tables of these tests in the test database, once a run."""
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)


@pytest.fixture
def empty_tables(tables: None, transactional_db: None) -> Iterator[None]:
    """For tests with several transactions: flush does not know tables of apps that are not installed."""
    yield
    for model in MODELS:
        model._base_manager.all().delete()
