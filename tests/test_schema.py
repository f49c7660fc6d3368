"""Schema files: from a JSON Schema or OpenAPI document to tables, fields and links; public ids; examples."""

import ast
import enum
import hashlib
import importlib.util
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import (
    Change,
    Col,
    Create,
    Field,
    Item,
    Link,
    Obj,
    Schema,
    SchemaError,
    Scope,
    Select,
    Shape,
    Store,
    Sub,
    Table,
    check_rules,
    load_schema,
)
from tests.web import many, one, send
from tests.web import table as table_of

NOW = datetime(2024, 5, 1, 13, 45, tzinfo=UTC)
TEXT: dict[str, Any] = {"type": "string"}
TO_U: dict[str, Any] = {"$ref": "#/$defs/u"}
MANY_U: dict[str, Any] = {"type": "array", "items": TO_U}

# ---- helpers ----


def document(properties: Any = None, others: Any = None, **words: Any) -> Any:
    """A document with a table `t`, a table `u` with one text, and other definitions."""
    table = {"type": "object", "properties": {"a": TEXT} if properties is None else properties, **words}
    return {"$defs": {"t": table, "u": {"type": "object", "properties": {"n": TEXT}}, **(others or {})}}


def load_table(*arguments: Any, **words: Any) -> Table:
    """The table `t` of such a document."""
    return load_schema(document(*arguments, **words)).find("t")


def refusal(source: Any) -> tuple[str, str]:
    """Path and reason of the SchemaError that a document gives, by its loading or by its rules."""
    with pytest.raises(SchemaError) as caught:
        check_rules(load_schema(source))
    assert type(caught.value) is SchemaError
    return caught.value.path, caught.value.reason


@contextmanager
def opened(source: Any) -> Iterator[Store]:
    """A store in memory with the tables and examples of a document."""
    schema = source if isinstance(source, Schema) else load_schema(source)
    with closing(Store(schema, ":memory:", lambda: NOW)) as store:
        yield store


def whole(table: Table) -> Shape:
    """Everything that a table's records show: id, fields, and the ids of linked records."""
    pairs: list[tuple[str, Shape]] = [("id", Col(minirest.Path((), table.id)))]
    for name, member in table.members.items():
        if isinstance(member, Link):
            pairs.append((name, Sub(member, Col(minirest.Path((), member.target.id)), member.many)))
        elif not member.write_only:
            pairs.append((name, Col(minirest.Path((), member))))
    return Obj(tuple(dict(pairs).items()))


def records(store: Store, name: str, scope: Scope = minirest.ANY_STATE) -> list[Any]:
    """All records of a table, whole."""
    table = store.schema.find(name)
    return [json.loads(row.text) for row in store.run(Select(table, whole(table), scope=scope)).rows]


def create(store: Store, name: str, values: Mapping[str, Any], links: Mapping[str, list[Mapping[str, Any]]]) -> Any:
    """Create a record, with new linked records, and give it as it is read back."""
    table = store.schema.find(name)
    stored = {table.fields[word]: table.fields[word].parse_json(value) for word, value in values.items()}
    changes = {
        table.links[word]: Change("replace", tuple(map(item_of(table.links[word]), items)))
        for word, items in links.items()
    }
    (row,) = store.run(Create(table, stored, changes, whole(table))).rows
    assert json.loads(row.text) in records(store, name)
    return json.loads(row.text)


def item_of(link: Link) -> Any:
    """Turn plain values into a new linked record."""
    fields = link.target.fields
    return lambda values: Item(values={fields[word]: fields[word].parse_json(value) for word, value in values.items()})


def member_text(member: Field | Link) -> str:
    """A member in a few words: the kind of a field, the form and the target of a link."""
    required = " required" if member.required else ""
    if isinstance(member, Field):
        return member.kind.name + (f" of {member.items.name}" if member.items else "") + required
    if member.key:
        form = f"by {member.key.column}"
    elif member.back:
        form = f"back {member.back.name}"
    else:
        ends = ", ".join(end.column for end in (member.near, member.far) if end)
        form = f"through {member.through.name if member.through else None}({ends})"
        form += "" if member.forward else " backward"
    many, exclusive = "many" if member.many else "one", " exclusive" if member.exclusive else ""
    return f"{many} {member.target.name} {form}{exclusive}{required}"


def members(table: Table) -> dict[str, str]:
    """All members of a table, in a few words each."""
    return {name: member_text(member) for name, member in table.members.items()}


# ---- the documented example ----

CUSTOMERS: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Customers",
    "$defs": {
        "kunden": {
            "type": "object",
            "title": "Kunden",
            "properties": {
                "name": {"type": "string", "maxLength": 80},
                "plz": {"type": "string", "pattern": "^[0-9]{5}$"},
                "umsatz": {"type": "number", "minimum": 0},
                "aktiv": {"type": "boolean", "default": True},
                "seit": {"type": "string", "format": "date"},
                "boss": {"$ref": "#/$defs/personen"},
                "kontakte": {"type": "array", "items": {"$ref": "#/$defs/kontakte"}},
            },
            "required": ["name"],
            "x-archive": True,
            "x-validity": True,
            "examples": [{"name": "Meier", "umsatz": 12.5, "boss": 1, "kontakte": [1, 2]}],
        },
        "personen": {"type": "object", "properties": {"name": TEXT}, "examples": [{"name": "Chefin"}]},
        "kontakte": {"type": "object", "properties": {"name": TEXT}, "examples": [{"name": "Anna"}, {"name": "Bert"}]},
    },
}
SYSTEM_COLUMNS = "_version _created _modified _created_by _modified_by _owner _group _access _branch".split()


def test_documented_example_is_read() -> None:
    """The example of the documentation has these tables, members, labels and table words."""
    schema = load_schema(CUSTOMERS)
    kunden = schema.find("KUNDEN")
    assert (schema.title, list(schema.tables), schema.limbas_nulls) == (
        "Customers",
        ["kunden", "personen", "kontakte"],
        False,
    )
    assert members(kunden) == {
        "name": "text required",
        "plz": "text",
        "umsatz": "number",
        "aktiv": "boolean",
        "seit": "date",
        "boss": "one personen by boss_id",
        "kontakte": "many kontakte through kunden_kontakte(source_id, target_id)",
        "valid_from": "date",
        "valid_to": "date",
    }
    assert (kunden.title, kunden.label, kunden.archive, kunden.access) == ("Kunden", kunden.fields["name"], True, False)
    assert kunden.validity == (kunden.fields["valid_from"], kunden.fields["valid_to"])
    assert (kunden.sort, kunden.key, kunden.unique, kunden.indexes) == (None, None, [], [])


def test_documented_example_is_served() -> None:
    """Its examples are records whose links lead to the examples in those positions."""
    with opened(CUSTOMERS) as store:
        assert records(store, "kunden") == [
            {
                "id": 1,
                "name": "Meier",
                "plz": None,
                "umsatz": 12.5,
                "aktiv": True,
                "seit": None,
                "boss": 1,
                "kontakte": [1, 2],
                "valid_from": None,
                "valid_to": None,
            }
        ]
        assert records(store, "personen") == [{"id": 1, "name": "Chefin"}]
        assert records(store, "kontakte") == [{"id": 1, "name": "Anna"}, {"id": 2, "name": "Bert"}]


def test_columns_in_order() -> None:
    """A table's columns are: id, fields, keys of links, system columns; `_status` only with an archive."""
    tables = load_schema(CUSTOMERS).tables
    fields = ["name", "plz", "umsatz", "aktiv", "seit", "valid_from", "valid_to"]
    assert [column.column for column in tables["kunden"].columns] == [
        "id",
        *fields,
        "boss_id",
        *SYSTEM_COLUMNS,
        "_status",
    ]
    assert [column.column for column in tables["personen"].columns] == ["id", "name", *SYSTEM_COLUMNS]


def test_system_columns() -> None:
    """System columns have these kinds; those that hold ids lead to users and groups."""
    table = load_schema(CUSTOMERS).find("kunden")
    assert {
        name: (column.kind.name, column.target and column.target.name) for name, column in table.system.items()
    } == {
        "id": ("id", "kunden"),
        "_version": ("integer", None),
        "_created": ("moment", None),
        "_modified": ("moment", None),
        "_created_by": ("id", "_users"),
        "_modified_by": ("id", "_users"),
        "_owner": ("id", "_users"),
        "_group": ("id", "_groups"),
        "_access": ("list", None),
        "_branch": ("list", None),
        "_status": ("integer", None),
    }
    assert {name: member_text(link) for name, link in table.system_links.items()} == {
        "_created_by": "one _users by _created_by",
        "_modified_by": "one _users by _modified_by",
        "_owner": "one _users by _owner",
        "_group": "one _groups by _group",
    }
    assert {column.is_system for column in table.system.values()} == {True}
    assert {link.is_system for link in table.system_links.values()} == {True}
    assert {member.is_system for member in table.members.values()} == {False}


def test_system_tables() -> None:
    """The system tables and the junction stand beside the user's; only the user's are found by a request."""
    schema = load_schema(CUSTOMERS)
    assert set(schema.all_tables) - set(schema.tables) == {
        *("_users", "_groups", "_tokens", "_files", "_history"),
        "kunden_kontakte",
    }
    assert [table.name for table in schema.all_tables.values() if not table.tracked] == ["_history", "kunden_kontakte"]
    with pytest.raises(minirest.ApiError) as caught:
        schema.find("_users")
    assert (caught.value.code, str(caught.value)) == ("unknown_table", "Unknown table '_users'")
    with pytest.raises(minirest.ApiError) as caught:
        schema.find("kundne")
    assert str(caught.value) == "Unknown table 'kundne'; did you mean 'kunden'?"


# ---- kinds of fields ----

