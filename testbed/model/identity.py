"""Identities and keys of mobile networks, as files have them: digits in quotes, and keys that no message shows."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict
from pydantic_core import PydanticCustomError


def _key(value: Any) -> Any:
    """What is wrong with a key is told without it."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not re.fullmatch("[0-9A-Fa-f]{32}", text):
        raise PydanticCustomError("secret", "expected 32 hexadecimal digits in quotes (what is there is not shown)")
    return SecretStr(text.lower())


def _like(pattern: str, what: str) -> Any:
    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"expected {what}")
        return value

    return AfterValidator(check)


Key = Annotated[SecretStr, BeforeValidator(_key)]
"""K or OPc (TS 33.102, 35.206)."""
Plmn = Annotated[str, Strict(), _like("[0-9]{5,6}", "a PLMN in quotes: the country's 3 digits, the network's 2 or 3")]
Imsi = Annotated[str, Strict(), _like("[0-9]{15}", "an IMSI of 15 digits, in quotes")]
Apn = Annotated[str, _like("[A-Za-z0-9.-]{1,63}", "letters, digits, dots and hyphens, at most 63")]
"""The name of a data network; in 5G it is called DNN (TS 23.003, clauses 9.1 and 9A)."""
Tac = Annotated[int, Strict(), Field(ge=1, le=0xFFFFFD)]
"""Tracking area code; 0, FFFFFE and FFFFFF mean that there is none (TS 23.003, clause 19.4.2.3)."""
Sst = Annotated[int, Strict(), Field(ge=1, le=255)]
"""Slice and service type (TS 23.003, clause 28.4.2)."""
