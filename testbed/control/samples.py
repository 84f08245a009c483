"""What switches have counted, as samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from testbed.control.messages import Counted
from testbed.telemetry.sample import Sample

_PORT = {
    "received_packets": "1",
    "received_bytes": "B",
    "sent_packets": "1",
    "sent_bytes": "B",
    "dropped": "1",
}


def samples(counted: Counted, interfaces: Mapping[str, Mapping[int, str]], received: float) -> Iterator[Sample]:
    """Give a sample for each count: `interface:s1:eth1`, and `flow:s1:200:eth_dst=...` of each flow.

    Args:
        interfaces: of each switch, port number to name; its own port, which has none, is left out.
        received: when the counts came here, Unix seconds.
    """
    for port in counted.ports:
        name = interfaces[port.switch].get(port.port)
        for metric, unit in _PORT.items() if name is not None else ():
            value = float(getattr(port, metric))
            entity = f"interface:{port.switch}:{name}"
            yield Sample(entity, metric, value, unit, counted.time, received, f"{port.switch}/OpenFlow port")
    for flow in counted.flows:
        entity = f"flow:{flow.switch}:{flow.priority}:{flow.match}"
        for metric, value, unit in (("packets", flow.packets, "1"), ("bytes", flow.bytes, "B")):
            yield Sample(entity, metric, float(value), unit, counted.time, received, f"{flow.switch}/OpenFlow flow")
