#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "lanefuse/dot.h"
#include "lanefuse/linear.h"
#include "lanefuse/target.h"
#include "tests/reference/dot_ref.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

struct Reference {
  std::vector<float> model;
  std::vector<Expected> expected;
};

Reference Compute(const GuardedMat& w, std::span<const float> x) {
  Reference reference;
  for (size_t n = 0; n < w.rows(); ++n) {
    reference.model.push_back(DotModel(w.row(n), x));
    reference.expected.push_back(DotExpected(w.row(n), x));
  }
  return reference;
}

// Runs a Gemv without epilogue on every target and checks all that there is to check.
void CheckGemv(const GuardedMat& w, const Guarded<float>& x, const Guarded<float>& y) {
  const Reference reference = Compute(w, x.cspan());
  ForEachTarget([&](std::string_view target) {
    SCOPED_TRACE("N = " + std::to_string(w.rows()) + ", K = " + std::to_string(w.cols()));
    for (float& f : y.span()) f = -7.0f;
    const Status status = Gemv(w.cview(), x.cspan(), Epilogue(), y.span(), {.threads = 1});
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(AllWithin(y.cspan(), reference.expected, BoundFactor(target)));
    if (FusesMulAdd(target)) {
      EXPECT_SAME_BITS(y.cspan(), reference.model);
    }
    EXPECT_TRUE(y.CheckCanaries());
  });
}

void CheckShape(size_t outputs, size_t inputs, Random& random, Data data, Guard guard) {
  const size_t gap = random.Below(5);
  GuardedMat w(outputs, inputs, inputs + gap, guard);
  Guarded<float> x(inputs, guard, random.Below(4));
  const Guarded<float> y(outputs, guard, random.Below(4));
  std::vector<float> dense(outputs * inputs);
  random.FillOperands(data, x.span(), dense);
  w.Fill(dense);
  w.ReadOnly();
  x.ReadOnly();
  CheckGemv(w, x, y);
}

TEST(Gemv, EveryLengthOfARow) {
  Random random(__LINE__);
  for (size_t inputs = 0; inputs <= 200; ++inputs) {
    for (const size_t outputs : {1, 3, 4, 5, 18}) {
      for (const Guard guard : kGuards) {
        CheckShape(outputs, inputs, random, kAllData[(inputs + outputs) % 3], guard);
      }
    }
  }
}

TEST(Gemv, EveryNumberOfRows) {
  Random random(__LINE__);
  for (size_t outputs = 0; outputs <= 80; ++outputs) {
    for (const size_t inputs : {1, 64, 67}) {
      for (const Guard guard : kGuards) {
        CheckShape(outputs, inputs, random, kAllData[(inputs + outputs) % 3], guard);
      }
    }
  }
}

TEST(Gemv, LongRowsAndMany) {
  Random random(__LINE__);
  for (const auto& [outputs, inputs] :
       {std::pair<size_t, size_t>{7, 5000}, {130, 1027}, {1000, 65}}) {
    for (const Data data : kAllData) CheckShape(outputs, inputs, random, data, Guard::kAtEnd);
  }
}

TEST(Gemv, EachRowIsADot) {
  Random random(__LINE__);
  for (const size_t inputs : {0, 1, 17, 64, 100, 129}) {
    const GuardedMat w(21, inputs, inputs + 3);
    const Guarded<float> x(inputs), y(21);
    std::vector<float> dense(21 * inputs);
    random.FillOperands(Data::kWide, x.span(), dense);
    w.Fill(dense);
    // Whatever the target promises about others, on its own it must agree with itself.
    ForEachTarget([&](std::string_view) {
      ASSERT_TRUE(Gemv(w.cview(), x.cspan(), Epilogue(), y.span()).ok());
      std::vector<float> dots(21);
      for (size_t n = 0; n < 21; ++n) {
        ASSERT_TRUE(Dot(w.row(n), x.cspan(), Identity(), dots[n]).ok());
      }
      EXPECT_SAME_BITS(y.cspan(), dots);
    });
  }
}

TEST(Gemv, SpecialValuesInEveryPosition) {
  Random random(__LINE__);
  for (const auto& [outputs, inputs] :
       {std::pair<size_t, size_t>{5, 22}, {2, 67}, {6, 131}, {19, 3}}) {
    const GuardedMat w(outputs, inputs, inputs + 2);
    const Guarded<float> x(inputs), y(outputs);
    std::vector<float> dense(outputs * inputs);
    random.FillOperands(Data::kUniform, x.span(), dense);
    w.Fill(dense);
    const auto check = [&, k = inputs](size_t position, float special) {
      const std::vector<float> model = Compute(w, x.cspan()).model;
      ForEachFusingTarget([&](std::string_view target) {
        if (IsSlow(target) && position % 5 != 0) return;
        ASSERT_TRUE(Gemv(w.cview(), x.cspan(), Epilogue(), y.span(), {.threads = 1}).ok());
        EXPECT_SAME_BITS(y.cspan(), model) << special << " at " << position << ", K = " << k;
      });
    };
    for (const float special : kSpecials) {
      for (size_t k = 0; k < inputs; ++k) {
        const float kept = x[k];
        x[k] = special;
        check(k, special);
        x[k] = kept;
      }
      // 7 divides none of the lengths: every column and every row has its turn.
      for (size_t i = 0; i < outputs * inputs; i += 7) {
        float& weight = w.row(i / inputs)[i % inputs];
        const float kept = weight;
        weight = special;
        check(i, special);
        weight = kept;
      }
    }
  }
}

