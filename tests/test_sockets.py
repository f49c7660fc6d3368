"""Section 14: the sessions of engine.io without I/O, then sockets over a real server, well-behaved and not."""

import base64
import http.client
import io
import json
import logging
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.events import AcceptConnection, Pong

import minirest
from minirest import Close, Session
from tests.sockets import ADDRESS, WAIT_SECONDS, Client, ask, frame, running, serving
from tests.web import send

SCHEMA: dict[str, Any] = {
    "$defs": {
        "kunden": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "geheim": {"type": "string", "writeOnly": True}},
            "examples": [{"name": "Meier"}],
        },
        "Aufgaben": {
            "type": "object",
            "properties": {"titel": {"type": "string"}, "platz": {"type": "integer"}, "anzahl": {"type": "number"}},
            "x-sort": {"field": "platz"},
            "x-archive": True,
            "examples": [{"titel": "eins"}, {"titel": "zwei"}],
        },
    }
}
NOW = datetime(2024, 5, 1, 13, 45, 0, 123000, UTC)
NOW_MILLISECONDS = 1714571100123
USERS = {"anna": "a good password", "bert": "another password"}
TEXT, BINARY, CLOSE, PING = 1, 2, 8, 9
LIMIT = minirest.MAX_SOCKET_MESSAGE_BYTES


def basic(name: str) -> dict[str, str]:
    """The header with which a user signs in."""
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{USERS[name]}".encode()).decode()}


def add(app: minirest.Application, name: str) -> None:
    """Make a customer, in process."""
    assert send(app, "POST", "/kunden", {"data": {"name": name}}).status == 201


def names(client: Client, number: int) -> list[str]:
    """The names in the next events."""
    return [client.told()[1]["data"]["name"] for _ in range(number)]


def soon(port: int, condition: Callable[[], bool]) -> bool:
    """Whether something comes true while requests are answered; each waits for the last one's end."""
    return any(condition() or ask(port, "GET", "/kunden/1") is None for _ in range(2000))


def narrow(port: int) -> socket.socket:
    """A connection that holds little of what its end does not read."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.settimeout(WAIT_SECONDS)
    made.connect(("127.0.0.1", port))
    return made


@pytest.fixture
def app() -> Iterator[minirest.Application]:
    """An application for everybody."""
    with closing(minirest.make_app(SCHEMA, auth=False, clock=lambda: NOW)) as made:
        yield made


@pytest.fixture
def port(app: minirest.Application) -> Iterator[int]:
    """Its port."""
    with serving(app) as number:
        yield number


@pytest.fixture(scope="module")
def shared() -> Iterator[int]:
    """The port of one server for all that changes nothing."""
    with closing(minirest.make_app(SCHEMA, auth=False)) as made, serving(made) as number:
        yield number


@pytest.fixture
def closed_app() -> Iterator[minirest.Application]:
    """An application with two users."""
    with closing(minirest.make_app(SCHEMA, users=USERS)) as made:
        yield made


# ---- the session ----


def begun(interval: float = 25.0, timeout: float = 60.0) -> Session:
    """A session that began at 100 seconds."""
    return Session(interval, timeout, 100.0)


def test_session_says_who_it_is() -> None:
    """First comes `0` with all four words, the times in milliseconds, then `40`; no two sessions have the same id."""
    first, second = begun(), begun(0.5, 1.25)
    opening, connected = first.open()
    assert (opening[0], connected) == ("0", "40")
    shown = json.loads(opening[1:])
    assert list(shown) == ["sid", "upgrades", "pingInterval", "pingTimeout"]
    assert shown == {"sid": first.sid, "upgrades": [], "pingInterval": 25000, "pingTimeout": 60000}
    assert re.fullmatch(r"[\w-]{20}", first.sid)
    assert json.loads(second.open()[0][1:]) == {
        "sid": second.sid,
        "upgrades": [],
        "pingInterval": 500,
        "pingTimeout": 1250,
    }
    assert first.sid != second.sid


PACKETS: list[tuple[str, list[str], Close | None]] = [
    # engine.io
    ("1", [], Close.DONE),
    ("2", ["3"], None),
    ("2probe", ["3probe"], None),
    ("2ä€😀", ["3ä€😀"], None),
    ("3", [], None),
    ("3probe", [], None),
    ("5", [], None),
    ("6", [], None),
    ("0", [], Close.PROTOCOL),
    ('0{"sid":"x"}', [], Close.PROTOCOL),
    ("7", [], Close.PROTOCOL),
    ("9", [], Close.PROTOCOL),
    ("x", [], Close.PROTOCOL),
    ("", [], Close.PROTOCOL),
    # socket.io: which packet
    ("4", [], Close.PROTOCOL),
    ("47", [], Close.PROTOCOL),
    ("4x", [], Close.PROTOCOL),
    # namespaces
    ("40", ["40"], None),
    ("40/", ["40"], None),
    ("40/,", ["40"], None),
    ('40{"token":1}', ["40"], None),
    ("40x", [], Close.MALFORMED),
    ("40/ns", ['44/ns,"Invalid namespace"'], None),
    ("40/ns,", ['44/ns,"Invalid namespace"'], None),
    ("40/ns?token=x,", ['44/ns,"Invalid namespace"'], None),
    ('40/ns,{"a":1}', ['44/ns,"Invalid namespace"'], None),
    ("41", [], Close.DONE),
    ("41/", [], Close.DONE),
    ("41/ns,", [], None),
    # events
    ('42["name"]', [], None),
    ('42["name",{"a":[1]}]', [], None),
    ('427["name",1]', ["437[]"], None),
    ('420["name"]', ["430[]"], None),
    ('42/,7["name"]', ["437[]"], None),
    ('42/ns,7["name"]', [], None),
    ('42["/a,b"]', [], None),
    ("42", [], Close.MALFORMED),
    ("427", [], Close.MALFORMED),
    ("42[]", [], Close.MALFORMED),
    ('42"name"', [], Close.MALFORMED),
    ('42{"a":1}', [], Close.MALFORMED),
    ('42["name"', [], Close.MALFORMED),
    ('42["name"]x', [], Close.MALFORMED),
    ("42" + "[" * 30_000, [], Close.MALFORMED),
    ('42["x",' + "1" * 30_000 + "]", [], Close.MALFORMED),
    # answers, errors, binary parts
    ("431[]", [], None),
    ("44", [], None),
    ('451-["name",{"_placeholder":true,"num":0}]', [], Close.BINARY),
    ("461-1[]", [], Close.BINARY),
]


@pytest.mark.parametrize(("text", "replies", "code"), PACKETS, ids=[text[:20] for text, _, _ in PACKETS])
def test_packets(text: str, replies: list[str], code: Close | None) -> None:
    """Each packet has its answer, or ends the session with its code."""
    session = begun()
    assert session.receive(text, 101.0) == replies
    assert session.close_code == code
    assert session.state == ("open" if code is None else "closed")


def test_every_step_of_the_table_is_tried() -> None:
    """The packets above take every step of an open session."""
    tried = {text[: 2 if text.startswith("4") else 1] for text, _, _ in PACKETS}
    steps = minirest.SESSION_STEPS["open"]
    assert set(steps) - {"other"} <= tried
    assert tried - set(steps)


@pytest.mark.parametrize("text", [text for text, _, _ in PACKETS], ids=[text[:20] for text, _, _ in PACKETS])
def test_closed_session_is_deaf(text: str) -> None:
    """What comes after the end of a session changes nothing."""
    session = begun()
    session.close(Close.DONE)
    assert session.receive(text, 101.0) == []
    session.tick(1e9)
    assert session.close_code == Close.DONE


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{1,3}(/[a-z]*,)?[0-9]?[\[{\"a,0\]}]*", fullmatch=True))
def test_any_text_is_survived(text: str) -> None:
    """Whatever a client sends, there are answers or a code."""
    session = begun()
    replies = session.receive(text, 101.0)
    assert all(reply[0] in "34" for reply in replies)
    assert not replies or session.close_code is None


def test_heartbeat() -> None:
    """Without a ping for interval and timeout together the session ends; a ping begins the time anew, alone."""
    silent, living = begun(), begun()
    silent.receive('42["name"]', 184.0)
    living.receive("2", 185.0)
    for session, last in ((silent, 185.0), (living, 270.0)):
        session.tick(last)
        assert session.state == "open"
        session.tick(last + 0.001)
        assert session.close_code == Close.SILENT


# ---- frames ----


def test_hello(shared: int) -> None:
    """The server answers 101 without extensions, then says `0` and `40`; a ping of engine.io is answered."""
    with Client(shared, {"Sec-WebSocket-Extensions": "permessage-deflate", "Sec-WebSocket-Protocol": "x"}) as client:
        assert client.head == AcceptConnection()
        shown = json.loads(client.text()[1:])
        assert {**shown, "sid": ""} == {"sid": "", "upgrades": [], "pingInterval": 25000, "pingTimeout": 60000}
        assert client.text() == "40"
        client.send("2", "2probe", '425["hello"]')
        assert [client.text() for _ in range(3)] == ["3", "3probe", "435[]"]
        assert client.close() == 1000


def test_head_of_the_upgrade(shared: int) -> None:
    """The answer has the three headers of an upgrade alone, and the key of RFC 6455's own example is answered."""
    head = (
        f"GET {ADDRESS} HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", shared), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head.encode() + frame(CLOSE))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    answer, _, frames = received.partition(b"\r\n\r\n")
    first, *headers = answer.decode().split("\r\n")
    assert first == "HTTP/1.1 101 Switching Protocols"
    assert sorted(line.lower() for line in headers) == [
        "connection: upgrade",
        "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
        "upgrade: websocket",
    ]
    assert frames.endswith(b"\x81\x0240\x88\x00")


