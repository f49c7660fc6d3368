"""The shape of minirest.py: its sections, their order and sizes, and what an import of it does."""

import ast
import doctest
import inspect
import json
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import minirest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = (ROOT / "minirest.py").read_text(encoding="utf-8")
TREE = ast.parse(SOURCE)
LAZY = ("bottle", "waitress", "wsproto", "jsonschema_rs")
RULE = "# " + "=" * 118

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


# ---- reading the file ----


class Section(NamedTuple):
    """One section: its number and name, its first line, the line after its last one, the comment of its banner."""

    number: int
    name: str
    start: int
    end: int
    comment: list[str]


def sections(source: str) -> list[Section]:
    """Return the sections that the banners open; a banner is `# N  Name` below a rule of =, up to the next rule."""
    lines = source.splitlines()
    rules = [number for number, line in enumerate(lines, 1) if line == RULE]
    found = []
    for opening, closing in zip(rules[::2], rules[1::2], strict=True):
        title = re.fullmatch(r"# (\d+)  (\S.*)", lines[opening])
        assert title, f"line {opening + 1}: no title below the rule: {lines[opening]!r}"
        comment = [line[2:] for line in lines[opening + 1 : closing - 1] if line != "#"]
        found.append(Section(int(title[1]), title[2], opening, 0, comment))
    ends = [section.start for section in found[1:]] + [len(lines) + 1]
    return [section._replace(end=end) for section, end in zip(found, ends, strict=True)]


def names_of_target(node: ast.AST) -> Iterator[str]:
    """Yield the names that one node binds by itself."""
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in aliases)


def bound(nodes: list[ast.AST]) -> set[str]:
    """Return the names that statements bind in their own scope."""
    names: set[str] = set()
    for node in nodes:
        names.update(names_of_target(node))
        if isinstance(node, COMPREHENSIONS):
            inner = [item.target for item in ast.walk(node) if isinstance(item, ast.NamedExpr)]
            names |= bound(list(inner))
        elif not isinstance(node, NESTED):
            names |= bound(list(ast.iter_child_nodes(node)))
    return names


def arguments_of(node: FunctionNode | ast.Lambda) -> list[ast.arg]:
    """Return all parameters of a function."""
    given = node.args
    rest = [arg for arg in (given.vararg, given.kwarg) if arg]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *rest]


