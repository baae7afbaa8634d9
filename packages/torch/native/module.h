#pragma once

#include <napi.h>

namespace aaunet {

// Each file adds its functions to the addon's exports.
void exportDispatch(Napi::Env env, Napi::Object exports);
void exportAutograd(Napi::Env env, Napi::Object exports);
void exportRuntime(Napi::Env env, Napi::Object exports);

/// Lets LibTorch take its CPU memory from a cache of blocks; AAUNET_ALLOCATOR=system leaves it as it is.
void installAllocator();

}  // namespace aaunet
