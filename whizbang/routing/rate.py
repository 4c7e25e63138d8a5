"""How many messages of a handler workers may take in a while."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

_PERIODS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
}
_PATTERN = re.compile(r"([1-9][0-9]{0,5})/([smh])")


@dataclass(frozen=True, slots=True)
class Rate:
    """So many in a period, spread over it: the bucket holds a tenth of the period's tokens, or a second's.

    A token may be used that long after it was due, since workers look once a second when idle. So any
    period sees at most 1.1 times `count` (twice of it where the period is a second), and one more.
    """

    count: int
    period: timedelta

    @property
    def interval(self) -> timedelta:
        """From one token to the next."""
        return self.period / self.count

    @property
    def slack(self) -> timedelta:
        """How long a token can be used after it was due."""
        return max(self.period / 10, timedelta(seconds=1))

    @property
    def burst(self) -> timedelta:
        """How far back a full bucket's oldest token was due: 0 where it holds one."""
        return max(self.slack - self.interval, timedelta())


def parse_rate(text: str | None) -> Rate | None:
    """The rate that "100/m" stands for, a second, minute or hour. Raises TypeError and ValueError."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f"rate_limit must be text such as '100/m', not {text!r}.")
    found = _PATTERN.fullmatch(text)
    if found is None:
        raise ValueError(
            f"rate_limit is {text!r}: write N/s, N/m or N/h, with N from 1 to 999999, such as '100/m'."
        )
    return Rate(int(found[1]), _PERIODS[found[2]])
