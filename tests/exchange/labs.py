"""A containerlab lab with most of what is kept: defaults, kinds and groups, bound files, commands, addresses."""

from __future__ import annotations

from pathlib import Path

from testbed.exchange.registry import Imported, import_from

LAB = """\
name: Two Cells
topology:
  defaults:
    kind: linux
    exec: [echo __clabNodeName__ of __clabLabName__]
  kinds:
    linux:
      image: alpine:3
      sysctls: {net.ipv4.tcp_ecn: 1}
  groups:
    routers:
      image: quay.io/frrouting/frr:8.4.4
      binds:
        - __clabNodeName__/frr.conf:/etc/frr/frr.conf
        - daemons:/etc/frr/daemons:ro
  nodes:
    core_1: {group: routers}
    core_2: {group: routers}
    UE1:
      exec:
        - ip addr add 192.168.1.2/24 dev eth1
        - ip route add default via 192.168.1.1
        - ip route add 10.9.0.0/16 via 192.168.1.1
    UE2:
      exec: [ip addr add 192.168.2.2/24 dev eth1, ip route replace default via 192.168.2.1]
    lan: {kind: bridge, labels: {graph-posX: "10", graph-posY: "-2.5"}}
  links:
    - endpoints: [core_1:eth1, core_2:eth1]
      mtu: 1500
    - type: veth
      endpoints:
        - {node: UE1, interface: eth1}
        - {node: lan, interface: p1}
    - endpoints: [core_1:eth2, lan:p2]
    - endpoints: [UE2:eth1, core_2:eth2]
"""
DAEMONS = 'zebra=yes\nbgpd=no\nospfd=yes\nripd=no\nvtysh_enable=yes\nospfd_options="  -A 127.0.0.1"\n'


def config(number: int) -> str:
    """OSPF as an operator of containerlab writes it, addresses included."""
    fast = " ip ospf area 0\n ip ospf hello-interval 1\n ip ospf dead-interval 4\n"
    return (
        f"frr defaults traditional\nhostname core_{number}\n!\n"
        f"interface eth1\n ip address 10.0.0.{number}/30\n ip ospf network point-to-point\n{fast}!\n"
        f"interface eth2\n ip address 192.168.{number}.1/24\n ip ospf passive\n{fast}!\n"
        f"router ospf\n ospf router-id 10.255.0.{number}\n!\nline vty\n!\n"
    )


def write_lab(folder: Path, text: str = LAB) -> Path:
    """Write the lab with its bound files."""
    (folder / "daemons").write_text(DAEMONS)
    for number in (1, 2):
        (folder / f"core_{number}").mkdir(exist_ok=True)
        (folder / f"core_{number}" / "frr.conf").write_text(config(number))
    file = folder / "two.clab.yml"
    file.write_text(text)
    return file


def read_lab(folder: Path, text: str = LAB, skip: bool = False) -> Imported:
    """Import the lab."""
    return import_from(str(write_lab(folder, text)), skip_unsupported=skip)
