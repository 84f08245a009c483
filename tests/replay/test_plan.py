import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.base import Capability
from testbed.errors import BadInput, Refused
from testbed.model.change import ConvergenceGap, Throughput
from testbed.model.verdict import Outcome, StaticFinding
from testbed.replay import audit, keys, plan
from testbed.replay.audit import AuditLog
from tests.replay import scene
from tests.replay.scene import Rack

NAMES = ("r0", "r1")


@pytest.fixture
def rack():
    with scene.folder() as root:
        yield Rack.make(root / "rack", 2)


@pytest.fixture
def key():
    return Ed25519PrivateKey.generate()


def make(rack, verdict=None, **options):
    options = {"proposed_by": "alice", **options}
    return plan.make_plan(verdict or scene.verdict(NAMES), scene.inventory(NAMES), rack.devices(), **options)


def test_a_plan_binds_the_exact_bytes_and_the_configurations(rack):
    made = make(rack)
    assert [(one.device, one.lines, one.before_hash) for one in made.devices] == [
        (name, scene.new(name), rack.device(name).config_hash()) for name in NAMES
    ]
    assert made.id == plan.plan_id(made)


def test_a_plan_comes_back_from_its_file(rack, tmp_path):
    made = make(rack)
    plan.save(made, tmp_path / "plan.json")
    assert plan.load(tmp_path / "plan.json") == made


def altered_values(value, path=()):
    """Yield every way to change one leaf of a JSON value."""
    if isinstance(value, dict):
        for key in value:
            yield from altered_values(value[key], (*path, key))
    elif isinstance(value, list) and value:
        for index in range(len(value)):
            yield from altered_values(value[index], (*path, index))
    elif isinstance(value, str) and path[-1] not in ("kind", "outcome", "device"):
        yield path, value + "x"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value + 1


def test_a_plan_altered_in_any_place_is_refused(rack, tmp_path):
    file = tmp_path / "plan.json"
    plan.save(make(rack), file)
    whole = json.loads(file.read_text())
    places = list(altered_values({key: value for key, value in whole.items() if key != "approval"}))
    assert len(places) > 15
    for path, value in places:
        copy = json.loads(file.read_text())
        inner = copy
        for part in path[:-1]:
            inner = inner[part]
        inner[path[-1]] = value
        (tmp_path / "altered.json").write_text(json.dumps(copy))
        with pytest.raises(Refused, match="altered"):
            plan.load(tmp_path / "altered.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"id": "x"}'])
def test_what_is_no_plan_is_bad_input(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(BadInput):
        plan.load(tmp_path / "plan.json")
    with pytest.raises(BadInput, match="cannot read"):
        plan.load(tmp_path / "none.json")


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_only_a_passed_verdict_makes_a_plan(rack, outcome):
    with pytest.raises(Refused, match=outcome):
        make(rack, scene.verdict(NAMES).model_copy(update={"outcome": outcome}))


def findings(*given):
    return scene.verdict(NAMES).model_copy(update={"findings": given})


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        (findings(scene.finding(phases=["before-1", "after-1"])), "after-2: it did not reproduce"),
        (findings(scene.finding(phases=[])), "after-1 and after-2"),
        (findings(scene.finding(Outcome.INCONCLUSIVE)), "INCONCLUSIVE"),
        (findings(), "0 of 1 expectations"),
    ],
)
def test_a_verdict_that_calls_itself_passed_without_reproducing_makes_no_plan(rack, verdict, why):
    with pytest.raises(Refused, match=why):
        make(rack, verdict)


def test_a_failed_static_check_makes_no_plan(rack):
    failed = StaticFinding(check="addresses", outcome=Outcome.FAILED, message="twice")
    with pytest.raises(Refused, match="addresses FAILED"):
        make(rack, scene.verdict(NAMES).model_copy(update={"static": (failed,)}))


def test_a_device_that_changed_since_makes_the_plan_stale(rack):
    (rack.root / "r0" / "running").write_text("changed\n")
    with pytest.raises(Refused, match="stale: the configuration of r0"):
        make(rack)


def test_an_unknown_device_names_the_nearest(rack):
    with pytest.raises(BadInput, match="no device called 'r11'; did you mean 'r1'"):
        make(rack, scene.verdict(["r0", "r11"]))


@pytest.mark.parametrize("seconds", [0.0, 1.0, -5.0, float("nan"), float("inf"), 1e9])
def test_a_timer_that_does_not_outlast_the_steps_is_refused(rack, seconds):
    with pytest.raises(BadInput, match="revert_after is"):
        make(rack, revert_after=seconds)


def test_what_the_rack_cannot_measure_is_said_in_the_plan(rack):
    expect = (
        ConvergenceGap(kind="convergence", source="r0", destination="r1", below=1.0),
        Throughput(kind="throughput", source="r0", destination="r1", above=1e6),
    )
    said = plan.lacks(expect, scene.verdict(NAMES).devices, rack.devices())
    assert [text.partition(":")[0] for text in said] == [
        "expectation 0 (convergence) is not measured on the rack",
        "expectation 1 (throughput) is not measured on the rack",
    ]


