"""What things are called in Open5GS's files, and where its functions listen inside the control plane's node."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

VERSIONS = ("2.7", "2.8")
"""Both read the same keys, but for `pcf.qos_profiles` and `global.parameter.no_ims`, which 2.8 added."""

SBI_PORT = 7777
METRICS_PORT = 9090
SBI: Mapping[str, str] = {
    "nrf": "127.0.0.10",
    "ausf": "127.0.0.11",
    "udm": "127.0.0.12",
    "pcf": "127.0.0.13",
    "nssf": "127.0.0.14",
    "bsf": "127.0.0.15",
    "udr": "127.0.0.20",
    "scp": "127.0.0.200",
}
"""Addresses of the service-based interface, as Open5GS's packages have them."""
_SEVERAL = {"amf": "127.0.5", "smf": "127.0.4"}


def sbi(function: str, index: int = 0) -> str:
    """Return where a function's service-based interface is; of AMFs and SMFs there may be several."""
    return SBI.get(function) or f"{_SEVERAL[function]}.{index + 1}"


def file_of(function: str, name: str) -> str:
    """Return the name of a function's file; `name_in` gives the function's name again."""
    return f"{function}.yaml" if name == function else f"{function}-{name}.yaml"


def name_in(function: str, stem: str) -> str:
    """Return what a function is called whose file has this name, without its suffix."""
    slug = slug_of(stem)
    return slug.removeprefix(f"{function}-") or slug


def slug_of(text: str, taken: Collection[str] = ()) -> str:
    """Return a name of a topology that is most like some text, and not one that is taken."""
    slug = re.sub("[^a-z0-9-]+", "-", text.lower()).strip("-")[:40].strip("-") or "x"
    return next(one for one in (slug, *(f"{slug[:36]}-{n}" for n in range(2, 1000))) if one not in taken)


def slice_name(sst: int, sd: str | None) -> str:
    """Return what a slice is called that has no name but its S-NSSAI."""
    return f"sst{sst}" if sd is None else f"sst{sst}-{sd}"


def dnn_keys(names: Collection[str]) -> dict[str, str]:
    """Return a topology's key for each data network's name."""
    keys: dict[str, str] = {}
    for name in sorted(names):
        keys[name] = slug_of(name, keys.values())
    return keys
