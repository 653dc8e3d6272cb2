"""A path template with named fields: `{domain}/{generator}/{split}/{group}_*.png`.

A field stands for one or more characters without a slash, `*` for any number of them, `**` for any number
of folders; a field that comes twice must be the same twice. Fields called like a manifest's columns fill
them, `{label}` takes 0, 1 or a name, others are carried along. Without an extension, any image's will do.
"""

import re
from pathlib import Path, PurePosixPath

from probekit.errors import UsageError
from probekit.images import EXTENSIONS
from probekit.layouts import layouts
from probekit.layouts.files import IgnoredFile, list_files, not_an_image
from probekit.layouts.listing import ImportOptions, Listing, list_samples, table_of
from probekit.sources import VIDEOS

_TOKEN = re.compile(r"\{(?P<field>[^{}]*)\}|(?P<folders>\*\*/)|(?P<any>\*\*?)|(?P<literal>.)", re.DOTALL)
_RESERVED = ("path", "member", "frame", "class", "key")
_ENDINGS = EXTENSIONS | VIDEOS


@layouts.add("template")
def template(root: Path, options: ImportOptions) -> Listing:
    """Every image and video whose path fits `options.template`; the others are ignored, and counted."""
    if not options.template:
        raise UsageError("layout 'template' needs --template, such as '{generator}/{split}/{group}.png'.")
    pattern, suffix = compile_template(options.template)
    base, _, files, ignored = list_files(root)
    rows: list[dict[str, str]] = []
    for file in files:
        if file.suffix not in _ENDINGS:
            ignored.append(not_an_image(file))
        elif suffix in ("", file.suffix) and (match := pattern.fullmatch(file.trunk)):
            about = {**match.groupdict(), "key": file.stem}
            rows += [about | sample for sample in list_samples(file, base, options, ignored)]
        else:
            ignored.append(IgnoredFile(file.name, "does not fit the template"))
    table = table_of(rows, ["path", "key", *pattern.groupindex])
    table["class"] = table["generator" if "generator" in table else "label"]
    return Listing(base, table, sorted(ignored), source=str(root))


def compile_template(text: str) -> tuple[re.Pattern[str], str]:
    """A pattern for paths without extension, and the extension they must have ('' for any image's).

    Raises:
        UsageError: a field's name is unusable, or neither {generator} nor {label} is there.
    """
    path = PurePosixPath(text)
    suffix = path.suffix.lower() if path.suffix.lower() in _ENDINGS else ""
    body = text[: -len(suffix)] if suffix else text.removesuffix(".{ext}").removesuffix(".*")
    pattern, fields = "", set[str]()
    for token in _TOKEN.finditer(body):
        field = token["field"]
        if field is None:
            pattern += "(?:.*/)?" if token["folders"] else _glob(token["any"]) or re.escape(token["literal"])
        elif field in fields:
            pattern += f"(?P={field})"
        else:
            if not field.isidentifier() or field in _RESERVED:
                raise UsageError(f"--template {text!r}: {{{field}}} cannot be a field: use a name such as {{group}}.")
            fields.add(field)
            pattern += f"(?P<{field}>[^/]+)"
    if not fields & {"generator", "label"}:
        raise UsageError(f"--template {text!r} has neither {{generator}} nor {{label}}: add one.")
    return re.compile(pattern), suffix


def _glob(stars: str | None) -> str:
    return {"*": "[^/]*", "**": ".*"}.get(stars or "", "")
