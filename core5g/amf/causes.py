"""Causes of 5GMM (3GPP TS 24.501, 9.11.3.2 and annex A)."""

from __future__ import annotations

from enum import IntEnum


class Cause(IntEnum):
    """Why a UE does not get what it asked for."""

    ILLEGAL_UE = 3
    IMPLICITLY_DEREGISTERED = 10
    UNKNOWN_IDENTITY = 9
    PLMN_NOT_ALLOWED = 11
    AREA_NOT_ALLOWED = 12
    MAC_FAILURE = 20
    SYNCH_FAILURE = 21
    CONGESTION = 22
    CAPABILITIES_MISMATCH = 23
    SECURITY_MODE_REJECTED = 24
    NGKSI_IN_USE = 71
    NO_SLICES = 62
    SESSION_LIMIT = 65
    NOT_FORWARDED = 90
    DNN_NOT_IN_SLICE = 91
    SEMANTICALLY_INCORRECT = 95
    INVALID_MANDATORY = 96
    UNKNOWN_TYPE = 97
    WRONG_STATE = 98
    PROTOCOL_ERROR = 111
