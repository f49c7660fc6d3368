"""Section 24: records in and out as files, made-up records, copies of a database."""

import csv
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import tracemalloc
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request as UrlRequest
from urllib.request import urlopen

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import minirest
from minirest import NOBODY, Application, Store, Violation
from tests.web import many, multipart, one, part, send, served

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2024, 5, 1, 13, 45, tzinfo=UTC)
MOMENT = "2024-05-01T13:45:00.000Z"
SHOP: dict[str, Any] = {
    "$defs": {
        "books": {
            "type": "object",
            "properties": {
                "title": {"type": "string", "minLength": 1, "maxLength": 80},
                "pages": {"type": "integer", "minimum": 1},
                "code": {"type": "string", "x-unique": True},
                "price": {"type": "number", "default": 9.5},
                "on": {"type": "string", "format": "date"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "author": one("authors"),
                "after": one("books"),
                "subjects": many("subjects"),
                "cover": {"type": "string", "format": "binary"},
            },
            "required": ["title"],
            "x-archive": True,
        },
        "authors": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "books": many("books", **{"x-inverse": "author"})},
            "examples": [{"name": "Anna"}, {"name": "Bert"}],
        },
        "subjects": {"type": "object", "properties": {"name": {"type": "string"}}, "examples": [{}, {}, {}]},
    }
}
HEAD = "id,title,pages,code,price,on,tags,author,after,subjects,_status\r\n"


class Done(NamedTuple):
    """What a run of the program left."""

    code: int
    out: str
    err: str


class Cli:
    """The command line in a folder with a schema file and its database."""

    def __init__(self, capsys: pytest.CaptureFixture[str], schema: Any = SHOP) -> None:
        self.capsys = capsys
        Path("shop.json").write_text(json.dumps(schema))
        minirest.make_app(schema, "shop.db", auth=False).close()

    def run(self, *arguments: str) -> Done:
        """Run a command; the schema file is that of the folder."""
        code = minirest.main([*arguments, *([] if "shop.json" in arguments else ["--schema", "shop.json"])])
        return Done(code, *self.capsys.readouterr())

    def load(self, text: str | bytes, *options: str, name: str = "in.csv", table: str = "books") -> Done:
        """Import a text."""
        Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
        return self.run("import", table, name, *options)

    def export(self, form: str = "csv", table: str = "books", *options: str) -> str:
        """What an export gives."""
        done = self.run("export", table, "--format", form, "-o", "out", *options)
        assert done == Done(0, "", "")
        return Path("out").read_bytes().decode()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of the file."""
        with closing(sqlite3.connect("shop.db")) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in an empty folder, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("MINIREST_"):
            monkeypatch.delenv(name)
    return Cli(capsys)


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in a database but what belongs to the accounts and the program."""
    tables = [table.name for table in store.schema.all_tables.values() if table.name not in ("_users", "_tokens")]
    with store.database.reading() as connection:
        return {name: connection.execute(f'select * from "{name}" order by id').fetchall() for name in tables}


def opened(schema: Any, path: str = ":memory:") -> Store:
    """A store of a schema, at a fixed time."""
    return Store(minirest.load_schema(schema), path, lambda: NOW)


def load(store: Store, table: str, source: bytes, form: str) -> minirest.Report:
    """Import bytes, as the command line does."""
    names = minirest.OwnNames(store.schema.find(table), minirest.Manner("file"))
    work = minirest.Import(minirest.Reader(names), lambda: minirest.loading(store, NOBODY, "import"))
    return work.run(work.reader.entries(io.BytesIO(source), form))


def exported(store: Store, table: str, form: str) -> bytes:
    """Export a table, as the command line does."""
    names = minirest.OwnNames(store.schema.find(table), minirest.Manner("file"))
    return b"".join(minirest.Export(names, store.run).pieces(form))


# ---- what a file says ----


def test_a_file_and_back(cli: Cli) -> None:
    """Records go in, come out in each form as shown, and go in again as the same."""
    given = (
        "title,pages,code,on,tags,author,after,subjects,_status\n"
        'One,12,a1,2024-02-29,"[""x"",""y""]",1,2,"[1,3]",\n'
        '"Two, or\n""more""",,,,,,,,trash\n'
        '=3,,"""""",,[],2,1,[],active\n'
    )
    assert cli.load(given) == Done(0, "3 lines read, 3 records made, 0 changed\n", "")
    exported = (
        HEAD + '1,One,12,a1,9.5,2024-02-29,"[""x"",""y""]",1,2,"[1,3]",active\r\n'
        '2,"Two, or\n""more""",,,9.5,,,,,[],trash\r\n'
        '3,=3,,"""""",9.5,,[],2,1,[],active\r\n'
    )
    assert cli.export() == exported
    first = {
        "id": 1,
        "title": "One",
        "pages": 12,
        "code": "a1",
        "price": 9.5,
        "on": "2024-02-29",
        "tags": ["x", "y"],
        "author": 1,
        "after": 2,
        "subjects": [1, 3],
        "_status": "active",
    }
    lines = cli.export("ndjson").splitlines()
    assert json.loads(lines[0]) == first
    assert json.loads(cli.export("json")) == [json.loads(line) for line in lines]
    for form in ("csv", "ndjson", "json"):
        text = cli.export(form)
        Path("shop.db").unlink()
        minirest.make_app(SHOP, "shop.db", auth=False).close()
        assert cli.load(text, name=f"in.{form}").out == "3 lines read, 3 records made, 0 changed\n"
        assert cli.export() == exported


def test_empty_table(cli: Cli) -> None:
    """A table without records has a head in CSV, and an empty list in JSON; both are files that can be imported."""
    assert (cli.export(), cli.export("ndjson"), cli.export("json")) == (HEAD, "", "[]\n")
    for form in ("csv", "ndjson", "json"):
        done = cli.load(cli.export(form), name=f"in.{form}")
        assert done == Done(0, "0 lines read, 0 records made, 0 changed\n", "")


def test_spreadsheets(cli: Cli) -> None:
    """On request no cell begins a formula, and a mark says that it is UTF-8; numbers stay numbers."""
    assert cli.load('title,price,code\n=1+1,-5,"@x"\n"\tx",1e3,-5\n').code == 0
    rows = list(csv.reader(io.StringIO(cli.export("csv", "books", "--safe-for-spreadsheets"))))
    assert rows[0][0] == "\ufeffid"
    assert [row[1:5] for row in rows[1:]] == [["'=1+1", "", "'@x", "-5"], ["'\tx", "", "-5", "1000"]]
    assert [row[1:5] for row in csv.reader(io.StringIO(cli.export()))][1] == ["=1+1", "", "@x", "-5"]


@pytest.mark.parametrize("options", [("--delimiter", ";"), ("--delimiter", "tab"), ("--delimiter", "|")])
def test_delimiter(cli: Cli, options: tuple[str, str]) -> None:
    """Other delimiters go out and in."""
    assert cli.load("title,code\na;b|c\td,x\n").code == 0
    text = cli.export("csv", "books", *options)
    assert text.startswith(f"id{'	' if options[1] == 'tab' else options[1]}title")
    assert cli.load(text, *options, "--upsert-by", "id").out == "1 lines read, 0 records made, 1 changed\n"


