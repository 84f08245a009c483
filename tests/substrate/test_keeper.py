"""What the keeper hears of its guest."""

from __future__ import annotations

import json
import os
import select

from testbed.substrate.folder import Guest, LabFolder
from testbed.substrate.keeper import Held, Orders, Starter


def test_a_guest_quicker_than_its_keeper_is_heard_all_the_same(testbed_home):
    folder = LabFolder.create("quick", "lab", "native")
    folder.update(guests=(Guest(endpoint=None),))
    reading, writing = os.pipe()
    orders = Orders(argv=("true",), environment={"PATH": "/bin"}, seal=False, touch=(str(folder.guest() / "booted"),))
    held = Held(1, orders, folder, Starter(writing))
    try:
        held.launch({})
        assert held.launcher.wait() == 0  # it has said all it had to say before the keeper looks
        for descriptor, act in held.served().items():
            if select.select([descriptor], [], [], 0)[0]:
                act()
        said = [json.loads(line)["event"] for line in os.read(reading, 65536).splitlines()]
        assert said == ["launched", "booted"]
    finally:
        os.close(reading)
        os.close(writing)
        folder.remove()
