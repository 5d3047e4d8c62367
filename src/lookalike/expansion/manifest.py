"""What a list was made from and with: `manifest.json` beside it."""

from typing import Literal

from pydantic import Field

from lookalike.expansion.result import RepresentationSource, SeedSummary
from lookalike.expansion.suppression_figures import Suppression
from lookalike.workspace.records import FileRecord, Record


class ListFile(Record):
    """A list of ids that was read."""

    name: str = Field(description="the file, without its folder")
    sha256: str = Field(description="hash of its bytes")


class Counts(Record):
    """How many users and ids there were at every step."""

    universe: int = Field(description="eligible users")
    candidates: int = Field(description="who could be listed")
    prospects: int = Field(description="on the list")
    seed: SeedSummary = Field(description="the seed as it was used")
    suppression: Suppression = Field(description="users who must not be listed")


class AudienceRecord(Record):
    """An audience definition as a manifest keeps it: files by name, without folders."""

    name: str
    seed: str
    size: str
    scorer: str
    suppress: tuple[str, ...]
    negative: tuple[str, ...]
    before: str | None
    as_of_now: bool = False
    include_doers: bool = False
    where: tuple[str, ...] = ()
    drop_features: tuple[str, ...]
    disjoint_from: tuple[str, ...]
    balance: bool
    reasons: bool
    format: Literal["csv", "parquet"]


class ManifestSource(RepresentationSource):
    """The stored vectors, and the hash of their manifest."""

    sha256: str = Field(description="hash of their manifest")


class ExpansionManifest(FileRecord):
    """What a list was made from and with: `manifest.json`."""

    schema_version: Literal[1] = 1
    name: str = Field(description="the audience")
    created: str = Field(description="when it was made")
    audience: AudienceRecord = Field(description="its definition")
    settings: dict[str, int | float] = Field(description="of the section expand")
    inputs: tuple[ListFile, ...] = Field(description="the lists of ids that were read, the seed first")
    representation: ManifestSource = Field(description="the stored vectors that were read")
    counts: Counts = Field(description="users and ids at every step")
    versions: dict[str, str] = Field(description="of libraries")
    outputs: dict[str, str] = Field(description="SHA-256 of every file of the folder")
