"""What we encode is decoded by pyroute2, which knows nothing of our encoders."""

import socket
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from testbed.emulator import netlink
from testbed.emulator.netlink import Request, VethEnd

quick = settings(deadline=None, max_examples=40)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=15)
indexes = st.integers(1, 2**31 - 1)
mtus = st.integers(68, 65535)
macs = st.binary(min_size=6, max_size=6)


def decode(kind: type, request: Request) -> Any:
    header = struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0)
    message = kind(header + request.body)
    message.decode()
    return message


@quick
@given(names, names, indexes, indexes, mtus, macs, st.booleans())
def test_a_veth_pair_has_the_peer_in_the_other_namespace(name, peer, index, peer_index, mtu, mac, up):
    request = netlink.veth(VethEnd(name, index, up=up, group=7), VethEnd(peer, peer_index, mac, False, 42), mtu)
    message = decode(ifinfmsg, request)
    info = message.get_attr("IFLA_LINKINFO")
    inner = info.get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    assert (message["index"], message.get_attr("IFLA_IFNAME"), bool(message["flags"] & 1)) == (index, name, up)
    assert (message.get_attr("IFLA_MTU"), message.get_attr("IFLA_GROUP")) == (mtu, 7)
    assert info.get_attr("IFLA_INFO_KIND") == "veth"
    assert (inner["index"], inner.get_attr("IFLA_IFNAME"), inner.get_attr("IFLA_MTU")) == (peer_index, peer, mtu)
    assert inner.get_attr("IFLA_ADDRESS") == ":".join(f"{byte:02x}" for byte in mac)
    assert inner.get_attr("IFLA_NET_NS_FD") in (42, "42")


@quick
@given(indexes, st.booleans(), mtus, st.integers(0, 65535))
def test_a_change_of_an_interface_names_only_what_it_changes(index, up, mtu, segments):
    message = decode(ifinfmsg, netlink.set_link(index, up=up, mtu=mtu, gso_max_segs=segments))
    assert (message["index"], message["flags"] & 1, message["change"]) == (index, int(up), 1)
    assert message.get_attr("IFLA_MTU") == mtu
    assert message.get_attr("IFLA_GSO_MAX_SEGS") == segments
    assert message.get_attr("IFLA_MASTER") is None
    assert decode(ifinfmsg, netlink.set_link(index, master=5))["change"] == 0


@quick
@given(indexes, st.ip_addresses(v=4), st.integers(0, 32))
def test_an_ipv4_address(index, host, prefix):
    message = decode(ifaddrmsg, netlink.address(index, f"{host}/{prefix}"))
    assert (message["family"], message["prefixlen"], message["index"]) == (socket.AF_INET, prefix, index)
    assert message.get_attr("IFA_LOCAL") == message.get_attr("IFA_ADDRESS") == str(host)


@quick
@given(indexes, st.ip_addresses(v=6), st.integers(0, 128))
def test_an_ipv6_address_is_usable_at_once(index, host, prefix):
    message = decode(ifaddrmsg, netlink.address(index, f"{host}/{prefix}"))
    assert (message["family"], message["prefixlen"], message["index"]) == (socket.AF_INET6, prefix, index)
    assert message["flags"] & netlink.IFA_F_NODAD
    packed = socket.inet_pton(socket.AF_INET6, message.get_attr("IFA_ADDRESS"))
    assert packed == host.packed


@quick
@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(1, 32), indexes)
def test_a_route(gateway, destination, prefix, index):
    message = decode(rtmsg, netlink.route(str(gateway), f"{destination}/{prefix}", index))
    assert (message["dst_len"], message["table"], message["type"]) == (prefix, 254, 1)
    assert message.get_attr("RTA_GATEWAY") == str(gateway)
    assert message.get_attr("RTA_DST") == str(destination)
    assert message.get_attr("RTA_OIF") == index


@quick
@given(indexes, indexes)
def test_everything_that_arrives_is_redirected(source, target):
    message = decode(tcmsg, netlink.redirect(source, target))
    options = message.get_attr("TCA_OPTIONS")
    action = options.get_attr("TCA_U32_ACT").get_attr("TCA_ACT_PRIO_1")
    parameters = action.get_attr("TCA_ACT_OPTIONS").get_attr("TCA_MIRRED_PARMS")
    selector = options.get_attr("TCA_U32_SEL")
    assert (message["index"], message.get_attr("TCA_KIND")) == (source, "u32")
    assert (selector["nkeys"], selector["keys"][0]["key_mask"]) == (1, 0)
    assert (action.get_attr("TCA_ACT_KIND"), parameters["ifindex"]) == ("mirred", target)
    assert (parameters["eaction"], parameters["action"]) == (1, 4)  # redirect out of it, keep nothing


@quick
@given(st.lists(st.tuples(st.integers(1, 1000), st.binary(max_size=40)), max_size=10, unique_by=lambda t: t[0]))
def test_attributes_are_read_back(pairs):
    data = b"".join(netlink.attribute(kind, payload) for kind, payload in pairs)
    assert netlink.attributes(data) == dict(pairs)


def test_a_truncated_attribute_ends_the_reading_instead_of_circling():
    assert netlink.attributes(b"\0\0\0\0\0\0\0\0") == {}


def test_a_failed_message_says_which_and_why():
    error = netlink.NetlinkError([netlink.Failure(3, 16, "Exclusivity flag on, cannot modify")])
    text = str(netlink.explain(error, ["a", "b", "c", "l7: netem"]))
    assert text == "l7: netem: Device or resource busy (EBUSY): Exclusivity flag on, cannot modify"


@pytest.mark.parametrize("size", [1, 1000, 50_000])
def test_a_batch_is_cut_into_sends_that_lose_nothing(size):
    requests = [netlink.set_link(i + 1, up=True) for i in range(size)]
    chunks = list(netlink._chunks(requests))
    assert [i for first, last in chunks for i in range(first, last)] == list(range(size))
    assert all(sum(len(r.body) + 16 for r in requests[a:b]) <= netlink._SEND_LIMIT for a, b in chunks)
