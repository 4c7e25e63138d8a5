"""Pages of actions as a browser uses them, and letters to use them on."""

from __future__ import annotations

import html
import re
from typing import Any
from uuid import uuid4

from django.test import Client
from django.urls import reverse

from tests.shop.messages import NOON
from whizbang.models import DeadLetter


def page_of(name: str, **parameters: Any) -> str:
    """The address of an action's page."""
    return reverse("admin:whizbang_operatoraction_do", args=[name], query=parameters)


def sent_form(page: str, **more: str) -> dict[str, str]:
    """What a browser sends of the form on a page."""
    found = re.findall(r'<input type="hidden" name="(token|seen)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found} | more


def confirm(client: Client, url: str, reason: str = "mended") -> Any:
    """Look at an action's page and do it."""
    return client.post(url, sent_form(client.get(url).text, reason=reason), follow=True)


def bury(type: str = "shop.NoteOrder", reason: str = "Boom", **known: Any) -> DeadLetter:
    own = {"payload": b"{}", "metadata": b"{}", "error": "boom", "attempts": 1, **known}
    return DeadLetter.objects.create(
        **{"message_id": uuid4(), "type": type, "reason": reason, "occurred_at": NOON, **own}
    )
