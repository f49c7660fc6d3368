"""The numbered lines of the Limbas dialect: one scenario each, answers compared as whole texts."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from webtest import TestApp

import minirest
from tests.web import Lines, dump

NOW = datetime(2024, 6, 15, 12, 0, tzinfo=UTC)
SAMPLE = Path(__file__).resolve().parents[2] / "sample_schema.json"
JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"

CUSTOMERS: dict[int, dict[str, Any]] = {
    1: {"name": "Meier", "plz": "10115", "umsatz": 10, "aktiv": True, "seit": "2024-05-01", "boss": 3},
    2: {"name": "meiermann", "plz": "80331", "umsatz": 12.5, "aktiv": False, "seit": "2023-12-31", "boss": 7},
    3: {"name": "Zoll 100%", "plz": "10115", "umsatz": 20},
    4: {"name": "", "aktiv": True, "seit": "2024-05-02"},
    5: {"name": "Ölmüller", "plz": "80331", "umsatz": 0, "aktiv": False, "seit": "2019-04-01", "boss": 7},
    6: {"name": "Archiv", "_status": "archived"},
    7: {"name": "Papierkorb", "_status": "trash"},
    8: {"name": "Gestern", "valid_to": "2024-06-14"},
    9: {"name": "Morgen", "valid_from": "2024-06-16"},
}
MOMENTS = {1: "2024-05-01 13:45:00", 2: "2024-05-01 00:00:00", 3: "2024-04-30 23:59:59", 5: "2024-05-02 00:00:00"}
VALID_FROM = {1: "2024-06-15", 4: "2020-01-01", 5: "2020-01-01"}
VALID_TO = {2: "2024-06-15", 5: "2030-12-31"}
CONTACTS_OF = {1: [2, 1, 4, 5], 3: [3]}
BOSSES = ("Anna", "Bernd", "Cäcilie", "Didem", "Émile", "Fritz", "Petra")
CONTACTS = ("Anna", "Bert", "Clara", "Ada", "Hanna")
ARCHIVED_CONTACT = 5
for number, row in CUSTOMERS.items():
    row["termin"] = MOMENTS[number].replace(" ", "T") + "Z" if number in MOMENTS else None
    row["kontakte"] = CONTACTS_OF.get(number, [])
    row.setdefault("valid_from", VALID_FROM.get(number))
    row.setdefault("valid_to", VALID_TO.get(number))

TEXT = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "Kunden": {
            "type": "object",
            "properties": {
                "Name": {"type": "string", "maxLength": 40},
                "plz": TEXT,
                "umsatz": {"type": "number"},
                "aktiv": {"type": "boolean"},
                "seit": {"type": "string", "format": "date"},
                "termin": {"type": "string", "format": "date-time"},
                "Boss": {"$ref": "#/$defs/personen"},
                "kontakte": {"type": "array", "items": {"$ref": "#/$defs/kontakte"}},
            },
            "required": ["Name"],
            "x-archive": True,
            "x-validity": True,
            "examples": [
                {{"name": "Name", "boss": "Boss"}.get(key, key): value for key, value in row.items()}
                for row in CUSTOMERS.values()
            ],
        },
        "personen": {"type": "object", "properties": {"name": TEXT}, "examples": [{"name": name} for name in BOSSES]},
        "kontakte": {
            "type": "object",
            "properties": {"name": TEXT},
            "x-archive": True,
            "examples": [
                {"name": name, **({"_status": "archived"} if place == ARCHIVED_CONTACT else {})}
                for place, name in enumerate(CONTACTS, 1)
            ],
        },
    }
}


# ---- the answers, built from the data above ----


def record(table: str, number: int, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """One record as it stands in `data`."""
    return {"links": {"self": f"/{table}/{number}"}, "id": str(number), "attributes": attributes}


def relation(address: str, target: str, ids: Sequence[int]) -> dict[str, Any]:
    """One relation as it stands among the attributes."""
    links = {"self": address, "related": f"/{target}"}
    return {"links": links, "data": [{"id": str(number)} for number in ids]}


def customer(number: int, only: Sequence[str] | None = None, **changes: Any) -> dict[str, Any]:
    """One customer; `changes` are what a test has changed, `boss` and `kontakte` as lists of ids."""
    data = {"plz": None, "umsatz": None, "aktiv": None, "seit": None, **CUSTOMERS.get(number, {})}
    data |= {"termin": MOMENTS.get(number), "boss": [data["boss"]] if data.get("boss") else []}
    data = {"kontakte": [], "valid_from": None, "valid_to": None, **data, **changes}
    order = ("name", "plz", "umsatz", "aktiv", "seit", "termin", "boss", "kontakte", "valid_from", "valid_to")
    for name, target in (("boss", "personen"), ("kontakte", "kontakte")):
        data[name] = relation(f"/kunden/{number}/{name}", target, data[name])
    return record("kunden", number, {name: data[name] for name in only or order})


def customers(*numbers: int, only: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Several customers as the data has them."""
    return [customer(number, only) for number in numbers]


