"""Rights that are easily forgotten: what hangs on links, on transactions, on other tables, on tokens, on pages."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

import minirest
from minirest import Actor, Col, Const, Obj, Path, Select
from tests.rights import HIDDEN, Call, World, document, image
from tests.rights_rows import ROWS
from tests.test_rights import plain
from tests.web import Answer, send

ALL = {"*": True}
LINKS = ("maker", "parts", "tags", "remarks", "card")


@pytest.fixture(scope="module")
def shared() -> Iterator[World]:
    """The world that the tests of this file share."""
    made = World()
    yield made
    made.app.close()


@pytest.fixture
def world(shared: World) -> World:
    """The world as it was in the beginning."""
    shared.give({})
    shared.load(shared.image)
    return shared


def refused(world: World, user: str, call: Call, status: int = 403) -> Answer:
    """The answer to what is refused and changes nothing."""
    answer = world.ask(user, call)
    assert answer.status == status, answer
    assert world.is_as(world.image)
    return answer


def rows(world: World, query: str) -> list[Any]:
    """What the database holds."""
    return world.app.store.database.writer.execute(query).fetchall()


# ---- one transaction ----


@pytest.mark.parametrize("bodies", [[{"title": "a"}, {"title": "b"}], [{"title": "b"}, {"title": "a"}]])
def test_all_or_nothing(world: World, bodies: list[Any]) -> None:
    """Of several records that are made at once none is, when the rights forbid one."""
    world.give({"items": {"r": {**ALL, "create": {"title.$ne": "b"}}}})
    refused(world, "one", Call("POST", "/api/items:create", bodies))
    refused(world, "one", Call("PATCH", "/api/v2/items/", {"objects": bodies}))
    assert world.ask("one", Call("POST", "/api/items:create", [{"title": "a"}, {"title": "c"}])).status == 200


def test_an_upsert_needs_only_the_right_that_it_uses(world: World) -> None:
    """Who may only change records changes those that are there, and makes none; and the other way round."""
    change, new = ({"title": word, "note": "x"} for word in ("two", "new"))
    address = "/api/items:updateOrCreate?filterKeys[]=title"
    world.give({"items": {"r": {**ALL, "create": False}}})
    refused(world, "one", Call("POST", address, new))
    assert world.ask("one", Call("POST", address, change)).status == 200
    world.load(world.image)
    world.give({"items": {"r": {**ALL, "update": False}}})
    refused(world, "one", Call("POST", address, change))
    assert world.ask("one", Call("POST", address, new)).status == 200


def test_what_a_deletion_does_elsewhere_needs_no_right(world: World) -> None:
    """Linked records are deleted or let go whatever the rights in their tables."""
    world.give({name: {"r": {}} for name in ("uses", "remarks", "cards")})
    assert world.ask("one", Call("DELETE", "/items/1")).status == 204
    assert rows(world, "select item_id from uses") == [(2,)]
    assert rows(world, "select id, item_id from remarks where id=1") == [(1, None)]
    assert rows(world, "select item_id from cards where id=1") == [(None,)]


def test_who_creates_without_reading_sees_what_it_made(world: World) -> None:
    """The answer shows the new record once, without hidden fields; pages lead to no list that one may not see."""

    def shown(answer: Answer) -> Any:
        return plain(answer._replace(body=answer.body.replace(b'href="/browse/items"', b'href="/"')))

    given = {name: {"r": {**ALL, "hide": list(members)}} for name, members in HIDDEN.items()}
    given["items"]["r"] = {"create": True, "hide": list(HIDDEN["items"])}
    lacking = World(hidden=True)
    created = [row for row in ROWS if row.asks and all(need == ("create", "items") for need in row.asks)]
    assert {row.dialect for row in created} == {*minirest.DIALECTS, "pages"}
    for row in created:
        for one, rights in ((world, given), (lacking, {})):
            one.give(rights)
            one.load(image(one is lacking))
        answer, wanted = (one.ask("one", row.call(one)) for one in (world, lacking))
        assert shown(answer) == shown(wanted), row.name
    lacking.app.close()


# ---- links ----


def test_a_locked_link_cannot_be_set_from_the_other_side(world: World) -> None:
    """Nor can a hidden one; there its other end is unknown."""
    for word in ("readonly", "hide"):
        world.give({"items": {"r": {**ALL, word: ["maker"]}}})
        calls = [Call("DELETE", "/makers/1/items", {"data": [{"id": 1}]})]
        calls += [
            Call("POST", f"/api/makers/{maker}", body) for maker, body in (("2/items:add/1", None), ("1/items:set", []))
        ]
        for call in calls:
            answer = refused(world, "one", call, 400 if word == "readonly" or call.method == "DELETE" else 404)
            if call.address == "/makers/1/items":
                text = 'Editing attribute \\"items\\" is not possible.' if word == "readonly" else "Unknown field items"
                assert answer.body.decode() == '{"errors":[{"code":400,"message":"' + text + '"}]}'


def test_the_record_that_holds_a_link_has_to_allow_it(world: World) -> None:
    """A record is not taken away from another one by who may not change its links; not by making a new one either."""
    world.give({"cards": {"r": {**ALL, "link": {"id.$ne": 1}}}})
    refused(world, "one", Call("POST", "/items/1/card", {"data": {"id": 3}}))
    refused(world, "one", Call("PATCH", "/items/1", {"data": {"card": {"data": {"id": 3}}}}))
    refused(world, "one", Call("POST", "/api/items:update/1", {"card": {"name": "x"}}))
    refused(world, "one", Call("POST", "/api/items:create", {"title": "x", "card": 1}))
    refused(world, "one", Call("POST", "/api/items/1/card:create", {"name": "x"}))
    world.give({"remarks": {"r": {**ALL, "link": {"item.title.$ne": "two"}}}})
    refused(world, "one", Call("POST", "/items/2/remarks", {"data": [{"id": 3}]}))
    assert world.ask("one", Call("POST", "/items/1/remarks", {"data": [{"id": 3}]})).status == 200


def test_the_answer_of_a_link_is_refused_before_it_is_changed(world: World) -> None:
    """Limbas shows the linked records after a change: who may not list them changes nothing."""
    world.give({"parts": {"r": {**ALL, "list": False}}})
    refused(world, "one", Call("POST", "/items/1/parts", {"data": [{"id": 2}]}))


def test_a_link_is_moved_within_the_rights(world: World) -> None:
    """A rule about a link holds before and after."""
    world.give({"items": {"r": {**ALL, "link": {"maker.id.$eq": 1}}}})
    refused(world, "one", Call("PATCH", "/items/1", {"data": {"maker": {"data": {"id": 2}}}}))
    refused(world, "one", Call("POST", "/api/items:update/1", {"maker_id": 2}))
    refused(world, "one", Call("PUT", "/api/resources/items/1/inline/maker", {"maker": 2}))
    refused(world, "one", Call("DELETE", "/items/1/maker"))
    assert world.ask("one", Call("POST", "/items/1/tags", {"data": [{"id": 2}]})).status == 200


def whole_items(world: World) -> list[Call]:
    """What changes an item and all its links, in each dialect: the item as it is shown, but for its title."""
    many = {name: {"data": [{"id": 1}]} for name in LINKS}
    links = many | {name: {"data": {"id": 1}} for name in ("maker", "card")}
    found = world.ask("boss", Call("GET", f"/api/items:get/1?appends={','.join(LINKS)}")).json["data"]
    (item,) = world.ask("boss", Call("GET", "/api/v2/items/?title=one")).json["objects"]
    del item["photo"]  # a name; JSON holds no file
    (stored, _) = world.ask("boss", Call("GET", "/api/v1/items")).json
    numbers = {name: 1 if name in ("maker", "card") else [1] for name in LINKS}
    return [
        Call("PATCH", "/items/1", {"data": {**links, "title": "new"}}),
        Call("POST", "/api/items:update/1", {**found, "title": "new"}),
        Call("PATCH", item["resource_uri"], {**item, "title": "new"}),
        Call("PUT", item["resource_uri"], {**item, "title": "new"}),
        Call("PATCH", f"/api/v1/items/{stored['_id']}", {**stored, "title": "new"}),
        Call("PUT", "/api/resources/items/1", {**numbers, "title": "new"}),
    ]


def test_links_that_stay_as_they_are_need_no_right(world: World) -> None:
    """A client sends back what it has read, with another title; with another link too it is refused."""
    reading = {"list": True, "get": True}
    only = {name: {"r": reading} for name in document()["$defs"]}
    world.give({**only, "items": {"r": {**reading, "update": True}}})
    for call in whole_items(world):
        world.load(world.image)
        assert world.ask("one", call).status in (200, 202), call
        assert rows(world, "select title from items where id=1") == [("new",)]
        world.load(world.image)
        rows(world, "delete from items_tags")
        assert world.ask("one", call).status == 403, call
    world.load(world.image)
    refused(world, "one", Call("PATCH", "/items/1/tags", {"data": [{"id": 1}]}))
    refused(world, "one", Call("POST", "/api/items:update/1", {"parts": [{"id": 1, "uses": {"amount": 6}}]}))


def test_a_refused_deletion_names_no_table_that_is_not_seen(world: World) -> None:
    """That records of a hidden table stand against it is said without the table's name."""
    table = {"type": "object", "properties": {"name": {"type": "string"}}}
    found = {
        "shelves": table,
        "secrets": {
            **table,
            "properties": {"shelf": {"$ref": "#/$defs/shelves", "x-delete": "restrict"}},
            "x-rights": {"r": {"create": True}},
            "examples": [{"shelf": 1}],
        },
    }
    found["shelves"] = {**table, "examples": [{"name": "a"}]}
    app = minirest.make_app({"$defs": found}, users={"boss": "open-sesame"})
    app.accounts.put_user("one", roles=["r"])
    token = app.accounts.add_token("one", "test")
    answer = send(app, "DELETE", "/shelves/1", HTTP_AUTHORIZATION=f"Bearer {token}")
    message = "A rule for something that you do not see forbids this"
    assert (answer.status, answer.json) == (400, {"errors": [{"code": 400, "message": message}]})
    app.close()


