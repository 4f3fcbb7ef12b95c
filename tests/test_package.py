"""The sdist and the wheel: what is in them, and that the commands run from the installed wheel."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile

import pytest

import zoo
from zoo.__main__ import VERBS

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("exports", "recipes", "zoo")
FOLDERS = (*PACKAGES, "benchmarks", "docs", "tests")
FILES = (
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md"),
    *("MANIFEST.in", "Makefile", "constraints.txt", "pyproject.toml"),
)
NAME = f"segmentation_zoo-{zoo.__version__}"
BUILD = (
    "import sys\n"
    "from setuptools import build_meta\n"
    "getattr(build_meta, f'build_{sys.argv[1]}')(sys.argv[2])\n"
)
HELP = (
    "import sys\n"
    "from zoo.__main__ import main\n"
    "sys.exit(any(main([verb, '--help']) for verb in sys.argv[1:]))\n"
)


def files(folder: pathlib.Path, *within: str) -> set[str]:
    """The files of these folders in `folder`, but for what Python leaves there."""
    paths = [path for name in within for path in (folder / name).rglob("*") if path.is_file()]
    return {
        path.relative_to(folder).as_posix() for path in paths if "__pycache__" not in path.parts
    }


def run(command: list[str | pathlib.Path], folder: pathlib.Path) -> str:
    """What a command prints that does not see the checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def build(what: str, folder: pathlib.Path) -> None:
    """Builds as pip does, with the setuptools of this Python: nothing is downloaded."""
    run([sys.executable, "-c", BUILD, what, str(folder.parent)], folder)


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> pathlib.Path:
    """The unpacked sdist of a copy of this project."""
    home = tmp_path_factory.mktemp("sdist")
    for file in sorted(files(ROOT, *FOLDERS)):
        (home / "copy" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, home / "copy" / file)
    for file in FILES:
        shutil.copy(ROOT / file, home / "copy")
    build("sdist", home / "copy")
    (archive,) = home.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(home, filter="data")
    return home / NAME


@pytest.fixture(scope="module")
def wheel(sdist) -> pathlib.Path:
    """The wheel that is built from the sdist."""
    build("wheel", sdist)
    (path,) = sdist.parent.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def bin_folder(wheel, tmp_path_factory) -> pathlib.Path:
    """The commands of a Python that has the wheel, and all else from this Python."""
    home = tmp_path_factory.mktemp("bare")
    run([sys.executable, "-m", "venv", "--without-pip", home / "venv"], home)
    place = home / "venv" / pathlib.Path(sysconfig.get_path("scripts")).name
    python = place / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], home)
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], home)
    # As a path in a .pth file: what is installed there is found, its own .pth files are not read.
    pathlib.Path(site.strip(), "rest.pth").write_text(sysconfig.get_path("purelib"))
    return place


def test_the_sdist_holds_the_project(sdist):
    assert files(sdist, *FOLDERS) == files(ROOT, *FOLDERS)
    assert {path.name for path in sdist.iterdir() if path.is_file()} >= set(FILES)


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == files(ROOT, *PACKAGES)


def test_the_commands_run_from_the_wheel(bin_folder, tmp_path):
    python = bin_folder / "python"
    assert run([bin_folder / "zoo", "--version"], tmp_path) == f"zoo {zoo.__version__}\n"
    listed = run([bin_folder / "zoo", "list"], tmp_path)
    assert [line.split()[0] for line in listed.splitlines()] == zoo.list_models()
    assert run([python, "-m", "zoo", "list"], tmp_path) == listed
    helped = run([python, "-c", HELP, *VERBS], tmp_path).splitlines()
    usages = [line.split()[2] for line in helped if line.startswith("usage: zoo ")]
    assert usages == list(VERBS)
    code = "import zoo, exports, recipes; print(zoo.__file__, exports.__file__, recipes.__file__)"
    for file in run([python, "-c", code], tmp_path).split():
        assert bin_folder.parent in pathlib.Path(file).parents


def test_a_run_trains_and_is_exported_from_the_wheel(bin_folder, tmp_path):
    zoo_command, options = bin_folder / "zoo", ["--workdir", "run", "--toy", "--limit-steps", "2"]
    run([zoo_command, "train", "shapes_unet", *options], tmp_path)
    run([zoo_command, "export", "run", "--out", "served"], tmp_path)
    assert (tmp_path / "served/unet/1/saved_model.pb").exists()
