"""What the substrates' tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from .host import SSHD, Host, running, state


@pytest.fixture(scope="session")
def host(testbed_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Another machine; at the end no lab may be left on it."""
    missing = [program for program in ("ssh", SSHD) if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install openssh-client openssh-server")
    with running(tmp_path_factory.mktemp("host") / "own") as found:
        yield found
    labs = state() / "labs"
    assert not labs.exists() or list(labs.iterdir()) == []
