"""Makes requests out of the table of routes: valid ones and broken ones mixed, the same at every run.

`ROUTES` says of every route how its address, its parameters and its bodies are made; what a dialect knows of
parameters, operators and lookups is taken from its own tables, so that a new one is asked for at once.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote

import minirest
from tests.hostile import ACTORS, FORM, MULTIPART, SCHEMA, Asked, World, in_path
from tests.web import multipart, part

METHODS = ("GET", "GET", "GET", "GET", "POST", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
TABLES = ("items", "people", "parts", "labels", "codes", "secrets")
OTHER_TABLES = ("ties", "ITEMS", "_users", "_history", "sqlite_master", "nope", "items_codes", 'x" or 1=1--', "%")
FIELDS = (
    *(
        "name",
        "note",
        "code",
        "mail",
        "count",
        "amount",
        "done",
        "day",
        "at",
        "hour",
        "words",
        "colours",
        "state",
        "data",
    ),
    *("boss", "parts", "labels", "secret", "codes", "item", "items", "sort", "valid_from", "valid_to", "id", "weight"),
)
OTHER_FIELDS = (
    *(
        "made",
        "word",
        "photo",
        "NAME",
        "boss_id",
        "bossId",
        "_status",
        "_owner",
        "_version",
        "owner",
        "group",
        "access",
    ),
    *(
        "branch",
        "time",
        "_id",
        "createdAt",
        "created_at",
        "createdById",
        "created",
        "created_by",
        "snapshot_id",
        "ties",
    ),
    *(
        "resource_uri",
        "success",
        "rowid",
        "oid",
        "__proto__",
        "constructor",
        'x" OR 1=1--',
        "x]",
        "x`",
        "x;drop",
        "ñame",
    ),
    *("na\u200bme", "ｎame", "", "*", "a" * 300),
)
LINKS = ("boss", "parts", "labels", "secret", "codes", "item", "items", "label")
TARGETS = {"boss": "people", "item": "items", "secret": "secrets", "label": "labels"}
"""The tables of links whose names are others."""
MEMBERS = {
    name: tuple(member for member in schema["properties"] if member not in ("made", "word"))
    for name, schema in SCHEMA["$defs"].items()
}
TEXTS = (
    *(
        "",
        " ",
        "1",
        "2",
        "-1",
        "0",
        "1e3",
        "٣",
        "9223372036854775807",
        "9223372036854775808",
        "9" * 40,
        "1.5",
        "-0",
        "+1",
    ),
    *("true", "false", "on", "null", "nil", "None", "NaN", "1e400", "Anna", "wheel", "nl", "red", "open", "AB", "100%"),
    *("2026-03-01", "2026-03", "2026", "01.03.2026", "KW 12.2026", "2026-03-01T12:00:00Z", "2026-02-30", "12:30:00"),
    *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999999-14:00", "!=", ">=1", "!", "%", "_", "\\", "a_b\\c"),
    *("x' OR '1'='1", 'x" OR "1"="1', "); drop table items;--", "$me", "[1,2]", "1,2", "1;2", '{"$ne":1}', "{}", "[]"),
    *("😀", "\u202e", "\ufeff", "\x1b[2J", "<script>", "=cmd|' /C calc'!A0", "../../etc/passwd", "//evil.example"),
    "x" * 2000,
)
RAW = ("%ff", "%00", "%", "%zz", "%ud800", "%ed%a0%80", "\t")
"""What stands in a query as it is."""
BROKEN = (
    *(b"", b" ", b"null", b"[]", b"{}", b"0", b'"x"', b"{", b"[1,]", b'{"a":1}x', b'{"a":1,"a":2}', b"NaN", b"\xff"),
    *(b"\xef\xbb\xbf{}", b'{"name":"\\ud800"}', b'{"name":"\\u0000"}', b'{"count":1e400}', b'{"name":"x"}\x00'),
    *('{"name":"x"}'.encode("utf-16"), b"[" * 100_000, b"[" * 70 + b"]" * 70, b'{"count":' + b"9" * 5000 + b"}"),
)
KINDS = ("", "", "", "", "application/json; charset=utf-8", "text/plain", "application/jsonp", "image/png", "x")


class Luck(Random):
    """Chance, with what requests are made of; `here` is the table that is asked."""

    here = "items"

    def some(self, *choices: Sequence[Any]) -> Any:
        """One of the first choices mostly, else one of the others."""
        return self.choice(choices[0] if len(choices) == 1 or self.random() < 0.85 else self.choice(choices[1:]))

    def table(self) -> str:
        self.here = str(self.some(TABLES, TABLES, OTHER_TABLES))
        return self.here

    def field(self) -> str:
        return str(self.some(MEMBERS.get(self.here, FIELDS), FIELDS, OTHER_FIELDS))

    def link(self) -> str:
        known = [name for name in MEMBERS.get(self.here, LINKS) if name in LINKS]
        return str(self.some(known or LINKS, LINKS, FIELDS, OTHER_FIELDS))

    def path(self, mark: str) -> str:
        """A field, sometimes behind links."""
        links = self.choices(("boss", "parts", "labels", "item", "secret", "data", "ties"), k=self.randint(1, 3))
        return mark.join([*links, self.some(("name",), FIELDS)]) if self.random() < 0.2 else self.field()

    def text(self) -> str:
        return str(self.choice(TEXTS))

    def text_for(self, name: str) -> str:
        """A text that a field can be compared with, mostly."""
        value = self.fitting(name) if self.random() < 0.7 else self.text()
        return value if isinstance(value, str) else json.dumps(value)

    def value(self, depth: int = 2) -> Any:
        """A JSON value."""
        match self.randint(0, 9 if depth else 6):
            case 0:
                return None
            case 1:
                return self.random() < 0.5
            case 2:
                return self.choice((0, 1, 2, 3, -1, -6, 2**53, 2**63 - 1, 2**63, -(2**70)))
            case 3:
                return self.choice((0.5, 1.0, -0.0, 1e300))
            case 4 | 5 | 6:
                return self.text()
            case 7:
                return {self.field(): self.value(depth - 1) for _ in range(self.randint(0, 3))}
            case _:
                return [self.value(depth - 1) for _ in range(self.randint(0, 3))]

    def fitting(self, name: str) -> Any:
        """A value that a field takes."""
        values: dict[str, Sequence[Any]] = {
            "name": ("x", "Anna", "=1+1"),
            "code": ("AB", "CD"),
            "mail": ("a@example.org",),
            "count": (1, 2, -5),
            "amount": (1.5, 2, -0.0),
            "done": (True, False),
            "day": ("2026-03-01",),
            "at": ("2026-03-01T12:00:00Z",),
            "hour": ("12:30:00",),
            "words": ([], ["x", "y"]),
            "colours": ([], ["red"]),
            "state": ("open", "shut", None),
            "data": ({}, {"a": {"b": [1]}}, {"__proto__": 1}),
            "id": ("fr", 9, 1),
            "valid_from": ("2026-03-01", None),
            "sort": (1, 2),
        }
        return self.choice(values.get(name, (None, "x", 1)))

    def body(self, link: Callable[[str], Any]) -> dict[str, Any]:
        """Values of a record; `link` gives those of links."""
        found: dict[str, Any] = {}
        for _ in range(self.randint(0, 3)):
            name, fits = self.field(), self.random() < 0.85
            if name in ("boss", "secret", "item", "label"):
                found[name] = link(name) if fits else self.value()
            elif name in ("parts", "labels", "codes", "items"):
                found[name] = [link(name) for _ in range(self.randint(0, 2))] if fits else self.value()
            else:
                found[name] = self.fitting(name) if fits else self.value()
        if self.random() < 0.7:
            found["name"] = "x"
        return found

    def query(self, pairs: Iterable[tuple[str, str]]) -> str:
        """A query string; sometimes with what cannot be decoded in it."""
        raw = [f"{quote(name, safe='[]$')}={quote(value, safe='')}" for name, value in pairs]
        if self.random() < 0.04:
            raw.append(f"{self.choice(('x', 'name', 'filter', '$sort'))}={self.choice(RAW)}")
        if self.random() < 0.02:
            raw.append(self.choice(("a[b][c][d][e][f]=1", "a[=1", "a]b=1", "[a]=1", "name;id=1", "&&=&", "x" * 5000)))
        return "&".join(raw)


# ---- the parameters of each dialect ----

Pairs = list[tuple[str, str]]


def limbas_query(luck: Luck) -> Pairs:
    """Parameters of a list."""
    pairs: Pairs = []
    for _ in range(luck.choice((0, 1, 1, 1, 2, 4))):
        word = luck.some((*minirest.LIMBAS_PARAMETERS, "", "", ""), ("$nope", "$page[nope]", "$page[count][x]"))
        match word:
            case "$page":
                pairs.append((luck.choice(("$page[count]", "$page[number]")), luck.some(("1", "2", "3"), TEXTS)))
            case "$fields":
                name = luck.some(("$fields", f"$fields[{luck.here}]"), ("$fields[]", "$fields[nope]", "$fields[ties]"))
                pairs.append((name, ",".join(luck.field() for _ in range(luck.randint(1, 3)))))
            case "$sort":
                pairs.append((word, luck.choice(("", "-", f"{luck.here}.")) + luck.field()))
            case "$archived":
                pairs.append((word, luck.some(tuple(minirest.LIMBAS_ARCHIVED), TEXTS)))
            case "$validity":
                pairs.append((word, luck.some(("all", "allfrom", "allto", "2026-03-01"), TEXTS)))
            case "":
                operator = luck.some(("", *LIMBAS_OPERATORS), ("nope", 'eq" or 1=1'))
                field, table = luck.field(), luck.some(("", ""), (luck.here, "nope"))
                name = f"{table}[{field}]" if table else field
                pairs.append((name + (f"[{operator}]" if operator else ""), luck.text_for(field)))
            case _:
                pairs.append((word, luck.text()))
    return pairs


LIMBAS_OPERATORS = tuple(dict.fromkeys((*minirest.NUMBER_OPERATORS, *minirest.TEXT_OPERATORS)))


def json_filter(luck: Luck, depth: int = 2) -> Any:
    """A filter in NocoBase's form."""
    if luck.random() < 0.05:
        return luck.value()
    found: dict[str, Any] = {}
    for _ in range(luck.randint(0, 3)):
        if depth and luck.random() < 0.25:
            found[luck.choice(("$and", "$or", "$not", "boss", "labels"))] = luck.choice(
                ([json_filter(luck, depth - 1) for _ in range(luck.randint(0, 2))], json_filter(luck, depth - 1))
            )
            continue
        operator = luck.some(tuple(minirest.JSON_OPERATORS), ("$nope", "eq", "$eq' or 1=1--", "$"))
        value = luck.choice((luck.value(), luck.text(), [luck.text(), luck.text()], "[2026-01-01,2026-04-01)"))
        path = luck.path(".")
        value = luck.choice((value, luck.fitting(path), [luck.fitting(path)]))
        found[path] = luck.choice(({operator: value}, {operator: value}, value))
    return found


