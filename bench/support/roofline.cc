#include "bench/support/roofline.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cstddef>
#include <numeric>
#include <thread>
#include <vector>

#include "arch/target.h"
#include "bench/support/buffer.h"
#include "bench/support/clock.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/support/roofline.cc"
#include "hwy/foreach_target.h"
#include "arch/features-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::bench::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Chains must cover latency x ports: 4 cycles x 2 ports on x86 and on the Cortex-X cores x 4 ports
// is 8 to 16. 24 fit 32 registers with two operands, 12 fit 16.
constexpr bool kManyRegisters = lanefuse::HWY_NAMESPACE::kVectorRegisters >= 32;

// Returns the operations done. Every chain starts elsewhere, or the compiler would merge them; all
// run towards 1 / 16, so that no value overflows or becomes subnormal.
double MultiplyAdd(size_t rounds, float seed, float* out) {
  const hn::ScalableTag<float> d;
  const auto a = hn::Set(d, 1.0f - seed), b = hn::Set(d, seed / 16.0f);
  const auto start = [&](float i) HWY_ATTR { return hn::Set(d, i * seed); };
  auto c00 = start(0), c01 = start(1), c02 = start(2), c03 = start(3), c04 = start(4),
       c05 = start(5), c06 = start(6), c07 = start(7), c08 = start(8), c09 = start(9),
       c10 = start(10), c11 = start(11);
  auto c12 = start(12), c13 = start(13), c14 = start(14), c15 = start(15), c16 = start(16),
       c17 = start(17), c18 = start(18), c19 = start(19), c20 = start(20), c21 = start(21),
       c22 = start(22), c23 = start(23);
  for (size_t i = 0; i < rounds; ++i) {
    c00 = hn::MulAdd(c00, a, b);
    c01 = hn::MulAdd(c01, a, b);
    c02 = hn::MulAdd(c02, a, b);
    c03 = hn::MulAdd(c03, a, b);
    c04 = hn::MulAdd(c04, a, b);
    c05 = hn::MulAdd(c05, a, b);
    c06 = hn::MulAdd(c06, a, b);
    c07 = hn::MulAdd(c07, a, b);
    c08 = hn::MulAdd(c08, a, b);
    c09 = hn::MulAdd(c09, a, b);
    c10 = hn::MulAdd(c10, a, b);
    c11 = hn::MulAdd(c11, a, b);
    if constexpr (kManyRegisters) {
      c12 = hn::MulAdd(c12, a, b);
      c13 = hn::MulAdd(c13, a, b);
      c14 = hn::MulAdd(c14, a, b);
      c15 = hn::MulAdd(c15, a, b);
      c16 = hn::MulAdd(c16, a, b);
      c17 = hn::MulAdd(c17, a, b);
      c18 = hn::MulAdd(c18, a, b);
      c19 = hn::MulAdd(c19, a, b);
      c20 = hn::MulAdd(c20, a, b);
      c21 = hn::MulAdd(c21, a, b);
      c22 = hn::MulAdd(c22, a, b);
      c23 = hn::MulAdd(c23, a, b);
    }
  }
  c00 = hn::Add(hn::Add(c00, c01), hn::Add(c02, c03));
  c04 = hn::Add(hn::Add(c04, c05), hn::Add(c06, c07));
  c08 = hn::Add(hn::Add(c08, c09), hn::Add(c10, c11));
  c12 = hn::Add(hn::Add(c12, c13), hn::Add(c14, c15));
  c16 = hn::Add(hn::Add(c16, c17), hn::Add(c18, c19));
  c20 = hn::Add(hn::Add(c20, c21), hn::Add(c22, c23));
  *out =
      hn::ReduceSum(d, hn::Add(hn::Add(hn::Add(c00, c04), hn::Add(c08, c12)), hn::Add(c16, c20)));
  return 2.0 * static_cast<double>(rounds * (kManyRegisters ? 24 : 12) * hn::Lanes(d));
}

