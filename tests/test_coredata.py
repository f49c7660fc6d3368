"""The CoreData dialect beyond its numbered lines: names, filters, pages, states, writing, strictness, bad input."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minirest
from minirest import fail, record_uuid, singular
from tests.web import Answer, dump, many, one, send, table

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
BASE = "/api/v2"
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
TEXT: dict[str, Any] = {"type": "string"}
INTEGER: dict[str, Any] = {"type": "integer"}
FOREIGN = {"HTTP_ORIGIN": "https://other.example"}


SCHEMA: dict[str, Any] = {
    "$defs": {
        "things": table(
            {
                "text": "a",
                "text__long": "1",
                "text_": "u",
                "gt": 5,
                "ratio": 0.1,
                "extra": {"b": 1, "a": 2},
                "parent": 2,
            },
            {"text": "b", "text__long": "2", "numbers": [1, 2.5], "flags": [True], "multi": ["B"], "parent": 1},
            {"text": "Ärger", "ratio": 1e300, "big": 9007199254740993, "numbers": [3], "parent": 1},
            {"extra": [{"b": None, "a": []}], "at": "2024-01-01T00:00:00.999Z", "days": ["2024-01-01"]},
            text={**TEXT, "maxLength": 40},
            text__long=TEXT,
            text_=TEXT,
            gt=INTEGER,
            ratio={"type": "number"},
            big=INTEGER,
            at={"type": "string", "format": "date-time"},
            extra={},
            numbers={"type": "array", "items": {"type": "number"}},
            flags={"type": "array", "items": {"type": "boolean"}},
            days={"type": "array", "items": {"type": "string", "format": "date"}},
            multi={"type": "array", "items": {"type": "string", "enum": ["A", "B"]}},
            photo={"type": "string", "format": "binary"},
            pin={**TEXT, "writeOnly": True},
            parent=one("things"),
            children=many("things", **{"x-inverse": "parent"}),
            **{"x-alias": {"coredata": {"parent_id": "parent"}}},
        ),
        "owned": table(
            {"created": "2001-02-03T04:05:06Z", "type": "x", "modified_by": "y"},
            created={"type": "string", "format": "date-time"},
            type=TEXT,
            modified_by=TEXT,
            created_by={**TEXT, "writeOnly": True},
        ),
        "keyed": table({"id": "k", "name": "n"}, id=TEXT, name=TEXT),
        "numbered": table({"name": "n"}, id=INTEGER, name=TEXT),
        "Boxes": table(
            {"name": "one", "items": [3, 1, 2], "lid": 1},
            {"name": "two", "items": [4]},
            name={**TEXT, "x-unique": True},
            items=many("pieces"),
            lid=one("lids", **{"x-unique": True}),
            required=["name"],
        ),
        "pieces": table(
            {"name": "p1"},
            {"name": "p2", "_status": "archived"},
            {"name": "p3"},
            {"name": "p4", "valid_to": "2020-01-01"},
            name=TEXT,
            boxes=many("Boxes", **{"x-inverse": "items"}),
            **{"x-archive": True, "x-validity": True},
        ),
        "lids": table({"name": "l1"}, {"name": "l2"}, name=TEXT, box=one("Boxes", **{"x-inverse": "lid"})),
        "ranked": table(
            {"name": "r1", "rank": 2},
            {"name": "r2", "rank": 1},
            name=TEXT,
            rank=INTEGER,
            **{"x-sort": {"field": "rank"}},
        ),
        "guards": table({"of": 1}, of=one("lids", **{"x-delete": "restrict"})),
    }
}


class Web:
    """A client below `/api/v2`."""

    def __init__(self, schema: dict[str, Any] = SCHEMA, **words: Any) -> None:
        settings = {"auth": False, "clock": lambda: NOW, **words}
        self.app = minirest.make_app(schema, **settings)

    def __call__(self, method: str, path: str, body: Any = None, kind: str = "", **environ: str) -> Answer:
        """Send a request."""
        return send(self.app, method, BASE + path, body, kind, **environ)

    def uuid(self, name: str, number: int, version: int = 0) -> str:
        """The UUID of a record."""
        return record_uuid(self.app.schema.find(name).tag, version, number)

    def at(self, name: str, number: int) -> str:
        """The address of a record, below the base."""
        return f"/{name}/{self.uuid(name, number)}/"

    def uri(self, name: str, number: int) -> str:
        """The whole address of a record."""
        return BASE + self.at(name, number)

    def get(self, path: str) -> Any:
        """The value of an answer that is 200."""
        answer = self("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def numbers(self, path: str) -> list[int]:
        """The ids of the records of a list, which is complete."""
        answer = self.get(path)
        assert answer["meta"]["total_count"] == len(answer["objects"])
        return [int(found["id"][-12:], 16) for found in answer["objects"]]

    def refuse(self, status: int, text: str, method: str, path: str, body: Any = None) -> None:
        """Send what is refused, and see that nothing has changed."""
        before = dump(self.app.store)
        answer = self(method, path, body)
        assert (answer.status, answer.json) == (status, {"error": text})
        assert dump(self.app.store) == before

    def close(self) -> None:
        """Close the application."""
        self.app.close()


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the data to anybody."""
    with closing(Web()) as web:
        yield web


