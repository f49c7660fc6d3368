"""Section 9: what happens to a file when the schema file changes."""

from __future__ import annotations

import copy
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import minirest
from minirest import MigrationNeeded, Store
from tests.web import send

Json = Any
BASE: Json = {
    "$defs": {
        "people": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "age": {"type": "string"},
                "town": {"type": "string", "x-index": True},
                "boss": {"$ref": "#/$defs/people"},
                "pets": {"type": "array", "items": {"$ref": "#/$defs/pets"}},
            },
            "examples": [
                {"name": "Ada", "age": "30", "town": "Ulm", "boss": 2, "pets": [1, 2]},
                {"name": "Bob", "age": "old", "town": "Ulm"},
                {"name": "Cem", "age": "40"},
            ],
        },
        "pets": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "vet": {"$ref": "#/$defs/people"}},
            "examples": [{"name": "Rex", "vet": 1}, {"name": "Tom"}],
        },
    }
}


def clock() -> datetime:
    return datetime(2024, 5, 1, 12, tzinfo=UTC)


def open_store(path: Path, schema: Json, examples: bool = True) -> Store:
    return Store(minirest.load_schema(schema), str(path), clock, examples)


def edited(*edits: Callable[[Json], object]) -> Json:
    """The base schema after changes of its `$defs`."""
    schema = copy.deepcopy(BASE)
    for edit in edits:
        edit(schema["$defs"])
    return schema


def properties(**fields: Json) -> Callable[[Json], object]:
    """Add fields to `people`."""
    return lambda defs: defs["people"]["properties"].update(fields)


def without(*names: str) -> Callable[[Json], object]:
    """Take fields from `people`, and what the examples say of them."""

    def edit(defs: Json) -> None:
        for name in names:
            del defs["people"]["properties"][name]
            for example in defs["people"]["examples"]:
                example.pop(name, None)

    return edit


def dump(path: Path) -> list[tuple[Json, ...]]:
    """All definitions and all rows of a file."""
    with closing(sqlite3.connect(path)) as connection:
        definitions = connection.execute("select type, name, sql from sqlite_master order by 1, 2").fetchall()
        names = [name for kind, name, _ in definitions if kind == "table"]
        return definitions + [
            (name, row) for name in names for row in connection.execute(f'select * from "{name}" order by 1')
        ]


