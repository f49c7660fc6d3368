"""FastAPI and SQLAlchemy over the tables of the benchmark, as a developer writes it by hand; served by uvicorn."""

import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, create_engine, event, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload, sessionmaker

engine = create_engine(f"sqlite:///{os.environ['BENCH_DB']}", pool_size=20, max_overflow=40)
make_session = sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


@event.listens_for(engine, "connect")
def tune(connection: Any, _: object) -> None:
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")


class Base(DeclarativeBase):
    pass


class Person(Base):
    __tablename__ = "person"
    id: Mapped[int] = mapped_column(primary_key=True)
    first_name: Mapped[str]
    last_name: Mapped[str]
    email: Mapped[str]
    age: Mapped[int | None]
    city: Mapped[str | None]
    country: Mapped[str | None]
    salary: Mapped[float | None]
    active: Mapped[bool | None]
    created: Mapped[str | None]
    orders: Mapped[list["Order"]] = relationship()


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    amount: Mapped[float]
    status: Mapped[str]
    created: Mapped[str]


class NewPerson(BaseModel):
    first_name: str
    last_name: str
    email: str
    age: int | None = None
    city: str | None = None
    country: str | None = None
    salary: float | None = None
    active: bool | None = None
    created: str | None = None


class ChangedPerson(BaseModel):
    age: int | None = None
    city: str | None = None
    salary: float | None = None


class ShownPerson(NewPerson):
    model_config = ConfigDict(from_attributes=True)
    id: int


class ShownOrder(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    person_id: int
    amount: float
    status: str
    created: str


class ShownPersonWithOrders(ShownPerson):
    orders: list[ShownOrder]


def get_session() -> Iterator[Session]:
    with make_session() as session:
        yield session


Database = Annotated[Session, Depends(get_session)]


def found(session: Session, id: int) -> Person:
    person = session.get(Person, id)
    if not person:
        raise HTTPException(404)
    return person


@app.get("/person/{id}", response_model=ShownPerson)
def show(id: int, session: Database) -> Person:
    return found(session, id)


@app.get("/person", response_model=list[ShownPerson])
def show_many(
    response: Response,
    session: Database,
    limit: int = 20,
    sort: str = "id",
    country: str | None = None,
    age__gte: int | None = None,
    total: bool = False,
) -> Sequence[Person]:
    query = select(Person)
    if country is not None:
        query = query.where(Person.country == country)
    if age__gte is not None:
        query = query.where(Person.age >= age__gte)
    if total:
        count = session.scalar(select(func.count()).select_from(query.subquery()))
        response.headers["X-Total-Count"] = str(count)
    return session.scalars(query.order_by(getattr(Person, sort), Person.id).limit(limit)).all()


@app.get("/person-with-orders", response_model=list[ShownPersonWithOrders])
def show_many_with_orders(session: Database, limit: int = 20) -> Sequence[Person]:
    query = select(Person).options(selectinload(Person.orders))
    return session.scalars(query.order_by(Person.id).limit(limit)).all()


@app.post("/person", response_model=ShownPerson, status_code=201)
def create(values: NewPerson, session: Database) -> Person:
    person = Person(**values.model_dump())
    session.add(person)
    session.commit()
    return person


@app.patch("/person/{id}", response_model=ShownPerson)
def update(id: int, values: ChangedPerson, session: Database) -> Person:
    person = found(session, id)
    for name, value in values.model_dump(exclude_unset=True).items():
        setattr(person, name, value)
    session.commit()
    return person
