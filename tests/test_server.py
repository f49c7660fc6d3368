"""Section 14 over real sockets: waitress, and the graceful stop."""

import asyncio
import dataclasses
import http.client
import inspect
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minirest

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS = 20.0
SCHEMA = {
    "$defs": {
        "kunden": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
            "examples": [{"name": "Meier"}, {"name": "Schulz"}],
        }
    }
}
SLOW_APP = """
import os, sys
import minirest

schema = {schema!r}
app = minirest.make_app(schema, {db!r}, auth=False)

def slow(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        print("begun", file=sys.stderr, flush=True)
        os.read(0, 1)
    return app(environ, start_response)

def ready(url):
    print(f"Listening on {{url}}", flush=True)

minirest.serve(slow, "127.0.0.1", 0, on_ready=ready)
app.close()
print("closed", flush=True)
"""


class Server(NamedTuple):
    """A server that runs: its process, its port, and the lines that it wrote after the first."""

    process: subprocess.Popen[str]
    port: int
    lines: "queue.Queue[str]"

    def line(self) -> str:
        """Return the next line of stderr or stdout, soon; that a request has to wait a moment is no news."""
        lines = iter(lambda: self.lines.get(timeout=WAIT_SECONDS), None)
        return next(line for line in lines if not line.startswith("Task queue depth"))

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_SECONDS)

    def connect(self) -> http.client.HTTPConnection:
        """Return a new connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)


def forward(stream: Any, lines: "queue.Queue[str]") -> threading.Thread:
    """Put each line of a stream into a queue."""

    def work() -> None:
        for line in stream:
            lines.put(line.rstrip("\n"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@contextmanager
def run_server(*command: str, cwd: Path, **variables: str) -> Iterator[Server]:
    """Start a server, read its `Listening on` line, and leave no process behind."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    readers = [forward(stream, lines) for stream in (process.stdout, process.stderr)]
    try:
        first = lines.get(timeout=WAIT_SECONDS)
        match = re.fullmatch(r"Listening on http://127\.0\.0\.1:(\d+)/", first)
        assert match, first
        yield Server(process, int(match[1]), lines)
    finally:
        process.kill()
        process.wait()
        for reader in readers:
            reader.join()
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream
            with suppress(BrokenPipeError):
                stream.close()


@contextmanager
def run_slow(folder: Path) -> Iterator[Server]:
    """Start a server whose `/slow` waits for a byte on stdin before it is answered."""
    script = folder / "slow.py"
    script.write_text(SLOW_APP.format(schema=SCHEMA, db=str(folder / "slow.db")))
    with run_server(str(script), cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return one server for all requests that are refused."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "shop.json").write_text(json.dumps(SCHEMA))
    with run_server(str(ROOT / "minirest.py"), "shop.json", "--port", "0", "--no-auth", cwd=folder) as started:
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return the command line's server, for everybody, on a free port."""
    (tmp_path / "shop.json").write_text(json.dumps(SCHEMA))
    with run_server(str(ROOT / "minirest.py"), "shop.json", "--port", "0", "--no-auth", cwd=tmp_path) as started:
        yield started


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", data: Any = None, **headers: str
) -> tuple[int, Any]:
    """Send a request on a connection and return the status and the JSON that came back."""
    body = json.dumps(data).encode() if data is not None else None
    if body:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    content = answer.read()
    return answer.status, json.loads(content) if content else None


def send_raw(server: Server, request: bytes) -> bytes:
    """Send bytes and return all that comes back before the server closes; it may do so before it has read all."""
    received = b""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(request)
        while chunk := connection.recv(65536):
            received += chunk
    return received


def status_of(answer: bytes) -> int:
    """Return the status of an answer."""
    return int(answer.split(b" ", 2)[1])


def record(number: int, name: str) -> dict[str, Any]:
    """Return a customer as Limbas shows it."""
    link = f"/kunden/{number}"
    return {"links": {"self": link}, "id": str(number), "attributes": {"name": name}}


# ---- requests ----


