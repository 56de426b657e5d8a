// Reader of keyword.params, the file training leaves for the packer: every parameter of the network
// as float32, unfolded, under a text header. params_file.py, which writes it, defines the format.
#ifndef LANEFUSE_EXAMPLES_KEYWORD_PARAMS_H_
#define LANEFUSE_EXAMPLES_KEYWORD_PARAMS_H_

#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace keyword {

class Params {
 public:
  // Replaces the contents by those of the file. Returns false with a message in `error`, leaving
  // the object empty, unless the file follows the format to the last byte: known version, sane
  // dimensions, unique names, exactly as much data as the header announces, finite values.
  [[nodiscard]] bool Read(const std::string& path, std::string* error);

  // Class names in the order of the network's outputs.
  const std::vector<std::string>& classes() const { return classes_; }

  // The values of a tensor, last dimension varying fastest. Empty, with a message in `error`, if
  // there is no tensor of that name or its dimensions are not `shape`.
  std::span<const float> Get(std::string_view name, std::initializer_list<std::size_t> shape,
                             std::string* error) const;

 private:
  struct Tensor {
    std::string name;
    std::vector<std::size_t> shape;
    std::vector<float> values;
  };

  bool Parse(std::string_view bytes, std::string* error);
  bool ParseTensor(std::string_view line, std::string* error);
  bool ReadValues(std::string_view bytes, std::string* error);

  std::vector<std::string> classes_;
  std::vector<Tensor> tensors_;
};

}  // namespace keyword

#endif  // LANEFUSE_EXAMPLES_KEYWORD_PARAMS_H_
