// The C interface: every call of the C++ one, with the same checks and the same bits.
//
//   lanefuse_step steps[] = {lanefuse_step_bias(b, 128), lanefuse_step_act(LANEFUSE_ACT_RELU)};
//   lanefuse_status status =
//       lanefuse_linear(x, &weights, lanefuse_make_epilogue(steps, 2), y, NULL);
//   if (status.code != LANEFUSE_OK) ...
//
// All is plain structs in the caller's memory: nothing is allocated, nothing must be freed, and no
// pointer is kept beyond a call, other than by packed weights into their bytes. One call here is
// one call there: "as lanefuse::X (lanefuse/y.h)" stands for its formula, order, shapes, aliasing,
// errors, accuracy, memory and threads; on error every output is untouched. C adds to the errors,
// each LANEFUSE_INVALID_ARGUMENT and with the argument's name: a null pointer where the card does
// not allow one, a number that is no enumerator, null steps. Stack: up to 2 KiB more than the C++
// call. C99 and C++.
#ifndef LANEFUSE_C_H_
#define LANEFUSE_C_H_

#include <stdbool.h>
#include <stddef.h>

#include "lanefuse/c_types.h"
#include "lanefuse/export.h"
#include "lanefuse/version.h"

#ifdef __cplusplus
extern "C" {
#endif

// Writes the sentence of a status with its numbers and a final NUL into `buffer`, cut where its
// `size` bytes end. Returns the length of the whole sentence, as snprintf. A null buffer has none.
LANEFUSE_API size_t lanefuse_status_format(lanefuse_status status, char* buffer, size_t size);

// *out = act(sum of a[k] * b[k]), as lanefuse::Dot (lanefuse/dot.h); equal sizes.
LANEFUSE_API lanefuse_status lanefuse_dot(lanefuse_const_vec a, lanefuse_const_vec b,
                                          lanefuse_activation act, float* out);
// The same with a whole chain; *out counts as a matrix of 1 x 1.
LANEFUSE_API lanefuse_status lanefuse_dot_epilogue(lanefuse_const_vec a, lanefuse_const_vec b,
                                                   lanefuse_epilogue epilogue, float* out);

// y[n] = epilogue(sum of w[n, k] * x[k]), weights as they are, as lanefuse::Gemv
// (lanefuse/linear.h). w: N x K; x: K; y: N, apart from both; for the epilogue a matrix of 1 x N.
LANEFUSE_API lanefuse_status lanefuse_gemv(lanefuse_const_mat w, lanefuse_const_vec x,
                                           lanefuse_epilogue epilogue, lanefuse_vec y,
                                           const lanefuse_parallel* parallel);

// The size of packed weights, as lanefuse::PackedLinear::Bytes; 0 where it overflows.
LANEFUSE_API size_t lanefuse_packed_linear_bytes(size_t outputs, size_t inputs);

// Packs w (outputs x inputs), a bias (`outputs` values, or size 0 for none) and a batchnorm over
// the outputs (or null) into `size` bytes, aligned to 4 at least (64 is best), and points `packed`
// at them. The bytes must outlive it and stay unchanged; they may be stored, and serve on any
// machine. Errors: SHAPE_MISMATCH, BUFFER_TOO_SMALL, UNSUPPORTED (a fold that is not finite).
LANEFUSE_API lanefuse_status lanefuse_packed_linear_pack(lanefuse_const_mat w,
                                                         lanefuse_const_vec bias,
                                                         const lanefuse_batchnorm* batchnorm,
                                                         void* bytes, size_t size,
                                                         lanefuse_packed_linear* packed);
// Checks packed bytes (reads all of them) and points `packed` at them. Errors: CORRUPT.
LANEFUSE_API lanefuse_status lanefuse_packed_linear_view(const void* bytes, size_t size,
                                                         lanefuse_packed_linear* packed);

// y[m, n] = epilogue(sum of x[m, k] * w[n, k]), as lanefuse::Linear (lanefuse/linear.h).
// x: M x inputs; y: M x outputs, apart from x and w; a mat of a step may be y itself.
LANEFUSE_API lanefuse_status lanefuse_linear(lanefuse_const_mat x, const lanefuse_packed_linear* w,
                                             lanefuse_epilogue epilogue, lanefuse_mat y,
                                             const lanefuse_parallel* parallel);

// Up to LANEFUSE_MAX_LINEAR_LAYERS layers that read the same x, as lanefuse::LinearGroup. Their ys
// are apart from everything but their own epilogue's mats. A status says of which layer it is.
LANEFUSE_API lanefuse_status lanefuse_linear_group(lanefuse_const_mat x,
                                                   const lanefuse_linear_layer* layers,
                                                   size_t count, const lanefuse_parallel* parallel);

// The same for convolutions. `weights`: dense OHWI, [outputs][kernel_h][kernel_w][channels /
// groups]. `fold` may be null. Errors beside those above: INVALID_ARGUMENT (shape), UNSUPPORTED (a
// fold that is wrong); the size is 0 where `shape` is invalid or null.
LANEFUSE_API size_t lanefuse_packed_conv2d_bytes(const lanefuse_conv2d_shape* shape);
LANEFUSE_API lanefuse_status lanefuse_packed_conv2d_pack(
    const lanefuse_conv2d_shape* shape, lanefuse_const_vec weights, lanefuse_const_vec bias,
    const lanefuse_conv2d_fold* fold, void* bytes, size_t size, lanefuse_packed_conv2d* packed);
LANEFUSE_API lanefuse_status lanefuse_packed_conv2d_view(const void* bytes, size_t size,
                                                         lanefuse_packed_conv2d* packed);

// y[n, oy, ox, o] = epilogue(sum over taps and channels of x * w), as lanefuse::Conv2d
// (lanefuse/conv.h). x: N x H x W x channels; y: N x OH x OW x outputs, apart from x and w; an
// image of a step may be y itself.
LANEFUSE_API lanefuse_status lanefuse_conv2d(lanefuse_const_image x,
                                             const lanefuse_packed_conv2d* w,
                                             lanefuse_epilogue epilogue, lanefuse_image y,
                                             const lanefuse_parallel* parallel);

// y = epilogue(pointwise * middle(depthwise * x)), as lanefuse::SeparableConv2d, and y =
// epilogue(project * middle(depthwise * first(expand * x))), as lanefuse::InvertedResidual
// (lanefuse/conv.h). `scratch` is apart from everything else; its size, in floats, is 0 where the
// shapes do not fit each other or weights are null.
LANEFUSE_API lanefuse_status lanefuse_separable_conv2d(
    lanefuse_const_image x, const lanefuse_packed_conv2d* depthwise, lanefuse_epilogue middle,
    const lanefuse_packed_conv2d* pointwise, lanefuse_epilogue epilogue, lanefuse_image y,
    lanefuse_vec scratch, const lanefuse_parallel* parallel);
LANEFUSE_API size_t lanefuse_separable_conv2d_scratch(lanefuse_const_image x,
                                                      const lanefuse_packed_conv2d* depthwise,
                                                      const lanefuse_packed_conv2d* pointwise,
                                                      const lanefuse_parallel* parallel);
LANEFUSE_API lanefuse_status lanefuse_inverted_residual(
    lanefuse_const_image x, const lanefuse_packed_conv2d* expand, lanefuse_epilogue first,
    const lanefuse_packed_conv2d* depthwise, lanefuse_epilogue middle,
    const lanefuse_packed_conv2d* project, lanefuse_epilogue epilogue, lanefuse_image y,
    lanefuse_vec scratch, const lanefuse_parallel* parallel);
LANEFUSE_API size_t lanefuse_inverted_residual_scratch(lanefuse_const_image x,
                                                       const lanefuse_packed_conv2d* expand,
                                                       const lanefuse_packed_conv2d* depthwise,
                                                       const lanefuse_packed_conv2d* project,
                                                       const lanefuse_parallel* parallel);

// y = epilogue(max, or average, over the window), as lanefuse::MaxPool2d and AveragePool2d
// (lanefuse/conv.h). x and y have equal images and channels; y is apart from x.
LANEFUSE_API lanefuse_status lanefuse_max_pool2d(lanefuse_const_image x,
                                                 const lanefuse_pool2d_shape* shape,
                                                 lanefuse_epilogue epilogue, lanefuse_image y,
                                                 const lanefuse_parallel* parallel);
LANEFUSE_API lanefuse_status lanefuse_average_pool2d(lanefuse_const_image x,
                                                     const lanefuse_pool2d_shape* shape,
                                                     lanefuse_epilogue epilogue, lanefuse_image y,
                                                     const lanefuse_parallel* parallel);
// y: N x 1 x 1 x channels, the average over all pixels, as lanefuse::GlobalAveragePool.
LANEFUSE_API lanefuse_status lanefuse_global_average_pool(lanefuse_const_image x,
                                                          lanefuse_epilogue epilogue,
                                                          lanefuse_image y,
                                                          const lanefuse_parallel* parallel);

// y = epilogue(softmax, or log-softmax, of each row of x * scale + mask), as lanefuse::Softmax
// (lanefuse/softmax.h). x, y: R x C; y may be x itself, and is apart from the mask and from mats
// of steps. `options` null: a scale of 1, no mask.
LANEFUSE_API lanefuse_status lanefuse_softmax(lanefuse_const_mat x,
                                              const lanefuse_softmax_options* options,
                                              lanefuse_epilogue epilogue, lanefuse_mat y,
                                              const lanefuse_parallel* parallel);

// y = epilogue(x), element by element, as lanefuse::Apply (lanefuse/elementwise.h). x, y: R x C; y
// may be x itself, a mat of a step y or x. No steps: a copy.
LANEFUSE_API lanefuse_status lanefuse_apply(lanefuse_const_mat x, lanefuse_epilogue epilogue,
                                            lanefuse_mat y, const lanefuse_parallel* parallel);

// The names of the instruction sets, best first, as lanefuse::SupportedTargets and BuiltTargets
// (lanefuse/target.h): for (size_t i = 0; (name = lanefuse_supported_target(i)) != NULL; ++i)
LANEFUSE_API const char* lanefuse_supported_target(size_t i);
LANEFUSE_API const char* lanefuse_built_target(size_t i);
// The one that calls use now; "" where the variable LANEFUSE_TARGET is wrong (then every call
// returns LANEFUSE_UNSUPPORTED_TARGET).
LANEFUSE_API const char* lanefuse_active_target(void);
// Uses `name` from the next call on; null or "" lifts the limit. As lanefuse::LimitTarget.
LANEFUSE_API lanefuse_status lanefuse_limit_target(const char* name);
// Whether `name` keeps the promise of equal bits; false for null.
LANEFUSE_API bool lanefuse_target_has_same_bits(const char* name);

#ifdef __cplusplus
}
#endif

#endif  // LANEFUSE_C_H_
