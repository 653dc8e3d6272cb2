"""Pages from templates: everything is escaped and inside the page, which may load nothing."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from probekit.reports import text


def render(template: str, *, scripts: Sequence[str], **context: object) -> str:
    """The page, with its styles and scripts inside.

    The content security policy allows exactly these scripts, by their hash, and no connection: were some text
    ever to slip through unescaped, a browser would still neither run nor fetch it.
    """
    script = "\n".join(_asset(name) for name in scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    )
    page = environment().get_template(template)
    return page.render(
        **context, style=Markup(_asset("style.css") + _asset("map.css")), script=Markup(script), policy=policy
    )


@cache
def environment() -> Environment:
    """The templates of this package: escaping is on for all, a missing key is nothing and shows as `–`."""
    env = Environment(
        loader=PackageLoader("probekit.reports"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "cell": text.cell,
        "count": text.count,
        "duration": text.duration,
        "exact": text.exact,
        "lower_first": text.lower_first,
        "moment": text.moment,
        "number": text.number,
        "parted": text.parted,
        "words": text.words,
    }
    env.tests |= {"measured": text.is_number, "nested": text.is_nested}
    return env


@cache
def _asset(name: str) -> str:
    return resources.files("probekit.reports").joinpath("static", name).read_text(encoding="utf-8")
