#include "tests/support/bits.h"

#include <algorithm>
#include <atomic>
#include <cstdio>

namespace lanefuse::test {
namespace {

std::atomic<uint64_t> g_comparisons{0};
std::atomic<uint64_t> g_differing{0};

}  // namespace

size_t CountDiffering(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::max(a.size(), b.size());
  size_t differing = 0;
  for (size_t i = 0; i < a.size(); ++i) differing += !SameBits(a[i], b[i]);
  return differing;
}

BitCounts GetBitCounts() { return {g_comparisons.load(), g_differing.load()}; }

std::vector<float> Elements(MatView<const float> v) {
  std::vector<float> elements;
  elements.reserve(v.rows * v.cols);
  for (size_t r = 0; r < v.rows; ++r) {
    elements.insert(elements.end(), v.data + r * v.stride, v.data + r * v.stride + v.cols);
  }
  return elements;
}

std::vector<float> Elements(ImageView<const float> v) {
  std::vector<float> elements;
  elements.reserve(v.images * v.height * v.width * v.channels);
  for (size_t n = 0; n < v.images; ++n) {
    for (size_t y = 0; y < v.height; ++y) {
      for (size_t x = 0; x < v.width; ++x) {
        const float* pixel = v.data + n * v.image_stride + y * v.row_stride + x * v.pixel_stride;
        elements.insert(elements.end(), pixel, pixel + v.channels);
      }
    }
  }
  return elements;
}

std::string Describe(float value) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.9g (0x%08x)", static_cast<double>(value),
                std::bit_cast<uint32_t>(value));
  return text;
}

testing::AssertionResult CompareBits(const char* a_text, const char* b_text,
                                     std::span<const float> a, std::span<const float> b) {
  const size_t differing = CountDiffering(a, b);
  g_comparisons += std::max(a.size(), b.size());
  g_differing += differing;
  if (differing == 0) return testing::AssertionSuccess();
  testing::AssertionResult failure = testing::AssertionFailure();
  failure << a_text << " and " << b_text;
  if (a.size() != b.size()) return failure << ": " << a.size() << " and " << b.size() << " values";
  size_t first = 0;
  while (SameBits(a[first], b[first])) ++first;
  return failure << ": " << differing << " of " << a.size() << " differ, first [" << first
                 << "]: " << Describe(a[first]) << " and " << Describe(b[first]);
}

}  // namespace lanefuse::test
