"""All caches of this process, and the threads that keep them current."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any

from django.core.signals import request_started

from whizbang.conf import settings
from whizbang.projections import declaration
from whizbang.projections.cached import by_hand
from whizbang.projections.cached.cache import Cache
from whizbang.projections.cached.contents import publishing
from whizbang.projections.cached.follower_thread import FollowerThread
from whizbang.projections.cached.following import LogFollower
from whizbang.store.event_store import event_store

if TYPE_CHECKING:
    from whizbang.projections.cached.projection import CachedProjection

_lock = threading.RLock()
_caches: dict[type[CachedProjection], Cache] = {}
_threads: dict[str, FollowerThread] = {}
_of_parents: list[FollowerThread] = []  # kept, so that their connections are not closed from here


def cache_of(cls: type[CachedProjection]) -> Cache:
    """The cache of a class, not filled yet. Raises TypeError for what is not declared to run."""
    found = _caches.get(cls)
    if found is None:
        with _lock:
            found = _caches.get(cls) or _caches.setdefault(cls, Cache(_object_of(cls)))
    return found


def _object_of(cls: type[CachedProjection]) -> CachedProjection:
    for projection in declaration.instances():
        if type(projection) is cls:
            return projection
    raise TypeError(f"{cls.__qualname__} holds nothing: it is abstract, or was defined again.")


def ensure_followed(cache: Cache) -> None:
    """See to it that somebody keeps a cache current; returns at once, unless that is done by hand."""
    alias = cache.projection.store
    if by_hand.is_by_hand:
        if not cache.is_filled.is_set():
            refresh(alias)
        cache.good_until = float("inf")
        return
    thread = _threads.get(alias)
    if thread is not None and thread.is_alive:
        return
    with _lock:
        thread = _threads.get(alias)
        if thread is None or not thread.is_alive:
            if thread is not None:
                thread.detach()
            thread = _threads[alias] = FollowerThread(alias, lambda: _of_store(alias))
            thread.start()


def wake(cache: Cache) -> None:
    """Let a cache be brought up to date now; by hand it is when this returns."""
    ensure_followed(cache)
    refresh(cache.projection.store)


def refresh(alias: str = "default") -> None:
    """Bring the caches that are in use up to date, in this thread and on its connection.

    Where threads follow the log only they may: then it wakes the store's.
    """
    if not by_hand.is_by_hand:
        if (thread := _threads.get(alias)) is not None:
            thread.wake()
        return
    if not _of_store(alias):
        return
    follower = LogFollower(event_store(alias), lambda: _of_store(alias))
    while follower.turn():
        pass


def trouble_of(cache: Cache) -> str:
    """What keeps a cache from being current, in words."""
    thread = _threads.get(cache.projection.store)
    if thread is None or not thread.is_alive:
        return "no thread follows the log"
    return thread.error or "it has not come to the end of the log yet"


def _of_store(alias: str) -> list[Cache]:
    return [cache for cache in list(_caches.values()) if cache.projection.store == alias]


def preload(**kwargs: Any) -> None:
    """Begin to fill the projections that say `preload`; returns at once."""
    for projection in declaration.instances():
        if getattr(projection, "preload", False) and not by_hand.is_by_hand:
            ensure_followed(cache_of(type(projection)))  # type: ignore[arg-type]


def connect() -> None:
    """Preload with the first request of a web process, not with every command."""
    request_started.connect(_preload_once, dispatch_uid="whizbang.cached")


def _preload_once(**kwargs: Any) -> None:
    request_started.disconnect(dispatch_uid="whizbang.cached")
    preload()


def reset() -> None:
    """Stop the threads and forget all contents, as between two tests."""
    with _lock:
        threads = list(_threads.values())
        _threads.clear()
        _caches.clear()
    for thread in threads:
        thread.stop()


def stop() -> None:
    """End the threads and close their connections; what is held stays readable for its bound."""
    with _lock:
        threads = list(_threads.values())
        _threads.clear()
    for thread in threads:
        thread.stop()


def _begin_in_child() -> None:
    """Threads do not survive a fork: contents are kept, and new threads follow from there."""
    global _lock
    publishing.release()
    _lock = threading.RLock()
    for thread in _threads.values():
        thread.detach()
        _of_parents.append(thread)
    _threads.clear()
    for cache in _caches.values():
        cache.forget_follower()
    connect()


os.register_at_fork(
    before=publishing.acquire,
    after_in_parent=publishing.release,
    after_in_child=_begin_in_child,
)
atexit.register(stop)
settings.on_change(reset)
