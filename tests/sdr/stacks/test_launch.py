"""`testbed radio stacks`: programs are started in order, watched and ended; fakes say what srsRAN says."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sdr.broker.engine import Broker
from sdr.stacks.launch import Around, Launch
from testbed.errors import ExitCode, NotReady, Unable
from testbed.telemetry.sinks import read
from testbed.telemetry.store import Store
from tests.cli.commands import call
from tests.sdr.plain import WAIT, free_address
from tests.sdr.stacks.scenarios import LTE, NR, K, scenario

FAKE = """\
#!{python}
import signal, sys, time
print("{first}")
{then}
with open("metrics.csv", "w") as file:
    file.write({metrics!r})
print("{ready}")
try:
    signal.pause()
except KeyboardInterrupt:
    open("ended", "w").write(str(time.monotonic()))
"""
CELL = ("==== eNodeB started ===", "time;nof_ue;dl_brate;ul_brate\n0;1;15000;2300\n")
UE = ("Network attach successful. IP: 172.16.0.2", "time;cc;rsrp\n1000;0;-24\n")


class Bench:
    """A scenario whose programs are fakes."""

    def __init__(self, folder):
        self.folder, self.out = folder, folder / "out"
        self.file = folder / "s.yaml"
        text = LTE
        for old in ("2000", "2001", "2101", "2100"):
            text = text.replace(f"tcp://127.0.0.1:{old}", free_address())
        for name, what in (("enb", CELL), ("ue1", UE)):
            self.program(name, *what)
        text = text.replace("stack: srsran-4g", f"stack: srsran-4g, program: {folder}/enb")
        self.file.write_text(text.replace("{imsi", f"{{program: {folder}/ue1, imsi"))

    def program(self, name, ready, metrics, first="Opening radio", then=""):
        path = self.folder / name
        path.write_text(FAKE.format(python=sys.executable, ready=ready, metrics=metrics, first=first, then=then))
        path.chmod(0o755)

    def run(self, *more):
        return call("radio", "stacks", "run", self.file, "--out", self.out, *more)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def living(folder):
    """How many processes work below a folder."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ends just now
            found += (process / "cwd").readlink().is_relative_to(folder)
    return found


def test_programs_run_until_their_time_is_up(bench):
    done = bench.run("--for", "1s", "--json", "--store", bench.folder / "store.db")
    assert (done.returncode, done.stderr) == (ExitCode.DONE, "")
    *events, last = map(json.loads, done.stdout.splitlines())
    assert [(one["radio"], one["what"]) for one in events] == [
        ("enb", "started"), ("enb", "ready"), ("ue1", "started"), ("ue1", "attached"),
    ]  # fmt: skip
    assert events[-1]["detail"] == "172.16.0.2"
    latest = {(one["entity"], one["metric"]): one["value"] for one in last["samples"]}
    assert latest == {
        ("radio:enb", "ues"): 1, ("radio:enb", "downlink_rate"): 15000, ("radio:enb", "uplink_rate"): 2300,
        ("radio:ue1", "rsrp"): -24,
    }  # fmt: skip
    assert {one.metric for one in read(bench.folder / "store.db")} >= {"rsrp", "ues"}
    assert float((bench.out / "ue1/ended").read_text()) < float((bench.out / "enb/ended").read_text())
    assert living(bench.out) == 0
    assert K not in done.stdout


def test_ctrl_c_ends_all_and_leaves_nothing(bench):
    argv = [sys.executable, "-m", "testbed", "radio", "stacks", "run", str(bench.file)]
    kept = {**os.environ, "TMPDIR": str(bench.folder / "tmp")}
    (bench.folder / "tmp").mkdir()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kept, text=True) as running:
        guard = threading.Timer(3 * WAIT, running.kill)
        guard.start()
        assert running.stdout
        said = iter(running.stdout)
        while not next(said).startswith("all attached"):
            pass
        (folder,) = (bench.folder / "tmp").iterdir()
        assert living(folder) == 2
        running.send_signal(signal.SIGINT)
        left = running.communicate()
        guard.cancel()
    assert (running.returncode, left[1]) == (ExitCode.DONE, "")
    assert "rsrp" in left[0]
    assert living(folder) == 0
    assert list((bench.folder / "tmp").iterdir()) == []


