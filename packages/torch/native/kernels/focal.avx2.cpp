#define AAUNET_ISA avx2
#include "focal-loops.h"