def test_names_of_files(cli: Cli) -> None:
    """The end of a name says what a file is; the standard output takes CSV."""
    assert cli.load("title\tcode\nA\tx\n", name="in.tsv").code == 0
    assert cli.load('{"title":"B"}\n\n{"title":"C"}', name="in.jsonl").code == 0
    done = subprocess.run(
        [sys.executable, str(ROOT / "minirest.py"), "export", "authors", "--schema", "shop.json"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"id,name\r\n1,Anna\r\n2,Bert\r\n", b"")
    done = subprocess.run(
        [sys.executable, str(ROOT / "minirest.py"), "import", "authors", "-", "--schema", "shop.json"],
        input=b"\xef\xbb\xbfname\r\nCleo\r\n",
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1 lines read, 1 records made, 0 changed\n", b"")
    assert cli.export("csv", "authors") == "id,name\r\n1,Anna\r\n2,Bert\r\n3,Cleo\r\n"


# ---- bad input ----

BAD_CSV: list[tuple[str | bytes, list[str]]] = [
    ("", ["1: The body cannot be read: it is empty; the first line names the fields"]),
    ("titel\nA\n", ["1: Unknown field 'titel' in table 'books'; did you mean 'title'?"]),
    ("title,title\nA,B\n", ["1: Field 'title' is set twice"]),
    ("title,books\nA,B\n", ["1: Unknown field 'books' in table 'books'"]),
    ("title,cover\nA,1\n", ["1: Field 'cover' cannot be set"]),
    ("title,_version\nA,1\n", ["1: Unknown field '_version' in table 'books'"]),
    ("title\nA\nB,1\n", ["3: The body cannot be read: it has 2 cells, the first line 1"]),
    (
        'title\n"A"x\n"B\n',
        [
            "2: The body cannot be read: ',' expected after '\"'",
            "3: The body cannot be read: a quotation mark is not closed",
        ],
    ),
    ('"title\nA\n', ["1: The body cannot be read: a quotation mark is not closed"]),
    (
        "title,pages\nA,x\nB,1.5\nC,0\n",
        [
            "2: Invalid value \"x\" for field 'pages': expected a whole number of 64 bits",
            "3: Invalid value \"1.5\" for field 'pages': expected a whole number of 64 bits",
            "4: Field 'pages' must be at least 1",
        ],
    ),
    (
        "title,pages,on\n,x,2024-02-30\n",
        [
            "2: Invalid value \"x\" for field 'pages': expected a whole number of 64 bits",
            "2: Invalid value \"2024-02-30\" for field 'on': expected a date as YYYY-MM-DD",
        ],
    ),
    ("title,pages\n,1\n", ["2: Field 'title' is required"]),
    ('title\n""""""\n', ["2: Field 'title' must have at least 1 characters"]),
    (
        "title,code\nA,x\nB,x\nC,y\nD,y\n",
        [
            "3: Field 'code' must be unique: another record has this value",
            "5: Field 'code' must be unique: another record has this value",
        ],
    ),
    ("id,title\n1,A\n1,B\n", ["3: Field 'id' must be unique: another record has this value"]),
    (
        "id,title\n0,A\n4503599627370495,B\n",
        [
            "2: Invalid value \"0\" for field 'id': expected a record id",
            "3: Invalid value 4503599627370495 for field 'id': expected a record id, 2251799813685247 at the most",
        ],
    ),
    (
        "title,author\nA,9\nB,Anna\n",
        [
            "3: Invalid value \"Anna\" for field 'author': expected a whole number of 64 bits",
            "2: Field 'author' links to a record that does not exist: 9",
        ],
    ),
    ("title,after\nA,1\nB,9\n", ["3: Field 'after' links to a record that does not exist: 9"]),
    (
        "title,subjects\nA,1\nB,[9]\nC,[\n",
        [
            "2: Invalid value 1 for field 'subjects': expected a list of ids, as [1,2]",
            "4: Invalid value \"[\" for field 'subjects': expected JSON",
            "3: Field 'subjects.0' links to a record that does not exist: 9",
        ],
    ),
    (
        "title,tags\nA,x\nB,{}\n",
        [
            "2: Invalid value \"x\" for field 'tags': expected JSON",
            "3: Invalid value \"{}\" for field 'tags': expected a list of plain values",
        ],
    ),
    (
        "title,_status\nA,gone\n",
        ["2: Invalid value \"gone\" for field '_status': expected one of active, archived, trash"],
    ),
    ("title\nA\0B\n", ["2: The body cannot be read: a text holds the character NUL"]),
    ("title\nA\n".encode("utf-16"), ["1: The body cannot be read: it is UTF-16; save it as UTF-8"]),
    (
        "title\nA\nM\xfcller\n".encode("latin-1"),
        ["3: The body cannot be read: byte 2 of the line (0xFC) is not UTF-8; save it as UTF-8"],
    ),
    ("title\rA\rB\r", ["1: The body cannot be read: a line ends with a carriage return alone"]),
]


@pytest.fixture(scope="module")
def shelf() -> Iterator[Store]:
    """A store without books, which stays so."""
    with closing(opened(SHOP)) as store:
        yield store


def check_bad(store: Store, text: str | bytes, form: str, said: list[str]) -> None:
    """What is wrong is named with its line, and nothing is written."""
    before = dump(store)
    report = load(store, "books", text.encode() if isinstance(text, str) else text, form)
    found = [f"{it.path[0]}: {it._replace(path=it.path[1:]).message()}" for it in report.faults]
    assert found == said
    assert (report.created, report.changed, report.undone) == (0, 0, True)
    assert report.bad == len({line.partition(":")[0] for line in said})
    assert dump(store) == before


@pytest.mark.parametrize(("text", "said"), BAD_CSV)
def test_bad_csv(shelf: Store, text: str | bytes, said: list[str]) -> None:
    """CSV that is broken, or no records."""
    check_bad(shelf, text, "csv", said)


def test_what_is_wrong_on_the_terminal(cli: Cli) -> None:
    """Each reason is a line that begins with the file and the line in it; the exit code is 1."""
    assert cli.load("title,pages\nA,x\nB,\n\nC,0\n") == Done(
        1,
        "",
        "in.csv:2: Invalid value \"x\" for field 'pages': expected a whole number of 64 bits\n"
        "in.csv:5: Field 'pages' must be at least 1\n"
        "minirest: 2 of 3 lines are wrong, so nothing is written\n",
    )


BAD_JSON: list[tuple[str, str, list[str]]] = [
    (
        "ndjson",
        '{"title":"A"}\n{"title":\n[1]\n',
        [
            "2: The body is not JSON: Expecting value at character 10",
            "3: The body cannot be read: write an object, as {...}",
        ],
    ),
    (
        "ndjson",
        '{"title":"A","title":"B"}\n',
        ["1: The body cannot be read: the key 'title' stands twice in one object"],
    ),
    (
        "ndjson",
        '{"titel":"A","pages":"1","cover":1,"after":[1]}\n',
        [
            "1: Unknown field 'titel' in table 'books'; did you mean 'title'?",
            "1: Invalid value \"1\" for field 'pages': expected a whole number of 64 bits",
            "1: Invalid value [1] for field 'after': expected a whole number of 64 bits",
            "1: Field 'cover' cannot be set",
        ],
    ),
    ("json", "{}", ["1: The body cannot be read: it is no list of objects, as [{...}, {...}]"]),
    ("json", '[\n{"title":"A"},\n{"title":1e999}\n]', ["3: The body cannot be read: a number is too large"]),
    ("json", '[\n{"title":"A"}', ["2: The body cannot be read: a comma or the end of the list is missing"]),
    ("json", '[{"title":"A"}] x', ["1: The body cannot be read: something follows the list"]),
    (
        "json",
        '[{"title":"A"},\n\n{"title" "B"}]' + " " * 99,
        ["3: The body cannot be read: Expecting ':' delimiter, in the record that begins here"],
    ),
    (
        "json",
        '[{"title":"A',
        ["1: The body cannot be read: Unterminated string starting at, in the record that begins here"],
    ),
]


@pytest.mark.parametrize(("form", "text", "said"), BAD_JSON)
def test_bad_json(shelf: Store, form: str, text: str, said: list[str]) -> None:
    """Broken JSON, and objects that are no records."""
    check_bad(shelf, text, form, said)


def test_a_file_without_a_line(cli: Cli) -> None:
    """Where even the head is wrong, no lines are counted."""
    assert cli.load("titel\nA\n").err.splitlines()[-1] == "minirest: no line can be read, so nothing is written"


def test_many_bad_lines(cli: Cli) -> None:
    """So many are shown; all are counted."""
    done = cli.load("title,pages\n" + "A,x\n" * 1234 + "B,1\n")
    lines = done.err.splitlines()
    assert len(lines) == minirest.SHOWN_FAULTS + 2
    assert lines[-2:] == [
        "in.csv: and more; 1,234 lines are wrong in all",
        "minirest: 1,234 of 1,235 lines are wrong, so nothing is written",
    ]


def test_skip_errors(cli: Cli) -> None:
    """Lines that are wrong are left out on request, whatever the reason; broken bytes are refused."""
    done = cli.load("title,pages,code\nA,x,\nB,1,k\nC,0,\nD,2,k\nE,3,l\n", "--skip-errors")
    assert (done.code, done.out) == (0, "5 lines read, 2 records made, 0 changed, 3 lines left out\n")
    assert len(done.err.splitlines()) == 3
    assert cli.rows("select id, title from books") == [(1, "B"), (2, "E")]
    assert cli.load(b"title\nF\n\xff\n", "--skip-errors").code == 1
    assert cli.rows("select count(*) from books") == [(2,)]


def test_dry_run(cli: Cli) -> None:
    """A dry run says what would happen, and which lines are wrong, and writes nothing."""
    done = cli.load("title\nA\nB\n", "--dry-run")
    assert done == Done(0, "2 lines read, 2 records made, 0 changed; nothing is written, as --dry-run asks\n", "")
    assert cli.load("title,pages\nA,x\n", "--dry-run").code == 1
    assert (cli.export(), cli.rows("select count(*) from _history where tag<>0 and dialect='import'")) == (HEAD, [(0,)])


def test_batches(cli: Cli) -> None:
    """With batches a line that is wrong undoes its own and all that follow."""
    done = cli.load("title,pages\n" + "A,1\n" * 5 + "B,x\n" + "C,1\n" * 5, "--batch", "2")
    assert (done.code, done.out) == (1, "")
    assert done.err.splitlines()[-1] == (
        "minirest: 1 of 11 lines are wrong; kept are the batches before the first: 4 records made, 0 changed"
    )
    assert cli.rows("select count(*) from books") == [(4,)]
    assert cli.load("title\nA\nB\nC\n", "--batch", "2").out == "3 lines read, 3 records made, 0 changed\n"


@pytest.mark.parametrize("options", [(), ("--batch", "2"), ("--batch", "2", "--skip-errors"), ("--upsert-by", "code")])
@pytest.mark.parametrize(
    "text",
    [
        "id,title,after\n1,A,\n2,B,1\n3,C,2\n4,D,3\n",
        "id,title,after\n1,A,4\n2,B,1\n3,C,2\n4,D,3\n",
        "title,after\nA,99\nB,\nC,\n",
        "title,code\nA,a\nB,b\nC,a\nD,d\n",
        "title,code,pages\nA,a,1\nB,b,1\nC,c,x\nD,a,1\n",
    ],
)
def test_a_dry_run_says_what_a_real_one_does(cli: Cli, text: str, options: tuple[str, ...]) -> None:
    """Also where a batch needs what the one before it has brought, and for links that wait in vain."""
    dry = cli.load(text, *options, "--dry-run")
    assert cli.rows("select count(*) from books") == [(0,)]
    real = cli.load(text, *options)
    assert dry.out.replace("; nothing is written, as --dry-run asks", "") == real.out
    assert dry.err.replace("kept would be", "kept are") == real.err
    assert dry.code == real.code


def test_upsert(cli: Cli) -> None:
    """Records are told apart by a unique field, or by the id: what is there is changed, the rest is made."""
    assert cli.load("title,code,pages\nA,a,1\nB,b,2\n").code == 0
    done = cli.load("code,title,_status\na,A2,archived\nc,C,\na,A3,\n", "--upsert-by", "code")
    assert done == Done(0, "3 lines read, 1 records made, 2 changed\n", "")
    assert cli.rows("select id, title, pages, _status, _version from books") == [
        (1, "A3", 1, 1, 2),
        (2, "B", 2, 0, 1),
        (3, "C", None, 0, 1),
    ]
    noted = cli.rows(
        "select action, field, before, after from _history where record=1 and dialect='import' order by id"
    )
    assert [row for row in noted if row[0] != "created"] == [
        ("updated", "title", '"A"', '"A2"'),
        ("archived", "_status", "0", "1"),
        ("updated", "title", '"A2"', '"A3"'),
    ]
    done = cli.load("id,title\n2,B2\n9,I\n", "--upsert-by", "id")
    assert done == Done(0, "2 lines read, 1 records made, 1 changed\n", "")
    assert cli.rows("select id, title, code from books where id in (2, 9)") == [(2, "B2", "b"), (9, "I", None)]


@pytest.mark.parametrize(
    ("word", "text", "said"),
    [
        ("title", "title\nA\n", "Records cannot be told apart by 'title': it is no unique field"),
        ("nothing", "title\nA\n", "Unknown field 'nothing' in table 'books'"),
        ("code", "title\nA\n", "in.csv:2: Field 'code' is required"),
        ("code", "title,code\nA,\n", "in.csv:2: Field 'code' is required"),
    ],
)
def test_bad_upsert(cli: Cli, word: str, text: str, said: str) -> None:
    """The field has to be unique, and every line has to have it."""
    done = cli.load(text, "--upsert-by", word)
    assert (done.code, done.err.splitlines()[0].removeprefix("minirest: ")) == (1, said)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("import", "nothing", "in.csv"), 1, "Unknown table 'nothing'"),
        (("import", "books", "none.csv"), 1, "No such file or directory: none.csv"),
        (("import", "books", "in.csv", "--batch", "0"), 2, "--batch is a number of lines, 1 or more"),
        (
            ("import", "books", "in.csv", "--delimiter", "xy"),
            2,
            "--delimiter 'xy': write one sign, such as ; or |, or the word tab",
        ),
        (("export", "books", "-o", "none/out.csv"), 1, "No such file or directory: none/out.csv"),
        (("fill", "books", "0"), 2, "NUMBER is how many records to make, 1 or more"),
        (
            ("export", "books", "--db", "none.db"),
            1,
            "there is no database 'none.db'; start the server once to make it, or write --db FILE",
        ),
    ],
)
def test_usage(cli: Cli, arguments: tuple[str, ...], code: int, said: str) -> None:
    """What the user can mend is one line."""
    Path("in.csv").write_text("title\nA\n")
    assert cli.run(*arguments) == Done(code, "", f"minirest: {said}\n")


