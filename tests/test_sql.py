"""Section 6: filters, orders, pages, scopes and shapes against the evaluator, and the statements themselves."""

import contextlib
import dataclasses
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import (
    And,
    Arr,
    Col,
    Compare,
    Compiler,
    Const,
    Field,
    Filter,
    First,
    Key,
    Link,
    Matching,
    Names,
    Not,
    Obj,
    Or,
    Page,
    Parent,
    Path,
    Scope,
    Select,
    Shape,
    Some,
    Sort,
    Sub,
    Table,
    Text,
)
from tests import evaluator
from tests.evaluator import Data, Spot
from tests.web import many, one

TEXT: dict[str, Any] = {"type": "string"}
DAY: dict[str, Any] = {"type": "string", "format": "date"}


def table(**properties: Any) -> dict[str, Any]:
    words = {name: properties.pop(name) for name in list(properties) if name.startswith("x-")}
    return {"type": "object", "properties": properties, **words}


DOCUMENT: dict[str, Any] = {
    "$defs": {
        "posts": table(
            title={**TEXT, "x-index": True},
            mail={"type": "string", "format": "email"},
            views={"type": "integer"},
            score={"type": "number"},
            public={"type": "boolean"},
            day=DAY,
            moment={"type": "string", "format": "date-time"},
            clock={"type": "string", "format": "time"},
            labels={"type": "array", "items": TEXT},
            numbers={"type": "array", "items": {"type": "integer"}},
            colors={"type": "array", "items": {"enum": ["red", "Green", "ÄÖ"]}},
            extra={"type": "object"},
            author=one("authors"),
            editor=one("authors"),
            parent=one("posts"),
            children=many("posts", **{"x-inverse": "parent"}),
            comments=many("comments", **{"x-inverse": "post"}),
            tags=many("tags", **{"x-through": "postsTags"}),
            marks=many("tags"),
            friends=many("posts"),
            followers=many("posts", **{"x-inverse": "friends"}),
            detail=one("details", **{"x-inverse": "post"}),
            **{"x-archive": True, "x-validity": True},
        ),
        "authors": table(
            name={**TEXT, "x-index": True},
            born=DAY,
            company=one("companies"),
            posts=many("posts", **{"x-inverse": "author"}),
        ),
        "companies": table(name=TEXT, size={"type": "integer"}, country=TEXT),
        "comments": table(text=TEXT, post=one("posts"), writer=one("authors"), sort={"type": "integer"}),
        "tags": table(
            name={**TEXT, "x-index": True}, color=TEXT, posts=many("posts", **{"x-inverse": "tags"}), **{"x-sort": True}
        ),
        "postsTags": table(
            post=one("posts"),
            tag=one("tags"),
            weight={"type": "integer"},
            note=TEXT,
            giver=one("authors"),
            **{"x-validity": True},
        ),
        "details": table(text=TEXT, list={"type": "array", "items": TEXT}, post=one("posts")),
    }
}
SCHEMA = minirest.load_schema(DOCUMENT)
POSTS = SCHEMA.find("posts")
WORDS = minirest.RULE_MANNER

# ---- data ----

TEXTS = [
    "",
    " a",
    "a",
    "A",
    "ä",
    "Ä",
    "ß",
    "SS",
    "ss",
    "İ",
    "i",
    "I",
    "K",
    "k",
    "😀",
    "a😀b",
    "%",
    "_",
    "\\",
    "'",
    '"',
    "a%b",
    "a_b",
    "aab",
    "AAB",
    "ÄB",
    "äb",
    "x'y\"z",
    "\uffff",
    "\ud7ff",
    "\ue000",
    "a\nb",
    "a b ",
    "\U0010ffff",
    "ﬁ",
]
DAYS = ["0001-01-01", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "9999-12-31"]
MOMENTS = [f"{day}T{time}Z" for day in DAYS for time in ("00:00:00.000", "13:45:07.123", "23:59:59.999")]
NUMBERS = [0.0, 1.0, -1.5, 0.1, 1e300, 123456789.25, 1e-7, 2.0]
INTEGERS = [0, 1, 2, 3, -1, 2**63 - 1, -(2**63)]
EXTRAS = [
    {"a": value, "b c": {"d.e": value, "ü'": [value]}} for value in (None, 1, 1.5, "a", "A", "", True, [1], {"x": 1})
]
VALUES: dict[str, list[Any]] = {
    "text": TEXTS,
    "email": [*TEXTS, "a@b.de"],
    "integer": INTEGERS,
    "number": NUMBERS,
    "boolean": [True, False],
    "date": DAYS,
    "moment": MOMENTS,
    "time": ["00:00:00", "13:45:07", "23:59:59"],
    "list": [[], ["a"], ["a", "A"], ["b", "a"], ["ä", "😀"], ["", "%"], [None, "a"]],
    "choices": [[], ["red"], ["red", "Green"], ["Green", "red"], ["ÄÖ"]],
    "json": [*EXTRAS, [], "a", 5, {}, {'"': 1}],
    "id": [1, 2, 3, 4],
}
INTEGER_LISTS: list[Any] = [[], [1], [1, 2], [2, 1], [-1, 10], [None]]
SIZES = {"posts": 8, "authors": 4, "companies": 2, "comments": 8, "tags": 4, "details": 6}


def values_of(field: Field) -> list[Any]:
    return INTEGER_LISTS if field.items and field.items.name == "integer" else VALUES[field.kind.name]


