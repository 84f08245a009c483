import dataclasses
import json
import os
import shutil
import signal
from multiprocessing import get_context

import pytest

from testbed.errors import BadInput, Refused
from testbed.replay import audit, faultpoint, merkle
from testbed.replay.audit import AuditLog

COUNT = 6


@pytest.fixture
def log(tmp_path):
    opened = AuditLog.open(tmp_path / "audit")
    for number in range(COUNT):
        opened.append("step", device=f"r{number}")
    return opened


def rewrite(path, change):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(change(lines)))


def test_an_untouched_log_verifies(log):
    report = audit.verify(log.path)
    assert report
    assert (report.size, report.first_bad, report.head) == (COUNT, None, log.head)
    assert [entry["fields"]["device"] for entry in audit.entries(log.path)] == [f"r{n}" for n in range(COUNT)]


def test_a_log_opened_again_goes_on(log):
    AuditLog.open(log.path).append("more")
    log.append("and more")  # by the first process, which has not seen the other's entry
    assert audit.verify(log.path).size == COUNT + 2


@pytest.mark.parametrize("bad", range(COUNT))
def test_an_altered_entry_is_named(log, bad):
    rewrite(log.path / "log.jsonl", lambda lines: [line.replace(f'"r{bad}"', '"rX"') for line in lines])
    report = audit.verify(log.path)
    assert not report
    assert report.first_bad == bad
    assert f"entry {bad} was altered" in report.problems


@pytest.mark.parametrize("bad", range(COUNT - 1))
def test_a_removed_entry_is_named(log, bad):
    rewrite(log.path / "log.jsonl", lambda lines: lines[:bad] + lines[bad + 1 :])
    report = audit.verify(log.path)
    assert report.first_bad == bad
    assert f"entry {bad} was removed" in report.problems[0]


@pytest.mark.parametrize("bad", range(COUNT - 1))
def test_entries_in_another_order_are_named(log, bad):
    rewrite(log.path / "log.jsonl", lambda lines: [*lines[:bad], lines[bad + 1], lines[bad], *lines[bad + 2 :]])
    report = audit.verify(log.path)
    assert report.first_bad == bad
    assert f"entry {bad} was moved: it stands at line {bad + 2}" in report.problems


@pytest.mark.parametrize("kept", range(COUNT))
def test_a_truncated_log_is_found(log, kept):
    rewrite(log.path / "log.jsonl", lambda lines: lines[:kept])
    report = audit.verify(log.path)
    assert report.first_bad == kept
    assert f"entries {kept} to {kept} were cut off the end" in report.problems


@pytest.mark.parametrize("kept", range(COUNT))
def test_an_older_state_put_back_whole_is_found_by_the_head_kept_elsewhere(log, kept):
    for name in ("log.jsonl", "checkpoints.jsonl"):
        rewrite(log.path / name, lambda lines: lines[:kept])
    assert audit.verify(log.path)  # the directory alone cannot know
    report = audit.verify(log.path, heads=[log.head])
    assert report.first_bad == kept
    assert f"entries {kept} to {COUNT - 1} were cut off the end" in report.problems


@pytest.mark.parametrize("cut", [1, 40])
def test_a_last_line_cut_short_is_found(log, cut):
    data = (log.path / "log.jsonl").read_bytes()
    (log.path / "log.jsonl").write_bytes(data[:-cut])
    report = audit.verify(log.path)
    assert not report
    assert "the last line of log.jsonl is cut short" in report.problems


def test_an_entry_added_without_a_head_is_found(log):
    with (log.path / "log.jsonl").open("a") as file:
        file.write('{"n":6}\n')
    report = audit.verify(log.path)
    assert report.first_bad == COUNT
    assert "without a signed head" in report.problems[0]


def test_a_head_signed_by_another_key_is_found(log, tmp_path):
    other = AuditLog.open(tmp_path / "other")
    for number in range(COUNT):
        other.append("step", device=f"r{number}")
    shutil.copy(other.path / "checkpoints.jsonl", log.path / "checkpoints.jsonl")
    report = audit.verify(log.path)
    assert not report
    assert "no signature of" in report.problems[0]


