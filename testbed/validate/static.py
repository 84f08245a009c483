"""Checks that run nothing: what is plainly wrong with a change is said before a twin is forked for it.

Each check reads the change and the mirrored topology and yields findings. A FAILED one refuses the change at once;
an INCONCLUSIVE one is a warning that the emulation is left to decide.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from ipaddress import ip_interface

from testbed.model.change import Change, Expectation, Loss, PathIs, Reachable, RoundTrip, SwitchStep, flow
from testbed.model.load import Written
from testbed.model.topology import Topology
from testbed.model.verdict import Outcome, StaticFinding
from testbed.validate import lines, places, prediction, references

Check = Callable[[Change, Topology], Iterator[StaticFinding]]


def check(change: Change, topology: Topology) -> tuple[StaticFinding, ...]:
    """Run every check.

    Args:
        change: as proposed. topology: as mirrored, with the devices' running configurations.

    Returns:
        The findings, in the order of `CHECKS`.

    Raises:
        BadInput: the change speaks of what the twin has not, see `testbed.validate.references`.
    """
    references.require([Written(change)], topology)
    topology = lines.with_addresses(topology)
    return tuple(finding for one in CHECKS for finding in one(change, topology))


def check_management(change: Change, topology: Topology) -> Iterator[StaticFinding]:
    """The management interface stays alone: the twin has no management network to try it on, and it is our way in."""
    for edit in lines.of_change(change):
        if lines.MANAGEMENT in lines.mentioned(edit) and edit.line:
            message = f"{edit.device}: {edit.line!r} touches the management interface, the only way to the device"
            yield _bad("management", message)


def check_addresses(change: Change, topology: Topology) -> Iterator[StaticFinding]:
    """No address may be on two interfaces once the change is in."""
    before, after = _users(topology, []), _users(topology, lines.of_change(change))
    for address, users in after.items():
        if len(users) > 1 and users != before.get(address):
            yield _bad("addresses", f"address {address} would be used twice: {' and '.join(sorted(users))}")


def _users(topology: Topology, edits: list[lines.Edit]) -> dict[str, set[str]]:
    users: dict[str, set[str]] = defaultdict(set)
    for (node, interface), port in lines.ports(topology, edits).items():
        for text in port.addresses:
            try:
                users[str(ip_interface(text).ip)].add(f"{node}:{interface}")
            except ValueError:
                continue  # not an address: the device itself will reject the line
    return users


def check_no_change(change: Change, topology: Topology) -> Iterator[StaticFinding]:
    """A change whose every line is in force already has nothing to try and nothing to send."""
    edits = [edit for edit in lines.of_change(change) if edit.line]
    present = {(e.device, e.context, e.line, e.negated) for e in lines.running(topology)}
    steers = any(isinstance(step, SwitchStep) for step in change.steps)
    if not steers and all(_in_force(edit, present, topology) for edit in edits):
        yield _bad("no-change", "the change changes nothing: the devices already have every one of its lines")


def _in_force(edit: lines.Edit, present: set[tuple[str, str, str, bool]], topology: Topology) -> bool:
    port = lines.ports(topology).get((edit.device, edit.interface or ""))
    if port is not None and edit.line.startswith("ip ospf cost ") and not edit.negated:
        return str(port.cost) == edit.line.split()[3]
    if port is not None and edit.line == "shutdown":
        return port.shut != edit.negated
    return (edit.device, edit.context, edit.line, edit.negated) in present


def check_cut_off(change: Change, topology: Topology) -> Iterator[StaticFinding]:
    """No device may lose its last link that carries packets, unless an expectation says it is to be unreachable."""
    before, after = prediction.graph(topology), prediction.graph(topology, lines.of_change(change))
    meant = {
        place for e in change.expect if isinstance(e, Reachable) and not e.reachable for place in _ends(e, topology)
    }
    for node in prediction.cut_off(topology, before, after):
        if node not in meant:
            yield _bad("cut-off", f"{node} would have no path left to the rest of the network")


def _ends(expectation: Reachable, topology: Topology) -> set[str]:
    owner = places.owner_of(topology, expectation.destination) or expectation.destination
    return {expectation.source, owner}


def check_bounds(change: Change, topology: Topology) -> Iterator[StaticFinding]:
    """A bound that nothing can meet is a mistake in the change file, not a property of the network."""
    for number, expectation in enumerate(change.expect, 1):
        if getattr(expectation, "below", None) == 0:
            hint = "0.1%" if isinstance(expectation, Loss) else "10ms"
            message = f"expectation {number} ({expectation.kind}): nothing is below 0; write a bound such as {hint}"
            yield _bad("bounds", message)


def check_prediction(change: Change, topology: Topology) -> Iterator[StaticFinding]:
    """What shortest paths over the new costs would break is a warning; the emulation decides."""
    edits = lines.of_change(change)
    if any(isinstance(step, SwitchStep) for step in change.steps):
        message = "not predicted, the emulation decides alone: switches are steered by more than costs"
        yield StaticFinding(check="prediction", outcome=Outcome.PASSED, message=message)
        return
    if unclear := lines.predictable(edits):
        message = f"not predicted, the emulation decides alone: {unclear[0]!r} is more than a cost or a shutdown"
        yield StaticFinding(check="prediction", outcome=Outcome.PASSED, message=message)
        return
    network = prediction.graph(topology, edits)
    for number, expectation in enumerate(change.expect, 1):
        if message := _foreseen(expectation, topology, network):
            text = f"expectation {number} ({expectation.kind}) is predicted not to hold: {message}"
            yield StaticFinding(check="prediction", outcome=Outcome.INCONCLUSIVE, message=text)


def _foreseen(expectation: Expectation, topology: Topology, network: prediction.nx.MultiDiGraph) -> str:
    """Return why shortest paths speak against an expectation, or an empty string."""
    ends = _nodes_of(expectation, topology)
    if ends is None:
        return ""
    foreseen = prediction.predict(topology, network, *ends)
    wanted = not isinstance(expectation, Reachable) or expectation.reachable
    if not foreseen.paths or not wanted:
        return "" if bool(foreseen.paths) == wanted else f"{'no' if wanted else 'a'} path from {ends[0]} to {ends[1]}"
    return _against(expectation, foreseen)


def _against(expectation: Expectation, foreseen: prediction.Predicted) -> str:
    wrong = list(_astray(expectation, foreseen)) if isinstance(expectation, PathIs) else []
    took = foreseen.round_trip or 0.0
    if isinstance(expectation, RoundTrip) and took >= expectation.below:
        wrong.append(f"and back takes {1e3 * took:.3g} ms by the links' delays alone")
    return f"{' > '.join(foreseen.paths[0])} {', '.join(wrong)}" if wrong else ""


def _astray(expectation: PathIs, foreseen: prediction.Predicted) -> Iterator[str]:
    passed = {node for path in foreseen.paths for node in path}
    yield from (f"does not pass {node}" for node in expectation.via if node not in passed)
    yield from (f"passes {node}" for node in expectation.avoid if node in passed)
    yield from (f"uses {link}" for link in expectation.avoid_links if link in foreseen.links)


def _nodes_of(expectation: Expectation, topology: Topology) -> tuple[str, str] | None:
    """Return source and destination node of an expectation about packets between two nodes, or None for another."""
    written = flow(expectation)
    if written is None:
        return None
    source, destination = written
    node = destination if destination in topology.nodes else places.owner_of(topology, destination)
    return None if node is None or source == node else (source, node)


def _bad(name: str, message: str) -> StaticFinding:
    return StaticFinding(check=name, outcome=Outcome.FAILED, message=message)


CHECKS: tuple[Check, ...] = (
    check_management,
    check_addresses,
    check_no_change,
    check_cut_off,
    check_bounds,
    check_prediction,
)
