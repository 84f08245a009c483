"""The agent: one process in a substrate, which owns a lab: `python -m testbed.emulator.agent --folder DIR ...`.

The main loop passes messages on, each request runs in a thread; Hello and SetLinks, which are short, it does itself.
CURVE with an allow-list of one key protects the endpoint. The agent may be PID 1 of a guest or of a PID namespace.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import zmq
from msgspec import UNSET
from zmq.utils import z85

import testbed
from testbed import errors
from testbed.emulator import bench, messages, parts, playback, playing, standing, uplink
from testbed.emulator.context import Context, Event
from testbed.emulator.converging import Converging
from testbed.emulator.execute import PATH, Children
from testbed.emulator.keys import Keys
from testbed.emulator.messages import HEARTBEAT, Done, Failed, Ok, Welcome
from testbed.emulator.namespaces import home
from testbed.emulator.nodes import Laboratory
from testbed.emulator.ready import survey, wait_ready

CLIENT_SILENCE = 6.0
"""Seconds without a word from a client (it says Hello every second while it waits) until its requests are cancelled."""
THREADS = 128
_PROBES: dict[type, str] = {
    messages.Stamp: "stamp",
    messages.Reach: "reach",
    messages.Trace: "trace",
    messages.Throughput: "throughput",
    messages.StreamStart: "stream",
    messages.StreamStop: "stream",
    messages.SetLoad: "load",
    messages.ReadLoad: "load",
    **dict.fromkeys((parts.ReflectorOpen, parts.ReflectorClose, parts.StampSend), "stamp"),
    **dict.fromkeys((parts.ServerOpen, parts.ServerClose, parts.ClientRun), "throughput"),
    **dict.fromkeys((parts.SinkOpen, parts.SinkWait, parts.SinkClose, parts.FlowStart, parts.FlowStop), "stream"),
    **dict.fromkeys((parts.LoadSinks, parts.LoadSend, parts.LoadGreet, parts.LoadBegin, parts.LoadCount), "load"),
}


@dataclass(slots=True)
class Job:
    """A request under way."""

    client: bytes
    number: bytes
    cancelled: threading.Event = field(default_factory=threading.Event)


Handler = Callable[[Any, Context], messages.Result]


class Agent:
    """Serves one lab."""

    def __init__(self, substrate: str, controllers: Mapping[str, str] | None = None) -> None:
        """Begin.

        Args:
            controllers: OpenFlow controllers outside, each with where it is reached; see `fabric.Fabric`.
        """
        home()
        self.lab = Laboratory(Children(), controllers or {})
        self.shared: dict[str, Any] = {}
        self._shared_lock = threading.Lock()
        self._substrate = substrate
        self._outbox: deque[tuple[bytes, bytes, bytes]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._jobs: dict[tuple[bytes, bytes], Job] = {}
        self._heard: dict[bytes, float] = {}
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")
        self._ending = False
        self._handlers: dict[type, Handler] = {
            messages.Hello: lambda request, context: self._welcome(),
            messages.SetClock: _set_clock,
            messages.Build: self._build,
            messages.Converge: self._converge,
            standing.Reconfigure: self._reconfigure,
            standing.Observe: self._observe,
            messages.WaitReady: lambda r, c: wait_ready(lambda: survey(self.lab), r.deadline, c.emit, c.cancelled),
            messages.Survey: lambda r, c: survey(self.lab),
            messages.SetLinks: self._set_links,
            messages.GetLinks: lambda r, c: messages.LinkStates(links=self.lab.wiring.get(r.names)),
            **dict.fromkeys(
                (playing.Play, playing.StopPlay, playing.PlayStatus),
                lambda r, c: playback.handle(r, self.lab.wiring, c),
            ),
            messages.Locate: self._locate,
            messages.ListNodes: lambda r, c: messages.Nodes(nodes=tuple(n.state() for n in self.lab.nodes.values())),
            messages.Exec: _exec,
            messages.WriteFile: self._write_file,
            messages.Vty: self._vty,
            messages.Power: self._power,
            messages.Steer: lambda r, c: self.lab.switches().steer(r),
            messages.CountSwitches: lambda r, c: self.lab.switches().count(),
            messages.ReadSwitches: lambda r, c: self.lab.switches().read(),
            messages.Arrange: lambda r, c: self.lab.switches().arrange(r),
            messages.Shutdown: self._shutdown,
        }

    # --- requests ---

    def _welcome(self) -> Welcome:
        return Welcome(
            version=testbed.__version__,
            pid=os.getpid(),
            kernel=os.uname().release,
            substrate=self._substrate,
            time=time.time(),
        )

    def _build(self, request: messages.Build, context: Context) -> messages.Result:
        self._close_shared()
        return self.lab.build(request, context.emit)

    def _converging(self) -> Converging:
        return Converging(self.lab, self.shared.get("Play"))

    def _converge(self, request: messages.Converge, context: Context) -> messages.Result:
        started = time.monotonic()
        goal = self._converging().converge(request, context.emit)
        return messages.Built(nodes=len(goal.nodes), links=len(goal.links), seconds=time.monotonic() - started)

    def _reconfigure(self, request: standing.Reconfigure, context: Context) -> messages.Result:
        for done, change in enumerate(request.routers, 1):
            self.lab.reconfigure(change)
            count = len(request.routers)
            context.emit(messages.Progress(text=f"{change.node} reconfigured", done=done, total=count))
        return Ok()

    def _locate(self, request: messages.Locate, context: Context) -> messages.Result:
        fabric = self.lab.fabric
        controls = fabric is not None and fabric.controller is not None
        return messages.Located(nodes=tuple(self.lab.nodes), links=self.lab.wiring.ends(), controls=controls)

    def _observe(self, request: standing.Observe, context: Context) -> messages.Result:
        with self.lab.changing:
            player = self.shared.get("Play")
            given = bool(request.given) and request.given == self.lab.given.fingerprint
            return messages.Observed(
                given=given,
                links=self._converging().strayed(given),
                traces=player.traced() if player is not None else (),
                routers=self.lab.configurations(),
                addresses={n.name: n.addresses() for n in self.lab.nodes.values()} if request.addresses else {},
                dark=tuple(name for name, node in self.lab.nodes.items() if not node.powered),
                policy=self.lab.policy,
            )

    def _set_links(self, request: messages.SetLinks, context: Context) -> messages.Result:
        player = self.shared.get("Play")
        if player is not None:
            player.claim(request.changes, request.check_only)
        applied = self.lab.wiring.set(request.changes, request.check_only)
        rates = any(change.patch is not None and change.patch.rate is not UNSET for change in request.changes)
        if rates and not request.check_only:
            self.lab.requeue()
        return messages.LinksSet(applied=applied, time=time.time())

    def _write_file(self, request: messages.WriteFile, context: Context) -> messages.Result:
        node = self.lab.node(request.node)
        with node.namespaces.enter():
            try:
                path = Path(request.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(request.data)
                path.chmod(request.mode)
            except OSError as error:
                raise errors.AgentError(f"{request.node}:{request.path}: {error.strerror}") from None
        return Ok()

    def _vty(self, request: messages.Vty, context: Context) -> messages.Result:
        node = self.lab.node(request.node)
        if node.frr is None:
            raise errors.BadInput(f"{request.node} is a {node.kind} and runs no FRR daemon")
        if request.daemon == "vtysh":
            outputs = node.frr.ask_vtysh(request.commands, request.timeout)
            codes = tuple(int(any(line.startswith("% ") for line in text.splitlines())) for text in outputs)
            return messages.VtyOutput(outputs=tuple(outputs), codes=codes)
        answers = node.frr.ask(request.daemon, request.commands)
        return messages.VtyOutput(outputs=tuple(text for text, _ in answers), codes=tuple(code for _, code in answers))

    def _power(self, request: messages.Power, context: Context) -> messages.Result:
        self.lab.power(request.node, request.on)
        return Ok()

    def _shutdown(self, request: messages.Shutdown, context: Context) -> messages.Result:
        self._close_shared()
        self.lab.tear_down()
        self._ending = True
        return Ok()

    def _close_shared(self) -> None:
        with self._shared_lock:
            left = list(self.shared.values())
            self.shared.clear()
        for value in left:
            if hasattr(value, "close"):
                value.close()

    def _handler(self, request: object) -> Handler:
        if type(request) in _PROBES:
            return import_module(f"testbed.emulator.probes.{_PROBES[type(request)]}").handle
        return self._handlers[type(request)]

    def context(self, emit: Callable[[Event], None], cancelled: threading.Event) -> Context:
        """Make what a handler gets."""

        def run(node: str, argv: Any, **options: Any) -> int:
            return self.lab.children.run(self.lab.node(node).namespaces, argv, cancelled=cancelled, **options)

        return Context(self.lab, emit, run, cancelled, self.shared, self._shared_lock)

    # --- the loop ---

    def serve(self, endpoint: str, keys: Keys) -> None:
        """Answer clients until Shutdown."""
        with zmq.Context() as context:
            gate = _gate(context)
            router = _listen(context, endpoint, keys)
            poller = zmq.Poller()
            for readable in (gate, router, self._wake):
                poller.register(readable, zmq.POLLIN)
            while not (self._ending and not self._jobs and not self._outbox):
                ready = dict(poller.poll(1000))
                if gate in ready:
                    _admit(gate, keys)
                if router in ready:
                    self._receive(router)
                self._flush(router)
                self._forget_silent()
            router.close(linger=500)
            gate.close()

    def _receive(self, router: zmq.Socket[bytes]) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                frames = router.recv_multipart(zmq.NOBLOCK)
                if len(frames) == 3:
                    self._accept(*frames)

    def _accept(self, client: bytes, number: bytes, body: bytes) -> None:
        self._heard[client] = time.monotonic()
        if number == HEARTBEAT:
            self._outbox.append((client, number, messages.encode(Done(result=self._welcome()))))
            return
        job = self._jobs[client, number] = Job(client, number)
        if b"SetLinks" in body[:32] and not self.lab.wiring.busy:
            self._work(job, body)  # takes less than to wake a thread
        else:
            self._pool.submit(self._work, job, body)

    def _work(self, job: Job, body: bytes) -> None:
        emit = partial(self._send, job)
        try:
            request = messages.decode_request(body)
            reply = Done(result=self._handler(request)(request, self.context(emit, job.cancelled)))
        except errors.TestbedError as error:
            reply = Failed(kind=type(error).__name__, message=str(error))
        except msgspec.DecodeError as error:
            reply = Failed(kind="BadInput", message=f"the agent cannot read this request: {error}")
        except Exception as error:
            traceback.print_exc()
            reply = Failed(kind="AgentError", message=f"the agent failed, its log has more: {error!r}")
        self._send(job, reply)
        self._jobs.pop((job.client, job.number), None)

    def _send(self, job: Job, reply: messages.Reply) -> None:
        self._outbox.append((job.client, job.number, messages.encode(reply)))
        os.eventfd_write(self._wake, 1)

    def _flush(self, router: zmq.Socket[bytes]) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        while self._outbox:
            with contextlib.suppress(zmq.ZMQError):  # the client has gone; its requests end at the next look
                router.send_multipart(self._outbox.popleft(), zmq.NOBLOCK)

    def _forget_silent(self) -> None:
        now = time.monotonic()
        for client, heard in list(self._heard.items()):
            if now - heard > CLIENT_SILENCE:
                del self._heard[client]
                for job in list(self._jobs.values()):
                    if job.client == client:
                        job.cancelled.set()


def _set_clock(request: messages.SetClock, context: Context) -> messages.Result:
    time.clock_settime_ns(time.CLOCK_REALTIME, time.time_ns() + round(request.step * 1e9))
    return Ok()


def _exec(request: messages.Exec, context: Context) -> messages.Result:
    code = context.run(request.node, request.argv, stdin=request.stdin, timeout=request.timeout, on_output=context.emit)
    return messages.Exited(code=code)


def _listen(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: Keys) -> zmq.Socket[bytes]:
    router = context.socket(zmq.ROUTER)
    router.curve_server = True
    router.curve_publickey, router.curve_secretkey = keys.server_public.encode(), keys.server_secret.encode()
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.SNDHWM, 0)
    router.setsockopt(zmq.TCP_KEEPALIVE, 1)
    router.bind(endpoint)
    return router


def _gate(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """Open the place where ZeroMQ asks who may come in (RFC 27, ZAP)."""
    gate = context.socket(zmq.REP)
    gate.bind("inproc://zeromq.zap.01")
    return gate


def _admit(gate: zmq.Socket[bytes], keys: Keys) -> None:
    version, number, _, _, _, mechanism, *credentials = gate.recv_multipart()
    known = mechanism == b"CURVE" and credentials == [z85.decode(keys.client_public)]
    status, text = (b"200", b"OK") if known else (b"400", b"this key is not in the allow-list")
    gate.send_multipart([version, number, status, text, b"", b""])


def build_offline(agent: Agent, folder: Path, file: Path, network: int | None = None) -> bool:
    """Build from a msgpack `Build`, serve the bench, and leave `ready`, or `failed` with the reason, in the folder.

    Args:
        network: descriptor of the keeper's management network, where the kernel has no interface of its own to it.
    """
    try:
        if network is not None:
            uplink.attach(network)
        request = msgspec.msgpack.decode(file.read_bytes(), type=messages.Build)
        context = agent.context(lambda event: print(event, flush=True), threading.Event())
        agent.lab.build(request, context.emit)
        bench.serve(agent.lab)
    except (OSError, msgspec.DecodeError, errors.TestbedError) as error:
        _leave(folder / "failed", str(error))
        print(f"failed: {error}", flush=True)
        return False
    _leave(folder / "ready", "")
    return True


def _leave(path: Path, text: str) -> None:
    partial_path = path.with_suffix(".part")
    partial_path.write_text(text)
    partial_path.rename(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the agent; see the module's first line."""
    parser = argparse.ArgumentParser(prog="testbed.emulator.agent")
    parser.add_argument("--folder", type=Path, required=True, help="has `keys`; `ready` and `failed` are written here")
    parser.add_argument("--endpoint", help="tcp:// or ipc://; none for a rack, which is only built")
    parser.add_argument("--offline-build", type=Path, help="msgpack Build to carry out at once")
    parser.add_argument("--substrate", default="native", help="what Welcome tells")
    parser.add_argument("--network", type=int, help="descriptor of the keeper's management network, to be carried in")
    parser.add_argument(
        "--controller", nargs=2, action="append", default=[], help="an OpenFlow controller outside, and the way there"
    )
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    offline = options.offline_build.resolve() if options.offline_build else None
    os.chdir("/")
    os.environ["PATH"] = PATH
    agent = Agent(options.substrate, dict(options.controller))
    gc.freeze()  # what is loaded by now stays: collections that look through it again cost a guest milliseconds
    if offline and not build_offline(agent, folder, offline, options.network):
        return errors.ExitCode.UNABLE
    if options.endpoint:
        agent.serve(options.endpoint, Keys.read(folder))
    elif offline:
        threading.Event().wait()
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os._exit(main())  # threads of requests may still be at work; the namespaces go with the process
