// Linear with epilogues, on threads, and without allocation.
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "arch/cache.h"
#include "lanefuse/linear.h"
#include "lanefuse/target.h"
#include "tests/linear/linear_case.h"
#include "tests/reference/epilogue_ref.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/parallel.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// Runs `chain` fused on `layer`; the output holds what `self` steps read beforehand.
void RunFused(const LinearCase& layer, const ChainData& data, const Chain& chain,
              const Parallel& parallel = {.threads = 1}) {
  layer.y.Fill(data.initial());
  const Epilogue epilogue = data.Fused(chain, layer.y.cview());
  const Status status =
      Linear(layer.x.cview(), layer.weights(), epilogue, layer.y.view(), parallel);
  ASSERT_TRUE(status.ok()) << chain.name << ": " << status.message();
  EXPECT_TRUE(layer.y.CheckCanaries()) << chain.name;
}

// The kernel without epilogue, then one Apply for each step.
std::vector<float> Unfused(const LinearCase& layer, const ChainData& data, const Chain& chain) {
  layer.ClearOutput();
  const Status status =
      Linear(layer.x.cview(), layer.weights(), Epilogue(), layer.y.view(), {.threads = 1});
  EXPECT_TRUE(status.ok()) << status.message();
  std::vector<float> values = layer.y.Dense();
  data.Unfused(chain, values);
  return values;
}

TEST(LinearFused, EveryChainEqualsItsStepsOnEveryTarget) {
  Random random(__LINE__);
  for (const auto& [rows, outputs, inputs] :
       {std::tuple<size_t, size_t, size_t>{1, 12, 40}, {1, 70, 9}, {7, 33, 20}, {15, 17, 33}}) {
    const LinearCase layer(
        {.rows = rows, .outputs = outputs, .inputs = inputs, .x_gap = 1, .y_gap = 3},
        Data::kUniform, random);
    const ChainData data(rows, outputs, outputs);
    Agreement agreement;
    ForEachTarget([&](std::string_view target) {
      for (const Chain& chain : IsSlow(target) ? FewChains() : AllChains()) {
        const std::vector<float> unfused = Unfused(layer, data, chain);
        RunFused(layer, data, chain);
        EXPECT_SAME_BITS(layer.y.view(), unfused) << layer.name() << ": " << chain.name;
        if (TargetHasSameBits(target)) agreement.Expect(chain.name, layer.y.Dense());
      }
    });
  }
}

// The chains that run in registers and those that run on the tile, at every edge of the tiles.
TEST(LinearFused, ChainsAtEveryTail) {
  Random random(__LINE__);
  const auto check = [&](size_t rows, size_t outputs, size_t inputs) {
    const LinearCase layer({.rows = rows,
                            .outputs = outputs,
                            .inputs = inputs,
                            .y_gap = random.Below(3),
                            .guard = kGuards[(rows + outputs) % 2],
                            .offset = random.Below(4)},
                           Data::kWide, random);
    const ChainData data(rows, outputs, rows * 1000 + outputs);
    ForEachTarget([&](std::string_view target) {
      if (IsSlow(target) && (rows + outputs) % 5 != 0) return;
      for (const Chain& chain : FewChains()) {
        const std::vector<float> unfused = Unfused(layer, data, chain);
        RunFused(layer, data, chain);
        EXPECT_SAME_BITS(layer.y.view(), unfused) << layer.name() << ": " << chain.name;
      }
    });
  };
  for (size_t outputs = 1; outputs <= 80; ++outputs) {
    for (const size_t rows : {1, 5}) check(rows, outputs, 3);
  }
  for (size_t rows = 1; rows <= 30; ++rows) {
    for (const size_t outputs : {15, 16, 32, 47, 64, 66, 129}) check(rows, outputs, 34);
  }
}

