// The structs of the C interface and small functions that fill them in. lanefuse/c.h has the calls.
#ifndef LANEFUSE_C_TYPES_H_
#define LANEFUSE_C_TYPES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lanefuse/activation_list.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- Status ----

enum lanefuse_status_code {
  LANEFUSE_OK,
  LANEFUSE_INVALID_ARGUMENT,    // a value that no call could accept: null data, a stride too small
  LANEFUSE_SHAPE_MISMATCH,      // two arguments that do not fit each other
  LANEFUSE_OVERLAP,             // an output that shares memory with an input
  LANEFUSE_BUFFER_TOO_SMALL,    // fewer bytes than the size function asked for
  LANEFUSE_CORRUPT,             // packed weights that are truncated, altered, or no packed weights
  LANEFUSE_UNSUPPORTED,         // valid, but refused: the text says why and what to do instead
  LANEFUSE_UNSUPPORTED_TARGET,  // LANEFUSE_TARGET or limit_target names none that this CPU can run
};

// What every fallible call returns. `text` is static; each '#' in it stands for one of `numbers`.
typedef struct lanefuse_status {
  const char* text;
  int64_t numbers[2];
  uint8_t code;   // enum lanefuse_status_code
  uint8_t layer;  // of several: one more than its number; 0: of no layer
} lanefuse_status;

// ---- Views of the caller's memory; strides count floats ----

typedef struct lanefuse_vec {
  float* data;
  size_t size;
} lanefuse_vec;
typedef struct lanefuse_const_vec {
  const float* data;
  size_t size;
} lanefuse_const_vec;

// Row-major: element (r, c) is data[r * stride + c]; stride >= cols, nothing between is touched.
typedef struct lanefuse_mat {
  float* data;
  size_t rows, cols, stride;
} lanefuse_mat;
typedef struct lanefuse_const_mat {
  const float* data;
  size_t rows, cols, stride;
} lanefuse_const_mat;

// NHWC: element (n, y, x, c) is data[n * image_stride + y * row_stride + x * pixel_stride + c].
typedef struct lanefuse_image {
  float* data;
  size_t images, height, width, channels;
  size_t pixel_stride, row_stride, image_stride;
} lanefuse_image;
typedef struct lanefuse_const_image {
  const float* data;
  size_t images, height, width, channels;
  size_t pixel_stride, row_stride, image_stride;
} lanefuse_const_image;

// Dense views; for other strides, fill in the struct.
static inline lanefuse_vec lanefuse_make_vec(float* data, size_t size) {
  lanefuse_vec v = {data, size};
  return v;
}
static inline lanefuse_const_vec lanefuse_make_const_vec(const float* data, size_t size) {
  lanefuse_const_vec v = {data, size};
  return v;
}
static inline lanefuse_mat lanefuse_make_mat(float* data, size_t rows, size_t cols) {
  lanefuse_mat m = {data, rows, cols, cols};
  return m;
}
static inline lanefuse_const_mat lanefuse_make_const_mat(const float* data, size_t rows,
                                                         size_t cols) {
  lanefuse_const_mat m = {data, rows, cols, cols};
  return m;
}
static inline lanefuse_image lanefuse_make_image(float* data, size_t images, size_t height,
                                                 size_t width, size_t channels) {
  lanefuse_image v = {data,     images,   height,           width,
                      channels, channels, width * channels, height * width * channels};
  return v;
}
static inline lanefuse_const_image lanefuse_make_const_image(const float* data, size_t images,
                                                             size_t height, size_t width,
                                                             size_t channels) {
  lanefuse_const_image v = {data,     images,   height,           width,
                            channels, channels, width * channels, height * width * channels};
  return v;
}
// The same elements, to be read.
static inline lanefuse_const_mat lanefuse_read_mat(lanefuse_mat m) {
  lanefuse_const_mat c = {m.data, m.rows, m.cols, m.stride};
  return c;
}
static inline lanefuse_const_image lanefuse_read_image(lanefuse_image v) {
  lanefuse_const_image c = {v.data,     v.images,       v.height,     v.width,
                            v.channels, v.pixel_stride, v.row_stride, v.image_stride};
  return c;
}

// ---- Activations and steps: as lanefuse::Activation and lanefuse::Epilogue ----

enum lanefuse_activation_kind {  // LANEFUSE_ACT_RELU and so on: activation_list.h
#define LANEFUSE_C_ENUM(name, NAME) LANEFUSE_ACT_##NAME,
  LANEFUSE_ACTIVATIONS(LANEFUSE_C_ENUM)
#undef LANEFUSE_C_ENUM
};

typedef struct lanefuse_activation {
  int32_t kind;              // enum lanefuse_activation_kind
  float alpha;               // LEAKY_RELU, ELU
  lanefuse_const_vec slope;  // PRELU: one for each output channel
} lanefuse_activation;

