"""Look-alike audiences from your own event log.

>>> import lookalike as la
>>> ws = la.open("client/")
>>> result = ws.expand(seed="fans.csv", size="5%")
>>> result.verdict.decision
'expand'
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from lookalike.api.expand import ExpandResult
    from lookalike.api.report import Report
    from lookalike.api.workspace import Workspace, open
    from lookalike.errors import DataError, ExpansionError, LookalikeError, SettingsError, StateError
    from lookalike.expansion.result import Band, Verdict

__all__ = [
    "Band",
    "DataError",
    "ExpandResult",
    "ExpansionError",
    "LookalikeError",
    "Report",
    "SettingsError",
    "StateError",
    "Verdict",
    "Workspace",
    "open",
]

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
