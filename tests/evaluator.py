"""What filters, orders, pages, scopes and shapes mean, in plain Python: slow, obvious, and apart from the compiler.

A record is a dict from column names to JSON values (dates as stored text, own links as ids under the name of their
column); a link's row is a record of its through table. True, False and None are SQL's true, false and unknown.
"""

import datetime
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import minirest
from minirest import And, Compare, Filter, Link, Not, Or, Path, Some

Record = dict[str, Any]
Data = dict[str, list[Record]]
Truth = bool | None
PARTS = {"year": (0, 4), "month": (5, 7), "day": (8, 10), "hour": (11, 13), "minute": (14, 16), "second": (17, 19)}
ASCII = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class Spot(NamedTuple):
    """A record and the link's row that led to it; None where there is none, so that everything there is null."""

    record: Record | None = None
    row: Record | None = None


Choice = dict[tuple[Link, ...], Spot]


def follow(data: Data, link: Link, spot: Spot) -> list[Spot]:
    """The linked records in the order of the link: of adding, or by id on the other side."""
    near = spot.row if spot.row is not None and spot.row["#table"] is link.source else spot.record
    if near is None:
        return []
    targets = by_id(data[link.target.name])
    if link.key:
        return [Spot(target) for target in targets if target["id"] == near[link.key.name]]
    if link.back and link.back.key:
        return [Spot(target) for target in targets if target[link.back.key.name] == near["id"]]
    assert link.through
    assert link.near
    assert link.far
    rows = [row for row in by_id(data[link.through.name]) if row[link.near.name] == near["id"]]
    pairs = [Spot(target, row) for row in rows for target in targets if target["id"] == row[link.far.name]]
    return pairs if link.forward else sorted(pairs, key=lambda pair: pair.record["id"] if pair.record else 0)


def by_id(records: Iterable[Record]) -> list[Record]:
    return sorted(records, key=lambda record: int(record["id"]))


def value_at(path: Path, spot: Spot) -> Any:
    """The plain value of a path's field at a spot: a number, a text, a list, or None."""
    field = path.field
    assert field
    record = spot.row if spot.row is not None and spot.row["#table"] is field.table else spot.record
    value = record[field.name] if record is not None else None
    if value is None or not path.within:
        return value
    if field.kind.is_date and path.within == ("week_day",):
        return datetime.date.fromisoformat(value[:10]).isoweekday() % 7 + 1
    if field.kind.is_date:
        start, end = PARTS[path.within[0]]
        return int(value[start:end] or 0)
    for key in path.within:
        value = value.get(key) if isinstance(value, dict) else None
    return dump(value) if isinstance(value, dict | list) else int(value) if isinstance(value, bool) else value


def dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---- filters ----


def truth(data: Data, where: Filter, spot: Spot, choice: Choice) -> Truth:
    """What a filter says of a record, the linked records being chosen."""
    match where:
        case Compare(path) if path.links and path.links not in choice:
            return some(data, where, spot)
        case Compare(path):
            return compare(where, value_at(path, choice[path.links] if path.links else spot))
        case And(parts):
            found = [truth(data, part, spot, choice) for part in parts]
            return False if False in found else None if None in found else True
        case Or(parts):
            found = [truth(data, part, spot, choice) for part in parts]
            return True if True in found else None if None in found else False
        case Not(part):
            inner = truth(data, part, spot, choice)
            return None if inner is None else not inner
        case Some(part):
            return some(data, part, spot)


def some(data: Data, where: Filter, spot: Spot) -> bool:
    """Whether any choice of linked records makes the filter true."""
    links = {links[: n + 1] for links in chosen(where) for n in range(len(links))}
    return any(truth(data, where, spot, choice) is True for choice in choices(data, sorted(links, key=len), spot))


def chosen(where: Filter) -> Iterator[tuple[Link, ...]]:
    """The links that one `Some` chooses for: those of an inner one are its own."""
    match where:
        case Compare(path):
            yield path.links
        case And(parts) | Or(parts):
            yield from itertools.chain.from_iterable(map(chosen, parts))
        case Not(part):
            yield from chosen(part)


def choices(data: Data, links: Sequence[tuple[Link, ...]], spot: Spot) -> Iterator[Choice]:
    """Every choice of one linked record for each link; no record is one choice, of nulls."""
    if not links:
        yield {}
        return
    *before, last = links
    for choice in choices(data, before, spot):
        start = choice[last[:-1]] if len(last) > 1 else spot
        for linked in follow(data, last[-1], start) or [Spot()]:
            yield {**choice, last: linked}


def compare(where: Compare, value: Any) -> Truth:
    """One comparison with a plain value."""
    path, op, operand = where.path, where.op, where.value
    assert path.field
    if op == "null":
        return value is None
    if op == "empty":
        nothing: Any = [] if path.field.kind.name in ("list", "choices") else ""
        return value is None or value == nothing
    if op == "any":
        return value is not None and any(item in items(operand) for item in value if item is not None)
    if value is None:
        return None
    if isinstance(operand, minirest.Span):
        moment = value + "T00:00:00.000Z" if path.field.kind.name == "date" else value
        return SPANS[op](moment, operand.start, operand.end)
    if op == "in":
        return any(rank(value) == rank(item) for item in items(operand))
    if op == "same":
        return set(value) == set(items(operand))
    if op in TEXTS:
        found = [item for item in value if item is not None] if isinstance(value, list) else [value]
        return any(TEXTS[op](*in_case(str(item), str(operand), where.case)) for item in found)
    if isinstance(value, str) and isinstance(operand, str):
        return ORDERS[op](*in_case(value, operand, where.case))
    return ORDERS[op](rank(value), rank(operand))


def items(operand: Any) -> Sequence[Any]:
    return operand if isinstance(operand, tuple) else (operand,)