// An output that does not stay in L2: steps that do not run in registers follow some rows at a
// time.
TEST(LinearFused, LargeOutputsAreFinishedInPieces) {
  Random random(__LINE__);
  const size_t rows = arch::Caches().l2 / sizeof(float) / 33;
  const LinearCase layer({.rows = rows, .outputs = 33, .inputs = 2, .y_gap = 2}, Data::kUniform,
                         random);
  const ChainData data(rows, 33, __LINE__);
  const std::vector<Chain> chains = {
      {"Silu, Mul", {{.act = ActivationKind::kSilu}, {.kind = StepKind::kMul}}},
      {"Bias, HardSwish, Bias",
       {{.kind = StepKind::kBias}, {.act = ActivationKind::kHardSwish}, {.kind = StepKind::kBias}}},
  };
  ForEachTarget([&](std::string_view target) {
    if (IsSlow(target)) return;
    for (const Chain& chain : chains) {
      const std::vector<float> unfused = Unfused(layer, data, chain);
      for (const size_t threads : {1, 2}) {
        RunFused(layer, data, chain, {.threads = threads});
        EXPECT_SAME_BITS(layer.y.view(), unfused) << layer.name() << ": " << chain.name;
      }
    }
  });
}

TEST(LinearFused, EveryActivationFollowsItsFormula) {
  Random random(__LINE__);
  LinearCase layer({.rows = 9, .outputs = 35, .inputs = 24}, Data::kUniform, random);
  std::vector<float> x(9 * 24), w(35 * 24);
  random.FillUniform(x, -2.0f, 2.0f);
  random.FillUniform(w, -1.5f, 1.5f);
  layer.Set(x, w);
  const ChainData data(9, 35, __LINE__);
  ForEachTarget([&](std::string_view) {
    const std::vector<float> sums = Unfused(layer, data, {"", {}});
    for (const NamedActivation& named : AllActivations()) {
      RunFused(layer, data, {named.name, {{.kind = StepKind::kAct, .act = named.kind}}});
      const std::vector<float> y = layer.y.Dense();
      const float alpha = data.Act(named.kind).alpha;
      std::vector<Expected> expected;
      std::vector<float> exact;
      for (size_t i = 0; i < sums.size(); ++i) {
        const float slope = data.slope()[i % 35];
        expected.push_back(ActivationExpected(named.kind, sums[i], alpha, slope));
        exact.push_back(ExactActivation(named.kind, sums[i], alpha, slope));
      }
      EXPECT_TRUE(AllWithin(y, expected)) << named.name;
      if (IsExactActivation(named.kind)) {
        EXPECT_SAME_BITS(y, exact) << named.name;
      }
    }
  });
}

TEST(LinearFused, StepsOfPlainArithmeticRoundOnce) {
  Random random(__LINE__);
  const LinearCase layer({.rows = 6, .outputs = 50, .inputs = 21}, Data::kWide, random);
  const ChainData data(6, 50, __LINE__);
  const auto y = layer.y.view();
  const MatView<const float> residual(data.residual().data(), 6, 50);
  const MatView<const float> gate(data.gate().data(), 6, 50);
  ForEachTarget([&](std::string_view target) {
    const std::vector<float> sums = Unfused(layer, data, {"", {}});
    const auto check = [&](const Epilogue& epilogue, auto&& model) {
      std::vector<float> expected;
      for (size_t i = 0; i < sums.size(); ++i) expected.push_back(model(sums[i], i));
      const Status status = Linear(layer.x.cview(), layer.weights(), epilogue, y);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_SAME_BITS(y, expected);
    };
    check(Epilogue().Bias(data.bias()),
          [&](float s, size_t i) { return BiasModel(s, data.bias()[i % 50]); });
    check(Epilogue().Affine(data.scale(), data.shift()), [&](float s, size_t i) {
      const float scale = data.scale()[i % 50], shift = data.shift()[i % 50];
      return FusesMulAdd(target) ? AffineModel(s, scale, shift) : s * scale + shift;
    });
    check(Epilogue().Scale(0.3f), [](float s, size_t) { return ScaleModel(s, 0.3f); });
    check(Epilogue().ScaleChannels(data.scale()),
          [&](float s, size_t i) { return ScaleModel(s, data.scale()[i % 50]); });
    check(Epilogue().Add(residual),
          [&](float s, size_t i) { return AddModel(s, data.residual()[i]); });
    check(Epilogue().Mul(gate), [&](float s, size_t i) { return MulModel(s, data.gate()[i]); });
    check(Epilogue().Clamp(-1.5f, 2.5f),
          [](float s, size_t) { return ClampModel(s, -1.5f, 2.5f); });
  });
}