def bosses(*numbers: int) -> list[dict[str, Any]]:
    """People as linked records."""
    return [record("personen", number, {"name": BOSSES[number - 1]}) for number in numbers]


def contacts(*numbers: int) -> list[dict[str, Any]]:
    """Contacts as linked records."""
    return [record("kontakte", number, {"name": CONTACTS[number - 1]}) for number in numbers]


def errors(status: int, *messages: str) -> dict[str, Any]:
    """The form of every error."""
    return {"errors": [{"code": status, "message": message} for message in messages]}


class Web:
    """A client that compares status, content type and the whole text of every answer."""

    def __init__(self, app: minirest.Application) -> None:
        self.app = app
        self.client = TestApp(app)
        self.client.authorization = ("Basic", ("admin", "open sesame"))

    def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """Send a request; `body` is a text, or a value that is written as JSON."""
        if body is None:
            return self.client.request(path, method=method, expect_errors=True)
        text = body if isinstance(body, str) else json.dumps(body)
        return self.client.request(
            path, method=method, body=text.encode(), content_type=content_type, expect_errors=True
        )

    def expect(self, answer: Any, expected: Any, status: int = 200) -> Any:
        """Hold an answer against what it should be, down to the order of the keys."""
        assert (answer.status_int, answer.text) == (
            status,
            json.dumps(expected, ensure_ascii=False, separators=(",", ":")),
        )
        assert answer.headers["Content-Type"] == JSON
        return answer

    def show(self, path: str, data: Sequence[Any], own: str | None = None, **pages: str) -> None:
        """GET a list; `own` is the address that it gives itself, `pages` its other links."""
        self.expect(self.send("GET", path), {"links": {"self": own or path, **pages}, "data": data})

    def one(self, path: str, data: Mapping[str, Any]) -> Any:
        """GET a record."""
        return self.expect(self.send("GET", path), {"links": {"self": path}, "data": data})

    def refuse(self, status: int, message: str, method: str, path: str, body: Any = None) -> None:
        """Send what is refused with one message, and see that the database has not changed."""
        before = self.dump()
        self.expect(self.send(method, path, body), errors(status, message), status)
        assert self.dump() == before

    def dump(self) -> list[str]:
        """Return everything that is stored."""
        return dump(self.app.store)


@pytest.fixture
def web() -> Iterator[Web]:
    """Serve the customers at noon of 2024-06-15."""
    app = minirest.make_app(SCHEMA, users={"admin": "open sesame"}, clock=lambda: NOW)
    yield Web(app)
    app.close()


LINES = Lines()
line = LINES.line

ACTIVE = (1, 2, 3, 4, 5)
PAGE = "/kunden?$page[count]=2&$page[number]="


@line(1)
def whole_table(web: Web) -> None:
    """A list has `links` and `data` only, ids ascending, every item with `links`, `id`, `attributes`."""
    web.show("/kunden", customers(*ACTIVE))


@line(2)
def table_without_case(web: Web) -> None:
    """A table's name is read without case; links and attributes are in lower case."""
    web.show("/KUNDEN", customers(*ACTIVE), own="/kunden")


@line(3)
def trailing_slash(web: Web) -> None:
    """A slash at the end changes nothing."""
    web.show("/kunden/", customers(*ACTIVE), own="/kunden")
    web.expect(web.send("GET", "/kunden/3/"), {"links": {"self": "/kunden/3"}, "data": customer(3)})


@line(4)
def unknown_table(web: Web) -> None:
    """An unknown table is 400."""
    web.refuse(400, "Unknown table nope", "GET", "/nope")


@line(5)
def bad_id(web: Web) -> None:
    """An id that is no number is 400."""
    web.refuse(400, "Invalid dataset id abc", "GET", "/kunden/abc")


@line(6)
def too_many_parts(web: Web) -> None:
    """A fourth part is 400."""
    web.refuse(400, "Too many request parts", "GET", "/kunden/1/boss/x")


@line(7)
def bad_link(web: Web) -> None:
    """An unknown link is 400, a field that is none 404."""
    web.refuse(400, "Unknown field nope", "GET", "/kunden/1/nope")
    web.refuse(404, "Relation field name not found!", "GET", "/kunden/1/name")


@line(8)
def one_record(web: Web) -> None:
    """A record has its address twice and its id as a text."""
    answer = web.one("/kunden/3", customer(3))
    assert answer.json["data"]["id"] == "3"


@line(9)
def missing_record(web: Web) -> None:
    """A record that does not exist is 404."""
    web.refuse(404, "Not found", "GET", "/kunden/999")


@line(10)
def second_page(web: Web) -> None:
    """A page in the middle has all five links."""
    pages = {"first": f"{PAGE}1", "prev": f"{PAGE}1", "next": f"{PAGE}3", "last": f"{PAGE}3"}
    web.show(f"{PAGE}2", customers(3, 4), **pages)


