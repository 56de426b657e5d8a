// Pooling as a call: with every epilogue, on any threads, in any batch, on any target the same
// bits; nothing allocated.
#include <gtest/gtest.h>

#include <vector>

#include "tests/conv/pool_case.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/chains.h"
#include "tests/support/parallel.h"

namespace lanefuse::test {
namespace {

std::vector<PoolCase> Cases() {
  std::vector<PoolCase> cases;
  for (const PoolKind kind : kPoolKinds) {
    cases.push_back(
        {.kind = kind,
         .shape = {.kernel_h = 2, .kernel_w = 3, .stride_w = 2, .padding = {1, 0, 1, 1}},
         .images = 3,
         .height = 3,
         .width = 7,
         .channels = 21,
         .layout = 4});
    cases.push_back({.kind = kind,
                     .shape = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2},
                     .images = 1,
                     .height = 4,
                     .width = 18,
                     .channels = 50});
  }
  return cases;
}

TEST(PoolCall, EveryChainEqualsItsSteps) {
  Random random(__LINE__);
  for (const PoolCase& c : Cases()) {
    SCOPED_TRACE(c.Name());
    const PoolRig rig(c, random);
    const ChainData data(rig.OutPixels(), c.channels, __LINE__);
    ForEachTarget([&](std::string_view) {
      for (const Chain& chain : AllChains()) {
        std::vector<float> unfused = rig.Run();
        data.Unfused(chain, unfused);
        const GuardedImage y = rig.MakeOutput();
        y.Fill(data.initial());
        const Status status = rig.Call(data.FusedImage(chain, y.cview()), y.view(), {.threads = 1});
        EXPECT_TRUE(status.ok()) << status.message();
        EXPECT_SAME_BITS(y.cview(), unfused) << chain.name;
        EXPECT_TRUE(y.CheckCanaries());
      }
    });
    if (HasFailure()) return;
  }
}

TEST(PoolCall, ThreadsChangeNothing) {
  Random random(__LINE__);
  for (const PoolKind kind : kPoolKinds) {
    // Work for 8 parts; a global average reads each input once, and has an image for each part.
    const PoolCase c{.kind = kind,
                     .shape = {.kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}},
                     .images = kind == PoolKind::kGlobal ? size_t{17} : size_t{2},
                     .height = 29,
                     .width = 31,
                     .channels = 140,
                     .layout = 1};
    const PoolRig rig(c, random);
    ForEachTarget([&](std::string_view) {
      const std::vector<float> alone = rig.Run(Epilogue().Act(HardSwish()));
      ForEachParallel([&](const Parallel& parallel, const std::string&) {
        EXPECT_SAME_BITS(rig.Run(Epilogue().Act(HardSwish()), parallel), alone);
      });
    });
    ReversePool pool;
    CheckPoolResult(rig, ActiveTarget(), rig.Run({}, pool.WithThreads(2)), rig.Model());
    EXPECT_GE(pool.counts().most_parts, 2u) << "the work was not split: " << c.Name();
  }
}

TEST(PoolCall, AnImageOfABatchEqualsTheImageAlone) {
  Random random(__LINE__);
  for (const PoolCase& c : Cases()) {
    SCOPED_TRACE(c.Name());
    const PoolRig rig(c, random);
    ForEachTarget([&](std::string_view) {
      const std::vector<float> all = rig.Run(Epilogue().Act(Tanh()));
      const size_t each = all.size() / c.images;
      const std::vector<float> input = rig.x.Dense();
      for (size_t n = 0; n < c.images; ++n) {
        PoolCase one = c;
        one.images = 1;
        one.layout = n;
        const PoolRig alone(one, random);
        const size_t pixels = input.size() / c.images;
        alone.x.Fill(std::span<const float>(input).subspan(n * pixels, pixels));
        EXPECT_SAME_BITS(alone.Run(Epilogue().Act(Tanh())),
                         std::span<const float>(all).subspan(n * each, each));
      }
    });
  }
}

TEST(PoolCall, AllocatesNothing) {
  Random random(__LINE__);
  std::vector<PoolCase> cases = Cases();
  cases.push_back({.kind = PoolKind::kAverage,
                   .shape = {.kernel_h = 5, .kernel_w = 5},
                   .images = 4,
                   .height = 40,
                   .width = 40,
                   .channels = 33});
  for (const PoolCase& c : cases) {
    const PoolRig rig(c, random);
    const GuardedImage y = rig.MakeOutput();
    ReversePool pool;
    ForEachTarget([&](std::string_view) {
      for (const Epilogue& epilogue :
           {Epilogue(), Epilogue().Act(Relu()), Epilogue().Act(Mish())}) {
        for (const Parallel& parallel :
             {Parallel{.threads = 1}, pool.WithThreads(3), Parallel{.threads = 2}}) {
          ASSERT_TRUE(rig.Call(epilogue, y.view(), parallel).ok());
          Status status;
          EXPECT_NO_ALLOC(status = rig.Call(epilogue, y.view(), parallel));
          EXPECT_TRUE(status.ok()) << status.message();
        }
      }
    });
  }
}

}  // namespace
}  // namespace lanefuse::test
