// Which instruction set runs. Public names and rules are in lanefuse/target.h; this header is for
// the entries of the kernels:
//
//   const int target = arch::ActiveIndex();
//   if (target < 0) return arch::UnsupportedTarget();
//   ...
//   HWY_DISPATCH_TABLE(Kernel)[target](args);
//
// The choice is ours alone: Highway's own (process-wide) chosen target is neither read nor changed,
// so another user of Highway in the same program and Lanefuse do not meet.
#ifndef LANEFUSE_ARCH_TARGET_H_
#define LANEFUSE_ARCH_TARGET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lanefuse/status.h"

namespace lanefuse::arch {

// The low bits: index into HWY_EXPORT's tables plus 2; 1: LANEFUSE_TARGET is wrong; 0: not decided
// yet. Above them: which of our names it is, for two names may share an index.
extern std::atomic<int> active_code;
constexpr int kIndexBits = 8;

// Reads LANEFUSE_TARGET and the CPU's features, decides, and returns the new code.
int DecideTarget();

// The index of the active target in every dispatch table, or -1.
inline int ActiveIndex() {
  const int code = active_code.load(std::memory_order_relaxed);
  return ((code != 0 ? code : DecideTarget()) & ((1 << kIndexBits) - 1)) - 2;
}

// The index to use instead of `index` where a kernel has little to fill vectors of sixteen with:
// half empty, they cost more than vectors of eight. Same bits, as everywhere.
int NarrowIndex(int index);

// NarrowIndex(index) where units of eight lanes take two turns for a vector of sixteen (Zen 4), and
// the last of a few vectors, for `outputs` in the lanes of tiles of many rows, would be half empty.
// 24 outputs take 0.66 to 0.97 of the time, 17 and 40 to 56 take 0.83 to 1.00, 33 0.90 to 1.03.
int IndexForOutputs(int index, size_t outputs);

// What a call returns where ActiveIndex() is -1: the text lists the valid names.
Status UnsupportedTarget();

// The public name of the Highway target with this bit; empty where it has none.
std::string_view NameOf(int64_t bit);

}  // namespace lanefuse::arch

#endif  // LANEFUSE_ARCH_TARGET_H_
