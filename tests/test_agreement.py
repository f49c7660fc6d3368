"""Agreement: the same question, asked in each dialect over the sample, gives the same records."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import webtest

import minirest

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Asked = tuple[str, dict[str, Any]]
"""An address with its parameters, as one dialect has them."""


class Question(NamedTuple):
    """One question: its words, how each dialect asks it (None: it has no way to), and the ids, in order."""

    words: str
    asked: dict[str, Asked | None]
    ids: list[int]


def uuid(table: str, number: int) -> str:
    """The id of a record in CoreData."""
    return minirest.record_uuid(minirest.derive_tags([table], {})[table], 0, number)


def object_id(table: str, number: int) -> str:
    """The id of a record in Platform."""
    return minirest.object_id(minirest.derive_tags([table], {})[table], number)


QUESTIONS = [
    Question(
        "all customers, without those in the archive or the trash and those who are not valid today",
        {
            "limbas": ("/kunden", {}),
            "nocobase": ("kunden:list", {}),
            "coredata": ("kunden/", {}),
            "platform": ("kunden", {}),
            "qore": ("kunden", {}),
        },
        [1, 2, 3, 4, 5],
    ),
    Question(
        "the second page of customers by turnover, nulls last",
        {
            "limbas": ("/kunden", {"$sort": "umsatz", "$page[count]": "2", "$page[number]": "2"}),
            "nocobase": ("kunden:list", {"sort": "umsatz", "pageSize": "2", "page": "2"}),
            "coredata": None,  # null comes first there
            "platform": None,  # null comes first there too
            "qore": None,  # null comes first there too
        },
        [3, 1],
    ),
    Question(
        "the second page of customers by postcode; the id decides between equals",
        {
            "limbas": ("/kunden", {"$sort": "plz", "$page[count]": "2", "$page[number]": "2"}),
            "nocobase": ("kunden:list", {"sort": "plz", "pageSize": "2", "page": "2"}),
            "coredata": ("kunden/", {"order_by": "plz", "limit": "2", "offset": "2"}),
            "platform": ("kunden", {"sortBy": "plz", "limit": "2", "offset": "2"}),
            "qore": ("kunden", {"sort_column": "plz", "per_page": 2, "page": 2}),
        },
        [4, 1],
    ),
    Question(
        "a turnover within bounds, the largest first",
        {
            "limbas": ("/kunden", {"umsatz[gte]": "10", "umsatz[lt]": "5000", "$sort": "-umsatz"}),
            "nocobase": ("kunden:list", {"filter": {"umsatz": {"$gte": 10, "$lt": 5000}}, "sort": "-umsatz"}),
            "coredata": ("kunden/", {"umsatz__gte": "10", "umsatz__lt": "5000", "order_by": "-umsatz"}),
            "platform": None,  # it asks for equal values only
            "qore": None,  # it has no bounds
        },
        [3, 2],
    ),
    Question(
        "another turnover than 10; null is none",
        {
            "limbas": ("/kunden", {"umsatz[neq]": "10"}),
            "nocobase": ("kunden:list", {"filter": {"umsatz.$not": 10}}),
            "coredata": None,  # no operator says "not"
            "platform": None,
            "qore": None,
        },
        [1, 3, 5],
    ),
    Question(
        "no day of the first order",
        {
            "limbas": ("/kunden", {"seit": "#NULL#"}),
            "nocobase": ("kunden:list", {"filter": {"seit": None}}),
            "coredata": ("kunden/", {"seit__isnull": "true"}),
            "platform": ("kunden", {"where.seit": "null"}),
            "qore": ("kunden", {"search_columns": {"seit": None}}),
        },
        [4],
    ),
    Question(
        "a name that begins so, in any case",
        {
            "limbas": ("/kunden", {"name[startswith]": "mEI"}),
            "nocobase": ("kunden:list", {"filter": {"name.$startsWith": "mEI"}}),
            "coredata": ("kunden/", {"name__istartswith": "mEI"}),
            "platform": None,
            "qore": None,
        },
        [2, 3],
    ),
    Question(
        "a name with a percent sign and one with an underscore, as plain letters",
        {
            "limbas": ("/kunden", {"name[contains]": "0% ö", "kunden[name][contains]": "o_h"}),
            "nocobase": ("kunden:list", {"filter": {"$and": [{"name.$includes": "0% Ö"}, {"name.$includes": "o_h"}]}}),
            "coredata": ("kunden/", {"name__icontains": "0% ö", "name__contains": "o_H"}),
            "platform": ("kunden", {"search": "0% Ö"}),
            "qore": ("kunden", {"search_columns": {"name": "0% Ö"}}),
        },
        [5],
    ),
    Question(
        "first ordered in a month",
        {
            "limbas": ("/kunden", {"seit": "2024-05"}),
            "nocobase": ("kunden:list", {"filter": {"seit.$dateOn": "2024-05"}}),
            "coredata": ("kunden/", {"seit__year": "2024", "seit__month": "5"}),
            "platform": None,
            "qore": ("kunden", {"search_columns": {"seit": "2024-05"}}),
        },
        [3],
    ),
    Question(
        "not active",
        {
            "limbas": ("/kunden", {"aktiv": "false"}),
            "nocobase": ("kunden:list", {"filter": {"aktiv": False}}),
            "coredata": ("kunden/", {"aktiv": "false"}),
            "platform": ("kunden", {"where.aktiv": "false"}),
            "qore": ("kunden", {"search_columns": {"aktiv": False}}),
        },
        [2],
    ),
    Question(
        "interested in one of the choices",
        {
            "limbas": ("/kunden", {"interessen": "Web"}),
            "nocobase": ("kunden:list", {"filter": {"interessen.$anyOf": ["Web"]}}),
            "coredata": ("kunden/", {"interessen": "Web"}),
            "platform": ("kunden", {"where.interessen": "Web"}),
            "qore": None,  # lists are no columns of this table
        },
        [1, 5],
    ),
    Question(
        "led by somebody of a name",
        {
            "limbas": ("/kunden", {"boss": "meier"}),
            "nocobase": ("kunden:list", {"filter": {"boss.name.$includes": "meier"}}),
            "coredata": ("kunden/", {"boss__name__icontains": "meier"}),
            "platform": None,
            "qore": None,  # it takes ids; see the next question
        },
        [2, 3],
    ),
    Question(
        "led by one person",
        {
            "limbas": ("/kunden", {"boss": "#ID#7"}),
            "nocobase": ("kunden:list", {"filter": {"boss.id": 7}}),
            "coredata": ("kunden/", {"boss": uuid("personen", 7)}),
            "platform": ("kunden", {"where.boss": object_id("personen", 7)}),
            "qore": ("kunden", {"search_columns": {"boss": [7]}}),
        },
        [3],
    ),
    Question(
        "a turnover of 10",
        {
            "limbas": ("/kunden", {"umsatz": "10"}),
            "nocobase": ("kunden:list", {"filter": {"umsatz": 10}}),
            "coredata": ("kunden/", {"umsatz": "10"}),
            "platform": ("kunden", {"where.umsatz": "10"}),
            "qore": ("kunden", {"search_columns": {"umsatz": 10}}),
        },
        [2],
    ),
    Question(
        "posts of an author, in the order of their titles",
        {
            "limbas": ("/posts", {"author": "#ID#1", "$sort": "title"}),
            "nocobase": ("posts:list", {"filter": {"author.id": 1}, "sort": "title"}),
            "coredata": ("posts/", {"author": uuid("users", 1), "order_by": "title"}),
            "platform": ("posts", {"where.author": object_id("users", 1), "sortBy": "title"}),
            "qore": ("posts", {"search_columns": {"author": [1]}, "sort_column": "title"}),
        },
        [7, 3, 1],
    ),
    Question(
        "posts with a status, the most views first",
        {
            "limbas": ("/posts", {"status": "published", "views[gte]": "0", "$sort": "-views"}),
            "nocobase": ("posts:list", {"filter": {"status": "published", "views.$gte": 0}, "sort": "-views"}),
            "coredata": ("posts/", {"status": "published", "views__gte": "0", "order_by": "-views"}),
            "platform": ("posts", {"where.status": "published", "sortBy": "-views"}),
            "qore": (
                "posts",
                {"search_columns": {"status": "published"}, "sort_column": "views", "sort_direction": "descending"},
            ),
        },
        [3, 7, 1, 9, 2],
    ),
    Question(
        "with a linked record of many, each post once",
        {
            "limbas": ("/posts", {"tags": "#ID#2"}),
            "nocobase": ("posts:list", {"filter": {"tags.id": 2}}),
            "coredata": ("posts/", {"tags": uuid("tags", 2)}),
            "platform": ("posts", {"where.tags": object_id("tags", 2)}),
            "qore": None,  # links to many are no columns of this table
        },
        [1, 4, 7],
    ),
    Question(
        "without a linked record",
        {
            "limbas": ("/posts", {"tags": "#NULL#"}),
            "nocobase": ("posts:list", {"filter": {"tags.$notExists": True}}),
            "coredata": ("posts/", {"tags__isnull": "true"}),
            "platform": ("posts", {"where.tags": "null"}),
            "qore": None,
        },
        [5, 6, 8],
    ),
    Question(
        "published after a day, the newest first",
        {
            "limbas": ("/posts", {"publishedAt[gt]": "2022-05-19", "$sort": "-publishedAt"}),
            "nocobase": ("posts:list", {"filter": {"publishedAt.$dateAfter": "2022-05-19"}, "sort": "-publishedAt"}),
            "coredata": ("posts/", {"publishedAt__gte": "2022-05-20", "order_by": "-publishedAt"}),
            "platform": None,
            "qore": None,
        },
        [9, 7, 2],
    ),
    Question(
        "the linked records of one record, without those who have left",
        {
            "limbas": ("/kunden/1/kontakte", {}),
            "nocobase": ("kunden/1/kontakte:list", {}),
            "coredata": (f"kunden/{uuid('kunden', 1)}/kontakte/", {}),
            "platform": (f"kunden/{object_id('kunden', 1)}/kontakte", {}),
            "qore": None,  # there are no lists below a record
        },
        [1, 2],
    ),
    Question(
        "the other side of a link, filtered and sorted",
        {
            "limbas": ("/posts/1/comments", {"likes[gt]": "-1", "$sort": "-likes"}),
            "nocobase": ("posts/1/comments:list", {"filter": {"likes": {"$gt": -1}}, "sort": "-likes"}),
            "coredata": (f"posts/{uuid('posts', 1)}/comments/", {"likes__gt": "-1", "order_by": "-likes"}),
            "platform": None,
            "qore": None,
        },
        [2, 1, 4],
    ),
    Question(
        "one record, in the archive",
        {
            "limbas": ("/kunden/6", {}),
            "nocobase": ("kunden:get/6", {}),
            "coredata": (f"kunden/{uuid('kunden', 6)}/", {}),
            "platform": (f"kunden/{object_id('kunden', 6)}", {}),
            "qore": ("kunden/6", {}),
        },
        [6],
    ),
]
"""At least ten; a dialect that comes gets a row in each."""


@pytest.fixture
def client() -> Iterator[webtest.TestApp]:
    """The sample, in memory, on a fixed day."""
    app = minirest.make_app(ROOT / "sample_schema.json", auth=False, clock=lambda: NOW)
    yield webtest.TestApp(app)
    app.close()


def ids(data: Any) -> list[int]:
    """The ids in an answer, which has one record or a list of them."""
    return [int(record["id"]) for record in (data if isinstance(data, list) else [data])]


def ask_limbas(client: webtest.TestApp, address: str, parameters: dict[str, str]) -> list[int]:
    """The ids that Limbas answers."""
    return ids(client.get(f"{address}?{urlencode(parameters, quote_via=quote)}").json["data"])


def ask_nocobase(client: webtest.TestApp, address: str, parameters: dict[str, Any]) -> list[int]:
    """The ids that NocoBase answers; its count is that of all pages."""
    written = {name: value if isinstance(value, str) else json.dumps(value) for name, value in parameters.items()}
    answer = client.get(f"/api/{address}?{urlencode(written, quote_via=quote)}").json
    found = ids(answer["data"])
    if "meta" in answer and "page" not in parameters:
        assert answer["meta"] == {"count": len(found), "page": 1, "pageSize": 20, "totalPage": 1}
    return found


def ask_coredata(client: webtest.TestApp, address: str, parameters: dict[str, Any]) -> list[int]:
    """The ids that CoreData answers; its count is that of all pages."""
    answer = client.get(f"/api/v2/{address}?{urlencode(parameters, quote_via=quote)}").json
    objects = answer.get("objects", [answer])
    if "meta" in answer and "limit" not in parameters:
        assert answer["meta"]["total_count"] == len(objects)
    return [int(found["id"][-12:], 16) for found in objects]


def ask_platform(client: webtest.TestApp, address: str, parameters: dict[str, Any]) -> list[int]:
    """The ids that Platform answers, in its ObjectIds."""
    answer = client.get(f"/api/v1/{address}?{urlencode(parameters, quote_via=quote)}").json
    return [int(entity["_id"][8:], 16) for entity in (answer if isinstance(answer, list) else [answer])]


def ask_qore(client: webtest.TestApp, address: str, parameters: dict[str, Any]) -> list[int]:
    """The ids that Qore answers, asked in a body; its total is that of all pages."""
    if "/" in address:
        return ids(client.get(f"/api/resources/{address}", headers={"Prefer": "return=minimal"}).json["data"])
    path, body = f"/api/resources/{address}/table/{address}", json.dumps(parameters).encode()
    answer = client.request(path, method="GET", body=body, headers={"Content-Type": "application/json"}).json
    if "per_page" not in parameters:
        assert answer["total"] == len(answer["data"])
    return ids(answer["data"])


ASK: dict[str, Callable[[webtest.TestApp, str, dict[str, Any]], list[int]]] = {
    "limbas": ask_limbas,
    "nocobase": ask_nocobase,
    "coredata": ask_coredata,
    "platform": ask_platform,
    "qore": ask_qore,
}
"""How a question is asked in each dialect."""


def test_every_dialect_is_asked() -> None:
    """Each question says for each dialect how it is asked, or that it cannot be; most can be."""
    assert list(ASK) == list(minirest.DIALECTS)
    assert [question.words for question in QUESTIONS if list(question.asked) != list(ASK)] == []
    for dialect in ASK:
        assert sum(question.asked[dialect] is not None for question in QUESTIONS) >= 10


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.words)
def test_dialects_agree(question: Question, client: webtest.TestApp) -> None:
    """All dialects give the records of the table, in its order."""
    asked = {dialect: asked for dialect, asked in question.asked.items() if asked is not None}
    answers = {dialect: ASK[dialect](client, *words) for dialect, words in asked.items()}
    assert answers == dict.fromkeys(asked, question.ids)


def test_what_one_writes_the_others_read(client: webtest.TestApp) -> None:
    """A record that one dialect makes, changes, links and deletes is the same record in the others."""
    made = client.post_json("/api/tags:create", {"name": "new", "posts": [5]}).json["data"]["id"]
    shown = client.get(f"/tags/{made}").json["data"]["attributes"]
    assert (shown["name"], ids(shown["posts"]["data"])) == ("new", [5])
    client.patch_json(f"/tags/{made}", {"data": {"color": "#00ff00", "posts": {"data": [{"id": "2"}, {"id": "3"}]}}})
    address = f"/api/v2/tags/{uuid('tags', made)}/"
    found = client.get(address).json
    assert (found["color"], found["posts"]) == ("#00ff00", [f"/api/v2/posts/{uuid('posts', post)}/" for post in (2, 3)])
    client.patch_json(address, {"name": "newer", "posts": found["posts"][1:]})
    got = client.get(f"/api/tags:get/{made}?fields=name,color,posts.id").json["data"]
    assert got == {"name": "newer", "color": "#00ff00", "posts": [{"id": 3}]}
    client.delete(f"/tags/{made}")
    assert client.get(f"/api/tags:get/{made}").json == {"data": None}
    client.get(address, status=404)
