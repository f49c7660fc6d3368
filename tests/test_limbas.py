"""The Limbas dialect beyond its numbered lines: parameters, filters, writing, conditions, bad input."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minirest
from tests.web import Answer as WebAnswer
from tests.web import dump, send

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
TEXT = {"type": "string"}
THINGS: list[dict[str, Any]] = [
    {
        "text": "Ärger 100%",
        "whole": 1,
        "ratio": 1.5,
        "flag": True,
        "day": "2024-03-18",
        "at": "2024-03-18T00:00:00Z",
        "clock": "08:00:00",
        "pick": "rot",
        "tags": ["Rot", "grün"],
        "multi": ["Ä2"],
        "extra": {"a": 1},
        "code": "x",
        "friends": [2, 3],
    },
    {
        "text": "straße_1",
        "whole": -5,
        "ratio": -0.25,
        "flag": False,
        "day": "2024-03-24",
        "at": "2024-03-24T23:59:59.999Z",
        "clock": "12:30:00",
        "pick": "grün",
        "tags": [],
        "multi": ["A1", "Ä2"],
        "parent": 1,
        "friends": [1],
    },
    {"text": "zoll 7", "whole": 0, "ratio": 0, "day": "2024-03-25", "at": "2024-04-01T10:20:30Z", "parent": 1},
    {"text": "", "clock": "23:59:59", "pick": "Blau", "parent": 2},
    {"text": "😀 ÄRGER", "whole": 2**63 - 1, "ratio": 1e300, "day": "2023-12-31", "at": "2023-12-31T23:00:00Z"},
    {"parent": 3},
]
LINK_ROWS = [
    {"near": 1, "far": 2, "weight": 5},
    {"near": 1, "far": 3, "weight": 7, "valid_to": "2024-06-14"},
    {"near": 2, "far": 1, "weight": None},
]
for thing in THINGS:
    thing.pop("friends", None)

SCHEMA: dict[str, Any] = {
    "$defs": {
        "things": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "maxLength": 40},
                "whole": {"type": "integer"},
                "ratio": {"type": "number"},
                "flag": {"type": "boolean"},
                "day": {"type": "string", "format": "date"},
                "at": {"type": "string", "format": "date-time"},
                "clock": {"type": "string", "format": "time"},
                "pick": {"enum": ["rot", "grün", "Blau"]},
                "tags": {"type": "array", "items": TEXT},
                "multi": {"type": "array", "items": {"type": "string", "enum": ["A1", "Ä2"]}},
                "extra": {"type": "object"},
                "pin": {"type": "string", "format": "password", "writeOnly": True},
                "code": {"type": "string", "x-unique": True},
                "born": {"type": "string", "readOnly": True},
                "parent": {"$ref": "#/$defs/things"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/things"}, "x-inverse": "parent"},
                "friends": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/things"},
                    "x-through": {"table": "friendships", "source": "near", "target": "far"},
                },
            },
            "examples": THINGS,
        },
        "friendships": {
            "type": "object",
            "properties": {
                "near": {"$ref": "#/$defs/things"},
                "far": {"$ref": "#/$defs/things"},
                "weight": {"type": "integer"},
            },
            "required": ["near", "far"],
            "x-validity": True,
            "examples": LINK_ROWS,
        },
        "words": {
            "type": "object",
            "properties": {"word": TEXT, "number": {"type": "integer"}},
            "x-archive": True,
        },
        "select": {
            "type": "object",
            "properties": {
                "select": TEXT,
                "order": TEXT,
                "GROUP": {"type": "integer"},
                "eq": TEXT,
                "rowid": {"type": "integer"},
                "from": {"$ref": "#/$defs/select"},
                "where": {"type": "array", "items": {"$ref": "#/$defs/select"}},
            },
            "x-label": "order",
            "examples": [
                {"select": "a", "order": "b", "GROUP": 3, "eq": "c", "rowid": 9, "from": 2, "where": [2, 1]},
                {"select": "z", "order": "y", "GROUP": 1, "eq": "a", "rowid": 8},
            ],
        },
    }
}


TEXT_WORDS = "allowed are eq, neq, contains, startswith, endswith"
NUMBER_WORDS = "allowed are eq, neq, lt, gt, lte, gte"
BROKEN = "Broken brackets in parameter {!r}: write name, name[key] or name[key][key]"
POSITIVE = "Invalid value {!r} for parameter '$page[{}]': write a positive whole number"
DATE = "Invalid value {} for field 'day': expected a date as YYYY-MM-DD or DD.MM.YYYY, a month, a year or KW 12.2024"
READ_ONLY = 'Editing attribute "{}" is not possible.'
UNREAD = "Could not parse request body: "
NO_LINKS = "Deletion not possible: to remove links, write DELETE /things/1/<linkfield>."


class Answer(WebAnswer):
    """An answer whose content is held to its form."""

    @property
    def ids(self) -> list[int]:
        """The ids of a list, or the error that came instead."""
        assert self.status == 200, self.body.decode()
        return [int(record["id"]) for record in self.json["data"]]

    @property
    def messages(self) -> list[str]:
        """The messages of an error, whose form is held."""
        content = self.json
        assert list(content) == ["errors"]
        assert content["errors"]
        assert all(list(error) == ["code", "message"] for error in content["errors"])
        codes = [error["code"] for error in content["errors"]]
        assert (
            len(codes) > 1 or codes == [self.status] or isinstance(codes[0], str)
        )  # under /api another dialect answers
        assert self.headers["Content-Type"] == JSON
        return [error["message"] for error in content["errors"]]


class Web:
    """Calls an application in process, with the bytes as they are given."""

    def __init__(self, **options: Any) -> None:
        self.app = minirest.make_app(SCHEMA, **{"auth": False, "clock": lambda: NOW, **options})

    def __call__(self, method: str, address: str, body: Any = None, kind: str = "", **headers: str) -> Answer:
        return Answer(*send(self.app, method, address, body, kind, **headers))

    def get(self, address: str, **headers: str) -> Answer:
        """GET an address."""
        return self("GET", address, **headers)

    def dump(self) -> list[str]:
        """Return everything that is stored."""
        return dump(self.app.store)

    def refuse(self, status: int, messages: Sequence[str], *request: Any, **headers: str) -> None:
        """Send what is refused, and see that the database has not changed."""
        before = self.dump()
        answer = self(*request, **headers)
        assert (answer.status, answer.messages) == (status, list(messages))
        assert self.dump() == before


@pytest.fixture(scope="module")
def things() -> Iterator[Web]:
    """Serve the schema, to read from it only."""
    web = Web()
    yield web
    web.app.close()


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the schema, to write to it."""
    web = Web()
    yield web
    web.app.close()


# ---- filters ----

