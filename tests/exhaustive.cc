// Every float through every elementary function, on every target: the proof of the error bounds in
// src/common/math-inl.h and gated_math-inl.h, and of the promise that targets agree bit for bit.
//
//   lanefuse_exhaustive [--function NAME] [--stride N] [--baseline-stride N] [--threads N]
//
// --function         one function instead of all
// --stride           takes each N-th float (default 1)
// --baseline-stride  on targets that emulate fused multiply-add, takes each N-th of those (64)
// --threads          default: one for each core
//
// Prints a line per function and target. Exits with 1 if a bound is violated, if targets with the
// same-bits promise differ, or if there is no such target. Equal strides give equal hashes on any
// CPU, so two machines are compared by their output.
#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/common/math_check.h"

namespace lanefuse::test {
namespace {

// Small enough that a thread's buffers stay in its L2 and in malloc's arena.
constexpr size_t kBlock = size_t{1} << 12;

struct Options {
  std::string function;
  uint64_t stride = 1;
  uint64_t baseline_stride = 64;
  uint64_t threads = 0;
};

bool ParsePositive(const char* text, uint64_t& value) {
  char* end = nullptr;
  value = std::strtoull(text, &end, 10);
  return *text >= '0' && *text <= '9' && *end == '\0' && value >= 1 && value <= 1u << 31;
}

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = argv[i + 1];
    bool ok = false;
    if (name == "--function") {
      options.function = value;
      for (const MathFunction& f : MathFunctions()) ok = ok || options.function == f.name;
    } else if (name == "--stride") {
      ok = ParsePositive(value, options.stride);
    } else if (name == "--baseline-stride") {
      ok = ParsePositive(value, options.baseline_stride);
    } else if (name == "--threads") {
      ok = ParsePositive(value, options.threads);
    }
    if (!ok) return false;
  }
  return argc % 2 == 1;
}

std::vector<MathErrors> Sweep(size_t function, const std::vector<MathKernel>& kernels,
                              const Options& options) {
  const uint64_t first = MathFunctions()[function].first_bits;
  const uint64_t count = ((uint64_t{1} << 32) - first + options.stride - 1) / options.stride;
  const uint64_t blocks = (count + kBlock - 1) / kBlock;
  std::vector<MathErrors> total(kernels.size());
  std::mutex mutex;
  std::atomic<uint64_t> next{0};
  const auto work = [&] {
    std::vector<MathErrors> errors(kernels.size());
    std::vector<float> x;
    for (uint64_t block = next++; block < blocks; block = next++) {
      x.clear();
      for (uint64_t i = block * kBlock; i < std::min(count, (block + 1) * kBlock); ++i) {
        x.push_back(std::bit_cast<float>(static_cast<uint32_t>(first + i * options.stride)));
      }
      CheckMathBlock(function, x, kernels, options.baseline_stride, block, errors);
    }
    const std::lock_guard<std::mutex> lock(mutex);
    for (size_t k = 0; k < kernels.size(); ++k) total[k].Merge(errors[k]);
  };
  std::vector<std::thread> threads;
  for (uint64_t t = 1; t < options.threads; ++t) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  return total;
}

int Main(int argc, char** argv) {
  Options options;
  if (!Parse(argc, argv, options)) {
    std::fprintf(stderr,
                 "usage: lanefuse_exhaustive [--function NAME] [--stride N] "
                 "[--baseline-stride N] [--threads N]\nfunctions:");
    for (const MathFunction& f : MathFunctions()) std::fprintf(stderr, " %s", f.name);
    std::fprintf(stderr, "\n");
    return 2;
  }
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());

  const std::vector<MathKernel> kernels = MathKernels();
  size_t same_bits = 0;
  for (const MathKernel& kernel : kernels) same_bits += kernel.same_bits ? 1 : 0;
  bool ok = same_bits >= 1;
  if (same_bits == 1) {
    std::printf("one target promises the same bits here: compare its hashes with another CPU's\n");
  }

  std::printf("%-18s %-9s %10s %8s %-15s %10s %9s %16s %7s\n", "function", "target", "inputs",
              "max_ulp", "at", "max_abs", "abs/|x|", "hash", "differ");
  for (size_t function = 0; function < MathFunctions().size(); ++function) {
    const MathFunction& f = MathFunctions()[function];
    if (!options.function.empty() && options.function != f.name) continue;
    const auto start = std::chrono::steady_clock::now();
    const std::vector<MathErrors> errors = Sweep(function, kernels, options);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    for (size_t k = 0; k < kernels.size(); ++k) {
      const MathErrors& e = errors[k];
      const bool good = WithinBounds(f, kernels[k], e);
      ok = ok && good;
      std::printf("%-18s %-9s %10llu %8.4f %-15a %10.3g %9.2g %016llx %7llu%s\n", f.name,
                  kernels[k].target_name, static_cast<unsigned long long>(e.count), e.max_ulp,
                  static_cast<double>(e.max_ulp_at), e.max_absolute, e.max_per_x,
                  static_cast<unsigned long long>(e.hash),
                  static_cast<unsigned long long>(e.differing), good ? "" : "  FAILED");
      if (e.differing != 0) {
        std::printf("  first difference at %a\n", static_cast<double>(e.differing_at));
      }
    }
    std::printf("  %.1f s, %llu threads\n", seconds.count(),
                static_cast<unsigned long long>(options.threads));
    std::fflush(stdout);
  }
  std::printf(ok ? "ok\n" : "FAILED\n");
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace lanefuse::test

int main(int argc, char** argv) { return lanefuse::test::Main(argc, argv); }
