"""Debian's examples of Mininet, the files as they are, judged by what they print. docs/mininet.md has all of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.substrate.host import separate

EXAMPLES = Path("/usr/share/doc/mininet/examples")
PROJECT = Path(__file__).resolve().parents[3]

MOVED = r"(?s)(0% dropped \(6/6 received\).*){4}"
# Example with options before it, what is typed into its CLI, and what it must say: all of these.
HERE = [
    ("emptynet", "pingall", ["0% dropped (2/2 received)"]),
    ("multitest", "pingall", ["0% dropped (12/12 received)", "inet 10.0.0.4"]),
    ("linuxrouter", "pingall", ["172.16.0.0 .* r0-eth2", "0% dropped (12/12 received)"]),
    ("bind", "h3 ls -d /tmp/h3/var/run", ["Private Directories", "/tmp/h3/var/run", "Done."]),
    ("multilink", "h1 ifconfig", ["h1-eth1"]),
    ("multipoll", "", ["h1: 64 bytes from 10.0.0.1", "h3: 64 bytes from 10.0.0.1"]),
    ("popen", "", ["<h1>: 5 packets transmitted, 5 received", "<h5>: 5 packets transmitted, 5 received"]),
    ("controllers2", "pingall", ["0% dropped (12/12 received)"]),
    ("controlnet", "pingall\npy net['cnet'].pingAll()", ["0% dropped (12/12 received)"]),
    ("sshd", "h1 timeout 5 head -1 < /dev/tcp/10.0.0.2/22", ["Hosts are running sshd", "SSH-2.0"]),
    ("baresshd", "", ["You may now ssh into h1 at 10.0.0.1"]),
    ("controllers", "pingall\ns1 ovs-vsctl show", ["0% dropped (12/12 received)", "tcp:127.0.0.1:6633"]),
    ("mobility", "", ["h1-eth0 is now connected to s3-eth", MOVED]),
    (
        "--open-vswitch numberedports",
        "",
        ["s1-eth9 is actually on port 9 ... Validated.", "0% dropped (20/20 received)"],
    ),
    ("tree1024", "h1 ping -c1 h1024", ["1 packets transmitted, 1 received", "Stopping 1024 hosts"]),
]
# What this kernel lacks a guest has: netem.
GUEST = [
    ("intfoptions", "", ["0% dropped (2/2 received)", r"\(10.00Mbit 15ms delay 50.00000% loss\)"]),
]
REFUSED = [
    ("hwintf", 1, "eth1 does not exist"),
]


@pytest.fixture(autouse=True)
def installed(mininet_works: None) -> None:
    if not EXAMPLES.is_dir():
        pytest.skip(f"mininet: its examples are not in {EXAMPLES}")
    separate()


def run(example: str, typed: str, substrate: str, timeout: float) -> subprocess.CompletedProcess[str]:
    *options, name = example.split()
    command = [sys.executable, "-m", "testbed", "mininet", "run", "--substrate", substrate, *options]
    return subprocess.run(
        [*command, EXAMPLES / f"{name}.py"], input=f"{typed}\n", capture_output=True, text=True, timeout=timeout,
        cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, check=False,
    )  # fmt: skip


def _assert_says(done: subprocess.CompletedProcess[str], expected: list[str]) -> None:
    said = done.stdout + done.stderr
    for text in expected:
        assert re.search(text, said) or text in said, said[-3000:]
    assert done.returncode == 0, said[-3000:]
    assert "Traceback" not in said


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("example", "typed", "expected"), HERE, ids=[example for example, _, _ in HERE])
def test_example_in_this_kernel(example: str, typed: str, expected: list[str]):
    _assert_says(run(example, typed, "native", 110), expected)


@pytest.mark.guest
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("example", "typed", "expected"), GUEST, ids=[example.split()[0] for example, _, _ in GUEST])
def test_example_in_a_guest(uml_works: None, example: str, typed: str, expected: list[str]):
    _assert_says(run(example, typed, "uml", 230), expected)


@pytest.mark.parametrize(("example", "code", "expected"), REFUSED, ids=[example for example, _, _ in REFUSED])
def test_example_that_says_why_it_cannot_run(example: str, code: int, expected: str):
    done = run(example, "", "native", 55)
    assert done.returncode == code
    assert expected in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
