"""The server in the open: what comes over raw sockets, its answer, and that the server is alive after each."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments

import minirest
from tests.sockets import running, serving

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS = 30.0
SCHEMA = {
    "$defs": {
        "kunden": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "examples": [{"name": "Meier"}, {"name": "Schulz"}],
        }
    }
}
LISTED = {
    "links": {"self": "/kunden?$fields=name"},
    "data": [
        {"links": {"self": f"/kunden/{number}"}, "id": str(number), "attributes": {"name": name}}
        for number, name in enumerate(("Meier", "Schulz"), 1)
    ],
}
"""The list that says that the server is alive, and that nothing was written."""
GET = b"GET /kunden?$fields=name HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
BODY = b'{"data": {"name": "forged"}}'


class Answer(NamedTuple):
    """An answer as it came: its first line, its headers in small letters, its body."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def status(self) -> int:
        """The status."""
        return int(self.line.split()[1])

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


def answers_in(received: bytes) -> list[Answer]:
    """Cut what came at the ends of the answers; each of ours says how long it is."""
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        pairs = [pair.split(": ", 1) for pair in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs)
        length = int(headers.get("content-length", 0))
        found.append(Answer(line, headers, received[:length]))
        received = received[length:]
    return found


def connect(port: int) -> socket.socket:
    """Open a connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)


def receive(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def exchange(port: int, data: bytes) -> list[Answer]:
    """Send bytes and return the answers; the server has to close, and may do so before it has read all."""
    with connect(port) as connection:
        with suppress(BrokenPipeError):
            connection.sendall(data)
        return answers_in(receive(connection))


def is_alive(port: int) -> bool:
    """Whether a request on a new connection is answered, and no record has changed."""
    (answer,) = exchange(port, LAST)
    return (answer.status, answer.json) == (200, LISTED)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server that answers to loopback names, to everybody."""
    with closing(minirest.make_app(SCHEMA, auth=False, hosts=["localhost", "127.0.0.1"])) as app, serving(app) as found:
        yield found


# ---- the catalogue ----

LINE = "write METHOD /path HTTP/1.1, with single spaces and in ASCII"
TARGET = "the target is neither a path nor an address at the host of the header Host"
BAD_HOST = "the header Host is not a name with a port"
FRAMING = "the length of the body is not clear"
LENGTH = "the header Content-Length is not a number"
ENDS = "it begins with its method, and its lines end in CR LF"
CHUNK = "a line before a chunk is not a number"
OTHER = "a header or a chunk is not written as it should be"
FOLDED = "a header goes on in a second line"
MANY = "it has more than 100 headers"


def twice(name: str) -> str:
    """The reason for a header that is there twice."""
    return f"the header {name} is there twice"


