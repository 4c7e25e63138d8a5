"""The typed face of event stores: what is the same for every product."""

from __future__ import annotations
