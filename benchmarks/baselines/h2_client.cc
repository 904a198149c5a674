// The lean client: gRPC over libnghttp2 as h2load does it, but with random requests under unique
// client_order_ids, and with every grpc-status and many answers checked. One thread.
//
//   h2_client --address HOST:PORT --requests FILE --mode unary|batch|open --channels 8 --streams 8
//
// unary, batch   closed loop: on each of --channels connections, --streams calls at a time
// open           --rate calls a second over all connections; latency counts from the instant at
//                which the call was planned, so a slow server cannot hide its queue
//
// It needs a fraction of the CPU time of the gRPC client, so on a machine whose cores both sides
// share it is the server that limits. TLS 1.3 with --tls-ca (and --tls-cert, --tls-key). The last
// line of output is JSON (measurement.h). Exit code 1 when a call failed or an answer was wrong.

#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <memory>

#include "client_socket.h"
#include "measurement.h"
#include "options.h"
#include "prepared_requests.h"

struct Connection;

// One call at a time; its buffers are used again.
struct Call {
  Connection* connection;
  std::string body;
  size_t sent_bytes = 0;
  std::string answer;
  Sent sent;
  int64_t from_ns = 0;
  bool is_ok = false;  // grpc-status 0 has come
  std::string status;
};

struct Load {
  Load(const Options& options)
      : requests(options.text("requests")),
        shape(options.text("mode", "unary") == "batch" ? Shape::kBatch : Shape::kUnary),
        batch(static_cast<size_t>(options.number("batch", 256))),
        is_planned(options.text("mode", "unary") == "open"),
        authority(options.text("address")),
        exact(options.text("exact", "no") == "yes"),
        check_every(static_cast<long>(options.number("check-every", 16))),
        measurement(options.number("warm-s", 1), options.number("duration-s", 5)) {}

  PreparedRequests requests;
  const Shape shape;
  const size_t batch;
  const bool is_planned;
  const std::string authority;
  const bool exact;
  const long check_every;
  Measurement measurement;
  long answers = 0;
  long running = 0;
};

struct Connection {
  Load* load = nullptr;
  ClientSocket socket;
  nghttp2_session* session = nullptr;
  std::string unsent;  // what the socket did not take
  bool waits_to_write = false;
  std::deque<Call> calls;
  std::vector<Call*> free_calls;  // of a planned rate
};

// --- one call ---

static nghttp2_nv Header(const char* name, const std::string& value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name)),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), std::strlen(name),
          value.size(), NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