# ---- as any write ----

KINDS_TABLE: dict[str, Any] = {
    "text": {"type": "string"},
    "mail": {"type": "string", "format": "email"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean", "default": True},
    "date": {"type": "string", "format": "date"},
    "moment": {"type": "string", "format": "date-time"},
    "time": {"type": "string", "format": "time"},
    "list": {"type": "array", "items": {"type": "number"}},
    "choices": {"type": "array", "items": {"enum": ["a", "b,c", 'd"']}},
    "json": {},
    "scalar": {"enum": ["1", 1, "true", True, "x", "", 1.5]},
    "shown": {"type": "string", "readOnly": True},
}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["", '"', '""', '"""', "null", "=1", " a ", "\r", "\n", "a\r\nb", "\ufeffx", ",", ";", "\\N"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "mail": st.just("a@b.example"),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": NUMBERS,
    "boolean": st.booleans(),
    "date": st.dates().map(lambda day: day.isoformat()),
    "moment": st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    "time": st.times().map(lambda time: time.isoformat(timespec="seconds")),
    "list": st.lists(NUMBERS, max_size=3),
    "choices": st.lists(st.sampled_from(["a", "b,c", 'd"']), max_size=3),
    "json": JSON_VALUES,
    "scalar": st.sampled_from(["1", 1, "true", "x", "", 1.5]),
    "shown": TEXTS,
}


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Any, list[dict[str, Any]]]:
    """A schema with some fields of all kinds, with links, and records for it."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS_TABLE)), min_size=1, unique=True))
    properties: dict[str, Any] = {name: KINDS_TABLE[name] for name in names}
    links = {"to": one("others"), "up": one("things"), "all": many("others")}
    chosen = draw(st.lists(st.sampled_from(sorted(links)), unique=True))
    properties |= {name: links[name] for name in chosen}
    words = draw(st.fixed_dictionaries({}, optional={"x-archive": st.just(True), "x-sort": st.just(True)}))
    others = {"type": "object", "properties": {"name": {"type": "string"}}, "examples": [{}, {}, {}]}
    schema = {"$defs": {"things": {"type": "object", "properties": properties, **words}, "others": others}}
    size = draw(st.integers(0, 5))
    keys = sorted(draw(st.sets(st.integers(1, 99), min_size=size, max_size=size)))
    strategies = {name: st.none() | VALUES[name] for name in names}
    more: dict[str, st.SearchStrategy[Any]] = {
        "to": st.none() | st.integers(1, 3),
        "up": st.none() | (st.sampled_from(keys) if keys else st.none()),
        "all": st.lists(st.integers(1, 3), unique=True),
    }
    strategies |= {name: more[name] for name in chosen}
    records = [{"id": key, **draw(st.fixed_dictionaries(strategies))} for key in keys]
    return schema, records


@settings(max_examples=60)
@given(worlds(), st.sampled_from(["csv", "ndjson", "json"]))
def test_export_and_import_is_the_identity(world: tuple[Any, list[dict[str, Any]]], form: str) -> None:
    """What goes out comes in as the same, in every form: kinds, nulls and empty texts, links, ids."""
    schema, records = world
    with closing(opened(schema)) as first, closing(opened(schema)) as second:
        lines = "".join(f"{json.dumps(record)}\n" for record in records).encode()
        assert load(first, "things", lines, "ndjson") == minirest.Report(len(records), len(records))
        text = exported(first, "things", form)
        assert load(second, "things", text, form) == minirest.Report(len(records), len(records))
        assert exported(second, "things", form) == text
        assert dump(second) == dump(first)


LINKED: tuple[Any, list[dict[str, Any]]] = (
    {
        "$defs": {
            "things": {"type": "object", "properties": {"to": one("others")}},
            "others": {"type": "object", "examples": [{}, {}, {}]},
        }
    },
    [{"id": 3, "to": 2}, {"id": 4, "to": 2}, {"id": 5, "to": None}],
)


SEAMS: tuple[Any, list[dict[str, Any]]] = (
    {"$defs": {"things": {"type": "object", "properties": {"text": {"type": "string"}, "json": {}}}}},
    [{"id": 3, "text": "},{"}, {"id": 4}, {"id": 5, "json": [{"a": 1}, {"a": None}]}],
)
"""Values that look like the seam between two records."""


@settings(max_examples=60)
@example(SEAMS)
@example(LINKED)
@given(worlds())
def test_together_as_alone(world: tuple[Any, list[dict[str, Any]]]) -> None:
    """Records that come together are stored, noted and versioned as records that are made one after the other."""
    schema, records = world
    records = [{name: value for name, value in record.items() if name != "up"} for record in records]
    with closing(opened(schema)) as together, closing(opened(schema)) as alone:
        events: list[list[Any]] = [[], []]
        for store, heard in zip((together, alone), events, strict=True):
            store.listeners.append(heard.extend)
        lines = "".join(f"{json.dumps(record)}\n" for record in records).encode()
        load(together, "things", lines, "ndjson")
        table = alone.schema.find("things")
        reader = minirest.Reader(minirest.OwnNames(table, minirest.Manner("file")))
        creates = []
        for record in records:
            draft = reader.read_object(record)
            assert isinstance(draft, dict)
            fields: Any = {it: value for it, value in draft.items() if it in table.columns and it is not table.id}
            links: Any = {it: value for it, value in draft.items() if it not in table.columns}
            creates.append(minirest.Create(table, fields, links, minirest.Const(None), key=record["id"]))
        alone.run(minirest.Batch(tuple(creates)), minirest.Origin(NOBODY, "import", MOMENT))
        assert dump(together) == dump(alone)
        told = [[(it.action, it.table.name, it.key, it.number) for it in heard] for heard in events]
        assert sorted(told[0]) == sorted(told[1])


def test_ids_and_versions_go_on() -> None:
    """Ids are never given twice, and a record that is made again goes on with its version; both in one import."""
    with closing(opened(SHOP)) as store:
        load(store, "books", b"id,title\n5,A\n,B\n,C\n", "csv")
        table = store.schema.find("books")
        gone = minirest.Compare(minirest.Path((), table.id), "in", (6, 7))
        store.run(minirest.Delete(table, gone))
        load(store, "books", b"id,title\n,D\n6,E\n,F\n", "csv")
        with store.database.reading() as connection:
            found = connection.execute("select id, title, _version from books").fetchall()
        assert found == [(5, "A", 1), (6, "E", 3), (8, "D", 1), (9, "F", 1)]


def test_rules_about_links_hold(cli: Cli) -> None:
    """Rules that speak of linked records hold: of the new record, and at the other end."""
    schema = {
        "$defs": {
            "teams": {
                "type": "object",
                "properties": {"members": {**many("people", **{"x-inverse": "team"}), "maxItems": 2}},
                "examples": [{}],
            },
            "people": {
                "type": "object",
                "properties": {"team": one("teams"), "skills": {**many("skills"), "minItems": 1}},
                "required": ["skills"],
            },
            "skills": {"type": "object", "examples": [{}]},
        }
    }
    with closing(opened(schema)) as store:
        report = load(store, "people", b"skills,team\n[1],1\n[],\n[1],1\n[1],1\n", "csv")
        assert report.faults == [
            Violation((3, "skills"), "required", {"property": "skills"}),
            Violation((5, "members"), "maxItems", {"limit": 2}),
        ]
        assert (report.undone, report.bad, report.read) == (True, 2, 4)


FRIENDS: dict[str, Any] = {
    "$defs": {
        "people": {
            "type": "object",
            "properties": {"code": {"type": "string", "x-unique": True}, "friends": many("people")},
        }
    }
}


@pytest.mark.parametrize("options", [(), ("--skip-errors",), ("--upsert-by", "id")])
def test_lists_within_a_table_may_lead_to_what_comes_later(cli: Cli, options: tuple[str, ...]) -> None:
    """In their order, with history as for a change, and for each batch."""
    Path("shop.db").unlink()
    shop = Cli(cli.capsys, FRIENDS)
    text = 'id,code,friends\r\n1,a,"[3,1,2]"\r\n2,b,[1]\r\n3,c,\r\n4,d,[3]\r\n'
    assert shop.load(text, *options, table="people").code == 0
    assert shop.export(table="people") == text.replace("c,", "c,[]")
    assert shop.rows("select action, field, before, after from _history where record=1 order by version") == [
        ("created", None, None, '{"code":"a"}'),
        ("updated", "friends", "[]", "[3,1,2]"),
    ]
    assert shop.load('id,friends\n2,"[5,4]"\n5,\n', "--upsert-by", "id", table="people").code == 0
    assert '2,b,"[5,4]"' in shop.export(table="people")
    done = shop.load("friends\n[7]\n\n[8]\n[9]\n", table="people")
    assert done.err.splitlines()[-2:] == [
        "in.csv:5: Field 'friends.0' links to a record that does not exist: 9",
        "minirest: 1 of 3 lines are wrong, so nothing is written",
    ]


def test_lines_that_wait_in_vain_are_left_out(cli: Cli) -> None:
    """With --skip-errors, and with them those that lead to them; the others, also in a circle, go in."""
    Path("shop.db").unlink()
    schema = json.loads(json.dumps(FRIENDS))
    schema["$defs"]["people"]["properties"]["boss"] = one("people")
    shop = Cli(cli.capsys, schema)
    lines = [
        "id,code,boss,friends",
        "1,a,3,",
        "2,b,9999,",
        "3,c,1,",
        "4,d,2,",
        '5,e,,"[6,4]"',
        '6,f,,"[7,1]"',
        "7,g,6,",
        "x,,,",
    ]
    lines += [f"{number},h{number},," for number in range(8, 1100)]
    done = shop.load("\n".join(lines), "--skip-errors", "--dry-run", table="people")
    assert done.out.endswith("1,096 records made, 0 changed, 4 lines left out; nothing is written, as --dry-run asks\n")
    done = shop.load("\n".join(lines), "--skip-errors", table="people")
    assert done == Done(
        0,
        "1,100 lines read, 1,096 records made, 0 changed, 4 lines left out\n",
        "".join(
            f"in.csv:{line}\n"
            for line in (
                "9: Invalid value \"x\" for field 'id': expected a whole number of 64 bits",
                "3: Field 'boss' links to a record that does not exist: 9999",
                "5: Field 'boss' links to a record that does not exist: 2",
                "6: Field 'friends.1' links to a record that does not exist: 4",
            )
        ),
    )
    assert shop.rows("select id, boss_id from people where id < 9 order by id") == [
        (1, 3),
        (3, 1),
        (6, None),
        (7, 6),
        (8, None),
    ]
    assert shop.rows("select source_id, target_id from people_friends order by id") == [(6, 7), (6, 1)]
    assert shop.rows("select count(*) from _history where record in (2, 4, 5)") == [(0,)]


def test_rules_of_lists_that_wait(cli: Cli) -> None:
    """They are held against them when the list is there."""
    Path("shop.db").unlink()
    schema = json.loads(json.dumps(FRIENDS))
    schema["$defs"]["people"]["properties"]["friends"].update(minItems=1, maxItems=2)
    shop = Cli(cli.capsys, schema)
    assert shop.load("friends\n[2]\n[1]\n", table="people").code == 0
    done = shop.load('friends\n[4]\n"[1,2,5]"\n[1]\n', table="people")
    assert done.err.splitlines()[0].startswith("in.csv:3: Field 'friends' must have at most 2")


def test_passwords_are_hashed() -> None:
    """A password in a file is stored as its hash, and does not come out."""
    properties = {"name": {"type": "string"}, "secret": {"type": "string", "format": "password", "writeOnly": True}}
    with closing(opened({"$defs": {"people": {"type": "object", "properties": properties}}})) as store:
        load(store, "people", b"name,secret\nA,open sesame\n", "csv")
        with store.database.reading() as connection:
            (stored,) = connection.execute("select secret from people").fetchone()
        assert minirest.verify_password("open sesame", stored)
        assert exported(store, "people", "csv") == b"id,name\r\n1,A\r\n"


def test_memory_is_flat() -> None:
    """Six times as many lines need no more memory, give or take what waits to be collected."""

    def peak(size: int) -> int:
        with closing(opened(SHOP)) as store:
            names = minirest.OwnNames(store.schema.find("subjects"), minirest.Manner("file"))
            work = minirest.Import(minirest.Reader(names), lambda: minirest.loading(store, NOBODY, "import"))
            tracemalloc.start()
            work.run((number, {names.table.fields["name"]: f"subject {number}"}) for number in range(size))
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return found

    peak(1000)
    assert peak(12_000) < 2.5 * peak(2000)


# ---- over HTTP ----

RIGHTS: dict[str, Any] = {
    "$defs": {
        "notes": {
            "type": "object",
            "properties": {
                "text": {"type": "string", "maxLength": 20},
                "secret": {"type": "string"},
                "fixed": {"type": "string"},
                "n": {"type": "integer", "x-unique": True},
            },
            "x-rights": {
                "writer": {
                    "list": {"n": {"$gt": 1}},
                    "get": True,
                    "create": {"text": {"$ne": "no"}},
                    "update": True,
                    "hide": ["secret"],
                    "readonly": ["fixed"],
                },
                "reader": {"list": True},
                "anonymous": {"list": False},
            },
            "examples": [{"text": "a", "secret": "x", "n": 1}, {"text": "b", "secret": "y", "fixed": "f", "n": 2}],
        }
    }
}
PASSWORD = "a good password"


@pytest.fixture
def app() -> Iterator[Application]:
    """A server with an administrator, a writer and a reader."""
    app = minirest.make_app(RIGHTS, users=dict.fromkeys(("admin", "wilma", "rita"), PASSWORD), clock=lambda: NOW)
    for name, role in (("admin", "admin"), ("wilma", "writer"), ("rita", "reader")):
        app.accounts.put_user(name, roles=[role])
    yield app
    app.close()


def asked(
    app: Application, who: str, method: str, address: str, body: bytes = b"", kind: str = "text/csv", **environ: str
) -> Any:
    """Status and body of an answer."""
    basic = "Basic " + b64encode(f"{who}:{PASSWORD}".encode()).decode()
    answer = send(app, method, address, body, kind, HTTP_AUTHORIZATION=basic, **environ)
    text = answer.body.decode()
    is_json = answer.headers["Content-Type"] == minirest.JSON_TYPE
    return answer.status, json.loads(text) if is_json else text


def test_export_over_http(app: Application) -> None:
    """A list as a file: what the actor may list, without what is hidden; the filters of the page choose."""
    whole = "id,text,secret,fixed,n\r\n1,a,x,,1\r\n2,b,y,f,2\r\n"
    assert asked(app, "admin", "GET", "/browse/notes/export.csv") == (200, whole)
    assert asked(app, "wilma", "GET", "/browse/notes/export.csv") == (200, "id,text,fixed,n\r\n2,b,f,2\r\n")
    lines = '{"id":2,"text":"b","fixed":"f","n":2}\n'
    assert asked(app, "wilma", "GET", "/browse/notes/export.ndjson?search=b") == (200, lines)
    assert asked(app, "admin", "GET", "/browse/notes/export.csv?filter[n]=%3C2&spreadsheet=yes")[1] == (
        "\ufeffid,text,secret,fixed,n\r\n1,a,x,,1\r\n"
    )
    answer = send(app, "GET", "/browse/notes/export.csv")
    assert answer.status == 401
    for address, status in (
        ("/browse/notes/export.csv?sort=n", 400),
        ("/browse/notes/export.csv?filter[secret]=x", 400),
        ("/browse/notes/export.csv?spreadsheet=1", 400),
        ("/browse/nothing/export.csv", 404),
        ("/browse/notes/export.xml", 404),
    ):
        assert asked(app, "wilma", "GET", address)[0] == status
    assert asked(app, "admin", "POST", "/browse/notes/export.csv")[0] == 405


def test_export_is_streamed(app: Application) -> None:
    """A real server sends an export in chunks; nobody has counted its bytes."""
    load(app.store, "notes", b"text\n" + b"x\n" * 2500, "csv")
    with served(app) as address:
        basic = "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()
        request = UrlRequest(f"{address}browse/notes/export.csv", headers={"Authorization": basic})
        with urlopen(request, timeout=60) as answer:
            head, body = answer.headers, answer.read().decode()
    assert body == exported_notes(2502)
    shown = {
        name: head[name] for name in ("Content-Length", "Transfer-Encoding", "Content-Type", "Content-Disposition")
    }
    assert shown == {
        "Content-Length": None,
        "Transfer-Encoding": "chunked",
        "Content-Type": "text/csv; charset=utf-8",
        "Content-Disposition": "attachment; filename=\"notes.csv\"; filename*=UTF-8''notes.csv",
    }


def exported_notes(count: int) -> str:
    """All notes as CSV."""
    rows = [f"{number},x,,,\r\n" for number in range(3, count + 1)]
    return "id,text,secret,fixed,n\r\n1,a,x,,1\r\n2,b,y,f,2\r\n" + "".join(rows)


def fault(line: int | None, field: str | None, rule: str, message: str) -> dict[str, Any]:
    """One thing that is wrong, as an answer has it."""
    return {"line": line, "field": field, "rule": rule, "message": message}


def refused(*faults: dict[str, Any], read: int = 1, bad: int = 1) -> tuple[int, Any]:
    """The answer to a file that is wrong."""
    return 400, {"read": read, "created": 0, "changed": 0, "bad": bad, "errors": list(faults)}


def test_import_over_http(app: Application) -> None:
    """A body of CSV or NDJSON: with the rights and the view of the actor, all or nothing; what is wrong is JSON."""
    heard: list[minirest.Event] = []
    app.store.listeners.append(heard.extend)
    done = {"read": 2, "created": 2, "changed": 0, "bad": 0, "errors": []}
    assert asked(app, "wilma", "POST", "/browse/notes/import", b"text,n\nc,3\nd,4\n") == (200, done)
    assert [(event.action, event.key) for event in heard] == [("created", 3), ("created", 4)]
    line = b'{"n":4,"text":"D"}\n{"n":5,"text":"e"}'
    changed = {"read": 2, "created": 1, "changed": 1, "bad": 0, "errors": []}
    kind, address = "application/x-ndjson", "/browse/notes/import?upsert_by=n"
    assert asked(app, "wilma", "POST", address, line, kind) == (200, changed)
    bad: list[tuple[bytes, tuple[int, Any]]] = [
        (
            b"secret\nx\n",
            refused(fault(1, "secret", "unknown_field", "Unknown field 'secret' in table 'notes'"), read=0),
        ),
        (b"fixed\nx\n", refused(fault(2, "fixed", "read_only", "Field 'fixed' cannot be set"))),
        (b"text\nyes\nno\n", refused(fault(3, None, "forbidden", "Forbidden"), read=2)),
        (
            b"text\n" + b"x" * 21,
            refused(fault(2, "text", "maxLength", "Field 'text' must have at most 20 characters")),
        ),
    ]
    for body, answer in bad:
        assert asked(app, "wilma", "POST", "/browse/notes/import", body) == answer
    skipped = {"read": 2, "created": 1, "changed": 0, "bad": 1, "errors": [fault(3, None, "forbidden", "Forbidden")]}
    assert asked(app, "wilma", "POST", "/browse/notes/import?skip_errors=yes", b"text\nyes\nno\n") == (200, skipped)
    assert asked(app, "rita", "POST", "/browse/notes/import", b"text\nyes\n")[0] == 403
    assert asked(app, "wilma", "PUT", "/browse/notes/import", b"text\nyes\n")[0] == 405
    texts = asked(app, "admin", "GET", "/browse/notes/export.csv")[1].splitlines()
    assert texts[3:] == ["3,c,,,3", "4,D,,,4", "5,e,,,5", "6,yes,,,"]


@pytest.mark.parametrize(
    ("query", "kind", "answer"),
    [
        (
            "",
            "application/json",
            (
                415,
                "media_type",
                "The content type 'application/json' is not supported; send text/csv or application/x-ndjson",
            ),
        ),
        ("?what=1", "text/csv", (400, "unknown_parameter", "Unknown parameter 'what'")),
        (
            "?dry_run=1",
            "text/csv",
            (400, "bad_parameter", "Invalid value '1' for parameter 'dry_run': write yes or no"),
        ),
        (
            "?delimiter=x",
            "text/csv",
            (
                400,
                "bad_parameter",
                "Invalid value 'x' for parameter 'delimiter': write one sign, such as ; or |, or the word tab",
            ),
        ),
        (
            "?upsert_by=text",
            "text/csv",
            (400, "refused", "Records cannot be told apart by 'text': it is no unique field"),
        ),
        ("?upsert_by=secret", "text/csv", (400, "unknown_field", "Unknown field 'secret' in table 'notes'")),
    ],
)
def test_bad_requests(app: Application, query: str, kind: str, answer: tuple[int, str, str]) -> None:
    """What is wrong with the request itself has no line."""
    status, rule, message = answer
    errors = {"errors": [fault(None, None, rule, message)]}
    assert asked(app, "wilma", "POST", f"/browse/notes/import{query}", b"text\nx\n", kind) == (status, errors)


def test_an_upload_that_is_cut_off(app: Application) -> None:
    """A body with less than its length says is no import, though what came has whole lines."""
    for kind, body in (("text/csv", b"text,n\nc,3\n"), ("application/x-ndjson", b'{"text":"c","n":3}\n')):
        length, before = str(len(body) + 9), dump(app.store)["notes"]
        told = asked(app, "admin", "POST", "/browse/notes/import", body, kind, CONTENT_LENGTH=length)
        reason = "The body cannot be read: it is cut off: less has come than Content-Length says"
        assert told == (400, {"errors": [{"line": None, "field": None, "rule": "bad_body", "message": reason}]})
        assert dump(app.store)["notes"] == before


def test_a_long_cell(app: Application) -> None:
    """A cell may be long, also in a program that has not said so."""
    usual = csv.field_size_limit(131_072)
    try:
        assert asked(app, "admin", "POST", "/browse/notes/import", b"secret,n\n%s,3\n" % (b"x" * 200_000))[0] == 200
    finally:
        csv.field_size_limit(usual)


def test_who_is_unknown_is_told_in_json(app: Application) -> None:
    """A program that sends no credentials, or wrong ones, gets no page, even where it says that it takes one."""
    wrong = "Basic " + b64encode(b"admin:x").decode()
    for words in ({}, {"HTTP_ACCEPT": "text/html"}, {"HTTP_AUTHORIZATION": wrong}):
        answer = send(app, "POST", "/browse/notes/import", b"text\nx\n", "text/csv", **words)
        told = fault(None, None, "unauthenticated", "Unauthorized")
        assert (answer.status, answer.json) == (401, {"errors": [told]})
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="minirest", charset="UTF-8"'


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_an_export_of_pages_comes_back(kind: str) -> None:
    """What cannot be set may stand in a file, as an export has it: it has to be what is there, or nothing."""
    text, subjects = {"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/subjects"}}
    fields = {
        "n": {"type": "integer"},
        "code": {**text, "readOnly": True, "x-unique": True},
        "fixed": {**text, "default": "f"},
    }
    links = {"all": {**subjects, "readOnly": True}, "one": {"$ref": "#/$defs/subjects", "readOnly": True}}
    examples = [{"n": 1, "code": "A", "all": [2, 1], "one": 2}, {"n": 2, "code": "B", "fixed": "g"}]
    things = {"type": "object", "properties": {**fields, **links}, "examples": examples}
    things["x-rights"] = {"*": {"*": True, "readonly": ["fixed"]}}
    named = {"type": "object", "properties": {"name": text}, "examples": [{"name": "X"}, {"name": "Y"}]}
    schema = {"$defs": {"things": things, "subjects": named}}
    with closing(minirest.make_app(schema, users={"wilma": PASSWORD})) as app:
        form = "csv" if kind == "text/csv" else "ndjson"
        whole = asked(app, "wilma", "GET", f"/browse/things/export.{form}")[1]

        def sent(body: str, by: str = "?upsert_by=id") -> tuple[int, Any]:
            status, told = asked(app, "wilma", "POST", f"/browse/things/import{by}", body.encode(), kind)
            return status, [told[word] for word in ("created", "changed")] if status == 200 else told["errors"]

        for by in ("id", "code"):
            assert sent(whole, f"?upsert_by={by}") == (200, [0, 2])
        assert asked(app, "wilma", "GET", f"/browse/things/export.{form}")[1] == whole
        first, second = (2, 3) if form == "csv" else (1, 2)
        for old, new, name, line in (
            ("A", "C", "code", first),
            ("g", "f", "fixed", second),
            ("[1,2]" if "[1,2]" in whole else "[2,1]", "[1]", "all", first),
        ):
            changed = sent(whole.replace(old, new))
            assert changed == (400, [fault(line, name, "read_only", f"Field '{name}' cannot be set")])
        made = sent(whole.replace("A", "D"), "?upsert_by=code")[1]
        assert {it["field"] for it in made} == {"code", "all", "one"}
        head = (
            "n,code,fixed,all,one\n3,,f,,\n4,,,,\n" if form == "csv" else '{"n":3,"code":null,"fixed":"f"}\n{"n":4}\n'
        )
        assert sent(head, "") == (200, [2, 0])
        got = asked(app, "wilma", "GET", "/browse/things/export.csv")[1].splitlines()
        assert got[3:] == ["3,3,,f,[],", "4,4,,f,[],"]


def test_rights_of_an_import() -> None:
    """What the rights lock stays, and what they hide is neither found nor overwritten."""
    rights = {"r": {"create": True, "update": True, "get": {"n.$ne": 1}, "readonly": ["fixed"], "hide": ["secret"]}}
    texts = {name: {"type": "string"} for name in ("fixed", "secret")}
    things = {"type": "object", "properties": {"n": {"type": "integer"}, **texts}, "x-rights": rights}
    with closing(opened({"$defs": {"things": {**things, "examples": [{"n": 1}, {"n": 2}]}}})) as store:
        actor, table = minirest.Actor(1, roles=("r",)), store.schema.find("things")
        members = table.fields

        def wrong(by: minirest.Field | None, line: dict[Any, Any]) -> list[tuple[Any, str]]:
            with minirest.loading(store, actor, "import") as loader:
                return [(it.path, it.rule) for it in loader.load(minirest.Load(table, {7: line}, by))]

        for name, rule in (("fixed", "read_only"), ("secret", "refused")):
            assert [it[1] for it in wrong(None, {members["n"]: 3, members[name]: "x"})] == [rule]
        assert wrong(table.id, {table.id: 1, members["n"]: 3}) == [((7,), "not_found")]
        assert wrong(table.id, {table.id: 2, members["n"]: 3}) == []
        assert wrong(table.id, {table.id: 3, members["n"]: 4}) == []
        with store.database.reading() as connection:
            assert connection.execute("select id, n from things").fetchall() == [(1, 1), (2, 3), (3, 4)]


def test_owners_set_what_clients_only_read(cli: Cli) -> None:
    """A file with links that are read only goes in at the command line."""
    schema = json.loads(json.dumps(SHOP))
    schema["$defs"]["books"]["properties"]["subjects"]["readOnly"] = True
    Path("shop.json").write_text(json.dumps(schema))
    assert cli.load('title,subjects\nA,"[1,3]"\n').out == "1 lines read, 1 records made, 0 changed\n"
    assert cli.rows("select source_id, target_id from books_subjects") == [(1, 1), (1, 3)]


def test_an_import_ends_with_its_time(app: Application) -> None:
    """An import has so much time and no more, and leaves nothing behind when that is over."""
    table = app.schema.find("notes")
    work = minirest.Import(minirest.Reader(app.pages[0].names(table)), lambda: opening(app, -1.0))
    with pytest.raises(minirest.ApiError, match="The request took longer than 10 seconds of database time"):
        work.run(work.reader.entries(io.BytesIO(b"text\nx\n"), "csv"))
    assert len(asked(app, "admin", "GET", "/browse/notes/export.csv")[1].splitlines()) == 3


def opening(app: Application, seconds: float) -> Any:
    """A transaction for so long."""
    return minirest.loading(app.store, NOBODY, "import", seconds)


def test_many_columns_go_in_together() -> None:
    """A statement holds as many rows as SQLite takes values."""
    fields = {f"f{number}": {"type": "integer"} for number in range(500)}
    with closing(opened({"$defs": {"wide": {"type": "object", "properties": fields}}})) as store:
        text = ",".join(fields) + "\n" + (",".join("1" * 500) + "\n") * 150
        assert load(store, "wide", text.encode(), "csv").created == 150


def test_a_page_of_another_origin_imports_nothing(app: Application) -> None:
    """Neither a bare body nor a form from elsewhere is taken."""
    basic = "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()
    words = {"HTTP_AUTHORIZATION": basic, "HTTP_ORIGIN": "https://evil.example"}
    form = multipart(part("file", b"text\nx\n", "in.csv", "text/csv"))
    for body, kind in ((b"text\nx\n", "text/csv"), (form, "multipart/form-data; boundary=-x")):
        assert send(app, "POST", "/browse/notes/import", body, kind, **words).status == 403
    assert "x" not in asked(app, "admin", "GET", "/browse/notes/export.csv?search=x")[1].splitlines()[1:]


def test_import_by_a_form(app: Application) -> None:
    """The page has a form for a file, and says afterwards what became of it."""
    page = asked(app, "admin", "GET", "/browse/notes/import")[1]
    assert '<option value="n">changes the record with its n</option>' in page
    account = app.accounts.account("admin")
    assert account
    token = page.partition('name="_token" value="')[2].partition('"')[0]

    def posted(*parts: bytes) -> tuple[int, str]:
        body = multipart(part("_token", token.encode()), *parts)
        status, text = asked(app, "admin", "POST", "/browse/notes/import", body, "multipart/form-data; boundary=-x")
        return status, text

    status, text = posted(part("file", b"text,n\nc,3\n", "in.csv", "text/csv"), part("upsert_by"))
    assert (status, "1 lines read, 1 records made, 0 changed." in text) == (200, True)
    status, text = posted(part("file", b'{"n":3,"text":"<b>"}', "in.ndjson"), part("upsert_by", b"n"))
    assert (status, "1 lines read, 0 records made, 1 changed." in text) == (200, True)
    status, text = posted(part("file", b"text,n\nd,<i>\n", "in.csv", "text/csv"))
    assert status == 422
    assert "Nothing is written." in text
    assert "Line 2: Invalid value \"&lt;i&gt;\" for field 'n': expected a whole number of 64 bits." in text
    assert posted(part("upsert_by", b"n"))[0] == 422
    assert asked(app, "admin", "GET", "/browse/notes/export.csv")[1].splitlines()[3:] == ["3,<b>,,,3"]


def test_buttons_of_a_list(app: Application) -> None:
    """A list has links to its files, with its filters, and to the import where the actor may make records."""
    page = asked(app, "wilma", "GET", "/browse/notes?search=b&sort=n&page=1")[1]
    for address in (
        "/browse/notes/export.csv?search=b",
        "/browse/notes/export.csv?spreadsheet=yes&amp;search=b",
        "/browse/notes/export.ndjson?search=b",
        "/browse/notes/import",
    ):
        assert f'href="{address}"' in page
    page = asked(app, "rita", "GET", "/browse/notes")[1]
    assert ('href="/browse/notes/export.csv"' in page, 'href="/browse/notes/import"' in page) == (True, False)


# ---- made-up records ----


def test_fill(cli: Cli) -> None:
    """The same seed gives the same records, another one others; they are linked to those that are there."""
    done = cli.run("fill", "books", "50", "--seed", "7")
    assert done == Done(0, "50 records made; again with --seed 7\n", "")
    first = cli.export()
    Path("shop.db").unlink()
    minirest.make_app(SHOP, "shop.db", auth=False).close()
    assert cli.run("fill", "books", "50", "--seed", "7").code == 0
    assert cli.export() == first
    assert cli.run("fill", "books", "50", "--seed", "8").code == 0
    texts = [line.split(",", 1)[1] for line in cli.export().splitlines()[1:]]
    assert (len(texts), len(set(texts))) == (100, 100)
    assert {row[0] for row in cli.rows("select author_id from books")} == {None, 1, 2}
    assert cli.rows("select count(*) > 20 from books_subjects") == [(1,)]


@pytest.mark.parametrize(
    "field",
    [
        {"type": "string", "x-unique": True},
        {"type": "integer", "minimum": 1, "maximum": 6, "x-unique": True},  # most that is drawn is there already
    ],
)
def test_fill_goes_on(cli: Cli, field: Any) -> None:
    """Behind what is there the same seed gives other records, as long as there are any."""
    Path("shop.db").unlink()
    shop = Cli(cli.capsys, {"$defs": {"books": {"type": "object", "properties": {"it": field}, "required": ["it"]}}})
    for _ in range(3):
        assert shop.run("fill", "books", "2", "--seed", "7") == Done(0, "2 records made; again with --seed 7\n", "")
    assert shop.rows("select count(distinct it) from books") == [(6,)]
    if field["type"] == "integer":
        said = "Field 'it' must be unique: another record has this value"
        done = shop.run("fill", "books", "1", "--seed", "7")
        assert done == Done(1, "", f"minirest: No records can be made up for 'books': {said}\n")


def test_fill_keeps_every_rule(tmp_path: Path) -> None:
    """Every table of the sample can be filled, in the order of the file, twice."""
    document = json.loads((ROOT / "sample_schema.json").read_text())
    with closing(opened(document, str(tmp_path / "x.db"))) as store:
        for seed in (1, 2):
            for table in store.schema.tables.values():
                maker = minirest.Maker(table, seed, minirest.link_keys(store, table))
                reader = minirest.Reader(minirest.OwnNames(table, minirest.Manner("file")))
                work = minirest.Import(reader, lambda: minirest.loading(store, NOBODY, "fill"), skip_errors=True)
                assert work.run(maker.entries(5)).created > 0, table.name


def test_fill_hashes_made_up_passwords_cheaply(cli: Cli) -> None:
    """They are nobody's secret; a password that is imported is hashed as dearly as any in a file."""
    secret = {"type": "string", "format": "password", "writeOnly": True}
    people = {"type": "object", "properties": {"secret": secret}, "required": ["secret"]}
    Path("shop.db").unlink()
    doors = Cli(cli.capsys, {"$defs": {"people": people}})
    assert doors.run("fill", "people", "3", "--seed", "1").code == 0
    assert doors.load("secret\nopen sesame\n", table="people").code == 0
    costs = [minirest.PasswordHash.read(text).cost for (text,) in doors.rows("select secret from people order by id")]
    assert costs == [minirest.SCRYPT_COST_IN_MEMORY] * 3 + [minirest.SCRYPT_COST]


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"type": "string", "pattern": "^(?=a)b$"}, "No text can be made up for the pattern '^(?=a)b$': give examples"),
        (
            {"type": "string", "minLength": 9, "maxLength": 3},
            "No records can be made up for 'things': Field 'it' must have at least 9 characters",
        ),
    ],
)
def test_fill_without_room(cli: Cli, field: Any, said: str) -> None:
    """Where nothing can be made up, that is said."""
    schema = {"$defs": {"things": {"type": "object", "properties": {"it": field}, "required": ["it"]}}}
    Path("shop.db").unlink()
    assert Cli(cli.capsys, schema).run("fill", "things", "3", "--seed", "1") == Done(1, "", f"minirest: {said}\n")


