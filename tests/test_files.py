"""Section 13: files of records, how they come in, are kept and go out again."""

import base64
import errno
import hashlib
import http.client
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import ApiError, BodyLimits, Form, Request, Upload, disposition, file_name, media_type_of, read_form
from tests.web import Answer, dump, multipart, part, send

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEXT = {"type": "string"}
FILE = {"type": "string", "format": "binary"}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "people": {
            "type": "object",
            "properties": {
                "name": {**TEXT, "maxLength": 20, "x-unique": True},
                "age": {"type": "integer"},
                "tags": {"type": "array", "items": TEXT},
                "extra": {},
                "photo": {**FILE, "contentMediaType": "image/JPEG"},
                "paper": {**TEXT, "contentEncoding": "base64", "contentMediaType": "application/octet-stream"},
                "fixed": {**FILE, "readOnly": True},
                "boss": {"$ref": "#/$defs/people"},
                "friends": {"type": "array", "items": {"$ref": "#/$defs/people"}},
            },
            "x-archive": True,
            "examples": [{"name": "Ada"}, {"name": "Bob", "_status": "trash"}],
        },
        "letters": {
            "type": "object",
            "properties": {
                "to": {"$ref": "#/$defs/people", "x-delete": "cascade"},
                "scan": FILE,
            },
            "required": ["scan"],
        },
        "diaries": {"type": "object", "properties": {"page": FILE}, "x-access": True},
    }
}
PIECE = minirest.PIECE_BYTES
LONG = bytes(range(256)) * (PIECE // 256 * 2) + b"the end"
"""Content of three pieces."""


# ---- what clients send ----


def jpeg(data: bytes = LONG, file: str = "a.jpg", name: str = "data[photo]") -> bytes:
    """A part with a picture."""
    return part(name, data, file, "image/jpeg")


class Stream(io.BytesIO):
    """A stream that gives as many bytes at a time as it likes."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        assert size >= 0
        return super().read(min(size, self.step))


def request(body: bytes, boundary: str = "-x", limits: BodyLimits = minirest.BODY_LIMITS, step: int = 10**6) -> Request:
    """A request with a form."""
    kind = f"multipart/form-data; boundary={boundary}"
    environ = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": kind,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": Stream(body, step),
    }
    return Request(environ, limits)


def read(body: bytes, **words: Any) -> Form:
    """The form of a body."""
    return read_form(request(body, **words))


def shown(form: Form) -> tuple[list[tuple[str, str]], list[tuple[str, str, str, bytes]]]:
    """The texts of a form, and its files with their content; the form is closed."""
    texts = [(text.name, text.value) for text in form.texts]
    files = [
        (minirest.format_brackets(keys), it.name, it.media_type, b"".join(it.pieces()))
        for keys, it in form.files.items()
    ]
    form.close()
    return texts, files


class Web:
    """An application with people, and requests to it."""

    def __init__(self, db: str = ":memory:", **settings: Any) -> None:
        words: Any = {"auth": False, "clock": lambda: NOW, **settings}
        self.app = minirest.make_app(SCHEMA, db, **words)
        self.kept: dict[str, str] = {}

    def __call__(self, method: str, address: str, body: Any = None, **headers: str) -> Answer:
        return send(self.app, method, address, body, **{**self.kept, **headers})

    def post(self, address: str, *parts: bytes, method: str = "POST", **headers: str) -> Answer:
        """Send a form."""
        kind = "multipart/form-data; boundary=-x"
        return send(self.app, method, address, multipart(*parts), kind, **{**self.kept, **headers})

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the database."""
        return self.app.store.database.writer.execute(statement).fetchall()

    def held(self) -> dict[str, list[bytes]]:
        """The content of all files by their names. Every file is one record's, and every piece one file's."""
        columns = {"people": ("photo_id", "paper_id", "fixed_id"), "letters": ("scan_id",), "diaries": ("page_id",)}
        owners = " union all ".join(f"select {name} id from {table}" for table in columns for name in columns[table])
        keys = [key for (key,) in self.rows("select id from _files order by id")]
        assert keys == [key for (key,) in self.rows(f"select id from ({owners}) where id is not null order by id")]
        assert {key for (key,) in self.rows("select file from _pieces")} <= set(keys)
        found: dict[str, list[bytes]] = {}
        for key, name, size in self.rows("select id, name, size from _files order by id"):
            pieces = [data for (data,) in self.rows(f"select data from _pieces where file={key} order by number")]
            assert [len(piece) for piece in pieces[:-1]] == [PIECE] * (len(pieces) - 1)
            assert sum(map(len, pieces)) == size
            found.setdefault(name, []).append(b"".join(pieces))
        return found

    def dump(self) -> list[str]:
        """Everything in the database."""
        return dump(self.app.store)

    def refuse(self, status: int, message: str, answer: Answer, before: list[str]) -> None:
        """A request was refused with one message, and nothing has changed."""
        assert (answer.status, answer.json) == (status, {"errors": [{"code": status, "message": message}]})
        assert self.dump() == before


@pytest.fixture
def web() -> Iterator[Web]:
    web = Web()
    yield web
    web.app.close()


# ---- reading a form ----

CONTENT = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"-x", b"\r\n--", b"\r\n---", b"a"])).map(b"".join),
).filter(lambda data: b"\r\n---x" not in b"\r\n" + data)
WORD = st.text(st.sampled_from("aä b.%"), min_size=1, max_size=5)


@settings(max_examples=200)
@given(st.lists(st.tuples(WORD, st.none() | WORD.map(str.strip).filter(bool), CONTENT), max_size=6), st.integers(1, 50))
def test_forms_are_read_as_they_were_written(parts: list[tuple[str, str | None, bytes]], step: int) -> None:
    """Whatever a file holds, and in whatever portions it comes, it is read as it was; so are texts."""
    parts = [(f"{number}{name}", file, data) for number, (name, file, data) in enumerate(parts)]
    parts = [it if it[1] else (it[0], None, it[2].decode("latin-1").replace("\0", "").encode()) for it in parts]
    body = multipart(*(part(name, data, file) for name, file, data in parts))
    texts, files = shown(read(body, step=step))
    assert texts == [(name, data.decode()) for name, file, data in parts if file is None]
    octets = "application/octet-stream"
    assert files == [(name, file, octets, data) for name, file, data in parts if file is not None]


