"""Causes of 5GSM (3GPP TS 24.501, 9.11.4.2 and annex B)."""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """Why a UE does not get the session that it asked for, or loses it."""

    INSUFFICIENT_RESOURCES = 26
    UNKNOWN_DNN = 27
    UNKNOWN_TYPE_OF_SESSION = 28
    REJECTED = 31
    NOT_SUPPORTED = 32
    TRANSACTION_IN_USE = 35
    REGULAR = 36
    NETWORK_FAILURE = 38
    REACTIVATION_REQUESTED = 39
    INVALID_SESSION = 43
    ONLY_IPV4 = 50
    INSUFFICIENT_RESOURCES_FOR_SLICE = 69
    QOS_NOT_ACCEPTED = 59
    INVALID_TRANSACTION = 81
    SEMANTICALLY_INCORRECT = 95
    INVALID_MANDATORY = 96
    UNKNOWN_TYPE = 97
    WRONG_STATE = 101
    PROTOCOL_ERROR = 111
