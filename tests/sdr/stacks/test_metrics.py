"""Metrics of srsRAN 4G's files and of srsRAN Project's remote control become samples, in SI and with their times."""

import json
import threading

import pytest
from websockets.sync.server import serve

from sdr.stacks.metrics import CsvFile, of_project, subscribe
from testbed.errors import DeviceError
from testbed.telemetry.store import Store

UE = (
    "time;cc;earfcn;pci;rsrp;pl;cfo;pci_neigh;rsrp_neigh;cfo_neigh;dl_mcs;dl_snr;dl_turbo;dl_brate;dl_bler;ul_ta;"
    "distance_km;speed_kmph;ul_mcs;ul_buff;ul_brate;ul_bler;rf_o;rf_u;rf_l;is_attached;proc_rmem;proc_rmem_kB;"
    "proc_vmem_kB;sys_mem;sys_load;thread_count;cpu_0\n"
)
FIRST = "1000;0;3350;1;-24;24;-1.7e-06;n/a;n/a;n/a;5.3;140;0.50;12000;10;8.3;1.2;0.0;23;0.0;3400;nan;0.0;0.0;0.0;1.0;"
ENB = "time;nof_ue;dl_brate;ul_brate;proc_rmem;proc_rmem_kB;proc_vmem_kB;sys_mem;system_load;thread_count;cpu_0\n"


def values(samples):
    return {(one.entity, one.metric): one.value for one in samples}


def test_a_ue_s_file_is_read_as_it_grows(tmp_path):
    path = tmp_path / "metrics.csv"
    file = CsvFile(path, "ue1", "ue")
    assert file.read(100.0) == []
    path.write_text("")
    assert file.read(100.5) == []
    path.write_text(UE + FIRST)
    assert file.read(101.0) == []  # its line is not whole yet
    path.write_text(UE + FIRST + "1.2;100;200;50;11;7;12\n")
    first = file.read(101.6)
    found = values(first)
    assert found["radio:ue1", "downlink_bler"] == pytest.approx(0.1)
    assert found["radio:ue1", "timing_advance"] == pytest.approx(8.3e-6)
    assert found["radio:ue1", "memory"] == 102_400
    assert found["radio:ue1", "rsrp"] == -24
    assert ("radio:ue1", "uplink_bler") not in found  # nan
    assert {(one.measured, one.received, one.source) for one in first} == {(101.5, 101.6, "ue1/metrics.csv")}
    with path.open("a") as more:
        more.write(FIRST.replace("1000;0", "2000;1") + "1.2;100;200;50;11;7;12\n#eof\n")
    assert values(file.read(110.0))["radio:ue1:carrier1", "pci"] == 1
    assert file.read(111.0) == []


def test_a_cell_s_file(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(f"{ENB}0;1;15000;2300;0.5;1024;4096;20;150;12;33\n")
    file = CsvFile(path, "enb", "cell")
    samples = file.read(50.0)
    assert values(samples) == {
        ("radio:enb", "ues"): 1, ("radio:enb", "downlink_rate"): 15000, ("radio:enb", "uplink_rate"): 2300,
        ("radio:enb", "cpu"): 1.5, ("radio:enb", "memory"): 2**20,
    }  # fmt: skip
    assert {one.measured for one in samples} == {50.0}  # never later than it was received


SCHEDULER = {
    "timestamp": "2026-11-23T09:50:00.250",
    "cells": [{
        "cell_metrics": {"pci": 1, "error_indication_count": 0, "average_latency": 12, "max_latency": 40,
                         "latency_histogram": [1, 2], "msg3_nof_ok": 1},
        "ue_list": [{"ue": 0, "pci": 1, "rnti": 17921, "cqi": 15, "dl_ri": 1.0, "dl_mcs": 27, "dl_brate": 1.5e6,
                     "dl_nof_ok": 90, "dl_nof_nok": 10, "pusch_snr_db": 31.5, "ta_ns": 260.0, "last_phr": None}],
    }],
}  # fmt: skip


def test_a_message_of_the_scheduler():
    samples = of_project(SCHEDULER, "gnb", 1795427500.0)
    found = values(samples)
    ue = "radio:gnb:rnti-4601"
    assert (found[ue, "downlink_rate"], found[ue, "uplink_snr"], found[ue, "downlink_failed"]) == (1.5e6, 31.5, 10)
    assert found[ue, "timing_advance"] == pytest.approx(2.6e-7)
    assert found["radio:gnb", "scheduling_time"] == pytest.approx(12e-6)
    assert found["radio:gnb", "ues"] == 1
    assert (ue, "power_headroom") not in found
    assert {one.measured for one in samples} == {1795427400.25}


@pytest.mark.parametrize("strange", [{}, {"cells": None}, {"cells": [[]]}, {"cells": [{"ue_list": 3}]}, {"du": {}}])
def test_messages_of_other_kinds_say_nothing_of_ues(strange):
    assert not [one for one in of_project(strange, "gnb", 1.0) if "rnti" in one.entity]


def test_memory_and_processor():
    found = values(of_project({"app_resource_usage": {"cpu_usage_percent": 50, "memory_usage_mb": 2}}, "gnb", 1.0))
    assert found == {("radio:gnb", "cpu"): 0.5, ("radio:gnb", "memory"): 2 * 2**20}


class Remote:
    """srsRAN Project's remote control: one JSON command a message, answered with its name or with an error."""

    def __init__(self, known="metrics_subscribe"):
        self.known, self.asked = known, []
        self.server = serve(self._talk, "127.0.0.1", 0)
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever)

    def _talk(self, socket):
        for message in socket:
            command = json.loads(message)["cmd"]
            self.asked.append(command)
            if command != self.known:
                socket.send(json.dumps({"error": f"Unknown command type: {command}", "cmd": command, "timestamp": ""}))
                continue
            socket.send(json.dumps({"cmd": command, "timestamp": "2026-11-23T09:50:00.000"}))
            socket.send(json.dumps(SCHEDULER))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()


def test_metrics_are_subscribed_to():
    store, stop = Store(), threading.Event()

    def take(samples):
        store.add(samples)
        if samples:
            stop.set()

    with Remote() as remote:
        subscribe("gnb", remote.port, take, stop, patience=10.0)
    assert remote.asked == ["metrics_subscribe"]
    assert [one.value for (_, metric), one in store.all_latest().items() if metric == "cqi"] == [15]


def test_who_refuses_and_who_is_not_there_is_told():
    with Remote("quit") as remote, pytest.raises(DeviceError, match=f"port {remote.port} refused: Unknown command"):
        subscribe("gnb", remote.port, list, threading.Event(), patience=10.0)
    with pytest.raises(DeviceError, match=f"gnb: remote control on port {remote.port}: .*refused"):
        subscribe("gnb", remote.port, list, threading.Event(), patience=0.0)
