"""Projections into documents outside the database: a cache, a search engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby, islice
from typing import Any, ClassVar

import msgspec
from asgiref.sync import sync_to_async
from django.db import connections

from whizbang.conf import settings
from whizbang.drivers.sinks import sink_of
from whizbang.drivers.sinks.base import Collection, Document, Sink
from whizbang.exceptions import WhizbangError
from whizbang.projections.drafts import RESERVED, Draft
from whizbang.projections.failing import mark_failing
from whizbang.projections.free import Projection, Recorded
from whizbang.projections.keys import key_finder, text_key, text_keys
from whizbang.subscriptions.partitioning import KeyFilter

_COLLECTION_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
_WRITTEN_AT_ONCE = 1000
Step = tuple[str, Callable[..., Any], Any, Any]  # key, method, event, meta


class ExternalProjection(Projection):
    """Reacts to events with methods marked by @on(…, by=…), called as method(document, event, meta).

    The document is a dict of plain JSON values, kept under the key that `by` gives in a collection of the
    sink WHIZBANG["SINKS"][sink]. A missing one is blank(); returning DELETE removes it. Methods change
    nothing but the document: they may be called again for an event whose document could not be stored.
    Values are stored as JSON and come back so: a Decimal, UUID or datetime as text.
    """

    abstract: ClassVar[bool] = True
    needs_keys: ClassVar[bool] = True
    sink: ClassVar[str] = "default"
    collection: ClassVar[str | None] = None  # None: the projection's name in lower case
    mapping: ClassVar[Mapping[str, Any]] = {}  # fields that are searched, in the product's form

    @property
    def is_rebuildable(self) -> bool:
        return True

    def blank(self, key: str) -> dict[str, Any]:
        """A document that is not there yet."""
        return {}

    @classmethod
    def get(cls, key: Any) -> dict[str, Any] | None:
        """A document as it is now, None where there is none. Raises `SinkUnavailable`."""
        return cls.get_many([key]).get(text_key(key, cls.__name__))

    @classmethod
    def get_many(cls, keys: Iterable[Any]) -> dict[str, dict[str, Any]]:
        """Those of the documents that are there, by their keys as text. Raises `SinkUnavailable`."""
        texts = [text_key(key, cls.__name__) for key in keys]
        found = cls.open_sink().read(cls.stored_as(), list(dict.fromkeys(texts)))
        return {k: msgspec.json.decode(d.body) for k, d in found.items() if d.body is not None}

    @classmethod
    async def aget(cls, key: Any) -> dict[str, Any] | None:
        """See get()."""
        return await sync_to_async(cls.get)(key)

    @classmethod
    async def aget_many(cls, keys: Iterable[Any]) -> dict[str, dict[str, Any]]:
        """See get_many()."""
        return await sync_to_async(cls.get_many)(keys)

    @classmethod
    def open_sink(cls) -> Sink:
        """The sink's driver; Elasticsearch's has `client` and `alias_of(collection)` for searches."""
        return sink_of(cls.sink)

    @classmethod
    def stored_as(cls) -> Collection:
        name = cls.collection or cls().name.lower()
        return Collection(name=name, mapping=cls.mapping)

    @cached_property
    def own_fingerprint(self) -> str:
        """What a rebuild is needed for when it changes."""
        described = [self.sink, self.stored_as().name, self.mapping]
        return msgspec.json.encode(described, order="deterministic").decode()

    def steps(self, events: Iterable[Recorded]) -> list[Step]:
        """Which method is to be called with which document, in order."""
        found = []
        for event, meta in events:
            for method, find_keys in self._routes.get(type(event), ()):
                try:
                    keys = text_keys(find_keys(event, meta), self.name)
                except Exception as exc:
                    mark_failing(exc, meta)
                    raise
                found += [(key, method, event, meta) for key in keys]
        return found

    def fold(
        self, steps: Sequence[Step], drafts: Mapping[str, Draft], *, is_late: bool = False
    ) -> None:
        """Apply the events of one position to their documents, unless they are in; all or none of it."""
        if not steps:
            return
        stream, position = steps[0][3].stream, steps[0][3].position
        saved = {
            key: drafts[key].saved()
            for key, *_ in steps
            if not drafts[key].has(stream, position, is_late=is_late)
        }
        try:
            for key, method, event, meta in steps:
                if key in saved:
                    drafts[key].change(method, self.blank, event, meta)
        except Exception as exc:
            for key, state in saved.items():
                drafts[key].restore(state)
            mark_failing(exc, steps[0][3])
            raise
        for key in saved:
            drafts[key].note(stream, position, is_late=is_late)

    def apply_batch(
        self, events: Sequence[Recorded], *, using: str, slices: KeyFilter | None = None
    ) -> None:
        """See Projection.apply_batch(). Workers do not call it: they write outside of transactions."""
        raise WhizbangError(
            f"{self.name} writes to a sink, which knows no transactions: a worker feeds it."
        )

    def fold_all(self, events: Iterable[Recorded], *, using: str) -> dict[str, Draft]:
        """Fold a history as if there were no documents yet; gives the final ones by key, in memory."""
        drafts: dict[str, Draft] = {}
        for _, at_position in groupby(events, key=lambda item: item[1].position):
            steps = self.steps(at_position)
            for key, *_ in steps:
                drafts.setdefault(key, Draft(key))
            self.fold(steps, drafts)
        return {key: draft for key, draft in drafts.items() if draft.body is not None}

    def replace_all(self, folded: Mapping[str, Draft], *, using: str) -> None:
        """Fill a new generation and let readers see it; who dies in between leaves the old one.

        The checkpoint moves afterwards: events that are applied again are in the documents already.
        """
        from whizbang.projections.generations import new_generation

        sink, collection, generation = self.open_sink(), self.stored_as(), new_generation()
        sink.create(collection, generation)
        remaining = iter(folded.values())
        while chunk := list(islice(remaining, _WRITTEN_AT_ONCE)):
            documents: list[Document] = [draft.document(frozenset()) for draft in chunk]
            sink.write(collection, generation, documents)
            # The caller's transaction would count as idle, and be ended, while the sink is filled.
            with connections[using].cursor() as cursor:
                cursor.execute("SELECT 1")
        sink.publish(collection, generation)

    @cached_property
    def _routes(self) -> dict[type, list[tuple[Callable[..., Any], Callable[[Any, Any], Any]]]]:
        return {
            event_type: [(getattr(self, name), key_finder(by)) for name, by in pairs]
            for event_type, pairs in self.reactions.items()
        }

    @classmethod
    def own_problems(cls) -> Iterator[str]:
        if cls.delivery == "inline":
            yield "a sink takes no part in the event's transaction: leave delivery = 'async'."
        if cls.partition_by is not None:
            yield "what goes to a sink has one partition: drop partition_by."
        if cls.sink not in settings.SINKS:
            known = ", ".join(sorted(settings.SINKS)) or "none"
            yield f"sink is {cls.sink!r}, which WHIZBANG['SINKS'] does not have; there are: {known}."
        name = cls.stored_as().name
        if not _COLLECTION_NAME.fullmatch(name):
            yield (
                f"collection is {name!r}: use up to 100 lower-case letters, digits, dots, hyphens and "
                "underscores, and begin with a letter or digit."
            )
        for field in cls.mapping:
            if field.startswith(RESERVED):
                yield f"the field {field!r} of mapping begins with {RESERVED!r}: give it another name."