@pytest.fixture
def strict() -> Iterator[Web]:
    """Serve it strictly."""
    with closing(Web(strict=True)) as web:
        yield web


# ---- names ----


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("contacts", "Contact"),
        ("companies", "Company"),
        ("boxes", "Box"),
        ("churches", "Church"),
        ("dishes", "Dish"),
        ("classes", "Class"),
        ("address", "Address"),
        ("status", "Status"),
        ("analysis", "Analysis"),
        ("postsTags", "PostsTag"),
        ("kunden", "Kunden"),
        ("s", ""),
    ],
)
def test_singular(name: str, word: str) -> None:
    """What one record is called."""
    assert singular(name) == word


def test_names_with_underscores(web: Web) -> None:
    """The longest name that a parameter begins with is meant; a field goes before a lookup of its name."""
    assert web.numbers("/things/?text__long=1") == [1]
    assert web.numbers("/things/?text__long__gt=1") == [2]
    assert web.numbers("/things/?text___gte=u") == [1]
    assert web.numbers("/things/?text_=u") == [1]
    assert web.numbers("/things/?parent__gt=5") == [2, 3]
    assert web.numbers("/things/?parent__gt__gt=4") == [2, 3]
    assert web.numbers(f"/things/?parent__id__in={web.uuid('things', 1)}") == [2, 3]


def test_own_fields_win(web: Web) -> None:
    """A field of the schema with the name of a system word is shown, filtered, sorted and set in its place."""
    record = web.get("/owned/")["objects"][0]
    assert (record["created"], record["type"], record["modified_by"]) == ("2001-02-03T04:05:06", "x", "y")
    assert "created_by" not in record  # a field that is never shown has this name
    assert web.numbers("/owned/?created=2001-02-03T04:05:06Z&type=x&modified_by__in=y&order_by=type") == [1]
    answer = web("PATCH", web.at("owned", 1), {"created": "2002-02-03T04:05:06Z", "type": "z"})
    assert (answer.json["created"], answer.json["type"]) == ("2002-02-03T04:05:06", "z")
    description = web.get("/owned/schema/")
    assert not description["fields"]["type"]["readonly"]
    assert {"type", "modified_by"} <= set(description["filtering"])
    assert "created_by" not in description["fields"]


@pytest.mark.parametrize("name", ["keyed", "numbered"])
def test_id_is_always_the_uuid(web: Web, name: str) -> None:
    """A field `id` of the schema is out of reach."""
    found = web.get(f"/{name}/?id={web.uuid(name, 1)}&order_by=id")["objects"]
    assert [record["id"] for record in found] == [web.uuid(name, 1)]
    assert web.numbers(f"/{name}/?id=k") == []
    assert web("PATCH", web.at(name, 1), {"id": "other", "name": "m"}).status == 202
    assert web.app.store.database.writer.execute(f"select * from {name}").fetchone()[1] in ("k", "m")
    assert web.get(f"/{name}/schema/")["fields"]["id"]["primary_key"]


def test_aliases(web: Web) -> None:
    """A second name is good for filters, bodies and addresses; it is not shown."""
    one_id = web.uuid("things", 1)
    assert web.numbers(f"/things/?parent_id={one_id}") == [2, 3]
    assert web.numbers(f"/things/?parent_id__in={one_id},{web.uuid('things', 2)}&order_by=-id") == [3, 2, 1]
    answer = web("POST", "/things/", {"text": "new", "parent_id": one_id})
    assert (answer.status, answer.json["parent"]) == (201, web.uri("things", 1))
    assert "parent_id" not in answer.json
    found = web.get(f"/things/{web.uuid('things', 2)}/parent_id/?limit=1&offset=1")["meta"]
    assert found["previous"] == f"{BASE}/things/{web.uuid('things', 2)}/parent/?limit=1&offset=0"
    web.refuse(400, "Field 'parent_id' is set twice", "POST", "/things/", {"parent": None, "parent_id": None})


def test_endpoints_in_any_case(web: Web) -> None:
    """A table is found in any case; addresses have its own name."""
    assert web.get("/boxes/?limit=1")["meta"]["next"] == f"{BASE}/Boxes/?limit=1&offset=1"
    assert web.get("/BOXES/")["objects"][0]["resource_uri"] == web.uri("Boxes", 1)
    assert web.numbers(f"/pieces/?boxes={web.uri('Boxes', 1)}") == [1, 3]
    assert list(web.get("/")) == sorted(SCHEMA["$defs"])


def test_creator(web: Web) -> None:
    """Who made a record: the display name, else the name."""
    with closing(Web(auth=True, users={"anna": "open-sesame"})) as guarded:
        key = {"HTTP_AUTHORIZATION": f"apikey anna:{guarded.app.accounts.add_token('anna', 'test')}"}
        made = guarded("POST", "/lids/", {}, **key).json
        assert (made["created_by"], made["modified_by"]) == ("anna", "anna")
        guarded.app.accounts.put_user("anna", display_name="Anna Å")
        assert guarded("GET", "/lids/?order_by=-id", **key).json["objects"][0]["created_by"] == "Anna Å"
    assert web("POST", "/lids/", {}).json["created_by"] is None


