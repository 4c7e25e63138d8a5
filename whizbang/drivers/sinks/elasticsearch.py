"""Elasticsearch as a sink: an index a generation, an alias that readers search."""

from __future__ import annotations

import time
from collections.abc import Collection as Several
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar

import msgspec

from whizbang.drivers.sinks.base import (
    Collection,
    Document,
    GenerationGone,
    Sink,
)
from whizbang.drivers.sinks.masking import mask, secrets_in
from whizbang.exceptions import SinkUnavailable

# Fields of our own beside a document's; the projection refuses documents that have one.
_POSITION = "whizbang_position"
_APPLIED = "whizbang_applied"
_DELETED_AT = "whizbang_deleted_at"
_OWN_FIELDS = {
    _POSITION: {"type": "long", "index": False, "doc_values": False},
    _APPLIED: {"type": "object", "enabled": False},
    _DELETED_AT: {"type": "date"},
}
_NO_TOMBSTONES = {"bool": {"must_not": [{"exists": {"field": _DELETED_AT}}]}}
_TOLD_OF_BULK = "items.*._id,items.*.status,items.*.error.type,items.*.error.reason"
_SECRET_OPTIONS = ("api_key", "basic_auth", "client")
_REFUSED = range(400, 500)
_BUSY = 429
_CONFLICT = 409
_MISSING = 404


