"""Several processes over one file: all read, one writes, connections go there and come back, and all end together."""

import http.client
import json
import os
import queue
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minirest
from tests.sockets import Client
from tests.test_server import ROOT, WAIT_SECONDS, Server, refuses_soon, run_server
from tests.web import multipart, part

if not hasattr(os, "fork"):
    pytest.skip("there are no forks on Windows", allow_module_level=True)

WORKERS = 3
SCHEMA: dict[str, Any] = {
    "$defs": {
        "notes": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "scan": {"type": "string", "format": "binary"}},
            "examples": [{"text": "first"}],
        }
    }
}
PROGRAM = """
import os, sys
import minirest

app = minirest.make_app({schema!r}, "notes.db", users={{"anna": "anna's password"}}, auth={auth})


@app.route("/process", "GET", "POST")
def process(request):
    return os.getpid()


@app.route("/peer", "GET", "POST")
def peer(request):
    return [request.client_address, int(request.environ["REMOTE_PORT"])]


@app.route("/variables", "GET", "POST")
def variables(request):
    return {{name: request.environ["wsgi." + name] for name in ("multithread", "multiprocess", "run_once")}}


@app.route("/slow")
def slow(request):
    print("begun", file=sys.stderr, flush=True)
    os.read(0, 1)
    return os.getpid()


@app.route("/write")
def write(request):
    return app.client().post("/notes", json={{"data": {{"text": "by GET"}}}}).status


@app.route("/token")
def token(request):
    return app.accounts.add_token("anna", "test")


@app.router.route("/late")
def late():
    yield b"begun, "
    yield str(app.client().post("/notes", json={{"data": {{"text": "late"}}}}).status).encode()


minirest.serve(app, port=0, workers={workers}, on_ready=lambda url: print(f"Listening on {{url}}", flush=True))
app.close()
print("closed", flush=True)
"""


LATE_ERROR = "RuntimeError: a route writes into the database after it has begun to answer"
ELSEWHERE = """
import select, sys

sys.platform = "elsewhere"
if hasattr(select, "epoll"):
    del select.epoll
"""
"""As if this were a system that has neither epoll nor a share of the connections for each process."""