TEST(Gemv, EveryChainFusedEqualsUnfused) {
  Random random(__LINE__);
  for (const auto& [outputs, inputs] : {std::pair<size_t, size_t>{1, 9}, {18, 70}, {37, 0}}) {
    const GuardedMat w(outputs, inputs, inputs + 1);
    const Guarded<float> x(inputs), y(outputs);
    std::vector<float> dense(outputs * inputs);
    random.FillOperands(Data::kUniform, x.span(), dense);
    w.Fill(dense);
    const ChainData data(1, outputs, outputs);
    Agreement agreement;
    ForEachTarget([&](std::string_view target) {
      std::vector<float> sums(y.size());
      ASSERT_TRUE(Gemv(w.cview(), x.cspan(), Epilogue(), sums).ok());
      for (const Chain& chain : IsSlow(target) ? FewChains() : AllChains()) {
        std::copy(data.initial().begin(), data.initial().end(), y.data());
        const Epilogue epilogue = data.Fused(chain, MatView<const float>(y.cspan()));
        const Status status = Gemv(w.cview(), x.cspan(), epilogue, y.span(), {.threads = 1});
        ASSERT_TRUE(status.ok()) << chain.name << ": " << status.message();
        std::vector<float> unfused = sums;
        data.Unfused(chain, unfused);
        EXPECT_SAME_BITS(y.cspan(), unfused) << chain.name;
        EXPECT_TRUE(y.CheckCanaries()) << chain.name;
        if (TargetHasSameBits(target)) agreement.Expect(chain.name, Elements(y.cspan()));
      }
    });
  }
}

// Large enough for several threads (512 KiB of weights), with rows that do not divide evenly.
TEST(Gemv, ThreadsChangeNoBit) {
  Random random(__LINE__);
  constexpr size_t kOutputs = 701, kInputs = 1025;
  const GuardedMat w(kOutputs, kInputs, kInputs + 3);
  const Guarded<float> x(kInputs), y(kOutputs);
  std::vector<float> dense(kOutputs * kInputs);
  random.FillOperands(Data::kWide, x.span(), dense);
  w.Fill(dense);
  const ChainData data(1, kOutputs, __LINE__);
  const Chain chain = FewChains()[4];
  std::vector<float> expected = Compute(w, x.cspan()).model;
  data.Unfused(chain, expected);
  ForEachFusingTarget([&](std::string_view target) {
    ForEachParallel([&](const Parallel& parallel, const std::string&) {
      if (IsSlow(target) && parallel.threads % 3 != 0) return;
      for (float& f : y.span()) f = 0.0f;
      const Epilogue epilogue = data.Fused(chain, MatView<const float>(y.cspan()));
      ASSERT_TRUE(Gemv(w.cview(), x.cspan(), epilogue, y.span(), parallel).ok());
      EXPECT_SAME_BITS(y.cspan(), expected);
      EXPECT_TRUE(y.CheckCanaries());
    });
  });
}

TEST(Gemv, ACallersPoolRunsWhatIsLargeAndNothingElse) {
  const std::vector<float> w(512 * 1024, 0.5f), x(1024, 1.0f);
  std::vector<float> y(512);
  ReversePool pool;
  const Parallel parallel = pool.WithThreads(4);
  ASSERT_TRUE(Gemv({w.data(), 512, 1024}, x, Epilogue(), y, parallel).ok());
  EXPECT_EQ(pool.counts().runs, 1u);
  EXPECT_GE(pool.counts().most_parts, 2u);
  EXPECT_LE(pool.counts().most_parts, 4u);
  ASSERT_TRUE(Gemv({w.data(), 16, 1024}, x, Epilogue(), std::span(y).first(16), parallel).ok());
  EXPECT_EQ(pool.counts().runs, 1u) << "a small call went to the pool";
}

TEST(Gemv, AllocatesNothing) {
  const std::vector<float> w(701 * 1025, 0.5f), x(1025, 1.0f);
  std::vector<float> y(701);
  ThreadPool pool(2);
  ForEachTarget([&](std::string_view) {
    Status status;
    for (const Parallel& parallel :
         {Parallel{.threads = 1}, Parallel{.threads = 2}, Parallel{}, pool.WithThreads(3)}) {
      for (const size_t outputs : {size_t{7}, size_t{701}}) {
        const auto out = std::span(y).first(outputs);
        const MatView<const float> weights(w.data(), outputs, 1025);
        const ChainData fits(1, outputs, __LINE__);
        const Epilogue epilogue = fits.Fused(FewChains()[10], MatView<const float>(out));
        status = Gemv(weights, x, epilogue, out, parallel);  // OpenMP makes its threads now.
        ASSERT_TRUE(status.ok()) << status.message();
        EXPECT_NO_ALLOC(status = Gemv(weights, x, epilogue, out, parallel));
        EXPECT_TRUE(status.ok());
      }
    }
  });
}

TEST(Gemv, NothingToDoIsSuccess) {
  ForEachTarget([](std::string_view) {
    const float x[] = {1.0f, 2.0f};
    EXPECT_TRUE(Gemv({nullptr, 0, 2}, x, Epilogue(), {}).ok());
    float y[] = {5.0f, 6.0f, 7.0f};
    EXPECT_TRUE(Gemv({nullptr, 3, 0}, {}, Epilogue(), y).ok());  // K == 0 sums nothing.
    EXPECT_SAME_BITS(std::span(y), (std::vector<float>{0.0f, 0.0f, 0.0f}));
  });
}

}  // namespace
}  // namespace lanefuse::test
