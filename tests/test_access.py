"""Access: what an actor does not see is not there, in any question and for any change."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path as FilePath
from random import Random
from typing import Any

import pytest

import minirest
from minirest import Actor, Change, Col, Compare, Item, Key, Obj, Origin, Parent, Path, Select, Sub
from tests.sockets import Client, serving
from tests.web import Answer, dump, many, one, send, unguarded

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEXT = {"type": "string"}
INTEGER = {"type": "integer"}


def table(*required: str, **properties: Any) -> dict[str, Any]:
    """A table whose records are not for everybody."""
    return {"type": "object", "properties": properties, "required": list(required), "x-access": True}


SCHEMA: dict[str, Any] = {
    "$defs": {
        "nodes": table(
            name=TEXT,
            n=INTEGER,
            up=one("nodes"),
            downs=many("nodes", **{"x-inverse": "up"}),
            peer=one("things"),
            things=many("things", **{"x-through": "ties"}),
            tags=many("tags"),
        ),
        "things": table(name=TEXT, nodes=many("nodes", **{"x-inverse": "things"})),
        "ties": table("node", "thing", weight=INTEGER, node=one("nodes"), thing=one("things")),
        "tags": table(name=TEXT),
        "open": {"type": "object", "properties": {"name": TEXT, "node": one("nodes"), "nodes": many("nodes")}},
    }
}
ANNA = Actor(1, "anna", groups=(1, 3))
LETTERS = ("a", "b", "c")


def store_of(schema: minirest.Schema) -> minirest.Store:
    """An empty store in memory."""
    return minirest.Store(schema, ":memory:", lambda: NOW)


def column(name: str) -> Path:
    """The path of a column, `table.name`."""
    found, _, word = name.partition(".")
    names = minirest.Names(REGISTRY.find(found), minirest.Manner(shows_keys=True))
    return names.path(word.split("."))


REGISTRY = minirest.load_schema(SCHEMA)


# ---- a world with records of two users ----

Row = dict[str, Any]
WORLDS = ("nodes", "things", "tags", "open")
JUNCTIONS = {"nodes_tags": ("nodes", "tags"), "open_nodes": ("open", "nodes"), "ties": ("nodes", "things")}
ENDS = {
    "nodes_tags": ("source_id", "target_id"),
    "open_nodes": ("source_id", "target_id"),
    "ties": ("node_id", "thing_id"),
}


def owned(luck: Random) -> Row:
    """Whose a record is: Anna's, another's, nobody's, a group's."""
    listed = [luck.sample([1, 2, -1, -2], luck.randint(0, 2)), luck.sample([1, 2], luck.randint(0, 1))]
    access, branch = (luck.choice([None, json.dumps(ids)]) for ids in listed)
    return {
        "_owner": luck.choice([None, 1, 2]),
        "_group": luck.choice([None, None, 1, 2]),
        "_access": access,
        "_branch": branch,
    }


def world_of(luck: Random) -> dict[str, list[Row]]:
    """Some records of each table; links lead anywhere."""
    sizes = {name: luck.randint(1, 5) for name in WORLDS}

    def key(name: str) -> int | None:
        return luck.randint(0, sizes[name]) or None

    world: dict[str, list[Row]] = {
        name: [{"id": number, "name": luck.choice(LETTERS), **owned(luck)} for number in range(1, size + 1)]
        for name, size in sizes.items()
    }
    for row in world["nodes"]:
        row |= {"n": luck.randint(0, 3), "up_id": key("nodes"), "peer_id": key("things")}
    for row in world["open"]:
        row["node_id"] = key("nodes")
    for name, (near, far) in JUNCTIONS.items():
        pairs = {(luck.randint(1, sizes[near]), luck.randint(1, sizes[far])) for _ in range(luck.randint(0, 6))}
        world[name] = [
            {"id": number, **dict(zip(ENDS[name], pair, strict=True))} for number, pair in enumerate(pairs, 1)
        ]
    for row in world["ties"]:
        row |= {"weight": luck.randint(0, 3), **owned(luck)}
    return world


def fill(store: minirest.Store, world: dict[str, list[Row]]) -> None:
    """Insert the rows as they are."""
    connection = unguarded(store)
    connection.execute("pragma foreign_keys=off")
    for name, rows in world.items():
        for row in rows:
            marks = ",".join("?" * len(row))
            connection.execute(f'insert into "{name}" ({",".join(row)}) values ({marks})', tuple(row.values()))


def seen(row: Row, actor: Actor) -> bool:
    """The rule of x-access, in Python."""
    mine = {actor.id, *(-group for group in actor.groups)}
    return (
        row["_owner"] == actor.id
        or row["_group"] in actor.groups
        or bool(mine & set(json.loads(row["_access"] or "[]")))
        or bool(set(actor.groups) & set(json.loads(row["_branch"] or "[]")))
    )


def without_hidden(world: dict[str, list[Row]], actor: Actor) -> dict[str, list[Row]]:
    """The world in which what the actor does not see has never been."""
    left = {
        name: [row for row in rows if name == "open" or "_owner" not in row or seen(row, actor)]
        for name, rows in world.items()
    }
    keys = {name: {row["id"] for row in rows} for name, rows in left.items()}
    for row in left["nodes"]:
        row["up_id"] = row["up_id"] if row["up_id"] in keys["nodes"] else None
        row["peer_id"] = row["peer_id"] if row["peer_id"] in keys["things"] else None
    for row in left["open"]:
        row["node_id"] = row["node_id"] if row["node_id"] in keys["nodes"] else None
    for name, tables in JUNCTIONS.items():
        ends = list(zip(ENDS[name], tables, strict=True))
        left[name] = [row for row in left[name] if all(row[end] in keys[target] for end, target in ends)]
    return left


# ---- questions ----

PATHS = {
    "nodes": "name n up.name up.up.n downs.name downs.things.name things.name things.ties.weight tags.name peer.name "
    "up_id peer_id things.nodes.n",
    "open": "name node.name node_id nodes.name nodes.up.name node.tags.name",
}
LINKS = {"nodes": "up downs things tags peer", "open": "node nodes"}
SORTS = {"nodes": "name up.name peer.name up_id", "open": "name node.name node_id"}


def filter_of(luck: Random, name: str, depth: int = 2) -> Any:
    """A filter in JSON: comparisons, absence of links, and what is put together of them."""
    if depth and luck.random() < 0.5:
        parts = [filter_of(luck, name, depth - 1) for _ in range(luck.randint(1, 3))]
        return luck.choice([{"$and": parts}, {"$or": parts}, {"$not": parts[0]}])
    if luck.random() < 0.25:
        return {f"{luck.choice(LINKS[name].split())}.{luck.choice(['$exists', '$notExists'])}": True}
    path = luck.choice(PATHS[name].split())
    value = luck.choice([None, *LETTERS] if path.endswith("name") else [None, 1, 2, 3])
    operator = luck.choice(["$eq", "$ne"] if value is None else ["$eq", "$ne", "$gt", "$lte", "$in", "$notIn"])
    return {f"{path}.{operator}": [value] if operator in ("$in", "$notIn") else value}


def shape(name: str) -> minirest.Shape:
    """Everything that a record can show: columns, keys, linked records whole and as ids, numbers of links."""
    pairs: list[tuple[str, minirest.Shape]] = [("name", Col(column(f"{name}.name")))]
    for link in REGISTRY.find(name).links.values():
        ident = Col(Path((), link.target.id))
        inner = [("id", ident), ("name", Col(Path((), link.target.fields["name"])))]
        inner += [("number", Col(Path((other,)))) for other in link.target.links.values()]
        if link.through and link.through.tracked:
            inner.append(("weight", Col(Path((), link.through.fields["weight"]))))
        pairs += [
            (f"{link.name}_ids", Sub(link, ident, many=True)),
            (link.name, Sub(link, Obj(tuple(inner)), link.many)),
            (f"{link.name}_first", Col(Path((link,), link.target.fields["name"]))),
            (f"{link.name}_number", Col(Path((link,)))),
        ]
        if link.key:
            pairs.append((link.key.name, Col(Path((), link.key))))
    return Obj(tuple(pairs))


SHAPES = {name: shape(name) for name in ("nodes", "open")}


def question_of(luck: Random) -> Select:
    """A Select of nodes or of the open table, perhaps below a record, in some order, with its total."""
    name = luck.choice(["nodes", "open"])
    names = minirest.Names(REGISTRY.find(name), minirest.Manner(shows_keys=True))
    orders = [Path((link,)) for link in names.table.links.values()]
    orders += [names.path(path.split(".")) for path in SORTS[name].split()]
    sort = tuple(minirest.Sort(luck.choice(orders), luck.random() < 0.5) for _ in range(luck.randint(0, 2)))
    parents = [column(name).links[0] for name in ("open.nodes", "things.nodes", "nodes.downs")]
    link = luck.choice(parents) if name == "nodes" and luck.random() < 0.4 else None
    parent = Parent(link, Key(link.source.id, luck.randint(1, 5))) if link else None
    where = minirest.filter_from_json(names, filter_of(luck, name))
    return Select(names.table, SHAPES[name], where, sort=sort, total=True, parent=parent)


def answer(store: minirest.Store, op: Select, sight: minirest.Sight) -> Any:
    """What a Select gives, or why not."""
    try:
        outcome = store.run(op, Origin(ANNA, "test", "", sight))
    except minirest.ApiError as error:
        return error.code
    return [(row.key, json.loads(row.text)) for row in outcome.rows], outcome.total


@pytest.mark.parametrize("seed", range(60))
def test_what_is_not_seen_is_not_there(seed: int) -> None:
    """Every question has the answer that it has where the hidden records and what hangs on them never were."""
    luck = Random(seed)
    world = world_of(luck)
    with closing(store_of(REGISTRY)) as whole, closing(store_of(REGISTRY)) as rest:
        fill(whole, world)
        fill(rest, without_hidden(json.loads(json.dumps(world)), ANNA))
        sight = minirest.sight_of(REGISTRY, ANNA, "")
        for _ in range(40):
            op = question_of(luck)
            assert answer(whole, op, sight) == answer(rest, op, minirest.FULL_SIGHT)


# ---- changes ----


def row(key: int, owner: int | None, **values: Any) -> Row:
    """A record of somebody."""
    return {"id": key, "name": f"{key}", "_owner": owner, **values}


@pytest.fixture
def store() -> Iterator[minirest.Store]:
    """Anna's nodes 1 and 2, Bert's node 3; each has things; all are linked to each other."""
    made = store_of(REGISTRY)
    fill(
        made,
        {
            "nodes": [row(1, 1, up_id=3, peer_id=2), row(2, 1, up_id=1), row(3, 2, up_id=1)],
            "things": [row(1, 1), row(2, 2), row(3, 1)],
            "tags": [row(1, 1), row(2, 2), row(3, 1)],
            "nodes_tags": [{"id": key, "source_id": 1, "target_id": key} for key in (1, 2)],
        },
    )
    yield made
    made.close()


def run(store: minirest.Store, op: minirest.Operation, actor: Actor = ANNA) -> minirest.Outcome:
    """Run an operation as an actor does."""
    moment = store.moment()
    origin = Origin(actor, "test", moment, minirest.sight_of(store.schema, actor, moment))
    return store.run(minirest.guard(op, actor, moment), origin)


def refused(store: minirest.Store, op: minirest.Operation) -> list[tuple[Any, ...]]:
    """The violations of an operation that changes nothing."""
    before = dump(store)
    with pytest.raises(minirest.ApiError) as caught:
        run(store, op)
    assert dump(store) == before
    return [(fault.path, fault.rule) for fault in caught.value.violations]


def rows(store: minirest.Store, statement: str) -> list[Any]:
    """The rows of a statement, of one column as plain values."""
    found = store.database.writer.execute(statement).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def link(name: str) -> minirest.Link:
    """A link, `table.name`."""
    return column(name).links[0]


def item(name: str, key: int) -> Item:
    """A record of a link's target."""
    return Item(Key(link(name).target.id, key))