@pytest.mark.parametrize("pattern", ["^[A-Z]{2}-\\d{3,5}$", "^(ab|cd)+x?$", "[a-f0-9]{8}", "^\\w+\\s.*$"])
def test_patterns(pattern: str) -> None:
    """Simple patterns have texts that match."""
    properties = {"it": {"type": "string", "pattern": pattern}}
    schema = minirest.load_schema({"$defs": {"t": {"type": "object", "properties": properties, "required": ["it"]}}})
    maker = minirest.Maker(schema.find("t"), 1, {})
    assert len(list(maker.entries(50))) == 50


# ---- copies ----


def test_backup_and_restore(cli: Cli) -> None:
    """A copy is whole and one file; put back, what was there is kept beside it."""
    cli.load("title\nA\n")
    assert cli.run("backup", "copy.db", "shop.json") == Done(0, "copy.db: a whole copy of shop.db\n", "")
    assert cli.run("backup", "copy.db", "shop.json").err == (
        "minirest: 'copy.db' is there already; choose another name, or add --replace\n"
    )
    cli.load("title\nB\n")
    done = cli.run("restore", "copy.db", "shop.json")
    assert (done.code, done.err) == (0, "")
    (kept,) = Path().glob("shop.db.*.bak")
    assert done.out == f"shop.db: as in copy.db; what was there is in {kept}\n"
    assert cli.rows("select title from books") == [("A",)]
    with closing(sqlite3.connect(kept)) as connection:
        assert connection.execute("select title from books").fetchall() == [("A",), ("B",)]
    assert cli.run("backup", "copy.db", "shop.json", "--replace").code == 0
    Path("shop.db").unlink()
    assert cli.run("restore", "copy.db", "shop.json") == Done(0, "shop.db: as in copy.db\n", "")
    assert {stat.S_IMODE(Path(name).stat().st_mode) for name in ("copy.db", "shop.db", kept)} == {0o600}
    assert cli.rows("select title from books") == [("A",)]
    assert sorted(path.name for path in Path().iterdir() if "copy" in path.name) == ["copy.db"]


