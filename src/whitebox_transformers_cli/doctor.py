"""``wbt doctor``: is the installation sound, and if not, what mends it."""

from __future__ import annotations

import typer


def doctor() -> None:
    """Check the installation, say how to mend it.

    Versions, a torchvision that does not fit torch, optional packages, threads, accelerator.
    Ends with status 1 if the core cannot work.
    """
    from whitebox_transformers_cli.health import examine
    from whitebox_transformers_cli.tables import print_table

    findings = examine()
    print_table(
        "Installation", ("what", "found"), [(f.subject, f.found) for f in findings], numbers_from=2
    )
    for finding in findings:
        if finding.mend:
            typer.echo(f"{finding.subject}: {finding.mend}")
    if any(finding.blocking for finding in findings):
        raise typer.Exit(1)
    typer.echo("The core works.")
