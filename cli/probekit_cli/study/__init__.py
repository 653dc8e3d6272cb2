"""`probekit study`: named sets of questions, each with one report.

asking.py    run
looking.py   ls, check
shown.py     what is printed
"""

import typer

from probekit_cli.study import asking, looking

app = typer.Typer(help="Ask a named set of questions, and set published numbers beside ours.", no_args_is_help=True)
app.command()(asking.run)
app.command("ls")(looking.list_)
app.command()(looking.check)
