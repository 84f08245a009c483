"""What a network's core is to know: its subscribers, with their keys, and for srsEPC the rest, too."""

from __future__ import annotations

import json

from sdr.stacks.model import Slice, Stacks, Ue
from sdr.stacks.texts import Because, Settings, sections

AMF = "8000"
"""Authentication management field: the separation bit of TS 33.102, annex H, alone; srsUE has this value too."""
_QUALITY = 9  # QCI and 5QI of the default bearer (TS 23.203, table 6.1.7-A; TS 23.501, table 5.7.4-1)
_DATABASE = "user_db.csv"
_FIRST_SEQUENCE = "000000000000"


def files(stacks: Stacks) -> dict[str, str]:
    """Return the files by name: `user_db.csv` for srsEPC, `open5gs.json` for Open5GS's `subscribers` collection.

    With an LTE cell `epc.conf` as well, for srsEPC.
    """
    entries = [_open5gs(stacks, ue) for ue in stacks.ues.values()]
    lte = any(cell.stack == "srsran-4g" for cell in stacks.cells.values())
    return {
        **({"epc.conf": sections(_epc(stacks))} if lte else {}),
        _DATABASE: "".join(_srsepc(name, ue) for name, ue in stacks.ues.items()),
        "open5gs.json": json.dumps(entries, indent=2) + "\n",
    }


def _epc(stacks: Stacks) -> dict[str, Settings]:
    """Keys: srsepc/src/main.cc."""
    return {
        "mme": {
            "mme_code": "0x1a",
            "mme_group": "0x0001",
            "tac": hex(stacks.tac),
            "mcc": stacks.plmn[:3],
            "mnc": stacks.plmn[3:],
            "mme_bind_addr": stacks.core,
            "apn": stacks.apn,
        },
        "hss": {"db_file": _DATABASE},
        "spgw": {
            "gtpu_bind_addr": stacks.core,
            "sgi_if_addr": Because("172.16.0.1", "the UEs' network, 172.16.0.0/24, begins here"),
        },
        "log": {"filename": "epc.log", "all_level": "warning"},
    }


def _srsepc(name: str, ue: Ue) -> str:
    """Name, algorithm, IMSI, K, kind of operator code, code, AMF, SQN, QCI, address (srsepc/src/hss/hss.cc)."""
    k, opc = ue.k.get_secret_value(), ue.opc.get_secret_value()
    return ",".join([name, "mil", ue.imsi, k, "opc", opc, AMF, _FIRST_SEQUENCE, str(_QUALITY), "dynamic"]) + "\n"


def _open5gs(stacks: Stacks, ue: Ue) -> dict[str, object]:
    """The document that `open5gs-dbctl add` makes."""
    rate = {"value": 1, "unit": 3}  # 3: Gbit/s
    return {
        "schema_version": 1,
        "imsi": ue.imsi,
        "msisdn": [],
        "imeisv": [],
        "mme_host": [],
        "mm_realm": [],
        "purge_flag": [],
        "slice": [_slice(stacks, one, first=one == (ue.slice or stacks.slices[0])) for one in stacks.slices],
        "security": {
            "k": ue.k.get_secret_value(),
            "op": None,
            "opc": ue.opc.get_secret_value(),
            "amf": AMF,
        },
        "ambr": {"downlink": rate, "uplink": rate},
        "access_restriction_data": 32,
        "network_access_mode": 0,
        "subscribed_rau_tau_timer": 12,
        "subscriber_status": 0,
    }


def _slice(stacks: Stacks, one: Slice, first: bool) -> dict[str, object]:
    rate = {"value": 1, "unit": 3}
    pre_emption = {"priority_level": 8, "pre_emption_vulnerability": 1, "pre_emption_capability": 1}
    session = {
        "name": stacks.apn,
        "type": 1,  # IPv4, as the UEs ask for
        "qos": {"index": _QUALITY, "arp": pre_emption},
        "ambr": {"downlink": rate, "uplink": rate},
        "pcc_rule": [],
    }
    return {"sst": one.sst, **({"sd": one.sd} if one.sd else {}), "default_indicator": first, "session": [session]}
