"""The Limbas dialect as a whole: random queries against the evaluator, and what its document prints over a socket.

A random query is a list of `Asked`: what each parameter means beside how it is written. `address_of` puts the written
forms together, `question_of` the meanings, for the evaluator; neither looks at the other's half.
"""

import base64
import contextlib
import datetime
import http.client
import json
import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, quote_plus, unquote, urlsplit

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minirest
from minirest import And, Compare, Everything, Filter, From, Link, Not, On, Or, Scope, Select, Some, Sort, Span, To
from tests import evaluator
from tests.web import many, one, send

TODAY = "2024-06-15"
NOW = datetime.datetime(2024, 6, 15, 12, 0, tzinfo=datetime.UTC)
JSON = "application/json; charset=utf-8"

# ---- the tables ----

TEXT: dict[str, Any] = {"type": "string"}
DATE: dict[str, Any] = {"type": "string", "format": "date"}
COLORS = ["rot", "Grün", "ÄÖ", "100%"]


DOCUMENT: dict[str, Any] = {
    "$defs": {
        "Things": {
            "type": "object",
            "properties": {
                "Name": TEXT,
                "mail": {"type": "string", "format": "email"},
                "pick": {"enum": COLORS},
                "whole": {"type": "integer"},
                "ratio": {"type": "number"},
                "flag": {"type": "boolean"},
                "day": DATE,
                "At": {"type": "string", "format": "date-time"},
                "clock": {"type": "string", "format": "time"},
                "words": {"type": "array", "items": TEXT},
                "colors": {"type": "array", "items": {"type": "string", "enum": COLORS}},
                "extra": {"type": "object"},
                "parent": one("Things"),
                "children": many("Things", **{"x-inverse": "parent"}),
                "boss": one("people"),
                "Crowd": many("people", **{"x-through": "crowds"}),
                "marks": many("people"),
            },
            "x-archive": True,
            "x-validity": True,
        },
        "people": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "name": TEXT,
                "age": {"type": "integer"},
                "led": many("Things", **{"x-inverse": "boss"}),
                "clubs": many("Things", **{"x-inverse": "Crowd"}),
            },
            "x-archive": True,
            "x-sort": True,
        },
        "crowds": {
            "type": "object",
            "properties": {"thing": one("Things"), "person": one("people"), "weight": {"type": "integer"}},
            "required": ["thing", "person"],
            "x-validity": True,
        },
    }
}
SCHEMA = minirest.load_schema(DOCUMENT)
FIELDS: dict[str, dict[str, str]] = {
    "Things": {
        "id": "id",
        "Name": "text",
        "mail": "text",
        "pick": "text",
        "whole": "integer",
        "ratio": "number",
        "flag": "boolean",
        "day": "date",
        "At": "moment",
        "clock": "time",
        "words": "list",
        "colors": "list",
        "extra": "json",
        "valid_from": "date",
        "valid_to": "date",
        "parent": "link",
        "children": "link",
        "boss": "link",
        "Crowd": "link",
        "marks": "link",
    },
    "people": {"id": "id", "name": "text", "age": "integer", "sort": "integer", "led": "link", "clubs": "link"},
    "crowds": {
        "id": "id",
        "weight": "integer",
        "valid_from": "date",
        "valid_to": "date",
        "thing": "link",
        "person": "link",
    },
}
"""The kind of each field that can be asked for, as the schema has it."""
LABELS = {"Things": "Name", "people": "name"}
LINKED = {"parent": "Things", "children": "Things", "boss": "people", "Crowd": "people", "marks": "people"}
LINKED |= {"led": "Things", "clubs": "Things", "thing": "Things", "person": "people"}

# ---- the records ----

TEXTS = [
    "",
    " a",
    "a",
    "A",
    "ä",
    "Ä",
    "äb",
    "ÄB",
    "ß",
    "SS",
    "Straße",
    "STRASSE",
    "😀",
    "a😀b",
    "%",
    "_",
    "\\",
    "'",
    '"',
]
TEXTS += [
    "a%b",
    "a_b",
    "aab",
    "a&b=c",
    "a+b",
    "a;b#c",
    "[a]",
    "a\nb",
    "a b ",
    "!=a",
    "#NULL#",
    "#ID#1",
    "İ",
    "K",
    "k",
    "5",
]
MAILS = ["a@b.de", "A@B.DE", "o'neill_x@b.de", "oxneill_x@b.de", "a+b%c@x.example"]
INTEGERS = [-(2**63), -5, -1, 0, 1, 2, 3, 10, 2**63 - 1]
NUMBERS = [-1.5, -0.25, 0.0, 0.1, 1.0, 1.5, 2.0, 12345.67, 1e300]
DAYS = ["0001-01-01", "2023-12-31", "2024-01-01", "2024-02-29", "2024-03-18", "2024-03-24", "2024-03-25", "9999-12-31"]
CLOCKS = ["00:00:00", "08:30:00", "13:45:07", "23:59:59"]
ENDS = [None, None, "2024-01-01", "2024-06-14", TODAY, "2024-06-16", "2025-01-01"]
POOLS: dict[str, list[Any]] = {
    "Name": TEXTS,
    "name": ["", "a", "Ä", "ä", "Straße", "a_b", "%", "😀"],
    "mail": MAILS,
    "pick": COLORS,
    "whole": INTEGERS,
    "age": INTEGERS,
    "weight": INTEGERS,
    "ratio": NUMBERS,
    "flag": [True, False],
    "day": DAYS,
    "At": [f"{day}T{clock}{part}Z" for day in DAYS for clock in CLOCKS for part in (".000", ".999")],
    "clock": CLOCKS,
    "words": [[], ["a"], ["A", "ä"], ["%", ""], ["Straße", "a_b"], ["😀"], ["\\", '"']],
    "colors": [[], ["rot"], ["ÄÖ", "Grün"], ["100%", "rot"]],
    "extra": [{}, {"a": 1}],
}
SIZES = {"Things": 12, "people": 6}


