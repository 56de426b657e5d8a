// Dot products from one vector register to 256 KiB an operand, alone and with a ReLU.
#include "lanefuse/dot.h"

#include <string>

#include "bench/support/buffer.h"
#include "bench/support/epilogues.h"
#include "bench/support/suite.h"
#include "bench/support/text.h"

namespace lanefuse::bench {
namespace {

class DotProblem {
 public:
  DotProblem(size_t n, const std::string& epilogue)
      : a_(Random(n, 1)), b_(Random(n, 2)), y_(1), chain_(epilogue, 1, 1) {}

  Status Fused() { return Dot(a_.span(), b_.span(), chain_.fused(), *y_.data()); }
  Status Unfused() {
    const Status status = Dot(a_.span(), b_.span(), Identity(), *y_.data());
    return status.ok() ? chain_.ApplyOneByOne(y_.data(), y_.data(), Threads()) : status;
  }
  size_t steps() const { return chain_.steps(); }

  // A dot product is a fully connected layer with one output. Here its second operand counts as
  // weights, which oneDNN may reorder ahead of time: an advantage that a caller seldom has.
  onednn::Layer Onednn() const {
    return onednn::FullyConnected({a_.data(), 1, a_.size()}, {b_.data(), 1, b_.size()},
                                  chain_.fused());
  }
  std::span<const float> output() const { return y_.span(); }

  Estimate Reference(size_t) const {
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < a_.size(); ++i) {
      const double product = static_cast<double>(a_.data()[i]) * static_cast<double>(b_.data()[i]);
      sum += product;
      squares += product * product;
    }
    return Through(chain_.fused(), {}, {sum, SumBound(a_.size(), squares)});
  }
  Work work() const {
    const auto n = static_cast<double>(a_.size());
    return {2.0 * n, 8.0 * n};
  }

 private:
  FloatBuffer a_, b_, y_;
  EpilogueChain chain_;
};

void AddDot(Suite& suite) {
  for (const char* epilogue : {"none", "relu"}) {
    for (size_t n = 16; n <= 65536; n *= 2) {
      suite.Add<DotProblem>("dot", epilogue, Text("n", n), n, std::string(epilogue));
    }
  }
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddDot);

}  // namespace
}  // namespace lanefuse::bench
