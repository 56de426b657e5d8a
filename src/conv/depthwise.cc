// The plans whose lanes are channels, or outputs of several groups. An object of their own: with a
// sanitizer the depthwise tiles alone compile for two minutes and more.
#include "src/conv/conv_args.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "src/conv/depthwise.cc"
#include "hwy/foreach_target.h"
#include "src/conv/depthwise-inl.h"
#include "src/conv/grouped-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lanefuse::HWY_NAMESPACE {

void ConvDepthwiseF32(const ConvArgs& args, size_t begin, size_t end) {
  ConvDepthwise(args, begin, end);
}
void ConvGroupedF32(const ConvArgs& args, size_t begin, size_t end) {
  ConvGrouped(args, begin, end);
}

}  // namespace lanefuse::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lanefuse {

HWY_EXPORT(ConvDepthwiseF32);
HWY_EXPORT(ConvGroupedF32);

ConvKernel ChannelsKernel(ConvPlan plan, int target) {
  return plan == ConvPlan::kDepthwise ? HWY_DISPATCH_TABLE(ConvDepthwiseF32)[target]
                                      : HWY_DISPATCH_TABLE(ConvGroupedF32)[target];
}

}  // namespace lanefuse
#endif  // HWY_ONCE