# ---- values ----


def test_values(web: Web) -> None:
    """Numbers, lists and JSON come out as they went in, with sorted keys."""
    texts = [json.dumps(record, sort_keys=True) for record in web.get("/things/")["objects"]]
    for number, part in enumerate(
        (
            '"extra": {"a": 2, "b": 1}',
            '"numbers": [1.0, 2.5]',
            '"big": 9007199254740993',
            '"extra": [{"a": [], "b": null}]',
        )
    ):
        assert part in texts[number]
        assert part in web("GET", web.at("things", number + 1)).body.decode()
    assert web.get(web.at("things", 3))["ratio"] == 1e300


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("numbers=2.5", [2]),
        ("numbers=1", [2]),
        ("numbers__in=3,1", [2, 3]),
        ("flags=true", [2]),
        ("flags=false", []),
        ("days=2024-01-01", [4]),
        ("multi=B", [2]),
        ("multi__in=", []),
        ("numbers__isnull=0", [2, 3]),
        ("text__icontains=%C3%84R", [3]),
        ("text__iexact=%C3%84RGER", [3]),
        ("text__contains=%C3%84R", []),
        ("text__in=a,%C3%84rger", [1, 3]),
        ("text=", []),
        ("text__startswith=", [1, 2, 3]),
        ("ratio__gte=0.1&ratio__lte=0.1", [1]),
        ("at__lte=2024-01-01T00:00:00", [4]),
        ("at=2024-01-01T00:00", [4]),
        ("at__gt=2024-01-01T00:00:00", []),
        ("at__lt=2024-01-01T00:00:00", []),
        ("at__gt=2024-01-01", [4]),
        ("at__in=", []),
        ("parent=None", [4]),
        ("parent=x", []),
        ("parent__isnull=true", [4]),
        ("parent__parent__text=a", [1]),
        ("children__text=b", [1]),
        ("children__isnull=true", [3, 4]),
        ("children__text=b&children__ratio__isnull=true", [1]),
        ("children__text=b&children__ratio__isnull=false", []),
    ],
)
def test_filters(web: Web, query: str, found: list[int]) -> None:
    """What filters select."""
    assert web.numbers(f"/things/?{query}") == found


MISMATCH = "Invalid resource lookup data provided (mismatched type)."
NO_MOMENT = "“{}” value has an invalid format. It must be in YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ] format."
TOO_LARGE = "The filter is too large: more than "


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("numbers=x", MISMATCH),
        ("flags=x", MISMATCH),
        ("at__year=x", MISMATCH),
        ("days=x", "['“x” value has an invalid date format. It must be in YYYY-MM-DD format.']"),
        ("at=<b>", f"['{NO_MOMENT}']".format("&lt;b&gt;")),
        ("at__gt=it's", f'["{NO_MOMENT}"]'.format("it's")),
        ("order_by=children__text", "The 'text' field does not allow ordering."),
        ("order_by=parent", "The 'parent' field does not allow ordering."),
        ("order_by=numbers", "The 'numbers' field does not allow ordering."),
        ("order_by=pin", "No matching 'pin' field for ordering on."),
        ("order_by=<", "No matching '&lt;' field for ordering on."),
        ("parent__=x", "The '' field does not allow filtering."),
        ("parent__pin=x", "The 'pin' field does not allow filtering."),
        ("parent__photo=x", "The 'photo' field does not allow filtering."),
        ("parent__gt__x=1", "The 'gt' field does not support relations."),
        ("offset=9223372036854775808", "Invalid offset '9223372036854775808' provided. Please provide an integer."),
        ("limit=%C2%B2", "Invalid limit '²' provided. Please provide a positive integer."),
        ("x=%ff", "The query string is not valid: it is not valid UTF-8"),
        ("text__contains=" + "x" * 1001, f"{TOO_LARGE}1000 characters to search for"),
        ("__".join(["parent"] * 18), f"{TOO_LARGE}16 links in one path"),
        (
            "&".join(f"{'__'.join(['parent'] * n)}__text__lt=x" for n in (8, 9)) + f"&{'children__' * 8}gt=1",
            f"{TOO_LARGE}16 links",
        ),
        ("at__in=" + ",".join(["2024-01-01"] * 101), f"{TOO_LARGE}100 terms"),
        ("&".join(f"order_by={'parent__' * n}text" for n in range(17)), f"{TOO_LARGE}16 terms in the order"),
    ],
)
def test_bad_queries(web: Web, query: str, text: str) -> None:
    """What is wrong with a query is said, in the original's words where it has some."""
    web.refuse(400, text, "GET", f"/things/?{query}")


def test_limits_that_are_kept(web: Web) -> None:
    """As many terms, links and letters as are allowed; a large offset; a list of ids of any length."""
    assert web.numbers("/things/?at__in=" + ",".join(["2024-01-01"] * 100)) == []
    assert web.numbers(f"/things/?{'parent__' * 16}text__lt=z") == [1, 2, 3]
    assert web.get("/things/?offset=999999999999999999")["objects"] == []
    ids = ",".join(web.uuid("things", number) for number in range(1, 800))
    assert web.numbers(f"/things/?id__in={ids}") == [1, 2, 3, 4]


