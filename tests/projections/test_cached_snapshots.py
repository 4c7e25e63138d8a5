"""Snapshots of cached projections: a start from them equals one from the beginning, or does not happen."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
import redis
from django.core.cache import caches as django_caches

import whizbang
from tests.processes import wait_until
from tests.shop.messages import OpenOrder, OrderNoted
from tests.shop.projections import CachedOrder, NoteCounts, OrderCache
from whizbang import BrokenEntry, on
from whizbang.models import CachedSnapshot, CachedSnapshotChunk, StoredEvent, StoreHead
from whizbang.operations.history import rewriting
from whizbang.projections.cached import caches, snapshots
from whizbang.projections.cached.snapshots import SnapshotKeeper, place_of
from whizbang.projections.declaration import problems
from whizbang.testing import forget_caches

pytestmark = pytest.mark.django_db


@pytest.fixture(params=["table", pytest.param("redis", marks=pytest.mark.requires_redis)])
def place(request: Any, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[str]:
    """Where OrderCache keeps its snapshots, one after each event."""
    monkeypatch.setattr(OrderCache, "snapshot_every", 1)
    monkeypatch.setattr(snapshots, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(snapshots, "CHUNK_ENTRIES", 2)
    if request.param == "table":
        yield request.param
        return
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "shared": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": request.getfixturevalue("redis_url"),
            "KEY_PREFIX": f"{settings.RUN_ID}-{uuid.uuid4().hex}",
        },
    }
    monkeypatch.setattr(OrderCache, "share_through", "shared")
    yield request.param
    cache = django_caches["shared"]
    client = redis.Redis.from_url(request.getfixturevalue("redis_url"))
    for key in client.scan_iter(f"{cache.key_prefix}:*"):
        client.delete(key)
    client.close()
    cache.close()


NAME = "shop.OrderCache"


def note(order_id: str, *texts: str) -> None:
    events = [OrderNoted(order_id=order_id, text=text) for text in texts]
    whizbang.event_store().append(f"shop.Order-{order_id}", events)


def make_keeper(projection: Any = OrderCache) -> SnapshotKeeper:
    projection.start()
    return SnapshotKeeper(whizbang.event_store(), lambda: [caches.cache_of(projection)])


def take_snapshot(projection: Any = OrderCache) -> None:
    keeper = make_keeper(projection)
    while keeper.step():
        pass


def events_read_by_a_new_process() -> int:
    """What it folds besides a snapshot."""
    forget_caches()
    OrderCache.start()
    contents = caches.cache_of(OrderCache).contents
    assert contents is not None
    return contents.event_count


def write_history() -> None:
    whizbang.send(OpenOrder(order_id="1"))
    for number in range(5):
        note(str(number), "a")


def test_start_from_a_snapshot_and_the_tail(place: str) -> None:
    StoreHead.objects.get_or_create(id=1)
    write_history()
    take_snapshot()
    note("1", "b")
    assert events_read_by_a_new_process() == 1
    started = dict(OrderCache.items())
    take_snapshot()
    assert events_read_by_a_new_process() == 0
    assert dict(OrderCache.items()) == started
    OrderCache.snapshot_every = 0
    assert events_read_by_a_new_process() == 7
    assert dict(OrderCache.items()) == started
    assert started["1"] == CachedOrder("open", started["1"].total, ["a", "b"])


def change_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderCache, "version", 2)


def change_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def noted(self: Any, entry: Any, event: Any, meta: Any) -> None:
        entry.notes.insert(0, event.text)

    monkeypatch.setattr(OrderCache, "noted", on(OrderNoted, by="order_id")(noted))


def change_store(monkeypatch: pytest.MonkeyPatch) -> None:
    StoreHead.objects.update(store_id=uuid.uuid4())


def rewrite_history(monkeypatch: pytest.MonkeyPatch) -> None:
    with rewriting(reason="test"):
        StoredEvent.objects.filter(stream="shop.Order-4").delete()
    note("4", "a")  # the same number of events as before


def restore_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log ends before the snapshot."""
    monkeypatch.setattr(snapshots, "has_come_to", lambda store, position: False)


def lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OrderCache, "max_entries", 5)
    header = find_header()
    monkeypatch.setattr(place_kind(), "find", lambda self, name: _changed(header, entry_count=6))