NODES = REGISTRY.find("nodes")
NAME = NODES.fields["name"]
ALL = minirest.TRUE


def node(key: int) -> minirest.Filter:
    """One node."""
    return Compare(Path((), NODES.id), "eq", key)


def update(where: minirest.Filter, values: Any = (), links: Any = ()) -> minirest.Update:
    """A change of nodes."""
    return minirest.Update(NODES, where, dict(values), dict(links), Col(Path((), NODES.id)))


def test_changes_leave_hidden_records_alone(store: minirest.Store) -> None:
    """An update or deletion of all means all that are seen; one of a hidden record means none."""
    assert run(store, update(node(3), {NAME: "x"})).rows == []
    assert run(store, update(ALL, {NAME: "x"})).changed == 2
    assert rows(store, "select name from nodes") == ["x", "x", "3"]
    assert run(store, minirest.Delete(NODES, node(3))).changed == 0
    assert run(store, minirest.Delete(NODES, ALL)).changed == 2
    assert rows(store, "select id from nodes") == [3]


def test_hidden_records_cannot_be_linked(store: minirest.Store) -> None:
    """A hidden target is a missing one, in whatever way it is named."""
    up, tags = link("nodes.up"), link("nodes.tags")
    assert up.key
    missing = Change("replace", (item("nodes.up", 3),))
    assert refused(store, update(node(2), (), {up: missing})) == [(("up",), "link_missing")]
    assert refused(store, update(node(2), {up.key: 3})) == [(("up",), "link_missing")]
    more = Change("add", (item("nodes.tags", 3), item("nodes.tags", 2)))
    assert refused(store, update(node(2), (), {tags: more})) == [(("tags", 1), "link_missing")]
    assert refused(store, minirest.Create(NODES, {up.key: 3}, {}, Col(Path((), NODES.id)))) == [
        (("up",), "link_missing")
    ]
    relink = minirest.Relink(Parent(tags, Key(NODES.id, 3)), more, Col(Path((), NODES.id)))
    assert refused(store, relink) == [((), "not_found")]


