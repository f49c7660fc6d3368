"""The Qore dialect beyond its numbered lines: keys, links, validation, forms, hidden records, strictness, bad input."""

import json
import re
import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import ERRORS, fail, laravel_attribute, laravel_input, laravel_model, laravel_pages
from tests.web import Answer, dump, many, multipart, one, part, send, table

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
BASE = "/api/resources"
FORM = "application/x-www-form-urlencoded"
LITTLE = {"HTTP_PREFER": "return=minimal"}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}


RULES: dict[str, Any] = {
    "text": {**TEXT, "minLength": 2, "maxLength": 4, "pattern": "^a"},
    "mail": {**TEXT, "format": "email"},
    "site": {**TEXT, "format": "uri"},
    "code": {**TEXT, "format": "uuid"},
    "whole": {"type": "integer", "minimum": 1, "maximum": 5},
    "ratio": {**NUMBER, "exclusiveMinimum": 0, "exclusiveMaximum": 1, "multipleOf": 0.25},
    "flag": {"type": "boolean"},
    "day": {**TEXT, "format": "date"},
    "at": {**TEXT, "format": "date-time"},
    "clock": {**TEXT, "format": "time"},
    "list": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 2, "uniqueItems": True},
    "choice": {"enum": ["a", "b"]},
    "fixed": {"const": "x"},
    "extra": {},
    "pass": {**TEXT, "format": "password", "writeOnly": True},
}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "rules": table(
            {"list": ["x"]}, **RULES, unique={**TEXT, "x-unique": True}, link=one("codes"), links=many("codes")
        ),
        "codes": table(
            {"code": "nl", "name": "Nederland"},
            {"code": "de"},
            {"code": "a b/c"},
            code={**TEXT, "x-unique": True},
            name=TEXT,
            rules=many("rules", **{"x-inverse": "link"}),
            required=["code"],
            **{"x-key": "code"},
        ),
        "things": table(
            {"name": "one", "parent": 2, "seen": "2024-05-01T10:00:00Z", "size": 3},
            {"name": "two", "seen": "2024-05-02T00:00:00Z"},
            {"name": None, "size": 1, "parent": 1, "_status": "archived"},
            {"name": "ÄRGER", "size": 1, "parent": 1},
            name=TEXT,
            size=NUMBER,
            seen={**TEXT, "format": "date-time"},
            fixed={**TEXT, "readOnly": True},
            secret={**TEXT, "writeOnly": True},
            photo={**TEXT, "format": "binary"},
            extra={"type": "object"},
            tags={"type": "array", "items": TEXT},
            parent=one("things"),
            children=many("things", **{"x-inverse": "parent"}),
            friends=many("things"),
            **{
                "x-archive": True,
                "x-label": "name",
                "x-tabs": {"Kinder über 1": {"parent.name": "two", "size.$gt": 1}},
            },
        ),
        "numbers": table({"n": 1}, n={"type": "integer"}, parts=many("numbers")),
        "holders": table({"thing": 1}, thing=one("things", **{"x-delete": "restrict"})),
        "strings": table({"id": "k1", "name": "x"}, id=TEXT, name=TEXT),
        "notes": table(title=TEXT, friend=one("notes"), others=many("notes"), **{"x-access": True}),
        "desks": table(name=TEXT, note=one("notes"), notes=many("notes")),
    }
}


