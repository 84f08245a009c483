"""What a UPF tells: figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core5g.metrics.amf import by_cause
from core5g.metrics.page import Metric, counter, gauge

if TYPE_CHECKING:
    from core5g.upf.upf import Upf


def metrics(upf: Upf) -> Iterator[Metric]:
    """Give a UPF's figures."""
    counts, datapath = upf.counts, upf.datapath
    n3 = datapath.endpoint.counts
    for name, ours, about in (("in", "in", "incoming"), ("out", "out", "outgoing")):
        yield counter(f"fivegs_ep_n3_gtp_{name}datapktn3upf", f"{about} GTP data packets on N3", n3[ours])
        volumes = {(("qfi", str(qfi)),): size for (way, qfi), size in sorted(datapath.volumes.items()) if way == ours}
        yield Metric(f"fivegs_ep_n3_gtp_{name}datavolumeqosleveln3upf", "counter",
                     f"Bytes of {about} GTP data packets per QoS level on N3", volumes)  # fmt: skip
    of = "fivegs_upffunction_"
    yield counter(
        f"{of}sm_n4sessionestabreq", "Requested N4 session establishments", counts["establishments_requested"]
    )
    failed = by_cause(counts, "establishments_refused_")
    yield Metric(f"{of}sm_n4sessionestabfail", "counter", "Failed N4 session establishments", failed)
    yield counter(f"{of}sm_n4sessionreport", "Requested N4 session reports", counts["reports"])
    answered = counts["reports"] - counts["reports_unanswered"]
    yield counter(f"{of}sm_n4sessionreportsucc", "Successful N4 session reports", answered)
    yield gauge(f"{of}upf_sessionnbr", "Active Sessions", len(upf.sessions))
    flows: Counter[str] = Counter()
    for session in upf.sessions.values():
        for pdr in session.rules.pdrs.values():
            if pdr.teid is None:
                flows[pdr.dnn or ""] += 1
    values = {(("dnn", dnn),): count for dnn, count in sorted(flows.items())}
    yield Metric(f"{of}upf_qosflows", "gauge", "QoS flows", values)
    yield gauge("pfcp_peers_active", "Active PFCP peers", len(upf.smfs))
