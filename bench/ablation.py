"""What each part of the encoder adds: trained with and without it on task sets' own logs, judged on held-out days.

    python bench/ablation.py [SET …] [--only NAME …] [--out FOLDER]

Reads only what was known before the sets' cuts (events, items, users), never their truth. Of every variant: recall@20 of
held-out items and the centroid's lift@5 % on held-out audiences drawn from the log, each beside the default's as a ratio
with a 95 % interval (paired over users, and over audiences). `parts` needs no training: it takes parts of the default's
fused vector away. Writes `ablation.json` and prints Markdown; what is there already is not measured again.
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

from lookalike.api import ingest
from lookalike.data import database, sequence_builder, sequences
from lookalike.data.ingest.options import IngestOptions
from lookalike.encoder import evaluation, fit_plan, next_item_metrics, pseudo_audiences
from lookalike.encoder.embedder import Embedder
from lookalike.encoder.fusion import Centring, Fusion
from lookalike.encoder.fusion_tuning import prior_weights
from lookalike.encoder.model import ENCODERS
from lookalike.encoder.trainer import Fit
from lookalike.workspace.paths import WorkspaceFolder
from lookalike.workspace.progress import QuietProgress
from lookalike.workspace.settings import TrainSettings

ROOT = Path(__file__).resolve().parent.parent
DEFAULT = TrainSettings()
ENCODERS["transformer from nothing"] = replace(ENCODERS["transformer"], starts_from_content=False)
LONG = 200
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
# Changes that are no setting: what is done to the fresh model before it is trained.
CHANGES: dict[str, Callable[[Fit], None]] = {
    "no context of events": lambda fit: _silence(fit),
}


def _silence(fit: Fit) -> None:
    fit.model.context.weight.requires_grad_(False).zero_()


def read(folder: Path, scratch: Path) -> tuple[sequences.Sequences, sequences.Vocabulary]:
    """A task set's log as arrays."""
    workspace = WorkspaceFolder(scratch / "space")
    items, users = (path if (path := folder / f"{name}.parquet").exists() else None for name in ("items", "users"))
    ingest.ingest(workspace, [folder / "events.parquet"], IngestOptions(items, users), QuietProgress())
    with database.open_in(workspace) as opened:
        return sequence_builder.build_sequences(opened, database.Cut(database.end_of_log(opened)), scratch)


def judged(fit: Fit, everything: sequences.Sequences) -> dict[str, Any]:
    """Recall of each held-out user and log lift of each held-out audience, of the fused vector and of its parts."""
    weights, figures = evaluation.evaluate_encoder(fit, everything)
    data = evaluation.evaluation_data(fit, everything)
    parts, users, seed = data.parts_of(data.candidates), data.candidates, fit.plan.settings.random_seed
    centring = Centring.of(parts)
    spaces = {
        "all parts": weights,
        "parts: no taste": weights.model_copy(update={"taste": 1e-6}),
        "parts: no bag": weights.model_copy(update={"bag": 1e-6}),
        "parts: no activity": weights.model_copy(update={"activity": (0.0,) * len(weights.activity)}),
        "parts: untuned weights": prior_weights(),
    }
    lifts = {}
    for name, weights_of_space in spaces.items():
        scorer = pseudo_audiences.centroid_scorer(Fusion(centring, weights_of_space).users(parts), users)
        lifts[name] = pseudo_audiences.log_lifts(data.audiences[1], users, scorer, seed).tolist()
    fused = Embedder(data.extractor, Fusion(centring, weights))
    items = fused.item_vectors(fit.plan.known)
    held = fit.plan.held
    scores = fused.fusion.users(data.parts_of(held.users)) @ items.T
    hits = next_item_metrics.top_k_hits(scores, held.past, held.future).sum(1) / np.diff(held.future.indptr)
    events = np.diff(fit.plan.known.offsets)[held.users]
    return {
        "recall": hits.tolist(),
        "events": events.tolist(),
        "lifts": lifts,
        "figures": figures.as_json(),
        "weights": weights.as_json(),
    }


