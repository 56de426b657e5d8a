// Dot products.
#ifndef LANEFUSE_DOT_H_
#define LANEFUSE_DOT_H_

#include <span>

#include "lanefuse/activation.h"
#include "lanefuse/epilogue.h"
#include "lanefuse/export.h"
#include "lanefuse/status.h"

namespace lanefuse {

// out = act(sum_k a[k] * b[k])
//
// Order     Element k belongs to virtual lane k mod 64; a lane adds its products by fused
//           multiply-add, k ascending; the lanes meet at distance 32, 16, 8, 4, 2, 1. The last
//           block of 64 is filled up with zeros (which turns a lane's -0 into +0).
// Shapes    a and b of equal length; length 0 gives act(0).
// Memory    a and b may be the same; nothing outside them is read. No allocation, < 2 KiB of stack.
// Errors    kInvalidArgument (null data), kShapeMismatch (lengths; PRelu needs one slope).
//           On error `out` is untouched.
// Accuracy  |error of the sum| <= (n / 64 + 7) * 2^-24 * sum_k |a[k] * b[k]| to first order; bits
//           equal on every target with FMA and on BASELINE.
// Threads   One: a dot product is over before a second thread wakes up.
LANEFUSE_API Status Dot(std::span<const float> a, std::span<const float> b, Activation act,
                        float& out);

// The same with a whole chain; `out` counts as a matrix of 1 x 1.
LANEFUSE_API Status Dot(std::span<const float> a, std::span<const float> b,
                        const Epilogue& epilogue, float& out);

}  // namespace lanefuse

#endif  // LANEFUSE_DOT_H_
