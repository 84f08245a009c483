"""GNU Radio's selective fading model over the delays (in samples) given, in a flowgraph by itself; prints samples/s."""

import sys
import time
from importlib import import_module

# Of the system's Python, where GNU Radio's modules are; the product's own environment does not know them.
gr, blocks, channels = (import_module(f"gnuradio.{name}") for name in ("gr", "blocks", "channels"))
SAMPLES = 4_000_000

delays = [float(text) for text in sys.argv[1:]]
model = channels.selective_fading_model(8, 1e-5, False, 4.0, 1, delays, [0.5] * len(delays), 16 + int(max(delays)))
graph = gr.top_block()
graph.connect(blocks.null_source(gr.sizeof_gr_complex), blocks.head(gr.sizeof_gr_complex, SAMPLES), model)
graph.connect(model, blocks.null_sink(gr.sizeof_gr_complex))
start = time.monotonic()
graph.run()
print(SAMPLES / (time.monotonic() - start))