def test_a_hidden_record_is_not_made_again(store: minirest.Store) -> None:
    """Who puts a record under the id of a hidden one is told what is told of an id that never was."""
    shown = Col(Path((), NODES.id))
    for key in (3, 2, 9):
        create = minirest.Create(NODES, {NAME: "x"}, {}, shown, key=key)
        op = minirest.Upsert(node(key), create, update(node(key), {NAME: "x"}))
        if key == 3:
            assert refused(store, op) == [((), "not_found")]
        else:
            assert run(store, op).rows[0].key == key
    assert rows(store, "select name from nodes") == ["1", "x", "3", "x"]


def test_hidden_links_stay(store: minirest.Store) -> None:
    """Who replaces or clears what it sees of a link keeps what it does not see."""
    up, peer, tags = link("nodes.up"), link("nodes.peer"), link("nodes.tags")
    assert up.key
    empty = Change("replace", ())
    assert run(store, update(node(1), {NAME: "x", up.key: None}, {peer: empty, tags: empty})).changed == 1
    assert rows(store, "select name, up_id, peer_id from nodes where id=1") == [("x", 3, 2)]
    assert rows(store, "select target_id from nodes_tags") == [2]
    run(store, minirest.Relink(Parent(up, Key(NODES.id, 1)), Change("remove", None), Col(Path((), NODES.id))))
    run(store, minirest.Relink(Parent(tags, Key(NODES.id, 1)), Change("remove", None), Col(Path((), NODES.id))))
    assert rows(store, "select up_id, target_id from nodes join nodes_tags on source_id=nodes.id") == [(3, 2)]
    run(store, update(node(1), (), {up: Change("replace", (item("nodes.up", 2),))}))
    assert rows(store, "select up_id from nodes where id=1") == [2]


