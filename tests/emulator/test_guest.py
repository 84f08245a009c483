"""Impairments in a real kernel with netem: a User-Mode Linux guest."""

import re

import pytest

from testbed.emulator.messages import GetLinks, LinkChange, LinkPatch
from testbed.emulator.netem import Netem
from testbed.emulator.patch import GilbertElliott

from .scenes import pair

pytestmark = pytest.mark.guest

ALL = LinkPatch(
    delay=0.02,
    jitter=0.002,
    distribution="normal",
    jitter_correlation=0.25,
    loss=0.0,
    loss_correlation=0.1,
    burst=GilbertElliott(p=0.01, r=0.3, bad_loss=0.9, good_loss=0.001),
    duplicate=0.01,
    reorder=0.05,
    corrupt=0.02,
    rate=6e9,
    limit=5000,
)


@pytest.fixture
def wire(guest_client):
    guest_client.call(pair(LinkPatch(delay=0.01)))
    assert ping(guest_client, count=1)[0] == 1  # from now on no ARP is needed, which would take the blame for losses
    return guest_client


def forward(client) -> LinkPatch:
    return client.call(GetLinks(names=("wire",))).links[0].forward


def change(client, **fields) -> None:
    client.set_links([LinkChange(link="wire", end=0, patch=LinkPatch(**fields))])


def ping(client, count: int = 10, interval: float = 0.02) -> tuple[int, list[float]]:
    """Return packets answered and their RTTs in milliseconds."""
    words = ["ping", "-n", f"-c{count}", f"-i{interval}", "-W2", "10.0.0.2"]
    text = client.run("left", words).stdout.decode()
    rtts = [float(found) for found in re.findall(r"time=([\d.]+)", text)]
    return len(rtts), rtts


def test_every_setting_is_read_back_from_the_kernel(wire):
    wire.set_links([LinkChange(link="wire", end=0, patch=ALL)])
    assert forward(wire) == ALL


def test_every_setting_goes_back_to_nothing(wire):
    wire.set_links([LinkChange(link="wire", end=0, patch=ALL)])
    wire.set_links([LinkChange(link="wire", end=0, patch=Netem().patch())])
    assert forward(wire) == Netem(limit=1000).patch()
    answered, rtts = ping(wire)
    assert answered == 10
    assert sorted(rtts)[5] < 5


def test_a_partial_change_keeps_the_rest_and_the_other_direction(wire):
    change(wire, loss=0.25)
    change(wire, delay=0.03)
    state = wire.call(GetLinks()).links[0]
    assert (state.forward.delay, state.forward.loss) == (0.03, 0.25)
    assert state.backward == Netem().patch()


def test_packets_take_as_long_as_set(wire):
    for delay in (0.01, 0.05):
        change(wire, delay=delay)
        _, rtts = ping(wire)
        assert delay * 1e3 <= min(rtts) < delay * 1e3 + 5


def test_total_loss_loses_everything_and_none_nothing(wire):
    change(wire, loss=1.0)
    assert ping(wire, count=3)[0] == 0
    change(wire, loss=0.0)
    assert ping(wire, count=3)[0] == 3


def test_a_burst_model_loses_in_its_bad_state(wire):
    change(wire, burst=GilbertElliott(p=1.0, r=0.0))
    assert ping(wire, count=5)[0] <= 1  # the first packet may still meet the good state
    change(wire, burst=None)
    assert ping(wire, count=3)[0] == 3


def test_a_wire_that_was_clean_is_impaired_later(guest_client):
    guest_client.call(pair())
    assert forward(guest_client) == Netem().patch()
    change(guest_client, delay=0.02)
    assert min(ping(guest_client)[1]) >= 20
    segments = guest_client.run("left", ["ip", "-d", "link", "show", "eth1"]).stdout
    assert b"gso_max_segs 1 " in segments


def test_a_cut_and_mended_wire_keeps_its_impairment(wire):
    wire.set_links([LinkChange(link="wire", up=False)])
    wire.set_links([LinkChange(link="wire", up=True)])
    assert forward(wire).delay == 0.01
    answered, rtts = ping(wire)
    assert answered > 0
    assert min(rtts) >= 10


def test_more_hosts_than_the_kernels_first_setting_allows_know_each_others_addresses(wire):
    """All hosts of a guest share one ARP table; 1024 entries would be those of 32 that all talk to each other."""
    addresses = "ip route add 10.99.0.0/16 dev eth1; for a in {1..6}; do for b in {1..250}; do"
    talk = f"{addresses} echo > /dev/udp/10.99.$a.$b/9; done; done; ip neigh | grep -c ^10.99"
    assert int(wire.run("left", ["bash", "-c", talk]).stdout) == 1500
