"""Rights, part by part: how they are read, what roles and scopes add up to, what is taken out of shapes, the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import minirest
from minirest import Actor, Arr, Col, Const, First, Obj, Path, Sub, Text
from tests.rights import World, document, world
from tests.web import send

SCHEMA = minirest.load_schema(document())
ITEMS, PARTS = SCHEMA.find("items"), SCHEMA.find("parts")
TITLE, SECRET = (Col(Path((), ITEMS.fields[name])) for name in ("title", "secret"))


def schema_with(rights: Any, **tables: Any) -> minirest.Schema:
    """The world with `x-rights` of items."""
    found = document()
    found["$defs"]["items"]["x-rights"] = rights
    for name, given in tables.items():
        found["$defs"][name]["x-rights"] = given
    return minirest.load_schema(found)


# ---- reading ----

WRONG: dict[str, tuple[Any, str, str]] = {
    "a role that is no object": ({"r": True}, "/r", "must be an object: verbs, hide, readonly"),
    "a verb that there is not": (
        {"r": {"lst": True}},
        "/r",
        "'lst' is no right; there are list, get, create, update, delete, archive, link, *, hide, readonly",
    ),
    "a field that there is not": ({"r": {"list": {"titel": 1}}}, "/r/list", ""),
    "a number as a rule": ({"r": {"get": 1}}, "/r/get", ""),
    "a rule of the rest": ({"r": {"*": {"titel": 1}}}, "/r/*", ""),
    "hide is no list": ({"r": {"hide": "secret"}}, "/r/hide", "must be a list of fields"),
    "hide names no field": (
        {"r": {"hide": ["secrte"]}},
        "/r/hide",
        "'secrte' is no field of 'items'; did you mean 'secret'?",
    ),
    "hide names the label": ({"r": {"hide": ["title"]}}, "/r/hide", "'title' names the records; see x-label and x-key"),
    "readonly names a number": ({"r": {"readonly": [1]}}, "/r/readonly", "1 is no field of 'items'"),
}


@pytest.mark.parametrize(("rights", "path", "message"), WRONG.values(), ids=WRONG)
def test_wrong_rights_are_refused_with_their_path(rights: Any, path: str, message: str) -> None:
    """The server does not start with rights that cannot be read; the error says where they are."""
    found = document()
    found["$defs"]["items"]["x-rights"] = rights
    with pytest.raises(minirest.SchemaError) as caught:
        minirest.make_app(found, auth=False)
    place, _, said = str(caught.value).partition(": ")
    assert place == f"#/$defs/items/x-rights{path}"
    assert said.startswith(message)
    assert said


def test_the_key_of_a_link_is_not_hidden() -> None:
    """A field that names the records of a link in addresses shows whether there is one, so nobody's rights hide it."""
    text, rights = {"type": "string"}, {"r": {"hide": ["note"]}}
    link = {"type": "array", "items": {"$ref": "#/$defs/pages"}, "x-inverse": "book"}
    pages: dict[str, Any] = {"name": text, "note": text, "book": {"$ref": "#/$defs/books"}}
    books: dict[str, Any] = {"type": "object", "properties": {"pages": link}}
    required = {"required": ["note"], "x-rights": rights}
    defs = {"books": books, "pages": {"type": "object", "properties": pages, **required}}
    minirest.read_grants(minirest.load_schema({"$defs": defs}).find("pages"))
    books["properties"]["pages"] = {**link, "x-key": "note"}
    with pytest.raises(minirest.SchemaError) as caught:
        minirest.read_grants(minirest.load_schema({"$defs": defs}).find("pages"))
    assert str(caught.value) == "#/$defs/pages/x-rights/r/hide: 'note' names the records; see x-label and x-key"


def test_a_link_goes_with_its_column() -> None:
    """Who does not see a link sees neither the column that holds it nor its other end."""
    items = schema_with({"r": {"hide": ["maker"], "readonly": ["card", "note"]}}).find("items")
    grant = minirest.read_grants(items)["r"]
    assert {repr(member).split()[1].rstrip(">") for member in grant.hidden} == {
        "items.maker",
        "items.maker_id",
        "makers.items",
    }
    assert {"card", "note"} <= {member.name for member in grant.locked}
    assert set(grant.rules.values()) == {minirest.FALSE}


# ---- roles ----


def allowed(rights: Any, *roles: str, actor: Actor | None = None, scopes: tuple[str, ...] = ()) -> set[str]:
    """The verbs that may be done to some items."""
    schema = schema_with(rights)
    found = minirest.rights_of(schema, actor or Actor(1, roles=roles, scopes=scopes))
    return {verb for verb in minirest.VERBS if found.allows(schema.find("items"), verb)}


EVERY = set(minirest.VERBS)


