"""Sections 5 and 7: names, filters in JSON with every word, values in bodies, variables and the guard."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import minirest
from minirest import (
    FALSE,
    TRUE,
    Actor,
    And,
    ApiError,
    Archive,
    Batch,
    Change,
    Col,
    Compare,
    Create,
    Delete,
    Field,
    Filter,
    Item,
    Key,
    Link,
    Manner,
    Move,
    Names,
    Not,
    Obj,
    Operation,
    Or,
    Parent,
    Path,
    Relink,
    Select,
    Some,
    Sort,
    Span,
    Update,
    Upsert,
    Variable,
    Violation,
    bind_variables,
    filter_from_json,
    guard,
    read_values,
)
from tests.web import many, one

TEXT: dict[str, Any] = {"type": "string"}


def table(*examples: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "examples": list(examples)}


POST = {
    "title": TEXT,
    "views": {"type": "integer"},
    "score": {"type": "number"},
    "published": {"type": "boolean"},
    "publishedAt": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "clock": {"type": "string", "format": "time"},
    "labels": {"type": "array", "items": TEXT},
    "numbers": {"type": "array", "items": {"type": "integer"}},
    "extra": {"type": "object"},
    "code": {"type": "string", "readOnly": True},
    "secret": {"type": "string", "writeOnly": True},
    "author": one("authors", **{"x-column": "authorId"}),
    "tags": many("tags", **{"x-through": "postsTags"}),
    "comments": many("comments", **{"x-inverse": "post"}),
    "parent": one("posts"),
    "locked": one("authors", readOnly=True),
}
DOCUMENT: dict[str, Any] = {
    "$defs": {
        "posts": table(
            {
                "title": "Alpha",
                "views": 5,
                "score": 1.5,
                "published": True,
                "publishedAt": "2022-05-19T10:00:00.000Z",
                "day": "2022-05-19",
                "labels": ["a", "b"],
                "numbers": [1, 2],
                "extra": {"a": 1, "b": {"c": "x"}},
                "secret": "s",
                "author": 1,
            },
            {
                "title": "beta's",
                "views": 10,
                "published": False,
                "publishedAt": "2022-05-19T23:59:59.999Z",
                "labels": ["b", "a"],
                "extra": {"a": 2},
                "author": 2,
                "parent": 1,
            },
            {},
            {"title": "", "views": 0, "publishedAt": "2022-05-20", "day": "2022-05-20", "labels": [], "author": 1},
            {
                "title": "ALPHA",
                "views": 5,
                "published": True,
                "publishedAt": "2022-06-01",
                "labels": ["c", "it's"],
                "numbers": [5],
                "author": 3,
                "parent": 2,
            },
            **POST,
        ),
        "authors": table(
            {"name": "Ann", "email": "ann@x.de"},
            {"name": "Bob"},
            {},
            name=TEXT,
            email=TEXT,
            posts=many("posts", **{"x-inverse": "author"}),
        ),
        "tags": table(
            {"name": "red", "color": "r"},
            {"name": "blue", "color": "r"},
            {"name": "it's", "color": "b"},
            name=TEXT,
            color=TEXT,
        ),
        "postsTags": table(
            {"post": 1, "tag": 1, "weight": 7},
            {"post": 1, "tag": 2, "weight": 3},
            {"post": 2, "tag": 2, "weight": 9},
            {"post": 5, "tag": 3},
            post=one("posts"),
            tag=one("tags"),
            weight={"type": "integer"},
            notes=many("notes", **{"x-inverse": "row"}),
        ),
        "notes": table({"text": "n3", "row": 3}, text=TEXT, row=one("postsTags")),
        "comments": table({"text": "c1", "post": 1}, {"text": "c2", "post": 4}, text=TEXT, post=one("posts")),
    }
}
SCHEMA = minirest.load_schema(DOCUMENT)
POSTS = SCHEMA.find("posts")
RULES = minirest.RULE_MANNER
NOCOBASE = Manner(words=minirest.NOCOBASE_WORDS, shows_keys=True)
NAMES = Names(POSTS, NOCOBASE)
NOON = datetime(2022, 6, 1, 12, tzinfo=UTC)
JUST_ID = Obj((("id", Col(Path((), POSTS.id))),))
AUTHOR, TAGS, COMMENTS = POSTS.links["author"], POSTS.links["tags"], POSTS.links["comments"]


@pytest.fixture(scope="module")
def store() -> Iterator[minirest.Store]:
    made = minirest.Store(minirest.load_schema(DOCUMENT), ":memory:", lambda: NOON)
    yield made
    made.close()


def ids(store: minirest.Store, where: Any, manner: Manner = NOCOBASE) -> list[int]:
    """The ids of the posts that a filter in JSON, or one as data, selects."""
    posts = store.schema.find("posts")
    found = filter_from_json(Names(posts, manner), where) if isinstance(where, dict | list) else where
    return [row.key for row in store.run(Select(posts, Obj(()), found)).rows]


def field(words: str) -> Path:
    return NAMES.path(words.split("."))


def refused(work: Any, *arguments: Any) -> tuple[str, dict[str, Any]]:
    """Code and parameters of the ApiError that a call raises."""
    with pytest.raises(ApiError) as caught:
        work(*arguments)
    (violation,) = caught.value.violations
    assert (violation.path, violation.rule) == ((), caught.value.code)
    return caught.value.code, {name: str(value) for name, value in violation.params.items()}


# ---- every word of filters in JSON, with null rows ----

ALL = [1, 2, 3, 4, 5]
AT, DAY = "publishedAt", "day"
WORDS: list[tuple[Any, list[int]]] = [
    ({}, ALL),
    ([], ALL),
    # equality
    ({"title": "Alpha"}, [1]),
    ({"title.$eq": "Alpha"}, [1]),
    ({"title": {"$eq": "Alpha"}}, [1]),
    ({"title": None}, [3]),
    ({"title.$eq": None}, [3]),
    ({"title": ["Alpha", ""]}, [1, 4]),
    ({"title.$eq": ["Alpha", ""]}, [1, 4]),
    ({"views": []}, []),
    ({"title": ["Alpha", None]}, [1]),
    ({"title.$ne": "Alpha"}, [2, 3, 4, 5]),
    ({"title.$ne": None}, [1, 2, 4, 5]),
    ({"title.$ne": ["Alpha", ""]}, [2, 3, 5]),
    ({"title.$eq": 5}, []),
    ({"views": "5"}, [1, 5]),
    ({"score": 1.5}, [1]),
    ({"score": "1.5"}, [1]),
    ({"published": True}, [1, 5]),
    ({"published": "true"}, [1, 5]),
    ({"title": "beta's"}, [2]),
    ({"title": "' or 1=1 --"}, []),
    # order
    ({"views.$gt": 5}, [2]),
    ({"views.$gte": 5}, [1, 2, 5]),
    ({"views.$lt": 5}, [4]),
    ({"views.$lte": 5}, [1, 4, 5]),
    ({f"{AT}.$gt": "2022-05-20"}, [5]),
    ({f"{AT}.$gte": "2022-05-20"}, [4, 5]),
    ({f"{AT}.$lt": "2022-05-20"}, [1, 2]),
    ({f"{AT}.$lte": "2022-05-20"}, [1, 2, 4]),
    ({AT: "2022-05-20"}, [4]),
    ({f"{AT}.$gt": "2022-05-19T12:00:00+02:00"}, [2, 4, 5]),
    ({f"{DAY}.$lte": "2022-05-19"}, [1]),
    # lists of values
    ({"views.$in": [5, 10]}, [1, 2, 5]),
    ({"views.$in": 5}, [1, 5]),
    ({"views.$in": []}, []),
    ({"views.$in": ["5", None]}, [1, 5]),
    ({"views.$notIn": [5]}, [2, 3, 4]),
    ({"views.$notIn": []}, [3]),
    ({"views.$between": [0, 5]}, [1, 4, 5]),
    ({"views.$notBetween": [0, 5]}, [2]),
    # null
    ({"title.$is": None}, [3]),
    ({"title.$not": None}, [1, 2, 4, 5]),
    ({"views.$not": 5}, [2, 4]),
    # text
    ({"title.$like": "alpha"}, [1, 5]),
    ({"title.$like": "_lph%"}, [1, 5]),
    ({"title.$like": "lph"}, []),
    ({"title.$notLike": "%a%"}, [4]),
    ({"title.$iLike": "%A%"}, [1, 2, 5]),
    ({"title.$notILike": "alpha"}, [2, 4]),
    ({"title.$includes": "LPH"}, [1, 5]),
    ({"title.$includes": ["LPH", "'"]}, [1, 2, 5]),
    ({"title.$includes": "%"}, []),
    ({"title.$includes": "_"}, []),
    ({"title.$includes": []}, []),
    ({"title.$notIncludes": "lph"}, [2, 4]),
    ({"title.$notIncludes": ["lph", "'"]}, [4]),
    ({"title.$startsWith": "al"}, [1, 5]),
    ({"title.$startsWith": ["al", "BE"]}, [1, 2, 5]),
    ({"title.$notStartsWith": "al"}, [2, 4]),
    ({"title.$notStartsWith": ["al", "BE"]}, [4]),
    ({"title.$endWith": "HA"}, [1, 5]),
    ({"title.$endsWith": "HA"}, [1, 5]),
    ({"title.$endWith": ["HA", "S"]}, [1, 2, 5]),
    ({"title.$notEndWith": "ha"}, [2, 4]),
    ({"title.$notEndWith": ["ha", "s"]}, [4]),
    # presence
    ({"title.$empty": True}, [3, 4]),
    ({"title.$empty": False}, [3, 4]),
    ({"views.$empty": ""}, [3]),
    ({"labels.$empty": True}, [3, 4]),
    ({"extra.$empty": True}, [3, 4, 5]),
    ({"title.$notEmpty": True}, [1, 2, 5]),
    ({"views.$notEmpty": True}, [1, 2, 4, 5]),
    ({"labels.$notEmpty": True}, [1, 2, 5]),
    # lists
    ({"labels.$match": ["a", "b"]}, [1, 2]),
    ({"labels.$match": ["b", "a", "a"]}, [1, 2]),
    ({"labels.$match": ["a"]}, []),
    ({"labels.$notMatch": ["b", "a"]}, [4, 5]),
    ({"labels.$anyOf": ["a", "c"]}, [1, 2, 5]),
    ({"labels.$anyOf": ["it's"]}, [5]),
    ({"labels.$anyOf": "c"}, [5]),
    ({"labels.$anyOf": []}, []),
    ({"labels.$noneOf": ["a"]}, [3, 4, 5]),
    ({"numbers.$anyOf": [2, 3]}, [1]),
    ({"numbers.$anyOf": ["2"]}, [1]),
    ({"labels.$arrayEmpty": True}, [3, 4]),
    ({"labels.$arrayNotEmpty": True}, [1, 2, 5]),
    # truth
    ({"published.$isTruly": True}, [1, 5]),
    ({"published.$isTruly": False}, [2, 3, 4]),
    ({"published.$isFalsy": True}, [2, 3, 4]),
    ({"published.$isFalsy": False}, [1, 5]),
    ({"published.$isTruly": "false"}, [2, 3, 4]),
    # existence of links
    ({"author.$exists": True}, [1, 2, 4, 5]),
    ({"author.$notExists": True}, [3]),
    ({"author.id.$exists": True}, [1, 2, 4, 5]),
    ({"author.name.$exists": True}, [1, 2, 4]),
    ({"author.name.$notExists": True}, [3, 5]),
    ({"tags.$exists": True}, [1, 2, 5]),
    ({"tags.$notExists": True}, [3, 4]),
    ({"comments.$exists": True}, [1, 4]),
    # dates
    ({f"{AT}.$dateOn": "2022-05-19"}, [1, 2]),
    ({f"{AT}.$dateOn": "2022-05-19+08:00"}, [1]),
    ({f"{AT}.$dateOn": "2022-05-20+08:00"}, [2, 4]),
    ({f"{AT}.$dateOn": "2022-05"}, [1, 2, 4]),
    ({f"{AT}.$dateOn": "2022"}, [1, 2, 4, 5]),
    ({f"{AT}.$dateOn": "2022Q2"}, [1, 2, 4, 5]),
    ({f"{AT}.$dateOn": "2022-W20"}, [1, 2, 4]),
    ({f"{AT}.$dateOn": "2022-05-19T10"}, [1]),
    ({f"{AT}.$dateOn": "2022-05-19T10:00:00.000Z"}, [1]),
    ({f"{DAY}.$dateOn": "2022-05-19"}, [1]),
    ({f"{DAY}.$dateOn": "2022-05"}, [1, 4]),
    ({f"{AT}.$dateNotOn": "2022-05-19"}, [4, 5]),
    ({f"{AT}.$dateBefore": "2022-05-20"}, [1, 2]),
    ({f"{AT}.$dateNotBefore": "2022-05-20"}, [4, 5]),
    ({f"{AT}.$dateAfter": "2022-05-19"}, [4, 5]),
    ({f"{AT}.$dateAfter": "2022-05"}, [5]),
    ({f"{AT}.$dateAfter": "2022-05-19T10:00:00.000Z"}, [2, 4, 5]),
    ({f"{AT}.$dateNotAfter": "2022-05-19"}, [1, 2]),
    ({f"{AT}.$dateBetween": ["2022-05-19", "2022-05-20"]}, [1, 2, 4]),
    ({f"{AT}.$dateBetween": "[2022-05-19,2022-05-20]"}, [1, 2, 4]),
    ({f"{AT}.$dateBetween": "[2022-05-19,2022-05-20)"}, [1, 2]),
    ({f"{AT}.$dateBetween": "(2022-05-19,2022-06]"}, [4, 5]),
    ({f"{AT}.$dateBetween": "(2022-05-19,2022-06)"}, [4]),
    # groups
    ({"$and": []}, ALL),
    ({"$or": []}, ALL),
    ({"$or": [{"views": 10}, {"title": ""}]}, [2, 4]),
    ({"$and": [{"views": 5}, {"$or": [{"title": "ALPHA"}, {"views": 10}]}]}, [5]),
    ({"views": {"$or": [10, 0]}}, [2, 4]),
    ({"views.$or": [{"$lt": 1}, {"$gt": 9}]}, [2, 4]),
    ({"views": {"$and": [{"$gt": 0}, {"$lt": 10}]}}, [1, 5]),
    ({"views": {"$gt": 0, "$lt": 10}}, [1, 5]),
    ({"views": 5, "title": "ALPHA"}, [5]),
    ({"$not": {"title": "Alpha"}}, [2, 4, 5]),
    ({"$not": [{"views": 5}, {"title": "Alpha"}]}, [2, 4, 5]),
    ({"$not": {"views.$in": []}}, [1, 2, 4, 5]),
    ({"$not": {"$not": {"title": "Alpha"}}}, [1]),
    ({"title": {"$not": {"$includes": "a"}}}, [4]),
    # within JSON
    ({"extra.a": 1}, [1]),
    ({"extra.a.$gt": 1}, [2]),
    ({"extra": {"a": {"$gte": 1}}}, [1, 2]),
    ({"extra.b.c": "x"}, [1]),
    ({"extra.b.c.$includes": "X"}, [1]),
    ({"extra.a.$ne": 1}, [2, 3, 4, 5]),
    ({"extra.a": None}, [3, 4, 5]),
    # links: no linked record is a record of nulls, and no record comes twice
    ({"author.name": "Ann"}, [1, 4]),
    ({"author": {"name": "Ann"}}, [1, 4]),
    ({"author.name.$ne": "Ann"}, [2, 3, 5]),
    ({"author.name": None}, [3, 5]),
    ({"author.email.$includes": "X.DE"}, [1, 4]),
    ({"tags.name": "blue"}, [1, 2]),
    ({"tags.color": "r"}, [1, 2]),
    ({"tags.name.$ne": "red"}, ALL),
    ({"tags.color.$ne": "r"}, [3, 4, 5]),
    ({"tags.name.$notIn": ["blue", "it's"]}, [1, 3, 4]),
    ({"tags.name.$in": []}, []),
    ({"$not": {"tags.color": "r"}}, [5]),
    ({"tags.name": "red", "tags.color": "b"}, []),
    ({"tags.name": "it's", "tags.color": "b"}, [5]),
    ({"tags": {"name": "blue", "color": "r"}}, [1, 2]),
    ({"$or": [{"tags.name": "red"}, {"title": "beta's"}], "tags.color": "r"}, [1, 2]),
    ({"$or": [{"tags.name": "red"}, {"title": "beta's"}], "tags.color": "b"}, []),
    ({"$or": [{"tags.name": "it's"}, {"author.name": "Bob"}, {"title": None}]}, [2, 3, 5]),
    ({"tags.postsTags.weight.$gt": 5}, [1, 2]),
    ({"tags.name": "blue", "tags.postsTags.weight.$gt": 5}, [2]),
    ({"tags.postsTags.weight": None}, [3, 4, 5]),
    ({"tags.postsTags.notes.text": "n3"}, [2]),
    ({"tags.postsTags.notes.$notExists": True}, [1, 3, 4, 5]),
    ({"author.posts.title": "ALPHA"}, [5]),
    ({"author.posts.comments.text": "c2"}, [1, 4]),
    ({"parent.parent.title": "Alpha"}, [5]),
    ({"parent.tags.name": "red"}, [2]),
    # names of columns
    ({"authorId": 1}, [1, 4]),
    ({"authorId.$in": [2, 3]}, [2, 5]),
    ({"parent_id": None}, [1, 3, 4]),
    ({"id.$gt": 3}, [4, 5]),
    ({"id": "3"}, [3]),
    ({"createdAt.$gt": "2022-06-01"}, ALL),
    ({"createdAt.$dateOn": "2022-06-01"}, ALL),
    ({"updatedAt.$gt": "2022-06-01T12:00:00.000Z"}, []),
    ({"createdById": None}, ALL),
]


@pytest.mark.parametrize(("where", "expected"), WORDS, ids=[str(where) for where, _ in WORDS])
def test_words(store: minirest.Store, where: Any, expected: list[int]) -> None:
    """Every word of a filter in JSON selects its records; what is null only where the word says so."""
    assert ids(store, where) == expected


def test_no_word_is_without_a_request() -> None:
    """The table above has every word that is known."""
    text = str([where for where, _ in WORDS])
    assert [word for word in minirest.JSON_OPERATORS if f"{word}'" not in text] == []


TITLE, VIEWS, PUBLISHED, LABELS = field("title"), field("views"), field("published"), field("labels")
TAG_NAME, TAG_COLOR = field("tags.name"), field("tags.color")
YEAR = Span("2022-01-01T00:00:00.000Z", "2023-01-01T00:00:00.000Z")
TREES: list[tuple[Any, Filter]] = [
    ({}, TRUE),
    ([], TRUE),
    ({"title": "x"}, Compare(TITLE, "eq", "x")),
    ({"title": None}, Compare(TITLE, "null")),
    ({"title.$ne": "x"}, Or((Not(Compare(TITLE, "eq", "x")), Compare(TITLE, "null")))),
    ({"views": [1, "2"]}, Compare(VIEWS, "in", (1, 2))),
    ({"views": 1, "title": "x"}, And((Compare(VIEWS, "eq", 1), Compare(TITLE, "eq", "x")))),
    ({"views.$notIn": []}, Compare(VIEWS, "null")),
    ({"views.$between": [1, 2]}, And((Compare(VIEWS, "gte", 1), Compare(VIEWS, "lte", 2)))),
    ({"title.$includes": "x"}, Compare(TITLE, "contains", "x", "ascii")),
    ({"title.$like": "x%"}, Compare(TITLE, "like", "x%")),
    ({"title": 5}, Compare(TITLE, "eq", "5")),
    ({"published": True}, Compare(PUBLISHED, "eq", 1)),
    ({"labels.$noneOf": ["a"]}, Not(Compare(LABELS, "any", ("a",)))),
    ({"publishedAt.$dateOn": "2022"}, Compare(field(AT), "eq", YEAR)),
    ({"publishedAt.$dateAfter": "2022"}, Compare(field(AT), "gt", YEAR)),
    ({"publishedAt.$gt": "2022-05-19"}, Compare(field(AT), "gt", "2022-05-19T00:00:00.000Z")),
    ({"$not": {"title": "x"}}, Not(Compare(TITLE, "eq", "x"))),
    ({"extra.a.$gt": 1}, Compare(Path((), POSTS.fields["extra"], ("a",)), "gt", 1)),
    ({"authorId": 1}, Compare(Path((), AUTHOR.key), "eq", 1)),
    ({"createdAt": None}, Compare(Path((), POSTS.system["_created"]), "null")),
    (
        {"tags.name": "a", "tags.color": "r"},
        Some(And((Compare(TAG_NAME, "eq", "a"), Compare(TAG_COLOR, "eq", "r")))),
    ),
    (
        {"$or": [{"tags.name": "a"}, {"title": "x"}], "tags.color": "r"},
        Some(And((Or((Compare(TAG_NAME, "eq", "a"), Compare(TITLE, "eq", "x"))), Compare(TAG_COLOR, "eq", "r")))),
    ),
    ({"tags.$exists": True}, Some(Not(Compare(Path((TAGS,), TAGS.target.id), "null")))),
    (
        {"tags.postsTags.weight.$gt": 5},
        Some(Compare(Path((TAGS,), SCHEMA.find("postsTags").fields["weight"]), "gt", 5)),
    ),
]


@pytest.mark.parametrize(("where", "expected"), TREES, ids=[str(where) for where, _ in TREES])
def test_trees(where: Any, expected: Filter) -> None:
    """What a filter in JSON means, as data; one `Some` around it where it names links."""
    assert filter_from_json(NAMES, where) == expected


WHOLE = "a whole number of 64 bits"
THERE = "$exists, $notExists"
NO_VALUE = "$empty, $notEmpty, $arrayEmpty, $arrayNotEmpty"
ALIKE = "$eq, $ne, $is, $not"
BOOLEAN_WORDS = f"{ALIKE}, $in, $notIn, {NO_VALUE}, $isTruly, $isFalsy, {THERE}"
TEXT_WORDS = (
    f"{ALIKE}, $gt, $gte, $lt, $lte, $in, $notIn, $between, $notBetween, $like, $notLike, $iLike, $notILike, "
    "$includes, $notIncludes, $startsWith, $notStartsWith, $endWith, $endsWith, $notEndWith, "
    f"{NO_VALUE}, {THERE}"
)
BROKEN: list[tuple[Any, str]] = [
    ({"nope": 1}, "unknown_field"),
    ({"tilte": 1}, "unknown_field"),
    ({"": 1}, "unknown_field"),
    ({"title..x": 1}, "unknown_field"),
    ({"title.x": 1}, "unknown_field"),
    ({"author.nope": 1}, "unknown_field"),
    ({"postsTags.weight": 1}, "unknown_field"),
    ({"author.postsTags.weight": 1}, "unknown_field"),
    ({"secret": "s"}, "unknown_field"),
    ({"secret.$empty": True}, "unknown_field"),
    ({"_created": 1}, "unknown_field"),
    ({"_owner": 1}, "unknown_field"),
    ({"created_at": 1}, "unknown_field"),
    ({'extra.a"b': 1}, "unknown_field"),
    ({"extra.a\n": 1}, "unknown_field"),
    ({"day.month": 5}, "unknown_field"),
    ({"title.$nope": 1}, "unknown_operator"),
    ({"title.$regexp": "a"}, "unknown_operator"),
    ({"title.$iRegexp": "a"}, "unknown_operator"),
    ({"title.$notRegexp": "a"}, "unknown_operator"),
    ({"title.$notIRegexp": "a"}, "unknown_operator"),
    ({"title.$EQ": "a"}, "unknown_operator"),
    ({"views.$includes": "1"}, "unknown_operator"),
    ({"published.$gt": True}, "unknown_operator"),
    ({"labels.$gt": "a"}, "unknown_operator"),
    ({"labels": "a"}, "unknown_operator"),
    ({"extra.$gt": 1}, "unknown_operator"),
    ({"title.$anyOf": ["a"]}, "unknown_operator"),
    ({"labels.$dateBetween": ["2022", "2023"]}, "bad_filter"),
    ({"title.$dateOn": "2022"}, "bad_filter"),
    ({"views.$dateOn": "2022"}, "bad_filter"),
    ({"clock.$dateOn": "2022"}, "bad_filter"),
    ({"author": 1}, "bad_filter"),
    ({"tags.postsTags": 1}, "bad_filter"),
    ({"title.$eq.$ne": 1}, "bad_filter"),
    ({"$and": {"title": "x"}}, "bad_filter"),
    ({"$or": "x"}, "bad_filter"),
    ({"$eq": 1}, "bad_filter"),
    ({"$exists": True}, "bad_filter"),
    ({"$and": [5]}, "bad_filter"),
    (5, "bad_filter"),
    ("title", "bad_filter"),
    (None, "bad_filter"),
    (["title"], "bad_filter"),
    ({"views.$between": [1]}, "bad_filter"),
    ({"views.$between": 5}, "bad_filter"),
    ({"publishedAt.$dateBetween": ["2022"]}, "bad_filter"),
    ({"publishedAt.$dateBetween": "[2022-05-01,2022-05-02]rubbish"}, "bad_filter"),
    ({"views": "abc"}, "bad_value"),
    ({"views": 1.5}, "bad_value"),
    ({"views": 2**63}, "bad_value"),
    ({"views": True}, "bad_value"),
    ({"views.$gt": None}, "bad_value"),
    ({"views.$gt": [1]}, "bad_value"),
    ({"views.$eq": {"a": 1}}, "bad_value"),
    ({"published": "maybe"}, "bad_value"),
    ({"published": 5}, "bad_value"),
    ({"title": True}, "bad_value"),
    ({"title.$includes": None}, "bad_value"),
    ({"publishedAt": "yesterday"}, "bad_value"),
    ({"publishedAt.$dateOn": "yesterday"}, "bad_value"),
    ({"publishedAt.$dateOn": 2022}, "bad_value"),
    ({"publishedAt.$dateOn": "2022-13"}, "bad_value"),
    ({"day": "2022-02-30"}, "bad_value"),
    ({"id": "x"}, "bad_value"),
    ({"labels.$anyOf": [["a"]]}, "bad_value"),
    ({"author.$gt": 1}, "bad_filter"),
]


@pytest.mark.parametrize(("where", "code"), BROKEN, ids=[str(where) for where, _ in BROKEN])
def test_broken_filters(where: Any, code: str) -> None:
    """Whatever is not right is refused with the code that says what it is."""
    assert refused(filter_from_json, NAMES, where)[0] == code


MESSAGES: list[tuple[Any, str, dict[str, str]]] = [
    (
        {"tilte": 1},
        "unknown_field",
        {"name": "tilte", "table": "posts", "hint": "; did you mean 'title'?"},
    ),
    ({"author.nam": 1}, "unknown_field", {"name": "nam", "table": "authors", "hint": "; did you mean 'name'?"}),
    ({"title.$anyOf": ["a"]}, "unknown_operator", {"name": "$anyOf", "field": "title", "allowed": TEXT_WORDS}),
    ({"title.$nope": "a"}, "unknown_operator", {"name": "$nope", "field": "title", "allowed": TEXT_WORDS}),
    ({"extra.$gt": 1}, "unknown_operator", {"name": "$gt", "field": "extra", "allowed": f"{NO_VALUE}, {THERE}"}),
    ({"author.$nope": 1}, "unknown_operator", {"name": "$nope", "field": "author", "allowed": THERE}),
    ({"published.$gt": 1}, "unknown_operator", {"name": "$gt", "field": "published", "allowed": BOOLEAN_WORDS}),
    (
        {"author.name.$dateOn": "2024-05-01"},
        "bad_filter",
        {"name": "author.name", "reason": "it is no date"},
    ),
    ({"createdAt.$dateOn": "soon"}, "bad_value", {"value": '"soon"', "field": "createdAt", "expected": "a date"}),
    (
        {"author.name.$between": ["a"]},
        "bad_filter",
        {"name": "author.name", "reason": "write a list of two values"},
    ),
    ({"comments.id": "x"}, "bad_value", {"value": '"x"', "field": "comments.id", "expected": WHOLE}),
    ({"views": "abc"}, "bad_value", {"value": '"abc"', "field": "views", "expected": WHOLE}),
    ({"$or": 5}, "bad_filter", {"name": "$or", "reason": "write a list"}),
]


@pytest.mark.parametrize(("where", "code", "params"), MESSAGES, ids=[str(where) for where, _, _ in MESSAGES])
def test_messages_name_the_offender(where: Any, code: str, params: dict[str, str]) -> None:
    """A refusal names the word, where it stands and what is allowed."""
    assert refused(filter_from_json, NAMES, where) == (code, params)


# ---- limits ----


def nested(depth: int, word: str, key: str = "title.$eq") -> dict[str, Any]:
    where: dict[str, Any] = {key: "Alpha"}
    for _ in range(depth):
        where = {word: [where]}
    return where


@pytest.mark.parametrize("word", ["$and", "$or"])
def test_depth(store: minirest.Store, word: str) -> None:
    """A filter may nest 8 deep, not 9."""
    assert ids(store, nested(8, word)) == [1]
    assert ids(store, nested(8, word, "title")) == [1]
    assert refused(filter_from_json, NAMES, nested(9, word))[0] == "filter_too_large"
    assert refused(filter_from_json, NAMES, nested(5000, word))[0] == "filter_too_large"


def test_terms(store: minirest.Store) -> None:
    """A filter may have 100 terms, not 101."""
    assert ids(store, {"$or": [{"views": 10}] * 100}) == [2]
    code, params = refused(filter_from_json, NAMES, {"$or": [{"views": 10}] * 101})
    assert (code, params) == ("filter_too_large", {"reason": "more than 100 terms"})


def wide_names(links: int) -> Names:
    """A table with that many links to one other."""
    properties = {f"l{number}": one("b") for number in range(links)}
    return Names(minirest.load_schema({"$defs": {"a": table(**properties), "b": table(x=TEXT)}}).find("a"), NOCOBASE)


def test_links_in_one_filter() -> None:
    """All paths of a filter together may use 16 links, not 17; the same link counts once."""
    names = wide_names(17)
    wide = {"$or": [{f"l{number}.x": "1"} for number in range(17)]}
    assert refused(filter_from_json, names, wide)[0] == "filter_too_large"
    wide["$or"] = [{f"l{number % 16}.x": "1"} for number in range(40)]
    assert len(list(minirest.paths_of(filter_from_json(names, wide)))) == 40


def test_links_in_one_path() -> None:
    """A path may go along 16 links, not 17."""
    assert len(NAMES.path(["parent"] * 16 + ["title"]).links) == 16
    assert refused(NAMES.path, ["parent"] * 17 + ["title"])[0] == "filter_too_large"


def test_a_long_path_runs(store: minirest.Store) -> None:
    """A filter at the limit of links runs."""
    assert ids(store, {".".join(["parent"] * 16 + ["title"]): "x"}) == []
    assert ids(store, {".".join(["tags", *["postsTags", "post", "tags"] * 5, "name"]): "red"}) == [1]


# ---- names ----

LIMBAS = Manner(fold_names=True)
PATHS: list[tuple[Manner, str, Path]] = [
    (NOCOBASE, "title", Path((), POSTS.fields["title"])),
    (NOCOBASE, "id", Path((), POSTS.id)),
    (NOCOBASE, "author", Path((AUTHOR,))),
    (NOCOBASE, "author.id", Path((AUTHOR,), AUTHOR.target.id)),
    (NOCOBASE, "author.posts.tags", Path((AUTHOR, AUTHOR.target.links["posts"], TAGS))),
    (NOCOBASE, "tags.postsTags.weight", Path((TAGS,), SCHEMA.find("postsTags").fields["weight"])),
    (NOCOBASE, "tags.postsTags", Path((TAGS,))),
    (NOCOBASE, "extra.a.b", Path((), POSTS.fields["extra"], ("a", "b"))),
    (NOCOBASE, "authorId", Path((), AUTHOR.key)),
    (NOCOBASE, "createdAt", Path((), POSTS.system["_created"])),
    (NOCOBASE, "author.updatedById", Path((AUTHOR,), AUTHOR.target.system["_modified_by"])),
    (RULES, "owner", Path((), POSTS.system["_owner"])),
    (RULES, "access", Path((), POSTS.system["_access"])),
    (LIMBAS, "TITLE", Path((), POSTS.fields["title"])),
    (LIMBAS, "Author.NAME", Path((AUTHOR,), AUTHOR.target.fields["name"])),
    (LIMBAS, "ID", Path((), POSTS.id)),
    (LIMBAS, "publishedat", Path((), POSTS.fields["publishedAt"])),
]


@pytest.mark.parametrize(("manner", "words", "expected"), PATHS, ids=[words for _, words, _ in PATHS])
def test_paths(manner: Manner, words: str, expected: Path) -> None:
    """Words become the path that they spell, in each manner."""
    assert Names(POSTS, manner).path(words.split(".")) == expected


UNKNOWN = [
    (NOCOBASE, "TITLE"),
    (NOCOBASE, "ID"),
    (NOCOBASE, "owner"),
    (LIMBAS, "authorId"),
    (LIMBAS, "createdAt"),
    (LIMBAS, "secret"),
    (NOCOBASE, "secret"),
    (NOCOBASE, "_version"),
    (NOCOBASE, "_status"),
    (NOCOBASE, "author.authorId"),
    (NOCOBASE, "title.x"),
    (NOCOBASE, "id.x"),
    (NOCOBASE, "tags.postsTags.nope"),
    (NOCOBASE, "postsTags.weight"),
]


@pytest.mark.parametrize(("manner", "words"), UNKNOWN, ids=[words for _, words in UNKNOWN])
def test_unknown_paths(manner: Manner, words: str) -> None:
    """A word that this manner does not know is refused."""
    assert refused(Names(POSTS, manner).path, words.split("."))[0] == "unknown_field"


def test_the_row_of_the_link_that_led_here() -> None:
    """In a linked list the link's row is reached by the name of its table."""
    names = Names(TAGS.target, NOCOBASE, row=TAGS)
    assert names.path(["postsTags", "weight"]) == Path((), SCHEMA.find("postsTags").fields["weight"])
    assert names.path(["name"]) == Path((), TAGS.target.fields["name"])