def measure(folder: Path, only: list[str], known: dict[str, Any], keep: Callable[[], None]) -> None:
    """Fills `known` with every variant that is missing for one task set."""
    with tempfile.TemporaryDirectory() as scratch:
        arrays, vocabulary = read(folder, Path(scratch))
        for name in only:
            if name in known:
                continue
            fit = Fit(fit_plan.plan_fit(arrays, vocabulary, VARIANTS[name]), vocabulary, torch.device("cpu"))
            if name in CHANGES:
                CHANGES[name](fit)
            fit.run()
            known[name] = judged(fit, arrays) | {"epoch": fit.progress.best_epoch}
            keep()


def ratio(ours: NDArray[np.float64], default: NDArray[np.float64], logs: bool) -> str:
    """One figure beside the default's: ratio and 95 % interval, paired."""
    if len(ours) != len(default) or not len(ours):
        return "–"
    if logs:
        difference = ours - default
        half = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
        return f"{np.exp(difference.mean()):.2f} ({np.exp(difference.mean() - half):.2f}–{np.exp(difference.mean() + half):.2f})"
    if not default.mean():
        return "–"
    difference = (ours - default) / default.mean()
    half = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    return f"{1 + difference.mean():.2f} ({1 + difference.mean() - half:.2f}–{1 + difference.mean() + half:.2f})"


def table(found: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row a variant, a column a task set and figure."""
    sets = list(found)
    lines = [f"| Variant | {' | '.join(f'{one} recall | {one} lift' for one in sets)} |"]
    lines.append(f"| --- |{' ---: | ---: |' * len(sets)}")
    plain = [_plain(found[one]) for one in sets]
    lines.append(f"| default | {' | '.join(plain)} |")
    names = [name for name in VARIANTS if name != "default" and any(name in one for one in found.values())]
    for name in names:
        lines.append(f"| {name} | {' | '.join(_beside(found[one], name) for one in sets)} |")
    for name in list(next(iter(found.values()))["default"]["lifts"])[1:]:
        lines.append(f"| {name} | {' | '.join(_part(found[one]['default'], name) for one in sets)} |")
    return "\n".join([*lines, "", *_long(found)])


def _long(found: dict[str, dict[str, Any]]) -> list[str]:
    """What reading further back than 128 events, exactly, does for those who have that much: the ceiling of any search."""
    lines = []
    for one, variants in found.items():
        if "length 512" in variants:
            long = np.array(variants["default"]["events"]) > LONG
            pair = [np.array(variants[name]["recall"])[long] for name in ("length 512", "default")]
            lines.append(
                f"{one}: {long.sum()} held-out users of over {LONG} events: recall {ratio(pair[0], pair[1], False)}"
            )
    return lines


def _plain(one: dict[str, Any]) -> str:
    default = one["default"]
    return f"{np.mean(default['recall']):.4f} | {np.exp(np.mean(default['lifts']['all parts'])):.2f}"


def _beside(one: dict[str, Any], name: str) -> str:
    if name not in one:
        return "– | –"
    recalls = [np.array(one[of]["recall"]) for of in (name, "default")]
    lifts = [np.array(one[of]["lifts"]["all parts"]) for of in (name, "default")]
    return f"{ratio(recalls[0], recalls[1], False)} | {ratio(lifts[0], lifts[1], True)}"


def _part(default: dict[str, Any], name: str) -> str:
    return f" | {ratio(np.array(default['lifts'][name]), np.array(default['lifts']['all parts']), True)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="*", default=["online_retail", "complete_journey", "toys", "sports"])
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--tasks", type=Path, default=ROOT.parent / "shared" / "bench" / "tasks")
    parser.add_argument("--out", type=Path, default=ROOT / ".bench")
    options = parser.parse_args()
    file = options.out / "ablation.json"
    options.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    for name in options.datasets:
        only = ["default", *(one for one in options.only if one != "default")]
        measure(
            options.tasks / name,
            only,
            found.setdefault(name, {}),
            lambda: print(file.write_text(json.dumps(found)), end="\r", file=sys.stderr),
        )
    print(table(found))


if __name__ == "__main__":
    main()
