"""Open5GS's configuration files, made from a topology's core.

Keys: `src/*/context.c` and `lib/*/context.c` of Open5GS 2.7.7 and 2.8.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from core5g.open5gs import limits
from core5g.open5gs.names import METRICS_PORT, SBI, SBI_PORT, VERSIONS, file_of, sbi
from testbed.errors import BadInput, nearest
from testbed.model.core import Amf, Core, CoreSlice, Smf, Upf
from testbed.model.core_places import address_of
from testbed.model.load import Written
from testbed.model.settings import Because, Settings, yaml
from testbed.model.topology import Topology

DATABASE = "mongodb://127.0.0.1/open5gs"
_UPF_METRICS = "127.0.0.7"


@dataclass(frozen=True, slots=True)
class _Network:
    """A checked topology with a core."""

    topology: Topology
    core: Core
    database: str

    def address(self, part: str, name: str) -> str:
        return address_of(self.topology, part, name)


def files(written: Written[Topology], version: str = VERSIONS[0], database: str = DATABASE) -> dict[str, str]:
    """Return the configuration files by name, the same bytes for the same topology.

    Args:
        written: a topology with a core. version: "2.7" or "2.8". database: where UDR and PCF find the subscribers.

    Raises:
        BadInput: no core, an unknown version, or what Open5GS cannot do, with places.
    """
    topology, core = written.model, written.model.core
    if version not in VERSIONS:
        raise BadInput(f"no Open5GS {version!r} here{nearest(version, VERSIONS)} (known: {', '.join(VERSIONS)})")
    if core is None:
        raise BadInput(f"{topology.name}: expected a topology with a key `core`")
    if told := [written.tell(problem) for problem in limits.problems(core)]:
        raise BadInput("\n".join(told))
    network = _Network(topology, core, database)
    return {
        file: yaml(settings, f"{file} of {topology.name}, for Open5GS {version}") for file, settings in _files(network)
    }


def _files(it: _Network) -> Iterator[tuple[str, Settings]]:
    for index, (name, amf) in enumerate(it.core.amfs.items()):
        yield file_of("amf", name), _top(amf.capacity) | {"amf": _amf(it, index, name, amf)}
    for index, (name, smf) in enumerate(it.core.smfs.items()):
        yield file_of("smf", name), _top(smf.capacity) | {"smf": _smf(it, index, name, smf)}
    for name, upf in it.core.upfs.items():
        yield file_of("upf", name), _top(upf.capacity) | {"upf": _upf(it, name, upf)}
    most = sum(amf.capacity for amf in it.core.amfs.values())
    for function, settings in _OTHERS.items():
        database = {"db_uri": it.database} if function in ("udr", "pcf") else {}
        yield f"{function}.yaml", database | _top(most) | {function: settings(it)}


def _top(capacity: int) -> dict[str, Any]:
    why = "no file: what is logged goes to standard error, for whoever starts it"
    return {"logger": {"level": Because("info", why)}, "global": {"max": {"ue": capacity}}}


def _amf(it: _Network, index: int, name: str, amf: Amf) -> Settings:
    core, plmns = it.core, [_plmn(plmn) for plmn in it.core.plmns]
    identity = {"region": amf.region, "set": amf.set, "pointer": amf.pointer}
    slices = [_s_nssai(core.slices[one]) for one in core.slices_of(amf)]
    return {
        "sbi": _sbi(sbi("amf", index)),
        "ngap": {"server": [{"address": it.address("amfs", name)}]},
        "metrics": _metrics(sbi("amf", index)),
        "guami": [{"plmn_id": plmn, "amf_id": identity} for plmn in plmns],
        "tai": [{"plmn_id": plmn, "tac": list(amf.tacs)} for plmn in plmns],
        "plmn_support": [{"plmn_id": plmn, "s_nssai": slices} for plmn in plmns],
        "security": {
            "integrity_order": Because(["NIA2", "NIA1"], "without NIA0, which protects nothing"),
            "ciphering_order": ["NEA2", "NEA1", "NEA0"],
        },
        "network_name": {"full": it.topology.name},
        "amf_name": name,
        "time": {"t3512": {"value": Because(540, "the AMF does not start without it")}},
    }


def _smf(it: _Network, index: int, name: str, smf: Smf) -> Settings:
    core, address, dnns = it.core, it.address("smfs", name), it.core.dnns_of(smf)
    first = core.dnns[dnns[0]]
    return {
        "sbi": _sbi(sbi("smf", index)),
        "pfcp": {
            "server": [{"address": address}],
            "client": {"upf": [_client(it, upf, dnns) for upf in smf.upfs]},
        },
        "gtpc": {"server": [{"address": sbi("smf", index)}]},
        "gtpu": {"server": [{"address": Because(address, "for IPv6 router advertisements, through the UPF")}]},
        "metrics": _metrics(sbi("smf", index)),
        "session": [part for upf in smf.upfs for part in _sessions(core, core.upfs[upf], dnns)],
        "dns": list(first.dns),
        "mtu": Because(first.mtu, "no freeDiameter: without it the SMF asks no PCRF and no charging function"),
        "info": [_info(core, smf, dnns)],
    }


def _client(it: _Network, upf: str, dnns: tuple[str, ...]) -> Settings:
    names = [it.core.dnn_name(dnn) for dnn in it.core.upfs[upf].dnns if dnn in dnns]
    return {"address": it.address("upfs", upf), "dnn": names}


def _info(core: Core, smf: Smf, dnns: tuple[str, ...]) -> Settings:
    """What an AMF chooses its SMF by."""
    slices = [
        _s_nssai(one) | {"dnn": [core.dnn_name(dnn) for dnn in one.dnns if dnn in dnns]}
        for one in (core.slices[name] for name in core.slices_of(smf))
        if set(one.dnns) & set(dnns)
    ]
    tais = [{"plmn_id": _plmn(plmn), "tac": list(smf.tacs)} for plmn in core.plmns] if smf.tacs else []
    return {"s_nssai": slices, **({"tai": tais} if tais else {})}


def _upf(it: _Network, name: str, upf: Upf) -> Settings:
    address = it.address("upfs", name)
    return {
        "pfcp": {"server": [{"address": address}]},
        "gtpu": {"server": [{"address": address}]},
        "session": list(_sessions(it.core, upf, tuple(upf.dnns))),
        "metrics": _metrics(_UPF_METRICS),
    }


def _sessions(core: Core, upf: Upf, dnns: tuple[str, ...]) -> Iterator[Settings]:
    for dnn in (dnn for dnn in upf.dnns if dnn in dnns):
        for subnet in core.subnets_of(upf, dnn):
            gateway = str(ip_network(subnet)[1])
            yield {"subnet": subnet, "gateway": gateway, "dnn": core.dnn_name(dnn)}


def _plmn(plmn: str) -> Settings:
    return {"mcc": plmn[:3], "mnc": plmn[3:]}


def _s_nssai(one: CoreSlice) -> dict[str, Any]:
    return {"sst": one.sst, **({"sd": one.sd} if one.sd is not None else {})}


def _metrics(address: str) -> Settings:
    return {"server": [{"address": address, "port": METRICS_PORT}]}


def _sbi(address: str, client: str = "scp") -> dict[str, Any]:
    return {
        "server": [{"address": address, "port": SBI_PORT}],
        "client": {client: [{"uri": _uri(client)}]},
    }


def _uri(function: str) -> str:
    return f"http://{SBI[function]}:{SBI_PORT}"


def _nrf(it: _Network) -> Settings:
    serving = [{"plmn_id": _plmn(plmn)} for plmn in it.core.plmns]
    return {"serving": serving, "sbi": {"server": [{"address": SBI["nrf"], "port": SBI_PORT}]}}


def _nssf(it: _Network) -> Settings:
    """Each slice is one network slice instance, which the one NRF knows."""
    settings = _sbi(SBI["nssf"])
    instances = [{"uri": _uri("nrf"), "s_nssai": _s_nssai(one)} for one in it.core.slices.values()]
    settings["client"]["nsi"] = instances
    return {"sbi": settings}


def _udm(it: _Network) -> Settings:
    """No `hnet`: there are no keys to uncover a concealed SUPI, so UEs use the null scheme (TS 33.501, annex C.2)."""
    return {"sbi": _sbi(SBI["udm"])}


def _pcf(it: _Network) -> Settings:
    """No `policy`: a slice's quality is in its subscribers' records, which the PCF asks when it has none of its own."""
    return {"sbi": _sbi(SBI["pcf"]), "metrics": _metrics(SBI["pcf"])}


_OTHERS: dict[str, Callable[[_Network], Settings]] = {
    "nrf": _nrf,
    "scp": lambda it: {"sbi": _sbi(SBI["scp"], "nrf")},
    "ausf": lambda it: {"sbi": _sbi(SBI["ausf"])},
    "udm": _udm,
    "udr": lambda it: {"sbi": _sbi(SBI["udr"])},
    "pcf": _pcf,
    "nssf": _nssf,
    "bsf": lambda it: {"sbi": _sbi(SBI["bsf"])},
}
