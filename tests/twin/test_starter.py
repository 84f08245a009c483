"""A mirror's process and its starter: what they tell each other, and that neither outlives the other's failure."""

import msgspec
import pytest

from testbed.errors import DeviceError, GuestFailed
from testbed.lab import Lab
from testbed.model.rack import SecretReference
from testbed.model.topology import Topology
from testbed.processes import alive, end, wait
from testbed.twin import mirror
from testbed.twin.discover import infer
from testbed.twin.starter import Order, starting
from tests.twin.metro import inventory, metro


@pytest.fixture
def rack(tmp_path, monkeypatch):
    """A rack of which no device answers: their addresses are loopback ones where nobody listens."""
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TEST_MIRROR_PASSWORD", "unused")
    (tmp_path / "known_hosts").touch()
    whole, secret = inventory(), SecretReference(env="TEST_MIRROR_PASSWORD")
    devices = {
        name: device.model_copy(update={"address": "127.77.200.1", "port": 9, "password": secret})
        for name, device in whole.devices.items()
    }
    return whole.model_copy(update={"devices": devices})


def order(rack, folder, **more):
    given = {"twin": "t", "inventory": rack.model_dump_json(), "base": str(folder), "period": 0.5}
    return Order(**(given | more))


def test_an_order_reaches_the_process_as_it_was(rack, tmp_path):
    sent = order(rack, tmp_path, facts=metro(), topology="{}")
    assert msgspec.json.decode(msgspec.json.encode(sent), type=Order) == sent


def test_given_facts_need_no_survey_and_without_a_go_the_process_ends_by_itself(rack, tmp_path):
    with starting(order(rack, tmp_path, facts=metro())) as process:
        assert Topology.model_validate_json(process.topology()) == infer(metro(), rack).topology
        assert process.process is not None
        assert alive(process.process)
    assert wait([process.process], 20.0) == []


def test_devices_that_do_not_answer_are_named_and_nothing_is_left(rack, tmp_path):
    with pytest.raises(DeviceError, match="cell1"):
        mirror.start(rack, base=tmp_path, name="t")
    assert not Lab.all()


def test_a_process_that_dies_ends_the_bringing_up_of_its_twin(rack, tmp_path):
    heard = []
    with starting(order(rack, tmp_path, facts=metro())) as process:
        process.topology()
        told = process.watched(heard.append)
        told("node made")
        assert heard == ["node made"]
        assert process.process is not None
        end(process.process, 15.0)
        with pytest.raises(GuestFailed, match="the mirror's process ended"):
            told("node started")
    assert wait([process.process], 20.0) == []