def test_own_records_are_seen_at_once(store: minirest.Store) -> None:
    """A new record belongs to who made it, and to its first group."""
    shown = Obj((("owner", Col(Path((), NODES.system["_owner"]))), ("group", Col(Path((), NODES.system["_group"])))))
    outcome = run(store, minirest.Create(NODES, {NAME: "new"}, {}, shown))
    assert [row.text for row in outcome.rows] == ['{"owner":1,"group":1}']
    mine = run(store, Select(NODES, shown), Actor(9, groups=(1,)))
    assert [row.key for row in mine.rows] == [4]


def test_who_sees_everything() -> None:
    """Without authentication nobody is asked, and without x-access there is no rule."""
    assert minirest.sight_of(REGISTRY, minirest.NOBODY, "") is minirest.FULL_SIGHT
    plain = minirest.load_schema({"$defs": {"t": {"type": "object", "properties": {"a": TEXT}}}})
    assert minirest.sight_of(plain, ANNA, "") is minirest.FULL_SIGHT


# ---- events ----


def test_a_changed_record_as_it_was(store: minirest.Store) -> None:
    """An event shows the record to those who see it, after later changes and after its deletion too."""
    events: list[minirest.Event] = []
    store.listeners.append(events.extend)
    run(store, update(node(1), {NAME: "first"}))
    run(store, update(node(1), {NAME: "second"}))
    run(store, minirest.Delete(NODES, node(1)))
    shown = Obj((("name", Col(Path((), NAME))), ("up", Sub(link("nodes.up"), Col(Path((), NODES.id)), many=False))))
    mine = [event for event in events if event.key == 1]
    for actor, up in ((ANNA, None), (minirest.NOBODY, 3)):
        looks = [store.look(event, shown, actor) for event in mine]
        assert [json.loads(str(text)) for text in looks] == [
            {"name": name, "up": up} for name in ("first", "second", "second")
        ]
    assert {store.look(event, shown, Actor(2)) for event in mine} == {None}


