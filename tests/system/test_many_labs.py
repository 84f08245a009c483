"""Many labs at once: none knows of the others, and commands that are killed at any moment leave nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.substrate.probe import run as probe
from tests.substrate.leftovers import assert_gone, traces
from tests.system.killed import begin, finish

RING = """
name: ring
guest: {memory: 192MiB}
nodes:
  a: {kind: host}
  b: {kind: bridge}
  c: {kind: host}
links:
  a-b: {endpoints: [{node: a, interface: eth0, addresses: [10.9.0.1/24]}, {node: b, interface: port1}]}
  b-c: {endpoints: [{node: b, interface: port2}, {node: c, interface: eth0, addresses: [10.9.0.3/24]}]}
"""
EDITED = RING.replace("  c: {kind: host}", "  d: {kind: host}").replace("node: c,", "node: d,")
EDITED = EDITED.replace("[10.9.0.3/24]}]}", "[10.9.0.3/24]}], mtu: 1400}")
TRIES, AT_ONCE = {"native": 50, "uml": 9}, {"native": 5, "uml": 3}
VERBS = ("up", "down", "converge")
STRANGER = "tb-stranger"


def _namespaces_work() -> None:
    if not (allowed := probe("namespaces")).ok:
        pytest.skip(f"namespaces: {allowed.detail}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ring.yaml"
    path.write_text(RING)
    return path


@pytest.fixture
def stranger() -> Iterator[None]:
    """A bridge with a qdisc and a named namespace that are nobody's but the machine's owner's."""
    made = (f"netns add {STRANGER}", f"link add {STRANGER} type bridge", f"link set {STRANGER} up")
    for command in made:
        subprocess.run(["ip", *command.split()], check=True, timeout=10)
    subprocess.run(
        f"tc qdisc add dev {STRANGER} root tbf rate 1mbit burst 4k latency 1ms".split(), check=True, timeout=10
    )
    yield
    for command in (f"link del {STRANGER}", f"netns del {STRANGER}"):
        subprocess.run(["ip", *command.split()], check=True, timeout=10)


def of_the_machine() -> list[str]:
    """What there is in the machine's own namespace, without counters."""
    commands = (
        f"ip -o link show {STRANGER}",
        "ip -o netns list",
        "ip rule",
        "ip route",
        f"tc qdisc show dev {STRANGER}",
    )
    found = [subprocess.run(c.split(), capture_output=True, text=True, timeout=10, check=True).stdout for c in commands]
    return ["".join(found)]


@contextmanager
def at(home: Path) -> Iterator[None]:
    """Look at the labs of another home."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TESTBED_HOME", str(home))
        yield


def labs(home: Path) -> list[Lab]:
    with at(home):
        return Lab.all()


def processes_of(home: Path) -> list[str]:
    """Command lines of whatever runs for the labs of a home."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"TESTBED_HOME={home}\0".encode() in environ.read_bytes():
                found.append((environ.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended
    return found


class Tries:
    """Labs in two homes, as of two users; commands on them are killed at moments drawn from a seed."""

    def __init__(self, folder: Path, file: Path, substrate: str = "native") -> None:
        self.substrate = substrate
        self.homes = [folder / "one", folder / "two"]
        self.file, self.edited, self.log = file, folder / "edited.yaml", folder / "log"
        self.edited.write_text(EDITED)

    def command(self, number: int, verb: str) -> ForkServerProcess:
        name, home = f"try{number}", self.homes[number % 2]
        file = {"up": self.file, "converge": self.edited}.get(verb)
        words = ("down", name) if file is None else ("up", file, "--name", name, "--substrate", self.substrate)
        return begin(home, *words, log=self.log)

    def whole(self, numbers: Iterable[int], verb: str) -> float:
        """Let commands come to their end, side by side; return the seconds that they took."""
        started = time.monotonic()
        self.ended([self.command(number, verb) for number in numbers])
        return time.monotonic() - started

    def ended(self, running: Iterable[ForkServerProcess]) -> None:
        codes = [finish(process) for process in running]
        assert codes == [0] * len(codes), self.log.read_text()

    def killed(self, moments: Mapping[int, float], verb: str) -> None:
        """Kill commands so many seconds after they began; one may have come to its end by then."""
        began = time.monotonic()
        running = {number: self.command(number, verb) for number in moments}
        for number, moment in sorted(moments.items(), key=lambda each: each[1]):
            running[number].join(max(0.0, began + moment - time.monotonic()))
            running[number].kill()
        codes = [finish(process) for process in running.values()]
        assert set(codes) <= {0, -signal.SIGKILL}, self.log.read_text()

    def swept(self) -> None:
        """Take away what is found, in each home, and fail when anything is left."""
        for home in self.homes:
            found = [traces(lab.folder) for lab in labs(home)]
            assert finish(begin(home, "down", "--all", log=self.log)) == 0, self.log.read_text()
            with at(home):
                for each in found:
                    assert_gone(each)
            assert labs(home) == []
            assert processes_of(home) == []


def _killed_at_random_moments(tries: Tries, draw: random.Random) -> None:
    numbers = list(range(AT_ONCE[tries.substrate]))
    longest = {verb: tries.whole(numbers, verb) for verb in ("up", "converge", "down")}
    for _ in range(TRIES[tries.substrate] // len(numbers)):
        doomed: dict[str, dict[int, float]] = {verb: {} for verb in VERBS}
        for number in numbers:
            verb = draw.choice(VERBS)
            doomed[verb][number] = draw.uniform(0.0, longest[verb])
        living = [tries.command(number, "up") for verb in ("down", "converge") for number in doomed[verb]]
        tries.killed(doomed["up"], "up")
        tries.ended(living)
        tries.killed(doomed["converge"], "converge")
        tries.whole(doomed["converge"], "converge")
        tries.killed(doomed["down"], "down")
        tries.swept()


@pytest.mark.timeout(240)
def test_fifty_commands_killed_at_random_moments_leave_nothing_and_touch_nobody(tmp_path, file, stranger):
    _namespaces_work()
    before = of_the_machine()
    _killed_at_random_moments(Tries(tmp_path, file), random.Random(20))
    assert of_the_machine() == before


@pytest.mark.guest
@pytest.mark.timeout(240)
def test_so_do_commands_on_labs_in_guests(tmp_path, file, stranger, uml_works):
    before = of_the_machine()
    _killed_at_random_moments(Tries(tmp_path, file, "uml"), random.Random(20))
    assert of_the_machine() == before


def test_labs_of_the_same_file_run_side_by_side_and_one_that_fails_leaves_the_others(tmp_path, file):
    _namespaces_work()
    tries = Tries(tmp_path, file)
    tries.whole([0, 1, 2, 3], "up")
    broken = tmp_path / "broken.yaml"
    broken.write_text(RING.replace("kind: host}", "kind: router, config: 'frobnicate'}", 1))
    process = begin(tries.homes[0], "up", broken, "--name", "broken", "--substrate", "native", log=tries.log)
    assert finish(process) != 0
    for home in tries.homes:
        for lab in labs(home):
            with at(home), lab.agent() as agent:
                assert agent.run("a", ("ping", "-c", "1", "-W", "2", "10.9.0.3")).code == 0
    assert [len(labs(home)) for home in tries.homes] == [2, 2]
    tries.swept()
