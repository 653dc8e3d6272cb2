"""`probekit blacklist`: registered generators, and which of them made an image.

changing.py    create, register, unregister
asking.py      match, calibrate
keeping.py     list, verify, export, import
shown.py       what these two print
choosing.py    which blacklist and which images are meant
"""

import typer

from probekit_cli.blacklist import asking, changing, keeping

app = typer.Typer(help="Register generators by examples and match images against them.", no_args_is_help=True)
app.command()(changing.create)
app.command()(changing.register)
app.command()(changing.unregister)
app.command("list")(keeping.list_)
app.command()(asking.match)
app.command()(asking.calibrate)
app.command()(keeping.verify)
app.command()(keeping.export)
app.command("import")(keeping.import_)
