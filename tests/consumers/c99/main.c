// A C99 program: one call of the C interface, and a wrong one, which must say what is wrong.
#include <stdio.h>

#include "lanefuse/c.h"

int main(void) {
  const float a[] = {1.0f, 2.0f, 3.0f}, b[] = {4.0f, 5.0f, 6.0f};
  const lanefuse_activation identity = lanefuse_make_activation(LANEFUSE_ACT_IDENTITY, 0.0f);
  float out = -1.0f;
  char text[128];
  const lanefuse_status status =
      lanefuse_dot(lanefuse_make_const_vec(a, 3), lanefuse_make_const_vec(b, 3), identity, &out);
  const lanefuse_status wrong =
      lanefuse_dot(lanefuse_make_const_vec(a, 3), lanefuse_make_const_vec(b, 2), identity, &out);
  lanefuse_status_format(wrong, text, sizeof(text));
  printf("c99 consumer: out = %g, want 32; %s\n", (double)out, text);
  return status.code == LANEFUSE_OK && out == 32.0f && wrong.code == LANEFUSE_SHAPE_MISMATCH ? 0
                                                                                             : 1;
}
