"""SQL statements kept one a file, under sql/<vendor>/."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def load_statement(vendor: str, name: str) -> str:
    """The statement of sql/<vendor>/<name>.sql without its comment lines, read once."""
    source = files("whizbang.drivers.stores").joinpath("sql", vendor, f"{name}.sql")
    lines = source.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not line.startswith("--"))