# ---- hidden records ----


@pytest.mark.parametrize("tag", ['"3-00"', '"9-00"', '"x"', "*"])
def test_if_match_tells_nothing_of_a_hidden_record(world: World, tag: str) -> None:
    """Whatever version is named, the answer is that for a record which has never been."""
    header = (("HTTP_IF_MATCH", tag),)
    never = World()
    never.load(image(lacking="items"))
    world.give({"items": {"r": {**ALL, "list": {"id.$ne": 1}, "get": {"id.$ne": 1}}}})
    checked = [
        row for row in ROWS if ("get", "items") in row.sees | row.asks and row.method != "GET" and not row.spares
    ]
    assert {row.dialect for row in checked} >= {"limbas", "coredata", "platform", "qore", "nocobase"}
    for row in checked:
        if any(need in row.asks | row.shows for need in (("list", "makers"),)) or row.dialect == "pages":
            continue
        call, missing = row.call(world), row.call(never)
        world.load(world.image)
        never.load(image(lacking="items"))
        answer = world.ask("one", Call(call.method, call.address, call.body, call.kind, header))
        assert answer == never.ask("one", Call(missing.method, missing.address, missing.body, missing.kind, header)), (
            row
        )
    never.app.close()


def test_hints_name_only_tables_that_one_may_use(world: World) -> None:
    """A misspelt name of a table where one may do nothing has no hint."""
    given = {"items": {"r": ALL}, "cards": {"r": {}}}
    world.give(given)
    with pytest.raises(minirest.ApiError) as caught:
        world.app.dialects[0].seen_by(Actor(4)).find_table("itmes")
    assert "items" not in str(caught.value.violations[0].params["hint"])
    with pytest.raises(minirest.ApiError) as caught:
        world.app.dialects[0].seen_by(Actor(4, roles=("r",))).find_table("itmes")
    assert "items" in str(caught.value.violations[0].params["hint"])


