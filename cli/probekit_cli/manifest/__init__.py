"""`probekit manifest`: import, join, check, show and normalise the lists of images."""

import typer

from probekit_cli.manifest.importing import import_
from probekit_cli.manifest.joining import join
from probekit_cli.manifest.looking import check, show
from probekit_cli.manifest.normalising import normalise

app = typer.Typer(help="Import, join, check, show and normalise the lists of images.", no_args_is_help=True)

app.command("import")(import_)
app.command()(join)
app.command()(check)
app.command()(show)
app.command()(normalise)
