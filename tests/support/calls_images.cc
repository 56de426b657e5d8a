// Random calls of convolutions, blocks of them and pooling.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/reference/conv_ref.h"
#include "tests/support/calls_parts.h"

namespace lanefuse::test {

namespace {

struct ImageSize {
  size_t images, height, width, channels;
  size_t elements() const { return images * height * width * channels; }
};

// A convolution of a block: packed weights that stay where they are.
struct BlockStage {
  BlockStage(Random& random, const Conv2dShape& s) : bytes(PackedConv2d::Bytes(s)) {
    const std::vector<float> weights = RandomValues(random, s.outputs * TermsPerOutput(s));
    const std::vector<float> bias = RandomValues(random, random.Below(2) * s.outputs);
    const Status status = PackedConv2d::Pack(s, weights, bias, {}, bytes.span(), packed);
    EXPECT_TRUE(status.ok()) << status.message();
    bytes.ReadOnly();
  }
  Guarded<std::byte> bytes;
  PackedConv2d packed;
};

}  // namespace

Configuration RandomConv2d(CallKind kind, Random& random) {
  const bool large = random.Below(8) == 0;
  Conv2dShape s{.kernel_h = random.Between(1, 4),
                .kernel_w = random.Between(1, 4),
                .stride_h = random.Between(1, 3),
                .stride_w = random.Between(1, 3),
                .dilation_h = random.Between(1, 3),
                .dilation_w = random.Between(1, 3),
                .padding = {random.Below(4), random.Below(4), random.Below(4), random.Below(4)}};
  if (random.Below(3) == 0) s.kernel_h = s.kernel_w = 1;
  if (random.Below(4) == 0) s.padding = {};
  if (large) s.stride_h = s.stride_w = 1;
  switch (kind) {
    case CallKind::kConv2dDense:
      s.channels = large ? random.Between(40, 70) : RandomSize(random, 70);
      s.outputs = large ? random.Between(40, 70) : RandomSize(random, 100);
      break;
    case CallKind::kConv2dDepthwise:
      s.channels = s.groups = RandomSize(random, 100);
      s.outputs = s.channels * random.Between(1, 3);
      break;
    case CallKind::kConv2dManyGroups:
      s.groups = random.Between(5, 20);
      s.channels = s.groups * random.Between(1, 9);
      s.outputs = s.groups * random.Between(1, 10);
      break;
    case CallKind::kConv2dLargeDepthwise:
      s.channels = s.groups = s.outputs = random.Below(16) == 0 ? 600 : RandomSize(random, 100);
      s.kernel_h = random.Between(1, 9);
      s.kernel_w = random.Between(3, 9);
      s.dilation_h = random.Below(3) == 0 ? 2 : 1;
      s.dilation_w = random.Below(3) == 0 ? 2 : 1;
      break;
    default:
      s.groups = random.Between(2, 4);
      s.channels = s.groups * random.Between(1, 9);
      s.outputs = s.groups * RandomSize(random, 40);
  }
  const size_t reach_h = s.dilation_h * (s.kernel_h - 1) + 1;
  const size_t reach_w = s.dilation_w * (s.kernel_w - 1) + 1;
  const ImageSize in{random.Below(20) == 0 ? 0 : random.Between(1, 3),
                     reach_h + (large ? random.Between(9, 15) : random.Below(7)),
                     reach_w + (large ? random.Between(9, 15) : RandomSize(random, 20)),
                     s.channels};
  const ImageSize out{in.images, OutputHeight(s, in.height), OutputWidth(s, in.width), s.outputs};
  const std::vector<float> weights = RandomValues(random, s.outputs * TermsPerOutput(s));
  const std::vector<float> bias = RandomValues(random, random.Below(2) * s.outputs);
  const std::vector<float> input = RandomValues(random, in.elements());
  auto epilogue =
      std::make_shared<RandomChain>(random, out.images * out.height * out.width, s.outputs);
  auto bytes = std::make_shared<Guarded<std::byte>>(PackedConv2d::Bytes(s));
  PackedConv2d packed;
  const Status status = PackedConv2d::Pack(s, weights, bias, {}, bytes->span(), packed);
  EXPECT_TRUE(status.ok()) << status.message();
  bytes->ReadOnly();
  std::string name = kCallKinds[static_cast<size_t>(kind)].name;
  for (const size_t n : {s.outputs, s.channels, s.kernel_h, s.kernel_w, s.stride_h, s.stride_w,
                         s.dilation_h, s.dilation_w, s.groups, s.padding.top, s.padding.bottom,
                         s.padding.left, s.padding.right, in.images, in.height, in.width}) {
    name += ' ';
    name += std::to_string(n);
  }
  return {name,
          [=](const Placement& p, const Parallel& parallel) {
            (void)bytes;
            const GuardedImage x =
                PlaceImage(in.images, in.height, in.width, in.channels, p, &input);
            const GuardedImage y = PlaceImage(out.images, out.height, out.width, out.channels, p);
            y.Fill(epilogue->data.initial());
            const Status called =
                Conv2d(x.cview(), packed, epilogue->data.FusedImage(*epilogue->chain, y.cview()),
                       y.view(), parallel);
            return Finish(called, y, y.Dense());
          },
          Copy(*bytes)};
}

Configuration RandomBlock(CallKind kind, Random& random) {
  const bool large = random.Below(8) == 0;
  const bool expands = kind == CallKind::kInvertedResidual;
  const size_t channels = RandomSize(random, 40);
  const size_t between = expands ? RandomSize(random, large ? 120 : 60) : channels;
  const size_t outputs = RandomSize(random, 40);
  const size_t kernel = random.Between(1, 5), pad = random.Below(kernel);
  const size_t stride_h = random.Between(1, 3), stride_w = random.Between(1, 2);
  auto expand =
      std::make_shared<BlockStage>(random, Conv2dShape{.outputs = between, .channels = channels});
  auto depthwise =
      std::make_shared<BlockStage>(random, Conv2dShape{.outputs = between,
                                                       .channels = between,
                                                       .kernel_h = kernel,
                                                       .kernel_w = random.Between(1, 4),
                                                       .stride_h = stride_h,
                                                       .stride_w = stride_w,
                                                       .groups = between,
                                                       .padding = {pad, 1, 1, 1}});
  auto last =
      std::make_shared<BlockStage>(random, Conv2dShape{.outputs = outputs, .channels = between});
  const Conv2dShape& s = depthwise->packed.shape();
  const ImageSize in{random.Between(1, 3), kernel + (large ? 40 : random.Below(8)),
                     s.kernel_w + RandomSize(random, 20), channels};
  const ImageSize out{in.images, OutputHeight(s, in.height), OutputWidth(s, in.width), outputs};
  const std::vector<float> input = RandomValues(random, in.elements());
  auto epilogue =
      std::make_shared<RandomChain>(random, out.images * out.height * out.width, outputs);
  return {
      kCallKinds[static_cast<size_t>(kind)].name + (' ' + std::to_string(channels)) + " to " +
          std::to_string(between) + " to " + std::to_string(outputs),
      [=](const Placement& p, const Parallel& parallel) {
        const GuardedImage x = PlaceImage(in.images, in.height, in.width, in.channels, p, &input);
        const GuardedImage y = PlaceImage(out.images, out.height, out.width, out.channels, p);
        y.Fill(epilogue->data.initial());
        const Epilogue relu6 = Epilogue().Act(Relu6()), swish = Epilogue().Act(HardSwish());
        const Epilogue steps = epilogue->data.FusedImage(*epilogue->chain, y.cview());
        const PackedConv2d &e = expand->packed, &d = depthwise->packed, &l = last->packed;
        const Guarded<float> scratch(expands ? InvertedResidualScratch(x.cview(), e, d, l, parallel)
                                             : SeparableConv2dScratch(x.cview(), d, l, parallel));
        const Status called = expands ? InvertedResidual(x.cview(), e, swish, d, relu6, l, steps,
                                                         y.view(), scratch.span(), parallel)
                                      : SeparableConv2d(x.cview(), d, relu6, l, steps, y.view(),
                                                        scratch.span(), parallel);
        EXPECT_TRUE(scratch.CheckCanaries());
        return Finish(called, y, y.Dense());
      }};
}

Configuration RandomPool(CallKind kind, Random& random) {
  const bool large = random.Below(8) == 0;
  Pool2dShape s{.kernel_h = random.Between(1, 5),
                .kernel_w = random.Between(1, 5),
                .stride_h = random.Between(1, 3),
                .stride_w = random.Between(1, 3),
                .count_padding = random.Below(2) == 1};
  s.padding = {random.Below(s.kernel_h), random.Below(s.kernel_h), random.Below(s.kernel_w),
               random.Below(s.kernel_w)};
  const ImageSize in{random.Between(1, 3), s.kernel_h + (large ? 30 : random.Below(6)),
                     s.kernel_w + (large ? 40 : random.Below(12)),
                     large ? random.Between(40, 90) : RandomSize(random, 150)};
  const bool global = kind == CallKind::kGlobalAveragePool;
  const ImageSize out{in.images, global ? 1 : OutputHeight(s, in.height),
                      global ? 1 : OutputWidth(s, in.width), in.channels};
  const std::vector<float> input = RandomValues(random, in.elements());
  auto epilogue =
      std::make_shared<RandomChain>(random, out.images * out.height * out.width, out.channels);
  std::string name = kCallKinds[static_cast<size_t>(kind)].name;
  for (const size_t n :
       {s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, s.padding.top, s.padding.bottom,
        s.padding.left, s.padding.right, in.images, in.height, in.width, in.channels}) {
    name += ' ';
    name += std::to_string(n);
  }
  return {name, [=](const Placement& p, const Parallel& parallel) {
            const GuardedImage x =
                PlaceImage(in.images, in.height, in.width, in.channels, p, &input);
            const GuardedImage y = PlaceImage(out.images, out.height, out.width, out.channels, p);
            y.Fill(epilogue->data.initial());
            const Epilogue e = epilogue->data.FusedImage(*epilogue->chain, y.cview());
            const Status status = kind == CallKind::kMaxPool2d
                                      ? MaxPool2d(x.cview(), s, e, y.view(), parallel)
                                  : kind == CallKind::kAveragePool2d
                                      ? AveragePool2d(x.cview(), s, e, y.view(), parallel)
                                      : GlobalAveragePool(x.cview(), e, y.view(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

}  // namespace lanefuse::test
