"""Commands tested here see a machine without labs, whatever other tests have up."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("cli-home")
    monkeypatch.setenv("TESTBED_HOME", str(home))
    return home