static ssize_t ReadBody(nghttp2_session*, int32_t, uint8_t* out, size_t room, uint32_t* flags,
                        nghttp2_data_source* source, void*) {
  Call* call = static_cast<Call*>(source->ptr);
  const size_t size = std::min(room, call->body.size() - call->sent_bytes);
  std::memcpy(out, call->body.data() + call->sent_bytes, size);
  call->sent_bytes += size;
  if (call->sent_bytes == call->body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

// `from_ns`: when the call was planned.
static void Submit(Call* call, int64_t from_ns) {
  static const std::string kPost = "POST", kHttp = "http", kHttps = "https", kTrailers = "trailers",
                           kGrpc = "application/grpc",
                           kDecide = "/riskgate.v1.DecisionService/Decide",
                           kDecideBatch = "/riskgate.v1.DecisionService/DecideBatch";
  Connection* connection = call->connection;
  Load* load = connection->load;
  call->body.assign(5, '\0');
  call->sent = load->requests.append(load->shape, load->batch, &call->body);
  const uint32_t size = htonl(static_cast<uint32_t>(call->body.size() - 5));
  std::memcpy(&call->body[1], &size, 4);
  call->sent_bytes = 0;
  call->answer.clear();
  call->status.clear();
  call->is_ok = false;
  const nghttp2_nv headers[] = {
      Header(":method", kPost),
      Header(":scheme", connection->socket.tls != nullptr ? kHttps : kHttp),
      Header(":path", load->shape == Shape::kBatch ? kDecideBatch : kDecide),
      Header(":authority", load->authority),
      Header("content-type", kGrpc),
      Header("te", kTrailers),
  };
  nghttp2_data_provider body;
  body.source.ptr = call;
  body.read_callback = ReadBody;
  call->from_ns = from_ns;
  const int32_t stream =
      nghttp2_submit_request(connection->session, nullptr, headers, 6, &body, call);
  if (stream < 0) Die(nghttp2_strerror(stream));
}

static std::string Judge(Load* load, const Call& call) {
  if (!call.is_ok) return call.status.empty() ? "no grpc-status" : call.status;
  if (call.answer.size() <= 5) return "empty answer";
  uint32_t size;
  std::memcpy(&size, &call.answer[1], 4);
  if (call.answer[0] != 0 || ntohl(size) != call.answer.size() - 5) return "wrong message length";
  if (++load->answers % load->check_every != 0) return "";
  load->measurement.checked += 1;
  return load->requests.judge(load->shape, call.sent, call.answer.data() + 5,
                              call.answer.size() - 5, load->exact);
}

static void End(Call* call, uint32_t error_code) {
  Load* load = call->connection->load;
  const int64_t to_ns = now_ns();
  const std::string why =
      error_code == 0 ? Judge(load, *call) : "stream error " + std::to_string(error_code);
  if (why.empty()) {
    load->measurement.add(call->from_ns, to_ns);
  } else {
    load->measurement.fail(why);
  }
  if (load->is_planned) {
    call->connection->free_calls.push_back(call);
    load->running -= 1;
  } else if (load->measurement.is_over(to_ns)) {
    load->running -= 1;
  } else {
    Submit(call, now_ns());
  }
}

// --- what nghttp2 tells ---

static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                    size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
  auto* call =
      static_cast<Call*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
  if (call != nullptr && name_size == 11 && std::memcmp(name, "grpc-status", 11) == 0) {
    call->is_ok = value_size == 1 && value[0] == '0';
    call->status += "grpc-status " + std::string(value, value + value_size) + " ";
  }
  if (call != nullptr && name_size == 12 && std::memcmp(name, "grpc-message", 12) == 0) {
    call->status.append(value, value + value_size);
  }
  return 0;
}

static int OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* bytes,
                  size_t size, void*) {
  auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  if (call != nullptr) call->answer.append(reinterpret_cast<const char*>(bytes), size);
  return 0;
}

static int OnClose(nghttp2_session* session, int32_t stream, uint32_t error_code, void*) {
  auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, stream));
  if (call != nullptr) End(call, error_code);
  return 0;
}

static void OpenSession(Connection* connection) {
  static nghttp2_session_callbacks* callbacks = [] {
    nghttp2_session_callbacks* made;
    nghttp2_session_callbacks_new(&made);
    nghttp2_session_callbacks_set_on_header_callback(made, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, OnData);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, OnClose);
    return made;
  }();
  nghttp2_session_client_new(&connection->session, callbacks, connection);
  // Windows so large that no answer ever waits for one.
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24}};
  nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
  nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0, 1 << 30);
}

// --- bytes in and out ---

static void Flush(Connection* connection, int poll) {
  const uint8_t* bytes;
  ssize_t size;
  while ((size = nghttp2_session_mem_send(connection->session, &bytes)) > 0) {
    connection->unsent.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  }
  size_t done = 0;
  while (done < connection->unsent.size()) {
    const ssize_t sent = Transmit(&connection->socket, connection->unsent.data() + done,
                                  connection->unsent.size() - done);
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) Die(std::string("send: ") + std::strerror(errno));
    done += static_cast<size_t>(sent);
  }
  connection->unsent.erase(0, done);
  const bool waits = !connection->unsent.empty();
  if (waits != connection->waits_to_write) {
    connection->waits_to_write = waits;
    epoll_event event{};
    event.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.ptr = connection;
    epoll_ctl(poll, EPOLL_CTL_MOD, connection->socket.number, &event);
  }
}

static void ReadAll(Connection* connection) {
  static uint8_t buffer[1 << 18];
  for (;;) {
    const ssize_t size = Receive(&connection->socket, buffer, sizeof buffer);
    if (size == 0) Die("the server closed the connection");
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) Die(std::string("receive: ") + std::strerror(errno));
    const ssize_t taken =
        nghttp2_session_mem_recv(connection->session, buffer, static_cast<size_t>(size));
    if (taken < 0) Die(nghttp2_strerror(static_cast<int>(taken)));
    // A short read has emptied the socket; TLS may hold more records.
    if (connection->socket.tls == nullptr && static_cast<size_t>(size) < sizeof buffer) return;
  }
}

