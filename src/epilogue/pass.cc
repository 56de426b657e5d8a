#include "src/epilogue/pass.h"

#include <cstdint>

namespace lanefuse {
namespace {

// The places of steps within a pass, in their order.
enum Place : uint8_t { kBias, kScale, kBefore, kOp, kAfter, kNone };

Place PlaceOf(StepKind kind) {
  switch (kind) {
    case StepKind::kBias:
      return kBias;
    case StepKind::kAffine:
    case StepKind::kScaleChannels:
      return kScale;
    case StepKind::kAdd:
    case StepKind::kMul:
      return kBefore;
    default:
      return kOp;
  }
}

// Takes as many steps from `step` on as have a place behind those before them: at least one.
const Step* TakeSteps(const TilePos& pos, bool ops_alone, const Step* step, const Step* end,
                      Together& together) {
  size_t free = together.bias == nullptr ? kBias : kScale;  // the first place that is
  for (; step != end; ++step) {
    Place place = PlaceOf(step->kind);
    if (place == kBefore && free > kBefore) place = kAfter;
    if (place < free || (ops_alone && place == kOp && free != kBias)) break;
    free = ops_alone && place == kOp ? kNone : place + 1;
    const float* const channels = step->data + pos.channel;
    if (place == kBias) {
      together.bias = channels;
    } else if (place == kScale) {
      together.scale = channels;
      if (step->kind == StepKind::kAffine) together.shift = step->shift + pos.channel;
    } else if (place == kOp) {
      together.op = step;
      if (step->kind == StepKind::kAct && step->act == ActivationKind::kPRelu) {
        together.slope = channels;
      }
    } else {
      const Operand operand = {OperandAt(*step, pos), step->pixel_stride,
                               step->kind == StepKind::kMul};
      (place == kBefore ? together.before : together.after) = operand;
    }
  }
  return step;
}

}  // namespace

void RunPasses(void (*pass)(const Together&, const Pass&), bool ops_alone, const Chain& chain,
               const TilePos& pos, Pass tile, float* scratch) {
  const Pass whole = tile;
  const size_t scratch_stride = scratch == nullptr ? tile.out_stride : tile.cols;
  if (scratch == nullptr) scratch = tile.out;
  tile.out = scratch;
  tile.out_stride = scratch_stride;
  const Step* step = chain.steps;
  const Step* const end = step + chain.size;
  const float* bias = chain.packed_bias == nullptr ? nullptr : chain.packed_bias + pos.channel;
  // Only the last pass writes the output, so operands may be the output itself.
  do {
    Together together;
    together.bias = bias;
    bias = nullptr;
    step = TakeSteps(pos, ops_alone, step, end, together);
    if (step == end) {
      tile.out = whole.out;
      tile.out_stride = whole.out_stride;
    }
    if (together.op_alone() && together.slope == nullptr && tile.in_stride == tile.cols &&
        tile.out_stride == tile.cols) {
      // Where all channels are alike, rows without gaps are one row.
      pass(together, {tile.in, 0, tile.out, 0, 1, tile.rows * tile.cols});
    } else {
      pass(together, tile);
    }
    tile.in = scratch;
    tile.in_stride = scratch_stride;
  } while (step != end);
}

}  // namespace lanefuse
