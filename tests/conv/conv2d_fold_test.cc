// Batchnorm folded into packed weights: against the unfolded double model, bit for bit against
// weights that were folded by hand, and the cases that must be refused.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/conv/conv_case.h"

namespace lanefuse::test {
namespace {

// The four vectors of a batchnorm; gamma and beta are optional.
struct Norm {
  Norm(size_t channels, Random& random, bool affine = true)
      : gamma(affine ? channels : 0),
        beta(affine ? channels : 0),
        mean(channels),
        variance(channels) {
    random.FillUniform(gamma, -2.0f, 2.0f);
    random.FillUniform(beta, -1.0f, 1.0f);
    random.FillUniform(mean, -1.0f, 1.0f);
    random.FillUniform(variance, 0.01f, 4.0f);
  }
  BatchNorm view() const {
    return {.gamma = gamma, .beta = beta, .mean = mean, .variance = variance, .epsilon = 1e-3f};
  }
  std::vector<float> gamma, beta, mean, variance;
};

std::vector<ConvCase> Cases() {
  return {
      {.shape = {.outputs = 37, .channels = 9}, .height = 3, .width = 5, .has_bias = true},
      {.shape = {.outputs = 20, .channels = 5, .kernel_h = 3, .kernel_w = 3},
       .height = 5,
       .width = 9},
      {.shape = {.outputs = 35, .channels = 35, .kernel_h = 3, .kernel_w = 3, .groups = 35},
       .height = 5,
       .width = 7,
       .has_bias = true},
      {.shape = {.outputs = 38, .channels = 19, .kernel_h = 3, .kernel_w = 2, .groups = 19},
       .height = 4,
       .width = 6},
      {.shape = {.outputs = 22, .channels = 6, .kernel_h = 2, .kernel_w = 3, .groups = 2},
       .height = 4,
       .width = 8,
       .has_bias = true},
  };
}

void CheckFold(const ConvCase& c, const Norm* before, const Norm* after, Random& random) {
  SCOPED_TRACE(c.Name());
  ConvRig rig(c, random);
  const BatchNorm before_view = before ? before->view() : BatchNorm{};
  const BatchNorm after_view = after ? after->view() : BatchNorm{};
  const Conv2dFold fold{.after = after ? &after_view : nullptr,
                        .before = before ? &before_view : nullptr};
  rig.Pack(fold);
  std::vector<Expected> expected;
  ForEachOutput(c.images, rig.OutHeight(), rig.OutWidth(), c.shape.outputs,
                [&](const OutputIndex& at) {
                  expected.push_back(ConvBatchNormExpected(rig.x.cview(), c.shape, rig.weights,
                                                           rig.bias, fold.before, fold.after, at));
                });
  // The same fold by hand: in double, each weight and bias rounded once.
  const size_t terms = TermsPerOutput(c.shape);
  const size_t depth = c.shape.channels / c.shape.groups;
  std::vector<float> weights, bias;
  for (size_t o = 0; o < c.shape.outputs; ++o) {
    const size_t first = o / (c.shape.outputs / c.shape.groups) * depth;
    const Line out = after ? BatchNormLine(after_view, o) : Line{};
    double sum = rig.bias.empty() ? 0.0 : rig.bias[o];
    for (size_t k = 0; k < terms; ++k) {
      const Line in = before ? BatchNormLine(before_view, first + k % depth) : Line{};
      const double w = rig.weights[o * terms + k];
      weights.push_back(static_cast<float>(w * in.scale * out.scale));
      sum += w * in.shift;
    }
    bias.push_back(static_cast<float>(sum * out.scale + out.shift));
  }
  const std::vector<float> model = ConvModel(rig.x.cview(), c.shape, weights, bias);
  ForEachTarget([&](std::string_view target) {
    const std::vector<float> y = rig.Run();
    EXPECT_TRUE(AllWithin(y, expected, BoundFactor(target)));
    // Both folds round once from double, but may group the factors in another way: a weight that is
    // a tie between two floats to 1 in 2^29 could differ. None of these is.
    if (FusesMulAdd(target)) {
      EXPECT_SAME_BITS(y, model);
    }
  });
}

TEST(Conv2dFold, BatchNormAfterTheConvolution) {
  Random random(__LINE__);
  for (ConvCase c : Cases()) {
    const Norm norm(c.shape.outputs, random);
    const Norm plain(c.shape.outputs, random, false);
    CheckFold(c, nullptr, &norm, random);
    CheckFold(c, nullptr, &plain, random);
    // After the convolution padding makes no difference.
    c.shape.padding = {.top = 1, .bottom = 2, .left = 0, .right = 1};
    CheckFold(c, nullptr, &norm, random);
  }
}

TEST(Conv2dFold, BatchNormBeforeTheConvolution) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    const Norm norm(c.shape.channels, random);
    const Norm plain(c.shape.channels, random, false);
    CheckFold(c, &norm, nullptr, random);
    CheckFold(c, &plain, nullptr, random);
  }
}

