"""The verbs of `manage.py whizbang`, one noun a file; `registered` lists them."""

from __future__ import annotations
