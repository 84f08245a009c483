"""How the peers of `benchmarks.traces` tell how late they were."""

import json
import math


def tell(late: list[float]) -> None:
    """Print p50, p99 (nearest rank) and max in seconds, and how many settings were made."""
    ordered = sorted(late)
    ranks = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found = {name: ordered[max(0, math.ceil(share * len(ordered)) - 1)] for name, share in ranks.items()}
    print(json.dumps({**found, "made": len(ordered)}))
