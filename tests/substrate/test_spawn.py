from dataclasses import dataclass, field

import pytest

from testbed.substrate import processes, spawn
from testbed.substrate.folder import Guest, LabFolder


@dataclass
class Agents:
    """One agent, of which is told how long its machine had no processor after each time that it was asked."""

    starved: list[float]
    answers_after: int = 99
    asked: list[float] = field(default_factory=list)

    def silent(self, folder, patience):
        self.asked.append(patience)
        return [] if len(self.asked) > self.answers_after else [1]

    def guest_starved(self, marker, guest):
        return sum(self.starved[: len(self.asked)])


@pytest.mark.parametrize(
    ("agents", "asked", "mute"),
    [
        (Agents([0.0]), [4.0], [1]),
        (Agents([3.0, 1.0, 0.1]), [4.0, 3.0, 1.0], [1]),
        (Agents([3.0], answers_after=1), [4.0, 3.0], []),
        (Agents([9.0, 9.0], answers_after=2), [4.0, 4.0, 4.0], []),
    ],
)
def test_time_without_a_processor_is_given_to_a_guest_again(agents, asked, mute, monkeypatch, testbed_home):
    monkeypatch.setattr(spawn, "silent", agents.silent)
    monkeypatch.setattr(processes, "guest_starved", agents.guest_starved)
    folder = LabFolder.create("mute", "lab", "uml")
    try:
        folder.update(state="running", guests=(Guest(endpoint="tcp://127.0.0.1:1"),))
        assert spawn._mute(folder, folder.record(), lambda folder, timeout: True) == mute
        assert agents.asked == asked
    finally:
        folder.remove()
