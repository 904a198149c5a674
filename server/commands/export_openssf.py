"""`riskgate models export-openssf`: an artifact for the tools of OpenSSF model signing."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.options import AsJson, DataDir, print_json


def export_openssf(
    artifact: Annotated[
        str, typer.Argument(help="Digest of a stored artifact, or the directory of one.")
    ],
    out: Annotated[Path, typer.Argument(help="New directory; its signature goes beside it.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", help="PEM file of a P-256 key; absent: one in the data directory."),
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Verify an artifact and write it, signed, in the OpenSSF model-signing format."""
    from server.loaders.artifact_mirror import open_artifact_store
    from server.loaders.artifact_store import read_artifact_directory
    from server.loaders.manifest import find_manifest_type
    from server.loaders.openssf_export import ensure_export_key
    from server.loaders.openssf_export import export_openssf as export
    from server.loaders.release import open_release
    from server.security.trust_set import load_trust_set
    from server.settings import load_settings

    settings = load_settings(data_dir=data_dir)
    keys_dir = settings.data_dir / "keys"
    if Path(artifact).is_dir():
        files = read_artifact_directory(Path(artifact))
    else:
        store = open_artifact_store(settings.data_dir, settings.artifact_store_url)
        files = dict(store.read(artifact))
    digest, manifest, _ = open_release(files, load_trust_set(keys_dir), find_manifest_type(files))
    signature = export(files, out, key or ensure_export_key(keys_dir))
    if as_json:
        print_json(
            {"digest": digest, "version": manifest.version, "signature": str(signature.absolute())}
        )
        return
    typer.echo(f"{manifest.purpose} {manifest.version} ({digest[:12]}…) is in {out}")
    typer.echo(f"signature: {signature}")
