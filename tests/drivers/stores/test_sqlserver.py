"""The statements for SQL Server, read by a grammar of its dialect: no server is needed, and none has run them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlglot
from sqlglot import errors, expressions

from whizbang.drivers.stores import schema, statements
from whizbang.drivers.stores.base import LogFilter
from whizbang.drivers.stores.sqlserver import SqlServerStore

FOLDER = Path(statements.__file__).parent / "sql" / "microsoft"
NOW = datetime(2024, 1, 1, tzinfo=UTC)


def parse(sql: str) -> list[expressions.Expression]:
    """Fails for what the grammar does not know, also where it would take it as an opaque command."""
    with_parameters = sql.replace("%s", "@p")
    found = sqlglot.parse(with_parameters, dialect="tsql", error_level=errors.ErrorLevel.RAISE)
    return [statement for statement in found if statement is not None]


def reads(store: SqlServerStore) -> dict[str, tuple[str, int]]:
    """Every kind of page with its count of parameters besides the limit."""
    everything = LogFilter(
        types=["t"],
        categories=["c"],
        slices=[1],
        streams=["s"],
        positions=[1],
        since=NOW,
        before=NOW,
        occurred_since=NOW,
        occurred_before=NOW,
    )
    log, log_params = store._log_conditions(everything)
    stream, stream_params = store._stream_conditions("s", 0, 9, NOW, NOW)
    several = [store._is_in("stream"), store._after_place]
    return {
        "log": (store._page_sql(log, "position"), len(log_params)),
        "stream": (store._page_sql(stream, "version DESC"), len(stream_params)),
        "streams": (store._page_sql(several, "stream, version"), 1 + len(store._place("s", 1))),
        "state": (store._state_sql, 3),
    }


@pytest.mark.parametrize("name", ["log", "stream", "streams", "state"])
def test_reads_are_selects_of_one_page_with_all_parameters(name: str) -> None:
    sql, count = reads(SqlServerStore(using="default"))[name]
    (statement,) = parse(sql)
    assert isinstance(statement, expressions.Select)
    assert statement.find(expressions.Fetch) is not None
    assert sql.count("%s") == count + 1


@pytest.mark.parametrize("row_count", [1, 3])
def test_append_is_one_batch_that_draws_inserts_and_tells_the_position(row_count: int) -> None:
    sql = SqlServerStore(using="default").append_statement(row_count)
    kinds = [type(statement) for statement in parse(sql)]
    wanted = [expressions.Update, expressions.Insert, expressions.Select]
    assert [kind for kind in kinds if kind in wanted] == wanted
    assert sql.count("%s") == 1 + 9 * row_count < 2100


@pytest.mark.parametrize("name", [path.stem for path in FOLDER.glob("read_*.sql")])
def test_kept_reads_are_selects(name: str) -> None:
    (statement,) = parse(statements.load_statement("microsoft", name))
    assert isinstance(statement, expressions.Select)


def test_every_statement_of_the_schema_is_there() -> None:
    names = [*schema.CREATE["microsoft"], *schema.DROP["microsoft"]]
    assert sorted(names) == sorted(path.stem for path in (FOLDER / "schema").glob("*.sql"))