FIRST_LINES = {
    b"GET  /kunden HTTP/1.1": LINE,
    b"GET /kunden  HTTP/1.1": LINE,
    b"GET /kunden HTTP/1.1 ": LINE,
    b"GET\t/kunden\tHTTP/1.1": LINE,
    b"GET /kunden\tHTTP/1.1": LINE,
    b"GET /kunden /x HTTP/1.1": LINE,
    b" GET /kunden HTTP/1.1": ENDS,
    b"\tGET /kunden HTTP/1.1": ENDS,
    b"\0GET /kunden HTTP/1.1": LINE,
    b"get /kunden HTTP/1.1": LINE,
    b"Get /kunden HTTP/1.1": LINE,
    b"G\xcbT /kunden HTTP/1.1": LINE,
    b"G@T /kunden HTTP/1.1": LINE,
    b"GETGETGETGETGETGETGETGET /kunden HTTP/1.1": LINE,
    b"GET": LINE,
    b"GET /kunden": LINE,
    b"/kunden HTTP/1.1": LINE,
    b"GET HTTP/1.1": LINE,
    b"GET /kunden http/1.1": LINE,
    b"GET /kunden HTTP/1.1.1": LINE,
    b"GET /kunden HTTP/1": LINE,
    b"GET /kunden HTTP/+1.1": LINE,
    b"GET /kunden HTTP/1.\xb2": LINE,
    b"GET /kunden\xff HTTP/1.1": LINE,
    b"GET /kunden?name=\xff HTTP/1.1": LINE,
    b"GET /kun\0den HTTP/1.1": LINE,
    b"GET /kun\x7fden HTTP/1.1": LINE,
    b"GET /kunden#x HTTP/1.1": LINE,
    b"\xff\xfe\xfd": LINE,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03": LINE,
    b"GET kunden HTTP/1.1": TARGET,
    b"GET * HTTP/1.1": TARGET,
    b"GET ?name=x HTTP/1.1": TARGET,
    b"GET \\kunden HTTP/1.1": TARGET,
    b"CONNECT localhost:80 HTTP/1.1": TARGET,
    b"GET http://evil.example/kunden HTTP/1.1": TARGET,
    b"GET http://localhost@evil.example/kunden HTTP/1.1": TARGET,
    b"GET http://localhost:81/kunden HTTP/1.1": TARGET,
    b"GET http:///kunden HTTP/1.1": TARGET,
    b"GET http://[::1/kunden HTTP/1.1": TARGET,
    b"GET http:/kunden HTTP/1.1": TARGET,
    b"GET ftp://localhost/kunden HTTP/1.1": TARGET,
    b"GET javascript:alert(1) HTTP/1.1": TARGET,
}
HEADERS = {
    b"": "the header Host is missing",
    b"Host:": BAD_HOST,
    b"Host: a b": BAD_HOST,
    b"Host: localhost, evil.example": BAD_HOST,
    b"Host: user@localhost": BAD_HOST,
    b"Host: localhost:x": BAD_HOST,
    b"Host: localhost/x": BAD_HOST,
    b"Host: local\xcfhost": BAD_HOST,
    b"Host: localhost\r\nHost: localhost": twice("Host"),
    b"Host: localhost\r\nhost: evil.example": twice("Host"),
    b"Host: localhost\r\nContent-Type: a/b\r\nContent-Type: c/d": twice("Content-Type"),
    b"Host: localhost\r\nAuthorization: a\r\nAuthorization: a": twice("Authorization"),
    b"Host: localhost\r\nOrigin: http://localhost\r\nOrigin: null": twice("Origin"),
    b"Host: localhost\r\nExpect: 100-continue\r\nExpect: x": twice("Expect"),
    b"Host: localhost\r\n X: 1": FOLDED,
    b"Host: localhost\r\nX: 1\r\n\t2": FOLDED,
    b" Host: localhost": FOLDED,
    b"Host: localhost\r\nX : 1": OTHER,
    b"Host: localhost\r\nX\t: 1": OTHER,
    b"Host: localhost\r\n: 1": OTHER,
    b"Host: localhost\r\nX": OTHER,
    b"Host: localhost\r\nX Y: 1": OTHER,
    b"Host: localhost\r\n(X): 1": OTHER,
    b"Host: localhost\r\nX\xff: 1": OTHER,
    b"Host: localhost\r\nX\0: 1": OTHER,
    b"Host: localhost\r\nX: a\0b": OTHER,
    b"Host: localhost\r\nX: a\x0bb": OTHER,
    b"Host: localhost\r\nX: \x1b[31m": OTHER,
    b"Host: localhost\r\nX: " + b" \x0b" * 15_000: OTHER,
    b"Host: localhost\r\nX: a\rY: b": OTHER,
    b"Host: localhost\r\nX: a\nY: b": ENDS,
    b"Host: localhost\nX: a": ENDS,
    b"Host: localhost\r\n" + b"X: y\r\n" * 101: MANY,
    b"Host: localhost\r\n" + b"X: y\r\n" * 5000: MANY,
    b"Host: localhost\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(2500)): MANY,
}
LENGTHS = {
    b"Content-Length: +2": LENGTH,
    b"Content-Length: -1": LENGTH,
    b"Content-Length: 0x2": LENGTH,
    b"Content-Length: 2, 2": LENGTH,
    b"Content-Length: 2;2": LENGTH,
    b"Content-Length: 1 1": LENGTH,
    b"Content-Length: 1_1": LENGTH,
    b"Content-Length: 2.0": LENGTH,
    b"Content-Length:": LENGTH,
    b"Content-Length: \xd9\xa2": LENGTH,
    b"Content-Length: " + b"9" * 19: LENGTH,
    b"Content-Length: " + b"9" * 5000: LENGTH,
    b"Content-Length: 2\r\nContent-Length: 2": twice("Content-Length"),
    b"Content-Length: 2\r\ncontent-length: 3": twice("Content-Length"),
    b"Content-Length: 28\r\nTransfer-Encoding: chunked": FRAMING,
    b"Transfer-Encoding: chunked\r\nContent-Length: 28": FRAMING,
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked": twice("Transfer-Encoding"),
    b"Transfer-Encoding: chunked\r\nTransfer-encoding: x": twice("Transfer-Encoding"),
    b"Transfer-Encoding: chunked, chunked": FRAMING,
    b"Transfer-Encoding : chunked": OTHER,
    b"Transfer-Encoding: chunked\r\n X: 1": FOLDED,
}
CODINGS = [b"xchunked", b"gzip", b"gzip, chunked", b"chunked, gzip", b"identity", b"", b"\x0bchunked", b"chunked;q=1"]
CHUNKS = {
    b"0x1c\r\n%b\r\n0\r\n\r\n" % BODY: OTHER,
    b"+1c\r\n%b\r\n0\r\n\r\n" % BODY: OTHER,
    b"-1\r\n": OTHER,
    b"1c \r\n%b\r\n0\r\n\r\n" % BODY: OTHER,
    b"1_c\r\n%b\r\n0\r\n\r\n" % BODY: OTHER,
    b"g\r\n": OTHER,
    b";a=b\r\n": OTHER,
    b"1c\n%b\n0\n\n" % BODY: CHUNK,
    b"1c\n\r\n%b\r\n0\r\n\r\n" % BODY: CHUNK,
    b"1c;a\n\r\n%b\r\n0\r\n\r\n" % BODY: CHUNK,
    b"1c;a\nb\r\n%b\r\n0\r\n\r\n" % BODY: CHUNK,
    b"1c\r\r\n%b\r\n0\r\n\r\n" % BODY: CHUNK,
    b"\r\n1c\r\n%b\r\n0\r\n\r\n" % BODY: CHUNK,
    b"1c;" + b"a" * 2000: CHUNK,
    b"1c;a=\0\r\n%b\r\n0\r\n\r\n" % BODY: OTHER,
    b"1c\r\n%bXX0\r\n\r\n" % BODY: OTHER,
    b"1c\r\n%b\n0\r\n\r\n" % BODY: OTHER,
    b"1b\r\n%b\r\n0\r\n\r\n" % BODY: OTHER,
}


