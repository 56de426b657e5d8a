// Wrong calls of Dot, Gemv, Linear, Softmax and Apply, and chains that no kernel accepts. Those of
// the convolutions and of packing: wrong_shape_test.cc.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <optional>

#include "lanefuse/lanefuse.h"
#include "tests/support/parallel.h"
#include "tests/support/wrong_calls.h"

namespace lanefuse::test {
namespace {

using enum StatusCode;

constexpr size_t kHuge = std::numeric_limits<size_t>::max() / 2;
const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInf = std::numeric_limits<float>::infinity();

// A pool without a number of threads: the library cannot know how many parts to make.
Parallel PoolWithoutThreads() {
  static ReversePool pool;
  return pool.WithThreads(0);
}

struct DotArgs {
  std::span<const float> a, b;
  Activation act;
  std::optional<Epilogue> epilogue;
  float* out;
};

Status CallDot(const DotArgs& args) {
  return args.epilogue ? Dot(args.a, args.b, *args.epilogue, *args.out)
                       : Dot(args.a, args.b, args.act, *args.out);
}

TEST(WrongInput, Dot) {
  Arena arena;
  const auto slope = arena.Floats(2);
  WrongCalls<DotArgs> wrong(
      arena, {arena.Floats(70), arena.Floats(70), Relu(), std::nullopt, arena.Floats(1).data()},
      CallDot);
  using Args = DotArgs;
  const std::span<const float> null(static_cast<const float*>(nullptr), 70);
  wrong(kInvalidArgument, "a", [&](Args& args) { args.a = null; });
  wrong(kInvalidArgument, "b", [&](Args& args) { args.b = null; });
  wrong(kShapeMismatch, "a|b", [](Args& args) { args.a = args.a.first(69); });
  wrong(kShapeMismatch, "a|b", [](Args& args) { args.b = {}; });
  wrong(kShapeMismatch, "slope", [&](Args& args) { args.act = PRelu(slope); });
  wrong(kShapeMismatch, "slope", [](Args& args) { args.act = PRelu({}); });
  wrong(kInvalidArgument, "slope", [&](Args& args) { args.act = PRelu(null.first(1)); });
  wrong(kInvalidArgument, "act|activation",
        [](Args& args) { args.act.kind = static_cast<ActivationKind>(200); });
  wrong(kShapeMismatch, "bias", [&](Args& args) { args.epilogue = Epilogue().Bias(slope); });
  wrong(kShapeMismatch, "slope",
        [&](Args& args) { args.epilogue = Epilogue().Act(Relu()).Act(PRelu(slope)); });
  wrong(kInvalidArgument, "epilogue|steps", [&](Args& args) {
    args.epilogue.emplace();
    for (int i = 0; i < 9; ++i) args.epilogue->Scale(1.0f);
  });
  wrong(kShapeMismatch, "operand|Add|residual", [&](Args& args) {
    args.epilogue = Epilogue().Add(MatView<const float>(slope.data(), 1, 2));
  });
}

struct GemvArgs {
  MatView<const float> w;
  std::span<const float> x;
  Epilogue epilogue;
  std::span<float> y;
  Parallel parallel;
};

TEST(WrongInput, Gemv) {
  Arena arena;
  using Args = GemvArgs;
  WrongCalls<Args> wrong(
      arena,
      {{arena.Floats(7 * 12).data(), 7, 10, 12}, arena.Floats(10), Epilogue(), arena.Floats(7), {}},
      [](const Args& args) { return Gemv(args.w, args.x, args.epilogue, args.y, args.parallel); });
  wrong(kInvalidArgument, "w", [](Args& args) { args.w.data = nullptr; });
  wrong(kInvalidArgument, "x", [](Args& args) {
    args.x = {static_cast<const float*>(nullptr), 10};
  });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y = {static_cast<float*>(nullptr), 7}; });
  wrong(kInvalidArgument, "w", [](Args& args) { args.w.stride = 9; });
  wrong(kInvalidArgument, "w", [](Args& args) { args.w.stride = 0; });
  wrong(kInvalidArgument, "w", [](Args& args) { args.w.stride = kHuge; });
  wrong(kShapeMismatch, "x", [](Args& args) { args.x = args.x.first(9); });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y = args.y.first(6); });
  wrong(kShapeMismatch, "x|w", [](Args& args) { args.w.cols = 11; });
  wrong(kOverlap, "y", [](Args& args) {
    args.y = {const_cast<float*>(args.w.data) + 7 * 12 - 9, 7};  // The last row of w.
  });
  wrong(kOverlap, "y", [](Args& args) { args.y = {const_cast<float*>(args.x.data()) + 9, 7}; });
  wrong(kInvalidArgument, "threads", [](Args& args) { args.parallel = PoolWithoutThreads(); });
}

