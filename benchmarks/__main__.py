"""`make bench`: every claim beside its peer, a table and out/bench.json. `--quick` where a small run will do."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from os import environ
from pathlib import Path

from benchmarks.claims import COLUMNS, Claim
from testbed.cli.output import print_table
from testbed.errors import TestbedError

ALL = (
    "bring_up",
    "mininet_face",
    "switches",
    "routing",
    "converge",
    "impairments",
    "traces",
    "load",
    "fidelity",
    "mirror_latency",
    "radio_channel",
    "radio_broker",
    "registrations",
    "gtpu",
)
SMALL = ("switches", "radio_channel", "radio_broker", "registrations", "gtpu")
"""Those that have a small run."""


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ALL)}; all when none is named")
    parser.add_argument("--quick", action="store_true", help=f"a small run, of {', '.join(SMALL)}")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    return parser.parse_args()


def main() -> None:
    asked = _asked()
    chosen = asked.names or list(ALL)
    unknown = [name for name in chosen if name not in ALL]
    if unknown:
        sys.exit(f"benchmarks: no benchmark called {unknown[0]!r} (known: {', '.join(ALL)})")
    quick = {"quick": True} if asked.quick else {}
    if quick and (whole := [name for name in chosen if name not in SMALL]):
        sys.exit(f"benchmarks: {whole[0]} has no small run; --quick is for: {', '.join(SMALL)}")
    claims: list[Claim] = []
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="testbed-bench-") as home:
        environ["TESTBED_HOME"] = home
        for name in chosen:
            print(f"benchmark {name}", file=sys.stderr, flush=True)
            try:
                claims += import_module(f"benchmarks.{name}").measure(**quick)
            except (TestbedError, OSError) as error:  # what the others measured is kept
                print(f"benchmark {name} broke off: {error}", file=sys.stderr, flush=True)
                broken.append(name)
    rows = [asdict(claim) | {"ratio": claim.ratio, "met": claim.met} for claim in claims]
    Path("out").mkdir(exist_ok=True)
    Path("out/bench.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if asked.json:
        print(json.dumps(rows, indent=2))
    else:
        print_table(COLUMNS, [claim.row() for claim in claims])
    sys.exit(1 if broken or any(claim.met is False for claim in claims) else 0)


main()