def test_hidden_is_unknown() -> None:
    """What an actor may not see takes the same way as a typo, at every depth, and is never suggested."""
    name = AUTHOR.target.fields["name"]
    names = Names(POSTS, NOCOBASE, frozenset({POSTS.fields["title"], TAGS, name}))
    for words, table_name in (
        ("title", "posts"),
        ("tags.name", "posts"),
        ("author.name", "authors"),
        ("titl", "posts"),
    ):
        word = words.split(".")[-1] if table_name == "authors" else words.split(".")[0]
        expected = ("unknown_field", {"name": word, "table": table_name, "hint": ""})
        assert refused(names.path, words.split(".")) == expected
    assert {"title", "tags"} & set(names.known()) == set()
    assert names.path(["views"]) == Path((), POSTS.fields["views"])


def test_a_hidden_link_hides_its_column() -> None:
    """Who may not see a link does not see the ids of its targets either."""
    names = Names(POSTS, NOCOBASE, frozenset({AUTHOR}))
    assert refused(names.path, ["authorId"])[0] == "unknown_field"


def test_known_names() -> None:
    """The names that hints come from: members and the words of the manner, nothing hidden."""
    members = [name for name in POSTS.members if name != "secret"]
    assert Names(POSTS, LIMBAS).known() == [*members, "id"]
    assert Names(POSTS, NOCOBASE).known() == [*members, "createdAt", "updatedAt", "createdById", "updatedById", "id"]


