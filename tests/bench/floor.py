"""The floor: the same work in SQL alone, in this process, with the JSON made by SQLite and each write on the disk."""

import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median, quantiles

from tests.bench import data
from tests.bench.apis import NEW, Job
from tests.bench.results import Sample

FIELDS = ", ".join(f"'{name}', p.{name}" for name in ("id", *data.FIELDS))
RECORD = f"json_object({FIELDS})"
ORDER = "json_object('id', o.id, 'amount', o.amount, 'status', o.status, 'created', o.created)"
WITH_ORDERS = (
    f"json_object({FIELDS}, 'orders', (select json_group_array({ORDER}) from orders o where o.person_id = p.id))"
)
FITTING = "country = ? and age >= ?"
FIRST_PAGE = f"select {RECORD} from person p order by last_name, id limit 20"
VALUES = {**NEW, "last_name": "Zed", "email": "new@example.org", "age": 42, "country": "C3"}


class Floor:
    """A database in a file, and for each job the statements that do it."""

    TITLE, DURABILITY = "sqlite3 alone", "FULL"

    def __init__(self, file: Path, records: data.Data) -> None:
        file.unlink(missing_ok=True)
        data.write_sqlite(records, file)
        self.database = sqlite3.connect(file, isolation_level=None, cached_statements=512)
        self.database.execute("pragma synchronous = full")
        self.people, self.dice = len(records.people), random.Random(1)

    def measure(self, job: Job, seconds: float) -> Sample:
        """Do a job again and again in this thread, for so long."""
        works = [JOBS[part] for part, weight in job.parts.items() for _ in range(weight)]
        took: list[float] = []
        begin, cpu = time.perf_counter(), time.process_time()
        while (before := time.perf_counter()) - begin < seconds:
            self.dice.choice(works)(self)
            took.append(time.perf_counter() - before)
        elapsed, cpu = time.perf_counter() - begin, time.process_time() - cpu
        p99 = quantiles(took, n=100, method="inclusive")[98] if len(took) > 1 else took[0]
        return Sample(len(took), elapsed, median(took) * 1e3, p99 * 1e3, cpu * 1e6 / len(took))

    def close(self) -> None:
        """End it."""
        self.database.close()

    def rows(self, statement: str, *values: object) -> list[str]:
        """The first column of what a statement selects."""
        return [row[0] for row in self.database.execute(statement, values)]

    def someone(self) -> int:
        """The id of a person."""
        return self.dice.randint(1, self.people)

    def one(self) -> str:
        return self.rows(f"select {RECORD} from person p where id = ?", self.someone())[0]

    def first_page(self) -> str:
        return f"[{','.join(self.rows(FIRST_PAGE))}]"

    def first_page_with_total(self) -> str:
        (total,) = self.rows("select count(*) from person")
        return f'{{"data": {self.first_page()}, "total": {total}}}'

    def filtered(self) -> str:
        return self.page_of(*self.drawn())

    def filtered_with_total(self) -> str:
        values = self.drawn()
        (total,) = self.rows(f"select count(*) from person where {FITTING}", *values)
        return f'{{"data": {self.page_of(*values)}, "total": {total}}}'

    def drawn(self) -> tuple[str, int]:
        """A country and an age."""
        return f"C{self.dice.randrange(data.COUNTRIES)}", self.dice.randint(data.YOUNGEST, data.OLDEST)

    def page_of(self, country: str, age: int) -> str:
        """A hundred people of a country who are not younger."""
        found = self.rows(f"select {RECORD} from person p where {FITTING} order by id limit 100", country, age)
        return f"[{','.join(found)}]"

    def embedded(self) -> str:
        return f"[{','.join(self.rows(f'select {WITH_ORDERS} from person p order by id limit 20'))}]"

    def created(self) -> str:
        names = ", ".join(VALUES)
        places = ", ".join("?" * len(VALUES))
        returned = RECORD.replace("p.", "")
        return self.rows(f"insert into person({names}) values({places}) returning {returned}", *VALUES.values())[0]

    def updated(self) -> str:
        returned = RECORD.replace("p.", "")
        age = self.dice.randint(data.YOUNGEST, data.OLDEST)
        return self.rows(f"update person set age = ? where id = ? returning {returned}", age, self.someone())[0]


JOBS: Mapping[str, Callable[[Floor], str]] = {
    "one": Floor.one,
    "list 20": Floor.first_page,
    "list + total": Floor.first_page_with_total,
    "filter 100": Floor.filtered,
    "filter + total": Floor.filtered_with_total,
    "embed 20": Floor.embedded,
    "create": Floor.created,
    "update": Floor.updated,
}
