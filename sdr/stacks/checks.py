"""Whether the programs of a scenario fit the radios, and each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sdr.stacks.carriers import MHZ, Carrier, Unfit, carrier
from sdr.stacks.model import Cell, Stacks, Ue
from testbed.errors import nearest
from testbed.model.base import Problem

if TYPE_CHECKING:
    from sdr.broker.scenario import Radio, Scenario

_SEARCH_RATE = 1_920_000
"""samples/s that srsUE looks for cells at, and that srsRAN Project's clock counts in."""
_MOST_PCI = {"srsran-project": 1007, "srsran-4g": 503, "srsran-4g-nr": 1007}
_SLICES_4G = (1, 2, 3)


def carrier_of(cell: Cell) -> Carrier:
    """Return a cell's carriers.

    Raises:
        Unfit: see `carrier`.
    """
    return carrier("lte" if cell.stack == "srsran-4g" else "nr", cell.band, cell.arfcn, cell.bandwidth)


def serving(stacks: Stacks, ue: Ue) -> Cell:
    """Return the cell that a UE is set up for; the scenario has been checked."""
    return stacks.cells[ue.cell] if ue.cell else next(iter(stacks.cells.values()))


def problems(scenario: Scenario) -> Iterator[Problem]:
    """Give everything wrong with a scenario's programs, by its place in the scenario."""
    if scenario.stacks is None:
        return
    for one in _problems(scenario, scenario.stacks):
        yield Problem(("stacks", *one.where), one.value, one.expected)


def _problems(scenario: Scenario, it: Stacks) -> Iterator[Problem]:
    yield from _unknown("cells", it.cells, scenario.cells, "cell")
    yield from _unknown("ues", it.ues, scenario.ues, "UE")
    for name, cell in it.cells.items():
        yield from _inside(("cells", name), _cell_problems(it, cell, scenario.cells.get(name), scenario.rate))
    for name, ue in it.ues.items():
        yield from _inside(("ues", name), _ue_problems(it, ue, scenario.ues.get(name)))
    yield from _cells_together(it)
    yield from _differ("ues", it.ues, "imsi")
    for name, value in _named(it.ues, "netns"):
        if it.ues[name].netns and len(name) > 11:
            yield Problem(("ues", name), value, "expected a name of at most 11 characters")


def _unknown(kind: str, ours: Mapping[str, Any], radios: Mapping[str, Any], what: str) -> Iterator[Problem]:
    for name in ours.keys() - radios.keys():
        yield Problem((kind, name), name, f"expected a {what} of this scenario{nearest(name, radios)}")


def _inside(where: tuple[str, ...], found: Iterator[Problem]) -> Iterator[Problem]:
    for one in found:
        yield Problem((*where, *one.where), one.value, one.expected)


def _cell_problems(it: Stacks, cell: Cell, radio: Radio | None, rate: float) -> Iterator[Problem]:
    if cell.pci > _MOST_PCI[cell.stack]:
        yield Problem(("pci",), cell.pci, f"expected at most {_MOST_PCI[cell.stack]}")
    if cell.stack == "srsran-4g" and it.tac > 0xFFFD:
        yield Problem(("stack",), cell.stack, f"expected a tac of at most {0xFFFD} for LTE; it is {it.tac}")
    try:
        found = carrier_of(cell)
    except Unfit as error:
        yield Problem((error.setting,), getattr(cell, error.setting), error.expected)
        return
    yield from _carrier_problems(cell, found, rate)
    if cell.stack == "srsran-4g-nr":
        yield from _problems_4g_nr(it, cell)
    if radio is not None:
        yield from _port_problems(cell.stack, radio)


def _carrier_problems(cell: Cell, found: Carrier, rate: float) -> Iterator[Problem]:
    if cell.uplink not in (None, found.up_number):
        yield Problem(("uplink",), cell.uplink, f"expected {found.up_number}: it follows from the downlink's")
    if rate % found.rate or rate % _SEARCH_RATE:
        wanted = f"{found.rate / MHZ:g} MHz or a multiple of it, of {_SEARCH_RATE / MHZ:g} MHz too"
        yield Problem(
            ("bandwidth",), cell.bandwidth, f"the scenario's rate is {rate / MHZ:g} MHz: with this expected {wanted}"
        )


