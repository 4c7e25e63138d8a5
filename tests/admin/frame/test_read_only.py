"""What all lists of the console share."""

from __future__ import annotations

import pytest

from tests.admin.clients import user_with

pytestmark = pytest.mark.django_db
TEXT_KEYS = ["stream", "subscription", "sagainstance"]


@pytest.mark.parametrize("page", ["history", "delete", "change"])
@pytest.mark.parametrize("name", TEXT_KEYS)
def test_key_with_a_nul_names_no_row(name: str, page: str) -> None:
    """PostgreSQL refuses to be asked for one; other databases know no such row."""
    url = f"/admin/whizbang/{name}/a%00b/{page}/"
    for client in (user_with(), user_with(f"view_{name}")):
        assert client.get(url).status_code in (302, 403, 404)