def test_backup_in_the_place_of_a_database(cli: Cli) -> None:
    """A copy never replaces the database itself, nor one with a log beside it, which would become part of the copy."""
    Path("same.db").symlink_to("shop.db")
    for name in ("shop.db", "same.db"):
        done = cli.run("backup", name, "shop.json", "--replace")
        assert done == Done(1, "", f"minirest: '{name}' is the database itself; choose another name\n")
    Path("copy.db-wal").touch()
    assert cli.run("backup", "copy.db", "shop.json", "--replace") == Done(
        1, "", "minirest: 'copy.db' is in use, or was left in the middle of a write; choose another name\n"
    )
    assert not Path("copy.db").exists()


def test_backup_of_a_database_in_use(cli: Cli) -> None:
    """A copy holds all that was committed before, while another connection is in the middle of a write."""
    with closing(minirest.make_app(SHOP, "shop.db", auth=False)) as app:
        load(app.store, "books", b"title\nA\n", "csv")
        with app.store.database.writing() as connection:
            connection.execute("insert into books (title) values ('B')")
            assert cli.run("backup", "copy.db", "shop.json").code == 0
            done = cli.run("restore", "copy.db", "shop.json")
            assert done == Done(1, "", "minirest: 'shop.db' is in use; stop the server first\n")
        assert cli.run("restore", "copy.db", "shop.json").code == 1  # it is open, though nobody writes
    with closing(sqlite3.connect("copy.db")) as copy:
        assert copy.execute("select title from books").fetchall() == [("A",)]
        assert copy.execute("pragma integrity_check").fetchall() == [("ok",)]
    assert cli.rows("select title from books") == [("A",), ("B",)]


