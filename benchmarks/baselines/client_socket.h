// A connected, non-blocking socket, in plaintext or under TLS 1.3 with ALPN h2.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "options.h"

[[noreturn]] inline void Die(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

struct ClientSocket {
  int number = -1;
  SSL* tls = nullptr;
};

// Both return a size, or -1 with errno EAGAIN when the socket is not ready.
inline ssize_t Receive(ClientSocket* socket, uint8_t* out, size_t room) {
  if (socket->tls == nullptr) return recv(socket->number, out, room, 0);
  ERR_clear_error();
  const int size = SSL_read(socket->tls, out, static_cast<int>(room));
  if (size > 0) return size;
  const int error = SSL_get_error(socket->tls, size);
  if (error == SSL_ERROR_ZERO_RETURN) return 0;
  errno = error == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
  return -1;
}

inline ssize_t Transmit(ClientSocket* socket, const char* bytes, size_t size) {
  if (socket->tls == nullptr) return send(socket->number, bytes, size, MSG_NOSIGNAL);
  ERR_clear_error();
  const int sent = SSL_write(socket->tls, bytes, static_cast<int>(size));
  if (sent > 0) return sent;
  errno = SSL_get_error(socket->tls, sent) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
  return -1;
}

inline SSL_CTX* TlsContext(const Options& options) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  static const unsigned char kAlpn[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn);
  if (SSL_CTX_load_verify_locations(context, options.text("tls-ca").c_str(), nullptr) != 1) {
    Die("the CA certificate cannot be read");
  }
  const std::string certificate = options.text("tls-cert"), key = options.text("tls-key");
  if (!certificate.empty() &&
      (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    Die("the client certificate cannot be read");
  }
  return context;
}

inline void Connect(ClientSocket* socket, const std::string& address, SSL_CTX* context) {
  const size_t colon = address.rfind(':');
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string host = address.substr(0, colon);
  if (getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found) != 0) {
    Die(address + ": not an address");
  }
  socket->number = ::socket(found->ai_family, SOCK_STREAM, 0);
  if (connect(socket->number, found->ai_addr, found->ai_addrlen) != 0) {
    Die(address + ": " + std::strerror(errno));
  }
  freeaddrinfo(found);
  const int yes = 1;
  setsockopt(socket->number, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  if (context != nullptr) {
    socket->tls = SSL_new(context);
    SSL_set_fd(socket->tls, socket->number);
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(socket->tls), host.c_str());
    if (SSL_connect(socket->tls) != 1) {
      ERR_print_errors_fp(stderr);
      Die("no TLS connection");
    }
  }
  // Only the handshake may block.
  const int flags = fcntl(socket->number, F_GETFL);
  fcntl(socket->number, F_SETFL, flags | O_NONBLOCK);
}
