"""Section 8: what each operation leaves in the tables, in versions, in history and in events."""

from __future__ import annotations

import dataclasses
import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import minirest
from minirest import Archive, Batch, Change, Create, Delete, Item, Key, Move, Parent, Relink, Update, Upsert, Violation
from tests.web import send, unguarded

Json = Any


def ref(name: str, **words: Json) -> Json:
    return {"$ref": f"#/$defs/{name}", **words}


def refs(name: str, **words: Json) -> Json:
    return {"type": "array", "items": ref(name), **words}


TEXT: Json = {"type": "string"}
BLOG: Json = {
    "$defs": {
        "authors": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 20},
                "email": {"type": "string", "x-unique": True},
                "password": {"type": "string", "format": "password", "maxLength": 12},
                "secret": {"type": "string", "writeOnly": True},
                "boss": ref("authors"),
                "profile": ref("profiles", **{"x-inverse": "author"}),
                "posts": refs("posts", **{"x-inverse": "author"}),
                "follows": refs("authors", **{"x-through": {"table": "followings", "source": "fan", "target": "star"}}),
                "fans": refs("authors", **{"x-inverse": "follows"}),
            },
            "required": ["name"],
        },
        "profiles": {"type": "object", "properties": {"bio": TEXT, "author": ref("authors")}},
        "followings": {
            "type": "object",
            "properties": {"fan": ref("authors"), "star": ref("authors"), "since": {"type": "integer"}},
        },
        "posts": {
            "type": "object",
            "properties": {
                "title": TEXT,
                "status": {"type": "string", "enum": ["draft", "public"], "default": "draft"},
                "score": {"type": "integer", "minimum": 0},
                "author": ref("authors", **{"x-column": "authorId"}),
                "comments": refs("comments", **{"x-inverse": "post"}),
                "labels": refs("labels", maxItems=3),
                "tags": refs("tags", **{"x-through": "postsTags"}),
            },
            "required": ["title"],
            "x-archive": True,
        },
        "comments": {
            "type": "object",
            "properties": {
                "text": TEXT,
                "post": ref("posts", **{"x-delete": "cascade"}),
                "answers": refs("comments", **{"x-inverse": "parent"}),
                "parent": ref("comments", **{"x-delete": "cascade"}),
            },
            "required": ["post"],
        },
        "reviews": {"type": "object", "properties": {"post": ref("posts")}, "required": ["post"]},
        "labels": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "minLength": 2},
                "posts": refs("posts", **{"x-inverse": "labels"}),
            },
        },
        "tags": {"type": "object", "properties": {"name": TEXT, "posts": refs("posts", **{"x-inverse": "tags"})}},
        "postsTags": {
            "type": "object",
            "properties": {"post": ref("posts"), "tag": ref("tags"), "weight": {"type": "integer", "minimum": 0}},
        },
    }
}

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
ANNA = minirest.Actor(1, "anna", groups=(4,))


class Effect(NamedTuple):
    """What one operation did: `rose` names the records that were there before and have a higher version now."""

    changed: int
    rose: set[str]
    history: list[tuple[Json, ...]]


def told(action: str) -> str:
    """What an event calls it: moving and archiving are updates too."""
    return "updated" if action in ("moved", "archived") else action


class World:
    """A store with a clock that stands still within an operation, and what is needed to see its effects."""

    def __init__(self, document: Json, path: str = ":memory:") -> None:
        self.now = START
        self.schema = minirest.load_schema(document)
        self.store = minirest.Store(self.schema, path, lambda: self.now)
        self.connection = unguarded(self.store)
        self.events: list[minirest.Event] = []
        self.store.listeners.append(self.events.extend)
        if not self.sql("select 1 from _users where id=1"):
            for table in ("users", "groups"):
                fields = {self.field(f"_{table}.name"): "anna"}
                self.store.run(Create(self.table(f"_{table}"), fields, {}, minirest.Const(None), key=1))
            for number in (2, 3, 4):
                fields = {self.field("_groups.name"): f"g{number}"}
                self.store.run(Create(self.table("_groups"), fields, {}, minirest.Const(None), key=number))
        self.events.clear()

    # -- names --

    def table(self, name: str) -> minirest.Table:
        return self.schema.all_tables[name.lower()]

    def field(self, name: str) -> minirest.Field:
        table, _, word = name.partition(".")
        member = self.table(table).members.get(word) or self.table(table).system.get(word)
        if isinstance(member, minirest.Link):
            assert member.key
            return member.key
        assert member
        return member

    def link(self, name: str) -> minirest.Link:
        table, _, word = name.partition(".")
        return self.table(table).links[word]

    # -- operations --

    def values(self, table: str, **values: Json) -> dict[minirest.Field, Json]:
        return {self.field(f"{table}.{name}"): value for name, value in values.items()}

    def key(self, name: str, value: Json = None) -> Key:
        """`key("posts", 3)` by id, `key("authors.email", "a@b.c")` by a unique field."""
        return Key(self.field(name) if "." in name else self.table(name).id, value)

    def item(
        self, link: str, key: Json = None, values: Json = None, links: Json = None, row: Json = None, **words: Json
    ) -> Item:
        member = self.link(link)
        target = member.target.name
        row_of = member.through.name if member.through else ""
        return Item(
            key if isinstance(key, Key) else None if key is None else self.key(target, key),
            self.values(target, **(values or {})),
            self.links(target, links or {}),
            self.values(row_of, **(row or {})),
            **words,
        )

    def change(self, link: str, how: Any, *items: Json, **words: Any) -> Change:
        """A change whose items are ids, dicts of values, or Items; a single None means all that are linked."""
        if items == (None,):
            return Change(how, None, **words)
        made = [
            one
            if isinstance(one, Item)
            else self.item(link, values=one)
            if isinstance(one, dict)
            else self.item(link, one)
            for one in items
        ]
        return Change(how, tuple(made), **words)

    def links(self, table: str, links: Mapping[str, Json]) -> dict[minirest.Link, Change]:
        """`{"author": 1, "tags": [1, {"name": "x"}], "labels": Change(...)}`; a plain value replaces."""
        made = {}
        for name, value in links.items():
            listed = value if isinstance(value, list) else [] if value is None else [value]
            change = value if isinstance(value, Change) else self.change(f"{table}.{name}", "replace", *listed)
            made[self.link(f"{table}.{name}")] = change
        return made

    def parent(self, link: str, key: int) -> Parent:
        return Parent(self.link(link), self.key(self.link(link).source.name, key))

    def by(self, table: str, *keys: int) -> minirest.Filter:
        return minirest.Compare(minirest.Path((), self.table(table).id), "in", keys)

    def shape(self, table: str) -> minirest.Shape:
        """Own fields, and the ids of every link."""
        found = self.table(table)
        ident = minirest.Path((), found.id)
        pairs: list[tuple[str, minirest.Shape]] = [("id", minirest.Col(ident))]
        for name, member in found.members.items():
            if isinstance(member, minirest.Link):
                one = minirest.Col(minirest.Path((), member.target.id))
                pairs.append((name, minirest.Sub(member, one, many=member.many)))
            elif not member.write_only:
                pairs.append((name, minirest.Col(minirest.Path((), member))))
        return minirest.Obj(tuple(pairs))

    def create(self, table: str, values: Json = None, links: Json = None, **words: Any) -> Create:
        fields = self.values(table, **(values or {}))
        return Create(self.table(table), fields, self.links(table, links or {}), self.shape(table), **words)

    def update(self, table: str, where: Any, values: Json = None, links: Json = None, **words: Any) -> Update:
        chosen = self.by(table, where) if isinstance(where, int) else where
        fields = self.values(table, **(values or {}))
        return Update(self.table(table), chosen, fields, self.links(table, links or {}), self.shape(table), **words)

    def delete(self, table: str, *keys: int, **words: Any) -> Delete:
        return Delete(self.table(table), self.by(table, *keys), **words)

    def relink(self, link: str, key: int, how: Any, *items: Json, expect: int | None = None, **words: Any) -> Relink:
        parent = self.parent(link, key)
        return Relink(parent, self.change(link, how, *items, **words), self.shape(parent.link.source.name), expect)

    # -- running and seeing --

    def sql(self, text: str, *values: Json) -> list[tuple[Json, ...]]:
        return self.connection.execute(text, values).fetchall()

    def run(self, op: minirest.Operation) -> minirest.Outcome:
        """Run an operation a second later, for Anna."""
        self.now += timedelta(seconds=1)
        return self.store.run(op, minirest.Origin(ANNA, "test", self.store.moment()))

    def dump(self) -> dict[str, list[tuple[Json, ...]]]:
        """Everything in the database."""
        names = [name for (name,) in self.sql("select name from sqlite_master where type='table' order by name")]
        return {name: self.sql(f'select * from "{name}" order by 1') for name in names}

    def records(self) -> dict[str, dict[str, Json]]:
        """All tracked records by `table/id`."""
        found = {}
        for table in self.schema.all_tables.values():
            if table.tracked:
                names = [column.column for column in table.columns]
                for row in self.sql(
                    f'select {",".join(f"""{chr(34)}{n}{chr(34)}""" for n in names)} from "{table.name}"'
                ):
                    found[f"{table.name}/{row[0]}"] = dict(zip(names, row, strict=True))
        return found

    def history(self, after: int = 0) -> list[dict[str, Json]]:
        names = "id tag record version action field before after user dialect time".split()
        tables = {table.tag: table.name for table in self.schema.all_tables.values()}
        rows = [dict(zip(names, row, strict=True)) for row in self.sql("select * from _history where id>?", after)]
        for row in rows:
            row["table"] = tables[row["tag"]]
            row["before"], row["after"] = (
                None if row[name] is None else json.loads(row[name]) for name in ("before", "after")
            )
        return rows

    def show(self, table: str, *keys: int) -> list[Json]:
        """Records as `shape` shows them."""
        where = self.by(table, *keys) if keys else minirest.TRUE
        return [
            json.loads(row.text)
            for row in self.store.run(minirest.Select(self.table(table), self.shape(table), where)).rows
        ]

    def read(self, table: str, key: int) -> Json:
        return self.show(table, key)[0]

    def last_history(self) -> int:
        return int(self.sql("select coalesce(max(id), 0) from _history")[0][0])

    def act(self, op: minirest.Operation) -> Effect:
        """Run an operation and hold the rules that are the same for all of them."""
        before, start = self.records(), self.last_history()
        self.events.clear()
        outcome = self.run(op)
        after, history = self.records(), self.history(start)
        rose = self.check_versions(before, after, history)
        self.check_history(before, after, history)
        self.check_modified(before, after, history)
        events = [(told(row["action"]), self.table(row["table"]), row["record"], "test") for row in history]
        assert [event[:4] for event in self.events] == list(dict.fromkeys(events))
        self.check_events(before, after)
        assert self.sql("pragma foreign_key_check") == []
        lines = [(f"{r['table']}/{r['record']}", r["action"], r["field"], r["before"], r["after"]) for r in history]
        return Effect(outcome.changed, rose, lines)

    def check_events(self, before: Json, after: Json) -> None:
        """An event has the record as it is now, or as it was before it was deleted, and the newest row of history."""
        newest: dict[Json, Json] = dict(
            self.sql(
                "select tag || '/' || record || '/' || iif(action in ('moved', 'archived'), 'updated', action), max(id)"
                " from _history group by 1"
            )
        )
        for event in self.events:
            name = f"{event.table.name}/{event.key}"
            shown = {column.column: value for column, value in event.record.items()}
            assert shown == after.get(name, {**before.get(name, {}), "_version": shown["_version"]})
            assert (event.moment, event.number) == (
                minirest.moment_text(self.now),
                newest[f"{event.table.tag}/{event.key}/{event.action}"],
            )

    def check_versions(self, before: Json, after: Json, history: Json) -> set[str]:
        rose = set()
        for name in before.keys() & after.keys():
            step = after[name]["_version"] - before[name]["_version"]
            own = {column for column in after[name] if after[name][column] != before[name][column]}
            assert step == (1 if step or own - {"sort"} else 0), name
            if step:
                rose.add(name)
        for name in after.keys() - before.keys():
            assert after[name]["_version"] == 1, name
        for row in history:
            name = f"{row['table']}/{row['record']}"
            expected = after[name]["_version"] if name in after else before[name]["_version"] + 1
            assert row["version"] == expected, row
        return rose

    def check_history(self, before: Json, after: Json, history: Json) -> None:
        made = sorted(f"{row['table']}/{row['record']}" for row in history if row["action"] == "created")
        gone = sorted(f"{row['table']}/{row['record']}" for row in history if row["action"] == "deleted")
        assert (made, gone) == (sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys()))
        changes = [(row["tag"], row["record"], row["field"]) for row in history if row["action"] == "updated"]
        assert len(changes) == len(set(changes)), "two rows of history for one changed field"
        for row in history:
            assert (row["user"], row["dialect"], row["time"]) == (1, "test", self.store.moment())
            secret = row["field"] in ("secret", "password")
            assert row["before"] != row["after"] or secret, row
            assert (row["field"] is None) == (row["action"] in ("created", "deleted")), row

    def check_modified(self, before: Json, after: Json, history: Json) -> None:
        own = {
            f"{row['table']}/{row['record']}"
            for row in history
            if row["field"] and row["field"] not in self.table(row["table"]).links and row["field"] != "sort"
        }
        for name in before.keys() & after.keys():
            stamp = (
                (self.store.moment(), 1) if name in own else (before[name]["_modified"], before[name]["_modified_by"])
            )
            assert (after[name]["_modified"], after[name]["_modified_by"]) == stamp, name

    def refused(self, op: minirest.Operation) -> list[tuple[Json, ...]]:
        """Run an operation that must fail and leave no trace; gives its violations."""
        before = self.dump()
        self.events.clear()
        with pytest.raises(minirest.ApiError) as caught:
            self.run(op)
        assert self.dump() == before
        assert self.events == []
        assert not self.connection.in_transaction
        return [(fault.path, fault.rule) for fault in caught.value.violations]


