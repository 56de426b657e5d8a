#include "tests/support/chains.h"

#include <utility>

#include <gtest/gtest.h>

#include "lanefuse/elementwise.h"
#include "tests/support/bits.h"
#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

constexpr NamedActivation kActivations[] = {
#define LANEFUSE_NAMED(name, NAME) {#name, ActivationKind::k##name},
    LANEFUSE_ACTIVATIONS(LANEFUSE_NAMED)
#undef LANEFUSE_NAMED
};

// The constants of Scale and Clamp: neither exact powers of two nor wider than the data.
constexpr float kFactor = 0.7f;
constexpr float kLo = -0.4f, kHi = 0.9f;

std::string Name(const ChainStep& step) {
  switch (step.kind) {
    case StepKind::kBias:
      return "Bias";
    case StepKind::kAffine:
      return "Affine";
    case StepKind::kScale:
      return "Scale";
    case StepKind::kScaleChannels:
      return "ScaleChannels";
    case StepKind::kAdd:
      return step.self ? "Add:self" : "Add";
    case StepKind::kMul:
      return step.self ? "Mul:self" : "Mul";
    case StepKind::kClamp:
      return "Clamp";
    case StepKind::kAct:
      return std::string("Act:") + kActivations[static_cast<size_t>(step.act)].name;
  }
  return "?";
}

Chain Make(std::vector<ChainStep> steps) {
  Chain chain;
  for (const ChainStep& step : steps) {
    if (!chain.name.empty()) chain.name += ',';
    chain.name += Name(step);
  }
  chain.steps = std::move(steps);
  return chain;
}

constexpr ChainStep kBias{StepKind::kBias}, kAffine{StepKind::kAffine}, kScale{StepKind::kScale},
    kScaleChannels{StepKind::kScaleChannels}, kAdd{StepKind::kAdd}, kMul{StepKind::kMul},
    kClamp{StepKind::kClamp}, kAddSelf{.kind = StepKind::kAdd, .self = true},
    kMulSelf{.kind = StepKind::kMul, .self = true};
constexpr ChainStep kKinds[] = {kBias, kAffine, kScale,   kScaleChannels, kAdd,
                                kMul,  kClamp,  kAddSelf, kMulSelf};

ChainStep Act(ActivationKind kind) { return {.kind = StepKind::kAct, .act = kind}; }

Chain RandomChain(Random& random, size_t length) {
  std::vector<ChainStep> steps;
  for (size_t i = 0; i < length; ++i) {
    const size_t choice = random.Below(std::size(kKinds) + 5);
    steps.push_back(choice < std::size(kKinds)
                        ? kKinds[choice]
                        : Act(kActivations[random.Below(std::size(kActivations))].kind));
  }
  return Make(std::move(steps));
}

std::vector<Chain> MakeAllChains() {
  using enum ActivationKind;
  std::vector<Chain> chains = {Make({})};
  for (const ChainStep& step : kKinds) chains.push_back(Make({step}));
  for (const NamedActivation& act : kActivations) {
    chains.push_back(Make({Act(act.kind)}));
    chains.push_back(Make({kBias, Act(act.kind)}));
    chains.push_back(Make({Act(act.kind), kMul}));
  }
  for (const ChainStep& first : kKinds) {
    for (const ChainStep& second : kKinds) chains.push_back(Make({first, second}));
  }
  chains.push_back(Make({kBias, kAdd, Act(kRelu)}));
  chains.push_back(Make({kBias, kAddSelf, Act(kRelu)}));
  chains.push_back(Make({kBias, Act(kRelu), kAdd}));
  chains.push_back(Make({kAdd, kBias, Act(kRelu)}));
  chains.push_back(Make({kBias, kAdd, kClamp}));
  chains.push_back(Make({kBias, Act(kSilu), kMul}));
  chains.push_back(Make({kAffine, Act(kHardSwish)}));
  chains.push_back(Make({kAffine, kAdd, Act(kRelu6)}));
  chains.push_back(Make({kAdd, kAdd, kAdd, kAdd, kAdd, kAdd, kAdd, kAdd}));
  chains.push_back(
      Make({kBias, kAffine, kScale, kScaleChannels, kAdd, kMul, Act(kGeluErf), kClamp}));
  chains.push_back(
      Make({kClamp, Act(kTanh), kMulSelf, kAddSelf, kScaleChannels, kScale, kAffine, kBias}));
  chains.push_back(
      Make({Act(kSigmoid), kBias, Act(kMish), kAdd, Act(kElu), kMul, Act(kPRelu), Act(kGeluTanh)}));
  Random random(0xC4A1);
  for (size_t length = 2; length <= 8; ++length) {
    for (int i = 0; i < 8; ++i) chains.push_back(RandomChain(random, length));
  }
  return chains;
}

}  // namespace