def nocobase_query(luck: Luck) -> Pairs:
    """Parameters of any action."""
    pairs: Pairs = []
    for _ in range(luck.choice((0, 1, 1, 1, 2, 4))):
        word = luck.some(sorted(minirest.NOCOBASE_PARAMETERS), ("nope", "where", "filters", "__proto__"))
        match word:
            case "filter":
                text = json.dumps(json_filter(luck), ensure_ascii=luck.random() < 0.5)
                operator = luck.choice((*minirest.JSON_OPERATORS, "$nope"))
                field = luck.field()
                bracket = (f"filter[{field}][{operator}]", luck.text_for(field))
                pairs.append(luck.choice(((word, text), (word, text), (word, luck.text()), bracket)))
            case "fields" | "appends" | "except" | "whitelist" | "blacklist" | "updateAssociationValues" | "filterKeys":
                pairs += [(luck.choice((word, f"{word}[]")), luck.path("."))] * luck.randint(1, 2)
            case "sort":
                pairs.append((word, luck.choice(("", "-")) + luck.path(".")))
            case "page" | "pageSize":
                pairs.append((word, luck.some(("1", "2"), TEXTS)))
            case "filterByTk" | "sourceId" | "targetId":
                pairs.append((word, luck.some(("1", "2", "nl"), TEXTS)))
            case "targetScope":
                pairs.append(
                    luck.choice((("targetScope[state]", "open"), (word, '{"state":"open"}'), (word, luck.text())))
                )
            case _:
                pairs.append((word, luck.some(("true", "false", "prepend", "insertAfter", "sort"), TEXTS)))
    return pairs


