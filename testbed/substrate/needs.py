"""What a topology asks of this machine, looked at before anything is started: nothing is half built, nor left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from testbed.emulator.execute import PATH
from testbed.emulator.segments import OPEN_VSWITCH
from testbed.model.impairment import Impairment
from testbed.model.topology import Bridge, Switch, Topology
from testbed.substrate import probe

_TUN = "/dev/net/tun"
_GUESTS = "use `--substrate uml`"


def missing_programs(topology: Topology) -> Iterator[str]:
    """Give a sentence for each program that is not installed; guests run this machine's."""
    switches = [name for name, node in topology.nodes.items() if isinstance(node, Switch)]
    missing = [program for program in OPEN_VSWITCH if shutil.which(program, path=PATH) is None]
    if switches and missing:
        yield (
            f"the lab has switches ({_some(switches)}), and {', '.join(missing)} is not installed: "
            "apt-get install openvswitch-switch"
        )


def kernel_lacks(topology: Topology) -> Iterator[str]:
    """Give a sentence for each thing that this machine's kernel cannot, and a lab on it would need."""
    yield from _impairments(topology)
    yield from _vlans(topology)
    yield from _datapaths(topology)


def _impairments(topology: Topology) -> Iterator[str]:
    clean = Impairment()
    wanted = {key: (link.forward, link.backward, link.trace) for key, link in topology.links.items()}
    impaired = [key for key, asked in wanted.items() if asked != (clean, clean, None)]
    if impaired and not (netem := probe.run("netem")).ok:
        yield (
            f"links {_some(impaired)} are to be impaired, and this kernel cannot ({netem.detail}): "
            f"{_GUESTS}, or a kernel with the module sch_netem (`modprobe sch_netem`)"
        )


def _vlans(topology: Topology) -> Iterator[str]:
    apart = [name for name, node in topology.nodes.items() if isinstance(node, Bridge) and node.vlan_filtering]
    if apart and not (found := probe.run("vlan-filtering")).ok:
        yield (
            f"{_some(apart)}: vlan_filtering, and this kernel keeps no VLANs apart on a bridge ({found.detail}; "
            f"CONFIG_BRIDGE_VLAN_FILTERING): {_GUESTS}, or switches (`kind: switch`, `controller: none`)"
        )


def _datapaths(topology: Topology) -> Iterator[str]:
    switches = {name: node.datapath for name, node in topology.nodes.items() if isinstance(node, Switch)}
    there = bool(switches) and probe.run("openvswitch").ok
    kernel = [name for name, wanted in switches.items() if wanted == "kernel" and not there]
    userspace = [name for name, wanted in switches.items() if wanted == "userspace" or (wanted == "auto" and not there)]
    if kernel:
        yield (
            f"{_some(kernel)}: datapath kernel, and this kernel has none of Open vSwitch (module openvswitch): "
            f"{_GUESTS}, or `datapath: userspace`"
        )
    if userspace and not os.access(_TUN, os.R_OK | os.W_OK):
        yield (
            f"{_some(userspace)}: a switch in userspace needs {_TUN}, which is closed here: {_GUESTS}, "
            f"or `chmod 666 {_TUN}`"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
