"""Which changes of a service's messages break the services that it talks to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from whizbang.operations.schema_fit import Fitting, Kind, Misfit
from whizbang.operations.schemas import MessageSchema, SchemaDocument

# We write, others read as of before: events, and answers.
_WRITTEN_BY_US: Mapping[Kind, str] = {
    Kind.MISSING: "is gone, and was always there",
    Kind.MAY_BE_MISSING: "may be missing now, and was always there",
    Kind.UNWRITTEN: "is gone: readers see its default",
    Kind.REFUSED: "is new, and readers refuse what they do not know here",
    Kind.NULL: "may be null now, and was {read}",
    Kind.TYPE: "may be {written} now, and was {read}",
    Kind.VALUES: "may be {written} now, which readers do not know",
    Kind.BOUNDS: "may be {written} now, and was {read}",
}
# Others write as of before, we read: commands and queries.
_WRITTEN_BY_OTHERS: Mapping[Kind, str] = {
    Kind.MISSING: "is new and required, and senders do not write it",
    Kind.MAY_BE_MISSING: "is required now, and senders may leave it out",
    Kind.REFUSED: "is gone, and refused as unknown",
    Kind.IGNORED: "is gone: what senders write there is lost",
    Kind.NULL: "must not be null any more, but {read}",
    Kind.TYPE: "must be {read} now, and was {written}",
    Kind.VALUES: "must not be {written} any more",
    Kind.BOUNDS: "must be {read} now, and was {written}",
}


@dataclass(frozen=True, slots=True)
class Break:
    """One change that breaks others: `what` happened `where` in a message, and `whom` it breaks."""

    type: str
    where: (
        str  # a field such as lines[].sku; "result" or "result.sku" of an answer; "" of the message
    )
    what: str
    whom: str

    def __str__(self) -> str:
        place = f"{self.type} {self.where}".rstrip()
        return f"{place} {self.what} (breaks {self.whom})"


def compare_schemas(
    old: SchemaDocument, new: SchemaDocument, *, domain: str | None = None
) -> list[Break]:
    """What of `new` breaks services that were made for `old`, by type name; of one domain if given.

    Others ignore unknown fields of events, and we refuse those of commands and queries. An upcaster
    does not help consumers: they get the new shape.
    """
    found: list[Break] = []
    for name, before in sorted(old.messages.items()):
        if domain in (None, before.domain):
            found += _compare_message(name, before, old, new)
    return found


def _compare_message(
    name: str, before: MessageSchema, old: SchemaDocument, new: SchemaDocument
) -> Iterator[Break]:
    now = new.messages.get(name)
    if now is None:
        renamed = _find_renamed(name, new)
        if renamed is None or before.kind == "event":
            yield Break(name, "", _removal(renamed, new), _whom(before))
            return
        now = new.messages[renamed]  # senders may go on with the old name
    if now.kind != before.kind:
        yield Break(name, "", f"is no {before.kind} any more, but a {now.kind}", _whom(before))
        return
    if before.kind == "event":
        yield from _compare_written(name, before.schema, now.schema, old, new, whom=_whom(before))
        return
    fitting = Fitting(written_defs=old.defs, read_defs=new.defs, kinds=_WRITTEN_BY_OTHERS.keys())
    for misfit in fitting.misfits(before.schema, now.schema):
        yield _as_break(name, misfit, _WRITTEN_BY_OTHERS, _whom(before))
    results = before.result or {}, now.result or {}
    yield from _compare_written(
        name, *results, old, new, whom="who waits for its answer", at="result"
    )


def _compare_written(
    name: str,
    before: dict[str, Any],
    now: dict[str, Any],
    old: SchemaDocument,
    new: SchemaDocument,
    *,
    whom: str,
    at: str = "",
) -> Iterator[Break]:
    fitting = Fitting(written_defs=new.defs, read_defs=old.defs, kinds=_WRITTEN_BY_US.keys())
    for misfit in fitting.misfits(now, before, at):
        yield _as_break(name, misfit, _WRITTEN_BY_US, whom)


def _as_break(name: str, misfit: Misfit, texts: Mapping[Kind, str], whom: str) -> Break:
    what = texts[misfit.kind].format(written=misfit.written, read=misfit.read)
    return Break(name, misfit.where, what, whom)


def _find_renamed(name: str, new: SchemaDocument) -> str | None:
    return next((known for known, now in new.messages.items() if name in now.aliases), None)


def _removal(renamed: str | None, new: SchemaDocument) -> str:
    if renamed is not None:
        return f"is called {renamed} now, which they do not know"
    return f"is gone: service {new.service!r} does not declare or own it any more"


def _whom(message: MessageSchema) -> str:
    return {"event": "its consumers", "command": "its senders", "query": "who asks it"}[
        message.kind
    ]
