"""Under gunicorn: several processes over one database, made before they fork or in each of them; and forks at all."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import minirest
from tests.sockets import ADDRESS, ask, fetch

if sys.platform == "win32":
    pytest.skip("neither gunicorn nor forks exist on Windows", allow_module_level=True)

ROOT = Path(__file__).resolve().parents[1]
WAIT_SECONDS = 60.0
SCHEMA: dict[str, Any] = {
    "$defs": {"notes": {"type": "object", "properties": {"text": {"type": "string"}}, "examples": [{"text": "first"}]}}
}
PROGRAM = """
import contextlib
import os
import minirest

app = minirest.make_app({schema!r}, {db!r}, users={{"anna": "anna's password"}})
app.client().get("/")  # the one who makes it may ask it


@app.route("/process")
def process(request):
    return os.getpid()
"""


class Server(NamedTuple):
    """gunicorn: its process, its port, and what it says from now on."""

    process: subprocess.Popen[str]
    port: int
    said: Iterator[str]

    def stop(self) -> tuple[int, str]:
        """Ask it to end; gives the exit code and what it said last."""
        self.process.send_signal(signal.SIGTERM)
        said = "".join(self.said)
        return self.process.wait(WAIT_SECONDS), said

    def workers(self, headers: list[tuple[str, str]], count: int) -> set[int]:
        """The processes of the workers, asked until each has answered, or one of them very often."""
        found = set[int]()
        for _ in range(200):
            with ThreadPoolExecutor(4) as pool:
                found |= set(pool.map(lambda _: ask(self.port, "GET", "/process", None, headers)[2], range(8)))
            if len(found) == count:
                break
        return found


@contextmanager
def gunicorn(folder: Path, *options: str, db: str = "notes.db", workers: int = 2) -> Iterator[Server]:
    """gunicorn with some workers on a free port; whatever happens, none of its processes is left."""
    (folder / "program.py").write_text(PROGRAM.format(schema=SCHEMA, db=db))
    command = [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "-w", str(workers), "--no-control-socket"]
    with subprocess.Popen(
        [*command, *options, "program:app"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stderr
        try:
            for line in process.stderr:
                found = re.search(r"Listening at: http://127\.0\.0\.1:(\d+)", line)
                if found:
                    yield Server(process, int(found[1]), process.stderr)
                    break
            else:
                pytest.fail("gunicorn has ended")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.stderr.close()


def sign_in(port: int) -> list[tuple[str, str]]:
    """The header of a token that one of the workers gives, for all of them."""
    status, _, body = ask(port, "POST", "/api/v1/auth/token", {"login": "anna", "password": "anna's password"})
    assert status == 200, body
    return [("Authorization", f"Bearer {body['token']}")]


@pytest.mark.parametrize(
    "options",
    [("-k", "sync"), ("-k", "sync", "--preload"), ("-k", "gthread", "--threads", "2"), ("-k", "gthread", "--preload")],
    ids=" ".join,
)
def test_two_workers_over_one_file(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Both write, each sees what the other has written, the history has it all; at the end the file is whole."""
    with gunicorn(tmp_path, *options) as server:
        headers = sign_in(server.port)
        assert len(server.workers(headers, 2)) == 2

        def write(number: int) -> int:
            status, _, made = ask(server.port, "POST", "/api/notes:create", {"text": f"note {number}"}, headers)
            assert status == 200, made
            key: int = made["data"]["id"]
            changed = ask(server.port, "POST", f"/api/notes:update/{key}", {"text": f"changed {number}"}, headers)
            assert changed[0] == 200, changed
            assert (
                ask(server.port, "GET", f"/api/notes:get/{key}", None, headers)[2]["data"]["text"]
                == f"changed {number}"
            )
            return key

        with ThreadPoolExecutor(4) as pool:
            keys = list(pool.map(write, range(24)))
        assert sorted(keys) == list(range(2, 26))
        for _ in range(4):
            assert len(ask(server.port, "GET", "/api/v1/notes", None, headers)[2]) == 25
        code, said = server.stop()
    assert (code, "Traceback" in said) == (0, False), said
    with closing(sqlite3.connect(tmp_path / "notes.db")) as connection:
        told = "select action, count(*) from _history where dialect in ('nocobase', 'examples') group by 1"
        assert dict(connection.execute(told)) == {"created": 25, "updated": 24}
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)


def test_what_needs_our_own_server(tmp_path: Path) -> None:
    """A WebSocket and a body without its length are refused at once, and say why; the rest is answered as ever."""
    with gunicorn(tmp_path, workers=1) as server:
        headers = sign_in(server.port)
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }
        status, _, body = ask(server.port, "GET", ADDRESS, None, [*headers, *upgrade.items()])
        assert (status, body["message"].partition(":")[0]) == (501, "WebSocket needs the server that minirest brings")
        chunked = [*headers, ("Transfer-Encoding", "chunked")]
        status, _, body = ask(server.port, "POST", "/api/v1/notes", None, chunked)
        assert (status, body["tags"]) == (411, ["error_length_required"])
        head, whole = (fetch(server.port, method, "/notes", None, headers) for method in ("HEAD", "GET"))
        assert (head.body, head.headers["Content-Length"]) == (b"", str(len(whole.body)))
        assert server.stop()[0] == 0


