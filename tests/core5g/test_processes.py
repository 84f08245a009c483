"""The AMF and the RAN as the processes that people start."""

import json
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.errors import ExitCode
from testbed.lab import Lab
from testbed.model.load import loads
from testbed.model.topology import Topology

PROJECT = Path(__file__).resolve().parents[2]
AMF, RAN = (sys.executable, "-m", "core5g.amf"), (sys.executable, "-m", "core5g.ran")
PAGE = (PROJECT / "docs/core-embedded.md").read_text()
AMF_TOLD, RAN_TOLD = (json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", PAGE, re.S | re.M))


@contextmanager
def amf(told):
    """An AMF that listens; its process."""
    process = subprocess.Popen(AMF, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdin
        assert process.stdout
        process.stdin.write(json.dumps(told))
        process.stdin.close()
        assert json.loads(process.stdout.readline())["ready"] == told["listen"]
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def ran(told):
    return subprocess.run(RAN, cwd=PROJECT, input=json.dumps(told), capture_output=True, text=True, timeout=50)


def test_the_pages_examples_register_all(tmp_path):
    address = f"unix:{tmp_path}/n2"
    with amf({**AMF_TOLD, "listen": address}) as process:
        told = {**RAN_TOLD, "amf": address}
        told["ues"]["count"] = 100
        report = json.loads(ran(told).stdout)
        assert (report["done"], report["failed"]) == (100, {})
        assert 0 < report["p50"] <= report["p95"] <= report["p99"] <= report["seconds"]
        process.send_signal(signal.SIGTERM)
        assert process.stdout
        counts = json.loads(process.stdout.read())
        assert (counts["registered"], counts["registrations"]) == (100, 100)
        assert process.wait(10) == ExitCode.DONE
    assert not (tmp_path / "n2").exists()


def test_a_steady_rate_is_kept(tmp_path):
    address = f"unix:{tmp_path}/n2"
    with amf({**AMF_TOLD, "listen": address}):
        told = {**RAN_TOLD, "amf": address, "rate": 40}
        told["ues"]["count"] = 20
        report = json.loads(ran(told).stdout)
    assert report["done"] == 20
    assert report["seconds"] >= 19 / 40


def test_failures_are_told_by_their_causes(tmp_path):
    address = f"unix:{tmp_path}/n2"
    known = {**AMF_TOLD["subscribers"][0], "count": 3}
    with amf({**AMF_TOLD, "listen": address, "subscribers": [known]}):
        told = {**RAN_TOLD, "amf": address}
        told["ues"]["count"] = 5
        report = json.loads(ran(told).stdout)
    assert (report["done"], report["failed"]) == (3, {"5GMM 3": 2})


def test_an_amf_that_is_killed_is_a_failure_of_all_that_wait(tmp_path):
    """It is stopped when some have registered, and killed while the others wait for it."""
    address = f"unix:{tmp_path}/n2"
    with amf({**AMF_TOLD, "listen": address}) as process:
        running = subprocess.Popen(
            RAN, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        told = {**RAN_TOLD, "amf": address, "rate": 50}
        told["ues"]["count"] = 40
        assert running.stdin
        running.stdin.write(json.dumps(told))
        running.stdin.flush()
        running.stdin.close()
        running.stdin = None
        process.kill()
        out, err = running.communicate(timeout=50)
    if running.returncode == ExitCode.UNABLE:  # it was killed before any gNB had called
        assert "no AMF there" in err
    else:
        assert "lost its AMF" in err or "released" in out or json.loads(out)["failed"]


@pytest.mark.parametrize("program", [AMF, RAN])
@pytest.mark.parametrize("told", ["", "{", "[]", '{"listen": 1}', '{"colour": "red"}'])
def test_what_is_no_setting_is_bad_input_and_not_shown(program, told):
    done = subprocess.run(program, cwd=PROJECT, input=told, capture_output=True, text=True)
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stderr.startswith("standard input: ")
    assert "Traceback" not in done.stderr


def test_nobody_there_is_said(tmp_path):
    done = ran({**RAN_TOLD, "amf": f"unix:{tmp_path}/nobody"})
    assert done.returncode == ExitCode.UNABLE
    assert "no AMF there" in done.stderr
    done = ran({**RAN_TOLD, "amf": "tcp:127.0.0.1:1"})
    assert done.returncode == ExitCode.BAD_INPUT
    assert "expected sctp:ADDRESS:PORT" in done.stderr


TOPOLOGY = """name: n2
nodes: {core: {kind: host}, ran: {kind: host}}
links:
  n2:
    endpoints:
      - {node: core, interface: eth1, addresses: [10.9.0.1/30]}
      - {node: ran, interface: eth1, addresses: [10.9.0.2/30]}
    impairment: {delay: 5ms, loss: 2%}
"""


@pytest.mark.guest
def test_over_sctp_in_a_guest_with_a_bad_link():
    """N2 survives a lossy link: SCTP sends again."""
    from benchmarks import registrations

    with Lab.up(loads(TOPOLOGY, Topology), substrate="uml", name="n2-test") as lab:
        found = registrations.once(lab, 30)
    assert (found["done"], found["failures"], found["registered"]) == (30, 0, 30)
    assert found["p50"] > 0.05, "five ways there and five back, 5 ms each"