def coredata_query(luck: Luck) -> Pairs:
    """Parameters of a list."""
    pairs: Pairs = []
    for _ in range(luck.choice((0, 1, 1, 1, 2, 4))):
        word = luck.choice((*minirest.COREDATA_PARAMETERS, "", "", "", ""))
        match word:
            case "order_by":
                pairs.append((word, luck.choice(("", "-")) + luck.path("__")))
            case "limit" | "offset":
                pairs.append((word, luck.some(("0", "1", "2"), TEXTS)))
            case _:
                lookup = luck.some(("", *sorted(minirest.EVERY_LOOKUP)), ("nope", "exact__exact"))
                path = luck.path("__")
                pairs.append((path + (f"__{lookup}" if lookup else ""), luck.text_for(path)))
    return pairs


def platform_query(luck: Luck) -> Pairs:
    """Parameters of a list."""
    pairs: Pairs = []
    for _ in range(luck.choice((0, 1, 1, 1, 2, 3))):
        word = luck.some(sorted(minirest.PLATFORM_PARAMETERS), ("nope", "where", "where."))
        match word:
            case "where.<path>":
                path = luck.path(".")
                pairs.append((f"where.{path}", luck.text_for(path)))
            case "only":
                pairs.append((word, ",".join(luck.path(".") for _ in range(2))))
            case "sortBy":
                pairs.append((word, luck.choice(("", "-")) + luck.path(".")))
            case "limit" | "offset":
                pairs.append((word, luck.some(("0", "1", "2"), TEXTS)))
            case "nolimit" | "meta" | "streamed":
                pairs.append((word, luck.some(("true", "false"), TEXTS)))
            case _:
                pairs.append((word, luck.text()))
    return pairs


