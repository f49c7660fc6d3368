# /// script
# requires-python = ">=3.11"
# dependencies = ["bottle>=0.13", "waitress>=3.0.1,<4", "jsonschema-rs>=0.46", "wsproto>=1.3"]
# ///
"""A REST server in one file: a JSON schema goes in, a backend over SQLite comes out.

Run it::

    python minirest.py schema.json

or mount it in another program; it is a WSGI application::

    import minirest
    app = minirest.make_app("schema.json", db="data.db", users={"admin": "a good password"})

The same tables are served in the dialects of several documented APIs, each at its documented addresses. A dialect
translates requests to operations and answers to its envelope; everything between is shared::

    HTTP request -> Request -> dialect -> operation -> guard -> SQL -> Store -> rows of finished JSON -> Reply

Map of the sections; each uses only earlier ones:

==  =================  ==========================================================================================
 1  Errors             what can go wrong, in one table
 2  Values             kinds of field: how a value is read, stored, compared and shown
 3  Schema             tables, fields, links; public ids
 4  Schema files       the reader of JSON Schema and OpenAPI documents
 5  Queries            the glossary: paths, filters, sorts, pages, shapes, operations
 6  SQL                the compiler from section 5 to SQLite, and the tables' definitions
 7  Access             who asks, and what that allows
 8  Writes             connections, transactions, what an operation changes, history
 9  Store              the tables in a file, changes of the schema, examples, the door for operations
10  HTTP               requests, replies, bracket parameters, bodies
11  Accounts           users, tokens, authentication schemes
12  Dialects           Limbas
13  Pages              the overview at /
14  App and server     make_app, waitress, the graceful stop
15  Command line       main
==  =================  ==========================================================================================

Licence: MIT.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - the drop-in file has no installer that would say so
    raise SystemExit(f"minirest needs Python 3.11 or newer; this is {sys.version.split()[0]}")

import argparse
import base64
import binascii
import contextlib
import dataclasses
import errno
import functools
import getpass
import hashlib
import hmac
import html
import ipaddress
import itertools
import json
import logging
import math
import os
import re
import secrets
import select
import shlex
import signal
import socket
import sqlite3
import string
import subprocess
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from http import HTTPStatus
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NoReturn,
    TypeAlias,
    TypedDict,
    Unpack,
    assert_never,
)
from urllib.parse import quote, unquote_to_bytes

if TYPE_CHECKING:
    import bottle
    import jsonschema_rs

__version__ = "0.1.0"
__all__ = ["ApiError", "Application", "main", "make_app", "serve"]

MINIMUM_SQLITE = (3, 38)
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_BUFFERED_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_PARAMETERS = 256
MAX_BRACKET_DEPTH = 4
MAX_JSON_DEPTH = 64
MAX_FILTER_DEPTH = 8
MAX_FILTER_TERMS = 100
MAX_FILTER_LINKS = 16
MAX_EXPRESSION_DEPTH = 300
MAX_OBJECT_PAIRS = 60
MAX_ID = 2**52 - 1
MAX_NAME_LENGTH = 63
BUSY_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_SECONDS = 10.0
REQUEST_TIMEOUT_SECONDS = 60.0
STOP_GRACE_SECONDS = 10.0
CREDENTIALS_CACHE_SIZE = 1024
CREDENTIALS_CACHE_SECONDS = 300.0

Json: TypeAlias = Any
"""A value that came out of JSON text: None, bool, int, float, str, list or dict."""
SqlValue: TypeAlias = int | float | str | bytes | None
"""A value that SQLite stores."""

log = logging.getLogger("minirest")
EMPTY: Mapping[str, Any] = MappingProxyType({})


# ======================================================================================================================
# 1  Errors
#
# Everything that can go wrong on behalf of a client is one `ApiError` with a code of `ERRORS` and the violations that
# led to it. A violation names the field, the rule and the rule's parameters; a dialect words it (`Dialect.words`), and
# where it has no words of its own the message of `ERRORS` stands. To add an error, add a row.
# ======================================================================================================================


class ErrorRule(NamedTuple):
    """One row of `ERRORS`: the HTTP status, and a message whose `{names}` are filled by a violation's parameters."""

    status: int
    message: str


ERRORS: Mapping[str, ErrorRule] = {
    # names
    "unknown_table": ErrorRule(400, "Unknown table {name!r}{hint}"),
    "unknown_field": ErrorRule(400, "Unknown field {name!r} in table {table!r}{hint}"),
    "unknown_link": ErrorRule(404, "{name!r} is not a link of table {table!r}"),
    "unknown_operator": ErrorRule(400, "Unknown operator {name!r} for field {field!r}; allowed are {allowed}"),
    "unknown_parameter": ErrorRule(400, "Unknown parameter {name!r}{hint}"),
    # the form of a request
    "bad_path": ErrorRule(400, "The path is not valid UTF-8 text"),
    "bad_query": ErrorRule(400, "The query string is not valid: {reason}"),
    "bad_brackets": ErrorRule(400, "Broken brackets in parameter {name!r}: write name, name[key] or name[key][key]"),
    "bad_parameter": ErrorRule(400, "Invalid value {value!r} for parameter {name!r}: {reason}"),
    "bad_id": ErrorRule(400, "Invalid record id {value!r}"),
    "bad_json": ErrorRule(400, "The body is not JSON: {reason}"),
    "bad_body": ErrorRule(400, "The body cannot be read: {reason}"),
    "refused": ErrorRule(400, "{text}"),
    "bad_header": ErrorRule(400, "Invalid header {name!r}: {reason}"),
    "too_many_parameters": ErrorRule(400, "More than {limit} parameters"),
    "too_large": ErrorRule(413, "The body is larger than {limit} bytes"),
    "media_type": ErrorRule(415, "The content type {value!r} is not supported; send {allowed}"),
    "bad_filter": ErrorRule(400, "Invalid filter at {name!r}: {reason}"),
    "filter_too_large": ErrorRule(400, "The filter is too large: {reason}"),
    # values
    "bad_value": ErrorRule(400, "Invalid value {value} for field {field!r}: expected {expected}"),
    "required": ErrorRule(400, "Field {field!r} is required"),
    "read_only": ErrorRule(400, "Field {field!r} cannot be set"),
    "unique": ErrorRule(400, "Field {field!r} must be unique: another record has this value"),
    "minLength": ErrorRule(400, "Field {field!r} must have at least {limit} characters"),
    "maxLength": ErrorRule(400, "Field {field!r} must have at most {limit} characters"),
    "pattern": ErrorRule(400, "Field {field!r} must match the pattern {pattern}"),
    "format": ErrorRule(400, "Field {field!r} must be a valid {format}"),
    "minimum": ErrorRule(400, "Field {field!r} must be at least {limit}"),
    "maximum": ErrorRule(400, "Field {field!r} must be at most {limit}"),
    "exclusiveMinimum": ErrorRule(400, "Field {field!r} must be greater than {limit}"),
    "exclusiveMaximum": ErrorRule(400, "Field {field!r} must be less than {limit}"),
    "multipleOf": ErrorRule(400, "Field {field!r} must be a multiple of {multiple_of}"),
    "minItems": ErrorRule(400, "Field {field!r} must have at least {limit} items"),
    "maxItems": ErrorRule(400, "Field {field!r} must have at most {limit} items"),
    "uniqueItems": ErrorRule(400, "Field {field!r} must not hold the same item twice"),
    "enum": ErrorRule(400, "Field {field!r} must be one of {options}"),
    "const": ErrorRule(400, "Field {field!r} must be {expected_value}"),
    "type": ErrorRule(400, "Field {field!r} must be of type {types}"),
    "schema": ErrorRule(400, "Field {field!r} breaks the rule {keyword!r} of the schema"),
    # links
    "link_missing": ErrorRule(400, "Field {field!r} links to a record that does not exist: {value}"),
    "link_taken": ErrorRule(400, "Field {field!r} links to a record that belongs to another one: {value}"),
    "restricted": ErrorRule(400, "The record cannot be deleted: {count} records of table {table!r} need it"),
    "deep_nesting": ErrorRule(400, "The body nests links deeper than {limit}"),
    # requests that are understood and refused
    "not_archivable": ErrorRule(400, "Table {table!r} has no archive"),
    "not_sortable": ErrorRule(400, "Table {table!r} has no manual order"),
    "unauthenticated": ErrorRule(401, "Unauthorized"),
    "cross_site": ErrorRule(403, "A page of another origin may not do this; start the server with --cors {origin}"),
    "not_found": ErrorRule(404, "Not found"),
    "method": ErrorRule(405, "Method {method} is not allowed here; allowed are {allowed}"),
    "precondition": ErrorRule(412, "The record has changed since: its version is not the one in If-Match"),
    "wrong_host": ErrorRule(
        421, "This server does not answer for the host {host!r}; start it with --allow-host {host}"
    ),
    "internal": ErrorRule(500, "Internal error; the log has the details under request {request}"),
    "busy": ErrorRule(503, "The database is busy; try again"),
    "too_expensive": ErrorRule(503, "The request took longer than {seconds} seconds of database time"),
    "storage": ErrorRule(507, "The database cannot be written: {reason}"),
}