def test_both_addresses_and_other_words(shared: int) -> None:
    """The last slash may be missing; EIO may be 4 or missing; words of the client's own are let pass."""
    for query in ("EIO=3&transport=websocket&t=Abc&b64=1&token=x", "EIO=4&transport=websocket", "transport=websocket"):
        for path in ("/socket.io/", "/socket.io"):
            with Client(shared, address=f"{path}?{query}") as client:
                assert client.begin().close() == 1000


@pytest.mark.parametrize("text", ["2probe", "2\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_frames_with_the_request(shared: int, text: str) -> None:
    """A frame in one piece with the request is not lost, and never taken for another request."""
    with Client(shared, behind=frame(TEXT, text.encode(), mask=b"\0\0\0\0")) as client:
        client.begin()
        assert client.text() == "3" + text[1:]
        client.send("2")
        assert client.text() == "3"
        assert client.close() == 1000


def test_upgrade_of_a_connection_in_use(shared: int) -> None:
    """A connection that has carried requests can become a socket."""
    with closing(http.client.HTTPConnection("127.0.0.1", shared, timeout=WAIT_SECONDS)) as connection:
        for _ in range(2):
            connection.request("GET", "/kunden/1")
            assert connection.getresponse().read()
        client = Client(shared, connection=connection.sock).begin()
        client.send("2")
        assert client.text() == "3"
        assert client.close() == 1000


def test_fragments_and_pings_between(shared: int) -> None:
    """A message in parts is joined, though a character is cut and pings stand between; those are answered at once."""
    word = "2ä€😀".encode()
    parts = [bytes([byte]) for byte in word]
    with Client(shared).begin() as client:
        for number, part in enumerate(parts):
            client.sendall(frame(0 if number else TEXT, part, fin=number == len(parts) - 1))
            if number in (1, 2):
                client.sendall(frame(0, b"", fin=False) + frame(PING, b"%d" % number) + frame(10, b"unasked"))
        assert [client.event() for _ in range(2)] == [Pong(b"1"), Pong(b"2")]
        assert client.text() == "3ä€😀"


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_bytes_that_come_slowly(shared: int, step: int) -> None:
    """However the bytes of frames are cut, they are the same frames."""
    data = frame(TEXT, b"2a") + frame(TEXT, b"2" + b"b" * 300) + frame(PING) + frame(TEXT, b"2c")
    with Client(shared).begin() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(data), step):
            client.sendall(data[start : start + step])
        assert [client.text(), client.text()] == ["3a", "3" + "b" * 300]
        assert isinstance(client.event(), Pong)
        assert client.text() == "3c"


def test_largest_message(shared: int) -> None:
    """A message has as many bytes of UTF-8 as the limit says, not one more, in one frame or in many."""
    long = "2" + "ä" * ((LIMIT - 1) // 2) + "x" * ((LIMIT - 1) % 2)
    assert len(long.encode()) == LIMIT
    with Client(shared).begin() as client:
        client.send(long)
        assert client.text() == "3" + long[1:]
        client.sendall(frame(TEXT, long.encode() + b"x"))
        assert client.close_code() == 1009
    with Client(shared).begin() as client:
        client.sendall(frame(TEXT, long.encode(), fin=False))
        client.sendall(b"".join(frame(0, b"", fin=False) for _ in range(1000)))
        client.sendall(frame(PING) + frame(0, b"x", fin=False))
        assert isinstance(client.event(), Pong)
        assert client.close_code() == 1009


BAD: list[tuple[str, bytes, int]] = [
    ("not masked", frame(TEXT, b"2", mask=None), 1002),
    ("ping not masked", frame(PING, b"", mask=None), 1002),
    ("bad UTF-8", frame(TEXT, b"2\xff"), 1007),
    ("half of a surrogate pair", frame(TEXT, b"2\xed\xa0\x80"), 1007),
    ("cut UTF-8", frame(TEXT, b"2\xe2\x82"), 1007),
    ("bad UTF-8 in a later part", frame(TEXT, b"2", fin=False) + frame(0, b"\xff", fin=False), 1007),
    ("binary", frame(BINARY, b"2"), 1003),
    ("empty binary", frame(BINARY), 1003),
    ("part of a binary message", frame(BINARY, b"2", fin=False), 1003),
    ("3 MiB", frame(TEXT, b"2" * 3 * 2**20), 1009),
    ("endless parts", frame(TEXT, b"2", fin=False) + frame(0, b"x" * 1000, fin=False) * 70, 1009),
    ("endless frame", frame(TEXT, b"")[:1] + b"\xff" + (2**62).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 100_000, 1009),
    *((f"reserved bit {bits}", frame(TEXT, b"2", bits=bits), 1002) for bits in (1, 2, 4)),
    *((f"frame of type {opcode}", frame(opcode, b"2"), 1002) for opcode in (3, 7, 11, 15)),
    ("ping in parts", frame(PING, b"", fin=False), 1002),
    ("long ping", frame(PING, b"x" * 126), 1002),
    ("part of nothing", frame(0, b"2"), 1002),
    ("message inside a message", frame(TEXT, b"2", fin=False) + frame(TEXT, b"2"), 1002),
    ("length written too long", bytes([0x81, 0xFE, 0, 1]) + b"\0\0\0\0" + b"2", 1002),
    ("length beyond 63 bits", bytes([0x81, 0xFF]) + b"\xff" * 8 + b"\0\0\0\0", 1002),
    ("close of one byte", frame(CLOSE, b"\3"), 1002),
    *((f"close with {code}", frame(CLOSE, code.to_bytes(2, "big")), 1002) for code in (0, 999, 1004, 1005, 1006, 5000)),
    ("close with bad UTF-8", frame(CLOSE, b"\3\xe8\xff"), 1007),
    ("unknown packet", frame(TEXT, b"9"), 1002),
    ("empty packet", frame(TEXT), 1002),
    ("malformed event", frame(TEXT, b"42{"), 1007),
    ("binary event", frame(TEXT, b'451-["x",{"_placeholder":true,"num":0}]'), 1003),
    ("close of engine.io", frame(TEXT, b"1"), 1000),
    ("close of socket.io", frame(TEXT, b"41"), 1000),
    ("close without a code", frame(CLOSE), 1005),
    ("close with 1000", frame(CLOSE, b"\3\xe8bye"), 1000),
    ("close with 4999", frame(CLOSE, (4999).to_bytes(2, "big")), 4999),
]


@pytest.mark.parametrize(("data", "code"), [(data, code) for _, data, code in BAD], ids=[name for name, _, _ in BAD])
def test_what_ends_a_socket(shared: int, data: bytes, code: int) -> None:
    """Each bad frame, and each way to say goodbye, has its code; nothing after it counts, and nobody else notices."""
    with Client(shared).begin() as other, Client(shared).begin() as client:
        client.sendall(frame(TEXT, b"2first") + data + frame(TEXT, b"2") * 5)
        assert client.text() == "3first"
        assert client.close_code() == code
        other.send("2")
        assert other.text() == "3"
        assert ask(shared, "GET", "/kunden/1")[0] == 200


def test_client_that_does_not_go(port: int, app: minirest.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """After our close frame a client has some time to close the connection; then we do."""
    monkeypatch.setattr(minirest, "SOCKET_CLOSE_SECONDS", 0.1)
    with Client(port).begin() as client:
        client.sendall(frame(TEXT, b"9"))
        assert client.close_code() == 1002
        assert soon(port, lambda: not app.hub.places)
        with pytest.raises(ConnectionError):
            client.socket.sendall(frame(TEXT, b"2") * 2**21)


def test_silent_client(caplog: pytest.LogCaptureFixture) -> None:
    """Who sends no ping is closed without a code, as the original does; who sends one stays, however long."""
    quick = minirest.make_app(SCHEMA, auth=False, ping_interval=0.3, ping_timeout=0.3)
    with closing(quick), serving(quick) as port, Client(port) as silent, Client(port).begin() as living:
        assert json.loads(silent.text()[1:])["pingInterval"] == 300
        assert silent.text() == "40"
        while not select.select([silent.socket], [], [], 0.05)[0]:
            living.send("2")
            assert living.text() == "3"
        assert silent.close_code() == 1005
        living.send("2")
        assert living.text() == "3"
    assert [record for record in caplog.records if record.name != "waitress.queue"] == []  # that tells of the load


@pytest.mark.parametrize("word", ["ping_interval", "ping_timeout"])
def test_intervals_are_above_zero(word: str) -> None:
    """An interval that is none is refused at the start."""
    words: Any = {word: 0}
    with pytest.raises(ValueError, match="above 0"):
        minirest.make_app(SCHEMA, auth=False, **words)


def test_failure_inside_one_socket(
    port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error of ours closes the socket that met it, no other."""
    receive = Session.receive

    def fails(session: Session, text: str, now: float) -> list[str]:
        if text == "2fail":
            raise RuntimeError("a defect")
        return receive(session, text, now)

    monkeypatch.setattr(Session, "receive", fails)
    with Client(port).begin() as other, Client(port).begin() as client:
        client.send("2fail")
        with pytest.raises(ConnectionError):
            client.event()
        other.send("2")
        assert other.text() == "3"
    assert ["a defect" in record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [True]


# ---- the request ----


PLAIN = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
UPGRADE = {**PLAIN, "Sec-WebSocket-Version": "13"}
TRANSPORT, SID, METHOD, REQUEST, VERSION = (
    {"code": 0, "message": "Transport unknown"},
    {"code": 1, "message": "Session ID unknown"},
    {"code": 2, "message": "Bad handshake method"},
    {"code": 3, "message": "Bad request"},
    {"code": 5, "message": "Unsupported protocol version"},
)
REFUSED: list[tuple[str, str, dict[str, str], int, Any]] = [
    ("GET", "", UPGRADE, 400, TRANSPORT),
    ("GET", "?EIO=3", UPGRADE, 400, TRANSPORT),
    ("GET", "?EIO=3&transport=polling", {}, 400, TRANSPORT),
    ("GET", "?EIO=3&transport=polling&sid=x", {}, 400, TRANSPORT),
    ("POST", "?EIO=3&transport=polling", {}, 400, TRANSPORT),
    ("GET", "?EIO=3&transport=WebSocket", UPGRADE, 400, TRANSPORT),
    ("GET", "?EIO=3&transport=websocket&transport=polling", UPGRADE, 400, TRANSPORT),
    ("GET", "?EIO=3&transport=websocket&sid=x", UPGRADE, 400, SID),
    ("POST", "?EIO=3&transport=websocket&sid=x", {}, 400, SID),
    ("POST", "?EIO=3&transport=websocket", UPGRADE, 400, METHOD),
    ("GET", "?EIO=2&transport=websocket", UPGRADE, 400, VERSION),
    ("GET", "?EIO=&transport=websocket", UPGRADE, 400, VERSION),
    ("GET", "?EIO=3&transport=websocket", {}, 400, REQUEST),
    ("GET", "?EIO=3&transport=websocket", {**UPGRADE, "Upgrade": "h2c"}, 400, REQUEST),
    ("GET", "?EIO=3&transport=websocket", {**UPGRADE, "Connection": "keep-alive"}, 400, REQUEST),
    ("GET", "?EIO=3&transport=websocket", {**UPGRADE, "Connection": "Upgrade, \xe9"}, 400, REQUEST),
    ("GET", "?EIO=3&transport=websocket", {**UPGRADE, "Sec-WebSocket-Key": ""}, 400, REQUEST),
    ("GET", "?EIO=3&transport=websocket", PLAIN, 400, REQUEST),
    ("GET", "?EIO=3&transport=websocket", {**UPGRADE, "Sec-WebSocket-Version": "8"}, 426, REQUEST),
    ("GET", "?EIO=3&transport=websocket", {**UPGRADE, "Sec-WebSocket-Version": "13, 8"}, 426, REQUEST),
]


@pytest.mark.parametrize(("method", "query", "headers", "status", "body"), REFUSED)
def test_refusals(shared: int, method: str, query: str, headers: dict[str, str], status: int, body: Any) -> None:
    """What is no request for a socket is refused as engine.io does, or with wsproto's status; the server goes on."""
    answer = ask(shared, method, "/socket.io/" + query, headers=headers.items())
    assert (answer[0], answer[2]) == (status, body)
    names = {name.lower(): value for name, value in answer[1].items()}
    assert names.get("sec-websocket-version") == ("13" if status == 426 or headers is PLAIN else None)
    assert ask(shared, "GET", "/kunden/1")[0] == 200


def test_http_1_0_has_no_upgrade(shared: int) -> None:
    """A request of HTTP/1.0 cannot ask for one."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    with socket.create_connection(("127.0.0.1", shared), timeout=WAIT_SECONDS) as connection:
        connection.sendall(f"GET {ADDRESS} HTTP/1.0\r\nHost: localhost\r\n{lines}\r\n".encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    assert received.startswith(b"HTTP/1.0 400 ")
    assert received.endswith(b'{"code":3,"message":"Bad request"}')


def test_head(app: minirest.Application) -> None:
    """HEAD is no handshake; as with every HEAD there is no body."""
    answer = send(app, "HEAD", ADDRESS)
    assert (answer.status, answer.body) == (400, b"")
    assert answer.headers["Content-Length"] == str(len(json.dumps(METHOD, separators=(",", ":"))))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example"])
def test_pages_of_other_origins(shared: int, origin: str) -> None:
    """A page of another origin is refused before anything else is looked at, with a socket as with its refusals."""
    for query in ("?EIO=3&transport=websocket", "?transport=polling"):
        headers = {**UPGRADE, "Origin": origin}
        assert ask(shared, "GET", f"/socket.io/{query}", headers=headers.items())[0] == 403


def test_pages_that_may(shared: int) -> None:
    """Our own pages may, and those of an origin that is named."""
    with Client(shared, {"Origin": f"http://127.0.0.1:{shared}", "Sec-Fetch-Site": "same-origin"}) as client:
        assert client.begin().close() == 1000
    friendly = minirest.make_app(SCHEMA, auth=False, cors=["https://friend.example"])
    with closing(friendly), serving(friendly) as port:
        with Client(port, {"Origin": "https://friend.example"}) as client:
            assert client.begin().close() == 1000
        assert ask(port, "GET", ADDRESS, headers={**UPGRADE, "Origin": "https://evil.example"}.items())[0] == 403


def test_credentials(closed_app: minirest.Application) -> None:
    """Every scheme lets in; without credentials, or with wrong ones, it is 401 before anything else is looked at."""
    accounts = closed_app.accounts
    token = accounts.add_token("anna", "one")
    session, _ = accounts.open_session(accounts.sign_in("anna", USERS["anna"]))
    with serving(closed_app) as port:
        for headers in (
            basic("anna"),
            {"Authorization": f"Bearer {token}"},
            {"Authorization": f"ApiKey anna:{token}"},
            {"Cookie": f"sid={session}"},
        ):
            with Client(port, headers) as client:
                assert client.begin().close() == 1000
        unauthorised = refusal(401, "Unauthorized", "error_unauthorized")
        for wrong in ({}, {"Cookie": "sid=x"}, {"Authorization": "Bearer x", "Cookie": f"sid={session}"}):
            for query in ("?EIO=3&transport=websocket", "?transport=polling"):
                given = {**UPGRADE, **wrong, "Origin": "https://evil.example"}
                answer = ask(port, "GET", f"/socket.io/{query}", headers=given.items())
                assert (answer[0], answer[2]) == (401, unauthorised)


def test_refused_upgrade_ends_what_came_with_it(shared: int) -> None:
    """Behind a refused request may come frames or another request: nobody can tell, so the connection ends."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    head = f"GET /kunden/1 HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode()
    for behind, answers in ((b"GET /kunden/1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 1), (b"", 2)):
        with socket.create_connection(("127.0.0.1", shared), timeout=WAIT_SECONDS) as connection:
            connection.sendall(head + behind)
            received = connection.recv(65536)
            connection.sendall(b"GET /kunden/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with suppress(ConnectionError):
                while chunk := connection.recv(65536):
                    received += chunk
        assert received.count(b"HTTP/1.1 200 OK") == answers


def refusal(status: int, message: str, *tags: str) -> dict[str, Any]:
    """An error in the form of the Platform dialect."""
    return {"success": False, "code": str(status), "message": message, "tags": list(tags)}


def in_process(app: minirest.Application) -> Any:
    """Ask for a socket without a server."""
    words = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in UPGRADE.items()}
    return send(app, "GET", ADDRESS, **words)


def test_other_servers(app: minirest.Application) -> None:
    """On a server without our channel the answer says what to do; what is wrong is said all the same."""
    answer = in_process(app)
    message = "WebSocket needs the server that minirest brings: run python minirest.py, or call minirest.serve(app)"
    assert (answer.status, answer.json) == (501, refusal(501, message, "error_not_implemented"))
    assert send(app, "GET", ADDRESS).json == REQUEST
    assert app.hub.places == set()


def test_places(port: int, app: minirest.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for some sockets only; who leaves makes room, with a goodbye or without."""
    monkeypatch.setattr(minirest, "MAX_SOCKETS", 2)
    full = (503, refusal(503, "There are 2 sockets already; try again later", "error_unavailable"))
    for _ in range(2):
        with Client(port).begin() as first, Client(port).begin():
            answer = ask(port, "GET", ADDRESS, headers=UPGRADE.items())
            assert (answer[0], answer[2]) == full
            assert ask(port, "GET", "/kunden/1")[0] == 200
            assert first.close() == 1000
        assert soon(port, lambda: not app.hub.places)


def test_clients_that_vanish(port: int, app: minirest.Application) -> None:
    """A client that has gone before the answer comes leaves nothing behind."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in UPGRADE.items())
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as connection:
            connection.sendall(f"GET {ADDRESS} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n".encode())
    assert soon(port, lambda: not app.hub.places)
    assert app.store.listeners == []


def test_answer_that_is_not_sent(app: minirest.Application) -> None:
    """When something around the application turns the answer into another, the connection stays HTTP."""

    def around(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"].startswith("/socket.io"):
            app(environ, lambda *_: None)
            start_response("200 OK", [("Content-Length", "2")])
            return [b"no"]
        return app(environ, start_response)

    with (
        serving(around) as port,
        closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection,
    ):
        connection.request("GET", ADDRESS, headers=UPGRADE)
        assert connection.getresponse().read() == b"no"
        opened = connection.sock
        connection.request("GET", "/kunden/1")
        assert connection.getresponse().read()
        assert connection.sock is opened
        assert app.hub.places == set()


# ---- events ----


def body(table: minirest.Table, key: int, number: int, event: str, data: dict[str, Any]) -> dict[str, Any]:
    """The body of an event; the record is as Platform shows it."""
    oid = minirest.object_id(table.tag, key)
    system: dict[str, Any] = {"owner": None, "group": None, "access": [], "branch": [], "time": NOW_MILLISECONDS}
    return {
        "_msgid": minirest.object_id(minirest.system_schema().all_tables["_history"].tag, number),
        "_oid": oid,
        "event": event,
        "time": NOW_MILLISECONDS,
        "data": {"_id": oid, **data, **system},
    }


def test_events_of_writes(port: int, app: minirest.Application) -> None:
    """Each write, through whichever dialect, is told once, with the record after it, without what is never shown."""
    kunden, aufgaben = app.schema.find("kunden"), app.schema.find("aufgaben")
    tag = app.schema.all_tables["_history"].tag
    with Client(port).begin() as client:
        told: list[tuple[str, Any]] = []

        def write(method: str, path: str, data: Any, status: int, events: int = 1) -> None:
            assert ask(port, method, path, data)[0] == status
            for _ in range(events):
                name, shown = client.told()
                assert shown.pop("_msgid").startswith(f"{tag:08x}")
                told.append((name, shown))

        write("POST", "/kunden", {"data": {"name": "Schulz", "geheim": "x"}}, 201)
        write("PATCH", "/kunden/2", {"data": {"name": "Özil 😀"}}, 200)
        write("DELETE", "/kunden/2", None, 204)
        write("POST", "/api/kunden:create", {"name": "Nolte"}, 200)
        write("POST", "/api/kunden:update?filterByTk=3", {"name": "Nolte & Co"}, 200)
        write("POST", "/api/kunden:destroy?filterByTk=3", None, 200)
        write("POST", "/api/Aufgaben:move?sourceId=2&targetId=1", None, 200)
        write("DELETE", "/aufgaben/1", None, 204)
    expected: list[tuple[minirest.Table, int, str, dict[str, Any]]] = [
        (kunden, 2, "kunden-create", {"name": "Schulz"}),
        (kunden, 2, "kunden-update", {"name": "Özil 😀"}),
        (kunden, 2, "kunden-delete", {"name": "Özil 😀"}),
        (kunden, 3, "kunden-create", {"name": "Nolte"}),
        (kunden, 3, "kunden-update", {"name": "Nolte & Co"}),
        (kunden, 3, "kunden-delete", {"name": "Nolte & Co"}),
        (aufgaben, 2, "Aufgaben-update", {"titel": "zwei", "platz": 1, "anzahl": None}),
    ]
    words = [(event, body(table, key, 0, event, data)) for table, key, event, data in expected]
    for _, shown in words:
        del shown["_msgid"]
    assert told[:-1] == words
    assert told[-1][0] in ("Aufgaben-update", "Aufgaben-delete")


def test_a_change_that_archives_too_is_told_once(port: int, app: minirest.Application) -> None:
    """What one request does to a record is one event, with what it has become."""
    with Client(port).begin() as client:
        body = {"data": {"titel": "alt"}, "$archived": True}
        assert ask(port, "PATCH", "/aufgaben/1", body)[0] == 200
        add(app, "Ende")
        told = [client.told() for _ in range(2)]
    assert [(name, shown["data"].get("titel")) for name, shown in told] == [
        ("Aufgaben-update", "alt"),
        ("kunden-create", None),
    ]


def test_frame_of_an_event(port: int, app: minirest.Application) -> None:
    """The text is `42`, the name and the body, without blanks; the message has the number of its row of history."""
    with Client(port).begin() as client:
        add(app, "Ä")
        text = client.text()
    with app.store.database.reading() as connection:
        (number,) = connection.execute("select max(id) from _history").fetchone()
    shown = body(app.schema.find("kunden"), 2, 0, "kunden-create", {"name": "Ä"})
    shown["_msgid"] = minirest.object_id(app.schema.all_tables["_history"].tag, number)
    assert text == f'42["kunden-create",{json.dumps(shown, ensure_ascii=False, separators=(",", ":"))}]'


def test_nobody_listens(port: int, app: minirest.Application) -> None:
    """The Store knows of us only while a socket is open, so that writes cost nothing otherwise."""
    assert app.store.listeners == []
    with Client(port).begin() as first:
        assert len(app.store.listeners) == 1
        with Client(port).begin() as second:
            assert len(app.store.listeners) == 1
            assert first.close() == 1000
            assert len(app.store.listeners) == 1
            assert second.close() == 1000
    assert app.store.listeners == []
    add(app, "unheard")
    assert not app.hub.waiting
    with Client(port).begin() as client:
        add(app, "heard")
        assert names(client, 1) == ["heard"]


def test_system_tables_are_not_told(port: int, app: minirest.Application) -> None:
    """What happens to users and groups is nobody's business."""
    with Client(port).begin() as client:
        app.accounts.put_group("group")
        app.accounts.put_user("carl", password="a good password")
        add(app, "told")
        assert names(client, 1) == ["told"]


def test_order_and_number_with_writers_at_once(port: int, app: minirest.Application) -> None:
    """With writers at work at once each socket hears of each record once, all in the order of the commits."""
    with Client(port).begin() as first, Client(port).begin() as second, Client(port).begin() as third:

        def write(writer: int) -> None:
            for number in range(40):
                add(app, f"{writer}-{number}")

        with ThreadPoolExecutor(7) as pool:
            writers = [pool.submit(write, number) for number in range(4)]
            heard = list(pool.map(lambda client: [client.told()[1] for _ in range(160)], (first, second, third)))
            for writer in writers:
                writer.result()
    assert heard[0] == heard[1] == heard[2]
    assert [shown["_msgid"] for shown in heard[0]] == sorted({shown["_msgid"] for shown in heard[0]})
    assert [shown["_oid"] for shown in heard[0]] == [
        minirest.object_id(app.schema.find("kunden").tag, key) for key in range(2, 162)
    ]


def test_many_events_of_one_transaction(port: int, app: minirest.Application) -> None:
    """A transaction with more events than are told at once is told whole and in order, with another behind it."""
    count = minirest.EVENTS_AT_ONCE * 2 + 3
    table = app.schema.find("kunden")
    creates = tuple(
        minirest.Create(table, {table.fields["name"]: f"{number}"}, {}, minirest.Const(None)) for number in range(count)
    )
    with Client(port).begin() as client:
        app.store.run(minirest.Batch(creates))
        add(app, "last")
        assert names(client, count + 1) == [*map(str, range(count)), "last"]


def test_each_sees_its_own(closed_app: minirest.Application) -> None:
    """A body is made once for each kind of actor, and who may not see a record hears nothing of it."""
    made: list[tuple[int, str]] = []

    def render(event: minirest.Event, actor: minirest.Actor) -> str | None:
        made.append((event.key, actor.name))
        return None if actor.name == "bert" and event.key == 2 else json.dumps([event.key, actor.name])

    closed_app.hub.render = render
    with (
        serving(closed_app) as port,
        Client(port, basic("anna")).begin() as anna,
        Client(port, basic("anna")).begin() as again,
        Client(port, {"Authorization": f"Bearer {closed_app.accounts.add_token('anna', 'one')}"}).begin() as token,
        Client(port, basic("bert")).begin() as bert,
    ):
        for name in ("two", "three"):
            assert ask(port, "POST", "/kunden", {"data": {"name": name}}, basic("anna").items())[0] == 201
        for client in (anna, again, token):
            assert [client.told()[1] for _ in range(2)] == [[2, "anna"], [3, "anna"]]
        assert bert.told()[1] == [3, "bert"]
    assert sorted(made) == [(2, "anna"), (2, "bert"), (3, "anna"), (3, "bert")]


def test_rights_of_today(closed_app: minirest.Application) -> None:
    """An event is seen with the groups and roles that the user has when it is told."""
    closed_app.hub.render = lambda event, actor: json.dumps([actor.groups, actor.roles])
    with serving(closed_app) as port, Client(port, basic("anna")).begin() as client:
        write = ("POST", "/kunden", {"data": {"name": "x"}}, basic("bert").items())
        assert ask(port, *write)[0] == 201
        assert client.told()[1] == [[], []]
        closed_app.accounts.put_user("anna", groups=[7], roles=["boss"])
        assert ask(port, *write)[0] == 201
        assert client.told()[1] == [[7], ["boss"]]


def test_disabled_user(closed_app: minirest.Application) -> None:
    """The sockets of a user who is disabled are closed at once; those of others stay."""
    with (
        serving(closed_app) as port,
        Client(port, basic("anna")).begin() as first,
        Client(port, basic("anna")).begin() as second,
        Client(port, basic("bert")).begin() as other,
    ):
        closed_app.accounts.put_user("anna", disabled=True)
        assert (first.close_code(), second.close_code()) == (1008, 1008)
        assert ask(port, "POST", "/kunden", {"data": {"name": "x"}}, basic("bert").items())[0] == 201
        assert names(other, 1) == ["x"]


def test_new_password(closed_app: minirest.Application) -> None:
    """A new password closes the sockets that the old one opened, and those of sessions; tokens of their own stay."""
    accounts = closed_app.accounts
    session, _ = accounts.open_session(accounts.sign_in("anna", USERS["anna"]))
    token = accounts.add_token("anna", "laptop")
    ways = [basic("anna"), {"Cookie": f"sid={session}"}, {"Authorization": f"Bearer {token}"}]
    with serving(closed_app) as port:
        clients = [Client(port, way).begin() for way in ways]
        with clients[0] as first, clients[1] as second, clients[2] as third:
            accounts.put_user("anna", password="another horse")
            assert (first.close_code(), second.close_code()) == (1008, 1008)
            assert ask(port, "POST", "/kunden", {"data": {"name": "x"}}, basic("bert").items())[0] == 201
            assert names(third, 1) == ["x"]


def test_revoked_token(closed_app: minirest.Application) -> None:
    """A token that is gone takes its own sockets with it, and they hear nothing more."""
    accounts = closed_app.accounts
    texts = [accounts.add_token("anna", name) for name in ("one", "two")]
    with serving(closed_app) as port:
        first, second = (Client(port, {"Authorization": f"Bearer {text}"}).begin() for text in texts)
        with first, second:
            assert accounts.revoke_token(accounts.tokens()[0][0])
            assert ask(port, "POST", "/kunden", {"data": {"name": "x"}}, basic("bert").items())[0] == 201
            assert first.close_code() == 1008
            assert names(second, 1) == ["x"]


def test_ended_session(closed_app: minirest.Application) -> None:
    """A session that was ended hears nothing more; the next event closes its sockets."""
    accounts = closed_app.accounts
    account = accounts.sign_in("anna", USERS["anna"])
    texts = [accounts.open_session(account)[0] for _ in range(2)]
    with serving(closed_app) as port:
        first, second = (Client(port, {"Cookie": f"sid={text}"}).begin() for text in texts)
        with first, second:
            accounts.end_session(minirest.hash_token(texts[0]))
            assert ask(port, "POST", "/kunden", {"data": {"name": "x"}}, basic("bert").items())[0] == 201
            assert first.close_code() == 1008
            assert names(second, 1) == ["x"]


def test_expiry() -> None:
    """Sessions and tokens that expire are found out within a ping's interval, though nothing happens."""
    now = [NOW]
    words: Any = {"users": USERS, "clock": lambda: now[0], "ping_interval": 0.2}
    app = minirest.make_app(SCHEMA, **words)
    session, expires = app.accounts.open_session(app.accounts.sign_in("anna", USERS["anna"]))
    token = app.accounts.add_token("anna", "one", minirest.moment_text(expires))
    with (
        closing(app),
        serving(app) as port,
        Client(port, {"Cookie": f"sid={session}"}).begin() as cookie,
        Client(port, {"Authorization": f"Bearer {token}"}).begin() as bearer,
        Client(port, basic("anna")).begin() as lasting,
    ):
        now[0] = expires + timedelta(seconds=1)
        assert (cookie.close_code(), bearer.close_code()) == (1008, 1008)
        lasting.send("2")
        assert lasting.text() == "3"


def test_refresh(closed_app: minirest.Application) -> None:
    """An actor is given as it is now, by the credential that let it in; None when that does not hold any more."""
    accounts = closed_app.accounts
    assert accounts.refresh(minirest.NOBODY) is minirest.NOBODY
    anna = accounts.sign_in("anna", USERS["anna"])
    session, _ = accounts.open_session(anna)
    digest = minirest.hash_token(session)
    accounts.add_token("anna", "one")
    number = accounts.tokens()[0][0]
    actors = [
        minirest.Actor(anna.id, "anna", stamp=anna.actor().stamp),
        minirest.Actor(anna.id, "anna", token=number),
        minirest.Actor(anna.id, "anna", session=digest),
    ]
    accounts.put_user("anna", display_name="Anna", roles=["boss"], groups=[3])
    stamp = anna.actor().stamp
    parts = (("boss",), (3,))
    expected = [minirest.Actor(anna.id, "anna", "Anna", *parts, it.token, it.session, stamp=stamp) for it in actors]
    assert [accounts.refresh(actor) for actor in actors] == expected
    accounts.end_session(digest)
    assert [accounts.refresh(actor) for actor in actors] == [*expected[:2], None]
    accounts.revoke_token(number)
    assert [accounts.refresh(actor) for actor in actors] == [expected[0], None, None]
    accounts.put_user("anna", disabled=True)
    assert [accounts.refresh(actor) for actor in actors] == [None] * 3
    assert accounts.refresh(minirest.Actor(99, "nobody")) is None


def test_event_that_cannot_be_shown(port: int, app: minirest.Application, caplog: pytest.LogCaptureFixture) -> None:
    """When a body cannot be made the sockets are closed, so that nobody misses an event unawares; new ones work."""
    render = app.hub.render

    def fails(event: minirest.Event, actor: minirest.Actor) -> str | None:
        raise RuntimeError("a defect")

    with Client(port).begin() as first, Client(port).begin() as second:
        app.hub.render = fails
        add(app, "x")
        assert (first.close_code(), second.close_code()) == (1011, 1011)
    app.hub.render = render
    said = [record.getMessage() for record in caplog.records if record.name == "minirest"]
    assert said == ["events could not be shown"]
    with Client(port).begin() as client:
        add(app, "y")
        assert names(client, 1) == ["y"]


def test_too_many_events(port: int, app: minirest.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """When more is committed than can be told, all sockets are closed, which says that something was missed."""
    monkeypatch.setattr(minirest, "MAX_WAITING_EVENTS", 2)
    table = app.schema.find("kunden")
    create = minirest.Create(table, {table.fields["name"]: "x"}, {}, minirest.Const(None))
    with Client(port).begin() as first, Client(port).begin() as second:
        app.store.run(minirest.Batch((create,) * 3))
        assert (first.close_code(), second.close_code()) == (1013, 1013)
    with Client(port).begin() as client:
        add(app, "y")
        assert names(client, 1) == ["y"]


def test_slow_reader(port: int, app: minirest.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not read is dropped once too much waits for it; the others hear everything."""
    monkeypatch.setattr(minirest, "MAX_SOCKET_BACKLOG_BYTES", 100_000)
    with Client(port).begin() as other, Client(port, connection=narrow(port)).begin() as slow:
        long, written = "x" * 200_000, 0
        while len(app.hub.sockets) == 2 and written < 200:
            written += 1
            add(app, long + str(written))
            assert names(other, 1) == [long + str(written)]
        assert 1 < written < 200
        with pytest.raises(ConnectionError):
            names(slow, written)
        assert soon(port, lambda: len(app.hub.places) == 1)


def test_buffers_are_let_go(port: int, app: minirest.Application) -> None:
    """What a socket has read is not kept, however much it was."""
    with Client(port).begin() as client:
        for number in range(30):
            add(app, "x" * 60_000 + str(number))
            assert len(names(client, 1)[0]) > 60_000
        (listener,) = app.hub.sockets
        kept = sum(len(buffer.getfile().getvalue()) for buffer in listener.channel.outbufs)
    assert kept < minirest.SOCKET_BUFFER_BYTES + 70_000


def test_socket_that_fails_while_it_is_told(
    port: int, app: minirest.Application, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Trouble with one socket, a full disk say, is not the next one's."""
    write, failed = minirest.Socket.write, list[minirest.Socket]()

    def fails(client: minirest.Socket, data: bytes) -> None:
        if b"kunden-create" in data and not failed:
            failed.append(client)
        if client in failed:
            raise OSError("no space left on device")
        write(client, data)

    monkeypatch.setattr(minirest.Socket, "write", fails)
    with Client(port).begin() as first, Client(port).begin() as second:
        add(app, "x")
        heard = []
        for client in (first, second):
            with suppress(ConnectionError):
                heard += names(client, 1)
        assert heard == ["x"]
    assert [record.getMessage() for record in caplog.records if record.name == "minirest"] == ["a socket failed"]


def test_two_servers(app: minirest.Application) -> None:
    """An application that two servers serve tells the sockets of both, and goes on when one of them ends."""
    with serving(app) as second, Client(second).begin() as other:
        with serving(app) as first, Client(first).begin() as client:
            add(app, "both")
            assert names(client, 1) == names(other, 1) == ["both"]
        add(app, "one")
        assert names(other, 1) == ["one"]


# ---- the server ----


def test_no_thread_for_a_socket(port: int) -> None:
    """Sockets have no thread, and tell nothing in one of their own."""
    before = threading.active_count()
    clients = [Client(port).begin() for _ in range(20)]
    assert ask(port, "POST", "/kunden", {"data": {"name": "x"}})[0] == 201
    for client in clients:
        assert names(client, 1) == ["x"]
    assert threading.active_count() == before
    for client in clients:
        assert client.close() == 1000
        client.socket.close()


def test_time_limits_of_requests_are_not_for_sockets(
    app: minirest.Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that are idle, and requests that do not end, are closed; a socket stays with its heartbeat."""
    monkeypatch.setattr(minirest, "REQUEST_TIMEOUT_SECONDS", 0.5)
    with running(app) as server:
        server.adj.channel_timeout, server.adj.cleanup_interval, server.next_channel_cleanup = 2, 0, 0
        port = server.socket.getsockname()[1]
        with (
            Client(port).begin() as client,
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as idle,
            socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as half,
        ):
            half.sendall(b"GET /kunden/1 HTTP/1.1\r\n")
            assert (half.recv(1), idle.recv(1)) == (b"", b"")
            add(app, "x")
            assert names(client, 1) == ["x"]


def test_stop(app: minirest.Application) -> None:
    """At the stop every socket is told to go, and a client that does not, or cannot hear it, does not keep us long."""
    with running(app) as server:
        port = server.socket.getsockname()[1]
        polite, deaf, late = (Client(port).begin() for _ in range(3))
        late.sendall(frame(TEXT, b"2")[:3])
        thread = ThreadPoolExecutor(1)
        code = thread.submit(polite.close_code)
    thread.shutdown()
    assert (code.result(), deaf.close_code(), late.close_code()) == (1001, 1001, 1001)
    assert app.hub.places == set()
    assert app.store.listeners == []
    server.trigger.pull_trigger(lambda: None)
    add(app, "nobody hears it")
    for client in (polite, deaf, late):
        client.socket.close()


def test_stop_does_not_wait_for_a_slow_reader(app: minirest.Application, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a client that does not read is given up at the stop."""
    for limit in ("SOCKET_CLOSE_SECONDS", "STOP_GRACE_SECONDS"):
        monkeypatch.setattr(minirest, limit, WAIT_SECONDS * 10)
    with running(app) as server:
        port = server.socket.getsockname()[1]
        slow, other = Client(port, connection=narrow(port)).begin(), Client(port).begin()
        while not any(listener.channel.total_outbufs_len for listener in app.hub.sockets):
            add(app, "x" * 200_000)
            assert names(other, 1)
    assert app.hub.places == set()
    for client in (slow, other):
        client.socket.close()


def test_stop_of_the_command(tmp_path: Path) -> None:
    """The command line's server closes its sockets at SIGTERM and ends with 0."""
    from tests.test_server import ROOT, run_server

    (tmp_path / "shop.json").write_text(json.dumps(SCHEMA))
    with run_server(str(ROOT / "minirest.py"), "shop.json", "--port", "0", "--no-auth", cwd=tmp_path) as server:
        with Client(server.port).begin() as client:
            server.process.terminate()
            assert client.close_code() == 1001
        assert server.process.wait(WAIT_SECONDS) == 0


def test_files_that_may_be_open() -> None:
    """The soft limit is raised as far as it is wanted and allowed, never lowered."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, before[1]))
        assert minirest.open_files(200) == 200
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, before[1])
        assert minirest.open_files(400) == 400
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (400, before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_request_keeps_its_seam(app: minirest.Application) -> None:
    """An environment with somebody else's seam works with it: what it is given makes the answer's head."""
    given: list[minirest.Socket] = []
    words: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in UPGRADE.items()}
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/socket.io/",
        "QUERY_STRING": "transport=websocket",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.input": io.BytesIO(),
        "minirest.upgrade": given.append,
        **words,
    }
    started: list[str] = []
    assert list(app(environ, lambda status, headers: started.append(status))) == [b""]
    assert started == ["101 Switching Protocols"]
    assert given[0].accept().startswith(b"HTTP/1.1 101 ")
    assert app.hub.places == set(given)
