"""The wire of srsRAN's ZMQ radios: samples as they travel, and the two ends of a port.

Where the facts are from: srsRAN 4G `lib/src/phy/rf/rf_zmq_imp*.c`, srsRAN Project `lib/radio/zmq/*`, GNU Radio
`gr-zeromq/lib/{req_source,rep_sink}_impl.cc`, read in November 2026. docs/radio.md has them with what is not verified.
"""

from sdr.wire.formats import FC32, FORMATS, SC16, BadFrame, Format
from sdr.wire.ports import Inlet, Outlet

__all__ = ["FC32", "FORMATS", "SC16", "BadFrame", "Format", "Inlet", "Outlet"]