class Violation(NamedTuple):
    """One rule that a request breaks.

    `path` leads to the field: `("name",)`, or `("tags", 0, "name")` inside a nested record; empty for the request as a
    whole. `rule` is a key of `ERRORS`, `params` fills its message.
    """

    path: tuple[str | int, ...]
    rule: str
    params: Mapping[str, object] = EMPTY

    def message(self) -> str:
        """The message of `ERRORS`, filled. The field's name is the last name of the path."""
        return word(ERRORS[self.rule].message, self)


def word(template: str, violation: Violation) -> str:
    """Fill one dialect's template with a violation.

    >>> word("no {field}", Violation(("tags", 0, "name"), "required"))
    'no tags.0.name'
    """
    dotted = ".".join(map(str, violation.path))
    return template.format_map({"field": dotted, "hint": "", **violation.params})


class ApiError(Exception):
    """A request that cannot be done: `code` is a key of `ERRORS` and decides the status, `violations` say why."""

    def __init__(self, code: str, *violations: Violation, headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.code = code
        self.violations = violations or (Violation((), code),)
        self.headers = headers
        super().__init__("; ".join(violation.message() for violation in self.violations))

    @property
    def status(self) -> int:
        """The HTTP status."""
        return ERRORS[self.code].status


class SchemaError(ValueError):
    """A schema file that cannot be served: `path` is the JSON path of the offender, `reason` says what is wrong."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


def fail(code: str, path: Iterable[str | int] = (), **params: object) -> ApiError:
    """The error with one violation of the same name: `raise fail("unknown_field", name="nmae", table="kunden")`."""
    return ApiError(code, Violation(tuple(path), code, params))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint for a message, from names that the caller may see.

    >>> did_you_mean("nmae", ["name", "plz"])
    "; did you mean 'name'?"
    >>> did_you_mean("x", ["name"])
    ''
    """
    close = get_close_matches(name[:MAX_NAME_LENGTH], list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


# ======================================================================================================================
# 2  Values
#
# A `Kind` says all about one kind of field: how a JSON value and a text of a query become what SQLite stores, what
# SQLite expression shows it as JSON, which operators it takes. To add a kind, add a row to `KINDS`. A `Style` is the
# set of spellings in which a dialect differs from the plain one. Dates and times are text in UTC; a literal in a
# filter is a `Span`, as wide as it is written.
# ======================================================================================================================

MOMENT = "%Y-%m-%dT%H:%M:%S"
END_OF_TIME = "~"
"""Sorts after every date: the end of a span that would lie behind the year 9999."""


def moment_text(moment: datetime) -> str:
    """A moment as it is stored: 24 characters of UTC text, cut to milliseconds.

    >>> moment_text(datetime(2024, 5, 1, 15, 45, 0, 123999, tzinfo=timezone(timedelta(hours=2))))
    '2024-05-01T13:45:00.123Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


@dataclass(frozen=True, slots=True)
class Span:
    """The half-open interval [start, end) that a date literal stands for, as stored moments."""

    start: str
    end: str


SPAN = re.compile(
    r"(\d{4})(?:-?Q([1-4])|-W(\d\d)|-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d+))?)?)?)?)?)?"
    r"\s*(Z|z|[+-]\d\d:?\d\d)?"
)


def parse_span(text: str) -> Span:
    """Read an ISO 8601 literal of any width; without a zone it is UTC. ValueError when it is none.

    A year, quarter, month, week, day, hour, minute and second last as long as they do; a literal with a fraction is an
    instant of one millisecond.

    >>> parse_span("2024-05")
    Span(start='2024-05-01T00:00:00.000Z', end='2024-06-01T00:00:00.000Z')
    >>> parse_span("2022-05-19+08:00").start
    '2022-05-18T16:00:00.000Z'
    """
    match = SPAN.fullmatch(text.strip())
    if not match or not text.isascii():
        raise ValueError("not a date")
    year, quarter, week, month, day, hour, minute, second, fraction, zone = match.groups()
    if week:
        start = datetime.fromisocalendar(int(year), int(week), 1)
    else:
        first = int(quarter) * 3 - 2 if quarter else int(month or 1)
        micros = int((fraction or "")[:6].ljust(6, "0"))
        start = datetime(int(year), first, int(day or 1))  # noqa: DTZ001 - its zone is subtracted below
        start = start.replace(hour=int(hour or 0), minute=int(minute or 0), second=int(second or 0), microsecond=micros)
    offset = _zone(zone)
    widths = ((fraction, 0.001), (second, 1), (minute, 60), (hour, 3600), (day, 86400), (week, 7 * 86400))
    seconds = next((width for part, width in widths if part), None)
    if seconds is None:
        return _span(start, _months_later(start, 3 if quarter else 1 if month else 12), offset)
    start = start.replace(microsecond=start.microsecond // 1000 * 1000)
    return _span(start, _later(start, timedelta(seconds=seconds)), offset)


def _zone(text: str | None) -> timedelta:
    if text in (None, "Z", "z"):
        return timedelta()
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError("not a zone")
    return timedelta(hours=hours, minutes=minutes) * (-1 if text[0] == "-" else 1)


def _span(start: datetime, end: datetime | None, offset: timedelta) -> Span:
    first = _later(start, -offset)
    if first is None:
        raise ValueError("outside the years 1 to 9999")
    last = end and _later(end, -offset)
    return Span(
        first.isoformat(timespec="milliseconds") + "Z",
        last.isoformat(timespec="milliseconds") + "Z" if last else END_OF_TIME,
    )


def _later(moment: datetime, delay: timedelta) -> datetime | None:
    try:
        return moment + delay
    except OverflowError:
        return None


def _months_later(moment: datetime, months: int) -> datetime | None:
    year, month = divmod(moment.month - 1 + months, 12)
    return moment.replace(year=moment.year + year, month=month + 1) if moment.year + year <= 9999 else None


class BadValue(ValueError):
    """A value that a kind cannot read; the argument says what was expected."""


def _read_text(value: Json) -> str:
    if not isinstance(value, str):
        raise BadValue("a text")
    return value


def _read_integer(value: Json) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise BadValue("a whole number of 64 bits")
    return value


def _read_number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue("a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadValue("a finite number")
    return number + 0.0  # -0.0 becomes 0.0


def _read_boolean(value: Json) -> int:
    if not isinstance(value, bool):
        raise BadValue("true or false")
    return int(value)


def _read_date(value: Json) -> str:
    text = _read_text(value)
    with contextlib.suppress(ValueError):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text).isoformat()
    raise BadValue("a date as YYYY-MM-DD")


def _read_moment(value: Json) -> str:
    text = _read_text(value)
    with contextlib.suppress(ValueError):
        if len(text) >= 10 and text[4:5] == "-" and text[7:8] == "-":
            return parse_span(text).start
    raise BadValue("a date and time as YYYY-MM-DDTHH:MM:SSZ")


TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.\d+)?)?(?:Z|\+00:?00)?", re.ASCII | re.IGNORECASE)


def _read_time(value: Json) -> str:
    match = TIME.fullmatch(_read_text(value))
    if not match:
        raise BadValue("a time as HH:MM:SS, in UTC")
    hour, minute, second = match.groups()
    return f"{hour}:{minute}:{second or '00'}"


def _read_list(value: Json) -> str:
    if not isinstance(value, list) or any(isinstance(item, dict | list) for item in value):
        raise BadValue("a list of plain values")
    return _read_json(value)


def _read_json(value: Json) -> str:
    try:
        return dump_json(value)
    except ValueError:
        raise BadValue("a JSON value") from None


def _read_scalar(value: Json) -> SqlValue:
    if isinstance(value, dict | list):
        raise BadValue("a plain value")
    return int(value) if isinstance(value, bool) else value


def _read_id(value: Json) -> int:
    number = _read_integer(value)
    if not 0 < number <= MAX_ID:
        raise BadValue("a record id")
    return number


INTEGER_TEXT = re.compile(r"[+-]?\d{1,19}", re.ASCII)
NUMBER_TEXT = re.compile(r"[+-]?(\d{1,400}\.?\d{0,400}|\.\d{1,400})(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
BOOLEAN_TEXT = {"true": 1, "1": 1, "false": 0, "0": 0}


def _integer_of(text: str) -> int:
    if not INTEGER_TEXT.fullmatch(text):
        raise BadValue("a whole number of 64 bits")
    return _read_integer(int(text))


def _number_of(text: str) -> float:
    if not NUMBER_TEXT.fullmatch(text):
        raise BadValue("a number")
    return _read_number(float(text))


def _boolean_of(text: str) -> int:
    if text.lower() not in BOOLEAN_TEXT:
        raise BadValue("true or false")
    return BOOLEAN_TEXT[text.lower()]


def _json_of(text: str) -> str:
    try:
        return dump_json(read_json(text))
    except ApiError:
        raise BadValue("a JSON value") from None


def _list_of(text: str) -> str:
    return _read_list(json.loads(_json_of(text))) if text.startswith("[") else dump_json([text])


def _scalar_of(text: str) -> SqlValue:
    try:
        return _read_scalar(read_json(text))
    except (ApiError, BadValue):
        return text


def dump_json(value: Json) -> str:
    """JSON text as it is stored and sent: no blanks, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def read_json(text: str | bytes) -> Json:
    """Read JSON strictly: UTF-8, no duplicate key, no NaN, integers of 64 bits, no NUL, no lone surrogate, not deep.

    ApiError `bad_body` says what is wrong.

    >>> read_json('{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        value = STRICT_JSON.decode(decoded)
    except UnicodeDecodeError:
        raise fail("bad_body", reason="it is not valid UTF-8") from None
    except RecursionError:
        raise fail("bad_body", reason=f"it nests deeper than {MAX_JSON_DEPTH}") from None
    except json.JSONDecodeError as error:
        raise fail("bad_json", reason=f"{error.msg} at character {error.pos}") from None
    except ValueError as error:
        raise fail("bad_body", reason=str(error)) from None
    _check_json(value, MAX_JSON_DEPTH)
    return value


def _check_json(value: Json, depth: int) -> None:
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, dict | list):
        if not depth:
            raise fail("bad_body", reason=f"it nests deeper than {MAX_JSON_DEPTH}")
        for item in itertools.chain(value, value.values()) if isinstance(value, dict) else value:
            _check_json(item, depth - 1)


def check_text(text: str) -> None:
    """ApiError `bad_body` for text that SQLite or UTF-8 cannot hold whole: NUL and lone surrogates."""
    if "\0" in text:
        raise fail("bad_body", reason="a text holds the character NUL")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise fail("bad_body", reason="a text holds half of a surrogate pair") from None


def _strict_object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        double = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {double!r} stands twice in one object")
    return result


def _strict_integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError("a whole number has more than 64 bits")
    return int(text)


def _strict_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _no_constant(text: str) -> Json:
    raise ValueError(f"{text} is not JSON")


STRICT_JSON = json.JSONDecoder(
    object_pairs_hook=_strict_object, parse_int=_strict_integer, parse_float=_strict_float, parse_constant=_no_constant
)

COMPARE = frozenset({"eq", "lt", "lte", "gt", "gte", "in", "null", "empty"})
TEXT_SEARCH = frozenset({"contains", "startswith", "endswith", "like"})
SETS = frozenset({"contains", "any", "same", "null", "empty"})


@dataclass(frozen=True)
class Kind:
    """One kind of field.

    `parse_json` and `parse_text` give what is stored, or raise `BadValue`. `template` is the SQLite expression that
    shows column `{0}` as JSON (`{1}` is the bound list of the field's choices). `to_json` gives the value that the
    validator sees. `schema` describes a value where the schema file has no description of its own.
    """

    name: str
    sql_type: Literal["INTEGER", "REAL", "TEXT", "BLOB"]
    operators: frozenset[str]
    parse_json: Callable[[Json], SqlValue]
    parse_text: Callable[[str], SqlValue]
    template: str = "{0}"
    to_json: Callable[[Any], Json] = lambda stored: stored
    schema: Mapping[str, Json] = field(default_factory=dict)
    is_text: bool = False
    is_date: bool = False


NUMBER = (
    "case when {0}=cast({0} as integer) and {0} between -1e15 and 1e15 then cast({0} as integer)"
    " when {0} between -1e9 and 1e9 and round({0}*1e6)/1e6={0} then {0}"
    " when abs({0})<9e999 then json(printf('%!.18g',{0})) end"
)
BOOLEAN = "case {0} when 1 then json('true') when 0 then json('false') end"


def _kinds(*kinds: Kind) -> Mapping[str, Kind]:
    return MappingProxyType({kind.name: kind for kind in kinds})


def _text_kind(name: str, **words: Json) -> Kind:
    return Kind(name, "TEXT", COMPARE | TEXT_SEARCH, _read_text, str, schema={"type": "string", **words}, is_text=True)


def _date_kind(name: str, read: Callable[[Json], str], form: str) -> Kind:
    return Kind(name, "TEXT", COMPARE, read, read, schema={"type": "string", "format": form}, is_date=True)


KINDS = _kinds(
    Kind("id", "INTEGER", COMPARE, _read_id, _integer_of, schema={"type": "integer"}),
    _text_kind("text"),
    _text_kind("email", format="email"),
    _text_kind("uri", format="uri"),
    _text_kind("uuid", format="uuid"),
    Kind("password", "TEXT", frozenset(), _read_text, str, schema={"type": "string", "format": "password"}),
    Kind("integer", "INTEGER", COMPARE, _read_integer, _integer_of, schema={"type": "integer"}),
    Kind("number", "REAL", COMPARE, _read_number, _number_of, NUMBER, schema={"type": "number"}),
    Kind(
        "boolean",
        "INTEGER",
        frozenset({"eq", "in", "null", "empty"}),
        _read_boolean,
        _boolean_of,
        BOOLEAN,
        bool,
        {"type": "boolean"},
    ),
    _date_kind("date", _read_date, "date"),
    _date_kind("moment", _read_moment, "date-time"),
    Kind("time", "TEXT", COMPARE, _read_time, _read_time, schema={"type": "string", "format": "time"}),
    Kind("list", "TEXT", SETS, _read_list, _list_of, "json({0})", json.loads, {"type": "array"}),
    Kind("choices", "TEXT", SETS, _read_list, _list_of, "json({0})", json.loads, {"type": "array"}),
    Kind("json", "TEXT", frozenset({"null", "empty"}), _read_json, _json_of, "json({0})", json.loads),
    Kind("content", "BLOB", frozenset(), _read_text, str),
    Kind("scalar", "TEXT", COMPARE | TEXT_SEARCH, _read_scalar, _scalar_of, is_text=True),
)


@dataclass(frozen=True)
class Style:
    """How a dialect spells values: the templates of the kinds that it does not spell in the plain way."""

    name: str
    templates: Mapping[str, str] = field(default_factory=dict)

    def template(self, kind: Kind) -> str:
        """The SQLite expression that shows a column of this kind as JSON."""
        return self.templates.get(kind.name, kind.template)


PLAIN = Style("plain")
"""NocoBase's spelling, and the one that history keeps: ids are numbers, moments ISO 8601 with milliseconds and Z."""
LIMBAS = Style(
    "limbas",
    {
        "id": "cast({0} as text)",
        "moment": "substr({0},1,10)||' '||substr({0},12,8)",
        "choices": "case when {0} is not null then"
        " (select json_group_array(json_object('id',cast(o.key+1 as text),'value',v.value,'desc',null))"
        " from json_each({0}) v left join json_each({1}) o on o.value is v.value) end",
    },
)

NULLS: Mapping[str, str] = {
    "boolean": "json('false')",
    **dict.fromkeys(("integer", "number"), "0"),
    **dict.fromkeys(("text", "email", "uri", "uuid", "date", "moment", "time"), "''"),
}
LIMBAS_NULLS = Style(
    "limbas-nulls",
    {**LIMBAS.templates, **{name: f"coalesce({LIMBAS.template(KINDS[name])},{null})" for name, null in NULLS.items()}},
)
"""Limbas' spelling of null, where the schema file asks for it: 0, an empty text, false."""

SCRYPT_COST = (2**14, 8, 5)
"""n, r and p of scrypt for passwords in a file: 16 MiB and about 0.3 s (as strong as OWASP's 2**17, 8, 1)."""
SCRYPT_COST_IN_MEMORY = (2**4, 8, 1)
"""For a database that lives no longer than the process that was given the passwords in the clear."""


def hash_password(password: str, cost: tuple[int, int, int]) -> str:
    """`scrypt$n$r$p$salt$hash`, salted; the password is normalised to NFC first."""
    salt = secrets.token_bytes(16)
    return "$".join(["scrypt", *map(str, cost), salt.hex(), _scrypt(password, salt, cost).hex()])


def verify_password(password: str, stored: str) -> bool:
    """Whether the password gave this hash, compared in constant time."""
    _, n, r, p, salt, expected = stored.split("$")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt), (int(n), int(r), int(p))).hex(), expected)


