"""Headless Chromium drives the pages on a real port: as a person would, and watched for what it should not do."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

import minirest
from tests.web import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update"
    " --disable-sync"
).split()
WIDTHS = {"desk": 1280, "phone": 390}
PASSWORD = "open-sesame"
HOSTILE = "<script>document.title = 'broken'</script><img src=x onerror=\"document.title='broken'\">"
SCHEMA: dict[str, Any] = {
    "title": "Shop",
    "$defs": {
        "books": {
            "type": "object",
            "title": "Books",
            "properties": {
                "title": {"type": "string", "title": "Title"},
                "pages": {"type": "integer", "title": "Pages", "minimum": 1},
                "sold": {"type": "boolean", "title": "Sold"},
                "state": {"enum": ["new", "used"], "title": "State"},
                "published": {"type": "string", "format": "date", "title": "Published"},
                "extra": {"title": "Extra"},
                "author": {"$ref": "#/$defs/authors", "title": "Author"},
                "subjects": {"type": "array", "items": {"$ref": "#/$defs/subjects"}, "title": "Subjects"},
            },
            "required": ["title"],
            "x-archive": True,
            "examples": [
                {
                    "title": "Emma",
                    "pages": 300,
                    "author": 1,
                    "subjects": [1],
                    "extra": {"text": "</textarea>" + HOSTILE},
                },
                {"title": "Walden", "pages": 20, "author": 2, "sold": True},
                {"title": HOSTILE, "pages": 1},
            ],
        },
        "authors": {
            "type": "object",
            "title": "Authors",
            "properties": {
                "name": {"type": "string", "title": "Name"},
                "books": {"type": "array", "items": {"$ref": "#/$defs/books"}, "x-inverse": "author", "title": "Books"},
            },
            "examples": [{"name": "Jane Austen"}, {"name": "Henry Thoreau"}],
        },
        "subjects": {
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "examples": [{"name": f"Subject {number}"} for number in range(20)],
        },
    },
}
EVERY_PAGE = (
    "/ /api_tokens /logout /browse/books /browse/books?archived=all&filter[title]=e /browse/books/new /browse/books/1 "
    "/browse/books/1/edit /browse/books/3 /browse/books/3/edit /browse/books/1/links/subjects /docs "
    "/docs?dialect=limbas&group=books"
).split()


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """Return the browser; without it, or without Playwright, these tests are skipped."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visitor:
    """A person at a browser of some width, whose every request and every message of the console is kept."""

    def __init__(self, browser: "Browser", address: str, app: minirest.Application, **settings: Any) -> None:
        self.address, self.app, self.host = address, app, urlsplit(address).netloc
        self.context = browser.new_context(**settings)
        self.page: Page = self.context.new_page()
        self.trouble: list[str] = []
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", lambda request: self.check(request.url))

    def check(self, address: str) -> None:
        """Note a request to another host."""
        if urlsplit(address).netloc != self.host and not address.startswith("data:"):
            self.trouble.append(f"asked {address}")

    def open(self, path: str) -> "Page":
        """Go to an address."""
        self.page.goto(self.address.rstrip("/") + path)
        return self.page

    def follow(self, link: "Locator") -> None:
        """Click what leads to another page, and wait until that page is there."""
        with self.page.expect_navigation():
            link.click()

    def sign_in(self) -> "Page":
        """Fill in the form that stands before every page."""
        page = self.open("/")
        page.get_by_label("Name").fill("admin")
        page.get_by_label("Password").fill(PASSWORD)
        self.follow(page.get_by_role("button", name="Sign in"))
        return page

    def heading(self) -> str:
        """The title of the page that is open."""
        return self.page.locator("h1").inner_text()

    def notes(self) -> list[str]:
        """What the page says first."""
        return self.page.locator(".note").all_inner_texts()

    def names(self) -> list[str]:
        """The first cells of a list."""
        cells: Locator = self.page.locator("tbody tr td:first-child")
        return cells.all_inner_texts()

    def refused(self, status: int) -> None:
        """Take an answer as meant that a browser writes to its console."""
        if not self.trouble:  # the console may come after the page
            self.page.wait_for_event("console")
        assert re.fullmatch(rf"Failed to load resource: .* status of {status} \(.*\)", self.trouble.pop())


