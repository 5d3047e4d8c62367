"""What each part of the encoder adds: train with and without it on the task sets' own logs, evaluate on held-out days.

    python bench/ablation.py [SET …] [--only NAME …] [--out FOLDER]

Reads only what was known before the sets' cuts (events, items, users), never their truth. For each variant: recall@20 of
held-out items, and the centroid's lift@5 % on held-out audiences drawn from the log, each as a ratio to the default with a
95 % interval (paired over users, and over audiences). The variants `parts: …` need no training: they remove parts of the
default's fused vector. Writes `ablation.json` and prints Markdown; variants that the file has are not measured again.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lookalike.api.ingest import ingest
from lookalike.data import database, sequence_builder
from lookalike.data.ingest.options import IngestOptions
from lookalike.data.sequences import Sequences, Vocabulary
from lookalike.encoder import evaluation, fit_plan, next_item_metrics, pseudo_audiences
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.evaluation import EvaluationData
from lookalike.encoder.fusion import Centring, Fusion
from lookalike.encoder.fusion_tuning import prior_weights
from lookalike.encoder.model import ENCODERS
from lookalike.encoder.run_files import FusionWeights
from lookalike.encoder.trainer import Fit
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import TrainSettings

ROOT = Path(__file__).resolve().parent.parent
DATASETS = ("online_retail", "complete_journey", "toys", "sports")
DEFAULT = TrainSettings()
ENCODERS["transformer from nothing"] = replace(ENCODERS["transformer"], starts_from_content=False)
LONG_HISTORY = 200  # events
ALL_PARTS = "all parts"
VARIANTS: dict[str, TrainSettings] = {
    "default": DEFAULT,
    "encoder gru": replace(DEFAULT, encoder="gru"),
    "encoder mean": replace(DEFAULT, encoder="mean"),
    "encoder skipgram": replace(DEFAULT, encoder="skipgram"),
    "objective next_item": replace(DEFAULT, objective="next_item"),
    "objective + 0.3 episodes": replace(DEFAULT, objective="all_action+0.3*episodes"),
    "objective + 0.1 contrastive": replace(DEFAULT, objective="all_action+0.1*contrastive"),
    "objective + 0.3 reconstruct": replace(DEFAULT, objective="all_action+0.3*reconstruct"),
    "no start from content": replace(DEFAULT, encoder="transformer from nothing"),
    "no hidden hours": replace(DEFAULT, mask_hours=0),
    "no dropout of items": replace(DEFAULT, dropout=0.0),
    "no context of events": DEFAULT,
    "length 512": replace(DEFAULT, length=512),
}
Figures = dict[str, Any]  # of one variant: what `evaluate` returns, and `epoch`
ByVariant = dict[str, Figures]


def _freeze_context_at_zero(fit: Fit) -> None:
    fit.model.context.weight.requires_grad_(False).zero_()


# Variants that no setting describes: what is done to the new model before it is trained.
MODEL_CHANGES: dict[str, Callable[[Fit], None]] = {"no context of events": _freeze_context_at_zero}


# --- measuring -------------------------------------------------------------------------------------------------------


def read_log(folder: Path, scratch: Path) -> tuple[Sequences, Vocabulary]:
    """The log of a task set as arrays."""
    workspace = WorkspaceFolder(scratch / "space")
    items, users = (path if (path := folder / f"{name}.parquet").exists() else None for name in ("items", "users"))
    ingest(workspace, [folder / "events.parquet"], IngestOptions(items, users), QuietProgress())
    with database.open_in(workspace) as opened:
        return sequence_builder.build_sequences(opened, database.Cut(database.end_of_log(opened)), scratch)


def measure_variants(folder: Path, names: list[str], by_variant: ByVariant, save: Callable[[], None]) -> None:
    """Adds to `by_variant` the figures of every named variant that it lacks for one task set."""
    with tempfile.TemporaryDirectory() as scratch:
        sequences, vocabulary = read_log(folder, Path(scratch))
        for name in names:
            if name in by_variant:
                continue
            print(f"{folder.name}: {name} …", file=sys.stderr)
            fit = Fit(fit_plan.plan_fit(sequences, vocabulary, VARIANTS[name]), vocabulary, torch.device("cpu"))
            if name in MODEL_CHANGES:
                MODEL_CHANGES[name](fit)
            fit.run()
            by_variant[name] = evaluate(fit, sequences) | {"epoch": fit.progress.best_epoch}
            save()


def evaluate(fit: Fit, everything: Sequences) -> Figures:
    """Recall of each held-out user, and log lift of each held-out audience by the fused vector and by its parts."""
    weights, figures = evaluation.evaluate_encoder(fit, everything)
    data = evaluation.evaluation_data(fit, everything)
    centring = Centring.of(data.parts_of(data.candidates))
    held = fit.plan.held
    return {
        "recall": _recall(data, Embedder(data.extractor, Fusion(centring, weights))).tolist(),
        "events": np.diff(fit.plan.known.offsets)[held.users].tolist(),
        "lifts": _log_lifts(data, centring, weights),
        "figures": figures.as_json(),
        "weights": weights.as_json(),
    }


def _recall(data: EvaluationData, embedder: Embedder) -> NDArray[np.float64]:
    """Recall@20 of each held-out user."""
    plan = data.fit.plan
    scores = embedder.fusion.users(data.parts_of(plan.held.users)) @ embedder.item_vectors(plan.known).T
    hits = next_item_metrics.top_k_hits(scores, plan.held.past, plan.held.future).sum(1)
    return np.asarray(hits / np.diff(plan.held.future.indptr))


def _log_lifts(data: EvaluationData, centring: Centring, weights: FusionWeights) -> dict[str, list[float]]:
    """Log lift of each held-out audience by the centroid: of the fused vector, and of vectors without one of its parts."""
    parts, users, random_seed = data.parts_of(data.candidates), data.candidates, data.fit.plan.settings.random_seed
    spaces = {
        ALL_PARTS: weights,
        "parts: no taste": weights.model_copy(update={"taste": 1e-6}),
        "parts: no bag": weights.model_copy(update={"bag": 1e-6}),
        "parts: no activity": weights.model_copy(update={"activity": (0.0,) * len(weights.activity)}),
        "parts: untuned weights": prior_weights(),
    }
    lifts = {}
    for name, weights_of_space in spaces.items():
        scorer = pseudo_audiences.centroid_scorer(Fusion(centring, weights_of_space).users(parts), users)
        lifts[name] = pseudo_audiences.log_lifts(data.audiences[1], users, scorer, random_seed).tolist()
    return lifts


# --- the table -------------------------------------------------------------------------------------------------------


def table(by_dataset: dict[str, ByVariant]) -> str:
    """Markdown: a row for each variant, two columns for each task set."""
    lines = [f"| Variant | {' | '.join(f'{dataset} recall | {dataset} lift' for dataset in by_dataset)} |"]
    lines.append(f"| --- |{' ---: | ---: |' * len(by_dataset)}")
    lines.append(f"| default | {' | '.join(map(_default_cells, by_dataset.values()))} |")
    for name in VARIANTS:
        if name != "default" and any(name in by_variant for by_variant in by_dataset.values()):
            cells = [_variant_cells(by_variant, name) for by_variant in by_dataset.values()]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    for name in list(next(iter(by_dataset.values()))["default"]["lifts"])[1:]:
        cells = [_parts_cells(by_variant["default"], name) for by_variant in by_dataset.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *_long_history_lines(by_dataset)])


def _default_cells(by_variant: ByVariant) -> str:
    default = by_variant["default"]
    return f"{np.mean(default['recall']):.4f} | {np.exp(np.mean(default['lifts'][ALL_PARTS])):.2f}"


def _variant_cells(by_variant: ByVariant, name: str) -> str:
    if name not in by_variant:
        return "– | –"
    variant, default = by_variant[name], by_variant["default"]
    recall = recall_ratio(np.array(variant["recall"]), np.array(default["recall"]))
    return f"{recall} | {lift_ratio(variant['lifts'][ALL_PARTS], default['lifts'][ALL_PARTS])}"


def _parts_cells(default: Figures, name: str) -> str:
    return f" | {lift_ratio(default['lifts'][name], default['lifts'][ALL_PARTS])}"


def _long_history_lines(by_dataset: dict[str, ByVariant]) -> list[str]:
    """Recall with 512 events instead of 128, of the users who have so many: the most that a search over older events
    could gain."""
    lines = []
    for dataset, by_variant in by_dataset.items():
        if "length 512" in by_variant:
            is_long = np.array(by_variant["default"]["events"]) > LONG_HISTORY
            longer, default = (np.array(by_variant[name]["recall"])[is_long] for name in ("length 512", "default"))
            users = f"{is_long.sum()} held-out users with more than {LONG_HISTORY} events"
            lines.append(f"{dataset}: {users}: recall {recall_ratio(longer, default)}")
    return lines


def recall_ratio(variant: NDArray[np.float64], default: NDArray[np.float64]) -> str:
    """Mean recall / the default's with its 95 % interval, paired over users."""
    if len(variant) != len(default) or not len(variant) or not default.mean():
        return "–"
    difference = (variant - default) / default.mean()
    half_width = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    return _interval(1 + difference.mean(), 1 + difference.mean() - half_width, 1 + difference.mean() + half_width)


def lift_ratio(variant: list[float], default: list[float]) -> str:
    """Geometric-mean lift / the default's with its 95 % interval, paired over audiences, from log lifts."""
    if len(variant) != len(default) or not len(variant):
        return "–"
    difference = np.array(variant) - np.array(default)
    half_width = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    mean = difference.mean()
    return _interval(np.exp(mean), np.exp(mean - half_width), np.exp(mean + half_width))


def _interval(ratio: float, low: float, high: float) -> str:
    return f"{ratio:.2f} ({low:.2f}–{high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=DATASETS)
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS), help="variants to measure")
    parser.add_argument("--tasks", type=Path, default=ROOT.parent / "shared" / "bench" / "tasks")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench")
    options = parser.parse_args()
    file = options.out / "ablation.json"
    options.out.mkdir(parents=True, exist_ok=True)
    by_dataset: dict[str, ByVariant] = json.loads(file.read_text()) if file.exists() else {}

    def save() -> None:
        file.write_text(json.dumps(by_dataset))

    names = ["default", *(name for name in options.only if name != "default")]
    for dataset in options.datasets:
        measure_variants(options.tasks / dataset, names, by_dataset.setdefault(dataset, {}), save)
    print(table(by_dataset))


if __name__ == "__main__":
    main()
