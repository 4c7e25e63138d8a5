"""States of sagas without personal data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whizbang.messages.personal import mask_leaves
from whizbang.operations.events.states import masked_attributes
from whizbang.sagas.declaration import find_saga


def masked_saga_state(name: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of an instance's state, or of a part of it, as masked_state() makes one of an aggregate's: by the
    saga's annotations, and by the events that it hears. All is masked where no class has the name."""
    saga = find_saga(name)
    if saga is None:
        return dict(mask_leaves(dict(state)))
    return masked_attributes(state, saga.state_type().fields, saga.reactions)
