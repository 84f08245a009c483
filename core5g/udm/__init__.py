"""The home: who the subscribers are, what they may, how they prove who they are (UDM, AUSF and SIDF in one)."""
