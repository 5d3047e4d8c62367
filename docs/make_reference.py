"""Writes docs/commands.md, docs/json.md and docs/settings.md from the program itself: its help, results and settings.

python docs/make_reference.py          writes them
python docs/make_reference.py --check  exits with 1 if one of them is out of date
"""

import inspect
import sys
import typing
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from typer.main import get_command

from lookalike import errors
from lookalike.api.verify import VerifyResult
from lookalike.campaigns.overlap import OverlapResult
from lookalike.cli.app import app
from lookalike.cli.printed import PrintedReport, PrintedStatus
from lookalike.data.ingest.results import IngestPreview, IngestResult, RemoveResult
from lookalike.data.standing_lists import SuppressAdded, SuppressLists, SuppressRemoved
from lookalike.encoder.results import EmbedResult, SessionsResult, TrainResult
from lookalike.expansion.audience import Definition
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.result import Evaluation
from lookalike.expansion.summary import ExpandSummary
from lookalike.workspace import settings
from lookalike.workspace.records import Record

HERE = Path(__file__).resolve().parent
MADE = "<!-- Made by docs/make_reference.py; a test keeps it up to date. Change the program's help instead. -->\n"

# Flags whose default is a setting, by command and parameter.
SETTING = {
    ("ingest", "timezone"): "ingest.timezone",
    ("train", "encoder"): "train.encoder",
    ("train", "objective"): "train.objective",
    ("train", "dim"): "train.dim",
    ("train", "window"): "train.window_days",
    ("train", "epochs"): "train.epochs",
    ("train", "random_seed"): "train.random_seed",
}

# The record that `--json` prints, by command.
JSON: dict[str, type[Record]] = {
    "ingest": IngestResult,
    "ingest --dry-run": IngestPreview,
    "remove-file": RemoveResult,
    "train": TrainResult,
    "embed": EmbedResult,
    "embed --sessions": SessionsResult,
    "expand": ExpandSummary,
    "overlap": OverlapResult,
    "report": PrintedReport,
    "suppress add": SuppressAdded,
    "suppress list": SuppressLists,
    "suppress remove": SuppressRemoved,
    "verify": VerifyResult,
    "status": PrintedStatus,
}
FILES: dict[str, type[Record]] = {"evaluation.json": Evaluation, "manifest.json": ExpansionManifest}

CODES = [
    (0, "done"),
    (1, "a bug; `--debug` shows where"),
    (errors.SettingsError.exit_code, "a flag, `lookalike.toml` or an audience definition is wrong"),
    (errors.DataError.exit_code, "a file that was given cannot be used"),
    (
        errors.StateError.exit_code,
        "the workspace is not ready: nothing ingested, nothing trained, damaged, in use, disk full",
    ),
    (errors.ExpansionError.exit_code, "the seed cannot, or by the verdict should not, be expanded"),
    (errors.INTERRUPTED, "interrupted (Ctrl-C)"),
]

COMPLETION = """
## Shell completion

`lookalike --install-completion` writes completion for the shell it is called from (bash, zsh, fish, PowerShell) into
that shell's start file; open a new shell afterwards. `lookalike --show-completion` only prints the script:

```sh
lookalike --show-completion >> ~/.bashrc
```

Commands and flags are completed, and after a flag that takes a file, files.
"""