COLORS = {"enum": ["red", "green"]}
PLAIN_DEFINITIONS = {"color": COLORS, "short": {"type": "string", "maxLength": 3}, "maybe": {"$ref": "#/$defs/short"}}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        (TEXT, "text"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "string", "format": "date-time"}, "moment"),
        ({"type": "string", "format": "time"}, "time"),
        ({"type": "string", "format": "email"}, "email"),
        ({"type": "string", "format": "uri"}, "uri"),
        ({"type": "string", "format": "uuid"}, "uuid"),
        ({"type": "string", "format": "password"}, "password"),
        ({"type": "string", "format": "hostname"}, "text"),
        ({"type": "string", "format": "of-our-own"}, "text"),
        ({"type": "string", "format": "binary"}, "one _files by a_id"),
        ({"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"}, "one _files by a_id"),
        ({"type": "integer"}, "integer"),
        ({"type": "integer", "format": "int32"}, "integer"),
        ({"type": "integer", "format": "date"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "array", "items": TEXT}, "list of text"),
        ({"type": "array", "items": {"type": "number"}}, "list of number"),
        ({"type": "array", "items": {"type": "string", "format": "date"}}, "list of date"),
        ({"type": "array", "items": {"const": "a"}}, "list of text"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "list of text"),
        ({"type": "array", "items": COLORS}, "choices of text"),
        ({"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True}, "choices of integer"),
        ({"type": "array", "items": {"$ref": "#/$defs/color"}}, "choices of text"),
        ({"type": "array", "items": {"$ref": "#/$defs/maybe"}}, "list of text"),
        ({"type": "array"}, "json"),
        ({"type": "array", "items": True}, "json"),
        ({"type": "array", "items": {}}, "json"),
        ({"type": "array", "items": {"type": "object"}}, "json"),
        ({"type": "array", "items": {"type": "array", "items": TEXT}}, "json"),
        ({"type": "array", "items": {"type": ["string", "integer"]}}, "json"),
        ({"type": "array", "items": {"oneOf": [TO_U, TEXT]}}, "json"),
        ({"type": "array", "prefixItems": [TEXT], "items": TEXT}, "json"),
        ({"type": "object"}, "json"),
        ({"type": "object", "additionalProperties": TO_U}, "json"),
        ({}, "json"),
        (True, "json"),
        ({"type": ["string", "integer"]}, "json"),
        ({"anyOf": [TEXT, {"type": "integer"}]}, "json"),
        ({"anyOf": [TO_U, TEXT]}, "json"),
        (COLORS, "text"),
        ({"enum": [1, 2]}, "integer"),
        ({"enum": [1, 2.5]}, "number"),
        ({"enum": [True, False]}, "boolean"),
        ({"enum": ["a", None]}, "text"),
        ({"enum": ["a", 1]}, "json"),
        ({"enum": [[1], {}]}, "json"),
        ({"const": "a"}, "text"),
        ({"const": 5}, "integer"),
        ({"const": None}, "json"),
        ({"type": ["string", "null"]}, "text"),
        ({"type": ["null", "integer"]}, "integer"),
        ({"type": ["array", "null"], "items": TEXT}, "list of text"),
        ({"type": ["array", "null"], "items": TO_U}, "many u through t_a(source_id, target_id)"),
        ({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}, "date"),
        ({"oneOf": [{"type": "null"}, {"type": "integer"}], "title": "A"}, "integer"),
        ({"allOf": [{"type": "string", "format": "uri"}]}, "uri"),
        ({"allOf": [{"$ref": "#/$defs/color"}], "default": "red"}, "text"),
        ({"anyOf": [{"allOf": [{"$ref": "#/$defs/maybe"}]}, {"type": "null"}]}, "text"),
        ({"$ref": "#/$defs/color"}, "text"),
        ({"$ref": "#/$defs/maybe", "title": "A"}, "text"),
        (TO_U, "one u by a_id"),
        ({"allOf": [TO_U], "description": "of u"}, "one u by a_id"),
        ({"anyOf": [TO_U, {"type": "null"}], "default": None}, "one u by a_id"),
        ({"oneOf": [{"type": "null"}, TO_U]}, "one u by a_id"),
        (MANY_U, "many u through t_a(source_id, target_id)"),
        ({"type": "array", "items": {"allOf": [TO_U]}}, "many u through t_a(source_id, target_id)"),
        ({"anyOf": [MANY_U, {"type": "null"}]}, "many u through t_a(source_id, target_id)"),
    ],
)
def test_kind_of_a_field(schema: Any, text: str) -> None:
    """Each form of a property gives this kind of field or form of link; `required` is read beside it."""
    assert members(load_table({"a": schema}, PLAIN_DEFINITIONS)) == {"a": text}
    assert members(load_table({"a": schema}, PLAIN_DEFINITIONS, required=["a"])) == {"a": f"{text} required"}


@pytest.mark.parametrize(
    ("schema", "choices"),
    [
        (COLORS, ["red", "green"]),
        ({"const": 5}, [5]),
        ({"type": "array", "items": COLORS}, ["red", "green"]),
        ({"type": "array", "items": {"$ref": "#/$defs/color"}}, ["red", "green"]),
        ({"$ref": "#/$defs/color"}, ["red", "green"]),
        (TEXT, []),
        ({"type": "array", "items": TEXT}, []),
    ],
)
def test_choices_of_a_field(schema: Any, choices: list[Any]) -> None:
    """The choices of a select or a multi-select stand in the order of the schema file."""
    assert list(load_table({"a": schema}, PLAIN_DEFINITIONS).fields["a"].choices) == choices


def test_words_of_a_field() -> None:
    """Titles, flags, unique rules and indexes of fields are read; passwords are never shown."""
    words = {"title": "A!", "readOnly": True, "x-unique": True, "x-index": True}
    table = load_table({"a": {**TEXT, **words}, "b": {**TEXT, "writeOnly": True}, "c": {**TEXT, "format": "password"}})
    a, b, c = table.fields.values()
    assert [(field.title, field.read_only, field.write_only) for field in (a, b, c)] == [
        ("A!", True, False),
        ("b", False, True),
        ("c", False, True),
    ]
    assert (table.unique, table.indexes, table.label) == ([(a,)], [(a,)], a)


def test_id_fields() -> None:
    """An integer `id` is the record's own; a string `id` is the required, unique key of its table."""
    own = load_table({"id": {"type": "integer"}, "a": TEXT}, required=["id", "a"])
    assert (own.shows_id, own.key, list(own.members)) == (True, None, ["a"])
    named = load_table({"ID": {"type": "string", "format": "uuid"}})
    key = named.fields["id"]
    assert (named.shows_id, named.key, named.unique) == (False, key, [(key,)])
    assert (member_text(key), key.column != "id") == ("uuid required", True)


def test_record_with_string_id() -> None:
    """A record of a table with a string `id` needs it, also when the schema does not say so."""
    with opened(document({"id": TEXT, "a": TEXT})) as store:
        table = store.schema.find("t")
        with pytest.raises(minirest.ApiError) as caught:
            create(store, "t", {"a": "x"}, {})
        assert [(found.path, found.rule) for found in caught.value.violations] == [(("id",), "required")]
        store.run(Create(table, {table.fields["id"]: "k"}, {}, whole(table)))
        assert records(store, "t") == [{"id": "k", "a": None}]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "items": {"type": ["string", "null"]}}, ["a", None]),
        ({"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "null"}]}}, [None, 3]),
        ({"type": "array", "items": {"type": "string", "format": "time"}}, ["12:00:00"]),
        ({"type": "array", "items": {"type": "string", "format": "date-time"}}, ["2024-05-01T13:45:00.000Z"]),
        ({"type": "string", "format": "time"}, "12:00:00"),
        ({"enum": ["a", None]}, "a"),
        ({"$ref": "#/$defs/maybe"}, "abc"),
        ({"type": "object", "additionalProperties": {"$ref": "#/$defs/short"}}, {"x": "abc"}),
        ({"type": ["string", "integer"]}, 5),
        ({"type": "string", "default": "d"}, "x"),
    ],
)
def test_valid_value_is_taken(schema: Any, value: Any) -> None:
    """A value that the schema allows is stored and read back, and null in its place too."""
    with opened(document({"a": schema}, PLAIN_DEFINITIONS)) as store:
        assert create(store, "t", {"a": value}, {}) == {"id": 1, "a": value}
        assert create(store, "t", {"a": None}, {}) == {"id": 2, "a": None}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates().map(str) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)
UNJUDGED = [
    {"type": "string", "title": "A", "description": "", "examples": ["x"], "default": "d", "x-index": True},
    {"type": ["string", "null"], "readOnly": False, "writeOnly": True, "deprecated": True, "$comment": ""},
    {"type": "integer"},
    {"type": "number"},
    {"type": "boolean"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "date-time"},
]


@pytest.mark.parametrize("schema", UNJUDGED)
@given(value=JSON_VALUES)
@settings(max_examples=100)
def test_validator_is_not_asked_where_kinds_tell_all(schema: Any, value: Any) -> None:
    """Where a table goes without the validator, it would find nothing wrong with any value that could be read."""
    table = load_table({"a": schema, "b": schema}, required=["a"])
    column = table.fields["a"]
    assert (table.is_judged, table.needed) == (False, (column,))
    try:
        stored = column.parse_json(value)
    except minirest.BadValue:
        return
    record = table.shown({column: stored})
    assert table.validator.is_valid(record) == (stored is not None)


@pytest.mark.parametrize(
    "words",
    [
        {"maxLength": 5},
        {"format": "email"},
        {"format": "uuid"},
        {"format": "ipv4"},
        {"format": "time"},
        {"format": "password"},
        {"enum": ["a"]},
        {"const": "a"},
        {"pattern": "a"},
        {"not": {"const": "a"}},
        {"allOf": [{"minLength": 1}]},
        {"$ref": "#/$defs/short"},
        {"type": "integer", "multipleOf": 2},
        {"type": "integer", "minimum": 0},
        {"type": "number", "exclusiveMaximum": 5},
        {"type": "array", "items": {"type": "integer"}},
        {"type": "object"},
        {"type": ["string", "integer"]},
    ],
)
def test_validator_is_asked_where_words_say_more(words: Any) -> None:
    """Every word that a value can break makes the validator look."""
    assert load_table({"a": {"type": "string", **words}}, PLAIN_DEFINITIONS).is_judged


def test_validator_is_asked_for_rules_of_records_and_lists_of_links() -> None:
    """Rules between fields, and how many records a link needs, are the validator's."""
    link = {"type": "array", "items": {"$ref": "#/$defs/o"}}
    others = {"o": {"type": "object"}}
    assert load_table({"a": TEXT}, minProperties=1).is_judged
    assert load_table({"a": TEXT, "many": link}, others, required=["many"]).is_judged
    assert load_table({"a": TEXT, "many": {**link, "maxItems": 2}}, others).is_judged
    table = load_table({"a": TEXT, "many": link, "one": {"$ref": "#/$defs/o"}}, others, required=["one"])
    assert (table.is_judged, table.needed) == (False, (table.links["one"].key,))


def test_default_fills_an_absent_field() -> None:
    """A default stands for an absent field, not for null."""
    properties = {"a": {"type": "integer", "default": 5}, "b": {"type": "array", "items": TEXT, "default": ["x"]}}
    with opened(document(properties)) as store:
        assert create(store, "t", {}, {}) == {"id": 1, "a": 5, "b": ["x"]}
        assert create(store, "t", {"a": None}, {}) == {"id": 2, "a": None, "b": ["x"]}


# ---- documents ----


@pytest.mark.parametrize(
    ("source", "tables"),
    [
        ({"$defs": {"a": {"type": "object"}, "b": {"type": "string"}, "c": {}}}, ["a"]),
        ({"$defs": {"a": {"type": ["object", "null"]}}}, ["a"]),
        ({"$defs": {"b": {"type": "object"}}, "title": "a", "type": "object", "properties": {"x": TEXT}}, ["b", "a"]),
        ({"title": "a", "type": "object"}, ["a"]),
        ({"$defs": {"a": {"type": "object"}}, "$ref": "#/$defs/a"}, ["a"]),
        ({"$defs": {"a": {"type": "object"}}, "type": "array", "items": {"$ref": "#/$defs/a"}}, ["a"]),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"type": "object"}}}, ["a", "b"]),
        ({"openapi": "3.1.0", "components": {"schemas": {"a": {"type": "object"}, "b": TEXT}}, "paths": {}}, ["a"]),
        ({"openapi": "3.1.0", "x-ours": 1, "components": {"schemas": {"a": {"type": "object"}}, "x": {}}}, ["a"]),
    ],
)
def test_tables_of_a_document(source: Any, tables: list[str]) -> None:
    """Tables are the object schemas of `$defs` or `components.schemas`, and a root of type object."""
    assert list(load_schema(source).tables) == tables


def test_openapi_form() -> None:
    """In an OpenAPI file references and paths begin with #/components/schemas."""
    target = {"$ref": "#/components/schemas/b"}
    schemas: dict[str, Any] = {
        "a": {"type": "object", "properties": {"l": target, "c": {"$ref": "#/components/schemas/c"}}}
    }
    schemas |= {"b": {"type": "object"}, "c": {"type": "integer"}}
    source: dict[str, Any] = {"openapi": "3.1.0", "components": {"schemas": schemas}}
    assert members(load_schema(source).find("a")) == {"l": "one b by l_id", "c": "integer"}
    schemas["a"]["properties"]["d"] = {"type": "string", "x-foo": 1}
    assert refusal(source)[0] == "#/components/schemas/a/properties/d/x-foo"


