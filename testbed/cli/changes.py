"""`testbed validate | plan | approve | apply | recover`: a change on its way to the hardware."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from testbed.cli.complete import labs
from testbed.cli.output import AsJson, Reporter, print_json, print_table, stdout, to_plain
from testbed.errors import BadInput, ExitCode
from testbed.model.plan import Plan
from testbed.model.verdict import Outcome, Verdict

ENDED = {"confirmed": ExitCode.DONE, "rolled-back": ExitCode.NO, "pending": ExitCode.UNABLE}
EXIT = {Outcome.PASSED: ExitCode.DONE, Outcome.FAILED: ExitCode.NO, Outcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE}
InventoryOption = Annotated[Path | None, typer.Option("--inventory", "-i", help="Inventory of the rack (YAML).")]
OnLab = Annotated[str | None, typer.Option("--lab", "-l", help="Running lab, instead of a rack.", autocompletion=labs)]
PlanFile = Annotated[Path, typer.Argument(help="Plan (JSON), as `testbed plan` wrote it.")]


def validate(
    changes: Annotated[list[Path], typer.Argument(help="Changes (YAML), each judged from the mirrored state.")],
    twin: Annotated[
        str,
        typer.Option("--twin", "-t", help="Twin in whose mirrored state it is tried, or a lab.", autocompletion=labs),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for report.html and report.json.")] = Path(
        "out"
    ),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only the static checks and the prediction.")] = False,
    as_json: AsJson = False,
) -> None:
    """Try changes in a fork of the twin.

    Exits 0 PASSED, 1 FAILED, 3 INCONCLUSIVE (of several, the first not passed); 2 for names the twin has not.

    Reports of several changes go to a folder each, named after the change.
    """
    from testbed.model.load import written_change
    from testbed.report import json as reports
    from testbed.validate import references
    from testbed.validate.of_lab import state_of
    from testbed.validate.run import foresee, validate_all

    written, state = [written_change(file) for file in changes], state_of(twin)
    references.require(written, state.topology)
    proposed, verdicts = [one.model for one in written], []
    with Reporter() as report:
        tried = (foresee(each, state) for each in proposed) if dry_run else validate_all(proposed, state, report)
        for verdict in tried:
            verdicts.append(verdict)
            if not dry_run:
                write_reports(verdict, state.topology, output if len(proposed) == 1 else output / verdict.change.name)
    if as_json:
        summaries = [reports.summary(verdict) for verdict in verdicts]
        print_json(summaries[0] if len(summaries) == 1 else {"changes": summaries})
    else:
        for verdict in verdicts:
            print_verdict(verdict)
        if not dry_run:
            stdout.print(f"reports: {output}", markup=False)
    raise typer.Exit(next((EXIT[v.outcome] for v in verdicts if v.outcome is not Outcome.PASSED), ExitCode.DONE))


def write_reports(verdict: Verdict, topology, folder: Path) -> None:
    """Write report.html and report.json."""
    from testbed.report import html
    from testbed.report import json as reports

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(html.render(verdict, topology), encoding="utf-8")
    (folder / "report.json").write_text(reports.render(verdict), encoding="utf-8")


def print_verdict(verdict: Verdict) -> None:
    """Print the verdict, then each expectation with its reason."""
    stdout.print(f"{verdict.change.name}: {verdict.outcome.value}: {verdict.reason}", markup=False)
    found = [[note.outcome.value, note.check, note.message] for note in verdict.static]
    judged = [[f.outcome.value, f.expectation.kind, f.reason] for f in verdict.findings]
    print_table(["outcome", "about", "why"], found + judged)


def plan(
    report: Annotated[Path, typer.Argument(help="report.json of a PASSED change.")],
    inventory: InventoryOption = None,
    lab: OnLab = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File of the plan.")] = Path("out/plan.json"),
    revert_after: Annotated[
        float | None,
        typer.Option(help="Seconds until an unconfirmed device reverts by itself; when not given, from the change."),
    ] = None,
    proposed_by: Annotated[str | None, typer.Option("--by", help="Who proposes it; you when not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Bind a passed change to the bytes and to the devices' configuration as it is now."""
    from testbed.replay import api

    made = api.plan_from_report(
        report,
        _place(inventory, lab),
        proposed_by=proposed_by or getpass.getuser(),
        revert_after=revert_after,
        output=output,
    )
    if as_json:
        print_json(made)
        return
    print_plan(made)
    stdout.print(f"plan {made.id[:12]}: {output}\nnext, somebody else: testbed approve {output}", markup=False)