@pytest.fixture
def world() -> Iterator[World]:
    """Three authors (1 leads 2), two profiles, three posts, comments, labels, tags with weights, a following."""
    world = World(BLOG)
    run = world.run
    for number, name in enumerate(("Ada", "Bob", "Cem"), 1):
        run(world.create("authors", {"name": name, "email": f"{name}@x.de"}, {"boss": 1} if number == 2 else {}))
    for author in (1, None):
        run(world.create("profiles", {"bio": f"of {author}"}, {"author": author}))
    for name in ("red", "green", "blue", "grey"):
        run(world.create("labels", {"name": name}))
    for name in ("t1", "t2", "t3"):
        run(world.create("tags", {"name": name}))
    one = world.item("posts.tags", 1, row={"weight": 5})
    run(world.create("posts", {"title": "A", "score": 1}, {"author": 1, "labels": [2, 1], "tags": [one, 2]}))
    run(world.create("posts", {"title": "B"}, {"author": 1, "labels": [2]}))
    run(world.create("posts", {"title": "C", "status": "public"}))
    run(world.create("comments", {"text": "c1"}, {"post": 1}))
    run(world.create("comments", {"text": "c2"}, {"post": 1, "parent": 1}))
    run(world.create("comments", {"text": "c3"}, {"post": 2}))
    run(world.create("reviews", {}, {"post": 3}))
    star = world.item("authors.follows", 2, row={"since": 2020})
    run(world.relink("authors.follows", 1, "add", star))
    yield world
    world.store.close()


# ---- create ----


def test_create_own_fields(world: World) -> None:
    """A new record has its values, defaults and system columns, and one row of history that holds all of them."""
    effect = world.act(world.create("posts", {"title": "D", "score": 0}))
    assert effect == (1, set(), [("posts/4", "created", None, None, {"title": "D", "status": "draft", "score": 0})])
    moment = world.store.moment()
    assert world.records()["posts/4"] == {
        "id": 4,
        "title": "D",
        "status": "draft",
        "score": 0,
        "authorId": None,
        "_version": 1,
        "_status": 0,
        "_created": moment,
        "_modified": moment,
        "_created_by": 1,
        "_modified_by": 1,
        "_owner": 1,
        "_group": 4,
        "_access": None,
        "_branch": None,
    }


def test_create_answers_the_record_as_it_is_stored(world: World) -> None:
    """The outcome holds the finished JSON text, id and version of the new record."""
    rows = world.run(world.create("posts", {"title": "D"}, {"labels": [4, 1], "author": 2})).rows
    assert [(row.key, row.version, json.loads(row.text)) for row in rows] == [
        (
            4,
            1,
            {
                "id": 4,
                "title": "D",
                "status": "draft",
                "score": None,
                "author": 2,
                "comments": [],
                "labels": [4, 1],
                "tags": [],
            },
        )
    ]


CREATES: dict[str, tuple[Callable[[World], minirest.Operation], Effect]] = {
    "own": (
        lambda w: w.create("posts", {"title": "D"}, {"author": 2}),
        Effect(1, {"authors/2"}, [("posts/4", "created", None, None, {"title": "D", "status": "draft", "author": 2})]),
    ),
    "own, new target": (
        lambda w: w.create("posts", {"title": "D"}, {"author": {"name": "Dora"}}),
        Effect(
            1,
            set(),
            [
                ("authors/4", "created", None, None, {"name": "Dora"}),
                ("posts/4", "created", None, None, {"title": "D", "status": "draft", "author": 4}),
            ],
        ),
    ),
    "required own": (
        lambda w: w.create("comments", {"text": "c4"}, {"post": 2}),
        Effect(1, {"posts/2"}, [("comments/4", "created", None, None, {"text": "c4", "post": 2})]),
    ),
    "self": (
        lambda w: w.create("authors", {"name": "Dora"}, {"boss": 2}),
        Effect(1, {"authors/2"}, [("authors/4", "created", None, None, {"name": "Dora", "boss": 2})]),
    ),
    "inverse many": (
        lambda w: w.create("authors", {"name": "Dora"}, {"posts": [3]}),
        Effect(
            1,
            {"posts/3"},
            [
                ("posts/3", "updated", "author", None, 4),
                ("authors/4", "created", None, None, {"name": "Dora"}),
            ],
        ),
    ),
    "has one": (
        lambda w: w.create("authors", {"name": "Dora"}, {"profile": 2}),
        Effect(
            1,
            {"profiles/2"},
            [
                ("profiles/2", "updated", "author", None, 4),
                ("authors/4", "created", None, None, {"name": "Dora"}),
            ],
        ),
    ),
    "junction": (
        lambda w: w.create("posts", {"title": "D"}, {"labels": [3, 1, 3]}),
        Effect(
            1,
            {"labels/3", "labels/1"},
            [("posts/4", "created", None, None, {"title": "D", "status": "draft", "labels": [3, 1]})],
        ),
    ),
    "through": (
        lambda w: w.create("posts", {"title": "D"}, {"tags": [w.item("posts.tags", 3, row={"weight": 7})]}),
        Effect(
            1,
            {"tags/3"},
            [
                ("postsTags/3", "created", None, None, {"weight": 7, "post": 4, "tag": 3}),
                ("posts/4", "created", None, None, {"title": "D", "status": "draft", "tags": [3]}),
            ],
        ),
    ),
    "inverse of through": (
        lambda w: w.create("tags", {"name": "t4"}, {"posts": [3]}),
        Effect(
            1,
            {"posts/3"},
            [
                ("postsTags/3", "created", None, None, {"post": 3, "tag": 4}),
                ("tags/4", "created", None, None, {"name": "t4"}),
            ],
        ),
    ),
    "parent, inverse many": (
        lambda w: w.create("comments", {"text": "c4"}, parent=w.parent("posts.comments", 3)),
        Effect(1, {"posts/3"}, [("comments/4", "created", None, None, {"text": "c4", "post": 3})]),
    ),
    "parent, own": (
        lambda w: w.create("authors", {"name": "Dora"}, parent=w.parent("posts.author", 1)),
        Effect(
            1,
            {"posts/1", "authors/1"},
            [
                ("authors/4", "created", None, None, {"name": "Dora"}),
                ("posts/1", "updated", "author", 1, 4),
            ],
        ),
    ),
    "parent, has one: the first goes": (
        lambda w: w.create("profiles", {"bio": "new"}, parent=w.parent("authors.profile", 1)),
        Effect(
            1,
            {"authors/1", "profiles/1"},
            [
                ("profiles/1", "updated", "author", 1, None),
                ("profiles/3", "created", None, None, {"bio": "new", "author": 1}),
            ],
        ),
    ),
    "parent, through with row": (
        lambda w: w.create(
            "tags", {"name": "t4"}, parent=w.parent("posts.tags", 1), row=w.values("postsTags", weight=9)
        ),
        Effect(
            1,
            {"posts/1"},
            [
                ("tags/4", "created", None, None, {"name": "t4"}),
                ("postsTags/3", "created", None, None, {"weight": 9, "post": 1, "tag": 4}),
                ("posts/1", "updated", "tags", [1, 2], [1, 2, 4]),
            ],
        ),
    ),
    "parent, junction": (
        lambda w: w.create("labels", {"name": "pink"}, parent=w.parent("posts.labels", 1)),
        Effect(
            1,
            {"posts/1"},
            [
                ("labels/5", "created", None, None, {"name": "pink"}),
                ("posts/1", "updated", "labels", [2, 1], [2, 1, 5]),
            ],
        ),
    ),
    "with a key": (
        lambda w: w.create("tags", {"name": "t9"}, key=9),
        Effect(1, set(), [("tags/9", "created", None, None, {"name": "t9"})]),
    ),
}


@pytest.mark.parametrize("name", CREATES)
def test_create_with_links(world: World, name: str) -> None:
    """Each form of link can be set on create, or by a parent: versions rise at both ends, history names all of it."""
    op, expected = CREATES[name]
    assert world.act(op(world)) == expected


def test_create_three_levels(world: World) -> None:
    """Nested new records are made at any depth, the required link back to the one above included."""
    comment = world.item("posts.comments", values={"text": "c"}, links={"answers": []})
    post = world.item(
        "authors.posts", values={"title": "deep"}, links={"comments": [comment], "labels": [{"name": "pink"}]}
    )
    effect = world.act(world.create("authors", {"name": "Dora"}, {"posts": [post]}))
    assert (effect.changed, effect.rose) == (1, set())
    assert world.read("authors", 4)["posts"] == [4]
    assert {name: world.read("posts", 4)[name] for name in ("title", "author", "comments", "labels")} == {
        "title": "deep",
        "author": 4,
        "comments": [4],
        "labels": [5],
    }
    assert world.read("comments", 4)["post"] == 4
    assert world.read("labels", 5) == {"id": 5, "name": "pink", "posts": [4]}


