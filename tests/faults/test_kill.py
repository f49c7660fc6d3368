"""Durability: what was acknowledged is there after kill -9, and updates under If-Match are never lost."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import minirest

Json = Any
ROUNDS = int(os.environ.get("MINIREST_TEST_KILLS", "40"))
WRITERS = 4
RACERS, INCREMENTS = 8, 150
SCHEMA: Json = {
    "$defs": {
        "notes": {
            "type": "object",
            "properties": {"text": {"type": "string"}, "count": {"type": "integer", "minimum": 0}},
            "required": ["text"],
            "examples": [{"text": "not wanted"}],
        }
    }
}
AUTHORIZATION = "Basic " + base64.b64encode(b"anna:a good password").decode()


class Client:
    """One connection that stays open."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=20)

    def send(self, method: str, path: str, values: Json = None, **headers: str) -> tuple[int, str | None, Json]:
        """Status, ETag and body of the answer."""
        sent = {"Authorization": AUTHORIZATION, "Content-Type": "application/json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        body = None if values is None else json.dumps({"data": values})
        self.connection.request(method, path, body, sent)
        answer = self.connection.getresponse()
        return answer.status, answer.getheader("ETag"), json.loads(answer.read() or b"null")

    def close(self) -> None:
        self.connection.close()


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server process on `folder/x.db`, and its address; killed at the end of the block."""
    schema = folder / "schema.json"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    script = Path(__file__).with_name("writing_server.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(schema), str(folder / "x.db")],
        env={**os.environ, "PYTHONPATH": str(Path(minirest.__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout
            url = process.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:")
            yield process, url
        finally:
            process.kill()


def post_until_it_breaks(url: str, name: str, acknowledged: dict[int, str], first: threading.Event) -> None:
    """POST records until the server is gone; those with an answer go into `acknowledged`."""
    with closing(Client(url)) as client, contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        for number in range(10_000):
            text = f"{name}-{number}"
            status, _, body = client.send("POST", "/notes", {"text": text})
            assert status == 201
            acknowledged[int(body["data"]["id"])] = text
            first.set()


def check_file(path: Path, acknowledged: dict[int, str]) -> None:
    """Every acknowledged record is in the file; each record has its history row and the other way round."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        assert connection.execute("pragma foreign_key_check").fetchall() == []
        present = dict(connection.execute("select id, text from notes").fetchall())
        tag = json.loads(connection.execute("select value from _meta where key='tags'").fetchone()[0])["notes"]
        noted = connection.execute(
            "select record, after from _history where tag=? and action='created' order by id", (tag,)
        ).fetchall()
    assert acknowledged.items() <= present.items()
    assert [(key, json.loads(after)) for key, after in noted] == [
        (key, {"text": text}) for key, text in present.items()
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_kill(tmp_path: Path) -> None:
    """Rounds of kill -9 under four writing clients on one file: no acknowledged record is lost, none is half there."""
    acknowledged: dict[int, str] = {}
    moments = random.Random(1)
    for number in range(ROUNDS):
        with served(tmp_path) as (process, url):
            first, before = threading.Event(), len(acknowledged)
            writers = [
                threading.Thread(target=post_until_it_breaks, args=(url, f"{number}-{writer}", acknowledged, first))
                for writer in range(WRITERS)
            ]
            for thread in writers:
                thread.start()
            assert first.wait(20)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(moments.uniform(0.05, 0.4))
            process.kill()
            for thread in writers:
                thread.join()
        check_file(tmp_path / "x.db", acknowledged)
        assert len(acknowledged) > before
    with closing(minirest.Store(minirest.load_schema(SCHEMA), str(tmp_path / "x.db"), minirest.utc_now)) as store:
        assert not store.is_new
    check_file(tmp_path / "x.db", acknowledged)


def test_no_increment_is_lost(tmp_path: Path) -> None:
    """Eight processes raise one number in one file under If-Match: the end is the number of those let through."""
    schema, database = tmp_path / "schema.json", tmp_path / "x.db"
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    with closing(minirest.make_app(schema, database, auth=False, examples=False)) as app:
        notes = app.schema.find("notes")
        values: minirest.Stored = {notes.fields["text"]: "x", notes.fields["count"]: 0}
        app.store.run(minirest.Create(notes, values, {}, minirest.Const(None)))
    command = [
        sys.executable,
        str(Path(__file__).with_name("incrementing.py")),
        str(schema),
        str(database),
        str(INCREMENTS),
    ]
    environment = {**os.environ, "PYTHONPATH": str(Path(minirest.__file__).parent)}
    racers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(RACERS)]
    counts = [json.loads(racer.communicate(timeout=300)[0]) for racer in racers]
    done = sum(count.pop("200") for count in counts)
    refused = sum(count.pop("412") for count in counts)
    assert (done + refused, counts) == (RACERS * INCREMENTS, [{}] * RACERS)
    assert done >= INCREMENTS
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("select count, _version from notes").fetchall() == [(done, done + 1)]
        noted = connection.execute("select before, after from _history where field='count' order by id").fetchall()
        assert noted == [(str(number), str(number + 1)) for number in range(done)]
