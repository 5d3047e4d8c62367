"""The house keeps its rules: packages and what they may import, where libraries stay, nothing prints, a light start."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lookalike

SOURCE = Path(lookalike.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

# From the ground up: what each top-level name may import besides itself. Reporting may only import modules of results.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "workspace": {"errors"},
    "data": {"errors", "workspace"},
    "embeddings": {"errors", "workspace", "data"},
    "encoder": {"errors", "workspace", "data", "embeddings"},
    "expansion": {"errors", "workspace", "data", "embeddings", "encoder"},
    "campaigns": {"errors", "workspace", "data", "embeddings", "encoder", "expansion"},
    "reporting": {"errors"},
    "api": {"errors", "workspace", "data", "embeddings", "encoder", "expansion", "campaigns", "reporting"},
    "cli": {"errors", "api", "reporting"},
}
ROOT_MODULES = {"__init__", "__main__"}
# Modules that define results, messages and constants for people: reporting and cli may import them from anywhere.
RESULTS = {
    "lookalike.workspace.progress",
    "lookalike.data.ingest.results",
    "lookalike.data.standing_lists",
    "lookalike.encoder.block_figures",
    "lookalike.encoder.results",
    "lookalike.expansion.result",
    "lookalike.expansion.seed_summary",
    "lookalike.expansion.slice_figures",
    "lookalike.expansion.suppression_figures",
    "lookalike.expansion.list_change",
    "lookalike.expansion.manifest",
    "lookalike.expansion.summary",
    "lookalike.expansion.messages",
    "lookalike.campaigns.overlap",
}
ONLY_IN = {
    "ray": {"workspace/ray_executor.py"},
    "torch": {"encoder/"},
    "duckdb": {"data/"},
    "rich": {"cli/"},
    "typer": {"cli/"},
    "faiss": {"expansion/"},
    "jinja2": {"reporting/page.py"},
    "vl_convert": {"reporting/page.py"},
}
HEAVY = ("torch", "polars", "duckdb", "faiss", "sklearn", "scipy", "pyarrow", "numpy")  # Typer itself imports pydantic


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Every module that the nodes import, in full."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            assert node.module
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                is_module = node.module.startswith("lookalike") and (
                    (SOURCE.parent / module.replace(".", "/")).with_suffix(".py").exists()
                    or (SOURCE.parent / module.replace(".", "/")).is_dir()
                )
                yield module if is_module else node.module


def all_imports(path: Path) -> set[str]:
    return set(imports(ast.walk(tree(path))))


def top_level_imports(path: Path) -> set[str]:
    """Without those inside functions and of type checking."""
    return set(imports(iter(tree(path).body)))


def test_the_package_exports_few_names_and_each_of_them_exists() -> None:
    assert len(lookalike.__all__) == 11
    assert sorted(lookalike.__all__) == lookalike.__all__
    assert all(getattr(lookalike, name).__module__.startswith("lookalike.") for name in lookalike.__all__)
    typed = {
        node.name for node in ast.walk(tree(SOURCE / "__init__.py")) if isinstance(node, ast.alias) and node.asname
    }
    assert typed == {*lookalike.__all__}, "type checkers see the same names"
    assert dir(lookalike) == sorted([*lookalike.__all__, "__version__"])
    with pytest.raises(AttributeError, match="has no attribute 'expnd'"):
        _ = lookalike.expnd
    assert re.fullmatch(r"\d+\.\d+\.\d+", lookalike.__version__)


def test_there_are_ten_top_level_names() -> None:
    assert {package_of(path) for path in MODULES} - ROOT_MODULES == set(MAY_IMPORT)
    assert len(MAY_IMPORT) == 10


@pytest.mark.parametrize("name", [name for name in MAY_IMPORT if name != "errors"])
def test_a_package_says_what_it_holds_and_what_it_may_import(name: str) -> None:
    docstring = ast.get_docstring(tree(SOURCE / name / "__init__.py"))
    assert docstring is not None
    assert re.search(r"^May import: .+\.$", docstring, re.MULTILINE | re.DOTALL)
    assert len(tree(SOURCE / name / "__init__.py").body) == 1, "nothing is re-exported"


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent != SOURCE], ids=relative)
def test_imports_point_down(path: Path) -> None:
    package = package_of(path)
    allowed = MAY_IMPORT[package] | {package}
    also = RESULTS if package in ("reporting", "cli") else set()
    for module in all_imports(path):
        if not module.startswith("lookalike.") or module in also:
            continue
        assert module.split(".")[1] in allowed, module


def test_modules_have_no_circle() -> None:
    """Of imports that run when a module is loaded."""
    known = {relative(path): path for path in MODULES}
    graph = {}
    for name, path in known.items():
        targets = set()
        for module in top_level_imports(path):
            file = module.removeprefix("lookalike.").replace(".", "/") + ".py"
            package = module.removeprefix("lookalike.").replace(".", "/") + "/__init__.py"
            targets |= {target for target in (file, package) if target in known} - {name}
        graph[name] = targets
    # a package of a registry imports its members, which may import each other, but not the registry
    while free := {name for name, needed in graph.items() if not needed & graph.keys()}:
        graph = {name: needed for name, needed in graph.items() if name not in free}
    assert graph == {}


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    """Torch may be imported inside functions elsewhere."""
    find = top_level_imports if library == "torch" else all_imports
    users = {relative(path) for path in MODULES if any(module.split(".")[0] == library for module in find(path))}
    strangers = {user for user in users if not user.startswith(tuple(ONLY_IN[library]))}
    assert strangers == set()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_nothing_prints_and_nothing_loaded_can_run(path: Path) -> None:
    assert not {name.split(".")[0] for name in all_imports(path)} & {
        "pickle", "cPickle", "dill", "joblib", "shelve", "marshal",
    }  # fmt: skip
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "eval", "exec", "compile", "__import__", "input"), node.lineno
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert ast.unparse(node.func) not in ("torch.load", "torch.save", "os.system"), node.lineno
        if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell", "trust_remote_code"):
            assert ast.unparse(node.value) == "False", node.lineno


def test_only_the_command_line_touches_the_terminal() -> None:
    touching = {
        relative(path)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("sys.stdout", "sys.stderr")
    }
    assert touching == {"cli/app.py", "cli/console.py", "cli/failure.py", "cli/process.py"}


def test_only_the_command_line_catches_everything() -> None:
    wide = {
        relative(path)
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception")
    }
    assert wide == {"cli/app.py"}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_is_short_and_named_for_what_it_holds(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    assert path.stem not in ("utils", "util", "common", "helpers", "base", "misc")
    docstring = ast.get_docstring(tree(path))
    assert docstring
    assert "TODO" not in docstring


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_uses_anothers_private_names(path: Path) -> None:
    private = [
        alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lookalike")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert private == []


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_bare_dict_of_anything_is_returned_to_another_package(path: Path) -> None:
    """Public functions give typed values; only reporting's page and charts build plain dicts, and files are JSON."""
    if relative(path) in ("workspace/files.py", "workspace/records.py", "workspace/settings.py"):
        return
    if package_of(path) == "reporting":
        return
    untyped = [
        node.name
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.returns is not None
        if "dict[str, Any]" in ast.unparse(node.returns)
    ]
    assert untyped == []


@pytest.mark.parametrize(
    "code",
    ["import lookalike", *(f"from lookalike.cli.app import main; main({words!r})" for words in (
        ["--help"], ["--version"], ["expand", "--help"], ["no-such-command"],
    ))],
)  # fmt: skip
def test_the_start_is_light(code: str) -> None:
    show = f"import sys; sys.stderr.write('loaded ' + repr(sorted(set({HEAVY!r}) & set(sys.modules))))"
    run = subprocess.run([sys.executable, "-c", f"{code}\n{show}"], capture_output=True, text=True, check=True)
    assert run.stderr.splitlines()[-1] == "loaded []"
