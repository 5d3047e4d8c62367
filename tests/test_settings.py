"""Settings: one default each, a file that may change them, and every fault of it at once."""

from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest

from lookalike.errors import SettingsError
from lookalike.workspace import settings


def wrote(folder: Path, text: str) -> Path:
    (folder / "lookalike.toml").write_text(text, encoding="utf-8")
    return folder / "lookalike.toml"


def test_without_a_file_everything_is_its_default(tmp_path: Path) -> None:
    found = settings.load_settings(tmp_path / "lookalike.toml")
    assert found == settings.Settings()
    assert (found.train.dim, found.train.epochs, found.expand.confidence) == (128, None, 0.95)


def test_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert settings.load_settings(wrote(tmp_path, "")) == settings.Settings()


def test_file_beats_the_default_and_leaves_the_rest(tmp_path: Path) -> None:
    found = settings.load_settings(wrote(tmp_path, '[train]\nencoder = "gru"\nepochs = 3\n[expand]\ntiers = 2\n'))
    assert asdict(found.train) == asdict(settings.TrainSettings()) | {"encoder": "gru", "epochs": 3}
    assert found.expand.tiers == 2
    assert found.ingest == settings.IngestSettings()


def test_flag_beats_the_file(tmp_path: Path) -> None:
    section = settings.load_settings(wrote(tmp_path, "[train]\nepochs = 3\ndim = 64\n")).train
    found = settings.with_flags(section, epochs=5, dim=None, encoder=None)
    assert (found.epochs, found.dim, found.encoder) == (5, 64, "transformer")


def test_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "lookalike.toml").write_bytes(b"\xef\xbb\xbf[train]\nepochs = 3\n")
    assert settings.load_settings(tmp_path / "lookalike.toml").train.epochs == 3


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    path = wrote(tmp_path, '[train]\nepoch = 3\ndim = 7\n[expand]\nfolds = 1\ntiers = "many"\n[x]\ny = 1\n')
    with pytest.raises(SettingsError) as raised:
        settings.load_settings(path)
    message = raised.value.message
    assert message.startswith(f"{path}: ")
    faults = ("'train.epoch', did you mean 'epochs'?", "train.dim: ", "expand.folds: ", "expand.tiers: ", "'x'")
    assert [fault for fault in faults if fault not in message] == []


@pytest.mark.parametrize(
    ("flag", "value"),
    [("dim", 0), ("dim", 12), ("dim", 2048), ("epochs", 0), ("window_days", 0), ("random_seed", -1), ("length", 3)],
)
def test_flag_out_of_range_is_refused(flag: str, value: int) -> None:
    with pytest.raises(SettingsError, match=f"the flags: {flag}: "):
        settings.with_flags(settings.TrainSettings(), **{flag: value})


def test_settings_cannot_be_changed_in_place() -> None:
    with pytest.raises((FrozenInstanceError, AttributeError)):
        settings.Settings().train.epochs = 3  # type: ignore[misc]


def test_toml_that_is_broken_says_where(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="line 2"):
        settings.load_settings(wrote(tmp_path, "[train]\nepochs =\n"))


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lookalike.toml").mkdir()
    with pytest.raises(SettingsError):
        settings.load_settings(tmp_path / "lookalike.toml")
