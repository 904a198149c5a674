"""A verified artifact in the model-signing format of OpenSSF, for whoever checks with its tools.

The format knows no Ed25519 keys, so the export is signed with an elliptic curve key (P-256) of its
own: it says who exported the files, not who released them. That stays in the envelope among them.
"""

from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from server.errors import AlreadyExistsError, ConfigurationError
from server.security.new_file import write_new_file

OPENSSF_KEY_FILE = "openssf.pem"
OPENSSF_PUBLIC_KEY_FILE = "openssf.pub.pem"


def ensure_export_key(keys_dir: Path) -> Path:
    """Return the file of the key that signs exports; make the pair unless it is there."""
    path = keys_dir / OPENSSF_KEY_FILE
    if not path.exists():
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = generate_private_key(SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_new_file(keys_dir / OPENSSF_PUBLIC_KEY_FILE, public, mode=0o644)
        write_new_file(path, private, mode=0o600)
    return path


def export_openssf(files: Mapping[str, bytes], directory: Path, key_path: Path) -> Path:
    """Write the files of an artifact into a new directory, and their signature beside it.

    Args:
        files: Verified by the caller.
        directory: Must not exist; gets the files.
        key_path: PEM file of an elliptic curve key (P-256, P-384 or P-521).

    Returns:
        The signature, a Sigstore bundle: `<directory>.sig`.

    Raises:
        AlreadyExistsError: The directory or the signature exists.
        ConfigurationError: model-signing is not installed, or the key cannot be used.
    """
    try:
        from model_signing import signing  # noqa: PLC0415 an optional extra
    except ImportError as error:
        raise ConfigurationError(
            ["export-openssf: needs model-signing; install riskgate with the extra openssf"]
        ) from error
    signature = directory.with_name(f"{directory.name}.sig")
    if directory.exists() or signature.exists():
        raise AlreadyExistsError("export", directory.name)
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key_path)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigurationError([f"--key: {key_path} is no usable elliptic curve key"]) from error
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    signer.sign(directory, signature)
    return signature
