// One pooling call with its input between guard pages: what the tests of pooling share.
#ifndef LANEFUSE_TESTS_CONV_POOL_CASE_H_
#define LANEFUSE_TESTS_CONV_POOL_CASE_H_

#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "lanefuse/conv.h"
#include "lanefuse/target.h"
#include "tests/conv/conv_case.h"
#include "tests/reference/bound.h"
#include "tests/reference/conv_ref.h"
#include "tests/support/bits.h"
#include "tests/support/guarded.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {

// kAverageAll: with count_padding.
enum class PoolKind { kMax, kAverage, kAverageAll, kGlobal };
inline constexpr PoolKind kPoolKinds[] = {PoolKind::kMax, PoolKind::kAverage, PoolKind::kAverageAll,
                                          PoolKind::kGlobal};

struct PoolCase {
  PoolKind kind = PoolKind::kMax;
  Pool2dShape shape{};  // Ignored by kGlobal.
  size_t images = 1, height = 1, width = 1, channels = 1;
  Data data = Data::kUniform;
  size_t layout = 0;    // x is laid out as LayoutNumber(layout), y as LayoutNumber(layout + 1)
  size_t specials = 0;  // how many special values overwrite the input

  std::string Name() const {
    constexpr const char* kNames[] = {"max", "average", "average with padding", "global average"};
    std::string name = kNames[static_cast<size_t>(kind)];
    const auto append = [&](const char* what, std::initializer_list<size_t> numbers) {
      name += what;
      for (const size_t n : numbers) {
        name += ' ';
        name += std::to_string(n);
      }
    };
    append(": images, height, width, channels", {images, height, width, channels});
    append("; kernel", {shape.kernel_h, shape.kernel_w});
    append("; stride", {shape.stride_h, shape.stride_w});
    append("; padding",
           {shape.padding.top, shape.padding.bottom, shape.padding.left, shape.padding.right});
    append("; layout", {layout});
    return name;
  }
};

class PoolRig {
 public:
  PoolRig(const PoolCase& c, Random& random)
      : spec(c), x(MakeImage(c.images, c.height, c.width, c.channels, LayoutNumber(c.layout))) {
    if (c.kind == PoolKind::kGlobal) spec.shape = WholeImage(x.cview());
    spec.shape.count_padding = c.kind == PoolKind::kAverageAll;
    std::vector<float> input(c.images * c.height * c.width * c.channels);
    std::vector<float> unused;
    // The side of FillOperands() whose neighbours cancel is the second one.
    random.FillOperands(c.data, unused, input);
    random.PlantSpecials(input, c.specials);
    x.Fill(input);
  }

  size_t OutHeight() const { return OutputHeight(spec.shape, spec.height); }
  size_t OutWidth() const { return OutputWidth(spec.shape, spec.width); }
  size_t OutPixels() const { return spec.images * OutHeight() * OutWidth(); }
  GuardedImage MakeOutput() const {
    return MakeImage(spec.images, OutHeight(), OutWidth(), spec.channels,
                     LayoutNumber(spec.layout + 1));
  }

  Status Call(const Epilogue& epilogue, ImageView<float> y, Parallel parallel) const {
    switch (spec.kind) {
      case PoolKind::kMax:
        return MaxPool2d(x.cview(), spec.shape, epilogue, y, parallel);
      case PoolKind::kAverage:
      case PoolKind::kAverageAll:
        return AveragePool2d(x.cview(), spec.shape, epilogue, y, parallel);
      case PoolKind::kGlobal:
        break;
    }
    return GlobalAveragePool(x.cview(), epilogue, y, parallel);
  }

  // One call into a fresh output, with its canaries checked. Empty after a failure.
  std::vector<float> Run(const Epilogue& epilogue = {}, Parallel parallel = {.threads = 1}) const {
    const GuardedImage y = MakeOutput();
    const Status status = Call(epilogue, y.view(), parallel);
    EXPECT_TRUE(status.ok()) << status.message();
    EXPECT_TRUE(y.CheckCanaries());
    return status.ok() ? y.Dense() : std::vector<float>();
  }

  std::vector<float> Model() const {
    return spec.kind == PoolKind::kMax ? MaxPoolModel(x.cview(), spec.shape)
                                       : AveragePoolModel(x.cview(), spec.shape);
  }

  PoolCase spec;
  GuardedImage x;
};

// What one call must give: the model's bits. A maximum has no rounding, and additions and divisions
// are exact: also where product-sums are not. Only where divisions are not either, an average may
// differ from the model's by what they lose.
inline void CheckPoolResult(const PoolRig& rig, std::string_view target,
                            const std::vector<float>& y, const std::vector<float>& model) {
  if (IsIeee(target) || rig.spec.kind == PoolKind::kMax) {
    EXPECT_SAME_BITS(WithoutSubnormals(target, y), WithoutSubnormals(target, model));
    return;
  }
  // Beside the model's own rounding; and near FLT_MIN one of the two may be cut off.
  std::vector<Expected> near;
  for (const float v : model) {
    const double roundoffs = DivisionRoundoffs(target) + 1.0;
    near.push_back({v, roundoffs * kUnitRoundoff * std::fabs(v) + FLT_MIN});
  }
  EXPECT_TRUE(AllWithin(y, near));
}

// Runs the case on every target.
inline void CheckPool(const PoolCase& c, Random& random) {
  SCOPED_TRACE(c.Name());
  const PoolRig rig(c, random);
  const std::vector<float> model = rig.Model();
  std::vector<Expected> expected;
  if (c.kind != PoolKind::kMax && c.specials == 0) {
    ForEachOutput(c.images, rig.OutHeight(), rig.OutWidth(), c.channels,
                  [&](const OutputIndex& at) {
                    expected.push_back(AveragePoolExpected(rig.x.cview(), rig.spec.shape, at));
                  });
  }
  ForEachTarget([&](std::string_view target) {
    const std::vector<float> y = rig.Run();
    CheckPoolResult(rig, target, y, model);
    std::vector<Expected> bounds = expected;
    for (Expected& e : bounds) {
      e.bound += (DivisionRoundoffs(target) - 1.0) * kUnitRoundoff * std::fabs(e.value);
    }
    if (!expected.empty()) {
      EXPECT_TRUE(AllWithin(y, bounds));
    }
  });
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_CONV_POOL_CASE_H_
