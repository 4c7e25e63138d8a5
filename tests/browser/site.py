"""The site that the browser looks at: `python -m tests.browser.site FOLDER` in a process of its own.

It fills a new database, serves it by Django's live server with a worker in a thread, and prints one line of JSON:
its address, and for each user the cookie of a session.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

VIEWER, OPERATOR, SUPERUSER = "viewer", "operator", "superuser"


def main(folder: Path) -> None:
    os.environ["EXAMPLE_VAR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.browser.settings"
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    from tests.browser.troubles import make_shop

    make_shop()
    print(json.dumps({"address": serve(), "cookies": make_users()}), flush=True)
    signal.pause()


def serve() -> str:
    from django.conf import settings
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.test.testcases import LiveServerThread

    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    settings.WHIZBANG = {**settings.WHIZBANG, "WORKER": "in_process"}
    _refresh_settings()
    server = LiveServerThread("127.0.0.1", StaticFilesHandler)
    server.daemon = True
    server.start()
    server.is_ready.wait()
    if server.error:
        raise server.error
    return f"http://127.0.0.1:{server.port}"


def _refresh_settings() -> None:
    from django.conf import settings
    from django.core.signals import setting_changed

    setting_changed.send(sender=None, setting="WHIZBANG", value=settings.WHIZBANG, enter=True)


def make_users() -> dict[str, str]:
    """Sessions of a superuser, of one who may only look, and of one who may do all but approve."""
    from django.conf import settings
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    ours = Permission.objects.filter(content_type__app_label__startswith="whizbang")
    permissions = {
        VIEWER: ours.filter(codename__startswith="view_").exclude(codename="view_personal_data"),
        OPERATOR: ours.exclude(codename__startswith="approve_"),
        SUPERUSER: ours.none(),
    }
    cookies = {}
    for name, allowed in permissions.items():
        user = User.objects.create(username=name, is_staff=True, is_superuser=name == SUPERUSER)
        user.user_permissions.set(allowed)
        client = Client()
        client.force_login(user)
        cookies[name] = client.cookies[settings.SESSION_COOKIE_NAME].value
    return cookies


if __name__ == "__main__":
    main(Path(sys.argv[1]))
