"""`testbed core config` and `testbed core check`: files, exit codes, places."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from testbed.cli import app
from testbed.errors import BadInput

METRO = str(Path(__file__).resolve().parents[2] / "topologies" / "metro5g.yaml")


def run(*words):
    result = CliRunner().invoke(app, ["core", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("version", ["2.7", "2.8"])
def test_files_are_written_and_check_takes_them(tmp_path, version):
    told = json.loads(run("config", METRO, "--open5gs", version, "--out", str(tmp_path / "etc"), "--json").stdout)
    assert told["written"]
    assert sorted(told["files"]) == sorted(path.name for path in (tmp_path / "etc").iterdir())
    checked = json.loads(run("check", str(tmp_path / "etc"), "--json").stdout)
    assert checked["core"]["upfs"]["edge"]["address"] == "10.0.5.2"
    assert any("amf.security" in note for note in checked["notes"])


def test_a_dry_run_writes_nothing(tmp_path):
    assert "would write: amf.yaml" in run("config", METRO, "--out", str(tmp_path / "etc"), "--dry-run").stdout
    assert not (tmp_path / "etc").exists()


def test_a_folder_is_needed():
    with pytest.raises(BadInput, match="expected --out DIR"):
        run("config", METRO)


def test_a_topology_is_checked_as_well(tmp_path):
    assert "central edge" in run("check", METRO).stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(Path(METRO).read_text().replace("tac: 2, slices", "tac: 3, slices"))
    with pytest.raises(BadInput, match=r"wrong\.yaml:\d+:\d+: core\.gnbs\.gnb2\.tac: value '3'"):
        run("check", str(wrong))


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="expected a folder to write to"):
        run("config", METRO, "--out", str(tmp_path / "file" / "etc"))
