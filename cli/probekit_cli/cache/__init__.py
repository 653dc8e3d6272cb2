"""`probekit cache`: look after the feature stores.

stores.py     ls, info, verify, rm
exchange.py   export, import
upkeep.py     gc, failed
"""

import typer

from probekit_cli.cache import exchange, stores, upkeep

app = typer.Typer(help="Look after the feature stores.", no_args_is_help=True)
app.command("ls")(stores.list_)
app.command()(stores.info)
app.command()(stores.verify)
app.command()(upkeep.failed)
app.command()(exchange.export)
app.command("import")(exchange.import_)
app.command()(upkeep.gc)
app.command("rm")(stores.remove)
