"""`testbed up | down | status | exec | link | graph`: labs and what runs in them."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from testbed.cli.complete import labs, links, nodes
from testbed.cli.converging import converge, running_lab, save
from testbed.cli.exchange import (
    FormatOption,
    Mininet,
    SkipUnsupported,
    Source,
    read_lab_or_source,
    read_source,
    said_format,
)
from testbed.cli.guest import Guests, Memory, overridden
from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout
from testbed.errors import BadInput, ExitCode

LabOption = Annotated[
    str | None,
    typer.Option("--lab", "-l", help="Lab, when more than one is up.", autocompletion=labs),
]
SubstrateOption = Annotated[
    str, typer.Option("--substrate", help="auto, native, uml, or a machine: ssh:[USER@]HOST[:PORT]\\[/CHECKOUT].")
]


class Format(StrEnum):
    """Ways to draw a topology."""

    svg = "svg"
    mermaid = "mermaid"
    graphviz = "graphviz"
    json = "json"


def up(
    source: Source,
    substrate: SubstrateOption = "auto",
    name: Annotated[str | None, typer.Option(help="Name of the lab; the topology's when not given.")] = None,
    memory: Memory = None,
    guests: Guests = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be built.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the network is ready.")] = 90.0,
    format: FormatOption = None,
    mininet: Mininet = False,
    skip_unsupported: SkipUnsupported = False,
    keep_runtime: Annotated[
        bool, typer.Option("--keep-runtime", help="Of a running lab, keep what was changed while it ran.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring up a topology, ours or another tool's; return when the network is ready or say what is not.

    Where the lab runs already, change only what differs.
    """
    topology = read_source(source, said_format(format, mininet), skip_unsupported)
    topology = topology.model_copy(update={"guest": overridden(topology.guest, memory, guests)})
    up_or_converge(topology, substrate, name, timeout, dry_run=dry_run, keep_runtime=keep_runtime, as_json=as_json)


def restore(
    file: Annotated[Path, typer.Argument(help="What `testbed save` wrote.", metavar="FILE")],
    substrate: SubstrateOption = "auto",
    name: Annotated[str | None, typer.Option(help="Name of the lab; the saved one's when not given.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would be done.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the network is ready.")] = 90.0,
    as_json: AsJson = False,
) -> None:
    """Bring up a lab that was saved, or set one that runs back to what was saved."""
    from testbed.model.load import load_topology

    up_or_converge(load_topology(file), substrate, name, timeout, dry_run=dry_run, keep_runtime=False, as_json=as_json)


def up_or_converge(
    topology, substrate: str, name: str | None, timeout: float, *, dry_run: bool, keep_runtime: bool, as_json: bool
) -> None:
    """Bring up a lab, or change the one of this name that runs."""
    running = running_lab(name or topology.name)
    if running is not None:
        converge(running, topology, substrate, timeout, keep_runtime=keep_runtime, dry_run=dry_run, as_json=as_json)
    else:
        bring_up(topology, substrate, name, timeout, dry_run=dry_run, as_json=as_json)


def bring_up(topology, substrate: str, name: str | None, timeout: float, *, dry_run: bool, as_json: bool) -> None:
    """Bring up a lab that is not there yet."""
    from testbed.lab import Lab
    from testbed.substrate.registry import pick

    if dry_run:
        chosen, why = pick(substrate)
        _print_plan(topology, chosen.name, why, as_json)
        return
    with Reporter() as report:
        lab = Lab.up(topology, substrate=substrate, name=name, progress=report, ready_timeout=timeout)
    state = {"lab": lab.name, "nodes": len(topology.nodes), "links": len(topology.links)}
    if as_json:
        print_json(state)
    else:
        stdout.print(f"lab {lab.name} is up: {len(topology.nodes)} nodes, {len(topology.links)} links")


