"""The verb `report`: the lift report of one expansion."""

import errno
from pathlib import Path

from lookalike.api.status import REPORT_PAGE, expansions
from lookalike.errors import StateError, system_errors
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.result import Evaluation
from lookalike.workspace.files import sha256, write_text
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.records import Record


class Report(Record):
    """A lift report. In a notebook it shows itself; `html` is the page, `save` writes it.

    >>> report = ws.report("fans")
    >>> report.evaluation.verdict.decision
    'expand'
    >>> report.save("lift.html").name
    'lift.html'
    """

    evaluation: Evaluation
    path: Path | None = None  # where the page was written; None where nothing can be

    @property
    def html(self) -> str:
        """The self-contained page."""
        from lookalike.reporting.page import page

        return page(self.evaluation)

    @system_errors()
    def save(self, path: str | Path) -> Path:
        """Writes the page; gives its path. Raises StateError where the system does not allow it."""
        write_text(Path(path), self.html)
        return Path(path)

    def _repr_html_(self) -> str:
        """The page in a frame of its own, so that its style does not leak into the notebook."""
        from html import escape

        return (
            f'<iframe srcdoc="{escape(self.html)}" sandbox="allow-scripts" width="100%" height="900" '
            'style="border: 0"></iframe>'
        )


def report(folder: WorkspaceFolder, name: str | None = None) -> Report:
    """Writes the page of one expansion, the newest if not named; where the folder cannot be written, or is a link, only
    gives the figures. Raises StateError if there is no expansion."""
    folder.clean_up()
    target = folder.audience(name or _newest(folder))
    if not (target / "evaluation.json").exists():
        known = ", ".join(expansion.name for expansion in expansions(folder)) or "none"
        raise StateError(f"no expansion is called {name!r}", f"known: {known}")
    evaluation = _read(target)
    made = Report(evaluation=evaluation)
    html = made.html
    try:
        written = _is_written(folder, target, evaluation, html)
    except FileNotFoundError:  # a command that began just now took the unfinished page for a left-over
        written = _is_written(folder, target, evaluation, html)
    return made.model_copy(update={"path": target / REPORT_PAGE}) if written else made


def _is_written(folder: WorkspaceFolder, target: Path, evaluation: Evaluation, html: str) -> bool:
    """Without the lock, so that a report can be had during a training: an expansion that ended meanwhile has precedence."""
    if _read(target) != evaluation:
        raise StateError(f"{target}: was expanded again just now", f"lookalike report {target.name}")
    if not folder.holds(target):
        return False
    try:
        write_text(target / REPORT_PAGE, html)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        return False
    return True


def _read(target: Path) -> Evaluation:
    """The evaluation of an expansion. Raises StateError if it was changed after it was written."""
    file, manifest = target / "evaluation.json", ExpansionManifest.read(target / "manifest.json")
    evaluation = Evaluation.read(file)
    if sha256(file) != manifest.outputs.get(file.name):
        raise StateError(f"{file}: was changed after it was written", "lookalike expand writes it again")
    return evaluation


def _newest(folder: WorkspaceFolder) -> str:
    made = expansions(folder)
    if not made:
        raise StateError("nothing was expanded in this workspace", "lookalike expand --seed seed.csv --size 5%")
    return max(made, key=lambda expansion: expansion.created).name
