import signal
import subprocess
import sys
from pathlib import Path

from tests.replay import scene
from tests.replay.disk_device import timers

LEFT = """
import os, signal
from tests.replay import scene
with scene.folder() as root:
    rack = scene.Rack.make(root / "rack", 1)
    scene.in_process(rack.apply, "journal:6:before")
    print(root, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_test_run_left_is_removed_by_the_next(request):
    argv = [sys.executable, "-c", LEFT]
    killed = subprocess.run(argv, cwd=request.config.rootpath, capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = Path(killed.stdout.strip())
    assert timers(folder)
    with scene.folder() as ours:
        scene.remove_orphans()
        assert ours.exists()
    assert timers(folder) == []
    assert not folder.exists()


def test_a_folder_goes_when_its_timers_have_ended():
    with scene.folder() as root:
        rack = scene.Rack.make(root / "rack", 1)
        scene.in_process(rack.apply, "journal:6:before")
        assert timers(root)
    assert timers(root) == []
    assert not root.exists()
