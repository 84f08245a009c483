"""The main job, whole: what `make demo` runs, and what it leaves."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.alone, pytest.mark.timeout(600)]


def test_the_whole_loop_happens_and_is_measured(tmp_path, uml_works):
    argv = [sys.executable, "-m", "testbed", "demo", "--output", str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=590, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [(c["name"], c["verdict"], c["replayed"]) for c in summary["changes"]] == [
        ("drain-agg1-careless", "FAILED", False),
        ("drain-agg1", "PASSED", True),
    ]
    assert summary["audit_ok"] is True
    assert 0 < summary["cut_seen_s"] < 10
    assert 0 < summary["mirror"]["alignment"] <= 1
    assert summary["mirror"]["aoi_p95_s"] > 0
    assert summary["mirror"]["rtt_error_ms_p95"] >= 0
    predicted, measured = summary["replay"]["predicted_rtt_ms"], summary["replay"]["measured_rtt_ms"]
    assert predicted == pytest.approx(measured, abs=5.0)  # the microwave path would be 12 ms away
    page = (tmp_path / "report.html").read_text()
    assert "PASSED" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert not list((tmp_path / "home" / "labs").iterdir())
