// Softmax as a call: the stated order of its sum; in place; behind it any epilogue; on any threads,
// in any batch the same bits; nothing allocated. Wrong calls: tests/wrong_input_test.cc.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tests/softmax/softmax_case.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/chains.h"
#include "tests/support/parallel.h"

namespace lanefuse::test {
namespace {

std::vector<float> SoftmaxRow(const std::vector<float>& x, bool log = false) {
  std::vector<float> y(x.size());
  const Status status = Softmax(MatView<const float>(x.data(), 1, x.size()), {.log = log},
                                MatView<float>(y.data(), 1, y.size()));
  EXPECT_TRUE(status.ok()) << status.message();
  return y;
}

// e = exp(values) of one row, as the card says what to do with it: one sum over 64 lanes, one
// division and a multiplication for each column.
std::vector<float> Normalized(const std::vector<float>& e) {
  const float factor = 1.0f / Sum64(e);
  std::vector<float> y;
  for (const float v : e) y.push_back(v * factor);
  return y;
}

// The float that softmax has for exp(d), d <= 0, which a test cannot know: any within 4 ULP might
// be right. Rows of m zeros and one d show it, rounded in a different way for each m; the one float
// that explains them all is returned, or NaN if none or several do.
float ExpInSoftmax(float d) {
  std::vector<float> candidates;
  float candidate = static_cast<float>(std::exp(static_cast<double>(d)));
  for (int i = 0; i < 4; ++i) candidate = std::nextafter(candidate, 0.0f);
  for (int i = 0; i <= 8; ++i) {
    candidates.push_back(candidate);
    candidate = std::nextafter(candidate, 2.0f);
  }
  for (size_t m = 1; m <= 63; ++m) {
    std::vector<float> x(m + 1, 0.0f);
    x[m] = d;
    const std::vector<float> y = SoftmaxRow(x);
    std::erase_if(candidates, [&](float c) {
      std::vector<float> e(m + 1, 1.0f);
      e[m] = c;
      return CountDiffering(Normalized(e), y) != 0;
    });
  }
  return candidates.size() == 1 ? candidates[0] : std::numeric_limits<float>::quiet_NaN();
}

// The stated order, bit for bit: exp is taken from the kernel itself, all the rest is modelled.
TEST(SoftmaxCall, TheSumHasTheStatedOrder) {
  Random random(__LINE__);
  ForEachFusingTarget([&](std::string_view) {
    std::vector<float> arguments = {0.0f}, exps = {1.0f};
    for (int i = 0; i < 48; ++i) {
      arguments.push_back(-random.Uniform(0.0f, i % 3 == 0 ? 0.5f : 9.0f));
      exps.push_back(ExpInSoftmax(arguments.back()));
      ASSERT_FALSE(std::isnan(exps.back()))
          << "no float near exp(" << arguments.back() << ") explains the kernel's results";
    }
    for (const size_t cols : {1, 2, 5, 16, 31, 63, 64, 65, 100, 127, 128, 129, 200, 1000, 4097}) {
      for (int repeat = 0; repeat < 10; ++repeat) {
        std::vector<float> x(cols), e(cols);
        for (size_t c = 0; c < cols; ++c) {
          const size_t i = random.Below(arguments.size());
          x[c] = arguments[i];
          e[c] = exps[i];
        }
        // The maximum is 0, wherever it lies.
        const size_t at = random.Below(cols);
        x[at] = 0.0f;
        e[at] = 1.0f;
        EXPECT_SAME_BITS(SoftmaxRow(x), Normalized(e)) << cols << " columns";
        // log: z - max - log(sum), two subtractions; column `at` shows -log(sum) by itself.
        const std::vector<float> log = SoftmaxRow(x, true);
        std::vector<float> model;
        for (const float z : x) model.push_back(z + log[at]);
        EXPECT_SAME_BITS(log, model) << cols << " columns";
      }
    }
  });
}

std::vector<SoftmaxCase> Cases() {
  return {
      {.rows = 5, .cols = 19, .spread = 4.0f, .layout = 1},
      {.rows = 3, .cols = 150, .log = true, .spread = 4.0f},
      {.rows = 7, .cols = 70, .scale = 0.125f, .mask = Mask::kFull, .spread = 9.0f, .layout = 2},
      {.rows = 40,
       .cols = 33,
       .scale = 0.25f,
       .mask = Mask::kRow,
       .causal = true,
       .causal_offset = 2,
       .spread = 9.0f,
       .layout = 3},
      {.rows = 9, .cols = 12, .causal = true, .log = true, .spread = 2.0f, .layout = 4},
  };
}

TEST(SoftmaxCall, InPlace) {
  Random random(__LINE__);
  for (const SoftmaxCase& c : Cases()) {
    SCOPED_TRACE(c.Name());
    const SoftmaxRig rig(c, random);
    const std::vector<float> x = rig.x.Dense();
    ForEachTarget([&](std::string_view) {
      rig.x.Fill(x);
      const std::vector<float> expected = rig.Run(Epilogue().Act(Relu6()));
      EXPECT_SAME_BITS(rig.x.cview(), x);
      const Status status =
          Softmax(rig.x.cview(), rig.Options(), Epilogue().Act(Relu6()), rig.x.view());
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_SAME_BITS(rig.x.cview(), expected);
      EXPECT_TRUE(rig.x.CheckCanaries());
    });
  }
}

// The operands must not be y here, which holds the exponentials on the way.
bool ReadsOutput(const Chain& chain) {
  for (const ChainStep& step : chain.steps) {
    if (step.self) return true;
  }
  return false;
}

TEST(SoftmaxCall, EveryChainEqualsItsSteps) {
  Random random(__LINE__);
  for (const SoftmaxCase& c : Cases()) {
    SCOPED_TRACE(c.Name());
    const SoftmaxRig rig(c, random);
    const ChainData data(c.rows, c.cols, __LINE__);
    ForEachTarget([&](std::string_view) {
      for (const Chain& chain : AllChains()) {
        if (ReadsOutput(chain)) continue;
        std::vector<float> unfused = rig.Run();
        data.Unfused(chain, unfused);
        const GuardedMat y = rig.MakeOutput();
        const Status status = Softmax(rig.x.cview(), rig.Options(), data.Fused(chain, y.cview()),
                                      y.view(), {.threads = 1});
        EXPECT_TRUE(status.ok()) << status.message();
        EXPECT_SAME_BITS(y.cview(), unfused) << chain.name;
        EXPECT_TRUE(y.CheckCanaries());
      }
    });
    if (HasFailure()) return;
  }
}

TEST(SoftmaxCall, ARowOfABatchEqualsTheRowAlone) {
  Random random(__LINE__);
  for (const SoftmaxCase& c : Cases()) {
    if (c.causal) continue;  // There the row's own number counts.
    SCOPED_TRACE(c.Name());
    const SoftmaxRig rig(c, random);
    ForEachTarget([&](std::string_view) {
      const std::vector<float> all = rig.Run(Epilogue().Scale(3.0f));
      for (size_t r = 0; r < c.rows; ++r) {
        SoftmaxOptions options = rig.Options();
        if (c.mask == Mask::kFull) options.mask = rig.mask.row(r);
        const GuardedMat y(1, c.cols, 0, Guard::kAtEnd, r % 3);
        const Status status = Softmax(std::span<const float>(rig.x.row(r)), options,
                                      Epilogue().Scale(3.0f), y.view());
        ASSERT_TRUE(status.ok()) << status.message();
        EXPECT_SAME_BITS(y.cview(), std::span<const float>(all).subspan(r * c.cols, c.cols));
      }
    });
  }
}

// A causal row equals a row that ends where it ends.
TEST(SoftmaxCall, ACausalRowEqualsAShorterOne) {
  Random random(__LINE__);
  for (const bool log : {false, true}) {
    const SoftmaxRig rig(
        {.rows = 90, .cols = 100, .causal = true, .causal_offset = 5, .log = log, .spread = 5.0f},
        random);
    ForEachTarget([&](std::string_view) {
      const std::vector<float> all = rig.Run();
      for (size_t r = 0; r < 90; ++r) {
        const size_t seen = r + 6;
        const std::span<const float> row = rig.x.row(r).first(seen);
        const std::vector<float> alone = SoftmaxRow({row.begin(), row.end()}, log);
        EXPECT_SAME_BITS(std::span<const float>(all).subspan(r * 100, seen), alone);
      }
    });
  }
}

// A mask for all rows equals the same mask written down for each row.
TEST(SoftmaxCall, ABroadcastMaskEqualsAFullOne) {
  Random random(__LINE__);
  const SoftmaxRig rig({.rows = 6, .cols = 45, .scale = 0.5f, .mask = Mask::kRow, .spread = 5.0f},
                       random);
  const GuardedMat full(6, 45, 47);
  std::vector<float> values;
  for (size_t r = 0; r < 6; ++r) {
    values.insert(values.end(), rig.mask.row(0).begin(), rig.mask.row(0).end());
  }
  full.Fill(values);
  ForEachTarget([&](std::string_view) {
    SoftmaxOptions options = rig.Options();
    options.mask = full.cview();
    const GuardedMat y(6, 45);
    ASSERT_TRUE(Softmax(rig.x.cview(), options, y.view()).ok());
    EXPECT_SAME_BITS(y.cview(), rig.Run());
  });
}

TEST(SoftmaxCall, ThreadsChangeNothing) {
  Random random(__LINE__);
  for (const SoftmaxCase& c :
       {SoftmaxCase{.rows = 701, .cols = 381, .scale = 0.5f, .mask = Mask::kRow, .spread = 5.0f},
        SoftmaxCase{.rows = 13, .cols = 20200, .log = true, .spread = 5.0f},
        SoftmaxCase{.rows = 520,
        .cols = 520,
        .mask = Mask::kFull,
        .causal = true,
        .spread = 5.0f,
        .layout = 2}}) {
    SCOPED_TRACE(c.Name());
    const SoftmaxRig rig(c, random);
    const Epilogue epilogue = Epilogue().Scale(2.0f).Act(HardSwish());
    ForEachTarget([&](std::string_view) {
      const std::vector<float> alone = rig.Run(epilogue);
      ForEachParallel([&](const Parallel& parallel, const std::string&) {
        EXPECT_SAME_BITS(rig.Run(epilogue, parallel), alone);
      });
    });
    ReversePool pool;
    EXPECT_FALSE(rig.Run(epilogue, pool.WithThreads(2)).empty());
    EXPECT_EQ(pool.counts().most_parts, 2u) << "the work was not split";
  }
}

TEST(SoftmaxCall, NothingToDoIsSuccess) {
  ForEachTarget([&](std::string_view) {
    for (const auto& [rows, cols] : {std::pair<size_t, size_t>{0, 5}, {5, 0}, {0, 0}}) {
      for (const bool log : {false, true}) {
        const Status status = Softmax(MatView<const float>(nullptr, rows, cols),
                                      {.scale = 0.5f, .causal = true, .log = log},
                                      MatView<float>(nullptr, rows, cols));
        EXPECT_TRUE(status.ok()) << status.message();
      }
    }
  });
}

TEST(SoftmaxCall, AllocatesNothing) {
  Random random(__LINE__);
  std::vector<SoftmaxCase> cases = Cases();
  cases.push_back({.rows = 4, .cols = 32000});
  for (const SoftmaxCase& c : cases) {
    const SoftmaxRig rig(c, random);
    const GuardedMat y = rig.MakeOutput();
    const SoftmaxOptions options = rig.Options();
    ReversePool pool;
    ForEachTarget([&](std::string_view) {
      for (const Epilogue& epilogue :
           {Epilogue(), Epilogue().Act(Relu()), Epilogue().Act(Mish())}) {
        for (const Parallel& parallel :
             {Parallel{.threads = 1}, pool.WithThreads(3), Parallel{.threads = 2}}) {
          ASSERT_TRUE(Softmax(rig.x.cview(), options, epilogue, y.view(), parallel).ok());
          Status status;
          EXPECT_NO_ALLOC(status = Softmax(rig.x.cview(), options, epilogue, y.view(), parallel));
          EXPECT_TRUE(status.ok()) << status.message();
        }
      }
    });
  }
}

}  // namespace
}  // namespace lanefuse::test
