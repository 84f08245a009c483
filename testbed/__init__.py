"""A hardware-in-the-loop network digital twin."""

__version__ = "0.1.0"