class Peer(NamedTuple):
    """A connection that one of the processes has accepted."""

    process: int
    connection: http.client.HTTPConnection

    def ask(self, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer, which has to be one of success; a body that is not bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return json.loads(content) if content else None

    def create(self, text: str) -> int:
        """Make a note; gives its id."""
        return int(self.ask("/notes", "POST", {"data": {"text": text}})["data"]["id"])

    def text_of(self, number: int) -> str:
        """The text of a note."""
        return str(self.ask(f"/notes/{number}")["data"]["attributes"]["text"])


@contextmanager
def team(folder: Path, workers: int = WORKERS, auth: bool = False, before: str = "") -> Iterator[Server]:
    """Start a program with several processes; none of them outlives the block."""
    script = folder / "program.py"
    script.write_text(before + PROGRAM.format(schema=SCHEMA, workers=workers, auth=auth))
    with run_server(str(script), cwd=folder) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return one for all tests that leave it as it is; it stops in peace."""
    folder = tmp_path_factory.mktemp("team")
    with team(folder) as started:
        yield started
        assert started.stop() == 0
        assert [*iter(started.line, "closed")] == []
    assert sorted(path.name for path in folder.iterdir()) == ["notes.db", "program.py"]


@contextmanager
def peers(server: Server, count: int = WORKERS) -> Iterator[list[Peer]]:
    """A connection to each process: first the writer's, then the readers'. Who accepts is up to the system."""
    found: dict[int, Peer] = {}
    with ExitStack() as stack:
        for _ in range(1000):
            connection = stack.enter_context(closing(server.connect()))
            process = Peer(0, connection).ask("/process")
            found.setdefault(process, Peer(process, connection))
            if len(found) == count:
                break
        assert len(found) == count
        with closing(server.connect()) as connection:
            writer = Peer(0, connection).ask("/process", "POST")
        yield sorted(found.values(), key=lambda peer: peer.process != writer)


# ---- who answers ----


def test_all_read_and_one_writes(server: Server) -> None:
    """Each process answers who reads; what changes something is answered by one, whoever has the connection."""
    with peers(server) as found:
        assert server.process.pid not in {peer.process for peer in found}
        for peer in found:
            assert [peer.ask("/process") for _ in range(3)] == [peer.process] * 3
            assert peer.ask("/process", "POST") == found[0].process


def test_variables_tell_of_the_others(server: Server, tmp_path: Path) -> None:
    """A route finds in its environment whether there are other processes, whoever answers (PEP 3333)."""
    expected = {"multithread": True, "multiprocess": True, "run_once": False}
    with peers(server) as found:
        assert [peer.ask("/variables", method) for peer in found for method in ("GET", "POST")] == [expected] * 6
    with team(tmp_path, workers=1) as single, closing(http.client.HTTPConnection("127.0.0.1", single.port)) as alone:
        assert Peer(0, alone).ask("/variables") == {**expected, "multiprocess": False}


def test_connection_goes_and_comes_back(server: Server) -> None:
    """It goes to the writer with what changes something, stays for some requests that read, and then goes back."""
    with peers(server) as found:
        writer, reader, *_ = found
        opened, stays = reader.connection.sock, minirest.READS_OF_GUESTS
        for _ in range(3):
            assert reader.ask("/process", "POST") == writer.process
            assert [reader.ask("/process") for _ in range(stays)] == [writer.process] * stays
            assert [reader.ask("/process") for _ in range(3)] == [reader.process] * 3
        assert reader.connection.sock is opened


def test_everybody_reads_what_was_written(server: Server) -> None:
    """Who reads after an answered write finds it, through whichever processes."""
    with peers(server) as found:
        for turn in range(5):
            for one in found:
                for other in found:
                    text = f"{turn} {one.process} {other.process}"
                    number = one.create(text)
                    assert other.text_of(number) == text
                    assert one.text_of(number) == text
                    one.ask(f"/notes/{number}", "DELETE")
                    other.connection.request("GET", f"/notes/{number}")
                    answer = other.connection.getresponse()
                    answer.read()
                    assert answer.status == 404


def test_get_that_writes(server: Server) -> None:
    """What turns out to write in a reader is done once, by the writer: in a dialect, and in an address of one's own."""
    with peers(server) as found:
        for peer in found:
            before = peer.ask("/api/notes:list?pageSize=1")["meta"]["count"]
            number = peer.ask("/api/notes:create")["data"]["id"]
            assert peer.ask(f"/api/notes:update/{number}", "GET", {"text": "new"})["data"][0]["text"] == "new"
            assert peer.ask("/write") == 201
            assert peer.ask("/write") == 201
            assert peer.ask("/api/notes:list?pageSize=1")["meta"]["count"] == before + 3


def test_write_behind_the_first_byte(server: Server) -> None:
    """An answer that has begun in a reader cannot be begun again: it is cut off, and the process goes on."""
    with peers(server) as found:
        writer, reader, *_ = found
        writer.connection.request("GET", "/late")
        assert writer.connection.getresponse().read() == b"begun, 201"
        reader.connection.request("GET", "/late")
        answer = reader.connection.getresponse()
        with pytest.raises(http.client.IncompleteRead):
            answer.read()
        assert "Traceback (most recent call last):" in list(iter(server.line, LATE_ERROR))
        reader.connection.close()
    with peers(server) as again:
        assert [peer.process for peer in again][:1] == [writer.process]


def test_client_keeps_its_address(server: Server) -> None:
    """The writer knows whom it speaks to."""
    with peers(server) as found:
        for peer in found:
            assert peer.connection.sock
            own = list(peer.connection.sock.getsockname())
            assert [peer.ask("/peer", method) for method in ["GET", "POST"] + ["GET"] * 5] == [own] * 7


def send_all(peer: Peer, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes on a connection and give all that comes back until the server closes it."""
    assert peer.connection.sock
    peer.connection.sock.sendall(data)
    received = b""
    while chunk := peer.connection.sock.recv(65536):
        received += chunk
    return received


def request_of(method: str, path: str, body: bytes = b"", more: bytes = b"") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    return head + length + more + b"\r\n" + body


def test_requests_at_once(server: Server) -> None:
    """Requests that come in one piece are answered in their order, whoever answers them."""
    body = b'{"data": {"text": "in a row"}}'
    read, write = request_of("GET", "/process"), request_of("POST", "/notes", body)
    rows = [
        [read, write, *[read] * 6, write, read],
        [write, write, read, write],
        [request_of("GET", "/write"), read, write, read, read],
        [write, *[read] * 5, request_of("POST", "/notes", b'{"data": {"text": "%s"}}' % (b"x" * 50_000))],
    ]
    for row in rows:
        with peers(server) as found:
            for peer in found:
                answer = send_all(peer, b"".join(row) + request_of("GET", "/process", b"", b"Connection: close\r\n"))
                wanted = [b"201" if b"POST" in each else b"200" for each in row]
                assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [*wanted, b"200"]
                processes = {int(number) for number in re.findall(rb"\r\n\r\n(\d{4,})(?=HTTP|\Z)", answer)}
                assert processes <= {found[0].process, peer.process}


@pytest.mark.parametrize("path", ["/nothing", "/notes/0", "/notes?name[eq"])
def test_refusals_are_those_of_one_process(server: Server, path: str) -> None:
    """What is wrong is answered alike, wherever the connection is."""
    for method in ("GET", "POST", "PATCH", "DELETE", "TRACE", "OPTIONS"):
        answers = set()
        with peers(server) as found:
            for peer in found:
                answer = send_all(peer, request_of(method, path, b"", b"Connection: close\r\n"))
                answers.add(re.sub(rb"(?m)^(X-Request-Id|Date): .*\r\n", b"", answer))
        assert len(answers) == 1


def test_broken_requests(server: Server) -> None:
    """What is no HTTP is refused by the process that has the connection; a body that cannot be, by the writer."""
    bad = [
        (b"POST  /notes HTTP/1.1\r\n\r\n", 400),
        (request_of("POST", "/notes", b"", b"Content-Length: x\r\n"), 400),
        (request_of("POST", "/notes", b"", b"Transfer-Encoding: gzip\r\n"), 501),
        (request_of("POST", "/notes", b"", b"Content-Length: 99999999999\r\n"), 413),
        (request_of("POST", "/notes", b"", b"Transfer-Encoding: chunked\r\n") + b"z\r\n", 400),
        (request_of("POST", "/notes", b"", b"X: %s\r\n" % (b"x" * 40_000)), 431),
    ]
    for data, status in bad:
        with peers(server) as found:
            for peer in found:
                assert re.match(rb"HTTP/1\.[01] %d " % status, send_all(peer, data)), data[:100]


# ---- files, and what takes long ----


def test_files(server: Server) -> None:
    """An upload and a download of some size go through any process, with a length or in chunks, expected or not."""
    content = os.urandom(3_000_001)
    form = multipart(part("data[text]", b"with a file"), part("data[scan]", content, "scan.bin"))
    pieces = [form[start : start + 100_000] for start in range(0, len(form), 100_000)]
    kind = {"Content-Type": 'multipart/form-data; boundary="-x"'}
    with peers(server) as found:
        for peer in found:
            for body in (form, iter(pieces)):
                peer.connection.request("POST", "/notes", body, kind, encode_chunked=not isinstance(body, bytes))
                answer = peer.connection.getresponse()
                assert answer.status == 201, answer.read()
                number = json.load(answer)["data"]["id"]
                for other in found:
                    other.connection.request("GET", f"/browse/notes/{number}/file/scan")
                    assert other.connection.getresponse().read() == content


def test_upload_that_is_asked_for(server: Server) -> None:
    """Who wants to hear first that a body is welcome hears it, once."""
    body = b'{"data": {"text": "patient"}}'
    head = request_of("POST", "/notes", body, b"Expect: 100-continue\r\n").removesuffix(body)
    with peers(server) as found:
        for peer in found:
            assert peer.connection.sock
            peer.connection.sock.sendall(head)
            assert peer.connection.sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            peer.connection.sock.sendall(body)
            assert peer.connection.sock.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_client_that_goes_away(server: Server) -> None:
    """A body that ends too early changes nothing, and leaves nothing behind."""
    with peers(server) as found:
        before = found[0].ask("/api/notes:list?pageSize=1")["meta"]["count"]
        for peer in found[1:]:
            assert peer.connection.sock
            peer.connection.sock.sendall(request_of("POST", "/notes", b'{"data": {"text": "x"}}')[:-3])
            peer.connection.close()
        assert found[0].ask("/api/notes:list?pageSize=1")["meta"]["count"] == before


def test_many_at_once_while_the_writer_stands_still(server: Server) -> None:
    """More connections than fit into the way to the writer wait for it, and none is lost."""
    with peers(server) as found, ExitStack() as stack:
        writer = found[0].process
        os.kill(writer, signal.SIGSTOP)
        try:
            data = request_of("POST", "/process", b"", b"Connection: close\r\nX: %s\r\n" % (b"x" * 4000))
            waiting = [stack.enter_context(closing(server.connect())) for _ in range(300)]
            for connection in waiting:
                connection.connect()
                assert connection.sock
                connection.sock.sendall(data)
            for reader in found[1:]:  # they have come to all that was sent before
                assert reader.ask("/process") == reader.process
        finally:
            os.kill(writer, signal.SIGCONT)
        for connection in waiting:
            assert send_all(Peer(0, connection), b"").endswith(b"\r\n\r\n%d" % writer)


# ---- sockets ----


def test_sockets_hear_of_all_writes(server: Server) -> None:
    """A socket through any process is told what is done through any; bytes behind its request are taken too."""
    with peers(server) as found, peers(server) as others, ExitStack() as stack:
        clients = []
        for peer in others:
            assert peer.connection.sock
            clients.append(stack.enter_context(Client(server.port, connection=peer.connection.sock)).begin())
            peer.connection.sock = None
        for peer in found:
            number = peer.create(f"through {peer.process}")
            for client in clients:
                name, body = client.told()
                assert (name, body["data"]["text"]) == ("notes-create", f"through {peer.process}")
            peer.ask(f"/notes/{number}", "DELETE")
            assert {client.told()[0] for client in clients} == {"notes-delete"}
        for client in clients:
            client.send("2")
            assert client.text() == "3"
            assert client.close() == 1000


# ---- accounts ----


def test_last_use_of_a_token(tmp_path: Path) -> None:
    """That a token was used is kept, though only a reader has seen it; a wrong password counts where it is sent."""
    with team(tmp_path, 2, auth=True) as server:
        basic = {"Authorization": "Basic YW5uYTphbm5hJ3MgcGFzc3dvcmQ="}
        with closing(server.connect()) as connection:
            token = Peer(0, connection).ask("/token", headers=basic)
        bearer, writer, reader = {"Authorization": f"Bearer {token}"}, 0, 0
        with closing(server.connect()) as connection:
            writer = Peer(0, connection).ask("/process", "POST", headers=basic)
        for _ in range(1000):
            with closing(server.connect()) as connection:
                if (reader := Peer(0, connection).ask("/process", headers=basic)) != writer:
                    assert Peer(0, connection).ask("/process", headers=bearer) == reader
                    break
        assert reader not in (0, writer)
        with closing(sqlite3.connect(tmp_path / "notes.db")) as database:
            assert database.execute("select last_used from _tokens").fetchone()[0] is not None


# ---- ends ----


def test_killed_processes_are_replaced(tmp_path: Path) -> None:
    """Under load a reader and the writer are killed: others come, and nothing that was answered is lost."""
    kept, ended = queue.Queue[int](), threading.Event()

    def write(server: Server) -> None:
        while not ended.is_set():
            with suppress(OSError, http.client.HTTPException), closing(server.connect()) as connection:
                while not ended.is_set():
                    number = Peer(0, connection).create("kept")
                    kept.put(number)
                    assert Peer(0, connection).text_of(number) == "kept"

    with team(tmp_path) as server:
        threads = [threading.Thread(target=write, args=(server,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        seen, gone = set[int](), set[int]()
        try:
            for place in (1, 0, 2, 0):
                with peers(server) as found:
                    seen |= {peer.process for peer in found}
                    gone.add(found[place].process)
                os.kill(found[place].process, signal.SIGKILL)
                line = server.line()
                role = "reads" if place else "writes"
                assert line == f"the process {found[place].process}, which {role}, has ended (-9): here is another"
                for _ in range(20):
                    kept.get(timeout=WAIT_SECONDS)
        finally:
            ended.set()
            for thread in threads:
                thread.join(WAIT_SECONDS)
        with peers(server) as found:
            assert {peer.process for peer in found} & gone == set()
            count = found[0].ask("/api/notes:list?pageSize=1&filter=%7B%22text%22:%22kept%22%7D")["meta"]["count"]
            acknowledged = {kept.get() for _ in range(kept.qsize())}
            numbers = {int(row[0]) for row in rows_of(tmp_path)}
            assert acknowledged <= numbers
            assert count == len(numbers)
        assert server.stop() == 0


def rows_of(folder: Path) -> list[tuple[Any, ...]]:
    """The ids of the notes that were kept."""
    with closing(sqlite3.connect(folder / "notes.db")) as database:
        return database.execute("select id from notes where text='kept'").fetchall()


def test_killed_starter_takes_all_along(tmp_path: Path) -> None:
    """Without the process that looks after them the others end too, after they have answered."""
    with team(tmp_path) as server, peers(server) as found:
        reader = found[1]
        reader.connection.request("GET", "/slow")
        assert server.line() == "begun"
        server.process.kill()
        server.process.wait(WAIT_SECONDS)
        assert refuses_soon(server)
        assert server.process.stdin
        server.process.stdin.write("x")
        server.process.stdin.flush()
        assert json.load(reader.connection.getresponse()) == reader.process
        # `run_server` waits for the end of what all of them write to
    assert rows_of(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_what_has_begun(tmp_path: Path, number: int) -> None:
    """A reader's slow answer, and a request through it that is half sent, come to their ends; the exit code is 0."""
    body = b'{"data": {"text": "kept"}}'
    with team(tmp_path) as server, peers(server) as found, peers(server) as others:
        reader, other = found[1], others[1]
        reader.connection.request("GET", "/slow")
        assert server.line() == "begun"
        assert other.connection.sock
        other.connection.sock.sendall(request_of("POST", "/notes", body, b"Expect: 100-continue\r\n")[: -len(body)])
        assert other.connection.sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        server.process.send_signal(number)
        assert refuses_soon(server)
        other.connection.sock.sendall(body)
        assert other.connection.sock.recv(1000).startswith(b"HTTP/1.1 201 ")
        assert server.process.stdin
        server.process.stdin.write("x")
        server.process.stdin.flush()
        assert json.load(reader.connection.getresponse()) == reader.process
        assert server.process.wait(WAIT_SECONDS) == 0
        assert server.line() == "closed"
    assert len(rows_of(tmp_path)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.db", "program.py"]


def test_one_process_is_asked_to_end(tmp_path: Path) -> None:
    """A process that gets SIGTERM by itself ends in peace, and another one comes."""
    with team(tmp_path, 2) as server:
        for place in (1, 0):
            with peers(server, 2) as found:
                process = found[place].process
            os.kill(process, signal.SIGTERM)
            role = "reads" if place else "writes"
            assert server.line() == f"the process {process}, which {role}, has ended (0): here is another"
        with peers(server, 2) as found:
            assert found[1].text_of(found[1].create("kept")) == "kept"
        assert server.stop() == 0


def test_other_systems(tmp_path: Path) -> None:
    """Where all processes accept on one socket, and find out by asking what they can read, it is the same."""
    with team(tmp_path, before=ELSEWHERE) as server:
        with peers(server) as found:
            for peer in found:
                number = peer.create("kept")
                assert [other.text_of(number) for other in found] == ["kept"] * WORKERS
            process = found[1].process
        os.kill(process, signal.SIGKILL)
        assert server.line() == f"the process {process}, which reads, has ended (-9): here is another"
        with peers(server) as found:
            assert found[0].ask("/write") == 201
        assert server.stop() == 0
        assert server.line() == "closed"


# ---- the start ----


def test_command_line(tmp_path: Path) -> None:
    """`--workers` serves a schema file on a free port; a port that is in use is not shared with another server."""
    (tmp_path / "shop.json").write_text(json.dumps(SCHEMA))
    command = [str(ROOT / "minirest.py"), "shop.json", "--no-auth", "--workers", "2", "--port"]
    with run_server(*command, "0", cwd=tmp_path) as server:
        with closing(server.connect()) as connection:
            assert Peer(0, connection).text_of(Peer(0, connection).create("x")) == "x"
        done = subprocess.run(
            [sys.executable, *command, str(server.port)], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"minirest: cannot listen on 127\.0\.0\.1:\d+: .*; choose another --port\n", done.stderr)
        assert server.stop() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shop.db", "shop.json"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--workers", "0"], "--workers '0' is no number from 1 to 64"),
        (["--workers", "65"], "--workers '65' is no number from 1 to 64"),
        (["--workers", "two"], "--workers 'two' is no number from 1 to 64"),
        (["--workers", "2", "--test"], "--test goes with one process: leave --workers out"),
        (
            ["--workers", "2", "--db", ":memory:"],
            "--workers 2 does not go here: several workers need a database in a file that this program opens by itself",
        ),
    ],
)
def test_what_does_not_go_with_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    """It is one line and exit code 2, also where the environment asks for it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.json").write_text(json.dumps(SCHEMA))
    assert minirest.main(["shop.json", "--port", "0", *words]) == 2
    assert capfd.readouterr() == ("", f"minirest: {line}\n")
    monkeypatch.setenv("MINIREST_WORKERS", words[1])
    assert minirest.main(["shop.json", "--port", "0", *words[2:]]) == 2
    assert capfd.readouterr() == ("", f"minirest: {line}\n")
    assert not (tmp_path / "shop.db").exists()


def test_what_serve_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ValueError for what goes with one process only; nothing is bound or forked."""
    with closing(minirest.make_app(SCHEMA, tmp_path / "a.db", auth=False)) as app:
        with pytest.raises(ValueError, match="what make_app gives"):
            minirest.serve(app.__call__, port=0, workers=2)
        with pytest.raises(TypeError):
            minirest.serve(app, port=0, colour=1)  # type: ignore[call-arg]
        with monkeypatch.context() as patch:
            patch.delattr(os, "fork")
            with pytest.raises(ValueError, match="a system with fork"):
                minirest.serve(app, port=0, workers=2)
    with closing(minirest.make_app(SCHEMA, auth=False)) as app, pytest.raises(ValueError, match="database in a file"):
        minirest.serve(app, port=0, workers=2)


def test_stop_by_an_event(tmp_path: Path) -> None:
    """An event ends all; here it is set before one has begun, and the handlers of signals are the program's again."""
    program = f"""
import signal, threading
import minirest

stop, handlers = threading.Event(), [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
app = minirest.make_app({SCHEMA!r}, "a.db", auth=False)
minirest.serve(app, port=0, workers=2, stop=stop, on_ready=lambda url: stop.set())
app.close()
print("closed", threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed 1\n", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db"]
