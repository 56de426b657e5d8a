// Every kernel of the C interface gives the bits of the C++ one: on every target, with every step
// and activation, with strides, and with the caller's own threads.
#include <gtest/gtest.h>

#include <vector>

#include "tests/c/c_case.h"
#include "tests/support/alloc_trap.h"
#include "tests/support/bits.h"
#include "tests/support/chains.h"
#include "tests/support/guarded.h"
#include "tests/support/parallel.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

// Two outputs that start equal: one for C++, one for C.
template <class Output>
struct Outputs {
  Output cpp, c;

  // cpp_call(const Epilogue&) and c_call(lanefuse_epilogue) on every target with each chain.
  template <class Fuse, class CppCall, class CCall>
  void Compare(const std::vector<Chain>& chains, const ChainData& data, const Fuse& fuse,
               const CppCall& cpp_call, const CCall& c_call) {
    size_t compared = 0;
    ForEachTarget([&](std::string_view) {
      for (const Chain& chain : chains) {
        cpp.Fill(data.initial());
        c.Fill(data.initial());
        const CSteps steps(fuse(chain, c.cview()));
        const Status status = cpp_call(fuse(chain, cpp.cview()));
        EXPECT_SAME_STATUS(c_call(steps.get()), status) << chain.name;
        ASSERT_SAME_BITS(c.cview(), cpp.cview()) << chain.name;
        compared += status.ok() ? 1 : 0;
      }
      EXPECT_TRUE(c.CheckCanaries());
    });
    EXPECT_GE(compared, SupportedTargets().size() * chains.size() / 2);
  }
};

auto ForMatrix(const ChainData& data) {
  return [&data](const Chain& chain, MatView<const float> y) { return data.Fused(chain, y); };
}
auto ForImage(const ChainData& data) {
  return
      [&data](const Chain& chain, ImageView<const float> y) { return data.FusedImage(chain, y); };
}

GuardedMat RandomMat(size_t rows, size_t cols, size_t stride, uint64_t salt) {
  GuardedMat m(rows, cols, stride);
  std::vector<float> dense(rows * cols);
  Random(salt).FillUniform(dense);
  m.Fill(dense);
  m.ReadOnly();
  return m;
}

GuardedImage RandomImage(size_t images, size_t side, size_t channels, uint64_t salt) {
  GuardedImage image(images, side, side + 1, channels, 1, 3, 5);
  std::vector<float> dense(images * side * (side + 1) * channels);
  Random(salt).FillUniform(dense);
  image.Fill(dense);
  image.ReadOnly();
  return image;
}

TEST(CSameBits, DotWithEveryActivation) {
  Random random(__LINE__);
  for (const size_t n : {0, 1, 63, 200}) {
    std::vector<float> a(n), b(n);
    random.FillUniform(a);
    random.FillUniform(b);
    const ChainData data(1, 1, n);
    ForEachTarget([&](std::string_view) {
      for (const NamedActivation& named : AllActivations()) {
        const Activation act = data.Act(named.kind);
        float cpp = 9.0f, c = 7.0f;
        EXPECT_SAME_STATUS(
            c_dot(C(std::span<const float>(a)), C(std::span<const float>(b)), C(act), &c),
            Dot(a, b, act, cpp));
        EXPECT_SAME_BITS(c, cpp) << named.name;
      }
    });
  }
}

TEST(CSameBits, DotWithEveryChain) {
  const GuardedMat a = RandomMat(1, 77, 0, __LINE__), b = RandomMat(1, 77, 0, __LINE__);
  const ChainData data(1, 1, __LINE__);
  Outputs<GuardedMat> y{GuardedMat(1, 1), GuardedMat(1, 1)};
  y.Compare(
      AllChains(), data, ForMatrix(data),
      [&](const Epilogue& e) { return Dot(a.row(0), b.row(0), e, *y.cpp.data()); },
      [&](lanefuse_epilogue e) {
        return c_dot_epilogue(C(a.cspan()), C(b.cspan()), e, y.c.data());
      });
}