def examples(chance: random.Random) -> dict[str, list[dict[str, Any]]]:
    """Random records of all tables; a quarter of all values is null."""
    things, people = ([plain(chance, name) for _ in range(size)] for name, size in SIZES.items())
    for thing in things:
        thing["parent"] = chance.choice([None, 1, 2, 3, 4])
        thing["boss"] = chance.choice([None, 1, 2, 3])
        thing["marks"] = chance.sample(range(1, len(people) + 1), chance.choice([0, 2, 5]))
    for person, place in zip(people, chance.sample(range(100), len(people)), strict=True):
        person["sort"] = place
    pairs = [(thing + 1, person + 1) for thing in range(len(things)) for person in range(len(people))]
    crowds = [
        {"thing": thing, "person": person, **plain(chance, "crowds")} for thing, person in chance.sample(pairs, 40)
    ]
    return {"Things": things, "people": people, "crowds": crowds}


def plain(chance: random.Random, table: str) -> dict[str, Any]:
    """The values of a record, its links aside."""
    names = [name for name in DOCUMENT["$defs"][table]["properties"] if name in POOLS]
    record = {name: None if chance.random() < 0.25 else chance.choice(POOLS[name]) for name in names}
    if "x-validity" in DOCUMENT["$defs"][table]:
        record |= {"valid_from": chance.choice(ENDS[:6]), "valid_to": chance.choice([*ENDS[:2], *ENDS[3:]])}
    if "x-archive" in DOCUMENT["$defs"][table] and chance.random() < 0.3:
        record["_status"] = chance.choice(["archived", "trash"])
    return record


class World:
    """The same records behind an application and as the evaluator takes them."""

    def __init__(self, seed: int) -> None:
        found = examples(random.Random(seed))
        tables = {name: {**words, "examples": found[name]} for name, words in DOCUMENT["$defs"].items()}
        self.app = minirest.make_app({"$defs": tables}, auth=False, clock=lambda: NOW)
        self.data: evaluator.Data = {}
        for table in SCHEMA.all_tables.values():
            rows = enumerate(found.get(table.name, ()), 1)
            self.data[table.name] = [record_of(table, number, example) for number, example in rows]
        self.mark(found["Things"])

    def mark(self, things: Sequence[Mapping[str, Any]]) -> None:
        """Fill the junction of the plain many link, in the order of adding."""
        link = SCHEMA.find("Things").links["marks"]
        assert link.through
        assert link.near
        assert link.far
        pairs = [(number, mark) for number, thing in enumerate(things, 1) for mark in thing["marks"]]
        self.data[link.through.name] = [
            {"#table": link.through, "id": place, link.near.name: near, link.far.name: far}
            for place, (near, far) in enumerate(pairs, 1)
        ]

    def get(self, address: str) -> tuple[int, Any]:
        """GET an address; the status and the JSON."""
        answer = send(self.app, "GET", address)
        return answer.status, answer.json


def record_of(table: minirest.Table, number: int, example: Mapping[str, Any]) -> evaluator.Record:
    """An example as the evaluator takes it."""
    record: evaluator.Record = {"#table": table, "id": number}
    record |= {field.name: example.get(field.name) for field in table.fields.values()}
    record |= {link.key.name: example.get(link.name) for link in table.links.values() if link.key}
    return record | {"id": number, "_status": {"archived": 1, "trash": 2}.get(example.get("_status", ""), 0)}


@pytest.fixture(scope="module")
def worlds() -> Iterator[Callable[[int], World]]:
    made: dict[int, World] = {}

    def world(seed: int) -> World:
        if seed not in made:
            made[seed] = World(seed)
        return made[seed]

    yield world
    for each in made.values():
        each.app.close()


# ---- what is asked ----


class Word(NamedTuple):
    """A value that is no value: nothing at all, null or not, or what the field cannot hold."""

    name: str


class Number(NamedTuple):
    """The id of a linked record."""

    id: int


EMPTY, NULL, NOT_NULL, UNREADABLE = Word("empty"), Word("null"), Word("not null"), Word("unreadable")


class Term(NamedTuple):
    """One filter: the field, what is done (`eq`, `not eq`, ...), with what; `bracket` holds it as it is written."""

    field: str
    op: str
    bracket: str
    operand: Any


class Asked(NamedTuple):
    """One parameter: what it is about, what it means, and how it is written."""

    about: str
    means: Any
    key: str
    value: str


class Query(NamedTuple):
    """A request for a list: its address, what it is a list of, and the parameters in their order."""

    path: str
    table: str
    parent: tuple[str, int, str] | None
    parameters: list[Asked]
    encoding: str


ENCODINGS: dict[str, Callable[[str], str]] = {
    "all": lambda text: quote(text, safe=""),
    "plus": quote_plus,
    "little": lambda text: quote(text, safe="$[],:*!=<>/'()@;?"),
}


def address_of(query: Query) -> str:
    """The address as a client writes it."""
    write = ENCODINGS[query.encoding]
    names = write if query.encoding == "all" else lambda text: quote(text, safe="$[]")
    written = "&".join(f"{names(asked.key)}={write(asked.value)}" for asked in query.parameters)
    return f"{query.path}?{written}" if written else query.path


