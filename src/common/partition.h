// How a call is cut into parts, and who runs them. The parts are whole outputs (or whole rows), so
// no result depends on their number.
#ifndef LANEFUSE_SRC_COMMON_PARTITION_H_
#define LANEFUSE_SRC_COMMON_PARTITION_H_

#include <cstddef>

#include "lanefuse/parallel.h"
#include "lanefuse/status.h"

namespace lanefuse {

// Work that one more thread must have before it is worth waking. A hot OpenMP team of two costs
// 1 to 3 us to start and join; at one multiply-add a lane and cycle 2^18 of them take about 5 us.
constexpr size_t kMinMulAdds = size_t{1} << 18;
// Those of depthwise convolutions, which move more for each: two threads with half as many would
// take 1.3 to 1.9 of the time of one (14x14x384, 56x56x144 with stride 2; Zen 5).
constexpr size_t kMinDepthwiseMulAdds = 2 * kMinMulAdds;
// Elements of exp-like work (about 1 ns each on one core).
constexpr size_t kMinElements = size_t{1} << 15;
// Bytes that are read once, for matrix times vector.
constexpr size_t kMinBytes = size_t{1} << 19;

Status CheckParallel(const Parallel& parallel);

// How many parts: at most parallel.threads, at most `units`, and each with `minimum` of `work`.
size_t PartsFor(const Parallel& parallel, size_t work, size_t minimum, size_t units);

// Runs part(argument, i) for i in [0, parts) on the caller's pool or on OpenMP.
void RunParts(const Parallel& parallel, size_t parts, void (*part)(void* argument, size_t i),
              void* argument);

// The units [begin, end) of part i of `parts`: sizes differ by one at most.
struct Range {
  size_t begin, end;
  size_t size() const { return end - begin; }
};
inline Range PartRange(size_t units, size_t parts, size_t i) {
  const size_t each = units / parts;
  const size_t extra = units % parts;
  const size_t begin = i * each + (i < extra ? i : extra);
  return {begin, begin + each + (i < extra ? 1 : 0)};
}

// Calls body(begin, end) on a split of [0, units). `Body` is a plain functor: it lives on the
// caller's stack, nothing is allocated.
template <class Body>
void ForEachPart(const Parallel& parallel, size_t work, size_t minimum, size_t units,
                 const Body& body) {
  // Looked at here: the division behind PartsFor takes as long as a small call.
  if (parallel.threads == 1 || work < 2 * minimum) return body(0, units);
  const size_t parts = PartsFor(parallel, work, minimum, units);
  if (parts <= 1) return body(0, units);
  struct Job {
    const Body& body;
    size_t units, parts;
  } job{body, units, parts};
  RunParts(
      parallel, parts,
      [](void* argument, size_t i) {
        const Job& j = *static_cast<const Job*>(argument);
        const Range range = PartRange(j.units, j.parts, i);
        j.body(range.begin, range.end);
      },
      &job);
}

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_PARTITION_H_
