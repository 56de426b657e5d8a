#include "lanefuse/linear.h"

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lanefuse/target.h"
#include "tests/linear/linear_case.h"
#include "tests/reference/linear_ref.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// Which targets a shape is worth: the slow one gets every third.
bool Skip(std::string_view target, size_t shape) { return IsSlow(target) && shape % 3 != 0; }

void CheckShape(size_t rows, size_t outputs, size_t inputs, Random& random, Data data,
                Guard guard) {
  const LinearCase layer({.rows = rows,
                          .outputs = outputs,
                          .inputs = inputs,
                          .x_gap = random.Below(4),
                          .y_gap = random.Below(4),
                          .guard = guard,
                          .offset = random.Below(3)},
                         data, random);
  ForEachTarget([&](std::string_view target) {
    if (Skip(target, rows + outputs + inputs)) return;
    SCOPED_TRACE(layer.name());
    layer.ClearOutput();
    const Status status =
        Linear(layer.x.cview(), layer.weights(), Epilogue(), layer.y.view(), {.threads = 1});
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(AllWithin(Elements(layer.y.view()), layer.expected, BoundFactor(target)));
    if (FusesMulAdd(target)) {
      EXPECT_SAME_BITS(layer.y.view(), layer.model);
    }
    EXPECT_TRUE(layer.y.CheckCanaries());
  });
}

TEST(Linear, EveryNumberOfInputs) {
  Random random(__LINE__);
  for (size_t inputs = 0; inputs <= 200; ++inputs) {
    for (const auto& [rows, outputs] :
         {std::pair<size_t, size_t>{1, 5}, {1, 33}, {1, 64}, {3, 32}, {7, 17}, {13, 40}}) {
      const Data data = kAllData[(inputs + rows) % 3];
      CheckShape(rows, outputs, inputs, random, data, kGuards[inputs % 2]);
    }
  }
}

// Up to and beyond the widest tile of any target, with sums of one chain and of four.
TEST(Linear, EveryNumberOfOutputs) {
  Random random(__LINE__);
  for (size_t outputs = 1; outputs <= 146; ++outputs) {
    for (const size_t rows : {1, 2, 6}) {
      for (const size_t inputs : {1, 5, 37}) {
        const Data data = kAllData[(outputs + inputs) % 3];
        CheckShape(rows, outputs, inputs, random, data, kGuards[(outputs + rows) % 2]);
      }
    }
  }
}

TEST(Linear, EveryNumberOfRows) {
  Random random(__LINE__);
  for (size_t rows = 1; rows <= 66; ++rows) {
    for (const size_t outputs : {1, 16, 31, 32, 33, 48, 64, 65, 80, 128, 131}) {
      for (const size_t inputs : {3, 31, 32, 33}) {
        if (rows > 18 && (rows + outputs + inputs) % 4 != 0) continue;
        CheckShape(rows, outputs, inputs, random, kAllData[rows % 3], kGuards[outputs % 2]);
      }
    }
  }
}

// Every shape around the edges of all tiles at once.
TEST(Linear, TheCornersOfTheTiles) {
  Random random(__LINE__);
  for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 64}) {
    for (const size_t edge : {16, 32, 48, 64, 128}) {
      for (const size_t outputs : {edge - 1, edge, edge + 1}) {
        for (const size_t inputs : {2, 8, 34, 67}) {
          CheckShape(rows, outputs, inputs, random, kAllData[(rows + outputs + inputs) % 3],
                     kGuards[(rows + inputs) % 2]);
        }
      }
    }
  }
}

