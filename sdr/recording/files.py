"""The two files of a recording, and what they are called."""

from __future__ import annotations

from pathlib import Path

from testbed.errors import BadInput

META, DATA = ".sigmf-meta", ".sigmf-data"


def check_name(path: Path) -> None:
    """Refuse a name that is none of a recording's description.

    Raises:
        BadInput: it does not end in .sigmf-meta; the message says what does.
    """
    if path.suffix == META and path.stem:
        return
    if path.suffix == DATA:
        wanted = f"the description beside it, {data_of(path).with_suffix(META).name}"
    elif path.suffix == ".sigmf":
        wanted = f"the files in this archive; unpack it with: tar -xf {path}"
    else:
        wanted = f"a name that ends in {META}"
    raise BadInput(f"{path}: expected {wanted}")


def data_of(meta: Path) -> Path:
    """Return where the samples of a recording are, from where its description is."""
    return meta.with_suffix(DATA)


def unfinished(path: Path) -> Path:
    """Return what a file is called while it is being written."""
    return path.with_name(f"{path.stem}.unfinished{path.suffix}")