def _scrypt(password: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    text = unicodedata.normalize("NFC", password).encode()
    return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r + 2**20)


# ======================================================================================================================
# 3  Schema
#
# The registry: `Schema` holds `Table`s, a table its `Field`s and `Link`s. They are made once and never change
# afterwards; every name in a request is resolved to one of them before anything else happens. A link has one of three
# forms: own (a column of this table), inverse (the other side of an own link) and junction (rows of a third table).
# Public ids are functions of a table's tag, a record's version and its id; nothing more is stored.
# ======================================================================================================================

Status = Literal[0, 1, 2]
RULES_OF_TABLES = frozenset(
    "allOf if then else oneOf anyOf not dependentRequired dependentSchemas minProperties maxProperties".split()
)
ACTIVE, ARCHIVED, TRASH = 0, 1, 2


@dataclass(eq=False, slots=True)
class Field:
    """One column. `items` is the kind of a list's elements, `target` the table that a column of ids points to."""

    name: str
    kind: Kind
    table: Table
    column: str
    schema: Mapping[str, Json] = field(default_factory=dict)
    required: bool = False
    read_only: bool = False
    write_only: bool = False
    items: Kind | None = None
    is_system: bool = False
    target: Table | None = None

    @property
    def choices(self) -> Sequence[Json]:
        """The values that are allowed, in the order of the schema file; empty when there is no such list."""
        source = self.schema.get("items", {}) if self.kind.name == "choices" else self.schema
        return source.get("enum") or ([source["const"]] if "const" in source else [])

    @property
    def title(self) -> str:
        """The name for people."""
        return str(self.schema.get("title") or self.name)

    def parse_json(self, value: Json) -> SqlValue:
        """What is stored for a JSON value; null is stored as it is. `BadValue` when the kind cannot read it."""
        if value is None:
            return None
        if self.items and isinstance(value, list):
            value = [self.items.to_json(self.items.parse_json(item)) if item is not None else None for item in value]
        return self.kind.parse_json(value)

    def __repr__(self) -> str:
        return f"<Field {self.table.name}.{self.name}>"