def qore_query(kind: str) -> Callable[[Luck], Pairs]:
    """Parameters of one kind of reading request."""

    def query(luck: Luck) -> Pairs:
        pairs: Pairs = []
        for _ in range(luck.choice((0, 1, 1, 1, 2, 3))):
            word = luck.some(minirest.QORE_PARAMETERS[kind] or ("nope",), ("nope", "tab", "state", "__proto__"))
            match word:
                case "search_columns" | "state":
                    field = luck.field()
                    pairs.append((f"{word}[{field}]" + luck.choice(("", "", "[]", "[value]")), luck.text_for(field)))
                case "sort_column" | "field":
                    pairs.append((word, luck.field()))
                case "sort_direction":
                    pairs.append((word, luck.some(tuple(minirest.QORE_DIRECTIONS), TEXTS)))
                case "action":
                    pairs.append(luck.choice((("action[name]", "reloadRelatedOptions"), (word, luck.text()))))
                case "tab":
                    pairs.append((word, luck.some(("Mine", "mine"), TEXTS)))
                case "initial_request":
                    pairs.append((word, luck.some(("true", "false"), TEXTS)))
                case _:
                    pairs.append((word, luck.some(("1", "2", "x", "Anna"), TEXTS)))
        return pairs

    return query


PAGE_WORDS: Mapping[str, Sequence[str]] = {
    "dialect": tuple(minirest.DIALECTS),
    "group": TABLES,
    "table": TABLES,
    "question": ("one record", "a page", "one value", "in order", "with links"),
}
"""What a parameter of the pages can be."""


def page_query(*words: str) -> Callable[[Luck], Pairs]:
    """Parameters of a page."""

    def query(luck: Luck) -> Pairs:
        pairs: Pairs = []
        for _ in range(luck.choice((0, 1, 1, 1, 2, 3))):
            word = luck.some(words or ("done",), ("nope", "filter[nope]", "filter[]"))
            if word == "filter":
                field = luck.field()
                pairs.append((f"filter[{field}]", luck.text_for(field)))
            elif word == "sort":
                pairs.append((word, luck.choice(("", "-")) + luck.field()))
            elif word == "field":
                field = luck.field()
                pairs.append((field, luck.text_for(field)))
            else:
                known = PAGE_WORDS.get(
                    word, ("1", "2", "no", "only", "trash", "all", "today", "saved", "/browse/items")
                )
                pairs.append((word, luck.some(known, TEXTS)))
        return pairs

    return query


def nothing(luck: Luck) -> Pairs:
    """No parameters, mostly."""
    return [(luck.field(), luck.text())] if luck.random() < 0.15 else []


# ---- the bodies of each dialect ----

Body = Callable[[World, Luck], Any]


def limbas_values(world: World, luck: Luck) -> Any:
    """`data` of a record."""
    values = luck.body(lambda name: {"id": luck.choice((1, 2, "1", 99))})
    shaped = {name: {"data": value} if name in LINKS else value for name, value in values.items()}
    return luck.choice(({"data": shaped}, {"data": shaped}, {"data": shaped, "$archived": luck.text()}, shaped))


def limbas_links(world: World, luck: Luck) -> Any:
    """`data` of a link."""
    ids = [{"id": luck.choice((1, 2, 99, luck.value()))} for _ in range(luck.randint(0, 3))]
    return {"data": luck.choice((ids, ids, luck.value(), {"id": 1}))}


def nocobase_values(world: World, luck: Luck) -> Any:
    """The values of a record, or of several."""
    one = luck.body(lambda name: luck.choice((1, 2, {"id": 1, "name": "y"}, {"name": "z"}, luck.value())))
    return luck.choice((one, one, [one, luck.body(lambda name: 1)], [1, 2], [[1, {"weight": 2}]], ["nl"]))


def nocobase_account(world: World, luck: Luck) -> Any:
    """Who signs in."""
    password = luck.choice(("admin password", luck.value()))
    return luck.choice(
        ({"account": luck.some(("admin",), TEXTS), "password": password}, {"email": "x", "password": "y"})
    )


def coredata_values(world: World, luck: Luck) -> Any:
    """A record, or lists of records to make, change and delete."""

    def uri(name: str) -> str:
        found = TARGETS.get(name, name)
        number = luck.choice((1, 2, 99))
        return luck.choice((f"/api/v2/{found}/{world.uuid(found, number)}/", world.uuid(found, number), luck.text()))

    one = luck.body(uri)
    listed = {**luck.body(uri), "resource_uri": f"/api/v2/items/{world.uuid('items', luck.choice((1, 2, 99)))}/"}
    lists = {"objects": [one, luck.choice((listed, luck.value()))], "deleted_objects": [uri("items"), luck.value()]}
    return luck.choice((one, one, {name: lists[name] for name in luck.sample(sorted(lists), luck.randint(0, 2))}))


