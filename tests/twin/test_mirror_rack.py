"""A real rack of two routers, mirrored by the real process into a real twin, over SSH only."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from testbed.emulator.messages import GetLinks
from testbed.errors import BadInput, Unable
from testbed.lab import Lab
from testbed.model.topology import Topology
from testbed.rack import bench, rack_down, rack_up
from testbed.substrate.guest_init import PROJECT
from testbed.substrate.processes import Process, alive, identify
from testbed.telemetry.sinks import read
from testbed.twin import mirror
from testbed.twin.discover import to_yaml
from testbed.twin.fork import fork
from testbed.twin.mirror import SAMPLES_FILE
from testbed.twin.state import current_state

pytestmark = [pytest.mark.guest, pytest.mark.timeout(240)]
RACK, TWIN, LINK = "mirror-rack", "mirror-twin", "r1-r2"


def ring() -> Topology:
    def end(node, interface, address):
        return {"node": node, "interface": interface, "addresses": [address], "cost": 10}

    def link(first, second, delay):
        return {"endpoints": [first, second], "forward": {"delay": delay}, "backward": {"delay": delay}}

    routers = {f"r{n}": {"kind": "router", "loopbacks": [f"10.255.7.{n}/32"]} for n in (1, 2)}
    links = {
        LINK: link(end("r1", "eth1", "10.70.1.1/30"), end("r2", "eth1", "10.70.1.2/30"), 0.003),
        "spare": link(end("r1", "eth2", "10.70.2.1/30"), end("r2", "eth2", "10.70.2.2/30"), 0.001),
    }
    guest = {"memory": 384 * 2**20}
    return Topology.model_validate({"name": RACK, "nodes": routers, "links": links, "guest": guest})


@pytest.fixture(scope="module")
def rack(tmp_path_factory):
    file: Path = tmp_path_factory.mktemp("mirror") / "rack.yaml"
    file.write_text(to_yaml(ring()))
    handle = rack_up(file, name=RACK)
    yield handle
    rack_down(RACK)


@pytest.fixture(scope="module")
def twin(rack):
    started = mirror.start(rack.inventory(), base=rack.folder, name=TWIN)
    assert started.in_step
    yield Lab.open(TWIN)
    mirror.stop(TWIN)
    assert TWIN not in {lab.name for lab in Lab.all()}


def link_of(agent, name=LINK):
    return agent.call(GetLinks(names=(name,))).links[0]


def mirror_processes() -> set[Process]:
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"testbed.twin.process" in (folder / "cmdline").read_bytes():
                found.add(identify(int(folder.name)))
    return found


def seen_after(agent, condition, limit):
    started = time.monotonic()
    while not condition(link_of(agent)):
        assert time.monotonic() - started < limit, link_of(agent)
    return time.monotonic() - started


def test_the_twin_is_what_the_rack_is_and_follows_it(rack, twin):
    with twin.agent() as agent:
        assert link_of(agent).forward.delay == pytest.approx(3e-3, abs=0.5e-3)
        period = mirror.status(TWIN).period
        bench(RACK, "cut", LINK)
        assert seen_after(agent, lambda link: not link.up, 10) < 2 * period
        bench(RACK, "mend", LINK)
        seen_after(agent, lambda link: link.up, 10)
        bench(RACK, "impair", LINK, "delay=20ms")
        assert seen_after(agent, lambda link: link.forward.delay > 18e-3, 15) < 10
    found = mirror.status(TWIN)
    assert found.phase == "running"
    assert found.aoi is not None
    assert 0 < found.alignment <= 1
    samples = read(twin.folder.path / SAMPLES_FILE, entity=f"link:{LINK}:forward")
    assert {s.metric for s in samples} == {"delay", "load"}
    assert all(s.measured <= s.received for s in samples)


def test_a_second_mirror_is_refused_and_an_unknown_one_is_named(rack, twin):
    with pytest.raises(Unable, match="runs already"):
        mirror.start(rack.inventory(), base=rack.folder, name=TWIN)
    with pytest.raises(BadInput, match="did you mean 'mirror-twin'"):
        mirror.status("miror-twin")


def test_a_fork_has_the_mirrored_delays_and_leaves_the_twin_alone(twin):
    state = current_state(TWIN)
    with fork(state, "mirror-fork") as lab, lab.agent() as agent, twin.agent() as live:
        before = link_of(live)
        forked = agent.call(GetLinks(names=(LINK,))).links[0]
        assert forked.forward.delay == pytest.approx(state.topology.links[LINK].forward.delay, abs=1e-6)
        assert link_of(live).up == before.up
    assert "mirror-fork" not in {lab.name for lab in Lab.all()}


def test_a_killed_mirror_is_said_to_have_died_and_can_be_started_again(rack, twin):
    process = mirror.status(TWIN).process
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while alive(process):
        assert time.monotonic() < deadline
    assert mirror.status(TWIN).phase == "died"
    again = mirror.start(rack.inventory(), base=rack.folder, name=TWIN)
    assert (again.phase, again.in_step) == ("running", True)
    assert again.process != process


def test_a_starter_killed_while_the_twin_is_built_leaves_a_lab_that_down_takes_and_no_mirror(rack):
    code = (
        "import sys; from pathlib import Path; from testbed.model.load import load_inventory; from testbed.twin import "
        "mirror; mirror.start(load_inventory(Path(sys.argv[1])), base=Path(sys.argv[1]).parent, name='mirror-dies', "
        "progress=lambda event: print(event, flush=True))"
    )
    before = mirror_processes()
    argv = [sys.executable, "-c", code, str(rack.inventory_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=PROJECT) as starter:
        assert starter.stdout is not None
        assert any(b"nodes made" in line for line in starter.stdout)
        started = mirror_processes() - before
        starter.kill()
    assert len(started) == 1
    deadline = time.monotonic() + 10
    while started & mirror_processes():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    Lab.open("mirror-dies").down()
