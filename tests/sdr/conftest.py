from contextlib import ExitStack, closing

import pytest
import zmq


@pytest.fixture
def context():
    with zmq.Context() as context:
        yield context


@pytest.fixture
def keep(context):
    """`keep(thing)` is the thing, closed at the test's end."""
    with ExitStack() as stack:
        yield lambda thing: stack.enter_context(closing(thing))
