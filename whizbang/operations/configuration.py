"""The settings in force, with secrets masked, and what system checks say of them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.utils.module_loading import import_string

from whizbang.conf import Settings, given, settings
from whizbang.drivers.brokers.base import Broker
from whizbang.drivers.sinks.base import Sink
from whizbang.drivers.sinks.masking import mask, secrets_in
from whizbang.drivers.stores.base import EventStoreDriver
from whizbang.store.event_store import event_store

_SECRET = re.compile(
    r"pass|pwd|secret|token|key|auth|credential|cert|sasl|dsn|signature|cookie|private", re.I
)
# As in a DSN or a query: "password=…", "sslpassword='…'".
_INLINE_SECRET = re.compile(
    r"(?i)\b(\w*(?:password|passwd|pwd|secret|token|api_?key))(\s*=\s*)('[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)"
)
_PRODUCTS = ("STORES", "BROKERS", "SINKS")
_MASKED = "***"
_LEAST_SECRET = 6  # characters: shorter ones stand in other words too
_OF_DATABASES = (
    "ENGINE",
    "NAME",
    "HOST",
    "PORT",
    "USER",
    "PASSWORD",
    "ATOMIC_REQUESTS",
    "AUTOCOMMIT",
    "CONN_MAX_AGE",
    "CONN_HEALTH_CHECKS",
    "DISABLE_SERVER_SIDE_CURSORS",
    "TIME_ZONE",
    "OPTIONS",
)
_KEPT_SECONDS = 10.0  # for so long what checks said is not asked again


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key with its value as text; `is_given`: it is not the default."""

    key: str
    value: str
    is_given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A database, store, broker or sink: what it is, what it can do, and its options."""

    kind: str
    alias: str
    backend: str
    abilities: tuple[Entry, ...] = ()
    options: tuple[Entry, ...] = ()
    problem: str = ""  # why it cannot be looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one system check says."""

    level: str  # error, warning or info
    id: str
    text: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    settings: tuple[Entry, ...]
    databases: tuple[Product, ...]
    stores: tuple[Product, ...]
    brokers: tuple[Product, ...]
    sinks: tuple[Product, ...]
    findings: tuple[Finding, ...]


def read_configuration() -> Configuration:
    """Asks no database and no broker. Never raises for settings that are wrong: checks tell of them."""
    masked = _Masked()
    in_force = settings.get()
    own = given() if isinstance(given(), Mapping) else {}
    return Configuration(
        settings=tuple(
            Entry(
                key=field.name,
                value=masked.setting(field.name, getattr(in_force, field.name)),
                is_given=field.name in own,
            )
            for field in fields(Settings)
        ),
        databases=tuple(_databases(masked)),
        stores=tuple(_stores(masked)),
        brokers=tuple(_products("broker", in_force.BROKERS, Broker, masked)),
        sinks=tuple(_products("sink", in_force.SINKS, Sink, masked)),
        findings=findings(),
    )


def _databases(masked: _Masked) -> Iterator[Product]:
    aliases = {_using(store) for store in _mapping(settings.get().STORES).values()}
    for alias, database in sorted(django_settings.DATABASES.items()):
        if alias not in aliases and alias != "default":
            continue
        options = tuple(
            Entry(key=key, value=masked.option(key, database[key]), is_given=True)
            for key in _OF_DATABASES
            if database.get(key) not in (None, "", {})
        )
        engine = str(database.get("ENGINE", ""))
        yield Product(kind="database", alias=alias, backend=engine, options=options)


def _using(store: Any) -> str:
    return str(store.get("USING", "default")) if isinstance(store, Mapping) else "default"


def _stores(masked: _Masked) -> Iterator[Product]:
    for alias, store in _mapping(settings.get().STORES).items():
        try:
            driver = event_store(alias).driver
        except Exception as exc:  # whatever a wrong setting raises: the page shows the others
            yield Product(kind="store", alias=alias, backend="", problem=masked.plain(str(exc)))
            continue
        yield Product(
            kind="store",
            alias=alias,
            backend=_path(type(driver)),
            abilities=tuple(_abilities(type(driver), EventStoreDriver)),
            options=tuple(_given_options(store, masked)),
        )