def test_content_that_looks_like_a_boundary() -> None:
    """A boundary that nearly stands in a file does not end it, wherever a portion ends."""
    data = b"\r\n--\r\n---\r\r\n---y\n---x\r---x" * 3
    for step in range(1, 9):
        assert shown(read(multipart(jpeg(data)), step=step)) == ([], [("data[photo]", "a.jpg", "image/jpeg", data)])


def test_forms_of_clients() -> None:
    """Quoted boundaries, names between quotes or not, headers in any case and order, no line at the end."""
    body = (
        b"--a b\r\ncontent-type: Text/Plain; charset=utf-8\r\nCONTENT-disposition: Form-Data;name=x;FILENAME=y\r\n"
        b"X-Other: 1\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\r\n--a b--"
    )
    assert shown(read(body, boundary='"a b"')) == ([], [("x", "y", "text/plain", b"")])
    assert shown(read(multipart())) == ([], [])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ('name="a"; filename="b%22c.txt"', 'b"c.txt'),  # browsers
        (r'name="a"; filename="b\"c.txt"', 'b"c.txt'),  # curl of old
        ('name="a"; filename="%C3%BC"; filename*=utf-8\'\'%C3%BC', "ü"),  # aiohttp
        ("name=\"a\"; filename*=UTF-8'de'a%2Fb%20c", "b c"),
        (r'name="a"; filename="C:\fotos\a.jpg"', "a.jpg"),
        ('name="a"; filename="../../etc/passwd"', "passwd"),
        ('name="a"; filename="a/.."', ".."),
        ('name="a"; filename="/"', "file"),
        ('name="a"; filename="a\x01\x1f\x7f\u0085\u2028b"', "ab"),
        (f'name="a"; filename="{"ä" * 255}"', "ä" * 255),
    ],
)
def test_names(words: str, name: str) -> None:
    """The name of a file is the last part of what a client says, in each of the ways to write it."""
    body = multipart(f"Content-Disposition: form-data; {words}\r\n\r\nx".encode())
    assert shown(read(body))[1] == [("a", name, "application/octet-stream", b"x")]


def test_unused_file_field() -> None:
    """A browser sends a file field without a file with no name and no content: it is not there."""
    kind = "application/octet-stream"
    body = multipart(part("a", b"", "", kind), part("b", b"x", "", kind), part("c", b"", "empty.txt", kind))
    assert shown(read(body))[1] == [("b", "file", kind, b"x"), ("c", "empty.txt", kind, b"")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("image/png", "image/png"),
        ("Image/PNG; q=1", "image/png"),
        ("application/vnd.oasis+xml", "application/vnd.oasis+xml"),
        *((text, "application/octet-stream") for text in ("", "image", "image/", "/png", "a b/c", "a/b c", "a/b/c")),
        ("a/" + "b" * 300, "application/octet-stream"),
    ],
)
def test_media_types(text: str, kind: str) -> None:
    """A media type that is none is one of bytes."""
    assert media_type_of(text) == kind


