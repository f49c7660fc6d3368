"""Every address of the server, with every case that is inside of one: what is sent, and the rights that it needs.

A row `asks` for the rights without which it is refused, and `sees` with those that only narrow what is there for it.
`renames` are the tables of which a record gets the label "changed"; a rule about the label holds before, not after.
"""

import dataclasses
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import minirest
from tests.rights import LABELS as TABLES
from tests.rights import Call, World
from tests.web import multipart, part

Need = tuple[str, str]
LINKED = "list parts, list uses, list tags, list makers, list remarks, list cards"
KEY = "list makers"
COUNTED = ", ".join(f"list {name}" for name in TABLES)
EVERYTHING = ", ".join(f"{verb} {name}" for verb in minirest.VERBS for name in TABLES)
HTML = (("HTTP_ACCEPT", "text/html"),)
FORM = "application/x-www-form-urlencoded"


def needs(text: str) -> frozenset[Need]:
    """The needs that a text names."""
    return frozenset(
        (verb, name) for verb, _, name in (word.strip().partition(" ") for word in text.split(",") if word)
    )


@dataclass(frozen=True, eq=False)
class Case:
    """One row."""

    dialect: str
    method: str
    address: str
    body: Any
    asks: frozenset[Need]
    sees: frozenset[Need]
    renames: frozenset[str]
    kind: str
    environ: tuple[tuple[str, str], ...]
    own: bool
    shows: frozenset[Need]
    spares: frozenset[Need]

    @property
    def name(self) -> str:
        """What the row is called."""
        return f"{self.dialect}: {self.method} {self.address} {self.body or ''}"

    @property
    def describes(self) -> bool:
        """Whether the answer describes what one may do; strangers are told there how to say who they are."""
        return self.address.startswith(("/docs", "/openapi.json"))

    @property
    def table(self) -> str:
        """The table that the address names first; none for an address that belongs to no table."""
        found = re.match(
            r"(?:(?:/dependent)?/main_rest.php|/browse|/api/resources|/api/v1|/api/v2|/api)?/(\w+)(?=[/:?]|$)",
            self.address,
        )
        return found[1] if found else ""

    def call(self, world: World) -> Call:
        """The request, with the ids of the dialect."""
        address, body = self.spelt(world, self.address), self.spelt(world, self.body)
        return Call(self.method, address, body, self.kind, self.environ)

    def spelt(self, world: World, value: Any) -> Any:
        """A value with the ids of records, `<items 1>`, as the dialect writes them."""
        if isinstance(value, dict):
            return {self.spelt(world, name): self.spelt(world, part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.spelt(world, part) for part in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"<(\w+) (\d+)>", lambda found: self.identity(world, found[1], int(found[2])), value)

    def identity(self, world: World, table: str, number: int) -> str:
        """The id of a record as the dialect writes it."""
        if self.dialect == "platform":
            return minirest.object_id(world.tag(table), number)
        if self.dialect == "coredata":
            return minirest.record_uuid(world.tag(table), 0, number)
        return str(number)


def case(dialect: str, call: str, body: Any = None, asks: str = "", sees: str = "", **words: Any) -> Case:
    """A row.

    `own` is for what belongs to a user, which strangers have not. `shows` are rights that a page tells of. A right is
    in `spares` when the row needs it for a record that no rule of the tests hides.
    """
    method, _, address = call.partition(" ")
    return Case(
        dialect,
        method,
        address,
        body,
        needs(asks),
        needs(sees),
        frozenset(words.get("renames", "").split()),
        words.get("kind", ""),
        words.get("environ", ()),
        words.get("own", False),
        needs(words.get("shows", "")),
        needs(words.get("spares", "")),
    )


def limbas() -> Iterator[Case]:
    """The rows of Limbas."""

    def row(call: str, asks: str, sees: str = "", body: Any = None, renames: str = "", **words: Any) -> Case:
        return case("limbas", call, body, asks, sees, renames=renames, **words)

    def data(**attributes: Any) -> Any:
        return {"data": attributes}

    def ids(*numbers: int) -> Any:
        return {"data": [{"id": number} for number in numbers]}

    def to_one(number: int) -> Any:
        return {"data": {"id": number}}

    for base in ("/main_rest.php", "/dependent/main_rest.php"):
        yield row(f"GET {base}", "")
        yield row(f"GET {base}/items/1", "get items", LINKED)
        yield row(f"GET {base}/items/1/parts/more", "")
        yield row(f"GET {base}//items/1/", "get items", LINKED)
    yield row("GET /items/1/parts/more", "")
    for query in ("", "?$page[count]=1&$sort=-title", "?$archived=all&$validity=all", "?$fields=title,parts"):
        yield row(f"GET /items{query}", "list items", LINKED)
    for query in ("maker=acme", "maker[neq]=acme", "parts=%23ID%231", "$sort=maker", "$sort=parts&$page[count]=1"):
        yield row(f"GET /items?$fields=title&{query}", "list items", "list makers, list parts, list uses")
    for query in ("secret=s1", "$sort=-secret", "$fields=secret", "tags=red", "photo=%23NULL%23"):
        yield row(f"GET /items?{query}", "list items", LINKED)
    yield row("GET /items?secrte=1", "")
    yield row("GET /parts", "list parts", "list items, list uses")
    yield row("POST /items", "create items", "", data(title="new"))
    yield row("POST /items", "create items", "", data(title="new", secret="x"))
    yield row("POST /items", "create items", "", data(title="new", note="x"))
    yield row("POST /items", "create items", "", data(title="new", tags=ids(1)))
    linked = data(title="new", maker=to_one(1), parts=ids(1))
    yield row("POST /items", "create items, create uses", "get makers, get parts", linked)
    yield row(
        "POST /items",
        "create items, link remarks, link cards",
        "get remarks, get cards",
        data(title="new", remarks=ids(3), card=to_one(3)),
    )
    yield row("GET /items/1", "get items", LINKED)
    yield row("GET /items/1?$fields=title", "get items")
    yield row("GET /items/1?$fields=secret", "get items")
    for method in ("PATCH", "PUT"):
        yield row(f"{method} /items/1", "update items", f"get items, {LINKED}", data(title="changed"), "items")
        yield row(f"{method} /items/1", "update items", "get items", data(secret="x"))
        yield row(f"{method} /items/1", "update items", "get items", data(note="x"))
        yield row(f"{method} /items/1", "archive items, get items", "", {"$archived": True})
        yield row(
            f"{method} /items/1",
            "archive items, update items",
            "get items",
            {"$archived": 2, **data(title="changed")},
            "items",
        )
        yield row(f"{method} /items/1", "update items, link items", "get items", data(maker=to_one(2)))
        yield row(f"{method} /items/1", "update items, link items", "get items", data(maker={"data": None}))
        yield row(f"{method} /items/1", "update items, link items, create uses", "get items", data(parts=ids(1, 2)))
        yield row(f"{method} /items/1", "update items, link items", "get items", data(tags=ids(2)))
        yield row(f"{method} /items/1", "update items, link items, link remarks", "get items", data(remarks=ids(3)))
        yield row(f"{method} /items/1", "update items, link items, link cards", "get items", data(card=to_one(3)))
        yield row(f"{method} /items/2", "update items", "", data(title=""), spares="update items")
    yield row("DELETE /items/1", "delete items", "get items")
    yield row("DELETE /makers/1", "delete makers", "get makers")


def limbas_links() -> Iterator[Case]:
    """The rows of Limbas' linked records."""

    def row(call: str, asks: str, sees: str = "", body: Any = None, **words: Any) -> Case:
        return case("limbas", call, body, asks, sees, **words)

    def ids(*numbers: int) -> Any:
        return {"data": [{"id": number} for number in numbers]}

    def to_one(number: int) -> Any:
        return {"data": {"id": number}}

    yield row("GET /items/1/parts", "list parts", "get items, list uses")
    yield row("GET /items/1/parts?$fields[parts]=price&$fields[uses]=amount", "list parts", "get items, list uses")
    yield row("GET /items/1/maker", "list makers", "get items")
    yield row("GET /items/1/card", "list cards", "get items")
    yield row("GET /items/1/remarks?text=good", "list remarks", "get items")
    yield row("GET /items/1/tags", "list tags", "get items")
    yield row("POST /items/1/parts", "link items, create uses, list parts", "get items", ids(2))
    yield row("POST /parts/1/items", "link parts, create uses, list items", "get parts", ids(2))
    yield row("PATCH /items/1/parts", "link items, create uses, delete uses, list parts", "get items", ids(2))
    yield row("DELETE /items/1/parts", "link items, delete uses", "get items, get parts, list uses", ids(1))
    yield row("POST /items/1/maker", "link items, list makers", "get items", to_one(2))
    yield row("PATCH /items/1/maker", "link items, list makers", "get items", to_one(2))
    yield row("DELETE /items/1/maker", "link items", "get items, get makers")
    yield row(
        "POST /items/1/remarks",
        "link items, link remarks, list remarks",
        "get items, get remarks",
        ids(3),
        shows="list remarks",
    )
    yield row(
        "PATCH /items/1/remarks",
        "link items, link remarks, list remarks",
        "get items, get remarks",
        ids(3),
        shows="list remarks",
    )
    yield row("DELETE /items/1/remarks", "link items, link remarks", "get items", ids(1))
    yield row("POST /items/1/card", "link items, link cards, list cards", "get items", to_one(3), shows="list cards")
    yield row("DELETE /items/1/card", "link items, link cards", "get items")
    yield row("POST /items/1/tags", "link items, list tags", "get items", ids(2))
    yield row("PATCH /items/1/tags", "link items, list tags", "get items", ids(2))
    yield row("DELETE /items/1/tags", "link items", "get items, get tags", ids(1))
    yield row("DELETE /makers/1/items", "link makers, link items", "get makers", ids(1))


def nocobase() -> Iterator[Case]:
    """The rows of NocoBase that name their action."""

    def row(call: str, asks: str, sees: str = "", body: Any = None, renames: str = "", **words: Any) -> Case:
        return case("nocobase", call, body, asks, sees, renames=renames, **words)

    wrong = {"account": "one", "password": "wrong-one"}
    yield row("POST /api/auth:signIn", "", body=wrong)
    yield row("POST /api/auth:signUp", "", body=wrong)
    yield row("POST /api/auth:signOut", "")
    yield row("GET /api/auth:check", "")
    yield row("POST /api/users:signin", "", body=wrong)
    yield row("POST /api/items:move?sourceId=1&targetId=2", "update items", "get items")
    yield row("POST /api/items:move?sourceId=1&method=prepend", "update items", "get items")
    yield row("POST /api/items:move?sourceId=2&targetId=1", "update items", "get items", spares="update items")
    yield row("POST /api/items:add", "")
    yield row("POST /api/items:toggle", "")
    yield row("POST /api/items:nothing", "")
    every = "appends=parts,tags,maker,remarks,card"
    yield row("GET /api/items:list", "list items", KEY)
    yield row(f"GET /api/items:list?{every}", "list items", LINKED)
    yield row("GET /api/items:list?paginate=false&sort=-maker.name,title", "list items", KEY)
    for text in ('{"maker.name":"Acme"}', '{"parts.uses.amount.$gt":1}', '{"remarks.$notExists":true}'):
        yield row(f"GET /api/items:list?fields=title&filter={text}", "list items", LINKED.replace(", list tags", ""))
    for query in (
        'filter={"secret":"s1"}',
        "sort=secret",
        "fields=secret",
        "except=secret",
        "appends=tags",
        "appends=photo",
        'filter={"tags.name":"red"}',
        "fields=parts.price",
        "sort=parts.price",
    ):
        yield row(f"GET /api/items:list?{query}", "list items", "list parts, list uses, list makers, list tags")
    yield row('GET /api/items:list?filter={"secrte":1}', "")
    yield row("GET /api/items:get/1", "get items", KEY)
    yield row(f"GET /api/items:get?filterByTk=1&{every}", "get items", LINKED)
    yield row('GET /api/items:get?filter={"title":"one"}', "list items", KEY)
    yield row("POST /api/items:create", "create items", "", {"title": "new"})
    yield row("POST /api/items:create", "create items", "", {"title": "new", "secret": "x", "note": "y"})
    yield row("POST /api/items:create", "create items", "", [{"title": "a"}, {"title": "new"}])
    yield row(
        "POST /api/items:create",
        "create items, create parts, create uses, create remarks, create makers",
        "",
        {
            "title": "x",
            "parts": [{"name": "new", "uses": {"amount": 9}}],
            "remarks": [{"text": "new"}],
            "maker": {"name": "new"},
        },
    )
    yield row(
        "POST /api/items:create",
        "create items, create uses, link remarks",
        "get makers, get parts, get remarks",
        {"title": "new", "maker_id": 1, "parts": [1], "remarks": [3]},
    )
    yield row("POST /api/items:update/1", "update items", f"get items, {KEY}", {"title": "changed"}, "items")
    yield row("POST /api/items:update/1", "update items", "get items", {"secret": "x", "note": "y"})
    yield row(
        'POST /api/items:update?filter={"title":"one"}', "update items", "get items", {"title": "changed"}, "items"
    )
    yield row(
        'POST /api/items:update?filter={"secret":"s1"}', "update items", "get items", {"title": "changed"}, "items"
    )
    yield row("POST /api/items:update/1", "update items, link items", "get items", {"maker_id": 2})
    yield row("POST /api/items:update/1", "update items, link items, create uses", "get items", {"parts": [1, 2]})
    yield row(
        "POST /api/items:update/1?updateAssociationValues=parts",
        "update items, update parts",
        "get items",
        {"parts": [{"id": 1, "name": "changed"}]},
        "parts",
    )
    yield row(
        "POST /api/items:update/1",
        "update items, link items, update uses",
        "get items",
        {"parts": [{"id": 1, "uses": {"amount": 99}}]},
        "uses",
    )
    yield row(
        "POST /api/items:update/1",
        "update items, link items, create remarks, link remarks",
        "get items",
        {"remarks": [{"text": "new"}]},
    )
    yield row("POST /api/items:destroy/1", "delete items", "get items")
    yield row('POST /api/items:destroy?filter={"maker.name":"Acme"}', "delete items", f"get items, {KEY}")
    keyed = "filterKeys[]=title"
    yield row(
        f"POST /api/items:firstOrCreate?{keyed}", "", "get items", {"title": "two", "sort": 7}, spares="get items"
    )
    yield row(f"POST /api/items:firstOrCreate?{keyed}", "create items", "", {"title": "new"})
    yield row(
        f"POST /api/items:updateOrCreate?{keyed}",
        "update items",
        "",
        {"title": "two", "note": "x"},
        spares="update items",
    )
    yield row(f"POST /api/items:updateOrCreate?{keyed}", "create items", "", {"title": "new"})
    yield row(
        "POST /api/items:updateOrCreate?filterKeys[]=secret",
        "update items",
        "",
        {"title": "changed", "secret": "s2"},
        "items",
        spares="update items",
    )


def associations() -> Iterator[Case]:
    """The rows of NocoBase's associations."""

    def row(action: str, asks: str, sees: str = "", body: Any = None, renames: str = "", **words: Any) -> Case:
        link, _, rest = action.partition(":")
        method = "GET" if rest.startswith(("list", "get")) else "POST"
        source = "" if "/" in link else "items/1/"
        return case("nocobase", f"{method} /api/{source}{link}:{rest}", body, asks, sees, renames=renames, **words)

    uses = "get items, get uses"
    yield row("parts:list", "list parts", "get items, list uses")
    yield row("parts:get/1", "get parts", uses)
    yield row(
        "parts:create", "create parts, link items, create uses", "get items", {"name": "new", "uses": {"amount": 9}}
    )
    yield row("parts:create/7", "create parts, link items, create uses", "get items", {"name": "new"})
    yield row("parts:update/1", "update parts", f"get parts, {uses}", {"name": "changed"}, "parts")
    yield row("parts:update/1", "update uses, update parts", f"get parts, {uses}", {"uses": {"amount": 99}}, "uses")
    yield row("parts:destroy/1", "delete parts", f"get parts, {uses}")
    yield row("parts:set", "link items, create uses, delete uses", "get items", [2])
    yield row("parts:add/2", "link items, create uses", "get items")
    yield row("parts:add", "link items, update uses", "get items, get parts", [[1, {"amount": 99}]], "uses")
    yield row("parts:remove/1", "link items, delete uses", "get items, list uses, get parts")
    yield row("parts:toggle", "link items, create uses, delete uses", "get items", [1, 2])
    yield row("remarks:list", "list remarks", "get items")
    yield row("remarks:get/1", "get remarks", "get items")
    yield row("remarks:create", "create remarks", "get items", {"text": "new"})
    yield row("remarks:create/7", "create remarks", "get items", {"text": "new"})
    yield row("remarks:update/1", "update remarks", "get items, get remarks", {"text": "changed"}, "remarks")
    yield row("remarks:destroy/1", "delete remarks", "get items, get remarks")
    yield row("remarks:set", "link items, link remarks", "get items, get remarks", [3])
    yield row("remarks:add", "link items, link remarks", "get items, get remarks", [3])
    yield row("remarks:remove", "link items, link remarks", "get items, get remarks", [1])
    yield row("maker:get", "list makers", "get items")
    yield row("maker:set/2", "link items", "get items")
    yield row("maker:remove", "link items", "get items")
    yield row("card:get", "list cards", "get items")
    yield row("card:update", "update cards", "get items, get cards", {"name": "changed"}, "cards")
    yield row("card:create", "create cards, link cards", "get items", {"name": "new"})
    yield row("card:set/3", "link items, link cards", "get items")
    yield row("card:destroy", "delete cards", "get items, get cards")
    yield row("tags:set", "link items", "get items", [2])
    yield row("tags:add/2", "link items", "get items")
    yield row("parts/1/items:add/2", "link parts, create uses", "get parts")
    yield row("makers/2/items:add/1", "link makers, link items", "get items", spares="link makers")
    yield row("makers/1/items:set", "link makers, link items", "get makers", [])


def coredata() -> Iterator[Case]:
    """The rows of CoreData."""

    def row(call: str, asks: str, sees: str = "", body: Any = None, renames: str = "", **words: Any) -> Case:
        method, _, address = call.partition(" ")
        return case("coredata", f"{method} /api/v2{address}", body, asks, sees, renames=renames, **words)

    def uri(table: str, number: int) -> str:
        return f"/api/v2/{table}/<{table} {number}>/"

    yield row("GET /a/b/c/d", "")
    yield row("GET /", "", COUNTED, shows=COUNTED)
    yield row("GET /items", "")
    yield row("GET /items/", "list items", LINKED)
    yield row("GET /items/schema/", "")
    for query in ("maker__name=Acme", "parts__name__startswith=b", "remarks__isnull=true", "order_by=-maker__name"):
        yield row(f"GET /items/?limit=1&{query}", "list items", LINKED)
    for query in ("secret=s1", "secret__startswith=s", "order_by=secret", "tags__name=red", "parts__price=10"):
        yield row(f"GET /items/?{query}", "list items", LINKED)
    for query in ("order_by=secrte", "photo__isnull=true"):
        yield row(f"GET /items/?{query}", "")
    yield row("POST /items/", "create items", "", {"title": "new"})
    yield row("POST /items/", "create items", "", {"title": "new", "secret": "x", "note": "y", "tags": []})
    yield row(
        "POST /items/",
        "create items, create uses, link remarks",
        "get makers, get parts, get remarks",
        {"title": "new", "maker": uri("makers", 1), "parts": [uri("parts", 1)], "remarks": [uri("remarks", 3)]},
    )
    yield row("PATCH /items/", "create items", "", {"objects": [{"title": "new"}]})
    yield row(
        "PATCH /items/",
        "update items",
        f"get items, {LINKED}",
        {"objects": [{"resource_uri": uri("items", 2), "note": "x"}]},
        spares="get items, update items",
    )
    yield row("PATCH /items/", "delete items", "get items", {"objects": [], "deleted_objects": [uri("items", 1)]})
    yield row(
        "PATCH /items/",
        "create items, update items, delete items",
        "",
        {
            "objects": [{"title": "new"}, {"resource_uri": uri("items", 2), "title": "changed"}],
            "deleted_objects": [uri("items", 1)],
        },
        "items",
        spares="update items",
    )
    yield row("GET /items/set/<items 1>;<items 2>/", "get items", LINKED)
    yield row("GET /items/<items 1>/", "get items", LINKED)
    yield row("POST /items/<items 1>/", "")
    yield row("PUT /items/<items 2>/", "update items", "", {"title": "changed"}, "items", spares="update items")
    yield row("PUT /items/<items 1>/", "update items", "get items", {"title": "changed"}, "items")
    yield row(
        "PUT /items/<items 1>/",
        "update items",
        "get items",
        {"title": "changed"},
        "items",
        environ=(("HTTP_IF_MATCH", '"3-00"'),),
    )
    yield row("PATCH /items/<items 1>/", "update items", f"get items, {LINKED}", {"title": "changed"}, "items")
    yield row("PATCH /items/<items 1>/", "update items", "get items", {"secret": "x", "note": "y"})
    yield row("PATCH /items/<items 1>/", "update items, link items", "get items", {"maker": uri("makers", 2)})
    yield row(
        "PATCH /items/<items 1>/",
        "update items, link items, create uses, delete uses",
        "get items",
        {"parts": [uri("parts", 2)]},
    )
    yield row("PATCH /items/<items 1>/", "update items, link items, link cards", "get items", {"card": uri("cards", 3)})
    yield row("DELETE /items/<items 1>/", "delete items", "get items")
    yield row("GET /items/<items 1>/parts/", "list parts", "get items, list uses")
    yield row("GET /items/<items 1>/tags/", "list tags", "get items")
    yield row("GET /items/<items 1>/maker/", "list makers", "get items")


def platform() -> Iterator[Case]:
    """The rows of Platform."""

    def row(call: str, asks: str, sees: str = "", body: Any = None, renames: str = "", **words: Any) -> Case:
        return case("platform", call.replace(" ", " /api/v1", 1), body, asks, sees, renames=renames, **words)

    yield row("GET ", "")
    yield row("POST /auth", "", body={"login": "one", "password": "wrong-one"})
    yield row("DELETE /auth", "")
    yield row("POST /auth/token", "", body={"login": "one", "password": "wrong-one"})
    yield row("GET /a/b/c/d", "")
    for query in ("", "?streamed=true", "?limit=1&offset=1"):
        yield row(f"GET /items{query}", "list items", LINKED)
    yield row("GET /items?meta=true", "list items", LINKED)
    for query in (
        "where.maker.name=Acme",
        "sortBy=-maker.name",
        "where.parts.name=bolt",
        "search=one",
        "search=s1",
        "where.secret=s1",
        "sortBy=secret",
        "only=secret,tags",
        "where.tags.name=red",
        "where.parts.price=10",
    ):
        yield row(f"GET /items?{query}", "list items", LINKED)
    yield row("GET /items?sortBy=secrte", "")
    yield row("POST /items", "create items", "", {"title": "new"})
    yield row("POST /items", "create items", "", {"title": "new", "secret": "x"})
    yield row("POST /items", "create items", "", {"title": "new", "note": "x"})
    yield row(
        "POST /items",
        "create items, create uses, link remarks",
        "get makers, get parts, get remarks",
        {"title": "new", "maker": "<makers 1>", "parts": ["<parts 1>"], "remarks": ["<remarks 3>"]},
    )
    yield row("GET /items/<items 1>", "get items", LINKED)
    yield row("GET /items/<items 1>?only=secret", "get items")
    yield row("PATCH /items/<items 1>", "update items", f"get items, {LINKED}", {"title": "changed"}, "items")
    yield row("PATCH /items/<items 1>", "update items", "get items", {"secret": "x"})
    yield row("PATCH /items/<items 1>", "update items", "get items", {"note": "x"})
    yield row("PATCH /items/<items 1>", "update items, link items", "get items", {"maker": "<makers 2>"})
    yield row(
        "PATCH /items/<items 1>",
        "update items, link items, create uses, delete uses",
        "get items",
        {"parts": ["<parts 2>"]},
    )
    yield row("PATCH /items/<items 1>", "update items, link items, link cards", "get items", {"card": "<cards 3>"})
    yield row("DELETE /items/<items 1>", "delete items, get items", LINKED)
    yield row("GET /items/<items 1>/parts", "list parts", "get items, list uses")
    yield row("GET /items/<items 1>/tags", "list tags", "get items")
    yield row("GET /items/<items 1>/card", "list cards", "get items")
    for method in ("GET", "POST"):
        yield case("platform", f"{method} /socket.io/?EIO=3&transport=polling")


def qore() -> Iterator[Case]:
    """The rows of Qore."""

    def row(call: str, asks: str, sees: str = "", body: Any = None, renames: str = "", **words: Any) -> Case:
        return case("qore", call.replace(" ", " /api/resources", 1), body, asks, sees, renames=renames, **words)

    def little(call: str, asks: str, sees: str = "") -> Case:
        return row(call, asks, sees, environ=(("HTTP_PREFER", "return=minimal"),))

    yield case("qore", "GET /api/me", own=True)
    yield case("qore", "GET /api/endpoints")
    yield case(
        "qore",
        "GET /api/global-search?query=o",
        None,
        "",
        ", ".join(f"list {name}" for name in ("items", "parts", "tags", "makers", "remarks", "cards")),
    )
    yield case("qore", "GET /api/global-search?query=s1")
    for base in ("/api/me", "/api/endpoints", "/api/global-search"):
        yield case("qore", f"GET {base}/more")
    yield row("GET ", "")
    yield row("GET /items/1/2/3/4", "")
    yield row("POST /items", "create items", "", {"title": "new"})
    yield row("POST /items", "create items", "", {"title": "new", "secret": "x"})
    yield row("POST /items", "create items", "", {"title": "new", "note": "x"})
    yield row(
        "POST /items",
        "create items, create uses, link remarks",
        "get makers, get parts, get remarks",
        {"title": "new", "maker": 1, "parts": [1], "remarks": [3]},
    )
    options = "list parts, list tags, list makers, list remarks, list cards"
    yield row("GET /items/create", "", options)
    yield row("GET /items/1/edit", "get items", f"{options}, list uses")
    yield row("GET /items/create?initial_request=false&field=maker&action[name]=reloadRelatedOptions", "", options)
    shows = "delete items, archive items"
    yield row("GET /items/table/items", "list items", KEY, shows=shows)
    yield little("GET /items/table/items?sort_column=maker&tab=ones", "list items", KEY)
    yield little("GET /items/table/items?search_columns[maker]=1", "list items", KEY)
    for query in ("search_columns[secret]=s1", "sort_column=secret"):
        yield row(f"GET /items/table/items?{query}", "list items", KEY, shows=shows)
    yield row("GET /items/table/items?sort_column=secrte", "")
    yield row("GET /items/logs/1", "get items")
    for name, table in (("maker", "makers"), ("parts", "parts"), ("card", "cards")):
        yield row(f"GET /items/field/{name}/options", f"list {table}")
    yield row("GET /items/field/maker/options?search=ac", "list makers")
    yield row("GET /items/field/tags/options", "list tags")
    for action, asks in (
        ("delete_resource", "delete items"),
        ("archive_resource", "archive items"),
        ("restore_resource", "archive items"),
    ):
        yield row(f"POST /items/actions/{action}/1", f"{asks}, get items")
    yield row("POST /items/actions/nothing/1", "")
    yield row("GET /items/1", "get items", LINKED, shows=shows)
    yield little("GET /items/1", "get items", LINKED)
    yield row("PUT /items/1", "update items", f"get items, {LINKED}", {"title": "changed"}, "items")
    yield row("PUT /items/1", "update items", "get items", {"title": "one", "secret": "x"})
    yield row("PUT /items/1", "update items", "get items", {"title": "one", "note": "x"})
    yield row("PUT /items/1", "update items, link items", "get items", {"title": "one", "maker": 2})
    yield row(
        "PUT /items/1",
        "update items, link items, create uses, delete uses",
        "get items",
        {"title": "one", "parts": [2]},
    )
    yield row("PUT /items/1/inline/title", "update items", "get items", {"title": "changed"}, "items")
    yield row("PUT /items/1/inline/secret", "update items", "get items", {"secret": "x"})
    yield row("PUT /items/1/inline/note", "update items", "get items", {"note": "x"})
    yield row("PUT /items/1/inline/card", "update items, link items, link cards", "get items", {"card": 3})


def page(call: str, asks: str = "", sees: str = "", **words: Any) -> Case:
    """A row of a page."""
    return case("pages", call, None, asks, sees, environ=HTML, **words)


def pages() -> Iterator[Case]:
    """The rows of the pages and of downloads."""

    def form(call: str, text: str, asks: str = "", sees: str = "", renames: str = "", **words: Any) -> Case:
        body = f"{text}&_token={{token}}".encode()
        return case("pages", call, body, asks, sees, kind=FORM, environ=HTML, renames=renames, **words)

    yield case("pages", "GET /", None, "", COUNTED, shows=COUNTED)
    yield page("GET /", "", COUNTED, shows=COUNTED)
    yield page("GET /login")
    yield form("POST /login", "name=one&password=wrong-one")
    yield page("GET /logout")
    yield form("POST /logout", "")
    yield page("GET /api_tokens", own=True)
    yield form("POST /api_tokens", "device_name=x", own=True)
    yield page("GET /browse")
    yield page("GET /browse/a/b/c/d")
    create = "create items"
    for query in ("", "?search=one", "?sort=maker", "?filter[maker]=acme", "?archived=all"):
        yield page(f"GET /browse/items{query}", "list items", KEY, shows=create)
    for query in ("?search=s1", "?sort=secret", "?filter[secret]=s1"):
        yield page(f"GET /browse/items{query}", "list items", KEY, shows=create)
    yield page("GET /browse/items/1/links/parts", "list parts", "get items, list uses")
    yield page("GET /browse/items/1/links/tags", "list tags", "get items")
    yield page("GET /browse/items/1/links/remarks", "list remarks", "get items")
    for address in ("export.csv", "export.ndjson", "export.csv?search=one&archived=all", "export.csv?search=s1"):
        yield page(f"GET /browse/items/{address}", "list items", "list makers, list tags")
    yield page("GET /browse/items/import", "create items", spares="create items")
    yield from imports()
    buttons = "update items, delete items, archive items, create remarks"
    yield page("GET /browse/items/1", "get items", LINKED.replace("list uses, ", ""), shows=f"{buttons}, create parts")
    yield page("GET /browse/items/1?older=3", "get items", "", shows=f"{buttons}, create parts")
    for word, asks in (
        ("archive", "archive items"),
        ("trash", "archive items"),
        ("restore", "archive items"),
        ("delete", "delete items"),
    ):
        yield form("POST /browse/items/1", f"_do={word}&_version=3", f"{asks}, get items")
    yield form("POST /browse/items/1", "_do=undo&_version=3", "get items, update items")
    options = "list parts, list tags, list makers, list remarks, list cards"
    yield page("GET /browse/items/new", "", options)
    yield page("GET /browse/items/new?title=x&secret=y", "", options)
    yield form("POST /browse/items/new", "title=new", "create items")
    yield form("POST /browse/items/new", "title=new&secret=x", "create items")
    yield form("POST /browse/items/new", "title=new&maker=1&parts=1", "create items, create uses")
    yield page("GET /browse/items/1/edit", "get items", f"{options}, list uses")
    yield form("POST /browse/items/1/edit", "title=changed&_version=3", "get items, update items", "", "items")
    yield form("POST /browse/items/1/edit", "note=x&_version=3", "get items, update items")
    yield form("POST /browse/items/1/edit", "secret=x&_version=3", "get items, update items")
    yield form("POST /browse/items/1/edit", "title=one&maker=2&_version=3", "get items, update items, link items")
    upload = multipart(
        part("_token", b"{token}"), part("_version", b"3"), part("title", b"changed"), part("photo", b"bytes", "b.txt")
    )
    yield case(
        "pages",
        "POST /browse/items/1/edit",
        upload,
        "get items, update items, link items",
        "",
        kind="multipart/form-data; boundary=-x",
        environ=HTML,
        renames="items",
    )
    for method in ("GET", "HEAD"):
        yield case("pages", f"{method} /browse/items/1/file/photo", None, "get items")
    yield case("pages", "GET /browse/items/1/file/photo", None, "get items", environ=(("HTTP_RANGE", "bytes=1-2"),))


def imports() -> Iterator[Case]:
    """The rows of files that come in."""

    def row(text: str, asks: str, sees: str = "", query: str = "", **words: str) -> Case:
        kind = "application/x-ndjson" if text.startswith("{") else "text/csv"
        return case("pages", f"POST /browse/items/import{query}", text.encode(), asks, sees, kind=kind, **words)

    for member in ("secret", "note"):
        yield row(f"title,{member}\nnew,x\n", "create items")
        yield row(f'{{"title":"new","{member}":"x"}}', "create items")
    yield row("title\nnew\nnewer\n", "create items")
    yield row("title,maker\nnew,1\n", "create items", "get makers")
    yield row("title,tags\nnew,[1]\n", "create items", "get tags")
    yield row("title,parts\nnew,[1]\n", "create items, create uses", "get parts")
    yield row("title,card\nnew,3\n", "create items, link cards", "get cards")
    create, upsert, by = "create items", "create items, update items", "?upsert_by=id"
    yield row("id,title\n1,changed\n", upsert, "", by, renames="items", spares=create)
    yield row("id,maker\n1,2\n", f"{upsert}, link items", "get makers", by, spares=create)
    yield row("id,secret\n1,x\n", upsert, "", by, spares=create)
    upload = multipart(part("_token", b"{token}"), part("file", b"title\nnew\n", "a.csv"))
    kind = "multipart/form-data; boundary=-x"
    yield case("pages", "POST /browse/items/import", upload, "create items", kind=kind, environ=HTML)


def documents() -> Iterator[Case]:
    """The rows of the documents and their pages, which tell of every right."""
    yield page("GET /docs/compare")
    yield page("GET /docs", sees=EVERYTHING, shows=EVERYTHING)
    for dialect in minirest.DIALECTS:
        address = f"/openapi.json?dialect={dialect}"
        yield case("pages", f"GET {address}", None, "", EVERYTHING, shows=EVERYTHING)
        yield page(f"GET /docs?dialect={dialect}&group=items", "", EVERYTHING, shows=EVERYTHING)
        yield page(f"GET /docs?dialect={dialect}&group=uses", "", EVERYTHING, shows=EVERYTHING)


def bare(rows: list[Case]) -> Iterator[Case]:
    """The rows of NocoBase's addresses that name no action: the method says which is meant."""
    kinds = {"parts": "belongsToMany", "remarks": "hasMany", "maker": "belongsTo", "card": "hasOne"}
    for row in rows:
        found = re.fullmatch(r"/api/((?:items/1/)?)(\w+):(\w+)(/\d+)?(\?.*)?", row.address)
        if not found or row.own or row.method not in ("GET", "POST") or found[2] in ("auth", "users"):
            continue
        source, name, action, index, query = found.groups()
        known = minirest.ASSOCIATION_ACTIONS.get(kinds.get(name, ""), {}) if source else minirest.COLLECTION_ACTIONS
        for (method, indexed), meant in known.items():
            if meant == action and indexed == (index is not None):
                address = f"/api/{source}{name}{index or ''}{query or ''}"
                yield case_of(row, method, address)


def case_of(row: Case, method: str, address: str) -> Case:
    """A row with another address."""
    return dataclasses.replace(row, method=method, address=address)


def all_rows() -> list[Case]:
    """The whole table."""
    noco = [*nocobase(), *associations()]
    return [*limbas(), *limbas_links(), *noco, *bare(noco), *coredata(), *platform(), *qore(), *pages(), *documents()]


ROWS = all_rows()