def test_the_overview_has_only_what_may_be_listed(world: World) -> None:
    """Tables that nobody of the role may list are in no overview, count, drawing or list of endpoints."""
    world.give({"cards": {"r": {"get": True}}, "items": {"r": {**ALL, "list": {"id": 1}, "hide": ["secret", "tags"]}}})
    shown = world.ask("one", Call("GET", "/")).json["tables"]
    assert [(table["name"], table["records"]) for table in shown] == [
        ("items", 1),
        ("parts", 2),
        ("uses", 2),
        ("tags", 2),
        ("makers", 2),
        ("remarks", 3),
    ]
    assert "cards" not in world.ask("one", Call("GET", "/api/v2/")).json
    page = world.ask("one", Call("GET", "/", environ=(("HTTP_ACCEPT", "text/html"),))).body.decode()
    drawing = page[page.index("<svg") : page.index("</svg>")]
    assert 'data-table="cards"' not in drawing
    assert 'data-table="items"' in drawing
    assert ">secret<" not in drawing


def test_pages_and_qore_offer_what_one_may_do(world: World) -> None:
    """Buttons and actions are those whose right the caller has for some record."""
    html = (("HTTP_ACCEPT", "text/html"),)
    words = {"update": ">Edit<", "delete": ">Delete for good<", "archive": ">Archive<"}
    names = {"delete": ["delete_resource"], "archive": ["archive_resource", "restore_resource"], "update": []}
    for verb, word in words.items():
        world.give({"items": {"r": {**ALL, verb: False}}})
        page = world.ask("one", Call("GET", "/browse/items/1", environ=html)).body.decode()
        assert {other for other, text in words.items() if text in page} == set(words) - {verb}, word
        assert ("Undo this change" in page) == (verb != "update")
        offered = [action for other, found in names.items() if other != verb for action in found]
        for address in ("/api/resources/items/1", "/api/resources/items/table/items"):
            assert [action["name"] for action in world.ask("one", Call("GET", address)).json["actions"]] == offered
    world.give({"items": {"r": {**ALL, "create": False}}})
    assert "New record" not in world.ask("one", Call("GET", "/browse/items", environ=html)).body.decode()


