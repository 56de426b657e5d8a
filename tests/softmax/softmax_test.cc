// Softmax and log-softmax against their oracle on every target: sizes, scales, masks, causal rows,
// and the values for which the card has rules of its own.
#include "lanefuse/softmax.h"

#include <gtest/gtest.h>

#include <cfloat>
#include <limits>
#include <vector>

#include "tests/softmax/softmax_case.h"

namespace lanefuse::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST(Softmax, EveryNumberOfColumns) {
  Random random(__LINE__);
  for (size_t cols = 1; cols <= 200; ++cols) {
    for (const bool log : {false, true}) {
      CheckSoftmax(
          {.rows = 1 + cols % 5, .cols = cols, .log = log, .spread = 5.0f, .layout = cols + log},
          random);
      if (HasFailure()) return;
    }
  }
}

TEST(Softmax, LongRows) {
  Random random(__LINE__);
  size_t i = 0;
  for (const size_t cols : {255, 256, 257, 1000, 4097, 32000}) {
    for (const float spread : {0.1f, 8.0f, 60.0f}) {
      for (const bool log : {false, true}) {
        CheckSoftmax({.rows = 2, .cols = cols, .log = log, .spread = spread, .layout = i++},
                     random);
        if (HasFailure()) return;
      }
    }
  }
}

