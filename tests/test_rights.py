"""Rights: every address of the server, under every form of a rule, for every kind of role.

The expected answer is not written down: it follows from what a row of `rights_rows` needs. What is allowed is answered
as it is without rights; what is not, with the dialect's 403; a record that is not seen, as in a database where it has
never been; a hidden field, as by a server whose schema file lacks it; a locked one, as where the file says read only.
"""

import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest

import minirest
from tests.rights import GONE, HIDDEN, LABELS, LOCKED, Call, World, everything, image
from tests.rights_rows import ROWS, Case, Need
from tests.web import Answer

VERBS = ("list", "get", "create", "update", "delete", "archive", "link")
OTHERS = {
    "parts": "list get create update delete",
    "uses": "list get create update delete",
    "tags": "list get",
    "makers": "list get create delete link",
    "remarks": "list get create update delete link",
    "cards": "list get create update delete link",
}
FORMS = ("true", "false", "unnamed", "rest", "not of the rest", "holds", "fails", "rest fails", "turns")
WHO = ("one", "two", "everybody", "boss", "named boss", "none", "stranger", "no-auth")
CONFIGS = [
    *((verb, "items", form, "one") for verb in VERBS for form in FORMS),
    *((verb, "items", form, who) for verb in VERBS for form in ("true", "false", "fails") for who in WHO[1:]),
    *(
        (verb, name, form, "one")
        for name, verbs in OTHERS.items()
        for verb in verbs.split()
        for form in ("true", "false", "fails", "turns")
        if (verb, form) != ("get", "turns")
    ),
]
SIGN_IN = b'<a href="/login">Sign in</a>'
FORBIDDEN = {
    "limbas": b'{"errors":[{"code":403,"message":"Forbidden"}]}',
    "nocobase": b'{"errors":[{"code":"forbidden","message":"No permissions"}]}',
    "coredata": b'{"error": "Forbidden"}',
    "platform": b'{"success":false,"code":"403","message":"Forbidden","tags":["error_credentials","error_forbidden"]}',
    "qore": b'{"message":"This action is unauthorized."}',
    "pages": b'<main id="content"><h1>Forbidden</h1><p class="note bad" role="alert">Forbidden.</p></main>',
}


def grant(verb: str, name: str, form: str) -> dict[str, Any]:
    """The rights of a role in a table: everything, but for one verb in a form."""
    label, changed = LABELS[name], 99 if name == "uses" else "changed"
    fails = {"id.$in": [1]} if verb == "create" else {"id.$notIn": list(GONE)}
    rest: dict[str, Any] = {word: True for word in VERBS if word != verb}
    forms: dict[str, dict[str, Any]] = {
        "true": {**rest, verb: True},
        "false": {**rest, verb: False},
        "unnamed": rest,
        "rest": {"*": True},
        "not of the rest": {"*": True, verb: False},
        "holds": {**rest, verb: {"id.$ne": 99}},
        "fails": {**rest, verb: fails},
        "rest fails": {**rest, "*": fails},
        "turns": {**rest, verb: {f"{label}.$ne": changed}},
    }
    return forms[form]


def expected(row: Case, need: Need, form: str) -> str:
    """What becomes of a row: "same", "forbidden", "absent" or "empty"."""
    verb, name = need
    known = need in row.asks | row.sees
    if form in ("false", "unnamed", "not of the rest"):
        return "forbidden" if need in row.asks else "empty" if known else "same"
    if need in row.spares and form != "turns":
        return "same"
    if form in ("fails", "rest fails"):
        return "absent" if known and verb in ("list", "get") else "forbidden" if need in row.asks else "same"
    return (
        "forbidden"
        if form == "turns" and need in row.asks and name in row.renames and verb in ("update", "link")
        else "same"
    )


@functools.cache
def made(auth: bool = True, strangers: bool = False, hidden: bool = False, locked: bool = False) -> World:
    """An application that the tests of this file share."""
    return World(auth=auth, strangers=strangers, hidden=hidden, locked=locked)


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    """In the end the applications are closed."""
    yield
    for key in ((), (False,)):
        del key
    for found in WORLDS:
        found.app.close()
    made.cache_clear()
    answered.cache_clear()


WORLDS: list[World] = []


def shared(**words: bool) -> World:
    """An application of this file."""
    found = made(**words)
    if found not in WORLDS:
        WORLDS.append(found)
    return found


@functools.cache
def answered(
    row: Case, user: str | None, auth: bool, data: bytes, hidden: bool = False, locked: bool = False
) -> tuple[Answer, bytes]:
    """The answer without rights over a database, and the database afterwards."""
    plain = shared(auth=auth, hidden=hidden, locked=locked)
    plain.load(data)
    answer = plain.ask(user, row.call(plain))
    return answer, plain.data()