def test_a_dozen_requests(server: Server) -> None:
    """Over one connection: lists, pages, filters, create, change, read, delete, and each kind of failure."""

    def one(number: int, name: str) -> dict[str, Any]:
        return {"links": {"self": f"/kunden/{number}"}, "data": record(number, name)}

    def names(answer: tuple[int, Any]) -> list[str]:
        return [item["attributes"]["name"] for item in answer[1]["data"]]

    with closing(server.connect()) as connection:
        meier = record(1, "Meier")
        listed = {"links": {"self": "/kunden"}, "data": [meier, record(2, "Schulz")]}
        assert ask(connection, "/kunden") == (200, listed)
        opened = connection.sock
        assert ask(connection, "/kunden/1") == (200, one(1, "Meier"))
        assert ask(connection, "/kunden", "POST", {"data": {"name": "Ärger"}}) == (201, one(3, "Ärger"))
        assert ask(connection, "/main_rest.php/kunden/3") == (200, one(3, "Ärger"))
        assert ask(connection, "/kunden/3", "PATCH", {"data": {"name": "Öl"}}) == (200, one(3, "Öl"))
        assert names(ask(connection, "/kunden?$sort=-id")) == ["Öl", "Schulz", "Meier"]
        assert names(ask(connection, "/kunden?$page[count]=1&$page[number]=2")) == ["Schulz"]
        assert names(ask(connection, "/kunden?name[startswith]=%C3%B6")) == ["Öl"]
        assert ask(connection, "/nothing")[0] == 400
        assert ask(connection, "/kunden", "POST", {"data": {}})[0] == 400
        assert connection.sock is opened
        assert ask(connection, "/kunden/3", "DELETE") == (204, None)
        assert ask(connection, "/kunden/3")[0] == 404
        assert names(ask(connection, "/kunden")) == ["Meier", "Schulz"]


def test_head_keeps_the_connection(server: Server) -> None:
    """HEAD and 304 have no body, so the next answer is whole; after HEAD it comes on the same connection."""
    with closing(server.connect()) as connection:
        connection.request("HEAD", "/kunden/1")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
        opened, tag = connection.sock, str(answer.headers["ETag"])
        assert ask(connection, "/kunden/1")[0] == 200
        assert connection.sock is opened
        assert ask(connection, "/kunden/1", **{"If-None-Match": tag}) == (304, None)
        assert ask(connection, "/kunden/1")[0] == 200


def test_pipelined_requests(server: Server) -> None:
    """Requests sent at once on one connection are answered in order."""
    line = b"GET /kunden/%d HTTP/1.1\r\nHost: localhost\r\n%b\r\n"
    answer = send_raw(server, line % (1, b"") + line % (9, b"") + line % (2, b"Connection: close\r\n"))
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answer)] == [200, 404, 200]
    assert answer.index(b"Meier") < answer.index(b"Schulz")


def test_chunked_body(server: Server) -> None:
    """A body without a length, in chunks, is read as any other."""
    with closing(server.connect()) as connection:
        chunks = iter([b'{"data": {"na', b'me": "Ke', b'tte"}}'])
        connection.request("POST", "/kunden", chunks, {"Content-Type": "application/json"}, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.load(answer)["data"]) == (201, record(3, "Kette"))


def test_clients_at_once(server: Server) -> None:
    """Clients that write at once all get their own record, and every record is there."""

    def write(client: int) -> list[str]:
        with closing(server.connect()) as connection:
            answers = [ask(connection, "/kunden", "POST", {"data": {"name": f"{client}-{n}"}}) for n in range(10)]
        assert [status for status, _ in answers] == [201] * 10
        assert [body["data"]["attributes"]["name"] for _, body in answers] == [f"{client}-{n}" for n in range(10)]
        return [body["data"]["id"] for _, body in answers]

    with ThreadPoolExecutor(4) as pool:
        written = [number for numbers in pool.map(write, range(4)) for number in numbers]
    assert sorted(map(int, written)) == list(range(3, 43))
    with closing(server.connect()) as connection:
        assert len(ask(connection, "/kunden")[1]["data"]) == 42


