"""What a run has fitted besides its weights, read without them: a command that only ranks needs no torch."""

from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from lookalike.errors import StateError
from lookalike.workspace.paths import WorkspaceFolder, checked_name

FITTED_FILE = "fitted.safetensors"


Arrays = dict[str, NDArray[Any]]


def load_run_arrays(workspace: WorkspaceFolder, name: str, start: str) -> Arrays:
    """The fitted arrays of a run whose names begin so, without them; none where the run is not here any more."""
    file = workspace.runs / checked_name(name) / FITTED_FILE
    if not file.exists():
        return {}
    try:
        with safe_open(file, "numpy") as arrays:
            names = [one for one in arrays.keys() if one.startswith(start)]  # noqa: SIM118 - it is no dict
            return {one.removeprefix(start): arrays.get_tensor(one) for one in names}
    except (OSError, SafetensorError) as error:
        raise StateError(f"{file}: damaged ({error})", "lookalike train makes a new run") from error
