"""Programs that do not fit their radios, or each other, are refused with file, line and column."""

import pytest

from testbed.errors import BadInput
from tests.sdr.stacks.scenarios import LTE, NR, OPC, K, scenario

TWO = NR.replace(
    "ues:\n  ue1: {t", "  gnb2: {transmit: tcp://127.0.0.1:2010, receive: tcp://127.0.0.1:2011}\nues:\n  ue1: {t", 1
)
TWO = TWO.replace("opc:", "cell: gnb, opc:").replace(
    "  ues:\n    ue1",
    "    gnb2: {stack: srsran-project, band: 3, arfcn: 368500, bandwidth: 10MHz, address: 10.53.1.3, pci: 2, "
    "control: 8002}\n  ues:\n    ue1",
)


@pytest.mark.parametrize(
    ("text", "old", "new", "said"),
    [
        (LTE, "arfcn: 3350", "arfcn: 3401", "s.yaml:9:45: stacks.cells.enb.arfcn: value '3401': expected a downlink "
            "EARFCN of band 7 for 10 MHz: 2800 to 3400"),
        (LTE, "band: 7", "band: 38", "stacks.cells.enb.band: value '38': expected an FDD band of LTE"),
        (LTE, "10MHz", "20MHz", "the scenario's rate is 11.52 MHz: with this expected 23.04 MHz or a multiple"),
        (LTE, "10MHz", "7MHz", "expected one of 1.4MHz, 3MHz, 5MHz, 10MHz, 15MHz, 20MHz"),
        (LTE, "10MHz", "10MHz, uplink: 21351", "uplink: value '21351': expected 21350"),
        (LTE, "10MHz", "10MHz, pci: 504", "expected at most 503"),
        (LTE, "core:", "tac: 0xfffe\n  core:", "expected a tac of at most 65533 for LTE"),
        (LTE, "core:", "plmn: 00101\n  core:", "stacks.plmn: value '00101': expected text: put it in quotes"),
        (LTE, "core:", 'plmn: "99970"\n  core:', "s.yaml:12:17: stacks.ues.ue1.imsi: value '001010123456780': expected "
            "one that begins with the network's plmn, 99970"),
        (LTE, "    enb: {st", "    enb2: {st", "did you mean 'enb'"),
        (LTE, "    ue1: {im", "    uw1: {im", "expected a UE of this scenario; did you mean 'ue1'"),
        (LTE, "opc:", "cell: eng, opc:", "expected a cell of 'stacks'; did you mean 'enb'"),
        (LTE, "opc:", "slice: {sst: 1}, opc:", "LTE has no slices"),
        (LTE, "receive: tcp://127.0.0.1:2001", "receive: tcp://127.0.0.1:2001, format: sc16", "radio of format fc32"),
        (LTE, "core: 127.0.1.100", "core: 127.0.1", "stacks.core: value '127.0.1': expected an IP address"),
        (NR, "arfcn: 368500", "arfcn: 368510", "expected one on the 100 kHz raster: 368500 or 368520"),
        (NR, "arfcn: 368500", "arfcn: 361980", "expected a downlink NR-ARFCN of band n3 for 10 MHz: 362000 to 375000"),
        (NR, "arfcn: 368500", "arfcn: 368600", "room for synchronisation signals and CORESET#0, such as 368620"),
        (NR, "10MHz", "5MHz", "expected one of 10MHz, 20MHz, which srsUE works with"),
        (NR, "tcp://127.0.0.1:2000", "ipc:///tmp/gnb", "expected tcp:// and no IPv6 for srsRAN Project"),
        (NR, "receive: tcp://127.0.0.1:2001", "receive: tcp://127.0.0.1:2001, style: publish", "style request"),
        (NR, 'slice: {sst: 2, sd: "00000a"}', "slice: {sst: 3}", "expected one of the network's slices"),
        (NR, 'sd: "00000a"}]', "sd: 10}]", "stacks.slices[1].sd: value '10': expected"),
        (NR, "456781", "456780", "stacks.ues.ue2.imsi: value '001010123456780': expected another than ue1's"),
        (TWO, "cell: gnb, opc:", "opc:", "expected a key 'cell' beside it: one of gnb, gnb2"),
        (TWO, "arfcn: 368500, bandwidth: 10MHz, address: 10.53.1.3", "arfcn: 368540, bandwidth: 10MHz, "
            "address: 10.53.1.3", "expected the frequency of gnb, 1842.5 MHz, not 1842.7 MHz: the broker has one"),
        (TWO, "10.53.1.3", "10.53.1.1", "cells.gnb2.address: value '10.53.1.1': expected another than gnb's"),
        (TWO, ", pci: 2", "", "cells.gnb2.pci: expected another than gnb's"),
        (TWO, ", control: 8002", "", "cells.gnb2.control: expected another than gnb's"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(text, old, new, said):
    with pytest.raises(BadInput) as refused:
        scenario(text, (old, new))
    assert said in str(refused.value)


@pytest.mark.parametrize("wrong", [f'"{K}0"', "00112233445566778899001122334455", '"secret"', "[secret]", "null"])
@pytest.mark.parametrize("key", ["k", "opc"])
def test_a_wrong_key_is_told_without_it(key, wrong):
    with pytest.raises(BadInput) as refused:
        scenario(LTE, (f'{key}: "{K if key == "k" else OPC}"', f"{key}: {wrong}"))
    assert f"stacks.ues.ue1.{key}: expected 32 hexadecimal digits" in str(refused.value)
    assert wrong.strip('"[]') not in str(refused.value)


def test_two_cells_that_fit():
    assert scenario(TWO).stacks


def test_keys_are_not_in_what_is_printed():
    shown = scenario(LTE)
    assert not any(secret in text for text in (repr(shown), shown.model_dump_json()) for secret in (K, OPC))
