#include "lanefuse/dot.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "lanefuse/target.h"
#include "tests/reference/dot_ref.h"
#include "tests/reference/epilogue_ref.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// Every tail of every register count, then lengths around the unrolled loop and long ones.
std::vector<size_t> Lengths() {
  std::vector<size_t> lengths;
  for (size_t n = 0; n <= 200; ++n) lengths.push_back(n);
  for (const size_t n : {255, 256, 257, 319, 320, 321, 511, 512, 513, 1000, 1024, 4099}) {
    lengths.push_back(n);
  }
  return lengths;
}

float RunDot(std::span<const float> a, std::span<const float> b) {
  static const Guarded<float> out(1);
  out[0] = -7.0f;
  const Status status = Dot(a, b, Identity(), out[0]);
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(out.CheckCanaries());
  return out[0];
}

TEST(Dot, MatchesOracleAndModelBetweenGuardPages) {
  Random random(__LINE__);
  for (const size_t n : Lengths()) {
    for (const Data data : kAllData) {
      for (const Guard guard : kGuards) {
        // An offset keeps one operand off the page; both get an odd alignment now and then.
        Guarded<float> a(n, guard, 0), b(n, guard, random.Below(4));
        random.FillOperands(data, a.span(), b.span());
        a.ReadOnly();
        b.ReadOnly();
        const float model = DotModel(a.cspan(), b.cspan());
        const Expected expected = DotExpected(a.cspan(), b.cspan());
        ASSERT_TRUE(IsWithin(model, expected)) << "the model itself, n = " << n;
        ForEachTarget([&](std::string_view target) {
          SCOPED_TRACE("n = " + std::to_string(n));
          for (const auto& [left, right] :
               {std::pair(a.cspan(), b.cspan()), std::pair(b.cspan(), a.cspan())}) {
            const float out = RunDot(left, right);
            EXPECT_TRUE(IsWithin(out, expected, BoundFactor(target)))
                << out << ", expected " << expected.value << " within " << expected.bound;
            if (FusesMulAdd(target)) {
              EXPECT_SAME_BITS(out, model);
            }
          }
        });
      }
    }
  }
}