@dataclass(eq=False, slots=True)
class Link:
    """A link from the records of `source` to records of `target`.

    An own link has `key`, the column that holds the target's id. An inverse one has `back`, the own link of the target
    that it is the other side of. A junction has the table `through` and its columns `near` and `far`; `forward` says
    on which side the link was declared, which is the side whose order of adding is kept.
    """

    name: str
    source: Table
    target: Table
    many: bool
    schema: Mapping[str, Json] = field(default_factory=dict)
    key: Field | None = None
    back: Link | None = None
    through: Table | None = None
    near: Field | None = None
    far: Field | None = None
    forward: bool = True
    required: bool = False
    read_only: bool = False
    on_delete: Literal["clear", "cascade", "restrict"] = "clear"
    exclusive: bool = False
    is_system: bool = False

    write_only: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """The name for people."""
        return str(self.schema.get("title") or self.name)

    @property
    def opposites(self) -> Iterator[Link]:
        """The declared links of the target that show the same connections from the other side."""
        for other in self.target.links.values():
            if (
                other is self.back
                or other.back is self
                or (self.through and other.through is self.through and other.near is self.far)
            ):
                yield other

    def __repr__(self) -> str:
        return f"<Link {self.source.name}.{self.name} -> {self.target.name}>"


class SortRule(NamedTuple):
    """A manual order: the integer field that holds it, and the field whose values have an order each."""

    field: Field
    scope: Field | None


@dataclass(eq=False)
class Table:
    """A table with its fields and links, in the order of the schema file (`members` has both).

    `path` is the JSON path of its schema, which `allOf` has been merged into. `system` holds the columns that every
    tracked table has beside the user's, `system_links` the links made of them. Junctions of plain many links are tables
    too, without system columns.
    """

    name: str
    schema: Mapping[str, Json]
    path: str = ""
    members: dict[str, Field | Link] = field(default_factory=dict)
    system: dict[str, Field] = field(default_factory=dict)
    system_links: dict[str, Link] = field(default_factory=dict)
    tag: int = 0
    tracked: bool = True
    shows_id: bool = False
    archive: bool = False
    access: bool = False
    validity: tuple[Field, Field] | None = None
    sort: SortRule | None = None
    label: Field | None = None
    key: Field | None = None
    unique: list[tuple[Field, ...]] = field(default_factory=list)
    indexes: list[tuple[Field, ...]] = field(default_factory=list)
    validation: dict[str, Json] = field(default_factory=dict)
    incoming: list[Link] = field(default_factory=list)

    @functools.cached_property
    def id(self) -> Field:
        """The record's own id."""
        return self.system["id"]

    @functools.cached_property
    def fields(self) -> dict[str, Field]:
        """The user's fields by name."""
        return {name: member for name, member in self.members.items() if isinstance(member, Field)}

    @functools.cached_property
    def links(self) -> dict[str, Link]:
        """The user's links by name."""
        return {name: member for name, member in self.members.items() if isinstance(member, Link)}

    @functools.cached_property
    def keys(self) -> tuple[Field, ...]:
        """The columns of the own links."""
        return tuple(link.key for link in self.links.values() if link.key)

    @functools.cached_property
    def columns(self) -> tuple[Field, ...]:
        """Every column: id, fields, keys of links, system columns."""
        rest = (column for name, column in self.system.items() if name != "id")
        return (self.id, *self.fields.values(), *self.keys, *rest)

    @functools.cached_property
    def by_fold(self) -> dict[str, Field | Link]:
        """Fields and links by name in lower case."""
        return {name.lower(): member for name, member in self.members.items()}

    @functools.cached_property
    def restrained_links(self) -> tuple[Link, ...]:
        """The many links that a rule of the schema speaks of, so that validation has to see their keys."""
        everything = bool(RULES_OF_TABLES & set(self.schema))
        return tuple(
            link
            for link in self.links.values()
            if not link.key and (everything or link.required or {"minItems", "maxItems"} & set(link.schema))
        )

    @property
    def title(self) -> str:
        """The name for people."""
        return str(self.schema.get("title") or self.name)

    @functools.cached_property
    def validator(self) -> jsonschema_rs.Draft202012Validator:
        """The validator of whole records."""
        return make_validator(self.validation)

    def __repr__(self) -> str:
        return f"<Table {self.name}>"


def make_validator(schema: Mapping[str, Json]) -> jsonschema_rs.Draft202012Validator:
    """A JSON Schema 2020-12 validator that checks formats too. ValueError when the schema itself is wrong."""
    import jsonschema_rs

    def refuse(address: str) -> Json:
        raise ValueError(f"{address} is outside the schema")

    formats: dict[str, Callable[[str], bool]] = {"time": lambda text: True}  # read by its kind; without a zone
    return jsonschema_rs.Draft202012Validator(dict(schema), validate_formats=True, formats=formats, retriever=refuse)


@dataclass(eq=False)
class Schema:
    """The tables of one schema file and the system tables, by name in lower case."""

    title: str = ""
    limbas_nulls: bool = False
    tables: dict[str, Table] = field(default_factory=dict)
    all_tables: dict[str, Table] = field(default_factory=dict)

    def find(self, name: str) -> Table:
        """The user's table of that name, in any case. ApiError `unknown_table`."""
        table = self.tables.get(name.lower())
        if table is None:
            known = (table.name for table in self.tables.values())
            raise fail("unknown_table", name=name, hint=did_you_mean(name, known))
        return table

    def by_tag(self, tag: int) -> Table | None:
        """The table with that tag."""
        return next((table for table in self.all_tables.values() if table.tag == tag), None)


# ---- public ids ----


def derive_tags(names: Iterable[str], known: Mapping[str, int]) -> dict[str, int]:
    """A tag of 32 bits for each table: the one it has, else the first of SHA-256 of its name that is free."""
    tags = dict(known)
    for name in names:
        tag = int.from_bytes(hashlib.sha256(name.lower().encode()).digest()[:4], "big")
        while name not in tags and tag in tags.values():
            tag = (tag + 1) % 2**32
        tags.setdefault(name, tag)
    return tags


def object_id(tag: int, key: int) -> str:
    """The ObjectId of a record: tag and id.

    >>> object_id(0x58238A93, 7)
    '58238a930000000000000007'
    """
    return f"{tag:08x}{key:016x}"


def parse_object_id(text: str, tag: int) -> int | None:
    """The id in an ObjectId of the table with this tag, in any case; None for anything else."""
    match = re.fullmatch(r"([0-9a-f]{8})([0-9a-f]{16})", text.lower())
    return int(match[2], 16) if match and int(match[1], 16) == tag and int(match[2], 16) <= MAX_ID else None


UUID = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-1([0-9a-f]{3})-([89ab])([0-9a-f]{3})-([0-9a-f]{12})")


def record_uuid(tag: int, version: int, key: int) -> str:
    """Tag, version (26 bits) and id (64) of a record, in the bits that a UUID of version 1 leaves free.

    >>> record_uuid(0x58238A93, 0, 7)
    '58238a93-0000-1000-8000-000000000007'
    >>> parse_uuid('58238A93-0000-1000-8000-000000000007', 0x58238A93)
    (0, 7)
    """
    number = (version % 2**26) << 64 | key
    parts = (tag, number >> 74, number >> 62 & 0xFFF, 8 | number >> 60 & 3, number >> 48 & 0xFFF, number & (2**48 - 1))
    return "{:08x}-{:04x}-1{:03x}-{:x}{:03x}-{:012x}".format(*parts)


def parse_uuid(text: str, tag: int) -> tuple[int, int] | None:
    """Version and id in a UUID of the table with this tag, in any case; None for anything else."""
    match = UUID.fullmatch(text.lower())
    if not match or int(match[1], 16) != tag:
        return None
    high, middle, variant, low, node = (int(part, 16) for part in match.groups()[1:])
    number = high << 74 | middle << 62 | (variant & 3) << 60 | low << 48 | node
    return (number >> 64, number & (2**64 - 1)) if number & (2**64 - 1) <= MAX_ID else None