class Web:
    """A client of the Qore dialect."""

    def __init__(self, schema: Any = None, **words: Any) -> None:
        settings: dict[str, Any] = {"auth": False, "dialects": ["limbas", "qore"], "clock": lambda: NOW, **words}
        self.app = minirest.make_app(SCHEMA if schema is None else schema, **settings)

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "", **headers: str) -> Answer:
        """Send a request; a path that begins with `/api` is the whole of it."""
        whole = path if path.startswith("/api") else BASE + path
        return send(self.app, method, whole, body, kind, **headers)

    def close(self) -> None:
        """Close the application."""
        self.app.close()

    def ids(self, name: str, body: Any = None, query: str = "") -> list[Any]:
        """The ids of a table's rows."""
        answer = self("GET", f"/{name}/table/{name}{query}", body, **LITTLE)
        assert answer.status == 200, answer.body
        return [row["id"] for row in answer.json["data"]]

    def data(self, method: str, path: str, body: Any = None, kind: str = "", **headers: str) -> Any:
        """The record of an answer that says yes."""
        answer = self(method, path, body, kind, **LITTLE, **headers)
        assert answer.status in (200, 201), answer.body
        return answer.json["data"]

    def wrong(self, method: str, path: str, body: Any = None, **headers: str) -> dict[str, str]:
        """The first text for each field of a 422; nothing has changed."""
        before = self.dump()
        answer = self(method, path, body, **headers)
        assert answer.status == 422, (answer.status, answer.body)
        texts = [text for found in answer.json["errors"].values() for text in found]
        more = {1: "", 2: " (and 1 more error)"}.get(len(texts), f" (and {len(texts) - 1} more errors)")
        assert answer.json["message"] == texts[0] + more
        assert self.dump() == before
        return {name: found[0] for name, found in answer.json["errors"].items()}

    def refuse(self, status: int, message: str, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A request that is refused as a whole."""
        before = self.dump()
        answer = self(method, path, body, **headers)
        assert (answer.status, answer.json) == (status, {"message": message})
        assert self.dump() == before
        return answer

    def dump(self) -> list[str]:
        """Everything that is stored."""
        return dump(self.app.store)


@pytest.fixture
def web() -> Iterator[Web]:
    """The schema, without authentication."""
    with closing(Web()) as web:
        yield web


@pytest.fixture
def strict() -> Iterator[Web]:
    """The same, strict."""
    with closing(Web(strict=True)) as web:
        yield web


# ---- Laravel ----


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("users", "User"),
        ("time_entries", "TimeEntry"),
        ("postsTags", "PostsTag"),
        ("addresses", "Address"),
        ("kv", "Kv"),
    ],
)
def test_models(name: str, model: str) -> None:
    """The class of a table is its singular in StudlyCase."""
    assert laravel_model(minirest.Table(name, {})) == model


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (["hourly_rate"], "hourly rate"),
        (["publishedAt"], "published at"),
        (["a", 0, "bC"], "a.0.b c"),
        (["URL"], "u r l"),
    ],
)
def test_attributes(path: list[Any], name: str) -> None:
    """Messages call a field by its words."""
    assert laravel_attribute(path) == name


@given(last=st.integers(1, 60), data=st.data())
def test_pages(last: int, data: st.DataObject) -> None:
    """The ends and the current page are always listed; gaps stand for something; the number of entries is bounded."""
    current = data.draw(st.integers(1, last + 3))
    pages = laravel_pages(current, last)
    numbers = [page for page in pages if page]
    assert numbers == sorted(set(numbers))
    assert {1, min(2, last), max(1, last - 1), last} <= set(numbers)
    assert current in numbers or current > last
    assert len(pages) <= 13
    for before, gap, after in zip(pages, pages[1:], pages[2:], strict=False):
        assert gap is not None or (before is not None and after is not None and after - before > 2)


def test_input() -> None:
    """Texts are trimmed at every depth; only passwords of the body itself are left alone."""
    body = {"a": [" x ", {"password": " y "}], "password": " z ", "n": 1, "none": None, "blank": "\n"}
    assert {name: laravel_input(value, name) for name, value in body.items()} == {
        "a": ["x", {"password": "y"}],
        "password": " z ",
        "n": 1,
        "none": None,
        "blank": None,
    }


# ---- validation ----

BROKEN: list[tuple[str, Any, str]] = [
    ("text", "a", "The text field must be at least 2 characters."),
    ("text", "aaaaa", "The text field must not be greater than 4 characters."),
    ("text", "bbb", "The text field format is invalid."),
    ("text", 1, "The text field must be a string."),
    ("mail", "x", "The mail field must be a valid email address."),
    ("mail", [], "The mail field must be a string."),
    ("site", "no site", "The site field must be a valid URL."),
    ("code", "x", "The code field must be a valid UUID."),
    ("whole", 0, "The whole field must be at least 1."),
    ("whole", 6, "The whole field must not be greater than 5."),
    ("whole", 1.5, "The whole field must be an integer."),
    ("ratio", 0, "The ratio field must be greater than 0."),
    ("ratio", 1, "The ratio field must be less than 1."),
    ("ratio", 0.3, "The ratio field must be a multiple of 0.25."),
    ("ratio", "0.25", "The ratio field must be a number."),
    ("flag", 1, "The flag field must be true or false."),
    ("day", "01.02.2024", "The day field must match the format Y-m-d."),
    ("at", "yesterday", "The at field must be a valid date."),
    ("clock", "25:00", "The clock field must match the format H:i:s."),
    ("list", [], "The list field must have at least 1 items."),
    ("list", ["a", "b", "c"], "The list field must not have more than 2 items."),
    ("list", ["a", "a"], "The list field has a duplicate value."),
    ("list", "a", "The list field must be an array."),
    ("choice", "c", "The selected choice is invalid."),
    ("fixed", "y", "The selected fixed is invalid."),
    ("unique", "taken", "The unique has already been taken."),
    ("link", "xx", "The selected link is invalid."),
    ("link", ["nl"], "The selected link is invalid."),
    ("link", {"value": 1}, "The selected link is invalid."),
    ("link", {}, "The selected link is invalid."),
    ("links", "nl", "The links field must be an array."),
    ("links", {"value": "nl"}, "The links field must be an array."),
    ("photo", "x", "The photo field is prohibited."),
    ("_version", 1, "The version field is prohibited."),
]


@pytest.mark.parametrize(("name", "value", "text"), BROKEN)
def test_texts_of_rules(web: Web, name: str, value: Any, text: str) -> None:
    """Each rule of a schema file has Laravel's words for it."""
    web("POST", "/rules", {"unique": "taken", "list": ["x"]})
    if name == "_version":
        text = "The  version field is prohibited."
    for method, path in (("POST", "/rules"), ("PUT", "/rules/1")):
        assert web.wrong(method, path, {name: value}) == {name: text}


def test_elements_of_lists(web: Web) -> None:
    """Each element has its own place, and so has each record."""
    assert web.wrong("PUT", "/rules/1", {"list": [1, "a"]}) == {"list.0": "The list.0 field must be a string."}
    errors = web.wrong("PUT", "/rules/1", {"links": ["nl", "xx", None, {"value": "de"}, 5]})
    assert errors == {f"links.{place}": f"The selected links.{place} is invalid." for place in (1, 2, 4)}


def test_restricted(web: Web) -> None:
    """A record that others need is not deleted."""
    message = "The record cannot be deleted: 1 records of table 'holders' need it"
    web.refuse(422, message, "POST", "/things/actions/delete_resource/1")


def test_errors_have_one_form(web: Web) -> None:
    """Each error of the program is a JSON object with a message; what a request asks for wrongly is 422, not 400."""
    qore = next(dialect for dialect in web.app.dialects if dialect.name == "qore")
    for code, rule in ERRORS.items():
        words = [part.partition("}")[0].partition("!")[0] for part in rule.message.split("{")[1:]]
        reply = qore.error(fail(code, **dict.fromkeys(words, "x")))
        body = json.loads(reply.body)
        assert list(body) == ["message", *(["request"] if code == "internal" else [])]
        assert "{" not in body["message"]
        expected = 422 if rule.status == 400 and code not in minirest.LARAVEL_UNREADABLE else rule.status
        assert (reply.status, reply.content_type) == (expected, "application/json")
        assert dict(reply.headers)["Cache-Control"] == "no-cache, private"


def test_no_more_words_than_rules() -> None:
    """Each text belongs to an error, and each kind that can be read wrongly has its text."""
    assert set(minirest.LARAVEL_WORDS) <= set(ERRORS)
    kinds = {name for name, kind in minirest.KINDS.items() if name not in ("id", "json", "content", "scalar")}
    assert kinds | {"link"} == set(minirest.LARAVEL_VALUES)
    assert kinds == set(minirest.LARAVEL_RULES)


# ---- keys, links, values ----


def test_keys(web: Web) -> None:
    """Where a table has a key, it names its records everywhere: in addresses, rows, links and options."""
    assert web.ids("codes") == ["nl", "de", "a b/c"]
    assert web.data("GET", "/codes/nl")["name"] == "Nederland"
    web.refuse(404, "No query results for model [App\\Models\\Code] 1", "GET", "/codes/1")
    made = web.data("POST", "/rules", {"link": "nl", "links": ["de", {"value": "nl", "label": "x"}], "list": ["x"]})
    assert made["link"] == {"value": "nl", "label": "Nederland"}
    assert made["links"] == [{"value": "de", "label": "de"}, {"value": "nl", "label": "Nederland"}]
    options = web("GET", "/rules/field/link/options").json
    assert [option["value"] for option in options] == ["de", "a b/c", "nl"]
    assert web.ids("rules", {"search_columns": {"link": ["nl"]}}) == [2]
    assert web.data("GET", "/codes/nl")["rules"] == [{"value": 2, "label": 2}]
    web.data("PUT", "/codes/nl", {"code": "be"})
    assert web.data("GET", "/rules/2")["link"]["value"] == "be"
    assert web("GET", "/api/global-search?query=nederl").json[0]["results"][0]["id"] == "be"


def test_text_ids(web: Web) -> None:
    """A table whose id is a text shows it once, and takes it in bodies."""
    assert web.data("GET", "/strings/k1") == {
        "id": "k1",
        "name": "x",
        "created_at": "2024-06-15T12:00:00.000000Z",
        "updated_at": "2024-06-15T12:00:00.000000Z",
    }
    web.data("POST", "/strings", {"id": "k2"})
    assert web.ids("strings", {"sort_column": "id", "sort_direction": "desc"}) == ["k2", "k1"]
    assert web.ids("strings", {"search_columns": {"id": "2"}}) == ["k2"]


def test_data_can_be_sent_back(web: Web) -> None:
    """What a detail shows is taken as it is, but for files, and changes nothing."""
    web.data("PUT", "/things/1", {"friends": [4, 2], "children": [4], "extra": {"a": [1]}, "tags": ["x"]})
    before = web.data("GET", "/things/1")
    assert before["friends"] == [{"value": 4, "label": "ÄRGER"}, {"value": 2, "label": "two"}]
    assert web.data("PUT", "/things/1", before) == before
    assert web.data("PUT", "/things/1", {"fixed": "x", "id": 7, "created_at": "x", "updated_at": None}) == before


MULTIPART = "multipart/form-data; boundary=-x"


def test_files(web: Web) -> None:
    """A file comes with a form, is fetched where all files are, replaced by another one, and taken away by null."""
    whole = multipart(part("name", b" five "), part("photo", b"\x00\xffone", "../a.bin", "image/png"))
    made = web.data("POST", "/things", whole, MULTIPART)
    assert (made["id"], made["name"], made["photo"]["label"]) == (5, "five", "a.bin")
    got = send(web.app, "GET", "/browse/things/5/file/photo")
    assert (got.status, got.headers["Content-Type"], got.body) == (200, "image/png", b"\x00\xffone")
    posted = multipart(part("_method", b"PUT"), part("photo", b"two", "b.bin"))
    assert web.data("POST", "/things/5", posted, MULTIPART)["photo"]["label"] == "b.bin"
    assert send(web.app, "GET", "/browse/things/5/file/photo").body == b"two"
    assert web.data("PUT", "/things/5", {"photo": None})["photo"] is None
    assert send(web.app, "GET", "/browse/things/5/file/photo").status == 404
    assert web.app.store.database.writer.execute("select count(*) from _pieces").fetchone() == (0,)


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([part("photo", b"x", "a\0b")], 422),
        ([part("photo", b"x", "a" * 300)], 422),
        ([part("name", b"x", "a.txt")], 422),
        ([part("photo", b"x", "a"), part("photo", b"x", "b")], 422),
        ([part("photo", b"not a file")], 422),
        ([part("nmae", b"x")], 422),
        ([part("name", b"x")] * 5000, 400),
        ([part("name", b"x" * (minirest.MAX_BODY_BYTES + 1))], 413),
        ([part("size", b"many")], 422),
    ],
)
def test_bad_multiparts(web: Web, parts: list[bytes], status: int) -> None:
    """A form that is not right is refused in this dialect's form, and nothing has changed."""
    before = web.dump()
    answer = web("POST", "/things", multipart(*parts), MULTIPART)
    assert (answer.status, "message" in answer.json) == (status, True), answer.body
    assert web.dump() == before


