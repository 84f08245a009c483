"""A real rack of two routers, mirrored by the real process into a real twin, over SSH only."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from adapters.device_tools import read_counters
from adapters.frr import FrrAdapter
from adapters.inventory import target
from adapters.ssh import SshTransport
from testbed.emulator.messages import GetLinks
from testbed.errors import BadInput, Unable
from testbed.lab import Lab
from testbed.model.dump import dump
from testbed.model.topology import GuestOptions, Topology
from testbed.processes import Process, identify, wait
from testbed.rack import bench, rack_down, rack_up
from testbed.substrate.guest_init import PROJECT
from testbed.telemetry.sinks import read
from testbed.twin import mirror
from testbed.twin.fork import fork
from testbed.twin.mirror import SAMPLES_FILE
from testbed.twin.state import current_state
from testbed.twin.transport import AgentTransport

pytestmark = [pytest.mark.guest, pytest.mark.timeout(240)]
RACK, TWIN, LINK = "mirror-rack", "mirror-twin", "r1-r2"
SPARE, SPARE_CABLE = "r1-r2-2", "spare"
"""What discovery calls the rack's second link, and what the bench does."""


def ring() -> Topology:
    def end(node, interface, address):
        return {"node": node, "interface": interface, "addresses": [address], "cost": 10}

    def link(first, second, delay):
        return {"endpoints": [first, second], "forward": {"delay": delay}, "backward": {"delay": delay}}

    routers = {f"r{n}": {"kind": "router", "loopbacks": [f"10.255.7.{n}/32"]} for n in (1, 2)}
    spare = link(end("r1", "eth2", "10.70.2.1/30"), end("r2", "eth2", "10.70.2.2/30"), 0.001)
    for direction in ("forward", "backward"):
        spare[direction]["rate"] = 5e7
    links = {
        LINK: link(end("r1", "eth1", "10.70.1.1/30"), end("r2", "eth1", "10.70.1.2/30"), 0.003),
        SPARE_CABLE: spare,
    }
    guest = {"memory": 384 * 2**20}
    return Topology.model_validate({"name": RACK, "nodes": routers, "links": links, "guest": guest})


@pytest.fixture(scope="module")
def rack(tmp_path_factory):
    file: Path = tmp_path_factory.mktemp("mirror") / "rack.yaml"
    file.write_text(dump(ring()))
    handle = rack_up(file, name=RACK)
    yield handle
    rack_down(RACK)


@pytest.fixture(scope="module")
def twin(rack):
    started = mirror.start(rack.inventory(), base=rack.folder, name=TWIN, capacity_every=15.0)
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


def seen(agent, condition, limit, name=LINK):
    """Ask for a link of the twin until it is so; how soon, the benchmark says, on a machine that does only that."""
    started = time.monotonic()
    while not condition(link_of(agent, name)):
        assert time.monotonic() - started < limit, link_of(agent, name)


def until(condition, limit):
    """Look at what is published until it is so; returns how long that took."""
    started = time.monotonic()
    while not condition(mirror.status(TWIN)):
        assert time.monotonic() - started < limit, mirror.status(TWIN)
        time.sleep(0.1)
    return time.monotonic() - started


def on_device(rack, device, *lines):
    """What somebody types on a device, not knowing of any mirror."""
    transport = SshTransport(device, target(rack.inventory(), device, rack.folder))
    try:
        done = transport.run("\n".join(lines), timeout=30.0)
        assert done.code == 0, done.out
        return done.out
    finally:
        transport.close()


def vtysh(*lines):
    return "vtysh " + " ".join(f"-c '{line}'" for line in ("configure terminal", *lines))


def config_in_twin(agent, router="r1"):
    return FrrAdapter(AgentTransport(agent, router)).running_config()


def sent(transport, interface="eth1"):
    """When, and bytes that a device or a node of the twin has sent on an interface."""
    moment, traffic = read_counters(transport)
    return moment, traffic[interface].tx_bytes