TEST(Conv2dFold, BothAtOnce) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    const Norm before(c.shape.channels, random), after(c.shape.outputs, random);
    CheckFold(c, &before, &after, random);
  }
}

// What the refusal's text advises: the same work as an Affine step, unfolded.
TEST(Conv2dFold, AnAffineStepDoesTheSameUnfolded) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    ConvRig rig(c, random);
    const Norm norm(c.shape.outputs, random);
    const BatchNorm view = norm.view();
    std::vector<float> scale, shift;
    for (size_t o = 0; o < c.shape.outputs; ++o) {
      const Line line = BatchNormLine(view, o);
      scale.push_back(static_cast<float>(line.scale));
      shift.push_back(static_cast<float>(line.shift));
    }
    std::vector<Expected> expected;
    ForEachOutput(c.images, rig.OutHeight(), rig.OutWidth(), c.shape.outputs,
                  [&](const OutputIndex& at) {
                    Expected e = ConvBatchNormExpected(rig.x.cview(), c.shape, rig.weights,
                                                       rig.bias, nullptr, &view, at);
                    e.bound *= 2.0;  // The scale and the sum are rounded, not each weight.
                    expected.push_back(e);
                  });
    ForEachTarget([&](std::string_view target) {
      EXPECT_TRUE(
          AllWithin(rig.Run(Epilogue().Affine(scale, shift)), expected, BoundFactor(target)));
    });
  }
}

// Tries to pack with `fold`; the view that came before must stay usable and unchanged.
Status TryPack(const ConvCase& c, const Conv2dFold& fold) {
  Random random(__LINE__);
  ConvRig rig(c, random);
  const std::vector<float> before = rig.Run();
  std::vector<std::byte> bytes(PackedConv2d::Bytes(c.shape));
  PackedConv2d packed = rig.packed;
  const Status status = PackedConv2d::Pack(c.shape, rig.weights, rig.bias, fold, bytes, packed);
  if (!status.ok()) {
    EXPECT_EQ(packed.panels(), rig.packed.panels());
  }
  EXPECT_SAME_BITS(rig.Run(), before);
  return status;
}

void ExpectCode(StatusCode code, const Status& status) {
  EXPECT_EQ(static_cast<int>(status.code()), static_cast<int>(code)) << status.message();
  if (!status.ok()) {
    EXPECT_GT(status.message().size(), 10u);
  }
}

TEST(Conv2dFold, RefusesABatchNormBeforePadding) {
  Random random(__LINE__);
  for (ConvCase c : Cases()) {
    const Norm norm(c.shape.channels, random);
    const BatchNorm view = norm.view();
    ExpectCode(StatusCode::kOk, TryPack(c, {.before = &view}));
    for (const Padding& padding :
         {Padding{1, 0, 0, 0}, Padding{0, 1, 0, 0}, Padding{0, 0, 1, 0}, Padding{0, 0, 0, 1}}) {
      c.shape.padding = padding;
      ExpectCode(StatusCode::kUnsupported, TryPack(c, {.before = &view}));
    }
  }
}

