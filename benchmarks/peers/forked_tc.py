"""The peer: netem settings changed by one `tc` process each, as scripts do; prints changes per second."""

import subprocess
import sys
import time


def main() -> None:
    interface, seconds = sys.argv[1], float(sys.argv[2])
    subprocess.run(["tc", "qdisc", "replace", "dev", interface, "root", "netem", "delay", "1ms"], check=True)
    done, started = 0, time.monotonic()
    while time.monotonic() - started < seconds:
        delay = f"{1 + done % 50}ms"
        subprocess.run(["tc", "qdisc", "change", "dev", interface, "root", "netem", "delay", delay], check=True)
        done += 1
    print(done / (time.monotonic() - started))


main()
