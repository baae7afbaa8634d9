#define AAUNET_ISA baseline
#include "weigh-loops.h"

#include "dispatch.h"

AAUNET_KERNELS_FOR_THIS_MACHINE(Weigh, weighKernels)
