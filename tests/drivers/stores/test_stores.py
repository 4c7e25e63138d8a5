"""Our drivers pass the suite that every driver passes."""

from __future__ import annotations

import pytest

from whizbang.drivers.stores.base import EventStoreDriver
from whizbang.drivers.stores.sqlite import SqliteStore
from whizbang.testing.conformance.store import StoreContract


@pytest.mark.requires_sqlite
class TestSqliteStore(StoreContract):
    @pytest.fixture
    def store(self, db: None) -> EventStoreDriver:
        return SqliteStore(using="default")


@pytest.mark.requires_postgres
class TestPostgresStore(StoreContract):
    @pytest.fixture
    def store(self, db: None) -> EventStoreDriver:
        from whizbang.drivers.stores.postgres import PostgresStore

        return PostgresStore(using="default")


@pytest.mark.requires_mariadb
class TestMysqlStore(StoreContract):
    @pytest.fixture
    def store(self, db: None) -> EventStoreDriver:
        from whizbang.drivers.stores.mysql import MysqlStore

        return MysqlStore(using="default")


@pytest.mark.requires_mssql
class TestSqlServerStore(StoreContract):
    @pytest.fixture
    def store(self, db: None) -> EventStoreDriver:
        from whizbang.drivers.stores.sqlserver import SqlServerStore

        return SqlServerStore(using="default")
