"""What the tests of rights share: a small world of linked tables, its images, and applications whose rights change."""

import functools
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import minirest
from tests.web import Answer, dump, many, one, send, serialized, unguarded

Rights = dict[str, Any]
"""For each table its `x-rights`."""
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MOMENT = "2026-02-01T12:00:00.000Z"
TEXT = {"type": "string"}
PASSWORD = "open-sesame"
USERS: Mapping[str, tuple[str, ...]] = {"boss": ("admin",), "one": ("r",), "two": ("r", "s"), "none": ()}
"""The users of the world and their roles."""
HIDDEN: Mapping[str, tuple[str, ...]] = {"items": ("secret", "tags", "photo"), "parts": ("price",)}
"""What the tests of hidden fields hide."""
LOCKED: Mapping[str, tuple[str, ...]] = {"items": ("note", "maker", "tags"), "uses": ("amount",)}
"""What the tests of locked fields lock."""


def table(*required: str, **properties: Any) -> dict[str, Any]:
    """A table."""
    return {"type": "object", "properties": properties, "required": list(required)}


def document(hidden: bool = False, locked: bool = False) -> dict[str, Any]:
    """The schema of the world; without what is hidden, or with what is locked as read only."""
    tables = {
        "items": {
            **table(
                "title",
                title={**TEXT, "minLength": 1},
                note=TEXT,
                secret=TEXT,
                photo={**TEXT, "contentEncoding": "base64", "contentMediaType": "application/octet-stream"},
                maker=one("makers"),
                parts=many("parts", **{"x-through": "uses"}),
                tags=many("tags"),
                remarks=many("remarks", **{"x-inverse": "item"}),
                card=one("cards", **{"x-inverse": "item"}),
            ),
            "x-archive": True,
            "x-sort": True,
            "x-tabs": {"Ones": {"title": "one"}},
        },
        "parts": table("name", name=TEXT, price={"type": "integer"}, items=many("items", **{"x-inverse": "parts"})),
        "uses": table(
            "item",
            "part",
            item=one("items", **{"x-delete": "cascade"}),
            part=one("parts", **{"x-delete": "cascade"}),
            amount={"type": "integer"},
        ),
        "tags": table("name", name=TEXT),
        "makers": table("name", name=TEXT, items=many("items", **{"x-inverse": "maker"})),
        "remarks": table("text", text=TEXT, item=one("items")),
        "cards": table("name", name=TEXT, item=one("items")),
    }
    for name, members in HIDDEN.items() if hidden else ():
        for member in members:
            del tables[name]["properties"][member]
    for name, members in LOCKED.items() if locked else ():
        for member in members:
            tables[name]["properties"][member] = {**tables[name]["properties"][member], "readOnly": True}
    return {"title": "World", "$defs": tables}


LABELS: Mapping[str, str] = {
    **dict.fromkeys(("parts", "tags", "makers", "cards"), "name"),
    "items": "title",
    "remarks": "text",
    "uses": "amount",
}
Row = dict[str, Any]
ROWS: Mapping[str, list[Row]] = {
    "makers": [{"id": 1, "name": "Acme"}, {"id": 2, "name": "Brod"}],
    "_files": [{"id": 1, "name": "a.txt", "media_type": "application/octet-stream", "size": 5}],
    "items": [
        {"id": 1, "title": "one", "note": "n1", "secret": "s1", "photo_id": 1, "maker_id": 1, "sort": 1},
        {"id": 2, "title": "two", "note": "n2", "secret": "s2", "maker_id": 2, "sort": 2},
    ],
    "parts": [{"id": 1, "name": "bolt", "price": 10}, {"id": 2, "name": "nut", "price": 20}],
    "uses": [{"id": 1, "item_id": 1, "part_id": 1, "amount": 5}, {"id": 2, "item_id": 2, "part_id": 2, "amount": 6}],
    "tags": [{"id": 1, "name": "red"}, {"id": 2, "name": "blue"}],
    "items_tags": [{"id": 1, "source_id": 1, "target_id": 1}],
    "remarks": [
        {"id": 1, "text": "good", "item_id": 1},
        {"id": 2, "text": "bad", "item_id": 2},
        {"id": 3, "text": "so"},
    ],
    "cards": [{"id": 1, "name": "c1", "item_id": 1}, {"id": 3, "name": "c3"}],
}
UNTRACKED = ("items_tags",)
HISTORY: list[tuple[str, int, int, str, str | None, Any, Any]] = [
    ("items", 1, 1, "created", None, None, {"title": "won", "secret": "s0"}),
    ("items", 1, 2, "updated", "secret", "s0", "s1"),
    ("items", 1, 3, "updated", "title", "won", "one"),
    ("items", 2, 1, "created", None, None, {"title": "two", "secret": "s2"}),
]
"""Table, record, version, action, field, before, after."""
REFERENCES: Mapping[str, tuple[tuple[str, str, bool], ...]] = {
    "items": (
        ("uses", "item_id", True),
        ("items_tags", "source_id", True),
        ("remarks", "item_id", False),
        ("cards", "item_id", False),
    ),
    "parts": (("uses", "part_id", True),),
    "tags": (("items_tags", "target_id", True),),
    "makers": (("items", "maker_id", False),),
    **dict.fromkeys(("uses", "remarks", "cards"), ()),
}
"""The columns that lead to a table, and whether their rows go with the record."""
GONE = (1, 3)
"""The records that a rule hides where it "fails"."""


