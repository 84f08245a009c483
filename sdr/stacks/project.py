"""Configuration of srsRAN Project's gnb, a cell of NR that srsUE can attach to.

Keys: apps/units/**/*_cli11_schema.cpp of srsRAN Project, release 25.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdr.stacks.carriers import CORESET0, MHZ
from sdr.stacks.checks import carrier_of
from sdr.stacks.model import Cell, Slice, Stacks
from sdr.stacks.ports import device_args_project
from testbed.model.settings import Because, Settings, yaml

if TYPE_CHECKING:
    from sdr.broker.scenario import Radio


def files(stacks: Stacks, name: str, radio: Radio, rate: float, number: int) -> dict[str, str]:
    """Return a cell's files by name.

    Args:
        rate: samples/s at the ports. number: of the cell in its network, from 1.
    """
    cell = stacks.cells[name]
    return {
        "gnb.yml": yaml(
            {
                "gnb_id": number,
                "ran_node_name": name,
                "cu_cp": {"amf": _amf(stacks, cell)},
                "ru_sdr": _ru(radio, rate),
                "cell_cfg": _cell(stacks, cell, len(radio.transmit)),
                "log": {"filename": "gnb.log", "all_level": "warning"},
                "pcap": {"mac_enable": False, "ngap_enable": False},
                "metrics": {
                    "enable_json": Because(True, "without it nothing can be subscribed to"),
                    "layers": {"enable_sched": True},
                    "periodicity": {"du_report_period": 1000},
                },
                "remote_control": {"enabled": True, "bind_addr": "127.0.0.1", "port": cell.control},
            }
        )
    }


def _amf(stacks: Stacks, cell: Cell) -> Settings:
    slices = [_slice(one) for one in stacks.slices]
    network = {"plmn": stacks.plmn, "tai_slice_support_list": slices}
    return {
        "addr": stacks.core,
        "bind_addr": cell.address,
        "supported_tracking_areas": [{"tac": stacks.tac, "plmn_list": [network]}],
    }


def _slice(one: Slice) -> Settings:
    return {"sst": one.sst, **({"sd": int(one.sd, 16)} if one.sd else {})}


def _ru(radio: Radio, rate: float) -> Settings:
    return {
        "device_driver": "zmq",
        "device_args": device_args_project(radio),
        "srate": rate / MHZ,
        "tx_gain": Because(75, "dB; ZeroMQ has no gain, but a value must be given"),
        "rx_gain": 75,
    }


def _cell(stacks: Stacks, cell: Cell, antennas: int) -> Settings:
    carrier = carrier_of(cell)
    return {
        "dl_arfcn": carrier.down_number,
        "band": carrier.band,
        "channel_bandwidth_MHz": carrier.bandwidth // MHZ,
        "common_scs": Because(15, "kHz; srsUE attaches to FDD cells with 15 kHz"),
        "plmn": stacks.plmn,
        "tac": stacks.tac,
        "pci": cell.pci,
        "nof_antennas_dl": antennas,
        "nof_antennas_ul": antennas,
        "pdcch": _pdcch(carrier.bandwidth),
        "prach": {
            "prach_config_index": Because(1, "the one of those for FDD that srsUE is known to be heard with"),
            "total_nof_ra_preambles": Because(64, "all of them by chance: srsUE has no others"),
            # Not nof_ssb_per_ro: release 25.10 takes its 1 for a quarter, and ends; without it, it is 1.
            "nof_cb_preambles_per_ssb": 64,
        },
        "pdsch": {"mcs_table": Because("qam64", "srsUE has no 256-QAM table")},
        "pusch": {"mcs_table": "qam64"},
    }


def _pdcch(bandwidth: int) -> Settings:
    wide = Because(CORESET0[bandwidth], "one symbol, as wide as the cell allows; srsUE finds the cell's SIB1 there")
    return {
        "common": {"ss0_index": Because(0, "search space 0 in every frame's first slots"), "coreset0_index": wide},
        "dedicated": {
            "ss2_type": Because("common", "srsUE looks for its grants in a common search space"),
            "dci_format_0_1_and_1_1": Because(False, "so they are of formats 0_0 and 1_0"),
        },
    }
