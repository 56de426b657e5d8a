// What Linear's entry hands to its kernels. No SIMD.
#ifndef LANEFUSE_SRC_LINEAR_LINEAR_ARGS_H_
#define LANEFUSE_SRC_LINEAR_LINEAR_ARGS_H_

#include <cstddef>

#include "src/epilogue/chain.h"

namespace lanefuse {

struct LinearArgs {
  const float* x;
  size_t x_stride;
  size_t rows;
  size_t inputs;
  const float* panels;
  size_t outputs;
  float* y;
  size_t y_stride;
  const Chain* chain;
  bool four_chains;
  size_t large_weights;  // bytes of a block beyond which it does not stay in L2
};

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_LINEAR_LINEAR_ARGS_H_
