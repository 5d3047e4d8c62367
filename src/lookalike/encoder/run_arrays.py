"""The fitted arrays of a run, read without its weights: a command that only ranks needs no torch."""

from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from lookalike.encoder.run_files import FITTED_FILE, HINT, check_files
from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder, checked_name

Arrays = dict[str, NDArray[Any]]


def load_run_arrays(workspace: WorkspaceFolder, name: str, prefix: str) -> Arrays:
    """The arrays of a run whose names start with `prefix`, without it; none when the run is not here any more."""
    folder = workspace.runs / checked_name(name)
    if not folder.is_dir():
        return {}
    check_files(folder, (FITTED_FILE,))
    path = folder / FITTED_FILE
    try:
        with safe_open(path, "numpy") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118 - it is not a dict
            return {name.removeprefix(prefix): file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        raise StateError(f"{path}: damaged ({error})", HINT) from error
