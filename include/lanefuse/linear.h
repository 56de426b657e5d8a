// Matrix times vector and matrix times matrix: fully connected layers.
#ifndef LANEFUSE_LINEAR_H_
#define LANEFUSE_LINEAR_H_

#include <cstddef>
#include <span>

#include "lanefuse/epilogue.h"
#include "lanefuse/export.h"
#include "lanefuse/packed.h"
#include "lanefuse/parallel.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse {

// y[n] = epilogue(sum_k w[n, k] * x[k]), weights as they are, row-major
//
// Order     Each row is a Dot: y[n] equals Dot(w[n, :], x), bit for bit.
// Shapes    w: N x K with a stride; x: K; y: N, a matrix of 1 x N for the epilogue.
// Memory    y must not overlap w or x; an Add or Mul operand may be y itself. No alignment needed;
//           reads [0, K) of each row. No allocation, < 4 KiB of stack.
// Errors    kInvalidArgument, kShapeMismatch, kOverlap; on error y is untouched.
// Accuracy  As Dot. Bits equal on every target with FMA, for any number of threads.
// Threads   N is split when the weights have at least 512 KiB.
// Use       Linear with packed weights is faster; Gemv serves weights that are used once.
LANEFUSE_API Status Gemv(const MatView<const float>& w, std::span<const float> x,
                         const Epilogue& epilogue, std::span<float> y,
                         const Parallel& parallel = {});

// Weights of a fully connected layer in the layout of packed.h.
//
// Bytes that were packed on one machine serve on every other. A PackedLinear points into them and
// owns nothing: they must outlive it and stay unchanged.
class PackedLinear {
 public:
  // The size of the packed weights; 0 where a size overflows.
  LANEFUSE_API static size_t Bytes(size_t outputs, size_t inputs);

  // Packs w (outputs x inputs), an optional bias (outputs values, or empty) and an optional
  // batchnorm over the outputs, folded in double and rounded once, and points `packed` at them.
  // Errors: kBufferTooSmall, kShapeMismatch, kUnsupported (a fold that is not finite).
  LANEFUSE_API static Status Pack(const MatView<const float>& w, std::span<const float> bias,
                                  const BatchNorm* batchnorm, std::span<std::byte> bytes,
                                  PackedLinear& packed);

  // Checks packed bytes (header, sizes, checksum: one pass over them) and points at them.
  // Errors: kCorrupt, kInvalidArgument (not aligned to 4 bytes; 64 is best).
  LANEFUSE_API static Status View(std::span<const std::byte> bytes, PackedLinear& packed);

  size_t outputs() const { return outputs_; }
  size_t inputs() const { return inputs_; }
  // Panels of 16 outputs, each inputs() lines of 64 bytes.
  const float* panels() const { return panels_; }
  // outputs() values, or null.
  const float* bias() const { return bias_; }

 private:
  const float* panels_ = nullptr;
  const float* bias_ = nullptr;
  size_t outputs_ = 0;
  size_t inputs_ = 0;
};

// y[m, n] = epilogue(sum_k x[m, k] * w[n, k]) (after the packed bias, where there is one)
//
// Order     From 0, one fused multiply-add for each k, k ascending. Where N <= 16 and K >= 32, four
//           such chains, k mod 4, that meet as (0 + 2) + (1 + 3): one chain would wait for the
//           latency of the adder (src/linear/order.h has the rule and its reason). The order
//           depends on N and K alone: row m of a batch equals that row on its own.
// Shapes    x: M x K, y: M x N, with strides. M == 0 or N == 0 is success; K == 0 sums nothing.
// Memory    y must not overlap x or w; an Add or Mul operand may be y itself, element for element.
//           No alignment needed. No allocation, < 8 KiB of stack.
// Errors    kInvalidArgument, kShapeMismatch, kOverlap; on error y is untouched.
// Accuracy  |error of a sum| <= (K + 2) * 2^-24 * sum_k |x w| to first order (a quarter of K with
//           four chains). Bits equal on every target with FMA, for any M and number of threads.
// Threads   Rows or outputs are split when there are at least 2^18 multiply-adds a thread.
LANEFUSE_API Status Linear(const MatView<const float>& x, const PackedLinear& w,
                           const Epilogue& epilogue, const MatView<float>& y,
                           const Parallel& parallel = {});

// One of several layers that read the same rows.
struct LinearLayer {
  const PackedLinear* weights = nullptr;
  const Epilogue* epilogue = nullptr;  // or null: no steps
  MatView<float> y;
};
constexpr size_t kMaxLinearLayers = 3;

// Layers with one input as one call: queries, keys and values of an attention, the branches of a
// gated layer. Layer i is
//
//   y_i = epilogue_i(x * w_i^T)
//
// with the bits of Linear(x, w_i, epilogue_i, y_i). One call hands out the outputs of all layers to
// the threads at once, so that layers too small for them are large enough together.
//
// Shapes    As Linear for each layer. No layers at all is success.
// Memory    No y may overlap x, weights, another y or an operand of another layer; ys may be
// columns
//           of one matrix. No allocation, < 12 KiB of stack.
// Accuracy  That of Linear.
// Errors    As Linear, with the number of the layer; kInvalidArgument where there are more than
//           kMaxLinearLayers or weights is null. On error every y is untouched.
// Threads   All outputs, or rows, are split when there are at least 2^18 multiply-adds a thread.
LANEFUSE_API Status LinearGroup(const MatView<const float>& x, std::span<const LinearLayer> layers,
                                const Parallel& parallel = {});

}  // namespace lanefuse

#endif  // LANEFUSE_LINEAR_H_
