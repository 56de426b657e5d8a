// Layers with one input: each must come out as it does alone.
#include <gtest/gtest.h>

#include <cstddef>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "lanefuse/linear.h"
#include "lanefuse/target.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// Layers with random weights, biases and chains on one random x, all between guard pages.
class Group {
 public:
  Group(size_t rows, size_t inputs, const std::vector<size_t>& outputs, Random& random)
      : x_(rows, inputs, inputs + random.Below(4), kGuards[random.Below(2)]) {
    for (size_t m = 0; m < rows; ++m) random.FillUniform(x_.row(m), -1.0f, 1.0f);
    x_.ReadOnly();
    for (const size_t n : outputs) {
      Layer& layer = layers_.emplace_back(rows, n, random);
      std::vector<float> weights(n * inputs), bias(n);
      random.FillUniform(weights, -1.0f, 1.0f);
      random.FillUniform(bias, -1.0f, 1.0f);
      layer.bytes.resize(PackedLinear::Bytes(n, inputs));
      const bool has_bias = random.Below(2) == 0;
      EXPECT_TRUE(PackedLinear::Pack({weights.data(), n, inputs},
                                     has_bias ? std::span<const float>(bias) : std::span<float>(),
                                     nullptr, layer.bytes, layer.packed)
                      .ok());
      const auto& chains = FewChains();
      const auto& chain = chains[random.Below(chains.size())];
      layer.together_steps = layer.chain.Fused(chain, layer.together.view());
      layer.alone_steps = layer.chain.Fused(chain, layer.alone.view());
    }
  }

  std::vector<LinearLayer> Layers() const {
    std::vector<LinearLayer> layers;
    for (const Layer& l : layers_) {
      layers.push_back({&l.packed, &l.together_steps, l.together.view()});
    }
    return layers;
  }

  // One call against one for each layer.
  void Check(const Parallel& parallel) const {
    for (const Layer& l : layers_) {
      l.Reset();
      ASSERT_TRUE(Linear(x_.cview(), l.packed, l.alone_steps, l.alone.view(), {.threads = 1}).ok());
    }
    const std::vector<LinearLayer> layers = Layers();
    const Status status = LinearGroup(x_.cview(), layers, parallel);
    ASSERT_TRUE(status.ok()) << status.message();
    for (const Layer& l : layers_) {
      EXPECT_SAME_BITS(l.together.view(), l.alone.view());
      EXPECT_TRUE(l.together.CheckCanaries());
    }
  }

  MatView<const float> x() const { return x_.cview(); }
  const PackedLinear& packed(size_t i) const { return layers_[i].packed; }

 private:
  struct Layer {
    Layer(size_t rows, size_t outputs, Random& random)
        : together(rows, outputs, outputs + random.Below(4), kGuards[random.Below(2)]),
          alone(rows, outputs, outputs + random.Below(4), kGuards[random.Below(2)]),
          chain(rows, outputs, random.Below(1000)) {}
    void Reset() const {  // chains may read what the output held
      together.Fill(chain.initial());
      alone.Fill(chain.initial());
    }
    GuardedMat together, alone;
    ChainData chain;
    Epilogue together_steps, alone_steps;
    std::vector<std::byte> bytes;
    PackedLinear packed;
  };
  GuardedMat x_;
  std::deque<Layer> layers_;  // which do not move
};