def test_create_row_is_read_back_of_the_parent(world: World) -> None:
    """With a parent, the shape may show values of the link's own row."""
    weight = world.field("postsTags.weight")
    shape = minirest.Obj((("weight", minirest.Col(minirest.Path((), weight))),))
    op = world.create("tags", {"name": "t4"}, parent=world.parent("posts.tags", 1), row={weight: 3})
    assert [json.loads(row.text) for row in world.run(dataclasses.replace(op, shape=shape)).rows] == [{"weight": 3}]


def test_create_for_a_missing_parent(world: World) -> None:
    """A parent that is not there is not found, and nothing is made."""
    op = world.create("comments", {"text": "x"}, parent=world.parent("posts.comments", 99))
    assert world.refused(op) == [((), "not_found")]


def test_ids_do_not_come_back(world: World) -> None:
    """The id of a deleted record is never given again."""
    world.act(world.create("tags", {"name": "t4"}))
    world.act(world.delete("tags", 4))
    assert world.run(world.create("tags", {"name": "t5"})).rows[0].key == 5


# ---- update ----


UPDATES: dict[str, tuple[Callable[[World], minirest.Operation], Effect]] = {
    "a field": (
        lambda w: w.update("posts", 1, {"title": "A2", "score": 1}),
        Effect(1, {"posts/1"}, [("posts/1", "updated", "title", "A", "A2")]),
    ),
    "two fields": (
        lambda w: w.update("posts", 1, {"title": "A2", "score": None}),
        Effect(1, {"posts/1"}, [("posts/1", "updated", "title", "A", "A2"), ("posts/1", "updated", "score", 1, None)]),
    ),
    "nothing new": (
        lambda w: w.update("posts", 1, {"title": "A"}, {"author": 1, "labels": [1, 2]}),
        Effect(0, set(), []),
    ),
    "many records": (
        lambda w: w.update("posts", minirest.TRUE, {"status": "public"}),
        Effect(
            2,
            {"posts/1", "posts/2"},
            [("posts/1", "updated", "status", "draft", "public"), ("posts/2", "updated", "status", "draft", "public")],
        ),
    ),
    "by a filter on what changes": (
        lambda w: w.update(
            "posts",
            minirest.Compare(minirest.Path((), w.field("posts.status")), "eq", "draft"),
            {"status": "public"},
        ),
        Effect(
            2,
            {"posts/1", "posts/2"},
            [("posts/1", "updated", "status", "draft", "public"), ("posts/2", "updated", "status", "draft", "public")],
        ),
    ),
    "none found": (lambda w: w.update("posts", 99, {"title": "x"}), Effect(0, set(), [])),
    "own link": (
        lambda w: w.update("posts", 1, links={"author": 2}),
        Effect(1, {"posts/1", "authors/1", "authors/2"}, [("posts/1", "updated", "author", 1, 2)]),
    ),
    "own link cleared": (
        lambda w: w.update("posts", 1, links={"author": None}),
        Effect(1, {"posts/1", "authors/1"}, [("posts/1", "updated", "author", 1, None)]),
    ),
    "own link and new target": (
        lambda w: w.update("posts", 3, links={"author": {"name": "Dora"}}),
        Effect(
            1,
            {"posts/3"},
            [("authors/4", "created", None, None, {"name": "Dora"}), ("posts/3", "updated", "author", None, 4)],
        ),
    ),
    "the key of an own link as a value": (
        lambda w: w.update("posts", 1, {"author": 2}),
        Effect(1, {"posts/1", "authors/1", "authors/2"}, [("posts/1", "updated", "author", 1, 2)]),
    ),
    "fields and links": (
        lambda w: w.update("posts", 1, {"title": "A2"}, {"labels": [2, 3]}),
        Effect(
            1,
            {"posts/1", "labels/1", "labels/3"},
            [("posts/1", "updated", "title", "A", "A2"), ("posts/1", "updated", "labels", [2, 1], [2, 3])],
        ),
    ),
    "found=update": (
        lambda w: w.update(
            "posts", 1, links={"author": w.item("posts.author", 1, values={"name": "Ada2"}, found="update")}
        ),
        Effect(0, {"authors/1"}, [("authors/1", "updated", "name", "Ada", "Ada2")]),
    ),
    "found=link ignores values": (
        lambda w: w.update("posts", 3, links={"author": w.item("posts.author", 2, values={"name": "x"})}),
        Effect(1, {"posts/3", "authors/2"}, [("posts/3", "updated", "author", None, 2)]),
    ),
    "the row of a parent's link": (
        lambda w: w.update("tags", 1, parent=w.parent("posts.tags", 1), row=w.values("postsTags", weight=6)),
        Effect(1, {"postsTags/1"}, [("postsTags/1", "updated", "weight", 5, 6)]),
    ),
    "the rows of all that a parent links": (
        lambda w: w.update(
            "tags", minirest.TRUE, parent=w.parent("posts.tags", 1), row=w.values("postsTags", weight=6)
        ),
        Effect(
            2,
            {"postsTags/1", "postsTags/2"},
            [("postsTags/1", "updated", "weight", 5, 6), ("postsTags/2", "updated", "weight", None, 6)],
        ),
    ),
    "has one moves": (
        lambda w: w.update("authors", 2, links={"profile": w.change("authors.profile", "replace", 1, taken="move")}),
        Effect(
            1,
            {"authors/1", "authors/2", "profiles/1"},
            [("profiles/1", "updated", "author", 1, 2), ("authors/2", "updated", "profile", [], [1])],
        ),
    ),
    "exclusive own link moves": (
        lambda w: w.update("profiles", 2, links={"author": w.change("profiles.author", "replace", 1, taken="move")}),
        Effect(
            1,
            {"authors/1", "profiles/1", "profiles/2"},
            [("profiles/1", "updated", "author", 1, None), ("profiles/2", "updated", "author", None, 1)],
        ),
    ),
}


@pytest.mark.parametrize("name", UPDATES)
def test_update(world: World, name: str) -> None:
    """What an update changes, counts and writes down; nothing when nothing is different."""
    op, expected = UPDATES[name]
    assert world.act(op(world)) == expected


def test_update_answers_records_that_the_filter_no_longer_chooses(world: World) -> None:
    """Keys are chosen first and read back by key, in order."""
    draft = minirest.Compare(minirest.Path((), world.field("posts.status")), "eq", "draft")
    rows = world.run(world.update("posts", draft, {"status": "public"})).rows
    assert [(row.key, row.version, json.loads(row.text)["status"]) for row in rows] == [
        (key, world.records()[f"posts/{key}"]["_version"], "public") for key in (1, 2)
    ]


def test_update_with_parent_means_linked_records_only(world: World) -> None:
    """A record that the parent does not link is not chosen; a missing parent is not found."""
    op = world.update("tags", minirest.TRUE, {"name": "same"}, parent=world.parent("posts.tags", 1))
    assert world.act(op).rose == {"tags/1", "tags/2"}
    op = world.update("tags", minirest.TRUE, {"name": "x"}, parent=world.parent("posts.tags", 99))
    assert world.refused(op) == [((), "not_found")]


@pytest.mark.parametrize("operation", ["update", "delete", "archive", "relink", "unlink"])
def test_expect(world: World, operation: str) -> None:
    """The right version passes, any other is refused and changes nothing."""
    version = world.records()["posts/1"]["_version"]

    def op(expect: int) -> minirest.Operation:
        match operation:
            case "update":
                return world.update("posts", 1, {"title": "A2"}, {"author": 2, "labels": [4]}, expect=expect)
            case "delete":
                return world.delete("posts", 1, expect=expect)
            case "archive":
                return Archive(world.table("posts"), world.by("posts", 1), 1, expect)
            case "relink":
                return world.relink("posts.author", 1, "replace", 2, expect=expect)
            case _:
                return world.relink("posts.labels", 1, "remove", None, expect=expect)

    for wrong in (version - 1, version + 1):
        assert world.refused(op(wrong)) == [((), "precondition")]
    effect = world.act(op(version))
    assert effect.changed in (1, 2)
    assert ("posts/1" in effect.rose) == (operation != "delete")


def test_expect_of_a_record_that_links_to_itself(world: World) -> None:
    """Clearing links to a record that goes does not make the version that was expected a wrong one."""
    world.run(world.update("authors", 3, links={"boss": 3}))
    version = world.records()["authors/3"]["_version"]
    assert world.act(world.delete("authors", 3, expect=version)).changed == 1


# ---- delete ----


DELETES: dict[str, tuple[Callable[[World], minirest.Operation], Effect]] = {
    "clear, has one and rows": (
        lambda w: w.delete("authors", 1),
        Effect(
            1,
            {"authors/2", "profiles/1", "posts/1", "posts/2"},
            [
                ("authors/2", "updated", "boss", 1, None),
                ("profiles/1", "updated", "author", 1, None),
                ("followings/1", "deleted", None, {"since": 2020, "fan": 1, "star": 2}, None),
                ("posts/1", "updated", "author", 1, None),
                ("posts/2", "updated", "author", 1, None),
                ("authors/1", "deleted", None, {"name": "Ada", "email": "Ada@x.de", "follows": [2]}, None),
            ],
        ),
    ),
    "cascade and junctions": (
        lambda w: w.delete("posts", 1),
        Effect(
            1,
            {"authors/1", "labels/1", "labels/2", "tags/1", "tags/2"},
            [
                ("comments/2", "deleted", None, {"text": "c2", "post": 1, "parent": 1}, None),
                ("comments/1", "deleted", None, {"text": "c1", "post": 1}, None),
                ("postsTags/1", "deleted", None, {"weight": 5, "post": 1, "tag": 1}, None),
                ("postsTags/2", "deleted", None, {"post": 1, "tag": 2}, None),
                (
                    "posts/1",
                    "deleted",
                    None,
                    {"title": "A", "status": "draft", "score": 1, "author": 1, "labels": [2, 1], "tags": [1, 2]},
                    None,
                ),
            ],
        ),
    ),
    "far end of a junction": (
        lambda w: w.delete("labels", 2),
        Effect(1, {"posts/1", "posts/2"}, [("labels/2", "deleted", None, {"name": "green"}, None)]),
    ),
    "several, one by cascade of another": (
        lambda w: w.delete("comments", 1, 2),
        Effect(
            2,
            {"posts/1"},
            [
                ("comments/2", "deleted", None, {"text": "c2", "post": 1, "parent": 1}, None),
                ("comments/1", "deleted", None, {"text": "c1", "post": 1}, None),
            ],
        ),
    ),
    "of a parent": (
        lambda w: Delete(w.table("tags"), minirest.TRUE, parent=w.parent("posts.tags", 1)),
        Effect(
            2,
            {"posts/1"},
            [
                ("postsTags/1", "deleted", None, {"weight": 5, "post": 1, "tag": 1}, None),
                ("tags/1", "deleted", None, {"name": "t1"}, None),
                ("postsTags/2", "deleted", None, {"post": 1, "tag": 2}, None),
                ("tags/2", "deleted", None, {"name": "t2"}, None),
            ],
        ),
    ),
    "none": (lambda w: w.delete("posts", 99), Effect(0, set(), [])),
}