# ======================================================================================================================
# 4  Schema files
#
# From a JSON Schema document to the registry. Where the standard has a word, that word is used; ours begin with `x-`.
# What is not known is refused with its JSON path. To add a word, add it to the sets below and read it in `_Loader`.
# ======================================================================================================================

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED_TABLES = frozenset(
    "api auth api_tokens browse dependent docs endpoints health login logout me resources v1 v2".split()
)
RESERVED_FIELDS = frozenset({"snapshot_id", "resource_uri"})
META_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
ANNOTATIONS = frozenset(
    "$id $schema $comment $anchor title description examples example deprecated externalDocs xml discriminator".split()
)
STANDARD_WORDS = ANNOTATIONS | frozenset(
    "$ref $defs type properties required enum const default format contentEncoding contentMediaType contentSchema "
    "minLength maxLength pattern minimum maximum exclusiveMinimum exclusiveMaximum multipleOf items prefixItems "
    "contains minItems maxItems minContains maxContains uniqueItems minProperties maxProperties patternProperties "
    "propertyNames additionalProperties unevaluatedProperties unevaluatedItems dependentRequired dependentSchemas "
    "if then else allOf anyOf oneOf not readOnly writeOnly".split()
)
TABLE_WORDS = frozenset(
    "x-archive x-validity x-sort x-label x-key x-alias x-columns x-tabs x-options x-access x-unique x-index".split()
)
FIELD_WORDS = frozenset("x-unique x-index x-inverse x-through x-column x-delete".split())
OWN_LINK_WORDS = frozenset({"x-column", "x-delete"})
ROOT_WORDS = frozenset({"x-limbas-nulls"})
SCHEMA_MAPS = frozenset({"properties", "patternProperties", "dependentSchemas"})
SCHEMA_LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
SCHEMA_SINGLES = frozenset(
    "items contains not if then else propertyNames additionalProperties unevaluatedProperties unevaluatedItems".split()
)
TEXT_FORMATS = {
    "date": "date",
    "date-time": "moment",
    "time": "time",
    "email": "email",
    "uri": "uri",
    "uuid": "uuid",
    "password": "password",
}
SCALAR_TYPES = {"string": "text", "integer": "integer", "number": "number", "boolean": "boolean"}

SYSTEM_SCHEMA: Mapping[str, Json] = {
    "_users": {
        "type": "object",
        "title": "Users",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 80, "x-unique": True},
            "display_name": {"type": "string"},
            "email": {"type": "string"},
            "password": {"type": "string", "writeOnly": True},
            "roles": {"type": "array", "items": {"type": "string"}},
            "groups": {"type": "array", "items": {"type": "integer"}},
            "disabled": {"type": "boolean", "default": False},
        },
        "required": ["name"],
        "x-label": "display_name",
    },
    "_groups": {
        "type": "object",
        "title": "Groups",
        "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 80, "x-unique": True}},
        "required": ["name"],
    },
    "_tokens": {
        "type": "object",
        "title": "Tokens",
        "properties": {
            "user": {"$ref": "_users", "x-delete": "cascade"},
            "name": {"type": "string"},
            "hash": {"type": "string", "writeOnly": True, "x-unique": True},
            "start": {"type": "string"},
            "scopes": {"type": "array", "items": {"type": "string"}},
            "expires": {"type": "string", "format": "date-time"},
            "last_used": {"type": "string", "format": "date-time"},
        },
        "required": ["user", "name", "hash"],
    },
    "_files": {
        "type": "object",
        "title": "Files",
        "properties": {
            "name": {"type": "string"},
            "media_type": {"type": "string"},
            "size": {"type": "integer"},
        },
    },
    "_history": {
        "type": "object",
        "title": "History",
        "properties": {
            "tag": {"type": "integer"},
            "record": {"type": "integer"},
            "version": {"type": "integer"},
            "action": {"enum": ["created", "updated", "moved", "archived", "deleted"]},
            "field": {"type": "string"},
            "before": {},
            "after": {},
            "user": {"type": "integer"},
            "dialect": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
        },
        "x-index": [["tag", "record"]],
    },
}


def load_schema(document: Json) -> Schema:
    """Read a schema document: JSON Schema 2020-12 with `$defs`, an OpenAPI 3.1 description, or one object schema.

    SchemaError names the JSON path and the reason of the first thing that is not known or not right.
    """
    try:
        pure = read_json(json.dumps(document))
    except (ApiError, TypeError, ValueError) as error:
        raise SchemaError("#", str(error)) from None
    return _Loader(pure).load()


def system_schema() -> Schema:
    """The system tables alone: enough to look after the accounts of any file."""
    return _Loader({}).load_system()


def merge_all_of(schema: Mapping[str, Json], resolve: Callable[[str], Mapping[str, Json]]) -> Mapping[str, Json]:
    """An object schema with its `allOf` parts put into it; parts that are rules (`if`, ...) stay."""
    if "allOf" not in schema:
        return schema
    merged: dict[str, Json] = {"type": "object", "properties": {}, "required": []}
    rules: list[Json] = []
    own = {name: value for name, value in schema.items() if name != "allOf"}
    for part in [*schema["allOf"], own]:
        whole = merge_all_of(resolve(part["$ref"]) if "$ref" in part else part, resolve)
        if "$ref" in part:  # its title and its examples are its own
            whole = {name: value for name, value in whole.items() if name not in ANNOTATIONS}
        if whole is not own and set(whole) & RULES_OF_TABLES:
            rules.append(whole)
            continue
        properties, required = whole.get("properties", {}), whole.get("required", [])
        together = {"properties": merged["properties"] | properties, "required": [*merged["required"], *required]}
        merged.update(whole, **together)
    return merged | ({"allOf": rules} if rules else {})


class Declared(NamedTuple):
    """One property of a table as the schema file declares it; `path` is its JSON path."""

    table: Table
    name: str
    path: str
    schema: Mapping[str, Json]
    required: bool


