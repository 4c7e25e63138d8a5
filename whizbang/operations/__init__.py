"""What an operator can do: the same functions serve the console, the command line and tasks."""

from __future__ import annotations