def test_one_client_does_not_wait_for_another(tmp_path: Path) -> None:
    """While one request takes its time, others are answered."""
    with run_slow(tmp_path) as server, closing(server.connect()) as first, closing(server.connect()) as second:
        first.request("GET", "/slow")
        assert server.line() == "begun"
        assert ask(second, "/kunden/1")[0] == 200
        assert server.process.stdin
        server.process.stdin.write("x")
        server.process.stdin.flush()
        assert first.getresponse().status == 400


# ---- what is refused ----


@pytest.mark.parametrize("size", [minirest.MAX_BODY_BYTES + 1, 10**10, 10**15])
def test_body_over_the_limit(shared: Server, size: int) -> None:
    """A body over the limit is a 413, one far over it without being read; the server goes on."""
    head = f"POST /kunden HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
    sent = size if size == minirest.MAX_BODY_BYTES + 1 else 0
    assert status_of(send_raw(shared, head.encode() + b" " * sent)) == 413
    with closing(shared.connect()) as connection:
        assert ask(connection, "/kunden/1")[0] == 200


def test_chunks_over_the_limit(shared: Server) -> None:
    """Neither is a body in chunks that grows over the limit."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    head = b"POST /kunden HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    body = chunk * (minirest.MAX_BODY_BYTES // 0x10000 + 1) + b"0\r\n\r\n"
    assert status_of(send_raw(shared, head + body)) == 413


@pytest.mark.parametrize("lines", [1, 60])
def test_headers_over_the_limit(shared: Server, lines: int) -> None:
    """Of headers, in one line or in many, 33 KiB are refused and 31 KiB are not."""

    def send(size: int) -> bytes:
        padding = b"".join(b"X-%d: %b\r\n" % (n, b"x" * (size // lines - 8)) for n in range(lines))
        return send_raw(
            shared, b"GET /kunden/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + padding + b"\r\n"
        )

    assert minirest.MAX_HEADER_BYTES == 32 * 1024
    assert send(33 * 1024)[:12] in (b"HTTP/1.1 431", b"HTTP/1.0 431", b"")
    assert status_of(send(31 * 1024)) == 200


def test_many_headers(shared: Server) -> None:
    """A request has a hundred lines of headers at most."""
    head = b"GET /kunden/1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    answers = [send_raw(shared, head + b"X: y\r\n" * number + b"\r\n") for number in (90, 110)]
    assert [status_of(answer) for answer in answers] == [200, 400]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /kunden/%ff HTTP/1.1", 400),
        (b"GET /kun%ffden HTTP/1.1", 400),
        (b"GET /%c3 HTTP/1.1", 400),
        (b"GET /kunden%00 HTTP/1.1", 400),
        (b"GET /kunden?name=%ff HTTP/1.1", 400),
        (b"GET /kunden?%ff=1 HTTP/1.1", 400),
        (b"GET /kunden/1\xff HTTP/1.1", 400),
        (b"GET /kunden?name=\xff HTTP/1.1", 400),
        (b"GET /kunden?name=%C3%A4 HTTP/1.1", 200),
        (b"GET /kunden?name=\xc3\xa4 HTTP/1.1", 400),
        (b"GET /kunden HTTP/9.9.9", 400),
        (b"\xff\xfe\xfd", 400),
    ],
)
def test_bytes_of_the_first_line(shared: Server, line: bytes, status: int) -> None:
    """Bytes that are no UTF-8 are refused wherever they are, raw or escaped; the server goes on."""
    answer = send_raw(shared, line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert status_of(answer) == status
    assert b"Traceback" not in answer
    assert shared.process.poll() is None


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: -1",
        b"Content-Length: +1",
        b"Content-Length: 0x5",
        b"Transfer-Encoding: gzip",
        b"Bad Header: 1",
        b"X : 1",
        b"X: a\nY: b",
    ],
)
def test_headers_that_can_smuggle(shared: Server, headers: bytes) -> None:
    """What two servers could read in two ways is refused."""
    request = b"POST /kunden HTTP/1.1\r\nHost: localhost\r\n" + headers + b"\r\nConnection: close\r\n\r\n"
    answer = send_raw(shared, request + b"xxxxx")
    assert status_of(answer) in (400, 501)
    assert len(re.findall(rb"HTTP/1\.[01] \d", answer)) == 1


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        b"Host: localhost\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        b"Host: localhost\r\nTransfer-Encoding: chunked, chunked",
        b"Host: localhost\r\nHost: localhost",
        b"Host: localhost\r\nHost: evil.example",
        b"X: 1",
    ],
)
def test_headers_that_waitress_alone_lets_pass(shared: Server, headers: bytes) -> None:
    """Length and chunks together, either of them twice, and a Host that is missing or there twice are refused."""
    framed = headers if b"Transfer" in headers else headers + b"\r\nTransfer-Encoding: chunked"
    head = b"POST /kunden HTTP/1.1\r\nContent-Type: application/json\r\nConnection: close\r\n" + framed
    answer = send_raw(shared, head + b"\r\n\r\n17\r\n" + b'{"data": {"name": "x"}}' + b"\r\n0\r\n\r\n")
    assert status_of(answer) in (400, 421)


def test_host_and_identity(shared: Server) -> None:
    """A foreign host name is a 421, and no answer tells what the server is made of."""
    answer = send_raw(shared, b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert status_of(answer) == 421
    assert re.findall(rb"(?mi)^(?:Server|Via|X-Powered-By):.*$", answer) == []


# ---- the stop ----


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_answered(tmp_path: Path, number: int) -> None:
    """At SIGTERM and SIGINT new connections are refused, requests in flight answered; the exit status is 0."""
    with run_slow(tmp_path) as server:
        connections = [server.connect() for _ in range(3)]
        idle = server.connect()
        try:
            assert ask(idle, "/kunden/1")[0] == 200
            for connection in connections:
                connection.request("GET", "/slow")
                assert server.line() == "begun"
            server.process.send_signal(number)
            assert refuses_soon(server)
            assert server.process.poll() is None
            assert server.process.stdin
            server.process.stdin.write("x" * len(connections))
            server.process.stdin.flush()
            answers = [connection.getresponse() for connection in connections]
            bodies = [json.load(answer) for answer in answers]
        finally:
            for connection in (*connections, idle):
                connection.close()
        unknown = {"errors": [{"code": 400, "message": "Unknown table slow"}]}
        assert bodies == [unknown] * 3
        assert server.process.wait(WAIT_SECONDS) == 0
        assert server.line() == "closed"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slow.db", "slow.py"]


def test_request_that_is_half_sent_is_answered(server: Server) -> None:
    """A request whose body is still on its way when the signal comes is read to its end and done."""
    body = b'{"data": {"name": "spaet"}}'
    head = b"POST /kunden HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body))
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        server.process.send_signal(signal.SIGTERM)
        assert refuses_soon(server)
        connection.sendall(body)
        assert status_of(connection.recv(1000)) == 201
    assert server.process.wait(WAIT_SECONDS) == 0


def refuses_soon(server: Server) -> bool:
    """Return whether the server comes to refuse connections; each try waits for the last one's end."""
    for _ in range(2000):
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=1) as connection:
                connection.settimeout(0.05)
                try:
                    connection.recv(1)
                except TimeoutError:
                    continue
        except OSError:
            return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_of_an_idle_server(server: Server, number: int) -> None:
    """Without a request in flight it ends at once, though a connection is open."""
    with closing(server.connect()) as connection:
        assert ask(connection, "/kunden/1")[0] == 200
        assert server.stop(number) == 0


