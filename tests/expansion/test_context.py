"""The context of an expansion: what is opened once, and which events the stored vectors were made from."""

from pathlib import Path

import numpy as np

from expansion_context import opened_context
from lookalike.data.database import Cut
from small_log import user_ids

pytest_plugins = ("space_fixtures",)


def test_the_index_is_made_once_and_finds_the_users_of_the_representation(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        assert context.index is context.index
        ids = context.index.ids(np.arange(context.representation.users))
        assert sorted(ids) == sorted(user_ids())
        match = context.index.match({"all": ids.to_frame("user_id")})["all"]
        assert match.rows.tolist() == list(range(len(ids)))


def test_the_cut_is_that_of_the_stored_vectors(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        manifest = context.representation.manifest
        assert context.cut == Cut(manifest.as_of, 1)  # whoever has no event has no history to read
        assert manifest.min_events == 0


def test_the_run_of_the_stored_vectors_is_loaded_once(trained_space: Path) -> None:
    with opened_context(trained_space) as context:
        assert context.run is context.run
        assert context.run.name == context.representation.manifest.run
