"""The commands as a person runs them, on real routers: what they print, their exit codes, and what they never show."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapters.keys import new_key
from testbed.errors import ExitCode
from tests.replay.routers import COSTS, FAILS, HOLDS, PASSWORD, Routers, approved, write_report

pytestmark = pytest.mark.timeout(180)  # a dozen commands, each a process that connects anew


@dataclass
class Console:
    """Runs `testbed` and keeps all that it said."""

    said: list[str] = field(default_factory=list)

    def __call__(self, *words: object, code: ExitCode = ExitCode.DONE) -> str:
        command = [sys.executable, "-c", "from testbed.cli import main; main()", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if code is ExitCode.DONE else done.stdout + done.stderr


def digest(folder: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def material(*private: str) -> list[str]:
    """The lines of private keys that hold the key itself."""
    return [line for text in private for line in text.splitlines() if len(line) > 40 and not line.startswith("-")]


def seen_in(folder: Path, secrets: list[str]) -> list[str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [f"{file}: {secret[:12]}..." for file in files for secret in secrets if secret.encode() in file.read_bytes()]


def test_a_replay_by_commands_and_nothing_secret_is_left_of_it(place, routers: Routers):
    testbed, out = Console(), place / "out"
    report, plan = write_report(place, routers, HOLDS), out / "plan.json"
    rack = ("-i", routers.inventory)

    made = json.loads(testbed("plan", report, *rack, "-o", plan, "--by", "alice", "--json"))
    assert (made["rack"], sorted(made["identities"])) == ("pair", ["r1", "r2"])
    assert made["revert_after"] >= 3 * made["estimate"] > 0
    assert "is unapproved" in testbed("apply", plan, *rack, "--dry-run", code=ExitCode.NO)
    assert "+ ip ospf cost 40" in testbed("approve", plan, "--by", "bob", "--key", place / "bob")

    before = digest(place / "home")
    shown = testbed("apply", plan, *rack, "--dry-run")
    for part in (
        "--- r1 (frr, 127.0.0.1 port",
        "+ ip ospf cost 40",
        "expect reachable source=r1",
        "takes back by itself",
    ):
        assert part in shown
    assert json.loads(testbed("apply", plan, *rack, "--dry-run", "--json"))["dry_run"] is True
    assert (digest(place / "home"), routers.cost(), routers.left()) == (before, COSTS[0], "")

    done = json.loads(testbed("apply", plan, *rack, "--json"))
    assert (done["outcome"], done["devices"]) == ("confirmed", {"r1": "new", "r2": "new"})
    assert "commit r1\ncommit r2\nverify\n" in testbed.said[-1]  # progress, one line per event
    assert "used already" in testbed("apply", plan, *rack, code=ExitCode.NO)
    assert testbed("recover", *rack) == "nothing was left half done\n"
    assert testbed("audit", "head").startswith("testbed/audit\n")
    assert "all as they were written" in testbed("audit", "verify")

    (routers.inventory.parent / "wrong_key").touch(0o600)
    (routers.inventory.parent / "wrong_key").write_text(wrong := new_key()[0])
    stranger = routers.inventory.with_name("stranger.yaml")
    stranger.write_text(routers.inventory.read_text().replace("admin_key", "wrong_key"))
    assert "refused user 'admin'" in testbed("plan", report, "-i", stranger, "-o", plan, code=ExitCode.UNABLE)

    secrets = [PASSWORD, *material(routers.devices["r1"].key, wrong)]
    keys = [place / "bob", place / "home" / "audit" / "key"]
    signing = [line for key in keys for line in material(key.read_text())]
    assert len(secrets) >= 5
    assert len(signing) >= 4
    for key in keys:
        assert key.stat().st_mode & 0o077 == 0
        key.unlink()
    assert seen_in(place, secrets + signing) == []
    assert not [secret for secret in secrets + signing if secret in "".join(testbed.said)]


def test_a_change_that_is_rolled_back_exits_1_and_a_short_timer_is_bad_input(place, routers: Routers):
    testbed, plan = Console(), approved(place, routers, FAILS)
    report, rack = place / "report.json", ("-i", routers.inventory)
    assert "reachable on the rack FAILED" in testbed("apply", plan, *rack, code=ExitCode.NO)
    assert routers.cost() == COSTS[0]
    asked = ("plan", report, *rack, "-o", plan, "--by", "alice", "--revert-after")
    assert "revert_after is 2 s; expected at least" in testbed(*asked, "2", code=ExitCode.BAD_INPUT)
    assert "what is not confirmed after 300 s" in testbed(*asked, "300")


def test_a_plan_is_for_one_rack_and_for_the_devices_that_hold_its_host_keys(place, routers: Routers):
    testbed, plan = Console(), approved(place, routers, HOLDS)
    other = routers.inventory.with_name("other.yaml")
    other.write_text(routers.inventory.read_text().replace("name: pair\n", "name: other\n"))
    said = testbed("apply", plan, "-i", other, code=ExitCode.NO)
    assert "is for the rack pair, this is the inventory of the rack other" in said

    folder, planned = routers.devices["r2"].folder, routers.sessions["r2"].host_key()
    mine, (private, public) = (folder / "host_key").read_text(), new_key()
    known = routers.inventory.with_name("known_hosts")
    enrolled = known.read_text()
    try:
        (folder / "host_key").write_text(private)
        assert "THE HOST KEY HAS CHANGED" in testbed("apply", plan, "-i", routers.inventory, code=ExitCode.UNABLE)
        known.write_text(enrolled.replace(routers.devices["r2"].host_public, public))
        said = testbed("apply", plan, "-i", routers.inventory, code=ExitCode.NO)
        assert "r2 is another device" in said
        assert planned in said
    finally:
        (folder / "host_key").write_text(mine)
        known.write_text(enrolled)
    assert (routers.cost(), routers.left()) == (COSTS[0], "")
