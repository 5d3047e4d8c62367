"""The verb `overlap`: how many people the lists of several audiences share."""

from lookalike.campaigns.overlap import OverlapResult, list_overlap
from lookalike.data import id_lists
from lookalike.errors import SettingsError
from lookalike.workspace.paths import WorkspaceFolder


def overlap(folder: WorkspaceFolder, names: list[str]) -> OverlapResult:
    """The overlap of the lists of two or more audiences. Raises StateError when one has no list."""
    distinct = list(dict.fromkeys(names))
    if len(distinct) < 2:
        raise SettingsError("two different audiences are needed", id_lists.lists_hint(folder.audiences))
    return list_overlap({name: id_lists.read_prospects(folder.audience(name)) for name in distinct})
