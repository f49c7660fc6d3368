"""Section 14 under load: many idle sockets, clients that come and go, one that does not read, and writers."""

import json
import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import quantiles

import pytest

import minirest
from tests.sockets import ADDRESS, ask, frame
from tests.test_server import WAIT_SECONDS, Server, run_server

SOCKETS = 500
COMING_PER_SECOND = 50
WRITES_PER_SECOND = 20
PINGS_PER_SECOND = 50
WRITERS = 2
SECONDS = 30.0
WARM_UP_SECONDS = 10.0
PATIENCE_SECONDS = 60.0
MAX_GROWTH_BYTES = 5 * 1024 * 1024
PADDING = 100_000
SERVER = """
import json, sys, threading
import minirest

schema = {{"$defs": {{"notes": {{"type": "object", "properties": {{"name": {{"type": "string"}}}}}}}}}}
users = {{name: "a good password" for name in ("anna", "bert", "slow")}}
app = minirest.make_app(schema, {db!r}, users)
show = app.hub.render

def render(event, actor):
    if actor.name == "bert" and event.key % 3 == 0:
        return None
    text = show(event, actor)
    return text if actor.name != "slow" else text.replace("{{", "{{" + " " * {padding}, 1)

def serve(environ, start_response):
    if environ["PATH_INFO"] != "/numbers":
        return app(environ, start_response)
    start_response("200 OK", [("Content-Type", "application/json")])
    hub = app.hub
    numbers = [threading.active_count(), len(hub.places), len(hub.sockets), len(hub.waiting), len(app.store.listeners)]
    return [json.dumps(numbers).encode()]

def ready(url):
    print(f"Listening on {{url}}", flush=True)
    print(json.dumps({{name: app.accounts.add_token(name, "load") for name in users}}), flush=True)

app.hub.render = render
minirest.serve(serve, "127.0.0.1", 0, on_ready=ready)
app.close()
"""


