"""Who looks at the console in these tests."""

from __future__ import annotations

from django.contrib.auth.models import Permission, User
from django.test import Client

EVIL = "<script>alert(1)</script>"


def user_with(*codenames: str, is_staff: bool = True) -> Client:
    """A browser of a user who has these permissions and no others."""
    user = User.objects.create(username=f"u{User.objects.count()}", is_staff=is_staff)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client