class _Loader:
    """Reads one document. Tables first, so that links find their targets; then fields and own links; then the rest."""

    def __init__(self, document: Json) -> None:
        if not isinstance(document, Mapping):
            raise SchemaError("#", "a schema file is a JSON object")
        self.document = document
        self.schema = Schema(title=str(document.get("title") or ""))
        self.pending: list[Declared] = []

    def load(self) -> Schema:
        self.check_standard()
        for name, path, definition in self.definitions():
            self.check_words(definition, path, TABLE_WORDS, top=True)
            self.add_table(name, path, definition)
        self.check_root()
        if not self.schema.tables:
            raise SchemaError("#", "no table: $defs (or components.schemas) holds no schema of type object")
        return self.load_system()

    def load_system(self) -> Schema:
        for name, definition in SYSTEM_SCHEMA.items():
            self.add_table(name, name, definition)
        tables = list(self.schema.all_tables.values())
        for step in (self.add_members, self.add_system_columns):
            for table in tables:
                step(table)
        self.add_inverse_links()
        for table in tables:
            self.add_table_words(table)
        for table in self.schema.all_tables.values():
            self.finish(table)
        return self.schema

    # -- what the document holds --

    @property
    def base(self) -> tuple[str, Mapping[str, Json]]:
        if "openapi" in self.document:
            return "#/components/schemas", _mapping(
                _mapping(self.document, "components", "#"), "schemas", "#/components"
            )
        return "#/$defs", self.document.get("$defs", {})

    def definitions(self) -> Iterator[tuple[str, str, Mapping[str, Json]]]:
        path, definitions = self.base
        for name, definition in definitions.items():
            if self.is_object(definition):
                yield name, f"{path}/{name}", definition
        if "openapi" not in self.document and self.document.get("type") == "object":
            root = {word: value for word, value in self.document.items() if word not in ("$defs", *ROOT_WORDS)}
            if not self.document.get("title"):
                raise SchemaError("#", "the root schema is a table, so it needs a title as its name")
            yield str(self.document["title"]), "#", root

    def is_object(self, definition: Json) -> bool:
        if not isinstance(definition, Mapping):
            return False
        parts = definition.get("allOf", ())
        return "object" in _types(definition) or any(self.is_object(self.follow(part)) for part in parts)

    def follow(self, definition: Json) -> Json:
        return (
            self.resolve(definition["$ref"]) if isinstance(definition, Mapping) and "$ref" in definition else definition
        )

    def resolve(self, reference: str) -> Mapping[str, Json]:
        path, definitions = self.base
        found: Mapping[str, Json] = definitions[reference.removeprefix(path + "/")]
        return found

    def check_standard(self) -> None:
        """Refuse what is no JSON Schema, references that lead nowhere, and those that lead in a circle."""
        import jsonschema_rs

        path, definitions = self.base
        if not isinstance(definitions, Mapping):
            raise SchemaError(path, "must be an object")
        parts = {f"{path}/{name}": definition for name, definition in definitions.items()}
        if "openapi" not in self.document:
            parts["#"] = {name: value for name, value in self.document.items() if name not in ("$defs", *ROOT_WORDS)}
        for at, part in parts.items():
            try:
                jsonschema_rs.meta.validate({"$schema": META_SCHEMA, **part} if isinstance(part, Mapping) else part)
            except (ValueError, jsonschema_rs.ReferencingError) as error:
                where = "/".join([at, *map(str, getattr(error, "instance_path", []))])
                raise SchemaError(where, str(error).splitlines()[0]) from None
            self.check_references(part, at)
        for at, part in parts.items():
            self.check_circle(part, at, (at,))

    def check_references(self, schema: Json, path: str) -> None:
        base, definitions = self.base
        for at, reference in _references(schema, path):
            name = reference.removeprefix(base + "/")
            known = isinstance(definitions.get(name), Mapping) and name != reference
            if not known and (reference != "#" or self.document.get("type") != "object"):
                raise SchemaError(at, f"{reference!r} leads to no definition; write {base}/NAME")

    def check_circle(self, schema: Json, path: str, seen: tuple[str, ...]) -> None:
        """Definitions that are nothing but each other have no end: follow `$ref`, also in `allOf` and its like."""
        if not isinstance(schema, Mapping):
            return
        for part in (schema, *(part for name in ("allOf", "anyOf", "oneOf") for part in schema.get(name, ()))):
            reference = part.get("$ref") if isinstance(part, Mapping) else None
            if reference in seen:
                raise SchemaError(path, f"{reference!r} leads back to itself")
            if reference and reference != "#":
                self.check_circle(self.resolve(reference), path, (*seen, reference))
            elif part is not schema:
                self.check_circle(part, path, seen)

    def table_at(self, reference: Json, path: str) -> Table | None:
        if not isinstance(reference, str):
            raise SchemaError(f"{path}/$ref", "must be a text")
        if reference in SYSTEM_SCHEMA and path.startswith("_"):
            return self.schema.all_tables[reference]
        if reference == "#":
            return self.table_with("#")
        return self.table_with(reference)

    def table_with(self, path: str) -> Table | None:
        return next((table for table in self.schema.all_tables.values() if table.path == path), None)

    def check_root(self) -> None:
        self.schema.limbas_nulls = _flag(self.document, "x-limbas-nulls", "#")
        if "openapi" not in self.document and self.document.get("type") != "object":
            self.check_words({w: v for w, v in self.document.items() if w != "$defs"}, "#", ROOT_WORDS)
        path, definitions = self.base
        for name, definition in definitions.items():
            if not self.is_object(definition):
                self.check_words(definition, f"{path}/{name}", frozenset())

    def check_words(self, schema: Json, path: str, extensions: frozenset[str], top: bool = False) -> None:
        """Refuse what is not known, at any depth. `extensions` are the x-words of this place; `top`: it is a table."""
        if isinstance(schema, bool):
            return
        for name, value in schema.items():
            if name == "$defs" or (name not in STANDARD_WORDS and name not in extensions):
                kind = "x-word" if name.startswith("x-") else "keyword"
                hint = did_you_mean(name, (STANDARD_WORDS | extensions) - {"$defs"})
                raise SchemaError(f"{path}/{name}", f"unknown {kind} {name!r} here{hint}")
            for pattern in [value] if name == "pattern" else value if name == "patternProperties" else []:
                check_pattern(pattern, f"{path}/{name}")
            inner = {"properties": FIELD_WORDS, "allOf": extensions}.get(name) if top else None
            for key, part in _parts_of(name, value):
                self.check_words(
                    part, f"{path}/{name}/{key}".rstrip("/"), inner or frozenset(), top and name == "allOf"
                )

    # -- tables and their members --

    def add_table(self, name: str, path: str, definition: Mapping[str, Json]) -> None:
        if name not in SYSTEM_SCHEMA:
            check_name(name, path, "table")
            if name.lower() in RESERVED_TABLES or name.lower().startswith("sqlite_"):
                raise SchemaError(path, f"the table name {name!r} is reserved; choose another")
        if name.lower() in self.schema.all_tables:
            raise SchemaError(path, f"two tables have the name {name!r}, which is compared without case")
        table = Table(name, merge_all_of(definition, self.resolve), path)
        self.schema.all_tables[name.lower()] = table
        if name not in SYSTEM_SCHEMA:
            self.schema.tables[name.lower()] = table

    def add_members(self, table: Table) -> None:
        table.system["id"] = Field("id", KINDS["id"], table, "id", read_only=True, is_system=True, target=table)
        properties = table.schema.get("properties", {})
        required = table.schema.get("required", [])
        if sum(name.lower() == "id" for name in properties) > 1:
            raise SchemaError(
                f"{table.path}/properties", "two fields have the name 'id', which is compared without case"
            )
        for name, schema in properties.items():
            path = f"{table.path}/properties/{name}"
            self.check_member_name(table, name, path)
            self.add_member(Declared(table, name, path, self.flatten(schema, path), name in required))
        for name in required:
            if name not in properties:
                raise SchemaError(f"{table.path}/required", f"{name!r} is not a property")

    def check_member_name(self, table: Table, name: str, path: str) -> None:
        check_name(name, path, "field")
        if name.lower() in RESERVED_FIELDS:
            raise SchemaError(path, f"the field name {name!r} is reserved; choose another")
        if any(name.lower() == other.lower() for other in table.members):
            raise SchemaError(path, f"two fields have the name {name!r}, which is compared without case")

    def flatten(self, schema: Json, path: str) -> Mapping[str, Json]:
        """A property without null, and with the definition that it refers to (when that is no table) put into it."""
        if schema is True:
            return {}
        if not isinstance(schema, Mapping):
            raise SchemaError(path, "a property must be an object schema")
        for word in ("anyOf", "oneOf", "allOf"):
            parts = [part for part in schema.get(word, ()) if part != {"type": "null"}]
            if word in schema and len(parts) == 1 and isinstance(parts[0], Mapping):
                rest = {name: value for name, value in schema.items() if name != word}
                return self.flatten({**parts[0], **rest}, path)
        if "$ref" in schema and self.table_at(schema["$ref"], path) is None:
            rest = {name: value for name, value in schema.items() if name != "$ref"}
            return self.flatten({**self.resolve(schema["$ref"]), **rest}, path)
        if isinstance(schema.get("type"), list) and len(_types(schema)) == 1:
            return {**schema, "type": _types(schema)[0]}
        return schema

    def add_member(self, it: Declared) -> None:
        items = it.schema.get("items")
        many = _types(it.schema) == ["array"] and isinstance(items, Mapping)
        element = self.flatten(items, f"{it.path}/items") if many and items else {}
        if it.name.lower() == "id":
            self.add_id(it)
        elif "$ref" in it.schema:
            self.add_link(it)
        elif many and "$ref" in element:
            refuse_words(it.schema, frozenset({"x-unique", "x-index", "writeOnly"}), it.path, "is not for many links")
            self.refuse_default(it)
            self.pending.append(it)
            target = self.target(element["$ref"], it.path)
            it.table.members[it.name] = Link(it.name, it.table, target, many=True, schema=it.schema)
        elif _is_file(it.schema):
            self.refuse_default(it)
            it.table.members[it.name] = self.own_link(it, self.schema.all_tables["_files"])
        else:
            self.add_field(it._replace(schema={**it.schema, "items": element}) if many else it)

    def target(self, reference: str, path: str) -> Table:
        table = self.table_at(reference, path)
        assert table is not None
        return table

    def add_id(self, it: Declared) -> None:
        if _types(it.schema) == ["integer"]:
            it.table.shows_id = True
        elif _types(it.schema) == ["string"]:
            key = Field("id", self.kind_of(it.schema, it.path), it.table, "_key", it.schema, required=True)
            it.table.members["id"] = it.table.key = key
            it.table.unique.append((key,))
        else:
            raise SchemaError(it.path, "the field 'id' must be an integer (the record's own id) or a string (its key)")

    def add_field(self, it: Declared) -> None:
        refuse_words(it.schema, FIELD_WORDS - {"x-unique", "x-index"}, it.path, "is for links")
        kind = self.kind_of(it.schema, it.path)
        items = it.schema.get("items") if kind.name in ("list", "choices") else None
        column = Field(it.name, kind, it.table, it.name, it.schema, it.required, bool(it.schema.get("readOnly")))
        column.write_only = bool(it.schema.get("writeOnly")) or kind.name == "password"
        column.items = self.kind_of(items, it.path) if isinstance(items, Mapping) else None
        it.table.members[it.name] = column
        if "default" in it.schema:
            self.check_default(column, it.path)
        if _flag(it.schema, "x-unique", it.path):
            it.table.unique.append((column,))
        if _flag(it.schema, "x-index", it.path):
            it.table.indexes.append((column,))

    def check_default(self, column: Field, path: str) -> None:
        try:
            column.parse_json(column.schema["default"])
        except BadValue as error:
            raise SchemaError(f"{path}/default", f"must be {error}") from None

    def kind_of(self, schema: Mapping[str, Json], path: str) -> Kind:
        types = _types(schema) or _types_of_choices(schema)
        if types == ["array"]:
            items = schema.get("items")
            element = self.kind_of(items, path) if isinstance(items, Mapping) and items else None
            if element is None or element.name in ("json", "list", "choices") or "prefixItems" in schema:
                return KINDS["json"]
            return KINDS["choices"] if items and "enum" in items else KINDS["list"]
        if len(types) != 1 or types[0] not in SCALAR_TYPES or "$ref" in schema:
            unknown = set(types) - {"object", "null", "array", *SCALAR_TYPES}
            if unknown:
                raise SchemaError(f"{path}/type", f"unknown type {min(unknown)!r}")
            return KINDS["json"]
        form = schema.get("format") if types[0] == "string" else None
        return KINDS[TEXT_FORMATS.get(str(form), SCALAR_TYPES[types[0]])]

    # -- links --

    def add_link(self, it: Declared) -> None:
        target = self.target(it.schema["$ref"], it.path)
        self.refuse_default(it)
        if "x-inverse" in it.schema:
            words = OWN_LINK_WORDS | {"x-through", "x-unique", "x-index"}
            refuse_words(it.schema, words, it.path, "does not go with x-inverse")
            self.pending.append(it)
            it.table.members[it.name] = Link(it.name, it.table, target, many=False, schema=it.schema)
        else:
            it.table.members[it.name] = self.own_link(it, target)

    def refuse_default(self, it: Declared) -> None:
        if it.schema.get("default") not in (None, []):
            raise SchemaError(f"{it.path}/default", "a link has no default")

    def own_link(self, it: Declared, target: Table) -> Link:
        refuse_words(it.schema, frozenset({"x-through", "writeOnly"}), it.path, "is not for unique links")
        refuse_words(it.schema, frozenset({"x-inverse"}), it.path, "is not for files")
        link = Link(it.name, it.table, target, many=False, schema=it.schema, required=it.required)
        column = it.schema.get("x-column", f"{it.name}_id")
        if "x-column" in it.schema:
            check_name(column, f"{it.path}/x-column", "column")
        link.key = Field(column, KINDS["id"], it.table, column, required=it.required, target=target)
        link.read_only = bool(it.schema.get("readOnly"))
        if _flag(it.schema, "x-unique", it.path):
            it.table.unique.append((link.key,))
        link.on_delete = it.schema.get("x-delete", "restrict" if it.required else "clear")
        if link.on_delete not in ("clear", "cascade", "restrict") or (it.required and link.on_delete == "clear"):
            reason = "must be clear, cascade or restrict; a required link cannot be cleared"
            raise SchemaError(f"{it.path}/x-delete", reason)
        return link

    def add_inverse_links(self) -> None:
        """Second pass over the links that need to know other links: first the junctions, then their other sides."""
        for inverse in (False, True):
            for it in self.pending:
                link = it.table.members[it.name]
                assert isinstance(link, Link)
                link.required, link.read_only = it.required, bool(it.schema.get("readOnly"))
                if inverse and "x-inverse" in it.schema:
                    self.invert(link, it.path)
                elif not inverse and "x-inverse" not in it.schema:
                    self.add_junction(link, it.path)

    def invert(self, link: Link, path: str) -> None:
        other = link.target.links.get(str(link.schema["x-inverse"]))
        at = f"{path}/x-inverse"
        if other is None or other.target is not link.source:
            raise SchemaError(
                at, f"{link.schema['x-inverse']!r} is not a link of {link.target.name!r} to {link.source.name!r}"
            )
        refuse_words(link.schema, OWN_LINK_WORDS | {"x-through"}, path, "does not go with x-inverse")
        if other.key:
            link.back = other
            other.exclusive = other.exclusive or not link.many
        elif other.through and link.many and other.forward:
            link.through, link.near, link.far, link.forward = other.through, other.far, other.near, False
        else:
            raise SchemaError(at, f"{other.name!r} is the other side of a link itself")

    def add_junction(self, link: Link, path: str) -> None:
        refuse_words(link.schema, OWN_LINK_WORDS, path, "is for unique links")
        if "x-through" in link.schema:
            self.add_through(link, f"{path}/x-through")
            return
        name = f"{link.source.name}_{link.name}"
        if name.lower() in self.schema.all_tables:
            raise SchemaError(path, f"its junction table {name!r} has the name of another table")
        table = Table(name, {"title": f"{link.source.title}: {link.title}"}, tracked=False)
        table.system["id"] = Field("id", KINDS["id"], table, "id", read_only=True, is_system=True, target=table)
        ends = []
        for end, target in (("source", link.source), ("target", link.target)):
            own = Link(end, table, target, many=False, on_delete="cascade", required=True)
            own.key = Field(f"{end}_id", KINDS["id"], table, f"{end}_id", required=True, target=target)
            table.members[end] = own
            ends.append(own.key)
        self.schema.all_tables[name.lower()] = table
        self.join(link, table, *ends)

    def add_through(self, link: Link, path: str) -> None:
        words = link.schema["x-through"]
        name = words.get("table") if isinstance(words, Mapping) else words
        if isinstance(words, Mapping) and not set(words) <= {"table", "source", "target"}:
            raise SchemaError(path, 'must be a table or {"table": table, "source": link, "target": link}')
        table = self.schema.tables.get(str(name).lower())
        if table is None:
            raise SchemaError(path, f"{name!r} is not a table")
        ends = []
        for end, target in (("source", link.source), ("target", link.target)):
            named = words.get(end) if isinstance(words, Mapping) else None
            found = [
                own for own in table.links.values() if own.key and own.target is target and named in (None, own.name)
            ]
            if len(found) != 1:
                raise SchemaError(
                    path, f"table {name!r} must have one unique link to {target.name!r}; name it as {end!r}"
                )
            found[0].on_delete = "cascade"
            ends.append(found[0].key)
        assert ends[0] and ends[1]
        if ends[0] is ends[1]:
            raise SchemaError(path, 'both sides are one table: write {"table": ..., "source": ..., "target": ...}')
        self.join(link, table, ends[0], ends[1])

    def join(self, link: Link, table: Table, near: Field, far: Field) -> None:
        link.through, link.near, link.far = table, near, far
        if (near, far) not in table.unique:
            table.unique.append((near, far))

    # -- the words of a table --

    def add_table_words(self, table: Table) -> None:
        path, words = table.path, table.schema
        table.archive = _flag(words, "x-archive", path)
        table.access = _flag(words, "x-access", path)
        if table.archive:
            table.system["_status"] = Field("_status", KINDS["integer"], table, "_status", is_system=True)
        table.__dict__.pop("fields", None)
        self.add_validity(table, words.get("x-validity"), f"{path}/x-validity")
        self.add_sort(table, words.get("x-sort"), f"{path}/x-sort")
        self.add_key(table, words.get("x-key"), f"{path}/x-key")
        self.add_label(table, words.get("x-label"), f"{path}/x-label")
        self.add_rules(table, path)
        check_table_words(table, path)

    def extra_field(self, table: Table, name: str, kind: str) -> Field:
        if name not in table.members:
            self.check_member_name(table, name, f"{table.path}/properties/{name}")
            table.members[name] = Field(name, KINDS[kind], table, name, dict(KINDS[kind].schema))
            table.__dict__.pop("fields", None)
        return self.field_of(table, name, f"{table.path}/properties/{name}", kind)

    def shown_field(self, table: Table, name: Json, path: str) -> Field:
        found = self.field_of(table, name, path)
        if found.write_only:
            raise SchemaError(path, f"{name!r} is writeOnly, and this would show it")
        return found

    def field_of(self, table: Table, name: Json, path: str, *kinds: str) -> Field:
        found = table.members.get(name) if isinstance(name, str) else None
        if not isinstance(found, Field) or (kinds and found.kind.name not in kinds):
            raise SchemaError(
                path, f"{name!r} is not a field of {table.name!r}" + (f" of kind {' or '.join(kinds)}" if kinds else "")
            )
        return found

    def add_validity(self, table: Table, words: Json, path: str) -> None:
        if words is True:
            table.validity = (
                self.extra_field(table, "valid_from", "date"),
                self.extra_field(table, "valid_to", "date"),
            )
        elif isinstance(words, Mapping) and set(words) == {"from", "to"}:
            first, last = (self.field_of(table, words[end], f"{path}/{end}", "date") for end in ("from", "to"))
            table.validity = (first, last)
        elif words not in (None, False):
            raise SchemaError(path, 'must be true or {"from": field, "to": field}')

    def add_sort(self, table: Table, words: Json, path: str) -> None:
        if words is True:
            table.sort = SortRule(self.extra_field(table, "sort", "integer"), None)
        elif isinstance(words, Mapping) and set(words) <= {"field", "scope"} and _are_texts(words.values()):
            order = self.extra_field(table, words.get("field", "sort"), "integer")
            table.sort = SortRule(
                order, self.field_of(table, words["scope"], f"{path}/scope") if "scope" in words else None
            )
        elif words not in (None, False):
            raise SchemaError(path, 'must be true or {"field": field, "scope": field}')
        if table.sort:
            table.indexes.append((table.sort.field,))

    def add_key(self, table: Table, words: Json, path: str) -> None:
        if words is not None:
            table.key = self.shown_field(table, words, path)
            if not table.key.required:
                raise SchemaError(path, f"the key {words!r} must be required")
            if (table.key,) not in table.unique:
                table.unique.append((table.key,))

    def add_label(self, table: Table, words: Json, path: str) -> None:
        if isinstance(words, Mapping):
            if not set(words) <= {"label", "description"}:
                raise SchemaError(path, 'must be a field or {"label": field, "description": field}')
            if "description" in words:
                self.shown_field(table, words["description"], f"{path}/description")
            words = words.get("label")
        if words is not None:
            table.label = self.shown_field(table, words, path)
            return
        texts = [column for column in table.fields.values() if column.kind.is_text and not column.write_only]
        table.label = next(
            (text for name in ("title", "name") for text in texts if text.name == name), next(iter(texts), None)
        )

    def add_rules(self, table: Table, path: str) -> None:
        for word, rules in (("x-unique", table.unique), ("x-index", table.indexes)):
            value = table.schema.get(word, [])
            if not isinstance(value, list):
                raise SchemaError(f"{path}/{word}", "must be a list of lists of fields")
            for number, names in enumerate(value):
                if not isinstance(names, list) or not names:
                    raise SchemaError(f"{path}/{word}/{number}", "must be a list of fields")
                rules.append(tuple(self.column_of(table, name, f"{path}/{word}/{number}") for name in names))

    def column_of(self, table: Table, name: Json, path: str) -> Field:
        member = table.members.get(name) if isinstance(name, str) else None
        return member.key if isinstance(member, Link) and member.key else self.field_of(table, name, path)

    # -- what is the same for all tables --

    def add_system_columns(self, table: Table) -> None:
        if not table.tracked or table.name == "_history":
            table.tracked = False
            return
        kinds = {"_version": "integer", "_created": "moment", "_modified": "moment"}
        for name, kind in kinds.items():
            table.system[name] = Field(name, KINDS[kind], table, name, is_system=True)
        for name in ("_created_by", "_modified_by", "_owner", "_group"):
            target = self.schema.all_tables["_groups" if name == "_group" else "_users"]
            key = Field(name, KINDS["id"], table, name, is_system=True, target=target)
            table.system[name] = key
            table.system_links[name] = Link(name, table, target, many=False, key=key, is_system=True)
        for name in ("_access", "_branch"):
            table.system[name] = Field(name, KINDS["list"], table, name, is_system=True, items=KINDS["id"])

    def finish(self, table: Table) -> None:
        for name in ("fields", "links", "keys", "columns", "by_fold"):
            table.__dict__.pop(name, None)
        seen: set[str] = set()
        for column in table.columns:
            if column.column.lower() in seen:
                raise SchemaError(table.path, f"two columns have the name {column.column!r}; set x-column")
            seen.add(column.column.lower())
        for link in table.links.values():
            if link.key:
                link.target.incoming.append(link)
                if link.exclusive and (link.key,) not in table.unique:
                    table.unique.append((link.key,))
        table.validation = validation_schema(table, self.document)
        if table in self.schema.tables.values():
            self.check_validation(table)

    def check_validation(self, table: Table) -> None:
        try:
            table.validator  # noqa: B018 - made now, so that a wrong schema is refused at load
        except ValueError as error:
            raise SchemaError(table.path, f"not a valid JSON Schema: {str(error).splitlines()[0]}") from None


