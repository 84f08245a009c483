"""Virtual radios: srsRAN's wire format, channels between radios, and the broker that sums them up."""
