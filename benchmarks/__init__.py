"""One file a claim, each beside its peer, in one run and one kernel."""