@pytest.mark.parametrize("name", DELETES)
def test_delete(world: World, name: str) -> None:
    """What a deletion does to links: cleared, cascaded, rows of junctions gone; all of it in history and versions."""
    op, expected = DELETES[name]
    effect = world.act(op(world))
    order = [line for line in expected.history if line[1] == "deleted"]
    assert [line for line in effect.history if line[1] == "deleted"] == order
    key = [str(line) for line in expected.history]
    assert (effect.changed, effect.rose, sorted(map(str, effect.history))) == (
        expected.changed,
        expected.rose,
        sorted(key),
    )


def test_delete_restricted(world: World) -> None:
    """A record that others need stays, with their number and table, and nothing else that was asked goes either."""
    world.run(world.create("reviews", {}, {"post": 3}))
    with pytest.raises(minirest.ApiError) as caught:
        world.run(world.delete("posts", 2, 3))
    assert caught.value.violations == (Violation((), "restricted", {"count": 2, "table": "reviews"}),)
    assert world.refused(world.delete("posts", 2, 3)) == [((), "restricted")]
    world.run(world.delete("reviews", 1, 2))
    assert world.act(world.delete("posts", 3)).changed == 1


def test_delete_cascade_cycle(world: World) -> None:
    """A ring of cascading links goes as a whole."""
    world.run(world.update("comments", 1, links={"parent": 2}))
    effect = world.act(world.delete("comments", 1))
    assert sorted(line[:2] for line in effect.history) == [("comments/1", "deleted"), ("comments/2", "deleted")]
    assert (effect.changed, effect.rose) == (1, {"posts/1"})


# ---- archive ----


def test_archive(world: World) -> None:
    """A status is set, noted and counted once; the second time nothing changes."""
    table = world.table("posts")
    effect = world.act(Archive(table, world.by("posts", 1, 2), 1))
    assert effect == (
        2,
        {"posts/1", "posts/2"},
        [("posts/1", "archived", "_status", 0, 1), ("posts/2", "archived", "_status", 0, 1)],
    )
    assert world.act(Archive(table, world.by("posts", 1), 1)) == (0, set(), [])
    assert world.act(Archive(table, world.by("posts", 1, 2, 3), 2)).changed == 3
    assert world.act(Archive(table, world.by("posts", 1), 0)).history == [("posts/1", "archived", "_status", 2, 0)]
    assert world.refused(Archive(world.table("tags"), world.by("tags", 1), 1)) == [((), "not_archivable")]


# ---- links ----


class Relinking(NamedTuple):
    """One change of one link: the ids that are linked afterwards, and its effect."""

    op: Callable[[World], Relink]
    after: list[int]
    effect: Effect


def updated(record: str, name: str, before: Json, after: Json) -> tuple[Json, ...]:
    return (record, "updated", name, before, after)


RELINKS: dict[str, Relinking] = {
    "junction replace": Relinking(
        lambda w: w.relink("posts.labels", 1, "replace", 1, 3),
        [1, 3],
        Effect(2, {"posts/1", "labels/2", "labels/3"}, [updated("posts/1", "labels", [2, 1], [1, 3])]),
    ),
    "junction replace by nothing": Relinking(
        lambda w: w.relink("posts.labels", 1, "replace"),
        [],
        Effect(2, {"posts/1", "labels/1", "labels/2"}, [updated("posts/1", "labels", [2, 1], [])]),
    ),
    "junction replace by the same": Relinking(
        lambda w: w.relink("posts.labels", 1, "replace", 1, 2), [2, 1], Effect(0, set(), [])
    ),
    "junction add": Relinking(
        lambda w: w.relink("posts.labels", 1, "add", 1, 4, 4),
        [2, 1, 4],
        Effect(1, {"posts/1", "labels/4"}, [updated("posts/1", "labels", [2, 1], [2, 1, 4])]),
    ),
    "junction add a new record": Relinking(
        lambda w: w.relink("posts.labels", 1, "add", {"name": "pink"}),
        [2, 1, 5],
        Effect(
            1,
            {"posts/1"},
            [("labels/5", "created", None, None, {"name": "pink"}), updated("posts/1", "labels", [2, 1], [2, 1, 5])],
        ),
    ),
    "junction remove": Relinking(
        lambda w: w.relink("posts.labels", 1, "remove", 2, 3),
        [1],
        Effect(1, {"posts/1", "labels/2"}, [updated("posts/1", "labels", [2, 1], [1])]),
    ),
    "junction remove all": Relinking(
        lambda w: w.relink("posts.labels", 1, "remove", None),
        [],
        Effect(2, {"posts/1", "labels/1", "labels/2"}, [updated("posts/1", "labels", [2, 1], [])]),
    ),
    "junction toggle": Relinking(
        lambda w: w.relink("posts.labels", 1, "toggle", 2, 4),
        [1, 4],
        Effect(2, {"posts/1", "labels/2", "labels/4"}, [updated("posts/1", "labels", [2, 1], [1, 4])]),
    ),
    "inverse of a junction": Relinking(
        lambda w: w.relink("labels.posts", 4, "add", 2, 3),
        [2, 3],
        Effect(2, {"labels/4", "posts/2", "posts/3"}, [updated("labels/4", "posts", [], [2, 3])]),
    ),
    "through with values": Relinking(
        lambda w: w.relink("posts.tags", 1, "add", w.item("posts.tags", 3, row={"weight": 1})),
        [1, 2, 3],
        Effect(
            1,
            {"posts/1", "tags/3"},
            [
                ("postsTags/3", "created", None, None, {"weight": 1, "post": 1, "tag": 3}),
                updated("posts/1", "tags", [1, 2], [1, 2, 3]),
            ],
        ),
    ),
    "through, row of one that is linked": Relinking(
        lambda w: w.relink("posts.tags", 1, "add", w.item("posts.tags", 1, row={"weight": 8})),
        [1, 2],
        Effect(0, {"postsTags/1"}, [updated("postsTags/1", "weight", 5, 8)]),
    ),
    "through remove": Relinking(
        lambda w: w.relink("posts.tags", 1, "remove", 1),
        [2],
        Effect(
            1,
            {"posts/1", "tags/1"},
            [
                ("postsTags/1", "deleted", None, {"weight": 5, "post": 1, "tag": 1}, None),
                updated("posts/1", "tags", [1, 2], [2]),
            ],
        ),
    ),
    "self, many": Relinking(
        lambda w: w.relink("authors.follows", 1, "replace", 1, 3),
        [1, 3],
        Effect(
            3,
            {"authors/1", "authors/2", "authors/3"},
            [
                ("followings/1", "deleted", None, {"since": 2020, "fan": 1, "star": 2}, None),
                ("followings/2", "created", None, None, {"fan": 1, "star": 1}),
                ("followings/3", "created", None, None, {"fan": 1, "star": 3}),
                updated("authors/1", "follows", [2], [1, 3]),
            ],
        ),
    ),
    "self, inverse": Relinking(
        lambda w: w.relink("authors.fans", 2, "toggle", 1, 3),
        [3],
        Effect(
            2,
            {"authors/1", "authors/2", "authors/3"},
            [
                ("followings/1", "deleted", None, {"since": 2020, "fan": 1, "star": 2}, None),
                ("followings/2", "created", None, None, {"fan": 3, "star": 2}),
                updated("authors/2", "fans", [1], [3]),
            ],
        ),
    ),
    "inverse many add": Relinking(
        lambda w: w.relink("authors.posts", 2, "add", 3),
        [3],
        Effect(
            1,
            {"authors/2", "posts/3"},
            [updated("posts/3", "author", None, 2), updated("authors/2", "posts", [], [3])],
        ),
    ),
    "inverse many takes": Relinking(
        lambda w: w.relink("authors.posts", 2, "add", 1, taken="move"),
        [1],
        Effect(
            1,
            {"authors/1", "authors/2", "posts/1"},
            [updated("posts/1", "author", 1, 2), updated("authors/2", "posts", [], [1])],
        ),
    ),
    "inverse many replace": Relinking(
        lambda w: w.relink("authors.posts", 1, "replace", 2, 3),
        [2, 3],
        Effect(
            2,
            {"authors/1", "posts/1", "posts/3"},
            [
                updated("posts/1", "author", 1, None),
                updated("posts/3", "author", None, 1),
                updated("authors/1", "posts", [1, 2], [2, 3]),
            ],
        ),
    ),
    "inverse many remove all": Relinking(
        lambda w: w.relink("authors.posts", 1, "remove", None),
        [],
        Effect(
            2,
            {"authors/1", "posts/1", "posts/2"},
            [
                updated("posts/1", "author", 1, None),
                updated("posts/2", "author", 1, None),
                updated("authors/1", "posts", [1, 2], []),
            ],
        ),
    ),
    "inverse many toggle": Relinking(
        lambda w: w.relink("authors.posts", 1, "toggle", 1, 3),
        [2, 3],
        Effect(
            2,
            {"authors/1", "posts/1", "posts/3"},
            [
                updated("posts/1", "author", 1, None),
                updated("posts/3", "author", None, 1),
                updated("authors/1", "posts", [1, 2], [2, 3]),
            ],
        ),
    ),
    "inverse many, new record": Relinking(
        lambda w: w.relink("posts.comments", 3, "add", {"text": "c4"}),
        [4],
        Effect(
            1,
            {"posts/3"},
            [
                ("comments/4", "created", None, None, {"text": "c4", "post": 3}),
                updated("posts/3", "comments", [], [4]),
            ],
        ),
    ),
    "has one replace": Relinking(
        lambda w: w.relink("authors.profile", 1, "replace", 2),
        [2],
        Effect(
            2,
            {"authors/1", "profiles/1", "profiles/2"},
            [
                updated("profiles/1", "author", 1, None),
                updated("profiles/2", "author", None, 1),
                updated("authors/1", "profile", [1], [2]),
            ],
        ),
    ),
    "has one add": Relinking(
        lambda w: w.relink("authors.profile", 1, "add", 2),
        [2],
        Effect(
            2,
            {"authors/1", "profiles/1", "profiles/2"},
            [
                updated("profiles/1", "author", 1, None),
                updated("profiles/2", "author", None, 1),
                updated("authors/1", "profile", [1], [2]),
            ],
        ),
    ),
    "has one toggle another": Relinking(
        lambda w: w.relink("authors.profile", 1, "toggle", 2),
        [2],
        Effect(
            2,
            {"authors/1", "profiles/1", "profiles/2"},
            [
                updated("profiles/1", "author", 1, None),
                updated("profiles/2", "author", None, 1),
                updated("authors/1", "profile", [1], [2]),
            ],
        ),
    ),
    "has one toggle off": Relinking(
        lambda w: w.relink("authors.profile", 1, "toggle", 1),
        [],
        Effect(
            1,
            {"authors/1", "profiles/1"},
            [updated("profiles/1", "author", 1, None), updated("authors/1", "profile", [1], [])],
        ),
    ),
    "own replace": Relinking(
        lambda w: w.relink("posts.author", 1, "replace", 2),
        [2],
        Effect(2, {"posts/1", "authors/1", "authors/2"}, [updated("posts/1", "author", 1, 2)]),
    ),
    "own add": Relinking(
        lambda w: w.relink("posts.author", 1, "add", 2),
        [2],
        Effect(2, {"posts/1", "authors/1", "authors/2"}, [updated("posts/1", "author", 1, 2)]),
    ),
    "own replace by the same": Relinking(
        lambda w: w.relink("posts.author", 1, "replace", 1), [1], Effect(0, set(), [])
    ),
    "own toggle": Relinking(
        lambda w: w.relink("posts.author", 1, "toggle", 1),
        [],
        Effect(1, {"posts/1", "authors/1"}, [updated("posts/1", "author", 1, None)]),
    ),
    "own remove": Relinking(
        lambda w: w.relink("posts.author", 1, "remove", None),
        [],
        Effect(1, {"posts/1", "authors/1"}, [updated("posts/1", "author", 1, None)]),
    ),
    "own remove another": Relinking(lambda w: w.relink("posts.author", 1, "remove", 2), [1], Effect(0, set(), [])),
    "own, required, replace": Relinking(
        lambda w: w.relink("comments.post", 1, "replace", 3),
        [3],
        Effect(2, {"comments/1", "posts/1", "posts/3"}, [updated("comments/1", "post", 1, 3)]),
    ),
    "own exclusive moves": Relinking(
        lambda w: w.relink("profiles.author", 2, "replace", 1, taken="move"),
        [1],
        Effect(
            1,
            {"profiles/1", "profiles/2", "authors/1"},
            [updated("profiles/1", "author", 1, None), updated("profiles/2", "author", None, 1)],
        ),
    ),
    "self, own": Relinking(
        lambda w: w.relink("authors.boss", 3, "replace", 3),
        [3],
        Effect(1, {"authors/3"}, [updated("authors/3", "boss", None, 3)]),
    ),
    "missing skipped": Relinking(
        lambda w: w.relink("posts.labels", 1, "add", w.item("posts.labels", 99, missing="skip"), 3),
        [2, 1, 3],
        Effect(1, {"posts/1", "labels/3"}, [updated("posts/1", "labels", [2, 1], [2, 1, 3])]),
    ),
    "missing created under its key": Relinking(
        lambda w: w.relink(
            "posts.labels", 1, "add", w.item("posts.labels", 9, values={"name": "pink"}, missing="create")
        ),
        [2, 1, 9],
        Effect(
            1,
            {"posts/1"},
            [("labels/9", "created", None, None, {"name": "pink"}), updated("posts/1", "labels", [2, 1], [2, 1, 9])],
        ),
    ),
    "found and updated": Relinking(
        lambda w: w.relink(
            "posts.labels", 1, "add", w.item("posts.labels", 3, values={"name": "navy"}, found="update")
        ),
        [2, 1, 3],
        Effect(
            1,
            {"posts/1", "labels/3"},
            [updated("labels/3", "name", "blue", "navy"), updated("posts/1", "labels", [2, 1], [2, 1, 3])],
        ),
    ),
    "by a unique field": Relinking(
        lambda w: w.relink("posts.author", 1, "replace", w.item("posts.author", w.key("authors.email", "Bob@x.de"))),
        [2],
        Effect(2, {"posts/1", "authors/1", "authors/2"}, [updated("posts/1", "author", 1, 2)]),
    ),
}


