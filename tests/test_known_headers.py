"""Headers that have come before are not read again, and nothing else is taken because of that."""

import socket
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from waitress.adjustments import Adjustments
from waitress.task import WSGITask

import minirest
from tests.sockets import serving

ADJUSTMENTS = Adjustments(max_request_header_size=2500, max_request_body_size=5000, inbuf_overflow=100)
GOOD = b"\r\nHost: localhost\r\nX: y"
LINES = [
    b"GET / HTTP/1.1",
    b"GET /kunden/1?$fields=name&a=%41 HTTP/1.1",
    b"GET /? HTTP/1.1",
    b"GET /?? HTTP/1.1",
    b"DELETE /a:b;c=1/@,$!~ HTTP/1.1",
    b"POST /kunden HTTP/1.1",
    b"PUT /kunden/?a[b]=c HTTP/1.1",
    b"HEAD /kunden HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"GET * HTTP/1.1",
    b"CONNECT localhost:80 HTTP/1.1",
    b"TRACE / HTTP/1.1",
    b"get / HTTP/1.1",
    b"GET /kunden HTTP/1.0",
    b"GET /kunden HTTP/1.2",
    b"GET /kunden HTTP/2.0",
    b"GET /kunden http/1.1",
    b"GET /kunden",
    b"GET  /kunden HTTP/1.1",
    b"GET /kunden HTTP/1.1 ",
    b" GET /kunden HTTP/1.1",
    b"GET\t/kunden HTTP/1.1",
    b"GET /kunden\t HTTP/1.1",
    b"GET /kun den HTTP/1.1",
    b"GET /kunden\0 HTTP/1.1",
    b"GET /k\xc3\xbc HTTP/1.1",
    b"GET /k%c3%bc HTTP/1.1",
    b"GET /%2e%2e/%00 HTTP/1.1",
    b"GET //kunden HTTP/1.1",
    b"GET ///kunden HTTP/1.1",
    b"GET /a//b HTTP/1.1",
    b"GET /kunden#x HTTP/1.1",
    b"GET /kunden?a#x HTTP/1.1",
    b"GET /a\\b HTTP/1.1",
    b'GET /a"b HTTP/1.1',
    b'GET /a?b="\\^`{|} HTTP/1.1',
    b"GET kunden HTTP/1.1",
    b"GET ?a HTTP/1.1",
    b"GET http://localhost/kunden HTTP/1.1",
    b"GET http://evil.example/kunden HTTP/1.1",
    b"GET https://localhost HTTP/1.1",
    b"GET http:///kunden HTTP/1.1",
    b"GET /kunden HTTP/1.1\rX: y",
    b"GET /kunden HTTP/1.1\nX: y",
    b"\r\nGET /kunden HTTP/1.1",
    b"",
]
ODD_LINES = [
    b"GET /k%c3%bc HTTP/1.1",
    b"GET /%2e%2e/a%20b HTTP/1.1",
    b"GET //kunden HTTP/1.1",
    b"GET ///kunden HTTP/1.1",
    b"GET /a//b HTTP/1.1",
    b"GET http://localhost/kunden?a HTTP/1.1",
    b"GET http://localhost HTTP/1.1",
]
HEADERS = [
    b"Host: localhost",
    b"host: localhost",
    b"Host: LOCALHOST:80",
    b"Host: evil.example",
    b"Host : localhost",
    b"Host: a b",
    b"X: y",
    b"X_Y: z",
    b" folded",
    b"X:",
    b"X",
    b"X: \xff",
    b"X: " + b"x" * 1990,
    b"Content-Length: 0",
    b"Content-Length: 2",
    b"Content-Length: 02",
    b"Content-Length: 3",
    b"Content-Length: 200",
    b"Content-Length: 9999",
    b"Content-Length: +2",
    b"Content-Length: 2, 2",
    b"Content-Length: -1",
    b"Content-Length:",
    b"Content-Length: 9" * 3,
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: Chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer_Encoding: chunked",
    b"Connection: close",
    b"Connection: keep-alive",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Expect: 100-continue",
    b"Expect: 200",
    b"Authorization: Basic YTpi",
    b"X-Forwarded-For: 10.0.0.1",
    b"Content-Type: application/json",
    b'If-None-Match: "1"',
    b"X: a\nContent-Length: 5",
    b"X: a\rContent-Length: 5",
]
BODIES = [
    b"",
    b"{}",
    b"{}GET /kunden HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"2\r\n{}\r\n0\r\n\r\n",
    b"0\r\n\r\n",
    b"x" * 250,
]
ENDS = [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\r\n \r\n\r\n", b""]


LEARNT = (
    "completed empty headers_finished expect_continue connection_close chunked content_length body_bytes_received"
    " headers first_line command request_uri path query version fragment url_scheme proxy_scheme proxy_netloc early"
).split()


def verdict(parser: Any, data: bytes, size: int) -> dict[str, Any]:
    """All that a server learns of a request that comes in pieces of a size."""
    taken = 0
    while taken < len(data) and not parser.completed:
        piece = data[taken : taken + size]
        while piece and not parser.completed:
            count = parser.received(piece)
            taken, piece = taken + count, piece[count:]
    error = parser.error and str(minirest.refusal_of(parser.error, ""))
    found = {name: getattr(parser, name, None) for name in LEARNT}
    found |= {"taken": taken, "error": error, "body": parser.get_body_stream().read()}
    if parser.completed and not (error or parser.empty):
        variables = minirest.environment_of(parser)
        found["environ"] = {**variables, "wsgi.input": variables["wsgi.input"].read()}
    parser.close()
    return found


def check(sent: Sequence[bytes], size: int) -> None:
    """AssertionError when a request, behind the others, is read otherwise than alone."""
    parser, known = minirest.quick_parser(), dict[bytes, minirest.KnownHeaders]()
    for data in sent:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(minirest, "KNOWN_HEADERS", {})
            alone = verdict(parser(ADJUSTMENTS), data, size)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(minirest, "KNOWN_HEADERS", known)
            assert verdict(parser(ADJUSTMENTS), data, size) == alone, (data, known)
        strict = verdict_of_strict(data, size)
        assert {name: alone[name] for name in strict} == strict


def verdict_of_strict(data: bytes, size: int) -> dict[str, Any]:
    """What the parser says that remembers nothing."""

    class Plain(minirest.strict_parser()):  # type: ignore[misc]
        variables = minirest.EMPTY

    found = verdict(Plain(ADJUSTMENTS), data, size)
    found.pop("environ", None)
    return found


HEAD = st.lists(st.sampled_from(HEADERS), max_size=4).map(lambda lines: b"".join(b"\r\n" + line for line in lines))


@st.composite
def conversations(draw: Any) -> list[bytes]:
    """Requests of which most have the same headers, byte by byte."""
    heads = draw(st.lists(HEAD.map(lambda head: b"\r\nHost: localhost" + head) | HEAD, min_size=1, max_size=2))
    parts = st.tuples(
        st.sampled_from(LINES[:7]) | st.sampled_from(LINES),
        st.sampled_from(heads),
        st.just(ENDS[0]) | st.sampled_from(ENDS),
        st.sampled_from(BODIES),
    )
    return draw(st.lists(parts.map(b"".join), min_size=2, max_size=6))  # type: ignore[no-any-return]


@given(conversations(), st.sampled_from([7, 100, 10_000]))
@example([b"GET / HTTP/1.1" + GOOD + b"\r\n\r\n", b"GET  / HTTP/1.1" + GOOD + b"\r\n\r\n"], 10_000)
def test_headers_that_have_come_before(sent: list[bytes], size: int) -> None:
    """Whatever came before, and in whatever pieces, a request is read as if it was the first."""
    check(sent, size)


@pytest.mark.parametrize("headers", HEADERS, ids=lambda line: ascii(line[:30]))
def test_every_line_with_every_header(headers: bytes) -> None:
    """Each first line behind a good one with the same headers."""
    for head in (GOOD + b"\r\n" + headers, b"\r\n" + headers):
        for body in BODIES[:4]:
            good = LINES[0] + head + b"\r\n\r\n" + body
            for line in LINES:
                check((good, line + head + b"\r\n\r\n" + body, good), 10_000)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_any_first_line(path: bytes, query: bytes) -> None:
    """Any bytes in the first line."""
    for line in (b"GET /%b HTTP/1.1" % path, b"GET /%b?%b HTTP/1.1" % (path, query), path + b" " + query):
        check((LINES[0] + GOOD + b"\r\n\r\n", line + GOOD + b"\r\n\r\n"), 10_000)


def test_the_same_environment() -> None:
    """The application gets what waitress would have given it, known headers or not."""
    seen: list[dict[str, Any]] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(environ)
        start_response("200 OK", [("Content-Length", "0"), ("X-Request-Id", "1")])
        return []

    def environment(task: Any) -> dict[str, Any]:
        found: dict[str, Any] = WSGITask.get_environment(task)
        return found

    task = minirest.answering_task()
    plain, wanted = task.execute, list[dict[str, Any]]()

    def execute(self: Any) -> None:
        wanted.append(environment(self))
        plain(self)

    head = GOOD + b"\r\nX-Forwarded-For: 1.2.3.4\r\nX: z\r\nContent-Type: a/b\r\nContent-Length: 0\r\n\r\n"
    lines = [*LINES[:8], *ODD_LINES]
    with pytest.MonkeyPatch.context() as patch, serving(app) as port:
        patch.setattr(task, "execute", execute)
        for line in lines * 2:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as connection:
                connection.sendall(line + head)
                assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert len(seen) == len(lines) * 2
    ours = {"minirest.upgrade", "minirest.drop", "minirest.sender", "minirest.is_stopping"}
    own = {"wsgi.input", "REMOTE_PORT", "waitress.client_disconnected", *ours}
    cleared = {"HTTP_X_FORWARDED_FOR"}
    for given_, from_waitress in zip(seen, wanted, strict=True):
        assert given_.keys() == (from_waitress.keys() - cleared) | ours
        shared = given_.keys() - own
        assert {name: given_[name] for name in shared} == {name: from_waitress[name] for name in shared}


def test_memory() -> None:
    """What is remembered has a limit, and so has each of it."""
    parser = minirest.quick_parser()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(minirest, "KNOWN_HEADERS", {})
        for number in range(3000):
            size = b"x" * (number % 2 * minirest.MAX_KNOWN_BYTES)
            verdict(parser(ADJUSTMENTS), b"GET / HTTP/1.1\r\nHost: a\r\nX: %d%b\r\n\r\n" % (number, size), 10_000)
        assert 0 < len(minirest.KNOWN_HEADERS) <= minirest.MAX_REMEMBERED
        assert max(map(len, minirest.KNOWN_HEADERS)) <= minirest.MAX_KNOWN_BYTES