def question_of(query: Query) -> Select:
    """What is asked, page aside; of what stands twice the last counts."""
    table, found = SCHEMA.find(query.table), {asked.about: asked.means for asked in query.parameters}
    terms = {(t.field, t.bracket): t for t in (asked.means for asked in query.parameters if asked.about == "filter")}
    sort = tuple(order_of(table, name, down) for name, down in found.get("sort", ()))
    scope = Scope(found.get("archived", "no"), found.get("validity", On(TODAY)))
    where = And(tuple(condition_of(table, term) for term in terms.values()))
    parent = None
    if query.parent:
        start = SCHEMA.find(query.parent[0])
        parent = minirest.Parent(start.links[query.parent[2]], minirest.Key(start.id, query.parent[1]))
    return Select(table, minirest.Const(0), where, scope, sort, parent=parent)


def order_of(table: minirest.Table, name: str, down: bool) -> Sort:
    """One term of an order: null is last and in reverse first; text without the case of ASCII; links by number."""
    path = minirest.Path((table.links[name],)) if name in LINKED else minirest.Path((), field_of(table, name))
    return Sort(path, down, "first" if down else "last", "ascii")


def field_of(table: minirest.Table, name: str) -> minirest.Field:
    return table.id if name == "id" else table.fields[name]


def condition_of(table: minirest.Table, term: Term) -> Filter:
    """One filter as operators and their combinations, after the table of operators."""
    if term.operand == EMPTY:
        return And(())
    if term.operand == UNREADABLE:
        return Or(())
    if term.field in LINKED:
        return link_condition_of(table.links[term.field], term)
    path, family = minirest.Path((), field_of(table, term.field)), FIELDS[table.name][term.field]
    if term.operand in (NULL, NOT_NULL):
        nothing = Compare(path, "null" if family == "json" else "empty")
        return nothing if is_null(term) else Not(nothing)
    op: Any = term.op.removeprefix("not ")
    found = Compare(path, op, term.operand, "fold" if family in ("text", "list") else "exact")
    return Not(found) if op != term.op else found


def link_condition_of(link: Link, term: Term) -> Filter:
    """A filter on a link; the negative ones mean that there are linked records, and that none has such a label."""
    key = minirest.Path((link,), link.target.id)
    linked = Not(Compare(key, "null"))
    if term.operand in (NULL, NOT_NULL):
        return Compare(key, "null") if is_null(term) else linked
    op: Any = term.op.removeprefix("not ")
    label = minirest.Path((link,), link.target.fields[LABELS[LINKED[link.name]]])
    by_id = isinstance(term.operand, Number)
    found = Compare(key, "eq", term.operand.id) if by_id else Some(Compare(label, op, term.operand, "fold"))
    return And((Not(found), linked)) if op != term.op else found


def is_null(term: Term) -> bool:
    """Whether what has nothing is asked for: `#NULL#`, or `!=#NOTNULL#`."""
    return bool(term.operand == NULL) != term.op.startswith("not ")


# ---- random values, each with the ways to write it ----

Operand = tuple[Any, str]
END = "9999-12-31T23:59:59.999Z~"
"""After every moment."""


def texts(pool: Sequence[str]) -> st.SearchStrategy[Operand]:
    """Whole texts and parts of them; one that begins with `#` would be a word of its own."""
    parts = sorted({text[start:end] for text in pool for start in range(3) for end in (start + 1, start + 2)})
    whole = [text for text in [*pool, *map(str.upper, pool), *map(str.lower, pool), *parts] if not text.startswith("#")]
    return (
        st.sampled_from([*pool, *whole])
        .map(lambda t: t.lstrip(" "))
        .filter(lambda t: t[:1] != "#")
        .map(lambda t: (t, t))
    )


@st.composite
def integers(draw: st.DrawFn, pool: Sequence[int] = INTEGERS) -> Operand:
    value = draw(st.sampled_from(pool))
    return value, draw(st.sampled_from([f"{value}", f"{value:+}", f"{value:04}"]))


@st.composite
def numbers(draw: st.DrawFn) -> Operand:
    value = draw(st.sampled_from(NUMBERS))
    forms = [repr(value), repr(value).replace(".", ","), f"{value:+}"]
    if value == int(value) and value < 1e9:
        forms.append(f"{value:.0f}".replace("-0", "0"))
    if abs(value) < 1:
        forms.append(repr(value).replace("0.", ".", 1))
    return value, draw(st.sampled_from(forms))


def moment(day: datetime.date, clock: str = "00:00:00") -> str:
    return f"{day.isoformat()}T{clock}.000Z"


def span(start: datetime.date, days: int) -> Span:
    """Some days from a day on."""
    last = start.toordinal() + days
    return Span(
        moment(start), moment(datetime.date.fromordinal(last)) if last <= datetime.date.max.toordinal() else END
    )


def days_of(year: int, month: int = 0) -> int:
    """How many days a year or a month has."""
    lengths = [
        31,
        29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28,
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ]
    return lengths[month - 1] if month else sum(lengths)


@st.composite
def dates(draw: st.DrawFn, units: Sequence[str] = ("year", "month", "week", "day", "minute", "second")) -> Operand:
    day = datetime.date.fromisoformat(draw(st.sampled_from(DAYS)))
    year, month, number = f"{day.year:04}", day.month, day.day
    mark, unit = draw(st.sampled_from("./:,+-")), draw(st.sampled_from(units))
    if unit == "year":
        return span(day.replace(month=1, day=1), days_of(day.year)), year
    if unit == "month":
        forms = [f"{year}{mark}{month:02}", f"{month:02}{mark}{year}", f"{month}{mark}{year}"]
        return span(day.replace(day=1), days_of(day.year, month)), draw(st.sampled_from(forms))
    if unit == "week":
        of, week, _ = day.isocalendar()
        word = draw(st.sampled_from(["KW ", "CW ", "kw ", "KW", "cw"]))
        form = draw(st.sampled_from([f"{week}{mark}{of:04}", f"{week:02}{mark}{of:04}"]))
        return span(datetime.date.fromordinal(day.toordinal() - day.weekday()), 7), word + form
    forms = [f"{year}{mark}{month:02}{mark}{number:02}", f"{number:02}{mark}{month:02}{mark}{year}"]
    written = draw(st.sampled_from([*forms, f"{number}{mark}{month}{mark}{year}"]))
    if unit == "day":
        return span(day, 1), written
    clock = draw(st.sampled_from(CLOCKS))
    if unit == "minute":
        return Span(moment(day, f"{clock[:5]}:00"), f"{day}T{clock[:5]}:59.999Z~"), f"{written} {clock[:5]}"
    return Span(moment(day, clock), f"{day}T{clock}.999Z~"), f"{written} {clock}"


