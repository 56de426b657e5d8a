// Apply with chains: one call equals its steps one by one, wherever the data lie and whoever runs
// the parts; the targets agree. Wrong calls: tests/wrong_input_test.cc.
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "lanefuse/elementwise.h"
#include "lanefuse/target.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// One step of each kind; each activation counts as one, and so does an operand that is the output.
std::vector<ChainStep> EveryKind() {
  std::vector<ChainStep> kinds = {{StepKind::kBias},
                                  {StepKind::kAffine},
                                  {StepKind::kScale},
                                  {StepKind::kScaleChannels},
                                  {StepKind::kAdd},
                                  {StepKind::kMul},
                                  {StepKind::kClamp},
                                  {.kind = StepKind::kAdd, .self = true},
                                  {.kind = StepKind::kMul, .self = true}};
  for (const NamedActivation& act : AllActivations()) kinds.push_back({StepKind::kAct, act.kind});
  return kinds;
}

std::vector<float> Unfused(const ChainData& data, const Chain& chain, std::span<const float> x) {
  std::vector<float> values(x.begin(), x.end());
  data.Unfused(chain, values);
  return values;
}

// One call from x into another matrix, which starts as the chain's own operand.
std::vector<float> Fused(const ChainData& data, const Chain& chain, const GuardedMat& x,
                         const GuardedMat& y, Parallel parallel = {.threads = 1}) {
  y.Fill(data.initial());
  const Status status = Apply(x.cview(), data.Fused(chain, y.cview()), y.view(), parallel);
  EXPECT_TRUE(status.ok()) << status.message();
  return y.Dense();
}

TEST(ApplyChain, EveryOrderOfThreeStepsEqualsItsSteps) {
  constexpr size_t kRows = 3, kCols = 19;
  const std::vector<ChainStep> kinds = EveryKind();
  const ChainData data(kRows, kCols, __LINE__);
  Random random(__LINE__);
  std::vector<float> values(kRows * kCols);
  random.FillUniform(values, -3.0f, 3.0f);
  random.PlantSpecials(values, 6);
  GuardedMat x(kRows, kCols, kCols + 1);
  x.Fill(values);
  x.ReadOnly();
  const GuardedMat y(kRows, kCols, kCols + 4, Guard::kAtBegin);
  ForEachTarget([&](std::string_view) {
    for (const ChainStep& first : kinds) {
      for (const ChainStep& second : kinds) {
        for (const ChainStep& third : kinds) {
          const Chain chain{"", {first, second, third}};
          const auto name = [](const ChainStep& s) {
            return std::to_string(static_cast<int>(s.kind)) + "/" +
                   std::to_string(static_cast<int>(s.act)) + (s.self ? "/self" : "");
          };
          EXPECT_SAME_BITS(Fused(data, chain, x, y), Unfused(data, chain, values))
              << "steps (kind/activation) " << name(first) << ", " << name(second) << ", "
              << name(third);
        }
        if (HasFailure()) return;
      }
    }
    EXPECT_TRUE(y.CheckCanaries());
  });
}

// Chains of all lengths up to eight steps, on shapes around vectors and tiles.
TEST(ApplyChain, EveryChainEqualsItsStepsOnManyShapes) {
  Random random(__LINE__);
  size_t n = 0;
  for (const size_t rows : {1, 2, 7, 13}) {
    for (const size_t cols : {1, 3, 15, 16, 17, 33, 64, 70, 129, 200}) {
      const ChainData data(rows, cols, n);
      std::vector<float> values(rows * cols);
      random.FillUniform(values, -4.0f, 4.0f);
      GuardedMat x(rows, cols, cols + n % 3, n % 2 ? Guard::kAtBegin : Guard::kAtEnd, n % 4);
      const GuardedMat y(rows, cols, cols + n % 5, n % 2 ? Guard::kAtEnd : Guard::kAtBegin, n % 3);
      x.Fill(values);
      x.ReadOnly();
      ++n;
      ForEachTarget([&](std::string_view target) {
        for (const Chain& chain : IsSlow(target) ? FewChains() : AllChains()) {
          EXPECT_SAME_BITS(Fused(data, chain, x, y), Unfused(data, chain, values)) << chain.name;
        }
        EXPECT_TRUE(y.CheckCanaries());
      });
      if (HasFailure()) return;
    }
  }
}

