"""N3 and N9: users' packets in tunnels, GTP-U (3GPP TS 29.281)."""