class ElasticsearchSink(Sink):
    """Documents in Elasticsearch 8, by its official client (`django-whizbang[elasticsearch]`).

    Search by the alias PREFIX + COLLECTION, which leaves tombstones out. Each index has another alias,
    whose name ends in "-w", for writing: it goes away with its index, so that a late write fails instead
    of making a new one. What was written is found by a search after the index's refresh, and by key at once.
    """

    own_options: ClassVar[Mapping[str, Any]] = {
        "url": "http://127.0.0.1:9200",
        "api_key": None,
        "basic_auth": None,
        "index_settings": {},
        "client": {},  # more arguments of elasticsearch.Elasticsearch
    }

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(alias, options)
        self._secrets = [s for name in _SECRET_OPTIONS for s in secrets_in(self.options[name])]
        self._purged_at: dict[str, float] = {}

    def alias_of(self, collection: Collection) -> str:
        """The name by which a collection is searched."""
        return f"{self.options['prefix']}{collection.name}"

    def check(self) -> None:
        with self._answering():
            self.client.info()

    def close(self) -> None:
        client = self.__dict__.pop("client", None)
        if client is not None:
            client.close()

    def live(self, collection: Collection) -> str | None:
        from elasticsearch import NotFoundError

        alias = self.alias_of(collection)
        try:
            with self._answering(NotFoundError):
                indexes = sorted(self.client.indices.get_alias(name=alias).body)
        except NotFoundError:
            return None
        if len(indexes) > 1:
            raise SinkUnavailable(
                self.alias,
                f"alias {alias!r} stands for {', '.join(indexes)}: rebuild the projection, which leaves one.",
            )
        return str(indexes[0]).removeprefix(f"{alias}--")

    def open(self, collection: Collection, first: str) -> str:
        live = self.live(collection)
        if live is None:
            # Who makes the same one at the same time finds it made: one alias, one index.
            self._make(collection, first, {self.alias_of(collection): {"filter": _NO_TOMBSTONES}})
            live = self.live(collection) or first
        return live

    def create(self, collection: Collection, generation: str) -> None:
        live = self.live(collection)
        abandoned = [name for name in self._generations(collection) if name != live]
        with self._answering():
            for name in abandoned:
                self.client.options(ignore_status=_MISSING).indices.delete(
                    index=self._index(collection, name)
                )
        self._make(collection, generation, {})

    def publish(self, collection: Collection, generation: str) -> None:
        known = self._generations(collection)
        if generation not in known:
            raise GenerationGone(collection.name, generation)
        new = {"index": self._index(collection, generation), "alias": self.alias_of(collection)}
        actions: list[dict[str, Any]] = [{"add": {**new, "filter": _NO_TOMBSTONES}}]
        actions += [
            {"remove_index": {"index": self._index(collection, name)}}
            for name in known
            if name != generation
        ]
        with self._answering():
            self.client.indices.update_aliases(actions=actions)

    def drop(self, collection: Collection) -> None:
        names = self._generations(collection)
        with self._answering():
            for name in names:
                self.client.options(ignore_status=_MISSING).indices.delete(
                    index=self._index(collection, name)
                )

    def _read(
        self, collection: Collection, keys: Sequence[str], generation: str | None
    ) -> dict[str, Document]:
        if generation is None and self.live(collection) is None:
            return {}
        index = (
            self.alias_of(collection)
            if generation is None
            else self._writing(collection, generation)
        )
        with self._answering():
            answers = self.client.mget(index=index, ids=list(keys)).body["docs"]
        for answer in answers:
            error = answer.get("error")
            if error is None:
                continue
            if error["type"] == "index_not_found_exception":
                raise GenerationGone(collection.name, generation or "live")
            raise SinkUnavailable(self.alias, f"{error['type']}: {error.get('reason')}")
        return {answer["_id"]: _document_of(answer) for answer in answers if answer["found"]}

    def _write(
        self,
        collection: Collection,
        generation: str,
        documents: Sequence[Document],
        refused: dict[str, str],
    ) -> Several[str]:
        index = self._writing(collection, generation)
        lines: list[bytes] = []
        for document in documents:
            lines += [_action_of(document, index), _source_of(document)]
        with self._answering():
            answer = self.client.bulk(
                operations=lines,
                require_alias=True,
                filter_path=_TOLD_OF_BULK,
            )
        conflicts = self._judge(collection, generation, answer.body["items"], refused)
        self._purge_tombstones(collection, generation)
        return conflicts

    def _judge(
        self,
        collection: Collection,
        generation: str,
        items: Sequence[Mapping[str, Any]],
        refused: dict[str, str],
    ) -> list[str]:
        conflicts = []
        for item in (next(iter(item.values())) for item in items):
            status, error = item["status"], item.get("error", {})
            if error.get("type") == "index_not_found_exception":
                raise GenerationGone(collection.name, generation)
            if status == _CONFLICT:
                conflicts.append(item["_id"])
            elif status == _BUSY or status >= 500:
                reason = f"{status} {error.get('type')}: {error.get('reason')}"
                raise SinkUnavailable(self.alias, mask(reason, self._secrets))
            elif status in _REFUSED:
                refused[item["_id"]] = f"{error.get('type')}: {error.get('reason')}"
        return conflicts

    def _purge_tombstones(self, collection: Collection, generation: str) -> None:
        """Now and then remove old ones, in the background of the server."""
        keep = self.options["tombstone_seconds"]
        now = time.monotonic()
        if now - self._purged_at.get(collection.name, -keep) < keep / 4:
            return
        self._purged_at[collection.name] = now
        before = datetime.now(UTC) - timedelta(seconds=keep)
        with self._answering():
            self.client.delete_by_query(
                index=self._writing(collection, generation),
                query={"range": {_DELETED_AT: {"lt": before.isoformat()}}},
                conflicts="proceed",
                wait_for_completion=False,
            )

    def _make(self, collection: Collection, generation: str, aliases: Mapping[str, Any]) -> None:
        """Make an index; one that somebody has made meanwhile is as good."""
        from elasticsearch import BadRequestError

        try:
            with self._answering(BadRequestError):
                self.client.indices.create(
                    index=self._index(collection, generation),
                    # What the mapping does not name is kept, and not searched: no field is made by surprise.
                    mappings={
                        "dynamic": False,
                        "properties": {**collection.mapping, **_OWN_FIELDS},
                    },
                    settings=self.options["index_settings"],
                    aliases={self._writing(collection, generation): {}, **aliases},
                )
        except BadRequestError as exc:
            if exc.error != "resource_already_exists_exception":
                raise SinkUnavailable(self.alias, mask(str(exc), self._secrets)) from None

    def _generations(self, collection: Collection) -> list[str]:
        start = f"{self.alias_of(collection)}--"
        with self._answering():
            found = self.client.indices.get_alias(index=f"{start}*", allow_no_indices=True).body
        return [name.removeprefix(start) for name in found]

    def _index(self, collection: Collection, generation: str) -> str:
        return f"{self.alias_of(collection)}--{generation}"

    def _writing(self, collection: Collection, generation: str) -> str:
        return f"{self._index(collection, generation)}-w"

    @cached_property
    def client(self) -> Any:
        """The official client, for searches; its own errors are not wrapped."""
        from elasticsearch import Elasticsearch

        # No retries of its own: the runner waits between attempts, and the time of one is bounded.
        arguments: dict[str, Any] = {
            "request_timeout": self.options["timeout_seconds"],
            "max_retries": 0,
            "retry_on_timeout": False,
            **{name: self.options[name] for name in ("api_key", "basic_auth")},
            **self.options["client"],
        }
        return Elasticsearch(self.options["url"], **arguments)

    @contextmanager
    def _answering(self, *expected: type[Exception]) -> Iterator[None]:
        """Wraps the product's errors, but for those that the caller judges."""
        from elasticsearch import ApiError, TransportError

        try:
            yield
        except expected:
            raise
        except (ApiError, TransportError) as exc:
            # From None: the product's own error may tell secrets, and tracebacks are stored and logged.
            reason = mask(f"{type(exc).__name__}: {exc}", self._secrets)
            raise SinkUnavailable(self.alias, reason) from None


def _action_of(document: Document, index: str) -> bytes:
    place = {"_index": index, "_id": document.key}
    if document.token is None:
        return msgspec.json.encode({"create": place})
    number, term = document.token
    return msgspec.json.encode({"index": {**place, "if_seq_no": number, "if_primary_term": term}})


def _source_of(document: Document) -> bytes:
    own: dict[str, Any] = {_POSITION: document.position}
    if document.applied:
        # Streams are no field names there: one may hold dots, or be empty.
        own[_APPLIED] = list(document.applied.items())
    if document.body is None:
        own[_DELETED_AT] = datetime.now(UTC)
        return msgspec.json.encode(own)
    return msgspec.json.encode({**msgspec.json.decode(document.body), **own})


def _document_of(answer: Mapping[str, Any]) -> Document:
    body = dict(answer["_source"])
    position, applied = body.pop(_POSITION), dict(body.pop(_APPLIED, ()))
    is_tombstone = body.pop(_DELETED_AT, None) is not None
    return Document(
        key=answer["_id"],
        position=position,
        body=None if is_tombstone else msgspec.json.encode(body),
        applied=applied,
        token=(answer["_seq_no"], answer["_primary_term"]),
    )
