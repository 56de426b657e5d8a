// Comparisons by bits. NaN equals NaN whatever its sign and payload (they differ between CPUs);
// everything else must have the same 32 bits, so -0 differs from +0.
//
//   EXPECT_SAME_BITS(y.cview(), reference.cview());   // MatView, ImageView, span, vector, float
//
// All comparisons are counted, and main.cc prints the totals.
#ifndef LANEFUSE_TESTS_SUPPORT_BITS_H_
#define LANEFUSE_TESTS_SUPPORT_BITS_H_

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "lanefuse/view.h"

namespace lanefuse::test {

inline bool SameBits(float a, float b) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// How many elements differ; not counted in the totals. Different lengths: all of the longer.
size_t CountDiffering(std::span<const float> a, std::span<const float> b);

// The totals of all EXPECT_SAME_BITS so far.
struct BitCounts {
  uint64_t comparisons = 0;
  uint64_t differing = 0;
};
BitCounts GetBitCounts();

// The elements of what EXPECT_SAME_BITS accepts, in row-major order.
std::vector<float> Elements(MatView<const float> v);
std::vector<float> Elements(ImageView<const float> v);
inline std::vector<float> Elements(MatView<float> v) { return Elements(MatView<const float>(v)); }
inline std::vector<float> Elements(ImageView<float> v) {
  return Elements(ImageView<const float>(v));
}
inline std::vector<float> Elements(float v) { return {v}; }
template <class T>
requires std::is_constructible_v < std::span<const float>,
const T& > std::vector<float> Elements(const T& v) {
  const std::span<const float> span(v);
  return {span.begin(), span.end()};
}

testing::AssertionResult CompareBits(const char* a_text, const char* b_text,
                                     std::span<const float> a, std::span<const float> b);

// Value and bits, for a failure's message: "1.5 (0x3fc00000)".
std::string Describe(float value);

#define EXPECT_SAME_BITS(a, b)                                                     \
  EXPECT_TRUE(::lanefuse::test::CompareBits(#a, #b, ::lanefuse::test::Elements(a), \
                                            ::lanefuse::test::Elements(b)))
#define ASSERT_SAME_BITS(a, b)                                                     \
  ASSERT_TRUE(::lanefuse::test::CompareBits(#a, #b, ::lanefuse::test::Elements(a), \
                                            ::lanefuse::test::Elements(b)))

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_BITS_H_
