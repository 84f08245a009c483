"""Networks of Mininet's on this machine's own kernel, taken down after each test."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def mininet_works(mininet_package: None) -> None:
    """Skip, naming what lacks, where scripts of Mininet's cannot run in this kernel."""
    if os.geteuid() != 0:
        pytest.skip("mininet: natively as root alone")
    import testbed.mininet  # noqa: F401


@pytest.fixture
def network(mininet_works: None) -> Iterator[Callable[..., Any]]:
    """A function that makes a network and starts it; its parameters are those of Mininet's class."""
    from testbed.mininet import Mininet

    made: list[Any] = []

    def make(topo: Any = None, **params: Any) -> Any:
        net = Mininet(topo=topo, **params)
        made.append(net)
        net.start()
        return net

    yield make
    for net in made:
        net.stop()
