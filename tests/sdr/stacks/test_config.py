"""What is generated, read back with other parsers: all programs of a scenario fit together."""

import configparser
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from sdr.stacks import compose, plan
from sdr.stacks.carriers import LTE_BANDWIDTHS, Unfit, carrier
from sdr.stacks.model import Cell, Images, Slice, Stacks, Ue
from testbed.model.explain import keys_of
from tests.model.test_docs import DOCS, blocks
from tests.sdr.stacks.scenarios import LTE, NR, OPC, K, libconfig, scenario


def sections(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


def arguments(text):
    return dict(one.split("=", 1) for one in text.split(","))


def test_an_lte_cell_and_its_ue_fit_together():
    files = plan.files(scenario(LTE))
    enb, ue = sections(files["enb/enb.conf"]), sections(files["ue1/ue.conf"])
    cell, radio = libconfig(files["enb/rr.conf"])["cell_list"][0], arguments(enb["rf"]["device_args"])
    assert radio | {"id": ""} == {
        "tx_port": "tcp://127.0.0.1:2000", "rx_port": "tcp://127.0.0.1:2001", "id": "", "base_srate": "11520000",
    }  # fmt: skip
    there = arguments(ue["rf"]["device_args"])
    assert (there["tx_port"], there["rx_port"]) == ("tcp://127.0.0.1:2101", "tcp://127.0.0.1:2100")
    assert there["base_srate"] == radio["base_srate"]
    assert (cell["dl_earfcn"], cell["ul_earfcn"], cell["tac"]) == (3350, 21350, 7)
    assert ue["rat.eutra"]["dl_earfcn"] == "3350"
    assert (enb["enb"]["mcc"], enb["enb"]["mnc"], enb["enb"]["n_prb"]) == ("001", "01", "50")
    assert ue["usim"]["imsi"].startswith("00101")
    assert (ue["usim"]["k"], ue["usim"]["opc"]) == (K, OPC)
    epc = sections(files["core/epc.conf"])
    assert (epc["mme"]["mme_bind_addr"], enb["enb"]["mme_addr"]) == ("127.0.1.100", "127.0.1.100")
    assert (epc["mme"]["tac"], epc["mme"]["apn"]) == ("0x7", "internet")
    assert (epc["mme"]["mcc"], epc["mme"]["mnc"]) == ("001", "01")
    assert epc["hss"]["db_file"] == "user_db.csv"
    assert files["core/user_db.csv"] == f"ue1,mil,001010123456780,{K},opc,{OPC},8000,000000000000,9,dynamic\n"


def test_srsenb_finds_all_that_its_parsers_ask_for():
    files = plan.files(scenario(LTE))
    sib, rb = libconfig(files["enb/sib.conf"]), libconfig(files["enb/rb.conf"])
    assert sib["sib1"]["sched_info"] == [{"si_periodicity": 16, "si_mapping_info": [3]}]
    assert sib.keys() == {"sib1", "sib2", "sib3"}  # those that are scheduled, and no others
    assert [one["qci"] for one in rb["qci_config"]] == [7, 9]
    assert {"srb1_5g_config", "srb2_5g_config", "five_qi_config"} < rb.keys()  # asked for in LTE, too


@pytest.mark.parametrize(("bandwidth", "blocks"), [(size, it.blocks) for size, it in LTE_BANDWIDTHS.items()])
def test_random_access_lies_beside_the_control_channel_and_inside_the_cell(bandwidth, blocks):
    files = plan.files(scenario(LTE, ("10MHz", f"{bandwidth}Hz"), ("rate: 11.52MHz", "rate: 46.08MHz")))
    prach = libconfig(files["enb/sib.conf"])["sib2"]["rr_config_common_sib"]["prach_cnfg"]["prach_cnfg_info"]
    offset = prach["prach_freq_offset"]
    assert (offset == 0 and blocks == 6) or 1 <= offset <= blocks - 1 - 6


def test_an_nr_cell_and_its_ues_fit_together():
    files = plan.files(scenario(NR))
    gnb = YAML(typ="safe").load(files["gnb/gnb.yml"])
    ue1, ue2 = (sections(files[f"ue{number}/ue.conf"]) for number in (1, 2))
    assert arguments(gnb["ru_sdr"]["device_args"]) == {
        "tx_port": "tcp://127.0.0.1:2000", "rx_port": "tcp://127.0.0.1:2001",
    }  # fmt: skip
    assert gnb["ru_sdr"]["srate"] * 1e6 == int(ue1["rf"]["srate"]) == 11_520_000
    assert gnb["cell_cfg"]["dl_arfcn"] == int(ue1["rat.nr"]["dl_nr_arfcn"]) == 368500
    assert (ue1["rat.nr"]["ssb_nr_arfcn"], ue1["rat.nr"]["nof_prb"], ue1["rat.nr"]["bands"]) == ("368410", "52", "3")
    assert ue1["rat.eutra"]["nof_carriers"] == "0"
    assert gnb["cell_cfg"]["plmn"] == "00101"
    area = gnb["cu_cp"]["amf"]["supported_tracking_areas"][0]
    assert area["tac"] == gnb["cell_cfg"]["tac"] == 7
    assert area["plmn_list"] == [{"plmn": "00101", "tai_slice_support_list": [{"sst": 1}, {"sst": 2, "sd": 10}]}]
    assert dict(ue1["slicing"]) == {"enable": "true", "nssai-sst": "2", "nssai-sd": "10"}
    assert dict(ue2["slicing"]) == {"enable": "false"}
    assert gnb["cell_cfg"]["pdcch"]["common"] == {"ss0_index": 0, "coreset0_index": 6}
    assert gnb["cell_cfg"]["pdcch"]["dedicated"] == {"ss2_type": "common", "dci_format_0_1_and_1_1": False}
    assert "core/epc.conf" not in files
    first, second = json.loads(files["core/open5gs.json"])
    assert (first["imsi"], first["security"]["opc"], first["security"]["op"]) == ("001010123456780", OPC, None)
    assert [one["default_indicator"] for one in first["slice"]] == [False, True]
    assert [one["default_indicator"] for one in second["slice"]] == [True, False]


def test_srsenb_as_an_nr_cell():
    text = NR.replace("srsran-project", "srsran-4g-nr")
    rr = libconfig(plan.files(scenario(text))["gnb/rr.conf"])
    enb = sections(plan.files(scenario(text))["gnb/enb.conf"])
    assert rr["cell_list"] == []
    (cell,) = rr["nr_cell_list"]
    assert (cell["dl_arfcn"], cell["band"], cell["coreset0_idx"]) == (368500, 3, 6)
    assert "ul_arfcn" not in cell
    assert enb["enb"]["n_prb"] == "50"
    assert (enb["slicing"]["enable_urllc"], enb["slicing"]["urllc_sd"]) == ("true", "10")


def test_two_antennas_have_two_ports_each():
    two = ("2000", "2001"), ("2101", "2100")
    text = LTE
    for transmit, receive in two:
        text = text.replace(f"tcp://127.0.0.1:{transmit}", f"[tcp://127.0.0.1:{transmit}, tcp://127.0.0.1:3{transmit}]")
        text = text.replace(f"tcp://127.0.0.1:{receive}", f'[tcp://127.0.0.1:{receive}, "tcp://*:3{receive}"]')
    files = plan.files(scenario(text))
    enb = sections(files["enb/enb.conf"])
    assert (enb["enb"]["nof_ports"], enb["enb"]["tm"]) == ("2", "2")
    given = arguments(enb["rf"]["device_args"])
    assert given["tx_port1"] == "tcp://127.0.0.1:32000"
    assert given["rx_port1"] == "tcp://127.0.0.1:32001"
    assert sections(files["ue1/ue.conf"])["rf"]["nof_antennas"] == "2"


def test_ports_are_bound_by_number_and_ids_fit_their_buffer():
    long = "a-name-longer-than-fifteen"
    files = plan.files(scenario(LTE, ("enb:", f"{long}:"), ("tcp://127.0.0.1:2000", "tcp://cellhost:2000")))
    given = arguments(sections(files[f"{long}/enb.conf"])["rf"]["device_args"])
    assert given["tx_port"] == "tcp://*:2000"
    assert len(given["id"]) < 16


def number_in(pattern, text):
    found = re.search(pattern, text)
    assert found, text
    return int(found[1])


@given(st.sampled_from([1, 3, 5, 8, 20, 28, 71]), st.integers(0, 40), st.sampled_from([10e6, 20e6]))
def test_synchronisation_signals_are_on_the_cell_s_subcarriers_and_inside(band, step, bandwidth):
    with pytest.raises(Unfit) as refused:
        carrier("nr", band, 0, bandwidth)
    first = number_in("([0-9]+) to", refused.value.expected)
    try:
        found = carrier("nr", band, first + 20 * step, bandwidth)
    except Unfit as error:
        found = carrier("nr", band, number_in("(?:such as|Hz:) ([0-9]+)", error.expected), bandwidth)
    middle, lowest = found.sync * 5000, found.down - found.blocks * 90_000
    assert lowest + 1_800_000 <= middle <= found.down + found.blocks * 90_000 - 1_800_000
    assert (middle - lowest) % 15_000 == 0
    assert middle % 1_200_000 in (50_000, 150_000, 250_000)


def test_files_are_their_owners_alone(tmp_path):
    texts = plan.files(scenario(LTE))
    (tmp_path / "core").mkdir()
    (tmp_path / "core/user_db.csv").write_text("of before")
    (tmp_path / "core/user_db.csv").chmod(0o644)
    plan.write(tmp_path, texts)
    written = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert written.keys() == texts.keys()
    assert all(
        path.stat().st_mode & 0o777 == 0o600 and path.read_text() == texts[name] for name, path in written.items()
    )


def test_a_compose_file_has_a_service_for_each_radio_and_the_broker():
    read = YAML(typ="safe").load(compose.files(scenario(NR))[compose.NAME])
    assert read["services"].keys() == {"broker", "gnb", "ue1", "ue2"}
    assert read["services"]["ue1"]["command"] == ["srsue", "ue.conf"]
    assert read["services"]["ue1"]["devices"] == ["/dev/net/tun:/dev/net/tun"]
    for name, service in read["services"].items():
        assert service["network_mode"] == "host"
        assert re.fullmatch(r"[a-z0-9.-]+", service["image"])
        assert service["volumes"][0].startswith(f"./{name}")


def test_the_broker_s_scenario_has_no_keys():
    texts = compose.files(scenario(NR))
    assert not any(secret in text for text in texts.values() for secret in (K, OPC))
    there = scenario(texts["broker/scenario.yaml"])
    assert there.stacks is None
    assert there.ues == scenario(NR).ues


@pytest.mark.parametrize(
    ("given", "down", "up", "sync"),
    [  # numbers that srsRAN's own configuration and documentation have
        (("lte", 7, 3350, 10e6), 2680e6, 21350, 0),
        (("lte", 3, 1575, 5e6), 1842.5e6, 19575, 0),
        (("nr", 3, 368500, 10e6), 1842.5e6, 349500, 368410),
        (("nr", 3, 368500, 20e6), 1842.5e6, 349500, 368410),
    ],
)
def test_channel_numbers(given, down, up, sync):
    found = carrier(*given)
    assert (found.down, found.up_number, found.sync) == (down, up, sync)


def test_the_page_is_right():
    (text,) = blocks("radio-stacks.md")
    assert plan.files(scenario(text))
    page = (DOCS / "radio-stacks.md").read_text()
    assert all(f"`{key}`" in page for model in (Stacks, Cell, Ue, Slice, Images) for key in keys_of(model))
    files = [name.split("/")[1] for name in (*plan.files(scenario(LTE)), *plan.files(scenario(NR)))]
    assert all(f"`{name}`" in page or f"/{name}`" in page for name in files)