@pytest.mark.parametrize(
    ("rights", "roles", "verbs"),
    [
        ({}, (), set()),
        ({}, ("admin",), EVERY),
        ({"admin": {"get": True}}, ("admin",), {"get"}),
        ({"admin": {}}, ("admin",), set()),
        ({"r": {"list": True}}, ("r",), {"list"}),
        ({"r": {"list": True}, "s": {"get": {"note": "x"}}}, ("r", "s"), {"list", "get"}),
        ({"r": {"list": False}, "s": {"list": True}}, ("r", "s"), {"list"}),
        ({"*": {"list": True}}, (), {"list"}),
        ({"*": {"list": True}, "r": {"create": True}}, ("r",), {"list", "create"}),
        ({"*": {"list": False}, "r": {"*": True, "delete": False}}, ("r",), EVERY - {"delete"}),
        ({"r": {"*": {"note": "x"}, "get": False}}, ("r",), EVERY - {"get"}),
        ({"anonymous": {"list": True}}, ("r",), set()),
        ({"r": {"list": True}}, ("r", "r"), {"list"}),
    ],
)
def test_roles_add_up(rights: Any, roles: tuple[str, ...], verbs: set[str]) -> None:
    """What the roles of a user allow together, with that of everybody."""
    assert allowed(rights, *roles) == verbs


def test_strangers_have_their_own_role_only() -> None:
    """`*` is not for who sends no credentials; and without `anonymous` a table is closed to them."""
    rights = {"*": {"*": True}, "anonymous": {"get": True}}
    assert allowed(rights, actor=minirest.ANONYMOUS) == {"get"}
    assert allowed({"*": {"*": True}}, actor=minirest.ANONYMOUS) == set()
    schema = schema_with(rights)
    found = minirest.rights_of(schema, minirest.ANONYMOUS)
    assert not found.allows(schema.find("parts"), *minirest.VERBS)
    assert minirest.rights_of(SCHEMA, Actor(1)) is minirest.ALL_RIGHTS
    assert minirest.rights_of(schema, minirest.NOBODY) is minirest.ALL_RIGHTS
    assert minirest.rights_of(SCHEMA, minirest.ANONYMOUS).of_strangers


def test_several_filters_are_one_or_the_other() -> None:
    """Filters of several roles are joined by `or`; all is more than some."""
    schema = schema_with({"r": {"get": {"note": "x"}}, "s": {"get": {"note": "y"}}, "t": {"get": True}})
    items = schema.find("items")
    grants = minirest.read_grants(items)
    both = minirest.rights_of(schema, Actor(1, roles=("r", "s")))
    assert both.rule(items, "get") == minirest.Or((grants["r"].rules["get"], grants["s"].rules["get"]))
    assert minirest.rights_of(schema, Actor(1, roles=("r",))).rule(items, "get") == grants["r"].rules["get"]
    assert minirest.rights_of(schema, Actor(1, roles=("r", "t"))).rule(items, "get") == minirest.TRUE
    assert minirest.rights_of(schema, Actor(2, roles=("r", "s"))) is both


@pytest.mark.parametrize(
    ("rights", "hidden", "locked"),
    [
        ({"r": {"*": True, "hide": ["note"]}}, {"note"}, set()),
        ({"r": {"*": True, "hide": ["note", "secret"]}, "s": {"*": True, "hide": ["secret"]}}, {"secret"}, set()),
        ({"r": {"*": True, "hide": ["note"]}, "s": {"create": True}}, {"note"}, set()),
        ({"r": {"hide": ["note"]}, "s": {"hide": ["note", "secret"]}}, {"note"}, set()),
        ({"r": {"*": True, "readonly": ["note"]}, "s": {"list": True}}, set(), {"note"}),
        ({"r": {"*": True, "readonly": ["note"]}, "s": {"update": {"note": "x"}}}, set(), set()),
        ({}, set(), set()),
    ],
)
def test_only_roles_that_may_read_show_and_only_those_that_may_write_set(
    rights: Any, hidden: set[str], locked: set[str]
) -> None:
    """A field is hidden when all roles that may read say so, and locked when all that may write do."""
    found = minirest.rights_of(schema_with(rights), Actor(1, roles=("r", "s")))
    assert {member.name for member in found.hidden} == hidden
    assert {member.name for member in found.locked} == locked


@pytest.mark.parametrize(
    ("scopes", "items", "parts"),
    [
        ((), EVERY, EVERY),
        (("read",), {"list", "get"}, {"list", "get"}),
        (("table:items",), EVERY, set()),
        (("table:ITEMS", "table:parts"), EVERY, EVERY),
        (("read", "table:items"), {"list", "get"}, set()),
        (("table:nothing",), set(), set()),
    ],
)
def test_scopes_of_a_token_narrow_its_user(scopes: tuple[str, ...], items: set[str], parts: set[str]) -> None:
    """`read` and `table:` forbid what is outside of them, with x-rights and without."""
    for schema in (SCHEMA, schema_with({"r": {"*": True}})):
        found = minirest.rights_of(schema, Actor(1, roles=("r",), scopes=scopes))
        for name, verbs in (("items", items), ("parts", parts)):
            assert {verb for verb in minirest.VERBS if found.allows(schema.find(name), verb)} == verbs
    assert allowed({"r": {"get": True}}, "r", scopes=("read",)) == {"get"}
    assert allowed({"r": {"create": True}}, "r", scopes=("read",)) == set()


