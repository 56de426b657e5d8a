// Packed weights of the C interface: the bytes and errors of the C++ one, and structs that pack and
// view did not fill in.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "tests/c/c_case.h"
#include "tests/support/random.h"

namespace lanefuse::test {
namespace {

constexpr lanefuse_epilogue kNoSteps = {nullptr, 0};

std::vector<float> Floats(size_t n, uint64_t salt, float lo = -1.0f) {
  std::vector<float> v(n);
  Random(salt).FillUniform(v, lo, 1.0f);
  return v;
}

// Statistics of a layer with `channels` channels.
struct NormData {
  explicit NormData(size_t channels)
      : gamma(Floats(channels, 1)),
        beta(Floats(channels, 2)),
        mean(Floats(channels, 3)),
        variance(Floats(channels, 4, 0.5f)) {}
  BatchNorm get() const { return {gamma, beta, mean, variance, 1e-3f}; }
  std::vector<float> gamma, beta, mean, variance;
};

TEST(CPacked, LinearBytesAreThoseOfCpp) {
  constexpr size_t kOutputs = 19, kInputs = 7;
  const std::vector<float> w = Floats(kOutputs * 9, 5), bias = Floats(kOutputs, 6);
  const MatView<const float> view(w.data(), kOutputs, kInputs, 9);
  const NormData data(kOutputs);
  const BatchNorm norm = data.get();
  const lanefuse_batchnorm c_norm = C(norm);
  const size_t size = PackedLinear::Bytes(kOutputs, kInputs);
  EXPECT_EQ(c_packed_linear_bytes(kOutputs, kInputs), size);
  EXPECT_EQ(c_packed_linear_bytes(SIZE_MAX, 2), 0u);
  for (const bool with_bias : {false, true}) {
    for (const bool folded : {false, true}) {
      const std::span<const float> b =
          with_bias ? std::span<const float>(bias) : std::span<const float>();
      std::vector<std::byte> cpp(size), c(size);
      PackedLinear packed;
      lanefuse_packed_linear c_packed;
      ASSERT_TRUE(PackedLinear::Pack(view, b, folded ? &norm : nullptr, cpp, packed).ok());
      EXPECT_EQ(Described(c_packed_linear_pack(C(view), C(b), folded ? &c_norm : nullptr, c.data(),
                                               size, &c_packed)),
                "0: ok");
      EXPECT_EQ(c, cpp);
      // The members, from the same bytes.
      ASSERT_EQ(c_packed_linear_view(cpp.data(), size, &c_packed).code, LANEFUSE_OK);
      EXPECT_EQ(c_packed.panels, packed.panels());
      EXPECT_EQ(c_packed.bias, packed.bias());
      EXPECT_EQ(c_packed.bias != nullptr, with_bias || folded);
      EXPECT_EQ(c_packed.outputs, kOutputs);
      EXPECT_EQ(c_packed.inputs, kInputs);
    }
  }
}

TEST(CPacked, Conv2dBytesAreThoseOfCpp) {
  // Thirteen different numbers, as far as they may differ.
  const Conv2dShape shape{.outputs = 18,
                          .channels = 6,
                          .kernel_h = 4,
                          .kernel_w = 5,
                          .stride_h = 7,
                          .stride_w = 8,
                          .dilation_h = 9,
                          .dilation_w = 10,
                          .groups = 2,
                          .padding = {1, 3, 11, 12}};
  Conv2dShape unpadded = shape;
  unpadded.padding = {};
  const std::vector<float> w = Floats(18 * 4 * 5 * 3, 7), bias = Floats(18, 8);
  const NormData after_data(18), before_data(6);
  const BatchNorm after = after_data.get(), before = before_data.get();
  const lanefuse_batchnorm c_after = C(after), c_before = C(before);
  const auto pack = [&](const Conv2dShape& s, const Conv2dFold& fold) {
    const lanefuse_conv2d_shape c_shape = C(s);
    const lanefuse_conv2d_fold c_fold = {fold.after ? &c_after : nullptr,
                                         fold.before ? &c_before : nullptr,
                                         fold.output_has_other_readers};
    const bool no_fold = fold.after == nullptr && fold.before == nullptr;
    const size_t size = PackedConv2d::Bytes(s);
    EXPECT_EQ(c_packed_conv2d_bytes(&c_shape), size);
    std::vector<std::byte> cpp(size), c(size);
    PackedConv2d packed;
    lanefuse_packed_conv2d c_packed = {};
    const Status status = PackedConv2d::Pack(s, w, bias, fold, cpp, packed);
    EXPECT_SAME_STATUS(c_packed_conv2d_pack(&c_shape, C(std::span<const float>(w)),
                                            C(std::span<const float>(bias)),
                                            no_fold ? nullptr : &c_fold, c.data(), size, &c_packed),
                       status);
    EXPECT_EQ(c, cpp);
    EXPECT_EQ(c_packed.panels == nullptr, !status.ok());
    if (!status.ok()) return status.code();
    EXPECT_EQ(c_packed_conv2d_view(cpp.data(), size, &c_packed).code, LANEFUSE_OK);
    EXPECT_EQ(c_packed.panels, packed.panels());
    EXPECT_EQ(c_packed.bias, packed.bias());
    EXPECT_EQ(std::memcmp(&c_packed.shape, &c_shape, sizeof(c_shape)), 0);
    return status.code();
  };
  EXPECT_EQ(pack(shape, {}), StatusCode::kOk);
  EXPECT_EQ(pack(shape, {.after = &after}), StatusCode::kOk);
  EXPECT_EQ(pack(unpadded, {.before = &before}), StatusCode::kOk);
  EXPECT_EQ(pack(unpadded, {.after = &after, .before = &before}), StatusCode::kOk);
  EXPECT_EQ(pack(shape, {.before = &before}), StatusCode::kUnsupported);
  EXPECT_EQ(pack(shape, {.after = &after, .output_has_other_readers = true}),
            StatusCode::kUnsupported);
}

TEST(CPacked, WrongCalls) {
  constexpr size_t kSide = 4;
  std::vector<float> w = Floats(kSide * kSide, 9);
  const lanefuse_const_mat view = lanefuse_make_const_mat(w.data(), kSide, kSide);
  const lanefuse_const_vec values = {w.data(), w.size()}, none = {nullptr, 0};
  const lanefuse_conv2d_shape shape = lanefuse_make_conv2d_shape(kSide, kSide, 1, 1);
  std::vector<std::byte> bytes(
      std::max(c_packed_linear_bytes(kSide, kSide), c_packed_conv2d_bytes(&shape)));
  // What a failed call must leave as it is.
  lanefuse_packed_linear linear = {w.data(), w.data(), 1, 2, 3};
  lanefuse_packed_conv2d conv2d = {w.data(), w.data(), shape, 1, 3};
  const auto refused = [&](const lanefuse_status& status, int code, const char* message) {
    EXPECT_EQ(Described(status), std::to_string(code) + ": " + message);
    EXPECT_EQ(bytes, std::vector<std::byte>(bytes.size())) << message;
    EXPECT_EQ(linear.panels, w.data()) << message;
    EXPECT_EQ(linear.check, 3u) << message;
    EXPECT_EQ(conv2d.panels, w.data()) << message;
    EXPECT_EQ(conv2d.check, 3u) << message;
  };
  const auto pack_linear = [&](lanefuse_const_vec bias, const lanefuse_batchnorm* norm, void* to,
                               size_t size, lanefuse_packed_linear* packed) {
    return c_packed_linear_pack(view, bias, norm, to, size, packed);
  };
  refused(pack_linear(none, nullptr, bytes.data(), bytes.size(), nullptr),
          LANEFUSE_INVALID_ARGUMENT, "packed is null");
  refused(pack_linear(none, nullptr, nullptr, bytes.size(), &linear), LANEFUSE_INVALID_ARGUMENT,
          "bytes is null");
  refused(pack_linear({nullptr, kSide}, nullptr, bytes.data(), bytes.size(), &linear),
          LANEFUSE_INVALID_ARGUMENT, "bias is null");
  refused(pack_linear(none, nullptr, bytes.data(), 100, &linear), LANEFUSE_BUFFER_TOO_SMALL,
          "bytes has 100 bytes, Bytes() asks for 448");
  const lanefuse_batchnorm empty = {};
  refused(pack_linear(none, &empty, bytes.data(), bytes.size(), &linear), LANEFUSE_SHAPE_MISMATCH,
          "batchnorm.mean has 0 values, the layer 4 channels");
  const float zeros[kSide] = {};
  lanefuse_batchnorm unsafe = lanefuse_make_batchnorm(nullptr, nullptr, zeros, zeros, kSide);
  unsafe.epsilon = 0.0f;
  refused(pack_linear(none, &unsafe, bytes.data(), bytes.size(), &linear), LANEFUSE_UNSUPPORTED,
          "batchnorm: the scale or shift of channel 0 is not finite, so it cannot be folded");
  refused(c_packed_linear_view(bytes.data(), bytes.size(), nullptr), LANEFUSE_INVALID_ARGUMENT,
          "packed is null");
  refused(c_packed_linear_view(nullptr, bytes.size(), &linear), LANEFUSE_INVALID_ARGUMENT,
          "bytes is null");
  refused(c_packed_linear_view(bytes.data(), bytes.size(), &linear), LANEFUSE_CORRUPT,
          "bytes are not packed weights (magic number)");

  const auto pack_conv2d = [&](const lanefuse_conv2d_shape* s, lanefuse_packed_conv2d* packed) {
    return c_packed_conv2d_pack(s, values, none, nullptr, bytes.data(), bytes.size(), packed);
  };
  refused(pack_conv2d(nullptr, &conv2d), LANEFUSE_INVALID_ARGUMENT, "shape is null");
  refused(pack_conv2d(&shape, nullptr), LANEFUSE_INVALID_ARGUMENT, "packed is null");
  const lanefuse_conv2d_shape zero = {};
  refused(pack_conv2d(&zero, &conv2d), LANEFUSE_INVALID_ARGUMENT,
          "shape.outputs is 0, must be 1 to 2^24");
  EXPECT_EQ(c_packed_conv2d_bytes(&zero), 0u);
  EXPECT_EQ(c_packed_conv2d_bytes(nullptr), 0u);
  refused(c_packed_conv2d_view(bytes.data(), 12, &conv2d), LANEFUSE_CORRUPT,
          "bytes has 12 bytes, fewer than a header (128)");
  refused(c_packed_conv2d_view(bytes.data(), bytes.size(), nullptr), LANEFUSE_INVALID_ARGUMENT,
          "packed is null");
}

// Every bit of a struct that was filled in, flipped by itself; and structs from nowhere. The
// members before `check` end at byte `end`: with 32-bit words there is padding behind those of a
// Conv2d, which says nothing and is free to change.
template <class Packed, class Call>
void Forge(const Packed& packed, size_t end, std::vector<float>& y, const Call& call) {
  constexpr size_t kCheck = offsetof(Packed, check);
  ASSERT_LE(kCheck - end, sizeof(uint64_t) - sizeof(size_t)) << "more than padding is left out";
  ASSERT_EQ(sizeof(Packed), kCheck + sizeof(uint64_t));
  ASSERT_EQ(Described(call(packed)), "0: ok");
  const std::vector<float> result = y;
  y.assign(y.size(), 7.0f);
  const std::vector<float> untouched = y;
  const auto with = [&](auto&& change) {
    unsigned char bytes[sizeof(Packed)];
    std::memcpy(bytes, &packed, sizeof(Packed));
    change(bytes);
    Packed forged;
    std::memcpy(&forged, bytes, sizeof(Packed));
    const lanefuse_status status = call(forged);
    EXPECT_EQ(y, untouched);
    return status;
  };
  for (size_t bit = 0; bit < 8 * sizeof(Packed); ++bit) {
    if (bit / 8 >= end && bit / 8 < kCheck) continue;
    const lanefuse_status status = with([&](unsigned char* bytes) {
      bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ 1u << bit % 8);
    });
    EXPECT_EQ(Described(status), "5: w is not as pack or view filled it in") << "bit " << bit;
  }
  Random random(__LINE__);
  for (int repeat = 0; repeat < 1000; ++repeat) {
    const lanefuse_status status = with([&](unsigned char* bytes) {
      for (size_t i = 0; i < 2; ++i) {  // two words, each a little larger or smaller
        size_t word;
        const size_t words = (end + sizeof(uint64_t)) / sizeof(word);
        const size_t offset = sizeof(word) * random.Below(words);
        unsigned char* const at = bytes + offset + (offset < end ? 0 : kCheck - end);
        std::memcpy(&word, at, sizeof(word));
        word += i == 0 ? random.Between(1, 9) : size_t{0} - random.Between(10, 19);
        std::memcpy(at, &word, sizeof(word));
      }
    });
    EXPECT_EQ(status.code, LANEFUSE_CORRUPT);
  }
  EXPECT_EQ(Described(with([](unsigned char* bytes) { std::memset(bytes, 0, sizeof(Packed)); })),
            "1: w is empty: Pack or View it first");
  EXPECT_EQ(with([](unsigned char* bytes) { std::memset(bytes, 0xAB, sizeof(Packed)); }).code,
            LANEFUSE_CORRUPT);
  const Packed copy = packed;  // A copy is as good.
  ASSERT_EQ(call(copy).code, LANEFUSE_OK);
  EXPECT_EQ(y, result);
}

TEST(CPacked, ALinearStructThatNobodyFilledIn) {
  const std::vector<float> w = Floats(20 * 6, 1), bias = Floats(20, 2), x = Floats(2 * 6, 3);
  std::vector<std::byte> bytes(c_packed_linear_bytes(20, 6));
  lanefuse_packed_linear packed;
  ASSERT_EQ(c_packed_linear_pack(lanefuse_make_const_mat(w.data(), 20, 6), {bias.data(), 20},
                                 nullptr, bytes.data(), bytes.size(), &packed)
                .code,
            LANEFUSE_OK);
  std::vector<float> y(2 * 20);
  Forge(packed, offsetof(lanefuse_packed_linear, check), y,
        [&](const lanefuse_packed_linear& forged) {
          return c_linear(lanefuse_make_const_mat(x.data(), 2, 6), &forged, kNoSteps,
                          lanefuse_make_mat(y.data(), 2, 20), nullptr);
        });
}

TEST(CPacked, AConv2dStructThatNobodyFilledIn) {
  const lanefuse_conv2d_shape shape = lanefuse_make_conv2d_shape(5, 3, 2, 2);
  const std::vector<float> w = Floats(5 * 2 * 2 * 3, 1), bias = Floats(5, 2), x = Floats(27, 3);
  std::vector<std::byte> bytes(c_packed_conv2d_bytes(&shape));
  lanefuse_packed_conv2d packed;
  ASSERT_EQ(c_packed_conv2d_pack(&shape, {w.data(), w.size()}, {bias.data(), 5}, nullptr,
                                 bytes.data(), bytes.size(), &packed)
                .code,
            LANEFUSE_OK);
  std::vector<float> y(2 * 2 * 5);
  const size_t end = offsetof(lanefuse_packed_conv2d, finite) + sizeof(packed.finite);
  Forge(packed, end, y, [&](const lanefuse_packed_conv2d& forged) {
    return c_conv2d(lanefuse_make_const_image(x.data(), 1, 3, 3, 3), &forged, kNoSteps,
                    lanefuse_make_image(y.data(), 1, 2, 2, 5), nullptr);
  });
}

TEST(CPacked, TheFunctionsOfTheHeaderFillInWhatTheySay) {
  float data[4] = {};
  const c_made made = c_make_all(data);
  const auto numbers = [&data](const auto& view) {  // behind the pointer, which comes first
    EXPECT_EQ(view.data, data);
    std::vector<size_t> n(sizeof(view) / sizeof(size_t) - 1);
    std::memcpy(n.data(), reinterpret_cast<const char*>(&view) + sizeof(float*),
                n.size() * sizeof(size_t));
    return n;
  };
  using Numbers = std::vector<size_t>;
  EXPECT_EQ(numbers(made.vec), Numbers({2}));
  EXPECT_EQ(numbers(made.const_vec), Numbers({3}));
  EXPECT_EQ(numbers(made.mat), Numbers({2, 3, 7}));
  EXPECT_EQ(numbers(made.read_mat), Numbers({2, 3, 7}));
  EXPECT_EQ(numbers(made.const_mat), Numbers({4, 5, 5}));
  EXPECT_EQ(numbers(made.image), Numbers({2, 3, 5, 7, 17, 19, 23}));
  EXPECT_EQ(numbers(made.read_image), Numbers({2, 3, 5, 7, 17, 19, 23}));
  EXPECT_EQ(numbers(made.const_image), Numbers({3, 5, 7, 11, 11, 77, 385}));
  const ImageView<const float> image(data, 3, 5, 7, 11);
  EXPECT_EQ(numbers(C(image)), numbers(made.const_image));
  const lanefuse_conv2d_shape conv2d =
      C(Conv2dShape{.outputs = 2, .channels = 3, .kernel_h = 5, .kernel_w = 7});
  EXPECT_EQ(std::memcmp(&made.conv2d, &conv2d, sizeof(conv2d)), 0);
  const Pool2dShape pool{.kernel_h = 2, .kernel_w = 3};
  EXPECT_EQ(made.pool2d.kernel_h, pool.kernel_h);
  EXPECT_EQ(made.pool2d.kernel_w, pool.kernel_w);
  EXPECT_EQ(made.pool2d.stride_h, pool.stride_h);
  EXPECT_EQ(made.pool2d.stride_w, pool.stride_w);
  EXPECT_EQ(made.pool2d.padding.top + made.pool2d.padding.right, 0u);
  EXPECT_EQ(made.pool2d.count_padding, pool.count_padding);
  EXPECT_EQ(made.softmax.scale, SoftmaxOptions().scale);
  EXPECT_EQ(made.softmax.mask.data, nullptr);
  EXPECT_EQ(made.softmax.causal || made.softmax.log, false);
  EXPECT_EQ(made.norm.epsilon, BatchNorm().epsilon);
  EXPECT_EQ(made.norm.gamma.data, data);
  EXPECT_EQ(made.norm.beta.data, data + 1);
  EXPECT_EQ(made.norm.mean.data, data + 2);
  EXPECT_EQ(made.norm.variance.data, data + 3);
  EXPECT_EQ(made.norm.gamma.size + made.norm.beta.size + made.norm.variance.size, 15u);
  EXPECT_EQ(made.plain_norm.gamma.size + made.plain_norm.beta.size, 0u);
  EXPECT_EQ(made.plain_norm.mean.size, 5u);
}

}  // namespace
}  // namespace lanefuse::test
