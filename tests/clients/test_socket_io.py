"""socket.io-client 2, from Node, listens on the server's own port while records change through other dialects."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import requests

import minirest
from tests.web import WAIT_SECONDS, served

HERE = Path(__file__).resolve().parent
NODE = shutil.which("node")
INSTALL = "npm install --prefix tests/clients --no-package-lock --ignore-scripts"
PASSWORD = "open-sesame"
NOW = datetime(2096, 3, 1, 12, 0, tzinfo=UTC)  # later than the day of any test: clients forget cookies that ended
MILLISECONDS = int(NOW.timestamp() * 1000)
SCHEMA: dict[str, Any] = {
    "$defs": {
        "notes": {
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "required": ["title"],
            "x-access": True,
        }
    }
}


class Listener:
    """The client's program; `lines` has what it says, and None at its end."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: SimpleQueue[list[Any] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def next(self, *names: str) -> list[Any] | None:
        """The next line that is not a heartbeat, or one of these."""
        while True:
            line = self.lines.get(timeout=WAIT_SECONDS)
            if line is None or line[0] != "pong" or "pong" in names:
                return line

    def end(self) -> None:
        """Close the socket; the program ends by itself."""
        if self.process.stdin and not self.process.stdin.closed:
            self.process.stdin.close()


@contextmanager
def listening(url: str, headers: dict[str, str]) -> Iterator[Listener]:
    """The client's program with these headers in its handshake."""
    if NODE is None:
        pytest.skip("Node.js is not installed")
    if not (HERE / "node_modules" / "socket.io-client").is_dir():
        pytest.skip(f"the client is not installed: {INSTALL}")
    command = [NODE, str(HERE / "socket_io.cjs"), url.rstrip("/"), json.dumps(headers)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        listener = Listener(process)
        try:
            yield listener
        finally:
            listener.end()
            try:
                process.wait(WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            listener.thread.join(WAIT_SECONDS)


@pytest.fixture
def web() -> Iterator[requests.Session]:
    """A session without cookies and without the machine's proxy."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


def event(app: minirest.Application, name: str, key: int, title: str, number: int, owner: str) -> list[Any]:
    """What the client says about an event: its name and its body, whole."""
    table, system = app.schema.find("notes"), app.schema.all_tables
    account = app.accounts.account(owner)
    assert account
    oid = minirest.object_id(table.tag, key)
    body = {
        "_msgid": minirest.object_id(system["_history"].tag, number),
        "_oid": oid,
        "event": name,
        "time": MILLISECONDS,
        "data": {
            "_id": oid,
            "title": title,
            "owner": minirest.object_id(system["_users"].tag, account.id),
            "group": None,
            "access": [],
            "branch": [],
            "time": MILLISECONDS,
        },
    }
    return ["event", name, body]


def history(app: minirest.Application) -> int:
    """The newest row of history."""
    with app.store.database.reading() as connection:
        return int(connection.execute("select max(id) from _history").fetchone()[0])


@pytest.mark.parametrize("scheme", ["cookie", "bearer"])
def test_events_of_records_that_may_be_read(scheme: str, web: requests.Session) -> None:
    """It connects, stays through three heartbeats, and is sent what its user may read, whoever changes it."""
    app = minirest.make_app(
        SCHEMA, users={"anna": PASSWORD, "bert": PASSWORD}, clock=lambda: NOW, ping_interval=0.2, ping_timeout=20.0
    )
    with served(app) as url:
        login = {"login": "anna", "password": PASSWORD}
        if scheme == "cookie":
            answer = web.post(f"{url}api/v1/auth", json=login)
            headers = {"Cookie": f"sid={answer.cookies['sid']}"}
            web.cookies.clear()
        else:
            headers = {"Authorization": f"Bearer {web.post(f'{url}api/v1/auth/token', json=login).json()['token']}"}
        with listening(url, headers) as listener:
            assert listener.next() == ["connect", None]
            assert [listener.next("pong") for _ in range(3)] == [["pong"]] * 3
            seen = []
            for user, title in (("bert", "hers is hidden"), ("anna", "hers")):
                web.post(f"{url}notes", json={"data": {"title": title}}, auth=(user, PASSWORD)).raise_for_status()
                seen.append(history(app))
            assert listener.next() == event(app, "notes-create", 2, "hers", seen[1], "anna")
            web.patch(f"{url}notes/2", json={"data": {"title": "x"}}, auth=("anna", PASSWORD)).raise_for_status()
            assert listener.next() == event(app, "notes-update", 2, "x", history(app), "anna")
            web.post(f"{url}api/notes:destroy/1", auth=("bert", PASSWORD)).raise_for_status()
            web.post(f"{url}api/notes:destroy/2", auth=("anna", PASSWORD)).raise_for_status()
            assert listener.next() == event(app, "notes-delete", 2, "x", history(app), "anna")
            listener.end()
            assert listener.next() == ["disconnect", "io client disconnect"]
            assert listener.next() is None


def test_a_wrong_credential_is_refused(web: requests.Session) -> None:
    """Without a good cookie or token there is no connection."""
    app = minirest.make_app(SCHEMA, users={"anna": PASSWORD}, clock=lambda: NOW)
    with served(app) as url:
        for headers in ({}, {"Cookie": "sid=wrong"}, {"Authorization": "Bearer wrong"}):
            with listening(url, headers) as listener:
                assert listener.next() == ["connect_error", "Error: websocket error"]
