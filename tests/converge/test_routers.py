"""Routers are reconfigured while their daemons run; what was changed by hand is seen and set back."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.converge.carry_out import converge
from testbed.converge.saved import save
from testbed.emulator.messages import ListNodes
from testbed.errors import AgentError
from testbed.lab import Lab
from testbed.model.topology import Router, Topology

pytestmark = pytest.mark.timeout(120)


def pair(cost: int | None = None, **router: Any) -> Topology:
    nodes = {
        name: {"kind": "router", "loopbacks": [f"10.255.0.{number}/32"], **router}
        for number, name in enumerate(("r1", "r2"), 1)
    }
    ends = [
        {"node": name, "interface": "eth1", "addresses": [f"10.0.0.{number}/30"], "cost": cost}
        for number, name in enumerate(("r1", "r2"), 1)
    ]
    return Topology.model_validate({"name": "pair", "nodes": nodes, "links": {"r1-r2": {"endpoints": ends}}})


def running(lab: Lab, node: str) -> str:
    with lab.agent() as agent:
        return agent.run(node, ["vtysh", "-c", "show running-config"]).stdout.decode()


def daemons(lab: Lab) -> dict[str, bytes]:
    with lab.agent() as agent:
        return {name: agent.run(name, ["pidof", "zebra", "ospfd"]).stdout for name in ("r1", "r2")}


def by_hand(lab: Lab, *commands: str) -> None:
    words = [word for command in ("configure terminal", *commands) for word in ("-c", command)]
    with lab.agent() as agent:
        assert agent.run("r1", ["vtysh", *words]).code == 0


def test_routers_change_without_a_restart_and_back(native_home):
    with Lab.up(pair(), substrate="native") as lab:
        before, text = daemons(lab), running(lab, "r1")
        plan = converge(lab, pair(cost=7, protocols=["ospf", "bgp"], asn=65001))
        assert "  ip ospf cost 7" not in text
        assert " ip ospf cost 7" in plan.routers[0].lines
        changed = running(lab, "r1")
        assert " ip ospf cost 7" in changed
        assert "router bgp 65001" in changed
        with lab.agent() as agent:
            assert [node.daemons["bgpd"] for node in agent.call(ListNodes()).nodes] == [True, True]
            assert agent.run("r1", ["ping", "-c1", "-W2", "10.255.0.2"]).code == 0
        converge(lab, pair())
        assert running(lab, "r1") == text
        with lab.agent() as agent:
            assert ["bgpd" in node.daemons for node in agent.call(ListNodes()).nodes] == [False, False]
        assert _pids(daemons(lab)) == _pids(before)
        assert converge(lab, pair()).empty

        by_hand(lab, "interface eth1", "ip ospf cost 99", "exit", "ip route 10.9.0.0/16 blackhole")
        assert converge(lab, pair(), keep_runtime=True).empty
        saved, notes = save(lab)
        assert notes == ()
        router = saved.nodes["r1"]
        assert isinstance(router, Router)
        assert router.config is not None
        assert " ip ospf cost 99" in router.config
        assert saved.nodes["r2"] == pair().nodes["r2"]
        plan = converge(lab, pair())
        assert not plan.edits
        assert [change.node for change in plan.routers] == ["r1"]
        assert running(lab, "r1") == text

        converge(lab, saved)
        assert "ip route 10.9.0.0/16 blackhole" in running(lab, "r1")
        wrong = saved.model_copy(
            update={"nodes": {**saved.nodes, "r1": router.model_copy(update={"config": router.config + "ip rout x\n"})}}
        )
        was = running(lab, "r1")
        with pytest.raises(AgentError, match="ip rout x"):
            converge(lab, wrong)
        assert running(lab, "r1") == was
        assert lab.topology == saved
        assert _pids(daemons(lab)) == _pids(before)


def _pids(found: dict[str, bytes]) -> dict[str, set[bytes]]:
    return {name: set(text.split()) for name, text in found.items()}