def test_type_of_a_file() -> None:
    """A file of another type than the schema asks for is named in Laravel's words."""
    photo = {**TEXT, "format": "binary", "contentMediaType": "image/jpeg"}
    with closing(Web({"$defs": {"things": table(photo=photo)}})) as web:
        answer = web("POST", "/things", multipart(part("photo", b"x", "a.png", "image/png")), MULTIPART)
        text = "The photo field must be a file of type: image/jpeg."
        assert (answer.status, answer.json) == (422, {"message": text, "errors": {"photo": [text]}})


def test_links_are_cleared(web: Web) -> None:
    """Null and the empty list take links away; an id may be a text."""
    web.data("PUT", "/things/1", {"friends": ["2", 4], "parent": "4"})
    assert web.data("PUT", "/things/1", {"parent": None, "friends": None}) | {"friends": []} == web.data(
        "GET", "/things/1"
    )
    assert web.data("GET", "/things/1")["parent"] is None
    assert web.data("PUT", "/things/1", {"children": []})["children"] == []
    assert web.data("GET", "/things/4")["parent"] is None


def test_moving(web: Web) -> None:
    """A record that belongs to another one moves."""
    web.data("PUT", "/things/2", {"children": [4]})
    assert web.data("GET", "/things/4")["parent"] == {"value": 2, "label": "two"}


def test_label_falls_back_to_the_id(web: Web) -> None:
    """Records are called by their id where the label is null, or where there is none."""
    assert web("GET", "/things/3").json["title"] == 3
    assert web("GET", "/numbers/1").json["title"] == 1
    web.data("PUT", "/numbers/1", {"parts": [1]})
    assert web.data("GET", "/numbers/1")["parts"] == [{"value": 1, "label": 1}]
    assert web("GET", "/numbers/field/parts/options?search=1").json == [{"label": 1, "description": None, "value": 1}]


WIDE = {"$defs": {"wide": table({"f399": "x"}, {"f2": "y"}, **{f"f{number}": TEXT for number in range(1, 400)})}}


def test_wide_tables() -> None:
    """More fields than SQLite's functions take arguments; of so many the first 100 are searched, the title too."""
    with closing(Web(WIDE)) as web:
        answer = web("GET", "/wide/1").json
        names = [*(f"f{number}" for number in range(1, 400)), "created_at", "updated_at"]
        assert [field["name"] for field in answer["fields"]] == names
        assert [field["value"] for field in answer["fields"]] == list(answer["data"].values())[1:]
        assert web("GET", "/wide/table/wide?search_columns[f399]=x").json["total"] == 1
        assert [len(web("GET", f"/api/global-search?query={text}").json) for text in "xy"] == [0, 1]


def test_writeonly(web: Web) -> None:
    """What is never shown can be set, and is neither searched, sorted nor logged."""
    shown = web.data("PUT", "/things/1/inline/secret", {"secret": "hush"})
    assert "secret" not in shown
    assert web("GET", "/things/logs/1").json["data"][0]["value_new"] is None
    assert web.wrong("GET", "/things/table/things", {"sort_column": "secret"}).keys() == {"sort_column"}
    assert web("GET", "/api/global-search?query=hush").json == []
    assert "secret" in web("GET", "/things/create").json
    assert web("GET", "/things/1/edit").json["secret"]["value"] is None


# ---- tables ----


