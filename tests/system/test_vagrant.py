"""The Vagrantfile is one that Vagrant accepts, and its provisioning is shell that bash can read."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

VAGRANTFILE = Path(__file__).resolve().parents[2] / "Vagrantfile"
needs_vagrant = pytest.mark.skipif(not shutil.which("vagrant"), reason="needs vagrant (scripts/setup tests)")


def validate(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What `vagrant validate` says of a Vagrantfile; no provider need be installed for that."""
    (folder / "Vagrantfile").write_text(text)
    environment = {**os.environ, "VAGRANT_HOME": str(folder / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    return subprocess.run(
        ["vagrant", "validate", "--ignore-provider"],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=55, check=False,
    )  # fmt: skip


@needs_vagrant
def test_vagrant_accepts_the_file(tmp_path):
    done = validate(tmp_path, VAGRANTFILE.read_text())
    assert done.returncode == 0, done.stderr
    assert "validated successfully" in done.stdout


@needs_vagrant
def test_vagrant_would_tell_of_a_mistake(tmp_path):
    done = validate(tmp_path, VAGRANTFILE.read_text().replace("config.vm.box =", "config.vm.bocks ="))
    assert done.returncode != 0


def test_the_provisioning_is_shell():
    scripts = re.findall(r"<<~SHELL\n(.*?)^ *SHELL$", VAGRANTFILE.read_text(), re.DOTALL | re.MULTILINE)
    assert scripts
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script], check=True, timeout=10)
