// Oracles for Linear: the sum in double with the bound that include/lanefuse/linear.h states, a
// scalar model of the stated order, and weights with batchnorm folded in double.
#ifndef LANEFUSE_TESTS_REFERENCE_LINEAR_REF_H_
#define LANEFUSE_TESTS_REFERENCE_LINEAR_REF_H_

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "arch/subnormals.h"
#include "lanefuse/packed.h"
#include "tests/reference/bound.h"
#include "tests/reference/dot_ref.h"

namespace lanefuse::test {

// The rule for the order of a sum, as the card of Linear states it.
inline bool UsesFourChains(size_t outputs, size_t inputs) { return outputs <= 16 && inputs >= 32; }

// sum_k x[k] * w[k] of a layer with `outputs` outputs.
inline Expected LinearExpected(std::span<const float> x, std::span<const float> w, size_t outputs) {
  double sum = 0.0, magnitude = 0.0;
  for (size_t k = 0; k < x.size(); ++k) {
    const double product = static_cast<double>(x[k]) * static_cast<double>(w[k]);  // Exact.
    sum += product;
    magnitude += std::fabs(product);
  }
  const auto n = static_cast<double>(x.size());
  const double chain = UsesFourChains(outputs, x.size()) ? std::ceil(n / 4.0) : n;
  return SumBound(sum, magnitude, chain + 2.0, n);
}

// From 0, one fused multiply-add for each k; or four such chains, k mod 4, that meet as
// (0 + 2) + (1 + 3).
inline float LinearModel(std::span<const float> x, std::span<const float> w, size_t outputs) {
  const arch::SubnormalsLikeVectors mode;
  if (UsesFourChains(outputs, x.size())) {
    float chain[4] = {};
    for (size_t k = 0; k < x.size(); ++k) chain[k % 4] = std::fma(x[k], w[k], chain[k % 4]);
    return (chain[0] + chain[2]) + (chain[1] + chain[3]);
  }
  float sum = 0.0f;
  for (size_t k = 0; k < x.size(); ++k) sum = std::fma(x[k], w[k], sum);
  return sum;
}

// Weights (outputs x inputs) and bias of a layer followed by `batchnorm`, in double.
struct Folded {
  std::vector<double> weights;
  std::vector<double> bias;
};

inline Folded FoldBatchNorm(std::span<const float> weights, std::span<const float> bias,
                            const BatchNorm& batchnorm) {
  const size_t outputs = batchnorm.mean.size();
  const size_t inputs = outputs == 0 ? 0 : weights.size() / outputs;
  Folded folded;
  for (size_t n = 0; n < outputs; ++n) {
    const double gamma = batchnorm.gamma.empty() ? 1.0 : static_cast<double>(batchnorm.gamma[n]);
    const double beta = batchnorm.beta.empty() ? 0.0 : static_cast<double>(batchnorm.beta[n]);
    const double b = bias.empty() ? 0.0 : static_cast<double>(bias[n]);
    const double scale = gamma / std::sqrt(static_cast<double>(batchnorm.variance[n]) +
                                           static_cast<double>(batchnorm.epsilon));
    for (size_t k = 0; k < inputs; ++k) {
      folded.weights.push_back(static_cast<double>(weights[n * inputs + k]) * scale);
    }
    folded.bias.push_back((b - static_cast<double>(batchnorm.mean[n])) * scale + beta);
  }
  return folded;
}

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_REFERENCE_LINEAR_REF_H_
