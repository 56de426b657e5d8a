// The steps that follow a kernel's sums before they are stored, in the order of the calls:
//
//   Epilogue().Bias(b).Add(residual).Act(Relu())    // ResNet
//   Epilogue().Affine(scale, shift).Act(HardSwish())  // batchnorm that was not folded
//   Epilogue().Bias(b).Act(Silu()).Mul(up)          // gated MLP
//
// Each step is one rounded operation for each element (Affine: one fused multiply-add), so a fused
// call gives, bit for bit, what the same steps give one after the other. An Epilogue holds
// pointers, allocates nothing, and is read during the call only.
#ifndef LANEFUSE_EPILOGUE_H_
#define LANEFUSE_EPILOGUE_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "lanefuse/activation.h"
#include "lanefuse/view.h"

namespace lanefuse {

enum class StepKind : uint8_t {
  kBias,
  kAffine,
  kScale,
  kScaleChannels,
  kAdd,
  kMul,
  kAct,
  kClamp,
};

// One step: written by Epilogue, read by the kernels. It has no initial values, so that an Epilogue
// costs only the steps that it holds.
struct Step {
  StepKind kind;
  ActivationKind act;  // Act
  bool matrix;         // Add, Mul: the operand was a matrix, here one picture of one row of pixels
  float lo, hi;        // Clamp; lo alone: the factor of Scale, the alpha of an activation
  const float* data;   // Bias, Affine, Scale, PRelu: one value a channel (size); Add, Mul: operand
  size_t size;
  const float* shift;  // Affine
  size_t shift_size;
  size_t images, height, width, channels;         // Add, Mul: the operand's shape ...
  size_t pixel_stride, row_stride, image_stride;  // ... and strides
};

class Epilogue {
 public:
  static constexpr size_t kMaxSteps = 8;

  Epilogue() {}  // NOLINT: steps_ stays uninitialised on purpose
  Epilogue(const Epilogue& other) { *this = other; }
  Epilogue& operator=(const Epilogue& other) {
    size_ = other.size_;
    for (size_t i = 0; i < steps().size(); ++i) steps_[i] = other.steps_[i];
    return *this;
  }

  // y = x + bias[c]
  Epilogue& Bias(std::span<const float> bias) { return Push(StepKind::kBias, bias); }
  // y = fma(x, scale[c], shift[c])
  Epilogue& Affine(std::span<const float> scale, std::span<const float> shift) {
    Step& step = Next(StepKind::kAffine);
    step.data = scale.data();
    step.size = scale.size();
    step.shift = shift.data();
    step.shift_size = shift.size();
    return *this;
  }
  // y = x * factor
  Epilogue& Scale(float factor) {
    Next(StepKind::kScale).lo = factor;
    return *this;
  }
  // y = x * scale[c]
  Epilogue& ScaleChannels(std::span<const float> scale) {
    return Push(StepKind::kScaleChannels, scale);
  }
  // y = x + operand, a residual of the output's shape. It may be the output itself.
  Epilogue& Add(MatView<const float> operand) { return Push(StepKind::kAdd, operand); }
  Epilogue& Add(ImageView<const float> operand) { return Push(StepKind::kAdd, operand); }
  // y = x * operand, a gate of the output's shape. It may be the output itself.
  Epilogue& Mul(MatView<const float> operand) { return Push(StepKind::kMul, operand); }
  Epilogue& Mul(ImageView<const float> operand) { return Push(StepKind::kMul, operand); }
  // y = act(x)
  Epilogue& Act(Activation act) {
    Step& step = Next(StepKind::kAct);
    step.act = act.kind;
    step.lo = act.alpha;
    step.data = act.slope.data();
    step.size = act.slope.size();
    return *this;
  }
  // y = x < lo ? lo : x > hi ? hi : x; lo <= hi, neither NaN. A NaN passes.
  Epilogue& Clamp(float lo, float hi) {
    Step& step = Next(StepKind::kClamp);
    step.lo = lo;
    step.hi = hi;
    return *this;
  }

  std::span<const Step> steps() const { return {steps_, size_ < kMaxSteps ? size_ : kMaxSteps}; }
  // How many steps were asked for; more than kMaxSteps is an error that the call reports.
  size_t size() const { return size_; }

 private:
  // A step beyond the last goes to a place of its own that nobody reads.
  Step& Next(StepKind kind) {
    Step& step = steps_[size_ < kMaxSteps ? size_ : kMaxSteps];
    ++size_;
    step = Step{};
    step.kind = kind;
    return step;
  }
  Epilogue& Push(StepKind kind, std::span<const float> values) {
    Step& step = Next(kind);
    step.data = values.data();
    step.size = values.size();
    return *this;
  }
  Epilogue& Push(StepKind kind, ImageView<const float> v) {
    Step& step = Next(kind);
    step.data = v.data;
    step.images = v.images;
    step.height = v.height;
    step.width = v.width;
    step.channels = v.channels;
    step.pixel_stride = v.pixel_stride;
    step.row_stride = v.row_stride;
    step.image_stride = v.image_stride;
    return *this;
  }
  Epilogue& Push(StepKind kind, MatView<const float> m) {
    ImageView<const float> row(m.data, 1, m.rows, m.cols);
    row.pixel_stride = m.stride;
    row.row_stride = row.image_stride = 0;
    Push(kind, row);
    steps_[size_ <= kMaxSteps ? size_ - 1 : kMaxSteps].matrix = true;
    return *this;
  }

  Step steps_[kMaxSteps + 1];
  size_t size_ = 0;
};

}  // namespace lanefuse

#endif  // LANEFUSE_EPILOGUE_H_
