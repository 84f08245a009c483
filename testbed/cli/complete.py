"""Shell completion: names that exist now. Completion never fails a shell: what cannot be read offers nothing."""

from __future__ import annotations

from testbed.errors import TestbedError


def labs(incomplete: str) -> list[str]:
    """Labs that are up."""
    from testbed.lab import Lab

    try:
        return [lab.name for lab in Lab.all() if lab.name.startswith(incomplete)]
    except (TestbedError, OSError):
        return []


def nodes(incomplete: str) -> list[str]:
    """Nodes of all labs that are up."""
    return _from_topologies("nodes", incomplete)


def links(incomplete: str) -> list[str]:
    """Links of all labs that are up."""
    return _from_topologies("links", incomplete)


def profiles(incomplete: str) -> list[str]:
    """Link profiles."""
    from testbed.model.profile import profile_names

    try:
        return [name for name in profile_names() if name.startswith(incomplete)]
    except (TestbedError, OSError):
        return []


def traces(incomplete: str) -> list[str]:
    """Generators of traces, and the kinds of files that hold one."""
    from testbed.model.traces.generators import GENERATORS
    from testbed.model.traces.spec import FILES

    return [name for name in (*GENERATORS, *(f"{kind}:" for kind in FILES)) if name.startswith(incomplete)]


def _from_topologies(part: str, incomplete: str) -> list[str]:
    from testbed.lab import Lab

    try:
        names = {name for lab in Lab.all() for name in getattr(lab.topology, part)}
    except (TestbedError, OSError):
        return []
    return sorted(name for name in names if name.startswith(incomplete))
