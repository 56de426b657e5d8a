// The limits of this machine, measured in this process on the active target: how fast it can
// multiply and add, and how fast it can read. A kernel's time is compared with the larger of the
// two times that its operations and its bytes need.
#ifndef LANEFUSE_BENCH_SUPPORT_ROOFLINE_H_
#define LANEFUSE_BENCH_SUPPORT_ROOFLINE_H_

#include <array>
#include <cstddef>

namespace lanefuse::bench {

class Roofline {
 public:
  enum MemoryLevel { kL1, kL2, kL3, kMemory, kLevels };
  static constexpr size_t kRuns = 15;  // a limit is their median

  // Measures with `threads` threads at once, each on a working set of its own, in runs of
  // `seconds`.
  Roofline(size_t threads, double seconds);

  // Multiplies and adds once more, in place of the run that is kRuns back: machines that others
  // use, too, become faster and slower by a tenth within minutes.
  void Refresh();

  // The level of the hierarchy that holds a working set, split evenly among the threads.
  MemoryLevel Level(double bytes) const;

  // The least time for `flops` operations (a fused multiply-add is two) on `bytes` of memory.
  double BestSeconds(double flops, double bytes) const;

  double flops() const { return flops_; }                                  // a second, all threads
  double bandwidth(MemoryLevel level) const { return bandwidth_[level]; }  // bytes a second
  size_t capacity(MemoryLevel level) const { return capacity_[level]; }    // bytes, all threads

 private:
  const size_t threads_;
  const double seconds_;
  std::array<double, kRuns> flops_runs_{};
  size_t next_run_ = 0;
  double flops_ = 0.0;
  std::array<double, kLevels> bandwidth_{};
  std::array<size_t, kLevels> capacity_{};
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_ROOFLINE_H_
