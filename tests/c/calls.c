#include "tests/c/calls.h"

#define LANEFUSE_CALL(result, name, parameters, arguments) \
  result c_##name parameters { return lanefuse_##name arguments; }
LANEFUSE_C_CALLS(LANEFUSE_CALL)

static lanefuse_step make_act(const struct c_step_words* w) {
  switch (w->act) {
    case LANEFUSE_ACT_PRELU:
      return lanefuse_step_activation(lanefuse_make_prelu(w->data, w->size));
    case LANEFUSE_ACT_LEAKY_RELU:
    case LANEFUSE_ACT_ELU:
      return lanefuse_step_activation(lanefuse_make_activation((int32_t)w->act, w->lo));
    default:
      return lanefuse_step_act((int32_t)w->act);
  }
}

lanefuse_step c_make_step(const struct c_step_words* w) {
  const lanefuse_const_image o = w->operand;
  const lanefuse_const_mat rows = {o.data, o.width, o.channels, o.pixel_stride};
  switch (w->kind) {
    case LANEFUSE_STEP_BIAS:
      return lanefuse_step_bias(w->data, w->size);
    case LANEFUSE_STEP_AFFINE:
      return lanefuse_step_affine(w->data, w->shift, w->size);
    case LANEFUSE_STEP_SCALE:
      return lanefuse_step_scale(w->lo);
    case LANEFUSE_STEP_SCALE_CHANNELS:
      return lanefuse_step_scale_channels(w->data, w->size);
    case LANEFUSE_STEP_ADD:
      return lanefuse_step_add(rows);
    case LANEFUSE_STEP_MUL:
      return lanefuse_step_mul(rows);
    case LANEFUSE_STEP_ACT:
      return make_act(w);
    case LANEFUSE_STEP_CLAMP:
      return lanefuse_step_clamp(w->lo, w->hi);
    case LANEFUSE_STEP_ADD_IMAGE:
      return lanefuse_step_add_image(o);
    case LANEFUSE_STEP_MUL_IMAGE:
      break;
  }
  return lanefuse_step_mul_image(o);
}

struct c_made c_make_all(float* data) {
  struct c_made made;
  made.vec = lanefuse_make_vec(data, 2);
  made.const_vec = lanefuse_make_const_vec(data, 3);
  made.mat = lanefuse_make_mat(data, 2, 3);
  made.const_mat = lanefuse_make_const_mat(data, 4, 5);
  made.mat.stride = 7;
  made.read_mat = lanefuse_read_mat(made.mat);
  made.image = lanefuse_make_image(data, 2, 3, 5, 7);
  made.const_image = lanefuse_make_const_image(data, 3, 5, 7, 11);
  made.image.pixel_stride = 17;
  made.image.row_stride = 19;
  made.image.image_stride = 23;
  made.read_image = lanefuse_read_image(made.image);
  made.conv2d = lanefuse_make_conv2d_shape(2, 3, 5, 7);
  made.pool2d = lanefuse_make_pool2d_shape(2, 3);
  made.softmax = lanefuse_make_softmax_options();
  made.norm = lanefuse_make_batchnorm(data, data + 1, data + 2, data + 3, 5);
  made.plain_norm = lanefuse_make_batchnorm(NULL, NULL, data, data, 5);
  return made;
}
