"""An existing folder of Open5GS's configuration, read into the model of a core, so that the same checks tell.

What the files have and the model does not is listed, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from core5g.open5gs.keys import FUNCTIONS, wrong
from core5g.open5gs.names import dnn_keys, name_in, slice_name, slug_of
from core5g.open5gs.said import NODE
from testbed.errors import BadInput
from testbed.model.core import Core
from testbed.model.source import Place, Tree, parse_yaml, read_text, shown
from testbed.model.validated import validated

ANY_DNN = "any"
"""What a data network is called here that a session gives without a `dnn`: Open5GS then gives it for every name."""
MOST_UES = 1024  # MAX_NUM_OF_UE, where a file has no `global.max.ue`
_WIDEST = 256
"""Tracking areas in one range, as AMFs have them at most (maxnoofTACs)."""
_MTU = 1400  # self.mtu in src/smf/context.c
_TOLD = {
    "amf": {"ngap", "guami", "tai", "plmn_support", "amf_name"},
    "smf": {"pfcp", "session", "dns", "mtu", "info"},
    "upf": {"pfcp", "session"},
}
"""Keys whose meaning is in the model; of the rest it is said that it is not."""
_BESIDE = {"sbi", "metrics", "default", "gtpu", "gtpc"}
"""Where a function listens beside N2 and N4: of no concern to the core as a whole."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A core that was read, and what its files say beyond it (`file:line:column: where: what`)."""

    core: Core
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Function:
    """One function's section in a file."""

    name: str
    tree: Tree
    capacity: Tree