TEST(CSameBits, Gemv) {
  for (const size_t outputs : {1, 21, 70}) {
    const GuardedMat w = RandomMat(outputs, 33, 40, outputs), x = RandomMat(1, 33, 0, __LINE__);
    const ChainData data(1, outputs, __LINE__);
    Outputs<GuardedMat> y{GuardedMat(1, outputs), GuardedMat(1, outputs)};
    y.Compare(
        FewChains(), data, ForMatrix(data),
        [&](const Epilogue& e) { return Gemv(w.cview(), x.cspan(), e, y.cpp.span()); },
        [&](lanefuse_epilogue e) {
          return c_gemv(C(w.cview()), C(x.cspan()), e, C(y.c.span()), nullptr);
        });
  }
}

void CompareLinear(size_t rows, size_t outputs, size_t inputs, const std::vector<Chain>& chains) {
  const GuardedMat w = RandomMat(outputs, inputs, inputs + 1, outputs);
  const GuardedMat x = RandomMat(rows, inputs, inputs + 3, inputs);
  std::vector<std::byte> bytes(PackedLinear::Bytes(outputs, inputs));
  PackedLinear packed;
  lanefuse_packed_linear c_packed;
  const ChainData data(rows, outputs, rows);
  ASSERT_TRUE(PackedLinear::Pack(w.cview(), data.bias(), nullptr, bytes, packed).ok());
  ASSERT_EQ(c_packed_linear_view(bytes.data(), bytes.size(), &c_packed).code, LANEFUSE_OK);
  Outputs<GuardedMat> y{GuardedMat(rows, outputs, outputs + 5),
                        GuardedMat(rows, outputs, outputs + 5)};
  y.Compare(
      chains, data, ForMatrix(data),
      [&](const Epilogue& e) { return Linear(x.cview(), packed, e, y.cpp.view()); },
      [&](lanefuse_epilogue e) {
        return c_linear(C(x.cview()), &c_packed, e, C(y.c.view()), nullptr);
      });
}

// Two layers that read the same rows, against each of them alone.
TEST(CSameBits, LinearGroup) {
  constexpr size_t kRows = 5, kOutputs = 19, kInputs = 40;
  const GuardedMat x = RandomMat(kRows, kInputs, kInputs + 3, 1);
  const GuardedMat w = RandomMat(2 * kOutputs, kInputs, kInputs, 2);
  const size_t size = PackedLinear::Bytes(kOutputs, kInputs);
  std::vector<std::byte> bytes(2 * size);
  const ChainData data(kRows, kOutputs, 3);
  const GuardedMat alone(kRows, kOutputs, kOutputs), first(kRows, kOutputs, kOutputs),
      second(kRows, kOutputs, kOutputs);
  lanefuse_packed_linear packed[2];
  for (size_t i = 0; i < 2; ++i) {
    const auto part = std::span(bytes).subspan(i * size, size);
    PackedLinear cpp;
    ASSERT_TRUE(PackedLinear::Pack({w.row(i * kOutputs).data(), kOutputs, kInputs}, data.bias(),
                                   nullptr, part, cpp)
                    .ok());
    ASSERT_EQ(c_packed_linear_view(part.data(), size, &packed[i]).code, LANEFUSE_OK);
  }
  const lanefuse_step step = lanefuse_step_act(LANEFUSE_ACT_SILU);
  const lanefuse_linear_layer layers[] = {{&packed[0], {nullptr, 0}, C(first.view())},
                                          {&packed[1], {&step, 1}, C(second.view())}};
  ForEachTarget([&](std::string_view) {
    ASSERT_EQ(c_linear_group(C(x.cview()), layers, 2, nullptr).code, LANEFUSE_OK);
    for (size_t i = 0; i < 2; ++i) {
      ASSERT_EQ(
          c_linear(C(x.cview()), &packed[i], layers[i].epilogue, C(alone.view()), nullptr).code,
          LANEFUSE_OK);
      EXPECT_SAME_BITS((i == 0 ? first : second).view(), alone.view());
    }
  });
}

