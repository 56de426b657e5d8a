// Between the structs of the C interface and the values of the C++ one. No SIMD here.
#ifndef LANEFUSE_SRC_C_CONVERT_H_
#define LANEFUSE_SRC_C_CONVERT_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "lanefuse/c_types.h"
#include "lanefuse/conv.h"
#include "lanefuse/epilogue.h"
#include "lanefuse/linear.h"
#include "lanefuse/parallel.h"
#include "lanefuse/softmax.h"
#include "lanefuse/status.h"
#include "lanefuse/view.h"

namespace lanefuse {

// The same members in the same order: what a bit_cast takes for granted. The sizes say so here, and
// tests/c/c_packed_test.cc and c_status_test.cc compare every member.
template <class To, class From>
To Recast(const From& from) {
  static_assert(std::is_standard_layout_v<To> && std::is_standard_layout_v<From>);
  static_assert(alignof(To) == alignof(From));
  return std::bit_cast<To>(from);
}

inline lanefuse_status ToC(const Status& status) { return Recast<lanefuse_status>(status); }

inline lanefuse_status Invalid(const char* text) {
  return ToC({StatusCode::kInvalidArgument, text});
}

inline std::span<float> FromC(lanefuse_vec v) { return {v.data, v.size}; }
inline std::span<const float> FromC(lanefuse_const_vec v) { return {v.data, v.size}; }
inline MatView<float> FromC(const lanefuse_mat& m) { return {m.data, m.rows, m.cols, m.stride}; }
inline MatView<const float> FromC(const lanefuse_const_mat& m) {
  return {m.data, m.rows, m.cols, m.stride};
}
template <class T, class Image>
ImageView<T> ImageFromC(const Image& from) {
  ImageView<T> v;
  v.data = from.data;
  v.images = from.images;
  v.height = from.height;
  v.width = from.width;
  v.channels = from.channels;
  v.pixel_stride = from.pixel_stride;
  v.row_stride = from.row_stride;
  v.image_stride = from.image_stride;
  return v;
}
inline ImageView<float> FromC(const lanefuse_image& v) { return ImageFromC<float>(v); }
inline ImageView<const float> FromC(const lanefuse_const_image& v) {
  return ImageFromC<const float>(v);
}
inline Parallel FromC(const lanefuse_parallel* p) {
  if (p == nullptr) return {};
  return {.threads = p->threads, .run = p->run, .context = p->context};
}
inline Padding FromC(const lanefuse_padding& p) {
  return {.top = p.top, .bottom = p.bottom, .left = p.left, .right = p.right};
}

inline Conv2dShape FromC(const lanefuse_conv2d_shape& s) {
  return {.outputs = s.outputs,
          .channels = s.channels,
          .kernel_h = s.kernel_h,
          .kernel_w = s.kernel_w,
          .stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .dilation_h = s.dilation_h,
          .dilation_w = s.dilation_w,
          .groups = s.groups,
          .padding = FromC(s.padding)};
}

inline Pool2dShape FromC(const lanefuse_pool2d_shape& s) {
  return {.kernel_h = s.kernel_h,
          .kernel_w = s.kernel_w,
          .stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .padding = FromC(s.padding),
          .count_padding = s.count_padding};
}

inline SoftmaxOptions FromC(const lanefuse_softmax_options* o) {
  if (o == nullptr) return {};
  return {.scale = o->scale,
          .mask = FromC(o->mask),
          .causal = o->causal,
          .causal_offset = o->causal_offset,
          .log = o->log};
}

// False where the kind is no activation: as a byte it might become one.
bool FromC(const lanefuse_activation& from, Activation& to);
lanefuse_status NoSuchActivation(int32_t kind);

// The steps one after the other. What C++ cannot express is refused here: a kind that does not
// exist, and null steps; too many of them are not even read. Each kernel's check finds the rest.
lanefuse_status PushSteps(lanefuse_epilogue from, Epilogue& to);

// call(const Epilogue&), or what is wrong with the steps.
template <class Call>
lanefuse_status WithSteps(lanefuse_epilogue epilogue, const Call& call) {
  Epilogue steps;
  if (epilogue.size != 0) {
    const lanefuse_status status = PushSteps(epilogue, steps);
    if (status.code != LANEFUSE_OK) return status;
  }
  return ToC(call(steps));
}

// Weights that pack or view filled in, without `check`. Their shape was checked then, and kernels
// divide by it and trust it; a struct that a caller wrote or changed must not get that far.
struct LinearWeights {
  const float* panels;
  const float* bias;
  size_t outputs, inputs;
};
struct Conv2dWeights {
  const float* panels;
  const float* bias;
  lanefuse_conv2d_shape shape;
  size_t finite;
};

// The powers of an odd number, 2^64 / golden ratio.
template <size_t n>
constexpr std::array<uint64_t, n> kOddPowers = [] {
  std::array<uint64_t, n> powers{0x9E3779B97F4A7C15u};
  for (size_t i = 1; i < n; ++i) powers[i] = powers[i - 1] * powers[0];
  return powers;
}();

// The sum of each word times a power: a change of any one word changes it, and so do small changes
// of several. 0 where all words are.
template <class Weights>
uint64_t CheckOf(const Weights& weights) {
  constexpr size_t kWords = sizeof(Weights) / sizeof(size_t);
  const auto words = Recast<std::array<size_t, kWords>>(weights);
  uint64_t sum = 0;
  for (size_t i = 0; i < kWords; ++i) sum += words[i] * kOddPowers<kWords>[i];
  return sum;
}

inline LinearWeights WeightsOf(const lanefuse_packed_linear& w) {
  return {w.panels, w.bias, w.outputs, w.inputs};
}
inline Conv2dWeights WeightsOf(const lanefuse_packed_conv2d& w) {
  return {w.panels, w.bias, w.shape, w.finite};
}

// What is said about weights that are none.
struct WeightTexts {
  const char* null = "w is null";
  const char* corrupt = "w is not as pack or view filled it in";
};

// call(const Packed&), or what is wrong with `w`. All zeros are a default-constructed Packed, which
// the kernels refuse themselves.
template <class Packed, class From, class Call>
lanefuse_status WithWeights(const From* w, const Call& call, const WeightTexts& texts = {}) {
  if (w == nullptr) return Invalid(texts.null);
  const auto weights = WeightsOf(*w);
  if (CheckOf(weights) != w->check) return ToC({StatusCode::kCorrupt, texts.corrupt});
  return call(Recast<Packed>(weights));
}

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_C_CONVERT_H_
