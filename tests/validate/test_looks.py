import math
from typing import Any

import pytest

from testbed.emulator.messages import StampResult
from testbed.model.change import Loss
from testbed.model.topology import Topology
from testbed.validate.expectations.looks import looks
from testbed.validate.scene import Scene

TOPOLOGY = Topology.model_validate(
    {"name": "two", "nodes": {n: {"kind": "host", "loopbacks": [f"10.0.0.{i}/32"]} for i, n in enumerate("ab", 1)}}
)
LOSS = Loss(kind="loss", source="a", destination="b", below=0.1)


def batches(*, first: int, most: int, interval: float, span=60.0, share=1.0, decided_after=99) -> list[int]:
    """Counts asked for, where of each batch a share can be sent."""
    asked = []

    def call(request: Any) -> StampResult:
        assert (request.destination, request.reflector) == ("10.0.0.2", "b")
        asked.append(request.count)
        sent = math.floor(share * request.count)
        rtt = (0.001,) * sent
        return StampResult(rtt=rtt, forward=rtt, backward=rtt, sent=sent, received=sent, kernel_timestamps=True)

    scene = Scene("before-1", TOPOLOGY, call, span=span)
    for _ in looks(scene, LOSS, first=first, most=most, interval=interval):
        if len(asked) == decided_after:
            break
    return asked


@pytest.mark.parametrize(
    ("more", "asked"),
    [
        ({"first": 10, "most": 1000}, [10, 10, 20, 40, 80]),
        ({"first": 10, "most": 50}, [10, 10, 20, 10]),
        ({"first": 10, "most": 10}, [10]),
        ({"first": 10, "most": 1000, "share": 0.0}, [10]),
        ({"first": 10, "most": 1000, "span": 0.01}, [10]),
    ],
)
def test_each_batch_is_as_large_as_all_before_it_until_time_or_packets_are_up(more, asked):
    assert batches(interval=0.001, **more) == asked


def test_no_batch_is_sent_that_nobody_asks_for():
    assert batches(first=10, most=99, interval=0.001, decided_after=2) == [10, 10]