def test_columns_by_default(web: Web) -> None:
    """Without `x-columns` a table has its scalar fields and links to one record."""
    columns = web("GET", "/things/table/things").json["columns"]
    assert [(column["name"], column["type"]) for column in columns] == [
        ("name", "text"),
        ("size", "number"),
        ("seen", "datetime"),
        ("fixed", "text"),
        ("photo", "file"),
        ("parent", "belongs_to"),
    ]


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"seen": "2024-05-01"}, [1]),
        ({"seen": "2024-05"}, [1, 2]),
        ({"seen": "2024-05-01T10:00:00.000000Z"}, [1]),
        ({"seen": ["2024-05-01T10:00", "2024-05-02"]}, [1, 2]),
        ({"seen": None}, [4]),
        ({"size": "3"}, [1]),
        ({"size": [1, "3"]}, [1, 4]),
        ({"size": None}, [2]),
        ({"parent": 1}, [4]),
        ({"parent": "1"}, [4]),
        ({"parent": [1, 2]}, [1, 4]),
        ({"parent": {"value": 2, "label": "two"}}, [1]),
        ({"parent": None}, [2]),
        ({"name": "ärg"}, [4]),
        ({"name": " ONE "}, [1]),
        ({"name": "   "}, [1, 2, 4]),
        ({"name": None}, []),
        ({"id": 2}, [2]),
        ({"id": ["2", 99]}, [2]),
        ({}, [1, 2, 4]),
        ([], [1, 2, 4]),
    ],
)
def test_searches(web: Web, columns: Any, ids: list[int]) -> None:
    """What each kind of column is searched for; archived records are not listed."""
    assert web.ids("things", {"search_columns": columns}) == ids


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"size": "x"}, "size"),
        ({"size": True}, "size"),
        ({"size": {"a": 1}}, "size"),
        ({"size": [None]}, "size"),
        ({"seen": "yesterday"}, "seen"),
        ({"seen": 5}, "seen"),
        ({"name": 5}, "name"),
        ({"name": {"a": 1}}, "name"),
        ({"name": ["x", 5]}, "name"),
        ({"parent": "x"}, "parent"),
        ({"parent": [[1]]}, "parent"),
        ({"parent": True}, "parent"),
        ({"id": "x"}, "id"),
        ({"extra": "x"}, "extra"),
        ({"tags": "x"}, "tags"),
        ({"name": "x" * 1001}, None),
    ],
)
def test_bad_searches(web: Web, columns: Any, name: str | None) -> None:
    """A value of another kind, and a column that is not there, are refused by name."""
    answer = web("GET", "/things/table/things", {"search_columns": columns})
    assert answer.status == 422
    if name:
        assert list(answer.json["errors"]) == [f"search_columns.{name}"]


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"search_columns": "x"}, ["search_columns"]),
        ({"search_columns": [1]}, ["search_columns"]),
        ({"search_columns": {str(n): 1 for n in range(101)}}, ["search_columns"]),
        ({"tab": "nope"}, ["tab"]),
        ({"tab": ["Kinder über 1"]}, ["tab"]),
        ({"tab": True}, ["tab"]),
        ({"sort_column": 5}, ["sort_column"]),
        ({"sort_column": {}}, ["sort_column"]),
        ({"sort_column": "photo__x"}, ["sort_column"]),
        ({"sort_direction": 1}, ["sort_direction"]),
        ({"per_page": "1e3"}, ["per_page"]),
        ({"per_page": 10**9}, ["per_page"]),
        ({"nope": 1}, ["nope"]),
        ({"serach_columns": {}}, ["serach_columns"]),
    ],
)
def test_bad_parameters(web: Web, body: Any, names: list[str]) -> None:
    """Every parameter that is wrong is refused by name, in a body and in the query."""
    assert list(web.wrong("GET", "/things/table/things", body)) == names


def test_unknown_parameter_in_a_query(web: Web) -> None:
    """The query is held to the same parameters; other requests take none."""
    errors = web.wrong("GET", "/things/table/things?perpage=2")
    assert errors == {"perpage": "The perpage field is prohibited. Did you mean 'per_page'?"}
    for path in (
        "/things/1",
        "/api/me",
        "/api/endpoints",
        "/things/logs/1",
        "/things/create",
        "/things/field/parent/options",
    ):
        assert list(web.wrong("GET", f"{path}?nope=1")) == ["nope"]
    for method, path in (("POST", "/things"), ("PUT", "/things/1"), ("POST", "/things/actions/delete_resource/1")):
        assert list(web.wrong(method, f"{path}?_method=PUT", {})) == ["_method"]


def test_second_names() -> None:
    """A second name of `x-alias` works in searches, orders and bodies; it is not shown."""
    alias = {"x-alias": {"qore": {"naam": "name"}}}
    schema = {"$defs": {"people": table({"name": "b"}, {"name": "a"}, name=TEXT, size=NUMBER, **alias)}}
    with closing(Web(schema)) as web:
        assert web.ids("people", {"search_columns": {"naam": "B"}}) == [1]
        assert web.ids("people", {"sort_column": "naam"}) == [2, 1]
        made = web.data("PUT", "/people/1/inline/naam", {"naam": "c"})
        assert (made["name"], "naam" in made) == ("c", False)
        assert web.wrong("PUT", "/people/1", {"naam": "c", "name": "d"}) == {"name": "The name field is set twice."}


def test_tab_through_links(web: Web) -> None:
    """A tab may look through links; its name has no blanks."""
    assert web.ids("things", {"tab": "Kinder über 1"}) == web.ids("things", query="?tab=kinder_%C3%BCber_1") == [1]


@pytest.mark.parametrize(
    ("column", "down", "ids"),
    [
        ("name", False, [1, 2, 4]),
        ("size", False, [2, 4, 1]),
        ("size", True, [1, 4, 2]),
        ("seen", False, [4, 1, 2]),
        ("parent", False, [2, 4, 1]),
        ("parent", True, [1, 4, 2]),
        ("id", True, [4, 2, 1]),
    ],
)
def test_orders(web: Web, column: str, down: bool, ids: list[int]) -> None:
    """Null comes first, downwards last; ties are in the order of the ids."""
    direction = "descending" if down else "ascending"
    assert web.ids("things", query=f"?sort_column={column}&sort_direction={direction}") == ids


def test_far_pages(web: Web) -> None:
    """However far a page is, it is empty."""
    for number in (10**6, 10**17, 10**18 - 1):
        answer = web("GET", "/things/table/things", {"page": number, "per_page": 1000})
        assert (answer.status, answer.json["data"], answer.json["from"]) == (200, [], None)
        assert answer.json["last_page"] == 1


def test_query_stays_in_page_urls(web: Web) -> None:
    """The addresses of other pages keep the query, and not a body."""
    query = "search_columns%5Bname%5D=o&per_page=1"
    answer = web("GET", f"/things/table/things?{query}").json
    assert answer["next_page_url"] == f"http://localhost{BASE}/things/table/things?{query}&page=2"
    following = web("GET", answer["next_page_url"].removeprefix("http://localhost")).json
    assert [row["id"] for row in (*answer["data"], *following["data"])] == [1, 2]
    bodily = web("GET", "/things/table/things", {"per_page": 1}).json
    assert bodily["next_page_url"] == f"http://localhost{BASE}/things/table/things?page=2"


