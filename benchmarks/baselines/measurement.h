// What a load client measured: latencies, failures, its own CPU time, as one line of JSON.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

inline int64_t now_ns() {
  timespec moment;
  clock_gettime(CLOCK_MONOTONIC, &moment);
  return moment.tv_sec * 1'000'000'000LL + moment.tv_nsec;
}

inline double cpu_seconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
         (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// One series. Calls that start while it warms up are made and checked, but not timed.
class Measurement {
 public:
  Measurement(double warm_s, double duration_s)
      : begin_ns(now_ns() + static_cast<int64_t>(warm_s * 1e9)),
        end_ns(begin_ns + static_cast<int64_t>(duration_s * 1e9)) {
    latencies_ns_.reserve(1 << 22);
  }

  bool is_over(int64_t moment_ns) const { return moment_ns >= end_ns; }

  // Takes one good answer.
  void add(int64_t from_ns, int64_t to_ns) {
    total += 1;
    if (to_ns >= begin_ns && to_ns < end_ns) finished_ += 1;
    if (from_ns >= begin_ns && from_ns < end_ns) {
      latencies_ns_.push_back(static_cast<uint32_t>(std::min<int64_t>(to_ns - from_ns, UINT32_MAX)));
    }
  }

  // Takes one call without a good answer; the first few are shown.
  void fail(const std::string& why) {
    total += 1;
    failed += 1;
    if (failed <= 5) std::fprintf(stderr, "failed: %s\n", why.c_str());
  }

  // `dump` names a file for the latencies, uint32 nanoseconds; empty: none.
  void print(const std::string& dump) {
    if (!dump.empty()) {
      FILE* file = std::fopen(dump.c_str(), "wb");
      if (file == nullptr) std::perror(dump.c_str());
      if (file != nullptr) {
        std::fwrite(latencies_ns_.data(), sizeof(uint32_t), latencies_ns_.size(), file);
        std::fclose(file);
      }
    }
    std::sort(latencies_ns_.begin(), latencies_ns_.end());
    std::printf(
        "{\"n\": %zu, \"total\": %ld, \"failed\": %ld, \"checked\": %ld, \"rps\": %.1f, "
        "\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f, "
        "\"client_cpu_s\": %.3f}\n",
        latencies_ns_.size(), total, failed, checked, finished_ / ((end_ns - begin_ns) / 1e9),
        at(0.5), at(0.99), at(0.999), at(1.0), cpu_seconds());
  }

  const int64_t begin_ns;
  const int64_t end_ns;
  long total = 0;
  long failed = 0;
  long checked = 0;

 private:
  // The smallest latency that at least this share of the calls does not exceed, microseconds.
  double at(double share) const {
    if (latencies_ns_.empty()) return 0.0;
    const double rank = share * latencies_ns_.size();
    size_t place = static_cast<size_t>(rank);
    if (place == rank && place > 0) place -= 1;
    return latencies_ns_[std::min(place, latencies_ns_.size() - 1)] / 1e3;
  }

  std::vector<uint32_t> latencies_ns_;
  long finished_ = 0;
};