def test_root_that_refers_to_itself() -> None:
    """A root table is reached as `#`; its own words are read, and `x-limbas-nulls` beside them."""
    properties: dict[str, Any] = {
        "a": TEXT,
        "up": {"$ref": "#"},
        "downs": {"type": "array", "items": {"$ref": "#"}, "x-inverse": "up"},
    }
    source = {"title": "node", "type": "object", "properties": properties, "x-archive": True, "x-limbas-nulls": True}
    schema = load_schema(source)
    assert members(schema.find("node")) == {"a": "text", "up": "one node by up_id", "downs": "many node back up"}
    assert (schema.find("node").archive, schema.limbas_nulls) == (True, True)


@pytest.mark.parametrize("form", ["$defs", "openapi"])
@pytest.mark.parametrize("value", [True, False])
def test_limbas_nulls(form: str, value: bool) -> None:
    """`x-limbas-nulls` at the top of either form of file is read."""
    tables = {"t": {"type": "object"}}
    parts: dict[str, Any] = {
        "$defs": {"$defs": tables},
        "openapi": {"openapi": "3.1.0", "components": {"schemas": tables}},
    }
    assert load_schema({**parts[form], "x-limbas-nulls": value}).limbas_nulls is value


def test_all_of_is_merged() -> None:
    """The parts of a table's `allOf` give it their properties, required fields, rules and words."""
    base = {"type": "object", "properties": {"a": TEXT, "b": {"type": "integer"}}, "required": ["a"]}
    parts: list[Any] = [{"$ref": "#/$defs/base"}, {"properties": {"c": TO_U}, "required": ["c"], "x-archive": True}]
    rule = {"if": {"required": ["b"]}, "then": {"required": ["d"]}}
    whole_table: dict[str, Any] = {
        "allOf": [*parts, rule],
        "properties": {"d": TEXT},
        "required": ["d"],
        "x-label": "d",
    }
    table = load_schema(document({}, {"base": base, "x": whole_table})).find("x")
    assert members(table) == {"a": "text required", "b": "integer", "c": "one u by c_id required", "d": "text required"}
    assert (table.archive, table.label) == (True, table.fields["d"])


def test_rules_of_a_table_are_enforced() -> None:
    """`if`, `then`, `dependentRequired` and rules left in `allOf` hold for whole records."""
    rule = {"if": {"properties": {"a": {"const": "x"}}, "required": ["a"]}, "then": {"required": ["b"]}}
    words = {"allOf": [rule], "dependentRequired": {"c": ["a"]}, "minProperties": 1}
    with opened(document({"a": TEXT, "b": TEXT, "c": TEXT}, **words)) as store:
        for values, rules in [({"a": "x"}, ["required"]), ({"c": "x"}, ["required"]), ({}, ["schema"])]:
            with pytest.raises(minirest.ApiError) as caught:
                create(store, "t", values, {})
            assert [found.rule for found in caught.value.violations] == rules
        assert create(store, "t", {"a": "x", "b": "y", "c": "z"}, {}) == {"id": 1, "a": "x", "b": "y", "c": "z"}


def test_annotations_are_accepted_everywhere() -> None:
    """Annotations may stand at the top, in tables, fields, parts of fields and definitions."""
    notes: dict[str, Any] = {
        "$comment": "c",
        "title": "T",
        "description": "d",
        "deprecated": True,
        "example": 1,
        "externalDocs": {},
    }
    notes |= {"xml": {}, "discriminator": {"propertyName": "a"}, "examples": []}
    field: dict[str, Any] = {**TEXT, **notes, "examples": ["x"], "$anchor": "here"}
    source: dict[str, Any] = document(
        {"a": field, "b": {"type": "array", "items": field}}, {"p": {**TEXT, **notes}}, **notes
    )
    source |= {**notes, "$id": "https://example.org/s.json", "$schema": "https://json-schema.org/draft/2020-12/schema"}
    assert members(load_schema(source).find("t")) == {"a": "text", "b": "list of text"}


def test_fields_named_like_keywords() -> None:
    """Fields may be called like keywords of JSON Schema, of SQL and of SQLite, and are served."""
    names = (
        "items",
        "properties",
        "required",
        "type",
        "enum",
        "allOf",
        "not",
        "select",
        "rowid",
        "oid",
        "order",
        "t",
        "key",
    )
    with opened(document(dict.fromkeys(names, TEXT))) as store:
        assert members(store.schema.find("t")) == dict.fromkeys(names, "text")
        assert create(store, "t", dict.fromkeys(names, "x"), {}) == {"id": 1, **dict.fromkeys(names, "x")}


def test_json_value_with_fields_named_like_keywords() -> None:
    """Inside a JSON value, properties may be called like keywords too: what they hold is read as schemas."""
    inner = {"items": TEXT, "properties": {"type": "object", "properties": {"$ref": TEXT, "x-archive": TEXT}}}
    source = document({"a": {"type": "object", "properties": inner}})
    assert members(load_schema(source).find("t")) == {"a": "json"}
    source["$defs"]["t"]["properties"]["a"]["properties"]["properties"]["properties"]["$ref"] = {"x-foo": 1}
    path = "#/$defs/t/properties/a/properties/properties/properties/$ref/x-foo"
    assert refusal(source) == (path, "unknown x-word 'x-foo' here")


# ---- links ----

LINKED = {
    "$defs": {
        "users": {
            "type": "object",
            "properties": {
                "name": TEXT,
                "posts": {"type": "array", "items": {"$ref": "#/$defs/posts"}, "x-inverse": "author"},
                "profile": {"$ref": "#/$defs/profiles", "x-inverse": "user"},
                "followed": {
                    "type": "array",
                    "items": {"$ref": "#/$defs/users"},
                    "x-through": {"table": "follows", "source": "follower", "target": "followed"},
                },
                "followers": {"type": "array", "items": {"$ref": "#/$defs/users"}, "x-inverse": "followed"},
            },
        },
        "profiles": {"type": "object", "properties": {"user": {"$ref": "#/$defs/users", "x-delete": "cascade"}}},
        "follows": {
            "type": "object",
            "properties": {"follower": {"$ref": "#/$defs/users"}, "followed": {"$ref": "#/$defs/users"}, "since": TEXT},
        },
        "posts": {
            "type": "object",
            "properties": {
                "author": {"$ref": "#/$defs/users", "x-column": "authorId"},
                "editor": {"$ref": "#/$defs/users", "x-delete": "restrict", "readOnly": True},
                "parent": {"$ref": "#/$defs/posts"},
                "replies": {"type": "array", "items": {"$ref": "#/$defs/posts"}, "x-inverse": "parent", "minItems": 0},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tags"}, "x-through": "postsTags"},
                "related": {"type": "array", "items": {"$ref": "#/$defs/posts"}},
                "lead": {"$ref": "#/$defs/users", "x-unique": True},
                "cover": {"type": "string", "format": "binary"},
            },
            "required": ["author"],
        },
        "tags": {
            "type": "object",
            "properties": {"posts": {"type": "array", "items": {"$ref": "#/$defs/posts"}, "x-inverse": "tags"}},
        },
        "postsTags": {
            "type": "object",
            "properties": {
                "post": {"$ref": "#/$defs/posts"},
                "tag": {"$ref": "#/$defs/tags"},
                "weight": {"type": "integer"},
            },
        },
    }
}


def test_every_form_of_link() -> None:
    """Own links, their other sides, junctions of ours and of the schema's, and their other sides."""
    schema = load_schema(LINKED)
    assert {name: members(table) for name, table in schema.tables.items()} == {
        "users": {
            "name": "text",
            "posts": "many posts back author",
            "profile": "one profiles back user",
            "followed": "many users through follows(follower_id, followed_id)",
            "followers": "many users through follows(followed_id, follower_id) backward",
        },
        "profiles": {"user": "one users by user_id exclusive"},
        "follows": {"follower": "one users by follower_id", "followed": "one users by followed_id", "since": "text"},
        "posts": {
            "author": "one users by authorId required",
            "editor": "one users by editor_id",
            "parent": "one posts by parent_id",
            "replies": "many posts back parent",
            "tags": "many tags through postsTags(post_id, tag_id)",
            "related": "many posts through posts_related(source_id, target_id)",
            "lead": "one users by lead_id",
            "cover": "one _files by cover_id",
        },
        "tags": {"posts": "many posts through postsTags(tag_id, post_id) backward"},
        "poststags": {"post": "one posts by post_id", "tag": "one tags by tag_id", "weight": "integer"},
    }


def test_links_on_delete() -> None:
    """A link clears, but restricts when required; rows of junctions go with either side."""
    schema = load_schema(LINKED)
    own = {
        f"{table.name}.{link.name}": link.on_delete
        for table in (*schema.tables.values(), schema.all_tables["posts_related"])
        for link in table.links.values()
        if link.key
    }
    assert own == {
        "profiles.user": "cascade",
        "follows.follower": "cascade",
        "follows.followed": "cascade",
        "posts.author": "restrict",
        "posts.editor": "restrict",
        "posts.parent": "clear",
        "posts.lead": "clear",
        "posts.cover": "clear",
        "postsTags.post": "cascade",
        "postsTags.tag": "cascade",
        "posts_related.source": "cascade",
        "posts_related.target": "cascade",
    }


def test_links_are_unique_where_they_must_be() -> None:
    """The pair of a junction is unique, and the key of a link that belongs to one record only."""
    schema = load_schema(LINKED)
    unique = {
        table.name: [tuple(column.column for column in rule) for rule in table.unique]
        for table in schema.all_tables.values()
    }
    assert {name: rules for name, rules in unique.items() if rules and not name.startswith("_")} == {
        "profiles": [("user_id",)],
        "follows": [("follower_id", "followed_id")],
        "posts": [("lead_id",)],
        "postsTags": [("post_id", "tag_id")],
        "posts_related": [("source_id", "target_id")],
    }


def test_faces_and_incoming_links() -> None:
    """Each link knows the links that show the same connections, from either side; a table knows who points to it."""
    schema = load_schema(LINKED)
    opposites = {
        f"{table.name}.{link.name}": sorted(other.name for other in link.faces - {link})
        for table in schema.tables.values()
        for link in table.links.values()
    }
    assert {name: found for name, found in opposites.items() if found} == {
        "users.posts": ["author"],
        "users.profile": ["user"],
        "users.followed": ["followers"],
        "users.followers": ["followed"],
        "profiles.user": ["profile"],
        "posts.author": ["posts"],
        "posts.parent": ["replies"],
        "posts.replies": ["parent"],
        "posts.tags": ["posts"],
        "tags.posts": ["tags"],
    }
    incoming = [f"{link.source.name}.{link.name}" for link in schema.find("tags").incoming]
    assert incoming == ["postsTags.tag"]
    assert schema.find("posts").links["editor"].read_only


def test_key_columns() -> None:
    """A key is named by its link and `_id`, or by `x-column`, and may be as long as it needs to be."""
    long = "l" * 63
    table = load_table({"l": TO_U, "m": {**TO_U, "x-column": "mId"}, long: TO_U})
    assert [(key.name, key.column, key.kind.name) for key in table.keys] == [
        ("l_id", "l_id", "id"),
        ("mId", "mId", "id"),
        (f"{long}_id", f"{long}_id", "id"),
    ]


# ---- names ----

