"""Plans: a passed change bound to exact bytes and configurations, approved by somebody else, used once."""

from __future__ import annotations

import base64
import binascii
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import ValidationError

from adapters.base import Adapter, Capability
from testbed.errors import BadInput, Refused, nearest
from testbed.model.change import Expectation
from testbed.model.plan import Approval, Plan
from testbed.model.rack import Inventory
from testbed.model.verdict import DeviceChange, Finding, Outcome, Verdict
from testbed.replay import canonical, identity, timing, verify
from testbed.replay.audit import AuditLog
from testbed.replay.verify import Cannot

AFTER = ("after-1", "after-2")


def make_plan(
    verdict: Verdict,
    inventory: Inventory,
    adapters: Mapping[str, Adapter],
    proposed_by: str,
    *,
    revert_after: float | None = None,
    audit: AuditLog | None = None,
    cannot_measure: Cannot = verify.cannot_measure,
) -> Plan:
    """Bind a passed change to bytes and to the devices as they are now.

    Args:
        verdict: of the twin; only PASSED, in both rounds after the change, makes a plan.
        inventory: the rack. adapters: sessions to its devices, by name.
        proposed_by: who asks; somebody else must approve.
        revert_after: seconds until a device that was not confirmed takes its old configuration back; when None, as
            `testbed.replay.timing` finds right for the plan.
        audit: where the plan, or its refusal, is recorded.
        cannot_measure: why an expectation is not measured there; empty when it is.

    Raises:
        Refused: not a verdict to act on, or a device's configuration is no longer the one the twin tried (stale).
        BadInput: a device the rack has not, no proposer, or a time too short to verify in.
        DeviceError: a device cannot be reached.
    """
    try:
        _check_verdict(verdict)
        _check_devices(verdict.devices, inventory)
        _check_proposer(proposed_by)
        estimate = timing.estimate(verdict.change, verdict.devices, inventory, adapters, cannot_measure)
        timer = timing.revert_after(estimate, revert_after)
        for device in verdict.devices:
            check_fresh(device, adapters[device.device])
    except (Refused, BadInput) as error:
        _record(audit, "plan.refused", change=verdict.change.name, proposed_by=proposed_by, reason=str(error))
        raise
    fields = {
        "rack": inventory.name,
        "change": canonical.plain(verdict.change),
        "outcome": verdict.outcome,
        "devices": [canonical.plain(device) for device in verdict.devices],
        "identities": identity.identify([one.device for one in verdict.devices], inventory, adapters),
        "forecast": verdict.forecast,
        "verdict_hash": canonical.digest(canonical.plain(verdict)),
        "proposed_by": proposed_by,
        "created": time.time(),
        "estimate": estimate,
        "revert_after": timer,
        "lacks": lacks(verdict.change.expect, verdict.devices, adapters, cannot_measure),
    }
    plan = _identified(Plan.model_validate({**fields, "id": ""}))
    made = {"plan": plan.id, "rack": plan.rack, "change": plan.change.name, "devices": _digests(plan)}
    _record(audit, "plan.made", **made, proposed_by=proposed_by)
    return plan


def plan_id(plan: Plan) -> str:
    """Return the SHA-256 (hex) of the canonical JSON of all of a plan but its id and approval."""
    return canonical.digest(canonical.plain(plan, exclude={"id", "approval"}))


def approve(plan: Plan, by: str, key: Ed25519PrivateKey, audit: AuditLog | None = None) -> Plan:
    """Let a plan pass, with a signature.

    Args:
        by: the approver, as in the list of approvers. key: the approver's own (see `testbed.replay.keys`).

    Raises:
        Refused: altered, not passed, or proposed by the same person.
    """
    try:
        _check_unaltered(plan)
        _check_passed(plan.outcome)
        _check_other_person(plan, by)
    except Refused as error:
        _record(audit, "plan.approval-refused", plan=plan.id, by=by, reason=str(error))
        raise
    at = time.time()
    signature = base64.b64encode(key.sign(_signed_bytes(plan.id, by, at))).decode()
    approved = plan.model_copy(update={"approval": Approval(by=by, at=at, plan_hash=plan.id, signature=signature)})
    _record(audit, "plan.approved", plan=plan.id, by=by, signature=signature)
    return approved


def check(plan: Plan, approvers: Mapping[str, Sequence[Ed25519PublicKey]]) -> None:
    """Make sure that a plan may be carried out, as far as the plan itself can tell.

    Args:
        approvers: who may approve, and their keys.

    Raises:
        Refused: altered, not passed, unapproved, approved by its proposer or by somebody not listed.
    """
    _check_unaltered(plan)
    _check_passed(plan.outcome)
    approval = plan.approval
    if approval is None:
        raise Refused(f"plan {plan.id[:12]} is unapproved; somebody other than {plan.proposed_by} must approve it")
    _check_other_person(plan, approval.by)
    if approval.plan_hash != plan.id:
        raise Refused(f"the approval by {approval.by} is for another plan ({approval.plan_hash[:12]}): altered")
    if not approvers.get(approval.by):
        known = ", ".join(sorted(approvers)) or "nobody"
        raise Refused(f"plan {plan.id[:12]} is unapproved: {approval.by!r} is no approver here (listed: {known})")
    signing = [key for key in approvers[approval.by] if _signed(plan, approval, key)]
    if not signing:
        raise Refused(f"plan {plan.id[:12]} is unapproved: the signature is not by a listed key of {approval.by}")
    own = [key for name, listed in approvers.items() if _same_person(name, plan.proposed_by) for key in listed]
    if any(key in own for key in signing):
        raise Refused(f"plan {plan.id[:12]} is signed by a key of {plan.proposed_by}, who proposed it: self-approved")


