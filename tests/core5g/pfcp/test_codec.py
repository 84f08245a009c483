"""PFCP beside two other implementations, and against what is no PFCP."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrate_mobile.TS29244_PFCP import parse_PFCP
from scapy.contrib import pfcp as theirs

from core5g.pfcp import codec
from core5g.pfcp.codec import ELEMENTS, Cause, Kind, Message
from core5g.pfcp.errors import PfcpError
from core5g.pfcp.values import Fseid, Fteid, OuterHeader, Rates, UeAddress, Volume

GNB, UPF, UE = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), IPv4Address("10.45.0.2")
ESTABLISH = Message(
    Kind.SESSION_ESTABLISHMENT_REQUEST,
    7,
    {
        "node_id": GNB,
        "f_seid": Fseid(1, GNB),
        "create_pdr": [
            {
                "pdr_id": 1,
                "precedence": 255,
                "pdi": {
                    "source_interface": 0,
                    "f_teid": Fteid(choose=5),
                    "network_instance": "internet",
                    "ue_ip_address": UeAddress(UE),
                    "qfi": 9,
                },
                "outer_header_removal": 0,
                "far_id": 1,
                "qer_id": [1],
                "urr_id": [1],
            },
            {
                "pdr_id": 2,
                "precedence": 255,
                "pdi": {"source_interface": 1, "ue_ip_address": UeAddress(UE, destination=True)},
                "far_id": 2,
                "qer_id": [1],
            },
        ],
        "create_far": [
            {"far_id": 1, "apply_action": b"\x02", "forwarding_parameters": {"destination_interface": 1}},
            {
                "far_id": 2,
                "apply_action": b"\x02",
                "forwarding_parameters": {
                    "destination_interface": 0,
                    "outer_header_creation": OuterHeader(77, UPF),
                    "transport_level_marking": 0xB8FC,
                },
            },
        ],
        "create_qer": [{"qer_id": [1], "gate_status": 0, "mbr": Rates(50_000_000, 100_000_000), "qfi": 9}],
        "create_urr": [{"urr_id": [1], "measurement_method": 2, "reporting_triggers": b"\x00\x00\x00"}],
        "pdn_type": 1,
        "s_nssai": (1, None),
    },
    seid=0,
)


def test_a_session_as_scapy_reads_it():
    data = codec.encode(ESTABLISH)
    read = theirs.PFCP(data)
    assert (read.seq, read.seid, read.message_type) == (7, 0, 50)
    assert bytes(read) == data
    assert "Raw" not in read.summary()
    assert read[theirs.IE_FSEID].seid == 1
    assert read[theirs.IE_FTEID].CH == 1
    assert read[theirs.IE_FTEID].choose_id == 5
    assert read[theirs.IE_OuterHeaderCreation].TEID == 77
    assert (read[theirs.IE_MBR].ul, read[theirs.IE_MBR].dl) == (50_000, 100_000)
    assert read[theirs.IE_NetworkInstance].instance == b"internet"


def test_a_session_as_pycrate_reads_it_and_writes_it():
    data = codec.encode(ESTABLISH)
    read, error = parse_PFCP(data)
    assert error == 0
    assert read
    assert codec.decode(read.to_bytes()) == ESTABLISH


def test_what_scapy_writes():
    made = theirs.PFCP(version=1, S=0, seq=99) / theirs.PFCPAssociationSetupRequest(
        IE_list=[
            theirs.IE_NodeId(id_type=2, id="upf.lab"),
            theirs.IE_RecoveryTimeStamp(timestamp=3_900_000_000),
            theirs.IE_UPFunctionFeatures(FTUP=1),
        ]
    )
    read = codec.decode(bytes(made))
    assert (read.kind, read.sequence, read.seid) == (Kind.ASSOCIATION_SETUP_REQUEST, 99, None)
    assert read.ies["node_id"] == "upf.lab"
    assert read.ies["recovery_time_stamp"] == 3_900_000_000


V4 = st.ip_addresses(v=4)
ADDRESSES = st.ip_addresses()
U16, U32 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)
KBITS = st.integers(0, 2**40 - 1).map(lambda one: one * 1000)
COUNTS = st.integers(0, 2**62)
SINGLE = {
    "cause": st.sampled_from(list(Cause)),
    "f_teid": st.one_of(
        st.tuples(U32, ADDRESSES).map(lambda one: Fteid(*one)),
        st.builds(Fteid, st.none(), st.none(), st.none() | st.integers(0, 255), st.booleans()),
    ),
    "f_seid": st.builds(Fseid, st.integers(0, 2**64 - 1), ADDRESSES),
    "node_id": st.one_of(ADDRESSES, st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,3}", fullmatch=True)),
    "network_instance": st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20}){0,3}", fullmatch=True),
    "ue_ip_address": st.builds(UeAddress, ADDRESSES, st.booleans()),
    "outer_header_creation": st.builds(OuterHeader, U32, ADDRESSES),
    "mbr": st.builds(Rates, KBITS, KBITS),
    "volume_measurement": st.builds(Volume, COUNTS, COUNTS, COUNTS, COUNTS),
    "precedence": U32,
    "pdr_id": U16,
    "qer_id": st.lists(U32, min_size=1, max_size=3),
    "qfi": st.integers(0, 63),
    "s_nssai": st.tuples(st.integers(0, 255), st.none() | st.integers(0, 0xFFFFFE)),
    "reporting_triggers": st.binary(max_size=4),
}
FLAT = st.fixed_dictionaries({}, optional=SINGLE)
NESTED = st.fixed_dictionaries(
    {}, optional={**SINGLE, "pdi": FLAT, "update_far": st.lists(FLAT, min_size=1, max_size=3)}
)


@given(st.sampled_from(list(Kind)), st.integers(0, 2**24 - 1), NESTED, st.none() | st.integers(0, 2**64 - 1))
def test_every_message_comes_back_as_it_was(kind, sequence, ies, seid):
    message = Message(kind, sequence, ies, seid)
    assert codec.decode(codec.encode(message)) == message


def test_rates_are_rounded_up_to_whole_kbits():
    message = Message(Kind.SESSION_MODIFICATION_REQUEST, 1, {"mbr": Rates(1, 1001)})
    assert codec.decode(codec.encode(message)).ies["mbr"] == Rates(1000, 2000)


def read_or_refused(data):
    """Whether bytes are a message, or refused with a cause that there is."""
    try:
        return codec.decode(data)
    except PfcpError as error:
        return error.cause in list(Cause)


@given(st.data())
def test_what_is_spoiled_is_read_or_refused(data):
    whole = bytearray(codec.encode(ESTABLISH))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, 8 * len(whole) - 1))
        whole[at // 8] ^= 1 << at % 8
    spoiled = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    codec.sequence_of(spoiled)
    assert read_or_refused(spoiled)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    assert read_or_refused(data)


def test_groups_are_not_followed_for_ever():
    inner = b""
    for _ in range(2000):
        inner = b"\0\2" + min(len(inner), 65535).to_bytes(2, "big") + inner[:65535]
    whole = b"\x20\x01" + (4 + len(inner)).to_bytes(2, "big") + b"\0\0\1\0" + inner
    with pytest.raises(PfcpError, match="groups in groups"):
        codec.decode(whole)


@pytest.mark.parametrize(
    ("data", "cause", "offending"),
    [
        ("40010004000001", Cause.REJECTED, 0),
        ("4001000400000100", Cause.REJECTED, 0),
        ("20ff000400000100", Cause.REJECTED, 0),
        ("2001000300000100", Cause.INVALID_LENGTH, 0),
        ("2001000a00000100001300", Cause.INVALID_LENGTH, 0),
        ("2001000800000100001300ff", Cause.INVALID_LENGTH, 19),
        ("20010008000001000013 0000", Cause.MANDATORY_INCORRECT, 19),
    ],
)
def test_causes(data, cause, offending):
    with pytest.raises(PfcpError) as refused:
        codec.decode(bytes.fromhex(data))
    assert (refused.value.cause, refused.value.offending) == (cause, offending)


def test_what_must_be_there_is_named():
    message = Message(Kind.ASSOCIATION_SETUP_REQUEST, 1, {"node_id": IPv6Address("::1")})
    assert codec.wanted(message, "node_id") == [IPv6Address("::1")]
    with pytest.raises(PfcpError, match="without recovery_time_stamp") as refused:
        codec.wanted(message, "node_id", "recovery_time_stamp")
    assert (refused.value.cause, refused.value.offending) == (Cause.MANDATORY_MISSING, 96)


def test_no_two_elements_have_the_same_number():
    assert len({one.number for one in ELEMENTS.values()}) == len(ELEMENTS)
