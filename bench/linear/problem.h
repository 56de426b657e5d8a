// What the benchmarks of Linear and Gemv share: operands, reference, work.
#ifndef LANEFUSE_BENCH_LINEAR_PROBLEM_H_
#define LANEFUSE_BENCH_LINEAR_PROBLEM_H_

#include <string>

#include "bench/support/buffer.h"
#include "bench/support/check.h"
#include "bench/support/epilogues.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"
#include "lanefuse/view.h"

namespace lanefuse::bench {

inline std::string LinearName(size_t m, size_t k, size_t n) {
  return Text("m", m, "_k", k, "_n", n);
}

class LinearProblem {
 public:
  LinearProblem(size_t m, size_t k, size_t n, const std::string& epilogue)
      : m_(m),
        k_(k),
        n_(n),
        x_(Random(m * k, 1)),
        w_(Random(n * k, 2)),
        y_(m * n),
        chain_(epilogue, m, n),
        in_place_(chain_.sums() ? chain_.OntoOutput(y_.data()) : Epilogue()) {}

  size_t steps() const { return chain_.steps(); }
  bool sums() const { return chain_.sums(); }
  void Restore() { chain_.Restore(y_.data()); }
  std::span<const float> output() const { return y_.span(); }

  Estimate Reference(size_t i) const {
    const float* x = x_.data() + i / n_ * k_;
    const float* w = w_.data() + i % n_ * k_;
    double sum = 0.0, squares = 0.0;
    for (size_t k = 0; k < k_; ++k) {
      const double product = static_cast<double>(x[k]) * static_cast<double>(w[k]);
      sum += product;
      squares += product * product;
    }
    return Through(chain_.fused(), {0, 0, i / n_, i % n_}, {sum, SumBound(k_, squares)});
  }

  Work work() const {
    const auto m = static_cast<double>(m_), k = static_cast<double>(k_),
               n = static_cast<double>(n_);
    return {2.0 * m * k * n, 4.0 * (m * k + k * n + m * n) + chain_.operand_bytes()};
  }

 protected:
  MatView<const float> x() const { return {x_.data(), m_, k_}; }
  MatView<const float> w() const { return {w_.data(), n_, k_}; }
  MatView<float> y() { return {y_.data(), m_, n_}; }
  const EpilogueChain& chain() const { return chain_; }
  const Epilogue& in_place() const { return in_place_; }

 private:
  size_t m_, k_, n_;
  FloatBuffer x_, w_, y_;
  EpilogueChain chain_;
  Epilogue in_place_;
};

}  // namespace lanefuse::bench

#endif  // LANEFUSE_BENCH_LINEAR_PROBLEM_H_
