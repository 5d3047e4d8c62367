"""The lift report as one HTML page that fetches nothing from any network."""

import base64
import functools
import hashlib
import json
import math
from typing import Any

from lookalike.expansion.result import Evaluation
from lookalike.reporting import backtest_section, content, encoder_section, seed_section, slices_section
from lookalike.reporting.charts import charts
from lookalike.reporting.formatting import clean, label, moment, people, percent
from lookalike.reporting.messages import sentence
from lookalike.reporting.over_index import trait_groups
from lookalike.reporting.rule_section import looked_for, measurement_explained
from lookalike.reporting.vega import Spec
from lookalike.reporting.verdict_text import verdict_text

VEGA_LITE = "6.1"
STATIC_WIDTH = 720
# What <script> may not hold as text: an end tag, a comment, and the two line ends that old JavaScript breaks at.
UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page(evaluation: Evaluation) -> str:
    """The page, the same for the same evaluation; styles, scripts and charts are part of it."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("lookalike.reporting", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    specs = charts(evaluation)
    style, library, start = asset("style.css"), vega_script(), asset("charts.js")
    parts = view(evaluation) | {
        "policy": content_policy([library, start], [style]),
        "style": Markup(style),
        "scripts": [Markup(library), Markup(start)],
        "specs": Markup(json_in_script(specs)),
        "pictures": {name: Markup(static_picture(spec)) for name, spec in specs.items()},
    }
    return environment.get_template("page.html.j2").render(parts)


def view(evaluation: Evaluation) -> dict[str, Any]:
    """Everything the template shows, as text."""
    described = evaluation.prospect_list
    comparison = described.over_index if described else None
    return {
        "name": label(evaluation.name, 80),
        "title": clean(evaluation.name, 80),
        "made": moment(evaluation.created),
        "verdict": verdict_text(evaluation),
        "figures": content.key_figures(evaluation),
        "confidence": percent(evaluation.confidence),
        "methods": content.methods(evaluation),
        "curves": {measure: content.curve_rows(evaluation, measure) for measure in ("lift", "recall")},
        "descriptions": {
            "lift": content.curve_description(evaluation, "lift"),
            "recall": content.curve_description(evaluation, "recall"),
            "scorers": content.scorer_description(evaluation),
        },
        "scorers": content.scorer_rows(evaluation),
        "tie": content.centroid_tie(evaluation),
        "slices": slices_section.slice_rows(evaluation),
        "slices_sentence": slices_section.slices_sentence(evaluation),
        "slices_measured": slices_section.slices_measured(evaluation),
        "blocks": encoder_section.block_rows(evaluation.blocks),
        "block_columns": encoder_section.COLUMNS,
        "encoder_sentence": encoder_section.encoder_sentence(evaluation.blocks),
        "log_loss_of_none": f"{evaluation.blocks.log_loss_of_none:.4f}" if evaluation.blocks else "",
        "tiers": content.tier_rows(evaluation),
        "between_tiers": trait_groups(described.between_tiers if described else None),
        "clusters": seed_section.cluster_rows(evaluation),
        "backtest": backtest_section.backtest_sentence(evaluation),
        "backtest_rows": backtest_section.backtest_rows(evaluation),
        "seed_facts": seed_section.seed_facts(evaluation),
        "groups": trait_groups(comparison),
        "audience_users": people(comparison.audience_users) if comparison else "",
        "base_users": people(comparison.base_users) if comparison else "",
        "looked_for": looked_for(evaluation),
        "measurement": measurement_explained(evaluation),
        "provenance": content.provenance(evaluation),
        "counts": content.count_rows(evaluation),
        "settings": content.setting_rows(evaluation),
        "warnings": [sentence(warning) for warning in evaluation.warnings],
    }


def asset(name: str) -> str:
    """A file of this package as text."""
    from importlib.resources import files

    return files("lookalike.reporting").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def vega_script() -> str:
    """Vega-Lite and its dependencies as one script, which defines `vegaEmbed`."""
    import vl_convert

    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", vl_version=VEGA_LITE))
    # Inside a string or a regular expression, the only places where it can occur, `<\/` means the same as `</`.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def static_picture(spec: Spec) -> str:
    """The chart as static SVG, for print and for readers without scripts."""
    import vl_convert

    fixed = {**spec, "width": STATIC_WIDTH}
    return str(vl_convert.vegalite_to_svg(fixed, vl_version=VEGA_LITE, allowed_base_urls=[]))


def content_policy(scripts: list[str], styles: list[str]) -> str:
    """A content security policy that lets only these scripts and styles run, and fetches nothing."""
    script = " ".join(source_hash(text) for text in scripts)
    style = " ".join(source_hash(text) for text in styles)
    rules = ["default-src 'none'", f"script-src {script}", f"style-src {style}", "img-src data:"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def source_hash(text: str) -> str:
    """The source expression of an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def json_in_script(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for unsafe, safe in UNSAFE_IN_SCRIPT.items():
        text = text.replace(unsafe, safe)
    return text


def _finite(value: Any) -> Any:
    """The value with null for every figure that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