def test_a_wholly_forged_log_is_found_by_the_key_kept_elsewhere(log, tmp_path):
    other = AuditLog.open(tmp_path / "other")
    other.append("forged")
    assert audit.verify(other.path)
    assert not audit.verify(other.path, verifier=(log.path / "key.pub").read_text())


@pytest.mark.parametrize("name", ["log.jsonl", "checkpoints.jsonl"])
def test_a_broken_log_takes_no_more_entries(log, name):
    rewrite(log.path / name, lambda lines: lines[:-1])
    with pytest.raises(Refused, match="audit verify"):
        log.append("more")
    with pytest.raises(Refused, match="audit verify"):
        AuditLog.open(log.path)


@pytest.mark.parametrize("name", ["log.jsonl", "checkpoints.jsonl", "key"])
def test_a_missing_file_is_named(log, name):
    (log.path / name).unlink()
    with pytest.raises(Refused, match=name):
        AuditLog.open(log.path)


def test_where_there_is_no_log_verify_says_so(tmp_path):
    with pytest.raises(BadInput, match="no audit log"):
        audit.verify(tmp_path)


def test_an_entry_and_an_older_head_can_be_proven(log):
    older = log.head
    newer = log.append("more")
    leaf, proof = audit.prove_inclusion(log.path, 2)
    assert merkle.verify_inclusion(leaf, 2, newer.size, proof, newer.root)
    consistency = audit.prove_consistency(log.path, older.size)
    assert merkle.verify_consistency(older.size, newer.size, older.root, newer.root, consistency)
    assert log.contains(older)
    assert not log.contains(dataclasses.replace(older, root=newer.root))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"password": "hunter2"}, "password"),
        ({"deep": [{"api_token": "hunter2"}]}, "api_token"),
        ("neighbor 10.0.0.1 password hunter2", "neighbor 10.0.0.1"),
        ("ip ospf message-digest-key 1 md5 hunter2\n cost 5", "cost 5"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----", "BEGIN"),
    ],
)
def test_secrets_are_blotted_out(log, value, kept):
    log.append("step", what=value)
    text = (log.path / "log.jsonl").read_text()
    assert "hunter2" not in text
    assert kept in text
    assert audit.REDACTED in text


def _append_and_die(path, point):
    os.environ["TESTBED_KILL_AT"] = point
    opened = AuditLog.open(path)
    faultpoint.restart()
    opened.append("last", device="r9")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_killed_append_is_done_or_was_never_begun(log, write, moment):
    process = get_context("fork").Process(target=_append_and_die, args=(log.path, f"audit:{write}:{moment}"))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    begun = (write, moment) != (1, "before")
    assert audit.verify(log.path).size == COUNT + begun
    AuditLog.open(log.path).append("next")
    report = audit.verify(log.path)
    assert report
    kinds = [entry["kind"] for entry in audit.entries(log.path)]
    assert kinds == ["step"] * COUNT + ["last"] * begun + ["next"]


@pytest.mark.parametrize("kept", [0, 1, 30, -1])
def test_a_pending_append_that_was_itself_cut_short_counts_as_never_begun(log, kept):
    process = get_context("fork").Process(target=_append_and_die, args=(log.path, "audit:1:after"))
    process.start()
    process.join()
    pending = log.path / "pending"
    pending.write_bytes(pending.read_bytes()[:kept])
    assert audit.verify(log.path).size == COUNT
    AuditLog.open(log.path).append("next")
    assert audit.verify(log.path).size == COUNT + 1


def _append_many(path, count):
    opened = AuditLog.open(path)
    for number in range(count):
        opened.append("many", number=number)


def test_processes_that_append_at_once_lose_nothing(log):
    processes = [get_context("fork").Process(target=_append_many, args=(log.path, 25)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    report = audit.verify(log.path)
    assert report
    assert report.size == COUNT + 75


def test_every_line_is_canonical_json(log):
    for line in (log.path / "log.jsonl").read_bytes().splitlines():
        assert audit.canonical.encode(json.loads(line)) == line
