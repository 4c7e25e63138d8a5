"""How often, and how soon, a message is tried again after one kind of error."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whizbang.conf import settings
from whizbang.exceptions import (
    DecodeError,
    HandlerNotFound,
    MessageRejected,
    OwnershipError,
    Rejected,
    UnknownMessageType,
    UnstorableResult,
)

# A second try would end the same way.
FINAL_ERRORS = (
    Rejected,
    MessageRejected,
    UnknownMessageType,
    DecodeError,
    HandlerNotFound,
    OwnershipError,
    UnstorableResult,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Waits that double from `first_seconds` up to `longest_seconds`, with jitter, until `max_attempts`.

    What is None follows the settings MAX_ATTEMPTS, RETRY_SECONDS and RETRY_MAX_SECONDS.
    `Retry(max_attempts=1)` is no retry at all. Raises TypeError and ValueError for what makes no sense.
    """

    max_attempts: int | None = None
    first_seconds: float | None = None
    longest_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_attempts", "first_seconds", "longest_seconds"):
            value = getattr(self, name)
            kinds = int if name == "max_attempts" else (int, float)
            if value is None:
                continue
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TypeError(f"Retry({name}=...) must be a number, not {value!r}.")
            if value <= 0:
                raise ValueError(f"Retry({name}={value!r}) must be above zero.")

    @property
    def most_attempts(self) -> int:
        return int(self.max_attempts or settings.MAX_ATTEMPTS)

    def seconds_after(self, attempts: int) -> float:
        """The wait after that many attempts, from half of the backoff to all of it."""
        first = self.first_seconds or settings.RETRY_SECONDS
        # Long before 2**64 every wait is the longest; a float cannot hold 2**1024.
        grown = first * 2.0 ** min(attempts - 1, 64)
        longest = min(grown, self.longest_seconds or settings.RETRY_MAX_SECONDS)
        return float(random.uniform(longest / 2, longest))


RetryOn = Mapping[type[Exception], Retry]
DEFAULT_RETRY = Retry()


def is_final(error: Exception) -> bool:
    """Would a second try end the same way? The library's refusals, and what says so by `is_lasting`."""
    return isinstance(error, FINAL_ERRORS) or bool(getattr(error, "is_lasting", False))


def retry_for(error: Exception, retry_on: RetryOn) -> Retry:
    """What a handler declares for the nearest class of an error, else the settings' own."""
    for cls in type(error).__mro__:
        if cls in retry_on:
            return retry_on[cls]
    return DEFAULT_RETRY


def check_retry_on(retry_on: Any) -> RetryOn:
    """What @handles was given, checked. Raises TypeError for what could never have an effect."""
    if not isinstance(retry_on, Mapping):
        raise TypeError(f"retry_on must be a dict of exception to Retry, not {retry_on!r}.")
    for error, retry in retry_on.items():
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise TypeError(f"retry_on names {error!r}, which is no class of Exception.")
        if not isinstance(retry, Retry):
            raise TypeError(f"retry_on[{error.__name__}] must be a Retry, not {retry!r}.")
        if issubclass(error, FINAL_ERRORS) or getattr(error, "is_lasting", False) is True:
            raise TypeError(f"{error.__name__} is final: it is never retried, so leave it out.")
    return dict(retry_on)
