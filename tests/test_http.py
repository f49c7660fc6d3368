"""Section 10: requests and replies, apart from any server."""

import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minirest
from minirest import ApiError, Parameter, Reply, Request, Row

FORM = "application/x-www-form-urlencoded"
PLAIN_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
KEY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0[]"), max_size=8)
KEYS = st.tuples(KEY.filter(bool), st.lists(KEY, max_size=4)).map(lambda pair: (pair[0], *pair[1]))


def request(method: str = "GET", path: str = "/", query: str = "", *, body: bytes = b"", **headers: Any) -> Request:
    """Make a request; headers are given as WSGI names them."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost:8080",
        **headers,
    }
    return Request(environ, minirest.BodyLimits(1000))


def fault(error: ApiError) -> tuple[str, Mapping[str, object]]:
    """Return the code of an error and the parameters of its one violation."""
    (violation,) = error.violations
    assert violation.rule == error.code
    return error.code, dict(violation.params)


# ---- brackets ----


@given(KEYS)
def test_brackets_round_trip(keys: tuple[str, ...]) -> None:
    """What is written with brackets is read back, key by key."""
    assert minirest.parse_brackets(minirest.format_brackets(keys)) == keys


@given(st.text(st.sampled_from("ab[]$ä "), max_size=12))
def test_brackets_are_read_whole_or_refused(name: str) -> None:
    """A name that is read is spelled by its keys alone; every other one is named in the error."""
    depth = name.count("[")
    head, *rest = name.split("[")
    fits = bool(head) and "]" not in head and all(part.find("]") + 1 == len(part) > 0 for part in rest) and depth <= 4
    if fits:
        assert minirest.parse_brackets(name) == (head, *(part[:-1] for part in rest))
    else:
        with pytest.raises(ApiError) as caught:
            minirest.parse_brackets(name)
        assert fault(caught.value) == ("bad_brackets", {"name": name})


@pytest.mark.parametrize(
    "name",
    ["", "[x]", "a[b", "a]b", "a[b]c", "a[b]]", "a[[b]]", "a[b[c]]", "]", "[", "a[1][2][3][4][5]", "a[b] "],
)
def test_broken_brackets(name: str) -> None:
    """Broken brackets, no name before them, and more than four of them are refused by name."""
    with pytest.raises(ApiError) as caught:
        minirest.parse_brackets(name)
    assert fault(caught.value) == ("bad_brackets", {"name": name})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("a", ("a",)),
        ("a[]", ("a", "")),
        ("a[b][]", ("a", "b", "")),
        ("a[1][2][3][4]", ("a", "1", "2", "3", "4")),
        ("$page[count]", ("$page", "count")),
        (" a [ b ]", (" a ", " b ")),
        ("ä\n[ß]", ("ä\n", "ß")),
    ],
)
def test_brackets(name: str, keys: tuple[str, ...]) -> None:
    """Brackets cut a name into keys; nothing is trimmed."""
    assert minirest.parse_brackets(name) == keys


# ---- the query ----


@given(st.lists(st.tuples(KEYS, PLAIN_TEXT), max_size=5), st.booleans())
def test_query_round_trip(pairs: list[tuple[tuple[str, ...], str]], raw: bool) -> None:
    """Names and values come back as they were sent, by percent signs or as the raw bytes that WSGI hands over."""
    kept = "".join(map(chr, range(128, 256))) if raw else ""

    def write(text: str) -> str:
        letters = text.encode().decode("latin-1")
        return "".join(letter if letter in kept else quote(letter.encode("latin-1"), safe="") for letter in letters)

    text = "&".join(f"{write(minirest.format_brackets(keys))}={write(value)}" for keys, value in pairs)
    assert request(query=text).parameters == [Parameter(keys, value) for keys, value in pairs]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("&&", []),
        ("a", [(("a",), "")]),
        ("a=", [(("a",), "")]),
        ("a=b=c", [(("a",), "b=c")]),
        ("a=1&&a=2", [(("a",), "1"), (("a",), "2")]),
        ("a=x+y%2Bz", [(("a",), "x y+z")]),
        ("a;b=1", [(("a;b",), "1")]),
        ("a%5Bb%5D=%5B", [(("a", "b"), "[")]),
        ("a=100%", [(("a",), "100%")]),
        ("a=%zz", [(("a",), "%zz")]),
        ("a=%26%3D%23", [(("a",), "&=#")]),
        ("%F0%9F%98%80=%C3%9F", [(("😀",), "ß")]),
    ],
)
def test_query(text: str, expected: list[tuple[tuple[str, ...], str]]) -> None:
    """A query is read pair by pair, in order, nothing dropped."""
    assert minirest.parse_query(text) == [Parameter(*pair, bare=text == "a") for pair in expected]


@pytest.mark.parametrize(
    ("text", "code", "params"),
    [
        ("a=%FF", "bad_query", {"reason": "it is not valid UTF-8"}),
        ("%FF=1", "bad_query", {"reason": "it is not valid UTF-8"}),
        ("a=\xff", "bad_query", {"reason": "it is not valid UTF-8"}),
        ("a=%ED%A0%80", "bad_query", {"reason": "it is not valid UTF-8"}),
        ("a=%C0%AF", "bad_query", {"reason": "it is not valid UTF-8"}),
        ("a=%00", "bad_query", {"reason": "it holds the character NUL"}),
        ("a%00=1", "bad_query", {"reason": "it holds the character NUL"}),
        ("=1", "bad_brackets", {"name": ""}),
        ("a[b=1", "bad_brackets", {"name": "a[b"}),
        ("a%5Bb=1", "bad_brackets", {"name": "a[b"}),
    ],
)
def test_bad_query(text: str, code: str, params: dict[str, object]) -> None:
    """What is not text, and what has no name, is refused."""
    with pytest.raises(ApiError) as caught:
        _ = request(query=text).parameters
    assert fault(caught.value) == (code, params)


def test_number_of_parameters() -> None:
    """As many parameters as the limit says are read, one more is refused."""
    limit = minirest.MAX_PARAMETERS
    assert len(minirest.parse_query("&".join(["a=1"] * limit))) == limit
    with pytest.raises(ApiError) as caught:
        minirest.parse_query("&".join(["a=1"] * (limit + 1)))
    assert fault(caught.value) == ("too_many_parameters", {"limit": limit})


# ---- forms ----


def flatten(value: Any, keys: tuple[str, ...] = ()) -> list[Parameter]:
    """Spell a value as a form does."""
    if isinstance(value, str):
        return [Parameter(keys, value)]
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    return [part for key, inner in pairs for part in flatten(inner, (*keys, str(key)))]


NAME = st.text(st.sampled_from("abäZ_ $²٣"), min_size=1, max_size=3)
LEAF = st.text("x1 ", max_size=2)
NESTED = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, min_size=1, max_size=12) | st.dictionaries(NAME, inner, min_size=1, max_size=3),
    max_leaves=14,
)


@given(st.dictionaries(NAME, NESTED, max_size=3), st.randoms(use_true_random=False))
def test_forms_round_trip(value: dict[str, Any], random: Any) -> None:
    """A form spells texts, objects and lists; the order of its parameters says nothing about lists."""
    parameters = flatten(value)
    random.shuffle(parameters)
    assert minirest.nest_parameters(parameters) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1&a=2", {"a": "2"}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[1]=y&a[0]=x", {"a": ["x", "y"]}),
        ("a[10]=z&a[9]=y", {"a": ["y", "z"]}),
        ("a[1]=x&a[]=y", {"a": ["x", "y"]}),
        ("a[1][b]=x&a[]=y", {"a": [{"b": "x"}, "y"]}),
        ("a[b]=1&a[c][]=2", {"a": {"b": "1", "c": ["2"]}}),
        ("a[0]=x&a[b]=y", {"a": {"0": "x", "b": "y"}}),
        ("a[%C2%B2]=x", {"a": {"²": "x"}}),
        ("a[%D9%A3]=x", {"a": {"٣": "x"}}),
        (f"a[{'9' * 5000}]=x", None),
        ("a=1&a[b]=2", None),
        ("a[b]=2&a=1", None),
        ("a[b][c]=2&a[b]=1", None),
    ],
)
def test_forms(text: str, expected: Any) -> None:
    """Numbered keys are lists; a parameter that is both a text and an object is refused by name."""
    parameters = minirest.parse_query(text)
    if expected is not None:
        assert minirest.nest_parameters(parameters) == expected
    elif len(parameters) == 1:  # an absurd number is a key or an error, never a failure
        assert minirest.nest_parameters(parameters) in ({"a": ["x"]}, {"a": {"9" * 5000: "x"}})
    else:
        with pytest.raises(ApiError) as caught:
            minirest.nest_parameters(parameters)
        assert fault(caught.value) == ("bad_brackets", {"name": parameters[-1].name})


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.lists(st.sampled_from(["", "0", "1", "²", "a"]), min_size=1, max_size=4), LEAF), max_size=6)
)
def test_forms_never_fail(pairs: list[tuple[list[str], str]]) -> None:
    """Any mixture of keys gives a value that holds the last text, or an error that names a parameter."""
    parameters = [Parameter(("r", *keys), value) for keys, value in pairs]
    try:
        value = minirest.nest_parameters(parameters)
    except ApiError as error:
        value, found = None, fault(error)
    else:
        found = ("", {})
    names = {parameter.name for parameter in parameters}
    assert found == ("", {}) or found in [("bad_brackets", {"name": name}) for name in names]
    assert value is None or json.loads(json.dumps(value)) == value
    assert value is None or not pairs or pairs[-1][1] in json.dumps(value)


# ---- requests ----


@pytest.mark.parametrize(
    ("raw", "path"),
    [("", "/"), ("/", "/"), ("/kunden", "/kunden"), ("/caf\xc3\xa9", "/café"), ("/a b/%", "/a b/%")],
)
def test_path(raw: str, path: str) -> None:
    """A path is the text whose bytes WSGI hands over."""
    assert request(path=raw).path == path


@pytest.mark.parametrize("raw", ["/adm\xffin", "/a\0b", "/\xed\xa0\x80", "/Ā"])
def test_bad_path(raw: str) -> None:
    """A path that is no text is refused, not repaired."""
    with pytest.raises(ApiError) as caught:
        request(path=raw)
    assert (caught.value.code, caught.value.status) == ("bad_path", 400)


def test_headers_and_method() -> None:
    """Headers are found under their usual names; the method is in capitals."""
    asked = request("patch", HTTP_X_FOO_BAR="1", CONTENT_TYPE=" Application/JSON ; charset=utf-8")
    assert asked.method == "PATCH"
    assert asked.header("X-Foo-Bar") == asked.header("x-foo-bar") == "1"
    assert asked.header("X-None") is None
    assert asked.media_type == "application/json"
    assert asked.host == "localhost:8080"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (FORM, True),
        ("x-www-form-urlencoded", True),
        (f"{FORM}; charset=utf-8", True),
        (FORM.upper(), True),
        ("application/json", False),
        ("", False),
        ("multipart/form-data; boundary=x", False),
    ],
)
def test_is_form(kind: str, expected: bool) -> None:
    """A form is known by its media type, in the two spellings."""
    assert request(CONTENT_TYPE=kind).is_form is expected


def test_body_is_read_once() -> None:
    """The body is as long as its length says, and read once."""
    asked = request("POST", body=b'{"a": [1, 2.5, null, "\xc3\xa4"]}')
    assert asked.body is asked.body
    assert asked.read_body() == {"a": [1, 2.5, None, "ä"]}
    short = request("POST", body=b"123456", CONTENT_LENGTH="3")
    assert (short.body, short.read_body()) == (b"123", 123)
    assert request("POST", body=b"{}", CONTENT_LENGTH="").body == b""


def test_form_body() -> None:
    """A form is read like a query and nested."""
    asked = request("POST", body=b"data[name]=%C3%84+B&data[tags][]=x", CONTENT_TYPE=FORM)
    assert asked.read_body() == {"data": {"name": "Ä B", "tags": ["x"]}}


@pytest.mark.parametrize(
    ("body", "headers", "code", "params"),
    [
        (b"x" * 1001, {}, "too_large", {"limit": 1000}),
        (b"x", {"CONTENT_LENGTH": "999999999999"}, "too_large", {"limit": 1000}),
        (b"{}", {"CONTENT_LENGTH": "two"}, "bad_header", {"name": "Content-Length", "reason": "write a number"}),
        (b"{}", {"CONTENT_LENGTH": "-2"}, "bad_header", {"name": "Content-Length", "reason": "write a number"}),
        (b"{}", {"CONTENT_LENGTH": "+2"}, "bad_header", {"name": "Content-Length", "reason": "write a number"}),
        (b"{}", {"CONTENT_LENGTH": "0_2"}, "bad_header", {"name": "Content-Length", "reason": "write a number"}),
        (
            b"{}",
            {"HTTP_CONTENT_ENCODING": "gzip"},
            "media_type",
            {"value": "gzip", "allowed": "the body without Content-Encoding"},
        ),
    ],
)
def test_bad_length_or_encoding(body: bytes, headers: dict[str, str], code: str, params: dict[str, object]) -> None:
    """A body that is too long, has no proper length or is packed is refused before it is read."""
    asked = request("POST", body=body, **headers)
    with pytest.raises(ApiError) as caught:
        _ = asked.body
    assert fault(caught.value) == (code, params)
    assert asked.environ["wsgi.input"].tell() == 0


def test_longest_body() -> None:
    """A body of exactly the limit is read, and `identity` is no encoding."""
    assert len(request("POST", body=b"x" * 1000, HTTP_CONTENT_ENCODING="identity").body) == 1000


@pytest.mark.parametrize(
    ("body", "kind", "code", "params"),
    [
        (b"", "", "bad_json", {"reason": "Expecting value at character 0"}),
        (b'{"a":', "", "bad_json", {"reason": "Expecting value at character 5"}),
        (b"{} {}", "", "bad_json", {"reason": "Extra data at character 3"}),
        (b'{"a":1,"a":2}', "", "bad_body", {"reason": "the key 'a' stands twice in one object"}),
        (b"NaN", "", "bad_body", {"reason": "NaN is not JSON"}),
        (b"-Infinity", "", "bad_body", {"reason": "-Infinity is not JSON"}),
        (b"1e999", "", "bad_body", {"reason": "a number is too large"}),
        (b"9223372036854775808", "", "bad_body", {"reason": "a whole number has more than 64 bits"}),
        (b"1" * 999, "", "bad_body", {"reason": "a whole number has more than 64 bits"}),
        (b'"\\ud800"', "", "bad_body", {"reason": "a text holds half of a surrogate pair"}),
        (b'{"\\udc00":1}', "", "bad_body", {"reason": "a text holds half of a surrogate pair"}),
        (b'"\\u0000"', "", "bad_body", {"reason": "a text holds the character NUL"}),
        (b'"\xff"', "", "bad_body", {"reason": "it is not valid UTF-8"}),
        (b"[" * 65 + b"]" * 65, "", "bad_body", {"reason": "it nests deeper than 64"}),
        (b"[" * 100_000, "", "bad_body", {"reason": "it nests deeper than 64"}),
        (b"a=\xc3\xa4", FORM, "bad_body", {"reason": "a form is ASCII with percent signs"}),
        (b"a=%FF", FORM, "bad_body", {"reason": "it is not valid UTF-8"}),
        (b"a[b=1", FORM, "bad_brackets", {"name": "a[b"}),
        (b"&".join([b"a=1"] * 257), FORM, "too_many_parameters", {"limit": 256}),
    ],
)
def test_bad_body(body: bytes, kind: str, code: str, params: dict[str, object]) -> None:
    """A body that is not what its type says is refused with the reason."""
    asked = Request(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": kind,
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
    )
    with pytest.raises(ApiError) as caught:
        asked.read_body()
    assert fault(caught.value) == (code, params)


def test_deepest_body() -> None:
    """A body as deep as the limit is read, and so are the ends of 64 bits."""
    deep: Any = json.loads("[" * 64 + "]" * 64)
    assert request("POST", body=json.dumps(deep).encode()).read_body() == deep
    numbers = [2**63 - 1, -(2**63), 1.7976931348623157e308]
    assert request("POST", body=json.dumps(numbers).encode()).read_body() == numbers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"HTTP_ORIGIN": "http://localhost:8080"}, None),
        ({"HTTP_ORIGIN": "https://localhost:8080"}, None),  # behind a proxy that speaks TLS
        ({"HTTP_ORIGIN": "http://localhost"}, "http://localhost"),
        ({"HTTP_ORIGIN": "http://localhost:8080.evil.example"}, "http://localhost:8080.evil.example"),
        ({"HTTP_ORIGIN": "null"}, "null"),
        ({"HTTP_ORIGIN": "null", "HTTP_HOST": ""}, "null"),
        ({"HTTP_ORIGIN": "http://evil.example", "HTTP_HOST": ""}, "http://evil.example"),
        ({"HTTP_SEC_FETCH_SITE": "cross-site"}, "null"),
        ({"HTTP_SEC_FETCH_SITE": "same-site"}, "null"),
        ({"HTTP_SEC_FETCH_SITE": "same-origin"}, None),
        ({"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_ORIGIN": "https://localhost:8080"}, None),  # behind a proxy
        ({"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_ORIGIN": "http://a.localhost"}, "http://a.localhost"),
        ({"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_ORIGIN": "http://localhost:8080"}, "http://localhost:8080"),
    ],
)
def test_origin(headers: dict[str, Any], expected: str | None) -> None:
    """The origin is told where it is not our own."""
    assert request(**headers).origin == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("*", None),
        (" * ", None),
        ('"7-0123456789abcdef"', 7),
        (' "12-a" ', 12),
    ],
)
def test_expected_version(value: str | None, expected: int | None) -> None:
    """The version that a caller saw stands in its tag."""
    headers: dict[str, Any] = {} if value is None else {"HTTP_IF_MATCH": value}
    assert request(**headers).expected_version == expected


@pytest.mark.parametrize(
    "value", ['"x"', "7", 'W/"7-ab"', '"7-ab", "8-ab"', '"7-AB"', '"-7-ab"', '"٣-ab"', f'"{"9" * 19}-ab"', '"7-"']
)
def test_foreign_tag(value: str) -> None:
    """A tag that is not ours cannot match."""
    with pytest.raises(ApiError) as caught:
        _ = request(HTTP_IF_MATCH=value).expected_version
    assert (caught.value.code, caught.value.status) == ("precondition", 412)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", True), ("application/json", False), ("*/*", False)],
)
def test_wants_html(accept: str, expected: bool) -> None:
    """A browser asks for HTML by name."""
    assert request(HTTP_ACCEPT=accept).wants_html() is expected
    assert request().wants_html() is False


# ---- replies ----

RECORD = Row(3, 7, None, '{"a":1}')


def test_json_reply() -> None:
    """A reply is status, bytes, headers and the type of JSON."""
    assert minirest.json_reply('"ä"', 201, (("Location", "/x"),)) == Reply(
        201, b'"\xc3\xa4"', (("Location", "/x"),), "application/json; charset=utf-8"
    )


def test_tag() -> None:
    """A record's tag holds its version, differs for another body, and is the version that `If-Match` gives back."""
    replies = [minirest.record_reply(RECORD, text) for text in ("a", "b", "a")]
    tags = [dict(reply.headers)["ETag"] for reply in replies]
    assert tags[0] == tags[2] != tags[1]
    assert replies[0] == Reply(200, b"a", (("ETag", tags[0]),))
    assert request(HTTP_IF_MATCH=tags[0]).expected_version == 7
    assert dict(minirest.record_reply(RECORD._replace(version=8), "a").headers)["ETag"] != tags[0]


