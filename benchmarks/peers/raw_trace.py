"""The limit: settings of `links` links over time as ready-made bytes in one send, `rate` times a second."""

import sys
import time

from late import tell

from testbed.emulator.netem import Netem, encode
from testbed.emulator.netlink import Netlink, netem


def main() -> None:
    links, rate, seconds = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    socket = Netlink()
    index = socket.index_of("eth1")
    assert index is not None
    options = [encode(Netem(delay=0.001 + number / 1e4), 1500, False) for number in range(links)]
    socket.run([netem(index, options[0], create=True)])
    requests = [netem(index, each) for each in options]
    start, late = time.monotonic() + 0.1, []
    for number in range(round(rate * seconds)):
        due = start + number / rate
        time.sleep(max(0.0, due - time.monotonic()))
        socket.run(requests)
        late += [time.monotonic() - due] * links
    tell(late)


main()
