// The C++ baseline: a gRPC callback server of riskgate.v1.DecisionService that does no work.
//
//   noop_server --address 127.0.0.1:50061 [--codec messages|raw]
//
// `messages` is what any C++ server with generated code does: the request is parsed, an answer
// message is filled and encoded. `raw` neither parses nor encodes: the same bytes go out each time.
// A batch is answered item by item in both.

#include <grpcpp/grpcpp.h>

#include <csignal>
#include <memory>
#include <string>

#include "options.h"
#include "riskgate/v1/decision.grpc.pb.h"

namespace v1 = riskgate::v1;
using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using grpc::Status;

// As large as an answer of the engine.
static v1::DecideResponse FixedAnswer() {
  v1::DecideResponse answer;
  answer.set_decision_id(1'234'567);
  answer.set_epoch(1);
  answer.set_verdict(v1::VERDICT_ALLOW);
  answer.set_lot_size(0.25);
  answer.set_sl_buffer_pips(0.5);
  answer.set_stop_price(1.09795);
  answer.set_trailing_stop_distance(0.0015);
  answer.set_predicted_slippage_pips(0.2);
  answer.set_sizing_slippage_pips(0.7);
  answer.set_performance_score(87.5);
  answer.set_score_multiplier(1.35);
  answer.set_largest_passing_lots(3.21);
  answer.set_model_version("1.0.0");
  answer.set_model_digest(std::string(32, 'm'));
  answer.set_policy_version("1.0.0");
  answer.set_policy_digest(std::string(32, 'p'));
  answer.set_mode(v1::MODE_NORMAL);
  answer.set_durability(v1::DURABILITY_MEMORY);
  answer.mutable_reservation_expires_at()->set_seconds(1'800'000'000);
  answer.mutable_reservation_expires_at()->set_nanos(123'456'789);
  answer.set_state_version(4'711);
  answer.mutable_input_ages()->set_heartbeat_ms(120);
  answer.mutable_input_ages()->set_equity_ms(60'000);
  answer.mutable_input_ages()->set_score_ms(60'000);
  answer.set_server_ns(1'500);
  answer.set_session(v1::TRADING_SESSION_LONDON);
  return answer;
}

static const v1::DecideResponse kAnswer = FixedAnswer();

static ServerUnaryReactor* Finish(CallbackServerContext* context) {
  ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(Status::OK);
  return reactor;
}

static void AnswerBatch(const v1::DecideBatchRequest& request, v1::DecideBatchResponse* response) {
  for (int item = 0; item < request.requests_size(); ++item) {
    *response->add_results()->mutable_response() = kAnswer;
  }
}

// --- messages: parse and encode ---

class MessageStream : public grpc::ServerBidiReactor<v1::DecideStreamRequest,
                                                     v1::DecideStreamResponse> {
 public:
  MessageStream() {
    *response_.mutable_response() = kAnswer;
    StartRead(&request_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(Status::OK);
    response_.set_tag(request_.tag());
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(Status::CANCELLED);
    StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  v1::DecideStreamRequest request_;
  v1::DecideStreamResponse response_;
};

class MessageService : public v1::DecisionService::CallbackService {
  ServerUnaryReactor* Decide(CallbackServerContext* context, const v1::DecideRequest*,
                             v1::DecideResponse* response) override {
    *response = kAnswer;
    return Finish(context);
  }
  ServerUnaryReactor* DecideBatch(CallbackServerContext* context,
                                  const v1::DecideBatchRequest* request,
                                  v1::DecideBatchResponse* response) override {
    AnswerBatch(*request, response);
    return Finish(context);
  }
  grpc::ServerBidiReactor<v1::DecideStreamRequest, v1::DecideStreamResponse>* DecideStream(
      CallbackServerContext*) override {
    return new MessageStream();
  }
};

// --- raw: bytes in, the same bytes out ---

static const std::string kAnswerBytes = kAnswer.SerializeAsString();

static ByteBuffer BufferOf(const std::string& bytes) {
  grpc::Slice slice(bytes);
  return ByteBuffer(&slice, 1);
}

class RawStream : public grpc::ServerBidiReactor<ByteBuffer, ByteBuffer> {
 public:
  RawStream() {
    v1::DecideStreamResponse answer;
    *answer.mutable_response() = kAnswer;
    rest_ = answer.SerializeAsString();
    StartRead(&request_);
  }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(Status::OK);
    grpc::Slice slice;
    if (!request_.DumpToSingleSlice(&slice).ok() || slice.size() < 2 || slice.begin()[0] != 0x08) {
      return Finish(Status(grpc::StatusCode::INVALID_ARGUMENT, "the tag must come first"));
    }
    // Field 1, the tag, is answered as it came.
    size_t length = 1;
    while (length + 1 < slice.size() && (slice.begin()[length] & 0x80) != 0) ++length;
    std::string bytes(reinterpret_cast<const char*>(slice.begin()), length + 1);
    bytes += rest_;
    response_ = BufferOf(bytes);
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(Status::CANCELLED);
    StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  std::string rest_;
  ByteBuffer request_;
  ByteBuffer response_;
};

using RawMethods = v1::DecisionService::WithRawCallbackMethod_Decide<
    v1::DecisionService::WithRawCallbackMethod_DecideStream<
        v1::DecisionService::WithCallbackMethod_DecideBatch<v1::DecisionService::Service>>>;

class RawService : public RawMethods {
  ServerUnaryReactor* Decide(CallbackServerContext* context, const ByteBuffer*,
                             ByteBuffer* response) override {
    static const ByteBuffer answer = BufferOf(kAnswerBytes);
    *response = answer;  // shares the slice
    return Finish(context);
  }
  ServerUnaryReactor* DecideBatch(CallbackServerContext* context,
                                  const v1::DecideBatchRequest* request,
                                  v1::DecideBatchResponse* response) override {
    AnswerBatch(*request, response);
    return Finish(context);
  }
  grpc::ServerBidiReactor<ByteBuffer, ByteBuffer>* DecideStream(CallbackServerContext*) override {
    return new RawStream();
  }
};

int main(int count, char** words) {
  const Options options(count, words, {"address", "codec"});
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);

  std::unique_ptr<grpc::Service> service;
  if (options.text("codec", "messages") == "raw") {
    service = std::make_unique<RawService>();
  } else {
    service = std::make_unique<MessageService>();
  }
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(options.text("address", "127.0.0.1:0"),
                           grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(service.get());
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    std::fprintf(stderr, "%s: cannot listen\n", options.text("address").c_str());
    return 1;
  }
  std::printf("{\"port\": %d, \"answer_bytes\": %zu}\n", port, kAnswerBytes.size());
  std::fflush(stdout);
  int signal_number;
  sigwait(&stops, &signal_number);
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  return 0;
}
