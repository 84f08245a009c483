"""What only a lab on another machine has: who is trusted, what breaks in between, and what nobody else may see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.keys import new_key
from testbed.emulator.messages import Exec, ListNodes
from testbed.errors import BadInput, GuestFailed, TestbedError, Unable
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.processes import alive
from testbed.substrate import probe, processes
from testbed.substrate.doctor import clean
from testbed.substrate.folder import LabFolder
from testbed.substrate.openssh import Host as Address

from .host import PROJECT, Host, set_up, state
from .leftovers import assert_gone, runs_in, traces

ONE = Topology.model_validate({"name": "elsewhere", "nodes": {"n1": {"kind": "host"}}})


@pytest.fixture(scope="module")
def native(host: Host) -> str:
    if not (allowed := probe.run("namespaces")).ok:
        pytest.skip(f"native: {allowed.detail}")
    return host.substrate("ssh+native")


@pytest.fixture(scope="module")
def lab(native: str) -> Iterator[Lab]:
    with Lab.up(ONE, substrate=native) as lab:
        yield lab


@pytest.mark.parametrize(
    ("text", "login", "port", "checkout", "substrate"),
    [
        ("ssh:lab@server2", "lab@server2", "", "", "auto"),
        ("ssh:server2:2222", "server2", "2222", "", "auto"),
        ("ssh+uml:lab@10.0.0.7:22/opt/test bed", "lab@10.0.0.7", "22", "/opt/test bed", "uml"),
        ("ssh+native:lab@[::1]:2022/x", "lab@::1", "2022", "/x", "native"),
    ],
)
def test_a_machine_is_named_in_one_word(text: str, login: str, port: str, checkout: str, substrate: str):
    assert Address.read(text) == Address(text, login, port, checkout, substrate)


@pytest.mark.parametrize(
    "text",
    [
        "ssh:",
        "ssh:-oProxyCommand=x",
        "ssh:a@-b",
        "ssh:a b",
        "ssh:h:0",
        "ssh:h:65536",
        "ssh:h:x",
        "ssh+kvm:h",
        "ssh:h/\n",
    ],
)
def test_what_names_no_machine_is_refused_and_nothing_is_started(text: str):
    with pytest.raises(BadInput, match="expected ssh:"):
        Lab.up(ONE, substrate=text)
    assert "elsewhere" not in [lab.name for lab in Lab.all()]


@contextmanager
def _replaced(path: Path, text: str) -> Iterator[None]:
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def _refused(substrate: str, words: str) -> None:
    """Bring a lab up in vain: the error says why, and nothing is left here or there."""
    seen: list[str] = []
    with pytest.raises(TestbedError, match=words) as caught:
        Lab.up(ONE, substrate=substrate, progress=lambda event: seen.extend(_markers()))
    assert isinstance(caught.value, Unable)
    assert seen
    assert "elsewhere" not in [lab.name for lab in Lab.all()]
    assert [marker for marker in seen if processes.marked(marker)] == []


def _markers() -> list[str]:
    return [lab.folder.record().id for lab in Lab.all() if lab.name == "elsewhere"]


def test_a_machine_whose_key_nobody_enrolled_is_refused(host: Host, native: str):
    with _replaced(host.folder / "known_hosts", ""):
        _refused(native, r"host key is not known here.* run `ssh -p \d+ .*compare")


def test_a_machine_whose_key_has_changed_is_refused_loudly(host: Host, native: str):
    with _replaced(host.folder / "known_hosts", f"[127.0.0.1]:{host.port} {new_key()[1]}\n"):
        _refused(native, "THE HOST KEY HAS CHANGED")


def test_a_machine_that_does_not_let_us_in_is_told_with_what_to_do(host: Host, native: str):
    with _replaced(host.folder / "authorized", ""):
        _refused(native, "does not let us in.*ssh-add")


def test_a_machine_that_forwards_nothing_is_told_with_what_to_do(host: Host, native: str):
    with _replaced(host.folder / "authorized", f"no-port-forwarding {(host.folder / 'authorized').read_text()}"):
        _refused(native, "cannot be reached through its sshd.*AllowStreamLocalForwarding")


def test_an_interrupted_start_is_undone_here_and_there(native: str, tmp_path: Path):
    (tmp_path / "one.yaml").write_text("name: elsewhere\nnodes: {n1: {kind: host}}\n")
    command = [sys.executable, "-m", "testbed", "up", str(tmp_path / "one.yaml"), "--substrate", native]
    starting = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE)
    _wait_until(lambda: starting.poll() is not None or list(state().glob("labs/hosted-*/keeper.log")), 30.0)
    seen = traces(Lab.open("elsewhere").folder)
    starting.send_signal(signal.SIGINT)
    said = starting.communicate()[1]
    assert starting.returncode == 128 + signal.SIGINT, said.decode()
    assert_gone(seen)


def test_a_machine_that_does_not_answer_is_told(host: Host):
    _refused(host.substrate().replace(f":{host.port}/", ":1/"), "cannot be reached.*refused")


def test_a_machine_without_testbed_is_told_with_what_to_do(host: Host):
    _refused(host.substrate(checkout="/nowhere"), "testbed is not set up there.*make setup")


def test_another_version_is_refused_with_both_and_what_to_do(host: Host):
    set_up(host.folder / "newer", "import testbed; testbed.__version__ = '99.1'")
    _refused(host.substrate(checkout=f"{host.folder}/newer"), r"99\.1 there and .* here.*make setup")


def test_a_version_that_hosts_no_labs_is_told(host: Host):
    set_up(host.folder / "older", "import sys; sys.argv[1] = 'no-such-command'")
    _refused(host.substrate(checkout=f"{host.folder}/older"), "another version of testbed")


def test_the_secrets_are_in_no_command_line_environment_or_file_that_others_may_read(lab: Lab):
    secrets = [value.encode() for key, value in lab.folder.read_keys().items() if key.endswith("_secret")]
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                said = (process / name).read_bytes()
            except (OSError, ProcessLookupError):
                continue
            assert not [secret for secret in secrets if secret in said], process
    holders = [
        path
        for folder in (lab.folder.path, lab.folder.run, runs_in(lab.folder).path, runs_in(lab.folder).run)
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in secrets)
    ]
    assert {path.name for path in holders} == {"keys"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in holders)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_connection_that_breaks_is_told_within_5_s_and_the_lab_survives_it(host: Host, lab: Lab, how: signal.Signals):
    before = traces(lab.folder)
    with lab.agent() as agent:
        threading.Timer(1.0, host.signal_connections, [how]).start()
        started = time.monotonic()
        with pytest.raises(GuestFailed, match=r"connection to .* is lost; the lab goes on there.*testbed status"):
            agent.call(Exec(node="n1", argv=("sleep", "30")))
        assert time.monotonic() - started < 1 + 5
    host.signal_connections(signal.SIGKILL)
    _wait_until(lambda: not alive(lab.folder.record().keeper))
    assert [line for line in clean() if lab.name in line] == []
    with ThreadPoolExecutor(2) as pool:  # two commands may well connect again at once
        assert list(pool.map(lambda _: _nodes(lab), range(2))) == [["n1"], ["n1"]]
    assert lab.liveness().alive
    assert traces(lab.folder).processes == before.processes
    assert len(processes.marked(lab.folder.record().id)) == 1


def _nodes(lab: Lab) -> list[str]:
    with lab.agent() as agent:
        return [node.name for node in agent.call(ListNodes()).nodes]


def _wait_until(holds: Callable[[], object], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end


def test_a_machine_that_is_gone_is_told_and_can_be_forgotten(host: Host, native: str):
    lab = Lab.up(ONE, substrate=native, name="forgotten")
    there, seen = Lab(runs_in(lab.folder)), traces(lab.folder)
    advised = [sys.executable, "-m", "testbed", "down", there.name]
    try:
        with _replaced(host.folder / "authorized", ""):
            host.signal_connections(signal.SIGKILL)
            _wait_until(lambda: not alive(lab.folder.record().keeper))
            assert "does not let us in" in lab.liveness().reason
            with pytest.raises(Unable, match="does not let us in"):
                lab.agent()
            with pytest.raises(Unable, match=f"stays recorded.*testbed down --forget {lab.name}"):
                lab.down()
            assert f"testbed down {there.name}" in lab.forget()
        assert seen.here is not None
        assert_gone(seen.here)
        assert there.liveness().alive
    finally:
        subprocess.run(advised, env=os.environ | {"TESTBED_HOME": str(state())}, cwd=PROJECT, check=True)
    assert_gone(seen)


def test_only_a_lab_elsewhere_can_be_forgotten():
    folder = LabFolder.create("here", "lab", "native")
    try:
        with pytest.raises(BadInput, match="testbed down here"):
            Lab(folder).forget()
    finally:
        folder.remove()


FAR = """
name: far
guest: {memory: 256MiB, guests: 2}
nodes:
  a: {kind: host}
  b: {kind: host}
