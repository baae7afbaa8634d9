#pragma once

#include <napi.h>

namespace aaunet {

// Each file adds its functions to the addon's exports.
void exportDispatch(Napi::Env env, Napi::Object exports);
void exportDistributed(Napi::Env env, Napi::Object exports);
void exportAutograd(Napi::Env env, Napi::Object exports);
void exportProfile(Napi::Env env, Napi::Object exports);
void exportRuntime(Napi::Env env, Napi::Object exports);
/// Once a process, before the first tensor.
void installAllocator();
void exportCuda(Napi::Env env, Napi::Object exports);  // of CUDA builds

}  // namespace aaunet