# ---- options and forms ----


@pytest.mark.parametrize(
    ("query", "ids"),
    [("", [1, 2, 4]), ("?search=O", [1, 2]), ("?limit=1", [1]), ("?search=zz", []), ("?limit=0", [1, 2, 4])],
)
def test_options(web: Web, query: str, ids: list[int]) -> None:
    """Options are active records in the order of their labels, letters outside ASCII behind the others."""
    assert [option["value"] for option in web("GET", f"/things/field/parent/options{query}").json] == ids


def test_options_of_choices(web: Web) -> None:
    """A select has its choices; they can be searched and limited."""
    assert [option["value"] for option in web("GET", "/rules/field/choice/options").json] == ["a", "b"]
    assert [option["value"] for option in web("GET", "/rules/field/choice/options?search=B").json] == ["b"]
    assert [option["value"] for option in web("GET", "/rules/field/choice/options?limit=1").json] == ["a"]
    assert [option["value"] for option in web("GET", "/rules/field/fixed/options").json] == ["x"]
    assert list(web.wrong("GET", "/rules/field/choice/options?limit=x")) == ["limit"]
    assert list(web.wrong("GET", "/rules/field/choice/options", {"search": ["x"]})) == ["search"]


RELOAD = {"initial_request": False, "field": "parent", "state": {}, "action": {"name": "reloadRelatedOptions"}}


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"field": None}, {"field": "The field field is required."}),
        ({"field": "nope"}, {"field": "The selected field is invalid. Allowed are parent, children, friends."}),
        ({"field": "name"}, {"field": "The selected field is invalid. Allowed are parent, children, friends."}),
        ({"field": ["parent"]}, {"field": "The selected field is invalid. Allowed are parent, children, friends."}),
        ({"action": None}, {"action.name": "The action.name field is required."}),
        ({"action": {}}, {"action.name": "The action.name field is required."}),
        (
            {"action": {"name": "x"}},
            {"action.name": "The selected action.name is invalid. Write reloadRelatedOptions."},
        ),
        ({"state": []}, {"state": "The selected state is invalid. Write an object of fields."}),
        ({"state": {"nmae": 1}}, {"state.nmae": "The state.nmae field is prohibited. Did you mean 'name'?"}),
        (
            {"initial_request": "x"},
            {"initial_request": "The selected initial request is invalid. Write true or false."},
        ),
        ({"initial_request": {}}, {"initial_request": "The selected initial request is invalid. Write true or false."}),
    ],
)
def test_bad_forms(web: Web, change: Any, errors: dict[str, str]) -> None:
    """A form says what it does not understand."""
    assert web.wrong("GET", "/things/create", {**RELOAD, **change}) == errors


def test_form_by_query(web: Web) -> None:
    """A form works in the query, where no body can be sent."""
    query = "initial_request=0&field=parent&state[parent]=1&action[name]=reloadRelatedOptions"
    shown = web("GET", f"/things/create?{query}", **LITTLE).json
    assert shown == web("GET", "/things/create", RELOAD, **LITTLE).json
    assert sorted(option["value"] for option in shown["parent"]["relatedOptions"]) == [1, 2, 4]


def test_rules_in_forms(web: Web) -> None:
    """The rules of a form are those of the schema file, in Laravel's words."""
    shown = web("GET", "/rules/create").json
    assert {name: entry["rules"] for name, entry in shown.items()} == {
        "text": ["nullable", "string", "min:2", "max:4", "regex:/^a/"],
        "mail": ["nullable", "email"],
        "site": ["nullable", "url"],
        "code": ["nullable", "uuid"],
        "whole": ["nullable", "integer", "min:1", "max:5"],
        "ratio": ["nullable", "numeric", "gt:0", "lt:1", "multiple_of:0.25"],
        "flag": ["nullable", "boolean"],
        "day": ["nullable", "date_format:Y-m-d"],
        "at": ["nullable", "date"],
        "clock": ["nullable", "date_format:H:i:s"],
        "list": ["nullable", "array", "min:1", "max:2"],
        "choice": ["nullable", "string", "in:a,b"],
        "fixed": ["nullable", "string", "in:x"],
        "extra": ["nullable"],
        "pass": ["nullable", "string"],
        "unique": ["nullable", "string", "unique:rules,unique"],
        "link": ["nullable", "exists:codes,code"],
        "links": ["nullable", "array"],
    }
    assert {
        name: entry["type"] for name, entry in shown.items() if name in ("site", "choice", "list", "link", "links")
    } == {
        "site": "url",
        "choice": "select",
        "list": "list",
        "link": "belongs_to",
        "links": "belongs_to_many",
    }
    assert web("GET", "/codes/create").json["code"]["rules"] == ["required", "string", "unique:codes,code"]
    assert "fixed" not in web("GET", "/things/create").json
    assert web("GET", "/things/create").json["photo"]["rules"] == ["nullable", "file"]


GROUPED: dict[str, Any] = {
    "$defs": {
        "works": table({"title": "w1"}, {"title": "w2"}, title=TEXT),
        "parts": table({"title": "B"}, {"title": "b"}, {"title": "B"}, {"title": None}, title=TEXT),
        "items": table(
            *(
                {"title": title, "work": 1, "part": part}
                for title, part in zip("edcbaf", (1, 2, 1, 3, 2, 4), strict=True)
            ),
            {"title": "none", "work": 1},
            {"title": "other", "work": 2},
            title=TEXT,
            work=one("works"),
            part=one("parts", title="Part"),
        ),
        "bookings": table(
            {"work": 1},
            work=one("works"),
            item=one("items"),
            items=many("items"),
            **{"x-options": {"item": {"depends": "work", "group": "part"}, "items": {"depends": "work"}}},
        ),
    }
}


def test_groups() -> None:
    """Groups do not mix, however alike their labels are; what has no group, or one without a label, comes first."""
    with closing(Web(GROUPED)) as web:
        body = {**RELOAD, "field": "item", "state": {"work": {"value": 1, "label": "w1"}}}
        shown = web("GET", "/bookings/create", body, **LITTLE).json["item"]["relatedOptions"]
        assert [entry.get("group", entry.get("label")) for entry in shown] == [
            "Geen Part", "none", "f", "B", "c", "e", "b", "a", "d", "B", "b",
        ]  # fmt: skip
        for state in ([1, 2], ["2", 1]):
            many = web("GET", "/bookings/create", {**body, "field": "items", "state": {"work": state}}, **LITTLE).json
            assert len(many["items"]["relatedOptions"]) == 8
        assert web.wrong("GET", "/bookings/create", {**body, "state": {"work": "x"}}) == {
            "state.work": "The selected state.work is invalid. Write an id."
        }
        empty = web("GET", "/bookings/1/edit", {**body, "state": {"work": None}}, **LITTLE).json
        assert empty == {"item": {"relatedOptions": []}}
        kept = web("GET", "/bookings/1/edit", {**body, "state": {}}, **LITTLE).json
        assert kept["item"]["relatedOptions"] == shown


