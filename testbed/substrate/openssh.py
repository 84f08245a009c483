"""Another machine, through OpenSSH's client: one connection, kept by a process of its own, for commands and sockets.

The client and not paramiko: it reaches UNIX sockets there, where native agents listen, and knows the user's agent,
keys, jump hosts and names of hosts (ssh_config(5)). Every process of it for a lab has the lab's marker on its command
line. Nobody is asked anything: a host whose key is not known is refused.
"""

from __future__ import annotations

import re
import select
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import BadInput, Unable
from testbed.processes import Process, identify
from testbed.substrate.folder import home, tail

FORM = "ssh:[USER@]HOST[:PORT][/CHECKOUT]"
USUAL_CHECKOUT = "/testbed"  # the Vagrantfile's
_ADDRESS = re.compile(
    r"ssh(\+(?P<substrate>native|uml))?:(?P<login>([A-Za-z0-9_][\w.-]*@)?([A-Za-z0-9][\w.-]*|\[[0-9A-Fa-f:.]+\]))"
    r"(:(?P<port>[0-9]{1,5}))?(?P<checkout>/[^\x00-\x1f]*)?",
    re.ASCII,
)
_UNHEARD = 2
"""Questions for a sign of life, one a second, that may stay unanswered: a call that waits then still learns why."""
_OPTIONS = {
    "BatchMode": "yes", "StrictHostKeyChecking": "yes", "UpdateHostKeys": "no", "ConnectTimeout": "10",
    "ServerAliveInterval": "1", "ServerAliveCountMax": str(_UNHEARD), "ControlPersist": "no", "ControlMaster": "no",
    "ForwardAgent": "no", "ForwardX11": "no", "ClearAllForwardings": "yes", "PermitLocalCommand": "no",
    "StreamLocalBindUnlink": "yes", "StreamLocalBindMask": "0177", "RequestTTY": "no", "RemoteCommand": "none",
    "LogLevel": "ERROR",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """A machine as the user named it. `checkout`: where testbed is there, empty for what is usual."""

    text: str
    login: str
    port: str
    checkout: str
    substrate: str

    @classmethod
    def read(cls, text: str) -> Host:
        """Read what `--substrate` was given.

        Raises:
            BadInput: it is not of the expected form.
        """
        found = _ADDRESS.fullmatch(text)
        if not found or not 0 < int(found["port"] or 22) < 2**16:
            raise BadInput(
                f"substrate {text!r}: expected {FORM}, such as 'ssh:lab@server2' or 'ssh:lab@10.0.0.7:2222/opt/testbed'"
                " ('ssh+native:' and 'ssh+uml:' choose the substrate there)"
            )
        login = found["login"].replace("[", "").replace("]", "")
        return cls(text, login, found["port"] or "", found["checkout"] or "", found["substrate"] or "auto")

    @property
    def command(self) -> str:
        """What a shell there runs to start our end; the shell may be any, so `sh` is asked."""
        if self.checkout:
            return f"exec {shlex.quote(self.checkout.rstrip('/') + '/.venv/bin/testbed')} hosted"
        either = f"command -v testbed >/dev/null && exec testbed hosted; exec {USUAL_CHECKOUT}/.venv/bin/testbed hosted"
        return f"exec sh -c {shlex.quote(either)}"


@dataclass(frozen=True, slots=True)
class Connection:
    """A lab's connection to its host. `run`: the lab's folder in memory, which holds its sockets and log."""

    host: Host
    run: Path

    def open(self) -> Process:
        """Log in; return the process that keeps the connection until it breaks or is killed.

        Raises:
            Unable: the host cannot be reached or not be trusted, or does not let us in; with what to do.
        """
        if shutil.which("ssh") is None:
            raise Unable("labs on another machine need OpenSSH's client here: apt-get install openssh-client")
        log = self.run / "ssh.log"
        log.unlink(missing_ok=True)
        done = self._ssh("-f", "-N", "-M", f"-E{log}")
        if done.returncode:
            raise Unable(_explained(self.host, tail(log, 20) or tuple(done.stderr.splitlines())))
        said = self._ssh("-Ocheck").stderr
        found = re.search(r"pid=(\d+)", said)
        process = identify(int(found[1])) if found else None
        if process is None:
            raise Unable(f"{self.host.text}: the connection broke at once: {said.strip()}")
        return process

    def forward(self, name: str, endpoint: str) -> str:
        """Make a socket of the run folder lead to a ZeroMQ endpoint there; return the endpoint here.

        Raises:
            Unable: the other end does not allow it, or the connection is lost.
        """
        here, there = self.run / name, endpoint.removeprefix("ipc://").removeprefix("tcp://")
        # Not the user's own options: a forward of theirs must not be asked for, and what clears theirs clears ours.
        command = ["ssh", "-F", "none", control(self.run), "-Oforward", f"-L{here}:{there}", "--", self.host.login]
        done = _run(command)
        if done.returncode:
            raise Unable(f"{self.host.text}: {endpoint} there cannot be reached: {done.stderr.strip()}")
        return f"ipc://{here}"

    @contextmanager
    def converse(self, timeout: float) -> Iterator[Conversation]:
        """Run our end there, over the connection; it sees its input end when this one leaves or dies."""
        with tempfile.TemporaryFile() as errors:
            command = [*self._command(), "--", self.host.login, self.host.command]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0)
            try:
                yield Conversation(self.host, process, time.monotonic() + timeout)
            except EOFError:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()
                raise Unable(_no_answer(self.host, process.wait(), said)) from None
            finally:
                process.kill()
                process.communicate()

    def _ssh(self, *options: str) -> subprocess.CompletedProcess[str]:
        return _run([*self._command(), *options, "--", self.host.login])

    def _command(self) -> list[str]:
        own = home() / "ssh_config"
        file = ["-F", str(own)] if own.exists() else []
        port = ["-p", self.host.port] if self.host.port else []
        return ["ssh", *file, *(f"-o{key}={value}" for key, value in _OPTIONS.items()), *port, control(self.run)]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One command there. `deadline`: on the monotonic clock."""

    host: Host
    process: subprocess.Popen[bytes]
    deadline: float

    def ask(self, line: bytes, mark: bytes) -> bytes:
        """Send a line; return the first line of the answer that begins with `mark` (a login shell may say things too).

        Raises:
            EOFError: there was none. Unable: there was none in time.
        """
        source, sink = self.process.stdout, self.process.stdin
        assert source is not None
        assert sink is not None
        try:
            sink.write(line + b"\n")
        except BrokenPipeError:
            raise EOFError from None
        heard = b""
        while select.select([source], [], [], max(0.0, self.deadline - time.monotonic()))[0]:
            data = source.read(65536)
            if not data:
                raise EOFError
            heard += data
            for answer in heard.split(b"\n")[:-1]:
                if answer.startswith(mark):
                    return answer
        raise Unable(f"{self.host.text}: testbed did not answer there in time; is that machine very busy?")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def control(run: Path) -> str:
    """The option that every client process of a lab has; see `testbed.substrate.processes.belongs`."""
    return f"-oControlPath={run}/control"


def _explained(host: Host, said: tuple[str, ...]) -> str:
    text, last = "\n".join(said), said[-1] if said else "ssh said nothing"
    plain = " ".join(["ssh", *(["-p", host.port] if host.port else []), host.login])
    if "IDENTIFICATION HAS CHANGED" in text:
        return (
            f"{host.text}: THE HOST KEY HAS CHANGED: {last}. Either the machine was set up anew or somebody stands in "
            "between; nothing was sent. Compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` at its own "
            f"console; then remove the old key with `ssh-keygen -R` and enrol the new one by `{plain}`"
        )
    if "Host key verification failed" in text:
        return (
            f"{host.text}: its host key is not known here, so nothing was sent. Enrol it: run `{plain}`, compare the "
            "fingerprint with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints at its own console (or "
            "the file of its type), and only then answer yes"
        )
    if "Permission denied" in text:
        return (
            f"{host.text}: it does not let us in: {last}. Nobody is asked for a password: load the key (`ssh-add`), or "
            f"name it in ~/.ssh/config (IdentityFile); `{plain} true` has to work without a question"
        )
    return f"{host.text}: cannot be reached: {last}"


def _no_answer(host: Host, code: int, said: str) -> str:
    if code in (126, 127):
        where = host.checkout or f"`testbed` on the PATH, or {USUAL_CHECKOUT}"
        return (
            f"{host.text}: testbed is not set up there ({where}: {said or 'not found'}). Clone it there, run "
            f"`make setup` in it, and name that folder: {host.text.removesuffix(host.checkout)}/FOLDER"
        )
    if code == 2:
        return (
            f"{host.text}: another version of testbed is there, which hosts no labs: {said}. Install this one on both"
        )
    return f"{host.text}: no answer (status {code}): {said or 'it said nothing'}"