@line(11)
def outer_pages(web: Web) -> None:
    """The first page has no `prev`, the last no `next`."""
    web.show(f"{PAGE}1", customers(1, 2), first=f"{PAGE}1", next=f"{PAGE}2", last=f"{PAGE}3")
    web.show(f"{PAGE}3", customers(5), first=f"{PAGE}1", prev=f"{PAGE}2", last=f"{PAGE}3")


@line(12)
def page_without_count(web: Web) -> None:
    """Without a count there are no pages."""
    web.show("/kunden?$page[number]=2", customers(*ACTIVE))


@line(13)
def beyond_the_end(web: Web) -> None:
    """A page beyond the last is empty, with the way back."""
    web.show(f"{PAGE}9", [], first=f"{PAGE}1", prev=f"{PAGE}8", last=f"{PAGE}3")


@line(14)
def bad_count(web: Web) -> None:
    """A count that is no positive number is 400."""
    for value in ("x", "0", "-1", "1.5", ""):
        message = f"Invalid value {value!r} for parameter '$page[count]': write a positive whole number"
        web.refuse(400, message, "GET", f"/kunden?$page[count]={value}")


@line(15)
def wanted_fields(web: Web) -> None:
    """`$fields` gives the attributes in its own order; the id stays."""
    web.show("/kunden?$fields=name,plz", customers(*ACTIVE, only=["name", "plz"]))
    web.show("/kunden?$fields=plz,name", customers(*ACTIVE, only=["plz", "name"]))


@line(16)
def fields_of_the_table(web: Web) -> None:
    """The table may be named, and `*` is all fields."""
    web.show("/kunden?$fields[kunden]=name", customers(*ACTIVE, only=["name"]))
    web.show("/kunden?$fields[kunden]=*", customers(*ACTIVE))
    web.show("/kunden?$fields=*", customers(*ACTIVE))


@line(17)
def bad_fields(web: Web) -> None:
    """An unknown field and the table of a link are 400."""
    web.refuse(400, "Unknown field nope", "GET", "/kunden?$fields=nope")
    web.refuse(400, "Invalid table personen", "GET", "/kunden?$fields[personen]=name")


@line(18)
def only_a_relation(web: Web) -> None:
    """A relation can be the only attribute."""
    web.show("/kunden?$fields=boss", customers(*ACTIVE, only=["boss"]))


@line(19)
def order(web: Web) -> None:
    """Text is sorted without case; a minus reverses; several terms count."""
    web.show("/kunden?$sort=name", customers(4, 1, 2, 3, 5))
    web.show("/kunden?$sort=-name", customers(5, 3, 2, 1, 4))
    web.show("/kunden?$sort=plz,-name", customers(3, 1, 5, 2, 4))


@line(20)
def order_by_table(web: Web) -> None:
    """The table may be named; an unknown field is 400."""
    web.show("/kunden?$sort=kunden.name", customers(4, 1, 2, 3, 5))
    web.refuse(400, "Unknown field nope", "GET", "/kunden?$sort=nope")


@line(21)
def equal_text(web: Web) -> None:
    """Text is equal as a whole, without case."""
    web.show("/kunden?name=meier", customers(1))


@line(22)
def spelled_equal(web: Web) -> None:
    """The operator `eq` is the default; names have no case."""
    web.show("/kunden?name[eq]=meier", customers(1))
    web.show("/kunden?NAME=meier", customers(1), own="/kunden?NAME=meier")


@line(23)
def parts_of_text(web: Web) -> None:
    """Parts of a text are found without case, umlauts too."""
    web.show("/kunden?name[contains]=ei", customers(1, 2))
    web.show("/kunden?name[startswith]=me", customers(1, 2))
    web.show("/kunden?name[endswith]=er", customers(1, 5))
    web.show("/kunden?name[contains]=M%C3%9CL", customers(5))
    web.show("/kunden?name[startswith]=%C3%B6l", customers(5))
    web.show("/kunden?name[endswith]=%C3%9CLLER", customers(5))
    web.show("/kunden?name=%C3%B6LM%C3%9CLLER", customers(5))


@line(24)
def no_wildcards(web: Web) -> None:
    """A percent sign and an underscore are letters like others."""
    web.show("/kunden?name=100%25", [])
    web.show("/kunden?name=Zoll%25", [])
    web.show("/kunden?name[contains]=%25", customers(3))
    web.show("/kunden?name[startswith]=M_ier", [])
    web.show("/kunden?name[endswith]=100%25", customers(3))


@line(25)
def ranges(web: Web) -> None:
    """Two operators on one field make a range; `neq` leaves out null."""
    web.show("/kunden?umsatz[gte]=10&umsatz[lt]=20", customers(1, 2))
    web.show("/kunden?umsatz[neq]=10", customers(2, 3, 5))


