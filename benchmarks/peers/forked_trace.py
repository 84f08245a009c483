"""The peer: settings over time by one `tc` process each, as scripts do; of `links` links, each `rate` times a second.

One device stands for all links: how late a process is does not depend on which one it changes. It stops when the time
is over: what is due by then and not made is later still, and not counted.
"""

import subprocess
import sys
import time

from late import tell


def main() -> None:
    links, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    subprocess.run(["tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "delay", "1ms"], check=True)
    start, late = time.monotonic(), []
    for number in range(round(links * rate * seconds)):
        due = start + number // links / rate
        now = time.monotonic()
        if now > start + seconds:
            break
        time.sleep(max(0.0, due - now))
        delay = f"{1 + number % 50}ms"
        subprocess.run(["tc", "qdisc", "change", "dev", "eth0", "root", "netem", "delay", delay], check=True)
        late.append(time.monotonic() - due)
    tell(late)


main()