# ---- through the dialects ----


@pytest.fixture
def app() -> Iterator[minirest.Application]:
    """Private notes, with two users who share a group and one who does not."""
    document = {"$defs": {"notes": table("title", title=TEXT)}}
    made = minirest.make_app(document, users=dict.fromkeys(("anna", "bert", "carla"), "open-sesame"), clock=lambda: NOW)
    group = made.accounts.put_group("team")
    for name in ("anna", "bert"):
        made.accounts.put_user(name, groups=[group])
    yield made
    made.close()


def ask(app: minirest.Application, user: str, method: str, address: str, body: Any = None) -> Answer:
    """A request of a user."""
    credentials = base64.b64encode(f"{user}:open-sesame".encode()).decode()
    return send(app, method, address, body, HTTP_AUTHORIZATION=f"Basic {credentials}")


def test_notes_through_limbas_and_nocobase(app: minirest.Application) -> None:
    """To who may not see it a record is not found; it can be neither read, counted, changed nor deleted."""
    assert ask(app, "anna", "POST", "/notes", {"data": {"title": "hush"}}).status == 201
    listed = {
        user: ask(app, user, "GET", "/api/notes:list").json["meta"]["count"] for user in ("anna", "bert", "carla")
    }
    assert listed == {"anna": 1, "bert": 1, "carla": 0}
    assert ask(app, "bert", "GET", "/notes/1").json["data"]["attributes"] == {"title": "hush"}
    unknown = ask(app, "carla", "GET", "/notes/2")
    assert unknown.status == 404
    for method, body in (("GET", None), ("PATCH", {"data": {"title": "x"}}), ("DELETE", None)):
        assert ask(app, "carla", method, "/notes/1", body)[::2] == unknown[::2]
    assert ask(app, "carla", "POST", "/api/notes:update/1", {"title": "x"}).json == {"data": []}
    assert ask(app, "carla", "POST", "/api/notes:destroy/1").json == {"data": 0}
    assert ask(app, "carla", "GET", "/").json["tables"][0]["records"] == 0
    assert ask(app, "anna", "GET", "/").json["tables"][0]["records"] == 1
    assert ask(app, "bert", "POST", "/api/notes:update/1", {"title": "read"}).json["data"][0]["title"] == "read"
    app.accounts.put_user("bert", groups=[])
    assert ask(app, "bert", "GET", "/notes/1").status == 404


# ---- on the socket ----

