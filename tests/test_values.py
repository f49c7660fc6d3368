"""Values: what each kind reads, stores and shows; date literals; strict JSON; passwords."""

import contextlib
import json
import math
import random
import re
import sqlite3
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import KINDS, LIMBAS, PLAIN, ApiError, BadValue, Kind, Span, Style, parse_span, read_json

MANY = settings(max_examples=200)
SMALLEST, LARGEST = -(2**63), 2**63 - 1

WHOLE = "a whole number of 64 bits"
DATE = "a date as YYYY-MM-DD"
MOMENT = "a date and time as YYYY-MM-DDTHH:MM:SSZ"
TIME = "a time as HH:MM:SS, in UTC"
TEXT_KINDS = ("text", "email", "uri", "uuid", "password", "content")

# kind, JSON value, what is stored
GOOD_JSON: list[tuple[str, Any, Any]] = [
    ("id", 1, 1),
    ("id", 2**52 - 1, 2**52 - 1),
    ("id", 3.0, 3),
    *((kind, text, text) for kind in TEXT_KINDS for text in ("", "a", "Grüße 😀\n")),
    ("integer", 0, 0),
    ("integer", SMALLEST, SMALLEST),
    ("integer", LARGEST, LARGEST),
    ("integer", 1.0, 1),
    ("integer", -0.0, 0),
    ("integer", 1e15, 10**15),
    ("number", 0, 0.0),
    ("number", -1.5, -1.5),
    ("number", 2**60, 2.0**60),
    ("number", 5e-324, 5e-324),
    ("number", 1.7976931348623157e308, 1.7976931348623157e308),
    ("boolean", True, 1),
    ("boolean", False, 0),
    ("date", "2024-02-29", "2024-02-29"),
    ("date", "0001-01-01", "0001-01-01"),
    ("date", "9999-12-31", "9999-12-31"),
    ("moment", "2024-05-01T13:45:00Z", "2024-05-01T13:45:00.000Z"),
    ("moment", "2024-05-01T15:45:00+02:00", "2024-05-01T13:45:00.000Z"),
    ("moment", "2024-05-01t13:45:00z", "2024-05-01T13:45:00.000Z"),
    ("moment", "2024-05-01 13:45:00", "2024-05-01T13:45:00.000Z"),
    ("moment", "2024-05-01T13:45", "2024-05-01T13:45:00.000Z"),
    ("moment", "2024-05-01", "2024-05-01T00:00:00.000Z"),
    ("moment", "2024-05-01T13:45:00.1Z", "2024-05-01T13:45:00.100Z"),
    ("moment", "2024-05-01T13:45:00.123999Z", "2024-05-01T13:45:00.123Z"),
    ("moment", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
    ("moment", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
    ("time", "00:00:00", "00:00:00"),
    ("time", "23:59:59", "23:59:59"),
    ("time", "13:45", "13:45:00"),
    ("time", "13:45:01.999", "13:45:01"),
    ("time", "13:45:01Z", "13:45:01"),
    ("time", "13:45:01z", "13:45:01"),
    ("time", "13:45:01+00:00", "13:45:01"),
    ("list", [], "[]"),
    ("list", ["b", "a", "b"], '["b","a","b"]'),
    ("list", [1, 2.5, True, None, "ä"], '[1,2.5,true,null,"ä"]'),
    ("choices", ["b", "a"], '["b","a"]'),
    ("json", {"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
    ("json", "text", '"text"'),
    ("json", 5, "5"),
    ("json", False, "false"),
    ("scalar", "a", "a"),
    ("scalar", 5, 5),
    ("scalar", 2.5, 2.5),
    ("scalar", True, 1),
]


def each(kind: str, expected: str, *values: Any) -> list[tuple[str, Any, str]]:
    """Rows of a table of bad values."""
    return [(kind, value, expected) for value in values]


# kind, JSON value, what was expected
BAD_JSON: list[tuple[str, Any, str]] = [
    *each("id", "a record id", 0, -1, 2**52),
    *each("id", WHOLE, "1", True, 1.5, None),
    *(row for kind in TEXT_KINDS for row in each(kind, "a text", 1, 1.5, True, [], {}, ["a"], None)),
    *each("integer", WHOLE, 2**63, -(2**63) - 1, 1.5, 1e19, "1", True, False, None, [], {}),
    *each("integer", WHOLE, math.inf, -math.inf, math.nan),
    *each("number", "a number", "1", True, False, None, [], {}),
    *each("number", "a finite number", math.inf, -math.inf, math.nan, 10**400),
    *each("boolean", "true or false", 0, 1, 1.0, "true", None, []),
    *each("date", "a text", 20240501, None, []),
    *each("date", DATE, "", "2023-02-29", "2024-5-1", "20240501", "2024-13-01", "2024-05-01T00:00:00Z", " 2024-05-01"),
    *each("date", DATE, "0000-01-01", "2024-05", "2024-W05-1", "２０２４-05-01", "2024-05-01\n"),
    *each("moment", "a text", 1714564800, None, {}),
    *each("moment", MOMENT, "", "now", "2024", "2024-05", "2024-W05", "2024-Q1", "20240501T134500Z"),
    *each("moment", MOMENT, "2024-05-01T25:00:00Z", "2024-02-30T00:00:00Z", "2024-05-01T13:60:00Z", "2024-05-01x"),
    *each("moment", MOMENT, "2024-05-01T13:45:60Z", "2024-05-01T13:45:00+24:00", "2024-05-01T13:45:00+01:60"),
    *each("moment", MOMENT, "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"),
    *each("moment", MOMENT, "2024-05-01T13:45:00 Berlin", "２０２４-05-01T13:45:00Z"),
    *each("time", "a text", 1345, None, []),
    *each("time", TIME, "", "24:00:00", "13", "13:60", "13:45:60", "1:45", "13:45:00+02:00", "13:45:00\n", "１３:45"),
    *each("list", "a list of plain values", "a", 1, None, {}, [[1]], [{"a": 1}]),
    *each("choices", "a list of plain values", "a", 1, None, {}, [[1]]),
    *each("scalar", "a plain value", [], {}, [1]),
]

# kind, text of a query or form, what is stored
GOOD_TEXT: list[tuple[str, str, Any]] = [
    ("id", "7", 7),
    *((kind, text, text) for kind in TEXT_KINDS for text in ("", "null", "1", " a ", "Grüße")),
    ("integer", "0", 0),
    ("integer", "+5", 5),
    ("integer", "-007", -7),
    ("integer", str(SMALLEST), SMALLEST),
    ("integer", str(LARGEST), LARGEST),
    ("number", "1", 1.0),
    ("number", "-1.50", -1.5),
    ("number", "+.5e1", 5.0),
    ("number", "1.", 1.0),
    ("number", "1E-3", 0.001),
    ("number", "0.1", 0.1),
    ("number", "1e-400", 0.0),
    ("number", "9007199254740993", 9007199254740992.0),
    ("boolean", "true", 1),
    ("boolean", "TRUE", 1),
    ("boolean", "1", 1),
    ("boolean", "False", 0),
    ("boolean", "0", 0),
    ("date", "2024-02-29", "2024-02-29"),
    ("moment", "2024-05-01T15:45:00+02:00", "2024-05-01T13:45:00.000Z"),
    ("time", "13:45", "13:45:00"),
    ("list", "a", '["a"]'),
    ("list", "", '[""]'),
    ("list", '[1, "a"]', '[1,"a"]'),
    ("choices", "b", '["b"]'),
    ("json", ' {"a" : 1} ', '{"a":1}'),
    ("json", "5", "5"),
    ("scalar", "5", 5),
    ("scalar", "true", 1),
    ("scalar", "2.50", 2.5),
    ("scalar", "a", "a"),
    ("scalar", "[1]", "[1]"),
    ("scalar", "null", None),
    ("scalar", "99999999999999999999", "99999999999999999999"),
]

# kind, text of a query or form, what was expected
BAD_WHOLE = ("", " 1", "1 ", "1.0", "1e3", "a", "٣", "1_0", "--1", str(2**63), str(-(2**63) - 1), "1" * 5000)
BAD_TEXT: list[tuple[str, str, str]] = [
    *each("id", WHOLE, *BAD_WHOLE),
    *each("integer", WHOLE, *BAD_WHOLE),
    *each("number", "a number", "", " 1", ".", "e5", "1e", "1,5", "nan", "inf", "٣", "1_0", "0x1", "1e5.5", "1" * 5000),
    *each("number", "a finite number", "1e400", "-1e400", "1e9999"),
    *each("boolean", "true or false", "", "yes", "on", "2", " true"),
    *each("date", DATE, "2023-02-29"),
    *each("moment", MOMENT, "soon"),
    *each("time", TIME, "25:00"),
    *each("list", "a JSON value", "[", "[1", "[NaN]", '["a","b"'),
    *each("list", "a list of plain values", "[[1]]", '[{"a":1}]'),
    *each("choices", "a list of plain values", "[[1]]"),
    *each("json", "a JSON value", "", "a", "{", "NaN", '{"a":1,"a":2}', "1e400", '"\\u0000"', "[" * 70),
]


@pytest.mark.parametrize(("kind", "value", "stored"), GOOD_JSON)
def test_json_value_is_stored_as(kind: str, value: Any, stored: Any) -> None:
    """Each kind turns a JSON value into exactly this stored value, of exactly this type."""
    found: Any = KINDS[kind].parse_json(value)
    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(("kind", "value", "expected"), BAD_JSON)
def test_json_value_is_refused(kind: str, value: Any, expected: str) -> None:
    """Each kind says of a wrong JSON value what it had expected, by BadValue and no other exception."""
    with pytest.raises(BadValue) as caught:
        KINDS[kind].parse_json(value)
    assert (type(caught.value), str(caught.value)) == (BadValue, expected)


@pytest.mark.parametrize("kind", ["list", "choices", "json"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_value_without_json_form_is_refused(kind: str, number: float) -> None:
    """A number that JSON cannot hold is refused inside lists and JSON values too."""
    with pytest.raises(BadValue):
        KINDS[kind].parse_json([number])


@pytest.mark.parametrize(("kind", "text", "stored"), GOOD_TEXT)
def test_text_is_stored_as(kind: str, text: str, stored: Any) -> None:
    """Each kind turns a text of a query or form into exactly this stored value, of exactly this type."""
    found: Any = KINDS[kind].parse_text(text)
    assert (found, type(found)) == (stored, type(stored))


@pytest.mark.parametrize(("kind", "text", "expected"), BAD_TEXT)
def test_text_is_refused(kind: str, text: str, expected: str) -> None:
    """Each kind says of a wrong text what it had expected."""
    with pytest.raises(BadValue) as caught:
        KINDS[kind].parse_text(text)
    assert (type(caught.value), str(caught.value)) == (BadValue, expected)


def test_every_kind_is_in_the_tables() -> None:
    """No kind can be added without good values, as JSON and as text."""
    assert {row[0] for row in GOOD_JSON} == {row[0] for row in GOOD_TEXT} == set(KINDS)
    assert all(name == kind.name for name, kind in KINDS.items())


@pytest.mark.parametrize("name", ["text", "integer", "number", "boolean", "date", "moment", "time", "list", "json"])
@given(text=st.text(max_size=30) | st.from_regex(r"[-+0-9.eTZ:\[\]\"{},]{0,30}", fullmatch=True))
@MANY
def test_no_text_gives_another_exception(name: str, text: str) -> None:
    """Whatever the text, a kind reads it or raises BadValue."""
    with contextlib.suppress(BadValue):
        KINDS[name].parse_text(text)


# ---- what a validator sees ----


@pytest.mark.parametrize(
    ("kind", "stored", "value"),
    [
        ("boolean", 1, True),
        ("boolean", 0, False),
        ("list", '["b",1,null]', ["b", 1, None]),
        ("choices", '["b"]', ["b"]),
        ("json", '{"a":[1]}', {"a": [1]}),
        ("json", "5", 5),
        ("integer", 5, 5),
        ("number", 2.5, 2.5),
        ("text", "5", "5"),
        ("moment", "2024-05-01T13:45:00.000Z", "2024-05-01T13:45:00.000Z"),
        ("time", "13:45:00", "13:45:00"),
    ],
)
def test_stored_value_as_json(kind: str, stored: Any, value: Any) -> None:
    """`to_json` gives the JSON value of what is stored, of exactly this type."""
    found = KINDS[kind].to_json(stored)
    assert (found, type(found)) == (value, type(value))


# ---- through SQLite ----


def through_sqlite(kind: Kind, stored: Iterable[Any], style: Style = PLAIN, choices: Sequence[Any] = ()) -> list[Any]:
    """Store values in a column of the kind, and read the JSON text that SQLite makes with the style's template."""
    template = style.template(kind)
    expression = template.format("t.c", ":choices")
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"create table t (id integer primary key, c {kind.sql_type})")
        connection.executemany("insert into t (c) values (?)", ((value,) for value in stored))
        statement = f"select json_array({expression}) from t order by id"
        rows = connection.execute(statement, {"choices": json.dumps(list(choices))}).fetchall()
    connection.close()
    return [json.loads(row[0])[0] for row in rows]


def bits(number: float) -> bytes:
    """The 64 bits of a double, so that comparing is exact."""
    return struct.pack("<d", number)


def assert_exact(numbers: Sequence[float]) -> None:
    """Each double comes back from SQLite's JSON text with all its bits; only -0.0 becomes 0.0."""
    kind = KINDS["number"]
    shown = through_sqlite(kind, [kind.parse_json(number) for number in numbers])
    wrong = [(a, b) for a, b in zip(numbers, shown, strict=True) if bits(float(b)) != bits(a + 0.0)]
    assert wrong == []


EDGES = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308]
EDGES += [0.1, 0.1 + 0.2, 1 / 3, 1e15, 1e15 + 0.5, 1e15 - 0.125, 1e16, 1e21, 1e22, 1e23, 9007199254740993.0, 2.0**63]
EDGES += [
    -(2.0**63),
    2.0**64,
    1e9,
    1e9 + 1e-6,
    999999999.999999,
    999999999.9999999,
    1e-6,
    1e-7,
    123456.789,
    4.35,
    2.675,
]


def random_numbers(kind: str, count: int) -> Iterator[float]:
    """Doubles of one family, the same in every run."""
    dice = random.Random(kind)
    for _ in range(count):
        match kind:
            case "cents":
                yield dice.randrange(-(10**11), 10**11) / 100
            case "uniform":
                yield dice.uniform(-1e3, 1e3)
            case "sums":
                yield sum(dice.randrange(10**6) / 100 for _ in range(5)) + dice.random() * dice.choice([0, 1e-9])
            case "whole":
                yield float(dice.randrange(-(2**63), 2**63) >> dice.randrange(64))
            case "steps":
                yield math.nextafter(dice.randrange(10**9) / dice.choice([10, 1000, 10**6]), math.inf)
            case _:
                number = struct.unpack("<d", dice.randbytes(8))[0]
                yield number if math.isfinite(number) else 0.0


@pytest.mark.parametrize("family", ["cents", "uniform", "sums", "whole", "steps", "bits"])
def test_doubles_are_exact(family: str) -> None:
    """10,000 doubles of each family come out of SQLite's JSON with every bit."""
    assert_exact(list(random_numbers(family, 10_000)))


def test_no_negative_zero_is_stored() -> None:
    """-0.0 is stored as 0.0, so that equal numbers have equal bits."""
    kind = KINDS["number"]
    stored: list[Any] = [kind.parse_json(-0.0), kind.parse_text("-0"), kind.parse_text("-1e-400")]
    assert [bits(number) for number in stored] == [bits(0.0)] * 3


def test_doubles_at_the_edges_are_exact() -> None:
    """The smallest, largest, roundest and worst doubles come out with every bit."""
    assert_exact([number * sign for number in EDGES for sign in (1, -1)])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
@MANY
def test_any_double_is_exact(numbers: list[float]) -> None:
    """Any finite double comes out with every bit."""
    assert_exact(numbers)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (5.0, "5"),
        (-3.0, "-3"),
        (1e15, "1000000000000000"),
        (0.1, "0.1"),
        (12.5, "12.5"),
        (19.99, "19.99"),
        (-1234567.89, "-1234567.89"),
    ],
)
def test_doubles_are_short(number: float, text: str) -> None:
    """A short decimal is shown as it was written, a whole number without a point."""
    with sqlite3.connect(":memory:") as connection:
        expression = PLAIN.template(KINDS["number"]).format("c")
        row = connection.execute(f"select json_array({expression}) from (select ? c)", (number,)).fetchone()
    connection.close()
    assert row[0] == f"[{text}]"


def test_infinity_in_a_column_is_null() -> None:
    """An infinity that another program stored is shown as null, so the answer stays JSON."""
    assert through_sqlite(KINDS["number"], [math.inf, -math.inf, 1.5]) == [None, None, 1.5]


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
SCALARS = st.none() | st.booleans() | st.integers(SMALLEST, LARGEST) | TEXTS
ROUND_TRIPS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.integers(1, 2**52 - 1),
    "text": TEXTS,
    "email": TEXTS,
    "uri": TEXTS,
    "uuid": st.uuids().map(str),
    "integer": st.integers(SMALLEST, LARGEST),
    "boolean": st.booleans(),
    "date": st.dates().map(date.isoformat),
    "moment": st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    "time": st.times().map(lambda moment: moment.isoformat(timespec="seconds")),
    "list": st.lists(SCALARS, max_size=8),
    "choices": st.lists(TEXTS, max_size=8),
    "json": st.recursive(
        SCALARS | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=12,
    ),
}


@pytest.mark.parametrize("name", sorted(ROUND_TRIPS))
@settings(max_examples=100)
@given(data=st.data())
def test_values_round_trip(name: str, data: st.DataObject) -> None:
    """What goes in as JSON comes out of a column of its kind as the same JSON, and null as null."""
    kind = KINDS[name]
    values = data.draw(st.lists(ROUND_TRIPS[name], min_size=1, max_size=10))
    shown = through_sqlite(kind, [*map(kind.parse_json, values), None])
    assert shown == [*values, None]
    assert list(map(type, shown)) == [*map(type, values), type(None)]


def test_every_shown_kind_makes_the_round_trip() -> None:
    """Only kinds that are never shown, the scalar inside a JSON value, and doubles (above) are left out."""
    assert set(KINDS) - set(ROUND_TRIPS) == {"password", "content", "scalar", "number"}


@pytest.mark.parametrize(
    ("kind", "stored", "shown"),
    [
        ("id", 3, "3"),
        ("id", 2**52 - 1, "4503599627370495"),
        ("id", None, None),
        ("moment", "2024-05-01T13:45:09.123Z", "2024-05-01 13:45:09"),
        ("moment", None, None),
        ("date", "2024-05-01", "2024-05-01"),
        ("time", "13:45:09", "13:45:09"),
        ("integer", 3, 3),
        ("number", 0.1, 0.1),
        ("boolean", 1, True),
        ("boolean", 0, False),
        ("boolean", None, None),
        ("text", "3", "3"),
        ("list", '["b"]', ["b"]),
        ("json", '{"a":[1]}', {"a": [1]}),
    ],
)
def test_limbas_spelling(kind: str, stored: Any, shown: Any) -> None:
    """Limbas spells ids as texts and moments with a blank and no zone; the other kinds in the plain way."""
    assert through_sqlite(KINDS[kind], [stored], LIMBAS) == [shown]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('["c","a"]', [{"id": "3", "value": "c", "desc": None}, {"id": "1", "value": "a", "desc": None}]),
        ('["a","gone"]', [{"id": "1", "value": "a", "desc": None}, {"id": None, "value": "gone", "desc": None}]),
        ("[5]", [{"id": "4", "value": 5, "desc": None}]),
        ('["5"]', [{"id": None, "value": "5", "desc": None}]),
        ("[]", []),
        (None, None),
    ],
)
def test_limbas_choices(stored: str | None, shown: Any) -> None:
    """Limbas shows a multi-select as objects whose ids are the positions in the schema's list of choices."""
    assert through_sqlite(KINDS["choices"], [stored], LIMBAS, ["a", "b", "c", 5]) == [shown]


