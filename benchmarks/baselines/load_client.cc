// The C++ gRPC client: latency of unary calls, streams, batches, and of a planned rate.
//
//   load_client --address HOST:PORT --requests FILE --mode unary|batch|stream|open ...
//
// unary, batch   closed loop: on each of --channels connections, --streams calls at a time
// stream         the same with one DecideStream each, ping-pong
// open           --rate calls a second over all channels; latency counts from the instant at which
//                the call was planned, so a slow server cannot hide its queue
//
// One thread drives a completion queue; `open` has a second one that sends. The last line of output
// is JSON (measurement.h). Exit code 1 when a call failed or an answer was wrong.

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <sys/prctl.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <thread>

#include "measurement.h"
#include "options.h"
#include "prepared_requests.h"

using grpc::ByteBuffer;
using grpc::CompletionQueue;

struct Load {
  Load(const Options& options)
      : requests(options.text("requests")),
        measurement(options.number("warm-s", 1), options.number("duration-s", 5)),
        exact(options.text("exact", "no") == "yes"),
        check_every(static_cast<long>(options.number("check-every", 16))),
        batch(static_cast<size_t>(options.number("batch", 256))) {}

  ByteBuffer next(Shape shape, Sent* sent) {
    text.clear();
    *sent = requests.append(shape, batch, &text);
    grpc::Slice slice(text.data(), text.size());
    return ByteBuffer(&slice, 1);
  }

  // Counts one answer; every so many are parsed and compared.
  void take(Shape shape, const Sent& sent, ByteBuffer* answer, int64_t from_ns, int64_t to_ns) {
    std::string why;
    if (answer->Length() == 0) why = "empty answer";
    if (why.empty() && ++answers % check_every == 0) {
      grpc::Slice slice;
      if (!answer->DumpToSingleSlice(&slice).ok()) why = "no bytes";
      if (why.empty()) {
        why = requests.judge(shape, sent, reinterpret_cast<const char*>(slice.begin()),
                             slice.size(), exact);
        measurement.checked += 1;
      }
    }
    if (why.empty()) {
      measurement.add(from_ns, to_ns);
    } else {
      measurement.fail(why);
    }
  }

  PreparedRequests requests;
  Measurement measurement;
  const bool exact;
  const long check_every;
  const size_t batch;
  std::string text;
  long answers = 0;
};

static std::string Describe(const grpc::Status& status) {
  return "status " + std::to_string(status.error_code()) + ": " + status.error_message();
}

// --- unary and batch, closed loop or planned ---

struct Call {
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  ByteBuffer response;
  grpc::Status status;
  grpc::GenericStub* stub = nullptr;
  Sent sent;
  int64_t from_ns = 0;
};

static const std::string kDecide = "/riskgate.v1.DecisionService/Decide";
static const std::string kDecideBatch = "/riskgate.v1.DecisionService/DecideBatch";
static const std::string kDecideStream = "/riskgate.v1.DecisionService/DecideStream";

static void Start(Load* load, Shape shape, Call* call, CompletionQueue* queue, int64_t from_ns) {
  call->context = std::make_unique<grpc::ClientContext>();
  call->response.Clear();
  const ByteBuffer request = load->next(shape, &call->sent);
  call->from_ns = from_ns != 0 ? from_ns : now_ns();
  call->reader = call->stub->PrepareUnaryCall(
      call->context.get(), shape == Shape::kBatch ? kDecideBatch : kDecide, request, queue);
  call->reader->StartCall();
  call->reader->Finish(&call->response, &call->status, call);
}

static void TakeAnswer(Load* load, Shape shape, Call* call, int64_t to_ns) {
  if (call->status.ok()) {
    load->take(shape, call->sent, &call->response, call->from_ns, to_ns);
  } else {
    load->measurement.fail(Describe(call->status));
  }
}

using Stubs = std::vector<std::unique_ptr<grpc::GenericStub>>;

static void RunClosed(Load* load, Shape shape, const Stubs& stubs, int streams) {
  CompletionQueue queue;
  std::vector<std::unique_ptr<Call>> calls;
  for (int stream = 0; stream < streams; ++stream) {
    for (const auto& stub : stubs) {
      calls.push_back(std::make_unique<Call>());
      calls.back()->stub = stub.get();
      Start(load, shape, calls.back().get(), &queue, 0);
    }
  }
  size_t running = calls.size();
  void* tag;
  bool ok;
  while (running > 0 && queue.Next(&tag, &ok)) {
    const int64_t to_ns = now_ns();
    Call* call = static_cast<Call*>(tag);
    TakeAnswer(load, shape, call, to_ns);
    if (load->measurement.is_over(to_ns)) {
      running -= 1;
    } else {
      Start(load, shape, call, &queue, 0);
    }
  }
}