def platform_values(world: World, luck: Luck) -> Any:
    """An entity."""

    def link(name: str) -> str:
        found = TARGETS.get(name, name)
        return luck.choice((world.object_id(found, luck.choice((1, 2, 99))), luck.text()))

    lists = {word: [world.object_id("_users", luck.choice((1, 2))), luck.value()] for word in ("access", "branch")}
    return {**luck.body(link), **({} if luck.random() < 0.8 else lists)}


def platform_account(world: World, luck: Luck) -> Any:
    """Who signs in."""
    return {"login": luck.some(("admin",), TEXTS), "password": luck.choice(("admin password", luck.value()))}


def qore_values(world: World, luck: Luck) -> Any:
    """The values of a record; sometimes with another method."""
    values = luck.body(lambda name: luck.choice((1, 2, "nl", {"value": 1, "label": "x"}, luck.value())))
    return {
        **values,
        **({} if luck.random() < 0.8 else {"_method": luck.choice(("PUT", "DELETE", "GET", luck.value()))}),
    }


def qore_reading(kind: str) -> Body:
    """Parameters in the body of a request that reads."""

    def body(world: World, luck: Luck) -> Any:
        words = luck.choices(minirest.QORE_PARAMETERS[kind] or ("nope",), k=luck.randint(0, 3))
        return {word: luck.choice((luck.value(), {luck.field(): luck.value()}, luck.field())) for word in words}

    return body


def page_values(*words: str) -> Body:
    """The fields of a form."""

    def body(world: World, luck: Luck) -> Any:
        names = [luck.some(words or ("_do",), ("nope", "name")) for _ in range(luck.randint(0, 3))]
        values = {"_do": ("archive", "restore", "trash", "delete", "undo"), "_version": ("1", "2")}
        pairs = [(name, luck.some(values.get(name, ("x", "1", "2026-03-02")), TEXTS)) for name in names]
        fields = [luck.field() for _ in range(luck.randint(0, 2))] if "field" in words else []
        pairs += [(name, luck.text_for(name)) for name in fields]
        return {name: value for name, value in pairs if name != "field"}

    return body


def page_import_query(luck: Luck) -> Pairs:
    """Parameters of an import."""
    pairs: Pairs = []
    for _ in range(luck.choice((0, 0, 1, 1, 2))):
        word = luck.some(("upsert_by", "delimiter", "skip_errors", "dry_run"), ("nope", "skip_errors[]"))
        known = {"upsert_by": ("id", "code", luck.field()), "delimiter": (";", "tab", ",")}
        pairs.append((word, luck.some(known.get(word, ("yes", "no")), TEXTS)))
    return pairs


def page_lines(world: World, luck: Luck) -> bytes:
    """A file of records, mostly CSV or NDJSON."""
    rows = [luck.body(lambda name: luck.choice((1, 2, 99, luck.value()))) for _ in range(luck.randint(0, 3))]
    if luck.random() < 0.1:
        return luck.choice(BROKEN)
    if luck.random() < 0.4:
        return "\n".join(map(json.dumps, rows)).encode()
    names = list(dict.fromkeys(luck.choice(("name", luck.field())) for _ in range(luck.randint(1, 3))))
    cells = [[name, *(luck.choice((luck.text_for(name), "")) for _ in rows)] for name in names]
    mark = luck.some((",",), (";", "\t", '"', "\r"))
    lines = (mark.join(f'"{cell}"' if "," in cell else cell for cell in line) for line in zip(*cells, strict=True))
    return "\n".join(lines).encode("utf-8", "replace")


def no_body(world: World, luck: Luck) -> Any:
    """What has no body gets one sometimes."""
    return luck.value() if luck.random() < 0.2 else None


# ---- every route ----


class Way(NamedTuple):
    """How the requests of a route are made; `only` are the statuses of a route that refuses whatever comes."""

    query: Callable[[Luck], Pairs] = nothing
    body: Body = no_body
    only: frozenset[int] = frozenset()
    keys: str = "number"