// y may be x; an operand may be x, y, or both at once.
TEST(ApplyChain, InPlaceAndWithItselfAsOperand) {
  Random random(__LINE__);
  for (const size_t cols : {5, 16, 47, 150}) {
    constexpr size_t kRows = 5;
    std::vector<float> values(kRows * cols);
    random.FillUniform(values, -2.0f, 2.0f);
    const GuardedMat x(kRows, cols, cols + 3);
    const GuardedMat y(kRows, cols, cols + 3);
    ForEachTarget([&](std::string_view) {
      const auto with_operand = [&](const GuardedMat& operand) {
        return Epilogue().Act(Silu()).Add(operand.cview()).Act(Tanh()).Mul(operand.cview());
      };
      x.Fill(values);
      Status status = Apply(x.cview(), with_operand(x), y.view());
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_SAME_BITS(x.cview(), values);
      // Each step in scalar float but for the activations, which Apply gives on their own.
      const auto activate = [&](const std::vector<float>& v, Activation act) {
        std::vector<float> result = v;
        const MatView<float> m(result.data(), kRows, cols);
        const Status s = Apply(m, Epilogue().Act(act), m);
        EXPECT_TRUE(s.ok()) << s.message();
        return result;
      };
      std::vector<float> expected = activate(values, Silu());
      for (size_t i = 0; i < values.size(); ++i) expected[i] += values[i];
      expected = activate(expected, Tanh());
      for (size_t i = 0; i < values.size(); ++i) expected[i] *= values[i];
      EXPECT_SAME_BITS(y.cview(), expected);

      y.Fill(values);
      status = Apply(y.cview(), with_operand(y), y.view());
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_SAME_BITS(y.cview(), expected);
      // x as the operand of a call that runs in place on y.
      y.Fill(values);
      status = Apply(y.cview(), with_operand(x), y.view());
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_SAME_BITS(y.cview(), expected);
      EXPECT_TRUE(y.CheckCanaries());
    });
  }
}

TEST(ApplyChain, NothingToDoIsSuccess) {
  ForEachTarget([&](std::string_view) {
    for (const auto& [rows, cols] : {std::pair<size_t, size_t>{0, 5}, {5, 0}, {0, 0}}) {
      const std::vector<float> bias(cols);
      const MatView<const float> x(nullptr, rows, cols);
      const Status status =
          Apply(x, Epilogue().Bias(bias).Act(Exp()), MatView<float>(nullptr, rows, cols));
      EXPECT_TRUE(status.ok()) << status.message();
    }
  });
}

// Rows are split among threads, and the columns of a single row, with what belongs to the columns.
TEST(ApplyChain, ThreadsChangeNothing) {
  Random random(__LINE__);
  struct Shape {
    size_t rows, cols, gap;
  };
  // At least 2^15 elements for each of 8 threads, and parts of unequal size.
  for (const Shape& s : {Shape{67, 4099, 1}, Shape{1, 270001, 0}, Shape{30011, 9, 2}}) {
    SCOPED_TRACE(std::to_string(s.rows) + " x " + std::to_string(s.cols));
    const ChainData data(s.rows, s.cols, __LINE__);
    std::vector<float> values(s.rows * s.cols);
    random.FillUniform(values, -4.0f, 4.0f);
    GuardedMat x(s.rows, s.cols, s.cols + s.gap);
    const GuardedMat y(s.rows, s.cols, s.cols + s.gap, Guard::kAtBegin);
    x.Fill(values);
    x.ReadOnly();
    const Chain chain{"",
                      {{StepKind::kAffine},
                       {StepKind::kAct, ActivationKind::kPRelu},
                       {.kind = StepKind::kAdd, .self = true},
                       {StepKind::kMul}}};
    ForEachTarget([&](std::string_view) {
      const std::vector<float> alone = Fused(data, chain, x, y);
      EXPECT_SAME_BITS(alone, Unfused(data, chain, values));
      ForEachParallel([&](const Parallel& parallel, const std::string&) {
        EXPECT_EQ(CountDiffering(Fused(data, chain, x, y, parallel), alone), 0u);
      });
      EXPECT_TRUE(y.CheckCanaries());
    });
    ReversePool pool;
    EXPECT_SAME_BITS(Fused(data, chain, x, y, pool.WithThreads(8)), Unfused(data, chain, values));
    EXPECT_EQ(pool.counts().most_parts, 8u) << "the work was not split";
  }
}

TEST(ApplyChain, TargetsAgree) {
  Random random(__LINE__);
  constexpr size_t kRows = 3, kCols = 211;
  const ChainData data(kRows, kCols, __LINE__);
  std::vector<float> values(kRows * kCols);
  random.FillWide(values);
  random.PlantSpecials(values, 60);
  const GuardedMat x(kRows, kCols), y(kRows, kCols);
  x.Fill(values);
  std::vector<std::vector<float>> first;
  ForEachSameBitsTarget([&](std::string_view) {
    std::vector<std::vector<float>> results;
    for (const Chain& chain : AllChains()) results.push_back(Fused(data, chain, x, y));
    if (first.empty()) first = results;
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_SAME_BITS(results[i], first[i]) << AllChains()[i].name;
    }
  });
}

TEST(ApplyChain, AllocatesNothing) {
  constexpr size_t kRows = 40, kCols = 2000;
  const ChainData data(kRows, kCols, __LINE__);
  const GuardedMat x(kRows, kCols), y(kRows, kCols);
  x.Fill(data.gate());
  ReversePool pool;
  ForEachTarget([&](std::string_view) {
    for (const Chain& chain : FewChains()) {
      const Epilogue epilogue = data.Fused(chain, y.cview());
      for (const Parallel& parallel :
           {Parallel{.threads = 1}, pool.WithThreads(3), Parallel{.threads = 2}}) {
        y.Fill(data.initial());
        ASSERT_TRUE(Apply(x.cview(), epilogue, y.view(), parallel).ok());
        Status status;
        EXPECT_NO_ALLOC(status = Apply(x.cview(), epilogue, y.view(), parallel));
        EXPECT_TRUE(status.ok()) << status.message();
      }
    }
  });
}

}  // namespace
}  // namespace lanefuse::test