def test_aliases_are_known_names() -> None:
    """The second names that one dialect has are names there, and nowhere else."""
    aliases = {"coredata": {"author_id": "author"}}
    schema = minirest.load_schema({"$defs": {"a": {**table(author=one("a"), secret=TEXT), "x-alias": aliases}}})
    a = schema.find("a")
    assert Names(a, Manner("coredata")).known() == ["author", "secret", "author_id", "id"]
    assert Names(a, Manner("coredata"), frozenset({a.links["author"]})).known() == ["secret", "id"]
    assert Names(a, Manner("nocobase")).known() == ["author", "secret", "id"]
    assert Names(a, Manner("coredata")).path(["author_id"]) == Path((a.links["author"],))


def test_a_field_wins_over_a_system_word() -> None:
    """A field of the schema that has the name of a system column is the field."""
    own = minirest.load_schema({"$defs": {"a": table(createdAt=TEXT)}}).find("a")
    assert Names(own, NOCOBASE).path(["createdAt"]) == Path((), own.fields["createdAt"])


def test_the_word_for_the_id() -> None:
    """A manner with a word of its own for the id knows no `id`, unless the schema file shows it."""
    manner = Manner(id_word="_id")
    assert Names(POSTS, manner).path(["_id"]) == Path((), POSTS.id)
    assert Names(POSTS, manner).find("id") is None
    assert Names(POSTS, manner).known() == [*(name for name in POSTS.members if name != "secret"), "_id"]
    shown = minirest.load_schema({"$defs": {"a": table(id={"type": "integer"})}}).find("a")
    assert Names(shown, manner).known() == ["_id", "id"]
    assert Names(shown, manner).path(["id"]) == Path((), shown.id)


