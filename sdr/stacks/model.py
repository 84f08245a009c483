"""What programs a scenario's radios are: the network, the cells' carriers, the UEs' subscriptions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from testbed.model.base import Frequency, HostAddress, Integer, Model, Name, Port, Text
from testbed.model.identity import Apn, Imsi, Key, Plmn, Sst, Tac
from testbed.model.slicing import Differentiator

Stack = Literal["srsran-project", "srsran-4g", "srsran-4g-nr"]
"""srsRAN Project's `gnb`; srsRAN 4G's `srsenb` as an LTE cell; the same as an NR cell."""


class Slice(Model):
    """A slice that the network has (S-NSSAI, TS 23.003, 28.4.2).

    Attributes:
        sst: slice and service type. sd: differentiator, six hexadecimal digits in quotes.
    """

    sst: Sst
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
    tac: Tac = 7
    core: HostAddress
    apn: Apn = "internet"
    slices: Annotated[tuple[Slice, ...], Field(min_length=1)] = (Slice(sst=1),)
    cells: dict[Name, Cell] = Field(default_factory=dict)
    ues: dict[Name, Ue] = Field(default_factory=dict)
    images: Images = Images()