def resident_bytes(server: Server) -> int:
    """The memory that the server's process has."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024


def numbers(port: int) -> list[int]:
    """What the server counts: threads, places, sockets, events that wait, listeners of the Store."""
    status, _, found = ask(port, "GET", "/numbers")
    assert status == 200
    return list(found)


class Wire:
    """A connection that a selector looks after."""

    def __init__(self, load: "Load", data: bytes, receive_buffer: int = 0) -> None:
        self.load, self.out, self.received = load, data, bytearray()
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", load.port))
        load.selector.register(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def send(self, data: bytes) -> None:
        """Send bytes as soon as they go."""
        self.out += data
        self.load.selector.modify(self.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def ready(self, mask: int) -> None:
        """Do what can be done now."""
        if mask & selectors.EVENT_WRITE:
            self.out = self.out[self.socket.send(self.out) :]
            if not self.out:
                self.load.selector.modify(self.socket, selectors.EVENT_READ, self)
        if mask & selectors.EVENT_READ:
            data = self.socket.recv(262_144)
            assert data, f"the server closed {type(self).__name__}: {bytes(self.received[:200])!r}"
            self.received += data
            self.arrived()

    def arrived(self) -> None:
        """Something was received."""
        raise NotImplementedError

    def end(self) -> None:
        """Close without a word."""
        self.load.selector.unregister(self.socket)
        self.socket.close()


class Listener(Wire):
    """A socket of a user, and the ids of the records that it has heard of."""

    def __init__(self, load: "Load", user: str, receive_buffer: int = 0) -> None:
        super().__init__(load, load.upgrade(user), receive_buffer)
        self.user = user
        self.texts: Iterator[str] | None = None
        self.joined = False
        self.heard: list[tuple[str, int]] = []

    def arrived(self) -> None:
        """Take the answer, then the texts that are whole."""
        if self.texts is None:
            if b"\r\n\r\n" not in self.received:
                return
            assert self.received.startswith(b"HTTP/1.1 101 "), bytes(self.received[:200])
            del self.received[: self.received.index(b"\r\n\r\n") + 4]
            self.texts = iter(())
        for text in self.whole_texts():
            self.take(text)

    def whole_texts(self) -> Iterator[str]:
        """The texts whose frames are there; no other frame may come."""
        data = self.received
        while len(data) >= 2:
            assert data[0] == 0x81, bytes(data[:4])
            start = {126: 4, 127: 10}.get(data[1], 2)
            size = data[1] if start == 2 else int.from_bytes(data[2:start], "big")
            if len(data) < start + size or len(data) < start:
                return
            yield data[start : start + size].decode()
            del data[: start + size]

    def take(self, text: str) -> None:
        """Note one text."""
        if text == "40":
            self.joined = True
            self.load.joined(self)
        elif text == "3":
            self.load.pongs += 1
        elif not text.startswith("0"):
            assert self.joined
            name, body = json.loads(text[2:])
            assert name == "notes-create"
            self.heard.append((body["_msgid"], int(body["_oid"][8:], 16)))


class Passer(Listener):
    """A socket that drops as soon as it has joined, or has only asked."""

    def take(self, text: str) -> None:
        """Go, in the middle of whatever comes."""
        if text == "40":
            self.load.gone(self)


class Writer(Wire):
    """A connection that makes records, one after another, and notes when each was asked for and done."""

    def __init__(self, load: "Load") -> None:
        super().__init__(load, b"")
        self.asked = 0.0
        self.keys: list[int] = []
        self.seconds: list[float] = []

    def write(self) -> bool:
        """Ask for the next record; False while one is under way."""
        if self.asked:
            return False
        body = json.dumps({"data": {"name": f"note {len(self.keys)}"}}).encode()
        head = self.load.head(
            "POST", "/notes", "anna", f"Content-Length: {len(body)}", "Content-Type: application/json"
        )
        self.asked = time.monotonic()
        self.send(head + body)
        return True

    def arrived(self) -> None:
        """Take one whole answer."""
        head, found, body = bytes(self.received).partition(b"\r\n\r\n")
        if found and len(body) == int(head.lower().partition(b"content-length: ")[2].split()[0]):
            assert head.startswith(b"HTTP/1.1 201 "), head
            self.keys.append(int(json.loads(body)["data"]["id"]))
            self.seconds.append(time.monotonic() - self.asked)
            self.received, self.asked = bytearray(), 0.0


class Load:
    """All clients, in one thread."""

    def __init__(self, port: int, tokens: dict[str, str]) -> None:
        self.port, self.tokens = port, tokens
        self.selector = selectors.DefaultSelector()
        self.listeners: list[Listener] = []
        self.passers: set[Passer] = set()
        self.passed = self.joins = self.pongs = 0
        self.random = random.Random(1)

    def head(self, method: str, path: str, user: str, *lines: str) -> bytes:
        """The head of a request."""
        start = (f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.tokens[user]}")
        return "\r\n".join([*start, *lines, "", ""]).encode()

    def upgrade(self, user: str) -> bytes:
        """A request for a socket."""
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        return self.head("GET", ADDRESS, user, "Connection: Upgrade", "Upgrade: websocket", key, VERSION)

    def joined(self, _: Listener) -> None:
        """One more has joined."""
        self.joins += 1

    def listen(self) -> None:
        """Connect the sockets that stay, half of them for each user."""
        self.listeners = [Listener(self, ("anna", "bert")[number % 2]) for number in range(SOCKETS)]
        self.turn_until(lambda: self.joins == SOCKETS)

    def come(self) -> bool:
        """One more client that comes to go; half of them do not even wait for the answer."""
        if len(self.passers) < 200:
            self.passers.add(Passer(self, "bert"))
        hasty = [passer for passer in self.passers if not passer.out]
        if hasty and self.random.random() < 0.5:
            self.gone(hasty[0])
        return True

    def gone(self, passer: Listener) -> None:
        """A client has gone."""
        assert isinstance(passer, Passer)
        passer.end()
        self.passers.discard(passer)
        self.passed += 1

    def ping(self) -> bool:
        """The heartbeat of one of those who stay, whose turn it is."""
        listener = self.listeners.pop(0)
        listener.send(frame(1, b"2"))
        self.listeners.append(listener)
        return True

    def turn(self, seconds: float) -> None:
        """Look after those that are ready; wait for one if there is none."""
        for key, mask in self.selector.select(seconds):
            if key.data.socket.fileno() >= 0:
                key.data.ready(mask)

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Look after all until something is true, which has to be soon."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.turn(0.1)

    def run(self, seconds: float, jobs: list[tuple[int, Callable[[], bool]]]) -> None:
        """Do each job so many times a second, and look after all meanwhile; a job that gives False is done later."""
        started = time.monotonic()
        done = [0] * len(jobs)
        while (passed := time.monotonic() - started) < seconds:
            for number, (rate, job) in enumerate(jobs):
                while done[number] < passed * rate and job():
                    done[number] += 1
            self.turn(0.005)


VERSION = "Sec-WebSocket-Version: 13"


def read_to_the_end(connection: socket.socket) -> tuple[int, bytes]:
    """How many bytes lay in a connection that is closed, and the last of them."""
    count, last = 0, b""
    connection.settimeout(WAIT_SECONDS)
    while True:
        try:
            data = connection.recv(262_144)
        except ConnectionError:
            data = b""
        if not data:
            return count, last
        count, last = count + len(data), (last + data)[-4:]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc that tells a process's memory")
def test_load(tmp_path: Path) -> None:
    """Every event reaches every socket that may hear it, once and in order, whatever other clients do."""
    if minirest.open_files(2 * SOCKETS) < 2 * SOCKETS:
        pytest.skip(f"this process may not open {2 * SOCKETS} files")
    (tmp_path / "server.py").write_text(SERVER.format(db=str(tmp_path / "notes.db"), padding=PADDING))
    with run_server(str(tmp_path / "server.py"), cwd=tmp_path) as server:
        load = Load(server.port, json.loads(server.line()))
        before = numbers(server.port)
        assert before[1:] == [0, 0, 0, 0]
        load.listen()
        listeners = list(load.listeners)
        slow = Listener(load, "slow", receive_buffer=4096)
        load.turn_until(lambda: slow.joined)
        load.selector.unregister(slow.socket)
        assert numbers(server.port) == [before[0], SOCKETS + 1, SOCKETS + 1, 0, 1]

        writers = deque(Writer(load) for _ in range(WRITERS))
        load.turn_until(lambda: not any(writer.out for writer in writers))

        def write() -> bool:
            writers.rotate()
            return writers[0].write()

        jobs = [(WRITES_PER_SECOND, write), (COMING_PER_SECOND, load.come), (PINGS_PER_SECOND, load.ping)]
        load.run(WARM_UP_SECONDS, jobs)
        warm = resident_bytes(server)
        load.run(SECONDS - WARM_UP_SECONDS, jobs)
        load.turn_until(lambda: not any(writer.asked for writer in writers))
        hot = resident_bytes(server)

        keys = sorted(key for writer in writers for key in writer.keys)
        wanted = {"anna": keys, "bert": [key for key in keys if key % 3]}
        load.turn_until(lambda: all(len(it.heard) >= len(wanted[it.user]) for it in listeners))
        for passer in list(load.passers):
            load.gone(passer)
        load.turn_until(lambda: numbers(server.port)[1:] == [SOCKETS, SOCKETS, 0, 1])

        for listener in listeners:
            assert [key for _, key in listener.heard] == wanted[listener.user]
            assert [number for number, _ in listener.heard] == sorted({number for number, _ in listener.heard})
        assert numbers(server.port)[0] == before[0]
        got, last = read_to_the_end(slow.socket)
        assert PADDING < got < len(keys) * PADDING
        assert not last.startswith(b"\x88")
        assert hot - warm < MAX_GROWTH_BYTES
        report(load, [second for writer in writers for second in writer.seconds], (warm, hot))
        for wire in (*listeners, *writers):
            wire.end()
        slow.socket.close()
        load.selector.close()
        assert server.stop() == 0


def report(load: Load, seconds: list[float], memory: tuple[int, int]) -> None:
    """Print what was measured."""
    cuts = quantiles(seconds, n=100)
    heard = sum(len(listener.heard) for listener in load.listeners)
    print(f"{len(seconds)} writes, median {cuts[49] * 1000:.1f} ms, 99 % below {cuts[98] * 1000:.1f} ms")
    print(f"{heard} events heard, {load.passed} clients came and went, {load.pongs} heartbeats")
    print(f"memory {memory[0] / 2**20:.1f} MiB after the warm-up, {memory[1] / 2**20:.1f} MiB in the end")