BAD: list[tuple[bytes, str]] = [
    (b"", "it ends before its last boundary"),
    (b"-", "it ends before its last boundary"),
    (b"---x", "it ends before its last boundary"),
    (b"---x\r\n", "it ends before its last boundary"),
    (b"---x--\r\nmore", "something follows a boundary"),
    (b"---xy\r\n", "something follows a boundary"),
    (b"---x \r\n", "something follows a boundary"),
    (b"---x--x", "something follows a boundary"),
    (b"\r\n---x--", "it does not begin with its boundary"),
    (b"preamble\r\n---x--", "it does not begin with its boundary"),
    (multipart(b"\r\n\r\nx"), "the header '' of a part cannot be read"),
    (multipart(b"Content-Type: a/b\r\n\r\nx"), "a part has no name"),
    (multipart(b"Content-Disposition: form-data\r\n\r\nx"), "a part has no name"),
    (multipart(b"Content-Disposition: attachment; name=a\r\n\r\nx"), "a part has no name"),
    (multipart(b'Content-Disposition: form-data; name="a\r\n\r\nx'), "the header 'form-data; name=\"a' cannot be read"),
    (multipart(b"Content-Disposition: form-data; name=a;\r\n\r\n"), "the header 'form-data; name=a;' cannot be read"),
    (
        multipart(b"Content-Disposition: form-data; name=a; Name=b\r\n\r\n"),
        "the header 'form-data; name=a; Name=b' cannot be read",
    ),
    (multipart(b"x\r\n\r\n"), "the header 'x' of a part cannot be read"),
    (multipart(b" a: b\r\n\r\n"), "the header ' a: b' of a part cannot be read"),
    (multipart(b"a: b\r\nA: b\r\n\r\n"), "the header 'A: b' of a part cannot be read"),
    (multipart(b"a: b\nc: d\r\n\r\n"), "the header 'a: b\\nc: d' of a part cannot be read"),
    (
        multipart(b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\neA=="),
        "a part is encoded; send it as it is",
    ),
    (
        multipart(b"Content-Disposition: form-data; name=a; filename*=latin1''%FC\r\n\r\n"),
        "the name of a file is in 'latin1'; send UTF-8",
    ),
    (multipart(b"Content-Disposition: form-data; name=a; filename*=utf-8''%FC\r\n\r\n"), "it is not valid UTF-8"),
    (
        multipart(b"Content-Disposition: form-data; name=a; filename*=utf-8''a%00b\r\n\r\n"),
        "a text holds the character NUL",
    ),
    (multipart(part("a", b"", "a\0b")), "a text holds the character NUL"),
    (multipart(part("a\0b")), "a text holds the character NUL"),
    (multipart(part("a", b"\0")), "a text holds the character NUL"),
    (multipart(part("a", b"\xfc")), "it is not valid UTF-8"),
    (multipart(b'Content-Disposition: form-data; name="\xfc"\r\n\r\n'), "it is not valid UTF-8"),
    (multipart(part("a" * 9000)), "the headers of a part have more than 8192 bytes"),
    (b"---x\r\n" + b"a" * 8000, "it ends before its last boundary"),
]


@pytest.mark.parametrize(("body", "reason"), BAD)
def test_bad_forms(body: bytes, reason: str) -> None:
    """A form that is not written right is refused, in whatever portions it comes."""
    for step in (1, 7, 10**6):
        with pytest.raises(ApiError) as caught:
            read(body, step=step)
        assert (caught.value.code, dict(caught.value.violations[0].params)) == ("bad_body", {"reason": reason})


@pytest.mark.parametrize(
    "kind", ["", "boundary=", 'boundary=""', "boundary=ä", f"boundary={'x' * 71}", 'boundary="x "']
)
def test_bad_boundaries(web: Web, kind: str) -> None:
    """A boundary has 1 to 70 characters of a few kinds."""
    before = web.dump()
    answer = send(web.app, "POST", "/people", multipart(part("data[name]", b"x")), f"multipart/form-data; {kind}")
    messages = [
        "Invalid header 'Content-Type': it names no boundary of 1 to 70 characters",
        f"Could not parse request body: the header {f'multipart/form-data; {kind}'!r} cannot be read",
    ]
    assert answer.status == 400
    assert answer.json["errors"][0]["message"] in messages
    assert web.dump() == before


@pytest.mark.parametrize("name", ["", "a]", "[a]", "a[b", "a[b]c", "a[b][c][d][e][f]"])
def test_bad_names_of_fields(name: str) -> None:
    """The names of parts are those of parameters."""
    with pytest.raises(ApiError) as caught:
        read(multipart(part(name)))
    assert caught.value.code == "bad_brackets"


def test_limits_of_forms() -> None:
    """Parts, texts together, heads and names have limits; a whole form is refused before it is read."""
    many = [part(f"a{number}") for number in range(5000)]
    assert len(shown(read(multipart(*many[:1000])))[0]) == 1000
    small = BodyLimits(1000, 5000)
    cases: list[tuple[bytes, str, dict[str, Any]]] = [
        (multipart(*many[:1001]), "too_many_parameters", {"limit": 1000}),
        (multipart(*many), "too_many_parameters", {"limit": 1000}),
        (multipart(part("a", b"x" * 1000)), "too_large", {"limit": 1000}),
        (multipart(part("a", b"x" * 500), part("b", b"x" * 500)), "too_large", {"limit": 1000}),
        (multipart(jpeg(b"x" * 5000)), "too_large", {"limit": 5000}),
        (multipart(jpeg(b"", "a" * 256)), "bad_parameter", {}),
    ]
    for body, code, params in cases:
        limits = small if code == "too_large" else minirest.BODY_LIMITS
        asked = request(body, limits=limits)
        with pytest.raises(ApiError) as caught:
            read_form(asked)
        assert caught.value.code == code
        assert params.items() <= caught.value.violations[0].params.items()
        assert bool(asked.environ["wsgi.input"].tell()) == (params.get("limit") != 5000)
    body = multipart(part("a", b"x" * 800), jpeg(b"x" * 3000))
    assert len(shown(read(body, limits=small))[1][0][3]) == 3000


def test_values_of_a_form() -> None:
    """Files stand where they may; the same form is not read twice."""
    asked = request(multipart(part("data[name]", b"x"), jpeg(b"y"), part("data[tags][]", b"1")))
    form = read_form(asked)
    values = form.values("data")
    assert values == {"data": {"name": "x", "photo": form.files["data", "photo"], "tags": ["1"]}}
    assert read_form(asked) is form
    for place in ((), ("data", "photo"), ("other",)):
        with pytest.raises(ApiError) as caught:
            form.values(*place)
        params = {"name": "data[photo]", "value": "a.jpg", "reason": "a file field is not named so"}
        assert (caught.value.code, dict(caught.value.violations[0].params)) == ("bad_parameter", params)
    form.close()
    form = read(multipart(part("name", b"x"), jpeg(b"y", name="photo")))
    assert form.values() == {"name": "x", "photo": form.files["photo",]}
    form.close()


def test_a_file_twice(web: Web) -> None:
    """Of two files for one field none is lost in silence."""
    before = web.dump()
    answer = web.post("/people", jpeg(b"1"), jpeg(b"2"))
    web.refuse(400, "Field 'data[photo]' is set twice", answer, before)


# ---- into records ----


def test_a_file_in_a_new_record(web: Web) -> None:
    """A form makes a record with its file; its other values are texts, as in any form."""
    answer = web.post(
        "/people",
        part("data[name]", "Zoë".encode()),
        part("data[age]", b"7"),
        part("data[tags][]", b"a"),
        part("data[boss][data][id]", b"1"),
        jpeg(file="../Größe.jpg"),
    )
    links = {"self": "/people/3/boss", "related": "/people"}
    friends = {"self": "/people/3/friends", "related": "/people"}
    assert (answer.status, answer.json) == (
        201,
        {
            "links": {"self": "/people/3"},
            "data": {
                "links": {"self": "/people/3"},
                "id": "3",
                "attributes": {
                    "name": "Zoë",
                    "age": 7,
                    "tags": ["a"],
                    "extra": None,
                    "photo": ["Größe.jpg"],
                    "paper": None,
                    "fixed": None,
                    "boss": {"links": links, "data": [{"id": "1"}]},
                    "friends": {"links": friends, "data": []},
                },
            },
        },
    )
    assert web.held() == {"Größe.jpg": [LONG]}
    row = ("Größe.jpg", "image/jpeg", len(LONG), 1)
    assert web.rows("select name, media_type, size, _version from _files") == [row]


def test_a_file_is_replaced_and_taken_away(web: Web) -> None:
    """The old content goes in the same transaction, and so does the record's whole."""
    web.post("/people/1", jpeg(b"one", "1.jpg"), method="PATCH")
    web.post("/people/1", part("data[paper]", b"", "2", "text/plain"), jpeg(b"three", "3.jpg"), method="PUT")
    assert web.held() == {"2": [b""], "3.jpg": [b"three"]}
    assert web("PATCH", "/people/1", {"data": {"photo": {"data": None}}}).status == 200
    assert web.held() == {"2": [b""]}
    assert web("PATCH", "/people/1", {"data": {"photo": {"data": None}}}).status == 200
    assert web("DELETE", "/people/1").status == 204
    assert web.held() == {}


def test_a_new_file_is_a_modification(web: Web) -> None:
    """A file is content of its record: the version and the time of change rise with it."""
    web.rows("update people set _modified='2020-01-01T00:00:00.000Z'")
    web.post("/people/1", jpeg(), method="PATCH")
    rows = web.rows("select _version, _modified from people where id=1")
    assert rows == [(2, "2026-03-01T12:00:00.000Z")]


def test_deletions_that_reach_files(web: Web) -> None:
    """A cascade takes the files of what it deletes."""
    for number in (1, 1, 2):
        web.post("/letters", part("data[to][data][id]", str(number).encode()), part("data[scan]", LONG, str(number)))
    assert web.held() == {"1": [LONG, LONG], "2": [LONG]}
    web("DELETE", "/people/1")
    assert (web.held(), web.rows("select id from letters")) == ({"2": [LONG]}, [(3,)])
    assert web("DELETE", "/letters/3").status == 204
    assert web.held() == {}


def test_a_required_file(web: Web) -> None:
    """A required file cannot be left out or taken away, but replaced."""
    before = web.dump()
    web.refuse(400, 'Required attribute "scan" missing!', web("POST", "/letters", {"data": {}}), before)
    assert web.post("/letters", part("data[scan]", b"1", "a")).status == 201
    before = web.dump()
    answer = web("PATCH", "/letters/1", {"data": {"scan": {"data": None}}})
    web.refuse(400, 'Required attribute "scan" missing!', answer, before)
    answer = web("DELETE", "/api/letters/1/scan:destroy?forceUpdate=true")
    assert (answer.status, web.dump()) == (400, before)
    assert web.post("/letters/1", part("data[scan]", b"2", "b"), method="PATCH").status == 200
    assert web.held() == {"b": [b"2"]}


BROKEN: list[tuple[list[bytes], list[str]]] = [
    (
        [part("data[name]", b"x" * 21), part("data[age]", b"old"), part("data[photo]", LONG, "a.png", "image/png")],
        [
            "Invalid value \"old\" for field 'age': expected a whole number of 64 bits",
            "Field 'photo' must be a file of type image/jpeg",
            "Field 'name' must have at most 20 characters",
        ],
    ),
    ([part("data[name]", b"Ada"), jpeg()], ["Field 'name' must be unique: another record has this value"]),
    ([part("data[photo]", LONG, "a.jpg")], ["Field 'photo' must be a file of type image/jpeg"]),
    ([part("data[name]", b"x", "n.txt")], ["Invalid value \"n.txt\" for field 'name': expected no file"]),
    ([part("data[tags]", b"x", "n.txt")], ["Invalid value \"n.txt\" for field 'tags': expected no file"]),
    ([part("data[extra]", b"x", "n.txt")], ["Invalid value \"n.txt\" for field 'extra': expected no file"]),
    ([part("data[boss]", b"x", "n.txt")], ["Invalid value \"n.txt\" for field 'boss': expected no file"]),
    ([part("data[nope]", b"x", "n.txt")], ["Unknown field nope"]),
    ([part("data[fixed]", b"x", "n.txt")], ['Editing attribute "fixed" is not possible.']),
    ([part("data[photo]", b"a.jpg")], ['Editing attribute "photo" is not possible.']),
    ([jpeg(), part("data[Photo]", b"x", "b.jpg", "image/jpeg")], ["Field 'photo' is set twice"]),
    ([part("data", b"x", "n.txt")], ["Invalid value 'n.txt' for parameter 'data': a file field is not named so"]),
    (
        [part("data[tags][]", b"x", "n.txt")],
        ["Invalid value 'n.txt' for parameter 'data[tags][]': a file field is not named so"],
    ),
    ([part("photo", b"x", "n.txt")], ["Invalid value 'n.txt' for parameter 'photo': a file field is not named so"]),
    (
        [jpeg(file="x" * 300)],
        [f"Invalid value '{'x' * 100}' for parameter 'filename': the name of a file has at most 255 characters"],
    ),
]


@pytest.mark.parametrize(("parts", "messages"), BROKEN)
def test_files_that_are_refused(web: Web, parts: list[bytes], messages: list[str]) -> None:
    """What is wrong with a form is said, everything at once, and nothing is kept."""
    before = web.dump()
    for method, address in (("POST", "/people"), ("PATCH", "/people/2")):
        answer = web.post(address, *parts, method=method)
        assert answer.status == 400
        assert [fault["message"] for fault in answer.json["errors"]] == messages
        assert web.dump() == before


def test_files_are_for_records_only(web: Web) -> None:
    """What is sent to the records of a link has no files."""
    before = web.dump()
    for name in ("data", "data[id]", "data[0][id]"):
        for link in ("boss", "friends"):
            answer = web.post(f"/people/1/{link}", part(name, b"1", "n.txt"))
            assert (answer.status, web.dump()) == (400, before)
    assert web.post("/people/1/friends", part("data[0][id]", b"2")).status == 200


def test_bodies_of_json_hold_no_file(web: Web) -> None:
    """In JSON nobody can set a file, nor take it from another record."""
    web.post("/people/1", jpeg(), method="PATCH")
    before = web.dump()
    values: list[Any] = ["a.jpg", 1, [], {}, {"data": {"id": "1"}}, {"data": []}, None]
    for value in values:
        answer = web("PATCH", "/people/2", {"data": {"photo": value}})
        web.refuse(400, 'Editing attribute "photo" is not possible.', answer, before)


@pytest.mark.parametrize(
    ("method", "address", "body"),
    [
        ("POST", "people:create", {"photo": 1}),
        ("POST", "people:create", {"photo_id": 1}),
        ("POST", "people:create", {"photo": {"id": 1}}),
        ("POST", "people:create", {"photo": {"id": 1, "name": "mine"}}),
        ("POST", "people:create", {"photo": {"name": "mine"}}),
        ("POST", "people:create", {"photo": {}}),
        ("POST", "people:create", {"photo": {"id": 9}}),
        ("POST", "people:create", {"boss": {"photo": 1}}),
        ("POST", "people:create", {"friends": [{"photo_id": 1}]}),
        ("POST", "people:update/2", {"photo": 1}),
        ("POST", "people:update/2", {"photo_id": 1}),
        ("POST", "people:update/2?updateAssociationValues=photo", {"photo": {"id": 1, "name": "mine"}}),
        ("POST", "people:updateOrCreate?filterKeys=name", {"name": "Bob", "photo": 1}),
        ("POST", "people/2/photo:set/1", None),
        ("POST", "people/2/photo/1", None),
        ("POST", "people/2/photo:create", {"name": "mine"}),
        ("POST", "people/2/photo:firstOrCreate?filterKeys=name", {"name": "mine"}),
        ("POST", "people/2/photo:updateOrCreate?filterKeys=name", {"name": "mine"}),
    ],
)
def test_no_record_takes_the_file_of_another(web: Web, method: str, address: str, body: Any) -> None:
    """A file is one record's: no way of NocoBase to link records leads to it."""
    web.post("/people/1", jpeg(), method="PATCH")
    before = web.dump()
    answer = web(method, f"/api/{address}", body)
    assert (answer.status, web.dump()) == (400, before)


def test_a_file_in_nocobase(web: Web) -> None:
    """It is an association that can be shown, sent back as it is and taken away; nothing about it can be set."""
    web.post("/people/1", jpeg(b"123"), method="PATCH")
    moment = "2026-03-01T12:00:00.000Z"
    file = {"name": "a.jpg", "media_type": "image/jpeg", "size": 3, "createdAt": moment, "updatedAt": moment}
    assert web("GET", "/api/people:get/1?appends=photo&fields=name").json["data"]["photo"] == {"id": 1, **file}
    assert web("GET", "/api/people/1/photo:get").json == {"data": {"id": 1, **file}}
    before = web.dump()
    web("PATCH", "/api/people/1/photo:update", {"name": "x", "size": 9, "media_type": "text/html"})
    web("POST", "/api/people:update/1?updateAssociationValues=photo", {"photo": {"id": 1, "name": "x"}, "photo_id": 1})
    web("POST", "/api/people/1/photo:set/1")
    assert web.dump() == before
    assert web("POST", "/api/people:update/1", {"photo": None}).status == 200
    for take in ("people/1/photo:remove", "people/1/photo:destroy?forceUpdate=true"):
        web.post("/people/1", jpeg(b"123"), method="PATCH")
        assert (web("DELETE", f"/api/{take}").status, web.held()) == (200, {})
    web.post("/people/1", jpeg(b"123"), method="PATCH")
    assert (web("POST", "/api/people:update/1", {"photo_id": None}).status, web.held()) == (200, {})


def test_a_file_in_the_other_dialects(web: Web) -> None:
    """They show its name. CoreData takes it away with null, Platform leaves it alone."""
    web.post("/people/1", jpeg(b"123"), method="PATCH")
    address = f"/api/v2/people/{minirest.record_uuid(web.app.schema.find('people').tag, 0, 1)}/"
    entity = f"/api/v1/people/{minirest.object_id(web.app.schema.find('people').tag, 1)}"
    assert web("GET", address).json["photo"] == "a.jpg"
    assert web("PATCH", entity, {"photo": None}).json["photo"] == "a.jpg"
    before = web.dump()
    text = "Invalid value \"b.jpg\" for field 'photo': expected null: JSON holds no file"
    assert web("PATCH", address, {"photo": "b.jpg"}).json == {"error": text}
    assert web.dump() == before
    assert (web("PATCH", address, {"photo": None}).json["photo"], web.held()) == (None, {})


@pytest.mark.parametrize("address", ["/api/people:create", "/api/v2/people/", "/api/v1/people"])
def test_dialects_that_take_no_form_with_files(web: Web, address: str) -> None:
    """A form with files is refused where it is not read."""
    before = web.dump()
    answer = web.post(address, part("name", b"x"), jpeg(name="photo"))
    assert (400 <= answer.status < 500, web.dump()) == (True, before)


def test_history_and_events(web: Web) -> None:
    """History keeps name and size, and neither it nor an event has content."""
    events: list[minirest.Event] = []
    web.app.store.listeners.append(events.extend)
    web.post("/people", part("data[name]", b"Cem"), jpeg(b"one", "1.jpg"))
    web.post("/people/3", jpeg(b"three", "3.jpg"), method="PATCH")
    web("PATCH", "/people/3", {"data": {"photo": {"data": None}}})
    web.post("/people/3", jpeg(b"seven", "7.jpg"), method="PATCH")
    web("DELETE", "/people/3")
    tag = web.app.schema.find("people").tag
    rows = web.rows(f"select action, field, before, after from _history where tag={tag} and record=3 order by id")
    one, three, seven = ({"name": f"{name}.jpg", "size": size} for name, size in ((1, 3), (3, 5), (7, 5)))
    assert [(*row[:2], *(text and json.loads(text) for text in row[2:])) for row in rows] == [
        ("created", None, None, {"name": "Cem", "photo": one}),
        ("updated", "photo", one, three),
        ("updated", "photo", three, None),
        ("updated", "photo", None, seven),
        ("deleted", None, {"name": "Cem", "photo": seven}, None),
    ]
    assert [event.action for event in events if event.table.name == "people"] == [row[0] for row in rows]
    assert not any(isinstance(value, bytes) for event in events for value in event.record.values())


# ---- out again ----


def test_a_download(web: Web) -> None:
    """A file goes out whole, with headers that let no browser show or guess it; HEAD has its length."""
    web.post("/people/1", jpeg(file="Größe 1.jpg"), method="PATCH")
    answer = web("GET", "/browse/people/1/file/photo")
    assert (answer.status, answer.body) == (200, LONG)
    tag = answer.headers["ETag"]
    assert re.fullmatch(r'"[0-9a-f]{16}"', tag)
    assert answer.headers == {
        "Content-Type": "image/jpeg",
        "Content-Length": str(len(LONG)),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
        "Referrer-Policy": "no-referrer",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": "attachment; filename=\"Gr__e 1.jpg\"; filename*=UTF-8''Gr%C3%B6%C3%9Fe%201.jpg",
    }
    head = web("HEAD", "/browse/PEOPLE/1/file/Photo", HTTP_RANGE="bytes=0-1")
    assert (head.status, head.headers, head.body) == (200, answer.headers, b"")
    for known in (tag, f'"x", W/{tag}', "*"):
        same = web("GET", "/browse/people/1/file/photo", HTTP_IF_NONE_MATCH=known, HTTP_RANGE="bytes=0-1")
        assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
        assert "Content-Length" not in same.headers
    web.post("/people/1", jpeg(file="Größe 1.jpg"), method="PATCH")
    other = web("GET", "/browse/people/1/file/photo", HTTP_IF_NONE_MATCH=tag)
    assert (other.status, other.headers["ETag"] != tag) == (200, True)


SIZE = len(LONG)
RANGES: list[tuple[str, tuple[int, int] | None]] = [
    ("bytes=0-0", (0, 1)),
    ("bytes=0-", (0, SIZE)),
    (f"bytes=0-{SIZE - 1}", (0, SIZE)),
    (f"bytes=0-{10**17}", (0, SIZE)),
    (f"bytes={PIECE - 1}-{PIECE}", (PIECE - 1, PIECE + 1)),
    (f"bytes={PIECE}-{2 * PIECE - 1}", (PIECE, 2 * PIECE)),
    (f"bytes={PIECE + 5}-{2 * PIECE + 2}", (PIECE + 5, 2 * PIECE + 3)),
    (f"bytes={SIZE - 1}-", (SIZE - 1, SIZE)),
    ("bytes=-1", (SIZE - 1, SIZE)),
    (f"bytes=-{PIECE}", (SIZE - PIECE, SIZE)),
    (f"bytes=-{SIZE + 1}", (0, SIZE)),
    (" bytes= 1-2 ", (1, 3)),
    (f"bytes={SIZE}-", None),
    (f"bytes={SIZE}-{SIZE + 5}", None),
    ("bytes=-0", None),
]


@pytest.mark.parametrize(("value", "wanted"), RANGES)
def test_ranges(web: Web, value: str, wanted: tuple[int, int] | None) -> None:
    """One range is answered alone; one without a byte of the file is an error that says how long the file is."""
    web.post("/people/1", jpeg(), method="PATCH")
    answer = web("GET", "/browse/people/1/file/photo", HTTP_RANGE=value)
    if wanted is None:
        assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{SIZE}")
        assert f"The file has {SIZE} bytes; '{value}' asks for none of them." in answer.body.decode()
    else:
        first, end = wanted
        assert (answer.status, answer.body) == (206, LONG[first:end])
        assert answer.headers["Content-Range"] == f"bytes {first}-{end - 1}/{SIZE}"
        assert answer.headers["Content-Length"] == str(end - first)


@pytest.mark.parametrize(
    "value", ["", "bytes", "bytes=", "bytes=-", "bytes=2-1", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes=٠-١"]
)
def test_ranges_that_are_none(web: Web, value: str) -> None:
    """Several ranges, and what is no range, give the whole file."""
    web.post("/people/1", jpeg(), method="PATCH")
    answer = web("GET", "/browse/people/1/file/photo", HTTP_RANGE=value)
    assert (answer.status, answer.body, answer.headers.get("Content-Range")) == (200, LONG, None)


def test_ranges_of_one_version(web: Web) -> None:
    """`If-Range` gives a range of the file that the client knows, and of any other the whole."""
    web.post("/people/1", jpeg(), method="PATCH")
    tag = web("HEAD", "/browse/people/1/file/photo").headers["ETag"]
    for value, status in ((tag, 206), ('"other"', 200), (f"W/{tag}", 200), ("Sun, 01 Mar 2026 12:00:00 GMT", 200)):
        answer = web("GET", "/browse/people/1/file/photo", HTTP_RANGE="bytes=1-2", HTTP_IF_RANGE=value)
        assert (answer.status, answer.body) == (status, LONG[1:3] if status == 206 else LONG)


def test_an_empty_file(web: Web) -> None:
    """A file may have no bytes, and then no range is in it."""
    web.post("/people/1", jpeg(b""), method="PATCH")
    answer = web("GET", "/browse/people/1/file/photo")
    assert (answer.status, answer.headers["Content-Length"], answer.body) == (200, "0", b"")
    for value in ("bytes=0-", "bytes=-1"):
        answer = web("GET", "/browse/people/1/file/photo", HTTP_RANGE=value)
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */0")


@pytest.mark.parametrize(
    "address",
    [
        "people/1/file/paper",
        "people/1/file/name",
        "people/1/file/boss",
        "people/1/file/friends",
        "people/1/file/nope",
        "people/9/file/photo",
        "people/0/file/photo",
        "people/x/file/photo",
        "people/99999999999999999999/file/photo",
        "nope/1/file/photo",
        "_files/1/file/photo",
    ],
)
def test_files_that_are_not_there(web: Web, address: str) -> None:
    """Where there is no file nothing is found."""
    web.post("/people/1", jpeg(), method="PATCH")
    assert web("GET", f"/browse/{address}").status == 404


def test_methods_of_a_download(web: Web) -> None:
    """A file is only read at its address."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = web(method, "/browse/people/1/file/photo")
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


def test_files_of_archived_records(web: Web) -> None:
    """A record in any state shows its file."""
    web.post("/people/2", jpeg(b"x"), method="PATCH")
    assert web("GET", "/browse/people/2/file/photo").body == b"x"


def test_files_of_private_records() -> None:
    """Who does not see a record does not find its file, and strangers are asked who they are."""
    users = {"anna": "a" * 12, "bert": "b" * 12}
    web = Web(auth=True, users=users)
    with closing(web.app):
        marks = {name: f"Basic {base64.b64encode(f'{name}:{word}'.encode()).decode()}" for name, word in users.items()}
        web.kept = {"HTTP_AUTHORIZATION": marks["anna"]}
        assert web.post("/diaries", part("data[page]", b"dear diary", "p")).status == 201
        address = "/browse/diaries/1/file/page"
        assert web("GET", address).body == b"dear diary"
        hidden = web("GET", address, HTTP_AUTHORIZATION=marks["bert"])
        missing = web("GET", "/browse/diaries/2/file/page", HTTP_AUTHORIZATION=marks["bert"])
        assert (hidden.status, hidden.headers, hidden.body) == (404, missing.headers, missing.body)
        web.kept = {}
        assert web("GET", address).status == 401


def test_errors_without_limbas() -> None:
    """The address is there whatever dialects are; its errors are pages, as it is people who follow it."""
    web = Web(dialects=["platform", "nocobase"])
    with closing(web.app):
        answer = web("GET", "/browse/people/1/file/photo")
        assert (answer.status, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert answer.body == web("GET", "/browse/people/99").body


def test_a_file_that_goes_while_it_is_sent(tmp_path: Path) -> None:
    """Each piece is a read of its own: writes go on, and a file that is gone ends, short of what was announced."""
    web = Web(str(tmp_path / "x.db"))
    with closing(web.app):
        web.post("/people/1", jpeg(), method="PATCH")
        asked = Request({"REQUEST_METHOD": "GET", "PATH_INFO": "/"})
        reply = minirest.Downloads(web.app.store).show(asked, "people", "1", "photo")
        assert reply.stream
        pieces = iter(reply.stream.pieces)
        assert next(pieces) == LONG[:PIECE]
        assert web("PATCH", "/people/1", {"data": {"name": "Eva"}}).status == 200
        assert next(pieces) == LONG[PIECE : 2 * PIECE]
        assert web("DELETE", "/people/1").status == 204
        assert list(pieces) == []


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ('a"b\\c', "attachment; filename=\"a_b_c\"; filename*=UTF-8''a%22b%5Cc"),
        ("100%25;x=y", "attachment; filename=\"100_25;x=y\"; filename*=UTF-8''100%2525%3Bx%3Dy"),
        ("..", "attachment; filename=\"..\"; filename*=UTF-8''.."),
        ("\U0001f600", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%98%80"),
    ],
)
def test_dispositions(name: str, header: str) -> None:
    """The name of a file cannot leave its header; what reads percent signs reads the second one."""
    assert disposition(name) == header


@given(st.text(max_size=30))
def test_any_name(text: str) -> None:
    """Whatever a client calls a file, its header is ASCII of one line, and its name no path."""
    try:
        name = file_name(text)
    except ApiError:
        return
    assert re.fullmatch(r"[^/\\\0\r\n]+", name)
    assert re.fullmatch(
        r"attachment; filename=\"[ -!#-\[\]-~]+\"; filename\*=UTF-8''[\w.~%-]+", disposition(name), re.ASCII
    )


# ---- the spool, and what goes wrong below ----


def test_uploads_are_let_go(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a request its temporary file is closed, however it went."""
    opened: list[Any] = []
    make = tempfile.SpooledTemporaryFile

    def spool(*words: Any) -> Any:
        opened.append(make(*words))
        return opened[-1]

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", spool)
    assert web.post("/people", jpeg()).status == 201
    assert web.post("/people", jpeg(), part("data[age]", b"x")).status == 400
    assert web.post("/people", jpeg(), b"x").status == 400
    assert [file.closed for file in opened] == [True] * 3


def test_content_is_written_last(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is refused has written no content."""

    def pieces(upload: Upload) -> Iterator[bytes]:
        raise AssertionError

    monkeypatch.setattr(Upload, "pieces", pieces)
    assert web.post("/people", part("data[name]", b"x" * 21), jpeg()).status == 400


def test_a_full_disk(web: Web) -> None:
    """Where there is no room for an upload the answer says so."""

    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(errno.ENOSPC, "No space left on device")

    environ: Any = {"wsgi.input": Full(), "CONTENT_LENGTH": "100"}
    answer = web.post("/people", **environ)
    message = "The database cannot be written: the disk is full"
    assert (answer.status, answer.json) == (507, {"errors": [{"code": 507, "message": message}]})


# ---- files of before, and other schema files ----


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """Rows of a database file."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_a_database_of_the_version_before(tmp_path: Path) -> None:
    """A database without the pieces of files gets them at the start, and is then as a new one."""
    path = tmp_path / "x.db"
    Web(str(path)).app.close()
    new = rows(path, "select name, sql from sqlite_master order by name")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("drop table _pieces")
        connection.execute("update _meta set value='1' where key='version'")
    web = Web(str(path))
    with closing(web.app):
        assert web.post("/people/1", jpeg(), method="PATCH").status == 200
        assert web("GET", "/browse/people/1/file/photo").body == LONG
    assert rows(path, "select value from _meta where key='version'") == [("2",)]
    assert rows(path, "select name, sql from sqlite_master order by name") == new


def test_a_field_or_table_that_goes(tmp_path: Path) -> None:
    """The files of a field or a table that a changed schema file drops go with it; a renamed field keeps them."""
    path = tmp_path / "x.db"
    web = Web(str(path))
    with closing(web.app):
        web.post("/people/1", jpeg(), part("data[paper]", LONG, "p"), method="PATCH")
        web.post("/letters", part("data[scan]", LONG, "s"))
        web.post("/diaries", part("data[page]", LONG, "d"))
    schema = json.loads(json.dumps(SCHEMA))
    fields = schema["$defs"]["people"]["properties"]
    del schema["$defs"]["letters"], fields["photo"]
    fields["document"] = fields.pop("paper")
    drop, renames = ["letters", "people.photo_id"], {"people.paper": "document"}
    minirest.migrate(minirest.load_schema(schema), str(path), drop, renames, apply=True)
    assert rows(path, "select name from _files order by name") == [("d",), ("p",)]
    assert rows(path, "select count(*), count(distinct file) from _pieces") == [(6, 2)]
    web.app = minirest.make_app(schema, str(path), auth=False)
    with closing(web.app):
        assert web("GET", "/browse/people/1/file/document").body == LONG
    minirest.migrate(
        minirest.load_schema({"$defs": {"a": {"type": "object"}}}),
        str(path),
        ["people", "diaries", "people_friends"],
        apply=True,
    )
    assert rows(path, "select count(*) from _files union all select count(*) from _pieces") == [(0,), (0,)]


# ---- limits of an application and of the server ----


def test_limits_of_an_application() -> None:
    """`max_body` is for JSON, forms and the texts of a form with files, `max_upload` for that form as a whole."""
    web = Web(max_body=1000, max_upload=5000)
    with closing(web.app):
        before = web.dump()
        web.refuse(413, "The body is larger than 1000 bytes", web("POST", "/people", b" " * 1001), before)
        answer = web.post("/people", part("data[name]", b"x" * 1000))
        web.refuse(413, "The body is larger than 1000 bytes", answer, before)
        web.refuse(413, "The body is larger than 5000 bytes", web.post("/people", jpeg(b"x" * 5000)), before)
        answer = web.post("/people", *(part(f"data[{number}]") for number in range(5000)), CONTENT_LENGTH="4000")
        assert (answer.status, web.dump()) == (413, before)
        assert web.post("/people", part("data[name]", b"x"), jpeg(b"x" * 4000)).status == 201


def test_five_thousand_parts(web: Web) -> None:
    """A form of very many parts is refused."""
    before = web.dump()
    answer = web.post("/people", *(part(f"data[a{number}]") for number in range(5000)))
    web.refuse(400, "More than 1000 parameters", answer, before)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "2M", "x", "١", "1" * 16])
@pytest.mark.parametrize("option", ["--max-body", "--max-upload"])
def test_bad_sizes(option: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A size is a number of bytes."""
    schema = tmp_path / "x.json"
    schema.write_text(json.dumps(SCHEMA))
    assert minirest.main([str(schema), "--db", str(tmp_path / "x.db"), f"{option}={text}"]) == 2
    assert capsys.readouterr().err == f"minirest: {text!r} is no size; write a number of bytes, above 0\n"


@pytest.mark.parametrize("upload", [1000, 100 * 1024 * 1024])
def test_what_the_server_buffers(upload: int) -> None:
    """The largest upload fits, and a little more, which gets our answer; no worker waits for a slow reader of it."""
    web = Web(max_upload=upload)
    with closing(web.app):
        server = minirest.make_server(web.app, "127.0.0.1", 0)
        try:
            wanted = max(upload, minirest.MAX_BUFFERED_BYTES) + minirest.MAX_BODY_BYTES
            assert (server.adj.max_request_body_size, server.adj.outbuf_high_watermark) == (wanted, wanted)
        finally:
            server.close()


def test_a_long_upload_may_take_its_time() -> None:
    """A request that does not come on is closed; one that has brought much is not."""
    closed: list[int] = []

    class Channel:
        lingers_until = 0.0
        requests, total_outbufs_len = (), 0

        def __init__(self, number: int, received: int) -> None:
            self.number, self.request = number, SimpleNamespace(body_bytes_received=received)

        def handle_close(self) -> None:
            closed.append(self.number)

    rate, limit = minirest.MINIMUM_BYTES_PER_SECOND, minirest.REQUEST_TIMEOUT_SECONDS
    channels = [Channel(number, received) for number, received in enumerate((0, 30 * rate, 60 * rate))]
    started = dict.fromkeys(channels, time.monotonic() - limit - 40)
    minirest.close_slow(SimpleNamespace(active_channels=dict(enumerate(channels))), started)
    assert closed == [0, 1]


# ---- twenty megabytes ----

SERVER = """
import minirest

app = minirest.make_app({schema!r}, {db!r}, auth=False)
minirest.serve(app, port=0, on_ready=lambda url: print(url, flush=True))
app.close()
"""
MEGABYTES = 20
BLOCK = hashlib.blake2b(b"minirest").digest() * 16384
"""A megabyte."""


class Measured(NamedTuple):
    """What became of a request to the server, and how long it took."""

    status: int
    digest: str
    seconds: float


def memory(process: int) -> int:
    """The bytes that a process has had in memory at most since the last `forget`."""
    text = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", text)[0]) * 1024


def forget(process: int) -> None:
    """Begin to measure anew."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def content() -> Iterator[bytes]:
    """The file, block by block; no two blocks are alike."""
    for number in range(MEGABYTES):
        yield number.to_bytes(4, "big") + BLOCK[4:]


def ask(port: int, method: str, address: str, body: Any = None, **headers: str) -> Measured:
    """One request; the answer is not held whole."""
    begun, digest = time.monotonic(), hashlib.blake2b()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, address, body, headers)
        answer = connection.getresponse()
        while data := answer.read(65536):
            digest.update(data)
    return Measured(answer.status, digest.hexdigest(), time.monotonic() - begun)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """A server of its own with a database file: its process and its port."""
    program = SERVER.format(schema=SCHEMA, db=str(tmp_path / "x.db"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    try:
        yield process.pid, int(re.findall(r":(\d+)/", process.stdout.readline())[0])
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="memory is read from Linux' /proc")
def test_twenty_megabytes(server: tuple[int, int]) -> None:
    """An upload and its download are the same byte for byte, and the server grows by less than 60 MB."""
    process, port = server
    head, tail = multipart(part("data[paper]", b"+", "big.bin")).split(b"+")
    length = str(len(head) + len(tail) + MEGABYTES * len(BLOCK))
    kind = {"Content-Type": "multipart/form-data; boundary=-x", "Content-Length": length}
    warm = multipart(part("data[paper]", b"x", "x"))
    assert ask(port, "PATCH", "/people/1", warm, **(kind | {"Content-Length": str(len(warm))})).status == 200
    with suppress(PermissionError):  # a container may forbid it: then the peak counts from the start
        forget(process)
    before = memory(process)
    sent = ask(port, "PATCH", "/people/1", iter([head, *content(), tail]), **kind)
    middle = memory(process)
    got = ask(port, "GET", "/browse/people/1/file/paper")
    after = memory(process)
    digest = hashlib.blake2b()
    for block in content():
        digest.update(block)
    print(f"up {sent.seconds:.2f} s, down {got.seconds:.2f} s; {middle - before:,} and {after - before:,} bytes more")
    assert (sent.status, got.status, got.digest) == (200, 200, digest.hexdigest())
    assert after - before < 60 * 1024 * 1024


def test_too_much_over_the_port(server: tuple[int, int]) -> None:
    """What is over the limit is refused, and the server goes on."""
    _, port = server
    body = multipart(part("data[name]", b"x" * (minirest.MAX_BODY_BYTES + 1)))
    kind = {"Content-Type": "multipart/form-data; boundary=-x"}
    assert ask(port, "POST", "/people", body, **kind).status == 413
    assert ask(port, "GET", "/people/1").status == 200