@pytest.mark.parametrize(
    ("method", "known", "status", "fresh"),
    [
        ("GET", "{}", 200, True),
        ("HEAD", "{}", 200, True),
        ("GET", "*", 200, True),
        ("GET", "W/{}", 200, True),
        ("GET", '"x", {} , "y"', 200, True),
        ("GET", '"x"', 200, False),
        ("GET", "", 200, False),
        ("PATCH", "{}", 200, False),
        ("POST", "*", 201, False),
    ],
)
def test_conditional_reply(method: str, known: str, status: int, fresh: bool) -> None:
    """A reader who has the tag gets 304 without a body; a writer gets the whole answer."""
    tag = dict(minirest.record_reply(RECORD, "a").headers)["ETag"]
    asked = request(method, HTTP_IF_NONE_MATCH=known.format(tag))
    reply = minirest.unless_known(asked, minirest.record_reply(RECORD, "a", status, (("X", "y"),)))
    assert reply == Reply(304 if fresh else status, b"" if fresh else b"a", (("ETag", tag), ("X", "y")))


# ---- addresses ----

RULES = "/<a> /<a>/<b> /<a>/<rest:path> /x/<rest:path> /x /x/y /x/<b> /x/y<b>/z".split()


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/", None),
        ("/w", "/<a>"),
        ("/w/y", "/<a>/<b>"),
        ("/w/y/z", "/<a>/<rest:path>"),
        ("/x", "/x"),
        ("/xx", "/<a>"),
        ("/x/y", "/x/y"),
        ("/x/w", "/x/<b>"),
        ("/x/yy", "/x/<b>"),
        ("/x/yy/z", "/x/y<b>/z"),
        ("/x/yy/w", "/x/<rest:path>"),
        ("/x/", "/<a>/"),
    ],
)
def test_most_specific_address_goes_first(path: str, rule: str | None, order: int) -> None:
    """The longest fixed beginning whose rules fit counts, the rest of a path last, in whatever order they stand."""
    routes = [minirest.Route(("GET",), rule, lambda _: Reply(200)) for rule in ("/<a>/", *RULES)]
    found = minirest.match_route(minirest.Addresses(routes[::order]), "GET", path)
    assert (found and found[0].rule) == rule


def test_other_method_of_a_shorter_beginning() -> None:
    """A more specific rule without the method leaves the address to the others; HEAD is found as GET."""
    kinds = {"/x/<b>": ("GET",), "/<a>/<b>": ("GET", "POST")}
    addresses = minirest.Addresses([minirest.Route(kinds[rule], rule, lambda _: Reply(200)) for rule in kinds])
    found = [minirest.match_route(addresses, method, "/x/1") for method in ("GET", "HEAD", "POST", "PUT")]
    assert [route and (route[0].rule, route[1]) for route in found] == [
        ("/x/<b>", {"b": "1"}),
        ("/x/<b>", {"b": "1"}),
        ("/<a>/<b>", {"a": "x", "b": "1"}),
        None,
    ]