def make_data(seed: int) -> Data:
    """Random records of all tables: a quarter of all values is null; pairs of links are unique."""
    chance = random.Random(seed)
    data: Data = {}
    for name in SCHEMA.all_tables:
        found = SCHEMA.all_tables[name]
        data[found.name] = [make_record(chance, found, number + 1) for number in range(SIZES.get(found.name, 0))]
    for post in data["posts"]:
        data["postsTags"] += pairs(
            chance, SCHEMA.find("postsTags"), "post_id", "tag_id", post["id"], len(data["postsTags"])
        )
        for name in ("marks", "friends"):
            through = POSTS.links[name].through
            assert through
            data[through.name] += pairs(chance, through, "source_id", "target_id", post["id"], len(data[through.name]))
    for number, detail in enumerate(data["details"]):
        detail["post_id"] = chance.choice([None, number + 1, number + 1])
    for name in ("postsTags", "posts_marks", "posts_friends"):
        keys = chance.sample(range(1, 99), len(data[name]))
        data[name] = [{**row, "id": key} for row, key in zip(data[name], keys, strict=True)]
    return data


def pairs(chance: random.Random, through: Table, near: str, far: str, key: int, used: int) -> list[evaluator.Record]:
    targets = chance.sample([1, 2, 3, 4], chance.choice([0, 1, 1, 2, 3]))
    rows = [make_record(chance, through, used + number) for number in range(1, len(targets) + 1)]
    return [{**row, near: key, far: target} for row, target in zip(rows, targets, strict=True)]


def make_record(chance: random.Random, of: Table, key: int) -> evaluator.Record:
    record: evaluator.Record = {"#table": of}
    for field in of.columns:
        pool = [1, 2] if field.target and field.target.name == "companies" else values_of(field)
        record[field.name] = None if chance.random() < 0.25 else chance.choice(pool)
        if field.target and field.target.name.startswith("_"):
            record[field.name] = None
    return record | {"id": key, **({"_status": chance.choice([0, 0, 1, 2])} if of.archive else {}), **version(of)}


def version(of: Table) -> dict[str, Any]:
    return {"_version": 1, "_access": None, "_branch": None} if of.tracked else {}


def connect(schema: minirest.Schema) -> tuple[minirest.Database, sqlite3.Connection]:
    """A database in memory with the schema's tables and indexes."""
    database = minirest.Database(":memory:")
    for found in schema.all_tables.values():
        for statement in (minirest.create_table(found), *minirest.indexes_of(found).values()):
            database.writer.execute(*statement)
    return database, database.writer


def insert(connection: sqlite3.Connection, data: Data) -> None:
    connection.execute("begin")
    for records in data.values():
        for record in records:
            columns = record["#table"].columns
            names = ",".join(minirest.quoted(column.column).text for column in columns)
            marks = ",".join("?" * len(columns))
            values = [column.parse_json(record[column.name]) for column in columns]
            name = minirest.quoted(record["#table"].name).text
            connection.execute(f"insert into {name} ({names}) values ({marks})", values)
    connection.execute("commit")


class World:
    """The same records in SQLite and in Python."""

    def __init__(self, seed: int) -> None:
        self.data = make_data(seed)
        self.database, self.connection = connect(SCHEMA)
        insert(self.connection, self.data)

    def check(self, op: Select) -> list[Spot]:
        """The whole answer of a Select is what the evaluator says: ids in order, total, version, JSON."""
        expected = evaluator.select(self.data, op)
        found = minirest.read(self.connection, op, minirest.FULL_SIGHT)
        first = op.page.offset
        last = None if op.page.limit is None else first + op.page.limit
        records = [spot.record for spot in expected[first:last] if spot.record]
        assert [row.key for row in found.rows] == [record["id"] for record in records]
        assert found.total == (len(expected) if op.total else None)
        shown = [evaluator.show(self.data, op.shape, spot) for spot in expected[first:last]]
        assert [typed(json.loads(row.text)) for row in found.rows] == [typed(value) for value in shown]
        return expected

    def ids(self, where: Filter) -> list[int]:
        found = minirest.read(self.connection, Select(POSTS, JUST_ID, where), minirest.FULL_SIGHT)
        return [row.key for row in found.rows]


def typed(value: Any) -> Any:
    """A JSON value in which true is not 1; whole doubles may come without `.0`."""
    if isinstance(value, dict):
        return [(key, typed(inner)) for key, inner in value.items()]
    if isinstance(value, list):
        return [typed(inner) for inner in value]
    return (type(value).__name__ if isinstance(value, bool) else "", value)


JUST_ID = Obj((("id", Col(Path((), POSTS.id))),))
WORLDS = 12


@pytest.fixture(scope="module")
def worlds() -> Iterator[Callable[[int], World]]:
    made: dict[int, World] = {}

    def world(seed: int) -> World:
        if seed not in made:
            made[seed] = World(seed)
        return made[seed]

    yield world
    for each in made.values():
        each.database.close()


# ---- what is asked, at random ----


def links_of(words: str) -> tuple[Link, ...]:
    return Names(POSTS, WORDS).path(words.split(".")).links if words else ()


ROUTES = [
    "",
    "author",
    "editor",
    "parent",
    "children",
    "comments",
    "tags",
    "marks",
    "friends",
    "followers",
    "detail",
    "author.company",
    "parent.author",
    "comments.writer",
    "children.author",
    "tags.posts",
    "tags.postsTags.giver",
    "comments.writer.company",
    "tags.posts.author",
    "parent.author.company",
    "friends.tags",
    "author.posts.comments",
]
WITHIN: dict[str, list[tuple[str, ...]]] = {
    "json": [("a",), ("b c", "d.e"), ("b c", "ü'"), ("b c",), ("nope",)],
    "date": [("year",), ("week_day",)],
}
WITHIN["moment"] = [(part,) for part in minirest.DATE_PARTS]