def fill(app: minirest.Application, users: Mapping[str, list[Row]]) -> None:
    """Write the rows of the world as they are; values of columns that the schema lacks are left out."""
    connection, tables = unguarded(app.store), app.schema.all_tables
    connection.execute("pragma foreign_keys=off")
    for name, rows in {**users, **ROWS}.items():
        columns = {row[1] for row in connection.execute(f'pragma table_info("{name}")')}
        for row in rows:
            system = {} if name in (*UNTRACKED, *users) else {"_created": MOMENT, "_modified": MOMENT, "_version": 3}
            known = {word: value for word, value in {**system, **row}.items() if word in columns}
            marks = ",".join("?" * len(known))
            if known:
                connection.execute(f'insert into "{name}" ({",".join(known)}) values ({marks})', tuple(known.values()))
    for number, (name, key, version, action, word, before, after) in enumerate(HISTORY, 1):
        found = tables[name]
        if word is not None and word not in found.members:
            continue
        texts = [None if value is None else json.dumps(known_part(found, value)) for value in (before, after)]
        connection.execute(
            "insert into _history (id, tag, record, version, action, field, before, after, dialect, time)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, 'limbas', ?)",
            (number, found.tag, key, version, action, word, *texts, f"2026-02-01T12:00:0{number}.000Z"),
        )
    if connection.execute("select 1 from sqlite_master where name='_pieces'").fetchone():
        connection.execute("insert into _pieces values (1, 0, ?)", (b"hello",))
    connection.execute("pragma foreign_keys=on")


def known_part(found: minirest.Table, value: Any) -> Any:
    """A value of history, of a whole record what the schema knows."""
    return {name: part for name, part in value.items() if name in found.members} if isinstance(value, dict) else value


@functools.cache
def accounts() -> tuple[dict[str, list[Row]], dict[str, str]]:
    """The rows of users and tokens, which all applications share, and the text of each user's token."""
    app = minirest.make_app(document(), users={"boss": PASSWORD}, clock=lambda: NOW)
    for name, roles in USERS.items():
        app.accounts.put_user(name, roles=list(roles))
    tokens = {name: app.accounts.add_token(name, "test") for name in USERS}
    for token in tokens.values():
        assert send(app, "GET", "/items", HTTP_AUTHORIZATION=f"Bearer {token}").status == 200
    rows: dict[str, list[Row]] = {}
    for name in ("_users", "_tokens", "_meta"):
        cursor = app.store.database.writer.execute(f"select * from {name}")
        words = [column[0] for column in cursor.description]
        rows[name] = [dict(zip(words, row, strict=True)) for row in cursor]
    keys = [row for row in rows.pop("_meta") if row["key"] not in ("version", "tags", "layout")]
    app.close()
    return {**rows, "_meta": keys}, tokens


