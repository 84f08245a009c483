"""The command line: one module per command group, no logic; errors become exit codes here and nowhere else."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from types import FrameType
from typing import Any

import typer

from testbed import __version__
from testbed.cli import (
    audit,
    changes,
    core,
    demo,
    doctor,
    exchange,
    hosted,
    labs,
    load,
    mininet,
    profile,
    rack,
    radio,
    schema,
    switch,
    trace,
    twin,
)
from testbed.errors import ExitCode, TestbedError

app = typer.Typer(
    name="testbed",
    help="A hardware-in-the-loop network digital twin: emulate, drill, and validate a change before it is deployed.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    doctor, labs, exchange, mininet, profile, trace, load, switch, radio, core,
    rack, twin, changes, audit, schema, demo, hosted,
):  # fmt: skip
    group.register(app)


@app.callback(invoke_without_command=True)
def version_option(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """A hardware-in-the-loop network digital twin."""
    if version:
        typer.echo(f"testbed {__version__}")
        raise typer.Exit


# Typer carries its own copy of click in some releases and not in others; this is the base of its usage errors in all.
_UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


_INTERRUPTED = 130


def main() -> None:
    """Run the command and end with its exit code (`testbed.errors.ExitCode`).

    Asked to end by a signal it undoes what is half done, and its code is 128 and the signal's number.
    """
    asked: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, end)
    code = _run()
    if code == _INTERRUPTED and asked:
        print("testbed: interrupted", file=sys.stderr)
        code = 128 + asked[0]
    sys.exit(code)


def _run() -> int:
    """Typer gives an interrupt's code by itself in some releases, and raises what it was in others."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as wrong_usage:
        wrong_usage.show()
        code = ExitCode.BAD_INPUT
    except TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        code = error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has left; so do we, quietly
        code = 141
    except Exception:
        code = _our_bug()
    return code if isinstance(code, int) else 0


def _our_bug() -> ExitCode:
    with tempfile.NamedTemporaryFile("w", prefix="testbed-bug-", suffix=".txt", delete=False) as report:
        report.write(f"testbed {__version__}\n{' '.join(sys.argv)}\n{traceback.format_exc()}")
    last = traceback.format_exception_only(*sys.exc_info()[:2])[-1].strip()
    print(f"testbed: this is a bug in testbed, not yours: {last}\ntestbed: details in {report.name}", file=sys.stderr)
    return ExitCode.BUG