links:
  a-b:
    endpoints:
      - {node: a, interface: eth0, addresses: [10.0.0.1/30]}
      - {node: b, interface: eth0, addresses: [10.0.0.2/30]}
    impairment: {delay: 5ms}
"""


def _testbed(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "testbed", *words], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.guest
@pytest.mark.timeout(180)
def test_from_the_command_line_a_lab_in_two_guests_there_works_as_here(host: Host, uml_works: None, tmp_path: Path):
    (tmp_path / "far.yaml").write_text(FAR)
    _testbed("up", str(tmp_path / "far.yaml"), "--substrate", host.substrate("ssh+uml"))
    lab = Lab.open("far")
    try:
        record = lab.folder.record()
        assert record.elsewhere is not None
        assert [there.rpartition(":")[0] for there in record.elsewhere.endpoints] == ["tcp://127.0.0.1"] * 2
        assert [here.rpartition("/")[0] for here in record.endpoints] == [f"ipc://{lab.folder.run}"] * 2
        _testbed("link", "a-b", "delay=20ms", "--lab", "far")
        said = _testbed("exec", "a", "--lab", "far", "--", "ping", "-c", "3", "-i", "0.2", "10.0.0.2")
        least = float(said.partition("mdev = ")[2].partition("/")[0])
        assert 40.0 <= least < 60.0
        assert json.loads(_testbed("status", "far", "--json"))["links"][0]["name"] == "a-b"
    finally:
        seen = traces(lab.folder)
        _testbed("down", "far")
    assert_gone(seen)