static void SleepUntil(int64_t moment_ns) {
  timespec moment{moment_ns / 1'000'000'000, moment_ns % 1'000'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, nullptr);
}

// How long the last answers of a planned rate are waited for.
static constexpr int kLastAnswersS = 10;

static void RunOpen(Load* load, const Stubs& stubs, double rate) {
  CompletionQueue queue;
  const int64_t start_ns = now_ns() + 1'000'000;
  const long planned = static_cast<long>((load->measurement.end_ns - start_ns) / 1e9 * rate);
  std::thread sender([&] {
    prctl(PR_SET_TIMERSLACK, 1'000);
    for (long number = 0; number < planned; ++number) {
      const int64_t due_ns = start_ns + static_cast<int64_t>(number * 1e9 / rate);
      if (now_ns() < due_ns) SleepUntil(due_ns);
      Call* call = new Call();
      call->stub = stubs[static_cast<size_t>(number) % stubs.size()].get();
      Start(load, Shape::kUnary, call, &queue, due_ns);
    }
  });
  const auto patience = std::chrono::nanoseconds(load->measurement.end_ns - now_ns()) +
                        std::chrono::seconds(kLastAnswersS);
  const auto give_up = std::chrono::system_clock::now() + patience;
  void* tag;
  bool ok;
  long answered = 0;
  while (answered < planned &&
         queue.AsyncNext(&tag, &ok, give_up) == CompletionQueue::GOT_EVENT) {
    Call* call = static_cast<Call*>(tag);
    TakeAnswer(load, Shape::kUnary, call, now_ns());
    delete call;
    answered += 1;
  }
  sender.join();
  for (; answered < planned; ++answered) load->measurement.fail("no answer");
}

// --- streams ---

struct PingPong {
  enum Step : uintptr_t { kStarted, kWritten, kRead, kFinished };
  // The low bits of an event's tag say which step is done.
  void* tag(Step step) { return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(this) | step); }

  void Write(Load* load) {
    const ByteBuffer request = load->next(Shape::kStream, &sent);
    waiting = 2;
    from_ns = now_ns();
    call->Write(request, tag(kWritten));
    call->Read(&response, tag(kRead));
  }

  alignas(8) grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call;
  ByteBuffer response;
  grpc::Status status;
  Sent sent;
  int64_t from_ns = 0;
  int64_t to_ns = 0;
  int waiting = 0;
  bool broken = false;
};

static void FinishStream(PingPong* stream) {
  stream->call->WritesDone(stream->tag(PingPong::kWritten));
  stream->waiting = 1;
  stream->broken = true;
}

static void RunStreams(Load* load, const Stubs& stubs, int streams) {
  CompletionQueue queue;
  std::vector<std::unique_ptr<PingPong>> all;
  for (int index = 0; index < streams * static_cast<int>(stubs.size()); ++index) {
    all.push_back(std::make_unique<PingPong>());
    PingPong* one = all.back().get();
    one->call = stubs[static_cast<size_t>(index) % stubs.size()]->PrepareCall(
        &one->context, kDecideStream, &queue);
    one->call->StartCall(one->tag(PingPong::kStarted));
  }
  size_t running = all.size();
  void* tag;
  bool ok;
  while (running > 0 && queue.Next(&tag, &ok)) {
    const auto word = reinterpret_cast<uintptr_t>(tag);
    PingPong* one = reinterpret_cast<PingPong*>(word & ~uintptr_t{7});
    const auto step = static_cast<PingPong::Step>(word & 7);
    if (step == PingPong::kFinished) {
      if (!one->status.ok()) load->measurement.fail(Describe(one->status));
      running -= 1;
      continue;
    }
    if (step == PingPong::kStarted && ok) {
      one->Write(load);
      continue;
    }
    if (step == PingPong::kRead) one->to_ns = now_ns();
    if (!ok) one->broken = true;
    if (step != PingPong::kStarted && --one->waiting > 0) continue;
    if (one->broken) {
      one->call->Finish(&one->status, one->tag(PingPong::kFinished));
      continue;
    }
    load->take(Shape::kStream, one->sent, &one->response, one->from_ns, one->to_ns);
    if (load->measurement.is_over(one->to_ns)) {
      FinishStream(one);
    } else {
      one->Write(load);
    }
  }
}

// --- connections ---

static std::string Content(const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

static Stubs Connect(const Options& options) {
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (!options.text("tls-ca").empty()) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = Content(options.text("tls-ca"));
    tls.pem_cert_chain = Content(options.text("tls-cert"));
    tls.pem_private_key = Content(options.text("tls-key"));
    credentials = grpc::SslCredentials(tls);
  }
  Stubs stubs;
  for (int index = 0; index < static_cast<int>(options.number("channels", 1)); ++index) {
    grpc::ChannelArguments arguments;
    // A connection of its own for each channel.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    arguments.SetMaxReceiveMessageSize(16 << 20);
    const auto channel = grpc::CreateCustomChannel(options.text("address"), credentials, arguments);
    const auto give_up = std::chrono::system_clock::now() + std::chrono::seconds(10);
    if (!channel->WaitForConnected(give_up)) {
      std::fprintf(stderr, "%s: no connection\n", options.text("address").c_str());
      std::exit(1);
    }
    stubs.push_back(std::make_unique<grpc::GenericStub>(channel));
  }
  return stubs;
}

int main(int count, char** words) {
  const Options options(
      count, words,
      {"address", "requests", "mode", "channels", "streams", "rate", "warm-s", "duration-s",
       "exact", "check-every", "batch", "tls-ca", "tls-cert", "tls-key", "latencies"});
  const Stubs stubs = Connect(options);
  Load load(options);
  const std::string mode = options.text("mode", "unary");
  const int streams = static_cast<int>(options.number("streams", 1));
  if (mode == "unary") {
    RunClosed(&load, Shape::kUnary, stubs, streams);
  } else if (mode == "batch") {
    RunClosed(&load, Shape::kBatch, stubs, streams);
  } else if (mode == "stream") {
    RunStreams(&load, stubs, streams);
  } else if (mode == "open") {
    RunOpen(&load, stubs, options.number("rate", 20'000));
  } else {
    std::fprintf(stderr, "%s: no such mode\n", mode.c_str());
    return 2;
  }
  load.measurement.print(options.text("latencies"));
  std::fflush(stdout);
  // Calls without an answer still belong to the library: the process ends without asking for them.
  _exit(load.measurement.failed > 0 ? 1 : 0);
}
