"""Transactions on where our own controller's switches send packets: tried, timed, kept or taken back.

They live beside what they change, in the agent: a controller of the lab that dies leaves the timer running, and an
agent that dies leaves no lab. The states are those of `adapters.base.TransactionState`.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass

from testbed.control import language
from testbed.control.messages import Policy
from testbed.emulator.control import Controller
from testbed.emulator.segments import Arrange, Arranged, Steer, Steered
from testbed.errors import DeviceError, Refused, TestbedError


@dataclass(slots=True)
class Kept:
    """A transaction: what it does, and what it takes back."""

    before: Policy
    after: Policy
    state: str = "loaded"
    timer: threading.Timer | None = None

    def disarm(self) -> None:
        """Stop the timer, if there is one."""
        if self.timer is not None:
            self.timer.cancel()


class Arrangements:
    """The transactions of one controller. Thread-safe: one act at a time."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._lock = threading.RLock()
        self._kept: dict[str, Kept] = {}

    def steer(self, request: Steer) -> Steered:
        """Change the policy by hand.

        Raises:
            Refused: a transaction is open, whose undoing would take this with it. BadInput: it cannot be.
        """
        with self._lock:
            self._refuse_others("")
            before = self._controller.policy
            after = request.applied(before)
            self._controller.install(after)
            return Steered(before=before, after=after)

    def act(self, request: Arrange) -> Arranged:
        """Carry out one act; each may be repeated.

        Raises:
            BadInput: the lines cannot be. Refused: another transaction is open, or the timer was faster.
            DeviceError: there is no such transaction, or the switches have been changed since it was loaded.
        """
        acts = {
            "load": self._load,
            "commit": self._commit,
            "confirm": self._confirm,
            "rollback": self._roll_back,
            "forget": self._forget,
        }
        with self._lock:
            if request.act in acts:
                acts[request.act](request)
            return self._told(request.transaction)

    def _told(self, name: str) -> Arranged:
        kept = self._kept.get(name)
        if kept is None:
            return Arranged(state="none")
        before, after = (language.configuration(self._controller.network, one) for one in (kept.before, kept.after))
        rollback = language.difference(kept.after, kept.before)
        return Arranged(state=kept.state, rollback=rollback, before=before, after=after)

    def _load(self, request: Arrange) -> None:
        self._refuse_others(request.transaction)
        if (old := self._kept.get(request.transaction)) and old.state == "committed":
            raise Refused(f"transaction {request.transaction} is committed already")
        before = self._controller.policy
        after = language.applied(before, request.lines)
        self._controller.check(after)
        self._kept[request.transaction] = Kept(before, after)

    def refuse_open(self) -> None:
        """Refuse while any transaction is open.

        Raises:
            Refused: one is.
        """
        with self._lock:
            self._refuse_others("")

    def _refuse_others(self, name: str) -> None:
        open_ones = [other for other, kept in self._kept.items() if kept.state == "committed" and other != name]
        if open_ones:
            raise Refused(f"the switches are in transaction {open_ones[0]}, which is neither confirmed nor rolled back")

    def _commit(self, request: Arrange) -> None:
        kept = self._known(request.transaction)
        if kept.state in ("committed", "confirmed"):
            return
        if kept.state != "loaded" or language.text(self._controller.policy) != language.text(kept.before):
            raise DeviceError("the switches are not what they were when the transaction was loaded; load it anew")
        kept.timer = threading.Timer(request.revert_after, self._fire, [request])
        kept.timer.daemon = True
        kept.timer.start()
        kept.state = "committed"
        try:
            self._controller.install(kept.after)
        except TestbedError:
            self._roll_back(request)
            raise

    def _fire(self, request: Arrange) -> None:
        with self._lock, suppress(TestbedError):  # a switch that is away is written when it is back
            if request.transaction in self._kept and self._kept[request.transaction].state == "committed":
                self._roll_back(request)

    def _confirm(self, request: Arrange) -> None:
        kept = self._known(request.transaction)
        if kept.state not in ("committed", "confirmed"):
            raise Refused(f"transaction {request.transaction} is {kept.state}: its timer has taken the old paths back")
        kept.disarm()
        kept.state = "confirmed"

    def _roll_back(self, request: Arrange) -> None:
        kept = self._known(request.transaction)
        kept.disarm()
        active, kept.state = kept.state in ("committed", "confirmed"), "reverted"
        if active:
            self._controller.install(kept.before)

    def _forget(self, request: Arrange) -> None:
        if request.transaction in self._kept and self._kept[request.transaction].state == "committed":
            raise Refused(f"transaction {request.transaction} is neither confirmed nor rolled back")
        self._kept.pop(request.transaction, None)

    def _known(self, name: str) -> Kept:
        if name not in self._kept:
            raise DeviceError(f"the switches know no transaction {name}")
        return self._kept[name]

    def close(self) -> None:
        """Stop all timers."""
        for kept in self._kept.values():
            kept.disarm()