def test_one_that_ends_is_told_with_its_last_words(bench):
    bench.program("enb", *CELL, first="Error: no MME", then="sys.exit(3)")
    done = bench.run()
    assert done.returncode == ExitCode.NO
    assert "enb ended with status 3" in done.stderr
    assert "  Error: no MME" in done.stderr
    assert not (bench.out / "ue1/output.log").exists()


def test_one_that_is_not_attached_in_time_is_told(bench):
    bench.program("ue1", "Attaching UE...", UE[1])
    done = bench.run("--wait", "2s")
    assert done.returncode == ExitCode.NO
    assert "ue1: expected it to be attached within 2 s" in done.stderr
    assert "  Attaching UE..." in done.stderr
    assert living(bench.out) == 0


def test_one_that_does_not_end_is_killed(bench):
    bench.program("ue1", UE[0], UE[1], then="signal.signal(signal.SIGINT, signal.SIG_IGN)")
    began = time.monotonic()
    assert bench.run("--for", "0.1s").returncode == ExitCode.DONE
    assert time.monotonic() - began > 5
    assert living(bench.out) == 0


def test_what_is_missing_is_told_before_anything_is_written(bench):
    (bench.folder / "ue1").unlink()
    done = bench.run()
    assert done.returncode == ExitCode.UNABLE
    assert f"ue1: {bench.folder}/ue1: not found" in done.stderr
    assert "install srsRAN 4G" in done.stderr
    assert not bench.out.exists()


def test_config_writes_and_a_dry_run_does_not(bench):
    arguments = "radio", "stacks", "config", bench.file, "--out", bench.out
    told = json.loads(call(*arguments, "--dry-run", "--json").stdout)
    assert not bench.out.exists()
    assert json.loads(call(*arguments, "--json").stdout) == told | {"written": True}
    written = {str(path.relative_to(bench.out)) for path in bench.out.rglob("*") if path.is_file()}
    assert written == set(told["files"])
    assert [one["name"] for one in told["programs"]] == ["enb", "ue1"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("config",), "expected --out DIR"),
        (("run", "--store", "/nowhere/store.db"), "/nowhere/store.db: cannot keep samples there"),
        (("run", "--wait", "5"), "--wait: value '5': expected a number with a unit"),
    ],
)
def test_bad_options_are_refused(bench, arguments, said):
    done = call("radio", "stacks", arguments[0], bench.file, *arguments[1:])
    assert done.returncode in (ExitCode.BAD_INPUT, ExitCode.UNABLE)
    assert said in done.stderr
    bench.file.write_text(bench.file.read_text().split("stacks:")[0])
    none = call("radio", "stacks", "config", bench.file, "--dry-run")
    assert none.returncode == ExitCode.BAD_INPUT
    assert "no key 'stacks'" in none.stderr


def test_a_broker_that_fails_ends_all(bench, monkeypatch):
    def fail(self, stop):
        raise Unable("no more memory")

    monkeypatch.setattr(Broker, "run", fail)
    done = bench.run()
    assert (done.returncode, "no more memory" in done.stderr) == (ExitCode.UNABLE, True)
    assert living(bench.out) == 0


@pytest.mark.parametrize(("cores", "told"), [({0, 1, 2, 3}, True), ({0, 1, 2, 3, 4}, False)])
def test_a_gnb_that_waits_for_itself_for_want_of_processors_is_explained(tmp_path, monkeypatch, cores, told):
    silent = tmp_path / "gnb"
    silent.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    silent.chmod(0o755)
    one = scenario(NR, ("{stack: srsran-project", f"{{program: {silent}, stack: srsran-project"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: cores)
    around = Around(Store(), lambda _: None, lambda: None)
    (tmp_path / "out" / "gnb").mkdir(parents=True)
    with Launch(one, {"gnb": str(silent)}, tmp_path / "out", around) as launch:
        with pytest.raises(NotReady) as refused:
            launch.start(patience=0.2)
    assert ("needs 5 processors to start a cell; this machine has 4" in str(refused.value)) == told