// All but PRELU; `alpha` where there is one.
static inline lanefuse_activation lanefuse_make_activation(int32_t kind, float alpha) {
  lanefuse_activation act = {kind, alpha, {NULL, 0}};
  return act;
}
static inline lanefuse_activation lanefuse_make_prelu(const float* slope, size_t size) {
  lanefuse_activation act = {LANEFUSE_ACT_PRELU, 0.0f, {slope, size}};
  return act;
}

enum lanefuse_step_kind {        // y =
  LANEFUSE_STEP_BIAS,            // x + bias[c]
  LANEFUSE_STEP_AFFINE,          // fma(x, scale[c], shift[c])
  LANEFUSE_STEP_SCALE,           // x * scale
  LANEFUSE_STEP_SCALE_CHANNELS,  // x * scale_channels[c]
  LANEFUSE_STEP_ADD,             // x + mat: of the output's shape; it may be the output itself
  LANEFUSE_STEP_MUL,             // x * mat: likewise
  LANEFUSE_STEP_ACT,             // act(x)
  LANEFUSE_STEP_CLAMP,           // x < lo ? lo : x > hi ? hi : x; lo <= hi; a NaN passes
  LANEFUSE_STEP_ADD_IMAGE,       // x + image: where the output is an image
  LANEFUSE_STEP_MUL_IMAGE,       // x * image: likewise
};

enum { LANEFUSE_MAX_STEPS = 8 };

// One step; `kind` says which member counts.
typedef struct lanefuse_step {
  int32_t kind;  // enum lanefuse_step_kind
  union {
    lanefuse_const_vec bias;
    struct {
      lanefuse_const_vec scale, shift;
    } affine;
    float scale;
    lanefuse_const_vec scale_channels;
    lanefuse_const_mat mat;      // ADD, MUL
    lanefuse_const_image image;  // ADD_IMAGE, MUL_IMAGE
    lanefuse_activation act;
    struct {
      float lo, hi;
    } clamp;
  } of;
} lanefuse_step;

// The steps of a call, in their order; they are read during the call only. size 0: none.
typedef struct lanefuse_epilogue {
  const lanefuse_step* steps;
  size_t size;
} lanefuse_epilogue;

static inline lanefuse_epilogue lanefuse_make_epilogue(const lanefuse_step* steps, size_t size) {
  lanefuse_epilogue epilogue = {steps, size};
  return epilogue;
}
static inline lanefuse_step lanefuse_step_bias(const float* bias, size_t size) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_BIAS;
  step.of.bias = lanefuse_make_const_vec(bias, size);
  return step;
}
static inline lanefuse_step lanefuse_step_affine(const float* scale, const float* shift,
                                                 size_t size) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_AFFINE;
  step.of.affine.scale = lanefuse_make_const_vec(scale, size);
  step.of.affine.shift = lanefuse_make_const_vec(shift, size);
  return step;
}
static inline lanefuse_step lanefuse_step_scale(float scale) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_SCALE;
  step.of.scale = scale;
  return step;
}
static inline lanefuse_step lanefuse_step_scale_channels(const float* scale, size_t size) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_SCALE_CHANNELS;
  step.of.scale_channels = lanefuse_make_const_vec(scale, size);
  return step;
}
static inline lanefuse_step lanefuse_step_add(lanefuse_const_mat operand) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_ADD;
  step.of.mat = operand;
  return step;
}
static inline lanefuse_step lanefuse_step_add_image(lanefuse_const_image operand) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_ADD_IMAGE;
  step.of.image = operand;
  return step;
}
static inline lanefuse_step lanefuse_step_mul(lanefuse_const_mat operand) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_MUL;
  step.of.mat = operand;
  return step;
}
static inline lanefuse_step lanefuse_step_mul_image(lanefuse_const_image operand) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_MUL_IMAGE;
  step.of.image = operand;
  return step;
}
static inline lanefuse_step lanefuse_step_activation(lanefuse_activation act) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_ACT;
  step.of.act = act;
  return step;
}
// An activation without parameters; lanefuse_step_activation takes the others.
static inline lanefuse_step lanefuse_step_act(int32_t kind) {
  return lanefuse_step_activation(lanefuse_make_activation(kind, 0.0f));
}
static inline lanefuse_step lanefuse_step_clamp(float lo, float hi) {
  lanefuse_step step;
  step.kind = LANEFUSE_STEP_CLAMP;
  step.of.clamp.lo = lo;
  step.of.clamp.hi = hi;
  return step;
}

// ---- Who runs the parts of a call: as lanefuse::Parallel ----

// A null pointer to it, or all zeros: OpenMP with its own number of threads. threads 1: the calling
// thread alone. `run` calls part(argument, i) for every i in [0, parts), in any order, on any
// threads, and returns when all are done; `threads` says how many parts it gets at most.
typedef struct lanefuse_parallel {
  size_t threads;
  void (*run)(void* context, size_t parts, void (*part)(void* argument, size_t i), void* argument);
  void* context;
} lanefuse_parallel;

// ---- Packed weights ----