const std::vector<Chain>& AllChains() {
  static const std::vector<Chain> chains = MakeAllChains();
  return chains;
}

const std::vector<Chain>& FewChains() {
  using enum ActivationKind;
  static const std::vector<Chain> chains = {
      Make({}),
      Make({kBias}),
      Make({kBias, Act(kRelu)}),
      Make({kBias, kClamp}),
      Make({kBias, kAdd, Act(kRelu)}),
      Make({kBias, kAddSelf, Act(kRelu)}),
      Make({kAffine, Act(kHardSwish)}),
      Make({kBias, Act(kSilu), kMul}),
      Make({kScale, kScaleChannels, Act(kPRelu)}),
      Make({kMulSelf, kAddSelf, kBias, Act(kTanh)}),
      Make({kBias, kAffine, kScale, kScaleChannels, kAdd, kMul, Act(kGeluErf), kClamp}),
      Make({kClamp, Act(kElu), kMulSelf, kAddSelf, kScaleChannels, Act(kPRelu), kAffine, kBias}),
  };
  return chains;
}

std::span<const NamedActivation> AllActivations() { return kActivations; }

ChainData::ChainData(size_t rows, size_t cols, uint64_t salt) : rows_(rows), cols_(cols) {
  Random random(salt);
  for (std::vector<float>* v : {&bias_, &scale_, &shift_, &slope_}) {
    v->resize(cols);
    random.FillUniform(*v);
  }
  for (std::vector<float>* v : {&residual_, &gate_, &initial_}) {
    v->resize(rows * cols);
    random.FillUniform(*v);
  }
}

Activation ChainData::Act(ActivationKind kind) const {
  Activation act{.kind = kind};
  if (kind == ActivationKind::kLeakyRelu) act.alpha = 0.01f;
  if (kind == ActivationKind::kElu) act.alpha = 1.3f;
  if (kind == ActivationKind::kPRelu) act.slope = slope_;
  return act;
}

void ChainData::PushFlat(const ChainStep& step, Epilogue& epilogue) const {
  switch (step.kind) {
    case StepKind::kBias:
      epilogue.Bias(bias_);
      break;
    case StepKind::kAffine:
      epilogue.Affine(scale_, shift_);
      break;
    case StepKind::kScale:
      epilogue.Scale(kFactor);
      break;
    case StepKind::kScaleChannels:
      epilogue.ScaleChannels(scale_);
      break;
    case StepKind::kClamp:
      epilogue.Clamp(kLo, kHi);
      break;
    case StepKind::kAct:
      epilogue.Act(Act(step.act));
      break;
    case StepKind::kAdd:
    case StepKind::kMul:
      break;  // The callers' work: only they know the operand's view.
  }
}

Epilogue ChainData::Fused(const Chain& chain, MatView<const float> y) const {
  Epilogue epilogue;
  for (const ChainStep& step : chain.steps) {
    if (step.kind == StepKind::kAdd) {
      epilogue.Add(step.self ? y : MatView<const float>(residual_.data(), rows_, cols_));
    } else if (step.kind == StepKind::kMul) {
      epilogue.Mul(step.self ? y : MatView<const float>(gate_.data(), rows_, cols_));
    } else {
      PushFlat(step, epilogue);
    }
  }
  return epilogue;
}

Epilogue ChainData::FusedImage(const Chain& chain, ImageView<const float> y) const {
  const auto operand = [&](const ChainStep& step, const std::vector<float>& dense) {
    if (step.self) return y;
    return ImageView<const float>(dense.data(), y.images, y.height, y.width, cols_);
  };
  Epilogue epilogue;
  for (const ChainStep& step : chain.steps) {
    if (step.kind == StepKind::kAdd) {
      epilogue.Add(operand(step, residual_));
    } else if (step.kind == StepKind::kMul) {
      epilogue.Mul(operand(step, gate_));
    } else {
      PushFlat(step, epilogue);
    }
  }
  return epilogue;
}

void ChainData::Unfused(const Chain& chain, std::span<float> values) const {
  ASSERT_EQ(values.size(), rows_ * cols_);
  const MatView<float> y(values.data(), rows_, cols_);
  const MatView<const float> before(initial_.data(), rows_, cols_);
  for (const ChainStep& step : chain.steps) {
    const Chain single{"", {step}};
    const Status status = Apply(y, Fused(single, before), y, {.threads = 1});
    ASSERT_TRUE(status.ok()) << chain.name << ": " << status.message();
  }
}

void Agreement::Expect(const std::string& key, std::vector<float> result) {
  const auto [entry, is_first] = first_.try_emplace(key, std::move(result));
  if (!is_first) {
    EXPECT_SAME_BITS(result, entry->second) << key << ": targets disagree";
  }
}

}  // namespace lanefuse::test
