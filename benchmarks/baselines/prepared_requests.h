// Serialized DecideRequests from a file, each sent under a new client_order_id, and the check of
// what comes back. The file is written by benchmarks/lane/requests_file.py, which describes it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "riskgate/v1/decision.pb.h"

struct Prepared {
  const char* bytes;
  uint32_t size;
  uint32_t id_offset;  // of the client_order_id inside the bytes
  uint32_t verdict;
  double lots;
};

enum class Shape { kUnary, kStream, kBatch };

// What was sent, so that its answer can be judged.
struct Sent {
  size_t first = 0;
  size_t count = 0;
  uint64_t tag = 0;
};

class PreparedRequests {
 public:
  static constexpr size_t kIdWidth = 20;

  explicit PreparedRequests(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    content_.assign(std::istreambuf_iterator<char>(file), {});
    if (content_.size() < 16 || content_.compare(0, 8, "RGREQ001") != 0) {
      std::fprintf(stderr, "%s: not a file of prepared requests\n", path.c_str());
      std::exit(2);
    }
    uint64_t count;
    std::memcpy(&count, content_.data() + 8, 8);
    size_t at = 16;
    for (uint64_t index = 0; index < count; ++index) {
      Prepared one;
      std::memcpy(&one.size, content_.data() + at, 4);
      std::memcpy(&one.id_offset, content_.data() + at + 4, 4);
      std::memcpy(&one.verdict, content_.data() + at + 8, 4);
      std::memcpy(&one.lots, content_.data() + at + 12, 8);
      one.bytes = content_.data() + at + 20;
      at += 20 + one.size;
      requests_.push_back(one);
    }
    std::random_device chance;
    char prefix[9];
    std::snprintf(prefix, sizeof prefix, "%08x", chance());
    prefix_ = prefix;
    next_ = chance() % requests_.size();
  }

  // Appends the next message to `out`; returns what has to come back.
  Sent append(Shape shape, size_t batch, std::string* out) {
    Sent sent{next_, shape == Shape::kBatch ? batch : 1, ++serial_};
    if (shape == Shape::kStream) {
      out->push_back(0x08);
      append_varint(sent.tag, out);
    }
    for (size_t item = 0; item < sent.count; ++item) {
      const Prepared& one = requests_[next_];
      next_ = next_ + 1 == requests_.size() ? 0 : next_ + 1;
      if (shape != Shape::kUnary) {
        out->push_back(shape == Shape::kStream ? 0x12 : 0x0a);
        append_varint(one.size, out);
      }
      const size_t start = out->size();
      out->append(one.bytes, one.size);
      write_id(&(*out)[start + one.id_offset]);
    }
    return sent;
  }

  // Returns why an answer is wrong, or an empty text. `exact`: verdict and lots must be those that
  // the file names; a server without work only has to answer something.
  std::string judge(Shape shape, const Sent& sent, const char* bytes, size_t size, bool exact) {
    if (shape == Shape::kUnary) {
      riskgate::v1::DecideResponse answer;
      if (!answer.ParseFromArray(bytes, static_cast<int>(size))) return "not a DecideResponse";
      return judge_one(sent.first, answer, exact);
    }
    if (shape == Shape::kStream) {
      riskgate::v1::DecideStreamResponse answer;
      if (!answer.ParseFromArray(bytes, static_cast<int>(size))) return "not a stream answer";
      if (answer.tag() != sent.tag) return "another tag";
      if (!answer.has_response()) return "error in stream: " + answer.error().message();
      return judge_one(sent.first, answer.response(), exact);
    }
    riskgate::v1::DecideBatchResponse answer;
    if (!answer.ParseFromArray(bytes, static_cast<int>(size))) return "not a batch answer";
    if (static_cast<size_t>(answer.results_size()) != sent.count) return "wrong count in batch";
    for (size_t item = 0; item < sent.count; ++item) {
      const auto& result = answer.results(static_cast<int>(item));
      if (!result.has_response()) return "error in batch: " + result.error().message();
      const size_t index = (sent.first + item) % requests_.size();
      const std::string why = judge_one(index, result.response(), exact);
      if (!why.empty()) return why;
    }
    return "";
  }

 private:
  static void append_varint(uint64_t value, std::string* out) {
    for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
    out->push_back(static_cast<char>(value));
  }

  // Eight characters of this process, twelve of a counter: no id is ever sent twice.
  void write_id(char* place) {
    static const char kDigits[] = "0123456789abcdef";
    std::memcpy(place, prefix_.data(), 8);
    uint64_t rest = ++order_;
    for (size_t digit = kIdWidth; digit-- > 8; rest >>= 4) place[digit] = kDigits[rest & 15];
  }

  std::string judge_one(size_t index, const riskgate::v1::DecideResponse& answer, bool exact) {
    if (answer.decision_id() == 0) return "decision_id is 0";
    if (answer.verdict() == riskgate::v1::VERDICT_UNSPECIFIED) return "no verdict";
    const Prepared& one = requests_[index];
    if (exact && (static_cast<uint32_t>(answer.verdict()) != one.verdict ||
                  answer.lot_size() != one.lots)) {
      return "verdict " + std::to_string(answer.verdict()) + ", lots " +
             std::to_string(answer.lot_size()) + " instead of " + std::to_string(one.verdict) +
             ", " + std::to_string(one.lots) + ": " + answer.ShortDebugString();
    }
    return "";
  }

  std::string content_;
  std::vector<Prepared> requests_;
  std::string prefix_;
  size_t next_ = 0;
  uint64_t serial_ = 0;
  uint64_t order_ = 0;
};