TEST(CSameBits, Linear) {
  CompareLinear(3, 19, 40, AllChains());
  CompareLinear(1, 12, 64, FewChains());
  CompareLinear(9, 65, 7, FewChains());
  CompareLinear(4, 33, 0, FewChains());
}

void CompareConv2d(const Conv2dShape& shape, const std::vector<Chain>& chains) {
  const GuardedImage x = RandomImage(2, 6, shape.channels, __LINE__);
  std::vector<float> w(shape.outputs * shape.kernel_h * shape.kernel_w * shape.channels /
                       shape.groups);
  Random(shape.outputs).FillUniform(w);
  std::vector<std::byte> bytes(PackedConv2d::Bytes(shape));
  PackedConv2d packed;
  lanefuse_packed_conv2d c_packed;
  ASSERT_TRUE(PackedConv2d::Pack(shape, w, {}, {}, bytes, packed).ok());
  ASSERT_EQ(c_packed_conv2d_view(bytes.data(), bytes.size(), &c_packed).code, LANEFUSE_OK);
  const Padding& p = shape.padding;
  const size_t height = (6 + p.top + p.bottom - shape.kernel_h) / shape.stride_h + 1;
  const size_t width = (7 + p.left + p.right - shape.kernel_w) / shape.stride_w + 1;
  const ChainData data(2 * height * width, shape.outputs, __LINE__);
  Outputs<GuardedImage> y{GuardedImage(2, height, width, shape.outputs, 2, 4, 6),
                          GuardedImage(2, height, width, shape.outputs, 2, 4, 6)};
  y.Compare(
      chains, data, ForImage(data),
      [&](const Epilogue& e) { return Conv2d(x.cview(), packed, e, y.cpp.view()); },
      [&](lanefuse_epilogue e) {
        return c_conv2d(C(x.cview()), &c_packed, e, C(y.c.view()), nullptr);
      });
}

struct PackedPair {
  explicit PackedPair(const Conv2dShape& shape) : bytes(PackedConv2d::Bytes(shape)) {
    std::vector<float> w(shape.outputs * shape.kernel_h * shape.kernel_w * shape.channels /
                         shape.groups);
    Random(shape.outputs).FillUniform(w);
    EXPECT_TRUE(PackedConv2d::Pack(shape, w, {}, {}, bytes, cpp).ok());
    EXPECT_EQ(c_packed_conv2d_view(bytes.data(), bytes.size(), &c).code, LANEFUSE_OK);
  }
  std::vector<std::byte> bytes;
  PackedConv2d cpp;
  lanefuse_packed_conv2d c;
};

TEST(CSameBits, Blocks) {
  const GuardedImage x = RandomImage(2, 6, 5, __LINE__);
  const auto depthwise = [](size_t channels) {
    return Conv2dShape{.outputs = channels,
                       .channels = channels,
                       .kernel_h = 3,
                       .kernel_w = 3,
                       .groups = channels,
                       .padding = {1, 1, 1, 1}};
  };
  const PackedPair expand({.outputs = 12, .channels = 5});
  const PackedPair narrow(depthwise(5)), wide(depthwise(12));
  const PackedPair last({.outputs = 7, .channels = 5}), project({.outputs = 7, .channels = 12});
  const Epilogue relu = Epilogue().Act(Relu());
  const CSteps c_relu(relu);
  const size_t floats = SeparableConv2dScratch(x.cview(), narrow.cpp, last.cpp);
  const size_t more = InvertedResidualScratch(x.cview(), expand.cpp, wide.cpp, project.cpp);
  EXPECT_EQ(c_separable_conv2d_scratch(C(x.cview()), &narrow.c, &last.c, nullptr), floats);
  EXPECT_EQ(c_inverted_residual_scratch(C(x.cview()), &expand.c, &wide.c, &project.c, nullptr),
            more);
  EXPECT_EQ(c_separable_conv2d_scratch(C(x.cview()), nullptr, &last.c, nullptr), 0u);
  EXPECT_EQ(c_inverted_residual_scratch(C(x.cview()), &expand.c, &wide.c, nullptr, nullptr), 0u);
  const Guarded<float> scratch(std::max(floats, more));
  const lanefuse_vec c_scratch = {scratch.data(), scratch.size()};
  const ChainData data(2 * 6 * 7, 7, __LINE__);
  Outputs<GuardedImage> y{GuardedImage(2, 6, 7, 7, 2, 4, 6), GuardedImage(2, 6, 7, 7, 2, 4, 6)};
  y.Compare(
      FewChains(), data, ForImage(data),
      [&](const Epilogue& e) {
        return SeparableConv2d(x.cview(), narrow.cpp, relu, last.cpp, e, y.cpp.view(),
                               scratch.span());
      },
      [&](lanefuse_epilogue e) {
        return c_separable_conv2d(C(x.cview()), &narrow.c, c_relu.get(), &last.c, e, C(y.c.view()),
                                  c_scratch, nullptr);
      });
  y.Compare(
      FewChains(), data, ForImage(data),
      [&](const Epilogue& e) {
        return InvertedResidual(x.cview(), expand.cpp, relu, wide.cpp, {}, project.cpp, e,
                                y.cpp.view(), scratch.span());
      },
      [&](lanefuse_epilogue e) {
        return c_inverted_residual(C(x.cview()), &expand.c, c_relu.get(), &wide.c, {nullptr, 0},
                                   &project.c, e, C(y.c.view()), c_scratch, nullptr);
      });
  EXPECT_TRUE(scratch.CheckCanaries());
}

