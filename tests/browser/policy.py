"""The Content-Security-Policy under which the console is tried: nothing inline, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

# 'report-sample' lets a violation tell how the text that was refused begins.
POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'report-sample'",
        "style-src 'self' 'report-sample'",
        "img-src 'self' data:",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ]
)


class ContentSecurityPolicy:
    """Middleware that puts the policy on every page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response