def _products(kind: str, configured: Any, base: type, masked: _Masked) -> Iterator[Product]:
    for alias, product in _mapping(configured).items():
        path = str(product.get("BACKEND", "")) if isinstance(product, Mapping) else ""
        try:
            cls = import_string(path)
        except ImportError as exc:
            problem = masked.plain(str(exc))
            yield Product(kind=kind, alias=alias, backend=path, problem=problem)
            continue
        own = _mapping(product.get("OPTIONS") or {})
        defaults = dict(getattr(cls, "own_options", {}))
        options = tuple(
            Entry(key=key, value=masked.option(key, value), is_given=key in own)
            for key, value in {**defaults, **own}.items()
        )
        abilities = tuple(_abilities(cls, base))
        yield Product(kind=kind, alias=alias, backend=path, abilities=abilities, options=options)


def _abilities(cls: type, base: type) -> Iterator[Entry]:
    """What a driver declares: the class attributes of its contract that are plain values."""
    for name in sorted(vars(base)):
        value = getattr(cls, name, None)
        if not name.startswith("_") and isinstance(value, bool | int | str):
            is_given = value != getattr(base, name)
            yield Entry(key=name, value=str(value), is_given=is_given)


def _given_options(store: Any, masked: _Masked) -> Iterator[Entry]:
    for key, value in _mapping(store.get("OPTIONS") or {}).items():
        yield Entry(key=str(key), value=masked.option(str(key), value), is_given=True)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


class _Masked:
    """Settings as text. What is secret in one place is masked wherever it stands."""

    def __init__(self) -> None:
        own = _mapping(given())
        products = [_mapping(own.get(name)) for name in _PRODUCTS]
        places = [django_settings.DATABASES, *products]
        found = {text for place in places for item in place.values() for text in _secrets_in(item)}
        self._secrets = [text for text in found if len(text) >= _LEAST_SECRET]

    def setting(self, key: str, value: Any) -> str:
        """A key of WHIZBANG; only those of products have options, which may be secret."""
        if key not in _PRODUCTS:
            return self.plain(_show(value))
        return self.plain(_show({name: _hide("", item) for name, item in _mapping(value).items()}))

    def option(self, key: str, value: Any) -> str:
        return self.plain(_show(_hide(key, value)))

    def plain(self, text: str) -> str:
        return _INLINE_SECRET.sub(rf"\1\2{_MASKED}", mask(text, self._secrets))


def _hide(key: str, value: Any) -> Any:
    if _SECRET.search(key) and value not in (None, "", (), [], {}) and not isinstance(value, bool):
        return _MASKED
    if isinstance(value, Mapping):
        return {name: _hide(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hide("", item) for item in value]
    return value


def _secrets_in(value: Any) -> Iterator[str]:
    for key, item in _mapping(value).items():
        if _SECRET.search(str(key)):
            yield from secrets_in(item)
        else:
            yield from _secrets_in(item)
    if isinstance(value, list | tuple):
        for item in value:
            yield from _secrets_in(item)


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_show(item)}" for key, item in value.items()) + "}"
    if isinstance(value, set | frozenset):
        value = sorted(value, key=str)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_show(item) for item in value) + "]"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    return str(value)


_found: tuple[float, tuple[Finding, ...]] | None = None


def findings() -> tuple[Finding, ...]:
    """What our system checks say that was not silenced; asked again after ten seconds, or when settings change."""
    global _found
    known = _found
    if known is None or time.monotonic() - known[0] > _KEPT_SECONDS:
        known = _found = (time.monotonic(), tuple(_run_checks()))
    return known[1]


@settings.on_change
def _forget() -> None:
    global _found
    _found = None


def _run_checks() -> Iterator[Finding]:
    masked = _Masked()
    found = [
        message for message in checks.run_checks(tags=["whizbang"]) if not message.is_silenced()
    ]
    for message in sorted(found, key=lambda message: -message.level):
        yield Finding(
            level=_level(message.level),
            id=message.id or "",
            text=masked.plain(str(message.msg)),
            hint=masked.plain(str(message.hint or "")),
        )


def _level(level: int) -> str:
    if level >= checks.ERROR:
        return "error"
    return "warning" if level >= checks.WARNING else "info"
