// Random calls of every kernel (tests/support/calls.h). Each call is made twice, on two targets,
// with two numbers of threads, from memory that is laid out in two ways between guard pages, and
// must give the same bits.
//
// The seed is printed at the start (LANEFUSE_TEST_SEED repeats it); each configuration has its own
// random numbers, so that its index says all.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lanefuse/target.h"
#include "tests/support/bits.h"
#include "tests/support/calls.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

constexpr size_t kConfigurations = 2000;

TEST(FuzzShapes, TwoTargetsTwoThreadCountsTwoLayoutsSameBits) {
  // A target that promises nothing to others still gives the same bits to every layout and thread.
  std::vector<std::string_view> targets = SameBitsTargets();
  if (targets.empty() && !IsIeee(BuiltTargets().front())) targets.push_back(BuiltTargets().front());
  ASSERT_FALSE(targets.empty());
  ThreadPool pool(3);
  ReversePool reverse;
  size_t elements = 0;
  for (size_t i = 0; i < kConfigurations; ++i) {
    Random random(uint64_t{1000000} + i);
    const CallKind kind = kCallKinds[random.Below(std::size(kCallKinds))].kind;
    const Configuration c = RandomConfiguration(kind, random);
    const auto run = [&](std::string_view name) {
      const size_t threads = random.Between(1, 8);
      const Parallel ways[] = {
          {.threads = threads}, pool.WithThreads(threads), reverse.WithThreads(threads)};
      EXPECT_TRUE(LimitTarget(name).ok());
      EXPECT_EQ(ActiveTarget(), name) << "another target than the requested one would run";
      std::vector<float> y = c.run(RandomPlacement(random), ways[random.Below(std::size(ways))]);
      EXPECT_TRUE(LimitTarget("").ok());
      return y;
    };
    // Two different targets where there are two.
    const size_t first = random.Below(targets.size());
    const size_t second =
        (first + 1 + random.Below(std::max<size_t>(targets.size(), 2) - 1)) % targets.size();
    SCOPED_TRACE("configuration " + std::to_string(i) + ": " + c.name + ", on " +
                 std::string(targets[first]) + " and " + std::string(targets[second]));
    const std::vector<float> a = run(targets[first]);
    const std::vector<float> b = run(targets[second]);
    EXPECT_SAME_BITS(a, b);
    elements += a.size();
    if (HasFailure()) return;
  }
  EXPECT_GT(elements, 100 * kConfigurations) << "the configurations are nearly empty";
  EXPECT_GT(pool.counts().runs, 10u) << "nothing was large enough for threads";
  EXPECT_GT(reverse.counts().runs, 10u);
}

}  // namespace
}  // namespace lanefuse::test