# ---- shapes ----


def test_shapes_without_what_is_hidden() -> None:
    """Of every kind of shape the hidden parts go; what stands in a list leaves null."""
    maker, parts = ITEMS.links["maker"], ITEMS.links["parts"]
    hidden = frozenset[minirest.Field | minirest.Link]({ITEMS.fields["secret"], parts})
    through = Col(Path((parts,), PARTS.fields["name"]))
    name = Col(Path((maker,), maker.target.fields["name"]))
    cases: list[tuple[minirest.Shape, minirest.Shape | None]] = [
        (TITLE, TITLE),
        (SECRET, None),
        (through, None),
        (Col(Path((parts,))), None),
        (name, name),
        (Const(1), Const(1)),
        (Text(("a", TITLE)), Text(("a", TITLE))),
        (Text(("a", SECRET)), None),
        (First((SECRET, TITLE)), First((TITLE,))),
        (First((SECRET, through)), None),
        (Arr((SECRET, TITLE)), Arr((Const(None), TITLE))),
        (Obj((("a", SECRET), ("b", TITLE))), Obj((("b", TITLE),))),
        (Obj((("a", Obj((("c", SECRET),))),)), Obj((("a", Obj(())),))),
        (Sub(parts, Col(Path((), PARTS.id)), many=True), None),
        (Sub(maker, name, many=False), Sub(maker, name, many=False)),
        (Sub(maker, SECRET, many=False), Sub(maker, Const(None), many=False)),
    ]
    for shape, wanted in cases:
        assert minirest.without(shape, hidden) == wanted, shape
    rights = minirest.Rights(hidden=hidden)
    assert rights.shown(SECRET) == Const(None)
    assert rights.shown(TITLE) == TITLE
    assert minirest.ALL_RIGHTS.shown(SECRET) is SECRET


def test_what_somebody_has_just_written_is_seen_once() -> None:
    """`also` adds records to those that are seen by their key, and to no list."""
    rule = minirest.Compare(Path((), ITEMS.id), "eq", 1)
    sight = minirest.Sight({ITEMS: rule}, {ITEMS: rule})
    wider = sight.also(ITEMS, [2])
    added = minirest.Compare(Path((), ITEMS.id), "in", (2,))
    assert dict(wider.rules) == {ITEMS: rule}
    assert dict(wider.single) == {ITEMS: minirest.Or((rule, added))}
    assert dict(sight.single) == {ITEMS: rule}
    assert dict(minirest.FULL_SIGHT.also(ITEMS, [2]).single) == {ITEMS: minirest.Or((minirest.TRUE, added))}


# ---- the gate ----


def test_each_operation_needs_its_right() -> None:
    """The verb of every operation, and the error of who may not do it: strangers are asked who they are."""
    where, parent = minirest.TRUE, minirest.Parent(ITEMS.links["parts"], minirest.Key(ITEMS.id, 1))
    select = minirest.Select(PARTS, Const(None))
    operations: dict[str, minirest.Operation] = {
        "list": minirest.Select(ITEMS, Const(None)),
        "get": minirest.Select(ITEMS, Const(None), single=True),
        "create": minirest.Create(ITEMS, {}, {}, Const(None)),
        "update": minirest.Update(ITEMS, where, {}, {}, Const(None)),
        "delete": minirest.Delete(ITEMS, where),
        "archive": minirest.Archive(ITEMS, where, 1),
        "link": minirest.Relink(parent, minirest.Change("add", ()), Const(None)),
    }
    moved = minirest.Move(ITEMS, minirest.Key(ITEMS.id, 1), "first")
    for verb, op in [*operations.items(), ("update", moved)]:
        rights = minirest.Rights({(ITEMS, word): minirest.FALSE for word in minirest.VERBS if word == verb})
        for given in (op, minirest.Batch((select, op))):
            for actor, code in ((Actor(1), "forbidden"), (minirest.ANONYMOUS, "unauthenticated")):
                with pytest.raises(minirest.ApiError) as caught:
                    minirest.guard(given, actor, "", rights)
                assert caught.value.code == code
        others = minirest.Rights({(ITEMS, word): minirest.FALSE for word in minirest.VERBS if word != verb})
        assert minirest.guard(op, Actor(1), "", others) == op