CLOCK_FORMS = [(clock, clock) for clock in CLOCKS] + [(clock, clock[:5]) for clock in CLOCKS if clock.endswith(":00")]
TRUTHS = [(True, "true"), (True, "1"), (True, "TRUE"), (False, "false"), (False, "0"), (False, "FALSE")]
NOT_INTEGERS = [(UNREADABLE, text) for text in ("abc", "1.5", "1,0", "1e", "0x1", "²", "1 2", "--1")]
NOT_NUMBERS = [(UNREADABLE, text) for text in ("abc", "nan", "inf", "1e", "1.2.3", "1..2", "%")]
BEYOND = [
    (sign * math.inf, text.format("-" if sign < 0 else ""))
    for sign in (1, -1)
    for text in ("{}9223372036854775809", "{}99999999999999999999999", "{}1e999")
]
"""Numbers on one side of all that a field can have."""
NOT_TRUTHS = [(UNREADABLE, text) for text in ("yes", "2", "-", "null", "!=true", "!=#NULL#")]
LISTED = [item for pool in ("words", "colors") for value in POOLS[pool] for item in value]
OPERANDS: dict[str, st.SearchStrategy[Operand]] = {
    "Name": texts(TEXTS),
    "mail": texts(MAILS),
    "text": texts(COLORS + POOLS["name"]),
    "id": st.one_of(integers([1, 2, 3, 5, 12, 99, 0, -1]), st.sampled_from(BEYOND)),
    "integer": st.one_of(integers(), integers(), st.sampled_from([*NOT_INTEGERS, *BEYOND])),
    "number": st.one_of(numbers(), numbers(), st.sampled_from([*NOT_NUMBERS, BEYOND[2], BEYOND[5]])),
    "boolean": st.sampled_from([*TRUTHS, *TRUTHS, *NOT_TRUTHS]),
    "date": dates(),
    "moment": dates(),
    "time": st.sampled_from(CLOCK_FORMS),
    "list": texts(LISTED),
    "link": st.one_of(
        texts(POOLS["name"]),
        texts(POOLS["name"]),
        integers([1, 2, 5, 12, 99]).map(lambda n: (Number(n[0]), f"#ID#{n[0]}")),
    ),
    "json": st.nothing(),
}
WORDS: Sequence[Operand] = [(EMPTY, ""), (NULL, "#NULL#"), (NOT_NULL, "#NOTNULL#")]
PREFIXES = [("eq", "="), ("not eq", "!="), ("not eq", "!"), ("lt", "<"), ("lte", "<="), ("gt", ">"), ("gte", ">=")]


