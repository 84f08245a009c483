"""Substrate `ssh`: a lab on another machine, there on `native` or `uml`, reached through one SSH connection.

There it is a lab like any other, `hosted-` and 12 hex digits by name, which outlives the connection. Here are its
record, its keys, and the connection: when that breaks, the next command connects again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import Struct

import testbed
from testbed import errors
from testbed.errors import BadInput, Unable
from testbed.processes import alive
from testbed.substrate import spawn
from testbed.substrate.base import Liveness, StartOptions
from testbed.substrate.contact import silent
from testbed.substrate.folder import Elsewhere, Guest, Kind, LabFolder
from testbed.substrate.openssh import Connection, Host

MARK = b'{"testbed":'
PROMPT = 1.0
"""Seconds in which an agent that has nothing to do answers; then its host is asked how it is."""
_TIMES = {"hello": 30.0, "start": spawn.BUILD_TIMEOUT + 30.0, "look": spawn.LONGEST_HANG + 15.0, "stop": 60.0}


class Start(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to start there. `keys`: the lab's, made here. `memory`: bytes. `build`: of a lab without a channel."""

    substrate: str
    kind: Kind
    keys: dict[str, str]
    memory: int
    guests: int
    build: bytes | None = None
    controllers: tuple[str, ...] = ()


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of JSON to `testbed hosted`. It comes by its input: others there may read command lines, not this."""

    version: str
    do: Literal["hello", "start", "look", "stop"]
    lab: str
    start: Start | None = None


class Answer(Struct, frozen=True, kw_only=True):
    """Its answer, a line too. `testbed`: the version there. `kind`: class of the error `reason`, empty for none."""

    testbed: str
    kind: str = ""
    alive: bool = True
    reason: str = ""
    console: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    sealed: bool | None = None
    seal: str = ""
    missing_modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ssh:
    """See `testbed.substrate.base.Substrate`."""

    host: Host

    @property
    def name(self) -> str:
        return self.host.text

    def start(self, folder: LabFolder, options: StartOptions) -> None:
        if options.forwards:
            raise BadInput(
                f"substrate {self.name}: a rack's devices are reached on the machine it runs on; start it there"
            )
        offline = options.offline_build
        start = Start(
            substrate=self.host.substrate, kind=folder.record().kind, keys=folder.read_keys(),
            memory=options.guest.memory, guests=options.guest.guests,
            build=(folder.path / offline).read_bytes() if offline is not None else None,
            controllers=options.controllers,
        )  # fmt: skip
        self._connect(folder)
        self._ask(folder, "hello")  # refuses before anything may be there
        elsewhere = Elsewhere(self.name, hosted_name(folder))
        folder.update(elsewhere=elsewhere)
        answer = self._ask(folder, "start", start)
        elsewhere = msgspec.structs.replace(elsewhere, endpoints=answer.endpoints)
        told = {name: getattr(answer, name) for name in ("sealed", "seal", "missing_modules")}
        folder.update(elsewhere=elsewhere, **told)
        self._forward(folder)
        if elsewhere.endpoints and silent(folder, spawn.HANG):
            raise Unable(
                f"{self.name}: the agent there runs, but cannot be reached through its sshd. Allow forwarding: in "
                "sshd_config AllowTcpForwarding and AllowStreamLocalForwarding, in authorized_keys no "
                "`restrict` or `no-port-forwarding`"
            )

    def reach(self, folder: LabFolder) -> None:
        with _alone(folder):
            record = folder.record()
            if record.elsewhere is not None and not alive(record.keeper):
                self._connect(folder)
                self._forward(folder)

    def liveness(self, folder: LabFolder) -> Liveness:
        record = folder.record()
        if record.state == "starting" and alive(record.starter):
            return spawn.look(folder)
        if record.elsewhere is None:
            return Liveness(False, spawn.HALF_WAY)
        try:
            self.reach(folder)
            if record.endpoints and not silent(folder, PROMPT):
                return spawn.brought_up(record)
            answer = self._ask(folder, "look")
        except Unable as problem:
            return Liveness(False, _without_it(folder, problem))
        return spawn.brought_up(record) if answer.alive else Liveness(False, answer.reason, answer.console)

    def stop(self, folder: LabFolder) -> None:
        if folder.record().elsewhere is not None:
            try:
                self.reach(folder)
                self._ask(folder, "stop")
            except Unable as problem:
                raise Unable(_without_it(folder, problem)) from None
        spawn.take_down(folder)

    def _connection(self, folder: LabFolder) -> Connection:
        return Connection(self.host, folder.run)

    def _connect(self, folder: LabFolder) -> None:
        folder.run.mkdir(mode=0o700, exist_ok=True)
        (folder.run / "owner").write_text(str(folder.path))
        folder.update(keeper=self._connection(folder).open())

    def _forward(self, folder: LabFolder) -> None:
        """Make the agents there be reached from here."""
        elsewhere = folder.record().elsewhere
        assert elsewhere is not None
        forward = self._connection(folder).forward
        here = [forward(f"agent{number}", there) for number, there in enumerate(elsewhere.endpoints, 1)]
        folder.update(guests=tuple(Guest(endpoint=endpoint) for endpoint in here))

    def _ask(
        self, folder: LabFolder, do: Literal["hello", "start", "look", "stop"], start: Start | None = None
    ) -> Answer:
        """Have our end there do something.

        Raises:
            TestbedError: of the class that was raised there. Unable: there is no answer.
        """
        order = Order(version=testbed.__version__, do=do, lab=hosted_name(folder), start=start)
        with self._connection(folder).converse(_TIMES[do]) as conversation:
            answer = msgspec.json.decode(conversation.ask(msgspec.json.encode(order), MARK), type=Answer)
        if answer.kind:
            raise getattr(errors, answer.kind, Unable)(f"{self.name}: {answer.reason}")
        return answer


def _without_it(folder: LabFolder, problem: Unable) -> str:
    return (
        f"{problem}. Whether the lab runs there cannot be told; it stays recorded here: `testbed down {folder.name}` "
        f"takes it down once the machine answers; if that is gone for good, `testbed down --forget {folder.name}`"
    )


def hosted_name(folder: LabFolder) -> str:
    """Return a lab's name there: unlike any other's, and known before anything is asked for."""
    return folder.record().id.replace("testbed-", "hosted-")


@contextmanager
def _alone(folder: LabFolder) -> Iterator[None]:
    """Let one command at a time connect."""
    descriptor = os.open(folder.keys, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
