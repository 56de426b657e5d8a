// The activations, each with its formula. One list feeds the enum, dispatch, tests and benchmarks.
#ifndef LANEFUSE_ACTIVATION_H_
#define LANEFUSE_ACTIVATION_H_

#include <cstdint>
#include <span>

namespace lanefuse {

//   name         formula                                         parameters
#define LANEFUSE_ACTIVATIONS(X)                                                   \
  X(Identity)    /* x                                                          */ \
  X(Relu)        /* x < 0 ? 0 : x                                              */ \
  X(Relu6)       /* x < 0 ? 0 : x > 6 ? 6 : x                                  */ \
  X(LeakyRelu)   /* x < 0 ? alpha * x : x                     alpha            */ \
  X(PRelu)       /* x < 0 ? slope[c] * x : x                  slope, a channel */ \
  X(Elu)         /* x < 0 ? alpha * (exp(x) - 1) : x          alpha            */ \
  X(Sigmoid)     /* 1 / (1 + exp(-x))                                          */ \
  X(Tanh)        /* tanh(x)                                                    */ \
  X(Silu)        /* x * sigmoid(x)                                             */ \
  X(HardSigmoid) /* clamp(x / 6 + 1/2, 0, 1)                                   */ \
  X(HardSwish)   /* x * clamp(x / 6 + 1/2, 0, 1)                               */ \
  X(GeluErf)     /* x / 2 * (1 + erf(x / sqrt(2)))                             */ \
  X(GeluTanh)    /* x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))      */ \
  X(Mish)        /* x * tanh(log(1 + exp(x)))                                  */ \
  X(Exp)         /* exp(x)                                                     */

enum class ActivationKind : uint8_t {
#define LANEFUSE_ENUM(name) k##name,
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