@pytest.mark.parametrize("nulls", [("first", "last"), ("last", "first"), ("last", "last")])
def test_sort_of_a_manner(nulls: Any) -> None:
    """A dialect's place for nulls and case of text, up and down."""
    manner = Manner(order_case="ascii", nulls=nulls)
    assert manner.sort(TITLE, False) == Sort(TITLE, False, nulls[0], "ascii")
    assert manner.sort(TITLE, True) == Sort(TITLE, True, nulls[1], "ascii")


# ---- variables and the guard ----

ME = Actor(7, "ann", "Ann", groups=(3, 4))
MOMENT = "2022-05-20T13:00:00.000Z"
RULE_NAMES = Names(POSTS, RULES)
OWNER, ACCESS = Path((), POSTS.system["_owner"]), Path((), POSTS.system["_access"])


def rule(where: Any) -> Filter:
    return filter_from_json(RULE_NAMES, where, variables=True)


VARIABLES: list[tuple[Any, Filter, Filter]] = [
    ({"owner": "$me"}, Compare(OWNER, "eq", Variable("me")), Compare(OWNER, "eq", 7)),
    (
        {"owner.$ne": "$me"},
        Or((Not(Compare(OWNER, "eq", Variable("me"))), Compare(OWNER, "null"))),
        Or((Not(Compare(OWNER, "eq", 7)), Compare(OWNER, "null"))),
    ),
    (
        {"group": "$groups"},
        Compare(Path((), POSTS.system["_group"]), "in", Variable("groups")),
        Compare(Path((), POSTS.system["_group"]), "in", (3, 4)),
    ),
    ({"access.$anyOf": "$groups"}, Compare(ACCESS, "any", Variable("groups")), Compare(ACCESS, "any", (3, 4))),
    ({"access.$anyOf": "$me"}, Compare(ACCESS, "any", Variable("me")), Compare(ACCESS, "any", 7)),
    ({f"{AT}.$lt": "$now"}, Compare(field(AT), "lt", Variable("now")), Compare(field(AT), "lt", MOMENT)),
    ({f"{DAY}.$lte": "$today"}, Compare(field(DAY), "lte", Variable("today")), Compare(field(DAY), "lte", MOMENT[:10])),
    (
        {"author.createdById": "$me"},
        Some(Compare(Path((AUTHOR,), AUTHOR.target.system["_created_by"]), "eq", Variable("me"))),
        Some(Compare(Path((AUTHOR,), AUTHOR.target.system["_created_by"]), "eq", 7)),
    ),
]


