// An Epilogue after its check, in the form that kernels run.
#ifndef LANEFUSE_SRC_EPILOGUE_CHAIN_H_
#define LANEFUSE_SRC_EPILOGUE_CHAIN_H_

#include <cstddef>
#include <limits>

#include "lanefuse/epilogue.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"
#include "src/common/check.h"

namespace lanefuse {

// Where the first element of a tile lies in the output. The rows of a tile are consecutive pixels
// of one row of one picture (for a matrix: consecutive rows).
struct TilePos {
  size_t image = 0;
  size_t row = 0;
  size_t pixel = 0;
  size_t channel = 0;
};

struct Chain {
  // Runs every step on a tile: reads `in`, writes `out`, and keeps what lies between the steps in
  // `scratch`, rows x cols with a stride of `cols` (it may be `in`), or where that is null in
  // `out`, which then may not be an operand. One function for each target.
  using RunSteps = void (*)(const Chain& chain, TilePos pos, size_t rows, size_t cols,
                            const float* in, size_t in_stride, float* scratch, float* out,
                            size_t out_stride);

  const Step* steps = nullptr;
  size_t size = 0;
  size_t rest = 0;                     // steps behind them that RunRest runs (SplitChain)
  const float* packed_bias = nullptr;  // of packed weights: comes before the steps
  RunSteps run = nullptr;

  // The frequent chains [bias] [add] [relu or clamp], each part optional, run in registers:
  // x + bias, + add, then the bounds (-inf and inf where there is none).
  bool in_registers = false;
  size_t frequent = 0;  // steps, from the first on, that would
  const float* bias = nullptr;
  const Step* add = nullptr;
  float lo = -std::numeric_limits<float>::infinity();
  float hi = std::numeric_limits<float>::infinity();

  bool empty() const { return size == 0 && packed_bias == nullptr; }
};

// -0 for as many outputs as one tile has: the bias of a chain without one.
constexpr size_t kMaxTileCols = 512;
extern const float kNoBias[kMaxTileCols];

// The address in an Add or Mul operand that belongs to `pos`; the next pixel is pixel_stride away.
inline const float* OperandAt(const Step& step, const TilePos& pos) {
  return step.data + pos.image * step.image_stride + pos.row * step.row_stride +
         pos.pixel * step.pixel_stride + pos.channel;
}

// The function behind Chain::run for a target (src/epilogue/steps.cc).
Chain::RunSteps StepsRunner(int target);

// Checks `epilogue` against an output (all zero strides where it is a scalar) and compiles it. The
// steps stay where they are: `epilogue` must outlive `chain`. `matrix`: the output is a matrix (one
// picture of one row of pixels), so operands must be matrices.
Status CompileSteps(const Epilogue& epilogue, const float* packed_bias,
                    const ImageView<const float>& output, bool matrix, int target, Chain& chain);

// The same, at once where there are no steps. `output` is a function: most calls need no view.
template <class Output>
Status CompileChain(const Epilogue& epilogue, const float* packed_bias, const Output& output,
                    bool matrix, int target, Chain& chain) {
  if (epilogue.size() != 0) {
    return CompileSteps(epilogue, packed_bias, output(), matrix, target, chain);
  }
  chain.packed_bias = chain.bias = packed_bias;
  chain.run = StepsRunner(target);
  chain.in_registers = true;
  return {};
}

// Where a chain does not run in registers: leaves the steps that do not to RunRest, unless an
// operand of them may be the output.
void SplitChain(Chain& chain, const ImageView<const float>& output);

// Those steps, in place, on outputs that are otherwise finished: a kernel calls it while they are
// in L1, and for many at a time. A tile alone has too few to pay for a call.
void RunRest(const Chain& chain, TilePos pos, size_t rows, size_t cols, float* y, size_t y_stride);

// True where the output and all operands have no gaps between rows and pictures, so that the
// output may be run as one row of images * height * width pixels.
bool IsFlat(const Chain& chain, const ImageView<const float>& output);

// True where an Add or Mul operand shares memory with the output.
bool OperandMeets(const Chain& chain, const ImageView<const float>& output);

// The same for anything that the chain reads, and any memory.
bool ChainReads(const Chain& chain, const ImageView<const float>& memory);

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_EPILOGUE_CHAIN_H_
