"""YAML as a tree in which every value knows its file, line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from testbed.errors import BadInput

MOST_BYTES = 16 * 2**20
MOST_COPIES = 100_000
"""Aliases are copied out; more than this is a mistake or an attack (`billion laughs`)."""
_TAG = "tag:yaml.org,2002:"


class Place(NamedTuple):
    """Where in which file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class Tree:
    """A value as written.

    Attributes:
        value: a scalar, or `dict[str, Tree]`, or `list[Tree]`.
        place: of the value. key: of the key that names it, where there is one.
        where: path in the file, such as `links.a-b.endpoints[0]`; empty for the whole.
        text: the scalar as written, for messages.
        body: where the text of a literal block (`|`) begins: its lines are those of the file.
    """

    value: Any
    place: Place
    where: str = ""
    key: Place | None = None
    text: str | None = None
    body: Place | None = None

    def inside(self, offset: int) -> Place:
        """Return the place of a character of a literal block; of any other value, the value's own."""
        if self.body is None or self.text is None:
            return self.place
        before = self.text[:offset]
        column = offset - (before.rfind("\n") + 1)
        return Place(self.body.file, self.body.line + before.count("\n"), self.body.column + column)

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def child(self, key: str | int) -> Tree | None:
        """Return what is under a key or index, None where nothing is."""
        if isinstance(self.value, dict):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            return self.value[key]
        return None

    def walk(self) -> Iterator[Tree]:
        """Yield this value and all below it."""
        yield self
        children = self.value.values() if isinstance(self.value, dict) else self.value
        if isinstance(self.value, dict | list):
            for child in children:
                yield from child.walk()


@dataclass(slots=True)
class Source:
    """A file being read, and the problems found in it."""

    file: str
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    copies: int = 0
    seen: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)


def read_text(path: Path, what: str = "file") -> str:
    """Read a text file.

    Raises:
        BadInput: it is missing, no file, unreadable, too large or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{path}: expected a readable {what}, but: {reason}") from None
    if len(data) > MOST_BYTES:
        raise BadInput(f"{path}: expected a {what} of at most {MOST_BYTES // 2**20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise BadInput(f"{path}:{line}:{column}: byte 0x{data[error.start]:02x}: expected UTF-8 text") from None


def read_yaml(path: Path) -> Tree:
    """Read a YAML 1.2 file whose top is a mapping.

    Raises:
        BadInput: the file cannot be read, is empty, is not YAML, has a key twice, a tag, or grows beyond measure.
    """
    return parse_yaml(read_text(path), str(path))


def parse_yaml(text: str, file: str) -> Tree:
    """Read YAML 1.2 text whose top is a mapping; `file` is for the messages.

    Raises:
        BadInput: see `read_yaml`.
    """
    node = _compose(text, file)
    source = Source(file, text.split("\n"))
    if node is None:
        raise BadInput(f"{file}:1:1: the file is empty; expected a mapping (key: value)")
    tree = _tree(node, source, "")
    if source.problems:
        raise BadInput("\n".join(source.problems))
    if not isinstance(tree.value, dict):
        raise BadInput(f"{tree.place}: {shown(tree)}expected a mapping (key: value)")
    return tree


def shown(tree: Tree) -> str:
    """Return `value 'x': ` for a scalar and nothing for the rest: what a message quotes."""
    if tree.text is None:
        return ""
    text = tree.text if len(tree.text) <= 60 else tree.text[:57] + "..."
    return f"value {text!r}: "


def _compose(text: str, file: str) -> Node | None:
    yaml = YAML(typ="rt", pure=True)
    yaml.composer.warn_double_anchors = False  # YAML allows it: an alias is to the last one before it
    try:
        return yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        context = f" ({error.context})" if error.context else ""
        raise BadInput(f"{place}: not YAML: {error.problem}{context}") from None
    except RecursionError:
        raise BadInput(f"{file}: expected YAML that is nested less deeply") from None
    except YAMLError as error:
        raise BadInput(f"{file}: not YAML: {' '.join(str(error).split())}") from None


def _tree(node: Node, source: Source, where: str, key: Place | None = None) -> Tree:
    place = Place(source.file, node.start_mark.line + 1, node.start_mark.column + 1)
    source.copies += id(node) in source.seen
    source.seen.add(id(node))
    if source.copies > MOST_COPIES:
        raise BadInput(f"{place}: expected aliases that copy at most {MOST_COPIES} values")
    if id(node) in source.open:
        raise BadInput(f"{place}: {where}: expected no alias to what contains it")
    source.open.add(id(node))
    tree = Tree(None, place, where, key)
    try:
        _fill(tree, node, source)
    except RecursionError:
        raise BadInput(f"{place}: expected YAML that is nested less deeply") from None
    source.open.discard(id(node))
    return tree


def _fill(tree: Tree, node: Node, source: Source) -> None:
    kind = str(node.tag or "").removeprefix(_TAG)
    if isinstance(node, MappingNode) and kind == "map":
        tree.value = _mapping(node, source, tree.where)
    elif isinstance(node, SequenceNode) and kind == "seq":
        tree.value = [_tree(item, source, f"{tree.where}[{index}]") for index, item in enumerate(node.value)]
    elif isinstance(node, ScalarNode):
        tree.text = node.value
        tree.body = _body(node, source) if node.style == "|" else None
        tree.value = _scalar(kind, node.value, tree, source)
    else:
        source.problems.append(f"{tree.place}: {tree.where}: tag {str(node.tag)!r}: expected a value without a tag")


def _body(node: ScalarNode, source: Source) -> Place:
    """A literal block begins in the line after its `|`, as far to the right as its lines lost when they were read."""
    first = node.start_mark.line + 1
    pairs = zip(source.lines[first:], node.value.split("\n"), strict=False)
    lost = (_indent(written) - _indent(read) for written, read in pairs if read.strip())
    return Place(source.file, first + 1, next(lost, 0) + 1)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _mapping(node: MappingNode, source: Source, where: str) -> dict[str, Tree]:
    result: dict[str, Tree] = {}
    for key_node, value_node in node.value:
        place = Place(source.file, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if not isinstance(key_node, ScalarNode):
            source.problems.append(f"{place}: {where or 'file'}: expected a key that is plain text")
            continue
        key = key_node.value
        if key in result:
            first = result[key].key
            line = first.line if first else 0
            source.problems.append(
                f"{place}: {_under(where, key)}: key {key!r} a second time; the first is in line {line}"
            )
            continue
        result[key] = _tree(value_node, source, _under(where, key), place)
    return result


def _under(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _scalar(kind: str, text: str, tree: Tree, source: Source) -> Any:
    """YAML 1.2 core schema. What is not exactly that stays text, for the model to refuse where it is not wanted."""
    if kind == "null":
        return None
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in ("int", "float"):
        return _number(kind, text)
    if kind not in ("str", "timestamp", "merge", "value"):
        source.problems.append(f"{tree.place}: {tree.where}: tag {kind!r}: expected a value without a tag")
    return text


def _number(kind: str, text: str) -> int | float | str:
    digits = text.replace("_", "")
    try:
        if kind == "int":
            return int(digits, 0) if digits.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(digits)
        return float(digits.lower().replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text
