"""A controller that learns: `python -m testbed.control.learning HOST PORT`, for switches whose network nobody has told.

It says the number of each switch that it teaches from then on. Each switch is for itself: where a source is heard of is
where packets to it go; what goes to an unknown or to everybody goes out of every other port. A loop of links storms, as
with every learning switch.
"""

from __future__ import annotations

import sys
from typing import Any

from os_ken.base import app_manager
from os_ken.controller import ofp_event as _ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.ofproto import ofproto_v1_3

from testbed.control.serve import serve

ofp_event: Any = _ofp_event  # its classes are made when it is imported
_IDLE = 60
"""Seconds that a flow stays without a packet, as with Mininet's own controller."""


class Learning(app_manager.OSKenApp):
    """Writes a flow for each pair that talks. The manager gives it one event at a time."""

    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]  # noqa: RUF012

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heard: dict[int, dict[bytes, int]] = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def _on_connected(self, event: Any) -> None:
        datapath = event.msg.datapath
        self._heard[datapath.id] = {}
        _ask(datapath)
        datapath.send_msg(datapath.ofproto_parser.OFPBarrierRequest(datapath))

    @set_ev_cls(ofp_event.EventOFPBarrierReply, [CONFIG_DISPATCHER, MAIN_DISPATCHER])
    def _on_ready(self, event: Any) -> None:
        print(f"{event.msg.datapath.id:016x}", flush=True)

    @set_ev_cls(ofp_event.EventOFPFlowRemoved, MAIN_DISPATCHER)
    def _on_removed(self, event: Any) -> None:
        """Ask again when somebody has taken all flows out (`dpctl del-flows`)."""
        _ask(event.msg.datapath)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def _on_packet(self, event: Any) -> None:
        message, datapath = event.msg, event.msg.datapath
        came, target, source = message.match["in_port"], message.data[:6], message.data[6:12]
        heard = self._heard.setdefault(datapath.id, {})
        if heard.get(source, came) != came:
            _forget(datapath, source)
        heard[source] = came
        leads = heard.get(target)
        if leads is not None:
            _write(datapath, came, source, target, leads)
        ofproto, parser = datapath.ofproto, datapath.ofproto_parser
        actions = [parser.OFPActionOutput(ofproto.OFPP_FLOOD if leads is None else leads)]
        datapath.send_msg(
            parser.OFPPacketOut(
                datapath, buffer_id=ofproto.OFP_NO_BUFFER, in_port=came, actions=actions, data=message.data
            )
        )


def _ask(datapath: Any) -> None:
    """Let what matches no flow come here, whole; and be told when that is taken out."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    ask = parser.OFPActionOutput(ofproto.OFPP_CONTROLLER, ofproto.OFPCML_NO_BUFFER)
    does = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, [ask])]
    told = ofproto.OFPFF_SEND_FLOW_REM
    datapath.send_msg(parser.OFPFlowMod(datapath, priority=0, match=parser.OFPMatch(), instructions=does, flags=told))


def _write(datapath: Any, came: int, source: bytes, target: bytes, leads: int) -> None:
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    match = parser.OFPMatch(in_port=came, eth_src=source.hex(":"), eth_dst=target.hex(":"))
    does = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, [parser.OFPActionOutput(leads)])]
    datapath.send_msg(parser.OFPFlowMod(datapath, priority=1, idle_timeout=_IDLE, match=match, instructions=does))


def _forget(datapath: Any, moved: bytes) -> None:
    """Take out the flows that lead to where somebody no longer is."""
    ofproto, parser = datapath.ofproto, datapath.ofproto_parser
    any_of = {"out_port": ofproto.OFPP_ANY, "out_group": ofproto.OFPG_ANY}
    match = parser.OFPMatch(eth_dst=moved.hex(":"))
    datapath.send_msg(parser.OFPFlowMod(datapath, command=ofproto.OFPFC_DELETE, match=match, **any_of))


if __name__ == "__main__":
    serve("testbed.control.learning", sys.argv[1], int(sys.argv[2]))
