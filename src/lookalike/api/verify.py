"""The verb `verify`: whether files still have the hashes that were written down when they were made."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from lookalike.embeddings.manifest import MANIFEST, VersionManifest
from lookalike.embeddings.representation import live_version
from lookalike.encoder.run_files import RunManifest
from lookalike.errors import StateError
from lookalike.expansion.manifest import ExpansionManifest, ListFile
from lookalike.workspace.files import sha256
from lookalike.workspace.paths import WorkspaceFolder, checked_name
from lookalike.workspace.records import Record

Kind = Literal["input", "list", "vectors", "run"]
State = Literal["held", "changed", "another", "missing"]


class VerifiedFile(Record):
    """One file, and whether it is what was written."""

    kind: Kind = Field(description="input (a list of ids that was read), list, vectors or run")
    name: str = Field(description="the file")
    state: State = Field(
        description="compared with the hash that was written down; `another` is a file in the current folder that only has "
        "the name of a list that was read"
    )
    fault: bool = Field(description="changed, or missing where it must be")


class VerifyResult(Record):
    """What became of the files of an expansion, or of the live vectors and their run."""

    name: str | None = Field(description="the audience; null for the live vectors and their run")
    files: tuple[VerifiedFile, ...]
    held: bool = Field(description="no file is changed, or missing where it must be")

    @property
    def faults(self) -> tuple[VerifiedFile, ...]:
        """The files that are not what was written."""
        return tuple(file for file in self.files if file.fault)


def verify(folder: WorkspaceFolder, name: str | None = None) -> VerifyResult:
    """Compares the whole content of files with their hashes: of an expansion its lists of ids, its own files, the vectors
    and the run it was made from; without a name the live vectors and their run. Writes nothing.

    Lists of ids are looked for where definitions and commands are: in the workspace, its `audiences`, and the current
    folder, where another of the same name says nothing. They may be missing, and so may vectors and a run that others have
    followed. Raises StateError when there is
    no such expansion, or no manifest that can be read.
    """
    files = tuple(_of_live(folder) if name is None else _of_expansion(folder, name))
    return VerifyResult(name=name, files=files, held=not any(file.fault for file in files))


def _of_live(folder: WorkspaceFolder) -> Iterator[VerifiedFile]:
    live = live_version(folder)
    yield from _of_version(live.folder, live.manifest)
    yield from _of_run(folder, live.manifest.run)


def _of_expansion(folder: WorkspaceFolder, name: str) -> Iterator[VerifiedFile]:
    target = folder.audience(name)
    if not (target / MANIFEST).exists():
        raise StateError(f"no expansion is called {name!r}", "lookalike status names all")
    manifest = ExpansionManifest.read(target / MANIFEST, "lookalike expand writes it again")
    yield from (_input(each, (folder.root, folder.audiences)) for each in manifest.inputs)
    yield from (_file("list", target / output, digest) for output, digest in manifest.outputs.items())
    source = manifest.representation
    vectors = folder.embeddings / checked_name(source.version) / MANIFEST
    first = _file("vectors", vectors, source.sha256, may_be_missing=True)
    yield first
    if first.state == "held":
        yield from _of_version(vectors.parent, VersionManifest.read(vectors))
    yield from _of_run(folder, source.run, may_be_missing=True)


def _of_version(version: Path, manifest: VersionManifest) -> Iterator[VerifiedFile]:
    return (_file("vectors", version / checked_name(name), digest) for name, digest in manifest.sha256.items())


def _of_run(folder: WorkspaceFolder, name: str, may_be_missing: bool = False) -> Iterator[VerifiedFile]:
    manifest = folder.runs / checked_name(name) / MANIFEST
    if not manifest.exists():
        yield _verified("run", manifest, "missing", may_be_missing)
        return
    for file, digest in RunManifest.read(manifest).sha256.items():
        yield _file("run", manifest.parent / checked_name(file), digest)


def _input(given: ListFile, own: tuple[Path, ...]) -> VerifiedFile:
    """A list of ids; a rule is its own content. One that has its name is it, or was, in the folders `own`; elsewhere it is
    only if it is the same."""
    state: State = "missing"
    if hashlib.sha256(given.name.encode()).hexdigest() == given.sha256:
        state = "held"
    for place in (*own, Path.cwd()):
        path = place / Path(given.name).name
        if state != "held" and path.is_file():
            held = sha256(path) == given.sha256
            state = "held" if held else "changed" if place in own or state == "changed" else "another"
    return VerifiedFile(kind="input", name=given.name, state=state, fault=state == "changed")


def _file(kind: Kind, path: Path, digest: str, may_be_missing: bool = False) -> VerifiedFile:
    if not path.is_file():
        return _verified(kind, path, "missing", may_be_missing)
    return _verified(kind, path, "held" if sha256(path) == digest else "changed")


def _verified(kind: Kind, path: Path, state: State, may_be_missing: bool = False) -> VerifiedFile:
    fault = state == "changed" or (state == "missing" and not may_be_missing)
    return VerifiedFile(kind=kind, name=f"{path.parent.name}/{path.name}", state=state, fault=fault)
