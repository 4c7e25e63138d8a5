from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from tests.drivers.shadows.models import MODELS


@pytest.fixture
def shops(transactional_db: None) -> Iterator[None]:
    """The tables of these tests, made and dropped around each: some of them alter them."""
    with connection.schema_editor() as editor:
        for model in MODELS:
            editor.create_model(model)
    yield
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP SCHEMA IF EXISTS whizbang_new, whizbang_old CASCADE")
        with connection.constraint_checks_disabled():
            for model in reversed(MODELS):
                name = model._meta.db_table
                cascade = " CASCADE" if connection.vendor == "postgresql" else ""
                cursor.execute(f"DROP TABLE IF EXISTS {connection.ops.quote_name(name)}{cascade}")