ALL = [1, 2, 3, 4, 5, 6]
FILTERS: list[tuple[str, list[int]]] = [
    # text
    ("text=ÄRGER 100%", [1]),
    ("text[eq]=ärger 100%", [1]),
    ("text=ärger", []),
    ("text[neq]=ärger 100%", [2, 3, 4, 5]),
    ("text=!=ärger 100%", [2, 3, 4, 5]),
    ("text[contains]=ärger", [1, 5]),
    ("text[contains]=SSE", []),
    ("text[contains]=ß", [2]),
    ("text[contains]=_", [2]),
    ("text[contains]=😀", [5]),
    ("text[startswith]=😀 ä", [5]),
    ("text[startswith]=STRA", [2]),
    ("text[endswith]=Ärger", [5]),
    ("text[endswith]=0%", [1]),
    ("text=   zoll 7", [3]),
    ("text[contains]=   zoll", [3]),
    ("text[startswith]= zoll", [3]),
    ("text=#NULL#", [4, 6]),
    ("text=#NOTNULL#", [1, 2, 3, 5]),
    ("text=", ALL),
    ("text[contains]=", ALL),
    ("pick=GRÜN", [2]),
    ("pick[contains]=o", [1]),
    ("pick[neq]=rot", [2, 4]),
    # numbers
    ("whole=1", [1]),
    ("whole=+1", [1]),
    ("whole[eq]=-5", [2]),
    ("whole[neq]=1", [2, 3, 5]),
    ("whole[lt]=0", [2]),
    ("whole[lte]=0", [2, 3]),
    ("whole[gt]=0", [1, 5]),
    ("whole[gte]=0", [1, 3, 5]),
    ("whole=>0", [1, 5]),
    ("whole=>=0", [1, 3, 5]),
    ("whole=<0", [2]),
    ("whole=<=0", [2, 3]),
    ("whole=!=0", [1, 2, 5]),
    ("whole=!0", [1, 2, 5]),
    ("whole==0", [3]),
    ("whole=9223372036854775807", [5]),
    ("whole=9223372036854775808", []),
    ("whole[neq]=abc", []),
    ("whole=1.5", []),
    ("whole=#NULL#", [4, 6]),
    ("whole=#NOTNULL#", [1, 2, 3, 5]),
    ("ratio=1,5", [1]),
    ("ratio=1.5", [1]),
    ("ratio=-,25", [2]),
    ("ratio[gt]=1e299", [5]),
    ("ratio[lte]=0", [2, 3]),
    ("ratio=nan", []),
    ("ratio=1e999", []),
    ("id=3", [3]),
    ("id[gte]=5", [5, 6]),
    ("ID[neq]=1", [2, 3, 4, 5, 6]),
    # booleans
    ("flag=1", [1]),
    ("flag=TRUE", [1]),
    ("flag[eq]=true", [1]),
    ("flag=0", [2]),
    ("flag=False", [2]),
    ("flag=yes", []),
    ("flag=#NULL#", [3, 4, 5, 6]),
    # dates
    ("day=2024-03-18", [1]),
    ("day=18.03.2024", [1]),
    ("day=18.3.2024", [1]),
    ("day=18/03/2024", [1]),
    ("day=2024.03.18", [1]),
    ("day=18-03-2024", [1]),
    ("day=2024", [1, 2, 3]),
    ("day=2023", [5]),
    ("day=03.2024", [1, 2, 3]),
    ("day=2024-03", [1, 2, 3]),
    ("day=KW 12.2024", [1, 2]),
    ("day=kw 13.2024", [3]),
    ("day=CW 52.2023", [5]),
    ("day[neq]=KW 12.2024", [3, 5]),
    ("day[gt]=KW 12.2024", [3]),
    ("day[lt]=KW 12.2024", [5]),
    ("day[lte]=KW 12.2024", [1, 2, 5]),
    ("day[gte]=KW 12.2024", [1, 2, 3]),
    ("day=>KW 12.2024", [3]),
    ("day=<=2023", [5]),
    ("day=!=2024", [5]),
    ("day=#NULL#", [4, 6]),
    ("at=24.03.2024", [2]),
    ("at=24.03.2024 23:59:59", [2]),
    ("at=2024-04-01 10:20:30", [3]),
    ("at=2024-04-01 10:20", [3]),
    ("at[gt]=01.04.2024 10:20:29", [3]),
    ("at[gt]=01.04.2024 10:20:30", []),
    ("at=KW 12.2024", [1, 2]),
    ("at=03.2024", [1, 2]),
    ("at=4/2024", [3]),
    ("at=2024-04", [3]),
    ("at[gt]=03.2024", [3]),
    ("at=2024", [1, 2, 3]),
    ("at[lt]=2024", [5]),
    ("at=#NOTNULL#", [1, 2, 3, 5]),
    # times
    ("clock=12:30", [2]),
    ("clock[gte]=12:30:00", [2, 4]),
    ("clock=<12:30", [1]),
    ("clock[neq]=12:30", [1, 4]),
    # lists
    ("tags=ROT", [1]),
    ("tags[contains]=Ü", [1]),
    ("tags[eq]=gr", [1]),
    ("tags=#NULL#", [2, 3, 4, 5, 6]),
    ("tags=#NOTNULL#", [1]),
    ("multi=ä2", [1, 2]),
    ("multi=a", [2]),
    ("multi=#NULL#", [3, 4, 5, 6]),
    # JSON
    ("extra=#NOTNULL#", [1]),
    ("extra=#NULL#", [2, 3, 4, 5, 6]),
    # links: the label, the id, any
    ("parent=ärger", [2, 3]),
    ("parent[eq]=ärger", []),
    ("parent[eq]=ärger 100%", [2, 3]),
    ("parent[neq]=ärger", [2, 3, 4, 6]),
    ("parent[neq]=ärger 100%", [4, 6]),
    ("parent=!=ärger", [4, 6]),
    ("parent[startswith]=Str", [4]),
    ("parent[endswith]=7", [6]),
    ("parent=#ID#1", [2, 3]),
    ("parent=#ID#99", []),
    ("parent=#NULL#", [1, 5]),
    ("parent=#NOTNULL#", [2, 3, 4, 6]),
    ("parent=", ALL),
    ("children=#ID#4", [2]),
    ("children=zoll", [1]),
    ("children=#NULL#", [4, 5, 6]),
    ("friends=#ID#1", [2]),
    ("friends=#NOTNULL#", [1, 2]),
    # several
    ("whole[gte]=0&whole[lt]=2&day[neq]=2023", [1, 3]),
    ("whole=1&whole=0", [3]),
    ("text[contains]=ä&TEXT[contains]=zoll", [3]),
    ("things[whole]=1", [1]),
    ("THINGS[Whole][gte]=1", [1, 5]),
    ("things[parent]=#ID#2", [4]),
]


def encode(query: str) -> str:
    """Write a readable query as a client does."""
    pairs = (pair.partition("=") for pair in query.split("&"))
    return "&".join(f"{quote(name, safe='$[]')}={quote(value, safe='')}" for name, _, value in pairs)


@pytest.mark.parametrize(("query", "ids"), FILTERS, ids=[query for query, _ in FILTERS])
def test_filters(things: Web, query: str, ids: list[int]) -> None:
    """Every operator on every kind finds these records."""
    assert things.get(f"/things?$fields=id&{encode(query)}").ids == ids


def test_raw_bytes_in_a_query(things: Web) -> None:
    """A query in UTF-8 without percent signs says the same."""
    assert things.get("/things?text[contains]=ärger".encode().decode("latin-1")).ids == [1, 5]


NASTY = st.text(st.sampled_from("aAbBäÄöÖßéÉ😀%_\\'\"# *?[]^-.,;&=+/<>!\t\n"), max_size=5)


