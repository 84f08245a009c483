"""The pages of docs/ say what is so: their examples load, their tables have every key."""

import re
from pathlib import Path
from typing import get_args

import pytest

from testbed.model.change import Change, ConfigurationStep, InterfaceStep, PinnedPair, SwitchStep
from testbed.model.core import Amf, Arp, Core, CoreSlice, Dnn, Gnb, Rates, Smf, Subscribers, Upf
from testbed.model.explain import keys_of
from testbed.model.impairment import GilbertElliott, Impairment
from testbed.model.load import loads
from testbed.model.profile import PROFILES, all_profiles, profile_names
from testbed.model.qos import DSCP
from testbed.model.slicing import Slice
from testbed.model.topology import Bridge, Endpoint, GuestOptions, Host, Link, LinkTrace, Router, Switch, Topology
from testbed.model.traces.generators import GENERATORS
from testbed.model.traces.spec import defaults
from testbed.model.traces.track import FIELDS
from testbed.model.traffic import Demands, Gravity, Traffic, TrafficFlow

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXPECTATIONS = get_args(get_args(Change.model_fields["expect"].annotation)[0].__origin__)


def blocks(page):
    return re.findall(r"^```yaml\n(.*?)^```", (DOCS / page).read_text(), re.S | re.M)


EXAMPLES = [
    (page, model, text)
    for page, model in [("topology.md", Topology), ("core.md", Topology), ("change.md", Change), ("load.md", Traffic)]
    for text in blocks(page)
]


def test_the_pages_have_examples():
    assert [page for page, _, _ in EXAMPLES] == ["topology.md"] * 3 + ["core.md"] + ["change.md"] * 3 + ["load.md"]


@pytest.mark.parametrize(("page", "model", "text"), EXAMPLES)
def test_an_example_loads(page, model, text):
    assert loads(text, model, DOCS / page).model_fields_set


@pytest.mark.parametrize(
    ("page", "models"),
    [
        (
            "topology.md",
            [
                Topology,
                Host,
                Router,
                Bridge,
                Switch,
                Link,
                LinkTrace,
                Endpoint,
                Impairment,
                GilbertElliott,
                GuestOptions,
                Slice,
            ],
        ),
        ("core.md", [Core, CoreSlice, Arp, Rates, Dnn, Amf, Smf, Upf, Gnb, Subscribers]),
        ("load.md", [Traffic, TrafficFlow, Demands, Gravity]),
        ("change.md", [Change, ConfigurationStep, InterfaceStep, SwitchStep, PinnedPair, *EXPECTATIONS]),
    ],
)
def test_every_key_is_explained(page, models):
    rows = "\n".join(re.findall(r"^\|.*\|$", (DOCS / page).read_text(), re.M))
    for model in models:
        for key in set(keys_of(model)) - {"kind"}:
            assert f"`{key}`" in rows, f"{model.__name__}.{key}"


def test_every_5qi_is_in_the_table_of_dscps():
    rows = re.findall(r"^\| ([^|]*) \| (\d+)(?: \(\w+\))? \|$", (DOCS / "core.md").read_text(), re.M)
    spans = [(one, int(dscp)) for text, dscp in rows for one in re.findall(r"(\d+)(?: to (\d+))?", text)]
    told = {key: dscp for (first, last), dscp in spans for key in range(int(first), int(last or first) + 1)}
    assert {key: told[key] for key in DSCP} == dict(DSCP)


def test_every_kind_of_expectation_is_explained_and_shown():
    text = (DOCS / "change.md").read_text()
    for model in EXPECTATIONS:
        (kind,) = get_args(model.model_fields["kind"].annotation)
        assert f"| `{kind}` |" in text
        assert f"kind: {kind}" in "".join(blocks("change.md"))


def test_every_profile_is_named():
    assert {path.stem for path in PROFILES.glob("*.yaml")} == set(profile_names())
    text = (DOCS / "profiles.md").read_text()
    assert [one.call for one in all_profiles() if f"| `{one.call}` | {one.about} |" not in text] == []


def test_every_generator_is_explained_with_its_defaults():
    text = (DOCS / "traces.md").read_text()
    for name, generator in GENERATORS.items():
        shown = ", ".join(f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in
                          defaults(generator).items())  # fmt: skip
        assert f"| `{name}({shown})` |".replace("1e+09", "1e9") in text


def test_every_field_of_a_trace_is_explained():
    rows = "\n".join(re.findall(r"^\|.*\|$", (DOCS / "traces.md").read_text(), re.M))
    assert [field for field in FIELDS if f"| `{field}` |" not in rows] == []


def test_every_default_is_as_the_table_says():
    text = (DOCS / "topology.md").read_text()
    for key, default in re.findall(r"^\| (?:\w+ \| )?`(\w+)` \|[^|]*\| `([^`]+)` \|", text, re.M):
        example = {
            "memory": GuestOptions, "guests": GuestOptions, "mtu": Link, "up": Link, "protocols": Router,
            "bad_loss": GilbertElliott, "good_loss": GilbertElliott, "stp": Bridge, "vlan_filtering": Bridge,
            "datapath": Switch, "controller": Switch, "openflow": Switch,
        }.get(key, Impairment)  # fmt: skip
        base = {
            Link: "endpoints: [a:b, c:d]\n", Router: "kind: router\n", GilbertElliott: "p: 1%\nr: 1%\n",
            Bridge: "kind: bridge\n", Switch: "kind: switch\n",
        }  # fmt: skip
        written = loads(f"{base.get(example, '')}{key}: {default}\n", example, "x") if example is not Link else None
        if written is not None:
            assert getattr(written, key) == example.model_fields[key].get_default(), key
        else:
            assert str(example.model_fields[key].get_default()).lower() == default
