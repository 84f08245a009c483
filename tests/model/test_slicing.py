"""Slices in a topology file: what is taken, and what is refused with its place."""

from __future__ import annotations

import pytest

from testbed.errors import BadInput
from testbed.model.load import loads
from testbed.model.topology import Topology

FILE = """\
name: sliced
nodes:
  s1: {kind: switch}
  h1: {kind: host}
  h2: {kind: host}
links:
  h1-s1: {endpoints: ["h1:eth0", "s1:eth1"], impairment: {rate: 10Mbit}}
  h2-s1: {endpoints: ["h2:eth0", "s1:eth2"]}
slices:
"""


def read(*slices: str, file: str = FILE) -> Topology:
    return loads(file + "".join(f"  {line}\n" for line in slices), Topology, "t.yaml")


def test_a_slice_has_its_identity_its_packets_and_its_rates():
    it = read('urgent: {sst: 2, sd: "00000A", dscp: 46, guaranteed: 2Mbit, maximum: 4Mbit}').slices["urgent"]
    assert (it.sst, it.sd, it.dscp, it.guaranteed, it.maximum) == (2, "00000a", 46, 2e6, 4e6)


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        (["a: {maximum: 1Mbit}"], "t.yaml:10:6: slices.a: .*expected what tells its packets: dscp, vlan or prefix"),
        (["a: {dscp: 46}"], "t.yaml:10:6: slices.a: .*expected guaranteed, maximum, or both"),
        (["a: {dscp: 46, maximum: 5}"], "t.yaml:10:26: slices.a.maximum: value '5': expected a number with a unit"),
        (["a: {dscp: 46, maximum: 500bit}"], "t.yaml:10:26: slices.a.maximum: value '500bit': expected at least 1kbit"),
        (["a: {dscp: 46, maximun: 5Mbit}"], "unknown key 'maximun'.*did you mean 'maximum'"),
        (["a: {dscp: 64, maximum: 5Mbit}"], "t.yaml:10:13: slices.a.dscp: value '64'"),
        (['a: {sd: "00000a", dscp: 46, maximum: 5Mbit}'], "slices.a.sd: value '00000a': expected an sst beside it"),
        (
            ["a: {sst: 1, sd: xyz, dscp: 46, maximum: 5Mbit}"],
            "slices.a.sd: value 'xyz': expected a slice differentiator",
        ),
        (["a: {dscp: 46, guaranteed: 5Mbit, maximum: 1Mbit}"], "slices.a.guaranteed: .*expected at most the maximum"),
        (["a: {dscp: 46, guaranteed: 20Mbit}"], "expected guarantees that fit in the rate of every link; h1-s1 has 1e"),
        (
            ["a: {dscp: 46, maximum: 1Mbit}", "b: {dscp: 46, maximum: 2Mbit}"],
            "t.yaml:11:6: slices.b: .*expected another dscp, vlan or prefix than those of a",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(slices, told):
    with pytest.raises(BadInput, match=told):
        read(*slices)


def test_slices_need_a_switch_of_our_controller_and_guarantees_a_bottleneck():
    with pytest.raises(BadInput, match="expected a switch of our own controller"):
        read("a: {dscp: 46, maximum: 1Mbit}", file=FILE.replace("kind: switch", "kind: switch, controller: none"))
    with pytest.raises(BadInput, match=r"t.yaml:10:29: slices.a.guaranteed: .*expected a link with a `rate` behind"):
        read("a: {dscp: 46, guaranteed: 1Mbit}", file=FILE.replace("rate: 10Mbit", "delay: 1ms"))