RESERVED = "api auth api_tokens browse dependent docs endpoints health login logout me resources v1 v2".split()


@pytest.mark.parametrize(
    "name", ["b", "Z9_", "x" * 63, "users", "sessions", "sqlite", "index_t_a", "t_a", "table", "Order"]
)
def test_name_is_allowed(name: str) -> None:
    """Any name of letters, digits and _ serves a table, a field and a link, SQL keywords too."""
    field = {"type": "integer", "x-index": True}
    source = document(
        {name: field, "a": {**TEXT, "x-index": True}},
        {name: {"type": "object", "properties": {name: {"$ref": f"#/$defs/{name}"}}}},
    )
    with opened(source) as store:
        assert create(store, "t", {name: 7}, {}) == {"id": 1, name: 7, "a": None}
        assert create(store, name.upper(), {}, {}) == {"id": 1, name: None}


@pytest.mark.parametrize("name", ["", "1a", "_a", "a-b", "a b", "a.b", "ä", "aä", "a\n", "x" * 64, "a$", 'a"'])
def test_name_is_not_allowed(name: str) -> None:
    """Any other name is refused, for tables, fields and columns, at its place."""
    rule = "a letter, then letters, digits and _, at most 63"
    assert refusal({"$defs": {name: {"type": "object"}}}) == (
        f"#/$defs/{name}",
        f"the table name {name!r} is not allowed: {rule}",
    )
    path = "#/$defs/t/properties"
    assert refusal(document({name: TEXT})) == (f"{path}/{name}", f"the field name {name!r} is not allowed: {rule}")
    column = refusal(document({"l": {**TO_U, "x-column": name}}))
    assert column == (f"{path}/l/x-column", f"the column name {name!r} is not allowed: {rule}")


@pytest.mark.parametrize("name", [*RESERVED, *map(str.upper, RESERVED), "sqlite_t", "SQLite_T"])
def test_table_name_is_reserved(name: str) -> None:
    """Words of the dialects' addresses, and what SQLite keeps for itself, are no tables, in any case."""
    assert refusal({"$defs": {name: {"type": "object"}}}) == (
        f"#/$defs/{name}",
        f"the table name {name!r} is reserved; choose another",
    )


@pytest.mark.parametrize("name", ["snapshot_id", "resource_uri", "Snapshot_ID"])
def test_field_name_is_reserved(name: str) -> None:
    """Names of system columns that no field can win against are refused, for fields and links."""
    expected = (f"#/$defs/t/properties/{name}", f"the field name {name!r} is reserved; choose another")
    assert [refusal(document({name: schema})) for schema in (TEXT, TO_U, MANY_U)] == [expected] * 3


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"$defs": {"t": {"type": "object"}, "T": {"type": "object"}}}, "#/$defs/T"),
        ({"$defs": {"t": {"type": "object"}}, "title": "T", "type": "object"}, "#"),
        (document({"a": TEXT, "A": TEXT}), "#/$defs/t/properties/A"),
        (document({"a": TEXT, "A": MANY_U}), "#/$defs/t/properties/A"),
        (document({"l_id": TEXT, "l": TO_U}), "#/$defs/t"),
        (document({"L_ID": TEXT, "l": TO_U}), "#/$defs/t"),
        (document({"l": TO_U, "m": {**TO_U, "x-column": "l_id"}}), "#/$defs/t"),
        (document({"l": {**TO_U, "x-column": "id"}}), "#/$defs/t"),
        (document({"a": MANY_U}, {"t_A": {"type": "object"}}), "#/$defs/t/properties/a"),
        (document({"Sort": TEXT}, **{"x-sort": True}), "#/$defs/t/properties/sort"),
        (document({"VALID_TO": TEXT}, **{"x-validity": True}), "#/$defs/t/properties/valid_to"),
    ],
)
def test_two_things_of_one_name(source: Any, path: str) -> None:
    """Names are compared without case: two tables, fields, columns or a junction of one name are refused."""
    assert refusal(source)[0] == path


# ---- what is not known ----


def places(inner: Any) -> dict[str, Any]:
    """The same schema at each place of a document where a schema may stand, by its path."""
    fields = {
        "items": {"type": "array", "items": inner},
        "contains": {"type": "array", "contains": inner},
        **{
            word: {"type": "object", word: inner}
            for word in ("propertyNames", "additionalProperties", "unevaluatedProperties")
        },
        "unevaluatedItems": {"type": "array", "unevaluatedItems": inner},
        **{word: {word: inner} for word in ("not", "if", "then", "else")},
        **{f"{word}/1": {word: [{}, inner, {}]} for word in ("anyOf", "oneOf", "allOf", "prefixItems")},
        **{
            f"{word}/x": {"type": "object", word: {"x": inner}}
            for word in ("properties", "patternProperties", "dependentSchemas")
        },
        "properties/x/items/anyOf/0": {"properties": {"x": {"items": {"anyOf": [inner, {}]}}}},
    }
    found = {f"#/$defs/t/properties/a/{path}": document({"a": field}) for path, field in fields.items()}
    found["#/$defs/t/properties/a"] = document({"a": inner})
    found["#/$defs/t"] = document(**inner)
    found["#/$defs/t/allOf/0"] = document(allOf=[inner])
    found["#/$defs/t/if"] = document(**{"if": inner})
    found["#/$defs/p"] = document({}, {"p": {"type": "string", **inner}})
    found["#"] = {**document(), **inner}
    found["#/properties/a"] = {**document(), "title": "r", "type": "object", "properties": {"a": inner}}
    found["#/components/schemas/p"] = {
        "openapi": "3.1.0",
        "components": {"schemas": {"t": {"type": "object"}, "p": {**TEXT, **inner}}},
    }
    return found


@pytest.mark.parametrize("word", ["x-foo", "foo", "X-Archive", "definitions", "nullable"])
@pytest.mark.parametrize("path", sorted(places({})))
def test_unknown_word_is_refused_anywhere(path: str, word: str) -> None:
    """A word that is not known is refused with its path, at whatever depth it stands."""
    kind = "x-word" if word.startswith("x-") else "keyword"
    found, reason = refusal(places({word: {}})[path])
    assert found == f"{path}/{word}"
    assert reason.startswith(f"unknown {kind} {word!r} here")


@pytest.mark.parametrize("path", sorted(set(places({})) - {"#"}))
def test_definitions_stand_at_the_top_only(path: str) -> None:
    """`$defs` elsewhere would be read by nobody, so it is refused."""
    assert refusal(places({"$defs": {"x": {}}})[path])[0] == f"{path}/$defs"


@pytest.mark.parametrize("path", sorted(set(places({})) - {"#/$defs/t/properties/a", "#/properties/a"}))
@pytest.mark.parametrize("word", sorted(minirest.FIELD_WORDS - minirest.TABLE_WORDS))
def test_words_of_fields_stand_at_fields_only(path: str, word: str) -> None:
    """A word for links and fields is refused where it would be ignored."""
    assert refusal(places({word: True})[path])[0] == f"{path}/{word}"


@pytest.mark.parametrize("path", sorted(set(places({})) - {"#/$defs/t", "#/$defs/t/allOf/0"}))
@pytest.mark.parametrize("word", sorted(minirest.TABLE_WORDS - minirest.FIELD_WORDS))
def test_words_of_tables_stand_at_tables_only(path: str, word: str) -> None:
    """A word for tables is refused where it would be ignored."""
    assert refusal(places({word: True})[path])[0] == f"{path}/{word}"


def test_word_of_the_top_stands_at_the_top_only() -> None:
    """`x-limbas-nulls` is refused in a table, and a likely name is suggested for a typo."""
    assert refusal(document(**{"x-limbas-nulls": True}))[0] == "#/$defs/t/x-limbas-nulls"
    assert refusal(document(**{"x-archiv": True})) == (
        "#/$defs/t/x-archiv",
        "unknown x-word 'x-archiv' here; did you mean 'x-archive'?",
    )
    assert not refusal(document(**{"$defs": {}}))[1].endswith("did you mean '$defs'?")


# ---- what is wrong ----