def is_type_checking(node: ast.AST) -> bool:
    """Tell whether a node is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


class References(ast.NodeVisitor):
    """Collects the module's names that code uses, with lines; annotations and local names are left out."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []
        self.scopes: list[tuple[bool, set[str]]] = []

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load) and not any(node.id in names for _, names in self.scopes):
            self.found.append((node.id, node.lineno))

    def visit_If(self, node: ast.If) -> None:
        if not is_type_checking(node):
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value:
            self.visit(node.value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self.visit_all([*node.decorator_list, *node.bases, *node.keywords])
        self.inside(True, bound(list(node.body)), list(node.body))

    def visit_FunctionDef(self, node: FunctionNode) -> None:
        self.visit_all(list(node.decorator_list))
        self.function(node, list(node.body))

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast calls it so

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.function(node, [node.body])

    def function(self, node: FunctionNode | ast.Lambda, body: list[ast.AST]) -> None:
        """Visit a function: defaults outside it, the body inside, where names of a class are out of sight."""
        self.visit_all([default for default in (*node.args.defaults, *node.args.kw_defaults) if default])
        kept, self.scopes = self.scopes, [scope for scope in self.scopes if not scope[0]]
        self.inside(False, {arg.arg for arg in arguments_of(node)} | bound(body), body)
        self.scopes = kept

    def visit_comprehension_node(self, node: Comprehension) -> None:
        """Visit a comprehension, whose targets are local to it."""
        targets: list[ast.AST] = [generator.target for generator in node.generators]
        self.inside(False, bound(targets), list(ast.iter_child_nodes(node)))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = (  # noqa: N815 - ast calls them so
        visit_comprehension_node
    )

    def inside(self, is_class: bool, names: set[str], body: list[ast.AST]) -> None:
        """Visit the body of a scope that binds some names."""
        self.scopes.append((is_class, names))
        self.visit_all(body)
        self.scopes.pop()

    def visit_all(self, nodes: list[ast.AST]) -> None:
        """Visit nodes in order."""
        for node in nodes:
            self.visit(node)


def definitions(tree: ast.Module) -> dict[str, int]:
    """Return the module's names with the line where each is bound first."""
    found: dict[str, int] = {}
    for statement in tree.body:
        for name in bound([statement]):
            found.setdefault(name, statement.lineno)
    return found


def forward_references(source: str) -> list[str]:
    """Return a line for each use of a name that a later section defines."""
    tree, parts = ast.parse(source), sections(source)

    def section_at(line: int) -> Section:
        header = Section(0, "header", 1, 0, [])
        return next((section for section in reversed(parts) if section.start <= line), header)

    homes = {name: section_at(line) for name, line in definitions(tree).items()}
    visitor = References()
    visitor.visit(tree)
    return [
        f"line {line}: section {section_at(line).number} uses {name!r} of section {homes[name].number}"
        for name, line in visitor.found
        if name in homes and homes[name].number > section_at(line).number
    ]


def functions() -> list[FunctionNode]:
    """Return all functions and methods, nested ones too."""
    return [node for node in ast.walk(TREE) if isinstance(node, FunctionNode)]


def size(node: FunctionNode) -> int:
    """Return the number of lines of a function, without its decorators."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


# ---- sections ----


def test_map_is_the_banners() -> None:
    """The map in the module's docstring lists the sections as their banners do, numbered 1, 2, 3, ..."""
    rows = re.findall(r"^ ?(\d+)  (\S.*?)  +\S.*$", ast.get_docstring(TREE, clean=False) or "", re.MULTILINE)
    banners = [(section.number, section.name) for section in sections(SOURCE)]
    assert [(int(number), name) for number, name in rows] == banners
    assert [number for number, _ in banners] == list(range(1, len(banners) + 1))


def test_banners_say_what_lives_there() -> None:
    """A banner has 3 to 8 lines of comment: its title and what lives in the section."""
    bad = {section.name: 1 + len(section.comment) for section in sections(SOURCE) if not 2 <= len(section.comment) <= 7}
    assert bad == {}


def test_sections_are_no_longer_than_900_lines() -> None:
    """A section reads alone: none is above 900 lines. The sizes are printed."""
    sizes = {f"{section.number:2} {section.name}": section.end - section.start for section in sections(SOURCE)}
    print(*(f"{name:<20} {lines:5}" for name, lines in sizes.items()), sep="\n")
    assert {name: lines for name, lines in sizes.items() if lines > 900} == {}


def test_sections_use_only_earlier_ones() -> None:
    """No code refers to a name of a later section; annotations may."""
    assert forward_references(SOURCE) == []


def two_sections(first: str, second: str) -> str:
    """Return a source with two sections; the code of the first begins in line 6."""
    return "\n".join(
        f"{RULE}\n# {number}  Part\n#\n# What it holds.\n{RULE}\n{code}" for number, code in ((1, first), (2, second))
    )


@pytest.mark.parametrize(
    ("first", "line"),
    [
        ("x = later", 6),
        ("def f():\n    return later()", 7),
        ("def f(x=later): ...", 6),
        ("class A(later): ...", 6),
        ("class A:\n    later = 1\n    def f(self):\n        return later", 9),
        ("@later\ndef f(): ...", 6),
        ("x = [y for y in later]", 6),
        ("x = lambda: later", 6),
        ("def f(x):\n    match x:\n        case later(): ...", 8),
        ("def f(x):\n    y: later = later", 7),
        ("def f():\n    def g():\n        return later", 8),
        ("x = [(lambda: later) for earlier in ()]", 6),
    ],
)
def test_order_is_seen(first: str, line: int) -> None:
    """The reader of references sees a use in every place and names its line."""
    problem = f"line {line}: section 1 uses 'later' of section 2"
    assert forward_references(two_sections(first, "def later(): ...")) == [problem]


@pytest.mark.parametrize(
    "first",
    [
        "def f(x: later) -> later: ...",
        "x: later = 1",
        "class A:\n    x: later",
        "def f(later):\n    return later",
        "def f():\n    later = 1\n    return later",
        "x = [later for later in ()]",
        "def f(x):\n    match x:\n        case [later, *_]:\n            return later",
        "def f(x):\n    match x:\n        case {**later}:\n            return later",
        "def f():\n    try: ...\n    except E as later:\n        return later",
        "def f(later):\n    return lambda: later",
        "def f():\n    import later\n    return later",
        "def f(x):\n    if any((later := y) for y in x):\n        return later",
        "if TYPE_CHECKING:\n    x = later",
        "x.later = y.later",
    ],
)
def test_local_names_are_no_reference(first: str) -> None:
    """Annotations, local names and attributes are no use of a later section's name."""
    assert forward_references(two_sections(first, "def later(): ...")) == []


# ---- functions and names ----


def test_functions_are_small() -> None:
    """No function is above 60 lines, and half of them have at most 10."""
    long = {f"{node.name} (line {node.lineno})": size(node) for node in functions() if size(node) > 60}
    median = statistics.median(map(size, functions()))
    print(f"{len(functions())} functions, median {median:g} lines, longest {max(map(size, functions()))}")
    assert long == {}
    assert median <= 10


def test_functions_have_at_most_five_parameters() -> None:
    """A function takes at most five parameters, `self`, `cls` and `**words` aside."""
    many = {}
    for node in functions():
        overloaded = any(isinstance(item, ast.Name) and item.id == "overload" for item in node.decorator_list)
        names = [arg.arg for arg in arguments_of(node) if arg is not node.args.kwarg and arg.arg not in ("self", "cls")]
        if len(names) > 5 and not overloaded:
            many[f"{node.name} (line {node.lineno})"] = names
    assert many == {}


def undocumented() -> Iterator[str]:
    """Yield the public functions, classes and methods without a docstring; overrides are explained by their base."""
    for node in TREE.body:
        if not isinstance(node, FunctionNode | ast.ClassDef) or node.name.startswith("_"):
            continue
        if not ast.get_docstring(node):
            yield f"{node.name} (line {node.lineno})"
        if isinstance(node, ast.ClassDef):
            bases = inspect.getmro(getattr(minirest, node.name))[1:]
            for member in node.body:
                if not isinstance(member, FunctionNode) or member.name.startswith("_") or ast.get_docstring(member):
                    continue
                if not any(member.name in vars(base) for base in bases):
                    yield f"{node.name}.{member.name} (line {member.lineno})"


def test_public_names_have_docstrings() -> None:
    """Every public function, class and method says what it is."""
    assert list(undocumented()) == []


def test_examples_in_docstrings() -> None:
    """Every example in a docstring gives what it says."""
    failed, tried = doctest.testmod(minirest)
    assert (failed, tried > 20) == (0, True)


def test_all_exists() -> None:
    """What `__all__` offers is there, each name once, in order."""
    assert [name for name in minirest.__all__ if not hasattr(minirest, name)] == []
    assert minirest.__all__ == sorted(set(minirest.__all__))


# ---- the import ----


def test_module_level_is_definitions() -> None:
    """At module level are imports, definitions and constants; conditions only for types, versions and the start."""
    allowed = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.ClassDef, *FunctionNode.__args__)
    others = [
        ast.unparse(node).splitlines()[0]
        for node in TREE.body
        if not isinstance(node, allowed) and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]
    assert others == ["if sys.version_info < (3, 11):", "if TYPE_CHECKING:", "if __name__ == '__main__':"]


