"""`report.json`: the verdict with a summary on top, for machines."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from testbed.model.verdict import Finding, Verdict


def document(verdict: Verdict, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the report as plain data: `summary`, `verdict`, and `extra` where given."""
    made = {"summary": summary(verdict), "verdict": verdict.model_dump(mode="json")}
    return {**made, "extra": dict(extra)} if extra else made


def summary(verdict: Verdict) -> dict[str, Any]:
    """Return what a script asks first: outcome, reason, counts, and each expectation in one line."""
    return {
        "change": verdict.change.name,
        "outcome": verdict.outcome.value,
        "reason": verdict.reason,
        "seconds": round(verdict.finished - verdict.started, 3),
        "devices": [device.device for device in verdict.devices],
        "outcomes": dict(Counter(finding.outcome.value for finding in verdict.findings)),
        "rollback_proven": verdict.environment.get("rollback_proven"),
        "expectations": [_line(finding) for finding in verdict.findings],
    }


def _line(finding: Finding) -> dict[str, Any]:
    values = {
        one.phase: {"value": one.value, "low": one.low, "high": one.high, "holds": one.holds}
        for one in finding.measured
    }
    stated = finding.expectation.model_dump(mode="json")
    return {"expectation": stated, "outcome": finding.outcome.value, "reason": finding.reason, "measured": values}


def render(verdict: Verdict, extra: Mapping[str, Any] | None = None) -> str:
    """Return the report as JSON text: UTF-8, two spaces, a newline at the end."""
    return json.dumps(document(verdict, extra), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
