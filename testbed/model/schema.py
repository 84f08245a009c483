"""JSON schemas of the files and of what the product writes, for editors and other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from testbed.errors import BadInput, nearest
from testbed.model.base import Model
from testbed.model.change import Change
from testbed.model.impairment import Impairment
from testbed.model.plan import Plan
from testbed.model.rack import Inventory
from testbed.model.topology import Topology
from testbed.model.traffic import Traffic
from testbed.model.verdict import Verdict

SCHEMAS: dict[str, type[Model]] = {
    "topology": Topology,
    "impairment": Impairment,
    "change": Change,
    "plan": Plan,
    "verdict": Verdict,
    "rack": Inventory,
    "load": Traffic,
}

_PATCH = {"description": "as Impairment, key by key over the profile", "$ref": "#/$defs/Impairment"}


def schema(name: str, more: Mapping[str, type[Model]] | None = None) -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a kind of file, with the short forms that YAML may use.

    Args:
        name: a key of `SCHEMAS` or of `more`. more: models of other packages.

    Raises:
        BadInput: no such kind; the message names the nearest.
    """
    known = {**SCHEMAS, **(more or {})}
    if name not in known:
        raise BadInput(f"no schema called {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    described = known[name].model_json_schema()
    _short_forms(described.get("$defs", {}))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"testbed:{name}", **described}


def _short_forms(definitions: dict[str, Any]) -> None:
    """What testbed.model.short writes out: nothing of it is in the models."""
    if "Link" in definitions:
        properties = definitions["Link"]["properties"]
        properties["impairment"] = {**_PATCH, "title": "Both directions"}
        trace = {"type": "string", "title": "Both directions", "examples": ["leo-pass(seed=1)", "csv:drive.csv"]}
        properties["trace"] = {"anyOf": [trace, *properties["trace"]["anyOf"]]}
        properties["profile"] = {"type": "string", "title": "Link profile", "description": "of netem_profiles"}
    if "Router" in definitions:
        described = {"type": "string", "title": "Configuration file", "description": "path beside this file"}
        definitions["Router"]["properties"]["config_file"] = described
    if "Endpoint" in definitions:
        written = {"type": "string", "pattern": "^[a-z0-9-]+:[A-Za-z][A-Za-z0-9_.-]*$", "examples": ["core1:eth0"]}
        definitions["Endpoint"] = {"anyOf": [written, definitions["Endpoint"]]}