# ---- order, pages, states ----


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("order_by=text", [4, 1, 2, 3]),
        ("order_by=-text", [3, 2, 1, 4]),
        ("order_by=parent__text", [4, 2, 3, 1]),
        ("order_by=-parent__text&order_by=-id", [1, 3, 2, 4]),
        ("order_by=created&order_by=-gt", [1, 2, 3, 4]),
        ("order_by=id", [1, 2, 3, 4]),
        ("order_by=-id&order_by=-id", [4, 3, 2, 1]),
    ],
)
def test_order(web: Web, order: str, found: list[int]) -> None:
    """Nulls come first, downwards last; the id decides between equals; unique links lead further."""
    assert web.numbers(f"/things/?{order}") == found


def test_default_orders(web: Web) -> None:
    """Lists are ordered by id, in a table with a manual order too; linked ones by their link."""
    assert web.numbers("/ranked/") == [1, 2]
    assert web.numbers(f"{web.at('Boxes', 1)}items/") == [3, 1]
    assert web.numbers(f"{web.at('Boxes', 1)}items/?order_by=name") == [1, 3]


def test_states(web: Web) -> None:
    """Lists have what is active and valid today; by id, in a set, and as values of links everything is found."""
    assert web.numbers("/pieces/") == [1, 3]
    assert web.numbers(f"/pieces/?id__in={web.uuid('pieces', 2)},{web.uuid('pieces', 1)}") == [1]
    assert web.numbers(f"{web.at('Boxes', 2)}items/") == []
    assert web.get(web.at("pieces", 2))["name"] == "p2"
    both = f"{web.uuid('pieces', 4)};{web.uuid('pieces', 2)}"
    assert [found["name"] for found in web.get(f"/pieces/set/{both}/")["objects"]] == ["p4", "p2"]
    assert web.get(web.at("Boxes", 1))["items"] == [web.uri("pieces", number) for number in (3, 1, 2)]
    assert web.numbers("/Boxes/?items__name=p2") == [1]
    assert web("DELETE", web.at("pieces", 4)).status == 204


def test_set_with_repeats(web: Web) -> None:
    """A set answers each id where it stands, in either case, as often as it stands there."""
    first, second = web.uuid("lids", 1), web.uuid("lids", 2)
    found = web.get(f"/lids/set/{second};{first.upper()};{second};;x;x/")
    assert [record["id"] for record in found["objects"]] == [second, first, second]
    assert found["not_found"] == ["x", "x"]


def test_below_a_unique_link(web: Web) -> None:
    """What a unique link leads to is a list of at most one record, from either side."""
    assert web.numbers(f"{web.at('Boxes', 1)}lid/") == [1]
    assert web.numbers(f"{web.at('Boxes', 2)}lid/") == []
    assert web.numbers(f"{web.at('lids', 1)}box/?name=one") == [1]
    assert web.numbers(f"{web.at('lids', 1)}box/?name=two") == []
    assert web("GET", f"{web.at('lids', 9)}box/").status == 404


ROWS = st.lists(
    st.fixed_dictionaries({"size": st.one_of(st.none(), st.integers(0, 3)), "up": st.booleans()}),
    min_size=1,
    max_size=9,
)
QUERIES = st.lists(
    st.sampled_from(
        ["size__lte=2", "size__isnull=false", "nodes__size__gte=1", "order_by=-size", "order_by=up", "up=true"]
    ),
    max_size=3,
    unique=True,
)


@settings(max_examples=60)
@given(rows=ROWS, query=QUERIES, limit=st.integers(1, 4), nested=st.booleans())
def test_pages(rows: list[dict[str, Any]], query: list[str], limit: int, nested: bool) -> None:
    """Following `next` gives every record exactly once, in order; `previous` leads back the same way."""
    examples = [{**row, "nodes": [number, *range(1, number)]} for number, row in enumerate(rows, 1)]
    nodes = table(*examples, size=INTEGER, up={"type": "boolean"}, nodes=many("nodes"))
    with closing(Web({"$defs": {"nodes": nodes}})) as web:
        path = f"{web.at('nodes', len(rows))}nodes/" if nested else "/nodes/"
        everything = web.get(f"{path}?{'&'.join(query)}")["objects"]
        pages = [web.get(f"{path}?limit={limit}&{'&'.join(query)}")]
        while pages[-1]["meta"]["next"]:
            pages.append(web.get(pages[-1]["meta"]["next"].removeprefix(BASE)))
        assert [found for page in pages for found in page["objects"]] == everything
        assert {page["meta"]["total_count"] for page in pages} == {len(everything)}
        assert len({found["id"] for found in everything}) == len(everything)
        while pages[-1]["meta"]["previous"]:
            before = web.get(pages.pop()["meta"]["previous"].removeprefix(BASE))
            assert before["objects"] == pages[-1]["objects"]
        assert len(pages) == 1


# ---- writing ----


def test_fields_that_are_never_shown(web: Web) -> None:
    """A field with `writeOnly` is taken, and neither shown nor found."""
    answer = web("POST", "/things/", {"pin": "1234"})
    assert answer.status == 201
    assert "1234" not in answer.body.decode()
    stored = web.app.store.database.writer.execute("select pin from things where id=5").fetchone()
    assert stored == ("1234",)
    assert web.numbers("/things/?pin=1234") == [1, 2, 3, 4, 5]