def commands() -> str:
    """docs/commands.md."""
    root = get_command(app)
    context = root.context_class(root, info_name="lookalike", **root.context_settings)
    parts = [
        MADE,
        "# Commands\n",
        f"{root.help}\n",
        "    lookalike [flags of the program] COMMAND [flags of the command]\n",
        "stdout carries data only: tables for people, or with `--json` exactly one JSON object on one line. "
        "Progress, messages and errors go to stderr. An error is two lines: `error:` says what is wrong and where, `hint:` "
        "which flag or command helps. stdout is then empty, except for a seed that should not be expanded: "
        "its figures are printed, and the exit code is 5; and of `verify`, whose table is printed before the exit code 4.\n",
        "## Flags of the program\n",
        "They may stand before or after the command. `lookalike` alone shows the help.\n",
        _flags("", root, context),
        "## Exit codes\n",
        "| Code | Means |\n| ---: | --- |",
        *(f"| {code} | {meaning} |" for code, meaning in CODES),
        "",
    ]
    for name, command in all_commands(root).items():
        inner = command.context_class(command, info_name=name, parent=context)
        usage = " ".join(command.get_usage(inner).split()).removeprefix("Usage: ")
        parts += [f"## {name}\n", f"    {usage}\n", f"{inspect.cleandoc(command.help)}\n", _flags(name, command, inner)]
        parts += [
            f"`lookalike --json {call}` prints {_link(record, 'json.md')}.\n"
            for call, record in JSON.items()
            if call.split(" --")[0] == name
        ]
    return "\n".join(parts) + COMPLETION


def all_commands(root: Any) -> dict[str, Any]:
    """Every command by the words that call it, such as `suppress add`."""
    found: dict[str, Any] = {}
    for name, command in root.commands.items():
        inner = all_commands(command) if hasattr(command, "commands") else {}
        found |= {f"{name} {last}": each for last, each in inner.items()} or {name: command}
    return found


def _flags(name: str, command: Any, context: Any) -> str:
    """The parameters of one command as a table."""
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            rows.append(f"| `{parameter.metavar or parameter.name.upper()}` | {parameter.help} | |")
        else:
            written, _ = parameter.get_help_record(context)
            rows.append(f"| `{written}` | {parameter.help} | {_default(name, parameter)} |")
    for written, meaning in [command.get_help_option(context).get_help_record(context)]:
        rows.append(f"| `{written}` | {meaning} | |")
    return "\n".join(["| Flag | Does | If not given |", "| --- | --- | --- |", *rows, ""])


def _default(command: str, parameter: Any) -> str:
    if key := SETTING.get((command, parameter.name)):
        section, name = key.split(".")
        value = getattr(getattr(settings.Settings(), section), name)
        return f"setting `{key}`" + ("" if value is None else f" (`{value}`)")
    if parameter.envvar:
        return f"`{parameter.envvar}` of the environment, else `{parameter.default}`"
    if parameter.is_flag or parameter.default is None:
        return ""
    return f"`{parameter.default}`"


def settings_page() -> str:
    """docs/settings.md."""
    parts = [
        MADE,
        "# Settings\n",
        "`lookalike.toml` in the workspace may change these; every key is optional. A flag overrides the file, and the file "
        "overrides the default. An unknown key is an error, and all errors of the file are reported at once.\n",
        "```toml\n[train]\nepochs = 5\n\n[expand]\nconfidence = 0.9\n```\n",
    ]
    for section in fields(settings.Settings):
        parts += [f"## [{section.name}]\n", _keys(section.type), ""]
    parts += [
        "## An audience definition\n",
        "`lookalike expand audiences/NAME.toml` takes these keys. The flags of `expand` are the same and override the "
        "file. Paths are relative to the file's folder.\n",
        '```toml\nseed = "seed.csv"\nsize = "5%"\nsuppress = ["customers.csv"]\n```\n',
        "| Key | Default | Means |\n| --- | --- | --- |",
        *(f"| `{key}` | {_definition_default(key)} | {meaning} |" for key, meaning in DEFINITION.items()),
        "",
    ]
    return "\n".join(parts)


