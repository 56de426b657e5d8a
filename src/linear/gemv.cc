#include "arch/target.h"
#include "lanefuse/linear.h"
#include "src/common/check.h"
#include "src/common/partition.h"
#include "src/epilogue/chain.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/linear/gemv.cc"
#include "hwy/foreach_target.h"
#include "src/dot/dot-inl.h"
#include "src/epilogue/finish-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Outputs [begin, end), a block of sums in L1 at a time.
void GemvF32(const MatView<const float>& w, const float* x, const Chain& chain, float* y,
             size_t begin, size_t end) {
  constexpr size_t kBlock = 64;
  HWY_ALIGN float sums[kBlock];
  for (size_t n = begin; n < end; n += kBlock) {
    const size_t count = std::min(kBlock, end - n);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
      DotFourRows(w.data + (n + i) * w.stride, w.stride, x, w.cols, sums + i);
    }
    for (; i < count; ++i) {
      sums[i] = SumOneRegister(DF(), DotRowCall(w.data + (n + i) * w.stride, x, w.cols));
    }
    FinishOneRow({&chain, {.channel = n}, y + n, 0, count}, sums);
  }
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(GemvF32);

namespace {

struct GemvPart {
  decltype(&HWY_STATIC_DISPATCH(GemvF32)) kernel;
  const MatView<const float>& w;
  const float* x;
  const Chain& chain;
  float* y;
  void operator()(size_t begin, size_t end) const { kernel(w, x, chain, y, begin, end); }
};

}  // namespace

Status Gemv(const MatView<const float>& w, std::span<const float> x, const Epilogue& epilogue,
            std::span<float> y, const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  constexpr ViewTexts kW = {"w.data is null", "w.stride is #, must be at least w.cols, #",
                            "w does not fit the address space"};
  constexpr ViewTexts kX = {"x is null", "", "x does not fit the address space"};
  constexpr ViewTexts kY = {"y is null", "", "y does not fit the address space"};
  if (x.size() != w.cols) {
    return {StatusCode::kShapeMismatch, "x has # values, w has # columns",
            static_cast<int64_t>(x.size()), static_cast<int64_t>(w.cols)};
  }
  if (y.size() != w.rows) {
    return {StatusCode::kShapeMismatch, "y has # values, w has # rows",
            static_cast<int64_t>(y.size()), static_cast<int64_t>(w.rows)};
  }
  if (Status status = CheckView(w, kW); !status.ok()) return status;
  if (Status status = CheckView(MatView<const float>(x), kX); !status.ok()) return status;
  if (Status status = CheckView(MatView<const float>(y), kY); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  const MatView<const float> output(y);
  if (MayOverlap(output, w)) return {StatusCode::kOverlap, "y overlaps w"};
  if (MayOverlap(output, MatView<const float>(x))) return {StatusCode::kOverlap, "y overlaps x"};
  Chain chain;
  if (Status status = CompileChain(
          epilogue, nullptr, [&] { return AsImage(output); }, true, target, chain);
      !status.ok()) {
    return status;
  }
  // A row of sixteen or less is two vectors of eight: a shorter tree of sums, no empty registers.
  const int row_target = w.cols <= 16 ? arch::NarrowIndex(target) : target;
  const GemvPart part{HWY_DISPATCH_TABLE(GemvF32)[row_target], w, x.data(), chain, y.data()};
  ForEachPart(parallel, w.rows * w.cols * sizeof(float), kMinBytes, w.rows, part);
  return {};
}

}  // namespace lanefuse
#endif  // HWY_ONCE
