"""Figures of a core, as Prometheus and people fetch them."""

import asyncio
import json
import re
import urllib.error
import urllib.request

import pytest

from core5g.amf.__main__ import pages
from core5g.metrics import upf as shown_upf
from core5g.metrics.page import Metric, Pages, gauge, listed, text
from core5g.ran.errors import NoService
from testbed.errors import AddressInUse, BadInput
from tests.core5g.network import FIRST, asynchronous
from tests.core5g.smf.test_sessions import attached
from tests.core5g.userplane import GATEWAYS, udp, whole

LINE = re.compile(r'[a-z_0-9]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? -?[0-9.e+]+')


async def fetched(served, path):
    """What a page says."""
    url = f"http://{served.address[0]}:{served.address[1]}{path}"

    def get():
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.read().decode()

    return await asyncio.to_thread(get)


def figures(page):
    """Values by name with labels; every line must be one that Prometheus reads."""
    lines = page.splitlines()
    assert all(LINE.fullmatch(line) for line in lines if not line.startswith("#"))
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


@asynchronous
async def test_what_happens_shows_under_open5gs_names():
    async with whole() as all_:
        served = Pages("127.0.0.1:0", pages(all_.net.amf, all_.smf))
        _, session, _ = await attached(all_)
        for _ in range(3):
            session.send(udp(session.address, GATEWAYS[0].ip, (4000, 9), b"x"))
        stranger = all_.net.ue("001010000000099")
        with pytest.raises(NoService):
            await stranger.register()
        await all_.until(lambda: all_.upfs[0].datapath.endpoint.counts["in"] == 3)
        found = figures(await fetched(served, "/metrics"))
        assert found["fivegs_amffunction_rm_reginitreq"] == 2
        assert found["fivegs_amffunction_rm_reginitsucc"] == 1
        assert found['fivegs_amffunction_rm_reginitfail{cause="3"}'] == 1
        assert found['fivegs_amffunction_rm_registeredsubnbr{plmnid="00101",snssai="1"}'] == 1
        assert (found["gnb"], found["ran_ue"], found["amf_session"]) == (1, 1, 1)
        assert found['fivegs_smffunction_sm_sessionnbr{plmnid="00101",snssai="1"}'] == 1
        assert found['fivegs_smffunction_sm_pdusessioncreationsucc{plmnid="00101",snssai="1"}'] == 1
        assert found['fivegs_smffunction_sm_qos_flow_nbr{plmnid="00101",snssai="1",fiveqi="9"}'] == 1
        assert (found["pfcp_peers_active"], found["ues_active"]) == (1, 1)
        theirs = figures(text(shown_upf.metrics(all_.upfs[0])))
        assert theirs["fivegs_ep_n3_gtp_indatapktn3upf"] == 3
        assert theirs['fivegs_ep_n3_gtp_indatavolumeqosleveln3upf{qfi="1"}'] == 3 * 29
        assert theirs["fivegs_upffunction_upf_sessionnbr"] == 1
        assert theirs['fivegs_upffunction_upf_qosflows{dnn="internet"}'] == 1
        served.stop()


@asynchronous
async def test_ues_gnbs_and_sessions_are_listed_by_pages_and_without_keys():
    async with whole() as all_:
        served = Pages("127.0.0.1:0", pages(all_.net.amf, all_.smf))
        for number in range(3):
            await attached(all_, f"{int(FIRST) + number:015d}")
        ues = json.loads(await fetched(served, "/ue-info?page_size=2&page=1"))
        assert [one["supi"] for one in ues["items"]] == ["imsi-001010000000003"]
        assert ues["pager"] == {"page": 1, "page_size": 2, "count": 1}
        one = ues["items"][0]
        assert one["pdu_sessions"] == [{"psi": 1, "dnn": "internet", "snssai": {"sst": 1, "sd": "ffffff"}}]
        assert (one["cm_state"], one["security"]["enc"], one["gnb"]["gnb_id"]) == ("connected", "nea2", 1)
        gnbs = json.loads(await fetched(served, "/gnb-info?page=-1"))
        assert gnbs["items"][0]["num_connected_ues"] == 3
        whole_page = await fetched(served, "/pdu-info")
        pdu = json.loads(whole_page)["items"][0]["pdu"][0]
        assert (pdu["ipv4"], pdu["pdu_state"], pdu["qos_flows"]) == ("10.45.0.2", "active", [{"qfi": 1, "5qi": 9}])
        assert pdu["n3"]["upf"]["addr"] == "127.0.9.1"
        keys = [ue.security.key.hex() for ue in all_.net.amf.by_imsi.values() if ue.security]
        assert not any(key in whole_page or key in json.dumps(ues) for key in keys)
        served.stop()


@asynchronous
async def test_what_is_not_there_or_no_number_is_said():
    async with whole() as all_:
        served = Pages("127.0.0.1:0", pages(all_.net.amf, None))
        for path, code, words in (("/pdu-info", 404, "/ue-info"), ("/ue-info?page=x", 400, "expected numbers")):
            with pytest.raises(urllib.error.HTTPError) as caught:
                await fetched(served, path)
            assert caught.value.code == code
            assert words in caught.value.read().decode()
        with pytest.raises(AddressInUse):
            Pages("{}:{}".format(*served.address), {})
        for wrong in ("", "127.0.0.1", "127.0.0.1:x", ":9"):
            with pytest.raises(BadInput, match="ADDRESS:PORT"):
                Pages(wrong, {})
        served.stop()


def test_labels_are_quoted():
    found = text([Metric("a", "gauge", "b", {(("x", 'a"\\\n'),): 1}), gauge("c", "d", 2.5)])
    assert found == '# HELP a b\n# TYPE a gauge\na{x="a\\"\\\\\\n"} 1\n# HELP c d\n# TYPE c gauge\nc 2.5\n'


def test_a_page_is_never_too_large():
    assert listed(list(range(1000)), {"page_size": "5000"})["pager"] == {"page": 0, "page_size": 100, "count": 100}
    assert listed(list(range(1000)), {"page": "-1"})["pager"]["count"] == 1000
    assert listed([], {"page": "7"})["items"] == []