def _problems_4g_nr(it: Stacks, cell: Cell) -> Iterator[Problem]:
    if cell.bandwidth != 10 * MHZ:
        yield Problem(("bandwidth",), cell.bandwidth, "expected 10MHz: srsenb has NR cells of no other width")
    for one in it.slices:
        if one.sst not in _SLICES_4G:
            yield Problem(
                ("stack",), cell.stack, f"expected slices of sst 1, 2 or 3 for srsenb; there is one of {one.sst}"
            )


def _ue_problems(it: Stacks, ue: Ue, radio: Radio | None) -> Iterator[Problem]:
    if not ue.imsi.startswith(it.plmn):
        yield Problem(("imsi",), ue.imsi, f"expected one that begins with the network's plmn, {it.plmn}")
    if radio is not None:
        yield from _port_problems("srsran-4g", radio)
    if ue.cell is None and len(it.cells) != 1:
        yield Problem(("imsi",), ue.imsi, f"expected a key 'cell' beside it: one of {', '.join(it.cells) or 'none'}")
    elif ue.cell is not None and ue.cell not in it.cells:
        yield Problem(("cell",), ue.cell, f"expected a cell of 'stacks'{nearest(ue.cell, it.cells)}")
    elif ue.slice is not None and serving(it, ue).stack == "srsran-4g":
        yield Problem(("slice",), str(ue.slice.sst), "expected none: LTE has no slices")
    if ue.slice is not None and ue.slice not in it.slices:
        yield Problem(("slice",), str(ue.slice.sst), "expected one of the network's slices")


def _cells_together(it: Stacks) -> Iterator[Problem]:
    """Through the broker every receiver hears all cells at once: they are on one frequency, whatever they are told."""
    yield from _differ("cells", it.cells, "pci")
    yield from _differ("cells", it.cells, "address")
    projects = {name: cell for name, cell in it.cells.items() if cell.stack == "srsran-project"}
    yield from _differ("cells", projects, "control")
    fit = list(_carriers(it))
    for name, found in fit[1:]:
        first, same = fit[0]
        if found.down != same.down:
            wanted = f"expected the frequency of {first}, {same.down / MHZ:g} MHz, not {found.down / MHZ:g} MHz"
            yield Problem(("cells", name, "arfcn"), found.down_number, f"{wanted}: the broker has one")


def _carriers(it: Stacks) -> Iterator[tuple[str, Carrier]]:
    for name, cell in it.cells.items():
        try:
            yield name, carrier_of(cell)
        except Unfit:  # told at the cell
            continue


def _named(ours: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    for name, one in ours.items():
        yield name, getattr(one, key)


def _differ(kind: str, ours: Mapping[str, Any], key: str) -> Iterator[Problem]:
    seen: dict[Any, str] = {}
    for name, value in _named(ours, key):
        if value in seen:
            yield Problem((kind, name, key), value, f"expected another than {seen[value]}'s")
        seen.setdefault(value, name)


def _port_problems(stack: str, radio: Radio) -> Iterator[Problem]:
    if radio.format != "fc32":
        yield Problem(("stack",), stack, "expected a radio of format fc32: srsRAN gives up after a frame of sc16")
    if len(radio.transmit) > (4 if stack == "srsran-project" else 2):
        yield Problem(("stack",), stack, f"expected fewer antennas than {len(radio.transmit)}")
    if stack == "srsran-4g-nr" and len(radio.transmit) > 1:
        yield Problem(("stack",), stack, "expected one antenna: srsenb's NR cell has no more")
    for _, address in radio.addresses():
        if stack == "srsran-project" and not re.fullmatch(r"tcp://[A-Za-z0-9_.*-]+:\d+", address):
            yield Problem(("stack",), stack, f"expected tcp:// and no IPv6 for srsRAN Project, not {address}")
        if "," in address:
            yield Problem(("stack",), stack, f"expected addresses without comma, not {address}")
    if stack == "srsran-project" and radio.style != "request":
        yield Problem(("stack",), stack, "expected a radio of style request: srsRAN Project has no other")
