"""Topologies made by hypothesis: all kinds of nodes, every key.

Strategies are made once and kept: hypothesis checks each new one, which takes longer than to draw from it.
"""

from __future__ import annotations

from functools import cache
from ipaddress import ip_interface
from typing import get_args

from hypothesis import strategies as st

from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.slicing import Slice
from testbed.model.steering import Steering
from testbed.model.topology import (
    END_SYSTEMS,
    Bridge,
    Daemon,
    Datapath,
    Endpoint,
    GuestOptions,
    Host,
    Link,
    Router,
    Switch,
    Topology,
)

VLANS = {"vlan": 10, "trunk": (20, 4094)}
shares = st.floats(0, 1)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn")) | st.just("\n"), max_size=30)
names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True)
places = st.none() | st.tuples(*[st.floats(-180, 180).map(lambda x: x + 0.0)] * 2)
commands = st.lists(
    st.sampled_from(["true", "ip route add 10.9.0.0/16 via 10.0.0.2", "sh -c 'echo \"$HOME\" & exit'", "echo ü"]),
    max_size=3,
    unique=True,
).map(tuple)


flags = st.booleans()
delays = st.floats(0, 100)
distributions = st.sampled_from(["uniform", "normal", "pareto", "paretonormal"])
bursts = st.none() | st.builds(GilbertElliott, p=shares, r=shares, bad_loss=shares, good_loss=shares)
rates = st.none() | st.floats(8, 1e14)
limits = st.none() | st.integers(1, 1_000_000)
costs = st.none() | st.integers(1, 65535)
mtus = st.integers(68, 65521)
maybe_texts = st.none() | texts
maybe_daemons = st.none() | st.just(get_args(Daemon)[:3])
guests = st.builds(GuestOptions, memory=st.integers(1, 2**50), guests=st.integers(1, 64))
demands = st.sampled_from([{}, {"a1": {"b2": 12.5}}])
counts = st.integers(0, 5)
called = st.lists(names, min_size=1, max_size=5).map(lambda given: list(dict.fromkeys([*given, "a1", "b2"])))


@cache
@st.composite
def impairments(draw):
    delay = draw(delays)
    burst = draw(bursts)
    return Impairment(
        delay=delay,
        jitter=draw(shares) * min(delay, 2),
        distribution=draw(distributions),
        jitter_correlation=draw(shares),
        loss=0.0 if burst else draw(shares),
        loss_correlation=0.0 if burst else draw(shares),
        burst=burst,
        duplicate=draw(shares),
        reorder=draw(shares) if delay else 0.0,
        corrupt=draw(shares),
        rate=draw(rates),
        limit=draw(limits),
    )


def loopbacks(index):
    return st.sampled_from([(), (ip_interface(f"10.255.0.{index + 1}/32"), ip_interface(f"2001:db8::{index + 1}/128"))])


@st.composite
def routers(draw, index):
    protocols = ("static", "ospf", "isis", "bgp") if index % 2 else ("ospf",)
    config = draw(maybe_texts)
    return Router(
        kind="router",
        protocols=protocols,
        asn=65000 + index if "bgp" in protocols else None,
        config=config,
        daemons=draw(maybe_daemons) if config is not None else None,
        loopbacks=(ip_interface(f"10.255.0.{index + 1}/32"),),
        exec=draw(commands),
        position=draw(places),
    )


@cache
def nodes(index, switched):
    hosts = st.builds(
        Host, kind=st.sampled_from(END_SYSTEMS), loopbacks=loopbacks(index), exec=commands, position=places
    )
    bridges = st.builds(Bridge, kind=st.just("bridge"), stp=flags, vlan_filtering=flags, position=places)
    learning = st.builds(Switch, kind=st.just("switch"), controller=st.just("none"), stp=flags, position=places)
    told = st.builds(
        Switch,
        kind=st.just("switch"),
        datapath=st.sampled_from(get_args(Datapath)),
        controller=st.sampled_from(["testbed", "tcp:127.0.0.1:6653", "ssl:[::1]:1"]),
        fail_mode=st.sampled_from([None, "secure", "standalone"]),
        dpid=st.none() | st.integers(index * 1000 + 1, index * 1000 + 999),
        position=places,
    )
    plain = routers(index) | hosts | (bridges if switched else bridges.map(lambda it: Bridge(kind="bridge")))
    return plain | learning | told if switched else plain


@st.composite
def ends(draw, it, index, chosen):
    numbered = draw(flags)
    for side, name in enumerate(chosen):
        plain = it[name].kind in ("bridge", "switch")
        tagged = it[name].kind == "bridge" and it[name].vlan_filtering and draw(flags)
        addresses = [ip_interface(f"10.0.{index}.{side + 1}/30")] if numbered and not plain else []
        cost = None if plain else draw(costs)
        yield Endpoint(
            node=name, interface=f"eth{index}", addresses=tuple(addresses), cost=cost, **(VLANS if tagged else {})
        )


@st.composite
def links(draw, it, index):
    one, other = draw(st.lists(st.sampled_from(list(it)), min_size=2, max_size=2, unique=True))
    first, second = draw(ends(it, index, (one, other)))
    return Link(
        endpoints=(first, second),
        forward=draw(impairments()),
        backward=draw(impairments()),
        mtu=draw(mtus),
        up=draw(flags),
        medium=draw(maybe_texts),
    )


@st.composite
def topologies(draw, switched=True):
    it = {name: draw(nodes(index, switched)) for index, name in enumerate(draw(called))}
    wires = {f"l{index}": draw(links(it, index)) for index in range(draw(counts))}
    return Topology(
        name="random",
        description=draw(texts),
        nodes=_with_gateways(it, wires),
        links=wires,
        demands=draw(demands),
        slices=draw(st.sampled_from(SLICES)) if _is_steered(it) else {},
        steering=Steering(drained=draw(_some_of(_cables(it, wires)))) if _is_steered(it) else Steering(),
        guest=draw(guests),
    )


SLICES = [
    {},
    {
        "urgent": Slice(sst=2, sd="00000a", dscp=46, maximum=2e6),
        "tagged": Slice(vlan=7, prefix="10.1.0.0/16", maximum=1e9),
    },
]


def _is_steered(it):
    return any(node.kind == "switch" and node.controller == "testbed" for node in it.values())


def _some_of(names):
    return st.lists(st.sampled_from(names), unique=True).map(tuple) if names else st.just(())


def _cables(it, wires):
    return [name for name, link in wires.items() if all(it[end.node].kind in _SWITCHED for end in link.endpoints)]


_SWITCHED = ("bridge", "switch")


def _with_gateways(it, wires):
    """A host that is wired to an address has that as its gateway."""
    gateways = {}
    for link in wires.values():
        for near, far in (link.endpoints, link.endpoints[::-1]):
            if near.addresses and far.addresses:
                gateways[near.node] = str(far.addresses[0].ip)
    return {
        name: node.model_copy(update={"gateway": gateways[name]}) if node.kind == "host" and name in gateways else node
        for name, node in it.items()
    }