def test_a_database_in_memory_is_of_one_worker(tmp_path: Path) -> None:
    """Each worker has records of its own, whether it was made before the fork or after it."""
    with gunicorn(tmp_path, "--preload", db=":memory:") as server:
        headers = [("Authorization", "Basic " + b64encode(b"anna:anna's password").decode())]
        assert len(server.workers(headers, 2)) == 2
        ask(server.port, "POST", "/api/v1/notes", {"text": "of one worker"}, headers)
        found = set[int]()
        while found != {1, 2}:
            found.add(len(ask(server.port, "GET", "/api/v1/notes", None, headers)[2]))
            assert found <= {1, 2}
        assert server.stop()[0] == 0


# ---- forks ----


def in_child(work: Callable[[], Any]) -> Any:
    """What a piece of work gives in a forked process, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, str(work()).encode())
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:  # noqa: PTH123 - a pipe has no path
        said = stream.read().decode()
    os.waitpid(child, 0)
    return said


def add(app: minirest.Application, text: str) -> int:
    """Make a note."""
    answer = app.client().post("/api/v1/notes", json={"text": text})
    assert answer.status == 200, answer
    return answer.status


def texts(app: minirest.Application) -> list[str]:
    """The notes."""
    return [note["text"] for note in app.client().get("/api/v1/notes").json()]


@pytest.fixture(name="app")
def make_app(tmp_path: Path) -> Iterator[minirest.Application]:
    """An application over a file."""
    app = minirest.make_app(SCHEMA, tmp_path / "notes.db", auth=False)
    yield app
    app.close()


def test_a_fork_closes_the_file(app: minirest.Application) -> None:
    """Parent and child go on, each with connections of its own; who closes last does not take the other's log away."""
    add(app, "of the parent")
    assert in_child(lambda: add(app, "of the child")) == "200"
    assert texts(app) == ["first", "of the parent", "of the child"]
    (child_hears, parent_tells), (parent_hears, child_tells) = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        status = 1
        with contextlib.suppress(BaseException):
            add(app, "of a child")
            os.write(child_tells, b"x")
            os.read(child_hears, 1)  # until the parent has closed, which must not take itself for the last one
            add(app, "of the child, alone")
            status = 0
        os._exit(status)
    os.read(parent_hears, 1)
    app.close()
    os.write(parent_tells, b"x")
    assert os.waitpid(child, 0)[1] == 0
    for end in (child_hears, parent_tells, parent_hears, child_tells):
        os.close(end)
    with closing(sqlite3.connect(app.store.database.path)) as connection:
        kept = [row[0] for row in connection.execute("select text from notes order by id")]
    assert kept == ["first", "of the parent", "of the child", "of a child", "of the child, alone"]


def test_a_fork_in_the_midst_is_refused(app: minirest.Application) -> None:
    """What was at work cannot be closed; the child is told so, and harms nothing."""
    with app.store.database.writing():
        said = in_child(lambda: app.client().get("/notes").status)
    assert said == "500"
    with app.store.database.reading():
        message = in_child(app.accounts.any_user)
    assert message == (
        "RuntimeError: the database was in use while this process was forked; make the application in the new one"
    )
    add(app, "afterwards")
    assert texts(app) == ["first", "afterwards"]


def test_a_closed_application_stays_closed(app: minirest.Application) -> None:
    """A fork opens nothing again."""
    app.close()
    for post in (lambda work: str(work()), in_child):
        assert post(lambda: app.client().post("/api/v1/notes", json={}).status) == "503"


def test_processes_that_start_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that makes a user second leaves it alone, so that what it has begun meanwhile goes on."""
    app = minirest.make_app(SCHEMA, tmp_path / "notes.db", auth=False)
    other = minirest.make_app(SCHEMA, tmp_path / "notes.db", auth=False)
    begun = list[str]()
    hash_password = minirest.hash_password

    def slow(*words: Any) -> str:
        if not begun:
            begun.append("")
            other.accounts.keep_user("anna", "anna's password")
            credentials = {"login": "anna", "password": "anna's password"}
            begun.append(other.client().post("/api/v1/auth/token", json=credentials).json()["token"])
        return hash_password(*words)

    monkeypatch.setattr(minirest, "hash_password", slow)
    app.accounts.keep_user("anna", "anna's password")
    assert app.accounts.bearer(begun[1])
    app.close()
    other.close()
