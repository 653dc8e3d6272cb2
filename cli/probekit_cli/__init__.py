"""The command line of probekit: a thin Typer shell over the library."""
