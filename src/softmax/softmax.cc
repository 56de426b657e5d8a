#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>

#include "arch/target.h"
#include "src/common/check.h"
#include "src/common/partition.h"
#include "src/softmax/softmax_args.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/softmax/softmax.cc"
#include "hwy/foreach_target.h"
#include "src/common/lanes64-inl.h"
#include "src/common/math-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {
namespace {

// z = x * scale + mask of one row. kPlain: neither.
template <bool kPlain>
struct Scores {
  const float* x;
  const float* mask;
  float scale;

  template <class D>
  HWY_INLINE hn::Vec<D> Full(D d, size_t c) const {
    auto z = hn::LoadU(d, x + c);
    if constexpr (!kPlain) {
      z = hn::Mul(z, hn::Set(d, scale));
      if (mask != nullptr) z = hn::Add(z, hn::LoadU(d, mask + c));
    }
    return z;
  }
  // The first `rest` lanes; the others hold what 0 gives.
  template <class D>
  HWY_INLINE hn::Vec<D> Rest(D d, size_t c, size_t rest) const {
    auto z = hn::LoadN(d, x + c, rest);
    if constexpr (!kPlain) {
      z = hn::Mul(z, hn::Set(d, scale));
      if (mask != nullptr) z = hn::Add(z, hn::LoadN(d, mask + c, rest));
    }
    return z;
  }
};

// The largest score, at least -FLT_MAX / 2, so that a masked score minus it is -inf and never NaN.
// A NaN may get lost here: it comes back through the sum. +0 makes the sign of a zero the same
// whichever zero the target's Max prefers.
template <class S>
HWY_INLINE float MaxScore(const S& scores, size_t cols) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF least = hn::Set(d, -FLT_MAX / 2);
  VF m0 = least, m1 = least, m2 = least, m3 = least;
  size_t c = 0;
  for (; c + 4 * lanes <= cols; c += 4 * lanes) {
    m0 = hn::Max(m0, scores.Full(d, c));
    m1 = hn::Max(m1, scores.Full(d, c + lanes));
    m2 = hn::Max(m2, scores.Full(d, c + 2 * lanes));
    m3 = hn::Max(m3, scores.Full(d, c + 3 * lanes));
  }
  for (; c + lanes <= cols; c += lanes) m0 = hn::Max(m0, scores.Full(d, c));
  if (c < cols) {
    const auto live = hn::FirstN(d, cols - c);
    m1 = hn::Max(m1, hn::IfThenElse(live, scores.Rest(d, c, cols - c), least));
  }
  return hn::ReduceMax(d, hn::Max(hn::Max(m0, m1), hn::Max(m2, m3))) + 0.0f;
}

// Adds exp(z - max) over 64 virtual lanes; stores them to y if kStore. The lanes live in L1: a
// round of 64 columns takes longer than a store and a load of the same line.
template <bool kStore, class S>
HWY_INLINE float SumExp(const S& scores, float max, size_t cols, float* y) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF vmax = hn::Set(d, max);
  HWY_ALIGN float sums[kVirtualLanes] = {};
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes) {
    const VF e = ExpNonPositive(d, hn::Sub(scores.Full(d, c), vmax));
    if constexpr (kStore) hn::StoreU(e, d, y + c);
    float* sum = sums + c % kVirtualLanes;
    hn::Store(hn::Add(hn::Load(d, sum), e), d, sum);
  }
  if (c < cols) {
    const size_t rest = cols - c;
    const VF e = ExpNonPositive(d, hn::Sub(scores.Rest(d, c, rest), vmax));
    if constexpr (kStore) hn::StoreN(e, d, y + c, rest);
    float* sum = sums + c % kVirtualLanes;
    const VF live = hn::IfThenElseZero(hn::FirstN(d, rest), e);
    hn::Store(hn::Add(hn::Load(d, sum), live), d, sum);
  }
  for (size_t distance = kVirtualLanes / 2; distance >= lanes; distance /= 2) {
    for (size_t i = 0; i < distance; i += lanes) {
      hn::Store(hn::Add(hn::Load(d, sums + i), hn::Load(d, sums + i + distance)), d, sums + i);
    }
  }
  return SumOneRegister(d, hn::Load(d, sums));
}

