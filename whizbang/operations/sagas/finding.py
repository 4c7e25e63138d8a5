"""Sagas by their names."""

from __future__ import annotations

from whizbang.exceptions import WhizbangError
from whizbang.sagas.declaration import all_sagas, find_saga
from whizbang.sagas.saga import Saga


def known_sagas() -> list[str]:
    """The names of all sagas that the code declares."""
    return sorted(saga.name() for saga in all_sagas())


def saga_named(name: str) -> type[Saga]:
    """The saga of this name. Raises WhizbangError with the names there are."""
    found = find_saga(name)
    if found is None:
        raise WhizbangError(
            f"No saga {name!r}: there are {', '.join(known_sagas()) or 'none'}. The events of an instance "
            "whose class is gone are still shown by `manage.py whizbang streams`."
        )
    return found