TEST(CSameBits, Conv2d) {
  CompareConv2d({.outputs = 18,
                 .channels = 3,
                 .kernel_h = 3,
                 .kernel_w = 2,
                 .stride_h = 2,
                 .padding = {1, 0, 2, 1}},
                AllChains());
  CompareConv2d({.outputs = 20, .channels = 20, .kernel_h = 3, .kernel_w = 3, .groups = 20},
                FewChains());
  CompareConv2d({.outputs = 6, .channels = 4, .stride_w = 2, .groups = 2}, FewChains());
}

TEST(CSameBits, Pools) {
  const GuardedImage x = RandomImage(2, 6, 21, __LINE__);
  for (const bool count_padding : {false, true}) {
    const Pool2dShape shape{.kernel_h = 3,
                            .kernel_w = 2,
                            .stride_h = 2,
                            .stride_w = 1,
                            .padding = {1, 2, 0, 1},
                            .count_padding = count_padding};
    const lanefuse_pool2d_shape c_shape = C(shape);
    const ChainData data(2 * 4 * 7, 21, __LINE__);
    Outputs<GuardedImage> y{GuardedImage(2, 4, 7, 21, 2, 4, 6), GuardedImage(2, 4, 7, 21, 2, 4, 6)};
    y.Compare(
        FewChains(), data, ForImage(data),
        [&](const Epilogue& e) { return MaxPool2d(x.cview(), shape, e, y.cpp.view()); },
        [&](lanefuse_epilogue e) {
          return c_max_pool2d(C(x.cview()), &c_shape, e, C(y.c.view()), nullptr);
        });
    y.Compare(
        FewChains(), data, ForImage(data),
        [&](const Epilogue& e) { return AveragePool2d(x.cview(), shape, e, y.cpp.view()); },
        [&](lanefuse_epilogue e) {
          return c_average_pool2d(C(x.cview()), &c_shape, e, C(y.c.view()), nullptr);
        });
  }
  const ChainData data(2, 21, __LINE__);
  Outputs<GuardedImage> y{GuardedImage(2, 1, 1, 21, 0, 0, 4), GuardedImage(2, 1, 1, 21, 0, 0, 4)};
  y.Compare(
      FewChains(), data, ForImage(data),
      [&](const Epilogue& e) { return GlobalAveragePool(x.cview(), e, y.cpp.view()); },
      [&](lanefuse_epilogue e) {
        return c_global_average_pool(C(x.cview()), e, C(y.c.view()), nullptr);
      });
}

