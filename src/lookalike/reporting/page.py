"""The lift report as one HTML page that asks nothing of any network."""

import base64
import functools
import hashlib
import json
import math
from typing import Any

from lookalike.reporting import backtest_section, content
from lookalike.reporting.charts import Spec, charts
from lookalike.reporting.content import Evaluation
from lookalike.reporting.formatting import clean, count, label, moment, percent
from lookalike.reporting.over_index import groups
from lookalike.reporting.seed_section import clusters
from lookalike.reporting.seed_section import facts as seed_facts

VEGA_LITE = "6.1"


STATIC_WIDTH = 720


# What `<script>` may not hold as text: an end tag, a comment, and the two line ends that old JavaScript breaks at.
UNSAFE_IN_SCRIPT = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page(evaluation: Evaluation) -> str:
    """The page, the same for the same evaluation; it holds its styles, its scripts and its charts."""
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
    style, library, start = asset("style.css"), vega(), asset("charts.js")
    parts = view(evaluation)
    parts |= {
        "policy": policy([library, start], [style]),
        "style": Markup(style),
        "scripts": [Markup(library), Markup(start)] if specs else [],
        "specs": Markup(in_script(specs)),
        "pictures": {name: Markup(picture(spec)) for name, spec in specs.items()},
    }
    return environment.get_template("page.html.j2").render(parts)


def view(evaluation: Evaluation) -> dict[str, Any]:
    """Everything the template shows, as text."""
    insights = content.part(evaluation, "insights")
    return {
        "name": label(evaluation.get("name"), 80),
        "made": moment(evaluation.get("created")),
        "verdict": content.verdict(evaluation),
        "figures": content.figures(evaluation),
        "confidence": content.confidence(evaluation),
        "methods": content.methods(evaluation),
        "curves": {measure: content.curve_rows(evaluation, measure) for measure in ("lift", "recall")},
        "findings": {
            "lift": content.curve_finding(evaluation, "lift"),
            "recall": content.curve_finding(evaluation, "recall"),
            "scorers": content.scorer_finding(evaluation),
        },
        "scorers": content.scorer_rows(evaluation),
        "tie": content.tie(evaluation),
        "tiers": content.tier_rows(evaluation),
        "between_tiers": groups(evaluation, "between_tiers"),
        "clusters": clusters(evaluation),
        "backtest": backtest_section.sentence(evaluation),
        "backtest_rows": backtest_section.rows(evaluation),
        "seed_facts": seed_facts(evaluation),
        "groups": groups(evaluation),
        "audience_users": content.people(insights.get("audience_users")) if insights else "",
        "base_users": content.people(insights.get("base_users")) if insights else "",
        "folds": count(evaluation.get("folds")),
        "repeats": count(evaluation.get("repeats")),
        "asked": percent(content.asked_share(evaluation)),
        "about": content.about(evaluation),
        "counts": content.counts(evaluation),
        "settings": content.flat(content.part(evaluation, "settings")),
        "warnings": content.warnings(evaluation),
        "title": clean(evaluation.get("name"), 80),
    }


def asset(name: str) -> str:
    """A file of this package as text."""
    from importlib.resources import files

    return files("lookalike.reporting").joinpath(name).read_text(encoding="utf-8")


@functools.cache
def vega() -> str:
    """Vega-Lite and what it needs as one script, which names itself `vegaEmbed`."""
    import vl_convert

    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed=vegaEmbed;", vl_version=VEGA_LITE))
    # Inside a string or a regular expression, the only places where it could stand, `<\/` means the same as `</`.
    return bundle.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def picture(spec: Spec) -> str:
    """The chart as static SVG, for print and for a reader without scripts."""
    import vl_convert

    fixed = {**spec, "width": STATIC_WIDTH}
    return str(vl_convert.vegalite_to_svg(fixed, vl_version=VEGA_LITE, allowed_base_urls=[]))


def policy(scripts: list[str], styles: list[str]) -> str:
    """A content security policy under which only these scripts and styles run, and nothing is fetched."""
    script = " ".join(digest(text) for text in scripts)
    style = " ".join(digest(text) for text in styles)
    rules = ["default-src 'none'", f"script-src {script}", f"style-src {style}", "img-src data:"]
    return "; ".join([*rules, "base-uri 'none'", "form-action 'none'"])


def digest(text: str) -> str:
    """The source expression of an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def in_script(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for unsafe, safe in UNSAFE_IN_SCRIPT.items():
        text = text.replace(unsafe, safe)
    return text


def finite(value: Any) -> Any:
    """The value with null for every figure that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