def check_name(name: Json, path: str, what: str) -> None:
    """SchemaError unless the name is one that a schema file may give."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or len(name) > MAX_NAME_LENGTH:
        rule = f"a letter, then letters, digits and _, at most {MAX_NAME_LENGTH}"
        raise SchemaError(path, f"the {what} name {name!r} is not allowed: {rule}")


def check_pattern(pattern: str, path: str) -> None:
    """SchemaError unless the validator can use the pattern."""
    try:
        make_validator({"pattern": pattern})
    except ValueError:
        raise SchemaError(path, f"{pattern!r} is not a regular expression") from None


def refuse_words(schema: Mapping[str, Json], words: frozenset[str], path: str, reason: str) -> None:
    """SchemaError when one of the words stands in the schema."""
    for name in sorted(words & set(schema)):
        raise SchemaError(f"{path}/{name}", f"{name} {reason}")


def check_table_words(table: Table, path: str) -> None:
    """Check x-alias, x-columns, x-options and the form of x-tabs, which later dialects read from `Table.schema`."""
    for dialect in _mapping(table.schema, "x-alias", path):
        for alias, name in _mapping(table.schema["x-alias"], dialect, f"{path}/x-alias").items():
            check_member(table, name, f"{path}/x-alias/{dialect}/{alias}")
    columns = table.schema.get("x-columns", [])
    if not isinstance(columns, list):
        raise SchemaError(f"{path}/x-columns", "must be a list of fields")
    for number, name in enumerate(columns):
        check_member(table, name, f"{path}/x-columns/{number}")
    for name in _mapping(table.schema, "x-options", path):
        check_options(table, name, f"{path}/x-options")
    _mapping(table.schema, "x-tabs", path)


def check_options(table: Table, name: str, path: str) -> None:
    """Check the options of one link in x-options."""
    link, words = table.members.get(name), _mapping(table.schema["x-options"], name, path)
    if not isinstance(link, Link) or not set(words) <= {"depends", "group"}:
        raise SchemaError(f"{path}/{name}", 'must be a link with {"depends": link, "group": link}')
    for key, other in words.items():
        check_member(link.target, other, f"{path}/{name}/{key}")
        if not isinstance(link.target.members[other], Link):
            raise SchemaError(f"{path}/{name}/{key}", f"{other!r} is not a link of {link.target.name!r}")


def check_member(table: Table, name: Json, path: str) -> None:
    """SchemaError unless the table has a field or link of that name."""
    if not isinstance(name, str) or name not in table.members:
        raise SchemaError(path, f"{name!r} is not a field of {table.name!r}")


def _are_texts(values: Iterable[Json]) -> bool:
    return all(isinstance(value, str) for value in values)


def validation_schema(table: Table, document: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON Schema of a whole record as the validator sees it: as in the file, but for links, which are keys."""
    declared = table.schema.get("properties", {})
    properties: dict[str, Json] = {
        name: _keys_schema(member) if isinstance(member, Link) else declared.get(name, member.schema)
        for name, member in table.members.items()
    }
    rules = {word: table.schema[word] for word in RULES_OF_TABLES & set(table.schema)}
    wanted = [*table.schema.get("required", []), *(["id"] if "id" in table.members else [])]
    required = [name for name in dict.fromkeys(wanted) if name in properties]
    definitions = {word: document[word] for word in ("$defs", "components") if word in document}
    return {**definitions, **rules, "type": "object", "properties": properties, "required": required}