// NaN passes through every step and activation; infinities and zeros follow the formulas.
TEST(LinearFused, SpecialSumsThroughEveryChain) {
  Random random(__LINE__);
  constexpr size_t kOutputs = 16 * std::size(kSpecials) + 5;
  LinearCase layer({.rows = 2, .outputs = kOutputs, .inputs = 1}, Data::kUniform, random);
  std::vector<float> w(kOutputs);
  for (size_t n = 0; n < kOutputs; ++n) w[n] = kSpecials[(n + n / 16) % std::size(kSpecials)];
  layer.Set({1.0f, -1.0f}, w);
  const ChainData data(2, kOutputs, __LINE__);
  ForEachTarget([&](std::string_view) {
    const std::vector<float> sums = Unfused(layer, data, {"", {}});
    for (const Chain& chain : AllChains()) {
      const std::vector<float> unfused = Unfused(layer, data, chain);
      RunFused(layer, data, chain);
      EXPECT_SAME_BITS(layer.y.view(), unfused) << chain.name;
    }
    for (const NamedActivation& named : AllActivations()) {
      RunFused(layer, data, {named.name, {{.kind = StepKind::kAct, .act = named.kind}}});
      const std::vector<float> y = layer.y.Dense();
      for (size_t i = 0; i < y.size(); ++i) {
        if (std::isnan(sums[i])) {
          EXPECT_TRUE(std::isnan(y[i])) << named.name << " of NaN at " << i;
        }
      }
    }
  });
}

// An operand with strides of its own, and a residual that is the output with gaps between rows.
TEST(LinearFused, OperandsHaveTheirOwnStrides) {
  Random random(__LINE__);
  const LinearCase layer({.rows = 5, .outputs = 37, .inputs = 12, .y_gap = 2}, Data::kWide, random);
  GuardedMat residual(5, 37, 41), gate(5, 37, 50, Guard::kAtBegin, 1);
  std::vector<float> r(5 * 37), g(5 * 37);
  random.FillUniform(r);
  random.FillUniform(g);
  residual.Fill(r);
  gate.Fill(g);
  residual.ReadOnly();
  gate.ReadOnly();
  const ChainData data(5, 37, __LINE__);
  ForEachTarget([&](std::string_view) {
    const std::vector<float> sums = Unfused(layer, data, {"", {}});
    std::vector<float> expected(sums.size()), both(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) {
      expected[i] = (sums[i] + r[i]) * g[i];
      both[i] = ((sums[i] * g[i]) + r[i]) + r[i];
    }
    const Epilogue chain = Epilogue().Add(residual.cview()).Mul(gate.cview());
    ASSERT_TRUE(Linear(layer.x.cview(), layer.weights(), chain, layer.y.view()).ok());
    EXPECT_SAME_BITS(layer.y.view(), expected);
    layer.y.Fill(r);
    const Epilogue self = Epilogue().Mul(gate.cview()).Add(residual.cview()).Add(layer.y.cview());
    ASSERT_TRUE(Linear(layer.x.cview(), layer.weights(), self, layer.y.view()).ok());
    EXPECT_SAME_BITS(layer.y.view(), both);
    EXPECT_TRUE(layer.y.CheckCanaries());
  });
}

