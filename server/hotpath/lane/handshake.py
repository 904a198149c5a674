"""TLS: the handshake, and the judgement of the client's certificate before anything is read."""

from __future__ import annotations

from typing import Any, Final

from server.hotpath.intrinsics import store_long
from server.hotpath.jit import i64, kernel, routine
from server.hotpath.lane.connection import (
    close_connection_nb,
    open_session_nb,
    read_connection_nb,
)
from server.hotpath.lane.foreign import (
    err_clear_error,
    ssl_accept,
    ssl_get_error,
    ssl_new,
    ssl_peer_certificate,
    ssl_set_fd,
    write,
    x509_free,
    x509_to_der,
)
from server.hotpath.lane.judging import (
    ACCEPTED,
    DER_BYTES_MAX,
    NO_CELL,
    TOO_LONG,
    ask_nb,
    board_at,
    collect_nb,
    judgement_at,
)
from server.hotpath.lane.structs import (
    CONNECTION_HANDSHAKE,
    CONNECTION_JUDGING,
    connection_at,
)
from server.hotpath.lane.transport import AGAIN, tls_result_nb
from server.hotpath.lane.watching import EPOLL_IN, EPOLL_OUT, watch_connection_nb

_SSL_ERROR_WANT_WRITE: Final = 3


@routine
def begin_handshake_nb(lane: Any, address: int) -> bool:
    """Let a new connection prove itself; tell whether there was memory for it."""
    connection = connection_at(address)
    connection.ssl = ssl_new(lane.tls_context)
    connection.state = CONNECTION_HANDSHAKE
    return connection.ssl != 0 and ssl_set_fd(connection.ssl, connection.fd) == 1


@kernel
def _open_nb(lane: Any, address: int) -> None:
    if open_session_nb(lane, address):
        # The first request may have come with the last bytes of the handshake.
        watch_connection_nb(lane, address, i64(EPOLL_IN))
        read_connection_nb(lane, address)
    else:
        close_connection_nb(lane, address)


@routine
def ask_judge_nb(lane: Any, address: int) -> None:
    """Put the client's certificate on the board; when that is full, the sweep tries again."""
    connection = connection_at(address)
    certificate = ssl_peer_certificate(connection.ssl)
    length = i64(0)
    if certificate != 0:
        length = i64(x509_to_der(certificate, i64(0)))
        if 0 < length <= DER_BYTES_MAX:
            store_long(lane.chunk, lane.certificate)
            length = i64(x509_to_der(certificate, lane.chunk))
        x509_free(certificate)
    cell = ask_nb(lane.board, address, connection.serial, lane.certificate, length)
    connection.judge_cell = cell
    if cell == TOO_LONG:
        lane.connections_broken += 1
        close_connection_nb(lane, address)
    elif cell != NO_CELL:
        store_long(lane.chunk, 1)
        write(board_at(lane.board).asked_fd, lane.chunk, i64(8))


@routine
def continue_handshake_nb(lane: Any, address: int) -> None:
    """Take the next step of a handshake."""
    connection = connection_at(address)
    err_clear_error()
    result = i64(ssl_accept(connection.ssl))
    outcome = tls_result_nb(connection.ssl, result)
    if outcome == AGAIN:
        writes = ssl_get_error(connection.ssl, result) == _SSL_ERROR_WANT_WRITE
        watch_connection_nb(lane, address, i64(EPOLL_OUT) if writes else i64(EPOLL_IN))
    elif outcome <= 0:
        lane.connections_broken += 1
        close_connection_nb(lane, address)
    elif lane.tls_judged != 0:
        connection.state = CONNECTION_JUDGING
        watch_connection_nb(lane, address, i64(0))
        ask_judge_nb(lane, address)
    else:
        _open_nb(lane, address)


@routine
def collect_judgements_nb(lane: Any) -> None:
    """Open the connections whose certificates were found good; close the others."""
    if lane.board == 0:
        return
    while collect_nb(lane.board, lane.chunk):
        judgement = judgement_at(lane.chunk)
        address = judgement.connection
        connection = connection_at(address)
        if connection.state != CONNECTION_JUDGING or connection.serial != judgement.serial:
            continue  # it has gone meanwhile
        if judgement.verdict != ACCEPTED:
            lane.connections_broken += 1
            close_connection_nb(lane, address)
            continue
        connection.grant = judgement.grant
        _open_nb(lane, address)