@line(26)
def no_number(web: Web) -> None:
    """A number that is none matches nothing; one that no record can have is still greater or less than all."""
    web.show("/kunden?umsatz=abc", [])
    web.show("/kunden?umsatz[gt]=1e400", [])
    web.show("/kunden?umsatz[lt]=1e400", customers(1, 2, 3, 5))
    web.show("/kunden?id[lt]=9223372036854775808", customers(1, 2, 3, 4, 5))
    web.show("/kunden?id[gt]=-9223372036854775809", customers(1, 2, 3, 4, 5))


@line(27)
def dates(web: Web) -> None:
    """A day matches every time of that day; German dates and years are read."""
    web.show("/kunden?termin=2024-05-01", customers(1, 2))
    web.show("/kunden?seit=2024-05-01", customers(1))
    web.show("/kunden?seit[gte]=01.05.2024", customers(1, 4))
    web.show("/kunden?seit=2024", customers(1, 4))


@line(28)
def booleans(web: Web) -> None:
    """`true` and `1` agree, and `false` is not null."""
    web.show("/kunden?aktiv=true", customers(1, 4))
    web.show("/kunden?aktiv=1", customers(1, 4))
    web.show("/kunden?aktiv=false", customers(2, 5))


@line(29)
def empty_filter(web: Web) -> None:
    """An empty value is no condition."""
    web.show("/kunden?name=", customers(*ACTIVE))


@line(30)
def null_filter(web: Web) -> None:
    """`#NULL#` finds what is null or empty, `#NOTNULL#` the others."""
    web.show("/kunden?name=%23NULL%23", customers(4))
    web.show("/kunden?name=%23NOTNULL%23", customers(1, 2, 3, 5))
    web.show("/kunden?umsatz=%23NULL%23", customers(4))
    web.show("/kunden?umsatz=%23NOTNULL%23", customers(1, 2, 3, 5))


@line(31)
def several_filters(web: Web) -> None:
    """Fields combine by AND; of a repeated parameter the last one counts."""
    web.show("/kunden?plz=80331&aktiv=false", customers(2, 5))
    web.show("/kunden?plz=10115&aktiv=false", [])
    web.show("/kunden?plz=80331&plz=10115", customers(1, 3))


@line(32)
def filters_of_the_table(web: Web) -> None:
    """The table may be named."""
    web.show("/kunden?kunden[name]=meier", customers(1))
    web.show("/kunden?kunden[name][eq]=meier", customers(1))


@line(33)
def unknown_parameters(web: Web) -> None:
    """What is no field is 400."""
    web.refuse(400, "Unknown field nope", "GET", "/kunden?nope=1")
    web.refuse(400, "Unknown field sort", "GET", "/kunden?sort=name")
    web.refuse(400, "Unknown field $foo", "GET", "/kunden?$foo=1")


@line(34)
def unknown_operator(web: Web) -> None:
    """An unknown operator is 400 and the answer says which there are."""
    allowed = "eq, neq, contains, startswith, endswith"
    message = f"Unknown operator like for field name; allowed are {allowed}"
    web.refuse(400, message, "GET", "/kunden?name[like]=x")


@line(35)
def filters_on_a_record(web: Web) -> None:
    """A record ignores filters."""
    web.expect(web.send("GET", "/kunden/3?nope=1"), {"links": {"self": "/kunden/3"}, "data": customer(3)})


@line(36)
def archived(web: Web) -> None:
    """Archived records are hidden, shown too, or shown alone."""
    web.show("/kunden?$archived=all", customers(*ACTIVE, 6, 7))
    web.show("/kunden?$archived=true", customers(6))
    web.show("/kunden?$archived=TRUE", customers(6))
    web.show("/kunden?$archived=1", customers(6))
    web.show("/kunden?$archived=2", customers(7))
    web.show("/kunden?$archived=false", customers(*ACTIVE))
    web.show("/kunden?$archived=0", customers(*ACTIVE))


@line(37)
def bad_archived(web: Web) -> None:
    """Another word is 400."""
    web.refuse(400, "Invalid param 'maybe' for option $archived.", "GET", "/kunden?$archived=maybe")


@line(38)
def archived_record(web: Web) -> None:
    """A record is shown in any state."""
    web.one("/kunden/6", customer(6))
    web.one("/kunden/7", customer(7))


@line(39)
def valid_today(web: Web) -> None:
    """Without `$validity` the records of today are shown."""
    web.show("/kunden", customers(*ACTIVE))


@line(40)
def valid_on_a_day(web: Web) -> None:
    """Both ends of a range belong to it, and null is open."""
    web.show("/kunden?$validity=2024-06-15", customers(*ACTIVE))
    web.show("/kunden?$validity=14.06.2024", customers(2, 3, 4, 5, 8))
    web.show("/kunden?$validity=2024-06-16", customers(1, 3, 4, 5, 9))
    web.show("/kunden?$validity=2031-01-01", customers(1, 3, 4, 9))


@line(41)
def valid_ranges(web: Web) -> None:
    """`all` shows all, `allfrom` what has not ended, `allto` what has begun."""
    web.show("/kunden?$validity=all", customers(*ACTIVE, 8, 9))
    web.show("/kunden?$validity=allfrom", customers(*ACTIVE, 9))
    web.show("/kunden?$validity=allto", customers(*ACTIVE, 8))


