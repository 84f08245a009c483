"""N1: what UEs and the core say to each other, NAS of 5GS (3GPP TS 24.501)."""
