"""Settings: defaults, a file that may change them, flags that beat the file, and all faults at once."""

from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest

from lookalike.errors import SettingsError
from lookalike.workspace.settings import IngestSettings, Settings, TrainSettings, load_settings, with_flags


def write_settings(folder: Path, text: str) -> Path:
    (folder / "lookalike.toml").write_text(text, encoding="utf-8")
    return folder / "lookalike.toml"


def test_without_a_file_every_setting_has_its_default(tmp_path: Path) -> None:
    loaded = load_settings(tmp_path / "lookalike.toml")
    assert loaded == Settings()
    assert (loaded.train.dim, loaded.train.epochs, loaded.expand.confidence) == (128, None, 0.95)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_settings(write_settings(tmp_path, "")) == Settings()


def test_the_file_beats_the_default_key_by_key(tmp_path: Path) -> None:
    loaded = load_settings(write_settings(tmp_path, '[train]\nencoder = "gru"\nepochs = 3\n[expand]\ntiers = 2\n'))
    assert asdict(loaded.train) == asdict(TrainSettings()) | {"encoder": "gru", "epochs": 3}
    assert loaded.expand.tiers == 2
    assert loaded.ingest == IngestSettings()


def test_a_flag_beats_the_file(tmp_path: Path) -> None:
    section = load_settings(write_settings(tmp_path, "[train]\nepochs = 3\ndim = 64\n")).train
    changed = with_flags(section, epochs=5, dim=None, encoder=None)
    assert (changed.epochs, changed.dim, changed.encoder) == (5, 64, "transformer")


def test_a_byte_order_mark_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "lookalike.toml").write_bytes(b"\xef\xbb\xbf[train]\nepochs = 3\n")
    assert load_settings(tmp_path / "lookalike.toml").train.epochs == 3


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = write_settings(tmp_path, '[train]\nepoch = 3\ndim = 7\n[expand]\nfolds = 1\ntiers = "many"\n[x]\ny = 1\n')
    with pytest.raises(SettingsError) as raised:
        load_settings(path)
    message = raised.value.message
    assert message.startswith(f"{path}: ")
    limits = ("train.dim: must be a multiple of 8", "expand.folds: must be at least 2")
    faults = ("'train.epoch', did you mean 'epochs'?", *limits, "expand.tiers: ", "'x'")
    assert [fault for fault in faults if fault not in message] == []


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("dim", 0, "dim 0: must be at least 8"),
        ("dim", 12, "dim 12: must be a multiple of 8"),
        ("dim", 2048, "dim 2048: must be at most 1024"),
        ("epochs", 0, "epochs 0: must be at least 1"),
        ("epochs", "many", "epochs many: must be a valid integer, unable to parse string as an integer"),
        ("window_days", 0, "window 0: must be at least 1"),
        ("random_seed", -1, "random_seed -1: must be at least 0"),
        ("dropout", 1.0, "dropout 1.0: must be below 1"),
        ("learning_rate", 0.0, "learning_rate 0.0: must be above 0"),
    ],
)
def test_a_flag_out_of_range_is_a_settings_error(flag: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        with_flags(TrainSettings(), **{flag: value})
    assert raised.value.message == message


def test_all_flags_out_of_range_are_reported_at_once() -> None:
    with pytest.raises(SettingsError, match=r"^dim 0: must be at least 8; epochs 0: must be at least 1$"):
        with_flags(TrainSettings(), dim=0, epochs=0)


def test_settings_are_immutable() -> None:
    with pytest.raises((FrozenInstanceError, AttributeError)):
        Settings().train.epochs = 3  # type: ignore[misc]


def test_broken_toml_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="line 2"):
        load_settings(write_settings(tmp_path, "[train]\nepochs =\n"))


def test_a_folder_in_place_of_the_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "lookalike.toml").mkdir()
    with pytest.raises(SettingsError):
        load_settings(tmp_path / "lookalike.toml")
