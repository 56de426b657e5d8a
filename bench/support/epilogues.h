// Epilogues by name, with random operands: "none", "bias", "bias_relu", "bias_add_relu",
// "affine_hardswish", "bias_silu_mul", ... Each token is one step; an activation's token is its
// name in lanefuse/activation.h in lower case.
#ifndef LANEFUSE_BENCH_SUPPORT_EPILOGUES_H_
#define LANEFUSE_BENCH_SUPPORT_EPILOGUES_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "bench/support/buffer.h"
#include "lanefuse/epilogue.h"
#include "lanefuse/parallel.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse::bench {

class EpilogueChain {
 public:
  // For an output of this shape; a matrix of R x C is 1 x 1 x R x C with `image` false.
  EpilogueChain(std::string_view name, size_t images, size_t height, size_t width, size_t channels,
                bool image);
  EpilogueChain(std::string_view name, size_t rows, size_t cols)
      : EpilogueChain(name, 1, 1, rows, cols, false) {}

  // All steps at once.
  const Epilogue& fused() const { return fused_; }

  // The same steps, one Apply each, from a dense x to a dense y (which may be x): what a library
  // without fusion does.
  Status ApplyOneByOne(const float* x, float* y, Parallel parallel) const;

  // Whether the first step but for a bias adds a tensor. That may be what the output held before,
  // as in oneDNN's sum and in networks, where nothing else reads it: the steps that then fit an
  // output at y, and what y must hold for them to give the result of the others.
  bool sums() const;
  Epilogue OntoOutput(const float* y) const;
  void Restore(float* y) const;

  size_t steps() const { return single_.size(); }
  // Bytes that the steps read besides the output itself.
  double operand_bytes() const { return operand_bytes_; }

 private:
  void AddStep(std::string_view token);
  std::span<const float> Operand(size_t size);

  size_t images_, height_, width_, channels_;
  bool image_;
  Epilogue fused_;
  std::vector<Epilogue> single_;
  std::vector<FloatBuffer> operands_;
  double operand_bytes_ = 0.0;
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_SUPPORT_EPILOGUES_H_