def test_the_highest_id_that_can_be_given(web: Web) -> None:
    """Behind the highest id that a client may give, new records are still found by theirs."""
    highest = minirest.MAX_GIVEN_ID
    answer = send(web.app, "POST", "/api/pieces:create", {"id": highest + 1, "name": "x"})
    text = f"Invalid value {highest + 1} for field 'id': expected a record id, {highest} at the most"
    assert (answer.status, answer.json) == (400, {"errors": [{"code": "bad_value", "message": text}]})
    assert send(web.app, "POST", "/api/pieces:create", {"id": highest, "name": "x"}).status == 200
    made = web("POST", "/pieces/", {"name": "next"})
    assert made.headers["Location"] == web.uri("pieces", highest + 1)
    assert web.get(web.at("pieces", highest + 1))["name"] == "next"


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
DECIMALS = st.builds(round, st.floats(-1e12, 1e12) | st.floats(-9, 9), st.integers(0, 9))
PLAIN_TEXTS = st.text(max_size=5) | st.sampled_from([*',:{}[]"\\', '","', '":{"', "e-1.0"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | NUMBERS | PLAIN_TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_TEXTS, inner, max_size=3),
)


@given(
    records=st.lists(st.dictionaries(PLAIN_TEXTS, NUMBERS | DECIMALS | PLAIN_TEXTS | DOCUMENTS, max_size=4), max_size=3)
)
@example([{"a": 1e-05}, {"b": -0.0}])
@example([{"a": 0.1234567}])
@example([{"a": 12345678901234.567}])
def test_records_are_written_as_python_does(records: list[dict[str, Any]]) -> None:
    """What SQLite has written gets the blanks and digits of Python without being read, or by being read."""
    template = minirest.COREDATA.template(minirest.KINDS["number"])
    with closing(sqlite3.connect(":memory:")) as connection:

        def shown(value: Any) -> str:
            if isinstance(value, float):
                text = connection.execute(f"select json_array({template.format('x')}) from (select ? as x)", (value,))
            else:
                text = connection.execute("select json_array(json(?))", (json.dumps(value, ensure_ascii=False),))
            return str(text.fetchone()[0])[1:-1]

        pairs = [[(json.dumps(key, ensure_ascii=False), shown(it[key])) for key in sorted(it)] for it in records]
    texts = ["{" + ",".join(f"{key}:{value}" for key, value in record) + "}" for record in pairs]
    expected = json.dumps(json.loads(f"[{','.join(texts)}]"), ensure_ascii=False, sort_keys=True)
    assert f"[{minirest.python_records(texts)}]" == expected


RAW_NUMBERS = "1e5 1E5 1.50 -0 1.5E3 0.1234567 -0.0 1.0 10 100.5 -10 1.0e-07 true null".split()


@pytest.mark.parametrize("number", RAW_NUMBERS)
def test_numbers_of_others_are_written_as_python_does(number: str) -> None:
    """In JSON columns of others a number may be spelt in any way."""
    for text in (f'{{"a":{number}}}', f'{{"a":[{number},2]}}', f'{{"a":[2,{number}],"b":"e-1.50"}}'):
        assert minirest.python_records([text]) == json.dumps(json.loads(text))


def test_links_in_bodies(web: Web) -> None:
    """Links are addresses or UUIDs; null and the empty list take them away; what belongs to another record moves."""
    body = {"name": "three", "items": [web.uuid("pieces", 4), web.uri("pieces", 1)], "lid": web.uri("lids", 1)}
    made = web("POST", "/Boxes/", body)
    assert (made.status, made.json["lid"]) == (201, web.uri("lids", 1))
    assert made.json["items"] == [web.uri("pieces", 4), web.uri("pieces", 1)]
    assert web.get(web.at("Boxes", 1))["lid"] is None
    assert web.get(web.at("lids", 1))["box"] == web.uri("Boxes", 3)
    moved = web(
        "PATCH", web.at("lids", 2), {"box": web.uri("Boxes", 3).upper().replace("/API/V2/BOXES", f"{BASE}/Boxes")}
    )
    assert moved.json["box"] == web.uri("Boxes", 3)
    assert web.get(web.at("lids", 1))["box"] is None
    children = web("PATCH", web.at("things", 4), {"children": [web.uri("things", 2)]})
    assert children.json["children"] == [web.uri("things", 2)]
    assert web.get(web.at("things", 1))["children"] == [web.uri("things", 3)]
    cleared = web("PUT", web.at("Boxes", 3), {"items": [], "lid": None})
    assert (cleared.status, cleared.json["items"], cleared.json["lid"]) == (200, [], None)
    assert web("PUT", web.at("Boxes", 2), {"items": None}).json["items"] == []


