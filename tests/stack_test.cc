// The cards promise a bound on the stack that a call needs: a thread of a gateway may have 16 KiB.
#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "lanefuse/c.h"
#include "lanefuse/lanefuse.h"
#include "tests/support/chains.h"
#include "tests/support/random.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

constexpr size_t kStackBytes = size_t{1} << 18;
constexpr uint8_t kPaint = 0xA7;
// What lies between this file's own frame and the painted part.
constexpr size_t kMargin = 512;

struct Measurement {
  const std::function<void()>* call;
  uint8_t* bottom;
  size_t used;
};

// Runs on a stack of our own: paints all of it that is free, calls, and looks how far down the
// paint is gone. No signal handler runs on this stack meanwhile.
void* MeasureOnThread(void* argument) {
  auto* const m = static_cast<Measurement*>(argument);
  (*m->call)();  // Once before: the dynamic linker resolves symbols on the caller's stack.
  auto* const here = static_cast<uint8_t*>(__builtin_frame_address(0));
  const size_t painted = static_cast<size_t>(here - m->bottom) - kMargin;
  for (size_t i = 0; i < painted; ++i) const_cast<volatile uint8_t*>(m->bottom)[i] = kPaint;
  (*m->call)();
  size_t untouched = 0;
  while (untouched < painted && m->bottom[untouched] == kPaint) ++untouched;
  m->used = painted + kMargin - untouched;
  return nullptr;
}

// Bytes of stack below the frame that makes the call; a little more than the call's own.
size_t StackOf(const std::function<void()>& call) {
  std::vector<uint8_t> memory(kStackBytes + 4096);
  auto* const bottom =
      reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory.data()) + 4095) / 4096 * 4096);
  Measurement measurement{&call, bottom, 0};
  pthread_attr_t attributes;
  EXPECT_EQ(pthread_attr_init(&attributes), 0);
  EXPECT_EQ(pthread_attr_setstack(&attributes, bottom, kStackBytes), 0);
  pthread_t thread;
  const int created = pthread_create(&thread, &attributes, MeasureOnThread, &measurement);
  EXPECT_EQ(created, 0);
  if (created == 0) {
    EXPECT_EQ(pthread_join(thread, nullptr), 0);
  }
  pthread_attr_destroy(&attributes);
  return measurement.used;
}

// The frames of this test between the measured point and the library: a lambda, its std::function
// and a Status, generously.
constexpr size_t kOwnFrames = kMargin + 512;

__attribute__((noinline)) void TouchStack(size_t n) {
  volatile uint8_t* const memory = static_cast<uint8_t*>(__builtin_alloca(n));
  for (size_t i = 0; i < n; ++i) memory[i] = 1;
}

TEST(Stack, TheMeasurementSeesWhatIsUsed) {
  if (kSanitized) GTEST_SKIP() << "a sanitizer's frames are larger";
  for (const size_t n : {1000, 4096, 10000, 100000}) {
    const size_t used = StackOf([n] { TouchStack(n); });
    EXPECT_GE(used, n);
    EXPECT_LE(used, n + kOwnFrames);
  }
}

class StackOfCalls : public testing::Test {
 protected:
  // What the cards state: 8 KiB where a tile of sums runs through a chain, 12 for several
  // convolutions, 4 elsewhere, 2 for Dot.
  static constexpr size_t kTiled = 8192, kBlock = 12288, kKernel = 4096, kDot = 2048;

  void Check(const char* what, size_t bound, const std::function<Status()>& call) {
    ForEachTarget([&](std::string_view target) {
      Status status;
      const size_t used = StackOf([&] { status = call(); });
      EXPECT_TRUE(status.ok()) << what << ": " << status.message();
      EXPECT_LE(used, bound + kOwnFrames) << what << " on " << target;
      most = std::max(most, used);
    });
  }
  void SetUp() override {
    if (kSanitized) GTEST_SKIP() << "a sanitizer's frames are larger";
  }
  void TearDown() override { RecordProperty("most_stack_bytes", static_cast<int>(most)); }

  std::vector<float> Floats(size_t n) {
    std::vector<float> v(n);
    random.FillUniform(v);
    return v;
  }

