#include "lanefuse/linear.h"

#include <algorithm>

#include "arch/cache.h"
#include "arch/target.h"
#include "src/common/check.h"
#include "src/common/packed_format.h"
#include "src/common/partition.h"
#include "src/epilogue/chain.h"
#include "src/linear/order.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/linear/linear.cc"
#include "hwy/foreach_target.h"
#include "src/linear/linear-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

// Rows [m0, m1) of outputs [n0, n1); n0 is a multiple of 16.
void LinearF32(const LinearArgs& args, size_t m0, size_t m1, size_t n0, size_t n1) {
  if (args.four_chains) return LinearFourChains(args, m0, m1, n0, n1);
  LinearOneChain(args, m0, m1, n0, n1);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(LinearF32);

namespace {

using Kernel = decltype(&HWY_STATIC_DISPATCH(LinearF32));

// Splits the outputs, in whole panels, or the rows: whichever there are more of to hand out.
struct LinearPart {
  Kernel kernel;
  const LinearArgs& args;
  bool by_rows;
  void operator()(size_t begin, size_t end) const {
    if (by_rows) {
      kernel(args, begin, end, 0, args.outputs);
    } else {
      kernel(args, 0, args.rows, begin * kPanelOutputs,
             std::min(end * kPanelOutputs, args.outputs));
    }
  }
};

// Everything is as it should be, seen in one look: what nearly every call passes.
bool LooksFine(const MatView<const float>& x, const PackedLinear& w, const MatView<float>& y,
               size_t weight_count, const Parallel& parallel) {
  size_t x_count, y_count;
  return w.panels() != nullptr && x.cols == w.inputs() && y.cols == w.outputs() &&
         y.rows == x.rows && x.data != nullptr && y.data != nullptr &&
         (x.rows == 1 || (x.stride >= x.cols && y.stride >= y.cols)) && SpanOf(x, x_count) &&
         SpanOf(MatView<const float>(y), y_count) &&
         (parallel.run == nullptr || parallel.threads != 0) &&
         !Meet(ExtentOf(y.data, y_count), ExtentOf(x.data, x_count)) &&
         !Meet(ExtentOf(y.data, y_count), ExtentOf(w.panels(), weight_count));
}

// Says what is wrong, if anything is.
Status Check(const MatView<const float>& x, const PackedLinear& w, const MatView<float>& y,
             size_t weight_count, const Parallel& parallel) {
  constexpr ViewTexts kX = {"x.data is null", "x.stride is #, must be at least x.cols, #",
                            "x does not fit the address space"};
  constexpr ViewTexts kY = {"y.data is null", "y.stride is #, must be at least y.cols, #",
                            "y does not fit the address space"};
  if (w.panels() == nullptr) {
    return {StatusCode::kInvalidArgument, "w is empty: Pack or View it first"};
  }
  if (x.cols != w.inputs()) {
    return {StatusCode::kShapeMismatch, "x.cols is #, the weights have # inputs",
            static_cast<int64_t>(x.cols), static_cast<int64_t>(w.inputs())};
  }
  if (y.cols != w.outputs()) {
    return {StatusCode::kShapeMismatch, "y.cols is #, the weights have # outputs",
            static_cast<int64_t>(y.cols), static_cast<int64_t>(w.outputs())};
  }
  if (y.rows != x.rows) {
    return {StatusCode::kShapeMismatch, "y.rows is #, x.rows is #", static_cast<int64_t>(y.rows),
            static_cast<int64_t>(x.rows)};
  }
  if (Status status = CheckView(x, kX); !status.ok()) return status;
  if (Status status = CheckView(MatView<const float>(y), kY); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  if (MayOverlap(y, x)) return {StatusCode::kOverlap, "y overlaps x"};
  const MatView<const float> weights(w.panels(), 1, weight_count);
  if (MayOverlap(y, weights)) return {StatusCode::kOverlap, "y overlaps w"};
  return {};
}

}  // namespace

Status Linear(MatView<const float> x, const PackedLinear& w, const Epilogue& epilogue,
              MatView<float> y, Parallel parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  const size_t panels = PaddedOutputs(w.outputs()) / kPanelOutputs;
  const size_t weight_count = kPanelOutputs * panels * (w.inputs() + (w.bias() ? 1 : 0));
  if (!LooksFine(x, w, y, weight_count, parallel)) {
    if (Status status = Check(x, w, y, weight_count, parallel); !status.ok()) return status;
  }
  Chain chain;
  if (Status status = CompileChain(
          epilogue, w.bias(), [&] { return AsImage(y); }, true, target, chain);
      !status.ok()) {
    return status;
  }
  if (y.rows == 0 || y.cols == 0) return {};

  const LinearArgs args{x.data,
                        x.stride,
                        y.rows,
                        w.inputs(),
                        w.panels(),
                        w.outputs(),
                        y.data,
                        y.stride,
                        &chain,
                        UsesFourChains(w.outputs(), w.inputs()),
                        arch::Caches().l2 * 3 / 4};
  size_t work;
  if (!MulAddSize(w.outputs() * w.inputs(), y.rows, 0, work)) work = kMaxElements;
  const bool by_rows = y.rows > panels;
  const LinearPart part{HWY_DISPATCH_TABLE(LinearF32)[target], args, by_rows};
  ForEachPart(parallel, work, kMinMulAdds, by_rows ? y.rows : panels, part);
  return {};
}

}  // namespace lanefuse
#endif  // HWY_ONCE
