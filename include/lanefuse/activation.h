// The activations as values; activation_list.h has the formula of each.
#ifndef LANEFUSE_ACTIVATION_H_
#define LANEFUSE_ACTIVATION_H_

#include <cstdint>
#include <span>

#include "lanefuse/activation_list.h"

namespace lanefuse {

enum class ActivationKind : uint8_t {
#define LANEFUSE_ENUM(name, NAME) k##name,
  LANEFUSE_ACTIVATIONS(LANEFUSE_ENUM)
#undef LANEFUSE_ENUM
};

// NaN in gives NaN out, -0 passes through ReLU as -0. Accuracy: Exp, Sigmoid, Tanh <= 2 ULP; the
// others are stated beside their code in src/common/math-inl.h and checked by tests/exhaustive.
struct Activation {
  ActivationKind kind = ActivationKind::kIdentity;
  float alpha = 0.0f;              // LeakyRelu, Elu
  std::span<const float> slope{};  // PRelu: one for each output channel
};

constexpr Activation Identity() { return {}; }
constexpr Activation Relu() { return {.kind = ActivationKind::kRelu}; }
constexpr Activation Relu6() { return {.kind = ActivationKind::kRelu6}; }
constexpr Activation LeakyRelu(float alpha) {
  return {.kind = ActivationKind::kLeakyRelu, .alpha = alpha};
}
constexpr Activation PRelu(std::span<const float> slope) {
  return {.kind = ActivationKind::kPRelu, .slope = slope};
}
constexpr Activation Elu(float alpha = 1.0f) {
  return {.kind = ActivationKind::kElu, .alpha = alpha};
}
constexpr Activation Sigmoid() { return {.kind = ActivationKind::kSigmoid}; }
constexpr Activation Tanh() { return {.kind = ActivationKind::kTanh}; }
constexpr Activation Silu() { return {.kind = ActivationKind::kSilu}; }
constexpr Activation HardSigmoid() { return {.kind = ActivationKind::kHardSigmoid}; }
constexpr Activation HardSwish() { return {.kind = ActivationKind::kHardSwish}; }
constexpr Activation GeluErf() { return {.kind = ActivationKind::kGeluErf}; }
constexpr Activation GeluTanh() { return {.kind = ActivationKind::kGeluTanh}; }
constexpr Activation Mish() { return {.kind = ActivationKind::kMish}; }
constexpr Activation Exp() { return {.kind = ActivationKind::kExp}; }

}  // namespace lanefuse

#endif  // LANEFUSE_ACTIVATION_H_