# ---- history and events ----


def test_events_without_what_is_hidden(world: World) -> None:
    """An event has no hidden field, and there is none for who does not see the record, or may list no records."""
    events: list[minirest.Event] = []
    world.app.store.listeners.append(events.extend)
    world.give({"items": {"r": {**ALL, "hide": ["secret", "note"]}, "s": {"*": {"id.$ne": 1}}, "t": {"get": True}}})
    assert world.ask("boss", Call("PATCH", "/items/1", {"data": {"secret": "new", "note": "new"}})).status == 200
    world.app.store.listeners.clear()
    (event,) = {(event.table, event.key): event for event in events}.values()
    items = world.app.schema.find("items")
    names = ("title", "secret", "note")
    shape = Obj(tuple((name, Col(Path((), items.fields[name]))) for name in names))
    looks = {
        role: world.app.store.look(event, shape, Actor(9, roles=(role,))) for role in ("admin", "r", "s", "t", "u")
    }
    found = {role: text and json.loads(text) for role, text in looks.items()}
    whole = {"title": "one", "secret": "new", "note": "new"}
    assert found == {"admin": whole, "r": {"title": "one"}, "s": None, "t": None, "u": None}
    platform = next(dialect for dialect in world.app.dialects if isinstance(dialect, minirest.Platform))
    told = {role: platform.show_event(event, Actor(9, roles=(role,))) for role in ("admin", "r", "s")}
    data: dict[str, Any] = {role: text and json.loads(text)["data"] for role, text in told.items()}
    assert data["s"] is None
    assert set(data["admin"]) - set(data["r"]) == {"secret", "note"}


def test_history_of_links_to_what_is_hidden(world: World) -> None:
    """Logs keep silent about links to tables of which not everything is seen."""
    change = {"data": {"maker": {"data": {"id": 2}}, "note": "x"}}
    assert world.ask("boss", Call("PATCH", "/items/1", change)).status == 200
    cases: tuple[tuple[dict[str, Any], set[str]], ...] = (
        ({}, {"maker", "note"}),
        ({"makers": {"r": {**ALL, "list": {"id": 1}}}}, {"note"}),
    )
    for rights, fields in cases:
        world.give(rights)
        log = world.ask("one", Call("GET", "/api/resources/items/logs/1")).json["data"]
        assert {row["field"] for row in log} - {None, "title", "secret"} == fields


# ---- roles, scopes, owners ----


