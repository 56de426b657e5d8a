// Epilogues to try: a list of chains, the data for their steps, and each chain fused and unfused.
//
//   const ChainData data(rows, cols, __LINE__);
//   for (const Chain& chain : AllChains()) {
//     y.Fill(data.initial());                              // steps with `self` read the output
//     Linear(x, w, data.Fused(chain, y.view()), y.view());
//     std::vector<float> expected = sums;                  // the kernel's result without epilogue
//     data.Unfused(chain, expected);                       // one Apply for each step
//     EXPECT_SAME_BITS(y.cview(), expected) << chain.name;
//   }
//
// FusedImage() gives the same for an output of images x height x width x cols.
#ifndef LANEFUSE_TESTS_SUPPORT_CHAINS_H_
#define LANEFUSE_TESTS_SUPPORT_CHAINS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lanefuse/epilogue.h"
#include "lanefuse/view.h"

namespace lanefuse::test {

struct ChainStep {
  StepKind kind = StepKind::kAct;
  ActivationKind act = ActivationKind::kIdentity;
  bool self = false;  // Add, Mul: the operand is the output itself, as it was before the call
};

struct Chain {
  std::string name;  // such as "Bias,Add,Act:Relu"
  std::vector<ChainStep> steps;
};

// Every step alone, every activation behind a bias, every ordered pair of the other steps, the
// frequent chains, chains of eight steps, and random ones. About 200.
const std::vector<Chain>& AllChains();

// A tenth of them, with all kinds of steps and lengths: for sweeps over many shapes.
const std::vector<Chain>& FewChains();

// Every activation, with the parameters that the tests use.
struct NamedActivation {
  const char* name;
  ActivationKind kind;
};
std::span<const NamedActivation> AllActivations();

class ChainData {
 public:
  ChainData(size_t rows, size_t cols, uint64_t salt);

  // The whole chain for an output of rows x cols. `y` is the output, for steps with `self`.
  Epilogue Fused(const Chain& chain, MatView<const float> y) const;
  // The same for an output image; images * height * width == rows.
  Epilogue FusedImage(const Chain& chain, ImageView<const float> y) const;
  // Runs the chain in place on dense rows x cols values, by one call of Apply for each step.
  void Unfused(const Chain& chain, std::span<float> values) const;

  // One activation with its parameters.
  Activation Act(ActivationKind kind) const;
  // What an output must hold before the call (dense) where a step has `self`.
  std::span<const float> initial() const { return initial_; }
  std::span<const float> bias() const { return bias_; }
  std::span<const float> scale() const { return scale_; }
  std::span<const float> shift() const { return shift_; }
  std::span<const float> slope() const { return slope_; }
  std::span<const float> residual() const { return residual_; }
  std::span<const float> gate() const { return gate_; }

 private:
  void PushFlat(const ChainStep& step, Epilogue& epilogue) const;

  size_t rows_, cols_;
  std::vector<float> bias_, scale_, shift_, slope_, residual_, gate_, initial_;
};

// Holds the first result under each key and compares all later ones with it: how targets are
// compared with each other. Use one object for all targets.
class Agreement {
 public:
  void Expect(const std::string& key, std::vector<float> result);

 private:
  std::map<std::string, std::vector<float>> first_;
};

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_SUPPORT_CHAINS_H_
