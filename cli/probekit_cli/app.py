"""The `probekit` command: its verbs, and how errors end it.

Exit codes: 0 done; 1 done, but some samples had failed; 2 bad input or usage; 3 a bug; 130 interrupted.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator

import typer
from typer.core import TyperGroup

from probekit.errors import ProbekitError
from probekit_cli import (
    audit,
    blacklist,
    cache,
    compare,
    demo,
    extract,
    finetune,
    manifest,
    map_,
    predict,
    probe,
    report,
    retrieve,
    saliency,
    study,
)

FRAMED = 80  # columns from which help in frames has room for every name


class Verbs(TyperGroup):
    """The verbs; one that is interrupted, or told no, says in one line what is kept, with exit code 130."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's classes are its click's
        """What the verb returns."""
        try:
            with _terminable():
                found: object = super().invoke(ctx)
            return found
        except (KeyboardInterrupt, typer.Abort) as stop:
            kept = getattr(stop, "__notes__", None) or ["what was recorded before is kept"]
            sys.stderr.write(f"\nprobekit: stopped: {kept[-1]}.\n")
            raise typer.Exit(130) from stop


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM, which the scheduler of a cluster sends before it kills, ends what is done here as ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # where no signal can be taken
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)  # None: not of Python's making


app = typer.Typer(
    name="probekit",
    cls=Verbs,
    help="Extract features of frozen models once, then ask which generators they detect and attribute.",
    epilog="New here? Run: probekit demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.command()(demo.demo)
app.add_typer(manifest.app, name="manifest")
app.command()(extract.extract)
app.add_typer(cache.app, name="cache")
app.command()(probe.probe)
app.command()(predict.predict)
app.command()(finetune.finetune)
app.command()(retrieve.retrieve)
app.add_typer(blacklist.app, name="blacklist")
app.command("map")(map_.map_)
app.command("tsne", hidden=True)(map_.map_)
app.command()(compare.compare)
app.command()(audit.audit)
app.command()(saliency.saliency)
app.add_typer(study.app, name="study")
app.command()(report.report)


@app.callback(invoke_without_command=True)
def version(
    show_version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
) -> None:
    """Extract features of frozen models once, then ask which generators they detect and attribute."""
    if show_version:
        import probekit

        typer.echo(f"probekit {probekit.__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; what the user can mend is one line, without a traceback."""
    app.rich_markup_mode = "rich" if shutil.get_terminal_size().columns >= FRAMED else None  # frames cut long names
    try:
        app()
    except ProbekitError as error:
        _fail(str(error))
    except BrokenPipeError:  # the reader of our output went away: `probekit … | head`
        os._exit(0)  # at once, or the interpreter complains that it cannot flush
    except MemoryError as error:
        reason = str(error).partition("\n")[0] or "no more could be had"
        _fail(f"out of memory ({reason}): use fewer --workers, a smaller --batch-size or --view. What is done is kept.")
    except OSError as error:  # the disk is full, a folder became unreadable …
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}. What was recorded before is kept.")
    except Exception:  # noqa: BLE001  # not to go on, but to tell a bug from "some samples failed", which is exit code 1
        import traceback

        traceback.print_exc()
        sys.stderr.write("probekit: this is a bug in probekit. Please report it with the lines above.\n")
        sys.exit(3)


def _fail(message: str) -> None:
    from probekit_cli.output import printable

    sys.stderr.write(f"probekit: {printable(message)}\n")
    sys.exit(2)
