// How much of a block of convolutions runs at a time.
#include <algorithm>

#include "arch/cache.h"
#include "src/common/check.h"
#include "src/common/partition.h"
#include "src/conv/block_args.h"
#include "src/conv/conv_args.h"

namespace lanefuse {
namespace {

size_t MulAdds(const Stage& s) {
  const Conv2dShape& shape = s.w->shape();
  size_t work = s.y.images * s.y.height * s.y.width;
  for (const size_t factor :
       {shape.kernel_h, shape.kernel_w, GroupChannels(shape), shape.outputs}) {
    if (!MulAddSize(work, factor, 0, work)) return kMaxElements;
  }
  return work;
}

// What lies between two stages. Pixels a multiple of 1 KB apart fall into few sets of L1, from
// where they are pushed before they are written: those have a line between them.
ImageView<float> Between(size_t images, size_t height, size_t width, size_t channels) {
  constexpr size_t kFewSets = 1024 / sizeof(float);
  ImageView<float> view(nullptr, images, height, width, channels);
  if (channels % kFewSets == 0) view.pixel_stride += kLineFloats;
  view.row_stride = width * view.pixel_stride;
  view.image_stride = height * view.row_stride;
  return view;
}

}  // namespace

Status Connect(const ImageView<const float>& x, const ImageView<float>* y, Block& block) {
  const bool expands = block.expands();
  if (expands && block.expand.w->panels() == nullptr) {
    return {StatusCode::kInvalidArgument, "expand is empty: Pack or View it first"};
  }
  if (block.depthwise.w->panels() == nullptr) {
    return {StatusCode::kInvalidArgument, "depthwise is empty: Pack or View it first"};
  }
  if (block.pointwise.w->panels() == nullptr) {
    return {StatusCode::kInvalidArgument, expands ? "project is empty: Pack or View it first"
                                                  : "pointwise is empty: Pack or View it first"};
  }
  const Conv2dShape& shape = block.depthwise.w->shape();
  if (expands && !IsPointwise(block.expand.w->shape())) {
    return {StatusCode::kInvalidArgument, "expand must be 1x1 with stride 1 and no padding"};
  }
  if (!IsPointwise(block.pointwise.w->shape())) {
    return {StatusCode::kInvalidArgument, expands
                                              ? "project must be 1x1 with stride 1 and no padding"
                                              : "pointwise must be 1x1 with stride 1, no padding"};
  }
  if (x.channels != block.first().w->shape().channels) {
    return SizeMismatch(expands ? "x.channels is #, expand has # channels"
                                : "x.channels is #, depthwise has # channels",
                        x.channels, block.first().w->shape().channels);
  }
  if (expands && shape.channels != block.expand.w->shape().outputs) {
    return SizeMismatch("depthwise has # channels, expand has # outputs", shape.channels,
                        block.expand.w->shape().outputs);
  }
  const Conv2dShape& last = block.pointwise.w->shape();
  if (last.channels != shape.outputs) {
    return SizeMismatch(expands ? "project has # channels, depthwise has # outputs"
                                : "pointwise has # channels, depthwise has # outputs",
                        last.channels, shape.outputs);
  }
  const Padding& p = shape.padding;
  const size_t height =
      OutputSize(x.height, p.top, p.bottom, shape.kernel_h, shape.stride_h, shape.dilation_h);
  const size_t width =
      OutputSize(x.width, p.left, p.right, shape.kernel_w, shape.stride_w, shape.dilation_w);
  if (expands) {
    block.expand.x = x;
    block.expand.y = Between(x.images, x.height, x.width, shape.channels);
    block.depthwise.x = block.expand.y;
  } else {
    block.depthwise.x = x;
  }
  block.depthwise.y = Between(x.images, height, width, shape.outputs);
  block.pointwise.x = block.depthwise.y;
  block.pointwise.y = ImageView<float>(nullptr, x.images, height, width, last.outputs);
  if (y == nullptr) return {};
  if (y->channels != last.outputs) {
    return SizeMismatch(expands ? "y.channels is #, project has # outputs"
                                : "y.channels is #, pointwise has # outputs",
                        y->channels, last.outputs);
  }
  if (Status status = CheckPixels(x, *y, height, width); !status.ok()) return status;
  block.pointwise.y = *y;
  return {};
}

// Chooses the band: what lies between stays in L2. Bands that stay in L1 were no faster, as the
// kernels ask early enough for what they read, and each band costs two calls' worth of plans. Where
// the pointwise weights leave L2 with each band, larger bands read them less often.
bool PlanBand(Block& block) {
  const arch::CacheBytes& caches = arch::Caches();
  const ImageView<float>& middle = block.depthwise.y;
  const ImageView<float>& y = block.pointwise.y;
  if (y.height == 0) return true;
  size_t row, expanded_row = 0;
  if (!MulAddSize(middle.width, middle.pixel_stride, 0, row)) return false;
  if (block.expands() &&
      !MulAddSize(block.expand.y.width, block.expand.y.pixel_stride, 0, expanded_row)) {
    return false;
  }
  const Conv2dShape& shape = block.depthwise.w->shape();
  const size_t weights = middle.channels * y.channels * sizeof(float);
  const bool large = block.expands() || weights > caches.l2 / 2;
  const size_t room = large ? caches.l2 / 2 : caches.l2 / 4;
  const size_t all_rows = row + shape.stride_h * expanded_row;  // for one row of the output
  size_t band = Quotient(room / sizeof(float), std::max(all_rows, size_t{1}));
  band = std::min(std::max(band, size_t{1}), y.height);
  block.band = band == y.height ? band : QuotientUp(y.height, QuotientUp(y.height, band));
  const auto lines = [](size_t rows, size_t floats, size_t& total) {
    if (!MulAddSize(rows, floats, kLineFloats - 1, total)) return false;
    total = total / kLineFloats * kLineFloats;
    return true;
  };
  if (!lines(block.band, row, block.middle)) return false;
  if (!block.expands()) return true;
  const size_t rows =
      std::min((block.band - 1) * shape.stride_h + (shape.kernel_h - 1) * shape.dilation_h + 1,
               block.expand.y.height);
  return lines(rows, expanded_row, block.expanded);
}

size_t PartsOf(const Block& block, const Parallel& parallel) {
  if (parallel.threads == 1) return 1;
  size_t work = MulAdds(block.depthwise) + MulAdds(block.pointwise);
  if (block.expands()) work += MulAdds(block.expand);
  return PartsFor(parallel, std::min(work, kMaxElements), kMinMulAdds, block.lines());
}
bool ScratchFloats(const Block& block, size_t parts, size_t& floats) {
  return MulAddSize(parts, block.floats(), kLineFloats - 1, floats);
}

}  // namespace lanefuse
