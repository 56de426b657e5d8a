#include <algorithm>

#include "arch/target.h"
#include "lanefuse/elementwise.h"
#include "src/common/check.h"
#include "src/common/partition.h"
#include "src/epilogue/chain.h"

namespace lanefuse {
namespace {

// Blocks of one row that stay in L1 while all steps pass over them. There is no code for each
// target here: the chain itself is dispatched.
struct ApplyPart {
  static constexpr size_t kBlock = 512;

  const MatView<const float>& x;
  const Chain& chain;
  const MatView<float>& y;
  bool by_rows;

  void operator()(size_t begin, size_t end) const {
    if (chain.size <= 1) {
      // A single step leaves nothing behind that should stay in L1.
      const size_t r = by_rows ? begin : 0, c = by_rows ? 0 : begin;
      chain.run(chain, {.pixel = r, .channel = c}, by_rows ? end - begin : x.rows,
                by_rows ? x.cols : end - begin, x.data + r * x.stride + c, x.stride, nullptr,
                y.data + r * y.stride + c, y.stride);
    } else if (by_rows && x.cols <= kBlock) {
      // Several short rows at a time.
      alignas(64) float scratch[kBlock];
      const size_t step = kBlock / x.cols;
      for (size_t r = begin; r < end; r += step) {
        const size_t rows = std::min(step, end - r);
        chain.run(chain, {.pixel = r}, rows, x.cols, x.data + r * x.stride, x.stride, scratch,
                  y.data + r * y.stride, y.stride);
      }
    } else if (by_rows) {
      for (size_t r = begin; r < end; ++r) Row(r, 0, x.cols);
    } else {
      for (size_t r = 0; r < x.rows; ++r) Row(r, begin, end);
    }
  }

  void Row(size_t r, size_t begin, size_t end) const {
    alignas(64) float scratch[kBlock];
    for (size_t c = begin; c < end; c += kBlock) {
      const size_t cols = std::min(kBlock, end - c);
      chain.run(chain, {.pixel = r, .channel = c}, 1, cols, x.data + r * x.stride + c, 0, scratch,
                y.data + r * y.stride + c, 0);
    }
  }
};

}  // namespace

Status Apply(const MatView<const float>& x, const Epilogue& epilogue, const MatView<float>& y,
             const Parallel& parallel) {
  const int target = arch::ActiveIndex();
  if (target < 0) return arch::UnsupportedTarget();
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
  if (Status status = CheckView(x, kX); !status.ok()) return status;
  if (Status status = CheckView(y, kY); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  const ImageView<const float> output = AsImage(y);
  if (!SameOrApart(output, AsImage(x))) {
    return {StatusCode::kOverlap, "y overlaps x without being equal to it"};
  }
  Chain chain;
  if (Status status = CompileChain(
          epilogue, nullptr, [&] { return output; }, true, target, chain);
      !status.ok()) {
    return status;
  }
  if (x.rows == 0 || x.cols == 0) return {};
  const bool by_rows = x.rows > 1;
  const ApplyPart part{x, chain, y, by_rows};
  ForEachPart(parallel, x.rows * x.cols, kMinElements, by_rows ? x.rows : x.cols, part);
  return {};
}

}  // namespace lanefuse