# ---- requests ----


def test_etags(web: Web) -> None:
    """A record has an `ETag`; `If-None-Match` gives 304, and a write with an old `If-Match` is refused."""
    answer = web("GET", "/things/1", **LITTLE)
    tag = answer.headers["ETag"]
    again = web("GET", "/things/1", HTTP_IF_NONE_MATCH=tag, **LITTLE)
    assert (again.status, again.body, again.headers["Vary"]) == (304, b"", "Prefer")
    assert web("GET", "/things/1", HTTP_IF_NONE_MATCH=tag).status == 200
    changed = web("PUT", "/things/1", {"size": 9}, HTTP_IF_MATCH=tag)
    assert changed.headers["ETag"] == web("GET", "/things/1", **LITTLE).headers["ETag"] != tag
    message = "The record has changed since: its version is not the one in If-Match"
    for method, path in (
        ("PUT", "/things/1"),
        ("PUT", "/things/1/inline/size"),
        ("POST", "/things/actions/archive_resource/1"),
    ):
        body = {"size": 1} if method == "PUT" else None
        web.refuse(412, message, method, path, body, HTTP_IF_MATCH=tag)


def test_origins(web: Web) -> None:
    """A page of another origin changes nothing, whatever method its form means."""
    web.app.action("things", "ping")(lambda *_: pytest.fail("called"))
    foreign = {"HTTP_ORIGIN": "https://evil.example"}
    before = web.dump()
    for path, body, kind in (
        ("/things", b"name=x", FORM),
        ("/things/1", b"_method=PUT&name=x", FORM),
        ("/things/actions/delete_resource/4", None, ""),
        ("/things/actions/ping/1", None, ""),
    ):
        answer = web("POST", path, body, kind, **foreign)
        assert (answer.status, list(answer.json)) == (403, ["message"])
    assert web.dump() == before


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "image/png"])
def test_media_types(web: Web, kind: str) -> None:
    """A body of another type is not taken."""
    answer = web("POST", "/things", b'{"name": "x"}', kind)
    message = f"The content type {kind!r} is not supported; send application/json or a form"
    assert (answer.status, answer.json) == (415, {"message": message})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[1]", "The body cannot be read: write an object"),
        (b'"x"', "The body cannot be read: write an object"),
        (b'{"name": "x", "name": "y"}', "The body cannot be read: the key 'name' stands twice in one object"),
        (b'{"name": NaN}', "The body cannot be read: NaN is not JSON"),
        (b'{"name": "\\u0000"}', "The body cannot be read: a text holds the character NUL"),
        (b'{"name": "\xff"}', "The body cannot be read: it is not valid UTF-8"),
        (b"{", "The body is not JSON: Expecting property name enclosed in double quotes at character 1"),
    ],
)
def test_bad_bodies(web: Web, body: bytes, message: str) -> None:
    """A body that cannot be read is 422, for reading too; where nothing is required broken JSON has nothing to miss."""
    for method, path in (
        ("POST", "/things"),
        ("PUT", "/things/1"),
        ("GET", "/things/table/things"),
        ("POST", "/things/actions/delete_resource/4"),
    ):
        web.refuse(422, message, method, path, body)


def test_unreadable_requests(web: Web) -> None:
    """What cannot be read at all is 400."""
    for path in ("/things/table/things?a[", "/things/table/things?%ff", "/things/%ff"):
        assert web("GET", path).status == 400
    assert web("POST", "/things", b"a[=1", FORM).status == 400
    assert web("GET", "/things/table/things?" + "&".join(["page=1"] * 300)).status == 400


def test_forms(web: Web) -> None:
    """A form's texts are read by the kinds of the fields; JSON values and lists too."""
    form = "text=ab&whole=3&ratio=0.5&flag=true&day=2024-01-01&list[]=x&list[]=y&link=nl&links[0]=de&mail="
    form += "&extra=%7B%22a%22:1%7D"
    made = web.data("POST", "/rules", form.encode(), FORM)
    assert {name: made[name] for name in ("text", "whole", "ratio", "flag", "day", "list", "extra", "mail")} == {
        "text": "ab",
        "whole": 3,
        "ratio": 0.5,
        "flag": True,
        "day": "2024-01-01",
        "list": ["x", "y"],
        "extra": {"a": 1},
        "mail": None,
    }
    assert (made["link"]["value"], [link["value"] for link in made["links"]]) == ("nl", ["de"])
    answer = web("POST", "/rules", b"whole=x&flag=maybe", FORM)
    assert list(answer.json["errors"]) == ["whole", "flag"]


def test_odd_methods(web: Web) -> None:
    """What `_method` says is held against the address like any method."""
    for method in ("DELETE", "nope", "POST "):
        answer = web("POST", "/things/1", {"_method": method})
        assert answer.status == 405
    assert web("POST", "/things/1", {"_method": 5}).status == 405
    assert web("POST", "/things/1", b"{", HTTP_X_HTTP_METHOD_OVERRIDE="PUT").status == 422
    assert web("PUT", "/things/1", {"_method": "PUT"}).status == 422
    assert web("POST", "/things", {"_method": "POST", "name": "x"}).status == 201


# ---- actions ----


def test_actions_of_an_embedding_program(web: Web) -> None:
    """A function belongs to one table; it is called for a record that is there, and its errors are answers."""

    @web.app.action("Things", "check_in")
    def check_in(number: int, values: Any, actor: minirest.Actor) -> str | None:
        if values:
            raise fail("refused", text="No values, please.")
        return f"{actor.id} {number}"

    assert check_in(1, {}, minirest.NOBODY) == "None 1"
    assert web("POST", "/things/actions/check_in/3").json == {"message": "None 3"}
    web.refuse(422, "No values, please.", "POST", "/things/actions/check_in/3", {"a": 1})
    web.refuse(404, "No query results for model [App\\Models\\Thing] 9", "POST", "/things/actions/check_in/9")
    route = "The route api/resources/codes/actions/check_in/nl could not be found."
    web.refuse(404, route, "POST", "/codes/actions/check_in/nl")
    assert [action["name"] for action in web("GET", "/codes/nl").json["actions"]] == ["delete_resource"]
    route = "The route api/resources/codes/actions/archive_resource/nl could not be found."
    web.refuse(404, route, "POST", "/codes/actions/archive_resource/nl")


