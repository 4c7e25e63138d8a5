from __future__ import annotations

from typing import Any

from whizbang.messages.base import domain_of_module
from whizbang.projections.declaration import BEGINNING, declared


class Projection:
    delivery = "async"
    version = 1
    backfill_from: Any = BEGINNING
    using = None
    abstract = True

    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        cls._on = {}
        for base in reversed(cls.__mro__):
            for name, v in base.__dict__.items():
                for t, by in getattr(v, "__whizbang_on__", ()):
                    cls._on.setdefault(t, []).append((name, by))
        if not cls.__dict__.get("abstract"):
            declared.append(cls)

    @property
    def name(self):
        return f"{domain_of_module(type(self).__module__)}.{type(self).__name__}"

    def event_types(self):
        return {t: [getattr(self, n) for n, _ in ms] for t, ms in self._on.items()}

    @property
    def is_rebuildable(self):
        return hasattr(self, "clear")

    def apply_batch(self, events, *, using):
        for e, m in events:
            for name, _ in self._on.get(type(e), ()):
                getattr(self, name)(e, m)