struct LinearArgs {
  MatView<const float> x;
  PackedLinear w;
  Epilogue epilogue;
  MatView<float> y;
  Parallel parallel;
};

Status CallLinear(const LinearArgs& args) {
  return Linear(args.x, args.w, args.epilogue, args.y, args.parallel);
}

// 5 rows, 10 inputs, 7 outputs, with strides of 12 and 9.
LinearArgs ValidLinear(Arena& arena) {
  LinearArgs args{
      {arena.Floats(60).data(), 5, 10, 12}, {}, {}, {arena.Floats(45).data(), 5, 7, 9}, {}};
  const Status status = PackedLinear::Pack({arena.Floats(70).data(), 7, 10}, {}, nullptr,
                                           arena.Bytes(PackedLinear::Bytes(7, 10)), args.w);
  EXPECT_TRUE(status.ok()) << status.message();
  return args;
}

TEST(WrongInput, Linear) {
  Arena arena;
  using Args = LinearArgs;
  WrongCalls<Args> wrong(arena, ValidLinear(arena), CallLinear);
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.data = nullptr; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.data = nullptr; });
  wrong.AnyOf({kInvalidArgument, kShapeMismatch}, "w", [](Args& args) { args.w = {}; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.stride = 9; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.stride = 6; });
  wrong(kShapeMismatch, "x", [](Args& args) { args.x.cols = 9; });
  wrong(kShapeMismatch, "x", [](Args& args) { args.x.cols = 11; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.cols = 8; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.cols = 0; });
  wrong(kShapeMismatch, "y", [](Args& args) { args.y.rows = 4; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.x.rows = 0; });
  wrong(kInvalidArgument, "x|y", [](Args& args) { args.x.rows = args.y.rows = kHuge; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.stride = kHuge; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.stride = kHuge; });
  wrong(kOverlap, "y", [](Args& args) { args.y.data = const_cast<float*>(args.x.data); });
  wrong(kOverlap, "y", [](Args& args) {
    args.y.data = const_cast<float*>(args.x.data) + 4 * 12 + 9;  // The last element of x alone.
  });
  wrong(kOverlap, "y", [](Args& args) { args.y.data = const_cast<float*>(args.w.panels()); });
  wrong(kOverlap, "y", [](Args& args) {
    args.y.data = const_cast<float*>(args.w.panels()) + 16 * 10 - 1;  // The padding's last element.
  });
  wrong(kInvalidArgument, "threads", [](Args& args) { args.parallel = PoolWithoutThreads(); });
}

