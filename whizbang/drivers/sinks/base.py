"""The contract of a sink: documents by key, outside the database."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection as Several
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from whizbang.exceptions import WhizbangError

MAX_KEY_BYTES = 512  # Elasticsearch's limit, and long enough for the others
_COMMON_OPTIONS: dict[str, Any] = {
    "prefix": "",
    "timeout_seconds": 5.0,
    "tombstone_seconds": 86_400.0,
    "max_batch_bytes": 5 * 1024 * 1024,
    "max_document_bytes": 1024 * 1024,
}


class GenerationGone(WhizbangError):
    """What was to be read or written is no generation of the collection any more: ask for the live one."""

    def __init__(self, collection: str, generation: str) -> None:
        self.collection, self.generation = collection, generation
        super().__init__(
            f"Collection {collection!r} has no generation {generation!r} any more: a rebuild has "
            "replaced it. Begin again with the live one."
        )


class DocumentRefused(WhizbangError):
    """Some documents can never be stored as they are; the others of the write are stored."""

    def __init__(self, collection: str, reasons: Mapping[str, str]) -> None:
        self.collection, self.reasons = collection, dict(reasons)
        key, reason = next(iter(self.reasons.items()))
        more = f" (and {len(self.reasons) - 1} more)" if len(self.reasons) > 1 else ""
        super().__init__(f"Collection {collection!r} refused document {key!r}{more}: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """A named set of documents. `mapping` describes the fields that are searched, in the product's form."""

    name: str
    mapping: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document as it is stored, or is to be.

    `position` is that of the last event in the log's order that is applied to it. `applied` says, for
    streams that were taken up again after they had been parked, up to which position their events are
    in. `token` is what read() found, None for a document that was not there.
    """

    key: str
    position: int
    body: bytes | None  # a JSON object; None: a tombstone, which readers do not see
    applied: Mapping[str, int] = field(default_factory=dict)
    token: Any = None


class Sink(ABC):
    """Keeps documents of collections; each collection has one live generation that readers see.

    Names of generations are lower-case letters, digits and hyphens; the caller makes them.
    Used by several threads at a time. Every method that talks to the product ends within the option
    `timeout_seconds` a round trip, and raises `SinkUnavailable` when it cannot do its work now.
    """

    is_remote: ClassVar[bool] = True  # does it talk to a server?
    own_options: ClassVar[Mapping[str, Any]] = {}  # with their defaults, beside the common ones
    most_documents: ClassVar[int] = 500  # in one round trip

    def __init__(self, alias: str, options: Mapping[str, Any] | None = None) -> None:
        known = {**_COMMON_OPTIONS, **self.own_options}
        unknown = sorted(set(options or ()) - set(known))
        if unknown:
            raise WhizbangError(
                f"Sink {alias!r} has the unknown option {unknown[0]!r}; known: {', '.join(known)}."
            )
        self.alias = alias
        self.options = {**known, **(options or {})}

    @abstractmethod
    def check(self) -> None:
        """Does the product answer, with our credentials? Raises `SinkUnavailable`."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections; the next call connects again."""

    @abstractmethod
    def live(self, collection: Collection) -> str | None:
        """The generation that readers see; None while there is none."""

    @abstractmethod
    def open(self, collection: Collection, first: str) -> str:
        """The live generation; where there is none, an empty one of this name is made."""

    @abstractmethod
    def create(self, collection: Collection, generation: str) -> None:
        """Make an empty generation that readers do not see. Drops those that nobody has published."""

    @abstractmethod
    def publish(self, collection: Collection, generation: str) -> None:
        """Let readers see a generation from now on, at once, and drop all others.

        Raises `GenerationGone`.
        """

    @abstractmethod
    def drop(self, collection: Collection) -> None:
        """Remove a collection with all its generations; none is no error."""

    def read(
        self, collection: Collection, keys: Sequence[str], *, generation: str | None = None
    ) -> dict[str, Document]:
        """Documents by key, tombstones included, of the live generation unless another is named.

        What was written before is seen. Raises `GenerationGone` for a named one that is not there.
        """
        found: dict[str, Document] = {}
        for start in range(0, len(keys), self.most_documents):
            found.update(
                self._read(collection, keys[start : start + self.most_documents], generation)
            )
        return found

    def write(
        self, collection: Collection, generation: str, documents: Sequence[Document]
    ) -> set[str]:
        """Store documents, at most one a key; gives the keys that were not stored, because what stands
        there is not what the document's token says.

        A write that is repeated stores nothing twice. Raises `GenerationGone`, and `DocumentRefused` after
        all others have been stored.
        """
        most = self.options["max_document_bytes"]
        refused = {
            document.key: f"it has {_size_of(document):,} bytes, more than max_document_bytes ({most:,})"
            for document in documents
            if _size_of(document) > most
        }
        conflicts: set[str] = set()
        for chunk in self._chunks([d for d in documents if d.key not in refused]):
            conflicts |= set(self._write(collection, generation, chunk, refused))
        if refused:
            raise DocumentRefused(collection.name, refused)
        return conflicts

    @abstractmethod
    def _read(
        self, collection: Collection, keys: Sequence[str], generation: str | None
    ) -> dict[str, Document]: ...

    @abstractmethod
    def _write(
        self,
        collection: Collection,
        generation: str,
        documents: Sequence[Document],
        refused: dict[str, str],
    ) -> Several[str]:
        """One round trip; gives the conflicts and notes in `refused` why a document is."""

    def _chunks(self, documents: Sequence[Document]) -> Iterator[list[Document]]:
        chunk: list[Document] = []
        size = 0
        for document in documents:
            size += _size_of(document)
            if chunk and (
                len(chunk) == self.most_documents or size > self.options["max_batch_bytes"]
            ):
                yield chunk
                chunk, size = [], _size_of(document)
            chunk.append(document)
        if chunk:
            yield chunk


def _size_of(document: Document) -> int:
    return len(document.body or b"")