def paths_along(route: str) -> list[Path]:
    links = links_of(route)
    ends = [links[-1].target, links[-1].through] if links else [POSTS]
    result = []
    for end in ends:
        for field in (*end.fields.values(), *end.keys, end.id) if end else ():
            if end is ends[0] or field is not (end and end.id):
                result.append(Path(links, field))
                result += [Path(links, field, within) for within in WITHIN.get(field.kind.name, [])]
    return result


PATHS = {route: paths_along(route) for route in ROUTES}
SPANS = [
    "2024",
    "2024-Q1",
    "2024-02",
    "2024-W01",
    "2024-02-29",
    "2024-01-01T13",
    "2024-01-01T13:45:07",
    "2024-01-01T13:45:07.123",
    "9999",
    "2024-03-01+02:00",
]


@st.composite
def compares(draw: st.DrawFn, routes: list[str] = ROUTES) -> Compare:
    path = draw(st.sampled_from(PATHS[draw(st.sampled_from(routes))]))
    op: Any = draw(st.sampled_from(sorted(minirest.operators_of(path))))
    assert path.field
    scalar = bool(path.within) and path.field.kind.name == "json"
    pool = [1, 2, 1.5, "a", "A", "", "ä", True, 5] if scalar else values_of(path.field)
    if path.field.kind.is_date and path.within:
        pool = [1, 2, 7, 12, 13, 29, 2024]
    if path.field.items:
        pool = ["a", "A", "b", "red", "Green", "", "%", "😀", 1, 2, 10]
    value: Any = None
    if op in ("in", "any", "same"):
        value = tuple(draw(st.lists(st.sampled_from(pool), max_size=3)))
    elif op == "like":
        value = draw(st.sampled_from([*TEXTS, "%a%", "a_b", "%", "_", "%Ä%", "%'%", "A%"]))
    elif op in evaluator.TEXTS:
        value = draw(st.sampled_from(TEXTS))
    elif op not in ("null", "empty") and path.field.kind.is_date and not path.within and draw(st.booleans()):
        value = minirest.parse_span(draw(st.sampled_from(SPANS)))
    elif op not in ("null", "empty"):
        value = draw(st.sampled_from(pool))
    cases = ["exact", "ascii", "fold"] if op in ("eq", "contains", "startswith", "endswith") else ["exact"]
    return Compare(path, op, value, draw(st.sampled_from(cases)))


