"""What programs a scenario's radios are: the network, the cells' carriers, the UEs' subscriptions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, Strict
from pydantic_core import PydanticCustomError

from testbed.model.base import Frequency, HostAddress, Integer, Model, Name, Port, Text
from testbed.model.slicing import Differentiator

Stack = Literal["srsran-project", "srsran-4g", "srsran-4g-nr"]
"""srsRAN Project's `gnb`; srsRAN 4G's `srsenb` as an LTE cell; the same as an NR cell."""


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
Plmn = Annotated[str, Strict(), _like("[0-9]{5,6}", "a PLMN in quotes: the country's 3 digits, the network's 2 or 3")]
Imsi = Annotated[str, Strict(), _like("[0-9]{15}", "an IMSI of 15 digits, in quotes")]
Apn = Annotated[str, _like("[A-Za-z0-9.-]{1,63}", "letters, digits, dots and hyphens, at most 63")]


class Slice(Model):
    """A slice that the network has (S-NSSAI, TS 23.003, 28.4.2).

    Attributes:
        sst: slice and service type. sd: differentiator, six hexadecimal digits in quotes.
    """

    sst: Annotated[Integer, Field(ge=1, le=255)]
    sd: Differentiator | None = None


class Cell(Model):
    """The program that is a cell.

    Attributes:
        stack: which. band: number of the band, without its n. arfcn: of the downlink: EARFCN or NR-ARFCN.
        uplink: EARFCN or NR-ARFCN of the uplink; it follows from the downlink's and may only be that.
        bandwidth: of the channel. pci: physical cell identity.
        address: its own, towards the core. control: port of srsRAN Project's remote control, on loopback.
        program: the file to run, where it is not on PATH.
    """

    stack: Stack
    band: Integer
    arfcn: Integer
    bandwidth: Frequency
    uplink: Integer | None = None
    pci: Annotated[Integer, Field(ge=0, le=1007)] = 1
    address: HostAddress = "127.0.0.1"
    control: Port = 8001
    program: Text | None = None


class Ue(Model):
    """The program that is a UE (srsUE), and its subscription.

    Attributes:
        imsi, k, opc: of its SIM, MILENAGE; `k` and `opc` are never shown.
        cell: which it is set up for; where there is one cell only, that.
        slice: that it asks for, one of the network's (NR).
        netns: network namespace for its interface; it must exist.
        program: the file to run, where it is not on PATH.
    """

    imsi: Imsi
    k: Key
    opc: Key
    cell: Name | None = None
    slice: Slice | None = None
    netns: Name | None = None
    program: Text | None = None


class Images(Model):
    """Names of the container images for the compose file.

    Attributes:
        project: has `gnb`. srsran_4g: has `srsenb` and `srsue`. testbed: has this product.
    """

    project: Text = "srsran-project"
    srsran_4g: Text = "srsran-4g"
    testbed: Text = "testbed"


class Stacks(Model):
    """The network that the programs are, or belong to.

    Attributes:
        plmn: country's and network's code. tac: tracking area. core: address of the MME or AMF. apn: also called DNN.
        slices: that every NR cell has. cells, ues: by the scenario's names; a radio that is not here is run by others.
    """

    plmn: Plmn = "00101"
    tac: Annotated[Integer, Field(ge=1, le=0xFFFFFD)] = 7
    core: HostAddress
    apn: Apn = "internet"
    slices: Annotated[tuple[Slice, ...], Field(min_length=1)] = (Slice(sst=1),)
    cells: dict[Name, Cell] = Field(default_factory=dict)
    ues: dict[Name, Ue] = Field(default_factory=dict)
    images: Images = Images()
