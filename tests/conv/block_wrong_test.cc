// Wrong calls of SeparableConv2d and InvertedResidual.
#include <gtest/gtest.h>

#include <span>
#include <string>

#include "tests/conv/conv_case.h"
#include "tests/support/parallel.h"
#include "tests/support/wrong_calls.h"

namespace lanefuse::test {
namespace {

using enum StatusCode;

struct BlockArgs {
  ImageView<const float> x;
  PackedConv2d expand;
  Epilogue first;
  PackedConv2d depthwise;
  Epilogue middle;
  PackedConv2d pointwise;
  Epilogue epilogue;
  ImageView<float> y;
  std::span<float> scratch;
  Parallel parallel;
};

PackedConv2d PackedIn(Arena& arena, const Conv2dShape& shape) {
  PackedConv2d packed;
  const auto weights = arena.Floats(shape.outputs * TermsPerOutput(shape));
  EXPECT_TRUE(
      PackedConv2d::Pack(shape, weights, {}, {}, arena.Bytes(PackedConv2d::Bytes(shape)), packed)
          .ok());
  return packed;
}

// A block on 2 images of 6 x 5 pixels with 4 channels; 7 channels between where it expands.
BlockArgs ValidBlock(Arena& arena, bool expands) {
  const size_t between = expands ? 7 : 4;
  BlockArgs args;
  args.x = ImageView<const float>(arena.Floats(240).data(), 2, 6, 5, 4);
  args.expand = PackedIn(arena, {.outputs = between, .channels = 4});
  args.depthwise = PackedIn(arena, Depthwise(between));
  args.pointwise = PackedIn(arena, {.outputs = 3, .channels = between});
  args.y = ImageView<float>(arena.Floats(180).data(), 2, 6, 5, 3);
  args.scratch = arena.Floats(
      expands ? InvertedResidualScratch(args.x, args.expand, args.depthwise, args.pointwise)
              : SeparableConv2dScratch(args.x, args.depthwise, args.pointwise));
  return args;
}

void WrongBlocks(bool expands) {
  Arena arena;
  using Args = BlockArgs;
  const auto call = expands ? +[](const Args& a) {
    return InvertedResidual(a.x, a.expand, a.first, a.depthwise, a.middle, a.pointwise, a.epilogue,
                            a.y, a.scratch, a.parallel);
  } : +[](const Args& a) {
    return SeparableConv2d(a.x, a.depthwise, a.middle, a.pointwise, a.epilogue, a.y, a.scratch,
                           a.parallel);
  };
  const BlockArgs valid = ValidBlock(arena, expands);
  WrongCalls<Args> wrong(arena, valid, call);
  const std::string last = expands ? "project" : "pointwise";
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.data = nullptr; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.data = nullptr; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.pixel_stride = 3; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.row_stride = 1; });
  wrong(kShapeMismatch, "x", [](Args& args) { args.x.channels = 3; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.channels = 2; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.images = 1; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.height = 5; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.width = 4; });
  wrong(kInvalidArgument, "depthwise", [](Args& args) { args.depthwise = {}; });
  wrong(kInvalidArgument, last, [](Args& args) { args.pointwise = {}; });
  wrong(kInvalidArgument, last, [](Args& args) { args.pointwise = args.depthwise; });
  const PackedConv2d other = PackedIn(arena, {.outputs = 3, .channels = 5});
  wrong(kShapeMismatch, last, [&](Args& args) { args.pointwise = other; });
  if (expands) {
    wrong(kInvalidArgument, "expand", [](Args& args) { args.expand = {}; });
    wrong(kInvalidArgument, "expand", [](Args& args) { args.expand = args.depthwise; });
    const PackedConv2d narrow = PackedIn(arena, {.outputs = 6, .channels = 4});
    wrong(kShapeMismatch, "depthwise", [&](Args& args) { args.expand = narrow; });
  }
  wrong(kBufferTooSmall, "scratch", [](Args& args) { args.scratch = args.scratch.first(20); });
  wrong(kBufferTooSmall, "scratch", [](Args& args) { args.scratch = {}; });
  wrong(kInvalidArgument, "threads", [](Args& args) {
    static ReversePool pool;
    args.parallel = pool.WithThreads(0);
  });
  // Nothing may lie in scratch, or where y goes.
  const auto all = [&](float* data, size_t floats) { return std::span<float>(data, floats); };
  const size_t floats = valid.scratch.size();
  wrong(kOverlap, "y", [](Args& args) { args.y.data = const_cast<float*>(args.x.data) + 239; });
  wrong(kOverlap, "scratch|x",
        [&](Args& args) { args.scratch = all(const_cast<float*>(args.x.data), floats); });
  wrong(kOverlap, "scratch|y", [&](Args& args) { args.scratch = all(args.y.data, floats); });
  wrong(kOverlap, "scratch|depthwise", [&](Args& args) {
    args.scratch = all(const_cast<float*>(args.depthwise.panels()), floats);
  });
  wrong(kOverlap, "scratch|" + last, [&](Args& args) {
    args.scratch = all(const_cast<float*>(args.pointwise.panels()), floats);
  });
  wrong(kOverlap, "y|" + last,
        [](Args& args) { args.y.data = const_cast<float*>(args.pointwise.panels()); });
  wrong(kOverlap, "y|depthwise",
        [](Args& args) { args.y.data = const_cast<float*>(args.depthwise.panels()); });
  wrong(kOverlap, "y|middle|operand", [](Args& args) {
    args.middle.Bias(std::span<const float>(args.y.data, args.depthwise.shape().outputs));
  });
  wrong(kOverlap, "scratch|operand",
        [](Args& args) { args.epilogue.Bias(std::span<const float>(args.scratch.data(), 3)); });
  wrong(kOverlap, "scratch|operand", [](Args& args) {
    args.epilogue.Add(ImageView<const float>(args.scratch.data(), 2, 6, 5, 3));
  });
  wrong(kShapeMismatch, "bias",
        [](Args& args) { args.middle.Bias(std::span<const float>(args.x.data, 3)); });
  wrong(kShapeMismatch, "operand|Add", [](Args& args) {
    args.middle.Add(args.x);
    args.middle.Add(ImageView<const float>(args.x.data, 1, 1, 3));
  });
}

TEST(WrongInput, SeparableConv2d) { WrongBlocks(false); }
TEST(WrongInput, InvertedResidual) { WrongBlocks(true); }

TEST(BlockCall, ScratchOfWhatDoesNotFitIsNone) {
  Arena arena;
  BlockArgs args = ValidBlock(arena, true);
  EXPECT_GT(InvertedResidualScratch(args.x, args.expand, args.depthwise, args.pointwise), 0u);
  EXPECT_EQ(InvertedResidualScratch(args.x, args.expand, args.pointwise, args.depthwise), 0u);
  EXPECT_EQ(SeparableConv2dScratch(args.x, args.depthwise, args.pointwise), 0u);
  EXPECT_EQ(SeparableConv2dScratch(args.x, {}, args.pointwise), 0u);
}

}  // namespace
}  // namespace lanefuse::test
