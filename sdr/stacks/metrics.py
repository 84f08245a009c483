"""What srsRAN's programs measure, as samples: srsRAN 4G's CSV files, srsRAN Project's JSON messages.

Columns: srsue/src/metrics_csv.cc and srsenb/src/metrics_csv.cc of srsRAN 4G. Fields: du_high/scheduler.cpp and
resource_usage.cpp in apps/helpers/metrics/json_generators of srsRAN Project, release 25.10.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Literal, NamedTuple

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from testbed.errors import DeviceError
from testbed.telemetry.sample import Sample

Kind = Literal["cell", "ue"]

_ANSWER = 5.0
"""s: for a remote control to greet who connects."""


class _Meaning(NamedTuple):
    """A field's name among samples, its unit, and what it is to be multiplied by for that unit."""

    metric: str
    unit: str = "1"
    factor: float = 1.0


class _Origin(NamedTuple):
    """What the samples of one row have in common; see `Sample`."""

    entity: str
    measured: float
    received: float
    source: str

    def samples(self, row: Mapping[str, Any], meanings: Mapping[str, _Meaning]) -> Iterator[Sample]:
        """Give what a row says that has a meaning."""
        for key, (metric, unit, factor) in meanings.items():
            value = _number(row.get(key))
            if value is not None:
                yield Sample(self.entity, metric, value * factor, unit, self.measured, self.received, self.source)


_CELL_COLUMNS: Mapping[str, _Meaning] = {
    "nof_ue": _Meaning("ues"),
    "dl_brate": _Meaning("downlink_rate", "bit/s"),
    "ul_brate": _Meaning("uplink_rate", "bit/s"),
    "system_load": _Meaning("cpu", "1", 0.01),
    "proc_rmem_kB": _Meaning("memory", "B", 1024),
}
_UE_COLUMNS: Mapping[str, _Meaning] = {
    "pci": _Meaning("pci"),
    "rsrp": _Meaning("rsrp", "dBm"),
    "pl": _Meaning("path_loss", "dB"),
    "cfo": _Meaning("carrier_offset", "Hz"),
    "dl_mcs": _Meaning("downlink_mcs"),
    "dl_snr": _Meaning("downlink_snr", "dB"),
    "dl_brate": _Meaning("downlink_rate", "bit/s"),
    "dl_bler": _Meaning("downlink_bler", "1", 0.01),
    "ul_ta": _Meaning("timing_advance", "s", 1e-6),
    "ul_mcs": _Meaning("uplink_mcs"),
    "ul_buff": _Meaning("uplink_buffer", "B"),
    "ul_brate": _Meaning("uplink_rate", "bit/s"),
    "ul_bler": _Meaning("uplink_bler", "1", 0.01),
    "rf_o": _Meaning("overflows"),
    "rf_u": _Meaning("underflows"),
    "rf_l": _Meaning("late"),
    "is_attached": _Meaning("connected"),
    "sys_load": _Meaning("cpu", "1", 0.01),
    "proc_rmem_kB": _Meaning("memory", "B", 1024),
}
_UE_FIELDS: Mapping[str, _Meaning] = {
    "cqi": _Meaning("cqi"),
    "dl_ri": _Meaning("downlink_rank"),
    "ul_ri": _Meaning("uplink_rank"),
    "dl_mcs": _Meaning("downlink_mcs"),
    "dl_brate": _Meaning("downlink_rate", "bit/s"),
    "dl_nof_ok": _Meaning("downlink_ok"),
    "dl_nof_nok": _Meaning("downlink_failed"),
    "dl_bs": _Meaning("downlink_buffer", "B"),
    "pusch_snr_db": _Meaning("uplink_snr", "dB"),
    "pusch_rsrp_db": _Meaning("uplink_power", "dBFS"),
    "pucch_snr_db": _Meaning("uplink_control_snr", "dB"),
    "ta_ns": _Meaning("timing_advance", "s", 1e-9),
    "ul_mcs": _Meaning("uplink_mcs"),
    "ul_brate": _Meaning("uplink_rate", "bit/s"),
    "ul_nof_ok": _Meaning("uplink_ok"),
    "ul_nof_nok": _Meaning("uplink_failed"),
    "last_phr": _Meaning("power_headroom", "dB"),
    "bsr": _Meaning("uplink_buffer", "B"),
}
_CELL_FIELDS: Mapping[str, _Meaning] = {
    "error_indication_count": _Meaning("errors"),
    "average_latency": _Meaning("scheduling_time", "s", 1e-6),
    "max_latency": _Meaning("longest_scheduling_time", "s", 1e-6),
    "nof_failed_pdcch_allocs": _Meaning("failed_downlink_control"),
    "nof_failed_uci_allocs": _Meaning("failed_uplink_control"),
    "msg3_nof_ok": _Meaning("access_ok"),
    "msg3_nof_nok": _Meaning("access_failed"),
    "late_dl_harqs": _Meaning("late_downlink"),
    "late_ul_harqs": _Meaning("late_uplink"),
    "ues": _Meaning("ues"),
}
_PROGRAM_FIELDS: Mapping[str, _Meaning] = {
    "cpu_usage_percent": _Meaning("cpu", "1", 0.01),
    "memory_usage_mb": _Meaning("memory", "B", 2**20),
}