def ways(operator: str, brackets: Mapping[str, str], prefixes: Sequence[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """What can be done with a kind of field: the operator, what is in brackets, what stands before the value."""
    inside = [(op, bracket, "") for bracket, op in brackets.items()]
    return [(operator, "", ""), *inside, *((op, "", prefix) for op, prefix in prefixes)]


RANGES = ways("eq", {"neq": "not eq", **{op: op for op in ("eq", "lt", "lte", "gt", "gte")}}, PREFIXES)
TEXT_BRACKETS = {"neq": "not eq", **{op: op for op in ("eq", "contains", "startswith", "endswith")}}
WAYS: dict[str, list[tuple[str, str, str]]] = {
    **dict.fromkeys(["id", "integer", "number", "date", "moment", "time"], RANGES),
    "text": ways("eq", TEXT_BRACKETS, [("not eq", "!=")]),
    "link": ways("contains", TEXT_BRACKETS, [("not contains", "!=")]),
    "list": ways("contains", {"eq": "contains", "contains": "contains"}, [("not contains", "!=")]),
    "boolean": ways("eq", {"eq": "eq"}, []),
    "json": ways("eq", {}, [("not eq", "!=")]),
}


def in_any_case(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([name, name, name.lower(), name.upper(), name.swapcase()])


@st.composite
def filters(draw: st.DrawFn, table: str, chosen: str = "") -> Asked:
    """One filter on a table's field, the chosen one or any, written in one of its ways."""
    name = chosen or draw(st.sampled_from(list(FIELDS[table])))
    family = FIELDS[table][name]
    op, bracket, prefix = draw(st.sampled_from(WAYS[family]))
    words = st.sampled_from(WORDS)
    special = draw(st.integers(0, 5)) == 0 or family == "json"
    operand, written = draw(words if special else OPERANDS.get(name, OPERANDS[family]))
    if operand == EMPTY:
        assume(not prefix)
    elif special or isinstance(operand, Number):
        assume(prefix in ("", "!=") and bracket in ("", "eq", "neq"))
    elif written == "" and not prefix:
        operand = EMPTY
    elif not bracket and not prefix:
        assume(not written.startswith("!="))
    if operand not in (EMPTY, NULL, NOT_NULL) and not isinstance(operand, Number):
        written = draw(st.sampled_from(["", "", "", " ", "  "])) + written if written else written
    key = draw(in_any_case(name))
    if draw(st.integers(0, 3)) == 0:
        key = f"{draw(in_any_case(table))}[{key}]"
    return Asked("filter", Term(name, op, bracket, operand), f"{key}[{bracket}]" if bracket else key, prefix + written)


@st.composite
def sorts(draw: st.DrawFn, table: str) -> Asked:
    """An order of one to three fields and links."""
    names = [name for name, family in FIELDS[table].items() if family not in ("list", "json")]
    terms = draw(st.lists(st.tuples(st.sampled_from(names), st.booleans()), min_size=1, max_size=3))
    written = []
    for name, down in terms:
        before = f"{draw(in_any_case(table))}." if draw(st.integers(0, 3)) == 0 else ""
        written.append(f"{'-' if down else ''}{before}{draw(in_any_case(name))}")
    return Asked("sort", terms, draw(in_any_case("$sort")), ",".join(written))


@st.composite
def archived(draw: st.DrawFn) -> Asked:
    words = {"no": ["false", "0", "FALSE"], "only": ["true", "1", "True"], "trash": ["2"], "all": ["all", "ALL"]}
    means = draw(st.sampled_from(list(words)))
    return Asked("archived", means, draw(in_any_case("$archived")), draw(st.sampled_from(words[means])))


@st.composite
def validity(draw: st.DrawFn) -> Asked:
    """All, from or to today, or a day in one of its forms."""
    words: dict[str, minirest.Validity] = {"all": Everything(), "allfrom": From(TODAY), "allto": To(TODAY)}
    key = draw(in_any_case("$validity"))
    if draw(st.booleans()):
        word = draw(st.sampled_from(list(words)))
        return Asked("validity", words[word], key, draw(in_any_case(word)))
    day = str(draw(st.sampled_from(["2023-12-31", *ENDS[2:]])))
    year, month, number = day.split("-")
    forms = [day, f"{number}.{month}.{year}", f"{int(number)}.{int(month)}.{year}", f"{number}/{month}/{year}"]
    if day.endswith("-01-01"):
        forms.append(year)
    return Asked("validity", On(day), key, draw(st.sampled_from(forms)))


@st.composite
def pages(draw: st.DrawFn) -> list[Asked]:
    """A count, a number (without a count it has no effect), both or none."""
    count, number = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 50])), draw(st.integers(1, 5))
    both = [
        Asked("count", count, draw(in_any_case("$page[count]")), str(count)),
        Asked("number", number, draw(in_any_case("$page[number]")), str(number)),
    ]
    return draw(st.sampled_from([[], both[:1], both, both, both[1:]]))


@st.composite
def queries(draw: st.DrawFn, linked: bool) -> Query:
    """A list, of a table or of linked records, with any parameters in any order."""
    table, parent = draw(st.sampled_from(["Things", "Things", "people", "crowds"])), None
    path = f"/{draw(in_any_case(table))}"
    if linked:
        start = draw(st.sampled_from(list(SIZES) * 2 + ["crowds"]))
        link = draw(st.sampled_from([name for name, family in FIELDS[start].items() if family == "link"]))
        number = draw(st.integers(1, 4) | st.integers(1, SIZES.get(start, 40)))
        table, parent = LINKED[link], (start, number, link)
        path = f"/{draw(in_any_case(start))}/{number}/{draw(in_any_case(link))}"
    parameters = draw(st.lists(filters(table), max_size=2 if linked else 3))
    parameters += draw(pages())
    for strategy in (sorts(table), archived(), validity()):
        parameters += draw(st.lists(strategy, max_size=2)) if draw(st.booleans()) else []
    shown = ["id", "*", ",".join(FIELDS[table])] if table == "Things" else ["*"]
    parameters += draw(
        st.lists(st.sampled_from(shown).map(lambda text: Asked("fields", None, "$fields", text)), max_size=1)
    )
    return Query(path, table, parent, draw(st.permutations(parameters)), draw(st.sampled_from(list(ENCODINGS))))


# ---- the answers ----


def ids_of(content: Any) -> list[int]:
    """The ids of a list, each of which has the form of ids."""
    assert list(content) == ["links", "data"]
    assert all(record["id"] == str(int(record["id"])) for record in content["data"])
    return [int(record["id"]) for record in content["data"]]


def split_address(address: str) -> tuple[str, list[tuple[str, str]]]:
    """The path of a link and its parameters, decoded, in their order."""
    parts = urlsplit(address)
    pairs = [pair.partition("=") for pair in parts.query.split("&") if pair]
    return parts.path, [(unquote(key), unquote(value)) for key, _, value in pairs]


def without_number(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(key, value) for key, value in pairs if key.lower() != "$page[number]"]


def page_number(pairs: Sequence[tuple[str, str]]) -> int:
    return next((int(value) for key, value in pairs if key.lower() == "$page[number]"), 1)


