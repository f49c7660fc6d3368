"""Clients that all write at once, each its own notes, and remember what the answers have promised."""

from __future__ import annotations

import http.client
import json
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from random import Random
from threading import Barrier
from typing import Any, NamedTuple

from tests.web import many, one

Json = Any
WAIT_SECONDS = 60.0
TARGETS = range(1, 7)
NOTES_AT_ONCE = 5
MAX_PADDING = 2_000
SCHEMA: Json = {
    "$defs": {
        "notes": {
            "type": "object",
            "properties": {
                "text": {"type": "string"},
                "number": {"type": "integer"},
                "book": one("books"),
                "tags": many("tags"),
            },
            "required": ["text"],
        },
        "books": {"type": "object", "properties": {"name": {"type": "string"}}},
        "tags": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
}
for table in ("books", "tags"):
    SCHEMA["$defs"][table]["examples"] = [{"name": f"{table} {number}"} for number in TARGETS]


class Note(NamedTuple):
    """One record as it has to be in the database, with the ids of the records that it leads to."""

    version: int
    number: int
    book: int
    tags: tuple[int, ...]


Notes = dict[str, Note]
"""The notes of one client, by their texts; no two are the same."""


class Write(NamedTuple):
    """A write that was answered: the X-Request-Id of the answer, and all notes of the client after it."""

    answer: str
    notes: Notes


class Limbas:
    """Addresses and bodies of the Limbas dialect."""

    def create(self, text: str, note: Note) -> tuple[str, str, Json]:
        links = {"book": {"data": {"id": note.book}}, "tags": {"data": [{"id": key} for key in note.tags]}}
        return "POST", "/notes", {"data": {"text": text, "number": note.number, **links}}

    def update(self, key: int, note: Note) -> tuple[str, str, Json]:
        return "PATCH", f"/notes/{key}", {"data": {"number": note.number, "book": {"data": {"id": note.book}}}}

    def link(self, key: int, note: Note) -> tuple[str, str, Json]:
        return "PUT", f"/notes/{key}/tags", {"data": [{"id": key} for key in note.tags]}

    def delete(self, key: int) -> tuple[str, str, Json]:
        return "DELETE", f"/notes/{key}", None


class NocoBase:
    """Addresses and bodies of the NocoBase dialect."""

    def create(self, text: str, note: Note) -> tuple[str, str, Json]:
        return "POST", "/api/notes:create", {"text": text, "number": note.number, "book": note.book, "tags": note.tags}

    def update(self, key: int, note: Note) -> tuple[str, str, Json]:
        return "POST", f"/api/notes:update?filterByTk={key}", {"number": note.number, "book": note.book}

    def link(self, key: int, note: Note) -> tuple[str, str, Json]:
        return "POST", f"/api/notes/{key}/tags:set", note.tags

    def delete(self, key: int) -> tuple[str, str, Json]:
        return "POST", f"/api/notes:destroy?filterByTk={key}", None


class Client:
    """One connection that stays open where the server lets it; a request is not sent before the last is answered."""

    def __init__(self, port: int, number: int, together: Barrier) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
        self.random, self.number, self.together = Random(number), number, together
        self.dialect: Limbas | NocoBase = NocoBase() if number % 2 else Limbas()
        self.notes: Notes = {}
        self.keys: dict[str, int] = {}

    def run(self, writes: int) -> list[Write]:
        """Write so many times, all kinds of things."""
        with closing(self.connection):
            return [Write(self.write(turn), dict(self.notes)) for turn in range(writes)]

    def write(self, turn: int) -> str:
        """Write something, every other time together with all clients; gives the X-Request-Id of the answer."""
        if turn % 2 == 0:
            self.together.wait()
        if not self.notes or (len(self.notes) < NOTES_AT_ONCE and self.random.random() < 0.5):
            return self.create(f"{self.number}-{turn}-" + "." * self.random.randrange(MAX_PADDING))
        text = self.random.choice(list(self.notes))
        return self.random.choice([self.update, self.update, self.link, self.delete])(text)

    def create(self, text: str) -> str:
        """Make a note with links, in one request."""
        note = Note(1, 0, self.random.choice(TARGETS), self.some_tags())
        answer, body = self.send(*self.dialect.create(text, note))
        self.notes[text], self.keys[text] = note, int(body["data"]["id"])
        return answer

    def update(self, text: str) -> str:
        """Change two fields of a note; the book may stay the same."""
        note = self.notes[text]
        note = note._replace(version=note.version + 1, number=note.number + 1, book=self.random.choice(TARGETS))
        answer, _ = self.send(*self.dialect.update(self.keys[text], note))
        self.notes[text] = note
        return answer

    def link(self, text: str) -> str:
        """Give a note other tags."""
        note, tags = self.notes[text], self.some_tags()
        while tags == note.tags:
            tags = self.some_tags()
        note = note._replace(version=note.version + 1, tags=tags)
        answer, _ = self.send(*self.dialect.link(self.keys[text], note))
        self.notes[text] = note
        return answer

    def delete(self, text: str) -> str:
        """Delete a note."""
        answer, _ = self.send(*self.dialect.delete(self.keys[text]))
        del self.notes[text]
        return answer

    def some_tags(self) -> tuple[int, ...]:
        """Some of the tags."""
        return tuple(sorted(self.random.sample(TARGETS, self.random.randint(1, 3))))

    def send(self, method: str, address: str, body: Json) -> tuple[str, Json]:
        """Send one request; gives the X-Request-Id and the body of the answer."""
        data = None if body is None else json.dumps(body)
        self.connection.request(method, address, data, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 201, 204), (method, address, answer.status, content)
        return answer.headers["X-Request-Id"], json.loads(content or b"null")


def write_at_once(port: int, clients: int, writes: int) -> list[list[Write]]:
    """Let so many clients write at the same time; gives what each has written."""
    together = Barrier(clients, timeout=WAIT_SECONDS)
    with ThreadPoolExecutor(clients) as pool:
        futures = [pool.submit(Client(port, number, together).run, writes) for number in range(clients)]
        ended = wait(futures, return_when=FIRST_EXCEPTION).done
        together.abort()  # where one has failed, the others need not wait for it
        for future in ended:
            future.result()
        return [future.result() for future in futures]
