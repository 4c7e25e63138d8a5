"""Dead letters that somebody has chosen in the list."""

from __future__ import annotations

from typing import Any

from whizbang.operations.actions.dead_letters import MOST_AT_ONCE


def ids_of(rows: Any) -> str:
    """Their numbers, as actions take them; of as many as are done at once."""
    pks = rows.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE]
    return ",".join(str(pk) for pk in pks)