TEST(CSameBits, Softmax) {
  const GuardedMat x = RandomMat(5, 37, 40, __LINE__), mask = RandomMat(5, 37, 38, __LINE__);
  const ChainData data(5, 37, __LINE__);
  Outputs<GuardedMat> y{GuardedMat(5, 37, 39), GuardedMat(5, 37, 39)};
  const SoftmaxOptions options[] = {{},
                                    {.scale = 0.3f, .mask = mask.cview()},
                                    {.causal = true, .causal_offset = 7},
                                    {.log = true}};
  for (const SoftmaxOptions& o : options) {
    const lanefuse_softmax_options c_options = C(o);
    const bool defaults = &o == &options[0];
    y.Compare(
        FewChains(), data, ForMatrix(data),
        [&](const Epilogue& e) { return Softmax(x.cview(), o, e, y.cpp.view()); },
        [&](lanefuse_epilogue e) {
          return c_softmax(C(x.cview()), defaults ? nullptr : &c_options, e, C(y.c.view()),
                           nullptr);
        });
  }
}

TEST(CSameBits, ApplyWithEveryChain) {
  const GuardedMat x = RandomMat(4, 27, 31, __LINE__);
  const ChainData data(4, 27, __LINE__);
  Outputs<GuardedMat> y{GuardedMat(4, 27, 29), GuardedMat(4, 27, 29)};
  y.Compare(
      AllChains(), data, ForMatrix(data),
      [&](const Epilogue& e) { return Apply(x.cview(), e, y.cpp.view()); },
      [&](lanefuse_epilogue e) { return c_apply(C(x.cview()), e, C(y.c.view()), nullptr); });
}

TEST(CSameBits, TheCallersPoolRunsTheParts) {
  constexpr size_t kRows = 64, kSide = 128;
  const GuardedMat w = RandomMat(kSide, kSide, 0, 1), x = RandomMat(kRows, kSide, 0, 2);
  std::vector<std::byte> bytes(c_packed_linear_bytes(kSide, kSide));
  lanefuse_packed_linear packed;
  ASSERT_EQ(
      c_packed_linear_pack(C(w.cview()), {nullptr, 0}, nullptr, bytes.data(), bytes.size(), &packed)
          .code,
      LANEFUSE_OK);
  const GuardedMat one(kRows, kSide), two(kRows, kSide);
  ThreadPool pool(3);
  const lanefuse_parallel serial = {1, nullptr, nullptr}, parallel = C(pool.WithThreads(4));
  ASSERT_EQ(c_linear(C(x.cview()), &packed, {nullptr, 0}, C(one.view()), &serial).code,
            LANEFUSE_OK);
  EXPECT_EQ(pool.counts().runs, 0u);
  ASSERT_EQ(c_linear(C(x.cview()), &packed, {nullptr, 0}, C(two.view()), &parallel).code,
            LANEFUSE_OK);
  EXPECT_EQ(pool.counts().runs, 1u);
  EXPECT_EQ(pool.counts().parts, 4u);
  EXPECT_SAME_BITS(two.cview(), one.cview());
}

TEST(CSameBits, ACallAllocatesNothing) {
  const GuardedMat w = RandomMat(20, 20, 0, 1), x = RandomMat(3, 20, 0, 2);
  std::vector<std::byte> bytes(c_packed_linear_bytes(20, 20));
  lanefuse_packed_linear packed;
  const GuardedMat y(3, 20);
  const ChainData data(3, 20, __LINE__);
  const CSteps steps(data.Fused(FewChains().back(), y.cview()));
  lanefuse_status packing = {}, linear = {}, wrong = {};
  y.Fill(data.initial());
  EXPECT_NO_ALLOC({
    packing = c_packed_linear_pack(C(w.cview()), C(data.bias()), nullptr, bytes.data(),
                                   bytes.size(), &packed);
    linear = c_linear(C(x.cview()), &packed, steps.get(), C(y.view()), nullptr);
    wrong = c_apply(C(x.cview()), {nullptr, 1}, C(y.view()), nullptr);
  });
  EXPECT_EQ(packing.code, LANEFUSE_OK);
  EXPECT_EQ(linear.code, LANEFUSE_OK) << Message(linear);
  EXPECT_EQ(wrong.code, LANEFUSE_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace lanefuse::test