def test_imports_at_the_top_are_of_the_standard_library() -> None:
    """Only the standard library is imported at module level; dependencies by the functions that need them."""
    modules = {
        name.split(".")[0]
        for node in TREE.body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [str(node.module)]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert modules - sys.stdlib_module_names == set()


IMPORT_AND_TELL = """
import json, os, sys, threading
import minirest  # loads what it imports, so that the second import is its own work alone
del sys.modules["minirest"]
events = []
quiet = ("import", "compile", "exec", "marshal.", "object.", "code.", "sys._getframe", "builtins.id")
def note(event, arguments):
    own = event in ("open", "os.listdir", "os.scandir") and "minirest" in str(arguments[0]).rsplit("/", 1)[-1]
    if not event.startswith(quiet) and not own:
        events.append(f"{event} {arguments}")
before = sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else []
sys.addaudithook(note)
import minirest
noted = list(events)
after = sorted(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else []
print(json.dumps({"loaded": sorted(sys.modules), "events": noted, "threads": threading.active_count(),
                  "files": len(after) - len(before)}))
"""


def test_import_does_nothing() -> None:
    """`import minirest` loads no dependency, opens nothing and starts nothing."""
    command = [sys.executable, "-B", "-c", IMPORT_AND_TELL]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    told = json.loads(done.stdout)
    loaded = {name.split(".")[0] for name in told.pop("loaded")}
    assert loaded & set(LAZY) == set()
    assert told == {"events": [], "threads": 1, "files": 0}
    assert done.stderr == ""


# ---- the repository ----


def test_top_level_of_the_repository() -> None:
    """Beside dot files the top level holds the module, its project file, README, sample and tests."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    top = {name.split("/")[0] for name in listed}
    wanted = {"README.md", "minirest.py", "pyproject.toml", "sample_schema.json", "tests"}
    assert {name for name in top if not name.startswith(".")} == wanted
