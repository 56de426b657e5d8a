// lanefuse_bench [--isa=NAME] [--threads=N] [--min_time=SECONDS] [options of Google Benchmark]
//
// One process measures one instruction set: oneDNN can be capped only before its first use.
// bench/run calls it for each and prints the table.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "bench/onednn/onednn.h"
#include "bench/support/reporter.h"
#include "bench/support/roofline.h"
#include "bench/support/suite.h"
#include "lanefuse/target.h"

namespace lanefuse::bench {
namespace {

struct Options {
  std::string isa;       // empty: the best
  std::string filter = ".";
  std::string json;
  size_t threads = 1;
  double min_time = 0.02;  // for each repetition
  bool list = false;
};

size_t threads_in_use = 1;

// The value of --name=value, or null.
const char* ValueOf(const char* argument, const char* name) {
  const size_t length = std::strlen(name);
  if (std::strncmp(argument, name, length) != 0 || argument[length] != '=') return nullptr;
  return argument + length + 1;
}

// Takes our options, and those of Google Benchmark that must cover all of its runs, out of argv.
Options TakeOptions(int& argc, char** argv) {
  Options options;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (const char* isa = ValueOf(argv[i], "--isa")) {
      options.isa = isa;
      std::transform(options.isa.begin(), options.isa.end(), options.isa.begin(),
                     [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    } else if (const char* filter = ValueOf(argv[i], "--benchmark_filter")) {
      options.filter = std::string_view(filter) == "all" ? "." : filter;
    } else if (const char* json = ValueOf(argv[i], "--benchmark_out")) {
      options.json = json;
    } else if (const char* threads = ValueOf(argv[i], "--threads")) {
      options.threads = std::max(1ul, std::strtoul(threads, nullptr, 10));
    } else if (const char* min_time = ValueOf(argv[i], "--min_time")) {
      options.min_time = std::strtod(min_time, nullptr);
    } else if (std::strncmp(argv[i], "--benchmark_list_tests", 22) == 0) {
      options.list = std::strcmp(argv[i], "--benchmark_list_tests=false") != 0;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  argv[argc] = nullptr;
  return options;
}

enum Implementation { kLanefuse, kUnfused, kOnednn, kImplementations };
constexpr const char* kImplementationNames[kImplementations] = {"lanefuse", "unfused", "onednn"};

// Runs the problems one after the other and counts what went wrong.
class Runner {
 public:
  Runner(const Options& options, const Roofline& roofline, bool onednn, JoinedReporter& reporter)
      : options_(options), roofline_(roofline), onednn_(onednn), reporter_(reporter) {}

  void Run(const Suite::Case& problem, const bool (&wanted)[kImplementations]);
  int wrong() const { return wrong_; }

 private:
  using Errors = std::string[kImplementations];
  void Check(Instance& instance, onednn::Layer& layer, Errors& errors);
  void Register(const std::string& name, const std::string& error, const Work& work,
                std::function<Status(benchmark::State&)> loop, const std::string& label);

  const Options& options_;
  const Roofline& roofline_;
  const bool onednn_;
  JoinedReporter& reporter_;
  std::map<std::string, int> missing_;  // what oneDNN said, and how often
  int wrong_ = 0;
};

// Fills `errors` for the implementations whose results are wrong.
void Runner::Check(Instance& instance, onednn::Layer& layer, Errors& errors) {
  if (const Status status = instance.Fused(); !status.ok()) {
    for (std::string& error : errors) error = status.message();
    return;
  }
  const std::span<const float> output = instance.output();
  const std::vector<float> fused(output.begin(), output.end());
  std::vector<float> unfused, baseline;
  if (instance.steps() > 0) {
    const Status status = instance.Unfused();
    if (status.ok()) {
      unfused.assign(output.begin(), output.end());
      // The library's promise: the same bits, fused or not.
      errors[kUnfused] = CompareBits(fused, unfused);
    } else {
      errors[kUnfused] = status.message();
    }
  }
  if (layer.ready()) {
    baseline.resize(output.size());
    layer.Output(baseline);
  }

  // A sample against double precision: the first, the last, and a prime stride between, which meets
  // every remainder of tiles and vectors.
  constexpr size_t kSamples = 64;
  double largest = 0.0;
  const size_t count = std::min(kSamples, output.size());
  for (size_t s = 0; s < count; ++s) {
    const size_t i = output.size() <= kSamples ? s
                     : s + 1 == count          ? output.size() - 1
                                               : s * (output.size() / kSamples | 1) % output.size();
    const Estimate exact = instance.Reference(i);
    largest = std::max(largest, exact.bound);
    const auto check = [&](std::span<const float> values, Implementation which) {
      if (values.empty() || !errors[which].empty()) return;
      const double got = static_cast<double>(values[i]);
      if (std::abs(got - exact.value) <= exact.bound) return;
      char text[160];
      std::snprintf(text, sizeof(text), "wrong at output %zu: %.9g, should be %.9g +- %.3g", i, got,
                    exact.value, exact.bound);
      errors[which] = text;
    };
    check(fused, kLanefuse);
    check(baseline, kOnednn);
  }
  // Everywhere against oneDNN. Both may be off by a bound, and bounds of uniform random data are
  // within a factor of two of the largest in the sample.
  if (layer.ready() && errors[kOnednn].empty() && errors[kLanefuse].empty()) {
    errors[kLanefuse] = CompareWithin(fused, baseline, 4.0 * largest);
    if (!errors[kLanefuse].empty()) errors[kLanefuse] = "against oneDNN: " + errors[kLanefuse];
  }
}

void Runner::Register(const std::string& name, const std::string& error, const Work& work,
                      std::function<Status(benchmark::State&)> loop, const std::string& label) {
  if (!error.empty()) {
    ++wrong_;
    std::fprintf(stderr, "lanefuse_bench: %s: %s\n", name.c_str(), error.c_str());
  }
  const double best = roofline_.BestSeconds(work.flops, work.bytes);
  const auto run = [this, error, work, loop, label, best](benchmark::State& state) {
    if (!error.empty()) {
      state.SkipWithError(error.c_str());
      return;
    }
    if (const Status status = loop(state); !status.ok()) {
      ++wrong_;
      state.SkipWithError(status.message().c_str());
      return;
    }
    using benchmark::Counter;
    constexpr auto kRate = Counter::kIsIterationInvariantRate;
    if (work.flops > 0.0) state.counters["GFLOPS"] = Counter(work.flops * 1e-9, kRate);
    state.counters["GBps"] = Counter(work.bytes * 1e-9, kRate);
    state.counters["peak"] = Counter(best, kRate);  // seconds needed a second spent
    state.counters["checked"] = 1;
    if (!label.empty()) state.SetLabel(label);
  };
  benchmark::RegisterBenchmark(name.c_str(), run)
      ->UseRealTime()
      ->MinTime(options_.min_time)
      ->Unit(benchmark::kMicrosecond);
}

void Runner::Run(const Suite::Case& problem, const bool (&wanted)[kImplementations]) {
  const std::unique_ptr<Instance> instance = problem.make();
  onednn::Layer layer;
  if (onednn_) {
    layer = instance->Onednn();
    if (!layer.ready() && missing_[layer.error()]++ == 0) {
      std::fprintf(stderr, "lanefuse_bench: no baseline for %s: %s\n", problem.name.c_str(),
                   layer.error().c_str());
    }
  }
  Errors errors;
  Check(*instance, layer, errors);
  const Work work = instance->work();
  const std::string tail =
      "/" + std::string(ActiveTarget()) + "/t" + std::to_string(threads_in_use);
  const auto name = [&](Implementation i) {
    return problem.name + "/" + kImplementationNames[i] + tail;
  };
  if (wanted[kLanefuse]) {
    Register(name(kLanefuse), errors[kLanefuse], work,
             [&i = *instance](benchmark::State& state) { return i.TimeFused(state); }, "");
  }
  if (wanted[kUnfused] && instance->steps() > 0) {
    Register(name(kUnfused), errors[kUnfused], work,
             [&i = *instance](benchmark::State& state) { return i.TimeUnfused(state); }, "");
  }
  if (wanted[kOnednn] && layer.ready()) {
    const auto loop = [&layer](benchmark::State& state) {
      for (auto _ : state) {
        layer.Run();
        benchmark::ClobberMemory();
      }
      return Status();
    };
    Register(name(kOnednn), errors[kOnednn], work, loop, layer.choice());
  }
  benchmark::RunSpecifiedBenchmarks(&reporter_, "all");
  benchmark::ClearRegisteredBenchmarks();
}

void AddContext(const Roofline& roofline, bool onednn) {
  const auto number = [](double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.1f", value * 1e-9);
    return std::string(text);
  };
  benchmark::AddCustomContext("lanefuse_target", std::string(ActiveTarget()));
  benchmark::AddCustomContext("lanefuse_threads", std::to_string(threads_in_use));
  benchmark::AddCustomContext("baseline", onednn ? onednn::Version()
                              : onednn::Available() ? "oneDNN has no such instruction set"
                                                    : onednn::Version());
  benchmark::AddCustomContext("peak_gflops", number(roofline.flops()));
  benchmark::AddCustomContext("read_l1_gbps", number(roofline.bandwidth(Roofline::kL1)));
  benchmark::AddCustomContext("read_l2_gbps", number(roofline.bandwidth(Roofline::kL2)));
  benchmark::AddCustomContext("read_l3_gbps", number(roofline.bandwidth(Roofline::kL3)));
  benchmark::AddCustomContext("read_memory_gbps", number(roofline.bandwidth(Roofline::kMemory)));
}

int Main(int argc, char** argv) {
  const Options options = TakeOptions(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if (const Status status = LimitTarget(options.isa); !status.ok()) {
    std::fprintf(stderr, "lanefuse_bench: --isa=%s: %s\n", options.isa.c_str(),
                 status.message().c_str());
    return 2;
  }
  // Before the first use of oneDNN; a list needs no oneDNN at all.
  const bool onednn = onednn::Available() && onednn::LimitIsa(ActiveTarget());
  threads_in_use = options.threads;
  onednn::SetThreads(options.threads);

  struct Selected {
    const Suite::Case* problem;
    bool wanted[kImplementations];
  };
  const Suite suite = Suite::All();
  const std::regex filter(options.filter);
  std::vector<Selected> selected;
  size_t width = 0;
  for (const Suite::Case& problem : suite.cases()) {
    Selected entry{&problem, {}};
    bool any = false;
    for (int i = 0; i < kImplementations; ++i) {
      const std::string name = problem.name + "/" + kImplementationNames[i] + "/" +
                               std::string(ActiveTarget()) + "/t" + std::to_string(threads_in_use);
      entry.wanted[i] = std::regex_search(name, filter);
      any = any || entry.wanted[i];
      if (entry.wanted[i]) width = std::max(width, name.size());
      if (entry.wanted[i] && options.list) std::printf("%s\n", name.c_str());
    }
    if (any) selected.push_back(entry);
  }
  if (options.list) return 0;
  if (selected.empty()) {
    std::fprintf(stderr, "lanefuse_bench: no name matches '%s'\n", options.filter.c_str());
    return 2;
  }

  const Roofline roofline(options.threads);
  AddContext(roofline, onednn);
  JoinedReporter reporter(options.json, width);
  if (!reporter.ok()) {
    std::fprintf(stderr, "lanefuse_bench: cannot write %s\n", options.json.c_str());
    return 2;
  }
  Runner runner(options, roofline, onednn, reporter);
  for (const Selected& entry : selected) runner.Run(*entry.problem, entry.wanted);
  reporter.Close();
  if (runner.wrong() > 0) {
    std::fprintf(stderr, "lanefuse_bench: %d wrong results\n", runner.wrong());
    return 1;
  }
  return 0;
}

}  // namespace

Parallel Threads() { return {.threads = threads_in_use}; }

}  // namespace lanefuse::bench

int main(int argc, char** argv) { return lanefuse::bench::Main(argc, argv); }