@line(42)
def bad_validity(web: Web) -> None:
    """A word that is no date is 400, also on a table without validity, where a date changes nothing."""
    for table in ("kunden", "kontakte"):
        web.refuse(400, "Invalid param 'foo' for option $validity.", "GET", f"/{table}?$validity=foo")
    web.show("/kontakte?$validity=1999-01-01", contacts(1, 2, 3, 4))


@line(43)
def create(web: Web) -> None:
    """POST answers 201 with the address and the body of a GET."""
    new = customer(10, name="A")
    answer = web.expect(
        web.send("POST", "/kunden", {"data": {"name": "A"}}), {"links": {"self": "/kunden/10"}, "data": new}, 201
    )
    assert answer.headers["Location"] == "/kunden/10"
    assert web.one("/kunden/10", new).headers["ETag"] == answer.headers["ETag"]


@line(44)
def create_without_data(web: Web) -> None:
    """A body needs `data`, and it needs to be JSON."""
    web.refuse(400, 'Key "data" missing!', "POST", "/kunden", {})
    web.refuse(400, 'Key "data" missing!', "POST", "/kunden", {"name": "A"})
    web.refuse(400, "Could not parse request body", "POST", "/kunden", '{"data":')


@line(45)
def create_without_required(web: Web) -> None:
    """A required field must be there."""
    web.refuse(400, 'Required attribute "name" missing!', "POST", "/kunden", {"data": {"plz": "1"}})


@line(46)
def create_with_unknown(web: Web) -> None:
    """An unknown field, and the id, are refused."""
    web.refuse(400, "Unknown field nope", "POST", "/kunden", {"data": {"name": "A", "nope": 1}})
    web.refuse(400, 'Editing attribute "id" is not possible.', "POST", "/kunden", {"data": {"name": "A", "id": "77"}})


@line(47)
def create_linked(web: Web) -> None:
    """Links are made at once."""
    body = {"data": {"name": "A", "boss": {"data": {"id": "7"}}, "kontakte": {"data": [{"id": 3}, {"id": "1"}]}}}
    new = customer(10, name="A", boss=[7], kontakte=[3, 1])
    web.expect(web.send("POST", "/kunden", body), {"links": {"self": "/kunden/10"}, "data": new}, 201)
    web.one("/kunden/10", new)


@line(48)
def create_by_form(web: Web) -> None:
    """A form spells the same."""
    for number, kind in ((10, FORM), (11, "x-www-form-urlencoded"), (12, f"{FORM}; charset=utf-8")):
        new = customer(number, name="Ä", boss=[7], kontakte=[1])
        form = "data[name]=%C3%84&data[boss][data][id]=7&data[kontakte][data][0][id]=1"
        answer = web.send("POST", "/kunden", form, kind)
        web.expect(answer, {"links": {"self": f"/kunden/{number}"}, "data": new}, 201)


@line(49)
def not_allowed(web: Web) -> None:
    """The three things that an address cannot do."""
    body = {"data": {"name": "A"}}
    web.refuse(400, "Post not allowed to single dataset!", "POST", "/kunden/1", body)
    web.refuse(400, "Patch not allowed to whole table!", "PATCH", "/kunden", body)
    web.refuse(400, "Delete not allowed on whole table!", "DELETE", "/kunden")


@line(50)
def update(web: Web) -> None:
    """PATCH changes what it names and answers the whole record; PUT is the same."""
    new = {"links": {"self": "/kunden/1"}, "data": customer(1, name="B")}
    web.expect(web.send("PATCH", "/kunden/1", {"data": {"NAME": "B"}}), new)
    web.expect(web.send("PATCH", "/kunden/1?$fields=plz", {"data": {"NAME": "B"}}), new)
    web.one("/kunden/1", new["data"])
    new["data"] = customer(1, name="C")
    web.expect(web.send("PUT", "/kunden/1", {"data": {"NAME": "C"}}), new)
    web.show("/kunden", [new["data"], *customers(2, 3, 4, 5)])


@line(51)
def update_all_or_nothing(web: Web) -> None:
    """One bad field leaves all as it was; no field is fine."""
    web.refuse(400, "Unknown field nope", "PATCH", "/kunden/1", {"data": {"name": "B", "nope": 1}})
    body = {"data": {"boss": {"data": {"id": "7"}}, "name": "x" * 41}}
    web.refuse(400, "Field 'name' must have at most 40 characters", "PATCH", "/kunden/1", body)
    before = web.dump()
    web.expect(web.send("PATCH", "/kunden/1", {"data": {}}), {"links": {"self": "/kunden/1"}, "data": customer(1)})
    assert web.dump() == before