def model(stored: str, operator: str, value: str) -> bool:
    """What a text operator means, without case, after the leading blanks are dropped."""
    text, needle = stored.lower(), value.lstrip(" ").lower()
    tests: dict[str, Callable[[], bool]] = {
        "eq": lambda: text == needle,
        "neq": lambda: text != needle,
        "contains": lambda: needle in text,
        "startswith": lambda: text.startswith(needle),
        "endswith": lambda: text.endswith(needle),
    }
    return tests[operator]()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(NASTY, min_size=1, max_size=5),
    st.lists(st.tuples(st.sampled_from(["eq", "neq", "contains", "startswith", "endswith"]), NASTY), max_size=6),
)
def test_texts_against_a_model(web: Web, stored: list[str], asked: list[tuple[str, str]]) -> None:
    """Umlauts, emoji, wildcards, quotes and blanks are found by every text operator as the model says."""
    numbers: list[int] = []
    for word in stored:
        answer = web("POST", "/words", {"data": {"word": word}})
        numbers.append(int(answer.json["data"]["id"]))
        assert web.get(f"/words/{numbers[-1]}").json["data"]["attributes"]["word"] == word
    rows = list(zip(numbers, stored, strict=True))
    own = [(operator, part) for operator in ("eq", "contains", "startswith", "endswith") for part in stored]
    for operator, value in asked + own:
        expected = [n for n, word in rows if not value or model(word, operator, value)]
        query = f"word[{operator}]={quote(value, safe='')}&id[gte]={numbers[0]}"
        assert web.get(f"/words?{query}").ids == expected, (stored, operator, value)


RANGE = st.tuples(st.sampled_from(["eq", "neq", "lt", "lte", "gt", "gte"]), st.integers(-6, 6))


@given(st.lists(st.tuples(st.sampled_from(["whole", "ratio", "things[whole]"]), RANGE), max_size=4))
def test_ranges_against_a_model(things: Web, terms: list[tuple[str, tuple[str, int]]]) -> None:
    """Any number of comparisons combine by AND; of the same one the last counts; null is in none."""
    tests: dict[str, Callable[[Any, int], bool]] = {
        "eq": lambda a, b: a == b,
        "neq": lambda a, b: a != b,
        "lt": lambda a, b: a < b,
        "lte": lambda a, b: a <= b,
        "gt": lambda a, b: a > b,
        "gte": lambda a, b: a >= b,
    }
    last = {(name.removeprefix("things[").rstrip("]"), op): value for name, (op, value) in terms}
    expected = [
        number
        for number, row in enumerate(THINGS, 1)
        if all(row.get(name) is not None and tests[op](row[name], value) for (name, op), value in last.items())
    ]
    query = "&".join(f"{name}[{op}]={value}" for name, (op, value) in terms)
    assert things.get(f"/things?{query}").ids == expected


# ---- attributes and order ----


@pytest.mark.parametrize(
    ("query", "attributes"),
    [
        ("$fields=text,whole", {"text": "Ärger 100%", "whole": 1}),
        ("$fields=WHOLE,Text", {"whole": 1, "text": "Ärger 100%"}),
        ("$fields=id,day", {"id": "1", "day": "2024-03-18"}),
        ("$fields=at,clock", {"at": "2024-03-18 00:00:00", "clock": "08:00:00"}),
        ("$fields=multi,tags", {"multi": [{"id": "2", "value": "Ä2", "desc": None}], "tags": ["Rot", "grün"]}),
        ("$fields=extra,flag,pick", {"extra": {"a": 1}, "flag": True, "pick": "rot"}),
        ("$fields=text,text", {"text": "Ärger 100%"}),
        ("$fields=text&$fields=whole", {"whole": 1}),
        ("$fields=text&$fields[things]=whole", {"text": "Ärger 100%", "whole": 1}),
        ("$FIELDS[THINGS]=whole", {"whole": 1}),
        (
            "$fields=parent,children",
            {
                "parent": {"links": {"self": "/things/1/parent", "related": "/things"}, "data": []},
                "children": {
                    "links": {"self": "/things/1/children", "related": "/things"},
                    "data": [{"id": "2"}, {"id": "3"}],
                },
            },
        ),
    ],
)
def test_fields(things: Web, query: str, attributes: dict[str, Any]) -> None:
    """`$fields` chooses the attributes and their order, each once, in a list and of a record."""
    record = {"links": {"self": "/things/1"}, "id": "1", "attributes": attributes}
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    for address, form in (
        (f"/things?{query}&id=1", '{{"links":{{"self":"/things?{0}&id=1"}},"data":[{1}]}}'),
        (f"/things/1?{query}", '{{"links":{{"self":"/things/1"}},"data":{1}}}'),
    ):
        answer = things.get(address)
        assert (answer.status, answer.body.decode()) == (200, form.format(query, text))


def test_all_fields(things: Web) -> None:
    """Without `$fields` all are there in the order of the schema; what is never shown is not."""
    attributes = things.get("/things/1").json["data"]["attributes"]
    names = [name for name in SCHEMA["$defs"]["things"]["properties"] if name != "pin"]
    assert list(attributes) == names
    assert things.get("/things/1?$fields=*").json["data"]["attributes"] == attributes
    assert list(things.get("/things").json["data"][0]["attributes"]) == names


@pytest.mark.parametrize(
    ("sort", "ids"),
    [
        ("whole", [2, 3, 1, 5, 4, 6]),
        ("-whole", [4, 6, 5, 1, 3, 2]),
        ("text", [4, 2, 3, 1, 5, 6]),
        ("-text", [6, 5, 1, 3, 2, 4]),
        ("day", [5, 1, 2, 3, 4, 6]),
        ("at,-id", [5, 1, 2, 3, 6, 4]),
        ("flag", [2, 1, 3, 4, 5, 6]),
        ("-flag", [3, 4, 5, 6, 1, 2]),
        ("pick", [4, 2, 1, 3, 5, 6]),
        ("children", [4, 5, 6, 2, 3, 1]),
        ("-children,-id", [1, 3, 2, 6, 5, 4]),
        ("parent,whole", [1, 5, 2, 3, 4, 6]),
        ("-friends", [1, 2, 3, 4, 5, 6]),
        ("things.whole,-THINGS.Id", [2, 3, 1, 5, 6, 4]),
        ("-id", [6, 5, 4, 3, 2, 1]),
    ],
)
def test_sort(things: Web, sort: str, ids: list[int]) -> None:
    """Text without case, nulls last and in reverse first, links by their number, ties by id."""
    assert things.get(f"/things?$sort={sort}").ids == ids


# ---- linked records ----


def test_linked_records(things: Web) -> None:
    """Lists of linked records take all parameters, for the target and for the link's own row."""
    assert things.get("/things/1/children").ids == [2, 3]
    assert things.get("/things/1/children?$sort=-id&whole[lt]=0").ids == [2]
    assert things.get("/things/4/parent").ids == [2]
    assert things.get("/things/1/parent").ids == []
    assert things.get("/THINGS/1/CHILDREN?things[whole]=0").json == {
        "links": {"self": "/things/1/children?things[whole]=0"},
        "data": [things.get("/things/3").json["data"]],
    }


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("$fields[friendships]=weight", [(2, {"weight": 5})]),
        ("$fields[friendships]=weight&$validity=all", [(2, {"weight": 5}), (3, {"weight": 7})]),
        ("$fields[friendships]=weight&$validity=2024-06-14", [(2, {"weight": 5}), (3, {"weight": 7})]),
        ("$fields[FRIENDSHIPS]=WEIGHT,valid_to", [(2, {"weight": 5, "valid_to": None})]),
        ("$fields=text&$fields[friendships]=weight", [(2, {"text": "straße_1", "weight": 5})]),
        ("$fields[friendships]=weight&$fields[things]=text", [(2, {"weight": 5, "text": "straße_1"})]),
        ("$fields[friendships]=*", [(2, {"weight": 5, "valid_from": None, "valid_to": None})]),
    ],
)
def test_link_rows(things: Web, query: str, rows: list[tuple[int, dict[str, Any]]]) -> None:
    """The fields of the link's row stand beside those of the target; its validity counts."""
    data = [
        {"links": {"self": f"/things/{number}"}, "id": str(number), "attributes": attributes}
        for number, attributes in rows
    ]
    answer = things.get(f"/things/1/friends?{query}")
    expected = {"links": {"self": f"/things/1/friends?{query}"}, "data": data}
    assert answer.body.decode() == json.dumps(expected, ensure_ascii=False, separators=(",", ":"))


