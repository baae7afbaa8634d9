#define AAUNET_ISA baseline
#include "normalize-loops.h"

namespace aaunet {

namespace avx2 {
template <typename T>
struct Kernels {
  static const NormalizeKernels<T> table;
};
}  // namespace avx2
namespace avx512 {
template <typename T>
struct Kernels {
  static const NormalizeKernels<T> table;
};
}  // namespace avx512

template <typename T>
const NormalizeKernels<T>& normalizeKernels() {
#if defined(__x86_64__)
  static const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  static const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (hasAvx512) return avx512::Kernels<T>::table;
  if (hasAvx2) return avx2::Kernels<T>::table;
#endif
  return baseline::Kernels<T>::table;
}

template const NormalizeKernels<double>& normalizeKernels();
template const NormalizeKernels<float>& normalizeKernels();
template const NormalizeKernels<Bf16>& normalizeKernels();

}  // namespace aaunet
