"""What has to come back for each job, before its time is taken: status, number of records, values."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tests.bench.apis import JOBS, Api, Ask, Job, Request
from tests.bench.data import Data, Record
from tests.web import Answer

COMPARED = ("first_name", "last_name", "email", "age", "city", "country", "salary")
"""The fields of a person that every server shows in the same form."""
NUMBER, COUNTRY, AGE = 77, "C3", 42
"""The person, the country and the age that are asked for."""


class WrongAnswerError(Exception):
    """A server does not do the job."""


class Check:
    """The checks of one server; each job has the method of its name in `CHECKS`."""

    def __init__(self, api: Api, ask: Ask, data: Data) -> None:
        self.api, self.ask, self.data = api, ask, data

    def __call__(self, job: Job) -> None:
        """Ask once for each part of a job; raises WrongAnswerError."""
        for part in job.parts:
            request = self.api.requests[part]
            try:
                CHECKS[part](self, request) if self.api.shows_people else self.answer(request)
            except (KeyError, ValueError, TypeError) as error:
                raise WrongAnswerError(f"{part}: an answer of another form: {error!r}") from error

    def answer(self, request: Request, age: int = AGE) -> Answer:
        """What comes for a request with values in its places."""
        filled = request.filled(
            id=self.api.id_form % NUMBER, country=COUNTRY, age=str(age), number=str(len(self.data.people))
        )
        answer = self.ask(filled)
        require(200 <= answer.status < 300, f"{filled.method} {filled.path}: status {answer.status}")
        return answer

    def people(self, request: Request, count: int) -> Sequence[Record]:
        """So many records of people, with the values that are in the data."""
        records = self.api.records(self.answer(request))
        require(len(records) == count, f"{request.path}: {len(records)} records instead of {count}")
        for record in records:
            person = self.data.people[number_of(record) - 1]
            differing = [name for name in COMPARED if record[name] != person[name]]
            require(not differing, f"{request.path}: other values of {', '.join(differing)}")
        return records

    def one(self, request: Request) -> None:
        (record,) = self.people(request, 1)
        require(number_of(record) == NUMBER, f"{request.path}: another record")

    def first_page(self, request: Request) -> None:
        shown = Counter(record["last_name"] for record in self.people(request, 20))
        first = Counter(sorted(person["last_name"] for person in self.data.people)[:20])
        require(shown == first, f"{request.path}: not the first by last name")

    def first_page_with_total(self, request: Request) -> None:
        self.first_page(request)
        self.total(request, len(self.data.people), 20)

    def total(self, request: Request, count: int, page: int) -> None:
        """The total that comes with a page."""
        told = self.api.tells(self.answer(request), count, page)
        require(told, f"{request.path}: another total than {count}")

    @property
    def matching(self) -> int:
        """How many people fit the filter."""
        return sum(person["country"] == COUNTRY and person["age"] >= AGE for person in self.data.people)

    def filtered(self, request: Request) -> None:
        records = self.people(request, min(100, self.matching))
        fitting = all(record["country"] == COUNTRY and record["age"] >= AGE for record in records)
        require(fitting, f"{request.path}: records that do not fit the filter")

    def filtered_with_total(self, request: Request) -> None:
        self.filtered(request)
        self.total(request, self.matching, 100)

    def embedded(self, request: Request) -> None:
        records = self.people(request, 20)
        shown = sum(len(self.api.embedded(record)) for record in records)
        orders = self.data.orders_of(number_of(record) for record in records)
        require(shown == orders > 0, f"{request.path}: {shown} orders instead of {orders}")

    def created(self, request: Request) -> None:
        before = self.api.count(self.ask)
        self.answer(request)
        more = self.api.count(self.ask) - before
        require(more == 1, f"{request.path}: {more} records more")

    def updated(self, request: Request) -> None:
        before = self.data.people[NUMBER - 1]["age"]
        for age in (AGE, before):  # what others check next is as it was
            self.answer(request, age)
            (record,) = self.api.records(self.answer(self.api.requests["one"]))
            require((number_of(record), record["age"]) == (NUMBER, age), f"{request.path}: not changed")


CHECKS: Mapping[str, Callable[[Check, Request], None]] = {
    "one": Check.one,
    "list 20": Check.first_page,
    "list + total": Check.first_page_with_total,
    "filter 100": Check.filtered,
    "filter + total": Check.filtered_with_total,
    "embed 20": Check.embedded,
    "create": Check.created,
    "update": Check.updated,
}
assert set(CHECKS) == {part for job in JOBS.values() for part in job.parts}


def require(fact: bool, otherwise: str) -> None:
    """Raise what has to be said when something is not so."""
    if not fact:
        raise WrongAnswerError(otherwise)


def number_of(record: Record) -> int:
    """The number of a person, which every API shows in the address."""
    found = re.fullmatch(r"user(\d+)@example\.org", record["email"])
    require(bool(found), f"the address {record['email']!r}")
    assert found
    return int(found[1])
