import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import BadInput, Unable
from testbed.substrate import doctor, probe, registry, uml
from testbed.substrate.folder import SHM, LabFolder, home
from testbed.substrate.probe import PROBES, Answer

NAMES = {
    "netem", "namespaces", "user namespaces", "uml", "uml modules", "uml network", "guest memory", "SCTP",
    "VLANs on bridges", "Open vSwitch", "FRR", "ssh", "sshd", "iperf3", "Docker", "Python",
}  # fmt: skip


@pytest.fixture
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    return tmp_path


def test_every_capability_has_what_was_found_and_what_mends_it():
    found = doctor.examine()
    assert {capability.name for capability in found} == NAMES
    assert all(capability.detail and capability.fix for capability in found)


def test_examining_changes_nothing():
    def links() -> list[str]:
        return sorted(os.listdir("/sys/class/net"))

    before = links(), Path("/proc/modules").exists() and Path("/proc/modules").read_text()
    doctor.examine()
    assert (links(), Path("/proc/modules").exists() and Path("/proc/modules").read_text()) == before


@pytest.mark.parametrize("name", PROBES)
def test_a_probe_answers_and_says_what_it_saw(name):
    answer = probe.run(name)
    assert answer.detail
    assert "trial itself failed" not in answer.detail


def test_a_probe_agrees_with_the_kernel_about_netem():
    """The same question put by iproute2."""
    script = "ip link add d type dummy && tc qdisc add dev d root netem delay 1ms"
    by_tc = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, check=False).returncode == 0
    assert probe.run("netem").ok == by_tc


def test_missing_modules_are_found(tmp_path):
    (tmp_path / "modules.dep").write_text(
        "kernel/net/sctp/sctp.ko: kernel/lib/libcrc32c.ko\nkernel/a/sch_netem.ko.xz:\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/net/ipv6/ipv6.ko\n")
    assert uml.missing_modules(tmp_path, ("sctp", "sch_netem", "ipv6", "vrf")) == ("vrf",)


def test_what_keeps_guests_from_running_comes_with_the_command(monkeypatch):
    monkeypatch.setattr(uml, "BINARY", "linux.none")
    monkeypatch.setattr(uml, "MODULES_ROOT", Path("/nowhere"))
    assert len(uml.problems()) == 2
    assert all("apt-get install user-mode-linux" in line for line in uml.problems())


@pytest.mark.parametrize(
    ("netem", "lacks", "chosen"), [(True, [], "native"), (True, ["x"], "native"), (False, [], "uml")]
)
def test_auto_takes_native_where_netem_works_else_a_guest(monkeypatch, netem, lacks, chosen):
    monkeypatch.setattr(probe, "run", lambda name: Answer(netem, "tried"))
    monkeypatch.setattr(registry, "problems", lambda: lacks)
    substrate, why = registry.pick("auto")
    assert substrate.name == chosen
    assert "tried" in why


@pytest.mark.parametrize("netem", [True, False])
def test_auto_takes_a_guest_for_a_rack_where_it_can(monkeypatch, netem):
    monkeypatch.setattr(probe, "run", lambda name: Answer(netem, "tried"))
    monkeypatch.setattr(registry, "problems", list)
    assert registry.pick("auto", own_kernel=True) == (registry.SUBSTRATES["uml"], "a rack has a kernel of its own")


def test_auto_takes_native_for_a_rack_without_guests_and_says_what_it_shares(monkeypatch):
    monkeypatch.setattr(probe, "run", lambda name: Answer(True, "tried"))
    monkeypatch.setattr(registry, "problems", lambda: ["linux.uml is not installed: apt-get install user-mode-linux"])
    substrate, why = registry.pick("auto", own_kernel=True)
    assert substrate.name == "native"
    assert re.search(r"shares this machine's kernel.*apt-get install user-mode-linux", why)


def test_auto_stops_where_nothing_works_and_says_what_to_do(monkeypatch):
    monkeypatch.setattr(probe, "run", lambda name: Answer(False, "no netem here"))
    monkeypatch.setattr(registry, "problems", lambda: ["linux.uml is not installed: apt-get install user-mode-linux"])
    with pytest.raises(Unable, match=r"no netem here.*apt-get install user-mode-linux.*testbed doctor"):
        registry.pick("auto")


def test_a_misspelled_substrate_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'native'"):
        registry.pick("natve")


# --- cleaning ---


def _dead_lab(name: str) -> LabFolder:
    """A lab whose starter died before it started anything."""
    script = f"from testbed.substrate.folder import LabFolder; LabFolder.create({name!r}, 'lab', 'uml')"
    subprocess.run([sys.executable, "-c", script], check=True)
    return LabFolder.open(name)


@pytest.mark.alone
def test_a_dead_lab_is_cleaned_and_a_living_one_is_not(own_home):
    dead, living = _dead_lab("dead"), LabFolder.create("living", "lab", "uml")  # we live, and bring it up
    assert [line for line in doctor.clean(dry_run=True) if "lab dead" in line]
    assert dead.path.exists()
    assert [line.split(":")[0] for line in doctor.clean()] == ["lab dead"]
    assert not dead.path.exists()
    assert living.path.exists()


@pytest.mark.alone
def test_memory_whose_lab_is_gone_is_cleaned(own_home):
    orphan = SHM / "testbed-00000000000a"
    orphan.mkdir()
    (orphan / "owner").write_text(str(own_home / "labs" / "gone"))
    assert doctor.clean(dry_run=True) == [f"{orphan}, whose lab is gone"]
    assert doctor.clean() == [f"{orphan}, whose lab is gone"]
    assert not orphan.exists()


@pytest.mark.alone
def test_what_only_looks_like_ours_stays(own_home):
    other = SHM / "testbed-somebody-else"
    other.mkdir()
    try:
        assert doctor.clean() == []
        assert other.exists()
    finally:
        other.rmdir()


@pytest.mark.alone
def test_a_lab_of_another_home_stays(own_home, tmp_path_factory, monkeypatch):
    folder = _dead_lab("elsewhere")
    run = folder.run
    run.mkdir()
    (run / "owner").write_text(str(folder.path))
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path_factory.mktemp("other")))
    try:
        assert doctor.clean() == []
        assert run.exists()
        assert folder.path.exists()
    finally:
        (run / "owner").unlink()
        run.rmdir()


@pytest.mark.alone
def test_a_marked_process_whose_lab_is_gone_is_ended(own_home):
    marker = "testbed-00000000000b"
    code = "import signal; print(flush=True); signal.pause()"
    command = [sys.executable, "-c", code, "testbed.substrate.launch", marker]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout is not None
        orphan.stdout.readline()
        assert doctor.clean() == [f"process {orphan.pid} of {marker}, whose lab is gone"]
        assert orphan.wait(5) == -9


@pytest.mark.alone
def test_a_folder_without_a_record_is_cleaned(own_home):
    broken = home() / "labs" / "broken"
    broken.mkdir(parents=True)
    assert doctor.clean() == [f"{broken}: no readable lab.json"]
    assert not broken.exists()