@pytest.mark.parametrize(("where", "read", "bound"), VARIABLES, ids=[str(where) for where, _, _ in VARIABLES])
def test_variables(where: Any, read: Filter, bound: Filter) -> None:
    """A rule may name the actor, its groups, the moment and the day; the guard puts the values there."""
    assert rule(where) == read
    assert bind_variables(rule(where), ME, MOMENT) == bound


def test_variables_are_text_elsewhere() -> None:
    """A client's filter has no variables: the words are ordinary text."""
    for word in ("$me", "$groups", "$now", "$today"):
        assert filter_from_json(NAMES, {"title": word}) == Compare(TITLE, "eq", word)
        assert refused(filter_from_json, NAMES, {"views": word})[0] == "bad_value"
    assert refused(filter_from_json, NAMES, {AT: "$now"})[0] == "bad_value"
    assert refused(filter_from_json, NAMES, {f"{AT}.$dateOn": "$today"})[0] == "bad_value"


TIMES: list[tuple[Any, list[int]]] = [
    ({f"{AT}.$lte": "$today"}, [1, 2, 4]),
    ({AT: "$today"}, [4]),
    ({f"{AT}.$gt": "$now"}, [5]),
    ({DAY: "$today"}, [4]),
    ({f"{DAY}.$lte": "$now"}, [1, 4]),
    ({f"{AT}.$dateOn": "$today"}, [4]),
    ({f"{AT}.$dateBefore": "$today"}, [1, 2]),
    ({f"{AT}.$dateAfter": "$today"}, [5]),
]


