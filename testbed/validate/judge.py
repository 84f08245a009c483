"""From measurements to a verdict: pure, and never a pass without a measurement that shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from testbed.model.change import Expectation
from testbed.model.verdict import Finding, Measured, Outcome
from testbed.report import wording
from testbed.validate.busy import DOUBT
from testbed.validate.expectations import AFTER, BEFORE, find


def judge(expectation: Expectation, measured: Sequence[Measured]) -> Finding:
    """Judge one expectation by all its rounds.

    Args:
        expectation: what must hold after the change.
        measured: its measurements, one a round.

    Returns:
        PASSED only when both rounds after the change show that it holds; FAILED when both show that it does not;
        INCONCLUSIVE when a round is missing, failed, left it open, or did not reproduce its twin.
    """
    rounds = {one.phase: one for one in measured}
    outcome, reason = _outcome(expectation, rounds)
    return Finding(expectation=expectation, outcome=outcome, reason=reason, measured=tuple(measured))


def _outcome(expectation: Expectation, rounds: Mapping[str, Measured]) -> tuple[Outcome, str]:
    kind = find(expectation.kind)
    missing = [phase for phase in kind.phases if phase not in rounds]
    failed = [rounds[phase] for phase in kind.phases if phase in rounds and _unmeasured(rounds[phase])]
    if failed:
        return Outcome.INCONCLUSIVE, f"{_first(failed[0])} (in {', '.join(one.phase for one in failed)})"
    if missing:
        return Outcome.INCONCLUSIVE, f"not measured in {', '.join(missing)}: the trial ended before"
    for pair in (BEFORE, AFTER):
        both = [rounds[phase] for phase in pair if phase in kind.phases]
        if len(both) == 2 and (why := kind.differs(expectation, *both)):
            return Outcome.INCONCLUSIVE, f"did not reproduce: {why}"
    return _after(expectation, rounds)


def _after(expectation: Expectation, rounds: Mapping[str, Measured]) -> tuple[Outcome, str]:
    after = [rounds[phase] for phase in AFTER]
    answers = [one.holds for one in after]
    told = _told(expectation, after)
    earlier = _earlier(expectation, rounds, told)
    wanted = f", wanted {wording.bound(expectation)}" if wording.bound(expectation) else ""
    if all(answer is True for answer in answers):
        return Outcome.PASSED, f"holds: {told}{wanted}{earlier}"
    if all(answer is False for answer in answers):
        return Outcome.FAILED, f"does not hold: after the change {told}{wanted}{earlier}"
    if None in answers:
        open_round = after[answers.index(None)]
        return Outcome.INCONCLUSIVE, f"undecided in {open_round.phase}: {_open(expectation, open_round)}"
    return Outcome.INCONCLUSIVE, f"did not reproduce: {wording.rounds(expectation, after)}"


def _earlier(expectation: Expectation, rounds: Mapping[str, Measured], told: str) -> str:
    """Say how it was before, where that was measured and is any different."""
    if not set(BEFORE) <= set(find(expectation.kind).phases):
        return ""
    before = [rounds[phase] for phase in BEFORE]
    held = {one.holds for one in before}
    how = "it held" if held == {True} else "it did not hold either" if held == {False} else "it was undecided"
    if all(rounds[phase].holds for phase in AFTER) and held == {False}:
        how = "it did not hold"
    was = _told(expectation, before)
    return f"; before the change {how}" + (f": {was}" if was != told else "")


def _told(expectation: Expectation, rounds: Sequence[Measured]) -> str:
    return " and ".join(dict.fromkeys(wording.told(expectation, one) for one in rounds))


def _unmeasured(measured: Measured) -> bool:
    """Tell whether a round ended in an error instead of a measurement, see `failure`."""
    return measured.holds is None and measured.value is None and _first(measured).startswith(FAILURE)


FAILURE = "could not be measured"


def failure(phase: str, error: Exception) -> Measured:
    """Return the record of a measurement that failed: it holds nothing."""
    return Measured(phase=phase, holds=None, proof=(f"{FAILURE}: {error}",))


def _first(measured: Measured) -> str:
    return measured.proof[0] if measured.proof else "no record of why"


def _open(expectation: Expectation, measured: Measured) -> str:
    return _first(measured) if _first(measured).startswith(DOUBT) else wording.undecided(expectation, measured)


def overall(findings: Sequence[Finding], obstacles: Iterable[str] = ()) -> tuple[Outcome, str]:
    """Join findings to one outcome and its reason.

    Args:
        findings: of every expectation. obstacles: why the run as a whole proves nothing, worst first.

    Returns:
        INCONCLUSIVE with an obstacle; else FAILED with any failed finding; else INCONCLUSIVE with any open one, or with
        no finding at all; else PASSED.
    """
    if stops := list(obstacles):
        return Outcome.INCONCLUSIVE, stops[0]
    for outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE):
        found = [finding for finding in findings if finding.outcome is outcome]
        if found:
            others = len(found) - 1
            more = f" (and {others} more expectation{'s' if others > 1 else ''})" if others else ""
            return outcome, f"{wording.stated(found[0].expectation)}: {found[0].reason}{more}"
    if not findings:
        return Outcome.INCONCLUSIVE, "nothing was measured"
    return Outcome.PASSED, f"all {len(findings)} expectations hold in both rounds after the change"


def forecast(findings: Sequence[Finding]) -> dict[str, float]:
    """Return what the twin foretells for the rack: expectation index (from 0, as text) to a value in SI."""
    values = {}
    for index, finding in enumerate(findings):
        rounds = {one.phase: one for one in finding.measured}
        if all(phase in rounds for phase in AFTER):
            value = find(finding.expectation.kind).forecast(rounds[AFTER[0]], rounds[AFTER[1]])
            if value is not None:
                values[str(index)] = value
    return values
