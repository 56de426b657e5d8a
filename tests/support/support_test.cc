// Proves that the tools of the other tests work: a trap that cannot spring proves nothing.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "lanefuse/target.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

TEST(AllocTrap, CountsEveryWayToAllocate) {
  if (!AllocTrapWorks()) GTEST_SKIP() << "allocations are not watched in this build";
  // The volatile pointers keep the compiler from dropping a pair of malloc and free.
  void* volatile memory = nullptr;
  const auto counted = [&](auto&& allocate) {
    const NoAllocScope scope;
    memory = allocate();
    return scope.count();
  };
  EXPECT_GE(counted([] { return std::malloc(10); }), 1u);
  std::free(memory);
  EXPECT_GE(counted([] { return std::calloc(10, 10); }), 1u);
  void* const small = memory;
  EXPECT_GE(counted([&] { return std::realloc(small, 100000); }), 1u);
  std::free(memory);
  EXPECT_GE(counted([] { return std::aligned_alloc(64, 128); }), 1u);
  std::free(memory);
  EXPECT_GE(counted([]() -> void* {
              void* result = nullptr;
              return posix_memalign(&result, 64, 100) == 0 ? result : nullptr;
            }),
            1u);
  std::free(memory);
  EXPECT_GE(counted([]() -> void* { return new int(1); }), 1u);
  delete static_cast<int*>(memory);
  struct alignas(256) Wide {
    char bytes[256];
  };
  EXPECT_GE(counted([]() -> void* { return new Wide; }), 1u);
  delete static_cast<Wide*>(memory);
}

TEST(AllocTrap, SeesOtherThreadsAndNothingOutsideTheScope) {
  if (!AllocTrapWorks()) GTEST_SKIP() << "allocations are not watched in this build";
  std::atomic<int> step{0};
  std::atomic<int*> seen{nullptr};  // Clang leaves out an allocation that nobody sees.
  std::thread other([&] {
    while (step.load() != 1) std::this_thread::yield();
    const std::unique_ptr<int> memory(new int(3));
    seen = memory.get();
    step = 2;
    while (step.load() != 3) std::this_thread::yield();
  });
  {
    const NoAllocScope scope;
    step = 1;
    while (step.load() != 2) std::this_thread::yield();
    EXPECT_GE(scope.count(), 1u);
  }
  step = 3;
  other.join();
  const std::vector<int> outside(100);
  size_t quiet = 1;
  {
    const NoAllocScope scope;
    quiet = scope.count();
  }
  EXPECT_EQ(quiet, 0u);
  EXPECT_EQ(outside.size(), 100u);
}

using GuardedDeathTest = testing::Test;

TEST(GuardedDeathTest, FaultsOneElementTooFar) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const size_t n : {size_t{1}, size_t{7}, size_t{1024}, size_t{5000}}) {
    const Guarded<float> end(n, Guard::kAtEnd);
    const Guarded<float> begin(n, Guard::kAtBegin);
    EXPECT_DEATH((void)*const_cast<volatile float*>(end.data() + n), "");
    EXPECT_DEATH((void)*const_cast<volatile float*>(begin.data() - 1), "");
  }
  Guarded<float> constant(9);
  constant.ReadOnly();
  EXPECT_DEATH(*const_cast<volatile float*>(constant.data()) = 1.0f, "");
}

TEST(Guarded, ReportsWritesToGapsOnly) {
  for (const Guard guard : kGuards) {
    for (const size_t offset : {size_t{0}, size_t{1}, size_t{3}}) {
      const GuardedMat m(3, 5, 8, guard, offset);
      EXPECT_TRUE(m.CheckCanaries());
      for (size_t r = 0; r < 3; ++r) {
        for (float& f : m.row(r)) f = 1.0f;
      }
      EXPECT_TRUE(m.CheckCanaries());
      EXPECT_EQ(m.Dense(), std::vector<float>(15, 1.0f));
      const float before = m.data()[6];
      m.data()[6] = 2.0f;
      EXPECT_FALSE(m.CheckCanaries());
      std::memcpy(m.data() + 6, &before, sizeof(before));
      EXPECT_FALSE(SameBits(before, 2.0f));

      // Beyond the end (or before the begin) of a view with an offset, and on the open side.
      const Guarded<float> v(10, guard, offset);
      EXPECT_TRUE(v.CheckCanaries());
      if (offset != 0 || guard == Guard::kAtBegin) {
        v.data()[10] = 0.0f;
      } else {
        v.data()[-1] = 0.0f;
      }
      EXPECT_FALSE(v.CheckCanaries());
    }
  }
}

