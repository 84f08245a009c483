"""Pages of figures: Prometheus's text format, and lists as JSON, a page at a time."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from testbed.errors import AddressInUse, BadInput

Labels = tuple[tuple[str, str], ...]
_PATIENCE = 5.0
"""s: for the function to answer, which may be busy."""
_MOST = 100
"""Items of a page."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure, or several with labels.

    Attributes:
        kind: `counter` or `gauge`. values: by their labels.
    """

    name: str
    kind: str
    about: str
    values: Mapping[Labels, float] = field(default_factory=dict)


def counter(name: str, about: str, value: float) -> Metric:
    """Return a figure that only grows."""
    return Metric(name, "counter", about, {(): value})


def gauge(name: str, about: str, value: float) -> Metric:
    """Return a figure that comes and goes."""
    return Metric(name, "gauge", about, {(): value})


def text(metrics: Iterable[Metric]) -> str:
    """Return figures in Prometheus's text format, version 0.0.4."""
    lines = []
    for one in metrics:
        lines += [f"# HELP {one.name} {one.about}", f"# TYPE {one.name} {one.kind}"]
        lines += [f"{one.name}{_labels(labels)} {value:g}" for labels, value in one.values.items()]
    return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    escaped = ((key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")) for key, value in labels)
    inside = ",".join(f'{key}="{value}"' for key, value in escaped)
    return f"{{{inside}}}" if inside else ""


def listed(items: Sequence[Any], asked: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of a list, as Open5GS gives it.

    Args:
        asked: `page`, from 0, or -1 for all; `page_size`, 100 at most.

    Raises:
        BadInput: they are no numbers.
    """
    try:
        page, size = int(asked.get("page", "0")), int(asked.get("page_size", str(_MOST)))
    except ValueError:
        raise BadInput("page and page_size: expected numbers") from None
    if page < 0:
        shown, page, size = items, 0, len(items)
    else:
        size = max(1, min(size, _MOST))
        shown = items[page * size : (page + 1) * size]
    return {"items": list(shown), "pager": {"page": page, "page_size": size, "count": len(shown)}}


Page = Callable[[Mapping[str, str]], str | dict[str, Any]]
"""Returns text, or what becomes JSON, for what a query asks; runs where the function runs."""


class Pages:
    """A server of pages, in a thread of its own; what they say is gathered in the loop that starts it."""

    def __init__(self, address: str, pages: Mapping[str, Page]) -> None:
        """Listen.

        Args:
            address: `ADDRESS:PORT`; IPv4. pages: by path.

        Raises:
            BadInput: it is no address. AddressInUse: it is taken, or not this machine's.
        """
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal():
            raise BadInput(f"metrics {address!r}: expected ADDRESS:PORT")
        self._loop, self._pages = asyncio.get_running_loop(), dict(pages)
        try:
            self._server = ThreadingHTTPServer((host, int(port)), self._handler())
        except (OSError, OverflowError) as error:
            raise AddressInUse(f"metrics cannot be served at {address}: {error}") from None
        self.address: tuple[str, int] = (host, self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, content type and content for a path with its query."""
        parts = urlsplit(target)
        page = self._pages.get(parts.path)
        if page is None:
            known = ", ".join(self._pages)
            return HTTPStatus.NOT_FOUND, "text/plain", f"no such page; there are: {known}\n".encode()
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        try:
            found = asyncio.run_coroutine_threadsafe(_called(page, asked), self._loop).result(_PATIENCE)
        except BadInput as error:
            return HTTPStatus.BAD_REQUEST, "text/plain", f"{error}\n".encode()
        except TimeoutError:
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"the function is busy\n"
        if isinstance(found, str):
            return HTTPStatus.OK, "text/plain; version=0.0.4", found.encode()
        return HTTPStatus.OK, "application/json", json.dumps(found).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        pages = self

        class Handler(BaseHTTPRequestHandler):
            """Answers GET."""

            timeout = _PATIENCE

            def do_GET(self) -> None:
                status, kind, body = pages.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        return Handler


async def _called(page: Page, asked: Mapping[str, str]) -> str | dict[str, Any]:
    return page(asked)
