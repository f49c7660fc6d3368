"""What a client reads it can send back; lists keep their order; what is wrong is told of at its place."""

from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

import minirest
from minirest import object_id, record_uuid
from tests.web import Answer, many, one, send, table

FORM = "application/x-www-form-urlencoded"
TEXT: dict[str, Any] = {"type": "string"}
ALL: dict[str, Any] = {"list": True, "get": True, "create": True, "update": True, "link": True}


def listed(**items: Any) -> dict[str, Any]:
    """A field with a list."""
    return {"type": "array", "items": items}


SCHEMA: dict[str, Any] = {
    "$defs": {
        "things": table(
            {"stars": ["3"], "sizes": [3], "flags": [True], "days": ["2024-05-01", "2024-06-01"], "pick": "a"},
            {"at": ["2024-05-01T08:00:00Z"], "flags": [False], "boss": 1, "tags": [1, 2]},
            stars=listed(enum=["3", "1", "2"]),
            sizes=listed(enum=[3, 1, 2]),
            flags=listed(type="boolean"),
            days=listed(type="string", format="date"),
            at=listed(type="string", format="date-time"),
            words=listed(type="string"),
            numbers=listed(type="integer"),
            pick={"enum": ["a", None]},
            whole={"type": "integer"},
            born={**TEXT, "format": "date"},
            seen={**TEXT, "format": "date-time"},
            clock={**TEXT, "format": "time"},
            mail={**TEXT, "format": "email"},
            name=TEXT,
            first={**TEXT, "x-unique": True},
            second={**TEXT, "x-unique": True},
            boss=one("things"),
            part=one("parts"),
            tags=many("tags"),
            secrets=many("secrets"),
            secret=one("secrets"),
            **{"x-columns": ["days", "at", "flags"]},
        ),
        "parts": table({"of": 1}, of=one("things"), required=["of"]),
        "tags": table({}, {}, {}),
        "secrets": table(
            {"open": False}, open={"type": "boolean"}, **{"x-rights": {"*": {**ALL, "list": {"open": True}}}}
        ),
        "hidden": table({}, things=many("things"), **{"x-rights": {"boss": {"*": True}}}),
        "leads": table({}, to=one("hidden"), all=many("hidden")),
        "left": table({}, {}, rights=many("right", **{"x-through": "rows"})),
        "right": table({}, lefts=many("left", **{"x-inverse": "rights"})),
        "rows": table({"left": 1, "right": 1}, left=one("left"), right=one("right"), weight={"type": "integer"}),
    }
}
TAGS = minirest.derive_tags([*SCHEMA["$defs"], "_users", "_groups"], {})


class Web:
    """A client of all dialects; `anna` is a user without roles."""

    def __init__(self) -> None:
        self.app = minirest.make_app(SCHEMA, users={"admin": "open sesame", "anna": "open sesame"})

    def __call__(self, method: str, address: str, body: Any = None, kind: str = "", user: str = "admin") -> Answer:
        """Send a request as a user."""
        credentials = b64encode(f"{user}:open sesame".encode()).decode()
        return send(self.app, method, address, body, kind, HTTP_AUTHORIZATION=f"Basic {credentials}")

    def attributes(self, number: int) -> dict[str, Any]:
        """What Limbas shows of a thing."""
        found: dict[str, Any] = self("GET", f"/things/{number}").json["data"]["attributes"]
        return found

    def linked(self, address: str) -> list[int]:
        """The ids of Limbas' records at an address."""
        return [int(record["id"]) for record in self("GET", address).json["data"]]


@pytest.fixture
def web() -> Iterator[Web]:
    """All dialects, with authentication."""
    web = Web()
    with closing(web.app):
        yield web


# ---- lists ----


