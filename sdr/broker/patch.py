"""What may change in a scenario while samples go, as a JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sdr.broker.scenario import Radio, Scenario
from testbed.errors import BadInput
from testbed.model.explain import explain

_OF_SCENARIO = {"channels", "other", "carrier", "model", "exponent", "reference", "shadowing", "motion", "cells", "ues"}
_OF_RADIO = {"position", "velocity", "waypoints", "power", "full_scale", "receiver"}
_REFUSED = "{}: cannot change while samples go; restart the broker for it"


def patched(scenario: Scenario, patch: Mapping[str, Any]) -> Scenario:
    """Return the scenario with a patch applied.

    Args:
        patch: keys and values as in a scenario's file, quantities with their unit; null takes a key away. A pair that
            had the channel of its other direction gets one of its own, which begins as a copy.

    Raises:
        BadInput: what comes out is no scenario, or something changes that cannot while samples go; a line for each.
    """
    if "stacks" in patch:
        raise BadInput(_REFUSED.format("stacks"))
    tree = shown(scenario)
    for source, sinks in (patch.get("channels") or {}).items():
        for sink in sinks or {}:
            _write_out(scenario, tree, source, sink)
    try:
        changed = Scenario.model_validate(merged(tree, patch))
    except ValidationError as error:
        told = [explain(Scenario, one) for one in error.errors(include_url=False)]
        raise BadInput("\n".join(f"{'.'.join(map(str, one.path))}: {one.expected}" for one in told)) from None
    changed = changed.model_copy(update={"stacks": scenario.stacks})
    if refused := _fixed(scenario, changed):
        raise BadInput("\n".join(_REFUSED.format(key) for key in refused))
    return changed


def shown(scenario: Scenario) -> dict[str, Any]:
    """Return what is written in a scenario, as JSON has it; but for its programs, whose subscribers have keys."""
    return scenario.model_dump(mode="json", exclude_unset=True, exclude={"stacks"})


def _write_out(scenario: Scenario, tree: dict[str, Any], source: str, sink: str) -> None:
    """Write a pair's channel as it is in force, so that a patch changes it and does not begin at nothing."""
    in_force = {(one.source, one.sink): one.pair for one in scenario.directions()}
    if (source, sink) in in_force:
        written = tree.setdefault("channels", {}).setdefault(source, {})
        written.setdefault(sink, in_force[source, sink].model_dump(mode="json", exclude_unset=True))


def merged(target: Any, patch: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396, clause 2)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _fixed(before: Scenario, after: Scenario) -> list[str]:
    """Return what has changed and may not."""
    found = [key for key in Scenario.model_fields if key not in _OF_SCENARIO and _differs(before, after, key)]
    for kind in ("cells", "ues"):
        was, now = getattr(before, kind), getattr(after, kind)
        found += [f"{kind}.{name}" for name in was.keys() ^ now.keys()]
        for name in was.keys() & now.keys():
            keys = (key for key in Radio.model_fields if key not in _OF_RADIO)
            found += [f"{kind}.{name}.{key}" for key in keys if _differs(was[name], now[name], key)]
    return found


def _differs(before: object, after: object, key: str) -> bool:
    return getattr(before, key) != getattr(after, key)