def test_missing_parent(things: Web) -> None:
    """Linked records of a record that does not exist are 404."""
    for link in ("children", "friends", "parent"):
        for number in (99, 0, 10**30):
            answer = things.get(f"/things/{number}/{link}")
            assert (answer.status, answer.messages) == (404, ["Not found"])


def test_bases(things: Web) -> None:
    """The same is served at three addresses, whose links are the same."""
    for path in ("/things", "/things/1", "/things/1/children", "/nope", "/things/x", "/things/1/a/b"):
        expected = things.get(path)
        for base in ("/main_rest.php", "/dependent/main_rest.php"):
            for end in ("", "/"):
                answer = things.get(base + path + end)
                assert (answer.status, answer.body) == (expected.status, expected.body), base + path + end
    for base in ("/main_rest.php", "/main_rest.php/", "/dependent/main_rest.php", "/dependent/main_rest.php/"):
        answer = things.get(base)
        assert (answer.status, answer.messages) == (400, ["Request table missing"])


@pytest.mark.parametrize("base", ["", "/main_rest.php", "/dependent/main_rest.php"])
def test_slashes(things: Web, base: str) -> None:
    """Slashes at the ends of a path count for nothing; a link needs the id before it."""
    for path in ("/things", "/things/1", "/things/1/children", "/nope", "/things/1/a/b"):
        expected = things.get(path)
        for same in (f"{path}//", f"{path}///", *([f"//{path[1:]}", f"//{path}//"] if base else [])):
            answer = things.get(base + same)
            assert (answer.status, answer.body) == (expected.status, expected.body), same
    for path in ("/things//children", "/things//1"):
        answer = things.get(base + path)
        assert (answer.status, answer.messages) == (400, ["Relation field without dataset id"])
    answer = things.get(f"{base}/things/1//children")
    assert (answer.status, answer.messages) == (400, ["Too many request parts"])


def test_names_that_are_words_of_sql(web: Web) -> None:
    """Tables and fields may be named like words of SQL and like operators."""
    attributes = {"select": "a", "order": "b", "group": 3, "eq": "c", "rowid": 9}
    assert web.get("/select/1?$fields=select,order,group,eq,rowid").json["data"]["attributes"] == attributes
    for query, ids in (
        ("select=z", [2]),
        ("select[eq]=a", [1]),
        ("select[order]=b", [1]),
        ("select[select]=z", [2]),
        ("select[eq][eq]=c", [1]),
        ("select[group][gt]=2", [1]),
        ("eq[eq]=a", [2]),
        ("rowid=8", [2]),
        ("from=Y", [1]),
        ("where=%23ID%231", [1]),
        ("$sort=group", [2, 1]),
        ("$sort=select.rowid", [2, 1]),
        ("$sort=-where", [1, 2]),
        ("$fields[select]=select&group=3", [1]),
    ):
        assert web.get(f"/select?{query}").ids == ids, query
    body = {"data": {"order": "n", "GROUP": 7, "from": {"data": {"id": 1}}, "where": {"data": [{"id": 2}]}}}
    assert web("POST", "/select", body).status == 201
    assert web.get("/select/3/where").ids == [2]
    assert web("DELETE", "/select/1").status == 204
    assert web.get("/select/3?$fields=from").json["data"]["attributes"]["from"]["data"] == []


# ---- pages ----


def walk(web: Web, address: str, turn: str) -> list[list[int]]:
    """Follow one of the links from page to page, as it is; return the ids of each."""
    pages: list[list[int]] = []
    following: str | None = address
    while following is not None:
        answer = web.get(following)
        pages.append(answer.ids)
        links = answer.json["links"]
        assert links["self"] == following
        following = links.get(turn)
        assert len(pages) < 100
    return pages


@pytest.fixture(scope="module")
def numbered() -> Iterator[Web]:
    """Serve 23 numbered words, with a few equal ones."""
    web = Web()
    for number in range(1, 24):
        assert web("POST", "/words", {"data": {"number": number, "word": f"ä&={number % 4}"}}).status == 201
    yield web
    web.app.close()


@given(
    st.integers(0, 23),
    st.integers(1, 25),
    st.sampled_from(["", "word", "-word", "word,-number", "-id"]),
    st.permutations(["$page[count]", "$page[number]", "$sort", "number[lte]", "word[startswith]"]),
    st.sampled_from(["$page[number]", "$PAGE[NUMBER]", "$page%5BNumber%5D", ""]),
)
def test_following_pages(numbered: Web, size: int, count: int, sort: str, order: list[str], page: str) -> None:
    """From `first` by `next` every record comes once, from `last` by `prev` the same backwards; `last` ends."""
    values = {"$page[count]": count, "$page[number]": 1, "number[lte]": size, "word[startswith]": "%C3%84%26%3D"}
    if sort:
        values["$sort"] = sort
    if not page:
        del values["$page[number]"]
    query = "&".join(f"{page if name == '$page[number]' else name}={values[name]}" for name in order if name in values)
    rest = "&".join(f"{name}={values[name]}" for name in ("$sort", "number[lte]", "word[startswith]") if name in values)
    expected = numbered.get(f"/words?{rest}").ids
    assert sorted(expected) == list(range(1, size + 1))
    chunks = [expected[start : start + count] for start in range(0, size, count)] or [[]]
    links = numbered.get(f"/words?{query}").json["links"]
    assert walk(numbered, links["first"], "next") == chunks
    assert walk(numbered, links["last"], "prev") == chunks[::-1]
    assert numbered.get(links["first"]).json["links"].keys() == links.keys()


@pytest.mark.parametrize(
    "query",
    [
        "$page[count]=5&$page[number]=3&$page[number]=2",
        "$page[number]=2&$page[count]=9&$page[count]=5",
        "$fields[words]=number&$page[count]=5&$page[number]=2&$validity=all&$archived=all&words[number][gte]=1",
    ],
)
def test_pages_keep_the_other_parameters(numbered: Web, query: str) -> None:
    """The links lead to the pages beside the one that is shown, whatever else stands in the query."""
    answer = numbered.get(f"/words?{query}")
    assert answer.ids == [6, 7, 8, 9, 10]
    links = answer.json["links"]
    assert {name: numbered.get(links[name]).ids for name in links} == {
        "self": [6, 7, 8, 9, 10],
        "first": [1, 2, 3, 4, 5],
        "prev": [1, 2, 3, 4, 5],
        "next": [11, 12, 13, 14, 15],
        "last": [21, 22, 23],
    }