MISSING = "Could not find the provided {} object via resource URI '{}'."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"lid": 1}, MISSING.format("lid", "1")),
        ({"lid": {"name": "new"}}, MISSING.format("lid", '{"name":"new"}')),
        ({"lid": []}, MISSING.format("lid", "[]")),
        ({"items": [None]}, MISSING.format("items", "null")),
        ({"items": ["<x>"]}, MISSING.format("items", "&lt;x&gt;")),
        ({"items": "x"}, "Invalid value \"x\" for field 'items': expected a list of resource URIs"),
        ({"items": {}}, "Invalid value {} for field 'items': expected a list of resource URIs"),
        ({"name": None}, "Field 'name' is required"),
        ({"name": 1}, "Invalid value 1 for field 'name': expected a text"),
        ({"name": "two"}, "Field 'name' must be unique: another record has this value"),
        (
            {"name": 1, "lid": 2, "items": [3]},
            "; ".join(
                (
                    "Invalid value 1 for field 'name': expected a text",
                    MISSING.format("lid", "2"),
                    MISSING.format("items", "3"),
                )
            ),
        ),
        (b'{"name": "a", "name": "b"}', "The body cannot be read: the key 'name' stands twice in one object"),
        (b'{"name": NaN}', "The body cannot be read: NaN is not JSON"),
        (b'{"name": "\xff"}', "The body cannot be read: it is not valid UTF-8"),
    ],
)
def test_bad_bodies(web: Web, body: Any, text: str) -> None:
    """What is wrong with a body is said, everything at once."""
    web.refuse(400, text, "PATCH", web.at("Boxes", 1), body)
    web.refuse(400, text, "PUT", web.at("Boxes", 1), body)


def test_version_is_no_id(web: Web) -> None:
    """A `snapshot_id` names no record, and neither does an id of another table."""
    for text in (web.uuid("lids", 1, 1), web.uuid("Boxes", 1), web.uuid("lids", 0)):
        assert web("GET", f"/lids/{text}/").status == 404
        web.refuse(400, MISSING.format("lid", text), "PATCH", web.at("Boxes", 1), {"lid": text})


def test_files(web: Web) -> None:
    """A file is shown by its name; in bodies null takes it away, and nothing can be sent."""
    connection = web.app.store.database.writer
    connection.execute("insert into _files (id, name) values (1, 'a.jpg')")
    connection.execute("update things set photo_id=1 where id=1")
    assert [found["photo"] for found in web.get("/things/")["objects"]] == ["a.jpg", None, None, None]
    text = "Invalid value \"b.jpg\" for field 'photo': expected null: JSON holds no file"
    web.refuse(400, text, "PATCH", web.at("things", 1), {"photo": "b.jpg"})
    assert web("GET", f"{web.at('things', 1)}photo/").status == 404
    assert web("PATCH", web.at("things", 1), {"photo": None}).json["photo"] is None


def test_whole_record_goes_back(web: Web) -> None:
    """What GET shows can be sent back by PUT, and changes nothing."""
    records = [("things", 2), *((name, 1) for name in ("owned", "keyed", "numbered", "Boxes", "pieces", "lids"))]
    for name, number in records:
        record = web.get(web.at(name, number))
        assert web("PUT", web.at(name, number), record).json == record


def test_deletion_that_others_forbid(web: Web) -> None:
    """A record that others need stays."""
    text = "The record cannot be deleted: 1 records of table 'guards' need it"
    web.refuse(400, text, "DELETE", web.at("lids", 1))


def test_versions(web: Web) -> None:
    """A record has an ETag; `If-Match` holds a write against it, also against one that is gone."""
    address = web.at("lids", 1)
    got = web("GET", address)
    tag = got.headers["ETag"]
    assert tag.startswith('"1-')
    kept = web("GET", address, HTTP_IF_NONE_MATCH=tag)
    assert (kept.status, kept.body, kept.headers["ETag"]) == (304, b"", tag)
    assert kept.headers["Cache-Control"] == "no-cache"
    assert kept.headers["Vary"] == "Accept"
    assert web("PATCH", address, {"name": "x"}, HTTP_IF_MATCH=tag).status == 202
    text = "The record has changed since: its version is not the one in If-Match"
    for method in ("PUT", "PATCH", "DELETE"):
        answer = web(method, address, {"name": "y"}, HTTP_IF_MATCH=tag)
        assert (answer.status, answer.json) == (412, {"error": text})
    newer = web("GET", address).headers["ETag"]
    assert web("PUT", address, {"name": "y"}, HTTP_IF_MATCH=newer).status == 200
    gone = web("POST", "/lids/", {"name": "z"}).headers["Location"].removeprefix(BASE)
    assert web("DELETE", gone).status == 204
    assert web("PUT", gone, {"name": "y"}, HTTP_IF_MATCH=tag).status == 404
    assert web("PUT", gone, {"name": "y"}, HTTP_IF_MATCH="*").status == 404
    assert web("PUT", gone, {"name": "y"}).status == 201


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"objects": {}}, "Invalid value {} for field 'objects': expected a list"),
        ({"objects": [], "deleted_objects": "x"}, "Invalid value \"x\" for field 'deleted_objects': expected a list"),
        ({"objects": [1]}, "Invalid value 1 for field 'objects.0': expected an object"),
        (
            {"objects": [{"resource_uri": 1}]},
            "Invalid value 1 for field 'objects.0.resource_uri': expected a resource URI of lids",
        ),
        (
            {"objects": [], "deleted_objects": ["x"]},
            "Invalid value \"x\" for field 'deleted_objects.0': expected a resource URI of lids",
        ),
        ({"objects": [{"name": "a"}, {"name": 1}]}, "Invalid value 1 for field 'objects.1.name': expected a text"),
        ({"objects": [{"name": "a"}, {"box": "x"}]}, MISSING.format("objects.1.box", "x")),
    ],
)
def test_bad_lists_of_objects(web: Web, body: Any, text: str) -> None:
    """A list PATCH that is wrong changes nothing, and is told which of its objects is wrong."""
    web.refuse(400, text, "PATCH", "/lids/", body)