// Each wrong chain behind Linear and Apply; behind the other kernels the same code checks it.
template <class Args>
void WrongChains(Arena& arena, WrongCalls<Args>& wrong) {
  const auto six = arena.Floats(6), seven = arena.Floats(7), many = arena.Floats(8 * 8);
  const std::span<const float> null(static_cast<const float*>(nullptr), 7);
  const auto chain = [&](StatusCode code, const char* words, const Epilogue& epilogue,
                         int line = __builtin_LINE()) {
    wrong(
        code, words, [&](Args& args) { args.epilogue = epilogue; }, line);
    // Behind correct steps too.
    Epilogue later = Epilogue().Bias(seven).Act(Relu());
    if (epilogue.size() != 1) return;
    wrong(
        code, words,
        [&](Args& args) {
          args.epilogue = later;
          const Step step = epilogue.steps()[0];
          if (step.kind == StepKind::kClamp) args.epilogue.Clamp(step.lo, step.hi);
          if (step.kind == StepKind::kBias) args.epilogue.Bias({step.data, step.size});
          if (args.epilogue.size() == 2) args.epilogue = epilogue;
        },
        line);
  };
  chain(kShapeMismatch, "bias", Epilogue().Bias(six));
  chain(kShapeMismatch, "bias", Epilogue().Bias(many));
  chain(kShapeMismatch, "bias", Epilogue().Bias({}));
  chain(kInvalidArgument, "bias", Epilogue().Bias(null));
  chain(kShapeMismatch, "scale", Epilogue().Affine(six, seven));
  chain(kShapeMismatch, "shift", Epilogue().Affine(seven, six));
  chain(kInvalidArgument, "scale", Epilogue().Affine(null, seven));
  chain(kInvalidArgument, "shift", Epilogue().Affine(seven, null));
  chain(kShapeMismatch, "scale", Epilogue().ScaleChannels(six));
  chain(kInvalidArgument, "scale", Epilogue().ScaleChannels(null));
  chain(kShapeMismatch, "slope", Epilogue().Act(PRelu(six)));
  chain(kInvalidArgument, "slope", Epilogue().Act(PRelu(null)));
  chain(kInvalidArgument, "act|activation",
        Epilogue().Act({.kind = static_cast<ActivationKind>(99)}));
  chain(kInvalidArgument, "Clamp|clamp|lo", Epilogue().Clamp(kNan, 1.0f));
  chain(kInvalidArgument, "Clamp|clamp|hi", Epilogue().Clamp(0.0f, kNan));
  chain(kInvalidArgument, "Clamp|clamp|lo", Epilogue().Clamp(1.0f, 0.5f));
  const auto view = [&](size_t rows, size_t cols, size_t stride) {
    return MatView<const float>(many.data(), rows, cols, stride);
  };
  const char* const add = "operand|Add|residual";
  const char* const mul = "operand|Mul|gate";
  chain(kShapeMismatch, add, Epilogue().Add(view(4, 7, 7)));
  chain(kShapeMismatch, add, Epilogue().Add(view(5, 8, 8)));
  chain(kShapeMismatch, add, Epilogue().Add(view(7, 5, 7)));
  chain(kShapeMismatch, mul, Epilogue().Mul(view(5, 6, 7)));
  chain(kInvalidArgument, add, Epilogue().Add(view(5, 7, 6)));
  chain(kInvalidArgument, mul, Epilogue().Mul(view(5, 7, 0)));
  chain(kInvalidArgument, mul, Epilogue().Mul(view(5, 7, kHuge)));
  chain(kInvalidArgument, add, Epilogue().Add(MatView<const float>(nullptr, 5, 7)));
  chain(kInvalidArgument, mul, Epilogue().Mul(MatView<const float>(nullptr, 5, 7)));
  Epilogue nine, many_steps;
  for (int i = 0; i < 9; ++i) nine.Scale(1.0f);
  for (int i = 0; i < 1000; ++i) many_steps.Bias(seven);
  chain(kInvalidArgument, "epilogue|steps", nine);
  chain(kInvalidArgument, "epilogue|steps", many_steps);
  // An operand that shares memory with the output, but not element for element.
  for (const size_t shift : {1, 9, 18}) {
    wrong(kOverlap, add, [&](Args& args) {
      args.epilogue.Add(MatView<const float>(args.y.data + shift, 5, 7, 9));
    });
  }
  wrong(kOverlap, mul,
        [](Args& args) { args.epilogue.Mul(MatView<const float>(args.y.data, 5, 7, 8)); });
  // Per-channel values that the call would overwrite while it still reads them.
  wrong(kOverlap, "bias", [](Args& args) { args.epilogue.Bias({args.y.data, 7}); });
}

