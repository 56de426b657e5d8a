// SeparableConv2d and InvertedResidual: the bits of two or three calls of Conv2d, which have tests
// of their own, with what lies between written out; whoever runs the parts, with much or little
// scratch. Wrong calls: block_wrong_test.cc.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "arch/cache.h"
#include "tests/conv/conv_case.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/parallel.h"

namespace lanefuse::test {
namespace {

struct BlockCase {
  size_t images = 1, height = 1, width = 1, channels = 1;
  size_t expanded = 0;  // outputs of the convolution in front; 0: there is none
  Conv2dShape depthwise{};
  size_t outputs = 1;
  size_t layout = 0;
  bool operands = false;  // Add and Mul in every epilogue
  size_t specials = 0;

  std::string Name() const {
    return std::to_string(images) + " images of " + std::to_string(height) + "x" +
           std::to_string(width) + "x" + std::to_string(channels) + ", expanded " +
           std::to_string(expanded) + ", outputs " + std::to_string(outputs) + ", layout " +
           std::to_string(layout) + ConvCase{depthwise, images, height, width}.Name();
  }
};

// A block with its data; its convolutions are rigs of their own, whose images serve the first.
class BlockRig {
 public:
  BlockRig(const BlockCase& c, Random& random)
      : spec(c),
        expand(Stage({.outputs = c.expanded == 0 ? 1 : c.expanded, .channels = c.channels},
                     c.height, c.width, c.layout),
               random),
        depthwise(Stage(c.depthwise, c.height, c.width, c.expanded == 0 ? c.layout : 0), random),
        pointwise(Stage({.outputs = c.outputs, .channels = c.depthwise.outputs},
                        depthwise.OutHeight(), depthwise.OutWidth(), c.layout + 2),
                  random) {
    Epilogue* const chains[] = {&first, &middle, &last};
    const size_t channels[] = {c.expanded, c.depthwise.outputs, c.outputs};
    for (size_t i = 0; i < 3; ++i) {
      const bool inside = i == 0;
      const size_t height = inside ? c.height : depthwise.OutHeight();
      const size_t width = inside ? c.width : depthwise.OutWidth();
      operands.push_back(
          MakeImage(c.images, height, width, channels[i], LayoutNumber(c.layout + i)));
      std::vector<float> values(c.images * height * width * channels[i]);
      random.FillUniform(values);
      operands.back().Fill(values);
      operands.back().ReadOnly();
      if (c.operands) chains[i]->Add(operands.back().cview());
      chains[i]->Act(i == 2 ? Activation(Relu()) : Relu6());
      if (c.operands) chains[i]->Mul(operands.back().cview());
    }
  }

  const GuardedImage& x() const { return spec.expanded == 0 ? depthwise.x : expand.x; }

  // One call of Conv2d after the other.
  std::vector<float> Alone() const {
    const auto run = [&](const ConvRig& rig, ImageView<const float> from, const Epilogue& chain) {
      const Conv2dShape& s = rig.spec.shape;
      GuardedImage to(spec.images, rig.OutHeight(), rig.OutWidth(), s.outputs);
      const Status status = Conv2d(from, rig.packed, chain, to.view(), {.threads = 1});
      EXPECT_TRUE(status.ok()) << status.message();
      return to;
    };
    if (spec.expanded == 0) {
      const GuardedImage between = run(depthwise, x().cview(), middle);
      return run(pointwise, between.cview(), last).Dense();
    }
    const GuardedImage expanded = run(expand, x().cview(), first);
    const GuardedImage between = run(depthwise, expanded.cview(), middle);
    return run(pointwise, between.cview(), last).Dense();
  }

  size_t Scratch(const Parallel& parallel) const {
    return spec.expanded == 0
               ? SeparableConv2dScratch(x().cview(), depthwise.packed, pointwise.packed, parallel)
               : InvertedResidualScratch(x().cview(), expand.packed, depthwise.packed,
                                         pointwise.packed, parallel);
  }

  Status Call(std::span<float> scratch, ImageView<float> y, const Parallel& parallel) const {
    return spec.expanded == 0
               ? SeparableConv2d(x().cview(), depthwise.packed, middle, pointwise.packed, last, y,
                                 scratch, parallel)
               : InvertedResidual(x().cview(), expand.packed, first, depthwise.packed, middle,
                                  pointwise.packed, last, y, scratch, parallel);
  }