@functools.cache
def image(hidden: bool = False, locked: bool = False, lacking: str = "", every: bool = False) -> bytes:
    """The database of the world; without some records of the table `lacking`, or all, and what hangs on them."""
    app = minirest.make_app(document(hidden, locked), users={"boss": PASSWORD}, clock=lambda: NOW)
    connection, (users, _) = unguarded(app.store), accounts()
    for name in ("_history", "_tokens", "_users"):
        connection.execute(f"delete from {name}")
    connection.execute("delete from sqlite_sequence")
    connection.execute(
        f"delete from _meta where key in ({','.join('?' * len(users['_meta']))})",
        [row["key"] for row in users["_meta"]],
    )
    fill(app, users)
    if lacking:
        chosen = "" if every else f" in {GONE}"
        connection.execute("pragma foreign_keys=off")
        for name, column, whole in REFERENCES[lacking]:
            where = f"{column}{chosen}" if chosen else f"{column} is not null"
            connection.execute(
                f"delete from {name} where {where}" if whole else f"update {name} set {column}=null where {where}"
            )
        connection.execute(f"delete from {lacking} where id{chosen}" if chosen else f"delete from {lacking}")
        record = f" and record{chosen}" if chosen else ""
        connection.execute(f"delete from _history where tag=?{record}", (app.schema.find(lacking).tag,))
    data = connection.serialize()
    app.close()
    return data


@functools.cache
def source(data: bytes) -> sqlite3.Connection:
    """A database to copy from."""
    connection = sqlite3.connect(":memory:")
    connection.deserialize(data)
    return connection


class World:
    """An application over an image of the world, with rights that can be changed."""

    def __init__(self, auth: bool = True, hidden: bool = False, locked: bool = False, strangers: bool = False) -> None:
        self.schema = document(hidden, locked)
        self.image = image(hidden, locked)
        if strangers:
            self.schema["$defs"]["items"]["x-rights"] = {"anonymous": {}}
        self.app = minirest.make_app(
            self.schema,
            users={"boss": PASSWORD} if auth else {},
            auth=auth,
            clock=lambda: NOW,
            limit_failures=False,  # some rows have wrong passwords
        )
        self.tokens = accounts()[1]
        self.give({})
        self.load(self.image)

    def give(self, rights: Rights) -> None:
        """Let these be the rights from now on."""
        schema = self.app.schema
        for name, found in schema.tables.items():
            words = dict(found.schema)
            words.pop("x-rights", None)
            found.schema = words | ({"x-rights": rights[name]} if name in rights else {})
        schema.__dict__.pop("restricted", None)
        schema.rights.clear()
        schema.sights.clear()
        for dialect in (*self.app.dialects, *self.app.pages):
            dialect.views.clear()

    def load(self, data: bytes) -> None:
        """Let the database be this one."""
        source(data).backup(self.app.store.database.writer)
        self.loaded = self.data()

    def data(self) -> bytes:
        """The database as it is, without the counters of its header."""
        data = serialized(self.app.store)
        return data[:24] + bytes(4) + data[28:40] + bytes(4) + data[44:92] + bytes(4) + data[96:]

    def dump(self) -> list[str]:
        """Everything that the database holds."""
        return dump(self.app.store)

    def is_as(self, data: bytes) -> bool:
        """Whether the database holds what was loaded; compared row by row where the bytes are not the same."""
        if self.data() == self.loaded:
            return True
        now = self.dump()
        self.load(data)
        return now == self.dump()

    def ask(self, user: str | None, call: "Call") -> Answer:
        """The answer to a request of a user, of a stranger when that is None."""
        environ = dict(call.environ)
        if user is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self.tokens[user]}"
        body = call.body
        if isinstance(body, bytes) and b"{token}" in body:
            body = body.replace(b"{token}", self.form_token(user).encode())
        return send(self.app, call.method, call.address, body, call.kind, **environ)

    def form_token(self, user: str | None) -> str:
        """The token of the forms of a user's pages."""
        account = self.app.accounts.account(user) if user else None
        return self.app.accounts.form_token(account.actor() if account else minirest.NOBODY)

    def tag(self, name: str) -> int:
        """The tag of a table."""
        return self.app.schema.find(name).tag


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    address: str
    body: Any = None
    kind: str = ""
    environ: tuple[tuple[str, str], ...] = ()


def same(left: Answer, right: Answer) -> bool:
    """Whether two answers have the same status, headers and body."""
    return left == right


@contextmanager
def world(**words: bool) -> Iterator[World]:
    """An application that is closed in the end."""
    made = World(**words)
    try:
        yield made
    finally:
        made.app.close()


def everything(*roles: str) -> Rights:
    """Rights in which some roles may do everything everywhere."""
    return {name: {role: {"*": True} for role in roles} for name in document()["$defs"]}


def tables_of(needs: Sequence[tuple[str, str]]) -> set[str]:
    """The tables of some needs."""
    return {name for _, name in needs}
