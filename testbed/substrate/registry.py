"""The substrates there are, and which one `auto` takes here."""

from __future__ import annotations

from collections.abc import Mapping

from testbed.errors import BadInput, Unable, nearest
from testbed.substrate import probe
from testbed.substrate.base import Substrate
from testbed.substrate.native import Native
from testbed.substrate.openssh import FORM, Host
from testbed.substrate.ssh import Ssh
from testbed.substrate.uml import Uml, problems

SUBSTRATES: Mapping[str, Substrate] = {"native": Native(), "uml": Uml()}


def find(name: str) -> Substrate:
    """Return the substrate called `name`; `ssh:` and a host are one of that machine.

    Raises:
        BadInput: there is none; the message lists the known ones.
    """
    if name.startswith(("ssh:", "ssh+")):
        return Ssh(Host.read(name))
    if name not in SUBSTRATES:
        known = ("auto", *SUBSTRATES, FORM)
        raise BadInput(f"no substrate called {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    return SUBSTRATES[name]


def pick(name: str = "auto", own_kernel: bool = False) -> tuple[Substrate, str]:
    """Return the substrate to use, and why.

    Args:
        name: a substrate, or `auto`: native where this kernel has netem and lets us use it, else uml.
        own_kernel: it stands for hardware, which shares a kernel with nothing: `auto` takes uml where that can run.

    Raises:
        BadInput: no such substrate.
        Unable: `auto`, and neither will do; the message has what is missing and the commands that mend it.
    """
    if name != "auto":
        return find(name), "asked for"
    lacks = problems()
    if own_kernel and not lacks:
        return SUBSTRATES["uml"], "a rack has a kernel of its own"
    netem = probe.run("netem")
    if netem.ok:
        without = f"; it shares this machine's kernel with its twin: {'; '.join(lacks)}" if own_kernel else ""
        return SUBSTRATES["native"], f"this kernel has netem and we may use it ({netem.detail}){without}"
    if not lacks:
        return SUBSTRATES["uml"], f"this kernel cannot impair links itself ({netem.detail}); guests can"
    raise Unable(
        f"no substrate can run here. native: {netem.detail}. uml: {'; '.join(lacks)}. `testbed doctor` tells all"
    )
