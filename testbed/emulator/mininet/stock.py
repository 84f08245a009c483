"""The modules of Mininet's own package, as they are."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

from testbed.mininet_package import let_in

let_in()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it compares versions with distutils
    # Mininet has no types.
    cli: Any = import_module("mininet.cli")
    link: Any = import_module("mininet.link")
    log: Any = import_module("mininet.log")
    net: Any = import_module("mininet.net")
    node: Any = import_module("mininet.node")
    nodelib: Any = import_module("mininet.nodelib")
