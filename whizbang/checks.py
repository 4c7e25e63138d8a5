"""System checks: what is wrong with settings, messages, handlers and projections, told at start-up."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from django.apps import apps
from django.core import checks
from django.db import connections
from django.utils.module_loading import import_string

from whizbang.conf import DEFAULT_PIPELINE, find_problems, given, settings
from whizbang.domain import aggregate
from whizbang.drivers.sinks import make_sink
from whizbang.drivers.sinks.masking import mask
from whizbang.drivers.tables import has_columns
from whizbang.exceptions import WhizbangError
from whizbang.messages import types
from whizbang.models import Subscription
from whizbang.operations.actions import approvable_names
from whizbang.projections import declaration
from whizbang.projections.external import ExternalProjection
from whizbang.routing.registry import registry
from whizbang.sagas.declaration import all_sagas
from whizbang.sagas.declaration import problems as saga_problems
from whizbang.store import snapshot_format
from whizbang.store.event_store import event_store
from whizbang.subscriptions.definition import SubscriptionDefinition
from whizbang.subscriptions.heard import ownerless_domains
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import needs_rebuild

_DELIVERIES = ("async", "inline")
_CORE_STAGES = DEFAULT_PIPELINE[5:]  # Handle, Commit, Outbox, Respond


@checks.register("whizbang")
def check_settings(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    problems = list(find_problems(given()))
    found: list[checks.CheckMessage] = [
        checks.Error(p.text, hint=p.hint, id=f"whizbang.{p.code}") for p in problems
    ]
    if not problems:
        found.extend(_check_paths())
        found.extend(_check_four_eyes())
        found.extend(_check_stores())
        if not any(message.id == "whizbang.E005" for message in found):
            found.extend(_check_sinks())
    return found


def _check_four_eyes() -> Iterator[checks.CheckMessage]:
    names = approvable_names()
    for name in settings.FOUR_EYES:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, n=1)
            yield checks.Error(
                f"WHIZBANG['FOUR_EYES'] names the unknown action {name!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}.",
                id="whizbang.E008",
            )


def _check_sinks() -> Iterator[checks.CheckMessage]:
    for alias in settings.SINKS:
        try:
            make_sink(alias)
        except (WhizbangError, TypeError, ValueError) as exc:
            yield checks.Error(
                f"WHIZBANG['SINKS'][{alias!r}] cannot be used: {mask(str(exc))}",
                hint="See the options of sinks in the documentation of settings.",
                id="whizbang.E007",
            )


def _check_paths() -> Iterator[checks.CheckMessage]:
    paths = [*settings.PIPELINE]
    paths += [s["BACKEND"] for s in settings.STORES.values() if s.get("BACKEND")]
    paths += [b["BACKEND"] for b in settings.BROKERS.values() if b.get("BACKEND")]
    paths += [s["BACKEND"] for s in settings.SINKS.values()]
    for path in paths:
        try:
            import_string(path)
        except ImportError as exc:
            yield checks.Error(
                f"{path!r} cannot be imported: {exc}",
                hint=f"A stage is a dotted path such as {DEFAULT_PIPELINE[0]!r}.",
                id="whizbang.E005",
            )


def _check_stores() -> Iterator[checks.CheckMessage]:
    for alias, store in settings.STORES.items():
        using = store.get("USING", "default")
        if using != "default" and using in connections:
            yield checks.Warning(
                f"Store {alias!r} is in the database {using!r}: `transaction.atomic()` without "
                f"using={using!r} does not join its transactions.",
                hint=f"Open atomic(using={using!r}) around send() where both must commit together.",
                id="whizbang.W004",
            )
        if using not in connections:
            yield checks.Error(
                f"Store {alias!r} uses the database {using!r}, which DATABASES does not have.",
                hint="Name an alias of DATABASES in 'USING'.",
                id="whizbang.E006",
            )
            continue
        yield from _check_database(using)


def _check_database(using: str) -> Iterator[checks.CheckMessage]:
    vendor = connections[using].vendor
    options = connections[using].settings_dict.get("OPTIONS", {})
    if vendor == "sqlite" and options.get("transaction_mode") != "IMMEDIATE":
        yield checks.Warning(
            f"The SQLite database {using!r} does not begin its transactions IMMEDIATE.",
            hint="Set OPTIONS['transaction_mode'] = 'IMMEDIATE': else two writers fail with "
            "'database is locked' instead of waiting for each other.",
            id="whizbang.W001",
        )
    level = options.get("isolation_level", "read committed")  # Django's default there
    if vendor == "mysql" and level != "read committed":
        yield checks.Warning(
            f"The database {using!r} does not run at isolation level 'read committed'.",
            hint="Leave OPTIONS['isolation_level'] out: at a higher level claims lock gaps of the inbox "
            "and rebuilds refuse to run, at a lower one workers refuse to read the log.",
            id="whizbang.W006",
        )


@checks.register("whizbang")
def check_messages(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    for cls in types.all_types():
        found.extend(_check_fields(cls))
        try:
            msgspec.json.Decoder(cls)
        except (TypeError, NameError, ValueError) as exc:
            found.append(
                checks.Error(
                    f"Message {cls.__module__}.{cls.__qualname__} cannot be decoded: {exc}",
                    hint="Import the types of its fields at run time (not under TYPE_CHECKING), and "
                    "tag the members of unions.",
                    obj=cls,
                    id="whizbang.E010",
                )
            )
    for name, owners in types.name_clashes():
        classes = ", ".join(f"{c.__module__}.{c.__qualname__}" for c in owners)
        found.append(
            checks.Error(
                f"The type name {name!r} is claimed by {classes}.",
                hint="Give one of them another name with @named.",
                id="whizbang.E011",
            )
        )
    for name, cls in types.hidden_declarations():
        found.append(
            checks.Error(
                f"The type name {name!r} is upcast or retired as gone, but {cls.__name__} has it.",
                hint="Name the class in @upcasts, or drop the name or alias from the class.",
                obj=cls,
                id="whizbang.E013",
            )
        )
    return found


def _check_fields(cls: Any) -> Iterator[checks.CheckMessage]:
    """Fields of classes that msgspec does not know: they would fail when a message is sent."""
    try:
        fields = getattr(msgspec.inspect.type_info(cls), "fields", ())
    except (TypeError, NameError, ValueError):
        return  # said by the decoder's check
    for field in fields:
        if isinstance(field.type, msgspec.inspect.CustomType):
            yield checks.Error(
                f"{cls.__name__}.{field.name} is a {field.type.cls.__name__}, which no message can "
                "carry.",
                hint="Use plain types, or a class derived from whizbang.Value.",
                obj=cls,
                id="whizbang.E012",
            )


@checks.register("whizbang")
def check_handlers(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    for message_type, handlers in registry.handlers.items():
        name = message_type.__whizbang__.type_name
        if len(handlers) > 1:
            places = ", ".join(h.name for h in handlers)
            found.append(
                checks.Error(
                    f"{name} has {len(handlers)} handlers: {places}.",
                    hint="A command or query has one handler. Use events and @subscribes for more.",
                    obj=message_type,
                    id="whizbang.E020",
                )
            )
    found.extend(_find_inactive())
    return found


def _find_inactive() -> Iterator[checks.CheckMessage]:
    """One message a domain: a service of four has handlers of three others."""
    handlers = Counter(message_type.__whizbang__.domain for message_type in registry.handlers)
    for domain, count in sorted(handlers.items()):
        if not settings.get().owns(domain):
            yield checks.Info(
                f"{count} handlers of domain {domain!r} are inactive: service "
                f"{settings.SERVICE!r} does not own it.",
                hint="Add the domain to WHIZBANG['OWNS'] if it should run here.",
                id="whizbang.I001",
            )


@checks.register("whizbang")
def check_modes(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """MODES may name types of other services' contracts, but not nothing at all."""
    modes = given().get("MODES", {}) if isinstance(given(), dict) else {}
    known = {config.label for config in apps.get_app_configs()}
    for cls in types.all_types():
        info = cls.__whizbang__
        known.update((info.domain, info.type_name, *info.alias_names))
    return [
        checks.Warning(
            f"MODES names {name!r}, which is no message type and no domain.",
            hint=_suggest(str(name), known),
            id="whizbang.W003",
        )
        for name in (modes if isinstance(modes, dict) else ())
        if name not in known
    ]


