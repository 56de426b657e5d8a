// What the random calls of all kernels are made of.
//
// Random numbers are drawn in an order that the language fixes (one to a statement, or in braces),
// so that every compiler makes the same calls.
#ifndef LANEFUSE_TESTS_SUPPORT_CALLS_PARTS_H_
#define LANEFUSE_TESTS_SUPPORT_CALLS_PARTS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "lanefuse/status.h"
#include "tests/support/calls.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"

namespace lanefuse::test {

// Small, around the edges of vectors and panels, or anything up to `most`.
inline size_t RandomSize(Random& random, size_t most) {
  size_t size = random.Between(1, 8);
  if (random.Below(3) == 0) {
    size = 16 * random.Between(1, 5) - 1;
    size += random.Below(3);
  }
  if (random.Below(3) == 0) size = random.Between(1, most);
  return std::min(size, most);
}

inline std::vector<float> RandomValues(Random& random, size_t n) {
  std::vector<float> values(n);
  if (random.Below(3) == 0) {
    random.FillWide(values);
  } else {
    random.FillUniform(values, -3.0f, 3.0f);
  }
  if (random.Below(4) == 0) random.PlantSpecials(values, 1 + n / 50);
  return values;
}

inline std::vector<std::byte> Copy(const Guarded<std::byte>& bytes) {
  return {bytes.span().begin(), bytes.span().end()};
}

inline GuardedMat PlaceMat(size_t rows, size_t cols, const Placement& p,
                           const std::vector<float>* values = nullptr) {
  GuardedMat mat(rows, cols, cols + p.pixel_gap, p.guard, p.offset);
  if (values != nullptr) {
    mat.Fill(*values);
    mat.ReadOnly();
  }
  return mat;
}

inline GuardedImage PlaceImage(size_t images, size_t height, size_t width, size_t channels,
                               const Placement& p, const std::vector<float>* values = nullptr) {
  GuardedImage image(images, height, width, channels, p.pixel_gap, p.row_gap, p.row_gap / 2,
                     p.guard, p.offset);
  if (values != nullptr) {
    image.Fill(*values);
    image.ReadOnly();
  }
  return image;
}

inline std::vector<float> Finish(const Status& status, const Guarded<float>& y,
                                 std::vector<float> dense) {
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(y.CheckCanaries());
  return dense;
}

// A chain with the data for its steps.
struct RandomChain {
  RandomChain(Random& random, size_t rows, size_t cols, bool may_read_output = true)
      : data(rows, cols, random.Next()) {
    do {
      chain = &AllChains()[random.Below(AllChains().size())];
    } while (!may_read_output && ReadsOutput());
  }
  bool ReadsOutput() const {
    for (const ChainStep& step : chain->steps) {
      if (step.self) return true;
    }
    return false;
  }
  ChainData data;
  const Chain* chain = nullptr;
};

// Calls of images, in calls_images.cc.
Configuration RandomConv2d(CallKind kind, Random& random);
Configuration RandomBlock(CallKind kind, Random& random);
Configuration RandomPool(CallKind kind, Random& random);

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_CALLS_PARTS_H_
