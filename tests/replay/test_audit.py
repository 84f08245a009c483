import dataclasses
import json
import os
import shutil
import signal
from multiprocessing import get_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A log that nobody changed, its head, and the bytes of what is stored."""
    opened = AuditLog.open(tmp_path_factory.mktemp("whole") / "audit")
    for number in range(COUNT):
        opened.append("step", device=f"r{number}", note="\u00e4\u2028" * (number % 2))
    return opened, {name: (opened.path / name).read_bytes() for name in ("log.jsonl", "checkpoints.jsonl")}


def changes(data):
    """One change of a stored file: any byte to any other, bytes put in or taken out, lines lost, swapped or doubled."""
    places, lines = st.integers(0, len(data) - 1), st.integers(0, data.count(b"\n") - 1)
    rows = data.splitlines(keepends=True)
    return st.one_of(
        st.builds(lambda at, byte: data[:at] + bytes([byte]) + data[at + 1 :], places, st.integers(0, 255)),
        st.builds(lambda at, bit: data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :], places, st.integers(0, 7)),
        st.builds(lambda at, more: data[:at] + more + data[at:], places, st.sampled_from([b" ", b"\n", b"\r", b"0"])),
        st.builds(lambda more: data + more, st.sampled_from([b" ", b"\n", b"{}\n", rows[-1], rows[0]])),
        st.builds(lambda at: data[:at] + data[at + 1 :], places),
        st.builds(lambda at: data[:at], places),
        st.builds(lambda row: b"".join(rows[:row] + rows[row + 1 :]), lines),
        st.builds(lambda row: b"".join(rows[: row + 1] + rows[row:]), lines),
        st.builds(lambda one, two: _swapped(rows, one, two), lines, lines),
    ).filter(lambda changed: changed != data)


def _swapped(rows, one, two):
    rows = list(rows)
    rows[one], rows[two] = rows[two], rows[one]
    return b"".join(rows)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_any_change_of_what_is_stored_is_found(whole, data):
    log, files = whole
    name = data.draw(st.sampled_from(sorted(files)))
    changed = data.draw(changes(files[name]))
    try:
        (log.path / name).write_bytes(changed)
        assert not audit.verify(log.path)
    finally:
        (log.path / name).write_bytes(files[name])
    assert audit.verify(log.path)


@given(kept=st.integers(0, COUNT - 1))
@settings(deadline=None)
def test_an_older_state_that_fits_itself_is_found_by_a_head_kept_elsewhere_in_a_file(whole, tmp_path_factory, kept):
    log, files = whole
    folder = tmp_path_factory.mktemp("older")
    shutil.copytree(log.path, folder / "audit")
    (folder / "head").write_text(audit.signed_head(log.path))
    for name, data in files.items():
        (folder / "audit" / name).write_bytes(b"".join(data.splitlines(keepends=True)[:kept]))
    assert audit.verify(folder / "audit")
    assert not audit.verify(folder / "audit", [audit.read_head(folder / "audit", folder / "head")])


def test_a_lost_or_altered_key_and_a_missing_file_are_found(log):
    text = (log.path / "key.pub").read_text()
    for altered in (text.replace("+", "-", 1), text[:-9] + "\n", "\n"):
        (log.path / "key.pub").write_text(altered)
        assert "key.pub" in audit.verify(log.path).problems[0]
    (log.path / "key.pub").write_text(text)
    (log.path / "pending").unlink()
    assert audit.verify(log.path).problems == ("pending is missing",)


def test_a_copy_without_its_lock_verifies_and_a_line_that_is_no_entry_is_named(log):
    (log.path / "lock").unlink()
    assert audit.verify(log.path)
    rewrite(log.path / "log.jsonl", lambda lines: [*lines[:2], "broken\n", *lines[3:]])
    with pytest.raises(Refused, match=r"line 3 of .*log\.jsonl is no entry"):
        audit.entries(log.path)


def test_a_head_that_cannot_be_read_or_is_of_another_log_is_refused(log, tmp_path):
    with pytest.raises(BadInput, match="cannot read the head"):
        audit.read_head(log.path, tmp_path / "none")
    other = AuditLog.open(tmp_path / "other")
    with pytest.raises(BadInput, match="no signed head"):
        audit.signed_head(other.path)
    other.append("step")
    (tmp_path / "head").write_text(audit.signed_head(other.path))
    with pytest.raises(Refused, match="no signature"):
        audit.read_head(log.path, tmp_path / "head")
