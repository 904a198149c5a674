"""`riskgate doctor`: exit 0 exactly when the stack of a data directory is healthy."""

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.doctor import examine
from server.settings import load_settings


def doctor(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check every part of the stack; name what is wrong and what mends it."""
    settings = load_settings(data_dir=data_dir)
    checks = examine(settings)
    healthy = all(check.ok for check in checks)
    if as_json:
        print_json(
            {
                "ok": healthy,
                "data_dir": str(settings.data_dir),
                "checks": [check.to_dict() for check in checks],
            }
        )
    else:
        for check in checks:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.name}")
            if not check.ok:
                typer.echo(f"       {check.problem}\n       mend: {check.mend}")
    if not healthy:
        raise typer.Exit(1)