class Caller:
    """Who asks, and with which rights."""

    def __init__(self, who: str, given: dict[str, Any], name: str) -> None:
        roles = {
            "one": "r",
            "two": "s",
            "everybody": "*",
            "boss": "r",
            "named boss": "admin",
            "none": "r",
            "stranger": "anonymous",
            "no-auth": "r",
        }
        self.user = {"everybody": "none", "named boss": "boss", "stranger": None, "no-auth": None}.get(who, who)
        self.who, self.auth, role = who, who != "no-auth", roles[who]
        self.rights = {name: {role: given}}
        if who == "two":
            self.rights[name]["r"] = {"*": True, **dict.fromkeys((), False)}
        if who == "stranger":
            self.rights = {**everything("anonymous"), **self.rights}
        self.world = shared(auth=self.auth, strangers=who == "stranger")

    def plain(self, row: Case, data: bytes) -> tuple[Answer, bytes]:
        """The answer to the same caller without rights."""
        is_open = self.user is None
        return answered(row, self.user, not is_open, data)


def wrong_with(caller: Caller, row: Case, outcome: str, name: str) -> str:
    """What is wrong with the answer to a row; nothing when it is as expected."""
    world, start = caller.world, caller.world.image
    world.load(start)
    answer = world.ask(caller.user, row.call(world))
    after = world.data()
    if answer.status >= 400 and not world.is_as(start):
        return "refused, and yet it changed something"
    if caller.who == "stranger" and row.own:
        outcome = "forbidden"
    if outcome == "forbidden" and row.method == "POST" and "/import" in row.address and caller.who != "stranger":
        return "" if is_refused_import(answer) else f"not refused: {answer}"
    if outcome == "forbidden":
        if caller.who == "stranger":
            refusal, _ = answered(row, None, True, start)
            return "" if plain(answer) == plain(refusal) else f"not the 401: {answer} != {refusal}"
        body = (
            answer.body[answer.body.find(b"<main") : answer.body.find(b"</main>") + 7]
            if row.dialect == "pages"
            else answer.body
        )
        is_page = answer.headers.get("Content-Type", "").startswith("text/html")
        literal = FORBIDDEN[row.dialect] if is_page or row.dialect != "pages" else FORBIDDEN["limbas"]
        if row.method == "HEAD":
            return "" if answer.status == 403 else f"not the 403: {answer}"
        return "" if (answer.status, body) == (403, literal) else f"not the 403: {answer.status} {answer.body!r}"
    data = {"same": start, "absent": image(lacking=name), "empty": image(lacking=name, every=True)}[outcome]
    wanted, afterwards = caller.plain(row, data)
    if plain(answer) != plain(wanted):
        return f"{outcome}: {shortened(answer)} != {shortened(wanted)}"
    return (
        ""
        if outcome != "same" or after == afterwards or same_rows(world, after, afterwards)
        else "it wrote something else"
    )


def is_refused_import(answer: Answer) -> bool:
    """Whether a file is refused because it is forbidden, as a whole or each of its lines."""
    if answer.headers["Content-Type"].startswith("text/html"):
        line = b'role="alert">Line 2: Forbidden.</p>'
        return answer.status == 403 or (answer.status == 422 and answer.body.count(b"Line ") == answer.body.count(line))
    return answer.status in (400, 403) and {fault["rule"] for fault in answer.json["errors"]} == {"forbidden"}


