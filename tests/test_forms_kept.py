"""Forms of the pages change what was changed in them, offer what may be done, and undo no more than they know."""

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
import webtest

import minirest
from tests.web import many, one, table

TEXT: dict[str, Any] = {"type": "string"}
USERS = dict.fromkeys(("admin", "anna", "ines", "carl"), "open sesame")


ALL = {"list": True, "get": True, "create": True, "update": True}
SCHEMA: dict[str, Any] = {
    "$defs": {
        "things": table(
            {
                "day": "2024-05-01",
                "at": "2024-05-01T10:00:00Z",
                "clock": "10:00:00",
                "picks": ["y", "x", "y"],
                "text": "",
            },
            {"kind": "<1h", "text": "a"},
            {"kind": "2h", "text": "a"},
            day={**TEXT, "format": "date", "enum": ["2024-05-01", "2024-06-01"]},
            at={**TEXT, "format": "date-time", "enum": ["2024-05-01T10:00:00.000Z", "2024-06-01T10:00:00.000Z"]},
            clock={**TEXT, "format": "time", "enum": ["10:00:00", "11:00:00"]},
            picks={"type": "array", "items": {"enum": ["x", "y"]}},
            kind={"enum": ["<1h", "2h", ">2h"]},
            text=TEXT,
            made={**TEXT, "format": "date-time", "default": "2024-05-01T10:00:00Z"},
            opens={**TEXT, "format": "time", "default": "10:00:00"},
            name=TEXT,
            required=["text"],
        ),
        "parents": table(
            {"name": "one", "tags": [1, 2]},
            {"name": "two"},
            name=TEXT,
            kids=many("kids", **{"x-inverse": "parent"}),
            tags=many("tags"),
            weighed=many("tags", **{"x-through": "weights"}),
        ),
        "kids": table({"parent": 1}, {}, parent=one("parents")),
        "tags": table({}, {}, {}),
        "weights": table(
            {"parent": 1, "tag": 3, "grams": 7},
            {"parent": 1, "tag": 1},
            parent=one("parents"),
            tag=one("tags"),
            grams={"type": "integer"},
        ),
        "private": table({"text": "of admin", "_owner": "admin"}, text=TEXT, **{"x-access": True}),
        "guarded": table(
            {"text": "of nobody"}, text=TEXT, **{"x-rights": {"clerk": {"create": True}, "*": {"list": {"text": "a"}}}}
        ),
        "linked": table(
            {"tags": [1]},
            name=TEXT,
            tags=many("tags"),
            **{"x-rights": {"clerk": ALL, "*": {"list": True, "get": True}}},
        ),
    }
}


class Browser:
    """A user's browser."""

    def __init__(self, app: minirest.Application, name: str) -> None:
        self.app, self.page = app, webtest.TestApp(app)
        form = self.page.get("/login").form
        form["name"], form["password"] = name, USERS[name]
        form.submit()

    def get(self, address: str, status: Any = 200) -> Any:
        """Open an address."""
        return self.page.get(address, headers={"Accept": "text/html"}, status=status)

    def found(self, address: str) -> list[int]:
        """The numbers of the records in a list."""
        links = {link["href"] for link in self.get(address).html.find_all("a", href=True)}
        return sorted(int(link.rpartition("/")[2]) for link in links if re.fullmatch(r"/browse/things/\d+", link))

    def save(self, address: str, **values: Any) -> Any:
        """Open a form, change some of it, and save."""
        form = next(
            form for form in self.get(address).forms.values() if form.method.upper() == "POST" and len(form.fields) > 3
        )
        for name, value in values.items():
            form.fields[name][-1].value = value
        return form.submit(headers={"Accept": "text/html"})

    def undo(self, address: str) -> bool:
        """Take the last change back, where that is offered."""
        forms = [form for form in self.get(address).forms.values() if 'value="undo"' in form.text]
        for form in forms:
            form.submit("_do", value="undo")
        return bool(forms)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What is stored."""
        with self.app.store.database.reading() as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture
def app() -> Iterator[minirest.Application]:
    """All tables; `ines` is a clerk."""
    app = minirest.make_app(SCHEMA, users=USERS, admins=["admin"], clock=lambda: datetime(2096, 6, 15, tzinfo=UTC))
    with closing(app):
        app.accounts.put_user("ines", roles=["clerk"])
        yield app


@pytest.fixture
def admin(app: minirest.Application) -> Browser:
    """An admin's browser."""
    return Browser(app, "admin")


def test_choices_of_every_kind(admin: Browser) -> None:
    """Dates and times are chosen as texts are, in forms and in filters."""
    new = {"day": "2024-06-01", "at": "2024-06-01T10:00:00.000Z", "clock": "11:00:00"}
    assert admin.save("/browse/things/1/edit", **new).status_int == 303
    assert admin.rows("select day, at, clock from things where id=1") == [tuple(new.values())]
    for name, value in new.items():
        assert admin.found(f"/browse/things?filter[{name}]={value}") == [1]


def test_choices_with_signs(admin: Browser) -> None:
    """A choice that begins like a bound is the choice."""
    assert admin.found("/browse/things?filter[kind]=%3C1h") == [2]


def test_a_list_is_not_sorted_by_the_way(admin: Browser) -> None:
    """What is chosen twice, and in some order, stays so when something else is changed."""
    assert admin.save("/browse/things/1/edit", name="new").status_int == 303
    assert admin.rows("select picks, name from things where id=1") == [('["y","x","y"]', "new")]


def test_defaults_as_a_browser_takes_them(admin: Browser) -> None:
    """A moment and a time stand in the form of their controls."""
    form = admin.get("/browse/things/new").text
    assert 'value="2024-05-01T10:00:00"' in form
    assert 'value="10:00:00"' in form
    assert "2024-05-01T10:00:00Z" not in form.partition("made")[2].partition("</div>")[0]


def test_what_is_needed_and_empty(admin: Browser) -> None:
    """A browser lets a form go whose needed text is empty already."""
    page = admin.get("/browse/things/1/edit")
    assert "required" not in page.html.find(id="field-text").attrs
    assert "required" in admin.get("/browse/things/new").html.find(id="field-text").attrs


def test_undo_restores_the_order(admin: Browser) -> None:
    """Links that were taken away come back to their places."""
    admin.save("/browse/parents/1/edit", tags=["2"])
    assert admin.undo("/browse/parents/1")
    assert admin.rows("select target_id from parents_tags where source_id=1 order by rowid") == [(1,), (2,)]


@pytest.mark.parametrize(
    ("address", "values"), [("/browse/parents/1", {"weighed": ["1"]}), ("/browse/parents/2", {"kids": ["1"]})]
)
def test_no_undo_of_what_is_lost(admin: Browser, address: str, values: dict[str, Any]) -> None:
    """The values of a link, and whom a record belonged to, are not known any more: nothing is undone by halves."""
    assert admin.save(f"{address}/edit", **values).status_int == 303
    assert not admin.undo(address)


def test_examples_are_records(app: minirest.Application) -> None:
    """Who may not see all records of a table learns no example of it."""
    for name in ("admin", "anna", "ines"):
        page = Browser(app, name).get("/openapi.json?dialect=nocobase").text
        assert ("of admin" in page, "of nobody" in page) == (False, name == "admin")


def test_forms_for_those_who_may(app: minirest.Application) -> None:
    """A form is shown to who may save it."""
    anna, ines = Browser(app, "anna"), Browser(app, "ines")
    for address in ("/browse/linked/new", "/browse/linked/1/edit"):
        anna.get(address, 403)
        ines.get(address)
