"""Bad input never makes a traceback: it ends with code 2 and says what was expected."""

import json

import pytest

from testbed.cli import complete
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
        (["rack", "up", "{commands}", "--dry-run"], "r has `exec`"),
        (["rack", "status", "norack"], "norack"),
        (["rack", "down", "norack"], "norack"),
        (["rack", "enrol", "nowhere.yaml"], "nowhere.yaml"),
        (["rack", "bench", "norack", "cut", "x"], "norack"),
        (["discover", "nowhere.yaml"], "nowhere.yaml"),
        (["discover", "{topology}"], "expected"),
        (["mirror", "status", "nolab"], "nolab"),
        (["mirror", "stop", "nolab"], "nolab"),
        (["mirror", "start", "nowhere.yaml"], "nowhere.yaml"),
        (["mirror", "start", "nowhere.yaml", "--echo-every", "0"], "--echo-every 0"),
        (["validate", "nowhere.yaml", "--twin", "notwin"], "nowhere.yaml"),
        (["plan", "nowhere.json", "--inventory", "nowhere.yaml"], "nowhere"),
        (["approve", "nowhere.json", "--by", "me", "--key", "nokey"], "nokey"),
        (["apply", "nowhere.json", "--inventory", "nowhere.yaml"], "nowhere"),
        (["schema", "topologie"], "did you mean 'topology'"),
        (["audit", "verify", "--log", "nowhere"], "nowhere"),
        (["profile", "show", "microwve"], "did you mean 'microwave'"),
        (["profile", "show", "fibre(km=-1)"], "km=-1: expected a number from 0.001 to 40000 km"),
        (["profile", "preview", "fibre", "--over", "kms"], "did you mean 'km'"),
        (["profile", "preview", "fibre", "--out", "fibre.png"], "expected a name that ends in .svg or .html"),
        (["profile", "preview", "fibre", "--out", "no/where/fibre.svg"], "there is no folder no/where"),
        (["trace", "show", "leo-pas"], "did you mean 'leo-pass'"),
        (["trace", "show", "csv:nowhere.csv"], "nowhere.csv"),
        (["trace", "play", "a-b", "random-walk(step=x)"], "step=x: expected a number"),
        (["trace", "play", "a-b", "random-walk", "--lab", "nolab"], "nolab"),
        (["trace", "status", "--lab", "nolab"], "nolab"),
        (["trace", "stop", "a-b", "--lab", "nolab"], "nolab"),
        (["link", "a-b", "profile=fibr"], "did you mean 'fibre'"),
        (["nonsense"], "nonsense"),
        (["up", "--nonsense"], "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_explained(words, said, tmp_path):
    topology = tmp_path / "topology.yaml"
    topology.write_text("name: t\nnodes: {a: {kind: host}}\n")
    commands = tmp_path / "commands.yaml"
    commands.write_text("name: t\nnodes: {r: {kind: router, loopbacks: [10.255.0.1/32], exec: ['true']}}\n")
    done = call(*(word.format(topology=topology, commands=commands) for word in words))
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


def test_a_dry_run_names_the_traces(tmp_path):
    topology = tmp_path / "topology.yaml"
    topology.write_text(
        "name: t\nnodes: {a: {kind: host}, b: {kind: host}}\n"
        "links: {a-b: {endpoints: [a:e, b:e], trace: {backward: random-walk(seconds=3), repeat: true}}}\n"
    )
    (track,) = json.loads(call("up", topology, "--dry-run", "--json").stdout)["traces"]
    assert (track["link"], track["end"], track["lap"], len(track["times"])) == ("a-b", 1, 3.0, 30)
    assert (
        "backward  random-walk(seconds=3)  30        3 s, again and again" in call("up", topology, "--dry-run").stdout
    )


@pytest.mark.parametrize("words", [["profile", "list"], ["profile", "show", "leo"], ["profile", "preview", "leo"],
                                   ["trace", "list"], ["trace", "show", "random-walk(seconds=1)"]])  # fmt: skip
def test_profiles_and_traces_are_told_in_text_and_in_json(words):
    assert json.loads(call(*words, "--json").stdout)
    assert call(*words).stdout


@pytest.mark.parametrize("suffix", ["svg", "html"])
def test_a_preview_is_drawn_into_a_file(tmp_path, suffix):
    out = tmp_path / f"rain.{suffix}"
    assert call("profile", "preview", "microwave", "--over", "rain", "-o", out).stdout == f"{out}\n"
    assert "rain, mm/h" in out.read_text()


def test_shells_complete_names_of_profiles_and_traces():
    assert complete.profiles("fib") == ["fibre"]
    assert complete.traces("r") == ["rain-event", "random-walk", "radio:"]
    assert complete.traces("c") == ["csv:"]
    assert complete.profiles("nothing") == []


@pytest.mark.parametrize("name", ["topology", "impairment", "change", "plan", "verdict", "rack", "load", "radio"])
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
