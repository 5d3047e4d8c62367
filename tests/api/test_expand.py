"""The verb `expand` with definition files."""

from small_log import Command, Inputs

pytest_plugins = ("space_fixtures",)


def test_switches_of_a_definition_hold_unless_a_flag_replaces_them(ready: Command, inputs: Inputs) -> None:
    definition = inputs.folder / "explained.toml"
    definition.write_text('seed = "fans.csv"\nsize = 40\nscorer = "centroid"\nreasons = true\nbalance = true\n')
    ran = ready("expand", definition, "--force")
    assert ran.code == 0, ran.err
    assert (ready.workspace / "audiences" / "explained" / "reasons.csv").exists()
    assert "nothing to balance" in ran.err
