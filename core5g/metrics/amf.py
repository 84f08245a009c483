"""What an AMF tells: figures, its UEs (`/ue-info`), its gNBs (`/gnb-info`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from core5g.metrics.page import Labels, Metric, counter, gauge, listed
from core5g.nas.values import Snssai, Tai

if TYPE_CHECKING:
    from core5g.amf.amf import Amf
    from core5g.amf.gnb import Gnb
    from core5g.amf.ue import Ue

_KINDS = {"initial": "init", "mobility": "mob", "periodic": "period"}
_CIPHERING, _INTEGRITY = ("nea0", "nea1", "nea2", "nea3"), ("nia0", "nia1", "nia2", "nia3")


def metrics(amf: Amf) -> Iterator[Metric]:
    """Give an AMF's figures."""
    counts = amf.counts
    connected = sum(len(gnb.ues) for gnb in amf.gnbs)
    yield gauge("ran_ue", "RAN UEs", connected)
    yield gauge("amf_session", "AMF Sessions", sum(len(ue.sessions) for ue in amf.by_imsi.values()))
    yield gauge("gnb", "gNodeBs", sum(gnb.identity is not None for gnb in amf.gnbs))
    for ours, theirs in _KINDS.items():
        about = f"{ours} registrations"
        yield counter(f"fivegs_amffunction_rm_reg{theirs}req", f"Requested {about}", counts[f"{ours}_requested"])
        yield counter(f"fivegs_amffunction_rm_reg{theirs}succ", f"Successful {about}", counts[f"{ours}_made"])
        failed = by_cause(counts, f"{ours}_refused_")
        yield Metric(f"fivegs_amffunction_rm_reg{theirs}fail", "counter", f"Failed {about}", failed)
    yield counter("fivegs_amffunction_mm_paging5greq", "5G paging procedures begun", counts["calls"])
    yield counter("fivegs_amffunction_mm_paging5gsucc", "5G paging procedures answered", counts["calls_answered"])
    yield counter("fivegs_amffunction_amf_authreq", "Authentication requests", counts["challenges"])
    rejected = counts["authentications_refused"]
    yield counter("fivegs_amffunction_amf_authreject", "Authentication rejections", rejected)
    failed = by_cause(counts, "authentication_failures_")
    yield Metric("fivegs_amffunction_amf_authfail", "counter", "Authentication failures", failed)
    slices = Counter((("plmnid", ue.area.plmn if ue.area else ""), ("snssai", slice_text(one)))
                     for ue in amf.by_imsi.values() for one in ue.slices)  # fmt: skip
    yield Metric("fivegs_amffunction_rm_registeredsubnbr", "gauge", "Registered subscribers", dict(slices))


def by_cause(counts: Mapping[str, int], beginning: str) -> dict[Labels, float]:
    """Return counts whose names are a beginning and a cause, by cause."""
    found = {name.removeprefix(beginning): count for name, count in counts.items() if name.startswith(beginning)}
    return {(("cause", cause),): count for cause, count in sorted(found.items())}


def slice_text(one: Snssai) -> str:
    """Return a slice as Open5GS writes it in labels: `1`, or `1-00000a`."""
    return str(one.sst) if one.sd is None else f"{one.sst}-{one.sd:06x}"


def slice_json(one: Snssai) -> dict[str, Any]:
    """Return a slice as Open5GS writes it in lists."""
    return {"sst": one.sst, "sd": "ffffff" if one.sd is None else f"{one.sd:06x}"}


def ues(amf: Amf, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the registered UEs."""
    return listed([_ue(ue) for _, ue in sorted(amf.by_imsi.items())], asked)


def _ue(ue: Ue) -> dict[str, Any]:
    found: dict[str, Any] = {
        "supi": f"imsi-{ue.imsi}",
        "cm_state": "connected" if ue.gnb is not None else "idle",
        "m_tmsi": ue.guti.tmsi if ue.guti is not None else None,
        "pdu_sessions": [
            {"psi": number, "dnn": held.dnn, "snssai": slice_json(held.slice)}
            for number, held in sorted(ue.sessions.items())
        ],
        "pdu_sessions_count": len(ue.sessions),
        "allowed_slices": [slice_json(one) for one in ue.slices],
        "allowed_slices_count": len(ue.slices),
    }
    if ue.gnb is not None:
        identity = ue.gnb.identity[1] if ue.gnb.identity is not None else None
        found["gnb"] = {"amf_ue_ngap_id": ue.number, "ran_ue_ngap_id": ue.ran, "gnb_id": identity}
    if ue.area is not None:
        found["location"] = {"nr_tai": _area(ue.area)}
    if ue.security is not None:
        found["security"] = {
            "valid": 1,
            "enc": _CIPHERING[ue.security.ciphering],
            "int": _INTEGRITY[ue.security.integrity],
        }
    if ue.subscription is not None:
        ambr = ue.subscription.ambr
        found["ambr"] = {"downlink": ambr.downlink, "uplink": ambr.uplink}
    return found


def _area(area: Tai) -> dict[str, Any]:
    return {"plmn": area.plmn, "tac_hex": f"{area.tac:06x}", "tac": area.tac}


def gnbs(amf: Amf, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of the gNBs."""
    known = sorted((one for one in amf.gnbs if one.identity is not None), key=lambda one: one.identity or ("", 0, 0))
    return listed([_gnb(amf, one) for one in known], asked)


def _gnb(amf: Amf, one: Gnb) -> dict[str, Any]:
    plmn, number, _ = one.identity or ("", 0, 0)
    areas = [
        {"tac": f"{area.tac:06x}", "bplmns": [{"plmn": area.plmn, "snssai": [slice_json(each) for each in slices]}]}
        for area, slices in sorted(one.areas.items())
    ]
    return {
        "gnb_id": number,
        "plmn": plmn,
        "network": {"amf_name": amf.config.name},
        "ng": {"sctp": {"peer": one.association.peer}, "setup_success": True},
        "supported_ta_list": areas,
        "num_connected_ues": len(one.ues),
    }
