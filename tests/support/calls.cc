#include "tests/support/calls.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/support/calls_parts.h"

namespace lanefuse::test {
namespace {

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

// Layers with one input: the outputs of all of them, one after the other.
Configuration RandomLinearGroup(Random& random) {
  struct Layer {
    Layer(Random& numbers, size_t rows, size_t n, size_t inputs)
        : outputs(n), bytes(PackedLinear::Bytes(n, inputs)), epilogue(numbers, rows, n) {
      const std::vector<float> weights = RandomValues(numbers, n * inputs);
      const std::vector<float> bias = RandomValues(numbers, numbers.Below(2) * n);
      const Status status = PackedLinear::Pack(MatView<const float>(weights.data(), n, inputs),
                                               bias, nullptr, bytes.span(), packed);
      EXPECT_TRUE(status.ok()) << status.message();
      bytes.ReadOnly();
    }
    size_t outputs;
    Guarded<std::byte> bytes;
    PackedLinear packed;
    RandomChain epilogue;
  };
  const bool large = random.Below(8) == 0;
  const size_t rows = large ? random.Between(20, 60) : RandomSize(random, 12);
  const size_t inputs = large ? random.Between(100, 150) : RandomSize(random, 200);
  std::vector<std::shared_ptr<Layer>> layers(random.Between(1, 3));
  std::string name = "LinearGroup " + std::to_string(rows) + " x " + std::to_string(inputs);
  for (std::shared_ptr<Layer>& layer : layers) {
    layer = std::make_shared<Layer>(random, rows, RandomSize(random, large ? 150 : 80), inputs);
    name += " to " + std::to_string(layer->outputs);
  }
  const std::vector<float> input = RandomValues(random, rows * inputs);
  return {name, [=](const Placement& p, const Parallel& parallel) {
            const GuardedMat x = PlaceMat(rows, inputs, p, &input);
            std::vector<GuardedMat> y;
            for (const auto& layer : layers) {
              y.push_back(PlaceMat(rows, layer->outputs, p));
              y.back().Fill(layer->epilogue.data.initial());
            }
            std::vector<Epilogue> steps(layers.size());
            std::vector<LinearLayer> group(layers.size());
            for (size_t i = 0; i < layers.size(); ++i) {
              RandomChain& epilogue = layers[i]->epilogue;
              steps[i] = epilogue.data.Fused(*epilogue.chain, y[i].cview());
              group[i] = {&layers[i]->packed, &steps[i], y[i].view()};
            }
            const Status status = LinearGroup(x.cview(), group, parallel);
            EXPECT_TRUE(status.ok()) << status.message();
            std::vector<float> all;
            for (const GuardedMat& matrix : y) {
              EXPECT_TRUE(matrix.CheckCanaries());
              const std::vector<float> dense = matrix.Dense();
              all.insert(all.end(), dense.begin(), dense.end());
            }
            return all;
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
    case CallKind::kConv2dManyGroups:
    case CallKind::kConv2dLargeDepthwise:
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
    case CallKind::kLinearGroup:
      return RandomLinearGroup(random);
  }
  return {};
}

}  // namespace lanefuse::test