def check_refusal(answers: list[Answer], status: int, body: Any) -> None:
    """There is one answer, in Limbas' form, with the headers of every answer; it says nothing of what is behind."""
    (answer,) = answers
    assert (answer.status, answer.json) == (status, body)
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    assert headers == {
        "content-type": "application/json; charset=utf-8",
        "content-length": str(len(answer.body)),
        "connection": "close",
        **{name.lower(): value for name, value in minirest.SECURITY_HEADERS},
    }
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


def refused(status: int, message: str) -> dict[str, Any]:
    """A refusal in Limbas' form."""
    return {"errors": [{"code": status, "message": message}]}


def invalid(reason: str) -> dict[str, Any]:
    """The refusal of what is not HTTP."""
    return refused(400, f"The request is not valid HTTP: {reason}")


@pytest.mark.parametrize("line", FIRST_LINES)
def test_first_lines(port: int, line: bytes) -> None:
    """A request line in any other form than one is refused."""
    check_refusal(exchange(port, line + b"\r\nHost: localhost\r\n\r\n"), 400, invalid(FIRST_LINES[line]))
    assert is_alive(port)


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: headers[:40])
def test_headers(port: int, headers: bytes) -> None:
    """Headers that are written otherwise, are there twice or name no host are refused."""
    lines = headers + b"\r\n" if headers and not headers.endswith(b"\r\n") else headers
    check_refusal(exchange(port, b"GET /kunden HTTP/1.1\r\n" + lines + b"\r\n"), 400, invalid(HEADERS[headers]))
    assert is_alive(port)


def post(headers: bytes, body: bytes = BODY, address: bytes = b"/kunden", version: bytes = b"1.1") -> bytes:
    """A POST with some headers, and behind it one that is to be smuggled in."""
    head = b"POST " + address + b" HTTP/" + version + b"\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    smuggled = b"DELETE /kunden/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    return head + headers + b"\r\n\r\n" + body + smuggled