// Sums n floats, `passes` times; returns the bytes read. Two loads and two additions a cycle need 8
// accumulators at a latency of 4.
double Read(const float* p, size_t n, size_t passes, float* out) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d), step = 16 * lanes;
  auto s0 = hn::Zero(d), s1 = s0, s2 = s0, s3 = s0, s4 = s0, s5 = s0, s6 = s0, s7 = s0;
  size_t read = 0;
  for (size_t pass = 0; pass < passes; ++pass) {
    for (size_t i = 0; i + step <= n; i += step) {
      const float* q = p + i;
      s0 = hn::Add(s0, hn::Load(d, q));
      s1 = hn::Add(s1, hn::Load(d, q + lanes));
      s2 = hn::Add(s2, hn::Load(d, q + 2 * lanes));
      s3 = hn::Add(s3, hn::Load(d, q + 3 * lanes));
      s4 = hn::Add(s4, hn::Load(d, q + 4 * lanes));
      s5 = hn::Add(s5, hn::Load(d, q + 5 * lanes));
      s6 = hn::Add(s6, hn::Load(d, q + 6 * lanes));
      s7 = hn::Add(s7, hn::Load(d, q + 7 * lanes));
      s0 = hn::Add(s0, hn::Load(d, q + 8 * lanes));
      s1 = hn::Add(s1, hn::Load(d, q + 9 * lanes));
      s2 = hn::Add(s2, hn::Load(d, q + 10 * lanes));
      s3 = hn::Add(s3, hn::Load(d, q + 11 * lanes));
      s4 = hn::Add(s4, hn::Load(d, q + 12 * lanes));
      s5 = hn::Add(s5, hn::Load(d, q + 13 * lanes));
      s6 = hn::Add(s6, hn::Load(d, q + 14 * lanes));
      s7 = hn::Add(s7, hn::Load(d, q + 15 * lanes));
    }
    read += n / step * step;
  }
  s0 = hn::Add(hn::Add(s0, s1), hn::Add(s2, s3));
  s4 = hn::Add(hn::Add(s4, s5), hn::Add(s6, s7));
  *out = hn::ReduceSum(d, hn::Add(s0, s4));
  return static_cast<double>(read * sizeof(float));
}

}  // namespace lanefuse::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse::bench {
namespace {

HWY_EXPORT(MultiplyAdd);
HWY_EXPORT(Read);

// Where the system does not tell: the smallest caches of the cores that Lanefuse is meant for.
size_t CacheBytes(int name, size_t fallback) {
  const long bytes = sysconf(name);
  return bytes > 0 ? static_cast<size_t>(bytes) : fallback;
}

double Median(std::array<double, Roofline::kRuns> rates) {
  std::nth_element(rates.begin(), rates.begin() + rates.size() / 2, rates.end());
  return rates[rates.size() / 2];
}

// The rate (work a second, all threads) of work(thread) -> amount, which runs for `seconds` on the
// clock of kernels, and meets interrupts as often as they do. Runs of a fraction of a millisecond,
// of which the best counts, fall between two interrupts of the timer and find a machine that no
// kernel ever has. On a virtual machine, where these cost most, its peak was six percent higher.
template <class Work>
double Rate(size_t threads, double seconds, const Work& work) {
  std::vector<double> begin(threads), end(threads), amount(threads);
  std::barrier start(static_cast<std::ptrdiff_t>(threads));
  const auto run = [&](size_t thread) {
    start.arrive_and_wait();
    begin[thread] = Now(threads);
    do {
      amount[thread] += work(thread);
      end[thread] = Now(threads);
    } while (end[thread] - begin[thread] < seconds);
  };
  std::vector<std::thread> others;
  for (size_t i = 1; i < threads; ++i) others.emplace_back(run, i);
  run(0);
  for (std::thread& other : others) other.join();
  return std::accumulate(amount.begin(), amount.end(), 0.0) /
         (*std::max_element(end.begin(), end.end()) -
          *std::min_element(begin.begin(), begin.end()));
}

}  // namespace

Roofline::Roofline(size_t threads, double seconds) : threads_(threads), seconds_(seconds) {
  for (size_t i = 0; i < kRuns; ++i) Refresh();
  const auto read = HWY_DISPATCH_TABLE(Read)[arch::ActiveIndex()];
  std::vector<float> sums(threads);

  const size_t l1 = CacheBytes(_SC_LEVEL1_DCACHE_SIZE, size_t{32} << 10);
  const size_t l2 = CacheBytes(_SC_LEVEL2_CACHE_SIZE, size_t{256} << 10);
  const size_t l3 = CacheBytes(_SC_LEVEL3_CACHE_SIZE, 0);
  // L1 and L2 belong to a core, L3 to all. Where L3 is unknown nothing counts as fitting it.
  capacity_ = {l1 * threads, l2 * threads, l3, ~size_t{0}};
  const size_t memory = std::clamp(4 * l3, size_t{64} << 20, size_t{256} << 20);
  const size_t set[kLevels] = {l1 / 2, l2 / 2, l3 / 2 / threads, memory / threads};
  std::vector<FloatBuffer> buffers;
  for (size_t i = 0; i < threads; ++i) buffers.emplace_back(memory / threads / sizeof(float), 1.0f);
  for (size_t level = 0; level < kLevels; ++level) {
    if (set[level] == 0) continue;  // no L3
    const size_t floats = set[level] / sizeof(float);
    // A large set once, and a small one as often as makes 32 MiB: a call is many times as long as a
    // look at the clock.
    const size_t passes = std::max<size_t>(1, (size_t{32} << 20) / set[level]);
    std::array<double, kRuns> rates;
    for (double& rate : rates) {
      rate = Rate(threads, seconds, [&](size_t thread) {
        return read(buffers[thread].data(), floats, passes, &sums[thread]);
      });
    }
    bandwidth_[level] = Median(rates);
  }
  if (l3 == 0) bandwidth_[kL3] = bandwidth_[kMemory];
}

void Roofline::Refresh() {
  const auto multiply_add = HWY_DISPATCH_TABLE(MultiplyAdd)[arch::ActiveIndex()];
  std::vector<float> sums(threads_);
  // About 0.15 ms a call on a fast core; on the emulated baseline 100 times that.
  flops_runs_[next_run_++ % kRuns] = Rate(
      threads_, seconds_, [&](size_t thread) { return multiply_add(40000, 0.25f, &sums[thread]); });
  flops_ = Median(flops_runs_);
}

Roofline::MemoryLevel Roofline::Level(double bytes) const {
  for (const MemoryLevel level : {kL1, kL2, kL3}) {
    if (bytes <= static_cast<double>(capacity_[level])) return level;
  }
  return kMemory;
}

double Roofline::BestSeconds(double flops, double bytes) const {
  return std::max(flops / flops_, bytes / bandwidth_[Level(bytes)]);
}

}  // namespace lanefuse::bench
#endif  // HWY_ONCE
