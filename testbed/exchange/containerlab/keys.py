"""Which keys of a containerlab node are kept, which mean nothing here, and which cannot be kept."""

from __future__ import annotations

from testbed.errors import nearest
from testbed.exchange.base import Findings
from testbed.model.source import Tree

KEPT = frozenset({"kind", "group", "image", "exec", "binds", "sysctls", "labels", "cmd", "entrypoint", "network-mode"})
MEANINGLESS = frozenset(
    {
        *("image-pull-policy", "restart-policy", "auto-remove", "link-apply-mode", "position", "hostname"),
        *("cap-add", "privileged", "security-opts", "type", "enforce-startup-config", "suppress-startup-config"),
    }
)
"""Of containers, or of kinds that are not kept: a node here has all rights over its own network."""
UNSUPPORTED = frozenset(
    {
        *("aliases", "certificate", "cgroup-parent", "cgroupns-mode", "components", "config", "cpu", "cpu-set"),
        *("credentials", "devices", "dns", "env", "env-files", "extras", "healthcheck", "license", "memory"),
        *("mgmt-ipv4", "mgmt-ipv6", "mgmt_ipv4", "mgmt_ipv6", "password", "pid-mode", "ports", "runtime", "shm-size"),
        *("stages", "startup-config", "startup-delay", "tmpfs", "user", "username", "volumes"),
    }
)
_NODE_KEYS = KEPT | MEANINGLESS | UNSUPPORTED
IDLE = frozenset(
    {"sleep infinity", "sleep inf", "tail -f /dev/null", "bash", "sh", "/bin/bash", "/bin/sh", "ash", "/bin/ash"}
)
"""Commands that only keep a container alive."""

_LINK_COMMON = frozenset({"endpoints", "mtu", "labels", "vars", "ipv4", "ipv6", "type"})
_ENDPOINT_KEYS = frozenset({"node", "interface", "mac", "ipv4", "ipv6", "vars"})
_TOP = frozenset({"name", "prefix", "mgmt", "settings", "topology", "debug"})
_TOPOLOGY = frozenset({"defaults", "kinds", "groups", "nodes", "links"})


def check_file(file: Tree, findings: Findings) -> None:
    """Look at the keys around the nodes and links."""
    _known(file, _TOP, findings)
    for key in ("mgmt", "settings"):
        if (found := file.child(key)) is not None and found.value is not None:
            findings.cannot(
                found.key or found.place, f"{key}: a lab here has no management network and no certificates"
            )
    topology = file.child("topology")
    if topology is not None and isinstance(topology.value, dict):
        _known(topology, _TOPOLOGY, findings)
        for family in ("kinds", "groups", "nodes"):
            _mappings(topology.child(family), findings)
        _mapping(topology.child("defaults"), findings)


def _mappings(family: Tree | None, findings: Findings) -> None:
    _mapping(family, findings)
    if family is not None and isinstance(family.value, dict):
        for child in family.value.values():
            _mapping(child, findings)


def _mapping(tree: Tree | None, findings: Findings) -> None:
    if tree is not None and tree.value is not None and not isinstance(tree.value, dict):
        findings.refuse(tree.place, f"{tree.where}: expected a mapping (key: value)")


def check_level(level: Tree, findings: Findings) -> None:
    """Look at the keys of a node, or of what it inherits from."""
    for key, value in level.value.items() if isinstance(level.value, dict) else ():
        place = value.key or value.place
        if key not in _NODE_KEYS:
            findings.refuse(place, f"{level.where}: unknown key {key!r}{nearest(key, _NODE_KEYS)}")
        elif key in UNSUPPORTED and value.value not in (None, "", [], {}):
            findings.cannot(place, f"{value.where}: cannot be kept: a node here is no container")
        elif key in MEANINGLESS:
            findings.note(place, f"{value.where}: means nothing here")


def check_link(link: Tree, findings: Findings) -> None:
    """Look at the keys of a link and its endpoints."""
    _known(link, _LINK_COMMON, findings)
    for end in ends.value if (ends := link.child("endpoints")) is not None and isinstance(ends.value, list) else ():
        _known(end, _ENDPOINT_KEYS, findings)
        for key in ("mac", "vars"):
            if (found := end.child(key)) is not None:
                tell = findings.cannot if key == "mac" else findings.note
                tell(found.key or found.place, f"{found.where}: cannot be kept")
    if (found := link.child("vars")) is not None:
        findings.note(found.key or found.place, f"{found.where}: means nothing here")


def _known(tree: Tree, known: frozenset[str], findings: Findings) -> None:
    for key, value in tree.value.items() if isinstance(tree.value, dict) else ():
        if key not in known:
            expected = f"unknown key {key!r}: expected one of {', '.join(sorted(known))}{nearest(key, known)}"
            findings.refuse(value.key or value.place, f"{tree.where + ': ' if tree.where else ''}{expected}")
