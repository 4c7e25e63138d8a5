"""Whether caches are brought up to date by hand, as tests do it, instead of by a thread.

Imports nothing, since pytest's plugin says it before Django is set up.
"""

from __future__ import annotations

is_by_hand = False


def keep_by_hand(by_hand: bool) -> None:
    """Say how caches are kept current that are used from now on."""
    global is_by_hand
    is_by_hand = by_hand