// Shapes with at least 8 * 2^18 multiply-adds, split by rows and by outputs, evenly and not.
TEST(LinearFused, ThreadsChangeNoBit) {
  Random random(__LINE__);
  for (const auto& [rows, outputs, inputs] : {std::tuple<size_t, size_t, size_t>{64, 128, 256},
                                              {37, 300, 197},
                                              {1, 2999, 733},
                                              {700, 31, 100},
                                              {3, 5, 10}}) {
    const LinearCase layer({.rows = rows, .outputs = outputs, .inputs = inputs, .y_gap = 1},
                           Data::kWide, random);
    const ChainData data(rows, outputs, __LINE__);
    for (const Chain& chain : {FewChains()[0], FewChains()[5], FewChains()[10]}) {
      std::vector<float> expected = layer.model;
      data.Unfused(chain, expected);
      ForEachFusingTarget([&](std::string_view target) {
        ForEachParallel([&](const Parallel& parallel, const std::string&) {
          if (IsSlow(target) && parallel.threads % 4 != 3) return;
          RunFused(layer, data, chain, parallel);
          EXPECT_SAME_BITS(layer.y.view(), expected) << layer.name() << ": " << chain.name;
        });
      });
    }
  }
}

TEST(LinearFused, ACallersPoolRunsWhatIsLargeAndNothingElse) {
  Random random(__LINE__);
  const LinearCase large({.rows = 64, .outputs = 128, .inputs = 256}, Data::kUniform, random);
  const LinearCase one({.rows = 1, .outputs = 2048, .inputs = 1024}, Data::kUniform, random);
  const LinearCase small({.rows = 2, .outputs = 16, .inputs = 16}, Data::kUniform, random);
  for (const size_t threads : {1, 2, 3, 8}) {
    for (const LinearCase* layer : {&large, &one, &small}) {
      ReversePool pool;
      const Parallel parallel = pool.WithThreads(threads);
      ASSERT_TRUE(
          Linear(layer->x.cview(), layer->weights(), Epilogue(), layer->y.view(), parallel).ok());
      EXPECT_SAME_BITS(layer->y.view(), layer->model) << threads;
      if (layer == &small) {
        EXPECT_EQ(pool.counts().runs, 0u) << "a small call went to the pool";
      } else if (threads > 1) {
        EXPECT_EQ(pool.counts().runs, 1u) << layer->name();
        EXPECT_GE(pool.counts().most_parts, 2u) << layer->name();
        EXPECT_LE(pool.counts().most_parts, threads) << layer->name();
      }
    }
  }
}

TEST(LinearFused, AllocatesNothing) {
  Random random(__LINE__);
  const LinearCase small({.rows = 3, .outputs = 20, .inputs = 40}, Data::kUniform, random);
  const LinearCase large({.rows = 64, .outputs = 128, .inputs = 256}, Data::kUniform, random);
  ThreadPool pool(2);
  ForEachTarget([&](std::string_view) {
    for (const LinearCase* layer : {&small, &large}) {
      const ChainData data(layer->y.rows(), layer->y.cols(), __LINE__);
      for (const Chain& chain : FewChains()) {
        const Epilogue epilogue = data.Fused(chain, layer->y.cview());
        for (const Parallel& parallel :
             {Parallel{.threads = 1}, Parallel{.threads = 2}, Parallel{}, pool.WithThreads(2)}) {
          Status status =  // OpenMP makes its threads now.
              Linear(layer->x.cview(), layer->weights(), epilogue, layer->y.view(), parallel);
          ASSERT_TRUE(status.ok()) << status.message();
          EXPECT_NO_ALLOC(status = Linear(layer->x.cview(), layer->weights(), epilogue,
                                          layer->y.view(), parallel));
          EXPECT_TRUE(status.ok()) << status.message();
        }
      }
    }
  });
}

}  // namespace
}  // namespace lanefuse::test
