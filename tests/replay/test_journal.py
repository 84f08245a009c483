"""A journal that cannot be used stops what it should have recorded, says so, and never stops a rollback."""

import os
import resource
import sqlite3
from contextlib import closing

import pytest

from testbed.errors import BadInput, Refused, Unable
from testbed.replay.audit import AuditLog
from testbed.replay.journal import FORMAT, Journal
from tests.replay import scene
from tests.replay.scene import Rack, Told


@pytest.fixture
def rack():
    with scene.folder() as root:
        yield Rack.make(root / "rack", 2)


def test_only_its_owner_may_read_it(rack):
    rack.apply()
    assert (rack.root / "journal.sqlite").stat().st_mode & 0o077 == 0


def test_a_file_of_a_later_version_is_refused_and_left_as_it_is(rack):
    rack.apply()
    with closing(sqlite3.connect(rack.root / "journal.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = (rack.root / "journal.sqlite").read_bytes()
    with pytest.raises(Refused, match=f"format {FORMAT + 1}, this version knows {FORMAT}: a later version wrote it"):
        rack.recover()
    assert (rack.root / "journal.sqlite").read_bytes() == before


@pytest.mark.parametrize("damage", ["not a database", "page"])
def test_a_damaged_file_stops_everything_and_says_what_to_do(rack, damage):
    rack.apply()
    file = rack.root / "journal.sqlite"
    data = bytearray(file.read_bytes())
    if damage == "page":
        data[4096:] = os.urandom(len(data) - 4096)  # all pages but the first, which has the tables' names
    file.write_bytes(bytes(data) if damage == "page" else b"x" * 5000)
    with pytest.raises(Unable, match=r"journal\.sqlite is damaged .*put it back from a copy"):
        rack.recover()


def test_a_transaction_whose_plan_cannot_be_read_is_named(rack):
    rack.apply(Told(act=lambda: rack.unreachable("r1", True)))
    rack.unreachable("r1", False)
    with closing(sqlite3.connect(rack.root / "journal.sqlite")) as database, database:
        database.execute("UPDATE transactions SET plan = '{}'")
    with pytest.raises(
        BadInput, match=r"holds a transaction \w+ whose plan cannot be read .*the version that began it"
    ):
        rack.recover()


def no_more_room():
    """From here on no file of this process can grow: what a full disk does to journal and audit log."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))


def apply_in_process(rack, probes=None, before=lambda: None):
    """Apply in a process of its own; return what came of it as text."""

    def act():
        before()
        try:
            result = rack.apply(probes)
            said = f"{result.outcome} {dict(result.devices)} {result.reason}"
        except Unable as error:
            said = f"Unable: {error}"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        (rack.root / "said").write_text(said)

    assert scene.in_process(act) >= 0
    return (rack.root / "said").read_text()


def test_with_a_full_disk_nothing_is_sent(rack):
    assert "Unable: cannot use the journal" in apply_in_process(rack, before=no_more_room)
    assert not any(list((rack.root / name / "tx").iterdir()) for name in rack.names)
    assert rack.configuration() == "old"
    assert rack.apply()  # once there is room, with the very same plan


def test_a_disk_that_fills_while_verifying_takes_all_back_and_the_next_start_ends_it(rack):
    said = apply_in_process(rack, Told(act=no_more_room))
    assert said.startswith("pending {'r1': 'old', 'r0': 'old'}")
    assert "could not be written down" in said
    assert (rack.configuration(), rack.armed()) == ("old", [])
    assert [one.outcome for one in rack.recover()] == ["rolled-back"]
    assert rack.problems() == []


def test_an_unwritable_home_is_told_and_nothing_is_sent(tmp_path):
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(Unable, match="cannot use the journal"):
        Journal.open(tmp_path / "home" / "journal.sqlite")


def test_secrets_in_what_a_device_said_are_not_kept(rack):
    with closing(Journal.open(rack.root / "journal.sqlite")) as journal:
        log = AuditLog.open(rack.root / "audit")
        journal.begin("t", rack.plan(), log.head)
        number = journal.begin_step("t", "commit", "r0", log.head)
        journal.end_step(number, "rejected: ip ospf message-digest-key 1 md5 hunter2", log.head)
        journal.decide("t", "rollback", "r0: neighbor 10.0.0.1 password hunter2", log.head)
        assert "[redacted]" in str(journal.steps("t"))
        assert "hunter2" not in f"{journal.steps('t')} {journal.unfinished()}"
