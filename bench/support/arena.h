// One memory for buffers that are not all needed at once.
#ifndef LANEFUSE_BENCH_SUPPORT_ARENA_H_
#define LANEFUSE_BENCH_SUPPORT_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

namespace lanefuse::bench {

// A buffer that is written in step `first` and read in step `last` for the last time.
struct Lifetime {
  size_t bytes = 0;
  size_t first = 0;
  size_t last = 0;
  size_t offset = 0;  // filled in by PlaceBuffers
};

// Gives every buffer an offset such that none shares memory with another that lives in one of its
// steps, and returns the bytes of the whole. The largest first, each as low as it can lie
// (Pisarchyk and Lee, arXiv 2001.03288, section 5.2): not always the least there is, but close to
// it.
inline size_t PlaceBuffers(std::span<Lifetime> buffers) {
  constexpr size_t kAlign = 64;
  std::vector<size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return buffers[a].bytes > buffers[b].bytes; });
  std::vector<const Lifetime*> placed;  // by offset
  size_t total = 0;
  for (const size_t i : order) {
    Lifetime& buffer = buffers[i];
    buffer.offset = 0;
    for (const Lifetime* other : placed) {
      if (other->last < buffer.first || buffer.last < other->first) continue;
      if (buffer.offset + buffer.bytes <= other->offset) break;  // fits the gap before it
      const size_t end = (other->offset + other->bytes + kAlign - 1) / kAlign * kAlign;
      buffer.offset = std::max(buffer.offset, end);
    }
    placed.insert(std::upper_bound(
                      placed.begin(), placed.end(), &buffer,
                      [](const Lifetime* a, const Lifetime* b) { return a->offset < b->offset; }),
                  &buffer);
    total = std::max(total, buffer.offset + buffer.bytes);
  }
  return total;
}

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_ARENA_H_