def test_choices_as_they_are_shown(web: Web) -> None:
    """In an object a choice is named by its id alone, also where another one has that value."""
    shown = {name: web.attributes(1)[name] for name in ("stars", "sizes")}
    assert [found[0]["id"] for found in shown.values()] == ["1", "1"]
    assert web("PATCH", "/things/1", {"data": shown}).status == 200
    assert {name: web.attributes(1)[name] for name in shown} == shown
    for number in (1, "1"):
        web("PATCH", "/things/1", {"data": {"sizes": [{"id": number}]}})
        assert web.attributes(1)["sizes"][0]["value"] == 3
    web("PATCH", "/things/1", {"data": {"sizes": [{"id": 2}, 1, "2"]}})
    assert [found["value"] for found in web.attributes(1)["sizes"]] == [1]


@pytest.mark.parametrize("wanted", [[2, 1], [3, 1, 2], [1, 3], [2], [], [1, 2]])
def test_a_list_of_links_has_its_order(web: Web, wanted: list[int]) -> None:
    """Whatever was linked before, in each dialect."""
    items = [{"id": number} for number in wanted]
    assert web("PATCH", "/things/2/tags", {"data": items}).status == 200
    assert web.linked("/things/2/tags") == wanted
    web("PATCH", "/things/2", {"data": {"tags": {"data": items[::-1]}}})
    assert web.linked("/things/2/tags") == wanted[::-1]
    body = {"tags": [object_id(TAGS["tags"], number) for number in wanted]}
    answer = web("PATCH", f"/api/v1/things/{object_id(TAGS['things'], 2)}", body)
    assert answer.json["tags"] == body["tags"]
    assert web.linked("/things/2/tags") == wanted


def test_the_same_links_change_nothing(web: Web) -> None:
    """A list that is the one that is there leaves the version as it is, and the history."""
    before = web("GET", "/things/2").headers["ETag"]
    web("PATCH", "/things/2/tags", {"data": [{"id": 1}, {"id": 2}]})
    assert web("GET", "/things/2").headers["ETag"] == before


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("flags=true", [1]),
        ("flags=1", [1]),
        ("flags=FALSE", [2]),
        ("days=01.05.2024", [1]),
        ("days=2024-05", [1]),
        ("days=2024", [1]),
        ("days=2024-05-02", []),
        ("at=01.05.2024", [2]),
        ("at=2024-05-01 08:00", [2]),
        ("at=02.05.2024", []),
    ],
)
def test_limbas_looks_into_lists(web: Web, query: str, ids: list[int]) -> None:
    """A filter takes what a list shows, and dates as everywhere."""
    assert web.linked(f"/things?{query.replace(' ', '%20')}") == ids


@pytest.mark.parametrize(
    ("columns", "ids"),
    [
        ({"days": "2024-05-01"}, [1]),
        ({"days": ["2024-06-01"]}, [1]),
        ({"days": "2024-05"}, [1]),
        ({"days": "2024-05-02"}, []),
        ({"at": "2024-05-01"}, [2]),
        ({"at": "2024-04"}, []),
        ({"flags": True}, [1]),
    ],
)
def test_qore_looks_into_lists(web: Web, columns: dict[str, Any], ids: list[int]) -> None:
    """It is enough that one element of a list is what is searched for."""
    answer = web("GET", "/api/resources/things/table/things", {"search_columns": columns}, "application/json")
    assert [row["id"] for row in answer.json["data"]] == ids


def test_elements_of_forms(web: Web) -> None:
    """What is no text is no element of a list of texts; an empty one is null, which such a list does not have."""
    address = "/api/resources/things/1"
    for form in (b"_method=PUT&words[]=a&words[]=", b"_method=PUT&words[0][x]=a", b"_method=PUT&words[][]=a"):
        assert web("POST", address, form, FORM).status == 422, form
    for form in (b"data[words][0][x]=a", b"data[words][][]=a"):
        assert web("PATCH", "/things/1", form, FORM).status == 400, form
    assert web.attributes(1)["words"] is None
    assert web("POST", address, b"_method=PUT&words[]=a&words[]=b", FORM).status == 200
    assert web.attributes(1)["words"] == ["a", "b"]


