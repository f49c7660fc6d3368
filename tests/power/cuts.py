"""The power cuts that could have happened to a server that was recorded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.power.check import look_into, texts_in_minirest
from tests.power.disk import Cut, Disk
from tests.power.recording import Recording


class Failure(NamedTuple):
    """A power cut that the database has not survived as it has to."""

    position: int
    way: Cut
    faults: set[str]


def cut_often(recording: Recording, folder: Path, cuts: int, opened_one_in: int) -> Iterator[Failure]:
    """Cut the power so often, half of the times right behind an answer, else anywhere from the first answer on.

    One in so many databases is opened by minirest before anybody else does. It has to serve what is there or refuse it
    with sqlite3.Error; any other error goes on to the caller.
    """
    random = Random(cuts)
    first = min(recording.sent)
    behind = [random.choice(recording.sent) + 1 for _ in range(cuts // 2)]
    anywhere = [random.randint(first, len(recording.records)) for _ in range(cuts - len(behind))]
    disk = Disk(recording.records)
    for number, position in enumerate(sorted(behind + anywhere)):
        disk.play(position)
        way = Cut.draw(random)
        database = make_files(folder, disk.cut(way, random))
        opened = number % opened_one_in == 0
        texts = texts_in_minirest(database) if opened else None
        found = look_into(database)
        faults = recording.promises.faults(found, position)
        if opened and found and texts != set(found.notes):
            faults.add("refused")
        if faults:
            yield Failure(position, way, faults)


def make_files(folder: Path, files: Mapping[str, bytes | bytearray]) -> Path:
    """Write the files of a database into a folder of their own; gives the path of the database."""
    shutil.rmtree(folder / "cut", ignore_errors=True)
    (folder / "cut").mkdir()
    for suffix, data in files.items():
        (folder / f"cut/x.db{suffix}").write_bytes(data)
    return folder / "cut/x.db"
