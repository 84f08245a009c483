"""A core, a UPF and a RAN as processes in nodes of a lab; programs of anybody send from UEs' addresses."""

import json
import subprocess
import sys
from contextlib import ExitStack
from itertools import chain

import pytest

from benchmarks import gtpu
from testbed.errors import ExitCode
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology

UES = {"first": "001010000000001", "count": 5, **gtpu.KEYS}


def ping(lab, source, target="10.45.0.1"):
    with lab.agent() as agent:
        return agent.run("ran", ("ping", "-c", "3", "-i", "0.05", "-W", "2", "-I", source, target))


@pytest.mark.guest
def test_programs_send_from_the_addresses_of_ues():
    """N2 is SCTP, which the guest's kernel has; N3 is GTP-U between two of its nodes."""
    addresses = [f"10.45.0.{number}" for number in range(2, 7)]
    with Lab.up(loads(gtpu.TOPOLOGY, Topology), substrate="uml", name="up-guest") as lab, ExitStack() as stack:
        upf = stack.enter_context(gtpu.serving(lab, "upf", "core5g.upf", gtpu.UPF))
        amf = stack.enter_context(gtpu.serving(lab, "core", "core5g.amf", gtpu.told_core(UES)))
        told = gtpu.told_ran(UES, "10.45.0.0/24")
        report = stack.enter_context(gtpu.serving(lab, "ran", "core5g.ran", told))
        for address in addresses:
            done = ping(lab, address)
            assert done.code == 0, (done.stdout, done.stderr)
        stack.close()
    assert report[0]["sessions"]["done"] == 5
    assert sorted(chain.from_iterable(report[0]["addresses"].values())) == addresses
    assert upf[-1]["n3_in"] == upf[-1]["n3_out"] == 5 * 3
    assert upf[-1].get("spoofed", 0) == 0
    assert amf[-1]["smf_sessions"] == 5


def test_a_upf_without_its_device_says_what_it_lacks():
    told = {
        **gtpu.UPF,
        "address": "127.0.6.1",
        "n3": "127.0.6.1",
        "networks": [{**gtpu.UPF["networks"][0], "device": "x" * 16}],
    }
    done = subprocess.run(
        (sys.executable, "-m", "core5g.upf"), input=json.dumps(told), capture_output=True, text=True, timeout=30
    )
    assert done.returncode == ExitCode.BAD_INPUT
    assert "expected a name of an interface" in done.stderr
    assert "Traceback" not in done.stderr
