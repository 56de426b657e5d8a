// What the C interface says about wrong calls: the words of the C++ one, and an answer to all that
// only C can get wrong.
#include <gtest/gtest.h>

#include <climits>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/c/c_case.h"
#include "tests/support/targets.h"

namespace lanefuse::test {
namespace {

constexpr lanefuse_epilogue kNoSteps = {nullptr, 0};

// Arguments of every kernel that fit each other: 1 x 4 everywhere.
class CWrongCalls : public testing::Test {
 protected:
  static constexpr size_t kSize = 4;

  void SetUp() override {
    ASSERT_EQ(c_packed_linear_pack(lanefuse_make_const_mat(w.data(), kSize, kSize), {nullptr, 0},
                                   nullptr, linear_bytes.data(), linear_bytes.size(), &linear)
                  .code,
              LANEFUSE_OK);
    ASSERT_EQ(c_packed_conv2d_pack(&shape, {w.data(), w.size()}, {nullptr, 0}, nullptr,
                                   conv2d_bytes.data(), conv2d_bytes.size(), &conv2d)
                  .code,
              LANEFUSE_OK);
  }

  struct Call {
    const char* name;
    bool image;  // what operands must be
    std::function<lanefuse_status(lanefuse_epilogue)> run;
  };
  // Every call that takes an epilogue, with the arguments that follow.
  std::vector<Call> Calls() {
    return {
        {"dot", false, [this](auto e) { return c_dot_epilogue(xs, xs, e, y.data()); }},
        {"gemv", false, [this](auto e) { return c_gemv(ws, xs, e, ys, nullptr); }},
        {"linear", false, [this](auto e) { return c_linear(xm, &linear, e, ym, nullptr); }},
        {"conv2d", true, [this](auto e) { return c_conv2d(xi, &conv2d, e, yi, nullptr); }},
        {"separable_conv2d", true,
         [this](auto e) {
           return c_separable_conv2d(xi, &conv2d, kNoSteps, &conv2d, e, yi, scratch(), nullptr);
         }},
        {"inverted_residual", true,
         [this](auto e) {
           return c_inverted_residual(xi, &conv2d, kNoSteps, &conv2d, kNoSteps, &conv2d, e, yi,
                                      scratch(), nullptr);
         }},
        {"max_pool2d", true, [this](auto e) { return c_max_pool2d(xi, &pool, e, yi, nullptr); }},
        {"average_pool2d", true,
         [this](auto e) { return c_average_pool2d(xi, &pool, e, yi, nullptr); }},
        {"global_average_pool", true,
         [this](auto e) { return c_global_average_pool(xi, e, yi, nullptr); }},
        {"softmax", false, [this](auto e) { return c_softmax(xm, nullptr, e, ym, nullptr); }},
        {"apply", false, [this](auto e) { return c_apply(xm, e, ym, nullptr); }},
    };
  }
  lanefuse_vec scratch() { return {floats.data(), floats.size()}; }
  void ExpectUntouched(const std::string& what) {
    EXPECT_EQ(y, std::vector<float>(kSize, 7.0f)) << what << " wrote its output";
  }
  void ExpectRefused(const lanefuse_status& status, int code, const char* message) {
    EXPECT_EQ(Described(status), std::to_string(code) + ": " + message);
    ExpectUntouched(message);
  }
  void ExpectInvalid(const lanefuse_status& status, const char* message) {
    ExpectRefused(status, LANEFUSE_INVALID_ARGUMENT, message);
  }