DEFINITION = {
    "size": 'how many prospects: a count (`500_000`), a share of the candidates (`"5%"`), or `"auto"`',
    "seed": "file with a column `user_id`, or with only one column: the people to find more of; or give `seed_rule`",
    "seed_rule": "everybody who has done this is the seed, such as `category = DOG FOODS since 2026-05-01`",
    "name": "name of the audience and of its folder; the file's name if not given",
    "scorer": "`auto`, or one of the scorers of docs/concepts.md",
    "suppress": "files of ids that must never be listed",
    "allow_unmatched": "share of the ids of a list to suppress that may be nobody's in the log, such as `20%`",
    "negative": "files of ids of negative examples: churned, returned, fraud; similar users rank lower",
    "before": "the rule that made people seeds; or an event type: each is read up to their first event of it",
    "as_of_now": "`true`: the seeds are read as they are, whatever they have done in common",
    "include_doers": "`true`: people who have done what the seeds have in common are listed too",
    "where": 'conditions on the people the list is for, such as `["country = FR"]`; all of them must be true',
    "drop_features": "aggregate columns that no scorer may read; the user embedding is not read either",
    "disjoint_from": "names of audiences whose prospects are not listed again",
    "balance": "`true`: the list keeps the shares that the seed's sub-audiences have",
    "reasons": "`true`: also write why each person is listed",
    "format": "`csv` or `parquet`",
}


def _definition_default(key: str) -> str:
    field = next(f for f in fields(Definition) if f.name == key)
    if key == "size":
        return "must be given"
    return "" if field.default in (None, (), False) else f"`{field.default}`"


def _keys(section: Any) -> str:
    assert is_dataclass(section)
    rows = []
    for field in fields(section):
        info = field.default if isinstance(field.default, FieldInfo) else None
        value = info.default if info else field.default
        shown = "" if value is None else f"`{_written(value)}`"
        meaning = (info.description if info else None) or ""
        rows.append(f"| `{field.name}` | {_kind(field.type)} | {shown} | {_range(info)} | {meaning} |")
    return "\n".join(["| Key | Type | Default | Range | Means |", "| --- | --- | --- | --- | --- |", *rows])


