"""A table beside the live one: made, filled, compared, and put in its place."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction

from tests.drivers.shadows.catalogue import describe
from tests.drivers.shadows.models import Desk, Lamp, Region, Shop
from whizbang.drivers.shadows import Shadow, shadow_for, why_not_swapped
from whizbang.drivers.shadows.postgres import SwappedShadow
from whizbang.exceptions import WhizbangError

pytestmark = pytest.mark.usefixtures("shops")
requires_postgres = pytest.mark.requires_postgres


def shadow_of(model: Any, key: str, method: str | None = None) -> Shadow:
    found = shadow_for(model, model._meta.get_field(key), "default", method=method)
    assert found is not None
    return found


def build(shadow: Shadow, *rows: Any) -> Shadow:
    """Made, filled and finished, outside of any transaction."""
    shadow.make()
    shadow.rows.fill(rows)
    shadow.finish()
    return shadow


def publish(shadow: Shadow) -> None:
    with transaction.atomic():
        shadow.publish()
    shadow.discard()


# Only PostgreSQL can exchange tables in a transaction.
@pytest.fixture(params=["swap", "merge"] if connection.vendor == "postgresql" else ["merge"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shop(code: str, door: str, **values: Any) -> Shop:
    return Shop(code=code, door=door, **{"visits": 0, **values})


def test_published_rows_are_the_new_ones(method: str) -> None:
    Region.objects.create(code="n")
    shop("kept", "1", sales=Decimal("1.50"), tags=["a"]).save()
    shop("changed", "2").save()
    shop("gone", "3").save()
    publish(
        build(
            shadow_of(Shop, "code", method),
            shop("kept", "1", sales=Decimal("1.50"), tags=["a"]),
            shop("changed", "2", region_id="n", note="tab\there \\ 'x' ü", tags={"a": [1, None]}),
            shop("new", "3"),
        )
    )
    assert sorted(Shop.objects.values_list("code", "door", "region_id", "note", "tags")) == [
        ("changed", "2", "n", "tab\there \\ 'x' ü", {"a": [1, None]}),
        ("kept", "1", None, "", ["a"]),
        ("new", "3", None, "", []),
    ]


def test_rows_may_exchange_a_unique_value(method: str) -> None:
    shop("a", "1").save()
    shop("b", "2").save()
    publish(build(shadow_of(Shop, "code", method), shop("a", "2"), shop("b", "1")))
    assert dict(Shop.objects.values_list("code", "door")) == {"a": "2", "b": "1"}


def test_published_table_is_like_one_that_was_never_rebuilt(method: str) -> None:
    before = describe(Shop._meta.db_table)
    for _ in range(2):
        publish(build(shadow_of(Shop, "code", method), shop("a", "1")))
        assert describe(Shop._meta.db_table) == before
    with pytest.raises(IntegrityError):
        shop("b", "1").save()


def test_rows_that_a_constraint_refuses_are_not_published(method: str) -> None:
    shop("a", "1").save()
    shadow = shadow_of(Shop, "code", method)
    with pytest.raises(IntegrityError), transaction.atomic():
        publish(build(shadow, shop("b", "1", visits=-1)))
    with pytest.raises(IntegrityError), transaction.atomic():
        publish(build(shadow, shop("b", "1"), shop("c", "1")))
    assert [s.code for s in Shop.objects.all()] == ["a"]


def test_rows_keep_the_number_they_are_known_by() -> None:
    desks = [Desk.objects.create(name=name, seats=1) for name in "abc"]
    Lamp.objects.create(desk=desks[1])
    numbers = {desk.name: desk.pk for desk in desks}
    publish(
        build(
            shadow_of(Desk, "name"),
            *(Desk(name=name, seats=seats) for name, seats in (("d", 9), ("b", 5), ("a", 1))),
        )
    )
    assert dict(Desk.objects.values_list("name", "seats")) == {"a": 1, "b": 5, "d": 9}
    found = dict(Desk.objects.values_list("name", "pk"))
    assert (found["a"], found["b"]) == (numbers["a"], numbers["b"])
    assert found["d"] not in numbers.values()
    assert Lamp.objects.get().desk.name == "b"
    assert Desk.objects.create(name="e").pk > found["d"]


def test_row_that_others_refer_to_is_not_removed() -> None:
    desk = Desk.objects.create(name="a")
    Lamp.objects.create(desk=desk)
    with pytest.raises((WhizbangError, IntegrityError)):
        publish(build(shadow_of(Desk, "name"), Desk(name="b")))
    assert [d.name for d in Desk.objects.all()] == ["a"]


def test_comparison_counts_and_shows_what_differs(method: str) -> None:
    for code, door in (("same", "1"), ("other", "2"), ("gone", "3"), ("case", "4")):
        shop(code, door, note="Ab", sales=Decimal("1.10")).save()
    shadow = build(
        shadow_of(Shop, "code", method),
        shop("same", "1", note="Ab", sales=Decimal("1.1")),
        shop("other", "2", note="Ab" + "x" * 500, sales=Decimal("2.00")),
        shop("case", "4", note="ab", sales=Decimal("1.10")),
        shop("new", "5"),
    )
    with transaction.atomic():
        found = shadow.compare(most_samples=10)
    counts = (found.live_rows, found.new_rows, found.only_live, found.only_new, found.differing)
    assert counts == (4, 4, 1, 1, 2)
    assert not found.is_none
    samples = {sample.key: sample for sample in found.samples}
    assert samples.keys() == {"case", "other", "gone", "new"}
    assert samples["case"].live == {"note": "Ab"}
    assert samples["case"].new == {"note": "ab"}
    assert samples["other"].new is not None
    assert samples["other"].new["sales"] == "2.00"
    assert len(samples["other"].new["note"] or "") == 201
    assert samples["gone"].new is None
    assert samples["new"].live is None
    with transaction.atomic():
        assert len(shadow.compare(most_samples=1).samples) == 1


def test_comparison_of_equal_tables_finds_nothing(method: str) -> None:
    shop("a", "1", tags={"b": 1, "a": [None]}).save()
    shadow = build(shadow_of(Shop, "code", method), shop("a", "1", tags={"b": 1, "a": [None]}))
    with transaction.atomic():
        found = shadow.compare(most_samples=10)
    assert found.is_none
    assert found.samples == []


def test_leftover_of_a_killed_run_is_made_anew(method: str) -> None:
    shadow = build(shadow_of(Shop, "code", method), shop("a", "1"))
    assert shadow.exists()
    again = build(shadow_of(Shop, "code", method), shop("b", "1"))
    again.finish()
    publish(again)
    assert [s.code for s in Shop.objects.all()] == ["b"]
    assert not again.exists()


def test_table_can_have_no_shadow_in_a_transaction_that_ddl_would_end() -> None:
    with transaction.atomic():
        found = shadow_for(Shop, Shop._meta.pk, "default")
    assert (found is None) == (connection.vendor == "mysql")


@requires_postgres
def test_swapped_table_is_kept_and_put_back() -> None:
    shop("old", "1").save()
    shadow = build(shadow_of(Shop, "code", "swap"), shop("new", "1"))
    assert isinstance(shadow, SwappedShadow)
    before = describe(Shop._meta.db_table)
    publish(shadow)
    shadow.release_kept()
    assert shadow.has_kept()
    assert [s.code for s in Shop.objects.all()] == ["new"]
    shadow.prepare_kept()
    with transaction.atomic():
        shadow.put_back()
    assert [s.code for s in Shop.objects.all()] == ["old"]
    assert describe(Shop._meta.db_table) == before
    shadow.discard_kept()
    assert not shadow.has_kept()


@requires_postgres
def test_kept_table_is_not_put_back_once_its_columns_have_changed() -> None:
    shadow = build(shadow_of(Shop, "code", "swap"), shop("new", "1"))
    assert isinstance(shadow, SwappedShadow)
    publish(shadow)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shadow_tests_shop ADD COLUMN later integer")
    with pytest.raises(WhizbangError, match="columns of .* have changed"):
        shadow.prepare_kept()


@requires_postgres
def test_swap_gives_up_at_once_while_a_reader_holds_the_table() -> None:
    shop("old", "1").save()
    shadow = build(shadow_of(Shop, "code", "swap"), shop("new", "1"))
    with reading(), pytest.raises(OperationalError, match="lock timeout"):
        publish(shadow)
    assert [s.code for s in Shop.objects.all()] == ["old"]
    publish(shadow)
    assert [s.code for s in Shop.objects.all()] == ["new"]


class reading:
    """A transaction of another session that has read the table and goes on."""

    def __enter__(self) -> None:
        self._is_reading, self._may_end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        assert self._is_reading.wait(60)

    def __exit__(self, *error: object) -> None:
        self._may_end.set()
        self._thread.join(60)

    def _read(self) -> None:
        try:
            with transaction.atomic():
                list(Shop.objects.all())
                self._is_reading.set()
                self._may_end.wait(60)
        finally:
            connections.close_all()


OBSTACLES = {
    "refers to it by a foreign key": "CREATE TABLE shadow_other (s varchar REFERENCES shadow_tests_shop)",
    "refers to itself": "ALTER TABLE shadow_tests_shop ADD COLUMN s varchar REFERENCES shadow_tests_shop",
    "a view reads it": "CREATE VIEW shadow_view AS SELECT code FROM shadow_tests_shop",
    "a trigger or a rule": "CREATE RULE shadow_rule AS ON DELETE TO shadow_tests_shop DO ALSO SELECT 1",
    "row security": "ALTER TABLE shadow_tests_shop ENABLE ROW LEVEL SECURITY",
    "has grants": "GRANT SELECT ON shadow_tests_shop TO PUBLIC",
    "storage parameters": "ALTER TABLE shadow_tests_shop SET (fillfactor = 70)",
    "extended statistics": "CREATE STATISTICS shadow_stat ON code, door FROM shadow_tests_shop",
    "no plain, logged table": "ALTER TABLE shadow_tests_shop SET UNLOGGED",
    "a sequence numbers": "ALTER TABLE shadow_tests_shop ADD COLUMN n serial",
    "published for replication": "CREATE PUBLICATION shadow_pub FOR TABLE shadow_tests_shop",
}


@requires_postgres
@pytest.mark.parametrize("reason", OBSTACLES)
def test_table_with_more_than_like_copies_is_merged(reason: str) -> None:
    assert why_not_swapped(Shop, Shop._meta.pk, "default") == []
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(OBSTACLES[reason])
        (said,) = why_not_swapped(Shop, Shop._meta.pk, "default")
        assert reason in said
        assert shadow_for(Shop, Shop._meta.pk, "default", method="swap") is None
        assert shadow_of(Shop, "code").method == "merge"
        transaction.set_rollback(True)


def test_model_whose_columns_only_the_orm_can_write_has_no_shadow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(field: Any) -> bool:
        return field.name != "tags"

    monkeypatch.setattr("whizbang.drivers.rows.is_simple", refuse)
    monkeypatch.setattr("whizbang.drivers.rows.fits_array", refuse)
    assert shadow_for(Shop, Shop._meta.pk, "default") is None