def test_an_upsert_needs_the_right_to_what_it_does() -> None:
    """Which of the two it is, is known in the transaction; neither is refused for want of the other's right."""
    create = minirest.Create(ITEMS, {}, {}, SECRET)
    upsert = minirest.Upsert(minirest.TRUE, create, minirest.Update(ITEMS, minirest.TRUE, {}, {}, SECRET))
    rights = minirest.Rights({(ITEMS, "create"): minirest.FALSE}, frozenset({ITEMS.fields["secret"]}))
    guarded = minirest.guard(upsert, Actor(1), "", rights)
    assert isinstance(guarded, minirest.Upsert)
    assert (guarded.create.shape, guarded.update.shape) == (Const(None), Const(None))


def test_a_sight_is_made_for_so_much_of_the_moment_as_the_rules_speak_of() -> None:
    """Rules without a date are compiled once, those of a day once a day, those of now again and again."""
    first, second, third = "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:01.000Z", "2026-03-02T12:00:00.000Z"
    for rule, times in (
        ({"note": "x"}, ("", "", "")),
        ({"createdAt.$lt": "$today"}, (first[:10], second[:10], third[:10])),
        ({"createdAt.$lt": "$now"}, (first, second, third)),
    ):
        schema = schema_with({"r": {"*": True, "get": rule}})
        actor = Actor(1, roles=("r",))
        rights = minirest.rights_of(schema, actor)
        assert tuple(map(rights.time, (first, second, third))) == times
        sights = [minirest.sight_of(schema, actor, moment) for moment in (first, second, third)]
        assert len({id(sight) for sight in sights}) == len(set(times))


def test_records_come_and_go_with_the_clock() -> None:
    """A rule with $today or $now holds for the moment of each request."""
    now = [datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC)]
    text = {"type": "string"}
    due = {"type": "object", "properties": {"name": text, "day": {**text, "format": "date"}}}
    at = {"type": "object", "properties": {"name": text, "moment": {**text, "format": "date-time"}}}
    found = {
        "days": {**due, "x-rights": {"r": {"*": True, "list": {"day.$lte": "$today"}, "get": {"day.$lte": "$today"}}}},
        "moments": {**at, "x-rights": {"r": {"*": True, "list": {"moment.$gt": "$now"}, "get": True}}},
    }
    app = minirest.make_app({"$defs": found}, users={"boss": "open-sesame"}, clock=lambda: now[0])
    app.accounts.put_user("boss", roles=["r"])
    token = {"HTTP_AUTHORIZATION": f"Bearer {app.accounts.add_token('boss', 'test')}"}
    for day in ("2026-03-01", "2026-03-02"):
        send(app, "POST", "/days", {"data": {"day": day}}, **token)
        send(app, "POST", "/moments", {"data": {"moment": f"{day}T00:00:00Z"}}, **token)

    def seen(address: str) -> list[int]:
        return [row["id"] for row in send(app, "GET", f"/api/{address}:list", **token).json["data"]]

    assert (seen("days"), seen("moments")) == ([1], [2])
    assert send(app, "GET", "/days/2", **token).status == 404
    now[0] += timedelta(seconds=1)
    assert (seen("days"), seen("moments")) == ([1, 2], [])
    assert send(app, "GET", "/days/2", **token).status == 200
    app.close()


# ---- shapes are compiled for those who see the same ----


def test_what_one_role_compiled_is_not_shown_to_another() -> None:
    """A shape without a rule for one role may have one for the next."""
    with world() as it:
        it.give(
            {
                "items": {"r": {"*": True, "list": {"id.$ne": 9}}, "*": {"*": True}},
                "parts": {"r": {"*": True}, "*": {"*": True, "list": False}},
            }
        )
        address = "/api/items:list?fields=parts.name"
        shown = {user: [row["parts"] for row in ask(it, user, address)] for user in ("one", "none", "boss")}
    assert shown == {
        "one": [[{"name": "bolt"}], [{"name": "nut"}]],
        "none": [[], []],
        "boss": [[{"name": "bolt"}], [{"name": "nut"}]],
    }


def ask(it: World, user: str, address: str) -> Any:
    """The data of a list."""
    return send(it.app, "GET", address, HTTP_AUTHORIZATION=f"Bearer {it.tokens[user]}").json["data"]


def test_a_sight_for_lists_is_made_once() -> None:
    """What is made for statements of a sight is found again."""
    with world() as it:
        it.give({"items": {"r": {"*": True, "list": {"title": "one"}}}})
        table, moment = it.app.schema.find("items"), "2026-03-01T12:00:00.000Z"
        sight = minirest.sight_of(it.app.schema, Actor(4, roles=("r",)), moment)
        assert sight.listed(table) is sight.listed(table) is not sight
        assert sight.listed(it.app.schema.find("parts")) is sight
