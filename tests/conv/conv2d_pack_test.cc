// Packed convolution weights: their layout, and that other bytes at another address serve as well.
// What is wrong with bytes, sizes and shapes: tests/wrong_shape_test.cc,
// tests/linear/packed_test.cc.
#include <gtest/gtest.h>

#include <cstring>
#include <utility>
#include <vector>

#include "tests/conv/conv_case.h"

namespace lanefuse::test {
namespace {

std::vector<ConvCase> Cases() {
  return {
      {.shape = {.outputs = 37, .channels = 9}, .height = 3, .width = 5, .has_bias = true},
      {.shape = {.outputs = 16,
                 .channels = 3,
                 .kernel_h = 3,
                 .kernel_w = 2,
                 .stride_h = 2,
                 .dilation_w = 3,
                 .padding = {1, 2, 3, 4}},
       .height = 6,
       .width = 9},
      {.shape = {.outputs = 35, .channels = 35, .kernel_h = 3, .kernel_w = 3, .groups = 35},
       .height = 5,
       .width = 7,
       .has_bias = true},
      {.shape = {.outputs = 22, .channels = 6, .kernel_h = 2, .kernel_w = 3, .groups = 2},
       .height = 4,
       .width = 8},
  };
}

std::vector<std::byte> PackedBytes(const ConvRig& rig) {
  std::vector<std::byte> bytes(PackedConv2d::Bytes(rig.spec.shape));
  PackedConv2d packed;
  const Status status =
      PackedConv2d::Pack(rig.spec.shape, rig.weights, rig.bias, {}, bytes, packed);
  EXPECT_TRUE(status.ok()) << status.message();
  return bytes;
}

// lanefuse/packed.h: panels of 16 outputs, one line for each k, zero-padded to 16.
TEST(PackedConv2d, DensePanelsHaveTheDocumentedLayout) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    if (c.shape.groups != 1) continue;
    const ConvRig rig(c, random);
    const size_t terms = TermsPerOutput(c.shape);
    const size_t padded = (c.shape.outputs + 15) / 16 * 16;
    for (size_t o = 0; o < padded; ++o) {
      for (size_t k = 0; k < terms; ++k) {
        const float expected = o < c.shape.outputs ? rig.weights[o * terms + k] : 0.0f;
        ASSERT_EQ(rig.packed.panels()[(o / 16 * terms + k) * 16 + o % 16], expected)
            << "output " << o << ", k " << k;
      }
      if (!c.has_bias) continue;
      ASSERT_EQ(rig.packed.bias()[o], o < c.shape.outputs ? rig.bias[o] : 0.0f);
    }
    EXPECT_EQ(rig.packed.bias() == nullptr, !c.has_bias);
  }
}

TEST(PackedConv2d, KeepsTheShape) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    const ConvRig rig(c, random);
    const Conv2dShape& s = rig.packed.shape();
    EXPECT_EQ(s.outputs, c.shape.outputs);
    EXPECT_EQ(s.channels, c.shape.channels);
    EXPECT_EQ(s.kernel_h, c.shape.kernel_h);
    EXPECT_EQ(s.kernel_w, c.shape.kernel_w);
    EXPECT_EQ(s.stride_h, c.shape.stride_h);
    EXPECT_EQ(s.stride_w, c.shape.stride_w);
    EXPECT_EQ(s.dilation_h, c.shape.dilation_h);
    EXPECT_EQ(s.dilation_w, c.shape.dilation_w);
    EXPECT_EQ(s.groups, c.shape.groups);
    EXPECT_EQ(s.padding.top, c.shape.padding.top);
    EXPECT_EQ(s.padding.bottom, c.shape.padding.bottom);
    EXPECT_EQ(s.padding.left, c.shape.padding.left);
    EXPECT_EQ(s.padding.right, c.shape.padding.right);
  }
}

TEST(PackedConv2d, TheBytesDoNotDependOnTheTarget) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    const ConvRig rig(c, random);
    const std::vector<std::byte> bytes = PackedBytes(rig);
    ForEachTarget([&](std::string_view) { EXPECT_EQ(PackedBytes(rig), bytes); });
  }
}

// As from a file that is mapped at another address, aligned to 4 bytes only, read-only, with a
// guard page behind its last byte.
TEST(PackedConv2d, ServesFromCopiedBytes) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    ConvRig rig(c, random);
    const std::vector<std::byte> bytes = PackedBytes(rig);
    for (const size_t offset : {0, 4, 12}) {
      Guarded<std::byte> copy(bytes.size(), Guard::kAtEnd, offset);
      std::memcpy(copy.data(), bytes.data(), bytes.size());
      copy.ReadOnly();
      PackedConv2d viewed;
      const Status status = PackedConv2d::View(copy.cspan(), viewed);
      ASSERT_TRUE(status.ok()) << status.message();
      ForEachTarget([&](std::string_view) {
        const std::vector<float> expected = rig.Run();
        const PackedConv2d kept = std::exchange(rig.packed, viewed);
        EXPECT_SAME_BITS(rig.Run(), expected);
        rig.packed = kept;
      });
    }
  }
}

}  // namespace
}  // namespace lanefuse::test
