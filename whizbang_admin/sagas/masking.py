"""What of a saga's states and messages the user who looks may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whizbang.messages.personal import mask_payload
from whizbang.operations.sagas.masking import masked_saga_state
from whizbang_admin.frame.documents import may_see_payload, may_see_personal_data


@dataclass(frozen=True, slots=True)
class Sight:
    """Of `who` looks, on the instances of one saga. All it is given is plain, and nothing of that is changed."""

    saga: str
    who: Any

    def state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        if may_see_personal_data(self.who):
            return dict(state)
        return masked_saga_state(self.saga, state)

    def payload(self, type: str, data: Any) -> Any:
        return data if may_see_payload(self.who, type) else mask_payload(type, data)

    def of_difference(self, what: str, value: Any) -> Any:
        """One side of a difference that a replay check has found: see `Difference`."""
        if what == "state" and isinstance(value, dict):
            return self.state(value)
        if isinstance(value, list):
            return [self._command(item) for item in value]
        return value

    def _command(self, item: Any) -> Any:
        if not (isinstance(item, dict) and "data" in item):
            return item  # a name
        return {**item, "data": self.payload(str(item.get("type", "")), item["data"])}
