// The activations, each with its formula. One list feeds the enums of C++ and C, dispatch, tests
// and benchmarks. C and C++. The numbers are part of the C ABI: a new one goes to the end.
#ifndef LANEFUSE_ACTIVATION_LIST_H_
#define LANEFUSE_ACTIVATION_LIST_H_

//   name and its form in C           formula                                       parameters
#define LANEFUSE_ACTIVATIONS(X)                                                                 \
  X(Identity, IDENTITY)        /* x                                                          */ \
  X(Relu, RELU)                /* x < 0 ? 0 : x                                              */ \
  X(Relu6, RELU6)              /* x < 0 ? 0 : x > 6 ? 6 : x                                  */ \
  X(LeakyRelu, LEAKY_RELU)     /* x < 0 ? alpha * x : x                     alpha            */ \
  X(PRelu, PRELU)              /* x < 0 ? slope[c] * x : x                  slope, a channel */ \
  X(Elu, ELU)                  /* x < 0 ? alpha * (exp(x) - 1) : x          alpha            */ \
  X(Sigmoid, SIGMOID)          /* 1 / (1 + exp(-x))                                          */ \
  X(Tanh, TANH)                /* tanh(x)                                                    */ \
  X(Silu, SILU)                /* x * sigmoid(x)                                             */ \
  X(HardSigmoid, HARD_SIGMOID) /* clamp(x / 6 + 1/2, 0, 1)                                   */ \
  X(HardSwish, HARD_SWISH)     /* x * clamp(x / 6 + 1/2, 0, 1)                               */ \
  X(GeluErf, GELU_ERF)         /* x / 2 * (1 + erf(x / sqrt(2)))                             */ \
  X(GeluTanh, GELU_TANH)       /* x / 2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))      */ \
  X(Mish, MISH)                /* x * tanh(log(1 + exp(x)))                                  */ \
  X(Exp, EXP)                  /* exp(x)                                                     */

#endif  // LANEFUSE_ACTIVATION_LIST_H_