def _suggest(name: str, known: set[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else "Use a type such as 'orders.PlaceOrder'."


@checks.register("whizbang")
def check_pipeline(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Without these stages, in this order, commands are handled in part or not at all."""
    if list(find_problems(given())):
        return []
    places = []
    for core in _CORE_STAGES:
        stage = import_string(core)
        found = [i for i, path in enumerate(settings.PIPELINE) if _is_stage(path, stage)]
        places.append(found[0] if found else None)
    missing = [
        c.rsplit(".", 1)[1] for c, place in zip(_CORE_STAGES, places, strict=True) if place is None
    ]
    found = [place for place in places if place is not None]
    if not missing and found == sorted(found):
        return []
    what = f"lacks {', '.join(missing)}" if missing else "has its core stages in another order"
    return [
        checks.Warning(
            f"WHIZBANG['PIPELINE'] {what}.",
            hint="Without Handle, Commit, Outbox and Respond, in this order, events and messages are lost. "
            "Silence this check if stages of your own do their work.",
            id="whizbang.W002",
        )
    ]


def _is_stage(path: str, stage: Any) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, stage)


@checks.register("whizbang")
def check_aggregates(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    return [*_check_annotated(), *_check_unannotated(), *_check_snapshots()]


def _check_snapshots() -> Iterator[checks.CheckMessage]:
    for cls in aggregate.declared:
        if not cls.snapshot_every:
            continue
        try:
            snapshot_format.StateFormat(cls)
        except TypeError as exc:
            yield checks.Error(
                f"{cls.__name__} has snapshot_every, but its state cannot be kept: {exc}.",
                hint="Annotate the state with plain types or classes derived from whizbang.Value.",
                obj=cls,
                id="whizbang.E032",
            )


def _check_unannotated() -> Iterator[checks.CheckMessage]:
    for cls in aggregate.declared:
        for name in aggregate.unannotated_defaults(cls):
            yield checks.Error(
                f"{cls.__name__}.{name} has no annotation, so all instances share it.",
                hint=f"Annotate it, as in `{name}: list[str] = []`, to make it part of the state.",
                obj=cls,
                id="whizbang.E031",
            )


def _check_annotated() -> list[checks.CheckMessage]:
    return [
        checks.Error(
            f"The default of {cls.__name__}.{name} would be shared by all instances.",
            hint="Use a list, dict or set (they are copied), or an immutable value.",
            obj=cls,
            id="whizbang.E030",
        )
        for cls in aggregate.declared
        for name in aggregate.shared_defaults(cls)
    ]


@checks.register("whizbang")
def check_subscriptions(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    projections = list(declaration.instances())
    names = Counter(p.name for p in projections)
    names.update(s.name for s in registry.subscribers)
    names.update(cls.name() for cls in all_sagas())
    for name, count in names.items():
        if count > 1:
            found.append(
                checks.Error(
                    f"{count} subscriptions are named {name!r}.",
                    hint="Each keeps its own checkpoint: give one of them another name.",
                    id="whizbang.E040",
                )
            )
    declared: list[Any] = [*projections, *registry.subscribers]
    for item in declared:
        if item.delivery not in _DELIVERIES:
            found.append(
                checks.Error(
                    f"{item.name} has the unknown delivery {item.delivery!r}.",
                    hint="It is 'async' or 'inline'.",
                    id="whizbang.E041",
                )
            )
    for projection in projections:
        for problem in declaration.problems(type(projection)):
            found.append(
                checks.Error(
                    problem, hint="See Projection in the documentation.", id="whizbang.E042"
                )
            )
        found.extend(_check_alias(projection))
    found.extend(_check_collections(projections))
    return found


@checks.register("whizbang")
def check_sagas(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    return [
        checks.Error(problem, hint="See Saga in the documentation.", id="whizbang.E045")
        for cls in all_sagas()
        for problem in saga_problems(cls)
    ]


@checks.register("whizbang")
def check_heard_domains(app_configs: Any, **kwargs: Any) -> list[checks.CheckMessage]:
    """Only where other services are named: else a domain may be left out on purpose."""
    if any(find_problems(given())) or not settings.SERVICES:
        return []
    return [
        checks.Warning(
            f"{', '.join(names)} wants events of domain {domain!r}, which no service owns.",
            hint="Add the domain to WHIZBANG['OWNS'], or to 'OWNS' of its service in "
            "WHIZBANG['SERVICES']: until then none of its events comes here.",
            id="whizbang.W008",
        )
        for domain, names in ownerless_domains().items()
    ]


def _check_collections(projections: list[Any]) -> Iterator[checks.CheckMessage]:
    external = [p for p in projections if isinstance(p, ExternalProjection)]
    places = Counter((p.sink, p.stored_as().name) for p in external)
    for (sink, collection), count in places.items():
        if count > 1:
            yield checks.Error(
                f"{count} projections write to the collection {collection!r} of the sink {sink!r}.",
                hint="Each folds its own documents: give one of them another `collection`.",
                id="whizbang.E044",
            )


def _check_alias(projection: Any) -> Iterator[checks.CheckMessage]:
    if any(find_problems(given())):
        return
    using = settings.STORES["default"].get("USING", "default")
    if projection.delivery == "inline" and projection.using not in (None, using):
        yield checks.Error(
            f"The inline projection {projection.name} writes to {projection.using!r}, not to the "
            f"store's database {using!r}.",
            hint="An inline projection shares the append's transaction: use delivery = 'async'.",
            id="whizbang.E043",
        )


@checks.register(checks.Tags.database)
def check_read_models(
    app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Where Django may ask a database: with `migrate`, and with `check --database`."""
    if not databases or any(find_problems(given())):
        return []
    return [
        _needs_rebuild(definition)
        for definition in all_definitions(event_store())
        if definition.using in databases and _is_outdated(definition)
    ]


def _is_outdated(definition: SubscriptionDefinition) -> bool:
    # Before the first `migrate`, or one that is due, there may be no such table or column.
    if not has_columns(Subscription, ("name", "version", "fingerprint"), using=definition.using):
        return False
    rows = Subscription.objects.using(definition.using).only("version", "fingerprint")
    row = rows.filter(name=definition.name).first()
    return row is not None and needs_rebuild(definition, row)


def _needs_rebuild(definition: SubscriptionDefinition) -> checks.CheckMessage:
    projection = getattr(definition, "projection", None)
    hint = f"Run `manage.py whizbang rebuild {definition.name}`"
    if projection is not None and not projection.is_rebuildable:
        hint = f"Give it a clear() that empties what it wrote, then r{hint[1:]}"
    return checks.Warning(
        f"{definition.name} needs a rebuild: its rows are of another version of its code or model.",
        hint=f"{hint}; until then the old rows are read, and new events are applied to them.",
        id="whizbang.W007",
    )
