"""Feeds the parsers of what comes from outside with bytes.

atheris watches which branches of minirest.py a text takes, and goes on from those that took a new one; so it has to
load minirest.py itself (`tests/test_fuzzing.py` has the program). What a parser may raise is `ApiError`, or what its
docstring names; anything else ends its process with a traceback and the bytes.
"""

import contextlib
import functools
import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import minirest
from minirest import ApiError, BadValue
from tests.hostile import NOW, SCHEMA
from tests.web import multipart, part, send


def text_of(data: bytes) -> str:
    """Bytes as a WSGI server hands them on."""
    return data.decode("latin-1")


def request(data: bytes = b"", **environ: str) -> minirest.Request:
    """A request with a body and headers."""
    length = {"CONTENT_LENGTH": str(len(data)), "wsgi.input": io.BytesIO(data)}
    return minirest.Request({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_HOST": "localhost", **length, **environ})


def read_query(data: bytes) -> None:
    """Brackets: what is read is spelt again as it was, and nests or is refused."""
    parameters = minirest.parse_query(text_of(data))
    for parameter in parameters:
        assert minirest.parse_brackets(parameter.name) == parameter.keys
    minirest.nest_parameters(parameters)


def read_json(data: bytes) -> None:
    """JSON: what is read is written again and read as the same."""
    value = minirest.read_json(data)
    assert minirest.read_json(minirest.dump_json(value)) == value


APP = minirest.make_app(SCHEMA, auth=False, clock=lambda: NOW)
NAMES = minirest.Names(APP.schema.find("items"), minirest.NocoBase.manner)


def read_filter(data: bytes) -> None:
    """A filter in JSON: what is read can be run."""
    where = minirest.filter_from_json(NAMES, minirest.read_json(data))
    APP.store.run(minirest.Select(NAMES.table, minirest.Const(None), where, page=minirest.Page(1)))


def asked(prefix: str) -> Callable[[bytes], None]:
    """The query of a list, in process: it is answered or refused."""

    def read(data: bytes) -> None:
        answer = send(APP, "GET", f"{prefix}?{text_of(data)}")
        assert answer.status < 500, answer.body

    return read


def read_headers(data: bytes) -> None:
    """One text as the value of each header that is read."""
    text = text_of(data)
    words = ("COOKIE", "AUTHORIZATION", "RANGE", "IF_NONE_MATCH", "IF_MATCH", "IF_RANGE", "ORIGIN", "ACCEPT", "PREFER")
    headers: dict[str, Any] = {f"HTTP_{word}": text for word in words}
    made = request(**headers, HTTP_HOST=text, CONTENT_TYPE=text)
    made.cookie("sid")
    made.knows('"1-0"')
    made.wants_html()
    assert made.origin is None or isinstance(made.origin, str)
    minirest.wants_little(made)
    assert made.media_type == made.media_type.lower()
    for read in (
        lambda: made.expected_version,
        lambda: minirest.wanted_range(made, 1000, '"tag"'),
        lambda: APP.accounts.authenticate(made),
        lambda: minirest.Policy(hosts=frozenset({"localhost"})).check_host(made),
        lambda: minirest.parse_header(text),
        lambda: minirest.media_type_of(text),
    ):
        with contextlib.suppress(ApiError):
            read()


def read_multipart(data: bytes) -> None:
    """A form with files: every name is one part of a path, and every file lies in the spool."""
    made = request(data, CONTENT_TYPE="multipart/form-data; boundary=-x")
    form = minirest.read_form(made)
    try:
        for upload in form.files.values():
            assert not set(upload.name) & set("/\\\0\r\n")
            assert sum(map(len, upload.pieces())) == upload.size
    finally:
        form.close()


def read_values(data: bytes) -> None:
    """A text as a value of each kind, as a date, an id and a name."""
    text = data.decode("utf-8", "replace")
    parsers: tuple[Callable[[str], Any], ...] = (
        *(kind.parse_text for kind in minirest.KINDS.values() if kind.name != "password"),
        *(minirest.parse_span, minirest.parse_limbas_date, minirest.parse_coredata_moment, minirest.parse_instant),
        *(minirest.parse_literals, minirest.local_address, minirest.file_name),
        lambda given: minirest.parse_uuid(given, 1),
        lambda given: minirest.parse_object_id(given, 1),
    )
    for parse in parsers:
        with contextlib.suppress(ApiError, BadValue, ValueError):
            parse(text)


PARSERS: Mapping[str, Callable[[bytes], None]] = {
    "brackets": read_query,
    "json": read_json,
    "filter": read_filter,
    "limbas": asked("/items"),
    "coredata": asked("/api/v2/items/"),
    "platform": asked("/api/v1/items"),
    "qore": asked("/api/resources/items/table/items"),
    "headers": read_headers,
    "multipart": read_multipart,
    "values": read_values,
}
SEEDS: Mapping[str, tuple[bytes, ...]] = {
    "brackets": (b"$page[count]=2&name=M%C3%BCller+x", b"a[b][]=1&a[c][0]=2&b"),
    "json": (b'{"a": [1, -2.5e3, null, true, "\\ud83d\\ude00"], "b": {}}',),
    "filter": (b'{"$and":[{"name":{"$includes":"x"}},{"boss.name":"y"}]}', b'{"day":{"$dateBetween":"[2026,2027)"}}'),
    "limbas": (b"$page[count]=2&$sort=-name&$fields=name&count[gte]=1", b"items[day][eq]=01.03.2026&$validity=all"),
    "coredata": (b"name__icontains=x&boss__name=y&order_by=-name&limit=2", b"day__range=2026-01-01,2026-02-01"),
    "platform": (b"where.boss.name=x,null&sortBy=-count&only=name", b"from=1567285200000&meta=true"),
    "qore": (b"search_columns[name]=x&sort_column=name&sort_direction=desc&per_page=2", b"tab=mine"),
    "headers": (b"Basic YWRtaW46eA==", b"bytes=0-99", b'W/"1-0", "x"', b"sid=a; b=c", b"https://a.example", b'"1-0a"'),
    "multipart": (multipart(part("a[b]", b"d", "c.txt", "a/b"), part("e", b"f")),),
    "values": (
        b"2026-03-01T12:00:00.5+01:00",
        b"KW 12.2026",
        b"5f3c4f85-0000-1000-8000-000000000001",
        b"-1.5e3",
        b"/a?b",
    ),
}


def check(parser: str, data: bytes) -> None:
    """Feed a parser: it reads, or refuses as it says."""
    try:
        PARSERS[parser](data)
    except (ApiError, BadValue):
        return


def main(runs: str, folder: str) -> None:
    """Feed each parser, in a process of its own; 1 is the exit code when one of them has failed."""
    import atheris

    failed = []
    for parser in PARSERS:
        if not (child := os.fork()):
            options = ["-seed=1", "-max_len=300", "-timeout=20", "-verbosity=0", f"-runs={runs}"]
            corpus = f"{folder}/{parser}"
            atheris.Setup(["fuzz", *options, f"-artifact_prefix={corpus}/", corpus], functools.partial(check, parser))
            atheris.Fuzz()
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            failed.append(parser)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
