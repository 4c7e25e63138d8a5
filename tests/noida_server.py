"""noida-db, which speaks the protocols of several products, as a process that a test starts and stops."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

from tests.processes import PATIENCE_SECONDS


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def noida_server(service: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """It runs in a directory of its own, which goes away with it; it may not answer yet."""
    # The program itself: its wrapper in Python would leave it running.
    program = files("noida_db").joinpath("noida-db")
    os.chmod(str(program), 0o755)
    arguments = ["start", "--only", service, f"--{service}-port", str(port)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [str(program), *arguments, "--data-dir", folder],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)
