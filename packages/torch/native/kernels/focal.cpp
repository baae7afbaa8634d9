#define AAUNET_ISA baseline
#include "focal-loops.h"

#include "dispatch.h"

AAUNET_KERNELS_FOR_THIS_MACHINE(Focal, focalKernels)
