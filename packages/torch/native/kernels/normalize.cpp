#define AAUNET_ISA baseline
#include "normalize-loops.h"

#include "dispatch.h"

AAUNET_KERNELS_FOR_THIS_MACHINE(Normalize, normalizeKernels)