@pytest.mark.parametrize("headers", LENGTHS, ids=lambda headers: headers[:40])
def test_lengths(port: int, headers: bytes) -> None:
    """Where it is not clear how long the body is, nothing behind the head is looked at."""
    body = b"1c\r\n" + BODY + b"\r\n0\r\n\r\n" if b"chunked" in headers else BODY
    check_refusal(exchange(port, post(headers, body)), 400, invalid(LENGTHS[headers]))
    assert is_alive(port)


@pytest.mark.parametrize("coding", CODINGS)
def test_codings(port: int, coding: bytes) -> None:
    """A transfer coding that is not `chunked` is a 501."""
    message = "The body can come in chunks, and in no other transfer coding"
    check_refusal(exchange(port, post(b"Transfer-Encoding: " + coding)), 501, refused(501, message))
    assert is_alive(port)


@pytest.mark.parametrize("body", CHUNKS, ids=lambda body: body[:20])
def test_chunks(port: int, body: bytes) -> None:
    """A body in broken chunks is refused, and what comes behind it is not read as a request."""
    check_refusal(exchange(port, post(b"Transfer-Encoding: chunked", body)), 400, invalid(CHUNKS[body]))
    assert is_alive(port)


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"9.9"])
def test_versions(port: int, version: bytes) -> None:
    """Another version than 1.0 and 1.1 is a 505, with a body in chunks too."""
    message = f"HTTP {version.decode()} is not spoken here; use 1.1 or 1.0"
    for request in (GET.replace(b"1.1", version), post(b"Transfer-Encoding: chunked", version=version)):
        check_refusal(exchange(port, request), 505, refused(505, message))
    assert is_alive(port)