@pytest.mark.parametrize(("where", "expected"), TIMES, ids=[str(where) for where, _ in TIMES])
def test_times(store: minirest.Store, where: Any, expected: list[int]) -> None:
    """`$today` is midnight as an instant and the whole day as a span; `$now` on a date is its day."""
    posts = store.schema.find("posts")
    found = filter_from_json(Names(posts, RULES), where, variables=True)
    op = guard(Select(posts, Obj(()), found), ME, MOMENT)
    assert [row.key for row in store.run(op).rows] == expected


@pytest.mark.parametrize(
    "where",
    [
        {"createdById": "$me"},
        {"createdById.$not": "$me"},
        {"$not": {"createdById": "$me"}},
        {"author.createdById": "$me"},
    ],
    ids=str,
)
def test_nobody_owns_nothing(store: minirest.Store, where: Any) -> None:
    """Without a user `$me` is null: nothing compares with it, and its opposite does not either."""
    posts = store.schema.find("posts")
    found = filter_from_json(Names(posts, RULES), where, variables=True)
    op = guard(Select(posts, Obj(()), found), minirest.NOBODY, MOMENT)
    assert list(store.run(op).rows) == []


OWN, BOUND = rule({"owner": "$me"}), Compare(OWNER, "eq", 7)
SELECT = Select(POSTS, JUST_ID, OWN, sort=(Sort(TITLE),), total=True)
CREATE = Create(POSTS, {POSTS.fields["title"]: "x"}, {}, JUST_ID)
UPDATE = Update(POSTS, OWN, {}, {}, JUST_ID, expect=3)
POST_1 = Parent(TAGS, Key(POSTS.id, 1))
GUARDED: dict[str, tuple[Operation, Operation]] = {
    "select": (SELECT, dataclasses.replace(SELECT, where=BOUND)),
    "create": (CREATE, CREATE),
    "update": (UPDATE, dataclasses.replace(UPDATE, where=BOUND)),
    "delete": (Delete(POSTS, OWN, expect=2), Delete(POSTS, BOUND, expect=2)),
    "archive": (Archive(POSTS, OWN, 2), Archive(POSTS, BOUND, 2)),
    "relink": (Relink(POST_1, Change("add", ()), JUST_ID), Relink(POST_1, Change("add", ()), JUST_ID)),
    "move": (Move(POSTS, Key(POSTS.id, 1), "first"), Move(POSTS, Key(POSTS.id, 1), "first")),
    "upsert": (Upsert(OWN, CREATE, UPDATE), Upsert(BOUND, CREATE, dataclasses.replace(UPDATE, where=BOUND))),
    "upsert that reads": (
        Upsert(OWN, CREATE, SELECT),
        Upsert(BOUND, CREATE, dataclasses.replace(SELECT, where=BOUND)),
    ),
    "batch": (
        Batch((SELECT, Batch((UPDATE,)), CREATE)),
        Batch((dataclasses.replace(SELECT, where=BOUND), Batch((dataclasses.replace(UPDATE, where=BOUND),)), CREATE)),
    ),
}


