"""Build the OpenSSL context (`SSL_CTX`) that the compiled lane serves TLS from.

TLS 1.3 only, `h2` only, no resumption: every connection shows its certificate anew, so what was
judged about one is never carried over to the next. Nothing here is called while a connection lives.
"""

import ctypes
import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from server.errors import ConfigurationError
from server.hotpath.lane.alpn import check_hello, select_protocol

_TLS_1_3: Final = 0x0304
_SET_MODE: Final = 33  # SSL_CTRL_…
_SET_SESSION_CACHE_MODE: Final = 44
_SET_GROUPS_LIST: Final = 92
_SET_MIN_PROTOCOL: Final = 123
_SET_MAX_PROTOCOL: Final = 124
# The lane sends from a buffer that moves, takes what fits, and holds thousands of connections.
_MODES: Final = 0x1 | 0x2 | 0x10  # PARTIAL_WRITE, MOVING_WRITE_BUFFER, RELEASE_BUFFERS
_OPTIONS: Final = (1 << 14) | (1 << 17) | (1 << 30)  # NO_TICKET, NO_COMPRESSION, NO_RENEGOTIATION
_GROUPS: Final = b"X25519:P-256:P-384"  # without the finite-field groups, which cost much
_PEM: Final = 1
_VERIFY: Final = 0x1 | 0x2  # PEER, FAIL_IF_NO_PEER_CERT
# Certificates between the client's own and the trusted one.
_CHAIN_DEPTH_MAX: Final = 4
_REASON_BYTES: Final = 256

_POINTER: Final = ctypes.c_void_p
_INT: Final = ctypes.c_int
_TEXT: Final = ctypes.c_char_p
# name → (result, arguments)
_PROTOTYPES: Final[dict[str, tuple[Any, tuple[Any, ...]]]] = {
    "TLS_server_method": (_POINTER, ()),
    "SSL_CTX_new": (_POINTER, (_POINTER,)),
    "SSL_CTX_free": (None, (_POINTER,)),
    "SSL_CTX_ctrl": (ctypes.c_long, (_POINTER, _INT, ctypes.c_long, _POINTER)),
    "SSL_CTX_set_options": (ctypes.c_uint64, (_POINTER, ctypes.c_uint64)),
    "SSL_CTX_set_num_tickets": (_INT, (_POINTER, ctypes.c_size_t)),
    "SSL_CTX_set_default_passwd_cb": (None, (_POINTER, _POINTER)),
    "SSL_CTX_use_certificate_chain_file": (_INT, (_POINTER, _TEXT)),
    "SSL_CTX_use_PrivateKey_file": (_INT, (_POINTER, _TEXT, _INT)),
    "SSL_CTX_check_private_key": (_INT, (_POINTER,)),
    "SSL_CTX_load_verify_locations": (_INT, (_POINTER, _TEXT, _TEXT)),
    "SSL_load_client_CA_file": (_POINTER, (_TEXT,)),
    "SSL_CTX_set_client_CA_list": (None, (_POINTER, _POINTER)),
    "SSL_CTX_set_verify": (None, (_POINTER, _INT, _POINTER)),
    "SSL_CTX_set_verify_depth": (None, (_POINTER, _INT)),
    "SSL_CTX_set_alpn_select_cb": (None, (_POINTER, _POINTER, _POINTER)),
    "SSL_CTX_set_client_hello_cb": (None, (_POINTER, _POINTER, _POINTER)),
}
_PassphraseCallback = ctypes.CFUNCTYPE(_INT, _POINTER, _INT, _INT, _POINTER)

# Without this libssl would ask at the terminal, if there is one.
_give_no_passphrase: Final = _PassphraseCallback(lambda _buffer, _size, _writing, _unused: 0)


