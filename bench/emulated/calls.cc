#include "bench/emulated/calls.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>

#include "bench/emulated/least.h"
#include "bench/emulated/plain.h"
#include "bench/support/buffer.h"
#include "bench/support/text.h"
#include "lanefuse/lanefuse.h"

namespace lanefuse::bench {
namespace {

constexpr Parallel kOneThread{.threads = 1};
constexpr char kMulAdd[] = "multiply-add";
constexpr char kElement[] = "element";

void Must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "lanefuse_count: %s\n", status.message().c_str());
  std::exit(2);
}

// What the calls work on; they hold it together.
struct Operands {
  FloatBuffer x, w, packed, y;
  FloatBuffer plain_w;  // outputs innermost
  PackedLinear linear;
  PackedConv2d conv;
};

class Catalogue {
 public:
  explicit Catalogue(std::string wanted) : wanted_(std::move(wanted)) {}
  std::vector<Call> calls;

  void Dot(size_t n) {
    const std::string name = Text("dot/n", n);
    if (!Wanted(name)) return;
    auto o = Make(n, n, 1);
    Add(
        name, kMulAdd, n, LeastDot(1, n, TileFor("dot", "a row")), o,
        [=] { Must(lanefuse::Dot(o->x.span(), o->w.span(), Epilogue(), o->y.data()[0])); },
        [=] { o->y.data()[0] = plain::Dot(o->x.data(), o->w.data(), n); });
  }

  void Gemv(size_t n, size_t k) {
    const std::string name = Text("gemv/n", n, "_k", k);
    if (!Wanted(name)) return;
    auto o = Make(k, n * k, n);
    Add(
        name, kMulAdd, n * k, LeastDot(n, k, TileFor("linear", "Gemv")), o,
        [=] {
          Must(lanefuse::Gemv(MatView<const float>(o->w.data(), n, k), o->x.span(), Epilogue(),
                              o->y.span(), kOneThread));
        },
        [=] { plain::Gemv(o->w.data(), o->x.data(), n, k, o->y.data()); });
  }

  void Linear(size_t m, size_t k, size_t n) {
    const std::string name = Text("linear/m", m, "_k", k, "_n", n);
    if (!Wanted(name)) return;
    auto o = Make(m * k, n * k, m * n);
    o->packed = FloatBuffer(PackedLinear::Bytes(n, k) / sizeof(float));
    Must(PackedLinear::Pack(MatView<const float>(o->w.data(), n, k), {}, nullptr, o->packed.bytes(),
                            o->linear));
    Transpose(n, k, *o);
    const char* use = n <= 16  ? "few outputs"  // src/linear/order.h
                      : m == 1 ? "one row"
                      : m == 2 ? "two rows"
                               : "more rows";
    Add(
        name, kMulAdd, m * n * k, LeastDense(m, k, n, TileFor("linear", use)), o,
        [=] {
          Must(lanefuse::Linear(MatView<const float>(o->x.data(), m, k), o->linear, Epilogue(),
                                MatView<float>(o->y.data(), m, n), kOneThread));
        },
        [=] { plain::Linear(o->x.data(), o->plain_w.data(), m, k, n, o->y.data()); });
  }

  // Square kernels, padded so that stride 1 keeps the size.
  void Conv(size_t height, size_t width, size_t channels, size_t outputs, size_t kernel,
            size_t stride, bool depthwise) {
    const std::string name =
        Text(depthwise ? "depthwise" : "conv", "/", kernel, "x", kernel, "_s", stride, "_c",
             channels, depthwise ? "" : Text("_o", outputs), "_", height, "x", width);
    if (!Wanted(name)) return;
    const size_t pad = kernel / 2;
    const Conv2dShape shape{.outputs = outputs,
                            .channels = channels,
                            .kernel_h = kernel,
                            .kernel_w = kernel,
                            .stride_h = stride,
                            .stride_w = stride,
                            .groups = depthwise ? channels : 1,
                            .padding = {pad, pad, pad, pad}};
    const size_t depth = kernel * kernel * (depthwise ? 1 : channels);
    const size_t out_h = (height + 2 * pad - kernel) / stride + 1;
    const size_t out_w = (width + 2 * pad - kernel) / stride + 1;
    auto o = Make(height * width * channels, outputs * depth, out_h * out_w * outputs);
    o->packed = FloatBuffer(PackedConv2d::Bytes(shape) / sizeof(float));
    Must(PackedConv2d::Pack(shape, o->w.span(), {}, {}, o->packed.bytes(), o->conv));
    Transpose(outputs, depth, *o);
    const size_t least =
        depthwise
            ? LeastDepthwise(out_h, out_w, channels, kernel, stride, TileFor("conv", "depthwise"))
            : LeastDense(out_h * out_w, depth, outputs, TileFor("conv", "dense"));
    Add(
        name, kMulAdd, out_h * out_w * outputs * depth, least, o,
        [=] {
          Must(Conv2d(ImageView<const float>(o->x.data(), height, width, channels), o->conv,
                      Epilogue(), ImageView<float>(o->y.data(), out_h, out_w, outputs),
                      kOneThread));
        },
        [=] {
          (depthwise ? plain::Depthwise : plain::Conv2d)(o->x.data(), o->plain_w.data(), shape,
                                                         height, width, o->y.data());
        });
  }

