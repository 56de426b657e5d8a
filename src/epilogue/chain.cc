#include "src/epilogue/chain.h"

#include <algorithm>
#include <span>

#include "src/common/check.h"

namespace lanefuse {
namespace {

Status CheckChannels(const float* data, size_t size, const ImageView<const float>& output,
                     const char* null_text, const char* size_text, const char* overlap_text) {
  if (size != output.channels) {
    return {StatusCode::kShapeMismatch, size_text, static_cast<int64_t>(size),
            static_cast<int64_t>(output.channels)};
  }
  if (size == 0) return {};
  if (data == nullptr) return {StatusCode::kInvalidArgument, null_text};
  size_t count;
  if (SpanOf(output, count) && Meet(ExtentOf(data, size), ExtentOf(output.data, count))) {
    return {StatusCode::kOverlap, overlap_text};
  }
  return {};
}

ImageView<const float> OperandOf(const Step& s) {
  ImageView<const float> v(s.data, s.images, s.height, s.width, s.channels);
  v.pixel_stride = s.pixel_stride;
  v.row_stride = s.row_stride;
  v.image_stride = s.image_stride;
  return v;
}

Status CheckOperand(const Step& s, const ImageView<const float>& output, bool matrix) {
  const bool add = s.kind == StepKind::kAdd;
  if (s.matrix != matrix) {
    return {StatusCode::kShapeMismatch,
            matrix ? (add ? "epilogue Add: operand is an ImageView, the output a matrix"
                          : "epilogue Mul: operand is an ImageView, the output a matrix")
                   : (add ? "epilogue Add: operand is a MatView, the output an image"
                          : "epilogue Mul: operand is a MatView, the output an image")};
  }
  const ImageView<const float> v = OperandOf(s);
  if (s.channels != output.channels) {
    return {StatusCode::kShapeMismatch,
            add ? "epilogue Add: operand has # columns or channels, the output #"
                : "epilogue Mul: operand has # columns or channels, the output #",
            static_cast<int64_t>(s.channels), static_cast<int64_t>(output.channels)};
  }
  if (s.images != output.images || s.height != output.height || s.width != output.width) {
    return {StatusCode::kShapeMismatch,
            add ? "epilogue Add: operand has # rows or pixels, the output #"
                : "epilogue Mul: operand has # rows or pixels, the output #",
            static_cast<int64_t>(s.images * s.height * s.width),
            static_cast<int64_t>(output.images * output.height * output.width)};
  }
  constexpr ViewTexts kAddTexts = {"epilogue Add: operand.data is null",
                                   "epilogue Add: an operand stride is #, must be at least #",
                                   "epilogue Add: operand does not fit the address space"};
  constexpr ViewTexts kMulTexts = {"epilogue Mul: operand.data is null",
                                   "epilogue Mul: an operand stride is #, must be at least #",
                                   "epilogue Mul: operand does not fit the address space"};
  Extent extent;
  if (Status status = CheckView(v, add ? kAddTexts : kMulTexts, extent); !status.ok()) {
    return status;
  }
  if (!SameOrApart(v, output)) {
    return {StatusCode::kOverlap,
            add ? "epilogue Add: operand overlaps the output without being equal to it"
                : "epilogue Mul: operand overlaps the output without being equal to it"};
  }
  return {};
}

Status CheckStep(const Step& s, const ImageView<const float>& output, bool matrix) {
  switch (s.kind) {
    case StepKind::kBias:
      return CheckChannels(s.data, s.size, output, "epilogue Bias: bias is null",
                           "epilogue Bias: bias has # values, the output # columns or channels",
                           "epilogue Bias: bias overlaps the output");
    case StepKind::kAffine:
      if (Status status =
              CheckChannels(s.data, s.size, output, "epilogue Affine: scale is null",
                            "epilogue Affine: scale has # values, the output # columns or channels",
                            "epilogue Affine: scale overlaps the output");
          !status.ok()) {
        return status;
      }
      return CheckChannels(s.shift, s.shift_size, output, "epilogue Affine: shift is null",
                           "epilogue Affine: shift has # values, the output # columns or channels",
                           "epilogue Affine: shift overlaps the output");
    case StepKind::kScale:
      return {};
    case StepKind::kScaleChannels:
      return CheckChannels(
          s.data, s.size, output, "epilogue ScaleChannels: scale is null",
          "epilogue ScaleChannels: scale has # values, the output # columns or channels",
          "epilogue ScaleChannels: scale overlaps the output");
    case StepKind::kAdd:
    case StepKind::kMul:
      return CheckOperand(s, output, matrix);
    case StepKind::kAct:
      if (s.act > ActivationKind::kExp) {
        return {StatusCode::kInvalidArgument, "epilogue Act: kind # is no activation",
                static_cast<int64_t>(s.act)};
      }
      if (s.act == ActivationKind::kPRelu) {
        return CheckChannels(s.data, s.size, output, "epilogue Act: slope is null",
                             "epilogue Act: slope has # values, the output # columns or channels",
                             "epilogue Act: slope overlaps the output");
      }
      return {};
    case StepKind::kClamp:
      if (!(s.lo <= s.hi)) {
        return {StatusCode::kInvalidArgument,
                "epilogue Clamp: lo must be at most hi, and neither may be NaN"};
      }
      return {};
  }
  return {StatusCode::kInvalidArgument, "epilogue: step kind # does not exist",
          static_cast<int64_t>(s.kind)};
}

// Recognises [bias] [add] [relu or clamp].
void FindFrequentChain(Chain& chain) {
  size_t i = 0;
  chain.bias = chain.packed_bias;
  if (chain.bias == nullptr && i < chain.size && chain.steps[i].kind == StepKind::kBias) {
    chain.bias = chain.steps[i++].data;
  }
  if (i < chain.size && chain.steps[i].kind == StepKind::kAdd) chain.add = &chain.steps[i++];
  if (i < chain.size) {
    const Step& s = chain.steps[i];
    if (s.kind == StepKind::kClamp) {
      chain.lo = s.lo;
      chain.hi = s.hi;
      ++i;
    } else if (s.kind == StepKind::kAct && s.act == ActivationKind::kRelu) {
      chain.lo = 0.0f;
      ++i;
    } else if (s.kind == StepKind::kAct && s.act == ActivationKind::kRelu6) {
      chain.lo = 0.0f;
      chain.hi = 6.0f;
      ++i;
    }
  }
  chain.frequent = i;
  chain.in_registers = i == chain.size;
}

std::span<const Step> AllSteps(const Chain& chain) {
  return {chain.steps, chain.size + chain.rest};
}

bool AnyOperandMeets(std::span<const Step> steps, const ImageView<const float>& output) {
  for (const Step& s : steps) {
    const bool operand = s.kind == StepKind::kAdd || s.kind == StepKind::kMul;
    if (operand && MayOverlap(output, OperandOf(s))) return true;
  }
  return false;
}

#define LANEFUSE_MINUS_ZEROS_8 -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f, -0.0f
#define LANEFUSE_MINUS_ZEROS_32 \
  LANEFUSE_MINUS_ZEROS_8, LANEFUSE_MINUS_ZEROS_8, LANEFUSE_MINUS_ZEROS_8, LANEFUSE_MINUS_ZEROS_8
#define LANEFUSE_MINUS_ZEROS_128 \
  LANEFUSE_MINUS_ZEROS_32, LANEFUSE_MINUS_ZEROS_32, LANEFUSE_MINUS_ZEROS_32, LANEFUSE_MINUS_ZEROS_32

}  // namespace

alignas(64) const
    float kNoBias[kMaxTileCols] = {LANEFUSE_MINUS_ZEROS_128, LANEFUSE_MINUS_ZEROS_128,
                                   LANEFUSE_MINUS_ZEROS_128, LANEFUSE_MINUS_ZEROS_128};

Status CompileSteps(const Epilogue& epilogue, const float* packed_bias,
                    const ImageView<const float>& output, bool matrix, int target, Chain& chain) {
  if (epilogue.size() > Epilogue::kMaxSteps) {
    return {StatusCode::kInvalidArgument, "epilogue has # steps, at most # are possible",
            static_cast<int64_t>(epilogue.size()), Epilogue::kMaxSteps};
  }
  for (const Step& step : epilogue.steps()) {
    if (Status status = CheckStep(step, output, matrix); !status.ok()) return status;
  }
  chain.steps = epilogue.steps().data();
  chain.size = epilogue.size();
  chain.packed_bias = packed_bias;
  chain.run = StepsRunner(target);
  FindFrequentChain(chain);
  return {};
}

void SplitChain(Chain& chain, const ImageView<const float>& output) {
  if (AnyOperandMeets(AllSteps(chain).subspan(chain.frequent), output)) return;
  chain.rest = chain.size - chain.frequent;
  chain.size = chain.frequent;
  chain.in_registers = true;
}

void RunRest(const Chain& chain, TilePos pos, size_t rows, size_t cols, float* y, size_t y_stride) {
  Chain rest;
  rest.steps = chain.steps + chain.size;
  rest.size = chain.rest;
  chain.run(rest, pos, rows, cols, y, y_stride, nullptr, y, y_stride);
}

bool IsFlat(const Chain& chain, const ImageView<const float>& output) {
  const auto flat = [](size_t images, size_t height, size_t width, size_t pixel, size_t row,
                       size_t image) {
    return (height <= 1 || row == width * pixel) &&
           (images <= 1 || image == height * width * pixel);
  };
  if (!flat(output.images, output.height, output.width, output.pixel_stride, output.row_stride,
            output.image_stride)) {
    return false;
  }
  for (const Step& s : AllSteps(chain)) {
    if (s.kind != StepKind::kAdd && s.kind != StepKind::kMul) continue;
    if (!flat(s.images, s.height, s.width, s.pixel_stride, s.row_stride, s.image_stride)) {
      return false;
    }
  }
  return true;
}

bool OperandMeets(const Chain& chain, const ImageView<const float>& output) {
  return AnyOperandMeets(AllSteps(chain), output);
}

bool ChainReads(const Chain& chain, const ImageView<const float>& memory) {
  if (OperandMeets(chain, memory)) return true;
  size_t count;
  if (!SpanOf(memory, count)) return true;
  const Extent extent = ExtentOf(memory.data, count);
  for (const Step& s : AllSteps(chain)) {
    const bool operand = s.kind == StepKind::kAdd || s.kind == StepKind::kMul;
    if (!operand && Meet(ExtentOf(s.data, s.size), extent)) return true;
    if (Meet(ExtentOf(s.shift, s.shift_size), extent)) return true;
  }
  return false;
}

}  // namespace lanefuse
