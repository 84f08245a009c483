"""Our messages as Wireshark's dissector reads them."""

import subprocess

from scapy.layers.inet import IP
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.utils import wrpcap

from core5g.ngap.codec import encode

from .messages import MESSAGES


def test_wireshark_reads_every_message_without_complaint(tmp_path):
    packets = [
        IP(src="10.0.0.1", dst="10.0.0.2")
        / SCTP(sport=38412, dport=38412, tag=1)
        / SCTPChunkData(tsn=number, proto_id=60, beginning=1, ending=1, data=encode(name, ies))
        for number, (name, ies) in enumerate(MESSAGES.items(), start=1)
    ]
    wrpcap(f"{tmp_path}/n2.pcap", packets)
    fields = ["frame.protocols", "_ws.expert.message", "ngap.procedureCode"]
    command = ["tshark", "-r", f"{tmp_path}/n2.pcap", "-T", "fields", *(word for one in fields for word in ("-e", one))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    rows = [line.split("\t") for line in ended.stdout.splitlines()]
    assert len(rows) == len(MESSAGES)
    for name, (protocols, complaint, procedure) in zip(MESSAGES, rows, strict=True):
        assert "ngap" in protocols.split(":"), name
        assert not complaint, f"{name}: {complaint}"
        assert procedure, name
