"""Migrations before and after a rebuild do what they do on a database that was never rebuilt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection, migrations, models, transaction
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.drivers.shadows.catalogue import describe
from whizbang.drivers.shadows import shadow_for
from whizbang.drivers.shadows.postgres import SwappedShadow

pytestmark = pytest.mark.usefixtures("no_tables")
APP = "shadow_moves"
KEY = "code"

OPERATIONS: list[Operation] = [
    migrations.CreateModel("Region", [("code", models.CharField(max_length=8, primary_key=True))]),
    migrations.CreateModel(
        "Shop",
        [
            (KEY, models.CharField(max_length=20, primary_key=True)),
            ("door", models.CharField(max_length=20, unique=True)),
            ("sales", models.DecimalField(max_digits=12, decimal_places=2, default=0)),
            ("visits", models.IntegerField(db_default=0)),
        ],
    ),
    migrations.AddField("Shop", "tags", models.JSONField(default=list)),
    migrations.AddField(
        "Shop", "region", models.ForeignKey(f"{APP}.Region", null=True, on_delete=models.PROTECT)
    ),
    migrations.AddIndex("Shop", models.Index(fields=["sales", "visits"], name="moves_sales")),
    migrations.AddConstraint(
        "Shop", models.CheckConstraint(condition=models.Q(visits__gte=0), name="moves_visits")
    ),
    migrations.AddConstraint(
        "Shop", models.UniqueConstraint(fields=["region", "door"], name="moves_place")
    ),
    migrations.AlterField("Shop", "door", models.CharField(max_length=30, db_index=True)),
    migrations.AlterField("Shop", "visits", models.BigIntegerField(db_default=1)),
    migrations.RenameIndex("Shop", new_name="moves_turnover", old_name="moves_sales"),
    migrations.RemoveIndex("Shop", "moves_turnover"),
    migrations.RenameField("Shop", "sales", "turnover"),
    migrations.AddIndex("Shop", models.Index(fields=["turnover"], name="moves_turnover")),
    migrations.AlterField("Shop", KEY, models.CharField(max_length=40, primary_key=True)),
    migrations.AlterField(
        "Region", "code", models.CharField(max_length=16, primary_key=True)
    ),  # the foreign key is dropped and made again
    migrations.RenameModel("Shop", "Store"),
    migrations.RemoveConstraint("Store", "moves_visits"),
    migrations.RemoveConstraint("Store", "moves_place"),
    migrations.RemoveIndex("Store", "moves_turnover"),
    migrations.AddField("Store", "note", models.TextField(default="", db_default="")),
    migrations.RemoveField("Store", "region"),
    migrations.AlterField("Store", "door", models.CharField(max_length=30, unique=True)),
    migrations.DeleteModel("Region"),
]


@pytest.fixture
def no_tables(transactional_db: None) -> Iterator[None]:
    drop_tables()
    yield
    drop_tables()


def drop_tables() -> None:
    cascade = " CASCADE" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor, connection.constraint_checks_disabled():
        if cascade:
            cursor.execute("DROP SCHEMA IF EXISTS whizbang_new, whizbang_old CASCADE")
        for name in ("store", "shop", "region"):
            table = connection.ops.quote_name(f"{APP}_{name}")
            cursor.execute(f"DROP TABLE IF EXISTS {table}{cascade}")


@pytest.mark.parametrize("method", ["swap", "merge"] if connection.vendor == "postgresql" else [""])
def test_each_migration_leaves_what_it_leaves_without_rebuilds(method: str) -> None:
    expected = list(migrate(None))
    drop_tables()
    found = list(migrate(method))
    for operation, plain, rebuilt in zip(OPERATIONS, expected, found, strict=True):
        assert rebuilt == plain, operation.describe()


def migrate(method: str | None) -> Iterator[list[Any]]:
    """The catalogue after each operation, each followed by a rebuild unless `method` is None."""
    state = ProjectState()
    for operation in OPERATIONS:
        after = state.clone()
        operation.state_forwards(APP, after)
        with connection.schema_editor(atomic=connection.features.can_rollback_ddl) as editor:
            operation.database_forwards(APP, editor, state, after)
        state = after
        model = find_model(state)
        if method is not None and model is not None:
            rebuild(model, method)
        yield [] if model is None else describe(model._meta.db_table)


def find_model(state: ProjectState) -> type[models.Model] | None:
    for name in ("store", "shop"):
        if (APP, name) in state.models:
            return state.apps.get_model(APP, name)
    return None


def rebuild(model: type[models.Model], method: str) -> None:
    """With a row, and the old table kept as an operator keeps it."""
    shadow = shadow_for(model, model._meta.get_field(KEY), "default", method=method or None)
    assert shadow is not None
    shadow.make()
    shadow.rows.fill([shadow.rows.blank("a")])
    shadow.finish()
    with transaction.atomic():
        shadow.publish()
    if isinstance(shadow, SwappedShadow):
        shadow.release_kept()
    shadow.discard()
    assert model._base_manager.count() == 1