  // As one call, with `floats` of scratch, `offset` floats off alignment.
  std::vector<float> Fused(size_t floats, const Parallel& parallel, size_t offset = 0) const {
    const GuardedImage y = pointwise.MakeOutput();
    const Guarded<float> scratch(floats, offset == 0 ? Guard::kAtEnd : Guard::kAtBegin, offset);
    const Status status = Call(scratch.span(), y.view(), parallel);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(y.CheckCanaries());
    EXPECT_TRUE(scratch.CheckCanaries());
    return status.ok() ? y.Dense() : std::vector<float>();
  }

 private:
  ConvCase Stage(const Conv2dShape& shape, size_t height, size_t width, size_t layout) const {
    return {.shape = shape,
            .images = spec.images,
            .height = height,
            .width = width,
            .has_bias = true,
            .layout = layout,
            .specials = spec.specials};
  }

 public:
  BlockCase spec;
  ConvRig expand, depthwise, pointwise;
  Epilogue first, middle, last;
  std::vector<GuardedImage> operands;
};

void CheckBlock(const BlockCase& c, Random& random) {
  SCOPED_TRACE(c.Name());
  const BlockRig rig(c, random);
  const Parallel one{.threads = 1};
  ForEachTarget([&](std::string_view) {
    const std::vector<float> alone = rig.Alone();
    EXPECT_SAME_BITS(rig.Fused(rig.Scratch(one), one), alone);
    EXPECT_SAME_BITS(rig.Fused(rig.Scratch(one) + 5, one, 3), alone);
  });
}

TEST(Block, EqualsItsConvolutions) {
  Random random(__LINE__);
  size_t layout = 0;
  for (const size_t expanded : {0, 21}) {
    for (const bool operands : {false, true}) {
      for (const size_t stride : {1, 2, 3}) {
        for (const size_t kernel : {1, 3, 5}) {
          const size_t channels = expanded == 0 ? 18 : 7;
          const size_t between = expanded == 0 ? channels : expanded;
          CheckBlock({.images = 2,
                      .height = 7,
                      .width = 9,
                      .channels = channels,
                      .expanded = expanded,
                      .depthwise = Depthwise(between, stride, kernel),
                      .outputs = 19,
                      .layout = layout++,
                      .operands = operands},
                     random);
        }
      }
    }
  }
}

// Anything may come first: dense, grouped, dilated, with uneven padding, more rows of padding than
// of image.
TEST(Block, AnyConvolutionInFront) {
  Random random(__LINE__);
  const Conv2dShape shapes[] = {
      {.outputs = 20, .channels = 6, .kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
      {.outputs = 12,
       .channels = 6,
       .kernel_h = 2,
       .kernel_w = 3,
       .groups = 2,
       .padding = {0, 2, 1, 0}},
      {.outputs = 6,
       .channels = 6,
       .kernel_h = 3,
       .kernel_w = 3,
       .dilation_h = 2,
       .dilation_w = 2,
       .groups = 6,
       .padding = {3, 1, 2, 2}},
      {.outputs = 6,
       .channels = 6,
       .kernel_h = 3,
       .kernel_w = 3,
       .stride_h = 2,
       .groups = 6,
       .padding = {9, 8, 1, 1}},
      {.outputs = 5, .channels = 6},
  };
  for (const Conv2dShape& shape : shapes) {
    for (const size_t expanded : {0, 6}) {
      for (const size_t height : {1, 2, 5, 8}) {
        CheckBlock({.images = 2,
                    .height = height + 1,
                    .width = 6,
                    .channels = expanded == 0 ? size_t{6} : size_t{4},
                    .expanded = expanded,
                    .depthwise = shape,
                    .outputs = 9,
                    .layout = height},
                   random);
      }
    }
  }
}

// More between the convolutions than caches hold: several bands, which share rows.
std::vector<BlockCase> LargeCases() {
  return {
      {.height = 40, .width = 33, .channels = 320, .depthwise = Depthwise(320), .outputs = 5},
      {.height = 61,
       .width = 30,
       .channels = 160,
       .depthwise = Depthwise(160, 2),
       .outputs = 6,
       .layout = 1},
      {.images = 2,
       .height = 34,
       .width = 30,
       .channels = 4,
       .expanded = 240,
       .depthwise = Depthwise(240),
       .outputs = 5,
       .operands = true},
      {.height = 45,
       .width = 30,
       .channels = 4,
       .expanded = 256,
       .depthwise = Depthwise(256, 2, 5),
       .outputs = 5,
       .layout = 4},
      {.height = 39,
       .width = 29,
       .channels = 4,
       .expanded = 200,
       .depthwise = Depthwise(200, 3, 1),
       .outputs = 5},
  };
}

TEST(Block, EqualsItsConvolutionsInBands) {
  Random random(__LINE__);
  // They are large for 1 MiB of L2.
  const size_t larger = (arch::Caches().l2 + (1 << 20) - 1) >> 20;
  for (BlockCase c : LargeCases()) {
    c.height *= larger;
    CheckBlock(c, random);
    // Not all of the tensors between lies in scratch: there were bands.
    const BlockRig rig(c, random);
    const size_t between =
        c.images * rig.depthwise.OutHeight() * rig.depthwise.OutWidth() * c.depthwise.outputs +
        c.images * c.height * c.width * c.expanded;
    EXPECT_LT(rig.Scratch({.threads = 1}), between) << c.Name();
  }
}

TEST(Block, SpecialValuesAnywhere) {
  Random random(__LINE__);
  for (size_t i = 0; i < 20; ++i) {
    const size_t expanded = i % 2 == 0 ? 0 : 10;
    CheckBlock({.height = 6,
                .width = 7,
                .channels = expanded == 0 ? size_t{10} : size_t{3},
                .expanded = expanded,
                .depthwise = Depthwise(10),
                .outputs = 17,
                .layout = i,
                .specials = 3},
               random);
  }
}

TEST(BlockCall, ThreadsChangeNothing) {
  Random random(__LINE__);
  for (const BlockCase& c : LargeCases()) {
    SCOPED_TRACE(c.Name());
    const BlockRig rig(c, random);
    const std::vector<float> alone = rig.Alone();
    ForEachParallel([&](const Parallel& parallel, const std::string&) {
      EXPECT_SAME_BITS(rig.Fused(rig.Scratch(parallel), parallel), alone);
      // Scratch for fewer threads than there may be.
      EXPECT_SAME_BITS(rig.Fused(rig.Scratch({.threads = 1}), parallel), alone);
    });
    // The scratch of several threads is more than that of one, or the above has shown nothing.
    ThreadPool pool(3);
    EXPECT_GE(rig.Scratch(pool.WithThreads(3)), 2 * (rig.Scratch({.threads = 1}) - 15));
    EXPECT_SAME_BITS(rig.Fused(rig.Scratch(pool.WithThreads(3)), pool.WithThreads(3)), alone);
    EXPECT_GE(pool.counts().most_parts, 2u);
    if (HasFailure()) return;
  }
}

TEST(BlockCall, AllocatesNothing) {
  if (!AllocTrapWorks()) GTEST_SKIP() << "allocations are not watched in this build";
  Random random(__LINE__);
  const BlockRig rig(LargeCases()[2], random);
  const GuardedImage y = rig.pointwise.MakeOutput();
  ThreadPool pool(2);
  const Parallel two = pool.WithThreads(2);
  const Guarded<float> scratch(rig.Scratch(two));
  ASSERT_TRUE(rig.Call(scratch.span(), y.view(), two).ok());
  const NoAllocScope scope;
  const size_t floats = rig.Scratch(two);
  const Status status = rig.Call(scratch.span(), y.view(), two);
  const size_t count = scope.count();
  EXPECT_EQ(count, 0u);
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(floats, scratch.size());
}

TEST(BlockCall, EmptyOutputsAreSuccess) {
  Random random(__LINE__);
  const BlockRig rig({.height = 3, .width = 4, .channels = 5, .depthwise = Depthwise(5)}, random);
  ImageView<const float> x = rig.x().cview();
  const GuardedImage y = rig.pointwise.MakeOutput();
  ImageView<float> out = y.view();
  x.images = out.images = 0;
  EXPECT_TRUE(SeparableConv2d(x, rig.depthwise.packed, {}, rig.pointwise.packed, {}, out, {}).ok());
  EXPECT_TRUE(y.CheckCanaries());
}

// Bands are chosen from the caches, not from the height.
TEST(BlockCall, ScratchDoesNotGrowWithTheHeight) {
  Random random(__LINE__);
  const BlockRig rig(LargeCases()[0], random);
  ImageView<const float> x = rig.x().cview();
  const Parallel one{.threads = 1};
  const size_t floats = SeparableConv2dScratch(x, rig.depthwise.packed, rig.pointwise.packed, one);
  x.height *= 64;
  EXPECT_LE(SeparableConv2dScratch(x, rig.depthwise.packed, rig.pointwise.packed, one),
            floats + floats / 2);
}

}  // namespace
}  // namespace lanefuse::test