TEST(Guarded, ImagesKnowTheirGaps) {
  const GuardedImage image(2, 3, 4, 5, 1, 2, 3);
  std::vector<float> values(2 * 3 * 4 * 5);
  Random(1).FillUniform(values);
  image.Fill(values);
  EXPECT_TRUE(image.CheckCanaries());
  EXPECT_SAME_BITS(image.Dense(), values);
  EXPECT_SAME_BITS(image.cview(), values);
  const ImageView<float> view = image.view();
  EXPECT_EQ(view.data + view.image_stride + 2 * view.row_stride + 3 * view.pixel_stride + 5,
            image.data() + image.size());
  (&image.at(0, 0, 0, 4))[1] = 1.0f;
  EXPECT_FALSE(image.CheckCanaries());
}

TEST(Bits, NanIsNanAndZeroesDiffer) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(SameBits(nan, -nan));
  EXPECT_TRUE(SameBits(nan, std::bit_cast<float>(0x7FA5C3E1u)));
  EXPECT_FALSE(SameBits(0.0f, -0.0f));
  EXPECT_FALSE(SameBits(nan, 0.0f));
  EXPECT_FALSE(SameBits(1.0f, std::nextafter(1.0f, 2.0f)));
  const float a[] = {1.0f, nan, 0.0f}, b[] = {1.0f, nan, -0.0f};
  EXPECT_EQ(CountDiffering(a, b), 1u);
  EXPECT_EQ(CountDiffering(a, std::span(b).first(2)), 3u);
  const uint64_t before = GetBitCounts().comparisons;
  EXPECT_SAME_BITS(std::span(a), std::span(a));
  EXPECT_EQ(GetBitCounts().comparisons, before + 3);
}

TEST(RandomNumbers, CoverWhatTheySay) {
  Random random(7);
  std::vector<float> x(4000), w(4000);
  random.FillOperands(Data::kWide, x, w);
  int least = 99, most = -99;
  for (const float f : x) {
    least = std::min(least, std::ilogb(f));
    most = std::max(most, std::ilogb(f));
  }
  EXPECT_EQ(least, -21);
  EXPECT_EQ(most, 19);
  random.FillOperands(Data::kCancelling, x, w);
  double sum = 0, magnitude = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    sum += static_cast<double>(x[i]) * w[i];
    magnitude += std::fabs(static_cast<double>(x[i]) * w[i]);
  }
  EXPECT_LT(std::fabs(sum), 1e-6 * magnitude);
  EXPECT_EQ(Random(7).Next(), Random(7).Next());
  EXPECT_NE(Random(7).Next(), Random(8).Next());
}

TEST(Pools, RunEveryPartOnce) {
  ThreadPool threads(3);
  ReversePool reverse;
  for (const Parallel& parallel : {threads.WithThreads(5), reverse.WithThreads(5)}) {
    std::atomic<int> seen[5] = {};
    for (int repeat = 0; repeat < 50; ++repeat) {
      parallel.run(
          parallel.context, 5,
          [](void* argument, size_t i) { ++static_cast<std::atomic<int>*>(argument)[i]; }, seen);
    }
    for (const auto& times : seen) EXPECT_EQ(times.load(), 50);
  }
  EXPECT_EQ(threads.counts().runs, 50u);
  EXPECT_EQ(reverse.counts().parts, 250u);
  EXPECT_EQ(reverse.counts().most_parts, 5u);
}

TEST(Targets, EachIsTheOneThatRuns) {
  std::set<std::string> seen;
  ForEachTarget([&](std::string_view name) {
    EXPECT_EQ(ActiveTarget(), name);
    seen.emplace(name);
  });
  EXPECT_EQ(seen.size(), SupportedTargets().size());
  EXPECT_EQ(ActiveTarget(), SupportedTargets().front()) << "the limit was not lifted";
}

}  // namespace
}  // namespace lanefuse::test