def test_page_of_a_table_named_like_a_parameter() -> None:
    """`$fields[number]` of a table called `number` is no page number."""
    schema = {"$defs": {"number": {"type": "object", "properties": {"a": TEXT}, "examples": [{"a": "1"}, {"a": "2"}]}}}
    app = minirest.make_app(schema, auth=False, clock=lambda: NOW)
    web = Web.__new__(Web)
    web.app = app
    start = "/number?$fields[number]=a&$page[count]=1"
    assert walk(web, start, "next") == [[1], [2]]
    assert web.get(web.get(start).json["links"]["last"]).json["data"][0]["attributes"] == {"a": "2"}
    app.close()


# ---- conditions and HEAD ----


def test_head(things: Web) -> None:
    """HEAD answers what GET does, without the body."""
    for path in ("/things", "/things/1", "/things/1/children", "/things/99", "/nope"):
        got, head = things.get(path), things("HEAD", path)
        assert (head.status, head.headers, head.body) == (got.status, got.headers, b""), path


def test_if_none_match(web: Web) -> None:
    """A record that has not changed is 304; a change, and other fields, give another tag."""
    tag = web.get("/things/1").headers["ETag"]
    for method in ("GET", "HEAD"):
        answer = web(method, "/things/1", HTTP_IF_NONE_MATCH=tag)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert web.get("/things/1?$fields=text", HTTP_IF_NONE_MATCH=tag).status == 200
    changed = web("PATCH", "/things/1", {"data": {"whole": 2}})
    assert changed.headers["ETag"] == web.get("/things/1", HTTP_IF_NONE_MATCH=tag).headers["ETag"] != tag


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/things/1", {"data": {"whole": 3}}),
        ("PUT", "/things/1", {"data": {"whole": 3}}),
        ("DELETE", "/things/1", None),
        ("PATCH", "/things/1/parent", {"data": {"id": 5}}),
        ("POST", "/things/1/friends", {"data": [{"id": 5}]}),
        ("PATCH", "/things/1/friends", {"data": []}),
        ("DELETE", "/things/1/friends", {"data": [{"id": 2}]}),
    ],
)
def test_if_match(web: Web, method: str, path: str, body: Any) -> None:
    """A write with the tag of an older version is 412 and changes nothing; with the last one it is done."""
    old = web.get("/things/1").headers["ETag"]
    new = web("PATCH", "/things/1", {"data": {"whole": 2}}).headers["ETag"]
    message = "The record has changed since: its version is not the one in If-Match"
    for tag in (old, '"foreign"', "garbage"):
        web.refuse(412, [message], method, path, body, HTTP_IF_MATCH=tag)
    assert web(method, path, body, HTTP_IF_MATCH=new).status in (200, 204)
    if path == "/things/1" and method == "DELETE":
        web.refuse(404, ["Not found"], method, path, body, HTTP_IF_MATCH=new)
    else:
        web.refuse(412, [message], method, path, body, HTTP_IF_MATCH=new)


# ---- writing ----


@pytest.mark.parametrize(
    ("form", "attributes"),
    [
        ("data[text]=%C3%84&data[whole]=12&data[flag]=true", {"text": "Ä", "whole": 12, "flag": True}),
        (
            "data[ratio]=1.5&data[day]=2024-05-01&data[clock]=12:30",
            {"ratio": 1.5, "day": "2024-05-01", "clock": "12:30:00"},
        ),
        ("data[at]=2024-05-01+10:00:00", {"at": "2024-05-01 10:00:00"}),
        ("data[tags][0]=a&data[tags][1]=b", {"tags": ["a", "b"]}),
        ("data[tags][]=a&data[tags][]=b", {"tags": ["a", "b"]}),
        ("data[multi][]=A1", {"multi": [{"id": "1", "value": "A1", "desc": None}]}),
        ("data[whole]=&data[text]=", {"whole": None, "text": ""}),
        ("data[extra][a]=1", {"extra": {"a": "1"}}),
        ("data=", {}),
    ],
)
def test_forms(web: Web, form: str, attributes: dict[str, Any]) -> None:
    """A form spells values of every kind; an empty value is null but for text."""
    empty = web.get("/things/6").json["data"]["attributes"]
    empty["parent"]["data"] = []
    for kind in (FORM, "x-www-form-urlencoded"):
        answer = web("POST", "/things", form.encode(), kind)
        assert answer.status == 201, answer.body
        number = answer.json["data"]["id"]
        expected = json.loads(json.dumps({**empty, **attributes}).replace("/things/6/", f"/things/{number}/"))
        assert answer.json["data"]["attributes"] == expected
        assert answer.headers["Location"] == f"/things/{number}"


def test_values_round_trip(web: Web) -> None:
    """What is written is what is read, also at the ends of what fits."""
    data = {
        "text": "a\n\t'\"\\ ß😀",
        "whole": -(2**63),
        "ratio": 0.1,
        "flag": False,
        "day": "0001-01-01",
        "clock": "23:59:59",
        "pick": "Blau",
        "tags": ["", "x"],
        "extra": {"a": [1, {"b": None}], "ü": 1.5},
    }
    shown = web("POST", "/things", {"data": {**data, "at": "9999-12-31T23:59:59.5+00:00"}}).json["data"]["attributes"]
    assert {name: shown[name] for name in data} == data
    assert shown["at"] == "9999-12-31 23:59:59"
    cleared = web("PATCH", "/things/7", {"data": dict.fromkeys([*data, "at"])}).json["data"]["attributes"]
    assert {cleared[name] for name in [*data, "at"]} == {None}


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        (
            {"data": {"nope": 1, "id": 3, "born": "x"}},
            ["Unknown field nope", READ_ONLY.format("id"), READ_ONLY.format("born")],
        ),
        ({"data": {"whole": 1.5}}, ["Invalid value 1.5 for field 'whole': expected a whole number of 64 bits"]),
        ({"data": {"whole": "1"}}, ["Invalid value \"1\" for field 'whole': expected a whole number of 64 bits"]),
        ({"data": {"flag": 1}}, ["Invalid value 1 for field 'flag': expected true or false"]),
        ({"data": {"text": 1}}, ["Invalid value 1 for field 'text': expected a text"]),
        (
            {"data": {"text": "x" * 41, "pick": "gelb"}},
            ["Field 'text' must have at most 40 characters", 'Field \'pick\' must be one of "rot", "grün", "Blau"'],
        ),
        (
            {"data": {"day": "2024-02-30", "at": "soon", "clock": "24:00"}},
            [
                "Invalid value \"2024-02-30\" for field 'day': expected a date as YYYY-MM-DD",
                "Invalid value \"soon\" for field 'at': expected a date and time as YYYY-MM-DDTHH:MM:SSZ",
                "Invalid value \"24:00\" for field 'clock': expected a time as HH:MM:SS, in UTC",
            ],
        ),
        (
            {"data": {"tags": "x", "extra": [1]}},
            [
                "Invalid value \"x\" for field 'tags': expected a list of plain values",
                "Field 'extra' must be of type object",
            ],
        ),
        ({"data": {"code": "x"}}, ["Field 'code' must be unique: another record has this value"]),
        (
            {"data": {"parent": {"data": {"id": 99}}, "friends": {"data": [{"id": 98}]}}},
            [
                'Could not add relation "parent"! Record 99 does not exist.',
                'Could not add relation "friends"! Record 98 does not exist.',
            ],
        ),
        ({"data": {"parent": {"data": [{"id": 1}]}}}, ['Key "id" of relation data missing!']),
        ({"data": {"parent": {"data": 1}}}, ['Key "id" of relation data missing!']),
        ({"data": {"parent": None}}, ['Key "data" of relation missing!']),
        ({"data": {"parent": {"data": {"id": "x"}}}}, ["Invalid dataset id x"]),
        ({"data": {"parent": {"data": {"id": True}}}}, ["Invalid dataset id true"]),
        ({"data": {"friends": {"data": None}}}, ['"data" must be an array of relations!']),
        ({"data": {"friends": {"data": [1]}}}, ['Key "id" of relation data missing!']),
        ({"data": {"whole": 1}, "date": 1}, ["Unknown field date"]),
        ({"data": []}, ['Key "data" must be an object of attributes!']),
        ({"data": None}, ['Key "data" must be an object of attributes!']),
        ({}, ['Key "data" missing!']),
        ({"whole": 1}, ['Key "data" missing!']),
        ([], ["Could not parse request body"]),
        (b"", ["Could not parse request body"]),
        (b'{"data":{"whole":NaN}}', [UNREAD + "NaN is not JSON"]),
        (b'{"data":{"whole":9223372036854775808}}', [UNREAD + "a whole number has more than 64 bits"]),
        (b'{"data":{"text":"\\ud83d"}}', [UNREAD + "a text holds half of a surrogate pair"]),
        (b'{"data":{"text":"\\u0000"}}', [UNREAD + "a text holds the character NUL"]),
        (b'{"data":{"text":"\xff"}}', [UNREAD + "it is not valid UTF-8"]),
        (b'{"data":{"text":"a","text":"b"}}', [UNREAD + "the key 'text' stands twice in one object"]),
        (b'{"data":{"extra":' + b'{"a":' * 70 + b"1" + b"}" * 70 + b"}}", [UNREAD + "it nests deeper than 64"]),
    ],
)
def test_bad_bodies(things: Web, body: Any, messages: list[str]) -> None:
    """Every violation of a body is listed and nothing is written, by POST or by PATCH."""
    things.refuse(400, messages, "POST", "/things", body)
    if messages != ["Field 'code' must be unique: another record has this value"]:
        things.refuse(400, messages, "PATCH", "/things/1", body)
    things.refuse(400, messages, "PATCH", "/things/2", body)