@pytest.mark.parametrize(("op", "expected"), GUARDED.values(), ids=GUARDED)
def test_guard(op: Operation, expected: Operation) -> None:
    """The guard binds the variables of every filter in an operation and leaves the rest as it was."""
    assert guard(op, ME, MOMENT) == expected


def test_bind_variables_everywhere() -> None:
    """Variables are bound at any depth of a tree."""
    leaf = Compare(OWNER, "eq", Variable("me"))
    tree = And((Or((leaf, Not(leaf))), Some(Not(And((leaf, Compare(TITLE, "null"))))), FALSE))
    bound = And((Or((BOUND, Not(BOUND))), Some(Not(And((BOUND, Compare(TITLE, "null"))))), FALSE))
    assert bind_variables(tree, ME, MOMENT) == bound


def test_is_write() -> None:
    """A Batch writes when one of its parts does."""
    writes = [op for op, _ in GUARDED.values() if minirest.is_write(op)]
    assert writes == [op for name, (op, _) in GUARDED.items() if name != "select"]
    assert not minirest.is_write(Batch((SELECT, Batch((SELECT,)))))


# ---- values of bodies ----


def read_link(link: Link, value: Any) -> Change:
    if value == "bad":
        raise ApiError("link_missing", Violation((0, "id"), "link_missing", {"value": 9}))
    return Change("replace", (Item(Key(link.target.id, value)),))


def values_of(body: dict[str, Any], manner: Manner = NOCOBASE, text: bool = False) -> minirest.Values:
    return read_values(Names(POSTS, manner), body, read_link, text)


def column(name: str) -> Field:
    return POSTS.fields[name]


READ: list[tuple[str, Any, Any]] = [
    ("title", "x", "x"),
    ("title", "", ""),
    ("title", None, None),
    ("views", 5, 5),
    ("views", 5.0, 5),
    ("score", 1, 1.0),
    ("published", True, 1),
    ("day", "2022-05-20", "2022-05-20"),
    ("publishedAt", "2022-05-20T12:00:00+02:00", "2022-05-20T10:00:00.000Z"),
    ("clock", "12:30", "12:30:00"),
    ("labels", ["b", "a", None], '["b","a",null]'),
    ("numbers", [1, 2.0], "[1,2]"),
    ("extra", {"b": 1, "a": [None]}, '{"b":1,"a":[null]}'),
    ("secret", "s", "s"),
]


@pytest.mark.parametrize(("name", "value", "stored"), READ, ids=[f"{name}={value}" for name, value, _ in READ])
def test_read_values(name: str, value: Any, stored: Any) -> None:
    """A JSON value becomes what its kind stores; a field that is never shown may be written."""
    assert values_of({name: value}) == minirest.Values({column(name): stored})


FORM: list[tuple[str, Any, Any]] = [
    ("title", "5", "5"),
    ("title", "", ""),
    ("views", "5", 5),
    ("views", "", None),
    ("score", "1.5", 1.5),
    ("published", "true", 1),
    ("published", "0", 0),
    ("published", "", None),
    ("day", "2022-05-20", "2022-05-20"),
    ("labels", ["a", "b"], '["a","b"]'),
    ("labels", "a", '["a"]'),
    ("numbers", ["1", "2"], "[1,2]"),
    ("numbers", "[1,2]", "[1,2]"),
    ("extra", '{"a": 1}', '{"a":1}'),
]


@pytest.mark.parametrize(("name", "value", "stored"), FORM, ids=[f"{name}={value}" for name, value, _ in FORM])
def test_read_values_of_forms(name: str, value: Any, stored: Any) -> None:
    """Text of a form is read by the kind; an empty one clears what is no text."""
    assert values_of({name: value}, text=True) == minirest.Values({column(name): stored})


def test_read_links() -> None:
    """Links are read by the dialect's reader; its violations are found below the link."""
    change = Change("replace", (Item(Key(AUTHOR.target.id, 5)),))
    assert values_of({"author": 5}) == minirest.Values(links={AUTHOR: change})
    assert values_of({"tags": "bad"}).faults == [Violation(("tags", 0, "id"), "link_missing", {"value": 9})]


def faults(
    body: dict[str, Any], manner: Manner = NOCOBASE, text: bool = False
) -> list[tuple[Any, str, dict[str, str]]]:
    read = values_of(body, manner, text)
    return [(fault.path, fault.rule, {k: str(v) for k, v in fault.params.items()}) for fault in read.faults]


