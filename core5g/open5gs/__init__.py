"""Open5GS: its configuration, made from a topology's core and read back."""
