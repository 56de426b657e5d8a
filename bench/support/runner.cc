#include "bench/support/runner.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "bench/support/check.h"
#include "bench/support/clock.h"
#include "bench/support/text.h"
#include "lanefuse/target.h"

namespace lanefuse::bench {
namespace {

constexpr const char* kImplementationNames[kImplementations] = {"lanefuse", "layers", "unfused",
                                                                "onednn"};

// How many calls last `min_time`. Google Benchmark's own search stops early, at a single call if it
// must, when the process is put aside for a while, and repeats that in every repetition; here the
// best of three decides.
benchmark::IterationCount CallsFor(double min_time, const std::function<void()>& call) {
  call();
  for (size_t calls = 1;; calls *= 2) {
    double best = 1e30;
    for (int turn = 0; turn < 3; ++turn) {
      const double start = Now(Threads().threads);
      for (size_t i = 0; i < calls; ++i) call();
      best = std::min(best, Now(Threads().threads) - start);
    }
    if (best > 0.05 * min_time || calls > (size_t{1} << 30)) {
      const double count = min_time / best * static_cast<double>(calls);
      return static_cast<benchmark::IterationCount>(std::max(1.0, count));
    }
  }
}

}  // namespace

std::string NameOf(const Suite::Case& problem, Implementation implementation) {
  return Text(problem.name, "/", kImplementationNames[implementation], "/", ActiveTarget(), "/t",
              Threads().threads);
}

Runner::Errors Runner::Check(Instance& instance, onednn::Layer& layer) const {
  Errors errors;
  if (const Status status = instance.Fused(); !status.ok()) {
    errors.fill(status.message());
    return errors;
  }
  const std::span<const float> output = instance.output();
  const std::vector<float> fused(output.begin(), output.end());
  std::vector<float> baseline;
  // The library's promise: the same bits, fused or not.
  const auto compare = [&](const Status& status, Implementation which) {
    errors[which] = status.ok() ? CompareBits(fused, output) : status.message();
  };
  if (instance.sums()) {
    instance.Restore();
    compare(instance.InPlace(), kLanefuse);
  }
  if (instance.has_layers()) compare(instance.Layers(), kLayers);
  if (instance.steps() > 0) compare(instance.Unfused(), kUnfused);
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
    if (!errors[kLanefuse].empty()) errors[kLanefuse] = Text("against oneDNN: ", errors[kLanefuse]);
  }
  return errors;
}

void Runner::Register(const std::string& name, const std::string& error, const Work& work,
                      size_t activation_bytes, const std::function<void()>& call, const Loop& loop,
                      const std::string& label) {
  if (!error.empty()) {
    ++wrong_;
    std::fprintf(stderr, "lanefuse_bench: %s: %s\n", name.c_str(), error.c_str());
  }
  const auto run = [this, error, work, activation_bytes, loop, label](benchmark::State& state) {
    if (!error.empty()) {
      state.SkipWithError(error.c_str());
      return;
    }
    roofline_.Refresh();
    if (const Status status = loop(state); !status.ok()) {
      ++wrong_;
      state.SkipWithError(status.message().c_str());
      return;
    }
    using benchmark::Counter;
    constexpr auto kRate = Counter::kIsIterationInvariantRate;
    if (work.flops > 0.0) state.counters["GFLOPS"] = Counter(work.flops * 1e-9, kRate);
    state.counters["GBps"] = Counter(work.bytes * 1e-9, kRate);
    // Seconds needed a second spent.
    state.counters["peak"] = Counter(roofline_.BestSeconds(work.flops, work.bytes), kRate);
    state.counters["checked"] = 1;
    if (activation_bytes > 0) {
      state.counters["activation_bytes"] = static_cast<double>(activation_bytes);
    }
    if (!label.empty()) state.SetLabel(label);
  };
  auto* registered = benchmark::RegisterBenchmark(name.c_str(), run);
  registered->Unit(benchmark::kMicrosecond);
  registered->Iterations(error.empty() ? CallsFor(options_.min_time, call) : 1);
  // As Now() does.
  if (Threads().threads > 1) registered->UseRealTime();
}

void Runner::Run(const Suite::Case& problem, const std::array<bool, kImplementations>& wanted) {
  const std::unique_ptr<Instance> instance = problem.make();
  onednn::Layer layer;
  if (options_.onednn) {
    layer = instance->Onednn();
    if (!layer.ready() && missing_[layer.error()]++ == 0) {
      std::fprintf(stderr, "lanefuse_bench: no baseline for %s: %s\n", problem.name.c_str(),
                   layer.error().c_str());
    }
  }
  const Errors errors = Check(*instance, layer);
  const Work work = instance->work();
  const auto name = [&](Implementation i) { return NameOf(problem, i); };
  const auto add = [&](Implementation which, Status (Instance::*call)(),
                       Status (Instance::*time)(benchmark::State&)) {
    if (!wanted[which]) return;
    Register(
        name(which), errors[which], work, instance->activation_bytes(which),
        [&i = *instance, call] { (void)(i.*call)().ok(); },
        [&i = *instance, time](benchmark::State& state) { return (i.*time)(state); }, "");
  };
  add(kLanefuse, &Instance::InPlace, &Instance::TimeFused);
  if (instance->has_layers()) add(kLayers, &Instance::Layers, &Instance::TimeLayers);
  if (instance->steps() > 0) add(kUnfused, &Instance::Unfused, &Instance::TimeUnfused);
  if (wanted[kOnednn] && layer.ready()) {
    const auto loop = [&layer](benchmark::State& state) {
      for (auto _ : state) {
        layer.Run();
        benchmark::ClobberMemory();
      }
      return Status();
    };
    Register(
        name(kOnednn), errors[kOnednn], work, layer.activation_bytes(), [&layer] { layer.Run(); },
        loop, layer.choice());
  }
  benchmark::RunSpecifiedBenchmarks(&reporter_, "all");
  benchmark::ClearRegisteredBenchmarks();
}

}  // namespace lanefuse::bench
