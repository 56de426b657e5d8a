// The whole C interface, called from C: c_dot() is a C function that calls lanefuse_dot(), and so
// on. C and C++.
#ifndef LANEFUSE_TESTS_C_CALLS_H_
#define LANEFUSE_TESTS_C_CALLS_H_

#include "lanefuse/c.h"

#ifdef __cplusplus
extern "C" {
#endif

//   result, name, parameters, arguments
#define LANEFUSE_C_CALLS(X)                                                                        \
  X(size_t, status_format, (lanefuse_status s, char* buffer, size_t size), (s, buffer, size))      \
  X(lanefuse_status, dot,                                                                          \
    (lanefuse_const_vec a, lanefuse_const_vec b, lanefuse_activation act, float* out),             \
    (a, b, act, out))                                                                              \
  X(lanefuse_status, dot_epilogue,                                                                 \
    (lanefuse_const_vec a, lanefuse_const_vec b, lanefuse_epilogue e, float* out), (a, b, e, out)) \
  X(lanefuse_status, gemv,                                                                         \
    (lanefuse_const_mat w, lanefuse_const_vec x, lanefuse_epilogue e, lanefuse_vec y,              \
     const lanefuse_parallel* p),                                                                  \
    (w, x, e, y, p))                                                                               \
  X(size_t, packed_linear_bytes, (size_t outputs, size_t inputs), (outputs, inputs))               \
  X(lanefuse_status, packed_linear_pack,                                                           \
    (lanefuse_const_mat w, lanefuse_const_vec bias, const lanefuse_batchnorm* norm, void* bytes,   \
     size_t size, lanefuse_packed_linear* packed),                                                 \
    (w, bias, norm, bytes, size, packed))                                                          \
  X(lanefuse_status, packed_linear_view,                                                           \
    (const void* bytes, size_t size, lanefuse_packed_linear* packed), (bytes, size, packed))       \
  X(lanefuse_status, linear,                                                                       \
    (lanefuse_const_mat x, const lanefuse_packed_linear* w, lanefuse_epilogue e, lanefuse_mat y,   \
     const lanefuse_parallel* p),                                                                  \
    (x, w, e, y, p))                                                                               \
  X(lanefuse_status, linear_group,                                                                 \
    (lanefuse_const_mat x, const lanefuse_linear_layer* layers, size_t count,                      \
     const lanefuse_parallel* p),                                                                  \
    (x, layers, count, p))                                                                         \
  X(size_t, packed_conv2d_bytes, (const lanefuse_conv2d_shape* shape), (shape))                    \
  X(lanefuse_status, packed_conv2d_pack,                                                           \
    (const lanefuse_conv2d_shape* shape, lanefuse_const_vec weights, lanefuse_const_vec bias,      \
     const lanefuse_conv2d_fold* fold, void* bytes, size_t size, lanefuse_packed_conv2d* packed),  \
    (shape, weights, bias, fold, bytes, size, packed))                                             \
  X(lanefuse_status, packed_conv2d_view,                                                           \
    (const void* bytes, size_t size, lanefuse_packed_conv2d* packed), (bytes, size, packed))       \
  X(lanefuse_status, conv2d,                                                                       \
    (lanefuse_const_image x, const lanefuse_packed_conv2d* w, lanefuse_epilogue e,                 \
     lanefuse_image y, const lanefuse_parallel* p),                                                \
    (x, w, e, y, p))                                                                               \
  X(lanefuse_status, separable_conv2d,                                                             \
    (lanefuse_const_image x, const lanefuse_packed_conv2d* d, lanefuse_epilogue m,                 \
     const lanefuse_packed_conv2d* w, lanefuse_epilogue e, lanefuse_image y, lanefuse_vec scratch, \
     const lanefuse_parallel* p),                                                                  \
    (x, d, m, w, e, y, scratch, p))                                                                \
  X(size_t, separable_conv2d_scratch,                                                              \
    (lanefuse_const_image x, const lanefuse_packed_conv2d* d, const lanefuse_packed_conv2d* w,     \
     const lanefuse_parallel* p),                                                                  \
    (x, d, w, p))                                                                                  \
  X(lanefuse_status, inverted_residual,                                                            \
    (lanefuse_const_image x, const lanefuse_packed_conv2d* f, lanefuse_epilogue g,                 \
     const lanefuse_packed_conv2d* d, lanefuse_epilogue m, const lanefuse_packed_conv2d* w,        \
     lanefuse_epilogue e, lanefuse_image y, lanefuse_vec scratch, const lanefuse_parallel* p),     \
    (x, f, g, d, m, w, e, y, scratch, p))                                                          \
  X(size_t, inverted_residual_scratch,                                                             \
    (lanefuse_const_image x, const lanefuse_packed_conv2d* f, const lanefuse_packed_conv2d* d,     \
     const lanefuse_packed_conv2d* w, const lanefuse_parallel* p),                                 \
    (x, f, d, w, p))                                                                               \
  X(lanefuse_status, max_pool2d,                                                                   \
    (lanefuse_const_image x, const lanefuse_pool2d_shape* shape, lanefuse_epilogue e,              \
     lanefuse_image y, const lanefuse_parallel* p),                                                \
    (x, shape, e, y, p))                                                                           \
  X(lanefuse_status, average_pool2d,                                                               \
    (lanefuse_const_image x, const lanefuse_pool2d_shape* shape, lanefuse_epilogue e,              \
     lanefuse_image y, const lanefuse_parallel* p),                                                \
    (x, shape, e, y, p))                                                                           \
  X(lanefuse_status, global_average_pool,                                                          \
    (lanefuse_const_image x, lanefuse_epilogue e, lanefuse_image y, const lanefuse_parallel* p),   \
    (x, e, y, p))                                                                                  \
  X(lanefuse_status, softmax,                                                                      \
    (lanefuse_const_mat x, const lanefuse_softmax_options* options, lanefuse_epilogue e,           \
     lanefuse_mat y, const lanefuse_parallel* p),                                                  \
    (x, options, e, y, p))                                                                         \
  X(lanefuse_status, apply,                                                                        \
    (lanefuse_const_mat x, lanefuse_epilogue e, lanefuse_mat y, const lanefuse_parallel* p),       \
    (x, e, y, p))                                                                                  \
  X(const char*, supported_target, (size_t i), (i))                                                \
  X(const char*, built_target, (size_t i), (i))                                                    \
  X(const char*, active_target, (void), ())                                                        \
  X(lanefuse_status, limit_target, (const char* name), (name))                                     \
  X(bool, target_has_same_bits, (const char* name), (name))

#define LANEFUSE_DECLARE(result, name, parameters, arguments) result c_##name parameters;
LANEFUSE_C_CALLS(LANEFUSE_DECLARE)
#undef LANEFUSE_DECLARE

// A step in the words of neither interface, and how a C program makes it with the functions of
// c_types.h.
struct c_step_words {
  enum lanefuse_step_kind kind;
  enum lanefuse_activation_kind act;
  float lo, hi;  // lo alone: the factor of a scale, the alpha of an activation
  const float* data;
  size_t size;
  const float* shift;
  lanefuse_const_image operand;  // of ADD and MUL: one row of pixels
};
lanefuse_step c_make_step(const struct c_step_words* words);

// The views and shapes that c_types.h makes.
struct c_made {
  lanefuse_vec vec;
  lanefuse_const_vec const_vec;
  lanefuse_mat mat;
  lanefuse_const_mat const_mat, read_mat;
  lanefuse_image image;
  lanefuse_const_image const_image, read_image;
  lanefuse_conv2d_shape conv2d;
  lanefuse_pool2d_shape pool2d;
  lanefuse_softmax_options softmax;
  lanefuse_batchnorm norm, plain_norm;
};
struct c_made c_make_all(float* data);

#ifdef __cplusplus
}
#endif

#endif  // LANEFUSE_TESTS_C_CALLS_H_
