"""An emulated RAN: gNBs and UEs that speak N2 and N1 to any core; the air between them is a function call."""
