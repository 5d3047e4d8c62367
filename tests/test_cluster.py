"""Ray: the same lists and vectors as one machine makes, also when a worker is lost; two nodes; a training."""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from lookalike.cli.app import main
from lookalike.embeddings import representation, writer
from lookalike.workspace.executor import Columns, Task
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.ray_executor import RayExecutor
from small_log import TRAIN, Command, Inputs

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
pytest_plugins = ("space_fixtures",)
PER_SHARD = 40  # 300 users make eight shards


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """One cluster of two processes for all tests: to start it takes seconds."""
    import ray

    # a worker cannot import what stands in a test
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])

    yield RayExecutor()
    ray.shutdown()


@pytest.fixture
def sharded(ready: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The trained workspace with its users in many shards."""
    monkeypatch.setattr(writer, "USERS_PER_SHARD", PER_SHARD)
    assert ready("embed", "--full").code == 0
    assert len(representation.live_version(WorkspaceFolder(ready.workspace)).manifest.shards) == 8
    return ready


def listed(ready: Command, inputs: Inputs, scorer: str, *before: str) -> bytes:
    ran = ready("--json", *before, "expand", "--seed", inputs.seed, "--size", "60", "--scorer", scorer, "--force")
    assert ran.code == 0, ran.err
    return Path(ran.json["prospects"]).read_bytes()


@pytest.mark.parametrize("scorer", ["logistic", "neighbours"])
def test_a_list_is_the_same_byte_for_byte(
    sharded: Command, inputs: Inputs, cluster: object, scorer: str, monkeypatch: pytest.MonkeyPatch
) -> None:

    each, asked = RayExecutor.each, list[int]()
    monkeypatch.setattr(
        RayExecutor, "each", lambda self, task, numbers: asked.extend(numbers) or each(self, task, numbers)
    )
    assert listed(sharded, inputs, scorer, "--engine", "ray") == listed(sharded, inputs, scorer)
    assert asked == list(range(8))


def test_vectors_are_the_same_byte_for_byte(sharded: Command, cluster: object) -> None:
    here = {file.name: file.read_bytes() for file in vectors(sharded)}
    ran = sharded("--engine", "ray", "embed", "--full")
    assert ran.code == 0, ran.err
    assert {file.name: file.read_bytes() for file in vectors(sharded)} == here


def vectors(command: Command) -> list[Path]:
    return sorted(representation.live_version(WorkspaceFolder(command.workspace)).folder.glob("*.npy"))


def fragile(task: Task, killed: Path, number: int) -> Columns:
    """A task whose worker dies in the middle of the pass, once."""
    if number == 3 and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task(number)


def test_a_killed_worker_costs_nothing_but_time(
    sharded: Command, inputs: Inputs, cluster: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    each, killed = RayExecutor.each, tmp_path / "killed"

    def broken(self: RayExecutor, task: Task, numbers: Sequence[int]) -> Iterator[Columns]:
        return each(self, functools.partial(fragile, task, killed), numbers)

    expected = listed(sharded, inputs, "logistic")
    monkeypatch.setattr(RayExecutor, "each", broken)
    assert listed(sharded, inputs, "logistic", "--engine", "ray") == expected
    assert killed.exists()


def test_a_task_that_always_fails_is_an_error_that_says_so(sharded: Command, inputs: Inputs, cluster: object) -> None:
    live = representation.live_version(WorkspaceFolder(sharded.workspace))
    damaged = live.folder / "sequence-00003.npy"
    damaged.write_bytes(damaged.read_bytes()[:200])
    before = sorted((sharded.workspace / "audiences").glob("*"))
    ran = sharded("--engine", "ray", "expand", "--seed", inputs.seed, "--size", "60", "--scorer", "centroid", "--force")
    assert ran.code == 4
    assert "damaged or missing" in ran.complaint[0]
    assert sorted((sharded.workspace / "audiences").glob("*")) == before


def test_a_training_that_cannot_be_says_why_as_one_process_does(ready: Command, cluster: object) -> None:
    ran = ready("--engine", "ray", "train", "--as-of", "2001-01-01")
    assert ran.code == 4, ran.err
    assert ran.complaint == ready("train", "--as-of", "2001-01-01").complaint
    assert ready("--engine", "ray", "train", "--resume").code == 2


def test_a_training_in_two_processes_makes_one_run(ready: Command, cluster: object) -> None:
    ran = ready("--json", "--engine", "ray", *TRAIN)
    assert ran.code == 0, ran.err
    assert ran.json["run"] == "r000002"
    config = json.loads((ready.workspace / "runs" / "r000002" / "config.json").read_text())
    assert config["processes"] == 2
    assert not list(ready.workspace.glob("ray-*"))


TWO_NODES = """
import os, sys
import ray
from ray.cluster_utils import Cluster
from lookalike.cli.app import main
nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
nodes.add_node(num_cpus=1)
nodes.wait_for_nodes()
code = main(["--engine", "ray", "--ray-address", nodes.address, *sys.argv[1:]])
alive = len([node for node in ray.nodes() if node["Alive"]])
sys.stdout.flush()
ray.shutdown()
nodes.shutdown()
os._exit(code if alive == 2 else 99)
"""


def test_two_nodes_on_one_machine_make_the_list_of_one(sharded: Command, inputs: Inputs) -> None:
    expected = listed(sharded, inputs, "logistic")
    shutil.rmtree(sharded.workspace / "audiences")
    words = ["--workspace", str(sharded.workspace), "--json", "expand", "--seed", str(inputs.seed), "--size", "60"]
    words += ["--scorer", "logistic", "--force"]
    ran = subprocess.run([sys.executable, "-c", TWO_NODES, *words], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert Path(json.loads(ran.stdout)["prospects"]).read_bytes() == expected


BRIDGE, NETWORK = "lookalike0", "10.213.77"


@pytest.fixture
def machines() -> Iterator[tuple[str, str]]:
    """Two network namespaces on one bridge: to Ray they are two machines. Skipped where they are not to be had."""
    names = ("lookalike-a", "lookalike-b")

    def ip(words: str) -> int:
        return subprocess.run(["ip", *words.split()], capture_output=True, check=False).returncode

    def remove() -> None:
        for name in names:
            ip(f"netns del {name}")
        ip(f"link del {BRIDGE}")

    if shutil.which("ip"):
        remove()  # what a killed test left
    if not shutil.which("ip") or os.geteuid() or ip(f"link add {BRIDGE} type bridge"):
        pytest.skip(
            "network namespaces need root, `ip` and a kernel that has them; two nodes on loopback are tested above"
        )
    try:
        made = [ip(f"addr add {NETWORK}.254/24 dev {BRIDGE}"), ip(f"link set {BRIDGE} up")]
        for number, name in enumerate(names, 1):
            made += [
                ip(f"netns add {name}"),
                ip(f"link add veth-look{number} type veth peer name eth0 netns {name}"),
                ip(f"link set veth-look{number} master {BRIDGE}"),
                ip(f"link set veth-look{number} up"),
                ip(f"-n {name} addr add {NETWORK}.{number}/24 dev eth0"),
                ip(f"-n {name} link set eth0 up"),
                ip(f"-n {name} link set lo up"),
            ]
        assert not any(made)
        yield names
    finally:
        remove()


def test_two_machines_with_a_token_make_the_list_of_one(
    sharded: Command, inputs: Inputs, machines: tuple[str, str], tmp_path: Path
) -> None:
    """The recipe of docs/scaling.md, each command on the machine it is for; one without the token is sent away."""
    expected = listed(sharded, inputs, "logistic")
    shutil.rmtree(sharded.workspace / "audiences")
    (token := tmp_path / "auth_token").write_text("a-token-that-every-machine-has-0123456789")
    tools = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_USAGE_STATS_ENABLED": "0"}
    known = tools | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    started = []

    def on(machine: str, *words: object) -> list[str]:
        return ["ip", "netns", "exec", machine, *map(str, words)]

    def node(number: int, *words: object) -> None:
        """One node of one core, for as long as the test lasts."""
        ray = (Path(sys.executable).parent / "ray", "start", "--block", "--num-cpus", 1, "--node-ip-address")
        command = on(machines[number - 1], *ray, f"{NETWORK}.{number}", *words)
        with open(tmp_path / f"node{number}.log", "wb") as said:
            started.append(subprocess.Popen(command, env=known, stdout=said, stderr=said, start_new_session=True))

    address = f"{NETWORK}.1:6379"
    lookalike = (sys.executable, "-m", "lookalike", "--engine", "ray", "--ray-address", address)
    words = ("--workspace", sharded.workspace, "--json", "expand", "--seed", inputs.seed, "--size", 60, "--force")
    words += ("--scorer", "logistic")
    try:
        node(1, "--head", "--port", 6379, "--include-dashboard", "false")
        node(2, "--address", address)
        wait_for_nodes(on(machines[0], sys.executable, "-c", NODES, address), known)
        run = functools.partial(subprocess.run, capture_output=True, text=True, timeout=300, check=False)
        ran = run(on(machines[0], *lookalike, *words), env=known)
        assert ran.returncode == 0, ran.stderr
        assert Path(json.loads(ran.stdout)["prospects"]).read_bytes() == expected
        refused = run(on(machines[0], *lookalike, *words, "--name", "x"), env=tools | {"RAY_AUTH_MODE": "disabled"})
        assert refused.returncode == 4, refused.stderr
        assert not (sharded.workspace / "audiences" / "x").exists()
    finally:
        for process in reversed(started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)


NODES = """
import sys
import ray
ray.init(address=sys.argv[1], logging_level="ERROR", log_to_driver=False)
print(len({node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}))
"""


def wait_for_nodes(count: list[str], known: dict[str, str]) -> None:
    """Until two machines are in the cluster; a minute at most."""
    for _ in range(20):
        ran = subprocess.run(count, env=known, capture_output=True, text=True, timeout=120, check=False)
        if ran.stdout.strip() == "2":
            return
        time.sleep(3)
    raise AssertionError(f"the nodes never met: {ran.stdout} {ran.stderr[-2000:]}")


def test_without_ray_one_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "lookalike.workspace.ray_executor", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["--engine", "ray", "embed"]) == 2
    said = capsys.readouterr().err
    assert "Ray is not installed" in said
    assert "lookalike[ray]" in said
    assert main(["--engine", "spark", "embed"]) == 2
    assert "local|ray" in capsys.readouterr().err


def test_sequences_are_opened_elsewhere_and_not_sent(sharded: Command, tmp_path: Path) -> None:
    from lookalike.data import database, sequence_builder
    from lookalike.data.database import Cut

    with database.open_file(WorkspaceFolder(sharded.workspace).database, read_only=True) as opened:
        arrays, _ = sequence_builder.build_sequences(opened, Cut(database.end_of_log(opened)), tmp_path)
    make, parts = arrays.__reduce__()
    assert all(column.array is None for column in parts[2].values())
    again = make(*parts)
    for name, column in arrays.columns.items():
        assert np.array_equal(column, again.columns[name], equal_nan=column.dtype.kind == "f")
    live = representation.live_version(WorkspaceFolder(sharded.workspace))
    live.raw(np.arange(10))
    assert live.__reduce__()[1] == (live.folder.resolve(), live.manifest, None)  # and none of the files it has open
