// Runs the problems of a suite: checks their results, times the implementations, adds counters.
#ifndef LANEFUSE_BENCH_SUPPORT_RUNNER_H_
#define LANEFUSE_BENCH_SUPPORT_RUNNER_H_

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "bench/onednn/onednn.h"
#include "bench/support/reporter.h"
#include "bench/support/roofline.h"
#include "bench/support/suite.h"

namespace lanefuse::bench {

// family/epilogue/dtype/shape/impl/target/threads
std::string NameOf(const Suite::Case& problem, Implementation implementation);

class Runner {
 public:
  struct Options {
    double min_time = 0.02;  // seconds of each repetition
    bool onednn = false;     // there is a baseline, capped to the active target
  };

  Runner(const Options& options, Roofline& roofline, JoinedReporter& reporter)
      : options_(options), roofline_(roofline), reporter_(reporter) {}

  // Makes the problem, checks every implementation of it, and times those that are wanted.
  void Run(const Suite::Case& problem, const std::array<bool, kImplementations>& wanted);

  // Results that were wrong, so far. Each was reported on stderr and is an error in its row.
  int wrong() const { return wrong_; }

 private:
  using Errors = std::array<std::string, kImplementations>;
  using Loop = std::function<Status(benchmark::State&)>;

  // Empty strings where the results are right.
  Errors Check(Instance& instance, onednn::Layer& layer) const;
  // `call` is what `loop` does once.
  void Register(const std::string& name, const std::string& error, const Work& work,
                size_t activation_bytes, const std::function<void()>& call, const Loop& loop,
                const std::string& label);

  const Options options_;
  Roofline& roofline_;
  JoinedReporter& reporter_;
  std::map<std::string, int> missing_;  // what oneDNN said, and how often
  int wrong_ = 0;
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_RUNNER_H_