TEST(Dot, LongSumsHaveTheSameBitsEverywhere) {
  Random random(__LINE__);
  for (const size_t n : {size_t{100'000}, size_t{1'000'003}}) {
    for (const Data data : kAllData) {
      std::vector<float> a(n), b(n);
      random.FillOperands(data, a, b);
      const float model = DotModel(a, b);
      const Expected expected = DotExpected(a, b);
      ForEachTarget([&](std::string_view target) {
        const float out = RunDot(a, b);
        EXPECT_TRUE(IsWithin(out, expected, BoundFactor(target))) << out;
        if (FusesMulAdd(target)) {
          EXPECT_SAME_BITS(out, model);
        }
      });
    }
  }
}

TEST(Dot, DoesNotDependOnAlignment) {
  Random random(__LINE__);
  constexpr size_t kLength = 333;
  Guarded<float> a(kLength + 16), b(kLength + 16);
  std::vector<float> x(kLength), y(kLength);
  random.FillOperands(Data::kWide, x, y);
  const float model = DotModel(x, y);
  for (size_t offset_a = 0; offset_a < 16; ++offset_a) {
    for (const size_t offset_b : {size_t{0}, size_t{1}, size_t{7}, offset_a}) {
      const auto left = a.span().subspan(offset_a, kLength);
      const auto right = b.span().subspan(offset_b, kLength);
      std::copy(x.begin(), x.end(), left.begin());
      std::copy(y.begin(), y.end(), right.begin());
      ForEachFusingTarget([&](std::string_view) { EXPECT_SAME_BITS(RunDot(left, right), model); });
    }
  }
}

TEST(Dot, OfAVectorWithItself) {
  Random random(__LINE__);
  for (const size_t n : {1, 15, 16, 17, 63, 64, 65, 130}) {
    Guarded<float> a(n);
    random.FillWide(a.span());
    a.ReadOnly();
    const float model = DotModel(a.cspan(), a.cspan());
    ForEachFusingTarget(
        [&](std::string_view) { EXPECT_SAME_BITS(RunDot(a.cspan(), a.cspan()), model); });
  }
}

// Every special value at every position of every length around a lane, a register and the 64 lanes.
TEST(Dot, SpecialValuesInEveryPosition) {
  Random random(__LINE__);
  for (const size_t n : {1, 2, 5, 8, 15, 16, 17, 31, 33, 63, 64, 65, 66, 100, 128, 133}) {
    Guarded<float> a(n), b(n);
    random.FillUniform(a.span());
    random.FillUniform(b.span());
    for (size_t position = 0; position < n; ++position) {
      const float kept = a[position];
      for (const float special : kSpecials) {
        a[position] = special;
        const float model = DotModel(a.cspan(), b.cspan());
        ForEachTarget([&](std::string_view target) {
          if (IsSlow(target) && position % 7 != 0) return;
          if (n > 66 && position % 3 != 0 && position < n - 5) return;
          const float out = RunDot(a.cspan(), b.cspan());
          if (FusesMulAdd(target)) {
            EXPECT_SAME_BITS(out, model) << "n = " << n << ", " << special << " at " << position;
          } else {
            EXPECT_EQ(std::isnan(out), std::isnan(model));
            EXPECT_EQ(std::isinf(out), std::isinf(model));
          }
        });
      }
      a[position] = kept;
    }
  }
}

TEST(Dot, InfinityTimesZeroAndOppositeInfinitiesGiveNan) {
  const float inf = std::numeric_limits<float>::infinity();
  for (const size_t n : {2, 64, 70, 129}) {
    for (size_t i = 0; i < n; ++i) {
      std::vector<float> a(n, 1.0f), b(n, 1.0f);
      a[i] = inf;
      b[i] = 0.0f;
      std::vector<float> c(n, 1.0f);
      c[i] = inf;
      c[(i + 1) % n] = -inf;
      const std::vector<float> ones(n, 1.0f);
      ForEachTarget([&](std::string_view) {
        EXPECT_TRUE(std::isnan(RunDot(a, b)));
        EXPECT_TRUE(std::isnan(RunDot(c, ones)));
        EXPECT_EQ(RunDot(a, ones), inf);
      });
    }
  }
}

// Negative products that underflow give -0 in a lane; whether the whole sum is -0 depends on every
// lane, so a kernel that pads its tail with zeros is seen here.
TEST(Dot, SignOfZeroFollowsTheModel) {
  for (const size_t n : Lengths()) {
    for (const float sign : {1.0f, -1.0f}) {
      const std::vector<float> tiny(n, 0x1p-100f), other(n, sign * 0x1p-100f), zero(n, sign * 0.0f);
      const float underflow = DotModel(tiny, other), zeros = DotModel(tiny, zero);
      ForEachFusingTarget([&](std::string_view) {
        EXPECT_SAME_BITS(RunDot(tiny, other), underflow) << "n = " << n;
        EXPECT_SAME_BITS(RunDot(tiny, zero), zeros) << "n = " << n;
      });
    }
  }
}

// But on the targets that cannot do otherwise, where the model flushes them too.
TEST(Dot, SubnormalsAreNotFlushed) {
  Random random(__LINE__);
  for (const size_t n : {1, 20, 64, 150}) {
    std::vector<float> a(n), b(n);
    for (float& f : a) f = random.Uniform() * 0x1p-136f;
    for (float& f : b) f = random.Uniform() * 4.0f;
    const float model = DotModel(a, b);
    ASSERT_EQ(model != 0.0f, IsIeee(ActiveTarget()));
    ASSERT_LT(std::fabs(model), FLT_MIN);
    ForEachFusingTarget([&](std::string_view) { EXPECT_SAME_BITS(RunDot(a, b), model); });
  }
}

TEST(Dot, EveryActivationFusedEqualsUnfusedAndItsFormula) {
  Random random(__LINE__);
  const ChainData data(1, 1, __LINE__);
  for (const size_t n : {0, 1, 7, 16, 64, 77, 200}) {
    std::vector<float> a(n), b(n);
    for (int repeat = 0; repeat < 8; ++repeat) {
      random.FillUniform(a, -2.0f, 2.0f);
      random.FillUniform(b, -2.0f, 2.0f);
      for (const NamedActivation& named : AllActivations()) {
        const Activation act = data.Act(named.kind);
        const Chain chain{named.name, {{.kind = StepKind::kAct, .act = named.kind}}};
        Agreement agreement;
        ForEachTarget([&](std::string_view target) {
          SCOPED_TRACE(named.name);
          const float sum = RunDot(a, b);
          float fused = -1.0f, chained = -1.0f, unfused = sum;
          ASSERT_TRUE(Dot(a, b, act, fused).ok());
          ASSERT_TRUE(Dot(a, b, Epilogue().Act(act), chained).ok());
          data.Unfused(chain, {&unfused, 1});
          EXPECT_SAME_BITS(fused, unfused);
          EXPECT_SAME_BITS(chained, unfused);
          if (TargetHasSameBits(target)) agreement.Expect(named.name, {fused});
          const float slope = data.slope()[0];
          EXPECT_TRUE(IsWithin(fused, ActivationExpected(named.kind, sum, act.alpha, slope)))
              << "f(" << sum << ") = " << fused;
          if (IsExactActivation(named.kind)) {
            EXPECT_SAME_BITS(fused, ExactActivation(named.kind, sum, act.alpha, slope));
          }
        });
      }
    }
  }
}

TEST(Dot, EveryChainFusedEqualsUnfused) {
  Random random(__LINE__);
  for (const size_t n : {0, 3, 64, 77}) {
    std::vector<float> a(n), b(n);
    random.FillUniform(a);
    random.FillUniform(b);
    const ChainData data(1, 1, n);
    Agreement agreement;
    ForEachTarget([&](std::string_view target) {
      const float sum = RunDot(a, b);
      for (const Chain& chain : AllChains()) {
        float fused = data.initial()[0], unfused = sum;
        const Epilogue epilogue = data.Fused(chain, MatView<const float>(&fused, 1, 1));
        const Status status = Dot(a, b, epilogue, fused);
        ASSERT_TRUE(status.ok()) << chain.name << ": " << status.message();
        data.Unfused(chain, {&unfused, 1});
        EXPECT_SAME_BITS(fused, unfused) << chain.name;
        if (TargetHasSameBits(target)) agreement.Expect(chain.name, {fused});
      }
    });
  }
}

TEST(Dot, AllocatesNothing) {
  Random random(__LINE__);
  std::vector<float> a(1000), b(1000);
  random.FillUniform(a);
  random.FillUniform(b);
  const ChainData data(1, 1, __LINE__);
  ForEachTarget([&](std::string_view) {
    float out = 0.0f;
    Status status;
    EXPECT_NO_ALLOC(status = Dot(a, b, GeluErf(), out));
    EXPECT_TRUE(status.ok());
    for (const Chain& chain : AllChains()) {
      const Epilogue epilogue = data.Fused(chain, MatView<const float>(&out, 1, 1));
      EXPECT_NO_ALLOC(status = Dot(a, b, epilogue, out));
      EXPECT_TRUE(status.ok()) << chain.name;
    }
  });
}

}  // namespace
}  // namespace lanefuse::test