def rate_over(transports, seconds):
    """bit/s that each of them sends, over the same time."""
    before = [sent(transport) for transport in transports]
    time.sleep(seconds)  # what is measured is a rate over time
    after = [sent(transport) for transport in transports]
    return [8 * (b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(before, after, strict=True)]


def test_the_twin_is_what_the_rack_is_and_follows_it(rack, twin):
    with twin.agent() as agent:
        assert link_of(agent).forward.delay == pytest.approx(3e-3, abs=0.5e-3)
        assert all(device.told for device in mirror.status(TWIN).devices.values())
        bench(RACK, "cut", LINK)
        seen(agent, lambda link: not link.up, 10)
        bench(RACK, "mend", LINK)
        seen(agent, lambda link: link.up, 10)
        bench(RACK, "impair", LINK, "delay=23ms")
        seen(agent, lambda link: link.forward.delay > 21e-3, 15)
        bench(RACK, "impair", LINK, "delay=3ms", "loss=5%")
        seen(agent, lambda link: link.forward.delay < 5e-3, 15)
        seen(agent, lambda link: link.forward.loss > 0.02, 60)
        bench(RACK, "impair", LINK, "loss=0%")
    found = mirror.status(TWIN)
    assert found.phase == "running"
    assert found.aoi is not None
    assert 0 < found.alignment <= 1
    samples = read(twin.folder.path / SAMPLES_FILE, entity=f"link:{LINK}:forward")
    assert {s.metric for s in samples} == {"delay", "load"}
    assert all(s.measured <= s.received for s in samples)


def test_the_limit_of_a_link_is_measured_and_none_is_invented(twin):
    until(lambda found: found.links[SPARE].rate is not None, 90)
    found = mirror.status(TWIN)
    assert found.links[SPARE].rate == pytest.approx(5e7, rel=0.1)
    assert found.links[LINK].rate is None
    with twin.agent() as agent:
        assert link_of(agent, SPARE).backward.rate == pytest.approx(found.links[SPARE].rate, rel=0.05)
        assert link_of(agent, LINK).forward.rate is None
    assert max(found.links[SPARE].load) < 50e3  # the large echoes are measuring, no load


def test_what_is_changed_by_hand_on_a_device_is_in_the_twin_or_said(rack, twin):
    with twin.agent() as agent:
        period = mirror.status(TWIN).period
        on_device(rack, "r1", vtysh("ip route 10.99.0.0/24 Null0", "interface eth1", "ip ospf cost 77"))
        until(lambda _: "ip route 10.99.0.0/24 Null0" in config_in_twin(agent), 25 * period)
        assert "ip ospf cost 77" in config_in_twin(agent)
        on_device(rack, "r1", vtysh("interface eth2", "shutdown"))
        seen(agent, lambda link: not link.up, 15, SPARE)
        until(lambda _: " shutdown" in config_in_twin(agent), 20)
        on_device(rack, "r1", vtysh("interface eth2", "no shutdown"))
        seen(agent, lambda link: link.up, 15, SPARE)
        until(lambda _: " shutdown" not in config_in_twin(agent), 20)
        on_device(
            rack, "r1", "ip link set eth2 mtu 1400", "ip link add eth9 type bridge", "ip addr add 10.99.9.1/24 dev eth9"
        )
        until(lambda found: len(found.drift) >= 2, 20)
        told = " ".join(mirror.status(TWIN).drift)
        assert "r1: eth2 has MTU 1400, the twin's link 1500" in told
        assert "r1: interface eth9 is new (10.99.9.1/24)" in told
        until(lambda found: current_state(TWIN).drift == found.drift, 10)
        on_device(rack, "r1", "ip link set eth2 mtu 1500", "ip link del eth9")
        until(lambda found: not found.drift, 20)
        until(lambda found: not found.mismatches, 60)


def test_load_on_the_rack_is_load_on_the_twin_and_on_a_fork(rack, twin):
    ping = "ping -q -i 0.01 -s 4000 -w 60 10.70.1.2 >/dev/null 2>&1 </dev/null & echo $!"
    pid = on_device(rack, "r1", ping).strip()
    device = SshTransport("r1", target(rack.inventory(), "r1", rack.folder))
    try:
        until(lambda found: min(found.links[LINK].load) > 5e5 and current_state(TWIN).load, 20)
        with twin.agent() as agent:
            on_rack, on_twin = rate_over([device, AgentTransport(agent, "r1")], 8.0)
        assert on_rack > 1e6
        assert on_twin == pytest.approx(on_rack, rel=0.25)
        state = current_state(TWIN)
        assert {(flow.source, flow.sink) for flow in state.load} == {("r1", "r2"), ("r2", "r1")}
        with fork(state, "loaded-fork") as lab, lab.agent() as agent:
            (on_fork,) = rate_over([AgentTransport(agent, "r1")], 5.0)
        wanted = next(flow.rate for flow in state.load if flow.source == "r1")
        assert on_fork == pytest.approx(wanted, rel=0.25)
    finally:
        device.run(f"kill {pid}; true")
        device.close()
    until(lambda found: max(found.links[LINK].load) < 1e5 and not current_state(TWIN).load, 20)


def handles(process):
    """Open descriptors and threads of the mirror."""
    return [len(os.listdir(f"/proc/{process.pid}/{what}")) for what in ("fd", "task")]


def kept_no_connection(process, before):
    """Whether nothing is left of lost connections: each has a thread and five channels. Two channels come and go."""
    (descriptors, threads), (had, ran) = handles(process), before
    return threads <= ran and descriptors <= had + 4


def age(found, device):
    """How old what is known of a device's eth1 is, by the mirror's last status."""
    fields = {field.entity: field.age for field in found.fields if field.metric == "carrier"}
    return fields[f"interface:{device}:eth1"]


@pytest.fixture
def powered(rack):
    """r2 has power again afterwards, however the test ended: the others need it."""
    yield
    bench(RACK, "power-on", "r2")


def test_a_device_without_power_is_gone_from_the_twin_and_comes_back_to_it(rack, twin, powered):
    found = mirror.status(TWIN)
    period, process, started = found.period, found.process, time.time()
    before = handles(process)
    with twin.agent() as agent:
        bench(RACK, "power-off", "r2")
        seen(agent, lambda link: not link.up, 15)
        until(lambda found: found.devices["r2"].away_since is not None, 30)
        assert FrrAdapter(AgentTransport(agent, "r1")).counters().neighbours == ()
        away = mirror.status(TWIN)
        since = away.devices["r2"].away_since
        assert since is not None
        assert started < since < time.time()
        until(lambda found: age(found, "r2") > 6 * period > 3 * period > age(found, "r1"), 30)
        assert mirror.status(TWIN).devices["r1"].reachable
        assert "r2" in current_state(TWIN).stale
        bench(RACK, "power-on", "r2")
        until(lambda found: found.devices["r2"].reachable and found.links[LINK].rtt is not None, 60)
        seen(agent, lambda link: link.up and link.forward.loss < 0.01, 30)
    until(lambda found: not found.mismatches and "r2" not in current_state(TWIN).stale, 60)
    back = mirror.status(TWIN)
    assert (back.phase, back.process, back.devices["r2"].away_since) == ("running", process, None)
    until(lambda _: kept_no_connection(process, before), 30)


def test_a_device_whose_ssh_is_cut_off_grows_old_while_its_links_stay_as_its_neighbours_see_them(rack, twin):
    process, started = mirror.status(TWIN).process, time.time()
    before = handles(process)
    # Only r1 can still reach r2: an address that appears there is r2's sign to come back.
    on_device(rack, "r2", "ip route add 10.99.7.7 via 10.70.1.1")
    back = "timeout 90 sh -c 'until ping -c 1 -W 1 10.99.7.7; do :; done'; ip route del 10.99.7.7; ip link set mgmt up"
    on_device(rack, "r2", f"(ip link set mgmt down; {back}) >/dev/null 2>&1 </dev/null &")
    until(lambda found: found.devices["r2"].away_since is not None, 60)
    assert any("r2 is lost" in text for moment, text in mirror.status(TWIN).events if moment > started)
    with twin.agent() as agent:
        assert link_of(agent).up
    on_device(rack, "r1", "ip addr add 10.99.7.7/32 dev lo")
    until(lambda found: found.devices["r2"].reachable and found.devices["r2"].told, 60)
    on_device(rack, "r1", "ip addr del 10.99.7.7/32 dev lo")
    assert mirror.status(TWIN).process == process
    until(lambda _: kept_no_connection(process, before), 30)


def age_of_delay(found):
    return next(field.age for field in found.fields if (field.entity, field.metric) == (f"link:{LINK}", "delay"))


def test_a_clock_that_is_set_on_the_rack_does_not_age_what_is_measured(rack, twin):
    on_device(rack, "r1", "date -s @$(($(date +%s) + 3600))")
    try:
        until(lambda found: age_of_delay(found) < 3 * found.period, 30)
        moment = time.time() + 1.0
        until(lambda found: found.written > moment, 10)
        delays = [s for s in read(twin.folder.path / SAMPLES_FILE, since=moment - 10) if s.metric == "delay"]
        assert delays
        assert max(s.received - s.measured for s in delays) < 5
        assert all(s.measured <= s.received for s in delays)
    finally:
        on_device(rack, "r1", "date -s @$(($(date +%s) - 3600))")
    until(lambda found: age_of_delay(found) < 3 * found.period, 30)


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
    assert wait([process], 5.0) == []
    assert mirror.status(TWIN).phase == "died"
    again = mirror.start(rack.inventory(), base=rack.folder, name=TWIN, echo_every=0.05)
    assert (again.phase, again.in_step) == ("running", True)
    assert again.process != process
    assert again.process is not None
    assert "-i 0.05 " in on_device(rack, "r1", "ps -C ping -o args= || true")


def test_a_twin_on_two_guests_follows_the_rack_and_its_forks_have_two(rack):
    guest = GuestOptions(memory=256 * 2**20, guests=2)
    started = mirror.start(rack.inventory(), base=rack.folder, name="mirror-two", guest=guest, capacity_every=None)
    try:
        assert started.in_step
        with Lab.open("mirror-two").agent() as agent:
            bench(RACK, "cut", SPARE_CABLE)
            seen(agent, lambda link: not link.up, 10, SPARE)
            bench(RACK, "mend", SPARE_CABLE)
            seen(agent, lambda link: link.up, 10, SPARE)
        state = current_state("mirror-two")
        with fork(state, "two-fork") as lab, lab.agent() as agent:
            assert len(lab.folder.record().endpoints) == 2
            assert link_of(agent).forward.delay == pytest.approx(state.topology.links[LINK].forward.delay, abs=1e-6)
    finally:
        mirror.stop("mirror-two")


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