def rank(value: Any) -> tuple[int, Any]:
    """SQLite's order of values of different kinds: numbers before texts."""
    return (1, value) if isinstance(value, str) else (0, value)


def in_case(text: str, operand: str, case: str) -> tuple[str, str]:
    """Both texts as they are compared. Folding with an ASCII operand folds ASCII letters only."""
    if case == "exact":
        return text, operand
    if case == "ascii" or operand.isascii():
        return text.translate(ASCII), operand.translate(ASCII)
    return text.lower(), operand.lower()


def like(text: str, pattern: str) -> bool:
    wild = {"%": ".*", "_": "."}
    expression = "".join(wild.get(letter, re.escape(letter)) for letter in pattern.translate(ASCII))
    return re.fullmatch(expression, text.translate(ASCII), re.DOTALL) is not None


TEXTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startswith": lambda text, part: text.startswith(part),
    "endswith": lambda text, part: text.endswith(part),
    "like": like,
}
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda x, y: bool(x == y),
    "lt": lambda x, y: bool(x < y),
    "lte": lambda x, y: bool(x <= y),
    "gt": lambda x, y: bool(x > y),
    "gte": lambda x, y: bool(x >= y),
}
SPANS: dict[str, Callable[[str, str, str], bool]] = {
    "eq": lambda x, start, end: start <= x < end,
    "lt": lambda x, start, end: x < start,
    "lte": lambda x, start, end: x < end,
    "gt": lambda x, start, end: x >= end,
    "gte": lambda x, start, end: x >= start,
}


# ---- lists ----


def select(data: Data, op: minirest.Select) -> list[Spot]:
    """The records of a Select in their order, its page aside."""
    if op.parent:
        key = op.parent.key
        parents = [record for record in data[op.parent.link.source.name] if record[key.field.name] == key.value]
        spots = follow(data, op.parent.link, Spot(parents[0]))
    else:
        spots = [Spot(record) for record in by_id(data[op.table.name])]
    spots = [spot for spot in spots if in_scope(op, spot) and truth(data, op.where, spot, {}) is True]
    default = [minirest.Sort(Path((), op.table.sort.field))] if op.table.sort and not op.parent else []
    if op.sort:
        spots.sort(key=lambda spot: spot.record["id"] if spot.record else 0)
    return ordered(data, spots, op.sort or default)


def in_scope(op: minirest.Select, spot: Spot) -> bool:
    """Whether a record is in the scope of a Select; the validity holds for its link's row too."""
    wanted = {"no": 0, "only": 1, "trash": 2}.get(op.scope.archived)
    if spot.record and op.table.archive and wanted is not None and spot.record["_status"] != wanted:
        return False
    for record in (spot.record, spot.row):
        if record is None or not record["#table"].validity:
            continue
        first, last = (record[end.name] for end in record["#table"].validity)
        match op.scope.validity:
            case minirest.On(day):
                valid = (not first or first <= day) and (not last or day <= last)
            case minirest.From(day):
                valid = not last or last >= day
            case minirest.To(day):
                valid = not first or first <= day
            case _:
                valid = True
        if not valid:
            return False
    return True


def ordered(data: Data, spots: Sequence[Spot], terms: Sequence[minirest.Sort | minirest.Matching]) -> list[Spot]:
    """Records in an order; what is equal in all terms stays as it was."""
    result = list(spots)
    for term in reversed(terms):
        if isinstance(term, minirest.Matching):
            where = term.where
            result.sort(key=lambda spot, where=where: truth(data, where, spot, {}) is not True)  # type: ignore[misc]
            continue
        pairs = [(sort_value(data, term, spot), spot) for spot in result]
        nulls = [spot for value, spot in pairs if value is None]
        others = sorted((pair for pair in pairs if pair[0] is not None), key=lambda p: rank(p[0]), reverse=term.down)
        found = [spot for _, spot in others]
        result = nulls + found if term.nulls == "first" else found + nulls
    return result


def sort_value(data: Data, term: minirest.Sort, spot: Spot) -> Any:
    """The value that a term orders by; text in ASCII's case where it asks for it."""
    value = reach(data, term.path, spot)
    field = term.path.field
    if value is not None and field and not term.path.within and field.kind.name in ("json", "list", "choices"):
        return dump(value)
    folds = term.case == "ascii" and field is not None and field.kind.is_text
    return value.translate(ASCII) if folds and isinstance(value, str) else value


def reach(data: Data, path: Path, spot: Spot) -> Any:
    """The value at the end of a path: of several linked records the first one's, of a link their number."""
    for link in path.links if path.field else path.links[:-1]:
        spot = next(iter(follow(data, link, spot)), Spot())
    if path.field is None:
        return len(follow(data, path.links[-1], spot)) if spot.record else None
    return value_at(path, spot)


# ---- shapes ----


def show(data: Data, shape: minirest.Shape, spot: Spot) -> Any:
    """The JSON value of a shape, in the plain style."""
    match shape:
        case minirest.Col(path):
            return reach(data, path, spot)
        case minirest.Const(value):
            return value
        case minirest.Text(parts):
            shown = [part if isinstance(part, str) else show(data, part, spot) for part in parts]
            return None if None in shown else "".join(map(str, shown))
        case minirest.First(parts):
            return next((value for part in parts if (value := show(data, part, spot)) is not None), None)
        case minirest.Obj(pairs):
            return {key: show(data, part, spot) for key, part in pairs}
        case minirest.Arr(items):
            return [show(data, item, spot) for item in items]
        case minirest.Sub(link, inner, many, sort):
            linked = follow(data, link, spot)
            shown = [show(data, inner, near) for near in ordered(data, linked, sort)]
            return shown if many else next(iter(shown), None)
