"""Doing an action in a browser, as its page is made."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

from django.test import Client

from whizbang.operations.actions import Action
from whizbang_admin.actions.links import action_url


def url_of(action: Action, *, back: str = "") -> str:
    return action_url(action, back=back)


def hidden_of(page: str) -> dict[str, str]:
    """What a browser sends of the hidden fields of the form on a page that acts."""
    found = re.findall(r'<input type="hidden" name="(token|seen|payload)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in found}


def do(client: Client, action: Action, *, reason: str = "Tried out.", **more: str) -> Any:
    """Open the page of an action and send its form; gives the answer."""
    url = url_of(action, back="/admin/")
    page = client.get(url)
    assert page.status_code == 200, page.text
    return client.post(url, {**hidden_of(page.text), "reason": reason, **more})
