"""Agreement: the same question, asked in each dialect over the sample, gives the same records."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

import pytest
import webtest

import minirest

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Question(NamedTuple):
    """One question: its words, the address and parameters in each dialect, and the ids of the records, in order."""

    words: str
    limbas: tuple[str, dict[str, str]]
    nocobase: tuple[str, dict[str, Any]]
    ids: list[int]


QUESTIONS = [
    Question(
        "all customers, without those in the archive or the trash and those who are not valid today",
        ("/kunden", {}),
        ("kunden:list", {}),
        [1, 2, 3, 4, 5],
    ),
    Question(
        "the second page of customers by turnover, nulls last",
        ("/kunden", {"$sort": "umsatz", "$page[count]": "2", "$page[number]": "2"}),
        ("kunden:list", {"sort": "umsatz", "pageSize": "2", "page": "2"}),
        [3, 1],
    ),
    Question(
        "a turnover within bounds, the largest first",
        ("/kunden", {"umsatz[gte]": "10", "umsatz[lt]": "5000", "$sort": "-umsatz"}),
        ("kunden:list", {"filter": {"umsatz": {"$gte": 10, "$lt": 5000}}, "sort": "-umsatz"}),
        [3, 2],
    ),
    Question(
        "another turnover than 10; null is none",
        ("/kunden", {"umsatz[neq]": "10"}),
        ("kunden:list", {"filter": {"umsatz.$not": 10}}),
        [1, 3, 5],
    ),
    Question(
        "no day of the first order",
        ("/kunden", {"seit": "#NULL#"}),
        ("kunden:list", {"filter": {"seit": None}}),
        [4],
    ),
    Question(
        "a name that begins so, in any case",
        ("/kunden", {"name[startswith]": "mEI"}),
        ("kunden:list", {"filter": {"name.$startsWith": "mEI"}}),
        [2, 3],
    ),
    Question(
        "a name with a percent sign and one with an underscore, as plain letters",
        ("/kunden", {"name[contains]": "0% ö", "kunden[name][contains]": "o_h"}),
        ("kunden:list", {"filter": {"$and": [{"name.$includes": "0% Ö"}, {"name.$includes": "o_h"}]}}),
        [5],
    ),
    Question(
        "first ordered in a month",
        ("/kunden", {"seit": "2024-05"}),
        ("kunden:list", {"filter": {"seit.$dateOn": "2024-05"}}),
        [3],
    ),
    Question(
        "not active",
        ("/kunden", {"aktiv": "false"}),
        ("kunden:list", {"filter": {"aktiv": False}}),
        [2],
    ),
    Question(
        "interested in one of the choices",
        ("/kunden", {"interessen": "Web"}),
        ("kunden:list", {"filter": {"interessen.$anyOf": ["Web"]}}),
        [1, 5],
    ),
    Question(
        "led by somebody of a name",
        ("/kunden", {"boss": "meier"}),
        ("kunden:list", {"filter": {"boss.name.$includes": "meier"}}),
        [2, 3],
    ),
    Question(
        "with a linked record of many, each post once",
        ("/posts", {"tags": "#ID#2"}),
        ("posts:list", {"filter": {"tags.id": 2}}),
        [1, 4, 7],
    ),
    Question(
        "without a linked record",
        ("/posts", {"tags": "#NULL#"}),
        ("posts:list", {"filter": {"tags.$notExists": True}}),
        [5, 6, 8],
    ),
    Question(
        "published after a day, the newest first",
        ("/posts", {"publishedAt[gt]": "2022-05-19", "$sort": "-publishedAt"}),
        ("posts:list", {"filter": {"publishedAt.$dateAfter": "2022-05-19"}, "sort": "-publishedAt"}),
        [9, 7, 2],
    ),
    Question(
        "the linked records of one record, without those who have left",
        ("/kunden/1/kontakte", {}),
        ("kunden/1/kontakte:list", {}),
        [1, 2],
    ),
    Question(
        "the other side of a link, filtered and sorted",
        ("/posts/1/comments", {"likes[gt]": "-1", "$sort": "-likes"}),
        ("posts/1/comments:list", {"filter": {"likes": {"$gt": -1}}, "sort": "-likes"}),
        [2, 1, 4],
    ),
    Question("one record, in the archive", ("/kunden/6", {}), ("kunden:get/6", {}), [6]),
]
"""At least ten; a dialect that comes gets a column."""

PLATFORM: dict[str, tuple[str, dict[str, str]]] = {
    QUESTIONS[0].words: ("kunden", {}),
    "no day of the first order": ("kunden", {"where.seit": "null"}),
    "not active": ("kunden", {"where.aktiv": "false"}),
    "interested in one of the choices": ("kunden", {"where.interessen": "Web"}),
    "with a linked record of many, each post once": ("posts", {"where.tags": "<tags 2>"}),
    "without a linked record": ("posts", {"where.tags": "null"}),
    "the linked records of one record, without those who have left": ("kunden/<kunden 1>/kontakte", {}),
    "one record, in the archive": ("kunden/<kunden 6>", {}),
}
"""The same in Platform, which asks for equal values only; `<table id>` stands for an ObjectId."""


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


def ask_platform(client: webtest.TestApp, address: str, parameters: dict[str, str]) -> list[int]:
    """The ids that Platform answers, in its ObjectIds."""
    tables = client.app.schema.tables

    def spell(text: str) -> str:
        return re.sub("<([a-z]+) ([0-9]+)>", lambda it: minirest.object_id(tables[it[1]].tag, int(it[2])), text)

    query = urlencode({name: spell(value) for name, value in parameters.items()})
    answer = client.get(f"/api/v1/{spell(address)}?{query}").json
    return [int(entity["_id"][8:], 16) for entity in (answer if isinstance(answer, list) else [answer])]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.words)
def test_dialects_agree(question: Question, client: webtest.TestApp) -> None:
    """All dialects give the records of the table, in its order."""
    answers = {
        "limbas": ask_limbas(client, *question.limbas),
        "nocobase": ask_nocobase(client, *question.nocobase),
    }
    if question.words in PLATFORM:
        answers["platform"] = ask_platform(client, *PLATFORM[question.words])
    assert answers == dict.fromkeys(answers, question.ids)


def test_platform_asks_known_questions() -> None:
    """What is asked in Platform is asked in the others too."""
    assert set(PLATFORM) <= {question.words for question in QUESTIONS}


def test_what_one_writes_the_other_reads(client: webtest.TestApp) -> None:
    """A record that one dialect makes, changes, links and deletes is the same record in the other."""
    made = client.post_json("/api/tags:create", {"name": "new", "posts": [5]}).json["data"]["id"]
    shown = client.get(f"/tags/{made}").json["data"]["attributes"]
    assert (shown["name"], ids(shown["posts"]["data"])) == ("new", [5])
    client.patch_json(f"/tags/{made}", {"data": {"color": "#00ff00", "posts": {"data": [{"id": "2"}, {"id": "3"}]}}})
    got = client.get(f"/api/tags:get/{made}?fields=color,posts.id").json["data"]
    assert got == {"color": "#00ff00", "posts": [{"id": 2}, {"id": 3}]}
    client.delete(f"/tags/{made}")
    assert client.get(f"/api/tags:get/{made}").json == {"data": None}
