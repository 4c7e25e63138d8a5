"""The one settings dict `WHIZBANG`, read lazily through one typed object."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

DEFAULT_PIPELINE = (
    "whizbang.pipeline.validate.Validate",
    "whizbang.pipeline.authorize.Authorize",
    "whizbang.pipeline.transaction.Transaction",
    "whizbang.pipeline.deduplicate.Deduplicate",
    "whizbang.pipeline.trace.Trace",
    "whizbang.pipeline.handle.Handle",
    "whizbang.pipeline.commit.Commit",
    "whizbang.pipeline.outbox.Outbox",
    "whizbang.pipeline.respond.Respond",
)
MODES = ("inline", "durable", "batched")
OWN_DOMAIN = "whizbang"  # of the library's own events: every service's, and published to none


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every key of `WHIZBANG` with its default."""

    SERVICE: str = "default"  # name of this deployment
    REGION: str = ""
    OWNS: Any = "*"  # domains that this service owns; "*" owns all
    # Other services: {name: {"OWNS": [domains], "LISTENS_TO": [domains]}}
    SERVICES: dict[str, Any] = field(default_factory=dict)
    MODES: dict[str, str] = field(default_factory=dict)  # message type or domain -> mode
    PIPELINE: tuple[str, ...] = DEFAULT_PIPELINE
    STORES: dict[str, Any] = field(default_factory=lambda: {"default": {}})
    BROKERS: dict[str, Any] = field(
        default_factory=lambda: {
            "default": {"BACKEND": "whizbang.drivers.brokers.in_process.InProcessBroker"}
        }
    )
    SINKS: dict[str, Any] = field(default_factory=dict)  # where external projections write
    MAX_PAYLOAD_BYTES: int = 1024 * 1024
    MAX_RESULT_BYTES: int = 64 * 1024
    MAX_HOPS: int = 100  # messages that cause messages, before it counts as a loop
    WORKER: str = "process"  # or "in_process": a thread of the web process
    BATCH_SIZE: int = 500  # messages or events a worker takes at a time
    LEASE_SECONDS: float = 30.0
    BUSY_POLL_SECONDS: float = 0.02
    IDLE_POLL_SECONDS: float = 1.0
    MAX_ATTEMPTS: int = 5  # of a durable command before it is a dead letter
    RETRY_SECONDS: float = 1.0  # first wait before a retry; doubles, with jitter
    RETRY_MAX_SECONDS: float = 300.0
    KEEP_HANDLED_DAYS: float = 7.0  # how long a handled message's id is known
    KEEP_SAGAS_DAYS: float = 90.0  # how long an ended saga has a row; its stream stays
    KEEP_AUDIT_DAYS: float = 365.0  # how long it is known what operators did
    FOUR_EYES: tuple[str, ...] = ()  # actions of operators that a second person has to approve

    def owns(self, domain: str) -> bool:
        # What the library itself records, as of sagas, belongs to the service where it happens.
        return self.OWNS == "*" or domain in self.OWNS or domain == OWN_DOMAIN

    def service_of(self, domain: str) -> str | None:
        """The service that owns a domain; None when no configured service does."""
        if self.owns(domain):
            return self.SERVICE
        return next((n for n, s in self.SERVICES.items() if domain in s.get("OWNS", ())), None)


