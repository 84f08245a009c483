"""`python -m testbed.emulator.mininet.run SCRIPT ...`: a script of Mininet's, as it is, on our engine, here."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from testbed.errors import TestbedError

OPEN_VSWITCH = "--open-vswitch"
IN_GUEST = "TESTBED_IN_GUEST"
"""In the environment of a script in a guest, which reaches nothing that listens on the machine."""


def main() -> None:
    """Run the script as the program it would be; an error of ours becomes one line and its exit code."""
    words = sys.argv[1:]
    open_vswitch = words[0] == OPEN_VSWITCH
    script, *arguments = words[open_vswitch:]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        from testbed.emulator.mininet.adopt import adopt
        from testbed.emulator.mininet.net import Mininet

        adopt()
        Mininet.open_vswitch = open_vswitch
        runpy.run_path(script, run_name="__main__")
    except TestbedError as error:
        sys.stdout.flush()
        print(f"testbed: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