def test_which_object_is_wrong(web: Web) -> None:
    """What is found wrong only where a record is written is told with the object's place too."""
    taken = {"resource_uri": web.uri("Boxes", 1), "name": "two"}
    text = "Field 'objects.1.name' must be unique: another record has this value"
    web.refuse(400, text, "PATCH", "/Boxes/", {"objects": [{"name": "new"}, taken]})
    text = "Datetime provided to 'objects.1.at' field doesn't appear to be a valid datetime string: 'soon'"
    web.refuse(400, text, "PATCH", "/things/", {"objects": [{}, {"at": "soon"}]})
    text = MISSING.format("objects.0.children", web.uri("things", 99))
    web.refuse(
        400, text, "PATCH", "/things/", {"objects": [{"children": [web.uri("things", 1), web.uri("things", 99)]}]}
    )


def test_empty_list_of_objects(web: Web) -> None:
    """Nothing to do is done."""
    answer = web("PATCH", "/lids/", {"objects": [], "more": 1})
    assert (answer.status, answer.json) == (202, {"objects": []})


# ---- strict, other origins, other errors ----


@pytest.mark.parametrize(
    ("method", "path", "body", "text"),
    [
        ("GET", "/things/?texd=1", None, "Unknown parameter 'texd'; did you mean 'text'?"),
        ("GET", "/things/?pin=1", None, "Unknown parameter 'pin'"),
        ("GET", "/things/?limit=1&limit=2", None, "Invalid value '2' for parameter 'limit': it stands twice"),
        ("GET", "/things/?text=1&text=2", None, "Invalid value '2' for parameter 'text': it stands twice"),
        ("GET", "/things/schema/?limit=1", None, "Unknown parameter 'limit'"),
        ("GET", "/things/set/x/?limit=1", None, "Unknown parameter 'limit'"),
        ("POST", "/things/?limit=1", {}, "Unknown parameter 'limit'"),
        ("POST", "/things/", {"texd": 1}, "Unknown field 'texd' in table 'things'; did you mean 'text'?"),
        ("POST", "/things/", {"created": "x"}, "Field 'created' cannot be set"),
        (
            "POST",
            "/things/",
            {"created_by": "x", "id": "y"},
            "Field 'created_by' cannot be set; Field 'id' cannot be set",
        ),
        ("PATCH", "/things/", {"objects": [], "more": 1}, "Unknown parameter 'more'"),
    ],
)
def test_strict(strict: Web, method: str, path: str, body: Any, text: str) -> None:
    """A strict server names what the original ignores."""
    strict.refuse(400, text, method, path, body)


def test_strict_allows_the_rest(strict: Web) -> None:
    """What means something is taken by a strict server too."""
    assert strict.numbers("/things/?order_by=gt&order_by=text&text__in=a&text__in=b") == [2, 1]
    body = {"objects": [{"resource_uri": strict.uri("lids", 1), "name": "x"}]}
    assert strict("PATCH", "/lids/", body).json["objects"][0]["name"] == "x"
    assert strict("GET", f"{strict.at('lids', 1)}?x=1").json == {"error": "Unknown parameter 'x'"}


def test_other_origins(web: Web) -> None:
    """A page of another origin reads nothing by way of a POST that it could not send, and changes nothing."""
    text = "A page of another origin may not do this; start the server with --cors https://other.example"
    for method, path in (("POST", "/lids/"), ("PATCH", "/lids/"), ("DELETE", web.at("lids", 1))):
        answer = web(method, path, {"objects": []}, **FOREIGN)
        assert (answer.status, answer.json) == (403, {"error": text})
    answer = web("POST", web.at("lids", 1), {}, **FOREIGN, HTTP_X_HTTP_METHOD_OVERRIDE="DELETE")
    assert answer.status == 403


def test_session_cookie() -> None:
    """A session's cookie is as good as a key, at the top level too."""
    with closing(Web(auth=True, users={"anna": "open-sesame"})) as web:
        accounts = web.app.accounts
        text, _ = accounts.open_session(accounts.sign_in("anna", "open-sesame"))
        for path in ("/", "/lids/"):
            assert web("GET", path, HTTP_COOKIE=f"sid={text}").json
        assert web("GET", "/", HTTP_COOKIE="other=x").json == {}
        assert web("GET", "/lids/", HTTP_COOKIE="other=x").status == 401


