import json
import shutil

import pytest

from testbed.errors import BadInput, Refused
from testbed.replay import api
from testbed.replay.audit import AuditLog
from tests.replay import scene


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TESTBED_HOME", str(tmp_path / "home"))
    return tmp_path


def test_a_verdict_is_read_from_a_report(place):
    verdict = scene.verdict(["r0", "r1"])
    (place / "report.json").write_text(json.dumps({"summary": {}, "verdict": verdict.model_dump(mode="json")}))
    assert api.read_verdict(place / "report.json") == verdict


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdict": 3}', '{"verdict": {"outcome": "PASSED"}}'])
def test_what_is_no_report_is_bad_input(place, text):
    (place / "report.json").write_text(text)
    with pytest.raises(BadInput, match=r"report\.json"):
        api.read_verdict(place / "report.json")
    with pytest.raises(BadInput, match="cannot read"):
        api.read_verdict(place / "none.json")


def test_enrolling_stands_in_the_audit_log_and_a_key_is_made_once(place):
    api.enrol_new_key("bob", place / "bob")
    api.enrol_new_key("bob", place / "bob")
    assert api.approvers_path().read_text().count("bob ssh-ed25519 ") == 1
    assert [entry["kind"] for entry in api.audit_entries()] == ["approver.enrolled"] * 2
    assert api.audit_entries()[0]["name"] == "bob"
    assert api.audit_verify()


def test_the_journal_uncovers_an_audit_log_put_back_to_an_older_state(place):
    api.enrol_new_key("bob", place / "bob")
    older = {name: (api.audit_path() / name).read_text() for name in ("log.jsonl", "checkpoints.jsonl")}
    api.enrol_new_key("carol", place / "carol")
    for name, text in older.items():
        (api.audit_path() / name).write_text(text)
    report = api.audit_verify()
    assert not report
    assert report.first_bad == 1
    assert "entries 1 to 1 were cut off the end" in report.problems


def test_without_a_log_verify_is_bad_input(place):
    with pytest.raises(BadInput, match="no audit log"):
        api.audit_verify()


def test_another_log_is_verified_by_itself(place):
    AuditLog.open(place / "elsewhere").append("step")
    assert api.audit_verify(place / "elsewhere").size == 1


def test_a_plan_is_approved_in_its_file_and_not_by_its_proposer(place):
    with scene.folder() as root:
        rack = scene.Rack.make(root / "rack", 2)
        file = rack.root / "plan.json"
        assert api.approve_plan(file, "carol", rack.root / "bob").approval
        assert json.loads(file.read_text())["approval"]["by"] == "carol"
        with pytest.raises(Refused, match="self-approved"):
            api.approve_plan(file, "alice", rack.root / "bob")


def test_a_broken_log_stops_every_command_until_it_is_renewed_and_the_new_one_says_why(place):
    api.enrol_new_key("bob", place / "bob")
    older = {name: (api.audit_path() / name).read_text() for name in ("log.jsonl", "checkpoints.jsonl")}
    api.enrol_new_key("carol", place / "carol")
    with pytest.raises(Refused, match="is whole"):
        api.audit_renew("no reason")
    for name, text in older.items():
        (api.audit_path() / name).write_text(text)
    with pytest.raises(Refused, match="not the one the journal saw last"):
        api.enrol_new_key("dave", place / "dave")
    kept = api.audit_renew("put back from an old copy")
    assert kept is not None
    assert (kept / "log.jsonl").read_text() == older["log.jsonl"]
    (first,) = api.audit_entries()
    assert (first["kind"], first["reason"], first["before"]["size"]) == ("log.renewed", "put back from an old copy", 2)
    assert api.audit_verify()
    api.enrol_new_key("dave", place / "dave")
    assert api.audit_verify().size == 2


def test_a_head_kept_elsewhere_uncovers_a_home_put_back_whole(place):
    api.enrol_new_key("bob", place / "bob")
    shutil.copytree(place / "home", place / "copy")
    api.enrol_new_key("carol", place / "carol")
    (place / "head").write_text(api.audit_head())
    assert api.audit_verify(head=place / "head")
    shutil.rmtree(place / "home")
    shutil.copytree(place / "copy", place / "home")
    assert api.audit_verify()  # journal and log fit each other
    assert not api.audit_verify(head=place / "head")
