"""`testbed import | export` as a user types them."""

import json
import os

import pytest

from testbed.errors import ExitCode
from testbed.exchange.registry import import_from
from testbed.model.load import load_topology
from tests.cli.commands import call
from tests.exchange.labs import LAB, write_lab

MININET = """
from mininet.topo import Topo

class Pair(Topo):
    def build(self, hosts=2):
        switch = self.addSwitch("s1")
        for number in range(hosts):
            self.addLink(self.addHost(f"h{number + 1}"), switch)

topos = {"pair": Pair}
"""


def test_an_import_prints_our_file_and_says_the_rest_beside_it(tmp_path):
    done = call("import", write_lab(tmp_path))
    assert done.returncode == ExitCode.DONE
    assert "node UE1 is called ue1 here" in done.stderr
    (tmp_path / "ours.yaml").write_text(done.stdout)
    assert load_topology(tmp_path / "ours.yaml") == import_from(str(tmp_path / "two.clab.yml")).topology


def test_an_import_into_a_file_as_json(tmp_path):
    out = tmp_path / "geant.yaml"
    done = call("import", "topohub:sndlib/geant", "--out", out, "--json")
    said = json.loads(done.stdout)
    assert (said["format"], said["notes"], len(said["topology"]["nodes"])) == ("topohub", [], 22)
    assert load_topology(out).model_dump(mode="json") == said["topology"]


def test_what_another_tool_wrote_can_be_built_and_drawn(tmp_path):
    file = write_lab(tmp_path)
    planned = json.loads(call("up", file, "--dry-run", "--json").stdout)
    assert [node["name"] for node in planned["build"]["nodes"]] == ["core-1", "core-2", "ue1", "ue2", "lan"]
    assert call("graph", file).stdout.startswith("<svg")


@pytest.mark.parametrize("name", ["Pair,hosts=3", "pair,3"])
def test_a_topo_of_mininets_is_built_by_its_class_or_by_its_key_in_topos(mininet_package, tmp_path, name):
    (tmp_path / "pair.py").write_text(MININET)
    for words in ([f"{tmp_path / 'pair.py'}:{name}"], ["--mininet", f"{tmp_path / 'pair.py'}:{name}"]):
        planned = json.loads(call("up", *words, "--dry-run", "--json").stdout)
        assert [node["name"] for node in planned["build"]["nodes"]] == ["h1", "h2", "h3", "s1"]


def test_an_export_writes_all_files_and_comes_back(tmp_path):
    first = import_from(str(write_lab(tmp_path))).topology
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "two.clab.yml"
    done = call("export", tmp_path / "two.clab.yml", "--format", "containerlab", "--out", out)
    assert done.returncode == ExitCode.DONE, done
    assert done.stdout.splitlines()[0] == str(out)
    assert len(done.stdout.splitlines()) == 5
    assert import_from(str(out)).topology == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["import", "nowhere.clab.yml"], "nowhere.clab.yml"),
        (["import", "nowhere"], "there is no such file"),
        (["import", "{folder}"], "this is a directory"),
        (["import", "{folder}/strange"], "say --format topohub|"),
        (["import", "{folder}/two.clab.yml", "--format", "containerlb"], "did you mean 'containerlab'"),
        (["import", "{folder}/two.clab.yml", "--format", "testbed"], "unknown key 'topology'"),
        (["import", "{folder}/two.clab.yml", "--out", "{folder}/nowhere/x"], "cannot be written"),
        (["export", "{folder}/two.clab.yml", "-f", "containerlab", "--out", "{folder}/core_1"], "cannot be written"),
        (["up", "topohub:sndlib/gaent"], "sndlib/geant"),
        (["up", "--mininet", "nowhere.py:Two"], "nowhere.py"),
        (["up", "--mininet", "{folder}/two.clab.yml"], "two.clab.yml: expected FILE.py:NAME"),
        (["up", "--mininet", "{folder}/x.py", "--format", "gml"], "--mininet and --format gml"),
        (["export", "{folder}/two.clab.yml", "--format", "containerlab"], "--out FILE"),
        (["export", "{folder}/two.clab.yml", "--format", "topohub"], "writable: "),
        (["export", "topohub:sndlib/geant", "--format", "containerlab", "--out", "{folder}/x"], "`links.forward`"),
        (["export", "{folder}/two.clab.yml"], "--format"),
        (["export", "{folder}/two.clab.yml", "-f", "svg"], "testbed graph SOURCE --format svg"),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, list) else "",
)
def test_bad_input_is_explained_and_leaves_nothing(words, said, tmp_path):
    write_lab(tmp_path)
    (tmp_path / "strange").write_text("?")
    before = sorted(os.walk(tmp_path))
    done = call(*(word.format(folder=tmp_path) for word in words))
    assert done.returncode == ExitCode.BAD_INPUT, done
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(os.walk(tmp_path)) == before


@pytest.mark.parametrize(
    ("format", "start"), [("drawio", "<mxfile"), ("graphml", "<?xml"), ("gml", "graph ["), ("testbed", "name:")]
)
def test_every_format_of_one_file_is_printed(tmp_path, format, start):
    done = call("export", write_lab(tmp_path), "--format", format, "--skip-unsupported")
    assert done.returncode == ExitCode.DONE, done
    assert done.stdout.startswith(start)


def test_what_cannot_be_kept_may_be_skipped(tmp_path):
    file = write_lab(tmp_path, LAB.replace("image: alpine:3", "image: alpine:3\n      env: {A: b}"))
    assert call("up", file, "--dry-run").returncode == ExitCode.BAD_INPUT
    done = call("up", file, "--dry-run", "--skip-unsupported")
    assert done.returncode == ExitCode.DONE
    assert "env: cannot be kept: a node here is no container: left out" in done.stderr
