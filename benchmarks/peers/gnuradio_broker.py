"""A GNU Radio flowgraph between one cell and some UEs, until it is ended.

Arguments: what happens on a pair, then addresses: of each radio, the cell first, what it sends at and what it receives
from, separated by commas. `loss` multiplies; `static` is a filter of four taps whose gains stay; `fading` is GNU
Radio's selective fading model of four paths.
"""

import signal
import sys
import threading
from importlib import import_module

# Of the system's Python, where GNU Radio's modules are; the product's own environment does not know them.
gr, blocks, filters, channels, zeromq = (
    import_module(f"gnuradio.{name}") for name in ("gr", "blocks", "filter", "channels", "zeromq")
)
SIZE = gr.sizeof_gr_complex


def pair(kind: str, seed: int) -> object:
    """One pair's channel."""
    if kind == "loss":
        return blocks.multiply_const_cc(0.3)
    if kind == "static":
        return filters.fir_filter_ccc(1, [0.5, 0, 0, 0.3j, 0, -0.2, 0, 0.1])
    return channels.selective_fading_model(8, 1e-5, False, 4.0, seed, [0.0, 0.8, 2.2, 6.6], [0.5, 0.3, 0.2, 0.1], 8)


kind, (cell, *ues) = sys.argv[1], [text.split(",") for text in sys.argv[2:]]
graph = gr.top_block()
downlink = zeromq.req_source(SIZE, 1, cell[0], 100, False, -1)
uplink = blocks.add_cc(1)
for number, (transmit, receive) in enumerate(ues):
    graph.connect(downlink, pair(kind, number), zeromq.rep_sink(SIZE, 1, receive, 100, False, -1))
    sent = zeromq.req_source(SIZE, 1, transmit, 100, False, -1)
    graph.connect(sent, pair(kind, 100 + number), (uplink, number))
graph.connect(uplink, zeromq.rep_sink(SIZE, 1, cell[1], 100, False, -1))
stop = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stop.set())
graph.start()
stop.wait()
graph.stop()
graph.wait()