// y[c] *= factor
HWY_INLINE void ScaleRow(float* y, size_t cols, float factor) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF vfactor = hn::Set(d, factor);
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes) {
    hn::StoreU(hn::Mul(hn::LoadU(d, y + c), vfactor), d, y + c);
  }
  if (c < cols) {
    hn::StoreN(hn::Mul(hn::LoadN(d, y + c, cols - c), vfactor), d, y + c, cols - c);
  }
}

// y[c] = (z[c] - max) - log_sum
template <class S>
HWY_INLINE void LogRow(const S& scores, float max, float log_sum, size_t cols, float* y) {
  const DF d;
  const size_t lanes = hn::Lanes(d);
  const VF vmax = hn::Set(d, max);
  const VF vlog = hn::Set(d, log_sum);
  size_t c = 0;
  for (; c + lanes <= cols; c += lanes) {
    hn::StoreU(hn::Sub(hn::Sub(scores.Full(d, c), vmax), vlog), d, y + c);
  }
  if (c < cols) {
    const size_t rest = cols - c;
    hn::StoreN(hn::Sub(hn::Sub(scores.Rest(d, c, rest), vmax), vlog), d, y + c, rest);
  }
}

// The columns behind a causal mask, if there are any.
HWY_INLINE void FillMasked(float* from, float* to, float value) {
  while (from != to) *from++ = value;
}

// One row of at most four vectors, from its load to its store in registers. kVectors: of cols. The
// registers that the 64 lanes have beyond the row hold +0, which changes no sum of the tree.
template <size_t kVectors, class D, class S>
HWY_INLINE void ShortRow(D d, const S& scores, size_t cols, bool log, float* y) {
  using V = hn::Vec<D>;
  const size_t lanes = hn::Lanes(d);
  const size_t last = (kVectors - 1) * lanes;
  const auto live = hn::FirstN(d, cols - last);
  const V zero = hn::Zero(d);
  const V least = hn::Set(d, -FLT_MAX / 2);
  const V rest = scores.Rest(d, last, cols - last);
  V z0 = kVectors > 1 ? scores.Full(d, 0) : rest;
  V z1 = kVectors > 2 ? scores.Full(d, lanes) : rest;
  V z2 = kVectors > 3 ? scores.Full(d, 2 * lanes) : rest;
  V z3 = rest;
  V most = hn::Max(least, hn::IfThenElse(live, rest, least));
  if constexpr (kVectors > 1) most = hn::Max(most, z0);
  if constexpr (kVectors > 2) most = hn::Max(most, z1);
  if constexpr (kVectors > 3) most = hn::Max(most, z2);
  const V max = hn::Add(hn::MaxOfLanes(d, most), zero);
  z0 = hn::Sub(z0, max);
  z1 = hn::Sub(z1, max);
  z2 = hn::Sub(z2, max);
  z3 = hn::Sub(z3, max);
  const V e0 = kVectors > 1 ? ExpNonPositive(d, z0) : zero;
  const V e1 = kVectors > 2 ? ExpNonPositive(d, z1) : zero;
  const V e2 = kVectors > 3 ? ExpNonPositive(d, z2) : zero;
  const V e3 = ExpNonPositive(d, z3);
  const V end = hn::IfThenElseZero(live, e3);
  V sums = end;
  if constexpr (kVectors == 2) sums = hn::Add(e0, end);
  if constexpr (kVectors == 3) sums = hn::Add(hn::Add(e0, end), e1);
  if constexpr (kVectors == 4) sums = hn::Add(hn::Add(e0, e2), hn::Add(e1, end));
  float sum = SumOneRegister(d, sums);
  if (sum < 1.0f) sum = 1.0f;
  V y0, y1, y2, y3;
  if (log) {
    const V log_sum = Log(d, hn::Set(d, sum));
    y0 = hn::Sub(z0, log_sum);
    y1 = hn::Sub(z1, log_sum);
    y2 = hn::Sub(z2, log_sum);
    y3 = hn::Sub(z3, log_sum);
  } else {
    const V factor = hn::Set(d, 1.0f / sum);
    y0 = hn::Mul(e0, factor);
    y1 = hn::Mul(e1, factor);
    y2 = hn::Mul(e2, factor);
    y3 = hn::Mul(e3, factor);
  }
  if constexpr (kVectors > 1) hn::StoreU(y0, d, y);
  if constexpr (kVectors > 2) hn::StoreU(y1, d, y + lanes);
  if constexpr (kVectors > 3) hn::StoreU(y2, d, y + 2 * lanes);
  hn::StoreN(y3, d, y + last, cols - last);
}

