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
 6  Names              from words to fields and links; filters in JSON, values of bodies
 7  SQL                the compiler from section 5 to SQLite, and the tables' definitions
 8  Access             who asks, and what that allows
 9  Database           connections and transactions
10  Writes             what an operation changes, history, events
11  Store              the tables in a file, changes of the schema, examples, the door for operations
12  HTTP               requests, replies, bracket parameters, bodies
13  Files              what records hold as files: multipart, names, ranges
14  Accounts           users, tokens, authentication schemes
15  Sockets            WebSocket on waitress' own loop; sessions of engine.io 3
16  Dialects           what all dialects have
17  Limbas             tables, records and links at /<table>
18  NocoBase           resources and actions at /api/<collection>:<action>
19  CoreData           endpoints, lookups and objects at /api/v2/<endpoint>/
20  Platform           stores and ObjectIds at /api/v1/<store>
21  Laravel            what Qore leaves to Laravel: input, names, texts of errors, the paginator
22  Qore               resources with tables, forms and actions at /api/resources/<resource>
23  Pages              what all pages for a browser share; signing in; tokens
24  Drawing            the schema as a picture
25  Browsing           the overview at /, lists of records at /browse/<table>
26  Records            one record, its links and its history
27  Forms              the forms that make and change records
28  App                make_app: the parts put together, the policy of hosts and origins
29  Server             waitress with settings that hold in the open, the graceful stop
30  Command line       main
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
import copy
import dataclasses
import enum
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
import tempfile
import threading
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    NoReturn,
    Self,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    assert_never,
)
from urllib.parse import quote, unquote_to_bytes, urlencode

if TYPE_CHECKING:
    import bottle
    import jsonschema_rs
    import wsproto

__version__ = "0.1.0"
__all__ = ["ApiError", "Application", "main", "make_app", "serve"]

MINIMUM_SQLITE = (3, 38)
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_UPLOAD_BYTES = 64 * 1024 * 1024
MAX_PARTS = 1000
MAX_PART_HEADER_BYTES = 8 * 1024
MAX_FILE_NAME_LENGTH = 255
PIECE_BYTES = 256 * 1024
MAX_BUFFERED_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_PARAMETERS = 256
MAX_FORM_FIELDS = 10_000
MAX_BRACKET_DEPTH = 4
MAX_JSON_DEPTH = 64
MAX_FILTER_DEPTH = 8
MAX_FILTER_TERMS = 100
MAX_FILTER_LINKS = 16
MAX_SORT_TERMS = 16
MAX_SEARCH_LENGTH = 1000
MAX_VIOLATIONS = 100
MAX_EXPRESSION_DEPTH = 300
MAX_VALUE_BYTES = 512 * 1024 * 1024
MAX_STATEMENT_BYTES = 1024 * 1024
MAX_STATEMENT_VALUES = 32_766
MAX_OBJECT_PAIRS = 60
MAX_REMEMBERED = 256
MAX_SHAPE_LINKS = 4
MAX_ID = 2**52 - 1
MAX_GIVEN_ID = 2**51 - 1
MAX_NAME_LENGTH = 63
BUSY_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_SECONDS = 10.0
REQUEST_TIMEOUT_SECONDS = 60.0
MINIMUM_BYTES_PER_SECOND = 16 * 1024
STOP_GRACE_SECONDS = 10.0
LINGER_SECONDS = 2.0
ACCEPT_PAUSE_SECONDS = 1.0
CREDENTIALS_CACHE_SIZE = 1024
CREDENTIALS_CACHE_SECONDS = 300.0
MINIMUM_PASSWORD_BYTES = 8
MAX_PASSWORD_BYTES = 1024
MAX_FAILURES = 10
FAILURES_SECONDS = 300.0
FAILURES_SIZE = 10_000
MAX_CHECKS_AT_ONCE = 4
MAX_RETRY_SECONDS = 900.0
SESSION_HOURS = 24
MAX_CONNECTIONS = 2000
MAX_SOCKETS = 1000
MAX_SOCKET_MESSAGE_BYTES = 64 * 1024
MAX_SOCKET_BACKLOG_BYTES = 1024 * 1024
MAX_WAITING_EVENTS = 10_000

Json: TypeAlias = Any
"""A value that came out of JSON text: None, bool, int, float, str, list or dict."""
SqlValue: TypeAlias = int | float | str | bytes | None
"""A value that SQLite stores."""

log = logging.getLogger("minirest")
request_log = logging.getLogger("minirest.requests")
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
    "bad_request": ErrorRule(400, "The request is not valid HTTP: {reason}"),
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
    "headers_too_large": ErrorRule(431, "The headers are larger than {limit} bytes"),
    "expectation": ErrorRule(417, "Nothing but 100-continue can be expected, not {value!r}"),
    "transfer_coding": ErrorRule(501, "The body can come in chunks, and in no other transfer coding"),
    "http_version": ErrorRule(505, "HTTP {version} is not spoken here; use 1.1 or 1.0"),
    "media_type": ErrorRule(415, "The content type {value!r} is not supported; send {allowed}"),
    "bad_filter": ErrorRule(400, "Invalid filter at {name!r}: {reason}"),
    "filter_too_large": ErrorRule(400, "The filter is too large: {reason}"),
    # values
    "bad_value": ErrorRule(400, "Invalid value {value} for field {field!r}: expected {expected}"),
    "required": ErrorRule(400, "Field {field!r} is required"),
    "twice": ErrorRule(400, "Field {field!r} is set twice"),
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
    "contentMediaType": ErrorRule(400, "Field {field!r} must be a file of type {media_type}"),
    "schema": ErrorRule(400, "Field {field!r} breaks the rule {keyword!r} of the schema"),
    # links
    "link_missing": ErrorRule(400, "Field {field!r} links to a record that does not exist: {value}"),
    "link_taken": ErrorRule(400, "Field {field!r} links to a record that belongs to another one: {value}"),
    "restricted": ErrorRule(400, "The record cannot be deleted: {count} records of table {table!r} need it"),
    "deep_nesting": ErrorRule(400, "The body nests links deeper than {limit}"),
    # requests that are understood and refused
    "not_archivable": ErrorRule(400, "Table {table!r} has no archive"),
    "not_sortable": ErrorRule(400, "Table {table!r} has no manual order"),
    "no_condition": ErrorRule(400, "Neither a key nor a filter says which records are meant"),
    "unauthenticated": ErrorRule(401, "Unauthorized"),
    "sign_in": ErrorRule(401, "The account or the password is wrong"),
    "forbidden": ErrorRule(403, "Forbidden"),
    "forged": ErrorRule(403, "The form does not belong to this session; open its page again"),
    "cross_site": ErrorRule(403, "A page of another origin may not do this; start the server with --cors {origin}"),
    "not_found": ErrorRule(404, "Not found"),
    "method": ErrorRule(405, "Method {method} is not allowed here; allowed are {allowed}"),
    "range": ErrorRule(416, "The file has {size} bytes; {value!r} asks for none of them"),
    "precondition": ErrorRule(412, "The record has changed since: its version is not the one in If-Match"),
    "wrong_host": ErrorRule(
        421, "This server does not answer for the host {host!r}; start it with --allow-host {host}"
    ),
    "too_many_failures": ErrorRule(429, "Too many wrong passwords; try again in {seconds} seconds"),
    "internal": ErrorRule(500, "Internal error; the log has the details under request {request}"),
    "no_socket": ErrorRule(
        501, "WebSocket needs the server that minirest brings: run python minirest.py, or call minirest.serve(app)"
    ),
    "too_many_sockets": ErrorRule(503, "There are {limit} sockets already; try again later"),
    "busy": ErrorRule(503, "The database is busy; try again"),
    "too_expensive": ErrorRule(503, "The request took longer than {seconds} seconds of database time"),
    "storage": ErrorRule(507, "The database cannot be written: {reason}"),
}


Trail: TypeAlias = tuple[str | int, ...]
"""The path of a violation so far: where in the body the record stands that is being written."""


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

    def below(self, *path: str | int) -> Violation:
        """The same violation, seen from further out."""
        return self._replace(path=(*path, *self.path))


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

    def below(self, *path: str | int) -> ApiError:
        """The same error, seen from further out: its violations lie below a path."""
        return ApiError(self.code, *(fault.below(*path) for fault in self.violations), headers=self.headers)


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

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME = "~"
"""Sorts after every date: the end of a span that would lie behind the year 9999."""


def moment_text(moment: datetime) -> str:
    """A moment as it is stored: 24 characters of UTC text, cut to milliseconds.

    >>> moment_text(datetime.fromisoformat("2024-05-01T15:45:00.123999+02:00"))
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
    if zone and not day and ":" not in zone and zone not in "Zz":
        raise ValueError("digits that could be read in two ways")
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


@dataclass(frozen=True, eq=False)
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

COREDATA = Style(
    "coredata",
    {
        "id": "printf('%08x-0000-1000-8%03x-%012x',{1},{0}>>48,{0}&281474976710655)",
        "moment": "substr({0},1,19)",
        "number": "case when {0} between -1e9 and 1e9 and round({0}*1e6)/1e6={0} then {0}"
        " when abs({0})<9e999 then json(printf('%!.18g',{0})) end",
    },
)
"""CoreData's spelling: ids are UUIDs, moments have seconds and no zone, a number keeps its `.0` as Python writes it."""
SNAPSHOT = Style(
    "snapshot",
    {
        "id": "printf('8%03x-%012x',{0}>>48,{0}&281474976710655)",
        "integer": "printf('%04x-1%03x',{0}>>10&65535,{0}<<2&4095)",
    },
)
"""The parts of a UUID that hold a version (an integer) and an id: `record_uuid` in SQL."""
PLATFORM = Style("platform", {"id": "printf('%08x%016x',{1},{0})"})
"""Platform's spelling: ids are ObjectIds."""
UNIX = Style("unix", {"moment": "cast(strftime('%s',{0}) as integer)*1000+cast(substr({0},21,3) as integer)"})
"""Moments as milliseconds since 1970-01-01 UTC."""

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


class PasswordHash(NamedTuple):
    """What is kept of a password: `scrypt$n$r$p$salt$hash`, the last two in hexadecimal digits."""

    cost: tuple[int, int, int]
    salt: str
    digest: str

    @classmethod
    def read(cls, text: str) -> PasswordHash:
        """The parts of the text that is stored."""
        _, n, r, p, salt, digest = text.split("$")
        return cls((int(n), int(r), int(p)), salt, digest)


def hash_password(password: str, cost: tuple[int, int, int], salt: str = "") -> str:
    """`scrypt$n$r$p$salt$hash`, with a new salt unless one is given."""
    salt = salt or secrets.token_hex(16)
    return "$".join(["scrypt", *map(str, cost), salt, _scrypt(password, salt, cost)])


def verify_password(password: str, stored: str) -> bool:
    """Whether the password gave this hash, compared in constant time."""
    cost, salt, digest = PasswordHash.read(stored)
    return hmac.compare_digest(_scrypt(password, salt, cost), digest)


def password_bytes(password: str) -> bytes:
    """What is hashed of a password: UTF-8, with composed letters (NFC), because keyboards differ."""
    return unicodedata.normalize("NFC", password).encode()


def _scrypt(password: str, salt: str, cost: tuple[int, int, int]) -> str:
    n, r, p = cost
    maxmem = 256 * n * r + 2**20
    return hashlib.scrypt(password_bytes(password), salt=bytes.fromhex(salt), n=n, r=r, p=p, maxmem=maxmem).hex()


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
ACTIVE: Status = 0
ARCHIVED: Status = 1
TRASH: Status = 2


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

    @property
    def has_index(self) -> bool:
        """Whether an index, of its own table, begins with it."""
        table = self.table
        indexes = (*table.unique, *table.indexes)
        return self is table.id or self in table.keys or any(columns[0] is self for columns in indexes)

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
    def is_file(self) -> bool:
        """Whether it is a file field: what it leads to belongs to this record alone, and goes with it."""
        return self.target.name == "_files"

    @property
    def opposites(self) -> Iterator[Link]:
        """The declared links of the target that show the same connections from the other side."""
        for other in self.target.links.values():
            same_rows = self.through and other.through is self.through and other.near is self.far
            if other is self.back or other.back is self or same_rows:
                yield other

    def __repr__(self) -> str:
        return f"<Link {self.source.name}.{self.name} -> {self.target.name}>"


def bounded(remembered: dict[Any, Any]) -> dict[Any, Any]:
    """What is remembered, emptied when it is full."""
    if len(remembered) >= MAX_REMEMBERED:
        remembered.clear()
    return remembered


class SortRule(NamedTuple):
    """A manual order: the integer field that holds it, and the field whose values have an order each."""

    field: Field
    scope: Field | None


@dataclass(eq=False)
class Table:
    """A table with its fields and links, in the order of the schema file (`members` has both).

    `path` is the JSON path of its schema, which `allOf` has been merged into. `system` holds the columns that every
    tracked table has beside the user's, `system_links` the links made of them. Junctions of plain many links are tables
    too, without system columns. `expressions` remembers compiled shapes.
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
    expressions: dict[Any, Any] = field(default_factory=dict)

    @functools.cached_property
    def id(self) -> Field:
        """The record's own id."""
        return self.system["id"]

    @functools.cached_property
    def address(self) -> Field:
        """The column whose value names a record in addresses and bodies: the table's key, else the id."""
        return self.key or self.id

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
    def files(self) -> tuple[Link, ...]:
        """The file fields."""
        return tuple(link for link in self.links.values() if link.is_file)

    @functools.cached_property
    def columns(self) -> tuple[Field, ...]:
        """Every column: id, fields, keys of links, system columns."""
        rest = (column for name, column in self.system.items() if name != "id")
        return (self.id, *self.fields.values(), *self.keys, *rest)

    @functools.cached_property
    def by_fold(self) -> dict[str, Field | Link]:
        """Fields and links by name in lower case."""
        return {name.lower(): member for name, member in self.members.items()}

    def aliases(self, dialect: str) -> Mapping[str, str]:
        """The second names that one dialect has for fields and links."""
        found: Mapping[str, str] = self.schema.get("x-alias", EMPTY).get(dialect, EMPTY)
        return found

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


def schema_violations(
    table: Table, record: dict[str, Json], path: Trail, silent: tuple[set[str], set[Trail]]
) -> list[Violation]:
    """What the validator says of a record; `silent` about some fields, and about paths that are known to be wrong."""
    found, (kept, known) = list[Violation](), silent
    for error in table.validator.iter_errors(record):
        rule, params = error.kind.name, error.kind.as_dict()
        where = (*path, *error.instance_path)
        if rule == "required":
            where = (*where, params["property"])
        if where[: len(path) + 1] in known or (error.instance_path and error.instance_path[0] in kept):
            continue
        if rule not in ERRORS:
            rule, params = "schema", {"keyword": rule}
        if "options" in params:
            params["options"] = ", ".join(map(dump_json, params["options"]))
        if "types" in params:
            params["types"] = " or ".join(params["types"])
        found.append(Violation(where, rule, params))
    return found


def unique_violation(table: Table, error: sqlite3.IntegrityError, path: Trail) -> Violation:
    """The violation behind SQLite's complaint about a unique index."""
    columns = re.findall(r"\.([^,.]+)(?:, |$)", str(error))
    names = {link.key.column: link.name for link in table.links.values() if link.key}
    names |= {column.column: column.name for column in table.fields.values()}
    found = [names.get(column, column) for column in columns] or ["id"]
    return Violation((*path, found[0]), "unique", {"fields": ", ".join(found)})


@dataclass(eq=False)
class Schema:
    """The tables of one schema file and the system tables, by name in lower case.

    `sights` remembers what each actor sees, `rights` what each set of roles may do.
    """

    title: str = ""
    limbas_nulls: bool = False
    tables: dict[str, Table] = field(default_factory=dict)
    all_tables: dict[str, Table] = field(default_factory=dict)
    sights: dict[Any, Any] = field(default_factory=dict)
    rights: dict[Any, Any] = field(default_factory=dict)

    @functools.cached_property
    def guarded(self) -> tuple[Table, ...]:
        """The tables whose records are not for everybody."""
        return tuple(table for table in self.tables.values() if table.access)

    @functools.cached_property
    def restricted(self) -> tuple[Table, ...]:
        """The tables in which not everybody may do everything."""
        return tuple(table for table in self.tables.values() if "x-rights" in table.schema)

    def find(self, name: str, known: Iterable[Table] | None = None) -> Table:
        """The user's table of that name, in any case. ApiError `unknown_table`, which hints at the `known` ones."""
        table = self.tables.get(name.lower())
        if table is None:
            names = (table.name for table in known or self.tables.values())
            raise fail("unknown_table", name=name, hint=did_you_mean(name, names))
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
    """x-archive x-validity x-sort x-label x-key x-alias x-columns x-tabs x-options x-access x-rights
    x-unique x-index""".split()
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
            "name": {"type": "string", "readOnly": True},
            "media_type": {"type": "string", "readOnly": True},
            "size": {"type": "integer", "readOnly": True},
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
            rules.append({name: value for name, value in whole.items() if name in RULES_OF_TABLES})
            whole = {name: value for name, value in whole.items() if name not in RULES_OF_TABLES}
        properties = dict(merged["properties"])
        for name, value in whole.get("properties", {}).items():
            both = isinstance(value, Mapping) and isinstance(properties.get(name), Mapping)
            properties[name] = {**properties[name], **value} if both else value
        merged.update(whole, properties=properties, required=[*merged["required"], *whole.get("required", [])])
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
        titled = document.get("info", {}) if "openapi" in document else document
        self.schema = Schema(title=str(titled.get("title") or "") if isinstance(titled, Mapping) else "")
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
        if reference == "#":
            return {word: value for word, value in self.document.items() if word not in ("$defs", *ROOT_WORDS)}
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
        link.read_only = link.key.read_only = bool(it.schema.get("readOnly"))
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
        if table in (link.source, link.target):
            raise SchemaError(path, "the rows of the link need a table of their own")
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
    """Check x-alias, x-columns, x-options and the form of x-tabs and x-rights, which are read from `Table.schema`."""
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
    _mapping(table.schema, "x-rights", path)


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
    required = [name for name in dict.fromkeys(wanted) if name in properties and not _only_shown(declared.get(name))]
    schema = {**rules, "type": "object", "properties": properties, "required": required}
    return {**_reachable(schema, document), **schema}


def _reachable(schema: Mapping[str, Json], document: Mapping[str, Json]) -> dict[str, Json]:
    """The definitions that a schema refers to, where its references look for them."""
    base = "#/components/schemas/" if "openapi" in document else "#/$defs/"
    definitions = (
        document.get("components", {}).get("schemas", {}) if "openapi" in document else document.get("$defs", {})
    )
    needed: dict[str, Json] = {}
    waiting = [reference for _, reference in _references(schema, "")]
    while waiting:
        name = waiting.pop().removeprefix(base)
        if name in definitions and name not in needed:
            needed[name] = definitions[name]
            waiting += [reference for _, reference in _references(definitions[name], "")]
    return {"components": {"schemas": needed}} if "openapi" in document else {"$defs": needed}


def _only_shown(schema: Json) -> bool:
    """Whether a field is one that clients cannot set: required then means that answers have it, as OpenAPI says."""
    return isinstance(schema, Mapping) and bool(schema.get("readOnly")) and "default" not in schema


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


# ======================================================================================================================
# 5  Queries
#
# The glossary of the program: what a dialect makes of a request, as data. It speaks of tables, fields and links, never
# of names, so that no later part can meet an unknown one. Filters follow SQL's three-valued logic. To add an operation:
# a dataclass here, one `case` in `guard`, one in `Writer.run`.
# ======================================================================================================================


@dataclass(frozen=True, slots=True)
class Path:
    """From a record along `links` to a field of the last target, or of the last link's own row.

    Without a field it means the link itself: its number of records. `within` are keys into a JSON value, or one part
    of a date (`("month",)`).
    """

    links: tuple[Link, ...] = ()
    field: Field | None = None
    within: tuple[str, ...] = ()


DATE_PARTS: Mapping[str, str] = {
    "year": "%Y",
    "month": "%m",
    "day": "%d",
    "hour": "%H",
    "minute": "%M",
    "second": "%S",
    "week_day": "%w",
}

Operator = Literal[
    "eq", "lt", "lte", "gt", "gte", "in", "null", "empty", "contains", "startswith", "endswith", "like", "any", "same"
]
Case = Literal["exact", "ascii", "fold"]


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that is known when the operation runs: the actor's id, its groups, the moment, the day (UTC).

    `day` is the whole day as a Span, for comparisons with its ends.
    """

    name: Literal["me", "groups", "now", "today", "day"]


Operand: TypeAlias = SqlValue | Span | Variable | tuple[SqlValue, ...]


@dataclass(frozen=True, slots=True)
class Compare:
    """One comparison. On null it is unknown, except for `null`, `empty` and `any`, which are never unknown.

    `value` is what the field's kind stores; a `Span` on a date compares with the whole interval; a tuple is the list
    of `in`, `any` and `same`. `case` says how text is compared: `fold` ignores case as `str.lower` does.
    """

    path: Path
    op: Operator
    value: Operand = None
    case: Case = "exact"


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts; `And(())` is true."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts; `Or(())` is false."""

    parts: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: Filter


@dataclass(frozen=True, slots=True)
class Some:
    """There is a choice of linked records, one for each link in `where`, for which `where` is true.

    Where a link leads to no record, the choice is a record of nulls. All paths inside share the choice. It is true or
    false, never unknown.
    """

    where: Filter


Filter: TypeAlias = Compare | And | Or | Not | Some
TRUE: Filter = And()
FALSE: Filter = Or()


@dataclass(frozen=True, eq=False)
class Sight:
    """What an actor may see: of a table in `rules` the records for which its filter is true, of any other all.

    What is not seen is not there: it is in no list, count, embedded link or order, and a key that leads to it is null.
    `single` has the rules for a record that is asked for by its key. The filters have no variables any more.
    """

    rules: Mapping[Table, Filter] = field(default_factory=dict)
    single: Mapping[Table, Filter] = field(default_factory=dict)

    def also(self, table: Table, keys: Iterable[int]) -> Sight:
        """The same, and the records with these ids when they are asked for by them."""
        found = Or((self.single.get(table, TRUE), Compare(Path((), table.id), "in", tuple(keys))))
        return Sight(self.rules, {**self.single, table: found})

    def listed(self, table: Table) -> Sight:
        """The same, where records of a table are asked for by a filter: they have to be in its lists too."""
        rule, single = self.rules.get(table), self.single.get(table)
        if rule in (None, single):
            return self
        both = rule if single is None else And((rule, single))
        return Sight(self.rules, {**self.single, table: both})


FULL_SIGHT = Sight()


@dataclass(frozen=True, slots=True)
class Sort:
    """One term of an order. A path that ends at a link orders by the number of linked records."""

    path: Path
    down: bool = False
    nulls: Literal["first", "last"] = "last"
    case: Literal["exact", "ascii"] = "exact"


@dataclass(frozen=True, slots=True)
class Matching:
    """One term of an order: the records for which `where` is true come first."""

    where: Filter


@dataclass(frozen=True, slots=True)
class Page:
    """A window of the records: at most `limit` (None: all) from number `offset` on, counted from 0."""

    limit: int | None
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Everything:
    """Valid at any time."""


@dataclass(frozen=True, slots=True)
class On:
    """Valid on the day (YYYY-MM-DD, both ends of the validity included)."""

    day: str


@dataclass(frozen=True, slots=True)
class From:
    """Valid on the day or later: not ended before it."""

    day: str


@dataclass(frozen=True, slots=True)
class To:
    """Valid on the day or earlier: not beginning after it."""

    day: str


Validity: TypeAlias = Everything | On | From | To


@dataclass(frozen=True, slots=True)
class Scope:
    """Which records a list means, by archive and validity; tables without these ignore it."""

    archived: Literal["no", "only", "trash", "all"] = "no"
    validity: Validity = Everything()


ANY_STATE = Scope("all", Everything())


# ---- what comes out ----


@dataclass(frozen=True, slots=True)
class Col:
    """The value at a path, spelt in a style."""

    path: Path
    style: Style = PLAIN


@dataclass(frozen=True, slots=True)
class Const:
    """The same JSON value in every record."""

    value: Json

    def __hash__(self) -> int:
        return hash(dump_json(self.value))


@dataclass(frozen=True, slots=True)
class Text:
    """A text put together from constants and values."""

    parts: tuple[str | Shape, ...]


@dataclass(frozen=True, slots=True)
class First:
    """The first of the parts that is not null."""

    parts: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Obj:
    """A JSON object, keys in this order."""

    pairs: tuple[tuple[str, Shape], ...]


@dataclass(frozen=True, slots=True)
class Arr:
    """A JSON array of fixed length."""

    items: tuple[Shape, ...]


@dataclass(frozen=True, slots=True)
class Sub:
    """The linked records, each in `shape`: an array when `many` (also for a unique link), else one of them or null.

    They stand in the order of the link, unless `sort` says otherwise.
    """

    link: Link
    shape: Shape
    many: bool
    sort: tuple[Sort, ...] = ()


Shape: TypeAlias = Col | Const | Text | First | Obj | Arr | Sub


class Row(NamedTuple):
    """One record of an answer: its id, its version, the value of `Select.mark`, and its finished JSON text."""

    key: int
    version: int
    mark: SqlValue
    text: str


class Outcome(NamedTuple):
    """What an operation gave: records, their total where asked for, the number of records or links that changed.

    `parts` are the outcomes of a Batch; `made` says that a record is new, where it could have been there.
    """

    rows: Sequence[Row] = ()
    total: int | None = None
    changed: int = 0
    parts: tuple[Outcome, ...] = ()
    made: bool = False


# ---- what is asked ----


class Key(NamedTuple):
    """What names one record: its id, or a unique field and its value."""

    field: Field
    value: SqlValue


class Parent(NamedTuple):
    """The record whose linked records are meant."""

    link: Link
    key: Key


ANY_MEDIA_TYPE = "application/octet-stream"
"""Of a file: bytes of whatever kind. Of a field: files of any type."""


@dataclass(frozen=True, eq=False, slots=True)
class Upload:
    """A file that a request brings: `size` bytes of an open file, from `start` on, which lasts as long as the request.

    The name is one part of a path, the media type has the form `type/subtype`, in lower case.
    """

    name: str
    media_type: str
    size: int
    source: IO[bytes]
    start: int = 0

    def pieces(self) -> Iterator[bytes]:
        """The content, cut into pieces of `PIECE_BYTES`."""
        for done in range(0, self.size, PIECE_BYTES):
            self.source.seek(self.start + done)
            yield self.source.read(min(PIECE_BYTES, self.size - done))


@dataclass(frozen=True, slots=True)
class Item:
    """One linked record in a `Change`: an existing one by key, a new one by values, or both; a new file by its upload.

    `row` are values of the link's own row. `found` says whether an existing record takes the values too, `missing`
    what happens when the key leads nowhere.
    """

    key: Key | None = None
    values: Mapping[Field, SqlValue] = field(default_factory=dict)
    links: Mapping[Link, Change] = field(default_factory=dict)
    row: Mapping[Field, SqlValue] = field(default_factory=dict)
    found: Literal["link", "update"] = "link"
    missing: Literal["refuse", "skip", "create"] = "refuse"
    upload: Upload | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """How a link of one record changes; `items` None means all that are linked (for `remove`).

    `taken` says what happens to a target that belongs to another record and can belong to one only.
    """

    how: Literal["replace", "add", "remove", "toggle"]
    items: tuple[Item, ...] | None
    taken: Literal["move", "refuse"] = "refuse"


@dataclass(frozen=True, slots=True)
class Select:
    """Read records: those of `table`, or with `parent` those linked to it, whose existence is then required.

    `single` says that `where` names one record by its key, which other rights may hold for than for lists.
    """

    table: Table
    shape: Shape
    where: Filter = TRUE
    scope: Scope = ANY_STATE
    sort: tuple[Sort | Matching, ...] = ()
    page: Page = Page(None)
    total: bool = False
    parent: Parent | None = None
    mark: Path | None = None
    single: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """Make one record; with `parent` it is linked to it, `row` being values of that link's row.

    `faults` are violations that reading the values has found; they are reported together with those of the schema.
    """

    table: Table
    values: Mapping[Field, SqlValue]
    links: Mapping[Link, Change]
    shape: Shape
    parent: Parent | None = None
    row: Mapping[Field, SqlValue] = field(default_factory=dict)
    key: int | None = None
    faults: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Change all records that `where` and `scope` choose. `expect` is the version that the caller has seen."""

    table: Table
    where: Filter
    values: Mapping[Field, SqlValue]
    links: Mapping[Link, Change]
    shape: Shape
    scope: Scope = ANY_STATE
    parent: Parent | None = None
    row: Mapping[Field, SqlValue] = field(default_factory=dict)
    expect: int | None = None
    faults: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove all records that `where` and `scope` choose, with what `x-delete` asks for."""

    table: Table
    where: Filter
    scope: Scope = ANY_STATE
    parent: Parent | None = None
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class Archive:
    """Make records active (0), archived (1) or put them into the trash (2)."""

    table: Table
    where: Filter
    status: Status
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class Relink:
    """Change one link of one record. The outcome's rows are the parent, `changed` the number of links that did."""

    parent: Parent
    change: Change
    shape: Shape
    expect: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Give a record another place in the manual order of its table.

    `at` takes the target's place, `after` the one behind it; `first` and `last` need no target; `top` sets the order
    to 0. The record takes the target's value of the order's scope, or `scope_value`.
    """

    table: Table
    key: Key
    place: Literal["at", "after", "first", "last", "top"]
    target: Key | None = None
    scope_value: SqlValue | Literal["keep"] = "keep"


@dataclass(frozen=True, slots=True)
class Upsert:
    """Update the first record of `where` (or only read it, when `update` is a Select), or create one."""

    where: Filter
    create: Create
    update: Update | Select


@dataclass(frozen=True, slots=True)
class Batch:
    """Several operations in one transaction, or in one snapshot when all are Selects."""

    operations: tuple[Operation, ...]


Operation: TypeAlias = Select | Create | Update | Delete | Archive | Relink | Move | Upsert | Batch


# ======================================================================================================================
# 6  Names
#
# From the words of a request to the objects of the registry: `Names` is one table as one dialect and one actor see it,
# and its `path` the only resolver. Here are the two readers that all dialects share: that of filters in JSON, which are
# also the language of rules, and that of the values of a body. A dialect says in its `Manner` how it treats what is
# unexpected.
# ======================================================================================================================


@dataclass(frozen=True)
class Manner:
    """What a dialect does where the originals differ; shared code reads it, no dialect tests its own name.

    `name` is the dialect's name in `x-alias`, `words` are its names of the system columns, `id_word` that of the id;
    `unknown_key` and `read_only_key` say what becomes of such keys.
    """

    name: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    id_word: str = "id"
    style: Style = PLAIN
    fold_names: bool = False
    shows_keys: bool = False
    unknown_key: Literal["refuse", "drop"] = "refuse"
    read_only_key: Literal["refuse", "drop"] = "refuse"
    case: Case = "exact"
    order_case: Literal["exact", "ascii"] = "exact"
    nulls: tuple[Literal["first", "last"], Literal["first", "last"]] = ("last", "last")

    def sort(self, path: Path, down: bool) -> Sort:
        """A term of an order with this dialect's place for nulls and case of text."""
        return Sort(path, down, self.nulls[down], self.order_case)


NOCOBASE_WORDS: Mapping[str, str] = {
    "createdAt": "_created",
    "updatedAt": "_modified",
    "createdById": "_created_by",
    "updatedById": "_modified_by",
}
RULE_MANNER = Manner(
    words={**NOCOBASE_WORDS, "owner": "_owner", "group": "_group", "access": "_access", "branch": "_branch"},
    shows_keys=True,
    nulls=("last", "last"),
)
"""How the rules of a schema file (`x-tabs`, `x-rights`) name things: NocoBase's names, and the four of ownership."""


@dataclass(frozen=True)
class Names:
    """One table as one dialect and one actor see it: from words to fields and links.

    `hidden` holds what this actor may not see; it is unknown to it. What is `locked` it cannot set. `row` is the link
    through which the table was reached: the columns of that link's own row are reached by the name of its table.
    """

    table: Table
    manner: Manner
    hidden: frozenset[Field | Link] = frozenset()
    row: Link | None = None
    locked: frozenset[Field | Link] = frozenset()

    def find(self, word: str, writing: bool = False) -> Field | Link | None:
        """The field or link of that name. Fields that are never shown are found for writing only."""
        member = self.table.members.get(word)
        if member is None and self.manner.fold_names:
            member = self.table.by_fold.get(word.lower())
        if member is None:
            member = self._other(word)
        if member is None or member in self.hidden or (member.write_only and not writing):
            return None
        return member

    def _other(self, word: str) -> Field | Link | None:
        if word in self.manner.words:
            return self.table.system.get(self.manner.words[word])
        if word in self.table.aliases(self.manner.name):
            return self.table.members[self.table.aliases(self.manner.name)[word]]
        if word == self.manner.id_word or (self.manner.fold_names and word.lower() == self.manner.id_word):
            return self.table.id
        if word == "id" and self.table.shows_id:
            return self.table.id
        if self.manner.shows_keys:
            links = (link for link in self.table.links.values() if link not in self.hidden)
            return next((link.key for link in links if link.key and link.key.name == word), None)
        return None

    def at(self, link: Link) -> Names:
        """The names at the other end of a link."""
        return Names(link.target, self.manner, self.hidden, link, self.locked)

    def of_row(self, word: str) -> Names | None:
        """The names of the link's own row, when `word` is the name of its table."""
        if self.row and self.row.through and self.row.through.name == word:
            return Names(self.row.through, self.manner, self.hidden, locked=self.locked)
        return None

    def may_set(self, member: Field | Link) -> bool:
        """Whether a body may set a field or a link."""
        is_system = isinstance(member, Field) and member.is_system
        return not (member.read_only or is_system or member in self.locked)

    def path(self, words: Sequence[str]) -> Path:
        """The path that the words spell. ApiError `unknown_field` or `filter_too_large`."""
        names, links = self, list[Link]()
        for number, word in enumerate(words):
            member = names.find(word)
            if isinstance(member, Link):
                links.append(member)
                names = names.at(member)
                if len(links) > MAX_FILTER_LINKS:
                    raise fail("filter_too_large", reason=f"more than {MAX_FILTER_LINKS} links in one path")
            elif isinstance(member, Field):
                return Path(tuple(links), member, names.within(member, words[number + 1 :]))
            else:
                names = names.of_row(word) or names.refuse(word)
        return Path(tuple(links))

    def within(self, member: Field, words: Sequence[str]) -> tuple[str, ...]:
        """Check the words behind a field: keys of a JSON value."""
        for word in words:
            if member.kind.name != "json" or '"' in word or any(ord(letter) < 32 for letter in word):
                raise fail("unknown_field", name=f"{member.name}.{word}", table=self.table.name)
        return tuple(words)

    def known(self) -> list[str]:
        """The names that this actor may see."""
        aliases = self.table.aliases(self.manner.name)
        words = (*self.table.members, *self.manner.words, *aliases, self.manner.id_word, "id")
        return [name for name in dict.fromkeys(words) if self.find(name)]

    def refuse(self, word: str) -> Names:
        """Raise `unknown_field` for a word."""
        raise fail("unknown_field", name=word, table=self.table.name, hint=did_you_mean(word, self.known()))


def check_operator(path: Path, op: Operator) -> None:
    """ApiError `unknown_operator` when the operator does not apply to what the path leads to."""
    allowed = operators_of(path)
    if op not in allowed:
        name = path.field.name if path.field else path.links[-1].name
        raise fail("unknown_operator", name=op, field=name, allowed=", ".join(sorted(allowed)))


def operators_of(path: Path) -> frozenset[str]:
    """The operators that apply to what a path leads to."""
    if path.field is None:
        return frozenset({"null"})
    return KINDS["scalar"].operators if path.within and path.field.kind.name == "json" else path.field.kind.operators


# ---- filters in JSON: NocoBase's, also the language of rules ----

JsonOperator: TypeAlias = Callable[["_JsonFilter", Path, Json], Filter]


def filter_from_json(names: Names, value: Json, variables: bool = False) -> Filter:
    """Read a filter in NocoBase's JSON form ("HTTP API", filter; "Filter operators").

    `variables` allows `$me`, `$groups`, `$now` and `$today` as values, as rules do. ApiError names what is wrong:
    `unknown_field`, `unknown_operator`, `bad_filter`, `filter_too_large`.
    """
    where = _JsonFilter(names, variables).read((), value, 0)
    return Some(where) if any(path.links for path in paths_of(where)) else where


def rule_from_json(table: Table, value: Json, hidden: frozenset[Field | Link] = frozenset()) -> Filter:
    """Read a filter as the schema writes one, with variables. ApiError as above, also for what is `hidden`."""
    return filter_from_json(Names(table, RULE_MANNER, hidden), value, variables=True)


def compares_of(where: Filter) -> Iterator[Compare]:
    """Every comparison in a filter."""
    match where:
        case Compare():
            yield where
        case And(parts) | Or(parts):
            for part in parts:
                yield from compares_of(part)
        case Not(part) | Some(part):
            yield from compares_of(part)
        case _:
            assert_never(where)


def paths_of(where: Filter) -> Iterator[Path]:
    """Every path in a filter."""
    return (compare.path for compare in compares_of(where))


def by_key(table: Table, where: Filter) -> bool:
    """Whether a filter names records by their keys, whatever else it asks for."""
    parts = where.parts if isinstance(where, And) else (where,)
    keys = (Path((), table.id), Path((), table.address))
    return any(isinstance(part, Compare) and part.path in keys and part.op in ("eq", "in") for part in parts)


class _JsonFilter:
    """Reads one filter; counts its terms."""

    def __init__(self, names: Names, variables: bool) -> None:
        self.names, self.variables = names, variables
        self.nodes = self.terms = 0
        self.word = "$eq"
        self.links: set[tuple[Link, ...]] = set()

    def read(self, prefix: tuple[str, ...], value: Json, depth: int) -> Filter:
        self.count(1)
        if depth > MAX_FILTER_DEPTH:
            raise fail("filter_too_large", reason=f"it nests deeper than {MAX_FILTER_DEPTH}")
        if isinstance(value, Mapping):
            parts = [self.entry(prefix, key.split("."), inner, depth) for key, inner in value.items()]
            return _all(part for part in parts if part is not None)
        if not prefix and value != []:
            raise fail("bad_filter", name="filter", reason="write an object")
        return self.compare(prefix, "$eq", value) if prefix else TRUE

    def entry(self, prefix: tuple[str, ...], words: list[str], value: Json, depth: int) -> Filter | None:
        """One key with its value; None when it sets no condition."""
        at = next((number for number, word in enumerate(words) if word.startswith("$")), len(words))
        if len(words) > 2 * MAX_FILTER_LINKS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_LINKS} links in one path")
        prefix, words = (*prefix, *words[:at]), words[at:]
        if not words:
            return self.read(prefix, value, depth + isinstance(value, Mapping))
        word, rest = words[0], words[1:]
        if rest:
            raise fail("bad_filter", name=".".join([*prefix, *words]), reason="an operator stands last")
        if word in ("$and", "$or"):
            return self.group(prefix, word, value, depth)
        if word == "$not" and isinstance(value, dict | list) and not (prefix and _is_plain_list(value)):
            parts = [self.read(prefix, part, depth + 1) for part in (value if isinstance(value, list) else [value])]
            return Not(_all(parts)) if parts else None
        return self.compare(prefix, word, value)

    def group(self, prefix: tuple[str, ...], word: str, value: Json, depth: int) -> Filter | None:
        if not isinstance(value, list):
            raise fail("bad_filter", name=word, reason="write a list")
        parts = tuple(self.read(prefix, part, depth + 1) for part in value)
        return None if not parts else And(parts) if word == "$and" else Or(parts)

    def count(self, nodes: int, terms: int = 0) -> None:
        """Count what has been read. ApiError `filter_too_large`."""
        self.nodes, self.terms = self.nodes + nodes, self.terms + terms
        if self.terms > MAX_FILTER_TERMS or self.nodes > 4 * MAX_FILTER_TERMS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_TERMS} terms")

    def compare(self, prefix: tuple[str, ...], word: str, value: Json) -> Filter:
        self.count(0, len(value) if isinstance(value, list) and word not in ("$in", "$notIn", "$eq", "$ne") else 1)
        if not prefix:
            raise fail("bad_filter", name=word, reason="write the field before the operator")
        path = self.names.path(prefix)
        self.links.update(path.links[:size] for size in range(1, len(path.links) + 1))
        if len(self.links) > MAX_FILTER_LINKS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_LINKS} links")
        if word not in JSON_OPERATORS:
            allowed = ", ".join(JSON_OPERATORS)
            raise fail("unknown_operator", name=word, field=".".join(prefix), allowed=allowed)
        self.word = word
        if path.field is None and word not in ("$exists", "$notExists"):
            raise fail(
                "bad_filter", name=".".join(prefix), reason="it is a link; name one of its fields, or use $exists"
            )
        return JSON_OPERATORS[word](self, path, value)

    def make(self, op: Operator, path: Path, value: Json = None, case: Case = "exact") -> Filter:
        if op not in operators_of(path):
            name = path.field.name if path.field else path.links[-1].name
            allowed = ", ".join(sorted(operators_of(path)))
            raise fail("unknown_operator", name=self.word, field=name, allowed=allowed)
        return Compare(path, op, None if op in ("null", "empty") else self.operand(path, op, value), case)

    def operand(self, path: Path, op: Operator, value: Json) -> Operand:
        if self.variables and isinstance(value, str) and value in ("$me", "$groups", "$now", "$today"):
            return Variable(value[1:])  # type: ignore[arg-type]
        if op in ("in", "any", "same"):
            items = value if isinstance(value, list) else [value]
            return tuple(self.value(path, item) for item in items if item is not None)
        return self.value(path, value)

    def value(self, path: Path, value: Json) -> SqlValue:
        """A value as the field stores it; texts of a query are read by the field's kind."""
        assert path.field
        kind = KINDS["scalar"] if path.within else path.field.items or path.field.kind
        if kind.name in ("list", "choices"):
            kind = KINDS["scalar"]
        try:
            if (
                kind.is_text
                and kind.name != "scalar"
                and isinstance(value, int | float)
                and not isinstance(value, bool)
            ):
                return str(value)
            return (
                kind.parse_text(value) if isinstance(value, str) and kind.name != "scalar" else kind.parse_json(value)
            )
        except BadValue as error:
            raise fail("bad_value", value=dump_json(value), field=path.field.name, expected=error) from None

    def span(self, path: Path, value: Json) -> Span | Variable:
        if self.variables and value in ("$now", "$today"):
            return Variable("now" if value == "$now" else "day")
        if path.field is None or not (path.field.kind.is_date or path.within):
            raise fail("bad_filter", name=path.field.name if path.field else "", reason="it is no date")
        try:
            return parse_span(value if isinstance(value, str) else "")
        except ValueError:
            raise fail("bad_value", value=dump_json(value), field=path.field.name, expected="a date") from None


def _is_plain_list(value: Json) -> bool:
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)


def _all(parts: Iterable[Filter]) -> Filter:
    found = tuple(parts)
    return found[0] if len(found) == 1 else And(found)


def or_null(where: Filter, path: Path) -> Filter:
    """The filter, or the field is null."""
    return Or((where, Compare(path, "null")))


def _json_eq(reader: _JsonFilter, path: Path, value: Json) -> Filter:
    if value is None:
        return Compare(path, "null")
    return reader.make(
        "in" if isinstance(value, list) or (reader.variables and value == "$groups") else "eq", path, value
    )


def _json_ne(reader: _JsonFilter, path: Path, value: Json) -> Filter:
    if value is None:
        return Not(Compare(path, "null"))
    return or_null(Not(_json_eq(reader, path, value)), path)


def _json_not(reader: _JsonFilter, path: Path, value: Json) -> Filter:
    return Not(Compare(path, "null")) if value is None else Not(_json_eq(reader, path, value))


def _json_not_in(reader: _JsonFilter, path: Path, value: Json) -> Filter:
    if value == []:
        return Compare(path, "null")  # sic: the original selects the null rows only
    return or_null(Not(reader.make("in", path, value)), path)


def _json_between(reader: _JsonFilter, path: Path, value: Json) -> Filter:
    first, last = _pair(path, value)
    return And((reader.make("gte", path, first), reader.make("lte", path, last)))


def _pair(path: Path, value: Json) -> tuple[Json, Json]:
    if not isinstance(value, list) or len(value) != 2:
        raise fail("bad_filter", name=path.field.name if path.field else "", reason="write a list of two values")
    return value[0], value[1]


def _plain(op: Operator, negative: bool = False) -> JsonOperator:
    def read(reader: _JsonFilter, path: Path, value: Json) -> Filter:
        where = reader.make(op, path, value)
        return Not(where) if negative else where

    return read


def _search(op: Operator, negative: bool = False) -> JsonOperator:
    """Text search without regard to ASCII case; a list means any of its items (negative: none of them)."""

    def read(reader: _JsonFilter, path: Path, value: Json) -> Filter:
        items = value if isinstance(value, list) else [value]
        parts = tuple(reader.make(op, path, item, "ascii") for item in items)
        return And(tuple(Not(part) for part in parts)) if negative else Or(parts) if len(parts) != 1 else parts[0]

    return read


def _presence(op: Literal["null", "empty"], negative: bool = False) -> JsonOperator:
    def read(reader: _JsonFilter, path: Path, value: Json) -> Filter:
        where = Compare(Path(path.links, path.links[-1].target.id) if path.field is None else path, op)
        return Not(where) if negative else where

    return read


def _truth(expected: bool) -> JsonOperator:
    def read(reader: _JsonFilter, path: Path, value: Json) -> Filter:
        wanted = expected != (value in (False, "false"))
        where = reader.make("eq", path, wanted)
        return where if wanted else or_null(where, path)

    return read


def _date(op: Operator, negative: bool = False) -> JsonOperator:
    def read(reader: _JsonFilter, path: Path, value: Json) -> Filter:
        where = Compare(path, op, reader.span(path, value))
        return Not(where) if negative else where

    return read


INTERVAL = re.compile(r"([\[(])([^,]+),([^,\])]+)([\])])(Z|[+-]\d\d:\d\d)?")


def _json_date_between(reader: _JsonFilter, path: Path, value: Json) -> Filter:
    match = INTERVAL.fullmatch(value) if isinstance(value, str) else None
    zone = match[5] or "" if match else ""
    first, last = (match[2] + zone, match[3] + zone) if match else _pair(path, value)
    lower: Operator = "gt" if match and match[1] == "(" else "gte"
    upper: Operator = "lt" if match and match[4] == ")" else "lte"
    return And((Compare(path, lower, reader.span(path, first)), Compare(path, upper, reader.span(path, last))))


JSON_OPERATORS: Mapping[str, JsonOperator] = {
    "$eq": _json_eq,
    "$ne": _json_ne,
    "$is": _json_eq,
    "$not": _json_not,
    "$gt": _plain("gt"),
    "$gte": _plain("gte"),
    "$lt": _plain("lt"),
    "$lte": _plain("lte"),
    "$in": _plain("in"),
    "$notIn": _json_not_in,
    "$between": _json_between,
    "$notBetween": lambda reader, path, value: Not(_json_between(reader, path, value)),
    "$like": _plain("like"),
    "$notLike": _plain("like", negative=True),
    "$iLike": _plain("like"),
    "$notILike": _plain("like", negative=True),
    "$includes": _search("contains"),
    "$notIncludes": _search("contains", negative=True),
    "$startsWith": _search("startswith"),
    "$notStartsWith": _search("startswith", negative=True),
    "$endWith": _search("endswith"),
    "$endsWith": _search("endswith"),
    "$notEndWith": _search("endswith", negative=True),
    "$empty": _presence("empty"),
    "$notEmpty": _presence("empty", negative=True),
    "$match": _plain("same"),
    "$notMatch": _plain("same", negative=True),
    "$anyOf": _plain("any"),
    "$noneOf": _plain("any", negative=True),
    "$arrayEmpty": _presence("empty"),
    "$arrayNotEmpty": _presence("empty", negative=True),
    "$isTruly": _truth(True),
    "$isFalsy": _truth(False),
    "$exists": _presence("null", negative=True),
    "$notExists": _presence("null"),
    "$dateOn": _date("eq"),
    "$dateNotOn": _date("eq", negative=True),
    "$dateBefore": _date("lt"),
    "$dateNotBefore": _date("gte"),
    "$dateAfter": _date("gt"),
    "$dateNotAfter": _date("lte"),
    "$dateBetween": _json_date_between,
}


# ---- values in bodies ----


@dataclass(slots=True)
class Values:
    """What a body sets: values of fields, changes of links, and the violations found while reading."""

    fields: dict[Field, SqlValue] = field(default_factory=dict)
    links: dict[Link, Change] = field(default_factory=dict)
    faults: list[Violation] = field(default_factory=list)

    def check(self) -> Values:
        """These values, when nothing is wrong with them. ApiError lists what is."""
        if self.faults:
            raise ApiError(self.faults[0].rule, *self.faults)
        return self


LinkReader: TypeAlias = Callable[[Link, Json], Change]


def read_values(names: Names, body: Mapping[str, Json], read_link: LinkReader, text: bool = False) -> Values:
    """Resolve and read the members of a body; `text` when they come from a form, so that kinds read text.

    A file field takes an `Upload`; what else it takes is up to `read_link`, as with any link.
    Nothing is raised for a single member: all violations are collected in `Values.faults`.
    """
    result, known = Values(), names.known()
    for name, value in body.items():
        member = names.find(name, writing=True)
        if len(result.faults) >= MAX_VIOLATIONS:
            break
        if member is None:
            if names.manner.unknown_key == "refuse":
                hint = did_you_mean(name, known)
                result.faults.append(
                    Violation((name,), "unknown_field", {"name": name, "table": names.table.name, "hint": hint})
                )
        elif not names.may_set(member):
            if names.manner.read_only_key == "refuse":
                result.faults.append(Violation((name,), "read_only"))
        elif member in result.fields or member in result.links:
            result.faults.append(Violation((name,), "twice"))
        elif isinstance(value, Upload):
            _read_upload(result, member, value)
        elif isinstance(member, Link):
            _read_link(result, member, value, read_link)
        else:
            _read_field(result, member, value, text)
    return result


def _read_upload(result: Values, member: Field | Link, upload: Upload) -> None:
    if isinstance(member, Field) or not member.is_file:
        params = {"value": dump_json(upload.name), "expected": "no file"}
        result.faults.append(Violation((member.name,), "bad_value", params))
        return
    wanted = str(member.schema.get("contentMediaType", ANY_MEDIA_TYPE)).lower()
    if wanted not in (upload.media_type, ANY_MEDIA_TYPE):
        result.faults.append(Violation((member.name,), "contentMediaType", {"media_type": wanted}))
    result.links[member] = Change("replace", (Item(upload=upload),))


def read_items(parts: Iterable[Json], read_item: Callable[[Json], Item]) -> tuple[Item, ...]:
    """The linked records that a list of a body names; an ApiError says at which place of the list it is."""
    items = []
    for number, part in enumerate(parts):
        try:
            items.append(read_item(part))
        except ApiError as error:
            raise error.below(number) from None
    return tuple(items)


def _read_link(result: Values, link: Link, value: Json, read_link: LinkReader) -> None:
    try:
        result.links[link] = read_link(link, value)
    except ApiError as error:
        result.faults += error.below(link.name).violations


def _read_field(result: Values, member: Field, value: Json, text: bool) -> None:
    try:
        if text and isinstance(value, str):
            result.fields[member] = None if value == "" and not member.kind.is_text else member.kind.parse_text(value)
        elif text and isinstance(value, list) and member.items:
            result.fields[member] = dump_json(
                [member.items.to_json(member.items.parse_text(str(item))) for item in value]
            )
        else:
            result.fields[member] = member.parse_json(value)
    except BadValue as error:
        params = {"value": dump_json(value)[:100], "expected": error}
        result.faults.append(Violation((member.name,), "bad_value", params))


# ======================================================================================================================
# 7  SQL
#
# From section 5 to SQLite. `Sql` is text with its bound values and the only way to build a statement: names come from
# the registry and are quoted, values are bound. A Select is one statement, whose rows are finished JSON: links are
# correlated sub-selects, so nothing is asked twice and no join repeats a record. To add an operator, add a row to
# `OPERATORS` and the word in the dialects that speak it.
# ======================================================================================================================


class Sql(NamedTuple):
    """A piece of SQL and the values for its question marks."""

    text: str
    values: tuple[SqlValue, ...] = ()


@functools.lru_cache(maxsize=1024)
def _pieces(template: str) -> tuple[tuple[str, int | None], ...]:
    """A template cut at its holes: pairs of a text and the number of the part behind it."""
    counter = itertools.count()
    return tuple(
        (text, None if name is None else int(name) if name else next(counter))
        for text, name, _, _ in string.Formatter().parse(template)
    )


def sql(template: str, *parts: Sql) -> Sql:
    """Put parts into the holes of a template: `{}` in turn, or `{0}` by number. The template is always a constant.

    >>> sql("{0} between {1} and {1}", Sql("x"), bind(5))
    Sql(text='x between ? and ?', values=(5, 5))
    """
    texts: list[str] = []
    values: list[SqlValue] = []
    for text, hole in _pieces(template):
        texts.append(text)
        if hole is not None:
            texts.append(parts[hole].text)
            values += parts[hole].values
    return Sql("".join(texts), tuple(values))


def quoted(name: str) -> Sql:
    """An identifier.

    >>> quoted('a"b').text
    '"a""b"'
    """
    return Sql('"' + name.replace('"', '""') + '"')


def bind(value: SqlValue) -> Sql:
    """A value as a bound parameter."""
    return Sql("?", (value,))


def constant(text: str) -> Sql:
    """A text of the program or the registry as a constant, so that equal requests have equal statements."""
    return Sql("'" + text.replace("'", "''") + "'")


def join(separator: str, parts: Iterable[Sql], empty: str = "") -> Sql:
    """The parts with a separator between them; `empty` when there are none."""
    found = list(parts)
    if not found:
        return Sql(empty)
    return Sql(
        separator.join(part.text for part in found), tuple(itertools.chain.from_iterable(part.values for part in found))
    )


# ---- operators ----

ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class Comparison(NamedTuple):
    """What a row of `OPERATORS` gets: the column, the comparison, and the kind of what is compared."""

    column: Sql
    value: Operand
    case: Case
    kind: Kind

    @property
    def folded(self) -> tuple[Sql, Sql]:
        """Column and operand as they are searched, in the case that is asked for."""
        text = str(self.value)
        if self.case == "exact":
            return self.column, bind(text)
        if self.case == "ascii" or text.isascii():
            return sql("lower({})", self.column), bind(text.translate(ASCII_LOWER))
        return sql("fold({})", self.column), bind(text.lower())

    def moment(self, end: bool) -> Sql:
        """The bound at one end of a span. A date is its midnight, so a bound at midnight is a date."""
        assert isinstance(self.value, Span)
        text = self.value.end if end else self.value.start
        return bind(text.removesuffix("T00:00:00.000Z") if self.kind.name == "date" else text)


def _sql_eq(it: Comparison) -> Sql:
    if isinstance(it.value, Span):
        return sql("({0}>={1} and {0}<{2})", it.column, it.moment(False), it.moment(True))
    if it.case == "exact" or not isinstance(it.value, str):
        return sql("{}={}", it.column, bind(_plain_value(it.value)))
    if it.case == "ascii" or it.value.isascii():
        return sql("{}={} collate nocase", it.column, bind(it.value))
    return sql("{}={}", *it.folded)


def _order(sign: str, sign_of_span: str, end: bool) -> Callable[[Comparison], Sql]:
    def compare(it: Comparison) -> Sql:
        if isinstance(it.value, Span):
            return sql("{}" + sign_of_span + "{}", it.column, it.moment(end))
        return sql("{}" + sign + "{}", it.column, bind(_plain_value(it.value)))

    return compare


def _plain_value(value: Operand) -> SqlValue:
    assert not isinstance(value, Span | Variable | tuple), "guard binds variables, kinds read values"
    return value


def _listed(value: Operand) -> Sql:
    return bind(dump_json(list(value) if isinstance(value, tuple) else [value]))


def _sql_empty(it: Comparison) -> Sql:
    nothing = "[]" if it.kind.name in ("list", "choices") else "" if it.kind.is_text else None
    return (
        sql("{} is null", it.column)
        if nothing is None
        else sql("({0} is null or {0}={1})", it.column, constant(nothing))
    )


def _sql_contains(it: Comparison) -> Sql:
    if it.kind.name in ("list", "choices"):
        within = it._replace(column=Sql("value"), kind=KINDS["text"])
        element = _sql_contains(within) if isinstance(it.value, str) else _sql_eq(within)
        return sql(
            "case when {0} is not null then exists (select 1 from json_each({0}) where {1}) end", it.column, element
        )
    return sql("instr({},{})>0", *it.folded)


def _sql_startswith(it: Comparison) -> Sql:
    column, text = it.folded
    prefix = str(text.values[0])
    starts = sql("substr({},1,{})={}", column, bind(len(prefix)), text)
    if it.case != "exact" or not prefix or ord(prefix[-1]) >= 0xD7FF:
        return starts
    following = bind(prefix[:-1] + chr(ord(prefix[-1]) + 1))
    return sql("({0}>={1} and {0}<{2} and {3})", column, text, following, starts)


def _sql_endswith(it: Comparison) -> Sql:
    column, text = it.folded
    if it.value == "":
        return sql("case when {} is not null then 1 end", column)
    return sql("substr({},{})={}", column, bind(-len(str(text.values[0]))), text)


def _sql_same(it: Comparison) -> Sql:
    elements = "(select json_group_array(value) from (select distinct value from json_each({}) order by value))"
    return sql(
        "case when {} is not null then {}={} end", it.column, sql(elements, it.column), sql(elements, _listed(it.value))
    )


OPERATORS: Mapping[str, Callable[[Comparison], Sql]] = {
    "eq": _sql_eq,
    "lt": _order("<", "<", end=False),
    "lte": _order("<=", "<", end=True),
    "gt": _order(">", ">=", end=True),
    "gte": _order(">=", ">=", end=False),
    "in": lambda it: (
        sql("{} in (select value from json_each({}))", it.column, _listed(it.value))
        if it.value != ()
        else sql("case when {} is not null then 0 end", it.column)
    ),
    "null": lambda it: sql("{} is null", it.column),
    "empty": _sql_empty,
    "contains": _sql_contains,
    "startswith": _sql_startswith,
    "endswith": _sql_endswith,
    "like": lambda it: sql("{} like {}", it.column, bind(str(it.value))),
    "any": lambda it: sql(
        "exists (select 1 from json_each({}) where value in (select value from json_each({})))",
        it.column,
        _listed(it.value),
    ),
    "same": _sql_same,
}


def true_on_nulls(where: Filter) -> bool | None:
    """What a filter gives for a record in which everything is null: True, False, or None for unknown."""
    match where:
        case Compare(_, op):
            return True if op in ("null", "empty") else False if op == "any" else None
        case Not(part):
            inner = true_on_nulls(part)
            return None if inner is None else not inner
        case And(parts):
            found = {true_on_nulls(part) for part in parts}
            return False if False in found else None if None in found else True
        case Or(parts):
            found = {true_on_nulls(part) for part in parts}
            return True if True in found else None if None in found else False
        case Some():
            return None
        case _:
            assert_never(where)


# ---- the compiler ----


class Frame(NamedTuple):
    """One record in a statement: its table and alias, and the alias of the row of the link that led to it.

    `only_id` stands for the id where the table itself is not part of the statement.
    """

    table: Table
    alias: str
    row: Table | None = None
    row_alias: str = ""
    only_id: Sql | None = None

    def column(self, column: Field) -> Sql:
        """A column of this record or of its link's row."""
        if column.table is self.row and column.table is not self.table:
            return Sql(f"{self.row_alias}.{quoted(column.column).text}")
        if self.only_id and column is self.table.id:
            return self.only_id
        assert column.table is self.table, f"{column} is not in {self.table}"
        return Sql(f"{self.alias}.{quoted(column.column).text}")

    @property
    def id(self) -> Sql:
        """The record's id."""
        return self.column(self.table.id)


QUICK = frozenset({"eq", "lt", "lte", "gt", "gte", "in", "null"})
"""The operators that an index can answer."""
Joined: TypeAlias = Mapping[tuple[Link, ...], Frame]
"""The records that one choice of linked rows has taken, by the links that led to them."""


class Source(NamedTuple):
    """Where the records of a link come from: `from` and `where` of a sub-select, and their order."""

    frame: Frame
    tables: Sql
    where: Sql
    order: Sql


class Compiler:
    """Compiles one statement, in which nothing is seen that `sight` does not allow.

    It counts the aliases, so that equal requests give equal text.
    """

    def __init__(self, sight: Sight = FULL_SIGHT) -> None:
        self.sight = sight
        self.count = itertools.count()
        self.negations = 0
        self.by_row = False
        self.asked: set[Table] = set()

    def frame(self, table: Table, row: Table | None = None) -> Frame:
        """A record of a table under a new alias."""
        number = next(self.count)
        return Frame(table, f"t{number}", row, f"j{number}")

    # -- what may be seen --

    def hides(self, table: Table) -> bool:
        """Whether not all records of a table are seen; `asked` remembers which tables the statement depends on."""
        self.asked.add(table)
        return table in self.sight.rules

    def reads_null(self, column: Field) -> bool:
        """Whether a column is null where it leads to a record that is not seen."""
        return column.target is not None and column is not column.target.id and self.hides(column.target)

    def rules(self, frame: Frame, single: bool = False) -> list[tuple[Filter, Frame]]:
        """The rules for the record of a frame and the row of the link that led to it."""
        rules = self.sight.single if single else self.sight.rules
        frames = (frame, Frame(frame.row, frame.row_alias)) if frame.row else (frame,)
        self.asked.update(it.table for it in frames)
        return [(rules[it.table], it) for it in frames if it.table in rules]

    def rule(self, frame: Frame, single: bool = False, by_row: bool = True) -> Sql | None:
        """The condition that the record of a frame is seen, with the row of the link that led to it; None for always.

        `single` is a record that is asked for by its key. Where rules lead through links, `by_row` looks from each
        record; without it SQLite can start from the other end, which takes a time that tells that there is a record.
        """
        found = self.rules(frame, single)
        if not found:
            return None
        before = self.sight, self.by_row
        self.sight, self.by_row = FULL_SIGHT, by_row  # a rule itself looks at everything
        try:
            return join(" and ", [self.filter(rule, it) for rule, it in found])
        finally:
            self.sight, self.by_row = before

    def seen(self, frame: Frame, where: Sql, single: bool = False) -> Sql:
        """A condition, and that the record of a frame is seen, and the row of the link that led to it."""
        rule = self.rule(frame, single)
        return sql("{} and {}", where, rule) if rule else where

    def choice(self, frame: Frame, where: Filter, joined: Joined | None = None, of: Select | None = None) -> Sql | None:
        """A filter, and that the record of a frame is seen; None when both are always true. `of` is the statement.

        Nobody can tell by the time that a request takes what a hidden record holds: before its rule stands nothing but
        what an index answers, and of what collects other values first only one, which SQLite then starts from.
        """
        single = of is not None and of.single
        if not (self.sight.rules or self.sight.single) or not self.rules(frame, single):
            return None if where == TRUE else self.filter(where, frame, joined)
        parts = list(_terms(where))
        outside = self.indexed(parts, next(iter(joined)) if joined else ())
        rule = self.rule(frame, single, by_row=bool(outside) or (of is not None and of.parent is not None))
        assert rule
        found = [rule, *(self.filter(part, frame, joined) for part in outside)]
        inside = [self.filter(part, frame, joined) for part in parts if part not in outside]
        if inside:
            found.append(sql("case when {} then {} end", rule, join(" and ", inside)))
        return join(" and ", found)

    def indexed(self, parts: Sequence[Filter], links: tuple[Link, ...]) -> list[Filter]:
        """Those parts of a filter on the record behind some links that an index answers: all that compare, or one."""
        comparing, collecting = list[Filter](), list[Filter]()
        for part in parts:
            match part:
                case Compare(Path(found, Field() as column, ()), op) if found == links and op in QUICK:
                    if part.case != "fold" and column.has_index and not self.reads_null(column):
                        (collecting if op == "in" else comparing).append(part)
                case Some(inner) if _from_target(_first_links(inner), inner):
                    collecting.append(part)
        return comparing or collecting[:1]

    def seen_id(self, table: Table, key: Sql) -> Sql:
        """The id of a record that is seen; null for any other."""
        frame = self.frame(table)
        return sql(
            "(select {0} from {1} where {2})", frame.id, _table(frame), self.seen(frame, sql("{}={}", frame.id, key))
        )

    # -- filters --

    def filter(self, where: Filter, frame: Frame, joined: Joined | None = None) -> Sql:
        """A filter on the record of `frame`; `joined` are the choices of the `Some` around it."""
        match where:
            case Compare(path):
                if path.links and not (joined and path.links in joined):
                    return self.some(where, frame)
                return self.compare(where, joined[path.links] if joined and path.links else frame)
            case And(parts):
                return sql("({})", join(" and ", (self.filter(part, frame, joined) for part in parts), "1"))
            case Or(parts):
                return sql("({})", join(" or ", (self.filter(part, frame, joined) for part in parts), "0"))
            case Not(part):
                self.negations += 1
                inner = self.filter(part, frame, joined)
                self.negations -= 1
                return sql("not ({})", inner)
            case Some(part):
                return self.some(part, frame)
            case _:
                assert_never(where)

    def compare(self, where: Compare, frame: Frame) -> Sql:
        """One comparison with a column of the record."""
        column, kind = self.value(where.path, frame)
        if where.value is None and where.op not in ("null", "empty"):
            return Sql("null")  # a comparison with null is unknown
        if where.op in TEXT_SEARCH and len(str(where.value)) > MAX_SEARCH_LENGTH:
            raise fail("filter_too_large", reason=f"more than {MAX_SEARCH_LENGTH} characters to search for")
        return OPERATORS[where.op](Comparison(column, where.value, where.case, kind))

    def value(self, path: Path, frame: Frame) -> tuple[Sql, Kind]:
        """The plain value at the end of a path, its links aside, and its kind."""
        assert path.field
        column = frame.column(path.field)
        if path.field.target and self.reads_null(path.field):
            column = self.seen_id(path.field.target, column)
        if not path.within:
            return column, path.field.kind
        if path.field.kind.is_date:
            part = path.within[0]
            number = sql("cast(strftime({},{}) as integer)", constant(DATE_PARTS[part]), column)
            return (sql("({}+1)", number) if part == "week_day" else number), KINDS["integer"]
        keys = "$" + "".join(f".{dump_json(key)}" for key in path.within)
        return sql("json_extract({},{})", column, bind(keys)), KINDS["scalar"]

    def some(self, where: Filter, frame: Frame) -> Sql:
        """`Some`: conjuncts that share a first link form a group, each with choices of its own."""
        parts = [self.filter(part, frame) for part in _conjuncts(where) if not _first_links(part)]
        parts += [self.group(links, _all(group), frame) for links, group in _groups(where)]
        both = sql("({})", join(" and ", parts, "1"))
        return sql("coalesce({},0)", both) if self.negations else both  # Some is never unknown

    def group(self, links: set[Link], where: Filter, frame: Frame) -> Sql:
        """One group: from the target's side where no record of nulls and no outer field can matter, else by joins."""
        if _from_target(links, where) and not self.by_row:
            return self.member(next(iter(links)), where, frame)
        joined: dict[tuple[Link, ...], Frame] = {}
        tables = sql("(select 1) {}", self.joins(where, frame, joined))
        return sql("exists (select 1 from {} where {})", tables, self.filter(where, frame, joined))

    def member(self, link: Link, where: Filter, frame: Frame) -> Sql:
        """`key in (select ...)`, which starts at an index of the target."""
        inner = self.frame(link.target, link.through)
        joined: dict[tuple[Link, ...], Frame] = {(link,): inner}
        if link.key:
            mine, theirs, tables = frame.column(link.key), inner.id, _table(inner)
        elif link.back:
            assert link.back.key
            mine, theirs, tables = frame.column(link.source.id), inner.column(link.back.key), _table(inner)
        else:
            assert link.near and link.far
            mine, theirs = frame.column(link.source.id), inner.column(link.near)
            tables = sql("{} join {} on {}={}", _row_table(inner), _table(inner), inner.id, inner.column(link.far))
        tables = sql("{} {}", tables, self.joins(where, frame, joined))
        condition = self.choice(inner, where, joined) or Sql("1")
        found = sql("select {0} from {1} where {2} and {0} is not null", theirs, tables, condition)
        return sql("({0} is not null and {0} in ({1}))", mine, found) if link.key else sql("{} in ({})", mine, found)

    def joins(self, where: Filter, frame: Frame, joined: dict[tuple[Link, ...], Frame]) -> Sql:
        """Left joins for all links in a filter that are not joined yet; fills `joined`."""
        prefixes = {path.links[:size] for path in _direct_paths(where) for size in range(1, len(path.links) + 1)}
        result = []
        for links in sorted(prefixes, key=lambda links: (len(links), [link.name for link in links])):
            if links not in joined:
                near = joined[links[:-1]] if len(links) > 1 else frame
                joined[links] = self.frame(links[-1].target, links[-1].through)
                result.append(self.left_join(links[-1], near, joined[links]))
        return join(" ", result)

    def left_join(self, link: Link, near: Frame, far: Frame) -> Sql:
        """The join along one link. A record that is not seen is no row at all, not one of nulls beside others."""
        if link.key:
            return sql("left join {} on {}", _table(far), self.seen(far, sql("{}={}", far.id, near.column(link.key))))
        if link.back:
            assert link.back.key
            back = sql("{}={}", far.column(link.back.key), near.column(link.source.id))
            return sql("left join {} on {}", _table(far), self.seen(far, back))
        assert link.near and link.far and far.row
        row = self.seen(Frame(far.row, far.row_alias), sql("{}={}", far.column(link.near), near.column(link.source.id)))
        if self.hides(link.target):
            row = sql("{} and {} is not null", row, self.seen_id(link.target, far.column(link.far)))
        table = sql("{} on {}={}", _table(far), far.id, far.column(link.far))
        return sql("left join {} on {} left join {}", _row_table(far), row, table)

    # -- shapes --

    def shape(self, shape: Shape, frame: Frame) -> Sql:
        """The JSON expression of a record."""
        match shape:
            case Col(path, style):
                return self.col(path, style, frame)
            case Const(value):
                return (
                    bind(value)
                    if isinstance(value, str | int | None) and value not in (True, False)
                    else sql("json({})", bind(dump_json(value)))
                )
            case Text(parts):
                texts = (constant(part) if isinstance(part, str) else self.shape(part, frame) for part in parts)
                return join("||", [Sql("''"), *texts])
            case First(parts):
                return sql("coalesce({})", join(",", (self.shape(part, frame) for part in parts)))
            case Obj(pairs):
                members = [sql("{},{}", constant(key), self.shape(part, frame)) for key, part in pairs]
                return spliced("json_object({})", "{}", members)
            case Arr(items):
                return spliced("json_array({})", "[]", [self.shape(item, frame) for item in items])
            case Sub():
                return self.sub(shape, frame)
            case _:
                assert_never(shape)

    def col(self, path: Path, style: Style, frame: Frame) -> Sql:
        """A value, through links where the path has some, spelt in a style."""
        if path.field is None:
            return self.number_of_links(path, frame)
        if path.links:
            return self.through(
                path.links, frame, lambda inner: self.col(Path((), path.field, path.within), style, inner)
            )
        column, kind = self.value(path, frame)
        return sql(style.template(kind), column, _extra(path.field))

    def through(self, links: tuple[Link, ...], frame: Frame, render: Callable[[Frame], Sql]) -> Sql:
        """A scalar sub-select along links; of several linked records the first."""
        source = self.source(links[0], frame)
        inner = render(source.frame) if len(links) == 1 else self.through(links[1:], source.frame, render)
        return sql("(select {} from {} where {})", inner, source.tables, _first_row(links[0], source, source.order))

    def number_of_links(self, path: Path, frame: Frame) -> Sql:
        """The number of records that the path's last link leads to."""
        if len(path.links) > 1:
            return self.through(
                path.links[:-1], frame, lambda inner: self.number_of_links(Path(path.links[-1:]), inner)
            )
        source = self.source(path.links[0], frame)
        return sql("(select count(*) from {} where {})", source.tables, source.where)

    def sub(self, sub: Sub, frame: Frame) -> Sql:
        """The linked records as JSON."""
        link, all_seen = sub.link, not self.hides(sub.link.target)
        if link.key and all_seen and _shows_only_ids(sub.shape, link):
            key = frame.column(link.key)
            item = self.shape(sub.shape, Frame(link.target, "", only_id=key))
            template = (
                "case when {0} is null then json('[]') else json_array({1}) end"
                if sub.many
                else "case when {0} is not null then {1} end"
            )
            return sql(template, key, item)
        shown = [sub.shape, *(Col(term.path) for term in sub.sort)]
        only_ids = all_seen and all(_shows_only_ids(shape, link) for shape in shown)
        source = self.source(link, frame, only_ids)
        item = self.shape(sub.shape, source.frame)
        order = join(",", [*(self.sort(term, source.frame) for term in sub.sort), source.order])
        if not sub.many:
            return sql("(select {} from {} where {})", item, source.tables, _first_row(link, source, order))
        if not link.many:
            return sql("(select json_group_array({}) from {} where {})", item, source.tables, source.where)
        # A derived table loses the JSON subtype: objects are read again, other values are carried in an array of one.
        whole = isinstance(sub.shape, Obj | Arr)
        outer, inner = (Sql("json(x)"), item) if whole else (Sql("x->'$[0]'"), sql("json_array({})", item))
        rows = sql("select {} as x from {} where {} order by {}", inner, source.tables, source.where, order)
        return sql("(select json_group_array({}) from ({}))", outer, rows)

    def source(self, link: Link, frame: Frame, only_ids: bool = False) -> Source:
        """The records that a link leads to from one record."""
        inner = self.frame(link.target, link.through)
        if link.key:
            where = self.seen(inner, sql("{}={}", inner.id, frame.column(link.key)))
            return Source(inner, _table(inner), where, inner.id)
        if link.back:
            assert link.back.key
            where = self.seen(inner, sql("{}={}", inner.column(link.back.key), frame.column(link.source.id)))
            return Source(inner, _table(inner), where, inner.id)
        assert link.near and link.far and link.through
        where = self.seen(inner, sql("{}={}", inner.column(link.near), frame.column(link.source.id)))
        if only_ids:
            inner = inner._replace(only_id=inner.column(link.far))
            tables = _row_table(inner)
        else:
            tables = sql("{} join {} on {}={}", _row_table(inner), _table(inner), inner.id, inner.column(link.far))
        return Source(inner, tables, where, inner.column(link.through.id) if link.forward else inner.id)

    # -- statements --

    def past(self, table: Table, record: Mapping[Field, SqlValue], shape: Shape) -> Sql:
        """The statement for a record as it was: its columns are given; what its links lead to is as it is now."""
        frame = self.frame(table)
        columns = join(",", (sql("{} as {}", bind(value), quoted(column.column)) for column, value in record.items()))
        shown = row_expression(shape, frame, self.sight)
        return sql(
            "select {} from (select {}) {} where {}", shown, columns, Sql(frame.alias), self.seen(frame, Sql("1"))
        )

    def sort(self, term: Sort | Matching, frame: Frame) -> Sql:
        """One term of `order by`."""
        if isinstance(term, Matching):
            return sql("case when {} then 0 else 1 end", self.filter(term.where, frame))
        field_ = term.path.field
        if field_ is None:
            column = self.number_of_links(term.path, frame)
        elif term.path.links:
            column = self.through(
                term.path.links, frame, lambda inner: self.value(Path((), field_, term.path.within), inner)[0]
            )
        else:
            column = self.value(term.path, frame)[0]
        collate = " collate nocase" if term.case == "ascii" and field_ and field_.kind.is_text else ""
        nulls = "" if field_ is frame.table.id and not term.path.links else f" nulls {term.nulls}"
        return sql("{}" + collate + (" desc" if term.down else "") + nulls, column)

    def select(self, op: Select) -> Sql:
        """The statement of a Select: rows of id, version, mark and JSON text."""
        frame, tables, where = self.base(op)
        order = self.order(op, frame)
        limit = _limit(op.page)
        if op.sort and op.page.limit is not None:
            keys, of_keys, chosen = self.base(op)
            page = sql("select {} from {} where {}{}{}", keys.id, of_keys, chosen, self.order(op, keys), limit)
            linked = self.linked(op, frame)
            where, limit = sql("{} in ({}){}", frame.id, page, sql(" and {}", linked) if linked else Sql("")), Sql("")
        version = frame.column(op.table.system["_version"]) if op.table.tracked else Sql("0")
        mark = (
            self.value(op.mark, frame)[0]
            if op.mark and not op.mark.links
            else self.col(op.mark, PLAIN, frame)
            if op.mark
            else Sql("null")
        )
        columns = join(",", [frame.id, version, mark, row_expression(op.shape, frame, self.sight)])
        return sql("select {} from {} where {}{}{}", columns, tables, where, order, limit)

    def total(self, op: Select) -> Sql:
        """The number of records of a Select, its page aside."""
        _, tables, where = self.base(op)
        return sql("select count(*) from {} where {}", tables, where)

    def keys(self, op: Select) -> Sql:
        """The ids of a Select's records alone."""
        frame, tables, where = self.base(op)
        return sql("select {} from {} where {}{}{}", frame.id, tables, where, self.order(op, frame), _limit(op.page))

    def base(self, op: Select) -> tuple[Frame, Sql, Sql]:
        """The record's frame, the tables of the statement and its condition."""
        link = op.parent.link if op.parent else None
        frame = self.frame(op.table, link.through if link else None)
        tables = _table(frame)
        if link and link.through:
            assert link.far
            tables = sql("{} join {} on {}={}", tables, _row_table(frame), frame.id, frame.column(link.far))
        parts = [self.linked(op, frame), *self.scope(op.scope, frame)]
        parts.append(self.choice(frame, op.where, of=op))
        return frame, tables, join(" and ", (part for part in parts if part), "1")

    def linked(self, op: Select, frame: Frame) -> Sql | None:
        """The condition that a record is linked to the Select's parent."""
        if not op.parent:
            return None
        link, key = op.parent.link, self.key(op.parent)
        if link.key:
            column = quoted(link.key.column)
            return sql("{}=(select {} from {} where id={})", frame.id, column, quoted(link.source.name), key)
        if link.back:
            assert link.back.key
            return sql("{}={}", frame.column(link.back.key), key)
        assert link.near
        return sql("{}={}", frame.column(link.near), key)

    def key(self, parent: Parent) -> Sql:
        """The id of a Select's parent; null when it is not seen."""
        table = parent.link.source
        if parent.key.field is table.id and table not in self.sight.single:
            return bind(parent.key.value)
        return sql("({})", self.find(table, parent.key))

    def find(self, table: Table, key: Key) -> Sql:
        """The statement for the id of the record with a key."""
        frame = self.frame(table)
        where = self.seen(frame, sql("{}={}", frame.column(key.field), bind(key.value)), single=True)
        return sql("select {} from {} where {}", frame.id, _table(frame), where)

    def scope(self, scope: Scope, frame: Frame) -> Iterator[Sql]:
        """The conditions of a scope on a record, and of its validity on the link's row."""
        statuses = {"no": ACTIVE, "only": ARCHIVED, "trash": TRASH}
        if frame.table.archive and scope.archived in statuses:
            yield sql(f"{{}}={statuses[scope.archived]}", frame.column(frame.table.system["_status"]))
        for table in (frame.table, frame.row):
            if table and table.validity:
                first, last = (frame.column(end) for end in table.validity)
                match scope.validity:
                    case On(day):
                        yield sql("({0} is null or {0}<={2}) and ({1} is null or {1}>={2})", first, last, bind(day))
                    case From(day):
                        yield sql("({0} is null or {0}>={1})", last, bind(day))
                    case To(day):
                        yield sql("({0} is null or {0}<={1})", first, bind(day))
                    case Everything():
                        pass

    def order(self, op: Select, frame: Frame) -> Sql:
        """`order by`: what is asked for, else the link's order, the manual order, and always the id."""
        terms = [self.sort(term, frame) for term in op.sort]
        if not terms and op.parent and op.parent.link.through and op.parent.link.forward:
            terms.append(frame.column(op.parent.link.through.id))
        elif not terms and op.table.sort and not op.parent:
            terms.append(sql("{} nulls last", frame.column(op.table.sort.field)))
        return sql(" order by {}", join(",", [*terms, frame.id]))


def spliced(function: str, brackets: str, parts: Sequence[Sql]) -> Sql:
    """A JSON object or array of its parts, put together from several where there are more than SQLite takes."""
    if len(parts) <= MAX_OBJECT_PAIRS:
        return sql(function, join(",", parts))
    starts = range(0, len(parts), MAX_OBJECT_PAIRS)
    pieces = (sql(function, join(",", parts[start : start + MAX_OBJECT_PAIRS])) for start in starts)
    cut = "(select substr(o,2,length(o)-2) from (select {} as o limit 1))"
    inner = join("||','||", (sql(cut, piece) for piece in pieces))
    return sql("json({}||{}||{})", constant(brackets[0]), inner, constant(brackets[1]))


def row_expression(shape: Shape, frame: Frame, sight: Sight = FULL_SIGHT) -> Sql:
    """The JSON expression of a record, remembered with its table: most requests want a shape that was wanted before.

    One in which nothing was hidden serves all who see every record of the tables that were asked about.
    """
    remembered = bounded(frame.table.expressions).setdefault((shape, frame.row, frame.alias), {})
    asked, found = remembered.get(None, ((), None))
    if found is None or (sight.rules and not sight.rules.keys().isdisjoint(asked)):
        found = remembered.get(sight)
    if found is None:
        compiler = Compiler(sight)
        compiler.count = itertools.count(1)  # the record itself is number 0
        found = compiler.shape(shape, frame)
        bounded(remembered)
        if sight.rules.keys().isdisjoint(compiler.asked):
            remembered[None] = compiler.asked, found
        else:
            remembered[sight] = found
    assert isinstance(found, Sql)
    return found


def _first_row(link: Link, source: Source, order: Sql) -> Sql:
    """The condition that leaves one linked record. A sorter around its item would lose the JSON subtype."""
    if not link.many:
        return source.where
    row = source.frame.column(link.through.id) if link.through else source.frame.id
    first = sql("select {} from {} where {} order by {} limit 1", row, source.tables, source.where, order)
    return sql("{} and {}=({})", source.where, row, first)


def _limit(page: Page) -> Sql:
    if page.limit is None and not page.offset:
        return Sql("")
    return sql(" limit {} offset {}", bind(-1 if page.limit is None else page.limit), bind(page.offset))


def _extra(column: Field) -> Sql:
    """What the template of a style may need beside the column: a select's choices, the tag of an id's table."""
    if column.kind.name == "choices":
        return bind(dump_json(column.choices))
    return Sql(str(column.target.tag if column.target else 0))


def _table(frame: Frame) -> Sql:
    return sql("{} {}", quoted(frame.table.name), Sql(frame.alias))


def _row_table(frame: Frame) -> Sql:
    assert frame.row
    return sql("{} {}", quoted(frame.row.name), Sql(frame.row_alias))


def _conjuncts(where: Filter) -> Iterator[Filter]:
    if isinstance(where, And):
        for part in where.parts:
            yield from _conjuncts(part)
    else:
        yield where


def _direct_paths(where: Filter) -> Iterator[Path]:
    """The paths of a filter that are not inside a `Some` of their own."""
    match where:
        case Compare(path):
            yield path
        case And(parts) | Or(parts):
            for part in parts:
                yield from _direct_paths(part)
        case Not(part):
            yield from _direct_paths(part)
        case Some():
            return
        case _:
            assert_never(where)


def _has_some(where: Filter) -> bool:
    match where:
        case And(parts) | Or(parts):
            return any(_has_some(part) for part in parts)
        case Not(part):
            return _has_some(part)
        case _:
            return isinstance(where, Some)


def _terms(where: Filter) -> Iterator[Filter]:
    """The conjuncts of a filter, a `Some` of several cut into one for each group."""
    for part in _conjuncts(where):
        if isinstance(part, Some):
            for own in _conjuncts(part.where):
                if not _first_links(own):
                    yield from _terms(own)
            yield from (Some(_all(group)) for _, group in _groups(part.where))
        else:
            yield part


def _from_target(links: set[Link], where: Filter) -> bool:
    """Whether a group can be found from the target's side: no record of nulls and no outer field can matter."""
    own_fields = any(not path.links for path in _direct_paths(where)) or _has_some(where)
    return len(links) == 1 and not own_fields and true_on_nulls(where) is not True


def _first_links(where: Filter) -> set[Link]:
    return {path.links[0] for path in _direct_paths(where) if path.links}


def _groups(where: Filter) -> list[tuple[set[Link], list[Filter]]]:
    """The conjuncts that name links, put together where they share a first link."""
    groups: list[tuple[set[Link], list[Filter]]] = []
    for part in _conjuncts(where):
        links = _first_links(part)
        if not links:
            continue
        touching = [group for group in groups if group[0] & links]
        merged = set(links).union(*(group[0] for group in touching))
        groups = [group for group in groups if not group[0] & links]
        groups.append((merged, [*itertools.chain.from_iterable(group[1] for group in touching), part]))
    return groups


def _shows_only_ids(shape: Shape, link: Link) -> bool:
    """Whether a shape of linked records shows nothing but their ids and the link's own row."""
    match shape:
        case Col(path):
            row = link.through is not None and path.field is not None and path.field.table is link.through
            return not path.links and (path.field is link.target.id or row)
        case Const():
            return True
        case Text(parts):
            return all(isinstance(part, str) or _shows_only_ids(part, link) for part in parts)
        case First(parts) | Arr(parts):
            return all(_shows_only_ids(part, link) for part in parts)
        case Obj(pairs):
            return all(_shows_only_ids(part, link) for _, part in pairs)
        case Sub():
            return False
        case _:
            assert_never(shape)


# ---- definitions ----


def create_table(table: Table, name: str | None = None) -> Sql:
    """`create table`, with foreign keys that are checked at the commit."""
    keys = {link.key: link for link in table.links.values() if link.key}
    columns = [Sql('"id" integer primary key autoincrement' if table.tracked else '"id" integer primary key')]
    columns += [define_column(column, keys.get(column)) for column in table.columns if column is not table.id]
    return sql("create table {} ({})", quoted(name or table.name), join(", ", columns))


def define_column(column: Field, link: Link | None = None) -> Sql:
    """A column as `create table` and `alter table add column` write it."""
    defaults = {"_version": " not null default 1", "_status": " not null default 0"}
    rest = defaults.get(column.name, "") if column.is_system else ""
    text = sql("{} {}{}", quoted(column.column), Sql(column.kind.sql_type.lower()), Sql(rest))
    if not link:
        return text
    return sql("{} references {} (id) deferrable initially deferred", text, quoted(link.target.name))


def indexes_of(table: Table) -> dict[str, Sql]:
    """The statements that make a table's indexes, by name: unique rules, keys of links, and what `x-index` asks for.

    An index on one text has a second one without case beside it, for searches and orders that ignore it.
    """
    result: dict[str, Sql] = {}
    for columns in table.unique:
        name = index_name("unique", table, columns)
        result[name] = _index("create unique index", name, table, columns)
    for columns in (*((key,) for key in table.keys), *table.indexes):
        name = index_name("index", table, columns)
        result[name] = _index("create index", name, table, columns)
        if len(columns) == 1 and columns[0].kind.is_text:
            result[f"{name}:nocase"] = _index("create index", f"{name}:nocase", table, columns, " collate nocase")
    return result


def index_name(kind: Literal["unique", "index"], table: Table, columns: Iterable[Field]) -> str:
    """The name of an index; the colons keep it apart from every other name."""
    return ":".join([kind, table.name, *(column.column for column in columns)])


def _index(verb: str, name: str, table: Table, columns: Sequence[Field], collate: str = "") -> Sql:
    listed = join(", ", (Sql(quoted(column.column).text + collate) for column in columns))
    return sql(verb + " {} on {} ({})", quoted(name), quoted(table.name), listed)


# ======================================================================================================================
# 8  Access
#
# Who asks, and what that allows. The rights of a schema file (`x-rights`) become `Rights`: for each table and verb a
# filter, and the fields that are hidden or locked. `guard` is the one gate between a dialect and the Store: it refuses
# a verb that is allowed on no record, takes hidden fields out of shapes, binds the variables of filters to the actor
# and the moment, and holds the limits that are the same for all dialects. What the actor may see is one filter for each
# table (`Sight`); the compiler puts it wherever a record of that table comes into a statement. What a write does to a
# record is held against the verb's filter by the Writer, before and after.
# ======================================================================================================================


@dataclass(frozen=True)
class Actor:
    """Who asks. `id` is the record of `_users`, None for a server without authentication and for the examples.

    `token` is the record of `_tokens` that let it in, `session` the hash of the session that did, if one did. `scopes`
    narrow what the token may do: `read`, and `table:` with a name; none narrow nothing. `stamp` is another one after
    each change of the password.
    """

    id: int | None = None
    name: str = ""
    display_name: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[int, ...] = ()
    token: int | None = None
    session: str | None = None
    scopes: tuple[str, ...] = ()
    stamp: str = field(default="", repr=False)


NOBODY = Actor()
"""The actor of a server without authentication, and of the program itself: it may do everything."""
ANONYMOUS = Actor(roles=("anonymous",))
"""Who sends no credentials."""

Verb: TypeAlias = Literal["list", "get", "create", "update", "delete", "archive", "link"]
VERBS: tuple[Verb, ...] = ("list", "get", "create", "update", "delete", "archive", "link")
READING: tuple[Verb, ...] = ("list", "get")


class Grant(NamedTuple):
    """What one role may do in one table: a filter for each verb, and the fields that it does not see or cannot set."""

    rules: Mapping[Verb, Filter]
    hidden: frozenset[Field | Link] = frozenset()
    locked: frozenset[Field | Link] = frozenset()


EVERYTHING = Grant(dict.fromkeys(VERBS, TRUE))


@dataclass(frozen=True, eq=False)
class Rights:
    """What some roles may do: by table and verb the filter of the records concerned, where these are not all.

    `of_strangers` says that they are those of `ANONYMOUS`; `shapes` remembers shapes without what is hidden.
    """

    rules: Mapping[tuple[Table, Verb], Filter] = field(default_factory=dict)
    hidden: frozenset[Field | Link] = frozenset()
    locked: frozenset[Field | Link] = frozenset()
    of_strangers: bool = False
    shapes: dict[Shape, Shape] = field(default_factory=dict)

    def rule(self, table: Table, verb: Verb) -> Filter:
        """The filter of the records that a verb may be done to."""
        return self.rules.get((table, verb), TRUE)

    def allows(self, table: Table, *verbs: Verb) -> bool:
        """Whether one of the verbs may be done to any record of a table."""
        return any(self.rule(table, verb) != FALSE for verb in verbs)

    @functools.cached_property
    def variables(self) -> frozenset[str]:
        """The names of the variables in the rules."""
        compares = itertools.chain.from_iterable(map(compares_of, self.rules.values()))
        return frozenset(compare.value.name for compare in compares if isinstance(compare.value, Variable))

    @functools.cached_property
    def kept(self) -> frozenset[Field | Link]:
        """The fields and links that cannot be set: what is locked, and what is hidden."""
        return self.locked | self.hidden

    def time(self, moment: str) -> str:
        """So much of a moment as the rules speak of: nothing, its day, or the whole."""
        return moment if "now" in self.variables else moment[:10] if self.variables & {"today", "day"} else ""

    def shown(self, shape: Shape) -> Shape:
        """A shape without what is hidden."""
        if not self.hidden:
            return shape
        found = self.shapes.get(shape)
        if found is None:
            found = bounded(self.shapes)[shape] = without(shape, self.hidden) or Const(None)
        return found


ALL_RIGHTS = Rights()
UNSEEN_RULE = Violation((), "refused", {"text": "A rule for something that you do not see forbids this"})
"""What is said instead of a violation that would tell the name of a hidden field or table."""


def read_grants(table: Table) -> dict[str, Grant]:
    """The rights that a table gives, by role. SchemaError says where they are wrong."""
    path = f"{table.path}/x-rights"
    given: Mapping[str, Json] = table.schema.get("x-rights", EMPTY)
    return {role: read_grant(table, rights, f"{path}/{role}") for role, rights in given.items()}


def read_grant(table: Table, given: Json, path: str) -> Grant:
    """The rights of one role. SchemaError."""
    if not isinstance(given, Mapping):
        raise SchemaError(path, "must be an object: verbs, hide, readonly")
    known = (*VERBS, "*", "hide", "readonly")
    for word in given:
        if word not in known:
            raise SchemaError(path, f"{word!r} is no right; there are {', '.join(known)}{did_you_mean(word, known)}")
    rest = read_rule(table, given.get("*", False), f"{path}/*")
    rules = {verb: read_rule(table, given[verb], f"{path}/{verb}") if verb in given else rest for verb in VERBS}
    hidden, locked = (read_members(table, given.get(word, []), f"{path}/{word}") for word in ("hide", "readonly"))
    for member in hidden:
        if member in (table.label, table.key):
            raise SchemaError(f"{path}/hide", f"{member.name!r} names the records; see x-label and x-key")
        if member in (*(table.sort or ()), *(table.validity or ())):
            raise SchemaError(f"{path}/hide", f"{member.name!r} shows in every list; see x-sort and x-validity")
    return Grant(rules, hidden, locked)


def read_rule(table: Table, given: Json, path: str) -> Filter:
    """The rule of one verb: all records, none, or those of a filter. SchemaError."""
    if isinstance(given, bool):
        return TRUE if given else FALSE
    return read_filter(table, given, path)


def read_filter(table: Table, given: Json, path: str) -> Filter:
    """A filter at a place in the schema. SchemaError."""
    try:
        return rule_from_json(table, given)
    except ApiError as error:
        raise SchemaError(path, error.violations[0].message()) from None


def read_members(table: Table, given: Json, path: str) -> frozenset[Field | Link]:
    """Fields and links by name; with a link go its column and its other end. SchemaError."""
    if not isinstance(given, list):
        raise SchemaError(path, "must be a list of fields")
    for name in given:
        if not isinstance(name, str) or name not in table.members:
            raise SchemaError(path, f"{name!r} is no field of {table.name!r}{did_you_mean(str(name), table.members)}")
    found = [table.members[name] for name in given]
    links = {end for member in found if isinstance(member, Link) for end in (member, *member.opposites)}
    return frozenset((*found, *links, *(link.key for link in links if link.key)))


def rights_of(schema: Schema, actor: Actor) -> Rights:
    """What an actor may do, whatever the record. A server without authentication forbids nothing."""
    if actor is NOBODY or not (schema.restricted or actor.scopes or actor is ANONYMOUS):
        return ALL_RIGHTS
    place = (actor is ANONYMOUS, actor.roles, actor.scopes)
    found: Rights | None = schema.rights.get(place)
    if found is None:
        grants = {table: granted(table, actor) for table in schema.tables.values()}
        rules = {(table, verb): added(it.rules[verb] for it in grants[table]) for table in grants for verb in VERBS}
        rules = {key: rule for key, rule in rules.items() if rule != TRUE} | outside(schema, actor.scopes)
        nothing = frozenset[Field | Link]()
        hidden = nothing.union(*(common(allowing(of, READING), "hidden") for of in grants.values()))
        locked = nothing.union(
            *(common(allowing(of, ("create", "update", "link")), "locked") for of in grants.values())
        )
        found = bounded(schema.rights)[place] = Rights(rules, hidden, locked, actor is ANONYMOUS)
    return found


def granted(table: Table, actor: Actor) -> list[Grant]:
    """The rights that an actor's roles have in a table.

    Without `x-rights` everybody who has signed in may do everything. `*` is every role but `anonymous`; `admin` may do
    everything where the table does not name it.
    """
    if "x-rights" not in table.schema:
        return [] if actor is ANONYMOUS else [EVERYTHING]
    grants = {"admin": EVERYTHING} | read_grants(table)
    roles = actor.roles if actor is ANONYMOUS else (*actor.roles, "*")
    return [grants[role] for role in dict.fromkeys(roles) if role in grants]


def added(rules: Iterable[Filter]) -> Filter:
    """What several roles may do together."""
    found = [rule for rule in rules if rule != FALSE]
    return TRUE if TRUE in found else found[0] if len(found) == 1 else Or(tuple(found))


def allowing(grants: list[Grant], verbs: tuple[Verb, ...]) -> list[Grant]:
    """The grants that allow one of the verbs; all when none does. Only they can show a field, or let it be set."""
    return [grant for grant in grants if any(grant.rules[verb] != FALSE for verb in verbs)] or grants


def common(grants: list[Grant], word: Literal["hidden", "locked"]) -> frozenset[Field | Link]:
    """What all of the grants hide or lock."""
    found: list[frozenset[Field | Link]] = [getattr(grant, word) for grant in grants]
    return found[0].intersection(*found[1:]) if found else frozenset()


def outside(schema: Schema, scopes: tuple[str, ...]) -> dict[tuple[Table, Verb], Filter]:
    """What the scopes of a token forbid: `read` all that writes, `table:` and a name all in other tables."""
    names = {scope.removeprefix("table:").lower() for scope in scopes if scope.startswith("table:")}
    return {
        (table, verb): FALSE
        for name, table in schema.tables.items()
        for verb in VERBS
        if (names and name not in names) or ("read" in scopes and verb not in READING)
    }


def without(shape: Shape, hidden: frozenset[Field | Link]) -> Shape | None:
    """A shape without some fields and links; None when nothing of it is left."""
    match shape:
        case Col(path):
            return None if hidden & {*path.links, path.field} else shape
        case Const():
            return shape
        case Text(parts):
            kept = [part if isinstance(part, str) else without(part, hidden) for part in parts]
            return None if None in kept else shape
        case First(parts):
            found = tuple(part for part in (without(part, hidden) for part in parts) if part)
            return First(found) if found else None
        case Arr(items):
            return Arr(tuple(without(item, hidden) or Const(None) for item in items))
        case Obj(pairs):
            return Obj(tuple((name, part) for name, inner in pairs if (part := without(inner, hidden))))
        case Sub(link, inner):
            return None if link in hidden else dataclasses.replace(shape, shape=without(inner, hidden) or Const(None))
        case _:
            assert_never(shape)


class Origin(NamedTuple):
    """On whose behalf an operation runs, through which dialect, when (stored form, UTC), and what that actor may."""

    actor: Actor
    dialect: str
    moment: str
    sight: Sight = FULL_SIGHT
    rights: Rights = ALL_RIGHTS


def origin_of(schema: Schema, actor: Actor, dialect: str, moment: str) -> Origin:
    """The origin of what an actor asks for at a moment."""
    rights = rights_of(schema, actor)
    return Origin(actor, dialect, moment, sight_of(schema, actor, moment), rights)


def sight_of(schema: Schema, actor: Actor, moment: str) -> Sight:
    """What an actor sees at a moment. A server without authentication has nobody to hide a record from."""
    rights = rights_of(schema, actor)
    if actor is NOBODY or not (schema.guarded or rights.rules):
        return FULL_SIGHT
    place = (actor.id, actor.groups, rights, rights.time(moment))
    found: Sight | None = schema.sights.get(place)
    if found is None:
        found = bounded(schema.sights)[place] = Sight(*(seen_rules(schema, actor, verb, moment) for verb in READING))
    return found


def seen_rules(schema: Schema, actor: Actor, verb: Verb, moment: str) -> dict[Table, Filter]:
    """The filters of the records that an actor sees by one of the verbs that read, where these are not all."""
    rules, rights = dict[Table, Filter](), rights_of(schema, actor)
    for table in schema.tables.values():
        parts = [access_rule(table, actor)] if table.access else []
        parts += [bind_variables(rights.rule(table, verb), actor, moment)] if (table, verb) in rights.rules else []
        if parts:
            rules[table] = _all(parts)
    return rules


def access_rule(table: Table, actor: Actor) -> Filter:
    """The rule of `x-access`: the owner, members of its group or of one in its branch, and those listed in its access.

    In the list of access a group stands as the negative of its id, so that no user is taken for it.
    """
    listed = (actor.id, *(-group for group in actor.groups))
    return Or(
        (
            Compare(Path((), table.system["_owner"]), "eq", actor.id),
            Compare(Path((), table.system["_group"]), "in", actor.groups),
            Compare(Path((), table.system["_branch"]), "any", actor.groups),
            Compare(Path((), table.system["_access"]), "any", listed),
        )
    )


def guard(op: Operation, actor: Actor, moment: str, rights: Rights = ALL_RIGHTS) -> Operation:
    """The operation as this actor may run it at this moment (stored form, UTC).

    ApiError `forbidden` for what its rights allow on no record, `filter_too_large` for an order of too many terms.
    """
    if rights.rules and not isinstance(op, Upsert | Batch):
        check_verb(op, actor, rights)
    return bound(op, actor, moment, rights)


def bound(op: Operation, actor: Actor, moment: str, rights: Rights) -> Operation:
    """An operation without variables, and without what is hidden in its shape."""
    match op:
        case Select(sort=sort) if len(sort) > MAX_SORT_TERMS:
            raise fail("filter_too_large", reason=f"more than {MAX_SORT_TERMS} terms in the order")
        case Select() | Update():
            where, shape = bind_variables(op.where, actor, moment), rights.shown(op.shape)
            is_same = where is op.where and shape is op.shape
            return op if is_same else dataclasses.replace(op, where=where, shape=shape)
        case Delete() | Archive():
            return dataclasses.replace(op, where=bind_variables(op.where, actor, moment))
        case Create() | Relink():
            return dataclasses.replace(op, shape=rights.shown(op.shape))
        case Upsert(where, create, update):
            made, found = (bound(part, actor, moment, rights) for part in (create, update))  # the Writer checks one
            assert isinstance(made, Create) and isinstance(found, Update | Select)
            return Upsert(bind_variables(where, actor, moment), made, found)
        case Batch(operations):
            return Batch(tuple(guard(part, actor, moment, rights) for part in operations))
        case Move():
            return op
        case _:
            assert_never(op)


def check_verb(op: Select | Create | Update | Delete | Archive | Relink | Move, actor: Actor, rights: Rights) -> None:
    """ApiError `forbidden`, or `unauthenticated` for strangers, when the rights allow an operation on no record."""
    table = op.parent.link.source if isinstance(op, Relink) else op.table
    if not rights.allows(table, verb_of(op)):
        raise refusal(actor)


def verb_of(op: Select | Create | Update | Delete | Archive | Relink | Move) -> Verb:
    """The right that an operation needs."""
    match op:
        case Select():
            return "get" if op.single else "list"
        case Create():
            return "create"
        case Update() | Move():
            return "update"
        case Delete():
            return "delete"
        case Archive():
            return "archive"
        case Relink():
            return "link"
        case _:
            assert_never(op)


def refusal(actor: Actor) -> ApiError:
    """The error for what an actor may not do; who sends no credentials is asked for some."""
    return fail("unauthenticated", reason="empty") if actor is ANONYMOUS else fail("forbidden")


def bind_variables(where: Filter, actor: Actor, moment: str) -> Filter:
    """A filter with the values of its variables."""
    match where:
        case Compare(path, _, Variable(name)):
            return dataclasses.replace(where, value=variable_value(name, path.field, actor, moment))
        case Compare():
            return where
        case And(parts):
            return And(tuple(bind_variables(part, actor, moment) for part in parts))
        case Or(parts):
            return Or(tuple(bind_variables(part, actor, moment) for part in parts))
        case Not(part):
            return Not(bind_variables(part, actor, moment))
        case Some(part):
            return Some(bind_variables(part, actor, moment))
        case _:
            assert_never(where)


def variable_value(name: str, column: Field | None, actor: Actor, moment: str) -> Operand:
    """The value of a variable as the column stores it; nobody's id is null, so that nothing compares with it."""
    day = moment[:10]
    if name == "day":
        return parse_span(day)
    is_date = column is not None and column.kind.name == "date"
    values: dict[str, Operand] = {
        "me": actor.id,
        "groups": actor.groups,
        "now": day if is_date else moment,
        "today": day if is_date else parse_span(day).start,
    }
    return values[name]


def is_write(op: Operation) -> bool:
    """Whether an operation can change anything."""
    return any(map(is_write, op.operations)) if isinstance(op, Batch) else not isinstance(op, Select)


# ======================================================================================================================
# 9  Database
#
# Connections and transactions. A file has one connection for writing and some for reading; a database in memory has
# one for everything. Whoever writes does not commit: `Database.writing` does. What a connection may do while requests
# are served is held by SQLite itself: its limits, an authorizer, and a time for all that one request asks for.
# ======================================================================================================================


SQLITE_LIMITS: Mapping[int, int] = {
    sqlite3.SQLITE_LIMIT_LENGTH: MAX_VALUE_BYTES,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: MAX_STATEMENT_BYTES,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: MAX_STATEMENT_VALUES,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: MAX_EXPRESSION_DEPTH,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 8 * MAX_SEARCH_LENGTH,  # each letter escaped, and of four bytes
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 10,  # a foreign key that cascades is one
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
READ_ACTIONS = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
    }
)
WRITE_ACTIONS = READ_ACTIONS | {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}


def authorizer(actions: frozenset[int]) -> Callable[..., int]:
    """What SQLite asks about each part of a statement that it prepares: neither schema, files nor settings change."""

    def allows(action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action not in actions:
            harmless = action == sqlite3.SQLITE_PRAGMA and first == "table_info"  # it shows what any read could
            return sqlite3.SQLITE_OK if harmless else sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_DENY if second == "load_extension" else sqlite3.SQLITE_OK

    return allows


def _fold(text: SqlValue) -> SqlValue:
    return text.lower() if isinstance(text, str) else text


def storage_error(error: sqlite3.Error) -> ApiError:
    """The ApiError for what SQLite says of the database itself."""
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_CANTOPEN")):  # the last: no more files may be open
        return ApiError("busy", headers=(("Retry-After", "1"),))
    if name.startswith("SQLITE_INTERRUPT"):
        return fail("too_expensive", seconds=f"{STATEMENT_TIMEOUT_SECONDS:g}")
    reasons = {
        "SQLITE_FULL": "the disk is full",
        "SQLITE_READONLY": "the file is read-only",
        "SQLITE_IOERR": "an I/O error",
    }
    for start, reason in reasons.items():
        if name.startswith(start):
            return fail("storage", reason=reason)
    text = str(error)
    if text.startswith(("parser stack overflow", "Expression tree is too large", "at most ", "too many ")):
        return fail("filter_too_large", reason="the request nests too deep")
    if text.startswith(("query string is too large", "LIKE or GLOB pattern too complex")):
        return fail("filter_too_large", reason="the request asks for too much at once")
    if name.startswith("SQLITE_TOOBIG") or text.startswith("string or blob too big"):
        return fail("refused", text=f"A record, with all that it shows, has more than {MAX_VALUE_BYTES} bytes")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return fail("storage", reason="the file is damaged")
    raise error


def make_private(path: str) -> None:
    """Make a file that is not there yet, for its owner alone; SQLite gives those that it makes beside it the same mode.

    Where it cannot be made, SQLite says so.
    """
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


class Allowance(threading.local):
    """The seconds of database time that the request of this thread has left."""

    seconds = math.inf


class Database:
    """The connections to one database.

    A file has one connection for writing and as many for reading as there are readers at a time; a database in memory
    (":memory:") is a single connection, shared by all under a lock.
    """

    def __init__(self, path: str) -> None:
        self.in_memory = path == ":memory:"
        self.path = path if self.in_memory else str(FilePath(path).absolute())  # so that "file:x" is no URI
        if not self.in_memory:
            make_private(self.path)
        self.write_lock = threading.RLock()
        self.idle: list[sqlite3.Connection] = []
        self.deadlines: dict[int, float] = {}
        self.allowance = Allowance()
        self.writer = self.connect(writing=True)

    def connect(self, writing: bool = False) -> sqlite3.Connection:
        """A new connection, with the settings that every one has."""
        connection = sqlite3.connect(
            self.path,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        try:
            for limit, value in SQLITE_LIMITS.items():
                connection.setlimit(limit, value)
            connection.execute("pragma foreign_keys=on")
            connection.execute("pragma trusted_schema=off")
            connection.execute("pragma synchronous=full")
            connection.execute("select 1 from json_each('[]')")  # makes it, which an authorizer would not let happen
            if not writing:
                connection.execute("pragma query_only=on")
                connection.set_authorizer(authorizer(READ_ACTIONS))
        except sqlite3.Error:
            connection.close()
            raise
        connection.create_function("fold", 1, _fold, deterministic=True)
        number = id(connection)
        connection.set_progress_handler(lambda: time.monotonic() > self.deadlines.get(number, math.inf), 1_000)
        return connection

    def another(self) -> sqlite3.Connection:
        """One more connection for reading. ApiError when there is no room for it."""
        try:
            return self.connect()
        except sqlite3.Error as error:
            raise storage_error(error) from error

    def use_wal(self) -> None:
        """Let readers go on while somebody writes. It changes the file, so it must be known to be ours."""
        if not self.in_memory:
            self.writer.execute("pragma journal_mode=wal")

    def freeze(self) -> None:
        """The tables are made: from now on the connection for writing changes records, and nothing else."""
        self.writer.set_authorizer(authorizer(WRITE_ACTIONS))

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """One request: all its statements in this thread together have `STATEMENT_TIMEOUT_SECONDS`."""
        before, self.allowance.seconds = self.allowance.seconds, STATEMENT_TIMEOUT_SECONDS
        try:
            yield
        finally:
            self.allowance.seconds = before

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reading; with the one in memory, nobody else has it meanwhile."""
        if self.in_memory:
            with self.write_lock, self.limited(self.writer, STATEMENT_TIMEOUT_SECONDS):
                yield self.writer
            return
        try:
            connection = self.idle.pop()
        except IndexError:
            connection = self.another()
        try:
            with self.limited(connection, STATEMENT_TIMEOUT_SECONDS):
                yield connection
        finally:
            self.idle.append(connection)

    @contextlib.contextmanager
    def writing(self, seconds: float = math.inf) -> Iterator[sqlite3.Connection]:
        """A transaction: committed when the block ends, rolled back when it raises. Blocks do not nest."""
        with self.write_lock, self.limited(self.writer, seconds):
            self.writer.execute("begin immediate")
            try:
                yield self.writer
                self.writer.execute("commit")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self.writer.execute("rollback")
                raise

    def write_if_free(self, statement: str, values: tuple[SqlValue, ...]) -> None:
        """A write that may as well be left out: it never waits for another one."""
        if self.write_lock.acquire(blocking=False):
            try:
                with contextlib.suppress(sqlite3.OperationalError):
                    if self.in_memory:
                        self.writer.execute(statement, values)
                        return
                    with contextlib.closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as connection:
                        connection.execute(statement, values)
            finally:
                self.write_lock.release()

    @contextlib.contextmanager
    def limited(self, connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
        """Stop the statements of the block when they take longer together, or longer than their request has left."""
        started = time.monotonic()
        self.deadlines[id(connection)] = started + min(seconds, self.allowance.seconds)
        try:
            yield
        except sqlite3.OperationalError as error:
            raise storage_error(error) from error
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise storage_error(error) from error
        finally:
            self.deadlines.pop(id(connection), None)
            self.allowance.seconds -= time.monotonic() - started

    def close(self) -> None:
        """Close all connections; what the write-ahead log holds goes into the file."""
        with self.write_lock:
            while self.idle:
                self.idle.pop().close()
            self.writer.close()


def read(connection: sqlite3.Connection, op: Select, sight: Sight) -> Outcome:
    """Run a Select on an open connection. ApiError `not_found` when its parent is missing."""
    rows = [Row._make(row) for row in connection.execute(*Compiler(sight).select(op))]
    if not rows and op.parent:
        found = Compiler(sight).find(op.parent.link.source, op.parent.key)
        if connection.execute(*found).fetchone() is None:
            raise fail("not_found")
    total = connection.execute(*Compiler(sight).total(op)).fetchone()[0] if op.total else None
    return Outcome(rows, total)


# ======================================================================================================================
# 10  Writes
#
# What is done in an open transaction: choose the keys, change, write history, read back. What a deletion does to links
# is done here, with history and versions; foreign keys only stand behind it. To add a write operation: a `case` in
# `Writer.run` and its method.
# ======================================================================================================================


Action: TypeAlias = Literal["created", "updated", "moved", "archived", "deleted"]


class Event(NamedTuple):
    """One record that a committed transaction changed, by which dialect, and when (stored form).

    `record` has its columns after the change, of a deleted one those that it had; `number` is the newest row of its
    history.
    """

    action: Action
    table: Table
    key: int
    dialect: str
    moment: str = ""
    number: int = 0
    record: Mapping[Field, SqlValue] = MappingProxyType({})


Stored: TypeAlias = dict[Field, SqlValue]


class Spot(NamedTuple):
    """A record that is about to change, where the body speaks of it, and the version that the caller has seen."""

    table: Table
    key: int
    trail: Trail = ()
    expect: int | None = None


class Linked(NamedTuple):
    """A record that is to be linked, the values for the link's row, and where the body speaks of it."""

    key: int
    row: Mapping[Field, SqlValue]
    trail: Trail


class Note(NamedTuple):
    """One row of history: a changed field with its values, or a whole record that was made or deleted."""

    action: Action
    field: str | None = None
    before: Json = None
    after: Json = None


class Writer:
    """The writes of one open transaction. Nothing here commits."""

    def __init__(self, connection: sqlite3.Connection, origin: Origin, password_cost: tuple[int, int, int]) -> None:
        self.connection, self.origin, self.password_cost = connection, origin, password_cost
        self.changes: dict[tuple[Action, Table, int], int] = {}
        self.touched: set[tuple[Table, int]] = set()
        self.created: set[tuple[Table, int]] = set()
        self.removed: dict[tuple[Table, int], Stored] = {}
        self.restricted: list[tuple[Link, int]] = []
        self.uploads: list[tuple[Table, int, Upload]] = []
        self.faults: list[Violation] = []
        self.owed: set[tuple[Verb, Table, int]] = set()
        self.deadline = math.inf  # of all statements together; each alone is stopped by the connection
        self.trusting = False  # examples may link to records that come later

    def run(self, op: Operation) -> Outcome:
        """Run one operation and read back what it asks for. ApiError when a rule is broken; then nothing may stay."""
        match op:
            case Select():
                return read(self.connection, op, self.origin.sight)
            case Create():
                return self.create(op)
            case Update():
                return self.update(op)
            case Delete():
                return self.delete(op)
            case Archive():
                return self.archive(op)
            case Relink():
                return self.relink(op)
            case Move():
                return self.move(op)
            case Upsert(where, create, update):
                found = self.chosen(Select(create.table, create.shape, where, page=Page(1), parent=create.parent))
                part = _narrowed(update, create.table, found) if found else create
                check_verb(part, self.origin.actor, self.origin.rights)
                return self.create_unseen(part) if isinstance(part, Create) else self.run(part)
            case Batch(operations):
                return Outcome(parts=tuple(self.run(part) for part in operations))
            case _:
                assert_never(op)

    def execute(self, statement: Sql) -> sqlite3.Cursor:
        """Run one statement."""
        if time.monotonic() > self.deadline:
            raise fail("too_expensive", seconds=f"{STATEMENT_TIMEOUT_SECONDS:g}")
        return self.connection.execute(*statement)

    def ids(self, statement: Sql) -> list[int]:
        """The first column of a statement's rows."""
        return [row[0] for row in self.execute(statement)]

    def refuse_faults(self) -> None:
        """Raise all violations found so far."""
        if self.faults:
            faults = [self.told(fault) for fault in self.faults]
            unique = {(fault.path, fault.rule, str(fault.params)): fault for fault in faults}
            raise ApiError(faults[0].rule, *unique.values())

    def told(self, fault: Violation) -> Violation:
        """A violation as the actor may know it: of a hidden field not even the name."""
        hidden = {member.name for member in self.origin.rights.hidden}
        names = (*map(str, fault.path), *str(fault.params.get("fields", "")).split(", "))
        if fault.rule == "unknown_field" or not hidden.intersection(names):  # the first is the caller's own word
            return fault
        return UNSEEN_RULE

    # -- rights --

    def permit(self, verb: Verb, table: Table, key: int, later: bool = False) -> None:
        """ApiError `forbidden` unless the rights allow a verb on a record as it is, and `later` as it will be."""
        if (table, verb) not in self.origin.rights.rules:
            return
        if later:
            self.owed.add((verb, table, key))
        rule = bind_variables(self.origin.rights.rule(table, verb), self.origin.actor, self.origin.moment)
        wanted = And((Compare(Path((), table.id), "eq", key), rule))
        if not self.ids(Compiler().keys(Select(table, Const(None), wanted))):
            raise refusal(self.origin.actor)

    def permit_values(self, values: Iterable[Field | Link], trail: Trail) -> None:
        """What the rights lock, or hide, cannot be set."""
        kept = self.origin.rights.kept
        self.faults += [Violation((*trail, member.name), "read_only") for member in values if member in kept]

    def is_locked(self, link: Link) -> bool:
        """Whether the rights, or the schema, keep the connections of a link as they are, from one of its ends."""
        ends = {link, *link.opposites}
        read_only = any(end.read_only for end in ends) and not self.trusting
        return read_only or not self.origin.rights.kept.isdisjoint(ends)

    def settle(self) -> None:
        """Hold the records as they are now against the rights that were used."""
        for verb, table, key in self.owed:
            if (table, key) not in self.removed:
                self.permit(verb, table, key)

    # -- the operations --

    def create(self, op: Create) -> Outcome:
        """A new record, linked to its parent."""
        self.faults += op.faults
        if not op.parent:
            key = self.insert(Spot(op.table, op.key or 0), op.values, op.links)
        else:
            link, source = op.parent.link, self.parent_id(op.parent)
            if link.is_file:
                raise fail("read_only", [link.name])
            key = self.make(link, source, Item(values=op.values, links=op.links), Spot(op.table, op.key or 0))
            self.refuse_faults()
            if not link.back:
                made = Item(Key(link.target.id, key), row=op.row)
                self.change_link(link, source, Change("add", (made,), "move"), ())
        self.refuse_faults()
        return self.read_back(op.table, op.shape, [key], op.parent)._replace(made=True)

    def create_unseen(self, op: Create) -> Outcome:
        """A record that the actor did not find. ApiError `not_found` when its id is that of one it may not see."""
        key = Compare(Path((), op.table.id), "eq", op.key)
        if op.table in self.origin.sight.single and self.ids(Compiler().keys(Select(op.table, op.shape, key))):
            raise fail("not_found")
        return self.create(op)

    def update(self, op: Update) -> Outcome:
        """The chosen records, changed."""
        self.faults += op.faults
        keys = self.chosen(Select(op.table, op.shape, op.where, op.scope, parent=op.parent))
        changed = sum(self.change(Spot(op.table, key, (), op.expect), op.values, op.links) for key in keys)
        if op.row and op.parent and op.parent.link.through:
            changed += sum(
                self.change_row(op.parent.link, self.parent_id(op.parent), Linked(key, op.row, ())) for key in keys
            )
        self.refuse_faults()
        return self.read_back(op.table, op.shape, keys, op.parent)._replace(changed=changed)

    def delete(self, op: Delete) -> Outcome:
        """The chosen records, gone; refused when others need one of them."""
        keys = self.chosen(Select(op.table, Const(None), op.where, op.scope, parent=op.parent))
        for key in keys:
            self.permit("delete", op.table, key)
            self.remove(op.table, key, op.expect)
        for link, target in self.restricted:
            held = len(self.holders(link, target))
            if held:
                count = "some" if link.source in self.origin.sight.rules else held
                told = Violation((), "restricted", {"count": count, "table": link.source.name})
                self.faults.append(told if self.origin.rights.allows(link.source, *READING) else UNSEEN_RULE)
        self.refuse_faults()
        return Outcome(changed=len(keys))

    def archive(self, op: Archive) -> Outcome:
        """The chosen records with another status."""
        if not op.table.archive:
            raise fail("not_archivable", table=op.table.name)
        status = op.table.system["_status"]
        keys = self.chosen(Select(op.table, Const(None), op.where))
        changed = 0
        for key in keys:
            before = self.record(op.table, key)
            self.permit("archive", op.table, key)
            self.expect(op.table, before, op.expect)
            if before[status] != op.status:
                self.set(Spot(op.table, key, (), op.expect), before, {status: op.status}, "archived")
                changed += 1
        return Outcome(changed=changed)

    def relink(self, op: Relink) -> Outcome:
        """One link of a record, changed."""
        link, source = op.parent.link, self.parent_id(op.parent)
        self.expect(link.source, self.record(link.source, source), op.expect)
        changed = self.change_link(link, source, op.change, ())
        after = self.record(link.source, source)
        self.validate(Spot(link.source, source), after, after)
        self.refuse_faults()
        return self.read_back(link.source, op.shape, [source])._replace(changed=changed)

    def move(self, op: Move) -> Outcome:
        """A record at another place of the manual order."""
        if not op.table.sort:
            raise fail("not_sortable", table=op.table.name)
        column, scope = op.table.sort
        record = self.record(op.table, self.key_id(op.table, op.key))
        self.permit("update", op.table, int(record[op.table.id] or 0), later=True)
        target = self.record(op.table, self.key_id(op.table, op.target)) if op.target else None
        values: Stored = {}
        if scope and op.scope_value != "keep":
            values[scope] = op.scope_value
        elif scope and target:
            values[scope] = target[scope]
        self.permit_values(values, ())
        self.refuse_faults()
        value = values.get(scope, record[scope]) if scope else None
        values[column] = self.place(op, record, target, value)
        moved = {name: new for name, new in values.items() if record[name] != new}
        self.set(Spot(op.table, int(record[op.table.id] or 0)), record, moved, "moved")
        return Outcome(changed=int(bool(moved)))

    # -- the parts of operations --

    def chosen(self, op: Select) -> list[int]:
        """The ids of the records that an operation means, before anything changes. `not_found` for a missing parent."""
        sight = self.origin.sight if by_key(op.table, op.where) else self.origin.sight.listed(op.table)
        keys = self.ids(Compiler(sight).keys(dataclasses.replace(op, single=True)))
        if not keys and op.parent:
            self.parent_id(op.parent)
        return keys

    def parent_id(self, parent: Parent) -> int:
        """The id of the parent. ApiError `not_found`."""
        return self.key_id(parent.link.source, parent.key)

    def key_id(self, table: Table, key: Key) -> int:
        """The id of the record with that key. ApiError `not_found`."""
        found = self.find(table, key)
        if found is None:
            raise fail("not_found")
        return found

    def find(self, table: Table, key: Key) -> int | None:
        """The id of the record with that key, where the actor sees it."""
        return next(iter(self.ids(Compiler(self.origin.sight).find(table, key))), None)

    def record(self, table: Table, key: int) -> Stored:
        """All columns of one record. ApiError `not_found`."""
        columns = join(",", (quoted(column.column) for column in table.columns))
        row = self.execute(sql("select {} from {} where id={}", columns, quoted(table.name), bind(key))).fetchone()
        if row is None:
            raise fail("not_found")
        return dict(zip(table.columns, row, strict=True))

    def read_back(self, table: Table, shape: Shape, keys: list[int], parent: Parent | None = None) -> Outcome:
        """The records with these ids, in this order."""
        if parent and not parent.link.through:
            parent = None
        where = Compare(Path((), table.id), "in", tuple(keys))
        op = Select(table, shape, where, parent=parent, single=True)
        found = read(self.connection, op, self.origin.sight)
        if len(found.rows) < len(keys):  # what somebody has written it may see once, whatever its rights
            found = read(self.connection, op, self.origin.sight.also(table, keys))
        rows = {row.key: row for row in found.rows}
        return Outcome([rows[key] for key in keys if key in rows], changed=len(keys))

    def expect(self, table: Table, record: Stored, version: int | None) -> None:
        """ApiError `precondition` unless the record has the version that the caller has seen."""
        if version is not None and table.tracked and record[table.system["_version"]] != version:
            raise fail("precondition")

    def insert(self, spot: Spot, values: Mapping[Field, SqlValue], links: Mapping[Link, Change]) -> int:
        """Make a record with its links, under the id of `spot` or the next one when that is 0.

        Violations go to `faults`. Gives the id, 0 when the record could not be made.
        """
        table, trail = spot.table, spot.trail
        if not self.origin.rights.allows(table, "create"):  # before anything is told of what is there
            raise refusal(self.origin.actor)
        if spot.key > MAX_GIVEN_ID:  # the ids that SQLite gives go on behind the highest, and have to be read again
            params = {"value": spot.key, "expected": f"a record id, {MAX_GIVEN_ID} at the most"}
            self.faults.append(Violation((*trail, "id"), "bad_value", params))
        self.permit_values((*values, *links), trail)
        stored = self.defaults(table) | dict(values)
        self.check_keys(spot, stored, None)
        for link, change in links.items():
            if link.key:
                stored[link.key] = self.only_target(link, change, (*trail, link.name))
        stored |= self.system_values(table, stored)
        version = self.first_version(spot)
        if version > 1:
            stored[table.system["_version"]] = version
        plain = self.hashed({column: value for column, value in stored.items() if value is not None})
        number = self.insert_row(table, plain | ({table.id: spot.key} if spot.key else {}), trail)
        others = {link: change for link, change in links.items() if not link.key}
        if not number:
            found = {link: self.wanted(link, 0, change, (*trail, link.name)) for link, change in others.items()}
            self.validate(spot, stored, lists={link.name: [it.key for it in items] for link, items in found.items()})
            return 0
        stored[table.id] = number
        self.owed.add(("create", table, number))
        self.touched.add((table, number))
        self.created.add((table, number))
        for link, change in others.items():
            self.change_link(link, number, change, (*trail, link.name))
        self.created.discard((table, number))
        self.validate(spot, stored)
        self.touch_targets(table, stored)
        self.note(Spot(table, number), version, Note("created", after=self.described(table, stored)))
        return number

    def first_version(self, spot: Spot) -> int:
        """The version of a new record: 1, or of one that is made again under its id one more than it ever had."""
        if not spot.key or not spot.table.tracked:
            return 1
        tag, key = bind(spot.table.tag), bind(spot.key)
        return self.ids(sql("select coalesce(max(version),0)+1 from _history where tag={} and record={}", tag, key))[0]

    def defaults(self, table: Table) -> Stored:
        """The values of fields that have a default."""
        fields = (column for column in table.fields.values() if "default" in column.schema)
        return {column: column.parse_json(column.schema["default"]) for column in fields}

    def check_keys(self, spot: Spot, values: Mapping[Field, SqlValue], before: Stored | None) -> None:
        """Own links that are set by their column: the target must be there, and is taken from who has it alone."""
        for link in spot.table.links.values():
            target = values.get(link.key) if link.key else None
            if self.trusting or not link.key or not isinstance(target, int) or not target:
                continue
            if before and before[link.key] == target and link.target not in self.origin.sight.single:
                continue
            trail = (*spot.trail, link.name)
            if link.is_file or self.find(link.target, Key(link.target.id, target)) is None:  # no file of another
                self.faults.append(Violation(trail, "link_missing", {"value": target, "table": link.target.name}))
            elif link.exclusive:
                self.let_go(link, target, trail, before)

    def insert_row(self, table: Table, values: Stored, trail: Trail) -> int:
        """Insert one row; a broken unique rule goes to `faults`, and the id is 0."""
        names = join(", ", (quoted(column.column) for column in values))
        marks = join(", ", (bind(value) for value in values.values()))
        statement = sql("insert into {} ({}) values ({})", quoted(table.name), names, marks)
        try:
            cursor = self.execute(statement if values else sql("insert into {} default values", quoted(table.name)))
        except sqlite3.IntegrityError as error:
            self.faults.append(unique_violation(table, error, trail))
            return 0
        return int(cursor.lastrowid or 0)

    def system_values(self, table: Table, stored: Stored) -> Stored:
        """What the server itself puts into a new record."""
        values: Stored = {}
        if table.sort and stored.get(table.sort.field) is None:
            values[table.sort.field] = (
                self.last_place(table, stored.get(table.sort.scope) if table.sort.scope else None) + 1
            )
        if table.tracked:
            actor, moment = self.origin.actor.id, self.origin.moment
            given = {
                "_created": moment,
                "_modified": moment,
                "_created_by": actor,
                "_modified_by": actor,
                "_owner": actor,
            }
            group = self.origin.actor.groups[0] if self.origin.actor.groups else None
            for name, value in {**given, "_group": group}.items():
                values.setdefault(table.system[name], stored.get(table.system[name], value))
        return values

    def hashed(self, values: Stored) -> Stored:
        """The values with hashes in place of the texts of passwords."""
        return {
            column: hash_password(value, self.password_cost)
            if column.kind.name == "password" and isinstance(value, str)
            else value
            for column, value in values.items()
        }

    def change(self, spot: Spot, values: Mapping[Field, SqlValue], links: Mapping[Link, Change]) -> int:
        """Change a record and its links; 1 when anything is different now."""
        before = self.record(spot.table, spot.key)
        self.permit("update", spot.table, spot.key, later=True)
        self.permit_values((*values, *links), spot.trail)
        self.expect(spot.table, before, spot.expect)
        wanted = self.without_unseen(spot.table, values, before)
        self.check_keys(spot, wanted, before)
        for link, change in links.items():
            if link.key:
                wanted[link.key] = self.only_target(link, change, (*spot.trail, link.name), before)
        changes = {column: value for column, value in wanted.items() if before[column] != value}
        if changes.keys() & set(spot.table.keys):
            self.permit("link", spot.table, spot.key, later=True)
        self.set(spot, before, self.hashed(changes))
        moved = sum(
            self.change_link(link, spot.key, change, (*spot.trail, link.name))
            for link, change in links.items()
            if not link.key
        )
        self.validate(spot, before | wanted, before)
        return int(bool(changes) or bool(moved))

    def set(
        self, spot: Spot, before: Stored, changes: Stored, action: Literal["updated", "moved", "archived"] = "updated"
    ) -> None:
        """Write changed columns, with version, history and event. Links, but for files, and moves modify nothing."""
        if not changes:
            return
        table, key = spot.table, spot.key
        parts = [sql("{}={}", quoted(column.column), bind(value)) for column, value in changes.items()]
        version = Sql("")
        links = set(table.keys) - {link.key for link in table.files}
        if table.tracked and action != "moved" and not set(changes) <= links:
            parts.append(sql("_modified={}, _modified_by={}", bind(self.origin.moment), bind(self.origin.actor.id)))
        if table.tracked and (table, key) not in self.touched:
            parts.append(Sql("_version=_version+1"))
            version = sql(" and _version={}", bind(spot.expect)) if spot.expect is not None else version
        statement = sql("update {} set {} where id={}{}", quoted(table.name), join(", ", parts), bind(key), version)
        try:
            cursor = self.execute(statement)
        except sqlite3.IntegrityError as error:
            self.faults.append(unique_violation(table, error, spot.trail))
            return
        if not cursor.rowcount:
            raise fail("precondition")
        self.touched.add((table, key))
        self.touch_targets(table, before, changes)
        self.note_changes(spot, before, changes, action)
        self.drop_files(table, before, changes)

    def clear(self, link: Link, holder: int) -> None:
        """Empty the own link of a record."""
        assert link.key
        before = self.record(link.source, holder)
        if before[link.key] is not None:
            self.set(Spot(link.source, holder), before, {link.key: None})

    def remove(self, table: Table, key: int, expect: int | None = None) -> None:
        """Delete a record and do to its links what the schema asks for."""
        if (table, key) in self.removed:
            return
        rise = int((table, key) not in self.touched)
        before = self.removed[table, key] = self.record(table, key)
        self.expect(table, before, expect)
        described = self.described(table, before)
        for link in table.incoming:
            self.release(link, key)
        self.touch_targets(table, before)
        self.execute(sql("delete from {} where id={}", quoted(table.name), bind(key)))
        if table.tracked:
            version = int(before[table.system["_version"]] or 0) + rise
            self.note(Spot(table, key), version, Note("deleted", before=described))
        self.drop_files(table, before)

    def release(self, link: Link, target: int) -> None:
        """What becomes of the records whose own link leads to a record that is deleted."""
        if link.on_delete == "restrict":
            self.restricted.append((link, target))
            return
        for holder in self.holders(link, target):
            if link.on_delete == "cascade":
                self.remove(link.source, holder)
            elif (link.source, holder) not in self.removed:
                self.clear(link, holder)

    def holders(self, link: Link, target: int) -> list[int]:
        """The ids of the records whose own link leads to a record."""
        assert link.key
        table, column = quoted(link.source.name), quoted(link.key.column)
        return self.ids(sql("select id from {} where {}={} order by id", table, column, bind(target)))

    # -- links --

    def change_link(self, link: Link, source: int, change: Change, trail: Trail) -> int:
        """Change one link of one record; gives the number of links that are different now."""
        if (link.source, source) not in self.created:
            self.permit("link", link.source, source, later=True)
        if self.is_locked(link):
            self.faults.append(Violation(trail, "read_only"))
            return 0
        if link.key:
            return self.change_own_link(link, source, change, trail)
        current = self.seen(link, source)
        wanted = self.wanted(link, source, change, trail)
        keys = {it.key for it in wanted}
        new = [it for it in wanted if it.key not in current and change.how != "remove"]
        for it in wanted:
            if it.row and it.key in current and change.how != "remove":
                self.change_row(link, source, it)
        leaves = {"replace": set(current) - keys, "add": set[int]()}.get(change.how, keys)
        dropped = [key for key in current if key in leaves or (new and not link.many)]
        for key in dropped:
            self.disconnect(link, source, key, trail)
        for it in new:
            self.connect(link, source, it, change.taken)
        if (new or dropped) and (link.source, source) not in self.created:
            after = [*(key for key in current if key not in dropped), *(it.key for it in new)]
            note = Note("updated", link.name, current, after)
            self.note(Spot(link.source, source), self.touch(link.source, source), note)
        return len(new) + len(dropped)

    def change_own_link(self, link: Link, source: int, change: Change, trail: Trail) -> int:
        """Change a link that is a column of the record itself."""
        assert link.key
        before = self.record(link.source, source)
        key = self.only_target(link, change, trail, before)
        if key == before[link.key]:
            return 0
        self.set(Spot(link.source, source, trail), before, {link.key: key})
        return (key is not None) + (before[link.key] is not None)

    def wanted(self, link: Link, source: int, change: Change, trail: Trail) -> list[Linked]:
        """The records that a change names, each once; None for its items means those that are linked."""
        if change.items is None:
            return [Linked(key, {}, trail) for key in self.seen(link, source)]
        found: dict[int, Linked] = {}
        for number, item in enumerate(change.items):
            it = self.resolve(link, source, item, (*trail, number) if link.many else trail)
            if it:
                found[it.key] = it
        return list(found.values())

    def linked(self, link: Link, source: int, sight: Sight = FULL_SIGHT) -> list[int]:
        """The ids of the linked records, in the order of the link; of a link that is no column those in sight."""
        if link.key:
            table, column = quoted(link.source.name), quoted(link.key.column)
            return self.ids(sql("select {0} from {1} where id={2} and {0} is not null", column, table, bind(source)))
        near, only_ids = Frame(link.source, "", only_id=bind(source)), link.target not in sight.rules
        it = Compiler(sight).source(link, near, only_ids)
        return self.ids(sql("select {} from {} where {} order by {}", it.frame.id, it.tables, it.where, it.order))

    def seen(self, link: Link, source: int) -> list[int]:
        """Those of the linked records that the actor sees, with the link's row: the others stay as they are."""
        return self.linked(link, source, self.origin.sight)

    def sees(self, table: Table, key: int) -> bool:
        """Whether the actor sees a record that is there."""
        return table not in self.origin.sight.single or self.find(table, Key(table.id, key)) is not None

    def without_unseen(self, table: Table, values: Mapping[Field, SqlValue], before: Stored) -> Stored:
        """The values but for those that would clear a link to a record that the actor does not see."""
        links = {link.key: link for link in table.links.values() if link.key}
        cleared = [column for column, value in values.items() if value is None and column in links and before[column]]
        unseen = {column for column in cleared if not self.sees(links[column].target, int(before[column] or 0))}
        return {column: value for column, value in values.items() if column not in unseen}

    def resolve(self, link: Link, source: int, item: Item, trail: Trail) -> Linked | None:
        """The record that an item means; made or changed where the item says so."""
        if len(trail) > 2 * MAX_FILTER_DEPTH:
            raise fail("deep_nesting", limit=MAX_FILTER_DEPTH)
        key = self.find(link.target, item.key) if item.key else None
        if key is not None:
            if item.found == "update" and (item.values or item.links):
                self.change(Spot(link.target, key, trail), item.values, item.links)
            return Linked(key, item.row, trail)
        if item.key and item.missing == "skip":
            return None
        if item.key and item.missing == "refuse":
            params = {"value": item.key.value, "table": link.target.name}
            self.faults.append(Violation(trail, "link_missing", params))
            return None
        number = item.key.value if item.key and item.key.field is link.target.id else 0
        made = self.make(link, source, item, Spot(link.target, int(number or 0), trail))
        return Linked(made, item.row, trail) if made else None

    def make(self, link: Link, source: int, item: Item, spot: Spot) -> int:
        """A new record for a link; where the link is a column of the new record, it belongs to `source` at once."""
        values = dict(item.values)
        if link.back and link.back.key:
            values[link.back.key] = source
            if not link.many:
                for key in self.seen(link, source):
                    self.disconnect(link, source, key, spot.trail)
        return self.insert(spot, values, item.links)

    def only_target(self, link: Link, change: Change, trail: Trail, before: Stored | None = None) -> int | None:
        """The id that an own link gets by a change, None when it is cleared."""
        assert link.key
        held = before[link.key] if before else None
        held = held if isinstance(held, int) else None
        found = [
            self.resolve_file(link, held, item, trail) if link.is_file else self.resolve(link, 0, item, trail)
            for item in change.items or ()
        ]
        keys = [it.key for it in found if it is not None]
        key = keys[-1] if keys else None
        if key is None and held is not None and not self.sees(link.target, held):
            return held
        if change.how == "remove":
            return None if change.items is None or held in keys else held
        if change.how == "toggle" and key == held:
            return None
        if key is None and (change.how != "replace" or change.items):
            return held
        if key is not None and link.exclusive:
            self.let_go(link, key, trail, before)
        return key

    def let_go(self, link: Link, target: int, trail: Trail, before: Stored | None = None) -> None:
        """Clear the own link of another record to a target that only one may have; an unseen one keeps it."""
        assert link.key
        source = before[link.source.id] if before else 0
        table, column = quoted(link.source.name), quoted(link.key.column)
        statement = sql("select id from {} where {}={} and id<>{}", table, column, bind(target), bind(source))
        for holder in self.ids(statement):
            if link.required:
                self.faults.append(Violation(trail, "link_taken", {"value": target, "table": link.target.name}))
            elif self.sees(link.source, holder):
                self.permit("link", link.source, holder, later=True)
                self.clear(link, holder)

    def connect(self, link: Link, source: int, it: Linked, taken: Literal["move", "refuse"]) -> None:
        """Link a record that is not linked yet."""
        if link.back and link.back.key:
            child = self.record(link.target, it.key)
            holder = child[link.back.key]
            is_taken = holder not in (None, source) and self.sees(link.source, int(holder or 0))
            if is_taken and taken == "refuse":
                self.faults.append(Violation(it.trail, "link_taken", {"value": it.key, "table": link.target.name}))
            elif holder != source:
                self.permit("link", link.target, it.key, later=True)
                self.set(Spot(link.target, it.key, it.trail), child, {link.back.key: source})
        elif link.through and link.near and link.far:
            self.insert(Spot(link.through, 0, it.trail), {link.near: source, link.far: it.key, **it.row}, {})

    def disconnect(self, link: Link, source: int, target: int, trail: Trail) -> None:
        """Unlink a record."""
        if link.through:
            row = self.row_id(link, source, target)
            self.permit("delete", link.through, row)
            self.remove(link.through, row)
        elif link.back and link.back.required:
            self.faults.append(Violation((*trail, link.back.name), "required"))
        elif link.back:
            self.permit("link", link.target, target, later=True)
            self.clear(link.back, target)

    def row_id(self, link: Link, source: int, target: int) -> int:
        """The id of the link row between two records."""
        assert link.through and link.near and link.far
        near, far = quoted(link.near.column), quoted(link.far.column)
        statement = sql(
            "select id from {} where {}={} and {}={}", quoted(link.through.name), near, bind(source), far, bind(target)
        )
        return self.ids(statement)[0]

    def change_row(self, link: Link, source: int, it: Linked) -> int:
        """Change the values of a link's row."""
        assert link.through
        return self.change(Spot(link.through, self.row_id(link, source, it.key), it.trail), it.row, {})

    # -- files --

    def resolve_file(self, link: Link, held: int | None, item: Item, trail: Trail) -> Linked | None:
        """The file that an item means: a new one, or the one that the record holds; never that of another record."""
        if item.upload:
            return Linked(self.insert_file(link.target, item.upload), {}, trail)
        if item.key and held is not None and item.key.value == held:
            return Linked(held, {}, trail)
        params = {"value": item.key.value, "table": link.target.name} if item.key else EMPTY
        self.faults.append(Violation(trail, "link_missing" if item.key else "read_only", params))
        return None

    def insert_file(self, table: Table, upload: Upload) -> int:
        """A new file; its content waits until nothing else is wrong with the request."""
        values = {table.fields[name]: getattr(upload, name) for name in ("name", "media_type", "size")}
        number = self.insert(Spot(table, 0), values, {})
        self.uploads.append((table, number, upload))
        return number

    def write_files(self) -> None:
        """The content of the new files, piece by piece."""
        statement = "insert into _pieces (file, number, data) values ({}, {}, {})"
        for table, key, upload in self.uploads:
            if (table, key) not in self.removed:
                for number, data in enumerate(upload.pieces()):
                    self.execute(sql(statement, bind(key), bind(number), bind(data)))
        self.uploads.clear()

    def drop_files(self, table: Table, before: Stored, changes: Stored | None = None) -> None:
        """Delete the files that a record held before it was changed, or deleted; their pieces go with them."""
        for link in table.files:
            assert link.key
            file = before[link.key]
            if isinstance(file, int) and (changes is None or changes.get(link.key, file) != file):
                self.remove(link.target, file)

    def noted(self, link: Link | None, column: Field, value: SqlValue) -> Json:
        """A value as history keeps it: of a file, which will be gone one day, the name and the size."""
        if not link or not link.is_file or not isinstance(value, int):
            return None if column.write_only else _shown(column, value)
        file = self.record(link.target, value)
        return {name: file[link.target.fields[name]] for name in ("name", "size")}

    # -- versions, history, events --

    def touch(self, table: Table, key: int) -> int:
        """Raise a record's version, once in a transaction; gives the version it has then."""
        name = quoted(table.name)
        if (table, key) not in self.touched:
            self.touched.add((table, key))
            self.execute(sql("update {} set _version=_version+1 where id={}", name, bind(key)))
        return next(iter(self.ids(sql("select _version from {} where id={}", name, bind(key)))), 0)

    def touch_targets(self, table: Table, record: Stored, changes: Stored | None = None) -> None:
        """Raise the versions of the records that own links lead to, or led to before the changes."""
        for link in table.links.values():
            if link.key and link.target.tracked and (changes is None or link.key in changes):
                for target in (record.get(link.key), changes.get(link.key) if changes else None):
                    if isinstance(target, int) and (link.target, target) not in self.touched:
                        self.touch(link.target, target)

    def note_changes(self, spot: Spot, before: Stored, changes: Stored, action: Action) -> None:
        """One row of history for each changed column."""
        if not spot.table.tracked:
            return
        version = self.touch(spot.table, spot.key)
        links = {link.key: link for link in spot.table.links.values()}
        for column, value in changes.items():
            link = links.get(column)
            old, new = (self.noted(link, column, it) for it in (before[column], value))
            self.note(spot, version, Note(action, (link or column).name, old, new))

    def note(self, spot: Spot, version: int, note: Note) -> None:
        """One row of history, and an event."""
        if not spot.table.tracked:
            return
        texts = [None if value is None else dump_json(value) for value in (note.before, note.after)]
        actor, dialect, moment = self.origin[:3]
        cursor = self.connection.execute(
            "insert into _history (tag, record, version, action, field, before, after, user, dialect, time)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (spot.table.tag, spot.key, version, note.action, note.field, *texts, actor.id, dialect, moment),
        )
        self.changes[note.action, spot.table, spot.key] = int(cursor.lastrowid or 0)

    def events(self) -> list[Event]:
        """What has changed so far, in that order."""
        return [
            Event(
                *change,
                self.origin.dialect,
                self.origin.moment,
                number,
                self.removed.get(change[1:]) or self.record(*change[1:]),
            )
            for change, number in self.changes.items()
        ]

    def described(self, table: Table, stored: Stored) -> Json:
        """A whole record as history keeps it, without what is never shown."""
        shown = {
            link.name: self.noted(link, link.key, stored.get(link.key)) for link in table.links.values() if link.key
        }
        lists = {
            link.name: self.linked(link, int(stored[table.id] or 0))
            for link in table.links.values()
            if link.through and link.forward
        }
        values = {
            column.name: _shown(column, stored.get(column)) for column in table.fields.values() if not column.write_only
        }
        return {name: value for name, value in {**values, **shown, **lists}.items() if value not in (None, [])}

    # -- rules --

    def validate(
        self, spot: Spot, stored: Stored, before: Stored | None = None, lists: Mapping[str, list[int]] = EMPTY
    ) -> None:
        """Hold the whole record against the schema; violations go to `faults`.

        `before` is what was stored: the hash of a password that did not change is not judged. `lists` are the keys of
        many links where the record itself is not in the file.
        """
        table, key = spot.table, stored.get(spot.table.id)
        if not table.tracked or self.trusting:
            return
        record = {name: _shown(column, stored.get(column)) for name, column in table.fields.items()}
        record |= {link.name: stored.get(link.key) for link in table.links.values() if link.key}
        for link in table.restrained_links:
            found = self.linked(link, int(key)) if key else lists.get(link.name, [])
            record[link.name] = (found if link.many else found[0]) if found else None
        record = {name: value for name, value in record.items() if value is not None}
        if not table.validator.is_valid(record):
            passwords = (column for column in table.fields.values() if column.kind.name == "password")
            kept = {column.name for column in passwords if before and before[column] == stored.get(column)}
            known = {fault.path for fault in self.faults}
            self.faults += schema_violations(table, record, spot.trail, (kept, known))

    def finish(self) -> None:
        """The last look before the commit: records at the other ends of links may have rules about them too."""
        self.refuse_faults()
        self.settle()
        for table, key in self.touched - self.removed.keys():
            if table.restrained_links:
                stored = self.record(table, key)
                self.validate(Spot(table, key), stored, stored)
        self.refuse_faults()
        self.write_files()

    # -- manual order --

    def last_place(self, table: Table, scope: SqlValue) -> int:
        """The highest place in use, 0 when there is none."""
        assert table.sort
        column, where = quoted(table.sort.field.column), self.in_scope(table, scope)
        return self.ids(sql("select coalesce(max({}),0) from {} where {}", column, quoted(table.name), where))[0]

    def in_scope(self, table: Table, scope: SqlValue) -> Sql:
        """The condition for the records that share an order."""
        assert table.sort
        return sql("{} is {}", quoted(table.sort.scope.column), bind(scope)) if table.sort.scope else Sql("1")

    def place(self, op: Move, record: Stored, target: Stored | None, scope: SqlValue) -> int:
        """The place that a record moves to, after the records in between have made room."""
        assert op.table.sort
        column = op.table.sort.field
        if op.place == "top":
            return 0
        if op.place == "last" or (op.place in ("at", "after") and target is None):
            return self.last_place(op.table, scope) + 1
        if op.place == "first":
            self.shift(op.table, scope, 1, (-(2**62), 2**62))
            return 1
        assert target
        here, there = int(record[column] or 0), int(target[column] or 0)
        same = not op.table.sort.scope or record[op.table.sort.scope] == scope
        if same and here < there:
            self.shift(op.table, scope, -1, (here + 1, there))
            return there
        goal = there if op.place == "at" else there + 1
        self.shift(op.table, scope, 1, (goal, here - 1 if same else 2**62))
        return goal

    def shift(self, table: Table, scope: SqlValue, step: int, between: tuple[int, int]) -> None:
        """Move the places between two limits, both included, by a step."""
        assert table.sort
        column, where = quoted(table.sort.field.column), self.in_scope(table, scope)
        limits = (bind(between[0]), bind(between[1]))
        self.execute(
            sql(
                "update {0} set {1}={1}+{2} where {3} and {1} between {4} and {5}",
                quoted(table.name),
                column,
                bind(step),
                where,
                *limits,
            )
        )


def _shown(column: Field, value: SqlValue) -> Json:
    return None if value is None else column.kind.to_json(value)


def _narrowed(op: Update | Select, table: Table, keys: list[int]) -> Update | Select:
    return dataclasses.replace(op, where=Compare(Path((), table.id), "in", tuple(keys)))


# ======================================================================================================================
# 11  Store
#
# One file with the tables of one schema: made, checked, changed when the schema file changes, filled with its
# examples. `Store.run` is the door for all operations; events are published after the commit, in commit order.
# ======================================================================================================================

META_VERSION = 2
"""The form of the system tables. A later release raises it and adds a step to `UPGRADES`."""
PIECES = """create table _pieces (
    file integer not null references _files (id) on delete cascade, number integer not null, data blob not null,
    primary key (file, number))"""
"""The content of files. Each piece has `PIECE_BYTES`, but for a file's last: files keep what they were written with."""
PRIVATE_TABLES = (
    PIECES,
    "create table _meta (key text primary key, value text not null) without rowid",
    """create table _sessions (
    hash text primary key, user integer not null references _users (id) on delete cascade,
    created text not null, expires text not null, last_used text not null) without rowid""",
)


def _add_pieces(connection: sqlite3.Connection) -> None:
    connection.execute(PIECES)


UPGRADES: tuple[Callable[[sqlite3.Connection], None], ...] = (_add_pieces,)


class NotOurs(Exception):
    """The file is a database that minirest did not make, or that a later version made."""


class MigrationNeeded(Exception):
    """The schema file asks for changes that are not made without being told to; `steps` are all of the plan."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        super().__init__("; ".join(step.text for step in steps if not step.safe))


@dataclass(frozen=True)
class Step:
    """One change of the tables in a file.

    A `safe` step is done at once. One that `loses` data is done only when `--drop` names it so; one with a reason in
    `refused` cannot be done as things are. `records` is the number of records concerned.
    """

    text: str
    work: Callable[[sqlite3.Connection], None] = lambda connection: None
    records: int = 0
    safe: bool = True
    loses: str = ""
    refused: str = ""

    def line(self) -> str:
        """The step as a line of the plan."""
        notes = [f"{self.records} records"] if self.records else []
        notes += [f"loses data: --drop {self.loses}"] if self.loses else []
        notes += [self.refused] if self.refused else []
        return self.text + (f" ({', '.join(notes)})" if notes else "")


Layout: TypeAlias = dict[str, dict[str, Json]]


def layout_of(schema: Schema) -> Layout:
    """What a file has to hold for a schema: for each table its columns and indexes."""
    return {
        table.name: {
            "tag": table.tag,
            "columns": {column.column: _column_layout(column) for column in table.columns},
            "indexes": {name: statement.text for name, statement in indexes_of(table).items()},
        }
        for table in schema.all_tables.values()
    }


def _column_layout(column: Field) -> dict[str, Json]:
    kind = "text" if column.kind.is_text else "list" if column.kind.name == "choices" else column.kind.name
    target = column.target.name if column.target and column is not column.target.id else None
    return {"kind": kind, "target": target, "required": column.required}


def get_meta(connection: sqlite3.Connection, key: str) -> Json:
    """A value of `_meta`, None when there is none."""
    row = connection.execute("select value from _meta where key=?", (key,)).fetchone()
    return json.loads(row[0]) if row else None


def set_meta(connection: sqlite3.Connection, key: str, value: Json) -> None:
    """Keep a value in `_meta`."""
    connection.execute(
        "insert into _meta values (?, ?) on conflict (key) do update set value=excluded.value", (key, dump_json(value))
    )


def check_ours(connection: sqlite3.Connection) -> bool:
    """Whether the database is one of ours; False for an empty one. NotOurs for any other."""
    names = {row[0] for row in connection.execute("select name from sqlite_master")}
    if not names:
        return False
    if "_meta" not in names or "_history" not in names:
        raise NotOurs("it was not made by minirest")
    if int(get_meta(connection, "version") or 0) > META_VERSION:
        raise NotOurs("it was made by a later version of minirest")
    return True


def upgrade(connection: sqlite3.Connection) -> None:
    """Bring the system tables of an older file to the form of this release."""
    version = int(get_meta(connection, "version"))
    for step in UPGRADES[version - 1 :]:
        step(connection)
    set_meta(connection, "version", META_VERSION)


def make_plan(connection: sqlite3.Connection, schema: Schema, renames: Mapping[str, str] | None = None) -> list[Step]:
    """The steps from what the file holds to what the schema asks for; `renames` maps old names to new ones."""
    return list(_Planner(connection, schema, renames or {}).steps())


class _Planner:
    """Compares the layout that the file keeps with the one that the schema asks for.

    Renames come first in a plan; what is counted in the file before is counted under the `former` names.
    """

    def __init__(self, connection: sqlite3.Connection, schema: Schema, renames: Mapping[str, str]) -> None:
        self.connection, self.schema = connection, schema
        self.old: Layout = get_meta(connection, "layout")
        self.new = layout_of(schema)
        self.renames = self.changed_case() | dict(renames)
        self.former: dict[tuple[str, ...], str] = {}

    def changed_case(self) -> dict[str, str]:
        """Names that differ from those in the file by case alone: SQLite would take them for the same."""
        spelt = {name.lower(): name for name in self.new}
        tables = {name: spelt[name.lower()] for name in self.old if spelt.get(name.lower(), name) != name}
        columns: dict[str, str] = {}
        for name, layout in self.old.items():
            wanted = {
                column.lower(): column for column in self.new.get(spelt.get(name.lower(), ""), {}).get("columns", {})
            }
            changed = (column for column in layout["columns"] if wanted.get(column.lower(), column) != column)
            columns |= {f"{tables.get(name, name)}.{column}": wanted[column.lower()] for column in changed}
        return tables | columns

    def steps(self) -> Iterator[Step]:
        for old, new in self.renames.items():
            yield from self.rename(old, new)
        yield from self.drop_indexes()
        for name in self.new:
            yield from self.alter_table(name) if name in self.old else self.add_table(name)
        for name in self.old:
            if name not in self.new:
                yield self.drop_table(name)
        yield from self.add_indexes()

    # -- renames --

    def rename(self, old: str, new: str) -> Iterator[Step]:
        """A table with the junctions of its links, a field, or a link with its column or junction."""
        table, _, name = old.partition(".")
        columns = self.old.get(table, {}).get("columns", {})
        if table in self.old and not name:
            junctions = [other for other in self.old if other.startswith(f"{table}_") and other not in self.new]
            for each in (table, *junctions):
                yield self.rename_table(each, new + each.removeprefix(table))
        elif name in columns or f"{name}_id" in columns:
            end = "" if name in columns else "_id"
            yield self.rename_column(table, name + end, new + end)
        elif name and f"{table}_{name}" in self.old:
            yield self.rename_table(f"{table}_{name}", f"{table}_{new}")
        else:
            yield Step(f"rename {old} to {new}", safe=False, refused=f"{old} is not in the file")

    def rename_table(self, old: str, new: str) -> Step:
        self.old[new] = self.old.pop(old)
        self.former[new,] = self.former.pop((old,), old)
        for key in [key for key in self.former if len(key) == 2 and key[0] == old]:
            self.former[new, key[1]] = self.former.pop(key)
        for layout in self.old.values():
            for column in layout["columns"].values():
                column["target"] = new if column["target"] == old else column["target"]
        between = quoted(f"{new}__renamed")  # SQLite does not see the difference in case
        statements = [(quoted(old), between), (between, quoted(new))]

        def run(connection: sqlite3.Connection) -> None:
            for names in statements:
                connection.execute(*sql("alter table {} rename to {}", *names))

        return Step(f"rename table {old} to {new}", run, safe=old.lower() == new.lower())

    def rename_column(self, table: str, old: str, new: str) -> Step:
        columns = self.old[table]["columns"]
        columns[new] = columns.pop(old)
        self.former[table, new] = self.former.pop((table, old), old)
        statement = sql("alter table {} rename column {} to {}", quoted(table), quoted(old), quoted(new))
        return Step(f"rename field {table}.{old} to {new}", _runner(statement), safe=old.lower() == new.lower())

    def present(self, table: str, column: str = "") -> Sql:
        """The name that a table, or a column of it, has in the file now."""
        return quoted(self.former.get((table, column) if column else (table,), column or table))

    def count(self, template: str, *parts: Sql) -> int:
        """A number read from the file."""
        return int(self.connection.execute(*sql(template, *parts)).fetchone()[0])

    # -- tables and columns --

    def add_table(self, name: str) -> Iterator[Step]:
        yield Step(f"add table {name}", _runner(create_table(self.schema.all_tables[name.lower()])))

    def drop_table(self, name: str) -> Step:
        records = self.count("select count(*) from {}", self.present(name))
        return Step(f"drop table {name}", _runner(sql("drop table {}", quoted(name))), records, safe=False, loses=name)

    def alter_table(self, name: str) -> Iterator[Step]:
        old, new = self.old[name]["columns"], self.new[name]["columns"]
        table = self.schema.all_tables[name.lower()]
        columns = {column.column: column for column in table.columns}
        for column in new:
            if column not in old:
                yield from self.add_column(table, columns[column])
            elif column in self.changed_columns(name):
                yield self.retype(table, columns[column], old[column])
            elif new[column]["required"] and not old[column]["required"]:
                records = self.count(
                    "select count(*) from {} where {} is null", self.present(name), self.present(name, column)
                )
                yield self.require(table, columns[column], records)
        for column in old:
            if column not in new:
                yield self.drop_column(name, column)

    def drop_column(self, table: str, column: str) -> Step:
        statement = sql("alter table {} drop column {}", quoted(table), quoted(column))
        records = self.count("select count({}) from {}", self.present(table, column), self.present(table))
        name = f"{table}.{column}"
        return Step(f"drop field {name}", _runner(statement), records, safe=False, loses=name)

    def add_column(self, table: Table, column: Field) -> Iterator[Step]:
        link = next((link for link in table.links.values() if link.key is column), None)
        statement = sql("alter table {} add column {}", quoted(table.name), define_column(column, link))
        yield Step(f"add field {table.name}.{column.column}", _runner(statement))
        if table.sort and column is table.sort.field:
            number = sql("update {} set {}=id", quoted(table.name), quoted(column.column))
            yield Step(f"number the records of {table.name}", _runner(number))
        if column.required or column.schema.get("default") is not None:
            yield self.require(table, column, self.count("select count(*) from {}", self.present(table.name)))

    def require(self, table: Table, column: Field, records: int) -> Step:
        """Give the records without a value the default; without a default they are only counted."""
        name, default = quoted(column.column), column.schema.get("default")
        if default is None:
            text = f"require field {table.name}.{column.column}, which has no default"
            return Step(text, records=records, safe=not records)
        value = bind(column.parse_json(default))
        statement = sql("update {0} set {1}={2} where {1} is null", quoted(table.name), name, value)
        return Step(f"fill field {table.name}.{column.column} with its default", _runner(statement), records)

    def retype(self, table: Table, column: Field, old: Mapping[str, Json]) -> Step:
        kind, name = KINDS[old["kind"]], f"{table.name}.{column.column}"
        place = self.present(table.name, column.column), self.present(table.name)
        rows = self.connection.execute(*sql("select id, {0} from {1} where {0} is not null", *place)).fetchall()
        converted = {} if column.target else {key: convert(value, kind, column) for key, value in rows}
        lost = len(rows) - sum(value is not None for value in converted.values())
        text = f"change field {name} from {kind.name} to {column.kind.name}"
        text += f", which {lost} values do not fit" if lost else ""
        return Step(text, _retyper(table, column, converted), len(rows), safe=False, loses=name if lost else "")

    def changed_columns(self, table: str) -> set[str]:
        """The columns that hold something else from now on."""
        old, new = (layout.get(table, {}).get("columns", {}) for layout in (self.old, self.new))
        same = {
            name for name in old.keys() & new.keys() if all(old[name][k] == new[name][k] for k in ("kind", "target"))
        }
        return set(old) - same

    # -- indexes --

    def drop_indexes(self) -> Iterator[Step]:
        """Indexes that are no longer wanted as they are; those of renamed and changed columns are made anew."""
        for table, layout in self.old.items():
            wanted = self.new.get(table, {}).get("indexes", {})
            changed = self.changed_columns(table)
            for name, text in list(layout["indexes"].items()):
                if wanted.get(name) != text or any(quoted(column).text in text for column in changed):
                    del layout["indexes"][name]
                    yield Step(f"drop index {name}", _runner(sql("drop index {}", quoted(name))))

    def add_indexes(self) -> Iterator[Step]:
        for table in self.schema.all_tables.values():
            have = self.old.get(table.name, {}).get("indexes", {})
            unique = {index_name("unique", table, columns): columns for columns in table.unique}
            for name, statement in indexes_of(table).items():
                if name not in have:
                    double = self.doubles(table, unique[name]) if name in unique else 0
                    refused = "these records have the same values; change them first" if double else ""
                    yield Step(f"add index {name}", _runner(statement), double, safe=not double, refused=refused)

    def doubles(self, table: Table, columns: Sequence[Field]) -> int:
        """How many records would break a new unique rule; a column that is new has its default in all of them."""
        if table.name not in self.old:
            return 0
        there = self.old[table.name]["columns"]
        if any(column.column not in there and column.schema.get("default") is None for column in columns):
            return 0
        names = [self.present(table.name, column.column) for column in columns if column.column in there]
        present = join(" and ", (sql("{} is not null", name) for name in names), "1")
        groups = sql(
            "select count(*) n from {} where {} group by {}",
            self.present(table.name),
            present,
            join(",", names, "null"),
        )
        return self.count("select coalesce(sum(n), 0) from ({}) where n > 1", groups)


def convert(value: SqlValue, old: Kind, column: Field) -> SqlValue:
    """A stored value as another kind stores it, None when it does not fit."""
    plain = old.to_json(value)
    for read_value in (
        column.parse_json,
        lambda it: column.kind.parse_text(it if isinstance(it, str) else dump_json(it)),
    ):
        with contextlib.suppress(BadValue):
            return read_value(plain)
    return None


def _runner(statement: Sql) -> Callable[[sqlite3.Connection], None]:
    def run(connection: sqlite3.Connection) -> None:
        connection.execute(*statement)

    return run


def _retyper(table: Table, column: Field, values: Mapping[int, SqlValue]) -> Callable[[sqlite3.Connection], None]:
    """A column of the new kind in place of the old one, with the values that fit."""

    def run(connection: sqlite3.Connection) -> None:
        name, old, new = quoted(table.name), quoted(column.column), quoted(f"{column.column}__new")
        link = next((link for link in table.links.values() if link.key is column), None)
        definition = define_column(column, link).text.replace(old.text, new.text, 1)
        connection.execute(*sql("alter table {} add column {}", name, Sql(definition)))
        statement = sql("update {} set {}=? where id=?", name, new)
        for key, value in values.items():
            secret = column.kind.name == "password" and isinstance(value, str)
            connection.execute(statement.text, (hash_password(str(value), SCRYPT_COST) if secret else value, key))
        connection.execute(*sql("alter table {} drop column {}", name, old))
        connection.execute(*sql("alter table {} rename column {} to {}", name, new, old))

    return run


def take_tags(connection: sqlite3.Connection, schema: Schema, renames: Mapping[str, str] | None = None) -> None:
    """Give each table the tag that the file keeps for it, or a new one."""
    spelt = {table.name.lower(): table.name for table in schema.all_tables.values()}
    kept = ((renames or {}).get(name, name) for name in get_meta(connection, "tags") or {})
    known = dict(
        zip(
            (spelt.get(name.lower(), name) for name in kept), (get_meta(connection, "tags") or {}).values(), strict=True
        )
    )
    tags = derive_tags((table.name for table in schema.all_tables.values()), known)
    for table in schema.all_tables.values():
        table.tag = tags[table.name]
    set_meta(connection, "tags", tags)


def carry_out(connection: sqlite3.Connection, schema: Schema, steps: Sequence[Step]) -> None:
    """Do the steps of a plan in the open transaction."""
    for step in steps:
        step.work(connection)
    set_meta(connection, "layout", layout_of(schema))


def drop_lost_files(connection: sqlite3.Connection, schema: Schema) -> None:
    """Delete the files that no record holds any more, because their field or its table went."""
    links = (link for table in schema.tables.values() for link in table.files)
    columns = ((quoted(link.key.column), quoted(link.source.name)) for link in links if link.key)
    held = join(" union all ", (sql("select {0} from {1} where {0} is not null", *names) for names in columns), "0")
    connection.execute(*sql("delete from _files where id not in ({})", held))


def has_records(connection: sqlite3.Connection, table: Table) -> bool:
    """Whether a table holds anything."""
    return connection.execute(*sql("select 1 from {}", quoted(table.name))).fetchone() is not None


class Store:
    """One database with the tables of one schema.

    `clock` gives the time, with a zone. Operations come in through `run`; whoever wants to know what changed puts a
    function into `listeners`, which gets the events of each transaction after its commit, in commit order.
    """

    def __init__(self, schema: Schema, path: str, clock: Callable[[], datetime], examples: bool = True) -> None:
        self.schema, self.clock = schema, clock
        new_file = path != ":memory:" and not FilePath(path).exists()
        self.database = Database(path)
        self.listeners: list[Callable[[Sequence[Event]], None]] = []
        self.password_cost = SCRYPT_COST_IN_MEMORY if self.database.in_memory else SCRYPT_COST
        try:
            check_ours(self.database.writer)
            self.database.use_wal()
            self.is_new = self.open(examples)
            self.database.freeze()
        except BaseException:
            self.close()
            if new_file:
                for end in ("", "-wal", "-shm"):
                    FilePath(self.database.path + end).unlink(missing_ok=True)
            raise

    def open(self, examples: bool) -> bool:
        """Make the tables or check those that are there; True when the database is new."""
        with self.database.writing() as connection:
            if not check_ours(connection):
                self.make_tables(connection)
                if examples:
                    self.insert_examples(connection, list(self.schema.tables.values()))
                return True
            upgrade(connection)
            take_tags(connection, self.schema)
            if not self.schema.tables:
                return False
            steps = make_plan(connection, self.schema)
            if any(not step.safe for step in steps):
                raise MigrationNeeded(steps)
            before = set(get_meta(connection, "layout"))
            carry_out(connection, self.schema, steps)
            if examples:
                new = (table for table in self.schema.tables.values() if table.name not in before)
                self.insert_examples(connection, [table for table in new if not has_records(connection, table)])
            return False

    def make_tables(self, connection: sqlite3.Connection) -> None:
        """All tables of a new file."""
        for statement in PRIVATE_TABLES:
            connection.execute(statement)
        set_meta(connection, "version", META_VERSION)
        take_tags(connection, self.schema)
        for table in self.schema.all_tables.values():
            for step in (create_table(table), *indexes_of(table).values()):
                connection.execute(*step)
        set_meta(connection, "layout", layout_of(self.schema))

    def insert_examples(self, connection: sqlite3.Connection, tables: Sequence[Table]) -> None:
        """Insert the `examples` of the tables: first records with their own links, then the other links."""
        writer = self.writer(connection, Origin(NOBODY, "examples", self.moment()))
        writer.trusting = True
        links: list[tuple[Link, int, list[int]]] = []
        for table in tables:
            for number, example in enumerate(table.schema.get("examples", []), 1):
                path = f"{table.path}/examples/{number - 1}"
                links += [
                    (link, number, keys) for link, keys in self.insert_example(writer, table, number, example, path)
                ]
                self.refuse_example(writer, table, number)
        for link, number, keys in links:
            items = tuple(Item(Key(link.target.id, key)) for key in keys)
            writer.change_link(link, number, Change("replace", items, "move"), (link.name,))
            self.refuse_example(writer, link.source, number)
        writer.trusting = False
        for table in tables:
            for number in range(1, len(table.schema.get("examples", [])) + 1):
                writer.validate(Spot(table, number), writer.record(table, number))
                self.refuse_example(writer, table, number)

    def refuse_example(self, writer: Writer, table: Table, number: int) -> None:
        """SchemaError when an example breaks a rule."""
        if writer.faults:
            raise SchemaError(f"{table.path}/examples/{number - 1}", writer.faults[0].message())

    def insert_example(
        self, writer: Writer, table: Table, number: int, example: Json, path: str
    ) -> Iterator[tuple[Link, list[int]]]:
        """Insert one example under its position as id; gives the links that have to wait for the other records."""
        if not isinstance(example, Mapping):
            raise SchemaError(path, "an example must be an object")
        values: Stored = {}
        for name, value in example.items():
            member = table.members.get(name)
            if isinstance(member, Link):
                keys = self.example_keys(member, value, f"{path}/{name}")
                if member.key:
                    values[member.key] = keys[0] if keys else None
                else:
                    yield member, keys
            elif isinstance(member, Field):
                values[member] = self.example_value(member, value, f"{path}/{name}")
            elif name == "id" and table.shows_id and value == number:
                continue
            else:
                values.update(self.example_of_system(writer, table, name, value, f"{path}/{name}"))
        writer.insert(Spot(table, number), values, {})

    def example_keys(self, link: Link, value: Json, path: str) -> list[int]:
        """The positions in the target's examples that a link of an example names."""
        positions = value if isinstance(value, list) and link.many else [] if value is None else [value]
        last = len(link.target.schema.get("examples", []))
        for position in positions:
            if isinstance(position, bool) or not isinstance(position, int) or not 0 < position <= last:
                raise SchemaError(
                    path, f"{dump_json(position)} is not the position of an example of {link.target.name!r}"
                )
        return positions

    def example_value(self, column: Field, value: Json, path: str) -> SqlValue:
        """The value of a field in an example, as it is stored."""
        try:
            return column.parse_json(value)
        except BadValue as error:
            raise SchemaError(path, f"must be {error}") from None

    def example_of_system(self, writer: Writer, table: Table, name: str, value: Json, path: str) -> Stored:
        """The words of an example that are no fields: its status, and whose it is, by name."""
        if name == "_status" and table.archive and value in ("active", "archived", "trash"):
            return {table.system[name]: ("active", "archived", "trash").index(value)}
        if name in ("_owner", "_group"):
            return {table.system[name]: self.named(writer, "_users" if name == "_owner" else "_groups", value, path)}
        if name in ("_access", "_branch") and isinstance(value, list):
            target = "_users" if name == "_access" else "_groups"
            return {table.system[name]: dump_json([self.named(writer, target, item, path) for item in value])}
        raise SchemaError(path, f"{name!r} is not a field of {table.name!r}{did_you_mean(name, table.members)}")

    def named(self, writer: Writer, table: str, name: Json, path: str) -> int:
        """The user or group of that name, made when there is none; a user made so cannot sign in."""
        if not isinstance(name, str):
            raise SchemaError(path, "must be a name")
        target = self.schema.all_tables[table]
        key = Key(target.fields["name"], name)
        return writer.find(target, key) or writer.insert(Spot(target, 0), {target.fields["name"]: name}, {})

    # -- operations --

    def moment(self) -> str:
        """The time of the clock, in stored form."""
        return moment_text(self.clock())

    def writer(self, connection: sqlite3.Connection, origin: Origin) -> Writer:
        """The writes of one transaction."""
        return Writer(connection, origin, self.password_cost)

    def run_for(self, actor: Actor, op: Operation, dialect: str) -> Outcome:
        """Run an operation as an actor may, now: the one way in for whatever comes from outside."""
        origin = origin_of(self.schema, actor, dialect, self.moment())
        return self.run(guard(op, actor, origin.moment, origin.rights), origin)

    def run(self, op: Operation, origin: Origin | None = None) -> Outcome:
        """Run a guarded operation. ApiError when it breaks a rule; then nothing has changed."""
        if not is_write(op):
            return self.read(op, origin.sight if origin else FULL_SIGHT)
        return self.write(lambda writer: writer.run(op), origin or Origin(NOBODY, "", self.moment()))

    def read(self, op: Operation, sight: Sight) -> Outcome:
        """Run Selects in one snapshot."""
        with self.database.reading() as connection:
            if isinstance(op, Select) and not op.total and not op.parent:
                return read(connection, op, sight)
            connection.execute("begin")
            try:
                if isinstance(op, Select):
                    return read(connection, op, sight)
                assert isinstance(op, Batch)
                selects = (part for part in op.operations if isinstance(part, Select))
                return Outcome(parts=tuple(read(connection, part, sight) for part in selects))
            finally:
                connection.execute("commit")

    def look(self, event: Event, shape: Shape, actor: Actor) -> str | None:
        """A record as an event left it, or found it when it was deleted, in a shape; None when the actor may not."""
        origin = origin_of(self.schema, actor, event.dialect, event.moment)
        if not origin.rights.allows(event.table, "list"):
            return None
        with self.database.reading() as connection:
            statement = Compiler(origin.sight).past(event.table, event.record, origin.rights.shown(shape))
            row = connection.execute(*statement).fetchone()
            return row[0] if row else None

    def piece(self, file: int, number: int) -> bytes | None:
        """One piece of a file; None when there is none."""
        with self.database.reading() as connection:
            row = connection.execute("select data from _pieces where file=? and number=?", (file, number)).fetchone()
            return row[0] if row else None

    def write(self, work: Callable[[Writer], Outcome], origin: Origin) -> Outcome:
        """Run writes in one transaction and publish their events after its commit."""
        with self.database.write_lock:
            with self.database.writing(STATEMENT_TIMEOUT_SECONDS) as connection:
                writer = self.writer(connection, origin)
                writer.deadline = self.database.deadlines[id(connection)]
                outcome = work(writer)
                writer.finish()
                events = writer.events() if self.listeners else []
            for listener in list(self.listeners):
                try:
                    listener(events)
                except Exception:  # what is committed stays so
                    log.exception("a listener failed")
        return outcome

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def migrate(
    schema: Schema, path: str, drop: Iterable[str] = (), renames: Mapping[str, str] | None = None, apply: bool = False
) -> list[Step]:
    """The plan that brings the file to the schema, carried out when `apply` is set.

    It is one transaction, after a copy of the file was written beside it. ValueError says what stands against it: a
    step that is refused, or one that loses data and is not named in `drop`.
    """
    database, names = Database(path), set(drop)
    try:
        if not check_ours(database.writer):
            raise NotOurs("it is empty")
        steps = allowed_plan(database.writer, schema, (names, renames), apply)
        if apply:
            copy_database(path, f"{path}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}.bak")
            with database.writing() as connection:
                steps = allowed_plan(connection, schema, (names, renames), apply)
                take_tags(connection, schema, renames)
                carry_out(connection, schema, steps)
                drop_lost_files(connection, schema)
        return steps
    finally:
        database.close()


def allowed_plan(
    connection: sqlite3.Connection, schema: Schema, words: tuple[set[str], Mapping[str, str] | None], apply: bool
) -> list[Step]:
    """The plan. ValueError when it is to be carried out, and a step is refused or loses what may not be lost."""
    drop, renames = words
    steps = make_plan(connection, schema, renames)
    against = [step for step in steps if step.refused or (step.loses and step.loses not in drop)]
    if apply and against:
        raise ValueError("; ".join(step.line() for step in against))
    return steps


def copy_database(source: str, target: str) -> None:
    """A copy of a database file, whole even while others write, for its owner alone."""
    make_private(target)
    with contextlib.closing(sqlite3.connect(source)) as connection, contextlib.closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)


# ======================================================================================================================
# 12  HTTP
#
# Requests and replies, apart from any server: a `Request` reads the WSGI environment strictly, a `Reply` is status,
# headers and one bytes object or a stream of them. Here are the readers of bracket parameters and of bodies that the
# dialects share.
# ======================================================================================================================

JSON_TYPE = "application/json; charset=utf-8"
SESSION_COOKIE = "sid"
BRACKETS = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")
QUERY_LETTERS = "/?&=%:+,;@!$'()*~[]"
"""What stands in a query as it is, beside letters and digits; the rest is percent-encoded in a header."""


class Parameter(NamedTuple):
    """One parameter of a query: the name cut at its brackets, the value, and whether it came without `=`."""

    keys: tuple[str, ...]
    value: str
    bare: bool = False

    @property
    def name(self) -> str:
        """The name as it was written."""
        return format_brackets(self.keys)


def parse_brackets(name: str) -> tuple[str, ...]:
    """Cut a parameter's name at its brackets. ApiError `bad_brackets`.

    >>> parse_brackets("$page[count]")
    ('$page', 'count')
    >>> parse_brackets("kunden[name][eq]")
    ('kunden', 'name', 'eq')
    """
    match = BRACKETS.fullmatch(name)
    if not match or match[2].count("[") > MAX_BRACKET_DEPTH:
        raise fail("bad_brackets", name=name)
    return (match[1], *match[2][1:-1].split("][")) if match[2] else (match[1],)


def format_brackets(keys: Sequence[str]) -> str:
    """The opposite of `parse_brackets`.

    >>> format_brackets(("$page", "count"))
    '$page[count]'
    """
    return keys[0] + "".join(f"[{key}]" for key in keys[1:])


def parse_query(text: str, limit: int = MAX_PARAMETERS) -> list[Parameter]:
    """Read a query string or a form body, strictly: UTF-8, no NUL, not too many parameters. ApiError says why.

    >>> parse_query("$page%5Bcount%5D=2&name=M%C3%BCller+x")
    [Parameter(keys=('$page', 'count'), value='2', bare=False), Parameter(keys=('name',), value='Müller x', bare=False)]
    """
    parts = [part for part in text.split("&") if part]
    if len(parts) > limit:
        raise fail("too_many_parameters", limit=limit)
    pairs = (part.partition("=") for part in parts)
    return [Parameter(parse_brackets(_unquote(name)), _unquote(value), not equals) for name, equals, value in pairs]


def _unquote(text: str) -> str:
    try:
        decoded = unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8")
    except UnicodeError:
        raise fail("bad_query", reason="it is not valid UTF-8") from None
    if "\0" in decoded:
        raise fail("bad_query", reason="it holds the character NUL")
    return decoded


def nest_parameters(parameters: Iterable[Parameter | tuple[tuple[str, ...], Json]]) -> dict[str, Json]:
    """The value that bracket parameters spell, each given by its keys and its value; numbered keys become lists.

    >>> nest_parameters(parse_query("data[name]=A&data[tags][0]=x&data[tags][1]=y"))
    {'data': {'name': 'A', 'tags': ['x', 'y']}}
    """
    root: dict[str, Json] = {}
    for keys, value in (parameter[:2] for parameter in parameters):
        place = root
        for key in keys[:-1]:
            place = place.setdefault(key or _next_number(place), {})
            if not isinstance(place, dict):
                raise fail("bad_brackets", name=format_brackets(keys))
        last = keys[-1] or _next_number(place)
        if isinstance(place.get(last), dict):
            raise fail("bad_brackets", name=format_brackets(keys))
        place[last] = value
    return {key: _lists(value) for key, value in root.items()}


def _next_number(place: Mapping[str, Json]) -> str:
    return str(1 + max((int(key) for key in place if _is_number(key)), default=-1))


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdigit() and len(key) < 10


def _lists(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    if value and all(map(_is_number, value)):
        return [_lists(value[key]) for key in sorted(value, key=int)]
    return {key: _lists(inner) for key, inner in value.items()}


class BodyLimits(NamedTuple):
    """How many bytes a body may have: `body` JSON, a form, and the texts of a multipart; `upload` a whole multipart."""

    body: int = MAX_BODY_BYTES
    upload: int = MAX_UPLOAD_BYTES


BODY_LIMITS = BodyLimits()


class Request:
    """One request. `path` is decoded; `query` is as it came. Every reader is strict and raises ApiError.

    `form` is what `read_form` has read; whoever made the request closes it.
    """

    def __init__(self, environ: Mapping[str, Any], limits: BodyLimits = BODY_LIMITS) -> None:
        self.environ, self.limits = environ, limits
        self.form: Form | None = None
        self.method: str = environ["REQUEST_METHOD"].upper()
        self.query: str = environ.get("QUERY_STRING", "")
        self.actor = NOBODY
        try:
            self.path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8") or "/"
        except UnicodeError:
            raise fail("bad_path") from None
        if "\0" in self.path:
            raise fail("bad_path")

    def header(self, name: str) -> str | None:
        """The value of a header."""
        key = name.upper().replace("-", "_")
        value = self.environ.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}")
        return value if isinstance(value, str) else None

    def cookie(self, name: str) -> str | None:
        """The value of a cookie; of several with the name the first, which is the one with the longest path."""
        pairs = (part.partition("=") for part in (self.header("Cookie") or "").split(";"))
        return next((value.strip().strip('"') for key, _, value in pairs if key.strip() == name), None)

    @property
    def has_credentials(self) -> bool:
        """Whether the request says who asks, rightly or not."""
        return self.header("Authorization") is not None or self.cookie(SESSION_COOKIE) is not None

    @functools.cached_property
    def parameters(self) -> list[Parameter]:
        """The parameters of the query, in order."""
        return parse_query(self.query)

    @functools.cached_property
    def body(self) -> bytes:
        """The body, read once. ApiError `too_large`."""
        length = self.length(self.limits.body)
        return bytes(self.environ["wsgi.input"].read(length)) if length > 0 else b""

    def length(self, limit: int) -> int:
        """The length of the body, before it is read. ApiError `too_large`, `bad_header` or `media_type`."""
        text = self.environ.get("CONTENT_LENGTH") or "0"
        if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
            raise fail("bad_header", name="Content-Length", reason="write a number")
        length = int(text)
        if length > limit:
            raise fail("too_large", limit=limit)
        if self.header("Content-Encoding") not in (None, "", "identity"):
            raise fail("media_type", value=self.header("Content-Encoding"), allowed="the body without Content-Encoding")
        return length

    @property
    def media_type(self) -> str:
        """The content type without parameters, in lower case."""
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()

    @property
    def is_form(self) -> bool:
        """Whether the body is a form; the bare name is one that Limbas documents."""
        return self.media_type in ("application/x-www-form-urlencoded", "x-www-form-urlencoded")

    @property
    def is_multipart(self) -> bool:
        """Whether the body is a form that can hold files; `read_form` reads it, where a dialect takes it."""
        return self.media_type == "multipart/form-data"

    @property
    def brings_texts(self) -> bool:
        """Whether the values of the body are texts, to be read by the kinds of their fields."""
        return self.is_form or self.is_multipart

    @functools.cached_property
    def payload(self) -> Json:
        """The value of the body, read once."""
        return self.read_body()

    def read_body(self) -> Json:
        """The value of a JSON body or of a form, whose values are texts. ApiError `bad_body`."""
        return nest_parameters(self.read_form()) if self.is_form else read_json(self.body)

    def read_json(self) -> Json:
        """The value of a body that says that it is JSON, or says nothing. ApiError `media_type`, `bad_body`.

        A page of another site can send a text without asking first, and JSON not.
        """
        if self.media_type not in ("", "application/json"):
            raise fail("media_type", value=self.media_type[:100], allowed="application/json")
        return read_json(self.body)

    def read_form(self, limit: int = MAX_PARAMETERS) -> list[Parameter]:
        """The fields of a form, in order. ApiError `bad_body`."""
        try:
            return parse_query(self.body.decode("ascii"), limit)
        except UnicodeError:
            raise fail("bad_body", reason="a form is ASCII with percent signs") from None

    @property
    def host(self) -> str:
        """The Host header."""
        return self.header("Host") or ""

    @property
    def client_address(self) -> str:
        """The address of the client; empty where the server does not say."""
        return str(self.environ.get("REMOTE_ADDR") or "")

    @property
    def is_secure(self) -> bool:
        """Whether the client is known to speak TLS, to this server or to a proxy that may say so."""
        return bool(self.environ.get("wsgi.url_scheme") == "https")

    @property
    def origin(self) -> str | None:
        """The origin of the page that asks, None when no page of another origin does."""
        foreign = self.header("Sec-Fetch-Site") in ("cross-site", "same-site")  # another port is of the same site
        origin = self.header("Origin")
        if origin is None:
            return "null" if foreign else None
        schemes = ("https",) if self.is_secure else ("http", "https")  # a proxy may speak TLS and not tell us
        ours = bool(self.host) and origin in [f"{scheme}://{self.host.lower()}" for scheme in schemes]
        return None if ours and not foreign else origin

    @property
    def expected_version(self) -> int | None:
        """The version in `If-Match`; None without one or for `*`. ApiError `precondition` for a foreign tag."""
        value = (self.header("If-Match") or "*").strip()
        if value == "*":
            return None
        match = re.fullmatch(r'"(\d{1,18})-[0-9a-f]+"', value, re.ASCII)
        if not match:
            raise fail("precondition")
        return int(match[1])

    def knows(self, tag: str) -> bool:
        """Whether `If-None-Match` says that the client has what it asks for, under this tag."""
        known = [part.strip().removeprefix("W/") for part in (self.header("If-None-Match") or "").split(",")]
        return self.method in ("GET", "HEAD") and (tag in known or known == ["*"])

    def wants_html(self) -> bool:
        """Whether a person's browser asks."""
        return "text/html" in (self.header("Accept") or "")


class Stream(NamedTuple):
    """A body that is made while it is sent; `length` is the number of its bytes."""

    length: int
    pieces: Iterable[bytes]


@dataclass(frozen=True)
class Reply:
    """An answer: status, one bytes object or a stream in its place, headers beside the usual ones."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON_TYPE
    stream: Stream | None = None

    @property
    def length(self) -> int:
        """The number of bytes of the body."""
        return self.stream.length if self.stream else len(self.body)


def json_reply(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A reply with a JSON text."""
    return Reply(status, text.encode("utf-8"), headers)


def record_reply(
    request: Request, row: Row, text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Reply:
    """A reply with one record: its `ETag` is the version and a hash of the body; `If-None-Match` gives 304."""
    body = text.encode("utf-8")
    tag = f'"{row.version}-{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
    if status == 200 and request.knows(tag):
        return Reply(304, headers=(("ETag", tag), *headers))
    return Reply(status, body, (("ETag", tag), *headers))


def not_allowed(request: Request, allowed: str) -> ApiError:
    """The error for a method that an address does not take; `allowed` are those that it does."""
    violation = Violation((), "method", {"method": request.method[:20], "allowed": allowed})
    return ApiError("method", violation, headers=(("Allow", allowed),))


class Route(NamedTuple):
    """One address: methods, Bottle's rule, and the handler, which gets the request and the rule's names.

    A public one is answered without credentials; its handler asks for them where it needs them.
    """

    methods: tuple[str, ...]
    rule: str
    handler: Callable[..., Reply]
    public: bool = False


ALL_METHODS = ("GET", "POST", "PATCH", "PUT", "DELETE")


# ======================================================================================================================
# 13  Files
#
# Files that records hold: how they come in (`read_form` reads a multipart as a stream) and how they go out (`Downloads`
# is the one address, for all dialects). A file field is a unique link to `_files`, its content lies in pieces in
# `_pieces`; a request holds one piece at a time. What a client calls a file is a name for people and never a path.
# ======================================================================================================================

HTTP_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
MEDIA_TYPE = re.compile(rf"({HTTP_WORD}/{HTTP_WORD})[ \t]*(?:;|\Z)")
BOUNDARY = re.compile(r"[ -~]{0,69}[!-~]")  # wider than RFC 2046: WebTest's ends with a `$`
PART_HEADER = re.compile(rf"({HTTP_WORD}):[ \t]*([^\r\n]*)")
HEADER_WORD = re.compile(rf';[ \t]*({HTTP_WORD})=(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))[ \t]*')
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Control characters, ends of lines, and what turns the direction of a text, so that `exe.txt` is read as `txt.exe`."""
RANGE = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass
class Form:
    """What a form holds: texts and files, each with its name cut at the brackets. The files lie in `spool`.

    `fault` is what was wrong with a form that could not be read to its end.
    """

    texts: list[Parameter]
    files: dict[tuple[str, ...], Upload]
    spool: IO[bytes]
    fault: ApiError | None = None

    def values(self, *place: str) -> dict[str, Json]:
        """The texts, nested as the brackets say, with each file as an `Upload` among them.

        Files may stand directly below `place` and nowhere else: `("data",)` lets `data[photo]` in, and no place
        `photo`. ApiError `bad_parameter`.
        """
        for keys, upload in self.files.items():
            if keys[:-1] != place:
                name = format_brackets(keys)
                raise fail("bad_parameter", name=name, value=upload.name, reason="a file field is not named so")
        return nest_parameters([*self.texts, *self.files.items()])

    def close(self) -> None:
        """Let go of the files."""
        self.spool.close()


def read_form(request: Request) -> Form:
    """The `multipart/form-data` of a request, read once. Files go to the disk; its limits are those of the request."""
    if request.form is None:
        reader = _Multipart(request)
        request.form = reader.form
        try:
            reader.read()
        except ApiError as error:
            reader.form.fault = error
            reader.form.close()
    if request.form.fault:
        raise request.form.fault
    return request.form


def parse_header(text: str) -> tuple[str, dict[str, str]]:
    """A header's value and the words behind it, both as written. ApiError `bad_body`.

    >>> parse_header('form-data; name="data[photo]"; filename="a.jpg"')
    ('form-data', {'name': 'data[photo]', 'filename': 'a.jpg'})
    """
    value, semicolon, rest = text.partition(";")
    words: dict[str, str] = {}
    place, rest = 0, semicolon + rest
    while place < len(rest):
        match = HEADER_WORD.match(rest, place)
        if not match or match[1].lower() in words:
            raise fail("bad_body", reason=f"the header {text[:100]!r} cannot be read")
        quoted_text = (match[2] or "").replace('\\"', '"').replace("%22", '"')  # as clients old and new write it
        words[match[1].lower()] = match[3] or quoted_text
        place = match.end()
    return value.strip(), words


def file_name(text: str) -> str:
    """The name for a file that a client calls so: the last part of a path, without what cannot be seen in it.

    >>> file_name("../../etc/passwd"), file_name("C:\\\\photos\\\\a.jpg"), file_name("..")
    ('passwd', 'a.jpg', '..')
    """
    check_text(text)
    last = re.split(r"[/\\]", text)[-1]
    name = UNSEEN.sub("", last).strip()
    if len(name) > MAX_FILE_NAME_LENGTH:
        reason = f"the name of a file has at most {MAX_FILE_NAME_LENGTH} characters"
        raise fail("bad_parameter", name="filename", value=name[:100], reason=reason)
    return name or "file"


def media_type_of(text: str) -> str:
    """The media type that a client gives, without parameters.

    >>> media_type_of("Image/JPEG; q=1"), media_type_of("jpeg")
    ('image/jpeg', 'application/octet-stream')
    """
    match = MEDIA_TYPE.match(text.strip())
    return match[1].lower() if match and len(match[1]) <= MAX_FILE_NAME_LENGTH else ANY_MEDIA_TYPE


class _Multipart:
    """Reads `multipart/form-data` (RFC 7578) from the stream of a request, strictly, a piece at a time."""

    def __init__(self, request: Request) -> None:
        boundary = parse_header(request.header("Content-Type") or "")[1].get("boundary", "")
        if not BOUNDARY.fullmatch(boundary):
            raise fail("bad_header", name="Content-Type", reason="it names no boundary of 1 to 70 characters")
        self.mark = f"\r\n--{boundary}".encode("ascii")
        self.stream, self.left = request.environ["wsgi.input"], request.length(request.limits.upload)
        self.limit = self.budget = request.limits.body
        self.buffer = b"\r\n"  # so that the first boundary is like all others
        self.form = Form([], {}, tempfile.SpooledTemporaryFile(PIECE_BYTES))  # noqa: SIM115 - `Form.close` does

    def read(self) -> None:
        """Read the whole form."""
        if self.text(self.mark):
            raise fail("bad_body", reason="it does not begin with its boundary")
        for number in itertools.count(1):
            if not self.goes_on():
                break
            if number > MAX_PARTS:
                raise fail("too_many_parameters", limit=MAX_PARTS)
            self.read_part(*self.read_head())

    def goes_on(self) -> bool:
        """Whether a part follows the boundary; behind the last one there is nothing."""
        while len(self.buffer) < 2:
            self.fill()
        end, self.buffer = self.buffer[:2], self.buffer[2:]
        if end == b"\r\n":
            return True
        while end == b"--" and self.left and len(self.buffer) <= 2:
            self.fill()
        if end != b"--" or self.left or self.buffer not in (b"", b"\r\n"):
            raise fail("bad_body", reason="something follows a boundary")
        return False

    def read_head(self) -> tuple[dict[str, str], str]:
        """The words of a part's `Content-Disposition`, and its media type."""
        headers: dict[str, str] = {}
        for line in self.text(b"\r\n\r\n", MAX_PART_HEADER_BYTES).split("\r\n"):
            match = PART_HEADER.fullmatch(line)
            if not match or match[1].lower() in headers:
                raise fail("bad_body", reason=f"the header {line[:100]!r} of a part cannot be read")
            headers[match[1].lower()] = match[2]
        value, words = parse_header(headers.get("content-disposition", ""))
        if value.lower() != "form-data" or "name" not in words:
            raise fail("bad_body", reason="a part has no name")
        if headers.get("content-transfer-encoding", "binary").strip().lower() not in ("7bit", "8bit", "binary"):
            raise fail("bad_body", reason="a part is encoded; send it as it is")
        return words, headers.get("content-type", "")

    def read_part(self, words: Mapping[str, str], media_type: str) -> None:
        """A text, or a file, which is known by its `filename`; an empty one of no bytes is a form's unused field."""
        name = words["name"]
        keys = parse_brackets(name)
        if "filename" not in words and "filename*" not in words:
            self.form.texts.append(Parameter(keys, self.text(self.mark)))
            return
        given = words.get("filename", "")
        if "filename*" in words:
            charset, _, text = words["filename*"].partition("'")
            if charset.lower() != "utf-8":
                raise fail("bad_body", reason=f"the name of a file is in {charset[:40]!r}; send UTF-8")
            given = _decoded(unquote_to_bytes(text.partition("'")[2]))
        if keys in self.form.files:
            raise fail("twice", [name])
        upload = self.read_file(file_name(given), media_type_of(media_type))
        if given or upload.size:
            self.form.files[keys] = upload

    def read_file(self, name: str, media_type: str) -> Upload:
        """The content of a part, put on the disk."""
        spool = self.form.spool
        start = spool.tell()
        for piece in self.until(self.mark):
            spool.write(piece)
        return Upload(name, media_type, spool.tell() - start, spool, start)

    def text(self, mark: bytes, limit: int = sys.maxsize) -> str:
        """What stands before the next mark. ApiError `too_large` when texts and heads are too long together."""
        found = bytearray()
        for piece in self.until(mark):
            found += piece
            self.budget -= len(piece)
            if self.budget < 0:
                raise fail("too_large", limit=self.limit)
            if len(found) > limit:
                raise fail("bad_body", reason=f"the headers of a part have more than {limit} bytes")
        return _decoded(bytes(found))

    def until(self, mark: bytes) -> Iterator[bytes]:
        """What stands before the next mark, piece by piece."""
        while (place := self.buffer.find(mark)) < 0:
            whole = len(self.buffer) - len(mark) + 1  # the mark may have begun behind that
            if whole > 0:
                piece, self.buffer = self.buffer[:whole], self.buffer[whole:]
                yield piece
            self.fill()
        piece, self.buffer = self.buffer[:place], self.buffer[place + len(mark) :]
        yield piece

    def fill(self) -> None:
        """Read on. ApiError `bad_body` at the end of the body."""
        chunk = self.stream.read(min(self.left, PIECE_BYTES))
        if not chunk:
            raise fail("bad_body", reason="it ends before its last boundary")
        self.left -= len(chunk)
        self.buffer += chunk


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise fail("bad_body", reason="it is not valid UTF-8") from None
    check_text(text)
    return text


# ---- the way out ----


class Downloads:
    """The address of the files that records hold, which obeys the rights of the records."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def routes(self) -> Iterator[Route]:
        """`/browse/<table>/<id>/file/<field>`."""
        yield Route(ALL_METHODS, "/browse/<table>/<key>/file/<name>", self.show)

    def show(self, request: Request, table: str, key: str, name: str) -> Reply:
        """A file, or a part of it. ApiError `not_found` for a record that is not seen, and for one without a file."""
        if request.method not in ("GET", "HEAD"):
            raise not_allowed(request, "GET, HEAD")
        text = self.find(request, table, key, name)
        file = json.loads(text)
        tag = f'"{hashlib.blake2b(text.encode("utf-8"), digest_size=8).hexdigest()}"'
        headers: tuple[tuple[str, str], ...] = (
            ("ETag", tag),
            ("Accept-Ranges", "bytes"),
            ("Content-Disposition", disposition(file["name"])),
        )
        if request.knows(tag):
            return Reply(304, headers=headers)
        size = file["size"]
        wanted = wanted_range(request, size, tag)
        first, end = wanted or (0, size)
        if wanted:
            headers += (("Content-Range", f"bytes {first}-{end - 1}/{size}"),)
        stream = Stream(end - first, self.pieces(file["id"], first, end))
        return Reply(206 if wanted else 200, b"", headers, file["media_type"], stream)

    def find(self, request: Request, table: str, key: str, name: str) -> str:
        """The description of a file, as JSON."""
        found = self.store.schema.tables.get(table.lower())
        link = found.by_fold.get(name.lower()) if found else None
        if not found or not isinstance(link, Link) or not link.is_file or not re.fullmatch(r"\d{1,16}", key, re.ASCII):
            raise fail("not_found")
        columns = (link.target.id, *link.target.fields.values(), link.target.system["_created"])
        shape = Sub(link, Obj(tuple((column.name, Col(Path((), column))) for column in columns)), many=False)
        op = Select(found, shape, Compare(Path((), found.id), "eq", int(key)), single=True)
        rows = self.store.run_for(request.actor, op, "").rows
        if not rows or not rows[0].text:  # null where the record holds none
            raise fail("not_found")
        return rows[0].text

    def pieces(self, file: int, first: int, end: int) -> Iterator[bytes]:
        """The bytes of a file from one place to another, each piece read on its own.

        A file that is deleted meanwhile ends early, which a client sees by the length.
        """
        for number in range(first // PIECE_BYTES, -(-end // PIECE_BYTES)):
            data, start = self.store.piece(file, number), number * PIECE_BYTES
            if data is None:
                return
            yield data[max(0, first - start) : end - start]


def wanted_range(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """The place of the first byte that `Range` asks for and the one behind the last; None for the whole.

    As RFC 9110 allows, what is no range, several ranges, and one of another version ask for the whole. ApiError `range`
    when the file has none of the bytes.
    """
    value = (request.header("Range") or "").strip()
    match = RANGE.fullmatch(value)
    if not match or request.method != "GET" or request.header("If-Range") not in (None, tag):
        return None
    first, last = match.groups()
    if not (first or last) or (first and last and int(first) > int(last)):
        return None
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= end:
        violation = Violation((), "range", {"size": size, "value": value})
        raise ApiError("range", violation, headers=(("Content-Range", f"bytes */{size}"),))
    return begin, end


def disposition(name: str) -> str:
    r"""The header that makes a browser save a file under its name (RFC 6266), for old ones in ASCII.

    >>> disposition("Größe 1.pdf")
    'attachment; filename="Gr__e 1.pdf"; filename*=UTF-8\'\'Gr%C3%B6%C3%9Fe%201.pdf'
    """
    plain = re.sub(r"[^ !#-$&-\[\]-~]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


# ======================================================================================================================
# 14  Accounts
#
# Users, tokens, and who a request comes from. A scheme is a function and its row in `SCHEMES`; every dialect accepts
# all of them. Passwords are hashed by scrypt; a verified pair of name and password is remembered for some minutes, as
# a keyed hash, so that Basic does not cost a scrypt at each request. Who guesses is slowed down by `Failures`, and is
# never told whether a user exists. Disabling a user or changing a password holds from the next request on.
# ======================================================================================================================

TOKEN_PREFIX = "mrt_"  # noqa: S105 - what a scanner for leaked secrets looks for
SIGN_IN_TOKENS = ("auth:signIn", "auth/token")
"""The names of the tokens that NocoBase and Platform give to somebody who signs in."""
TOKEN_LETTERS = string.digits + string.ascii_letters


class Account(NamedTuple):
    """What Accounts reads of a user."""

    id: int
    name: str
    display_name: str | None
    password: str | None
    roles: str | None
    groups: str | None
    disabled: int | None
    token: int | None = None
    session: str | None = None
    scopes: str | None = None

    def actor(self) -> Actor:
        """The user as the rest of the program knows it."""
        roles, groups, scopes = (tuple(json.loads(text or "[]")) for text in (self.roles, self.groups, self.scopes))
        stamp = PasswordHash.read(self.password).salt if self.password else ""  # drawn with each new password
        names = (self.name, self.display_name or self.name)
        return Actor(self.id, *names, roles, groups, self.token, self.session, scopes, stamp)


ACCOUNT = "select u.id, u.name, u.display_name, u.password, u.roles, u.groups, u.disabled from _users u "


UNCHANGED = "id=? and password is ? and not coalesce(disabled, 0)"
"""The user whose password was found right, as long as nothing has changed since."""


class Failures:
    """The wrong passwords of the last minutes, by user and by client address.

    Each of the two has a level: a wrong password raises it by one, and it sinks by `most` in `FAILURES_SECONDS`. At
    `most` a wrong password costs more than the refusal: who sends one is told to wait, longer each time. The passwords
    themselves are still checked, else a stranger could lock out who has the right one. But they are checked one after
    the other, and few may wait for that, so that guesses leave the rest of the machine to others.
    """

    def __init__(self, clock: Callable[[], datetime], most: float) -> None:
        self.clock, self.most = clock, most
        self.levels: OrderedDict[bytes, tuple[float, float]] = OrderedDict()  # the level, and when it was that
        self.checked: set[tuple[bytes, ...]] = set()
        self.lock, self.slow_lane = threading.Lock(), threading.Lock()

    @contextlib.contextmanager
    def turn(self, keys: tuple[bytes, ...]) -> Iterator[None]:
        """The time in which a password is checked. ApiError `too_many_failures` where it cannot be, for the moment."""
        with self.lock:
            is_slow = self.wait(keys) > 0
            if is_slow and (keys in self.checked or len(self.checked) >= MAX_CHECKS_AT_ONCE):
                raise self.refusal(1)
            if is_slow:
                self.checked.add(keys)
        try:
            with self.slow_lane if is_slow else contextlib.nullcontext():
                yield
        finally:
            if is_slow:
                with self.lock:
                    self.checked.discard(keys)

    def note(self, keys: tuple[bytes, ...]) -> None:
        """Count a wrong password. ApiError `too_many_failures` when there were too many before it."""
        now, highest = self.clock().timestamp(), self.most - 1 + MAX_RETRY_SECONDS * self.rate
        with self.lock:
            is_slow = self.wait(keys) > 0
            for key in keys:
                self.levels[key] = min(self.level(key) + 1, highest), now
                self.levels.move_to_end(key)
            while len(self.levels) > FAILURES_SIZE:
                self.levels.popitem(last=False)
            if is_slow:
                raise self.refusal(self.wait(keys))

    @property
    def rate(self) -> float:
        """How much a level sinks in a second."""
        return MAX_FAILURES / FAILURES_SECONDS

    def level(self, key: bytes) -> float:
        """The level of a user or an address now."""
        level, since = self.levels.get(key, (0.0, 0.0))
        return max(0.0, level - max(0.0, self.clock().timestamp() - since) * self.rate)

    def wait(self, keys: tuple[bytes, ...]) -> int:
        """The seconds until another wrong password is free, 0 when it is."""
        over = max(map(self.level, keys)) - (self.most - 1)
        return math.ceil(over / self.rate) if over > 0 else 0

    def refusal(self, seconds: int) -> ApiError:
        """The error for who has to wait."""
        violation = Violation((), "too_many_failures", {"seconds": seconds})
        return ApiError("too_many_failures", violation, headers=(("Retry-After", str(seconds)),))


def failure_keys(name: str, address: str) -> tuple[bytes, ...]:
    """What `Failures` counts by: the user, real or not, and the address where it is known; of a fixed size."""
    texts = [f"user {name}", *([f"address {client_network(address)}"] if address else [])]
    return tuple(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for text in texts)


def client_network(address: str) -> str:
    """Who an address stands for: of IPv6 the network, because a client has many addresses in its own.

    >>> client_network("192.0.2.7"), client_network("::ffff:192.0.2.7"), client_network("2001:db8::7")
    ('192.0.2.7', '192.0.2.7', '2001:db8::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


class Accounts:
    """The users of one Store. `most_failures` wrong passwords are free, see `Failures`."""

    def __init__(self, store: Store, most_failures: float = MAX_FAILURES) -> None:
        self.store = store
        self.failures = Failures(store.clock, most_failures)
        self.key = secrets.token_bytes(32)
        self.verified: OrderedDict[bytes, float] = OrderedDict()
        self.used: dict[int | str, str] = {}
        self.lock = threading.Lock()
        self.hashing = threading.BoundedSemaphore(2)
        self.decoy = hash_password(secrets.token_hex(8), store.password_cost)

    # -- who asks --

    def authenticate(self, request: Request) -> Actor:
        """The user that the request's credentials prove. ApiError `unauthenticated`, `too_many_failures`.

        The `Authorization` header goes before the session's cookie: a wrong one is refused, whatever the cookie says.
        """
        header, cookie = request.header("Authorization"), request.cookie(SESSION_COOKIE)
        if header is None:
            account = self.session(cookie) if cookie else None
        else:
            scheme, _, credentials = header.partition(" ")
            check = SCHEMES.get(scheme.lower())
            account = check(self, credentials.strip(), request.client_address) if check else None
        if account is None or account.disabled:
            raise fail("unauthenticated", reason="wrong" if header or cookie else "empty")
        return account.actor()

    def basic(self, credentials: str, address: str) -> Account | None:
        """The account of `user:password` in base64 (RFC 7617), read as UTF-8."""
        try:
            name, colon, password = base64.b64decode(credentials, validate=True).decode("utf-8").partition(":")
        except ValueError:
            return None
        return self.verify(name, password, address) if colon else None

    def bearer(self, credentials: str, _: str = "") -> Account | None:
        """The account of a token that is known and has not expired; with its id before a bar, as Laravel writes it.

        Wrong ones are not counted: nobody guesses 256 random bits, and a client whose token has expired must learn it.
        """
        number, bar, text = credentials.partition(",")[0].strip().rpartition("|")
        digest = hash_token(text)
        query = (
            ACCOUNT.replace(" from", ", t.id, null, t.scopes, t.expires, t.last_used from")
            + "join _tokens t on t.user_id=u.id where t.hash=?"
        )
        row = self.fetch(query, (digest,))
        if row is None or (row[10] is not None and row[10] <= self.store.moment()) or (bar and number != str(row[7])):
            return None
        self.note_use("_tokens", "id", row[7], row[11])
        return Account(*row[:10])

    def api_key(self, credentials: str, _: str = "") -> Account | None:
        """The account of `user:key`, the key being any token of that user (tastypie, ApiKeyAuthentication)."""
        name, colon, key = credentials.partition(":")
        account = self.bearer(key) if colon else None
        return account if account and account.name == name else None

    def session(self, text: str) -> Account | None:
        """The account of a session that has not expired."""
        digest = hash_token(text)
        query = (
            ACCOUNT.replace(" from", ", null, s.hash, s.expires, s.last_used from")
            + "join _sessions s on s.user=u.id where s.hash=?"
        )
        row = self.fetch(query, (digest,))
        if row is None or row[9] <= self.store.moment():
            return None
        self.note_use("_sessions", "hash", digest, row[10])
        return Account(*row[:9])

    def refresh(self, actor: Actor) -> Actor | None:
        """The same actor as it is now; None when its user is gone or disabled, or what let it in no longer holds.

        What lets somebody in is a token, a session, or the password.
        """
        if actor.id is None:
            return actor
        query = ACCOUNT + "where u.id=? and not coalesce(u.disabled,0)"
        values: list[SqlValue] = [actor.id]
        if actor.token is not None:
            query += " and exists (select 1 from _tokens t where t.id=? and (t.expires is null or t.expires>?))"
            values += [actor.token, self.store.moment()]
        if actor.session is not None:
            query += " and exists (select 1 from _sessions s where s.hash=? and s.expires>?)"
            values += [actor.session, self.store.moment()]
        row = self.fetch(query, tuple(values))
        proved = actor.token, actor.session, dump_json(actor.scopes)
        current = Account._make((*row, *proved)).actor() if row else None
        by_password = actor.token is None and actor.session is None
        return None if current and by_password and current.stamp != actor.stamp else current

    def verify(self, name: str, password: str, address: str = "") -> Account | None:
        """The account, when the password is right. ApiError `too_many_failures`.

        Who is unknown, disabled or without a password costs as much time as a wrong password, and gets the same answer.
        """
        account = self.account(name)
        if account and (account.disabled or not account.password):
            account = None
        stored = (account and account.password) or self.decoy
        if not self.remembered(self.proof(name, stored, password)):
            keys = failure_keys(name, address)
            with self.failures.turn(keys):
                right = self.is_right(password, stored)
            if account is None or not right:
                self.failures.note(keys)
                return None
            account = self.renewed(account, stored, password)
            self.remember(self.proof(name, account.password or "", password))
        return account

    def has_password(self, name: str, password: str) -> bool:
        """Whether a user has this password, disabled or not. Who sets passwords asks so; nothing is counted."""
        account = self.account(name)
        return bool(account and account.password and self.is_right(password, account.password))

    def is_right(self, password: str, stored: str) -> bool:
        """Whether a password gave a hash. What is too long to be a password is not hashed."""
        if len(password_bytes(password)) > MAX_PASSWORD_BYTES:
            return False
        with self.hashing:
            return verify_password(password, stored)

    def renewed(self, account: Account, stored: str, password: str) -> Account:
        """The account, its password hashed again where the cost was another one. The salt stays: nothing else changed.

        While somebody else writes, the old hash does for another time.
        """
        cost, salt, _ = PasswordHash.read(stored)
        if cost == self.store.password_cost:
            return account
        with self.hashing:
            fresh = hash_password(password, self.store.password_cost, salt)
        statement = "update _users set password=? where id=? and password=?"
        self.store.database.write_if_free(statement, (fresh, account.id, stored))
        return self.account(account.name) or account

    def proof(self, name: str, stored: str, password: str) -> bytes:
        """What is remembered of right credentials: it tells nothing of them, and is another one after each change."""
        return hmac.digest(self.key, "\0".join([name, stored, password]).encode("utf-8", "replace"), "sha256")

    def remembered(self, proof: bytes) -> bool:
        """Whether these credentials were found right some minutes ago."""
        with self.lock:
            return self.verified.get(proof, 0.0) > time.monotonic()

    def remember(self, proof: bytes) -> None:
        """Keep that these credentials are right, for some minutes; the oldest proofs make room."""
        with self.lock:
            self.verified[proof] = time.monotonic() + CREDENTIALS_CACHE_SECONDS
            while len(self.verified) > CREDENTIALS_CACHE_SIZE:
                self.verified.popitem(last=False)

    def name_of(self, email: str) -> str:
        """The name of the user with that e-mail address; the text itself when there is not just one."""
        with self.store.database.reading() as connection:
            found = connection.execute("select name from _users where email=? limit 2", (email,)).fetchall()
        return str(found[0][0]) if len(found) == 1 else email

    def account(self, name: str) -> Account | None:
        """The account of that name."""
        row = self.fetch(ACCOUNT + "where u.name=?", (name,))
        return Account(*row) if row else None

    def fetch(self, query: str, values: tuple[SqlValue, ...]) -> tuple[Any, ...] | None:
        """One row."""
        with self.store.database.reading() as connection:
            row: tuple[Any, ...] | None = connection.execute(query, values).fetchone()
            return row

    def note_use(self, table: str, column: str, key: int | str, last: str | None) -> None:
        """Keep when a token or session was last used: at most once a minute, and only when nobody else is writing."""
        now = self.store.moment()
        if self.used.get(key) != now[:16] and (last is None or last[:16] < now[:16]):
            bounded(self.used)[key] = now[:16]
            statement = sql("update {} set last_used=? where {}=?", quoted(table), quoted(column))
            self.store.database.write_if_free(statement.text, (now, key))

    # -- signing in --

    def sign_in(self, name: str, password: str, address: str = "") -> Account:
        """The account that name and password prove. ApiError `sign_in`, `too_many_failures`."""
        account = self.verify(name, password, address)
        if account is None:
            raise fail("sign_in")
        return account

    def open_session(self, account: Account) -> tuple[str, datetime]:
        """Begin a session: its text, which is not kept, and when it ends. Sessions that have ended are forgotten.

        ApiError `sign_in` when the password has changed since it was checked, or the user was disabled.
        """
        text, now = secrets.token_urlsafe(32), self.store.clock()
        moment, expires = moment_text(now), now + timedelta(hours=SESSION_HOURS)
        with self.store.database.writing() as connection:
            connection.execute("delete from _sessions where expires<=?", (moment,))
            query = f"insert into _sessions select ?, id, ?, ?, ? from _users where {UNCHANGED}"
            values = (hash_token(text), moment, moment_text(expires), moment, account.id, account.password)
            if not connection.execute(query, values).rowcount:
                raise fail("sign_in")
        return text, expires

    def end_session(self, digest: str) -> None:
        """End the session with this hash."""
        with self.store.database.writing() as connection:
            connection.execute("delete from _sessions where hash=?", (digest,))

    def end_session_of(self, request: Request) -> None:
        """End the session of a request's cookie, if it has one."""
        text = request.cookie(SESSION_COOKIE)
        if text:
            self.end_session(hash_token(text))

    def refuse_scoped(self, actor: Actor) -> None:
        """ApiError `forbidden` for a token with scopes: tokens and accounts are no business of those."""
        if actor.scopes:
            raise fail("forbidden")

    def form_token(self, actor: Actor) -> str:
        """What a page puts into its forms, so that no other site can make one: bound to the session, else the user."""
        owner = actor.session or f"user {actor.id}"
        return hmac.digest(self.key, f"\0form\0{owner}".encode(), "sha256").hex()

    def end_sessions(self, user: int) -> None:
        """End all sessions of a user."""
        with self.store.database.writing() as connection:
            connection.execute("delete from _sessions where user=?", (user,))

    # -- what administrators do --

    def any_user(self, disabled: bool = False) -> bool:
        """Whether somebody has a password; those who are disabled count only when `disabled` is set."""
        query = "select 1 from _users where password is not null and (? or not coalesce(disabled, 0))"
        return self.fetch(query, (disabled,)) is not None

    def users(self) -> list[tuple[str, bool, list[str], list[str]]]:
        """All users: the name, whether it is disabled, its roles, the names of its groups."""
        groups = "select name from json_each(u.groups) e join _groups g on g.id=e.value order by e.key"
        query = (
            "select name, coalesce(disabled, 0), coalesce(roles, '[]'),"
            f" (select json_group_array(name) from ({groups})) from _users u order by id"
        )
        with self.store.database.reading() as connection:
            rows = connection.execute(query).fetchall()
        return [(name, bool(disabled), json.loads(roles), json.loads(names)) for name, disabled, roles, names in rows]

    def put_user(self, name: str, any_password: bool = False, **values: Json) -> int:
        """Make a user or change one; `password` is hashed. ApiError lists what is wrong. Gives the id.

        A new password and `disabled` end the sessions of the user, and the tokens of signing in. ValueError for a
        password that `check_password` refuses; `any_password` takes short ones.
        """
        table = self.store.schema.all_tables["_users"]
        if ":" in name:
            raise ValueError("a user name has no colon: Basic ends the name there")
        if "password" in values:
            password = check_password(values["password"], 0 if any_password else MINIMUM_PASSWORD_BYTES)
            values["password"] = hash_password(password, self.store.password_cost)
        fields = {table.fields[word]: table.fields[word].parse_json(value) for word, value in values.items()}
        where = Compare(Path((), table.fields["name"]), "eq", name)
        create = Create(table, {table.fields["name"]: name, **fields}, {}, Const(None))
        outcome = self.store.run(Upsert(where, create, Update(table, where, fields, {}, Const(None))))
        number = outcome.rows[0].key
        if ("password" in values or values.get("disabled")) and not outcome.made:
            self.end_sessions(number)
            self.end_tokens("user", "eq", number)
        return number

    def remove_user(self, name: str) -> bool:
        """Delete a user with its tokens and sessions; False when there is none. Its records and its history stay."""
        table = self.store.schema.all_tables["_users"]
        return bool(self.store.run(Delete(table, Compare(Path((), table.fields["name"]), "eq", name))).changed)

    def put_group(self, name: str) -> int:
        """The id of the group of that name, which is made when there is none."""
        table = self.store.schema.all_tables["_groups"]
        where = Compare(Path((), table.fields["name"]), "eq", name)
        create = Create(table, {table.fields["name"]: name}, {}, Const(None))
        return self.store.run(Upsert(where, create, Select(table, Const(None), where))).rows[0].key

    def sign_in_token(self, account: Account, name: str, hours: int) -> tuple[str, datetime, datetime]:
        """A token for somebody who has signed in: its text, when it was made, and when it ends.

        It is a session in all but its form: it ends with a new password, and is forgotten once it has expired. ApiError
        `sign_in` when the password has changed since it was checked, or the user was disabled.
        """
        now = self.store.clock()
        expires = now + timedelta(hours=hours)
        self.end_tokens("expires", "lte", moment_text(now))
        text = self.add_token(account.name, name, moment_text(expires))
        if self.fetch(f"select 1 from _users where {UNCHANGED}", (account.id, account.password)) is None:
            self.end_tokens("user", "eq", account.id)
            raise fail("sign_in")
        return text, now, expires

    def add_token(self, user: str, name: str, expires: str | None = None, scopes: Sequence[str] = ()) -> str:
        """Make a token for a user and give its text, which is not kept. `expires` is a stored moment.

        ApiError `not_found` without that user; ValueError for a scope that there is not.
        """
        account = self.account(user)
        if account is None:
            raise fail("not_found")
        text = TOKEN_PREFIX + "".join(secrets.choice(TOKEN_LETTERS) for _ in range(43))
        text += f"{binascii.crc32(text.encode()):08x}"
        table = self.store.schema.all_tables["_tokens"]
        given = {"name": name, "hash": hash_token(text), "start": text[:8], "expires": expires}
        if scopes:
            given["scopes"] = dump_json(list(map(check_scope, scopes)))
        values: Stored = {table.fields[word]: value for word, value in given.items()}
        link = table.links["user"]
        change = Change("replace", (Item(Key(link.target.id, account.id)),))
        self.store.run(Create(table, values, {link: change}, Const(None)))
        return text

    def end_tokens(self, column: str, op: Operator, value: SqlValue) -> None:
        """Delete those tokens of signing in for which a condition holds."""
        table = self.store.schema.all_tables["_tokens"]
        compared = table.links[column].key if column in table.links else table.fields[column]
        of_signing_in = Compare(Path((), table.fields["name"]), "in", SIGN_IN_TOKENS)
        self.store.run(Delete(table, And((of_signing_in, Compare(Path((), compared), op, value)))))

    def prune_tokens(self) -> int:
        """Delete all tokens that have expired; gives their number."""
        table = self.store.schema.all_tables["_tokens"]
        expired = Compare(Path((), table.fields["expires"]), "lte", self.store.moment())
        return self.store.run(Delete(table, expired)).changed

    def tokens(self) -> list[TokenLine]:
        """All tokens, by their ids."""
        query = (
            "select t.id, u.name, t.name, t.start, t.expires, t.last_used, coalesce(t.scopes, '[]')"
            " from _tokens t join _users u on u.id=t.user_id order by t.id"
        )
        with self.store.database.reading() as connection:
            return [TokenLine._make((*row[:6], tuple(json.loads(row[6])))) for row in connection.execute(query)]

    def revoke_token(self, number: int) -> bool:
        """Delete a token; False when there is none with that id."""
        table = self.store.schema.all_tables["_tokens"]
        return bool(self.store.run(Delete(table, Compare(Path((), table.id), "eq", number))).changed)


class TokenLine(NamedTuple):
    """What an administrator sees of a token: `start` its first characters, `expires` and `last_used` stored moments."""

    id: int
    user: str
    name: str
    start: str
    expires: str | None
    last_used: str | None
    scopes: tuple[str, ...] = ()


def check_scope(scope: str) -> str:
    """The scope, when it is `read` or `table:` with a name. ValueError otherwise."""
    if scope != "read" and not (scope.startswith("table:") and scope != "table:"):
        raise ValueError(f"{scope!r} is no scope; write read, or table: and a name")
    return scope


def check_password(password: str, least: int = MINIMUM_PASSWORD_BYTES) -> str:
    """The password, when it has 8 to 1024 bytes. ValueError otherwise."""
    if not least <= len(password_bytes(password)) <= MAX_PASSWORD_BYTES:
        raise ValueError("a password has at least 8 characters and at most 1024")
    return password


def session_cookie(request: Request, text: str, expires: datetime) -> tuple[str, str]:
    """The header that sets the session's cookie; pages of other sites cannot send it, by a link neither.

    Without TLS browsers do not say whose page asks, and a GET of NocoBase may write.
    """
    secure = "; Secure" if request.is_secure else ""
    end = format_datetime(expires.astimezone(UTC), usegmt=True)
    return "Set-Cookie", f"{SESSION_COOKIE}={text}; Path=/; Expires={end}; HttpOnly; SameSite=Strict{secure}"


def hash_token(text: str) -> str:
    """What is kept of a token: SHA-256, enough for 256 random bits."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


SCHEMES: Mapping[str, Callable[[Accounts, str, str], Account | None]] = {
    "basic": Accounts.basic,
    "bearer": Accounts.bearer,
    "apikey": Accounts.api_key,
}
"""The schemes by their names in lower case; a function gets the credentials and the client's address."""


# ======================================================================================================================
# 15  Sockets
#
# Events to those who listen, over WebSocket, in waitress' own loop: no thread belongs to a socket. `Session` is
# engine.io 3 with socket.io 2 inside, without I/O: texts go in, texts and a code to close with come out. `Socket`
# carries a session in frames, on a channel of waitress; it lives in the loop's thread. `Hub` has the sockets of one
# application: it queues what was committed, and one worker of waitress at a time shows it to each kind of actor and
# hands the frames to the loop. To add a packet, add a row to `SESSION_STEPS`.
# ======================================================================================================================

SOCKET_CLOSE_SECONDS = 5.0
SOCKET_BUFFER_BYTES = 64 * 1024
EVENTS_AT_ONCE = 20
ENGINE_ERRORS: Mapping[int, str] = {
    0: "Transport unknown",
    1: "Session ID unknown",
    2: "Bad handshake method",
    3: "Bad request",
    5: "Unsupported protocol version",
}
"""Codes and texts of engine.io."""
EVENT_WORDS: Mapping[Action, str] = {
    "created": "create",
    "updated": "update",
    "moved": "update",
    "archived": "update",
    "deleted": "delete",
}


class Close(enum.IntEnum):
    """Why we close a socket (RFC 6455, 7.4.1)."""

    DONE = 1000
    STOPPING = 1001
    PROTOCOL = 1002  # a frame or a packet that there is not, or that only a server sends
    BINARY = 1003
    SILENT = 1005  # no heartbeat; never on the wire, it is a close frame without a code
    MALFORMED = 1007  # not UTF-8, or a packet with a payload that cannot be read
    UNAUTHORISED = 1008
    TOO_LARGE = 1009
    FAILED = 1011
    OVERLOADED = 1013


SessionState: TypeAlias = Literal["open", "closed"]
MESSAGE = re.compile(r"(?:(/[^,?]*)[^,]*(?:,|\Z))?(\d*)(.*)", re.DOTALL | re.ASCII)


class Session:
    """One session of engine.io 3 with socket.io 2 inside (engine.io-protocol, branch v3; socket.io 2.5.1).

    Texts of the client go into `receive`, which gives the texts to send; once `close_code` is set, the socket has to be
    closed with it. Times are seconds of a clock that never goes back.
    """

    def __init__(self, ping_interval: float, ping_timeout: float, now: float) -> None:
        self.sid = secrets.token_urlsafe(15)
        self.ping_interval, self.ping_timeout = ping_interval, ping_timeout
        self.close_code: Close | None = None
        self.deadline = now + ping_interval + ping_timeout

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return "open" if self.close_code is None else "closed"

    def open(self) -> list[str]:
        """What the server says first: without `upgrades` socket.io-client 2.5.0 dies, without `40` it waits on."""
        milliseconds = [round(seconds * 1000) for seconds in (self.ping_interval, self.ping_timeout)]
        words = {"sid": self.sid, "upgrades": [], "pingInterval": milliseconds[0], "pingTimeout": milliseconds[1]}
        return [f"0{dump_json(words)}", "40"]

    def receive(self, text: str, now: float) -> list[str]:
        """Take one text of the client, give the texts to send."""
        size = 2 if text.startswith("4") else 1
        step = SESSION_STEPS[self.state].get(text[:size], SESSION_STEPS[self.state]["other"])
        try:
            return step(self, text[size:], now)
        except (ValueError, RecursionError):  # what `json` has to say
            return self.close(Close.MALFORMED)

    def tick(self, now: float) -> None:
        """Let time pass: without a ping for interval and timeout together, the session is over."""
        if now > self.deadline and self.state == "open":
            self.close(Close.SILENT)

    def close(self, code: Close) -> list[str]:
        """End the session; there is nothing to say."""
        self.close_code = code
        return []

    def ignore(self, rest: str, now: float) -> list[str]:
        """A packet that asks for nothing."""
        return []

    def ping(self, rest: str, now: float) -> list[str]:
        """The heartbeat of engine.io 3, which the client begins; what it brings goes back."""
        self.deadline = now + self.ping_interval + self.ping_timeout
        return [f"3{rest}"]

    def connect(self, rest: str, now: float) -> list[str]:
        """A client connects to a namespace; there is `/` alone, and everybody is in it from the start."""
        namespace, _, _ = self.message(rest)
        return ["40"] if namespace == "/" else [f'44{namespace},"Invalid namespace"']

    def disconnect(self, rest: str, now: float) -> list[str]:
        """A client leaves a namespace; with `/` it leaves us."""
        namespace, _, _ = self.message(rest)
        return self.close(Close.DONE) if namespace == "/" else []

    def event(self, rest: str, now: float) -> list[str]:
        """An event of the client: nobody listens, but one that asks for an answer gets it."""
        namespace, number, data = self.message(rest)
        if not isinstance(data, list) or not data:
            raise ValueError("an event is a list that begins with its name")
        return [f"43{number}[]"] if number and namespace == "/" else []

    def message(self, rest: str) -> tuple[str, str, Json]:
        """Namespace, number and data of a packet of socket.io. ValueError when the data is not JSON."""
        match = MESSAGE.fullmatch(rest)
        assert match
        return match[1] or "/", match[2], json.loads(match[3]) if match[3] else None


SessionStep: TypeAlias = Callable[[Session, str, float], list[str]]


def _closing(code: Close) -> SessionStep:
    return lambda session, rest, now: session.close(code)


SESSION_STEPS: Mapping[SessionState, Mapping[str, SessionStep]] = {
    "open": {
        "1": _closing(Close.DONE),
        "2": Session.ping,
        "3": Session.ignore,  # pong
        "5": Session.ignore,  # upgrade: there is no other transport
        "6": Session.ignore,  # noop
        "40": Session.connect,
        "41": Session.disconnect,
        "42": Session.event,
        "43": Session.ignore,  # an answer: we never ask for one
        "44": Session.ignore,  # an error of the client
        "45": _closing(Close.BINARY),  # an event with binary parts
        "46": _closing(Close.BINARY),  # an answer with binary parts
        "other": _closing(Close.PROTOCOL),
    },
    "closed": {"other": Session.ignore},
}
"""What a packet means: `4` and its second figure are a message of socket.io, other figures packets of engine.io."""


class SocketState(enum.Enum):
    """Where a socket is: asked for, answered with 101, in use, after our close frame, given up, ended."""

    ASKED, ACCEPTED, OPEN, CLOSING, DROPPED, GONE = range(6)


class Socket:
    """One socket: a session, in the frames of wsproto, on a channel of waitress.

    A worker makes it when it answers the request that asks for it. From `opened` on everything is done in the thread of
    waitress' loop, so nothing here needs a lock but the channel's buffers.
    """

    channel: Any
    frames: wsproto.connection.Connection
    session: Session
    early = b""  # what came in one piece with the request

    def __init__(self, hub: Hub, actor: Actor, handshake: wsproto.WSConnection) -> None:
        self.hub, self.actor, self.handshake = hub, actor, handshake
        self.state = SocketState.ASKED
        self.deadline = math.inf
        self.parts: list[str] = []
        self.size = 0

    @property
    def is_open(self) -> bool:
        """Whether frames go to and fro."""
        return self.state is SocketState.OPEN

    def accept(self) -> bytes:
        """The head of the answer to the request."""
        from wsproto.events import AcceptConnection

        head = self.handshake.send(AcceptConnection())
        assert self.handshake.connection
        self.frames, self.state = self.handshake.connection, SocketState.ACCEPTED
        del self.handshake  # h11's buffers are not needed for frames
        return head

    def opened(self) -> None:
        """Begin, now that the answer is on its way; without an answer 101 the channel goes on with HTTP."""
        if self.state is not SocketState.ACCEPTED or not self.channel.connected:
            self.hub.release(self)
            self.channel.web_socket = None
            return
        self.state = SocketState.OPEN
        self.session = Session(self.hub.ping_interval, self.hub.ping_timeout, time.monotonic())
        self.hub.join(self)
        for text in self.session.open():
            self.send(text_frame(text))
        self.received(self.early)

    # -- what waitress asks of a channel --

    def readable(self) -> bool:
        """Whether the client may speak. waitress asks on each pass of its loop, so this is the clock too.

        Only here a channel is closed that the poll has said nothing of: later in the pass another connection could have
        taken its number, and would be taken for it.
        """
        now = time.monotonic()
        if self.is_open:
            self.channel.last_activity = time.time()  # the heartbeat decides, not waitress' own time limit
            self.session.tick(now)
            self.close_ended()
            self.hub.tick(now)
        if self.state is SocketState.DROPPED or now > self.deadline:
            self.channel.handle_close()
        return self.state in (SocketState.OPEN, SocketState.CLOSING)

    def received(self, data: bytes) -> bool:
        """Take bytes of the client; after a close frame, ours or its own, they mean nothing."""
        if self.is_open:
            self.frames.receive_data(data)
            for event in self.frames.events():
                self.take(event)
        return True

    def flush(self) -> None:
        """Send what waits; behind a close frame comes the end of the stream, and the client closes the connection.

        Closed by us, with bytes of the client unread, the connection would be reset, and the close frame lost.
        """
        channel = self.channel
        if channel.connected:  # it may have been closed earlier in this pass
            channel._flush_exception(channel._flush_some_if_lockable)
        if not channel.connected:
            return
        if channel.will_close or (channel.close_when_flushed and not channel.total_outbufs_len):
            channel.handle_close()
        elif self.state is SocketState.CLOSING and not channel.total_outbufs_len:
            with contextlib.suppress(OSError):
                channel.socket.shutdown(socket.SHUT_WR)

    def closed(self) -> None:
        """The connection has ended."""
        self.state = SocketState.GONE
        self.hub.release(self)

    # -- frames --

    def take(self, event: wsproto.events.Event) -> None:
        """Do what one frame, or a part of one, asks for."""
        from wsproto import events

        if not self.is_open:
            return
        match event:
            case events.TextMessage():
                self.take_text(event.data, event.message_finished)
            case events.BytesMessage():
                self.close(Close.BINARY)
            case events.Ping():
                self.write(self.frames.send(event.response()))
            case events.CloseConnection():  # its own close frame, or what wsproto finds wrong
                self.close(event.code)

    def take_text(self, text: str, finished: bool) -> None:
        """Join the parts of a message; the whole one goes to the session."""
        self.size += len(text.encode("utf-8"))
        if self.size > MAX_SOCKET_MESSAGE_BYTES:
            self.close(Close.TOO_LARGE)
            return
        self.parts += [text] if text else []
        if finished:
            message, self.parts, self.size = "".join(self.parts), [], 0
            for reply in self.session.receive(message, time.monotonic()):
                self.send(text_frame(reply))
            self.close_ended()

    def close_ended(self) -> None:
        """Close when the session has ended."""
        if self.session.close_code is not None:
            self.close(self.session.close_code)

    def send(self, frame: bytes) -> None:
        """Send a frame to a client that listens."""
        if self.is_open:
            self.write(frame)

    def close(self, code: int) -> None:
        """Send a close frame, and nothing after it."""
        from wsproto.events import CloseConnection
        from wsproto.frame_protocol import CloseReason

        if not self.is_open:
            return
        with contextlib.suppress(ValueError):
            code = CloseReason(code)  # wsproto knows 1005 as this only
        frame = self.frames.send(CloseConnection(code))
        self.hub.leave(self)
        self.write(frame)
        if self.is_open:
            self.state, self.deadline = SocketState.CLOSING, time.monotonic() + SOCKET_CLOSE_SECONDS

    def write(self, data: bytes) -> None:
        """Put bytes behind those that wait. A client is never waited for; one that reads too slowly is dropped."""
        channel = self.channel
        if channel.total_outbufs_len > MAX_SOCKET_BACKLOG_BYTES:
            channel._flush_exception(channel._flush_some_if_lockable, do_close=False)
        if channel.total_outbufs_len > MAX_SOCKET_BACKLOG_BYTES:
            self.drop()
            return
        with channel.outbuf_lock:
            if channel.current_outbuf_count >= SOCKET_BUFFER_BYTES:  # a buffer keeps what it has sent until the next
                channel.outbufs.append(type(channel.outbufs[-1])(channel.adj.outbuf_overflow))
                channel.current_outbuf_count = 0
            channel.outbufs[-1].append(bytes(data))
            channel.current_outbuf_count += len(data)
            channel.total_outbufs_len += len(data)

    def drop(self) -> None:
        """Give up on the client; the next pass of the loop closes the connection."""
        self.state = SocketState.DROPPED
        self.hub.leave(self)


def text_frame(text: str) -> bytes:
    """A text in a frame; those of a server are not masked, so one frame serves all sockets."""
    from wsproto.connection import Connection, ConnectionType
    from wsproto.events import TextMessage

    return bytes(Connection(ConnectionType.SERVER).send(TextMessage(text)))


class Hub:
    """The sockets of one application, and what they are told.

    `render` gives the JSON text of an event's body as an actor sees it, None when the actor may not see the record; a
    dialect sets it. The intervals are seconds. While nobody listens, the Store does not know of us.
    """

    def __init__(self, store: Store, accounts: Accounts, ping_interval: float, ping_timeout: float) -> None:
        self.store, self.accounts = store, accounts
        self.ping_interval, self.ping_timeout = ping_interval, ping_timeout
        self.render: Callable[[Event, Actor], str | None] = lambda event, actor: None
        self.lock = threading.Lock()  # taken inside the Store's; inside it only that of waitress' tasks
        self.places: set[Socket] = set()  # from the answer to the end of the connection
        self.sockets: set[Socket] = set()  # those that are told
        self.waiting: deque[Event] = deque()
        self.scheduled = False
        self.next_check = math.inf

    # -- the request --

    def answer(self, request: Request) -> Reply:
        """The answer at `/socket.io/` to somebody who may listen: 101, or what engine.io says.

        ApiError `no_socket` on a server without our channel, `too_many_sockets`.
        """
        fault = self.fault(request)
        if fault is not None:
            return engine_error(fault)
        handshake = begin_handshake(request)
        if isinstance(handshake, Reply):
            return handshake
        upgrade = request.environ.get("minirest.upgrade")
        if upgrade is None:
            raise fail("no_socket")
        client = Socket(self, request.actor, handshake)
        with self.lock:
            if len(self.places) >= MAX_SOCKETS:
                raise fail("too_many_sockets", limit=MAX_SOCKETS)
            self.places.add(client)
        upgrade(client)
        return Reply(101)

    def fault(self, request: Request) -> int | None:
        """The code of engine.io for a request that it refuses; it asks in this order, and lets other words pass."""
        given: dict[str, list[str]] = {}
        for parameter in request.parameters:
            given.setdefault(parameter.name, []).append(parameter.value)
        if given.get("transport") != ["websocket"]:
            return 0
        if "sid" in given:
            return 1
        if request.method != "GET":
            return 2
        return None if given.get("EIO", ["3"]) in (["3"], ["4"]) else 5  # sic: 4 is not refused, and is told 3

    # -- who listens --

    def join(self, client: Socket) -> None:
        """Tell a socket what is committed from now on."""
        with self.lock:
            if not self.sockets:
                self.waiting, self.next_check = deque(), time.monotonic() + self.ping_interval
                self.store.listeners.append(self.note)
            self.sockets.add(client)

    def leave(self, client: Socket) -> None:
        """Tell a socket nothing more."""
        with self.lock:
            if client in self.sockets:
                self.sockets.remove(client)
                if not self.sockets:
                    self.store.listeners.remove(self.note)

    def release(self, client: Socket) -> None:
        """The connection of a socket has ended: its place is free."""
        self.leave(client)
        with self.lock:
            self.places.discard(client)

    # -- what happens --

    def note(self, events: Sequence[Event]) -> None:
        """Queue the events of a transaction; the Store calls this under its lock, so it does nothing else."""
        with self.lock:
            self.waiting.extend(events)
            self.wake()

    def tick(self, now: float) -> None:
        """Let time pass: whose session has expired is found out even when nothing happens."""
        if now >= self.next_check:
            with self.lock:
                self.next_check = now + self.ping_interval
                self.wake()

    def wake(self) -> None:
        """Ask for a worker, unless one is asked or at work. The lock is held."""
        if self.sockets and not self.scheduled:
            self.scheduled = True
            next(iter(self.sockets)).channel.server.task_dispatcher.add_task(self)

    def cancel(self) -> None:
        """The worker that was asked does not come; without the lock, as waitress holds its own."""
        self.scheduled = False

    def service(self) -> None:
        """What a worker does: some of the events that wait, to those who listen now. There is one at a time."""
        with self.lock:
            waiting, clients = self.waiting, list(self.sockets)
            count = EVENTS_AT_ONCE if len(waiting) <= MAX_WAITING_EVENTS else len(waiting)
            events = list(itertools.islice(waiting, count))
            self.next_check = time.monotonic() + self.ping_interval
        try:
            self.hand_over(clients, events)
        finally:
            with self.lock:
                for _ in events:
                    waiting.popleft()
                self.scheduled = False
                if self.waiting:
                    self.wake()

    def hand_over(self, clients: Sequence[Socket], events: Sequence[Event]) -> None:
        """Give the loop what each socket is to be told."""
        shown: dict[tuple[Json, ...], list[bytes]] = {}
        told = {actor: self.tell(actor, events, shown) for actor in {client.actor for client in clients}}
        parts: dict[Any, list[tuple[Socket, list[bytes] | Close]]] = {}
        for client in clients:
            if told[client.actor]:
                parts.setdefault(client.channel.server, []).append((client, told[client.actor]))
        for server, part in parts.items():
            server.trigger.pull_trigger(functools.partial(self.deliver, part))

    def tell(
        self, actor: Actor, events: Sequence[Event], shown: dict[tuple[Json, ...], list[bytes]]
    ) -> list[bytes] | Close:
        """The frames for one actor, as its rights are now, or why its sockets are closed.

        `shown` has the frames of those whose rights are the same. Who cannot be told is closed, and so knows.
        """
        if len(events) > MAX_WAITING_EVENTS:
            return Close.OVERLOADED
        try:
            current = self.accounts.refresh(actor)
            if current is None:
                return Close.UNAUTHORISED
            rights = (current.id, current.groups, current.roles, current.scopes)
            if rights not in shown:
                frames = [frame for event in events if (frame := self.frame(event, current))]
                short = 0 < sum(map(len, frames)) <= SOCKET_BUFFER_BYTES
                shown[rights] = [b"".join(frames)] if short else frames
            return shown[rights]
        except Exception:
            log.exception("events could not be shown")
            return Close.FAILED

    def frame(self, event: Event, actor: Actor) -> bytes:
        """An event as an actor sees it; empty for one that it does not."""
        table = event.table
        body = self.render(event, actor) if self.store.schema.tables.get(table.name.lower()) is table else None
        name = dump_json(f"{table.name}-{EVENT_WORDS[event.action]}")
        return text_frame(f"42[{name},{body}]") if body is not None else b""

    def deliver(self, part: Sequence[tuple[Socket, list[bytes] | Close]]) -> None:
        """Send frames, or close; this runs in the loop's thread, and one socket's trouble is not the next one's."""
        for client, told in part:
            try:
                if isinstance(told, Close):
                    client.close(told)
                else:
                    for frame in told:
                        client.send(frame)
            except Exception:
                log.exception("a socket failed")
                client.drop()


def engine_error(code: int, status: int = 400, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A refusal as engine.io words it."""
    return json_reply(dump_json({"code": code, "message": ENGINE_ERRORS[code]}), status, headers)


def begin_handshake(request: Request) -> wsproto.WSConnection | Reply:
    """wsproto's side of the upgrade that a request asks for, or the reply that refuses it.

    wsproto sees the four headers that matter, so that what else a client sends cannot upset it; extensions and
    subprotocols are not taken.
    """
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import RejectConnection
    from wsproto.utilities import RemoteProtocolError

    names = ("Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version")
    values = [(name, (request.header(name) or "").strip()) for name in names]
    plain = all(value.isascii() and value.isprintable() for _, value in values)
    if not plain or request.environ.get("SERVER_PROTOCOL") != "HTTP/1.1":
        return engine_error(3)
    handshake = WSConnection(ConnectionType.SERVER)
    headers = [(name.lower().encode(), value.encode()) for name, value in values if value]
    try:
        handshake.initiate_upgrade_connection([(b"host", b"localhost"), *headers], "/")
    except RemoteProtocolError as error:
        refusal = error.event_hint
        assert isinstance(refusal, RejectConnection)
        more = tuple((name.decode(), value.decode()) for name, value in refusal.headers)
        return engine_error(3, refusal.status_code, more)
    return handshake


# ======================================================================================================================
# 16  Dialects
#
# A dialect is three translations and an envelope: addresses and parameters to an operation, wanted fields to a Shape,
# an ApiError to a Reply. It never queries, renders a record or checks a right itself; it declares how it treats the
# unexpected in its `Manner`. To add one: a subclass of `Dialect` and its place in `DIALECTS`.
# ======================================================================================================================


ActionFunction: TypeAlias = Callable[[int, Mapping[str, Json], Actor], str | None]
"""An action of an embedding program: it gets the record's id, the values of the request and who asks."""


@dataclass(frozen=True)
class Services:
    """What dialects use of an application.

    `strict` refuses what the originals ignore, `sign_up` lets strangers make themselves users. `may_write` raises for a
    page of another origin; `authenticate` sets the request's actor, on addresses that are public. `actions` are those
    of the embedding program.
    """

    schema: Schema
    store: Store
    accounts: Accounts
    hub: Hub
    strict: bool
    sign_up: bool
    may_write: Callable[[Request], None]
    authenticate: Callable[[Request], None]
    actions: dict[tuple[Table, str], ActionFunction] = field(default_factory=dict)


class Dialect:
    """One API. Subclasses set `name`, `bases`, `manner` and give `routes` and `error`."""

    name: ClassVar[str]
    bases: ClassVar[tuple[str, ...]]
    manner: ClassVar[Manner]
    words: ClassVar[Mapping[str, str]] = {}
    example: ClassVar[str]
    rights: Rights = ALL_RIGHTS

    def __init__(self, services: Services) -> None:
        self.services = services
        self.schema = services.schema
        self.views: dict[Rights, Self] = {}
        self.names_manner = self.manner
        if services.strict:
            self.names_manner = dataclasses.replace(self.manner, unknown_key="refuse", read_only_key="refuse")

    def routes(self) -> Iterator[Route]:
        """The addresses of this dialect, most specific first."""
        raise NotImplementedError

    def error(self, error: ApiError) -> Reply:
        """An error in this dialect's form."""
        raise NotImplementedError

    def message(self, violation: Violation) -> str:
        """A violation in this dialect's words."""
        return word(self.words.get(violation.rule, ERRORS[violation.rule].message), violation)

    def seen_by(self, actor: Actor) -> Self:
        """This dialect for one actor: what its rights hide is unknown to every name that is resolved."""
        rights = rights_of(self.schema, actor)
        if rights is self.rights:
            return self
        found = self.views.get(rights)
        if found is None:
            found = bounded(self.views)[rights] = copy.copy(self)
            found.rights = rights
        return found

    def names(self, table: Table, row: Link | None = None) -> Names:
        """A table as the actor sees it."""
        return Names(table, self.names_manner, self.rights.hidden, row, self.rights.locked)

    def find_table(self, name: str) -> Table:
        """The table of that name, in any case. ApiError `unknown_table`, which hints at what the actor may use."""
        tables = self.schema.tables.values()
        return self.usable(self.schema.find(name, (table for table in tables if self.rights.allows(table, *VERBS))))

    def usable(self, table: Table) -> Table:
        """A table. ApiError when the actor may do nothing in it: then it is told no names of fields either."""
        if not self.rights.allows(table, *VERBS):
            raise refusal(ANONYMOUS if self.rights.of_strangers else NOBODY)
        return table

    @property
    def listed_tables(self) -> list[Table]:
        """The tables whose records the actor may list."""
        return [table for table in self.schema.tables.values() if self.rights.allows(table, "list")]

    def run(self, request: Request, op: Operation) -> Outcome:
        """Run an operation for the request's actor."""
        if is_write(op):
            self.services.may_write(request)
        return self.services.store.run_for(request.actor, op, self.name)

    def history_of(self, request: Request, table: Table, number: int) -> Filter:
        """The history of a record since it was made: what had its id before, and is deleted, had rights of its own."""
        history = self.schema.all_tables["_history"]
        wanted = {"tag": table.tag, "record": number}
        same = tuple(Compare(Path((), history.fields[name]), "eq", value) for name, value in wanted.items())
        ended = And((*same, Compare(Path((), history.fields["action"]), "eq", "deleted")))
        last = Select(history, Const(None), ended, sort=(Sort(Path((), history.id), down=True),), page=Page(1))
        rows = self.run(request, last).rows
        return And((*same, *(Compare(Path((), history.id), "gt", row.key) for row in rows)))

    def look_up(self, request: Request, selects: Iterable[Select]) -> list[Outcome]:
        """What goes with the records of an answer; of a table that the actor may not list there is nothing."""
        wanted = [op if self.rights.allows(op.table, "list") else None for op in selects]
        found = iter(self.run(request, Batch(tuple(op for op in wanted if op))).parts)
        return [next(found) if op else Outcome(total=0) for op in wanted]

    def need_user(self, request: Request) -> None:
        """ApiError `unauthenticated` for a stranger, where only users have something."""
        if request.actor is ANONYMOUS:
            raise refusal(ANONYMOUS)

    def look(self, event: Event, actor: Actor, shape: Shape) -> str | None:
        """A changed record in a shape, as an actor sees it; None when it does not."""
        return self.services.store.look(event, shape, actor)

    def ruled(self, actor: Actor) -> Collection[Table]:
        """The tables of which an actor does not see all records."""
        return sight_of(self.schema, actor, self.services.store.moment()).rules.keys()

    def kept_back(self, table: Table) -> frozenset[str]:
        """The fields and links of a table whose history is not shown: it has values from before they were hidden."""
        secret = {name for name, column in table.fields.items() if column.write_only}
        return frozenset(secret | {member.name for member in self.rights.hidden if member in table.members.values()})

    def today(self) -> str:
        """The day (UTC) by the store's clock."""
        return self.services.store.moment()[:10]


def as_seen(handler: Callable[..., Reply], actor: Actor) -> Callable[..., Reply]:
    """A handler of a dialect as a handler of that dialect for one actor; any other as it is."""
    owner = getattr(handler, "__self__", None)
    if not isinstance(owner, Dialect):
        return handler
    found: Callable[..., Reply] = getattr(owner.seen_by(actor), handler.__name__)
    return found


SINGULARS = (
    ("ies", "y"),
    ("sses", "ss"),
    ("xes", "x"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ss", "ss"),
    ("us", "us"),
    ("is", "is"),
    ("s", ""),
)


def singular(name: str) -> str:
    """What one record of a table is called: the singular of its English name, with a capital.

    >>> [singular(name) for name in ("contacts", "companies", "boxes", "address", "personen")]
    ['Contact', 'Company', 'Box', 'Address', 'Personen']
    """
    ending, end = next((pair for pair in SINGULARS if name.endswith(pair[0])), ("", ""))
    stem = name.removesuffix(ending) + end
    return stem[:1].upper() + stem[1:]


# ======================================================================================================================
# 17  Limbas
#
# The Limbas REST interface ("Interfaces: REST Interface"), which gives the product's parameters their names: tables,
# records and linked records, `$page`, `$fields`, `$sort`, `$archived`, `$validity` and filters by field and operator.
# ======================================================================================================================

LIMBAS_PARAMETERS = ("$page", "$fields", "$sort", "$archived", "$validity")
LIMBAS_ARCHIVED: Mapping[str, Literal["no", "only", "trash", "all"]] = {
    "false": "no",
    "0": "no",
    "true": "only",
    "1": "only",
    "2": "trash",
    "all": "all",
}
NUMBER_OPERATORS: tuple[str, ...] = ("eq", "neq", "lt", "gt", "lte", "gte")
TEXT_OPERATORS: tuple[str, ...] = ("eq", "neq", "contains", "startswith", "endswith")
LIMBAS_OPERATORS: Mapping[str, tuple[str, ...]] = {
    "text": TEXT_OPERATORS,
    "number": NUMBER_OPERATORS,
    "boolean": ("eq",),
    "list": ("eq", "contains"),
    "json": (),
}
PREFIXES = {"!=": "neq", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "eq", "!": "neq"}
GERMAN_DATES = (
    (re.compile(r"(\d{1,2})[./:,+-](\d{1,2})[./:,+-](\d{4})"), "{2}-{1:0>2}-{0:0>2}"),
    (re.compile(r"(\d{4})[./:,+-](\d{1,2})[./:,+-](\d{1,2})"), "{0}-{1:0>2}-{2:0>2}"),
    (re.compile(r"(\d{1,2})[./:,+-](\d{4})"), "{1}-{0:0>2}"),
    (re.compile(r"(\d{4})[./:,+-](\d{1,2})"), "{0}-{1:0>2}"),
    (re.compile(r"(?:KW|CW) ?(\d{1,2})[./:,+-](\d{4})", re.IGNORECASE), "{1}-W{0:0>2}"),
)


def parse_limbas_date(text: str) -> Span:
    """Read a date as Limbas writes them: ISO, DD.MM.YYYY, YYYY, MM.YYYY, `KW 12.2024`, each with ` HH:MM:SS` or not.

    ValueError when it is none.

    >>> parse_limbas_date("01.05.2024").start
    '2024-05-01T00:00:00.000Z'
    >>> parse_limbas_date("KW 12.2024").start
    '2024-03-18T00:00:00.000Z'
    """
    day, _, clock = text.strip().partition(" ")
    if day.upper() in ("KW", "CW"):
        day, clock = text.strip(), ""
    for pattern, form in GERMAN_DATES:
        match = pattern.fullmatch(day)
        if match:
            day = form.format(*match.groups())
            break
    return parse_span(f"{day} {clock}" if clock else day)


class Limbas(Dialect):
    """The Limbas REST interface ("Interfaces: REST Interface"): tables, records and linked records.

    Names are compared without case and shown in lower case; ids are texts; text is compared without case.
    """

    name = "limbas"
    bases = ("", "/main_rest.php", "/dependent/main_rest.php")
    manner = Manner("limbas", style=LIMBAS, fold_names=True, case="fold", order_case="ascii", nulls=("last", "first"))
    words: ClassVar[Mapping[str, str]] = {
        "unknown_table": "Unknown table {name}",
        "unknown_field": "Unknown field {name}",
        "unknown_parameter": "Unknown field {name}",
        "unknown_link": "Relation field {name} not found!",
        "unknown_operator": "Unknown operator {name} for field {field}; allowed are {allowed}",
        "bad_id": "Invalid dataset id {value}",
        "bad_json": "Could not parse request body",
        "bad_body": "Could not parse request body: {reason}",
        "required": 'Required attribute "{field}" missing!',
        "read_only": 'Editing attribute "{field}" is not possible.',
        "restricted": "Deletion not possible: {count} records of table {table} need it.",
    }
    example = "/{table}?$page[count]=2"

    def routes(self) -> Iterator[Route]:
        rules: tuple[tuple[str, Callable[..., Reply]], ...] = (
            ("/<table>", self.of_table),
            ("/<table>/<key>", self.of_record),
            ("/<table>/<key>/<link>", self.of_link),
        )
        for base in sorted(self.bases, key=len, reverse=True):
            if base:
                yield Route(ALL_METHODS, base, self.without_table)
                yield Route(ALL_METHODS, f"{base}/", self.without_table)
            for rule, handler in rules:
                yield Route(ALL_METHODS, base + rule, handler)
                yield Route(ALL_METHODS, f"{base}{rule}/", handler)
            yield Route(ALL_METHODS, f"{base}/<table>/<key>/<link>/<rest:path>", self.too_deep)

    def error(self, error: ApiError) -> Reply:
        status = error.status
        if error.code == "unauthenticated":
            headers: tuple[tuple[str, str], ...] = (("WWW-Authenticate", 'Basic realm="minirest", charset="UTF-8"'),)
        else:
            headers = error.headers
        items = [{"code": ERRORS[fault.rule].status, "message": self.message(fault)} for fault in error.violations]
        return json_reply(dump_json({"errors": items}), 400 if len(items) > 1 else status, headers)

    def message(self, violation: Violation) -> str:
        violation = violation._replace(
            path=tuple(part.lower() if isinstance(part, str) else part for part in violation.path)
        )
        if violation.rule == "link_missing":  # the original's text; which link, only where a body can have several
            at = f' "{violation.path[0]}"' if violation.path and isinstance(violation.path[0], str) else ""
            return f"Could not add relation{at}!" + (
                f" Record {violation.params['value']} does not exist." if at else ""
            )
        return super().message(violation)

    # -- the three kinds of address --

    def without_table(self, request: Request) -> Reply:
        """The address of the interface itself."""
        raise LimbasError("Request table missing")

    def too_deep(self, request: Request, **parts: str) -> Reply:
        """More parts than an address has."""
        self.find_table(parts["table"])
        raise LimbasError("Too many request parts")

    def of_table(self, request: Request, table: str) -> Reply:
        """The whole table."""
        found = self.find_table(table)
        match request.method:
            case "GET" | "HEAD":
                return self.show_list(request, _LimbasQuery(self, request, self.names(found)))
            case "POST":
                self.check_parameters(request)
                return self.create(request, found)
            case "DELETE":
                raise LimbasError("Delete not allowed on whole table!")
            case _:
                raise LimbasError("Patch not allowed to whole table!")

    def of_record(self, request: Request, table: str, key: str) -> Reply:
        """One record, in any state."""
        found = self.find_table(table)
        number = self.record_id(key)
        match request.method:
            case "GET" | "HEAD":
                return self.get(request, found, number)
            case "PATCH" | "PUT":
                self.check_parameters(request)
                return self.update(request, found, number)
            case "DELETE":
                self.check_parameters(request)
                return self.delete(request, found, number)
            case _:
                raise LimbasError("Post not allowed to single dataset!")

    def of_link(self, request: Request, table: str, key: str, link: str) -> Reply:
        """The records that a record is linked to."""
        source = self.find_table(table)
        number = self.record_id(key)
        member = self.names(source).find(link)
        if member is None:
            self.names(source).refuse(link)
        if not isinstance(member, Link) or member.target.name.startswith("_"):
            raise fail("unknown_link", name=link, table=source.name)
        parent = Parent(member, Key(source.id, number))
        if request.method not in ("GET", "HEAD"):
            self.check_parameters(request)
            return self.change_link(request, parent)
        return self.show_list(request, _LimbasQuery(self, request, self.names(member.target, member), parent))

    def record_id(self, text: str) -> int:
        """An id of the path: digits. Larger ones than any record has are still ids, of no record."""
        if not re.fullmatch(r"\d+", text, re.ASCII):
            raise fail("bad_id", value=text)
        return int(text) if len(text) < 17 else 0

    # -- reading --

    def show_list(self, request: Request, query: _LimbasQuery, *before: Operation) -> Reply:
        """The records that the parameters choose, after what is done `before` in the same transaction."""
        names, parent = query.names, query.parent
        shape = self.record_shape(names.table, query.members)
        op = Select(
            names.table, shape, query.where, query.scope, query.sort, query.page, query.page.limit is not None, parent
        )
        outcome = self.run(request, Batch((*before, op))).parts[-1] if before else self.run(request, op)
        path = f"/{_segment(names.table)}"
        if parent:
            path = f"/{_segment(parent.link.source)}/{parent.key.value!s}/{_segment(parent.link)}"
        rows = ",".join(row.text for row in outcome.rows)
        return json_reply(f'{{"links":{dump_json(query.links(path, outcome.total))},"data":[{rows}]}}')

    def get(self, request: Request, table: Table, number: int) -> Reply:
        """One record; of the parameters only `$fields` is read."""
        given = [parameter for parameter in request.parameters if parameter.keys[0].lower() == "$fields"]
        others = [parameter for parameter in request.parameters if parameter.keys[0].lower() != "$fields"]
        if others and self.services.strict:
            raise fail("unknown_parameter", name=others[0].name)
        members = _LimbasFields(self.names(table)).read(given)
        return self.answer(request, self.one(request, table, number, members), table)

    def one(self, request: Request, table: Table, number: int, members: Sequence[tuple[str, Field | Link]]) -> Row:
        """One record in any state. ApiError `not_found`."""
        where = Compare(Path((), table.id), "eq", number)
        rows = self.run(request, Select(table, self.record_shape(table, members), where, single=True)).rows
        if not rows:
            raise fail("not_found")
        return rows[0]

    def answer(self, request: Request, row: Row, table: Table, status: int = 200) -> Reply:
        """The envelope of one record; for a new one with its address."""
        link = f"/{_segment(table)}/{row.key}"
        headers = (("Location", link),) if status == 201 else ()
        return record_reply(
            request, row, f'{{"links":{{"self":{dump_json(link)}}},"data":{row.text}}}', status, headers
        )

    def record_shape(self, table: Table, members: Sequence[tuple[str, Field | Link]]) -> Shape:
        """A record with its attributes."""
        here = f"/{_segment(table)}/"
        number = Col(Path((), table.id), LIMBAS)
        attributes = tuple((name.lower(), self.attribute(table, member)) for name, member in members)
        links = Obj((("self", Text((here, number))),))
        return Obj((("links", links), ("id", number), ("attributes", Obj(attributes))))

    def attribute(self, table: Table, member: Field | Link) -> Shape:
        """One attribute: a value, a relation with its addresses, or the name of a file in a list."""
        if isinstance(member, Field):
            return Col(Path((), member), LIMBAS_NULLS if self.schema.limbas_nulls else LIMBAS)
        if member.is_file:
            return Sub(member, Arr((Col(Path((), member.target.fields["name"])),)), many=False)
        here = Text((f"/{_segment(table)}/", Col(Path((), table.id), LIMBAS), f"/{_segment(member)}"))
        links = Obj((("self", here), ("related", Const(f"/{_segment(member.target)}"))))
        ids = Sub(member, Obj((("id", Col(Path((), member.target.id), LIMBAS)),)), many=True)
        return Obj((("links", links), ("data", ids)))

    def whole_shape(self, table: Table) -> Shape:
        """A record with every attribute, in the order of the schema."""
        return self.record_shape(table, _LimbasFields(self.names(table)).all())

    # -- writing --

    def check_parameters(self, request: Request) -> None:
        """A request that writes has no parameters; the original ignores `$fields`."""
        for parameter in request.parameters:
            if parameter.keys[0].lower() != "$fields" or self.services.strict:
                raise fail("unknown_parameter", name=parameter.name)

    def create(self, request: Request, table: Table) -> Reply:
        """Make a record from the `data` of the body."""
        values = self.values(request, table, self.data(self.body(request, "data"), "missing!"))
        shape = self.whole_shape(table)
        op = Create(table, values.fields, values.links, shape, faults=tuple(values.faults))
        return self.answer(request, self.run(request, op).rows[0], table, 201)

    def update(self, request: Request, table: Table, number: int) -> Reply:
        """Change a record. `$archived` beside `data` archives, restores or trashes it: an extension of ours."""
        body, expect = dict(self.body(request, "data")), request.expected_version
        status = self.status(body.pop("$archived")) if "$archived" in body else None
        shape = self.whole_shape(table)
        where = Compare(Path((), table.id), "eq", number)
        steps: list[Operation] = []
        if status is not None:
            steps.append(Archive(table, where, status, expect))
            if not body:
                return self.answer_update(request, table, [*steps, Select(table, shape, where, single=True)])
            body.setdefault("data", {})
        values = self.values(request, table, self.data(body, "missing!"))
        expect = None if steps else expect  # the first step has held the version against it
        steps.append(
            Update(table, where, values.fields, values.links, shape, expect=expect, faults=tuple(values.faults))
        )
        return self.answer_update(request, table, steps)

    def answer_update(self, request: Request, table: Table, steps: Sequence[Operation]) -> Reply:
        """Take the steps in one transaction; the last one has the record."""
        rows = self.run(request, Batch(tuple(steps))).parts[-1].rows
        if not rows:
            raise fail("not_found")
        return self.answer(request, rows[0], table)

    def status(self, value: Json) -> Status:
        """The status that `$archived` in a body asks for."""
        statuses: dict[str, Status] = {"false": 0, "0": 0, "true": 1, "1": 1, "2": 2}
        text = value if isinstance(value, str) else dump_json(value)
        if text.lower() not in statuses:
            raise LimbasError(f"Invalid param '{text[:100]}' for option $archived.")
        return statuses[text.lower()]

    def delete(self, request: Request, table: Table, number: int) -> Reply:
        """Delete a record; a body is refused, for it would mean links."""
        if request.body.strip():
            raise LimbasError(
                f"Deletion not possible: to remove links, write DELETE /{_segment(table)}/{number}/<linkfield>."
            )
        op = Delete(table, Compare(Path((), table.id), "eq", number), expect=request.expected_version)
        if not self.run(request, op).changed:
            raise fail("not_found")
        return Reply(204)

    def values(self, request: Request, table: Table, data: Json) -> Values:
        """What the `data` of a body sets."""
        if request.brings_texts and data in ("", []):
            data = {}
        if not isinstance(data, Mapping):
            raise LimbasError('Key "data" must be an object of attributes!')
        names = self.names(table)
        coerced = {name: self.coerce(names.find(name, writing=True), value, request) for name, value in data.items()}
        return read_values(names, coerced, self.read_link, text=request.brings_texts)

    def coerce(self, member: Field | Link | None, value: Json, request: Request) -> Json:
        """A value as Limbas takes it beside the plain form: its dates, ids of choices, and in forms `12,50`."""
        if not isinstance(member, Field):
            return value
        if member.kind.name == "choices":
            parts = value.split(";") if request.brings_texts and isinstance(value, str) and value else value
            return [_choice(member, part) for part in parts] if isinstance(parts, list) else parts
        if isinstance(value, str) and value and member.kind.is_date:
            with contextlib.suppress(ValueError):
                return parse_limbas_date(value).start[: 10 if member.kind.name == "date" else None]
        if request.brings_texts and isinstance(value, str):
            if member.kind.name == "number":
                return value.replace(",", ".")
            if member.kind.name == "boolean":
                return {"on": "true", "off": "false"}.get(value.lower(), value)
        return value

    def data(self, body: Mapping[str, Json], missing: str) -> Json:
        """The value under `data` in a body; `missing` ends the message when there is none."""
        if "data" not in body:
            raise LimbasError(f'Key "data" {missing}')
        for key in body:
            if key != "data":
                raise fail("unknown_parameter", name=key)
        return body["data"]

    def body(self, request: Request, *place: str) -> Mapping[str, Json]:
        """The object in a body. A multipart, an extension of ours, brings the files of `place`, as `data[photo]`."""
        body = read_form(request).values(*place) if request.is_multipart else request.read_body()
        if not isinstance(body, Mapping):
            raise LimbasError("Could not parse request body")
        return body

    def read_link(self, link: Link, value: Json) -> Change:
        """The new state of a link in a record's body: `{"data": X}`."""
        if link.is_file and value != {"data": None}:
            raise ApiError("read_only", Violation((), "read_only", {"field": link.name}))
        if not isinstance(value, Mapping) or "data" not in value:
            raise LimbasError('Key "data" of relation missing!')
        return Change("replace", self.items(link, value["data"]))

    def items(self, link: Link, data: Json) -> tuple[Item, ...]:
        """The linked records that `data` names: one object or null for a unique link, else a list of objects."""
        if link.many:
            if not isinstance(data, list):
                raise LimbasError('"data" must be an array of relations!')
            return tuple(self.item(link, part) for part in data)
        return () if data is None else (self.item(link, data),)

    def item(self, link: Link, value: Json) -> Item:
        """One relational object: `{"id": n}`."""
        if not isinstance(value, Mapping) or "id" not in value:
            raise LimbasError('Key "id" of relation data missing!')
        key = value["id"]
        text = str(key) if isinstance(key, str | int) and not isinstance(key, bool) else ""
        return Item(Key(link.target.id, self.record_id(text or dump_json(key))))

    def change_link(self, request: Request, parent: Parent) -> Reply:
        """POST adds, PATCH replaces, DELETE removes. A unique link is replaced by POST too."""
        link = parent.link
        change = self.removal(request, link) if request.method == "DELETE" else self.addition(request, link)
        relink = Relink(parent, change, Const(None), request.expected_version)
        try:
            if request.method != "DELETE":
                query = _LimbasQuery(self, request, self.names(link.target, link), parent, bare=True)
                return self.show_list(request, query, relink)
            outcome = self.run(request, relink)
        except ApiError as error:
            faults = (_named(fault, link) for fault in error.violations)
            raise ApiError(error.code, *faults, headers=error.headers) from None
        if not link.many and not outcome.changed:
            raise LimbasError("Relation does not exit.")  # sic
        return Reply(204)

    def addition(self, request: Request, link: Link) -> Change:
        """What POST and PATCH do to a link."""
        how: Literal["add", "replace"] = "add" if request.method == "POST" and link.many else "replace"
        return Change(how, self.items(link, self.data(self.body(request), "of relation missing!")))

    def removal(self, request: Request, link: Link) -> Change:
        """What DELETE does to a link; of a many link its records are named."""
        if not link.many:
            return Change("remove", None)
        if not request.body.strip():
            raise LimbasError('Key "data" is missing!')
        items = self.items(link, self.data(self.body(request), "is missing!"))
        if not items:
            raise LimbasError('Key "data" is missing!')
        return Change("remove", tuple(dataclasses.replace(item, missing="skip") for item in items))


def _choice(member: Field, value: Json) -> Json:
    """A choice of a multi-select that a body gives by its id, or as the object that a GET shows."""
    given = value.get("id") if isinstance(value, Mapping) else value
    if given in member.choices:
        return given
    number = int(given) if isinstance(given, str | int) and re.fullmatch(r"\d{1,6}", str(given), re.ASCII) else 0
    return member.choices[number - 1] if 0 < number <= len(member.choices) else given


def _named(fault: Violation, link: Link) -> Violation:
    """A violation inside a link as one of the link; the original's text for a missing target names none."""
    return fault if fault.rule == "link_missing" else fault.below(link.name)


class LimbasError(ApiError):
    """A request that breaks one of Limbas' own rules, in its own words."""

    def __init__(self, message: str) -> None:
        super().__init__("refused", Violation((), "refused", {"text": message}))


def _segment(named: Table | Link | Field) -> str:
    return quote(named.name.lower(), safe="")


class _LimbasFields:
    """Reads `$fields`: which attributes are wanted, in which order."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.row = names.row.through if names.row and names.row.through and names.row.through.tracked else None

    def read(self, given: Sequence[Parameter]) -> Sequence[tuple[str, Field | Link]]:
        if not given:
            return self.all()
        last = {tuple(key.lower() for key in parameter.keys): parameter for parameter in given}
        return list(dict(pair for parameter in last.values() for pair in self.of_parameter(parameter)).items())

    def all(self) -> list[tuple[str, Field | Link]]:
        table = self.names.table
        shown: list[tuple[str, Field | Link]] = [("id", table.id)] if table.shows_id else []
        return shown + [(name, member) for name, member in table.members.items() if self.names.find(name)]

    def of_parameter(self, parameter: Parameter) -> Iterator[tuple[str, Field | Link]]:
        if len(parameter.keys) > 2:
            raise fail("bad_brackets", name=parameter.name)
        named = parameter.keys[1] if len(parameter.keys) == 2 else self.names.table.name
        if named.lower() == self.names.table.name.lower():
            names = self.names
        elif self.row and named.lower() == self.row.name.lower():
            names = dataclasses.replace(self.names, table=self.row, row=None)
        else:
            raise LimbasError(f"Invalid table {named}")
        if parameter.value == "*":
            row = ((name, column) for name, column in names.table.fields.items() if names.find(name))
            yield from self.all() if names is self.names else row
            return
        for name in parameter.value.split(","):
            member = names.find(name)
            if member is None:
                names.refuse(name)
            elif names is not self.names and isinstance(member, Link):
                raise LimbasError(f"Invalid table {named}")
            else:
                yield name.lower(), member


class _LimbasQuery:
    """The parameters of a list: what is selected, and the links that lead from page to page."""

    def __init__(
        self, dialect: Limbas, request: Request, names: Names, parent: Parent | None = None, bare: bool = False
    ) -> None:
        self.dialect, self.names, self.parent = dialect, names, parent
        self.parameters = [] if bare else request.parameters
        self.given = {name: self.take(name) for name in LIMBAS_PARAMETERS}
        self.page = self.read_page()
        self.sort = self.read_sort()
        self.scope = Scope(self.read_archived(), self.read_validity())
        self.members = _LimbasFields(names).read(self.given["$fields"])
        self.where = self.read_filters()

    def refuse_if_strict(self, name: str, value: str, reason: str) -> None:
        """What the original ignores is an error for a strict server."""
        if self.dialect.services.strict:
            raise fail("bad_parameter", name=name, value=value, reason=reason)

    def take(self, name: str) -> list[Parameter]:
        """The parameters of one name; of a repeated one the last."""
        given = [parameter for parameter in self.parameters if parameter.keys[0].lower() == name]
        found = {tuple(key.lower() for key in parameter.keys): parameter for parameter in given}
        if len(found) < len(given):
            self.refuse_if_strict(name, given[-1].value, "it stands twice")
        return list(found.values())

    def single(self, name: str) -> str | None:
        for parameter in self.given[name]:
            if len(parameter.keys) > 1:
                raise fail("unknown_parameter", name=parameter.name)
        return self.given[name][-1].value if self.given[name] else None

    def read_page(self) -> Page:
        numbers = {"count": 0, "number": 1}
        for parameter in self.given["$page"]:
            key = parameter.keys[1].lower() if len(parameter.keys) == 2 else ""
            if key not in numbers:
                raise fail("unknown_parameter", name=parameter.name)
            if not re.fullmatch(r"0*[1-9]\d{0,8}", parameter.value, re.ASCII):
                raise fail(
                    "bad_parameter", name=parameter.name, value=parameter.value, reason="write a positive whole number"
                )
            numbers[key] = int(parameter.value)
        count = numbers["count"]
        if not count and self.given["$page"]:
            self.refuse_if_strict("$page[number]", str(numbers["number"]), "it has no effect without $page[count]")
        return Page(count, count * (numbers["number"] - 1)) if count else Page(None)

    def read_sort(self) -> tuple[Sort, ...]:
        text = self.single("$sort")
        if text is None:
            return ()
        return tuple(dict.fromkeys(self.read_term(term) for term in text.split(",")))

    def read_term(self, term: str) -> Sort:
        table, dot, name = term.removeprefix("-").rpartition(".")
        if dot and table.lower() != self.names.table.name.lower():
            raise fail("unknown_field", name=term.removeprefix("-"), table=self.names.table.name)
        member = self.member(name)
        path = Path((member,)) if isinstance(member, Link) else Path((), member)
        return self.names.manner.sort(path, term.startswith("-"))

    def member(self, name: str) -> Field | Link:
        member = self.names.find(name)
        if member is None:
            self.names.refuse(name)
        assert member
        return member

    def read_archived(self) -> Literal["no", "only", "trash", "all"]:
        text = self.single("$archived")
        if text is None:
            return "no"
        if text.lower() not in LIMBAS_ARCHIVED:
            raise LimbasError(f"Invalid param '{text}' for option $archived.")
        return LIMBAS_ARCHIVED[text.lower()]

    def read_validity(self) -> Validity:
        text, today = self.single("$validity"), self.dialect.today()
        ranges: dict[str | None, Validity] = {
            None: On(today),
            "all": Everything(),
            "allfrom": From(today),
            "allto": To(today),
        }
        word = text.lower() if text is not None else None
        if word in ranges:
            return ranges[word]
        try:
            return On(parse_limbas_date(str(text)).start[:10])
        except ValueError:
            raise LimbasError(f"Invalid param '{text}' for option $validity.") from None

    # -- filters --

    def read_filters(self) -> Filter:
        last: dict[tuple[str, ...], tuple[Field | Link, str, str]] = {}
        for parameter in self.parameters:
            if parameter.keys[0].lower() not in LIMBAS_PARAMETERS:
                member, operator = self.resolve(parameter)
                if (member.name, operator) in last or not parameter.value:
                    self.refuse_if_strict(parameter.name, parameter.value, "it stands twice, or is empty")
                last[(member.name, operator)] = (member, operator, parameter.value)
        if len(last) > MAX_FILTER_TERMS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_TERMS} terms")
        return _all(self.condition(*found) for found in last.values())

    def resolve(self, parameter: Parameter) -> tuple[Field | Link, str]:
        """The field and the operator that a parameter's name spells: field[operator] or table[field][operator]."""
        keys = parameter.keys
        if keys[0].startswith("$"):
            raise fail("unknown_parameter", name=parameter.name)
        member = self.names.find(keys[0])
        is_table = keys[0].lower() == self.names.table.name.lower() and len(keys) > 1
        if is_table and not (member and len(keys) == 2 and keys[1].lower() in (*NUMBER_OPERATORS, *TEXT_OPERATORS)):
            member, keys = self.member(keys[1]), keys[1:]
        if len(keys) > 2 or keys[1:] == ("",):
            raise fail("bad_brackets", name=parameter.name)
        return member or self.member(keys[0]), keys[1].lower() if len(keys) == 2 else ""

    def condition(self, member: Field | Link, operator: str, value: str) -> Filter:
        """One filter. An empty value sets no condition."""
        if operator:
            self.check_operator(member, operator)
        if value == "":
            return TRUE
        negative = operator == "neq" or (
            not operator and value.startswith("!=") and _limbas_family(member) != "boolean"
        )
        special = self.special(member, value.removeprefix("!=") if negative and not operator else value)
        if special is not None:
            if operator not in ("", "eq", "neq"):
                raise fail("bad_value", [member.name.lower()], value=dump_json(value), expected="eq or neq with it")
            return self.opposite(member, special) if negative else special
        if isinstance(member, Link):
            return self.link_condition(member, operator, value)
        if not operator and _limbas_family(member) != "boolean":
            prefixes = PREFIXES if _limbas_family(member) == "number" else ("!=",)
            prefix = next((prefix for prefix in prefixes if value.startswith(prefix)), "")
            operator, value = PREFIXES.get(prefix, ""), value[len(prefix) :]
        where = self.comparison(Path((), member), member, operator, value)
        return Not(where) if operator == "neq" and where != FALSE else where

    def opposite(self, member: Field | Link, special: Filter) -> Filter:
        """The negation, which like every operator leaves out what has no value; but `#NULL#` asks for just that."""
        presence = isinstance(special, Not) or (isinstance(special, Compare) and special.op in ("null", "empty"))
        if presence or not isinstance(member, Link):
            return Not(special)
        return And((Not(special), Not(Compare(Path((member,), member.target.id), "null"))))

    def special(self, member: Field | Link, value: str) -> Filter | None:
        """The conditions that have a spelling of their own: `#NULL#`, `#NOTNULL#`, and `#ID#5` on a link."""
        if isinstance(member, Link) and value.startswith("#ID#"):
            key = self.dialect.record_id(value.removeprefix("#ID#"))
            return Compare(Path((member,), member.target.id), "eq", key)
        if value not in ("#NULL#", "#NOTNULL#"):
            return None
        path = Path((member,), member.target.id) if isinstance(member, Link) else Path((), member)
        nothing = Compare(path, "null" if isinstance(member, Link) or member.kind.name == "json" else "empty")
        return nothing if value == "#NULL#" else Not(nothing)

    def check_operator(self, member: Field | Link, operator: str) -> None:
        allowed = LIMBAS_OPERATORS[_limbas_family(member)]
        if operator not in allowed:
            raise fail("unknown_operator", name=operator, field=member.name.lower(), allowed=", ".join(allowed))

    def comparison(self, path: Path, member: Field, operator: str, value: str) -> Filter:
        """A comparison with a field, negation aside; a value that the field cannot have gives no records."""
        op: Operator = operator if operator in OPERATORS else "eq"  # type: ignore[assignment]
        match _limbas_family(member):
            case "text":
                return Compare(path, op, value.lstrip(" "), self.names.manner.case)
            case "list":
                return Compare(path, "contains", value.lstrip(" "), self.names.manner.case)
            case "boolean":
                if value.strip().lower() in BOOLEAN_TEXT:
                    return Compare(path, "eq", BOOLEAN_TEXT[value.strip().lower()])
                self.refuse_if_strict(member.name.lower(), value, "expected true or false")
                return FALSE
            case "number" if member.kind.is_date:
                return Compare(path, op, self.date(member, value))
            case "number":
                return self.number(path, member, op, value.strip())
            case _:
                raise fail(
                    "unknown_operator", name=operator or "eq", field=member.name.lower(), allowed="#NULL#, #NOTNULL#"
                )

    def number(self, path: Path, member: Field, op: Operator, value: str) -> Filter:
        try:
            return Compare(
                path, op, member.kind.parse_text(value.replace(",", ".") if member.kind.name == "number" else value)
            )
        except BadValue as error:
            if member.kind.name == "time":
                raise fail("bad_value", [member.name.lower()], value=dump_json(value), expected=error) from None
            self.refuse_if_strict(member.name.lower(), value, f"expected {error}")
            return FALSE

    def date(self, member: Field, value: str) -> Span:
        try:
            return parse_limbas_date(value)
        except ValueError:
            expected = "a date as YYYY-MM-DD or DD.MM.YYYY, a month, a year or KW 12.2024"
            raise fail("bad_value", [member.name.lower()], value=dump_json(value), expected=expected) from None

    def link_condition(self, link: Link, operator: str, value: str) -> Filter:
        """A filter on a link: on the label of the linked records."""
        label = link.target.label
        if label is None or not label.kind.is_text:
            raise fail(
                "unknown_operator",
                name=operator or "contains",
                field=link.name.lower(),
                allowed="#ID#, #NULL#, #NOTNULL#",
            )
        negative = operator == "neq" or (not operator and value.startswith("!="))
        text = value.removeprefix("!=") if not operator else value
        op: Operator = "eq" if operator == "neq" else operator or "contains"  # type: ignore[assignment]
        where = Some(Compare(Path((link,), label), op, text.lstrip(" "), self.names.manner.case))
        return self.opposite(link, where) if negative else where

    # -- links --

    def links(self, path: str, total: int | None) -> dict[str, str]:
        """The address of this list, and with pages those of the first, previous, next and last one."""
        result = {"self": self.address(path)}
        if total is None or self.page.limit is None:
            return result
        number, last = self.page.offset // self.page.limit + 1, max(1, -(-total // self.page.limit))
        result["first"] = self.address(path, 1)
        if number > 1:
            result["prev"] = self.address(path, number - 1)
        if number < last:
            result["next"] = self.address(path, number + 1)
        result["last"] = self.address(path, last)
        return result

    def address(self, path: str, number: int | None = None) -> str:
        """The list's address with the parameters of the request, `$` ones first, at another page."""
        special = [p for p in self.parameters if p.keys[0].startswith("$")]
        filters = [p for p in self.parameters if not p.keys[0].startswith("$")]
        if number is not None:
            wanted = Parameter(("$page", "number"), str(number))
            places = [place for place, p in enumerate(special) if p.keys[0].lower() == "$page"]
            place = next((place for place in places if _is_page_number(special[place])), places[-1] + 1)
            before, after = special[:place], special[place:]
            special = [*before, wanted, *(p for p in after if not _is_page_number(p))]
        pairs = [(p.name, p.value) for p in (*special, *filters)]
        query = "&".join(f"{quote(name, safe='$[],:')}={quote(value, safe='$[],:*')}" for name, value in pairs)
        return f"{path}?{query}" if query else path


def _is_page_number(parameter: Parameter) -> bool:
    return tuple(key.lower() for key in parameter.keys) == ("$page", "number")


def _limbas_family(column: Field | Link) -> str:
    """Which of Limbas' kinds of filter a field has; a link is searched by its label."""
    if isinstance(column, Link):
        return "text"
    name = column.kind.name
    if name in ("integer", "number", "id", "time") or column.kind.is_date:
        return "number"
    return (
        "text" if column.kind.is_text else {"boolean": "boolean", "list": "list", "choices": "list"}.get(name, "json")
    )


# ======================================================================================================================
# 18  NocoBase
#
# The NocoBase HTTP API ("HTTP API", "Filter operators"): a resource and an action at `/api/<collection>:<action>`,
# also on the records that an association leads to. The method matters only where no action is named. Parameters come
# from the query alone, a body is values and nothing else.
# ======================================================================================================================

NOCOBASE_PARAMETERS = frozenset(
    "filter filterByTk filterByTks sort fields appends except whitelist blacklist page pageSize paginate "
    "updateAssociationValues forceUpdate filterKeys sourceId targetId sortField targetScope sticky method".split()
)
NOCOBASE_PAGE_SIZE = 20
NOCOBASE_REFUSALS = {
    "empty": ("EMPTY_TOKEN", "Unauthenticated. Please sign in to continue."),
    "wrong": ("INVALID_TOKEN", "Your session has expired. Please sign in again."),
    "role": ("ROLE_NOT_FOUND_FOR_USER", "The role does not belong to the user"),
}
TOKEN_DAYS = 7
COLLECTION_ACTIONS: Mapping[tuple[str, bool], str] = {
    ("GET", False): "list",
    ("POST", False): "create",
    ("DELETE", False): "destroy",
    ("GET", True): "get",
    ("PUT", True): "update",
    ("PATCH", True): "update",
    ("DELETE", True): "destroy",
}
"""What a method means on a collection, without and with an index."""
ASSOCIATION_ACTIONS: Mapping[str, Mapping[tuple[str, bool], str]] = {
    "hasMany": {
        ("GET", False): "list",
        ("POST", False): "create",
        ("DELETE", False): "destroy",
        ("GET", True): "get",
        ("POST", True): "create",
        ("PUT", True): "update",
        ("PATCH", True): "update",
        ("DELETE", True): "destroy",
    },
    "belongsToMany": {
        ("GET", False): "list",
        ("POST", False): "set",
        ("DELETE", False): "destroy",
        ("GET", True): "get",
        ("POST", True): "add",
        ("PUT", True): "update",
        ("PATCH", True): "update",
        ("DELETE", True): "remove",
    },
    "belongsTo": {("GET", False): "get", ("DELETE", False): "remove", ("POST", True): "set"},
    "hasOne": {
        ("GET", False): "get",
        ("POST", False): "update",
        ("PUT", False): "update",
        ("PATCH", False): "update",
        ("DELETE", False): "destroy",
    },
}
"""The same for the four kinds of association."""
LINK_ACTIONS: Mapping[str, Literal["replace", "add", "remove", "toggle"]] = {
    "set": "replace",
    "add": "add",
    "remove": "remove",
    "toggle": "toggle",
}
SIGN_IN_ACTIONS = {"signin": "sign_in", "signout": "sign_out", "signup": "sign_up", "check": "check"}


def association_type(link: Link) -> str:
    """NocoBase's word for the form of a link."""
    if link.key:
        return "belongsTo"
    return "belongsToMany" if link.through else "hasMany" if link.many else "hasOne"


@dataclass(frozen=True)
class Call:
    """One action on a collection, or on an association of one record (`parent`)."""

    request: Request
    names: Names
    given: Mapping[str, Json]
    index: str | None
    parent: Parent | None = None

    @property
    def table(self) -> Table:
        """The table whose records are meant."""
        return self.names.table

    @property
    def link(self) -> Link | None:
        """The association."""
        return self.parent.link if self.parent else None

    @property
    def tk(self) -> Json:
        """The key or keys that the request names; the query goes before the path. Null in the query is no key."""
        for name in ("filterByTk", "filterByTks"):
            if name in self.given:
                return [] if self.given[name] is None else self.given[name]
        return self.index

    def words(self, name: str) -> list[str] | None:
        """A parameter that is a list: `a,b`, `x[]=a&x[]=b` or repeated; None when it is not there."""
        if name not in self.given:
            return None
        value = self.given[name]
        items = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(item, str) for item in items):
            raise fail("bad_parameter", name=name, value=dump_json(value), reason="write a list of names")
        return [word for item in items for word in item.split(",")]

    def flag(self, name: str) -> bool:
        """A parameter that is true or false."""
        value = self.given.get(name, "false")
        if value not in ("true", "false", "1", "0"):
            raise fail("bad_parameter", name=name, value=_as_text(value), reason="write true or false")
        return value in ("true", "1")

    def number(self, name: str, default: int) -> int:
        """A parameter that is a positive whole number."""
        value = self.given.get(name, str(default))
        if not isinstance(value, str) or not re.fullmatch(r"0*[1-9]\d{0,8}", value, re.ASCII):
            raise fail("bad_parameter", name=name, value=_as_text(value), reason="write a positive whole number")
        return int(value)


@dataclass
class Wanted:
    """Which columns and associations of a record are shown; `columns` None means all columns."""

    columns: list[Field] | None = None
    links: dict[Link, Wanted] = field(default_factory=dict)
    hidden: set[Field] = field(default_factory=set)


class NocoBase(Dialect):
    """The NocoBase HTTP API, as version 1.9 answers where the documents are silent."""

    name = "nocobase"
    bases = ("/api",)
    manner = Manner("nocobase", NOCOBASE_WORDS, shows_keys=True, unknown_key="drop", read_only_key="drop")
    words: ClassVar[Mapping[str, str]] = {
        "unique": "{field} already exists",
        "required": "{field} cannot be null",
        "not_found": "Not Found",
        "unknown_table": "Not Found",
        "forbidden": "No permissions",
    }
    example = "/api/{table}:list?pageSize=2"

    def routes(self) -> Iterator[Route]:
        for resource, end in itertools.product(("auth", "users"), ("", "/")):
            yield Route(
                ALL_METHODS, f"/api/{resource}<:re:[:]><action:re:[A-Za-z]+>{end}", self.of_accounts, public=True
            )
        for end in ("", "/"):
            yield Route(ALL_METHODS, f"/api/<name:re:[^/:]+><:re:[:]><action>{end}", self.of_collection)
            yield Route(ALL_METHODS, f"/api/<name:re:[^/:]+><:re:[:]><action>/<index>{end}", self.of_collection)
            association = "/api/<name:re:[^/:]+>/<source>/<association:re:[^/:]+>"
            yield Route(ALL_METHODS, f"{association}<:re:[:]><action>{end}", self.of_association)
            yield Route(ALL_METHODS, f"{association}<:re:[:]><action>/<index>{end}", self.of_association)
            yield Route(ALL_METHODS, f"/api/<name:re:[^/:]+>{end}", self.of_collection)
            yield Route(ALL_METHODS, f"/api/<name:re:[^/:]+>/<index:re:[^/:]+>{end}", self.of_collection)
            yield Route(ALL_METHODS, f"{association}{end}", self.of_association)
            yield Route(ALL_METHODS, f"{association}/<index:re:[^/:]+>{end}", self.of_association)

    def error(self, error: ApiError) -> Reply:
        items = [{"code": fault.rule, "message": self.message(fault)} for fault in error.violations]
        if error.code == "unauthenticated":
            code, message = NOCOBASE_REFUSALS[str(error.violations[0].params["reason"])]
            items = [{"code": code, "message": message}]
        status = 404 if error.code == "unknown_table" else error.status
        return json_reply(dump_json({"errors": items}), status, error.headers)

    # -- addresses --

    def of_collection(self, request: Request, name: str, action: str = "", index: str | None = None) -> Reply:
        """`/api/<collection>:<action>/<index>`, or without an action by the method."""
        return self.in_role(request).on_collection(request, name, action, index)

    def on_collection(self, request: Request, name: str, action: str, index: str | None) -> Reply:
        """An action on a collection."""
        table = self.find_table(name)
        action = action or COLLECTION_ACTIONS.get((_method(request), index is not None), "")
        if action in ("add", "toggle"):
            return json_reply("{}")
        return self.act(action, Call(request, self.names(table), self.read_query(request), index))

    def of_association(self, request: Request, action: str = "", index: str | None = None, **address: str) -> Reply:
        """`/api/<collection>/<index>/<association>:<action>/<index>`."""
        return self.in_role(request).on_association(request, action, index, address)

    def on_association(self, request: Request, action: str, index: str | None, address: Mapping[str, str]) -> Reply:
        """An action on an association of one record."""
        table = self.find_table(address["name"])
        link = self.names(table).find(address["association"])
        if not isinstance(link, Link):
            raise fail("unknown_link", name=address["association"], table=table.name)
        default = ASSOCIATION_ACTIONS[association_type(link)].get((_method(request), index is not None), "")
        key = table.address
        parent = Parent(link, Key(key, _key_value(key, address["source"])))
        return self.act(
            action or default, Call(request, self.names(link.target, link), self.read_query(request), index, parent)
        )

    def act(self, action: str, call: Call) -> Reply:
        """Run one action."""
        actions: dict[str, Callable[[Call], Reply]] = {
            "list": self.show_list,
            "get": self.get,
            "create": self.create,
            "update": self.update,
            "destroy": self.destroy,
            "move": self.move,
            "firstOrCreate": self.first_or_create,
            "updateOrCreate": self.update_or_create,
        }
        if call.parent and action in LINK_ACTIONS:
            return self.change_links(call, call.parent, action)
        if action not in actions:
            raise fail("not_found")
        return actions[action](call)

    def in_role(self, request: Request) -> NocoBase:
        """This dialect for the one role that `X-Role` names; every user is a `member`, which is no role of its own.

        ApiError for a role that the user does not have.
        """
        role, actor = request.header("X-Role"), request.actor
        if not role or actor.id is None:
            return self
        if role not in (*actor.roles, "member"):
            raise fail("unauthenticated", reason="role")
        request.actor = dataclasses.replace(actor, roles=(role,) if role in actor.roles else ())
        return self.seen_by(request.actor)

    def read_query(self, request: Request) -> dict[str, Json]:
        """The parameters, as `qs` reads them: brackets nest, repeated ones are a list, a bare name is null."""
        parts: dict[str, list[tuple[tuple[str, ...], Json]]] = {}
        for parameter in request.parameters:
            name = parameter.keys[0]
            if name not in NOCOBASE_PARAMETERS:
                hint = did_you_mean(name, NOCOBASE_PARAMETERS)
                raise fail("unknown_parameter", name=parameter.name, hint=hint)
            parts.setdefault(name, []).append((parameter.keys, None if parameter.bare else parameter.value))
        return {name: _qs_value(name, found) for name, found in parts.items()}

    # -- reading --

    def show_list(self, call: Call) -> Reply:
        """Records with `meta`; without it when `paginate=false`."""
        if call.link and not call.link.many:
            raise fail("refused", text=f"{call.link.name} is one record: use get")
        paged = call.given.get("paginate") != "false"
        number, size = call.number("page", 1), call.number("pageSize", NOCOBASE_PAGE_SIZE)
        page = Page(size, size * (number - 1)) if paged else Page(None)
        where = self.filter(call) or TRUE
        op = Select(call.table, self.shape(call), where, self.scope(), self.sort(call), page, paged, call.parent)
        outcome = self.select(call, op)
        rows, total = ",".join(row.text for row in outcome.rows), outcome.total or 0
        meta = {"count": total, "page": number, "pageSize": size, "totalPage": -(-total // size)}
        return json_reply(f'{{"data":[{rows}]' + (f',"meta":{dump_json(meta)}' if paged else "") + "}")

    def get(self, call: Call) -> Reply:
        """The first record that is meant, or null."""
        where, scope = self.chosen(call)
        shape, sort = self.shape(call), self.sort(call)
        where = where or TRUE
        single = by_key(call.table, where)
        op = Select(call.table, shape, where, scope, sort, Page(1), parent=call.parent, single=single)
        rows = self.select(call, op).rows
        if not rows:
            return json_reply('{"data":null}')
        return record_reply(call.request, rows[0], f'{{"data":{rows[0].text}}}')

    def select(self, call: Call, op: Select) -> Outcome:
        """What a Select finds; a record that does not exist has no associated ones."""
        try:
            return self.run(call.request, op)
        except ApiError as error:
            if error.code != "not_found":
                raise
            return Outcome(total=0)

    def scope(self) -> Scope:
        """The records that a list means."""
        return Scope("no", On(self.today()))

    def filter(self, call: Call) -> Filter | None:
        """The condition of `filter`, None when it sets none."""
        value = call.given.get("filter")
        if value is None:
            return None
        if isinstance(value, str):
            try:
                value = read_json(value)
            except ApiError as error:
                reason = error.violations[0].message()
                raise fail(
                    "bad_parameter", name="filter", value=str(call.given["filter"])[:100], reason=reason
                ) from None
        where = filter_from_json(call.names, value)
        if any(True for _ in paths_of(where)):
            return where
        return None if true_on_nulls(where) else FALSE  # without a path a filter is always true or always false

    def chosen(self, call: Call) -> tuple[Filter | None, Scope]:
        """Which records an action means: those of the keys and of the filter; None for no condition at all."""
        where = self.filter(call)
        tk = None if call.link and not call.link.many else call.tk
        if tk is None:
            return where, ANY_STATE if call.link and not call.link.many else self.scope()
        key = call.table.address
        values = tuple(_key_value(key, item) for item in (tk if isinstance(tk, list) else [tk]))
        keys = Compare(Path((), key), "in", tuple(value for value in values if value is not None))
        return (And((keys, where)) if where else keys), ANY_STATE

    def sort(self, call: Call) -> tuple[Sort, ...]:
        """The order of `sort`; through associations too."""
        terms = call.words("sort") or []
        paths = ((call.names.path(term.removeprefix("-").split(".")), term.startswith("-")) for term in terms if term)
        return tuple(self.manner.sort(path, down) for path, down in paths) or (Sort(Path((), call.table.id)),)

    # -- shapes --

    def shape(self, call: Call) -> Shape:
        """What `fields`, `appends` and `except` ask for."""
        fields = call.words("fields")
        wanted = Wanted(None if fields is None else [])
        for word in (*(fields or ()), *(call.words("appends") or ())):
            self.want(wanted, call.names, self.steps(word))
        for word in call.words("except") or ():
            self.unwant(wanted, call.names, self.steps(word))
        return self.record(wanted, call.names)

    def steps(self, word: str) -> list[str]:
        """The words of a column that associations lead to. ApiError for too many of them."""
        words = word.split(".")
        if len(words) > MAX_SHAPE_LINKS + 1:
            raise fail("bad_parameter", name=word[:100], value="", reason=f"more than {MAX_SHAPE_LINKS} links")
        return words

    def want(self, wanted: Wanted, names: Names, words: Sequence[str]) -> None:
        """Add a column, an association, or a column of an association."""
        member = names.find(words[0])
        if isinstance(member, Field) and member.is_system and member.target is not None and member.name != "id":
            names.refuse(words[0])  # who made a record is for filters and rights only
        if isinstance(member, Field) and len(words) == 1:
            if wanted.columns is not None and member not in wanted.columns:
                wanted.columns.append(member)
        elif isinstance(member, Link):
            inner = wanted.links.setdefault(member, Wanted([] if len(words) > 1 else None))
            if len(words) > 1:
                self.want(inner, names.at(member), words[1:])
            else:
                inner.columns = None
        else:
            names.refuse(words[0] if member is None else words[1])

    def unwant(self, wanted: Wanted, names: Names, words: Sequence[str]) -> None:
        """Leave out a column, or one of an association; named columns stay."""
        member = names.find(words[0])
        if member is None:
            names.refuse(words[0])
        elif isinstance(member, Link) and len(words) > 1:
            self.unwant(wanted.links.get(member, Wanted()), names.at(member), words[1:])
        elif isinstance(member, Link):
            wanted.links.pop(member, None)
        elif len(words) > 1:
            names.refuse(".".join(words))
        else:
            wanted.hidden.add(member)

    def record(self, wanted: Wanted, names: Names) -> Obj:
        """The shape of a record; with the link's own row where a many-to-many link led to it."""
        if wanted.columns is None:
            columns = [(name, column) for name, column in self.columns(names) if column not in wanted.hidden]
        else:
            columns = [(self.word_of(column), column) for column in wanted.columns]
        pairs: list[tuple[str, Shape]] = [(name, Col(Path((), column))) for name, column in columns]
        for link, inner in wanted.links.items():
            pairs.append((link.name, Sub(link, self.record(inner, names.at(link)), link.many)))
        through = names.row.through if names.row else None
        if through and wanted.columns is None:
            row = [(name, Col(Path((), column))) for name, column in self.columns(self.names(through))]
            pairs.append((through.name, Obj(tuple(pair for pair in row if pair[0] != "id"))))
        return Obj(tuple(pairs))

    def columns(self, names: Names) -> Iterator[tuple[str, Field]]:
        """All visible columns: the id (unless a key takes its place), fields, keys of associations, times."""
        table = names.table
        if table.key is None:
            yield "id", table.id
        for name, column in table.fields.items():
            if names.find(name):
                yield name, column
        for link in table.links.values():
            if link.key and not link.target.name.startswith("_") and names.find(link.name):
                yield link.key.name, link.key
        for word in ("createdAt", "updatedAt"):
            member = names.find(word)
            if isinstance(member, Field) and member.is_system:
                yield word, member

    def word_of(self, column: Field) -> str:
        """The name of a column in this dialect."""
        return next(
            (word for word, name in self.manner.words.items() if column.is_system and name == column.name), column.name
        )

    # -- writing --

    def values(self, call: Call, body: Json) -> Values:
        """What a body sets, after whitelist and blacklist."""
        if not isinstance(body, Mapping):
            raise fail("bad_body", reason="values are an object")
        allowed, blocked = call.words("whitelist"), call.words("blacklist") or []
        beside = {call.link.through.name if call.link and call.link.through else None, None if call.table.key else "id"}
        kept = _restricted({name: value for name, value in body.items() if name not in beside}, allowed, blocked)
        updating = call.given.get("updateAssociationValues", [])
        names = call.words("updateAssociationValues") if isinstance(updating, list) else [str(updating)]
        reader = _LinkValues(self, frozenset(names or []), "")
        return read_values(call.names, kept, reader.read, text=call.request.is_form)

    def answer_shape(self, call: Call, links: Iterable[Link]) -> Shape:
        """All columns, and the associations that the body named."""
        wanted = Wanted(links={link: Wanted() for link in links})
        return self.record(wanted, call.names)

    def row_values(self, call: Call, body: Json) -> dict[Field, SqlValue]:
        """The values for the link's own row, under the name of its table."""
        through = call.link.through if call.link else None
        given = body.get(through.name) if through and isinstance(body, Mapping) else None
        return self.row_of(through, given) if through and given is not None else {}

    def row_of(self, through: Table, given: Json) -> dict[Field, SqlValue]:
        """The values of a link's row. ApiError lists what is wrong."""
        if not isinstance(given, Mapping):
            raise fail("bad_body", reason=f"{through.name} is an object")
        return read_values(self.names(through), given, _no_links).check().fields

    def create(self, call: Call) -> Reply:
        """One record of the body, or one for each item of a list, in one transaction."""
        body = self.body(call.request)
        bodies = body if isinstance(body, list) else [body]
        operations = tuple(self.create_operation(call, item) for item in bodies)
        outcome = self.run(call.request, Batch(operations))
        texts = [part.rows[0].text for part in outcome.parts]
        return json_reply(f'{{"data":[{",".join(texts)}]}}' if isinstance(body, list) else f'{{"data":{texts[0]}}}')

    def create_operation(self, call: Call, body: Json) -> Create:
        """One new record."""
        key = body.get("id") if call.table.key is None and isinstance(body, Mapping) else None
        values = self.values(call, body)
        faults = tuple(values.faults)
        if key is not None and (isinstance(key, bool) or not isinstance(key, int) or not 0 < key <= MAX_ID):
            faults += (Violation(("id",), "bad_value", {"value": dump_json(key), "expected": "a record id"}),)
            key = None
        return Create(
            call.table,
            values.fields,
            values.links,
            self.answer_shape(call, values.links),
            call.parent,
            self.row_values(call, body),
            key,
            faults,
        )

    def body(self, request: Request) -> Json:
        """The values of a body; without one there are none."""
        if not request.body.strip():
            return {}
        return request.read_body() if request.is_form else request.read_json()

    def update(self, call: Call) -> Reply:
        """The changed records in a list; of an association to one record that record."""
        where, scope = self.chosen(call)
        self.need_condition(call, where)
        body = self.body(call.request)
        values = self.values(call, body)
        op = Update(
            call.table,
            where or TRUE,
            values.fields,
            values.links,
            self.answer_shape(call, values.links),
            ANY_STATE if call.parent else scope,
            call.parent,
            self.row_values(call, body),
            call.request.expected_version,
            tuple(values.faults),
        )
        rows = self.run(call.request, op).rows
        if call.link and not call.link.many:
            return json_reply(f'{{"data":{rows[0].text if rows else "null"}}}')
        return json_reply(f'{{"data":[{",".join(row.text for row in rows)}]}}')

    def destroy(self, call: Call) -> Reply:
        """The number of records that are gone; `true` for an association."""
        where, scope = self.chosen(call)
        self.need_condition(call, where)
        scope = ANY_STATE if call.parent else scope
        op = Delete(call.table, where or TRUE, scope, call.parent, call.request.expected_version)
        changed = self.run(call.request, op).changed
        return json_reply('{"data":true}' if call.parent else f'{{"data":{changed}}}')

    def need_condition(self, call: Call, where: Filter | None) -> None:
        """A collection is never changed whole by oversight; an association without an index is."""
        said_nothing = not call.parent or "filter" in call.given
        if where is None and said_nothing and not call.flag("forceUpdate"):
            raise fail("no_condition")

    def change_links(self, call: Call, parent: Parent, action: str) -> Reply:
        """set, add, remove and toggle: the ids come from the body, the query or the path."""
        link = parent.link
        items = self.link_items(call, link)
        done = json_reply('{"data":"ok"}' if action == "toggle" else "{}")
        idle = (not link.many and action in ("add", "toggle")) or (action == "toggle" and not link.through)
        if idle:  # sic: the original says that it did it
            return done
        if action == "remove" and not link.many:
            change = Change("remove", None)
        else:
            change = Change(LINK_ACTIONS[action], items, "move")
        try:
            self.run(call.request, Relink(parent, change, Const(None)))
        except ApiError as error:
            raise error.below(link.name) from None
        return done

    def link_items(self, call: Call, link: Link) -> tuple[Item, ...]:
        """The records that an association action names: `[1, 2]`, or pairs with the values of the link's row."""
        body = self.body(call.request)
        if not isinstance(body, list | Mapping):
            raise fail("bad_body", reason="write a list of ids")
        ids = body if isinstance(body, list) else []  # sic: an object has no effect
        tk = call.tk
        ids = ids + (tk if isinstance(tk, list) else [] if tk is None else [tk])
        return tuple(self.link_item(link, item) for item in ids)

    def link_item(self, link: Link, value: Json) -> Item:
        """One record of an association action."""
        row: dict[Field, SqlValue] = {}
        if isinstance(value, list) and len(value) == 2 and link.through:
            value, row = value[0], self.row_of(link.through, value[1])
        key = link.target.address
        return Item(Key(key, _key_value(key, value)), row=row, missing="skip" if link.many else "refuse")

    # -- the manual order --

    def move(self, call: Call) -> Reply:
        """Give `sourceId` the place of `targetId`, the one behind it, or one of a scope's ends."""
        if call.table.sort is None:
            raise fail("not_sortable", table=call.table.name)
        if call.given.get("sortField", call.table.sort.field.name) != call.table.sort.field.name:
            raise fail("not_sortable", table=f"{call.table.name}.{call.given['sortField']}")
        if "sourceId" in call.given:
            self.run(call.request, self.move_operation(call))
        return json_reply('{"data":"ok"}')

    def move_operation(self, call: Call) -> Move:
        """The move that the parameters ask for."""
        assert call.table.sort
        key = call.table.address
        source = Key(key, _key_value(key, call.given["sourceId"]))
        method = call.given.get("method")
        if method not in (None, "insertAfter", "prepend"):
            raise fail("bad_parameter", name="method", value=_as_text(method), reason="write insertAfter or prepend")
        if call.flag("sticky"):
            return Move(call.table, source, "top")
        if "targetScope" in call.given:
            scope = self.target_scope(call)
            return Move(call.table, source, "first" if method == "prepend" else "last", scope_value=scope)
        if "targetId" not in call.given:
            return Move(call.table, source, "first" if method == "prepend" else "last")
        target = Key(key, _key_value(key, call.given["targetId"]))
        return Move(call.table, source, "after" if method == "insertAfter" else "at", target)

    def target_scope(self, call: Call) -> SqlValue:
        """The value in `targetScope`: `{"field": value}` as JSON or in brackets."""
        assert call.table.sort
        value, scope = call.given["targetScope"], call.table.sort.scope
        if isinstance(value, str):
            value = read_json(value)
        if scope is None or not isinstance(value, Mapping) or set(value) != {scope.name}:
            reason = f"write {scope.name}=value" if scope else "the order has no scope"
            raise fail("bad_parameter", name="targetScope", value=dump_json(value), reason=reason)
        try:
            inner = value[scope.name]
            return scope.kind.parse_text(inner) if isinstance(inner, str) else scope.parse_json(inner)
        except BadValue as error:
            raise fail(
                "bad_parameter", name="targetScope", value=dump_json(value), reason=f"expected {error}"
            ) from None

    # -- find or make --

    def first_or_create(self, call: Call) -> Reply:
        """The record with the values of `filterKeys`, or a new one."""
        create, where = self.upsert_parts(call)
        found = Select(call.table, self.answer_shape(call, ()), where, parent=call.parent, single=True)
        row = self.run(call.request, Upsert(where, create, found)).rows[0]
        return json_reply(f'{{"data":{row.text}}}')

    def update_or_create(self, call: Call) -> Reply:
        """The record with the values of `filterKeys`, changed, in a list; or a new one, as an object."""
        create, where = self.upsert_parts(call)
        update = Update(
            call.table, where, create.values, create.links, create.shape, parent=call.parent, faults=create.faults
        )
        outcome = self.run(call.request, Upsert(where, create, update))
        text = outcome.rows[0].text
        return json_reply(f'{{"data":{text}}}' if outcome.made else f'{{"data":[{text}]}}')

    def upsert_parts(self, call: Call) -> tuple[Create, Filter]:
        """The new record, and the condition that finds the old one."""
        keys = call.words("filterKeys")
        if not keys:
            raise fail("bad_parameter", name="filterKeys", value="", reason="name the fields that tell records apart")
        body = self.body(call.request)
        for key in keys:
            if call.names.path(key.split(".")).field is None:
                call.names.refuse(key)
        wanted = {key: _nested_value(body, key.split(".")) for key in keys}
        return self.create_operation(call, body), filter_from_json(call.names, wanted)

    # -- signing in --

    def of_accounts(self, request: Request, action: str) -> Reply:
        """The actions of `auth:`, and those of `users:` that belong to accounts; a table `users` has all others."""
        method = SIGN_IN_ACTIONS.get(action.lower())
        resource = request.path.removeprefix("/api/").partition(":")[0]
        if method is None or (resource == "users" and action != action.lower()):
            self.services.authenticate(request)
            return self.seen_by(request.actor).of_collection(request, resource, action)
        reply: Reply = getattr(self, method)(request)
        return reply

    def sign_in(self, request: Request) -> Reply:
        """A token for `account` (or `email`) and `password`."""
        self.services.may_write(request)
        name, password, _ = self.credentials(request)
        accounts = self.services.accounts
        account = accounts.sign_in(accounts.name_of(name), password, request.client_address)
        token, _, _ = accounts.sign_in_token(account, "auth:signIn", 24 * TOKEN_DAYS)
        return json_reply(dump_json({"data": {"user": _user(account), "token": token}}))

    def credentials(self, request: Request) -> tuple[str, str, Json]:
        """Account, password and e-mail address of a body."""
        body = self.body(request)
        values = body if isinstance(body, Mapping) else {}
        name, password = values.get("account", values.get("email")), values.get("password")
        if not isinstance(name, str) or not name or not isinstance(password, str):
            raise fail("refused", text="Please enter your account and your password")
        return name, password, values.get("email")

    def check(self, request: Request) -> Reply:
        """The user whose credentials the request carries; nobody without any."""
        if not request.has_credentials:
            return json_reply('{"data":{}}')
        self.services.authenticate(request)
        account = self.services.accounts.account(request.actor.name)
        return json_reply(dump_json({"data": _user(account) if account else {}}))

    def sign_out(self, request: Request) -> Reply:
        """End the token or the session of the request."""
        self.services.authenticate(request)
        self.services.may_write(request)
        accounts, actor = self.services.accounts, request.actor
        accounts.refuse_scoped(actor)
        if actor.token is not None:
            accounts.revoke_token(actor.token)
        if actor.session is not None:
            accounts.end_session(actor.session)
        return json_reply('{"data":{}}')

    def sign_up(self, request: Request) -> Reply:
        """A new user with `account` (or `email`) and `password`, where the server allows it."""
        if not self.services.sign_up:
            raise fail("not_found")
        self.services.may_write(request)
        name, password, email = self.credentials(request)
        if self.services.accounts.account(name):
            raise ApiError("unique", Violation(("account",), "unique"))
        try:
            self.services.accounts.put_user(name, password=password, email=email if isinstance(email, str) else None)
        except ValueError as error:
            raise fail("refused", text=str(error)) from None
        return json_reply('{"data":{}}')


class _LinkValues:
    """Reads association values in bodies; `updating` are the associations whose records take values too."""

    def __init__(self, dialect: NocoBase, updating: frozenset[str], prefix: str) -> None:
        self.dialect, self.updating, self.prefix = dialect, updating, prefix

    def read(self, link: Link, value: Json) -> Change:
        """The new state of an association: ids, objects, or both in a list."""
        if not link.many:
            if isinstance(value, list):
                raise fail("refused", text=f"The value of '{link.name}' cannot be in array format")
            return Change("replace", () if value is None else (self.item(link, value),), "move")
        parts = value if isinstance(value, list) else [] if value is None else [value]
        return Change("replace", read_items(parts, functools.partial(self.item, link)), "move")

    def item(self, link: Link, value: Json) -> Item:
        key = link.target.address
        if not isinstance(value, Mapping):
            return Item(self.key(key, value), missing="skip" if link.many else "refuse")
        name = f"{self.prefix}{link.name}"
        inner = _LinkValues(self.dialect, self.updating, f"{name}.")
        names = self.dialect.names(link.target, link)
        through = link.through.name if link.through else None
        beside = {through, None if link.target.key else "id"}
        columns = {word: part for word, part in value.items() if word not in beside}
        values = read_values(names, columns, inner.read).check()
        row = (
            self.dialect.row_of(link.through, value[through])
            if link.through and value.get(str(through)) is not None
            else {}
        )
        given = value.get("id", value.get(key.name))
        return Item(
            None if given is None else self.key(key, given),
            values.fields,
            values.links,
            row,
            "update" if name in self.updating else "link",
            "skip" if link.many else "create",
        )

    def key(self, key: Field, value: Json) -> Key:
        found = _key_value(key, value)
        if found is None:
            params = {"value": dump_json(value), "expected": "an id"}
            raise ApiError("bad_value", Violation((key.name,), "bad_value", params))
        return Key(key, found)


def _nested_value(value: Json, words: Sequence[str]) -> Json:
    for word in words:
        value = value.get(word) if isinstance(value, Mapping) else None
    return value


def _as_text(value: Json) -> str:
    return value if isinstance(value, str) else dump_json(value)


def _no_links(link: Link, value: Json) -> Change:
    raise fail("read_only", [link.name])


def _method(request: Request) -> str:
    return "GET" if request.method == "HEAD" else request.method


def _key_value(key: Field, value: Json) -> SqlValue:
    """A key as it is stored; None for what no record can have."""
    try:
        return key.kind.parse_text(value) if isinstance(value, str) else key.kind.parse_json(value)
    except BadValue:
        return None


def _qs_value(name: str, found: Sequence[tuple[tuple[str, ...], Json]]) -> Json:
    """The value of one parameter: what its brackets nest; the same name twice is a list."""
    together: dict[tuple[str, ...], list[Json]] = {}
    nested = any(len(keys) > 1 for keys, _ in found)
    for number, (keys, value) in enumerate(found):
        listed = keys if len(keys) > 1 or not nested else (*keys, "")
        place = (*listed[:-1], str(number)) if listed[-1] == "" else listed
        together.setdefault(place, []).append(value)
    pairs = [(keys, values if len(values) > 1 else values[0]) for keys, values in together.items()]
    return nest_parameters(pairs)[name]


def _restricted(body: Mapping[str, Json], allowed: list[str] | None, blocked: Sequence[str]) -> dict[str, Json]:
    """A body after whitelist and blacklist; dotted names reach into associations."""
    result: dict[str, Json] = {}
    for name, value in body.items():
        inner_allowed = None if allowed is None or name in allowed else _below(name, allowed)
        if name in blocked or (allowed is not None and name not in allowed and not inner_allowed):
            continue
        inner_blocked = _below(name, blocked)
        result[name] = (
            _restricted_value(value, inner_allowed, inner_blocked) if inner_allowed or inner_blocked else value
        )
    return result


def _restricted_value(value: Json, allowed: list[str] | None, blocked: Sequence[str]) -> Json:
    if isinstance(value, list):
        return [_restricted_value(part, allowed, blocked) for part in value]
    return _restricted(value, allowed, blocked) if isinstance(value, Mapping) else value


def _below(name: str, words: Iterable[str]) -> list[str]:
    return [word.removeprefix(f"{name}.") for word in words if word.startswith(f"{name}.")]


def _user(account: Account) -> dict[str, Json]:
    """A user as sign-in and check show one."""
    actor = account.actor()
    roles = [*actor.roles, "member"]
    return {
        "id": account.id,
        "username": account.name,
        "nickname": actor.display_name,
        "roles": [{"name": role} for role in roles],
    }


# ======================================================================================================================
# 19  CoreData
#
# CoreData API v2 ("API v2"), which django-tastypie serves: lists with `meta` and `objects`, filters as `field__lookup`,
# ids and `snapshot_id` as UUIDs, links as addresses. Where the document is silent, codes and texts are those of
# tastypie 0.15, whose messages are HTML-escaped and whose keys are sorted, in JSON values too.
# ======================================================================================================================

COREDATA_BASE = "/api/v2"
COREDATA_LIMIT, COREDATA_MAX_LIMIT = 20, 1000
COREDATA_PARAMETERS = ("limit", "offset", "order_by")
COREDATA_DERIVED = ("resource_uri", "type")
"""What a record shows and no column holds."""
COREDATA_WORDS: Mapping[str, str] = {
    "created": "_created",
    "modified": "_modified",
    "created_by": "_created_by",
    "modified_by": "_modified_by",
    "snapshot_id": "_version",
}
COREDATA_METHODS: Mapping[str, tuple[str, ...]] = {
    "list": ("GET", "POST", "PATCH"),
    "detail": ("GET", "POST", "PUT", "DELETE", "PATCH"),  # sic: POST is named, and then not implemented
    "read": ("GET",),
}
ORDER_LOOKUPS = ("gt", "gte", "lt", "lte", "range")
TEXT_LOOKUPS = ("iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith")
DAY_LOOKUPS = ("year", "month", "day", "week_day")
COREDATA_LOOKUPS: Mapping[str, tuple[str, ...]] = {
    "text": ("exact", *TEXT_LOOKUPS, "in", *ORDER_LOOKUPS, "isnull"),
    "number": ("exact", "in", *ORDER_LOOKUPS, "isnull"),
    "moment": ("exact", "in", *ORDER_LOOKUPS, "isnull", *DAY_LOOKUPS, "hour", "minute", "second", "date"),
    "date": ("exact", "in", *ORDER_LOOKUPS, "isnull", *DAY_LOOKUPS),
    "time": ("exact", "in", *ORDER_LOOKUPS, "isnull"),
    "boolean": ("exact", "isnull"),
    "list": ("exact", "in", "isnull"),
    "link": ("exact", "in", "isnull"),
    "id": ("exact", "in", "isnull"),
    "snapshot": ("exact",),
    "none": (),
}
"""The lookups of each kind of field, as `_coredata_family` names them; "none" takes no filter."""
EVERY_LOOKUP = frozenset({"regex", "iregex", *itertools.chain.from_iterable(COREDATA_LOOKUPS.values())})
COREDATA_ORDERED = frozenset({"text", "number", "moment", "date", "time", "boolean", "id"})
LOOKUP_OPERATORS: Mapping[str, tuple[Operator, Case]] = {
    "exact": ("eq", "exact"),
    "iexact": ("eq", "fold"),
    "contains": ("contains", "exact"),
    "icontains": ("contains", "fold"),
    "startswith": ("startswith", "exact"),
    "istartswith": ("startswith", "fold"),
    "endswith": ("endswith", "exact"),
    "iendswith": ("endswith", "fold"),
    "gt": ("gt", "exact"),
    "gte": ("gte", "exact"),
    "lt": ("lt", "exact"),
    "lte": ("lte", "exact"),
}
COREDATA_NULLS = ("nil", "none", "None")
COREDATA_TYPES = {"number": "float", "moment": "datetime", "choices": "list", "json": "dict"}
"""The types in `schema/` that are not the names of kinds; texts are all `string`."""
DATE_FORMS = {
    "moment": ("format", "YYYY-MM-DD HH:MM[:ss[.uuuuuu]][TZ]"),
    "date": ("date format", "YYYY-MM-DD"),
    "time": ("format", "HH:MM[:ss[.uuuuuu]]"),
}
DATE_NAMES = {"moment": "Datetime", "date": "Date", "time": "Time"}
MOMENT_TEXT = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d.*)?", re.ASCII)
COREDATA_MEDIA_TYPE = "application/json"


def sorted_json(text: str) -> str:
    """JSON text as Python writes it: blanks behind `,` and `:`, the keys of every object sorted."""
    return json.dumps(json.loads(text), ensure_ascii=False, sort_keys=True)


def coredata_reply(text: str, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A reply with a JSON text."""
    return Reply(status, sorted_json(text).encode("utf-8"), headers, COREDATA_MEDIA_TYPE)


def html_reply(status: int, text: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """A reply that the original gives as HTML: plain text, or nothing."""
    return Reply(status, text.encode("utf-8"), headers, "text/html; charset=utf-8")


def methods_reply(status: int, methods: Iterable[str]) -> Reply:
    """A reply that says which methods there are."""
    allowed = ",".join(methods)
    return html_reply(status, allowed, (("Allow", allowed),))


def parse_coredata_moment(text: str) -> Span:
    """A moment in a filter: without a fraction its whole second, as it is shown; a bare date is an instant, midnight.

    ValueError when it is none.

    >>> parse_coredata_moment("2019-09-02T17:38:32+02:00")
    Span(start='2019-09-02T15:38:32.000Z', end='2019-09-02T15:38:33.000Z')
    >>> parse_coredata_moment("2019-09-02").end
    '2019-09-02T00:00:00.001Z'
    """
    if not MOMENT_TEXT.fullmatch(text):
        raise ValueError("not a moment")
    start = parse_span(text).start
    instant = len(text) == 10 or "." in text or "," in text
    return parse_span(start if instant else start[:19])


class CoreData(Dialect):
    """CoreData API v2 ("API v2"): endpoints, their records, and the records that a record is linked to."""

    name = "coredata"
    bases = (COREDATA_BASE,)
    manner = Manner(
        "coredata",
        COREDATA_WORDS,
        style=COREDATA,
        unknown_key="drop",
        read_only_key="drop",
        nulls=("first", "last"),
    )
    words: ClassVar[Mapping[str, str]] = {
        "bad_json": "Request is not valid JSON.",
        "media_type": "Sorry, this request could not be processed. The content type is {value!r}; send {allowed}.",
        "link_missing": "Could not find the provided {field} object via resource URI '{value}'.",
    }
    example = COREDATA_BASE + "/{table}/?limit=2"

    def routes(self) -> Iterator[Route]:
        rules: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
            ("", "list", self.of_table),
            ("/schema", "read", self.show_schema),
            ("/set/<ids>", "read", self.show_set),
            ("/<key>", "detail", self.of_record),
            ("/<key>/<link>", "read", self.show_linked),
        )
        methods = (*ALL_METHODS, "OPTIONS")
        for end in ("/", ""):
            yield Route(methods, COREDATA_BASE + end, self.show_endpoints, public=True)
            for rule, kind, handler in rules:
                serve = functools.partial(self.serve, handler, COREDATA_METHODS[kind])
                yield Route(methods, f"{COREDATA_BASE}/<name>{rule}{end}", serve, public=True)
        yield Route(methods, f"{COREDATA_BASE}/<rest:path>", self.nowhere, public=True)

    def error(self, error: ApiError) -> Reply:
        status = 404 if error.code == "unknown_table" else error.status
        if status in (401, 404, 429):
            return html_reply(status, headers=error.headers)
        if status == 405:
            return html_reply(status, dict(error.headers)["Allow"], error.headers)
        key = "error_message" if status == 415 or status >= 500 else "error"
        text = "; ".join(html.escape(self.message(fault), quote=False) for fault in error.violations)
        return coredata_reply(dump_json({key: text}), status, error.headers)

    def message(self, violation: Violation) -> str:
        match violation.params:
            case {"value": int(number), "table": str(name)}:  # clients know addresses, not our ids
                address = self.record_address(self.find_table(name), number)
                violation = violation._replace(params={**violation.params, "value": address})
        if violation.rule == "link_missing":
            violation = violation._replace(path=tuple(part for part in violation.path if isinstance(part, str))[-1:])
        return super().message(violation)

    # -- addresses --

    def serve(
        self, handler: Callable[..., Reply], methods: tuple[str, ...], request: Request, name: str, **address: str
    ) -> Reply:
        """What all addresses of a table have in common; OPTIONS is answered without credentials."""
        request.method = self.method(request)
        if request.method == "OPTIONS":
            return methods_reply(200, methods)
        self.services.authenticate(request)
        table = self.seen_by(request.actor).find_table(name)
        is_read = request.method in ("GET", "HEAD")
        if is_read and not request.path.endswith("/"):
            return self.with_slash(request)
        if not is_read and request.method not in methods:
            return methods_reply(405, methods)
        return as_seen(handler, request.actor)(request, table, **address)

    def method(self, request: Request) -> str:
        """The method that is meant: a POST may name another one."""
        override = request.header("X-HTTP-Method-Override")
        return override.upper() if override and request.method == "POST" else request.method

    def with_slash(self, request: Request) -> Reply:
        """The way from an address without a slash at its end to the one with it."""
        query = f"?{quote(request.query, safe=QUERY_LETTERS, encoding='latin-1')}" if request.query else ""
        return html_reply(301, headers=(("Location", quote(request.path) + "/" + query),))

    def nowhere(self, request: Request, rest: str) -> Reply:
        """An address that there is not."""
        self.services.authenticate(request)
        raise fail("not_found")

    def show_endpoints(self, request: Request) -> Reply:
        """All endpoints. Strangers see none, for they may see nothing; but wrong credentials are refused."""
        request.method = self.method(request)
        if request.method not in ("GET", "HEAD"):
            return methods_reply(200 if request.method == "OPTIONS" else 405, COREDATA_METHODS["read"])
        if not request.path.endswith("/"):
            return self.with_slash(request)
        try:
            self.services.authenticate(request)
            tables = self.seen_by(request.actor).listed_tables
        except ApiError as error:
            if error.violations[0].params.get("reason") != "empty":
                raise
            tables = []
        addresses = {table.name: self.address(table) for table in tables}
        shown = {name: {"list_endpoint": at, "schema": f"{at}schema/"} for name, at in addresses.items()}
        return coredata_reply(dump_json(shown), headers=self.headers(request))

    def of_table(self, request: Request, table: Table) -> Reply:
        """The whole table."""
        match request.method:
            case "POST":
                return self.create(request, table)
            case "PATCH":
                return self.change_list(request, table)
            case _:
                query = _CoreDataQuery(self, request, self.names(table))
                sort = query.sort or (Sort(Path((), table.id)),)
                return self.show_list(request, query, self.address(table), sort)

    def of_record(self, request: Request, table: Table, key: str) -> Reply:
        """One record, in any state."""
        number = self.key(table, key)
        if number is None:
            raise fail("not_found")
        self.check_parameters(request)
        match request.method:
            case "POST":
                return html_reply(501)
            case "PUT":
                return self.put(request, table, number)
            case "PATCH":
                return self.patch(request, table, number)
            case "DELETE":
                op = Delete(table, _by_id(table, number), expect=request.expected_version)
                if not self.run(request, op).changed:
                    raise fail("not_found")
                return Reply(204)
            case _:
                shown = Select(table, self.shape(self.names(table)), _by_id(table, number), single=True)
                return self.answer(request, table, self.run(request, shown).rows)

    def show_linked(self, request: Request, table: Table, key: str, link: str) -> Reply:
        """The records that a record is linked to, in the order of the link; of a unique link at most one."""
        member, number = self.names(table).find(link), self.key(table, key)
        if number is None or _coredata_family(member) != "link":
            raise fail("not_found")
        assert isinstance(member, Link)
        query = _CoreDataQuery(self, request, self.names(member.target))
        address = f"{self.record_address(table, number)}{quote(member.name, safe='')}/"
        return self.show_list(request, query, address, query.sort, Parent(member, Key(table.id, number)))

    def check_parameters(self, request: Request) -> None:
        """The original ignores parameters where they mean nothing; a strict server does not."""
        if self.services.strict and request.parameters:
            raise fail("unknown_parameter", name=request.parameters[0].name)

    def address(self, table: Table) -> str:
        """The address of a table."""
        return f"{COREDATA_BASE}/{quote(table.name, safe='')}/"

    def record_address(self, table: Table, number: int) -> str:
        """The address of a record."""
        return f"{self.address(table)}{record_uuid(table.tag, 0, number)}/"

    def key(self, table: Table, text: str) -> int | None:
        """The id in a UUID, or in the address of a record; None for what names no record of the table."""
        found = parse_uuid(text.removeprefix(self.address(table)).removesuffix("/"), table.tag)
        return found[1] if found and found[0] == 0 and found[1] > 0 else None

    # -- reading --

    def names(self, table: Table, row: Link | None = None) -> Names:
        """A table as clients see it. `id` is always the UUID, so that a field of that name is out of reach."""
        own = table.members.get("id")
        names = super().names(table, row)
        return dataclasses.replace(names, hidden=names.hidden | {own}) if own else names

    def show_list(
        self,
        request: Request,
        query: _CoreDataQuery,
        address: str,
        sort: tuple[Sort, ...],
        parent: Parent | None = None,
    ) -> Reply:
        """`meta` and the `objects` that the parameters choose."""
        page = Page(query.limit, query.offset)
        scope = Scope("no", On(self.today()))
        shape = self.shape(query.names)
        op = Select(query.names.table, shape, query.where, scope, sort, page, total=True, parent=parent)
        outcome = self.run(request, op)
        meta, rows = query.meta(address, outcome.total or 0), ",".join(row.text for row in outcome.rows)
        return coredata_reply(f'{{"meta":{dump_json(meta)},"objects":[{rows}]}}', headers=self.headers(request))

    def show_set(self, request: Request, table: Table, ids: str) -> Reply:
        """The records of a list of ids, in its order, in any state; and the ids that there are not."""
        self.check_parameters(request)
        texts = [text for text in ids.split(";") if text]
        if not texts:
            raise fail("not_found")
        keys = {text: self.key(table, text) for text in texts}
        where = Compare(Path((), table.id), "in", tuple(key for key in keys.values() if key is not None))
        rows = self.run(request, Select(table, self.shape(self.names(table)), where, single=True)).rows
        found = {row.key: row.text for row in rows}
        missing = [text for text in texts if keys[text] not in found]
        objects = ",".join(found[number] for text in texts if (number := keys[text]) in found)
        start = f'"not_found":{dump_json(missing)},' if missing else ""
        return coredata_reply(f'{{{start}"objects":[{objects}]}}', headers=self.headers(request))

    def headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers of an answer with records."""
        kept = (("Cache-Control", "no-cache"),) if request.method in ("GET", "HEAD") else ()
        return (("Vary", "Accept"), *kept)

    def answer(self, request: Request, table: Table, rows: Sequence[Row], status: int = 200) -> Reply:
        """One record; of a new one the address. ApiError `not_found` when there is none."""
        if not rows:
            raise fail("not_found")
        location = (("Location", self.record_address(table, rows[0].key)),) if status == 201 else ()
        headers = (*self.headers(request), *location)
        reply = record_reply(request, rows[0], sorted_json(rows[0].text), status, headers)
        return dataclasses.replace(reply, content_type=COREDATA_MEDIA_TYPE)

    # -- shapes --

    def members(self, names: Names) -> dict[str, Field | Link | None]:
        """What a record shows, in order; None is made of the table's name and the id."""
        words = (*COREDATA_WORDS, *names.table.members)
        found = {word: member for word in words if (member := names.find(word))}
        return dict(sorted({**dict.fromkeys(COREDATA_DERIVED), **found, "id": names.table.id}.items()))

    def shape(self, names: Names) -> Shape:
        """A record."""
        members = self.members(names)
        return Obj(tuple((word, self.value(names.table, word, member)) for word, member in members.items()))

    def value(self, table: Table, word: str, member: Field | Link | None) -> Shape:
        """One value of a record: of a link the addresses, of a file its name."""
        if member is None:
            return Const(singular(table.name)) if word == "type" else self.uri(table)
        if isinstance(member, Link):
            if _coredata_family(member) != "link":
                return Col(Path((member,), member.target.fields["name"]))
            return Sub(member, self.uri(member.target), member.many)
        if member.is_system and member.name in table.system_links:
            link = table.system_links[member.name]
            users = link.target.fields
            return First(tuple(Col(Path((link,), users[name])) for name in ("display_name", "name")))
        if _coredata_family(member) == "snapshot":
            parts = (Col(Path((), member), SNAPSHOT), "-", Col(Path((), table.id), SNAPSHOT))
            return Text((f"{table.tag:08x}-", *parts))
        return Col(Path((), member), COREDATA)

    def uri(self, table: Table) -> Shape:
        """The address of a record."""
        return Text((self.address(table), Col(Path((), table.id), COREDATA), "/"))

    # -- the description of an endpoint --

    def show_schema(self, request: Request, table: Table) -> Reply:
        """What an endpoint takes and shows: made of the schema file, without a query."""
        self.check_parameters(request)
        members = self.members(self.names(table))
        families = {word: _coredata_family(member) for word, member in members.items()}
        shown = {
            "allowed_detail_http_methods": [method.lower() for method in COREDATA_METHODS["detail"]],
            "allowed_list_http_methods": [method.lower() for method in COREDATA_METHODS["list"]],
            "default_format": COREDATA_MEDIA_TYPE,
            "default_limit": COREDATA_LIMIT,
            "fields": {word: self.described(table, word, member) for word, member in members.items()},
            "filtering": {
                word: 2 if family == "link" else COREDATA_LOOKUPS[family]  # 2: all, and through the link
                for word, family in families.items()
                if family != "none"
            },
            "ordering": [word for word, family in families.items() if family in COREDATA_ORDERED],
        }
        return coredata_reply(dump_json(shown), headers=self.headers(request))

    def described(self, table: Table, word: str, member: Field | Link | None) -> dict[str, Json]:
        """One field of a description."""
        own = member if member is table.members.get(word) else None
        schema = own.schema if own else EMPTY
        shown = {
            "blank": own is None or not own.required or "default" in schema,
            "default": schema.get("default", "No default provided."),
            "help_text": str(schema.get("description", "")),
            "nullable": own is not None and not own.required,
            "primary_key": word == "id",
            "readonly": own is None or not self.names(table).may_set(own),
            "type": _coredata_type(member),
            "unique": word == "id" or (member,) in table.unique,
            "verbose_name": own.title if own else word.replace("_", " "),
        }
        if isinstance(member, Link) and shown["type"] == "related":
            many = "to_many" if member.many else "to_one"
            shown |= {"related_type": many, "related_schema": f"{self.address(member.target)}schema/"}
        return shown

    # -- writing --

    def body(self, request: Request) -> Mapping[str, Json]:
        """The object in a body."""
        body = request.read_json()
        if not isinstance(body, Mapping):
            raise fail("bad_body", reason="write an object")
        return body

    def values(self, names: Names, body: Mapping[str, Json]) -> Values:
        """What a body sets; what it leaves out keeps its value."""
        values = read_values(names, body, self.read_link)
        values.faults = [self.worded(names, body, fault) for fault in values.faults]
        return values

    def create_operation(self, table: Table, body: Mapping[str, Json]) -> Create:
        """A new record."""
        names = self.names(table)
        values, shape = self.values(names, body), self.shape(names)
        return Create(table, values.fields, values.links, shape, faults=tuple(values.faults))

    def update_operation(self, table: Table, number: int, body: Mapping[str, Json], expect: int | None) -> Update:
        """The change of one record."""
        names, where = self.names(table), _by_id(table, number)
        values, shape = self.values(names, body), self.shape(names)
        faults = tuple(values.faults)
        return Update(table, where, values.fields, values.links, shape, expect=expect, faults=faults)

    def upsert_operation(self, table: Table, number: int, body: Mapping[str, Json]) -> Upsert:
        """The change of a record, which is made again under its id when it is gone."""
        update = self.update_operation(table, number, body, None)
        create = Create(table, update.values, update.links, update.shape, key=number, faults=update.faults)
        return Upsert(update.where, create, update)

    def worded(self, names: Names, body: Mapping[str, Json], fault: Violation) -> Violation:
        """A violation of a body; of a date that cannot be read in the original's words."""
        member = names.find(str(fault.path[0]), writing=True)
        kind = member.kind.name if isinstance(member, Field) else ""
        if fault.rule != "bad_value" or kind not in DATE_NAMES:
            return fault
        name, word = fault.path[0], DATE_NAMES[kind]
        value = str(body.get(str(name)))[:100]
        text = f"{word} provided to '{name}' field doesn't appear to be a valid {word.lower()} string: '{value}'"
        return Violation(fault.path, "refused", {"text": text})

    def read_link(self, link: Link, value: Json) -> Change:
        """The new state of a link: an address or null, of many a list of addresses. A file can only be taken away."""
        if _coredata_family(link) != "link" and value is not None:
            raise fail("refused", text=f"The '{link.name}' field takes null only: JSON holds no file.")
        if not link.many:
            return Change("replace", () if value is None else (self.item(link, value),), "move")
        if not isinstance(value, list | None):
            raise fail("refused", text=f"The '{link.name}' field takes a list of resource URIs.")
        return Change("replace", read_items(value or (), functools.partial(self.item, link)), "move")

    def item(self, link: Link, value: Json) -> Item:
        """The record with an address or an id. ApiError `link_missing` for what is none of the link's target."""
        number = self.key(link.target, value) if isinstance(value, str) else None
        if number is None:
            given = value if isinstance(value, str) else dump_json(value)
            raise fail("link_missing", [link.name], value=given[:200])
        return Item(Key(link.target.id, number))

    def create(self, request: Request, table: Table) -> Reply:
        """A new record."""
        self.check_parameters(request)
        rows = self.run(request, self.create_operation(table, self.body(request))).rows
        return self.answer(request, table, rows, 201)

    def put(self, request: Request, table: Table, number: int) -> Reply:
        """Change a record; one that is gone is made again, unless the caller has seen a version of it."""
        body, expect = self.body(request), request.expected_version
        if number not in self.given_ids(request, table, (number,)):
            raise fail("not_found")
        if request.header("If-Match") is None:
            op: Operation = self.upsert_operation(table, number, body)
        else:
            op = self.update_operation(table, number, body, expect)
        outcome = self.run(request, op)
        return self.answer(request, table, outcome.rows, 201 if outcome.made else 200)

    def patch(self, request: Request, table: Table, number: int) -> Reply:
        """Change a record."""
        op = self.update_operation(table, number, self.body(request), request.expected_version)
        return self.answer(request, table, self.run(request, op).rows, 202)

    def change_list(self, request: Request, table: Table) -> Reply:
        """Change, make and delete records in one transaction; the answer has what was written, in order."""
        self.services.may_write(request)
        self.check_parameters(request)
        body = self.body(request)
        if "objects" not in body:
            raise fail("refused", text="Invalid data sent: missing 'objects'")
        objects, deleted = (self.listed(body, name) for name in ("objects", "deleted_objects"))
        unknown = [name for name in body if name not in ("objects", "deleted_objects")]
        if unknown and self.services.strict:
            raise fail("unknown_parameter", name=unknown[0])
        found = [self.read_object(table, ("objects", number), given) for number, given in enumerate(objects)]
        known = self.given_ids(request, table, tuple(key for key, _ in found if key is not None))
        for number, (key, _) in enumerate(found):
            if key is not None and key not in known:
                raise self.no_address(table, ("objects", number, "resource_uri"), objects[number]["resource_uri"])
        writes = [
            self.create_operation(table, values) if key is None else self.upsert_operation(table, key, values)
            for key, values in found
        ]
        gone = tuple(self.named(table, ("deleted_objects", number), uri) for number, uri in enumerate(deleted))
        deletes = (Delete(table, Compare(Path((), table.id), "in", gone)),) if gone else ()
        parts = self.run(request, Batch((*writes, *deletes))).parts
        rows = ",".join(row.text for part in parts for row in part.rows)
        return coredata_reply(f'{{"objects":[{rows}]}}', 202, self.headers(request))

    def listed(self, body: Mapping[str, Json], name: str) -> list[Json]:
        """A list in a body."""
        value = body.get(name, [])
        if not isinstance(value, list):
            raise fail("bad_value", [name], value=dump_json(value)[:100], expected="a list")
        return value

    def read_object(self, table: Table, place: Trail, given: Json) -> tuple[int | None, Mapping[str, Json]]:
        """One of the `objects`: the id in its `resource_uri`, None for a new record, and its values."""
        if not isinstance(given, Mapping):
            raise fail("bad_value", place, value=dump_json(given)[:100], expected="an object")
        values = {name: value for name, value in given.items() if name != "resource_uri"}
        if "resource_uri" not in given:
            return None, values
        return self.named(table, (*place, "resource_uri"), given["resource_uri"]), values

    def named(self, table: Table, place: Trail, uri: Json) -> int:
        """The id in an address of a body."""
        number = self.key(table, uri) if isinstance(uri, str) else None
        if number is None:
            raise self.no_address(table, place, uri)
        return number

    def no_address(self, table: Table, place: Trail, uri: Json) -> ApiError:
        """The error for what is no address of a record, in a body."""
        return fail("bad_value", place, value=dump_json(uri)[:200], expected=f"a resource URI of {table.name}")

    def given_ids(self, request: Request, table: Table, numbers: tuple[int, ...]) -> set[SqlValue]:
        """Those of some ids that a record has, as far as it is seen, or had: only under these one can be made again."""
        history = self.schema.all_tables["_history"]
        tag, record, action = (Path((), history.fields[name]) for name in ("tag", "record", "action"))
        gone = (Compare(tag, "eq", table.tag), Compare(record, "in", numbers), Compare(action, "eq", "deleted"))
        found = {row.mark for row in self.run(request, Select(history, Const(None), And(gone), mark=record)).rows}
        if self.rights.allows(table, "get"):
            there = Compare(Path((), table.id), "in", numbers)
            found |= {row.key for row in self.run(request, Select(table, Const(None), there, single=True)).rows}
        return found


class Target(NamedTuple):
    """Where the name of a parameter leads: through links to a field or link, and the rest of it, with its `__`.

    `member` is None for what no column holds.
    """

    word: str
    links: tuple[Link, ...]
    member: Field | Link | None
    rest: str

    @property
    def family(self) -> str:
        """The kind of filter that it takes."""
        return _coredata_family(self.member)

    @property
    def path(self) -> Path:
        """The field, or the id of the linked records."""
        if isinstance(self.member, Link):
            return Path((*self.links, self.member), self.member.target.id)
        return Path(self.links, self.member)

    @property
    def table(self) -> Table:
        """The table whose ids it takes."""
        assert self.member
        return self.member.target if isinstance(self.member, Link) else self.member.table


class _CoreDataQuery:
    """The parameters of a list: what is selected, its order, its window, and the addresses of the windows beside it."""

    def __init__(self, dialect: CoreData, request: Request, names: Names) -> None:
        self.dialect, self.names = dialect, names
        self.given: dict[str, list[str]] = {}
        for parameter in request.parameters:
            self.given.setdefault(parameter.name, []).append(parameter.value)
        self.others = [(p.name, p.value) for p in request.parameters if p.name not in ("limit", "offset")]
        wanted = self.number("limit", COREDATA_LIMIT, "a positive integer")
        self.limit = min(wanted or COREDATA_MAX_LIMIT, COREDATA_MAX_LIMIT)
        self.offset = self.number("offset", 0, "an integer")
        self.sort = tuple(dict.fromkeys(self.term(text) for text in self.given.get("order_by", ())))
        self.where = self.read_filters()

    # -- the window --

    def last(self, name: str) -> str:
        """The value of a parameter; of a repeated one the last."""
        texts = self.given[name]
        if len(texts) > 1 and self.dialect.services.strict:
            raise fail("bad_parameter", name=name, value=texts[-1], reason="it stands twice")
        return texts[-1]

    def number(self, name: str, default: int, wanted: str) -> int:
        """A parameter that is a number from 0 on, in the original's words when it is not."""
        if name not in self.given:
            return default
        text = self.last(name)
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            raise fail("refused", text=f"Invalid {name} '{text[:100]}' provided. Please provide {wanted}.")
        if int(text) < 0:
            raise fail("refused", text=f"Invalid {name} '{text}' provided. Please provide a positive integer >= 0.")
        return int(text)

    def meta(self, address: str, total: int) -> dict[str, Json]:
        """What a list says of its window."""
        behind, before = self.offset + self.limit, self.offset - self.limit
        return {
            "limit": self.limit,
            "next": self.beside(address, behind) if behind < total else None,
            "offset": self.offset,
            "previous": self.beside(address, before) if before >= 0 else None,
            "total_count": total,
        }

    def beside(self, address: str, offset: int) -> str:
        """The address of another window of the same list."""
        return f"{address}?{urlencode([*self.others, ('limit', self.limit), ('offset', offset)])}"

    # -- names --

    def resolve(self, names: Names, name: str, links: tuple[Link, ...] = ()) -> Target | None:
        """What a name begins with, as far as links lead; None when that is nothing. A name may have `__` in it."""
        known = (*names.known(), "id", *COREDATA_DERIVED)
        word = max((word for word in known if f"{name}__".startswith(f"{word}__")), key=len, default=None)
        if word is None:
            return None
        member, rest = names.table.id if word == "id" else names.find(word), name[len(word) :]
        if isinstance(member, Link) and rest:
            if len(links) >= MAX_FILTER_LINKS:
                raise fail("filter_too_large", reason=f"more than {MAX_FILTER_LINKS} links in one path")
            further = self.resolve(names.at(member), rest[2:], (*links, member))
            if further:
                return further
        return Target(word, links, member, rest)

    def term(self, text: str) -> Sort:
        """One term of the order."""
        name = text.removeprefix("-")
        it = self.resolve(self.names, name)
        if it is None or it.rest:
            raise fail("refused", text=f"No matching '{name[:100]}' field for ordering on.")
        if it.family not in COREDATA_ORDERED or any(link.many for link in it.links):
            raise fail("refused", text=f"The '{it.word}' field does not allow ordering.")
        return self.names.manner.sort(it.path, text.startswith("-"))

    # -- filters --

    def read_filters(self) -> Filter:
        """All filters; those on links speak of the same linked records."""
        parts = (self.filter(name) for name in self.given if name not in COREDATA_PARAMETERS)
        where = _all(part for part in parts if part != TRUE)
        paths = list(paths_of(where))
        links = {path.links[:size] for path in paths for size in range(1, len(path.links) + 1)}
        if len(paths) > MAX_FILTER_TERMS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_TERMS} terms")
        if len(links) > MAX_FILTER_LINKS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_LINKS} links")
        return Some(where) if links else where

    def filter(self, name: str) -> Filter:
        """One filter. A name that begins with no field sets no condition, unless the server is strict."""
        it = self.resolve(self.names, name)
        if it is None:
            if self.dialect.services.strict:
                hint = did_you_mean(name, [*self.names.known(), *COREDATA_PARAMETERS])
                raise fail("unknown_parameter", name=name, hint=hint)
            return TRUE
        lookup = it.rest[2:] if it.rest else "exact"
        self.check_lookup(it, lookup)
        if lookup in ("in", "range"):
            parts = [part for text in self.given[name] if text for part in text.split(",")]
            return self.one_of(it, parts) if lookup == "in" else self.range(it, name, parts)
        text = self.last(name)
        if lookup == "isnull":
            return self.presence(it, name, text)
        if lookup == "exact" and text in COREDATA_NULLS:
            return Compare(it.path, "null")
        if lookup in LOOKUP_OPERATORS:
            return self.compare(it, lookup, text)
        return self.part_of_date(it, lookup, text)

    def check_lookup(self, it: Target, lookup: str) -> None:
        """ApiError when the field takes no filter, or not this one, in the original's words."""
        allowed = COREDATA_LOOKUPS[it.family]
        if not allowed:
            raise fail("refused", text=f"The '{it.word}' field does not allow filtering.")
        if lookup in allowed:
            return
        if lookup in EVERY_LOOKUP:
            raise fail("refused", text=f"'{lookup}' is not an allowed filter on the '{it.word}' field.")
        if it.family == "link":
            raise fail(
                "refused", text=f"The '{(lookup.partition('__')[0] or lookup)[:100]}' field does not allow filtering."
            )
        raise fail("refused", text=f"The '{it.word}' field does not support relations.")

    def compare(self, it: Target, lookup: str, text: str) -> Filter:
        """A comparison with one value."""
        if it.family == "snapshot":
            return self.snapshot(it, text)
        if it.family == "list":
            return self.one_of(it, [text])
        value, (operator, case) = self.operand(it, text), LOOKUP_OPERATORS[lookup]
        return FALSE if value is None else Compare(it.path, operator, value, case)

    def one_of(self, it: Target, texts: Sequence[str]) -> Filter:
        """A comparison with several values; those that no record can have are left out."""
        values = [self.operand(it, text) for text in texts]
        if it.family == "moment":
            return Or(tuple(Compare(it.path, "eq", value) for value in values))
        plain = tuple(value for value in values if value is not None and not isinstance(value, Span))
        return Compare(it.path, "any" if it.family == "list" else "in", plain)

    def range(self, it: Target, name: str, texts: Sequence[str]) -> Filter:
        """From the first value to the second, both included."""
        if len(texts) != 2:
            reason = "write two values with a comma between them"
            raise fail("bad_parameter", name=name, value=",".join(texts)[:100], reason=reason)
        return And((self.compare(it, "gte", texts[0]), self.compare(it, "lte", texts[1])))

    def presence(self, it: Target, name: str, text: str) -> Filter:
        """Null, or not null."""
        wanted = BOOLEAN_TEXT.get(text.lower())
        if wanted is None:
            raise fail("bad_parameter", name=name, value=text[:100], reason="write true or false")
        nothing = Compare(it.path, "null")
        return nothing if wanted else Not(nothing)

    def snapshot(self, it: Target, text: str) -> Filter:
        """The record with this id in this version."""
        version, key = parse_uuid(text, it.table.tag) or (-1, 0)
        same = Compare(Path(it.links, it.table.id), "eq", key)
        return And((same, Compare(it.path, "eq", version)))

    def part_of_date(self, it: Target, lookup: str, text: str) -> Filter:
        """The day or the year of a date; or another part of it, as a number."""
        if lookup == "date":
            return Compare(it.path, "eq", parse_span(_operand(KINDS["date"], _read_date, text)))
        number = _operand(KINDS["integer"], _integer_of, text)
        if lookup != "year":
            return Compare(Path(it.links, it.path.field, (lookup,)), "eq", number)
        return Compare(it.path, "eq", parse_span(f"{number:04}")) if 0 < number <= 9999 else FALSE

    def operand(self, it: Target, text: str) -> SqlValue | Span:
        """A value as the field stores it; None for an id that no record has."""
        if it.family in ("link", "id"):
            return self.dialect.key(it.table, text)
        assert isinstance(it.member, Field)
        kind = it.member.items or it.member.kind
        if it.family == "moment":
            return _operand(kind, parse_coredata_moment, text)
        return _operand(kind, kind.parse_text, text)


Read = TypeVar("Read")


def _operand(kind: Kind, parse: Callable[[str], Read], text: str) -> Read:
    """A value of a filter; one that cannot be read is refused in the original's words."""
    try:
        return parse(text)
    except ValueError:
        pass
    if kind.name not in DATE_FORMS:
        raise fail("refused", text="Invalid resource lookup data provided (mismatched type).")
    what, form = DATE_FORMS[kind.name]
    message = f"“{text[:100]}” value has an invalid {what}. It must be in {form} format."
    raise fail("refused", text=f"[{message!r}]")  # sic: the original prints a list of one message


def _coredata_family(member: Field | Link | None) -> str:
    """Which of CoreData's kinds of filter a field has: a row of `COREDATA_LOOKUPS`."""
    if isinstance(member, Link):
        return "none" if member.target.name.startswith("_") else "link"
    if member is None:
        return "none"
    if member.is_system and member.kind.name in ("id", "integer"):
        return {"id": "id", "_version": "snapshot"}.get(member.name, "none")
    name = {"integer": "number", "choices": "list", "json": "none"}.get(member.kind.name, member.kind.name)
    return "text" if member.kind.is_text else name


def _coredata_type(member: Field | Link | None) -> str:
    """The type of a field in a description."""
    family = _coredata_family(member)
    if family == "link":
        return "related"
    if not isinstance(member, Field) or family in ("text", "id", "snapshot") or member.kind.name == "id":
        return "string"
    is_list = member.kind.name == "json" and member.schema.get("type") == "array"
    return "list" if is_list else COREDATA_TYPES.get(member.kind.name, member.kind.name)


def _by_id(table: Table, number: int) -> Filter:
    return Compare(Path((), table.id), "eq", number)


# ======================================================================================================================
# 20  Platform
#
# The platform API, version 1 ("REST API"), which began at Rightech IoT Cloud: a store is a table, an entity a record,
# and every id an ObjectId. A list is a bare array with one entity a line; a single entity says `"success": true`. Who
# signs in gets a session in a cookie, or a token for a day. Its WebSocket is in section 14.
# ======================================================================================================================

PLATFORM_PAGE_SIZE = 10_000
PLATFORM_PARAMETERS = frozenset(
    "only offset limit nolimit meta from to begin end where.<path> search sortBy streamed".split()
)
PLATFORM_TAGS: Mapping[int, tuple[str, ...]] = {
    400: ("error_bad_request",),
    401: ("error_unauthorized",),
    403: ("error_credentials", "error_forbidden"),
    404: ("error_not_found",),
    405: ("error_method_not_allowed",),
    412: ("error_precondition_failed",),
    413: ("error_too_large",),
    415: ("error_media_type",),
    416: ("error_range",),
    417: ("error_expectation",),
    421: ("error_misdirected",),
    429: ("error_too_many_requests",),
    431: ("error_headers_too_large",),
    500: ("error_internal",),
    501: ("error_not_implemented",),
    503: ("error_unavailable",),
    505: ("error_http_version",),
    507: ("error_storage",),
}
"""What an error's `tags` are, by its status."""
SIGNED_IN: Mapping[str, Json] = {"sucess": True, "success": True}  # sic: the document has the first, clients the second


def parse_instant(text: str) -> str:
    """A time point as it is stored: milliseconds since 1970, or ISO 8601, in UTC where it has no zone. BadValue.

    Milliseconds outside the years 1 to 9999 sort before or after every moment.

    >>> parse_instant("1567285200000"), parse_instant("2019-08-31T21:00")
    ('2019-08-31T21:00:00.000Z', '2019-08-31T21:00:00.000Z')
    """
    if not re.fullmatch(r"-?\d+", text, re.ASCII):
        return _read_moment(text)
    milliseconds = _integer_of(text)
    try:
        return moment_text(EPOCH + timedelta(milliseconds=milliseconds))
    except OverflowError:
        return END_OF_TIME if milliseconds > 0 else ""


def parse_literals(text: str) -> list[Json]:
    """The values of a condition: JSON literals between commas, or plain words.

    >>> parse_literals('null,true,"1,5"'), parse_literals("red,7,"), parse_literals("")
    ([None, True, '1,5'], ['red', 7, ''], [''])
    """
    whole = _literal(f"[{text}]")
    return whole if isinstance(whole, list) and whole else [_literal(part) for part in text.split(",")]


def _literal(text: str) -> Json:
    try:
        return read_json(text)
    except ApiError:
        return text


def id_list_style(of_ids: int, of_negatives: int) -> Style:
    """The spelling of a list of ids as ObjectIds, given the tags of two tables; ids of the second are kept negative."""
    tag = f"case when value<0 then {of_negatives} else {of_ids} end"
    listed = f"json_group_array(printf('%08x%016x',{tag},abs(value)))"
    return Style("id-list", {"list": f"(select {listed} from json_each(coalesce({{0}},'[]')))"})


class Platform(Dialect):
    """The platform API, version 1 ("REST API"), as its vendor's clients know it where the document is silent."""

    name = "platform"
    bases = ("/api/v1", "/socket.io")
    manner = Manner(
        "platform",
        {"owner": "_owner", "group": "_group", "access": "_access", "branch": "_branch", "time": "_created"},
        "_id",
        PLATFORM,
        read_only_key="drop",
        nulls=("first", "last"),
    )
    words: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("unauthenticated", "sign_in"), "Unauthorized"),
        "cross_site": "Forbidden",
        "too_many_failures": "Too Many Requests",
        **dict.fromkeys(("not_found", "unknown_table"), "Not Found"),
        "link_missing": "Field {field!r} links to a record that does not exist",
        "link_taken": "Field {field!r} links to a record that belongs to another one",
    }
    example = "/api/v1/{table}?limit=2"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        users, groups = (self.schema.all_tables[name].tag for name in ("_users", "_groups"))
        self.id_lists = {"_access": (users, groups), "_branch": (groups, groups)}
        self.styles = {name: id_list_style(*tags) for name, tags in self.id_lists.items()}
        services.hub.render = self.show_event

    def routes(self) -> Iterator[Route]:
        rules: tuple[tuple[str, Callable[..., Reply], bool], ...] = (
            ("", self.of_base, True),
            ("/auth", self.of_session, True),
            ("/auth/token", self.of_token, True),
            ("/<store>", self.of_store, False),
            ("/<store>/<key>", self.of_entity, False),
            ("/<store>/<key>/<link>", self.of_link, False),
            ("/<rest:path>", self.elsewhere, False),
        )
        for rule, handler, public in rules:  # both ends of one rule before the next: `elsewhere` takes all that is left
            for end in ("", "/"):
                yield Route(ALL_METHODS, f"/api/v1{rule}{end}", handler, public)
        for end in ("", "/"):
            yield Route(("GET", "POST"), f"/socket.io{end}", self.open_socket, public=True)

    def error(self, error: ApiError) -> Reply:
        status = 404 if error.code == "unknown_table" else error.status
        tags = PLATFORM_TAGS[status]
        if status == 400 and any(fault.path or fault.rule == "restricted" for fault in error.violations):
            tags += ("error_validation",)
        message = "; ".join(map(self.message, error.violations))
        body = {"success": False, "code": str(status), "message": message, "tags": tags}
        return json_reply(dump_json(body), status, error.headers)

    # -- addresses --

    def of_base(self, request: Request) -> Reply:
        """`/api/v1` itself: whether the server is there."""
        if request.method not in ("GET", "HEAD"):
            raise not_allowed(request, "GET, HEAD")
        return json_reply('{"success":true}')

    def of_store(self, request: Request, store: str) -> Reply:
        """`/api/v1/<store>`."""
        names = self.names(self.find_table(store))
        match request.method:
            case "GET" | "HEAD":
                return self.show_list(request, names)
            case "POST":
                return self.create(request, names)
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    def of_entity(self, request: Request, store: str, key: str) -> Reply:
        """`/api/v1/<store>/<id>`: one entity, in any state."""
        names = self.names(self.find_table(store))
        number = self.number(names.table, key)
        match request.method:
            case "GET" | "HEAD":
                return self.get(request, names, number)
            case "PATCH":
                return self.update(request, names, number)
            case "DELETE":
                return self.delete(request, names, number)
            case _:
                raise not_allowed(request, "GET, HEAD, PATCH, DELETE")

    def of_link(self, request: Request, store: str, key: str, link: str) -> Reply:
        """`/api/v1/<store>/<id>/<link>`: the entities that a link leads to."""
        names = self.names(self.find_table(store))
        member = names.find(link)
        if not isinstance(member, Link) or member.is_file:
            raise fail("not_found")
        parent = Parent(member, Key(names.table.id, self.number(names.table, key)))
        if request.method not in ("GET", "HEAD"):
            raise not_allowed(request, "GET, HEAD")
        return self.show_list(request, self.names(member.target, member), parent)

    def elsewhere(self, request: Request, rest: str) -> Reply:
        """Below `/api/v1` there is nothing else, in any other dialect either."""
        raise fail("not_found")

    def number(self, table: Table, key: str) -> int:
        """The id in an ObjectId of the table. ApiError `not_found` for any other text."""
        number = parse_object_id(key, table.tag)
        if number is None:
            raise fail("not_found")
        return number

    def refuse_if_strict(self, name: str, value: str, reason: str) -> None:
        """What the original ignores is an error for a strict server."""
        if self.services.strict:
            raise fail("bad_parameter", name=name, value=value[:100], reason=reason)

    def parameters(self, request: Request, allowed: frozenset[str] = frozenset()) -> dict[str, str]:
        """The parameters of a request that are allowed; of a repeated one the last."""
        found: dict[str, str] = {}
        for parameter in request.parameters:
            name = parameter.name
            if ("where.<path>" if name.startswith("where.") else name) not in allowed:
                raise fail("unknown_parameter", name=name[:100], hint=did_you_mean(name, allowed))
            if name in found:
                self.refuse_if_strict(name, parameter.value, "it stands twice")
            found[name] = parameter.value
        return found

    # -- what an entity looks like --

    def entity_shape(self, table: Table, only: frozenset[str] | None = None) -> Obj:
        """An entity: its id, what the schema file gives it, whose it is and when it was made; or `only` some of it."""
        names = self.names(table)
        pairs: list[tuple[str, Shape]] = [("_id", Col(Path((), table.id), PLATFORM))]
        if table.shows_id:
            pairs.append(("id", Col(Path((), table.id))))
        pairs += [(name, self.shape_of(member)) for name, member in table.members.items() if names.find(name)]
        for word in self.manner.words:
            column = names.find(word)
            if column and column.is_system:
                pairs.append((word, self.shape_of(table.system_links.get(column.name, column))))
        return Obj(tuple(pair for pair in pairs if only is None or pair[0] in only or pair[0] == "_id"))

    def shape_of(self, member: Field | Link) -> Shape:
        """One attribute: a value, the ObjectIds that a link leads to, or the name of a file."""
        if isinstance(member, Field):
            style = UNIX if member.is_system and member.kind.is_date else self.styles.get(member.name, PLATFORM)
            return Col(Path((), member), style)
        if member.is_file:
            return Sub(member, Col(Path((), member.target.fields["name"])), many=False)
        return Sub(member, Col(Path((), member.target.id), PLATFORM), member.many)

    def shape(self, names: Names, given: Mapping[str, str]) -> Obj:
        """What `only` asks for; of a path its first word. Unknown names are left out."""
        whole = self.entity_shape(names.table)
        if "only" not in given:
            return whole
        wanted = frozenset(word.partition(".")[0] for word in given["only"].split(","))
        for word in sorted(wanted - dict(whole.pairs).keys()):
            self.refuse_if_strict("only", word, f"table {names.table.name!r} has no such field")
        return self.entity_shape(names.table, wanted)

    def success(self, names: Names, row: Row) -> str:
        """The text of a single entity, which says `success`, unless it has a field of that name."""
        return row.text if names.find("success") else f'{row.text[:-1]},"success":true}}'

    def member_id(self, column: Field, text: str) -> int | None:
        """The number that stands for the user or group with an ObjectId in `access` or `branch`; None for another."""
        number, other = (parse_object_id(text, tag) for tag in self.id_lists[column.name])
        return number if number is not None else None if other is None else -other

    # -- reading --

    def show_list(self, request: Request, names: Names, parent: Parent | None = None) -> Reply:
        """A bare array, framed as the vendor's client reads it: one entity a line, a comma on a line of its own."""
        given = self.parameters(request, PLATFORM_PARAMETERS)
        query = _PlatformQuery(self, names, given)
        scope = Scope("no", On(self.today()))
        op = Select(
            names.table, self.shape(names, given), query.where(), scope, query.sort(), query.page(), parent=parent
        )
        query.flag("streamed")  # every list can be read as a stream
        if query.flag("meta"):
            return self.show_meta(request, op, given)
        rows = "\n,\n".join(row.text for row in self.run(request, op).rows)
        return json_reply(f"[\n{rows}\n]" if rows else "[\n]")

    def show_meta(self, request: Request, op: Select, given: Mapping[str, str]) -> Reply:
        """The number of entities, the first and the last one, in one snapshot."""
        for name in ("offset", "limit", "sortBy"):
            if name in given:
                raise fail("bad_parameter", name=name, value=given[name][:100], reason="it does not go with meta")
        last = dataclasses.replace(op, page=Page(1), sort=(Sort(Path((), op.table.id), down=True),))
        ends = self.run(request, Batch((dataclasses.replace(op, page=Page(1), total=True), last))).parts
        texts = [end.rows[0].text if end.rows else "null" for end in ends]
        return json_reply(f'{{"total":{ends[0].total},"first":{texts[0]},"last":{texts[1]},"success":true}}')

    def get(self, request: Request, names: Names, number: int) -> Reply:
        """One entity; of the parameters there is only `only`."""
        shape = self.shape(names, self.parameters(request, frozenset({"only"})))
        where = Compare(Path((), names.table.id), "eq", number)
        rows = self.run(request, Select(names.table, shape, where, single=True)).rows
        return self.answer(request, names, rows)

    def answer(self, request: Request, names: Names, rows: Sequence[Row]) -> Reply:
        """The entity that an operation gave. ApiError `not_found` when it gave none."""
        if not rows:
            raise fail("not_found")
        return record_reply(request, rows[0], self.success(names, rows[0]))

    # -- writing --

    def create(self, request: Request, names: Names) -> Reply:
        """Make an entity; its `access` and `branch` can be set now, and only now."""
        self.parameters(request)
        body, system = self.body(request), names.table.system
        lists = [word for word in ("access", "branch") if word in body and names.find(word) is system[f"_{word}"]]
        values = self.values(names, {name: value for name, value in body.items() if name not in lists})
        for word in lists:
            self.read_list(values, word, system[f"_{word}"], body[word])
        shape = self.entity_shape(names.table)
        op = Create(names.table, values.fields, values.links, shape, faults=tuple(values.faults))
        return self.answer(request, names, self.run(request, op).rows)

    def update(self, request: Request, names: Names, number: int) -> Reply:
        """Change what the body names; what cannot be changed is dropped, so that a whole entity can be sent back."""
        self.parameters(request)
        values = self.values(names, self.body(request))
        op = Update(
            names.table,
            Compare(Path((), names.table.id), "eq", number),
            values.fields,
            values.links,
            self.entity_shape(names.table),
            expect=request.expected_version,
            faults=tuple(values.faults),
        )
        return self.answer(request, names, self.run(request, op).rows)

    def delete(self, request: Request, names: Names, number: int) -> Reply:
        """Delete an entity, and show it once more."""
        self.parameters(request)
        where = Compare(Path((), names.table.id), "eq", number)
        found = Select(names.table, self.entity_shape(names.table), where, single=True)
        gone = Delete(names.table, where, expect=request.expected_version)
        rows = self.run(request, Batch((found, gone))).parts[0].rows
        if not rows:
            raise fail("not_found")
        return json_reply(self.success(names, rows[0]))

    def body(self, request: Request) -> Mapping[str, Json]:
        """The object in a body, which is JSON; without a body an empty one."""
        body = request.read_json() if request.body.strip() else {}
        if not isinstance(body, Mapping):
            raise fail("bad_body", reason="write an object")
        return body

    def values(self, names: Names, body: Mapping[str, Json]) -> Values:
        """What a body sets. `success` and files are only shown; like all that cannot be set they are dropped."""
        strict = self.services.strict
        kept = {name: value for name, value in body.items() if strict or not self.is_shown_only(names, name)}
        return read_values(names, kept, self.read_link)

    def is_shown_only(self, names: Names, name: str) -> bool:
        """Whether an entity has something of that name which no body can set."""
        member = names.find(name)
        is_file = isinstance(member, Link) and member.is_file
        return is_file or (name == "success" and names.find(name, writing=True) is None)

    def read_link(self, link: Link, value: Json) -> Change:
        """The new state of a link: an ObjectId or null, or a list of ObjectIds."""
        if link.is_file:
            raise fail("read_only", ())
        if not link.many:
            return Change("replace", () if value is None else (self.item(link, value),), "move")
        if not isinstance(value, list | None):
            raise fail("bad_value", (), value=dump_json(value)[:100], expected="a list of ObjectIds")
        items = (self.item(link, part, (number,)) for number, part in enumerate(value or ()))
        return Change("replace", tuple(items), "move")

    def item(self, link: Link, value: Json, at: tuple[int, ...] = ()) -> Item:
        """The record with an ObjectId, `at` a place in the list. ApiError `link_missing` for one of another table."""
        if not isinstance(value, str):
            raise fail("bad_value", at, value=dump_json(value)[:100], expected="an ObjectId")
        number = parse_object_id(value, link.target.tag)
        if number is None:
            raise fail("link_missing", at, value=value)
        return Item(Key(link.target.id, number))

    def read_list(self, values: Values, word: str, column: Field, value: Json) -> None:
        """Read `access` or `branch` of a new entity into its values."""
        known = [self.member_id(column, str(part)) for part in value] if isinstance(value, list) else []
        if isinstance(value, list | None) and None not in known:
            values.fields[column] = dump_json(list(dict.fromkeys(known)))
            return
        expected = f"a list of ids of {'users and groups' if word == 'access' else 'groups'}"
        values.faults.append(Violation((word,), "bad_value", {"value": dump_json(value)[:100], "expected": expected}))

    # -- signing in --

    def of_session(self, request: Request) -> Reply:
        """`/api/v1/auth`: POST begins a session, DELETE (ours) ends it."""
        match request.method:
            case "POST":
                return self.sign_in(request)
            case "DELETE":
                return self.sign_out(request)
            case _:
                raise not_allowed(request, "POST, DELETE")

    def sign_in(self, request: Request) -> Reply:
        """A session in a cookie; the one that the browser had is over."""
        account = self.account(request)
        text, expires = self.services.accounts.open_session(account)
        self.services.accounts.end_session_of(request)
        return json_reply(dump_json(dict(SIGNED_IN)), headers=(session_cookie(request, text, expires),))

    def sign_out(self, request: Request) -> Reply:
        """The end of the cookie's session, if it still has one."""
        self.parameters(request)
        self.services.may_write(request)
        self.services.accounts.end_session_of(request)
        return json_reply(dump_json(dict(SIGNED_IN)), headers=(session_cookie(request, "", EPOCH),))

    def of_token(self, request: Request) -> Reply:
        """`/api/v1/auth/token`: a token that holds as long as a session."""
        if request.method != "POST":
            raise not_allowed(request, "POST")
        accounts = self.services.accounts
        token, issued, expires = accounts.sign_in_token(self.account(request), "auth/token", SESSION_HOURS)
        times = {
            name: (moment - EPOCH) // timedelta(milliseconds=1)
            for name, moment in (("issuedAt", issued), ("expiresAt", expires))
        }
        return json_reply(dump_json({**SIGNED_IN, "type": "access", "token": token, **times}))

    def account(self, request: Request) -> Account:
        """The account that `login` and `password` of the body prove. ApiError `sign_in`."""
        self.parameters(request)
        self.services.may_write(request)
        body, faults = self.body(request), list[Violation]()
        for name in body:
            if name not in ("login", "password"):
                raise fail("unknown_parameter", name=name)
        for name in ("login", "password"):
            if name not in body:
                faults.append(Violation((name,), "required"))
            elif not isinstance(body[name], str):
                faults.append(Violation((name,), "type", {"types": "string"}))
        if faults:
            raise ApiError(faults[0].rule, *faults)
        return self.services.accounts.sign_in(body["login"], body["password"], request.client_address)

    # -- live events --

    def open_socket(self, request: Request) -> Reply:
        """`/socket.io/`: who may sign in may listen; to a page of another origin it would be as good as reading."""
        self.services.authenticate(request)
        self.services.may_write(request)
        return self.services.hub.answer(request)

    def show_event(self, event: Event, actor: Actor) -> str | None:
        """The body of an event as an actor sees it, with the members that the vendor's newer stream of events has."""
        data = self.look(event, actor, self.seen_by(actor).entity_shape(event.table))
        if data is None:
            return None
        words = {
            "_msgid": object_id(self.schema.all_tables["_history"].tag, event.number),
            "_oid": object_id(event.table.tag, event.key),
            "event": f"{event.table.name}-{EVENT_WORDS[event.action]}",
            "time": (datetime.fromisoformat(event.moment) - EPOCH) // timedelta(milliseconds=1),
        }
        return f'{dump_json(words)[:-1]},"data":{data}}}'


class _PlatformQuery:
    """The parameters of a list, read one by one."""

    def __init__(self, dialect: Platform, names: Names, given: Mapping[str, str]) -> None:
        self.dialect, self.names, self.given = dialect, names, given

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; absent it is false."""
        value = self.given.get(name, "false")
        if value not in ("true", "false"):
            raise fail("bad_parameter", name=name, value=value[:100], reason="write true or false")
        return value == "true"

    def number(self, name: str, default: int | None) -> int | None:
        """A parameter that is a whole number, not negative, of 64 bits."""
        value = self.given.get(name)
        if value is None:
            return default
        if not re.fullmatch(r"\d{1,19}", value, re.ASCII) or int(value) >= 2**63:
            raise fail("bad_parameter", name=name, value=value[:100], reason="write a whole number, 0 or more")
        return int(value)

    def page(self) -> Page:
        """`offset` and `limit`, which is cut to the size of a page unless `nolimit` is set."""
        limit = self.number("limit", None if self.flag("nolimit") else PLATFORM_PAGE_SIZE)
        if limit is not None and not self.flag("nolimit"):
            limit = min(limit, PLATFORM_PAGE_SIZE)
        return Page(limit, self.number("offset", 0) or 0)

    def sort(self) -> tuple[Sort, ...]:
        """The order: `sortBy`, else the ids, which follow the time of creation."""
        if "sortBy" not in self.given:
            return (Sort(Path((), self.names.table.id)),)
        word = self.given["sortBy"]
        path = self.names.path(word.removeprefix("-").split("."))
        if path.field is None:
            raise fail("bad_parameter", name="sortBy", value=word, reason="it is a link; name one of its fields")
        return (self.names.manner.sort(path, word.startswith("-")),)

    def where(self) -> Filter:
        """All conditions; those that name links speak of one choice of linked records."""
        conditions = [name for name in self.given if name.startswith("where.")]
        if len(conditions) > MAX_FILTER_TERMS:
            raise fail("filter_too_large", reason=f"more than {MAX_FILTER_TERMS} terms")
        found = _all((*self.interval(), *map(self.condition, conditions), *self.search()))
        return Some(found) if any(path.links for path in paths_of(found)) else found

    def interval(self) -> Iterator[Filter]:
        """`from` and `to`, or `begin` and `end`: instants of creation, both ends included."""
        created = Path((), self.names.table.system["_created"])
        bounds: tuple[tuple[Operator, str, str], ...] = (("gte", "from", "begin"), ("lte", "to", "end"))
        for op, word, alias in bounds:
            instants = [self.instant(name) for name in (word, alias) if name in self.given]
            if len(instants) > 1:
                self.dialect.refuse_if_strict(alias, self.given[alias], f"{word} says the same")
            yield from (Compare(created, op, instant) for instant in instants[:1])

    def instant(self, name: str) -> str:
        """A parameter that is a time point."""
        try:
            return parse_instant(self.given[name])
        except BadValue as error:
            reason = f"write milliseconds since 1970 or {error}"
            raise fail("bad_parameter", name=name, value=self.given[name][:100], reason=reason) from None

    def search(self) -> Iterator[Filter]:
        """`search`: a text somewhere in the entity, in any case; the empty text is no condition."""
        text, table = self.given.get("search"), self.names.table
        if text:
            texts = (column for name, column in table.fields.items() if column.kind.is_text and self.names.find(name))
            yield Or(tuple(Compare(Path((), column), "contains", text, "fold") for column in texts))

    def condition(self, name: str) -> Filter:
        """`where.<path>`: one of several values; a value of another kind is in no record."""
        words, values = name.split(".")[1:], parse_literals(self.given[name])
        path = self.names.path(words)
        if path.field is None:
            target = path.links[-1].target
            path = Path(path.links, target.fields["name"] if target.name == "_files" else target.id)
        assert path.field
        op: Operator = "any" if path.field.items else "in"
        wanted = [value for value in values if value is not None]
        if wanted and op not in operators_of(path):
            raise fail("bad_parameter", name=name, value=self.given[name][:100], reason="only null can be asked for")
        stored = (self.stored(path, value, words[-1]) for value in wanted)
        known = tuple(value for value in stored if value is not None)
        where: Filter = Compare(path, op, known) if known else FALSE
        return or_null(where, path) if len(wanted) < len(values) else where

    def stored(self, path: Path, value: Json, word: str) -> SqlValue:
        """A literal as it is stored where the path ends; None for a value of another kind."""
        assert path.field
        kind = KINDS["scalar"] if path.within else path.field.items or path.field.kind
        text = value if isinstance(value, str) else dump_json(value)
        if path.field.is_system and path.field.name in self.dialect.id_lists:
            return self.dialect.member_id(path.field, text)
        if kind.name == "id" and word != "id":
            assert path.field.target
            return parse_object_id(text, path.field.target.tag)
        with contextlib.suppress(BadValue):
            return parse_instant(text) if kind.name == "moment" else kind.parse_json(value)
        return None


# ======================================================================================================================
# 21  Laravel
#
# What Qore leaves to Laravel, in its newest version: how input is read, what things are called, the texts of
# validation, the paginator, the rules of fields in words. Nothing here knows of an address.
# ======================================================================================================================

LARAVEL_WORDS: Mapping[str, str] = {
    "unauthenticated": "Unauthenticated.",
    "forbidden": "This action is unauthorized.",
    "too_many_failures": "Too Many Attempts.",
    "internal": "Server Error",
    "not_found": "{text}",
    "method": "The {method} method is not supported for {route}. Supported methods: {allowed}.",
    **dict.fromkeys(("unknown_field", "unknown_parameter", "read_only"), "The {field} field is prohibited.{hint}"),
    "bad_parameter": "The selected {field} is invalid. {reason}{hint}",
    "bad_value": "The {field} field {wanted}.",
    "required": "The {field} field is required.",
    "twice": "The {field} field is set twice.",
    "unique": "The {field} has already been taken.",
    "link_taken": "The {field} has already been taken.",
    "minLength": "The {field} field must be at least {limit} characters.",
    "maxLength": "The {field} field must not be greater than {limit} characters.",
    "minimum": "The {field} field must be at least {limit}.",
    "maximum": "The {field} field must not be greater than {limit}.",
    "exclusiveMinimum": "The {field} field must be greater than {limit}.",
    "exclusiveMaximum": "The {field} field must be less than {limit}.",
    "multipleOf": "The {field} field must be a multiple of {multiple_of}.",
    "minItems": "The {field} field must have at least {limit} items.",
    "maxItems": "The {field} field must not have more than {limit} items.",
    "uniqueItems": "The {field} field has a duplicate value.",
    "pattern": "The {field} field format is invalid.",
    "format": "The {field} field must be a valid {format}.",
    "type": "The {field} field must be of type {types}.",
    "contentMediaType": "The {field} field must be a file of type: {media_type}.",
    **dict.fromkeys(("enum", "const", "link_missing"), "The selected {field} is invalid."),
}
"""What Laravel says of an error, by its rule; the rest are our own words."""
LARAVEL_UNREADABLE = frozenset(
    {"bad_request", "bad_path", "bad_query", "bad_brackets", "bad_header", "too_many_parameters"}
)
"""The errors that stay 400; what can be read and is wrong is 422."""
LARAVEL_PER_PAGE, LARAVEL_MAX_PER_PAGE = 15, 1000
LARAVEL_UNTRIMMED = ("password", "password_confirmation", "current_password")
LARAVEL_RULES: Mapping[str, str] = {
    **dict.fromkeys(("text", "password"), "string"),
    **dict.fromkeys(("list", "choices"), "array"),
    "email": "email",
    "uri": "url",
    "uuid": "uuid",
    "integer": "integer",
    "number": "numeric",
    "boolean": "boolean",
    "date": "date_format:Y-m-d",
    "moment": "date",
    "time": "date_format:H:i:s",
}
"""Laravel's rules for the kinds of fields."""
LARAVEL_TYPES: Mapping[str, str] = {"moment": "datetime", "uri": "url", "choices": "multi_select", "content": "file"}
"""The types of fields that are not the names of their kinds."""
LARAVEL_LIMITS: Mapping[str, str] = {
    **dict.fromkeys(("minLength", "minimum", "minItems"), "min"),
    **dict.fromkeys(("maxLength", "maximum", "maxItems"), "max"),
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
}
"""Laravel's rules for the words of JSON Schema that take a number."""
LARAVEL_VALUES: Mapping[str, str] = {
    **dict.fromkeys(("text", "email", "uri", "uuid", "password"), "must be a string"),
    **dict.fromkeys(("list", "choices", "link"), "must be an array"),
    "integer": "must be an integer",
    "number": "must be a number",
    "boolean": "must be true or false",
    "date": "must match the format Y-m-d",
    "moment": "must be a valid date",
    "time": "must match the format H:i:s",
}
"""What Laravel says of a value that is not of the field's kind."""
LARAVEL_FORMATS = {"email": "email address", "uri": "URL", "uuid": "UUID"}


def laravel_attribute(path: Iterable[str | int]) -> str:
    """A field as Laravel's messages call it.

    >>> laravel_attribute(["hourlyRate"]), laravel_attribute(["tenants", 0])
    ('hourly rate', 'tenants.0')
    """
    return re.sub(r"(.)(?=[A-Z])", r"\1_", ".".join(map(str, path))).lower().replace("_", " ")


def laravel_model(table: Table) -> str:
    """The name of a table's class: the singular, in StudlyCase."""
    return "".join(part[:1].upper() + part[1:] for part in singular(table.name).split("_"))


def laravel_pages(current: int, last: int) -> list[int | None]:
    """The pages that Laravel's paginator lists, None being a gap: all up to 13, else both ends and some in between.

    >>> laravel_pages(1, 20)
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, None, 19, 20]
    >>> laravel_pages(10, 20)
    [1, 2, None, 7, 8, 9, 10, 11, 12, 13, None, 19, 20]
    """
    if last < 14:
        return [*range(1, last + 1)]
    if current <= 7:
        return [*range(1, 11), None, last - 1, last]
    if current > last - 7:
        return [1, 2, None, *range(last - 9, last + 1)]
    return [1, 2, None, *range(current - 3, current + 4), None, last - 1, last]


def laravel_input(value: Json, name: str = "") -> Json:
    """A value of a body as Laravel hands it on: texts without blanks around them, the empty text as null.

    >>> laravel_input({"name": " a ", "tags": [""]}), laravel_input(" x ", "password")
    ({'name': 'a', 'tags': [None]}, ' x ')
    """
    if isinstance(value, str):
        return value if name in LARAVEL_UNTRIMMED else value.strip() or None
    if isinstance(value, list):
        return [laravel_input(part) for part in value]
    return {key: laravel_input(part) for key, part in value.items()} if isinstance(value, Mapping) else value


def laravel_violation(violation: Violation) -> Violation:
    """A violation with everything that the templates of `LARAVEL_WORDS` need."""
    params = {"text": "Not Found", "route": "this route", **violation.params}
    params["hint"] = str(params.get("hint", "")).replace("; did", " Did")
    params["wanted"] = LARAVEL_VALUES.get(str(params.get("kind")), f"must be {params.get('expected')}")
    params["format"] = LARAVEL_FORMATS.get(str(params.get("format")), params.get("format"))
    if violation.path:
        params["field"] = laravel_attribute(violation.path)
    return violation._replace(params=params)


def laravel_errors(faults: Sequence[Violation], texts: Sequence[str]) -> dict[str, Json]:
    """The body of an error: the first text with the number of the others, and all of them by field."""
    more = ("", " (and 1 more error)", f" (and {len(texts) - 1} more errors)")[min(len(texts), 3) - 1]
    errors: dict[str, list[str]] = {}
    for fault, text in zip(faults, texts, strict=True):
        if fault.path:
            errors.setdefault(".".join(map(str, fault.path)), []).append(text)
    return {"message": texts[0] + more, **({"errors": errors} if errors else {})}


def invalid(path: Iterable[str | int], reason: str, hint: str = "") -> ApiError:
    """The error for a parameter with a wrong value."""
    name, *keys = map(str, path)
    return fail("bad_parameter", (name, *keys), name=format_brackets((name, *keys)), value="", reason=reason, hint=hint)


def read_number(given: Mapping[str, Json], name: str) -> int | None:
    """A parameter that is a whole number from 0 on, cut to the most records of an answer."""
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value), re.ASCII):
        raise invalid((name,), f"Write a whole number, at most {LARAVEL_MAX_PER_PAGE}.")
    return min(int(value), LARAVEL_MAX_PER_PAGE)


def read_text(given: Mapping[str, Json], name: str) -> str:
    """A parameter that is a text; the empty one when it is not there."""
    value = given.get(name, "")
    if isinstance(value, dict | list | bool):
        raise invalid((name,), "Write a text.")
    return str(value)


def is_json(request: Request) -> bool:
    """Whether a body is JSON by its content type; without one it is not read, as far as a request only reads."""
    return "/json" in request.media_type or "+json" in request.media_type


def wants_little(request: Request) -> bool:
    """Whether `Prefer` asks for a minimal answer, spelt as the document does or as RFC 7240."""
    return bool(
        re.search(r'(^|[,;])\s*return\s*[:=]\s*"?minimal"?\s*($|[,;])', (request.header("Prefer") or "").lower())
    )


class PageUrls:
    """The addresses of the pages of a list: absolute, with the parameters of the query."""

    def __init__(self, request: Request) -> None:
        scheme = request.environ.get("wsgi.url_scheme", "http")
        base = request.environ.get("SCRIPT_NAME", "").rstrip("/")
        self.path = f"{scheme}://{request.host}{quote(base)}{quote(request.path.rstrip('/'))}"
        self.others = [(it.name, it.value) for it in request.parameters if it.name != "page"]

    def __call__(self, number: int | None) -> str | None:
        """The address of a page; None for none."""
        return None if number is None else f"{self.path}?{urlencode([*self.others, ('page', number)])}"

    def links(self, current: int, last: int) -> list[Json]:
        """The pages as a paginator shows them, between the way back and the way on."""
        before, after = current - 1 if current > 1 else None, current + 1 if current < last else None
        listed = [
            ("&laquo; Previous", before, False),
            *((str(page or "..."), page, page == current) for page in laravel_pages(current, last)),
        ]
        shown: list[dict[str, Json]] = []
        for label, page, active in (*listed, ("Next &raquo;", after, False)):
            shown.append({"url": self(page), "label": label, "page": page, "active": active})
            if label == "...":
                del shown[-1]["page"]
        return shown


def laravel_paginator(request: Request, outcome: Outcome, page: Page) -> dict[str, Json]:
    """What `LengthAwarePaginator` says of a page; the place of its `data` is kept."""
    assert page.limit
    total, number = outcome.total or 0, page.offset // page.limit + 1
    last, urls = max(1, -(-total // page.limit)), PageUrls(request)
    first = page.offset + 1 if outcome.rows else None
    return {
        "current_page": number,
        "data": None,
        "first_page_url": urls(1),
        "from": first,
        "last_page": last,
        "last_page_url": urls(last),
        "links": urls.links(number, last),
        "next_page_url": urls(number + 1 if number < last else None),
        "path": urls.path,
        "per_page": page.limit,
        "prev_page_url": urls(number - 1 if number > 1 else None),
        "to": page.offset + len(outcome.rows) if first else None,
        "total": total,
    }


def laravel_type(member: Field | Link) -> str:
    """The type of a field; links are called as Laravel's relations."""
    if isinstance(member, Field):
        is_select = bool(member.choices) and member.kind.name != "choices"
        return "select" if is_select else LARAVEL_TYPES.get(member.kind.name, member.kind.name)
    if member.is_file:
        return "file"
    if member.key:
        return "belongs_to"
    return "belongs_to_many" if member.through else "has_many" if member.many else "has_one"


def laravel_rules(member: Field | Link) -> list[str]:
    """The rules of a field as Laravel writes them."""
    schema, rules = member.schema, ["required" if member.required else "nullable"]
    if isinstance(member, Link):
        if member.is_file:
            return [*rules, "file"]
        exists = f"exists:{member.target.name},{member.target.address.name}"
        return [*rules, "array" if member.many else exists]
    rules += [LARAVEL_RULES[member.kind.name]] if member.kind.name in LARAVEL_RULES else []
    rules += [f"{rule}:{_as_text(schema[word])}" for word, rule in LARAVEL_LIMITS.items() if word in schema]
    rules += [f"regex:/{schema['pattern']}/"] if "pattern" in schema else []
    rules += ["in:" + ",".join(map(_as_text, member.choices))] if member.choices else []
    rules += [f"unique:{member.table.name},{member.name}"] if (member,) in member.table.unique else []
    return rules


# ======================================================================================================================
# 22  Qore
#
# The Qore API by Qlic ("API integration"), which Laravel serves: resources with tables, forms, actions, logs and
# options. A resource is a table; what is read takes parameters from the query and from a JSON body alike.
# ======================================================================================================================

QORE_BASE = "/api/resources"
QORE_PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "table": ("tab", "search_columns", "sort_column", "sort_direction", "per_page", "page"),
    "logs": ("per_page", "page"),
    "options": ("search", "limit"),
    "form": ("initial_request", "field", "state", "action"),
    "search": ("query",),
    "record": (),
}
"""What each kind of reading request takes, in the query or in a JSON body."""
QORE_SEARCH_RESULTS, QORE_SEARCH_TABLES = 5, 50
QORE_LITTLE = ("data", "current_page", "last_page", "per_page", "total", "from", "to")
"""What a minimal answer keeps of a paginator."""
QORE_DIRECTIONS = {"ascending": False, "asc": False, "descending": True, "desc": True}
QORE_ACTIONS: Mapping[str, tuple[str, str]] = {
    "delete_resource": ("Delete", "Deleted."),
    "archive_resource": ("Archive", "Archived."),
    "restore_resource": ("Restore", "Restored."),
}
"""The actions that need no function of an embedding program: what they are called, and what they answer."""
QORE_VERBS: Mapping[str, Verb] = {
    "delete_resource": "delete",
    "archive_resource": "archive",
    "restore_resource": "archive",
}
"""The rights that they need; any other action needs that to change the record."""
QORE = Style("qore", {"moment": "substr({0},1,23)||'000Z'"})
"""Qore's spelling: moments have six digits behind the second, as Laravel's models write them."""
Handler: TypeAlias = Callable[..., Reply]


def qore_reply(text: str, headers: tuple[tuple[str, str], ...] = (), status: int = 200) -> Reply:
    """A reply with a JSON text."""
    return Reply(status, text.encode("utf-8"), (("Cache-Control", "no-cache, private"), *headers), "application/json")


class Qore(Dialect):
    """The Qore API ("API integration"): resources with tables, forms, actions, logs and options."""

    name = "qore"
    bases = (QORE_BASE, "/api/me", "/api/endpoints", "/api/global-search")
    manner = Manner(
        "qore",
        {"created_at": "_created", "updated_at": "_modified"},
        style=QORE,
        read_only_key="drop",
        case="fold",
        order_case="ascii",
        nulls=("first", "last"),
    )
    words = LARAVEL_WORDS
    example = QORE_BASE + "/{table}/table/{table}?per_page=2"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.history, self.users = (self.schema.all_tables[name] for name in ("_history", "_users"))
        self.writer = Link("user", self.history, self.users, many=False, key=self.history.fields["user"])
        self.log_shapes: dict[tuple[str, ...], Shape] = {}

    def addresses(self) -> Iterator[tuple[str, Mapping[str, Handler]]]:
        """Every address, with what its methods do."""
        record = QORE_BASE + "/<resource>/<key>"
        yield "/api/me", {"GET": self.show_me}
        yield "/api/endpoints", {"GET": self.show_endpoints}
        yield "/api/global-search", {"GET": self.search}
        yield QORE_BASE + "/<resource>", {"POST": self.create}
        yield QORE_BASE + "/<resource>/create", {"GET": self.show_form}
        yield QORE_BASE + "/<resource>/table/<table>", {"GET": self.show_table}
        yield QORE_BASE + "/<resource>/logs/<key>", {"GET": self.show_logs}
        yield QORE_BASE + "/<resource>/field/<field>/options", {"GET": self.show_options}
        yield QORE_BASE + "/<resource>/actions/<action>/<key>", {"POST": self.act}
        yield record, {"GET": self.show_record, "PUT": self.update}
        yield record + "/edit", {"GET": self.show_form}
        yield record + "/inline/<field>", {"PUT": self.update_field}

    def routes(self) -> Iterator[Route]:
        elsewhere = (QORE_BASE, *(f"{base}/<rest:path>" for base in self.bases))
        addresses = (*self.addresses(), *((address, EMPTY) for address in elsewhere))
        for (address, handlers), end in itertools.product(addresses, ("", "/")):
            serve = functools.partial(self.serve, handlers)
            yield Route((*ALL_METHODS, "OPTIONS"), address + end, serve, public=True)

    def error(self, error: ApiError) -> Reply:
        status = 422 if error.status == 400 and error.code not in LARAVEL_UNREADABLE else error.status
        body = laravel_errors(error.violations, [*map(self.message, error.violations)])
        if status != 422:
            body.pop("errors", None)
        if error.code == "internal":
            body |= error.violations[0].params
        return qore_reply(dump_json(body), error.headers, status)

    def message(self, violation: Violation) -> str:
        return super().message(laravel_violation(violation))

    # -- addresses --

    def serve(self, handlers: Mapping[str, Handler], request: Request, **address: str) -> Reply:
        """What all addresses have in common; OPTIONS is answered without credentials."""
        methods = [word for method in handlers for word in (("GET", "HEAD") if method == "GET" else (method,))]
        if request.method == "OPTIONS" and methods:
            return html_reply(200, headers=(("Allow", ",".join(methods)),))
        self.services.authenticate(request)
        if not methods:
            raise self.nowhere(request)
        request.method = self.method(request)
        if _method(request) not in handlers:
            params = {"method": request.method[:20], "allowed": ", ".join(methods), "route": self.route(request)}
            allow = (("Allow", ", ".join(methods)),)
            raise ApiError("method", Violation((), "method", params), headers=allow)
        return as_seen(handlers[_method(request)], request.actor)(request, **address)

    def method(self, request: Request) -> str:
        """The method that is meant: a POST may name another one, in a header or in its body."""
        if request.method != "POST":
            return request.method
        wanted: Json = request.header("X-HTTP-Method-Override")
        if not wanted:
            with contextlib.suppress(ApiError):  # a body that cannot be read is refused where it is needed
                wanted = self.payload(request).get("_method")
        return wanted.upper() if isinstance(wanted, str) and wanted else "POST"

    def route(self, request: Request) -> str:
        """The address of a request as Laravel's messages call it."""
        return "route " + request.path.strip("/")[:200]

    def nowhere(self, request: Request) -> ApiError:
        """The error for an address that there is not."""
        return fail("not_found", text=f"The {self.route(request)} could not be found.")

    def missing(self, table: Table, key: str) -> ApiError:
        """The error for a record that there is not."""
        model = "App\\Models\\" + laravel_model(table)
        return fail("not_found", text=f"No query results for model [{model}] {key[:200]}")

    def table(self, request: Request, resource: str) -> Table:
        """The table of a resource."""
        found = self.schema.tables.get(resource.lower())
        if found is None:
            raise self.nowhere(request)
        return self.usable(found)

    def by_key(self, table: Table, key: str) -> Filter:
        """The record that an address names: by its id, or by the table's key."""
        value = _key_value(table.address, key)
        return FALSE if value is None else Compare(Path((), table.address), "eq", value)

    # -- what a request says --

    def payload(self, request: Request) -> dict[str, Json]:
        """The values of a body, JSON or a form, as Laravel hands them on."""
        if request.is_multipart:
            return {name: laravel_input(part, name) for name, part in read_form(request).values().items()}
        if not request.body.strip():
            return {}
        if request.media_type and not request.is_form and not is_json(request):
            raise fail("media_type", value=request.media_type, allowed="application/json or a form")
        value = request.payload
        if not isinstance(value, Mapping):
            raise fail("bad_body", reason="write an object")
        return {name: laravel_input(part, name) for name, part in value.items()}

    def body(self, request: Request, table: Table, wanted: Sequence[str]) -> dict[str, Json]:
        """The values of a request that writes. Of broken JSON nothing is left, so the `wanted` fields are missing."""
        self.refuse_all(parameter.name for parameter in request.parameters)
        try:
            values = self.payload(request)
        except ApiError as error:
            if error.code != "bad_json" or self.services.strict or not wanted:
                raise
            raise ApiError("required", *(Violation((name,), "required") for name in wanted)) from None
        if request.environ["REQUEST_METHOD"] == "POST":
            values.pop("_method", None)
        return values

    def refuse_all(self, names: Iterable[str]) -> None:
        """ApiError for parameters, or members of a body, where there can be none."""
        faults = [Violation((name,), "unknown_parameter", {"name": name}) for name in names]
        if faults:
            raise ApiError("unknown_parameter", *faults)

    def given(self, request: Request, kind: str) -> dict[str, Json]:
        """The parameters of a request that reads: those of a JSON body go before those of the query."""
        found = nest_parameters(request.parameters)
        if self.services.strict:
            self.refuse_ignored(request)
        if is_json(request) and request.body.strip():
            body = request.payload
            if not isinstance(body, Mapping):
                raise fail("bad_body", reason="write an object")
            found |= body
        for name in found:
            if name not in QORE_PARAMETERS[kind]:
                hint = did_you_mean(name, QORE_PARAMETERS[kind])
                raise fail("unknown_parameter", (name,), name=name, hint=hint)
        trimmed = {name: value.strip() if isinstance(value, str) else value for name, value in found.items()}
        return {name: value for name, value in trimmed.items() if value not in (None, "")}

    def refuse_ignored(self, request: Request) -> None:
        """What Laravel ignores is an error for a strict server: a body without its type, a repeated parameter."""
        if request.body.strip() and not is_json(request):
            raise fail("media_type", value=request.media_type, allowed="application/json")
        names = [parameter.name for parameter in request.parameters if not parameter.name.endswith("[]")]
        for name in names:
            if names.count(name) > 1:
                raise invalid((name,), "It stands twice.")

    def page(self, given: Mapping[str, Json]) -> Page:
        """The window of a list. What is no page number is page 1."""
        size = read_number(given, "per_page") or LARAVEL_PER_PAGE
        text = str(given.get("page", 1))
        if not re.fullmatch(r"\+?[1-9]\d{0,17}", text, re.ASCII):
            if self.services.strict:
                raise invalid(("page",), "Write a number from 1 on.")
            text = "1"
        return Page(size, size * (min(int(text), 2**53) - 1))

    def headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers of an answer that `Prefer` can make smaller."""
        applied = (("Preference-Applied", "return=minimal"),) if wants_little(request) else ()
        return (("Vary", "Prefer"), *applied)

    # -- shapes --

    def title(self, table: Table) -> Shape:
        """What a record is called."""
        key = Col(Path((), table.address))
        return First((Col(Path((), table.label), QORE), key)) if table.label else key

    def description(self, table: Table) -> Shape:
        """What is said of a record beside its title."""
        words = table.schema.get("x-label")
        name = words.get("description") if isinstance(words, Mapping) else None
        return Col(Path((), table.fields[name]), QORE) if name else Const(None)

    def value(self, member: Field | Link) -> Shape:
        """One value of a record; of a link the linked records with their titles."""
        if isinstance(member, Field):
            return Col(Path((), member), QORE)
        key = Col(Path((), member.target.address))
        return Sub(member, Obj((("value", key), ("label", self.title(member.target)))), member.many)

    def record(self, table: Table, members: Mapping[str, Field | Link]) -> Obj:
        """The id of a record, and some of its values."""
        shown = ((word, self.value(member)) for word, member in members.items() if word != "id")
        return Obj((("id", Col(Path((), table.address))), *shown))

    def members(self, table: Table) -> dict[str, Field | Link]:
        """Everything that a record shows: fields and links, when it was made, and when it was changed."""
        names = self.names(table)
        return {word: member for word in (*table.members, *self.manner.words) if (member := names.find(word))}

    def option(self, table: Table) -> Shape:
        """A record as one of the options of a field."""
        key = Col(Path((), table.address))
        return Obj((("label", self.title(table)), ("description", self.description(table)), ("value", key)))

    # -- reading --

    def show_me(self, request: Request) -> Reply:
        """The user who asks; without authentication that is nobody."""
        self.need_user(request)
        self.given(request, "record")
        names = self.names(self.users)
        words = ("name", "email", "created_at", "updated_at")
        shown = self.record(self.users, {word: member for word in words if (member := names.find(word))})
        where = Compare(Path((), self.users.id), "eq", request.actor.id)
        op = Select(self.users, Obj((*shown.pairs, ("title", self.user_title()))), where)
        rows = self.run(request, op).rows
        return qore_reply(rows[0].text if rows else dump_json(dict.fromkeys(("id", *words, "title"))))

    def user_title(self) -> Shape:
        """What a user is called."""
        return First(tuple(Col(Path((), self.users.fields[name])) for name in ("display_name", "name")))

    def show_endpoints(self, request: Request) -> Reply:
        """All addresses, as `artisan route:list --json` shows them."""
        self.given(request, "record")
        shown = [
            {
                "domain": None,
                "method": "GET|HEAD" if method == "GET" else method,
                "uri": re.sub("<(.*?)>", r"{\1}", address[1:]),
                "name": None,
                "action": f"Qore@{handler.__name__}",
                "middleware": ["api", "auth:sanctum"],
            }
            for address, handlers in self.addresses()
            for method, handler in handlers.items()
        ]
        return qore_reply(dump_json(shown))

    def show_table(self, request: Request, resource: str, table: str) -> Reply:
        """The rows of a table that the parameters choose, and what the table has, unless less is preferred."""
        found = self.table(request, resource)
        if table.lower() != found.name.lower():
            raise self.nowhere(request)
        query = _QoreTable(self, found, self.given(request, "table"))
        scope, page = Scope("no", On(self.today())), self.page(query.given)
        shape = self.record(found, query.columns)
        outcome = self.run(request, Select(found, shape, query.where(), scope, query.sort(), page, total=True))
        return self.paged(request, outcome, page, query.described())

    def paged(self, request: Request, outcome: Outcome, page: Page, head: Mapping[str, Json]) -> Reply:
        """Rows in a paginator, with `head` before it; or only what is needed to read on."""
        whole = {**head, **laravel_paginator(request, outcome, page)}
        shown = {name: whole[name] for name in QORE_LITTLE} if wants_little(request) else whole
        rows = f"[{','.join(row.text for row in outcome.rows)}]"
        members = (f"{dump_json(name)}:{rows if name == 'data' else dump_json(value)}" for name, value in shown.items())
        return qore_reply(f"{{{','.join(members)}}}", self.headers(request))

    def show_record(self, request: Request, resource: str, key: str) -> Reply:
        """One record, in any state, with what a page about it needs, unless less is preferred."""
        table = self.table(request, resource)
        self.given(request, "record")
        members = self.members(table)
        shape: Shape = self.record(table, members)
        if not wants_little(request):
            fields = Arr(tuple(self.described_value(word, member) for word, member in members.items()))
            actions = Const(self.described_actions(table))
            head = (("title", self.title(table)), ("description", self.description(table)))
            shape = Obj((*head, ("fields", fields), ("actions", actions), ("data", shape)))
        rows = self.run(request, Select(table, shape, self.by_key(table, key), single=True)).rows
        if not rows:
            raise self.missing(table, key)
        text = f'{{"data":{rows[0].text}}}' if wants_little(request) else rows[0].text
        return self.record_reply(request, rows[0], text)

    def described_value(self, word: str, member: Field | Link) -> Shape:
        """One value of a record with its name, its name for people and its type."""
        is_system = isinstance(member, Field) and member.is_system
        label = word.replace("_", " ").capitalize() if is_system else member.title
        described = {"name": word, "label": label, "type": laravel_type(member)}
        return Obj((*((key, Const(text)) for key, text in described.items()), ("value", self.value(member))))

    def record_reply(self, request: Request, row: Row, text: str, status: int = 200) -> Reply:
        """A reply with one record."""
        headers = (("Cache-Control", "no-cache, private"), *self.headers(request))
        return dataclasses.replace(record_reply(request, row, text, status, headers), content_type="application/json")

    def show_logs(self, request: Request, resource: str, key: str) -> Reply:
        """What happened to a record that is there, the newest first."""
        table, page = self.table(request, resource), self.page(self.given(request, "logs"))
        found = self.run(request, Select(table, Const(None), self.by_key(table, key), single=True)).rows
        if not found:
            raise self.missing(table, key)
        links, secrets = self.hidden_links(request, table), tuple(sorted(self.kept_back(table)))
        where = And((self.history_of(request, table, found[0].key), self.of_others(links), self.of_others(secrets)))
        newest = (Sort(Path((), self.history.id), down=True),)
        op = Select(self.history, self.log_shape((*links, *secrets)), where, sort=newest, page=page, total=True)
        return self.paged(request, self.run(request, op), page, {})

    def hidden_links(self, request: Request, table: Table) -> tuple[str, ...]:
        """The links of a table to, or through, records that are not for everybody: history may not tell their ids."""
        rules = self.ruled(request.actor)
        return tuple(link.name for link in table.links.values() if link.target in rules or link.through in rules)

    def of_others(self, hidden: tuple[str, ...]) -> Filter:
        """History without what some fields and links held; that a value was changed may be told."""
        if not hidden:
            return TRUE
        field_, *values = (Path((), self.history.fields[name]) for name in ("field", "before", "after"))
        empty = And(tuple(Compare(path, "null") for path in values))
        return Or((or_null(Not(Compare(field_, "in", hidden)), field_), empty))

    def log_shape(self, hidden: tuple[str, ...]) -> Shape:
        """One row of history, without what is hidden in the records that it keeps."""
        if hidden not in self.log_shapes:
            keys = "".join(f",'$.\"{name}\"'" for name in hidden)
            style = Style("log", {"json": f"json_remove({{0}}{keys})"}) if hidden else QORE
            self.log_shapes[hidden] = self.make_log_shape(style)
        return self.log_shapes[hidden]

    def make_log_shape(self, style: Style) -> Shape:
        """One row of history in a style."""
        columns = {"id": self.history.id, **self.history.fields}
        words = {"id": "id", "description": "action", "field": "field", "value_old": "before", "value_new": "after"}
        shown = [(word, Col(Path((), columns[name]), style)) for word, name in words.items()]
        user = Obj((("id", Col(Path((), self.users.id))), ("title", self.user_title())))
        moment = Col(Path((), columns["time"]), QORE)
        return Obj((*shown, ("user", Sub(self.writer, user, many=False)), ("created_at", moment)))

    def show_options(self, request: Request, resource: str, field: str) -> Reply:
        """The options of a field, in the order of their labels."""
        table = self.table(request, resource)
        member = self.names(table).find(field, writing=True)
        if member is None or not _has_options(member):
            raise self.nowhere(request)
        given = self.given(request, "options")
        search, limit = read_text(given, "search"), read_number(given, "limit") or LARAVEL_MAX_PER_PAGE
        if isinstance(member, Field):
            found = [option for option in _choices(member) if search.lower() in option["label"].lower()]
            return qore_reply(dump_json(found[:limit]))
        label = Path((), _label(member.target))
        op = self.select_options(member, Compare(label, "contains", search, "fold") if search else TRUE)
        rows = self.run(request, dataclasses.replace(op, page=Page(limit))).rows
        return qore_reply(f"[{','.join(row.text for row in rows)}]")

    def select_options(self, link: Link, where: Filter) -> Select:
        """The records that a link can lead to, in the order of their labels."""
        by_label = (self.manner.sort(Path((), _label(link.target)), down=False),)
        scope = Scope("no", On(self.today()))
        return Select(link.target, self.option(link.target), where, scope, by_label, Page(LARAVEL_MAX_PER_PAGE))

    def show_form(self, request: Request, resource: str, key: str = "") -> Reply:
        """The form for a new record, or for one that is there: all of it, or the options of one field again."""
        table = self.table(request, resource)
        given, little = self.given(request, "form"), wants_little(request)
        form = _QoreForm(self, self.writable(table), given, self.form_values(request, table, key))
        links = form.links(little)
        parts = self.look_up(request, map(form.select, links))
        lists = {link.name: form.listed(link, part.rows) for link, part in zip(links, parts, strict=True)}
        return qore_reply(form.show(little, lists), self.headers(request))

    def writable(self, table: Table) -> dict[str, Field | Link]:
        """The fields and links that a body can set."""
        names = self.names(table)
        found = {word: names.find(word, writing=True) for word in table.members}
        return {word: member for word, member in found.items() if member and names.may_set(member)}

    def form_values(self, request: Request, table: Table, key: str) -> dict[str, Json]:
        """The values that a form begins with: those of a record, or the defaults of a new one."""
        members = self.writable(table)
        if not key:
            empty: dict[str, Json] = {
                word: [] if isinstance(member, Link) and member.many else None for word, member in members.items()
            }
            return {word: members[word].schema.get("default", value) for word, value in empty.items()}
        shown = {word: member for word, member in members.items() if not member.write_only}
        rows = self.run(request, Select(table, self.record(table, shown), self.by_key(table, key), single=True)).rows
        if not rows:
            raise self.missing(table, key)
        return {**dict.fromkeys(members), **json.loads(rows[0].text)}

    def search(self, request: Request) -> Reply:
        """The records of all tables that have a text: of each table some, those with the text in their title first."""
        text = read_text(self.given(request, "search"), "query")
        columns = {table: found for table in self.listed_tables if (found := self.searched(table))}
        tables = list(columns)[: QORE_SEARCH_TABLES if text else 0]
        selects = (self.select_matches(table, columns[table], text) for table in tables)
        parts = self.run(request, Batch(tuple(selects))).parts
        shown = (_matches(table, part.rows) for table, part in zip(tables, parts, strict=True) if part.rows)
        return qore_reply(f"[{','.join(shown)}]")

    def searched(self, table: Table) -> list[Field]:
        """The fields of a table that are searched: its texts, that which titles a record before the others."""
        names = self.names(table)
        texts = [column for word, column in table.fields.items() if column.kind.is_text and names.find(word)]
        return sorted(texts, key=lambda column: column is not table.label)[:MAX_FILTER_TERMS]

    def select_matches(self, table: Table, columns: Sequence[Field], text: str) -> Select:
        """The first records of a table that have a text in one of the columns."""
        found = {column: Compare(Path((), column), "contains", text, "fold") for column in columns}
        shape = (("title", self.title(table)), ("description", self.description(table)))
        return Select(
            table,
            Obj((("id", Col(Path((), table.address))), *shape)),
            Or(tuple(found.values())),
            Scope("no", On(self.today())),
            (Matching(found[table.label]),) if table.label in found else (),
            Page(QORE_SEARCH_RESULTS),
        )

    # -- writing --

    def create(self, request: Request, resource: str) -> Reply:
        """A new record."""
        table = self.table(request, resource)
        body = self.body(request, table, self.required(table))
        values = self.values(request, table, body)
        shape, faults = self.record(table, self.members(table)), tuple(values.faults)
        return self.write(request, Create(table, values.fields, values.links, shape, faults=faults), "")

    def update(self, request: Request, resource: str, key: str) -> Reply:
        """Change what the body names; what it leaves out stays."""
        table = self.table(request, resource)
        return self.change(request, table, key, self.body(request, table, self.required(table)))

    def update_field(self, request: Request, resource: str, key: str, field: str) -> Reply:
        """Change one field; whatever else the body says has no effect."""
        table = self.table(request, resource)
        member = self.names(table).find(field, writing=True)
        if member is None or not self.names(table).may_set(member):
            raise self.nowhere(request)
        body = self.body(request, table, [field])
        if field not in body:
            raise fail("required", (field,))
        if self.services.strict:
            self.refuse_all(name for name in body if name != field)
        return self.change(request, table, key, {field: body[field]})

    def change(self, request: Request, table: Table, key: str, body: Mapping[str, Json]) -> Reply:
        """Change a record to what a body says."""
        values = self.values(request, table, body)
        op = Update(
            table,
            self.by_key(table, key),
            values.fields,
            values.links,
            self.record(table, self.members(table)),
            expect=request.expected_version,
            faults=tuple(values.faults),
        )
        return self.write(request, op, key)

    def write(self, request: Request, op: Create | Update, key: str) -> Reply:
        """Run a write and show the record. Violations stand in the order of the table's fields."""
        order = {name: number for number, name in enumerate(op.table.members)}
        try:
            rows = self.run(request, op).rows
        except ApiError as error:
            if not any(fault.path for fault in error.violations):
                raise
            faults = sorted(error.violations, key=lambda fault: order.get(str((*fault.path, "")[0]), len(order)))
            raise ApiError(error.code, *faults, headers=error.headers) from None
        if not rows:
            raise self.missing(op.table, key)
        return self.record_reply(request, rows[0], f'{{"data":{rows[0].text}}}', 201 if isinstance(op, Create) else 200)

    def required(self, table: Table) -> list[str]:
        """The names of the fields that a new record needs."""
        return [name for name, member in table.members.items() if member.required and "default" not in member.schema]

    def values(self, request: Request, table: Table, body: Mapping[str, Json]) -> Values:
        """What a body sets. An empty password sets none."""
        names, kept = self.names(table), dict(body)
        for name, value in body.items():
            member = names.find(name, writing=True)
            if isinstance(member, Field) and member.kind.name == "password" and value in (None, ""):
                del kept[name]
        values = read_values(names, kept, self.read_link, text=request.brings_texts)
        values.faults = [self.with_kind(names, fault, kept) for fault in values.faults]
        return values

    def with_kind(self, names: Names, fault: Violation, body: Mapping[str, Json]) -> Violation:
        """A violation, with the kind of value that the field takes: of a list its elements, when a list was given."""
        if fault.rule != "bad_value":
            return fault
        member, value = names.find(str(fault.path[0]), writing=True), body.get(str(fault.path[0]))
        kind = member.items if isinstance(member, Field) and isinstance(value, list) else None
        kind = kind or (member.kind if isinstance(member, Field) else None)
        return fault._replace(params={**fault.params, "kind": kind.name if kind else "link"})

    def read_link(self, link: Link, value: Json) -> Change:
        """The new state of a link: an id or null, or a list of ids. A file can only be taken away."""
        if link.is_file and value is not None:
            raise fail("read_only", ())
        if not link.many:
            return Change("replace", () if value is None else (self.item(link, value),), "move")
        if not isinstance(value, list | None):
            raise fail("bad_value", (), value=dump_json(value)[:100], expected="a list of ids")
        return Change("replace", tuple(self.item(link, part) for part in value or ()), "move")

    def item(self, link: Link, value: Json) -> Item:
        """The record with an id, which may stand in an object, as it is shown. What is no id is that of no record."""
        return Item(Key(link.target.address, _key_value(link.target.address, _option_value(value))))

    # -- actions --

    def actions(self, table: Table) -> dict[str, str]:
        """The actions on the records of a table, and what they are called."""
        known = {name: label for name, (label, _) in QORE_ACTIONS.items() if table.archive or name == "delete_resource"}
        added = (name for owner, name in self.services.actions if owner is table)
        return known | {name: name.replace("_", " ").capitalize() for name in added}

    def described_actions(self, table: Table) -> list[Json]:
        """The actions that the actor may run on some records: one of the embedding program, who may change them."""
        actions = self.actions(table).items()
        allowed = self.rights.allows
        return [
            {"name": name, "label": label} for name, label in actions if allowed(table, QORE_VERBS.get(name, "update"))
        ]

    def act(self, request: Request, resource: str, action: str, key: str) -> Reply:
        """Run an action on a record: one that every table has, or a function of the embedding program."""
        table = self.table(request, resource)
        if action not in self.actions(table):
            raise self.nowhere(request)
        body, where = self.body(request, table, ()), self.by_key(table, key)
        there = Select(table, Const(None), where, single=True)
        function = self.services.actions.get((table, action))
        if function:
            rows = self.run(request, Update(table, where, {}, {}, Const(None))).rows  # whoever may change it may act
        else:
            self.refuse_all(body)
            expect = request.expected_version
            ops: dict[str, Operation] = {
                "delete_resource": Delete(table, where, expect=expect),
                "archive_resource": Archive(table, where, 1, expect),
                "restore_resource": Archive(table, where, 0, expect),
            }
            rows = self.run(request, Batch((there, ops[action]))).parts[0].rows
        if not rows:
            raise self.missing(table, key)
        message = function(rows[0].key, body, request.actor) if function else QORE_ACTIONS[action][1]
        return qore_reply(dump_json({"message": message or "Done."}))


class _QoreTable:
    """A table as it is asked for: its columns, its tabs, and what the parameters choose."""

    def __init__(self, dialect: Qore, table: Table, given: Mapping[str, Json]) -> None:
        self.dialect, self.table, self.given = dialect, table, given
        self.names = names = dialect.names(table)
        words = table.schema.get("x-columns") or [word for word in table.members if _is_column(table.members[word])]
        self.columns = {word: member for word in words if (member := names.find(word))}

    def described(self) -> dict[str, Json]:
        """What a table says of itself."""
        columns = [
            {
                "name": word,
                "label": member.title,
                "type": laravel_type(member),
                "sortable": _is_sortable(member),
                "searchable": _is_searchable(member),
            }
            for word, member in self.columns.items()
        ]
        return {
            "name": self.table.name,
            "label": self.table.title,
            "columns": columns,
            "tabs": [{"name": _tab_name(label), "label": label} for label in self.tabs],
            "actions": self.dialect.described_actions(self.table),
        }

    @property
    def tabs(self) -> Mapping[str, Json]:
        """The filters of the tabs, in JSON, by label; one that asks for what is hidden is not there."""
        tabs: Mapping[str, Json] = self.table.schema.get("x-tabs", EMPTY)
        return {label: tab for label, tab in tabs.items() if self.is_known(tab)}

    def is_known(self, tab: Json) -> bool:
        """Whether the filter of a tab speaks only of what the actor sees."""
        with contextlib.suppress(ApiError):
            rule_from_json(self.table, tab, self.names.hidden)
            return True
        return False

    def where(self) -> Filter:
        """The tab, and all searches. Each speaks of its own choice of linked records."""
        searches = self.given.get("search_columns", {})
        if not isinstance(searches, Mapping) and searches != []:
            raise invalid(("search_columns",), "Write an object of columns.")
        if len(searches) > MAX_FILTER_TERMS:
            raise fail("filter_too_large", ("search_columns",), reason=f"more than {MAX_FILTER_TERMS} terms")
        conditions = (self.condition(word, searches[word]) for word in searches)
        return _all((*self.tab(), *(condition for condition in conditions if condition != TRUE)))

    def tab(self) -> Iterator[Filter]:
        """The filter of the tab, which is named by its label or its name."""
        wanted = read_text(self.given, "tab")
        if not wanted:
            return
        found = next((label for label in self.tabs if wanted in (label, _tab_name(label))), None)
        if found is None:
            raise invalid(("tab",), f"There is no tab {wanted[:100]!r}.", did_you_mean(wanted, self.tabs))
        yield rule_from_json(self.table, self.tabs[found])

    def column(self, word: Json, path: tuple[str, ...], allows: Callable[[Field | Link], bool]) -> Field | Link:
        """A visible column that can be searched or sorted by; the id is always one."""
        found = self.names.find(word) if isinstance(word, str) else None
        member = self.table.address if word == "id" else found
        if member is None or (word != "id" and member not in self.columns.values()):
            raise invalid(path, f"There is no column {str(word)[:100]!r}.", did_you_mean(str(word), self.columns))
        if not allows(member):
            known = ", ".join(name for name, column in self.columns.items() if allows(column))
            raise invalid(path, f"Allowed are {known}.")
        return member

    def sort(self) -> tuple[Sort, ...]:
        """The order: by a column, of a link by the title of its record, else by id."""
        direction = self.given.get("sort_direction", "ascending")
        if not isinstance(direction, str) or direction.lower() not in QORE_DIRECTIONS:
            raise invalid(("sort_direction",), "Write ascending or descending.")
        member = self.column(self.given.get("sort_column", "id"), ("sort_column",), _is_sortable)
        path = Path((member,), _label(member.target)) if isinstance(member, Link) else Path((), member)
        if "sort_column" not in self.given:
            path = Path((), self.table.id)
        return (self.dialect.manner.sort(path, QORE_DIRECTIONS[direction.lower()]),)

    def condition(self, word: str, value: Json) -> Filter:
        """The search in one column: a text contains, a list is one of, anything else is equal."""
        at = ("search_columns", word)
        member = self.column(word, at, _is_searchable)
        if isinstance(value, str):
            value = value.strip()
        if value in ("", []):
            return TRUE
        path = Path((member,), member.target.address) if isinstance(member, Link) else Path((), member)
        if value is None:
            return Compare(path, "null")
        operands = [self.operand(at, member, part) for part in (value if isinstance(value, list) else [value])]
        if any(isinstance(operand, Span) for operand in operands):
            return Or(tuple(Compare(path, "eq", operand) for operand in operands))
        if isinstance(member, Field) and member.kind.is_text and not isinstance(value, list):
            return Compare(path, "eq" if member.choices else "contains", operands[0], "fold")
        plain = tuple(operand for operand in operands if not isinstance(operand, Span))
        return Compare(path, "any" if isinstance(member, Field) and member.items else "in", plain)

    def operand(self, at: tuple[str, ...], member: Field | Link, value: Json) -> SqlValue | Span:
        """A value as the column stores it, or the span of a date."""
        if isinstance(member, Link):
            key = _key_value(member.target.address, _option_value(value))
            if key is None:
                raise invalid(at, "Write a list of ids.")
            return key
        kind = member.items or member.kind
        try:
            if kind.is_date and isinstance(value, str):
                return parse_span(value)
            return kind.parse_text(value) if isinstance(value, str) else kind.parse_json(value)
        except BadValue as error:
            raise invalid(at, f"Write {error}.") from None
        except ValueError:
            raise invalid(at, "Write a date as YYYY-MM-DD.") from None


class _QoreForm:
    """A form: what it asks for, and the options that it offers in a state."""

    def __init__(
        self, dialect: Qore, members: Mapping[str, Field | Link], given: Mapping[str, Json], values: Mapping[str, Json]
    ) -> None:
        self.dialect, self.members, self.given, self.values = dialect, members, given, values
        self.state = given.get("state", {})
        if not isinstance(self.state, Mapping):
            raise invalid(("state",), "Write an object of fields.")
        for name in self.state:
            if name not in members and name not in values:
                raise fail("unknown_parameter", ("state", name), name=name, hint=did_you_mean(name, members))
        self.asked = self.read_asked()

    def read_asked(self) -> str:
        """The field whose options are asked for again; none when the whole form is wanted."""
        initial = self.given.get("initial_request", "field" not in self.given)
        word = str(initial).lower()
        if word not in BOOLEAN_TEXT:
            raise invalid(("initial_request",), "Write true or false.")
        if BOOLEAN_TEXT[word]:
            return ""
        name, action = self.given.get("field"), self.given.get("action")
        action = action.get("name") if isinstance(action, Mapping) else action
        faults = [
            Violation(path, "required")
            for path, value in ((("field",), name), (("action", "name"), action))
            if value is None
        ]
        if faults:
            raise ApiError("required", *faults)
        if action != "reloadRelatedOptions":
            raise invalid(("action", "name"), "Write reloadRelatedOptions.")
        if not isinstance(name, str) or name not in self.members or not _has_options(self.members[name]):
            known = ", ".join(word for word, member in self.members.items() if _has_options(member))
            raise invalid(("field",), f"Allowed are {known}.")
        return name

    def links(self, little: bool) -> list[Link]:
        """The links whose options are shown: all, or only the one that is asked for."""
        wanted = [self.asked] if self.asked and little else self.members
        members = (self.members[word] for word in wanted)
        return [member for member in members if isinstance(member, Link) and _has_options(member)]

    def rule(self, link: Link) -> Mapping[str, str]:
        """What `x-options` says of a link; nothing that asks for a link which the actor does not see."""
        rule: Mapping[str, str] = link.source.schema.get("x-options", EMPTY).get(link.name, EMPTY)
        names = self.dialect.names(link.target)
        return {word: name for word, name in rule.items() if names.find(name)}

    def group(self, link: Link) -> Link | None:
        """The link by which the options of another one are grouped, unless it is hidden."""
        name = self.rule(link).get("group")
        return link.target.links[name] if name else None

    def select(self, link: Link) -> Select:
        """The records that a link can lead to; those without a group first, then group by group."""
        op, group = self.dialect.select_options(link, self.where(link)), self.group(link)
        if group is None:
            return op
        mark, key = Path((group,), _label(group.target)), Path((group,), group.target.id)
        groups = (self.dialect.manner.sort(path, down=False) for path in (mark, key))
        return dataclasses.replace(op, sort=(*groups, *op.sort), mark=mark)

    def where(self, link: Link) -> Filter:
        """Which records a link can lead to: where they depend on another field, those that fit its value."""
        name = self.rule(link).get("depends")
        if name is None:
            return TRUE
        value, other = self.state.get(name, self.values.get(name)), link.target.links[name]
        parts = value if isinstance(value, list) else [] if value in (None, "") else [value]
        keys = tuple(_key_value(other.target.address, _option_value(part)) for part in parts)
        if None in keys:
            raise invalid(("state", name), "Write an id.")
        return Compare(Path((other,), other.target.address), "in", keys)

    def listed(self, link: Link, rows: Sequence[Row]) -> str:
        """The options of a link as a JSON list, with a heading before each group, those without a group first."""
        group = self.group(link)
        if group is None:
            return f"[{','.join(row.text for row in rows)}]"
        texts: list[str] = []
        for mark, members in itertools.groupby(rows, lambda row: row.mark):
            heading = f"Geen {group.title}" if mark is None else str(mark)  # sic: the document's own word
            texts += (dump_json({"group": heading, "disable": True}), *(row.text for row in members))
        return f"[{','.join(texts)}]"

    def show(self, little: bool, lists: Mapping[str, str]) -> str:
        """The form as JSON; of a field that is asked for again only the options, when that is enough."""
        chosen = {word: member for word, member in self.members.items() if isinstance(member, Field) and member.choices}
        lists = {**lists, **{word: dump_json(_choices(member)) for word, member in chosen.items()}}
        again = f'"relatedOptions":{lists[self.asked]}' if self.asked else ""
        if again and little:
            return f"{{{dump_json(self.asked)}:{{{again}}}}}"
        shown = []
        for word, member in self.members.items():
            words = {"label": member.title, "type": laravel_type(member), "rules": laravel_rules(member)}
            parts = [dump_json({**words, "value": self.values[word]})[1:-1], f'"options":{lists.get(word, "null")}']
            shown.append(
                f"{dump_json(word)}:{{{','.join([*parts, again] if again and word == self.asked else parts)}}}"
            )
        return f"{{{','.join(shown)}}}"


def _option_value(value: Json) -> Json:
    """The id in a value of a link, which may stand in an object as it is shown."""
    return value.get("value") if isinstance(value, Mapping) else value


def _label(table: Table) -> Field:
    """The column by which records are called, searched and ordered."""
    return table.label or table.address


def _choices(column: Field) -> list[dict[str, Json]]:
    """The options of a select."""
    return [
        {"label": _as_text(value), "description": None, "value": value} for value in column.choices if value is not None
    ]


def _has_options(member: Field | Link) -> bool:
    return not member.is_file if isinstance(member, Link) else bool(member.choices)


def _matches(table: Table, rows: Sequence[Row]) -> str:
    """What a search found in a table."""
    head = dump_json({"resource": table.name, "label": table.title})
    return f'{head[:-1]},"results":[{",".join(row.text for row in rows)}]}}'


def _tab_name(label: str) -> str:
    return re.sub(r"\W+", "_", label.lower()).strip("_")


def _is_column(member: Field | Link) -> bool:
    """Whether a table shows a field when the schema file does not say which."""
    return not member.many if isinstance(member, Link) else "eq" in member.kind.operators


def _is_sortable(member: Field | Link) -> bool:
    return (
        not member.many if isinstance(member, Link) else "lt" in member.kind.operators or member.kind.name == "boolean"
    )


def _is_searchable(member: Field | Link) -> bool:
    return isinstance(member, Link) or bool(member.kind.operators & {"eq", "any"})


DIALECTS: Mapping[str, type[Dialect]] = {
    "limbas": Limbas,
    "nocobase": NocoBase,
    "coredata": CoreData,
    "platform": Platform,
    "qore": Qore,
}


# ======================================================================================================================
# 23  Pages
#
# What people open in a browser, made by the server: HTML from `element`, which escapes every text, with one stylesheet
# and one small script inside, both named by their hashes in the policy, so that nothing else can run or be fetched.
# All works without the script. A form holds a token of its session. Here are what all pages share, and the pages where
# one signs in and looks after one's tokens. To add a page: a handler and its route in a subclass of `Pages`.
# ======================================================================================================================

PAGE_STYLE = """
:root { color-scheme: light dark; --back: #fff; --raised: #f5f6f8; --text: #1b1f24; --quiet: #59636e; --edge: #d1d9e0;
  --accent: #0a5cc2; --on-accent: #fff; --bad: #b3261e; --good: #1a7f37; font: 16px/1.5 system-ui, sans-serif }
@media (prefers-color-scheme: dark) { :root { --back: #0f1318; --raised: #1a2028; --text: #e6eaef; --quiet: #9aa5b1;
  --edge: #38424e; --accent: #7db3ff; --on-accent: #0b1320; --bad: #ff9089; --good: #6bd486 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--back); color: var(--text); overflow-wrap: break-word }
header, main, footer { max-width: 80rem; margin: auto; padding: .6rem 1rem }
header { display: flex; flex-wrap: wrap; gap: .4rem .8rem; align-items: center; border-bottom: 1px solid var(--edge) }
header form { margin: 0 } .brand { font-weight: 600; margin-right: auto }
footer { color: var(--quiet); font-size: .85rem }
a { color: var(--accent) } header a { text-decoration: none }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.skip { position: absolute; left: -99rem } .skip:focus { position: static }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1rem 0 } h2 { font-size: 1.2rem; margin: 2rem 0 .6rem }
h3 { font-size: 1rem; margin: 1rem 0 .3rem } li h3, li p { margin: 0 0 .3rem }
.quiet { color: var(--quiet); font-size: .9rem } .number { text-align: right; font-variant-numeric: tabular-nums }
.bar { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; margin: 1rem 0 } .bar form { margin: 0 }
.badge { border: 1px solid var(--edge); border-radius: 1rem; padding: 0 .6rem; font-size: .85rem }
.note { border: 1px solid var(--edge); border-left: 5px solid var(--good); border-radius: .4rem; padding: .6rem 1rem }
.note.bad { border-left-color: var(--bad) } .wrong { color: var(--bad); margin: .2rem 0 }
button, .button, input, select, textarea { font: inherit; color: inherit; border: 1px solid var(--edge);
  border-radius: .4rem; padding: .35rem .7rem; background: var(--back); max-width: 100% }
button, .button { background: var(--raised); cursor: pointer; text-decoration: none; display: inline-block }
.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent) }
button.bad { color: var(--bad); border-color: var(--bad) }
input[type=checkbox] { width: 1.2rem; height: 1.2rem; vertical-align: middle }
input[aria-invalid], select[aria-invalid], textarea[aria-invalid] { border-color: var(--bad) }
.sheet { max-width: 42rem } .field { margin: 1rem 0 } .field label, .filters label { display: block; font-weight: 600 }
.sheet input:not([type=checkbox]), .sheet select, textarea { width: 100% }
textarea { min-height: 6rem; font: .9rem/1.4 ui-monospace, monospace }
.filters { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .8rem; margin: .8rem 0 }
select[multiple] { min-height: 9rem } .field p { margin: .2rem 0 } .filters .field { margin: 0 }
.filters input, .filters select { width: 100% } summary { cursor: pointer }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--edge); vertical-align: top }
th, .name { white-space: nowrap } th.number, td.number { text-align: right } td, dd { overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; gap: .4rem 1rem; margin: 0 }
dt { color: var(--quiet) } dd { margin: 0; white-space: pre-wrap }
pre { overflow-x: auto; padding: .8rem; background: var(--raised); border: 1px solid var(--edge); border-radius: .4rem;
  margin: .3rem 0; white-space: pre-wrap }
ins { color: var(--good); text-decoration: none } del { color: var(--bad) }
.timeline { list-style: none; padding: 0 0 0 1rem; border-left: 3px solid var(--edge) }
.timeline li { margin: 0 0 1rem }
.drawing { overflow: auto; border: 1px solid var(--edge); border-radius: .4rem; max-height: 85vh }
svg { display: block; font-size: 13px } svg text { fill: var(--text) }
svg .quiet { fill: var(--quiet); font-size: 12px }
svg .box { fill: var(--back); stroke: var(--edge) } svg .head { fill: var(--raised); stroke: var(--edge) }
svg a:hover .box, svg a:focus-visible .box { stroke: var(--accent); stroke-width: 2 } svg a { outline-offset: -2px }
svg .line { fill: none; stroke: var(--quiet); stroke-width: 1.3 } svg .line:hover { stroke: var(--accent) }
svg .end { fill: var(--quiet) } svg .title { font-weight: 600; fill: var(--accent) }
@media (max-width: 40rem) {
  .cards thead { position: absolute; left: -99rem } .cards tr { display: block; border-bottom: 2px solid var(--edge) }
  .cards td { display: flex; gap: 1rem; justify-content: space-between; text-align: right }
  .cards td { border: 0; padding: .25rem 0 }
  .cards td::before { content: attr(data-label); color: var(--quiet); text-align: left; flex: none }
  dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .7rem }
}
"""
PAGE_SCRIPT = """
for (const block of navigator.clipboard ? document.querySelectorAll("pre.copy") : []) {
  const button = document.createElement("button");
  button.textContent = "Copy";
  button.onclick = async () => {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = "Copied";
  };
  block.after(button);
}
for (const list of document.querySelectorAll("select.search")) {
  const box = document.createElement("input");
  box.type = "search";
  box.placeholder = "Find in the list";
  box.setAttribute("aria-label", "Find in " + list.labels[0].textContent);
  box.onkeydown = (event) => event.key === "Enter" && event.preventDefault();
  box.oninput = () => {
    for (const option of list.options)
      option.hidden = !option.selected && !option.text.toLowerCase().includes(box.value.toLowerCase());
  };
  list.before(box);
}
"""
VOID_ELEMENTS = frozenset({"input", "link", "meta"})
NO_REFERRER_HEADER = ("Referrer-Policy", "same-origin")
"""Under `no-referrer` a browser hides the origin of its own forms, and that is what tells them from foreign ones."""


class Html(str):
    """Text that is HTML already; `element` escapes any other."""

    __slots__ = ()


Content: TypeAlias = str | int | None


def fragment(*parts: Content) -> Html:
    """The parts, escaped where they are not HTML; None is nothing."""
    return Html(
        "".join(
            part if isinstance(part, Html) else html.escape(str(part), quote=False)
            for part in parts
            if part is not None
        )
    )


def element(tag: str, *parts: Content, **attributes: str | float | bool | None) -> Html:
    """An element of HTML or SVG. In names of attributes `_` is `-`; one at the end is for Python's own words.

    >>> element("a", "1 < 2", href='/?q="x"', class_="button", hidden=True, title=None)
    '<a href="/?q=&quot;x&quot;" class="button" hidden>1 &lt; 2</a>'
    """
    start = "".join(_attribute(name.rstrip("_").replace("_", "-"), value) for name, value in attributes.items())
    return Html(f"<{tag}{start}>" if tag in VOID_ELEMENTS else f"<{tag}{start}>{fragment(*parts)}</{tag}>")


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'


@functools.cache
def page_policy() -> str:
    """The Content-Security-Policy of pages: our stylesheet and our script, forms to this server, nothing else."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (PAGE_STYLE, PAGE_SCRIPT)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; img-src data:;"
        " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )


def redirect(address: str, headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    """See another page."""
    return Reply(303, headers=(("Location", address), *headers), content_type="text/plain; charset=utf-8")


def local_address(text: str) -> str:
    """A path of this server with its query, as it stands in a header. ApiError `bad_parameter` for anything else.

    >>> local_address("/browse/kunden?search=ü")
    '/browse/kunden?search=%C3%BC'
    """
    if not re.fullmatch(r"/(?![/\\])[^\x00-\x20\\]*", text):
        raise fail("bad_parameter", name="next", value=text[:100], reason="write an address of this server, from its /")
    return quote(text, safe=QUERY_LETTERS)


def note(*parts: Content, bad: bool = False) -> Html:
    """What a page says first: that something was done, or what is wrong."""
    return element("p", *parts, class_="note bad" if bad else "note", role="alert" if bad else "status")


def sentence(text: str) -> str:
    """A message with its end."""
    return text if text.endswith(("?", ".")) else f"{text}."


def labelled(label: str, control: Html, name: str, *below: Content) -> Html:
    """A control of a form with its label; its id is `field-` and the name."""
    return element("div", element("label", label, for_=f"field-{name}"), control, *below, class_="field")


def shown_moment(text: str | None) -> Html:
    """A stored moment for people, to the second."""
    return element("time", f"{text[:10]} {text[11:19]} UTC", datetime=text) if text else Html("-")


Entered: TypeAlias = dict[str, list[str]]
"""The fields of a form, each with its values in order; lines end as on this side of the network."""


def form_of(parameters: Iterable[Parameter]) -> Entered:
    """Parameters by their names."""
    form: Entered = {}
    for parameter in parameters:
        form.setdefault(parameter.name, []).append(parameter.value.replace("\r\n", "\n"))
    return form


class Pages(Dialect):
    """What all pages share. `bases` are the addresses below which an error is a page as well.

    `takes_files` says whether forms may bring files.
    """

    name = "pages"
    bases: ClassVar[tuple[str, ...]] = ()
    takes_files: ClassVar[bool] = False
    manner = Manner("pages", case="fold", order_case="ascii")
    words: ClassVar[Mapping[str, str]] = {
        "required": "This is needed",
        "unique": "Another record has this already",
        "bad_value": "Write {expected}",
        "contentMediaType": "Choose a file of the type {media_type}",
        "minLength": "Write at least {limit} characters",
        "maxLength": "Write at most {limit} characters",
        "pattern": "This does not match the pattern {pattern}",
        "format": "Write a valid {format}",
        "minimum": "Must be at least {limit}",
        "maximum": "Must be at most {limit}",
        "exclusiveMinimum": "Must be greater than {limit}",
        "exclusiveMaximum": "Must be less than {limit}",
        "multipleOf": "Must be a multiple of {multiple_of}",
        "minItems": "Choose at least {limit}",
        "maxItems": "Choose at most {limit}",
        "enum": "Must be one of {options}",
        "link_missing": "There is no record {value}",
        "link_taken": "The record {value} belongs to another one",
        "precondition": "The record has changed since this page was made",
        "not_found": "There is nothing at this address",
        "sign_in": "The name or the password is wrong",
        "unauthenticated": "Sign in first",
    }

    def owns(self, request: Request) -> bool:
        """Whether an error at this address is shown as a page."""
        return any(f"{request.path}/".startswith(f"{base}/") for base in self.bases)

    def failure(self, request: Request, error: ApiError) -> Reply:
        """An error as a page; who is not signed in is asked to."""
        headers = error.headers
        if error.code == "unauthenticated":
            if request.wants_html() and request.header("Authorization") is None:
                query = f"?{request.query}" if request.query and request.method in ("GET", "HEAD") else ""
                return redirect("/login?" + urlencode({"next": quote(request.path) + query}))
            headers += (("WWW-Authenticate", 'Basic realm="minirest", charset="UTF-8"'),)
        status = 404 if error.code == "unknown_table" else error.status
        said = (note(sentence(self.message(fault)), bad=True) for fault in error.violations)
        return self.show(request, HTTPStatus(status).phrase, fragment(*said), status, headers)

    def show(
        self,
        request: Request,
        title: str,
        content: Html,
        status: int = 200,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Reply:
        """A page."""
        head = element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", f"{title} - {self.site}"),
            element("link", rel="icon", href="data:,"),
            element("style", Html(PAGE_STYLE)),
        )
        body = element(
            "body",
            element("a", "Skip to the content", href="#content", class_="skip"),
            self.header(request),
            element("main", element("h1", title), content, id="content"),
            element("footer", f"minirest {__version__}"),
            element("script", Html(PAGE_SCRIPT)),
        )
        text = f"<!doctype html>\n{element('html', head, body, lang='en')}\n"
        policy = (("Content-Security-Policy", page_policy()), NO_REFERRER_HEADER)
        return Reply(status, text.encode("utf-8"), (*policy, *headers), "text/html; charset=utf-8")

    @property
    def site(self) -> str:
        """The name of the whole."""
        return self.schema.title or "minirest"

    def header(self, request: Request) -> Html:
        """What stands on top of each page: the way home, and whose page it is."""
        actor, parts = request.actor, list[Html]()
        if actor.id is not None:
            parts += [element("a", "Tokens", href="/api_tokens"), element("span", actor.display_name, class_="quiet")]
        if actor is ANONYMOUS:
            parts.append(element("a", "Sign in", href="/login"))
        if actor.session is not None:
            parts.append(self.form(request, "/logout", element("button", "Sign out")))
        return element("header", element("a", self.site, href="/", class_="brand"), *parts)

    def form(self, request: Request, action: str, *parts: Content, **attributes: str) -> Html:
        """A form that posts, with the token of the session."""
        token = self.hidden("_token", self.services.accounts.form_token(request.actor))
        return element("form", token, *parts, method="post", action=action, **attributes)

    def hidden(self, name: str, value: str | int) -> Html:
        """A field that nobody sees."""
        return element("input", type="hidden", name=name, value=value)

    def read_form(self, request: Request) -> Entered:
        """What a form sends. ApiError `forged` for one that no page of this session made."""
        form = self.read_open_form(request)
        token = "".join(form.pop("_token", []))
        if not hmac.compare_digest(token.encode(), self.services.accounts.form_token(request.actor).encode()):
            raise fail("forged")
        return form

    def read_open_form(self, request: Request) -> Entered:
        """What a form sends that strangers may send too, from pages of this server. ApiError `cross_site`."""
        self.services.may_write(request)
        if request.is_multipart and self.takes_files:
            return form_of(read_form(request).texts)
        if not request.is_form:
            raise fail("media_type", value=request.media_type, allowed="application/x-www-form-urlencoded")
        return form_of(request.read_form(MAX_FORM_FIELDS))

    def words_of(self, given: Iterable[tuple[str, str]], allowed: Iterable[str]) -> dict[str, str]:
        """The fields or parameters that are allowed, each once. ApiError names another one."""
        found: dict[str, str] = {}
        for name, value in given:
            if name not in allowed:
                raise fail("unknown_parameter", name=name[:100], hint=did_you_mean(name, allowed))
            if name in found:
                raise fail("bad_parameter", name=name, value=value[:100], reason="it stands twice")
            found[name] = value
        return found

    def parameters(self, request: Request, *allowed: str) -> dict[str, str]:
        """The parameters of an address, each once. ApiError names one that is not allowed."""
        return self.words_of(((parameter.name, parameter.value) for parameter in request.parameters), allowed)

    def entries(self, form: Entered, *allowed: str) -> dict[str, str]:
        """The fields of a form, each once. ApiError names one that is not allowed."""
        return self.words_of(((name, value) for name, values in form.items() for value in values), allowed)


TOKEN_FIELDS = ("device_name", "expiration_date", "read_only", "tables")


class Door(Pages):
    """The pages where one signs in and out and looks after one's tokens."""

    bases = ("/login", "/logout", "/api_tokens")

    def routes(self) -> Iterator[Route]:
        for end in ("", "/"):
            yield Route(ALL_METHODS, f"/login{end}", self.of_login, public=True)
            yield Route(ALL_METHODS, f"/logout{end}", self.of_logout)
            yield Route(ALL_METHODS, f"/api_tokens{end}", self.of_tokens)

    def of_login(self, request: Request) -> Reply:
        """`/login`: a form, and the session that it opens."""
        match request.method:
            case "GET" | "HEAD":
                return self.show_login(request, self.parameters(request, "next"))
            case "POST":
                return self.sign_in(request, self.entries(self.read_open_form(request), "next", "name", "password"))
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    def show_login(self, request: Request, given: Mapping[str, str], wrong: str = "", status: int = 200) -> Reply:
        """The form, with what was written into it, the password aside."""
        name = element(
            "input",
            id="field-name",
            name="name",
            value=given.get("name"),
            autocomplete="username",
            autocapitalize="none",
            required=True,
            autofocus=True,
        )
        password = element(
            "input",
            id="field-password",
            name="password",
            type="password",
            autocomplete="current-password",
            required=True,
        )
        form = element(
            "form",
            self.hidden("next", local_address(given.get("next") or "/")),
            labelled("Name", name, "name"),
            labelled("Password", password, "password"),
            element("button", "Sign in", class_="main"),
            method="post",
            action="/login",
            class_="sheet",
        )
        return self.show(request, "Sign in", fragment(note(wrong, bad=True) if wrong else None, form), status)

    def sign_in(self, request: Request, given: Mapping[str, str]) -> Reply:
        """A new session in the cookie; the one that the browser had is over."""
        target, accounts = local_address(given.get("next") or "/"), self.services.accounts
        if not given.get("name") or not given.get("password"):
            return self.show_login(request, given, "Write your name and your password.", 422)
        try:
            account = accounts.sign_in(given["name"], given["password"], request.client_address)
        except ApiError as error:
            page = self.show_login(request, given, sentence(self.message(error.violations[0])), error.status)
            return dataclasses.replace(page, headers=(*page.headers, *error.headers))
        text, expires = accounts.open_session(account)
        accounts.end_session_of(request)
        return redirect(target, (session_cookie(request, text, expires),))

    def of_logout(self, request: Request) -> Reply:
        """`/logout`: a button, and the end of the session."""
        match request.method:
            case "GET" | "HEAD":
                self.parameters(request)
                return self.show(
                    request, "Sign out", self.form(request, "/logout", element("button", "Sign out", class_="main"))
                )
            case "POST":
                self.entries(self.read_form(request))
                self.services.accounts.end_session_of(request)
                return redirect("/login", (session_cookie(request, "", EPOCH),))
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    # -- tokens --

    def of_tokens(self, request: Request) -> Reply:
        """`/api_tokens`: the user's own tokens, to make and to revoke."""
        self.need_user(request)
        self.services.accounts.refuse_scoped(request.actor)
        if request.actor.id is None:
            raise fail("refused", text="Tokens belong to users, and this server asks nobody who they are")
        match request.method:
            case "GET" | "HEAD":
                self.parameters(request)
                return self.show_tokens(request)
            case "POST":
                given = self.entries(self.read_form(request), *TOKEN_FIELDS, "revoke")
                return self.revoke(request, given["revoke"]) if "revoke" in given else self.add_token(request, given)
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    def show_tokens(self, request: Request, *first: Html, given: Mapping[str, str] = EMPTY, status: int = 200) -> Reply:
        """The page: what there is to say first, the form, the list."""
        tomorrow = date.fromisoformat(self.today()) + timedelta(days=1)
        device = element(
            "input",
            id="field-device_name",
            name="device_name",
            value=given.get("device_name"),
            maxlength=255,
            required=True,
        )
        expiry = element(
            "input",
            id="field-expiration_date",
            name="expiration_date",
            type="date",
            value=given.get("expiration_date"),
            min=tomorrow.isoformat(),
        )
        read_only = element(
            "input", id="field-read_only", name="read_only", type="checkbox", value="1", checked="read_only" in given
        )
        tables = element("input", id="field-tables", name="tables", value=given.get("tables"))
        form = self.form(
            request,
            "/api_tokens",
            labelled("Name of the device", device, "device_name"),
            labelled("Ends on", expiry, "expiration_date", element("small", "At its first moment, UTC. Empty: never.")),
            labelled("Only reads", read_only, "read_only"),
            labelled("Only these tables", tables, "tables", element("small", "With commas between. Empty: all.")),
            element("button", "Create token", class_="main"),
            class_="sheet",
        )
        content = fragment(*first, element("h2", "New token"), form, element("h2", "Your tokens"), self.tokens(request))
        return self.show(request, "API tokens", content, status, (("Cache-Control", "no-store"),))

    def tokens(self, request: Request) -> Html:
        """The list of the user's tokens."""
        table = self.schema.all_tables["_tokens"]
        columns = {**table.fields, "created": table.system["_created"]}
        shape = Obj(
            tuple(
                (name, Col(Path((), columns[name])))
                for name in ("name", "start", "created", "last_used", "expires", "scopes")
            )
        )
        op = Select(table, shape, self.own_token(request), sort=(Sort(Path((), table.id), down=True),))
        rows = [self.token_row(request, row.key, json.loads(row.text)) for row in self.run(request, op).rows]
        if not rows:
            return element("p", "There are none.", class_="quiet")
        heads = (element("th", word, scope="col") for word in ("Name", "Created", "Last used", "Ends", "Revoke"))
        return element(
            "table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="cards", id="tokens"
        )

    def token_row(self, request: Request, number: int, token: Mapping[str, Json]) -> Html:
        """One token."""
        button = element("button", "Revoke", class_="bad", aria_label=f"Revoke {token['name']}")
        revoke = self.form(request, "/api_tokens", self.hidden("revoke", number), button)
        notes = " ".join([f"{token['start']}…", *(token["scopes"] or ())])
        name = fragment(token["name"], " ", element("span", notes, class_="quiet"))
        last = shown_moment(token["last_used"]) if token["last_used"] else "never"
        expires = shown_moment(token["expires"]) if token["expires"] else "never"
        cells = {
            "Name": name,
            "Created": shown_moment(token["created"]),
            "Last used": last,
            "Ends": expires,
            "Revoke": revoke,
        }
        return element(
            "tr", *(element("td", element("span", value), data_label=label) for label, value in cells.items())
        )

    def own_token(self, request: Request) -> Filter:
        """The tokens of the user who asks."""
        owner = self.schema.all_tables["_tokens"].links["user"].key
        return Compare(Path((), owner), "eq", request.actor.id)

    def add_token(self, request: Request, given: Mapping[str, str]) -> Reply:
        """A new token, shown this once. A token makes no other: it would outlive its own end."""
        if request.actor.token is not None:
            raise fail("refused", text="A token makes no other tokens; sign in")
        name, text = given.get("device_name", "").strip(), given.get("expiration_date", "").strip()
        faults = []
        if not 0 < len(name) <= 255:
            faults.append("Give the device a name of at most 255 characters.")
        if text and not self.is_future(text):
            faults.append("The token must end on a day after today, written as YYYY-MM-DD.")
        scopes, wrong = self.read_scopes(given)
        faults += wrong
        if faults:
            return self.show_tokens(request, *(note(fault, bad=True) for fault in faults), given=given, status=422)
        expires = f"{text}T00:00:00.000Z" if text else None
        token = self.services.accounts.add_token(request.actor.name, name, expires, scopes)
        made = note(f"The token for {name} is made. Copy it now: it is not shown again.")
        return self.show_tokens(request, made, element("pre", token, class_="copy", id="token"), status=201)

    def read_scopes(self, given: Mapping[str, str]) -> tuple[list[str], list[str]]:
        """The scopes that a form gives to a token, and what is wrong with them."""
        faults = [] if given.get("read_only", "1") == "1" else ["Send 1 to only read."]
        scopes = ["read"] if "read_only" in given else []
        for word in filter(None, map(str.strip, given.get("tables", "").split(","))):
            table = self.schema.tables.get(word.lower())
            if table and self.rights.allows(table, *VERBS):
                scopes.append(f"table:{table.name}")
            else:
                faults.append(f"There is no table {word[:100]!r}.")
        return [*dict.fromkeys(scopes)], faults

    def is_future(self, text: str) -> bool:
        """Whether a text is a day after today."""
        try:
            return str(KINDS["date"].parse_text(text)) > self.today()
        except BadValue:
            return False

    def revoke(self, request: Request, text: str) -> Reply:
        """The end of a token of one's own. ApiError `not_found` for any other."""
        table = self.schema.all_tables["_tokens"]
        number = int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else 0
        where = And((Compare(Path((), table.id), "eq", number), self.own_token(request)))
        if not self.run(request, Delete(table, where)).changed:
            raise fail("not_found")
        return redirect("/api_tokens")


# ======================================================================================================================
# 24  Drawing
#
# The schema as a picture: SVG made by the server. Tables stand in columns, mostly right of those that they link to; a
# line that passes a column has a place of its own in it, so that it crosses no box. A line begins at the row of its
# link and ends at the row of the other side, or at the head of the table where there is none.
# ======================================================================================================================

BOX_WIDTH, HEAD_HEIGHT, ROW_HEIGHT = 220, 30, 20
BOX_GAP, LANE_GAP, COLUMN_GAP, MARGIN = 28, 8, 110, 20
SHOWN_FIELDS = 5
SWEEPS = 8


class LineEnd(NamedTuple):
    """Where a line meets a table: the link whose row it is, None for the head; and whether many records are there."""

    table: Table
    link: Link | None
    many: bool


class Line(NamedTuple):
    """One link as it is drawn, from its own side to the other."""

    start: LineEnd
    end: LineEnd


def lines_of(tables: Sequence[Table], hidden: Collection[Field | Link] = ()) -> Iterator[Line]:
    """The lines between tables. Both sides of a link are one line; one through a table is drawn as its links."""
    for table in tables:
        for link in table.links.values():
            if (
                link in hidden
                or link.target not in tables
                or link.back
                or (link.through in tables and not link.key)
                or not link.forward
            ):
                continue
            start = LineEnd(table, link, (link.key,) not in table.unique)
            others = [it for it in link.target.links.values() if is_other_side(it, link) and it not in hidden]
            ends = [LineEnd(link.target, other, link.many) for other in others]
            yield from (Line(start, end) for end in ends or [LineEnd(link.target, None, link.many)])


def is_other_side(other: Link, link: Link) -> bool:
    """Whether a link of the target shows the same connection: its inverse, or the link that a row belongs to."""
    if link.key:
        return other.back is link or other.near is link.key
    return other.through is link.through and other.near is link.far


def rows_of(table: Table, hidden: Collection[Field | Link] = ()) -> list[tuple[str, str]]:
    """The rows of a box, name and kind: the first fields, how many more there are, all links."""
    fields = [column for column in table.fields.values() if column not in hidden]
    rows = [(column.name, column.kind.name) for column in fields[:SHOWN_FIELDS]]
    if len(fields) > SHOWN_FIELDS:
        rows.append((f"{len(fields) - SHOWN_FIELDS} more", ""))
    for link in table.links.values():
        if link in hidden:
            continue
        target = "file" if link.is_file else link.target.title
        rows.append((link.name, f"{target} *" if link.many else target))
    return rows


class Node:
    """A place in a column: a box, or the lane of a line that passes; `table` says which. `y` is its upper edge."""

    def __init__(self, table: Table | None, column: int, hidden: Collection[Field | Link] = ()) -> None:
        self.table, self.column, self.y = table, column, 0.0
        self.rows = rows_of(table, hidden) if table else []
        self.links = [link for link in table.links.values() if link not in hidden] if table else []
        self.height = HEAD_HEIGHT + ROW_HEIGHT * len(self.rows) if table else 0
        self.near: list[tuple[float, Node, float]] = []

    @property
    def gap(self) -> int:
        """The free space below it."""
        return BOX_GAP if self.table else LANE_GAP

    @property
    def x(self) -> int:
        """Its left edge."""
        return MARGIN + self.column * (BOX_WIDTH + COLUMN_GAP)

    def port(self, end: LineEnd | None) -> float:
        """How far below its upper edge a line meets it."""
        if end is None or end.table is not self.table:
            return 0
        if end.link is None:
            return HEAD_HEIGHT / 2
        first = len(self.rows) - len(self.links)
        return HEAD_HEIGHT + ROW_HEIGHT * (first + self.links.index(end.link) + 0.5)

    def wish(self) -> float:
        """The `y` at which its lines would be straight, on the whole."""
        wishes = [other.y + there - here for here, other, there in self.near]
        return sum(wishes) / len(wishes) if wishes else self.y


def depths_of(targets: Mapping[Table, Sequence[Table]]) -> dict[Table, int]:
    """How far each table is from one without targets, by the longest way; the link that closes a circle is no way."""
    depths: dict[Table, int] = {}
    for first in targets:
        trail = [first] if first not in depths else []
        while trail:
            waiting = (table for table in targets[trail[-1]] if table not in depths and table not in trail)
            following = next(waiting, None)
            if following:
                trail.append(following)
                continue
            table = trail.pop()
            depths[table] = 1 + max((depths[target] for target in targets[table] if target in depths), default=-1)
    return depths


def columns_of(tables: Sequence[Table], lines: Sequence[Line]) -> list[list[Table]]:
    """The tables in columns: a table stands right of those that it links to, where that gives no endless row.

    The smallest neighbours of too many columns become one; columns that are too tall are split.
    """
    targets: dict[Table, list[Table]] = {table: [] for table in tables}
    for line in lines:
        if line.start.table is not line.end.table:
            targets[line.start.table].append(line.end.table)
    depths, limit = depths_of(targets), max(5, math.ceil(1.3 * math.sqrt(len(tables))))
    layers = [[table for table in tables if depths[table] == number] for number in sorted(set(depths.values()))]
    while len(layers) > limit:
        sums = [len(left) + len(right) for left, right in itertools.pairwise(layers)]
        at = sums.index(min(sums))
        layers[at : at + 2] = [layers[at] + layers[at + 1]]
    parts = ((layer, math.ceil(len(layer) / limit)) for layer in layers)
    return [layer[part::count] for layer, count in parts for part in range(count)]


class Drawing:
    """The places of all boxes and lines, but for what is hidden."""

    def __init__(self, tables: Sequence[Table], hidden: Collection[Field | Link] = ()) -> None:
        self.hidden = hidden
        self.lines = list(lines_of(tables, hidden))
        linked = {end.table for line in self.lines for end in line}
        self.columns = [
            [Node(table, number, hidden) for table in column]
            for number, column in enumerate(columns_of([table for table in tables if table in linked], self.lines))
        ]
        self.boxes = {node.table: node for column in self.columns for node in column if node.table}
        self.routes = [self.route(line) for line in self.lines]
        self.arrange()
        self.add_loners([table for table in tables if table not in linked])

    def route(self, line: Line) -> list[Node]:
        """The nodes that a line visits from left to right: its boxes, and a lane in each column between."""
        first, last = sorted((self.boxes[line.start.table], self.boxes[line.end.table]), key=lambda node: node.column)
        lanes = [Node(None, number) for number in range(first.column + 1, last.column)]
        for lane in lanes:
            self.columns[lane.column].append(lane)
        nodes = [first, *lanes, last]
        for left, right in itertools.pairwise(nodes if first.column < last.column else []):
            ends = [next((end for end in line if end.table is node.table), None) for node in (left, right)]
            here, there = left.port(ends[0]), right.port(ends[1])
            left.near.append((here, right, there))
            right.near.append((there, left, here))
        return nodes

    def arrange(self) -> None:
        """Order each column by where its lines come from, to and fro, then move the nodes to where they would be."""
        for column in self.columns:
            self.stack(column)
        for sweep in range(SWEEPS):
            for column in self.columns if sweep % 2 else reversed(self.columns):
                column.sort(key=Node.wish)
                self.stack(column)
        height = max((self.height(column) for column in self.columns), default=0)
        for _ in range(SWEEPS):
            for column in self.columns:
                self.spread(column, height)

    def height(self, column: Sequence[Node]) -> float:
        """How high a column is when nothing is between its nodes but their gaps."""
        return sum(node.height + node.gap for node in column)

    def stack(self, column: Sequence[Node]) -> None:
        """Put the nodes of a column below each other, around the middle."""
        y = -self.height(column) / 2
        for node in column:
            node.y = y
            y += node.height + node.gap

    def spread(self, column: Sequence[Node], height: float) -> None:
        """Move the nodes of a column to where their lines would be straight, in order, within a height."""
        y, rest = -height / 2, self.height(column)
        for node in column:
            node.y = min(max(node.wish(), y), height / 2 - rest)
            y, rest = node.y + node.height + node.gap, rest - node.height - node.gap

    def add_loners(self, tables: Sequence[Table]) -> None:
        """Move all to positive places, and put the tables without links below, in rows."""
        nodes = [node for column in self.columns for node in column]
        top = min((node.y for node in nodes), default=0) - MARGIN
        for node in nodes:
            node.y -= top
        width = max(len(self.columns), 4)
        y = max((node.y + node.height + BOX_GAP for node in nodes), default=MARGIN)
        for start in range(0, len(tables), width):
            row = [Node(table, number, self.hidden) for number, table in enumerate(tables[start : start + width])]
            for node in row:
                node.y = y
                assert node.table
                self.boxes[node.table] = node
            y += max(node.height for node in row) + BOX_GAP

    # -- SVG --

    def svg(self) -> Html:
        """The picture; each box leads to its table."""
        width = max((node.x + BOX_WIDTH for node in self.boxes.values()), default=0) + MARGIN + COLUMN_GAP // 2
        height = max((node.y + node.height for node in self.boxes.values()), default=0) + MARGIN
        lines = (self.line(*pair) for pair in zip(self.lines, self.routes, strict=True))
        return element(
            "svg",
            *lines,
            *map(self.box, self.boxes.values()),
            width=width,
            height=round(height),
            viewBox=f"0 0 {width} {height:.0f}",
            role="group",
            aria_label="The tables and their links",
        )

    def box(self, node: Node) -> Html:
        """One table."""
        assert node.table
        table, x, y = node.table, node.x, round(node.y, 1)
        parts = [
            element("rect", x=x, y=y, width=BOX_WIDTH, height=node.height, rx=5, class_="box"),
            element("rect", x=x, y=y, width=BOX_WIDTH, height=HEAD_HEIGHT, rx=5, class_="head"),
            element("text", shortened(table.title, 26), x=x + 10, y=y + 20, class_="title"),
        ]
        for number, (name, kind) in enumerate(node.rows):
            base = round(y + HEAD_HEIGHT + ROW_HEIGHT * number + 14, 1)
            parts.append(element("text", shortened(name, 18), x=x + 10, y=base))
            parts.append(
                element("text", shortened(kind, 13), x=x + BOX_WIDTH - 10, y=base, text_anchor="end", class_="quiet")
            )
        return element("a", *parts, href=f"/browse/{table.name}", aria_label=table.title, data_table=table.name)

    def line(self, line: Line, nodes: Sequence[Node]) -> Html:
        """One link: curves from gap to gap, straight where it passes a column, with its ends."""
        ends = line if nodes[0].table is line.start.table else Line(line.end, line.start)
        heights = [node.y for node in nodes]
        heights[0] += nodes[0].port(ends.start)
        heights[-1] += nodes[-1].port(ends.end)
        first, is_loop = nodes[0].x + BOX_WIDTH, nodes[0].column == nodes[-1].column
        last = first if is_loop else nodes[-1].x
        path = f"M{_point(first, heights[0])}"
        for left, right, y, end_y in zip(nodes, nodes[1:], heights, heights[1:], strict=False):
            start, end = left.x + BOX_WIDTH, last if is_loop else right.x
            middle = start + COLUMN_GAP / 3 if is_loop else (start + end) / 2
            path += f" C{_point(middle, y)} {_point(middle, end_y)} {_point(end, end_y)}"
            path += "" if right is nodes[-1] else f" H{end + BOX_WIDTH}"
        names = (f"{end.table.name}.{end.link.name}" if end.link else end.table.name for end in ends)
        curve = element("path", **dict(zip(("data_from", "data_to"), names, strict=True)), d=path, class_="line")
        feet = (
            foot(first, heights[0], 1, ends.start.many),
            foot(last, heights[-1], 1 if is_loop else -1, ends.end.many),
        )
        return fragment(curve, *feet)


def foot(x: float, y: float, way: int, many: bool) -> Html:
    """The end of a line at a box: feet for many records, a dot for one."""
    if not many:
        return element("circle", cx=round(x + way * 3), cy=round(y), r=3, class_="end")
    path = f"M{_point(x, y - 5)} L{_point(x + way * 9, y)} L{_point(x, y + 5)}"
    return element("path", d=path, class_="line")


def _point(x: float, y: float) -> str:
    return f"{x:g},{y:.1f}"


def shortened(text: str, length: int) -> str:
    """The text, cut to a length."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


# ======================================================================================================================
# 25  Browsing
#
# The overview at `/`, and lists of the records of a table with search, filters, order and pages. They use the
# operations of the dialects, so that nobody sees here what is not theirs. What is archived, in the trash or not valid
# today is shown to those who ask for it.
# ======================================================================================================================

LIST_SIZE = 25
LIST_FIELDS, LIST_LINKS = 6, 3
LABEL_LENGTH = 120
LONG_TEXT = 500
STATUS_WORDS = ("active", "archived", "in the trash")
DONE_WORDS: Mapping[str, str] = {
    "created": "The record is made.",
    "saved": "The record is saved.",
    "archive": "The record is archived.",
    "trash": "The record is in the trash.",
    "restore": "The record is active again.",
    "delete": "The record is deleted.",
    "undo": "The last change is undone.",
}
BOUNDS: Mapping[str, Operator] = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "=": "eq"}


class Overview(Pages):
    """The page at `/`: what this server has and how to ask for it."""

    def __init__(self, services: Services, dialects: Sequence[Dialect]) -> None:
        super().__init__(services)
        self.dialects = dialects
        self.drawings: dict[Rights, Html] = {}

    def routes(self) -> Iterator[Route]:
        yield Route(("GET",), "/", self.show_overview)

    def owns(self, request: Request) -> bool:
        return request.path == "/" and request.wants_html()

    def drawing(self) -> Html:
        """The picture of what the actor may list, remembered for each kind of rights."""
        found = self.drawings.get(self.rights)
        if found is None:
            drawing = Drawing(self.listed_tables, self.rights.hidden)
            found = bounded(self.drawings)[self.rights] = drawing.svg()
        return found

    def show_overview(self, request: Request) -> Reply:
        """The overview as JSON, or as a page for a browser."""
        counts = self.counts(request.actor)
        if request.wants_html():
            return self.show(request, self.site, self.page(request, counts), headers=(("Vary", "Accept"),))
        return json_reply(dump_json(self.data(counts)), headers=(("Vary", "Accept"),))

    def counts(self, actor: Actor) -> list[tuple[Table, int]]:
        """Each table with the number of its active records that are valid today and seen, in one snapshot."""
        tables, scope = self.listed_tables, Scope("no", On(self.today()))
        selects = tuple(Select(table, Const(None), scope=scope, page=Page(0), total=True) for table in tables)
        parts = self.services.store.run_for(actor, Batch(selects), self.name).parts
        return [(table, part.total or 0) for table, part in zip(tables, parts, strict=True)]

    def data(self, counts: Sequence[tuple[Table, int]]) -> Json:
        """The overview as data."""
        return {
            "title": self.schema.title,
            "version": __version__,
            "tables": [{"name": table.name, "title": table.title, "records": count} for table, count in counts],
            "dialects": [
                {"name": dialect.name, "addresses": [f"{base}/" for base in dialect.bases]} for dialect in self.dialects
            ],
        }

    def page(self, request: Request, counts: Sequence[tuple[Table, int]]) -> Html:
        """The overview as a page: the tables, their picture, a first request in each dialect."""
        heads = (element("th", "Table", scope="col"), element("th", "What it holds", scope="col"))
        count = element("th", "Records", scope="col", class_="number")
        return fragment(
            element("h2", "Tables"),
            element(
                "table",
                element("thead", element("tr", *heads, count)),
                element("tbody", *(self.row(table, count) for table, count in counts)),
            ),
            element("h2", "How they are linked"),
            element("div", self.drawing(), class_="drawing", tabindex=0, role="region", aria_label="Drawing"),
            element("h2", "First requests"),
            *(self.curl(request, dialect, table) for dialect in self.dialects for table, _ in counts[:1]),
        )

    def row(self, table: Table, count: int) -> Html:
        """One table of the page."""
        name = element("a", table.name, href=f"/browse/{table.name}")
        about = str(table.schema.get("description") or table.title)
        return element(
            "tr", element("td", name, class_="name"), element("td", about), element("td", f"{count:,}", class_="number")
        )

    def curl(self, request: Request, dialect: Dialect, table: Table) -> Html:
        """A first request in one dialect, to copy."""
        user = f"-u {shlex.quote(request.actor.name)} " if request.actor.name else ""
        scheme = request.environ.get("wsgi.url_scheme", "http")
        address = f"{scheme}://{request.host}{dialect.example.format(table=table.name.lower())}"
        command = f"curl -g {user}{shlex.quote(address)}"
        return fragment(element("h3", type(dialect).__name__), element("pre", command, class_="copy"))


# ---- values for people ----


def reference(table: Table) -> Shape:
    """How a linked record is shown: its id and its label."""
    label: Shape = Col(Path((), table.label)) if table.label else Const(None)
    return Obj((("id", Col(Path((), table.id))), ("label", label)))


def user_name(users: Table) -> Shape:
    """How a user is named to others."""
    return First((Col(Path((), users.fields["display_name"])), Col(Path((), users.fields["name"]))))


def plain_text(value: Json) -> str:
    """A value as text for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(map(plain_text, value))
    return "" if value is None else value if isinstance(value, str) else dump_json(value)


def label_of(record: Mapping[str, Json]) -> str:
    """What names a record: its label, else its id."""
    return shortened(plain_text(record["label"]), LABEL_LENGTH) or f"#{record['id']}"


def by_number(table: Table, number: int) -> Filter:
    """The filter for one record."""
    return Compare(Path((), table.id), "eq", number)


def number_of(key: str) -> int:
    """The id in an address. ApiError `not_found` for any other text."""
    if not re.fullmatch(r"[1-9]\d{0,15}", key, re.ASCII):
        raise fail("not_found")
    return int(key)


def version_of(text: str) -> int:
    """The version of the record that a form was made for."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise fail("bad_parameter", name="_version", value=text[:100], reason="use a form of the page")
    return int(text)


def record_address(table: Table, number: int) -> str:
    """The page of a record."""
    return f"/browse/{table.name}/{number}"


def shape_of(member: Field | Link) -> Shape:
    """A field as a value, a unique link as its record, any other link as a number of records."""
    if isinstance(member, Field) or member.many:
        return Col(Path((), member) if isinstance(member, Field) else Path((member,)))
    return Sub(member, reference(member.target), many=False)


def shown(member: Field | Link | None, value: Json, length: int = MAX_BODY_BYTES) -> Html:
    """The value of a member in a page, cut to a length."""
    if isinstance(member, Link) and isinstance(value, Mapping) and not member.is_file:
        return element("a", label_of(value), href=record_address(member.target, value["id"]))
    if isinstance(member, Link) and isinstance(value, Mapping):
        return fragment(label_of(value))
    if value is None:
        return element("span", "-", class_="quiet")
    if isinstance(member, Field) and member.kind.name == "moment":
        return shown_moment(str(value))
    return fragment(shortened(plain_text(value), length))


def is_many(member: Field | Link) -> bool:
    """Whether a member is a link to many records."""
    return isinstance(member, Link) and member.many


def list_columns(names: Names) -> list[Field | Link]:
    """The columns of a list: the label, then those of `x-columns`, else the first short fields and unique links."""
    table = names.table
    members = [member for name in table.schema.get("x-columns", table.members) if (member := names.find(name))]
    if "x-columns" not in table.schema:
        fields = [member for member in members if isinstance(member, Field) and is_short(member)]
        links = [member for member in members if isinstance(member, Link) and is_short(member)]
        members = [*[member for member in fields if member is not table.label][:LIST_FIELDS], *links[:LIST_LINKS]]
    return [*([table.label] if table.label else []), *(member for member in members if member is not table.label)]


def is_short(member: Field | Link) -> bool:
    """Whether a member has room in a list."""
    if isinstance(member, Link):
        return not member.many and not member.is_file
    return member.kind.name not in ("json", "password", "content") and not is_long(member)


def is_long(member: Field) -> bool:
    """Whether a text may be long by its schema."""
    long = member.schema.get("maxLength", 0) > LONG_TEXT or "contentMediaType" in member.schema
    return member.kind.name == "text" and long


def options_of(member: Field | Link) -> list[tuple[str, str]]:
    """The values that a member can have, when they are few: each as it is sent, and as it is shown."""
    if isinstance(member, Link):
        return []
    if member.kind.name == "boolean" and not member.choices:
        return [("true", "yes"), ("false", "no")]
    is_text = (member.items or member.kind).is_text
    return [
        (value if is_text and isinstance(value, str) else dump_json(value), plain_text(value))
        for value in member.choices
        if value is not None
    ]


def choice(
    name: str, options: Iterable[tuple[str, str]], chosen: Sequence[str], **attributes: str | bool | None
) -> Html:
    """A list to choose from."""
    rows = (element("option", text, value=value, selected=value in chosen) for value, text in options)
    return element("select", *rows, name=name, id=f"field-{name}", **attributes)


# ---- lists ----


class _ListQuery:
    """The parameters of a list of records, read one by one; empty ones are none."""

    def __init__(self, pages: Pages, request: Request, names: Names, parent: Parent | None) -> None:
        self.pages, self.names, self.table, self.parent = pages, names, names.table, parent
        self.columns = list_columns(names)
        self.filters = {f"filter[{member.name}]": member for member in self.columns if self.is_filterable(member)}
        allowed = ["search", "sort", "page", "done", *self.filters]
        allowed += ["archived"] if self.table.archive and not parent else []
        allowed += ["validity"] if self.table.validity and not parent else []
        self.given = {name: value for name, value in pages.parameters(request, *allowed).items() if value}

    def is_filterable(self, member: Field | Link) -> bool:
        """Whether a column has a filter."""
        if isinstance(member, Link):
            return not member.many
        return bool(member.kind.operators & {"eq", "any"})

    def refuse(self, name: str, reason: str) -> ApiError:
        """The error for a parameter that cannot be read."""
        return fail("bad_parameter", name=name, value=self.given[name][:100], reason=reason)

    def one_of(self, name: str, allowed: Iterable[str], default: str) -> str:
        """A parameter that is one of some words."""
        value = self.given.get(name, default)
        if value not in allowed:
            raise self.refuse(name, f"write one of {', '.join(allowed)}")
        return value

    def select(self) -> Select:
        """The operation."""
        pairs = tuple((member.name, shape_of(member)) for member in self.columns)
        status = (("status", Col(Path((), self.table.system["_status"]))),) if self.table.archive else ()
        shape = Obj((("record", reference(self.table)), *status, ("values", Obj(pairs))))
        page = Page(LIST_SIZE, (self.page - 1) * LIST_SIZE)
        return Select(self.table, shape, self.where(), self.scope(), self.sort(), page, total=True, parent=self.parent)

    @functools.cached_property
    def page(self) -> int:
        """The number of the page, from 1 on."""
        text = self.given.get("page", "1")
        if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
            raise self.refuse("page", "write a whole number, 1 or more")
        return int(text)

    def scope(self) -> Scope:
        """Which states are shown; of linked records all, as wherever links are shown."""
        if self.parent:
            return ANY_STATE
        archived = self.one_of("archived", ("no", "only", "trash", "all"), "no")
        validity = self.one_of("validity", ("today", "all"), "today")
        return Scope(archived, Everything() if validity == "all" else On(self.pages.today()))  # type: ignore[arg-type]

    def sort(self) -> tuple[Sort, ...]:
        """The order; without one the table's own."""
        if "sort" not in self.given:
            return ()
        word = self.given["sort"].removeprefix("-")
        member = next((column for column in self.columns if column.name == word and self.is_sortable(column)), None)
        if member is None:
            raise self.refuse(
                "sort",
                f"the list has no such column to sort by{did_you_mean(word, [column.name for column in self.columns])}",
            )
        return (self.names.manner.sort(self.path(member), self.given["sort"].startswith("-")),)

    def is_sortable(self, member: Field | Link) -> bool:
        """Whether records have an order by a column."""
        return isinstance(member, Link) or "eq" in member.kind.operators

    def path(self, member: Field | Link) -> Path:
        """What a column is ordered by: of a linked record the label."""
        if isinstance(member, Field):
            return Path((), member)
        return Path((member,), None if member.many else member.target.label or member.target.id)

    def where(self) -> Filter:
        """The search and all filters."""
        parts = [self.search(self.given["search"])] if "search" in self.given else []
        for name, member in self.filters.items():
            if name in self.given:
                try:
                    parts.append(self.condition(member, self.given[name]))
                except BadValue as error:
                    raise self.refuse(name, f"write {error}") from None
                except ValueError:
                    raise self.refuse(name, "write a date, a month or a year, such as 2024-05") from None
        return _all(parts)

    def search(self, text: str) -> Filter:
        """A text in one of the text fields, in any case, or the number of the record."""
        texts = [column for name, column in self.table.fields.items() if column.kind.is_text and self.names.find(name)]
        return Or((*(Compare(Path((), column), "contains", text, "fold") for column in texts), *self.numbered(text)))

    def numbered(self, text: str, links: tuple[Link, ...] = ()) -> Iterator[Filter]:
        """The record that a text is the number of, `#7` or `7`."""
        match = re.fullmatch(r"#?(\d{1,15})", text, re.ASCII)
        if match:
            yield Compare(Path(links, links[-1].target.id if links else self.table.id), "eq", int(match[1]))

    def condition(self, member: Field | Link, text: str) -> Filter:
        """The filter of one column: a part of a text, a choice, a number or a date with a bound before it."""
        if isinstance(member, Link):
            label = member.target.label
            named = (Compare(Path((member,), label), "contains", text, "fold"),) if label and label.kind.is_text else ()
            return Some(Or((*named, *self.numbered(text, (member,)))))
        path = Path((), member)
        if "any" in member.kind.operators:
            return Compare(path, "any", ((member.items or KINDS["scalar"]).parse_text(text),))
        if member.kind.is_text and not member.choices:
            return Compare(path, "contains", text, "fold")
        sign = next((sign for sign in BOUNDS if text.startswith(sign)), "")
        rest = text.removeprefix(sign).strip()
        op = BOUNDS.get(sign, "eq")
        if op not in operators_of(path):
            raise BadValue("a value without a sign before it")
        return Compare(path, op, parse_span(rest) if member.kind.is_date else member.kind.parse_text(rest))

    # -- the page --

    def address(self, **changes: str | int | None) -> str:
        """The query of this list with something else in it."""
        words = {name: value for name, value in {**self.given, **changes}.items() if value and name != "done"}
        return f"?{urlencode(words)}"

    def form(self, action: str) -> Html:
        """The search and the filters."""
        search = element(
            "input",
            type="search",
            name="search",
            id="field-search",
            value=self.given.get("search"),
            maxlength=MAX_SEARCH_LENGTH,
        )
        sort = self.given.get("sort")
        kept = self.pages.hidden("sort", sort) if sort else None
        switches = [labelled("Search", search, "search"), *self.switches()]
        filters = [labelled(member.title, self.control(name, member), name) for name, member in self.filters.items()]
        is_open = any(name in self.given for name in self.filters)
        more = element(
            "details", element("summary", "Filters"), element("div", *filters, class_="filters"), open=is_open
        )
        buttons = (element("button", "Show", class_="main"), element("a", "Show all", href=action, class_="button"))
        return element(
            "form",
            kept,
            element("div", *switches, class_="filters"),
            more if filters else None,
            element("div", *buttons, class_="bar"),
            method="get",
            action=action,
            role="search",
        )

    def switches(self) -> Iterator[Html]:
        """The controls for archived records and those that are not valid today."""
        if self.table.archive and not self.parent:
            states = (("no", "active"), ("only", "archived"), ("trash", "in the trash"), ("all", "all"))
            yield labelled("Records", choice("archived", states, [self.given.get("archived", "no")]), "archived")
        if self.table.validity and not self.parent:
            days = (("today", "valid today"), ("all", "of any time"))
            yield labelled("Validity", choice("validity", days, [self.given.get("validity", "today")]), "validity")

    def control(self, name: str, member: Field | Link) -> Html:
        """The filter of one column."""
        value, options = self.given.get(name, ""), options_of(member)
        if options:
            return choice(name, [("", "any"), *options], [value])
        hint = None
        if isinstance(member, Field) and not member.kind.is_text and "lt" in member.kind.operators:
            hint = "2024-05, >=2024-05-01" if member.kind.is_date else "7, >=7, <7"
        return element("input", name=name, id=f"field-{name}", value=value, placeholder=hint)

    def heads(self) -> Iterator[Html]:
        """The heads of the columns, each with a link that sorts by it."""
        if self.table.label is None:
            yield element("th", "Record", scope="col")
        for column in self.columns:
            if not self.is_sortable(column):
                yield element("th", column.title, scope="col")
                continue
            now = self.given.get("sort")
            order = {column.name: "ascending", f"-{column.name}": "descending"}.get(now or "")
            following = f"-{column.name}" if order == "ascending" else column.name
            sign = {"ascending": " ↑", "descending": " ↓"}.get(order or "", "")
            link = element("a", f"{column.title}{sign}", href=self.address(sort=following, page=None))
            yield element("th", link, scope="col", aria_sort=order)

    def row(self, row: Row) -> Html:
        """One record."""
        record = json.loads(row.text)
        status = record.get("status") or 0
        badge = element("span", STATUS_WORDS[status], class_="badge") if status else None
        name = element("a", label_of(record["record"]), href=record_address(self.table, row.key))
        label = self.table.label.title if self.table.label else "Record"
        cells = [element("td", element("span", name, " ", badge), data_label=label)]
        for column in self.columns:
            if column is not self.table.label:
                value = element("span", shown(column, record["values"][column.name], LABEL_LENGTH))
                cells.append(element("td", value, data_label=column.title))
        return element("tr", *cells)

    def pager(self, total: int) -> Html:
        """Where in the list this page is, and the ways to others."""
        last = max(1, -(-total // LIST_SIZE))
        before, after = min(self.page - 1, last), self.page + 1
        return element(
            "nav",
            element("a", "← Previous", href=self.address(page=before), class_="button", rel="prev") if before else None,
            element("span", f"{total:,} records, page {self.page:,} of {last:,}"),
            element("a", "Next →", href=self.address(page=after), class_="button", rel="next")
            if after <= last
            else None,
            class_="bar",
            aria_label="Pages of the list",
        )


def done_note(given: Mapping[str, str]) -> Html | None:
    """What has been done just before, as the address says."""
    if "done" not in given:
        return None
    if given["done"] not in DONE_WORDS:
        raise fail("bad_parameter", name="done", value=given["done"][:100], reason="leave it out")
    return note(DONE_WORDS[given["done"]])


class Lists(Pages):
    """The lists of records."""

    bases = ("/browse",)

    def routes(self) -> Iterator[Route]:
        rules: tuple[tuple[str, Callable[..., Reply]], ...] = (
            ("", self.of_base),
            ("/<table>", self.of_table),
            ("/<table>/<key>/links/<link>", self.of_link),
            ("/<rest:path>", self.elsewhere),
        )
        for rule, handler in rules:
            for end in ("", "/"):
                yield Route(ALL_METHODS, f"/browse{rule}{end}", handler)

    def elsewhere(self, request: Request, rest: str) -> Reply:
        """Below `/browse` there is nothing else."""
        raise fail("not_found")

    def reading(self, request: Request) -> None:
        """ApiError `method` for a page that is only read."""
        if request.method not in ("GET", "HEAD"):
            raise not_allowed(request, "GET, HEAD")

    def of_base(self, request: Request) -> Reply:
        """`/browse` itself: the tables are on the first page."""
        self.reading(request)
        return redirect("/")

    # -- lists --

    def of_table(self, request: Request, table: str) -> Reply:
        """`/browse/<table>`: the records of a table."""
        self.reading(request)
        names = self.names(self.find_table(table))
        address = f"/browse/{names.table.name}"
        about = names.table.schema.get("description")
        new = None
        if self.rights.allows(names.table, "create"):
            new = element("a", "New record", href=f"{address}/new", class_="button main")
        top = fragment(element("p", str(about), class_="quiet") if about else None, element("p", new, class_="bar"))
        return self.show_list(request, names.table.title, top, _ListQuery(self, request, names, None))

    def of_link(self, request: Request, table: str, key: str, link: str) -> Reply:
        """`/browse/<table>/<id>/links/<link>`: the records that a link leads to."""
        self.reading(request)
        names, number = self.names(self.find_table(table)), number_of(key)
        member = names.find(link)
        if not isinstance(member, Link) or member.is_file:
            raise fail("not_found")
        parent = Parent(member, Key(names.table.id, number))
        back = element("a", f"Back to the record in {names.table.title}", href=record_address(names.table, number))
        query = _ListQuery(self, request, self.names(member.target, member), parent)
        return self.show_list(request, member.title, element("p", back), query)

    def show_list(self, request: Request, title: str, top: Html, query: _ListQuery) -> Reply:
        """A list of records."""
        outcome = self.run(request, query.select())
        total = outcome.total or 0
        table = element(
            "table",
            element("thead", element("tr", *query.heads())),
            element("tbody", *map(query.row, outcome.rows)),
            class_="cards",
        )
        nothing = element("p", "There are no such records.", class_="quiet")
        done = done_note(query.given)
        content = fragment(done, top, query.form(request.path), table if outcome.rows else nothing, query.pager(total))
        return self.show(request, title, content)


# ======================================================================================================================
# 26  Records
#
# The page of one record: its values, its links to walk along, what became of it, and the buttons that archive, restore
# and delete it or take its last change back. History is kept of all records; it is shown of those that are seen, and
# what it says of other records is shown as far as they are.
# ======================================================================================================================

TIMELINE_SIZE = 100
LINKED_SIZE = 10
SHOWN_KEYS = 20


class Entry(NamedTuple):
    """One row of history."""

    number: int
    version: int
    action: str
    field: str | None
    before: Json
    after: Json
    user: int | None
    dialect: str
    time: str


class _Timeline:
    """What became of one record: changes of one moment together, the newest first."""

    def __init__(self, pages: Pages, request: Request, names: Names, number: int) -> None:
        self.pages, self.request, self.names, self.number = pages, request, names, number
        self.labels: dict[Table, dict[int, str]] = {}
        self.users: dict[int, str] = {}
        rules = pages.ruled(request.actor)
        self.hidden = {link.name for link in names.table.links.values() if link.through in rules}
        self.hidden |= pages.kept_back(names.table)
        self.unknown = {member.name for member in names.table.members.values() if member in names.hidden}

    def read(self, before: int = 0) -> list[Entry]:
        """The newest entries, one more than is shown; of those before a number, when it is given. Finds their names."""
        table = self.pages.schema.all_tables["_history"]
        where = self.pages.history_of(self.request, self.names.table, self.number)
        if before:
            where = And((where, Compare(Path((), table.id), "lt", before)))
        words = ("version", "action", "field", "before", "after", "user", "dialect", "time")
        shape = Obj(tuple((word, Col(Path((), table.fields[word]))) for word in words))
        order = (Sort(Path((), table.id), down=True),)
        rows = self.pages.run(self.request, Select(table, shape, where, sort=order, page=Page(TIMELINE_SIZE + 1)))
        entries = [Entry(row.key, **json.loads(row.text)) for row in rows.rows]
        self.look_up(entries[:TIMELINE_SIZE])
        return entries

    def grouped(self, entries: Sequence[Entry]) -> list[list[Entry]]:
        """The entries that were written together."""
        groups = itertools.groupby(entries, key=lambda entry: (entry.version, entry.time, entry.user, entry.dialect))
        return [list(group) for _, group in groups]

    def undo(self, entries: Sequence[Entry]) -> Values | None:
        """What takes the last change back, when it is an update of values that can be seen and set."""
        last, values = next(iter(self.grouped(entries)), []), Values()
        try:
            for entry in last:
                self.take_back(values, entry)
        except BadValue:
            return None
        return values if 0 < len(last) <= TIMELINE_SIZE else None

    def take_back(self, values: Values, entry: Entry) -> None:
        """Add the former value of one entry. BadValue where it cannot be had again."""
        member = self.names.find(entry.field or "")
        if entry.action != "updated" or member is None or not self.names.may_set(member):
            raise BadValue("a value that was set")
        if isinstance(member, Field):
            values.fields[member] = member.parse_json(entry.before)
        elif member.is_file:
            raise BadValue("a file that is there")  # one that was replaced is gone
        else:
            values.links[member] = self.undone_link(member, entry.before)

    def undone_link(self, link: Link, before: Json) -> Change:
        """The change that gives a link its former records; of many those that are still there and seen."""
        keys, seen = [] if before is None else keys_of(before), self.labels.get(link.target, EMPTY)
        if not link.many and before is not None and not any(key in seen for key in keys):
            raise BadValue("a record that is seen")
        return Change("replace", tuple(Item(Key(link.target.id, key), missing="skip") for key in keys), "move")

    # -- the page --

    def show(self, entries: Sequence[Entry], button: Html | None) -> Html:
        """The timeline; the newest entry has the button that undoes it."""
        groups = self.grouped([entry for entry in entries[:TIMELINE_SIZE] if entry.field not in self.unknown])
        items = (self.item(group, None if number else button) for number, group in enumerate(groups))
        older = None
        if len(entries) > TIMELINE_SIZE:
            older = element("a", "Older changes", href=f"?older={entries[TIMELINE_SIZE - 1].number}#history")
        return fragment(element("ol", *items, class_="timeline"), older)

    def look_up(self, entries: Sequence[Entry]) -> None:
        """Find the names of users and of linked records; what is not seen stays without a name."""
        keys: dict[Table, set[int]] = {}
        for link, key in itertools.chain.from_iterable(map(self.linked, entries)):
            keys.setdefault(link.target, set()).add(key)
        users = self.pages.schema.all_tables["_users"]
        named = Obj((("id", Col(Path((), users.id))), ("label", user_name(users))))
        makers = tuple({entry.user for entry in entries if entry.user is not None})
        selects = [Select(users, named, Compare(Path((), users.id), "in", makers))]
        selects += [
            Select(table, reference(table), Compare(Path((), table.id), "in", tuple(found)))
            for table, found in keys.items()
        ]
        users_found, *found = self.pages.look_up(self.request, selects)
        self.users = {row.key: label_of(json.loads(row.text)) for row in users_found.rows}
        for table, part in zip(keys, found, strict=True):
            self.labels[table] = {row.key: label_of(json.loads(row.text)) for row in part.rows}

    def linked(self, entry: Entry) -> Iterator[tuple[Link, int]]:
        """The records that an entry speaks of."""
        for value in (entry.before, entry.after):
            members = {entry.field: value} if entry.field else value if isinstance(value, Mapping) else EMPTY
            for name, part in members.items():
                link = self.names.find(name)
                if isinstance(link, Link) and part is not None:
                    yield from ((link, key) for key in keys_of(part)[:SHOWN_KEYS])

    def item(self, group: Sequence[Entry], button: Html | None) -> Html:
        """What was done in one moment."""
        first = group[0]
        maker = self.users.get(first.user or 0, "Somebody")
        through = f", through {first.dialect}" if first.dialect else ""
        rows = [self.row(name, entry) for entry in reversed(group) for name in self.members(entry)]
        return element(
            "li",
            element("h3", f"{maker} {self.deed(group)}"),
            element("p", shown_moment(first.time), through, class_="quiet"),
            element("dl", *rows) if rows else None,
            button,
        )

    def deed(self, group: Sequence[Entry]) -> str:
        """What was done, in words."""
        deeds = {
            "created": "made the record",
            "moved": "moved the record",
            "archived": "changed the state of the record",
        }
        return deeds.get(group[-1].action, "changed")

    def members(self, entry: Entry) -> Iterable[str]:
        """The names of what an entry shows, without values that are never shown and links whose rows are hidden."""
        if entry.field:
            return (entry.field,)
        return [name for name in entry.after if name not in self.hidden] if isinstance(entry.after, Mapping) else ()

    def row(self, name: str, entry: Entry) -> Html:
        """One value, before and after."""
        member = self.names.find(name)
        title = element("dt", member.title if member else name)
        if entry.field is None:
            return fragment(title, element("dd", element("ins", self.shown(member, entry.after[name]))))
        if name in self.hidden:
            return fragment(title, element("dd", "a value that is never shown"))
        if entry.action == "archived":
            title, words = element("dt", "State"), (STATUS_WORDS[value or 0] for value in (entry.before, entry.after))
            before, after = map(fragment, words)
        else:
            before, after = (self.shown(member, value) for value in (entry.before, entry.after))
        return fragment(title, element("dd", element("del", before), " → ", element("ins", after)))

    def shown(self, member: Field | Link | None, value: Json) -> Html:
        """A value; of a link the labels of its records, as far as they are seen today."""
        if isinstance(member, Field):
            return shown(member, value, LONG_TEXT)
        keys = keys_of(value)
        if member is None or member.is_file or not keys:
            return shown(None, noted_file(value), LONG_TEXT)
        labels = self.labels.get(member.target, {})
        gone = element("span", "a record that is not there", class_="quiet")
        parts = [
            shown(member, {"id": key, "label": labels[key]}) if key in labels else gone for key in keys[:SHOWN_KEYS]
        ]
        parts += [fragment(f"{len(keys) - SHOWN_KEYS} more")] if len(keys) > SHOWN_KEYS else []
        return Html(", ".join(parts))


def keys_of(value: Json) -> list[int]:
    """The ids that history keeps of a link, to one record or to many; of what the field held as another kind, none."""
    return [key for key in (value if isinstance(value, list) else [value]) if isinstance(key, int)]


def noted_file(value: Json) -> Json:
    """A file as history keeps it, for people."""
    match value:
        case {"name": str(name), "size": int(size)}:
            return f"{name} ({size:,} bytes)"
        case _:
            return value


class Records(Pages):
    """The page of one record, and what its buttons do."""

    bases = ("/browse",)

    def routes(self) -> Iterator[Route]:
        for end in ("", "/"):
            yield Route(ALL_METHODS, f"/browse/<table>/<key>{end}", self.of_record)

    def of_record(self, request: Request, table: str, key: str) -> Reply:
        """`/browse/<table>/<id>`: a record in any state; POST archives, restores, deletes or undoes."""
        found, number = self.find_table(table), number_of(key)
        match request.method:
            case "GET" | "HEAD":
                return self.show_record(request, self.names(found), number)
            case "POST":
                return self.act(request, found, number)
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    def read_record(self, request: Request, names: Names, number: int) -> Row:
        """All that a page shows of a record but its many links. ApiError `not_found`."""
        table = names.table
        moments = {"created": "_created", "modified": "_modified", "status": "_status"}
        pairs: list[tuple[str, Shape]] = [
            (word, Col(Path((), table.system[name]))) for word, name in moments.items() if name in table.system
        ]
        links = {word: table.system_links[f"_{word}"] for word in ("created_by", "modified_by", "owner")}
        pairs += [(word, Sub(link, user_name(link.target), many=False)) for word, link in links.items()]
        values = tuple(
            (name, shape_of(member)) for name in table.members if (member := names.find(name)) and not is_many(member)
        )
        shape = Obj((("record", reference(table)), *pairs, ("values", Obj(values))))
        rows = self.run(request, Select(table, shape, by_number(table, number), single=True)).rows
        if not rows:
            raise fail("not_found")
        return rows[0]

    def show_record(self, request: Request, names: Names, number: int) -> Reply:
        """A record: its values, its links, what can be done with it, what became of it."""
        given = self.parameters(request, "done", "older")
        row = self.read_record(request, names, number)
        record, table = json.loads(row.text), names.table
        timeline = _Timeline(self, request, names, number)
        entries = timeline.read(number_of(given["older"]) if "older" in given else 0)
        may_undo = "older" not in given and self.rights.allows(table, "update")
        can_undo = may_undo and timeline.undo(entries) is not None
        undo = self.action(request, row, table, "undo", "Undo this change") if can_undo else None
        status = record.get("status") or 0
        back = element("a", table.title, href=f"/browse/{table.name}")
        badge = element("span", STATUS_WORDS[status], class_="badge") if table.archive else None
        content = fragment(
            done_note(given),
            element("p", back, f" #{number} ", badge, class_="quiet"),
            self.actions(request, row, table, status),
            self.values(names, record, number),
            *self.linked(request, names, number),
            element("h2", "History", id="history"),
            self.origin(record),
            timeline.show(entries, undo),
        )
        return self.show(request, label_of(record["record"]), content)

    def origin(self, record: Mapping[str, Json]) -> Html:
        """Who made and changed a record, when, and whose it is."""
        makers = [f" by {record[word]}, " if record[word] else " " for word in ("created_by", "modified_by")]
        created, modified = shown_moment(record["created"]), shown_moment(record["modified"])
        owner = f"; owned by {record['owner']}" if record["owner"] else ""
        return element("p", "Created", makers[0], created, "; modified", makers[1], modified, owner, class_="quiet")

    def values(self, names: Names, record: Mapping[str, Json], number: int) -> Html:
        """The fields and unique links of a record."""
        rows = []
        for name, value in record["values"].items():
            member = names.find(name)
            assert member
            content = shown(member, value)
            if isinstance(member, Link) and member.is_file and value is not None:
                content = element("a", content, href=f"{record_address(names.table, number)}/file/{name}")
            elif isinstance(member, Field) and member.kind.name == "json" and value is not None:
                content = element("code", json.dumps(value, indent=2, ensure_ascii=False))
            rows.append(fragment(element("dt", member.title), element("dd", content)))
        return element("dl", *rows, id="values")

    def linked(self, request: Request, names: Names, number: int) -> Iterator[Html]:
        """The first records of each link to many."""
        table = names.table
        links = [link for link in table.links.values() if is_many(link) and names.find(link.name)]
        selects = (
            Select(
                link.target,
                reference(link.target),
                page=Page(LINKED_SIZE),
                total=True,
                parent=Parent(link, Key(table.id, number)),
            )
            for link in links
        )
        for link, part in zip(links, self.look_up(request, selects), strict=True):
            records = (json.loads(row.text) for row in part.rows)
            items = [element("li", shown(Link("", table, link.target, many=False), record)) for record in records]
            every = element("a", f"All {part.total:,}", href=f"{record_address(table, number)}/links/{link.name}")
            may_add = link.back and self.rights.allows(link.target, "create")
            new = f"/browse/{link.target.name}/new?{link.back.name}={number}" if link.back and may_add else None
            yield fragment(
                element("h2", link.title),
                element("ul", *items) if items else element("p", "None.", class_="quiet"),
                element(
                    "p", every if items else None, element("a", "Add one", href=new) if new else None, class_="bar"
                ),
            )

    # -- what can be done with a record --

    def action(self, request: Request, row: Row, table: Table, word: str, label: str) -> Html:
        """A button that does something to a record, in the version that is shown."""
        style = "bad" if word == "delete" else None
        button = element("button", label, name="_do", value=word, class_=style)
        return self.form(request, record_address(table, row.key), self.hidden("_version", row.version), button)

    def actions(self, request: Request, row: Row, table: Table, status: int) -> Html:
        """The buttons for a record: for what the actor may do to some records of the table."""
        words = {"archive": "Archive", "trash": "Put into the trash"} if status == ACTIVE else {"restore": "Restore"}
        may_archive = table.archive and self.rights.allows(table, "archive")
        buttons = [self.action(request, row, table, *pair) for pair in words.items()] if may_archive else []
        if self.rights.allows(table, "update"):
            edit = element("a", "Edit", href=f"{record_address(table, row.key)}/edit", class_="button main")
            buttons.insert(0, edit)
        if self.rights.allows(table, "delete"):
            delete = self.action(request, row, table, "delete", "Delete for good")
            buttons.append(element("details", element("summary", "Delete …", class_="button"), delete))
        return element("div", *buttons, class_="bar")

    def act(self, request: Request, table: Table, number: int) -> Reply:
        """What a button of a record's page asks for."""
        given = self.entries(self.read_form(request), "_do", "_version")
        version, word = version_of(given.get("_version", "")), given.get("_do", "")
        found = Select(table, Const(None), by_number(table, number), single=True)
        statuses: Mapping[str, Status] = {"archive": ARCHIVED, "trash": TRASH, "restore": ACTIVE}
        if word in statuses:
            op: Operation = Archive(table, by_number(table, number), statuses[word], version)
        elif word == "delete":
            op = Delete(table, by_number(table, number), expect=version)
        elif word == "undo":
            op = self.undo(request, table, number, version)
        else:
            raise fail("bad_parameter", name="_do", value=word[:100], reason="use a button of the page")
        if not self.run(request, Batch((found, op))).parts[0].rows:
            raise fail("not_found")
        address = f"/browse/{table.name}" if word == "delete" else record_address(table, number)
        return redirect(f"{address}?done={word}")

    def undo(self, request: Request, table: Table, number: int, version: int) -> Operation:
        """The operation that takes the last change of a record back."""
        names = self.names(table)
        self.read_record(request, names, number)
        timeline = _Timeline(self, request, names, number)
        values = timeline.undo(timeline.read())
        if values is None:
            raise fail("refused", text="The last change of this record cannot be undone")
        return Update(table, by_number(table, number), values.fields, values.links, Const(None), expect=version)


# ======================================================================================================================
# 27  Forms
#
# The forms that make and change records. A control for each field by its kind; a field is changed when it comes back
# with something else than was shown, so that a form never writes what nobody touched. Messages stand at the fields.
# ======================================================================================================================

OPTIONS_SIZE = 100
LINE_LENGTH = 100


class Choices(NamedTuple):
    """What a form offers for a link: what is linked, and what can be; None where that is too much."""

    linked: Mapping[str, str]
    options: Mapping[str, str] | None


def one_line(value: str) -> bool:
    """Whether an item of a list can stand as a line among others."""
    return bool(value.strip()) and "\n" not in value and "\r" not in value and not value.startswith("[")


def entry_text(member: Field, value: Json) -> str:
    """A value as it stands in its control, lines ending as a browser sends them."""
    kind = member.kind.name
    if kind == "moment":
        return str(value)[:19] if str(value).endswith(".000Z") else str(value)[:23]
    if kind == "list" and all(isinstance(item, str) and one_line(item) for item in value):
        return "\n".join(value)
    if kind == "json" and not member.choices:
        return json.dumps(value, indent=2, ensure_ascii=False)
    text = value if isinstance(value, str) else dump_json(value)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def entries_of(member: Field, value: Json) -> list[str]:
    """What the control of a field holds; nothing for null, and for a box that is not ticked."""
    if value is None or member.write_only or (member.kind.name == "boolean" and value is False):
        return []
    if member.kind.name == "choices":
        return [item if isinstance(item, str) else dump_json(item) for item in value]
    return [text] if (text := entry_text(member, value)) else []


class RecordForm:
    """A form for one record: `first` is what it shows before anybody writes, `entered` what it shows now."""

    def __init__(self, names: Names, choices: Mapping[Link, Choices], first: Mapping[str, list[str]]) -> None:
        self.names, self.choices, self.first = names, choices, dict(first)
        self.entered = dict(first)
        self.uploads: dict[str, Upload] = {}
        self.version: int | None = None
        self.messages: dict[str, list[str]] = {}
        self.top: list[str] = []

    @functools.cached_property
    def members(self) -> dict[str, Field | Link]:
        """What can be edited: all that can be set, but for links of which too many are linked."""
        table = self.names.table
        found = {name: self.names.find(name, writing=True) for name in table.members}
        return {
            name: member
            for name, member in found.items()
            if member
            and self.names.may_set(member)
            and (isinstance(member, Field) or member.is_file or member in self.choices)
        }

    def is_multiple(self, member: Field | Link) -> bool:
        """Whether several values are chosen in a list."""
        if isinstance(member, Link):
            return member.many and self.choices[member].options is not None
        return member.kind.name == "choices"

    def is_needed_box(self, name: str) -> bool:
        """Whether a member is true or false, and never null."""
        member = self.members[name]
        return isinstance(member, Field) and member.kind.name == "boolean" and member.required and not member.choices

    def enter(self, form: Entered) -> None:
        """Take over what was sent. ApiError names a field that the form does not have."""
        for name, values in form.items():
            if name not in self.members or self.is_file(name):
                raise fail("unknown_parameter", name=name[:100], hint=did_you_mean(name, self.members))
            kept = values if self.is_multiple(self.members[name]) else values[-1:]
            self.entered[name] = [value for value in kept if value]

    def is_file(self, name: str) -> bool:
        """Whether a member is a file."""
        member = self.members.get(name)
        return isinstance(member, Link) and member.is_file

    def attach(self, files: Mapping[tuple[str, ...], Upload]) -> None:
        """Take over the files that were sent. ApiError names one that the form has no place for."""
        for keys, upload in files.items():
            name = format_brackets(keys)
            if not self.is_file(name):
                raise fail("bad_parameter", name=name[:100], value=upload.name, reason="it takes no file")
            self.uploads[name] = upload

    def clear(self, names: Iterable[str]) -> None:
        """Take files away. ApiError names what is none."""
        for name in names:
            if not self.is_file(name):
                raise fail("bad_parameter", name="_clear", value=name[:100], reason="it is no file")
            self.entered[name] = []

    def changes(self) -> dict[str, Json]:
        """What was sent and is not what was shown, as a body. A file is replaced by another one, or taken away."""
        changed = {
            name: self.value(member)
            for name, member in self.members.items()
            if sorted(self.entered.get(name, [])) != sorted(self.first.get(name, []))
        }
        return changed | self.uploads

    def value(self, member: Field | Link) -> Json:
        """What was entered for a member, as the reader of bodies takes it from forms."""
        values = self.entered.get(member.name, [])
        if self.is_multiple(member):
            return values
        text = values[0] if values else None
        if isinstance(member, Link):
            return re.split(r"[\s,;]+", text.strip(" ,;")) if text and member.many else text
        if member.kind.name == "boolean" and not member.choices:
            return text or "false"
        if member.kind.name == "list" and text and not text.startswith("["):
            return [line for line in text.split("\n") if line]
        return text

    def say(self, pages: Pages, violations: Iterable[Violation]) -> None:
        """Put messages at their fields; what belongs to none of them goes to the top."""
        for fault in violations:
            name = str(fault.path[0]) if fault.path else ""
            if name in self.members:
                self.messages.setdefault(name, []).append(pages.message(fault))
            else:
                self.top.append(fault.message())

    # -- HTML --

    def fields(self) -> Html:
        """The controls, below what is wrong."""
        wrong = [
            element("a", member.title, href=f"#field-{name}")
            for name, member in self.members.items()
            if name in self.messages
        ]
        notes = [note(sentence(message), bad=True) for message in self.top]
        if wrong:
            notes.append(note("Look again at ", Html(", ".join(wrong)), ".", bad=True))
        return fragment(*notes, *(self.field(name, member) for name, member in self.members.items()))

    def field(self, name: str, member: Field | Link) -> Html:
        """One control with its label, what is wrong with it, and what its schema says of it."""
        messages = self.messages.get(name, [])
        has_file = self.is_file(name) and bool(self.first.get(name))
        state = {
            "aria_invalid": "true" if messages else None,
            "aria_describedby": f"wrong-{name}" if messages else None,
            "required": (member.required and not self.is_multiple(member) and not has_file) or None,
        }
        control = self.link_control(member, state) if isinstance(member, Link) else self.control(member, state)
        wrong = element("p", sentence("; ".join(messages)), class_="wrong", id=f"wrong-{name}") if messages else None
        about = member.schema.get("description")
        hint = element("p", str(about), class_="quiet") if about else None
        star = " *" if member.required else ""
        return labelled(f"{member.title}{star}", control, name, wrong, hint)

    def control(self, member: Field, state: Mapping[str, str | bool | None]) -> Html:
        """The control for a field, by its kind."""
        name, entered, kind = member.name, self.entered.get(member.name, []), member.kind.name
        unset = element("input", type="hidden", name=name, value="")
        if kind == "boolean" and not member.choices:
            state = {**state, "required": None}
            box = element(
                "input", type="checkbox", name=name, id=f"field-{name}", value="true", checked=bool(entered), **state
            )
            return fragment(unset, box)
        if member.choices:
            options = options_of(member)
            options += [(value, value) for value in entered if value not in dict(options)]
            if self.is_multiple(member):
                return fragment(unset, choice(name, options, entered, multiple=True, **state))
            return choice(name, [("", ""), *options], entered, **state)
        text = entered[0] if entered else ""
        if kind in ("json", "list") or "\n" in text or len(text) > LINE_LENGTH or is_long(member):
            start = "\n" if text.startswith("\n") else ""  # a browser drops the first one
            hint = "One in each line." if kind == "list" else None
            area = element("textarea", start, text, name=name, id=f"field-{name}", **state)
            return fragment(area, element("span", hint, class_="quiet") if hint else None)
        return self.line_control(member, text, state)

    def line_control(self, member: Field, text: str, state: Mapping[str, str | bool | None]) -> Html:
        """A control of one line."""
        kinds = {"date": "date", "moment": "datetime-local", "time": "time", "password": "password"}
        kind = member.kind.name
        hints = {"moment": "UTC", "time": "UTC"}
        hint = "Never shown. Left empty it stays as it is." if member.write_only else hints.get(kind)
        control = element(
            "input",
            name=member.name,
            id=f"field-{member.name}",
            type=kinds.get(kind, "text"),
            value=text,
            step=".001" if kind == "moment" and "." in text else "1" if kind in ("moment", "time") else None,
            inputmode={"integer": "numeric", "number": "decimal", "email": "email", "uri": "url"}.get(kind),
            autocomplete="new-password" if kind == "password" else "off",
            **({**state, "required": None} if member.write_only and self.version is not None else state),
        )
        return fragment(control, element("span", hint, class_="quiet") if hint else None)

    def file_control(self, link: Link, state: Mapping[str, str | bool | None]) -> Html:
        """A place for another file, and where there is one its name and a box that takes it away."""
        name, there = link.name, self.first.get(link.name, [])
        accept = link.schema.get("contentMediaType")
        control = element("input", type="file", name=name, id=f"field-{name}", accept=accept, **state)
        if not there:
            return control
        kept = element("span", "Now: ", *there, class_="quiet")
        if link.required:
            return fragment(kept, control)
        box = element("input", type="checkbox", name="_clear", value=name, id=f"clear-{name}")
        return fragment(kept, control, element("label", box, " Take it away"))

    def link_control(self, link: Link, state: Mapping[str, str | bool | None]) -> Html:
        """A list of records to choose from, or their numbers where there are too many; of a file another one."""
        if link.is_file:
            return self.file_control(link, state)
        name, entered, (linked, options) = link.name, self.entered.get(link.name, []), self.choices[link]
        if options is not None:
            rows = {**{value: f"#{value}" for value in entered}, **options, **linked}
            pairs = sorted(rows.items(), key=lambda pair: pair[1].lower())
            style = "search" if len(rows) > 10 else None
            if link.many:
                unset = element("input", type="hidden", name=name, value="")
                return fragment(unset, choice(name, pairs, entered, multiple=True, class_=style, **state))
            return choice(name, [("", ""), *pairs], entered, class_=style, **state)
        control = element("input", name=name, id=f"field-{name}", value=", ".join(entered), autocomplete="off", **state)
        labels = f" Now: {', '.join(linked.values())}." if linked else ""
        table = element("a", link.target.title, href=f"/browse/{link.target.name}", target="_blank")
        hint = "Numbers of records of " if link.many else "The number of a record of "
        return fragment(control, element("span", hint, table, ".", labels, class_="quiet"))


def read_choice(link: Link, value: Json) -> Change:
    """The new state of a link from a form: a number or none, or a list of numbers."""
    items = []
    for text in value if isinstance(value, list) else [] if value is None else [value]:
        match = re.fullmatch(r"#?(\d{1,15})", text, re.ASCII)
        if not match:
            raise fail("bad_value", (), value=text[:100], expected="the number of a record")
        items.append(Item(Key(link.target.id, int(match[1]))))
    return Change("replace", tuple(items), "move")


class Editor(Pages):
    """The pages with the forms that make and change records."""

    bases = ("/browse",)
    takes_files = True

    def routes(self) -> Iterator[Route]:
        for end in ("", "/"):
            yield Route(ALL_METHODS, f"/browse/<table>/new{end}", self.of_new)
            yield Route(ALL_METHODS, f"/browse/<table>/<key>/edit{end}", self.of_edit)

    def of_new(self, request: Request, table: str) -> Reply:
        """`/browse/<table>/new`: the form for a new record; parameters fill fields in."""
        names = self.names(self.find_table(table))
        defaults = {
            name: entries_of(column, column.schema["default"])
            for name, column in names.table.fields.items()
            if column.schema.get("default") is not None
        }
        form = RecordForm(names, self.choices(request, names, None), defaults)
        match request.method:
            case "GET" | "HEAD":
                form.enter(form_of(request.parameters))
                return self.show_new(request, form)
            case "POST":
                self.enter(request, form, self.read_form(request))
                return self.create(request, form)
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    def enter(self, request: Request, form: RecordForm, sent: Entered) -> None:
        """Put what was sent into a form."""
        cleared = sent.pop("_clear", [])
        form.enter(sent)
        form.clear(cleared)
        form.attach(request.form.files if request.form else {})

    def show_new(self, request: Request, form: RecordForm, status: int = 200) -> Reply:
        """The form for a new record."""
        table = form.names.table
        return self.show_form(request, f"New record in {table.title}", form, f"/browse/{table.name}", status)

    def show_form(self, request: Request, title: str, form: RecordForm, back: str, status: int) -> Reply:
        """A form with its buttons."""
        buttons = (
            element("button", "Save", class_="main"),
            element("a", "Cancel", href=back, class_="button"),
        )
        version = None if form.version is None else self.hidden("_version", form.version)
        bar = element("div", *buttons, class_="bar")
        kind = "multipart/form-data" if any(map(form.is_file, form.members)) else "application/x-www-form-urlencoded"
        content = self.form(request, request.path, version, form.fields(), bar, class_="sheet", enctype=kind)
        return self.show(request, title, content, status)

    def create(self, request: Request, form: RecordForm) -> Reply:
        """Make the record that a form describes; a box that is not ticked is false where a value is needed."""
        body = form.changes()
        body |= {name: "false" for name in form.members if name not in form.first | body and form.is_needed_box(name)}
        table = form.names.table
        values = read_values(form.names, body, read_choice, text=True)
        op = Create(table, values.fields, values.links, Const(None), faults=tuple(values.faults))
        try:
            key = self.run(request, op).rows[0].key
        except ApiError as error:
            return self.show_new(request, self.corrected(form, error), 422)
        return redirect(f"{record_address(table, key)}?done=created")

    def corrected(self, form: RecordForm, error: ApiError) -> RecordForm:
        """The form with what is wrong about it; other errors are raised again."""
        if error.status != 400:
            raise error
        form.say(self, error.violations)
        return form

    def of_edit(self, request: Request, table: str, key: str) -> Reply:
        """`/browse/<table>/<id>/edit`: the form for a record."""
        names = self.names(self.find_table(table))
        number = number_of(key)
        match request.method:
            case "GET" | "HEAD":
                self.parameters(request)
                return self.show_edit(request, self.form_of(request, names, number), number)
            case "POST":
                return self.update(request, names, number)
            case _:
                raise not_allowed(request, "GET, HEAD, POST")

    def update(self, request: Request, names: Names, number: int) -> Reply:
        """Change what a form says otherwise than the record, unless somebody has changed the record meanwhile."""
        sent = self.read_form(request)
        version = version_of("".join(sent.pop("_version", [])))
        form = self.form_of(request, names, number)
        self.enter(request, form, sent)
        if version != form.version:
            return self.show_conflict(request, form, number)
        values = read_values(names, form.changes(), read_choice, text=True)
        where, faults = by_number(names.table, number), tuple(values.faults)
        op = Update(names.table, where, values.fields, values.links, Const(None), expect=version, faults=faults)
        try:
            self.run(request, op)
        except ApiError as error:
            return self.show_edit(request, self.corrected(form, error), number, 422)
        return redirect(f"{record_address(names.table, number)}?done=saved")

    def show_conflict(self, request: Request, form: RecordForm, number: int) -> Reply:
        """The form as it was sent, and at each field where that is something else what the record has now."""
        form.top.append("The record has changed since this form was opened. Saving again puts your values over it")
        for name in form.changes():
            form.messages[name] = [f"The record has now: {', '.join(form.first.get(name, [])) or 'nothing'}"]
        return self.show_edit(request, form, number, 412)

    def show_edit(self, request: Request, form: RecordForm, number: int, status: int = 200) -> Reply:
        """The form for a record."""
        table = form.names.table
        title = f"Edit #{number} in {table.title}"
        return self.show_form(request, title, form, record_address(table, number), status)

    def form_of(self, request: Request, names: Names, number: int) -> RecordForm:
        """The form with what a record holds. ApiError `not_found`."""
        table = names.table
        fields = {name: column for name, column in table.fields.items() if names.find(name)}
        pairs: list[tuple[str, Shape]] = [(name, Col(Path((), column))) for name, column in fields.items()]
        files = [link for link in table.files if names.find(link.name)]
        pairs += [(link.name, Col(Path((link,), link.target.fields["name"]))) for link in files]
        rows = self.run(request, Select(table, Obj(tuple(pairs)), by_number(table, number), single=True)).rows
        if not rows:
            raise fail("not_found")
        record, choices = json.loads(rows[0].text), self.choices(request, names, number)
        first = {name: entries_of(column, record[name]) for name, column in fields.items()}
        first |= {link.name: [record[link.name]] for link in files if record[link.name] is not None}
        for link, (linked, options) in choices.items():
            keys = list(linked)
            first[link.name] = [", ".join(keys)] if link.many and options is None and keys else keys
        form = RecordForm(names, choices, first)
        form.version = rows[0].version
        return form

    def choices(self, request: Request, names: Names, number: int | None) -> dict[Link, Choices]:
        """What is offered for each link of a form; a link to too many records is left out."""
        table = names.table
        links = [link for link in table.links.values() if names.find(link.name) and not link.is_file]
        linked = self.linked(request, table, links, number) if number is not None else [{} for _ in links]
        scope = Scope("no", On(self.today()))
        selects = []
        for link in links:
            order = (Sort(Path((), link.target.label or link.target.id), case="ascii"),)
            page = Page(OPTIONS_SIZE + 1)
            selects.append(Select(link.target, reference(link.target), scope=scope, sort=order, page=page))
        found = map(labels_of, self.look_up(request, selects))
        return {
            link: Choices(now, options if len(options) <= OPTIONS_SIZE else None)
            for link, now, options in zip(links, linked, found, strict=True)
            if len(now) <= OPTIONS_SIZE
        }

    def linked(self, request: Request, table: Table, links: Sequence[Link], number: int) -> list[dict[str, str]]:
        """The records that each link leads to, up to one more than can be offered."""
        key, page = Key(table.id, number), Page(OPTIONS_SIZE + 1)
        selects = (Select(link.target, reference(link.target), page=page, parent=Parent(link, key)) for link in links)
        return list(map(labels_of, self.look_up(request, selects)))


def labels_of(outcome: Outcome) -> dict[str, str]:
    """The labels of records by their ids, as they stand in a form."""
    return {str(row.key): label_of(json.loads(row.text)) for row in outcome.rows}


# ======================================================================================================================
# 28  App
#
# `make_app` puts the parts together to a WSGI application; Bottle finds the route, and its request and response
# objects are left out. Who may write from another origin, which host names are answered and which proxies are believed
# is decided here, before any dialect. Each request has an id, which its answer and the log tell; a line of the log
# holds no secret and cannot pass for another one.
# ======================================================================================================================

StartResponse: TypeAlias = Callable[..., Any]
PAGES: tuple[type[Pages], ...] = (Door, Lists, Editor, Records)
SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "private, no-cache"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
HEALTH = "/health/"
HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", re.ASCII | re.IGNORECASE)
SECRET = re.compile(r"passw|token|secret|api_?key|authoriz|cookie|\bsid\b|mrt_", re.ASCII | re.IGNORECASE)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
CORS_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"


Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Policy:
    """Which pages and host names are served, and which proxies are believed.

    `origins` may call from a browser ("*": all, without authentication only). `hosts` are the names in the Host header
    that are answered; None means any, for an application that is part of another. `proxies` may say whom they speak
    for.
    """

    auth: bool = True
    origins: frozenset[str] = frozenset()
    hosts: frozenset[str] | None = None
    proxies: tuple[Network, ...] = ()

    def trusts(self, address: str) -> bool:
        """Whether an address is one of our proxies. ValueError when it is none at all."""
        found = ipaddress.ip_address(address)
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found in network for network in self.proxies)

    def before_proxies(self, environ: dict[str, Any]) -> dict[str, Any]:
        """The environment as it was before our proxies. ApiError when one of them says what cannot be read.

        Each proxy adds at the end of X-Forwarded-For whom it speaks for; what stands before the last address that is
        no proxy of ours was written by a stranger. Other peers' headers are left alone, and nothing here reads them.
        """
        with contextlib.suppress(ValueError):  # a socket of the file system has no address
            if self.proxies and self.trusts(environ.get("REMOTE_ADDR", "")):
                return environ | self.forwarded(environ)
        return environ

    def forwarded(self, environ: Mapping[str, Any]) -> dict[str, Any]:
        """What one of our proxies says: the client's address, scheme and host."""
        changed: dict[str, Any] = {}
        try:
            for address in reversed(environ.get("HTTP_X_FORWARDED_FOR", environ["REMOTE_ADDR"]).split(",")):
                changed["REMOTE_ADDR"] = address.strip()
                if not self.trusts(address.strip()):
                    break
        except ValueError:
            raise fail("bad_header", name="X-Forwarded-For", reason="write addresses, with commas") from None
        scheme, host = environ.get("HTTP_X_FORWARDED_PROTO"), environ.get("HTTP_X_FORWARDED_HOST")
        if scheme is not None:
            if scheme.lower() not in ("http", "https"):
                raise fail("bad_header", name="X-Forwarded-Proto", reason="write http or https")
            changed["wsgi.url_scheme"] = scheme.lower()
        if host is not None:
            if not HOST.fullmatch(host):
                raise fail("bad_header", name="X-Forwarded-Host", reason="write one host")
            changed["HTTP_HOST"] = host
        return changed

    def check_host(self, request: Request) -> None:
        """ApiError `wrong_host` for a name that is not ours; another site can point a name of its own here."""
        name = request.host.rsplit(":", 1)[0] if not request.host.endswith("]") else request.host
        if self.hosts is not None and name.lower() not in self.hosts:
            raise fail("wrong_host", host=name[:100])

    def allows(self, origin: str) -> bool:
        """Whether pages of an origin may call."""
        return "*" in self.origins or origin in self.origins

    def may_write(self, request: Request) -> None:
        """ApiError `cross_site` when a page of another origin tries to change something."""
        if request.origin is not None and not self.allows(request.origin):
            raise fail("cross_site", origin=request.origin[:200])

    def cors_headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers that let an allowed page read the answer."""
        origin = request.header("Origin")
        if "*" in self.origins:
            return (("Access-Control-Allow-Origin", "*"), ("Access-Control-Expose-Headers", "ETag, Location"))
        if not self.origins:
            return ()
        if origin not in self.origins:
            return (("Vary", "Origin"),)
        exposed = ("Access-Control-Expose-Headers", "ETag, Location")
        return (("Access-Control-Allow-Origin", str(origin)), ("Vary", "Origin"), exposed)

    def preflight(self, request: Request) -> Reply:
        """The answer to a browser's question before a request of another origin; it carries no credentials."""
        if not self.allows(str(request.header("Origin"))):
            raise fail("cross_site", origin=str(request.header("Origin"))[:200])
        headers = str(request.header("Access-Control-Request-Headers") or "Authorization, Content-Type, If-Match")
        allowed = re.sub(r"[^A-Za-z0-9, -]", "", headers)[:500]
        answer = (
            ("Access-Control-Allow-Methods", CORS_METHODS),
            ("Access-Control-Allow-Headers", allowed),
            ("Access-Control-Max-Age", "600"),
        )
        return Reply(204, headers=answer)


def loggable(text: str) -> str:
    """A text in quotes, in printable ASCII: it can neither end a line nor turn its direction.

    >>> print(loggable("a\\n\u202e"))
    "a\\n\\u202e"
    """
    return json.dumps(text).replace("\x7f", "\\u007f")


def without_secrets(query: str) -> str:
    """A query for the log: what names or seems to hold a secret has lost its value, however it is encoded.

    >>> without_secrets("a=1&%74oken=x&data[password]=y&filter={%22secret%22:1}")
    'a=1&%74oken=...&data[password]=...&filter=...'
    """

    def shown(part: str) -> str:
        name, _, value = part.partition("=")
        return f"{name}=..." if SECRET.search(unquote_to_bytes(name + value).decode("latin-1")) else part

    return "&".join(map(shown, query.split("&")))


def log_request(number: str, environ: Mapping[str, Any], status: int, started: float, user: str = "-") -> None:
    """A line for a request: its id, method, address, status, time, and who asked."""
    if not request_log.isEnabledFor(logging.INFO):
        return
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    path = re.sub(rf"{TOKEN_PREFIX}\w+", f"{TOKEN_PREFIX}...", path)
    query = without_secrets(environ.get("QUERY_STRING", ""))
    address = loggable(f"{path}?{query}" if query else path)
    method = loggable(environ.get("REQUEST_METHOD", "-")[:20])[1:-1]
    milliseconds = (time.perf_counter() - started) * 1000
    request_log.info("%s %s %s %d %.1f ms %s", number, method, address, status, milliseconds, user)


class Application:
    """A WSGI application over one store. Made by `make_app`; `close` it when it is done."""

    def __init__(
        self, services: Services, policy: Policy, dialects: Sequence[str], limits: BodyLimits = BODY_LIMITS
    ) -> None:
        self.services, self.policy, self.limits = services, policy, limits
        self.schema, self.store, self.accounts, self.hub = (
            services.schema,
            services.store,
            services.accounts,
            services.hub,
        )
        self.dialects = [DIALECTS[name](services) for name in dialects]
        self.pages = [Overview(services, self.dialects), *(part(services) for part in PAGES)]
        self.stopping = False
        self.router, self.own_router = self.make_routers()

    def make_routers(self) -> tuple[bottle.Bottle, bottle.Bottle]:
        """An empty Bottle for the routes of an embedding program, which go first, and the one with ours."""
        import bottle

        router = bottle.Bottle()
        router.router.add_filter("path", lambda _: (r"[\s\S]+?", None, None))  # Bottle's own ends at a line feed
        routes = [Route(ALL_METHODS, f"{HEALTH}{name}", self.of_health, public=True) for name in ("live", "ready")]
        routes += Downloads(self.store).routes()
        routes += [route for part in (*self.pages, *self.dialects) for route in part.routes()]
        routes.sort(key=lambda route: (route.rule.find("<"), ":path>" not in route.rule), reverse=True)
        for route in routes:  # most specific first
            for method in route.methods:
                router.route(route.rule, method, route.handler, public=route.public)
        return bottle.Bottle(), router

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        started, number, request = time.perf_counter(), secrets.token_hex(8), None
        try:
            environ = self.policy.before_proxies(environ)
            request = Request(environ, self.limits)
            with self.store.database.request():
                reply = self.answer(request)
            if reply is None:
                return self.router(environ, start_response)  # type: ignore[no-any-return]
        except Exception as error:
            reply = self.failure(request, environ.get("PATH_INFO", ""), error, number)
        finally:
            if request and request.form:
                request.form.close()
        user = loggable(request.actor.name) if request and request.actor.name else "-"
        log_request(number, environ, reply.status, started, user)
        start_response(status_line(reply.status), self.headers(request, reply, number))
        if environ.get("REQUEST_METHOD") == "HEAD":
            return [b""]
        return reply.stream.pieces if reply.stream else [reply.body]

    def answer(self, request: Request) -> Reply | None:
        """The reply to a request, None when it is a route of the embedding program."""
        if not request.path.startswith(HEALTH):  # a probe may know nothing but our address
            self.policy.check_host(request)
        if request.method == "OPTIONS" and request.header("Origin") and request.header("Access-Control-Request-Method"):
            return self.policy.preflight(request)
        if self.router.routes and self.match(self.router, request):
            return None
        found = self.match(self.own_router, request)
        if found is None or not found[0].config.get("public"):
            self.services.authenticate(request)
        if found is None:
            raise self.no_route(request)
        route, names = found
        return as_seen(route.callback, request.actor)(request, **names)

    def match(self, router: bottle.Bottle, request: Request, method: str = "") -> tuple[Any, dict[str, str]] | None:
        """The route for a request and the names in its address; None when there is none."""
        import bottle

        try:
            found: tuple[Any, dict[str, str]] = router.match(
                {"REQUEST_METHOD": method or request.method, "PATH_INFO": request.path}
            )
        except bottle.HTTPError:
            return None
        return found

    def no_route(self, request: Request) -> ApiError:
        """The error for an address that there is not, or not for this method."""
        methods = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")
        allowed = ", ".join(method for method in methods if self.match(self.own_router, request, method))
        return not_allowed(request, allowed) if allowed else fail("not_found")

    def of_health(self, request: Request) -> Reply:
        """`/health/live` and `/health/ready`: whether there is a process, and whether it takes requests."""
        if request.method not in ("GET", "HEAD"):
            raise not_allowed(request, "GET, HEAD")
        if self.stopping and request.path.endswith("ready"):
            return json_reply('{"status":"stopping"}', 503)
        return json_reply('{"status":"ok"}')

    def failure(self, request: Request | None, path: str, error: Exception, number: str) -> Reply:
        """What went wrong, as a page or in the dialect whose address it is; unknown errors are logged with the id."""
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.IntegrityError):
            with contextlib.suppress(sqlite3.Error):
                error = storage_error(error)
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            error = fail("storage", reason="the disk is full")
        if not isinstance(error, ApiError):
            log.error("request %s failed", number, exc_info=error)
            error = fail("internal", request=number)
        page = next((page for page in self.pages if request and page.owns(request)), None)
        if page and request:
            return page.failure(request, error)
        return self.dialect_at(path).error(error)

    def dialect_at(self, path: str) -> Dialect:
        """The dialect whose address a path is: the one with the longest base that fits."""
        bases = ((base, dialect) for dialect in self.dialects for base in dialect.bases)
        fitting = [
            (len(base), number, dialect)
            for number, (base, dialect) in enumerate(bases)
            if f"{path}/".startswith(f"{base}/")
        ]
        return max(fitting)[2] if fitting else self.dialects[0]

    def headers(self, request: Request | None, reply: Reply, number: str) -> list[tuple[str, str]]:
        """All headers of an answer."""
        headers = headers_of(reply, number)
        if request:
            headers += self.policy.cors_headers(request)
        return headers

    def action(self, table: str, name: str) -> Callable[[ActionFunction], ActionFunction]:
        """Make a function an action of Qore on the records of a table: `@app.action("contacts", "send_invoice")`.

        It gets the record's id (a number), the values of the request and who asks. The text that it returns is the
        answer's message. An `ApiError` that it raises is answered as one. ValueError for a table that there is not and
        for a name that is taken.
        """
        found = self.schema.tables.get(table.lower())
        if found is None:
            raise ValueError(f"there is no table {table!r}")
        if not NAME.fullmatch(name) or name in QORE_ACTIONS or (found, name) in self.services.actions:
            raise ValueError(f"{name!r} cannot be the name of another action on {found.name}")

        def register(function: ActionFunction) -> ActionFunction:
            self.services.actions[found, name] = function
            return function

        return register

    def close(self) -> None:
        """Close the database."""
        self.stopping = True
        self.store.close()


def headers_of(reply: Reply, number: str) -> list[tuple[str, str]]:
    """The headers of an answer to the request with an id; no client is believed about that."""
    has_body = reply.status not in (101, 204, 304)
    headers = [("Content-Type", reply.content_type), ("Content-Length", str(reply.length))] if has_body else []
    own = {name for name, _ in reply.headers}
    return [
        *headers,
        *(pair for pair in SECURITY_HEADERS if pair[0] not in own),
        *reply.headers,
        ("X-Request-Id", number),
    ]


def status_line(status: int) -> str:
    """A status with its reason."""
    return f"{status} {REASONS.get(status, 'Unknown')}"


REASONS = {status.value: status.phrase for status in HTTPStatus} | {
    421: "Misdirected Request",
    507: "Insufficient Storage",
}


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def read_schema(source: Mapping[str, Json] | str | os.PathLike[str]) -> Schema:
    """Load a schema from a mapping or a file. SchemaError says where it is wrong, OSError that it is not there."""
    if isinstance(source, Mapping):
        return load_schema(source)
    try:
        return load_schema(read_json(FilePath(source).read_bytes()))
    except ApiError as error:
        raise SchemaError("#", f"not a JSON file: {error.violations[0].params['reason']}") from None


def check_rules(schema: Schema) -> None:
    """Read the rules of all tables. SchemaError names the first one that cannot be read."""
    for table in schema.tables.values():
        read_grants(table)
        for name, rule in table.schema.get("x-tabs", {}).items():
            read_filter(table, rule, f"{table.path}/x-tabs/{name}")


class SettingsWords(TypedDict, total=False):
    """The keyword arguments of `make_app`."""

    auth: bool
    strict: bool
    sign_up: bool
    limit_failures: bool
    dialects: Sequence[str] | None
    cors: Iterable[str]
    hosts: Iterable[str] | None
    trusted_proxies: Iterable[str]
    examples: bool
    clock: Callable[[], datetime]
    ping_interval: float
    ping_timeout: float
    max_body: int
    max_upload: int


@dataclass(frozen=True)
class Settings:
    """How an application behaves; the words are those of `make_app`."""

    auth: bool = True
    strict: bool = False
    sign_up: bool = False
    limit_failures: bool = True
    dialects: Sequence[str] | None = None
    cors: Iterable[str] = ()
    hosts: Iterable[str] | None = None
    trusted_proxies: Iterable[str] = ()
    examples: bool = True
    clock: Callable[[], datetime] = utc_now
    ping_interval: float = 25.0
    ping_timeout: float = 60.0
    max_body: int = MAX_BODY_BYTES
    max_upload: int = MAX_UPLOAD_BYTES


def make_app(
    schema: Mapping[str, Json] | str | os.PathLike[str],
    db: str | os.PathLike[str] = ":memory:",
    users: Mapping[str, str] | None = None,
    **settings: Unpack[SettingsWords],
) -> Application:
    """Make a WSGI application that serves the tables of a schema.

    `schema` is a document or the path of one, `db` the path of an SQLite file or ":memory:". `users` maps names to
    passwords; they are made, or given these passwords. The other arguments: `auth` (True: every
    request needs credentials), `strict` (True: refuse what the original servers ignore), `sign_up` (True: strangers may
    make themselves users, where a dialect has a way), `limit_failures` (True: slow down who sends many wrong
    passwords), `dialects` (names; None: all), `cors` (origins whose pages may call), `hosts` (names in the Host header
    that are answered; None: all), `trusted_proxies` (addresses or networks whose X-Forwarded-For, -Proto and -Host are
    believed), `examples` (insert the schema's examples into new tables), `clock` (gives the time with a zone),
    `ping_interval` and `ping_timeout` (seconds: how often clients of a socket give a sign of life, and how much later
    it is missed), `max_body` and `max_upload` (bytes: of JSON and forms, and of a multipart with its files).

    Raises SchemaError (a ValueError) for a schema that cannot be served; ValueError with `auth` and no user; NotOurs
    for a database that minirest did not make; MigrationNeeded when the file needs changes that lose something;
    sqlite3.Error when it cannot be opened. It prints nothing.
    """
    app = open_app(read_schema(schema), os.fspath(db), Settings(**settings))
    try:
        for name, password in (users or {}).items():
            if not app.accounts.has_password(name, password):
                app.accounts.put_user(name, any_password=True, password=password)
        if app.policy.auth and not app.accounts.any_user():
            raise ValueError("authentication is on and there is no user: give users={name: password}, or auth=False")
    except BaseException:
        app.close()
        raise
    return app


def read_network(text: str) -> Network:
    """An address or a network of proxies. ValueError when it is none."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(f"{text!r} is no address of a proxy; write 10.0.0.7, or a network: 10.0.0.0/24") from None


def open_app(schema: Schema, db: str, settings: Settings) -> Application:
    """The application over a database, whether it has users or not."""
    origins = frozenset(settings.cors)
    for origin in origins:
        if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/]+|\*|null", origin):
            raise ValueError(f"{origin!r} is no origin; write https://app.example, without a path")
    if "*" in origins and settings.auth:
        raise ValueError("cors '*' goes without authentication only: name the origins")
    names = list(DIALECTS) if settings.dialects is None else settings.dialects
    unknown = [name for name in names if name not in DIALECTS]
    if unknown or not names:
        raise ValueError(f"unknown dialect {''.join(unknown[:1])!r}; there are {', '.join(DIALECTS)}")
    if min(settings.ping_interval, settings.ping_timeout) <= 0:
        raise ValueError("ping_interval and ping_timeout are seconds, above 0")
    if min(settings.max_body, settings.max_upload) <= 0:
        raise ValueError("max_body and max_upload are bytes, above 0")
    proxies = tuple(map(read_network, settings.trusted_proxies))
    check_rules(schema)
    store = Store(schema, db, settings.clock, settings.examples)
    try:
        hosts = None if settings.hosts is None else frozenset(map(str.lower, settings.hosts))
        for_strangers = any("anonymous" in table.schema["x-rights"] for table in schema.restricted)
        policy = Policy(settings.auth, origins, hosts, proxies)
        accounts = Accounts(store, MAX_FAILURES if settings.limit_failures else math.inf)

        def authenticate(request: Request) -> None:
            if settings.auth:
                is_stranger = for_strangers and not request.has_credentials
                request.actor = ANONYMOUS if is_stranger else accounts.authenticate(request)

        hub = Hub(store, accounts, settings.ping_interval, settings.ping_timeout)
        words = (settings.strict, settings.sign_up, policy.may_write, authenticate)
        limits = BodyLimits(settings.max_body, settings.max_upload)
        return Application(Services(schema, store, accounts, hub, *words), policy, names, limits)
    except BaseException:
        store.close()
        raise


# ======================================================================================================================
# 29  Server
#
# `serve` runs an application on waitress, bound to one address, and stops gracefully. waitress is extended where it is
# made to be: its server, channel, parser and tasks have subclasses of ours, made when they are first needed. A request
# that two servers in a row could read in two ways is refused (`check_head`), in the words of the dialect whose address
# it is, and ends its connection.
# ======================================================================================================================


def serve(
    app: Callable[..., Iterable[bytes]],
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    on_ready: Callable[[str], None] = lambda url: None,
    stop: threading.Event | None = None,
) -> None:
    """Serve a WSGI application on waitress until SIGTERM or SIGINT, or until `stop` is set.

    `port` 0 takes a free one; `on_ready` gets the address when connections are accepted. On the way out sockets are
    closed and requests in flight answered, for at most `STOP_GRACE_SECONDS`. Signals are handled in the main thread
    only. OSError when the address cannot be had.
    """
    server = make_server(app, host, port)
    ended = stop or threading.Event()

    def end(*_: object) -> None:
        ended.set()
        server.pull_trigger()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
    shown = f"[{host}]" if ":" in host else host
    try:
        on_ready(f"http://{shown}:{server.socket.getsockname()[1]}/")
    except BaseException:
        server.close()
        raise
    run_until(server, ended)


def bind_socket(host: str, port: int) -> socket.socket:
    """A socket bound to the first address that the host has. OSError when it cannot be had."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # there it would let two servers have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound


def make_server(app: Callable[..., Iterable[bytes]], host: str, port: int) -> Any:
    """waitress, bound, with settings that hold in the open."""
    ours = app if isinstance(app, Application) else None
    limits = ours.limits if ours else BODY_LIMITS
    buffered = max(MAX_BUFFERED_BYTES, limits.body, limits.upload) + MAX_BODY_BYTES  # our own refusal is worded better
    files = open_files(MAX_CONNECTIONS + 100)
    bound = bind_socket(host, port)
    server = strict_server()(
        app,
        {},
        _sock=bound,
        sockinfo=(bound.family, bound.type, bound.proto, bound.getsockname()),
        bind_socket=False,
        threads=8,
        connection_limit=max(files - 100, files // 2),  # the others are the database's
        asyncore_use_poll=hasattr(select, "poll"),
        channel_timeout=30,
        cleanup_interval=5,
        max_request_header_size=MAX_HEADER_BYTES,
        max_request_body_size=buffered,
        outbuf_high_watermark=buffered,  # on the disk: no worker waits until a slow client has its file
        ident=None,
        expose_tracebacks=False,
        clear_untrusted_proxy_headers=not (ours and ours.policy.proxies),
    )
    server.ours = ours
    return server


def open_files(wanted: int) -> int:
    """How many files this process may have open, up to `wanted`, after the soft limit has been raised to that."""
    try:
        import resource
    except ImportError:  # Windows
        return wanted
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (wanted if limit == resource.RLIM_INFINITY else min(limit, wanted) for limit in limits)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, limits[1]))
    return hard


REQUEST_LINE = re.compile(rb"([A-Z][A-Z-]{0,19}) ([!\"$-~]+) HTTP/(\d\.\d)")
ABSOLUTE = re.compile(rb"https?://([^/?]+)([/?].*)?", re.IGNORECASE)
CHUNK_LINE = re.compile(rb"[^\r\n]{1,1024}(\r\n?)?")  # also the beginning of one
SINGLE_HEADERS = frozenset(
    {b"authorization", b"content-length", b"content-type", b"expect", b"host", b"origin", b"transfer-encoding"}
)


def check_head(head: bytes) -> None:
    """ApiError for a request line and headers that two servers in a row could read in two ways.

    Forms that waitress itself refuses are left to it.
    """
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    line = REQUEST_LINE.fullmatch(first)
    if not line:
        raise fail("bad_request", reason="write METHOD /path HTTP/1.1, with single spaces and in ASCII")
    method, target, version = line.groups()
    if version not in (b"1.0", b"1.1"):
        raise fail("http_version", version=version.decode())
    if len(lines) > MAX_HEADERS:
        raise fail("bad_request", reason=f"it has more than {MAX_HEADERS} headers")
    if any(line.startswith((b" ", b"\t")) for line in lines):
        raise fail("bad_request", reason="a header goes on in a second line")
    pairs = [(name.lower(), value.strip(b" \t")) for name, _, value in (line.partition(b":") for line in lines)]
    headers = dict(pairs)
    for name in SINGLE_HEADERS & headers.keys() if len(headers) < len(pairs) else ():
        if sum(name == other for other, _ in pairs) > 1:
            raise fail("bad_request", reason=f"the header {name.decode().title()} is there twice")
    check_target(method, target, headers.get(b"host"), version)
    check_framing(headers, version)


def check_target(method: bytes, target: bytes, host: bytes | None, version: bytes) -> None:
    """ApiError for a missing or broken Host, and for a target that is no path.

    An absolute address names the host a second time. A proxy goes by the address, others by the header, so both have to
    be the same.
    """
    if host is None and version == b"1.1":
        raise fail("bad_request", reason="the header Host is missing")
    if host is not None and not HOST.fullmatch(host.decode("latin-1")):
        raise fail("bad_request", reason="the header Host is not a name with a port")
    if target.startswith(b"/") or (method, target) == (b"OPTIONS", b"*"):
        return
    absolute = ABSOLUTE.fullmatch(target)
    if not absolute or not host or absolute[1].lower() != host.lower():
        raise fail("bad_request", reason="the target is neither a path nor an address at the host of the header Host")


def check_framing(headers: Mapping[bytes, bytes], version: bytes) -> None:
    """ApiError when it is not clear where the body ends, and for an Expect that nobody knows."""
    coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
    codings = [part.strip(b" \t").lower() for part in coding.split(b",")] if coding is not None else []
    if len(codings) > codings.count(b"chunked"):
        raise fail("transfer_coding")
    if len(codings) > 1 or (codings and (length is not None or version == b"1.0")):
        raise fail("bad_request", reason="the length of the body is not clear")
    if length is not None and not re.fullmatch(rb"[0-9]{1,18}", length):
        raise fail("bad_request", reason="the header Content-Length is not a number")
    expected = headers.get(b"expect", b"100-continue")
    if expected.lower() != b"100-continue":
        raise fail("expectation", value=expected[:100].decode("latin-1"))


@functools.cache
def strict_server() -> Any:
    """waitress' server with our channel. When no more files may be open it waits a moment, in place of trying on."""
    from waitress.server import TcpWSGIServer

    class Server(TcpWSGIServer):
        channel_class = strict_channel()
        ours: Application | None = None
        paused_until = 0.0

        def accept(self) -> Any:
            try:
                return super().accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                log.warning("a connection has to wait: %s", error.strerror)
                self.paused_until = time.monotonic() + ACCEPT_PAUSE_SECONDS
                return None

        def readable(self) -> bool:
            return bool(super().readable()) and time.monotonic() >= self.paused_until

    return Server


@functools.cache
def strict_chunks() -> Any:
    """waitress' reader of chunks, fed line by line: it would take one that ends in LF alone, is empty or never ends."""
    from waitress.receiver import ChunkedReceiver
    from waitress.utilities import BadRequest

    bad_request: Any = BadRequest  # it carries what it is given to our task

    class Chunks(ChunkedReceiver):
        def received(self, s: bytes) -> int:
            taken = 0
            while taken < len(s) and not self.completed and not self.error:
                rest = s[taken:]
                if not self.chunk_remainder and not self.validate_chunk_end and not self.all_chunks_received:
                    rest = rest[: rest.find(b"\n") + 1] or rest
                    if not CHUNK_LINE.fullmatch(self.control_line + rest):
                        self.error = bad_request(fail("bad_request", reason="a line before a chunk is not a number"))
                        return len(s)
                else:
                    rest = rest[: self.chunk_remainder or (2 - len(self.chunk_end)) * self.validate_chunk_end or None]
                taken += super().received(rest)
                if len(self.trailer) > MAX_HEADER_BYTES:
                    self.error = bad_request(fail("headers_too_large", limit=MAX_HEADER_BYTES))
            return taken

    return Chunks


@functools.cache
def strict_parser() -> Any:
    """waitress' parser, which refuses what two servers in a row could read in two ways.

    What comes in one piece with a request for a socket is not HTTP, and is kept for the socket.
    """
    from waitress.parser import HTTPRequestParser, ParsingError
    from waitress.utilities import BadRequest

    bad_request: Any = BadRequest

    class Parser(HTTPRequestParser):
        body_rcv: Any
        early = b""
        path = ""
        version = "1.1"

        def parse_header(self, header_plus: bytes) -> None:
            try:
                check_head(header_plus)
                super().parse_header(header_plus)
            except (ApiError, ParsingError, ValueError) as error:
                target = header_plus.split(b" ", 2)[1:2]
                self.path = unquote_to_bytes(target[0].partition(b"?")[0]).decode("latin-1") if target else ""
                raise ParsingError(error) from None  # in whose words it is refused depends on the path
            if self.chunked:
                self.body_rcv = strict_chunks()(self.body_rcv.getbuf())

        def received(self, data: bytes) -> int:
            if self.body_rcv is None and self.breaks_lines(data):
                reason = "it begins with its method, and its lines end in CR LF"
                self.error, self.completed = bad_request(fail("bad_request", reason=reason)), True
                return len(data)
            consumed = super().received(data)
            if self.completed:
                self.expect_continue = False  # there is no body, or nobody wants it
            if not self.completed or self.headers.get("UPGRADE", "").lower() != "websocket":
                return consumed
            self.early = data[consumed:]
            return len(data)

        def breaks_lines(self, data: bytes) -> bool:
            """Whether the head, up to its end, has a line that ends in LF alone, or begins with a space."""
            head = (self.header_plus + data).lstrip(b"\r\n").partition(b"\r\n\r\n")[0]
            return head[:1].isspace() or head.count(b"\n") != head.count(b"\r\n")

    return Parser


def refusal_of(error: Any, number: str) -> ApiError:
    """Our error for one with which waitress refuses the request with an id, or fails."""
    match error.code, error.body:
        case _, ApiError():
            return error.body
        case 413, _:
            return fail("too_large", limit=MAX_BUFFERED_BYTES)
        case 431, _:
            return fail("headers_too_large", limit=MAX_HEADER_BYTES)
        case 500, _:
            log.error("request %s failed as the line before says", number)
            return fail("internal", request=number)
        case _:
            return fail("bad_request", reason="a header or a chunk is not written as it should be")


@functools.cache
def refusing_task() -> Any:
    """waitress' task for a request that never comes to the application: the answer is one of ours, and the last."""
    from waitress.task import ErrorTask

    class Refusal(ErrorTask):
        channel: Any
        request: Any
        response_headers: Any

        def execute(self) -> None:
            started, number, ours = time.perf_counter(), secrets.token_hex(8), self.channel.server.ours
            error = refusal_of(self.request.error, number)
            if ours:
                reply = ours.failure(None, self.request.path, error, number)
            else:
                reply = Reply(error.status, f"{error}\n".encode(), content_type="text/plain; charset=utf-8")
            environ = {"PATH_INFO": self.request.path, "REQUEST_METHOD": getattr(self.request, "command", "-")}
            log_request(number, environ, reply.status, started)
            self.status = status_line(reply.status)
            self.response_headers.extend(headers_of(reply, number))
            self.set_close_on_finish()
            self.content_length = len(reply.body)
            self.channel.refused = True
            self.write(reply.body)

    return Refusal


@functools.cache
def upgrading_task() -> Any:
    """waitress' task, which puts `minirest.upgrade` into the environment.

    An application that gives a `Socket` to it, and answers 101, has made a socket of the connection.
    """
    from waitress.task import WSGITask

    class Task(WSGITask):
        channel: Any
        request: Any

        client: Socket | None = None

        def service(self) -> None:
            try:
                super().service()
            finally:
                if self.client:  # only who made it: another worker may still be at the end of an earlier request
                    self.channel.server.trigger.pull_trigger(self.client.opened)

        def execute(self) -> None:
            self.get_environment()["minirest.upgrade"] = self.upgrade
            super().execute()

        def upgrade(self, client: Socket) -> None:
            client.channel, client.early = self.channel, self.request.early
            self.channel.web_socket = self.client = client

        def build_response_header(self) -> bytes:
            if self.client and self.status.startswith("101"):
                return self.client.accept()  # waitress would close the connection, and has no word for an upgrade
            if self.request.early:  # it may be frames or a request: nobody can tell
                self.set_close_on_finish()
            return super().build_response_header()

    return Task


class EscapedLog(logging.LoggerAdapter[logging.Logger]):
    """A log for messages of others, which put paths into them as they came."""

    def process(self, msg: object, kwargs: Any) -> tuple[str, Any]:
        """The message in printable ASCII."""
        return loggable(str(msg))[1:-1], kwargs


@functools.cache
def patient_channel() -> Any:
    """waitress' channel with our parser and tasks.

    After a refusal it says that nothing more comes, and drops what still does: to close at once could take the answer
    away from the client.
    """
    from waitress.channel import HTTPChannel

    class Patient(HTTPChannel):
        parser_class = strict_parser()
        task_class = upgrading_task()
        error_task_class = refusing_task()
        logger: Any = EscapedLog(logging.getLogger("waitress"))
        socket: Any
        refused = False
        lingers_until = 0.0
        current_outbuf_count: int

        def received(self, data: bytes) -> bool:
            return False if self.lingers_until else super().received(data)

        def write_soon(self, data: Any) -> int:
            written, waiting = self.current_outbuf_count, self.outbufs[-1]
            if written >= 64 * PIECE_BYTES or (written >= PIECE_BYTES and not waiting):
                self.current_outbuf_count = self.adj.outbuf_high_watermark  # a buffer in memory also keeps what is sent
            return int(super().write_soon(data))

        def handle_close(self) -> None:
            if not (self.refused and self.will_close and self.lingers()):
                super().handle_close()

        def lingers(self) -> bool:
            self.refused, self.will_close, self.request = False, False, None
            self.lingers_until = time.monotonic() + LINGER_SECONDS
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                return True
            return False

    return Patient


@functools.cache
def strict_channel() -> Any:
    """Our channel of waitress; what happens on it is up to its `web_socket` when it has one."""
    base: Any = patient_channel()

    class Channel(base):  # type: ignore[misc]
        server: Any
        web_socket: Socket | None = None

        def readable(self) -> bool:
            return self.web_socket.readable() if self.web_socket else super().readable()

        def received(self, data: bytes) -> bool:
            return self.web_socket.received(data) if self.web_socket else super().received(data)

        def handle_write(self) -> None:
            if self.web_socket:
                self.web_socket.flush()
            else:
                super().handle_write()

        def handle_close(self) -> None:
            super().handle_close()
            if self.web_socket:
                self.web_socket.closed()

    return Channel


def run_until(server: Any, ended: threading.Event) -> None:
    """waitress' loop until the event, then the graceful stop: no new connections, answer what has begun, close."""
    poll = server.adj.asyncore_use_poll
    started: dict[Any, float] = {}
    while not ended.is_set():
        server.asyncore.loop(timeout=1, map=server._map, count=1, use_poll=poll)
        close_slow(server, started)
    if server.ours:
        server.ours.stopping = True
    server.accepting = False
    server.del_channel(server._map)
    server.socket.close()
    begun, quiet = time.monotonic(), 0
    deadline = begun + STOP_GRACE_SECONDS
    while time.monotonic() < deadline and quiet < 3:  # what lies in the sockets' buffers is read first
        for client in web_sockets(server):
            client.close(Close.STOPPING)
        server.asyncore.loop(timeout=0.05, map=server._map, count=1, use_poll=poll)
        arriving = time.monotonic() < begun + 1
        busy = any(_is_busy(channel, arriving) for channel in server.active_channels.values())
        quiet = 0 if busy else quiet + 1
    for client in web_sockets(server):  # before the workers go, so that nobody asks one to tell them something
        client.channel.handle_close()
    server.task_dispatcher.shutdown(True, max(0.1, deadline - time.monotonic()))
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    server.trigger.pull_trigger = lambda thunk=None: None  # for a worker that outlives the grace
    server.trigger.close()


def close_slow(server: Any, started: dict[Any, float]) -> None:
    """Close connections whose request has been arriving for too long; `started` remembers since when each does.

    The longer a body is, the longer it may take, as long as it comes on.
    """
    now, arriving = time.monotonic(), {}
    for channel in list(server.active_channels.values()):
        if 0 < channel.lingers_until < now:
            channel.handle_close()
        elif channel.request is not None and not channel.requests and not channel.total_outbufs_len:
            arriving[channel] = started.get(channel, now)
            more = channel.request.body_bytes_received / MINIMUM_BYTES_PER_SECOND
            if now - arriving[channel] > REQUEST_TIMEOUT_SECONDS + more:
                channel.handle_close()
    started.clear()
    started.update(arriving)


def web_sockets(server: Any) -> list[Socket]:
    """The sockets among the connections of a server."""
    return [channel.web_socket for channel in list(server.active_channels.values()) if channel.web_socket]


def _is_busy(channel: Any, arriving: bool) -> bool:
    """Whether a request is being answered, or (while there is time for that) arriving, or a socket is being closed."""
    if channel.web_socket and not channel.requests:
        return arriving
    return bool(channel.requests or channel.total_outbufs_len or (arriving and channel.request is not None))


# ======================================================================================================================
# 30  Command line
#
# `minirest [SCHEMA]` serves; `user`, `token`, `check` and `migrate` look after a database file and never make one.
# Every option has a twin in the environment, `MINIREST_` and its name. Exit codes: 0, 1 for what went wrong while
# running, 2 for usage and schema files. What the user can mend is one line on stderr that says the next step.
# ======================================================================================================================

PROGRAM = "minirest"
PACKAGES = "bottle waitress jsonschema-rs wsproto"
EXAMPLES = """examples:
  minirest                          serve minirest.json or schema.json of this folder, else the sample, in memory
  minirest shop.json                serve the tables of shop.json from shop.db, which is made when it is missing
  minirest shop.json --port 0       on a free port
  minirest user add anna            make a user for the database of this folder's schema
  minirest token add anna laptop    make a token for her
  minirest migrate shop.json        show what a changed schema file would change in shop.db; --apply does it

Every option has a twin in the environment: MINIREST_DB for --db, MINIREST_NO_AUTH=1 for --no-auth, and so on."""


class UsageError(Exception):
    """What the user can mend; shown as one line. `status` is the exit code."""

    def __init__(self, message: str, status: int = 2) -> None:
        self.status = status
        super().__init__(message)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
            wanted = ".".join(map(str, MINIMUM_SQLITE))
            raise UsageError(f"SQLite {wanted} or newer is needed; this Python has {sqlite3.sqlite_version}", 1)
        command = COMMANDS.get(arguments[0]) if arguments else None
        return command(arguments[1:]) if command else serve_command(arguments)
    except MigrationNeeded as error:
        for step in error.steps:
            print(f"  {step.line()}", file=sys.stderr)
        _complain(
            "the schema file and the database differ as above; run minirest migrate --apply, or change the file back"
        )
        return 2
    except Exception as error:
        message, status = explain(error)
        if message is None:
            raise
        _complain(message)
        return status


def explain(error: Exception) -> tuple[str | None, int]:
    """One line and the exit code for an error that the user can do something about; None for any other."""
    match error:
        case UsageError():
            return str(error), error.status
        case SchemaError():
            return f"the schema file is not right: {error}", 2
        case NotOurs():
            return f"this database cannot be used: {error}; choose another file with --db", 2
        case ModuleNotFoundError():
            return f"the package {error.name!r} is missing; run: python3 -m pip install {PACKAGES}", 1
        case ApiError():
            return str(error), 1
        case sqlite3.Error():
            return f"the database cannot be opened: {error}; is the file whole, and may you write there?", 1
        case OSError():
            return f"{error.strerror or error}: {error.filename}" if error.filename else str(error), 1
        case _:
            return None, 1


def _complain(message: str) -> None:
    print(f"{PROGRAM}: {message}", file=sys.stderr, flush=True)


def _twin(name: str, default: str | None = None) -> str | None:
    return os.environ.get(f"MINIREST_{name}") or default


def _list_twin(name: str) -> list[str]:
    return [part.strip() for part in (_twin(name) or "").split(",") if part.strip()]


def _flag_twin(name: str) -> bool:
    return (_twin(name) or "0").lower() not in ("0", "false", "no")


def _parser(prog: str, description: str, epilog: str | None = None) -> _Parser:
    form = argparse.RawDescriptionHelpFormatter
    return _Parser(prog=prog, description=description, epilog=epilog, formatter_class=form, allow_abbrev=False)


def _add_places(parser: argparse.ArgumentParser) -> None:
    """The two options that say which schema and which file are meant."""
    parser.add_argument("schema", nargs="?", metavar="SCHEMA", default=_twin("SCHEMA"), help="the schema file")
    parser.add_argument(
        "--db", metavar="FILE", default=_twin("DB"), help="the database (default: SCHEMA's name with .db)"
    )


def server_parser() -> argparse.ArgumentParser:
    """The options of the server."""
    description = "A REST server in one file: a JSON schema goes in, a backend over SQLite comes out."
    parser = _parser(PROGRAM, description, f"commands: {', '.join(COMMANDS)} (each with --help)\n\n{EXAMPLES}")
    _add_places(parser)
    add = parser.add_argument
    add("--host", default=_twin("HOST", "127.0.0.1"), help="the address to listen on (default: 127.0.0.1)")
    add("--port", default=_twin("PORT", "8080"), help="the port; 0 takes a free one (default: 8080)")
    add("--no-auth", action="store_true", default=_flag_twin("NO_AUTH"), help="answer everybody, as an administrator")
    add("--no-examples", action="store_true", default=_flag_twin("NO_EXAMPLES"), help="leave the schema's examples out")
    add("--dialects", default=_twin("DIALECTS"), metavar="A,B", help=f"only these of: {', '.join(DIALECTS)}")
    add(
        "--cors",
        action="append",
        default=_list_twin("CORS"),
        metavar="ORIGIN",
        help="let this origin's pages call; repeatable",
    )
    add(
        "--allow-host",
        action="append",
        default=_list_twin("ALLOW_HOST"),
        metavar="NAME",
        help="answer for this host name too",
    )
    add(
        "--trusted-proxy",
        action="append",
        default=_list_twin("TRUSTED_PROXY"),
        metavar="ADDRESS",
        help="believe the X-Forwarded headers of this proxy, or network; repeatable",
    )
    size = str(MAX_BODY_BYTES)
    add("--max-body", default=_twin("MAX_BODY", size), metavar="BYTES", help=f"of JSON and forms (default: {size})")
    size = str(MAX_UPLOAD_BYTES)
    add("--max-upload", default=_twin("MAX_UPLOAD", size), metavar="BYTES", help=f"of uploads (default: {size})")
    add("--strict", action="store_true", default=_flag_twin("STRICT"), help="refuse what the original servers ignore")
    add("--sign-up", action="store_true", default=_flag_twin("SIGN_UP"), help="let strangers make themselves users")
    add("--reload", action="store_true", default=_flag_twin("RELOAD"), help="start again when the schema file changes")
    add(
        "--log",
        action="store_true",
        default=_flag_twin("LOG"),
        help="one line for each request, also without a terminal",
    )
    add("--version", action="version", version=f"{PROGRAM} {__version__} (SQLite {sqlite3.sqlite_version})")
    return parser


# ---- serving ----


class Places(NamedTuple):
    """Which schema file and which database are meant, and whether it is the sample."""

    schema: FilePath
    database: str
    is_sample: bool = False


def find_places(schema: str | None, database: str | None) -> Places:
    """Decide on the schema file and the database. UsageError when there is none."""
    if schema is None and database and FilePath(database).exists():
        check_file(database)
    sample = FilePath(__file__).with_name("sample_schema.json")
    found = (
        FilePath(schema)
        if schema
        else next((FilePath(name) for name in ("minirest.json", "schema.json") if FilePath(name).is_file()), None)
    )
    if found is None and sample.is_file():
        check_sample(sample, database)
        return Places(sample, database or ":memory:", is_sample=True)
    if found is None:
        raise UsageError("nothing to serve: give a schema file as SCHEMA (and a database as --db FILE, if you like)")
    if not found.is_file():
        raise UsageError(f"there is no schema file {str(found)!r}; give the path of a JSON Schema file")
    return Places(found, database or f"{found.stem}.db")


def check_sample(sample: FilePath, database: str | None) -> None:
    """UsageError when the database is one that was not made for the sample."""
    if database and FilePath(database).exists():
        with only_reading(database) as connection:
            held = get_meta(connection, "layout") or {}
        if not set(json.loads(sample.read_text("utf-8"))["$defs"]) & set(held):
            raise UsageError(f"{database!r} needs the schema file that it was made for: give it as SCHEMA")


@contextlib.contextmanager
def only_reading(path: str) -> Iterator[sqlite3.Connection]:
    """A connection that changes no byte of the file and leaves none beside it (as `mode=ro` would, of a WAL file)."""
    address = f"file:{quote(str(FilePath(path).absolute()))}?mode=rw"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        connection.execute("pragma query_only=on")
        yield connection


def check_file(path: str) -> None:
    """UsageError when a file is no database of ours. Nothing is written."""
    with only_reading(path) as connection:
        try:
            check_ours(connection)
        except NotOurs:
            reason = f"{path!r} was not made by minirest; give a schema file as SCHEMA and another file as --db"
            raise UsageError(reason) from None


def serve_command(arguments: Sequence[str]) -> int:
    """`minirest [SCHEMA]`."""
    options = server_parser().parse_args(arguments)
    port, places = port_of(options.port), find_places(options.schema, options.db)
    if options.reload:
        return reload_on_change(places.schema, arguments)
    app = make_app_for(options, places)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a request that waits a moment is no news
    try:
        with logging_to_stderr(options.log or sys.stderr.isatty()):
            serve(app, options.host, port, on_ready=lambda url: announce(app, places, url))
    except BrokenPipeError:
        raise
    except OSError as error:
        option = "--host" if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL else "--port"
        reason = f"cannot listen on {options.host}:{port}: {error.strerror or error}; choose another {option}"
        raise UsageError(reason, 1) from None
    finally:
        app.close()
    return 0


def port_of(text: str) -> int:
    """The port of an option. UsageError when it is none."""
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise UsageError(f"{text!r} is no port; choose one from 0 to 65535")
    return int(text)


def bytes_of(text: str) -> int:
    """The size that an option gives. UsageError when it is none."""
    if not re.fullmatch(r"[1-9]\d{0,14}", text, re.ASCII):
        raise UsageError(f"{text!r} is no size; write a number of bytes, above 0")
    return int(text)


def make_app_for(options: argparse.Namespace, places: Places) -> Application:
    """The application that the options ask for."""
    hosts = None
    if is_loopback(options.host) or options.allow_host:
        own = f"[{options.host}]" if ":" in options.host else options.host
        hosts = {*LOOPBACK_NAMES, own, *options.allow_host}
    try:
        settings = Settings(
            auth=not options.no_auth,
            strict=options.strict,
            sign_up=options.sign_up,
            dialects=[name.strip() for name in options.dialects.split(",")] if options.dialects else None,
            cors=options.cors,
            hosts=hosts,
            trusted_proxies=options.trusted_proxy,
            examples=not options.no_examples,
            max_body=bytes_of(options.max_body),
            max_upload=bytes_of(options.max_upload),
        )
        return open_app(read_schema(places.schema), places.database, settings)
    except SchemaError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def first_administrator(app: Application) -> str | None:
    """Make an administrator for a database in which nobody has a password; gives name and password for a `curl`."""
    if not app.policy.auth or app.accounts.any_user(disabled=True):
        return None
    name, given = _twin("USER", "admin") or "admin", _twin("PASSWORD")
    password = given or secrets.token_urlsafe(12)
    try:
        app.accounts.put_user(name, password=password, roles=["admin"])
    except ValueError as error:
        raise UsageError(f"MINIREST_USER and MINIREST_PASSWORD cannot be used: {error}") from None
    return None if given else f"{name}:{password}"


def announce(app: Application, places: Places, url: str) -> None:
    """Say where the server listens, and for a new database how to sign in."""
    secret = first_administrator(app)
    print(f"Listening on {url}", flush=True)
    tables = list(app.schema.tables.values())
    if places.is_sample:
        where = "in memory" if places.database == ":memory:" else f"in {places.database}"
        _complain(f"no schema file here, so this is the sample, {where}; give your own as SCHEMA")
    if secret:
        address = f"{url}{tables[0].name.lower()}?$page[count]=2"
        print(f"  curl -g -u {shlex.quote(secret)} '{address}'", file=sys.stderr, flush=True)
    elif app.policy.auth and not app.accounts.any_user():
        _complain(f"every user is disabled; to let one in: minirest user enable NAME --db {places.database}")
    if sys.stderr.isatty():
        describe(app)
        if app.policy.auth and not secret and places.database != ":memory:":
            _complain(f"to set a new password: minirest user password NAME --db {places.database}")


def describe(app: Application) -> None:
    """What is served, for a person at a terminal."""
    records = sum(count for _, count in Overview(app.services, app.dialects).counts(NOBODY))
    dialects = ", ".join(dialect.name for dialect in app.dialects)
    _complain(f"{len(app.schema.tables)} tables, {records:,} records; dialects: {dialects}")


class LineFormatter(logging.Formatter):
    """Lines of printable ASCII: what a message or a traceback goes on with is set in, so that it begins no line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and those of a traceback below it."""
        lines = super().format(record).splitlines()
        return "\n    ".join(loggable(line)[1:-1].replace('\\"', '"').replace("\\\\", "\\") for line in lines)


@contextlib.contextmanager
def logging_to_stderr(requests: bool) -> Iterator[None]:
    """Write what goes wrong to stderr, and a line for each request if that is wanted."""
    handler, loggers = logging.StreamHandler(), [log, logging.getLogger("waitress")]
    handler.setFormatter(LineFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    request_log.setLevel(logging.INFO if requests else logging.WARNING)
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        request_log.setLevel(logging.NOTSET)


def reload_on_change(schema: FilePath, arguments: Sequence[str]) -> int:
    """Run the server as a child and start it again whenever the schema file or this module changes."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    words = [word for word in arguments if word != "--reload"]
    command = [sys.executable, str(FilePath(__file__).resolve()), *words]
    while not ended.is_set():
        environment = {**os.environ, "MINIREST_RELOAD": "0"}
        child, seen = subprocess.Popen(command, env=environment), _stamps(schema)  # noqa: S603 - this very program
        while not ended.wait(0.3) and _stamps(schema) == seen:
            if child.poll() == 1:  # a wrong schema file (2) can be mended, a port in use cannot
                return 1
        child.terminate()
        child.wait()
    return 0


def _stamps(schema: FilePath) -> list[int]:
    return [path.stat().st_mtime_ns if path.exists() else 0 for path in (schema, FilePath(__file__))]


# ---- commands on a file ----


def _existing(database: str) -> str:
    if not FilePath(database).is_file():
        if database == ":memory:":
            raise UsageError("no database is named: write --db FILE", 1)
        raise UsageError(f"there is no database {database!r}; start the server once to make it, or write --db FILE", 1)
    return database


@contextlib.contextmanager
def _accounts(options: argparse.Namespace) -> Iterator[Accounts]:
    """The accounts of the file that the options mean, whatever its tables are."""
    path = _existing(options.db or find_places(options.schema, None).database)
    store = Store(system_schema(), path, utc_now, examples=False)
    try:
        yield Accounts(store)
    except ValueError as error:
        raise UsageError(str(error)) from None
    finally:
        store.close()


USER_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "group": ("add", "groups"),
    "role": ("add", "roles"),
    "display_name": ("add", "password"),
    "email": ("add", "password"),
}
"""The actions on a user that an option goes with."""
USER_ACTIONS = ("list", "add", "password", "groups", "roles", "disable", "enable", "remove")


def _add_database(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the database of a command."""
    parser.add_argument("--schema", default=_twin("SCHEMA"), help="the schema file, whose name the database has")
    parser.add_argument("--db", metavar="FILE", default=_twin("DB"), help="the database")


def user_parser() -> argparse.ArgumentParser:
    """The options of `minirest user`."""
    parser = _parser(
        f"{PROGRAM} user",
        "Look after the users of a database. A password comes from MINIREST_PASSWORD, from the terminal, or is drawn.",
    )
    parser.add_argument("action", choices=USER_ACTIONS)
    parser.add_argument("name", nargs="?")
    for word in ("group", "role"):
        about = f"a {word} of the user (add), or all of them ({word}s); repeatable"
        parser.add_argument(f"--{word}", action="append", default=[], metavar="NAME", help=about)
    _add_database(parser)
    parser.add_argument("--display-name", help="the name that people see")
    parser.add_argument("--email")
    return parser


def user_command(arguments: Sequence[str]) -> int:
    """`minirest user`."""
    options = user_parser().parse_args(arguments)
    check_user_options(options)
    with _accounts(options) as accounts:
        if options.action == "list":
            for name, disabled, roles, groups in accounts.users():
                notes = ["disabled"] if disabled else []
                notes += [
                    f"{word}: {','.join(those)}" for word, those in (("roles", roles), ("groups", groups)) if those
                ]
                print("\t".join([name, *notes]))
            return 0
        if (accounts.account(options.name) is None) != (options.action == "add"):
            state = "exists already" if options.action == "add" else "does not exist"
            raise UsageError(f"the user {options.name!r} {state}; see minirest user list", 1)
        if options.action == "remove":
            accounts.remove_user(options.name)
        else:
            accounts.put_user(options.name, **_user_values(accounts, options))
    return 0


def check_user_options(options: argparse.Namespace) -> None:
    """UsageError for options that do not go with the action."""
    if (options.action == "list") != (options.name is None):
        wanted = "no name, but perhaps --schema" if options.action == "list" else "the NAME of the user"
        raise UsageError(f"minirest user {options.action} takes {wanted}")
    if options.action == "add" and ":" in options.name:
        raise UsageError("a user name has no colon: Basic ends the name there")
    for word, actions in USER_OPTIONS.items():
        if getattr(options, word) and options.action not in actions:
            those = " and ".join(f"minirest user {action}" for action in actions)
            raise UsageError(f"--{word.replace('_', '-')} goes with {those}")
    if not all(map(str.strip, [*options.group, *options.role])):
        raise UsageError("a group and a role have a name")
    for role in {"*", "anonymous"}.intersection(options.role):
        raise UsageError(f"nobody is given the role {role!r}: in x-rights it stands for others")


def _user_values(accounts: Accounts, options: argparse.Namespace) -> dict[str, Json]:
    if options.action in ("disable", "enable"):
        return {"disabled": options.action == "disable"}
    given = {"display_name": options.display_name, "email": options.email}
    values: dict[str, Json] = {name: value for name, value in given.items() if value is not None}
    if options.action in ("add", "password"):
        values["password"] = check_password(ask_password())
    if options.group or options.action == "groups":
        values["groups"] = [accounts.put_group(name) for name in dict.fromkeys(options.group)]
    if options.role or options.action == "roles":
        values["roles"] = list(dict.fromkeys(options.role))
    return values


def ask_password() -> str:
    """A password from the environment or the terminal; without either a new one, which is printed."""
    given = _twin("PASSWORD")
    if given:
        return given
    if sys.stdin.isatty():
        first = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != first:
            raise UsageError("the passwords differ; try again", 1)
        return first
    drawn = secrets.token_urlsafe(12)
    print(drawn)
    return drawn


def token_parser() -> argparse.ArgumentParser:
    """The options of `minirest token`."""
    parser = _parser(f"{PROGRAM} token", "Look after the tokens of a database. A new one is shown once.")
    parser.add_argument("action", choices=["list", "add", "revoke", "prune"])
    parser.add_argument("user", nargs="?", metavar="USER|ID", help="whose token (add), or which one (revoke)")
    parser.add_argument("name", nargs="?", help="what the token is for")
    parser.add_argument("--days", type=int, help="how long it holds (default: for ever)")
    parser.add_argument("--read-only", action="store_true", help="it changes nothing")
    parser.add_argument("--table", action="append", default=[], metavar="NAME", help="it reaches this one; repeatable")
    _add_database(parser)
    return parser


def token_command(arguments: Sequence[str]) -> int:
    """`minirest token`."""
    options = token_parser().parse_args(arguments)
    if options.action != "add" and (options.name or options.days is not None or options.read_only or options.table):
        raise UsageError("a name and the options of a token go with minirest token add")
    if options.action in ("list", "prune") and options.user:
        raise UsageError(f"minirest token {options.action} takes no user, but perhaps --schema")
    with _accounts(options) as accounts:
        match options.action:
            case "list":
                for token in accounts.tokens():
                    print(token_line(token))
            case "add":
                print(add_token(accounts, options))
            case "revoke":
                number = options.user if re.fullmatch(r"\d{1,15}", options.user or "", re.ASCII) else "0"
                if not accounts.revoke_token(int(number)):
                    raise UsageError("there is no such token; see minirest token list for the ids", 1)
            case _:
                print(f"deleted: {accounts.prune_tokens()}")
    return 0


def token_line(token: TokenLine) -> str:
    """A token in the list of all."""
    expires, used = token.expires or "never expires", token.last_used or "never used"
    return "\t".join([str(token.id), token.user, token.name, f"{token.start}...", expires, used, *token.scopes])


def add_token(accounts: Accounts, options: argparse.Namespace) -> str:
    """Make the token that the options ask for."""
    if not options.user or not options.name:
        raise UsageError("name the user and what the token is for: minirest token add USER NAME")
    if options.days is not None and not 0 < options.days < 36_500:
        raise UsageError("--days is a number from 1 to 36499")
    if accounts.account(options.user) is None:
        raise UsageError(f"the user {options.user!r} does not exist; see minirest user list", 1)
    expires = moment_text(utc_now() + timedelta(days=options.days)) if options.days else None
    return accounts.add_token(options.user, options.name, expires, scopes_of(accounts, options))


def scopes_of(accounts: Accounts, options: argparse.Namespace) -> list[str]:
    """The scopes that the options give to a token. UsageError for a table that the file does not have."""
    with accounts.store.database.reading() as connection:
        held = {name.lower(): name for name in get_meta(connection, "layout") if not name.startswith("_")}
    for name in options.table:
        if name.lower() not in held:
            raise UsageError(f"there is no table {name!r}{did_you_mean(name, held.values())}", 1)
    tables = dict.fromkeys(f"table:{held[name.lower()]}" for name in options.table)
    return [*(["read"] if options.read_only else []), *tables]


def check_command(arguments: Sequence[str]) -> int:
    """`minirest check`."""
    parser = _parser(
        f"{PROGRAM} check", "Check a schema file with its rules and examples, and its database where there is one."
    )
    _add_places(parser)
    options = parser.parse_args(arguments)
    places = find_places(options.schema, options.db)
    schema = read_schema(places.schema)
    check_rules(schema)
    Store(schema, ":memory:", utc_now).close()
    print(f"{places.schema}: {len(schema.tables)} tables, all right")
    if options.db or FilePath(places.database).is_file():
        return check_database(schema, _existing(places.database))
    return 0


def check_database(schema: Schema, path: str) -> int:
    """Check a file and print what the schema would change in it; the exit code is that of a start with it."""
    with only_reading(path) as connection:
        check_ours(connection)
        found = connection.execute("pragma integrity_check").fetchone()[0]
        if found != "ok":
            raise UsageError(f"{path}: the file is damaged: {found}; restore a copy", 1)
    steps = migrate(schema, path)
    print(f"{path}: whole" + ("" if steps else ", and as the schema file says"))
    for step in steps:
        print(f"  {step.line()}")
    return 0 if all(step.safe for step in steps) else 2


def migrate_command(arguments: Sequence[str]) -> int:
    """`minirest migrate`."""
    parser = _parser(f"{PROGRAM} migrate", "Show what a changed schema file changes in its database, and carry it out.")
    _add_places(parser)
    parser.add_argument("--apply", action="store_true", help="carry the plan out, after writing a copy of the file")
    parser.add_argument(
        "--drop", action="append", default=[], metavar="TABLE[.FIELD]", help="this may be lost; repeatable"
    )
    parser.add_argument(
        "--rename", action="append", default=[], metavar="OLD=NEW", help="TABLE=NEW or TABLE.FIELD=NEW; repeatable"
    )
    options = parser.parse_args(arguments)
    places = find_places(options.schema, options.db)
    renames = dict(pair.split("=", 1) for pair in options.rename if pair.count("=") == 1)
    if len(renames) != len(options.rename):
        raise UsageError("write --rename OLD=NEW, for example --rename kunden.name=titel")
    schema = read_schema(places.schema)
    check_rules(schema)
    try:
        steps = migrate(schema, _existing(places.database), options.drop, renames, options.apply)
    except ValueError as error:
        raise UsageError(f"not carried out: {error}", 1) from None
    for step in steps:
        print(f"{'done: ' if options.apply else ''}{step.line()}")
    if not steps:
        print("nothing to do")
    return 0


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "user": user_command,
    "token": token_command,
    "check": check_command,
    "migrate": migrate_command,
}


if __name__ == "__main__":
    sys.exit(main())
