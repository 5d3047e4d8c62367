"""The manifest of a version of stored vectors: what it was made from and which files it consists of."""

from datetime import datetime
from typing import Literal

from lookalike.data.schema import SourceFile
from lookalike.workspace.records import Record, SealedRecord

MANIFEST = "manifest.json"
USERS_FILE = "users.parquet"


class VersionFacts(Record):
    """What a version was made from."""

    run: str
    created: str
    as_of: datetime  # the cut
    everybody_as_of: datetime  # when every user was last embedded; later versions may keep the vectors of some
    min_events: int  # of an eligible user before the cut
    files: tuple[SourceFile, ...]  # that had been ingested
    last_file: int  # the number of the last of them
    blocks: dict[str, int]  # width of each block
    columns: dict[str, tuple[str, ...]]  # names of the columns of the block aggregates
    refreshed: int  # users whose vectors were computed for this version, not kept from the one before
    versions: dict[str, str]  # of libraries


class VersionManifest(VersionFacts, SealedRecord):
    """`manifest.json` of a version: its facts, and its files with their hashes."""

    schema_version: Literal[2] = 2
    users: int
    without_events: int = 0  # of them
    shards: tuple[int, ...]  # users of each shard
    sha256: dict[str, str]  # by file name
    checksums: dict[str, str]  # by file name; of all bytes too, but quick enough to check whenever a file is opened
    largest: dict[str, tuple[float, ...]]  # the largest absolute value of each block in each shard