@pytest.mark.parametrize("name", RELINKS)
def test_relink(world: World, name: str) -> None:
    """Each way to change each form of link: what is linked then, at both ends, and what is counted and noted."""
    case = RELINKS[name]
    op = case.op(world)
    effect = world.act(op)
    link, source = op.parent.link, int(str(op.parent.key.value))
    seen = world.read(link.source.name, source)[link.name]
    assert (seen if link.many else [seen] if seen is not None else []) == case.after
    for other in link.faces - {link}:
        ends = {record["id"]: record[other.name] for record in world.show(link.target.name)}
        found = {key for key, value in ends.items() if source in (value if other.many else [value])}
        assert found == set(case.after)
    assert effect == case.effect


REFUSED_LINKS: dict[str, tuple[Callable[[World], minirest.Operation], list[tuple[Json, ...]]]] = {
    "missing": (
        lambda w: w.relink("posts.labels", 1, "add", 1, 99, 98),
        [((1,), "link_missing"), ((2,), "link_missing")],
    ),
    "missing, own": (lambda w: w.update("posts", 1, links={"author": 99}), [(("author",), "link_missing")]),
    "missing, in an update": (
        lambda w: w.update("posts", 1, links={"author": 99, "labels": [1, 99]}),
        [(("author",), "link_missing"), (("labels", 1), "link_missing")],
    ),
    "key of an own link as a value": (lambda w: w.update("posts", 1, {"author": 99}), [(("author",), "link_missing")]),
    "key of an own link as a value, new": (
        lambda w: w.create("posts", {"title": "x", "author": 99}),
        [(("author",), "link_missing")],
    ),
    "taken": (lambda w: w.update("authors", 2, links={"posts": [3, 1]}), [(("posts", 1), "link_taken")]),
    "taken, has one": (lambda w: w.update("authors", 2, links={"profile": 1}), [(("profile",), "link_taken")]),
    "required, cleared": (lambda w: w.update("comments", 1, links={"post": None}), [(("post",), "required")]),
    "required, removed": (lambda w: w.relink("comments.post", 1, "remove", None), [(("post",), "required")]),
    "row breaks a rule": (
        lambda w: w.update("posts", 3, links={"tags": [1, w.item("posts.tags", 2, row={"weight": -1})]}),
        [(("tags", 1, "weight"), "minimum")],
    ),
    "nested breaks a rule": (
        lambda w: w.update("posts", 3, links={"labels": [{"name": "ok"}, {"name": "x"}]}),
        [(("labels", 1, "name"), "minLength")],
    ),
    "too many": (lambda w: w.update("posts", 1, links={"labels": [1, 2, 3, 4]}), [(("labels",), "maxItems")]),
    "too many by relink": (lambda w: w.relink("posts.labels", 1, "add", 3, 4), [(("labels",), "maxItems")]),
    "too many from the other side": (
        lambda w: Batch((w.relink("posts.labels", 1, "add", 3), w.relink("labels.posts", 4, "add", 1))),
        [((), "maxItems")],
    ),
    "parent missing": (lambda w: w.relink("posts.labels", 99, "add", 1), [((), "not_found")]),
}


@pytest.mark.parametrize("name", REFUSED_LINKS)
def test_links_refused(world: World, name: str) -> None:
    """A link that cannot be is refused with the path that leads to it, and leaves no trace."""
    op, expected = REFUSED_LINKS[name]
    found = world.refused(op(world))
    if name == "too many from the other side":  # where the path leads is not fixed: the request names another record
        found = [((), rule) for _, rule in found]
    assert found == expected


def test_children_of_a_required_link_cannot_be_let_go(world: World) -> None:
    """Letting go of a record whose link back is required names that link."""
    assert world.refused(world.update("posts", 1, links={"comments": [1]})) == [(("comments", "post"), "required")]


def test_nesting_has_an_end(world: World) -> None:
    """Links nested too deep are refused."""
    item = world.item("comments.answers", values={"text": "x"})
    for _ in range(10):
        item = world.item("comments.answers", values={"text": "x"}, links={"answers": [item]})
    op = world.create("comments", {"text": "x"}, {"post": 1, "answers": [item]})
    assert [rule for _, rule in world.refused(op)] == ["deep_nesting"]


def test_relink_does_not_judge_the_hash_of_a_password(world: World) -> None:
    """Changing a link of a record with a password holds the record's rules, not the length of the hash."""
    world.run(world.update("authors", 1, {"password": "hunter2"}))
    assert world.act(world.relink("authors.boss", 1, "replace", 2)).changed == 1


# ---- passwords and what is never shown ----


def test_secrets_stay_out_of_history(world: World) -> None:
    """Passwords are stored as hashes, and neither they nor other writeOnly values reach history or events."""
    world.act(world.create("authors", {"name": "Dora", "password": "hunter2", "secret": "hush"}))
    record = world.records()["authors/4"]
    assert minirest.verify_password("hunter2", record["password"])
    assert record["secret"] == "hush"
    effect = world.act(world.update("authors", 4, {"password": "hunter3", "secret": "psst"}))
    assert effect.history == [updated("authors/4", "password", None, None), updated("authors/4", "secret", None, None)]
    assert minirest.verify_password("hunter3", world.records()["authors/4"]["password"])
    world.act(world.delete("authors", 4))
    kept = [text for row in world.sql("select before, after from _history") for text in row if text]
    assert not any(word in text for text in kept for word in ("hunter", "hush", "psst", "scrypt"))


def test_password_rules_hold_for_the_text(world: World) -> None:
    """A new password is judged before it is hashed; a kept hash is not judged at all."""
    assert world.refused(world.update("authors", 1, {"password": "x" * 13})) == [(("password",), "maxLength")]
    world.run(world.update("authors", 1, {"password": "x" * 12}))
    assert world.act(world.update("authors", 1, {"name": "Ada2"})).changed == 1


# ---- several operations, all or nothing ----


def test_upsert(world: World) -> None:
    """Updates the first record that is found, or reads it, or makes one."""
    title = minirest.Path((), world.field("posts.title"))
    created = world.create("posts", {"title": "D"})

    def op(value: str, update: minirest.Update | minirest.Select) -> Upsert:
        return Upsert(minirest.Compare(title, "eq", value), created, update)

    change = world.update("posts", minirest.TRUE, {"score": 9})
    assert world.act(op("A", change)) == (1, {"posts/1"}, [updated("posts/1", "score", 1, 9)])
    select = minirest.Select(world.table("posts"), world.shape("posts"))
    assert world.act(op("B", select)) == (0, set(), [])
    assert [row.key for row in world.run(op("B", select)).rows] == [2]
    assert world.act(op("D", change)).history == [("posts/4", "created", None, None, {"title": "D", "status": "draft"})]
    draft = minirest.Compare(minirest.Path((), world.field("posts.status")), "eq", "draft")
    assert world.act(Upsert(draft, created, world.update("posts", minirest.TRUE, {"score": 3}))).rose == {"posts/1"}


def test_batch_raises_a_version_once(world: World) -> None:
    """Several operations on one record are one transaction, so one new version; the last state counts."""
    op = Batch(
        (
            world.update("posts", 1, {"title": "A2"}),
            world.relink("posts.labels", 1, "add", 3),
            world.create("comments", {"text": "x"}, {"post": 1}),
            world.create("tags", {"name": "t4"}),
        )
    )
    outcome_parts = world.run(dataclasses.replace(op, operations=op.operations[:0])).parts
    assert outcome_parts == ()
    effect = world.act(op)
    assert effect.rose == {"posts/1", "labels/3"}
    assert [line[:3] for line in effect.history] == [
        ("posts/1", "updated", "title"),
        ("posts/1", "updated", "labels"),
        ("comments/4", "created", None),
        ("tags/4", "created", None),
    ]


