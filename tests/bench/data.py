"""The data of the benchmark: people and their orders, the same for every server, in the form that each takes."""

import json
import random
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

Record = Mapping[str, Any]
FIELDS = ("first_name", "last_name", "email", "age", "city", "country", "salary", "active", "created")
"""The fields of a person beside the id."""
COUNTRIES, YOUNGEST, OLDEST = 20, 20, 60
"""The values that requests ask for: `C0` to `C19`, and an age between these two."""
USER, MANAGER, PASSWORD = "clerk", "manager", "open-sesame"
"""Two users of ours: one is held to a rule for each row, the other is not; their roles are called as they are."""

FIRST_NAMES = ("Ann", "Bob", "Cleo", "Dirk", "Eva", "Finn", "Gül", "Hana", "Ivo", "Jana")
LAST_NAMES = ("Abel", "Baker", "Çelik", "Dietz", "Evans", "Fuchs", "Gruber", "Huber", "Ito", "Jansen")
TABLES = """
create table person(
  id integer primary key, first_name text not null, last_name text not null, email text not null,
  age integer, city text, country text, salary real, active integer, created text
);
create table orders(
  id integer primary key, person_id integer not null references person(id), amount real, status text, created text
);
create index person_last_name on person(last_name);
create index person_country on person(country);
create index orders_person on orders(person_id);
"""


class Data(NamedTuple):
    """The records of both tables, in the order of their ids, which begin at 1."""

    people: list[Record]
    orders: list[Record]

    def orders_of(self, ids: Iterable[int]) -> int:
        """How many orders these people have together."""
        wanted = set(ids)
        return sum(order["person_id"] in wanted for order in self.orders)


def make_data(people: int = 10_000, orders: int = 50_000) -> Data:
    """Make up the records; the same numbers give the same records."""
    dice = random.Random(7)
    return Data(
        [
            {
                "id": number,
                "first_name": dice.choice(FIRST_NAMES),
                "last_name": f"{dice.choice(LAST_NAMES)}{number % 997}",
                "email": f"user{number}@example.org",
                "age": dice.randrange(18, 81),
                "city": f"City{dice.randrange(50)}",
                "country": f"C{dice.randrange(COUNTRIES)}",
                "salary": round(dice.uniform(1000, 9000), 2),
                "active": dice.random() < 0.5,
                "created": f"2024-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}T10:00:00Z",
            }
            for number in range(1, people + 1)
        ],
        [
            {
                "id": number,
                "person_id": dice.randrange(1, people + 1),
                "amount": round(dice.uniform(5, 500), 2),
                "status": dice.choice(("new", "paid", "sent")),
                "created": f"2024-{dice.randrange(1, 13):02d}-01",
            }
            for number in range(1, orders + 1)
        ],
    )


def schema() -> dict[str, Any]:
    """The schema file of ours. Nobody owns what is imported, so that the rule for each row lets all of it through."""
    text = {"type": "string"}
    own_or_free = {"$or": [{"owner": None}, {"owner": "$me"}]}
    return {
        "title": "Benchmark",
        "$defs": {
            "person": {
                "type": "object",
                "properties": {
                    "first_name": text,
                    "last_name": {**text, "x-index": True},
                    "email": text,
                    "age": {"type": "integer"},
                    "city": text,
                    "country": {**text, "x-index": True},
                    "salary": {"type": "number"},
                    "active": {"type": "boolean"},
                    "created": {**text, "format": "date-time"},
                    "orders": {"type": "array", "items": {"$ref": "#/$defs/orders"}, "x-inverse": "person"},
                },
                "required": ["first_name", "last_name", "email"],
                "x-rights": {
                    USER: dict.fromkeys(("list", "get", "create", "update"), own_or_free),
                    MANAGER: {"*": True},
                },
            },
            "orders": {
                "type": "object",
                "properties": {
                    "person": {"$ref": "#/$defs/person"},
                    "amount": {"type": "number"},
                    "status": text,
                    "created": {**text, "format": "date"},
                },
                "required": ["person"],
            },
        },
    }


def renamed(record: Record, **names: str) -> dict[str, Any]:
    """A record with other names for some of its fields; one that is named `""` is left out."""
    return {names.get(name, name): value for name, value in record.items() if names.get(name) != ""}


def write_lines(data: Data, folder: Path) -> None:
    """Write `person.ndjson` and `orders.ndjson`, as ours imports them."""
    rows = {
        "person": [renamed(person, id="") for person in data.people],
        "orders": [renamed(order, id="", person_id="person") for order in data.orders],
    }
    for table, records in rows.items():
        lines = (json.dumps(record) + "\n" for record in records)
        (folder / f"{table}.ndjson").write_text("".join(lines), encoding="utf-8")


def write_json(data: Data, file: Path) -> None:
    """Write one file with both tables, as json-server 0.17 reads it."""
    file.write_text(json.dumps({"person": data.people, "orders": data.orders}), encoding="utf-8")


def write_json_with_texts_as_ids(data: Data, file: Path) -> None:
    """Write one file with both tables, as json-server 1.0 reads it."""
    people = [{**person, "id": str(person["id"])} for person in data.people]
    orders = [
        {**renamed(order, person_id=""), "id": str(order["id"]), "personId": str(order["person_id"])}
        for order in data.orders
    ]
    file.write_text(json.dumps({"person": people, "orders": orders}), encoding="utf-8")


def insert(connection: sqlite3.Connection, table: str, records: list[dict[str, Any]]) -> None:
    """Put records into a table that has columns of their names."""
    names = list(records[0])
    places = ", ".join("?" * len(names))
    connection.executemany(
        f"insert into {table}({', '.join(names)}) values({places})", [[*record.values()] for record in records]
    )


def write_sqlite(data: Data, file: Path) -> None:
    """Write a database with write-ahead log and statistics, as most peers open it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(TABLES)
        insert(connection, "person", [dict(person) for person in data.people])
        insert(connection, "orders", [dict(order) for order in data.orders])
        connection.commit()
        connection.execute("analyze")
        connection.execute("pragma wal_checkpoint(truncate)")
