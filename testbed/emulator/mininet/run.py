"""`python -m testbed.emulator.mininet.run SCRIPT ...`: a script of Mininet's, as it is, on our engine, here."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from testbed.errors import TestbedError


def main() -> None:
    """Run the script as the program it would be; an error of ours becomes one line and its exit code."""
    script, *arguments = sys.argv[1:]
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        from testbed.emulator.mininet.adopt import adopt

        adopt()
        runpy.run_path(script, run_name="__main__")
    except TestbedError as error:
        sys.stdout.flush()
        print(f"testbed: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