def _keys_schema(link: Link) -> dict[str, Json]:
    if not link.many:
        return {"type": "integer"}
    limits = {word: link.schema[word] for word in ("minItems", "maxItems") if word in link.schema}
    return {"type": "array", "items": {"type": "integer"}, **limits}


def _types(schema: Mapping[str, Json]) -> list[str]:
    types = schema.get("type", [])
    return [name for name in ([types] if isinstance(types, str) else types) if name != "null"]


def _types_of_choices(schema: Mapping[str, Json]) -> list[str]:
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    found = {names.get(type(value), "object") for value in values if value is not None}
    return ["number"] if found == {"integer", "number"} else sorted(found)


def _is_file(schema: Mapping[str, Json]) -> bool:
    return _types(schema) == ["string"] and (schema.get("format") == "binary" or "contentEncoding" in schema)


def _flag(schema: Mapping[str, Json], word: str, path: str) -> bool:
    value = schema.get(word, False)
    if not isinstance(value, bool):
        raise SchemaError(f"{path}/{word}", "must be true or false")
    return value


def _mapping(schema: Mapping[str, Json], word: str, path: str) -> Mapping[str, Json]:
    value = schema.get(word, {})
    if not isinstance(value, Mapping):
        raise SchemaError(f"{path}/{word}", "must be an object")
    return value


def _parts_of(name: str, value: Json) -> Iterator[tuple[str, Json]]:
    """The schemas inside one keyword, each with the rest of its path."""
    if name in SCHEMA_MAPS:
        yield from value.items()
    elif name in SCHEMA_LISTS:
        yield from ((str(number), part) for number, part in enumerate(value))
    elif name in SCHEMA_SINGLES:
        yield "", value


def _references(schema: Json, path: str) -> Iterator[tuple[str, str]]:
    """Every `$ref` in a schema, with its JSON path."""
    if isinstance(schema, Mapping):
        if "$ref" in schema:
            yield f"{path}/$ref", schema["$ref"]
        for name, value in schema.items():
            for key, part in _parts_of(name, value):
                yield from _references(part, f"{path}/{name}/{key}".rstrip("/"))
