"""Other Python mediators, each in its leanest form; two also in the form that their documentation shows.

The leanest form has no middleware and no dependency injection, as ours has none.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from benchmarks.peers.base import Peer

# Module here, and the packages on PyPI that it needs.
PACKAGES = {
    "mediatr_peer": "mediatr",
    "diator_peer": "diator",
    "diator_di_peer": "diator with di",
    "cqrs_peer": "python-cqrs",
    "cqrs_di_peer": "python-cqrs with di",
    "pymediator_peer": "pymediator",
    "lato_peer": "lato",
    "bubus_peer": "bubus",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The peers that are here, and the packages of those that are not."""

    peers: tuple[Peer, ...]
    missing: tuple[str, ...]


def load_installed() -> Installed:
    peers, missing = [], []
    for module_name, package in PACKAGES.items():
        try:
            module = importlib.import_module(f"benchmarks.peers.{module_name}")
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("benchmarks"):
                raise
            missing.append(package)
        else:
            peers.append(module.make())
    return Installed(peers=tuple(peers), missing=tuple(missing))
