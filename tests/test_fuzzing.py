"""The parsers of what comes from outside take any bytes: those of a fuzzer that watches them, and those once found."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import PARSERS, SEEDS, check

ROOT = Path(__file__).resolve().parents[1]
RUNS = 2500
PROGRAM = """
import sys
import atheris
with atheris.instrument_imports(include=["minirest"]):
    import minirest
from tests.fuzz import main
main(*sys.argv[1:])
"""
FOUND: dict[str, tuple[bytes, ...]] = {
    "brackets": (
        b"a[=1",
        b"%ed%a0%80",
        b"[]=",
        b"a[b]=1&a=2",
        b"a[]=1&a[b]=2",
        b"=",
        b"&&",
        b"a[0]=1&a[00]=2",
        b"+[+]=+",
    ),
    "json": (b'"\\ud800"', b"1e400", b"-0", b"[" * 3000, b"9" * 5000, b"\xef\xbb\xbf1", b'{"":{"":0}}', b"1E5", b"NaN"),
    "filter": (
        b'{"$not":[[]]}',
        b'{"data.":1}',
        b'{"$and":{}}',
        b'{"boss":{"$exists":1}}',
        b'{"day":{"$dateOn":"0001"}}',
    ),
    "limbas": (b"$page[]=1", b"$sort=-", b"count=!=", b"day=KW 99.9999", b"$fields=,", b"items[]=1", b"$validity=0000"),
    "coredata": (b"__=1", b"name__=1", b"id__in=,", b"order_by=-", b"at__range=,", b"data__year=1", b"day__year=99999"),
    "platform": (b"where.=1", b"where..=1", b"only=", b"from=-", b"sortBy=-", b"where.data.=[", b"from=" + b"9" * 30),
    "qore": (b"search_columns=1", b"search_columns[day]=0000", b"per_page=+", b"page=9999999999999999999", b"tab[]="),
    "headers": (b"Basic \xff", b"Bearer |", b"apikey :", b"bytes=-", b'"-', b"=;=", b"W/", b"[::1", b"basic", b","),
    "multipart": (
        b"",
        b"---x",
        b"---x--",
        b"---x\r\n\r\n\r\n",
        b"---x\r\nContent-Disposition: form-data; name=\r\n\r\n",
    ),
    "values": (
        b"",
        b"\0",
        b"0000-00-00",
        b"9999-12-31T23:59:60Z",
        b"W53",
        b"inf",
        b"1_0",
        b"\xd9\xa3",
        b"//",
        b"24:00",
    ),
}
"""What a parser has stumbled over or could, kept for good."""


def test_every_parser_has_its_texts() -> None:
    assert PARSERS.keys() == SEEDS.keys() == FOUND.keys()


@pytest.mark.parametrize("parser", PARSERS)
def test_texts_that_were_found(parser: str) -> None:
    for data in (*SEEDS[parser], *FOUND[parser]):
        check(parser, data)


@pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed: pip install atheris")
def test_fuzzer(tmp_path: Path) -> None:
    """No text makes a parser fail, in some thousand runs each, the same at every time."""
    for parser, texts in SEEDS.items():
        folder = tmp_path / parser
        folder.mkdir()
        for number, text in enumerate((*texts, *FOUND[parser])):
            (folder / str(number)).write_bytes(text)
    command = [sys.executable, "-c", PROGRAM, str(RUNS), str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-6000:]
