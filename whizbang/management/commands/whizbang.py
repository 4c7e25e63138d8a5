"""`manage.py whizbang <verb>`: the verbs stand in whizbang/management/verbs."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.exceptions import WhizbangError
from whizbang.management.verbs.base import Parsers
from whizbang.management.verbs.registered import VERBS
from whizbang.operations.cleanup import cleanup
from whizbang.operations.dead_letters import dead_letters, find_dead_letter, retry_dead_letter
from whizbang.operations.findings import Finding, Report
from whizbang.operations.parked import retry_parked, skip_parked
from whizbang.operations.rebuild import rebuild_here, request_rebuild
from whizbang.operations.schedule import install_schedule
from whizbang.operations.status import first_line, overview, rates_between
from whizbang.operations.subscriptions import pause, refuse_cached, resume
from whizbang.operations.verify_history import verify_history
from whizbang.operations.verify_integrity import verify_integrity
from whizbang.operations.worker import Worker
from whizbang.store.event_store import event_store


class _Verbs:
    """Adds a parser for each verb that knows Django's options."""

    def __init__(self, subparsers: Any, common: ArgumentParser) -> None:
        self._subparsers, self._common = subparsers, common

    def add_parser(self, name: str, *, help: str) -> ArgumentParser:
        made: ArgumentParser = self._subparsers.add_parser(name, help=help, parents=[self._common])
        return made


class Command(BaseCommand):
    help = f"Runs and watches whizbang: {', '.join(verb.name for verb in VERBS)}."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parsers = Parsers(parser.add_subparsers(dest="verb", required=True))
        for verb in VERBS:
            verb.add_to(parsers)

    def handle(self, *args: Any, **options: Any) -> None:
        verb = next(verb for verb in VERBS if verb.name == options["verb"])
        try:
            verb.run(self, options)
        except WhizbangError as exc:
            raise CommandError(str(exc)) from exc

    def _worker(self, options: dict[str, Any]) -> None:
        worker = Worker(store=options["store"])
        signals = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda *_: worker.stop()) for number in signals]
        self.stdout.write(f"Worker {worker.name} started.")
        try:
            counts = worker.run(
                until_idle=options["until_idle"], max_seconds=options["max_seconds"]
            )
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)
        self.stdout.write(
            self.style.SUCCESS(
                "Worker stopped: " + ", ".join(f"{n} {k}" for k, n in counts.items())
            )
        )

    def _status(self, options: dict[str, Any]) -> None:
        before: tuple[dict[str, Any], float] | None = None
        while True:
            found, now = overview(), time.monotonic()
            rates = rates_between(before[0], found, now - before[1]) if before else {}
            if options["json"]:
                self.stdout.write(json.dumps(_with_rates(found, rates), default=str))
            else:
                self._print_status(found, rates)
            if options["watch"] is None:
                return
            before = (found, now)
            time.sleep(options["watch"])

    def _print_status(
        self, found: dict[str, Any], rates: dict[str, tuple[float, float | None]]
    ) -> None:
        self.stdout.write(f"head {found['head']}")
        for holder in found["held_back_by"]:
            self.stdout.write(self.style.WARNING(f"    held back by {holder}"))
        for item in found["subscriptions"]:
            notes = " needs rebuild" if item["needs_rebuild"] else ""
            notes += f" parked {item['parked']}" if item["parked"] else ""
            line = f"  {item['name']:50} {item['status']:8} {_lag_of(item)}{notes}"
            self.stdout.write(line + _rate_of(rates.get(item["name"])))
            self._print_troubles(item)
        self.stdout.write(f"inbox {found['inbox'] or 'empty'}")
        self.stdout.write(f"outbox {found['outbox']['unsent']} unsent")
        self.stdout.write(f"dead letters {found['dead_letters']}")
        self.stdout.write(f"rebuilds {found['rebuilds'] or 'none'}")
        if found["unknown_types"]:
            names = ", ".join(found["unknown_types"])
            self.stdout.write(self.style.WARNING(f"types in the log that no app defines: {names}"))

    def _print_troubles(self, item: dict[str, Any]) -> None:
        if item["error"]:
            self.stdout.write(self.style.WARNING(f"    stopped: {first_line(item['error'])}"))
        run = item["rebuild"]
        if run and run["status"] == "failed":
            self.stdout.write(self.style.WARNING(f"    rebuild {run['id']} failed: {run['error']}"))

    def _streams(self, options: dict[str, Any]) -> None:
        store = event_store()
        rows = list(store.driver.read_stream(options["stream"]))
        if not rows:
            raise CommandError(f"Stream {options['stream']!r} has no events.")
        for row in rows:
            payload = store.serializer.decode_plain(row.payload)
            if options["json"]:
                fields = {"position": row.position, "version": row.version, "type": row.type}
                fields |= {"occurred_at": row.occurred_at, "data": payload}
                self.stdout.write(json.dumps(fields, default=str))
            else:
                self.stdout.write(
                    f"{row.version:5} {row.occurred_at:%Y-%m-%d %H:%M:%S} {row.type} {payload}"
                )

    def _rebuild(self, options: dict[str, Any]) -> None:
        refuse_cached(options["projection"])
        run, is_new = request_rebuild(
            options["projection"], requested_by="command line", reason=options["reason"]
        )
        name = f"Rebuild {run.pk} of {run.projection}"
        if not is_new:
            asked = f"{run.requested_by or 'somebody'} at {run.requested_at:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(f"{name} is open already ({run.status}), asked for by {asked}.")
        elif not options["now"]:
            self.stdout.write(f"{name} is requested; a worker does it.")
        if not options["now"]:
            return
        done = rebuild_here(run)
        self.stdout.write(
            self.style.SUCCESS(f"Rebuilt {done.projection} from {done.events} events.")
        )

    def _retry(self, options: dict[str, Any]) -> None:
        count = retry_parked(options["subscription"], stream=options["stream"])
        self.stdout.write(f"{count} parked streams will be tried again.")

    def _skip(self, options: dict[str, Any]) -> None:
        try:
            skipped = skip_parked(
                options["subscription"],
                stream=options["stream"],
                reason=options["reason"],
                skipped_by="command line",
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        self.stdout.write(f"{skipped} is left out; a worker applies what follows.")

    def _pause(self, options: dict[str, Any]) -> None:
        pause(options["subscription"])
        self.stdout.write(f"{options['subscription']} stands still until it is resumed.")

    def _resume(self, options: dict[str, Any]) -> None:
        resume(options["subscription"])
        self.stdout.write(f"{options['subscription']} goes on.")

    def _redrive(self, options: dict[str, Any]) -> None:
        letter = find_dead_letter(options["id"])
        self.stdout.write(f"{retry_dead_letter(letter.pk)} is in the inbox again.")

    def _deadletters(self, options: dict[str, Any]) -> None:
        for letter in dead_letters():
            facts = {
                "id": letter.pk,
                "message_id": str(letter.message_id),
                "type": letter.type,
                "reason": letter.reason,
                "error": letter.error,
                "attempts": letter.attempts,
                "died_at": letter.died_at.isoformat(),
            }
            if options["json"]:
                self.stdout.write(json.dumps(facts))
            else:
                self.stdout.write("{id:6} {message_id} {type} {error}".format(**facts))

    def _schedule(self, options: dict[str, Any]) -> None:
        entry = install_schedule(every_seconds=options["every_seconds"])
        self.stdout.write(self.style.SUCCESS(f"Beat entry {entry.name!r} runs {entry.task}."))

    def _cleanup(self, options: dict[str, Any]) -> None:
        self.stdout.write(", ".join(f"{n} {table}" for table, n in cleanup().items()) + " deleted.")

    def _verify(self, options: dict[str, Any]) -> None:
        known: dict[str, Any] = {"store": options["store"], "progress": self._progress()}
        if options["what"] == "history":
            known |= {name: options[name] for name in ("sample", "seed", "types")}
            report = verify_history(**known)
        else:
            report = verify_integrity(**known)
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report)))
        else:
            self._print_report(report)
        if report.problems:
            raise CommandError(f"{report.problems} problems in {report.events} events.")

    def _progress(self) -> Any:
        """Counts on a terminal; nothing where the output goes to a file."""
        if not sys.stderr.isatty():
            return None
        return lambda count: sys.stderr.write(f"\r{count} events")

    def _print_report(self, report: Report) -> None:
        for finding in report.findings:
            self.stdout.write(self.style.ERROR(_describe(finding)))
        looked = f"{report.events} events in {report.streams} streams"
        looked += f", {report.aggregates} folded" if report.aggregates else ""
        looked += "" if report.seed is None else f", a sample with --seed {report.seed}"
        self.stdout.write(f"Looked at {looked}: {report.problems or 'no'} problems.")


