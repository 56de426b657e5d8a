// How a chain is cut into passes over a tile. No SIMD.
#ifndef LANEFUSE_SRC_EPILOGUE_PASS_H_
#define LANEFUSE_SRC_EPILOGUE_PASS_H_

#include <cstddef>

#include "src/epilogue/chain.h"

namespace lanefuse {

// A tile on its way through some steps; `out` may be `in`.
struct Pass {
  const float* in;
  size_t in_stride;
  float* out;
  size_t out_stride;
  size_t rows, cols;
};

// A tensor that is added or is a factor, from the tile's first element on.
struct Operand {
  const float* data = nullptr;
  size_t stride = 0;
  bool factor = false;
};

// Neighbouring steps that pass over a tile together, each there or not, in this order. Between them
// a value stays in its register. What belongs to channels begins at the tile's first.
struct Together {
  const float* bias = nullptr;
  const float* scale = nullptr;
  const float* shift = nullptr;  // scale alone: a product; both: a fused multiply-add
  Operand before;
  const Step* op = nullptr;      // an activation, a clamp or a factor
  const float* slope = nullptr;  // of a PReLU
  Operand after;

  bool op_alone() const {
    return bias == nullptr && scale == nullptr && before.data == nullptr && after.data == nullptr;
  }
};

// Cuts a chain into passes and runs each. `ops_alone`: no pass has anything beside an operation.
// The rest as in Chain::RunSteps.
using PassRunner = void (*)(const Together&, const Pass&);
void RunPasses(PassRunner run, bool ops_alone, const Chain& chain, const TilePos& pos,
               const Pass& tile, float* scratch);

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_EPILOGUE_PASS_H_
