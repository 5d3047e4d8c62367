"""Look-alike audiences from your own event log.

>>> import lookalike as la
>>> ws = la.open("client/")
>>> result = ws.expand(seed="fans.csv", size="5%")
>>> result.verdict.decision
'expand'
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:  # "as": so that type checkers take them for public names
    from lookalike.api.expand import ExpandResult as ExpandResult
    from lookalike.api.report import Report as Report
    from lookalike.api.workspace import Workspace as Workspace
    from lookalike.api.workspace import open as open
    from lookalike.errors import DataError as DataError
    from lookalike.errors import ExpansionError as ExpansionError
    from lookalike.errors import LookalikeError as LookalikeError
    from lookalike.errors import SettingsError as SettingsError
    from lookalike.errors import StateError as StateError
    from lookalike.expansion.result import Band as Band
    from lookalike.expansion.result import Verdict as Verdict

_HOMES = {
    "Band": "lookalike.expansion.result",
    "DataError": "lookalike.errors",
    "ExpandResult": "lookalike.api.expand",
    "ExpansionError": "lookalike.errors",
    "LookalikeError": "lookalike.errors",
    "Report": "lookalike.api.report",
    "SettingsError": "lookalike.errors",
    "StateError": "lookalike.errors",
    "Verdict": "lookalike.expansion.result",
    "Workspace": "lookalike.api.workspace",
    "open": "lookalike.api.workspace",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: `import lookalike` itself loads nothing heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lookalike' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