def test_wrong_elements_are_told_of_at_their_places(web: Web) -> None:
    """All of them."""
    answer = web("POST", "/api/resources/things", {"numbers": [1, "x", 2, "y"]})
    assert list(answer.json["errors"]) == ["numbers.1", "numbers.3"]
    messages = [error["message"] for error in web("POST", "/things", {"data": {"numbers": ["x"]}}).json["errors"]]
    assert len(messages) == 1
    assert "'numbers.0'" in messages[0]


def test_all_unique_rules_are_told_of(web: Web) -> None:
    """A record that repeats the values of two unique fields learns of both, when it is made and when it is changed."""
    assert web("POST", "/api/resources/things", {"first": "1", "second": "1"}).status == 201
    for method, address in (("POST", ""), ("PUT", "/1")):
        answer = web(method, f"/api/resources/things{address}", {"first": "1", "second": "1"})
        assert list(answer.json["errors"]) == ["first", "second"]
    assert list(web("PUT", "/api/resources/things/1", {"first": "1", "second": "2"}).json["errors"]) == ["first"]


# ---- values ----


@pytest.mark.parametrize("name", ["whole", "born", "seen", "clock", "mail", "pick"])
def test_the_empty_text_clears(web: Web, name: str) -> None:
    """In Limbas what is no text, or one of a form or a choice; a plain text is empty then."""
    values = {"whole": 1, "born": "2024-05-01", "seen": "2024-05-01 10:00", "clock": "10:00", "mail": "a@b.de"}
    for body, kind in (({"data": {name: ""}}, ""), (f"data[{name}]=".encode(), FORM)):
        web("PATCH", "/things/1", {"data": {name: values.get(name, "a")}})
        assert web.attributes(1)[name] is not None
        assert web("PATCH", "/things/1", body, kind).status == 200
        assert web.attributes(1)[name] is None
    web("PATCH", "/things/1", {"data": {"name": ""}})
    assert web.attributes(1)["name"] == ""


def test_an_empty_list_of_access_is_none(web: Web) -> None:
    """An entity without access is found as one, whatever was sent to say so."""
    bodies: list[dict[str, Any]] = [{}, {"access": None}, {"access": []}]
    for body in bodies:
        assert web("POST", "/api/v1/tags", body).status == 200
    found = web("GET", "/api/v1/tags?where.access=null&only=_id").body.decode().count('"_id"')
    assert found == len(web.linked("/tags")) == 6


def test_no_rule_names_null(web: Web) -> None:
    """Null is no text that a select takes, so its rule does not have it."""
    form = web("GET", "/api/resources/things/create").body.decode()
    assert '"in:a"' in form
    assert '"in:a,null"' not in form


# ---- links ----


def test_links_of_records_that_may_be_got(web: Web) -> None:
    """Who may get a record, though not list it, links and unlinks it as any other."""
    made = web(
        "POST", "/things", {"data": {"secrets": {"data": [{"id": 1}]}, "secret": {"data": {"id": 1}}}}, user="anna"
    )
    assert made.status == 201
    number = int(made.json["data"]["id"])
    same = {"data": [{"id": 1}]}
    assert web("POST", f"/things/{number}/secrets", same, user="anna").status == 200
    assert web("PATCH", f"/things/{number}/secrets", same, user="anna").status == 200
    assert web("PATCH", f"/things/{number}", {"data": {"secrets": same}}, user="anna").status == 200
    rows = "select source_id, target_id from things_secrets"
    assert web.app.store.database.writer.execute(rows).fetchall() == [(number, 1)]
    assert web("DELETE", f"/things/{number}/secrets", same, user="anna").status == 204
    assert web.app.store.database.writer.execute(rows).fetchall() == []


def test_links_that_are_not_shown_stay(web: Web) -> None:
    """Who sends back what it was shown, or clears it, leaves alone what it was not shown."""
    body = {"data": {"secrets": {"data": [{"id": 1}]}, "secret": {"data": {"id": 1}}}}
    number = int(web("POST", "/things", body, user="anna").json["data"]["id"])
    shown = web("GET", f"/things/{number}", user="anna").json["data"]["attributes"]
    assert (shown["secrets"]["data"], shown["secret"]["data"]) == ([], [])
    same = {"secrets": {"data": []}, "secret": {"data": None}}
    assert web("PATCH", f"/things/{number}", {"data": same}, user="anna").status == 200
    assert web("PATCH", f"/things/{number}/secrets", {"data": []}, user="anna").status == 200
    writer = web.app.store.database.writer
    assert writer.execute("select source_id, target_id from things_secrets").fetchall() == [(number, 1)]
    assert writer.execute("select secret_id from things where id=?", (number,)).fetchall() == [(1,)]


