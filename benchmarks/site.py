"""A Django site for one throw-away database: the library, the benchmarks' own app, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command

from benchmarks.databases import Database


def set_up(database: Database, apps: Sequence[str] = ("benchmarks.app",), **whizbang: Any) -> None:
    """Configure Django for this process and make the tables. Once a process: use a child.

    `apps` are the benchmarks' own, `whizbang` settings of the library.
    """
    settings.configure(
        DATABASES={"default": database.settings},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django.contrib.auth",
            "whizbang",
            *apps,
        ],
        SECRET_KEY="for benchmarks only",
        USE_TZ=True,
        WHIZBANG=whizbang,
    )
    django.setup()
    call_command("migrate", verbosity=0)