@dataclass(slots=True)
class _Reader:
    """What is gathered from all files."""

    found: dict[str, list[_Function]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    slices: dict[str, Tree] = field(default_factory=dict)

    def wrong(self, tree: Tree, expected: str) -> None:
        self.problems.append(f"{tree.place}: {tree.where}: {shown(tree)}{expected}")


def read(folder: Path) -> Reading:
    """Read all `*.yaml` and `*.yml` of a folder and of the folders in it; functions are known by their keys.

    Raises:
        BadInput: one line for each problem: a file that is no YAML, an unknown key, or what does not fit together.
    """
    paths = sorted(path for kind in ("*.yaml", "*.yml") for path in folder.rglob(kind))
    if not paths:
        raise BadInput(f"{folder}: expected a folder with Open5GS's configuration (amf.yaml, smf.yaml, ...)")
    return read_texts({str(path): read_text(path) for path in paths})


def read_texts(texts: dict[str, str]) -> Reading:
    """Read files that are given as text, by their path.

    Raises:
        BadInput: see `read`.
    """
    reader = _Reader()
    for path, text in texts.items():
        try:
            tree = parse_yaml(text, path)
        except BadInput as error:
            reader.problems += str(error).splitlines()
            continue
        if FUNCTIONS.keys() & tree.value.keys():
            reader.problems += wrong(tree)
            _sections(reader, tree, Path(path))
        else:
            reader.notes.append(f"{path}: no function of a 5G core; not read")
    lacking = [name for name in ("amf", "smf", "upf") if name not in reader.found]
    if not reader.problems and lacking:
        reader.problems.append(f"expected a file of each of amf, smf and upf; there is none of {', '.join(lacking)}")
    if reader.problems:
        raise BadInput("\n".join(reader.problems))
    return _core(reader)


def _sections(reader: _Reader, file: Tree, path: Path) -> None:
    capacity = _at(file, "global", "max", "ue") or replace(file, value=MOST_UES, text=None)
    for function in FUNCTIONS:
        tree = file.child(function)
        if tree is None or not isinstance(tree.value, dict):
            continue
        group = reader.found.setdefault(function, [])
        taken = [one.name for one in group]
        name = _text(_at(tree, "amf_name")) if function == "amf" else ""
        name = slug_of(name or name_in(function, path.stem), taken)
        group.append(_Function(name, tree, _number(reader, capacity)))
        _note(reader, function, tree)


def _note(reader: _Reader, function: str, tree: Tree) -> None:
    for key, child in tree.value.items():
        if key not in _TOLD.get(function, set()) | _BESIDE and child.value is not None:
            reader.notes.append(
                f"{child.key or child.place}: {child.where}: kept by Open5GS; not in the model of a core"
            )


# --- Values ----------------------------------------------------------------------------------------------------------


def _at(tree: Tree | None, *keys: str) -> Tree | None:
    """What is under keys; of a list its first item."""
    for key in keys:
        items = _items(tree)
        tree = items[0].child(key) if items else None
    return tree if tree is not None and tree.value is not None else None


def _items(tree: Tree | None) -> list[Tree]:
    """A list's items; anything else is one of itself."""
    if tree is None or tree.value is None:
        return []
    return [item for item in tree.value if item.value is not None] if isinstance(tree.value, list) else [tree]


def _text(tree: Tree | None) -> str:
    """A scalar as it was written: `mnc: 01` is two digits, as Open5GS reads it."""
    return (tree.text or "") if tree is not None else ""


def _as(tree: Tree, value: Any) -> Tree:
    """A value of ours at the place of theirs."""
    return replace(tree, value=value, text=tree.text if not isinstance(value, dict | list) else None)


def _number(reader: _Reader, tree: Tree) -> Tree:
    text = tree.text
    if text is None and isinstance(tree.value, int):
        return tree
    if text is None or not re.fullmatch("[0-9]{1,9}", text.strip()):
        reader.wrong(tree, "expected a whole number")
        return _as(tree, 0)
    return _as(tree, int(text))


def _numbers(reader: _Reader, trees: list[Tree]) -> list[Tree]:
    """Numbers and ranges, `1-9`."""
    result: list[Tree] = []
    for tree in trees:
        span = re.fullmatch(r"\s*([0-9]{1,8})\s*-\s*([0-9]{1,8})\s*", _text(tree))
        if span is None:
            result.append(_number(reader, tree))
        elif not 0 <= int(span[2]) - int(span[1]) < _WIDEST:
            reader.wrong(tree, f"expected a range upwards, of at most {_WIDEST}")
        else:
            result += [_as(tree, number) for number in range(int(span[1]), int(span[2]) + 1)]
    seen = {item.value: item for item in reversed(result)}
    return [seen[value] for value in sorted(seen)]


def _plmn(reader: _Reader, tree: Tree | None, within: Tree) -> Tree | None:
    mcc, mnc = _text(_at(tree, "mcc")), _text(_at(tree, "mnc"))
    if not re.fullmatch("[0-9]{1,3}", mcc) or not re.fullmatch("[0-9]{1,3}", mnc):
        reader.wrong(tree or within, "expected a plmn_id: an mcc of 3 digits and an mnc of 2 or 3")
        return None
    # As Open5GS: the country's digits are a number, the network's count.
    return _as(tree or within, f"{int(mcc):03d}{mnc.zfill(2)}")


def _slice(reader: _Reader, tree: Tree) -> Tree | None:
    """A slice's name; the slice itself is noted at the first place that has it."""
    sst, sd = _at(tree, "sst"), _at(tree, "sd")
    if sst is None or not re.fullmatch("[0-9]{1,3}", _text(sst)):
        reader.wrong(sst or tree, "expected an sst, 1 to 255")
        return None
    if sd is not None and not re.fullmatch("(0x)?[0-9A-Fa-f]{1,6}", _text(sd)):
        reader.wrong(sd, "expected an sd of six hexadecimal digits")
        return None
    digits = _text(sd).removeprefix("0x").lower().zfill(6) if sd is not None else None
    digits = None if digits == "ffffff" else digits  # TS 23.003, clause 28.4.2: no differentiator
    name = slice_name(int(_text(sst)), digits)
    known = {"sst": _as(sst, int(_text(sst)))} | ({"sd": _as(sd, digits)} if sd is not None and digits else {})
    reader.slices.setdefault(name, _as(tree, known))
    return _as(tree, name)


# --- The core --------------------------------------------------------------------------------------------------------


def _core(reader: _Reader) -> Reading:
    amfs, plmns = _amfs(reader)
    names = _dnn_names(reader)
    upfs = _upfs(reader, names)
    smfs, dnns, served = _smfs(reader, names, upfs)
    slices = {}
    for name, tree in reader.slices.items():
        told = served.get(name)
        dnn = list(told.values()) if told else [_as(tree, key) for key in dnns]
        slices[name] = _as(tree, {**tree.value, "dnns": _as(tree, sorted(dnn, key=lambda one: one.value))})
    top = Tree(None, Place(_file(reader), 1, 1))
    parts = {"plmns": list(plmns.values()), "slices": slices, "dnns": dnns, "amfs": amfs, "smfs": smfs, "upfs": upfs}
    top.value = {key: Tree(value, _first(value) or top.place, key) for key, value in parts.items()}
    return Reading(validated(top, Core, reader.problems), tuple(reader.notes))


def _file(reader: _Reader) -> str:
    return reader.found["amf"][0].tree.place.file


def _first(value: Any) -> Place | None:
    trees = list(value.values()) if isinstance(value, dict) else value
    return trees[0].place if trees else None


def _amfs(reader: _Reader) -> tuple[dict[str, Tree], dict[str, Tree]]:
    amfs: dict[str, Tree] = {}
    plmns: dict[str, Tree] = {}
    for one in reader.found["amf"]:
        own = _listed(_plmn(reader, item.child("plmn_id"), item) for item in _items(_at(one.tree, "guami")))
        plmns |= {name: tree for name, tree in own.items() if name not in plmns}
        identity = _at(one.tree, "guami", "amf_id")
        keys = {key: _number(reader, tree) for key in ("region", "set", "pointer") if (tree := _at(identity, key))}
        tacs = [tac for item in _items(_at(one.tree, "tai")) for tac in _items(item.child("tac"))]
        supported = [item for tree in _items(_at(one.tree, "plmn_support")) for item in _items(tree.child("s_nssai"))]
        slices = _listed(_slice(reader, item) for item in supported)
        keys |= _address(one.tree, "ngap")
        tree = {"node": _as(one.tree, NODE), "capacity": one.capacity, "region": _as(one.tree, 0), "set":
                _as(one.tree, 0), **keys, "tacs": _as(one.tree, _numbers(reader, tacs)),
                "slices": _as(one.tree, [slices[name] for name in sorted(slices)])}  # fmt: skip
        amfs[one.name] = _as(one.tree, tree)
    return amfs, plmns


def _listed(trees: Iterator[Tree | None]) -> dict[str, Tree]:
    """By value, each at its first place."""
    result: dict[str, Tree] = {}
    for tree in trees:
        if tree is not None:
            result.setdefault(tree.value, tree)
    return result


def _address(tree: Tree, key: str) -> dict[str, Tree]:
    """Where it listens, if that is an address: hosts' names are for a resolver that is not here."""
    address = next(iter(_items(_at(tree, key, "server", "address"))), None)
    return {"address": _as(address, _text(address))} if address is not None and _is_address(_text(address)) else {}


def _is_address(text: str) -> bool:
    return bool(re.fullmatch(r"[0-9.]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*", text))


def _dnn_of(session: Tree) -> str:
    return _text(_at(session, "dnn") or _at(session, "apn")) or ANY_DNN


def _dnn_names(reader: _Reader) -> dict[str, str]:
    sections = [*reader.found["smf"], *reader.found["upf"]]
    return dnn_keys({_dnn_of(item) for one in sections for item in _items(_at(one.tree, "session"))})


def _subnets(one: _Function, names: dict[str, str]) -> dict[str, list[Tree]]:
    """By data network, in the order of their text."""
    found: dict[str, dict[str, Tree]] = {}
    for item in _items(_at(one.tree, "session")):
        subnet = _at(item, "subnet") or item
        found.setdefault(names[_dnn_of(item)], {}).setdefault(_network(_text(subnet)), subnet)
    return {key: [_as(trees[text], text) for text in sorted(trees)] for key, trees in found.items()}


def _network(text: str) -> str:
    """`10.45.0.1/16` of files before 2.7 is the gateway and the network in one; Open5GS still reads it."""
    try:
        return str(ip_interface(text).network) if "/" in text else text
    except ValueError:
        return text


def _upfs(reader: _Reader, names: dict[str, str]) -> dict[str, Tree]:
    result = {}
    for one in reader.found["upf"]:
        dnns = {key: _as(trees[0], trees) for key, trees in _subnets(one, names).items()}
        keys = {"node": _as(one.tree, one.name), "capacity": one.capacity, "dnns": _as(one.tree, dnns)}
        result[one.name] = _as(one.tree, keys | _address(one.tree, "pfcp"))
    return result


def _smfs(
    reader: _Reader, names: dict[str, str], upfs: dict[str, Tree]
) -> tuple[dict[str, Tree], dict[str, Tree], dict[str, dict[str, Tree]]]:
    """The SMFs; the data networks as these have them; the data networks of each slice that an SMF names."""
    smfs: dict[str, Tree] = {}
    dnns: dict[str, Tree] = {}
    served: dict[str, dict[str, Tree]] = {}
    for one in reader.found["smf"]:
        subnets = _subnets(one, names)
        slices = _info(reader, one, names, served)
        used = _used(reader, one, names)
        tacs = _numbers(reader, [t for i in _items(_at(one.tree, "info")) for item in _items(i.child("tai"))
                                 for t in _items(item.child("tac"))])  # fmt: skip
        keys = {"node": _as(one.tree, NODE), "capacity": one.capacity, **_address(one.tree, "pfcp")}
        keys["upfs"] = _as(_at(one.tree, "pfcp") or one.tree, [used[name] for name in sorted(used)])
        keys["dnns"] = _as(one.tree, [_as(subnets[key][0], key) for key in sorted(subnets)])
        keys |= {"slices": _as(one.tree, [slices[name] for name in sorted(slices)])} if slices else {}
        keys |= {"tacs": _as(one.tree, tacs)} if tacs else {}
        smfs[one.name] = _as(one.tree, keys)
        _routed(reader, one, subnets, {name: upfs[name] for name in used})
        for key, trees in subnets.items():
            _gather(dnns, key, trees, _dnn(reader, one, key, names))
    return smfs, dnns, served


def _dnn(reader: _Reader, one: _Function, key: str, names: dict[str, str]) -> dict[str, Tree]:
    called = next(name for name, known in names.items() if known == key)
    dns, mtu = _at(one.tree, "dns"), _at(one.tree, "mtu")
    return {
        **({"name": _as(one.tree, called)} if called != key else {}),
        "dns": _as(dns or one.tree, [_as(item, _text(item)) for item in _items(dns)]),
        "mtu": _number(reader, mtu) if mtu else _as(one.tree, _MTU),
    }


def _gather(dnns: dict[str, Tree], key: str, trees: list[Tree], keys: dict[str, Tree]) -> None:
    """The subnets of all SMFs; the rest as the first has it."""
    whole = dnns.setdefault(key, _as(trees[0], {**keys, "subnets": _as(trees[0], [])}))
    known = whole.value["subnets"]
    merged = {item.value: item for item in (*known.value, *trees)}
    known.value = [merged[text] for text in sorted(merged)]


def _info(
    reader: _Reader, one: _Function, names: dict[str, str], served: dict[str, dict[str, Tree]]
) -> dict[str, Tree]:
    result: dict[str, Tree] = {}
    for item in (item for info in _items(_at(one.tree, "info")) for item in _items(info.child("s_nssai"))):
        name = _slice(reader, item)
        if name is None:
            continue
        result.setdefault(name.value, name)
        for dnn in _items(item.child("dnn")):
            key = names.get(_text(dnn), names.get(ANY_DNN))
            if key is None:
                reader.wrong(dnn, f"expected a dnn that has a `session` ({', '.join(names)})")
            else:
                served.setdefault(name.value, {}).setdefault(key, _as(dnn, key))
    return result


def _used(reader: _Reader, one: _Function, names: dict[str, str]) -> dict[str, Tree]:
    """The UPFs that an SMF talks to, by the address at which they listen."""
    where = {
        _text(address): upf.name
        for upf in reader.found["upf"]
        for key in ("address", "advertise")
        for server in _items(_at(upf.tree, "pfcp", "server"))
        for address in _items(server.child(key))
    }
    result: dict[str, Tree] = {}
    for peer in _items(_at(one.tree, "pfcp", "client", "upf")):
        address = _at(peer, "address")
        name = where.get(_text(next(iter(_items(address)), None)))
        if name is None:
            known = f"expected where a UPF of these files listens ({', '.join(where) or 'none says'})"
            reader.wrong(address or peer, known)
            continue
        result.setdefault(name, _as(address or peer, name))
        for tac in _items(peer.child("tac")):
            reader.notes.append(f"{tac.place}: {tac.where}: any session of this tracking area may go to {name}")
        for dnn in _items(peer.child("dnn") or peer.child("apn")):
            if _text(dnn) not in names and ANY_DNN not in names:
                reader.wrong(dnn, f"expected a dnn that has a `session` ({', '.join(names)})")
    return result


def _routed(reader: _Reader, one: _Function, subnets: dict[str, list[Tree]], upfs: dict[str, Tree]) -> None:
    """What an SMF gives, one of its UPFs has to have."""
    for key, trees in subnets.items():
        had = {
            item.value
            for upf in upfs.values()
            for dnn in (key, ANY_DNN)
            if (found := upf.value["dnns"].child(dnn)) is not None
            for item in found.value
        }
        for tree in trees:
            if tree.value not in had and upfs:
                expected = f"expected a subnet that a UPF of {one.name} has ({', '.join(sorted(had)) or 'none'})"
                reader.wrong(tree, expected)
