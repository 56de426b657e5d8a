// Convolutions that follow each other, as one call: a band of rows at a time passes through all of
// them, so that what lies between is read while it is in the caches. Each convolution runs the
// kernels of Conv2d on its part of the rows; there is no SIMD here.
#include <algorithm>
#include <cstring>

#include "arch/target.h"
#include "lanefuse/conv.h"
#include "src/common/check.h"
#include "src/common/partition.h"
#include "src/conv/block_args.h"
#include "src/conv/conv_args.h"

namespace lanefuse {
namespace {

// Rows [begin, end) of an image.
struct Rows {
  size_t begin, end;
  size_t size() const { return end - begin; }
};

// The rows of an image that rows `out` of a convolution read.
Rows InputRows(const Conv2dShape& s, size_t height, Rows out) {
  const size_t begin = out.begin * s.stride_h;
  const size_t end = (out.end - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h + 1;
  const auto inside = [&](size_t row) {
    return std::min(row - std::min(row, s.padding.top), height);
  };
  return {inside(begin), inside(end)};
}

// Rows `rows` of one image of a stage. Where its input lies in scratch, `x` is where the first of
// the rows that are read lies; where its output does, y is where the first row goes.
void RunRows(const Block& block, const Stage& stage, size_t image, Rows rows, const float* x,
             float* y) {
  Conv2dShape shape = stage.w->shape();
  const Rows in = InputRows(shape, stage.x.height, rows);
  const size_t above = rows.begin * shape.stride_h;
  shape.padding.top -= std::min(above, shape.padding.top);
  ConvArgs args = ConvArgsFor(*stage.w, stage.chain, stage.x, stage.y);
  args.shape = &shape;
  args.far_output &= y == nullptr;
  args.alone = block.alone;
  args.x.images = 1;
  args.x.height = in.size();
  if (x != nullptr) args.image_bytes = ImageBytes(args.x);
  args.x.data = x != nullptr
                    ? x
                    : stage.x.data + image * stage.x.image_stride + in.begin * stage.x.row_stride;
  args.y.images = 1;
  args.y.height = rows.size();
  args.y.data = y != nullptr
                    ? y
                    : stage.y.data + image * stage.y.image_stride + rows.begin * stage.y.row_stride;
  args.origin = {image, rows.begin, 0, 0};
  CutTiles(args, stage.flat, stage.y.height, block.target);
  RunConv(args);
}

// Lines (rows of all images) [begin, end) of the output.
void RunLines(const Block& block, size_t begin, size_t end, float* scratch) {
  const size_t height = block.pointwise.y.height;
  float* const expanded = scratch;
  float* const middle = scratch + block.expanded;
  const size_t row_floats = block.expands() ? block.expand.y.row_stride : 0;
  Rows kept{0, 0};  // rows of `image` that `expanded` holds, from its start
  size_t image = begin == 0 ? 0 : begin / height;
  size_t row = begin - image * height;
  for (size_t line = begin; line < end;) {
    const Rows rows{row, row + std::min({block.band, height - row, end - line})};
    if (block.expands()) {
      const Rows in = InputRows(block.depthwise.w->shape(), block.depthwise.x.height, rows);
      Rows missing = in;
      if (kept.begin <= in.begin && in.begin < kept.end) {
        missing.begin = std::min(kept.end, in.end);
        if (in.begin != kept.begin) {
          std::memmove(expanded, expanded + (in.begin - kept.begin) * row_floats,
                       (missing.begin - in.begin) * row_floats * sizeof(float));
        }
      }
      if (missing.size() != 0) {
        RunRows(block, block.expand, image, missing, nullptr,
                expanded + (missing.begin - in.begin) * row_floats);
      }
      kept = in;
    }
    RunRows(block, block.depthwise, image, rows, block.expands() ? expanded : nullptr, middle);
    RunRows(block, block.pointwise, image, rows, middle, nullptr);
    line += rows.size();
    row = rows.end;
    if (row == height) {
      row = 0;
      ++image;
      kept = {0, 0};
    }
  }
}

Status CheckMemory(Block& block, const ImageView<const float>& x, const ImageView<const float>& y,
                   std::span<float> scratch) {
  Extent output;
  if (Status status = CheckViews(x, y, output); !status.ok()) return status;
  const Extent buffer = ExtentOf(scratch.data(), scratch.size());
  size_t count;
  if (SpanOf(x, count) && Meet(buffer, ExtentOf(x.data, count))) {
    return {StatusCode::kOverlap, "scratch overlaps x"};
  }
  if (Meet(buffer, output)) return {StatusCode::kOverlap, "scratch overlaps y"};
  struct Named {
    Stage* stage;
    const char *y_text, *scratch_text, *operand_text;
  };
  const bool expands = block.expands();
  const Named stages[] = {
      {&block.expand, "y overlaps expand", "scratch overlaps expand",
       "y overlaps an operand of first"},
      {&block.depthwise, "y overlaps depthwise", "scratch overlaps depthwise",
       "y overlaps an operand of middle"},
      {&block.pointwise, expands ? "y overlaps project" : "y overlaps pointwise",
       expands ? "scratch overlaps project" : "scratch overlaps pointwise", ""},
  };
  for (const Named& named : std::span(stages).subspan(expands ? 0 : 1)) {
    Stage& stage = *named.stage;
    const Extent weights = ExtentOf(*stage.w);
    if (Meet(output, weights)) return {StatusCode::kOverlap, named.y_text};
    if (Meet(buffer, weights)) return {StatusCode::kOverlap, named.scratch_text};
    const bool last = &stage == &block.pointwise;
    const ImageView<const float> whole = last ? y : ImageView<const float>(stage.y);
    if (Status status = CompileChain(
            *stage.epilogue, stage.w->bias(), [&] { return whole; }, false, block.target,
            stage.chain);
        !status.ok()) {
      return status;
    }
    // Other rows of y are written before this operand is read.
    if (!last && ChainReads(stage.chain, y)) {
      return {StatusCode::kOverlap, named.operand_text};
    }
    if (ChainReads(stage.chain, AsImage(scratch))) {
      return {StatusCode::kOverlap, "scratch overlaps an operand of an epilogue"};
    }
    if (!stage.chain.in_registers) SplitChain(stage.chain, whole);
    stage.flat = IsPointwise(stage.w->shape()) && IsFlat(stage.chain, whole);
  }
  return {};
}

Status RunBlock(Block& block, const ImageView<const float>& x, const ImageView<float>& y,
                std::span<float> scratch, const Parallel& parallel) {
  block.target = arch::ActiveIndex();
  if (block.target < 0) return arch::UnsupportedTarget();
  if (Status status = Connect(x, &y, block); !status.ok()) return status;
  if (Status status = CheckParallel(parallel); !status.ok()) return status;
  if (Status status = CheckMemory(block, x, y, scratch); !status.ok()) return status;
  if (y.images == 0 || y.height == 0 || y.width == 0) return {};
  size_t least;
  if (!PlanBand(block) || !ScratchFloats(block, 1, least)) {
    return {StatusCode::kInvalidArgument, "x does not fit the address space"};
  }
  if (scratch.size() < least) {
    return {StatusCode::kBufferTooSmall, "scratch has # floats, must have #",
            static_cast<int64_t>(scratch.size()), static_cast<int64_t>(least)};
  }
  size_t parts = PartsOf(block, parallel);
  if (parts > 1) {
    parts = std::min(parts, (scratch.size() - (kLineFloats - 1)) / block.floats());
  }
  block.alone = parts == 1;
  const auto address = reinterpret_cast<uintptr_t>(scratch.data());
  struct Job {
    const Block& block;
    float* scratch;
    size_t parts;
  } job{block, scratch.data() + (64 - address % 64) % 64 / sizeof(float), parts};
  if (parts == 1) {
    RunLines(block, 0, block.lines(), job.scratch);
    return {};
  }
  RunParts(
      parallel, parts,
      [](void* argument, size_t i) {
        const Job& j = *static_cast<const Job*>(argument);
        const Range range = PartRange(j.block.lines(), j.parts, i);
        RunLines(j.block, range.begin, range.end, j.scratch + i * j.block.floats());
      },
      &job);
  return {};
}

size_t ScratchOf(Block& block, const ImageView<const float>& x, const Parallel& parallel) {
  size_t floats;
  if (!Connect(x, nullptr, block).ok() || !CheckParallel(parallel).ok() || !PlanBand(block) ||
      !ScratchFloats(block, PartsOf(block, parallel), floats)) {
    return 0;
  }
  return floats;
}

}  // namespace

Status SeparableConv2d(const ImageView<const float>& x, const PackedConv2d& depthwise,
                       const Epilogue& middle, const PackedConv2d& pointwise,
                       const Epilogue& epilogue, const ImageView<float>& y,
                       std::span<float> scratch, const Parallel& parallel) {
  Block block({}, {depthwise, &middle}, {pointwise, &epilogue});
  return RunBlock(block, x, y, scratch, parallel);
}

size_t SeparableConv2dScratch(const ImageView<const float>& x, const PackedConv2d& depthwise,
                              const PackedConv2d& pointwise, const Parallel& parallel) {
  Block block({}, {depthwise, nullptr}, {pointwise, nullptr});
  return ScratchOf(block, x, parallel);
}

Status InvertedResidual(const ImageView<const float>& x, const PackedConv2d& expand,
                        const Epilogue& first, const PackedConv2d& depthwise,
                        const Epilogue& middle, const PackedConv2d& project,
                        const Epilogue& epilogue, const ImageView<float>& y,
                        std::span<float> scratch, const Parallel& parallel) {
  Block block({expand, &first}, {depthwise, &middle}, {project, &epilogue});
  return RunBlock(block, x, y, scratch, parallel);
}

size_t InvertedResidualScratch(const ImageView<const float>& x, const PackedConv2d& expand,
                               const PackedConv2d& depthwise, const PackedConv2d& project,
                               const Parallel& parallel) {
  Block block({expand, nullptr}, {depthwise, nullptr}, {project, nullptr});
  return ScratchOf(block, x, parallel);
}

}  // namespace lanefuse
