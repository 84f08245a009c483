import json
import os
import signal
import subprocess
import sys

import pytest

from testbed.errors import BadInput, Unable
from testbed.processes import identify
from testbed.substrate.folder import LabFolder, home, sweep_drafts, tail, write_atomically


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path))
    return tmp_path


def test_home_follows_the_environment(monkeypatch, tmp_path):
    assert home() == tmp_path
    monkeypatch.delenv("TESTBED_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere")
    assert str(home()) == "/somewhere/testbed"
    monkeypatch.delenv("XDG_STATE_HOME")
    assert str(home()).endswith("/.local/state/testbed")


def test_a_new_folder_is_private_and_complete():
    folder = LabFolder.create("alpha", "lab", "uml")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.keys.stat().st_mode & 0o777 == 0o600
    record = folder.record()
    assert (record.name, record.kind, record.substrate, record.state) == ("alpha", "lab", "uml", "starting")
    assert set(folder.read_keys()) == {"server_public", "server_secret", "client_public", "client_secret"}
    assert LabFolder.open("alpha") == folder
    assert LabFolder.all() == [folder]


def test_a_name_in_use_is_refused_with_the_command_that_frees_it():
    LabFolder.create("alpha", "lab", "uml")
    with pytest.raises(BadInput, match="testbed down alpha"):
        LabFolder.create("alpha", "lab", "uml")
    assert [folder.name for folder in LabFolder.all()] == ["alpha"]
    assert not [path for path in (home() / "labs").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("name", ["", "..", "a/b", "Alpha", "-a", "a-", "a" * 41, "a b", ".new"])
def test_a_name_that_is_no_name_is_refused(name):
    with pytest.raises(BadInput, match="expected lower-case"):
        LabFolder.create(name, "lab", "uml")


def test_a_home_that_a_kernel_command_line_cannot_carry_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "with space"))
    with pytest.raises(BadInput, match="TESTBED_HOME"):
        LabFolder.create("alpha", "lab", "uml")


def test_an_unknown_lab_s_error_names_the_nearest():
    LabFolder.create("alpha", "lab", "uml")
    with pytest.raises(BadInput, match="did you mean 'alpha'"):
        LabFolder.open("alpah")


def test_an_update_keeps_all_else():
    folder = LabFolder.create("alpha", "lab", "uml")
    before = folder.record()
    folder.update(ended="by hand")
    after = folder.record()
    assert after.ended == "by hand"
    assert (after.id, after.starter, after.created) == (before.id, before.starter, before.created)


def test_a_record_of_another_version_is_refused_with_the_way_out():
    folder = LabFolder.create("alpha", "lab", "uml")
    content = json.loads((folder.path / "lab.json").read_text())
    (folder.path / "lab.json").write_text(json.dumps(content | {"colour": "blue"}))
    with pytest.raises(BadInput, match=r"doctor --clean"):
        folder.record()


def test_only_one_command_at_a_time_changes_a_lab():
    folder = LabFolder.create("alpha", "lab", "uml")
    with folder.lock():
        with pytest.raises(Unable, match="another command"):
            with folder.lock():
                pass
    with folder.lock():
        pass


def test_a_lab_that_another_process_brings_up_is_busy_until_that_dies():
    with subprocess.Popen(["sleep", "60"]) as other:
        folder = LabFolder.create("alpha", "lab", "uml")
        folder.update(starter=identify(other.pid))
        with pytest.raises(Unable, match=str(other.pid)), folder.lock():
            pass
        other.kill()
        other.wait()
        with folder.lock():
            pass


def test_removing_frees_the_name_and_leaves_nothing():
    LabFolder.create("alpha", "lab", "uml").remove()
    assert list((home() / "labs").iterdir()) == []
    LabFolder.create("alpha", "lab", "uml")


def test_what_a_killed_command_was_making_is_swept_but_not_what_a_living_one_makes():
    script = (
        "import os, signal; from testbed.substrate import folder\n"
        "folder.curve_keys = lambda: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder.LabFolder.create('alpha', 'lab', 'uml')"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    drafts = list((home() / "labs").iterdir())
    assert len(drafts) == 1
    assert drafts[0].name.startswith(".new-")
    me = identify(os.getpid())
    assert me is not None
    living = home() / "labs" / f".new-{me.pid}-{me.started}-abcd"
    living.mkdir()
    assert sweep_drafts() == [str(drafts[0])]
    assert living.exists()


def test_a_crash_while_writing_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    script = (
        "import os, signal, sys; from pathlib import Path; from testbed.substrate import folder\n"
        "os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)\n"
        "folder.write_atomically(Path(sys.argv[1]), b'new')"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def test_a_tail_is_the_last_lines(tmp_path):
    path = tmp_path / "log"
    assert tail(path, 3) == ()
    path.write_text("".join(f"line {number}\n" for number in range(1000)))
    assert tail(path, 3) == ("line 997", "line 998", "line 999")
