#include "src/c/convert.h"

namespace lanefuse {
namespace {

constexpr bool Same(int c, StatusCode code) { return c == static_cast<int>(code); }
static_assert(Same(LANEFUSE_OK, StatusCode::kOk) &&
              Same(LANEFUSE_INVALID_ARGUMENT, StatusCode::kInvalidArgument) &&
              Same(LANEFUSE_SHAPE_MISMATCH, StatusCode::kShapeMismatch) &&
              Same(LANEFUSE_OVERLAP, StatusCode::kOverlap) &&
              Same(LANEFUSE_BUFFER_TOO_SMALL, StatusCode::kBufferTooSmall) &&
              Same(LANEFUSE_CORRUPT, StatusCode::kCorrupt) &&
              Same(LANEFUSE_UNSUPPORTED, StatusCode::kUnsupported) &&
              Same(LANEFUSE_UNSUPPORTED_TARGET, StatusCode::kUnsupportedTarget));
static_assert(LANEFUSE_MAX_STEPS == Epilogue::kMaxSteps);

}  // namespace

bool FromC(const lanefuse_activation& from, Activation& to) {
#define LANEFUSE_COUNT(name, NAME) +1
  constexpr int32_t kActivations = LANEFUSE_ACTIVATIONS(LANEFUSE_COUNT);
#undef LANEFUSE_COUNT
  if (from.kind < 0 || from.kind >= kActivations) return false;
  to = {static_cast<ActivationKind>(from.kind), from.alpha, FromC(from.slope)};
  return true;
}

lanefuse_status NoSuchActivation(int32_t kind) {
  return ToC({StatusCode::kInvalidArgument, "epilogue Act: kind # is no activation", kind});
}

lanefuse_status PushSteps(lanefuse_epilogue from, Epilogue& to) {
  if (from.size > Epilogue::kMaxSteps) {
    return ToC({StatusCode::kInvalidArgument, "epilogue has # steps, at most # are possible",
                static_cast<int64_t>(from.size), Epilogue::kMaxSteps});
  }
  if (from.steps == nullptr) return Invalid("epilogue.steps is null");
  for (size_t i = 0; i < from.size; ++i) {
    const lanefuse_step& step = from.steps[i];
    switch (step.kind) {
      case LANEFUSE_STEP_BIAS:
        to.Bias(FromC(step.of.bias));
        break;
      case LANEFUSE_STEP_AFFINE:
        to.Affine(FromC(step.of.affine.scale), FromC(step.of.affine.shift));
        break;
      case LANEFUSE_STEP_SCALE:
        to.Scale(step.of.scale);
        break;
      case LANEFUSE_STEP_SCALE_CHANNELS:
        to.ScaleChannels(FromC(step.of.scale_channels));
        break;
      case LANEFUSE_STEP_ADD:
        to.Add(FromC(step.of.mat));
        break;
      case LANEFUSE_STEP_ADD_IMAGE:
        to.Add(FromC(step.of.image));
        break;
      case LANEFUSE_STEP_MUL:
        to.Mul(FromC(step.of.mat));
        break;
      case LANEFUSE_STEP_MUL_IMAGE:
        to.Mul(FromC(step.of.image));
        break;
      case LANEFUSE_STEP_ACT: {
        Activation act;
        if (!FromC(step.of.act, act)) return NoSuchActivation(step.of.act.kind);
        to.Act(act);
        break;
      }
      case LANEFUSE_STEP_CLAMP:
        to.Clamp(step.of.clamp.lo, step.of.clamp.hi);
        break;
      default:
        return ToC(
            {StatusCode::kInvalidArgument, "epilogue: step kind # does not exist", step.kind});
    }
  }
  return ToC({});
}

}  // namespace lanefuse