_EXPECTED_TYPES: dict[str, tuple[type, ...]] = {
    "SERVICE": (str,),
    "REGION": (str,),
    "OWNS": (str, list, tuple, set, frozenset),
    "SERVICES": (dict,),
    "MODES": (dict,),
    "PIPELINE": (list, tuple),
    "STORES": (dict,),
    "BROKERS": (dict,),
    "SINKS": (dict,),
    "MAX_PAYLOAD_BYTES": (int,),
    "MAX_RESULT_BYTES": (int,),
    "MAX_HOPS": (int,),
    "WORKER": (str,),
    "BATCH_SIZE": (int,),
    "LEASE_SECONDS": (int, float),
    "BUSY_POLL_SECONDS": (int, float),
    "IDLE_POLL_SECONDS": (int, float),
    "MAX_ATTEMPTS": (int,),
    "RETRY_SECONDS": (int, float),
    "RETRY_MAX_SECONDS": (int, float),
    "KEEP_HANDLED_DAYS": (int, float),
    "KEEP_SAGAS_DAYS": (int, float),
    "KEEP_AUDIT_DAYS": (int, float),
    "FOUR_EYES": (list, tuple),
}


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One thing wrong with the dict, for a system check."""

    code: str
    text: str
    hint: str


def given() -> Any:
    return getattr(django_settings, "WHIZBANG", {})


def find_problems(values: Any) -> Iterator[SettingProblem]:
    """What is wrong with a `WHIZBANG` dict: its shape, unknown keys, types and choices."""
    if not isinstance(values, Mapping):
        yield SettingProblem("E001", "WHIZBANG is not a dict.", "Write WHIZBANG = {...}.")
        return
    for key, value in values.items():
        yield from _find_key_problems(str(key), value)


def _find_key_problems(key: str, value: Any) -> Iterator[SettingProblem]:
    expected = _EXPECTED_TYPES.get(key)
    if expected is None:
        near = difflib.get_close_matches(key, _EXPECTED_TYPES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_EXPECTED_TYPES)}."
        yield SettingProblem("E002", f"WHIZBANG has the unknown key {key!r}.", hint)
        return
    if not isinstance(value, expected) or isinstance(value, bool):
        names = " or ".join(kind.__name__ for kind in expected)
        yield SettingProblem(
            "E003",
            f"WHIZBANG[{key!r}] is a {type(value).__name__}.",
            f"It must be a {names}.",
        )
        return
    yield from _find_choice_problems(key, value)


def _find_choice_problems(key: str, value: Any) -> Iterator[SettingProblem]:
    if key == "MODES":
        for name, mode in value.items():
            if mode not in MODES:
                near = difflib.get_close_matches(str(mode), MODES, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"One of {', '.join(MODES)}."
                yield SettingProblem("E004", f"Unknown mode {mode!r} for {name!r}.", hint)
    elif key == "OWNS" and isinstance(value, str) and value != "*":
        yield SettingProblem("E003", f"WHIZBANG['OWNS'] is {value!r}.", "A list of domains or '*'.")
    elif key == "WORKER" and value not in ("process", "in_process"):
        yield SettingProblem(
            "E003", f"Unknown WORKER {value!r}.", "It must be 'process' or 'in_process'."
        )
    elif key in ("STORES", "BROKERS", "SINKS"):
        yield from _find_product_problems(key, value)
    elif key == "SERVICES":
        yield from _find_service_problems(value)
    elif key == "PIPELINE" and not (value and all(isinstance(path, str) for path in value)):
        yield SettingProblem(
            "E003", f"WHIZBANG['PIPELINE'] is {value!r}.", "List dotted paths of stages."
        )
    elif isinstance(value, int | float) and value <= 0:
        yield SettingProblem("E003", f"WHIZBANG[{key!r}] is {value}.", "It must be above zero.")


_PRODUCT_KEYS = {"BACKEND": str, "USING": str, "OPTIONS": dict}


def _find_product_problems(key: str, value: Any) -> Iterator[SettingProblem]:
    if key != "SINKS" and "default" not in value:
        yield SettingProblem("E003", f"WHIZBANG[{key!r}] has no 'default'.", "Add one.")
    for alias, product in value.items():
        where = f"WHIZBANG[{key!r}][{alias!r}]"
        if not isinstance(product, Mapping):
            yield SettingProblem(
                "E003", f"{where} is a {type(product).__name__}.", "Make it a dict."
            )
            continue
        if key != "STORES" and "BACKEND" not in product:
            kind = key[:-1].lower()
            yield SettingProblem("E003", f"{where} has no 'BACKEND'.", f"Name the {kind}'s class.")
        known = {n: t for n, t in _PRODUCT_KEYS.items() if n != "USING" or key != "SINKS"}
        for name, item in product.items():
            expected = known.get(str(name))
            if expected is None:
                hint = f"Known: {', '.join(known)}."
                yield SettingProblem("E002", f"{where} has the unknown key {name!r}.", hint)
            elif not isinstance(item, expected):
                hint = f"It must be a {expected.__name__}."
                yield SettingProblem("E003", f"{where}[{name!r}] is {item!r}.", hint)


def _find_service_problems(value: Any) -> Iterator[SettingProblem]:
    for name, service in value.items():
        owns = service.get("OWNS") if isinstance(service, Mapping) else None
        if not isinstance(owns, list | tuple | set | frozenset):
            yield SettingProblem(
                "E003",
                f"WHIZBANG['SERVICES'][{name!r}] is {service!r}.",
                "Write {'OWNS': ['domain', …]}.",
            )
            continue
        for key, domains in service.items():
            if key not in ("OWNS", "LISTENS_TO"):
                yield SettingProblem(
                    "E002",
                    f"WHIZBANG['SERVICES'][{name!r}] has the unknown key {key!r}.",
                    "Known: OWNS, LISTENS_TO.",
                )
            elif not isinstance(domains, list | tuple | set | frozenset):
                yield SettingProblem(
                    "E003",
                    f"WHIZBANG['SERVICES'][{name!r}][{key!r}] is {domains!r}.",
                    "A list of domains.",
                )


class _LazySettings:
    """Reads `WHIZBANG` at first use and again after it changed."""

    def __init__(self) -> None:
        self._loaded: Settings | None = None
        self._callbacks: list[Any] = []

    def get(self) -> Settings:
        loaded = self._loaded
        if loaded is None:
            values = given()
            known = {f.name for f in fields(Settings)}
            usable = values if isinstance(values, Mapping) else {}
            loaded = self._loaded = Settings(**{k: v for k, v in usable.items() if k in known})
        return loaded

    def on_change(self, callback: Any) -> Any:
        """Call `callback()` whenever settings change (in tests); usable as a decorator."""
        self._callbacks.append(callback)
        return callback

    def forget(self) -> None:
        self._loaded = None
        for callback in self._callbacks:
            callback()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.get(), name)


settings = _LazySettings()


def _changed(*, setting: str, **kwargs: Any) -> None:
    if setting in ("WHIZBANG", "DATABASES", "INSTALLED_APPS"):
        settings.forget()


setting_changed.connect(_changed)