# ---- date literals ----


def utc(*parts: int) -> str:
    """A moment in stored form, by its parts."""
    year, month, day, hour, minute, second, micros = (*parts, *(0,) * (7 - len(parts)))
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros // 1000:03}Z"


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2024", utc(2024, 1, 1), utc(2025, 1, 1)),
        ("2024-Q1", utc(2024, 1, 1), utc(2024, 4, 1)),
        ("2024Q4", utc(2024, 10, 1), utc(2025, 1, 1)),
        ("2024-05", utc(2024, 5, 1), utc(2024, 6, 1)),
        ("2024-12", utc(2024, 12, 1), utc(2025, 1, 1)),
        ("2024-02", utc(2024, 2, 1), utc(2024, 3, 1)),
        ("2024-W01", utc(2024, 1, 1), utc(2024, 1, 8)),
        ("2020-W53", utc(2020, 12, 28), utc(2021, 1, 4)),
        ("2021-W01", utc(2021, 1, 4), utc(2021, 1, 11)),
        ("2024-02-29", utc(2024, 2, 29), utc(2024, 3, 1)),
        ("2023-02-28", utc(2023, 2, 28), utc(2023, 3, 1)),
        ("2000-02-29", utc(2000, 2, 29), utc(2000, 3, 1)),
        ("2024-12-31", utc(2024, 12, 31), utc(2025, 1, 1)),
        ("2024-05-01T13", utc(2024, 5, 1, 13), utc(2024, 5, 1, 14)),
        ("2024-05-01 13:45", utc(2024, 5, 1, 13, 45), utc(2024, 5, 1, 13, 46)),
        ("2024-05-01t13:45:09", utc(2024, 5, 1, 13, 45, 9), utc(2024, 5, 1, 13, 45, 10)),
        ("2024-12-31T23:59:59", utc(2024, 12, 31, 23, 59, 59), utc(2025, 1, 1)),
        ("2024-05-01T13:45:09.5", utc(2024, 5, 1, 13, 45, 9, 500000), utc(2024, 5, 1, 13, 45, 9, 501000)),
        ("2024-05-01T13:45:09,1239", utc(2024, 5, 1, 13, 45, 9, 123000), utc(2024, 5, 1, 13, 45, 9, 124000)),
        ("2024-05-01T13:45:09.999999999", utc(2024, 5, 1, 13, 45, 9, 999000), utc(2024, 5, 1, 13, 45, 10)),
        ("2024-05-01T13:45:09Z", utc(2024, 5, 1, 13, 45, 9), utc(2024, 5, 1, 13, 45, 10)),
        ("2024-05-01T13:45:09 +0200", utc(2024, 5, 1, 11, 45, 9), utc(2024, 5, 1, 11, 45, 10)),
        ("2024-05-01T13:45:09-02:30", utc(2024, 5, 1, 16, 15, 9), utc(2024, 5, 1, 16, 15, 10)),
        ("2022-05-19+08:00", utc(2022, 5, 18, 16), utc(2022, 5, 19, 16)),
        ("2024-05-08:00", utc(2024, 5, 1, 8), utc(2024, 6, 1, 8)),
        ("2024+23:59", utc(2023, 12, 31, 0, 1), utc(2024, 12, 31, 0, 1)),
        ("  2024-05-01\n", utc(2024, 5, 1), utc(2024, 5, 2)),
        ("0001", utc(1, 1, 1), utc(2, 1, 1)),
        ("0001-01-01", utc(1, 1, 1), utc(1, 1, 2)),
        ("0001-01-01T00:00:00-01:00", utc(1, 1, 1, 1), utc(1, 1, 1, 1, 0, 1)),
        ("9999", utc(9999, 1, 1), "~"),
        ("9999-Q4", utc(9999, 10, 1), "~"),
        ("9999-12", utc(9999, 12, 1), "~"),
        ("9999-W52", utc(9999, 12, 27), "~"),
        ("9999-11", utc(9999, 11, 1), utc(9999, 12, 1)),
        ("9999-12-31", utc(9999, 12, 31), "~"),
        ("9999-12-31T23:59:59.999", utc(9999, 12, 31, 23, 59, 59, 999000), "~"),
        ("9999-12-31T23:59:59", utc(9999, 12, 31, 23, 59, 59), "~"),
    ],
)
def test_span_is_as_wide_as_it_is_written(text: str, start: str, end: str) -> None:
    """A literal stands for the half-open interval of its width, in UTC; behind the year 9999 lies the end of time."""
    assert parse_span(text) == Span(start, end)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "a",
            "24",
            "202",
            "20245",
            "2024-",
            "2024-1",
            "2024-00",
            "2024-13",
            "2024-Q0",
            "2024-Q5",
            "2024-W00",
        ),
        *("2024-W54", "2024-W5", "2021-W53", "2023-02-29", "1900-02-29", "2024-04-31", "2024-05-00", "2024-05-32"),
        *("2024-05-01T", "2024-05-01T24", "2024-05-01T1", "2024-05-01T13:60", "2024-05-01T13:4", "2024-05-01T13:45:60"),
        *("2024-05-01T13:45:09.", "2024-05-01T13.5", "2024-05-01T13:45:09+24:00", "2024-05-01T13:45:09+01:60"),
        *("2024-05-01T13:45:09+1", "2024-05-01T13:45:09+01", "2024-05-01T13:45:09ZZ", "2024/05/01", "01.05.2024"),
        *("-2024", "+2024", "0000", "0000-01-01", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"),
        *(
            "２０２４",
            "2024\u00a0",
            "2024-05-01T13:45:09\u2003Z",
            "today",
            "2024-05-01T13:45:09 Europe/Berlin",
            "2024\0",
        ),
    ],
)
def test_span_of_garbage(text: str) -> None:
    """What is no ISO 8601 literal within the years 1 to 9999 is a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        parse_span(text)


def next_start(start: datetime, width: str) -> datetime:
    """Where the next year, quarter, ... begins, by stepping through days."""
    if width in ("hour", "minute", "second"):
        return start + timedelta(**{f"{width}s": 1})
    same = {"year": 0, "quarter": 1, "month": 2, "week": 3, "day": 4}[width]
    day = start
    while names_of(day)[same] == names_of(start)[same]:
        day += timedelta(days=1)
    return day


def names_of(day: datetime) -> tuple[str, str, str, str, str]:
    """How the year, quarter, month, week and day of a moment are written."""
    iso_year, week, _ = day.isocalendar()
    year, quarter = f"{day.year:04}", (day.month + 2) // 3
    return year, f"{year}-Q{quarter}", f"{year}-{day.month:02}", f"{iso_year:04}-W{week:02}", str(day.date())


@given(
    st.dates(date(3, 1, 1), date(9997, 12, 31)),
    st.times().map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from(["year", "quarter", "month", "week", "day", "hour", "minute", "second"]),
    st.none() | st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
@settings(max_examples=300)
def test_span_against_the_calendar(day: date, clock: time, width: str, zone: int | None) -> None:
    """Any literal of any width and zone begins and ends where stepping through the calendar says."""
    moment = datetime.combine(day, clock)
    words = dict(zip(("year", "quarter", "month", "week", "day"), names_of(moment), strict=True))
    words |= {"hour": f"{moment:%H}", "minute": f"{moment:%H:%M}", "second": f"{moment:%H:%M:%S}"}
    dated = f"{words['day']}T{words[width]}" if width in ("hour", "minute", "second") else words[width]
    written = "" if zone is None else f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}:{abs(zone) % 60:02}"
    start = moment.replace(
        hour=moment.hour if width in ("hour", "minute", "second") else 0,
        minute=moment.minute if width in ("minute", "second") else 0,
        second=moment.second if width == "second" else 0,
    )
    while width not in ("hour", "minute", "second") and words[width] in names_of(start - timedelta(days=1)):
        start -= timedelta(days=1)
    offset = timedelta(minutes=zone or 0)
    ends = [bound - offset for bound in (start, next_start(start, width))]
    expected = Span(*(bound.isoformat(timespec="milliseconds") + "Z" for bound in ends))
    assert parse_span(dated + written) == expected


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{4}[-0-9TtZWQ:+., ]{0,26}", fullmatch=True))
@settings(max_examples=600)
def test_span_of_any_text(text: str) -> None:
    """Any text is a ValueError, or a span of two stored moments in order."""
    with contextlib.suppress(ValueError):
        span = parse_span(text)
        form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        assert re.fullmatch(form, span.start)
        assert re.fullmatch(f"{form}|~", span.end)
        assert span.start < span.end


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2024, 5, 1, 13, 45, tzinfo=UTC), "2024-05-01T13:45:00.000Z"),
        (datetime(2024, 5, 1, 0, 0, 0, 999, tzinfo=UTC), "2024-05-01T00:00:00.000Z"),
        (datetime(2024, 5, 1, 23, 59, 59, 999999, tzinfo=UTC), "2024-05-01T23:59:59.999Z"),
        (datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2023-12-31T23:00:00.000Z"),
        (datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30))), "2024-01-01T06:30:00.000Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "9999-12-31T23:59:59.999Z"),
    ],
)
def test_moment_text(moment: datetime, text: str) -> None:
    """A moment is stored as 24 characters of UTC, cut to milliseconds."""
    assert minirest.moment_text(moment) == text


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
@MANY
def test_moment_text_sorts_as_time_and_is_read_back(first: datetime, second: datetime) -> None:
    """The order of texts is the order of times, and a text read as a literal is that very instant."""
    texts = [minirest.moment_text(moment) for moment in (first, second)]
    cut = [moment.replace(microsecond=moment.microsecond // 1000 * 1000) for moment in (first, second)]
    assert (texts[0] < texts[1]) == (cut[0] < cut[1])
    assert [parse_span(text).start for text in texts] == texts


# ---- strict JSON ----

DEEP = f"it nests deeper than {minirest.MAX_JSON_DEPTH}"
HALF = "a text holds half of a surrogate pair"
NUL = "a text holds the character NUL"
TOO_LONG = "a whole number has more than 64 bits"


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ('{"a":1,"a":1}', "bad_body", "the key 'a' stands twice in one object"),
        ('[{"b":{"a":1,"c":2,"\\u0061":3}}]', "bad_body", "the key 'a' stands twice in one object"),
        ("NaN", "bad_body", "NaN is not JSON"),
        ("[Infinity]", "bad_body", "Infinity is not JSON"),
        ('{"a":-Infinity}', "bad_body", "-Infinity is not JSON"),
        ("1e400", "bad_body", "a number is too large"),
        ("[-1e400]", "bad_body", "a number is too large"),
        (str(2**63), "bad_body", TOO_LONG),
        (str(-(2**63) - 1), "bad_body", TOO_LONG),
        ("[18446744073709551616]", "bad_body", TOO_LONG),
        ("9" * 4301, "bad_body", TOO_LONG),
        ("-" + "9" * 100_000, "bad_body", TOO_LONG),
        ("[" * 65 + "]" * 65, "bad_body", DEEP),
        ('{"a":' * 65 + "1" + "}" * 65, "bad_body", DEEP),
        ("[" * 100_000, "bad_body", DEEP),
        ('{"a":' * 100_000, "bad_body", DEEP),
        ('"\\ud800"', "bad_body", HALF),
        ('["\\udc00\\ud800"]', "bad_body", HALF),
        ('{"\\udfff":1}', "bad_body", HALF),
        ('"\ud800"', "bad_body", HALF),
        ('"a\\u0000b"', "bad_body", NUL),
        ('{"\\u0000":1}', "bad_body", NUL),
        ('"a\0b"', "bad_json", "Invalid control character at at character 2"),
        ('"a\nb"', "bad_json", "Invalid control character at at character 2"),
        (b"\xff", "bad_body", "it is not valid UTF-8"),
        (b'"\xed\xa0\x80"', "bad_body", "it is not valid UTF-8"),
        (b'"\xc0\xaf"', "bad_body", "it is not valid UTF-8"),
        ('"a"'.encode("utf-16"), "bad_body", "it is not valid UTF-8"),
        (b"\xef\xbb\xbf{}", "bad_json", "Expecting value at character 0"),
        ("\ufeff{}", "bad_json", "Expecting value at character 0"),
        ("", "bad_json", "Expecting value at character 0"),
        (b"", "bad_json", "Expecting value at character 0"),
        ("  ", "bad_json", "Expecting value at character 2"),
        ("{} x", "bad_json", "Extra data at character 3"),
        ("[1][2]", "bad_json", "Extra data at character 3"),
        ("01", "bad_json", "Extra data at character 1"),
        ("'a'", "bad_json", "Expecting value at character 0"),
        ("{a:1}", "bad_json", "Expecting property name enclosed in double quotes at character 1"),
        ("[1", "bad_json", "Expecting ',' delimiter at character 2"),
        ("tru", "bad_json", "Expecting value at character 0"),
        ("\xa01", "bad_json", "Expecting value at character 0"),
    ],
)
def test_json_is_refused(text: str | bytes, code: str, reason: str) -> None:
    """What is not strict JSON is refused with the code and the reason, and status 400."""
    with pytest.raises(ApiError) as caught:
        read_json(text)
    error = caught.value
    assert (error.code, error.status, error.violations) == (
        code,
        400,
        (minirest.Violation((), code, {"reason": reason}),),
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        (" \t\r\n[ ]\n", []),
        (str(LARGEST), LARGEST),
        (str(SMALLEST), SMALLEST),
        ("-0", 0),
        ("1.0", 1.0),
        ("1E+2", 100.0),
        ("1e-400", 0.0),
        ("0." + "1" * 5000, 1 / 9),
        ('{"a":1,"A":2,"ä":{"a":3}}', {"a": 1, "A": 2, "ä": {"a": 3}}),
        ('"\\ud83d\\ude00"', "😀"),
        ('"\\u0001\\/"', "\x01/"),
        ("[" * 64 + "]" * 64, None),
        ('"😀"'.encode(), "😀"),
    ],
)
def test_json_is_read(text: str | bytes, value: Any) -> None:
    """What is JSON is read, up to 64 levels and 64 bits, of exactly this type."""
    if value is None and text != "null":
        value = json.loads(text)
    found = read_json(text)
    assert (found, type(found)) == (value, type(value))


@given(ROUND_TRIPS["json"])
@MANY
def test_json_round_trip(value: Any) -> None:
    """What `dump_json` writes, `read_json` reads as the same value; nothing is escaped that need not be."""
    text = minirest.dump_json(value)
    assert read_json(text) == read_json(text.encode()) == value
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@given(st.text() | st.binary() | st.from_regex(r"[-0-9eE.\[\]{}\",:\\ua]{0,30}", fullmatch=True))
@settings(max_examples=500)
def test_any_json_text(text: str | bytes) -> None:
    """Any text and any bytes are JSON of the same value for every reader, or an ApiError."""
    with contextlib.suppress(ApiError):
        value = read_json(text)
        assert value == json.loads(text)


# ---- passwords ----

CHEAP = (2**4, 8, 1)


def test_password_is_verified() -> None:
    """A hash knows its own password and no other; it names its cost, and two hashes of one password differ."""
    first, second = (minirest.hash_password("Correct horse", CHEAP) for _ in range(2))
    assert re.fullmatch(r"scrypt\$16\$8\$1\$[0-9a-f]{32}\$[0-9a-f]{128}", first)
    assert first.split("$")[4] != second.split("$")[4]
    tries = ["Correct horse", "correct horse", "Correct horse ", "", first]
    assert [minirest.verify_password(text, first) for text in tries] == [True, False, False, False, False]


def test_password_is_normalised() -> None:
    """Composed and decomposed letters are the same password."""
    composed = "Grüße"
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed != decomposed
    assert minirest.verify_password(decomposed, minirest.hash_password(composed, CHEAP))
    assert minirest.verify_password(composed, minirest.hash_password(decomposed, CHEAP))


def test_password_hash_of_a_file() -> None:
    """The cost for databases in files works within scrypt's memory, and is no less than OWASP asks for."""
    n, r, p = minirest.SCRYPT_COST
    assert n * r * p >= 2**14 * 8 * 5
    assert minirest.verify_password("secret", minirest.hash_password("secret", (n, r, p)))


@pytest.mark.parametrize(
    ("password", "salt", "cost", "digest"),
    [
        (
            "password",
            "NaCl",
            "1024$8$16",
            "".join(
                (
                    "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
                    "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
                )
            ),
        ),
        (
            "pleaseletmein",
            "SodiumChloride",
            "16384$8$1",
            "".join(
                (
                    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2",
                    "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
                )
            ),
        ),
    ],
)
def test_password_vectors(password: str, salt: str, cost: str, digest: str) -> None:
    """The test vectors of RFC 7914 are verified, so hashes can be checked by other programs."""
    stored = f"scrypt${cost}${salt.encode().hex()}${digest}"
    assert minirest.verify_password(password, stored)
    assert not minirest.verify_password(password + "x", stored)
