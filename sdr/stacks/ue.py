"""Configuration of srsRAN 4G's srsUE, in LTE or NR (standalone) mode. Keys: srsue/src/main.cc of srsRAN 4G."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdr.stacks.carriers import Carrier
from sdr.stacks.checks import carrier_of, serving
from sdr.stacks.enb import INPUT_GAIN, METRICS, OUTPUT_GAIN
from sdr.stacks.model import Stacks, Ue
from sdr.stacks.ports import device_args_4g
from sdr.stacks.texts import Because, Settings, sections

if TYPE_CHECKING:
    from sdr.broker.scenario import Radio


def files(stacks: Stacks, name: str, radio: Radio, rate: float, number: int) -> dict[str, str]:
    """Return a UE's files by name. They hold its keys.

    Args:
        rate: samples/s at the ports. number: of the UE in its network, from 1.
    """
    ue = stacks.ues[name]
    carrier = carrier_of(serving(stacks, ue))
    return {
        "ue.conf": sections(
            {
                "rf": _rf(name, radio, rate, carrier),
                **(_lte(carrier) if carrier.technology == "lte" else _nr(carrier, ue)),
                "usim": _sim(ue, number),
                "nas": {"apn": stacks.apn, "apn_protocol": "ipv4"},
                "gw": {"ip_devname": interface(name), **({"netns": ue.netns} if ue.netns else {})},
                "log": {"filename": "ue.log", "all_level": "warning"},
                "pcap": {"enable": "none"},
                "general": {
                    "metrics_csv_enable": True,
                    "metrics_csv_filename": METRICS,
                    "metrics_csv_flush_period_sec": 1,
                    "metrics_period_secs": 1,
                },
            }
        )
    }


def interface(name: str) -> str:
    """Return the name of a UE's network interface: its own, for those of one machine to differ."""
    return f"tun_{name}"[:15]


def _rf(name: str, radio: Radio, rate: float, carrier: Carrier) -> Settings:
    fixed = {"srate": Because(carrier.rate, "the NR cell's own; NR mode does not find it out")}
    return {
        "device_name": "zmq",
        "device_args": device_args_4g(name, radio, rate),
        "nof_antennas": len(radio.transmit),
        **(fixed if carrier.technology == "nr" else {}),
        "tx_gain": OUTPUT_GAIN,
        "rx_gain": INPUT_GAIN,
    }


def _lte(carrier: Carrier) -> dict[str, Settings]:
    return {
        "rat.eutra": {"dl_earfcn": carrier.down_number, "ul_earfcn": carrier.up_number, "nof_carriers": 1},
        "rat.nr": {"nof_carriers": 0},
        "expert": {"lte_sample_rates": False},
    }


def _nr(carrier: Carrier, ue: Ue) -> dict[str, Settings]:
    return {
        "rat.eutra": {"nof_carriers": Because(0, "no LTE beside NR: standalone")},
        "rat.nr": {
            "bands": carrier.band,
            "nof_carriers": 1,
            "max_nof_prb": carrier.blocks,
            "nof_prb": carrier.blocks,
            "dl_nr_arfcn": carrier.down_number,
            "ssb_nr_arfcn": Because(carrier.sync, "looked for here only: where the gNB derives it to be"),
            "scs": 15,
            "ssb_scs": 15,
        },
        "rrc": {"release": Because(15, "the first with NR"), "ue_category": 4},
        "slicing": _slicing(ue),
    }


def _slicing(ue: Ue) -> Settings:
    """A differentiator of 0 is none: srsUE sends the sst alone then."""
    if ue.slice is None:
        return {"enable": False}
    return {
        "enable": True,
        "nssai-sst": ue.slice.sst,
        "nssai-sd": int(ue.slice.sd or "0", 16),
    }


def _sim(ue: Ue, number: int) -> Settings:
    return {
        "mode": "soft",
        "algo": "milenage",
        "imsi": ue.imsi,
        "k": ue.k.get_secret_value(),
        "opc": ue.opc.get_secret_value(),
        "imei": f"3534900698{number:05d}",
    }
