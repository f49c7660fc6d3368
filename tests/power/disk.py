"""What a power cut leaves of files: records of `recorder.c`, played back on a disk that keeps only what was synced."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

HEADER = struct.Struct("=BBxxIq")
FOLDER, DATABASE, WAL, JOURNAL = 1, 2, 3, 4
SUFFIXES = {DATABASE: "", WAL: "-wal", JOURNAL: "-journal"}
WHOLE = 1 << 62


class Record(NamedTuple):
    """One operation; what `number` means depends on its kind, see `recorder.c`."""

    kind: str
    file: int
    number: int
    data: bytes


class Change(NamedTuple):
    """What a file is not sure to have yet: data at an offset, or a new size where there is no data."""

    position: int
    offset: int
    data: bytes | None

    def parts(self, unit: int) -> Iterator[Change]:
        """The parts that a disk may write one by one: they end where a unit of the file does."""
        data, start = self.data, 0
        if data is None:
            yield self
            return
        while start < len(data):
            end = min(len(data), start + unit - (self.offset + start) % unit)
            yield Change(self.position, self.offset + start, data[start:end])
            start = end

    def apply(self, image: bytearray) -> None:
        """Do it; a gap before it is filled with zeros."""
        end = self.offset + len(self.data or b"")
        image.extend(bytes(max(0, end - len(image))))
        if self.data is None:
            del image[self.offset :]
        else:
            image[self.offset : end] = self.data


class File:
    """One file: what is on the disk for sure, and the changes since, in their order."""

    def __init__(self) -> None:
        self.durable = bytearray()
        self.pending: list[Change] = []

    def sync(self, covered: int) -> None:
        """Everything before a record is on the disk now."""
        done = [change for change in self.pending if change.position < covered]
        self.pending = self.pending[len(done) :]
        for change in done:
            change.apply(self.durable)


class Cut(NamedTuple):
    """How the disk treats the changes that nobody has synced."""

    kept: float
    """Which share of the parts gets onto the disk, on average."""
    unit: int
    """The size of a part: a sector, a page, or all that one call has written."""
    is_shuffled: bool
    """Whether the parts get there in any order."""

    @classmethod
    def draw(cls, random: Random) -> Cut:
        """One of the many ways."""
        return cls(random.choice((0, 0.1, 0.5, 0.9, 1)), random.choice((512, 4096, WHOLE)), random.random() < 0.5)

    def image(self, file: File, random: Random) -> bytearray:
        """What there is of a file after the cut."""
        parts = [part for change in file.pending for part in change.parts(self.unit) if random.random() < self.kept]
        if self.is_shuffled:
            random.shuffle(parts)
        image = bytearray(file.durable)
        for part in parts:
            part.apply(image)
        return image


class Disk:
    """The files of a database, as far as the records have been played back.

    A file that is made or unlinked is there, or gone, for sure when its folder has been synced. Until then a cut leaves
    any number of these changes of the folder undone, but the last ones: file systems keep their order.
    """

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = records
        self.position = 0
        self.files: dict[int, File] = {}
        self.durable: dict[int, File] = {}
        self.moves: list[tuple[int, int, File | None]] = []

    def play(self, end: int) -> None:
        """Play the records before a position back."""
        while self.position < end:
            self.take(self.records[self.position])
            self.position += 1

    def take(self, record: Record) -> None:
        """Play one record back."""
        kind, file = record.kind, record.file
        if kind == "C":
            self.files[file] = File()
            self.moves.append((self.position, file, self.files[file]))
        elif kind == "U":
            del self.files[file]
            self.moves.append((self.position, file, None))
        elif kind == "W":
            self.files[file].pending.append(Change(self.position, record.number, record.data))
        elif kind == "T":
            self.files[file].pending.append(Change(self.position, record.number, None))
        elif kind == "S" and file == FOLDER:
            self.sync_folder(record.number)
        elif kind == "S":
            self.files[file].sync(record.number)

    def sync_folder(self, covered: int) -> None:
        """The files that were made before a record are there for sure, those that were unlinked are gone."""
        done = [move for move in self.moves if move[0] < covered]
        self.moves = self.moves[len(done) :]
        self.durable = moved(self.durable, done)

    def cut(self, way: Cut, random: Random) -> dict[str, bytearray]:
        """What a power cut now leaves, by the ends of the files' names."""
        files = moved(self.durable, self.moves[: random.randint(0, len(self.moves))])
        return {SUFFIXES[number]: way.image(file, random) for number, file in files.items()}

    def whole(self) -> dict[str, bytearray]:
        """What the program itself sees, by the ends of the files' names."""
        way = Cut(1, WHOLE, is_shuffled=False)
        return {SUFFIXES[number]: way.image(file, Random(0)) for number, file in self.files.items()}


def moved(files: dict[int, File], moves: Sequence[tuple[int, int, File | None]]) -> dict[int, File]:
    """The files of a folder after some of them were made or unlinked."""
    after: dict[int, File | None] = {**files}
    after.update((number, file) for _, number, file in moves)
    return {number: file for number, file in after.items() if file}


def read_records(path: Path) -> list[Record]:
    """The records of a file, in the order in which they were made."""
    data, start, records = memoryview(path.read_bytes()), 0, []
    while start < len(data):
        kind, file, size, number = HEADER.unpack_from(data, start)
        start += HEADER.size
        records.append(Record(chr(kind), file, number, bytes(data[start : start + size])))
        start += size
    return records