NEVER = frozenset({400, 401, 404, 405, 422})
OF_RECORDS = Way(limbas_query, limbas_values)
ROUTES: Mapping[str, Way] = {
    "/health/live": Way(),
    "/health/ready": Way(),
    # the pages
    "/": Way(),
    "/login": Way(page_query("next"), page_values("name", "password", "next")),
    "/logout": Way(page_query(), page_values()),
    "/api_tokens": Way(page_query(), page_values("device_name", "expiration_date", "revoke")),
    "/browse": Way(),
    "/browse/<table>": Way(page_query("search", "sort", "page", "done", "archived", "validity", "filter")),
    "/browse/<table>/<key>": Way(page_query("done", "older"), page_values("_do", "_version")),
    "/browse/<table>/<key>/links/<link>": Way(page_query("search", "sort", "page", "done", "filter")),
    "/browse/<table>/<key>/file/<name>": Way(),
    "/browse/<table>/export.<form:re:csv|ndjson>": Way(
        page_query("search", "sort", "page", "archived", "validity", "filter", "spreadsheet")
    ),
    "/browse/<table>/import": Way(page_import_query, page_lines),
    "/browse/<table>/new": Way(page_query("field"), page_values("field", "_clear")),
    "/browse/<table>/<key>/edit": Way(page_query(), page_values("field", "_version", "_clear")),
    "/browse/<rest:path>": Way(only=NEVER | {303}),
    "/docs": Way(page_query("dialect", "dialect", "group")),
    "/docs/compare": Way(page_query("table", "question")),
    "/openapi.json": Way(page_query("dialect")),
    # Limbas; its other bases lead to the same
    "/main_rest.php": Way(only=frozenset({400, 401, 404, 405})),
    "/<table>": OF_RECORDS,
    "/<table>/<key>": OF_RECORDS,
    "/<table>/<key>/<link>": Way(limbas_query, limbas_links),
    "/<table>/<rest:path>": Way(limbas_query, only=NEVER),
    "/<rest:path>": Way(limbas_query, only=NEVER),
    # NocoBase
    "/api/auth<:re:[:]><action:re:[A-Za-z]+>": Way(nocobase_query, nocobase_account),
    "/api/users<:re:[:]><action:re:[A-Za-z]+>": Way(nocobase_query, nocobase_account),
    "/api/<name:re:[^/:]+><:re:[:]><action>": Way(nocobase_query, nocobase_values),
    "/api/<name:re:[^/:]+><:re:[:]><action>/<index>": Way(nocobase_query, nocobase_values),
    "/api/<name:re:[^/:]+>/<source>/<association:re:[^/:]+><:re:[:]><action>": Way(nocobase_query, nocobase_values),
    "/api/<name:re:[^/:]+>/<source>/<association:re:[^/:]+><:re:[:]><action>/<index>": Way(
        nocobase_query, nocobase_values
    ),
    "/api/<name:re:[^/:]+>": Way(nocobase_query, nocobase_values),
    "/api/<name:re:[^/:]+>/<index:re:[^/:]+>": Way(nocobase_query, nocobase_values),
    "/api/<name:re:[^/:]+>/<source>/<association:re:[^/:]+>": Way(nocobase_query, nocobase_values),
    "/api/<name:re:[^/:]+>/<source>/<association:re:[^/:]+>/<index:re:[^/:]+>": Way(nocobase_query, nocobase_values),
    # CoreData
    "/api/v2": Way(),
    "/api/v2/<name>": Way(coredata_query, coredata_values, keys="uuid"),
    "/api/v2/<name>/schema": Way(),
    "/api/v2/<name>/set/<ids>": Way(keys="uuid"),
    "/api/v2/<name>/<key>": Way(body=coredata_values, keys="uuid"),
    "/api/v2/<name>/<key>/<link>": Way(coredata_query, keys="uuid"),
    "/api/v2/<rest:path>": Way(only=NEVER),
    # Platform
    "/api/v1": Way(),
    "/api/v1/auth": Way(body=platform_account),
    "/api/v1/auth/token": Way(body=platform_account),
    "/api/v1/<store>": Way(platform_query, platform_values, keys="object id"),
    "/api/v1/<store>/<key>": Way(platform_query, platform_values, keys="object id"),
    "/api/v1/<store>/<key>/<link>": Way(platform_query, keys="object id"),
    "/api/v1/<rest:path>": Way(only=NEVER),
    "/socket.io": Way(page_query("transport", "EIO", "sid"), only=frozenset({400, 401, 403, 404, 405, 501})),
    # Qore
    "/api/me": Way(qore_query("record"), qore_reading("record")),
    "/api/endpoints": Way(qore_query("record"), qore_reading("record")),
    "/api/global-search": Way(qore_query("search"), qore_reading("search")),
    "/api/resources/<resource>": Way(body=qore_values),
    "/api/resources/<resource>/create": Way(qore_query("form"), qore_reading("form")),
    "/api/resources/<resource>/table/<table>": Way(qore_query("table"), qore_reading("table")),
    "/api/resources/<resource>/logs/<key>": Way(qore_query("logs"), qore_reading("logs")),
    "/api/resources/<resource>/field/<field>/options": Way(qore_query("options"), qore_reading("options")),
    "/api/resources/<resource>/actions/<action>/<key>": Way(),
    "/api/resources/<resource>/<key>": Way(qore_query("record"), qore_values),
    "/api/resources/<resource>/<key>/edit": Way(qore_query("form"), qore_reading("form")),
    "/api/resources/<resource>/<key>/inline/<field>": Way(body=qore_values),
    "/api/resources": Way(only=NEVER),
    "/api/resources/<rest:path>": Way(only=NEVER),
    "/api/me/<rest:path>": Way(only=NEVER),
    "/api/endpoints/<rest:path>": Way(only=NEVER),
    "/api/global-search/<rest:path>": Way(only=NEVER),
}
"""Every route of the application, without the slash at its end and the base of Limbas."""
COLLECTION_ACTIONS = (
    *("list", "get", "create", "update", "destroy", "move", "firstOrCreate", "updateOrCreate"),
    *("set", "add", "remove", "toggle", "nope", "__proto__"),
)
ACCOUNT_ACTIONS = ("signIn", "signOut", "signUp", "check", "nope", "list", "get")
RESTS = ("nope/nope/nope/nope", "..%2f..%2f/x/y/z", "a//b/c/d/", "%0d%0aX: y/1/2/3/4", "1/2/3/4/5:list")
HEADERS: tuple[dict[str, str], ...] = (
    {"HTTP_ACCEPT": "text/html"},
    {"HTTP_IF_MATCH": '"0-0"'},
    {"HTTP_IF_MATCH": '"1-0123456789abcdef"'},
    {"HTTP_IF_MATCH": "x\x80"},
    {"HTTP_IF_NONE_MATCH": "*"},
    {"HTTP_IF_NONE_MATCH": 'W/"1-0", "x'},
    {"HTTP_RANGE": "bytes=0-1"},
    {"HTTP_RANGE": "bytes=99-"},
    {"HTTP_RANGE": "bytes=-0"},
    {"HTTP_PREFER": "return=minimal"},
    {"HTTP_X_HTTP_METHOD_OVERRIDE": "PATCH"},
    {"HTTP_X_HTTP_METHOD_OVERRIDE": "delete"},
    {"HTTP_X_HTTP_METHOD_OVERRIDE": "TRACE\x01"},
    {"HTTP_ORIGIN": "https://evil.example"},
    {"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_X_ROLE": "root"},
    {"HTTP_CONTENT_ENCODING": "gzip"},
    {"HTTP_COOKIE": "sid=x; sid=\xff; =; ;;"},
    {"HTTP_AUTHORIZATION": "Bearer x"},
    {"HTTP_AUTHORIZATION": "Basic \xff"},
    {"HTTP_AUTHORIZATION": "apikey admin:"},
    {"HTTP_HOST": "evil.example"},
    {"HTTP_HOST": '"><script>'},
)


