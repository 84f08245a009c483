"""Mininet's own Python package as Debian installs it: found beside a virtual environment that does not show Debian's.

Only this one package is let in, under its own name, so that a script's `import mininet.topo` finds the same modules.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec

from testbed.errors import Unable

DEBIAN = "/usr/lib/python3/dist-packages"


def let_in() -> None:
    """Make `import mininet` work in this process.

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
