"""The locks work anywhere: every file has a hash, none names a place, the developers' lock holds the program's."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("lock.txt", "dev.txt")
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)
_PLACE = re.compile(r"https?:|file:|^\s*-|(?<!\w)/\w", re.MULTILINE)


def text(name: str) -> str:
    return (ROOT / "requirements" / name).read_text(encoding="utf-8")


def pins(name: str) -> dict[str, str]:
    return {match[1]: match[2] for match in _PIN.finditer(text(name))}


def project() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_hash(name: str) -> None:
    assert len(pins(name)) == len(re.findall(r"^\S+==", text(name), re.MULTILINE)) > 30


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_an_address_a_folder_or_an_option(name: str) -> None:
    without_hashes = re.sub(r"^ +--hash=\S+( \\)?$", "", text(name), flags=re.MULTILINE)
    assert not _PLACE.search(without_hashes)


@pytest.mark.parametrize("name", LOCKS)
def test_torch_and_its_cuda_libraries_are_not_locked(name: str) -> None:
    assert not [package for package in pins(name) if package in ("torch", "triton") or package.startswith("nvidia")]


def test_developers_lock_holds_the_programs() -> None:
    assert pins("lock.txt").items() <= pins("dev.txt").items()


def test_every_declared_dependency_is_locked() -> None:
    declared = project()["project"]["dependencies"]
    extras = project()["project"]["optional-dependencies"]

    def names(requirements: object) -> set[str]:
        assert isinstance(requirements, list)
        return {re.split(r"[^A-Za-z0-9_-]", requirement)[0].lower() for requirement in requirements}

    assert isinstance(extras, dict)
    assert (names(declared) - {"torch"}) | names(extras["build"]) <= pins("lock.txt").keys()
    assert names(extras["dev"]) | names(extras["lock"]) <= pins("dev.txt").keys()


def test_every_locked_package_that_is_declared_has_its_reason_in_the_docs() -> None:
    documented = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    declared = project()["project"]["dependencies"]
    assert isinstance(declared, list)
    missing = [
        name for name in (re.split(r"[^a-z0-9-]", line)[0] for line in declared) if f"| {name} |" not in documented
    ]
    assert not missing


def test_torch_is_the_version_the_makefile_installs() -> None:
    version = re.search(r"^TORCH_VERSION := (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    floor = next(str(line) for line in project()["project"]["dependencies"] if str(line).startswith("torch>="))
    assert version is not None
    assert version[1].startswith(re.split(r"[>=,]+", floor)[1])
