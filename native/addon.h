// What the parts of the addon share: one registration function per part, and the way errors reach JavaScript.
#pragma once

#include <napi.h>

#include <memory>

namespace lvr {

class ArenaRegistry;

// State of one JavaScript environment (main thread or worker). Only that thread touches it.
struct Instance {
  std::shared_ptr<ArenaRegistry> arenas;
};

Instance& InstanceOf(Napi::Env env);

// Registers the exports of one source file each.
void InitArena(Napi::Env env, Napi::Object exports);
void InitFiles(Napi::Env env, Napi::Object exports);
void InitEngine(Napi::Env env, Napi::Object exports);
void InitCrc32c(Napi::Env env, Napi::Object exports);
void InitSystem(Napi::Env env, Napi::Object exports);
void InitNetlink(Napi::Env env, Napi::Object exports);
void InitSockets(Napi::Env env, Napi::Object exports);
void InitReceive(Napi::Env env, Napi::Object exports);
void InitSend(Napi::Env env, Napi::Object exports);

// An Error with code ('EIO'), errno (positive), syscall and, unless empty, path: the shape of Node's own system errors.
Napi::Error SystemError(Napi::Env env, int error, const char* syscall, const std::string& path = std::string());

// Checked arguments; they throw TypeError or RangeError. Int64 takes safe integers only.
int Int32Arg(const Napi::CallbackInfo& info, size_t index);
int64_t Int64Arg(const Napi::CallbackInfo& info, size_t index);
std::string StringArg(const Napi::CallbackInfo& info, size_t index);

}  // namespace lvr
