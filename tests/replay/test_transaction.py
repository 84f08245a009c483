import signal
import time

import pytest

from testbed.errors import BadInput, DeviceError, Refused, Unable
from testbed.model.verdict import Outcome
from testbed.replay import audit, keys, plan, transaction
from testbed.replay.journal import Journal
from tests.replay import scene
from tests.replay.scene import Rack, Told


@pytest.fixture
def rack():
    with scene.folder() as root:
        yield Rack.make(root / "rack", 2)


def kinds(rack):
    return [entry["kind"] for entry in audit.entries(rack.root / "audit")]


def test_a_plan_that_holds_is_confirmed_on_every_device(rack):
    result = rack.apply()
    assert result
    assert (result.outcome, result.devices) == ("confirmed", {"r0": "new", "r1": "new"})
    assert rack.problems() == []
    assert rack.configuration() == "new"


def test_every_act_stands_in_the_audit_log_before_the_next(rack):
    rack.apply()
    steps = [
        (entry["fields"]["step"], entry["fields"]["device"])
        for entry in audit.entries(rack.root / "audit")
        if entry["kind"] == "replay.step"
    ]
    acts = [(step, name) for step in ("load", "commit") for name in rack.names]
    assert steps == [*acts, ("verify", ""), *((step, name) for step in ("confirm", "forget") for name in rack.names)]


def test_nothing_is_committed_before_all_is_loaded_nor_confirmed_before_all_is_verified(rack):
    rack.apply()
    journal = Journal.open(rack.root / "journal.sqlite")
    order = [step for step, *_ in journal.steps(rack.plan().id[:16])]
    journal.close()
    assert order == ["load"] * 2 + ["commit"] * 2 + ["verify"] + ["confirm"] * 2 + ["forget"] * 2


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.INCONCLUSIVE])
def test_what_does_not_hold_on_the_rack_is_rolled_back_and_the_result_is_false(rack, outcome):
    result = rack.apply(Told(outcome))
    assert not result
    assert result.outcome == "rolled-back"
    assert outcome in result.reason
    assert rack.problems() == []
    assert rack.configuration() == "old"


def test_a_line_that_a_device_rejects_takes_the_others_back_and_leaves_no_timer():
    with scene.folder() as root:
        rack = Rack.make(root / "rack", 3, rejected="r2")
        result = rack.apply()
        assert result.outcome == "rolled-back"
        assert "REJECT" in result.reason
        assert rack.problems() == []


def test_an_interrupt_while_verifying_leaves_nothing_armed(rack):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rack.apply(Told(act=interrupt))
    assert rack.problems() == []
    assert rack.configuration() == "old"


def test_a_timer_that_fires_while_verifying_takes_all_back(rack):
    result = rack.apply(Told(act=lambda: rack.device("r1").fire()))
    assert result.outcome == "rolled-back"
    assert rack.problems() == []


def test_a_timer_that_fires_between_two_confirmations_takes_the_confirmed_one_back(rack, monkeypatch):
    confirm_one = transaction._confirm_one

    def fire_first(run, device):
        if device == "r1":
            rack.device("r1").fire()
        confirm_one(run, device)

    monkeypatch.setattr(transaction, "_confirm_one", fire_first)
    result = rack.apply()
    assert result.outcome == "rolled-back"
    assert "timer has fired" in result.reason
    assert rack.problems() == []


def test_a_device_lost_before_the_decision_reverts_by_itself_and_recovery_ends_it():
    with scene.folder() as root:
        rack = Rack.make(root / "rack", 2, revert_after=30.0)
        result = rack.apply(Told(act=lambda: rack.unreachable("r1", True)))
        assert (result.outcome, result.devices) == ("pending", {"r0": "old", "r1": "unknown"})
        rack.unreachable("r1", False)
        rack.device("r1").fire()
        with pytest.raises(Refused, match="used already"):
            rack.apply()
        assert [one.outcome for one in rack.recover()] == ["rolled-back"]
        assert rack.problems() == []
        assert rack.recover() == []


def test_an_unattended_device_takes_its_old_configuration_back_in_time():
    """The timer itself, in real time, with nobody there."""
    with scene.folder() as root:
        rack = Rack.make(root / "rack", 1)
        device = rack.device("r0")
        device.load("t", scene.new("r0"))
        device.commit("t", 0.3)
        assert rack.configuration().startswith("mixed")  # running is new, startup old
        deadline = time.monotonic() + 10
        while device.armed() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert rack.configuration() == "old"
        assert device.state("t") == "reverted"


