"""The built-in OFDM radios: a transmitter, a receiver that measures, and what a link makes of a SINR."""
