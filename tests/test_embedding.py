"""Below a path of another application: every address that an answer prints begins there, and leads somewhere."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import bottle
import pytest
import webtest

import minirest
from tests.web import Answer, many, one, send

PREFIX = "/my shop/ä"
WRITTEN = quote(PREFIX)
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "people": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "friends": many("people"), "boss": one("people")},
            "examples": [{"name": f'href="/{number}', "boss": 1, "friends": [1, 2]} for number in range(60)],
        },
        "things": {"type": "object", "properties": {"name": {"type": "string"}}, "x-archive": True},
    },
}


@pytest.fixture(name="app")
def make_app() -> Iterator[minirest.Application]:
    """An application that asks nobody who they are."""
    app = minirest.make_app(SCHEMA, auth=False)
    yield app
    app.close()


def ask(app: minirest.Application, address: str, method: str = "GET", body: Any = None, **environ: str) -> Answer:
    """A request for an address of the server, which the application is a part of."""
    assert address.startswith(WRITTEN), address
    mounted = {"SCRIPT_NAME": PREFIX.encode().decode("latin-1"), **environ}
    return send(app, method, address.removeprefix(WRITTEN), body, **mounted)


def addresses(page: Answer) -> set[str]:
    """What a page leads to."""
    return set(re.findall(r'<(?:a|form)[^<>]* (?:href|action)="([^"#]+)', page.body.decode()))


def test_every_address_of_the_pages(app: minirest.Application) -> None:
    """From the overview on, every link begins at the mount point and leads to a page."""
    seen, waiting = set[str](), [f"{WRITTEN}/"]
    while waiting:
        address = waiting.pop()
        page = ask(app, address, HTTP_ACCEPT="text/html")
        assert page.status == 200, address
        found = {re.sub("&amp;", "&", each) for each in addresses(page)}
        assert {each for each in found if not each.startswith((f"{WRITTEN}/", "?"))} == set()
        new = {each for each in found if each.startswith("/")} - seen
        seen |= new
        waiting += sorted(new)
    assert {f"{WRITTEN}/browse/people/1/edit", f"{WRITTEN}/browse/people/1/links/friends"} <= seen
    assert f"curl -g http://localhost{WRITTEN}/api/v2/people/?limit=2" in ask(
        app, f"{WRITTEN}/", HTTP_ACCEPT="text/html"
    ).body.decode().replace("&#x27;", "").replace("'", "")


def test_texts_stay_as_they_are(app: minirest.Application) -> None:
    """What a record holds is no address, however much it looks like one."""
    plain = send(app, "GET", "/browse/people/1", HTTP_ACCEPT="text/html").body.decode()
    mounted = ask(app, f"{WRITTEN}/browse/people/1", HTTP_ACCEPT="text/html").body.decode()
    assert plain.count('href="/0') == mounted.count('href="/0') > 0


def test_overview(app: minirest.Application) -> None:
    """The overview names the dialects' addresses."""
    dialects = {it["name"]: it["addresses"] for it in ask(app, f"{WRITTEN}/").json["dialects"]}
    assert dialects["coredata"] == [f"{WRITTEN}/api/v2/"]
    assert dialects["limbas"] == [f"{WRITTEN}/{end}" for end in ("", "main_rest.php/", "dependent/main_rest.php/")]


def test_coredata(app: minirest.Application) -> None:
    """Its addresses are printed, followed and taken back in bodies."""
    top = ask(app, f"{WRITTEN}/api/v2/").json
    assert top["people"] == {
        "list_endpoint": f"{WRITTEN}/api/v2/people/",
        "schema": f"{WRITTEN}/api/v2/people/schema/",
    }
    first = ask(app, top["people"]["list_endpoint"] + "?limit=20").json
    second = ask(app, first["meta"]["next"]).json
    assert second["meta"]["offset"] == 20
    boss, record = first["objects"][0]["resource_uri"], second["objects"][0]["resource_uri"]
    assert second["objects"][0]["boss"] == boss
    changed = ask(app, record, "PATCH", {"boss": record, "friends": [boss]})
    assert (changed.status, changed.json["boss"], changed.json["friends"]) == (202, record, [boss])
    made = ask(app, f"{WRITTEN}/api/v2/people/", "POST", {"name": "new"})
    assert ask(app, made.headers["Location"]).json["name"] == "new"
    moved = ask(app, f"{WRITTEN}/api/v2/people")
    assert (moved.status, moved.headers["Location"]) == (301, f"{WRITTEN}/api/v2/people/")
    gone = boss.replace(boss[-5:], "fffff/")
    refused = ask(app, record, "PATCH", {"boss": gone})
    assert refused.status == 400
    assert gone in refused.body.decode()


def test_qore(app: minirest.Application) -> None:
    """The paginator's addresses are absolute."""
    page = ask(app, f"{WRITTEN}/api/resources/people/table/people?per_page=5").json
    url = urlsplit(page["next_page_url"])
    assert (url.scheme, url.netloc) == ("http", "localhost")
    assert ask(app, f"{url.path}?{url.query}").json["current_page"] == 2


def test_limbas_has_no_base(app: minirest.Application) -> None:
    """Its links begin at the interface, as those of the original."""
    assert ask(app, f"{WRITTEN}/people/1").json["links"] == {"self": "/people/1"}


def test_two_mount_points_at_a_time(app: minirest.Application) -> None:
    """What was said below one path is not said below another."""
    for prefix in ("/a", "/b", "", "/a"):
        found = send(app, "GET", "/api/v2/people/?limit=1", SCRIPT_NAME=prefix).json["objects"][0]["resource_uri"]
        assert found.startswith(f"{prefix}/api/v2/people/")


def test_signing_in_and_out() -> None:
    """Through the pages, mounted in a Bottle application: the cookie is the mount point's alone."""
    app = minirest.make_app(SCHEMA, users={"anna": "anna's password"})
    host = bottle.Bottle()
    host.route("/hello", callback=lambda: "hello")
    host.mount("/shop/", app)
    client = webtest.TestApp(host)
    try:
        assert client.get("/hello").text == "hello"
        page = client.get("/shop/browse/people/1", headers={"Accept": "text/html"}).follow()
        form = page.form
        assert form.action == "/shop/login"
        form["name"], form["password"] = "anna", "anna's password"
        signed_in = form.submit()
        assert signed_in.headers["Location"] == "/shop/browse/people/1"
        assert "; Path=/shop;" in signed_in.headers["Set-Cookie"]
        assert "anna" in signed_in.follow().text
    finally:
        app.close()