def rule_of(rule: str) -> str:
    """A rule of a route as `ROUTES` has it."""
    short = rule.removeprefix("/dependent").removesuffix("/") or "/"
    return short.removeprefix("/main_rest.php") or "/main_rest.php"


def rules_of(app: minirest.Application) -> dict[str, list[str]]:
    """All rules of an application, by who owns them."""
    found = {dialect.name: [route.rule for route in dialect.routes()] for dialect in app.dialects}
    found["limbas"] += [f"{minirest.HEALTH}{name}" for name in ("live", "ready")]  # their errors are Limbas'
    pages = [route.rule for page in app.pages for route in page.routes()]
    return found | {"pages": [*pages, *(route.rule for route in minirest.Downloads(app.store).routes())]}


class Maker:
    """Makes requests for one world, from one seed."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.luck = world, Luck(seed)
        self.tokens = {name: world.form_token(name) for name in ACTORS}

    def request(self, rule: str) -> Asked:
        """A request for a rule."""
        luck, way = self.luck, ROUTES[rule_of(rule)]
        actor = luck.choices(tuple(ACTORS), (6, 3, 1)[: len(ACTORS)])[0]
        headers = {**ACTORS[actor], **(luck.choice(HEADERS) if luck.random() < 0.2 else {})}
        path, query = self.address(rule, way), luck.query(way.query(luck))
        address = path + (f"?{query}" if query else "")
        is_page = rule.startswith(("/browse", "/login", "/logout", "/api_tokens"))
        body, kind = self.form(actor, way) if is_page else self.body(rule, way)
        return Asked(luck.choice(METHODS), address, body, kind, headers)

    def address(self, rule: str, way: Way) -> str:
        """An address for a rule."""
        luck, table = self.luck, self.luck.table()
        if "/file/" in rule and luck.random() < 0.8:
            luck.here = table = "items"
        text, *places = rule.replace("<:re:[:]>", ":").split("<")
        for place in places:
            word, end = place.rsplit(">", 1)
            name = word.partition(":")[0]
            text += self.word("file" if text.endswith("/file/") else name, table, rule, way) + end
        if luck.random() < 0.03 and not way.only:
            text += luck.choice(("//", "/.", "/..", "%2f", ";x=1", "%00", "%ff", "/\u00e9", "?", "#x", "%0d%0a"))
        return quote(text, safe="/%:;?#")

    def word(self, name: str, table: str, rule: str, way: Way) -> str:
        """What stands at one place of an address."""
        luck = self.luck
        match name:
            case "rest":
                return luck.choice(RESTS)
            case "action":
                known = QORE_ACTIONS if "/resources/" in rule else COLLECTION_ACTIONS
                return luck.choice(ACCOUNT_ACTIONS if "A-Za-z" in rule else known)
            case "key" | "index" | "source":
                return in_path(self.key(table, way))
            case "ids":
                return in_path(";".join(self.key(table, way) for _ in range(luck.randint(0, 3))))
            case "form":
                return luck.choice(("csv", "ndjson"))
            case "file":
                return in_path(luck.some(("photo",), FIELDS, OTHER_FIELDS))
            case "link" | "association" | "field":
                return in_path(luck.some((luck.link(),), ("photo", luck.field())))
        return in_path(table)

    def key(self, table: str, way: Way) -> str:
        """The id of a record, as a dialect writes it."""
        number, is_known = self.luck.choice((1, 1, 1, 2, 2, 3, 4, 99)), table in TABLES
        if is_known and way.keys == "uuid" and self.luck.random() < 0.8:
            return self.world.uuid(table, number)
        if is_known and way.keys == "object id" and self.luck.random() < 0.8:
            return self.world.object_id(table, number)
        return str(self.luck.some((("nl", "de") if table == "codes" else (number,)), TEXTS))

    def body(self, rule: str, way: Way) -> tuple[Any, str]:
        """A body with its content type."""
        luck = self.luck
        value = way.body(self.world, luck)
        match luck.randint(0, 11):
            case 0:
                return luck.choice(BROKEN), luck.choice(KINDS)
            case 1:
                pairs = [(name, luck.text()) for name in (value if isinstance(value, dict) else ("name",))]
                return luck.query(pairs).encode("ascii", "replace"), luck.choice((FORM, "x-www-form-urlencoded"))
            case 2:
                return self.multipart(value if isinstance(value, dict) else {}), MULTIPART
            case 3:
                return None, luck.choice(KINDS)
            case 4:
                return value, luck.choice(KINDS)
            case _:
                return value, ""

    def form(self, actor: str, way: Way) -> tuple[Any, str]:
        """A form of a page, mostly with its token, or the bare file that an import takes as well."""
        luck, value = self.luck, way.body(self.world, self.luck)
        if isinstance(value, bytes):
            return self.file(actor, value)
        fields = {name: str(text) for name, text in value.items()} if isinstance(value, Mapping) else {}
        if luck.random() < 0.9:
            fields["_token"] = self.tokens[actor]
        match luck.randint(0, 9):
            case 0:
                return self.body("", way)
            case 1 | 2:
                return self.multipart(fields), MULTIPART
            case _:
                return luck.query(fields.items()).encode("ascii", "replace"), FORM

    def file(self, actor: str, data: bytes) -> tuple[bytes, str]:
        """A file, as a body or in a form."""
        luck = self.luck
        if luck.random() < 0.7:
            return data, luck.some(("text/csv", "application/x-ndjson"), KINDS)
        parts = [part("_token", self.tokens[actor].encode())] if luck.random() < 0.9 else []
        parts.append(part(luck.some(("file",), ("photo", "")), data, luck.choice(("a.csv", "a.ndjson", "../x", ""))))
        return multipart(*parts), MULTIPART

    def multipart(self, fields: Mapping[str, Any]) -> bytes:
        """A form with a file in it, or what is nearly one."""
        luck = self.luck
        names = ("photo", "data[photo]", "name", "nope", "data[data][photo]", "x" * 300)
        files = ("a.txt", "../../x", "", "CON", "\u202egpj.exe", "x" * 300, 'a"b', "a\x00b", "a\r\nb")
        parts = [part(name, str(value).encode("utf-8", "replace")) for name, value in fields.items()]
        if luck.random() < 0.6:
            parts.append(part(luck.choice(names), b"hello", luck.choice(files), luck.choice(("text/plain", "x", ""))))
        whole = multipart(*parts)
        return whole if luck.random() < 0.85 else whole[: luck.randint(0, len(whole))]


QORE_ACTIONS = (*minirest.QORE_ACTIONS, "nope")


def ask_all(owners: Iterable[str], seed: int, rounds: int, **settings: Any) -> None:
    """Ask every rule some times; each must have been answered and refused, or must be one that only refuses."""
    seen: dict[str, Counter[int]] = {}
    with closing(World(**settings)) as world:
        maker, found = Maker(world, seed), rules_of(world.app)
        for _, owner in itertools.product(range(rounds), owners):
            for rule in found[owner]:
                seen.setdefault(rule, Counter())[world.ask(maker.request(rule)).status] += 1
    for rule, statuses in seen.items():
        only = ROUTES[rule_of(rule)].only
        assert not only or statuses.keys() <= only, f"{rule}: {statuses}"
        assert only or min(statuses) < 400 <= max(statuses), f"{rule}: {statuses}"
