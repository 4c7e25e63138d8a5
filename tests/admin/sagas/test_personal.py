"""Personal fields of what a saga hears, keeps and sends."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from django.urls import reverse

from tests.admin.clients import user_with
from tests.admin.sagas.conftest import page_of
from tests.sagas.steering import SAGA, note
from tests.trips.sagas import TripBooking
from whizbang import PERSONAL, Command, named
from whizbang.models import ActionRequest
from whizbang.operations.actions.sagas import ReplaySaga, saga_target
from whizbang.operations.sagas.masking import masked_saga_state
from whizbang_admin.sagas.masking import Sight

pytestmark = pytest.mark.django_db


@named("tests.Remind")
class Remind(Command[None]):
    trip_id: str
    mail: Annotated[str, PERSONAL]


@pytest.fixture
def personal_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the notes of a trip were annotated as personal."""
    kind = TripBooking.state_type()
    fields = {**kind.fields, "notes": Annotated[list[str], PERSONAL]}
    monkeypatch.setattr(kind, "fields", fields)


def a_replay(key: str) -> None:
    command = {"type": "tests.Remind", "data": {"trip_id": "1", "mail": "secret mail"}}
    gone = {"type": "tests.Gone", "data": {"x": "secret gone"}}
    differences = [
        {"what": "state", "recorded": {"notes": ["secret note"]}, "today": {"notes": []}},
        {"what": "commands", "recorded": [command], "today": [gone]},
        {"what": "ending", "recorded": "", "today": "completed"},
    ]
    step = {"version": 1, "message": "x", "differences": differences}
    ActionRequest.objects.create(
        action=ReplaySaga.name, target=saga_target(SAGA, key), status="done", parameters={},
        seen={}, requested_by="x", document={"found": [step]},
    )  # fmt: skip


def test_states_and_messages_are_masked_without_the_permission(
    waiting: str, personal_notes: None
) -> None:
    note("secret note")
    a_replay(waiting)
    listing = reverse("admin:whizbang_sagainstance_changelist")
    may: Any = ("view_sagainstance",)
    hidden, whole = user_with(*may), user_with(*may, "view_personal_data")
    for url in (page_of(waiting), listing):
        assert "•••" in hidden.get(url).text
        assert "•••" not in whole.get(url).text
    page = whole.get(page_of(waiting)).text
    assert "secret note" in page and "secret mail" in page and "secret gone" in page
    page = hidden.get(page_of(waiting)).text
    assert "secret mail" not in page and "secret gone" not in page and "completed" in page


def test_state_of_a_saga_that_is_gone_is_masked() -> None:
    assert masked_saga_state("tests.Gone", {"a": [1]}) == {"a": ["•••"]}


def test_names_in_a_difference_stay() -> None:
    nobody = type("Nobody", (), {"has_perm": lambda self, name: False})()
    assert Sight(SAGA, nobody).of_difference("methods", ["noted"]) == ["noted"]