// Beyond any block of inputs or outputs that a kernel may keep in cache.
TEST(Linear, LargeShapes) {
  Random random(__LINE__);
  for (const auto& [rows, outputs, inputs] : {std::tuple<size_t, size_t, size_t>{1, 20, 5000},
                                              {2, 100, 3001},
                                              {30, 33, 1100},
                                              {1, 1500, 300},
                                              {100, 70, 520},
                                              {31, 1000, 519},  // 2 MB of weights
                                              {70, 1000, 519},  // more tiles than ask for them
                                              {13, 70, 7001},   // one block of weights is as many
                                              {403, 1021, 5},   // more shallow sums than 1.5 MB
                                              {5, 300, 2050}}) {
    for (const Data data : kAllData) {
      // The model takes its time: the largest meet one kind of data.
      if (rows * outputs * inputs > 10'000'000 && data != kAllData[0]) continue;
      CheckShape(rows, outputs, inputs, random, data, Guard::kAtEnd);
    }
  }
}

// Data that grow the error: all products of a row cancel, or all have one sign.
TEST(Linear, SumsOfOneSignStayWithinTheirBound) {
  Random random(__LINE__);
  for (const size_t outputs : {8, 40}) {
    LinearCase layer({.rows = 4, .outputs = outputs, .inputs = 3000}, Data::kUniform, random);
    std::vector<float> x(4 * 3000), w(outputs * 3000);
    random.FillUniform(x, 0.5f, 1.0f);
    random.FillUniform(w, 0.5f, 1.0f);
    layer.Set(x, w);
    ForEachTarget([&](std::string_view target) {
      ASSERT_TRUE(Linear(layer.x.cview(), layer.weights(), Epilogue(), layer.y.view()).ok());
      EXPECT_TRUE(AllWithin(Elements(layer.y.view()), layer.expected, BoundFactor(target)));
      if (FusesMulAdd(target)) {
        EXPECT_SAME_BITS(layer.y.view(), layer.model);
      }
    });
  }
}

// The same row alone, in every batch, at every place of it.
TEST(Linear, ARowOfABatchEqualsThatRowAlone) {
  Random random(__LINE__);
  for (const auto& [outputs, inputs] :
       {std::pair<size_t, size_t>{12, 31}, {12, 64}, {33, 50}, {70, 129}, {130, 40}}) {
    const LinearCase layer({.rows = 18, .outputs = outputs, .inputs = inputs}, Data::kWide, random);
    // On its own bits a target must agree with itself, even where it promises nothing to others.
    ForEachTarget([&](std::string_view) {
      std::vector<float> alone;
      for (size_t m = 0; m < 18; ++m) {
        std::vector<float> y(layer.y.cols());
        const std::span<const float> x = layer.x.row(m);
        ASSERT_TRUE(Linear(x, layer.weights(), Epilogue(), std::span(y)).ok());
        alone.insert(alone.end(), y.begin(), y.end());
      }
      for (size_t rows = 1; rows <= 18; ++rows) {
        for (size_t first = 0; first + rows <= 18; first += 5) {
          const MatView<const float> x(layer.x.row(first).data(), rows, layer.x.cols());
          std::vector<float> y(rows * layer.y.cols());
          ASSERT_TRUE(
              Linear(x, layer.weights(), Epilogue(), MatView<float>(y.data(), rows, layer.y.cols()))
                  .ok());
          EXPECT_SAME_BITS(y, std::span(alone).subspan(first * layer.y.cols(), y.size()));
        }
      }
    });
  }
}