def test_links_of_a_record_made_in_the_same_batch_are_noted(world: World) -> None:
    """History also knows the links that a later operation of the batch gives to a new record."""
    op = Batch((world.create("posts", {"title": "D"}), world.relink("posts.labels", 4, "add", 3)))
    assert world.act(op).history == [
        ("posts/4", "created", None, None, {"title": "D", "status": "draft"}),
        updated("posts/4", "labels", [], [3]),
    ]


def test_batch_is_all_or_nothing(world: World) -> None:
    """When one operation of a batch breaks a rule, the others have not happened."""
    op = Batch((world.update("posts", 1, {"title": "A2"}), world.create("tags"), world.create("posts")))
    assert world.refused(op) == [(("title",), "required")]


def test_batch_of_selects_and_writes_reads_what_it_wrote(world: World) -> None:
    """Selects between writes see the writes before them."""
    select = minirest.Select(world.table("tags"), minirest.Const(1), total=True)
    op = Batch((select, world.create("tags", {"name": "t4"}), select))
    assert [part.total for part in world.run(op).parts] == [3, None, 4]


def test_all_violations_at_once(world: World) -> None:
    """What reading found, schema rules, unique rules and missing links are reported together, with their paths."""
    fault = Violation(("nmae",), "unknown_field", {"name": "nmae", "table": "authors"})
    op = world.create(
        "authors",
        {"name": "x" * 21, "email": "Ada@x.de"},
        {"boss": 98, "posts": [99, {"score": -1}], "follows": [97]},
        faults=(fault,),
    )
    assert sorted(world.refused(op), key=str) == sorted(
        [
            (("nmae",), "unknown_field"),
            (("name",), "maxLength"),
            (("email",), "unique"),
            (("boss",), "link_missing"),
            (("posts", 0), "link_missing"),
            (("posts", 1, "title"), "required"),
            (("posts", 1, "score"), "minimum"),
            (("follows", 0), "link_missing"),
        ],
        key=str,
    )


def test_all_violations_of_an_update_at_once(world: World) -> None:
    """The same for an update."""
    fault = Violation(("nmae",), "unknown_field", {"name": "nmae", "table": "authors"})
    op = world.update("authors", 2, {"name": "", "email": "Ada@x.de"}, {"boss": 99, "posts": [98]}, faults=(fault,))
    world.run(world.update("authors", 2, {"password": "hunter2"}))
    expected = [
        (("nmae",), "unknown_field"),
        (("boss",), "link_missing"),
        (("email",), "unique"),
        (("posts", 0), "link_missing"),
    ]
    assert sorted(world.refused(op), key=str) == sorted(expected, key=str)
    op = world.update("authors", 2, {"name": None}, faults=(fault,))
    assert world.refused(op) == [(("nmae",), "unknown_field"), (("name",), "required")]


def test_made_again_under_its_id(world: World) -> None:
    """A record that is made again is not the one that was seen before: its versions go on."""
    world.run(world.update("tags", 2, {"name": "x"}))
    (last,) = world.sql("select _version from tags where id=2")[0]
    world.run(world.delete("tags", 2))
    world.run(world.create("tags", {"name": "again"}, key=2))
    (again,) = world.sql("select _version from tags where id=2")[0]
    assert again == last + 2
    assert [row["version"] for row in world.history() if (row["table"], row["record"]) == ("tags", 2)][-1] == again
    assert world.refused(world.update("tags", 2, {"name": "y"}, expect=1)) == [((), "precondition")]


def test_events_are_published_after_the_commit(world: World) -> None:
    """A listener sees the committed state, and transactions one after the other."""
    seen: list[tuple[bool, list[str], int]] = []

    def listen(events: Any) -> None:
        count = world.sql("select count(*) from tags")[0][0]
        seen.append((world.connection.in_transaction, [f"{e.action} {e.table.name}/{e.key}" for e in events], count))

    world.store.listeners.append(listen)
    world.run(Batch((world.create("tags", {"name": "a"}), world.update("tags", 1, {"name": "b"}))))
    world.refused(world.create("posts"))
    world.run(world.delete("tags", 4))
    assert seen == [(False, ["created tags/4", "updated tags/1"], 4), (False, ["deleted tags/4"], 3)]


# ---- rules of the whole record ----

RULES: Json = {
    "$defs": {
        "goods": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "code": {"type": "string", "x-unique": True},
                "zone": TEXT,
                "number": {"type": "integer"},
                "kind": {"enum": ["box", "bag"]},
                "depth": {"type": "number"},
                "day": {"type": "string", "format": "date"},
                "at": {"type": "string", "format": "date-time"},
                "mail": {"type": "string", "format": "email"},
                "owner": ref("owners"),
                "spare": ref("owners", **{"x-unique": True}),
                "parts": refs("owners", minItems=1, maxItems=2),
                "extras": refs("owners"),
            },
            "required": ["parts"],
            "if": {"properties": {"kind": {"const": "box"}}, "required": ["kind"]},
            "then": {"required": ["depth"]},
            "dependentRequired": {"zone": ["number"], "extras": ["owner"]},
            "x-unique": [["zone", "number"], ["name", "owner"]],
        },
        "owners": {"type": "object", "properties": {"name": TEXT}},
    }
}


@pytest.fixture
def goods() -> Iterator[World]:
    """One record that keeps all rules, and three owners."""
    world = World(RULES)
    for name in ("o1", "o2", "o3"):
        world.run(world.create("owners", {"name": name}))
    world.run(
        world.create(
            "goods",
            {"name": "n", "code": "c", "zone": "z", "number": 1},
            {"parts": [1], "owner": 1, "spare": 1},
        )
    )
    yield world
    world.store.close()


@pytest.mark.parametrize(
    ("values", "links", "expected"),
    [
        ({}, {"parts": [1]}, []),
        ({}, {}, [(("parts",), "required")]),
        ({}, {"parts": []}, [(("parts",), "required")]),
        ({}, {"parts": [1, 2, 3]}, [(("parts",), "maxItems")]),
        ({"kind": "box"}, {"parts": [1]}, [(("depth",), "required")]),
        ({"kind": "box", "depth": None}, {"parts": [1]}, [(("depth",), "required")]),
        ({"kind": "box", "depth": 1.5}, {"parts": [1]}, []),
        ({"kind": "bag"}, {"parts": [1]}, []),
        ({"kind": "crate"}, {"parts": [1]}, [(("kind",), "enum")]),
        ({"zone": "y"}, {"parts": [1]}, [(("number",), "required")]),
        ({"zone": None}, {"parts": [1]}, []),
        ({}, {"parts": [1], "extras": [2]}, [(("owner",), "required")]),
        ({}, {"parts": [1], "extras": [2], "owner": 1}, []),
        ({}, {"parts": [1], "extras": []}, []),
        ({"mail": "nobody"}, {"parts": [1]}, [(("mail",), "format")]),
        ({"mail": "a@b.de", "day": "2024-02-29", "at": "2024-02-29T00:00:00.000Z"}, {"parts": [1]}, []),
        ({"code": "c"}, {"parts": [1]}, [(("code",), "unique")]),
        ({"code": None}, {"parts": [1]}, []),
        ({"zone": "z", "number": 1}, {"parts": [1]}, [(("zone",), "unique")]),
        ({"zone": "z", "number": 2}, {"parts": [1]}, []),
        ({"name": "n"}, {"parts": [1], "owner": 1}, [(("name",), "unique")]),
        ({"name": "n"}, {"parts": [1], "owner": 2}, []),
        ({"name": "n"}, {"parts": [1]}, []),
    ],
)
def test_rules_of_the_record(goods: World, values: Json, links: Json, expected: Json) -> None:
    """Null counts as absent, links as keys; whole-record rules and unique rules hold on create and on update."""
    if expected:
        found = [
            (path[:1] or path, "required" if rule == "schema" else rule) for path, rule in _rules(goods, values, links)
        ]
        assert [rule for _, rule in found] == [rule for _, rule in expected]
        assert found == expected or all(rule == "required" for _, rule in expected)
    else:
        assert goods.act(goods.create("goods", values, links)).changed == 1


def _rules(goods: World, values: Json, links: Json) -> list[tuple[Json, ...]]:
    """What a create is refused for; an update to the same state is refused for the same."""
    refused = goods.refused(goods.create("goods", values, links))
    goods.run(goods.create("goods", {}, {"parts": [2]}, key=50))
    assert goods.refused(goods.update("goods", 50, values, {"parts": [], **links})) == refused
    return refused


def test_unique_key_column_as_a_value(goods: World) -> None:
    """A unique link's column that is set as a value breaks its rule under the link's name."""
    op = goods.create("goods", {"spare": 1}, {"parts": [2]})
    assert goods.refused(op) == [(("spare",), "unique")]


def test_unique_names_all_fields(goods: World) -> None:
    """The violation of a rule over several fields names them all."""
    with pytest.raises(minirest.ApiError) as caught:
        goods.run(goods.create("goods", {"zone": "z", "number": 1}, {"parts": [1]}))
    assert [(v.path, v.rule, dict(v.params)) for v in caught.value.violations] == [
        (("zone",), "unique", {"fields": "zone, number"})
    ]


def test_unique_key_is_refused(goods: World) -> None:
    """A record cannot be made under an id that is taken."""
    assert goods.refused(goods.create("owners", {"name": "x"}, key=1)) == [(("id",), "unique")]


def test_last_restrained_link_cannot_be_removed(goods: World) -> None:
    """minItems and required of a many link hold for Relink, and for the deletion of its last target."""
    assert goods.refused(goods.relink("goods.parts", 1, "remove", None)) == [(("parts",), "required")]


def test_unique_values_can_change_places_after_a_delete(goods: World) -> None:
    """In a batch, a value that one operation frees can be taken by the next."""
    op = Batch((goods.delete("goods", 1), goods.create("goods", {"code": "c"}, {"parts": [1]})))
    assert goods.run(op).parts[0].changed == 1


# ---- manual order ----

STEPS: Json = {
    "$defs": {
        "steps": {"type": "object", "properties": {"name": TEXT}, "x-sort": True},
        "cards": {
            "type": "object",
            "properties": {"name": TEXT, "state": TEXT},
            "x-sort": {"field": "place", "scope": "state"},
        },
        "plain": {"type": "object", "properties": {"name": TEXT}},
    }
}


def order(world: World, table: str, column: str, where: str = "1") -> list[int]:
    return [key for (key,) in world.sql(f"select id from {table} where {where} order by {column}, id")]


@pytest.fixture
def board() -> Iterator[World]:
    """Four steps, three cards in `a` and two in `b`."""
    world = World(STEPS)
    for number in range(4):
        world.run(world.create("steps", {"name": f"s{number}"}))
    for state in "aaabb":
        world.run(world.create("cards", {"name": "c", "state": state}))
    yield world
    world.store.close()


def test_new_records_come_last(board: World) -> None:
    """Each order begins at 1 and is counted within its scope; a given place is kept."""
    assert board.sql("select id, sort from steps") == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert board.sql("select state, place from cards") == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2)]
    board.run(board.create("steps", {"name": "x", "sort": 9}))
    board.run(board.create("steps", {"name": "y"}))
    assert board.sql("select sort from steps where id > 4") == [(9,), (10,)]


