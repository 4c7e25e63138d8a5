"""A view for load balancers and alarms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from whizbang.operations.health import check_health


def health(*, max_lag_seconds: float = 60.0) -> Callable[[HttpRequest], HttpResponse]:
    """A view that answers 200 while work gets done, else 503: `path("health/", health())`.

    Work gets done while the database answers, no subscription stands still with an error, and the
    next event of none is older than `max_lag_seconds`. The answer is JSON with counts and no names, so
    that it needs no login.
    """

    def view(request: HttpRequest) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        found = check_health(max_lag_seconds=max_lag_seconds)
        status = "ok" if found.is_well else "failing"
        response = JsonResponse(
            {"status": status, **asdict(found)}, status=200 if found.is_well else 503
        )
        response["Cache-Control"] = "no-store"
        return response

    return view