Entity = dict[str, Any]
Told = tuple[str, Entity]
PEOPLE = ("anna", "bert", "carl", "dora", "emil", "fred")
TEAMS = {"crew": "bert", "ship": "carl", "guild": "emil", "fleet": "fred"}
"""Each group and its member. Fred's group has Dora's number, which must not make him her."""
LIVE: dict[str, Any] = {
    "$defs": {
        "notes": {
            **table(title=TEXT, place=INTEGER, about=one("things"), things=many("things")),
            "x-sort": {"field": "place"},
            "x-archive": True,
            "examples": [{"title": "nobody's"}],
        },
        "things": table(name=TEXT, notes=many("notes", **{"x-inverse": "about"})),
        "board": {"type": "object", "properties": {"text": TEXT}},
    }
}
REASONS: dict[str, tuple[list[str], dict[str, list[str]], tuple[str, ...]]] = {
    "owner": ([], {}, ("anna",)),
    "member of its group": (["crew"], {}, ("anna", "bert")),
    "member of a group in its branch": ([], {"branch": ["ship"]}, ("anna", "carl")),
    "user in its access": ([], {"access": ["dora"]}, ("anna", "dora")),
    "member of a group in its access": ([], {"access": ["guild"]}, ("anna", "emil")),
    "all at once": (["crew"], {"branch": ["ship"], "access": ["guild", "dora"]}, PEOPLE[:5]),
}
"""Anna's groups, the lists of the record that she makes, and who sees it."""


class Crowd:
    """An application with people, who write and listen under their names; `ids` are those of people and groups."""

    def __init__(self, db: str) -> None:
        self.app = minirest.make_app(LIVE, db, users={"anna": "open-sesame"}, clock=lambda: NOW)
        accounts = self.app.accounts
        groups = {name: accounts.put_group(name) for name in TEAMS}
        members = {member: groups[name] for name, member in TEAMS.items()}
        people = {name: accounts.put_user(name, groups=[members[name]] if name in members else []) for name in PEOPLE}
        assert groups["fleet"] == people["dora"]
        self.ids = {name: self.of("_groups", key) for name, key in groups.items()}
        self.ids |= {name: self.of("_users", key) for name, key in people.items()}
        self.credentials = {name: f"Bearer {accounts.add_token(name, 'test')}" for name in PEOPLE}

    def of(self, table: str, key: int) -> str:
        """The ObjectId of a record."""
        return minirest.object_id(self.app.schema.all_tables[table].tag, key)

    def write(self, user: str, method: str, address: str, body: Any = None) -> Any:
        """What a user does, and its answer, without the member that an entity has only there."""
        answer = send(self.app, method, address, body, HTTP_AUTHORIZATION=self.credentials[user])
        assert answer.status == 200, answer.body
        return {name: value for name, value in answer.json.items() if name != "success"}

    @contextmanager
    def listening(self, *people: str) -> Iterator[dict[str, Client]]:
        """A socket for each."""
        with serving(self.app) as port, ExitStack() as stack:
            headers = {name: {"Authorization": self.credentials[name]} for name in people}
            yield {name: stack.enter_context(Client(port, headers[name]).begin()) for name in people}

    def event(self, name: str, entity: Entity) -> Told:
        """The event that the newest row of history stands for."""
        with self.app.store.database.reading() as connection:
            (number,) = connection.execute("select max(id) from _history").fetchone()
        time = int(NOW.timestamp() * 1000)
        words = {"_msgid": self.of("_history", number), "_oid": entity["_id"], "event": name, "time": time}
        return name, {**words, "data": entity}

    def rest(self, clients: dict[str, Client]) -> dict[str, list[Told]]:
        """What else everybody is told, up to a notice for all."""
        self.write("anna", "POST", "/api/v1/board", {"text": "for all"})
        found: dict[str, list[Told]] = {name: [] for name in clients}
        for name, client in clients.items():
            while (told := client.told())[0] != "board-create":
                found[name].append(told)
        return found


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    """Anna, who is in no group, and the others."""
    made = Crowd(":memory:")
    yield made
    made.app.close()


