"""The list that an audience has already: whether another may take its place, and how that one differs."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from lookalike.data import id_lists
from lookalike.errors import SettingsError, StateError
from lookalike.expansion.audience import Audience
from lookalike.expansion.list_change import ListChange
from lookalike.expansion.manifest import ExpansionManifest
from lookalike.expansion.seed import SeedInput
from lookalike.expansion.suppression_figures import Suppression
from lookalike.workspace.files import EARLIER, next_version

MUCH_SMALLER = 0.5  # of a list, or of the ids to suppress: rather a slip than meant
NOT_LISTS = ("evaluation.json",)  # says when it was made


def earlier_manifest(folder: Path) -> ExpansionManifest | None:
    """That of the list in an audience's folder; None if there is none, or none that can be read."""
    try:
        return ExpansionManifest.read(folder / "manifest.json")
    except StateError:
        return None


def check_replacement(folder: Path, audience: Audience, seed_input: SeedInput) -> None:
    """Raises SettingsError when the list would lack much of what the one in the folder has, as it does by a slip."""
    earlier = earlier_manifest(folder)
    if earlier is None or not earlier.counts.prospects:
        return
    if lacks := [*_smaller(earlier, audience), *_less_kept_out(earlier, audience, seed_input)]:
        raise SettingsError(
            f"audiences/{audience.name} holds a list of {earlier.counts.prospects:,}, and this one would be "
            + ", ".join(lacks),
            f"--replace makes it nevertheless, and keeps the earlier one in audiences/{audience.name}/{EARLIER}; "
            "or give another --name",
        )


def _smaller(earlier: ExpansionManifest, audience: Audience) -> Iterable[str]:
    """What there would be less of. How long an `auto` list is, is not known before it is measured."""
    if not audience.size.is_auto:
        size = audience.size.among(earlier.counts.candidates)
        if size < MUCH_SMALLER * earlier.counts.prospects:
            yield f"much shorter ({size:,})"
    if earlier.audience.reasons and not audience.reasons:
        yield "without reasons (--reasons)"


def _less_kept_out(earlier: ExpansionManifest, audience: Audience, seed_input: SeedInput) -> Iterable[str]:
    """What would no longer keep people off the list."""
    before, now = earlier.audience, audience.record()
    files = Counter(file.name for file in earlier.inputs[1 : 1 + len(before.suppress)])
    files -= Counter(now.suppress)
    suppressing, others = seed_input.inputs[1 : 1 + len(now.suppress)], seed_input.inputs[1 + len(now.suppress) :]
    standing = others[len(now.negative) :]
    hashes = {file.sha256 for file in (*suppressing, *standing)}
    renamed = {file.name for file in earlier.inputs if file.sha256 in hashes}
    yield from (f"without the suppression list {name}" for name in files if name not in renamed)
    given, given_before = seed_input.suppression.given, earlier.counts.suppression.given
    if files.total() == 0 and given < MUCH_SMALLER * given_before:
        yield f"with {given:,} instead of {given_before:,} ids to suppress"
    yield from (f"not kept apart from {name}" for name in before.disjoint_from if name not in now.disjoint_from)
    yield from (f"without the condition {condition}" for condition in before.where if condition not in now.where)


def is_repeat(earlier: ExpansionManifest | None, manifest: ExpansionManifest) -> bool:
    """Whether both lists are from and with the same, and are the same."""
    return earlier is not None and _without_times(earlier) == _without_times(manifest)


def _without_times(manifest: ExpansionManifest) -> ExpansionManifest:
    lists = {name: digest for name, digest in manifest.outputs.items() if name not in NOT_LISTS}
    return manifest.model_copy(update={"created": "", "outputs": lists})


def list_change(
    folder: Path, earlier: ExpansionManifest, manifest: ExpansionManifest, listed: pl.DataFrame | None
) -> ListChange:
    """How a list (`user_id`; None if none was written) differs from the one that is in the folder still."""
    now = pl.DataFrame(schema={"user_id": pl.String}) if listed is None else listed.select("user_id")
    before = _listed_before(folder, earlier)
    return ListChange(
        kept=f"{EARLIER}/{next_version(folder)}",
        prospects_before=earlier.counts.prospects,
        prospects=manifest.counts.prospects,
        new=None if before is None else now.join(before, on="user_id", how="anti").height,
        gone=None if before is None else before.join(now, on="user_id", how="anti").height,
        suppressed_before=_suppressed(earlier.counts.suppression),
        suppressed=_suppressed(manifest.counts.suppression),
        same_seed=earlier.inputs[0].sha256 == manifest.inputs[0].sha256,
        scorer_before=earlier.audience.scorer,
        scorer=manifest.audience.scorer,
    )


def _listed_before(folder: Path, earlier: ExpansionManifest) -> pl.DataFrame | None:
    """The people on the list in the folder; None if it is damaged."""
    if not earlier.counts.prospects:
        return pl.DataFrame(schema={"user_id": pl.String})
    try:
        return id_lists.read_prospects(folder)
    except StateError:
        return None


def _suppressed(suppression: Suppression) -> int:
    return suppression.matched + suppression.alike
