#include "params.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>

namespace keyword {
namespace {

// A limit well above any network of this example: a damaged header must not make the reader
// allocate gigabytes.
constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxValues = kMaxBytes / sizeof(float);

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

bool ReadBytes(const std::string& path, std::string* bytes, std::string* error) {
  const std::unique_ptr<std::FILE, FileCloser> file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    *error = "cannot be opened";
    return false;
  }
  char block[4096];
  std::size_t got = 0;
  while ((got = std::fread(block, 1, sizeof(block), file.get())) > 0) {
    bytes->append(block, got);
    if (bytes->size() > kMaxBytes) {
      *error = "is too large for a parameter file";
      return false;
    }
  }
  if (std::ferror(file.get()) != 0) {
    *error = "cannot be read";
    return false;
  }
  return true;
}

// Splits off the part before `separator`, or all of `rest` if there is none.
std::string_view Next(std::string_view* rest, char separator) {
  const std::size_t end = std::min(rest->find(separator), rest->size());
  const std::string_view part = rest->substr(0, end);
  rest->remove_prefix(std::min(end + 1, rest->size()));
  return part;
}

std::string Describe(std::span<const std::size_t> shape) {
  std::string text;
  for (const std::size_t dim : shape) text += (text.empty() ? "" : " x ") + std::to_string(dim);
  return text;
}

}  // namespace

bool Params::Read(const std::string& path, std::string* error) {
  classes_.clear();
  tensors_.clear();
  std::string bytes;
  std::string what;
  if (ReadBytes(path, &bytes, &what) && Parse(bytes, &what)) return true;
  classes_.clear();
  tensors_.clear();
  *error = path + ": " + what;
  return false;
}

bool Params::Parse(std::string_view bytes, std::string* error) {
  if (Next(&bytes, '\n') != "keyword-params 1") {
    *error = "is not a parameter file of version 1";
    return false;
  }
  for (;;) {
    if (bytes.empty()) {
      *error = "ends before the data";
      return false;
    }
    std::string_view line = Next(&bytes, '\n');
    const std::string_view full_line = line;
    const std::string_view keyword = Next(&line, ' ');
    if (full_line == "data") break;
    if (keyword == "classes" && classes_.empty()) {
      while (!line.empty()) classes_.emplace_back(Next(&line, ' '));
    } else if (keyword == "tensor") {
      if (!ParseTensor(line, error)) return false;
    } else {
      *error = "has an unexpected header line: " + std::string(full_line.substr(0, 80));
      return false;
    }
  }
  if (classes_.empty()) {
    *error = "names no classes";
    return false;
  }
  return ReadValues(bytes, error);
}

bool Params::ParseTensor(std::string_view line, std::string* error) {
  Tensor tensor;
  tensor.name = Next(&line, ' ');
  std::size_t count = 1;
  while (!line.empty()) {
    const std::string_view text = Next(&line, ' ');
    std::size_t dim = 0;
    const auto [last, code] = std::from_chars(text.data(), text.data() + text.size(), dim);
    if (code != std::errc() || last != text.data() + text.size() || dim == 0 ||
        dim > kMaxValues / count) {
      *error = "has a bad dimension for " + tensor.name;
      return false;
    }
    count *= dim;
    tensor.shape.push_back(dim);
  }
  const bool known = std::any_of(tensors_.begin(), tensors_.end(),
                                 [&](const Tensor& other) { return other.name == tensor.name; });
  if (tensor.name.empty() || tensor.shape.empty() || known) {
    *error = "has an incomplete or repeated tensor line: " + tensor.name;
    return false;
  }
  tensors_.push_back(std::move(tensor));
  return true;
}

bool Params::ReadValues(std::string_view bytes, std::string* error) {
  for (Tensor& tensor : tensors_) {
    std::size_t count = 1;
    for (const std::size_t dim : tensor.shape) count *= dim;
    if (bytes.size() / sizeof(float) < count) {
      *error = "ends within " + tensor.name;
      return false;
    }
    tensor.values.resize(count);
    for (std::size_t i = 0; i < count; ++i) {
      std::uint32_t bits = 0;
      for (std::size_t b = 0; b < 4; ++b) {
        bits |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[4 * i + b])) << (8 * b);
      }
      tensor.values[i] = std::bit_cast<float>(bits);
      if (!std::isfinite(tensor.values[i])) {
        *error = "has a value that is not finite in " + tensor.name;
        return false;
      }
    }
    bytes.remove_prefix(count * sizeof(float));
  }
  if (!bytes.empty()) {
    *error = "goes on after the last tensor";
    return false;
  }
  return true;
}

std::span<const float> Params::Get(std::string_view name, std::initializer_list<std::size_t> shape,
                                   std::string* error) const {
  for (const Tensor& tensor : tensors_) {
    if (tensor.name != name) continue;
    if (std::equal(tensor.shape.begin(), tensor.shape.end(), shape.begin(), shape.end())) {
      return tensor.values;
    }
    *error = tensor.name + " is " + Describe(tensor.shape) + ", not " +
             Describe(std::span<const std::size_t>(shape.begin(), shape.size()));
    return {};
  }
  *error = "there is no tensor " + std::string(name);
  return {};
}

}  // namespace keyword
