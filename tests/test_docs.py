"""The docs agree with the program: generated pages are current, commands and flags exist, links lead somewhere."""

import importlib.util
import re
import shlex
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic.fields import FieldInfo
from typer.main import get_command

from lookalike.cli import app
from lookalike.expansion.audience import Definition
from lookalike.workspace import settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sample_data/**/*.md")})
PROGRAM = get_command(app.app)


def commands_of(group: Any) -> dict[str, Any]:
    """Every command by the words that call it, such as `suppress add`."""
    groups = {name: commands_of(each) for name, each in group.commands.items() if hasattr(each, "commands")}
    nested = {f"{name} {last}": each for name, inner in groups.items() for last, each in inner.items()}
    return {name: each for name, each in group.commands.items() if name not in groups} | nested


COMMANDS = commands_of(PROGRAM)


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The script that writes the generated pages."""
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relative(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def flags_of(command: str) -> set[str]:
    """Every way to write a flag of a command, or one of the global flags."""
    parameters = [*PROGRAM.params, *(COMMANDS[command].params if command in COMMANDS else [])]
    return {flag for parameter in parameters for flag in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help",
        "-h",
    }


# --- the generated pages ---------------------------------------------------------------------------------------------


def test_the_generated_pages_are_current(reference: ModuleType) -> None:
    for path, text in reference.pages().items():
        assert path.read_text(encoding="utf-8") == text, "python docs/make_reference.py writes it again"


def test_every_command_and_flag_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name, command in COMMANDS.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        flags = [
            flag for parameter in command.params if parameter.param_type_name == "option" for flag in parameter.opts
        ]
        assert [flag for flag in flags if flag not in section] == []
    assert all(flag in text for parameter in PROGRAM.params for flag in parameter.opts)


def test_every_flag_and_every_setting_has_a_description() -> None:
    without_help = [
        parameter.name
        for command in (PROGRAM, *COMMANDS.values())
        for parameter in command.params
        if not parameter.help
    ]
    assert without_help == []
    for section in fields(settings.Settings):
        for field in fields(section.type):  # type: ignore[arg-type]
            assert isinstance(field.default, FieldInfo)
            assert field.default.description, f"{section.name}.{field.name} has no description"


def test_every_setting_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for section in fields(settings.Settings):
        part = text.split(f"## [{section.name}]")[1].split("\n## ")[0]
        assert all(f"| `{field.name}` |" in part for field in fields(section.type))  # type: ignore[arg-type]


def test_every_key_of_a_definition_is_in_the_docs(reference: ModuleType) -> None:
    assert list(reference.DEFINITION) == [field.name for field in fields(Definition)]


def test_every_command_has_its_json_record_in_the_docs(reference: ModuleType) -> None:
    assert {call.split(" --")[0] for call in reference.JSON} == set(COMMANDS)


# --- the written pages -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)", page.read_text(encoding="utf-8"))
    local = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


def command_lines(page: Path) -> list[str]:
    """The calls of the program in the code of a page, each on one line."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = re.findall(r"```(?:console|sh|bash|text)?\n(.*?)```", text, flags=re.DOTALL)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("lookalike ")] + re.findall(r"`(lookalike [^`\n]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_commands_and_flags_in_code_exist(page: Path) -> None:
    for line in command_lines(page):
        words = shlex.split(line.split("|")[0].split(">")[0], comments=True)[1:]
        commands = [name for name in COMMANDS if set(name.split()) <= {*words}]
        used = {word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        known = flags_of(commands[0] if commands else "")
        assert used <= known, line
