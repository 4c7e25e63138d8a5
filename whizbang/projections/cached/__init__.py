"""Projections held in the memory of each process, kept current from the log."""

from __future__ import annotations
