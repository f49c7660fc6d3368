"""The tests of a program that has a shop behind it: 200, and each of them writes."""

import pytest

from minirest import Fixture


@pytest.mark.parametrize("number", range(40))
def test_add_a_book(minirest: Fixture, number: int) -> None:
    made = minirest.client.post("/api/v2/books/", json={"title": f"Book {number}", "price": number})
    assert made.status == 201
    assert minirest.client.get(made.headers["Location"]).json() == made.json()
    assert minirest.client.get("/api/v2/books/").json()["meta"]["total_count"] == 3


@pytest.mark.parametrize("number", range(40))
def test_change_a_book(minirest: Fixture, number: int) -> None:
    changed = minirest.client.post("/api/books:update/1", json={"price": number})
    assert changed.json()["data"][0]["price"] == number
    listed = minirest.client.get("/api/books:list", params={"filter": '{"title":"Emma"}', "fields": "id,price"}).json()
    assert listed["data"] == [{"id": 1, "price": number}]


@pytest.mark.parametrize("number", range(40))
def test_authors_are_unique(minirest: Fixture, number: int) -> None:
    first = minirest.client.post("/api/v1/authors", json={"name": f"Author {number}"})
    second = minirest.client.post("/api/v1/authors", json={"name": f"Author {number}"})
    assert (first.status, second.status) == (200, 400)


@pytest.mark.parametrize("hours", range(1, 41))
def test_a_session_ends(minirest: Fixture, hours: int) -> None:
    minirest.as_user("anna", "reader")
    minirest.app.accounts.put_user("anna", password="anna's password")
    browser = minirest.anonymous
    assert browser.post("/api/v1/auth", json={"login": "anna", "password": "anna's password"}).status == 200
    minirest.clock.advance(hours=hours)
    assert browser.get("/api/v1/books").status == (200 if hours < 24 else 401)


@pytest.mark.parametrize("number", range(40))
def test_a_busy_database(minirest: Fixture, number: int) -> None:
    minirest.fault("locked", method="DELETE", path="/books/*")
    assert minirest.client.delete("/books/1").status == 503
    assert minirest.client.delete("/books/1").status < 300
    assert minirest.requests[-1].method == "DELETE"
    assert minirest.client.post("/books", json={"data": {"title": f"{number}"}}).status < 300