TEST(Conv2dFold, RefusesWhereTheOutputHasOtherReaders) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    const Norm norm(c.shape.outputs, random);
    const BatchNorm view = norm.view();
    ExpectCode(StatusCode::kOk, TryPack(c, {.output_has_other_readers = true}));
    ExpectCode(StatusCode::kOk, TryPack(c, {.after = &view}));
    ExpectCode(StatusCode::kUnsupported,
               TryPack(c, {.after = &view, .output_has_other_readers = true}));
  }
}

TEST(Conv2dFold, RefusesScalesAndSumsThatAreNotFinite) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    for (const bool after : {true, false}) {
      const size_t channels = after ? c.shape.outputs : c.shape.channels;
      const auto attempt = [&](const auto& change) {
        Norm norm(channels, random);
        BatchNorm view = norm.view();
        change(norm, view);
        return after ? TryPack(c, {.after = &view}) : TryPack(c, {.before = &view});
      };
      const size_t last = channels - 1;
      ExpectCode(StatusCode::kOk, attempt([](Norm&, BatchNorm&) {}));
      for (const float bad : {kInf, -kInf, kNaN}) {
        ExpectCode(StatusCode::kUnsupported,
                   attempt([&](Norm& n, BatchNorm&) { n.gamma[last] = bad; }));
        ExpectCode(StatusCode::kUnsupported,
                   attempt([&](Norm& n, BatchNorm&) { n.beta[last] = bad; }));
        ExpectCode(StatusCode::kUnsupported,
                   attempt([&](Norm& n, BatchNorm&) { n.mean[last] = bad; }));
      }
      // 1 / sqrt(0), the root of a negative number, and of NaN.
      ExpectCode(StatusCode::kUnsupported, attempt([&](Norm& n, BatchNorm& v) {
                   n.variance[last] = 0.0f;
                   v.epsilon = 0.0f;
                 }));
      ExpectCode(StatusCode::kUnsupported,
                 attempt([&](Norm& n, BatchNorm&) { n.variance[last] = -1.0f; }));
      ExpectCode(StatusCode::kUnsupported,
                 attempt([&](Norm& n, BatchNorm&) { n.variance[last] = kNaN; }));
      ExpectCode(StatusCode::kUnsupported, attempt([&](Norm&, BatchNorm& v) { v.epsilon = kNaN; }));
      // Finite in double, but beyond float after the fold.
      ExpectCode(StatusCode::kUnsupported, attempt([&](Norm& n, BatchNorm& v) {
                   n.gamma[last] = 3e38f;
                   n.variance[last] = 1e-30f;
                   v.epsilon = 0.0f;
                 }));
    }
  }
}

TEST(Conv2dFold, RefusesSizesThatDoNotFit) {
  Random random(__LINE__);
  for (const ConvCase& c : Cases()) {
    for (const bool after : {true, false}) {
      const size_t channels = after ? c.shape.outputs : c.shape.channels;
      const auto attempt = [&](const auto& change) {
        const Norm norm(channels, random);
        BatchNorm view = norm.view();
        change(view);
        return after ? TryPack(c, {.after = &view}) : TryPack(c, {.before = &view});
      };
      const std::vector<float> longer(channels + 1, 1.0f);
      using View = BatchNorm&;
      ExpectCode(StatusCode::kShapeMismatch, attempt([&](View v) { v.gamma = longer; }));
      ExpectCode(StatusCode::kShapeMismatch, attempt([&](View v) { v.beta = longer; }));
      ExpectCode(StatusCode::kShapeMismatch, attempt([&](View v) { v.mean = longer; }));
      ExpectCode(StatusCode::kShapeMismatch, attempt([&](View v) { v.variance = longer; }));
      ExpectCode(StatusCode::kShapeMismatch, attempt([&](View v) { v.mean = {}; }));
      ExpectCode(StatusCode::kShapeMismatch, attempt([&](View v) { v.variance = {}; }));
    }
  }
}

}  // namespace
}  // namespace lanefuse::test
