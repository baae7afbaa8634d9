// Which of the kernels' instruction sets this machine has.

#pragma once

namespace aaunet {

/// The best of a table of kernels for each instruction set.
template <typename Table>
const Table& forThisMachine(const Table& baseline, const Table& avx2, const Table& avx512) {
#if defined(__x86_64__)
  static const bool hasAvx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  static const bool hasAvx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (hasAvx512) return avx512;
  if (hasAvx2) return avx2;
#endif
  return baseline;
}

}  // namespace aaunet

/// Defines `function<T>()`, which gives the best of the tables `Name##KernelsOf<T>` that every instruction set has of its own; the
/// baseline's is there already.
#define AAUNET_KERNELS_FOR_THIS_MACHINE(Name, function)                                                                          \
  namespace aaunet {                                                                                                             \
  namespace avx2 {                                                                                                               \
  template <typename T>                                                                                                          \
  struct Name##KernelsOf {                                                                                                       \
    static const Name##Kernels<T> table;                                                                                         \
  };                                                                                                                             \
  }                                                                                                                              \
  namespace avx512 {                                                                                                             \
  template <typename T>                                                                                                          \
  struct Name##KernelsOf {                                                                                                       \
    static const Name##Kernels<T> table;                                                                                         \
  };                                                                                                                             \
  }                                                                                                                              \
  template <typename T>                                                                                                          \
  const Name##Kernels<T>& function() {                                                                                           \
    return forThisMachine(baseline::Name##KernelsOf<T>::table, avx2::Name##KernelsOf<T>::table, avx512::Name##KernelsOf<T>::table); \
  }                                                                                                                              \
  template const Name##Kernels<double>& function();                                                                              \
  template const Name##Kernels<float>& function();                                                                               \
  template const Name##Kernels<Bf16>& function();                                                                                \
  }