@line(52)
def update_content_types(web: Web) -> None:
    """The content type may have parameters, and a form works."""
    for name, body, kind in (
        ("B", '{"data":{"name":"B"}}', JSON),
        ("Ü", "data[name]=%C3%9C", FORM),
        ("D", "data[name]=D", "x-www-form-urlencoded"),
        ("E", '{"data":{"name":"E"}}', "text/plain"),
    ):
        answer = web.send("PATCH", "/kunden/1", body, kind)
        web.expect(answer, {"links": {"self": "/kunden/1"}, "data": customer(1, name=name)})


@line(53)
def set_unique_link(web: Web) -> None:
    """PATCH on a unique link replaces it and answers a list of one."""
    answer = web.send("PATCH", "/kunden/1/boss", {"data": {"id": "7"}})
    web.expect(answer, {"links": {"self": "/kunden/1/boss"}, "data": bosses(7)})
    web.one("/kunden/1", customer(1, boss=[7]))


@line(54)
def clear_unique_link(web: Web) -> None:
    """Null removes a unique link, an object without id is 400."""
    web.refuse(400, 'Key "id" of relation data missing!', "PATCH", "/kunden/1/boss", {"data": {}})
    answer = web.send("PATCH", "/kunden/1/boss", {"data": None})
    web.expect(answer, {"links": {"self": "/kunden/1/boss"}, "data": []})
    web.one("/kunden/1", customer(1, boss=[]))
    web.show("/personen", bosses(*range(1, 8)))


@line(55)
def replace_many(web: Web) -> None:
    """PATCH on a many link replaces the whole list."""
    answer = web.send("PATCH", "/kunden/1/kontakte", {"data": [{"id": "2"}]})
    web.expect(answer, {"links": {"self": "/kunden/1/kontakte"}, "data": contacts(2)})
    web.one("/kunden/1", customer(1, kontakte=[2]))
    answer = web.send("PATCH", "/kunden/1/kontakte", {"data": []})
    web.expect(answer, {"links": {"self": "/kunden/1/kontakte"}, "data": []})
    web.one("/kunden/1", customer(1, kontakte=[]))


@line(56)
def add_to_many(web: Web) -> None:
    """POST on a many link adds, and is 200; what is linked already stays as it is."""
    for body in ([{"id": "3"}], [{"id": "3"}, {"id": "1"}]):
        answer = web.send("POST", "/kunden/1/kontakte", {"data": body})
        web.expect(answer, {"links": {"self": "/kunden/1/kontakte"}, "data": contacts(2, 1, 4, 3)})
    web.one("/kunden/1", customer(1, kontakte=[2, 1, 4, 5, 3]))


@line(57)
def add_missing(web: Web) -> None:
    """A target that does not exist is refused, and so are the others beside it."""
    web.refuse(400, "Could not add relation!", "POST", "/kunden/1/kontakte", {"data": [{"id": "99"}]})
    web.refuse(400, "Could not add relation!", "POST", "/kunden/1/kontakte", {"data": [{"id": "3"}, {"id": "99"}]})
    web.refuse(400, "Could not add relation!", "PATCH", "/kunden/1/boss", {"data": {"id": "99"}})


@line(58)
def remove_from_many(web: Web) -> None:
    """DELETE on a many link needs ids; it removes links, never records; what is not linked is ignored."""
    web.refuse(400, 'Key "data" is missing!', "DELETE", "/kunden/1/kontakte")
    web.refuse(400, 'Key "data" is missing!', "DELETE", "/kunden/1/kontakte", {"data": []})
    answer = web.send("DELETE", "/kunden/1/kontakte", {"data": [{"id": "1"}, {"id": "2"}, {"id": "3"}, {"id": "99"}]})
    assert (answer.status_int, answer.body) == (204, b"")
    web.one("/kunden/1", customer(1, kontakte=[4, 5]))
    web.one("/kunden/3", customer(3))
    web.show("/kontakte", contacts(1, 2, 3, 4))


@line(59)
def remove_unique(web: Web) -> None:
    """DELETE on a unique link needs no body; there must be a link."""
    answer = web.send("DELETE", "/kunden/1/boss")
    assert (answer.status_int, answer.body) == (204, b"")
    web.one("/kunden/1", customer(1, boss=[]))
    web.refuse(400, "Relation does not exit.", "DELETE", "/kunden/1/boss")
    web.show("/personen", bosses(*range(1, 8)))


@line(60)
def delete(web: Web) -> None:
    """DELETE removes a record and its links, nothing else."""
    for number in (5, 3):
        answer = web.send("DELETE", f"/kunden/{number}")
        assert (answer.status_int, answer.body) == (204, b"")
        web.refuse(404, "Not found", "GET", f"/kunden/{number}")
        web.refuse(404, "Not found", "DELETE", f"/kunden/{number}")
    web.show("/kunden", customers(1, 2, 4))
    web.show("/kontakte", contacts(1, 2, 3, 4))
    rows = web.app.store.database.writer.execute("select source_id, target_id from kunden_kontakte").fetchall()
    assert rows == [(1, target) for target in CONTACTS_OF[1]]


