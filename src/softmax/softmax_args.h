// What Softmax's entry hands to its kernel. No SIMD.
#ifndef LANEFUSE_SRC_SOFTMAX_SOFTMAX_ARGS_H_
#define LANEFUSE_SRC_SOFTMAX_SOFTMAX_ARGS_H_

#include "lanefuse/softmax.h"
#include "src/epilogue/chain.h"

namespace lanefuse {

struct SoftmaxArgs {
  const MatView<const float>& x;
  const MatView<float>& y;
  const SoftmaxOptions* options;
  const Chain* chain;
  size_t mask_stride;  // 0: one row for all
};

// Columns of row r that a causal mask leaves.
inline size_t VisibleColumns(const SoftmaxArgs& args, size_t r) {
  const SoftmaxOptions& o = *args.options;
  if (!o.causal || o.causal_offset >= args.x.cols) return args.x.cols;
  const size_t visible = r + o.causal_offset + 1;
  return visible < args.x.cols ? visible : args.x.cols;
}

// The epilogue on a finished row, a block in L1 at a time.
inline void RunChainOnRow(const SoftmaxArgs& args, size_t r, float* y) {
  constexpr size_t kBlock = 512;
  alignas(64) float scratch[kBlock];
  for (size_t c = 0; c < args.x.cols; c += kBlock) {
    const size_t cols = args.x.cols - c < kBlock ? args.x.cols - c : kBlock;
    args.chain->run(*args.chain, {.pixel = r, .channel = c}, 1, cols, y + c, 0, scratch, y + c, 0);
  }
}

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_SOFTMAX_SOFTMAX_ARGS_H_