def filters(leaves: int = 4, routes: list[str] = ROUTES, some: bool = True) -> st.SearchStrategy[Filter]:
    """Random trees; a few routes at a time make it likely that terms share their links."""

    def grow(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        parts = st.lists(inner, max_size=3).map(tuple)
        shapes = [st.builds(And, parts), st.builds(Or, parts), st.builds(Not, inner)]
        return st.one_of(*shapes, *([st.builds(Some, inner)] if some else []))

    return st.recursive(compares(routes), grow, max_leaves=leaves)


ANY_FILTER = st.lists(st.sampled_from(ROUTES), min_size=1, max_size=3).flatmap(lambda routes: filters(4, ["", *routes]))
ONE_SOME = ANY_FILTER.map(Some)
UNIQUE = ["", "author", "parent", "detail", "author.company", "parent.author", "tags", "comments.writer"]
NULLS: st.SearchStrategy[Literal["first", "last"]] = st.sampled_from(["first", "last"])
COUNTS = [
    "author",
    "children",
    "comments",
    "tags",
    "marks",
    "friends",
    "followers",
    "detail",
    "parent.tags",
    "author.posts",
]


@st.composite
def sorts(draw: st.DrawFn) -> Sort:
    down, nulls = draw(st.booleans()), draw(NULLS)
    if draw(st.integers(0, 4)) == 0:
        return Sort(Path(links_of(draw(st.sampled_from(COUNTS)))), down, nulls)
    path = draw(st.sampled_from(PATHS[draw(st.sampled_from(UNIQUE))]))
    return Sort(path, down, nulls, draw(st.sampled_from(["exact", "ascii"])))


SORTS = st.lists(sorts(), max_size=3).map(tuple)
VALIDITY = st.one_of(
    st.just(minirest.Everything()),
    *(st.builds(kind, st.sampled_from(DAYS)) for kind in (minirest.On, minirest.From, minirest.To)),
)
SCOPES = st.builds(Scope, st.sampled_from(["no", "only", "trash", "all"]), VALIDITY)
SEEDS = st.integers(0, WORLDS - 1)


class Asked:
    """A Select that is shown as Python writes it."""

    def __init__(self, op: Select) -> None:
        self.op = op

    def __repr__(self) -> str:
        return repr(self.op)


@st.composite
def select(
    draw: st.DrawFn,
    where: st.SearchStrategy[Filter] = st.just(And()),  # noqa: B008
    sort: st.SearchStrategy[tuple[Sort, ...]] = st.just(()),  # noqa: B008
    scope: st.SearchStrategy[Scope] = st.just(minirest.ANY_STATE),  # noqa: B008
    shape: st.SearchStrategy[Shape] = st.just(JUST_ID),  # noqa: B008
) -> Asked:
    """Selects of posts."""
    page = draw(st.sampled_from([Page(None), Page(4), Page(3, 2), Page(None, 3), Page(0)]))
    op = Select(POSTS, draw(shape), draw(where), draw(scope), draw(sort), page, total=draw(st.booleans()))
    return Asked(op)


@settings(max_examples=200)
@given(seed=SEEDS, asked=select(ANY_FILTER))
def test_filters(worlds: Callable[[int], World], seed: int, asked: Asked) -> None:
    """Any filter tree selects what three-valued logic says."""
    worlds(seed).check(asked.op)


@settings(max_examples=200)
@given(seed=SEEDS, asked=select(ONE_SOME))
def test_one_choice_of_linked_records(worlds: Callable[[int], World], seed: int, asked: Asked) -> None:
    """All paths inside a `Some` share one choice of linked records, nulls where there is none."""
    worlds(seed).check(asked.op)


@settings(max_examples=80)
@given(seed=SEEDS, asked=select(st.one_of(st.just(And()), filters(2)), SORTS, SCOPES))
def test_orders_and_scopes(worlds: Callable[[int], World], seed: int, asked: Asked) -> None:
    """Any order, nulls on either side, ties by id; on every page size the pages together are the whole."""
    world, op = worlds(seed), dataclasses.replace(asked.op, page=Page(None), total=True)
    whole = [spot.record["id"] for spot in world.check(op) if spot.record]
    for size in (1, 2, 3, 7, 8, 9):
        pages = [
            minirest.read(world.connection, dataclasses.replace(op, page=Page(size, start)), minirest.FULL_SIGHT)
            for start in range(0, len(whole) + 1, size)
        ]
        assert [row.key for page in pages for row in page.rows] == whole
        assert {page.total for page in pages} == {len(whole)}


PARENTS = ["author", "parent", "children", "comments", "tags", "marks", "friends", "followers", "detail"]


@st.composite
def linked_lists(draw: st.DrawFn) -> Asked:
    link = POSTS.links[draw(st.sampled_from(PARENTS))]
    fields = [*link.target.fields.values(), link.target.id, *(link.through.fields.values() if link.through else [])]
    comparable = [field for field in fields if "eq" in field.kind.operators]
    field = draw(st.sampled_from(comparable))
    equal = Compare(Path((), field), "eq", draw(st.sampled_from(values_of(field))))
    choices: list[Filter] = [And(), equal, Not(equal)]
    where = draw(st.sampled_from(choices))
    by = st.sampled_from([Path((), field) for field in comparable])
    sort = draw(st.lists(st.builds(Sort, by, st.booleans()), max_size=2).map(tuple))
    page = Page(draw(st.one_of(st.none(), st.integers(0, 4))), draw(st.integers(0, 3)))
    shape = Obj(tuple((field.name, Col(Path((), field))) for field in {field.name: field for field in fields}.values()))
    parent = Parent(link, Key(POSTS.id, draw(st.integers(1, 8))))
    return Asked(Select(link.target, shape, where, draw(SCOPES), sort, page, True, parent))


@settings(max_examples=150)
@given(seed=SEEDS, asked=linked_lists())
def test_linked_lists(worlds: Callable[[int], World], seed: int, asked: Asked) -> None:
    """The records linked to one: in the link's order or another, filtered, with the fields of the link's row."""
    worlds(seed).check(asked.op)


# ---- shapes ----


def cols(of: Table, through: Table | None) -> list[Shape]:
    fields = [*of.fields.values(), of.id, *(through.fields.values() if through else ())]
    result: list[Shape] = [Col(Path((), field)) for field in fields]
    result += [Col(Path((), f, within)) for f in fields for within in WITHIN.get(f.kind.name, ()) if f.kind.is_date]
    for link in of.links.values():
        result += [Col(Path((link,), field)) for field in link.target.fields.values()]
        result += [Col(Path((link, inner), inner.target.id)) for inner in link.target.links.values()]
        result.append(Col(Path((link,))))
    return result


CONSTS = [None, True, False, 0, 1, -5, 1.5, "", "it's", 'a"b', "{}", [], {}, {"a": [1, None, {"b": False}]}, ["😀"]]


CONST: list[Shape] = [Const(value) for value in CONSTS]
FORMS = ["col", "col", "const", "text", "obj", "arr", "first", "sub", "sub"]


@st.composite
def shapes(draw: st.DrawFn, of: Table, through: Table | None, depth: int) -> Shape:
    """Random shapes of a record: values, objects, arrays, linked records nested up to three levels."""
    form = draw(st.sampled_from(FORMS if depth else FORMS[:4]))
    if form == "col":
        return draw(st.sampled_from(cols(of, through)))
    if form == "const":
        return draw(st.sampled_from(CONST))
    if form == "text":
        texts = [shape for shape in cols(of, None) if isinstance(shape, Col) and is_plain(shape.path.field)]
        parts: list[str | Shape] = [*texts, "", "/", "it's {} ?"]
        return Text(tuple(draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3))))
    if form == "sub":
        link = draw(st.sampled_from(list(of.links.values())))
        orders = [Sort(Path((), field), down) for field in link.target.fields.values() for down in (False, True)]
        inner = draw(shapes(link.target, link.through, depth - 1))
        return Sub(link, inner, draw(st.booleans()), tuple(draw(st.lists(st.sampled_from(orders), max_size=1))))
    inner_shapes = [draw(shapes(of, through, depth - 1)) for _ in range(draw(st.integers(form == "first", 3)))]
    if form == "obj":
        return Obj(tuple((f"{number}'\"", shape) for number, shape in enumerate(inner_shapes)))
    if form == "arr":
        return Arr(tuple(inner_shapes))
    return First((*inner_shapes, Const("end")))


def is_plain(field: Field | None) -> bool:
    return field is not None and field.kind.name in ("text", "integer", "date", "id")


WHOLE = st.lists(shapes(POSTS, None, 2), min_size=1, max_size=3).map(
    lambda found: Obj(tuple((f"k{n}", shape) for n, shape in enumerate(found)))
)


@settings(max_examples=200)
@given(seed=SEEDS, asked=select(shape=WHOLE, sort=SORTS))
def test_shapes(worlds: Callable[[int], World], seed: int, asked: Asked) -> None:
    """The text of each record is the JSON value that its shape says."""
    worlds(seed).check(asked.op)