  std::vector<float> w = std::vector<float>(kSize * kSize, 0.5f);
  std::vector<float> x = std::vector<float>(kSize, 2.0f), y = std::vector<float>(kSize, 7.0f);
  const lanefuse_conv2d_shape shape = lanefuse_make_conv2d_shape(kSize, kSize, 1, 1);
  const lanefuse_pool2d_shape pool = lanefuse_make_pool2d_shape(1, 1);
  std::vector<std::byte> linear_bytes{c_packed_linear_bytes(kSize, kSize)};
  std::vector<std::byte> conv2d_bytes{c_packed_conv2d_bytes(&shape)};
  lanefuse_packed_linear linear = {};
  lanefuse_packed_conv2d conv2d = {};
  std::vector<float> floats = std::vector<float>(200);  // scratch
  const lanefuse_const_mat ws = lanefuse_make_const_mat(w.data(), kSize, kSize);
  const lanefuse_const_vec xs = {x.data(), kSize};
  const lanefuse_vec ys = {y.data(), kSize};
  const lanefuse_const_mat xm = lanefuse_make_const_mat(x.data(), 1, kSize);
  const lanefuse_mat ym = lanefuse_make_mat(y.data(), 1, kSize);
  const lanefuse_const_image xi = lanefuse_make_const_image(x.data(), 1, 1, 1, kSize);
  const lanefuse_image yi = lanefuse_make_image(y.data(), 1, 1, 1, kSize);
};

TEST_F(CWrongCalls, NoneOfTheArgumentsIsWrongByItself) {
  for (const Call& call : Calls()) {
    y.assign(kSize, 7.0f);
    EXPECT_EQ(Described(call.run(kNoSteps)), "0: ok") << call.name;
    EXPECT_NE(y, std::vector<float>(kSize, 7.0f)) << call.name;
  }
}

TEST_F(CWrongCalls, Steps) {
  const std::vector<lanefuse_step> nine(9, lanefuse_step_scale(1.0f));
  for (const Call& call : Calls()) {
    SCOPED_TRACE(call.name);
    ExpectInvalid(call.run({nullptr, 1}), "epilogue.steps is null");
    ExpectInvalid(call.run({nine.data(), 9}), "epilogue has 9 steps, at most 8 are possible");
    // More than there are: they are not read.
    const size_t many = SIZE_MAX / 2;
    ExpectInvalid(
        call.run({nine.data(), many}),
        ("epilogue has " + std::to_string(many) + " steps, at most 8 are possible").c_str());
    ExpectInvalid(call.run({nullptr, 9}), "epilogue has 9 steps, at most 8 are possible");
    for (const int kind : {-1, 10, 11, 255, 256, 65536, INT_MAX, INT_MIN}) {
      // The last of several, so that all are looked at.
      std::vector<lanefuse_step> steps(3, lanefuse_step_scale(1.0f));
      steps[2].kind = kind;
      const std::string number = std::to_string(kind);
      ExpectInvalid(call.run({steps.data(), 3}),
                    ("epilogue: step kind " + number + " does not exist").c_str());
    }
    for (const int kind : {-1, 15, 16, 255, 256, 257, 65536, INT_MAX, INT_MIN}) {
      const lanefuse_step step = lanefuse_step_act(kind);
      const std::string number = std::to_string(kind);
      ExpectInvalid(call.run({&step, 1}),
                    ("epilogue Act: kind " + number + " is no activation").c_str());
    }
    lanefuse_step zero = {};
    EXPECT_EQ(call.run({&zero, 1}).code, LANEFUSE_SHAPE_MISMATCH) << "a bias without values";
    ExpectUntouched("a step of zeros");
  }
}

// A step that C++ can express too gives what C++ says.
TEST_F(CWrongCalls, StepsThatCppRefusesToo) {
  const std::span<const float> values(x), null(static_cast<const float*>(nullptr), kSize);
  const MatView<float> out(y.data(), 1, kSize);
  const MatView<const float> in(x.data(), 1, kSize);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Epilogue wrong[] = {
      Epilogue().Bias(values.first(3)),
      Epilogue().Bias(null),
      Epilogue().Bias(std::span<const float>(y)),
      Epilogue().Affine(values, values.first(2)),
      Epilogue().Affine(null, values),
      Epilogue().ScaleChannels(values.first(1)),
      Epilogue().Act(PRelu(null)),
      Epilogue().Act(PRelu(values.first(2))),
      Epilogue().Clamp(1.0f, 0.0f),
      Epilogue().Clamp(nan, 0.0f),
      Epilogue().Add(ImageView<const float>(x.data(), 1, 1, kSize)),
      Epilogue().Mul(ImageView<const float>(x.data(), 1, 1, kSize)),
      Epilogue().Add(MatView<const float>(x.data(), 1, 3)),
      Epilogue().Mul(MatView<const float>(y.data() + 1, 1, kSize)),
      Epilogue().Scale(2.0f).Add(MatView<const float>(nullptr, 1, kSize)),
  };
  for (const Epilogue& epilogue : wrong) {
    CSteps steps(epilogue);
    lanefuse_epilogue c = steps.get();
    // An affine made by hand may have two sizes; the function takes one.
    std::vector<lanefuse_step> copy(c.steps, c.steps + c.size);
    if (copy[0].kind == LANEFUSE_STEP_AFFINE) {
      copy[0].of.affine.shift.size = epilogue.steps()[0].shift_size;
    }
    const lanefuse_status status = c_apply(xm, {copy.data(), copy.size()}, ym, nullptr);
    EXPECT_NE(status.code, LANEFUSE_OK);
    EXPECT_SAME_STATUS(status, Apply(in, epilogue, out));
    ExpectUntouched("a wrong step");
  }
}

TEST_F(CWrongCalls, MatricesAndImagesAreNotMixed) {
  const lanefuse_step mat = lanefuse_step_add(xm), image = lanefuse_step_mul_image(xi);
  for (const Call& call : Calls()) {
    if (std::string_view(call.name) == "dot") continue;  // 1 x 1
    const lanefuse_status status = call.run({call.image ? &mat : &image, 1});
    ExpectRefused(status, LANEFUSE_SHAPE_MISMATCH,
                  call.image ? "epilogue Add: operand is a MatView, the output an image"
                             : "epilogue Mul: operand is an ImageView, the output a matrix");
  }
}

TEST_F(CWrongCalls, NullPointers) {
  ExpectInvalid(c_dot(xs, xs, {LANEFUSE_ACT_RELU, 0.0f, {nullptr, 0}}, nullptr), "out is null");
  ExpectInvalid(c_dot_epilogue(xs, xs, kNoSteps, nullptr), "out is null");
  ExpectInvalid(c_linear(xm, nullptr, kNoSteps, ym, nullptr), "w is null");
  ExpectInvalid(c_conv2d(xi, nullptr, kNoSteps, yi, nullptr), "w is null");
  ExpectInvalid(
      c_separable_conv2d(xi, nullptr, kNoSteps, &conv2d, kNoSteps, yi, scratch(), nullptr),
      "depthwise is null");
  ExpectInvalid(
      c_separable_conv2d(xi, &conv2d, kNoSteps, nullptr, kNoSteps, yi, scratch(), nullptr),
      "pointwise is null");
  ExpectInvalid(c_inverted_residual(xi, nullptr, kNoSteps, &conv2d, kNoSteps, &conv2d, kNoSteps, yi,
                                    scratch(), nullptr),
                "expand is null");
  ExpectInvalid(c_inverted_residual(xi, &conv2d, kNoSteps, &conv2d, kNoSteps, nullptr, kNoSteps, yi,
                                    scratch(), nullptr),
                "project is null");
  ExpectInvalid(c_max_pool2d(xi, nullptr, kNoSteps, yi, nullptr), "shape is null");
  ExpectInvalid(c_average_pool2d(xi, nullptr, kNoSteps, yi, nullptr), "shape is null");
  ExpectInvalid(c_dot({nullptr, kSize}, xs, {}, y.data()), "a is null");
  ExpectInvalid(c_gemv(ws, {nullptr, kSize}, kNoSteps, ys, nullptr), "x is null");
  ExpectInvalid(c_gemv(ws, xs, kNoSteps, {nullptr, kSize}, nullptr), "y is null");
  ExpectInvalid(c_linear({nullptr, 1, kSize, kSize}, &linear, kNoSteps, ym, nullptr),
                "x.data is null");
  ExpectInvalid(c_softmax(xm, nullptr, kNoSteps, {nullptr, 1, kSize, kSize}, nullptr),
                "y.data is null");
  lanefuse_linear_layer layers[LANEFUSE_MAX_LINEAR_LAYERS + 1] = {{&linear, kNoSteps, ym},
                                                                  {nullptr, kNoSteps, ym}};
  ExpectInvalid(c_linear_group(xm, nullptr, 1, nullptr), "layers is null");
  ExpectInvalid(c_linear_group(xm, layers, LANEFUSE_MAX_LINEAR_LAYERS + 1, nullptr),
                "layers has 4, at most 3 are possible");
  ExpectInvalid(c_linear_group(xm, layers, 2, nullptr), "layer 1: weights is null");
  layers[1] = {&linear, {nullptr, 1}, ym};
  ExpectInvalid(c_linear_group(xm, layers, 2, nullptr), "layer 1: epilogue.steps is null");
  ExpectInvalid(c_linear_group({nullptr, 1, kSize, kSize}, layers, 1, nullptr),
                "layer 0: x.data is null");
  const lanefuse_parallel no_threads = {0, [](void*, size_t, void (*)(void*, size_t), void*) {},
                                        nullptr};
  ExpectInvalid(c_linear(xm, &linear, kNoSteps, ym, &no_threads),
                "parallel.threads is 0, must say how many parts parallel.run may get");
}

TEST_F(CWrongCalls, ActivationsOfDot) {
  for (const int kind : {-1, 15, 255, 256, 257, INT_MAX, INT_MIN}) {
    ExpectInvalid(c_dot(xs, xs, {kind, 0.0f, {nullptr, 0}}, y.data()),
                  ("epilogue Act: kind " + std::to_string(kind) + " is no activation").c_str());
  }
}

TEST_F(CWrongCalls, ShapesAndOverlaps) {
  ExpectRefused(c_gemv(ws, {x.data(), 3}, kNoSteps, ys, nullptr), LANEFUSE_SHAPE_MISMATCH,
                "x has 3 values, w has 4 columns");
  ExpectRefused(c_apply(xm, kNoSteps, lanefuse_make_mat(y.data(), 1, 3), nullptr),
                LANEFUSE_SHAPE_MISMATCH, "y.cols is 3, x.cols is 4");
  ExpectRefused(c_linear(lanefuse_read_mat(ym), &linear, kNoSteps, ym, nullptr), LANEFUSE_OVERLAP,
                "y overlaps x");
  ExpectRefused(c_conv2d(lanefuse_read_image(yi), &conv2d, kNoSteps, yi, nullptr), LANEFUSE_OVERLAP,
                "y overlaps x");
  lanefuse_pool2d_shape zero = {};
  ExpectInvalid(c_max_pool2d(xi, &zero, kNoSteps, yi, nullptr),
                "shape.kernel_h is 0, must be 1 to 2^24");
  lanefuse_softmax_options scale = {};
  scale.scale = std::numeric_limits<float>::infinity();
  ExpectInvalid(c_softmax(xm, &scale, kNoSteps, ym, nullptr), "options.scale is not finite");
}

TEST(CStatus, FormatsLikeCpp) {
  const Status whole(StatusCode::kShapeMismatch, "y.cols is #, must be # #", -12, INT64_MIN);
  const Status cpp = whole.OfLayer(2);
  const lanefuse_status c = {"y.cols is #, must be # #", {-12, INT64_MIN}, 2, 3};
  EXPECT_EQ(cpp.message(), "layer 2: " + whole.message());
  EXPECT_TRUE(Status().OfLayer(2).ok());
  EXPECT_EQ(Status().OfLayer(2).message(), "ok");
  for (size_t size = 0; size < 60; ++size) {
    char ours[64], theirs[64];
    std::memset(ours, 'x', sizeof(ours));
    std::memset(theirs, 'x', sizeof(theirs));
    EXPECT_EQ(c_status_format(c, ours, size), cpp.Format({theirs, size}));
    EXPECT_EQ(std::memcmp(ours, theirs, sizeof(ours)), 0) << size;
  }
  EXPECT_EQ(Message(c), cpp.message());
  EXPECT_EQ(c_status_format(c, nullptr, 10), cpp.message().size());
  char empty[4] = "abc";
  EXPECT_EQ(c_status_format({}, empty, sizeof(empty)), 0u);
  EXPECT_STREQ(empty, "");
}

TEST(CTarget, NamesAreThoseOfCpp) {
  const auto compare = [](const char* (*at)(size_t), std::span<const std::string_view> names) {
    for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(std::string_view(at(i)), names[i]);
    EXPECT_EQ(at(names.size()), nullptr);
    EXPECT_EQ(at(SIZE_MAX), nullptr);
  };
  compare(c_supported_target, SupportedTargets());
  compare(c_built_target, BuiltTargets());
  for (const std::string_view name : BuiltTargets()) {
    EXPECT_EQ(c_target_has_same_bits(std::string(name).c_str()), TargetHasSameBits(name));
  }
  EXPECT_FALSE(c_target_has_same_bits("nonsense"));
  EXPECT_FALSE(c_target_has_same_bits(nullptr));
}

TEST(CTarget, Limit) {
  for (const std::string_view name : SupportedTargets()) {
    EXPECT_EQ(Described(c_limit_target(std::string(name).c_str())), "0: ok");
    EXPECT_EQ(ActiveTarget(), name);
    EXPECT_EQ(c_active_target(), name);
  }
  const std::string before = c_active_target();
  const lanefuse_status status = c_limit_target("nonsense");
  EXPECT_EQ(status.code, LANEFUSE_UNSUPPORTED_TARGET);
  EXPECT_SAME_STATUS(status, LimitTarget("nonsense"));
  EXPECT_EQ(c_active_target(), before);
  for (const char* none : {static_cast<const char*>(nullptr), ""}) {
    EXPECT_EQ(c_limit_target(before.c_str()).code, LANEFUSE_OK);
    EXPECT_EQ(c_limit_target(none).code, LANEFUSE_OK);
    EXPECT_EQ(c_active_target(), SupportedTargets().front());
  }
}

}  // namespace
}  // namespace lanefuse::test