@pytest.mark.parametrize(
    ("form", "messages"),
    [
        (
            b"data[whole]=x&data[flag]=maybe&data[nope]=1",
            [
                "Invalid value \"x\" for field 'whole': expected a whole number of 64 bits",
                "Invalid value \"maybe\" for field 'flag': expected true or false",
                "Unknown field nope",
            ],
        ),
        (b"data[a", [BROKEN.format("data[a")]),
        (b"data[a][b][c][d][e]=1", [BROKEN.format("data[a][b][c][d][e]")]),
        (b"data=1&data[a]=2", [BROKEN.format("data[a]")]),
        (b"data[text]=%FF", ["Could not parse request body: it is not valid UTF-8"]),
        (b"data[text]=%00", ["Could not parse request body: it holds the character NUL"]),
        (b"data[text]=\xc3\xa4", [UNREAD + "a form is ASCII with percent signs"]),
        (b"&".join([b"data[text]=1"] * 300), ["More than 256 parameters"]),
        (b"data[%C2%B2]=1", ["Unknown field ²"]),
        (b"data[]=1", ['Key "data" must be an object of attributes!']),
        (b"text=1", ['Key "data" missing!']),
        (b"data[text]=a&text=1", ["Unknown field text"]),
        (b"", ['Key "data" missing!']),
    ],
)
def test_bad_forms(things: Web, form: bytes, messages: list[str]) -> None:
    """A broken form is refused like a broken body."""
    things.refuse(400, messages, "POST", "/things", form, FORM)
    things.refuse(400, messages, "PATCH", "/things/1", form, FORM)


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("/nope", 400, "Unknown table nope"),
        ("/_users", 400, "Unknown table _users"),
        ("/sqlite_master", 400, "Unknown table sqlite_master"),
        ("/things%00", 400, "The path is not valid UTF-8 text"),
        ("/th%FFings", 400, "The path is not valid UTF-8 text"),
        ("/things/%D9%A3", 400, "Invalid dataset id ٣"),
        ("/things/1.5", 400, "Invalid dataset id 1.5"),
        ("/things/-1", 400, "Invalid dataset id -1"),
        ("/things/1e1", 400, "Invalid dataset id 1e1"),
        ("/things/0", 404, "Not found"),
        ("/things/99999999999999999999999", 404, "Not found"),
        ("/things/1/pin", 400, "Unknown field pin"),
        ("/things/1/text", 404, "Relation field text not found!"),
        ("/things/1/friends/2", 400, "Too many request parts"),
        ("/main_rest.php//", 400, "Request table missing"),
        ("/things?nope=1", 400, "Unknown field nope"),
        ("/things?_=1", 400, "Unknown field _"),
        ("/things?pin=1", 400, "Unknown field pin"),
        ("/things?_version=1", 400, "Unknown field _version"),
        ("/things?parent_id=1", 400, "Unknown field parent_id"),
        ("/things?$foo=1", 400, "Unknown field $foo"),
        ("/things?$=1", 400, "Unknown field $"),
        ("/things?nope[eq]=1", 400, "Unknown field nope"),
        ("/things?things[nope]=1", 400, "Unknown field nope"),
        ("/things?words[word]=1", 400, "Unknown field words"),
        ("/things?text[like]=1", 400, f"Unknown operator like for field text; {TEXT_WORDS}"),
        ("/things?text[gt]=1", 400, f"Unknown operator gt for field text; {TEXT_WORDS}"),
        ("/things?whole[contains]=1", 400, f"Unknown operator contains for field whole; {NUMBER_WORDS}"),
        ("/things?flag[neq]=1", 400, "Unknown operator neq for field flag; allowed are eq"),
        ("/things?tags[neq]=1", 400, "Unknown operator neq for field tags; allowed are eq, contains"),
        ("/things?extra=1", 400, "Unknown operator eq for field extra; allowed are #NULL#, #NOTNULL#"),
        ("/things?parent[gt]=1", 400, f"Unknown operator gt for field parent; {TEXT_WORDS}"),
        ("/things?parent=%23ID%23x", 400, "Invalid dataset id x"),
        ("/things?day=foo", 400, DATE.format('"foo"')),
        ("/things?day=30.02.2024", 400, DATE.format('"30.02.2024"')),
        ("/things?day=KW%2060.2024", 400, DATE.format('"KW 60.2024"')),
        ("/things?day=%D9%A1.%D9%A1.2024", 400, DATE.format('"١.١.2024"')),
        ("/things?clock=soon", 400, "Invalid value \"soon\" for field 'clock': expected a time as HH:MM:SS, in UTC"),
        ("/things?a[b", 400, BROKEN.format("a[b")),
        ("/things?a[b]c=1", 400, BROKEN.format("a[b]c")),
        ("/things?[x]=1", 400, BROKEN.format("[x]")),
        ("/things?=1", 400, BROKEN.format("")),
        ("/things?a[1][2][3][4][5]=1", 400, BROKEN.format("a[1][2][3][4][5]")),
        ("/things?text[]=1", 400, BROKEN.format("text[]")),
        ("/things?text[eq][x]=1", 400, BROKEN.format("text[eq][x]")),
        ("/things?text=%FF", 400, "The query string is not valid: it is not valid UTF-8"),
        ("/things?text=\xff", 400, "The query string is not valid: it is not valid UTF-8"),
        ("/things?text=%00", 400, "The query string is not valid: it holds the character NUL"),
        (f"/things?{'&'.join(['text=1'] * 300)}", 400, "More than 256 parameters"),
        ("/things?$page=3", 400, "Unknown field $page"),
        ("/things?$page[x]=1", 400, "Unknown field $page[x]"),
        ("/things?$page[count][x]=1", 400, "Unknown field $page[count][x]"),
        ("/things?$page[count]=0", 400, POSITIVE.format("0", "count")),
        ("/things?$page[count]=-1", 400, POSITIVE.format("-1", "count")),
        ("/things?$page[count]=%D9%A3", 400, POSITIVE.format("٣", "count")),
        ("/things?$page[count]=9999999999999999999999", 400, POSITIVE.format("9999999999999999999999", "count")),
        ("/things?$page[count]=1&$page[number]=0", 400, POSITIVE.format("0", "number")),
        ("/things?$page[number]=x", 400, POSITIVE.format("x", "number")),
        ("/things?$sort=", 400, "Unknown field "),
        ("/things?$sort=text,", 400, "Unknown field "),
        ("/things?$sort=text,%20whole", 400, "Unknown field  whole"),
        ("/things?$sort=words.word", 400, "Unknown field words.word"),
        ("/things?$sort=pin", 400, "Unknown field pin"),
        ("/things?$sort[x]=text", 400, "Unknown field $sort[x]"),
        ("/things?$fields=", 400, "Unknown field "),
        ("/things?$fields=text,%20whole", 400, "Unknown field  whole"),
        ("/things?$fields=pin", 400, "Unknown field pin"),
        ("/things?$fields[friendships]=weight", 400, "Invalid table friendships"),
        ("/things?$fields[]=text", 400, "Invalid table "),
        ("/things?$fields[a][b]=text", 400, BROKEN.format("$fields[a][b]")),
        ("/things/1/friends?$fields[friendships]=nope", 400, "Unknown field nope"),
        ("/things?$archived=", 400, "Invalid param '' for option $archived."),
        ("/things?$archived=3", 400, "Invalid param '3' for option $archived."),
        ("/things?$archived[x]=1", 400, "Unknown field $archived[x]"),
        ("/things?$validity=", 400, "Invalid param '' for option $validity."),
        ("/things?$validity=2024-13", 400, "Invalid param '2024-13' for option $validity."),
        ("/things/1?$fields=nope", 400, "Unknown field nope"),
        ("/things/1/children?nope=1", 400, "Unknown field nope"),
    ],
)
def test_bad_addresses(things: Web, address: str, status: int, message: str) -> None:
    """What cannot be read is refused with the name of the offender."""
    things.refuse(status, [message], "GET", address)