TAGS, AUTHOR, COMMENTS = POSTS.links["tags"], POSTS.links["author"], POSTS.links["comments"]
TAG, AUTHORS, ROWS = TAGS.target, AUTHOR.target, SCHEMA.find("postsTags")
SPECIAL_SHAPES: dict[str, Shape] = {
    "list of a unique link": Sub(AUTHOR, Obj((("id", Col(Path((), AUTHORS.id))),)), many=True),
    "list of a unique link with fields": Sub(
        AUTHOR, Obj((("name", Col(Path((), AUTHORS.fields["name"]))),)), many=True
    ),
    "list of a has-one link": Sub(POSTS.links["detail"], Col(Path((), POSTS.links["detail"].target.id)), many=True),
    "id of a unique link": Sub(AUTHOR, Col(Path((), AUTHORS.id)), many=False),
    "ids of a many link": Sub(TAGS, Col(Path((), TAG.id)), many=True),
    "ids of a many link as text": Sub(TAGS, Text(("/tags/", Col(Path((), TAG.id)))), many=True),
    "ids by another order": Sub(TAGS, Col(Path((), TAG.id)), True, (Sort(Path((), TAG.fields["name"]), down=True),)),
    "ids by the row": Sub(TAGS, Col(Path((), TAG.id)), True, (Sort(Path((), ROWS.fields["weight"])),)),
    "link rows alone": Sub(TAGS, Obj((("weight", Col(Path((), ROWS.fields["weight"]))),)), many=True),
    "other side": Sub(POSTS.links["followers"], Col(Path((), POSTS.id)), many=True),
    "first of a many link": Sub(COMMENTS, Obj((("id", Col(Path((), COMMENTS.target.id))),)), many=False),
    "first by an order": Sub(
        TAGS, Obj((("n", Col(Path((), TAG.fields["name"]))),)), False, (Sort(Path((), TAG.id), True),)
    ),
    "list through a many link": Col(Path((POSTS.links["friends"],), POSTS.fields["labels"])),
    "boolean through a many link": Col(Path((POSTS.links["friends"],), POSTS.fields["public"])),
    "first of values": First((Col(Path((), POSTS.fields["labels"])), Col(Path((), POSTS.fields["extra"])), Const([1]))),
    "first of objects": First((Sub(AUTHOR, Obj((("id", Col(Path((), AUTHORS.id))),)), False), Const({}))),
    "array": Arr((Col(Path((), POSTS.fields["public"])), Const(None), Arr(()), Obj(()), Const("x"))),
}


@pytest.mark.parametrize("shape", SPECIAL_SHAPES.values(), ids=SPECIAL_SHAPES)
def test_special_shapes(worlds: Callable[[int], World], shape: Shape) -> None:
    """Short cuts and corners of shapes give the same value as the plain way."""
    for seed in range(WORLDS):
        worlds(seed).check(Select(POSTS, Obj((("x", shape),))))


@pytest.mark.parametrize("pairs", [0, 1, 59, 60, 61, 120, 121, 200])
def test_wide_objects(worlds: Callable[[int], World], pairs: int) -> None:
    """An object may have more pairs than SQLite's `json_object` takes; order and types stay."""
    fields = list(POSTS.fields.values())
    wide = Obj(tuple((f"k{n}'\"ä", Col(Path((), fields[n % len(fields)]))) for n in range(pairs)))
    worlds(1).check(Select(POSTS, Obj((("inner", wide), ("list", Sub(POSTS.links["children"], wide, True))))))
    worlds(1).check(Select(POSTS, wide))
    worlds(1).check(Select(POSTS, Arr(tuple(shape for _, shape in wide.pairs))))


# ---- corners that chance seldom meets ----

IS_A = Compare(Path((), POSTS.fields["title"]), "eq", "a")
IS_RED = Compare(Path((TAGS,), TAG.fields["name"]), "eq", "nobody")
CORNERS: dict[str, Filter] = {
    "a Some is never unknown": Not(Some(IS_A)),
    "nor is one beside a link": Not(Some(And((IS_A, Not(IS_RED))))),
    "nor is one deep below a not": Not(And((Some(IS_A), Or((Some(Not(IS_A)),))))),
    "nor is one below two": Not(Not(Some(IS_A))),
    "a bare link is a Some": Not(IS_RED),
    "a Some in a Some is of the record itself": Some(Or((IS_RED, Some(Compare(Path((), POSTS.id), "gt", 3))))),
    "and has a choice of its own": Some(And((Not(IS_RED), Some(Compare(Path((TAGS,), TAG.id), "eq", 1))))),
    "an empty list is unknown on null": Not(Compare(Path((), POSTS.fields["title"]), "in", ())),
    "an outer field with no linked record": Some(Or((IS_RED, Compare(Path((), POSTS.fields["title"]), "null")))),
}


@pytest.mark.parametrize("where", CORNERS.values(), ids=CORNERS)
def test_corners(worlds: Callable[[int], World], where: Filter) -> None:
    """Filters whose meaning hangs on a detail."""
    for seed in range(WORLDS):
        worlds(seed).check(Select(POSTS, JUST_ID, where, total=True))


@pytest.mark.parametrize("where", [*CORNERS.values(), IS_A, IS_RED], ids=[*CORNERS, "plain", "linked"])
def test_matching_records_come_first(worlds: Callable[[int], World], where: Filter) -> None:
    """An order may begin with the records for which a filter is true; false and unknown are the rest alike."""
    by_title = Sort(Path((), POSTS.fields["title"]))
    for seed in range(WORLDS):
        worlds(seed).check(Select(POSTS, JUST_ID, sort=(Matching(where), by_title), page=Page(5), total=True))


