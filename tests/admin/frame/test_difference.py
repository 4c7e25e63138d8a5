"""The difference that an edit of a payload is shown as."""

from __future__ import annotations

from whizbang_admin.frame.difference import difference


def lines(count: int, *, but: dict[int, str] | None = None) -> str:
    return "\n".join((but or {}).get(number, f"line {number}") for number in range(count))


def test_change_stands_among_its_neighbours() -> None:
    found = difference(lines(20), lines(20, but={10: "other"}))
    assert found[0] == found[-1] == (" ", "…")
    assert [line for line in found if line[0] != " "] == [("-", "line 10"), ("+", "other")]
    assert len(found) == 14


def test_short_one_is_shown_whole() -> None:
    assert difference("a\nb", "a\nb") == [(" ", "a"), (" ", "b")]
    assert difference("a", "a\nb") == [(" ", "a"), ("+", "b")]
    assert difference("", "") == []


def test_long_one_is_cut_and_not_compared() -> None:
    before, after = lines(50_000), "\n".join(f"other {number}" for number in range(50_000))
    found = difference(before, after)
    assert len(found) <= 2_001 and found[-1] == (" ", "…")
