// All that differs between oneDNN 2.6 and 3.12. Version 3.0 removed the operation descriptors: what
// was Primitive::desc(...) followed by primitive_desc(desc, attr, engine) became one constructor.
// Each function returns an empty descriptor where this oneDNN has no implementation.
#ifndef LANEFUSE_BENCH_ONEDNN_COMPAT_H_
#define LANEFUSE_BENCH_ONEDNN_COMPAT_H_

#include <oneapi/dnnl/dnnl.hpp>

namespace lanefuse::bench::onednn::compat {

using dnnl::algorithm;
using dnnl::engine;
using dnnl::memory;
using dnnl::primitive_attr;

constexpr auto kForward = dnnl::prop_kind::forward_inference;
#define LANEFUSE_ONEDNN_AT_LEAST(major, minor) \
  (DNNL_VERSION_MAJOR > (major) || (DNNL_VERSION_MAJOR == (major) && DNNL_VERSION_MINOR >= (minor)))
// From 2.7 on hardswish has the two parameters of hardsigmoid, which is new there.
constexpr bool kHasHardSigmoid = LANEFUSE_ONEDNN_AT_LEAST(2, 7);

#if LANEFUSE_ONEDNN_AT_LEAST(3, 0)

using Softmax = dnnl::softmax_forward;
using Pooling = dnnl::pooling_forward;

inline dnnl::convolution_forward::primitive_desc MakeConvolution(
    const engine& e, const memory::desc& src, const memory::desc& weights, const memory::desc& bias,
    const memory::desc& dst, const memory::dims& strides, const memory::dims& dilates,
    const memory::dims& left, const memory::dims& right, const primitive_attr& attr) {
  return {e,    kForward, algorithm::convolution_auto,
          src,  weights,  bias,
          dst,  strides,  dilates,
          left, right,    attr,
          true};
}

inline dnnl::inner_product_forward::primitive_desc MakeInnerProduct(
    const engine& e, const memory::desc& src, const memory::desc& weights, const memory::desc& bias,
    const memory::desc& dst, const primitive_attr& attr) {
  return {e, kForward, src, weights, bias, dst, attr, true};
}

inline dnnl::matmul::primitive_desc MakeMatmul(const engine& e, const memory::desc& src,
                                               const memory::desc& weights,
                                               const memory::desc& bias, const memory::desc& dst,
                                               const primitive_attr& attr) {
  return {e, src, weights, bias, dst, attr, true};
}

inline Pooling::primitive_desc MakePooling(const engine& e, algorithm kind, const memory::desc& src,
                                           const memory::desc& dst, const memory::dims& strides,
                                           const memory::dims& kernel, const memory::dims& left,
                                           const memory::dims& right, const primitive_attr& attr) {
  return {e, kForward, kind, src, dst, strides, kernel, {0, 0}, left, right, attr, true};
}

inline Softmax::primitive_desc MakeSoftmax(const engine& e, algorithm kind, const memory::desc& src,
                                           const memory::desc& dst, const primitive_attr& attr) {
  return {e, kForward, kind, src, dst, 1, attr, true};
}

inline dnnl::eltwise_forward::primitive_desc MakeEltwise(const engine& e, algorithm kind,
                                                         const memory::desc& data, float alpha,
                                                         float beta, const primitive_attr& attr) {
  return {e, kForward, kind, data, data, alpha, beta, attr, true};
}

inline dnnl::binary::primitive_desc MakeBinary(const engine& e, algorithm kind,
                                               const memory::desc& data,
                                               const memory::desc& operand,
                                               const primitive_attr& attr) {
  return {e, kind, data, operand, data, attr, true};
}

inline void AppendEltwise(dnnl::post_ops& ops, algorithm kind, float alpha, float beta) {
  ops.append_eltwise(kind, alpha, beta);
}

#else  // 2.x

using Softmax = dnnl::softmax_v2_forward;
using Pooling = dnnl::pooling_v2_forward;

inline dnnl::convolution_forward::primitive_desc MakeConvolution(
    const engine& e, const memory::desc& src, const memory::desc& weights, const memory::desc& bias,
    const memory::desc& dst, const memory::dims& strides, const memory::dims& dilates,
    const memory::dims& left, const memory::dims& right, const primitive_attr& attr) {
  return {{kForward, algorithm::convolution_auto, src, weights, bias, dst, strides, dilates, left,
           right},
          attr,
          e,
          true};
}

inline dnnl::inner_product_forward::primitive_desc MakeInnerProduct(
    const engine& e, const memory::desc& src, const memory::desc& weights, const memory::desc& bias,
    const memory::desc& dst, const primitive_attr& attr) {
  return {{kForward, src, weights, bias, dst}, attr, e, true};
}

inline dnnl::matmul::primitive_desc MakeMatmul(const engine& e, const memory::desc& src,
                                               const memory::desc& weights,
                                               const memory::desc& bias, const memory::desc& dst,
                                               const primitive_attr& attr) {
  return {{src, weights, bias, dst}, attr, e, true};
}

inline Pooling::primitive_desc MakePooling(const engine& e, algorithm kind, const memory::desc& src,
                                           const memory::desc& dst, const memory::dims& strides,
                                           const memory::dims& kernel, const memory::dims& left,
                                           const memory::dims& right, const primitive_attr& attr) {
  return {{kForward, kind, src, dst, strides, kernel, {0, 0}, left, right}, attr, e, true};
}

inline Softmax::primitive_desc MakeSoftmax(const engine& e, algorithm kind, const memory::desc& src,
                                           const memory::desc& dst, const primitive_attr& attr) {
  return {{kForward, kind, src, dst, 1}, attr, e, true};
}

inline dnnl::eltwise_forward::primitive_desc MakeEltwise(const engine& e, algorithm kind,
                                                         const memory::desc& data, float alpha,
                                                         float beta, const primitive_attr& attr) {
  return {{kForward, kind, data, alpha, beta}, attr, e, true};
}

inline dnnl::binary::primitive_desc MakeBinary(const engine& e, algorithm kind,
                                               const memory::desc& data,
                                               const memory::desc& operand,
                                               const primitive_attr& attr) {
  return {{kind, data, operand, data}, attr, e, true};
}

inline void AppendEltwise(dnnl::post_ops& ops, algorithm kind, float alpha, float beta) {
  ops.append_eltwise(1.0f, kind, alpha, beta);
}

#endif

}  // namespace lanefuse::bench::onednn::compat

#endif  // LANEFUSE_BENCH_ONEDNN_COMPAT_H_
