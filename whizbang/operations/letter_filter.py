"""Which dead letters are meant: by type, reason, time of death, or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter
from whizbang.store.event_store import as_instant

MOST_IDS = 1_000  # a database takes about twice as many parameters
_HEAVY = ("payload", "metadata", "traceback", "document")


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """A choice of dead letters; what is given holds together, and nothing means all of them.

    `since` <= died_at < `before`; a date is midnight UTC. `ids` are numbers of letters or message ids.
    Raises WhizbangError for an id that is neither, and for more than a thousand of them.
    """

    type: str = ""
    reason: str = ""
    since: datetime | date | None = None
    before: datetime | date | None = None
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.ids) > MOST_IDS:
            raise WhizbangError(f"{len(self.ids)} ids are too many: give {MOST_IDS} at most.")
        self._by_ids()
        for moment in (self.since, self.before):
            try:
                instant = as_instant(moment)
                if instant is not None:
                    instant.astimezone(UTC)  # as databases ask for it
            except (ValueError, OverflowError) as exc:
                raise WhizbangError(str(exc)) from exc

    @classmethod
    def of(cls, *, ids: Iterable[Any] | None = None, **known: Any) -> LetterFilter:
        """With ids of any kind; None means that something is not given."""
        given = {name: value for name, value in known.items() if value is not None}
        return cls(ids=tuple(map(str, ids or ())), **given)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LetterFilter:
        """What `to_plain` gave."""
        since, before = plain.get("since"), plain.get("before")
        return cls(
            type=plain.get("type", ""),
            reason=plain.get("reason", ""),
            since=datetime.fromisoformat(since) if since else None,
            before=datetime.fromisoformat(before) if before else None,
            ids=tuple(plain.get("ids", ())),
        )

    def to_plain(self) -> dict[str, Any]:
        """As JSON can hold it, without what is not given."""
        since, before = as_instant(self.since), as_instant(self.before)
        plain = {
            "type": self.type,
            "reason": self.reason,
            "since": since.isoformat() if since else "",
            "before": before.isoformat() if before else "",
            "ids": list(self.ids),
        }
        return {name: value for name, value in plain.items() if value}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.to_plain().items()) or "all"

    def rows(self, using: str) -> Any:
        """The letters, oldest first, without their payloads."""
        since, before = as_instant(self.since), as_instant(self.before)
        rows = DeadLetter.objects.using(using).order_by("pk").defer(*_HEAVY)
        wanted = {
            "type": self.type,
            "reason": self.reason,
            "died_at__gte": since,
            "died_at__lt": before,
        }
        rows = rows.filter(**{name: value for name, value in wanted.items() if value})
        return rows.filter(self._by_ids()) if self.ids else rows

    def _by_ids(self) -> Q:
        numbers = [id for id in self.ids if _is_number(id)]
        try:
            message_ids = [UUID(id) for id in self.ids if not _is_number(id)]
        except ValueError as exc:
            others = [id for id in self.ids if not _is_number(id)]
            raise WhizbangError(
                f"One of {', '.join(others)} is neither the number nor the message id of a dead letter."
            ) from exc
        return Q(pk__in=[int(id) for id in numbers]) | Q(message_id__in=message_ids)


def _is_number(id: str) -> bool:
    return id.isascii() and id.isdigit() and len(id) < 19
