"""The 5G core: Open5GS under control, an embedded core, emulated gNBs and UEs."""
