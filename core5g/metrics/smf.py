"""What an SMF tells: figures, and its UEs' sessions (`/pdu-info`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core5g.metrics.amf import by_cause, slice_json, slice_text
from core5g.metrics.page import Labels, Metric, counter, gauge, listed
from core5g.smf.session import DEFAULT_FLOW, Session, State

if TYPE_CHECKING:
    from core5g.smf.smf import Smf


def metrics(smf: Smf) -> Iterator[Metric]:
    """Give an SMF's figures."""
    counts, all_ = smf.counts, smf.sessions.values()
    yield gauge("ues_active", "Active User Equipments", len({imsi for imsi, _ in smf.sessions}))
    yield gauge("bearers_active", "Active bearers and QoS flows", sum(1 + len(one.flows) for one in all_))
    yield gauge("pfcp_sessions_active", "Active PFCP sessions", sum(one.there > 0 for one in all_))
    up = sum(upf.up.is_set() for upf in smf.anchor.upfs.all)
    yield gauge("pfcp_peers_active", "Active PFCP peers", up)
    of = "fivegs_smffunction_sm_"
    yield counter(f"{of}n4sessionestabreq", "Requested N4 session establishments", counts["n4_requested"])
    yield Metric(
        f"{of}n4sessionestabfail", "counter", "Failed N4 session establishments", by_cause(counts, "n4_refused_")
    )
    yield counter(f"{of}n4sessionreport", "Requested N4 session reports", counts["reports"])
    yield counter(f"{of}n4sessionreportsucc", "Successful N4 session reports", counts["reports"])
    sessions = Counter((("plmnid", smf.plmn), ("snssai", slice_text(one.slice))) for one in all_)
    yield Metric(f"{of}sessionnbr", "gauge", "Active Sessions", dict(sessions))
    for name, ours, about in (("req", "requested", "requested"), ("succ", "made", "successfully created")):
        values = _by_slice(smf, f"{ours}_")
        yield Metric(f"{of}pdusessioncreation{name}", "counter", f"PDU sessions {about}", values)
    failed = by_cause(counts, "sessions_refused_")
    yield Metric(f"{of}pdusessioncreationfail", "counter", "PDU sessions that failed to be created", failed)
    flows: Counter[Labels] = Counter()
    for one in all_:
        for quality in (one.quality, *(flow.quality for flow in one.flows.values())):
            labels = ("plmnid", smf.plmn), ("snssai", slice_text(one.slice)), ("fiveqi", str(quality.identifier))
            flows[labels] += 1
    yield Metric(f"{of}qos_flow_nbr", "gauge", "QoS flows", dict(flows))


def _by_slice(smf: Smf, beginning: str) -> dict[Labels, float]:
    return {
        (("plmnid", smf.plmn), ("snssai", slice_text(one))): count
        for (what, one), count in smf.by_slice.items()
        if what == beginning.removesuffix("_")
    }


def sessions(smf: Smf, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the UEs that have sessions."""
    by_ue: dict[str, list[Session]] = {}
    for (imsi, _), one in sorted(smf.sessions.items()):
        by_ue.setdefault(imsi, []).append(one)
    return listed([_ue(imsi, ones) for imsi, ones in by_ue.items()], asked)


def _ue(imsi: str, ones: list[Session]) -> dict[str, Any]:
    active = any(one.state is State.ACTIVE for one in ones)
    return {"supi": f"imsi-{imsi}", "pdu": [_pdu(one) for one in ones], "ue_activity": "active" if active else "idle"}


def _pdu(one: Session) -> dict[str, Any]:
    qualities = {DEFAULT_FLOW: one.quality, **{number: flow.quality for number, flow in one.flows.items()}}
    ends = {"gnb": one.downlink, "upf": one.uplink}
    return {
        "psi": one.key[1],
        "dnn": one.dnn,
        "ipv4": str(one.address),
        "snssai": slice_json(one.slice),
        "qos_flows": [{"qfi": number, "5qi": quality.identifier} for number, quality in sorted(qualities.items())],
        "n3": {name: {"teid": end.teid, "addr": end.host} for name, end in ends.items() if end is not None},
        "upf": str(one.upf),
        "pdu_state": "active" if one.state is State.ACTIVE else "inactive",
    }
