"""Every key that Open5GS 2.7 and 2.8 read in a 5G function's file, and what of it is not what it should be.

From `src/*/context.c`, `lib/{app,sbi,pfcp,gtp,metrics}` of 2.7.7 and 2.8.0. Open5GS only warns of keys that it does not
know, and goes on without what they were to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.errors import nearest
from testbed.model.source import Tree, shown

LEAF = None
"""A scalar, or a list of scalars."""
ANY = ...
"""Whatever is there is not looked into."""

Shape = Any
"""LEAF, ANY, or a mapping of keys to shapes; where it is a mapping, a list of such mappings does as well."""


def _leaves(*keys: str) -> dict[str, Shape]:
    return dict.fromkeys(keys, LEAF)


_PLMN = _leaves("mcc", "mnc")
_S_NSSAI = _leaves("sst", "sd")
_SOCKET = {**_leaves("family", "address", "port", "dev"), "option": ANY}
_SERVER = {"server": _SOCKET}
_TLS = _leaves("scheme", "private_key", "cert", "sslkeylogfile", "verify_client", "verify_client_cacert")
_CLIENT_TLS = _leaves(
    "scheme", "private_key", "cert", "cacert", "insecure_skip_verify", "client_sslkeylogfile", "client_private_key",
    "client_cert",
)  # fmt: skip
_PEER = {**_leaves("uri", "resolve"), **_CLIENT_TLS}
_SBI: dict[str, Shape] = {
    "server": {**_SOCKET, **_TLS, **_leaves("advertise", "interface")},
    "client": {"nrf": _PEER, "scp": _PEER, "sepp": _PEER, "delegated": {"nrf": _leaves("nfm", "disc"),
                                                                       "scp": _leaves("next")}},
}  # fmt: skip
_COMMON: dict[str, Shape] = {
    "default": ANY,
    "sbi": _SBI,
    "service_name": ANY,
    "discovery": ANY,
    "time": ANY,
    "serving": {"plmn_id": _PLMN},
}
_METRICS = {"metrics": _SERVER}
_PFCP_SERVER = {**_SOCKET, **_leaves("advertise", "dnn", "apn")}
_PFCP_PEER = _leaves("family", "address", "advertise", "port", "tac", "dnn", "apn", "e_cell_id", "nr_cell_id")
_SESSION = _leaves("subnet", "gateway", "dnn", "apn", "dev", "range")
_GTPU = {
    "server": {
        **_SOCKET,
        **_leaves("advertise", "teid_range_indication", "teid_range", "network_instance", "source_interface"),
    }
}
_TAI = {"plmn_id": _PLMN, "tac": LEAF}

FUNCTIONS: Mapping[str, Mapping[str, Shape]] = {
    "amf": {
        **_COMMON, **_METRICS,
        "relative_capacity": LEAF,
        "ngap": _SERVER,
        "guami": {"plmn_id": _PLMN, "amf_id": _leaves("region", "set", "pointer")},
        "tai": _TAI,
        "plmn_support": {"plmn_id": _PLMN, "s_nssai": _S_NSSAI},
        "access_control": {**_leaves("default_reject_cause"), "plmn_id": {**_PLMN, **_leaves("reject_cause")}},
        "security": _leaves("integrity_order", "ciphering_order"),
        "network_name": _leaves("full", "short"),
        "amf_name": LEAF,
    },
    "smf": {
        **_COMMON, **_METRICS,
        "freeDiameter": ANY,
        "ctf": _leaves("enabled"),
        "gtpc": {"server": {**_SOCKET, **_leaves("tac")}, "client": ANY},
        "gtpu": _GTPU,
        "pfcp": {"server": _PFCP_SERVER, "client": {"upf": _PFCP_PEER}},
        "session": _SESSION,
        "dns": LEAF,
        "mtu": LEAF,
        "p-cscf": LEAF,
        "info": {"s_nssai": {**_S_NSSAI, "dnn": LEAF}, "tai": _TAI},
        "security_indication": _leaves(
            "integrity_protection_indication", "confidentiality_protection_indication",
            "maximum_integrity_protected_data_rate_uplink", "maximum_integrity_protected_data_rate_downlink",
        ),
    },
    "upf": {
        **_METRICS,
        "gtpu": _GTPU,
        "pfcp": {"server": _PFCP_SERVER, "client": {"smf": _PFCP_PEER}},
        "session": _SESSION,
    },
    "nrf": _COMMON,
    "scp": {**_COMMON, "info": ANY},
    "ausf": _COMMON,
    "udm": {**_COMMON, "hnet": _leaves("id", "scheme", "key")},
    "udr": _COMMON,
    "pcf": {**_COMMON, **_METRICS, "policy": ANY, "qos_profiles": _leaves("reference", "qos_index")},
    "nssf": {**_COMMON, "sbi": {**_SBI, "client": {**_SBI["client"], "nsi": {"uri": LEAF, "s_nssai": _S_NSSAI}}}},
    "bsf": _COMMON,
}  # fmt: skip
OTHERS = ("mme", "hss", "pcrf", "sgwc", "sgwu", "sepp", "sepp1", "sepp2")
"""Functions of 4G and between networks: their files may lie beside those of 5G, and are not read."""
_TOP: Mapping[str, Shape] = {
    "db_uri": LEAF,
    "logger": {"file": ANY, **_leaves("level", "domain", "default")},
    "global": {
        "parameter": ANY,
        "sockopt": ANY,
        "max": _leaves("ue", "peer", "enb", "gtp_peer"),
        "pool": ANY,
    },
    "time": ANY,
    "test": ANY,
}


def wrong(file: Tree) -> Iterator[str]:
    """Give what is not as Open5GS reads it, one line each: unknown keys, lists and mappings in the wrong places."""
    yield from _wrong(file, {**_TOP, **FUNCTIONS, **dict.fromkeys(OTHERS, ANY)})


def _wrong(tree: Tree, shape: Shape) -> Iterator[str]:
    if shape is ANY or tree.value is None:
        return
    if shape is LEAF:
        yield from _wrong_leaf(tree)
    elif isinstance(tree.value, list):
        for item in tree.value:
            yield from (
                [_line(item, "expected a mapping (key: value)")]
                if isinstance(item.value, list)
                else _wrong(item, shape)
            )
    elif isinstance(tree.value, dict):
        for key, child in tree.value.items():
            if key in shape:
                yield from _wrong(child, shape[key])
            else:
                known = f"expected one of {', '.join(shape)}{nearest(key, shape)}"
                yield f"{child.key or child.place}: {child.where}: unknown key {key!r}: {known}"
    else:
        yield _line(tree, "expected a mapping (key: value)")


def _wrong_leaf(tree: Tree) -> Iterator[str]:
    items = tree.value if isinstance(tree.value, list) else [tree]
    for item in items:
        if isinstance(item.value, dict | list):
            yield _line(item, "expected a value, or a list of values")


def _line(tree: Tree, expected: str) -> str:
    return f"{tree.place}: {tree.where}: {shown(tree)}{expected}"
