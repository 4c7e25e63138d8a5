"""manage.py demo"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from argparse import ArgumentParser
from typing import Any, NoReturn

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from projects.example.orders.cdnow import count_lines, find_file
from projects.example.orders.draining import drain
from projects.example.orders.importing import INTERRUPTED, STOPPED, import_cdnow
from projects.example.orders.progress import Progress

_HOST = "127.0.0.1"
_LOGIN = "demo"
_PORTS_TO_TRY = 50


class Command(BaseCommand):
    help = (
        "Shows the shop with real orders: migrates, makes a login, imports CDNOW orders and lets "
        "them run through all four domains, then serves the site. Run again, it goes on importing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--seconds", type=float, default=100.0, help="time for the import (default: 100)"
        )
        parser.add_argument("--limit", type=int, help="import at most so many orders")
        parser.add_argument("--port", type=int, default=8000, help="first port to try")
        parser.add_argument("--no-serve", action="store_true", help="stop before serving the site")

    def handle(self, **options: Any) -> None:
        call_command("migrate", verbosity=0)
        password = make_login()
        try:
            self._import(limit=options["limit"], max_seconds=options["seconds"])
        except KeyboardInterrupt:
            raise CommandError(STOPPED, returncode=INTERRUPTED) from None
        call_command("sales_report", top=3, stdout=self.stdout)
        self.stdout.write("\nWhat became of the orders")
        call_command("outcomes", stdout=self.stdout)
        if options["no_serve"]:
            return
        address = f"{_HOST}:{find_free_port(options['port'])}"
        self.stdout.write(f"\nShop   http://{address}/\nAdmin  http://{address}/admin/")
        self.stdout.write(self.style.SUCCESS(f"Login  {_LOGIN}   password  {password}\n"))
        self.stdout.flush()
        serve(address)

    def _import(self, *, limit: int | None, max_seconds: float) -> None:
        try:
            path = find_file()
        except FileNotFoundError as error:
            raise CommandError(str(error)) from error
        total = count_lines(path, limit=limit)
        self.stdout.write(
            f"Importing {total:,} CDNOW orders through orders, inventory, payments and shipping, "
            f"for at most about {max_seconds:.0f} s."
        )
        with Progress(self.stdout, total=total) as progress:
            tally = import_cdnow(
                path,
                progress=progress,
                batch_size=2_000,
                limit=limit,
                after_batch=drain,
                max_seconds=max_seconds,
            )
        self.stdout.write(f"Imported {tally.lines:,} of {total:,} orders: {tally}.\n")


def make_login() -> str:
    """Give the demo's superuser a new password, so that none is known in advance."""
    password = secrets.token_urlsafe(9)
    user, _ = get_user_model().objects.get_or_create(
        username=_LOGIN, defaults={"is_staff": True, "is_superuser": True}
    )
    user.set_password(password)
    user.save()
    return password


def find_free_port(first: int) -> int:
    for port in range(first, first + _PORTS_TO_TRY):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except OSError:
                continue
            return port
    raise CommandError(f"No port from {first} on is free: give another one with --port.")


def serve(address: str) -> NoReturn:
    """Become Django's development server, with a worker in a thread of it; Ctrl-C ends both.

    --insecure lets it serve style sheets although DEBUG is off.
    """
    environment = {**os.environ, "EXAMPLE_WORKER": "in_process"}
    command = [sys.executable, sys.argv[0], "runserver", "--noreload", "--insecure", address]
    os.execve(sys.executable, command, environment)
