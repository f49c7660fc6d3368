"""What a user installs: the wheel, its types and its dependencies."""

import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import minirest

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program, fail with all that it said, return its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(target: str, source: Path, into: Path) -> Path:
    """Build the `wheel` or `sdist` of a source tree, without a network."""
    run(sys.executable, "-m", "hatchling", "build", "-t", target, "-d", into, cwd=source)
    (built,) = into.iterdir()
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def distribution(wheel: Path) -> Distribution:
    """Return what the wheel says about itself."""
    return PathDistribution(zipfile.Path(wheel, f"minirest-{minirest.__version__}.dist-info/"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment that holds the wheel and nothing else."""
    home = tmp_path_factory.mktemp("site")
    venv.create(home, symlinks=True)
    (packages,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return home


def script_block() -> dict[str, Any]:
    """Return the PEP 723 block of minirest.py, found by that document's own pattern."""
    pattern = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
    (block,) = re.finditer(pattern, (ROOT / "minirest.py").read_text())
    assert block["type"] == "script"
    return tomllib.loads("".join(line[2:] or "\n" for line in block["content"].splitlines(keepends=True)))


def test_wheel_holds_the_module_its_sample_and_its_types_only(wheel: Path) -> None:
    """The wheel has the module, the sample beside it, the same file as stub package, and no other code."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        contents = {name: archive.read(name) for name in names}
    module, sample = (ROOT / "minirest.py").read_bytes(), (ROOT / "sample_schema.json").read_bytes()
    assert contents == {
        "minirest.py": module,
        "minirest-stubs/__init__.pyi": module,
        "sample_schema.json": sample,
    }


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A wheel built from the sdist is byte for byte the wheel built from the checkout."""
    run("tar", "-xf", build("sdist", ROOT, tmp_path / "sdist"), cwd=tmp_path)
    rebuilt = build("wheel", tmp_path / f"minirest-{minirest.__version__}", tmp_path / "wheel")
    assert rebuilt.name == wheel.name
    assert rebuilt.read_bytes() == wheel.read_bytes()


def test_metadata_repeats_the_project(distribution: Distribution) -> None:
    """METADATA has the module's version, and the licence, Python and dependencies of pyproject.toml."""
    said = distribution.metadata
    assert (said["Name"], said["Version"]) == ("minirest", minirest.__version__)
    assert (said["License-Expression"], said["Requires-Python"]) == ("MIT", PROJECT["requires-python"])
    required = {requirement for requirement in map(Requirement, distribution.requires or []) if not requirement.marker}
    assert required == set(map(Requirement, PROJECT["dependencies"]))


def test_command_runs_main(distribution: Distribution) -> None:
    """The wheel's one command is `minirest`, and it runs `minirest.main`."""
    (command,) = distribution.entry_points.select(group="console_scripts")
    assert command.name == "minirest"
    assert command.load() is minirest.main


def test_plugin_of_pytest(distribution: Distribution) -> None:
    """The wheel's one plugin of pytest is the module itself."""
    (plugin,) = distribution.entry_points.select(group="pytest11")
    assert (plugin.name, plugin.load()) == ("minirest", minirest)


def test_script_block_asks_for_the_same_as_the_project() -> None:
    """The PEP 723 block, for the file on its own, has the Python and the dependencies of pyproject.toml."""
    wanted = {name: PROJECT[name] for name in ("requires-python", "dependencies")}
    assert script_block() == wanted


def test_import_needs_no_dependency(site: Path) -> None:
    """The module and its sample are found side by side, and imported, where no dependency is installed."""
    program = "import minirest, pathlib; print(pathlib.Path(minirest.__file__).parent)"
    folder = Path(run(site / "bin" / "python", "-I", "-c", program, cwd=site).strip())
    assert folder.is_relative_to(site)
    assert (folder / "sample_schema.json").is_file()


def test_user_program_is_type_checked(site: Path, tmp_path: Path) -> None:
    """Strict mypy sees the wheel's public names with their types: an `ignore` that silences nothing fails."""
    program = tmp_path / "program.py"
    program.write_text(
        f"from minirest import {', '.join(sorted({'__version__', 'main', *minirest.__all__}))}\n"
        "version: str = __version__\n"
        "status: int = main(['schema.json'])\n"
        "main(5)  # type: ignore[arg-type]\n"
    )
    run(
        *(sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache"),
        *("--python-executable", site / "bin" / "python", program),
        cwd=tmp_path,
    )


def test_tests_run_the_checkout() -> None:
    """The environment's minirest is the checkout's file, from any folder, so an edit needs no new install."""
    program = "import minirest; print(minirest.__file__)"
    assert Path(run(sys.executable, "-I", "-c", program, cwd=Path("/")).strip()) == ROOT / "minirest.py"
    assert Path(minirest.__file__) == ROOT / "minirest.py"
