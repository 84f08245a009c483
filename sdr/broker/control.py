"""Control of a broker that runs: a REP socket of its own, JSON both ways, one question at a time.

A question is an object: `{"ask": "status"}`, or `{"ask": "set", "patch": ..., "at": ...}` with a patch of the scenario
(see `patch`) and the count from which it is in force, null for at once, or `check` in place of `set` to try it only. An
answer has `error`, or what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, Protocol

import zmq

from sdr.broker.air import Air
from sdr.broker.patch import patched, shown
from sdr.broker.scenario import Scenario
from testbed.errors import BadInput, NotReady, Unable


class Controlled(Protocol):
    """What a broker lets be asked and changed."""

    @property
    def scenario(self) -> Scenario: ...

    @property
    def levels(self) -> Sequence[Any]: ...

    def report(self) -> Sequence[Any]: ...

    def become(self, scenario: Scenario, at: int | None = None) -> int: ...


Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_MOST = 1 << 20
"""Bytes of a question."""


class Control:
    """The broker's end.

    Attributes:
        socket: readable when there is a question.
    """

    def __init__(self, context: zmq.Context, address: str, answer: Answer) -> None:
        """Listen.

        Raises:
            Unable: the address cannot be used.
        """
        self._answer = answer
        self.socket = context.socket(zmq.REP)
        self.socket.set(zmq.LINGER, 0)
        self.socket.set(zmq.MAXMSGSIZE, _MOST)
        try:
            self.socket.bind(address)
        except zmq.ZMQError as error:
            self.socket.close()
            raise Unable(f"control: cannot listen on {address}: {error.strerror}") from None

    def serve(self) -> None:
        """Answer the question that is here."""
        try:
            question = self.socket.recv(zmq.DONTWAIT)
        except zmq.Again:
            return
        self.socket.send(json.dumps(self._reply(question)).encode())

    def _reply(self, question: bytes) -> Mapping[str, Any]:
        try:
            asked = json.loads(question)
            if not isinstance(asked, dict):
                raise BadInput("expected a JSON object")
            return self._answer(asked)
        except ValueError as error:
            return {"error": f"the question is no JSON: {error}"}
        except BadInput as error:
            return {"error": str(error)}

    def close(self) -> None:
        """Stop listening."""
        self.socket.close()


def answer(broker: Controlled, question: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a question.

    Raises:
        BadInput: it is none, or asks for what cannot be.
    """
    match question:
        case {"ask": "status"}:
            return {
                "ports": [asdict(one) for one in broker.report()],
                "levels": [_finite(asdict(one)) for one in broker.levels],
                "scenario": shown(broker.scenario),
            }
        case {"ask": "check", "patch": dict(patch)}:
            Air(patched(broker.scenario, patch))
            return {}
        case {"ask": "set", "patch": dict(patch), **rest} if isinstance(rest.get("at"), int | None):
            return {"at": broker.become(patched(broker.scenario, patch), rest.get("at"))}
    raise BadInput('expected {"ask": "status"}, or {"ask": "set", "patch": {...}, "at": a count or null}')


def _finite(values: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity: null stands for it."""
    return {key: None if isinstance(value, float) and not isfinite(value) else value for key, value in values.items()}


def ask(address: str, question: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """Ask a broker.

    Args:
        timeout: seconds.

    Raises:
        NotReady: nobody answers. BadInput: it refuses.
    """
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.set(zmq.LINGER, 0)
        try:
            socket.connect(address)
        except zmq.ZMQError as error:
            raise Unable(f"cannot reach {address}: {error.strerror}") from None
        socket.send(json.dumps(question).encode())
        if not socket.poll(round(timeout * 1000)):
            raise NotReady(f"no broker answers at {address} within {timeout:g} s; is `testbed radio up` running?")
        answer = json.loads(socket.recv())
    if "error" in answer:
        raise BadInput(answer["error"])
    return answer
