"""How the rack's devices are spoken to: one family per module, behind the contract of `adapters.base`."""
