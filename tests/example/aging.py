"""Makes everything in the outbox two days older: `python -m tests.example.aging`."""

from __future__ import annotations

import json
from datetime import timedelta

import django


def main() -> dict[str, int]:
    from django.db.models import F

    from whizbang.models import OutboxMessage

    days = timedelta(days=2)
    count = OutboxMessage.objects.update(
        occurred_at=F("occurred_at") - days, available_at=F("available_at") - days
    )
    return {"aged": count}


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main()))
