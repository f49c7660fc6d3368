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
            {"name": "one", "tags": [1, 2], "pass": 1},
            {"name": "two"},
            name=TEXT,
            kids=many("kids", **{"x-inverse": "parent"}),
            tags=many("tags"),
            weighed=many("tags", **{"x-through": "weights"}),
            **{"pass": one("passes", **{"x-unique": True})},
        ),
        "passes": table({}, of=one("parents", **{"x-inverse": "pass"})),
        "kids": table({"parent": 1}, {}, parent=one("parents")),
        "tags": table({}, {}, {}, parents=many("parents", **{"x-inverse": "tags"})),
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


UNDONE = {
    "behind those that stay": (
        ("/api/parents/1/tags:remove", [1]),
        ("/api/tags/3/parents:add", [1]),
        [(1, 1), (1, 2), (1, 3)],
    ),
    "where others were added": (
        ("/api/parents/1/tags:add", [3]),
        ("/api/tags/1/parents:remove", [1]),
        [(1, 2)],
    ),
    "where none was left": (
        ("/api/parents/1/tags:set", []),
        ("/api/tags/3/parents:add", [1]),
        [(1, 1), (1, 2), (1, 3)],
    ),
}


@pytest.mark.parametrize("case", UNDONE)
def test_undo_leaves_what_others_have_linked(admin: Browser, case: str) -> None:
    """What became of a link from its other end, after the change that is undone, stays as it is."""
    first, second, expected = UNDONE[case]
    for address, keys in (first, second):
        admin.page.post_json(address, params=keys, status=200)
    assert admin.undo("/browse/parents/1")
    assert admin.rows("select source_id, target_id from parents_tags order by rowid") == expected


def test_undo_of_what_changed_twice_at_once(admin: Browser) -> None:
    """Of what a hook changes further all is one change."""

    def add_more(occasion: minirest.Occasion) -> None:
        if occasion.values == {"tags": [1, 2, 3]}:
            occasion.unit.update("parents", 1, {"tags": [2, 3]})

    admin.app.on("link", "parents", add_more, when="after")
    admin.page.post_json("/api/parents/1/tags:add", params=[3], status=200)
    assert admin.rows("select target_id from parents_tags") == [(2,), (3,)]
    assert admin.undo("/browse/parents/1")
    assert admin.rows("select target_id from parents_tags order by rowid") == [(1,), (2,)]


def test_undo_leaves_children_of_their_own(admin: Browser) -> None:
    """A child that came by itself stays when another one comes back."""
    admin.page.post_json("/api/parents/1/kids:remove", params=[1], status=200)
    admin.page.post_json("/api/kids:update?filterByTk=2", params={"parent": 1}, status=200)
    assert admin.undo("/browse/parents/1")
    assert admin.rows("select id, parent_id from kids") == [(1, 1), (2, 1)]


@pytest.mark.parametrize(
    ("address", "changes"),
    [
        ("/browse/parents/1", ["parents/1/kids:set []", "parents/2/kids:add [1]"]),
        ("/browse/parents/1", ['parents:update/1 {"pass": null}', 'parents:update/2 {"pass": 1}']),
        ("/browse/passes/1", ['passes:update/1 {"of": null}', 'parents:update/2 {"pass": 1}']),
    ],
)
def test_no_undo_takes_from_others(admin: Browser, address: str, changes: list[str]) -> None:
    """What came to belong to another record in the meantime is not taken away from it."""
    for change in changes:
        path, _, body = change.partition(" ")
        admin.page.post(f"/api/{path}", params=body, content_type="application/json", status=200)
    assert not admin.undo(address)
    assert admin.rows("select parent_id from kids where id=1") == [(2 if "kids" in changes[0] else 1,)]
    assert (
        admin.rows("select pass_id from parents order by id") == [(1,), (None,)][:: 1 if "kids" in changes[0] else -1]
    )


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
