"""Mininet's API on our engine: its nodes, links and switches, set up over netlink, without a fork."""