@pytest.mark.parametrize(("groups", "lists", "readers"), REASONS.values(), ids=REASONS)
def test_events_go_to_those_who_see_the_record(
    crowd: Crowd, groups: list[str], lists: dict[str, list[str]], readers: tuple[str, ...]
) -> None:
    """Whatever happens to a record is told to those whom the rule names, each for its own reason, and nobody else."""
    crowd.app.accounts.put_user("anna", groups=[crowd.app.accounts.put_group(name) for name in groups])
    whose: Entity = {
        "owner": crowd.ids["anna"],
        "group": crowd.ids[groups[0]] if groups else None,
        "access": [],
        "branch": [],
    }
    given = {word: [crowd.ids[name] for name in names] for word, names in lists.items()}
    path = "/api/v1/notes/" + crowd.of("notes", 2)
    with crowd.listening(*PEOPLE) as clients:
        made = crowd.write("anna", "POST", "/api/v1/notes", {"title": "one", **given})
        assert made == {**made, **whose, **given, "title": "one", "place": 2}
        expected = [crowd.event("notes-create", made)]
        expected.append(crowd.event("notes-update", crowd.write("anna", "PATCH", path, {"title": "two"})))
        crowd.write("anna", "POST", "/api/notes:move?sourceId=2&method=prepend")
        moved = {**made, "title": "two", "place": crowd.write("anna", "GET", path)["place"]}
        assert moved["place"] < 2
        expected.append(crowd.event("notes-update", moved))
        crowd.write("anna", "PATCH", "/notes/2", {"$archived": True})
        expected.append(crowd.event("notes-update", moved))
        assert crowd.write("anna", "DELETE", path) == moved
        expected.append(crowd.event("notes-delete", moved))
        told = crowd.rest(clients)
    assert told == {name: expected if name in readers else [] for name in PEOPLE}


def test_links_of_an_event_lead_to_what_is_seen(crowd: Crowd) -> None:
    """A linked record that somebody does not see is absent for them, in a link to one and in a link to many."""
    things, notes = ([crowd.of(name, key) for key in range(4)] for name in ("things", "notes"))
    shared = {"access": [crowd.ids["dora"]]}
    crowd.write("anna", "POST", "/api/v1/things", {"name": "hers"})
    crowd.write("anna", "POST", "/api/v1/things", {"name": "shared", **shared})
    body: Entity = {"title": "x", "about": things[1], "things": things[1:3], **shared}
    steps: list[tuple[str, str, Entity, Entity | None]] = [
        # what Anna does, and what is different in what Dora is told of it; None: she is told nothing
        ("POST", "notes", body, {"about": None, "things": [things[2]]}),
        ("PATCH", f"notes/{notes[2]}", {"things": [things[1]]}, {"about": None, "things": []}),
        ("PATCH", f"notes/{notes[2]}", {"about": things[2]}, {"things": []}),
        ("POST", "notes", {"about": things[2], "things": [things[2]]}, None),
        ("PATCH", f"things/{things[2]}", {"name": "x"}, {"notes": [notes[2]]}),
        ("PATCH", f"things/{things[1]}", {"name": "x"}, None),
    ]
    with crowd.listening("anna", "dora") as clients:
        for method, path, given, different in steps:
            entity = crowd.write("anna", method, f"/api/v1/{path}", given)
            assert entity == {**entity, **given}
            name = f"{path.partition('/')[0]}-{'create' if method == 'POST' else 'update'}"
            assert clients["anna"].told() == crowd.event(name, entity)
            if different is not None:
                assert all(entity[word] != value for word, value in different.items())
                assert clients["dora"].told() == crowd.event(name, {**entity, **different})
        assert crowd.rest(clients) == {"anna": [], "dora": []}


