"""The base of all typed results: frozen pydantic models that are written to JSON and read back unchanged."""

import hashlib
import json
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lookalike.errors import StateError
from lookalike.workspace.files import read_json, write_json

_SEAL = "seal"  # the key that holds the hash of the rest


class Record(BaseModel):
    """An immutable, typed value. Unknown and missing fields are errors."""

    model_config = ConfigDict(frozen=True, defer_build=True, extra="forbid")

    def as_json(self) -> dict[str, Any]:
        """The record as plain JSON values."""
        return self.model_dump(mode="json")


class FileRecord(Record):
    """A record that is stored as a JSON file of its own. Subclasses declare `schema_version` as a literal."""

    schema_version: int

    def write(self, path: Path) -> None:
        write_json(path, self.as_json())

    @classmethod
    def read(cls, path: Path, hint: str = "run the command that wrote it again") -> Self:
        """The record in a file. Raises StateError when it is missing, damaged, or of another version."""
        return cls._validated(path, read_json(path, hint), hint)

    @classmethod
    def _validated(cls, path: Path, values: dict[str, Any], hint: str) -> Self:
        known = cls.model_fields["schema_version"].default
        version = values.get("schema_version")
        if isinstance(version, int) and version != known:
            raise StateError(f"{path}: has schema version {version}, this program reads version {known}", hint)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise StateError(f"{path}: is not a valid file of its kind ({where}: {fault['msg']})", hint) from error


class SealedRecord(FileRecord):
    """A record that is stored with a hash of its own content: no number in it can change unnoticed."""

    def write(self, path: Path) -> None:
        values = self.as_json()
        write_json(path, values | {_SEAL: _hash_of(values)})

    @classmethod
    def read(cls, path: Path, hint: str = "run the command that wrote it again") -> Self:
        """As `FileRecord.read`. Raises StateError too when the file was changed after it was written."""
        values = read_json(path, hint)
        seal = values.pop(_SEAL, None)
        record = cls._validated(path, values, hint)
        if seal != _hash_of(values):
            raise StateError(f"{path}: was changed after it was written", hint)
        return record


def _hash_of(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