def test_both_ends_of_a_row_have_changed(web: Web) -> None:
    """A row that links other records is a change for both whom it has linked, and for those that it links now."""
    tags = {f"/{address}": web("GET", f"/{address}").headers["ETag"] for address in ("left/1", "left/2", "right/1")}
    assert web("PATCH", "/rows/1", {"data": {"left": {"data": {"id": 2}}}}).status == 200
    for address, tag in tags.items():
        answer = web("GET", address)
        assert int(answer.headers["ETag"][1:].partition("-")[0]) == int(tag[1:].partition("-")[0]) + 1, address


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (None, 204),
        ({"data": {"id": "1"}}, 204),
        ({"data": {"id": "2"}}, 400),
        ({"data": None}, 400),
        ({"data": [{"id": "1"}]}, 400),
        ({"data": {"id": "1"}, "x": 1}, 400),
        (b"{broken", 400),
    ],
)
def test_a_unique_link_that_is_named(web: Web, body: Any, status: int) -> None:
    """The body of a DELETE can be left out; where it is there, it says what is unlinked."""
    assert web("DELETE", "/things/2/boss", body).status == status
    assert web.linked("/things/2/boss") == ([] if status == 204 else [1])


def test_a_required_link_is_named_once(web: Web) -> None:
    """The error names the link as it is called."""
    for method, body in (("DELETE", None), ("PATCH", {"data": None})):
        answer = web(method, "/parts/1/of", body)
        assert [error["message"] for error in answer.json["errors"]] == ['Required attribute "of" missing!']


@pytest.mark.parametrize("number", [1, 99])
def test_links_to_a_table_that_may_not_be_used(web: Web, number: int) -> None:
    """CoreData says that there is no such record, in its own words."""
    hidden, base = record_uuid(TAGS["hidden"], 0, number), "/api/v2/leads/"
    uri = f"/api/v2/hidden/{hidden}/"
    for method, address, body in [
        ("POST", base, {"to": uri}),
        ("POST", base, {"all": [uri]}),
        ("PATCH", f"{base}{record_uuid(TAGS['leads'], 0, 1)}/", {"to": uri}),
        ("PATCH", base, {"objects": [{"to": uri}]}),
    ]:
        answer = web(method, address, body, user="anna")
        assert answer.status == 400, (answer.status, answer.body)
        assert uri in answer.json["error"]


# ---- words of requests ----


def test_qore_stands_for_get(web: Web) -> None:
    """A POST may stand for a GET by its body, also where that has parameters."""
    answer = web("POST", "/api/resources/things/table/things", {"_method": "GET", "per_page": 1})
    assert (answer.status, len(answer.json["data"])) == (200, 1)


def test_errors_name_what_was_sent(web: Web) -> None:
    """A body that is wrong is no wrong query; a field has the name of the dialect."""
    answer = web("PATCH", "/things/1", b"data[name]=%E4", FORM)
    assert (answer.status, "query" in answer.body.decode()) == (400, False)
    assert "'owner.name'" in web("GET", "/api/v1/things?where.owner.name=x").json["message"]


def test_tags_of_others(web: Web) -> None:
    """Of several tags in `If-Match` one of ours counts."""
    tag = web("GET", "/things/1").headers["ETag"]
    environ = {"HTTP_AUTHORIZATION": "Basic " + b64encode(b"admin:open sesame").decode()}
    for tags, status in ((f'"x", {tag}', 200), ('"x", "y"', 412), (f'{tag}, "1-00"', 412)):
        answer = send(web.app, "PATCH", "/things/1", {"data": {}}, HTTP_IF_MATCH=tags, **environ)
        assert answer.status == status, tags