TEST(LinearGroup, EqualsItsLayersAlone) {
  Random random(__LINE__);
  for (const size_t rows : {0, 1, 2, 5, 7, 13, 40}) {
    for (const size_t inputs : {1, 31, 64, 70}) {
      for (const std::vector<size_t>& outputs :
           {std::vector<size_t>{}, {1}, {64, 64, 64}, {12, 33}, {7, 0, 130}, {48, 17, 1}}) {
        const Group group(rows, inputs, outputs, random);
        ForEachTarget([&](std::string_view target) {
          if (IsSlow(target) && rows > 7) return;
          group.Check({.threads = 1});
        });
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(LinearGroup, ThreadsChangeNothing) {
  Random random(__LINE__);
  for (const size_t rows : {1, 2, 9, 100}) {  // the last are more than there are panels
    const Group group(rows, 700, {300, 512, 33}, random);
    ForEachTarget([&](std::string_view target) {
      if (IsSlow(target)) return;
      ForEachParallel([&](const Parallel& parallel, const std::string&) { group.Check(parallel); });
    });
  }
}

// Layers that are each too small for threads.
TEST(LinearGroup, SmallLayersShareTheThreads) {
  Random random(__LINE__);
  constexpr size_t kInputs = 600, kOutputs = 320;  // 192000 multiply-adds each
  const Group group(1, kInputs, {kOutputs, kOutputs, kOutputs}, random);
  ReversePool alone, together;
  std::vector<float> y(kOutputs);
  ASSERT_TRUE(Linear(group.x(), group.packed(0), {}, y, alone.WithThreads(2)).ok());
  EXPECT_EQ(alone.counts().runs, 0u);
  group.Check(together.WithThreads(2));
  EXPECT_EQ(together.counts().runs, 1u);
  EXPECT_EQ(together.counts().most_parts, 2u);
}

// Queries, keys and values as columns of one matrix.
TEST(LinearGroup, OutputsMayBeColumnsOfOneMatrix) {
  Random random(__LINE__);
  constexpr size_t kRows = 5, kInputs = 24, kOutputs = 16;
  const Group group(kRows, kInputs, {kOutputs, kOutputs, kOutputs}, random);
  std::vector<float> all(kRows * 3 * kOutputs), one(kRows * kOutputs);
  std::vector<LinearLayer> layers;
  for (size_t i = 0; i < 3; ++i) {
    layers.push_back(
        {&group.packed(i), nullptr, {all.data() + i * kOutputs, kRows, kOutputs, 3 * kOutputs}});
  }
  ASSERT_TRUE(LinearGroup(group.x(), layers).ok());
  for (size_t i = 0; i < 3; ++i) {
    const MatView<float> alone(one.data(), kRows, kOutputs);
    ASSERT_TRUE(Linear(group.x(), group.packed(i), {}, alone).ok());
    EXPECT_SAME_BITS(layers[i].y, alone);
  }
}

TEST(LinearGroup, AllocatesNothing) {
  Random random(__LINE__);
  const Group group(3, 700, {300, 512, 33}, random);
  const std::vector<LinearLayer> layers = group.Layers();
  ThreadPool pool(2);
  for (const Parallel& parallel : {Parallel{.threads = 1}, Parallel{}, pool.WithThreads(2)}) {
    Status status = LinearGroup(group.x(), layers, parallel);
    EXPECT_NO_ALLOC(status = LinearGroup(group.x(), layers, parallel));
    EXPECT_TRUE(status.ok());
  }
}

class LinearGroupWrong : public testing::Test {
 protected:
  static constexpr size_t kRows = 2, kInputs = 8, kOutputs = 16;

  // Fails with this message, and writes nothing.
  void Expect(StatusCode code, const std::string& message) {
    const std::vector<float> before = y_;
    const Status status = LinearGroup(x_, layers_);
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), message);
    EXPECT_EQ(y_, before);
    layers_ = Right();
  }
  std::vector<LinearLayer> Right() {
    return {{&group_.packed(0), nullptr, Rows(0)}, {&group_.packed(1), nullptr, Rows(1)}};
  }
  MatView<float> Rows(size_t i) { return {y_.data() + i * kRows * kOutputs, kRows, kOutputs}; }

  Random random_{__LINE__};
  const Group group_{kRows, kInputs, {kOutputs, kOutputs}, random_};
  MatView<const float> x_ = group_.x();
  std::vector<float> y_ = std::vector<float>(3 * kRows * kOutputs, 7.0f);
  std::vector<LinearLayer> layers_ = Right();
};

TEST_F(LinearGroupWrong, NamesTheLayerAndTheArgument) {
  layers_.resize(4);
  Expect(StatusCode::kInvalidArgument, "layers has 4, at most 3 are possible");
  layers_[1].weights = nullptr;
  Expect(StatusCode::kInvalidArgument, "layer 1: weights is null");
  const PackedLinear empty;
  layers_[0].weights = &empty;
  Expect(StatusCode::kInvalidArgument, "layer 0: w is empty: Pack or View it first");
  layers_[1].y.cols = 15;
  Expect(StatusCode::kShapeMismatch, "layer 1: y.cols is 15, the weights have 16 outputs");
  layers_[1].y.rows = 1;
  Expect(StatusCode::kShapeMismatch, "layer 1: y.rows is 1, x.rows is 2");
  layers_[1].y.data = nullptr;
  Expect(StatusCode::kInvalidArgument, "layer 1: y.data is null");
  const Epilogue reversed = Epilogue().Clamp(1.0f, 0.0f);
  layers_[1].epilogue = &reversed;
  Expect(StatusCode::kInvalidArgument,
         "layer 1: epilogue Clamp: lo must be at most hi, and neither may be NaN");
}

TEST_F(LinearGroupWrong, LayersMayNotWriteWhatOthersUse) {
  layers_[1].y = Rows(0);
  Expect(StatusCode::kOverlap, "layer 0: y overlaps y of layer 1");
  layers_[1].y.data = y_.data() + 1;
  Expect(StatusCode::kOverlap, "layer 0: y overlaps y of layer 1");
  const Epilogue gate = Epilogue().Mul(MatView<const float>(Rows(0)));
  layers_[1].epilogue = &gate;
  Expect(StatusCode::kOverlap, "layer 0: y overlaps an operand of layer 1");
  const Epilogue bias = Epilogue().Bias(std::span<const float>(y_).first(kOutputs));
  layers_[1].epilogue = &bias;
  Expect(StatusCode::kOverlap, "layer 0: y overlaps an operand of layer 1");
  const Epilogue own = Epilogue().Add(MatView<const float>(Rows(1)));
  layers_[1].epilogue = &own;
  EXPECT_TRUE(LinearGroup(x_, layers_).ok());

  std::vector<std::byte> bytes(PackedLinear::Bytes(kOutputs, kInputs));
  const std::vector<float> w(kOutputs * kInputs, 1.0f);
  PackedLinear packed;
  ASSERT_TRUE(PackedLinear::Pack({w.data(), kOutputs, kInputs}, {}, nullptr, bytes, packed).ok());
  layers_ = Right();
  layers_[1].weights = &packed;
  layers_[0].y.data = const_cast<float*>(packed.panels());
  Expect(StatusCode::kOverlap, "layer 0: y overlaps weights of layer 1");
}

}  // namespace
}  // namespace lanefuse::test
