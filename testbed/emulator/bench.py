"""The bench: a lab's patch panel and power strip, worked over SSH by a forced command.

`cut LINK`, `mend LINK`, `impair LINK key=value...` (both directions; `forward.key=value` for one), `power-off NODE`,
`power-on NODE`, `status`.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import threading
from collections.abc import Sequence
from pathlib import Path

from testbed import units
from testbed.emulator.messages import LinkChange, LinkState
from testbed.emulator.nodes import Laboratory, Node
from testbed.emulator.settings import read_patch
from testbed.errors import BadInput, ExitCode, TestbedError

FOLDER = "/run/bench"
_USAGE = "cut LINK | mend LINK | impair LINK key=value... | power-off NODE | power-on NODE | status"


def serve(lab: Laboratory) -> None:
    """Answer the forced commands of every bench of the lab, each in a thread that lasts as long as the agent."""
    for node in lab.nodes.values():
        if node.wire.sshd is not None and node.wire.sshd.forced_command == "bench":
            with node.namespaces.enter():
                folder = Path(FOLDER)
                folder.mkdir(mode=0o700, exist_ok=True)
                if not (folder / "request").exists():
                    os.mkfifo(folder / "request", 0o600)
                request = os.open(folder / "request", os.O_RDWR | os.O_CLOEXEC)  # for writing too: never end of file
            threading.Thread(target=_listen, args=(lab, node, request), name="bench", daemon=True).start()


def _listen(lab: Laboratory, node: Node, request: int) -> None:
    with os.fdopen(request, "rb", buffering=0) as pipe:
        waiting = b""
        while data := pipe.read(4096):
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                caller, _, command = line.decode(errors="replace").partition(" ")
                code, text = answer(lab, command)
                lines = text.splitlines()
                _reply(node, caller, "\n".join([f"{int(code)} {len(lines)}", *lines, ""]))


def _reply(node: Node, caller: str, text: str) -> None:
    try:
        path = f"/proc/self/fd/{node.run}/bench/{int(caller)}"
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return  # the caller has gone; there is nobody to tell
    os.set_blocking(descriptor, True)
    with contextlib.suppress(BrokenPipeError), os.fdopen(descriptor, "w") as pipe:
        pipe.write(text)


def answer(lab: Laboratory, command: str) -> tuple[ExitCode, str]:
    """Carry out one bench command.

    Returns:
        Exit code and text for the caller.
    """
    try:
        match shlex.split(command):
            case ["cut", link]:
                lab.wiring.set([LinkChange(link=link, up=False)])
            case ["mend", link]:
                lab.wiring.set([LinkChange(link=link, up=True)])
            case ["impair", link, *settings] if settings:
                lab.wiring.set(patches(link, settings))
            case ["power-off", node]:
                lab.power(node, on=False)
            case ["power-on", node]:
                lab.power(node, on=True)
            case ["status"]:
                return ExitCode.DONE, _status(lab)
            case _:
                raise BadInput(f"the bench does not know {command!r} (it knows: {_USAGE})")
    except (TestbedError, ValueError) as error:
        return getattr(error, "exit_code", ExitCode.BAD_INPUT), str(error)
    return ExitCode.DONE, "done"


def patches(link: str, settings: Sequence[str]) -> list[LinkChange]:
    """Read `key=value` words, such as `delay=10ms` or `backward.loss=1%`, into changes of a link.

    Raises:
        BadInput: an unknown key, or a value that cannot be read.
    """
    forward = [word.removeprefix("forward.") for word in settings if not word.startswith("backward.")]
    backward = [word.removeprefix("backward.") for word in settings if not word.startswith("forward.")]
    return [
        LinkChange(link=link, end=0, patch=read_patch(forward)),
        LinkChange(link=link, end=1, patch=read_patch(backward)),
    ]


def _status(lab: Laboratory) -> str:
    lines = [f"{node.name} {'on' if node.powered else 'off'}" for node in lab.nodes.values()]
    return "\n".join(lines + [_link_line(state) for state in lab.wiring.get(())])


def _link_line(state: LinkState) -> str:
    both = f"delay {units.show(_number(state.forward.delay), units.TIME)}/"
    both += f"{units.show(_number(state.backward.delay), units.TIME)}"
    return f"{state.name} {'up' if state.up else 'down'} {both}"


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