def _print_plan(topology, substrate: str, why: str, as_json: bool) -> None:
    from testbed.emulator.lower import build_of, topology_tracks
    from testbed.emulator.spread import split
    from testbed.load import declared_flows

    build, tracks, flows = build_of(topology), topology_tracks(topology), declared_flows(topology)
    guests = [[node.name for node in part.nodes] for part in split(build, topology.guest.guests)]
    if as_json:
        plan = {"build": build, "guests": guests, "traces": tracks, "load": flows}
        print_json({"substrate": substrate, "why": why, **plan})
        return
    stdout.print(f"substrate {substrate}: {why}")
    if len(guests) > 1:
        print_table(["guest", "nodes"], [[str(number), " ".join(names)] for number, names in enumerate(guests, 1)])
    print_table(
        ["node", "kind", "daemons", "addresses on lo"],
        [[n.name, n.kind, " ".join(n.daemons), " ".join(n.addresses)] for n in build.nodes],
    )
    print_table(
        ["link", "from", "to"],
        [
            [link.name, *(f"{end.node}:{end.interface} {' '.join(end.addresses)}" for end in link.ends)]
            for link in build.links
        ],
    )
    if tracks:
        print_table(["link", "trace", "plays", "settings", "lasts"], [_trace_row(topology, track) for track in tracks])
    if flows:
        stdout.print(f"load: {len(flows)} flows, {sum(flow.rate for flow in flows) / 1e6:.4g} Mbit/s", markup=False)
    stdout.print("nothing was changed (--dry-run)")


def _trace_row(topology, track) -> list[str]:
    trace = topology.links[track.link].trace
    way = ("forward", "backward")[track.end]
    lasts = f"{track.times[-1]:g} s" if track.lap is None else f"{track.lap:g} s, again and again"
    return [track.link, way, getattr(trace, way), str(len(track.times)), lasts]