@pytest.mark.parametrize(
    "change",
    [change_version, change_code, change_store, rewrite_history, restore_backup, lower_bound],
)
def test_snapshot_of_something_else_is_ignored(
    place: str, change: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    StoreHead.objects.get_or_create(id=1)
    write_history()
    take_snapshot()
    assert events_read_by_a_new_process() == 0
    change(monkeypatch)
    assert events_read_by_a_new_process() == 6


def lose_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = place_kind().chunks
    monkeypatch.setattr(place_kind(), "chunks", lambda self, header: list(plain(self, header))[1:])


def damage_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = place_kind().chunks
    monkeypatch.setattr(
        place_kind(), "chunks", lambda self, header: [b"x" + c for c in plain(self, header)]
    )


@pytest.mark.parametrize("damage", [lose_chunk, damage_chunk])
def test_damaged_snapshot_is_ignored(
    place: str, damage: Callable[..., None], monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    write_history()
    take_snapshot()
    damage(monkeypatch)
    assert events_read_by_a_new_process() == 6
    assert "Snapshot ignored projection=shop.OrderCache" in caplog.text


def place_kind() -> Any:
    return type(place_of(caches.cache_of(OrderCache).projection, whizbang.event_store()))


def find_header() -> Any:
    return place_of(caches.cache_of(OrderCache).projection, whizbang.event_store()).find(NAME)


def _changed(header: Any, **values: Any) -> Any:
    return msgspec.structs.replace(header, **values)


def test_one_snapshot_is_kept(place: str) -> None:
    write_history()
    take_snapshot()
    first = find_header()
    note("1", "b")
    events_read_by_a_new_process()
    take_snapshot()
    second = find_header()
    assert second.position > first.position
    kind = place_of(caches.cache_of(OrderCache).projection, whizbang.event_store())
    assert list(kind.chunks(first)) == []
    assert len(list(kind.chunks(second))) == 3
    if place == "table":
        assert (CachedSnapshot.objects.count(), CachedSnapshotChunk.objects.count()) == (1, 3)


def test_one_process_takes_it(place: str) -> None:
    write_history()
    one, other = make_keeper(), make_keeper()
    assert one.step() == 1
    assert other.step() == 0  # the first has the lease
    while one.step():
        pass
    caches.cache_of(OrderCache).snapshot_at = 0
    caches.cache_of(OrderCache).snapshot_position = 0
    token = find_header().token
    assert other.step() == 0  # it finds a snapshot that it did not know
    assert find_header().token == token


def test_snapshot_that_lost_its_lease_is_given_up(place: str) -> None:
    from whizbang.models import Lease

    write_history()
    keeper = make_keeper()
    keeper.step()
    keeper._leases._held = {name: (epoch, 0.0) for name, (epoch, _) in keeper._leases._held.items()}
    Lease.objects.update(owner="another", epoch=99)
    assert keeper.step() == 1
    assert keeper.step() == 0
    assert find_header() is None


def test_no_snapshot_while_a_key_is_broken(place: str) -> None:
    """Corrected code shall fold the event again, from a snapshot before it."""
    write_history()
    take_snapshot()
    position = find_header().position
    note("1", "poison")
    events_read_by_a_new_process()
    take_snapshot()
    assert find_header().position == position
    with pytest.raises(BrokenEntry):
        OrderCache.get("1")


def test_entries_that_would_be_read_as_others_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def noted(self: Any, entry: Any, event: Any, meta: Any) -> Any:
        return Decimal("1.0")

    monkeypatch.setattr(NoteCounts, "snapshot_every", 1)
    monkeypatch.setattr(NoteCounts, "entry", dict)
    monkeypatch.setattr(NoteCounts, "noted", noted)
    note("1", "a")
    take_snapshot(NoteCounts)
    assert not CachedSnapshot.objects.exists()
    assert "No snapshot projection=shop.NoteCounts" in caplog.text
    assert NoteCounts.get("1") == Decimal("1.0")


@pytest.mark.usefixtures("isolated_registry")
def test_declarations_of_snapshots_that_cannot_work_are_named() -> None:
    class Odd:
        pass

    class Wrong(OrderCache):
        entry = Odd  # type: ignore[assignment]
        snapshot_every = 10

    class Unshared(OrderCache):
        share_through = "nowhere"

    assert "entry is Odd" in " ".join(problems(Wrong))
    text = " ".join(problems(Unshared))
    assert "CACHES does not have" in text and "without snapshot_every" in text


@pytest.mark.requires_redis
def test_cache_server_that_is_away_costs_time_only(
    monkeypatch: pytest.MonkeyPatch, settings: Any, caplog: Any
) -> None:
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
        "shared": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "redis://127.0.0.1:1/0",
        },
    }
    monkeypatch.setattr(OrderCache, "snapshot_every", 1)
    monkeypatch.setattr(OrderCache, "share_through", "shared")
    note("1", "a")
    take_snapshot()
    assert OrderCache.get("1").notes == ["a"]
    assert "Snapshot ignored" in caplog.text
    assert "No snapshot" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_thread_takes_snapshots_by_itself(place: str, following_caches: None) -> None:
    write_history()
    OrderCache.start()
    wait_until(lambda: find_header() is not None)
    position = find_header().position
    note("1", "b", "c")
    wait_until(lambda: find_header().position > position)
    wait_until(lambda: OrderCache.get("1").notes == ["a", "b", "c"])
    caches.reset()
    OrderCache.start()
    contents = caches.cache_of(OrderCache).contents
    assert contents is not None and contents.event_count <= 2
    assert OrderCache.get("1").notes == ["a", "b", "c"]
