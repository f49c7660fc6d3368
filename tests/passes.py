"""What the tests of a server's loop share: a server whose passes a test makes, and clients of it."""

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import minirest
from tests.web import Answer

WAIT_SECONDS = 20.0
BODY = "Content-Type: application/json\r\n"


def request(method: str, target: str, body: str | bytes = b"", headers: str = "") -> bytes:
    """The bytes of a request; `headers` are lines."""
    data = body.encode() if isinstance(body, str) else body
    length = f"{BODY}Content-Length: {len(data)}\r\n" if data else ""
    return f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n".encode() + data


class Peer:
    """One connection to a server."""

    def __init__(self, port: int, wait: Callable[[], object]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        self.socket.setblocking(False)
        self.wait, self.received, self.is_ended = wait, b"", False
        self.asked: list[bytes] = []

    def send(self, *requests: bytes) -> None:
        """Send requests, all in one piece."""
        self.asked += requests
        self.socket.sendall(b"".join(requests))

    def receive(self) -> bytes:
        """What has come so far, and is not taken yet."""
        try:
            while data := self.socket.recv(1 << 20):
                self.received += data
            self.is_ended = True
        except BlockingIOError:
            pass
        return self.received

    def until(self, is_there: Callable[[], bool]) -> None:
        """Wait until something is there. AssertionError when it does not come."""
        late = time.monotonic() + WAIT_SECONDS
        while not is_there():
            assert time.monotonic() < late, self.received
            self.wait()

    def whole(self) -> int:
        """The length of the answer that is there as a whole, to the request that was sent first; 0 without one."""
        head, end, rest = self.receive().partition(b"\r\n\r\n")
        if not end:
            return 0
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        has_body = lengths and not (self.asked and self.asked[0].startswith(b"HEAD"))
        length = int(lengths[0].partition(b":")[2]) if has_body else 0
        return len(head) + 4 + length if len(rest) >= length else 0

    def take(self) -> bytes:
        """The next answer, as it came."""
        self.until(lambda: self.whole() > 0)
        length = self.whole()
        found, self.received = self.received[:length], self.received[length:]
        if not found.startswith(b"HTTP/1.1 100"):
            del self.asked[:1]
        return found

    def answer(self) -> Answer:
        """The next answer."""
        head, _, body = self.take().partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        return Answer(int(line.split()[1]), dict(line.split(": ", 1) for line in lines), body)

    def ask(self, method: str, target: str, body: str | bytes = b"", headers: str = "") -> Answer:
        """The answer to a request."""
        self.send(request(method, target, body, headers))
        return self.answer()

    def closed(self) -> bool:
        """Wait until the server has closed; True when it said no more."""
        self.until(lambda: self.receive() == b"" and self.is_ended)
        return True


class Passes:
    """A server whose passes a test makes, one by one, in its own thread.

    `here` has the requests that its loop has answered, `there` those that went to a worker, from the start or later.
    """

    def __init__(self, app: minirest.Application) -> None:
        self.app, self.server = app, minirest.make_server(app, "127.0.0.1", 0)
        self.here, self.there = list[str](), list[str]()
        self.clients: list[Peer] = []
        dispatcher = self.server.task_dispatcher
        self.loop: Any = dispatcher.loop
        self.add_task, dispatcher.add_task = dispatcher.add_task, self.note
        if self.loop:
            self.loop.send = noting(self.here, self.loop.send)
            self.loop.to_worker = noting(self.there, self.loop.to_worker)
        minirest.begin_loop(self.server)

    def note(self, task: Any) -> None:
        """Give a task to the loop or to a worker."""
        word = asked_on(task)
        self.add_task(task)
        if word and not (self.loop and task in self.loop.ready):
            self.there.append(word)

    def turn(self, seconds: float = 0.0) -> None:
        """One pass."""
        minirest.turn(self.server, seconds)

    def stranger(self) -> Peer:
        """A new client, whose connection waits to be accepted."""
        made = Peer(self.server.socket.getsockname()[1], lambda: self.turn(0.01))
        self.clients.append(made)
        return made

    def peer(self) -> Peer:
        """A new client, whose connection is accepted."""
        made = self.stranger()
        address = made.socket.getsockname()
        made.until(lambda: any(channel.addr == address for channel in self.server.active_channels.values()))
        return made

    def peers(self, count: int) -> list[Peer]:
        """New clients."""
        return [self.peer() for _ in range(count)]

    def end(self) -> None:
        """The graceful stop."""
        ended = threading.Event()
        ended.set()
        minirest.run_until(self.server, ended)


def asked_on(channel: Any) -> str:
    """The request that a connection is at."""
    requests = getattr(channel, "requests", None)
    return f"{requests[0].command} {requests[0].request_uri}" if requests and not requests[0].error else ""


def noting(words: list[str], function: Callable[..., None]) -> Callable[..., None]:
    """The function, which notes the request that a connection is at."""

    def noted(channel: Any, *rest: Any) -> None:
        words.append(asked_on(channel))
        function(channel, *rest)

    return noted


@contextmanager
def passes(app: minirest.Application) -> Iterator[Passes]:
    """A server whose passes a test makes; it and the application end with the block."""
    with closing(app):
        made = Passes(app)
        try:
            yield made
        finally:
            if made.server.trigger.trigger:  # it has not been ended yet
                made.end()
            for client in made.clients:
                client.socket.close()


def at_once(asked: Iterable[tuple[Peer, bytes]]) -> None:
    """Send requests of several clients, so that the next pass finds them all."""
    for peer, data in asked:
        peer.send(data)