@pytest.mark.parametrize(
    ("code", "params", "status", "key"),
    [
        ("busy", {}, 503, "error_message"),
        ("storage", {"reason": "full"}, 507, "error_message"),
        ("internal", {"request": "1"}, 500, "error_message"),
        ("media_type", {"value": "x", "allowed": "y"}, 415, "error_message"),
        ("too_large", {"limit": 1}, 413, "error"),
        ("precondition", {}, 412, "error"),
    ],
)
def test_errors_of_the_server(web: Web, code: str, params: dict[str, Any], status: int, key: str) -> None:
    """Failures of the server stand under another key than mistakes of the client."""
    reply = next(dialect for dialect in web.app.dialects if dialect.name == "coredata").error(fail(code, **params))
    assert (reply.status, list(json.loads(reply.body)), reply.content_type) == (status, [key], "application/json")


def test_addresses_belong_to_this_dialect(web: Web) -> None:
    """NocoBase's addresses end where these begin, for every method; a method that is none is 405."""
    for method in METHODS:
        for path in ("", "/", "/lids", "/lids/", "/lids/x", "/lids/x/", "/lids/x/y/", "/lids/x/y/z", "/lids/x:y/"):
            answer = web(method, path, {})
            text = answer.body.decode()
            assert not text.startswith('{"errors"'), (method, path)
            assert answer.headers["Content-Type"] in ("application/json", "text/html; charset=utf-8")
    answer = web("PROPFIND", "/lids/")
    assert (answer.status, answer.body.decode()) == (405, answer.headers["Allow"])
    assert web.app.dialect_at(BASE).name == "coredata"
    assert web.app.dialect_at(f"{BASE}/x").name == "coredata"
    assert web.app.dialect_at(f"{BASE}x").name == "nocobase"


def test_mounted_alone() -> None:
    """The dialect works without any other."""
    with closing(Web(dialects=["coredata"])) as web:
        assert web.numbers("/lids/") == [1, 2]
        assert send(web.app, "GET", "/nothing").status == 404


# ---- any request ----

WORDS = [
    "things",
    "lids",
    "Boxes",
    "nope",
    "schema",
    "set",
    "x;y",
    "parent",
    "items",
    "lid",
    "%ff",
    "%20",
    "..",
    ":",
    "v2",
]
NAMES = [
    "text",
    "text__long",
    "gt",
    "ratio",
    "big",
    "at",
    "extra",
    "numbers",
    "days",
    "photo",
    "parent",
    "children",
    "id",
]
NAMES += [
    "created",
    "created_by",
    "snapshot_id",
    "resource_uri",
    "type",
    "name",
    "items",
    "lid",
    "nope",
    "limit",
    "offset",
]
NAMES += ["order_by", "a[", "a[b]", ""]
VALUES = [
    "",
    "1",
    "-1",
    "x",
    "1,2",
    "true",
    "None",
    "2024-01-01",
    "2024-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "%00",
]
VALUES += ["0001-01-01T00:00:00%2B14:00", "9" * 30, "1e400", "-id", "parent__text", "%F0%9F%98%80", "%ff", "𝟙", "0"]
JSON_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.sampled_from(["", "x", "1", "2024-01-01"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*NAMES, "objects", "deleted_objects"]), inner, max_size=3),
    ),
    max_leaves=6,
)
LOOKUPS = sorted({"", "nope", *minirest.EVERY_LOOKUP})


@pytest.fixture(scope="module")
def open_door() -> Iterator[tuple[Web, sqlite3.Connection]]:
    """A server that any request may change, and what was stored at first."""
    with closing(Web(dialects=["coredata", "nocobase"])) as web, closing(sqlite3.connect(":memory:")) as stored:
        web.app.store.database.writer.backup(stored)
        yield web, stored


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any, str]:
    """A request of any shape; `{}` in its path is the id of a record."""
    parts = draw(st.lists(st.sampled_from([*WORDS, "{}"]), max_size=5))
    names = draw(st.lists(st.sampled_from([*NAMES, *LOOKUPS]), min_size=1, max_size=4).map("__".join))
    query = "&".join(
        f"{names}={quote(value, safe='%')}" for value in draw(st.lists(st.sampled_from(VALUES), max_size=2))
    )
    body = draw(st.one_of(st.none(), JSON_VALUES, st.binary(max_size=8)))
    kind = draw(st.sampled_from(["", "text/plain"]))
    path = "".join(f"/{part}" for part in parts) + draw(st.sampled_from(["", "/"]))
    return draw(st.sampled_from(METHODS)), f"{path}?{query}", body, kind


@settings(max_examples=600)
@given(request=requests(), table=st.sampled_from(["things", "lids", "Boxes"]), number=st.integers(1, 5))
def test_no_request_fails(
    open_door: tuple[Web, sqlite3.Connection], request: tuple[str, str, Any, str], table: str, number: int
) -> None:
    """No request gives a 5xx but the 501 of the original; what is refused is said, or nothing but the status is."""
    web, stored = open_door
    stored.backup(web.app.store.database.writer)
    method, path, body, kind = request
    answer = web(method, path.replace("{}", web.uuid(table, number)), body, kind)
    assert answer.status < 500 or (answer.status, method) == (501, "POST"), answer.body
    if answer.headers.get("Content-Type") == "application/json" and method != "HEAD":
        assert isinstance(answer.json, dict)
        assert (answer.status >= 400) == (list(answer.json) in (["error"], ["error_message"]))
