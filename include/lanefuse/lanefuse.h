// Everything at once.
#ifndef LANEFUSE_LANEFUSE_H_
#define LANEFUSE_LANEFUSE_H_

#include "lanefuse/activation.h"
#include "lanefuse/conv.h"
#include "lanefuse/dot.h"
#include "lanefuse/elementwise.h"
#include "lanefuse/epilogue.h"
#include "lanefuse/linear.h"
#include "lanefuse/packed.h"
#include "lanefuse/parallel.h"
#include "lanefuse/softmax.h"
#include "lanefuse/status.h"
#include "lanefuse/target.h"
#include "lanefuse/version.h"
#include "lanefuse/view.h"

#endif  // LANEFUSE_LANEFUSE_H_