class CsvFile:
    """A metrics file of srsRAN 4G that grows.

    Its times count from the program's start, so a sample's time is right to within the interval of `read` after that.
    srsenb writes its file in blocks of 8 KiB, about one a minute; srsUE every second, as it is set up here.
    """

    def __init__(self, path: Path, radio: str, kind: Kind) -> None:
        self._path, self._radio, self._kind = path, radio, kind
        self._began = 0.0
        self._at = 0
        self._columns: list[str] = []

    def read(self, now: float) -> list[Sample]:
        """Return what was written since the last call; nothing where there is no file yet.

        Args:
            now: Unix seconds.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except FileNotFoundError:
            return []
        self._began = self._began or now
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return [sample for line in whole.decode("ascii", "replace").splitlines() for sample in self._row(line, now)]

    def _row(self, line: str, now: float) -> Iterator[Sample]:
        cells = line.split(";")
        if not self._columns:
            self._columns = cells
            return
        row = dict(zip(self._columns, cells, strict=False))
        seconds = _number(row.get("time"))
        if seconds is None:  # `#eof`
            return
        # srsUE counts milliseconds to the end of a period, srsenb seconds to the start of one of 1 s.
        seconds = seconds / 1000 if self._kind == "ue" else seconds + 1
        columns = _UE_COLUMNS if self._kind == "ue" else _CELL_COLUMNS
        carrier = row.get("cc", "0")
        entity = f"radio:{self._radio}" + (f":carrier{carrier}" if carrier != "0" else "")
        origin = _Origin(entity, min(self._began + seconds, now), now, f"{self._radio}/{self._path.name}")
        yield from origin.samples(row, columns)


def of_project(message: Mapping[str, Any], radio: str, received: float) -> list[Sample]:
    """Return what a message of srsRAN Project's metrics says; nothing for kinds that are not known.

    Args:
        message: JSON, as the remote control sends it to those who subscribed. received: Unix seconds.
    """
    measured = min(_moment(message.get("timestamp"), received), received)
    origin = _Origin(f"radio:{radio}", measured, received, f"{radio}/remote control")
    found = list(origin.samples(_dict(message.get("app_resource_usage")), _PROGRAM_FIELDS))
    for cell in _list(message.get("cells")):
        ues = _list(cell.get("ue_list"))
        found += origin.samples({**_dict(cell.get("cell_metrics")), "ues": len(ues)}, _CELL_FIELDS)
        for ue in ues:
            entity = f"{origin.entity}:rnti-{_hexadecimal(ue.get('rnti'))}"
            found += origin._replace(entity=entity).samples(ue, _UE_FIELDS)
    return found


def subscribe(radio: str, port: int, take: Callable[[list[Sample]], object], stop: Event, patience: float) -> None:
    """Take metrics from srsRAN Project's remote control on loopback until `stop` is set or the program ends.

    Args:
        take: is given the samples of each message. patience: seconds to wait for the server to listen.

    Raises:
        DeviceError: nobody listens, or it refuses to be subscribed to, or sends what is no JSON.
    """
    try:
        with _connected(port, stop, patience) as socket:
            socket.send(json.dumps({"cmd": "metrics_subscribe"}))
            while not stop.is_set():
                try:
                    message = _dict(json.loads(socket.recv(timeout=0.2)))
                except TimeoutError:
                    continue
                if "error" in message:
                    raise DeviceError(f"{radio}: remote control on port {port} refused: {message['error']}")
                take(of_project(message, radio, time.time()))
    except (WebSocketException, OSError, ValueError) as error:
        if not stop.is_set():
            raise DeviceError(f"{radio}: remote control on port {port}: {error}") from None


def _connected(port: int, stop: Event, patience: float) -> ClientConnection:
    deadline = time.monotonic() + patience
    while True:
        try:
            return connect(f"ws://127.0.0.1:{port}", open_timeout=_ANSWER, proxy=None)
        except ConnectionRefusedError:  # it is just starting
            if time.monotonic() > deadline or stop.wait(0.1):
                raise


def _number(value: Any) -> float | None:
    """`n/a`, `nan` and what is not there are no measurements."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _moment(text: Any, otherwise: float) -> float:
    """A time of UTC without a zone, as srsRAN Project writes it."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        return otherwise


def _hexadecimal(rnti: Any) -> str:
    return f"{rnti:04x}" if isinstance(rnti, int) else str(rnti)


def _list(value: Any) -> list[Any]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