T = "#/$defs/t"
A = "#/$defs/t/properties/a"
THROUGH = {"j": {"type": "object", "properties": {"t": {"$ref": T}, "u": TO_U, "v": TEXT}}}
PAIR = {"j": {"type": "object", "properties": {"x": {"$ref": T}, "y": {"$ref": T}}}}
BACK = {
    "b": {
        "type": "object",
        "properties": {
            "t": {"$ref": T},
            "o": TO_U,
            "ts": {"type": "array", "items": {"$ref": T}},
            "k": TEXT,
            "free": TEXT,
            "secret": {**TEXT, "writeOnly": True},
        },
        "required": ["k", "secret"],
    }
}
TO_B: dict[str, Any] = {"$ref": "#/$defs/b"}
MANY_B: dict[str, Any] = {"type": "array", "items": TO_B}
MANY_T: dict[str, Any] = {"type": "array", "items": {"$ref": T}}


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ([], "#"),
        (None, "#"),
        ("text", "#"),
        ({}, "#"),
        ({"$defs": []}, "#/$defs"),
        ({"$defs": {}}, "#"),
        ({"$defs": {"a": TEXT}}, "#"),
        ({"type": "object", "properties": {}}, "#"),
        ({"type": "object", "title": "two words"}, "#"),
        ({"title": 5, **document()}, "#/title"),
        ({"x-limbas-nulls": 1, **document()}, "#/x-limbas-nulls"),
        ({"openapi": "3.1.0"}, "#"),
        ({"openapi": "3.1.0", "components": None}, "#/components"),
        ({"openapi": "3.1.0", "components": {"schemas": []}}, "#/components/schemas"),
        ({"openapi": "3.1.0", "components": {"schemas": {"a b": {"type": "object"}}}}, "#/components/schemas/a b"),
    ],
)
def test_wrong_document(source: Any, path: str) -> None:
    """What holds no table, or is no schema document, is refused at its place."""
    assert refusal(source)[0] == path


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"properties": []}, "properties"),
        ({"properties": {"a": 5}}, "properties/a"),
        ({"properties": {"a": None}}, "properties/a"),
        ({"properties": {"a": False}}, "properties/a"),
        ({"required": 5}, "required"),
        ({"required": "a"}, "required"),
        ({"required": ["b"]}, "required"),
        ({"allOf": 5}, "allOf"),
        ({"allOf": [5]}, "allOf/0"),
        ({"if": 5}, "if"),
        ({"dependentRequired": {"a": 5}}, "dependentRequired/a"),
        ({"examples": 5}, "examples"),
        ({"examples": {"a": 1}}, "examples"),
        ({"x-archive": 1}, "x-archive"),
        ({"x-archive": None}, "x-archive"),
        ({"x-access": "yes"}, "x-access"),
        ({"x-validity": 1}, "x-validity"),
        ({"x-validity": {"from": "d"}}, "x-validity"),
        ({"x-validity": {"from": "d", "to": "a"}}, "x-validity/to"),
        ({"x-validity": {"from": "missing", "to": "d"}}, "x-validity/from"),
        ({"x-validity": {"from": [], "to": "d"}}, "x-validity/from"),
        ({"x-sort": 1}, "x-sort"),
        ({"x-sort": "n"}, "x-sort"),
        ({"x-sort": {"field": []}}, "x-sort"),
        ({"x-sort": {"fields": "n"}}, "x-sort"),
        ({"x-sort": {"field": "a"}}, "properties/a"),
        ({"x-sort": {"field": "a b"}}, "properties/a b"),
        ({"x-sort": {"field": "resource_uri"}}, "properties/resource_uri"),
        ({"x-sort": {"field": "n", "scope": "missing"}}, "x-sort/scope"),
        ({"x-sort": {"scope": "us"}}, "x-sort/scope"),
        ({"x-label": "missing"}, "x-label"),
        ({"x-label": "l"}, "x-label"),
        ({"x-label": 5}, "x-label"),
        ({"x-label": "w"}, "x-label"),
        ({"x-label": {"label": "missing"}}, "x-label"),
        ({"x-label": {"label": "a", "description": "missing"}}, "x-label/description"),
        ({"x-label": {"label": "a", "description": "w"}}, "x-label/description"),
        ({"x-label": {"text": "a"}}, "x-label"),
        ({"x-key": "missing"}, "x-key"),
        ({"x-key": "a"}, "x-key"),
        ({"x-key": "l", "required": ["l"]}, "x-key"),
        ({"x-key": "w", "required": ["w"]}, "x-key"),
        ({"x-key": ["a"]}, "x-key"),
        ({"x-unique": True}, "x-unique"),
        ({"x-unique": ["a"]}, "x-unique/0"),
        ({"x-unique": [["a"], []]}, "x-unique/1"),
        ({"x-unique": [["a", "missing"]]}, "x-unique/0"),
        ({"x-unique": [["us"]]}, "x-unique/0"),
        ({"x-unique": [[[]]]}, "x-unique/0"),
        ({"x-index": "a"}, "x-index"),
        ({"x-index": [["missing"]]}, "x-index/0"),
        ({"x-alias": []}, "x-alias"),
        ({"x-alias": {"qore": []}}, "x-alias/qore"),
        ({"x-alias": {"qore": {"b": "missing"}}}, "x-alias/qore/b"),
        ({"x-alias": {"qore": {"b": []}}}, "x-alias/qore/b"),
        ({"x-columns": "a"}, "x-columns"),
        ({"x-columns": 5}, "x-columns"),
        ({"x-columns": ["a", "missing"]}, "x-columns/1"),
        ({"x-columns": [[]]}, "x-columns/0"),
        ({"x-options": []}, "x-options"),
        ({"x-options": {"missing": {}}}, "x-options/missing"),
        ({"x-options": {"a": {}}}, "x-options/a"),
        ({"x-options": {"l": 5}}, "x-options/l"),
        ({"x-options": {"l": {"on": "n"}}}, "x-options/l"),
        ({"x-options": {"l": {"depends": "n"}}}, "x-options/l/depends"),
        ({"x-options": {"l": {"depends": "missing"}}}, "x-options/l/depends"),
        ({"x-options": {"l": {"group": []}}}, "x-options/l/group"),
        ({"x-tabs": []}, "x-tabs"),
        ({"x-tabs": {"All": 5}}, "x-tabs/All"),
        ({"x-tabs": {"Mine": {"owner": "$me"}, "Bad": {"missing": 1}}}, "x-tabs/Bad"),
        ({"x-tabs": {"Bad": {"a": {"$near": 1}}}}, "x-tabs/Bad"),
        ({"x-tabs": {"Bad": {"n": {"$gt": "x"}}}}, "x-tabs/Bad"),
        ({"x-tabs": {"Bad": {"w": "secret"}}}, "x-tabs/Bad"),
    ],
)
def test_wrong_word_of_a_table(words: Mapping[str, Any], path: str) -> None:
    """A word of a table with a wrong value is refused at its place."""
    fields = {"a": TEXT, "n": {"type": "integer"}, "d": {**TEXT, "format": "date"}, "w": {**TEXT, "writeOnly": True}}
    properties = {**fields, "l": TO_U, "us": MANY_U}
    assert refusal(document(**{"properties": properties, **words}))[0] == f"{T}/{path}"


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "strin"}, "/type"),
        ({"type": 5}, "/type"),
        ({"type": ["string", 5]}, "/type"),
        ({"type": "string", "minLength": "x"}, "/minLength"),
        ({"type": "string", "minLength": -1}, "/minLength"),
        ({"type": "string", "pattern": "("}, "/pattern"),
        ({"type": "integer", "minimum": "x"}, "/minimum"),
        ({"type": "number", "multipleOf": 0}, "/multipleOf"),
        ({"enum": 5}, "/enum"),
        ({"type": "string", "readOnly": "yes"}, "/readOnly"),
        ({"type": "array", "items": [TEXT]}, "/items"),
        ({"type": "array", "items": {"type": "x"}}, "/items/type"),
        ({"type": "object", "properties": {"b": {"minimum": "x"}}}, "/properties/b/minimum"),
        ({"type": "object", "properties": []}, "/properties"),
        ({"anyOf": 5}, "/anyOf"),
        ({"anyOf": []}, "/anyOf"),
        ({"anyOf": [5]}, "/anyOf/0"),
        ({"type": "integer", "default": "x"}, "/default"),
        ({"type": "string", "format": "date", "default": "soon"}, "/default"),
        ({"type": "array", "items": {"type": "integer"}, "default": ["x"]}, "/default"),
        ({"type": "array", "items": TEXT, "default": "x"}, "/default"),
        ({**TEXT, "x-unique": 1}, "/x-unique"),
        ({**TEXT, "x-index": "yes"}, "/x-index"),
        ({**TEXT, "x-inverse": "t"}, "/x-inverse"),
        ({**TEXT, "x-through": "j"}, "/x-through"),
        ({**TEXT, "x-column": "b"}, "/x-column"),
        ({**TEXT, "x-delete": "clear"}, "/x-delete"),
        ({**TEXT, "x-key": "n"}, "/x-key"),
        ({**TEXT, "format": "binary", "x-key": "n"}, "/x-key"),
        ({**TEXT, "format": "binary", "x-inverse": "t"}, "/x-inverse"),
        ({**TEXT, "format": "binary", "default": "x"}, "/default"),
        # references
        ({"$ref": 5}, "/$ref"),
        ({"$ref": "#/$defs/missing"}, "/$ref"),
        ({"$ref": "u"}, "/$ref"),
        ({"$ref": "_users"}, "/$ref"),
        ({"$ref": "#/$defs/u/properties/n"}, "/$ref"),
        ({"$ref": "https://127.0.0.1:1/s.json"}, "/$ref"),
        ({"$ref": "#"}, "/$ref"),
        ({"type": "array", "items": {"$ref": "#/$defs/missing"}}, "/items/$ref"),
        ({"anyOf": [{"$ref": "#/$defs/missing"}, {"type": "null"}]}, "/anyOf/0/$ref"),
        ({"type": "object", "properties": {"b": {"$ref": "#/$defs/missing"}}}, "/properties/b/$ref"),
        ({"type": "object", "additionalProperties": {"$ref": "http://127.0.0.1:1/s"}}, "/additionalProperties/$ref"),
        ({"type": "object", "additionalProperties": {"$ref": "file:///etc/passwd"}}, "/additionalProperties/$ref"),
        # unique links
        ({**TO_U, "default": 1}, "/default"),
        ({**TO_U, "writeOnly": True}, "/writeOnly"),
        ({**TO_U, "x-unique": 1}, "/x-unique"),
        ({**TO_U, "x-delete": "keep"}, "/x-delete"),
        ({**TO_U, "x-delete": ["clear"]}, "/x-delete"),
        ({**TO_U, "x-through": "j"}, "/x-through"),
        ({**TO_U, "x-column": 5}, "/x-column"),
        ({**TO_U, "x-inverse": "n"}, "/x-inverse"),
        ({**TO_B, "x-inverse": "missing"}, "/x-inverse"),
        ({**TO_B, "x-inverse": "o"}, "/x-inverse"),
        ({**TO_B, "x-inverse": "ts"}, "/x-inverse"),
        ({**TO_B, "x-inverse": ["t"]}, "/x-inverse"),
        ({**TO_B, "x-inverse": "t", "x-column": "b"}, "/x-column"),
        ({**TO_B, "x-inverse": "t", "x-delete": "clear"}, "/x-delete"),
        ({**TO_B, "x-inverse": "t", "x-unique": True}, "/x-unique"),
        ({**TO_B, "x-inverse": "t", "x-key": "k"}, "/x-key"),
        ({**TO_U, "x-key": "n"}, "/x-key"),
        # many links
        ({**MANY_U, "default": [1]}, "/default"),
        ({**MANY_U, "writeOnly": True}, "/writeOnly"),
        ({**MANY_U, "x-unique": True}, "/x-unique"),
        ({**MANY_U, "x-index": True}, "/x-index"),
        ({**MANY_U, "x-column": "b"}, "/x-column"),
        ({**MANY_U, "x-delete": "clear"}, "/x-delete"),
        ({**MANY_U, "x-inverse": "n"}, "/x-inverse"),
        ({**MANY_B, "x-inverse": "missing"}, "/x-inverse"),
        ({**MANY_B, "x-inverse": "o"}, "/x-inverse"),
        ({**MANY_B, "x-inverse": "t", "x-through": "j"}, "/x-through"),
        ({**MANY_B, "x-inverse": "t", "x-delete": "clear"}, "/x-delete"),
        ({**MANY_B, "x-inverse": "t", "x-key": "missing"}, "/x-key"),
        ({**MANY_B, "x-inverse": "t", "x-key": ["k"]}, "/x-key"),
        ({**MANY_B, "x-inverse": "t", "x-key": "free"}, "/x-key"),
        ({**MANY_B, "x-inverse": "t", "x-key": "secret"}, "/x-key"),
        ({**MANY_B, "x-inverse": "ts", "x-key": "k"}, "/x-key"),
        ({**MANY_U, "x-key": "n"}, "/x-key"),
        ({**MANY_U, "x-through": "missing"}, "/x-through"),
        ({**MANY_U, "x-through": 5}, "/x-through"),
        ({**MANY_U, "x-through": "u"}, "/x-through"),
        ({**MANY_U, "x-through": {}}, "/x-through"),
        ({**MANY_U, "x-through": {"table": "j", "sorce": "t"}}, "/x-through"),
        ({**MANY_U, "x-through": {"table": "j", "source": "u", "target": "t"}}, "/x-through"),
        ({**MANY_U, "x-through": {"table": "j", "source": "v"}}, "/x-through"),
        ({**MANY_T, "x-through": "k"}, "/x-through"),
        ({**MANY_T, "x-through": {"table": "k", "source": "x", "target": "x"}}, "/x-through"),
    ],
)
def test_wrong_word_of_a_field(schema: Any, path: str) -> None:
    """A word of a field or link with a wrong value, or at the wrong kind of it, is refused at its place."""
    assert refusal(document({"a": schema}, {**THROUGH, "k": PAIR["j"], **BACK}))[0] == A + path


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ({"type": "number"}, "/properties/id"),
        ({}, "/properties/id"),
        (TO_U, "/properties/id"),
        (MANY_U, "/properties/id"),
    ],
)
def test_wrong_id(schema: Any, path: str) -> None:
    """A field `id` that is neither integer nor text is refused."""
    assert refusal(document({"id": schema}))[0] == T + path


def test_required_link_cannot_be_cleared() -> None:
    """A required link with `x-delete: clear` is refused; restrict and cascade are kept."""
    assert refusal(document({"a": {**TO_U, "x-delete": "clear"}}, required=["a"]))[0] == f"{A}/x-delete"
    for word in ("restrict", "cascade"):
        assert load_table({"a": {**TO_U, "x-delete": word}}, required=["a"]).links["a"].on_delete == word


TO_X: dict[str, Any] = {"$ref": "#/$defs/x"}


