"""Scenarios with programs, and an independent reader of libconfig."""

import re

from sdr.broker.scenario import Scenario
from testbed.model.load import loads

K, OPC = "00112233445566778899aabbccddeeff", "63bfa50ee6523365ff14c1f45f88737d"

LTE = f"""\
rate: 11.52MHz
cells:
  enb: {{transmit: tcp://127.0.0.1:2000, receive: tcp://127.0.0.1:2001}}
ues:
  ue1: {{transmit: tcp://127.0.0.1:2101, receive: tcp://127.0.0.1:2100}}
stacks:
  core: 127.0.1.100
  cells:
    enb: {{stack: srsran-4g, band: 7, arfcn: 3350, bandwidth: 10MHz, address: 127.0.1.1}}
  ues:
    ue1: {{imsi: "001010123456780", k: "{K}", opc: "{OPC}"}}
"""

NR = f"""\
rate: 11.52MHz
cells:
  gnb: {{transmit: tcp://127.0.0.1:2000, receive: tcp://127.0.0.1:2001}}
ues:
  ue1: {{transmit: tcp://127.0.0.1:2101, receive: tcp://127.0.0.1:2100}}
  ue2: {{transmit: tcp://127.0.0.1:2201, receive: tcp://127.0.0.1:2200}}
stacks:
  core: 10.53.1.2
  slices: [{{sst: 1}}, {{sst: 2, sd: "00000a"}}]
  cells:
    gnb: {{stack: srsran-project, band: 3, arfcn: 368500, bandwidth: 10MHz, address: 10.53.1.1}}
  ues:
    ue1: {{imsi: "001010123456780", k: "{K}", opc: "{OPC}", slice: {{sst: 2, sd: "00000a"}}}}
    ue2: {{imsi: "001010123456781", k: "{K}", opc: "{OPC}"}}
"""


def scenario(text: str, *changes: tuple[str, str]) -> Scenario:
    """Read a scenario, some words of it replaced."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return loads(text, Scenario, "s.yaml")


_TOKEN = re.compile(r'\s+|//[^\n]*|("[^"]*"|[A-Za-z_][\w]*|[-+]?[0-9][\w.+-]*|[={}()\[\];,])')


def libconfig(text: str) -> dict:
    """Read libconfig by its manual's grammar."""
    tokens = []
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found, text[at : at + 40]
        at = found.end()
        if found[1]:
            tokens.append(found[1])
    return _group([*tokens, "}"])


def _group(tokens: list[str]) -> dict:
    result = {}
    while tokens[0] != "}":
        key, equals = tokens.pop(0), tokens.pop(0)
        assert equals == "="
        assert key not in result
        result[key] = _value(tokens)
        if tokens[0] in ";,":
            tokens.pop(0)
    tokens.pop(0)
    return result


def _value(tokens: list[str]):
    token = tokens.pop(0)
    if token == "{":
        return _group(tokens)
    if token in "([":
        items = []
        while tokens[0] not in ")]":
            items.append(_value(tokens))
            if tokens[0] == ",":
                tokens.pop(0)
        tokens.pop(0)
        return items
    if token in ("true", "false"):
        return token == "true"
    return token[1:-1] if token[0] == '"' else float(token) if "." in token else int(token, 0)
