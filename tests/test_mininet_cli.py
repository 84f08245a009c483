"""Mininet's CLI on a lab that is up: what is typed is carried out, and said back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.model.topology import Topology


def wire(number: int) -> dict[str, object]:
    host = {"node": f"h{number}", "interface": f"h{number}-eth0", "addresses": [f"10.0.0.{number}/8"]}
    return {"endpoints": [host, {"node": "s1", "interface": f"eth{number}"}]}


TOPOLOGY = {
    "name": "cli-lab",
    "nodes": {"h1": {"kind": "host"}, "h2": {"kind": "host"}, "s1": {"kind": "bridge"}},
    "links": {f"h{number}-s1": wire(number) for number in (1, 2)},
}


@pytest.fixture(scope="module")
def lab(mininet_package: None) -> Iterator[Lab]:
    with Lab.up(Topology.model_validate(TOPOLOGY), substrate="native") as up:
        yield up


@pytest.fixture
def said(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """What the CLI says to these lines."""

    def ask(lines: str) -> str:
        from testbed.mininet_cli import run

        file = tmp_path / "lines"
        file.write_text(f"{lines}\n")
        with file.open() as typed:
            monkeypatch.setattr("sys.stdin", typed)  # pytest's own has no descriptor
            run(lab, str(file))
        return capsys.readouterr().out

    return ask


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("nodes", "h1 h2 s1"),
        ("net", "s1 eth1:h1-eth0 eth2:h2-eth0"),
        ("ports", "s1 eth1:0 eth2:1"),
        ("dump", "<host h2: h2-eth0:10.0.0.2>"),
        ("pingall", "0% dropped (2/2 received)"),
        ("pingpair", "0% dropped (2/2 received)"),
        ("h1 ping -c1 -W2 h2", "1 packets transmitted, 1 received"),
        ("h1 echo $((40 + 2)) | tr 4 5", "52"),
        ("py h1.IP() + h2.cmd('echo -n ok')", "10.0.0.1ok"),
        ("iperf", "Mbits/sec from h1 to h2"),
        ("h9 ls", "expected a command (help lists them) or NODE COMMAND, not: h9 ls"),
        ("h1", "not: h1"),
        ("link h1 h2 down", "h1 and h2 are not connected"),
        ("link h1 h9 down", "h9 is not in the lab"),
        ("dpctl dump-flows", "and not on a lab"),
    ],
)
def test_a_command_is_carried_out(said: Callable[[str], str], lines: str, expected: str):
    assert expected in said(lines)


def test_a_link_goes_down_and_up(said: Callable[[str], str]):
    assert "h1-eth0<->eth1 (cut)" in said("link s1 h1 down\nlinks")
    assert "100% dropped (0/2 received)" in said("pingall 1")
    assert "h1-eth0<->eth1 (OK OK)" in said("link s1 h1 up\nlinks")
    said("h1 until ping -c1 -W1 h2 ; do true; done")  # the kernel opens a wire within a second
    assert "0% dropped (2/2 received)" in said("pingall")


def test_a_script_that_is_not_there_is_bad_input(lab: Lab):
    from tests.cli.commands import call

    done = call("mininet", "cli", "cli-lab", "--script", "nowhere")
    assert done.returncode == 2
    assert "nowhere: expected a file with commands" in done.stderr
