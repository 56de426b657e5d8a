#include "bench/support/epilogues.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "lanefuse/elementwise.h"

namespace lanefuse::bench {
namespace {

bool SameIgnoringCase(std::string_view token, std::string_view name) {
  if (token.size() != name.size()) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    if (token[i] != std::tolower(static_cast<unsigned char>(name[i]))) return false;
  }
  return true;
}

bool ActivationByName(std::string_view token, Activation& act) {
#define LANEFUSE_BENCH_MATCH(name, NAME) \
  if (SameIgnoringCase(token, #name)) {  \
    act.kind = ActivationKind::k##name;  \
    return true;                         \
  }
  LANEFUSE_ACTIVATIONS(LANEFUSE_BENCH_MATCH)
#undef LANEFUSE_BENCH_MATCH
  return false;
}

}  // namespace

EpilogueChain::EpilogueChain(std::string_view name, size_t images, size_t height, size_t width,
                             size_t channels, bool image)
    : images_(images), height_(height), width_(width), channels_(channels), image_(image) {
  if (name == "none") return;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('_', begin), name.size());
    AddStep(name.substr(begin, end - begin));
    begin = end + 1;
  }
}

std::span<const float> EpilogueChain::Operand(size_t size) {
  operands_.push_back(Random(size, static_cast<uint32_t>(100 + operands_.size())));
  operand_bytes_ += static_cast<double>(size * sizeof(float));
  return std::as_const(operands_.back()).span();
}

void EpilogueChain::AddStep(std::string_view token) {
  const size_t rows = images_ * height_ * width_;
  Epilogue single;
  const auto both = [&](auto step) {
    step(fused_);
    step(single);
  };
  // An operand of the output's shape has the output's kind of view in the fused call; Apply, one
  // step at a time, sees all pixels as the rows of a matrix.
  const auto shaped = [&](auto step) {
    const float* data = Operand(rows * channels_).data();
    const MatView<const float> matrix(data, rows, channels_);
    if (image_) {
      step(fused_, ImageView<const float>(data, images_, height_, width_, channels_));
    } else {
      step(fused_, matrix);
    }
    step(single, matrix);
  };
  Activation act;
  if (token == "bias") {
    both([o = Operand(channels_)](Epilogue& e) { e.Bias(o); });
  } else if (token == "affine") {
    both([a = Operand(channels_), b = Operand(channels_)](Epilogue& e) { e.Affine(a, b); });
  } else if (token == "scale") {
    both([](Epilogue& e) { e.Scale(0.125f); });
  } else if (token == "add") {
    shaped([](Epilogue& e, auto operand) { e.Add(operand); });
  } else if (token == "mul") {
    shaped([](Epilogue& e, auto operand) { e.Mul(operand); });
  } else if (token == "clamp") {
    both([](Epilogue& e) { e.Clamp(-0.5f, 0.5f); });
  } else if (ActivationByName(token, act)) {
    if (act.kind == ActivationKind::kPRelu) act.slope = Operand(channels_);
    if (act.kind == ActivationKind::kLeakyRelu) act.alpha = 0.01f;
    if (act.kind == ActivationKind::kElu) act.alpha = 1.0f;
    both([act](Epilogue& e) { e.Act(act); });
  } else {
    std::fprintf(stderr, "lanefuse_bench: no step is called '%s'\n", std::string(token).c_str());
    std::abort();  // a mistake in a benchmark's table
  }
  single_.push_back(single);
}

bool EpilogueChain::sums() const {
  const std::span<const Step> steps = fused_.steps();
  const size_t first = !steps.empty() && steps[0].kind == StepKind::kBias ? 1 : 0;
  return first < steps.size() && steps[first].kind == StepKind::kAdd;
}

Epilogue EpilogueChain::OntoOutput(const float* y) const {
  Epilogue chain;
  bool replaced = false;
  for (const Step& step : fused_.steps()) {
    if (step.kind == StepKind::kBias) {
      chain.Bias({step.data, step.size});
    } else if (step.kind == StepKind::kAct) {
      chain.Act({step.act, step.lo, {step.data, step.size}});
    } else if (step.kind == StepKind::kAdd && !replaced) {
      replaced = true;
      if (image_) {
        chain.Add(ImageView<const float>(y, images_, height_, width_, channels_));
      } else {
        chain.Add(MatView<const float>(y, images_ * height_ * width_, channels_));
      }
    } else {
      std::fputs("lanefuse_bench: this step has no place behind a sum yet\n", stderr);
      std::abort();  // a mistake in a benchmark's table
    }
  }
  return chain;
}

void EpilogueChain::Restore(float* y) const {
  for (const Step& step : fused_.steps()) {
    if (step.kind == StepKind::kAdd) {
      std::copy_n(step.data, images_ * height_ * width_ * channels_, y);
    }
  }
}

Status EpilogueChain::ApplyOneByOne(const float* x, float* y, Parallel parallel) const {
  const size_t rows = images_ * height_ * width_;
  const MatView<float> output(y, rows, channels_);
  MatView<const float> input(x, rows, channels_);
  for (const Epilogue& step : single_) {
    const Status status = Apply(input, step, output, parallel);
    if (!status.ok()) return status;
    input = output;
  }
  return {};
}

}  // namespace lanefuse::bench