def test_large_body(things: Web) -> None:
    """A body over the limit is 413 whatever the address does with it."""
    body = b'{"data":{"text":"' + b"x" * minirest.MAX_BODY_BYTES + b'"}}'
    for method, path in (("POST", "/things"), ("PATCH", "/things/1"), ("PATCH", "/things/1/parent")):
        things.refuse(413, [f"The body is larger than {minirest.MAX_BODY_BYTES} bytes"], method, path, body)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("PATCH", "/things/99", {"data": {"whole": 1}}, 404, "Not found"),
        ("DELETE", "/things/99", None, 404, "Not found"),
        ("POST", "/things/99/friends", {"data": [{"id": 1}]}, 404, "Not found"),
        ("PATCH", "/things/99/parent", {"data": None}, 404, "Not found"),
        ("DELETE", "/things/99/parent", None, 404, "Not found"),
        ("POST", "/things/1/friends", {}, 400, 'Key "data" of relation missing!'),
        ("POST", "/things/1/friends", {"data": {"id": 1}}, 400, '"data" must be an array of relations!'),
        ("POST", "/things/1/friends", {"data": [{"id": 5}, {"id": 99}]}, 400, "Could not add relation!"),
        ("PATCH", "/things/1/friends", {"data": [{"id": 5}, {"id": 0}]}, 400, "Could not add relation!"),
        ("PATCH", "/things/1/friends", {"data": [{"id": 5}, {}]}, 400, 'Key "id" of relation data missing!'),
        ("POST", "/things/1/friends", {"data": [{"id": 5}], "x": 1}, 400, "Unknown field x"),
        ("DELETE", "/things/1/friends", {"data": [{"id": "x"}]}, 400, "Invalid dataset id x"),
        ("DELETE", "/things/1/parent", None, 400, "Relation does not exit."),
        ("POST", "/things/1/text", {"data": []}, 404, "Relation field text not found!"),
        ("PATCH", "/things/1/nope", {"data": []}, 400, "Unknown field nope"),
        ("DELETE", "/things/1", {"data": [{"id": 2}]}, 400, NO_LINKS),
        ("DELETE", "/things/1", b"x", 400, NO_LINKS),
    ],
)
def test_bad_writes(things: Web, method: str, path: str, body: Any, status: int, message: str) -> None:
    """A write that cannot be done whole is not done at all."""
    things.refuse(status, [message], method, path, body)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), ("TRUE", "true"), (1, "true"), ("1", "true"), (2, "2"), (False, "false"), ("0", "false")],
)
def test_archiving(web: Web, value: Any, shown: str) -> None:
    """`$archived` beside `data` archives, trashes and restores; `data` may be left out, and a form says the same."""
    record = web("POST", "/words", {"data": {"word": "a"}}).json
    for start in (2, True, False):
        assert web("PATCH", "/words/1", {"$archived": start}).json == record
        answer = web("PATCH", "/words/1", {"$archived": value, "data": {"word": "b"}})
        record["data"]["attributes"]["word"] = "b"
        assert (answer.status, answer.json) == (200, record)
        assert [web.get(f"/words?$archived={word}").ids for word in ("true", "2", "false")] == [
            [1] if word == shown else [] for word in ("true", "2", "false")
        ]
    form = f"$archived={value}&data[word]=c".encode()
    record["data"]["attributes"]["word"] = "c"
    assert web("PATCH", "/words/1", form, FORM).json == record
    assert web.get(f"/words?$archived={shown}").ids == [1]
    assert web("PATCH", "/words/1", f"$archived={value}".encode(), FORM).json == record


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("PATCH", "/words/1", {"$archived": "maybe"}, 400, "Invalid param 'maybe' for option $archived."),
        ("PATCH", "/words/1", {"$archived": None}, 400, "Invalid param 'null' for option $archived."),
        ("PATCH", "/words/1", {"$archived": "all"}, 400, "Invalid param 'all' for option $archived."),
        ("PATCH", "/words/1", {"$archived": [1]}, 400, "Invalid param '[1]' for option $archived."),
        ("PATCH", "/words/1", {"$archived": True, "data": {"nope": 1}}, 400, "Unknown field nope"),
        ("PATCH", "/words/1", {"$archived": True, "x": 1}, 400, "Unknown field x"),
        ("PATCH", "/words/9", {"$archived": True}, 404, "Not found"),
        ("PATCH", "/things/1", {"$archived": True}, 400, "Table 'things' has no archive"),
        ("POST", "/words", {"$archived": True, "data": {"word": "a"}}, 400, "Unknown field $archived"),
        ("PATCH", "/words/1", {"data": {"$archived": True}}, 400, "Unknown field $archived"),
    ],
)
def test_bad_archiving(web: Web, method: str, path: str, body: Any, status: int, message: str) -> None:
    """Another word, another place and a table without archive are refused, and nothing is changed beside it."""
    assert web("POST", "/words", {"data": {"word": "a"}}).status == 201
    web.refuse(status, [message], method, path, body)