# ---- what a row of nulls gives ----


@settings(max_examples=200)
@given(asked=select(filters(6, [""], some=False)))
def test_true_on_nulls(asked: Asked) -> None:
    """`true_on_nulls` is what the evaluator says of a record of nulls."""
    where = asked.op.where
    assert minirest.true_on_nulls(where) is evaluator.truth({}, where, Spot(), {})


# ---- operators ----

ORDERED = frozenset({"eq", "in", "lt", "lte", "gt", "gte", "null", "empty"})
SEARCHED = frozenset({"contains", "startswith", "endswith", "like"})
OPERATORS_OF = {
    "title": ORDERED | SEARCHED,
    "mail": ORDERED | SEARCHED,
    "views": ORDERED,
    "score": ORDERED,
    "public": frozenset({"eq", "in", "null", "empty"}),
    "day": ORDERED,
    "moment": ORDERED,
    "clock": ORDERED,
    "labels": frozenset({"contains", "any", "same", "null", "empty"}),
    "colors": frozenset({"contains", "any", "same", "null", "empty"}),
    "extra": frozenset({"null", "empty"}),
    "extra.a": ORDERED | SEARCHED,
    "id": ORDERED,
    "author": frozenset({"null"}),
    "author.name": ORDERED | SEARCHED,
}


@pytest.mark.parametrize(("words", "expected"), OPERATORS_OF.items(), ids=OPERATORS_OF)
def test_operators_of_kinds(words: str, expected: frozenset[str]) -> None:
    """Each kind takes exactly its operators."""
    assert minirest.operators_of(Names(POSTS, WORDS).path(words.split("."))) == expected


# ---- statements ----

ID, TITLE, VIEWS = POSTS.id, POSTS.fields["title"], POSTS.fields["views"]
NAME = Path((TAGS,), TAG.fields["name"])
WEIGHT = Path((TAGS,), ROWS.fields["weight"])
AUTHOR_NAME = Path((AUTHOR,), AUTHORS.fields["name"])
HEAD = 'select t0."id",t0."_version",null,json_object(\'id\',t0."id") from "posts" t0 where '
BY_ID = ' order by t0."id"'
STATEMENTS: dict[str, tuple[Select, str, tuple[Any, ...]]] = {
    "all": (Select(POSTS, JUST_ID), HEAD + "1" + BY_ID, ()),
    "eq": (Select(POSTS, JUST_ID, Compare(Path((), TITLE), "eq", "it's")), HEAD + 't0."title"=?' + BY_ID, ("it's",)),
    "eq ascii": (
        Select(POSTS, JUST_ID, Compare(Path((), TITLE), "eq", "A", "fold")),
        HEAD + 't0."title"=? collate nocase' + BY_ID,
        ("A",),
    ),
    "eq fold": (
        Select(POSTS, JUST_ID, Compare(Path((), TITLE), "eq", "Ä", "fold")),
        HEAD + 'fold(t0."title")=?' + BY_ID,
        ("ä",),
    ),
    "contains fold": (
        Select(POSTS, JUST_ID, Compare(Path((), TITLE), "contains", "Ä", "fold")),
        HEAD + 'instr(fold(t0."title"),?)>0' + BY_ID,
        ("ä",),
    ),
    "contains fold of ASCII": (
        Select(POSTS, JUST_ID, Compare(Path((), TITLE), "contains", "A", "fold")),
        HEAD + 'instr(lower(t0."title"),?)>0' + BY_ID,
        ("a",),
    ),
    "in": (
        Select(POSTS, JUST_ID, Compare(Path((), VIEWS), "in", (1, 2))),
        HEAD + 't0."views" in (select value from json_each(?))' + BY_ID,
        ("[1,2]",),
    ),
    "span": (
        Select(POSTS, JUST_ID, Compare(Path((), POSTS.fields["day"]), "eq", minirest.parse_span("2024-05"))),
        HEAD + '(t0."day">=? and t0."day"<?)' + BY_ID,
        ("2024-05-01", "2024-06-01"),
    ),
    "trees": (
        Select(POSTS, JUST_ID, Or((Compare(Path((), TITLE), "null"), Not(Compare(Path((), VIEWS), "lt", 5))))),
        HEAD + '(t0."title" is null or not (t0."views"<?))' + BY_ID,
        (5,),
    ),
    "within": (
        Select(POSTS, JUST_ID, Compare(Path((), POSTS.fields["extra"], ("a.b", "c'd")), "gt", 1)),
        HEAD + 'json_extract(t0."extra",?)>?' + BY_ID,
        ('$."a.b"."c\'d"', 1),
    ),
    "page": (Select(POSTS, JUST_ID, page=Page(10, 20)), HEAD + "1" + BY_ID + " limit +? offset ?", (10, 20)),
    "linked records, of which no other column is read": (
        Select(POSTS, Arr((Sub(COMMENTS, Text(("/", Col(Path((), COMMENTS.target.id)))), many=True),))),
        'select t0."id",t0."_version",null,json_array((select json_group_array(\'\'||\'/\'||t1."id") from'
        ' (select "id" from "comments" t1 where t1."post_id"=t0."id" order by t1."id") t1)) from "posts" t0 where 1'
        + BY_ID,
        (),
    ),
    "scope": (Select(POSTS, JUST_ID, scope=Scope("no")), HEAD + 't0."_status"=0' + BY_ID, ()),
}


@pytest.mark.parametrize(("op", "text", "values"), STATEMENTS.values(), ids=STATEMENTS)
def test_statements(op: Select, text: str, values: tuple[Any, ...]) -> None:
    """The text of a statement and its values, whole."""
    assert Compiler().select(op) == minirest.Sql(text, values)


