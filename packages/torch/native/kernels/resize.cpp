#define AAUNET_ISA baseline
#include "resize-loops.h"

#include "dispatch.h"

AAUNET_KERNELS_FOR_THIS_MACHINE(Resize, resizeKernels)