def test_archiving_with_version(web: Web) -> None:
    """Archiving holds the version of `If-Match`, and raises it."""
    old = web("POST", "/words", {"data": {"word": "a"}}).headers["ETag"]
    body = {"$archived": True, "data": {"word": "b"}}
    new = web("PATCH", "/words/1", body, HTTP_IF_MATCH=old).headers["ETag"]
    message = "The record has changed since: its version is not the one in If-Match"
    web.refuse(412, [message], "PATCH", "/words/1", body, HTTP_IF_MATCH=old)
    assert web("PATCH", "/words/1", {"$archived": False}, HTTP_IF_MATCH=new).status == 200


def test_limbas_nulls() -> None:
    """With `x-limbas-nulls` numbers show 0 for null and texts the empty one; filters see null all the same."""
    app = minirest.make_app({**SCHEMA, "x-limbas-nulls": True}, auth=False, clock=lambda: NOW)
    web = Web.__new__(Web)
    web.app = app
    names = "text,whole,ratio,flag,day,at,clock,pick"
    attributes = web.get(f"/things/6?$fields={names}").json["data"]["attributes"]
    assert json.dumps(attributes) == json.dumps(
        {"text": "", "whole": 0, "ratio": 0, "flag": False, "day": "", "at": "", "clock": "", "pick": ""}
    )
    shown = web.get("/things/1?$fields=text,whole,day,at").json["data"]["attributes"]
    assert shown == {"text": "Ärger 100%", "whole": 1, "day": "2024-03-18", "at": "2024-03-18 00:00:00"}
    assert web.get("/things?whole=%23NULL%23").ids == [4, 6]
    assert web.get("/things?whole=0").ids == [3]
    app.close()


def test_strict() -> None:
    """A strict server refuses what a record's address ignores otherwise, by name."""
    web = Web(strict=True)
    for query, name in (("nope=1", "nope"), ("text[eq]=x", "text[eq]"), ("$sort=id", "$sort"), ("$fields=id&_=1", "_")):
        web.refuse(400, [f"Unknown field {name}"], "GET", f"/things/1?{query}")
    assert web.get("/things/1?$fields=id").json["data"]["attributes"] == {"id": "1"}
    web.app.close()


# ---- anything at all ----

NAMES = ["things", "words", "friendships", "select", "text", "whole", "day", "at", "tags", "extra", "parent", "friends"]
JUNK = [
    "",
    "0",
    "1",
    "2",
    "99",
    "-1",
    "1e1",
    "%",
    "%FF",
    "%00",
    "\xff",
    "²",
    "%C2%B2",
    "[",
    "]",
    "#NULL#",
    "*",
    "9" * 30,
]
SEGMENT = st.sampled_from([*NAMES, *JUNK, "1", "1", "main_rest.php", "dependent", "api", "..", ";"])
WORD = st.sampled_from(
    [
        *NAMES,
        *JUNK,
        "$page",
        "$sort",
        "$fields",
        "$archived",
        "$validity",
        "count",
        "number",
        "eq",
        "neq",
        "contains",
        "lt",
    ]
)
QUERY = st.lists(
    st.tuples(
        st.lists(WORD, min_size=1, max_size=4),
        st.sampled_from([*NAMES, *JUNK, "-id", "text,-whole", "KW 12.2024", "%23ID%231", "%23NULL%23", "true", "all"]),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{keys[0]}{''.join(f'[{key}]' for key in keys[1:])}={value}" for keys, value in pairs))
VALUE = st.recursive(
    st.sampled_from([None, True, 0, 1, 2, -1, 2**63 - 1, 1.5, 1e300, "", "1", "x", "2024-05-01", "😀"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["data", "id", *NAMES]), inner, max_size=4)
        | inner.map(lambda value: {"data": value})
        | inner.map(lambda value: {"data": {"id": value}})
    ),
    max_leaves=8,
)
BODY = st.one_of(
    VALUE.map(lambda value: json.dumps({"data": value}).encode()),
    VALUE.map(lambda value: json.dumps(value).encode()),
    QUERY.map(lambda query: f"data{query}".encode("latin-1")),
    st.binary(max_size=20),
    st.just(b""),
)
TAG = ["*", '"1-ab"', '"2-ab"', "x", '"', "\xff"]
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_IF_MATCH": st.sampled_from(TAG),
        "HTTP_IF_NONE_MATCH": st.sampled_from(TAG),
        "HTTP_ORIGIN": st.sampled_from(["http://localhost", "http://evil.example", "null", "\xff", "{x}"]),
        "HTTP_AUTHORIZATION": st.sampled_from(
            ["Basic YTpi", "Basic %", "Basic \xff", "Bearer mrt_x", "Bearer", "", "x"]
        ),
        "HTTP_ACCEPT": st.sampled_from(["text/html", "*/*", "\xff"]),
        "HTTP_CONTENT_ENCODING": st.sampled_from(["gzip", "identity"]),
        "HTTP_ACCESS_CONTROL_REQUEST_METHOD": st.sampled_from(["PUT", "\xff"]),
        "CONTENT_LENGTH": st.sampled_from(["", "x", "-1", "99999999999999"]),
    },
)
METHOD = st.sampled_from(
    ["GET", "GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "get", "FOO", "\xff"]
)
KIND = st.sampled_from(
    ["application/json", FORM, "", "text/plain", "multipart/form-data; boundary=x", "\xff;", "a/b; c"]
)


@pytest.fixture(scope="module", params=[False, True], ids=["open", "with users"])
def anything(request: pytest.FixtureRequest) -> Iterator[Web]:
    """Serve the schema to whatever comes, without and with accounts."""
    web = Web(auth=request.param, users={"a": "b" * 8} if request.param else None)
    yield web
    web.app.close()


@settings(max_examples=400)
@given(METHOD, st.lists(SEGMENT, max_size=5), QUERY, BODY, KIND, HEADERS)
def test_any_request(
    anything: Web, method: str, path: list[str], query: str, body: bytes, kind: str, headers: dict[str, str]
) -> None:
    """No request is a failure of the server; what is refused has the form of errors and changes nothing."""
    before = anything.dump()
    answer = anything(method, f"/{'/'.join(path)}?{query}", body, kind, **headers)
    assert 200 <= answer.status < 500
    if answer.status >= 400:
        assert anything.dump() == before
    if answer.status == 303 or answer.headers.get("Content-Type", JSON) != JSON:  # only a browser is shown a page
        assert "text/html" in headers.get("HTTP_ACCEPT", "")
    elif answer.status >= 400:
        assert method == "HEAD" or answer.messages
    elif answer.status in (204, 304) or method == "HEAD":
        assert answer.body == b""
    else:
        assert answer.body
