"""Configuration of srsRAN 4G's srsenb, as an LTE cell or as an NR cell.

Keys and their meaning: srsenb/src/main.cc (enb.conf) and srsenb/src/enb_cfg_parser.cc (the rest) of srsRAN 4G, release
23.11 and later. Values of SIBs and bearers are those of TS 36.331, 6.3, in the units of its fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdr.stacks.carriers import CORESET0, Carrier
from sdr.stacks.checks import carrier_of
from sdr.stacks.model import Cell, Slice, Stacks
from sdr.stacks.ports import device_args_4g
from sdr.stacks.texts import Because, Settings, libconfig, sections

if TYPE_CHECKING:
    from sdr.broker.scenario import Radio

METRICS = "metrics.csv"
OUTPUT_GAIN = Because(0.01, "dB: samples go out as they are; 0 would be taken for not set")
INPUT_GAIN = Because(0, "dB: samples come in as they are; below 0 the gain would be searched for")
_SLICES = {1: "eMBB", 2: "URLLC", 3: "MIoT"}


def files(stacks: Stacks, name: str, radio: Radio, rate: float, number: int) -> dict[str, str]:
    """Return a cell's files by name.

    Args:
        rate: samples/s at the ports. number: of the cell in its network, from 1.
    """
    cell = stacks.cells[name]
    carrier = carrier_of(cell)
    return {
        "enb.conf": sections(_enb(stacks, name, radio, rate, number)),
        "rr.conf": libconfig(_rr(stacks, cell, carrier, number)),
        "sib.conf": libconfig(_sib(carrier)),
        "rb.conf": libconfig(_rb()),
    }


def _enb(stacks: Stacks, name: str, radio: Radio, rate: float, number: int) -> dict[str, Settings]:
    cell = stacks.cells[name]
    carrier, antennas = carrier_of(cell), len(radio.transmit)
    blocks = carrier.blocks if carrier.technology == "lte" else Because(50, "LTE's number for the NR cell's 52")
    return {
        "enb": {
            "enb_id": hex(number),
            "mcc": stacks.plmn[:3],
            "mnc": stacks.plmn[3:],
            "mme_addr": stacks.core,
            "gtp_bind_addr": cell.address,
            "s1c_bind_addr": cell.address,
            "n_prb": blocks,
            "nof_ports": antennas,
            "tm": Because(antennas, "transmission mode: 1 is of one antenna, 2 is transmit diversity of two"),
        },
        "enb_files": {"sib_config": "sib.conf", "rr_config": "rr.conf", "rb_config": "rb.conf"},
        "rf": {
            "device_name": "zmq",
            "device_args": device_args_4g(name, radio, rate),
            "tx_gain": OUTPUT_GAIN,
            "rx_gain": INPUT_GAIN,
        },
        "slicing": _slicing(stacks.slices),
        "log": {"filename": "enb.log", "all_level": "warning"},
        "pcap": {"enable": False},
        "expert": {
            "metrics_csv_enable": True,
            "metrics_csv_filename": METRICS,
            "metrics_period_secs": 1,
            "lte_sample_rates": Because(False, "11.52 and 23.04 MHz, not 15.36 and 30.72 MHz, as srsUE has it"),
        },
    }


def _slicing(slices: tuple[Slice, ...]) -> Settings:
    """srsenb has three slices, by their sst; the one of sst 1 is on where nothing is said."""
    has = {one.sst: one for one in slices}
    on = {f"enable_{name}": sst in has for sst, name in _SLICES.items()}
    return on | {f"{_SLICES[sst]}_sd": int(one.sd, 16) for sst, one in has.items() if sst in _SLICES and one.sd}


def _rr(stacks: Stacks, cell: Cell, carrier: Carrier, number: int) -> Settings:
    lte = carrier.technology == "lte"
    place = {"cell_id": number, "tac": stacks.tac, "pci": cell.pci}
    cell_lte = {**place, "dl_earfcn": carrier.down_number, "ul_earfcn": carrier.up_number, "ho_active": False}
    cell_nr: dict[str, Any] = {
        "rf_port": 0,
        **place,
        "root_seq_idx": 1,
        "dl_arfcn": Because(carrier.down_number, "without ul_arfcn: a right one is taken for one of another band"),
        "band": carrier.band,
    }
    if not lte:
        reason = "48 blocks wide and one symbol long: fits into 10 MHz"
        cell_nr["coreset0_idx"] = Because(CORESET0[carrier.bandwidth], reason)
    return {
        "mac_cnfg": {
            "phr_cnfg": {"dl_pathloss_change": "dB3", "periodic_phr_timer": 50, "prohibit_phr_timer": 0},
            "ulsch_cnfg": {"max_harq_tx": 4, "periodic_bsr_timer": 20, "retx_bsr_timer": 320},
            "time_alignment_timer": Because(-1, "never ends: the broker's paths do not drift"),
        },
        "phy_cnfg": {
            "phich_cnfg": {"duration": "Normal", "resources": "1/6"},
            "pusch_cnfg_ded": {"beta_offset_ack_idx": 6, "beta_offset_ri_idx": 6, "beta_offset_cqi_idx": 6},
            "sched_request_cnfg": {"dsr_trans_max": 64, "period": 20, "nof_prb": 1},
            "cqi_report_cnfg": {"mode": "periodic", "simultaneousAckCQI": True, "period": 40, "m_ri": 8},
        },
        "cell_list": [cell_lte] if lte else [],
        "nr_cell_list": [] if lte else [cell_nr],
    }


def _sib(carrier: Carrier) -> Settings:
    return {
        "sib1": {
            "intra_freq_reselection": "Allowed",
            "q_rx_lev_min": Because(-65, "in 2 dB: -130 dBm"),
            "cell_barred": "NotBarred",
            "si_window_length": 20,
            "sched_info": [{"si_periodicity": 16, "si_mapping_info": (3,)}],
            "system_info_value_tag": 0,
        },
        "sib2": _sib2(carrier),
        "sib3": {
            "cell_reselection_common": {"q_hyst": 2},
            "cell_reselection_serving": {"s_non_intra_search": 3, "thresh_serving_low": 2, "cell_resel_prio": 6},
            "intra_freq_reselection": {
                "q_rx_lev_min": -61,
                "p_max": 23,
                "s_intra_search": 5,
                "presence_ant_port_1": True,
                "neigh_cell_cnfg": 1,
                "t_resel_eutra": 1,
            },
        },
    }


def _sib2(carrier: Carrier) -> Settings:
    above_control = 0 if carrier.blocks == 6 else 4
    return {
        "rr_config_common_sib": {
            "rach_cnfg": {
                "num_ra_preambles": 52,
                "preamble_init_rx_target_pwr": -104,
                "pwr_ramping_step": 6,
                "preamble_trans_max": 10,
                "ra_resp_win_size": 10,
                "mac_con_res_timer": 64,
                "max_harq_msg3_tx": 4,
            },
            "bcch_cnfg": {"modification_period_coeff": 16},
            "pcch_cnfg": {"default_paging_cycle": 32, "nB": "1"},
            "prach_cnfg": {
                "root_sequence_index": 128,
                "prach_cnfg_info": {
                    "high_speed_flag": False,
                    "prach_config_index": 3,
                    "prach_freq_offset": Because(above_control, "blocks: besides the control channel"),
                    "zero_correlation_zone_config": 5,
                },
            },
            "pdsch_cnfg": {"p_b": 1, "rs_power": 0},
            "pusch_cnfg": _pusch(),
            "pucch_cnfg": {"delta_pucch_shift": 1, "n_rb_cqi": 1, "n_cs_an": 0, "n1_pucch_an": 12},
            "ul_pwr_ctrl": {
                "p0_nominal_pusch": -85,
                "alpha": 0.7,
                "p0_nominal_pucch": -107,
                "delta_flist_pucch": {"format_1": 0, "format_1b": 3, "format_2": 1, "format_2a": 2, "format_2b": 2},
                "delta_preamble_msg3": 6,
            },
            "ul_cp_length": "len1",
        },
        "ue_timers_and_constants": {"t300": 2000, "t301": 100, "t310": 200, "n310": 1, "t311": 10000, "n311": 1},
        "freqInfo": {"ul_carrier_freq_present": True, "ul_bw_present": True, "additional_spectrum_emission": 1},
        "time_alignment_timer": "INFINITY",
    }


def _pusch() -> Settings:
    signals = {
        "cyclic_shift": 0,
        "group_assignment_pusch": 0,
        "group_hopping_enabled": False,
        "sequence_hopping_enabled": False,
    }
    return {
        "n_sb": 1,
        "hopping_mode": "inter-subframe",
        "pusch_hopping_offset": 2,
        "enable_64_qam": False,
        "ul_rs": signals,
    }


def _rb() -> Settings:
    """Bearers of the qualities that cores give unasked: 7 (unacknowledged) and 9 (acknowledged)."""
    return {
        "qci_config": [_unacknowledged(), _acknowledged()],
        **{f"srb{number}_5g_config": {"rlc_config": _signalling()} for number in (1, 2)},
        "five_qi_config": [_unacknowledged_nr(), _acknowledged_nr()],
    }


def _channel(priority: int, group: int) -> Settings:
    return {
        "priority": priority,
        "prioritized_bit_rate": -1,
        "bucket_size_duration": 100,
        "log_chan_group": group,
    }


def _unacknowledged() -> Settings:
    return {
        "qci": 7,
        "pdcp_config": {"discard_timer": -1, "pdcp_sn_size": 12},
        "rlc_config": {"ul_um": {"sn_field_length": 10}, "dl_um": {"sn_field_length": 10, "t_reordering": 45}},
        "logical_channel_config": _channel(13, 2),
        "enb_specific": {"dl_max_retx_thresh": 32},
    }


def _acknowledged() -> Settings:
    up = {"t_poll_retx": 120, "poll_pdu": 64, "poll_byte": 750, "max_retx_thresh": 16}
    return {
        "qci": 9,
        "pdcp_config": {"discard_timer": 150, "status_report_required": True},
        "rlc_config": {"ul_am": up, "dl_am": {"t_reordering": 50, "t_status_prohibit": 50}},
        "logical_channel_config": _channel(11, 3),
        "enb_specific": {"dl_max_retx_thresh": 32},
    }


def _signalling() -> Settings:
    up = {"sn_field_len": 12, "t_poll_retx": 45, "poll_pdu": -1, "poll_byte": -1, "max_retx_thres": 8}
    return {"ul_am": up, "dl_am": {"sn_field_len": 12, "t_reassembly": 35, "t_status_prohibit": 10}}


def _pdcp_nr() -> Settings:
    bearer = {
        "pdcp_sn_size_ul": 18,
        "pdcp_sn_size_dl": 18,
        "discard_timer": 50,
        "integrity_protection": False,
        "status_report": False,
    }
    return {"drb": bearer, "t_reordering": 50}


def _unacknowledged_nr() -> Settings:
    both = {"ul_um": {"sn_field_len": 12}, "dl_um": {"sn_field_len": 12, "t_reassembly": 50}}
    return {"five_qi": 7, "pdcp_nr_config": _pdcp_nr(), "rlc_config": {"um_bi_dir": both}}


def _acknowledged_nr() -> Settings:
    up = {"sn_field_len": 12, "t_poll_retx": 50, "poll_pdu": 4, "poll_byte": 3000, "max_retx_thres": 4}
    both = {"ul_am": up, "dl_am": {"sn_field_len": 12, "t_reassembly": 50, "t_status_prohibit": 50}}
    return {"five_qi": 9, "pdcp_nr_config": _pdcp_nr(), "rlc_config": {"am": both}}