@pytest.fixture(params=WIDTHS)
def visitor(chromium: "Browser", request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """Return a person at a desk or with a phone; in the end nothing was said and no other host was asked."""
    app = minirest.make_app(SCHEMA, users={"admin": PASSWORD})
    with served(app) as address:
        scheme = "dark" if request.param == "phone" else "light"
        size = {"width": WIDTHS[request.param], "height": 900}
        person = Visitor(chromium, address, app, viewport=size, color_scheme=scheme)
        yield person
        person.context.close()
    assert person.trouble == []


def ask(address: str, token: str) -> int:
    """The status that a program with a token gets."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_token(visitor: Visitor) -> None:
    """A token is made after signing in, works in a real request, and not after it was revoked."""
    page = visitor.sign_in()
    assert visitor.heading() == "Shop"
    visitor.follow(page.get_by_role("link", name="Tokens"))
    page.get_by_label("Name of the device").fill("laptop")
    visitor.follow(page.get_by_role("button", name="Create token"))
    token = page.locator("#token").inner_text()
    address = f"{visitor.address}books"
    assert ask(address, token) == 200
    visitor.follow(page.get_by_role("link", name="Tokens"))
    assert token not in page.content()
    assert page.locator("#tokens tbody tr").count() == 1
    visitor.follow(page.get_by_role("button", name="Revoke laptop"))
    assert ask(address, token) == 401
    assert page.get_by_text("There are none.").is_visible()
    visitor.follow(page.get_by_role("button", name="Sign out"))
    visitor.open("/browse/books")
    assert visitor.heading() == "Sign in"


def test_records(visitor: Visitor) -> None:
    """Browse, filter, edit with a mistake and then right, follow a link, see the change, archive and restore."""
    page = visitor.sign_in()
    visitor.follow(page.get_by_role("link", name="books", exact=True))
    assert visitor.names() == ["Emma", "Walden", HOSTILE]
    page.get_by_text("Filters").click()
    page.get_by_label("Pages", exact=True).fill(">100")
    visitor.follow(page.get_by_role("button", name="Show"))
    assert visitor.names() == ["Emma"]
    visitor.follow(page.get_by_role("link", name="Emma"))
    visitor.follow(page.get_by_role("link", name="Edit"))
    page.get_by_label("Pages").fill("0")
    page.get_by_label("State").select_option("used")
    visitor.follow(page.get_by_role("button", name="Save"))
    visitor.refused(422)
    assert visitor.notes() == ["Look again at Pages."]
    assert page.locator("#wrong-pages").inner_text() == "Must be at least 1."
    assert page.get_by_label("Pages").input_value() == "0"
    assert page.get_by_label("State").input_value() == "used"
    page.get_by_role("link", name="Pages").click()
    page.get_by_label("Pages").fill("301")
    page.get_by_label("Sold").check()
    page.get_by_label("Published").fill("1815-12-23")
    visitor.follow(page.get_by_role("button", name="Save"))
    assert visitor.notes() == ["The record is saved."]
    entry = page.locator(".timeline li").first.inner_text()
    for word in ("admin changed", "through pages", "300 → 301", "- → used", "- → yes", "- → 1815-12-23"):
        assert word in entry
    visitor.follow(page.locator("#values").get_by_role("link", name="Jane Austen"))
    assert visitor.heading() == "Jane Austen"
    page.go_back()
    visitor.follow(page.get_by_role("button", name="Archive"))
    assert visitor.notes() == ["The record is archived."]
    visitor.follow(page.get_by_role("link", name="Books", exact=True))
    assert visitor.names() == ["Walden", HOSTILE]
    page.get_by_label("Records").select_option("archived")
    visitor.follow(page.get_by_role("button", name="Show", exact=True))
    visitor.follow(page.get_by_role("link", name="Emma"))
    visitor.follow(page.get_by_role("button", name="Restore"))
    assert visitor.notes() == ["The record is active again."]


def test_undo_and_delete(visitor: Visitor) -> None:
    """The last change is taken back with one button; a record is deleted with two clicks, not with one."""
    page = visitor.sign_in()
    page = visitor.open("/browse/books/2/edit")
    page.get_by_label("Title").fill("Walden Pond")
    visitor.follow(page.get_by_role("button", name="Save"))
    visitor.follow(page.get_by_role("button", name="Undo this change"))
    assert visitor.heading() == "Walden"
    assert not page.get_by_role("button", name="Delete for good").is_visible()
    page.get_by_text("Delete …").click()
    visitor.follow(page.get_by_role("button", name="Delete for good"))
    assert visitor.notes() == ["The record is deleted."]
    assert visitor.names() == ["Emma", HOSTILE]


def test_stored_script_stays_text(visitor: Visitor) -> None:
    """What somebody stored runs on no page, no page is wider than the screen, and nothing is asked elsewhere."""
    visitor.sign_in()
    for path in EVERY_PAGE:
        page = visitor.open(path)
        assert page.title() != "broken"
        assert page.locator("img").count() == 0
        assert page.evaluate("document.scripts.length") == 1
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert back == ("rgb(255, 255, 255)" if page.viewport_size["width"] == 1280 else "rgb(15, 19, 24)")  # type: ignore[index]
    visitor.open("/browse/books/3")
    assert visitor.heading() == HOSTILE
    page = visitor.open("/browse/books/1/edit")
    assert json.loads(page.get_by_label("Extra").input_value()) == {"text": "</textarea>" + HOSTILE}


def test_untouched_form(visitor: Visitor) -> None:
    """A browser sends a form back as it was shown: nothing is changed by it."""
    page = visitor.sign_in()
    for number in (1, 2, 3):
        page = visitor.open(f"/browse/books/{number}/edit")
        visitor.follow(page.get_by_role("button", name="Save"))
        assert visitor.notes() == ["The record is saved."]
        assert page.locator(".timeline li").count() == 1


def test_find_in_a_long_list(visitor: Visitor) -> None:
    """The script puts a search above a long list; what is found is chosen, and what was chosen stays."""
    page = visitor.sign_in()
    page = visitor.open("/browse/books/1/edit")
    page.get_by_label("Find in Subjects").fill("subject 13")
    options = page.get_by_label("Subjects", exact=True).locator("option")
    shown = [option.inner_text() for option in options.all() if not option.evaluate("option => option.hidden")]
    assert shown == ["Subject 0", "Subject 13"]
    page.get_by_label("Find in Subjects").press("Enter")
    assert visitor.heading() == "Edit #1 in Books"


def test_keyboard(visitor: Visitor) -> None:
    """The first key leads past the head of the page; tables of the drawing are reached and opened by keys."""
    page = visitor.sign_in()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.wait_for_url("**#content")
    page.locator('svg a[data-table="authors"]').focus()
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert visitor.heading() == "Authors"


def test_without_script(chromium: "Browser") -> None:
    """All that matters works in a browser that runs no scripts."""
    app = minirest.make_app(SCHEMA, users={"admin": PASSWORD})
    with served(app) as address:
        person = Visitor(chromium, address, app, java_script_enabled=False)
        page = person.sign_in()
        page = person.open("/browse/books/new")
        page.get_by_label("Title").fill("New")
        page.get_by_label("Subjects").select_option(["Subject 3", "Subject 4"])
        person.follow(page.get_by_role("button", name="Save"))
        assert person.notes() == ["The record is made."]
        page.get_by_text("Delete …").click()
        person.follow(page.get_by_role("button", name="Delete for good"))
        assert person.notes() == ["The record is deleted."]
        person.context.close()
    assert person.trouble == []


def test_requests(visitor: Visitor) -> None:
    """Read an operation, fill its parameters in, see the command change, send it with the session, see the answer."""
    page = visitor.sign_in()
    visitor.follow(page.get_by_role("link", name="All requests"))
    visitor.follow(page.locator('a[href="/docs?dialect=limbas&group=books"]'))
    page.locator("#create_books > summary").click()
    form = page.locator("#create_books form")
    form.get_by_label("Body").fill('{"data": {"title": "It\'s new"}}')
    command = form.locator(".curl").inner_text()
    assert command == (
        "curl -g -u admin -X POST -H 'Content-Type: application/json' "
        f"""-d '{{"data": {{"title": "It'\\''s new"}}}}' '{visitor.address}books'"""
    )
    form.get_by_role("button", name="Send").click()
    answer = form.locator(".answer")
    answer.get_by_text("201 Created").wait_for()
    status, *headers = answer.inner_text().partition("\n\n")[0].split("\n")
    assert re.fullmatch(r"201 Created, [\d.]+ ms", status)
    assert "location: /books/4" in headers
    assert json.loads(answer.inner_text().partition("\n\n")[2])["data"]["attributes"]["title"] == "It's new"
    answer.evaluate("it => it.append('line\\n'.repeat(1000))")
    assert answer.evaluate(
        "it => it.clientHeight < innerHeight && innerHeight < it.scrollHeight"
    )  # a long one scrolls in itself
    page.locator("#get_books > summary").click()
    form = page.locator("#get_books form")
    form.get_by_label("id", exact=True).fill("4")
    form.get_by_label("$fields").fill("title")
    assert form.locator(".curl").inner_text() == f"curl -g -u admin '{visitor.address}books/4?%24fields=title'"
    form.get_by_role("button", name="Send").click()
    form.locator(".answer").get_by_text("200 OK").wait_for()