def test_too_little_left_of_the_timers_is_no_time_to_confirm(rack):
    short = rack.plan().model_copy(update={"revert_after": 1.2, "id": "", "approval": None})
    short = plan.approve(plan._identified(short), "bob", keys.read_private(rack.root / "bob"))
    result = rack.apply(Told(act=lambda: time.sleep(0.4)), chosen=short)
    assert result.outcome == "rolled-back"
    assert "too little is left" in result.reason
    assert rack.problems() == []


def test_a_device_that_would_do_something_else_than_the_twin_gets_nothing(rack, monkeypatch):
    original = scene.DiskDevice.load

    def load(self, name, lines):
        loaded = original(self, name, lines)
        return scene.predicted(name, scene.old(self.name), "else\n") if self.name == "r1" else loaded

    monkeypatch.setattr(scene.DiskDevice, "load", load)
    result = rack.apply()
    assert result.outcome == "rolled-back"
    assert "r1 would not do what the twin did: its lines has 'else\\n' in line 1" in result.reason
    assert not any(step == "commit" for step, *_ in steps_of(rack))
    assert rack.problems() == []


def steps_of(rack):
    journal = Journal.open(rack.root / "journal.sqlite")
    steps = journal.steps(rack.plan().id[:16])
    journal.close()
    return steps


def test_a_configuration_that_became_another_than_in_the_twin_is_rolled_back(rack):
    running = rack.root / "r1" / "running"
    result = rack.apply(Told(act=lambda: running.write_text("something else\n")))
    assert result.outcome == "rolled-back"
    assert "the configuration of r1 became" in result.reason


def test_a_used_plan_is_refused_and_stays_so_in_the_audit_log(rack):
    rack.apply()
    with pytest.raises(Refused, match="used already"):
        rack.apply()
    assert kinds(rack)[-1] == "apply.refused"


def test_a_stale_plan_is_refused_and_nothing_is_sent(rack):
    (rack.root / "r1" / "running").write_text("changed by hand\n")
    with pytest.raises(Refused, match="stale: the configuration of r1"):
        rack.apply()
    assert steps_of(rack) == []


def test_a_plan_for_a_device_the_rack_lacks_is_refused(rack):
    with pytest.raises(BadInput, match="the rack disks has no device called 'r1'"):
        Rack(rack.root, ("r0",)).apply()


def test_an_unreachable_device_stops_it_before_anything_is_sent_and_the_plan_stays_unused(rack):
    rack.unreachable("r1", True)
    with pytest.raises(DeviceError, match="no answer"):
        rack.apply()
    rack.unreachable("r1", False)
    assert rack.apply()


def test_two_replays_at_once_are_refused(rack):
    refusals = []

    def recover_meanwhile():
        with pytest.raises(Refused) as refused:
            rack.recover()
        refusals.append(str(refused.value))

    assert rack.apply(Told(act=recover_meanwhile))
    assert refusals == ["another replay is under way here; wait until it has ended"]
    assert rack.problems() == []


def test_an_audit_log_put_back_to_an_older_state_stops_the_next_replay(rack):
    fresh = (rack.root / "audit" / "log.jsonl").read_text(), (rack.root / "audit" / "checkpoints.jsonl").read_text()
    rack.apply()
    for name, text in zip(("log.jsonl", "checkpoints.jsonl"), fresh, strict=True):
        (rack.root / "audit" / name).write_text(text)
    again = plan.make_plan(
        scene.verdict(rack.names), scene.inventory(rack.names), _put_back(rack), "alice", revert_after=3600
    )
    with pytest.raises(Refused, match="not the one the journal saw last"):
        rack.apply(chosen=plan.approve(again, "bob", keys.read_private(rack.root / "bob")))


def _put_back(rack):
    for name in rack.names:
        (rack.root / name / "running").write_text(scene.old(name))
    return rack.devices()


def test_a_rollback_goes_on_when_the_audit_log_breaks_under_it(rack):
    def break_log():
        (rack.root / "audit" / "log.jsonl").write_text("broken\n")

    result = rack.apply(Told(Outcome.FAILED, break_log))
    assert (result.outcome, result.devices) == ("pending", {"r0": "old", "r1": "old"})
    assert "could not be written down: the audit log" in result.reason
    assert rack.configuration() == "old"
    assert rack.armed() == []