@line(61)
def delete_with_links(web: Web) -> None:
    """A list of links behind a record's address never deletes the record."""
    body = {"data": [{"id": "1"}, {"id": "2"}]}
    for number in (99, 1):
        message = f"Deletion not possible: to remove links, write DELETE /kunden/{number}/<linkfield>."
        web.refuse(400, message, "DELETE", f"/kunden/{number}", body)


@line(62)
def linked_page(web: Web) -> None:
    """Linked records are filtered, sorted and paged like a table's, under their own address."""
    base, rest = "/kunden/1/kontakte?$page[count]=1", "&$sort=-name&name[contains]=a"
    numbered = [f"{base}&$page[number]={number}{rest}" for number in (0, 1, 2)]
    web.show(base + rest, contacts(1), first=numbered[1], next=numbered[2], last=numbered[2])
    web.show(numbered[2], contacts(4), first=numbered[1], prev=numbered[1], last=numbered[2])


@line(63)
def archived_target(web: Web) -> None:
    """An archived contact stays in the attribute and is left out of the list."""
    web.one("/kunden/1", customer(1, kontakte=[2, 1, 4, 5]))
    web.show("/kunden/1/kontakte", contacts(2, 1, 4))
    web.show("/kunden/1/kontakte?$archived=all", contacts(2, 1, 4, 5))
    web.show("/kunden/1/kontakte?$archived=true", contacts(5))


@line(64)
def credentials(web: Web) -> None:
    """Without credentials every path is 401."""
    for given in (None, ("Basic", ("admin", "wrong")), ("Basic", ("nobody", "open sesame")), ("Bearer", "mrt_x")):
        web.client.authorization = given
        for path in ("/kunden", "/kunden/1", "/kunden/1/boss", "/nope", "/main_rest.php/", "/a/b/c/d"):
            answer = web.expect(web.send("GET", path), errors(401, "Unauthorized"), 401)
            assert answer.headers["WWW-Authenticate"] == 'Basic realm="minirest", charset="UTF-8"'


@line(65)
def form_of_errors(web: Web) -> None:
    """Every error has one form, and one content type."""
    web.refuse(400, "Unknown field name2", "GET", "/kunden?name2=Meier")
    web.refuse(404, "Not found", "DELETE", "/kunden/999")
    web.refuse(
        405, "Method TRACE is not allowed here; allowed are GET, HEAD, POST, PATCH, PUT, DELETE", "TRACE", "/kunden"
    )
    web.refuse(400, "Unknown table a", "GET", "/a/b/c/d/e/f")
    body = {"data": {"nope": 1, "umsatz": "viel", "aktiv": "ja", "boss": 7, "kontakte": {"data": {}}, "id": 3}}
    web.expect(
        web.send("POST", "/kunden", body),
        errors(
            400,
            "Unknown field nope",
            "Invalid value \"viel\" for field 'umsatz': expected a number",
            "Invalid value \"ja\" for field 'aktiv': expected true or false",
            'Key "data" of relation missing!',
            '"data" must be an array of relations!',
            'Editing attribute "id" is not possible.',
            'Required attribute "name" missing!',
        ),
        400,
    )


def test_every_line_has_a_scenario() -> None:
    """No line of the list is left out."""
    assert list(LINES) == list(range(1, 66))


@pytest.mark.parametrize("number", LINES)
def test_line(number: int, web: Web) -> None:
    """Each numbered line holds."""
    LINES[number](web)


# ---- what the document prints, against the sample ----


def sample_customers(**tests: Callable[[Any], bool]) -> list[int]:
    """Return the ids of the sample's customers that are active and valid on the day and fit the tests."""
    today = NOW.date().isoformat()
    return [
        number
        for number, row in enumerate(SAMPLE_CUSTOMERS, 1)
        if "_status" not in row
        and (row.get("valid_from") or today) <= today <= (row.get("valid_to") or today)
        and all(row.get(name) is not None and test(row[name]) for name, test in tests.items())
    ]


SAMPLE_TABLES: dict[str, Any] = json.loads(SAMPLE.read_text(encoding="utf-8"))["$defs"]
SAMPLE_CUSTOMERS: list[dict[str, Any]] = SAMPLE_TABLES["kunden"]["examples"]
FIELDS = tuple(SAMPLE_TABLES["kunden"]["properties"])


def sample_customer(number: int, only: Sequence[str] = (*FIELDS, "valid_from", "valid_to")) -> dict[str, Any]:
    """One customer of the sample."""
    data = {"aktiv": True, **SAMPLE_CUSTOMERS[number - 1]}
    words = SAMPLE_TABLES["kunden"]["properties"]["interessen"]["items"]["enum"]
    chosen = data.get("interessen")
    data["interessen"] = chosen and [{"id": str(words.index(v) + 1), "value": v, "desc": None} for v in chosen]
    if chosen == []:
        data["interessen"] = []
    boss = [data["boss"]] if data.get("boss") else []
    data["boss"] = relation(f"/kunden/{number}/boss", "personen", boss)
    data["kontakte"] = relation(f"/kunden/{number}/kontakte", "kontakte", data.get("kontakte", []))
    return record("kunden", number, {name: data.get(name) for name in only})


