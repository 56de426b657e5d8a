// Matrix times vector with the weights as they are, row-major: used once, so not worth packing.
#include <string>

#include "bench/linear/problem.h"
#include "bench/support/suite.h"
#include "lanefuse/linear.h"

namespace lanefuse::bench {
namespace {

class GemvProblem : public LinearProblem {
 public:
  GemvProblem(size_t k, size_t n, const std::string& epilogue) : LinearProblem(1, k, n, epilogue) {}

  Status Fused() {
    return Gemv(w(), {x().data, x().cols}, chain().fused(), {y().data, y().cols}, Threads());
  }
  Status Unfused() {
    const Status status =
        Gemv(w(), {x().data, x().cols}, Epilogue(), {y().data, y().cols}, Threads());
    return status.ok() ? chain().ApplyOneByOne(y().data, y().data, Threads()) : status;
  }
  onednn::Layer Onednn() const { return onednn::FullyConnectedPlain(x(), w(), chain().fused()); }
};

void AddShape(Suite& suite, const std::string& epilogue, size_t k, size_t n) {
  suite.Add<GemvProblem>("gemv", epilogue, LinearName(1, k, n), k, n, epilogue);
}

void AddGemv(Suite& suite) {
  AddShape(suite, "none", 1, 1);
  for (const size_t k : {16, 64, 256, 640, 1024, 4096}) {
    for (const size_t n : {12, 64, 256, 1000, 4096}) AddShape(suite, "bias_relu", k, n);
  }
  AddShape(suite, "bias_relu", 512, 512);
  AddShape(suite, "bias_relu", 768, 3072);
  for (const char* epilogue : {"none", "bias_silu_mul", "bias_geluerf"}) {
    AddShape(suite, epilogue, 256, 256);
    AddShape(suite, epilogue, 768, 3072);
  }
}
[[maybe_unused]] const bool kAdded = Suite::AddFamily(AddGemv);

}  // namespace
}  // namespace lanefuse::bench