@pytest.mark.parametrize("place", ["at", "after", "first", "last"])
@pytest.mark.parametrize("key", [1, 2, 3, 4])
@pytest.mark.parametrize("target", [1, 2, 3, 4])
def test_move_without_scope(board: World, place: Any, key: int, target: int) -> None:
    """A move does to the order what it does to a list; versions and history know of the moved record only."""
    model = [1, 2, 3, 4]
    at = model.index(target)
    model.remove(key)
    if place == "after" and key != target:
        at = model.index(target) + 1
    model.insert({"first": 0, "last": len(model)}.get(place, at), key)
    goal = board.key("steps", target) if place in ("at", "after") else None
    board.act(Move(board.table("steps"), board.key("steps", key), place, goal))
    assert order(board, "steps", "sort") == model


def test_move_that_moves_nothing(board: World) -> None:
    """To its own place: nothing is different, so nothing is counted and the version stays."""
    op = Move(board.table("steps"), board.key("steps", 2), "at", board.key("steps", 2))
    assert board.act(op) == (0, set(), [])


@pytest.mark.parametrize(
    ("place", "key", "target", "scope_value", "left", "right"),
    [
        ("at", 1, 3, "keep", [2, 3, 1], [4, 5]),
        ("at", 3, 1, "keep", [3, 1, 2], [4, 5]),
        ("at", 2, 4, "keep", [1, 3], [2, 4, 5]),
        ("after", 2, 4, "keep", [1, 3], [4, 2, 5]),
        ("after", 2, 5, "keep", [1, 3], [4, 5, 2]),
        ("first", 2, None, "b", [1, 3], [2, 4, 5]),
        ("last", 2, None, "b", [1, 3], [4, 5, 2]),
        ("first", 2, None, "keep", [2, 1, 3], [4, 5]),
        ("last", 2, None, "keep", [1, 3, 2], [4, 5]),
        ("top", 2, None, "keep", [2, 1, 3], [4, 5]),
        ("top", 2, None, "b", [1, 3], [2, 4, 5]),
        ("at", 2, None, "b", [1, 3], [4, 5, 2]),
        ("at", 5, 1, "keep", [5, 1, 2, 3], [4]),
    ],
)
def test_move_with_scope(
    board: World, place: Any, key: int, target: int | None, scope_value: Any, left: list[int], right: list[int]
) -> None:
    """A record moves within its scope, into the target's, or into the one that is named."""
    goal = board.key("cards", target) if target else None
    before = board.records()
    board.now += timedelta(seconds=1)
    origin = minirest.Origin(ANNA, "test", board.store.moment())
    op = Move(board.table("cards"), board.key("cards", key), place, goal, scope_value)
    outcome = board.store.run(op, origin)
    after = board.records()
    assert (order(board, "cards", "place", "state='a'"), order(board, "cards", "place", "state='b'")) == (left, right)
    assert outcome.changed == 1
    rose = {name for name in before if after[name]["_version"] != before[name]["_version"]}
    assert rose == {f"cards/{key}"}
    assert {name for name in before if after[name]["_modified"] != before[name]["_modified"]} == set()


def test_move_refused(board: World) -> None:
    """Of a table without a manual order, and of records that are not there."""
    board.run(board.create("plain", {"name": "x"}))
    assert board.refused(Move(board.table("plain"), board.key("plain", 1), "first")) == [((), "not_sortable")]
    steps = board.table("steps")
    assert board.refused(Move(steps, board.key("steps", 99), "first")) == [((), "not_found")]
    assert board.refused(Move(steps, board.key("steps", 1), "at", board.key("steps", 99))) == [((), "not_found")]


def test_links_that_share_a_through_table_rise_alone() -> None:
    """Where a row links three records by two links, an end of one is no change for the other's record."""
    record = {"type": "object", "properties": {"name": TEXT}}
    rows = {"type": "object", "properties": {name: ref(f"{name}s") for name in ("item", "part", "shop")}}
    through = {name: refs(name, **{"x-through": "rows"}) for name in ("parts", "shops")}
    items = {"type": "object", "properties": {"name": TEXT, **through}}
    made = World({"$defs": {"items": items, "parts": record, "shops": record, "rows": rows}})
    with closing(made.store):
        for table in ("items", "parts", "parts", "shops"):
            made.run(made.create(table))
        made.run(made.create("rows", links={"item": 1, "part": 1, "shop": 1}))
        assert made.act(made.update("rows", 1, links={"part": 2})).rose == {"rows/1", "items/1", "parts/1", "parts/2"}


# ---- random writes against a model ----

GRAPH: Json = {
    "$defs": {
        "nodes": {
            "type": "object",
            "properties": {
                "name": {"type": "string", "x-unique": True},
                "size": {"type": "integer", "minimum": 0},
                "boss": ref("nodes"),
                "team": refs("nodes", **{"x-inverse": "boss"}),
                "home": ref("homes", **{"x-delete": "cascade"}),
                "marks": refs("marks"),
                "ties": refs("marks", **{"x-through": "bonds"}),
            },
        },
        "homes": {"type": "object", "properties": {"name": TEXT, "nodes": refs("nodes", **{"x-inverse": "home"})}},
        "marks": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "nodes": refs("nodes", **{"x-inverse": "marks"}),
                "tied": refs("nodes", **{"x-inverse": "ties"}),
            },
        },
        "bonds": {
            "type": "object",
            "properties": {"node": ref("nodes"), "mark": ref("marks"), "weight": {"type": "integer"}},
        },
    }
}
ID = st.integers(1, 6)
IDS = st.lists(ID, max_size=3)
NAME = st.sampled_from(["a", "b", "c", None])
SIZE = st.integers(-1, 2)
HOW = st.sampled_from(["replace", "add", "remove", "toggle"])


def test_rows_of_a_link_that_lead_nowhere() -> None:
    """A row with one end only links nothing: neither is it read, nor does it stand in the way, nor does it go."""
    with closing(minirest.make_app(GRAPH, auth=False)) as app:

        def ask(method: str, address: str, body: Json = None) -> Json:
            answer = send(app, method, address, body)
            assert answer.status < 300, answer.body
            return answer.json

        for table in ("nodes", "nodes", "marks", "marks"):
            ask("POST", f"/api/{table}:create", {})
        for row in ({"node": 1, "mark": 1}, {"node": 1, "weight": 2}, {"mark": 1}, {"node": 2}):
            ask("POST", "/api/bonds:create", row)
        shown = [ask("GET", f"/nodes/{key}?$fields=ties")["data"]["attributes"]["ties"]["data"] for key in (1, 2)]
        assert shown == [[{"id": "1"}], []]
        for where in ({"ties.id.$empty": True}, {"ties.id.$ne": 1}, {"ties.name.$ne": "x", "ties.id.$empty": True}):
            found = ask("GET", "/api/nodes:list?filter=" + quote(json.dumps(where)))["data"]
            assert [record["id"] for record in found] == [2]
        for key in (1, 2):
            ask("POST", f"/api/nodes/{key}/ties:set", [2])
        ask("POST", "/api/marks/1/tied:set", [2])
        with app.store.database.reading() as connection:
            rows = connection.execute("select node_id, mark_id from bonds").fetchall()
            told = connection.execute("select record, before, after from _history where field='ties'").fetchall()
        assert sorted(rows, key=str) == sorted([(1, None), (None, 1), (2, None), (1, 2), (2, 2), (2, 1)], key=str)
        assert told == [(1, "[1]", "[2]"), (2, "[]", "[2]")]


# ---- what a write asks SQLite for ----

OWN = {"$or": [{"owner": None}, {"owner": "$me"}]}
RULED: Json = {
    "$defs": {
        "folders": {
            "type": "object",
            "properties": {"open": {"type": "boolean"}},
            "x-rights": {"*": {"*": True}},
            "examples": [{"open": True}],
        },
        "notes": {
            "type": "object",
            "properties": {
                "text": TEXT,
                "stars": {"type": "integer"},
                "folder": ref("folders"),
                "answers": refs("notes", **{"x-inverse": "question"}),
                "question": ref("notes"),
            },
            "x-rights": {
                "*": {"*": OWN},
                "reader": {"*": OWN, "get": True},
                "guest": {"*": {"folder": {"open": True}}},
            },
            "examples": [
                {"text": "a", "stars": 1},
                {"text": "b", "folder": 1, "_owner": "zoe"},
                {"text": "c", "_owner": "zoe"},
            ],
        },
    }
}


def statements_of(app: minirest.Application, user: str, method: str, address: str, body: Json) -> list[str]:
    """The first words of what one request runs on the connection for writing, and the table."""
    statements: list[str] = []
    client = minirest.Client(app, {"Authorization": f"Basic {b64encode(f'{user}:correct horse'.encode()).decode()}"})
    assert client.request(method, address, json=body).status < 300  # whatever is remembered is remembered now
    app.store.database.writer.set_trace_callback(statements.append)
    assert client.request(method, address, json=body | {"data": body["data"] | {"stars": 7}}).status < 300
    app.store.database.writer.set_trace_callback(None)
    return [re.sub(r'(?s)^(\w+).*?(?:from|into|update)? "?(_history|notes)\b.*', r"\1 \2", it) for it in statements]


@pytest.mark.parametrize(
    ("user", "extra"),
    [("ann", []), ("reader", ["select notes"])],
    ids=["who sees a record may change it", "who sees more asks once more"],
)
def test_a_write_of_one_record_runs_as_few_statements_as_it_can(
    user: str, extra: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)
    users = dict.fromkeys(("ann", "reader"), "correct horse")
    with closing(minirest.make_app(RULED, db=str(tmp_path / "data.db"), users=users)) as app:
        app.accounts.put_user("reader", roles=["reader"])
        created = statements_of(app, user, "POST", "/notes", {"data": {"text": "b", "stars": 1}})
        updated = statements_of(app, user, "PATCH", "/notes/1", {"data": {"stars": 2}})
    change = ["update notes", "insert _history"]
    assert created == ["begin immediate", "insert notes", "insert _history", "select notes", *extra, "commit"]
    assert updated == ["begin immediate", "select notes", *extra, *change, "select notes", *extra, "commit"]


def test_a_record_that_was_seen_is_held_against_its_rule_again_when_anything_has_changed() -> None:
    guest = minirest.Actor(7, "guest", roles=("guest",))
    with closing(minirest.make_app(RULED, users={"ann": "correct horse"})) as app:
        notes, folders = (app.schema.tables[name] for name in ("notes", "folders"))
        note, folder = (
            minirest.Compare(minirest.Path((), table.id), "eq", key) for table, key in ((notes, 2), (folders, 1))
        )
        text = Update(notes, note, {notes.fields["text"]: "c"}, {}, minirest.Const(None))
        close = Update(folders, folder, {folders.fields["open"]: 0}, {}, minirest.Const(None))
        with pytest.raises(minirest.ApiError) as refused:
            app.store.run_for(guest, Batch((text, close)), "test")
        assert refused.value.code == "forbidden"
        app.store.run_for(guest, Batch((text, text)), "test")
        app.store.run_for(guest, close, "test")
        assert app.store.run_for(guest, text, "test").changed == 0


