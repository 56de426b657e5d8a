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
    if (place == kBias) {
      together.bias = step->data + pos.channel;
    } else if (place == kScale) {
      together.scale = step->data + pos.channel;
      if (step->kind == StepKind::kAffine) together.shift = step->shift + pos.channel;
    } else if (place == kOp) {
      together.op = step;
      if (step->kind == StepKind::kAct && step->act == ActivationKind::kPRelu) {
        together.slope = step->data + pos.channel;
      }
    } else {
      const Operand operand = {OperandAt(*step, pos), step->pixel_stride,
                               step->kind == StepKind::kMul};
      (place == kBefore ? together.before : together.after) = operand;
    }
  }
  return step;
}

// Where all channels are alike, rows without gaps are one row.
void RunPass(PassRunner run, const Together& together, const Pass& p) {
  if (p.rows > 1 && p.in_stride == p.cols && p.out_stride == p.cols && together.op_alone() &&
      together.slope == nullptr) {
    return run(together, {p.in, 0, p.out, 0, 1, p.rows * p.cols});
  }
  run(together, p);
}

}  // namespace

void RunPasses(PassRunner run, bool ops_alone, const Chain& chain, const TilePos& pos,
               const Pass& tile, float* scratch) {
  const Step* step = chain.steps;
  const Step* const end = step + chain.size;
  Together first;
  if (chain.packed_bias != nullptr) first.bias = chain.packed_bias + pos.channel;
  step = TakeSteps(pos, ops_alone, step, end, first);
  if (step == end) return RunPass(run, first, tile);
  Pass p = tile;
  if (scratch != nullptr) {
    p.out = scratch;
    p.out_stride = tile.cols;
  }
  RunPass(run, first, p);
  p.in = p.out;
  p.in_stride = p.out_stride;
  // Only the last pass writes the output, so operands may be the output itself.
  while (step != end) {
    Together together;
    step = TakeSteps(pos, ops_alone, step, end, together);
    if (step == end) {
      p.out = tile.out;
      p.out_stride = tile.out_stride;
    }
    RunPass(run, together, p);
  }
}

}  // namespace lanefuse
