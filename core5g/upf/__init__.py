"""A UPF: rules that come over N4, packets between N3 and N6 (3GPP TS 23.501, 5.8; TS 29.244)."""