  void Softmax(size_t rows, size_t cols) {
    const std::string name = Text("softmax/r", rows, "_c", cols);
    if (!Wanted(name)) return;
    auto o = Make(rows * cols, 0, rows * cols);
    Add(
        name, kElement, rows * cols, 0, o,
        [=] {
          Must(lanefuse::Softmax(MatView<const float>(o->x.data(), rows, cols), {},
                                 MatView<float>(o->y.data(), rows, cols), kOneThread));
        },
        [=] { plain::Softmax(o->x.data(), rows, cols, o->y.data()); });
  }

  void Apply(const char* activation, const Activation& act,
             void (*loops)(const float*, size_t, float*), size_t n) {
    const std::string name = Text("apply/", activation, "_n", n);
    if (!Wanted(name)) return;
    auto o = Make(n, 0, n);
    Add(
        name, kElement, n, 0, o,
        [=] {
          Must(lanefuse::Apply(MatView<const float>(o->x.span()), Epilogue().Act(act),
                               MatView<float>(o->y.span()), kOneThread));
        },
        [=] { loops(o->x.data(), n, o->y.data()); });
  }

 private:
  bool Wanted(const std::string& name) const { return wanted_.empty() || name == wanted_; }

  static std::shared_ptr<Operands> Make(size_t x, size_t w, size_t y) {
    auto o = std::make_shared<Operands>();
    o->x = Random(x, 1);
    o->w = Random(w, 2);
    o->y = FloatBuffer(y);
    return o;
  }

  static void Transpose(size_t outputs, size_t depth, Operands& o) {
    o.plain_w = FloatBuffer(outputs * depth);
    for (size_t n = 0; n < outputs; ++n) {
      for (size_t k = 0; k < depth; ++k) {
        o.plain_w.data()[k * outputs + n] = o.w.data()[n * depth + k];
      }
    }
  }

  void Add(const std::string& name, const char* unit, size_t work, size_t least,
           const std::shared_ptr<Operands>& o, std::function<void()> ours,
           std::function<void()> loops) {
    calls.push_back({name, unit, work, least, std::move(ours), std::move(loops), o->y.span()});
  }

  std::string wanted_;
};

}  // namespace

std::vector<Call> Calls(const std::string& name) {
  Catalogue all(name);
  all.Dot(1024);
  all.Gemv(256, 256);
  all.Linear(1, 256, 256);
  all.Linear(1, 512, 256);
  all.Linear(6, 256, 256);
  all.Linear(16, 256, 256);
  all.Linear(1, 256, 10);
  all.Linear(16, 256, 10);
  all.Conv(25, 5, 64, 64, 1, 1, false);
  all.Conv(16, 16, 64, 64, 3, 1, false);
  all.Conv(32, 32, 3, 32, 3, 2, false);
  for (const size_t stride : {1, 2}) {
    all.Conv(25, 5, 64, 64, 3, stride, true);
    all.Conv(16, 16, 64, 64, 3, stride, true);
  }
  all.Softmax(8, 64);
  all.Softmax(1, 1000);
  all.Apply("gelu", GeluErf(), plain::Gelu, 1000);
  all.Apply("silu", Silu(), plain::Silu, 1000);
  return std::move(all.calls);
}

}  // namespace lanefuse::bench
