"""Property tests here do real work on machines that may be busy: no limit for a single example."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, max_examples=60)
settings.load_profile("unhurried")
