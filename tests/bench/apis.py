"""How each API is asked to do a job, and how its answers are read."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from tests.bench.data import FIELDS, Record
from tests.web import Answer


class Request(NamedTuple):
    """What is sent. `<id>`, `<country>`, `<age>` and `<number>` stand for values that change with each request."""

    path: str
    method: str = "GET"
    body: str = ""

    def filled(self, **values: str) -> "Request":
        """The same with values in their places."""
        path, body = self.path, self.body
        for name, value in values.items():
            path, body = path.replace(f"<{name}>", value), body.replace(f"<{name}>", value)
        return self._replace(path=path, body=body)


Ask = Callable[[Request], Answer]


class Job(NamedTuple):
    """One kind of work. A mix has other jobs, each with how often it comes among ten requests."""

    name: str
    writes: bool = False
    mix: Mapping[str, int] = {}

    @property
    def parts(self) -> Mapping[str, int]:
        """The jobs that requests are made for, with their weights."""
        return self.mix or {self.name: 1}


JOBS = {
    job.name: job
    for job in (
        Job("one"),
        Job("list 20"),
        Job("list + total"),
        Job("filter 100"),
        Job("filter + total"),
        Job("embed 20"),
        Job("create", writes=True),
        Job("update", writes=True),
        Job("mix 9:1", writes=True, mix={"one": 5, "list 20": 2, "list + total": 1, "filter 100": 1, "update": 1}),
    )
}
NEW: Record = {
    "first_name": "New",
    "last_name": "Zed<number>",
    "email": "new<number>@example.org",
    "age": "<age>",
    "city": "City1",
    "country": "<country>",
    "salary": 10.5,
    "active": True,
    "created": "2024-01-01T10:00:00Z",
}
"""The body of a create."""


def body(value: Mapping[str, Any]) -> str:
    """A body as JSON, with the age as a number."""
    return json.dumps(value).replace('"<age>"', "<age>")


CREATE, UPDATE = body(NEW), body({"age": "<age>"})


class Api:
    """An API that takes and gives plain records. `requests` has the jobs that it can do."""

    requests: ClassVar[Mapping[str, Request]] = {}
    shows_people: ClassVar[bool] = True
    """Whether the answers can be compared with the data."""
    id_form = "%d"
    """How the id of a record is made of its number."""

    def learn(self, ask: Ask) -> None:
        """Find out what only the server knows."""

    def offers(self, job: Job) -> bool:
        """Whether a job can be done."""
        return all(part in self.requests for part in job.parts)

    def count(self, ask: Ask) -> int:
        """How many people there are."""
        return self.total(ask(self.requests["list + total"]))

    def total(self, answer: Answer) -> int:
        """The total that came with a list."""
        return int(answer.headers["X-Total-Count"])

    def tells(self, answer: Answer, total: int, page: int) -> bool:
        """Whether a list in pages of so many records came with this total."""
        del page
        return self.total(answer) == total

    def records(self, answer: Answer) -> Sequence[Record]:
        """The records of an answer, also when there is one only."""
        found = self.unwrapped(answer.json)
        return found if isinstance(found, list) else [found]

    def unwrapped(self, value: Any) -> Any:
        """The record or the records in a body."""
        return value

    def embedded(self, record: Record) -> Sequence[Any]:
        """The orders in the record of a person, or their ids."""
        orders: Sequence[Any] = record["orders"]
        return orders


class Limbas(Api):
    """Ours; a page has always a total, and a many link is a list of ids."""

    _FIELDS = f"$fields={','.join(FIELDS)}"
    _LIST = Request(f"/person?$page[count]=20&$sort=last_name&{_FIELDS}")
    _FILTER = Request(f"/person?country=<country>&age[gte]=<age>&$page[count]=100&{_FIELDS}")
    requests: ClassVar = {
        "one": Request(f"/person/<id>?{_FIELDS}"),
        "list 20": _LIST,
        "list + total": _LIST,
        "filter 100": _FILTER,
        "filter + total": _FILTER,
        "embed 20": Request("/person?$page[count]=20"),
        "create": Request("/person", "POST", body({"data": NEW})),
        "update": Request("/person/<id>", "PATCH", body({"data": {"age": "<age>"}})),
    }

    def tells(self, answer: Answer, total: int, page: int) -> bool:
        return self.pages(answer) == math.ceil(total / page)

    def count(self, ask: Ask) -> int:
        """There are as many records as pages of one."""
        return self.pages(ask(Request("/person?$page[count]=1")))

    def pages(self, answer: Answer) -> int:
        """The number of the last page."""
        (number,) = re.findall(r"\$page\[number\]=(\d+)", answer.json["links"]["last"])
        return int(number)

    def unwrapped(self, value: Any) -> Any:
        data = value["data"]
        return [item["attributes"] for item in data] if isinstance(data, list) else data["attributes"]

    def embedded(self, record: Record) -> Sequence[Any]:
        orders: Sequence[Any] = record["orders"]["data"]
        return orders


class NocoBase(Api):
    """Ours; a list has always a total, and an association is a list of whole records."""

    _LIST = Request("/api/person:list?pageSize=20&sort=last_name")
    _FILTER = Request("/api/person:list?filter[country]=<country>&filter[age][$gte]=<age>&pageSize=100")
    requests: ClassVar = {
        "one": Request("/api/person:get/<id>"),
        "list 20": _LIST,
        "list + total": _LIST,
        "filter 100": _FILTER,
        "filter + total": _FILTER,
        "embed 20": Request("/api/person:list?pageSize=20&appends=orders"),
        "create": Request("/api/person:create", "POST", CREATE),
        "update": Request("/api/person:update/<id>", "POST", UPDATE),
    }

    def total(self, answer: Answer) -> int:
        return int(answer.json["meta"]["count"])

    def unwrapped(self, value: Any) -> Any:
        return value["data"]


class CoreData(Api):
    """Ours; a list has always a total, and a record always the addresses of its orders."""

    _LIST = Request("/api/v2/person/?limit=20&order_by=last_name")
    _FILTER = Request("/api/v2/person/?country=<country>&age__gte=<age>&limit=100")
    requests: ClassVar = {
        "one": Request("/api/v2/person/<id>/"),
        "list 20": _LIST,
        "list + total": _LIST,
        "filter 100": _FILTER,
        "filter + total": _FILTER,
        "embed 20": Request("/api/v2/person/?limit=20"),
        "create": Request("/api/v2/person/", "POST", CREATE),
        "update": Request("/api/v2/person/<id>/", "PATCH", UPDATE),
    }

    def learn(self, ask: Ask) -> None:
        """The id of the first record shows the form of all."""
        (first,) = self.records(ask(Request("/api/v2/person/?limit=1")))
        self.id_form = f"{first['id'][:-12]}%012x"

    def total(self, answer: Answer) -> int:
        return int(answer.json["meta"]["total_count"])

    def unwrapped(self, value: Any) -> Any:
        return value.get("objects", value)


class Platform(Api):
    """Ours; a list has no total, and a link to many is a list of ids."""

    _FIELDS = f"only={','.join(FIELDS)}"
    requests: ClassVar = {
        "one": Request(f"/api/v1/person/<id>?{_FIELDS}"),
        "list 20": Request(f"/api/v1/person?limit=20&sortBy=last_name&{_FIELDS}"),
        "embed 20": Request("/api/v1/person?limit=20"),
        "create": Request("/api/v1/person", "POST", CREATE),
        "update": Request("/api/v1/person/<id>", "PATCH", UPDATE),
    }

    def learn(self, ask: Ask) -> None:
        """The id of the first record shows the form of all."""
        (first,) = self.records(ask(Request("/api/v1/person?limit=1")))
        self.id_form = f"{first['_id'][:-16]}%016x"

    def count(self, ask: Ask) -> int:
        return int(ask(Request("/api/v1/person?meta=true")).json["total"])


class PocketBase(Api):
    """A list has a total unless told otherwise; relations are expanded to whole records."""

    _LIST = "/api/collections/person/records"
    _FILTER = f"{_LIST}?perPage=100&filter=country%3D%27<country>%27%26%26age%3E%3D<age>"
    requests: ClassVar = {
        "one": Request(f"{_LIST}/<id>"),
        "list 20": Request(f"{_LIST}?perPage=20&sort=last_name&skipTotal=1"),
        "list + total": Request(f"{_LIST}?perPage=20&sort=last_name"),
        "filter 100": Request(f"{_FILTER}&skipTotal=1"),
        "filter + total": Request(_FILTER),
        "embed 20": Request(f"{_LIST}?perPage=20&skipTotal=1&expand=orders_via_person_id"),
        "create": Request(_LIST, "POST", CREATE),
        "update": Request(f"{_LIST}/<id>", "PATCH", UPDATE),
    }
    id_form = "p%014d"

    def total(self, answer: Answer) -> int:
        return int(answer.json["totalItems"])

    def unwrapped(self, value: Any) -> Any:
        return value.get("items", value)

    def embedded(self, record: Record) -> Sequence[Any]:
        orders: Sequence[Any] = record.get("expand", {}).get("orders_via_person_id", ())
        return orders


class JsonServer(Api):
    """Version 0.17, which has a total in a header."""

    requests: ClassVar = {
        "one": Request("/person/<id>"),
        "list 20": Request("/person?_limit=20&_sort=last_name"),
        "list + total": Request("/person?_limit=20&_page=1&_sort=last_name"),
        "filter 100": Request("/person?country=<country>&age_gte=<age>&_limit=100"),
        "filter + total": Request("/person?country=<country>&age_gte=<age>&_limit=100&_page=1"),
        "embed 20": Request("/person?_limit=20&_embed=orders"),
        "create": Request("/person", "POST", CREATE),
        "update": Request("/person/<id>", "PATCH", UPDATE),
    }


class JsonServerBeta(Api):
    """Version 1.0, whose pages have a total."""

    _LIST = Request("/person?_page=1&_per_page=20&_sort=last_name")
    _FILTER = Request("/person?country=<country>&age:gte=<age>&_page=1&_per_page=100")
    requests: ClassVar = {
        "one": Request("/person/<id>"),
        "list 20": _LIST,
        "list + total": _LIST,
        "filter 100": _FILTER,
        "filter + total": _FILTER,
        "embed 20": Request("/person?_page=1&_per_page=20&_embed=orders"),
        "create": Request("/person", "POST", CREATE),
        "update": Request("/person/<id>", "PATCH", UPDATE),
    }

    def total(self, answer: Answer) -> int:
        return int(answer.json["items"])

    def unwrapped(self, value: Any) -> Any:
        return value.get("data", value) if isinstance(value, dict) else value


class Soul(Api):
    """A list has always a total; what belongs to a record cannot be embedded."""

    _ROWS = "/api/tables/person/rows"
    _LIST = Request(f"{_ROWS}?_limit=20&_ordering=last_name")
    _FILTER = Request(f"{_ROWS}?_limit=100&_filters=country:<country>,age__gte:<age>")
    requests: ClassVar = {
        "one": Request(f"{_ROWS}/<id>"),
        "list 20": _LIST,
        "list + total": _LIST,
        "filter 100": _FILTER,
        "filter + total": _FILTER,
        "create": Request(_ROWS, "POST", body({"fields": {**NEW, "active": 1}})),
        "update": Request(f"{_ROWS}/<id>", "PUT", body({"fields": {"age": "<age>"}})),
    }

    def total(self, answer: Answer) -> int:
        return int(answer.json["total"])

    def unwrapped(self, value: Any) -> Any:
        return value["data"]


class Datasette(Api):
    """It only reads."""

    _FILTER = "/bench/person.json?country=<country>&age__gte=<age>&_size=100&_shape=objects"
    requests: ClassVar = {
        "one": Request("/bench/person/<id>.json?_shape=objects"),
        "list 20": Request("/bench/person.json?_size=20&_sort=last_name&_nocount=1&_shape=objects"),
        "list + total": Request("/bench/person.json?_size=20&_sort=last_name&_shape=objects"),
        "filter 100": Request(f"{_FILTER}&_nocount=1"),
        "filter + total": Request(_FILTER),
    }

    def total(self, answer: Answer) -> int:
        return int(answer.json["filtered_table_rows_count"])

    def unwrapped(self, value: Any) -> Any:
        return value["rows"]


class HandWritten(Api):
    """What `peers/fastapi_app.py` serves."""

    requests: ClassVar = {
        "one": Request("/person/<id>"),
        "list 20": Request("/person?limit=20&sort=last_name"),
        "list + total": Request("/person?limit=20&sort=last_name&total=true"),
        "filter 100": Request("/person?country=<country>&age__gte=<age>&limit=100"),
        "filter + total": Request("/person?country=<country>&age__gte=<age>&limit=100&total=true"),
        "embed 20": Request("/person-with-orders?limit=20"),
        "create": Request("/person", "POST", CREATE),
        "update": Request("/person/<id>", "PATCH", UPDATE),
    }


class Tastypie(Api):
    """What `peers/tastypie_app.py` serves; a list has always a total."""

    _LIST = Request("/person/?limit=20&order_by=last_name")
    _FILTER = Request("/person/?country=<country>&age__gte=<age>&limit=100")
    requests: ClassVar = {
        "one": Request("/person/<id>/"),
        "list 20": _LIST,
        "list + total": _LIST,
        "filter 100": _FILTER,
        "filter + total": _FILTER,
        "embed 20": Request("/person-with-orders/?limit=20"),
        "create": Request("/person/", "POST", CREATE),
        "update": Request("/person/<id>/", "PATCH", UPDATE),
    }

    def total(self, answer: Answer) -> int:
        return int(answer.json["meta"]["total_count"])

    def unwrapped(self, value: Any) -> Any:
        return value.get("objects", value)


class Hello(Api):
    """No API: one text for every request, to see what a server costs by itself."""

    requests: ClassVar = {"one": Request("/")}
    shows_people = False