template <size_t kVectors, bool kPlain, class D>
HWY_NOINLINE void ShortRows(D d, const SoftmaxArgs& args, size_t begin, size_t end) {
  const SoftmaxOptions& o = *args.options;
  const bool chain = !args.chain->empty();
  for (size_t r = begin; r < end; ++r) {
    float* y = args.y.data + r * args.y.stride;
    const float* mask = o.mask.data == nullptr ? nullptr : o.mask.data + r * args.mask_stride;
    const Scores<kPlain> scores{args.x.data + r * args.x.stride, mask, o.scale};
    ShortRow<kVectors>(d, scores, args.x.cols, o.log, y);
    if (chain) RunChainOnRow(args, r, y);
  }
}

template <bool kPlain>
HWY_NOINLINE void LongRows(const SoftmaxArgs& args, size_t begin, size_t end) {
  const SoftmaxOptions& o = *args.options;
  for (size_t r = begin; r < end; ++r) {
    float* y = args.y.data + r * args.y.stride;
    const float* mask = o.mask.data == nullptr ? nullptr : o.mask.data + r * args.mask_stride;
    const Scores<kPlain> scores{args.x.data + r * args.x.stride, mask, o.scale};
    const size_t cols = VisibleColumns(args, r);
    const float max = MaxScore(scores, cols);
    // A row with a live score has a sum of at least exp(0) = 1; a smaller sum is a row without,
    // which becomes all zeros. A NaN is not smaller.
    if (o.log) {
      float sum = SumExp<false>(scores, max, cols, y);
      if (sum < 1.0f) sum = 1.0f;
      LogRow(scores, max, hn::GetLane(Log(DF(), hn::Set(DF(), sum))), cols, y);
      FillMasked(y + cols, y + args.x.cols, -std::numeric_limits<float>::infinity());
    } else {
      float sum = SumExp<true>(scores, max, cols, y);
      if (sum < 1.0f) sum = 1.0f;
      ScaleRow(y, cols, 1.0f / sum);
      FillMasked(y + cols, y + args.x.cols, 0.0f);
    }
    if (!args.chain->empty()) RunChainOnRow(args, r, y);
  }
}

template <bool kPlain>
HWY_INLINE void Rows(const SoftmaxArgs& args, size_t begin, size_t end) {
  const size_t vectors = (args.x.cols + hn::Lanes(DF()) - 1) / hn::Lanes(DF());
  const DF d;
  if (args.options->causal) return LongRows<kPlain>(args, begin, end);
  // A handful of columns: the shorter the vector, the fewer levels its maximum and its sum have.
  if (args.x.cols <= 4) return ShortRows<1, kPlain>(hn::CappedTag<float, 4>(), args, begin, end);
  switch (vectors) {
    case 1:
      return ShortRows<1, kPlain>(d, args, begin, end);
    case 2:
      return ShortRows<2, kPlain>(d, args, begin, end);
    case 3:
      return ShortRows<3, kPlain>(d, args, begin, end);
    case 4:
      return ShortRows<4, kPlain>(d, args, begin, end);
    default:
      return LongRows<kPlain>(args, begin, end);
  }
}

}  // namespace