// --- the two loops ---

using Connections = std::deque<Connection>;

// Waits for at most `wait_ns` and handles what has come; returns whether anything has.
static bool HandleEvents(int poll, int64_t wait_ns) {
  epoll_event events[64];
  const timespec wait{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
  const int ready = epoll_pwait2(poll, events, 64, &wait, nullptr);
  if (ready < 0 && errno != EINTR) Die(std::string("epoll: ") + std::strerror(errno));
  for (int index = 0; index < ready; ++index) {
    auto* connection = static_cast<Connection*>(events[index].data.ptr);
    if ((events[index].events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) ReadAll(connection);
    Flush(connection, poll);
  }
  return ready > 0;
}

static constexpr int64_t kPatienceNs = 10'000'000'000;

static Call* AddCall(Connection* connection) {
  connection->calls.push_back(Call{});
  connection->calls.back().connection = connection;
  return &connection->calls.back();
}

static void RunClosed(Load* load, Connections* connections, int poll, int streams) {
  for (Connection& connection : *connections) {
    for (int stream = 0; stream < streams; ++stream) {
      load->running += 1;
      Submit(AddCall(&connection), now_ns());
    }
    Flush(&connection, poll);
  }
  while (load->running > 0) {
    if (!HandleEvents(poll, kPatienceNs)) Die("no answer for 10 s");
  }
}

static void RunOpen(Load* load, Connections* connections, int poll, double rate) {
  prctl(PR_SET_TIMERSLACK, 1'000);
  const int64_t start_ns = now_ns() + 1'000'000;
  const long planned = static_cast<long>((load->measurement.end_ns - start_ns) / 1e9 * rate);
  long number = 0;
  const auto due_ns = [&] { return start_ns + static_cast<int64_t>(number * 1e9 / rate); };
  while (number < planned) {
    for (int64_t moment_ns = now_ns(); number < planned && due_ns() <= moment_ns; ++number) {
      Connection* connection = &(*connections)[static_cast<size_t>(number) % connections->size()];
      if (connection->free_calls.empty()) connection->free_calls.push_back(AddCall(connection));
      Call* call = connection->free_calls.back();
      connection->free_calls.pop_back();
      load->running += 1;
      Submit(call, due_ns());
      Flush(connection, poll);
    }
    HandleEvents(poll, std::max<int64_t>(0, due_ns() - now_ns()));
  }
  const int64_t give_up_ns = now_ns() + kPatienceNs;
  while (load->running > 0 && now_ns() < give_up_ns) HandleEvents(poll, kPatienceNs / 100);
  for (; load->running > 0; --load->running) load->measurement.fail("no answer");
}

int main(int count, char** words) {
  const Options options(count, words,
                        {"address", "requests", "mode", "channels", "streams", "rate", "warm-s",
                         "duration-s", "exact", "check-every", "batch", "tls-ca", "tls-cert",
                         "tls-key", "latencies"});
  SSL_CTX* context = options.text("tls-ca").empty() ? nullptr : TlsContext(options);
  const int poll = epoll_create1(0);
  Connections connections(static_cast<size_t>(options.number("channels", 8)));
  for (Connection& connection : connections) {
    Connect(&connection.socket, options.text("address"), context);
  }
  Load load(options);
  for (Connection& connection : connections) {
    connection.load = &load;
    OpenSession(&connection);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(poll, EPOLL_CTL_ADD, connection.socket.number, &event);
    Flush(&connection, poll);
  }
  if (load.is_planned) {
    RunOpen(&load, &connections, poll, options.number("rate", 20'000));
  } else {
    RunClosed(&load, &connections, poll, static_cast<int>(options.number("streams", 8)));
  }
  load.measurement.print(options.text("latencies"));
  std::fflush(stdout);
  _exit(load.measurement.failed > 0 ? 1 : 0);
}
