// A fully connected layer from C: y = relu(x * w^T + bias + y). README.md shows the middle of it.
#include <lanefuse/c.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 8, INPUTS = 640, OUTPUTS = 128 };

static float w[OUTPUTS * INPUTS], bias[OUTPUTS], x[ROWS * INPUTS], y[ROWS * OUTPUTS];

static lanefuse_status run(void* bytes, size_t size) {
  lanefuse_packed_linear weights;  // points into `bytes`: the same for every instruction set
  lanefuse_status status = lanefuse_packed_linear_pack(lanefuse_make_const_mat(w, OUTPUTS, INPUTS),
                                                       lanefuse_make_const_vec(bias, OUTPUTS), NULL,
                                                       bytes, size, &weights);
  if (status.code == LANEFUSE_OK) {
    lanefuse_mat out = lanefuse_make_mat(y, ROWS, OUTPUTS);
    lanefuse_step steps[] = {lanefuse_step_add(lanefuse_read_mat(out)),
                             lanefuse_step_act(LANEFUSE_ACT_RELU)};
    status = lanefuse_linear(lanefuse_make_const_mat(x, ROWS, INPUTS), &weights,
                             lanefuse_make_epilogue(steps, 2), out, NULL);
  }
  return status;
}

int main(void) {
  size_t i;
  for (i = 0; i < OUTPUTS * INPUTS; ++i) w[i] = 0.5f;
  for (i = 0; i < OUTPUTS; ++i) bias[i] = i % 2 == 0 ? 1.0f : -1000.0f;
  for (i = 0; i < ROWS * INPUTS; ++i) x[i] = 0.25f;
  for (i = 0; i < ROWS * OUTPUTS; ++i) y[i] = 2.0f;

  size_t size = lanefuse_packed_linear_bytes(OUTPUTS, INPUTS);
  void* bytes = malloc(size);
  lanefuse_status status = run(bytes, size);
  free(bytes);
  char text[200];
  lanefuse_status_format(status, text, sizeof(text));
  printf("%s on %s: y = %g %g ...\n", text, lanefuse_active_target(), (double)y[0], (double)y[1]);
  // 640 * 0.5 * 0.25 = 80; 80 + 1 + 2 = 83, and 80 - 1000 + 2 is below 0.
  return status.code == LANEFUSE_OK && y[0] == 83.0f && y[1] == 0.0f ? 0 : 1;
}
