// lanefuse_bench [--isa=NAME] [--threads=N] [--min_time=SECONDS] [options of Google Benchmark]
// lanefuse_bench --list_isas
//
// One process measures one instruction set: oneDNN can be capped only before its first use.
// bench/run calls it for each and prints the table.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "bench/onednn/onednn.h"
#include "bench/support/reporter.h"
#include "bench/support/roofline.h"
#include "bench/support/runner.h"
#include "bench/support/suite.h"
#include "lanefuse/target.h"

namespace lanefuse::bench {
namespace {

struct Options {
  std::string isa;  // empty: the best
  std::string filter = ".";
  std::string json;
  size_t threads = 1;
  double min_time = 0.02;  // for each repetition
  bool list = false;
  bool list_isas = false;
};

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
    } else if (std::strcmp(argv[i], "--list_isas") == 0) {
      options.list_isas = true;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  argv[argc] = nullptr;
  return options;
}

void AddContext(const Roofline& roofline, bool onednn) {
  const auto number = [](double value) {
    char text[32];
    std::snprintf(text, sizeof(text), "%.1f", value * 1e-9);
    return std::string(text);
  };
  benchmark::AddCustomContext("lanefuse_target", std::string(ActiveTarget()));
  benchmark::AddCustomContext("lanefuse_threads", std::to_string(Threads().threads));
  benchmark::AddCustomContext("baseline", onednn ? onednn::Version()
                                          : onednn::Available()
                                              ? "oneDNN has no such instruction set"
                                              : onednn::Version());
  benchmark::AddCustomContext("peak_gflops", number(roofline.flops()));
  benchmark::AddCustomContext("read_l1_gbps", number(roofline.bandwidth(Roofline::kL1)));
  benchmark::AddCustomContext("read_l2_gbps", number(roofline.bandwidth(Roofline::kL2)));
  benchmark::AddCustomContext("read_l3_gbps", number(roofline.bandwidth(Roofline::kL3)));
  benchmark::AddCustomContext("read_memory_gbps", number(roofline.bandwidth(Roofline::kMemory)));
}

// Of the time of a repetition: how long the peak beside it is looked for.
constexpr double kProbe = 0.25;

int Main(int argc, char** argv) {
  const Options options = TakeOptions(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  if (options.list_isas) {
    for (const std::string_view name : SupportedTargets()) std::puts(std::string(name).c_str());
    return 0;
  }
  if (const Status status = LimitTarget(options.isa); !status.ok()) {
    std::fprintf(stderr, "lanefuse_bench: --isa=%s: %s\n", options.isa.c_str(),
                 status.message().c_str());
    return 2;
  }
  // Before the first use of oneDNN; a list needs no oneDNN at all.
  const bool onednn = onednn::Available() && onednn::LimitIsa(ActiveTarget());
  SetThreads(options.threads);
  onednn::SetThreads(options.threads);

  struct Selected {
    const Suite::Case* problem;
    std::array<bool, kImplementations> wanted;
  };
  const Suite suite = Suite::All();
  const std::regex filter(options.filter);
  std::vector<Selected> selected;
  size_t width = 0;
  for (const Suite::Case& problem : suite.cases()) {
    Selected entry{&problem, {}};
    bool any = false;
    for (int i = 0; i < kImplementations; ++i) {
      const std::string name = NameOf(problem, static_cast<Implementation>(i));
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

  Roofline roofline(options.threads, kProbe * options.min_time);
  AddContext(roofline, onednn);
  JoinedReporter reporter(options.json, width);
  if (!reporter.ok()) {
    std::fprintf(stderr, "lanefuse_bench: cannot write %s\n", options.json.c_str());
    return 2;
  }
  Runner runner({.min_time = options.min_time, .onednn = onednn}, roofline, reporter);
  for (const Selected& entry : selected) runner.Run(*entry.problem, entry.wanted);
  reporter.Close();
  if (runner.wrong() > 0) {
    std::fprintf(stderr, "lanefuse_bench: %d wrong results\n", runner.wrong());
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace lanefuse::bench

int main(int argc, char** argv) { return lanefuse::bench::Main(argc, argv); }