def check(world: World, query: Query) -> None:
    """A list, its links and all its pages are what the evaluator says."""
    expected = [spot.record["id"] for spot in evaluator.select(world.data, question_of(query)) if spot.record]
    address = address_of(query)
    status, content = world.get(address)
    assert status == 200, (address, content)
    pairs = [(asked.key, asked.value) for asked in query.parameters]
    pairs.sort(key=lambda pair: not pair[0].startswith("$"))
    found = {asked.about: asked.means for asked in query.parameters}
    assert split_address(content["links"]["self"]) == (query.path.lower(), pairs)
    if "count" not in found:
        assert (ids_of(content), list(content["links"])) == (expected, ["self"]), address
        return
    size, number = found["count"], found.get("number", 1)
    last = max(1, (len(expected) + size - 1) // size)
    assert ids_of(content) == expected[size * (number - 1) : size * number], address
    neighbours = {"first": 1, "prev": number - 1, "next": number + 1, "last": last}
    wanted = {"first", "last", *(["prev"] if number > 1 else []), *(["next"] if number < last else [])}
    links = {name: split_address(link) for name, link in content["links"].items() if name != "self"}
    assert {name: page_number(found) for name, (_, found) in links.items()} == {
        name: place for name, place in neighbours.items() if name in wanted
    }
    assert all(path == query.path.lower() for path, _ in links.values())
    assert all(without_number(found) == without_number(pairs) for _, found in links.values())
    walk(world, content["links"]["first"], [expected[n : n + size] for n in range(0, len(expected), size)] or [[]])


def walk(world: World, address: str | None, chunks: Sequence[list[int]]) -> None:
    """The links, followed as they are, lead through all pages and end."""
    for number, chunk in enumerate(chunks, 1):
        assert address is not None
        status, content = world.get(address)
        assert (status, ids_of(content)) == (200, chunk), (number, address)
        address = content["links"].get("next")
    assert address is None


WORLDS = 6
SEEDS = st.integers(0, WORLDS - 1)


ALL_STATES = [Asked("archived", "all", "$archived", "all"), Asked("validity", Everything(), "$validity", "all")]


@pytest.mark.parametrize(("table", "name"), [(table, name) for table in SIZES for name in FIELDS[table]])
def test_one_filter(worlds: Callable[[int], World], table: str, name: str) -> None:
    """Each field with each operator and each form of a value finds, of all records, what the evaluator finds."""

    @settings(max_examples=60)
    @given(seed=SEEDS, asked=filters(table, name))
    def search(seed: int, asked: Asked) -> None:
        check(worlds(seed), Query(f"/{table}", table, None, [asked, *ALL_STATES], "all"))

    search()


@settings(max_examples=250)
@given(seed=SEEDS, query=queries(linked=False))
def test_tables(worlds: Callable[[int], World], seed: int, query: Query) -> None:
    """Filters, order, pages, archive and validity together, on a table."""
    check(worlds(seed), query)


@settings(max_examples=250)
@given(seed=SEEDS, query=queries(linked=True))
def test_linked_lists(worlds: Callable[[int], World], seed: int, query: Query) -> None:
    """The same on linked records, of every kind of link; validity holds for the link's row too."""
    check(worlds(seed), query)


# ---- what the document prints, over a real socket ----

SAMPLE = json.loads((Path(__file__).resolve().parents[1] / "sample_schema.json").read_text(encoding="utf-8"))["$defs"]
INTERESTS: list[str] = SAMPLE["kunden"]["properties"]["interessen"]["items"]["enum"]
FORM = "application/x-www-form-urlencoded"
BARE_FORM = "x-www-form-urlencoded"
"""The name that the document prints."""
PLAIN = "application/json"
PASSWORD = "open sesame"
Row = dict[str, Any]


class State:
    """The sample's records as they should be now, and how they are shown."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[int, Row]] = {
            name: {number: dict(row) for number, row in enumerate(SAMPLE[name]["examples"], 1)}
            for name in ("kunden", "personen", "kontakte")
        }
        self.customers = self.tables["kunden"]
        for row in self.customers.values():
            row.setdefault("aktiv", True)

    def show(self, table: str, number: int, only: Sequence[str] = ()) -> Row:
        """One record as it stands in `data`."""
        names = [*SAMPLE[table]["properties"], *(("valid_from", "valid_to") if table == "kunden" else ())]
        attributes = {name: self.attribute(table, number, name) for name in only or names}
        return {"links": {"self": f"/{table}/{number}"}, "id": str(number), "attributes": attributes}

    def attribute(self, table: str, number: int, name: str) -> Any:
        """One attribute; of a link its addresses and ids."""
        value = self.tables[table][number].get(name)
        if name == "interessen":
            return value and [{"id": str(INTERESTS.index(v) + 1), "value": v, "desc": None} for v in value]
        target = {"boss": "personen", "kontakte": "kontakte", "kunden": "kunden"}.get(name)
        if target is None:
            return value
        ids = [{"id": str(key)} for key in self.linked(table, number, name)]
        return {"links": {"self": f"/{table}/{number}/{name}", "related": f"/{target}"}, "data": ids}

    def linked(self, table: str, number: int, name: str) -> list[int]:
        """The ids of the linked records."""
        if table == "personen":
            return [key for key, row in self.customers.items() if row.get("boss") == number]
        if table == "kontakte":
            return [key for key, row in self.customers.items() if number in row.get("kontakte", ())]
        value = self.customers[number].get(name)
        return value if isinstance(value, list) else [value] if value else []

    def one(self, number: int) -> Row:
        """The answer that shows a customer."""
        return {"links": {"self": f"/kunden/{number}"}, "data": self.show("kunden", number)}

    def listed(self, address: str, table: str, ids: Sequence[int], only: Sequence[str] = (), **pages: str) -> Row:
        """The answer that lists records."""
        return {"links": {"self": address, **pages}, "data": [self.show(table, number, only) for number in ids]}

    def links_of(self, number: int, name: str) -> Row:
        """The answer that lists a customer's boss or contacts, archived ones left out."""
        target = "personen" if name == "boss" else name
        shown = [key for key in self.linked("kunden", number, name) if "_status" not in self.tables[target][key]]
        return self.listed(f"/kunden/{number}/{name}", target, shown)

    def everything(self) -> Row:
        """The answer that lists all customers in any state."""
        return self.listed(EVERYTHING, "kunden", sorted(self.customers))


EVERYTHING = "/kunden?$archived=all&$validity=all"


class Client:
    """Sends requests over one connection after another and compares whole answers."""

    def __init__(self, url: str) -> None:
        self.netloc = urlsplit(url).netloc
        self.state = State()
        self.basic = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()

    def send(
        self, method: str, address: str, body: str | None = None, kind: str = PLAIN, basic: str | None = None
    ) -> tuple[int, str, Message]:
        """Send a request; the status, the text and the headers of its answer."""
        headers = {"Authorization": f"Basic {self.basic if basic is None else basic}"}
        if body is not None:
            headers["Content-Type"] = kind
        with contextlib.closing(http.client.HTTPConnection(self.netloc, timeout=20)) as connection:
            connection.request(method, address, None if body is None else body.encode(), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def expect(self, answer: tuple[int, str, Message], status: int, content: Any) -> None:
        """Hold an answer against what it should be, down to the order of the keys."""
        found, text, headers = answer
        wanted = "" if status == 204 else json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        assert (found, text) == (status, wanted)
        if status != 204:
            assert headers["Content-Type"] == JSON
            assert headers["Content-Length"] == str(len(text.encode()))

    def refuse(self, status: int, message: str, method: str, address: str, body: str | None = None) -> None:
        """Send what is refused, and see that nothing has changed."""
        answer = self.send(method, address, body)
        self.expect(answer, status, {"errors": [{"code": status, "message": message}]})
        self.hold()

    def hold(self) -> None:
        """All customers are as they should be."""
        self.expect(self.send("GET", EVERYTHING), 200, self.state.everything())


@contextlib.contextmanager
def serving() -> Iterator[Client]:
    """Serve the sample on a free port."""
    app = minirest.make_app({"$defs": SAMPLE}, users={"admin": PASSWORD}, clock=lambda: NOW)
    ready, stop, urls = threading.Event(), threading.Event(), list[str]()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    thread = threading.Thread(
        target=minirest.serve, args=(app,), kwargs={"port": 0, "on_ready": on_ready, "stop": stop}
    )
    thread.start()
    try:
        assert ready.wait(20)
        yield Client(urls[0])
    finally:
        stop.set()
        thread.join()
        app.close()


@pytest.fixture(scope="module")
def reading() -> Iterator[Client]:
    """The sample, to read from it only."""
    with serving() as client:
        yield client


@pytest.fixture
def client() -> Iterator[Client]:
    """The sample, to write to it."""
    with serving() as made:
        yield made


PAGE = "/kunden?$page[count]=2&$page[number]="
READ: list[tuple[str, str, Sequence[int], Sequence[str], dict[str, str]]] = [
    ("/kunden", "kunden", [1, 2, 3, 4, 5], (), {}),
    (f"{PAGE}1", "kunden", [1, 2], (), {"first": f"{PAGE}1", "next": f"{PAGE}2", "last": f"{PAGE}3"}),
    (f"{PAGE}3", "kunden", [5], (), {"first": f"{PAGE}1", "prev": f"{PAGE}2", "last": f"{PAGE}3"}),
    ("/kunden?$fields=umsatz,name", "kunden", [1, 2, 3, 4, 5], ("umsatz", "name"), {}),
    ("/kunden?$fields[kunden]=name,plz", "kunden", [1, 2, 3, 4, 5], ("name", "plz"), {}),
    ("/kunden?$fields[kunden]=*", "kunden", [1, 2, 3, 4, 5], (), {}),
    ("/kunden?$sort=plz,-umsatz", "kunden", [5, 3, 4, 1, 2], (), {}),
    ("/kunden?$sort=kunden.aktiv,-kunden.seit", "kunden", [2, 3, 1, 5, 4], (), {}),
    ("/kunden?name=meier", "kunden", [3], (), {}),
    ("/kunden?name[contains]=%C3%96KO_", "kunden", [5], (), {}),
    ("/kunden?kunden[name]=MEIERMANN", "kunden", [2], (), {}),
    ("/kunden?kunden[name][endswith]=gmbh", "kunden", [1], (), {}),
    ("/kunden?umsatz[gte]=10&umsatz[lt]=98765.43", "kunden", [2, 3], (), {}),
    ("/kunden?$archived=true&$validity=all", "kunden", [6, 7], (), {}),
    ("/kunden?$validity=2090-01-01", "kunden", [1, 2, 3, 4, 5, 10], (), {}),
    ("/kunden/1/boss", "personen", [1], (), {}),
    ("/kunden/1/kontakte", "kontakte", [1, 2], (), {}),
    ("/kunden/1/kontakte?$archived=all&$sort=-name", "kontakte", [6, 2, 1], (), {}),
    ("/personen/1/kunden", "kunden", [1, 5], (), {}),
]


@pytest.mark.parametrize(("address", "table", "ids", "only", "pages"), READ, ids=[row[0] for row in READ])
def test_reading(
    reading: Client, address: str, table: str, ids: Sequence[int], only: Sequence[str], pages: dict[str, str]
) -> None:
    """The three kinds of address with every parameter, at each base, with Basic."""
    for base in ("", "/main_rest.php", "/dependent/main_rest.php"):
        answer = reading.send("GET", base + address)
        reading.expect(answer, 200, reading.state.listed(address, table, ids, only, **pages))


def test_reading_one(reading: Client) -> None:
    """One record; and without credentials, or with wrong ones, nothing."""
    for number in reading.state.customers:
        reading.expect(reading.send("GET", f"/kunden/{number}"), 200, reading.state.one(number))
    unauthorized = {"errors": [{"code": 401, "message": "Unauthorized"}]}
    for basic in ("", "xxxxxxxxxxxxxxxxxxxx", base64.b64encode(b"admin:wrong password").decode()):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            answer = reading.send(method, "/kunden/1/boss", basic=basic)
            reading.expect(answer, 401, unauthorized)
            assert answer[2]["WWW-Authenticate"] == 'Basic realm="minirest", charset="UTF-8"'
    reading.hold()


NEW_FORM = "data[name]=%C3%84rger+%26+Co&data[umsatz]=12.5&data[boss][data][id]=7&data[kontakte][data][0][id]=2"
CREATED: list[tuple[str, str]] = [
    (
        PLAIN,
        '{"data":{"name":"Ärger & Co","umsatz":12.5,"boss":{"data":{"id":"7"}},"kontakte":{"data":[{"id":"2"}]}}}',
    ),
    (FORM, NEW_FORM),
    (BARE_FORM, NEW_FORM),
]


def test_records(client: Client) -> None:
    """POST makes a record, PATCH changes it, DELETE removes it: as JSON and in both spellings of a form."""
    state = client.state
    for number, (kind, body) in enumerate(CREATED, 11):
        state.customers[number] = {"name": "Ärger & Co", "umsatz": 12.5, "aktiv": True, "boss": 7, "kontakte": [2]}
        answer = client.send("POST", "/kunden", body, kind)
        client.expect(answer, 201, state.one(number))
        assert answer[2]["Location"] == f"/kunden/{number}"
        client.hold()
    form = "data[name]=%C3%96l&data[plz]=01067&data[aktiv]=false"
    changes = [(PLAIN, '{"data":{"NAME":"Öl","plz":"01067","aktiv":false}}'), (FORM, form), (BARE_FORM, form)]
    for number, (kind, body) in enumerate(changes, 11):
        state.customers[number] |= {"name": "Öl", "plz": "01067", "aktiv": False}
        client.expect(client.send("PATCH", f"/kunden/{number}", body, kind), 200, state.one(number))
        client.hold()
    for number in (11, 13):
        del state.customers[number]
        client.expect(client.send("DELETE", f"/kunden/{number}"), 204, None)
        client.refuse(404, "Not found", "GET", f"/kunden/{number}")
        client.refuse(404, "Not found", "DELETE", f"/kunden/{number}")
    client.refuse(400, "Delete not allowed on whole table!", "DELETE", "/kunden")
    client.refuse(400, "Patch not allowed to whole table!", "PATCH", "/kunden", '{"data":{"name":"x"}}')
    client.refuse(400, "Post not allowed to single dataset!", "POST", "/kunden/1", '{"data":{"name":"x"}}')


LINKED_WRITES: list[tuple[str, str, str, str, list[int]]] = [
    ("PATCH", "boss", PLAIN, '{"data":{"id":"7"}}', [7]),
    ("PATCH", "boss", PLAIN, '{"data":null}', []),
    ("PATCH", "boss", FORM, "data[id]=2", [2]),
    ("POST", "boss", BARE_FORM, "data[id]=3", [3]),
    ("POST", "kontakte", PLAIN, '{"data":[{"id":"4"},{"id":"1"}]}', [1, 2, 6, 4]),
    ("POST", "kontakte", FORM, "data[0][id]=3", [1, 2, 6, 4, 3]),
    ("PATCH", "kontakte", PLAIN, '{"data":[]}', []),
    ("PATCH", "kontakte", BARE_FORM, "data[0][id]=3&data[1][id]=1", [3, 1]),
    ("PATCH", "kontakte", PLAIN, '{"data":[{"id":"5"},{"id":6},{"id":"2"}]}', [5, 6, 2]),
]


def test_links(client: Client) -> None:
    """POST adds links, PATCH replaces them, at the link itself or as an attribute of the record."""
    state = client.state
    for method, name, kind, body, ids in LINKED_WRITES:
        state.customers[1][name] = ids if name == "kontakte" else next(iter(ids), None)
        client.expect(client.send(method, f"/kunden/1/{name}", body, kind), 200, state.links_of(1, name))
        client.hold()
    body = '{"data":{"boss":{"data":{"id":"4"}},"kontakte":{"data":[{"id":"1"}]}}}'
    state.customers[1] |= {"boss": 4, "kontakte": [1]}
    client.expect(client.send("PATCH", "/kunden/1", body), 200, state.one(1))
    body = '{"data":{"boss":{"data":null},"kontakte":{"data":[]}}}'
    state.customers[1] |= {"boss": None, "kontakte": []}
    client.expect(client.send("PATCH", "/kunden/1", body), 200, state.one(1))
    client.hold()


def test_unlinking(client: Client) -> None:
    """DELETE at the link removes links and never records; with a list it removes no record either."""
    state, body = client.state, '{ \n "data": [\n       { "id": "1" },\n       { "id": "2" }\n     ]\n}'
    state.customers[1]["boss"] = None
    client.expect(client.send("DELETE", "/kunden/1/boss"), 204, None)
    client.hold()
    client.refuse(400, "Relation does not exit.", "DELETE", "/kunden/1/boss")
    for number in (99, 1, 3):
        message = f"Deletion not possible: to remove links, write DELETE /kunden/{number}/<linkfield>."
        client.refuse(400, message, "DELETE", f"/kunden/{number}", body)
    client.refuse(404, "Not found", "DELETE", "/kunden/99")
    client.refuse(400, 'Key "data" is missing!', "DELETE", "/kunden/1/kontakte")
    client.refuse(400, 'Key "data" is missing!', "DELETE", "/kunden/1/kontakte", '{"data":[]}')
    state.customers[1]["kontakte"] = [6]
    client.expect(client.send("DELETE", "/kunden/1/kontakte", body), 204, None)
    client.hold()
    state.customers[2]["kontakte"] = [3]
    client.expect(client.send("DELETE", "/kunden/2/kontakte", "data[0][id]=1&data[1][id]=7", FORM), 204, None)
    client.hold()
    contacts = "/kontakte?$archived=all"
    client.expect(client.send("GET", contacts), 200, state.listed(contacts, "kontakte", range(1, 9)))
