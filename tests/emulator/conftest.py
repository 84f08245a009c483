"""An agent on this machine's own kernel, in namespaces of its own; one for all tests, each builds what it needs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from testbed.emulator.client import AgentClient

PROJECT = Path(__file__).resolve().parents[2]


def write_keys(folder: Path) -> None:
    server, client = zmq.curve_keypair(), zmq.curve_keypair()
    names = ("server_public", "server_secret", "client_public", "client_secret")
    keys = dict(zip(names, (key.decode() for key in (*server, *client)), strict=True))
    (folder / "keys").write_text(json.dumps(keys))


def start_agent(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start an agent as process 1 of new namespaces; killing `unshare` takes all of it away."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare: util-linux is not installed")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    new = ["--net", "--mount", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]
    agent = [sys.executable, "-m", "testbed.emulator.agent", "--folder", str(folder), *options]
    return subprocess.Popen(["unshare", *user, *new, *agent], cwd=PROJECT)


@pytest.fixture(scope="session")
def agent_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("agent")
    write_keys(folder)
    process = start_agent(folder, "--endpoint", f"ipc://{folder}/socket")
    try:
        with AgentClient(folder, f"ipc://{folder}/socket") as client:
            client.hello(timeout=20)
        yield folder
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def agent(agent_folder: Path) -> Iterator[AgentClient]:
    with AgentClient(agent_folder, f"ipc://{agent_folder}/socket") as client:
        yield client
