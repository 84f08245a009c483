"""The AMF: registration, security, reachability, and the way of session messages to the SMF (3GPP TS 23.501, 6.2.1)."""