def test_names_of_actions(web: Web) -> None:
    """A name is given once, and there must be the table."""
    web.app.action("things", "ping")(lambda *_: None)
    for resource, name in (
        ("nope", "x"),
        ("things", "ping"),
        ("THINGS", "ping"),
        ("things", "delete_resource"),
        ("things", "a/b"),
        ("things", ""),
    ):
        with pytest.raises(ValueError, match=r"no table|another action"):
            web.app.action(resource, name)
    web.app.action("codes", "ping")(lambda *_: None)


def test_a_failing_action(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    """A function that fails is a defect of the program."""
    web.app.action("things", "fail")(lambda *_: str(1 / 0))
    answer = web("POST", "/things/actions/fail/1")
    assert (answer.status, answer.json["message"]) == (500, "Server Error")
    assert answer.json["request"] in caplog.text


# ---- hidden records ----


@pytest.fixture
def house() -> Iterator[Web]:
    """Two users; each has a note, and they share a desk with both."""
    users = {"anna": "anna-secret", "bob": "bob-secret"}
    with closing(Web(auth=True, users=users, dialects=["limbas", "nocobase", "qore"])) as web:
        for number, name in enumerate(("anna", "bob"), 1):
            assert web("POST", "/notes", {"title": f"{name}'s note"}, **as_user(name)).json["data"]["id"] == number
        desk = {"name": "desk", "note": 1, "notes": [1]}
        assert web("POST", "/desks", desk, **as_user("anna")).status == 201
        assert web("PUT", "/desks/1/inline/notes", {"notes": [2]}, **as_user("bob")).status == 200
        yield web


def as_user(name: str) -> dict[str, str]:
    """The header of a user."""
    credentials = b64encode(f"{name}:{name}-secret".encode()).decode()
    return {"HTTP_AUTHORIZATION": f"Basic {credentials}"}


def test_hidden_records(house: Web) -> None:
    """What a user may not see is not there: no detail, row, option, hit, log or action, and no link leads to it."""
    anna, bob = as_user("anna"), as_user("bob")
    message = {"message": "No query results for model [App\\Models\\Note] 1"}
    for method, path, body in (
        ("GET", "/notes/1", None),
        ("PUT", "/notes/1", {"title": "x"}),
        ("PUT", "/notes/1/inline/title", {"title": "x"}),
        ("GET", "/notes/logs/1", None),
        ("GET", "/notes/1/edit", None),
        ("POST", "/notes/actions/delete_resource/1", None),
    ):
        answer = house(method, path, body, **bob)
        assert (answer.status, answer.json) == (404, message)
    assert [row["id"] for row in house("GET", "/notes/table/notes", **bob).json["data"]] == [2]
    assert house("GET", "/notes/table/notes", **bob).json["total"] == 1
    assert [option["value"] for option in house("GET", "/desks/field/note/options", **bob).json] == [2]
    hits = house("GET", "/api/global-search?query=note", **bob).json
    assert [hit["id"] for found in hits for hit in found["results"]] == [2]
    shown = [house("GET", "/desks/1", **user, **LITTLE).json["data"] for user in (anna, bob)]
    assert [desk["note"] for desk in shown] == [{"value": 1, "label": "anna's note"}, None]
    assert [[note["value"] for note in desk["notes"]] for desk in shown] == [[1], [2]]
    answer = house("PUT", "/desks/1", {"note": 1}, **bob)
    assert answer.json["errors"] == {"note": ["The selected note is invalid."]}
    assert house("GET", "/notes/logs/1", **anna).status == 200


def test_logs_tell_nothing_of_hidden_records(house: Web) -> None:
    """A log keeps ids of linked records; links to records that are not for everybody are left out of it."""
    for user in (as_user("anna"), as_user("bob")):
        log = house("GET", "/desks/logs/1", **user).json
        assert [(entry["description"], entry["field"], entry["value_new"]) for entry in log["data"]] == [
            ("created", None, {"name": "desk"})
        ]
        assert log["total"] == 1
    house("PUT", "/desks/1", {"name": "table"}, **as_user("bob"))
    entry = house("GET", "/desks/logs/1", **as_user("anna")).json["data"][0]
    assert (entry["field"], entry["value_old"], entry["value_new"]) == ("name", "desk", "table")
    assert entry["user"] == {"id": 2, "title": "bob"}


def test_history_tells_nothing_of_hidden_rows_of_links() -> None:
    """Who may not see the row of a link does not learn of the link, neither from a log nor from the record's page."""
    schema = {
        "$defs": {
            "clubs": table(name=TEXT, people=many("people", **{"x-through": "members"})),
            "members": table(
                club=one("clubs"), person=one("people"), required=["club", "person"], **{"x-access": True}
            ),
            "people": table({"name": "Zoë"}, name=TEXT, **{"x-label": "name"}),
        }
    }
    seen = []
    with closing(Web(schema, auth=True, users={"anna": "anna-secret", "bob": "bob-secret"})) as web:
        assert web.data("POST", "/clubs", {"name": "c", "people": [1]}, **as_user("anna"))["people"]
        for user in (as_user("anna"), as_user("bob")):
            (entry,) = web("GET", "/clubs/logs/1", **user).json["data"]
            assert entry["value_new"] == {"name": "c"}
            page = send(web.app, "GET", "/browse/clubs/1", HTTP_ACCEPT="text/html", **user).body.decode()
            seen.append("Zoë" in page)
    assert seen == [True, False]


def test_history_of_what_became_a_secret(tmp_path: Path) -> None:
    """Of a field that is never shown from now on, neither a log nor a page tells what it held; others stay."""
    anna, log, page = as_user("anna"), list[Any](), b""
    for word in ({}, {"writeOnly": True}):
        schema = {"$defs": {"things": table(name=TEXT, pin={**TEXT, **word})}}
        with closing(Web(schema, db=str(tmp_path / "db"), auth=True, users={"anna": "anna-secret"})) as web:
            if not word:
                web("POST", "/things", {"name": "one", "pin": "1234"}, **anna)
            web("PUT", "/things/1", {"pin": "5678" if word else "4321"}, **anna)
            log = web("GET", "/things/logs/1", **anna).json["data"]
            page = send(web.app, "GET", "/browse/things/1", HTTP_ACCEPT="text/html", **anna).body
    assert [(entry["field"], entry["value_old"], entry["value_new"]) for entry in log] == [
        ("pin", None, None),
        (None, None, {"name": "one"}),
    ]
    assert not re.findall(rb"1234|5678|4321", page)
    assert page.count(b"a value that is never shown") == 2


def test_logs_begin_with_the_record(house: Web) -> None:
    """An id can be given again; the log tells nothing of the record that had it before."""
    anna, bob = as_user("anna"), as_user("bob")
    assert house("POST", "/notes/actions/delete_resource/1", **anna).status == 200
    assert house("GET", "/notes/logs/1", **anna).status == 404
    assert house("POST", "/api/notes:create", {"id": 1, "title": "bob's"}, **bob).status == 200
    log = house("GET", "/notes/logs/1", **bob).json
    assert [(entry["description"], entry["value_old"], entry["value_new"]) for entry in log["data"]] == [
        ("created", None, {"title": "bob's"})
    ]
    assert log["total"] == 1


# ---- strictness ----


@pytest.mark.parametrize(
    ("method", "path", "body", "name"),
    [
        ("PUT", "/things/1", {"fixed": "x"}, "fixed"),
        ("PUT", "/things/1", {"id": 1}, "id"),
        ("PUT", "/things/1", {"created_at": None}, "created_at"),
        ("PUT", "/things/1/inline/name", {"name": "x", "size": 1}, "size"),
        ("GET", "/things/table/things", {"page": 0}, "page"),
        ("GET", "/things/table/things?page=x", None, "page"),
        ("GET", "/things/table/things?tab=&tab=", None, "tab"),
        ("GET", "/things/logs/1", {"page": -1}, "page"),
    ],
)
def test_strict(web: Web, strict: Web, method: str, path: str, body: Any, name: str) -> None:
    """What Laravel and the document ignore is refused by name."""
    assert web(method, path, body).status == 200
    assert list(strict.wrong(method, path, body)) == [name]


def test_strict_bodies(web: Web, strict: Web) -> None:
    """A body that is ignored for its type, and broken JSON, are named."""
    assert web("GET", "/things/table/things", b"x=1", FORM).status == 200
    assert strict("GET", "/things/table/things", b"x=1", FORM).status == 415
    assert list(web("POST", "/codes", b"{").json["errors"]) == ["code"]
    assert strict("POST", "/codes", b"{").json["message"].startswith("The body is not JSON")


# ---- beside others ----


def test_alone() -> None:
    """Without the other dialects nothing is different."""
    with closing(Web(dialects=["qore"])) as web:
        assert web.ids("things") == [1, 2, 4]
        assert web("GET", "/nope/1").json == {"message": "The route api/resources/nope/1 could not be found."}


def test_beside_nocobase() -> None:
    """The addresses of NocoBase are its own, and those of Qore never reach it."""
    with closing(Web(dialects=["nocobase", "qore"])) as web:
        assert web("GET", "/api/things:get/1").json["data"]["name"] == "one"
        assert web("GET", "/api/things/1/children:list").status == 200
        for path in (
            "/api/me/1",
            "/api/resources",
            "/api/resources/",
            "/api/endpoints/x/y",
            "/api/global-search/things",
        ):
            route = path.strip("/")
            web.refuse(404, f"The route {route} could not be found.", "GET", path)
        assert web("GET", "/api/resources:list").json["errors"][0]["code"] == "unknown_table"


def test_without_users(web: Web) -> None:
    """A server without authentication has nobody to show."""
    words = ("id", "name", "email", "created_at", "updated_at", "title")
    assert web("GET", "/api/me").json == dict.fromkeys(words)
    with closing(Web(dialects=["qore"], auth=True, users={"a": "bcdefghi"})) as other:
        assert other("GET", "/api/me/1").json == {"message": "Unauthenticated."}


# ---- any request ----

WORDS = ["things", "codes", "rules", "nope", "table", "create", "edit", "logs", "actions", "field", "options", "inline"]
WORDS += ["1", "nl", "99", "parent", "name", "delete_resource", "archive_resource", "x,y", "%ff", "%20", "..", ":"]
NAMES = ["tab", "search_columns", "sort_column", "sort_direction", "per_page", "page", "search", "limit", "query"]
NAMES += ["initial_request", "field", "state", "action", "_method", "search_columns[name]", "search_columns[parent][]"]
NAMES += [*RULES, "name", "parent", "children", "friends", "photo", "link", "links", "id", "code", "nope", "a[", ""]
VALUES = [
    "",
    "1",
    "-1",
    "x",
    "true",
    "PUT",
    "name",
    "parent",
    "desc",
    "2024-01-01",
    "%00",
    "9" * 30,
    "1e400",
    "%ff",
    "0",
]
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.sampled_from(["", "x", "1", "nl", "PUT"]))


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Values, and lists and objects of them."""
    keys = st.sampled_from([*NAMES, "value"])
    return st.one_of(inner, st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3))


JSON_VALUES = nested(nested(PLAIN))
SHAPES = ["/{}/table/{}", "/{}", "/{}/1", "/{}/nl", "/{}/create", "/{}/1/edit", "/{}/1/inline/name", "/{}/logs/1"]
SHAPES += ["/{}/field/parent/options", "/{}/actions/archive_resource/1", "/api/global-search", "/api/me"]


@pytest.fixture(scope="module")
def open_door() -> Iterator[tuple[Web, sqlite3.Connection]]:
    """A server that any request may change, and what was stored at first."""
    with closing(Web(dialects=["qore", "nocobase"])) as web, closing(sqlite3.connect(":memory:")) as stored:
        web.app.store.database.writer.backup(stored)
        yield web, stored


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any, str, dict[str, str]]:
    """A request of any shape."""
    name = draw(st.sampled_from(["things", "codes", "rules", "numbers", "notes"]))
    free = st.lists(st.sampled_from(WORDS), max_size=5).map(lambda parts: "".join(f"/{part}" for part in parts))
    path = draw(st.one_of(st.sampled_from(SHAPES).map(lambda shape: shape.replace("{}", name)), free))
    pairs = draw(st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=3))
    query = "&".join(f"{quote(key, safe='[]')}={quote(value, safe='%')}" for key, value in pairs)
    fields = st.dictionaries(st.sampled_from(NAMES), JSON_VALUES, max_size=4)
    body = draw(st.one_of(st.none(), fields, JSON_VALUES, st.binary(max_size=8), st.just(query.encode())))
    kind = draw(st.sampled_from(["", "", "text/plain", FORM]))
    headers = draw(st.sampled_from([{}, LITTLE, {"HTTP_X_HTTP_METHOD_OVERRIDE": "PUT"}]))
    asked = draw(st.sampled_from(["", f"?{query}"]))
    return draw(st.sampled_from(METHODS)), path + draw(st.sampled_from(["", "/"])) + asked, body, kind, headers


@settings(max_examples=800)
@given(request=requests())
def test_no_request_fails(
    open_door: tuple[Web, sqlite3.Connection], request: tuple[str, str, Any, str, dict[str, str]]
) -> None:
    """No request gives a 5xx; what is refused has a message, and a 422 for a field names it."""
    web, stored = open_door
    stored.backup(web.app.store.database.writer)
    method, path, body, kind, headers = request
    answer = web(method, path, body, kind, **headers)
    assert answer.status < 500, answer.body
    if answer.status >= 400 and method != "HEAD":
        assert list(answer.json) in (["message"], ["message", "errors"])
        assert answer.json["message"]
        assert answer.headers["Content-Type"] == "application/json"
