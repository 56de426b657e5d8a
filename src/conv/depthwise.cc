// The depthwise plan of Conv2d: a translation unit of its own, as each compiles for minutes where
// sanitisers look on.
#include "src/conv/conv_args.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/conv/depthwise.cc"
#include "hwy/foreach_target.h"
#include "src/conv/depthwise-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

void DepthwiseF32(const ConvArgs& args, size_t begin, size_t end) {
  ConvDepthwise(args, begin, end);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(DepthwiseF32);

ConvKernel DepthwiseKernel(int target) { return HWY_DISPATCH_TABLE(DepthwiseF32)[target]; }

}  // namespace lanefuse
#endif  // HWY_ONCE