def test_restore_where_nothing_can_be_written(cli: Cli) -> None:
    """Is no question of who uses the file."""
    assert cli.run("backup", "copy.db", "shop.json").code == 0
    Path("shop.db-wal").mkdir()
    done = cli.run("restore", "copy.db", "shop.json")
    assert (done.code, done.out, "in use" in done.err, "may you write there?" in done.err) == (1, "", False, True)


def test_restore_of_what_is_no_copy(cli: Cli) -> None:
    """A damaged file, a foreign one and none are refused, and nothing is touched."""
    Path("text.db").write_text("no database" * 100)
    with closing(sqlite3.connect("foreign.db")) as connection:
        connection.execute("create table t (x)")
    assert cli.run("backup", "copy.db", "shop.json").code == 0
    data = bytearray(Path("copy.db").read_bytes())
    data[8192 : 8192 + 2000] = b"\xff" * 2000
    Path("damaged.db").write_bytes(data)
    before = Path("shop.db").read_bytes()
    for name, code in (("text.db", 1), ("foreign.db", 2), ("damaged.db", 1), ("none.db", 1)):
        done = cli.run("restore", name, "shop.json")
        assert (done.code, done.out) == (code, ""), name
    assert Path("shop.db").read_bytes() == before
    assert list(Path().glob("*.bak")) == []


