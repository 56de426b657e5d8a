#include "tests/support/calls.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "lanefuse/lanefuse.h"
#include "tests/reference/conv_ref.h"
#include "tests/support/chains.h"

// Random numbers are drawn in an order that the language fixes (one to a statement, or in braces),
// so that every compiler makes the same calls.
namespace lanefuse::test {
namespace {

// Small, around the edges of vectors and panels, or anything up to `most`.
size_t RandomSize(Random& random, size_t most) {
  size_t size = random.Between(1, 8);
  if (random.Below(3) == 0) {
    size = 16 * random.Between(1, 5) - 1;
    size += random.Below(3);
  }
  if (random.Below(3) == 0) size = random.Between(1, most);
  return std::min(size, most);
}

std::vector<float> RandomValues(Random& random, size_t n) {
  std::vector<float> values(n);
  if (random.Below(3) == 0) {
    random.FillWide(values);
  } else {
    random.FillUniform(values, -3.0f, 3.0f);
  }
  if (random.Below(4) == 0) random.PlantSpecials(values, 1 + n / 50);
  return values;
}

std::vector<std::byte> Copy(const Guarded<std::byte>& bytes) {
  return {bytes.span().begin(), bytes.span().end()};
}

GuardedMat PlaceMat(size_t rows, size_t cols, const Placement& p,
                    const std::vector<float>* values = nullptr) {
  GuardedMat mat(rows, cols, cols + p.pixel_gap, p.guard, p.offset);
  if (values != nullptr) {
    mat.Fill(*values);
    mat.ReadOnly();
  }
  return mat;
}

GuardedImage PlaceImage(size_t images, size_t height, size_t width, size_t channels,
                        const Placement& p, const std::vector<float>* values = nullptr) {
  GuardedImage image(images, height, width, channels, p.pixel_gap, p.row_gap, p.row_gap / 2,
                     p.guard, p.offset);
  if (values != nullptr) {
    image.Fill(*values);
    image.ReadOnly();
  }
  return image;
}

std::vector<float> Finish(const Status& status, const Guarded<float>& y, std::vector<float> dense) {
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

Configuration RandomDot(Random& random) {
  const size_t n = RandomSize(random, 3000);
  const std::vector<float> a = RandomValues(random, n), b = RandomValues(random, n);
  auto epilogue = std::make_shared<RandomChain>(random, 1, 1);
  return {"Dot of " + std::to_string(n), [=](const Placement& p, const Parallel&) {
            const GuardedMat x = PlaceMat(1, n, p, &a), w = PlaceMat(1, n, p, &b);
            const GuardedMat y = PlaceMat(1, 1, p);
            y.Fill(epilogue->data.initial());
            const Status status =
                Dot(x.cspan(), w.cspan(), epilogue->data.Fused(*epilogue->chain, y.cview()), y[0]);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomGemv(Random& random) {
  const bool large = random.Below(8) == 0;  // Worth more than one thread.
  const size_t outputs = large ? random.Between(500, 900) : RandomSize(random, 200);
  const size_t inputs = large ? random.Between(600, 900) : RandomSize(random, 300);
  const std::vector<float> weights = RandomValues(random, outputs * inputs);
  const std::vector<float> input = RandomValues(random, inputs);
  auto epilogue = std::make_shared<RandomChain>(random, 1, outputs);
  return {"Gemv " + std::to_string(outputs) + " x " + std::to_string(inputs),
          [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat w = PlaceMat(outputs, inputs, p, &weights);
            const GuardedMat x = PlaceMat(1, inputs, p, &input), y = PlaceMat(1, outputs, p);
            y.Fill(epilogue->data.initial());
            const Status status =
                Gemv(w.cview(), x.cspan(), epilogue->data.Fused(*epilogue->chain, y.cview()),
                     y.span(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomLinear(Random& random) {
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(20, 90) : RandomSize(random, 20);
  const size_t inputs = large ? random.Between(100, 200) : RandomSize(random, 300);
  const size_t outputs = large ? random.Between(150, 250) : RandomSize(random, 150);
  const std::vector<float> weights = RandomValues(random, outputs * inputs);
  const std::vector<float> bias = RandomValues(random, random.Below(2) * outputs);
  const std::vector<float> input = RandomValues(random, rows * inputs);
  auto epilogue = std::make_shared<RandomChain>(random, rows, outputs);
  auto bytes = std::make_shared<Guarded<std::byte>>(PackedLinear::Bytes(outputs, inputs));
  PackedLinear packed;
  const Status status = PackedLinear::Pack(MatView<const float>(weights.data(), outputs, inputs),
                                           bias, nullptr, bytes->span(), packed);
  EXPECT_TRUE(status.ok()) << status.message();
  bytes->ReadOnly();
  return {"Linear " + std::to_string(rows) + " x " + std::to_string(inputs) + " to " +
              std::to_string(outputs),
          [=](const Placement& p, const Parallel& parallel) {
            (void)bytes;  // Kept alive for `packed`.
            const GuardedMat x = PlaceMat(rows, inputs, p, &input), y = PlaceMat(rows, outputs, p);
            y.Fill(epilogue->data.initial());
            const Status called =
                Linear(x.cview(), packed, epilogue->data.Fused(*epilogue->chain, y.cview()),
                       y.view(), parallel);
            return Finish(called, y, y.Dense());
          },
          Copy(*bytes)};
}

struct ImageSize {
  size_t images, height, width, channels;
  size_t elements() const { return images * height * width * channels; }
};

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

Configuration RandomSoftmax(Random& random) {
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(200, 400) : RandomSize(random, 30);
  const size_t cols = large ? random.Between(300, 500) : RandomSize(random, 700);
  SoftmaxOptions options{.scale = random.Below(2) ? 1.0f : random.Uniform(-1.0f, 1.0f),
                         .causal = random.Below(3) == 0,
                         .causal_offset = random.Below(2) ? random.Below(cols) : 0,
                         .log = random.Below(2) == 1};
  const size_t mask_rows = random.Below(3) == 0 ? 0 : random.Below(2) ? rows : 1;
  const std::vector<float> input = RandomValues(random, rows * cols);
  const std::vector<float> mask_values = RandomValues(random, mask_rows * cols);
  auto epilogue = std::make_shared<RandomChain>(random, rows, cols, false);
  return {"Softmax " + std::to_string(rows) + " x " + std::to_string(cols),
          [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat x = PlaceMat(rows, cols, p, &input), y = PlaceMat(rows, cols, p);
            const GuardedMat mask = PlaceMat(mask_rows, cols, p, &mask_values);
            SoftmaxOptions with_mask = options;
            if (mask_rows != 0) with_mask.mask = mask.cview();
            const Status status =
                Softmax(x.cview(), with_mask, epilogue->data.Fused(*epilogue->chain, y.cview()),
                        y.view(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

Configuration RandomApply(Random& random) {
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(1, 60) : RandomSize(random, 30);
  const size_t cols = large ? 100000 / rows : RandomSize(random, 500);
  const std::vector<float> input = RandomValues(random, rows * cols);
  auto epilogue = std::make_shared<RandomChain>(random, rows, cols);
  return {"Apply " + std::to_string(rows) + " x " + std::to_string(cols),
          [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat x = PlaceMat(rows, cols, p, &input), y = PlaceMat(rows, cols, p);
            y.Fill(epilogue->data.initial());
            const Status status = Apply(
                x.cview(), epilogue->data.Fused(*epilogue->chain, y.cview()), y.view(), parallel);
            return Finish(status, y, y.Dense());
          }};
}

}  // namespace

Placement RandomPlacement(Random& random) {
  return {.guard = kGuards[random.Below(2)],
          .offset = random.Below(2) ? random.Below(5) : 0,
          .pixel_gap = random.Below(2) ? random.Below(7) : 0,
          .row_gap = random.Below(2) ? random.Below(20) : 0};
}

Configuration RandomConfiguration(CallKind kind, Random& random) {
  switch (kind) {
    case CallKind::kDot:
      return RandomDot(random);
    case CallKind::kGemv:
      return RandomGemv(random);
    case CallKind::kLinear:
      return RandomLinear(random);
    case CallKind::kConv2dDense:
    case CallKind::kConv2dDepthwise:
    case CallKind::kConv2dGrouped:
      return RandomConv2d(kind, random);
    case CallKind::kMaxPool2d:
    case CallKind::kAveragePool2d:
    case CallKind::kGlobalAveragePool:
      return RandomPool(kind, random);
    case CallKind::kSoftmax:
      return RandomSoftmax(random);
    case CallKind::kApply:
      return RandomApply(random);
    case CallKind::kSeparableConv2d:
    case CallKind::kInvertedResidual:
      return RandomBlock(kind, random);
  }
  return {};
}

}  // namespace lanefuse::test
