"""Several worker processes under one: started, watched, started again and stopped together.

Each is the command line once more, so that it is set up like the first one and shares no thread, lock or connection
with it. group: the process that starts them. child: what it knows of one. parent: what that one knows of it.
"""

from __future__ import annotations
