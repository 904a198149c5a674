"""`riskgate policy …`: write a signed risk policy, ready for `riskgate models push`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import AsJson, DataDir, print_json
from server.errors import InvalidFieldError
from server.semantic_version import normalise
from server.settings import load_settings
from server.trust_errors import ArtifactExistsError, ArtifactPolicyInvalidError

policy = typer.Typer(help="Signed risk policies: knots, weights and bounds.", no_args_is_help=True)


@policy.callback()
def group() -> None:
    """Keep `init` a command by name, although it is the only one."""


@policy.command()
def init(
    out: Annotated[Path, typer.Option("--out", help="New directory of the artifact.")],
    version: Annotated[str, typer.Option("--version", help="Semantic version, as in 1.1.0.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="JSON of a policy; absent: the default one.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="Author key (PEM); absent: the data directory's.")
    ] = None,
    author: Annotated[str, typer.Option("--author", help="Named in the manifest.")] = "author",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Write the artifact of a risk policy, signed with the author's key."""
    from server.loaders.policy_release import build_policy_release
    from server.policy import DEFAULT_POLICY
    from server.security.keys import AUTHOR_KEY_FILE
    from server.security.signature import load_author_key

    document = DEFAULT_POLICY if source is None else _read(source)
    key_path = key or load_settings(data_dir=data_dir).data_dir / "keys" / AUTHOR_KEY_FILE
    try:
        document = {**document, "version": normalise(version)}
    except ValueError as error:
        raise InvalidFieldError("--version", "must be MAJOR.MINOR.PATCH") from error
    files = build_policy_release(document, author, load_author_key(key_path))
    try:
        out.mkdir(parents=True)
    except FileExistsError as error:
        raise ArtifactExistsError(f"{out} exists: a release is never written over") from error
    for name, content in files.items():
        (out / name).write_bytes(content)
    if as_json:
        print_json({"directory": str(out), "version": document["version"], "policy": document})
    else:
        version = document["version"]
        typer.echo(f"risk_policy {version} written to {out}; next: riskgate models push {out}")


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactPolicyInvalidError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ArtifactPolicyInvalidError(f"{path} is no JSON object")
    return document