TEST(WrongInput, ChainsBehindLinear) {
  Arena arena;
  WrongCalls<LinearArgs> wrong(arena, ValidLinear(arena), CallLinear);
  WrongChains(arena, wrong);
}

struct ApplyArgs {
  MatView<const float> x;
  Epilogue epilogue;
  MatView<float> y;
  Parallel parallel;
};

TEST(WrongInput, ApplyAndItsChains) {
  Arena arena;
  using Args = ApplyArgs;
  WrongCalls<Args> wrong(
      arena, {{arena.Floats(60).data(), 5, 7, 11}, {}, {arena.Floats(45).data(), 5, 7, 9}, {}},
      [](const Args& args) { return Apply(args.x, args.epilogue, args.y, args.parallel); });
  WrongChains(arena, wrong);
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.data = nullptr; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.data = nullptr; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.stride = 6; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.stride = 6; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.y.rows = 4; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.y.cols = 6; });
  wrong(kInvalidArgument, "x|y", [](Args& args) { args.x.rows = args.y.rows = kHuge; });
  wrong(kOverlap, "y", [](Args& args) { args.y = {const_cast<float*>(args.x.data), 5, 7, 9}; });
  wrong(kOverlap, "y", [](Args& args) {
    args.y = {const_cast<float*>(args.x.data) + 1, 5, 7, 11};
  });
  wrong(kInvalidArgument, "threads", [](Args& args) { args.parallel = PoolWithoutThreads(); });
}

struct SoftmaxArgs {
  MatView<const float> x;
  SoftmaxOptions options;
  Epilogue epilogue;
  MatView<float> y;
  Parallel parallel;
};

TEST(WrongInput, Softmax) {
  Arena arena;
  using Args = SoftmaxArgs;
  const auto mask = arena.Floats(64);
  WrongCalls<Args> wrong(
      arena, {{arena.Floats(60).data(), 5, 7, 11}, {}, {}, {arena.Floats(45).data(), 5, 7, 9}, {}},
      [](const Args& args) {
        return Softmax(args.x, args.options, args.epilogue, args.y, args.parallel);
      });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.data = nullptr; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.data = nullptr; });
  wrong(kInvalidArgument, "x", [](Args& args) { args.x.stride = 6; });
  wrong(kInvalidArgument, "y", [](Args& args) { args.y.stride = 6; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.y.rows = 6; });
  wrong(kShapeMismatch, "x|y", [](Args& args) { args.x.cols = 6; });
  wrong(kInvalidArgument, "x|y", [](Args& args) { args.x.rows = args.y.rows = kHuge; });
  for (const float scale : {kNan, kInf, -kInf}) {
    wrong(kInvalidArgument, "scale", [&](Args& args) { args.options.scale = scale; });
  }
  wrong(kShapeMismatch, "mask", [&](Args& args) { args.options.mask = {mask.data(), 4, 7}; });
  wrong(kShapeMismatch, "mask", [&](Args& args) { args.options.mask = {mask.data(), 5, 8}; });
  wrong(kShapeMismatch, "mask", [&](Args& args) { args.options.mask = {mask.data(), 1, 6}; });
  wrong(kInvalidArgument, "mask", [&](Args& args) { args.options.mask = {mask.data(), 5, 7, 6}; });
  wrong(kOverlap, "mask", [](Args& args) { args.options.mask = args.y; });
  wrong(kOverlap, "mask", [](Args& args) { args.options.mask = {args.y.data + 40, 1, 7}; });
  wrong(kOverlap, "y", [](Args& args) { args.y = {const_cast<float*>(args.x.data), 5, 7, 9}; });
  wrong(kOverlap, "y", [](Args& args) {
    args.y = {const_cast<float*>(args.x.data) + 1, 5, 7, 11};
  });
  wrong(kShapeMismatch, "bias", [&](Args& args) { args.epilogue.Bias(mask); });
  wrong(kInvalidArgument, "threads", [](Args& args) { args.parallel = PoolWithoutThreads(); });
}

}  // namespace
}  // namespace lanefuse::test
