// Convolutions with dilation as several without.
#include <algorithm>

#include "src/conv/conv_args.h"

namespace lanefuse {
namespace {

// Along one axis: the inputs that outputs `distance` apart read, from `output` on.
struct Phase {
  size_t first;    // input, as if there were one where `padding` is
  size_t count;    // inputs from there on, `distance` apart
  size_t padding;  // before them
};
Phase PhaseOf(size_t output, size_t padding, size_t distance, size_t size) {
  Phase phase{output - std::min(output, padding), 0, 0};
  if (output < padding) {
    phase.padding = QuotientUp(padding - output, distance);
    phase.first = phase.padding * distance - (padding - output);
  }
  if (phase.first < size) phase.count = QuotientUp(size - phase.first, distance);
  return phase;
}

}  // namespace

// Units (rows of pixels, or phases of the only row) [begin, end): outputs as far apart as taps are
// read no inputs of those between. Depthwise, 33x33x960 with a distance of two takes 0.68 to 0.80
// of the time, 14x14x512 0.57 to 0.78, a distance of twelve 0.32 to 0.53, rows of 1000 pixels 0.33
// to 0.98; dense: GainsByPhases.
void ConvPhases(const ConvArgs& args, size_t begin, size_t end) {
  Conv2dShape shape = *args.shape;
  const size_t down = shape.kernel_h > 1 ? shape.dilation_h : 1;
  const size_t across = shape.kernel_w > 1 ? shape.dilation_w : 1;
  const ImageView<const float>& x = args.x;
  const ImageView<float>& y = args.y;
  const Padding padding = shape.padding;
  shape.dilation_h = shape.dilation_w = 1;
  ConvArgs part = args;
  part.shape = &shape;
  part.phases = part.flat = false;
  part.x.images = part.y.images = 1;
  part.x.row_stride *= down;
  part.y.row_stride *= down;
  part.x.pixel_stride *= across;
  part.y.pixel_stride *= across;
  for (size_t unit = begin, units; unit < end; unit += units) {
    // Whole rows; or some of the phases of one row (CutTiles).
    const size_t line = Quotient(unit, args.tiles);
    const size_t image = Quotient(line, y.height);
    const size_t row = line - image * y.height;
    const bool whole = args.tiles == 1;
    const size_t first = unit - line * args.tiles;
    units = std::min(end - unit, whole ? y.height - row : args.tiles - first);
    const size_t rows = whole ? units : 1;
    const size_t last = whole ? std::min(across, y.width) : first + units;
    for (size_t r = 0; r < std::min(down, rows); ++r) {
      const Phase below = PhaseOf(row + r, padding.top, down, x.height);
      for (size_t p = first; p < last; ++p) {
        const Phase beside = PhaseOf(p, padding.left, across, x.width);
        shape.padding = {.top = below.padding, .left = beside.padding};
        part.x.data = At(x.data, image * x.image_stride + below.first * x.row_stride +
                                     beside.first * x.pixel_stride);
        part.x.height = below.count;
        part.x.width = beside.count;
        part.y.data =
            y.data + image * y.image_stride + (row + r) * y.row_stride + p * y.pixel_stride;
        part.y.height = QuotientUp(rows - r, down);
        part.y.width = QuotientUp(y.width - p, across);
        part.plan = args.plan;
        CutTiles(part, false, part.y.height, args.target);
        KernelFor(part)(part, 0, part.tiles * part.y.height);
      }
    }
  }
}

}  // namespace lanefuse