def _written(value: Any) -> str:
    """A default as TOML writes it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:_}" if isinstance(value, int) else str(value)


def _kind(kind: Any) -> str:
    named = {bool: "true or false", int: "whole number", float: "number", str: "text"}
    kinds = [one for one in typing.get_args(kind) or (kind,) if one is not type(None)]
    return named[kinds[0]]


_WORDS = {"ge": "from {}", "le": "to {}", "gt": "above {}", "lt": "below {}", "multiple_of": "a multiple of {}"}


def _range(info: FieldInfo | None) -> str:
    """What pydantic checks, in words."""
    found = [
        words.format(getattr(limit, name))
        for limit in (info.metadata if info else [])
        for name, words in _WORDS.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


def json_page() -> str:
    """docs/json.md."""
    parts = [
        MADE,
        "# JSON\n",
        "`lookalike --json COMMAND` prints one object on stdout, and the methods of `lookalike.open(...)` return the same "
        "records as typed Python objects. Times are UTC; shares are from 0 to 1.\n",
        "| Command or file | Record |\n| --- | --- |",
        *(f"| `lookalike --json {call}` | {_link(record)} |" for call, record in JSON.items()),
        *(f"| `audiences/NAME/{file}` | {_link(record)} |" for file, record in FILES.items()),
        "\n`expand` with several lists prints them as `audiences`.\n",
    ]
    for record in _reachable([*JSON.values(), *FILES.values()]):
        parts += [f"## {record.__name__}\n", f"{_first_paragraph(record)}\n"]
        parts += [f"Has all keys of {_link(parent)}, and:\n" for parent in _extended(record)]
        parts += [_fields_table(record)]
        parts += [
            _variants_table(f"{record.__name__}.{name}", variants)
            for name, info in _own_fields(record).items()
            if (variants := _variants_in(info.annotation))
        ]
    return "\n".join(parts)


def _reachable(records: list[type[Record]]) -> list[type[Record]]:
    """The records, and those inside them, each once."""
    found: dict[type[Record], None] = {}
    waiting = list(records)
    while waiting:
        record = waiting.pop(0)
        if record not in found:
            found[record] = None
            kinds = [*_extended(record), *(info.annotation for info in _own_fields(record).values())]
            inside = [part for kind in kinds for part in _records_in(kind)]
            waiting = inside + waiting
    return list(found)


def _extended(record: type[Record]) -> list[Any]:
    """The record that a method returns, for one that a command prints with more keys; none for others."""
    return [record.__base__] if record.__module__ == "lookalike.cli.printed" else []


def _own_fields(record: type[Record]) -> dict[str, FieldInfo]:
    """The fields that the extended record has not."""
    known = {name for parent in _extended(record) for name in parent.model_fields}
    return {name: info for name, info in record.model_fields.items() if name not in known}


def _records_in(kind: Any) -> list[type[Record]]:
    """The records of a field; none for a union, whose records have a table of their own."""
    if _variants_in(kind):
        return []
    if isinstance(kind, type) and issubclass(kind, Record):
        return [kind]
    return [record for part in typing.get_args(kind) for record in _records_in(part)]


def _variants_in(kind: Any) -> list[type[Record]]:
    """The records of a union that is told apart by a code; none for other types."""
    if typing.get_origin(kind) is typing.Annotated:
        kind = typing.get_args(kind)[0]
    parts = [part for part in typing.get_args(kind) if part is not Ellipsis]
    if len(parts) == 1:
        return _variants_in(parts[0])
    return parts if parts and all(isinstance(part, type) and issubclass(part, Record) for part in parts) else []


def _variants_table(title: str, variants: list[type[Record]]) -> str:
    """What each variant means, by its code, and the keys that only some of them have."""
    shared = set.intersection(*(set(variant.model_fields) for variant in variants))
    code = next(name for name in ("code", "check") if name in shared)
    rows = []
    for variant in variants:
        codes = " or ".join(f"`{value}`" for value in typing.get_args(variant.model_fields[code].annotation))
        own = ", ".join(f"`{name}`" for name in variant.model_fields if name not in shared)
        rows.append(f"| {codes} | {_first_paragraph(variant)} | {own} |")
    common = ", ".join(f"`{name}`" for name in variants[0].model_fields if name in shared)
    head = [f"## {title}\n", f"Each has {common}.\n", f"| `{code}` | Means | Also has |\n| --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


def _first_paragraph(record: type[Record]) -> str:
    return " ".join(inspect.getdoc(record).split("\n\n")[0].split())  # type: ignore[union-attr]


def _link(record: type[Record], page: str = "") -> str:
    return f"[{record.__name__}]({page}#{record.__name__.lower()})"


def _fields_table(record: type[Record]) -> str:
    rows = []
    for name, info in _own_fields(record).items():
        title = f"{record.__name__}.{name}"
        several = _variants_in(info.annotation)
        kind = f"list of [{title}](#{title.lower().replace('.', '')})" if several else _json_kind(info.annotation)
        rows.append(f"| `{name}` | {kind} | {info.description or ''} |")
    return "\n".join(["| Key | Type | Holds |\n| --- | --- | --- |", *rows, ""]) if rows else ""


JSON_KINDS = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    datetime: "time",
    date: "day",
    Path: "path",
}


def _json_kind(kind: Any) -> str:
    """A type as JSON has it, in words."""
    if kind in JSON_KINDS:
        return JSON_KINDS[kind]
    if isinstance(kind, type) and issubclass(kind, Record):
        return _link(kind)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _json_kind(parts[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in parts)
    if origin is tuple and parts[-1] is Ellipsis:
        return f"list of {_json_kind(parts[0])}"
    if origin is tuple:
        return f"list of {len(parts)}: {_json_kind(parts[0])}"
    if origin is dict:
        return f"{_json_kind(parts[1])}, by name"
    kinds = [_json_kind(part) for part in parts if part is not type(None)]
    return (", ".join(kinds) if len(kinds) > 2 else " or ".join(kinds)) + (" or null" if type(None) in parts else "")


def pages() -> dict[Path, str]:
    return {HERE / "commands.md": commands(), HERE / "json.md": json_page(), HERE / "settings.md": settings_page()}


def main() -> int:
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        sys.stderr.write("".join(f"{path.name} is out of date: python docs/make_reference.py\n" for path in stale))
        return int(bool(stale))
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