def plain(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    """An answer without what differs from application to application, and what only strangers are offered.

    Where a page leads to after saving depends on what one may see there; `test_pages.py` looks at that.
    """
    body = re.sub(rb'(name="_token" value=)"[0-9a-f]{64}"', rb"\1", answer.body).replace(SIGN_IN, b"")
    headers = {name: text for name, text in answer.headers.items() if (name, answer.status) != ("Location", 303)}
    return answer.status, {**headers, "Content-Length": str(len(body))}, body


def shortened(answer: Answer) -> str:
    """An answer for a message."""
    body = answer.body
    if b"<main" in body:
        body = body[body.find(b"<main") : body.find(b"</main>")]
    return f"{answer.status} {body!r}"


def same_rows(world: World, left: bytes, right: bytes) -> bool:
    """Whether two databases hold the same rows."""
    world.load(left)
    rows = world.dump()
    world.load(right)
    return rows == world.dump()


def outcome_for(who: str, row: Case, need: Need, form: str) -> str:
    """What becomes of a row for somebody."""
    if who in ("boss", "no-auth", "two"):
        return "same"
    if who == "none":
        is_asked = row.table == "items" or row.asks & {("list", "items"), ("get", "items")}
        return "forbidden" if is_asked else "empty"
    return expected(row, need, form)


@pytest.mark.parametrize(
    ("verb", "name", "form", "who"), CONFIGS, ids=["-".join(it).replace(" ", "_") for it in CONFIGS]
)
def test_every_row(verb: str, name: str, form: str, who: str) -> None:
    """Every address answers to a rule about one verb as its row says."""
    caller, need = Caller(who, grant(verb, name, form), name), (verb, name)
    caller.world.give(caller.rights)
    faults = []
    for row in ROWS:
        concerned = row.asks | row.sees
        if not (
            need in concerned
            or (who == "none" and any(it[1] == name for it in concerned))
            or (who == "stranger" and row.own)
        ):
            continue
        if who == "stranger" and row.describes:
            continue
        outcome = outcome_for(who, row, need, form)
        told = {need} if who != "none" else {(word, name) for word in VERBS}
        if told & row.shows and outcome in ("absent", "empty"):
            continue
        fault = wrong_with(caller, row, outcome, name)
        if fault:
            faults.append(f"{row.name}\n    {fault}")
    assert not faults, "\n".join(faults)


# ---- hidden and locked fields ----


def in_all(words: dict[str, Any], word: str, members: Any) -> dict[str, Any]:
    """Rights to do everything, but for some members of each table."""
    return {name: {"r": {"*": True, **words, word: list(found)}} for name, found in members.items()}


def unlike(row: Case, rights: dict[str, Any], **words: bool) -> str:
    """How a row differs from what a server says whose schema file is like the rights; nothing when it does not."""
    world = shared()
    world.give(rights)
    world.load(world.image)
    answer = world.ask("one", row.call(world))
    if answer.status >= 400 and not world.is_as(world.image):
        return f"{row.name}\n    refused, and yet it changed something"
    wanted, _ = answered(row, "one", True, image(**words), **words)
    if plain(answer) != plain(wanted):
        return f"{row.name}\n    {shortened(answer)} != {shortened(wanted)}"
    return ""


@pytest.mark.parametrize("part", range(4))
def test_hidden_fields_are_unknown(part: int) -> None:
    """With hidden fields and links every answer is that of a server which never had them."""
    faults = [unlike(row, in_all({}, "hide", HIDDEN), hidden=True) for row in ROWS[part::4]]
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.parametrize("part", range(4))
def test_locked_fields_are_read_only(part: int) -> None:
    """With locked fields and links every answer is that of a server whose schema file says read only."""
    ends = ("update", "makers")  # from there a read-only link can be set
    rows = (row for row in ROWS[part::4] if row.table != "makers" and ends not in row.shows)
    faults = [unlike(row, in_all({}, "readonly", LOCKED), locked=True) for row in rows]
    assert not any(faults), "\n".join(filter(None, faults))


def test_a_field_is_shown_and_set_by_who_may_in_one_of_two_roles() -> None:
    """Roles add up: what one of them shows, or lets be set, is shown and can be set."""
    world = shared()
    for word, members in (("hide", HIDDEN), ("readonly", LOCKED)):
        for other in ({"*": True}, {"get": True, "list": True, "update": True, "create": True, "link": True}):
            rights = in_all({}, word, members)
            for given in rights.values():
                given["s"] = other
            world.give(rights)
            assert minirest.rights_of(world.app.schema, minirest.Actor(3, roles=("r", "s"))).hidden == frozenset()
            for row in ROWS[::9]:
                world.load(world.image)
                if not any(verb in ("delete", "archive") for verb, _ in row.asks | row.shows):
                    wanted, _ = answered(row, "two", True, world.image)
                    assert plain(world.ask("two", row.call(world))) == plain(wanted), row.name


# ---- the table is whole ----


NOT_THERE = {
    "limbas": (400, 404),
    "nocobase": (404,),
    **dict.fromkeys(("coredata", "platform", "qore", "pages"), (404, 405)),
}


def routes() -> dict[tuple[str, str], minirest.Route]:
    """Every route, by its method and its rule without what only repeats another one."""
    app = shared().app
    parts: tuple[Any, ...] = (minirest.Downloads(app.store), *app.pages, *app.dialects)
    found = {}
    for route in (route for part in parts for route in part.routes()):
        rule = re.sub("^/(dependent/)?main_rest.php(?=/<)", "", route.rule)
        for method in route.methods:
            found[method, rule.rstrip("/") or "/"] = route
    return found


def route_of(method: str, address: str) -> str:
    """The rule of the route that an address leads to."""
    world = shared()
    path = address.partition("?")[0]
    environ = {"REQUEST_METHOD": "GET" if method == "HEAD" else method, "PATH_INFO": path}
    route, _ = world.app.own_router.match(environ)
    return re.sub("^/(dependent/)?main_rest.php(?=/<)", "", route.rule).rstrip("/") or "/"


def test_every_route_has_rows_and_every_row_a_route() -> None:
    """A route that no row covers fails here; so does a method of one, unless the server says that it is not there."""
    world, known = shared(), routes()
    world.give({})
    covered: dict[str, set[str]] = {}
    sample: dict[str, Case] = {}
    for row in ROWS:
        rule = route_of(row.method, row.call(world).address)
        covered.setdefault(rule, set()).add("GET" if row.method == "HEAD" else row.method)
        sample.setdefault(rule, row)
    assert set(covered) == {rule for _, rule in known}
    for method, rule in sorted(known):
        row = sample[rule]
        if method in covered[rule] or method == "OPTIONS" or "<:re:[:]>" in rule:
            continue  # an action of NocoBase is what it is by every method, as in the original
        world.load(world.image)
        address = row.call(world).address.partition("?")[0]
        body: dict[str, Any] = {"data": {}} if row.dialect == "limbas" else {}
        answer = world.ask("one", Call(method, address, body))
        assert answer.status in NOT_THERE[row.dialect], (method, rule, answer)
        assert world.is_as(world.image)


def test_slashes_and_bases_lead_to_the_same_handlers() -> None:
    """An address with a slash at its end, and one below another base, is the same address."""
    handlers: dict[tuple[str, str], set[str]] = {}
    app = shared().app
    for part in (*app.pages, *app.dialects):
        for route in part.routes():
            rule = re.sub("^/(dependent/)?main_rest.php(?=/<)", "", route.rule).rstrip("/")
            for method in route.methods:
                handlers.setdefault((method, rule), set()).add(described(route.handler))
    assert {key: found for key, found in handlers.items() if len(found) > 1} == {}


def described(handler: Any) -> str:
    """A handler as text."""
    if isinstance(handler, functools.partial):
        return f"{handler.func.__qualname__} {[described(it) if callable(it) else it for it in handler.args]}"
    return str(handler.__qualname__)


def test_every_action_has_a_row() -> None:
    """What is told apart inside of a route has rows too."""
    addresses = [row.address for row in ROWS]
    for action in minirest.QORE_ACTIONS:
        assert any(f"/actions/{action}/" in address for address in addresses)
    noco = {found[1] for address in addresses if (found := re.search(r"^/api/[^:]*:(\w+)", address))}
    assert {*minirest.COLLECTION_ACTIONS.values(), *minirest.LINK_ACTIONS} <= noco
    assert {"move", "firstOrCreate", "updateOrCreate"} <= noco
    for kind, actions in minirest.ASSOCIATION_ACTIONS.items():
        assert set(actions.values()) <= noco, kind
    for word in (*minirest.LIMBAS_PARAMETERS, *minirest.PLATFORM_PARAMETERS):
        assert word in WITHOUT_ROW or any(word.partition("<")[0] in f"{row.address}{row.body}" for row in ROWS), word


WITHOUT_ROW = {"nolimit", "from", "to", "begin", "end"}


@pytest.mark.parametrize("who", ["none", "stranger"])
def test_who_may_do_nothing_in_a_table_is_told_nothing_of_it(who: str) -> None:
    """Whatever is asked of a table in which somebody has no right at all is forbidden, before any name is read."""
    caller = Caller(who, {}, "items")
    caller.world.give(caller.rights)
    faults = []
    for row in ROWS:
        if row.table == "items" and "<rest" not in route_of(row.method, row.call(caller.world).address):
            fault = wrong_with(caller, row, "forbidden", "items")
            faults += [f"{row.name}\n    {fault}"] if fault else []
    assert not faults, "\n".join(faults)


def test_dialects_read_tables_for_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address is served by the dialect that everybody shares: each request has that of its own rights."""
    world = shared()
    world.give(in_all({}, "hide", HIDDEN))
    run = minirest.Dialect.run

    def checked(
        self: minirest.Dialect, request: minirest.Request, op: minirest.Operation, *key: Any
    ) -> minirest.Outcome:
        assert self.rights is minirest.rights_of(self.schema, request.actor)
        return run(self, request, op, *key)

    monkeypatch.setattr(minirest.Dialect, "run", checked)
    for row in ROWS:
        world.load(world.image)
        assert world.ask("one", row.call(world)).status != 500, row.name