def rows(path: Path, statement: str) -> list[tuple[Json, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def tags(path: Path) -> dict[str, int]:
    return dict(json.loads(rows(path, "select value from _meta where key='tags'")[0][0]))


def copies(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.*.bak"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with the base schema and its examples."""
    path = tmp_path / "x.db"
    open_store(path, BASE).close()
    return path


def migrate(path: Path, schema: Json, **words: Any) -> list[str]:
    """The lines of the plan, which is carried out with apply=True."""
    return [step.line() for step in minirest.migrate(minirest.load_schema(schema), str(path), **words)]


def whole(path: Path, schema: Json) -> None:
    """The file is sound, fits the schema without another step, and takes a new record in every table."""
    assert rows(path, "pragma integrity_check") == [("ok",)]
    assert rows(path, "pragma foreign_key_check") == []
    with closing(open_store(path, schema)) as store, store.database.reading() as connection:
        assert minirest.make_plan(connection, store.schema) == []
        fresh = Path(f"{path}.fresh")
        open_store(fresh, schema, examples=False).close()
        assert _indexes(path) == _indexes(fresh)
        fresh.unlink()


def _indexes(path: Path) -> set[tuple[Json, ...]]:
    return set(rows(path, "select name, tbl_name, sql from sqlite_master where type='index' and sql is not null"))


# ---- what takes effect at once ----


@pytest.mark.parametrize(
    "edit",
    [
        lambda defs: defs["people"].update(title="Folk", description="x", examples=[]),
        lambda defs: defs["people"]["properties"]["name"].update(title="N", maxLength=3, pattern="^A", default="Al"),
        lambda defs: defs["people"].update({"x-label": "town", "x-columns": ["name"], "x-tabs": {"t": {"name": "a"}}}),
        lambda defs: defs["people"].update({"x-alias": {"coredata": {"n": "name"}}, "x-access": True}),
        lambda defs: defs["people"]["properties"]["name"].update(format="email"),
        lambda defs: defs["people"]["properties"]["boss"].update({"x-delete": "cascade"}),
        properties(team={"type": "array", "items": {"$ref": "#/$defs/people"}, "x-inverse": "boss"}),
    ],
)
def test_words_that_do_not_change_what_is_stored(path: Path, edit: Callable[[Json], object]) -> None:
    """Take effect at once; the file holds what it held."""
    before = dump(path)
    assert migrate(path, edited(edit)) == []
    open_store(path, edited(edit)).close()
    assert dump(path) == before
    assert copies(path) == []


def test_a_new_default_is_for_new_records(path: Path) -> None:
    """The default of a field that was there is not put into records that were there."""
    schema = edited(lambda defs: defs["people"]["properties"]["town"].update(default="Bonn"))
    with closing(open_store(path, schema)) as store:
        people = store.schema.find("people")
        store.run(minirest.Create(people, {}, {}, minirest.Const(None)))
    assert rows(path, "select town from people order by id") == [("Ulm",), ("Ulm",), (None,), ("Bonn",)]


ADDITIONS: dict[str, tuple[Callable[[Json], object], list[str], str, list[tuple[Json, ...]]]] = {
    "field": (
        properties(size={"type": "integer"}),
        ["add field people.size"],
        "select size from people order by id",
        [(None,)] * 3,
    ),
    "field with default": (
        properties(size={"type": "integer", "default": 7}),
        ["add field people.size", "fill field people.size with its default (3 records)"],
        "select size from people order by id",
        [(7,)] * 3,
    ),
    "required field with default": (
        lambda defs: (
            properties(size={"type": "integer", "default": 7})(defs),
            defs["people"].update(required=["size"]),
        ),
        ["add field people.size", "fill field people.size with its default (3 records)"],
        "select size from people order by id",
        [(7,)] * 3,
    ),
    "unique field": (
        properties(code={"type": "string", "x-unique": True}),
        ["add field people.code", "add index unique:people:code"],
        "select code from people order by id",
        [(None,)] * 3,
    ),
    "own link": (
        properties(home={"$ref": "#/$defs/pets"}),
        ["add field people.home_id", "add index index:people:home_id"],
        "select home_id from people order by id",
        [(None,)] * 3,
    ),
    "many link": (
        properties(friends={"type": "array", "items": {"$ref": "#/$defs/people"}}),
        [
            "add table people_friends",
            "add index unique:people_friends:source_id:target_id",
            "add index index:people_friends:source_id",
            "add index index:people_friends:target_id",
        ],
        "select * from people_friends",
        [],
    ),
    "table with examples": (
        lambda defs: defs.update(
            cars={"type": "object", "properties": {"name": {"type": "string"}}, "examples": [{"name": "Vw"}]}
        ),
        ["add table cars"],
        "select id, name from cars",
        [(1, "Vw")],
    ),
    "index": (
        lambda defs: defs["people"]["properties"]["name"].update({"x-index": True}),
        ["add index index:people:name", "add index index:people:name:nocase"],
        "select count(*) from people",
        [(3,)],
    ),
    "index dropped": (
        lambda defs: defs["people"]["properties"]["town"].pop("x-index"),
        ["drop index index:people:town", "drop index index:people:town:nocase"],
        "select count(*) from people",
        [(3,)],
    ),
    "unique rule that records keep": (
        lambda defs: defs["people"]["properties"]["name"].update({"x-unique": True}),
        ["add index unique:people:name"],
        "select count(*) from people",
        [(3,)],
    ),
    "unique rule over nulls": (
        lambda defs: defs["pets"].update({"x-unique": [["name", "vet"]]}),
        ["add index unique:pets:name:vet_id"],
        "select count(*) from pets",
        [(2,)],
    ),
    "archive": (
        lambda defs: defs["people"].update({"x-archive": True}),
        ["add field people._status"],
        "select _status from people order by id",
        [(0,)] * 3,
    ),
    "validity": (
        lambda defs: defs["people"].update({"x-validity": True}),
        ["add field people.valid_from", "add field people.valid_to"],
        "select valid_from, valid_to from people order by id",
        [(None, None)] * 3,
    ),
    "required where all records have it": (
        lambda defs: defs["people"].update(required=["name"]),
        ["require field people.name, which has no default"],
        "select count(*) from people",
        [(3,)],
    ),
    "required with default": (
        lambda defs: (
            defs["people"]["properties"]["town"].update(default="Bonn"),
            defs["people"].update(required=["town"]),
        ),
        ["fill field people.town with its default (1 records)"],
        "select town from people order by id",
        [("Ulm",), ("Ulm",), ("Bonn",)],
    ),
}


@pytest.mark.parametrize("name", ADDITIONS)
def test_additions_are_made_at_once(path: Path, name: str) -> None:
    """New tables, fields, links and indexes, with null or the default in the records that are there."""
    edit, lines, statement, expected = ADDITIONS[name]
    schema = edited(edit)
    assert migrate(path, schema) == lines
    before = tags(path)
    open_store(path, schema).close()
    assert rows(path, statement) == expected
    assert before.items() <= tags(path).items()
    assert copies(path) == []
    whole(path, schema)


# ---- what needs a decision ----

PLANS: dict[str, tuple[Callable[[Json], object], list[str]]] = {
    "drop a field": (
        without("age"),
        ["drop field people.age (3 records, loses data: --drop people.age)"],
    ),
    "drop an indexed field": (
        without("town"),
        [
            "drop index index:people:town",
            "drop index index:people:town:nocase",
            "drop field people.town (2 records, loses data: --drop people.town)",
        ],
    ),
    "drop an own link": (
        without("boss"),
        [
            "drop index index:people:boss_id",
            "drop field people.boss_id (1 records, loses data: --drop people.boss_id)",
        ],
    ),
    "drop a many link": (
        without("pets"),
        [
            "drop index unique:people_pets:source_id:target_id",
            "drop index index:people_pets:source_id",
            "drop index index:people_pets:target_id",
            "drop table people_pets (2 records, loses data: --drop people_pets)",
        ],
    ),
    "rename a field": (
        lambda defs: (without("age")(defs), properties(years={"type": "string"})(defs)),
        ["add field people.years", "drop field people.age (3 records, loses data: --drop people.age)"],
    ),
    "retype, all fit": (
        lambda defs: defs["people"]["properties"].update(name={"type": "string", "format": "password"}),
        ["change field people.name from text to password (3 records)"],
    ),
    "retype, some do not fit": (
        properties(age={"type": "integer"}),
        [
            (
                "change field people.age from text to integer, which 1 values do not fit "
                "(3 records, loses data: --drop people.age)"
            )
        ],
    ),
    "retype and require": (
        lambda defs: (properties(town={"type": "integer"})(defs), defs["people"].update(required=["town"])),
        [
            "drop index index:people:town",
            "drop index index:people:town:nocase",
            (
                "change field people.town from text to integer, which 2 values do not fit "
                "(2 records, loses data: --drop people.town)"
            ),
            "require field people.town, which has no default (3 records)",
        ],
    ),
    "required": (
        lambda defs: defs["people"].update(required=["town"]),
        ["require field people.town, which has no default (1 records)"],
    ),
    "new and required": (
        lambda defs: (properties(size={"type": "integer"})(defs), defs["people"].update(required=["size"])),
        ["add field people.size", "require field people.size, which has no default (3 records)"],
    ),
    "unique": (
        lambda defs: defs["people"]["properties"]["town"].update({"x-unique": True}),
        ["add index unique:people:town (2 records, these records have the same values; change them first)"],
    ),
    "unique link": (
        lambda defs: (
            defs["pets"]["properties"]["vet"].update({"x-unique": True}),
            defs["people"]["properties"]["town"].update({"x-unique": True}),
        ),
        [
            "add index unique:people:town (2 records, these records have the same values; change them first)",
            "add index unique:pets:vet_id",
        ],
    ),
}


@pytest.mark.parametrize("name", [name for name in PLANS if name != "retype, all fit"])
def test_what_needs_a_decision_is_a_plan(path: Path, name: str) -> None:
    """One line for each step, with the number of records; opening refuses, and nothing is changed by either."""
    edit, lines = PLANS[name]
    before = dump(path)
    assert migrate(path, edited(edit)) == lines
    with pytest.raises(MigrationNeeded) as caught:
        open_store(path, edited(edit))
    assert [step.line() for step in caught.value.steps] == lines
    assert dump(path) == before
    assert copies(path) == []


DROPS: dict[str, tuple[Callable[[Json], object], str, str, list[tuple[Json, ...]]]] = {
    "a field": (without("age"), "people.age", "select id, name from people", [(1, "Ada"), (2, "Bob"), (3, "Cem")]),
    "an indexed field": (without("town"), "people.town", "select id, age from people where id=1", [(1, "30")]),
    "an own link": (without("boss"), "people.boss_id", "select count(*) from people", [(3,)]),
    "a many link": (without("pets"), "people_pets", "select count(*) from people", [(3,)]),
    "values that do not fit": (
        properties(age={"type": "integer"}),
        "people.age",
        "select age, typeof(age) from people order by id",
        [(30, "integer"), (None, "null"), (40, "integer")],
    ),
}


@pytest.mark.parametrize("name", DROPS)
def test_drops(path: Path, name: str) -> None:
    """What loses data is refused until it is named; then it is done, after a copy was written."""
    edit, drop, statement, expected = DROPS[name]
    schema, before = edited(edit), dump(path)
    lines = migrate(path, schema)
    for wrong in ((), ("people",), (f"{drop}x",)):
        with pytest.raises(ValueError, match="loses data") as caught:
            migrate(path, schema, apply=True, drop=wrong)
        assert str(caught.value) == lines[-1]
        assert (dump(path), copies(path)) == (before, [])
    assert migrate(path, schema, apply=True, drop=[drop]) == lines
    assert rows(path, statement) == expected
    assert [dump(copied) for copied in copies(path)] == [before]
    whole(path, schema)


def test_drop_a_table(path: Path) -> None:
    """A table goes with the links to it, and only when all of them are named; its tag is not given again."""
    schema = edited(without("pets"), lambda defs: defs.pop("pets"))
    lines = migrate(path, schema)
    assert lines[-2:] == [
        "drop table pets (2 records, loses data: --drop pets)",
        "drop table people_pets (2 records, loses data: --drop people_pets)",
    ]
    with pytest.raises(ValueError, match="people_pets"):
        migrate(path, schema, apply=True, drop=["pets"])
    old = tags(path)
    assert migrate(path, schema, apply=True, drop=["pets", "people_pets"]) == lines
    whole(path, schema)
    assert tags(path)["pets"] == old["pets"]
    open_store(path, BASE).close()
    assert tags(path) == old


def test_a_dropped_tag_is_not_given_to_another_table(path: Path) -> None:
    """Tags are taken one after the other; one that a dropped table had stays taken."""
    names = {"pets": tags(path)["pets"]}
    taken = minirest.derive_tags(["cars"], names)
    assert taken["pets"] == names["pets"]
    assert minirest.derive_tags(["cars"], {"gone": taken["cars"]})["cars"] == (taken["cars"] + 1) % 2**32


RENAMES: dict[str, tuple[Callable[[Json], object], dict[str, str], list[str], str, list[tuple[Json, ...]]]] = {
    "a field": (
        lambda defs: (without("age")(defs), properties(years={"type": "string"})(defs)),
        {"people.age": "years"},
        ["rename field people.age to years"],
        "select years from people order by id",
        [("30",), ("old",), ("40",)],
    ),
    "an indexed field": (
        lambda defs: (without("town")(defs), properties(city={"type": "string", "x-index": True})(defs)),
        {"people.town": "city"},
        [
            "rename field people.town to city",
            "drop index index:people:town",
            "drop index index:people:town:nocase",
            "add index index:people:city",
            "add index index:people:city:nocase",
        ],
        "select city from people order by id",
        [("Ulm",), ("Ulm",), (None,)],
    ),
    "a field that is unique from now on": (
        lambda defs: (without("name")(defs), properties(call={"type": "string", "x-unique": True})(defs)),
        {"people.name": "call"},
        ["rename field people.name to call", "add index unique:people:call"],
        "select call from people order by id",
        [("Ada",), ("Bob",), ("Cem",)],
    ),
    "an own link": (
        lambda defs: (without("boss")(defs), properties(chief={"$ref": "#/$defs/people"})(defs)),
        {"people.boss_id": "chief_id"},
        [
            "rename field people.boss_id to chief_id",
            "drop index index:people:boss_id",
            "add index index:people:chief_id",
        ],
        "select chief_id from people order by id",
        [(2,), (None,), (None,)],
    ),
}


def recased(*names: str) -> Callable[[Json], object]:
    """Give the names a capital, wherever they stand."""

    def edit(defs: Json) -> None:
        text = json.dumps(defs)
        for name in names:
            text = text.replace(f'"{name}"', f'"{name.title()}"').replace(f'/{name}"', f'/{name.title()}"')
        defs.clear()
        defs.update(json.loads(text))

    return edit


@pytest.mark.parametrize(
    ("names", "junction"),
    [
        (["people"], "People_pets"),
        (["pets"], "people_Pets"),
        (["people", "pets"], "People_Pets"),
        (["people", "pets", "town", "boss", "vet"], "People_Pets"),
    ],
)
def test_names_that_differ_by_case(path: Path, names: list[str], junction: str) -> None:
    """Tables, with the junctions of their links, fields and links are renamed when the file is opened."""
    before, schema = rows(path, "select * from people order by id"), edited(recased(*names))
    open_store(path, schema).close()
    tables = {name for (name,) in rows(path, "select name from sqlite_master where type='table'")}
    assert {junction, "People" if "people" in names else "people"} <= tables
    assert rows(path, "select * from people order by id") == before
    assert rows(path, "select source_id, target_id from people_pets order by 1, 2") == [(1, 1), (1, 2)]
    assert copies(path) == []
    whole(path, schema)


def test_fields_that_change_their_names_with_each_other(path: Path) -> None:
    """An index stays with its name."""
    lines = [
        "rename field people.name to town",
        "rename field people.town to name",
        "drop index index:people:town",
        "drop index index:people:town:nocase",
        "add index index:people:town",
        "add index index:people:town:nocase",
    ]
    renames = {"people.name": "town", "people.town": "name"}
    assert migrate(path, BASE, renames=renames) == lines
    assert migrate(path, BASE, renames=renames, apply=True) == lines
    assert rows(path, "select name, town from people order by id") == [("Ulm", "Ada"), ("Ulm", "Bob"), (None, "Cem")]
    whole(path, BASE)


@pytest.mark.parametrize("turn", [1, -1])
def test_a_name_that_is_free_because_another_one_goes(path: Path, turn: int) -> None:
    """The order of the renames does not matter."""
    schema = edited(without("age", "town"), properties(age={"type": "string"}, years={"type": "string"}))
    renames = dict([("people.age", "years"), ("people.town", "age")][::turn])
    migrate(path, schema, renames=renames, apply=True)
    assert rows(path, "select years, age from people order by id") == [("30", "Ulm"), ("old", "Ulm"), ("40", None)]
    whole(path, schema)


def test_tables_that_change_their_names_with_each_other(path: Path) -> None:
    """Records, links, junctions and tags go along."""

    def edit(defs: Json) -> None:
        text = json.dumps(defs).replace("/people", "/other").replace("/pets", "/people").replace("/other", "/pets")
        defs.update(json.loads(text))
        defs["people"], defs["pets"] = defs["pets"], defs["people"]

    schema, old = edited(edit), tags(path)
    migrate(path, schema, renames={"people": "pets", "pets": "people"}, apply=True)
    assert rows(path, "select name, boss_id from pets order by id") == [("Ada", 2), ("Bob", None), ("Cem", None)]
    assert rows(path, "select name, vet_id from people order by id") == [("Rex", 1), ("Tom", None)]
    assert rows(path, "select source_id, target_id from pets_pets order by 1, 2") == [(1, 1), (1, 2)]
    assert (tags(path)["pets"], tags(path)["people"]) == (old["people"], old["pets"])
    whole(path, schema)


def test_a_table_with_its_field_and_its_link(path: Path) -> None:
    """All names on the left are those in the file."""

    def edit(defs: Json) -> None:
        text = json.dumps(defs).replace("/people", "/folk").replace('"age"', '"years"').replace('"pets":', '"animals":')
        defs.update(json.loads(text))
        defs["folk"], defs["pets"] = defs.pop("people"), defs.pop("animals")

    schema, renames = edited(edit), {"people.age": "years", "people": "folk", "people.pets": "animals"}
    lines = migrate(path, schema, renames=renames, apply=True)
    assert [line for line in lines if line.startswith("rename")] == [
        "rename table people to folk",
        "rename table people_pets to folk_animals",
        "rename field people.age to years",
    ]
    assert rows(path, "select years from folk order by id") == [("30",), ("old",), ("40",)]
    whole(path, schema)


def set_names(path: Path) -> None:
    """Change a field and both kinds of link of the first person, and the name of a pet."""
    with closing(minirest.make_app(BASE, str(path), auth=False)) as app:
        for address, body in (
            ("people:update/1", {"name": "Eve"}),
            ("people:update/1", {"boss": 3}),
            ("people/1/pets:set", [2]),
            ("pets:update/1", {"name": "Max"}),
        ):
            assert send(app, "POST", f"/api/{address}", body).status == 200


def history(path: Path, table: str) -> list[tuple[Json, ...]]:
    """What became of the first record of a table."""
    statement = f"select field, before, after from _history where tag={tags(path)[table]} and record=1 order by id"
    return [(field, *(text and json.loads(text) for text in texts)) for field, *texts in rows(path, statement)]


def test_history_goes_with_its_names(path: Path) -> None:
    """What a field or a link was told of under its old name is told of it under the new one, and of no other."""
    set_names(path)

    def edit(defs: Json) -> None:
        text = (
            json.dumps(defs).replace("/people", "/folk").replace('"boss"', '"chief"').replace('"pets":', '"animals":')
        )
        defs.update(json.loads(text))
        defs["folk"], defs["pets"] = defs.pop("people"), defs.pop("animals")

    renames = {"people": "folk", "people.pets": "animals", "people.boss": "chief"}
    migrate(path, edited(edit), renames=renames | {"people.name": "town", "people.town": "name"}, apply=True)
    assert history(path, "folk") == [
        (None, None, {"town": "Ada", "age": "30", "name": "Ulm", "chief": 2}),
        ("animals", [], [1, 2]),
        ("town", "Ada", "Eve"),
        ("chief", 2, 3),
        ("animals", [1, 2], [2]),
    ]
    assert history(path, "pets") == [(None, None, {"name": "Rex", "vet": 1}), ("name", "Rex", "Max")]
    whole(path, edited(edit))


def test_history_goes_with_the_case_of_its_names(path: Path) -> None:
    """Whoever a name is hidden from does not find it in its former case."""
    set_names(path)
    open_store(path, edited(recased("people", "town", "boss"))).close()
    assert history(path, "People")[0] == (None, None, {"name": "Ada", "age": "30", "Town": "Ulm", "Boss": 2})
    assert [name for name, *_ in history(path, "People")[1:]] == ["pets", "name", "Boss", "pets"]


@pytest.mark.parametrize(
    ("renames", "lines"),
    [
        ({"people.age": "name"}, ["rename people.age to name (people.name would have the same name)"]),
        ({"pets": "people"}, ["rename pets to people (people would have the same name)"]),
        (
            {"people.age": "town", "people.name": "town"},
            [
                "rename people.name to town (people.age would have the same name)",
                "rename people.age to town (people.name would have the same name)",
            ],
        ),
        ({"people.age": "people.x"}, ["rename people.age to people.x (people.people.x is not in the schema file)"]),
        ({"people.age": ""}, ["rename people.age to  (people. is not in the schema file)"]),
        ({"people": "folk"}, ["rename people to folk (folk is not in the schema file)"]),
        ({"people.id": "name"}, ["rename people.id to name (people.id keeps its name)"]),
        ({"people._version": "name"}, ["rename people._version to name (people._version keeps its name)"]),
        ({"_users": "people"}, ["rename _users to people (_users keeps its name)"]),
    ],
)
def test_renames_that_cannot_be(path: Path, renames: dict[str, str], lines: list[str]) -> None:
    """Are refused, each with the reason, and nothing is done."""
    before = dump(path)
    assert migrate(path, BASE, renames=renames)[: len(lines)] == lines
    with pytest.raises(ValueError, match=r"^rename"):
        migrate(path, BASE, renames=renames, apply=True, drop=["people.town", "people.age"])
    assert (dump(path), copies(path)) == (before, [])


def test_a_rename_keeps_the_tag_where_a_table_of_that_name_went(path: Path) -> None:
    """What a dropped table had is not for the records that come under its name."""
    schema = edited(lambda defs: defs.update(animals={"type": "object", "properties": {"name": {"type": "string"}}}))
    open_store(path, schema).close()
    migrate(path, BASE, apply=True, drop=["animals"])
    old = tags(path)
    migrate(path, edited(renamed_table), renames={"pets": "animals"}, apply=True)
    assert tags(path)["animals"] == old["pets"] != old["animals"]


@pytest.mark.parametrize("name", RENAMES)
def test_renames(path: Path, name: str) -> None:
    """A renamed field keeps its values, its indexes are made anew."""
    edit, renames, lines, statement, expected = RENAMES[name]
    schema, before = edited(edit), dump(path)
    assert migrate(path, schema, renames=renames) == lines
    assert dump(path) == before
    assert migrate(path, schema, renames=renames, apply=True) == lines
    assert rows(path, statement) == expected
    assert [dump(copied) for copied in copies(path)] == [before]
    whole(path, schema)


def renamed_table(defs: Json) -> None:
    """`pets` becomes `animals`, links and all."""
    defs["animals"] = defs.pop("pets")
    defs["people"]["properties"]["pets"]["items"]["$ref"] = "#/$defs/animals"


def test_rename_a_table(path: Path) -> None:
    """Records, links to it and the tag stay; only the name is new."""
    schema, old = edited(renamed_table), tags(path)
    lines = ["rename table pets to animals", "drop index index:pets:vet_id", "add index index:animals:vet_id"]
    assert migrate(path, schema, renames={"pets": "animals"}, apply=True) == lines
    assert rows(path, "select id, name, vet_id from animals") == [(1, "Rex", 1), (2, "Tom", None)]
    assert tags(path)["animals"] == old["pets"]
    assert "pets" not in tags(path)
    whole(path, schema)
    with closing(open_store(path, schema)) as store:
        people = store.schema.find("people")
        ident = minirest.Col(minirest.Path((), store.schema.find("animals").id))
        shape = minirest.Sub(people.links["pets"], ident, many=True)
        assert [row.text for row in store.run(minirest.Select(people, shape)).rows] == ["[1,2]", "[]", "[]"]


def test_the_old_name_of_a_renamed_table_gets_another_tag(path: Path) -> None:
    """A new table of the old name is another table: the tag went with the records."""
    old = tags(path)
    schema = edited(renamed_table)
    migrate(path, schema, renames={"pets": "animals"}, apply=True)
    schema["$defs"]["pets"] = {"type": "object", "properties": {"name": {"type": "string"}}}
    open_store(path, schema).close()
    assert tags(path)["animals"] == old["pets"]
    assert tags(path)["pets"] != old["pets"]


@pytest.mark.parametrize("old", ["nope", "people.nope", "nope.name"])
def test_a_rename_of_what_is_not_there_is_refused(path: Path, old: str) -> None:
    """With its line, and without a copy."""
    before = dump(path)
    with pytest.raises(ValueError, match="is not in the file") as caught:
        migrate(path, BASE, renames={old: "x"}, apply=True)
    assert str(caught.value) == f"rename {old} to x ({old} is not in the file)"
    assert (dump(path), copies(path)) == (before, [])


@pytest.mark.parametrize(
    ("old", "new", "value", "expected"),
    [
        ("integer", {"type": "string"}, 5, "5"),
        ("integer", {"type": "number"}, 5, 5.0),
        ("integer", {"type": "boolean"}, 1, 1),
        ("number", {"type": "integer"}, 5.0, 5),
        ("number", {"type": "string"}, 0.1, "0.1"),
        ("boolean", {"type": "string"}, True, "true"),
        ("string", {"type": "integer"}, "5", 5),
        ("string", {"type": "number"}, "2.5", 2.5),
        ("string", {"type": "boolean"}, "true", 1),
        ("string", {"type": "string", "format": "date"}, "2024-05-01", "2024-05-01"),
        ("string", {"type": "array", "items": {"type": "string"}}, "a", '["a"]'),
    ],
)
def test_retyped_values(tmp_path: Path, old: str, new: Json, value: Json, expected: Json) -> None:
    """A value that fits the new kind is kept in the new form."""

    def schema(field: Json) -> Json:
        return {"$defs": {"t": {"type": "object", "properties": {"a": field, "b": {"type": "string"}}}}}

    path, before = tmp_path / "x.db", schema({"type": old, "x-index": True})
    with closing(open_store(path, before)) as store:
        table = store.schema.find("t")
        values = {table.fields["a"]: table.fields["a"].parse_json(value), table.fields["b"]: "kept"}
        store.run(minirest.Create(table, values, {}, minirest.Const(None)))
    after = schema(new)
    assert migrate(path, after)[-1].endswith("(1 records)")
    migrate(path, after, apply=True)
    assert rows(path, "select a, typeof(a), b from t") == [
        (expected, {str: "text", int: "integer", float: "real"}[type(expected)], "kept")
    ]
    whole(path, after)


@pytest.mark.parametrize(
    ("old", "new", "value"),
    [
        ({"type": "number"}, {"type": "integer"}, 2.5),
        ({"type": "integer"}, {"type": "number"}, 2**53 + 1),
        ({"type": "string"}, {"type": "number"}, str(2**53 + 1)),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}, "2024-05-01T12:00:00Z"),
        ({"type": "string", "format": "password"}, {"type": "string"}, "geheim"),
        ({"type": "string", "format": "password"}, {"type": "object"}, "geheim"),
    ],
)
def test_values_that_do_not_fit(tmp_path: Path, old: Json, new: Json, value: Json) -> None:
    """A value that would become another one is a loss, and so is the hash of a password."""

    def schema(field: Json, value: Json) -> Json:
        return {"$defs": {"t": {"type": "object", "properties": {"a": field}, "examples": [{"a": value}]}}}

    path, after = tmp_path / "x.db", schema(new, None)
    open_store(path, schema(old, value)).close()
    (line,) = migrate(path, after)
    assert line.endswith(", which 1 values do not fit (1 records, loses data: --drop t.a)")
    with pytest.raises(ValueError, match="loses data"):
        migrate(path, after, apply=True)
    migrate(path, after, apply=True, drop=["t.a"])
    assert rows(path, "select a from t") == [(None,)]


def test_a_default_takes_the_place_of_values_that_do_not_fit(path: Path) -> None:
    """Where the field is required."""
    schema = edited(properties(age={"type": "integer", "default": 7}), lambda it: it["people"].update(required=["age"]))
    lines = migrate(path, schema, apply=True, drop=["people.age"])
    assert lines[1:] == ["fill field people.age with its default (1 records)"]
    assert rows(path, "select age from people order by id") == [(30,), (7,), (40,)]
    whole(path, schema)


def test_the_default_of_a_password_is_filled_in_as_a_hash(path: Path) -> None:
    """As it is for a new record."""
    schema = edited(properties(pin={"type": "string", "format": "password", "default": "geheim"}))
    open_store(path, schema).close()
    assert all(minirest.verify_password("geheim", pin) for (pin,) in rows(path, "select pin from people"))


def test_values_that_break_a_rule_in_their_new_kind(tmp_path: Path) -> None:
    """Are told of, and nothing is changed."""

    def schema(field: Json, *values: Json) -> Json:
        examples = [{"a": value} for value in values]
        return {"$defs": {"t": {"type": "object", "properties": {"a": field}, "examples": examples}}}

    path = tmp_path / "x.db"
    open_store(path, schema({"type": "string"}, "1", "01")).close()
    before = dump(path)
    with pytest.raises(ValueError, match=r"^add index unique:t:a: UNIQUE constraint failed: t.a$"):
        migrate(path, schema({"type": "integer", "x-unique": True}), apply=True)
    assert dump(path) == before


def test_a_loss_that_is_not_in_the_plan(path: Path) -> None:
    """Is another name than the one that was meant."""
    before = dump(path)
    with pytest.raises(ValueError, match=r"^--drop people.agee: the plan loses nothing of this name$"):
        migrate(path, edited(without("age")), apply=True, drop=["people.age", "people.agee"])
    assert (dump(path), copies(path)) == (before, [])


def test_a_text_that_becomes_a_password_is_not_kept_in_the_clear(path: Path) -> None:
    """Either it is stored as a hash, or it is a loss that has to be named."""
    schema = edited(PLANS["retype, all fit"][0])
    try:
        migrate(path, schema, apply=True)
    except ValueError:
        migrate(path, schema, apply=True, drop=["people.name"])
    assert all(
        name is None or minirest.verify_password("x", name) in (True, False)
        for (name,) in rows(path, "select name from people")
    )


def test_unique_is_refused_whatever_is_dropped(path: Path) -> None:
    """A rule that records break cannot be carried out; they have to be changed first."""
    edit, lines = PLANS["unique"]
    before = dump(path)
    with pytest.raises(ValueError, match="change them first") as caught:
        migrate(path, edited(edit), apply=True, drop=["people.town", "people"])
    assert str(caught.value) == lines[0]
    assert (dump(path), copies(path)) == (before, [])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update people set town='Bonn' where id=2")
        connection.commit()
    open_store(path, edited(edit)).close()
    whole(path, edited(edit))


def test_required_is_carried_out_by_hand_only(path: Path) -> None:
    """Records without a value stay as they are; the rule holds for the next write."""
    edit, _ = PLANS["required"]
    migrate(path, edited(edit), apply=True)
    whole(path, edited(edit))
    with closing(open_store(path, edited(edit))) as store:
        people = store.schema.find("people")
        where = minirest.Compare(minirest.Path((), people.id), "eq", 3)
        op = minirest.Update(people, where, {people.fields["name"]: "x"}, {}, minirest.Const(None))
        with pytest.raises(minirest.ApiError) as caught:
            store.run(op)
        assert [(fault.path, fault.rule) for fault in caught.value.violations] == [(("town",), "required")]


def test_a_step_that_fails_undoes_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a step fails in the middle, the file is as it was; the copy is there."""
    schema = edited(without("age"), properties(size={"type": "integer"}, code={"type": "string", "x-unique": True}))
    before, plan = dump(path), minirest.make_plan

    def broken(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("no luck")

    def make_plan(*arguments: Any) -> list[minirest.Step]:
        steps = plan(*arguments)
        return [*steps[:-1], minirest.Step("break", broken), steps[-1]]

    monkeypatch.setattr(minirest, "make_plan", make_plan)
    with pytest.raises((sqlite3.Error, minirest.ApiError)):
        migrate(path, schema, apply=True, drop=["people.age"])
    assert dump(path) == before
    assert [dump(copied) for copied in copies(path)] == [before]
    with pytest.raises(MigrationNeeded):
        open_store(path, schema)


def test_a_step_that_fails_at_the_start_undoes_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for additions, which are made when the file is opened."""
    schema, before = edited(properties(size={"type": "integer"}, mass={"type": "integer"})), dump(path)
    monkeypatch.setattr(minirest, "define_column", lambda *_: minirest.Sql("1 nonsense ("))
    with pytest.raises((sqlite3.Error, minirest.ApiError)):
        open_store(path, schema)
    assert dump(path) == before


def test_an_empty_file_has_nothing_to_migrate(tmp_path: Path) -> None:
    """It is refused."""
    path = tmp_path / "x.db"
    sqlite3.connect(path).close()
    with pytest.raises(minirest.NotOurs):
        migrate(path, BASE)


def test_the_copy_holds_what_was_not_yet_in_the_file(path: Path) -> None:
    """A copy of a file that has a write-ahead log beside it is whole."""
    with closing(sqlite3.connect(path)) as other:
        other.execute("select * from people").fetchone()
        other.commit()
        other.execute("update people set town='Bonn'")
        other.commit()
        left = path.with_name("left.db")  # as after a crash
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{left}{end}")
    migrate(left, edited(without("age")), apply=True, drop=["people.age"])
    assert rows(copies(left)[0], "select age, town from people order by id") == [
        ("30", "Bonn"),
        ("old", "Bonn"),
        ("40", "Bonn"),
    ]


def test_a_file_in_use_is_not_migrated(path: Path) -> None:
    """A server would go on with the tables that it knows: it has to be stopped. The plan can be seen meanwhile."""
    schema = edited(without("age"))
    with closing(open_store(path, BASE)):
        (line,) = migrate(path, schema)
        with pytest.raises(ValueError, match=r"x\.db' is in use; stop the server first$"):
            migrate(path, schema, apply=True, drop=["people.age"])
    assert copies(path) == []
    assert migrate(path, schema, apply=True, drop=["people.age"]) == [line]


def test_without_a_step_there_is_no_copy(path: Path) -> None:
    """Nothing changes, so nothing is kept."""
    assert migrate(path, BASE, apply=True) == []
    assert copies(path) == []