// Targets that promise the same bits to nobody still obey NaN and infinity.
TEST(Linear, SpecialValuesInEveryPosition) {
  Random random(__LINE__);
  for (const auto& [rows, outputs, inputs] :
       {std::tuple<size_t, size_t, size_t>{3, 5, 7}, {2, 19, 35}, {1, 67, 5}, {7, 34, 4}}) {
    LinearCase layer({.rows = rows, .outputs = outputs, .inputs = inputs}, Data::kUniform, random);
    const std::vector<float> x = layer.x.Dense(), w = layer.w;
    const auto check = [&](size_t position, float special) {
      ForEachTarget([&](std::string_view target) {
        if (IsSlow(target) && position % 9 != 0) return;
        ASSERT_TRUE(Linear(layer.x.cview(), layer.weights(), Epilogue(), layer.y.view()).ok());
        if (FusesMulAdd(target)) {
          EXPECT_SAME_BITS(layer.y.view(), layer.model)
              << layer.name() << ", " << special << " at " << position;
          return;
        }
        const std::vector<float> y = Elements(layer.y.view());
        for (size_t i = 0; i < y.size(); ++i) {
          EXPECT_EQ(std::isnan(y[i]), std::isnan(layer.model[i])) << special;
          EXPECT_EQ(std::isinf(y[i]), std::isinf(layer.model[i])) << special;
        }
      });
    };
    for (const float special : kSpecials) {
      for (size_t i = 0; i < x.size(); ++i) {
        std::vector<float> changed = x;
        changed[i] = special;
        layer.Set(changed, w);
        check(i, special);
      }
      // 11 divides no extent: every output and every input has its turn.
      for (size_t i = 0; i < w.size(); i += 11) {
        std::vector<float> changed = w;
        changed[i] = special;
        layer.Set(x, changed);
        check(i, special);
      }
    }
  }
}

TEST(Linear, ManySpecialValuesAtOnce) {
  Random random(__LINE__);
  for (int repeat = 0; repeat < 60; ++repeat) {
    const size_t rows = random.Between(1, 20), outputs = random.Between(1, 70),
                 inputs = random.Between(1, 90);
    LinearCase layer({.rows = rows, .outputs = outputs, .inputs = inputs}, Data::kWide, random);
    std::vector<float> x = layer.x.Dense(), w = layer.w;
    random.PlantSpecials(x, 1 + rows / 2);
    random.PlantSpecials(w, 1 + outputs / 2);
    layer.Set(x, w);
    ForEachFusingTarget([&](std::string_view) {
      ASSERT_TRUE(Linear(layer.x.cview(), layer.weights(), Epilogue(), layer.y.view()).ok());
      EXPECT_SAME_BITS(layer.y.view(), layer.model) << layer.name();
    });
  }
}

// A padded output or input must not turn -0 into +0, nor flush what is subnormal.
TEST(Linear, SignedZerosAndSubnormals) {
  Random random(__LINE__);
  for (const size_t inputs : {1, 2, 3, 31, 32, 33, 34, 35, 64}) {
    for (const size_t outputs : {1, 16, 33}) {
      for (const float scale : {0x1p-80f, -0x1p-80f, 0x1p-65f, 0.0f, -0.0f}) {
        LinearCase layer({.rows = 2, .outputs = outputs, .inputs = inputs}, Data::kUniform, random);
        layer.Set(std::vector<float>(2 * inputs, 0x1p-80f),
                  std::vector<float>(outputs * inputs, scale));
        ForEachFusingTarget([&](std::string_view) {
          ASSERT_TRUE(Linear(layer.x.cview(), layer.weights(), Epilogue(), layer.y.view()).ok());
          EXPECT_SAME_BITS(layer.y.view(), layer.model) << layer.name() << " * " << scale;
        });
      }
    }
  }
}

TEST(Linear, NothingToDoIsSuccess) {
  Random random(__LINE__);
  const LinearCase layer({.rows = 2, .outputs = 3, .inputs = 4}, Data::kUniform, random);
  const LinearCase none({.rows = 2, .outputs = 0, .inputs = 4}, Data::kUniform, random);
  const LinearCase sumless({.rows = 2, .outputs = 3, .inputs = 0}, Data::kUniform, random);
  ForEachTarget([&](std::string_view) {
    EXPECT_TRUE(Linear({nullptr, 0, 4}, layer.weights(), Epilogue(), {nullptr, 0, 3}).ok());
    EXPECT_TRUE(Linear(none.x.cview(), none.weights(), Epilogue(), {nullptr, 2, 0}).ok());
    sumless.ClearOutput();
    EXPECT_TRUE(Linear({nullptr, 2, 0}, sumless.weights(), Epilogue(), sumless.y.view()).ok());
    EXPECT_SAME_BITS(sumless.y.view(), std::vector<float>(6, 0.0f));
  });
}

}  // namespace
}  // namespace lanefuse::test
