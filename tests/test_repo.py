"""The code keeps its own rules: layers, libraries, no printing, nothing that can run a stranger's code, docs that are true."""

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
from typer.main import get_command

import lookalike
from lookalike.cli import app
from lookalike.workspace import settings

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "lookalike"
MODULES = sorted(SOURCE.rglob("*.py"))

# From the ground up: a module may import those of its own layer and of the layers before it.
LAYERS: dict[str, tuple[str, ...]] = {
    "ground": ("errors", "workspace", "talk", "provenance", "engine"),
    "definitions": ("events", "settings", "audience"),
    "data": ("store", "deeds", "numbering", "ingest", "sequences", "features", "embeddings", "shards", "fitted", "runs", "lists"),
    "kernels": (
        "encoders", "losses", "metrics", "linear", "orders", "sieve", "scoring", "ranking", "batches", "objectives",
        "processes",
    ),
    "method": (
        "next_items", "pseudo_audiences", "fusion", "training", "transfer", "embedder", "priors", "judging", "checkpoints",
        "evaluation", "leakage", "portrait", "verdicts", "diagnosis", "scan", "expansion", "moments", "backtest",
        "reasons", "insights", "records",
    ),
    "outputs": ("report", "tables"),
    "verbs": ("pipeline", "learn", "refresh", "seeding", "listing", "prospecting", "cluster"),
    "edge": ("console", "edge", "cli", "__main__"),
}  # fmt: skip
LEVEL = {module: level for level, modules in enumerate(LAYERS.values()) for module in modules}
ONLY_IN = {
    "ray": {"cluster"},
    "duckdb": {"store", "ingest"},
    "rich": {"console", "tables", "report"},
    "typer": {"cli"},
    "faiss": set(LAYERS["kernels"]) | set(LAYERS["method"]),
}
HEAVY = ("torch", "polars", "duckdb", "faiss", "sklearn", "scipy", "pyarrow", "numpy")


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def module_of(path: Path) -> str:
    """The name that stands in the table of layers: a package counts as one module."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever in it, in full; of `from lookalike import x` that is lookalike.x."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module
            own = node.module == "lookalike"
            yield from (f"lookalike.{alias.name}" if own else node.module for alias in node.names)


def ours(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imported(path) if name.startswith("lookalike.")}
    return {name for name in names if not name.startswith("__")}


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def test_every_module_has_a_layer_and_every_layer_its_modules() -> None:
    assert {module_of(path) for path in MODULES} - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_point_down_or_sideways(path: Path) -> None:
    level = LEVEL.get(module_of(path), 0)
    assert {name for name in ours(path) if LEVEL[name] > level} == set()


def test_layers_have_no_circle() -> None:
    known = {module: set[str]() for module in LEVEL}
    for path in MODULES:
        if (module := module_of(path)) in known:
            known[module] |= ours(path) - {module}
    while free := {module for module, needed in known.items() if not needed & known.keys()}:
        known = {module: needed for module, needed in known.items() if module not in free}
    assert known == {}


@pytest.mark.parametrize("library", ONLY_IN)
def test_library_stays_where_it_belongs(library: str) -> None:
    users = {module_of(path) for path in MODULES for name in imported(path) if name.split(".")[0] == library}
    assert users <= ONLY_IN[library]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_nothing_prints_and_nothing_loaded_can_run(path: Path) -> None:
    imports = {name.split(".")[0] for name in imported(path)}
    assert not imports & {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "eval", "exec", "compile", "__import__", "input"), node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            assert called not in ("torch.load", "torch.save", "os.system"), node.lineno
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell", "trust_remote_code"):
            assert ast.unparse(node.value) == "False", node.lineno


def test_only_the_edge_touches_the_terminal() -> None:
    touching = {
        module_of(path)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr")
    }
    assert touching <= set(LAYERS["edge"])


def test_only_the_command_line_catches_whatever_comes() -> None:
    wide = {
        module_of(path)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    }
    assert wide <= {"cli"}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_module_is_short_and_named_for_what_it_holds(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in ("utils", "util", "common", "helpers", "base", "misc")


def test_package_shows_few_names() -> None:
    assert len([name for name in vars(lookalike) if not name.startswith("_")]) <= 8 + len(
        LEVEL
    )  # modules once imported
    assert re.fullmatch(r"\d+\.\d+\.\d+", lookalike.__version__)


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["expand", "--help"], ["no-such-command"]])
def test_start_is_light(words: list[str]) -> None:
    code = (
        f"import sys\nfrom lookalike.cli import main\nmain({words!r})\n"
        f"sys.stderr.write('loaded ' + repr(sorted(set({HEAVY!r}) & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "loaded []"


# --- the docs --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_reference_is_what_the_program_says(reference: ModuleType) -> None:
    for path, text in reference.pages().items():
        assert path.read_text(encoding="utf-8") == text, "python docs/make_reference.py writes it anew"


def test_every_command_and_flag_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    root = get_command(app.app)
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        flags = [
            flag for parameter in command.params if parameter.param_type_name == "option" for flag in parameter.opts
        ]
        assert [flag for flag in flags if flag not in section] == []
    assert all(flag in text for parameter in root.params for flag in parameter.opts)


def test_every_flag_and_setting_says_what_it_is_for(reference: ModuleType) -> None:
    root = get_command(app.app)
    commands = [root, *root.commands.values()]  # type: ignore[attr-defined]
    assert [p.name for command in commands for p in command.params if not p.help] == []
    for section in fields(settings.Settings):
        for field in fields(section.type):  # type: ignore[arg-type]
            assert getattr(field.default, "description", None), f"{section.name}.{field.name} has no description"


def test_every_setting_is_in_the_docs() -> None:
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for section in fields(settings.Settings):
        part = text.split(f"## [{section.name}]")[1].split("\n## ")[0]
        assert all(f"| `{field.name}` |" in part for field in fields(section.type))  # type: ignore[arg-type]


def test_every_key_of_a_definition_is_in_the_docs(reference: ModuleType) -> None:
    from lookalike.expansion.audience import _Definition

    assert list(reference.DEFINITION) == [field.name for field in fields(_Definition)]


PAGES = sorted({ROOT / "README.md", *ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("sample_data/**/*.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_of_the_docs_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)", page.read_text(encoding="utf-8"))
    near = [link.split("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in near if not (page.parent / link).exists()] == []
