// Elementwise chains on their own: what an Epilogue does behind a kernel, as a call.
#ifndef LANEFUSE_ELEMENTWISE_H_
#define LANEFUSE_ELEMENTWISE_H_

#include "lanefuse/epilogue.h"
#include "lanefuse/export.h"
#include "lanefuse/parallel.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse {

// y = epilogue(x), element by element. An empty epilogue copies.
//
// Shapes    x, y: R x C, with strides. R == 0 or C == 0 is success.
// Memory    y may be x itself; an Add or Mul operand may be y or x. No other overlap. No alignment
//           needed. No allocation, < 4 KiB of stack.
// Errors    kInvalidArgument, kShapeMismatch, kOverlap; on error y is untouched.
// Accuracy  As the steps. Bits equal on every target with FMA, for any number of threads.
// Threads   Rows are split (a single row: columns) at 2^15 elements a thread.
LANEFUSE_API Status Apply(const MatView<const float>& x, const Epilogue& epilogue,
                          const MatView<float>& y, const Parallel& parallel = {});

}  // namespace lanefuse

#endif  // LANEFUSE_ELEMENTWISE_H_
