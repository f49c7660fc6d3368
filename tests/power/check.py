"""Whether a database that was found after a power cut holds what the answers before it have promised."""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import minirest
from tests.power.load import SCHEMA, Note, Notes, Write
from tests.web import send

NOTES = """
select id, text, _version, number, book_id,
    (select json_group_array(target_id) from notes_tags where source_id=notes.id) from notes
"""
HISTORY = """
select record, version, action, field, after from _history
where tag=(select value->>'notes' from _meta where key='tags') order by id
"""


class Found(NamedTuple):
    """What a database holds: notes by their texts, and texts and notes by ids, as they are and as history has them."""

    notes: Notes
    keys: dict[int, tuple[str, Note]]
    history: dict[int, tuple[str, Note]] | None


class Promises:
    """What clients have written, and where in the records each answer went out."""

    def __init__(self, clients: Sequence[Sequence[Write]], sent: Mapping[str, int]) -> None:
        self.states: list[list[Notes]] = [[{}, *(write.notes for write in writes)] for writes in clients]
        self.positions = [[sent[write.answer] for write in writes] for writes in clients]

    def faults(self, found: Found | None, position: int) -> set[str]:
        """What is wrong with a database after a power cut at a position.

        The notes of each client have to be as they were after the last write that was answered before the cut, or
        after the next one, which may have been on its way. Notes as they were earlier are `lost` writes, any others
        are `half` a write. Where records and history do not tell the same, that is `history`; and the file may be
        `corrupt`.
        """
        if not found:
            return {"corrupt"}
        faults = set() if found.history == found.keys else {"history"}
        if len(found.notes) < len(found.keys):
            faults.add("half")  # one was made twice
        notes = by_client(found.notes)
        for number, (states, positions) in enumerate(zip(self.states, self.positions, strict=True)):
            answered = bisect_left(positions, position)
            own = notes.pop(number, {})
            if own not in states[answered : answered + 2]:
                faults.add("lost" if own in states[:answered] else "half")
        return faults


def by_client(notes: Notes) -> dict[int, Notes]:
    """The notes of each client, by the client's number."""
    found: dict[int, Notes] = {}
    for text, note in notes.items():
        found.setdefault(int(text.partition("-")[0]), {})[text] = note
    return found


def texts_in_minirest(path: Path) -> set[str] | None:
    """Open a database as the product does; gives the texts of the notes that it answers, None when it refuses."""
    try:
        app = minirest.make_app(SCHEMA, path, auth=False, examples=False, dialects=["nocobase"])
    except sqlite3.Error:
        return None
    with closing(app):
        answer = send(app, "GET", "/api/notes:list?paginate=false&fields=text")
    return {note["text"] for note in answer.json["data"]} if answer.status == 200 else None


def look_into(path: Path) -> Found | None:
    """What a database holds after SQLite has recovered it; None when it is corrupt."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("pragma synchronous=off")  # nobody cuts the power now
            whole = connection.execute("pragma integrity_check").fetchall() == [("ok",)]
            linked = connection.execute("pragma foreign_key_check").fetchall() == []
            if not whole or not linked:
                return None
            if not connection.execute("select 1 from sqlite_master where name='notes'").fetchone():
                return Found({}, {}, {})
            notes = connection.execute(NOTES).fetchall()
            history = connection.execute(HISTORY).fetchall()
    except sqlite3.DatabaseError:
        return None
    keys = {
        key: (text, Note(version, number, book, tuple(sorted(json.loads(tags)))))
        for key, text, version, number, book, tags in notes
    }
    return Found(dict(keys.values()), keys, told(history))


def told(history: Sequence[tuple[Any, ...]]) -> dict[int, tuple[str, Note]] | None:
    """The notes that have to be there, by their ids, as history tells it; None when it makes no sense."""
    values: dict[int, dict[str, Any]] = {}
    versions: dict[int, int] = {}
    for key, version, action, field, after in history:
        rise = version - versions.get(key, 0)
        if (action == "created") == (key in values) or rise not in ((0, 1) if action == "updated" else (1,)):
            return None
        versions[key] = version
        if action == "created":
            values[key] = json.loads(after)
        elif action == "updated":
            values[key][field] = json.loads(after)
        else:
            del values[key]
    return {
        key: (it["text"], Note(versions[key], it["number"], it["book"], tuple(sorted(it["tags"]))))
        for key, it in values.items()
    }