def test_no_other_plan_touches_a_device_whose_transaction_is_unfinished():
    with scene.folder() as root:
        rack = Rack.make(root / "rack", 2)
        other = plan.approve(
            plan.make_plan(
                scene.verdict(rack.names), scene.inventory(rack.names), rack.devices(), "alice", revert_after=90
            ),
            "bob",
            keys.read_private(rack.root / "bob"),
        )
        rack.apply(Told(act=lambda: rack.unreachable("r1", True)))
        rack.unreachable("r1", False)
        with pytest.raises(Refused, match="is unfinished on r0, r1; recover it first"):
            rack.apply(chosen=other)
        rack.recover()
        assert rack.problems() == []
        assert rack.apply(chosen=other)


def test_a_plan_for_another_rack_is_refused_and_both_are_named(rack):
    elsewhere = rack.inventory().model_copy(update={"name": "other"})
    with pytest.raises(Refused, match="is for the rack disks, this is the inventory of the rack other"):
        rack.apply(inventory=elsewhere)
    assert steps_of(rack) == []


def test_a_plan_is_refused_when_a_device_holds_another_host_key_though_its_configuration_is_equal(rack):
    (rack.root / "r1" / "host_key").write_text("disk SHA256:replaced")
    with pytest.raises(Refused, match=r"r1 is another device.*host key disk SHA256:r1,.*host key disk SHA256:replaced"):
        rack.apply()
    assert steps_of(rack) == []


def test_a_plan_is_refused_when_a_device_is_reached_elsewhere(rack):
    moved = {**rack.inventory().devices, "r1": rack.inventory().devices["r1"].model_copy(update={"port": 2022})}
    with pytest.raises(Refused, match=r"r1 is another device.*127\.0\.0\.1 port 22 .*127\.0\.0\.1 port 2022 "):
        rack.apply(inventory=rack.inventory().model_copy(update={"devices": moved}))


def test_recovery_leaves_other_racks_alone_and_a_device_that_took_the_place_of_another(rack):
    rack.apply(Told(act=lambda: rack.unreachable("r1", True)))
    rack.unreachable("r1", False)
    assert rack.recover(rack.inventory().model_copy(update={"name": "other"})) == []
    (rack.root / "r1" / "host_key").write_text("disk SHA256:replaced")
    (pending,) = rack.recover()
    assert (pending.outcome, pending.devices) == ("pending", {"r0": "old", "r1": "unknown"})
    assert "r1 is another device" in pending.reason
    (rack.root / "r1" / "host_key").unlink()
    assert [one.outcome for one in rack.recover()] == ["rolled-back"]
    assert rack.problems() == []


def test_a_device_given_up_no_longer_keeps_its_transaction_open(rack):
    rack.apply(Told(act=lambda: rack.unreachable("r1", True)))
    with pytest.raises(BadInput, match=r"no unfinished transaction touches r7 \(devices of such: r0, r1\)"):
        rack.recover(gone=["r7"])
    (ended,) = rack.recover(gone=["r1"])
    assert (ended.outcome, ended.devices) == ("rolled-back", {"r0": "old", "r1": "gone"})
    assert rack.recover() == []
    recovering = [one["fields"] for one in audit.entries(rack.root / "audit") if one["kind"] == "replay.recovering"]
    assert recovering[-1]["gone"] == ["r1"]


def test_what_was_confirmed_somewhere_is_taken_back_when_another_device_is_given_up():
    with scene.folder() as root:
        rack = Rack.make(root / "rack", 2)
        # killed before the second confirmation is begun: r0 is new for good, r1 waits
        assert scene.in_process(rack.apply, "journal:15:before") == -signal.SIGKILL
        assert (rack.device("r0").state(rack.plan().id[:16]), rack.armed() != []) == ("confirmed", True)
        rack.unreachable("r1", True)
        assert [one.outcome for one in rack.recover(gone=["r1"])] == ["rolled-back"]
        assert (rack.root / "r0" / "running").read_text() == scene.old("r0")


def test_a_decision_that_cannot_be_written_down_is_a_rollback(rack, monkeypatch):
    decide = Journal.decide

    def full(self, transaction, decision, reason, head):
        if decision == "confirm":
            raise Unable("disk full")
        decide(self, transaction, decision, reason, head)

    monkeypatch.setattr(Journal, "decide", full)
    result = rack.apply()
    assert result.outcome == "rolled-back"
    assert "the decision to confirm could not be written down: disk full" in result.reason
    assert rack.problems() == []
