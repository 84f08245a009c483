"""What a change names must be in the twin: told with the place in the file, before anything starts."""

import pytest

from testbed.errors import BadInput
from testbed.model.load import written_change
from testbed.validate import references
from tests.report.samples import square

SOUND = """\
name: a-change
steps:
  - {device: r1, interface: eth1, cost: 100}
  - device: r4
    configuration: |
      interface lo
       ip address 10.9.9.9/32
      exit
      router ospf
       passive-interface eth2
expect:
  - {kind: path, source: r1, destination: r3, via: [r2], avoid: [r4], avoid_links: [r4-r1]}
  - {kind: reachable, source: r1, destination: 10.9.9.9}
  - {kind: adjacency, device: r1, neighbour: r2}
  - {kind: nothing-else-changed, except_prefixes: [10.9.9.9/32, 10.0.1.0/24]}
"""


def told(tmp_path, text):
    file = tmp_path / "change.yaml"
    file.write_text(text)
    with pytest.raises(BadInput) as caught:
        references.require([written_change(file)], square())
    return str(caught.value).replace(f"{file}:", "").splitlines()


def test_a_sound_change_is_not_refused(tmp_path):
    file = tmp_path / "change.yaml"
    file.write_text(SOUND)
    references.require([written_change(file)], square())


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("r1, interface", "r11, interface", "3:14: steps[0].device", "'r11': expected a router of the twin"),
        ("interface: eth1", "interface: eth9", "3:29: steps[0].interface", "an interface of r1 (eth1, eth2, lo)"),
        ("passive-interface eth2", "passive-interface eht2", "10:26: steps[1].configuration", "did you mean 'eth2'"),
        ("interface lo", "interface l0", "6:17: steps[1].configuration", "'l0': expected an interface of r4"),
        ("source: r1, destination: r3", "source: r0, destination: r3", "12:26: expect[0].source", "can send"),
        ("destination: r3", "destination: r33", "12:43: expect[0].destination", "did you mean 'r3'"),
        ("via: [r2]", "via: [r22]", "12:53: expect[0].via[0]", "'r22': expected a node of the twin"),
        ("avoid: [r4]", "avoid: [r44]", "12:66: expect[0].avoid[0]", "did you mean 'r4'"),
        ("avoid: [r4]", "avoid: [r2]", "12:66: expect[0].avoid[0]", "that `via` does not ask for"),
        ("via: [r2]", "via: [r1]", "12:53: expect[0].via[0]", "the source is on every path"),
        ("[r4-r1]", "[r1-r4]", "12:85: expect[0].avoid_links[0]", "expected a link of the twin"),
        ("tion: 10.9.9.9", "tion: 10.9.9.8", "13:48: expect[1].destination", "did you mean '10.9.9.9'"),
        ("tion: 10.9.9.9", "tion: 10.255.0.1", "13:48: expect[1].destination", "would never leave it"),
        ("neighbour: r2", "neighbour: r5", "14:46: expect[2].neighbour", "(r1, r2, r3, r4)"),
        ("neighbour: r2", "neighbour: r1", "14:46: expect[2].neighbour", "none is its own neighbour"),
        ("10.0.1.0/24", "10.7.0.0/24", "15:65: expect[3].except_prefixes[1]", "something of the twin in it"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_with_its_place_and_the_nearest(tmp_path, old, new, place, said):
    assert SOUND.count(old) == 1
    line = told(tmp_path, SOUND.replace(old, new))[0]
    assert line.startswith(f"{place}: value ")
    assert said in line


def test_a_cost_is_of_ospf(tmp_path):
    nodes = {n: r.model_copy(update={"config": "router isis lab\nexit\n"}) for n, r in square().nodes.items()}
    file = tmp_path / "change.yaml"
    file.write_text(SOUND)
    with pytest.raises(
        BadInput, match=r"3:41: steps\[0\].cost: value 100: expected a cost .* r1 does not speak \(isis\)"
    ):
        references.require([written_change(file)], square().model_copy(update={"nodes": nodes}))


def test_all_that_is_wrong_in_all_files_is_told_at_once(tmp_path):
    files = [tmp_path / name for name in ("one.yaml", "two.yaml")]
    files[0].write_text(SOUND.replace("via: [r2]", "via: [r8, r9]"))
    files[1].write_text(SOUND.replace("device: r4", "device: r7"))  # which was to have 10.9.9.9
    with pytest.raises(BadInput) as caught:
        references.require(map(written_change, files), square())
    named = [
        line.rpartition("/")[2].partition(" value ")[2].partition(":")[0] for line in str(caught.value).split("\n")
    ]
    assert named == ["'r8'", "'r9'", "'r7'", "'10.9.9.9'"]


def test_lines_indented_deeper_and_after_a_blank_one_keep_their_place(tmp_path):
    text = SOUND.replace("|\n      interface lo", "|2\n\n          interface l0")
    assert told(tmp_path, text)[0].startswith("7:21: steps[1].configuration: value 'l0'")
