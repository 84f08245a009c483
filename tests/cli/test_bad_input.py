"""Bad input never makes a traceback: it ends with code 2 and says what was expected."""

import json

import pytest

from testbed.errors import ExitCode
from testbed.substrate.uml import problems
from tests.cli.commands import call, run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["up", "nowhere.yaml"], "nowhere.yaml"),
        (["up", "."], "directory"),
        (["up", "{topology}", "--substrate", "umll"], "did you mean 'uml'"),
        (["up", "{topology}", "--dry-run", "--memory", "lots"], "--memory 'lots'"),
        (["up", "{topology}", "--dry-run", "--guests", "0"], "--guests"),
        (["down"], "testbed down --all"),
        (["down", "nolab"], "nolab"),
        (["status", "nolab"], "nolab"),
        (["exec", "a", "--", "true"], "which lab"),
        (["exec", "--lab", "nolab", "a", "--", "true"], "nolab"),
        (["link", "a-b", "delay=10"], "with a unit"),
        (["link", "a-b", "dealy=10ms"], "did you mean 'delay'"),
        (["link", "a-b", "--cut", "--mend"], "exclude each other"),
        (["graph", "nowhere.yaml"], "nowhere.yaml"),
        (["graph", "{topology}", "--format", "pdf"], "pdf"),
        (["rack", "up", "nowhere.yaml"], "nowhere.yaml"),
        (["rack", "up", "{topology}", "--dry-run"], "at least one router"),
        (["rack", "status", "norack"], "norack"),
        (["rack", "down", "norack"], "norack"),
        (["rack", "enrol", "nowhere.yaml"], "nowhere.yaml"),
        (["rack", "bench", "norack", "cut", "x"], "norack"),
        (["discover", "nowhere.yaml"], "nowhere.yaml"),
        (["discover", "{topology}"], "expected"),
        (["mirror", "status", "nolab"], "nolab"),
        (["mirror", "stop", "nolab"], "nolab"),
        (["mirror", "start", "nowhere.yaml"], "nowhere.yaml"),
        (["validate", "nowhere.yaml", "--twin", "notwin"], "nowhere.yaml"),
        (["plan", "nowhere.json", "--inventory", "nowhere.yaml"], "nowhere"),
        (["approve", "nowhere.json", "--by", "me", "--key", "nokey"], "nokey"),
        (["apply", "nowhere.json", "--inventory", "nowhere.yaml"], "nowhere"),
        (["schema", "topologie"], "did you mean 'topology'"),
        (["audit", "verify", "--log", "nowhere"], "nowhere"),
        (["profile", "show", "microwve"], "did you mean 'microwave'"),
        (["profile", "show", "fibre(km=-1)"], "km=-1: expected a number from 0.001 to 40000 km"),
        (["link", "a-b", "profile=fibr"], "did you mean 'fibre'"),
        (["nonsense"], "nonsense"),
        (["up", "--nonsense"], "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_explained(words, said, tmp_path):
    topology = tmp_path / "topology.yaml"
    topology.write_text("name: t\nnodes: {a: {kind: host}}\n")
    done = call(*(word.format(topology=topology) for word in words))
    assert done.returncode == ExitCode.BAD_INPUT, done
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stdout == ""


def test_the_exit_code_is_the_process_s():
    done = run("status", "nolab")
    assert (done.returncode, done.stdout) == (ExitCode.BAD_INPUT, "")
    assert done.stderr.startswith("testbed: ")


def test_a_dry_run_says_what_would_be_built_and_builds_nothing(tmp_path):
    topology = tmp_path / "topology.yaml"
    topology.write_text("name: t\nnodes: {a: {kind: host}, r: {kind: router, loopbacks: [10.255.0.1/32]}}\n")
    done = call("up", topology, "--dry-run", "--json")
    assert done.returncode == ExitCode.DONE, done
    assert [node["name"] for node in json.loads(done.stdout)["build"]["nodes"]] == ["a", "r"]
    assert json.loads(call("status", "--json").stdout) == {"labs": []}


@pytest.mark.parametrize("name", ["topology", "impairment", "change", "plan", "verdict", "rack"])
def test_every_kind_of_file_has_a_schema(name):
    done = call("schema", name)
    assert done.returncode == ExitCode.DONE
    assert "properties" in json.loads(done.stdout)


def test_doctor_says_what_this_machine_can_do():
    done = call("doctor", "--json")
    said = json.loads(done.stdout)
    names = {capability["name"].lower() for capability in said["capabilities"]}
    assert {
        "netem",
        "namespaces",
        "user namespaces",
        "uml",
        "sctp",
        "open vswitch",
        "frr",
        "sshd",
        "iperf3",
        "docker",
    } <= names
    assert all(capability["ok"] or capability["fix"] for capability in said["capabilities"])
    assert said["racks"]["substrate"] == (said["substrate"] if problems() else "uml")
    assert done.returncode == (ExitCode.DONE if said["substrate"] else ExitCode.UNABLE)
