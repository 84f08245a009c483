"""The peer's controller: a learning switch on os-ken, as every tutorial has it; flows are written when packets come.

`python learning_app.py PORT` serves that port of 127.0.0.1 until killed. OpenFlow 1.3.
"""

import sys
from typing import Any

from os_ken import cfg
from os_ken.base import app_manager
from os_ken.controller import ofp_event as _ofp_event
from os_ken.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from os_ken.lib import hub
from os_ken.lib.packet import ethernet, packet
from os_ken.ofproto import ofproto_v1_3

ofp_event: Any = _ofp_event  # its classes are made when it is imported


class Learning(app_manager.OSKenApp):
    """Learns behind which port a MAC is, and writes a flow for each that both ends of are known."""

    OFP_VERSIONS = [ofproto_v1_3.OFP_VERSION]  # noqa: RUF012

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.ports = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def _on_connected(self, event):
        datapath = event.msg.datapath
        self._write(datapath, 0, {}, datapath.ofproto.OFPP_CONTROLLER)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def _on_packet(self, event):
        message = event.msg
        datapath, arrived = message.datapath, message.match["in_port"]
        frame: Any = packet.Packet(message.data).get_protocol(ethernet.ethernet)
        known = self.ports.setdefault(datapath.id, {})
        known[frame.src] = arrived
        out = known.get(frame.dst, datapath.ofproto.OFPP_FLOOD)
        if frame.dst in known:
            self._write(datapath, 1, {"in_port": arrived, "eth_src": frame.src, "eth_dst": frame.dst}, out)
        parser, none = datapath.ofproto_parser, datapath.ofproto.OFP_NO_BUFFER
        actions = [parser.OFPActionOutput(out)]
        datapath.send_msg(parser.OFPPacketOut(datapath, none, arrived, actions, message.data))

    def _write(self, datapath, priority, match, port):
        parser, ofproto = datapath.ofproto_parser, datapath.ofproto
        actions = [parser.OFPActionOutput(port, ofproto.OFPCML_NO_BUFFER)]
        does = [parser.OFPInstructionActions(ofproto.OFPIT_APPLY_ACTIONS, actions)]
        match = parser.OFPMatch(**match)
        datapath.send_msg(parser.OFPFlowMod(datapath, priority=priority, match=match, instructions=does))


def main() -> None:
    options = ["--ofp-listen-host=127.0.0.1", f"--ofp-tcp-listen-port={sys.argv[1]}"]
    cfg.CONF(options, project="os_ken", version="peer", default_config_files=[], default_config_dirs=[])
    manager = app_manager.AppManager.get_instance()
    manager.load_apps(["learning_app"])
    hub.joinall(manager.instantiate_apps(**manager.create_contexts()))


if __name__ == "__main__":
    main()