def test_operators_are_all_known() -> None:
    """Every operator of the vocabulary has its row, and no other."""
    assert set(minirest.OPERATORS) == set(minirest.Operator.__args__)  # type: ignore[attr-defined]


NASTY = ["'; drop table posts; --", '"', "'", "\\", "?", "{}", "{0}", "%s", ":x", "\n", "ß😀", "--", "/*"]


def asked_for(text: str, number: int) -> Select:
    """A request that holds its values in every place where one can stand."""
    paths = [Path((), TITLE), NAME, AUTHOR_NAME, Path((), POSTS.fields["extra"], ("key",))]
    ops: list[Any] = ["eq", "lt", "contains", "startswith", "endswith", "like"]
    terms: list[Filter] = [Compare(path, op, f"x{text}z") for path in paths for op in ops]
    terms += [Compare(path, "in", (text, "b")) for path in paths]
    terms += [Compare(Path((), POSTS.fields["labels"]), "any", (text,)), Compare(Path((), VIEWS), "gt", number)]
    return Select(
        POSTS,
        Obj((("c", Const("x" + text)), ("t", Text(("a", Col(Path((), TITLE))))), ("o", Const({"a": [text]})))),
        Some(And(tuple(terms))),
        Scope("no", minirest.On(f"2024-01-{number:02}")),
        (Sort(NAME), Sort(Path((TAGS,)))),
        Page(number, number),
    )


@pytest.mark.parametrize("text", NASTY)
def test_every_value_is_bound(text: str) -> None:
    """Requests that differ in values only have the same text; the values stand in none of it."""
    plain_one, nasty = Compiler().select(asked_for("zzz", 11)), Compiler().select(asked_for(text, 12))
    assert nasty.text == plain_one.text
    assert "zzz" not in plain_one.text
    assert len(nasty.values) == nasty.text.count("?")
    assert Compiler().total(asked_for(text, 12)).text == Compiler().total(asked_for("zzz", 11)).text


@pytest.mark.parametrize("key", ["a.b", "c'd", "[0]", "$", "*", "ü😀", " ", "a\\b", "#", "?", "\u2028"])
def test_keys_within_json(key: str) -> None:
    """A key into a JSON value is taken as it is written, whatever it holds."""
    database, connection = connect(SCHEMA)
    with contextlib.closing(database):
        for number, value in enumerate(({key: 1}, {key: 2}, {"other": 1}), 1):
            connection.execute("insert into posts (id, extra) values (?, ?)", (number, minirest.dump_json(value)))
        path = Names(POSTS, WORDS).path(["extra", key])
        found = minirest.read(connection, Select(POSTS, JUST_ID, Compare(path, "eq", 1)), minirest.FULL_SIGHT)
        assert [row.key for row in found.rows] == [1]


@pytest.mark.parametrize("key", ["", 'a"b', "a\nb"])
def test_keys_within_json_that_cannot_be_asked_for(key: str) -> None:
    """A key that not every SQLite finds by a path is refused."""
    with pytest.raises(minirest.ApiError) as caught:
        Names(POSTS, WORDS).path(["extra", key])
    assert (caught.value.code, caught.value.violations[0].params["name"]) == ("unknown_field", f"extra.{key}")


ODD = ['a"b', "select", "group", "it's", "{0}", "?", "ü 😀", "[x]", "`", ";--", "t0", "value", "x", "%s", "id "]


@pytest.mark.parametrize("name", ODD)
def test_odd_names(name: str) -> None:
    """Tables, fields and links may have any name: quotes, keywords, blanks."""
    odd = Table(name, {}, tracked=False)
    odd.system["id"] = Field("id", minirest.KINDS["id"], odd, "id", target=odd, is_system=True)
    text = Field(f"{name}1", minirest.KINDS["text"], odd, f"{name}1")
    own = Link(
        f"{name}2", odd, odd, many=False, key=Field(f"{name}3", minirest.KINDS["id"], odd, f"{name}3", target=odd)
    )
    back = Link(f"{name}4", odd, odd, many=True, back=own)
    odd.members.update({member.name: member for member in (text, own, back)})
    odd.indexes.append((text,))
    database = minirest.Database(":memory:")
    with contextlib.closing(database):
        connection = database.writer
        for statement in (minirest.create_table(odd), *minirest.indexes_of(odd).values()):
            connection.execute(*statement)
        table_name = minirest.quoted(name).text
        connection.executemany(f"insert into {table_name} values (?, ?, ?)", [(1, "a", None), (2, "b", 1), (3, "c", 1)])
        shape = Obj(
            (
                (name, Col(Path((), text))),
                ("up", Col(Path((own,), text))),
                ("down", Sub(back, Col(Path((), odd.id)), True)),
            )
        )
        where = Some(And((Compare(Path((own,), text), "eq", "a"), Not(Compare(Path((), text), "eq", "c")))))
        op = Select(odd, shape, where, sort=(Sort(Path((own,), text)),), page=Page(5), total=True)
        assert minirest.read(connection, op, minirest.FULL_SIGHT) == minirest.Outcome(
            [minirest.Row(2, 0, None, minirest.dump_json({name: "b", "up": "a", "down": []}))], 1
        )
        linked = Select(odd, Obj(((name, Const(1)),)), parent=Parent(back, Key(odd.id, 1)))
        assert [row.key for row in minirest.read(connection, linked, minirest.FULL_SIGHT).rows] == [2, 3]
        by_text = Select(odd, Obj(()), parent=Parent(back, Key(text, "a")))
        assert [row.key for row in minirest.read(connection, by_text, minirest.FULL_SIGHT).rows] == [2, 3]


# ---- plans ----