def down(
    names: Annotated[list[str] | None, typer.Argument(help="Labs.", autocompletion=labs)] = None,
    all_labs: Annotated[bool, typer.Option("--all", help="All labs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken down.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Its machine is gone: remove only what is here.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take labs down wholly: no process, namespace or file is left."""
    from testbed.lab import Lab

    if bool(names) == all_labs:
        raise BadInput("say which labs (testbed down LAB...) or all of them (testbed down --all)")
    chosen = [lab for lab in Lab.all() if lab.kind != "rack"] if all_labs else [Lab.open(name) for name in names or ()]
    left: list[str] = []
    for lab in chosen if forget else ():
        lab.elsewhere()  # all may be forgotten, or none is
    for lab in chosen:
        if forget and not dry_run:
            left.append(lab.forget())
        elif not dry_run:
            lab.down()
        if not as_json:
            done = "forgotten" if forget else "down" if not dry_run else "taken down"
            stdout.print(f"lab {lab.name} {'would be' if dry_run else 'is'} {done}")
    if as_json:
        print_json({"down": [lab.name for lab in chosen], "dry_run": dry_run, "left": left})
    else:
        for line in left:
            stdout.print(line, markup=False)


def status(lab: Annotated[str | None, typer.Argument(autocompletion=labs)] = None, as_json: AsJson = False) -> None:
    """Show labs, and whether they live; one lab's nodes and links in full. Exits 1 when a lab is dead."""
    from testbed.lab import Lab

    chosen = [Lab.open(lab)] if lab else Lab.all()
    rows = [
        {"lab": each.name, "kind": each.kind, "substrate": each.substrate, "liveness": each.liveness()}
        for each in chosen
    ]
    detail = _detail(chosen[0]) if lab and rows[0]["liveness"].alive and chosen[0].kind != "rack" else {}
    if as_json:
        print_json({"labs": rows, **detail})
    else:
        _print_status(rows, detail)
    if not all(row["liveness"].alive for row in rows):
        raise typer.Exit(ExitCode.NO)


def _detail(lab) -> dict:
    from testbed.emulator.messages import GetLinks, ListNodes

    with lab.agent() as agent:
        return {"nodes": agent.call(ListNodes()).nodes, "links": agent.call(GetLinks()).links}


def _print_status(rows: list[dict], detail: dict) -> None:
    if not rows:
        stdout.print("no labs")
        return
    print_table(
        ["lab", "kind", "substrate", "state"],
        [
            [r["lab"], r["kind"], r["substrate"], "up" if r["liveness"].alive else f"dead: {r['liveness'].reason}"]
            for r in rows
        ],
    )
    for row in rows:
        for line in row["liveness"].console if not row["liveness"].alive else ():
            stdout.print(f"  {row['lab']} console: {line}", markup=False)
    if detail:
        daemons = [
            [n.name, n.kind, " ".join(f"{d}{'' if ok else '(dead)'}" for d, ok in n.daemons.items())]
            for n in detail["nodes"]
        ]
        print_table(["node", "kind", "daemons"], daemons)
        print_table(["link", "state", "forward", "backward"], [_link_row(link) for link in detail["links"]])


def exec_(
    node: Annotated[str, typer.Argument(help="Node.", autocompletion=nodes)],
    command: Annotated[list[str], typer.Argument(help="Command, after `--`.")],
    lab: LabOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds until it is killed (exit code 124).")] = 3600.0,
) -> None:
    """Run a command in a node; its exit code is the command's."""
    from testbed.emulator.messages import Exec, Output

    def write(event: object) -> None:
        if isinstance(event, Output):
            stream = sys.stdout if event.stream == "stdout" else sys.stderr
            stream.buffer.write(event.data)
            stream.flush()

    given = b"" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.buffer.read()
    with only_lab(lab).agent() as agent:
        request = Exec(node=node, argv=tuple(command), stdin=given, timeout=timeout)
        raise typer.Exit(agent.call(request, on_event=write).code)


def only_lab(name: str | None):
    from testbed.lab import Lab

    if name:
        return Lab.open(name)
    running = [lab for lab in Lab.all() if lab.kind != "rack"]
    if len(running) != 1:
        which = ", ".join(lab.name for lab in running) or "none is up"
        raise BadInput(f"which lab? --lab LAB ({which})")
    return running[0]


def link(
    name: Annotated[str, typer.Argument(help="Link.", autocompletion=links)],
    settings: Annotated[
        list[str] | None,
        typer.Argument(help="Such as delay=20ms loss=1% rate=none, or 'profile=microwave(rain=40)'; none shows it."),
    ] = None,
    lab: LabOption = None,
    forward: Annotated[bool, typer.Option("--forward", help="Only from the first end to the second.")] = False,
    backward: Annotated[bool, typer.Option("--backward", help="Only from the second end to the first.")] = False,
    cut: Annotated[bool, typer.Option("--cut", help="Cut the wire: both ends lose carrier.")] = False,
    mend: Annotated[bool, typer.Option("--mend", help="Mend the wire.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or change a link while it runs. What is not named stays as it is; `undo` is printed with what was."""
    from testbed.emulator.messages import GetLinks, LinkChange
    from testbed.emulator.settings import read_directions, write_patch

    if cut and mend:
        raise BadInput("--cut and --mend exclude each other")
    patches = read_directions(settings or [])
    ways: tuple[tuple[Literal[0, 1], bool], ...] = ((0, forward), (1, backward))
    ends: list[Literal[0, 1]] = [end for end, asked in ways if asked or forward == backward]
    opened = only_lab(lab)
    with opened.agent() as agent:
        before = agent.call(GetLinks(names=(name,))).links[0]
        changes = [LinkChange(link=name, end=end, patch=patches[end]) for end in ends] if settings else []
        if cut or mend:
            changes.append(LinkChange(link=name, up=mend))
        if changes:
            agent.set_links(changes)
        after = agent.call(GetLinks(names=(name,))).links[0]
    if as_json:
        print_json({"before": before, "after": after})
        return
    print_table(["link", "state", "forward", "backward"], [_link_row(after)])
    if settings:
        for end in ends:
            old = write_patch((before.forward, before.backward)[end], only=patches[end])
            way = ("forward", "backward")[end]
            stdout.print(f"undo: testbed link {name} --lab {opened.name} --{way} {' '.join(old)}", markup=False)


def _link_row(state) -> list[str]:
    from testbed.emulator.settings import write_patch

    sides = [" ".join(write_patch(side)) or "-" for side in (state.forward, state.backward)]
    return [state.name, "up" if state.up else "cut", *sides]


def graph(
    source: Annotated[str, typer.Argument(help="A lab's name, or what `import` takes.", metavar="SOURCE")],
    format: Annotated[Format, typer.Option("--format", "-f", help="How to draw.")] = Format.svg,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File; standard output when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> None:
    """Draw a topology as SVG, Mermaid, Graphviz or JSON."""
    from testbed.exchange.registry import DRAWINGS

    drawing = DRAWINGS[Format.json if as_json else format](read_lab_or_source(source))
    if output:
        output.write_text(drawing, encoding="utf-8")
    else:
        print(drawing)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (up, save, restore, down, status, link, graph):
        app.command()(command)
    app.command("exec")(exec_)