WRONG: list[tuple[str, Any, str]] = [
    ("title", 5, "a text"),
    ("title", ["a"], "a text"),
    ("views", "5", "a whole number of 64 bits"),
    ("views", 1.5, "a whole number of 64 bits"),
    ("views", True, "a whole number of 64 bits"),
    ("views", 2**63, "a whole number of 64 bits"),
    ("score", "1", "a number"),
    ("published", 1, "true or false"),
    ("published", "true", "true or false"),
    ("day", "2022-02-30", "a date as YYYY-MM-DD"),
    ("publishedAt", "2022", "a date and time as YYYY-MM-DDTHH:MM:SSZ"),
    ("clock", "25:00", "a time as HH:MM:SS, in UTC"),
    ("labels", "a", "a list of plain values"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG, ids=[f"{name}={value}" for name, value, _ in WRONG])
def test_wrong_values(name: str, value: Any, expected: str) -> None:
    """A value of the wrong kind is a violation that names field, value and what is expected."""
    ((path, rule_name, params),) = faults({name: value})
    assert (path, rule_name, params["expected"]) == ((name,), "bad_value", expected)


def test_wrong_elements() -> None:
    """An element of the wrong kind is told of at its place, and so is each other one."""
    for name, value, expected in (
        ("labels", ["a", 5, ["a"]], "a text"),
        ("numbers", [1, "1", 1.5], "a whole number of 64 bits"),
    ):
        found = [(path, rule, params["expected"]) for path, rule, params in faults({name: value})]
        assert found == [((name, place), "bad_value", expected) for place in (1, 2)]


def test_all_faults_together() -> None:
    """Every member of a body is judged; nothing stops at the first fault, and what is right is read."""
    body = {
        "nmae": 1,
        "titel": 2,
        "views": "x",
        "id": 9,
        "code": "c",
        "locked": 1,
        "createdAt": 5,
        "tags": "bad",
        "day": "d",
    }
    read = values_of({**body, "title": "ok"})
    assert [(fault.path, fault.rule) for fault in read.faults] == [
        (("nmae",), "unknown_field"),
        (("titel",), "unknown_field"),
        (("views",), "bad_value"),
        (("id",), "read_only"),
        (("code",), "read_only"),
        (("locked",), "read_only"),
        (("createdAt",), "read_only"),
        (("tags", 0, "id"), "link_missing"),
        (("day",), "bad_value"),
    ]
    assert read.fields == {column("title"): "ok"}
    assert read.links == {}


def test_a_fault_has_the_name_that_the_client_wrote() -> None:
    """A system column is named by the dialect's word, not by its own."""
    assert faults({"createdAt": "x"}) == [(("createdAt",), "read_only", {})]


def test_unknown_member() -> None:
    """An unknown member is refused with a hint from what may be seen."""
    params = {"name": "titel", "table": "posts", "hint": "; did you mean 'title'?"}
    assert faults({"titel": 1}) == [(("titel",), "unknown_field", params)]
    params = {"name": "secretsecret", "table": "posts", "hint": ""}
    assert faults({"secretsecret": 1}) == [(("secretsecret",), "unknown_field", params)]


def test_dropped_members() -> None:
    """Where the manner drops what is unknown or read-only, it leaves no fault and no value."""
    manner = dataclasses.replace(NOCOBASE, unknown_key="drop", read_only_key="drop")
    body = {"nope": 1, "id": 1, "code": "x", "createdAt": 5, "locked": 3, "title": "x"}
    assert values_of(body, manner) == minirest.Values({column("title"): "x"})


# ---- documented requests as data ----

KEY_OF_TAG = Path((TAGS,), TAGS.target.id)
WALKS: dict[str, tuple[Filter, list[int]]] = {
    "L7 label": (Compare(field("author.name"), "contains", "AN", "fold"), [1, 4]),
    "L7 by id": (Compare(field("author.id"), "eq", 2), [2]),
    "L7 none": (Compare(KEY_OF_TAG, "null"), [3, 4]),
    "L7 some": (Not(Compare(KEY_OF_TAG, "null")), [1, 2, 5]),
    "L9 no rows": (FALSE, []),
    "C2 two links": (And((Compare(KEY_OF_TAG, "eq", 2), Compare(field("parent.id"), "eq", 1))), [2]),
    "C3 two levels": (Compare(field("parent.author.name"), "startswith", "B"), [5]),
    "C4 set": (Compare(field("id"), "in", (5, 1, 99)), [1, 5]),
    "C6 month": (Compare(Path((), POSTS.fields["publishedAt"], ("month",)), "eq", 5), [1, 2, 4]),
    "C6 week day": (Compare(Path((), POSTS.fields["day"], ("week_day",)), "eq", 5), [1]),
    "P2 where and search": (
        And(
            (
                Compare(Path((), POSTS.fields["extra"], ("a",)), "in", (1, 2)),
                Or(
                    (
                        Compare(field("title"), "contains", "ALP", "fold"),
                        Compare(field("code"), "contains", "ALP", "fold"),
                    )
                ),
            )
        ),
        [1],
    ),
    "Q1 tab and search": (
        And((Some(Compare(field("tags.name"), "eq", "blue")), Some(Compare(field("tags.name"), "eq", "red")))),
        [1],
    ),
    "Q1 one choice": (
        Some(And((Compare(field("tags.name"), "eq", "blue"), Compare(field("tags.name"), "eq", "red")))),
        [],
    ),
}


@pytest.mark.parametrize(("where", "expected"), WALKS.values(), ids=WALKS)
def test_walks(where: Filter, expected: list[int]) -> None:
    """What documented requests become, and what they select."""
    own = minirest.Store(SCHEMA, ":memory:", lambda: NOON)
    try:
        assert [row.key for row in own.run(Select(POSTS, JUST_ID, where)).rows] == expected
    finally:
        own.close()


def test_p1_first_and_last(store: minirest.Store) -> None:
    """P1: two Selects of one snapshot give the ends of a list and its total."""
    posts = store.schema.find("posts")
    first = Select(posts, Obj(()), sort=(Sort(Path((), posts.id)),), page=minirest.Page(1), total=True)
    last = dataclasses.replace(first, sort=(Sort(Path((), posts.id), down=True),), total=False)
    found = store.run(Batch((first, last))).parts
    assert [(part.rows[0].key, part.total) for part in found] == [(1, 5), (5, None)]


def test_n5_linked_list_by_its_row(store: minirest.Store) -> None:
    """N5: the tags of a post, filtered and ordered by the link's row."""
    posts = store.schema.find("posts")
    link = posts.links["tags"]
    names = Names(link.target, NOCOBASE, row=link)
    op = Select(
        link.target,
        Obj((("name", Col(names.path(["name"]))), ("weight", Col(names.path(["postsTags", "weight"]))))),
        filter_from_json(names, {"postsTags.weight.$gt": 1}),
        sort=(NOCOBASE.sort(names.path(["postsTags", "weight"]), False),),
        parent=Parent(link, Key(posts.id, 1)),
    )
    assert [row.text for row in store.run(op).rows] == ['{"name":"blue","weight":3}', '{"name":"red","weight":7}']


def test_missing_parent(store: minirest.Store) -> None:
    """The records linked to a record that is not there are not found; to one without any, none."""
    posts = store.schema.find("posts")
    link = posts.links["tags"]
    op = Select(link.target, Obj(()), parent=Parent(link, Key(posts.id, 99)))
    assert refused(store.run, op) == ("not_found", {})
    assert list(store.run(dataclasses.replace(op, parent=Parent(link, Key(posts.id, 3)))).rows) == []
