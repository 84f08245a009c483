"""An SMF: PDU sessions, with their addresses, flows and rules at UPFs (3GPP TS 23.502, 4.3)."""
