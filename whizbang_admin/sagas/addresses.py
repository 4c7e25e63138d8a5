"""Where the pages of sagas lead to, for those who may go there."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode


class Addresses:
    """Links of one page; each is empty for a user who may not see where it leads."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._may: dict[str, bool] = {}

    def instance(self, stream: str) -> str:
        return self._url("sagainstance", "whizbang_sagainstance_change", quote(stream))

    def diagram(self, saga: str) -> str:
        return self._url("sagainstance", "whizbang_sagainstance_diagram", quote(saga))

    def stream(self, name: str) -> str:
        return self._url("stream", "whizbang_stream_timeline", quote(name))

    def event(self, stream: str, version: int) -> str:
        return self._url("stream", "whizbang_stream_event", version, quote(stream))

    def dead_letter(self, pk: int) -> str:
        return self._url("deadletter", "whizbang_deadletter_change", pk)

    def inbox(self, message_id: object) -> str:
        url = self._url("inboxmessage", "whizbang_inboxmessage_changelist")
        return f"{url}?{urlencode({'q': str(message_id)})}" if url else ""

    def list(self, model: str, **query: str) -> str:
        """The list of a model of ours, with filters."""
        url = self._url(model, f"whizbang_{model}_changelist")
        return f"{url}?{urlencode(query)}" if url and query else url

    def _url(self, model: str, name: str, *args: Any) -> str:
        if not self._may_view(model):
            return ""
        return reverse(f"admin:{name}", args=args, current_app=self._request.current_app)

    def _may_view(self, model: str) -> bool:
        if model not in self._may:
            self._may[model] = self._request.user.has_perm(f"whizbang.view_{model}")
        return self._may[model]