void SoftmaxF32(const SoftmaxArgs& args, size_t begin, size_t end) {
  const SoftmaxOptions& o = *args.options;
  if (o.mask.data == nullptr && o.scale == 1.0f) return Rows<true>(args, begin, end);
  Rows<false>(args, begin, end);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(SoftmaxF32);

namespace {

struct SoftmaxPart {
  decltype(&HWY_STATIC_DISPATCH(SoftmaxF32)) kernel;
  const SoftmaxArgs& args;
  void operator()(size_t begin, size_t end) const { kernel(args, begin, end); }
};

Status CheckMask(const MatView<const float>& mask, const MatView<const float>& x) {
  if (mask.data == nullptr && mask.rows == 0 && mask.cols == 0) return {};
  constexpr ViewTexts kMask = {"options.mask.data is null",
                               "options.mask.stride is #, must be at least its cols, #",
                               "options.mask does not fit the address space"};
  if (mask.cols != x.cols) {
    return {StatusCode::kShapeMismatch, "options.mask.cols is #, x.cols is #",
            static_cast<int64_t>(mask.cols), static_cast<int64_t>(x.cols)};
  }
  if (mask.rows != 1 && mask.rows != x.rows) {
    return {StatusCode::kShapeMismatch, "options.mask.rows is #, must be 1 or x.rows, #",
            static_cast<int64_t>(mask.rows), static_cast<int64_t>(x.rows)};
  }
  return CheckView(mask, kMask);
}

// Everything is as it should be, seen in one look: what most calls pass.
bool LooksFine(const MatView<const float>& x, const SoftmaxOptions& options,
               const MatView<float>& y, const Parallel& parallel) {
  size_t x_count, y_count;
  return y.rows == x.rows && y.cols == x.cols && x.data != nullptr && y.data != nullptr &&
         (x.rows == 1 || (x.stride >= x.cols && y.stride >= y.cols)) && SpanOf(x, x_count) &&
         SpanOf(MatView<const float>(y), y_count) && std::isfinite(options.scale) &&
         options.mask.data == nullptr && options.mask.rows == 0 &&
         (parallel.run == nullptr || parallel.threads != 0) &&
         ((x.data == y.data && (x.rows == 1 || x.stride == y.stride)) ||
          !Meet(ExtentOf(y.data, y_count), ExtentOf(x.data, x_count)));
}

// Says what is wrong, if anything is.
Status Check(const MatView<const float>& x, const SoftmaxOptions& options, const MatView<float>& y,
             const Parallel& parallel) {
  constexpr ViewTexts kX = {"x.data is null", "x.stride is #, must be at least x.cols, #",
                            "x does not fit the address space"};
  constexpr ViewTexts kY = {"y.data is null", "y.stride is #, must be at least y.cols, #",
                            "y does not fit the address space"};
  if (y.rows != x.rows) {
    return {StatusCode::kShapeMismatch, "y.rows is #, x.rows is #", static_cast<int64_t>(y.rows),
            static_cast<int64_t>(x.rows)};
  }
  if (y.cols != x.cols) {
    return {StatusCode::kShapeMismatch, "y.cols is #, x.cols is #", static_cast<int64_t>(y.cols),
            static_cast<int64_t>(x.cols)};
  }
  if (!std::isfinite(options.scale)) {
    return {StatusCode::kInvalidArgument, "options.scale is not finite"};
  }
  if (Status status = CheckView(x, kX); !status.ok()) return status;
  if (Status status = CheckView(MatView<const float>(y), kY); !status.ok()) return status;
  if (Status status = CheckMask(options.mask, x); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  if (!SameOrApart(AsImage(y), AsImage(x))) {
    return {StatusCode::kOverlap, "y overlaps x without being equal to it"};
  }
  if (MayOverlap(y, options.mask)) return {StatusCode::kOverlap, "y overlaps options.mask"};
  return {};
}

}  // namespace

Status Softmax(const MatView<const float>& x, const SoftmaxOptions& options,
               const Epilogue& epilogue, const MatView<float>& y, const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
  if (!LooksFine(x, options, y, parallel)) {
    if (Status status = Check(x, options, y, parallel); !status.ok()) return status;
  }
  const auto output = [&] { return AsImage(y); };
  Chain chain;
  if (Status status = CompileChain(epilogue, nullptr, output, true, target, chain); !status.ok()) {
    return status;
  }
  if (!chain.empty() && OperandMeets(chain, output())) {
    return {StatusCode::kOverlap, "epilogue: an operand overlaps y, which holds sums on the way"};
  }
  if (y.rows == 0 || y.cols == 0) return {};
  const SoftmaxArgs args{x, y, &options, &chain, options.mask.rows <= 1 ? 0 : options.mask.stride};
  const SoftmaxPart part{HWY_DISPATCH_TABLE(SoftmaxF32)[target], args};
  ForEachPart(parallel, x.rows * x.cols, kMinElements, x.rows, part);
  return {};
}

}  // namespace lanefuse
#endif  // HWY_ONCE
