"""What everything that controller and agent say is made of: the base of all messages, and the settings of a link.

Both `messages` and `playing` need these; nothing but msgspec here, as in them.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType


class Message(Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True, forbid_unknown_fields=True):
    """Base of all messages, tagged with its class name.

    `frozen` stands on each again because type checkers do not inherit it.
    """


class GilbertElliott(Message, frozen=True, gc=False):
    """See `testbed.model.impairment.GilbertElliott`."""

    p: float
    r: float
    bad_loss: float = 1.0
    good_loss: float = 0.0


class LinkPatch(Message, frozen=True, gc=False):
    """A partial impairment: what is UNSET stays as it is; 0 (or None for rate, burst, limit) takes it away.

    `distribution` is the name of one of netem's, or a measured one: deviations in jitters at evenly spaced shares.
    """

    delay: float | UnsetType = UNSET
    jitter: float | UnsetType = UNSET
    distribution: str | tuple[float, ...] | UnsetType = UNSET
    jitter_correlation: float | UnsetType = UNSET
    loss: float | UnsetType = UNSET
    loss_correlation: float | UnsetType = UNSET
    burst: GilbertElliott | UnsetType | None = UNSET
    duplicate: float | UnsetType = UNSET
    reorder: float | UnsetType = UNSET
    corrupt: float | UnsetType = UNSET
    rate: float | UnsetType | None = UNSET
    limit: int | UnsetType | None = UNSET
