"""Whether one worker's process lives and can work: what systemd, Kubernetes and the like ask before they restart it.

It is told from memory, by threads that touch no database, so it is told whatever the worker hangs in. Whether work
gets done at all, by whichever worker, tells whizbang/operations/health.py.
"""

from __future__ import annotations
