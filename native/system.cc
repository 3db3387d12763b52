// Small system calls of the agent: peer credentials, readiness notification, memory rules of a process that serves block devices.

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "addon.h"
#include "arena.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#define PR_GET_IO_FLUSHER 58
#endif

namespace lvr {

// peerCredentials(fd): { pid, uid, gid } of the process that connected this unix socket.
static Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct ucred peer = {};
  socklen_t length = sizeof(peer);
  if (getsockopt(Int32Arg(info, 0), SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) throw SystemError(env, errno, "getsockopt");
  Napi::Object result = Napi::Object::New(env);
  result.Set("pid", Napi::Number::New(env, peer.pid));
  result.Set("uid", Napi::Number::New(env, peer.uid));
  result.Set("gid", Napi::Number::New(env, peer.gid));
  return result;
}

// notify(state): tells the service manager (sd_notify(3)); false when there is none. A leading '@' names an abstract socket.
static Napi::Value Notify(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const std::string state = StringArg(info, 0);
  const char* name = getenv("NOTIFY_SOCKET");
  if (name == nullptr || name[0] == '\0') return Napi::Boolean::New(env, false);
  struct sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const size_t length = strlen(name);
  if (length >= sizeof(address.sun_path)) throw SystemError(env, ENAMETOOLONG, "connect", name);
  memcpy(address.sun_path, name, length);
  if (name[0] == '@') address.sun_path[0] = '\0';
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw SystemError(env, errno, "socket");
  const auto size = static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + length);
  ssize_t sent;
  do sent = sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<struct sockaddr*>(&address), size);
  while (sent < 0 && errno == EINTR);
  const int error = errno;
  close(fd);
  if (sent < 0) throw SystemError(env, error, "sendto", name);
  return Napi::Boolean::New(env, true);
}

// setIoFlusher(): memory allocated for this thread never waits for writeback to a device that we serve. Threads started later
// inherit it, so call it before engines are opened.
static Napi::Value SetIoFlusher(const Napi::CallbackInfo& info) {
  if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) throw SystemError(info.Env(), errno, "prctl");
  return info.Env().Undefined();
}

// ioFlusher(): whether this thread allocates like that.
static Napi::Value IoFlusher(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), prctl(PR_GET_IO_FLUSHER, 0, 0, 0, 0) == 1);
}

// Locks what is mapped from files: the code that must run to complete I/O, and its data.
static int LockMappedFiles() {
  FILE* maps = fopen("/proc/self/maps", "re");
  if (maps == nullptr) return errno;
  char line[4096];
  int error = 0;
  while (error == 0 && fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long start = 0;
    unsigned long end = 0;
    int path = 0;
    if (sscanf(line, "%lx-%lx %*4s %*x %*s %*u %n", &start, &end, &path) != 2 || path == 0 || line[path] != '/') continue;
    if (mlock2(reinterpret_cast<void*>(start), end - start, MLOCK_ONFAULT) != 0) error = errno;
  }
  fclose(maps);
  return error;
}

// lockMemory(): program code and this environment's arenas stay resident once they were touched. Not mlockall(): V8 gives pages
// of its heap back with madvise(MADV_DONTNEED), which the kernel refuses on locked memory, and V8 aborts the process then. The heap is
// to be kept from swap by the service manager (MemorySwapMax=0).
static Napi::Value LockMemory(const Napi::CallbackInfo& info) {
  int error = LockMappedFiles();
  if (error == 0) error = InstanceOf(info.Env()).arenas->LockAll();
  if (error != 0) throw SystemError(info.Env(), error, "mlock2");
  return info.Env().Undefined();
}

void InitSystem(Napi::Env env, Napi::Object exports) {
  exports.Set("peerCredentials", Napi::Function::New(env, PeerCredentials, "peerCredentials"));
  exports.Set("notify", Napi::Function::New(env, Notify, "notify"));
  exports.Set("setIoFlusher", Napi::Function::New(env, SetIoFlusher, "setIoFlusher"));
  exports.Set("ioFlusher", Napi::Function::New(env, IoFlusher, "ioFlusher"));
  exports.Set("lockMemory", Napi::Function::New(env, LockMemory, "lockMemory"));
}

}  // namespace lvr