def test_stop_by_an_event() -> None:
    """In a thread of another program the server ends with an event and leaves the program's signals alone."""
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    addresses: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    with closing(minirest.make_app(SCHEMA, auth=False)) as app:
        arguments: dict[str, Any] = {"port": 0, "on_ready": addresses.put, "stop": stop}
        thread = threading.Thread(target=minirest.serve, args=(app,), kwargs=arguments)
        thread.start()
        try:
            port = int(addresses.get(timeout=WAIT_SECONDS).rstrip("/").rsplit(":", 1)[1])
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
                assert ask(connection, "/kunden/1")[0] == 200
        finally:
            stop.set()
            thread.join(WAIT_SECONDS)
    assert not thread.is_alive()
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_what_on_ready_raises() -> None:
    """It ends the server: neither a thread nor its port is left."""
    before, addresses = {*threading.enumerate()}, list[str]()

    def fail(url: str) -> None:
        addresses.append(url)
        raise LookupError("no")

    with closing(minirest.make_app(SCHEMA, auth=False)) as app, pytest.raises(LookupError):
        minirest.serve(app, port=0, on_ready=fail)
    for thread in {*threading.enumerate()} - before:
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(addresses[0].rstrip("/").rpartition(":")[2])), timeout=WAIT_SECONDS)