def nocase(row: Mapping[str, Any]) -> str:
    """How a customer's name is sorted."""
    return str(row["name"]).translate({ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"})


ALL = sample_customers()
BY_NAME = sorted(ALL, key=lambda number: nocase(SAMPLE_CUSTOMERS[number - 1]))
SEED: list[tuple[str, list[int], Sequence[str]]] = [
    ("", ALL, ()),
    ("$fields=name,umsatz", ALL, ("name", "umsatz")),
    ("$fields[kunden]=name,umsatz", ALL, ("name", "umsatz")),
    ("$fields[kunden]=*", ALL, ()),
    ("$sort=name", BY_NAME, ()),
    ("$sort=-name", BY_NAME[::-1], ()),
    ("$sort=kunden.plz,-kunden.name", [5, 3, 4, 1, 2], ()),
    ("name=Meier", [3], ()),
    ("name[contains]=meier", [2, 3], ()),
    ("kunden[name]=Meier", [3], ()),
    ("kunden[name][startswith]=meier", [2, 3], ()),
    ("umsatz[eq]=12.5", sample_customers(umsatz=lambda value: value == 12.5), ()),
    ("umsatz[neq]=12.5", sample_customers(umsatz=lambda value: value != 12.5), ()),
    ("umsatz[lt]=12.5", sample_customers(umsatz=lambda value: value < 12.5), ()),
    ("umsatz[gt]=12.5", sample_customers(umsatz=lambda value: value > 12.5), ()),
    ("umsatz[lte]=12.5", sample_customers(umsatz=lambda value: value <= 12.5), ()),
    ("umsatz[gte]=12.5", sample_customers(umsatz=lambda value: value >= 12.5), ()),
    ("name[eq]=MEIER", [3], ()),
    ("name[startswith]=100%25", [5], ()),
    ("name[endswith]=mann", [2], ()),
    ("$archived=false", ALL, ()),
    ("$archived=true", [6], ()),
    ("$archived=all", [1, 2, 3, 4, 5, 6, 8], ()),
    ("$validity=2023-06-15", [1, 2, 3, 4, 5, 9], ()),
    ("$validity=all", [1, 2, 3, 4, 5, 9, 10], ()),
    ("$validity=allfrom", [1, 2, 3, 4, 5, 10], ()),
    ("$validity=allto", [1, 2, 3, 4, 5, 9], ()),
]


@pytest.fixture(scope="module")
def sample() -> Iterator[Web]:
    """Serve the sample, to read from it only."""
    app = minirest.make_app(SAMPLE, users={"admin": "open sesame"}, clock=lambda: NOW)
    yield Web(app)
    app.close()


@pytest.mark.parametrize(("query", "numbers", "only"), SEED, ids=[query or "all" for query, _, _ in SEED])
def test_seed_lists(sample: Web, query: str, numbers: list[int], only: Sequence[str]) -> None:
    """Every form and operator that the document prints works on the sample, at each of the three bases."""
    address = f"/kunden?{query}" if query else "/kunden"
    data = [sample_customer(number, only) if only else sample_customer(number) for number in numbers]
    for base in ("", "/main_rest.php", "/dependent/main_rest.php"):
        sample.show(base + address, data, own=address)


def test_seed_pages_and_links(sample: Web) -> None:
    """The three kinds of address, and pages, as the document prints them."""
    sample.one("/kunden/1", sample_customer(1))
    pages = [f"/kunden?$page[count]=3&$page[number]={number}" for number in (1, 2)]
    sample.show(pages[1], [sample_customer(4), sample_customer(5)], first=pages[0], prev=pages[0], last=pages[1])
    row = SAMPLE_TABLES["personen"]["examples"][0]
    led = [number for number, other in enumerate(SAMPLE_CUSTOMERS, 1) if other.get("boss") == 1]
    boss = {**row, "kunden": relation("/personen/1/kunden", "kunden", led)}
    sample.show("/kunden/1/boss", [record("personen", 1, boss)])


def test_seed_writes() -> None:
    """The writes that the document prints do on the sample what it says."""
    app = minirest.make_app(SAMPLE, users={"admin": "open sesame"}, clock=lambda: NOW)
    web = Web(app)
    assert web.send("DELETE", "/kunden/1/boss").status_int == 204
    assert web.send("DELETE", "/kunden/1/kontakte", {"data": [{"id": "1"}, {"id": "2"}]}).status_int == 204
    changed = sample_customer(1)
    changed["attributes"]["boss"]["data"], changed["attributes"]["kontakte"]["data"] = [], [{"id": "6"}]
    web.one("/kunden/1", changed)
    message = "Deletion not possible: to remove links, write DELETE /kunden/99/<linkfield>."
    web.refuse(400, message, "DELETE", "/kunden/99", {"data": [{"id": "1"}, {"id": "2"}]})
    app.close()