def index_of(of: Table, number: int) -> str:
    """The name of the index on the first field of the table that has one; the second is the one without case."""
    keys = len(of.keys)
    return [name for name in minirest.indexes_of(of) if "unique" not in name][keys + number - 1]


@contextlib.contextmanager
def traced(connection: sqlite3.Connection) -> Iterator[list[str]]:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    yield statements
    connection.set_trace_callback(None)


def plan(connection: sqlite3.Connection, op: Select) -> list[str]:
    """What `explain query plan` says of a Select, one step a line."""
    text, values = Compiler().select(op)
    return [row[3] for row in connection.execute(f"explain query plan {text}", values)]


def fill(connection: sqlite3.Connection, posts: int, links: int) -> None:
    """Posts with an author each, and links to tags, spread evenly."""
    tags = max(posts // 10, 10)
    connection.execute("begin")
    connection.executemany("insert into authors (id, name) values (?, ?)", ((n, f"a{n}") for n in range(1, 101)))
    connection.executemany("insert into tags (id, name) values (?, ?)", ((n, f"t{n}") for n in range(1, tags + 1)))
    rows = ((n, f"p{n}", n % 100 + 1, 1, 0) for n in range(1, posts + 1))
    connection.executemany("insert into posts (id, title, author_id, _version, _status) values (?, ?, ?, ?, ?)", rows)
    pairs_ = ((n % posts + 1, (n * 7 + n // posts) % tags + 1) for n in range(links))
    connection.executemany("insert into postsTags (post_id, tag_id) values (?, ?)", pairs_)
    connection.execute("commit")


def test_one_statement_with_indexes() -> None:
    """A list of 100 records, each with a unique and a many link, is one statement and scans the main table only."""
    database, connection = connect(SCHEMA)
    with contextlib.closing(database):
        fill(connection, 150, 450)
        author = Sub(AUTHOR, Obj((("name", Col(Path((), AUTHORS.fields["name"]))),)), many=False)
        tags = Sub(
            TAGS,
            Obj((("name", Col(Path((), TAG.fields["name"]))), ("weight", Col(Path((), ROWS.fields["weight"]))))),
            True,
        )
        op = Select(POSTS, Obj((("title", Col(Path((), TITLE))), ("author", author), ("tags", tags))), page=Page(100))
        with traced(connection) as statements:
            found = minirest.read(connection, op, minirest.FULL_SIGHT)
        assert len(statements) == 1
        assert len(found.rows) == 100
        assert json.loads(found.rows[1].text)["author"] == {"name": "a3"}
        assert {len(json.loads(row.text)["tags"]) for row in found.rows} == {3}
        steps = plan(connection, op)
        assert [step for step in steps if step.startswith(("SCAN t", "SCAN j"))] == ["SCAN t0"]
        assert sum(step.startswith("SEARCH") for step in steps) == 3


@pytest.fixture(scope="module")
def crowd() -> Iterator[sqlite3.Connection]:
    """50,000 posts with 150,000 links to tags."""
    database, connection = connect(SCHEMA)
    with contextlib.closing(database):
        fill(connection, 50_000, 150_000)
        yield connection


NAME_IS = Compare(NAME, "eq", "t77")
STARTS_AT_TARGET: dict[str, tuple[Filter, str]] = {
    "many to many": (Some(NAME_IS), f"INDEX {index_of(TAG, 1)} (name=?)"),
    "bare": (NAME_IS, f"INDEX {index_of(TAG, 1)} (name=?)"),
    "without case": (Some(Compare(NAME, "eq", "T77", "fold")), f"INDEX {index_of(TAG, 2)} (name=?)"),
    "beginning": (Some(Compare(NAME, "startswith", "t77")), f"INDEX {index_of(TAG, 1)} (name>? AND name<?)"),
    "with the row": (Some(And((NAME_IS, Not(Compare(WEIGHT, "eq", 1))))), f"INDEX {index_of(TAG, 1)} (name=?)"),
    "beside a field": (
        Some(And((NAME_IS, Compare(Path((), TITLE), "like", "p%")))),
        f"INDEX {index_of(TAG, 1)} (name=?)",
    ),
    "beside a link": (Some(And((NAME_IS, Compare(AUTHOR_NAME, "eq", "a7")))), f"INDEX {index_of(TAG, 1)} (name=?)"),
    "two groups": (And((Some(NAME_IS), Some(Compare(NAME, "eq", "t78")))), f"INDEX {index_of(TAG, 1)} (name=?)"),
    "unique link": (Some(Compare(AUTHOR_NAME, "eq", "a7")), f"INDEX {index_of(AUTHORS, 1)} (name=?)"),
}


@pytest.mark.parametrize(("where", "index"), STARTS_AT_TARGET.values(), ids=STARTS_AT_TARGET)
def test_link_filters_start_at_the_target(crowd: sqlite3.Connection, where: Filter, index: str) -> None:
    """A filter through a link begins with the target's index; no table is read as a whole."""
    steps = plan(crowd, Select(POSTS, JUST_ID, where, page=Page(20)))
    assert [step for step in steps if step.startswith("SCAN") and "json_each" not in step] == []
    assert [step for step in steps if index in step] != []
    assert steps[0].startswith("SEARCH t0 USING")


@pytest.mark.parametrize(("sort", "number"), [("exact", 1), ("ascii", 2)])
def test_orders_use_an_index(crowd: sqlite3.Connection, sort: Any, number: int) -> None:
    """The first page by an indexed field is read from the index, not sorted out of all records."""
    op = Select(POSTS, JUST_ID, sort=(Sort(Path((), TITLE), nulls="first", case=sort),), page=Page(20))
    assert plan(crowd, op) == [f"SCAN t0 USING INDEX {index_of(POSTS, number)}"]
