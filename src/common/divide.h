// Divisions of sizes on the way into a call.
#ifndef LANEFUSE_SRC_COMMON_DIVIDE_H_
#define LANEFUSE_SRC_COMMON_DIVIDE_H_

#include <cstddef>
#include <cstdint>

namespace lanefuse {

// a / b, rounded down. Sizes mostly fit 32 bits, and a division of 64 takes up to 90 cycles on CPUs
// before Ice Lake, one of 32 bits a quarter of that: a small call has a dozen of them.
inline size_t Quotient(size_t a, size_t b) {
  if (((uint64_t{a} | uint64_t{b}) >> 32) == 0) {
    return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  }
  return a / b;
}

// The same, rounded up.
inline size_t QuotientUp(size_t a, size_t b) { return Quotient(a + b - 1, b); }

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_COMMON_DIVIDE_H_
