"""Mininet as Debian installs it: found beside a virtual environment that does not show Debian's packages.

Only this one package is let in, under its own name, so that a script's `import mininet.topo` finds the same modules.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

from testbed.errors import Unable

DEBIAN = "/usr/lib/python3/dist-packages"


def _load() -> None:
    """Make `import mininet` work.

    Raises:
        Unable: Mininet is not on this machine.
    """
    if "mininet" in sys.modules or find_spec("mininet") is not None:
        return
    spec = PathFinder.find_spec("mininet", [DEBIAN])
    if spec is None or spec.loader is None:
        raise Unable(f"Mininet's Python package is not in {DEBIAN}; apt-get install mininet")
    sys.modules["mininet"] = module_from_spec(spec)
    spec.loader.exec_module(sys.modules["mininet"])


_load()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it compares versions with distutils
    # Mininet has no types: these are its modules as they are.
    link: Any = import_module("mininet.link")
    log: Any = import_module("mininet.log")
    net: Any = import_module("mininet.net")
    node: Any = import_module("mininet.node")
    nodelib: Any = import_module("mininet.nodelib")
