import json
import re

import pytest

from testbed.errors import BadInput
from testbed.model.schema import SCHEMAS, schema


def test_every_part_of_the_model_has_a_schema():
    assert set(SCHEMAS) == {"topology", "load", "impairment", "change", "plan", "verdict", "rack"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_json_and_every_reference_leads_somewhere(name):
    described = schema(name)
    text = json.dumps(described)
    references = set(re.findall(r'"#/\$defs/(\w+)"', text))
    assert references <= set(described.get("$defs", {}))
    assert described["$schema"].endswith("2020-12/schema")


def objects(value):
    if isinstance(value, dict):
        yield from [value] if "properties" in value else []
        for child in value.values():
            yield from objects(child)
    elif isinstance(value, list):
        for child in value:
            yield from objects(child)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_refuses_unknown_keys_everywhere(name):
    found = list(objects(schema(name)))
    assert found
    assert all(one["additionalProperties"] is False for one in found)


def test_the_short_forms_of_files_are_in_the_schema():
    definitions = schema("topology")["$defs"]
    assert {"impairment", "profile"} <= set(definitions["Link"]["properties"])
    assert "config_file" in definitions["Router"]["properties"]
    assert re.search(definitions["Endpoint"]["anyOf"][0]["pattern"], "core1:eth0")


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("delay", ["10ms", "4.9 us", "0s"], ["10", "10 parsecs", "ms"]),
        ("loss", ["0.1%", "1e-3%"], ["0.1", "1 percent"]),
    ],
)
def test_quantities_are_text_with_a_unit(key, good, bad):
    pattern = schema("impairment")["properties"][key]["anyOf"][0]["pattern"]
    assert all(re.search(pattern, text) for text in good)
    assert not any(re.search(pattern, text) for text in bad)


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(BadInput, match="no schema called 'topolgy'; did you mean 'topology'"):
        schema("topolgy")