def test_a_plan_says_which_device_would_lose_the_change_in_a_restart(rack, monkeypatch):
    kept = scene.DiskDevice.capabilities
    assert plan.lacks((), scene.verdict(NAMES).devices, rack.devices()) == []
    monkeypatch.setattr(scene.DiskDevice, "capabilities", kept - {Capability.PERSISTENCE})
    said = plan.lacks((), scene.verdict(NAMES).devices, rack.devices())
    assert [text.partition(":")[0] for text in said] == list(NAMES)
    assert all("survive a restart" in text for text in said)


def test_an_approved_plan_is_let_through(rack, key):
    plan.check(plan.approve(make(rack), "bob", key), {"bob": [key.public_key()]})


@pytest.mark.parametrize("by", ["alice", "Alice", " alice ", "", "  "])
def test_nobody_approves_their_own_plan(rack, key, by):
    with pytest.raises(Refused, match="self-approved"):
        plan.approve(make(rack), by, key)


def test_an_unapproved_plan_is_refused(rack, key):
    with pytest.raises(Refused, match="unapproved"):
        plan.check(make(rack), {"bob": [key.public_key()]})


def with_approval(approved, **changes):
    return approved.model_copy(update={"approval": approved.approval.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"by": "alice"}, "self-approved"),
        ({"by": "carol"}, "signature is not by a listed key of carol"),
        ({"by": "dave"}, "'dave' is no approver here"),
        ({"at": 1.0}, "signature is not by"),
        ({"signature": ""}, "signature is not by"),
        ({"signature": "not base64"}, "signature is not by"),
        ({"plan_hash": "0" * 64}, "for another plan"),
    ],
)
def test_a_forged_approval_is_refused(rack, key, changes, why):
    approved = plan.approve(make(rack), "bob", key)
    listed = {"bob": [key.public_key()], "carol": [Ed25519PrivateKey.generate().public_key()]}
    with pytest.raises(Refused, match=why):
        plan.check(with_approval(approved, **changes), listed)


def test_the_proposers_own_key_under_another_name_is_no_approval(rack, key):
    approved = plan.approve(make(rack), "bob", key)
    with pytest.raises(Refused, match="signed by a key of alice, who proposed it: self-approved"):
        plan.check(approved, {"bob": [key.public_key()], "Alice": [key.public_key()]})


def test_an_approval_moved_to_another_plan_is_refused(rack, key):
    one, other = plan.approve(make(rack), "bob", key), make(rack, revert_after=90.0)
    with pytest.raises(Refused, match="for another plan"):
        plan.check(other.model_copy(update={"approval": one.approval}), {"bob": [key.public_key()]})


def test_making_refusing_and_approving_stand_in_the_audit_log_without_the_bytes(rack, key, tmp_path):
    log = AuditLog.open(tmp_path / "audit")
    made = make(rack, audit=log)
    with pytest.raises(Refused):
        make(rack, scene.verdict(NAMES).model_copy(update={"outcome": Outcome.FAILED}), audit=log)
    plan.approve(made, "bob", key, log)
    assert [entry["kind"] for entry in audit.entries(log.path)] == ["plan.made", "plan.refused", "plan.approved"]
    assert "cost 40" not in (log.path / "log.jsonl").read_text()


def test_a_key_made_here_or_by_ssh_keygen_is_read_and_never_overwritten(tmp_path):
    made = keys.make_key(tmp_path / "key")
    assert keys.read_private(tmp_path / "key").public_key() == made
    assert keys.read_public(tmp_path / "key.pub") == made
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(Refused, match="never overwritten"):
        keys.make_key(tmp_path / "key")


def test_a_key_others_may_read_is_refused(tmp_path):
    keys.make_key(tmp_path / "key")
    os.chmod(tmp_path / "key", 0o640)
    with pytest.raises(Refused, match="chmod 600"):
        keys.read_private(tmp_path / "key")


def test_what_is_no_key_says_how_to_make_one(tmp_path):
    (tmp_path / "key").write_text("hello")
    (tmp_path / "key").chmod(0o600)
    for path in (tmp_path / "key", tmp_path / "none"):
        with pytest.raises(BadInput, match="ssh-keygen"):
            keys.read_private(path)
        with pytest.raises(BadInput):
            keys.read_public(path)


def test_a_bad_line_of_the_approvers_is_named(tmp_path):
    file = tmp_path / "approvers"
    assert keys.read_approvers(file) == {}
    public = keys.make_key(tmp_path / "key")
    keys.enrol(file, "bob", public)
    keys.enrol(file, "bob", public)
    assert keys.read_approvers(file) == {"bob": (public,)}
    file.write_text(file.read_text().rstrip())
    keys.enrol(file, "carol", public)
    assert sorted(keys.read_approvers(file)) == ["bob", "carol"]
    file.write_text("# who may approve\n\nbob ssh-ed25519 nonsense\n")
    with pytest.raises(BadInput, match="approvers:3"):
        keys.read_approvers(file)
    for name in ("", "two words", "#bob"):
        with pytest.raises(BadInput, match="one word"):
            keys.enrol(file, name, public)