def test_fill_without_the_reader_of_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a private part of Python: where it is not, a pattern needs examples as one that is not simple does."""
    monkeypatch.setitem(sys.modules, "re._parser", None)
    schema = minirest.load_schema({"$defs": {"a": {"type": "object", "properties": {"v": {"type": "string"}}}}})
    with pytest.raises(minirest.ApiError, match="give examples"):
        minirest.Maker(schema.tables["a"], 7, {}).matching("^[a-z]+$")


def test_no_output_over_the_database(cli: Cli) -> None:
    """An export does not take the place of what its records come from; neither does a copy of what is none."""
    schema = Path("shop.json").read_bytes()
    for name in ("shop.db", "shop.json"):
        done = cli.run("export", "books", "--schema", "shop.json", "-o", name, "--format", "csv")
        assert done == Done(1, "", f"minirest: {name!r} is what the records come from; choose another name\n")
    for name in ("shop.json", "text.txt"):
        Path("text.txt").write_text("mine")
        done = cli.run("backup", name, "shop.json", "--replace")
        expected = f"minirest: {name!r} is no copy that minirest has written; choose another name\n"
        assert done == Done(1, "", expected)
    assert Path("shop.json").read_bytes() == schema
    assert cli.run("check", "shop.json").code == 0


@pytest.mark.parametrize("content", [b"", b"x"])
def test_an_empty_copy_is_not_restored(cli: Cli, content: bytes) -> None:
    """What a full disk has left of a copy takes no place."""
    Path("copy.db").write_bytes(content)
    done = cli.run("restore", "copy.db", "shop.json")
    assert (done.code, done.out) == (1, "")
    assert "copy.db" in done.err
    assert cli.run("check", "shop.json").code == 0


# ---- what is there already ----


def test_columns_that_others_fill(cli: Cli) -> None:
    """A BLOB and a generated column are in no file and come out of none, so that both stay as they are."""
    with closing(sqlite3.connect("pics.db")) as connection:
        connection.executescript(
            "create table pics (id integer primary key, name text, image blob, twice text as (name || name));"
            "insert into pics (name, image) values ('a', x'89504e47')"
        )
    stored = "select name, image, twice from pics"
    assert minirest.main(["export", "pics", "--db", "pics.db", "-o", "pics.csv"]) == 0
    assert Path("pics.csv").read_text().splitlines() == ["id,name", "1,a"]
    assert minirest.main(["import", "pics", "pics.csv", "--db", "pics.db", "--upsert-by", "id"]) == 0
    for line in ('{"id":1,"image":"xyz"}', '{"id":1,"twice":"xyz"}'):
        Path("pics.ndjson").write_text(line)
        assert minirest.main(["import", "pics", "pics.ndjson", "--db", "pics.db", "--upsert-by", "id"]) == 1
    with closing(sqlite3.connect("pics.db")) as connection:
        assert connection.execute(stored).fetchall() == [("a", b"\x89PNG", "aa")]


def test_two_restores_in_one_second(cli: Cli) -> None:
    """Each keeps what it has replaced."""
    minirest.back_up("shop.db", "copy.db")
    kept = {minirest.restore("copy.db", "shop.db") for _ in range(3)}
    assert len(kept) == 3
    assert kept == {str(path) for path in Path().glob("shop.db.*.bak")}


def test_a_file_of_somebody_else(cli: Cli) -> None:
    """What is called like a part of the file stays; a pipe is written to."""
    Path("out.csv.part").write_text("mine")
    assert cli.run("export", "authors", "-o", "out.csv").code == 0
    assert Path("out.csv.part").read_text() == "mine"
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo("pipe.csv")
    with subprocess.Popen(["cat", "pipe.csv"], stdout=subprocess.PIPE) as reader:
        assert cli.run("export", "authors", "-o", "pipe.csv").code == 0
        assert reader.communicate(timeout=30)[0] == Path("out.csv").read_bytes()


def test_a_command_that_is_stopped(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a command with one line."""

    def stop(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(minirest.COMMANDS, "export", stop)
    assert cli.run("export", "books") == Done(1, "", "minirest: stopped\n")
