"""Which of its two processes the example has during a test in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from django.apps import apps

from projects.example.process import CHOREOGRAPHY, SAGA, DomainConfig
from whizbang.operations.subscriptions import make_missing_rows
from whizbang.sagas import saga
from whizbang.testing.isolation import isolated


@contextmanager
def process_of(name: str) -> Iterator[None]:
    """The suite itself has the saga. What is recorded from here on reaches the others' subscribers."""
    with isolated():
        if name != SAGA:
            saga.declared[:] = [cls for cls in saga.declared if cls.domain() != "orders"]
        if name == CHOREOGRAPHY:
            for config in apps.get_app_configs():
                if isinstance(config, DomainConfig):
                    sys.modules.pop(f"{config.name}.choreography", None)
                    import_module(f"{config.name}.choreography")
        make_missing_rows(using="default")
        yield
