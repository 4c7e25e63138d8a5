"""How a batch reaches a subscription that is partitioned by key: what fails parks its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.messages.text import error_text
from whizbang.models import ParkedStream, SkippedEvent
from whizbang.subscriptions.applying import Applier, Attempt
from whizbang.subscriptions.parked_keys import OneKey, Unparked
from whizbang.subscriptions.parking import park, park_again
from whizbang.subscriptions.partitioning import (
    KeyFilter,
    SliceRange,
    name_of_key,
    slice_of_key,
)
from whizbang.subscriptions.tracing import telling_batch


class KeyApplier(Applier):
    """Each event may concern keys of several partitions; this one applies those of its slices.

    An event that does not tell its keys (it cannot be decoded, say) parks its stream for these slices.
    """

    def is_mine(self, row: StoredRow) -> bool:
        return True

    def owns(self, parked: ParkedStream) -> bool:
        return self.slices.first <= parked.first_slice and parked.end_slice <= self.slices.end

    def apply(self, rows: Sequence[StoredRow]) -> None:
        unparked = self._read_unparked()
        self._deliver_keys([r for r in rows if unparked.may_take(r)], unparked)

    def apply_one_by_one(self, rows: Sequence[StoredRow], attempt: Attempt) -> None:
        unparked = self._read_unparked()
        for row in rows:
            if not unparked.may_take(row):
                continue
            error = self._apply_keys(row, unparked, attempt)
            if error is not None:
                for slices in unparked.left_of(row):
                    park(self.definition.name, row, error, using=self.using, slices=slices)
                unparked = self._read_unparked()

    def retry(self, parked: ParkedStream, until: int, attempt: Attempt) -> int:
        unparked = self._read_unparked(besides=parked)
        if parked.unit == ParkedStream.Unit.KEY:
            return self._retry_key(parked, unparked, until, attempt)
        return self._retry_stream(parked, unparked, until, attempt)

    def _retry_stream(
        self, parked: ParkedStream, unparked: Unparked, until: int, attempt: Attempt
    ) -> int:
        """For the slices for which it was set aside; a key that fails now is parked by itself."""
        applied = 0
        driver = self.definition.store.driver
        for row in driver.read_stream(parked.stream, after=parked.version - 1):
            if row.position > until:
                break
            if not self.is_wanted(row):
                continue
            error = self._apply_keys(row, unparked, attempt)
            if error is not None:
                park_again(parked, row, error, using=self.using)
                return applied
            applied += 1
        self._rows().filter(pk=parked.pk).delete()
        return applied

    def _retry_key(
        self, parked: ParkedStream, unparked: Unparked, until: int, attempt: Attempt
    ) -> int:
        """Events of a key stand in any stream: the log is read again from where it was parked."""
        applied = 0
        only = OneKey(parked.key, unparked)
        skipped = self._skipped_since(parked)
        for row in self._log(parked.position - 1, until):
            if row.position in skipped or not unparked.may_take(row):
                continue
            keys: list[Any] = []
            error = self._find_keys(row, keys, only, attempt)
            if error is None and not keys:
                continue
            error = error or self._deliver(row, only, attempt)
            if error is not None:
                # Before the parked row: who decides about an instance locks it first too.
                self.definition.note_parked(parked.key, error_text(error))
                park_again(parked, row, error, using=self.using)
                return applied
            applied += 1
        self.definition.note_parked(parked.key, "")
        self._rows().filter(pk=parked.pk).delete()
        return applied

    def _skipped_since(self, parked: ParkedStream) -> set[int]:
        """Events left out for this key, or for all since they did not tell their keys."""
        rows = SkippedEvent.objects.using(self.using).filter(
            subscription=self.definition.name,
            position__gte=parked.position,
            key__in=("", parked.key),
        )
        return set(rows.values_list("position", flat=True))

    def _log(self, after: int, until: int) -> Iterator[StoredRow]:
        driver = self.definition.store.driver
        wanted = self.definition.wanted()
        return driver.read_log(after=after, until=until, limit=None, filter=wanted)

    def _apply_keys(self, row: StoredRow, unparked: Unparked, attempt: Attempt) -> Exception | None:
        """Key by key; gives the error of an event that does not tell its keys."""
        keys: list[Any] = []
        error = self._find_keys(row, keys, unparked, attempt)
        if error is not None:
            return error
        for key in keys:
            name = name_of_key(key)
            failed = self._deliver(row, OneKey(name, unparked), attempt)
            if failed is not None:
                at = slice_of_key(key)
                slices = SliceRange(at, at + 1)
                park(self.definition.name, row, failed, using=self.using, key=name, slices=slices)
                unparked.keys[name] = row.position
                self.definition.note_parked(name, error_text(failed))
        return None

    def _find_keys(
        self, row: StoredRow, keys: list[Any], wanted: KeyFilter, attempt: Attempt
    ) -> Exception | None:
        def find() -> None:
            found = self.definition.keys_of(row)
            keys.extend(key for key in found if wanted.takes(key, row))

        return attempt(row, find)

    def _deliver(self, row: StoredRow, keys: KeyFilter, attempt: Attempt) -> Exception | None:
        return attempt(row, lambda: self._deliver_keys([row], keys))

    def _deliver_keys(self, rows: Sequence[StoredRow], keys: KeyFilter) -> None:
        with telling_batch(self.definition, rows, self.slices):
            self.definition.deliver_keys(rows, keys)

    def _read_unparked(self, *, besides: ParkedStream | None = None) -> Unparked:
        slices = self.slices
        if besides is not None and besides.unit == ParkedStream.Unit.STREAM:
            slices = SliceRange(besides.first_slice, besides.end_slice)
        rows = self._rows() if besides is None else self._rows().exclude(pk=besides.pk)
        return Unparked(slices, rows)

    def _rows(self) -> Any:
        return ParkedStream.objects.using(self.using).filter(subscription=self.definition.name)
