"""N4: what an SMF tells its UPFs about packets, PFCP (3GPP TS 29.244)."""
