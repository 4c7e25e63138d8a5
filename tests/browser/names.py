"""Orders of the shop that tests and pictures look at."""

from __future__ import annotations

UNPAYABLE = "cdnow-305"  # the bank's machine did not answer
UNCOUNTABLE = "cdnow-310"  # a projection stumbled over it
SHIPPED = "cdnow-7"
REFUSED_LINE = "The bank does not answer: connection reset by peer."
