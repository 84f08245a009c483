"""Topologies with a core that Open5GS can be, made by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from testbed.model.topology import Topology

names = st.from_regex(r"[a-z][a-z0-9-]{0,6}[a-z0-9]", fullmatch=True)
dnn_names = st.none() | st.from_regex(r"[A-Za-z][A-Za-z0-9.-]{0,10}", fullmatch=True)
tacs = st.lists(st.integers(1, 0xFFFFFD), min_size=1, max_size=6, unique=True)
sds = st.none() | st.from_regex("[0-9a-e][0-9a-f]{5}", fullmatch=True)


def _named(draw, most):
    return draw(st.lists(names, min_size=1, max_size=most, unique=True))


@st.composite
def topologies(draw):
    """Give topologies whose every SMF has UPFs of its own, as Open5GS wants it."""
    smfs = _named(draw, 3)
    dnns = _named(draw, 4)
    called = draw(st.lists(dnn_names, min_size=len(dnns), max_size=len(dnns)))
    # Names of data networks are told apart without their case, by Open5GS too.
    taken = {dnn.lower() for dnn in dnns}
    chosen = {}
    for dnn, name in zip(dnns, called, strict=True):
        if name is not None and name.lower() not in taken:
            chosen[dnn] = name
            taken.add(name.lower())
    mtu, servers = draw(st.integers(576, 9000)), draw(st.lists(st.sampled_from(["9.9.9.9", "1.1.1.1"]), min_size=1,
                                                                unique=True))  # fmt: skip
    nodes = {"cp": {"kind": "core", "loopbacks": [f"10.255.0.{i}/32" for i in range(1, 10)]}}
    core_dnns = {
        dnn: {"subnets": [f"10.{40 + i}.0.0/16"], "dns": servers, "mtu": mtu,
              **({"name": chosen[dnn]} if dnn in chosen else {})}
        for i, dnn in enumerate(dnns)
    }  # fmt: skip
    if draw(st.booleans()):
        core_dnns[dnns[0]]["subnets"].append("2001:db8:45::/48")
    upfs, core_smfs, count = {}, {}, 0
    of_amf = draw(tacs)
    for number, smf in enumerate(smfs):
        own = []
        for group in [dnns] if draw(st.booleans()) else [[dnn] for dnn in dnns]:
            name = f"u{count}"
            count += 1
            own.append(name)
            nodes[f"node{count}"] = {"kind": "upf", "loopbacks": [f"10.254.0.{count}/32"]}
            parts = {}
            for dnn in group:
                index = dnns.index(dnn)
                parts[dnn] = [f"10.{40 + index}.{64 * number}.0/18"]
            upfs[name] = {"node": f"node{count}", "dnns": parts, "capacity": draw(st.integers(1, 9999))}
        core_smfs[smf] = {"node": "cp", "address": f"10.255.0.{4 + number}", "upfs": own,
                          "capacity": draw(st.integers(1, 9999))}  # fmt: skip
        if draw(st.booleans()):
            core_smfs[smf]["tacs"] = draw(st.lists(st.sampled_from(of_amf), min_size=1, unique=True))
    identities = draw(st.lists(st.tuples(st.integers(1, 255), sds), min_size=1, max_size=5, unique=True))
    slices = {
        f"s{i}": {"sst": sst, "sd": sd, "dnns": draw(st.lists(st.sampled_from(dnns), min_size=1, unique=True))}
        for i, (sst, sd) in enumerate(identities)
    }
    amfs = {
        name: {"node": "cp", "address": f"10.255.0.{i + 1}", "pointer": i, "tacs": of_amf,
               "region": draw(st.integers(0, 255)), "set": draw(st.integers(0, 1023))}
        for i, name in enumerate(_named(draw, 3))
    }  # fmt: skip
    core = {"plmns": draw(st.sampled_from([["00101"], ["310014", "99970"]])), "slices": slices, "dnns": core_dnns,
            "amfs": amfs, "smfs": core_smfs, "upfs": upfs}  # fmt: skip
    return Topology.model_validate({"name": "made", "nodes": nodes, "core": core})
