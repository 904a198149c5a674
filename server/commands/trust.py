"""`riskgate trust …`: whose keys sign releases, approvals, rollback orders and trust sets."""

from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import AsJson, DataDir, print_json

trust = typer.Typer(
    help="The trust set: whose keys are accepted, and for what.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option("--out", help="New file; is not overwritten.")]


@trust.command()
def show(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Verify all versions and show the newest."""
    from server.security.trust_files import read_pin
    from server.security.trust_set import load_trust_set

    keys_dir = _keys_dir(data_dir)
    found = load_trust_set(keys_dir)
    keys = [key.model_dump() for key in found.keys.values()]
    if as_json:
        print_json(
            {
                "version": found.version,
                "pin": read_pin(keys_dir),
                "root_threshold": found.root_threshold,
                "keys": keys,
            }
        )
        return
    typer.echo(f"version {found.version}, pinned to {read_pin(keys_dir)}")
    typer.echo(f"the next one needs {found.root_threshold} of its roots")
    for key in sorted(keys, key=lambda key: (key["role"], key["person"])):
        typer.echo(f"{key['role']:<9} {key['group']:<11} {key['person']:<24} {key['keyid']}")


@trust.command()
def draft(
    file: Annotated[Path, typer.Argument(help="YAML: root_threshold and keys; see docs.")],
    out: Out,
    data_dir: DataDir = None,
) -> None:
    """Write the next version, for its predecessor's roots to sign."""
    from hashlib import sha256

    from server.security.trust_draft import read_draft
    from server.security.trust_files import trust_file
    from server.security.trust_set import build_trust_set, read_payloads

    keys_dir = _keys_dir(data_dir)
    keys, threshold = read_draft(file)
    previous = read_payloads(keys_dir)[-1] if trust_file(keys_dir, 1).exists() else None
    payload = build_trust_set(keys, root_threshold=threshold, previous=previous)
    _write(out, payload)
    typer.echo(f"fingerprint {sha256(payload).hexdigest()}")


@trust.command()
def sign(
    file: Annotated[Path, typer.Argument(help="What `draft` has written.")],
    key: Annotated[Path, typer.Option("--key", help="PEM file of a root's private key.")],
    out: Out,
) -> None:
    """Sign a draft as a root."""
    from server.security.key_files import load_private_key
    from server.security.statements import sign_statement
    from server.security.trust_set import parse_trust_set

    payload = _read(file)
    parse_trust_set(payload)
    _write(out, sign_statement(payload, "trust", load_private_key(key)))


@trust.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="What each root has signed.")],
    pin: Annotated[
        str, typer.Option("--pin", help="Of a first version: the fingerprint that it must have.")
    ] = "",
    data_dir: DataDir = None,
) -> None:
    """Put the signatures together and take the version into use."""
    from functools import reduce

    from server.security.statements import merge_signatures
    from server.security.trust_set import add_version

    envelope = reduce(merge_signatures, map(_read, files))
    added = add_version(_keys_dir(data_dir), envelope, pin)
    typer.echo(f"version {added.version} is in use")


def _keys_dir(data_dir: Path | None) -> Path:
    from server.settings import load_settings

    folder: Any = load_settings(data_dir=data_dir).data_dir
    return Path(folder) / "keys"


def _read(path: Path) -> bytes:
    from server.errors import NotFoundError

    try:
        return path.read_bytes()
    except OSError as error:
        raise NotFoundError("file", path.name) from error


def _write(path: Path, content: bytes) -> None:
    from server.errors import AlreadyExistsError

    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise AlreadyExistsError("file", path.name) from error