  // Behind chains of each kind, with padding that keeps the size at stride 1.
  void CheckConv2d(Conv2dShape shape, size_t height, size_t width) {
    const size_t high = shape.dilation_h * (shape.kernel_h - 1) / 2;
    const size_t wide = shape.dilation_w * (shape.kernel_w - 1) / 2;
    shape.padding = {high, high, wide, wide};
    const auto size = [](size_t input, size_t pad, size_t kernel, size_t dilation, size_t stride) {
      return (input + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
    };
    const size_t rows = size(height, high, shape.kernel_h, shape.dilation_h, shape.stride_h);
    const size_t columns = size(width, wide, shape.kernel_w, shape.dilation_w, shape.stride_w);
    const size_t terms = shape.kernel_h * shape.kernel_w * shape.channels / shape.groups;
    const std::vector<float> w = Floats(shape.outputs * terms);
    std::vector<std::byte> bytes(PackedConv2d::Bytes(shape));
    PackedConv2d packed;
    ASSERT_TRUE(PackedConv2d::Pack(shape, w, {}, {}, bytes, packed).ok());
    const std::vector<float> x = Floats(height * width * shape.channels);
    std::vector<float> y(rows * columns * shape.outputs);
    const ImageView<const float> in(x.data(), height, width, shape.channels);
    const ImageView<float> out(y.data(), rows, columns, shape.outputs);
    const ChainData data(rows * columns, shape.outputs, 3);
    SCOPED_TRACE(std::to_string(shape.channels) + " to " + std::to_string(shape.outputs) + " in " +
                 std::to_string(shape.groups) + " groups, kernel " +
                 std::to_string(shape.kernel_h) + "x" + std::to_string(shape.kernel_w) +
                 ", stride " + std::to_string(shape.stride_w) + ", dilation " +
                 std::to_string(shape.dilation_w));
    Check("Conv2d", kTiled,
          [&] { return Conv2d(in, packed, Epilogue().Act(Relu()), out, parallel); });
    for (const Chain& chain : FewChains()) {
      const Epilogue epilogue = data.FusedImage(chain, out);
      Check("Conv2d", kTiled, [&] { return Conv2d(in, packed, epilogue, out, parallel); });
    }
  }
  // Square, and by default as many outputs as channels.
  void CheckConv2d(size_t side, size_t channels, size_t groups, size_t kernel, size_t stride,
                   size_t outputs = 0, size_t dilation = 1) {
    CheckConv2d({.outputs = outputs == 0 ? channels : outputs,
                 .channels = channels,
                 .kernel_h = kernel,
                 .kernel_w = kernel,
                 .stride_h = stride,
                 .stride_w = stride,
                 .dilation_h = dilation,
                 .dilation_w = dilation,
                 .groups = groups},
                side, side);
  }

  Random random{__LINE__};
  Parallel parallel;
  size_t most = 0;
};

TEST_F(StackOfCalls, Dot) {
  const std::vector<float> a = Floats(1000), b = Floats(1000);
  float out = 0.0f;
  Check("Dot", kDot, [&] { return Dot(a, b, Mish(), out); });
}

TEST_F(StackOfCalls, GemvLinearAndApplyWithChains) {
  constexpr size_t kRows = 9, kOutputs = 70, kInputs = 40;
  const std::vector<float> w = Floats(kOutputs * kInputs), x = Floats(kRows * kInputs);
  std::vector<float> y(kRows * kOutputs);
  std::vector<std::byte> bytes(PackedLinear::Bytes(kOutputs, kInputs));
  PackedLinear packed;
  ASSERT_TRUE(PackedLinear::Pack({w.data(), kOutputs, kInputs}, {}, nullptr, bytes, packed).ok());
  const ChainData one(1, kOutputs, 1), all(kRows, kOutputs, 2);
  const MatView<float> out(y.data(), kRows, kOutputs);
  for (const Chain& chain : FewChains()) {
    const Epilogue gemv = one.Fused(chain, MatView<const float>(y.data(), 1, kOutputs));
    Check("Gemv", kKernel, [&] {
      return Gemv({w.data(), kOutputs, kInputs}, std::span(x).first(kInputs), gemv,
                  std::span(y).first(kOutputs));
    });
    const Epilogue epilogue = all.Fused(chain, out);
    Check("Linear", kTiled, [&] {
      return Linear({x.data(), kRows, kInputs}, packed, epilogue, out);
    });
    Check("Apply", kKernel, [&] { return Apply(out, epilogue, out); });
  }
}

TEST_F(StackOfCalls, Conv2dAndPools) {
  struct Sizes {
    size_t kernel, stride;
  };
  constexpr size_t kSide = 15, kChannels = 48;
  for (const size_t groups : {size_t{1}, size_t{4}, kChannels / 8, kChannels / 4, kChannels}) {
    for (const auto& [kernel, stride] : {Sizes{1, 1}, Sizes{3, 1}, Sizes{3, 2}}) {
      CheckConv2d(kSide, kChannels, groups, kernel, stride);
    }
  }
  // Vectors of pixels, three in a tile, and of two pixels.
  for (const size_t groups : {1, 8}) CheckConv2d(48, 8, groups, 3, 1);
  CheckConv2d(48, 30, 1, 5, 1, 3);     // transposed rows
  CheckConv2d(24, 130, 1, 3, 1, 2);    // the same for each tap
  CheckConv2d(kSide, 3, 1, 3, 1, 16);  // columns
  // Last vectors that overlap, with the most weights that are copied, and wide kernels.
  for (const size_t kernel : {7, 9}) CheckConv2d(kSide, 20, 20, kernel, 1);
  // Strips that keep two rows of the image, which several threads do not have, and one.
  parallel = {.threads = 1};
  CheckConv2d(36, 52, 52, 3, 1);
  CheckConv2d(14, 512, 512, 3, 2);
  parallel = {};
  // Dilation: copied rows, tall tiles, strips of groups, depthwise of each kind.
  for (const size_t outputs : {16, 40}) CheckConv2d(24, 3, 1, 3, 1, outputs, 2);
  for (const size_t groups : {1, 2, 4, 8})
    CheckConv2d(30, groups == 1 ? 16 : 32, groups, 3, 1, 0, 2);
  for (const size_t kernel : {3, 5, 7, 9}) CheckConv2d(30, 20, 20, kernel, 1, 0, 2);
  // Tall tiles: blocks of outputs, and groups that share a panel.
  for (const size_t groups : {1, 8}) CheckConv2d(12, 48, groups, 5, 1);
  // Signals, with the most columns that are copied, and in phases.
  for (const size_t dilation : {1, 2}) {
    for (const size_t kernel : {9, 43}) {
      CheckConv2d(
          {.outputs = 20, .channels = 20, .kernel_w = kernel, .dilation_w = dilation, .groups = 20},
          1, 170);
    }
  }
  const std::vector<float> x = Floats(kSide * kSide * kChannels);
  std::vector<float> y(x.size());
  const ImageView<const float> in(x.data(), kSide, kSide, kChannels);
  const ImageView<float> out(y.data(), kSide, kSide, kChannels);
  const ChainData data(kSide * kSide, kChannels, 3);
  const Pool2dShape pool{.kernel_h = 3, .kernel_w = 3, .padding = {1, 1, 1, 1}};
  const Epilogue epilogue = data.FusedImage(FewChains().back(), out);
  Check("MaxPool2d", kKernel, [&] { return MaxPool2d(in, pool, epilogue, out); });
  Check("AveragePool2d", kKernel, [&] { return AveragePool2d(in, pool, epilogue, out); });
  const ImageView<float> pixel(y.data(), 1, 1, kChannels);
  const ChainData one(1, kChannels, 4);
  const Epilogue last = one.FusedImage(FewChains().back(), pixel);
  Check("GlobalAveragePool", kKernel, [&] { return GlobalAveragePool(in, last, pixel); });
}

TEST_F(StackOfCalls, Blocks) {
  constexpr size_t kSide = 9, kChannels = 36;
  const std::vector<float> x = Floats(kSide * kSide * kChannels);
  std::vector<float> y(x.size());
  const ImageView<const float> in(x.data(), kSide, kSide, kChannels);
  const ImageView<float> out(y.data(), kSide, kSide, kChannels);
  const ChainData data(kSide * kSide, kChannels, 3);
  std::vector<std::byte> bytes[2];
  PackedConv2d packed[2];  // a depthwise convolution and a pointwise one
  for (const size_t i : {0, 1}) {
    const size_t kernel = i == 0 ? 3 : 1, groups = i == 0 ? kChannels : 1, p = kernel / 2;
    const Conv2dShape shape{.outputs = kChannels,
                            .channels = kChannels,
                            .kernel_h = kernel,
                            .kernel_w = kernel,
                            .groups = groups,
                            .padding = {p, p, p, p}};
    const std::vector<float> w = Floats(kChannels * kernel * kernel * kChannels / groups);
    bytes[i].resize(PackedConv2d::Bytes(shape));
    ASSERT_TRUE(PackedConv2d::Pack(shape, w, {}, {}, bytes[i], packed[i]).ok());
  }
  std::vector<float> scratch(InvertedResidualScratch(in, packed[1], packed[0], packed[1]));
  for (const Chain& chain : FewChains()) {
    const Epilogue epilogue = data.FusedImage(chain, out);
    Check("SeparableConv2d", kBlock, [&] {
      return SeparableConv2d(in, packed[0], Epilogue().Act(Mish()), packed[1], epilogue, out,
                             scratch);
    });
    Check("InvertedResidual", kBlock, [&] {
      return InvertedResidual(in, packed[1], Epilogue().Act(Mish()), packed[0], {}, packed[1],
                              epilogue, out, scratch);
    });
  }
}

TEST_F(StackOfCalls, Softmax) {
  const std::vector<float> x = Floats(5 * 333), mask = Floats(333);
  std::vector<float> y(x.size());
  const MatView<float> out(y.data(), 5, 333);
  const ChainData data(5, 333, 5);
  for (const Chain& chain : FewChains()) {
    const bool self = std::any_of(chain.steps.begin(), chain.steps.end(),
                                  [](const ChainStep& step) { return step.self; });
    if (self) continue;  // Softmax keeps sums in y: y is no operand.
    const Epilogue epilogue = data.Fused(chain, out);
    for (const bool log : {false, true}) {
      const SoftmaxOptions options{.scale = 0.3f, .mask = {mask.data(), 1, 333}, .log = log};
      Check("Softmax", kKernel, [&] {
        return Softmax({x.data(), 5, 333}, options, epilogue, out);
      });
    }
  }
}

// The C calls copy the steps.
TEST_F(StackOfCalls, CallsFromC) {
  constexpr size_t kFromC = 2048, kChannels = 36;
  const lanefuse_conv2d_shape shape = lanefuse_make_conv2d_shape(kChannels, kChannels, 3, 3);
  const std::vector<float> w = Floats(kChannels * kChannels * 9), x = Floats(25 * kChannels);
  std::vector<float> y(9 * kChannels);
  std::vector<std::byte> bytes(lanefuse_packed_conv2d_bytes(&shape));
  lanefuse_packed_conv2d packed;
  ASSERT_EQ(lanefuse_packed_conv2d_pack(&shape, {w.data(), w.size()}, {nullptr, 0}, nullptr,
                                        bytes.data(), bytes.size(), &packed)
                .code,
            LANEFUSE_OK);
  const std::vector<lanefuse_step> steps(LANEFUSE_MAX_STEPS, lanefuse_step_act(LANEFUSE_ACT_MISH));
  const lanefuse_epilogue epilogue = {steps.data(), steps.size()};
  const auto in_cpp = [](const lanefuse_status& status) {
    return Status(static_cast<StatusCode>(status.code), status.text);
  };
  Check("lanefuse_conv2d", kTiled + kFromC, [&] {
    return in_cpp(lanefuse_conv2d(lanefuse_make_const_image(x.data(), 1, 5, 5, kChannels), &packed,
                                  epilogue, lanefuse_make_image(y.data(), 1, 3, 3, kChannels),
                                  nullptr));
  });
  const lanefuse_mat mat = lanefuse_make_mat(y.data(), 9, kChannels);
  Check("lanefuse_apply", kKernel + kFromC,
        [&] { return in_cpp(lanefuse_apply(lanefuse_read_mat(mat), epilogue, mat, nullptr)); });
}

}  // namespace
}  // namespace lanefuse::test
