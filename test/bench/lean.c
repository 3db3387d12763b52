// A load generator that costs next to nothing: 4 KiB random reads from an NBD server on a unix socket, so many at a time.
//
// fio's nbd engine uses more of a processor for a request than a good server does, and then measures itself. This one takes all replies
// that have come with one system call and sends the requests that follow with another. Every reply is checked: simple reply, no error, a
// request that waits for it.
//
//   lean SOCKET EXPORT DEPTH SECONDS    prints "OPS_PER_SECOND P99_US CPU_PERCENT"
#define _GNU_SOURCE
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, DEPTH_MAX = 1024, LATENCY_US_MAX = 1000000, BUFFER = 4 << 20 };

struct __attribute__((packed)) request {
  uint32_t magic;
  uint16_t flags, type;
  uint64_t cookie, offset;
  uint32_t length;
};
struct __attribute__((packed)) reply {
  uint32_t magic, error;
  uint64_t cookie;
};

static struct request requests[DEPTH_MAX];
static double sent_at[DEPTH_MAX]; /* 0: not under way */
static uint32_t latencies[LATENCY_US_MAX + 1];
static uint64_t blocks;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void get(int fd, void *to, size_t bytes) {
  for (char *at = to; bytes > 0;) {
    ssize_t n = read(fd, at, bytes);
    if (n <= 0) fail("read");
    at += n;
    bytes -= n;
  }
}

static void put(int fd, const void *from, size_t bytes) {
  for (const char *at = from; bytes > 0;) {
    ssize_t n = write(fd, at, bytes);
    if (n <= 0) fail("write");
    at += n;
    bytes -= n;
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

/* xorshift64 */
static uint64_t random_block(void) {
  static uint64_t state = 88172645463325252ull;
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state % blocks;
}

/* Fixed newstyle with NBD_OPT_EXPORT_NAME and without zeroes. */
static int negotiate(const char *path, const char *name) {
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) fail(path);
  char greeting[18];
  get(fd, greeting, sizeof greeting);
  uint32_t flags = htobe32(3);
  put(fd, &flags, sizeof flags);
  struct __attribute__((packed)) {
    char magic[8];
    uint32_t option, length;
  } head = {"IHAVEOPT", htobe32(1), htobe32(strlen(name))};
  put(fd, &head, sizeof head);
  put(fd, name, strlen(name));
  struct __attribute__((packed)) {
    uint64_t size;
    uint16_t flags;
  } answer;
  get(fd, &answer, sizeof answer);
  blocks = be64toh(answer.size) / BLOCK;
  return fd;
}

static void next_request(struct request *request, uint64_t slot, double at) {
  *request = (struct request){.magic = htobe32(0x25609513), .cookie = slot, .offset = htobe64(random_block() * BLOCK), .length = htobe32(BLOCK)};
  sent_at[slot] = at;
}

int main(int count, char **words) {
  if (count != 5) return 2;
  int fd = negotiate(words[1], words[2]);
  int depth = atoi(words[3]);
  double seconds = atof(words[4]);
  if (depth < 1 || depth > DEPTH_MAX) return 2;
  char *buffer = malloc(BUFFER);
  size_t have = 0;
  uint64_t done = 0;
  double start = now(), at = start, end = start;
  for (int i = 0; i < depth; i++) next_request(&requests[i], i, at);
  put(fd, requests, depth * sizeof *requests);
  /* Behind the end what is under way is taken and not counted, so that the server ends in order too. */
  for (int under_way = depth; under_way > 0;) {
    ssize_t n = recv(fd, buffer + have, BUFFER - have, 0);
    if (n <= 0) fail("recv");
    have += n;
    at = now();
    size_t taken = 0;
    int more = 0;
    for (; have - taken >= sizeof(struct reply) + BLOCK; taken += sizeof(struct reply) + BLOCK) {
      struct reply reply;
      memcpy(&reply, buffer + taken, sizeof reply);
      if (be32toh(reply.magic) != 0x67446698 || reply.error != 0 || reply.cookie >= DEPTH_MAX || sent_at[reply.cookie] == 0) {
        fprintf(stderr, "not a good reply to a request: magic %x error %u\n", be32toh(reply.magic), be32toh(reply.error));
        return 1;
      }
      double us = (at - sent_at[reply.cookie]) * 1e6;
      sent_at[reply.cookie] = 0;
      under_way--;
      if (at - start >= seconds) continue;
      latencies[us > LATENCY_US_MAX ? LATENCY_US_MAX : (int)us]++;
      end = at;
      next_request(&requests[more++], reply.cookie, at);
    }
    memmove(buffer, buffer + taken, have - taken);
    have -= taken;
    done += more;
    under_way += more;
    put(fd, requests, more * sizeof *requests);
  }
  struct request disconnect = {.magic = htobe32(0x25609513), .type = htobe16(2)};
  put(fd, &disconnect, sizeof disconnect);
  uint64_t above = done / 100;
  int p99 = LATENCY_US_MAX;
  for (uint64_t seen = 0; p99 > 0 && (seen += latencies[p99]) <= above;) p99--;
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  double cpu = use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
  printf("%.0f %d %.1f\n", done / (end - start), p99, 100 * cpu / (at - start));
  return 0;
}
