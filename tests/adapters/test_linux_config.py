from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import linux_config
from testbed.errors import BadInput

names = st.sampled_from(["eth1", "eth2", "lo"])
numbers = st.integers(1, 4)
texts = st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), min_size=1, max_size=8)
lines = st.one_of(
    st.builds("link set dev {} mtu 1{}00".format, names, numbers),
    st.builds("link set dev {} {}".format, names, st.sampled_from(["up", "down"])),
    st.builds(lambda name, text: f"link set dev {name} alias {linux_config.quoted(text)}", names, texts),
    st.builds("address add 10.0.{}.1/30 dev {}".format, numbers, names),
    st.builds("route add 10.{}.0.0/16 via 10.0.{}.2".format, numbers, numbers),
    st.builds("route add default via 10.0.0.{} metric {}".format, numbers, numbers),
)


@st.composite
def configs(draw: st.DrawFn) -> linux_config.Config:
    config = linux_config.parse("\n".join(draw(st.lists(lines, max_size=8))))
    for name in ("eth1", "eth2", "lo"):  # a link always has a state and an MTU
        config.setdefault(("mtu", name), f"link set dev {name} mtu 1500")
        config.setdefault(("state", name), f"link set dev {name} up")
    return config


@given(configs(), configs())
def test_applying_the_difference_of_two_configurations_to_one_gives_the_other(
    old: linux_config.Config, new: linux_config.Config
) -> None:
    assert linux_config.apply(old, linux_config.difference(old, new)) == new


@given(configs())
def test_equal_configurations_have_no_difference(config: linux_config.Config) -> None:
    assert linux_config.difference(config, config) == ""


def test_routes_go_before_what_they_need_and_come_after_it() -> None:
    bare = linux_config.parse("link set dev eth1 down")
    full = linux_config.apply(
        bare, "link set dev eth1 up\naddress add 10.0.0.1/30 dev eth1\nroute add default via 10.0.0.2"
    )
    assert linux_config.difference(full, bare).splitlines() == [
        "route del default via 10.0.0.2",
        "address del 10.0.0.1/30 dev eth1",
        "link set dev eth1 down",
    ]
    assert linux_config.difference(bare, full).splitlines()[-1] == "route replace default via 10.0.0.2"


@pytest.mark.parametrize(
    "line",
    [
        "link delete eth1",
        "link set dev eth1 netns 5",
        "address flush dev eth1",
        "address add nonsense dev eth1",
        "route add 10.0.0.0/8 via 10.0.0.1 table 5",
        "route flush cache",
        "addr add 10.0.0.1/30",
        "reboot",
        'link set dev eth1 alias "unclosed',
    ],
)
def test_what_could_not_be_undone_is_refused(line: str) -> None:
    with pytest.raises(BadInput, match="accepted are"):
        linux_config.apply({}, line)
