"""The numbered lines of the Platform dialect's WebSocket, over a port: one scenario each, whole frames compared."""

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from wsproto.events import Ping, Pong

import minirest
from tests.conformance import test_platform
from tests.conformance.test_platform import (
    ADMIN,
    ANNA,
    NOW_MS,
    UNAUTHORIZED,
    Web,
    compact,
    note,
    of,
    owned,
    sign_in,
    single,
    thing,
)
from tests.sockets import ADDRESS, WAIT_SECONDS, Client, fetch, frame, serving
from tests.web import Answer, Lines

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # RFC 6455's own example, with its answer
    "Sec-WebSocket-Version": "13",
}
ACCEPTED = [
    "HTTP/1.1 101 Switching Protocols",
    "connection: upgrade",
    "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
    "upgrade: websocket",
]
TEXT, CLOSE = 1, 8


class Clock:
    """The module `time`, with a clock that is put forward by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        """The seconds that have gone by, and those that are said to have."""
        return time.monotonic() + self.seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class Live(Web):
    """The data on a port, whose sockets take their time from a clock that is put forward by hand."""

    port = 0

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.users = {"admin": self.token, "anna": self.app.accounts.add_token("anna", "test")}

    def headers(self, user: str = "admin") -> dict[str, str]:
        """The header with which a user may listen."""
        return {"Authorization": f"Bearer {self.users[user]}"}

    def connect(self, user: str = "admin", address: str = ADDRESS) -> Client:
        """A socket of a user, behind the two texts with which the server begins."""
        return Client(self.port, self.headers(user), address).begin()

    def fetch(self, method: str, address: str, headers: Mapping[str, str]) -> Answer:
        """Send a request with these headers alone."""
        return fetch(self.port, method, address, headers=headers.items())

    def refused(self, code: int, message: str, method: str, query: str, headers: Mapping[str, str]) -> None:
        """What a user asks for is refused as engine.io does."""
        answer = self.fetch(method, f"/socket.io/{query}", {**self.headers(), **headers})
        self.expect(answer, {"code": code, "message": message}, 400)

    def stream(self, headers: Mapping[str, str], behind: bytes) -> tuple[list[str], bytes]:
        """The lines of the head, and all bytes behind it, of the answer to a request and the frames that follow it."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**UPGRADE, **headers}.items())
        with socket.create_connection(("127.0.0.1", self.port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(f"GET {ADDRESS} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode() + behind)
            received = b""
            while chunk := connection.recv(65536):
                received += chunk
        head, _, frames = received.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        return [first, *sorted(line.lower() for line in rest)], frames

    def event(self, name: str, entity: dict[str, Any]) -> str:
        """The text of the event that the newest row of history stands for."""
        with self.app.store.database.reading() as connection:
            (number,) = connection.execute("select max(id) from _history").fetchone()
        words = {"_msgid": of("_history", number), "_oid": entity["_id"], "event": name, "time": NOW_MS}
        return "42" + compact([name, {**words, "data": entity}])


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """Serve the data on a port."""
    live = Live()
    monkeypatch.setattr(minirest, "time", live.clock)
    with closing(live.app), serving(live.app) as live.port:
        yield live


def opening(sid: str) -> str:
    """The text with which the server begins."""
    words = {"sid": sid, "upgrades": [], "pingInterval": 25000, "pingTimeout": 60000}
    return f"0{compact(words)}"


def texts(client: Client, *sent: str) -> list[str]:
    """What comes for some texts, up to the answer to a heartbeat behind them."""
    client.send(*sent, "2last")
    found: list[str] = []
    while not found or found[-1] != "3last":
        found.append(client.text())
    return found[:-1]


LINES = Lines()
line = LINES.line

# ---- the document ----


@line(25)
def request(live: Live) -> None:
    """GET of that address, with an upgrade and the cookie, becomes a socket."""
    assert ADDRESS == "/socket.io/?EIO=3&transport=websocket"
    head, frames = live.stream({"Cookie": sign_in(live)}, frame(CLOSE))
    assert head == ACCEPTED
    assert frames.endswith(frame(CLOSE, mask=None))


@line(26)
def first_frame(live: Live) -> None:
    """The first frame is a text of type 0 with the two times; what else stands in it is line 53."""
    with Client(live.port, live.headers()) as client:
        text = client.text()
    words = json.loads(text[1:])
    del words["sid"], words["upgrades"]
    assert text[0] + compact(words) == '0{"pingInterval":25000,"pingTimeout":60000}'


@line(27)
def heartbeat(live: Live) -> None:
    """A client that sends `2` every 25 seconds gets `3` each time, and stays; then silent it is lost."""
    with live.connect() as client:
        for _ in range(10):
            live.clock.seconds += 25
            client.send("2")
            assert client.text() == "3"
        live.clock.seconds += 25 + 60 + 1
        assert client.close_code() == 1005


# ---- what the vendor's server and clients do ----


@line(43)
def bodies(live: Live) -> None:
    """An event is named by the store and what happened, and brings the members of the vendor's newer stream."""
    key = of("objects", 4)
    body = {"name": "Ä\n", "model": of("models", 2), "labels": [of("labels", 2)], "config": {"a": [1.5]}}
    made = thing(4, NOW_MS, **body)
    with live.connect() as client:
        live.expect(live.send("POST", "/objects", body), single(made))
        assert client.text() == live.event("objects-create", made)
        changed = {**made, "name": "New", "labels": []}
        live.expect(live.send("PATCH", f"/objects/{key}", {"name": "New", "labels": []}), single(changed))
        assert client.text() == live.event("objects-update", changed)
        live.expect(live.send("DELETE", f"/objects/{key}"), single(changed))
        assert client.text() == live.event("objects-delete", changed)
        assert texts(client) == []


# ---- engine.io 3 and socket.io 2 ----


@line(50)
def packets(live: Live) -> None:
    """The client pings. `3`, `5` and `6` ask for nothing; `1` is the end; `0` is the server's, and there is no `7`."""
    with live.connect() as client:
        assert texts(client, "2", "3", "5", "6", '42["name"]') == ["3"]
        client.send("1", "2")
        assert client.close_code() == 1000
    for text in ('0{"sid":"x"}', "7", ""):
        with live.connect() as client:
            client.send(text, "2")
            assert client.close_code() == 1002


@line(51)
def messages(live: Live) -> None:
    """`40` is answered, `42`, `43` and `44` ask for nothing, `41` is the end, binary parts are not taken."""
    with live.connect() as client:
        assert texts(client, "40", '42["name",1]', "431[]", '44"error"') == ["40"]
        client.send("41", "2")
        assert client.close_code() == 1000
    for text, code in (('451-["name",{"_placeholder":true,"num":0}]', 1003), ("461-1[]", 1003), ("47", 1002)):
        with live.connect() as client:
            client.send(text, "2")
            assert client.close_code() == code


@line(52)
def greeting(live: Live) -> None:
    """Unasked the server sends these two frames, and nothing else."""
    head, frames = live.stream(live.headers(), frame(CLOSE))
    match = re.search(rb'"sid":"([\w-]{20})"', frames)
    assert match
    greeted = [opening(match[1].decode()), "40"]
    assert head == ACCEPTED
    assert frames == b"".join(frame(TEXT, text.encode(), mask=None) for text in greeted) + frame(CLOSE, mask=None)
    with live.connect() as client:
        assert texts(client) == []


@line(53)
def sid_and_upgrades(live: Live) -> None:
    """Without a list of upgrades the client dies, without `40` it waits on; no two sessions have the same sid."""
    sids = set()
    for address in (ADDRESS, "/socket.io/?EIO=4&transport=websocket"):
        with Client(live.port, live.headers(), address) as client:
            text = client.text()
            sids.add(json.loads(text[1:])["sid"])
            assert text == opening(json.loads(text[1:])["sid"])
            assert client.text() == "40"
    assert len(sids) == 2


@line(54)
def data_of_a_ping(live: Live) -> None:
    """What a ping brings goes back, as the specification has it; without data a bare `3`."""
    with live.connect() as client:
        assert texts(client, "2probe", "2", "2ä€😀") == ["3probe", "3", "3ä€😀"]


@line(55)
def namespaces(live: Live) -> None:
    """There is `/` alone, in which everybody is from the start."""
    with live.connect() as client:
        refused = ['44/random,"Invalid namespace"'] * 3
        assert texts(client, "40/random", "40/random,", "40/random?token=x,") == refused
        assert texts(client, "40", "40/", "41/random,", "42/random,[1]") == ["40", "40"]
        made = note(1)
        live.expect(live.send("POST", "/notes", {"n": 1}), single(made))
        assert client.text() == live.event("notes-create", made)


@line(56)
def events(live: Live) -> None:
    """An event of the client has no effect; one that asks for an answer gets an empty one, below `/` alone."""
    with live.connect() as client, live.connect("anna") as other:
        before = live.dump()
        assert texts(client, '42["name",1]', '42["notes-create",{"data":{}}]') == []
        assert texts(client, '427["name",1]', '420["name"]', '42/,12["name",{}]') == ["437[]", "430[]", "4312[]"]
        assert texts(client, '42/custom,7["name",1]') == []
        assert texts(other) == []
        assert live.dump() == before


@line(57)
def silence(live: Live) -> None:
    """Without a ping for both times together, whatever else it says, a client is closed without a code (1005)."""
    with live.connect() as client, live.connect() as living:
        live.clock.seconds += 25 + 60 - 10
        client.send('427["name"]')
        client.socket.sendall(client.protocol.send(Ping(b"there")))
        assert (client.text(), client.event()) == ("437[]", Pong(b"there"))
        assert texts(living) == []
        live.clock.seconds += 11
        assert client.close_code() == 1005
        assert texts(living) == []


@line(58)
def states_of_the_client(live: Live) -> None:
    """What the client's words follow: `40`, `3`, the end after its own `41`, and the end when the server stops."""
    with serving(live.app) as port:
        left, stayed = (Client(port, live.headers()).begin() for _ in range(2))
        for client in (left, stayed):
            client.send("2")
            assert client.text() == "3"
        left.send("41")
        assert left.close_code() == 1000
    assert stayed.close_code() == 1001
    for client in (left, stayed):
        client.socket.close()


@line(59)
def refusals(live: Live) -> None:
    """What is no handshake is 400 with a code and a text in JSON; EIO=4 is not refused."""
    for query in ("", "?EIO=3", "?EIO=3&transport=", "?EIO=3&transport=flashsocket"):
        live.refused(0, "Transport unknown", "GET", query, UPGRADE)
    for method in ("GET", "POST"):
        live.refused(1, "Session ID unknown", method, "?EIO=3&transport=websocket&sid=x", UPGRADE)
    live.refused(2, "Bad handshake method", "POST", "?EIO=3&transport=websocket", UPGRADE)
    for headers in ({}, {**UPGRADE, "Upgrade": "h2c"}, {**UPGRADE, "Connection": "close"}):
        live.refused(3, "Bad request", "GET", "?EIO=3&transport=websocket", headers)
    with live.connect(address="/socket.io/?EIO=4&transport=websocket") as client:
        assert client.close() == 1000


@line(60)
def polling(live: Live) -> None:
    """Long polling is left out: it is a transport that nobody knows, with and without a session."""
    for query in ("?EIO=3&transport=polling", "?EIO=3&transport=polling&t=x&b64=1", "?EIO=3&transport=polling&sid=x"):
        for method in ("GET", "POST"):
            live.refused(0, "Transport unknown", method, query, {})
            live.refused(0, "Transport unknown", method, query, UPGRADE)


@line(61)
def authentication(live: Live) -> None:
    """Who asks is known before the 101: the cookie or a token, a token first; else 401, whatever else is wrong."""
    cookie, token = {"Cookie": sign_in(live)}, live.headers()
    wrong = {"Authorization": "Bearer x"}
    for good in (cookie, token, {**token, "Cookie": "sid=x"}):
        with Client(live.port, good) as client:
            assert client.begin().close() == 1000

    def unauthorized(*all_headers: Mapping[str, str]) -> None:
        for headers in all_headers:
            for query in ("?EIO=3&transport=websocket", "?EIO=3&transport=polling", ""):
                answer = live.fetch("GET", f"/socket.io/{query}", {**UPGRADE, **headers})
                live.expect(answer, UNAUTHORIZED, 401)

    unauthorized({}, {"Cookie": "sid=x"}, wrong, {**wrong, **cookie})
    live.now += timedelta(hours=24)
    unauthorized(cookie)


@line(62)
def readers(live: Live) -> None:
    """An event goes to those who may read the entity."""
    with live.connect() as admin, live.connect("anna") as anna:

        def heard(name: str, entity: dict[str, Any], *clients: Client) -> None:
            for client in clients:
                assert client.text() == live.event(name, entity)

        mine = {"_id": of("drafts", 1), "n": 1, **owned(NOW_MS, ADMIN)}
        shared = {"_id": of("drafts", 2), "n": 2, **owned(NOW_MS, ADMIN, access=[ANNA])}
        live.expect(live.send("POST", "/drafts", {"n": 1}), single(mine))
        heard("drafts-create", mine, admin)
        live.expect(live.send("POST", "/drafts", {"n": 2, "access": [ANNA]}), single(shared))
        heard("drafts-create", shared, admin, anna)
        for entity, clients in ((mine, (admin,)), (shared, (admin, anna))):
            path, changed = f"/drafts/{entity['_id']}", {**entity, "n": 9}
            live.expect(live.send("PATCH", path, {"n": 9}), single(changed))
            heard("drafts-update", changed, *clients)
            live.expect(live.send("DELETE", path), single(changed))
            heard("drafts-delete", changed, *clients)
        live.expect(live.send("POST", "/notes", {"n": 1}), single(note(1)))
        heard("notes-create", note(1), admin, anna)


@pytest.mark.parametrize("number", LINES)
def test_line(live: Live, number: int) -> None:
    """The scenario of the line of that number."""
    LINES[number](live)


def test_every_line_has_a_scenario() -> None:
    """All lines are there, those of the WebSocket here and the others in `test_platform.py`; none is there twice."""
    numbers = [*test_platform.LINES, *LINES]
    assert sorted(numbers) == [*range(1, 28), *range(30, 44), *range(50, 63)]
