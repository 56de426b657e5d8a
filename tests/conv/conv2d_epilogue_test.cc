// Conv2d with an epilogue gives, bit for bit, what Conv2d without one gives after each step has run
// on its own (lanefuse::Apply on the output as a matrix). This holds on every target, SSE4 too.
#include <gtest/gtest.h>

#include <vector>

#include "arch/cache.h"
#include "tests/conv/conv_case.h"
#include "tests/support/chains.h"

namespace lanefuse::test {
namespace {

// One case for each way through the kernel, with tails in channels and pixels.
std::vector<ConvCase> Cases() {
  return {
      // Pointwise: 1 x 1, dense views.
      {.shape = {.outputs = 37, .channels = 9}, .height = 3, .width = 5, .has_bias = true},
      // The same with a stride.
      {.shape = {.outputs = 16, .channels = 9, .stride_h = 2, .stride_w = 2},
       .images = 2,
       .height = 3,
       .width = 15,
       .layout = 1},
      // Dense 3 x 3, padded, several images with gaps.
      {.shape =
           {.outputs = 50, .channels = 5, .kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
       .images = 2,
       .height = 3,
       .width = 8,
       .has_bias = true,
       .layout = 3},
      // Few outputs, the last tile of pixels partly filled.
      {.shape = {.outputs = 3, .channels = 5, .kernel_w = 7, .padding = {0, 0, 3, 3}},
       .height = 2,
       .width = 19,
       .layout = 4},
      // Narrow images of few channels, whose rows are copied some at a time: the first without
      // gaps.
      {.shape =
           {.outputs = 33, .channels = 1, .kernel_h = 10, .kernel_w = 4, .padding = {4, 5, 1, 1}},
       .images = 2,
       .height = 40,
       .width = 5,
       .has_bias = true},
      {.shape = Square(3, 3, 18), .images = 2, .height = 31, .width = 6, .has_bias = true},
      {.shape = {.outputs = 9,
                 .channels = 2,
                 .kernel_h = 3,
                 .kernel_w = 2,
                 .stride_h = 2,
                 .padding = {2, 1, 1, 1}},
       .images = 2,
       .height = 21,
       .width = 17,
       .layout = 2},
      // Depthwise, with and without a multiplier.
      {.shape = {.outputs = 35,
                 .channels = 35,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .groups = 35,
                 .padding = {1, 1, 1, 1}},
       .height = 4,
       .width = 7,
       .has_bias = true,
       .layout = 5},
      {.shape = {.outputs = 38,
                 .channels = 19,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .stride_w = 2,
                 .groups = 19,
                 .padding = {1, 1, 1, 1}},
       .height = 3,
       .width = 9,
       .layout = 6},
      {.shape = Dilated(Depthwise(35), 2), .images = 2, .height = 6, .width = 9, .has_bias = true},
      // A last vector that overlaps the one before.
      {.shape = Depthwise(20, 1, 5), .images = 2, .height = 4, .width = 9, .has_bias = true},
      {.shape = Depthwise(13, 2), .images = 2, .height = 5, .width = 9, .layout = 4},
      // Vectors of pixels, and of two pixels of eight channels.
      {.shape = Square(3, 4, 7), .images = 2, .height = 4, .width = 19, .has_bias = true},
      {.shape = Square(3, 3, 8), .images = 2, .height = 4, .width = 19, .has_bias = true},
      {.shape = Dilated(Square(3, 3, 8), 2), .images = 2, .height = 12, .width = 19},
      {.shape = Square(3, 3, 16), .images = 2, .height = 4, .width = 19, .has_bias = true},
      {.shape = Square(3, 20, 3), .images = 2, .height = 4, .width = 15, .has_bias = true},
      {.shape = Depthwise(8), .images = 2, .height = 4, .width = 19, .layout = 7},
      // Groups of eight and of four, in strips.
      {.shape = Square(3, 24, 24, 3), .images = 2, .height = 5, .width = 12, .has_bias = true},
      {.shape = Strided(Square(3, 48, 48, 6), 2), .height = 7, .width = 19, .layout = 1},
      {.shape = Square(3, 32, 32, 8), .height = 3, .width = 9, .has_bias = true, .layout = 3},
      // Groups whose outputs end in the middle of a panel.
      {.shape = {.outputs = 22,
                 .channels = 6,
                 .kernel_h = 2,
                 .kernel_w = 2,
                 .groups = 2,
                 .padding = {0, 1, 0, 1}},
       .height = 4,
       .width = 8,
       .has_bias = true},
      // Depthwise in pairs of rows, the last alone, and of tiles of a single row.
      {.shape = {.outputs = 37,
                 .channels = 37,
                 .kernel_h = 5,
                 .kernel_w = 5,
                 .groups = 37,
                 .padding = {2, 2, 2, 2}},
       .images = 2,
       .height = 5,
       .width = 9,
       .has_bias = true,
       .layout = 2},
      {.shape =
           {.outputs = 24, .channels = 24, .kernel_w = 7, .groups = 24, .padding = {0, 0, 3, 3}},
       .width = 64,
       .layout = 1},
  };
}

// Sums that are long enough to be worth blocking: an operand that is the output itself must survive
// until the last block.
std::vector<ConvCase> DeepCases() {
  return {
      {.shape = {.outputs = 33, .channels = 1100}, .height = 2, .width = 7, .has_bias = true},
      {.shape =
           {.outputs = 18, .channels = 520, .kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
       .height = 2,
       .width = 4,
       .has_bias = true,
       .layout = 4},
  };
}

// The convolution's own result, then each step by itself.
std::vector<float> Unfused(const ConvRig& rig, const ChainData& data, const Chain& chain) {
  std::vector<float> values = rig.Run();
  data.Unfused(chain, values);
  return values;
}

std::vector<float> Fused(const ConvRig& rig, const ChainData& data, const Chain& chain,
                         Parallel parallel = {.threads = 1}) {
  const GuardedImage y = rig.MakeOutput();
  y.Fill(data.initial());
  const Status status =
      Conv2d(rig.x.cview(), rig.packed, data.FusedImage(chain, y.cview()), y.view(), parallel);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(y.CheckCanaries());
  return y.Dense();
}

void CheckChains(const std::vector<ConvCase>& cases, const std::vector<Chain>& chains,
                 uint64_t salt) {
  Random random(salt);
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    const ChainData data(rig.OutPixels(), c.shape.outputs, salt);
    ForEachTarget([&](std::string_view) {
      for (const Chain& chain : chains) {
        EXPECT_SAME_BITS(Fused(rig, data, chain), Unfused(rig, data, chain)) << chain.name;
      }
    });
    if (testing::Test::HasFailure()) return;
  }
}

TEST(Conv2dEpilogue, EveryChainEqualsItsSteps) { CheckChains(Cases(), AllChains(), __LINE__); }

TEST(Conv2dEpilogue, DeepSumsKeepTheOperandsUntilTheEnd) {
  CheckChains(DeepCases(), FewChains(), __LINE__);
}

TEST(Conv2dEpilogue, StripsThatKeepRowsEndLikeOthers) {
  CheckChains({{.shape = Depthwise(509), .height = 7, .width = 9, .has_bias = true, .layout = 1},
               {.shape = Depthwise(512, 2), .height = 14, .width = 11}},
              FewChains(), __LINE__);
}

// Outputs that do not stay in a cache: steps that do not run in registers follow some rows at a
// time. With and without gaps between rows, dense and depthwise, in parts.
TEST(Conv2dEpilogue, LargeOutputsAreFinishedInPieces) {
  const size_t pixels = arch::Caches().l2 / sizeof(float) / 33;  // four pieces
  const std::vector<ConvCase> cases = {
      {.shape = {.outputs = 33, .channels = 2}, .images = 3, .height = 7, .width = pixels / 19},
      {.shape = {.outputs = 33, .channels = 2},
       .images = 2,
       .height = pixels / 61,
       .width = 31,
       .has_bias = true,
       .layout = 3},
      {.shape = Depthwise(40), .images = 2, .height = 33, .width = 17, .layout = 5},
  };
  const std::vector<Chain> chains = {
      {"HardSwish", {{.act = ActivationKind::kHardSwish}}},
      {"Add, HardSwish, Mul, PRelu",
       {{.kind = StepKind::kAdd},
        {.act = ActivationKind::kHardSwish},
        {.kind = StepKind::kMul},
        {.act = ActivationKind::kPRelu}}},
      {"HardSwish, Add itself",
       {{.act = ActivationKind::kHardSwish}, {.kind = StepKind::kAdd, .self = true}}},
  };
  Random random(__LINE__);
  for (const ConvCase& c : cases) {
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    const ChainData data(rig.OutPixels(), c.shape.outputs, __LINE__);
    ForEachTarget([&](std::string_view target) {
      if (IsSlow(target)) return;
      for (const Chain& chain : chains) {
        const std::vector<float> expected = Unfused(rig, data, chain);
        for (const size_t threads : {1, 3}) {
          EXPECT_SAME_BITS(Fused(rig, data, chain, {.threads = threads}), expected) << chain.name;
        }
      }
    });
    if (HasFailure()) return;
  }
}

// The packed bias counts as the first step.
TEST(Conv2dEpilogue, PackedBiasEqualsABiasStep) {
  std::vector<Chain> chains = FewChains();
  // Several passes, all on a copy of the tile: an operand is the output.
  chains.push_back({"Bias, HardSwish, Scale, Mul itself, HardSwish",
                    {{.kind = StepKind::kBias},
                     {.act = ActivationKind::kHardSwish},
                     {.kind = StepKind::kScale},
                     {.kind = StepKind::kMul, .self = true},
                     {.act = ActivationKind::kHardSwish}}});
  Random random(__LINE__);
  for (ConvCase c : Cases()) {
    c.has_bias = false;
    SCOPED_TRACE(c.Name());
    ConvRig rig(c, random);
    const ChainData data(rig.OutPixels(), c.shape.outputs, __LINE__);
    ForEachTarget([&](std::string_view) {
      for (const Chain& chain : chains) {
        if (chain.steps.empty() || chain.steps[0].kind != StepKind::kBias) continue;
        rig.bias.clear();
        rig.Pack({});
        const std::vector<float> as_step = Fused(rig, data, chain);
        rig.bias.assign(data.bias().begin(), data.bias().end());
        rig.Pack({});
        const Chain rest{chain.name + " (bias packed)",
                         {chain.steps.begin() + 1, chain.steps.end()}};
        EXPECT_SAME_BITS(Fused(rig, data, rest), as_step) << rest.name;
      }
    });
    if (HasFailure()) return;
  }
}

// Operands with gaps of their own, unlike the output's, that end or begin at a guard page.
TEST(Conv2dEpilogue, OperandsHaveTheirOwnStrides) {
  Random random(__LINE__);
  const Chain chain{"Bias,Add,Act:Silu,Mul",
                    {{StepKind::kBias},
                     {StepKind::kAdd},
                     {StepKind::kAct, ActivationKind::kSilu},
                     {StepKind::kMul}}};
  const Chain resnet{
      "Bias,Add,Act:Relu",
      {{StepKind::kBias}, {StepKind::kAdd}, {StepKind::kAct, ActivationKind::kRelu}}};
  for (const ConvCase& c : Cases()) {
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    const ChainData data(rig.OutPixels(), c.shape.outputs, __LINE__);
    for (size_t layout = 0; layout < 7; ++layout) {
      SCOPED_TRACE("operand layout " + std::to_string(layout));
      const auto operand = [&](size_t number, std::span<const float> dense) {
        GuardedImage image = MakeImage(c.images, rig.OutHeight(), rig.OutWidth(), c.shape.outputs,
                                       LayoutNumber(number));
        image.Fill(dense);
        image.ReadOnly();
        return image;
      };
      const GuardedImage residual = operand(layout, data.residual());
      const GuardedImage gate = operand(layout + 2, data.gate());
      ForEachTarget([&](std::string_view) {
        const Epilogue gated =
            Epilogue().Bias(data.bias()).Add(residual.cview()).Act(Silu()).Mul(gate.cview());
        EXPECT_SAME_BITS(rig.Run(gated), Unfused(rig, data, chain));
        const Epilogue in_registers =
            Epilogue().Bias(data.bias()).Add(residual.cview()).Act(Relu());
        EXPECT_SAME_BITS(rig.Run(in_registers), Unfused(rig, data, resnet));
      });
    }
    if (HasFailure()) return;
  }
}

// y = relu(x + conv(x)): the input is the residual.
TEST(Conv2dEpilogue, TheInputMayBeTheResidual) {
  Random random(__LINE__);
  for (const size_t groups : {1, 21}) {
    for (const size_t kernel : {1, 3}) {
      const size_t pad = kernel / 2;
      const ConvRig rig({.shape = {.outputs = 21,
                                   .channels = 21,
                                   .kernel_h = kernel,
                                   .kernel_w = kernel,
                                   .groups = groups,
                                   .padding = {pad, pad, pad, pad}},
                         .images = 2,
                         .height = 4,
                         .width = 9,
                         .has_bias = true,
                         .layout = 1},
                        random);
      ForEachTarget([&](std::string_view) {
        const std::vector<float> fused = rig.Run(Epilogue().Add(rig.x.cview()).Act(Relu()));
        std::vector<float> expected = rig.Run();
        const std::vector<float> input = rig.x.Dense();
        for (size_t i = 0; i < expected.size(); ++i) {
          expected[i] += input[i];
          if (expected[i] < 0.0f) expected[i] = 0.0f;
        }
        EXPECT_SAME_BITS(fused, expected);
      });
    }
  }
}

// A NaN or an infinity in the sums goes through every activation as it does on its own, and touches
// no other element.
TEST(Conv2dEpilogue, SpecialValuesInSumsAndOperands) {
  Random random(__LINE__);
  for (ConvCase c : Cases()) {
    c.specials = 5;
    SCOPED_TRACE(c.Name());
    const ConvRig rig(c, random);
    const ChainData data(rig.OutPixels(), c.shape.outputs, __LINE__);
    ForEachTarget([&](std::string_view) {
      for (const NamedActivation& act : AllActivations()) {
        const Chain chain{act.name, {{StepKind::kAdd}, {StepKind::kAct, act.kind}}};
        EXPECT_SAME_BITS(Fused(rig, data, chain), Unfused(rig, data, chain)) << act.name;
      }
    });
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace lanefuse::test
