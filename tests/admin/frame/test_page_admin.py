"""Addresses that Django has for every model, of pages that have no table."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.admin.clients import user_with

pytestmark = pytest.mark.django_db
PAGES = ["overview", "configuration", "topology", "whatif"]


@pytest.mark.parametrize("name", PAGES)
def test_there_is_nothing_to_delete_or_to_save(name: str) -> None:
    delete = reverse(f"admin:whizbang_admin_{name}_delete", args=[1])
    export = reverse(f"admin:whizbang_admin_{name}_export", args=["csv"])
    viewer = user_with(f"view_{name}")
    assert user_with().post(delete).status_code == 403
    assert viewer.post(delete).status_code in (403, 404)  # a rehearsal may be called "delete"
    assert user_with().get(export).status_code == 403
    assert viewer.get(export).status_code == 404
