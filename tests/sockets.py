"""What the tests of sockets share: a server in a thread, and a WebSocket client that may misbehave."""

import http.client
import json
import socket
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Request, TextMessage

import minirest
from tests.web import Answer

WAIT_SECONDS = 20.0
ADDRESS = "/socket.io/?EIO=3&transport=websocket"


@contextmanager
def running(app: Any) -> Iterator[Any]:
    """Run the server in a thread and give it, to turn its screws; afterwards it has stopped."""
    server, ended = minirest.make_server(app, "127.0.0.1", 0), threading.Event()
    thread = threading.Thread(target=minirest.run_until, args=(server, ended))
    thread.start()
    try:
        yield server
    finally:
        ended.set()
        server.pull_trigger()
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Run the server in a thread and give its port."""
    with running(app) as server:
        yield server.socket.getsockname()[1]


class Client:
    """One WebSocket; `head` is the answer to its request. Bytes go out as they are given to `sendall`."""

    def __init__(
        self,
        port: int,
        headers: Mapping[str, str] | None = None,
        address: str = ADDRESS,
        behind: bytes = b"",
        connection: socket.socket | None = None,
    ) -> None:
        self.socket = connection or socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.arrived: deque[Event] = deque()
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        request = self.protocol.send(Request(host=f"127.0.0.1:{port}", target=address, extra_headers=extra))
        self.socket.sendall(request + behind)
        self.head = self.event()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def receive(self) -> bool:
        """Wait for bytes; False when the server has closed."""
        data = self.socket.recv(65536)
        if data:
            self.protocol.receive_data(data)
            self.arrived.extend(self.protocol.events())
        return bool(data)

    def event(self) -> Event:
        """The next event of the protocol; ConnectionError when there will be none."""
        while not self.arrived:
            if not self.receive():
                raise ConnectionError("the server closed the connection")
        return self.arrived.popleft()

    def text(self) -> str:
        """The next text; an AssertionError when it is something else."""
        text = ""
        while True:
            event = self.event()
            assert isinstance(event, TextMessage), event
            text += event.data
            if event.message_finished:
                return text

    def told(self) -> tuple[str, Any]:
        """Name and body of the next event of the application."""
        text = self.text()
        assert text.startswith("42"), text
        name, body = json.loads(text[2:])
        return name, body

    def begin(self) -> "Client":
        """Take the two texts with which the server begins."""
        assert isinstance(self.head, AcceptConnection), self.head
        assert self.text()[:1] == "0"
        assert self.text() == "40"
        return self

    def send(self, *texts: str) -> None:
        """Send texts, each in a frame of its own, all at once."""
        self.socket.sendall(b"".join(self.protocol.send(TextMessage(text)) for text in texts))

    def sendall(self, data: bytes) -> None:
        """Send bytes; the server may close before it has read them all."""
        with suppress(ConnectionError):
            self.socket.sendall(data)

    def close_code(self) -> int:
        """The code of the close frame, which has to be what comes next; behind it the server ends the stream."""
        event = self.event()
        assert isinstance(event, CloseConnection), event
        while self.receive():
            pass
        assert not self.arrived
        return int(event.code)

    def close(self, code: int = 1000) -> int:
        """Send a close frame; give the code that comes back."""
        self.socket.sendall(self.protocol.send(CloseConnection(code)))
        return self.close_code()


def frame(
    opcode: int, payload: bytes = b"", fin: bool = True, mask: bytes | None = b"\1\2\3\4", bits: int = 0
) -> bytes:
    """A frame as it is asked for, right or wrong."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 65536 else 127
    head = bytes([fin << 7 | bits << 4 | opcode, (mask is not None) << 7 | short])
    head += b"" if short < 126 else size.to_bytes(2 if short == 126 else 8, "big")
    if mask is None:
        return head + payload
    keys = (mask * (size // 4 + 1))[:size]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(size, "big")


def fetch(port: int, method: str, path: str, body: Any = None, headers: Iterable[tuple[str, str]] = ()) -> Answer:
    """Send one request over a connection of its own; a body is written as JSON."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)) as connection:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())


def ask(
    port: int, method: str, path: str, body: Any = None, headers: Iterable[tuple[str, str]] = ()
) -> tuple[int, dict[str, str], Any]:
    """What `fetch` gives, with the value of the JSON in the body."""
    answer = fetch(port, method, path, body, headers)
    return answer.status, answer.headers, answer.json if answer.body else None
