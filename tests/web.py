"""What tests share: links in schemas, requests in process and to a port, the scenarios of a conformance list."""

import io
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

import minirest

WAIT_SECONDS = 30.0
START = datetime(2024, 5, 1, 12, 0, 0, tzinfo=UTC)
Scenario = TypeVar("Scenario", bound=Callable[[Any], None])


def one(table: str, **words: Any) -> dict[str, Any]:
    """A link to one record, in a schema."""
    return {"$ref": f"#/$defs/{table}", **words}


def many(table: str, **words: Any) -> dict[str, Any]:
    """A link to many records, in a schema."""
    return {"type": "array", "items": one(table), **words}


def table(*examples: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """A table; words of the schema may stand among the fields."""
    words = {name: properties.pop(name) for name in list(properties) if name.startswith("x-") or name == "required"}
    return {"type": "object", "properties": properties, "examples": list(examples), **words}


def dump(store: minirest.Store) -> list[str]:
    """Everything that a database holds, as SQL; of a copy, for our connections may not do all that this asks for."""
    with closing(sqlite3.connect(":memory:")) as copy:
        store.database.writer.backup(copy)
        return list(copy.iterdump())


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **time: float) -> None:
        """Move it."""
        self.now += timedelta(**time)


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)


def unguarded(store: minirest.Store) -> sqlite3.Connection:
    """The connection for writing, which may then do what no request can: look into settings, and change them."""
    store.database.writer.set_authorizer(None)
    return store.database.writer


def serialized(store: minirest.Store) -> bytes:
    """The bytes of the database; what a request may not do, it can do no more afterwards."""
    data = unguarded(store).serialize()
    store.database.freeze()
    return data


def send(app: minirest.WsgiApp, method: str, address: str, body: Any = None, kind: str = "", **environ: str) -> Answer:
    """Call an application with the bytes as they are given; a body that is not bytes is written as JSON."""
    path, _, query = address.partition("?")
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    request: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "CONTENT_TYPE": kind or "application/json",
        "CONTENT_LENGTH": str(len(data)),
        "wsgi.input": io.BytesIO(data),
        "wsgi.url_scheme": "http",
        **environ,
    }
    started: list[Any] = []
    parts = app(request, lambda status, head, *_: started.extend([status, head]))
    status, head = started
    headers = dict(head)
    headers.pop("X-Request-Id", None)  # another one each time
    return Answer(int(status[:3]), headers, b"".join(parts))


def part(name: str, data: bytes = b"", file: str | None = None, kind: str = "") -> bytes:
    """One part of a form, as browsers write it."""
    head = f'Content-Disposition: form-data; name="{name}"' + ("" if file is None else f'; filename="{file}"')
    return head.encode() + (f"\r\nContent-Type: {kind}".encode() if kind else b"") + b"\r\n\r\n" + data


def multipart(*parts: bytes, boundary: str = "-x") -> bytes:
    """A whole form."""
    mark = b"--" + boundary.encode()
    return b"".join(mark + b"\r\n" + each + b"\r\n" for each in parts) + mark + b"--\r\n"


@contextmanager
def served(app: minirest.Application | minirest.Worlds) -> Iterator[str]:
    """The address of a server for an application on a free port; both end with the block."""
    ready, stop = SimpleQueue[str](), threading.Event()
    thread = threading.Thread(target=lambda: minirest.serve(app, port=0, on_ready=ready.put, stop=stop))
    thread.start()
    try:
        yield ready.get(timeout=WAIT_SECONDS)
    finally:
        stop.set()
        thread.join(WAIT_SECONDS)
        app.close()
    assert not thread.is_alive()


@contextmanager
def started(*arguments: str) -> Iterator[str]:
    """The address of a server in a process of its own, on a free port; it ends with the block, and in peace."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MINIREST_")}
    with subprocess.Popen(
        [sys.executable, str(Path(minirest.__file__).resolve()), *arguments, "--port", "0"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout
        late = threading.Timer(WAIT_SECONDS, server.kill)
        late.start()
        line = server.stdout.readline()
        late.cancel()
        try:
            assert line.startswith("Listening on "), server.communicate()
            yield line.split()[-1]
        finally:
            server.terminate()
            late = threading.Timer(WAIT_SECONDS, server.kill)
            late.start()
            said = server.communicate()[1]
            late.cancel()
    assert (server.returncode, said) == (0, "")


class Lines(dict[int | str, Callable[[Any], None]]):
    """The scenarios of a conformance list by the numbers of their lines."""

    def line(self, number: int | str) -> Callable[[Scenario], Scenario]:
        """Give a scenario the number of its line."""

        def register(scenario: Scenario) -> Scenario:
            assert number not in self
            self[number] = scenario
            return scenario

        return register
