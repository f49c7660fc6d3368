"""Where the peers come from: each in a folder of its own, at the version that is measured."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.processes import NotStartedError

DONE = "installed"
"""A file that is there when an installation has come to its end."""


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
    """Run a command to its end; raises NotStartedError with what it said last."""
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise NotStartedError(f"{command[0]}: {error}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise NotStartedError(f"{Path(command[0]).name} {command[1]}: {' / '.join(said)}")


def python_packages(folder: Path, packages: Sequence[str]) -> Path:
    """Make a virtual environment with packages, unless it is there; gives the folder of its programs."""
    programs = folder / "bin"
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        run([sys.executable, "-m", "venv", "--without-pip", folder])
        run([*pip(), "--python", programs / "python", "install", "--quiet", *packages])
        (folder / DONE).touch()
    return programs


def pip() -> list[str]:
    """The first pip there is: of this environment, or of the Python that it was made with."""
    for python in (sys.executable, f"{sys.base_prefix}/bin/python3"):
        command = [python, "-m", "pip"]
        if subprocess.run([*command, "--version"], capture_output=True, check=False).returncode == 0:
            return command
    raise NotStartedError("there is no pip")


def npm_package(folder: Path, package: str) -> Path:
    """Install a package for Node.js, unless it is there; gives the folder of its programs."""
    if not (folder / DONE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        run(["npm", "install", "--prefix", folder, "--no-audit", "--no-fund", "--no-package-lock", package])
        (folder / DONE).touch()
    return folder / "node_modules" / ".bin"
