"""Names of other tools made to fit: lower-case letters, digits and inner hyphens, each once."""

from __future__ import annotations

import re
import unicodedata

_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "ae", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d", "ı": "i", "þ": "th"}
)
LONGEST = 40
_FITS = re.compile(rf"[a-z0-9]([a-z0-9-]{{0,{LONGEST - 2}}}[a-z0-9])?")


def slug(text: str) -> str:
    """Return the nearest name that a topology may use, the text itself where it fits; empty where nothing is left."""
    if _FITS.fullmatch(text):
        return text
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST].rstrip("-")


class Names:
    """Gives each thing a name of its own, as near as may be to what it is called elsewhere."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, wanted: str, otherwise: str) -> str:
        """Return a name that is not taken yet.

        Args:
            wanted: any text. otherwise: a name for text of which nothing is left.
        """
        base = slug(wanted) or otherwise
        name, number = base, 2
        while name in self._taken:
            end = f"-{number}"
            name, number = f"{base[: LONGEST - len(end)].rstrip('-')}{end}", number + 1
        self._taken.add(name)
        return name

    def link(self, first: str, second: str) -> str:
        """Return a name for a link between two nodes: `first-second`, cut evenly where that is too long."""
        if len(first) + len(second) < LONGEST:
            return self.take(f"{first}-{second}", "link")
        half = LONGEST // 2 - 1
        return self.take(f"{first[: max(half, LONGEST - 2 - len(second))]}-{second}", "link")
