// The arguments of a C++ call as those of the C call, and the comparison of what comes back.
//
//   const CSteps steps(epilogue);                     // made by C code from a lanefuse::Epilogue
//   EXPECT_SAME_STATUS(c_linear(C(x.cview()), &w, steps.get(), C(y.view()), nullptr), status);
#ifndef LANEFUSE_TESTS_C_C_CASE_H_
#define LANEFUSE_TESTS_C_C_CASE_H_

#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "lanefuse/lanefuse.h"
#include "tests/c/calls.h"

namespace lanefuse::test {

inline lanefuse_vec C(std::span<float> v) { return {v.data(), v.size()}; }
inline lanefuse_const_vec C(std::span<const float> v) { return {v.data(), v.size()}; }
inline lanefuse_mat C(MatView<float> m) { return {m.data, m.rows, m.cols, m.stride}; }
inline lanefuse_const_mat C(MatView<const float> m) { return {m.data, m.rows, m.cols, m.stride}; }
inline lanefuse_image C(ImageView<float> v) {
  return {v.data,     v.images,       v.height,     v.width,
          v.channels, v.pixel_stride, v.row_stride, v.image_stride};
}
inline lanefuse_const_image C(ImageView<const float> v) {
  return {v.data,     v.images,       v.height,     v.width,
          v.channels, v.pixel_stride, v.row_stride, v.image_stride};
}
inline lanefuse_activation C(const Activation& act) {
  return {static_cast<int32_t>(act.kind), act.alpha, C(act.slope)};
}
inline lanefuse_parallel C(const Parallel& p) { return {p.threads, p.run, p.context}; }
inline lanefuse_padding C(const Padding& p) { return {p.top, p.bottom, p.left, p.right}; }
inline lanefuse_pool2d_shape C(const Pool2dShape& s) {
  return {s.kernel_h, s.kernel_w, s.stride_h, s.stride_w, C(s.padding), s.count_padding};
}
inline lanefuse_conv2d_shape C(const Conv2dShape& s) {
  return {s.outputs,  s.channels,   s.kernel_h,   s.kernel_w, s.stride_h,
          s.stride_w, s.dilation_h, s.dilation_w, s.groups,   C(s.padding)};
}
inline lanefuse_batchnorm C(const BatchNorm& n) {
  return {C(n.gamma), C(n.beta), C(n.mean), C(n.variance), n.epsilon};
}
inline lanefuse_softmax_options C(const SoftmaxOptions& o) {
  return {o.scale, C(o.mask), o.causal, o.causal_offset, o.log};
}

class CSteps {
 public:
  CSteps() = default;
  explicit CSteps(const Epilogue& epilogue) {
    for (const Step& step : epilogue.steps()) steps_.push_back(Make(step));
  }
  lanefuse_epilogue get() const { return lanefuse_make_epilogue(steps_.data(), steps_.size()); }

 private:
  static lanefuse_step Make(const Step& s) {
    c_step_words words = {};
    words.kind = static_cast<lanefuse_step_kind>(s.kind);
    if (s.kind == StepKind::kAdd && !s.matrix) words.kind = LANEFUSE_STEP_ADD_IMAGE;
    if (s.kind == StepKind::kMul && !s.matrix) words.kind = LANEFUSE_STEP_MUL_IMAGE;
    words.act = static_cast<lanefuse_activation_kind>(s.act);
    words.lo = s.lo;
    words.hi = s.hi;
    words.data = s.data;
    words.size = s.size;
    words.shift = s.shift;
    words.operand = {s.data,     s.images,       s.height,     s.width,
                     s.channels, s.pixel_stride, s.row_stride, s.image_stride};
    return c_make_step(&words);
  }

  std::vector<lanefuse_step> steps_;
};

inline std::string Message(const lanefuse_status& status) {
  std::string text(c_status_format(status, nullptr, 0), '\0');
  EXPECT_EQ(c_status_format(status, text.data(), text.size() + 1), text.size());
  return text;
}

// Code and sentence of either status.
inline std::string Described(const lanefuse_status& status) {
  return std::to_string(status.code) + ": " + Message(status);
}
inline std::string Described(const Status& status) {
  return std::to_string(static_cast<int>(status.code())) + ": " + status.message();
}

#define EXPECT_SAME_STATUS(c, cpp) \
  EXPECT_EQ(::lanefuse::test::Described(c), ::lanefuse::test::Described(cpp))

}  // namespace lanefuse::test

#endif  // LANEFUSE_TESTS_C_C_CASE_H_
