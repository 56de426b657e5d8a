// What tall tiles and those that turn read, tile after tile. No SIMD.
#ifndef LANEFUSE_SRC_CONV_TALL_READER_H_
#define LANEFUSE_SRC_CONV_TALL_READER_H_

#include <cstddef>
#include <cstdint>

#include "src/common/taps.h"
#include "src/conv/conv_args.h"

namespace lanefuse {

// A tile takes as few as 500 cycles, and nothing between two of them runs beside multiply-adds but
// what fits the processor's window. So all that tiles have in common is found once.
class TallReader {
 public:
  // For tiles of `args`, whose first group has `channels` channels from `channel` on.
  TallReader(const ConvArgs& args, size_t channel, size_t channels) : args_(args) {
    Start(channel, channels);
  }
  TallReader(const TallReader&) = delete;
  TallReader& operator=(const TallReader&) = delete;

  // What tile t reads, which may go on in the next row of the image. Taps::edge stays until the
  // next call. If it is no border tile, those of its height that follow it, up to
  // ConvArgs::inner_end, run together with it.
  Taps& Read(const ConvTile& t);

 private:
  // Whose edges are known, if kernels are not wide: the first tile of a row, another that is no
  // inner one, and inner ones.
  enum Slot : uint8_t { kFirst, kBorder, kInner, kSlots };

  void Start(size_t channel, size_t channels);
  Taps::Range RowsOf(size_t row) const;
  void FindEdges(const ConvTile& t, size_t upper, EdgeTap* edge) const;
  const EdgeTap* Edges(const ConvTile& t, size_t upper, Slot slot);

  const ConvArgs& args_;
  const float* data_;           // what output pixel (0, 0) reads as tap (0, 0)
  size_t down_, across_;        // floats from there to what its neighbours read
  size_t tap_;                  // floats between the taps of a row
  size_t first_row_, end_row_;  // of outputs that find all taps
  size_t first_pixel_;
  Taps inner_, border_;
  EdgeTap edge_[EdgeTap::kTaps];
  size_t known_pixel_[kSlots];
  uint8_t known_pixels_[kSlots] = {};
  bool separate_ = false;  // rows of taps are no runs of memory
};

}  // namespace lanefuse

#endif  // LANEFUSE_SRC_CONV_TALL_READER_H_
