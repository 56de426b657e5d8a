// How a family's benchmark is written: a class that holds one problem (shape, operands, output) and
// a function that adds problems to the suite. The rest is here: names, checks, loops, counters.
//
//   class DotProblem { ... };                      // see Problem below
//   void AddDot(Suite& suite) {
//     suite.Add<DotProblem>("dot", "relu", "n16", size_t{16});
//   }
//   const bool added = Suite::AddFamily(AddDot);
//
// gives dot/relu/f32/n16/{lanefuse,unfused,onednn}/AVX2/t1 (a network also has "layers"). The
// implementations of one shape run together, their repetitions in random order, before the next
// shape's: on a machine that others use too, only times from the same second compare.
#ifndef LANEFUSE_BENCH_SUPPORT_SUITE_H_
#define LANEFUSE_BENCH_SUPPORT_SUITE_H_

#include <benchmark/benchmark.h>

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/onednn/onednn.h"
#include "bench/support/check.h"
#include "bench/support/text.h"
#include "lanefuse/parallel.h"
#include "lanefuse/status.h"

namespace lanefuse::bench {

// `layers`: one call a layer, where "lanefuse" runs several of them as one.
enum Implementation { kLanefuse, kLayers, kUnfused, kOnednn, kImplementations };

// One call: operations (a multiply-add is two) and bytes of its working set, read or written once.
struct Work {
  double flops = 0.0;
  double bytes = 0.0;
};

// The threads that this process measures with: 1 unless SetThreads said otherwise.
Parallel Threads();
void SetThreads(size_t threads);

template <class P>
concept Problem = requires(P p, const P& c, size_t i) {
  { p.Fused() } -> std::same_as<Status>;    // one call of the library
  { p.Unfused() } -> std::same_as<Status>;  // the same, one step at a time, into the same output
  { c.steps() } -> std::same_as<size_t>;    // more than the kernel itself; 0: nothing to fuse
  { c.Onednn() } -> std::same_as<onednn::Layer>;
  { c.output() } -> std::same_as<std::span<const float>>;
  { c.Reference(i) } -> std::same_as<Estimate>;  // of output()[i]
  { c.work() } -> std::same_as<Work>;
};

// What a problem may have besides.
template <class P>
concept HasLayers = requires(P p, const P& c) {
  { p.Layers() } -> std::same_as<Status>;    // into the same output
  { c.has_layers() } -> std::same_as<bool>;  // false: Fused() is no different
};
// A sum: the same result as Fused(), where the output holds what Restore() puts there. This is what
// is timed, over and over on the same output, as oneDNN's is.
template <class P>
concept HasSums = requires(P p, const P& c) {
  { c.sums() } -> std::same_as<bool>;  // false: there is none
  { p.InPlace() } -> std::same_as<Status>;
  p.Restore();
};
template <class P>
concept HasActivations = requires(const P& c, Implementation which) {
  { c.activation_bytes(which) } -> std::same_as<size_t>;  // between input and output; not oneDNN's
};

// A problem in existence, without its type.
class Instance {
 public:
  virtual ~Instance() = default;
  virtual Status Fused() = 0;
  virtual bool sums() const = 0;
  virtual Status InPlace() = 0;  // Fused(), where it is no sum
  virtual void Restore() = 0;
  virtual Status Layers() = 0;
  virtual bool has_layers() const = 0;
  virtual Status Unfused() = 0;
  virtual size_t activation_bytes(Implementation which) const = 0;  // 0: unknown
  virtual size_t steps() const = 0;
  virtual onednn::Layer Onednn() const = 0;
  virtual std::span<const float> output() const = 0;
  virtual Estimate Reference(size_t i) const = 0;
  virtual Work work() const = 0;
  // The timed loops; here so that nothing but the library's own call is inside them.
  virtual Status TimeFused(benchmark::State& state) = 0;
  virtual Status TimeLayers(benchmark::State& state) = 0;
  virtual Status TimeUnfused(benchmark::State& state) = 0;
};

template <Problem P>
class InstanceOf final : public Instance {
 public:
  template <class... Args>
  explicit InstanceOf(const Args&... args) : problem_(args...) {}
  Status Fused() override { return problem_.Fused(); }
  Status Unfused() override { return problem_.Unfused(); }
  size_t steps() const override { return problem_.steps(); }
  onednn::Layer Onednn() const override { return problem_.Onednn(); }
  std::span<const float> output() const override { return problem_.output(); }
  Estimate Reference(size_t i) const override { return problem_.Reference(i); }
  Work work() const override { return problem_.work(); }
  bool sums() const override {
    if constexpr (HasSums<P>) return problem_.sums();
    return false;
  }
  Status InPlace() override {
    if constexpr (HasSums<P>) return problem_.sums() ? problem_.InPlace() : problem_.Fused();
    return problem_.Fused();
  }
  void Restore() override {
    if constexpr (HasSums<P>) problem_.Restore();
  }
  Status Layers() override {
    if constexpr (HasLayers<P>) return problem_.Layers();
    return Fused();
  }
  bool has_layers() const override {
    if constexpr (HasLayers<P>) return problem_.has_layers();
    return false;
  }
  size_t activation_bytes([[maybe_unused]] Implementation which) const override {
    if constexpr (HasActivations<P>) return problem_.activation_bytes(which);
    return 0;
  }
  Status TimeFused(benchmark::State& state) override {
    if constexpr (HasSums<P>) {
      if (problem_.sums()) return Time(state, [this] { return problem_.InPlace(); });
    }
    return Time(state, [this] { return problem_.Fused(); });
  }
  Status TimeLayers(benchmark::State& state) override {
    return Time(state, [this] { return Layers(); });
  }
  Status TimeUnfused(benchmark::State& state) override {
    return Time(state, [this] { return problem_.Unfused(); });
  }

 private:
  template <class Call>
  static Status Time(benchmark::State& state, const Call& call) {
    Status status;
    for (auto _ : state) {
      status = call();
      benchmark::DoNotOptimize(status);
      benchmark::ClobberMemory();
    }
    return status;
  }

  P problem_;
};

class Suite {
 public:
  using AddFunction = void (*)(Suite&);

  // Remembers a family until the program starts; the result only serves to run this early.
  static bool AddFamily(AddFunction add);

  // Adds a problem, which is made from `args` when its turn comes.
  template <Problem P, class... Args>
  void Add(const std::string& family, const std::string& epilogue, const std::string& shape,
           Args... args) {
    cases_.push_back({Text(family, "/", epilogue, "/f32/", shape),
                      [args...] { return std::unique_ptr<Instance>(new InstanceOf<P>(args...)); }});
  }

  struct Case {
    std::string name;  // family/epilogue/dtype/shape
    std::function<std::unique_ptr<Instance>()> make;
  };
  const std::vector<Case>& cases() const { return cases_; }

  // Every family, in the order of the names.
  static Suite All();

 private:
  std::vector<Case> cases_;
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_SUITE_H_