def test_name_with_two_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host name that stands for several addresses, as `localhost` does where there is IPv6, is served too."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    addresses: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    stop.set()
    with closing(minirest.make_app(SCHEMA, auth=False)) as app:
        minirest.serve(app, "localhost", 0, on_ready=addresses.put, stop=stop)
    assert re.fullmatch(r"http://localhost:\d+/", addresses.get_nowait())


UNFIT: dict[str, tuple[str, list[Any]]] = {
    "app": ("a WSGI application", [5, None, "app"]),
    "host": ("a name or an address", [5, None, b"127.0.0.1"]),
    "port": ("a number from 0 to 65535", ["80", None, True, 1.5, -1, 65536, 70000]),
    "on_ready": ("a function", [5, None]),
    "stop": ("an event, or None", [5]),
    "workers": ("a number from 1 to 64", ["2", None, True, 1.5, 0, 65]),
}


@pytest.mark.parametrize("name", UNFIT)
def test_arguments_that_do_not_fit(name: str) -> None:
    """What an argument of `serve` does not take is refused by its name, before anything is bound or started."""
    assert [*UNFIT][:3] == [*inspect.signature(minirest.serve).parameters][:3]
    assert [*UNFIT][3:] == [part.name for part in dataclasses.fields(minirest.Serving)]
    words, values = UNFIT[name]
    for value in values:
        with pytest.raises(ValueError, match=f"^{re.escape(f'{name} takes {words}; not {value!r}')}$"):
            minirest.serve(**{"app": lambda *_: [], "port": 0, name: value})
    with pytest.raises(TypeError, match=r"^there is no argument 'worker'; did you mean 'workers'\?$"):
        minirest.serve(lambda *_: [], worker=2)  # type: ignore[call-arg]


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    """Start a thread."""
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_credentials_over_the_socket(tmp_path: Path) -> None:
    """With a user the server asks for credentials, and takes Basic in UTF-8."""
    addresses: queue.Queue[str] = queue.Queue()
    stop = threading.Event()
    with closing(minirest.make_app(SCHEMA, tmp_path / "a.db", {"jörg": "Größe und Maß"})) as app:
        thread = in_thread(lambda: minirest.serve(app, port=0, on_ready=addresses.put, stop=stop))
        try:
            port = int(addresses.get(timeout=WAIT_SECONDS).rstrip("/").rsplit(":", 1)[1])
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
                right = b64encode("jörg:Größe und Maß".encode()).decode()
                assert ask(connection, "/kunden/1")[0] == 401
                assert ask(connection, "/kunden/1", Authorization=f"Basic {right}")[0] == 200
        finally:
            stop.set()
            thread.join(WAIT_SECONDS)


def test_functions_that_want_to_end() -> None:
    """What a function raises to end something ends its request alone; an application can be served again."""
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with closing(minirest.make_app(SCHEMA, auth=False)) as app:

        @app.route("/end/<name>")
        def end(_: minirest.Request, name: str) -> None:
            raise {"cancel": asyncio.CancelledError, "exit": SystemExit, "close": GeneratorExit}[name]

        for _ in range(2):
            stop, said = threading.Event(), list[int]()

            def visit(url: str, stop: threading.Event = stop, said: list[int] = said) -> None:
                port = int(url.rstrip("/").rpartition(":")[2])
                try:
                    for path in ("/end/cancel", "/end/exit", "/end/close", "/health/ready"):
                        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
                            said.append(ask(connection, path)[0])
                finally:
                    stop.set()

            def start(url: str, visit: Callable[[str], None] = visit) -> None:
                threading.Thread(target=visit, args=(url,), daemon=True).start()

            minirest.serve(app, port=0, stop=stop, on_ready=start)
            assert said == [500, 500, 500, 200]
            assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