def test_what_a_hook_has_read_is_not_what_the_actor_sees() -> None:
    guest = minirest.Actor(7, "guest", roles=("guest",))
    with closing(minirest.make_app(RULED, users={"ann": "correct horse"})) as app:
        notes, origin = app.schema.tables["notes"], minirest.origin_of(app.schema, guest, "test", app.store.moment())

        def look_around(writer: minirest.Writer) -> minirest.Outcome:
            with minirest.unbound(writer):
                assert writer.record(notes, 3)[notes.fields["text"]] == "c"
            writer.permit("update", notes, 3)
            return minirest.Outcome()

        with pytest.raises(minirest.ApiError) as refused:
            app.store.write(look_around, origin)
        assert refused.value.code == "forbidden"


class Writes(RuleBasedStateMachine):
    """Random writes on a graph of nodes, homes and marks, beside a model made of dicts and sets."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(GRAPH)
        self.nodes: dict[int, dict[str, Json]] = {}
        self.homes: set[int] = set()
        self.marks: set[int] = set()
        self.pairs: dict[str, dict[int, list[int]]] = {"marks": {}, "ties": {}}
        self.next = {"nodes": 1, "homes": 1, "marks": 1}

    def attempt(self, op: minirest.Operation, allowed: bool) -> None:
        """Run an operation that the model allows or not; both agree."""
        if allowed:
            self.world.act(op)
        else:
            self.world.refused(op)

    def name_is_free(self, name: str | None, but: int = 0) -> bool:
        return name is None or all(n["name"] != name for key, n in self.nodes.items() if key != but)

    @rule(table=st.sampled_from(["homes", "marks"]))
    def make_other(self, table: str) -> None:
        self.world.act(self.world.create(table, {"name": "x"}))
        (self.homes if table == "homes" else self.marks).add(self.next[table])
        self.next[table] += 1

    @rule(name=NAME, size=SIZE, boss=st.none() | ID, home=st.none() | ID, marks=IDS)
    def make_node(self, name: str | None, size: int, boss: int | None, home: int | None, marks: list[int]) -> None:
        links = {"boss": boss, "home": home, "marks": marks}
        allowed = (
            self.name_is_free(name)
            and size >= 0
            and (boss is None or boss in self.nodes)
            and (home is None or home in self.homes)
            and set(marks) <= self.marks
        )
        self.attempt(self.world.create("nodes", {"name": name, "size": size}, links), allowed)
        if allowed:
            key = self.next["nodes"]
            self.next["nodes"] += 1
            self.nodes[key] = {"name": name, "size": size, "boss": boss, "home": home}
            self.pairs["marks"][key] = list(dict.fromkeys(marks))
            self.pairs["ties"][key] = []

    @rule(boss=ID, name=NAME, size=SIZE, marks=IDS)
    def make_node_below(self, boss: int, name: str | None, size: int, marks: list[int]) -> None:
        parent = self.world.parent("nodes.team", boss)
        op = self.world.create("nodes", {"name": name, "size": size}, {"marks": marks}, parent=parent)
        allowed = boss in self.nodes and self.name_is_free(name) and size >= 0 and set(marks) <= self.marks
        self.attempt(op, allowed)
        if allowed:
            key = self.next["nodes"]
            self.next["nodes"] += 1
            self.nodes[key] = {"name": name, "size": size, "boss": boss, "home": None}
            self.pairs["marks"][key] = list(dict.fromkeys(marks))
            self.pairs["ties"][key] = []

    @rule(key=ID, name=NAME, size=SIZE, boss=st.none() | ID)
    def change_node(self, key: int, name: str | None, size: int, boss: int | None) -> None:
        op = self.world.update("nodes", key, {"name": name, "size": size}, {"boss": boss})
        found = key in self.nodes
        allowed = not found or (self.name_is_free(name, key) and size >= 0 and (boss is None or boss in self.nodes))
        self.attempt(op, allowed)
        if found and allowed:
            self.nodes[key] |= {"name": name, "size": size, "boss": boss}

    @rule(size=SIZE, least=st.integers(0, 2))
    def change_many(self, size: int, least: int) -> None:
        where = minirest.Compare(minirest.Path((), self.world.field("nodes.size")), "gte", least)
        chosen = [key for key, node in self.nodes.items() if node["size"] >= least]
        allowed = size >= 0 or not chosen
        self.attempt(self.world.update("nodes", where, {"size": size}), allowed)
        if allowed:
            for key in chosen:
                self.nodes[key]["size"] = size

    @rule(key=ID, name=st.sampled_from(["marks", "ties"]), how=HOW, ids=IDS)
    def relink_marks(self, key: int, name: str, how: str, ids: list[int]) -> None:
        allowed = key in self.nodes and set(ids) <= self.marks
        self.attempt(self.world.relink(f"nodes.{name}", key, how, *ids), allowed)
        if allowed:
            have = self.pairs[name][key]
            drop = {"replace": set(have) - set(ids), "add": set()}.get(how, set(have) & set(ids))
            add = [] if how == "remove" else [one for one in dict.fromkeys(ids) if one not in have]
            self.pairs[name][key] = [one for one in have if one not in drop] + add

    @rule(mark=ID, how=st.sampled_from(["add", "remove"]), ids=IDS)
    def relink_from_the_mark(self, mark: int, how: str, ids: list[int]) -> None:
        allowed = mark in self.marks and set(ids) <= set(self.nodes)
        self.attempt(self.world.relink("marks.nodes", mark, how, *ids), allowed)
        for key in set(ids) if allowed else ():
            have = self.pairs["marks"][key]
            if how == "add" and mark not in have:
                have.append(mark)
            elif how == "remove" and mark in have:
                have.remove(mark)

    @rule(boss=ID, how=HOW, ids=IDS, taken=st.sampled_from(["move", "refuse"]))
    def relink_team(self, boss: int, how: str, ids: list[int], taken: str) -> None:
        allowed = boss in self.nodes and set(ids) <= set(self.nodes)
        team = {key for key, node in self.nodes.items() if node["boss"] == boss}
        if allowed and taken == "refuse" and how != "remove":
            allowed = all(self.nodes[key]["boss"] in (None, boss) for key in ids)
        self.attempt(self.world.relink("nodes.team", boss, how, *ids, taken=taken), allowed)
        if allowed:
            drop = {"replace": team - set(ids), "add": set()}.get(how, team & set(ids))
            for key in drop:
                self.nodes[key]["boss"] = None
            for key in set(ids) - team if how != "remove" else ():
                self.nodes[key]["boss"] = boss

    def drop_node(self, key: int) -> None:
        del self.nodes[key], self.pairs["marks"][key], self.pairs["ties"][key]
        for node in self.nodes.values():
            node["boss"] = None if node["boss"] == key else node["boss"]

    @precondition(lambda self: len(self.nodes) > 2)
    @rule(keys=st.lists(ID, min_size=1, max_size=2))
    def delete_nodes(self, keys: list[int]) -> None:
        self.world.act(self.world.delete("nodes", *keys))
        for key in set(keys) & set(self.nodes):
            self.drop_node(key)

    @precondition(lambda self: len(self.homes) > 1)
    @rule(key=ID)
    def delete_home(self, key: int) -> None:
        self.world.act(self.world.delete("homes", key))
        self.homes.discard(key)
        for node in [node for node, values in self.nodes.items() if values["home"] == key]:
            self.drop_node(node)

    @precondition(lambda self: len(self.marks) > 2)
    @rule(key=ID)
    def delete_mark(self, key: int) -> None:
        self.world.act(self.world.delete("marks", key))
        self.marks.discard(key)
        for pairs in self.pairs.values():
            for have in pairs.values():
                if key in have:
                    have.remove(key)

    @rule(size=st.integers(0, 2), good=st.booleans())
    def batch(self, size: int, good: bool) -> None:
        """Two updates of all nodes and a create, which fails or not."""
        world = self.world
        op = Batch(
            (
                world.update("nodes", minirest.TRUE, {"size": 2 - size}),
                world.create("homes", {"name": "x"}),
                world.create("nodes", {"size": 0 if good else -1}),
            )
        )
        self.attempt(op, good)
        if good:
            for node in self.nodes.values():
                node["size"] = 2 - size
            self.homes.add(self.next["homes"])
            self.next["homes"] += 1
            key = self.next["nodes"]
            self.next["nodes"] += 1
            self.nodes[key] = {"name": None, "size": 0, "boss": None, "home": None}
            self.pairs["marks"][key], self.pairs["ties"][key] = [], []

    @invariant()
    def records_are_those_of_the_model(self) -> None:
        """Both ends of every link, and all values."""
        assert {node["id"]: node for node in self.world.show("nodes")} == {
            key: {
                "id": key,
                **node,
                "marks": self.pairs["marks"][key],
                "ties": self.pairs["ties"][key],
                "team": [other for other in sorted(self.nodes) if self.nodes[other]["boss"] == key],
            }
            for key, node in self.nodes.items()
        }
        homes = {home["id"]: home["nodes"] for home in self.world.show("homes")}
        assert homes == {key: [n for n in sorted(self.nodes) if self.nodes[n]["home"] == key] for key in self.homes}
        marks = {mark["id"]: (sorted(mark["nodes"]), sorted(mark["tied"])) for mark in self.world.show("marks")}
        assert marks == {
            mark: (
                sorted(key for key, have in self.pairs["marks"].items() if mark in have),
                sorted(key for key, have in self.pairs["ties"].items() if mark in have),
            )
            for mark in self.marks
        }

    @invariant()
    def history_gives_the_present(self) -> None:
        """Replaying history from the beginning gives the fields and own links of every record, and every pair."""
        assert replay(self.world.history(), self.world.schema) == (
            {
                key: {name: value for name, value in node.items() if value is not None}
                for key, node in self.nodes.items()
            },
            {(key, mark) for key, have in self.pairs["marks"].items() for mark in have},
        )

    def teardown(self) -> None:
        self.world.store.close()


def replay(history: list[dict[str, Json]], schema: minirest.Schema) -> tuple[dict[int, Json], set[tuple[int, int]]]:
    """The nodes and their pairs with marks, from history alone."""
    nodes: dict[int, dict[str, Json]] = {}
    pairs: set[tuple[int, int]] = set()
    for row in history:
        table, key, field = row["table"], row["record"], row["field"]
        if table == "nodes" and row["action"] == "created":
            nodes[key] = dict(row["after"])
            nodes[key].pop("ties", None)
            pairs |= {(key, mark) for mark in nodes[key].pop("marks", [])}
        elif row["action"] == "deleted":
            pairs = {pair for pair in pairs if key != pair[table == "marks"] or table not in ("nodes", "marks")}
            if table == "nodes":
                del nodes[key]
        elif table == "nodes" and field == "marks":
            pairs = {pair for pair in pairs if pair[0] != key} | {(key, mark) for mark in row["after"]}
        elif table == "marks" and field == "nodes":
            pairs = {pair for pair in pairs if pair[1] != key} | {(node, key) for node in row["after"]}
        elif table == "nodes" and not (field in schema.find("nodes").links and field in ("team", "ties")):
            nodes[key][field] = row["after"]
            if row["after"] is None:
                del nodes[key][field]
    return nodes, pairs


TestRandomWrites = Writes.TestCase
TestRandomWrites.settings = settings(max_examples=80, stateful_step_count=20)