def _place(inventory: Path | None, lab: str | None):
    """Return where a plan is for.

    Raises:
        BadInput: neither a rack nor a lab is named, or both are.
    """
    from testbed.replay.target import LabTarget

    if inventory is not None and lab is None:
        return inventory
    if lab is not None and inventory is None:
        return LabTarget(lab)
    raise BadInput("expected exactly one of --inventory FILE (a rack) and --lab NAME (a running lab)")


def print_plan(plan: Plan) -> None:
    """Print all that a plan would do: the diff of every device, what must hold, and how long the timers run."""
    for device in plan.devices:
        where = plan.identities[device.device]
        port = "" if where.address.startswith("lab:") else f" port {where.port}"
        heading = f"{device.device} ({device.adapter}, {where.address}{port}, {where.host_key})"
        stdout.print(f"--- {heading}\n{device.diff}", markup=False)
    for number, one in enumerate(plan.change.expect):
        settings = one.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)
        words = " ".join(f"{name}={_word(value)}" for name, value in settings.items())
        foretold = plan.forecast.get(str(number))
        said = "" if foretold is None else f"  (the twin foretold {foretold:.6g})"
        stdout.print(f"expect {one.kind} {words}{said}", markup=False)
    for lack in plan.lacks:
        stdout.print(f"lack: {lack}", markup=False)
    stdout.print(
        f"rack {plan.rack}: committing, verifying and confirming take up to {plan.estimate:g} s; what is not confirmed "
        f"after {plan.revert_after:g} s every device takes back by itself",
        markup=False,
    )


def _word(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def approve(
    file: PlanFile,
    by: Annotated[str, typer.Option("--by", help="Who approves; never who proposed it.")],
    key: Annotated[Path, typer.Option("--key", help="The approver's private key; made by `testbed key new`.")],
    as_json: AsJson = False,
) -> None:
    """Let a plan pass, signed; prints what was let pass."""
    from testbed.replay import api

    approved = api.approve_plan(file, by, key)
    if as_json:
        print_json(approved)
    else:
        print_plan(approved)
        stdout.print(f"plan {approved.id[:12]} is approved by {by}\nnext: testbed apply {file}", markup=False)


def apply(
    file: PlanFile,
    inventory: InventoryOption = None,
    lab: OnLab = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check that it could be applied now and show it; change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Replay a plan on the rack as one transaction. Exits 1 when it was rolled back, 4 when a device is left open."""
    from testbed.replay import api

    if dry_run:
        _show_unapplied(api.check_plan(file, _place(inventory, lab)), as_json)
        return
    with Reporter() as report:
        result = api.apply_plan(file, _place(inventory, lab), progress=report)
    _print_result(result, as_json)
    raise typer.Exit(ENDED[result.outcome])


def _show_unapplied(plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, "plan": to_plain(plan)})
        return
    print_plan(plan)
    stdout.print("the plan is approved, unused and fits the devices as they are; nothing was changed (--dry-run)")


def recover(
    inventory: InventoryOption = None,
    lab: OnLab = None,
    gone: Annotated[
        list[str] | None,
        typer.Option(
            "--gone", help="Device that will never answer again; its transactions end without it. Repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Finish or roll back what a crash left half done; `apply` does this first. Exits 4 while a device is left open."""
    from testbed.replay import api

    with Reporter() as report:
        results = api.recover(_place(inventory, lab), report, gone=gone or ())
    if as_json:
        print_json({"recovered": results})
    for result in () if as_json else results:
        _print_result(result, False)
    if not (results or as_json):
        stdout.print("nothing was left half done")
    if any(result.outcome == "pending" for result in results):
        raise typer.Exit(ExitCode.UNABLE)


def _print_result(result, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    stdout.print(f"{result.change}: {result.outcome}: {result.reason}", markup=False)
    print_table(["device", "configuration"], [[name, state] for name, state in result.devices.items()])
    if result.outcome == "pending":
        stdout.print("it is not over; once what is named above is mended: testbed recover", markup=False)
    if result.findings:
        print_table(
            ["outcome", "about", "why"], [[f.outcome.value, f.expectation.kind, f.reason] for f in result.findings]
        )
    for lack in result.lacks:
        stdout.print(f"not measured on the rack: {lack}", markup=False)


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (validate, plan, approve, apply, recover):
        app.command()(command)