// As lanefuse::BatchNorm (lanefuse/packed.h): one value a channel each; gamma and beta may be
// empty.
typedef struct lanefuse_batchnorm {
  lanefuse_const_vec gamma, beta, mean, variance;
  float epsilon;
} lanefuse_batchnorm;

// `gamma` and `beta` may be null; epsilon is 1e-5.
static inline lanefuse_batchnorm lanefuse_make_batchnorm(const float* gamma, const float* beta,
                                                         const float* mean, const float* variance,
                                                         size_t channels) {
  lanefuse_batchnorm norm = {{gamma, gamma == NULL ? 0 : channels},
                             {beta, beta == NULL ? 0 : channels},
                             {mean, channels},
                             {variance, channels},
                             1e-5f};
  return norm;
}

// What pack and view fill in: it points into bytes that it does not own. It may be copied, and
// read, but not changed: calls refuse one whose `check` does not fit (LANEFUSE_CORRUPT), at the
// cost of a few multiplications. All zeros are empty weights, which calls refuse too.
typedef struct lanefuse_packed_linear {
  const float* panels;  // of 16 outputs: lanefuse/packed.h
  const float* bias;    // `outputs` values, or null
  size_t outputs, inputs;
  uint64_t check;
} lanefuse_packed_linear;

// One of the layers of lanefuse_linear_group.
enum { LANEFUSE_MAX_LINEAR_LAYERS = 3 };
typedef struct lanefuse_linear_layer {
  const lanefuse_packed_linear* weights;
  lanefuse_epilogue epilogue;
  lanefuse_mat y;
} lanefuse_linear_layer;

typedef struct lanefuse_padding {
  size_t top, bottom, left, right;
} lanefuse_padding;

// As lanefuse::Conv2dShape (lanefuse/conv.h). Output height =
// (H + top + bottom - dilation_h * (kernel_h - 1) - 1) / stride_h + 1, rounded down; so the width.
typedef struct lanefuse_conv2d_shape {
  size_t outputs, channels;
  size_t kernel_h, kernel_w;
  size_t stride_h, stride_w;
  size_t dilation_h, dilation_w;
  size_t groups;  // divides outputs and channels; groups == channels is a depthwise convolution
  lanefuse_padding padding;
} lanefuse_conv2d_shape;

// Strides, dilations and groups of 1, no padding; change what is different.
static inline lanefuse_conv2d_shape lanefuse_make_conv2d_shape(size_t outputs, size_t channels,
                                                               size_t kernel_h, size_t kernel_w) {
  lanefuse_conv2d_shape shape = {outputs, channels, kernel_h, kernel_w, 1,
                                 1,       1,        1,        1,        {0, 0, 0, 0}};
  return shape;
}

// Which batchnorms to fold into a convolution; null pointers: none.
typedef struct lanefuse_conv2d_fold {
  const lanefuse_batchnorm* after;   // over the outputs
  const lanefuse_batchnorm* before;  // over the input channels; refused with padding
  bool output_has_other_readers;     // `after` is refused: they would see it normalised
} lanefuse_conv2d_fold;

// As lanefuse_packed_linear.
typedef struct lanefuse_packed_conv2d {
  const float* panels;
  const float* bias;
  lanefuse_conv2d_shape shape;
  size_t finite;  // 1: no weight is infinite or NaN
  uint64_t check;
} lanefuse_packed_conv2d;

// ---- Pooling and softmax ----

// As lanefuse::Pool2dShape (lanefuse/conv.h).
typedef struct lanefuse_pool2d_shape {
  size_t kernel_h, kernel_w;
  size_t stride_h, stride_w;
  lanefuse_padding padding;  // smaller than the kernel on every side
  bool count_padding;        // average: divide by the whole window at the borders too
} lanefuse_pool2d_shape;

// Strides of 1, no padding; change what is different.
static inline lanefuse_pool2d_shape lanefuse_make_pool2d_shape(size_t kernel_h, size_t kernel_w) {
  lanefuse_pool2d_shape shape = {kernel_h, kernel_w, 1, 1, {0, 0, 0, 0}, false};
  return shape;
}

// As lanefuse::SoftmaxOptions (lanefuse/softmax.h).
typedef struct lanefuse_softmax_options {
  float scale;              // multiplies x first
  lanefuse_const_mat mask;  // added next: R x C, or 1 x C for all rows; all zeros: none
  bool causal;              // row r sees columns [0, r + causal_offset]; the rest gives 0
  size_t causal_offset;     // how many columns precede row 0's own (a cache of past keys)
  bool log;                 // log-softmax
} lanefuse_softmax_options;

// A scale of 1, no mask.
static inline lanefuse_softmax_options lanefuse_make_softmax_options(void) {
  lanefuse_softmax_options options = {1.0f, {NULL, 0, 0, 0}, false, 0, false};
  return options;
}

#ifdef __cplusplus
}
#endif

#endif  // LANEFUSE_C_TYPES_H_
