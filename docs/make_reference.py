"""Writes docs/commands.md and docs/settings.md from the program itself: its help, its settings, its exit codes.

python docs/make_reference.py          writes both
python docs/make_reference.py --check  ends with 1 when one of them is out of date
"""

import inspect
import sys
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from typer.main import get_command

from lookalike import errors
from lookalike.cli.app import app
from lookalike.expansion.audience import _Definition
from lookalike.workspace import settings

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

# What stands in the one object that `--json` prints.
JSON: dict[str, dict[str, str]] = {
    "ingest": {
        "files": "of each file: name, kind, rows, added, duplicates, rejected by reason, whether it was skipped, its mapping",
        "totals": "what the workspace holds now: events, users, items, first and last time",
        "checks": "what looks wrong: check, severity, rows, share, message",
    },
    "ingest --dry-run": {
        "files": "of each file: name, kind, format, mapping, how times are read, columns not used, notes, first rows",
    },
    "train": {
        "run": "name of the trained run",
        "version": "name of the stored vectors",
        "users": "users with vectors",
        "events": "events before the cut",
        "items": "items in the vocabulary",
        "epochs": "passes made",
        "best_epoch": "the pass whose weights were kept",
        "figures": "held-out figures. `held_out_users` and `items_judged`: how many users and items; recall@20 and ndcg@20 "
        "over the full catalogue of `encoder`, `taste_alone` (its two towers), `popularity`, `popularity_of_late` (of the last "
        "1, 7 or 30 days, whichever is best) and `item_neighbours` (an item-to-item collaborative filter); "
        "`recall_by_events` by a user's events before the cut; `new_items`: among items that nobody had met; `coverage`: "
        "share of users with a vector of their own, and with five events; `audiences`: centroid lift@5 % on held-out "
        "audiences drawn from the log, by space and by number of events; `weights_had_seen`: with --from, up to when those "
        "weights had seen the held-out days, else null",
        "churn": "share of a list of 5 % that differs from one by the previous vectors; null without previous vectors",
    },
    "embed": {
        "run": "the run whose encoder was used",
        "version": "name of the stored vectors",
        "users": "users with vectors",
        "refreshed": "users embedded anew",
    },
    "embed --sessions": {
        "run": "the run whose encoder was used",
        "sessions": "sessions with a vector",
        "path": "Parquet file: session_id, events, sequence",
    },
    "expand": {
        "name": "the audience",
        "scorer": "the method that ranked it",
        "verdict": "`expand` or `do not expand`",
        "advice": "the verdict in full: `expand`, `expand up to N`, `split` or `do not expand`",
        "up_to": "the largest list worth taking, where more was asked for; else null",
        "reasons": "the figures behind the verdict, as sentences",
        "against": "those of the reasons that speak against a list",
        "careful": "what may make the figures promise too much: single features that nearly define the seed",
        "size": "prospects asked for, as a count",
        "candidates": "people who could have been listed",
        "matched": "seed ids found in the log",
        "match_rate": "their share of the distinct ids given",
        "used": "those that the scorers learn from",
        "suppression": "ids given to suppress, and how many of them are known",
        "lift": "held-out lift at this size",
        "lift_low": "lower end of its band",
        "lift_high": "upper end of its band",
        "activity_lift": "the same when people are ranked by activity alone",
        "backtest": "where the seed has moments: `cut`, and `lift`, `low`, `high` on the seeds who came later; "
        "`plain_lift` is of figures that nothing of later has touched; else null",
        "prospects": "path of the list; null when none was written",
        "reasons_of_each": "path of why each is listed; null without `--reasons`",
        "evaluation": "path of all the figures",
    },
    "overlap": {
        "sizes": "people in each list",
        "pairs": "`first`, `second`, and how many people are in both",
        "in": "how many people are in one list, in two, …",
    },
    "report": {"*": "all of `evaluation.json`", "page": "path of the HTML page"},
    "status": {
        "workspace": "the folder",
        "log": "events, users, items, first and last time, files, rejected, duplicates",
        "runs": "trained runs: run, created, as_of",
        "representation": "the stored vectors: run, created, as_of, users, blocks; null when there are none",
        "expansions": "name, created and prospects of each",
        "next": "the command that comes next",
    },
}

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
        "Progress, notes and errors go to stderr. An error is two lines, `error:` what is wrong and where, and `hint:` "
        "the flag or the command that helps. stdout is then empty, but for a seed that should not be expanded: "
        "its figures are printed, and the exit code is 5.\n",
        "## Flags of the program\n",
        "They stand before the command. Without any word the help is shown.\n",
        _flags("", root, context),
        "## Exit codes\n",
        "| Code | Means |\n| ---: | --- |",
        *(f"| {code} | {meaning} |" for code, meaning in CODES),
        "",
    ]
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        inner = command.context_class(command, info_name=name, parent=context)
        usage = " ".join(command.get_usage(inner).split()).removeprefix("Usage: ")
        parts += [f"## {name}\n", f"    {usage}\n", f"{inspect.cleandoc(command.help)}\n", _flags(name, command, inner)]
        for call, keys in JSON.items():
            if call.split()[0] == name:
                rows = "\n".join(f"| `{key}` | {meaning} |" for key, meaning in keys.items())
                parts.append(
                    f"`lookalike --json {call}` prints:\n\n| Key | Holds |\n| --- | --- |\n{rows}\n".replace("`*`", "")
                )
    return "\n".join(parts) + COMPLETION


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
        "`lookalike.toml` in the workspace may change them; no key has to be there. A flag beats the file, the file "
        "beats the default. A key that is not known is an error, and all faults of the file are told at once.\n",
        "```toml\n[train]\nepochs = 5\n\n[expand]\nconfidence = 0.9\n```\n",
    ]
    for section in fields(settings.Settings):
        parts += [f"## [{section.name}]\n", _keys(section.type), ""]
    parts += [
        "## An audience definition\n",
        "`lookalike expand audiences/NAME.toml` takes these keys; the flags of `expand` make the same definition and "
        "beat the file. Paths are taken from the file's folder.\n",
        '```toml\nseed = "seed.csv"\nsize = "5%"\nsuppress = ["customers.csv"]\n```\n',
        "| Key | Default | Means |\n| --- | --- | --- |",
        *(f"| `{key}` | {_definition_default(key)} | {meaning} |" for key, meaning in DEFINITION.items()),
        "",
    ]
    return "\n".join(parts)


DEFINITION = {
    "seed": "CSV or Parquet file with a column `user_id`, or with only one column: the people to find more of",
    "size": 'how many prospects: a count (`500_000`), a share of the candidates (`"5%"`), or `"auto"`',
    "name": "name of the audience and of its folder; the file's name if not given",
    "scorer": "`auto`, or one of the scorers of docs/concepts.md",
    "suppress": "files of ids that must never be listed",
    "negative": "files of ids of people of whom fewer are wanted: churned, returned, fraud",
    "before": "an event type: every seed is read up to its first event of it, and not beyond",
    "drop_features": "columns that no scorer may read, and with them no user embedding",
    "disjoint_from": "names of audiences whose people are not to be listed again",
    "balance": "`true`: the list keeps the shares that the seed's sub-audiences have",
    "reasons": "`true`: why each is listed is written beside the list",
    "format": "`csv` or `parquet`",
}


def _definition_default(key: str) -> str:
    field = next(f for f in fields(_Definition) if f.name == key)
    if key in ("seed", "size"):
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


def pages() -> dict[Path, str]:
    return {HERE / "commands.md": commands(), HERE / "settings.md": settings_page()}


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