@pytest.mark.parametrize(
    ("role", "status", "code"),
    [
        ("r", 200, None),
        ("s", 403, "forbidden"),
        ("member", 403, "forbidden"),
        ("t", 401, "ROLE_NOT_FOUND_FOR_USER"),
        ("", 200, None),
    ],
)
def test_a_header_narrows_nocobase_to_one_role(world: World, role: str, status: int, code: str | None) -> None:
    """`X-Role` leaves one role of the user; `member` leaves none of its own."""
    world.give({"items": {"r": ALL, "s": {"get": True}}})
    header = (("HTTP_X_ROLE", role),)
    for address in ("/api/items:list", "/api/items", "/api/parts/1/items:list"):
        answer = world.ask("two", Call("GET", address, environ=header))
        assert answer.status == status
        if code:
            assert answer.json["errors"][0]["code"] == code
    world.give({"items": {"r": {**ALL, "hide": ["secret"]}, "s": ALL}})
    shown = world.ask("two", Call("GET", "/api/items:get/1", environ=header)).json.get("data", {})
    if role in ("r", "s", ""):
        assert ("secret" in shown) == (role != "r")


def test_scopes_hold_for_every_operation(world: World) -> None:
    """A token that may only read writes nothing; one for a table sees no other, not through links either."""
    store, items = world.app.store, world.app.schema.find("items")
    parts = items.links["parts"]
    shape = Obj((("parts", minirest.Sub(parts, Col(Path((), parts.target.fields["name"])), many=True)),))
    select = Select(items, shape, minirest.Compare(Path((), items.id), "eq", 1))
    create = minirest.Create(items, {items.fields["title"]: "x"}, {}, Const(None))
    expected: dict[tuple[str, ...], tuple[Any, Any]] = {
        (): ('{"parts":["bolt"]}', None),
        ("read",): ('{"parts":["bolt"]}', "forbidden"),
        ("table:items",): ('{"parts":[]}', None),
        ("table:items", "table:PARTS", "table:uses"): ('{"parts":["bolt"]}', None),
        ("table:parts",): ("forbidden", "forbidden"),
        ("read", "table:items"): ('{"parts":[]}', "forbidden"),
    }
    for scopes, (read, written) in expected.items():
        actor = Actor(2, "one", roles=("r",), scopes=scopes)
        found = [outcome(store, actor, op) for op in (select, create)]
        assert found == [read, written], scopes


def outcome(store: minirest.Store, actor: Actor, op: minirest.Operation) -> Any:
    """The text of the first record that an operation gives, or why it is refused."""
    try:
        return store.run_for(actor, op, "test").rows[0].text
    except minirest.ApiError as error:
        return error.code


def test_rights_and_x_access_hold_together() -> None:
    """Of a private table one sees what both rules show, and changes what the right allows."""
    text = {"type": "string"}
    notes = {
        "type": "object",
        "properties": {"title": text},
        "x-access": True,
        "x-rights": {"r": {**ALL, "list": {"title.$ne": "b"}, "get": {"title.$ne": "b"}, "update": {"owner": "$me"}}},
    }
    app = minirest.make_app({"$defs": {"notes": notes}}, users={"boss": "open-sesame"})
    group = app.accounts.put_group("team")
    for name in ("anna", "bert"):
        app.accounts.put_user(name, roles=["r"], groups=[group])
    app.accounts.put_user("carl", roles=["r"])
    tokens = {
        name: {"HTTP_AUTHORIZATION": f"Bearer {app.accounts.add_token(name, 'x')}"} for name in ("anna", "bert", "carl")
    }
    for title in ("a", "b"):
        assert send(app, "POST", "/notes", {"data": {"title": title}}, **tokens["anna"]).status == 201
    seen = {
        name: [row["id"] for row in send(app, "GET", "/notes", **token).json["data"]] for name, token in tokens.items()
    }
    assert seen == {"anna": ["1"], "bert": ["1"], "carl": []}
    change = {"data": {"title": "c"}}
    statuses = [
        send(app, "PATCH", f"/notes/{key}", change, **tokens[name]).status
        for name, key in (("carl", 1), ("bert", 1), ("anna", 2), ("anna", 1))
    ]
    assert statuses == [404, 403, 404, 200]
    app.close()