def _describe(finding: Finding) -> str:
    what = finding.kind if finding.type is None else f"{finding.type} schema {finding.schema}"
    place = "" if finding.stream is None else f" {finding.stream}"
    if finding.version is not None:
        place += f" version {finding.version}, position {finding.position}"
    first = f" (first:{place})" if place else ""
    kind = "" if finding.type is None else f" {finding.kind}"
    return f"{finding.count} ×{kind} {what}{first}: {finding.error}"


def _interval(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 86_400:
        raise ArgumentTypeError("give 0.1 to 86400 seconds")
    return seconds


def _lag_of(item: dict[str, Any]) -> str:
    if item["kind"] == "inline":
        return "inline"
    if item["status"] == "new":
        return "no row yet"
    late = f" ({item['lag_seconds']:.1f} s)" if item["lag_seconds"] else ""
    owner = f" by {item['owner']}" if item["owner"] else " by nobody"
    return f"lag {item['lag_events']}{late}{owner}"


def _rate_of(rate: tuple[float, float | None] | None) -> str:
    if rate is None:
        return ""
    per_second, left = rate
    rest = (
        "" if left == 0 else ", not catching up" if left is None else f", caught up in {left:.0f} s"
    )
    return f" at {per_second:.0f}/s{rest}"


def _with_rates(
    found: dict[str, Any], rates: dict[str, tuple[float, float | None]]
) -> dict[str, Any]:
    """Rates only where they are known."""
    for item in found["subscriptions"]:
        if item["name"] in rates:
            item["events_per_second"], item["seconds_to_catch_up"] = rates[item["name"]]
    return found