def test_events_follow_the_groups_of_today(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is put into a group by the command line is told of its records from then on; who is taken out is not."""
    monkeypatch.setattr(minirest, "SCRYPT_COST", minirest.SCRYPT_COST_IN_MEMORY)  # nobody signs in with a password
    path = str(tmp_path / "crowd.db")
    crowd = Crowd(path)
    crowd.app.accounts.put_user("anna", groups=[crowd.app.accounts.put_group("crew")])
    expected: dict[str, list[Told]] = {name: [] for name in PEOPLE}
    with closing(crowd.app), crowd.listening(*PEOPLE) as clients:
        made = crowd.write("anna", "POST", "/api/v1/notes", {"title": "", "access": [crowd.ids["guild"]]})
        events = {name: crowd.event("notes-create", made) for name in ("anna", "bert", "emil")}
        for user, groups, readers in (
            ("dora", ["crew"], ("anna", "bert", "dora", "emil")),
            ("emil", ["fleet"], ("anna", "bert", "dora")),
            ("bert", [], ("anna", "dora")),
        ):
            for name, event in events.items():
                assert clients[name].told() == event
            options = [word for group in groups for word in ("--group", group)]
            assert minirest.main(["user", "groups", user, *options, "--db", path]) == 0
            changed = crowd.write("anna", "PATCH", f"/api/v1/notes/{made['_id']}", {"title": user})
            events = {name: crowd.event("notes-update", changed) for name in readers}
        expected |= {name: [event] for name, event in events.items()}
        assert crowd.rest(clients) == expected


# ---- hidden ends of links ----


def linked_app() -> minirest.Application:
    """Notes of anna alone, on a desk, in a drawer and with labels; the rows of labels are private too."""
    document = {
        "$defs": {
            "notes": table(title=TEXT, desk=one("desks"), drawer=one("drawers", **{"x-delete": "restrict"})),
            "desks": {
                "type": "object",
                "properties": {"note": one("notes", **{"x-inverse": "desk"}), "first": one("notes")},
            },
            "drawers": {
                "type": "object",
                "properties": {"name": TEXT, "labels": many("labels", **{"x-through": "labelled"})},
            },
            "labels": {"type": "object", "properties": {"name": TEXT}},
            "labelled": table("drawer", "label", weight=INTEGER, drawer=one("drawers"), label=one("labels")),
        }
    }
    users = dict.fromkeys(("anna", "bert"), "open-sesame")
    app = minirest.make_app(document, users=users, clock=lambda: NOW)
    for name, body in (
        ("drawers", {"name": "top"}),
        ("labels", {"name": "red"}),
        ("desks", {}),
        ("notes", {"title": "hush", "desk_id": 1, "drawer_id": 1}),
        ("labelled", {"drawer_id": 1, "label_id": 1, "weight": 5}),
    ):
        assert ask(app, "anna", "POST", f"/api/{name}:create", body).status == 200
    assert ask(app, "anna", "POST", "/api/desks:update/1", {"first_id": 1}).status == 200
    return app


def test_a_hidden_record_keeps_what_it_alone_may_have() -> None:
    """Nobody takes the target of a hidden record's unique link, from either end, by key, link or a new record."""
    with closing(linked_app()) as app:
        holder = "select id, desk_id from notes where desk_id is not null"
        for address, body in (
            ("notes:create", {"title": "mine", "desk_id": 1}),
            ("notes:create", {"title": "mine", "desk": {"id": 1}}),
            ("desks/1/note:create", {"title": "mine"}),
            ("desks:update/1", {"note": {"title": "mine"}}),
        ):
            answer = ask(app, "bert", "POST", f"/api/{address}", body)
            assert (answer.status, [error["code"] for error in answer.json["errors"]]) == (400, ["unique"])
        assert rows(app.store, holder) == [(1, 1)]


def test_a_hidden_row_of_a_link_stays() -> None:
    """Who replaces or removes linked records leaves those alone whose row is hidden, though they are seen."""
    with closing(linked_app()) as app:
        assert ask(app, "bert", "GET", "/api/drawers/1/labels:list").json["data"] == []
        for address, body in (
            ("drawers:update/1", {"labels": []}),
            ("drawers/1/labels:set", []),
            ("drawers/1/labels:remove", [1]),
            ("drawers/1/labels:toggle", [1]),
        ):
            ask(app, "bert", "POST", f"/api/{address}", body)
            assert rows(app.store, "select drawer_id, label_id, weight from labelled") == [(1, 1, 5)]


def test_no_guess_finds_what_a_key_holds() -> None:
    """To write the key of the hidden record that is linked is refused like the key of any other hidden record."""
    with closing(linked_app()) as app:
        assert ask(app, "anna", "POST", "/api/notes:create", {"title": "more"}).status == 200
        answers = [ask(app, "bert", "POST", "/api/desks:update/1", {"first_id": key}) for key in (1, 2, 9)]
        assert [answer.status for answer in answers] == [400, 400, 400]
        assert {answer.json["errors"][0]["code"] for answer in answers} == {"link_missing"}
        assert ask(app, "anna", "POST", "/api/desks:update/1", {"first_id": 1}).status == 200


def test_how_many_hidden_records_need_one_is_not_told() -> None:
    """A deletion that is refused for hidden records does not count them."""
    with closing(linked_app()) as app:
        answer = ask(app, "bert", "POST", "/api/drawers:destroy/1")
        message = "The record cannot be deleted: some records of table 'notes' need it"
        assert (answer.status, answer.json) == (400, {"errors": [{"code": "restricted", "message": message}]})
