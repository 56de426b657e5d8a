#include "lanefuse/status.h"

namespace lanefuse {
namespace {

// Counts every character and stores those that fit.
class Writer {
 public:
  explicit Writer(std::span<char> out) : out_(out) {}
  void Put(char c) {
    if (size_ + 1 < out_.size()) out_[size_] = c;
    ++size_;
  }
  void Put(int64_t number) {
    uint64_t magnitude = static_cast<uint64_t>(number);
    if (number < 0) {
      Put('-');
      magnitude = 0 - magnitude;
    }
    char digits[20];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + magnitude % 10);
      magnitude /= 10;
    } while (magnitude != 0);
    while (count != 0) Put(digits[--count]);
  }
  size_t Finish() {
    if (!out_.empty()) out_[size_ < out_.size() ? size_ : out_.size() - 1] = '\0';
    return size_;
  }

 private:
  std::span<char> out_;
  size_t size_ = 0;
};

}  // namespace

size_t Status::Format(std::span<char> out) const {
  Writer writer(out);
  if (layer_ != 0) {
    for (const char* c = "layer "; *c != '\0'; ++c) writer.Put(*c);
    writer.Put(int64_t{layer_} - 1);
    writer.Put(':');
    writer.Put(' ');
  }
  size_t used = 0;
  for (const char* c = text_; *c != '\0'; ++c) {
    if (*c == '#' && used < 2) {
      writer.Put(numbers_[used++]);
    } else {
      writer.Put(*c);
    }
  }
  return writer.Finish();
}

}  // namespace lanefuse