@dataclass(frozen=True)
class TlsFiles:
    """The PEM files of the decision port.

    Attributes:
        certificate: The port's own certificate, then the chain above it.
        key: Its private key, without a passphrase.
        client_ca: Who may sign client certificates, which are then required; None: none is asked.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


def build_context(files: TlsFiles) -> int:
    """Return the address of a new context; `free_context` gives it back.

    Raises:
        ConfigurationError: libssl is absent, or a file cannot be used; names the setting and it.
    """
    library = _library()
    context = library.SSL_CTX_new(library.TLS_server_method())
    if not context:
        raise ConfigurationError([f"tls_certificate: libssl: {_take_reason()}"])
    try:
        _fix_protocol(library, context)
        _load_certificate(library, context, files)
        if files.client_ca is not None:
            _require_client_certificate(library, context, files.client_ca)
    except BaseException:
        library.SSL_CTX_free(context)
        raise
    return int(context)


def free_context(context: int) -> None:
    """Drop our reference; connections that were made from it keep theirs."""
    _library().SSL_CTX_free(context)


def _fix_protocol(library: Any, context: int) -> None:
    for command, value, argument in (
        (_SET_MIN_PROTOCOL, _TLS_1_3, None),
        (_SET_MAX_PROTOCOL, _TLS_1_3, None),
        (_SET_GROUPS_LIST, 0, ctypes.cast(ctypes.c_char_p(_GROUPS), _POINTER)),
    ):
        if library.SSL_CTX_ctrl(context, command, value, argument) != 1:
            raise ConfigurationError([f"tls_certificate: libssl: {_take_reason()}"])
    library.SSL_CTX_ctrl(context, _SET_MODE, _MODES, None)
    library.SSL_CTX_ctrl(context, _SET_SESSION_CACHE_MODE, 0, None)
    library.SSL_CTX_set_options(context, _OPTIONS)
    library.SSL_CTX_set_num_tickets(context, 0)
    library.SSL_CTX_set_alpn_select_cb(context, select_protocol.address, None)
    library.SSL_CTX_set_client_hello_cb(context, check_hello.address, None)


def _load_certificate(library: Any, context: int, files: TlsFiles) -> None:
    library.SSL_CTX_set_default_passwd_cb(context, ctypes.cast(_give_no_passphrase, _POINTER))
    certificate, key = os.fsencode(files.certificate), os.fsencode(files.key)
    _clear_reasons()
    if library.SSL_CTX_use_certificate_chain_file(context, certificate) != 1:
        _refuse("tls_certificate", files.certificate)
    if library.SSL_CTX_use_PrivateKey_file(context, key, _PEM) != 1:
        _refuse("tls_key", files.key)
    if library.SSL_CTX_check_private_key(context) != 1:
        _refuse("tls_key", files.key)


def _require_client_certificate(library: Any, context: int, client_ca: Path) -> None:
    path = os.fsencode(client_ca)
    _clear_reasons()
    if library.SSL_CTX_load_verify_locations(context, path, None) != 1:
        _refuse("tls_client_ca", client_ca)
    names = library.SSL_load_client_CA_file(path)
    if not names:
        _refuse("tls_client_ca", client_ca)
    # The context owns the list from here on.
    library.SSL_CTX_set_client_CA_list(context, names)
    library.SSL_CTX_set_verify_depth(context, _CHAIN_DEPTH_MAX)
    library.SSL_CTX_set_verify(context, _VERIFY, None)


def _refuse(setting: str, path: Path) -> None:
    raise ConfigurationError([f"{setting}: {path}: {_take_reason()}"])


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL("libssl.so.3")
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ConfigurationError([f"tls_certificate: needs libssl 3: {error}"]) from error
    return library


@functools.cache
def _errors() -> Any:
    library = ctypes.CDLL("libcrypto.so.3")
    library.ERR_get_error.restype = ctypes.c_ulong
    library.ERR_error_string_n.argtypes = (ctypes.c_ulong, _TEXT, ctypes.c_size_t)
    return library


def _clear_reasons() -> None:
    _errors().ERR_clear_error()


def _take_reason() -> str:
    """Return the first thing that went wrong in this thread, in libssl's words."""
    number = _errors().ERR_get_error()
    text = ctypes.create_string_buffer(_REASON_BYTES)
    _errors().ERR_error_string_n(number, text, _REASON_BYTES)
    _clear_reasons()
    # error:0480006C:PEM routines::no start line
    return text.value.decode("ascii", "replace").rpartition("::")[2] or "unknown"
