"""The contract: a table like the live one that a rebuild fills, compares and publishes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from django.db.models import Field, Model

from whizbang.drivers.rows import rows_of
from whizbang.drivers.rows.base import Rows
from whizbang.drivers.shadows.comparing import Difference, compare_tables


class Shadow(ABC):
    """The table that will take the place of a model's live one.

    Made and finished outside of transactions that matter, since on MySQL and MariaDB DDL commits them.
    """

    method: ClassVar[str]  # as a run tells it: swap or merge
    # Is the old table kept when this one is published, so that it can be put back?
    keeps_old: ClassVar[bool] = False

    def __init__(self, model: type[Model], key: Field[Any, Any], connection: Any) -> None:
        self.model, self.key, self.connection = model, key, connection
        self.live = connection.ops.quote_name(model._meta.db_table)

    @property
    @abstractmethod
    def table(self) -> str:
        """Its quoted name."""

    @property
    def rows(self) -> Rows:
        """The gateway to its rows."""
        return rows_of(self.model, self.key, self.connection.alias, table=self.table)

    @abstractmethod
    def exists(self) -> bool:
        """Is there one, of this run or of one that was killed?"""

    @abstractmethod
    def make(self) -> None:
        """Make it anew, empty and without indexes where the product can add them later."""

    @abstractmethod
    def finish(self) -> None:
        """Add the indexes and constraints that are missing; may be done twice."""

    def compare(self, *, most_samples: int) -> Difference:
        """How its rows differ from the live ones, as the caller's transaction sees both."""
        return compare_tables(self, most_samples=most_samples)

    @abstractmethod
    def publish(self) -> None:
        """Readers see its rows from the commit of the caller's transaction on.

        Raises Django's database errors, a lock that could not be had in time among them: roll back, and
        try again.
        """

    @abstractmethod
    def discard(self) -> None:
        """Drop it, if it is there."""

    def quote(self, name: str | None) -> str:
        """A table's or column's name; a concrete field has a column, whatever its type says."""
        return str(self.connection.ops.quote_name(name))

    def execute(self, statement: str, params: Any = None) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)

    def fetch(self, statement: str, params: Any = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            return list(cursor.fetchall())
