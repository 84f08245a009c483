"""Files of containerlab: kinds linux and bridge, FRR images as routers."""

from __future__ import annotations

import re
from pathlib import Path

from testbed.exchange.base import Format
from testbed.exchange.containerlab.read import read
from testbed.exchange.containerlab.write import HOLDS, RENDERS, write

_LOOKED_AT = 1 << 20


def recognises(source: str) -> bool:
    """Whether a file is called as containerlab's are, or has its `topology` at the top."""
    name = source.lower()
    if name.endswith((".clab.yml", ".clab.yaml")):
        return True
    if not name.endswith((".yml", ".yaml")):
        return False
    try:
        with Path(source).open("rb") as stream:
            return re.search(rb"^topology\s*:", stream.read(_LOOKED_AT), re.MULTILINE) is not None
    except (OSError, ValueError):
        return False


FORMAT = Format(
    name="containerlab",
    about="containerlab's topology file",
    recognises=recognises,
    read=read,
    write=write,
    holds=HOLDS,
    renders=RENDERS,
)