def check_fresh(device: DeviceChange, adapter: Adapter) -> None:
    """Make sure that a device's running configuration is the one the twin started from.

    Raises:
        Refused: it is another by now.
    """
    now = adapter.config_hash()
    if now != device.before_hash:
        raise Refused(
            f"stale: the configuration of {device.device} is {now[:12]}, the change was tried on "
            f"{device.before_hash[:12]}; mirror and validate again"
        )


def lacks(
    expectations: Sequence[Expectation],
    devices: Sequence[DeviceChange],
    adapters: Mapping[str, Adapter],
    cannot_measure: Cannot = verify.cannot_measure,
) -> list[str]:
    """Say what the devices cannot do for this plan, for who approves it."""
    said = [
        f"{device.device}: adapter {device.adapter} has no revert timer on the device; a lost controller leaves the "
        "change in until the next start rolls it back"
        for device in devices
        if Capability.REVERT_TIMER not in adapters[device.device].capabilities
    ]
    said += [
        f"{device.device}: adapter {device.adapter} cannot make the change survive a restart of this device; "
        "docs/adapters.md, 'After a restart', says what it needs"
        for device in devices
        if Capability.PERSISTENCE not in adapters[device.device].capabilities
    ]
    for index, expectation in enumerate(expectations):
        why = cannot_measure(expectation, adapters)
        if why:
            said.append(f"expectation {index} ({expectation.kind}) is not measured on the rack: {why}")
    return said


def save(plan: Plan, path: Path) -> None:
    """Write a plan as JSON, whole or not at all."""
    text = json.dumps(canonical.plain(plan), indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    draft = path.with_name(path.name + ".new")
    with draft.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def load(path: Path) -> Plan:
    """Read a plan file.

    Raises:
        BadInput: no such file, or not a plan.
        Refused: the file was altered: its content does not have its id.
    """
    try:
        plan = Plan.model_validate(json.loads(path.read_text()))
    except OSError as error:
        raise BadInput(f"cannot read the plan {path}: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{path} is no plan: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise BadInput(f"{path} is no JSON: {error}") from None
    _check_unaltered(plan)
    return plan


def _identified(plan: Plan) -> Plan:
    return plan.model_copy(update={"id": plan_id(plan)})


def _check_verdict(verdict: Verdict) -> None:
    _check_passed(verdict.outcome)
    for static in verdict.static:
        if static.outcome is Outcome.FAILED:
            raise Refused(f"the verdict's static check {static.check} FAILED: {static.message}")
    if len(verdict.findings) != len(verdict.change.expect):
        raise Refused(f"the verdict judges {len(verdict.findings)} of {len(verdict.change.expect)} expectations")
    for index, finding in enumerate(verdict.findings):
        _check_reproduced(index, finding)
    if not verdict.devices:
        raise Refused("the verdict touches no device; there is nothing to plan")


def _check_reproduced(index: int, finding: Finding) -> None:
    if finding.outcome is not Outcome.PASSED:
        raise Refused(f"expectation {index} ({finding.expectation.kind}) is {finding.outcome}: {finding.reason}")
    held = {one.phase for one in finding.measured if one.holds}
    missing = [phase for phase in AFTER if phase not in held]
    if missing:
        raise Refused(
            f"expectation {index} ({finding.expectation.kind}) was not shown to hold in {' and '.join(missing)}: "
            "it did not reproduce; validate again"
        )


def _check_passed(outcome: Outcome) -> None:
    if outcome is not Outcome.PASSED:
        raise Refused(f"the verdict is {outcome}; only a PASSED change may be planned or applied")


def _check_devices(devices: Sequence[DeviceChange], inventory: Inventory) -> None:
    for device in devices:
        known = inventory.devices.get(device.device)
        if known is None:
            hint = nearest(device.device, inventory.devices)
            raise BadInput(f"rack {inventory.name} has no device called {device.device!r}{hint}")
        if known.adapter != device.adapter:
            raise Refused(f"{device.device} was tried as {device.adapter}, the rack has it as {known.adapter}: stale")
    names = [device.device for device in devices]
    if len(set(names)) != len(names):
        raise BadInput(f"a device stands twice in the verdict: {', '.join(sorted(names))}")


def _check_proposer(proposed_by: str) -> None:
    if not proposed_by.strip():
        raise BadInput("a plan needs who proposes it, so that somebody else approves it")


def _check_unaltered(plan: Plan) -> None:
    if plan_id(plan) != plan.id:
        raise Refused(f"plan {plan.id[:12]} was altered: its content has the id {plan_id(plan)[:12]}; make a new plan")


def _check_other_person(plan: Plan, by: str) -> None:
    if not by.strip() or _same_person(by, plan.proposed_by):
        raise Refused(f"{by or 'nobody'} cannot approve the plan {plan.id[:12]} of {plan.proposed_by}: self-approved")


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _signed_bytes(plan_hash: str, by: str, at: float) -> bytes:
    return b"testbed plan approval v1\n" + canonical.encode({"plan_hash": plan_hash, "by": by, "at": at})


def _signed(plan: Plan, approval: Approval, key: Ed25519PublicKey) -> bool:
    try:
        signature = base64.b64decode(approval.signature, validate=True)
        key.verify(signature, _signed_bytes(plan.id, approval.by, approval.at))
    except (InvalidSignature, binascii.Error):
        return False
    return True


def _digests(plan: Plan) -> dict[str, dict[str, str]]:
    """What the audit log keeps of the bytes: their hashes, for the bytes may hold secrets."""
    return {
        device.device: {"before": device.before_hash, "lines": canonical.digest(device.lines)}
        for device in plan.devices
    }


def _record(audit: AuditLog | None, kind: str, **fields: Any) -> None:
    if audit is not None:
        audit.append(kind, **fields)
