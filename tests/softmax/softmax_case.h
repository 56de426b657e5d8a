// One softmax call with its data between guard pages: what the tests of softmax share.
#ifndef LANEFUSE_TESTS_SOFTMAX_SOFTMAX_CASE_H_
#define LANEFUSE_TESTS_SOFTMAX_SOFTMAX_CASE_H_

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "lanefuse/softmax.h"
#include "lanefuse/target.h"
#include "tests/reference/softmax_ref.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {

enum class Mask { kNone, kFull, kRow };

struct SoftmaxCase {
  size_t rows = 1, cols = 1;
  float scale = 1.0f;
  Mask mask = Mask::kNone;
  bool causal = false;
  size_t causal_offset = 0;
  bool log = false;
  float spread = 1.0f;  // x is uniform in (-spread, spread)
  size_t layout = 0;

  std::string Name() const {
    return std::to_string(rows) + " x " + std::to_string(cols) + ", scale " +
           std::to_string(scale) + ", mask " + std::to_string(static_cast<int>(mask)) +
           (causal ? ", causal with offset " + std::to_string(causal_offset) : std::string()) +
           (log ? ", log" : "") + ", spread " + std::to_string(spread) + ", layout " +
           std::to_string(layout);
  }
};

// x, mask and y have gaps, alignments and guard pages that differ with `layout`.
inline GuardedMat MakeSoftmaxMat(size_t rows, size_t cols, size_t layout) {
  return GuardedMat(rows, cols, cols + layout % 4,
                    layout % 3 == 1 ? Guard::kAtBegin : Guard::kAtEnd, layout % 5);
}

class SoftmaxRig {
 public:
  SoftmaxRig(const SoftmaxCase& c, Random& random)
      : spec(c),
        x(MakeSoftmaxMat(c.rows, c.cols, c.layout)),
        mask(MakeSoftmaxMat(c.mask == Mask::kFull  ? c.rows
                            : c.mask == Mask::kRow ? 1
                                                   : 0,
                            c.cols, c.layout + 1)) {
    std::vector<float> values(c.rows * c.cols);
    // Not (hi - lo) * random: that would overflow for the widest spread.
    for (float& v : values) v = random.Uniform() * c.spread;
    x.Fill(values);
    values.resize(mask.rows() * c.cols);
    random.FillUniform(values, -3.0f, 3.0f);
    mask.Fill(values);
  }

  SoftmaxOptions Options() const {
    SoftmaxOptions options{.scale = spec.scale,
                           .causal = spec.causal,
                           .causal_offset = spec.causal_offset,
                           .log = spec.log};
    if (spec.mask != Mask::kNone) options.mask = mask.cview();
    return options;
  }

  GuardedMat MakeOutput() const { return MakeSoftmaxMat(spec.rows, spec.cols, spec.layout + 2); }

  // One call into a fresh output, with its canaries checked. Empty after a failure.
  std::vector<float> Run(const Epilogue& epilogue = {}, Parallel parallel = {.threads = 1}) const {
    const GuardedMat y = MakeOutput();
    const Status status = Softmax(x.cview(), Options(), epilogue, y.view(), parallel);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(y.CheckCanaries());
    return status.ok() ? y.Dense() : std::vector<float>();
  }

  // The oracle on every target; the bits of all that promise them.
  void CheckOnEveryTarget() const {
    SCOPED_TRACE(spec.Name());
    std::vector<SoftmaxExpected> expected;
    for (size_t r = 0; r < spec.rows; ++r) {
      const std::vector<float> z = SoftmaxInput(x.cview(), Options(), r);
      const std::vector<SoftmaxExpected> row = SoftmaxRowExpected(z, spec.cols, spec.log);
      expected.insert(expected.end(), row.begin(), row.end());
    }
    std::vector<float> first;
    ForEachTarget([&](std::string_view target) {
      const std::vector<float> y = Run();
      ASSERT_EQ(y.size(), expected.size());
      for (size_t i = 0; i < y.size(); ++i) {
        const SoftmaxExpected& e = expected[i];
        // A probability that is subnormal may be cut off.
        const bool flushed = !IsIeee(target) && std::abs(e.value) < FLT_MIN && y[i] == 0.0f;
        ASSERT_TRUE(flushed || e.Accepts(y[i], BoundFactor(target)))
            << "row " << i / spec.cols << ", column " << i % spec.cols << ": " << Describe(y[i])
            << ", not " << e.value << " within " << e.bound * BoundFactor(target) << " (rule "
            << static_cast<int>(e.rule) << ")";
      }
      if (!TargetHasSameBits(target)) return;
      if (first.empty()) first = y;
      EXPECT_SAME_BITS(y, first);
    });
  }

  SoftmaxCase spec;
  GuardedMat x, mask;
};

inline void CheckSoftmax(const SoftmaxCase& c, Random& random) {
  SoftmaxRig(c, random).CheckOnEveryTarget();
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SOFTMAX_SOFTMAX_CASE_H_
