"""A database without migrations: every way in says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from django.conf import settings

from tests.processes import PATIENCE_SECONDS, ROOT


@pytest.mark.requires_sqlite
@pytest.mark.parametrize(
    "call",
    [
        "whizbang.send(OpenOrder(order_id='1'))",
        "whizbang.send(OpenOrder(order_id='1'), message_id=uuid.uuid4())",
        "whizbang.publish(OpenOrder(order_id='1'))",
        "whizbang.publish_batch([OpenOrder(order_id='1')])",
        "list(whizbang.event_store().read_all())",
        "Worker().run(until_idle=True)",
    ],
)
def test_missing_tables_are_named_with_what_to_do(call: str, tmp_path: Path) -> None:
    script = f"""
        import uuid
        import django; django.setup()
        import whizbang
        from tests.shop.messages import OpenOrder
        from whizbang.operations.worker import Worker
        try:
            {call}
        except whizbang.NotReady as exc:
            print(exc)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": settings.SETTINGS_MODULE,
            "WHIZBANG_TEST_DB_NAME": str(tmp_path / "empty.sqlite3"),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert "manage.py migrate --database default" in done.stdout, done.stderr
