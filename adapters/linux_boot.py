"""How a Linux device keeps its confirmed configuration over a restart: a file, a script, a systemd unit to run it.

The unit comes after whatever sets the device's network up by itself (networkd, ifupdown, NetworkManager), and makes of
that what was confirmed. Interfaces that the file does not name are left alone: they came later, or come and go.
A device without systemd gets file and script, and something of its own must run the script.
"""

from __future__ import annotations

from adapters.linux_config import SNAPSHOT

FOLDER = "/var/lib/testbed"
STARTUP = f"{FOLDER}/startup.ip"
RESTORE = f"{FOLDER}/restore"
UNIT = "testbed-network.service"
HAS_SYSTEMD = "[ -d /run/systemd/system ]"
"""The test that sd_booted(3) makes."""

_UNIT_FILE = f"/etc/systemd/system/{UNIT}"
_WANTS = "/etc/systemd/system/multi-user.target.wants"
_ENABLED = f"{_WANTS}/{UNIT}"

_UNIT_TEXT = f"""# Made by testbed with the first change of this device.
[Unit]
Description=Network configuration confirmed through testbed
ConditionPathExists={STARTUP}
Wants=network-online.target
After=network.target network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh {RESTORE}

[Install]
WantedBy=multi-user.target"""

_RESTORE_TEXT = rf"""#!/bin/sh
# Made by testbed: makes {STARTUP} the running configuration, whatever the boot has set up.
snapshot() {{{SNAPSHOT}
}}
compare() {{
    awk -v what="$1" '
        function device(line,  n, w, i) {{
            n = split(line, w)
            for (i = 1; i < n; i++) if (w[i] == "dev") return w[i + 1]
        }}
        FILENAME == "startup.ip" {{ wanted[$0]; order[++n] = $0; named[device($0)]; next }}
        {{ have[$0]; there[device($0)] }}
        what != "surplus" || $0 in wanted || !(device($0) in named) {{ next }}
        / alias / {{ print "link set dev " $4 " alias \"\"" }}
        sub(/^address add/, "address del") || sub(/^route add/, "route del")
        END {{
            for (i = 1; i <= n && what != "surplus"; i++)
                if (!(order[i] in have) && (device(order[i]) in there) == (what == "missing")) print order[i]
        }}' startup.ip now
}}
cd {FOLDER} || exit 1
for round in 1 2 3; do
    snapshot >now
    compare surplus | ip -force -batch -
    snapshot >now  # with an address its routes have gone
    compare missing | ip -force -batch -
    snapshot >now
    [ -n "$(compare surplus; compare missing)" ] || break
done
compare absent | sed 's/^/no such interface, left out: /'
failed=$(compare missing; compare surplus)
[ -z "$failed" ] || {{ echo "not as {STARTUP} says:"; echo "$failed"; exit 1; }}"""

PERSIST = f"""    snapshot >{STARTUP}.new && cat >{RESTORE}.new <<'END-OF-RESTORE' || return 1
{_RESTORE_TEXT}
END-OF-RESTORE
    sync {STARTUP}.new {RESTORE}.new && mv -f {RESTORE}.new {RESTORE} && mv -f {STARTUP}.new {STARTUP} || return 1
    {HAS_SYSTEMD} || return 0
    [ -e {_ENABLED} ] && return 0
    cat >{_UNIT_FILE} <<'END-OF-UNIT' || return 1
{_UNIT_TEXT}
END-OF-UNIT
    chmod 644 {_UNIT_FILE} && systemctl --quiet enable {UNIT} && sync {_UNIT_FILE} {_WANTS} {FOLDER}"""

LEAVE = f"""    if [ -e {_ENABLED} ]; then systemctl --quiet disable {UNIT}; fi
    rm -f {_UNIT_FILE} {STARTUP} {RESTORE} {FOLDER}/now"""
