"""What stands against a table of the rebuild's own on PostgreSQL, and against exchanging it for the live one."""

from __future__ import annotations

from typing import Any

from django.db.models import Field, Model

NEW_SCHEMA, OLD_SCHEMA = "whizbang_new", "whizbang_old"

# Each gives a row where it applies. What LIKE does not copy, or what follows the old table, stands against it.
_OBSTACLES = {
    "it belongs to another role, and only an owner can move a table": (
        "SELECT 1 FROM pg_class WHERE oid = %(table)s AND relowner <> current_user::regrole"
    ),
    "it is no plain, logged table that stands by itself": (
        "SELECT 1 FROM pg_class c WHERE oid = %(table)s AND (relkind <> 'r' OR relpersistence <> 'p'"
        " OR relispartition OR EXISTS (SELECT 1 FROM pg_inherits"
        " WHERE inhrelid = c.oid OR inhparent = c.oid))"
    ),
    "another table refers to it by a foreign key": (
        "SELECT 1 FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = %(table)s AND conrelid <> %(table)s"
    ),
    "it refers to itself": (
        "SELECT 1 FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = %(table)s AND conrelid = %(table)s"
    ),
    "a view reads it": (
        "SELECT 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
        " WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = %(table)s"
        " AND r.ev_class <> %(table)s"
    ),
    "it has a trigger or a rule": (
        "SELECT 1 FROM pg_class c WHERE oid = %(table)s AND (relhasrules OR EXISTS"
        " (SELECT 1 FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal))"
    ),
    "it is published for replication": (
        "SELECT 1 FROM pg_publication_tables p JOIN pg_class c ON c.oid = %(table)s"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE p.schemaname = n.nspname AND p.tablename = c.relname"
    ),
    "it has row security": (
        "SELECT 1 FROM pg_class WHERE oid = %(table)s AND (relrowsecurity OR relforcerowsecurity)"
    ),
    "it has grants, storage parameters, a replica identity or a tablespace of its own": (
        "SELECT 1 FROM pg_class c WHERE oid = %(table)s AND (relacl IS NOT NULL OR reloptions IS NOT NULL"
        " OR relreplident <> 'd' OR reltablespace <> 0 OR EXISTS (SELECT 1 FROM pg_attribute"
        " WHERE attrelid = c.oid AND (attacl IS NOT NULL OR attoptions::text LIKE '%%n_distinct%%')))"
    ),
    "it has extended statistics, or is clustered by an index": (
        "SELECT 1 FROM pg_class c WHERE oid = %(table)s AND (EXISTS (SELECT 1 FROM pg_statistic_ext"
        " WHERE stxrelid = c.oid) OR EXISTS (SELECT 1 FROM pg_index"
        " WHERE indrelid = c.oid AND (indisclustered OR indisreplident OR NOT indisvalid)))"
    ),
    "a sequence numbers its rows": (
        "SELECT 1 FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'"
        " WHERE d.refobjid = %(table)s AND d.deptype IN ('a', 'i')"
    ),
}


def obstacles_to_schema(model: type[Model], connection: Any) -> list[str]:
    """Why no table can be made beside the live one; a sentence each."""
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NULL", [table])
        if cursor.fetchone()[0]:
            return ["the live table does not exist: run `manage.py migrate`"]
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE NOT CASE"
            " WHEN to_regnamespace(name) IS NULL"
            " THEN has_database_privilege(current_database(), 'CREATE')"
            " ELSE has_schema_privilege(name, 'CREATE') END",
            [[NEW_SCHEMA, OLD_SCHEMA]],
        )
        return [f"no right to create in schema {name}" for (name,) in cursor.fetchall()]


def obstacles_to_swap(model: type[Model], key: Field[Any, Any], connection: Any) -> list[str]:
    """Why the tables cannot be exchanged, so that rows have to be merged; a sentence each."""
    found = (
        [] if key.primary_key else ["its key is not the primary key, and rows keep their number"]
    )
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)::oid", [table])
        known = {"table": cursor.fetchone()[0]}
        for reason, statement in _OBSTACLES.items():
            cursor.execute(f"SELECT EXISTS ({statement})", known)
            if cursor.fetchone()[0]:
                found.append(reason)
    return found