// From rows where all columns count to rows where all but one vanish, or overflow.
TEST(Softmax, EverySpread) {
  Random random(__LINE__);
  size_t i = 0;
  for (const float spread :
       {1e-40f, 1e-8f, 0.5f, 20.0f, 43.0f, 44.0f, 80.0f, 104.0f, 1e3f, 1e10f, 1e38f, FLT_MAX}) {
    for (const size_t cols : {1, 7, 16, 65, 150}) {
      for (const bool log : {false, true}) {
        CheckSoftmax({.rows = 4, .cols = cols, .log = log, .spread = spread, .layout = i++},
                     random);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(Softmax, ScaleMaskAndCausalInEveryCombination) {
  Random random(__LINE__);
  size_t i = 0;
  for (const float scale : {1.0f, 0.125f, -3.0f, 0.0f, 1e-3f}) {
    for (const Mask mask : {Mask::kNone, Mask::kFull, Mask::kRow}) {
      for (const bool causal : {false, true}) {
        for (const size_t offset : {size_t{0}, size_t{1}, size_t{9}, size_t{63}, SIZE_MAX}) {
          if (!causal && offset != 0) continue;
          for (const size_t cols : {1, 5, 16, 33, 70, 130}) {
            CheckSoftmax({.rows = 1 + i % 9,
                          .cols = cols,
                          .scale = scale,
                          .mask = mask,
                          .causal = causal,
                          .causal_offset = offset,
                          .log = i % 3 == 0,
                          .spread = 6.0f,
                          .layout = i},
                         random);
            ++i;
            if (HasFailure()) return;
          }
        }
      }
    }
  }
}

// Every length of a causal row, past the end of the columns.
TEST(Softmax, CausalRowsOfEveryLength) {
  Random random(__LINE__);
  for (const size_t cols : {1, 40, 100}) {
    for (const bool log : {false, true}) {
      CheckSoftmax({.rows = 110, .cols = cols, .causal = true, .log = log, .spread = 6.0f}, random);
      if (HasFailure()) return;
    }
  }
}

// What a causal row does not see must not matter, nor the mask there: NaN, infinities, huge values.
TEST(Softmax, CausalRowsIgnoreWhatTheyDoNotSee) {
  Random random(__LINE__);
  for (const size_t offset : {0, 3, 20}) {
    SoftmaxCase c{.rows = 50,
                  .cols = 70,
                  .mask = Mask::kFull,
                  .causal = true,
                  .causal_offset = offset,
                  .spread = 4.0f};
    SoftmaxRig rig(c, random);
    const std::vector<float> x = rig.x.Dense(), mask = rig.mask.Dense();
    ForEachTarget([&](std::string_view) {
      rig.x.Fill(x);
      rig.mask.Fill(mask);
      const std::vector<float> expected = rig.Run();
      for (const float hidden : {kNaN, kInf, -kInf, FLT_MAX}) {
        std::vector<float> changed = x, changed_mask = mask;
        for (size_t r = 0; r < c.rows; ++r) {
          for (size_t col = r + offset + 1; col < c.cols; ++col) {
            changed[r * c.cols + col] = changed_mask[r * c.cols + col] = hidden;
          }
        }
        rig.x.Fill(changed);
        rig.mask.Fill(changed_mask);
        EXPECT_SAME_BITS(rig.Run(), expected) << "hidden " << hidden;
      }
    });
  }
}

// One of each special value in any column, in rows of many lengths, with and without a mask.
TEST(Softmax, SpecialValuesInEveryColumn) {
  Random random(__LINE__);
  for (const size_t cols : {1, 2, 15, 16, 17, 40, 66, 131}) {
    for (const bool log : {false, true}) {
      SoftmaxCase c{.rows = cols, .cols = cols, .log = log, .spread = 3.0f};
      SoftmaxRig rig(c, random);
      const std::vector<float> x = rig.x.Dense();
      for (const float special : {kNaN, -kNaN, kInf, -kInf, -0.0f, 0x1p-149f, FLT_MAX, -FLT_MAX}) {
        std::vector<float> changed = x;
        for (size_t i = 0; i < cols; ++i) changed[i * cols + i] = special;
        rig.x.Fill(changed);
        SCOPED_TRACE("special " + std::to_string(special));
        rig.CheckOnEveryTarget();
      }
      if (HasFailure()) return;
    }
  }
}

TEST(Softmax, ManySpecialValuesAtOnce) {
  Random random(__LINE__);
  for (size_t i = 0; i < 300; ++i) {
    SoftmaxCase c{.rows = 6,
                  .cols = 1 + i % 80,
                  .scale = i % 4 == 0 ? 1.0f : 0.5f,
                  .mask = static_cast<Mask>(i % 3),
                  .causal = i % 5 == 0,
                  .causal_offset = i % 11,
                  .log = i % 2 == 0,
                  .spread = 10.0f,
                  .layout = i};
    SoftmaxRig rig(c, random);
    std::vector<float> x = rig.x.Dense();
    random.PlantSpecials(x, 1 + i % 7);
    rig.x.Fill(x);
    std::vector<float> mask = rig.mask.Dense();
    random.PlantSpecials(mask, i % 4);
    rig.mask.Fill(mask);
    rig.CheckOnEveryTarget();
    if (HasFailure()) return;
  }
}

// A row that is masked out, by x or by the mask, is all 0 (log: all -inf); its neighbours are not
// touched by that.
TEST(Softmax, FullyMaskedRows) {
  Random random(__LINE__);
  for (const size_t cols : {1, 3, 16, 50, 64, 65, 200}) {
    for (const bool log : {false, true}) {
      for (const Mask mask : {Mask::kNone, Mask::kFull}) {
        SoftmaxCase c{.rows = 4, .cols = cols, .mask = mask, .log = log, .spread = 3.0f};
        SoftmaxRig rig(c, random);
        const std::vector<float> neighbours = rig.Run();
        const GuardedMat& where = mask == Mask::kFull ? rig.mask : rig.x;
        for (size_t i = 0; i < cols; ++i) where.row(1)[i] = where.row(3)[i] = -kInf;
        ForEachTarget([&](std::string_view) {
          const std::vector<float> y = rig.Run();
          for (size_t i = 0; i < cols; ++i) {
            EXPECT_SAME_BITS(y[1 * cols + i], log ? -kInf : 0.0f);
            EXPECT_SAME_BITS(y[3 * cols + i], log ? -kInf : 0.0f);
          }
        });
        const std::vector<float> y = rig.Run();
        for (size_t i = 0; i < cols; ++i) {
          EXPECT_SAME_BITS(y[i], neighbours[i]);
          EXPECT_SAME_BITS(y[2 * cols + i], neighbours[2 * cols + i]);
        }
      }
    }
  }
}

// The card: scores below -FLT_MAX / 2 count as that value when the maximum is taken, so that a row
// of them alone is all 0. One score above makes it a row like any other.
TEST(Softmax, RowsBelowHalfOfMinusFltMax) {
  Random random(__LINE__);
  const float half = -FLT_MAX / 2;
  for (const size_t cols : {1, 7, 16, 33, 80}) {
    for (const bool log : {false, true}) {
      SoftmaxCase c{.rows = 5, .cols = cols, .log = log};
      SoftmaxRig rig(c, random);
      const float below = std::nextafter(half, -kInf);
      for (size_t i = 0; i < cols; ++i) {
        rig.x.row(0)[i] = below;
        rig.x.row(1)[i] = i % 2 ? -FLT_MAX : -kInf;
        rig.x.row(2)[i] = half;
        rig.x.row(3)[i] = i == cols / 2 ? half : below;
        rig.x.row(4)[i] = i == cols - 1 ? -1.0f : -FLT_MAX;
      }
      rig.CheckOnEveryTarget();
      if (HasFailure()) return;
    }
  }
}

// The probabilities of a row sum to 1: each is within the card's bound, and so is their sum.
TEST(Softmax, ProbabilitiesSumToOne) {
  Random random(__LINE__);
  for (const size_t cols : {1, 10, 64, 200, 1000, 32000}) {
    for (const float spread : {0.0f, 1.0f, 30.0f}) {
      SoftmaxCase c{.rows = 3, .cols = cols, .spread = spread};
      const SoftmaxRig rig(c, random);
      ForEachTarget([&](std::string_view target) {
        const std::vector<float> y = rig.Run();
        for (size_t r = 0; r < c.rows; ++r) {
          double sum = 0.0;
          for (size_t i = 0; i < cols; ++i) {
            EXPECT_GE(y[r * cols + i], 0.0f);
            EXPECT_LE(y[r * cols + i], 1.0f);
            sum += y[r * cols + i];
          }
          const double bound = (static_cast<double>(cols) / 64 + 16) * kUnitRoundoff;
          EXPECT_NEAR(sum, 1.0, bound * BoundFactor(target)) << cols << " columns";
        }
      });
    }
  }
}

// Equal values share the row exactly, and a row of one column is 1, or log 1 = 0.
TEST(Softmax, EqualValues) {
  for (size_t cols = 1; cols <= 256; cols *= 2) {
    const GuardedMat x(1, cols), y(1, cols);
    for (const float value : {0.0f, -5.0f, 1e30f}) {
      x.Fill(std::vector<float>(cols, value));
      ForEachTarget([&](std::string_view) {
        ASSERT_TRUE(Softmax(x.cview(), {}, y.view()).ok());
        EXPECT_SAME_BITS(y.cview(), std::vector<float>(cols, 1.0f / static_cast<float>(cols)));
      });
    }
  }
  const GuardedMat x(3, 1), y(3, 1);
  x.Fill(std::vector<float>{-1e30f, 0.0f, 7.0f});
  ForEachTarget([&](std::string_view) {
    ASSERT_TRUE(Softmax(x.cview(), {.log = true}, y.view()).ok());
    for (size_t r = 0; r < 3; ++r) EXPECT_EQ(y.row(r)[0], 0.0f);
  });
}

}  // namespace
}  // namespace lanefuse::test