def test_preface_of_http_2(port: int) -> None:
    """A client that begins with HTTP/2 is told so."""
    message = "HTTP 2.0 is not spoken here; use 1.1 or 1.0"
    check_refusal(exchange(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, refused(505, message))
    assert is_alive(port)


def test_chunks_in_http_1_0(port: int) -> None:
    """HTTP/1.0 has no chunks; whoever ignores the header reads the chunks as the next request."""
    request = post(b"Transfer-Encoding: chunked\r\nConnection: keep-alive", version=b"1.0")
    check_refusal(exchange(port, request), 400, invalid(FRAMING))
    assert is_alive(port)


@pytest.mark.parametrize("value", [b"200-ok", b"100-continue, x", b""])
def test_other_expectations(port: int, value: bytes) -> None:
    """What else a client expects is a 417."""
    message = f"Nothing but 100-continue can be expected, not {value.decode()!r}"
    request = GET.replace(b"\r\n\r\n", b"\r\nExpect: " + value + b"\r\n\r\n")
    check_refusal(exchange(port, request), 417, refused(417, message))
    assert is_alive(port)


@pytest.mark.parametrize(
    "headers",
    [b"X: " + b"x" * 300_000, b"X: " + b"x" * 33_000, b"X: %b\r\n" % (b"x" * 700) * 60, b"X-%b: 1" % (b"x" * 40_000)],
    ids=["one", "barely one", "sixty", "its name"],
)
def test_large_headers(port: int, headers: bytes) -> None:
    """Headers over 32 KiB are a 431, which arrives although not all was read."""
    (answer,) = exchange(port, b"GET /kunden HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\n\r\n")
    check_refusal([answer], 431, refused(431, "The headers are larger than 32768 bytes"))
    assert is_alive(port)


def test_large_first_line(port: int) -> None:
    """So is an address over 32 KiB."""
    answers = exchange(port, b"GET /" + b"x" * 50_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    check_refusal(answers, 431, refused(431, "The headers are larger than 32768 bytes"))


def test_large_trailer(port: int) -> None:
    """So are headers behind the last chunk."""
    body = b"1c\r\n%b\r\n0\r\n" % BODY + b"X: y\r\n" * 8000
    message = "The headers are larger than 32768 bytes"
    check_refusal(exchange(port, post(b"Transfer-Encoding: chunked", body)), 431, refused(431, message))
    assert is_alive(port)


@pytest.mark.parametrize("expects", [b"", b"Expect: 100-continue\r\n"])
def test_large_body(port: int, expects: bytes) -> None:
    """A body far over the limit is refused by its length alone, and nobody is asked to send it."""
    answers = exchange(port, post(expects + b"Content-Length: 99999999999", b""))
    check_refusal(answers, 413, refused(413, f"The body is larger than {minirest.MAX_BUFFERED_BYTES} bytes"))
    assert is_alive(port)


FORMS: dict[bytes, Any] = {
    b"/kunden": invalid(LENGTH),
    b"/api/kunden:create": {"errors": [{"code": "bad_request", "message": f"The request is not valid HTTP: {LENGTH}"}]},
    b"/api/v2/kunden/?a=b": {"error": f"The request is not valid HTTP: {LENGTH}"},
    b"/api/v1/kunden": {
        "success": False,
        "code": "400",
        "message": f"The request is not valid HTTP: {LENGTH}",
        "tags": ["error_bad_request"],
    },
    b"/api/resources/kunden": {"message": f"The request is not valid HTTP: {LENGTH}"},
}


@pytest.mark.parametrize("address", FORMS)
def test_in_the_words_of_the_dialect(port: int, address: bytes) -> None:
    """A refusal has the form of the dialect whose address was asked, as far as the first line can be read."""
    (answer,) = exchange(port, post(b"Content-Length: -1", address=address))
    assert (answer.status, answer.json, answer.headers["connection"]) == (400, FORMS[address], "close")
    assert is_alive(port)


def test_refusals_of_another_application() -> None:
    """An application that is not ours has refusals in plain text, which name nothing that is behind them."""

    def other(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [b"hi"]

    with serving(other) as number:
        (answer,) = exchange(number, GET.replace(b"Host", b"X"))
        assert (answer.status, answer.body) == (400, b"The request is not valid HTTP: the header Host is missing\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert exchange(number, LAST)[0].body == b"hi"


def test_application_that_fails() -> None:
    """Nor does the answer when another application breaks, whatever its exception says."""

    def broken(environ: Any, start_response: Any) -> list[bytes]:
        raise RuntimeError("/etc/secret" + environ["PATH_INFO"])

    with serving(broken) as number:
        (answer,) = exchange(number, LAST)
        assert (answer.status, answer.body) == (
            500,
            f"Internal error; the log has the details under request {answer.headers['x-request-id']}\n".encode(),
        )


# ---- what is answered ----


@pytest.mark.parametrize(
    "request_",
    [
        b"GET http://localhost/kunden?$fields=name HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET HTTP://LocalHost/kunden?$fields=name HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"\r\n\r\n\r\n" + LAST,
        b"GET /kunden?$fields=name HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET //kunden?$fields=name HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        LAST.replace(b"close", b"close\r\nX_Y: 1\r\nX:\r\nY:\t \r\nZ: \xff"),
        LAST.replace(b"close", b"close\r\n" + b"X: y\r\n" * 97 + b"X: y"),
        LAST.replace(b"close", b"close\r\nExpect: 100-Continue"),
    ],
    ids=lambda request: request[:30],
)
def test_other_forms_that_are_answered(port: int, request_: bytes) -> None:
    """An address at our own host, blank lines before a request and HTTP/1.0 are fine; nobody is sent to `//host`."""
    (answer,) = exchange(port, request_)
    assert (answer.status, answer.json["data"]) == (200, LISTED["data"])


@pytest.mark.parametrize("name", [b"evil.example", b"localhost.evil.example", b"[::2]:80"])
def test_other_hosts(port: int, name: bytes) -> None:
    """A proper host that is not ours is a 421, in the address of the first line as well."""
    told = name.decode().removesuffix(":80")
    message = f"This server does not answer for the host {told!r}; start it with --allow-host {told}"
    for target in (b"/kunden", b"http://" + name + b"/kunden"):
        request = b"GET " + target + b" HTTP/1.1\r\nHost: " + name + b"\r\nConnection: close\r\n\r\n"
        check_refusal(exchange(port, request), 421, refused(421, message))


def test_http_1_0_without_a_host(port: int) -> None:
    """HTTP/1.0 needs no Host, and then names none of ours."""
    (answer,) = exchange(port, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')
    (answer,) = exchange(port, b"GET /kunden HTTP/1.0\r\n\r\n")
    assert answer.status == 421


@pytest.mark.parametrize("size", [1, 7, 8192])
def test_chunks_in_pieces(port: int, size: int) -> None:
    """A body in chunks may come in pieces of any size, with extensions and a trailer."""
    chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in (BODY[:9], BODY[9:]))
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    request = head + chunks + b"0\r\nX: y\r\n\r\n"
    with connect(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for start in range(0, len(request), size):
            connection.sendall(request[start : start + size])
        (answer,) = answers_in(receive(connection))
    assert (answer.status, answer.json) == (400, refused(400, "Unknown table nothing"))
    assert is_alive(port)


def test_expect_continue(port: int) -> None:
    """A client that asks before it sends its body is asked for it."""
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
    with connect(port) as connection:
        connection.sendall(head + b"Content-Length: 2\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"{}")
        (answer,) = answers_in(receive(connection))
    assert answer.status == 400


@pytest.mark.parametrize(("body", "statuses"), [(b"", [400]), (b"{}", [100, 400])])
def test_expectation_that_is_met(port: int, body: bytes, statuses: list[int]) -> None:
    """A client that did not wait is answered all the same, and who has no body is not asked for it."""
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
    answers = exchange(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert [answer.status for answer in answers] == statuses


# ---- one connection, many requests ----


def test_refusal_between_requests(port: int) -> None:
    """What comes behind a refused request is never done."""
    wrong = GET.replace(b"Host", b"Host : x\r\nHost")
    delete = b"DELETE /kunden/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = exchange(port, GET + wrong + delete + GET)
    assert [answer.status for answer in answers] == [200, 400]
    assert is_alive(port)


def test_a_thousand_requests_at_once(port: int) -> None:
    """Requests that were sent without waiting for answers are all answered, in order."""
    requests = b"".join(b"GET /nothing%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number for number in range(999))
    with connect(port) as connection:
        sender = threading.Thread(target=connection.sendall, args=(requests + LAST,))
        sender.start()
        answers = answers_in(receive(connection))
        sender.join(WAIT_SECONDS)
    told = [answer.json["errors"][0]["message"] for answer in answers[:-1]]
    assert told == [f"Unknown table nothing{number}" for number in range(999)]
    assert answers[-1].json == LISTED
    assert len({answer.headers["x-request-id"] for answer in answers}) == 1000


def test_half_closed(port: int) -> None:
    """A client that says at once that nothing more comes gets its answer, and one in the middle of a request none."""
    for request, count in ((GET, 1), (GET + GET, 2), (GET[:-2], 0), (post(b"Content-Length: 999", b"{"), 0)):
        with connect(port) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert [answer.json for answer in answers_in(receive(connection))] == [LISTED] * count
    assert is_alive(port)


def test_early_ends(port: int) -> None:
    """Clients that go before their answer, or in the middle of their request, leave nothing behind."""
    for request in (GET, GET * 20, GET[:-2], post(b"Content-Length: 999", b"{"), post(b"Transfer-Encoding: x")) * 10:
        with connect(port) as connection:
            connection.sendall(request)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset at once
    assert is_alive(port)


# ---- many connections ----

NEVER = b"POST /kunden HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"


def ended(connection: socket.socket) -> bool:
    """Whether the server closes, once it has said what it has to say."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.skipif(minirest.open_files(2000) < 1500, reason="this process may not open so many files")
def test_dripping_and_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """While 400 connections drip and 200 do nothing others are answered; in time the dripping ones are closed alone."""
    with ExitStack() as stack:
        app = stack.enter_context(closing(minirest.make_app(SCHEMA, auth=False)))
        server = stack.enter_context(running(app))
        number = server.socket.getsockname()[1]
        dripping = [stack.enter_context(connect(number)) for _ in range(400)]
        idle = [stack.enter_context(connect(number)) for _ in range(200)]
        for part in (NEVER, b"\r\n", b"{", b" "):
            for connection in dripping[::2]:
                connection.sendall(part)
            for connection in dripping[1::2]:
                connection.sendall(part[:-2] + b"X" if part is NEVER else b"X")
            assert is_alive(number)
        assert len(server.active_channels) >= 600
        monkeypatch.setattr(minirest, "REQUEST_TIMEOUT_SECONDS", -1e9)
        server.pull_trigger()
        assert all(map(ended, dripping))
        monkeypatch.undo()
        for connection in idle[::50]:
            connection.sendall(LAST)
            assert answers_in(receive(connection))[0].json == LISTED


def test_lingering_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal a client that keeps its end open is dropped in time; until then what it sends is not read."""
    monkeypatch.setattr(minirest, "LINGER_SECONDS", 1e9)
    with closing(minirest.make_app(SCHEMA, auth=False)) as app, running(app) as server:
        number = server.socket.getsockname()[1]
        with connect(number) as connection:
            connection.sendall(post(b"Content-Length: -1"))
            check_refusal(answers_in(receive(connection)), 400, invalid(LENGTH))
            connection.sendall(b"DELETE /kunden/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert is_alive(number)
            (channel,) = [channel for channel in server.active_channels.values() if channel.lingers_until]
            channel.lingers_until = 1e-9
            server.pull_trigger()
            assert is_alive(number)
            assert channel not in server.active_channels.values()


LITTLE = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (48, 48))
import minirest
sys.exit(minirest.main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits files as Linux does")
def test_few_files(tmp_path: Path) -> None:
    """With more connections than files the server waits, says nothing strange, and serves when they have gone."""
    (tmp_path / "shop.json").write_text(json.dumps(SCHEMA))
    command = [sys.executable, "-c", LITTLE, "shop.json", "--port", "0", "--no-auth"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout
            number = int(process.stdout.readline().rstrip("/\n").rsplit(":", 1)[1])
            assert is_alive(number)
            with ExitStack() as stack:
                for _ in range(100):
                    stack.enter_context(connect(number)).sendall(NEVER)
            assert is_alive(number)
        finally:
            process.terminate()
            said = process.communicate(timeout=WAIT_SECONDS)[1]
    assert process.returncode == 0
    assert "Traceback" not in said
    assert "uncaptured" not in said


def test_no_file_for_a_connection(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """When a connection cannot be accepted the loop leaves it alone for a while, so that it does not spin."""
    with closing(minirest.make_app(SCHEMA, auth=False)) as app:
        server = minirest.make_server(app, "127.0.0.1", 0)
        tried: list[int] = []

        class Exhausted:
            def accept(self) -> None:
                tried.append(1)
                raise OSError(24, "Too many open files")

            def __getattr__(self, name: str) -> Any:
                return getattr(listener, name)

        try:
            listener, server.socket = server.socket, Exhausted()
            with monkeypatch.context() as patch:
                patch.setattr(minirest, "ACCEPT_PAUSE_SECONDS", 1e9)
                with connect(listener.getsockname()[1]):
                    for _ in range(5):
                        server.asyncore.loop(timeout=0, map=server._map, count=1, use_poll=True)
            assert len(tried) == 1
            assert [record.getMessage() for record in caplog.records] == [
                "a connection has to wait: Too many open files"
            ]
            server.paused_until = 0.0
            assert server.readable()
        finally:
            server.socket = listener
            server.task_dispatcher.shutdown()
            server.close()


def test_ready_until_the_stop() -> None:
    """A probe learns of the stop of the server that it asks; another one may serve the same application on."""

    def statuses(*servers: Any) -> list[int]:
        probe = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        return [exchange(server.socket.getsockname()[1], probe)[0].status for server in servers]

    with closing(minirest.make_app(SCHEMA, auth=False)) as app, running(app) as first:
        with running(app) as second:
            assert statuses(first, second) == [200, 200]
            second.is_stopping = True
            assert statuses(first, second) == [200, 503]
            second.is_stopping = False
        assert second.is_stopping
        assert statuses(first) == [200]


# ---- any bytes ----

WORDS = st.sampled_from(
    [
        *(
            b"GET",
            b"POST",
            b" ",
            b"/",
            b"/kunden",
            b"http://",
            b"[",
            b"HTTP/1.1",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b":",
            b"\0",
        ),
        *(
            b"Host: a",
            b"Transfer-Encoding: chunked",
            b"Content-Length: 2",
            b"\r\n5\r\n",
            b"hello",
            b"0\r\n\r\n",
            b"X: y",
        ),
    ]
)


@given(st.lists(WORDS | st.binary(max_size=8), max_size=20).map(b"".join), st.integers(1, 50))
def test_any_bytes(data: bytes, size: int) -> None:
    """Whatever comes, in whatever pieces, the parser goes on, is done or refuses, and never breaks."""
    for beginning in (b"", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"):
        parser = minirest.strict_parser()(Adjustments(max_request_header_size=200, max_request_body_size=500))
        sent = beginning + data
        for start in range(0, len(sent), size):
            piece = sent[start : start + size]
            while piece and not parser.completed:
                taken = parser.received(piece)
                assert 0 < taken <= len(piece)
                piece = piece[taken:]
        if parser.error:
            error = minirest.refusal_of(parser.error, "")
            assert 400 <= error.status < 600
            assert str(error)
        parser.close()
