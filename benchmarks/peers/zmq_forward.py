"""No broker at all: ZeroMQ's own proxy passes one cell's frames to one UE and back, untouched. Arguments: their ports.

Ports: of each radio, what it sends at and what it receives from, separated by commas.
"""

from __future__ import annotations

import sys
import threading

import zmq


def forward(context: zmq.Context, transmit: str, receive: str) -> None:
    """Pass on what is asked of a receive port to a transmit port, and what it answers; in C, until the end."""
    asking, answering = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    asking.bind(receive)
    answering.connect(transmit)
    zmq.proxy(asking, answering)


(cell_sends, cell_hears), (ue_sends, ue_hears) = (text.split(",") for text in sys.argv[1:])
context = zmq.Context()
for ends in ((cell_sends, ue_hears), (ue_sends, cell_hears)):
    threading.Thread(target=forward, args=(context, *ends), daemon=True).start()
threading.Event().wait()
