import pytest

from testbed.emulator.messages import Build, ListNodes, WireNode


@pytest.mark.guest
def test_nodes_built_in_the_shared_guest_are_there(guest_client):
    guest_client.call(Build(nodes=(WireNode(name="shared-a", kind="host"),), links=()))
    assert "shared-a" in [node.name for node in guest_client.call(ListNodes()).nodes]


@pytest.mark.guest
def test_the_shared_guest_lives_on_its_own_kernel(guest_lab, guest_client):
    assert guest_client.hello().substrate == "uml"
    assert guest_lab.liveness().alive
