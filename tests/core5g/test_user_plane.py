"""A core, a UPF and a RAN as processes in nodes of a lab; programs of anybody send from UEs' addresses."""

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import chain

import pytest

from testbed.emulator.messages import Output
from testbed.errors import ExitCode
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology

KEYS = {"key": "000102030405060708090a0b0c0d0e0f", "opc": "101112131415161718191a1b1c1d1e1f"}
UES = {"first": "001010000000001", "count": 5, **KEYS}
TOPOLOGY = """name: user-plane
nodes: {core: {kind: host}, upf: {kind: host}, ran: {kind: host}}
links:
  n2:
    endpoints:
      - {node: core, interface: eth1, addresses: [10.9.0.1/30]}
      - {node: ran, interface: eth1, addresses: [10.9.0.2/30]}
  n4:
    endpoints:
      - {node: core, interface: eth2, addresses: [10.9.1.1/30]}
      - {node: upf, interface: eth1, addresses: [10.9.1.2/30]}
  n3:
    endpoints:
      - {node: ran, interface: eth2, addresses: [10.9.2.1/30]}
      - {node: upf, interface: eth2, addresses: [10.9.2.2/30]}
"""
UPF = {"address": "10.9.1.2", "n3": "10.9.2.2",
       "networks": [{"dnn": "internet", "gateway": "10.45.0.1/24", "device": "ogstun"}]}  # fmt: skip
SMF = {"address": "10.9.1.1", "heartbeat": 0.5,
       "upfs": [{"name": "upf", "address": "10.9.1.2", "networks": {"internet": "10.45.0.0/24"}}]}  # fmt: skip


@contextmanager
def serving(lab, node, program, told):
    """A process in a node; what it says as it begins and, in a list, what it says at its end."""
    said, ready = [], threading.Event()

    def heard(event):
        if isinstance(event, Output):
            ready.set()

    def serve():
        with lab.agent() as agent:
            argv = (sys.executable, "-m", program)
            done = agent.run(node, argv, stdin=json.dumps(told).encode(), timeout=55, on_event=heard)
            said.extend(json.loads(line) for line in done.stdout.splitlines())
            if done.stderr:
                said.append(done.stderr.decode())
            ready.set()

    with ThreadPoolExecutor(1) as beside, lab.agent() as agent:
        running = beside.submit(serve)
        try:
            assert ready.wait(30)
            yield said
        finally:
            agent.run(node, ("pkill", "-TERM", "-f", f"{program}$"))
            running.result()


@contextmanager
def all_up(lab, n2):
    """Everything, with five UEs that have a session each."""
    core = {"listen": n2, "plmns": ["00101"], "tacs": [7], "subscribers": [UES], "smf": SMF}
    ran = {"amf": n2, "plmn": "00101", "tac": 7, "ues": UES, "dnns": ["internet"], "n3": "10.9.2.1",
           "interface": "ue", "routes": ["10.45.0.0/24"], "stay": True}  # fmt: skip
    with ExitStack() as stack:
        upf = stack.enter_context(serving(lab, "upf", "core5g.upf", UPF))
        amf = stack.enter_context(serving(lab, "core", "core5g.amf", core))
        yield stack, lambda: stack.enter_context(serving(lab, "ran", "core5g.ran", ran)), amf, upf


def ping(lab, source, target="10.45.0.1"):
    with lab.agent() as agent:
        return agent.run("ran", ("ping", "-c", "3", "-i", "0.05", "-W", "2", "-I", source, target))


def check(lab, n2):
    with all_up(lab, n2) as (stack, ran, amf, upf):
        addresses = [f"10.45.0.{number}" for number in range(2, 7)]
        report = ran()
        for address in addresses:
            done = ping(lab, address)
            assert done.code == 0, (done.stdout, done.stderr, report, amf, upf)
        assert ping(lab, addresses[0], addresses[1]).code == 0, "UEs reach each other by the UPF"
        stack.close()
    assert report[0]["sessions"]["done"] == 5
    assert sorted(chain.from_iterable(report[0]["addresses"].values())) == addresses
    assert upf[-1]["n3_in"] >= 5 * 3
    assert upf[-1].get("spoofed", 0) == 0
    assert amf[-1]["smf_sessions"] == 5


@pytest.mark.guest
def test_programs_send_from_the_addresses_of_ues():
    """N2 is SCTP, which the guest's kernel has."""
    with Lab.up(loads(TOPOLOGY, Topology), substrate="uml", name="up-guest") as lab:
        check(lab, "sctp:10.9.0.1:38412")


def test_a_upf_without_its_device_says_what_it_lacks():
    told = {**UPF, "address": "127.0.6.1", "n3": "127.0.6.1", "networks": [{**UPF["networks"][0], "device": "x" * 16}]}
    done = subprocess.run(
        (sys.executable, "-m", "core5g.upf"), input=json.dumps(told), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == ExitCode.BAD_INPUT
    assert "expected a name of an interface" in done.stderr
    assert "Traceback" not in done.stderr
