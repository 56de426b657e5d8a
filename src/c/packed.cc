// Packed weights for C.
#include "lanefuse/c.h"
#include "src/c/convert.h"

namespace lanefuse {
namespace {

lanefuse_conv2d_shape ToC(const Conv2dShape& s) {
  const Padding& p = s.padding;
  return {s.outputs,  s.channels,   s.kernel_h,   s.kernel_w, s.stride_h,
          s.stride_w, s.dilation_h, s.dilation_w, s.groups,   {p.top, p.bottom, p.left, p.right}};
}

// Null stays null.
class Norm {
 public:
  explicit Norm(const lanefuse_batchnorm* from) {
    if (from == nullptr) return;
    norm_ = {FromC(from->gamma), FromC(from->beta), FromC(from->mean), FromC(from->variance),
             from->epsilon};
    present_ = true;
  }
  const BatchNorm* get() const { return present_ ? &norm_ : nullptr; }

 private:
  BatchNorm norm_;
  bool present_ = false;
};

lanefuse_packed_linear ToC(const PackedLinear& w) {
  const LinearWeights weights = {w.panels(), w.bias(), w.outputs(), w.inputs()};
  return {weights.panels, weights.bias, weights.outputs, weights.inputs, CheckOf(weights)};
}

lanefuse_packed_conv2d ToC(const PackedConv2d& w) {
  const Conv2dWeights weights = {w.panels(), w.bias(), ToC(w.shape()), w.finite() ? size_t{1} : 0};
  return {weights.panels, weights.bias, weights.shape, weights.finite, CheckOf(weights)};
}

// fill(PackedLinear&) or fill(PackedConv2d&), and its result for C.
template <class Packed, class To, class Fill>
lanefuse_status FillIn(To* packed, const Fill& fill) {
  if (packed == nullptr) return Invalid("packed is null");
  Packed filled;
  const Status status = fill(filled);
  if (status.ok()) *packed = ToC(filled);
  return lanefuse::ToC(status);
}

std::span<std::byte> Bytes(void* bytes, size_t size) {
  return {static_cast<std::byte*>(bytes), size};
}
std::span<const std::byte> Bytes(const void* bytes, size_t size) {
  return {static_cast<const std::byte*>(bytes), size};
}

}  // namespace
}  // namespace lanefuse

// At global scope: a definition inside the namespace would not be the one that c.h exports.
using lanefuse::FillIn;
using lanefuse::FromC;
using lanefuse::Invalid;
using lanefuse::PackedConv2d;
using lanefuse::PackedLinear;

size_t lanefuse_packed_linear_bytes(size_t outputs, size_t inputs) {
  return PackedLinear::Bytes(outputs, inputs);
}

lanefuse_status lanefuse_packed_linear_pack(lanefuse_const_mat w, lanefuse_const_vec bias,
                                            const lanefuse_batchnorm* batchnorm, void* bytes,
                                            size_t size, lanefuse_packed_linear* packed) {
  return FillIn<PackedLinear>(packed, [&](PackedLinear& to) {
    return PackedLinear::Pack(FromC(w), FromC(bias), lanefuse::Norm(batchnorm).get(),
                              lanefuse::Bytes(bytes, size), to);
  });
}

lanefuse_status lanefuse_packed_linear_view(const void* bytes, size_t size,
                                            lanefuse_packed_linear* packed) {
  return FillIn<PackedLinear>(packed, [&](PackedLinear& to) {
    return PackedLinear::View(lanefuse::Bytes(bytes, size), to);
  });
}

size_t lanefuse_packed_conv2d_bytes(const lanefuse_conv2d_shape* shape) {
  return shape == nullptr ? 0 : PackedConv2d::Bytes(FromC(*shape));
}

lanefuse_status lanefuse_packed_conv2d_pack(const lanefuse_conv2d_shape* shape,
                                            lanefuse_const_vec weights, lanefuse_const_vec bias,
                                            const lanefuse_conv2d_fold* fold, void* bytes,
                                            size_t size, lanefuse_packed_conv2d* packed) {
  if (shape == nullptr) return Invalid("shape is null");
  const lanefuse::Norm after(fold == nullptr ? nullptr : fold->after);
  const lanefuse::Norm before(fold == nullptr ? nullptr : fold->before);
  const lanefuse::Conv2dFold folds = {after.get(), before.get(),
                                      fold != nullptr && fold->output_has_other_readers};
  return FillIn<PackedConv2d>(packed, [&](PackedConv2d& to) {
    return PackedConv2d::Pack(FromC(*shape), FromC(weights), FromC(bias), folds,
                              lanefuse::Bytes(bytes, size), to);
  });
}

lanefuse_status lanefuse_packed_conv2d_view(const void* bytes, size_t size,
                                            lanefuse_packed_conv2d* packed) {
  return FillIn<PackedConv2d>(packed, [&](PackedConv2d& to) {
    return PackedConv2d::View(lanefuse::Bytes(bytes, size), to);
  });
}
