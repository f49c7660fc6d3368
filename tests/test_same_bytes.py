"""Two servers, one of which answers nothing in its loop, say the same bytes to the same requests, but for the time."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

import minirest
from tests.documents import ROLES, SCHEMA, credentials, document, operations, world
from tests.passes import Peer, noting, request
from tests.sockets import running
from tests.web import unguarded

TAGS = minirest.derive_tags(list(SCHEMA["$defs"]), {})
DATE = re.compile(rb"\r\nDate: [^\r]*")
AT_ONCE = 5
"""How many requests are sent without waiting."""


class Drawn(minirest.Chance):
    """A chance whose ids are all alike: who begins a request twice draws another one."""

    def digits(self, size: int) -> str:
        return "0" * 2 * size


class Two:
    """The two servers: one client of each says the same, and hears the same."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.clients: list[Peer] = []
        self.apps: list[minirest.Application] = []
        self.heard, self.here = Counter[int](), list[str]()
        for number in range(2):
            place = str(folder / f"{number}.db")
            app = stack.enter_context(closing(world(db=place)))
            unguarded(app.store).execute("pragma synchronous=off")
            app.store.database.freeze()
            self.apps.append(app)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("MINIREST_INLINE", str(number))
                server = stack.enter_context(running(app))
            loop = server.task_dispatcher.loop
            assert bool(loop) == bool(number)
            if loop:
                loop.send = noting(self.here, loop.send)
            app.accounts.chance, app.accounts.key = Drawn(1), b"key"  # a seed from the start would do without the loop
            port = server.socket.getsockname()[1]
            self.clients.append(Peer(port, lambda: time.sleep(0.001)))
            stack.callback(self.clients[-1].socket.close)

    def say(self, *requests: bytes) -> None:
        """AssertionError when the two are answered differently."""
        for client in self.clients:
            client.send(*requests)
        for asked in requests:
            slow, quick = (DATE.sub(b"", client.take()) for client in self.clients)
            assert quick == slow, asked
            self.heard[int(quick.split()[1])] += 1


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Two]:
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)
    monkeypatch.setattr(minirest, "GUARD_SECONDS", 1.0)
    with ExitStack() as stack:
        yield Two(stack, tmp_path)


def key(dialect: str, table: str, number: int) -> str:
    """The key of a record in an address."""
    if dialect == "coredata":
        return minirest.record_uuid(TAGS[table], 0, number)
    if dialect == "platform":
        return minirest.object_id(TAGS[table], number)
    if table == "people" and dialect != "limbas":
        return {1: "anna", 2: "ben"}.get(number, "nobody")
    return str(number)


def requests_of(dialect: str, found: Any, role: str) -> Iterator[bytes]:
    """The operations of a document, with their examples, on some records; what destroys comes last."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in credentials(role).items())
    offered = sorted(operations(found), key=lambda it: (it[1] == "delete", it[0]))
    for path, method, operation in offered:
        tables = [part for part in re.split("[/:]", path) if part in SCHEMA["$defs"]]
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        example = json.dumps(content["example"]) if "example" in content else ""
        for number in (1, 99) if "{" in path else (1,):
            address = re.sub(r"\{\w+\}", key(dialect, tables[0], number) if tables else "x", path)
            for body in (example, "{") if example else ("",):
                yield request(method.upper(), address, body, lines)
            if method == "get":
                yield request("HEAD", address, headers=lines)
                yield request("GET", f"{address}?name=A&nope[x]=%ff", headers=lines)
                yield request(
                    "GET", address, headers=lines + "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n"
                )


@pytest.mark.parametrize("dialect", list(minirest.DIALECTS))
def test_every_operation(two: Two, dialect: str) -> None:
    """All that a document offers, read and written, for each role, with more than one request at once."""
    every: list[bytes] = []
    for role in ROLES:
        every += requests_of(dialect, document(two.apps[0], dialect, role), role)
    for start in range(0, len(every), AT_ONCE):
        two.say(*every[start : start + AT_ONCE])
    assert two.heard.total() / 2 < len(two.here) < two.heard.total()
    assert {200, 404} < two.heard.keys()
    assert rows(two.apps[0]) == rows(two.apps[1])


def rows(app: minirest.Application) -> dict[str, list[Any]]:
    """What is in the database."""
    connection = unguarded(app.store)
    names = [*(table.name for table in app.schema.tables.values()), "_history"]
    return {name: connection.execute(f'select * from "{name}"').fetchall() for name in names}


TAGGED: Sequence[str] = ("/things/1", "/api/v1/things/" + minirest.object_id(TAGS["things"], 1))


def test_conditions(two: Two) -> None:
    """304 and 412 of the tags that both give."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in credentials("admin").items())
    for address in TAGGED:
        two.say(request("GET", address, headers=lines))
        client = two.clients[0]
        tag = client.ask("GET", address, headers=lines).headers.get("ETag", '"x"')
        for words in (f"If-None-Match: {tag}\r\n", 'If-None-Match: "x"\r\n', "If-None-Match: *\r\n"):
            two.say(request("GET", address, headers=lines + words))
        for words in ('If-Match: "x"\r\n', f"If-Match: {tag}\r\n", f"If-Match: {tag}\r\n"):
            two.say(request("PATCH", address, '{"data":{"name":"new"}}', lines + words))
    assert two.heard[304] > 0
    assert two.heard[412] > 0


def test_who_asks(two: Two) -> None:
    """Tokens, wrong credentials and other hosts and origins."""
    bearers = {app.accounts.add_token("admin", "x") for app in two.apps}
    assert len(bearers) == 1
    words = [f"Authorization: Bearer {bearers.pop()}\r\n", "Authorization: Bearer x\r\n", "Authorization: Basic !\r\n"]
    words += [
        "Origin: https://evil.example\r\n",
        "Cookie: sid=x\r\n",
        "Accept: text/html\r\n",
        "Expect: 100-continue\r\n",
    ]
    bodies = cycle(["", '{"data":{"name":"a","count":1}}'])
    for line in [*words, *words]:
        for address in (
            "/things",
            "/api/things:list",
            "/api/v2/things/",
            "/api/v1/things",
            "/api/resources/things",
            "/",
        ):
            two.say(request("GET", address, headers=line), request("POST", address, next(bodies), line))
    assert {200, 401, 403} < two.heard.keys()
