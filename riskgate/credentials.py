"""Who a client says it is: its certificate and key, and whom it trusts to vouch for the server.

All three are PEM files: given by name, or named by RISKGATE_CERTIFICATE, RISKGATE_KEY and
RISKGATE_CA. They are read when a client is made; after a renewal, make a new client.
"""

import os
from pathlib import Path
from typing import Final

import grpc

CERTIFICATE_VARIABLE: Final = "RISKGATE_CERTIFICATE"
KEY_VARIABLE: Final = "RISKGATE_KEY"
CA_VARIABLE: Final = "RISKGATE_CA"
VARIABLES: Final = (CERTIFICATE_VARIABLE, KEY_VARIABLE, CA_VARIABLE)

FilePath = str | os.PathLike[str]


class CredentialsError(ValueError):
    """A certificate, key or authority is missing or cannot be read; says which."""


def load_credentials(
    certificate: FilePath | None, key: FilePath | None, ca: FilePath | None
) -> grpc.ChannelCredentials | None:
    """Return TLS credentials from three PEM files; None: no file is named.

    Raises:
        CredentialsError: Only some are named, or one cannot be read.
    """
    named = dict(zip(("certificate", "key", "ca"), (certificate, key, ca), strict=True))
    missing = [name for name, path in named.items() if not path]
    if len(missing) == len(named):
        return None
    if missing:
        raise CredentialsError(f"certificate, key and ca belong together: no {missing[0]} is named")
    contents = {name: _read(name, path) for name, path in named.items() if path}
    return grpc.ssl_channel_credentials(contents["ca"], contents["key"], contents["certificate"])


def load_from_environment() -> grpc.ChannelCredentials | None:
    """Return the credentials that the environment names; None: it names none.

    Raises:
        CredentialsError: As `load_credentials`.
    """
    return load_credentials(*(os.environ.get(name) for name in VARIABLES))


def load_operator(data_dir: Path) -> grpc.ChannelCredentials:
    """Return the credentials that `riskgate serve` made for commands on its own machine.

    Raises:
        CredentialsError: There are none, or they cannot be read.
    """
    folder = data_dir / "pki"
    paths = (folder / "operator.crt", folder / "operator.key", folder / "ca.crt")
    if not paths[0].exists():
        raise CredentialsError(
            f"the stack in {data_dir} wants a certificate: name one by {', '.join(VARIABLES)}"
        )
    credentials = load_credentials(*paths)
    if credentials is None:  # cannot be: three paths were named
        raise CredentialsError("no file is named")
    return credentials


def _read(name: str, path: FilePath) -> bytes:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CredentialsError(f"{name}: {path}: {error.strerror}") from error
    if b"-----BEGIN " not in content:
        raise CredentialsError(f"{name}: {path}: is no PEM file")
    return content
