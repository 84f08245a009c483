"""Virtual radios: samples on the wire of srsRAN's ZMQ radios, what happens to them on their way, and who sums them up."""