@pytest.mark.parametrize(
    "definitions",
    [
        {"x": {"type": "object", "allOf": [TO_X]}},
        {"x": {"allOf": [{"$ref": "#/$defs/y"}, {"type": "object"}]}, "y": {"allOf": [TO_X]}},
        {"x": TO_X},
        {"x": {"$ref": "#/$defs/y"}, "y": TO_X},
        {"x": {"allOf": [TO_X]}},
        {"x": {"anyOf": [TO_X, {"type": "null"}]}},
        {"x": {"oneOf": [{"anyOf": [TO_X]}]}},
    ],
)
def test_definitions_in_a_circle(definitions: Any) -> None:
    """Definitions that are nothing but each other are refused at the first of them."""
    assert refusal(document({"a": TO_X}, definitions))[0] == "#/$defs/x"


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "array", "items": TO_X},
        {"type": ["object", "string"], "properties": {"x": TO_X}},
        {"anyOf": [TEXT, {"type": "array", "items": TO_X}]},
    ],
)
def test_value_that_holds_its_like(definition: Any) -> None:
    """A value that may hold values of its own form is a JSON value, checked at any depth, or a table."""
    schema = load_schema(document({"a": TO_X}, {"x": definition}))
    assert members(schema.find("t")) == {"a": "one x by a_id" if "properties" in definition else "json"}


