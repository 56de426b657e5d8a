// Softmax and log-softmax over the rows of a matrix.
#ifndef LANEFUSE_SOFTMAX_H_
#define LANEFUSE_SOFTMAX_H_

#include <cstddef>

#include "lanefuse/epilogue.h"
#include "lanefuse/export.h"
#include "lanefuse/parallel.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse {

struct SoftmaxOptions {
  float scale = 1.0f;           // multiplies x first
  MatView<const float> mask{};  // added next: R x C, or 1 x C for all rows; no data: none
  bool causal = false;          // row r sees columns [0, r + causal_offset]; the rest gives 0
  size_t causal_offset = 0;     // how many columns precede row 0's own (a cache of past keys)
  bool log = false;             // log-softmax: z - max - log(sum); a masked column gives -inf
};

// z = x * scale + mask (two rounded operations; a scale of 1 and no mask are skipped, exactly)
// y[r, c] = epilogue(exp(z[r, c] - max_c z) / sum_c exp(z[r, c] - max_c z))
//
// Order     The sum has 64 virtual lanes as Dot; one division for each row, then a multiplication.
// Shapes    x, y: R x C, with strides. R == 0 or C == 0 is success.
// Special   z = -inf gives 0 (log: -inf). A row that is all -inf, or masked out, is all 0 (log: all
//           -inf). A NaN or +inf in a row makes all its visible columns NaN. Where z - max is below
//           -87.33, exp would be subnormal and is 0. Scores below -FLT_MAX / 2 count as that value
//           when the maximum is taken, so a row of such scores alone is all 0.
// Memory    y may be x itself, and must not overlap it otherwise, nor the mask, nor an operand of
//           the epilogue. No alignment needed. No allocation, < 4 KiB of stack.
// Errors    kInvalidArgument (a scale that is not finite), kShapeMismatch, kOverlap; y untouched.
// Accuracy  Relative error <= (C / 64 + 16) * 2^-24 beside that of z and of z - max, which are
// rounded
//           to float (max |z| * 2^-24 at most). Bits equal on every target with FMA.
// Threads   Rows are split when there are at least 2^15 elements a thread.
LANEFUSE_API Status Softmax(const MatView<const float>& x, const SoftmaxOptions& options,
                            const Epilogue& epilogue, const MatView<float>& y,
                            const Parallel& parallel = {});

inline Status Softmax(const MatView<const float>& x, const SoftmaxOptions& options,
                      const MatView<float>& y, const Parallel& parallel = {}) {
  return Softmax(x, options, Epilogue(), y, parallel);
}

}  // namespace lanefuse

#endif  // LANEFUSE_SOFTMAX_H_
