"""Makes everything due that waits for its time: `python -m tests.example.a_day_later`."""

from __future__ import annotations

import json

import django


def main() -> dict[str, int]:
    from django.db.models.functions import Now

    from whizbang.models import InboxMessage, SagaTimeout

    later = InboxMessage.objects.filter(status="stored", available_at__gt=Now())
    return {
        "timeouts": SagaTimeout.objects.update(due_at=Now()),
        "commands": later.update(available_at=Now()),
    }


if __name__ == "__main__":
    django.setup()
    print(json.dumps(main()))