def test_loading_opens_no_address(tmp_path: Path) -> None:
    """A reference to a file that exists is refused like any other, and its content is in no message."""
    secret = tmp_path / "secret.json"
    secret.write_text('{"type": "string", "const": "secret"}')
    inner = {"type": "object", "properties": {"b": {"$ref": secret.as_uri()}}}
    path, reason = refusal(document({"a": inner}))
    assert path == f"{A}/properties/b/$ref"
    assert reason == f"'{secret.as_uri()}' leads to no definition; write #/$defs/NAME"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from(["a", "t", "u", "object", "string", "#/$defs/u", "#"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(sorted(minirest.STANDARD_WORDS | minirest.TABLE_WORDS | minirest.FIELD_WORDS)),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(json_values, json_values)
@settings(max_examples=400)
def test_any_words_give_a_schema_or_a_schema_error(table: Any, field: Any) -> None:
    """Whatever stands at known words: the document is loaded, or refused with a path, and nothing else is raised."""
    words = {"type": "object", "properties": {"a": field, "l": TO_U}, **(table if isinstance(table, dict) else {})}
    try:
        check_rules(load_schema(document({}, {"t": words})))
        path = "#"
    except SchemaError as error:
        path = error.path
    assert path.split("/")[0] == "#"


# ---- words of tables ----


def test_validity() -> None:
    """`true` adds two dates; named ones must be declared; false and absence mean none."""
    named = load_table(
        {"a": {**TEXT, "format": "date"}, "b": {**TEXT, "format": "date"}}, **{"x-validity": {"from": "b", "to": "a"}}
    )
    assert named.validity == (named.fields["b"], named.fields["a"])
    assert members(named) == {"a": "date", "b": "date"}
    added = load_table(**{"x-validity": True})
    assert members(added) == {"a": "text", "valid_from": "date", "valid_to": "date"}
    declared = load_table({"valid_to": {**TEXT, "format": "date", "title": "End"}}, **{"x-validity": True})
    assert [field.title for field in declared.validity or ()] == ["valid_from", "End"]
    assert load_table(**{"x-validity": False}).validity is load_table().validity is None


def test_sort() -> None:
    """`true` adds an integer field; a named one is taken or added, within its scope; it has an index."""
    added = load_table(**{"x-sort": True})
    assert (members(added), added.sort) == ({"a": "text", "sort": "integer"}, (added.fields["sort"], None))
    named = load_table({"a": TEXT, "n": {"type": "integer"}}, **{"x-sort": {"field": "n", "scope": "a"}})
    assert named.sort == (named.fields["n"], named.fields["a"])
    assert named.indexes == [(named.fields["n"],)]
    fresh = load_table(**{"x-sort": {"field": "place"}})
    assert members(fresh) == {"a": "text", "place": "integer"}
    assert load_table(**{"x-sort": False}).sort is None


@pytest.mark.parametrize(
    ("properties", "words", "label"),
    [
        ({"a": TEXT, "name": TEXT, "title": TEXT}, {}, "title"),
        ({"a": TEXT, "name": TEXT}, {}, "name"),
        ({"n": {"type": "integer"}, "b": TEXT, "a": TEXT}, {}, "b"),
        ({"title": {"type": "integer"}, "a": TEXT}, {}, "a"),
        ({"a": {**TEXT, "writeOnly": True}, "b": TEXT}, {}, "b"),
        ({"name": {**TEXT, "writeOnly": True}}, {}, None),
        ({"n": {"type": "integer"}}, {}, None),
        ({"a": TEXT, "n": {"type": "integer"}}, {"x-label": "n"}, "n"),
        ({"a": TEXT, "name": TEXT}, {"x-label": {"label": "a", "description": "name"}}, "a"),
        ({"a": TEXT, "name": TEXT}, {"x-label": {"description": "a"}}, "name"),
    ],
)
def test_label(properties: Any, words: Any, label: str | None) -> None:
    """A record is named by `x-label`, else `title`, `name`, or the first text that may be shown."""
    table = load_table(properties, **words)
    assert (table.label.name if table.label else None) == label


def test_unique_rules_and_indexes() -> None:
    """Rules of tables are of fields and unique links; a key is unique, and no rule is kept twice."""
    words = {"x-unique": [["a", "l"]], "x-index": [["n"], ["l", "n"]], "x-key": "k", "required": ["k"]}
    table = load_table({"a": TEXT, "n": {"type": "integer"}, "k": {**TEXT, "x-unique": True}, "l": TO_U}, **words)
    a, n, k = table.fields.values()
    (key,) = table.keys
    assert (table.key, table.unique, table.indexes) == (k, [(k,), (a, key)], [(n,), (key, n)])


def test_key_of_a_link() -> None:
    """The key of a link names a record of it together with the link, once; other links go by the target's own."""
    words = {"x-inverse": "t", "x-key": "k"}
    others = {"b": {**BACK["b"], "x-unique": [["t", "k"]]}}
    schema = minirest.load_schema(document({"bs": {**MANY_B, **words}, "all": {**MANY_B, "x-inverse": "t"}}, others))
    table, target = schema.find("t"), schema.find("b")
    key = target.fields["k"]
    assert (table.links["bs"].address, table.links["all"].address, target.address) == (key, target.id, target.id)
    assert target.unique == [(target.links["t"].key, key)]


def test_indexes_of_likely_names_do_not_collide() -> None:
    """Tables and columns whose names read alike when joined have an index each."""
    indexed = {"type": "string", "x-index": True, "x-unique": True}
    others = {"t_a": {"type": "object", "properties": {"b": indexed, "l": TO_U}}, "index_t_a": {"type": "object"}}
    with opened(document({"a_b": indexed, "a": indexed, "a_l": TO_U}, others)) as store:
        assert create(store, "t_a", {"b": "x"}, {}) == {"id": 1, "b": "x", "l": None}


def test_words_for_later_are_kept() -> None:
    """Aliases, columns, options and tabs are checked and kept as they stand; access is a flag."""
    others = {"p": {"type": "object", "properties": {"u": TO_U}}}
    words = {
        "x-alias": {"coredata": {"aa": "a"}},
        "x-columns": ["a", "p"],
        "x-options": {"p": {"depends": "u", "group": "u"}},
        "x-tabs": {
            "Mine": {"owner": "$me"},
            "Ours": {"group": {"$in": "$groups"}},
            "Late": {"$or": [{"updatedAt.$dateBefore": "2024"}, {"p.u.n.$includes": "x"}, {"d": {"$lt": "$today"}}]},
            "All": {},
        },
        "x-access": True,
    }
    properties = {"a": TEXT, "p": {"$ref": "#/$defs/p"}, "d": {**TEXT, "format": "date"}}
    schema = load_schema(document(properties, others, **words))
    check_rules(schema)
    table = schema.find("t")
    assert {word: table.schema[word] for word in words} == words
    assert table.access


def test_tab_says_what_is_wrong() -> None:
    """A tab that cannot be read names the field, and the path of the table in either form of file."""
    rule = {"x-tabs": {"Bad": {"nmae": 1}}}
    table = {"type": "object", "properties": {"name": TEXT}, **rule}
    reason = "Unknown field 'nmae' in table 't'; did you mean 'name'?"
    assert refusal({"$defs": {"t": table}}) == ("#/$defs/t/x-tabs/Bad", reason)
    assert refusal({"title": "t", **table}) == ("#/x-tabs/Bad", reason)
    path = "#/components/schemas/t/x-tabs/Bad"
    assert refusal({"openapi": "3.1.0", "components": {"schemas": {"t": table}}}) == (path, reason)


# ---- examples ----


def test_examples_point_at_each_other() -> None:
    """Links of examples are positions, also forwards, in circles and to the example itself."""
    friend = {"$ref": "#/$defs/p"}
    people = {
        "type": "object",
        "properties": {"name": TEXT, "friend": friend, "knows": {"type": "array", "items": friend}},
        "required": ["name", "friend"],
        "examples": [
            {"name": "a", "friend": 2, "knows": [3, 1]},
            {"name": "b", "friend": 3, "knows": []},
            {"name": "c", "friend": 3, "knows": None},
        ],
    }
    with opened({"$defs": {"p": people}}) as store:
        assert records(store, "p") == [
            {"id": 1, "name": "a", "friend": 2, "knows": [3, 1]},
            {"id": 2, "name": "b", "friend": 3, "knows": []},
            {"id": 3, "name": "c", "friend": 3, "knows": []},
        ]


def test_examples_of_inverse_links() -> None:
    """An example may set a link from its other side."""
    kid = {"type": "object", "properties": {"up": {"$ref": T}}, "examples": [{}, {}, {"up": 1}]}
    properties = {"kids": {"type": "array", "items": {"$ref": "#/$defs/kid"}, "x-inverse": "up"}}
    with opened(document(properties, {"kid": kid}, examples=[{}, {"kids": [2, 1]}])) as store:
        assert records(store, "kid") == [{"id": 1, "up": 2}, {"id": 2, "up": 2}, {"id": 3, "up": 1}]
        assert records(store, "t") == [{"id": 1, "kids": [3]}, {"id": 2, "kids": [1, 2]}]


@pytest.mark.parametrize("words", [{"required": ["us"]}, {"dependentRequired": {"a": ["us"]}}, {"minProperties": 2}])
def test_examples_with_rules_about_links(words: Any) -> None:
    """Rules of whole records see the many links of an example."""
    target = {"u": {"type": "object", "properties": {"n": TEXT}, "examples": [{}]}}
    with opened(document({"a": TEXT, "us": MANY_U}, target, examples=[{"a": "x", "us": [1]}], **words)) as store:
        assert records(store, "t") == [{"id": 1, "a": "x", "us": [1]}]
    with (
        pytest.raises(SchemaError) as caught,
        opened(document({"a": TEXT, "us": MANY_U}, examples=[{"a": "x"}], **words)),
    ):
        pass
    assert caught.value.path == "#/$defs/t/examples/0"


def test_examples_with_status() -> None:
    """`_status` puts an example into the archive or the trash."""
    examples = [{"a": "0"}, {"a": "1", "_status": "archived"}, {"a": "2", "_status": "trash"}, {"_status": "active"}]
    with opened(document(examples=examples, **{"x-archive": True})) as store:
        found = {
            word: [record["id"] for record in records(store, "t", Scope(word))]
            for word in ("no", "only", "trash", "all")
        }
        assert found == {"no": [1, 4], "only": [2], "trash": [3], "all": [1, 2, 3, 4]}


def test_examples_with_owners() -> None:
    """`_owner`, `_group`, `_access` and `_branch` name users and groups, each made once; such users cannot sign in."""
    examples = [
        {"a": "x", "_owner": "ann", "_group": "staff", "_access": ["bob", "ann"], "_branch": ["staff", "board"]},
        {"a": "y", "_owner": "bob"},
    ]
    with opened(document(examples=examples)) as store:
        rows = store.database.writer.execute("select a, _owner, _group, _access, _branch from t order by id").fetchall()
        users = store.database.writer.execute("select id, name, password from _users order by id").fetchall()
        groups = store.database.writer.execute("select id, name from _groups order by id").fetchall()
    assert (users, groups) == ([(1, "ann", None), (2, "bob", None)], [(1, "staff"), (2, "board")])
    assert rows == [("x", 1, 1, "[2,1]", "[1,2]"), ("y", 2, None, None, None)]


def test_examples_can_be_left_out() -> None:
    """Without examples the tables are empty."""
    with closing(Store(load_schema(CUSTOMERS), ":memory:", lambda: NOW, examples=False)) as store:
        assert [records(store, name) for name in store.schema.tables] == [[], [], []]


@pytest.mark.parametrize(
    ("example", "path", "reason"),
    [
        (5, "", "an example must be an object"),
        ({"b": 1}, "/b", "'b' is not a field of 't'"),
        ({"aa": 1}, "/aa", "'aa' is not a field of 't'; did you mean 'a'?"),
        ({"a": 1}, "/a", "must be a text"),
        ({"n": 1.5}, "/n", "must be a whole number of 64 bits"),
        ({"a": "long"}, "", "Field 'a' must have at most 3 characters"),
        ({"l": "x"}, "/l", "\"x\" is not the position of an example of 'u'"),
        ({"l": 0}, "/l", "0 is not the position of an example of 'u'"),
        ({"l": 3}, "/l", "3 is not the position of an example of 'u'"),
        ({"l": True}, "/l", "true is not the position of an example of 'u'"),
        ({"l": [1]}, "/l", "[1] is not the position of an example of 'u'"),
        ({"us": [1, 3]}, "/us", "3 is not the position of an example of 'u'"),
        ({"us": ["x"]}, "/us", "\"x\" is not the position of an example of 'u'"),
        ({"us": [{}]}, "/us", "{} is not the position of an example of 'u'"),
        ({"us": [1, 2]}, "", "Field 'us' must have at most 1 items"),
        ({"_status": "trash"}, "/_status", "'_status' is not a field of 't'"),
        ({"_owner": 5}, "/_owner", "must be a name"),
        ({"_owner": {}}, "/_owner", "must be a name"),
        ({"_access": "ann"}, "/_access", "'_access' is not a field of 't'"),
        ({"_version": 5}, "/_version", "'_version' is not a field of 't'"),
    ],
)
@pytest.mark.parametrize("form", ["$defs", "openapi", "root"])
def test_wrong_example(form: str, example: Any, path: str, reason: str) -> None:
    """A wrong example is refused with its path and the reason, in each form of file."""
    target = {"$defs": "#/$defs/u", "openapi": "#/components/schemas/u", "root": "#/$defs/u"}[form]
    table = {
        "type": "object",
        "properties": {
            "a": {**TEXT, "maxLength": 3},
            "n": {"type": "integer"},
            "l": {"$ref": target},
            "us": {"type": "array", "items": {"$ref": target}, "maxItems": 1},
        },
        "examples": [{"a": "x"}, example],
    }
    other = {"type": "object", "properties": {"n": TEXT}, "examples": [{}, {}]}
    sources: dict[str, Any] = {
        "$defs": {"$defs": {"t": table, "u": other}},
        "openapi": {"openapi": "3.1.0", "components": {"schemas": {"t": table, "u": other}}},
        "root": {"title": "t", **table, "$defs": {"u": other}},
    }
    base = {"$defs": "#/$defs/t", "openapi": "#/components/schemas/t", "root": "#"}[form]
    with pytest.raises(SchemaError) as caught, opened(sources[form]):
        pass
    assert (caught.value.path, caught.value.reason) == (f"{base}/examples/1{path}", reason)


# ---- public ids ----

tags = st.integers(0, 2**32 - 1)
keys = st.integers(1, minirest.MAX_ID)
versions = st.integers(0, 2**26 - 1)


def first_tag(name: str) -> int:
    """The tag that a table's name asks for: the first 32 bits of SHA-256."""
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


def test_tags_are_derived() -> None:
    """A tag comes from the name in lower case; a kept one stays, of dropped tables too."""
    a, b = first_tag("kunden"), first_tag("posts")
    assert minirest.derive_tags(["Kunden", "posts"], {}) == {"Kunden": a, "posts": b}
    assert minirest.derive_tags(["posts"], {"kunden": 7, "gone": 8}) == {"kunden": 7, "gone": 8, "posts": b}
    assert minirest.derive_tags(["kunden"], {"kunden": 7}) == {"kunden": 7}


def test_tags_do_not_collide() -> None:
    """A tag that is taken, also by a table that is gone or was renamed, is left for the next free one."""
    a = first_tag("kunden")
    assert minirest.derive_tags(["kunden"], {"clients": a}) == {"clients": a, "kunden": a + 1}
    assert minirest.derive_tags(["kunden"], {"x": a, "y": a + 1})["kunden"] == a + 2


def test_tags_wrap_around(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the last tag comes 0."""

    class Digest:
        def __init__(self, _: bytes) -> None: ...
        def digest(self) -> bytes:
            return b"\xff" * 32

    monkeypatch.setattr(hashlib, "sha256", Digest)
    assert minirest.derive_tags(["a", "b", "c"], {}) == {"a": 2**32 - 1, "b": 0, "c": 1}


def test_every_table_gets_its_tag() -> None:
    """A store gives each table, also system ones, a tag of its own, by which it is found."""
    with opened(CUSTOMERS) as store:
        found = {table.name: table.tag for table in store.schema.all_tables.values()}
        assert found == {name: first_tag(name) for name in found}
        assert store.schema.by_tag(first_tag("kunden")) is store.schema.find("kunden")
        assert store.schema.by_tag(1) is None


@given(tags, versions, keys)
@settings(max_examples=300)
def test_ids_are_read_back(tag: int, version: int, key: int) -> None:
    """ObjectId and UUID give back what made them, in any case; the UUID is one of version 1, as validators ask."""
    object_id, text = minirest.object_id(tag, key), minirest.record_uuid(tag, version, key)
    assert (len(object_id), object_id) == (24, object_id.lower())
    assert minirest.parse_object_id(object_id, tag) == minirest.parse_object_id(object_id.upper(), tag) == key
    assert minirest.parse_uuid(text, tag) == minirest.parse_uuid(text.upper(), tag) == (version, key)
    known = uuid.UUID(text)
    assert (str(known), known.version, known.variant, known.time_low) == (text, 1, uuid.RFC_4122, tag)


@given(tags, tags, versions, keys)
@settings(max_examples=100)
def test_ids_of_other_tables_are_none_of_ours(tag: int, other: int, version: int, key: int) -> None:
    """An id with another tag leads nowhere."""
    expected = (key, (version, key)) if tag == other else (None, None)
    object_id, text = minirest.object_id(tag, key), minirest.record_uuid(tag, version, key)
    assert (minirest.parse_object_id(object_id, other), minirest.parse_uuid(text, other)) == expected


@pytest.mark.parametrize(
    ("version", "key", "text"),
    [
        (0, 7, "58238a93-0000-1000-8000-000000000007"),
        (1, 7, "58238a93-0000-1004-8000-000000000007"),
        (2**26 - 1, 7, "58238a93-ffff-1ffc-8000-000000000007"),
        (2**26, 7, "58238a93-0000-1000-8000-000000000007"),
        (0, 2**48, "58238a93-0000-1000-8001-000000000000"),
        (0, minirest.MAX_ID, "58238a93-0000-1000-800f-ffffffffffff"),
    ],
)
def test_uuid_by_example(version: int, key: int, text: str) -> None:
    """Tag, version and id lie in these bits; the version starts again after 26 bits."""
    assert minirest.record_uuid(0x58238A93, version, key) == text
    assert minirest.parse_uuid(text, 0x58238A93) == (version % 2**26, key)


TAG = 0x58238A93


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "58238a93", "58238a93000000000000007", "58238a9300000000000000007", "58238a93000000000000000g"),
        *(
            " 58238a930000000000000007",
            "58238a930000000000000007\n",
            "58238a930010000000000000",
            "58238a93ffffffffffffffff",
        ),
        "58238a935baa56173b24f0e4",  # the example of the platform's documentation: a tag of ours, an id beyond all
        "５8238a930000000000000007",
    ],
)
def test_malformed_object_id(text: str) -> None:
    """What is no ObjectId of ours leads nowhere."""
    assert minirest.parse_object_id(text, TAG) is None


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "58238a93-0000-1000-8000-00000000007", "58238a93-0000-1000-8000-0000000000077"),
        *(
            "58238a93-0000-4000-8000-000000000007",
            "58238a93-0000-1000-4000-000000000007",
            "58238a93-0000-1000-c000-000000000007",
        ),
        *(
            "58238a930000100080000000000000007",
            "{58238a93-0000-1000-8000-000000000007}",
            "58238a93-0000-1000-8000-000000000007\n",
        ),
        *(
            "58238a93-0000-1000-8010-000000000000",
            "58238a93-0000-1003-bfff-ffffffffffff",
            "00000000-0000-0000-0000-000000000002",
        ),
        "urn:uuid:58238a93-0000-1000-8000-000000000007",
    ],
)
def test_malformed_uuid(text: str) -> None:
    """What is no UUID of ours leads nowhere: other versions, other variants, ids beyond all."""
    assert minirest.parse_uuid(text, TAG) is None


@given(st.text(max_size=40), tags)
@settings(max_examples=200)
def test_any_text_as_id(text: str, tag: int) -> None:
    """Any text is read without an exception."""
    assert minirest.parse_object_id(text, tag) is None
    assert minirest.parse_uuid(text, tag) is None


# ---- documentation ----


def public_names() -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Every public class, function and method of the module."""
    tree = ast.parse(Path(minirest.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name, node
            for part in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(part, ast.FunctionDef) and not part.name.startswith("_"):
                    yield f"{node.name}.{part.name}", part


def test_public_names_have_docstrings() -> None:
    """Each public class and function says what it is; methods may leave it to the class when it has one line each."""
    names = dict(public_names())
    assert len(names) > 100
    assert [name for name, node in names.items() if "." not in name and not ast.get_docstring(node)] == []


# ---- schemas that we did not write ----


class Color(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Address(pydantic.BaseModel):
    """A nested model."""

    street: str = pydantic.Field(max_length=80)
    zip: str = pydantic.Field(pattern=r"^[0-9]{5}$", examples=["12345"])
    country: Literal["DE", "NL"] = "DE"


class Card(pydantic.BaseModel):
    """One side of a union."""

    kind: Literal["card"]
    number: str
    expires: date


class Transfer(pydantic.BaseModel):
    """The other side of a union."""

    kind: Literal["transfer"] = "transfer"
    iban: str


class Article(pydantic.BaseModel):
    """A model without further fields."""

    model_config = pydantic.ConfigDict(extra="forbid")
    sku: str
    count: int = pydantic.Field(1, gt=0, le=100)
    price: Decimal = pydantic.Field(max_digits=10, decimal_places=2, ge=0)
    color: Color | None = None
    weight: float | None = pydantic.Field(None, gt=0, multiple_of=0.5)


class Client(pydantic.BaseModel):
    """A model that refers to itself."""

    id: int
    name: str = pydantic.Field(min_length=1)
    address: Address
    others: list[Address] = []
    parent: Optional["Client"] = None
    children: list["Client"] = []


class Order(pydantic.BaseModel):
    """The root model."""

    client: Client
    send_to: Address | None = pydantic.Field(None, description="if different")
    articles: list[Article] = pydantic.Field(min_length=1)
    gifts: list[Article] | None = None
    payment: Annotated[Card | Transfer, pydantic.Field(discriminator="kind")]
    reference: int | str = 0
    placed: datetime
    due: date | None = None
    main: Color = Color.RED
    words: set[str] = set()
    colors: list[Color] = []
    place: tuple[float, float] | None = None
    counts: dict[str, int] = {}
    by_name: dict[str, Article] = {}
    anything: Any = None


def test_schema_by_pydantic() -> None:
    """What pydantic writes for nested, optional, listed, united and constrained models is read."""
    schema = load_schema(Order.model_json_schema())
    assert {name: members(table) for name, table in schema.tables.items()} == {
        "address": {"street": "text required", "zip": "text required", "country": "text"},
        "article": {
            "sku": "text required",
            "count": "integer",
            "price": "json required",
            "color": "text",
            "weight": "number",
        },
        "card": {"kind": "text required", "number": "text required", "expires": "date required"},
        "client": {
            "name": "text required",
            "address": "one Address by address_id required",
            "others": "many Address through Client_others(source_id, target_id)",
            "parent": "one Client by parent_id",
            "children": "many Client through Client_children(source_id, target_id)",
        },
        "transfer": {"kind": "text", "iban": "text required"},
        "order": {
            "client": "one Client by client_id required",
            "send_to": "one Address by send_to_id",
            "articles": "many Article through Order_articles(source_id, target_id) required",
            "gifts": "many Article through Order_gifts(source_id, target_id)",
            "payment": "json required",
            "reference": "json",
            "placed": "moment required",
            "due": "date",
            "main": "text",
            "words": "list of text",
            "colors": "choices of text",
            "place": "json",
            "counts": "json",
            "by_name": "json",
            "anything": "json",
        },
    }
    assert schema.find("Client").shows_id


def test_record_of_a_schema_by_pydantic() -> None:
    """A record of the root model is created with new linked records, read back, and held against the model's rules."""
    with opened(Order.model_json_schema()) as store:
        client = create(store, "Client", {"name": "Meier"}, {"address": [{"street": "Weg 1", "zip": "12345"}]})
        assert client == {"id": 1, "name": "Meier", "address": 1, "others": [], "parent": None, "children": []}
        table = store.schema.find("Order")
        values = {
            "payment": {"kind": "card", "number": "1", "expires": "2030-01-01"},
            "placed": "2024-05-01T13:45:00Z",
            "words": ["b", "a"],
            "colors": ["blue"],
            "place": [1.5, 2],
            "by_name": {"x": {"sku": "1", "price": "9.99"}},
            "anything": [None],
        }
        links = {
            table.links["client"]: Change("replace", (Item(minirest.Key(store.schema.find("Client").id, 1)),)),
            table.links["articles"]: Change("replace", (item_of(table.links["articles"])({"sku": "s", "price": 2.5}),)),
        }
        stored = {table.fields[name]: table.fields[name].parse_json(value) for name, value in values.items()}
        (row,) = store.run(Create(table, stored, links, whole(table))).rows
        assert json.loads(row.text) == {
            "id": 1,
            "client": 1,
            "send_to": None,
            "articles": [1],
            "gifts": [],
            "reference": 0,
            "due": None,
            "main": "red",
            "counts": {},
            **values,
            "placed": "2024-05-01T13:45:00.000Z",
        }
        assert records(store, "Article") == [
            {"id": 1, "sku": "s", "count": 1, "price": 2.5, "color": None, "weight": None}
        ]
        with pytest.raises(minirest.ApiError) as caught:
            create(store, "Order", {**values, "payment": {"kind": "cash"}, "main": "green", "words": ["a", "a"]}, {})
        assert {(found.path, found.rule) for found in caught.value.violations} == {
            (("client",), "required"),
            (("articles",), "required"),
            (("payment",), "schema"),
            (("main",), "enum"),
            (("words",), "uniqueItems"),
        }


def test_root_of_pydantic_that_refers_to_itself() -> None:
    """A model that refers to itself is written as `$defs` and `$ref` only, and is read too."""
    source = Client.model_json_schema()
    assert set(source) == {"$defs", "$ref"}
    assert list(load_schema(source).tables) == ["address", "client"]


def foreign(package: str, *parts: str) -> Any:
    """A data file of an installed package, which is not imported; the test is skipped where the package is absent."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {package}, which holds the schema, is not installed")
    return json.loads(Path(spec.submodule_search_locations[0]).joinpath(*parts).read_text(encoding="utf-8"))


BODIES = ["Body_run-copasi", "Body_run-simulation", "Body_run-tellurium"]


def test_openapi_file_of_others() -> None:
    """The OpenAPI 3.1 file of compose-api-client is refused for names of ours; without them it is served."""
    source = foreign("compose_api_client", "openapi.json")
    assert refusal(source) == (
        "#/components/schemas/Body_run-copasi",
        "the table name 'Body_run-copasi' is not allowed: a letter, then letters, digits and _, at most 63",
    )
    for name in BODIES:
        del source["components"]["schemas"][name]
    with opened(source) as store:
        assert len(store.schema.tables) == 20
        step = {"module": "m", "name": "s", "compute_type": "step", "inputs": "i", "outputs": "o", "database_id": 3}
        process = {**step, "compute_type": "process"}
        values = {"database_id": 7, "package_type": "pypi", "name": "p"}
        made = create(store, "RegisteredPackage", values, {"processes": [process], "steps": [step, step]})
        assert made == {"id": 1, **values, "processes": [1], "steps": [1, 2]}
        assert records(store, "BiGraphStep") == [{"id": 1, **step}, {"id": 2, **step}]
        assert records(store, "BiGraphProcess") == [{"id": 1, **process}]
        with pytest.raises(minirest.ApiError) as caught:
            create(store, "RegisteredPackage", {**values, "package_type": "none"}, {"processes": [process]})
        assert {(found.path, found.rule) for found in caught.value.violations} == {
            (("package_type",), "enum"),
            (("steps",), "required"),
        }


def test_json_schema_of_others() -> None:
    """The public JSON Schema of Commonmeta is served, with its rules of whole records."""
    source = foreign("commonmeta_schema", "schemas", "commonmeta_v1.0.json")
    with opened(source) as store:
        assert list(store.schema.tables) == [
            *("work", "person", "organization", "container", "affiliation", "contributor", "geo_location"),
            *("identifier", "license", "reference"),
        ]
        person = {"id": "https://orcid.org/0000-0002-1825-0097", "given_name": "Josiah", "country": "US"}
        values = {"type": "Person", "roles": ["Author"]}
        made = create(store, "contributor", values, {"person": [person]})
        assert made == {"id": 1, **values, "person": 1, "organization": None}
        rest = dict.fromkeys(
            ["family_name", "name", "additional_names", "description", "urls", "date_updated", "asserted_by"]
        )
        assert records(store, "person") == [{**person, **rest, "affiliations": [], "identifiers": []}]
        with pytest.raises(minirest.ApiError) as caught:
            create(store, "contributor", {"type": "Organization", "roles": ["Bystander"]}, {})
        assert {(found.path, found.rule) for found in caught.value.violations} == {
            (("organization",), "required"),
            (("roles", 0), "enum"),
        }


MOMENT = {"type": "string", "format": "date-time"}
CLOCK = {"type": "string", "format": "time"}


@pytest.mark.parametrize(
    ("schema", "allowed", "shown"),
    [
        ({**MOMENT, "enum": ["2024-01-01T00:00:00Z"]}, ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00.000Z"]),
        ({"$ref": "#/$defs/day"}, ["2024-01-01T00:00:00.000Z"], ["2024-01-01T00:00:00.000Z"]),
        ({"anyOf": [{"$ref": "#/$defs/day"}, {"type": "null"}]}, [None], ["2024-01-01T00:00:00.000Z"]),
        ({"enum": ["2024-01-01T00:00:00Z", None], **MOMENT}, [None], ["2024-01-01T00:00:00.000Z", None]),
        ({**MOMENT, "const": "2024-01-01T01:00:00+01:00"}, ["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:00.000Z"]),
        ({**CLOCK, "enum": ["10:00", "11:00:00"]}, ["10:00", "11:00"], ["10:00:00", "11:00:00"]),
    ],
)
def test_choices_of_moments_mean_what_they_say(schema: Any, allowed: list[Any], shown: list[Any]) -> None:
    """However a moment or a time is written in `enum` and `const`, records can have it, also in a list."""
    day = {**MOMENT, "enum": ["2024-01-01T01:00:00+01:00"]}
    both = {"one": schema, "several": {"type": "array", "items": schema}}
    with opened({"$defs": {"day": day, "things": {"type": "object", "properties": both}}}) as store:
        fields = store.schema.find("things").fields
        assert [fields["one"].choices, fields["several"].schema["items"].get("enum", shown)] == [shown, shown]
        for value in allowed:
            made = create(store, "things", {"one": value, "several": [value] if value else []}, {})
            assert made["one"] in (shown if value else [None])
        wrong = "12:00" if "format" in schema and schema["format"] == "time" else "2024-01-02T00:00:00Z"
        for name, given in (("one", wrong), ("several", [wrong])):
            with pytest.raises(minirest.ApiError) as caught:
                create(store, "things", {name: given}, {})
            assert [found.path[0] for found in caught.value.violations] == [name]


@pytest.mark.parametrize(
    ("at", "closed"),
    [("owner", {"owner", "card"}), ("card", {"card"}), ("people", {"people", "cards"}), ("cards", {"cards"})],
)
def test_read_only_links(at: str, closed: set[str]) -> None:
    """What `readOnly` says of a declared link holds from its other end too; of an inverse link it holds there alone."""
    read_only = {name: {"readOnly": name == at} for name in ("owner", "people", "card", "cards")}
    cards = table_of(owner=one("people", **read_only["owner"]), people=many("people", **read_only["people"]))
    people = table_of(
        card=one("cards", **{"x-inverse": "owner"}, **read_only["card"]),
        cards=many("cards", **{"x-inverse": "people"}, **read_only["cards"]),
    )
    app = minirest.make_app({"$defs": {"cards": cards, "people": people}}, auth=False)
    assert [send(app, "POST", f"/api/{name}:create", {}).status for name in ("people", "cards")] == [200, 200]
    for table, name, value in (
        *(("cards", "owner", {"id": 1}), ("cards", "people", [{"id": 1}])),
        *(("people", "card", {"id": 1}), ("people", "cards", [{"id": 1}])),
    ):
        by_body = send(app, "PATCH", f"/{table}/1", {"data": {name: {"data": value}}})
        by_address = send(app, "POST", f"/api/{table}/1/{name}:set", [1])
        assert [by_body.status, by_address.status] == ([400, 400] if name in closed else [200, 200]), name
    by_parent = send(app, "POST", "/api/people/1/cards:create", {}).status
    assert by_parent == (400 if "cards" in closed else 200)
    app.close()
